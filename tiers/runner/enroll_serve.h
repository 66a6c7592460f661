/* The enrollment service: answers newcomers on NATS, next to the issuer's key. Each request ends in
 * a row of the audit log, joined or refused, and what was joined is there before its certificate
 * leaves.
 *
 * Bounds: ENROLL_PER_S requests a second, those beyond are answered `rate`; 1,024 nonces, the
 * oldest goes first; 1,024 joining at once, one more is answered `rate`. */
#ifndef TIERS_RUNNER_ENROLL_SERVE_H
#define TIERS_RUNNER_ENROLL_SERVE_H

#include "tiers/runner/enroll_tokens.h"
#include <stdint.h>

struct enroll_conf {
    const char *keys_dir; /* with issuer.key and ca.key */
    const char *nats_url, *log_url;
    const char
        *after;  /* run by sh after certificates were issued: tells the servers; NULL: nothing */
    bool rotate; /* also gives processes whose keys are here new ones when it is time */
};

/* Until SIGTERM or SIGINT. 0, or 1 with a line on stderr. */
int enroll_serve(const struct enroll_conf *conf);

/* ---- the part without a network, for tests ---- */

struct enroll_desk;
struct enroll_desk *enroll_desk_new(const char *keys_dir); /* NULL: no memory */
void enroll_desk_free(struct enroll_desk *desk);

/* All checks of one PROOF at `now_ms`, in their order, without issuing. OK: it may join; the desk
 * holds its place until enroll_desk_issue or enroll_desk_drop. */
enum enroll_verdict enroll_desk_check(struct enroll_desk *desk, const uint8_t *bytes, size_t length,
                                      int64_t now_ms, struct enroll_request *ret);
/* A nonce for this token. False: too many requests. */
bool enroll_desk_nonce(struct enroll_desk *desk, uint64_t token_id, int64_t now_ms,
                       uint8_t ret[ENROLL_NONCE]);
/* Closes the token, issues, and makes the answer; returns its length. */
size_t enroll_desk_issue(struct enroll_desk *desk, const struct enroll_request *request,
                         int64_t now_s, uint8_t ret[ENROLL_ANSWER_MAX], enum enroll_verdict *ret_v,
                         struct keys_error *why);
/* Why the last check ended as ENROLL_ISSUER. */
const char *enroll_desk_fault(const struct enroll_desk *desk);
void enroll_desk_drop(struct enroll_desk *desk, const struct enroll_request *request);

#endif
