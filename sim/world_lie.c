/* Agents that lie, and what the runner's acceptance does to them (tiers/runner/peers.c, ingress.c;
 * research on the wire is theirs: here a message is its own frame).
 *
 * What acceptance stops is refused and counted: a speaker outside the certificate's scope, a frame
 * that came before, one that is older than its time to live, one from the future. What it cannot
 * stop reaches the tiers as the liar said it: wrong capabilities, wrong impedance, two answers to
 * one question, too many messages. Those are signed and true to their sender; the leads have to
 * live with them. */
#include "core/num.h"
#include "sim/wire.h"
#include "sim/world_process.h"
#include <assert.h>
#include <string.h>

#define FRAME_TTL_US  (30 * US_PER_S) /* EGRESS_FRAME_TTL_MS */
#define FRAME_SKEW_US (2 * US_PER_S)  /* FRAME_SKEW_MS */
#define FLOOD_COPIES  20u
#define DAWDLE_US     (400 * US_PER_MS)
#define REPLAY_US_MAX (40 * US_PER_S) /* longer than a frame lives */

void world_lie(struct world *w, struct unit u, bool below, enum world_lie lie, bool on)
{
    assert(lie < WORLD_LIE_COUNT);
    for (uint32_t i = w->first_agent; i < w->first_host; i++) {
        if (world_meant(w, i, u, below)) {
            uint8_t bit = (uint8_t)(1u << lie);
            w->nodes[i].lies =
                (uint8_t)(on ? w->nodes[i].lies | bit : w->nodes[i].lies & (uint8_t)~bit);
        }
    }
}

static bool lies(const struct world_node *n, enum world_lie lie)
{
    return (n->lies >> lie & 1u) != 0;
}

static void met(struct world *w, enum world_met what)
{
    w->met[what]++;
}

/* The colluders' story: as fast as nobody is, and never busy. */
static void flatter(struct impedance *i)
{
    i->latency_us = 1000;
    i->processing_us = 1000;
    i->queue_depth = 0;
    i->done = 1000000;
    i->failed = 0;
}

/* Slower than they are, all by as much, on a clock that is said to know no better. */
static void dawdle(struct ack *a)
{
    a->arrival_mesh_us += DAWDLE_US;
    a->clock_error_us = US_PER_S;
}

static void say_again(struct world *w, uint32_t from, const struct msg *msg, uint32_t copies)
{
    for (uint32_t i = 0; i < copies; i++) {
        world_transmit(w, from, msg);
    }
}

void world_lie_send(struct world *w, uint32_t from, const struct msg *msg)
{
    const struct world_node *n = &w->nodes[from];
    struct msg said = *msg;
    if (lies(n, WORLD_LIE_CAPABILITY) && said.type == MSG_HELLO) {
        said.u.hello.capabilities = UINT64_MAX >> (64u - w->conf.topology.capability_count);
        met(w, WORLD_MET_LIE_CAPABILITY);
    }
    if (lies(n, WORLD_LIE_IMPEDANCE) && said.type == MSG_HEARTBEAT) {
        flatter(&said.u.heartbeat.impedance);
        met(w, WORLD_MET_LIE_IMPEDANCE);
    }
    if (lies(n, WORLD_LIE_TIMING) && said.type == MSG_ACK && said.u.ack.arrival_mesh_us != 0 &&
        said.u.ack.release_mesh_us == 0) {
        dawdle(&said.u.ack);
        met(w, WORLD_MET_LIE_TIMING);
    }
    if (lies(n, WORLD_LIE_CONTENT) && said.type == MSG_CONTENT && said.u.content.bytes > 1) {
        said.u.content.bytes--;
        met(w, WORLD_MET_LIE_CONTENT);
    }
    world_transmit(w, from, &said);
    if (lies(n, WORLD_LIE_EQUIVOCATE) && said.type == MSG_ACK) {
        struct msg other = said;
        other.u.ack.outcome = said.u.ack.outcome == OUTCOME_READY ? OUTCOME_FAILED : OUTCOME_READY;
        other.u.ack.reason = other.u.ack.outcome == OUTCOME_FAILED ? REASON_HANDLER : REASON_NONE;
        world_transmit(w, from, &other);
        met(w, WORLD_MET_LIE_EQUIVOCATE);
    }
    if (lies(n, WORLD_LIE_FORGE)) { /* in the name of its neighbour */
        struct msg forged = said;
        forged.from.agent = (uint16_t)(said.from.agent > 1 ? said.from.agent - 1u : 2u);
        world_transmit(w, from, &forged);
        for (unsigned f = WIRE_ALTERED; w->wire != NULL && f < WIRE_FORGERIES; f++) {
            w->forging = (uint8_t)f; /* its own, altered on the way; and as if from the neighbour */
            world_transmit(w, from, f == WIRE_STOLEN ? &forged : &said);
            w->forging = WIRE_HONEST;
        }
    }
    if (lies(n, WORLD_LIE_FLOOD)) {
        say_again(w, from, &said, FLOOD_COPIES);
        w->met[WORLD_MET_LIE_FLOOD] += FLOOD_COPIES;
    }
}

void world_lie_replay(struct world *w, uint32_t from, uint32_t to, uint32_t bit, struct block *b)
{
    if (lies(&w->nodes[from], WORLD_LIE_REPLAY)) {
        b->references++;
        world_push(w, w->now_us + rng_range(&w->chaos, US_PER_S, REPLAY_US_MAX), W_MSG, to, bit, b);
    }
}

bool world_may_speak(struct world *w, uint32_t from, struct unit as)
{
    if (unit_equal(w->nodes[from].unit, as) || w->wire != NULL) { /* else its scope says so */
        return true;
    }
    met(w, WORLD_MET_REFUSED_SCOPE);
    world_refused(w, from);
    return false;
}

/* What a process holds against a frame before it looks inside (peers.c: time_check, replay_check).
 * The window belongs to the message: which of its receivers have had it. */
bool world_accepts(struct world *w, const struct world_node *to, struct world_msg *wm, uint32_t bit)
{
    bool twin = to->process != NO_PROCESS && world_process_is_twin(w, to->process);
    uint64_t *taken = &wm->taken[twin ? 1 : 0];
    w->again = (*taken >> bit & 1u) != 0;
    if (wm->frame_bytes > 0) {
        return true; /* world_wire.c judges */
    }
    int64_t age_us = w->now_us - wm->sent_us;
    if (w->walls_stepped) {
        age_us += to->wall_off_us;
        age_us -= wm->from == WORLD_NOBODY ? 0 : w->nodes[wm->from].wall_off_us;
    }
    enum world_met wrong = age_us < -FRAME_SKEW_US     ? WORLD_MET_REFUSED_FUTURE
                           : age_us >= FRAME_TTL_US    ? WORLD_MET_REFUSED_EXPIRED
                           : (*taken >> bit & 1u) != 0 ? WORLD_MET_REFUSED_REPLAY
                                                       : WORLD_MET_COUNT;
    if (wrong != WORLD_MET_COUNT) {
        met(w, wrong);
        w->stats.lost++;
        return false;
    }
    *taken |= 1ull << bit;
    return true;
}
