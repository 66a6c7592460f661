/* Announcing a cascade (spec 3.3, wave): the orchestrator asks its sectors, then through them their
 * clusters, whether they are there and what lead times the selected agents need. Answers are added
 * up; who has not answered by the deadline is not counted. A sector answers level SECTOR at once
 * from its replica of the clusters' summaries.
 *
 * Bounds: HUB_PREPARES_MAX at a time; one more is refused by the caller (at a sector: not answered,
 * so it counts as not reached). */
#include "core/histogram.h"
#include "core/hub.h"
#include "core/num.h"
#include "core/resolve.h"
#include "core/schedule.h"
#include <assert.h>
#include <string.h>

#define DONE_EFFECTS 12u
#define DONE_BYTES   28000u

int64_t hub_hop_margin_us(const struct hub *h)
{
    bool root = h->self.tier == TIER_ORCHESTRATOR;
    uint32_t clusters = root ? topology_clusters(h->topology) : h->children_count;
    return schedule_hops_us(root ? 2 : 1, clusters);
}

uint32_t hub_leads(const struct hub *h, const struct selector *sel, uint32_t ret[LEAD_BUCKETS])
{
    assert(h != NULL && sel != NULL && ret != NULL);
    uint32_t mask =
        sel->class_mask != 0 ? sel->class_mask : CLASS_MASK_ALL & ~(1u << CLASS_F_HUMAN);
    memset(ret, 0, LEAD_BUCKETS * sizeof(ret[0]));
    for (uint32_t i = 0; i < h->children_count; i++) {
        enum outcome outcome;
        enum reason reason;
        if (!h->child[i].has_summary || !hub_child_usable(h, i, &outcome, &reason) ||
            selector_expected(sel, h->topology, hub_child_unit(h, i)) == 0) {
            continue;
        }
        for (unsigned c = 0; c < CLASS_COUNT; c++) {
            if (mask >> c & 1u) {
                histogram_merge(ret, h->child[i].summary.lead_counts[c], LEAD_BUCKETS);
            }
        }
    }
    uint64_t n = histogram_total(ret, LEAD_BUCKETS);
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* Coordinators of the wanted level below this child that the selector touches. */
static uint32_t coordinators(const struct hub *h, const struct prepare *p, uint32_t child)
{
    struct unit u = hub_child_unit(h, child);
    if (selector_expected(&p->selector, h->topology, u) == 0) {
        return 0;
    }
    if (u.tier == TIER_CLUSTER || p->level == TIER_SECTOR) {
        return 1;
    }
    uint32_t n = 0;
    for (unsigned c = 1; c <= topology_sector_clusters(h->topology, u.sector); c++) {
        n += selector_expected(&p->selector, h->topology, unit_cluster(u.sector, c)) > 0 ? 1 : 0;
    }
    return n;
}

bool hub_prepare(struct hub *h, const struct prepare *p, uint16_t origin_slot,
                 const struct when_ask *when)
{
    assert(h != NULL && p != NULL);
    struct hub_prepare *w = NULL;
    for (uint32_t i = 0; i < HUB_PREPARES_MAX && w == NULL; i++) {
        w = h->prepares[i].used ? NULL : &h->prepares[i];
    }
    if (w == NULL) {
        return false;
    }
    memset(w, 0, sizeof(*w));
    w->used = true;
    h->prepare_count++;
    w->origin = origin_slot != HUB_NO_ORIGIN;
    w->origin_slot = origin_slot;
    w->prepare = *p;
    w->when = when != NULL ? *when : (struct when_ask){.ref = 0};
    w->deadline_us = meshtime_ready(&h->time) ? meshtime_to_local(&h->time, p->deadline_mesh_us)
                                              : h->now_us + US_PER_S;
    for (uint32_t i = 0; i < h->children_count; i++) {
        uint32_t n = coordinators(h, p, i);
        enum outcome outcome;
        enum reason reason;
        w->expected += n;
        if (n > 0 && hub_child_usable(h, i, &outcome, &reason)) {
            w->waiting[i / 64] |= 1ull << (i % 64);
        }
    }
    w->merged.correlation_id = p->correlation_id;
    w->merged.level = p->level;
    return true;
}

static void answer(struct hub *h, const struct prepared *p)
{
    struct msg m = hub_msg(h, MSG_PREPARED, topology_parent(h->self), 3);
    m.u.prepared = p;
    if (hub_fits(h, &m)) {
        out_send(h->out, &m);
    }
}

/* At a sector. */
void hub_prepare_message(struct hub *h, const struct msg *msg)
{
    const struct prepare *p = msg->u.prepare;
    if (p->level != TIER_SECTOR) {
        struct prepare below = *p;
        below.deadline_mesh_us -= 20 * US_PER_MS;
        if (!hub_prepare(h, &below, HUB_NO_ORIGIN, NULL)) {
            hub_note(h, NOTE_OP_REFUSED, num_id128_low(p->correlation_id), REASON_OVERLOAD);
        }
        return;
    }
    struct prepared r = {.correlation_id = p->correlation_id,
                         .level = p->level,
                         .sectors_reached = 1,
                         .targets = hub_expected(h, &p->selector)};
    (void)hub_leads(h, &p->selector, r.lead_counts);
    answer(h, &r);
}

void hub_prepared_message(struct hub *h, uint32_t child, const struct msg *msg)
{
    const struct prepared *p = msg->u.prepared;
    for (uint32_t i = 0; i < HUB_PREPARES_MAX; i++) {
        struct hub_prepare *w = &h->prepares[i];
        if (!w->used || w->merged.level != p->level ||
            !num_id128_equal(w->prepare.correlation_id, p->correlation_id) ||
            (w->waiting[child / 64] >> (child % 64) & 1u) == 0) {
            continue;
        }
        w->waiting[child / 64] &= ~(1ull << (child % 64));
        w->merged.sectors_reached += p->sectors_reached;
        w->merged.clusters_reached += p->clusters_reached;
        w->merged.targets += p->targets;
        histogram_merge(w->merged.lead_counts, p->lead_counts, LEAD_BUCKETS);
        return;
    }
}

static bool send_blocks(struct hub *h, struct hub_prepare *w)
{
    for (; w->block * 64u < h->children_count; w->block++) {
        struct msg m = hub_msg(h, MSG_PREPARE, hub_child_unit(h, w->block * 64u), 3);
        m.mask = w->waiting[w->block];
        m.u.prepare = &w->prepare;
        if (m.mask == 0) {
            continue;
        }
        if (!hub_fits(h, &m)) {
            return false;
        }
        out_send(h->out, &m);
    }
    return true;
}

static bool waits(const struct hub_prepare *w)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < GATHER_WORDS; i++) {
        any |= w->waiting[i];
    }
    return any != 0;
}

/* False: no room now. */
static bool prepare_end(struct hub *h, struct hub_prepare *w)
{
    if (!outbox_room(h->out, DONE_EFFECTS, DONE_BYTES)) {
        h->short_of_room = true;
        return false;
    }
    w->used = false;
    h->prepare_count--;
    if (w->origin) {
        w->reached = w->prepare.level == TIER_SECTOR ? w->merged.sectors_reached
                                                     : w->merged.clusters_reached;
        struct hub_prepare done = *w; /* the next step of the cascade may take the slot */
        hub_origin_prepared(h, done.origin_slot, &done);
    } else if (w->when.console.tier != TIER_NONE) {
        hub_when_prepared(h, w);
    } else {
        w->merged.sectors_reached = 1;
        answer(h, &w->merged);
    }
    return true;
}

void hub_prepare_pump(struct hub *h)
{
    if (h->prepare_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < HUB_PREPARES_MAX; i++) {
        struct hub_prepare *w = &h->prepares[i];
        if (!w->used) {
            continue;
        }
        if (!send_blocks(h, w)) {
            return;
        }
        if (waits(w) && h->now_us < w->deadline_us) {
            continue;
        }
        if (!prepare_end(h, w)) {
            return;
        }
        i = UINT32_MAX; /* a next level may have taken any slot: look again from the start */
    }
}

int64_t hub_prepare_next(const struct hub *h)
{
    int64_t next = NEVER;
    if (h->prepare_count == 0) {
        return next;
    }
    for (uint32_t i = 0; i < HUB_PREPARES_MAX; i++) {
        const struct hub_prepare *w = &h->prepares[i];
        if (w->used && (!waits(w) || w->block * 64u < h->children_count)) {
            return h->now_us; /* opened after this step's pump had passed its slot */
        }
        if (w->used && w->deadline_us < next) {
            next = w->deadline_us;
        }
    }
    return next;
}
