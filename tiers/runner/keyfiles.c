/* Files are short text so that a person can see what one is; secrets are the 32-byte seed. Writing:
 * a temporary file in the same directory (O_EXCL, 0600), fsync, then link (new files: never
 * overwrites, even in a race) or rename (certificates, which are replaced at renewal), then fsync
 * of the directory. Reading: at most 2 KiB, a regular file, and for secrets owner and mode are
 * checked on the open descriptor, so that nobody can swap the file in between. */
#include "tiers/runner/keyfiles.h"

#include "tiers/runner/passphrase.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define FILE_BYTES 2048u
#define SEED_BYTES 32u

static const char what_issuer_key[] = "issuer-key";
static const char what_issuer_pub[] = "issuer-public";
static const char what_key[] = "process-key";
static const char what_cert[] = "certificate";
static const char what_password[] = "redis-password";

__attribute__((format(printf, 3, 4))) static int fail(struct keys_error *why, int code,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return code;
}

static int path_of(const char *dir, const char *name, const char *ending, char ret[PATH_BYTES],
                   struct keys_error *why)
{
    int n = snprintf(ret, PATH_BYTES, "%s/%s%s", dir, name, ending);
    if (n < 0 || (size_t)n >= PATH_BYTES)
        return fail(why, -ENAMETOOLONG, "%s: the path is too long", dir);
    return 0;
}

static int write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        text += n;
        bytes -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static void sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

int keyfile_put(const char *dir, const char *path, const char *what, const uint8_t *data,
                size_t bytes, bool replace, struct keys_error *why)
{
    char text[FILE_BYTES], hex[2u * KEYFILE_BYTES_MAX + 1], temporary[PATH_BYTES + 32];
    assert(bytes <= KEYFILE_BYTES_MAX);
    sodium_bin2hex(hex, sizeof(hex), data, bytes);
    int length = snprintf(text, sizeof(text), "mesh30k %s 1\n%s\n", what, hex);
    (void)snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path, (long)getpid());
    int rc = 0;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = -errno;
    } else {
        rc = write_all(fd, text, (size_t)length);
        if (close(fd) < 0 && rc == 0)
            rc = -errno;
        if (rc == 0 && (replace ? rename(temporary, path) : link(temporary, path)) < 0)
            rc = -errno;
        if (rc < 0 || !replace)
            (void)unlink(temporary);
    }
    sodium_memzero(text, sizeof(text));
    sodium_memzero(hex, sizeof(hex));
    if (rc < 0)
        return fail(why, rc, "%s: cannot write: %s", path, strerror(-rc));
    sync_dir(dir);
    return 0;
}

static int check_owner(int fd, const char *path, bool secret, struct keys_error *why)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail(why, -errno, "%s: cannot stat: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(why, -EINVAL, "%s: is not a regular file", path);
    if (!secret)
        return 0;
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return fail(why, -EACCES, "%s: belongs to user %u, not to user %u of this process", path,
                    (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 077) != 0)
        return fail(why, -EACCES, "%s: others may use this secret (mode %04o); run: chmod 600 %s",
                    path, (unsigned)(st.st_mode & 07777), path);
    return 0;
}

/* What is there instead of a <what>, as far as its first line tells. */
static int wrong_first_line(const char *path, const char *text, const char *what,
                            struct keys_error *why)
{
    char is[24], end;
    if (text[0] == '\0')
        return fail(why, -EBADMSG, "%s: is empty; a \"mesh30k %s\" belongs here", path, what);
    if (sscanf(text, "mesh30k %23[a-z-] 1%c", is, &end) == 2 && end == '\r')
        return fail(why, -EBADMSG, "%s: its lines end in CR LF; run: sed -i 's/\\r$//' %s", path,
                    path);
    if (sscanf(text, "mesh30k %23[a-z-] 1%c", is, &end) == 2 && strcmp(is, what) != 0)
        return fail(why, -EBADMSG, "%s: is a \"mesh30k %s\"; a \"mesh30k %s\" belongs here", path,
                    is, what);
    return fail(
        why, -EBADMSG, "%s: line 1: expected \"mesh30k %s 1\"%s", path, what,
        strncmp(text, "-----BEGIN ", 11) == 0 ? ", and this is PEM, as .tls.key and .crt are" : "");
}

/* Parses "mesh30k <what> 1\n<hex>\n" strictly. */
static int file_parse(const char *path, const char *text, const char *what, uint8_t *ret,
                      size_t bytes, struct keys_error *why)
{
    char first[64];
    int n = snprintf(first, sizeof(first), "mesh30k %s 1\n", what);
    if (strncmp(text, first, (size_t)n) != 0)
        return wrong_first_line(path, text, what, why);
    const char *hex = text + n;
    const char *end;
    size_t got;
    uint8_t data[KEYFILE_BYTES_MAX];
    if (sodium_hex2bin(data, sizeof(data), hex, strlen(hex), NULL, &got, &end) != 0 ||
        got != bytes || strcmp(end, "\n") != 0) {
        sodium_memzero(data, sizeof(data));
        return fail(why, -EBADMSG, "%s: line 2: expected %zu hex digits and a line end", path,
                    2 * bytes);
    }
    memcpy(ret, data, bytes);
    sodium_memzero(data, sizeof(data));
    return 0;
}

int keyfile_get(const char *path, const char *what, bool secret, uint8_t *ret, size_t bytes,
                struct keys_error *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int code = -errno;
        return fail(why, code, "%s: cannot open: %s", path, strerror(-code));
    }
    char text[FILE_BYTES] = {0};
    int rc = check_owner(fd, path, secret, why);
    if (rc == 0) {
        ssize_t n = read(fd, text, sizeof(text) - 1);
        rc = n < 0 ? fail(why, -errno, "%s: cannot read: %s", path, strerror(errno))
                   : file_parse(path, text, what, ret, bytes, why);
    }
    (void)close(fd);
    sodium_memzero(text, sizeof(text));
    return rc;
}

static int pair_get(const char *path, const char *what, struct key_pair *ret,
                    struct keys_error *why)
{
    uint8_t seed[SEED_BYTES];
    int rc = keyfile_get(path, what, true, seed, sizeof(seed), why);
    if (rc == 0) {
        crypto_sign_seed_keypair(ret->public_key, ret->secret, seed);
        ret->kid = key_kid(ret->public_key);
    }
    sodium_memzero(seed, sizeof(seed));
    return rc;
}

static int pair_put(const char *dir, const char *path, const char *what,
                    const struct key_pair *pair, bool replace, struct keys_error *why)
{
    uint8_t seed[SEED_BYTES];
    crypto_sign_ed25519_sk_to_seed(seed, pair->secret);
    int rc = keyfile_put(dir, path, what, seed, sizeof(seed), replace, why);
    sodium_memzero(seed, sizeof(seed));
    return rc;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int issuer_check(const char *key_path, const char *pub_path, uint64_t *ret_mesh,
                        struct keys_error *why)
{
    struct key_pair pair;
    uint8_t public_key[PUBLIC_BYTES];
    int rc = pair_get(key_path, what_issuer_key, &pair, why);
    if (rc == 0)
        rc = keyfile_get(pub_path, what_issuer_pub, false, public_key, sizeof(public_key), why);
    if (rc == 0 && memcmp(public_key, pair.public_key, PUBLIC_BYTES) != 0)
        rc = fail(why, -EBADMSG, "%s: is not the public half of %s", pub_path, key_path);
    if (rc == 0)
        *ret_mesh = pair.kid;
    sodium_memzero(&pair, sizeof(pair));
    return rc;
}

int keys_init_issuer(const char *dir, bool *ret_made, uint64_t *ret_mesh, struct keys_error *why)
{
    assert(dir && why);
    assert(ret_made && ret_mesh);
    char key_path[PATH_BYTES], pub_path[PATH_BYTES];
    int rc = path_of(dir, "issuer", ".key", key_path, why);
    if (rc == 0)
        rc = path_of(dir, "issuer", ".pub", pub_path, why);
    if (rc < 0)
        return rc;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        int code = -errno;
        return fail(why, code, "%s: cannot make the directory: %s", dir, strerror(-code));
    }
    if (exists(key_path) && exists(pub_path)) {
        rc = issuer_check(key_path, pub_path, ret_mesh, why);
        if (rc == 0)
            *ret_made = false;
        return rc;
    }
    if (exists(key_path) || exists(pub_path))
        return fail(why, -EEXIST, "%s: half of an issuer is here (%s); nothing was written", dir,
                    exists(key_path) ? "issuer.key" : "issuer.pub");
    struct key_pair pair;
    key_pair_make(&pair);
    rc = pair_put(dir, key_path, what_issuer_key, &pair, false, why);
    if (rc == 0)
        rc = keyfile_put(dir, pub_path, what_issuer_pub, pair.public_key, PUBLIC_BYTES, false, why);
    if (rc == 0) {
        *ret_made = true;
        *ret_mesh = pair.kid;
    }
    sodium_memzero(&pair, sizeof(pair));
    return rc;
}

/* Of the certificate that is to be replaced: two within a second are still told apart. */
static uint64_t last_epoch(const char *cert_path)
{
    struct keys_error ignored;
    uint8_t bytes[CERT_BYTES];
    struct cert cert;
    if (keyfile_get(cert_path, what_cert, false, bytes, sizeof(bytes), &ignored) < 0 ||
        cert_decode(bytes, &cert) != CERT_OK)
        return 0;
    return cert.epoch;
}

/* NAME.next.key, when it is what NAME.cert is for: the certificate was replaced, and then the power
 * was gone before the key was. */
static bool next_key_fits(const char *dir, const char *name, const struct cert *cert,
                          struct key_pair *ret)
{
    struct keys_error ignored;
    char path[PATH_BYTES];
    bool fits = path_of(dir, name, KEYS_NEXT ".key", path, &ignored) == 0 &&
                pair_get(path, what_key, ret, &ignored) == 0 &&
                memcmp(ret->public_key, cert->public_key, PUBLIC_BYTES) == 0;
    if (!fits)
        sodium_memzero(ret, sizeof(*ret));
    return fits;
}

int keys_settle(const char *dir, const char *name, struct keys_error *why)
{
    assert(dir && name && why);
    char from[PATH_BYTES], to[PATH_BYTES], cert_path[PATH_BYTES];
    uint8_t bytes[CERT_BYTES];
    struct keys_error ignored;
    struct key_pair pair;
    struct cert cert;
    int rc = path_of(dir, name, KEYS_NEXT ".key", from, why);
    if (rc == 0)
        rc = path_of(dir, name, ".key", to, why);
    if (rc == 0)
        rc = path_of(dir, name, ".cert", cert_path, why);
    if (rc < 0 || keys_load_certificate(cert_path, bytes, &ignored) < 0 ||
        cert_decode(bytes, &cert) != CERT_OK || !next_key_fits(dir, name, &cert, &pair))
        return rc;
    sodium_memzero(&pair, sizeof(pair));
    if (rename(from, to) < 0 && errno != ENOENT) /* not there: somebody else has just done it */
        return fail(why, -errno, "%s: cannot be replaced: %s", to, strerror(errno));
    sync_dir(dir);
    return 0;
}

int keys_issue(const char *dir, const struct keys_request *request, int64_t now_s,
               struct keys_error *why)
{
    assert(dir && request && why);
    assert(request->life_s > 0 && request->life_s <= CERT_PROCESS_LIFE_S);
    char issuer_path[PATH_BYTES], key_path[PATH_BYTES], cert_path[PATH_BYTES];
    struct cert cert = {.kind = CERT_PROCESS,
                        .roles = request->roles,
                        .scope_count = request->scope_count,
                        .capabilities = request->capabilities};
    if (!endpoint_make(request->name, strlen(request->name), 0, &cert.subject))
        return fail(why, -EINVAL, "\"%s\" is no process name: 1 to %u of a-z, 0-9 and '-'",
                    request->name, TOKEN_MAX);
    if (strcmp(request->name, "issuer") == 0)
        return fail(why, -EINVAL, "the name \"issuer\" is taken by the mesh's own key");
    int rc = path_of(dir, "issuer", ".key", issuer_path, why);
    if (rc == 0)
        rc = path_of(dir, request->name, ".key", key_path, why);
    if (rc == 0)
        rc = path_of(dir, request->name, ".cert", cert_path, why);
    if (rc == 0)
        rc = keys_settle(dir, request->name, why);
    struct key_pair issuer = {0}, pair = {0};
    if (rc == 0)
        rc = pair_get(issuer_path, what_issuer_key, &issuer, why);
    bool there = rc == 0 && exists(key_path);
    if (request->public_key) {
        memcpy(pair.public_key, request->public_key, PUBLIC_BYTES);
    } else if (rc == 0 && passphrase_is_needed(dir, request->name)) {
        rc = request->new_key
                 ? fail(why, -EACCES,
                        "%s is encrypted: `mesh keys unprotect %s %s` first, then a new key",
                        key_path, dir, request->name)
                 : passphrase_public(dir, request->name, pair.public_key, why);
    } else if (there && !request->new_key) {
        rc = pair_get(key_path, what_key, &pair, why);
    } else if (rc == 0) {
        key_pair_make(&pair);
        if (there) /* beside the present one until its certificate is written */
            rc = path_of(dir, request->name, KEYS_NEXT ".key", key_path, why);
        if (rc == 0)
            rc = pair_put(dir, key_path, what_key, &pair, there, why);
    }
    if (rc == 0) {
        uint8_t bytes[CERT_BYTES];
        memcpy(cert.scope, request->scope, sizeof(cert.scope));
        memcpy(cert.public_key, pair.public_key, PUBLIC_BYTES);
        cert.issuer_kid = issuer.kid;
        cert.not_before_s = now_s > CERT_BACKDATE_S ? now_s - CERT_BACKDATE_S : 0;
        cert.not_after_s = cert.not_before_s + request->life_s;
        uint64_t last = last_epoch(cert_path);
        cert.epoch = (uint64_t)now_s > last ? (uint64_t)now_s : last + 1;
        cert_seal(&cert, issuer.secret, bytes);
        rc = keyfile_put(dir, cert_path, what_cert, bytes, sizeof(bytes), true, why);
    }
    if (rc == 0 && request->new_key)
        rc = keys_settle(dir, request->name, why);
    sodium_memzero(&issuer, sizeof(issuer));
    sodium_memzero(&pair, sizeof(pair));
    return rc;
}

int keys_own_key(const char *dir, const char *name, struct key_pair *ret, struct keys_error *why)
{
    assert(dir && name && ret && why);
    char path[PATH_BYTES];
    int rc = path_of(dir, name, ".key", path, why);
    if (rc < 0)
        return rc;
    if (exists(path))
        return pair_get(path, what_key, ret, why);
    key_pair_make(ret);
    return pair_put(dir, path, what_key, ret, false, why);
}

int keys_import(const char *dir, const char *name, const uint8_t issuer_public[PUBLIC_BYTES],
                const uint8_t cert[CERT_BYTES], const char password[64], struct keys_error *why)
{
    assert(dir && name && why);
    char path[PATH_BYTES];
    uint8_t secret[SEED_BYTES];
    size_t bytes = 0;
    if (sodium_hex2bin(secret, sizeof(secret), password, 64, NULL, &bytes, NULL) != 0 ||
        bytes != sizeof(secret))
        return fail(why, -EBADMSG, "%s: the password that came is damaged", name);
    int rc = path_of(dir, "issuer", ".pub", path, why);
    if (rc == 0)
        rc = keyfile_put(dir, path, what_issuer_pub, issuer_public, PUBLIC_BYTES, true, why);
    if (rc == 0)
        rc = path_of(dir, name, ".redis", path, why);
    if (rc == 0)
        rc = keyfile_put(dir, path, what_password, secret, sizeof(secret), true, why);
    if (rc == 0)
        rc = path_of(dir, name, ".cert", path, why);
    if (rc == 0)
        rc = keyfile_put(dir, path, what_cert, cert, CERT_BYTES, true, why);
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

int keys_load_issuer(const char *dir, struct key_pair *ret, struct keys_error *why)
{
    assert(dir && ret && why);
    char path[PATH_BYTES];
    int rc = path_of(dir, "issuer", ".key", path, why);
    return rc == 0 ? pair_get(path, what_issuer_key, ret, why) : rc;
}

int keys_rotate(const char *dir, const char *name, int64_t now_s, int64_t life_s,
                struct keys_error *why)
{
    assert(dir && name && why);
    char path[PATH_BYTES];
    uint8_t bytes[CERT_BYTES];
    struct cert cert;
    int rc = path_of(dir, name, ".cert", path, why);
    if (rc == 0)
        rc = keys_load_certificate(path, bytes, why);
    if (rc == 0 && (cert_decode(bytes, &cert) != CERT_OK || cert.kind != CERT_PROCESS))
        rc = fail(why, -EBADMSG, "%s: is damaged", path);
    if (rc < 0)
        return rc;
    struct keys_request request = {.name = name,
                                   .roles = cert.roles,
                                   .scope_count = cert.scope_count,
                                   .capabilities = cert.capabilities,
                                   .life_s =
                                       life_s > 0 ? life_s : cert.not_after_s - cert.not_before_s,
                                   .new_key = true};
    memcpy(request.scope, cert.scope, sizeof(request.scope));
    return keys_issue(dir, &request, now_s, why);
}

static int identity_check(const char *cert_path, const char *name, const struct identity *id,
                          struct keys_error *why)
{
    if (id->cert.kind != CERT_PROCESS || strcmp(id->cert.subject.token, name) != 0)
        return fail(why, -EBADMSG, "%s: is the certificate of \"%s\", not of the process \"%s\"",
                    cert_path, id->cert.subject.token, name);
    if (memcmp(id->cert.public_key, id->key.public_key, PUBLIC_BYTES) != 0)
        return fail(why, -EBADMSG, "%s: does not belong to the key of \"%s\"", cert_path, name);
    if (id->cert.issuer_kid != id->mesh || !cert_signature_holds(id->cert_bytes, id->issuer_public))
        return fail(why, -EBADMSG, "%s: was not signed by this mesh's issuer (issuer.pub)",
                    cert_path);
    return 0;
}

/* Replaced between reading the key and reading the certificate, or not to the end (keys_settle). */
static void key_of_certificate(const char *dir, const char *name, const char *key_path,
                               struct identity *id)
{
    struct keys_error ignored;
    struct key_pair other;
    if (memcmp(id->cert.public_key, id->key.public_key, PUBLIC_BYTES) == 0)
        return;
    if (next_key_fits(dir, name, &id->cert, &other) ||
        pair_get(key_path, what_key, &other, &ignored) == 0)
        id->key = other;
    sodium_memzero(&other, sizeof(other));
}

int identity_load(const char *dir, const char *name, struct identity *ret, struct keys_error *why)
{
    return identity_load_with(dir, name, NULL, ret, why);
}

int identity_load_with(const char *dir, const char *name, const struct key_pair *pair,
                       struct identity *ret, struct keys_error *why)
{
    assert(dir && name);
    assert(ret && why);
    if (!token_valid(name, strlen(name)))
        return fail(why, -EINVAL, "\"%s\" is no process name: 1 to %u of a-z, 0-9 and '-'", name,
                    TOKEN_MAX);
    char pub_path[PATH_BYTES], key_path[PATH_BYTES], cert_path[PATH_BYTES];
    int rc = path_of(dir, "issuer", ".pub", pub_path, why);
    if (rc == 0)
        rc = path_of(dir, name, ".key", key_path, why);
    if (rc == 0)
        rc = path_of(dir, name, ".cert", cert_path, why);
    struct identity id = {0};
    if (rc == 0)
        rc = keys_load_public(pub_path, id.issuer_public, why);
    if (rc == 0 && pair)
        id.key = *pair;
    else if (rc == 0 && passphrase_is_needed(dir, name))
        rc = fail(why, -EACCES, "%s: is encrypted: its passphrase is needed", key_path);
    else if (rc == 0)
        rc = pair_get(key_path, what_key, &id.key, why);
    if (rc == 0)
        rc = keys_load_certificate(cert_path, id.cert_bytes, why);
    if (rc == 0) {
        id.mesh = key_kid(id.issuer_public);
        if (cert_decode(id.cert_bytes, &id.cert) != CERT_OK) {
            rc = fail(why, -EBADMSG, "%s: is damaged", cert_path);
        } else {
            if (!pair)
                key_of_certificate(dir, name, key_path, &id);
            rc = identity_check(cert_path, name, &id, why);
        }
    }
    if (rc == 0) {
        /* Best effort: RLIMIT_MEMLOCK may forbid it, and the key is in a file anyway. */
        (void)sodium_mlock(&ret->key, sizeof(ret->key));
        *ret = id;
    }
    sodium_memzero(&id, sizeof(id));
    return rc;
}

/* "3 days", "2 hours" or "40 s": the largest of which there are two. */
static void span_text(int64_t s, char ret[32])
{
    if (s >= 2 * 86400)
        (void)snprintf(ret, 32, "%lld days", (long long)s / 86400);
    else if (s >= 2 * 3600)
        (void)snprintf(ret, 32, "%lld hours", (long long)s / 3600);
    else
        (void)snprintf(ret, 32, "%lld s", (long long)s);
}

int identity_in_time(const char *dir, const struct identity *identity, int64_t now_s,
                     struct keys_error *why)
{
    assert(dir && identity && why);
    const struct cert *cert = &identity->cert;
    const char *name = cert->subject.token;
    char span[32], date[32];
    bool early = now_s < cert->not_before_s;
    if (!early && now_s < cert->not_after_s)
        return 0;
    time_t now = (time_t)now_s;
    struct tm utc;
    span_text(early ? cert->not_before_s - now_s : now_s - cert->not_after_s, span);
    if (!gmtime_r(&now, &utc) || strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &utc) == 0)
        (void)snprintf(date, sizeof(date), "%lld", (long long)now_s);
    if (early)
        return fail(why, -EKEYREJECTED,
                    "%.200s/%s.cert: not-yet-valid: begins in %s by this machine's clock (%s); is "
                    "the clock right?",
                    dir, name, span, date);
    return fail(
        why, -EKEYEXPIRED,
        "%.200s/%s.cert: expired %s ago by this machine's clock (%s); if that is right: mesh "
        "keys rotate DIR %s, at the issuer",
        dir, name, span, date, name);
}

void identity_done(struct identity *identity)
{
    if (!identity)
        return;
    (void)sodium_munlock(&identity->key, sizeof(identity->key));
    sodium_memzero(identity, sizeof(*identity));
}

int keys_load_certificate(const char *path, uint8_t ret[CERT_BYTES], struct keys_error *why)
{
    assert(path && why);
    assert(ret);
    return keyfile_get(path, what_cert, false, ret, CERT_BYTES, why);
}

int keys_load_public(const char *path, uint8_t ret[PUBLIC_BYTES], struct keys_error *why)
{
    assert(path && why);
    assert(ret);
    return keyfile_get(path, what_issuer_pub, false, ret, PUBLIC_BYTES, why);
}

int keys_make_password(const char *dir, const char *name, struct keys_error *why)
{
    assert(dir && name && why);
    char path[PATH_BYTES];
    uint8_t password[SEED_BYTES];
    int rc = path_of(dir, name, ".redis", path, why);
    if (rc < 0 || exists(path))
        return rc;
    randombytes_buf(password, sizeof(password));
    rc = keyfile_put(dir, path, what_password, password, sizeof(password), false, why);
    sodium_memzero(password, sizeof(password));
    return rc;
}

int keys_load_password(const char *dir, const char *name, char ret[PASSWORD_TEXT_BYTES],
                       struct keys_error *why)
{
    assert(dir && name);
    assert(ret && why);
    char path[PATH_BYTES];
    uint8_t password[SEED_BYTES];
    int rc = path_of(dir, name, ".redis", path, why);
    if (rc == 0)
        rc = keyfile_get(path, what_password, true, password, sizeof(password), why);
    if (rc == 0)
        sodium_bin2hex(ret, PASSWORD_TEXT_BYTES, password, sizeof(password));
    sodium_memzero(password, sizeof(password));
    return rc;
}

int keys_load_mesh(const char *dir, uint64_t *ret, struct keys_error *why)
{
    assert(dir && ret && why);
    char path[PATH_BYTES];
    uint8_t public_key[PUBLIC_BYTES];
    int rc = path_of(dir, "issuer", ".pub", path, why);
    if (rc == 0)
        rc = keys_load_public(path, public_key, why);
    if (rc == 0)
        *ret = key_kid(public_key);
    return rc;
}
