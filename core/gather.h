/* One operation's wait for its children, and the table of all operations of a sector or of the
 * orchestrator (design 4; spec 3.2 phase 5). Leads keep their own table.
 *
 * A gather has up to `children_max` (1,024) children, each with the number of targets expected
 * below it. It is done when every child has been answered for: by its own final result, or as dead,
 * or at the deadline. A child's own result decides how many targets there were; for a silent child
 * the expected number counts. Results for a child already answered for are late: counted, else
 * ignored.
 *
 * Slots are handed out lowest-first from zeroed memory; a slot takes about 250 bytes, 8 a child and
 * the caller's user bytes; groups, histograms and progress are in the slab. Done operations are
 * retained for a while (QUERY_ANSWERS, duplicates) and give way, the oldest first, when the room is
 * needed. */
#ifndef CORE_GATHER_H
#define CORE_GATHER_H

#include "core/aggregate.h"
#include "core/unit.h"

#define GATHER_WORDS (SECTORS_MAX / 64u)

struct gather_child {
    uint32_t expected;
    uint16_t progress; /* chunk with its latest non-final counts; 0: none */
    bool known;        /* expected at all */
};

struct gather {
    struct id128 id;
    int64_t deadline_us;            /* the node's clock */
    int64_t until_us;               /* done: retained until then */
    uint64_t waiting[GATHER_WORDS]; /* children not answered for */
    uint32_t waiting_count;
    uint32_t waiting_targets; /* expected below them */
    uint32_t late_results;
    uint32_t slot; /* index in the table, stable while it lives */
    bool done;
    struct aggregate aggregate;
};

/* Fixed memory: gather_table_bytes() zeroed bytes. */
struct gather_table {
    struct slab slab;
    uint32_t operations_max; /* OPERATIONS_MAX at most */
    uint32_t children_max;
    uint32_t user_bytes;
    uint32_t slot_bytes;
    uint32_t index_mask;
    uint32_t live, waiting; /* slots taken; of them not done */
    uint32_t high;          /* slots ever used */
    int64_t retention_us;
    uint16_t *index; /* open addressing: slot + 1, 0 empty */
    int64_t *due_us; /* per slot: deadline, or end of retention */
    uint64_t *taken; /* bitmap of slots */
    uint64_t *done;  /* of them retained only */
    uint8_t *slots;
};

enum gather_verdict {
    GATHER_OK,
    GATHER_FULL_OPERATIONS, /* refuse with REASON_OVERLOAD; gather_verdict_pool() names the pool */
    GATHER_FULL_BYTES,
    GATHER_DUPLICATE, /* this id is in the table already: *ret_gather is that one */
    GATHER_PROGRESS,  /* non-final counts noted */
    GATHER_DONE,      /* this was the last one: send the result up */
    GATHER_LATE,      /* the child had been answered for */
    GATHER_STRANGER,  /* no child of this operation: refuse */
    GATHER_INVALID    /* the view was refused by aggregate_view_check(): count it as a failure */
};

/* "operations", "aggregate-bytes" or "". */
const char *gather_verdict_pool(enum gather_verdict v);

size_t gather_table_bytes(uint32_t operations_max, uint32_t children_max, uint32_t user_bytes,
                          uint32_t chunks);

/* memory: zeroed, 16-byte aligned, alive as long as the table. user_bytes: the caller's own part of
 * a slot, zeroed at open. chunks: 256-byte chunks of the slab. */
void gather_table_init(struct gather_table *t, void *memory, uint32_t operations_max,
                       uint32_t children_max, uint32_t user_bytes, uint32_t chunks,
                       int64_t retention_us);

/* A new operation without children yet; add them with gather_expect(). When slots or bytes are
 * short, done operations are dropped, the oldest first. OK, DUPLICATE or FULL_*. */
enum gather_verdict gather_open(struct gather_table *t, const struct id128 *id, int64_t deadline_us,
                                struct gather **ret_gather);

/* Each child once, before any result. */
void gather_expect(struct gather_table *t, struct gather *g, uint32_t child, uint32_t targets);

/* NULL: not here (never was, or no longer retained). */
struct gather *gather_find(struct gather_table *t, const struct id128 *id);
void *gather_user(const struct gather_table *t, struct gather *g);
bool gather_waits_for(const struct gather *g, uint32_t child);
uint32_t gather_expected(const struct gather_table *t, const struct gather *g, uint32_t child);

/* A child's result, checked against the topology and the unit that it speaks for.
 * OK, PROGRESS, DONE, LATE, STRANGER or INVALID (*ret_why says what; ret_why may be NULL). */
enum gather_verdict gather_result(struct gather_table *t, struct gather *g, uint32_t child,
                                  const struct topology *topology, struct unit scope, bool final,
                                  const struct aggregate_view *view, const char **ret_why);

/* Answers for a child that is known to be dead, behind an open breaker, or silent at the deadline.
 * runs: its targets when they are known (whole cluster or sector selected), else NULL, 0.
 * OK, DONE or LATE. */
enum gather_verdict gather_child_dead(struct gather_table *t, struct gather *g, uint32_t child,
                                      enum outcome outcome, enum reason reason,
                                      const struct run *runs, uint32_t run_count);

/* Answers for all that are still waited for. */
void gather_expire(struct gather_table *t, struct gather *g, enum outcome outcome,
                   enum reason reason);

/* Targets final so far (own and in the children's progress) and pending, without groups. */
void gather_progress(const struct gather_table *t, const struct gather *g,
                     struct aggregate_view *ret);

/* After DONE or expire: keep it for the retention time from now on. A gather without children is
 * closed by this as well. Nothing may be waited for. */
void gather_close(struct gather_table *t, struct gather *g, int64_t now_us);

/* The next operation that is past its deadline and not closed, or NULL; the caller expires and
 * closes it. Those past their retention are dropped in passing. Call until NULL. */
struct gather *gather_due(struct gather_table *t, int64_t now_us);
int64_t gather_next_us(const struct gather_table *t); /* NEVER: nothing */

/* Visits not-closed operations: start with 0, gives the slot after; NULL at the end. For a child
 * found dead. */
struct gather *gather_each(struct gather_table *t, uint32_t *cursor);

/* Forgets it now. */
void gather_drop(struct gather_table *t, struct gather *g);

#endif
