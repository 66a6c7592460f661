/* What agents say, as signed frames: sealed when it is sent, judged where it arrives (wire.h).
 * Times are the Unix clocks of both ends, which may be wrong. */
#include "core/num.h"
#include "sim/wire.h"
#include "sim/world_process.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int64_t clock_ms(const struct world *w, uint32_t node)
{
    return (WORLD_UNIX_US + w->now_us + w->nodes[node].wall_off_us) / US_PER_MS;
}

void world_wire_open(struct world *w)
{
    w->wire = w->conf.wire->open(&w->conf.topology, w->node_count, WORLD_UNIX_US / US_PER_MS);
    w->frame = world_alloc(WIRE_FRAME_MAX);
}

void world_wire_close(struct world *w)
{
    if (w->wire != NULL) {
        w->conf.wire->close(w->wire);
        free(w->frame);
    }
}

/* NULL: the codec refuses it, as it would in the real process. */
struct block *world_wire_seal(struct world *w, uint32_t from, const struct msg *msg)
{
    uint32_t home = w->nodes[from].home != 0 ? w->nodes[from].home : from;
    uint32_t agent = home - w->first_agent, neighbour = agent > 0 ? agent - 1 : agent + 1;
    uint32_t to = world_index(w, msg->to);
    if (w->forging == WIRE_STOLEN) {
        neighbour = topology_index(&w->conf.topology, msg->from);
    }
    uint32_t n = w->conf.wire->seal(w->wire, agent, to, msg, clock_ms(w, from),
                                    (enum wire_forgery)w->forging, neighbour, w->frame);
    if (n == 0) {
        w->stats.lost++;
        return NULL;
    }
    struct block *b = world_block(w, sizeof(struct world_msg) + 16u + n);
    struct world_msg *wm = (struct world_msg *)(void *)b->bytes;
    memset(wm, 0, sizeof(*wm));
    memcpy(b->bytes + sizeof(*wm), w->frame, n);
    wm->msg.type = msg->type;
    wm->msg.from = msg->from;
    wm->msg.to = msg->to;
    wm->msg.epoch = msg->epoch;
    wm->frame_bytes = n;
    wm->forgery = w->forging;
    return b;
}

bool world_wire_take(struct world *w, uint32_t node, struct world_msg *wm, struct msg *ret)
{
    static const enum world_met met[] = {[WIRE_SIGNATURE] = WORLD_MET_REFUSED_SIGNATURE,
                                         [WIRE_SCOPE] = WORLD_MET_REFUSED_SCOPE,
                                         [WIRE_CAPABILITY] = WORLD_MET_REFUSED_CAPABILITY,
                                         [WIRE_REPLAY] = WORLD_MET_REFUSED_REPLAY,
                                         [WIRE_EXPIRED] = WORLD_MET_REFUSED_EXPIRED,
                                         [WIRE_FUTURE] = WORLD_MET_REFUSED_FUTURE,
                                         [WIRE_OTHER] = WORLD_MET_REFUSED_FRAME};
    const uint8_t *bytes = (const uint8_t *)wm + sizeof(*wm);
    uint32_t place = world_index(w, w->nodes[node].unit);
    enum wire_verdict v =
        w->conf.wire->take(w->wire, node, place, bytes, wm->frame_bytes, clock_ms(w, node), ret);
    world_digest(w, (uint64_t)v);
    if (v != WIRE_TAKEN) {
        w->met[met[v]]++;
        w->stats.lost++;
        return false;
    }
    uint16_t process = w->nodes[node].process;
    bool twin = process != NO_PROCESS && world_process_is_twin(w, process);
    wm->taken[twin ? 1 : 0] = 1; /* agents say everything to one unit */
    return true;
}
