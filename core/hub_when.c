/* When could a selection be READY (hub_when.h). */
#include "core/hub_when.h"
#include "core/histogram.h"
#include "core/hub.h"
#include "core/num.h"
#include <assert.h>

#define ANSWER_US (1ll * US_PER_S) /* for the leads */

bool hub_in_scope(const struct hub *h, const struct selector *sel)
{
    assert(h != NULL && sel != NULL);
    if (h->self.tier == TIER_ORCHESTRATOR) {
        return true;
    }
    for (uint32_t i = 0; i < sel->places.count; i++) {
        const struct range *r = &sel->places.patterns[i].sector;
        if (r->first != h->self.sector || r->last != h->self.sector) {
            return false;
        }
    }
    return sel->places.count > 0;
}

/* Whether it chooses whole children, and by class alone. */
static bool by_class_alone(const struct hub *h, const struct operation *op)
{
    const struct selector *sel = &op->selector;
    for (uint32_t i = 0; i < sel->places.count; i++) {
        const struct pattern *p = &sel->places.patterns[i];
        const struct range *below = h->self.tier == TIER_ORCHESTRATOR ? &p->cluster : &p->agent;
        if (below->first != 0) {
            return false;
        }
    }
    return sel->state_mask == 0 && sel->capabilities == 0 && sel->score_max == 0 &&
           sel->part_last == 0 && sel->where[0] == '\0' && op->payload_weight == 0.0;
}

static void tell(struct hub *h, const struct when_ask *ask, const uint32_t leads[LEAD_BUCKETS])
{
    int64_t margin = hub_hop_margin_us(h);
    uint64_t targets = histogram_total(leads, LEAD_BUCKETS);
    struct reply r = {.ref = ask->ref, .kind = REPLY_WHEN, .final = true};
    r.when.targets = targets > UINT32_MAX ? UINT32_MAX : (uint32_t)targets;
    r.when.lead_us_p50 = margin + lead_quantile(leads, 0.50);
    r.when.lead_us_p95 = margin + lead_quantile(leads, 0.95);
    r.when.lead_us_p99 = margin + lead_quantile(leads, 0.99);
    r.when.wanted = ask->wanted;
    r.when.lead_us_wanted = margin + lead_quantile(leads, ask->wanted);
    r.when.confidence = h->tuning.predictor_tau;
    r.when.ready_expected =
        h->tuning.predictor_tau * lead_share(leads, r.when.lead_us_wanted - margin);
    hub_reply(h, ask->console, &r);
}

void hub_when(struct hub *h, const struct msg *msg)
{
    const struct operation *op = &msg->u.command->operation;
    struct selector sel = op->selector;
    if (!hub_in_scope(h, &sel)) {
        hub_reply_error(h, msg, REASON_NOT_MINE,
                        "a sector serves only places that lie wholly within it");
        return;
    }
    if (sel.class_mask == 0) {
        sel.class_mask = CLASS_MASK_ALL & ~(1u << CLASS_F_HUMAN);
    }
    struct when_ask ask = {.console = msg->from, .ref = msg->u.command->ref, .wanted = 0.95};
    if (op->minimum_response_rate > 0.0 && op->minimum_response_rate <= 1.0) {
        ask.wanted = op->minimum_response_rate;
    }
    if (by_class_alone(h, op)) {
        uint32_t leads[LEAD_BUCKETS];
        (void)hub_leads(h, &sel, leads);
        tell(h, &ask, leads);
        return;
    }
    const struct prepare p = {.correlation_id = num_id128_from(hub_mesh_now(h), &h->rng),
                              .level = TIER_CLUSTER,
                              .deadline_mesh_us = hub_mesh_now(h) + ANSWER_US,
                              .selector = sel,
                              .payload_weight = op->payload_weight};
    if (!hub_prepare(h, &p, HUB_NO_ORIGIN, &ask)) {
        hub_reply_error(h, msg, REASON_OVERLOAD, "pool \"announcements\": no room: try again");
    }
}

void hub_when_prepared(struct hub *h, const struct hub_prepare *p)
{
    assert(h != NULL && p != NULL);
    assert(p->when.console.tier != TIER_NONE);
    tell(h, &p->when, p->merged.lead_counts);
}
