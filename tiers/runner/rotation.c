#include "tiers/runner/rotation.h"

#include "tiers/runner/enroll.h"
#include "tiers/runner/permissions.h"
#include "tiers/runner/tls.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR_S    INT64_C(3600)
#define DAY_S     (24 * HOUR_S)
#define LINKS_S   (24 * DAY_S)
#define PERMILLES 1000

int64_t rotation_life_s(uint16_t roles)
{
    return roles == ROLE_HOST ? HOST_CERT_LIFE_S : CERT_PROCESS_LIFE_S;
}

int64_t rotation_due_s(const struct cert *cert)
{
    assert(cert);
    bool host = cert->roles == ROLE_HOST;
    int64_t latest = host ? DAY_S : 27 * DAY_S, spread = host ? 3 * HOUR_S : 3 * DAY_S;
    /* A certificate with a short life of its own is replaced after nine tenths of it. */
    int64_t life = cert->not_after_s - cert->not_before_s;
    if (latest > life / 10 * 9) {
        latest = life / 10 * 9;
        spread = latest / 8;
    }
    int64_t share = (int64_t)(endpoint_hash(&cert->subject) % PERMILLES);
    return cert->not_before_s + latest - spread * share / PERMILLES;
}

int rotation_one(const char *dir, const char *name, int64_t now_s, int64_t life_s,
                 struct keys_error *why)
{
    assert(dir && name && why);
    uint64_t mesh;
    int rc = keys_load_mesh(dir, &mesh, why);
    if (rc == 0)
        rc = tls_issue(dir, name, mesh, now_s, CERT_PROCESS_LIFE_S, why);
    if (rc == 0)
        rc = keys_make_password(dir, name, why);
    return rc == 0 ? keys_rotate(dir, name, now_s, life_s, why) : rc;
}

static bool is_due(const char *dir, const char *name, int64_t now_s, int64_t *ret_life_s)
{
    char path[4096];
    uint8_t bytes[CERT_BYTES];
    struct keys_error ignored;
    struct cert cert;
    (void)snprintf(path, sizeof(path), "%.3900s/%s.key", dir, name);
    if (access(path, F_OK) != 0)
        return false;
    (void)snprintf(path, sizeof(path), "%.3900s/%s.cert", dir, name);
    if (keys_load_certificate(path, bytes, &ignored) < 0 || cert_decode(bytes, &cert) != CERT_OK)
        return false;
    *ret_life_s = rotation_life_s(cert.roles);
    return now_s >= rotation_due_s(&cert);
}

int rotation_run(const char *dir, int64_t now_s, struct keys_error *why)
{
    assert(dir && why);
    char(*names)[TOKEN_MAX + 1] = calloc(PERMISSIONS_MAX, sizeof(*names));
    DIR *folder = names ? opendir(dir) : NULL;
    size_t count = 0;
    const struct dirent *at;
    while (folder && (at = readdir(folder)) != NULL && count < PERMISSIONS_MAX) {
        size_t bytes = strlen(at->d_name);
        if (bytes < 6 || bytes - 5 > TOKEN_MAX || strcmp(at->d_name + bytes - 5, ".cert") != 0)
            continue;
        memcpy(names[count], at->d_name, bytes - 5);
        names[count++][bytes - 5] = '\0';
    }
    int done = folder ? 0 : -1;
    if (folder)
        (void)closedir(folder);
    else
        (void)snprintf(why->text, sizeof(why->text), "%.400s: %s", dir, strerror(errno));
    for (size_t i = 0; i < count && done >= 0; i++) {
        int64_t life_s = 0;
        if (!is_due(dir, names[i], now_s, &life_s))
            continue;
        done = rotation_one(dir, names[i], now_s, life_s, why) == 0 ? done + 1 : -1 - done;
    }
    free(names);
    return done;
}

int rotation_links(const char *dir, int64_t now_s, struct keys_error *why)
{
    static const char *const names[] = {TLS_SERVER_FILE, ENROLL_SERVICE, ENROLL_NEWCOMER};
    assert(dir && why);
    char path[4096];
    uint64_t mesh = 0;
    int done = 0;
    (void)snprintf(path, sizeof(path), "%.3900s/ca.key", dir);
    if (access(path, F_OK) != 0)
        return 0; /* they are made elsewhere */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && done >= 0; i++) {
        if (!tls_is_older(dir, names[i], now_s, LINKS_S))
            continue;
        bool made = keys_load_mesh(dir, &mesh, why) == 0 &&
                    tls_issue(dir, names[i], mesh, now_s, CERT_PROCESS_LIFE_S, why) == 0;
        done = made ? done + 1 : -1 - done;
    }
    return done;
}
