/* The summary of a cluster (spec 4.2): counts, sums and the histogram of the lead times that its
 * agents need, which sectors and the orchestrator only add up (design 10). Built when a beat takes
 * it along or the registry wants it; nothing of it is kept. */
#include "core/histogram.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

static void count_state(const struct cluster *c, uint32_t i, struct summary *s)
{
    const struct member *m = &c->members[i];
    switch (members_state(c, i)) {
    case AGENT_DEGRADED:
        s->degraded++;
        s->active++;
        break;
    case AGENT_FROZEN:
        s->frozen++;
        s->frozen_late += m->frozen_late;
        s->active++;
        break;
    case AGENT_ACTIVE:
        s->active++;
        break;
    case AGENT_SUSPECT:
        s->suspect++;
        break;
    case AGENT_OFFLINE:
        s->offline++;
        break;
    case AGENT_QUARANTINED:
        s->quarantined++;
        break;
    case AGENT_UNKNOWN: /* in the roster, but not here: as good as offline */
        s->offline += m->uid != 0;
        break;
    case AGENT_STATE_COUNT:
        break;
    }
}

static void count_active(const struct cluster *c, uint32_t i, struct summary *s)
{
    const struct member *m = &c->members[i];
    s->unstable += m->unstable;
    s->class_active[m->agent_class]++;
    for (uint64_t caps = m->capabilities; caps != 0; caps &= caps - 1u) {
        s->capability_active[bits_lowest(caps)]++;
    }
    s->impedance_sum_us += m->agent_class != CLASS_F_HUMAN ? m->impedance.predicted_us : 0;
    s->score_sum += m->impedance.score;
    lead_add(s->lead_counts[m->agent_class], m->lead_us, 1);
    if (s->slowest.agent == 0 || m->impedance.score > s->slowest_score) {
        s->slowest = cluster_agent(c, i);
        s->slowest_score = m->impedance.score;
    }
    if (s->fastest.agent == 0 || m->impedance.score < s->fastest_score) {
        s->fastest = cluster_agent(c, i);
        s->fastest_score = m->impedance.score;
    }
}

void summary_build(const struct cluster *c, int64_t now_us, struct summary *ret)
{
    assert(c != NULL && ret != NULL);
    *ret = (struct summary){.clusters = 1, .clusters_up = 1};
    for (uint32_t i = 0; i < c->count; i++) {
        if (!move_expects(c, i)) {
            continue;
        }
        ret->agents++;
        count_state(c, i, ret);
        if (members_in_service(c, i)) {
            count_active(c, i, ret);
        }
    }
    assert(ret->active <= ret->agents);
    ret->conflicts_hour = members_conflicts_hour(c, now_us);
    grow_summary(c, ret);
    ret->astray = bits_count(content_astray(c));
    ret->synced = c->contents.synced;
    ret->synced_far = c->contents.synced_far;
    ret->synced_from = c->contents.synced_from;
    ret->synced_far_from = c->contents.synced_far_from;
    ret->circuit = breaker_state(&c->breaker);
    ret->circuits_open = ret->circuit == CIRCUIT_OPEN;
    ret->store_up = c->store_up;
    ret->durable_away = c->durable_up ? 0 : 1;
    ret->operations = c->live_count;
    ret->updated_mesh_us = cluster_mesh(c, now_us);
}
