/* What waits to be sent or handled: four priorities in one bounded pool (design 4).
 *
 * Highest priority first, where waiting for ageing_us raises an entry by one (nothing starves);
 * earliest due (T - lead) first within one; then in order of arrival. Full: the entry that would
 * come last (lowest own priority, then latest due, then newest; the new one included) is dropped
 * and returned, to be answered REFUSED(OVERLOAD). Control messages and heartbeats do not come
 * through here: that is their reserve. TTL is checked when an entry is taken. Searches are linear:
 * 1,024 entries at most. */
#ifndef CORE_SENDQ_H
#define CORE_SENDQ_H

#include "core/types.h"
#include "core/unit.h"

#define SENDQ_ENTRIES_MAX 1024u

struct sendq_entry {
    struct id128 id;
    int64_t due_us;     /* order within a priority */
    int64_t expires_us; /* TTL */
    int64_t queued_us;  /* set by sendq_push */
    uint32_t ref;       /* the caller's */
    uint32_t arrival;   /* set by sendq_push: order of arrival, modulo 2^32 */
    uint8_t priority;   /* 0 to 3 */
};

struct sendq {
    struct sendq_entry *entries; /* caller's, `size` of them */
    uint32_t size, count;
    uint32_t arrivals;
    uint32_t by_priority[PRIORITY_COUNT];
    int64_t ageing_us;
};

enum sendq_verdict {
    SENDQ_OK,
    SENDQ_DROPPED, /* push: room was made (or not): *ret_dropped lost */
    SENDQ_EMPTY,   /* pop */
    SENDQ_EXPIRED  /* pop: *ret was in the queue beyond its TTL; refuse it with EXPIRED */
};

/* entries: `size` (1 to SENDQ_ENTRIES_MAX) rows, alive as long as q; no need to be zeroed. */
void sendq_init(struct sendq *q, struct sendq_entry *entries, uint32_t size, int64_t ageing_us);

/* OK or DROPPED (*ret_dropped may be the new one itself). */
enum sendq_verdict sendq_push(struct sendq *q, const struct sendq_entry *entry, int64_t now_us,
                              struct sendq_entry *ret_dropped);

/* OK, EXPIRED or EMPTY. */
enum sendq_verdict sendq_pop(struct sendq *q, int64_t now_us, struct sendq_entry *ret);

/* Cancelled: the entry with this id, if it is there. */
bool sendq_remove(struct sendq *q, const struct id128 *id, struct sendq_entry *ret);

#endif
