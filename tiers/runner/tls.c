/* libcrypto only makes and writes certificates here; the handshake is libnats' and the server's.
 * Writing is as in keyfiles.c: a temporary file, fsync, then link (never overwrites) or rename; a
 * pair is replaced in three steps, so that a crash in between leaves one that fits. */
#include "tiers/runner/tls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES   4096u
#define CA_LIFE_S    (INT64_C(3652) * 86400)
#define SERIAL_BYTES 16
/* What the mesh's own processes expect, and what another's client expects that dials a NATS. */
#define SERVER_NAMES "DNS:" TLS_SERVER_NAME ",DNS:localhost,IP:127.0.0.1,IP:::1"

static int fail(struct keys_error *why, int code, const char *path, const char *what)
{
    (void)snprintf(why->text, sizeof(why->text), "%.400s: %s%s%s", path, what,
                   code == -EIO ? "" : ": ", code == -EIO ? "" : strerror(-code));
    return code;
}

static int path_of(const char *dir, const char *name, const char *ending, char ret[PATH_BYTES],
                   struct keys_error *why)
{
    int n = snprintf(ret, PATH_BYTES, "%s/%s%s", dir, name, ending);
    return n > 0 && (size_t)n < PATH_BYTES ? 0 : fail(why, -ENAMETOOLONG, dir, "path");
}

void tls_uri(uint64_t mesh, const char *name, char *ret, size_t size)
{
    assert(name && ret);
    (void)snprintf(ret, size, "mesh://%016" PRIx64 "/p/%s", mesh, name);
}

/* Exactly one of key and cert is written. */
static int pem_put(const char *path, EVP_PKEY *key, X509 *cert, bool replace,
                   struct keys_error *why)
{
    char temporary[PATH_BYTES + 32];
    (void)snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out) {
        int code = -errno;
        if (fd >= 0)
            (void)close(fd);
        return fail(why, code, path, "cannot write");
    }
    int written =
        key ? PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) : PEM_write_X509(out, cert);
    int code = 0;
    if (written != 1 || fflush(out) != 0 || fsync(fd) < 0)
        code = errno != 0 ? -errno : -EIO;
    if (fclose(out) != 0 && code == 0)
        code = -errno;
    if (code == 0 && (replace ? rename(temporary, path) : link(temporary, path)) < 0)
        code = -errno;
    if (code < 0 || !replace)
        (void)unlink(temporary);
    return code < 0 ? fail(why, code, path, "cannot write") : 0;
}

static FILE *pem_open(const char *path, bool secret, struct keys_error *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)fail(why, -errno, path, "cannot open");
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    const char *fault = !S_ISREG(st.st_mode) ? "is not a regular file"
                        : secret && (st.st_mode & 077) != 0
                            ? "others may use this secret; run: chmod 600 on it"
                            : NULL;
    if (fault) {
        (void)fail(why, -EIO, path, fault);
        (void)close(fd);
        return NULL;
    }
    return fdopen(fd, "r");
}

static EVP_PKEY *key_get(const char *path, struct keys_error *why)
{
    FILE *in = pem_open(path, true, why);
    if (!in)
        return NULL;
    EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
    (void)fclose(in);
    if (!key)
        (void)fail(why, -EIO, path, "is not a private key in PEM");
    return key;
}

static X509 *cert_get(const char *path, struct keys_error *why)
{
    FILE *in = pem_open(path, false, why);
    if (!in)
        return NULL;
    X509 *cert = PEM_read_X509(in, NULL, NULL, NULL);
    (void)fclose(in);
    if (!cert)
        (void)fail(why, -EIO, path, "is not a certificate in PEM");
    return cert;
}

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = one && X509_add_ext(cert, one, -1) == 1;
    X509_EXTENSION_free(one);
    return ok;
}

/* A certificate of key, without extensions and signature. */
static X509 *cert_begin(EVP_PKEY *key, const char *name, const X509 *issuer, int64_t from_s,
                        int64_t to_s)
{
    uint8_t serial[SERIAL_BYTES];
    X509 *cert = X509_new();
    BIGNUM *number = NULL;
    if (!cert || RAND_bytes(serial, SERIAL_BYTES) != 1)
        goto failed;
    serial[0] &= 0x7fu; /* a serial is positive */
    number = BN_bin2bn(serial, SERIAL_BYTES, NULL);
    X509_NAME *subject = X509_get_subject_name(cert);
    if (!number || !BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) ||
        X509_set_version(cert, X509_VERSION_3) != 1 ||
        X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                                   0) != 1 ||
        X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject) != 1 ||
        !ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) ||
        !ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to_s) || X509_set_pubkey(cert, key) != 1)
        goto failed;
    BN_free(number);
    return cert;
failed:
    BN_free(number);
    X509_free(cert);
    return NULL;
}

static EVP_PKEY *key_make(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

int tls_init(const char *dir, struct keys_error *why)
{
    assert(dir && why);
    char key_path[PATH_BYTES], cert_path[PATH_BYTES];
    int rc = path_of(dir, "ca", ".key", key_path, why);
    if (rc == 0)
        rc = path_of(dir, "ca", ".crt", cert_path, why);
    if (rc < 0)
        return rc;
    bool has_key = access(key_path, F_OK) == 0, has_cert = access(cert_path, F_OK) == 0;
    if (has_cert)
        return 0; /* the key may be where it belongs: offline */
    if (has_key)
        return fail(why, -EEXIST, dir, "has a ca.key without its ca.crt; nothing was written");
    int64_t now_s = (int64_t)time(NULL);
    EVP_PKEY *key = key_make();
    X509 *cert =
        key ? cert_begin(key, "mesh authority", NULL, now_s - CERT_BACKDATE_S, now_s + CA_LIFE_S)
            : NULL;
    if (!cert || !extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !extend(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !extend(cert, cert, NID_subject_key_identifier, "hash") || X509_sign(cert, key, NULL) == 0)
        rc = fail(why, -EIO, cert_path, "cannot make the certificate authority");
    if (rc == 0)
        rc = pem_put(key_path, key, NULL, false, why);
    if (rc == 0)
        rc = pem_put(cert_path, NULL, cert, false, why);
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

static X509 *leaf_make(EVP_PKEY *key, const char *name, uint64_t mesh, int64_t now_s,
                       int64_t life_s, EVP_PKEY *ca_key, X509 *ca)
{
    char uri[96], alternative[128];
    bool server = strcmp(name, TLS_SERVER_FILE) == 0;
    tls_uri(mesh, name, uri, sizeof(uri));
    (void)snprintf(alternative, sizeof(alternative), "%s%s",
                   server ? "" : "URI:", server ? SERVER_NAMES : uri);
    X509 *cert = cert_begin(key, "mesh", ca, now_s - CERT_BACKDATE_S, now_s + life_s);
    if (cert && extend(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(cert, ca, NID_key_usage, "critical,digitalSignature") &&
        extend(cert, ca, NID_ext_key_usage, server ? "serverAuth" : "clientAuth") &&
        extend(cert, ca, NID_subject_alt_name, alternative) &&
        extend(cert, ca, NID_authority_key_identifier, "keyid") && X509_sign(cert, ca_key, NULL))
        return cert;
    X509_free(cert);
    return NULL;
}

/* The authority: its key and certificate, which belong together. */
static int authority_get(const char *dir, EVP_PKEY **ret_key, X509 **ret_cert,
                         struct keys_error *why)
{
    char key_path[PATH_BYTES], cert_path[PATH_BYTES];
    *ret_key = NULL;
    *ret_cert = NULL;
    int rc = path_of(dir, "ca", ".key", key_path, why);
    if (rc == 0)
        rc = path_of(dir, "ca", ".crt", cert_path, why);
    if (rc < 0)
        return rc;
    *ret_key = key_get(key_path, why);
    *ret_cert = *ret_key ? cert_get(cert_path, why) : NULL;
    if (!*ret_cert)
        return -EIO;
    if (X509_check_private_key(*ret_cert, *ret_key) != 1)
        return fail(why, -EIO, cert_path, "does not belong to ca.key");
    return 0;
}

/* Whether the certificate's only other name is this URI. */
static bool names_only(X509 *cert, const char *uri)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const GENERAL_NAME *one =
        sk_GENERAL_NAME_num(names) == 1 ? sk_GENERAL_NAME_value(names, 0) : NULL;
    bool same =
        one && one->type == GEN_URI &&
        ASN1_STRING_length(one->d.uniformResourceIdentifier) == (int)strlen(uri) &&
        memcmp(ASN1_STRING_get0_data(one->d.uniformResourceIdentifier), uri, strlen(uri)) == 0;
    GENERAL_NAMES_free(names);
    return same;
}

static const char *fault_of(X509 *cert, EVP_PKEY *key, X509 *ca, const char *uri, time_t now_s)
{
    return X509_check_private_key(cert, key) != 1 ? "is not for the key beside it"
           : X509_verify(cert, X509_get0_pubkey(ca)) != 1
               ? "was not signed by the authority of this mesh (ca.crt)"
           : !names_only(cert, uri)                               ? "is of another process or mesh"
           : X509_cmp_time(X509_get0_notBefore(cert), &now_s) > 0 ? "is not yet valid"
           : X509_cmp_time(X509_get0_notAfter(cert), &now_s) < 0
               ? "is expired; make the next one with: mesh keys rotate"
               : NULL;
}

int tls_check(const char *dir, const char *name, uint64_t mesh, int64_t now_s,
              struct keys_error *why)
{
    assert(dir && name && why);
    char key_path[PATH_BYTES], cert_path[PATH_BYTES], ca_path[PATH_BYTES], uri[128];
    int rc = path_of(dir, name, ".tls.key", key_path, why);
    if (rc == 0)
        rc = path_of(dir, name, ".tls.crt", cert_path, why);
    if (rc == 0)
        rc = path_of(dir, "ca", ".crt", ca_path, why);
    if (rc < 0)
        return rc;
    EVP_PKEY *key = key_get(key_path, why);
    X509 *cert = key ? cert_get(cert_path, why) : NULL;
    X509 *ca = cert ? cert_get(ca_path, why) : NULL;
    rc = ca ? 0 : -EIO;
    if (rc == 0) {
        tls_uri(mesh, name, uri, sizeof(uri));
        const char *fault = fault_of(cert, key, ca, uri, (time_t)now_s);
        rc = fault ? fail(why, -EIO, cert_path, fault) : 0;
    }
    ERR_clear_error();
    X509_free(ca);
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

bool tls_is_older(const char *dir, const char *name, int64_t now_s, int64_t age_s)
{
    assert(dir && name);
    char path[PATH_BYTES];
    struct keys_error ignored;
    time_t begun_s = (time_t)(now_s - age_s);
    X509 *cert = path_of(dir, name, ".tls.crt", path, &ignored) == 0 && access(path, F_OK) == 0
                     ? cert_get(path, &ignored)
                     : NULL;
    bool older = cert && X509_cmp_time(X509_get0_notBefore(cert), &begun_s) < 0;
    ERR_clear_error();
    X509_free(cert);
    return older;
}

int tls_settle(const char *dir, const char *name, struct keys_error *why)
{
    assert(dir && name && why);
    char from[PATH_BYTES], to[PATH_BYTES], cert_path[PATH_BYTES];
    struct keys_error ignored;
    int rc = path_of(dir, name, KEYS_NEXT ".tls.key", from, why);
    if (rc == 0)
        rc = path_of(dir, name, ".tls.key", to, why);
    if (rc == 0)
        rc = path_of(dir, name, ".tls.crt", cert_path, why);
    if (rc < 0 || access(from, F_OK) != 0)
        return rc;
    EVP_PKEY *key = key_get(from, &ignored);
    X509 *cert = key ? cert_get(cert_path, &ignored) : NULL;
    if (cert && X509_check_private_key(cert, key) == 1 && rename(from, to) < 0 && errno != ENOENT)
        rc = fail(why, -errno, to, strerror(errno));
    ERR_clear_error();
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

/* Three steps, of which the middle one decides, as those of a process's own key (keyfiles.h). */
static int pair_put(const char *dir, const char *name, EVP_PKEY *key, X509 *cert,
                    struct keys_error *why)
{
    char key_path[PATH_BYTES], cert_path[PATH_BYTES];
    int rc = tls_settle(dir, name, why);
    if (rc == 0)
        rc = path_of(dir, name, KEYS_NEXT ".tls.key", key_path, why);
    if (rc == 0)
        rc = path_of(dir, name, ".tls.crt", cert_path, why);
    if (rc == 0)
        rc = pem_put(key_path, key, NULL, true, why);
    if (rc == 0)
        rc = pem_put(cert_path, NULL, cert, true, why);
    return rc == 0 ? tls_settle(dir, name, why) : rc;
}

int tls_issue(const char *dir, const char *name, uint64_t mesh, int64_t now_s, int64_t life_s,
              struct keys_error *why)
{
    assert(dir && name && why);
    assert(life_s > 0 && token_valid(name, strlen(name)));
    EVP_PKEY *ca_key = NULL, *key = NULL;
    X509 *ca = NULL, *cert = NULL;
    int rc = authority_get(dir, &ca_key, &ca, why);
    if (rc == 0) {
        key = key_make();
        cert = key ? leaf_make(key, name, mesh, now_s, life_s, ca_key, ca) : NULL;
        rc = cert ? pair_put(dir, name, key, cert, why)
                  : fail(why, -EIO, name, "cannot make the TLS certificate");
    }
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return rc;
}

int tls_certify(const char *dir, const char *name, uint64_t mesh,
                const uint8_t public_key[PUBLIC_BYTES], int64_t now_s, int64_t life_s, char *ret,
                size_t size, size_t *ret_bytes, struct keys_error *why)
{
    assert(dir && name && ret && ret_bytes && why);
    EVP_PKEY *ca_key = NULL, *key = NULL;
    X509 *ca = NULL, *cert = NULL;
    BIO *text = BIO_new(BIO_s_mem());
    char *at = NULL;
    int rc = text ? authority_get(dir, &ca_key, &ca, why) : -ENOMEM;
    if (rc == 0) {
        key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, PUBLIC_BYTES);
        cert = key ? leaf_make(key, name, mesh, now_s, life_s, ca_key, ca) : NULL;
        long bytes = cert && PEM_write_bio_X509(text, cert) == 1 ? BIO_get_mem_data(text, &at) : 0;
        if (bytes > 0 && (size_t)bytes <= size) {
            memcpy(ret, at, (size_t)bytes);
            *ret_bytes = (size_t)bytes;
        } else {
            rc = fail(why, -EIO, name, "cannot make the TLS certificate");
        }
    }
    (void)BIO_free(text);
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return rc;
}

static X509 *cert_of_text(const char *text, size_t bytes)
{
    BIO *in = BIO_new_mem_buf(text, (int)bytes);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    (void)BIO_free(in);
    return cert;
}

int tls_import(const char *dir, const char *name, const struct key_pair *pair, const char *cert,
               size_t cert_bytes, const char *ca, size_t ca_bytes, struct keys_error *why)
{
    assert(dir && name && pair && cert && ca && why);
    char ca_path[PATH_BYTES];
    int rc = path_of(dir, "ca", ".crt", ca_path, why);
    if (rc < 0)
        return rc;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, pair->secret, 32);
    X509 *leaf = cert_of_text(cert, cert_bytes), *root = cert_of_text(ca, ca_bytes);
    if (!key || !leaf || !root || X509_check_private_key(leaf, key) != 1)
        rc = fail(why, -EBADMSG, name, "what came is no TLS certificate for this key");
    if (rc == 0)
        rc = pair_put(dir, name, key, leaf, why);
    if (rc == 0)
        rc = pem_put(ca_path, NULL, root, true, why);
    X509_free(root);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return rc;
}
