/* The newcomer's side, and that of a process that renews its own keys where it runs. */
#ifndef TIERS_RUNNER_ENROLL_JOIN_H
#define TIERS_RUNNER_ENROLL_JOIN_H

#include "tiers/runner/enroll_tokens.h"

struct join_wish {
    const uint64_t *capabilities; /* fewer than the token gives; NULL: all of them */
    int64_t wait_s;               /* for the service's answer */
};

/* Makes a key, joins, and writes everything that a process of that name needs into dir (made with
 * mode 0700). The private keys never leave it. On failure *why names the check that failed; what is
 * in dir is good for another try. */
int enroll_join(const char *join_file, const char *dir, const struct join_wish *wish,
                char ret_name[TOKEN_MAX + 1], struct keys_error *why);

/* New keys for NAME in dir, by its present ones, through the same service. Refused as above. */
int enroll_renew(const char *dir, const char *name, const char *url, int64_t wait_s,
                 struct keys_error *why);

#endif
