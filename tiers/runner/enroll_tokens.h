/* Join tokens in the keys directory of those who issue, and the join files that newcomers get.
 *
 *     enroll/<id>.open      may be used     .used, .revoked    what became of it; a rename is the
 *                                           only change, so of two users one comes first
 *     enroll.tls.*          the service's link to NATS, made with the first token; join.tls.*: that
 * of everybody who has no certificate yet
 *
 * A join file is text: "mesh30k join 1", a line of hex (the token's seed, the issuer's public key,
 * the token's record), the NATS address, then in PEM the authority, and certificate and key of the
 * newcomers' link. Whoever has it can join once, under the one name, until its time is over. */
#ifndef TIERS_RUNNER_ENROLL_TOKENS_H
#define TIERS_RUNNER_ENROLL_TOKENS_H

#include "tiers/runner/enroll.h"
#include "tiers/runner/keyfiles.h"

#define JOIN_LIFE_DEFAULT_S 600
#define JOIN_LIFE_MAX_S     (7 * 86400)
#define JOIN_URL_MAX        256u
#define JOIN_TOKENS_MAX     8192u /* files in enroll/; one more is an error until old ones go */

enum join_state { JOIN_OPEN, JOIN_USED, JOIN_REVOKED, JOIN_STATE_COUNT };
const char *join_state_name(enum join_state s);

struct join_token {
    uint64_t id;
    enum join_state state;
    struct cert record; /* its key is the token's; not_after_s: until when */
};

/* The links of service and newcomers, where there are none. */
int join_links(const char *keys_dir, int64_t now_s, struct keys_error *why);

/* Makes a token of what `request` says and writes its join file (never overwrites). */
int join_token_make(const char *keys_dir, const struct keys_request *request, const char *url,
                    int64_t now_s, int64_t life_s, const char *join_file, uint64_t *ret_id,
                    struct keys_error *why);
/* -ENOENT: there is none of that id. */
int join_token_get(const char *keys_dir, uint64_t id, struct join_token *ret,
                   struct keys_error *why);
/* From open to `state`. -ENOENT: it is not open (any more). */
int join_token_close(const char *keys_dir, uint64_t id, enum join_state state,
                     struct keys_error *why);
/* In the order of their ids; stops when act says false. Removes those that are over for longer than
 * a week. */
int join_token_each(const char *keys_dir, int64_t now_s,
                    bool (*act)(void *ctx, const struct join_token *token), void *ctx,
                    struct keys_error *why);

struct join_file {
    struct key_pair token;
    uint8_t issuer_public[PUBLIC_BYTES];
    struct cert record;
    char url[JOIN_URL_MAX];
    char ca[ENROLL_PEM_MAX], cert[ENROLL_PEM_MAX], key[ENROLL_PEM_MAX]; /* PEM, with NUL */
};
int join_file_read(const char *path, struct join_file *ret, struct keys_error *why);

#endif
