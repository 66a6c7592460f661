#include "tiers/console/rollout.h"

#include "core/num.h"
#include "core/quorum.h"
#include "core/resolve.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_DEFAULT 1u
#define SLAB_CHUNKS  2048u

static const struct value *given(const struct invocation *in, const char *name)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && in->spec->parameters[i].name; i++)
        if (strcmp(in->spec->parameters[i].name, name) == 0)
            return in->values[i].given ? &in->values[i] : NULL;
    return NULL;
}

static uint32_t seed_of(const struct invocation *in)
{
    const struct value *seed = given(in, "seed");
    return seed ? (uint32_t)seed->number : SEED_DEFAULT;
}

/* "50" or "10%" of `all`, rounded up; at least 1. */
static bool amount(const char *flag, const char *text, size_t bytes, uint32_t all, uint32_t *ret,
                   char error[COMMAND_ERROR_MAX])
{
    char word[24];
    char *end = NULL;
    snprintf(word, sizeof word, "%.*s", (int)(bytes < 20 ? bytes : 20), text);
    bool digit = word[0] >= '0' && word[0] <= '9';
    double value = digit ? strtod(word, &end) : 0;
    bool percent = end && end[0] == '%' && end[1] == '\0' && value <= 100;
    bool count = end && end[0] == '\0' && value == (double)(uint32_t)value;
    if (!(value > 0) || value > 4194304 || (!percent && !count)) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "%s: '%.24s' is neither a number of agents from 1 on nor a share up to 100%%, "
                 "as 10%%",
                 flag, word);
        return false;
    }
    double agents = percent ? value * all / 100 : value;
    *ret = (uint32_t)agents + ((double)(uint32_t)agents < agents ? 1u : 0u);
    *ret = *ret > all ? all : *ret;
    return true;
}

/* --- numbers of agents -------------------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The sorted numbers of the agents that match by place, class and part, or that were found and
 * match by part; the caller frees. */
static uint32_t *numbers(const struct selector *sel, const struct topology *t, const uint8_t *found,
                         uint32_t seed, uint32_t *ret_count)
{
    uint32_t *all = malloc((topology_places(t) + 1u) * sizeof *all);
    uint32_t n = 0;
    struct selector part = {
        .part_seed = sel->part_seed, .part_first = sel->part_first, .part_last = sel->part_last};
    for (uint32_t i = 0; all && i < topology_places(t); i++)
        if ((!found || found[i / 8] >> i % 8 & 1) &&
            selector_expected(found ? &part : sel, t, topology_agent(t, i)))
            all[n++] = selector_number(seed, i);
    if (all)
        qsort(all, n, sizeof *all, by_value);
    *ret_count = n;
    return all;
}

bool rollout_limit(const struct invocation *in, const struct topology *t, const uint8_t *found,
                   struct selector *sel, char error[COMMAND_ERROR_MAX])
{
    const struct value *limit = given(in, "limit");
    uint32_t count = 0, wanted = 0;
    if (!limit)
        return true;
    uint32_t *all = numbers(sel, t, found, seed_of(in), &count);
    bool good = all && amount("--limit", limit->text, strlen(limit->text), count, &wanted, error);
    if (good && count > 0 && wanted < count) {
        sel->part_seed = seed_of(in);
        sel->part_last = all[wanted - 1];
    }
    free(all);
    return good;
}

/* --- the plan ----------------------------------------------------------------------------------
 */

bool rollout_wanted(const struct invocation *in)
{
    static const char *const flags[] = {"canary", "waves", "batch"};
    assert(in && in->spec);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (given(in, flags[i]))
            return true;
    return false;
}

/* Where waves end, in agents from the start. */
static bool plan_waves(const struct invocation *in, uint32_t all, uint32_t ends[ROLLOUT_WAVES_MAX],
                       uint32_t *ret_count, char error[COMMAND_ERROR_MAX])
{
    const struct value *canary = given(in, "canary"), *waves = given(in, "waves");
    uint32_t n = 0, end = 0;
    if (canary) {
        if (!amount("--canary", canary->text, strlen(canary->text), all, &ends[n++], error))
            return false;
    }
    for (const char *at = waves ? waves->text : NULL; at;) {
        size_t bytes = strcspn(at, ",");
        if (n == ROLLOUT_WAVES_MAX) {
            snprintf(error, COMMAND_ERROR_MAX, "--waves: more than %u", ROLLOUT_WAVES_MAX);
            return false;
        }
        if (!amount("--waves", at, bytes, all, &end, error))
            return false;
        if (n > 0 && end < ends[n - 1]) {
            snprintf(error, COMMAND_ERROR_MAX,
                     "--waves: '%.*s' is less than the wave before it: each says how many have it "
                     "when it ends",
                     (int)(bytes < 20 ? bytes : 20), at);
            return false;
        }
        if (n == 0 || end > ends[n - 1])
            ends[n++] = end;
        at = at[bytes] ? at + bytes + 1 : NULL;
    }
    if (!waves && (n == 0 || ends[n - 1] < all))
        ends[n++] = all;
    *ret_count = n;
    return true;
}

static bool plan_parts(struct rollout *r, const uint32_t *all, const uint32_t *ends, uint32_t waves,
                       uint32_t size, char error[COMMAND_ERROR_MAX])
{
    uint64_t parts = 0;
    for (uint32_t w = 0, from = 0; w < waves; from = ends[w++])
        parts += (ends[w] - from + size - 1) / size;
    if (parts > ROLLOUT_PARTS_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "--batch: that makes %llu parts; %u at most: write %u",
                 (unsigned long long)parts, ROLLOUT_PARTS_MAX,
                 (ends[waves - 1] / (ROLLOUT_PARTS_MAX / 2) + 1) * ROLLOUT_LANES);
        return false;
    }
    r->parts = calloc(parts ? parts : 1, sizeof *r->parts);
    for (uint32_t w = 0, from = 0; r->parts && w < waves; w++)
        while (from < ends[w]) {
            uint32_t n = ends[w] - from < size ? ends[w] - from : size;
            struct rollout_part *p = &r->parts[r->part_count++];
            p->first = from == 0 ? 0 : p[-1].last + 1u;
            p->last = all[from + n - 1];
            p->agents = n;
            p->wave = w;
            from += n;
        }
    r->waves = waves;
    return r->parts != NULL;
}

/* How many targets may end otherwise than wanted. */
static bool plan_stop(struct rollout *r, const struct invocation *in, uint32_t all,
                      char error[COMMAND_ERROR_MAX])
{
    const struct value *stop = given(in, "stop-on-fail"), *pause = given(in, "pause");
    r->most = 1;
    r->pause_ms = pause ? (uint64_t)pause->number / US_PER_MS : 0;
    return !stop || amount("--stop-on-fail", stop->text, strlen(stop->text), all, &r->most, error);
}

bool rollout_sample(const struct topology *t, const uint8_t *found, uint32_t seed,
                    struct selector *sel)
{
    uint32_t count = 0, wanted = sel->sample;
    assert(t && found && sel);
    uint32_t *all = numbers(sel, t, found, seed, &count);
    if (all && wanted < count) {
        sel->part_seed = seed;
        sel->part_last = all[wanted - 1];
    }
    sel->sample = 0;
    free(all);
    return all != NULL;
}

bool rollout_plan(struct rollout *r, const struct invocation *in, const struct topology *t,
                  const uint8_t *found, const struct command *submit, char error[COMMAND_ERROR_MAX])
{
    const struct selector *sel = &submit->operation.selector;
    const struct value *batch = given(in, "batch");
    uint32_t ends[ROLLOUT_WAVES_MAX + 2], waves = 0, count = 0, size = 0;
    assert(r && !r->active && error);
    assert(sel->sample == 0 && "core/commands_rules.c");
    memset(r, 0, sizeof *r);
    uint32_t *all = numbers(sel, t, found, seed_of(in), &count);
    r->memory = aligned_alloc(16, slab_bytes(SLAB_CHUNKS));
    bool good = all && r->memory;
    if (good && count == 0)
        snprintf(error, COMMAND_ERROR_MAX, "the selection has no agent");
    good = good && count > 0;
    size = count;
    r->lanes_max = 1;
    good = good &&
           (!batch || amount("--batch", batch->text, strlen(batch->text), count, &size, error));
    if (good && batch && size >= ROLLOUT_LANES) {
        size = (size + ROLLOUT_LANES - 1) / ROLLOUT_LANES;
        r->lanes_max = ROLLOUT_LANES;
    }
    good = good && plan_waves(in, count, ends, &waves, error) && plan_stop(r, in, count, error) &&
           plan_parts(r, all, ends, waves, size, error);
    free(all);
    if (!good) {
        rollout_done(r);
        return false;
    }
    memset(r->memory, 0, slab_bytes(SLAB_CHUNKS));
    slab_init(&r->slab, r->memory, SLAB_CHUNKS);
    good = aggregate_init(&r->sum, &r->slab);
    assert(good);
    r->agents = ends[waves - 1];
    for (uint32_t i = 0; i < ROLLOUT_LANES; i++) {
        r->lanes[i].command = *submit;
        r->lanes[i].command.operation.selector.part_seed = seed_of(in);
    }
    r->active = true;
    return true;
}

void rollout_done(struct rollout *r)
{
    assert(r);
    free(r->parts);
    free(r->memory);
    r->parts = NULL;
    r->memory = NULL;
    r->active = false;
}

void rollout_describe(const struct rollout *r, const struct render *render)
{
    char n[32];
    uint32_t wave = 0, agents = 0;
    if (render->json)
        return;
    fprintf(render->out, "  in %u wave%s:", r->waves, r->waves > 1 ? "s" : "");
    for (uint32_t i = 0; i <= r->part_count; i++) {
        if (i == r->part_count || r->parts[i].wave != wave) {
            fprintf(render->out, "%s %s", wave > 0 ? "," : "", render_count(agents, n));
            wave++;
            agents = 0;
        }
        agents += i < r->part_count ? r->parts[i].agents : 0;
    }
    fprintf(render->out, " agents, %u operations; stops at %s not as wanted\n", r->part_count,
            render_count(r->most, n));
}

/* --- the run -----------------------------------------------------------------------------------
 */

static bool any_busy(const struct rollout *r)
{
    bool busy = false;
    for (uint32_t i = 0; i < r->lanes_max; i++)
        busy = busy || r->lanes[i].busy;
    return busy;
}

struct rollout_lane *rollout_next(struct rollout *r, uint64_t now_ms, uint64_t ref)
{
    assert(r && r->active);
    if (r->stopped || r->next == r->part_count || now_ms < r->resume_ms)
        return NULL;
    const struct rollout_part *p = &r->parts[r->next];
    if (p->wave != r->wave && any_busy(r))
        return NULL;
    if (p->wave != r->wave || r->wave_ms == 0) {
        r->wave = p->wave;
        r->wave_ms = now_ms;
        r->wave_sent = r->wave_good = 0;
    }
    for (uint32_t i = 0; i < r->lanes_max; i++) {
        struct rollout_lane *lane = &r->lanes[i];
        if (lane->busy)
            continue;
        lane->busy = true;
        lane->ref = lane->command.ref = ref;
        lane->id = (struct id128){{0}};
        lane->part = r->next++;
        lane->command.operation.selector.part_first = p->first;
        lane->command.operation.selector.part_last = p->last;
        return lane;
    }
    return NULL;
}

/* As the operation expects: READY unless it says otherwise. */
static uint32_t good_of(const struct rollout *r, const struct aggregate_view *a)
{
    int expected = r->lanes[0].command.operation.trinary_expectation;
    uint32_t ready = a->outcomes[OUTCOME_READY], conflict = a->outcomes[OUTCOME_CONFLICT];
    return expected == TRINARY_READY      ? ready
           : expected == TRINARY_CONFLICT ? conflict
                                          : ready + conflict;
}

static void wave_ended(struct rollout *r, const struct render *render, uint64_t now_ms)
{
    char n[32], m[32];
    if (!render->json)
        fprintf(render->out, "wave %u of %u: %s of %s as wanted, in %.1f s%s\n", r->wave + 1,
                r->waves, render_count(r->wave_good, n), render_count(r->wave_sent, m),
                (double)(now_ms - r->wave_ms) / 1000, r->stopped ? ": STOPPED" : "");
    fflush(render->out);
    r->resume_ms = now_ms + r->pause_ms;
}

static void lane_ended(struct rollout *r, struct rollout_lane *lane, const struct report *report)
{
    const struct aggregate_view *a = &report->aggregate;
    uint32_t good = good_of(r, a);
    aggregate_merge(&r->sum, &r->slab, a);
    r->last = *report;
    r->failed += a->targets - good;
    r->wave_sent += a->targets;
    r->wave_good += good;
    r->stopped = r->stopped || r->failed >= r->most;
    lane->busy = false;
}

void rollout_reply(struct rollout *r, const struct render *render, uint64_t now_ms,
                   const struct reply *reply)
{
    assert(r && r->active && reply);
    struct rollout_lane *lane = NULL;
    for (uint32_t i = 0; i < r->lanes_max; i++)
        if (r->lanes[i].busy && r->lanes[i].ref == reply->ref)
            lane = &r->lanes[i];
    if (!lane)
        return;
    if (reply->kind == REPLY_ACCEPTED) {
        lane->id = reply->operation_id;
        return;
    }
    if (reply->kind == REPLY_ERROR || reply->kind == REPLY_HELD) {
        char id[ID128_TEXT_MAX];
        num_id128_format(reply->operation_id, id);
        snprintf(r->why, sizeof r->why, "%s", reply->text ? reply->text : "refused");
        if (reply->kind == REPLY_HELD)
            snprintf(r->why, sizeof r->why, "it waits for the mode ('jobs cancel %s')", id);
        r->reason = reply->reason;
        r->stopped = r->refused = true;
        r->next = lane->part; /* and all after it: not sent */
        lane->busy = false;
    } else if (reply->kind == REPLY_OPERATION) {
        lane_ended(r, lane, reply->report);
    } else {
        return;
    }
    bool last = r->next == r->part_count || r->parts[r->next].wave != r->wave;
    if (!any_busy(r) && (r->stopped || last))
        wave_ended(r, render, now_ms);
}

bool rollout_over(const struct rollout *r)
{
    return !any_busy(r) && (r->stopped || r->next == r->part_count);
}

void rollout_progress(const struct rollout *r, struct aggregate_view *ret)
{
    uint32_t left = r->agents > r->sum.targets ? r->agents - r->sum.targets : 0;
    aggregate_counts(&r->sum, left, ret);
}

void rollout_report(struct rollout *r, struct aggregate_scratch *scratch, struct report *ret)
{
    struct quorum_result q;
    struct gather_status s;
    const struct operation *op = &r->lanes[0].command.operation;
    assert(r && scratch && ret);
    if (r->agents > r->sum.targets)
        aggregate_add_many(&r->sum, &r->slab, OUTCOME_CANCELLED, REASON_NONE,
                           r->agents - r->sum.targets, NULL, 0);
    *ret = r->last;
    aggregate_view(&r->sum, &r->slab, scratch, &ret->aggregate);
    struct quorum_rule rule = quorum_rule_for(op->minimum_response_rate, op->allow_partial);
    quorum_check(&ret->aggregate, &rule, &q);
    quorum_gather_status(&ret->aggregate, op->minimum_response_rate, &s);
    ret->status = r->stopped ? "STOPPED" : s.status;
    ret->response_rate = s.response_rate;
    ret->stragglers = s.stragglers;
    ret->recommendation = s.recommendation;
    ret->decision = q.decision;
    ret->decision_reason = "";
    ret->decision_recommendation = q.recommendation;
    ret->confidence = q.confidence;
    ret->achieved = q.achieved;
}
