/* Token buckets of senders, by process token, for acceptance: how many frames a second of one
 * process are looked at, and how many bad ones. The token is that of the subject, which the bus
 * proves to be the sender's; so nobody can use up another's.
 *
 * Memory: RATE_SENDERS_MAX senders, 48 bytes each; those beyond share one bucket. */
#ifndef TIERS_RUNNER_RATE_H
#define TIERS_RUNNER_RATE_H

#include "tiers/runner/endpoint.h"
#include "tiers/runner/skew.h"
#include <stdbool.h>
#include <stdint.h>

#define RATE_SENDERS_MAX    4096u
#define RATE_FRAMES_DEFAULT 50000u /* a second; as many at once after a quiet second */
#define RATE_BAD_DEFAULT    200u   /* a second; twice as many at once */

struct rate_sender {
    char token[TOKEN_MAX + 1]; /* empty: free */
    int64_t frames_ns, bad_ns; /* when each bucket is full again (GCRA) */
    struct skew_sight sight;   /* what its frames say of this machine's clock */
};

struct rates {
    int64_t frame_ns, bad_ns; /* between two at the rate; 0: no limit */
    uint32_t count;
    struct rate_sender shared;
    struct rate_sender senders[RATE_SENDERS_MAX];
};

void rates_init(struct rates *rates, uint32_t frames_per_s, uint32_t bad_per_s);

/* Valid until rates_init. */
struct rate_sender *rate_of(struct rates *rates, const struct endpoint *source);

/* Takes one frame. False: too many, or too many bad ones lately. */
bool rate_take(const struct rates *rates, struct rate_sender *sender, int64_t now_ms);
/* The sender's frame was one that no honest process sends. */
void rate_blame(const struct rates *rates, struct rate_sender *sender, int64_t now_ms);

#endif
