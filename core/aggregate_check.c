/* What a view from outside must fulfil before it is merged. A view is signed by its speaker but may
 * still be wrong: by a fault, another version, or malice. Everything that aggregate_merge() asserts
 * and that bounds depend on is checked here first; a refused view is an invalid answer of that
 * child (breaker.h), never a crash. Cost: the view's own size, which the codec has bounded. */
#include "core/aggregate.h"
#include "core/histogram.h"
#include <assert.h>

struct bounds {
    uint32_t first, end; /* linear indexes of the scope */
    uint32_t sectors, clusters;
};

static bool scope_bounds(const struct topology *t, struct unit scope, struct bounds *ret)
{
    uint32_t cluster = (uint32_t)t->agents_per_cluster + t->spare;
    uint32_t places = topology_places(t);
    uint32_t sector = cluster * t->clusters_per_sector;
    uint32_t end;
    if (scope.tier == TIER_ORCHESTRATOR) {
        *ret = (struct bounds){0, places, t->sectors, 0};
        end = places;
    } else if (scope.tier == TIER_SECTOR && scope.sector >= 1 && scope.sector <= t->sectors) {
        *ret = (struct bounds){.first = (scope.sector - 1u) * sector, .sectors = 1};
        end = ret->first + sector;
    } else if (scope.tier == TIER_CLUSTER && scope.sector >= 1 && scope.sector <= t->sectors &&
               scope.cluster >= 1 && scope.cluster <= t->clusters_per_sector) {
        *ret = (struct bounds){
            .first = (scope.sector - 1u) * sector + (scope.cluster - 1u) * cluster, .sectors = 1};
        end = ret->first + cluster;
    } else {
        return false;
    }
    ret->end = end < places ? end : places;
    if (ret->first > ret->end) {
        ret->first = ret->end;
    }
    ret->clusters = (ret->end - ret->first + cluster - 1u) / cluster;
    return true;
}

static uint64_t sum(const uint32_t *counts, uint32_t n)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        total += counts[i];
    }
    return total;
}

static const char *check_counts(const struct aggregate_view *v, const struct bounds *b)
{
    if (v->targets > b->end - b->first) {
        return "more targets than agents in the unit";
    }
    if (sum(v->outcomes, OUTCOME_COUNT) != v->targets) {
        return "outcomes do not add up to the targets";
    }
    if (sum(v->reasons, REASON_COUNT) > v->targets || v->reasons[REASON_NONE] != 0) {
        return "reasons exceed the targets";
    }
    if (v->sent > v->targets || v->late > v->targets || v->resent > v->targets ||
        v->unexpected > v->targets || v->agents_reached > v->targets) {
        return "a count exceeds the targets";
    }
    if (v->hedge_wins > v->hedged || v->hedged > v->targets) {
        return "hedges that counted exceed all hedges";
    }
    if (v->window_hits > v->window_eligible || v->window_eligible > v->targets) {
        return "window hits exceed those eligible";
    }
    if (v->predicted_50ms > v->predicted || v->predicted > v->targets) {
        return "right predictions exceed all predictions";
    }
    if (v->sectors_reached > b->sectors || v->clusters_reached > b->clusters) {
        return "more units reached than there are";
    }
    if (sum(v->arrival, ARRIVAL_BUCKETS) > v->targets ||
        sum(v->release, ARRIVAL_BUCKETS) > v->targets ||
        sum(v->lead_needed, LEAD_BUCKETS) > v->targets) {
        return "a histogram exceeds the targets";
    }
    return NULL;
}

static const char *check_runs(const struct answer_group *g, const struct bounds *b)
{
    uint64_t length = 0;
    for (uint32_t i = 0; i < g->run_count; i++) {
        struct run r = g->runs[i];
        if (r.first > r.last || r.first < b->first || r.last >= b->end) {
            return "a run outside the unit";
        }
        if (i > 0 && r.first <= g->runs[i - 1u].last) {
            return "runs are not sorted and disjoint";
        }
        length += (uint64_t)r.last - r.first + 1u;
    }
    return length > g->count ? "runs show more agents than the group counts" : NULL;
}

static const char *check_group(const struct answer_group *g, const struct bounds *b)
{
    if (g->outcome <= OUTCOME_PENDING || g->outcome >= OUTCOME_COUNT || g->reason >= REASON_COUNT) {
        return "a group without a final outcome";
    }
    if (g->count == 0) {
        return "an empty group";
    }
    if (g->answer_bytes > ANSWER_BYTES_MAX || (g->answer == NULL && g->answer_bytes > 0)) {
        return "an answer beyond its limit";
    }
    if (g->run_count > AGGREGATE_RUNS_MAX || (g->runs == NULL && g->run_count > 0)) {
        return "too many runs";
    }
    if (g->hash != aggregate_hash(g->outcome, g->reason, g->answer, g->answer_bytes)) {
        return "a group that is not named by its hash";
    }
    return check_runs(g, b);
}

/* Groups must stay within the counts, be different, fit, and with `other` cover all targets. */
static const char *check_groups(const struct aggregate_view *v, const struct bounds *b)
{
    uint64_t outcomes[OUTCOME_COUNT] = {0};
    uint64_t reasons[REASON_COUNT] = {0};
    uint64_t covered = v->other, bytes = 0;
    if (v->group_count > AGGREGATE_GROUPS_MAX || (v->groups == NULL && v->group_count > 0)) {
        return "too many groups";
    }
    for (uint32_t i = 0; i < v->group_count; i++) {
        const struct answer_group *g = &v->groups[i];
        const char *why = check_group(g, b);
        if (why != NULL) {
            return why;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (v->groups[j].hash == g->hash) {
                return "the same group twice";
            }
        }
        outcomes[g->outcome] += g->count;
        reasons[g->reason] += g->count;
        covered += g->count;
        bytes += AGGREGATE_GROUP_BYTES + g->answer_bytes + g->run_count * sizeof(struct run);
    }
    if (bytes > AGGREGATE_BYTES_MAX) {
        return "groups exceed their bytes";
    }
    if (covered != v->targets) {
        return "groups and other do not cover the targets";
    }
    for (uint32_t i = 0; i < OUTCOME_COUNT; i++) {
        if (outcomes[i] > v->outcomes[i]) {
            return "groups exceed their outcome";
        }
    }
    for (uint32_t i = 1; i < REASON_COUNT; i++) {
        if (reasons[i] > v->reasons[i]) {
            return "groups exceed their reason";
        }
    }
    return NULL;
}

const char *aggregate_view_check(const struct aggregate_view *view, const struct topology *t,
                                 struct unit scope, bool final)
{
    assert(view != NULL && t != NULL);
    assert(t->agents_per_cluster >= 1 && t->clusters_per_sector >= 1);
    struct bounds b;
    if (!scope_bounds(t, scope, &b)) {
        return "a unit that is not in the topology";
    }
    const char *why = check_counts(view, &b);
    if (why != NULL) {
        return why;
    }
    if (!final) {
        return view->group_count != 0 || view->other != 0 ? "groups before the end" : NULL;
    }
    if (view->outcomes[OUTCOME_PENDING] != 0) {
        return "pending targets at the end";
    }
    return check_groups(view, &b);
}
