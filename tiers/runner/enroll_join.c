/* HELLO and PROOF are sent again each second: the bus may lose either. A new nonce is asked for
 * each time, for each is good once. */
#include "tiers/runner/enroll_join.h"

#include "core/limits.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/enroll_link.h"
#include "tiers/runner/tls.h"
#include "tiers/runner/trustfiles.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define AGAIN_MS   1000
#define FILES      3u

struct joiner {
    const char *dir, *name;
    const struct key_pair *token; /* or the present key of the process */
    struct key_pair own, tls;
    struct cert wanted;
    const uint8_t *issuer_public;
    struct enroll_link *link;
    struct enroll_grant grant;
};

static int fail(struct keys_error *why, int code, const char *path, const char *what)
{
    (void)snprintf(why->text, sizeof(why->text), "%.300s: %s", path, what);
    return code;
}

static void ask(struct joiner *j, const uint8_t *nonce)
{
    uint8_t bytes[ENROLL_PROOF_BYTES];
    size_t length = nonce ? enroll_proof(j->token, &j->own, &j->tls, &j->wanted, nonce, bytes)
                          : enroll_hello(j->token->kid, bytes);
    (void)enroll_link_send(j->link, ENROLL_SUBJECT_IN, bytes, length);
}

/* Until the service has said yes or no. */
static int talk(struct joiner *j, int64_t wait_s, struct keys_error *why)
{
    static uint8_t bytes[ENROLL_ANSWER_MAX];
    uint8_t nonce[ENROLL_NONCE];
    int64_t end_ms = clock_boot_us() / 1000 + wait_s * 1000, again_ms = 0;
    for (;;) {
        int64_t now_ms = clock_boot_us() / 1000;
        if (now_ms >= end_ms)
            return fail(why, -ETIMEDOUT, j->name,
                        "no answer: does the enrollment service run (deploy/enroll)?");
        if (now_ms >= again_ms) {
            ask(j, NULL);
            again_ms = now_ms + AGAIN_MS;
        }
        enum enroll_verdict v;
        long n = enroll_link_next(j->link, 100, bytes, sizeof(bytes));
        if (n < 0)
            return fail(why, -EPIPE, j->name, "the link to NATS is gone");
        if (n == 0)
            continue;
        if (enroll_nonce_decode(bytes, (size_t)n, j->token->kid, nonce)) {
            ask(j, nonce);
            again_ms = now_ms + 10 * AGAIN_MS; /* issuing takes a while when many join */
        } else if (enroll_answer_open(bytes, (size_t)n, j->token->kid, &j->own, j->issuer_public,
                                      &v, &j->grant)) {
            if (v == ENROLL_OK)
                return 0;
            if (v == ENROLL_RATE) {
                again_ms = now_ms + AGAIN_MS;
                continue;
            }
            (void)snprintf(why->text, sizeof(why->text), "%s: refused, check %s: %s", j->name,
                           enroll_verdict_name(v), enroll_verdict_means(v));
            return -EACCES;
        }
    }
}

/* What came is checked again here: a service that errs must not make a process that cannot start.
 */
static int take(struct joiner *j, const char *ca, struct keys_error *why)
{
    struct cert cert;
    if (cert_decode(j->grant.cert, &cert) != CERT_OK ||
        !cert_signature_holds(j->grant.cert, j->issuer_public) ||
        memcmp(cert.public_key, j->own.public_key, PUBLIC_BYTES) != 0 ||
        strcmp(cert.subject.token, j->name) != 0)
        return fail(why, -EBADMSG, j->name, "the certificate that came is for something else");
    int rc =
        tls_import(j->dir, j->name, &j->tls, j->grant.pem, j->grant.pem_bytes, ca, strlen(ca), why);
    if (rc == 0)
        rc = trust_import(j->dir, j->grant.roots, j->grant.bundle, j->grant.bundle_bytes, why);
    if (rc == 0)
        rc = keys_import(j->dir, j->name, j->issuer_public, j->grant.cert, j->grant.password, why);
    return rc;
}

static void date(struct cert *wanted, const uint8_t public_key[PUBLIC_BYTES])
{
    int64_t now_s = clock_unix_us() / US_PER_S;
    memcpy(wanted->public_key, public_key, PUBLIC_BYTES);
    wanted->kind = CERT_PROCESS;
    wanted->issuer_kid = key_kid(public_key);
    wanted->not_before_s = now_s;
    wanted->not_after_s = now_s + CERT_PROCESS_LIFE_S;
    wanted->epoch = (uint64_t)now_s;
}

static int run(struct joiner *j, const char *url, const char *ca, const char *cert, const char *key,
               int64_t wait_s, struct keys_error *why)
{
    char subject[64];
    key_pair_make(&j->tls);
    date(&j->wanted, j->own.public_key);
    (void)snprintf(subject, sizeof(subject), ENROLL_SUBJECT_OUT ".%016" PRIx64, j->token->kid);
    int rc = enroll_link_open(url, ca, cert, key, subject, &j->link, why);
    if (rc == 0)
        rc = talk(j, wait_s, why);
    enroll_link_close(j->link);
    return rc;
}

static int text_put(const char *dir, const char *name, const char *text, struct keys_error *why)
{
    char path[PATH_BYTES], temporary[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%.3900s/%s", dir, name);
    (void)snprintf(temporary, sizeof(temporary), "%.3900s/%s.%ld.tmp", dir, name, (long)getpid());
    FILE *out = fopen(temporary, "wxe");
    bool ok = out && fputs(text, out) >= 0 && fflush(out) == 0 && fsync(fileno(out)) == 0;
    if (out && fclose(out) != 0)
        ok = false;
    return ok && rename(temporary, path) == 0 ? 0 : fail(why, -EIO, path, "cannot be written");
}

int enroll_join(const char *join_file, const char *dir, const struct join_wish *wish,
                char ret_name[TOKEN_MAX + 1], struct keys_error *why)
{
    assert(join_file && dir && wish && ret_name && why);
    struct join_file *file = calloc(1, sizeof(*file));
    struct joiner *j = calloc(1, sizeof(*j));
    char path[PATH_BYTES];
    int rc = file && j ? join_file_read(join_file, file, why) : -ENOMEM;
    if (rc == 0) {
        j->dir = dir;
        j->name = file->record.subject.token;
        j->token = &file->token;
        j->issuer_public = file->issuer_public;
        j->wanted = file->record;
        if (wish->capabilities)
            j->wanted.capabilities = *wish->capabilities;
        memcpy(ret_name, j->name, TOKEN_MAX + 1);
        (void)snprintf(path, sizeof(path), "%.3900s/%s.cert", dir, j->name);
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
            rc = fail(why, -errno, dir, strerror(errno));
        else if (access(path, F_OK) == 0)
            rc = fail(why, -EEXIST, path, "is there already: mesh enroll renew replaces it");
    }
    mode_t mask = umask(077);
    if (rc == 0)
        rc = keys_own_key(dir, j->name, &j->own, why);
    if (rc == 0)
        rc = run(j, file->url, file->ca, file->cert, file->key, wish->wait_s, why);
    /* The newcomers' link stays: the process renews its keys through it. */
    if (rc == 0)
        rc = text_put(dir, ENROLL_NEWCOMER ".tls.crt", file->cert, why);
    if (rc == 0)
        rc = text_put(dir, ENROLL_NEWCOMER ".tls.key", file->key, why);
    if (rc == 0)
        rc = take(j, file->ca, why);
    (void)umask(mask);
    if (j)
        keys_wipe(j, sizeof(*j));
    if (file)
        keys_wipe(file, sizeof(*file));
    free(j);
    free(file);
    return rc;
}

static int links_read(const char *dir, char pem[FILES][ENROLL_PEM_MAX], struct keys_error *why)
{
    static const char *const names[FILES] = {"ca.crt", ENROLL_NEWCOMER ".tls.crt",
                                             ENROLL_NEWCOMER ".tls.key"};
    for (unsigned i = 0; i < FILES; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%.3900s/%s", dir, names[i]);
        FILE *in = fopen(path, "re");
        size_t n = in ? fread(pem[i], 1, ENROLL_PEM_MAX - 1, in) : 0;
        pem[i][n] = '\0';
        if (in)
            (void)fclose(in);
        if (n == 0)
            return fail(why, -EIO, path, "cannot be read (mesh enroll join wrote it)");
    }
    return 0;
}

int enroll_renew(const char *dir, const char *name, const char *url, int64_t wait_s,
                 struct keys_error *why)
{
    assert(dir && name && url && why);
    static struct identity present;
    char pem[FILES][ENROLL_PEM_MAX], next[TOKEN_MAX + 8];
    struct joiner *j = calloc(1, sizeof(*j));
    int rc = j ? keys_settle(dir, name, why) : -ENOMEM;
    if (rc == 0)
        rc = identity_load(dir, name, &present, why);
    if (rc == 0)
        rc = links_read(dir, pem, why);
    (void)snprintf(next, sizeof(next), "%s" KEYS_NEXT, name);
    if (rc == 0)
        rc = keys_own_key(dir, next, &j->own, why); /* the same one when the answer was lost */
    if (rc == 0) {
        j->dir = dir;
        j->name = name;
        j->token = &present.key;
        j->issuer_public = present.issuer_public;
        j->wanted = present.cert;
        rc = run(j, url, pem[0], pem[1], pem[2], wait_s, why);
    }
    if (rc == 0)
        rc = take(j, pem[0], why); /* the certificate last: from then on the next key is the key */
    if (rc == 0)
        rc = keys_settle(dir, name, why);
    identity_done(&present);
    keys_wipe(pem, sizeof(pem));
    if (j)
        keys_wipe(j, sizeof(*j));
    free(j);
    return rc;
}
