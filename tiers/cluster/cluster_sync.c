/* Contexts from neighbours (docs/adr/0027): what an agent of here is to hold and does not is
 * fetched from an agent that holds it, of this cluster or, by way of the sector, of another; the
 * registry comes after that. The bytes pass through and are not kept; they must hash to their key,
 * so any holder may give them, and one whose bytes do not is not asked again.
 *
 * LEAD_FETCHES_MAX at a time, one of them for the own agents; what is asked for beyond is answered
 * with nothing, and whoever asked goes on to the next. */
#include "core/num.h"
#include "tiers/cluster/cluster_content.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

static struct lead_fetch *own_fetch(struct cluster *c)
{
    return &c->contents.fetches[0];
}

/* An agent that holds it, and has not been asked for it yet; count: none. */
static uint32_t holder(const struct cluster *c, const struct lead_fetch *f)
{
    struct id128 name = content_name(f->hash);
    uint64_t not = f->tried | c->contents.lied;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct member *m = &c->members[i];
        if ((not &bit_of(i)) == 0 && m->joined && members_in_service(c, i) &&
            num_id128_equal(m->impedance.context_hash, name)) {
            return i;
        }
    }
    return c->count;
}

static bool say(struct cluster *c, struct unit to, const struct content_word *word,
                struct outbox *out)
{
    struct msg m = {.type = MSG_CONTENT, .priority = PRIORITY_COUNT - 1, .to = to};
    m.u.content = *word;
    return cluster_send(c, out, &m);
}

static void end(struct lead_fetch *f)
{
    f->stage = FETCH_NONE;
}

/* The next to be asked; nobody is left: the end. */
static void advance(struct cluster *c, int64_t now_us, struct lead_fetch *f, struct outbox *out)
{
    struct content_word ask = {.ask = true};
    memcpy(ask.hash, f->hash, sizeof(ask.hash));
    uint32_t i = holder(c, f);
    if (i < c->count && say(c, cluster_agent(c, i), &ask, out)) {
        f->tried |= bit_of(i);
        f->asked = (uint8_t)i;
        f->stage = FETCH_MEMBER;
        f->until_us = now_us + LEAD_FETCH_MEMBER_US;
        return;
    }
    if (f == own_fetch(c) && f->stage != FETCH_SECTOR && say(c, c->sector, &ask, out)) {
        f->stage = FETCH_SECTOR;
        f->until_us = now_us + LEAD_FETCH_SECTOR_US;
        return;
    }
    if (f != own_fetch(c)) {
        ask.ask = false;
        (void)say(c, c->sector, &ask, out); /* nobody here */
    }
    end(f);
}

static bool sound(const struct cluster *c, const struct content_word *word)
{
    return content_sound(c->digest, word->hash, word->body, word->bytes);
}

/* To whom it was fetched for. */
static void deliver(struct cluster *c, struct lead_fetch *f, const struct content_word *word,
                    struct outbox *out)
{
    struct lead_contents *k = &c->contents;
    bool own = f == own_fetch(c);
    if (say(c, own ? cluster_agent(c, f->member) : c->sector, word, out) && own) {
        k->given |= bit_of(f->member);
        k->given_by = word->holder;
        k->due &= ~bit_of(f->member); /* its next beat says whether it has it */
        k->fetched = c->store_up;     /* without a registry the next one is served likewise */
    }
    end(f);
}

static void refuse(struct cluster *c, const struct msg *msg, struct outbox *out)
{
    c->contents.refused++;
    cluster_note(out, NOTE_CONTENT_REFUSED, unit_pack(msg->u.content.holder), c->contents.refused);
}

static bool is_for(const struct lead_fetch *f, enum lead_fetch_stage stage,
                   const struct content_word *word)
{
    return f->stage == stage && memcmp(f->hash, word->hash, sizeof(f->hash)) == 0;
}

void sync_member_word(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t i,
                      struct outbox *out)
{
    assert(c != NULL && msg != NULL && i < c->count);
    struct content_word word = msg->u.content;
    if (word.ask) { /* agents are told what they are to hold; they ask for nothing */
        cluster_note(out, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    for (uint32_t n = 0; n < LEAD_FETCHES_MAX; n++) {
        struct lead_fetch *f = &c->contents.fetches[n];
        if (!is_for(f, FETCH_MEMBER, &word) || f->asked != i) {
            continue;
        }
        word.holder = msg->from;
        if (word.bytes > 0 && sound(c, &word)) {
            deliver(c, f, &word, out);
            return;
        }
        if (word.bytes > 0) {
            c->contents.lied |= bit_of(i);
            refuse(c, &(struct msg){.u.content = word}, out);
        }
        advance(c, now_us, f, out);
        return;
    }
}

/* The sector asks for another lead's agent, or answers for one of ours. */
void sync_sector_word(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(c != NULL && msg != NULL);
    const struct content_word *word = &msg->u.content;
    struct lead_fetch *own = own_fetch(c);
    if (word->ask) {
        for (uint32_t n = 1; n < LEAD_FETCHES_MAX; n++) {
            struct lead_fetch *f = &c->contents.fetches[n];
            if (f->stage == FETCH_NONE) {
                *f = (struct lead_fetch){0};
                memcpy(f->hash, word->hash, sizeof(f->hash));
                advance(c, now_us, f, out);
                return;
            }
        }
        struct content_word nothing = {0};
        memcpy(nothing.hash, word->hash, sizeof(nothing.hash));
        (void)say(c, c->sector, &nothing, out);
    } else if (is_for(own, FETCH_SECTOR, word)) {
        if (word->bytes > 0 && sound(c, word)) {
            deliver(c, own, word, out);
            return;
        }
        if (word->bytes > 0) {
            refuse(c, msg, out);
        }
        end(own); /* the registry */
    }
}

bool sync_begin(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out)
{
    assert(c != NULL && i < c->count);
    struct lead_fetch *f = own_fetch(c);
    assert(f->stage == FETCH_NONE);
    *f = (struct lead_fetch){.member = (uint8_t)i, .tried = bit_of(i)};
    memcpy(f->hash, c->contents.wanted[i], sizeof(f->hash));
    advance(c, now_us, f, out);
    return f->stage != FETCH_NONE;
}

bool sync_busy(const struct cluster *c)
{
    return c->contents.fetches[0].stage != FETCH_NONE;
}

void sync_held(struct cluster *c, uint32_t i)
{
    struct lead_contents *k = &c->contents;
    if ((k->given & bit_of(i)) != 0) {
        k->given &= ~bit_of(i);
        bool far = k->given_by.sector != c->self.sector;
        k->synced += far ? 0 : 1;
        k->synced_far += far ? 1 : 0;
        *(far ? &k->synced_far_from : &k->synced_from) = k->given_by;
    }
}

int64_t sync_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    int64_t next_us = NEVER;
    for (uint32_t n = 0; n < LEAD_FETCHES_MAX; n++) {
        struct lead_fetch *f = &c->contents.fetches[n];
        if (f->stage != FETCH_NONE && f->until_us <= now_us) {
            if (f->stage == FETCH_SECTOR) {
                end(f);
            } else {
                advance(c, now_us, f, out);
            }
        }
        next_us = f->stage != FETCH_NONE ? time_least(next_us, f->until_us) : next_us;
    }
    return next_us;
}
