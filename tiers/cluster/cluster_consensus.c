/* Local consensus (spec 2.1, 6.1 Byzantine behaviour): k of n identical answers of one cluster's
 * agents, decided here, when an operation that asks for it (operation.quorum) has its last answer.
 *
 * With k or more identical answers that are more than half of all answers, who said something else
 * contradicts the quorum: it is quarantined at once, and the conflict has both values as evidence
 * for the person who decides. Without such a quorum nobody is judged: the contradiction itself is
 * reported. An agent that said CONFLICT has told the truth about its own doubt, and is not judged.
 *
 * Answers beyond the aggregate's room are counted among the n and can only keep a quorum from
 * being. */
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>

static const struct answer_group *best_of(const struct aggregate_view *v, uint32_t *ret_kinds)
{
    const struct answer_group *best = NULL;
    *ret_kinds = 0;
    for (uint32_t k = 0; k < v->group_count; k++) {
        const struct answer_group *g = &v->groups[k];
        if (g->outcome == OUTCOME_READY) {
            ++*ret_kinds;
            best = best == NULL || g->count > best->count ? g : best;
        }
    }
    return best;
}

static uint64_t members_of(const struct cluster *c, const struct answer_group *g)
{
    uint64_t mask = 0;
    for (uint32_t k = 0; k < g->run_count; k++) {
        for (uint32_t i = g->runs[k].first; i <= g->runs[k].last; i++) {
            assert(i >= c->first && i - c->first < c->count);
            mask |= bit_of(i - c->first);
        }
    }
    return mask;
}

static void contradict(struct cluster *c, int64_t now_us, const struct lead_op *op,
                       const struct answer_group *best, const struct answer_group *g,
                       struct outbox *out)
{
    uint64_t mask = members_of(c, g);
    struct conflict_detail detail = {.type = CONFLICT_DATA_CONTRADICTION,
                                     .agents_affected = best->count,
                                     .expected = best->answer,
                                     .expected_bytes = best->answer_bytes,
                                     .received = g->answer,
                                     .received_bytes = g->answer_bytes};
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        struct isolate in = {.agent = cluster_agent(c, i), .what = ISOLATE_QUARANTINE};
        struct conflict_seen seen = {
            .member = i, .operation = op->id, .action = CONFLICT_BYZANTINE, .detail = &detail};
        (void)conflict_add(c, now_us, &seen);
        members_isolate(c, now_us, &in, out);
    }
    incident_begin(c, now_us, FAILURE_BYZANTINE_BEHAVIOR, mask);
}

void consensus_decide(struct cluster *c, int64_t now_us, struct lead_op *op, struct outbox *out)
{
    assert(c != NULL && op != NULL && op->open == 0);
    struct aggregate_scratch scratch;
    struct aggregate_view v;
    uint32_t kinds = 0;
    uint32_t wanted = op->quorum;
    op->quorum = 0; /* once */
    aggregate_view(&op->aggregate, &c->slab, &scratch, &v);
    const struct answer_group *best = best_of(&v, &kinds);
    uint32_t answers = v.outcomes[OUTCOME_READY];
    if (best == NULL || best->count == answers) {
        return; /* nobody, or all the same */
    }
    bool agreed = best->count >= wanted && best->count * 2u > answers;
    for (uint32_t k = 0; k < v.group_count; k++) {
        const struct answer_group *g = &v.groups[k];
        if (g->outcome != OUTCOME_READY || g == best || g->run_count == 0) {
            continue;
        }
        if (agreed) {
            contradict(c, now_us, op, best, g, out);
            continue;
        }
        struct conflict_detail detail = {.type = CONFLICT_DATA_CONTRADICTION,
                                         .agents_affected = answers,
                                         .divergence_depth = kinds,
                                         .expected = best->answer,
                                         .expected_bytes = best->answer_bytes,
                                         .received = g->answer,
                                         .received_bytes = g->answer_bytes};
        struct conflict_seen seen = {.member = bits_lowest(members_of(c, g)),
                                     .operation = op->id,
                                     .action = op->action,
                                     .detail = &detail};
        (void)conflict_add(c, now_us, &seen);
        return; /* one contradiction of one operation is one conflict */
    }
}
