/* Business between two roles is a table; places are compared as intervals of clusters, so that two
 * cluster processes of one sector do not hear each other's agents. A certificate that is damaged or
 * of another mesh is an error that names the file: quietly left out, its process would only be seen
 * as one that never comes up. */
#include "tiers/runner/permissions.h"

#include "core/lease.h"
#include "core/topology.h"
#include "registry/keys.h"
#include "tiers/runner/enroll.h"
#include "tiers/runner/service.h"
#include "tiers/runner/tls.h"
#include "tiers/runner/trustfiles.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTORS_LISTED_MAX 1024u /* a longer range becomes a pattern over all sectors */

struct holder {
    struct cert cert;
    uint8_t password_hash[crypto_hash_sha256_BYTES];
    bool has_password;
};

struct holders {
    uint32_t count;
    uint64_t mesh;
    struct holder *list;
};

/* ---- who may talk to whom ---- */

enum { ALWAYS = 1, NEAR = 2 };

static const uint16_t agents = ROLE_HOST | ROLE_SIM;

static int business(uint16_t a, uint16_t b)
{
    static const struct {
        uint16_t a, b;
        int when;
    } table[] = {
        {ROLE_ORCHESTRATOR, ROLE_ORCHESTRATOR | ROLE_SECTOR | ROLE_CONSOLE, ALWAYS},
        {ROLE_SECTOR, ROLE_SECTOR | ROLE_CONSOLE, ALWAYS}, /* relays; the console's --via */
        {ROLE_SECTOR, ROLE_CLUSTER | ROLE_HOST | ROLE_SIM, NEAR},
        {ROLE_CLUSTER, ROLE_CLUSTER | ROLE_HOST | ROLE_SIM, NEAR},
    };
    int when = 0;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (((a & table[i].a) && (b & table[i].b)) || ((b & table[i].a) && (a & table[i].b)))
            when |= table[i].when;
    }
    return when;
}

/* A range as an interval of clusters; false for hosts, consoles and the orchestrator. */
static bool clusters_of(const struct unit_range *r, uint32_t *first, uint32_t *last)
{
    if (r->first.tier != TIER_SECTOR && r->first.tier != TIER_CLUSTER &&
        r->first.tier != TIER_AGENT)
        return false;
    bool whole = r->first.tier == TIER_SECTOR;
    *first = (uint32_t)r->first.sector << 16 | (whole ? 0u : r->first.cluster);
    *last = (uint32_t)r->last.sector << 16 | (whole ? UINT16_MAX : r->last.cluster);
    return true;
}

static bool near(const struct cert *a, const struct cert *b)
{
    for (uint8_t i = 0; i < a->scope_count; i++) {
        uint32_t a_first, a_last, b_first, b_last;
        if (!clusters_of(&a->scope[i], &a_first, &a_last))
            continue;
        for (uint8_t j = 0; j < b->scope_count; j++) {
            if (clusters_of(&b->scope[j], &b_first, &b_last) && a_first <= b_last &&
                b_first <= a_last)
                return true;
        }
    }
    return false;
}

bool permission_between(const struct cert *from, const struct cert *to)
{
    assert(from && to);
    if (endpoint_equal(&from->subject, &to->subject))
        return true; /* the probe of the link */
    int when = business(from->roles, to->roles);
    return (when & ALWAYS) != 0 || ((when & NEAR) != 0 && near(from, to));
}

/* ---- the certificates of a directory ---- */

static int fail(struct keys_error *why, int code, const char *path, const char *what)
{
    (void)snprintf(why->text, sizeof(why->text), "%.400s: %s", path, what);
    return code;
}

static int by_name(const void *a, const void *b)
{
    const struct holder *x = a, *y = b;
    return strcmp(x->cert.subject.token, y->cert.subject.token);
}

static int holder_add(struct holders *h, const char *dir, const char *name,
                      const struct trust *trust, struct keys_error *why)
{
    char path[4096], password[PASSWORD_TEXT_BYTES];
    uint8_t bytes[CERT_BYTES];
    struct holder *one = &h->list[h->count];
    if (snprintf(path, sizeof(path), "%s/%s.cert", dir, name) >= (int)sizeof(path))
        return fail(why, -ENAMETOOLONG, dir, "the path is too long");
    if (h->count == PERMISSIONS_MAX)
        return fail(why, -E2BIG, dir, "more than 4096 certificates");
    int rc = keys_load_certificate(path, bytes, why);
    if (rc < 0)
        return rc;
    if (cert_decode(bytes, &one->cert) != CERT_OK || one->cert.kind != CERT_PROCESS)
        return fail(why, -EBADMSG, path, "is damaged");
    const uint8_t *issuer = trust_issuer(trust, one->cert.issuer_kid);
    if (!issuer || !cert_signature_holds(bytes, issuer))
        return fail(why, -EBADMSG, path, "was not signed by an issuer of this mesh");
    if (trust_is_revoked(trust, &one->cert))
        return 0;
    if (strcmp(one->cert.subject.token, name) != 0)
        return fail(why, -EBADMSG, path, "is the certificate of another name");
    rc = keys_load_password(dir, name, password, why);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    one->has_password = rc == 0;
    if (one->has_password)
        crypto_hash_sha256(one->password_hash, (const uint8_t *)password, strlen(password));
    sodium_memzero(password, sizeof(password));
    h->count++;
    return 0;
}

static int holders_load(const char *dir, struct holders *ret, struct keys_error *why)
{
    char path[4096];
    uint8_t issuer_public[PUBLIC_BYTES];
    if (snprintf(path, sizeof(path), "%s/issuer.pub", dir) >= (int)sizeof(path))
        return fail(why, -ENAMETOOLONG, dir, "the path is too long");
    int rc = keys_load_public(path, issuer_public, why);
    if (rc < 0)
        return rc;
    *ret = (struct holders){.mesh = key_kid(issuer_public)};
    static struct trust_state trust;
    struct identity identity = {.mesh = ret->mesh};
    memcpy(identity.issuer_public, issuer_public, PUBLIC_BYTES);
    rc = trust_load(dir, &identity, TRUST_ANY_TIME, &trust, why);
    if (rc < 0)
        return rc;
    ret->list = calloc(PERMISSIONS_MAX + 1, sizeof(*ret->list));
    DIR *folder = ret->list ? opendir(dir) : NULL;
    if (!folder) {
        free(ret->list);
        return fail(why, -errno, dir, "cannot be read");
    }
    const struct dirent *at;
    while (rc == 0 && (at = readdir(folder)) != NULL) {
        char name[TOKEN_MAX + 1];
        size_t bytes = strlen(at->d_name);
        if (bytes < 6 || bytes - 5 > TOKEN_MAX || strcmp(at->d_name + bytes - 5, ".cert") != 0)
            continue;
        memcpy(name, at->d_name, bytes - 5);
        name[bytes - 5] = '\0';
        rc = holder_add(ret, dir, name, &trust.trust, why);
    }
    (void)closedir(folder);
    if (rc < 0) {
        free(ret->list);
        return rc;
    }
    qsort(ret->list, ret->count, sizeof(*ret->list), by_name);
    return 0;
}

/* ---- NATS ---- */

/* Those who have no certificate yet, and the service that gives them one: nothing else of the mesh
 * is within their reach. Only where a join token was ever made. */
static void put_enrollment(FILE *out, const char *dir, uint64_t mesh)
{
    char path[4096], uri[96];
    (void)snprintf(path, sizeof(path), "%s/" ENROLL_SERVICE ".tls.crt", dir);
    if (access(path, F_OK) != 0)
        return;
    tls_uri(mesh, ENROLL_SERVICE, uri, sizeof(uri));
    (void)fprintf(out,
                  "    { user: \"%s\", permissions: {\n"
                  "      publish: { allow: [\"" ENROLL_SUBJECT_OUT ".*\"] }\n"
                  "      subscribe: { allow: [\"" ENROLL_SUBJECT_IN "\"] }\n    } }\n",
                  uri);
    tls_uri(mesh, ENROLL_NEWCOMER, uri, sizeof(uri));
    (void)fprintf(out,
                  "    { user: \"%s\", permissions: {\n"
                  "      publish: { allow: [\"" ENROLL_SUBJECT_IN "\"] }\n"
                  "      subscribe: { allow: [\"" ENROLL_SUBJECT_OUT ".*\"] }\n    } }\n",
                  uri);
}

/* The end of a user: who looks for services (service.h), and who is one. */
static void put_services(FILE *out, uint16_t roles, const char *token)
{
    bool looks = (roles & ROLE_CONSOLE) != 0;
    bool serves = (roles & (ROLE_ORCHESTRATOR | ROLE_SECTOR | ROLE_CLUSTER)) != 0;
    if (looks)
        (void)fputs("        \"$SRV.PING\", \"$SRV.PING.>\", \"$SRV.INFO\", \"$SRV.INFO.>\","
                    " \"$SRV.STATS\", \"$SRV.STATS.>\"\n",
                    out);
    (void)fprintf(out, "      ] }\n      subscribe: { allow: [\"mesh.p.%s.>\", \"mesh.all.>\"",
                  token);
    if (serves)
        (void)fputs(", \"" SERVICE_SUBJECTS "\"", out);
    if (looks)
        (void)fprintf(out, ", \"" SERVICE_INBOX "%s.>\"", token);
    (void)fprintf(out, "] }\n%s    } }\n",
                  serves ? "      allow_responses: { max: 1, expires: \"5s\" }\n" : "");
}

int permissions_nats(const char *dir, FILE *out, struct keys_error *why)
{
    assert(dir && out && why);
    struct holders h;
    int rc = holders_load(dir, &h, why);
    if (rc < 0)
        return rc;
    (void)fprintf(out,
                  "# Made by mesh-keys from the certificates in %s.\nauthorization {\n"
                  "  users = [\n",
                  dir);
    for (uint32_t i = 0; i < h.count; i++) {
        const struct cert *own = &h.list[i].cert;
        const char *token = own->subject.token;
        char uri[96];
        tls_uri(h.mesh, token, uri, sizeof(uri));
        (void)fprintf(out, "    { user: \"%s\", permissions: {\n      publish: { allow: [\n", uri);
        (void)fprintf(out, "        \"mesh.all.%s.*\"\n", token);
        for (uint32_t j = 0; j < h.count; j++) {
            if (permission_between(own, &h.list[j].cert))
                (void)fprintf(out, "        \"mesh.p.%s.*.%s.*\"\n", h.list[j].cert.subject.token,
                              token);
        }
        put_services(out, own->roles, token);
    }
    put_enrollment(out, dir, h.mesh);
    (void)fprintf(out, "  ]\n}\n");
    free(h.list);
    return 0;
}

/* ---- Redis ---- */

static const char commands[] =
    "-@all +ping +client|setname +fcall +fcall_ro +time +del +exists +expire "
    "+hget +hgetall +hmget +hset +hsetnx +hdel +hexists +hincrby +hlen "
    "+zadd +zcard +zpopmin +zrange +zrangebyscore +zrem +zrevrange +zscore +xadd +xrevrange";

/* Two to five digits: `s*` would have the clusters in it. */
static const char *const any_sector[] = {"s[0-9][0-9]", "s[0-9][0-9][0-9]", "s[0-9][0-9][0-9][0-9]",
                                         "s[0-9][0-9][0-9][0-9][0-9]"};

/* The keys of a place as a pattern: the shard is the part in braces. */
static void put_places(FILE *out, const struct unit_range *r)
{
    bool clusters = r->first.tier == TIER_CLUSTER;
    if (!clusters && r->first.tier != TIER_SECTOR)
        return;
    if ((uint32_t)r->last.sector - r->first.sector >= SECTORS_LISTED_MAX) {
        for (size_t i = 0; i < sizeof(any_sector) / sizeof(any_sector[0]); i++) {
            (void)fprintf(out, " ~mesh%s:{%s}:*", clusters ? ".index" : "*", any_sector[i]);
        }
        (void)fprintf(out, " %s~mesh*:{s*.c*}:*", clusters ? "" : "%R");
        return;
    }
    for (uint32_t s = r->first.sector; s <= r->last.sector; s++) {
        char text[UNIT_TEXT_MAX];
        (void)unit_format(unit_sector(s), text);
        /* A lead keeps its sector's index of capabilities; a sector reads its leads' records. */
        (void)fprintf(out, clusters ? " ~mesh.index:{%s}:*" : " ~mesh*:{%s}:*", text);
        uint32_t first = s == r->first.sector ? r->first.cluster : 0;
        uint32_t last = s == r->last.sector ? r->last.cluster : UINT16_MAX;
        if (!clusters || last - first >= SECTORS_LISTED_MAX) {
            (void)fprintf(out, " %s~mesh*:{%s.c*}:*", clusters ? "" : "%R", text);
            continue;
        }
        for (uint32_t c = first; c <= last; c++) {
            (void)unit_format(unit_cluster(s, c), text);
            (void)fprintf(out, " ~mesh*:{%s}:*", text);
        }
    }
}

static void put_user(FILE *out, const struct holder *one)
{
    const struct cert *cert = &one->cert;
    char hash[2 * crypto_hash_sha256_BYTES + 1];
    sodium_bin2hex(hash, sizeof(hash), one->password_hash, sizeof(one->password_hash));
    (void)fprintf(out, "user %s on #%s resetkeys resetchannels", cert->subject.token, hash);
    if (cert->roles & ~(unsigned)agents)
        (void)fprintf(out, " ~" KEY_LEASE, "mesh",
                      "*"); /* of those that it may stand by for, too */
    else
        (void)fprintf(out, " ~" KEY_LEASE "%s", "mesh", LEASE_KEY_PREFIX, cert->subject.token);
    if (cert->roles & ROLE_ORCHESTRATOR)
        (void)fputs(" ~mesh*:{mesh}:*", out);
    bool leads = false;
    for (uint8_t i = 0; i < cert->scope_count; i++) {
        put_places(out, &cert->scope[i]);
        leads = leads || cert->scope[i].first.tier == TIER_CLUSTER;
    }
    if (leads) /* where an agent was before, and what was learnt about it there */
        (void)fputs(" ~mesh:{u[0-9a-f][0-9a-f]}:place:* %R~mesh:{s*.c*}:agent:*", out);
    (void)fprintf(out, " ~mesh.blob:{* %s\n", commands);
}

int permissions_redis(const char *dir, FILE *out, struct keys_error *why)
{
    assert(dir && out && why);
    struct holders h;
    int rc = holders_load(dir, &h, why);
    if (rc < 0)
        return rc;
    char password[PASSWORD_TEXT_BYTES], hash[2 * crypto_hash_sha256_BYTES + 1];
    uint8_t digest[crypto_hash_sha256_BYTES];
    rc = keys_load_password(dir, PERMISSION_ADMIN, password, why);
    if (rc == 0) {
        crypto_hash_sha256(digest, (const uint8_t *)password, strlen(password));
        sodium_memzero(password, sizeof(password));
        sodium_bin2hex(hash, sizeof(hash), digest, sizeof(digest));
        /* Off, and yet with every right: Redis 7.0 reads its append-only file back as the default
         * user, and drops what that one may not do. */
        (void)fprintf(out,
                      "user default off resetpass ~* &* +@all\n"
                      "user " PERMISSION_ADMIN " on #%s ~* &* +@all\n",
                      hash);
        for (uint32_t i = 0; i < h.count; i++) {
            if (h.list[i].has_password && (h.list[i].cert.roles & ~ROLE_CONSOLE) != 0)
                put_user(out, &h.list[i]);
        }
    }
    free(h.list);
    return rc;
}
