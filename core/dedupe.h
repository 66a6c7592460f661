/* Which message ids were seen: exactly-once within the TTL (design 5). A bounded set with expiry.
 * A live id is never evicted: when the set is full of live ids a new one is refused (overload), so
 * that no flood can make an old message pass twice. */
#ifndef CORE_DEDUPE_H
#define CORE_DEDUPE_H

#include "core/unit.h"
#include <stdbool.h>
#include <stdint.h>

struct dedupe_entry {
    struct id128 id;
    int64_t expires_us; /* 0: empty */
};

struct dedupe {
    struct dedupe_entry *entries; /* caller's, zeroed */
    uint32_t size;                /* a power of two, 8 or more; three quarters can be filled */
    uint32_t count;               /* with those expired and not swept */
    int64_t sweep_us;             /* nothing expires before this (lower bound) */
};

enum dedupe_verdict { DEDUPE_NEW, DEDUPE_SEEN, DEDUPE_FULL };

/* entries: `size` zeroed rows, alive as long as d. */
void dedupe_init(struct dedupe *d, struct dedupe_entry *entries, uint32_t size);

/* Remembers the id until expires_us (> now_us > 0, any one clock). NEW: go on; SEEN: a duplicate;
 * FULL: refuse it, it is not remembered. */
enum dedupe_verdict dedupe_add(struct dedupe *d, const struct id128 *id, int64_t now_us,
                               int64_t expires_us);

bool dedupe_seen(const struct dedupe *d, const struct id128 *id, int64_t now_us);

/* Forgets an id that was added but then not taken (queue full): its resend must pass. */
void dedupe_forget(struct dedupe *d, const struct id128 *id);

#endif
