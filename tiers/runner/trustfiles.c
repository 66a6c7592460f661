/* The version file is written before a bundle comes into force: after a crash in between, the same
 * bundle is taken again, and never an older one. */
#include "tiers/runner/trustfiles.h"

#include "tiers/runner/bytes.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define SEED_BYTES 32u

static const char what_roots[] = "roots";
static const char what_root_key[] = "root-key";
static const char what_version[] = "trust-version";

__attribute__((format(printf, 3, 4))) static int fail(struct keys_error *why, int code,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return code;
}

static bool path_of(const char *dir, const char *name, char ret[PATH_BYTES])
{
    int n = snprintf(ret, PATH_BYTES, "%s/%s", dir, name);
    return n > 0 && (size_t)n < PATH_BYTES;
}

/* ---- roots ---- */

int trust_init_roots(const char *dir, struct keys_error *why)
{
    assert(dir && why);
    char path[PATH_BYTES], name[32];
    uint8_t all[ROOTS_MAX * PUBLIC_BYTES];
    if (!path_of(dir, "root.pub", path))
        return fail(why, -ENAMETOOLONG, "%.200s: the path is too long", dir);
    if (access(path, F_OK) == 0)
        return 0;
    for (unsigned i = 0; i < ROOTS_MAX; i++) {
        struct key_pair pair;
        uint8_t seed[SEED_BYTES];
        key_pair_make(&pair);
        (void)crypto_sign_ed25519_sk_to_seed(seed, pair.secret);
        memcpy(all + (size_t)i * PUBLIC_BYTES, pair.public_key, PUBLIC_BYTES);
        (void)snprintf(name, sizeof(name), "root-%u.key", i + 1);
        (void)path_of(dir, name, path);
        int rc = keyfile_put(dir, path, what_root_key, seed, sizeof(seed), false, why);
        keys_wipe(&pair, sizeof(pair));
        keys_wipe(seed, sizeof(seed));
        if (rc < 0)
            return rc;
    }
    (void)path_of(dir, "root.pub", path);
    return keyfile_put(dir, path, what_roots, all, sizeof(all), false, why);
}

static int roots_load(const char *dir, struct trust_roots *ret, struct keys_error *why)
{
    char path[PATH_BYTES];
    uint8_t all[ROOTS_MAX * PUBLIC_BYTES];
    if (!path_of(dir, "root.pub", path))
        return fail(why, -ENAMETOOLONG, "%.200s: the path is too long", dir);
    int rc = keyfile_get(path, what_roots, false, all, sizeof(all), why);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < ROOTS_MAX; i++)
        memcpy(ret->public_keys[i], all + (size_t)i * PUBLIC_BYTES, PUBLIC_BYTES);
    for (unsigned i = 1; i < ROOTS_MAX; i++) {
        if (memcmp(ret->public_keys[i], ret->public_keys[i - 1], PUBLIC_BYTES) == 0 ||
            memcmp(ret->public_keys[i], ret->public_keys[0], PUBLIC_BYTES) == 0)
            return fail(why, -EBADMSG, "%.200s: one root key stands there twice", path);
    }
    return 0;
}

/* ---- files ---- */

/* 0, -ENOENT, or another error. */
static int raw_get(const char *path, uint8_t ret[TRUST_BYTES_MAX], size_t *ret_length,
                   int64_t *ret_ns, struct keys_error *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(why, -errno, "%.200s: cannot open: %s", path, strerror(errno));
    int rc = 0;
    ssize_t n = 0;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        rc = fail(why, -EBADMSG, "%.200s: is not a regular file", path);
    else if (st.st_size > (off_t)TRUST_BYTES_MAX)
        rc = fail(why, -EFBIG, "%.200s: longer than any bundle", path);
    else if ((n = read(fd, ret, TRUST_BYTES_MAX)) < 0)
        rc = fail(why, -errno, "%.200s: cannot read: %s", path, strerror(errno));
    if (rc == 0) {
        *ret_length = (size_t)n;
        *ret_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    (void)close(fd);
    return rc;
}

static int raw_put(const char *path, const uint8_t *bytes, size_t length, struct keys_error *why)
{
    char temporary[PATH_BYTES + 32];
    (void)snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : 0;
    if (rc == 0 && (write(fd, bytes, length) != (ssize_t)length || fsync(fd) < 0))
        rc = errno != 0 ? -errno : -EIO;
    if (fd >= 0 && close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)unlink(temporary);
        return fail(why, rc, "%.200s: cannot write: %s", path, strerror(-rc));
    }
    return 0;
}

/* *ret is 0 where no version was seen yet. */
static int version_load(const char *dir, uint64_t *ret, struct keys_error *why)
{
    char path[PATH_BYTES];
    uint8_t bytes[8];
    struct keys_error what;
    *ret = 0;
    if (!path_of(dir, "trust.version", path))
        return fail(why, -ENAMETOOLONG, "%.200s: the path is too long", dir);
    int rc = keyfile_get(path, what_version, false, bytes, sizeof(bytes), &what);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return fail(why, rc,
                    "%.160s; take trust.bundle from another process's keys directory, then remove "
                    "this file",
                    what.text);
    *ret = get_u64(bytes);
    return 0;
}

static int version_store(const char *dir, uint64_t version, struct keys_error *why)
{
    char path[PATH_BYTES];
    uint8_t bytes[8];
    uint64_t there;
    struct keys_error ignored; /* what cannot be read is replaced */
    if (version_load(dir, &there, &ignored) == 0 && there >= version)
        return 0; /* another process of this directory was faster */
    put_u64(bytes, version);
    (void)path_of(dir, "trust.version", path);
    return keyfile_put(dir, path, what_version, bytes, sizeof(bytes), true, why);
}

/* ---- a process's view ---- */

#define ANOTHERS "; put there the one of another process, from its keys directory"

static int refused(struct keys_error *why, const char *dir, enum trust_verdict v, uint64_t seen)
{
    const char *mend = v == TRUST_EXPIRED ? "; make the next one with: mesh keys bundle"
                       : v == TRUST_SIGNATURES
                           ? "; two of the three keys of root.pub must have signed it"
                           : ANOTHERS;
    if (v == TRUST_ROLLBACK)
        return fail(why, -EBADMSG,
                    "%.200s/trust.bundle: rollback: version %llu was seen here (trust.version)%s",
                    dir, (unsigned long long)seen, ANOTHERS);
    return fail(why, -EBADMSG, "%.200s/trust.bundle: refused: %s%s", dir, trust_verdict_name(v),
                mend);
}

int trust_load(const char *dir, const struct identity *identity, int64_t now_s,
               struct trust_state *ret, struct keys_error *why)
{
    assert(dir && identity && ret && why);
    char path[PATH_BYTES];
    memset(ret, 0, sizeof(*ret));
    ret->dir = dir;
    ret->trust.mesh = identity->mesh;
    trust_issuer_add(&ret->trust, identity->issuer_public);
    int rc = roots_load(dir, &ret->roots, why);
    if (rc == -ENOENT)
        return fail(why, rc,
                    "%.200s/root.pub: is missing, and without it nothing can be revoked; take it "
                    "from the keys directory of another process, or where mesh keys init was run",
                    dir);
    if (rc == 0)
        rc = version_load(dir, &ret->version_seen, why);
    if (rc < 0)
        return rc;
    if (!path_of(dir, "trust.bundle", path))
        return fail(why, -ENAMETOOLONG, "%.200s: the path is too long", dir);
    rc = raw_get(path, ret->bytes, &ret->length, &ret->file_ns, why);
    if (rc == -ENOENT)
        return ret->version_seen == 0
                   ? 0
                   : fail(why, -EBADMSG, "%.200s: is gone, and version %llu was seen here%s", path,
                          (unsigned long long)ret->version_seen, ANOTHERS);
    if (rc < 0)
        return rc;
    if (now_s == TRUST_ANY_TIME && trust_decode(ret->bytes, ret->length, &ret->trust) == TRUST_OK)
        now_s = ret->trust.not_before_s;
    enum trust_verdict v = trust_verify(ret->bytes, ret->length, &ret->roots, identity->mesh, now_s,
                                        ret->version_seen, NULL, 0, &ret->trust);
    if (v != TRUST_OK)
        return refused(why, dir, v, ret->version_seen);
    ret->version_seen = ret->trust.version;
    return version_store(dir, ret->trust.version, why);
}

enum trust_verdict trust_take(struct trust_state *state, uint64_t mesh, const uint8_t *bytes,
                              size_t length, int64_t now_s)
{
    assert(state && bytes);
    struct keys_error ignored;
    char path[PATH_BYTES];
    struct trust_exclusions excluded = state->trust.excluded;
    enum trust_verdict v =
        trust_verify(bytes, length, &state->roots, mesh, now_s, state->version_seen,
                     state->length > 0 ? state->bytes : NULL, state->length, &state->trust);
    if (v != TRUST_OK)
        return v;
    state->trust.excluded = excluded;
    memcpy(state->bytes, bytes, length);
    state->length = length;
    state->version_seen = state->trust.version;
    /* What cannot be written is in force all the same, until the next start. */
    if (version_store(state->dir, state->trust.version, &ignored) == 0 &&
        path_of(state->dir, "trust.bundle", path))
        (void)raw_put(path, bytes, length, &ignored);
    return TRUST_OK;
}

bool trust_file_changed(struct trust_state *state, uint8_t ret[TRUST_BYTES_MAX], size_t *ret_length)
{
    assert(state && ret && ret_length);
    char path[PATH_BYTES];
    struct stat st;
    struct keys_error ignored;
    *ret_length = 0;
    if (!path_of(state->dir, "trust.bundle", path))
        return false;
    if (stat(path, &st) < 0)
        return errno == ENOENT && state->length > 0;
    int64_t ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (ns == state->file_ns)
        return false;
    return raw_get(path, ret, ret_length, &state->file_ns, &ignored) == 0;
}

bool trust_file_mend(struct trust_state *state, const uint8_t *bytes, size_t length)
{
    assert(state && (bytes || length == 0));
    char path[PATH_BYTES];
    uint8_t now[TRUST_BYTES_MAX];
    size_t there = 0;
    int64_t ns = 0;
    struct keys_error ignored;
    if (state->length == 0 || !path_of(state->dir, "trust.bundle", path))
        return false;
    int rc = raw_get(path, now, &there, &ns, &ignored);
    bool same = rc == -ENOENT ? length == 0 : rc == 0 && there == length;
    if (!same || memcmp(now, bytes, there) != 0)
        return false; /* somebody has put another one there meanwhile: it is looked at first */
    return raw_put(path, state->bytes, state->length, &ignored) == 0;
}

/* ---- making the next one ---- */

/* Takes this secret if it is one of the roots. Negative: there is none, or it is of another mesh.
 */
static int secret_offer(const struct trust_roots *roots, const char *path,
                        uint8_t secrets[ROOTS_MAX][SECRET_BYTES], bool has[ROOTS_MAX],
                        struct keys_error *why)
{
    uint8_t seed[SEED_BYTES], public_key[PUBLIC_BYTES], secret[SECRET_BYTES];
    int rc = keyfile_get(path, what_root_key, true, seed, sizeof(seed), why);
    if (rc == 0) {
        rc = fail(why, -EINVAL, "%.300s: a root key, but none of the three in root.pub", path);
        (void)crypto_sign_seed_keypair(public_key, secret, seed);
        for (unsigned i = 0; i < ROOTS_MAX; i++) {
            if (memcmp(public_key, roots->public_keys[i], PUBLIC_BYTES) == 0) {
                memcpy(secrets[i], secret, SECRET_BYTES);
                has[i] = true;
                rc = 0;
            }
        }
    }
    keys_wipe(seed, sizeof(seed));
    keys_wipe(secret, sizeof(secret));
    return rc;
}

static int sign_all(const char *dir, const struct trust_roots *roots,
                    const struct trust_request *request, uint8_t *bytes, size_t *length,
                    struct keys_error *why)
{
    uint8_t secrets[ROOTS_MAX][SECRET_BYTES];
    bool has[ROOTS_MAX] = {false};
    char path[PATH_BYTES], name[32];
    struct keys_error ignored;
    unsigned count = 0;
    for (unsigned i = 0; i < ROOTS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "root-%u.key", i + 1);
        if (path_of(dir, name, path))
            (void)secret_offer(roots, path, secrets, has, &ignored);
    }
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < request->more_count; i++) /* named: it has to be one */
        rc = secret_offer(roots, request->more[i], secrets, has, why);
    for (uint8_t i = 0; i < ROOTS_MAX; i++) {
        if (has[i] && rc == 0) {
            *length = trust_sign(bytes, *length, i, secrets[i]);
            count++;
        }
    }
    keys_wipe(secrets, sizeof(secrets));
    if (rc < 0)
        return rc;
    if (count < ROOTS_NEEDED)
        return fail(why, -EACCES,
                    "%.200s: %u root key of the 2 that must sign is here; name the others with "
                    "--root FILE",
                    dir, count);
    return 0;
}

static int apply(const char *dir, const struct trust_request *request, struct trust *t,
                 struct keys_error *why)
{
    const struct trust_hwtoken *add = request->token_add;
    if (request->revoke && !trust_revoke(t, request->revoke, request->epoch))
        return fail(why, -ENOSPC, "%.200s: %u names are revoked, and more do not fit", dir,
                    TRUST_REVOKED_MAX);
    if (add && trust_hwtoken_find(t, add->operator_name, trust_hwtoken_kid(add)))
        return fail(why, -EEXIST, "%.200s: this token is in the bundle already", dir);
    if (add && !trust_hwtoken_add(t, add))
        return fail(why, -ENOSPC,
                    "%.200s: %u hardware tokens are in the bundle, and more do not fit", dir,
                    TRUST_HWTOKENS_MAX);
    if (request->token_of && !trust_hwtoken_remove(t, request->token_of, request->token_kid))
        return fail(
            why, -ENOENT,
            "%.200s: %.16s has no hardware token %016llx in the bundle; mesh keys token list "
            "shows them",
            dir, request->token_of, (unsigned long long)request->token_kid);
    return 0;
}

int trust_publish(const char *dir, const struct trust_request *request, int64_t now_s,
                  uint64_t *ret_version, struct keys_error *why)
{
    assert(dir && request && ret_version && why);
    struct trust_state *s = calloc(1, sizeof(*s));
    struct identity identity = {0};
    char path[PATH_BYTES];
    if (!s)
        return fail(why, -ENOMEM, "no memory");
    int rc = path_of(dir, "issuer.pub", path)
                 ? keys_load_public(path, identity.issuer_public, why)
                 : fail(why, -ENAMETOOLONG, "%.200s: the path is too long", dir);
    identity.mesh = key_kid(identity.issuer_public);
    if (rc == 0)
        rc = trust_load(dir, &identity, TRUST_ANY_TIME, s, why);
    if (rc == 0)
        rc = apply(dir, request, &s->trust, why);
    if (rc == 0) {
        s->trust.version =
            (s->trust.version > s->version_seen ? s->trust.version : s->version_seen) + 1;
        s->trust.not_before_s = now_s > CERT_BACKDATE_S ? now_s - CERT_BACKDATE_S : 0;
        s->trust.not_after_s = s->trust.not_before_s + request->life_s;
        s->length = trust_encode(&s->trust, s->bytes);
        rc = sign_all(dir, &s->roots, request, s->bytes, &s->length, why);
    }
    if (rc == 0 && path_of(dir, "trust.bundle", path))
        rc = raw_put(path, s->bytes, s->length, why);
    if (rc == 0)
        rc = version_store(dir, s->trust.version, why);
    *ret_version = s->trust.version;
    free(s);
    return rc;
}

int trust_roots_bytes(const char *dir, uint8_t ret[ROOTS_MAX * PUBLIC_BYTES],
                      struct keys_error *why)
{
    char path[PATH_BYTES];
    if (!path_of(dir, "root.pub", path))
        return fail(why, -ENAMETOOLONG, "%.200s: the path is too long", dir);
    return keyfile_get(path, what_roots, false, ret, ROOTS_MAX * PUBLIC_BYTES, why);
}

int trust_import(const char *dir, const uint8_t roots[ROOTS_MAX * PUBLIC_BYTES],
                 const uint8_t *bundle, size_t length, struct keys_error *why)
{
    char path[PATH_BYTES];
    if (!path_of(dir, "root.pub", path))
        return fail(why, -ENAMETOOLONG, "%.200s: the path is too long", dir);
    int rc = keyfile_put(dir, path, what_roots, roots, ROOTS_MAX * PUBLIC_BYTES, true, why);
    if (rc == 0 && length > 0 && path_of(dir, "trust.bundle", path))
        rc = raw_put(path, bundle, length, why);
    return rc;
}
