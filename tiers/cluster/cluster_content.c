/* Contexts by content, as the lead sees them: what an agent is meant to hold is what it was last
 * seen to load, and is kept in its record, so that neither a restart of the agent nor one of the
 * lead loses it. A new life hears it with its welcome. One whose beats tell of another is told
 * again with each; when it held the right one before in this life, that is context corruption
 * (spec 6.1): a conflict, which quarantines it until it holds what it should, and an incident.
 *
 * Before they are told, one of them is sent it from a neighbour that holds it (cluster_sync.c);
 * the others take it from that one's copy where they run in one process, or from the registry, or
 * have their turn with the next beat.
 *
 * Two beats are awaited before that: the word of a new context and the beat that shows it may
 * overtake each other. And an agent that was sent an operation which loads what it holds now is not
 * astray: one that is held until T is done before, and answered at T. */
#include "tiers/cluster/cluster_content.h"
#include "core/fault.h"
#include "core/num.h"
#include "core/text.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

static bool holds(const struct cluster *c, uint32_t i)
{
    return num_id128_equal(c->members[i].impedance.context_hash,
                           content_name(c->contents.wanted[i]));
}

void content_want(struct cluster *c, uint32_t i, const uint8_t hash[CONTENT_HASH])
{
    assert(c != NULL && i < c->count);
    struct lead_contents *k = &c->contents;
    c->stirred = true;
    memcpy(k->wanted[i], hash, CONTENT_HASH);
    k->named |= bit_of(i);
    k->settled &= ~bit_of(i);
    k->differs &= ~bit_of(i);
    k->due &= ~bit_of(i);
}

void content_loaded(struct cluster *c, int64_t now_us, const struct lead_op *op, uint32_t i)
{
    assert(c != NULL && op != NULL);
    uint8_t hash[CONTENT_HASH];
    if (strcmp(op->action, CONTENT_ACTION) == 0 &&
        content_ref_parse(op->task, op->task_bytes, hash)) {
        content_want(c, i, hash);
        registry_dirty(c, now_us, i, DIRTY_CONTEXT);
    }
}

bool content_welcome(struct cluster *c, uint32_t i, struct welcome *ret)
{
    assert(c != NULL && i < c->count);
    ret->has_content = (c->contents.named & bit_of(i)) != 0;
    if (ret->has_content) {
        memcpy(ret->content, c->contents.wanted[i], CONTENT_HASH);
    }
    return ret->has_content;
}

void content_reborn(struct cluster *c, uint32_t i)
{
    c->contents.settled &= ~bit_of(i);
    c->contents.differs &= ~bit_of(i);
}

/* In no operation's answer, but in its beats: a conflict of the lead's own finding. */
static void accuse(struct cluster *c, int64_t now_us, uint32_t i)
{
    char expected[ID128_TEXT_MAX], received[ID128_TEXT_MAX];
    struct id128 wanted = content_name(c->contents.wanted[i]);
    num_id128_format(wanted, expected);
    num_id128_format(c->members[i].impedance.context_hash, received);
    struct conflict_detail d = {.type = CONFLICT_HASH_MISMATCH,
                                .context_hash = wanted,
                                .divergence_depth = 1,
                                .agents_affected = 1,
                                .expected = (const uint8_t *)expected,
                                .expected_bytes = sizeof(expected) - 1,
                                .received = (const uint8_t *)received,
                                .received_bytes = sizeof(received) - 1};
    struct conflict_seen seen = {.member = i,
                                 .operation = num_id128_from(cluster_mesh(c, now_us), &c->rng),
                                 .action = CONTENT_ACTION,
                                 .detail = &d};
    if (conflict_add(c, now_us, &seen)) {
        incident_begin(c, now_us, FAILURE_CONTEXT_CORRUPTION, bit_of(i));
    }
}

/* Whether it was sent what it holds now, and its answer is awaited. */
static bool loads(const struct cluster *c, uint32_t i)
{
    uint8_t hash[CONTENT_HASH];
    for (uint32_t k = 0; k < c->live_count; k++) {
        const struct lead_op *op = cluster_op(c, c->live[k].slot);
        if (op->state == LEAD_OP_OPEN && (op->open & op->sent & bit_of(i)) != 0 &&
            strcmp(op->action, CONTENT_ACTION) == 0 &&
            content_ref_parse(op->task, op->task_bytes, hash) &&
            num_id128_equal(c->members[i].impedance.context_hash, content_name(hash))) {
            return true;
        }
    }
    return false;
}

void content_heard(struct cluster *c, int64_t now_us, uint32_t i)
{
    assert(c != NULL && i < c->count);
    struct lead_contents *k = &c->contents;
    uint64_t bit = bit_of(i);
    if ((k->named & bit) == 0) {
        return;
    }
    c->stirred |= ((k->due | k->given | k->differs) & bit) != 0;
    if (holds(c, i)) {
        sync_held(c, i);
        k->settled |= bit;
        k->differs &= ~bit;
        k->due &= ~bit;
    } else if ((k->differs & bit) == 0) {
        k->differs |= bit;
    } else if (!loads(c, i)) {
        k->due |= bit;
        if ((k->settled & bit) != 0) {
            k->settled &= ~bit;
            accuse(c, now_us, i);
        }
    }
}

void content_spoilt(struct cluster *c, uint32_t i)
{
    c->stirred = true;
    c->contents.settled &= ~bit_of(i); /* it said so itself: that is the conflict */
    c->contents.due |= bit_of(i) & c->contents.named;
}

uint64_t content_astray(const struct cluster *c)
{
    uint64_t mask = 0;
    for (uint64_t rest = c->contents.named; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        mask |= c->members[i].joined && !holds(c, i) ? bit_of(i) : 0;
    }
    return mask;
}

void content_heal(struct cluster *c)
{
    c->contents.due |= content_astray(c);
}

int64_t content_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    struct lead_contents *k = &c->contents;
    int64_t fetch_us = sync_tick(c, now_us, out);
    uint64_t unsent = k->due & ~k->given; /* the others were sent it, and it did not help */
    if (unsent != 0 && c->frozen == 0 && !k->fetched && !sync_busy(c)) {
        k->fetched = true;
        if (sync_begin(c, now_us, bits_lowest(unsent), out)) {
            return time_least(fetch_us, k->fetches[0].until_us);
        }
    }
    if (sync_busy(c)) {
        return fetch_us;
    }
    k->fetched = false;
    while (c->contents.due != 0 && c->frozen == 0) {
        uint32_t i = bits_lowest(c->contents.due);
        struct msg m = {
            .type = MSG_WELCOME, .priority = PRIORITY_COUNT - 1, .to = cluster_agent(c, i)};
        m.u.welcome = (struct welcome){.accepted = true,
                                       .incarnation = c->members[i].epoch,
                                       .beat_us = c->tuning.agent_beat_us};
        (void)content_welcome(c, i, &m.u.welcome);
        if (c->members[i].joined && !cluster_send(c, out, &m)) {
            return now_us;
        }
        k->due &= ~bit_of(i);
        k->given &= ~bit_of(i);
    }
    return fetch_us;
}
