/* libFuzzer: what newcomers and the enrollment service say to each other, join files, and security
 * events. Nothing that was not signed by the right keys gets through, whatever comes. The first
 * byte chooses; behind some choices the bytes are laid over an honest message. */
#include "tiers/runner/alarm.h"
#include "tiers/runner/enroll_tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct key_pair token, own, tls, issuer;
static uint8_t honest[ENROLL_PROOF_BYTES];
static uint8_t answer[ENROLL_ANSWER_MAX];
static size_t answer_bytes;
static char path[64];

static void start(void)
{
    static struct enroll_grant grant;
    const uint8_t nonce[ENROLL_NONCE] = {1};
    struct cert wanted = {.kind = CERT_PROCESS, .roles = ROLE_HOST, .scope_count = 1, .epoch = 1};
    if (keys_start() < 0 || !endpoint_make("host-1", 6, 0, &wanted.subject))
        abort();
    key_pair_make(&token);
    key_pair_make(&own);
    key_pair_make(&tls);
    key_pair_make(&issuer);
    wanted.scope[0] = (struct unit_range){unit_numbered(TIER_HOST, 1), unit_numbered(TIER_HOST, 2)};
    memcpy(wanted.public_key, own.public_key, PUBLIC_BYTES);
    wanted.issuer_kid = own.kid;
    wanted.not_after_s = CERT_PROCESS_LIFE_S;
    (void)enroll_proof(&token, &own, &tls, &wanted, nonce, honest);
    if (enroll_proof_check(honest, token.public_key) != ENROLL_OK)
        abort();
    answer_bytes = enroll_answer(token.kid, &grant, own.public_key, issuer.secret, answer);
    (void)snprintf(path, sizeof(path), "/tmp/fuzz-enroll-%ld.join", (long)getpid());
}

/* The honest bytes with the input over them, from a place that it chooses; false: unchanged. */
static bool overlay(uint8_t *ret, const uint8_t *base, size_t length, const uint8_t *data,
                    size_t size)
{
    memcpy(ret, base, length);
    size_t at = size >= 2 ? (size_t)(data[0] | data[1] << 8) % length : 0;
    for (size_t i = 2; i < size && at < length; i++, at++)
        ret[at] ^= data[i];
    return memcmp(ret, base, length) != 0;
}

static void join_file(const uint8_t *data, size_t size)
{
    static struct join_file file;
    struct keys_error why;
    FILE *out = fopen(path, "w");
    if (!out || fchmod(fileno(out), 0600) < 0)
        abort();
    (void)fwrite(data, 1, size, out);
    (void)fclose(out);
    (void)join_file_read(path, &file, &why);
    (void)unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t copy[ENROLL_ANSWER_MAX];
    static struct enroll_grant grant;
    struct enroll_request request;
    struct alarm_row rows[ALARM_ROWS_MAX];
    uint8_t nonce[ENROLL_NONCE];
    enum enroll_verdict v = ENROLL_OK;
    if (token.kid == 0)
        start();
    if (size == 0)
        return 0;
    const uint8_t *rest = data + 1;
    size_t left = size - 1;
    if (data[0] % 5 == 0) {
        (void)enroll_decode(rest, left, &request);
        (void)enroll_nonce_decode(rest, left, token.kid, nonce);
        if (enroll_answer_open(rest, left, token.kid, &own, issuer.public_key, &v, &grant) &&
            v == ENROLL_OK)
            abort();
    } else if (data[0] % 5 == 1) {
        if (overlay(copy, honest, sizeof(honest), rest, left) &&
            enroll_proof_check(copy, token.public_key) == ENROLL_OK)
            abort();
    } else if (data[0] % 5 == 2) {
        if (overlay(copy, answer, answer_bytes, rest, left) &&
            enroll_answer_open(copy, answer_bytes, token.kid, &own, issuer.public_key, &v,
                               &grant) &&
            v == ENROLL_OK)
            abort();
    } else if (data[0] % 5 == 3) {
        (void)alarm_decode(rest, left, rows);
    } else {
        join_file(rest, left);
    }
    return 0;
}
