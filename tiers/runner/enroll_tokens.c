/* The record of a token is a certificate form under the token's own signature, so it is worth
 * nothing as a certificate. Its file never changes; its ending says what became of it. */
#include "tiers/runner/enroll_tokens.h"

#include "tiers/runner/tls.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define SEED_BYTES 32u
#define FILE_BYTES 8192u
#define KEEP_S     (7 * 86400) /* what is over for longer is removed */

static const char what_token[] = "join-token";
static const char join_magic[] = "mesh30k join 1";

const char *join_state_name(enum join_state s)
{
    static const char *const names[JOIN_STATE_COUNT] = {"open", "used", "revoked"};
    assert(s < JOIN_STATE_COUNT);
    return names[s];
}

static int fail(struct keys_error *why, int code, const char *path, const char *what)
{
    (void)snprintf(why->text, sizeof(why->text), "%.400s: %s", path, what);
    return code;
}

static int path_of(const char *dir, uint64_t id, enum join_state state, char ret[PATH_BYTES],
                   struct keys_error *why)
{
    int n =
        snprintf(ret, PATH_BYTES, "%s/enroll/%016" PRIx64 ".%s", dir, id, join_state_name(state));
    return n > 0 && (size_t)n < PATH_BYTES ? 0
                                           : fail(why, -ENAMETOOLONG, dir, "the path is too long");
}

int join_links(const char *keys_dir, int64_t now_s, struct keys_error *why)
{
    static const char *const names[] = {ENROLL_SERVICE, ENROLL_NEWCOMER};
    char path[PATH_BYTES];
    uint64_t mesh;
    int rc = keys_load_mesh(keys_dir, &mesh, why);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        (void)snprintf(path, sizeof(path), "%.3900s/%s.tls.crt", keys_dir, names[i]);
        if (access(path, F_OK) != 0)
            rc = tls_issue(keys_dir, names[i], mesh, now_s, CERT_PROCESS_LIFE_S, why);
    }
    (void)snprintf(path, sizeof(path), "%.3900s/enroll", keys_dir);
    if (rc == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
        rc = fail(why, -errno, path, strerror(errno));
    return rc;
}

/* ---- join files ---- */

static int text_get(const char *dir, const char *name, char *ret, size_t size,
                    struct keys_error *why)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%.3900s/%s", dir, name);
    FILE *in = fopen(path, "re");
    size_t n = in ? fread(ret, 1, size - 1, in) : 0;
    bool whole = in && feof(in) && n > 0;
    if (in)
        (void)fclose(in);
    ret[n] = '\0';
    return whole ? 0 : fail(why, -EIO, path, "cannot be read");
}

static int join_file_write(const char *keys_dir, const struct key_pair *token,
                           const uint8_t record[CERT_BYTES], const char *url, const char *path,
                           struct keys_error *why)
{
    static const char *const parts[] = {"ca.crt", ENROLL_NEWCOMER ".tls.crt",
                                        ENROLL_NEWCOMER ".tls.key"};
    uint8_t data[SEED_BYTES + PUBLIC_BYTES + CERT_BYTES];
    char hex[2 * sizeof(data) + 1], pem[3][ENROLL_PEM_MAX], public_path[PATH_BYTES];
    (void)snprintf(public_path, sizeof(public_path), "%.3900s/issuer.pub", keys_dir);
    int rc = keys_load_public(public_path, data + SEED_BYTES, why);
    for (unsigned i = 0; i < 3 && rc == 0; i++)
        rc = text_get(keys_dir, parts[i], pem[i], sizeof(pem[i]), why);
    if (rc < 0)
        return rc;
    (void)crypto_sign_ed25519_sk_to_seed(data, token->secret);
    memcpy(data + SEED_BYTES + PUBLIC_BYTES, record, CERT_BYTES);
    sodium_bin2hex(hex, sizeof(hex), data, sizeof(data));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        rc = fail(why, -errno, path, strerror(errno));
    else if (fprintf(out, "%s\n%s\n%s\n%s%s%s", join_magic, hex, url, pem[0], pem[1], pem[2]) < 0 ||
             fflush(out) != 0 || fsync(fd) < 0)
        rc = fail(why, -EIO, path, "cannot write");
    if (out && fclose(out) != 0 && rc == 0)
        rc = fail(why, -EIO, path, "cannot write");
    sodium_memzero(data, sizeof(data));
    sodium_memzero(hex, sizeof(hex));
    sodium_memzero(pem, sizeof(pem));
    return rc;
}

/* The next PEM block of `at` into ret; returns where it ends, or NULL. */
static const char *block(const char *at, char *ret)
{
    const char *begin = at ? strstr(at, "-----BEGIN ") : NULL;
    const char *end = begin ? strstr(begin, "-----END ") : NULL;
    end = end ? strchr(end, '\n') : NULL;
    if (!end || (size_t)(end + 1 - begin) >= ENROLL_PEM_MAX)
        return NULL;
    memcpy(ret, begin, (size_t)(end + 1 - begin));
    ret[end + 1 - begin] = '\0';
    return end + 1;
}

int join_file_read(const char *path, struct join_file *ret, struct keys_error *why)
{
    assert(path && ret && why);
    char text[FILE_BYTES], *line[3], *rest = text;
    uint8_t data[SEED_BYTES + PUBLIC_BYTES + CERT_BYTES];
    size_t bytes = 0;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = fd >= 0 && fstat(fd, &st) == 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (n < 0)
        return fail(why, -errno, path, strerror(errno));
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        return fail(why, -EACCES, path, "others may read this secret; run: chmod 600 on it");
    text[n] = '\0';
    for (unsigned i = 0; i < 3; i++)
        line[i] = strsep(&rest, "\n");
    if (!line[2] || !rest || strcmp(line[0], join_magic) != 0 || strlen(line[2]) >= JOIN_URL_MAX)
        return fail(why, -EBADMSG, path, "is no join file (mesh enroll token makes one)");
    memset(ret, 0, sizeof(*ret));
    (void)snprintf(ret->url, sizeof(ret->url), "%s", line[2]);
    bool ok =
        sodium_hex2bin(data, sizeof(data), line[1], strlen(line[1]), NULL, &bytes, NULL) == 0 &&
        bytes == sizeof(data);
    if (ok) {
        (void)crypto_sign_seed_keypair(ret->token.public_key, ret->token.secret, data);
        ret->token.kid = key_kid(ret->token.public_key);
        memcpy(ret->issuer_public, data + SEED_BYTES, PUBLIC_BYTES);
    }
    const uint8_t *record = data + SEED_BYTES + PUBLIC_BYTES;
    ok = ok && cert_decode(record, &ret->record) == CERT_OK &&
         cert_signature_holds(record, ret->token.public_key) &&
         block(block(block(rest, ret->ca), ret->cert), ret->key) != NULL;
    sodium_memzero(data, sizeof(data));
    sodium_memzero(text, sizeof(text));
    return ok ? 0 : fail(why, -EBADMSG, path, "is damaged: ask for a new join file");
}

/* ---- tokens ---- */

/* Files in enroll/, whatever they are: looked at once for each token, so nothing is opened. */
static unsigned count_files(const char *keys_dir)
{
    char path[PATH_BYTES];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "%.3900s/enroll", keys_dir);
    DIR *folder = opendir(path);
    while (folder && readdir(folder) != NULL)
        count++;
    if (folder)
        (void)closedir(folder);
    return count;
}

int join_token_make(const char *keys_dir, const struct keys_request *request, const char *url,
                    int64_t now_s, int64_t life_s, const char *join_file, uint64_t *ret_id,
                    struct keys_error *why)
{
    assert(keys_dir && request && url && join_file && ret_id && why);
    assert(life_s > 0 && life_s <= JOIN_LIFE_MAX_S);
    char path[PATH_BYTES], folder[PATH_BYTES];
    uint8_t record[CERT_BYTES];
    struct key_pair token;
    if (strlen(url) >= JOIN_URL_MAX || strchr(url, '\n'))
        return fail(why, -EINVAL, url, "is no address");
    int rc = join_links(keys_dir, now_s, why);
    if (rc == 0 && count_files(keys_dir) >= JOIN_TOKENS_MAX)
        rc = fail(why, -ENOSPC, keys_dir,
                  "has 8192 join tokens: `mesh enroll list` removes those over for a week");
    if (rc < 0)
        return rc;
    key_pair_make(&token);
    struct cert cert = {.kind = CERT_PROCESS,
                        .roles = request->roles,
                        .scope_count = request->scope_count,
                        .capabilities = request->capabilities,
                        .issuer_kid = token.kid,
                        .not_before_s = now_s,
                        .not_after_s = now_s + life_s,
                        .epoch = (uint64_t)now_s};
    memcpy(cert.scope, request->scope, sizeof(cert.scope));
    memcpy(cert.public_key, token.public_key, PUBLIC_BYTES);
    if (!endpoint_make(request->name, strlen(request->name), 0, &cert.subject))
        rc = fail(why, -EINVAL, request->name, "is no process name: 1 to 15 of a-z, 0-9 and '-'");
    if (rc == 0) {
        cert_seal(&cert, token.secret, record);
        rc = path_of(keys_dir, token.kid, JOIN_OPEN, path, why);
    }
    (void)snprintf(folder, sizeof(folder), "%.3900s/enroll", keys_dir);
    if (rc == 0)
        rc = join_file_write(keys_dir, &token, record, url, join_file, why);
    if (rc == 0)
        rc = keyfile_put(folder, path, what_token, record, sizeof(record), false, why);
    *ret_id = token.kid;
    sodium_memzero(&token, sizeof(token));
    return rc;
}

int join_token_get(const char *keys_dir, uint64_t id, struct join_token *ret,
                   struct keys_error *why)
{
    assert(keys_dir && ret && why);
    char path[PATH_BYTES];
    uint8_t record[CERT_BYTES];
    for (unsigned s = 0; s < JOIN_STATE_COUNT; s++) {
        int rc = path_of(keys_dir, id, (enum join_state)s, path, why);
        if (rc < 0)
            return rc;
        if (access(path, F_OK) != 0)
            continue;
        rc = keyfile_get(path, what_token, true, record, sizeof(record), why);
        if (rc == 0 && (cert_decode(record, &ret->record) != CERT_OK ||
                        key_kid(ret->record.public_key) != id ||
                        !cert_signature_holds(record, ret->record.public_key)))
            rc = fail(why, -EBADMSG, path, "is damaged: remove it");
        ret->id = id;
        ret->state = (enum join_state)s;
        return rc;
    }
    return fail(why, -ENOENT, keys_dir, "has no such join token");
}

int join_token_close(const char *keys_dir, uint64_t id, enum join_state state,
                     struct keys_error *why)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    int rc = path_of(keys_dir, id, JOIN_OPEN, from, why);
    if (rc == 0)
        rc = path_of(keys_dir, id, state, to, why);
    if (rc == 0 && rename(from, to) < 0)
        rc = fail(why, -errno, from, errno == ENOENT ? "is not open" : strerror(errno));
    return rc;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void forget(const char *keys_dir, const struct join_token *token)
{
    char path[PATH_BYTES];
    struct keys_error ignored;
    if (path_of(keys_dir, token->id, token->state, path, &ignored) == 0)
        (void)unlink(path);
}

int join_token_each(const char *keys_dir, int64_t now_s,
                    bool (*act)(void *ctx, const struct join_token *token), void *ctx,
                    struct keys_error *why)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%.3900s/enroll", keys_dir);
    DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? 0 : fail(why, -errno, path, strerror(errno));
    uint64_t *ids = calloc(2 * JOIN_TOKENS_MAX, sizeof(*ids));
    size_t count = 0;
    const struct dirent *at;
    while (ids && (at = readdir(folder)) != NULL && count < 2 * JOIN_TOKENS_MAX) {
        char *end = NULL;
        uint64_t id = strtoull(at->d_name, &end, 16);
        if (end == at->d_name + 16 && *end == '.' && !strstr(end, ".tmp"))
            ids[count++] = id;
    }
    (void)closedir(folder);
    if (ids)
        qsort(ids, count, sizeof(*ids), by_id);
    int rc = ids ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct join_token token;
        rc = join_token_get(keys_dir, ids[i], &token, why);
        if (rc == 0 && now_s > token.record.not_after_s + KEEP_S)
            forget(keys_dir, &token);
        else if (rc == 0 && !act(ctx, &token))
            break;
    }
    free(ids);
    return rc;
}
