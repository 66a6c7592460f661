/* Who below (or above) this unit is alive (design 8). One row a child: up to 64 clusters or agents,
 * up to 1,024 sectors. Suspect is not dead; a node that was itself asleep or cut off judges nobody.
 *
 * Time that does not count as silence:
 *  - a pause of this node: a step that comes far later than the wake that it had asked for
 *    (children_step);
 *  - while the bus is down (children_link);
 *  - while it blames itself: more than half of the watched children, CHILDREN_BLAME_MIN at least,
 *    fell silent at once. It then declares nobody until it hears from someone, or for
 *    CHILDREN_BLAME_US with the bus up. From then on the silent ones have at least `suspect_us` to
 *    speak, and are not excused a second time.
 *
 * Times are the node's own clock in microseconds. No allocation: the caller gives the rows. */
#ifndef CORE_CHILDREN_H
#define CORE_CHILDREN_H

#include "core/limits.h"
#include <stdbool.h>
#include <stdint.h>

#define CHILDREN_BLAME_MIN 3u
#define CHILDREN_BLAME_US                                                                          \
    (60 * US_PER_S) /* a broker that stands still is back by then, or dead                         \
                     */

enum child_state {
    CHILD_UNKNOWN, /* never heard; nobody waits for it */
    CHILD_UP,
    CHILD_SUSPECT,
    CHILD_DOWN /* failed, or said goodbye */
};

struct child {
    int64_t heard_us; /* on the live clock: node clock less the time that does not count */
    uint64_t epoch;
    uint8_t state; /* enum child_state */
    bool excused;  /* its silence was blamed on this node once already */
};

struct children {
    struct child *rows; /* caller's, `count` zeroed rows */
    uint32_t count;
    uint32_t up, suspect, down; /* by state; the rest is unknown */
    int64_t suspect_us, failed_us;
    int64_t lost_us;   /* sum of the time that does not count */
    int64_t frozen_us; /* the live clock stands since then; NEVER: it runs */
    int64_t wake_us;   /* what the node last returned as its wake */
    int64_t next_us;   /* no event before this (lower bound) */
    uint32_t cursor;   /* where the scan of this tick goes on */
    bool blamed, link_down, scanning;
};

enum children_verdict {
    CHILDREN_STALE, /* its epoch is lower than the known one: refuse the message, note it */
    CHILDREN_SAME,
    CHILDREN_NEW, /* first heard, or a higher epoch: it starts from nothing */
    CHILDREN_BACK /* same epoch, was declared down */
};

enum child_event_kind { CHILD_EVENT_SUSPECT = 1, CHILD_EVENT_DOWN, CHILD_EVENT_SELF_BLAME };

struct child_event {
    enum child_event_kind kind;
    uint32_t child;      /* row; not with SELF_BLAME */
    int64_t silent_us;   /* time that counts; not with SELF_BLAME */
    uint32_t silent, of; /* SELF_BLAME: so many of so many watched */
};

/* rows: `count` (1 to SECTORS_MAX) zeroed rows that live as long as c. 0 < suspect_us < failed_us.
 */
void children_init(struct children *c, struct child *rows, uint32_t count, int64_t suspect_us,
                   int64_t failed_us);

/* Call first in every step, and children_wake() with what the step returns: a step that comes more
 * than a quarter of suspect_us after the wake that was asked for means that this node was not
 * running. Returns the time lost so, or 0 (NOTE_PAUSED when it is not). */
int64_t children_step(struct children *c, int64_t now_us);
void children_wake(struct children *c, int64_t wake_us);

/* Processes come back to a bus that was away one by one, after a jittered pause of up to 5 s. */
#define CHILDREN_RECONNECT_US (6 * US_PER_S)

/* The bus went down or came back (EV_LINK). After it is back, everyone has CHILDREN_RECONNECT_US
 * and then suspect_us to be heard. */
void children_link(struct children *c, int64_t now_us, bool up);

/* A valid message of this child. epoch 0: no epoch known from this message, keep the known one. */
enum children_verdict children_heard(struct children *c, uint32_t child, int64_t now_us,
                                     uint64_t epoch);

/* It said goodbye: down at once, without suspicion. */
void children_left(struct children *c, uint32_t child);

/* Nothing is known of it any more: another one may come in its place, under any epoch. */
void children_forget(struct children *c, uint32_t child);

/* Nothing is due, and children_next_us() is next_us: a tick would find nothing. */
bool children_quiet(const struct children *c, int64_t now_us);

/* Next event, if any is due. Call until it returns false. */
bool children_tick(struct children *c, int64_t now_us, struct child_event *ret);

/* When children_tick() may have something next; NEVER while frozen or nobody is watched. A tick
 * that was left before it returned false is due at once: a time in the past. */
int64_t children_next_us(const struct children *c);

/* Up or suspect: worth sending to. */
bool children_reachable(const struct children *c, uint32_t child);
enum child_state children_state(const struct children *c, uint32_t child);
uint64_t children_epoch(const struct children *c, uint32_t child);

/* Reachable children first .. first + 63 as a mask. */
uint64_t children_mask(const struct children *c, uint32_t first);

#endif
