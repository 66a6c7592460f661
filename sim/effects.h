/* When effects that were marked for T really happened, by a clock that no agent has: the machine's
 * own, against which the simulated hosts' clocks are set wrong. What agents claim in their
 * acknowledgements is not asked. */
#ifndef SIM_EFFECTS_H
#define SIM_EFFECTS_H

#include "core/operation.h"
#include <stdint.h>

/* Operations told apart; of an older one the releases are counted as unknown. */
#define EFFECTS_KNOWN   64u
#define EFFECTS_BUCKETS 28u /* of the error against T; the last has no end */

struct effects {
    struct {
        uint64_t id_low;
        int64_t target_us, window_us;
    } known[EFFECTS_KNOWN];
    uint32_t next;
    uint64_t within, early, late; /* against T +- half a window */
    uint64_t unknown;
    uint64_t buckets[EFFECTS_BUCKETS];
};

/* An agent has such an operation in hand. Those without a T are not remembered. */
void effects_expect(struct effects *e, const struct operation *operation);
/* An effect was released. now_us: Unix time of the machine. */
void effects_released(struct effects *e, uint64_t id_low, int64_t now_us);
/* Errors below this many microseconds, and above that of the bucket before, are in bucket i. */
int64_t effects_bucket_us(uint32_t i);

#endif
