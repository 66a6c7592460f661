/* Adding up what came of an operation, bounded whatever the answers are.
 *
 * Counts are plain fields and merge by addition, so their order never matters. Groups of equal
 * answers are chunks in a list by rising hash: looking one up walks 64 chunks at most, the list
 * looks the same in whatever order groups came, and QUERY_ANSWERS reads it in page order. A group's
 * first 40 answer bytes and 24 runs are inside its own chunk (a usual group is one chunk); longer
 * answers and more runs chain further chunks.
 *
 * What has no room is counted in `other`, never lost: sum(outcomes) == targets == other + groups,
 * asserted after every change. Runs may take half of the bytes only, so that scattered targets of
 * one answer do not push out other answers. */
#include "core/aggregate.h"
#include "core/histogram.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

#define GROUP_ANSWER_BYTES 40u
#define GROUP_RUNS         24u
#define CHAIN_RUNS         31u
#define CHAIN_BYTES        252u
#define RUNS_TOTAL_MAX     (AGGREGATE_BYTES_MAX / 2u / (uint32_t)sizeof(struct run))

/* Histogram counts are one row of numbers over the hist chunks; a lead's, of 64 agents at most, are
 * bytes of one chunk. */
#define HIST_PER_CHUNK (SLAB_CHUNK_BYTES / (uint32_t)sizeof(uint32_t))
#define HIST_ARRIVAL   0u
#define HIST_LEAD      (HIST_ARRIVAL + ARRIVAL_BUCKETS)
#define HIST_RELEASE   (HIST_LEAD + LEAD_BUCKETS)
#define HIST_END       (HIST_RELEASE + ARRIVAL_BUCKETS)

struct group {
    uint64_t hash;
    uint32_t count;
    uint16_t next;
    uint16_t answer_bytes;
    uint16_t answer_chunk; /* the whole answer when it is longer than `answer` */
    uint16_t runs_chunk;   /* runs beyond the first */
    uint8_t run_count, outcome, reason, reserved;
    uint8_t answer[GROUP_ANSWER_BYTES];
    struct run runs[GROUP_RUNS];
};

struct answer_chunk {
    uint8_t bytes[CHAIN_BYTES];
    uint16_t next, reserved;
};

struct runs_chunk {
    struct run runs[CHAIN_RUNS];
    uint16_t next, reserved[3];
};

_Static_assert(sizeof(struct group) == SLAB_CHUNK_BYTES, "a group is one chunk");
_Static_assert(sizeof(struct answer_chunk) == SLAB_CHUNK_BYTES, "one chunk");
_Static_assert(sizeof(struct runs_chunk) == SLAB_CHUNK_BYTES, "one chunk");
_Static_assert(HIST_END <= AGGREGATE_HIST_CHUNKS * HIST_PER_CHUNK, "histograms fit their chunks");
_Static_assert(HIST_END <= SLAB_CHUNK_BYTES && AGENTS_PER_CLUSTER_MAX <= UINT8_MAX, "a lead's");
_Static_assert(GROUP_RUNS + 2u * CHAIN_RUNS >= AGGREGATE_RUNS_MAX, "two chained chunks suffice");
_Static_assert(OUTCOME_COUNT <= 256 && REASON_COUNT <= 256, "one byte each in a group");

#define WIDE_BYTES_MAX                                                                             \
    (AGGREGATE_GROUPS_MAX * (AGGREGATE_GROUP_BYTES + ANSWER_BYTES_MAX) + AGGREGATE_BYTES_MAX)

static uint32_t bytes_max(const struct aggregate *a)
{
    return a->wide ? WIDE_BYTES_MAX : AGGREGATE_BYTES_MAX;
}

static void check_sums(const struct aggregate *a)
{
    uint64_t sum = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        sum += a->outcomes[i];
    }
    assert(sum == a->targets);
    assert(a->outcomes[OUTCOME_PENDING] == 0);
    assert(a->group_count <= AGGREGATE_GROUPS_MAX);
    assert(a->bytes + a->runs * sizeof(struct run) <= bytes_max(a));
}

static uint32_t hist_chunks(const struct aggregate *a)
{
    return a->wide ? 1 : AGGREGATE_HIST_CHUNKS;
}

static bool init(struct aggregate *a, struct slab *slab, bool wide)
{
    assert(a != NULL && slab != NULL);
    assert(!a->open);
    struct aggregate empty = {.open = true, .wide = wide};
    if (!slab_reserve(slab, hist_chunks(&empty))) {
        return false;
    }
    *a = empty;
    return true;
}

bool aggregate_init(struct aggregate *a, struct slab *slab)
{
    return init(a, slab, false);
}

bool aggregate_init_wide(struct aggregate *a, struct slab *slab)
{
    return init(a, slab, true);
}

static void answer_chain_free(struct slab *slab, uint16_t chunk)
{
    while (chunk != SLAB_NONE) {
        const struct answer_chunk *at = slab_at(slab, chunk);
        uint16_t next = at->next;
        slab_free(slab, chunk);
        chunk = next;
    }
}

static void runs_chain_free(struct slab *slab, uint16_t chunk)
{
    while (chunk != SLAB_NONE) {
        const struct runs_chunk *at = slab_at(slab, chunk);
        uint16_t next = at->next;
        slab_free(slab, chunk);
        chunk = next;
    }
}

void aggregate_done(struct aggregate *a, struct slab *slab)
{
    assert(a != NULL && slab != NULL);
    assert(a->open);
    uint32_t unused = 0;
    for (uint32_t i = 0; i < hist_chunks(a); i++) {
        if (a->hist[i] != SLAB_NONE) {
            slab_free(slab, a->hist[i]);
        } else {
            unused++;
        }
    }
    slab_unreserve(slab, unused);
    uint16_t chunk = a->groups;
    while (chunk != SLAB_NONE) {
        const struct group *g = slab_at(slab, chunk);
        uint16_t next = g->next;
        answer_chain_free(slab, g->answer_chunk);
        runs_chain_free(slab, g->runs_chunk);
        slab_free(slab, chunk);
        chunk = next;
    }
    *a = (struct aggregate){0};
}

uint64_t aggregate_hash(enum outcome outcome, enum reason reason, const uint8_t *answer,
                        uint32_t answer_bytes)
{
    assert(answer != NULL || answer_bytes == 0);
    assert(outcome < OUTCOME_COUNT && reason < REASON_COUNT);
    static const uint8_t nothing[1] = {0};
    uint64_t seed = 0x6d657368u << 16 | (uint64_t)outcome << 8 | (uint64_t)reason;
    return num_hash64(answer_bytes > 0 ? answer : nothing, answer_bytes, seed);
}

/* --- histograms --------------------------------------------------------------------------------
 */

static void hist_add(struct aggregate *a, struct slab *slab, uint32_t at, uint32_t n)
{
    assert(at < HIST_END);
    if (n == 0) {
        return;
    }
    uint16_t *chunk = &a->hist[a->wide ? 0 : at / HIST_PER_CHUNK];
    if (*chunk == SLAB_NONE) {
        *chunk = slab_alloc_reserved(slab);
    }
    if (a->wide) {
        uint8_t *few = slab_at(slab, *chunk);
        assert(n <= (uint32_t)UINT8_MAX - few[at]); /* each agent once */
        few[at] = (uint8_t)(few[at] + n);
        return;
    }
    uint32_t *counts = slab_at(slab, *chunk);
    uint32_t *count = &counts[at % HIST_PER_CHUNK];
    *count = *count > UINT32_MAX - n ? UINT32_MAX : *count + n;
}

static void hist_read(const struct aggregate *a, const struct slab *slab, uint32_t from,
                      uint32_t buckets, uint32_t *ret)
{
    const uint8_t *few = a->wide && a->hist[0] != SLAB_NONE ? slab_at(slab, a->hist[0]) : NULL;
    for (uint32_t i = 0; few != NULL && i < buckets; i++) {
        ret[i] = few[from + i];
    }
    for (uint32_t i = 0; few == NULL && i < buckets; i++) {
        uint16_t chunk = a->hist[(from + i) / HIST_PER_CHUNK];
        const uint32_t *counts = chunk != SLAB_NONE ? slab_at(slab, chunk) : NULL;
        ret[i] = counts != NULL ? counts[(from + i) % HIST_PER_CHUNK] : 0;
    }
}

static void hist_merge(struct aggregate *a, struct slab *slab, uint32_t from, uint32_t buckets,
                       const uint32_t *counts)
{
    for (uint32_t i = 0; i < buckets; i++) {
        hist_add(a, slab, from + i, counts[i]);
    }
}

/* --- runs --------------------------------------------------------------------------------------
 */

uint32_t runs_add(struct run *into, uint32_t count, uint32_t max, struct run run, bool *ret_lost)
{
    assert(into != NULL && ret_lost != NULL);
    assert(count <= max && run.first <= run.last);
    /* from .. to: the runs that overlap or touch the new one. */
    uint32_t from = 0;
    while (from < count && (uint64_t)into[from].last + 1u < run.first) {
        from++;
    }
    uint32_t to = from;
    while (to < count && into[to].first <= (uint64_t)run.last + 1u) {
        run.first = into[to].first < run.first ? into[to].first : run.first;
        run.last = into[to].last > run.last ? into[to].last : run.last;
        to++;
    }
    if (to == from && count == max) {
        *ret_lost = true;
        return count;
    }
    memmove(&into[from + 1u], &into[to], (count - to) * sizeof *into);
    into[from] = run;
    return count - (to - from) + 1u;
}

static uint32_t group_runs(const struct slab *slab, const struct group *g, struct run *ret)
{
    uint32_t got = g->run_count < GROUP_RUNS ? g->run_count : GROUP_RUNS;
    memcpy(ret, g->runs, got * sizeof *ret);
    for (uint16_t chunk = g->runs_chunk; got < g->run_count;) {
        const struct runs_chunk *c = slab_at(slab, chunk);
        uint32_t n = g->run_count - got < CHAIN_RUNS ? g->run_count - got : CHAIN_RUNS;
        memcpy(&ret[got], c->runs, n * sizeof *ret);
        got += n;
        chunk = c->next;
    }
    return got;
}

/* Stores as many of the runs as there are chunks for; returns how many. */
static uint32_t group_set_runs(struct slab *slab, struct group *g, const struct run *runs,
                               uint32_t count)
{
    uint32_t done = count < GROUP_RUNS ? count : GROUP_RUNS;
    memcpy(g->runs, runs, done * sizeof *runs);
    uint16_t *link = &g->runs_chunk;
    while (done < count) {
        if (*link == SLAB_NONE) {
            *link = slab_alloc(slab);
        }
        if (*link == SLAB_NONE) {
            break;
        }
        struct runs_chunk *c = slab_at(slab, *link);
        uint32_t n = count - done < CHAIN_RUNS ? count - done : CHAIN_RUNS;
        memcpy(c->runs, &runs[done], n * sizeof *runs);
        done += n;
        link = &c->next;
    }
    runs_chain_free(slab, *link);
    *link = SLAB_NONE;
    return done;
}

static void group_add_runs(struct aggregate *a, struct slab *slab, struct group *g,
                           const struct run *runs, uint32_t run_count)
{
    struct run all[AGGREGATE_RUNS_MAX];
    uint32_t count = group_runs(slab, g, all);
    uint32_t room = (bytes_max(a) - a->bytes) / (uint32_t)sizeof(struct run);
    room = (room < RUNS_TOTAL_MAX ? room : RUNS_TOTAL_MAX) - a->runs;
    uint32_t max = count + room < AGGREGATE_RUNS_MAX ? count + room : AGGREGATE_RUNS_MAX;
    bool lost = false; /* shown by fewer runs than the count */
    for (uint32_t i = 0; i < run_count; i++) {
        count = runs_add(all, count, max, runs[i], &lost);
    }
    count = group_set_runs(slab, g, all, count);
    a->runs = (uint16_t)(a->runs - g->run_count + count);
    g->run_count = (uint8_t)count;
}

/* --- groups ------------------------------------------------------------------------------------
 */

/* Copies a long answer to a chain; false, and nothing taken, when the slab is short. */
static bool answer_store(struct slab *slab, const uint8_t *answer, uint32_t bytes,
                         uint16_t *ret_chunk)
{
    uint16_t first = SLAB_NONE;
    uint16_t *link = &first;
    for (uint32_t done = 0; done < bytes;) {
        uint16_t chunk = slab_alloc(slab);
        *link = chunk;
        if (chunk == SLAB_NONE) {
            answer_chain_free(slab, first);
            return false;
        }
        struct answer_chunk *c = slab_at(slab, chunk);
        uint32_t n = bytes - done < CHAIN_BYTES ? bytes - done : CHAIN_BYTES;
        memcpy(c->bytes, answer + done, n);
        done += n;
        link = &c->next;
    }
    *ret_chunk = first;
    return true;
}

static struct group *group_create(struct aggregate *a, struct slab *slab, uint16_t *link,
                                  const struct answer_group *from)
{
    uint32_t bytes = AGGREGATE_GROUP_BYTES + from->answer_bytes;
    uint32_t run_bytes = (uint32_t)sizeof(struct run) * (a->runs + (from->run_count > 0 ? 1u : 0u));
    if (a->group_count == AGGREGATE_GROUPS_MAX || a->bytes + bytes + run_bytes > bytes_max(a)) {
        return NULL;
    }
    uint16_t chunk = slab_alloc(slab);
    if (chunk == SLAB_NONE) {
        return NULL;
    }
    struct group *g = slab_at(slab, chunk);
    if (from->answer_bytes <= GROUP_ANSWER_BYTES) {
        if (from->answer_bytes > 0) {
            memcpy(g->answer, from->answer, from->answer_bytes);
        }
    } else if (!answer_store(slab, from->answer, from->answer_bytes, &g->answer_chunk)) {
        slab_free(slab, chunk);
        return NULL;
    }
    g->hash = from->hash;
    g->outcome = (uint8_t)from->outcome;
    g->reason = (uint8_t)from->reason;
    g->answer_bytes = (uint16_t)from->answer_bytes;
    g->next = *link;
    *link = chunk;
    a->group_count++;
    a->bytes += bytes;
    return g;
}

/* Adds a group's targets; what does not fit goes to `other`. Outcome counts are the caller's. */
static void group_add(struct aggregate *a, struct slab *slab, const struct answer_group *from)
{
    uint16_t *link = &a->groups;
    struct group *g = NULL;
    while (*link != SLAB_NONE) {
        struct group *at = slab_at(slab, *link);
        if (at->hash >= from->hash) {
            g = at->hash == from->hash ? at : NULL;
            break;
        }
        link = &at->next;
    }
    /* Two ends of one hash (chance, or malice): never counted as the same. */
    bool collides =
        g != NULL && (g->outcome != (uint8_t)from->outcome || g->reason != (uint8_t)from->reason ||
                      g->answer_bytes != from->answer_bytes);
    if (g == NULL) {
        g = group_create(a, slab, link, from);
    }
    if (g == NULL || collides) {
        a->other += from->count;
        return;
    }
    g->count += from->count;
    group_add_runs(a, slab, g, from->runs, from->run_count);
}

void aggregate_add_target(struct aggregate *a, struct slab *slab, const struct aggregate_target *t)
{
    assert(a != NULL && a->open && slab != NULL && t != NULL);
    assert(t->outcome > OUTCOME_PENDING && t->outcome < OUTCOME_COUNT);
    assert(t->reason < REASON_COUNT);
    assert(t->answer_bytes <= ANSWER_BYTES_MAX && (t->answer != NULL || t->answer_bytes == 0));
    assert(!t->hit || t->eligible);
    assert(!t->hedge_won || t->hedged);
    a->targets++;
    a->outcomes[t->outcome]++;
    a->reasons[t->reason] += t->reason != REASON_NONE;
    a->sent += t->sent;
    a->late += t->late;
    a->resent += t->resent;
    a->hedged += t->hedged;
    a->hedge_wins += t->hedge_won;
    a->unexpected += t->unexpected;
    a->agents_reached += t->reached;
    a->window_eligible += t->eligible;
    a->window_hits += t->hit;
    a->predicted += t->predicted;
    a->predicted_50ms +=
        t->predicted && t->apart_us >= -PREDICTED_WITHIN_US && t->apart_us <= PREDICTED_WITHIN_US;
    if (t->has_arrival) {
        hist_add(a, slab, HIST_ARRIVAL + arrival_bucket(t->arrival_us), 1);
    }
    if (t->has_release) {
        hist_add(a, slab, HIST_RELEASE + arrival_bucket(t->release_us), 1);
    }
    if (t->has_lead) {
        hist_add(a, slab, HIST_LEAD + lead_bucket(t->lead_us), 1);
    }
    struct run run = {t->agent, t->agent};
    struct answer_group group = {
        .outcome = t->outcome,
        .reason = t->reason,
        .hash = aggregate_hash(t->outcome, t->reason, t->answer, t->answer_bytes),
        .count = 1,
        .run_count = 1,
        .runs = &run,
        .answer_bytes = t->answer_bytes,
        .answer = t->answer};
    group_add(a, slab, &group);
    check_sums(a);
}

static uint64_t runs_length(const struct run *runs, uint32_t count)
{
    uint64_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        length += (uint64_t)runs[i].last - runs[i].first + 1u;
    }
    return length;
}

void aggregate_add_many(struct aggregate *a, struct slab *slab, enum outcome outcome,
                        enum reason reason, uint32_t count, const struct run *runs,
                        uint32_t run_count)
{
    assert(a != NULL && a->open && slab != NULL);
    assert(outcome > OUTCOME_PENDING && outcome < OUTCOME_COUNT && reason < REASON_COUNT);
    assert(runs != NULL || run_count == 0);
    assert(count <= UINT32_MAX - a->targets);
    if (count == 0) {
        return;
    }
    a->targets += count;
    a->outcomes[outcome] += count;
    a->reasons[reason] += reason != REASON_NONE ? count : 0;
    bool exact = runs_length(runs, run_count) == count;
    struct answer_group group = {.outcome = outcome,
                                 .reason = reason,
                                 .hash = aggregate_hash(outcome, reason, NULL, 0),
                                 .count = count,
                                 .run_count = exact ? run_count : 0,
                                 .runs = exact ? runs : NULL};
    group_add(a, slab, &group);
    check_sums(a);
}

void aggregate_add_late(struct aggregate *a)
{
    assert(a != NULL && a->open);
    assert(a->late < a->targets);
    a->late++;
}

void aggregate_merge(struct aggregate *a, struct slab *slab, const struct aggregate_view *view)
{
    assert(a != NULL && a->open && slab != NULL && view != NULL);
    assert(view->outcomes[OUTCOME_PENDING] == 0);
    assert(view->targets <= UINT32_MAX - a->targets);
    uint64_t covered = view->other;
    a->targets += view->targets;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        a->outcomes[i] += view->outcomes[i];
    }
    for (int i = 0; i < REASON_COUNT; i++) {
        a->reasons[i] += view->reasons[i];
    }
    a->sent += view->sent;
    a->late += view->late;
    a->resent += view->resent;
    a->hedged += view->hedged;
    a->hedge_wins += view->hedge_wins;
    a->unexpected += view->unexpected;
    a->window_hits += view->window_hits;
    a->window_eligible += view->window_eligible;
    a->predicted += view->predicted;
    a->predicted_50ms += view->predicted_50ms;
    a->sectors_reached += view->sectors_reached;
    a->clusters_reached += view->clusters_reached;
    a->agents_reached += view->agents_reached;
    hist_merge(a, slab, HIST_ARRIVAL, ARRIVAL_BUCKETS, view->arrival);
    hist_merge(a, slab, HIST_RELEASE, ARRIVAL_BUCKETS, view->release);
    hist_merge(a, slab, HIST_LEAD, LEAD_BUCKETS, view->lead_needed);
    a->other += view->other;
    for (uint32_t i = 0; i < view->group_count; i++) {
        covered += view->groups[i].count;
        group_add(a, slab, &view->groups[i]);
    }
    assert(covered == view->targets);
    check_sums(a);
}

/* --- views -------------------------------------------------------------------------------------
 */

static void group_view(const struct slab *slab, const struct group *g, struct run *runs,
                       uint8_t *answer, struct answer_group *ret)
{
    if (g->answer_chunk == SLAB_NONE) {
        memcpy(answer, g->answer, g->answer_bytes);
    } else {
        uint16_t chunk = g->answer_chunk;
        for (uint32_t done = 0; done < g->answer_bytes;) {
            const struct answer_chunk *c = slab_at(slab, chunk);
            uint32_t n =
                g->answer_bytes - done < CHAIN_BYTES ? g->answer_bytes - done : CHAIN_BYTES;
            memcpy(answer + done, c->bytes, n);
            done += n;
            chunk = c->next;
        }
    }
    *ret = (struct answer_group){.outcome = (enum outcome)g->outcome,
                                 .reason = (enum reason)g->reason,
                                 .hash = g->hash,
                                 .count = g->count,
                                 .run_count = group_runs(slab, g, runs),
                                 .runs = runs,
                                 .answer_bytes = g->answer_bytes,
                                 .answer = answer};
}

void aggregate_counts(const struct aggregate *a, uint32_t pending, struct aggregate_view *ret)
{
    assert(a != NULL && a->open && ret != NULL);
    assert(pending <= UINT32_MAX - a->targets);
    *ret = (struct aggregate_view){.targets = a->targets + pending,
                                   .sent = a->sent,
                                   .late = a->late,
                                   .resent = a->resent,
                                   .hedged = a->hedged,
                                   .hedge_wins = a->hedge_wins,
                                   .unexpected = a->unexpected,
                                   .window_hits = a->window_hits,
                                   .window_eligible = a->window_eligible,
                                   .predicted = a->predicted,
                                   .predicted_50ms = a->predicted_50ms,
                                   .sectors_reached = a->sectors_reached,
                                   .clusters_reached = a->clusters_reached,
                                   .agents_reached = a->agents_reached};
    memcpy(ret->outcomes, a->outcomes, sizeof ret->outcomes);
    memcpy(ret->reasons, a->reasons, sizeof ret->reasons);
    ret->outcomes[OUTCOME_PENDING] = pending;
}

/* The groups' chunks by falling count; the list is by rising hash and equals keep that order. */
static uint32_t groups_by_count(const struct aggregate *a, const struct slab *slab,
                                uint16_t ret[AGGREGATE_GROUPS_MAX])
{
    uint32_t counts[AGGREGATE_GROUPS_MAX];
    uint32_t count = 0;
    for (uint16_t chunk = a->groups; chunk != SLAB_NONE;) {
        const struct group *g = slab_at(slab, chunk);
        assert(count < AGGREGATE_GROUPS_MAX);
        uint32_t at = count++;
        for (; at > 0 && counts[at - 1u] < g->count; at--) {
            counts[at] = counts[at - 1u];
            ret[at] = ret[at - 1u];
        }
        counts[at] = g->count;
        ret[at] = chunk;
        chunk = g->next;
    }
    return count;
}

void aggregate_view(const struct aggregate *a, const struct slab *slab,
                    struct aggregate_scratch *scratch, struct aggregate_view *ret)
{
    assert(a != NULL && a->open && slab != NULL);
    assert(scratch != NULL && ret != NULL);
    aggregate_counts(a, 0, ret);
    hist_read(a, slab, HIST_ARRIVAL, ARRIVAL_BUCKETS, ret->arrival);
    hist_read(a, slab, HIST_RELEASE, ARRIVAL_BUCKETS, ret->release);
    hist_read(a, slab, HIST_LEAD, LEAD_BUCKETS, ret->lead_needed);
    ret->other = a->other;
    uint16_t order[AGGREGATE_GROUPS_MAX];
    uint32_t count = groups_by_count(a, slab, order);
    uint32_t taken = 0, runs = 0, bytes = 0, used = 0;
    uint64_t covered = a->other;
    for (uint32_t i = 0; i < count; i++) {
        const struct group *g = slab_at(slab, order[i]);
        uint32_t need =
            AGGREGATE_GROUP_BYTES + g->answer_bytes + g->run_count * (uint32_t)sizeof(struct run);
        covered += g->count;
        if (used + need > AGGREGATE_BYTES_MAX) {
            assert(a->wide);
            ret->other += g->count;
            continue;
        }
        group_view(slab, g, &scratch->runs[runs], &scratch->answers[bytes],
                   &scratch->groups[taken++]);
        runs += g->run_count;
        bytes += g->answer_bytes;
        used += need;
    }
    assert(covered == a->targets && count == a->group_count);
    ret->group_count = taken;
    ret->groups = scratch->groups;
}

bool aggregate_group_after(const struct aggregate *a, const struct slab *slab, bool from_start,
                           uint64_t after, struct aggregate_scratch *scratch,
                           struct answer_group *ret)
{
    assert(a != NULL && a->open && slab != NULL);
    assert(scratch != NULL && ret != NULL);
    for (uint16_t chunk = a->groups; chunk != SLAB_NONE;) {
        const struct group *g = slab_at(slab, chunk);
        if (from_start || g->hash > after) {
            group_view(slab, g, scratch->runs, scratch->answers, ret);
            return true;
        }
        chunk = g->next;
    }
    return false;
}
