/* Standing by for others: the wards of a process are the names (configuration sections of its own
 * tier) whose units it may serve when their process is gone.
 *
 * They are kept in the order of a ring, the nearest predecessor first. A process watches the first
 * WARDS_WATCHED of them that live, and every silent one before those: it asks each once a second
 * over the bus whether it is there, so the whole tier costs two questions a process and second,
 * however large it is. Any accepted frame of a ward's process counts as an answer.
 *
 * Suspect is not dead. A name is taken over only when two witnesses agree: its process is silent on
 * the bus for `failed_us` in spite of direct questions, and the store lets its lease be acquired,
 * which it does only when nobody has renewed it for LEASE_TTL_US. Neither counts while the bus or
 * the store is away, nor soon after (WARDS_SETTLE_US); a name never heard of is left alone for
 * WARDS_START_US, because processes start one by one. The second in line waits a second longer, and
 * nobody takes two names within WARDS_GAP_US.
 *
 * A ward whose own process is back and has asked for it for WARDS_HOME_US is given back, but not
 * within WARDS_WRITE_US after the store was away: what its units have not written would be lost.
 *
 * Pure: the caller gives times and carries out the actions. */
#ifndef CORE_WARDS_H
#define CORE_WARDS_H

#include "core/lease.h"
#include "core/rng.h"

#define WARDS_MAX       256u
#define WARDS_WATCHED   2u
#define WARDS_PROBE_US  1000000ll
#define WARDS_SETTLE_US 6000000ll /* processes come back to a bus one by one, within 5 s */
#define WARDS_START_US  20000000ll
#define WARDS_GAP_US    500000ll
#define WARDS_HOME_US   30000000ll
#define WARDS_WRITE_US  15000000ll /* leads write within 10 s what they could not write */

struct ward {
    struct lease lease;
    int64_t heard_us; /* the last word of its own process; before any: start */
    int64_t probe_us; /* the last question */
    int64_t home_us;  /* since when its own process waits for it; 0: it does not */
    bool known;       /* heard at all */
    bool held;        /* its units run here */
};

struct wards {
    struct ward *list; /* the caller's, in ring order */
    uint32_t count;
    struct rng rng;
    int64_t failed_us;
    int64_t bus_since_us, store_since_us; /* up since; 0: down */
    int64_t next_take_us;
    uint32_t cursor; /* of this tick; WARDS_MAX: begin anew */
};

enum ward_action {
    WARD_NOTHING, /* the tick is over */
    WARD_PROBE,   /* ask its process whether it is there */
    WARD_STORE,   /* submit the operation */
    WARD_TAKE,    /* run its units, under the lease's epoch */
    WARD_DROP,    /* stop its units */
    WARD_RETURN   /* stop its units, then submit the operation */
};

/* list: count rows, their leases initialised by the caller with lease_init. */
void wards_init(struct wards *w, struct ward *list, uint32_t count, int64_t failed_us,
                uint64_t seed, int64_t now_us);
/* Of a process that was started because all of them have fallen silent (rescue.h): they count as
 * heard until now, so it does not wait for WARDS_START_US. */
void wards_alone(struct wards *w, int64_t now_us);
void wards_heard(struct wards *w, uint32_t i, int64_t now_us);
/* Its process says whether it waits for its own units. */
void wards_waits(struct wards *w, uint32_t i, int64_t now_us, bool waits);
void wards_paused(struct wards *w, int64_t now_us);
/* The process had to be silent on the bus until now, and its wards had no ticks: no lease was
 * renewed, so what is held is in doubt. */
void wards_silenced(struct wards *w, int64_t now_us);

/* The next thing to do; call until WARD_NOTHING. *ret_i: which. op borrows from the ward. */
enum ward_action wards_tick(struct wards *w, int64_t now_us, bool bus_up, bool store_up,
                            uint32_t *ret_i, struct store_op *op);

/* Whether some lease that is held is in doubt, or lost: nothing may be served. */
bool wards_doubt(const struct wards *w);

#endif
