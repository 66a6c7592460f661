/* Background (priority 0) goes out in shares. An operation to the whole mesh wakes every process
 * and fills every queue on the way at once: whatever comes just behind it waits until all of it has
 * passed. Nobody waits for background, so the root hands it to HUB_SHARE_CHILDREN sectors at a
 * time: to more when some of those end, and in any case when the step is over, so that a slow
 * sector holds nobody up. The step is HUB_SHARE_US, and less when the operation has little time:
 * after a quarter of it everyone has been sent to.
 *
 * A child that waits for its share has heard nothing of the operation: it is not reminded, and when
 * the operation is cancelled, it is answered for here. What is meant for a moment T is never
 * shared out. */
#include "core/hub_share.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

#define WORDS GATHER_WORDS

static uint32_t bits_count(uint64_t mask)
{
    uint32_t n = 0;
    for (; mask != 0; mask &= mask - 1u) {
        n++;
    }
    return n;
}

static uint32_t outstanding(const struct gather *g, const struct flight *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        n += bits_count(g->waiting[i] & ~f->later[i]);
    }
    return n;
}

static uint32_t waiting_later(struct gather *g, struct flight *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        f->later[i] &= g->waiting[i]; /* the dead need no share */
        n += bits_count(f->later[i]);
    }
    return n;
}

/* The next n of the `left` that wait are to be sent to. */
static void release(struct hub *h, struct flight *f, uint32_t n, uint32_t left)
{
    n = n < left ? n : left;
    left -= n;
    if (f->block >= (h->children_count + 63u) / 64u) { /* all before were sent to */
        memset(f->go, 0, sizeof(f->go));
    }
    for (uint32_t i = 0; i < WORDS && n > 0; i++) {
        for (; f->later[i] != 0 && n > 0; n--) {
            uint64_t lowest = f->later[i] & (~f->later[i] + 1u);
            f->later[i] &= ~lowest;
            f->go[i] |= lowest;
            f->block = f->block < i ? f->block : i;
        }
    }
    f->share_us = left > 0 ? h->now_us + f->share_step_us : NEVER;
    h->share_due_us = f->share_us < h->share_due_us ? f->share_us : h->share_due_us;
    hub_queue(h, f);
}

void hub_share_begin(struct hub *h, struct gather *g, struct flight *f, const struct operation *op)
{
    assert(h != NULL && g != NULL && f != NULL);
    f->share_us = NEVER;
    if (!f->origin || h->self.tier != TIER_ORCHESTRATOR || op->priority > 0 ||
        op->timing != TIMING_SOON || g->waiting_count <= HUB_SHARE_CHILDREN) {
        return;
    }
    memcpy(f->later, f->go, sizeof(f->later));
    memset(f->go, 0, sizeof(f->go));
    uint32_t later = waiting_later(g, f);
    int64_t shares = later / HUB_SHARE_CHILDREN + 1;
    int64_t quarter_us = (g->deadline_us - h->now_us) / 4;
    f->share_step_us = num_clamp_i64(quarter_us / shares, 1, HUB_SHARE_US);
    release(h, f, HUB_SHARE_CHILDREN, later);
}

void hub_share_more(struct hub *h, struct gather *g, struct flight *f)
{
    assert(h != NULL && g != NULL && f != NULL);
    if (f->share_us == NEVER || g->done) {
        return;
    }
    uint32_t later = waiting_later(g, f);
    uint32_t out = outstanding(g, f);
    uint32_t n = out < HUB_SHARE_CHILDREN ? HUB_SHARE_CHILDREN - out : 0;
    if (h->now_us >= f->share_us) {
        n = HUB_SHARE_CHILDREN;
    }
    if (n > 0) {
        release(h, f, n, later);
    }
}

void hub_share_tick(struct hub *h)
{
    assert(h != NULL);
    if (h->now_us < h->share_due_us) {
        return;
    }
    uint32_t cursor = 0;
    struct gather *g;
    h->share_due_us = NEVER;
    while ((g = gather_each(&h->gathers, &cursor)) != NULL) {
        struct flight *f = gather_user(&h->gathers, g);
        hub_share_more(h, g, f);
        h->share_due_us = f->share_us < h->share_due_us ? f->share_us : h->share_due_us;
    }
}

bool hub_share_waits(const struct flight *f, uint32_t child)
{
    assert(f != NULL && child < SECTORS_MAX);
    return (f->later[child / 64u] >> (child % 64u) & 1u) != 0;
}
