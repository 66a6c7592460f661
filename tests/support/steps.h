/* A tiny driver for tests of one node: it steps the node with given events and numbers for time,
 * and keeps all effects of a step for inspection. No runner, no clock. */
#ifndef TESTS_SUPPORT_STEPS_H
#define TESTS_SUPPORT_STEPS_H

#include "core/node.h"
#include "core/num.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct rig {
    const struct node_ops *ops;
    void *node;
    struct outbox *out;
    int64_t now_us;
    int64_t wake_us;
    uint32_t fill; /* notes that stand in the outbox already when the node wakes */
};

/* The defaults of the configuration, as far as one node needs them. */
static inline struct tuning tuning_default(void)
{
    return (struct tuning){.agent_beat_us = 5 * US_PER_S,
                           .agent_suspect_us = 15 * US_PER_S,
                           .agent_failed_us = 30 * US_PER_S,
                           .tier_beat_us = US_PER_S,
                           .tier_suspect_us = 3 * US_PER_S,
                           .tier_failed_us = 4 * US_PER_S,
                           .bucket_us = 10000,
                           .resend_us = 200000,
                           .resends_max = 3,
                           .predictor_tau = 0.95};
}

/* Two that differ have another one; that is all that a test of a node needs. */
static inline void digest_plain(const uint8_t *bytes, uint32_t count, uint8_t ret[ORDER_HASH])
{
    for (unsigned i = 0; i < ORDER_HASH / 8u; i++) {
        uint64_t h = num_hash64(bytes, count, i);
        memcpy(ret + 8u * i, &h, 8);
    }
}

static inline void rig_init(struct rig *r, const struct node_ops *ops, const struct node_conf *conf,
                            int64_t now_us)
{
    size_t size = (ops->size(conf) + 15u) / 16u * 16u;
    r->ops = ops;
    r->node = aligned_alloc(16, size);
    r->out = aligned_alloc(16, (sizeof *r->out + 15u) / 16u * 16u);
    memset(r->node, 0, size);
    memset(r->out, 0, sizeof *r->out);
    r->now_us = now_us;
    r->wake_us = NEVER;
    r->fill = 0;
    ops->init(r->node, conf);
}

static inline void rig_done(struct rig *r)
{
    free(r->node);
    free(r->out);
}

static inline void rig_event(struct rig *r, struct event *event)
{
    outbox_clear(r->out);
    event->now_us = r->now_us;
    r->wake_us = r->ops->step(r->node, event, r->out);
}

static inline void rig_start(struct rig *r)
{
    struct event e = {.kind = EV_START};
    rig_event(r, &e);
}

static inline void rig_wake(struct rig *r)
{
    struct event e = {.kind = EV_WAKE, .now_us = r->now_us};
    outbox_clear(r->out);
    for (uint32_t i = 0; i < r->fill; i++) {
        out_note(r->out, NOTE_STARTED, 0, 0);
    }
    r->wake_us = r->ops->step(r->node, &e, r->out);
    assert(r->wake_us > r->now_us || r->fill > 0); /* the contract of node.h */
}

static inline void rig_link(struct rig *r, enum link which, bool up)
{
    struct event e = {.kind = EV_LINK};
    e.u.link.which = which;
    e.u.link.up = up;
    rig_event(r, &e);
}

static inline void rig_msg(struct rig *r, struct msg *m)
{
    struct event e = {.kind = EV_MSG};
    if (m->recv_us == 0) {
        m->recv_us = r->now_us;
    }
    e.u.msg = m;
    rig_event(r, &e);
}

static inline void rig_work(struct rig *r, const struct work_reply *reply)
{
    struct event e = {.kind = EV_WORK};
    e.u.work = reply;
    rig_event(r, &e);
}

static inline void rig_store(struct rig *r, const struct store_reply *reply)
{
    struct event e = {.kind = EV_STORE};
    e.u.store = reply;
    rig_event(r, &e);
}

/* The n-th effect of a kind (and message type, when it is a send; 0: any); NULL: there is none. */
static inline const struct effect *rig_effect(const struct rig *r, enum effect_kind kind,
                                              enum msg_type type, uint32_t n)
{
    for (uint32_t i = 0; i < r->out->effect_count; i++) {
        const struct effect *e = &r->out->effects[i];
        if (e->kind == kind && (kind != FX_SEND || type == 0 || e->u.msg.type == type) &&
            n-- == 0) {
            return e;
        }
    }
    return NULL;
}

static inline const struct msg *rig_sent(const struct rig *r, enum msg_type type)
{
    const struct effect *e = rig_effect(r, FX_SEND, type, 0);
    return e != NULL ? &e->u.msg : NULL;
}

static inline uint32_t rig_count(const struct rig *r, enum effect_kind kind, enum msg_type type)
{
    uint32_t n = 0;
    while (rig_effect(r, kind, type, n) != NULL) {
        n++;
    }
    return n;
}

static inline const struct note_record *rig_note(const struct rig *r, enum note note)
{
    for (uint32_t i = 0; i < r->out->effect_count; i++) {
        const struct effect *e = &r->out->effects[i];
        if (e->kind == FX_NOTE && e->u.note.note == note) {
            return &e->u.note;
        }
    }
    return NULL;
}

#endif
