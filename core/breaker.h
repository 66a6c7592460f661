/* A circuit breaker (spec 6.2, design 8) for one cluster, sector or the mesh.
 *
 *   CLOSED    -- more than `threshold` failures within a sliding 60 s --> OPEN for 30 s (+- 10 %)
 *   OPEN      -- time over --> asks for a probe
 *   probe ok  --> HALF_OPEN for 60 s: one operation at a time and every tenth beyond pass
 *   probe bad, or none within probe_us         --> OPEN for 60 s (+- 10 %)
 *   HALF_OPEN -- more than threshold / 10 failures (a tenth of the traffic passes) --> OPEN, 60 s
 *   HALF_OPEN -- 60 s over --> CLOSED
 *
 * What counts is the caller's: crashes, unreachable after a send, invalid answers, execution
 * timeouts of admitted work; never lateness, SKIP, CONFLICT, refusals, caller errors or drains.
 * Times are the node's clock. The window is 12 buckets of 5 s, so a failure counts for 55 to 60 s.
 */
#ifndef CORE_BREAKER_H
#define CORE_BREAKER_H

#include "core/rng.h"
#include "core/types.h"

#define BREAKER_CLUSTER_THRESHOLD 5u
#define BREAKER_SECTOR_THRESHOLD  50u
#define BREAKER_MESH_THRESHOLD    10u /* of sectors tripped now: breaker_level() */
#define BREAKER_BUCKETS           12u
#define BREAKER_BUCKET_US         (5ll * US_PER_S)
#define BREAKER_OPEN_US           (30ll * US_PER_S)
#define BREAKER_LONGER_US         (60ll * US_PER_S)
#define BREAKER_HALF_US           (60ll * US_PER_S)
#define BREAKER_PROBE_US          (5ll * US_PER_S) /* unless the owner says else */

struct breaker {
    uint8_t state; /* enum circuit */
    bool held;     /* OPEN by hand: no probe, until it is closed by hand */
    bool probing;  /* OPEN, its time is over, a probe is out */
    uint16_t threshold;
    uint32_t passing; /* HALF_OPEN: operations let through and not finished */
    uint32_t seen;    /* HALF_OPEN: operations asked for */
    uint32_t trips;   /* since start */
    int64_t probe_us; /* how long a probe may take */
    int64_t until_us; /* end of OPEN, of the probe, of HALF_OPEN; NEVER when closed */
    int64_t bucket;   /* number of the newest bucket */
    uint16_t counts[BREAKER_BUCKETS]; /* saturating */
};

enum breaker_event {
    BREAKER_NOTHING,
    BREAKER_TRIPPED,   /* now OPEN: tell parent and children (MSG_CIRCUIT) */
    BREAKER_PROBE,     /* send a probe, answer with breaker_probed() */
    BREAKER_HALF_OPEN, /* tell */
    BREAKER_CLOSED     /* tell */
};

void breaker_init(struct breaker *b, uint32_t threshold);
/* How long a probe is waited for, above 0; BREAKER_PROBE_US when nothing is said. */
void breaker_probe_wait(struct breaker *b, int64_t probe_us);

/* Whether a new operation may pass. Counts it in HALF_OPEN: ask once for each operation. */
bool breaker_allow(struct breaker *b);
/* An operation that was allowed is over; needed for "one at a time" in HALF_OPEN. */
void breaker_finished(struct breaker *b);

/* n failures now. TRIPPED or NOTHING (failures while OPEN do not matter). */
enum breaker_event breaker_failure(struct breaker *b, int64_t now_us, uint32_t n, struct rng *rng);

/* For a breaker over a level instead of a rate (sectors tripped now). TRIPPED or NOTHING. */
enum breaker_event breaker_level(struct breaker *b, int64_t now_us, uint32_t level,
                                 struct rng *rng);

/* How the probe went. HALF_OPEN, or TRIPPED (isolation is longer), or NOTHING (none was out). */
enum breaker_event breaker_probed(struct breaker *b, int64_t now_us, bool ok, struct rng *rng);

/* Time passes: PROBE, CLOSED, TRIPPED (the probe was not answered), NOTHING. */
enum breaker_event breaker_tick(struct breaker *b, int64_t now_us, struct rng *rng);
int64_t breaker_next_us(const struct breaker *b);

/* By hand. TRIPPED, CLOSED, or NOTHING when it is so already. */
enum breaker_event breaker_force(struct breaker *b, bool open);

uint32_t breaker_failures(const struct breaker *b, int64_t now_us); /* in the window */
static inline enum circuit breaker_state(const struct breaker *b)
{
    return (enum circuit)b->state;
}

#endif
