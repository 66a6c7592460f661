/* Conflicts on their way up, the acknowledgements on their way down, and what consoles ask and hear
 * of the logs. Texts have the bounds of core/logs.h; a longer one is refused, never cut. */
#include "proto/codec_parts.h"

#include "core/num.h"

#include <assert.h>
#include <string.h>

#include "core/note.h"

bool conflict_report_put(struct put *put, const struct msg *msg)
{
    const struct conflict_report *r = msg->u.conflict;
    if (!r || r->expected_bytes > CONFLICT_VALUE_MAX || r->received_bytes > CONFLICT_VALUE_MAX) {
        return false;
    }
    const struct conflict_detail detail = {.type = r->type,
                                           .context_hash = r->context_hash,
                                           .divergence_depth = r->divergence_depth,
                                           .agents_affected = r->agents_affected,
                                           .expected_bytes = r->expected_bytes,
                                           .received_bytes = r->received_bytes,
                                           .expected = r->expected,
                                           .received = r->received};
    Mesh__ConflictDetail d;
    Mesh__ConflictReport w;
    mesh__conflict_report__init(&w);
    if (!conflict_put(&detail, &d)) {
        return false;
    }
    w.conflict_id = r->id;
    w.message_id = value_id(&r->operation_id);
    w.agent = unit_pack(r->agent);
    w.uid = r->uid;
    w.at = r->at_mesh_us;
    w.lamport = r->lamport;
    w.action = (char *)(uintptr_t)r->action;
    w.detail = &d;
    w.incident = r->incident;
    w.event = r->event;
    return put_pack(put, &w.base);
}

enum codec_verdict conflict_report_get(const struct get *get, const ProtobufCMessage *message,
                                       struct msg *ret)
{
    const Mesh__ConflictReport *w = (const Mesh__ConflictReport *)message;
    struct conflict_detail d;
    if (!w->detail || w->conflict_id == 0) {
        return CODEC_MISSING;
    }
    const enum codec_verdict verdict = conflict_get(w->detail, &d);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    if (w->incident >= FAILURE_CLASS_COUNT || w->event >= INCIDENT_EVENT_COUNT ||
        (w->incident == 0) != (w->event == 0)) {
        return CODEC_BAD_ENUM;
    }
    struct conflict_report *r = arena_alloc(get->arena, sizeof(*r));
    if (!r) {
        return CODEC_NO_ROOM;
    }
    *r = (struct conflict_report){.id = w->conflict_id,
                                  .uid = w->uid,
                                  .at_mesh_us = w->at,
                                  .lamport = w->lamport,
                                  .type = d.type,
                                  .context_hash = d.context_hash,
                                  .divergence_depth = d.divergence_depth,
                                  .agents_affected = d.agents_affected,
                                  .incident = (uint8_t)w->incident,
                                  .event = (uint8_t)w->event};
    if (d.expected_bytes > CONFLICT_VALUE_MAX || d.received_bytes > CONFLICT_VALUE_MAX ||
        !value_id_get(w->message_id, &r->operation_id) || !value_unit_get(w->agent, &r->agent) ||
        (r->agent.tier != TIER_AGENT && r->agent.tier != TIER_CLUSTER) || !value_time(w->at)) {
        return CODEC_BAD_RANGE;
    }
    if (!value_text(w->action, ACTION_MAX - 1)) {
        return CODEC_BAD_TEXT;
    }
    r->expected_bytes = (uint16_t)d.expected_bytes;
    r->received_bytes = (uint16_t)d.received_bytes;
    if (d.expected_bytes > 0) {
        memcpy(r->expected, d.expected, d.expected_bytes);
    }
    if (d.received_bytes > 0) {
        memcpy(r->received, d.received, d.received_bytes);
    }
    memcpy(r->action, w->action, strlen(w->action) + 1);
    ret->u.conflict = r;
    return CODEC_OK;
}

bool conflict_ack_put(struct put *put, const struct msg *msg)
{
    Mesh__ConflictAck w = MESH__CONFLICT_ACK__INIT;
    w.conflict_id = msg->u.conflict_ack.id;
    w.agent = unit_pack(msg->u.conflict_ack.agent);
    w.lamport = msg->u.conflict_ack.lamport;
    return put_pack(put, &w.base);
}

enum codec_verdict conflict_ack_get(const struct get *get, const ProtobufCMessage *message,
                                    struct msg *ret)
{
    (void)get;
    const Mesh__ConflictAck *w = (const Mesh__ConflictAck *)message;
    ret->u.conflict_ack.id = w->conflict_id;
    ret->u.conflict_ack.lamport = w->lamport;
    return value_unit_get(w->agent, &ret->u.conflict_ack.agent) ? CODEC_OK : CODEC_BAD_RANGE;
}

bool isolate_put(struct put *put, const struct msg *msg)
{
    Mesh__Isolate w = MESH__ISOLATE__INIT;
    w.agent = unit_pack(msg->u.isolate.agent);
    w.what = (uint32_t)msg->u.isolate.what;
    w.capabilities = msg->u.isolate.capabilities;
    w.agents = msg->u.isolate.agents;
    return put_pack(put, &w.base);
}

enum codec_verdict isolate_get(const struct get *get, const ProtobufCMessage *message,
                               struct msg *ret)
{
    (void)get;
    const Mesh__Isolate *w = (const Mesh__Isolate *)message;
    struct isolate *i = &ret->u.isolate;
    if (!value_kind((int)w->what, ISOLATE_COUNT - 1)) {
        return CODEC_BAD_ENUM;
    }
    i->what = (enum isolation)w->what;
    i->capabilities = w->capabilities;
    i->agents = w->agents;
    return value_unit_get(w->agent, &i->agent) && i->agent.tier == TIER_AGENT ? CODEC_OK
                                                                              : CODEC_BAD_RANGE;
}

void move_fill(const struct move *m, Mesh__Move *ret)
{
    mesh__move__init(ret);
    ret->id = m->id;
    ret->home = unit_pack(m->home);
    ret->place = unit_pack(m->place);
    ret->agents = m->agents;
    ret->places = m->places;
    ret->back = m->back;
}

bool move_put(struct put *put, const struct msg *msg)
{
    Mesh__Move w;
    move_fill(&msg->u.move, &w);
    return put_pack(put, &w.base);
}

enum codec_verdict move_get(const struct get *get, const ProtobufCMessage *message, struct msg *ret)
{
    (void)get;
    const Mesh__Move *w = (const Mesh__Move *)message;
    struct move *m = &ret->u.move;
    *m = (struct move){.id = w->id, .agents = w->agents, .places = w->places, .back = w->back};
    return value_unit_get(w->home, &m->home) && m->home.tier == TIER_CLUSTER &&
                   value_unit_get(w->place, &m->place) && m->place.tier == TIER_CLUSTER &&
                   m->agents != 0 && num_bits(m->agents) == num_bits(m->places)
               ? CODEC_OK
               : CODEC_BAD_RANGE;
}

bool content_put(struct put *put, const struct msg *msg)
{
    const struct content_word *c = &msg->u.content;
    Mesh__Content w = MESH__CONTENT__INIT;
    if (c->bytes > CONTENT_BYTES_MAX) {
        return false;
    }
    w.hash = value_bytes(c->hash, sizeof(c->hash));
    w.ask = c->ask;
    w.holder = unit_pack(c->holder);
    w.body = value_bytes(c->body, c->bytes);
    return put_pack(put, &w.base);
}

enum codec_verdict content_get(const struct get *get, const ProtobufCMessage *message,
                               struct msg *ret)
{
    (void)get;
    const Mesh__Content *w = (const Mesh__Content *)message;
    struct content_word *c = &ret->u.content;
    *c = (struct content_word){.ask = w->ask, .bytes = (uint32_t)w->body.len};
    if (w->hash.len != sizeof(c->hash) || w->body.len > CONTENT_BYTES_MAX ||
        (w->ask && w->body.len > 0) || !value_unit_get(w->holder, &c->holder) ||
        (c->holder.tier != TIER_NONE && c->holder.tier != TIER_AGENT)) {
        return CODEC_BAD_RANGE;
    }
    memcpy(c->hash, w->hash.data, sizeof(c->hash));
    c->body = w->body.len > 0 ? w->body.data : NULL;
    return CODEC_OK;
}

/* ---- what a console asks ---- */

void log_request_put(const struct log_request *q, Mesh__LogRequest *ret)
{
    mesh__log_request__init(ret);
    ret->log = (uint32_t)q->log;
    ret->ask = (uint32_t)q->ask;
    ret->cursor = q->cursor;
    ret->limit = q->limit;
    ret->since = q->since_us;
    ret->until = q->until_us;
    ret->priority = q->priority;
    ret->open = q->open;
    ret->newest = q->newest;
    ret->agent = q->agent.tier == TIER_NONE ? 0 : unit_pack(q->agent);
    ret->event = (char *)(uintptr_t)q->event;
    ret->subject = (char *)(uintptr_t)q->subject;
    ret->type = (char *)(uintptr_t)q->type;
    ret->actor = (char *)(uintptr_t)q->actor;
}

/* False: longer than its place. */
static bool text_get(const char *wire, char *ret, size_t size)
{
    const size_t length = strlen(wire);
    if (length >= size) {
        return false;
    }
    memcpy(ret, wire, length + 1);
    return true;
}

enum codec_verdict log_request_get(const Mesh__LogRequest *w, struct log_request *ret)
{
    if (!value_kind((int)w->log, LOG_KIND_COUNT - 1) ||
        !value_kind((int)w->ask, LOG_ASK_COUNT - 1)) {
        return CODEC_BAD_ENUM;
    }
    *ret = (struct log_request){.log = (enum log_kind)w->log,
                                .ask = (enum log_ask)w->ask,
                                .cursor = w->cursor,
                                .limit = w->limit,
                                .since_us = w->since,
                                .until_us = w->until,
                                .priority = w->priority,
                                .open = w->open,
                                .newest = w->newest};
    if (!value_unit_get(w->agent, &ret->agent) || !value_time(w->since) || !value_time(w->until) ||
        w->cursor > INT64_MAX || w->priority > CONFLICT_PRIORITY_MAX) {
        return CODEC_BAD_RANGE;
    }
    return text_get(w->event, ret->event, sizeof(ret->event)) &&
                   text_get(w->subject, ret->subject, sizeof(ret->subject)) &&
                   text_get(w->type, ret->type, sizeof(ret->type)) &&
                   text_get(w->actor, ret->actor, sizeof(ret->actor))
               ? CODEC_OK
               : CODEC_BAD_TEXT;
}

void decision_put(const struct conflict_decision *d, Mesh__Resolve *ret)
{
    mesh__resolve__init(ret);
    ret->conflict = (char *)(uintptr_t)d->conflict;
    ret->keep = (uint32_t)d->keep;
    ret->note = (char *)(uintptr_t)d->note;
}

enum codec_verdict decision_get(const Mesh__Resolve *w, struct conflict_decision *ret)
{
    *ret = (struct conflict_decision){.keep = (enum conflict_keep)w->keep};
    if (w->keep >= KEEP_COUNT) {
        return CODEC_BAD_ENUM;
    }
    return text_get(w->conflict, ret->conflict, sizeof(ret->conflict)) &&
                   text_get(w->note, ret->note, sizeof(ret->note))
               ? CODEC_OK
               : CODEC_BAD_TEXT;
}

/* ---- what it hears ---- */

static void entry_put(const struct log_entry *e, Mesh__LogEntry *ret)
{
    mesh__log_entry__init(ret);
    ret->seq = e->seq;
    ret->at = e->at_us;
    ret->priority = e->priority;
    ret->id = (char *)(uintptr_t)e->id;
    ret->event = (char *)(uintptr_t)e->event;
    ret->subject = (char *)(uintptr_t)e->subject;
    ret->agent = (char *)(uintptr_t)e->agent;
    ret->type = (char *)(uintptr_t)e->type;
    ret->actor = (char *)(uintptr_t)e->actor;
    ret->body = (char *)(uintptr_t)e->body;
    ret->prev = (char *)(uintptr_t)e->prev;
    ret->hash = (char *)(uintptr_t)e->hash;
}

bool log_page_put(struct put *put, const struct log_page *p, Mesh__LogPage *ret)
{
    mesh__log_page__init(ret);
    ret->log = (uint32_t)p->log;
    ret->ask = (uint32_t)p->ask;
    ret->cursor = p->cursor;
    ret->last = p->last;
    ret->head = (char *)(uintptr_t)p->head;
    ret->finding = (char *)(uintptr_t)p->finding;
    if (p->count == 0) {
        return true;
    }
    Mesh__LogEntry *entries = put_alloc(put, p->count * sizeof(*entries));
    ret->entries = put_alloc(put, p->count * sizeof(*ret->entries));
    if (p->count > LOG_PAGE_ROWS || !entries || !ret->entries) {
        return false;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        entry_put(&p->entries[i], &entries[i]);
        ret->entries[i] = &entries[i];
    }
    ret->n_entries = p->count;
    return true;
}

static bool entry_get(const Mesh__LogEntry *w, struct log_entry *ret)
{
    ret->seq = w->seq;
    ret->at_us = w->at;
    ret->priority = w->priority;
    return text_get(w->id, ret->id, sizeof(ret->id)) &&
           text_get(w->event, ret->event, sizeof(ret->event)) &&
           text_get(w->subject, ret->subject, sizeof(ret->subject)) &&
           text_get(w->agent, ret->agent, sizeof(ret->agent)) &&
           text_get(w->type, ret->type, sizeof(ret->type)) &&
           text_get(w->actor, ret->actor, sizeof(ret->actor)) &&
           text_get(w->body, ret->body, sizeof(ret->body)) &&
           text_get(w->prev, ret->prev, sizeof(ret->prev)) &&
           text_get(w->hash, ret->hash, sizeof(ret->hash));
}

enum codec_verdict log_page_get(const struct get *get, const Mesh__LogPage *w,
                                const struct log_page **ret)
{
    if (!value_kind((int)w->log, LOG_KIND_COUNT - 1) ||
        !value_kind((int)w->ask, LOG_ASK_COUNT - 1)) {
        return CODEC_BAD_ENUM;
    }
    if (w->n_entries > LOG_PAGE_ROWS) {
        return CODEC_TOO_MANY;
    }
    struct log_page *p = arena_alloc(get->arena, sizeof(*p));
    if (!p) {
        return CODEC_NO_ROOM;
    }
    memset(p, 0, sizeof(*p));
    p->log = (enum log_kind)w->log;
    p->ask = (enum log_ask)w->ask;
    p->cursor = w->cursor;
    p->last = w->last;
    p->count = (uint32_t)w->n_entries;
    if (!text_get(w->head, p->head, sizeof(p->head)) ||
        !text_get(w->finding, p->finding, sizeof(p->finding))) {
        return CODEC_BAD_TEXT;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (!value_clock(w->entries[i]->at) || !entry_get(w->entries[i], &p->entries[i])) {
            return CODEC_BAD_TEXT;
        }
    }
    *ret = p;
    return CODEC_OK;
}
