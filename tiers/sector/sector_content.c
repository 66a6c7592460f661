/* Contexts on their way from neighbours (docs/adr/0027): a lead asks for one that none of its
 * agents holds. The leads of this sector are asked one after the other, the next number first, then
 * the four sectors beside it, which ask their own leads only. The bytes pass through when they hash
 * to their key. SECTOR_FETCHES_MAX at a time; one more is answered with nothing, and the lead takes
 * the registry. */
#include "core/content.h"
#include "tiers/sector/sector_state.h"
#include <assert.h>
#include <string.h>

#define ASK_LEAD_US   (1200 * US_PER_MS) /* it asks its agents one after the other */
#define ASK_SECTOR_US (2500 * US_PER_MS)
#define BESIDE        4u /* sectors asked: one and two on, one and two back */

static bool say(struct sector *s, struct unit to, const struct content_word *word)
{
    struct msg m = hub_msg(&s->hub, MSG_CONTENT, to, 2);
    m.u.content = *word;
    bool fits = hub_fits(&s->hub, &m);
    if (fits) {
        out_send(s->hub.out, &m);
    }
    return fits;
}

/* Who is asked in the n-th place; TIER_NONE: nobody there. */
static struct unit candidate(const struct sector *s, const struct sector_fetch *f, uint32_t n)
{
    const struct hub *h = &s->hub;
    uint32_t leads = h->children_count;
    if (n < leads) {
        uint32_t from = f->from.tier == TIER_CLUSTER ? f->from.cluster : 0;
        uint32_t i = (from + n) % leads;
        enum outcome outcome;
        enum reason reason;
        bool usable = hub_child_usable(h, i, &outcome, &reason);
        bool same = f->from.tier == TIER_CLUSTER && i + 1u == f->from.cluster;
        return usable && !same ? hub_child_unit(h, i) : (struct unit){0};
    }
    static const int32_t steps[BESIDE] = {1, -1, 2, -2};
    int32_t sectors = h->topology->sectors;
    int32_t i = (int32_t)h->self.sector - 1 + steps[n - leads];
    i = (i % sectors + sectors) % sectors;
    bool twice = sectors < 5 && n - leads >= (uint32_t)sectors - 1u;
    return i + 1 == (int32_t)h->self.sector || twice ? (struct unit){0}
                                                     : unit_sector((unsigned)i + 1u);
}

/* Asks the next one; when nobody is left, says so to whom it is for. */
static void advance(struct sector *s, struct sector_fetch *f)
{
    struct content_word word = {.ask = true};
    memcpy(word.hash, f->hash, sizeof(word.hash));
    uint32_t leads = s->hub.children_count, most = leads;
    most += f->from.tier == TIER_CLUSTER ? BESIDE : 0;
    while (f->next < most) {
        struct unit to = candidate(s, f, f->next++);
        if (to.tier != TIER_NONE && say(s, to, &word)) {
            f->asked = to;
            f->until_us = s->hub.now_us + (to.tier == TIER_SECTOR ? ASK_SECTOR_US : ASK_LEAD_US);
            return;
        }
    }
    word.ask = false;
    (void)say(s, f->from, &word);
    f->from.tier = TIER_NONE;
}

static void ask(struct sector *s, const struct msg *msg)
{
    for (uint32_t i = 0; i < SECTOR_FETCHES_MAX; i++) {
        struct sector_fetch *f = &s->fetches[i];
        if (f->from.tier == TIER_NONE) {
            *f = (struct sector_fetch){.from = msg->from};
            memcpy(f->hash, msg->u.content.hash, sizeof(f->hash));
            advance(s, f);
            return;
        }
    }
    struct content_word nothing = {0};
    memcpy(nothing.hash, msg->u.content.hash, sizeof(nothing.hash));
    (void)say(s, msg->from, &nothing);
}

/* The holder that is named must be where the answer comes from: what is shown later is true. */
static bool holds_there(struct unit holder, struct unit from)
{
    return holder.tier == TIER_AGENT && holder.sector == from.sector &&
           (from.tier == TIER_SECTOR || holder.cluster == from.cluster);
}

void sector_content(struct sector *s, const struct msg *msg)
{
    assert(s != NULL && msg != NULL);
    const struct content_word *word = &msg->u.content;
    if (word->ask) {
        ask(s, msg);
        return;
    }
    for (uint32_t i = 0; i < SECTOR_FETCHES_MAX; i++) {
        struct sector_fetch *f = &s->fetches[i];
        if (f->from.tier == TIER_NONE || !unit_equal(f->asked, msg->from) ||
            memcmp(f->hash, word->hash, sizeof(f->hash)) != 0) {
            continue;
        }
        if (word->bytes > 0 && content_sound(s->digest, word->hash, word->body, word->bytes) &&
            holds_there(word->holder, msg->from)) {
            (void)say(s, f->from, word);
            f->from.tier = TIER_NONE;
            return;
        }
        if (word->bytes > 0) {
            hub_note(&s->hub, NOTE_CONTENT_REFUSED, unit_pack(msg->from), ++s->contents_refused);
        }
        advance(s, f);
        return;
    }
}

int64_t sector_content_tick(struct sector *s)
{
    int64_t next_us = NEVER;
    for (uint32_t i = 0; i < SECTOR_FETCHES_MAX; i++) {
        struct sector_fetch *f = &s->fetches[i];
        if (f->from.tier != TIER_NONE && f->until_us <= s->hub.now_us) {
            advance(s, f);
        }
        next_us = f->from.tier != TIER_NONE && f->until_us < next_us ? f->until_us : next_us;
    }
    return next_us;
}
