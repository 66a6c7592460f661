/* What is wide goes out in shares. An operation to the whole mesh wakes every process and fills
 * every queue on the way at once: whatever comes just behind it waits until all of it has passed.
 *
 * The usual one (priority 2), where small ones are about, goes to HUB_SHARE_CHILDREN sectors at a
 * time, which is enough to keep the mesh busy, and to more when some of those end. A slow sector
 * holds nobody up. When nobody has ended for HUB_SHARE_WIDE_US, the agents are what is slow: the
 * next share is twice the last one, and after HUB_SHARE_ALL_US everyone has been sent to in any
 * case.
 *
 * The gentle ones (priorities 0 and 1) must not fill the mesh, but leave it to whatever else it
 * carries: HUB_SHARE_GENTLE sectors at a time, and when half of them have ended, in some time, it
 * rests for HUB_SHARE_REST times as long before the next. So its part of the processors stays the
 * same in a mesh that is idle, where a share takes 10 ms, and in one that is loaded, where it takes
 * 100. The clock is for agents that are slow: the shares are spread over a quarter of the time.
 *
 * What has little time takes shorter steps: after a quarter of it all are out. A child that waits
 * for its share has heard nothing of the operation: it is not reminded, and when the operation is
 * cancelled, it is answered for here. What is meant for a moment T is never shared out, nor what is
 * critical (priority 3). The usual (2) is when small operations are about: alone it would only end
 * later. */
#include "core/hub_share.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

#define WORDS GATHER_WORDS

static uint32_t outstanding(const struct gather *g, const struct flight *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        n += num_bits(g->waiting[i] & ~f->later[i]);
    }
    return n;
}

static uint32_t waiting_later(struct gather *g, struct flight *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        f->later[i] &= g->waiting[i]; /* the dead need no share */
        n += num_bits(f->later[i]);
    }
    return n;
}

static bool is_gentle(uint8_t priority)
{
    return priority <= HUB_SHARE_PRIORITY;
}

static void next_step(struct hub *h, struct flight *f)
{
    int64_t step_us = h->now_us + f->share_step_us;
    f->share_us = step_us < f->share_all_us ? step_us : f->share_all_us;
    h->share_due_us = f->share_us < h->share_due_us ? f->share_us : h->share_due_us;
}

/* The next n of the `left` that wait are to be sent to. Half of them have ended when no more than
 * share_open are outstanding. */
static void release(struct hub *h, const struct gather *g, struct flight *f, uint32_t n,
                    uint32_t left)
{
    n = n < left ? n : left;
    left -= n;
    f->share_open = (uint16_t)(outstanding(g, f) + n / 2u);
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
    f->share_us = NEVER;
    f->share_begun_us = h->now_us;
    if (left > 0) {
        next_step(h, f);
    }
    hub_queue(h, f);
}

/* Whether it goes out in shares; a small one is remembered. */
static bool shared_out(struct hub *h, const struct gather *g, const struct operation *op)
{
    uint32_t sample = op->selector.sample;
    if (g->waiting_count <= HUB_SHARE_NARROW || (sample != 0 && sample <= HUB_SHARE_NARROW)) {
        h->narrow_until_us = h->now_us + HUB_SHARE_SMALL_US;
        return op->priority == 0 && g->waiting_count > HUB_SHARE_CHILDREN;
    }
    return is_gentle(op->priority) ||
           (op->priority == HUB_SHARE_BESIDE && h->now_us < h->narrow_until_us);
}

void hub_share_begin(struct hub *h, struct gather *g, struct flight *f, const struct operation *op)
{
    assert(h != NULL && g != NULL && f != NULL);
    f->share_us = NEVER;
    if (!f->origin || h->self.tier != TIER_ORCHESTRATOR || op->timing != TIMING_SOON ||
        !shared_out(h, g, op)) {
        return;
    }
    memcpy(f->later, f->go, sizeof(f->later));
    memset(f->go, 0, sizeof(f->go));
    uint32_t later = waiting_later(g, f);
    bool gentle = is_gentle(op->priority);
    f->share = gentle ? HUB_SHARE_GENTLE : HUB_SHARE_CHILDREN;
    int64_t shares = later / f->share + 1;
    int64_t quarter_us = (g->deadline_us - h->now_us) / 4;
    f->share_step_us =
        num_clamp_i64(quarter_us / shares, 1, gentle ? HUB_SHARE_US : HUB_SHARE_WIDE_US);
    f->share_all_us = h->now_us + quarter_us;
    if (!gentle && quarter_us > HUB_SHARE_ALL_US) {
        f->share_all_us = h->now_us + HUB_SHARE_ALL_US;
    }
    release(h, g, f, f->share, later);
}

/* The step is over and nobody has ended meanwhile: the agents are slow, not the way to them. Then
 * shares only make the last ones late, and each is twice the one before. Or it is gentle, and its
 * rest is over. */
static void step_over(struct hub *h, struct gather *g, struct flight *f)
{
    bool all = h->now_us >= f->share_all_us;
    if (!is_gentle(f->priority) && f->share < SECTORS_MAX) {
        f->share *= 2u;
    }
    release(h, g, f, all ? UINT32_MAX : f->share, waiting_later(g, f));
}

/* Half of the last share has ended: the next comes after a rest, if its step is not over before. */
static void rest(struct hub *h, struct flight *f)
{
    int64_t took_us = h->now_us - f->share_begun_us;
    int64_t next_us = h->now_us + HUB_SHARE_REST * took_us;
    f->share_us = next_us < f->share_us ? next_us : f->share_us;
    h->share_due_us = f->share_us < h->share_due_us ? f->share_us : h->share_due_us;
}

void hub_share_more(struct hub *h, struct gather *g, struct flight *f)
{
    assert(h != NULL && g != NULL && f != NULL);
    if (f->share_us == NEVER || g->done) {
        return;
    }
    uint32_t later = waiting_later(g, f);
    uint32_t out = outstanding(g, f);
    if (later == 0) {
        release(h, g, f, 0, 0);
    } else if (is_gentle(f->priority)) {
        if (out <= f->share_open) {
            rest(h, f);
        }
    } else if (out + HUB_SHARE_LEAST <= HUB_SHARE_CHILDREN) {
        f->share = HUB_SHARE_CHILDREN;
        release(h, g, f, HUB_SHARE_CHILDREN - out, later);
    } else {
        next_step(h, f); /* they end: it goes on by that */
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
        if (g->done) {
            f->share_us = NEVER;
        } else if (f->share_us <= h->now_us) {
            step_over(h, g, f);
        }
        h->share_due_us = f->share_us < h->share_due_us ? f->share_us : h->share_due_us;
    }
}

bool hub_share_waits(const struct flight *f, uint32_t child)
{
    assert(f != NULL && child < SECTORS_MAX);
    return (f->later[child / 64u] >> (child % 64u) & 1u) != 0;
}
