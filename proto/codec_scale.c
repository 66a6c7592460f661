/* Newcomers (core/grow.h): what an operator asks for, and the word for one cluster. */
#include "proto/codec_parts.h"

#include "core/note.h"

void scale_put(const struct scale_request *s, Mesh__ScaleRequest *ret)
{
    mesh__scale_request__init(ret);
    ret->action = (Mesh__ScaleAction)s->action;
    ret->count = s->count;
    ret->rate = s->rate;
    ret->over_us = (uint64_t)s->over_us;
}

/* Only ADD and REMOVE have numbers: ADD all of them. */
bool scale_get(const Mesh__ScaleRequest *w, struct scale_request *ret)
{
    if (!value_kind((int)w->action, SCALE_ACTION_COUNT - 1)) {
        return false;
    }
    bool add = w->action == MESH__SCALE_ACTION__SCALE_ACTION_ADD;
    bool remove = w->action == MESH__SCALE_ACTION__SCALE_ACTION_REMOVE;
    bool good =
        add ? w->count >= 1 && w->count <= SCALE_AGENTS_MAX && w->rate >= 1 &&
                  w->rate <= SCALE_RATE_MAX && w->over_us >= GROW_OVER_MIN_US &&
                  w->over_us <= GROW_OVER_MAX_US
        : remove ? w->count <= SCALE_AGENTS_MAX && w->rate == 0 && w->over_us <= GROW_DRAIN_MAX_US
                 : (w->count | w->rate) == 0 && w->over_us == 0;
    *ret = (struct scale_request){
        .action = (enum scale_action)w->action, .count = w->count, .rate = w->rate};
    ret->over_us = good ? (int64_t)w->over_us : 0;
    return good;
}

void grow_fill(const struct grow *g, Mesh__Grow *ret)
{
    mesh__grow__init(ret);
    ret->id = g->id;
    ret->cluster = unit_pack(g->cluster);
    ret->places = g->places;
    ret->fresh = g->fresh;
    ret->over_us = (uint64_t)g->over_us;
    ret->drain_us = (uint64_t)g->drain_us;
}

bool grow_put(struct put *put, const struct msg *msg)
{
    Mesh__Grow w;
    grow_fill(&msg->u.grow, &w);
    return put_pack(put, &w.base);
}

enum codec_verdict grow_get(const struct get *get, const ProtobufCMessage *message, struct msg *ret)
{
    (void)get;
    const Mesh__Grow *w = (const Mesh__Grow *)message;
    struct grow *g = &ret->u.grow;
    *g = (struct grow){.id = w->id, .places = w->places, .fresh = w->fresh};
    if (w->over_us < GROW_OVER_MIN_US || w->over_us > GROW_OVER_MAX_US ||
        w->drain_us > GROW_DRAIN_MAX_US) {
        return CODEC_BAD_RANGE;
    }
    g->over_us = (int64_t)w->over_us;
    g->drain_us = (int64_t)w->drain_us;
    return w->id != 0 && (w->fresh & ~w->places) == 0 && value_unit_get(w->cluster, &g->cluster) &&
                   g->cluster.tier == TIER_CLUSTER
               ? CODEC_OK
               : CODEC_BAD_RANGE;
}
