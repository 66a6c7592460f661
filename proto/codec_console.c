/* Commands of consoles and the replies to them. Which part a command or reply carries follows from
 * its kind; a part that its kind has not is refused, so that no reader ever meets a field that
 * nobody looked at. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

#include "core/note.h"

#define REPLY_TAG_ROWS 9u

static bool command_has_operation(enum command_kind kind)
{
    return kind == COMMAND_SUBMIT || kind == COMMAND_WHEN;
}

static bool command_has_query(enum command_kind kind)
{
    return kind == COMMAND_QUERY || kind == COMMAND_ROUTE || kind == COMMAND_MOVE ||
           kind == COMMAND_SCALE;
}

static bool command_has_operation_id(enum command_kind kind)
{
    return kind == COMMAND_CANCEL || kind == COMMAND_APPROVE;
}

static bool command_has_decision(enum command_kind kind)
{
    return kind == COMMAND_RESOLVE || kind == COMMAND_ISOLATE;
}

bool command_put(struct put *put, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    if (!c) {
        return false;
    }
    Mesh__MeshMessage operation;
    Mesh__Query query;
    Mesh__LogRequest log;
    Mesh__Resolve resolve;
    Mesh__ScaleRequest scale;
    Mesh__Command w;
    mesh__command__init(&w);
    w.ref = c->ref;
    w.kind = (Mesh__CommandKind)c->kind;
    if (command_has_operation(c->kind)) {
        if (!operation_put(put, &c->operation, &operation)) {
            return false;
        }
        w.operation = &operation;
    } else if (command_has_query(c->kind)) {
        w.on = c->kind != COMMAND_QUERY && c->on;
        w.name = c->kind == COMMAND_MOVE ? (char *)(uintptr_t)c->name : w.name;
        if (!query_part_put(put, &c->query, &query)) {
            return false;
        }
        w.query = &query;
        if (c->kind == COMMAND_SCALE) {
            scale_put(&c->scale, &scale);
            w.scale = &scale;
        }
    } else if (command_has_operation_id(c->kind)) {
        w.message_id = value_id(&c->operation_id);
        w.on = c->kind == COMMAND_APPROVE && c->on;
    } else if (command_has_scope(c->kind)) {
        w.scope = unit_pack(c->scope);
        w.name = (char *)(uintptr_t)c->name;
        w.on = c->on;
    } else if (command_has_id(c->kind)) {
        w.name = (char *)(uintptr_t)c->name;
        w.on = c->on;
    } else if (c->kind == COMMAND_LOG) {
        log_request_put(&c->log, &log);
        w.log = &log;
    }
    if (command_has_decision(c->kind)) {
        decision_put(&c->decision, &resolve);
        w.resolve = &resolve;
    }
    return put_pack(put, &w.base);
}

enum codec_verdict command_get(const struct get *get, const ProtobufCMessage *message,
                               struct msg *ret)
{
    const Mesh__Command *w = (const Mesh__Command *)message;
    if (!value_kind((int)w->kind, COMMAND_KIND_COUNT - 1)) {
        return CODEC_BAD_ENUM;
    }
    const enum command_kind kind = (enum command_kind)w->kind;
    if ((w->operation != NULL) != command_has_operation(kind) ||
        (w->query != NULL) != command_has_query(kind) ||
        (w->message_id.len != 0) != command_has_operation_id(kind) ||
        (w->scope != 0 && !command_has_scope(kind)) ||
        (w->scope == 0 && command_has_scope(kind) && kind != COMMAND_HEAL) ||
        (w->log != NULL) != (kind == COMMAND_LOG) ||
        (w->scale != NULL) != (kind == COMMAND_SCALE) ||
        (w->resolve != NULL) != command_has_decision(kind)) {
        return CODEC_MISSING;
    }
    struct command *c = arena_alloc(get->arena, sizeof(*c));
    if (!c) {
        return CODEC_NO_ROOM;
    }
    if (!value_text(w->name, sizeof(c->name) - 1)) {
        return CODEC_BAD_TEXT;
    }
    *c = (struct command){.ref = w->ref, .kind = kind, .on = w->on};
    memcpy(c->name, w->name, strlen(w->name));
    ret->u.command = c;
    if (!value_id_get(w->message_id, &c->operation_id) || !value_unit_get(w->scope, &c->scope)) {
        return CODEC_BAD_RANGE;
    }
    if (w->scale && !scale_get(w->scale, &c->scale)) {
        return CODEC_BAD_RANGE;
    }
    if (w->log) {
        return log_request_get(w->log, &c->log);
    }
    if (w->resolve) {
        return decision_get(w->resolve, &c->decision);
    }
    if (w->operation) {
        return operation_get(get, w->operation, &c->operation);
    }
    return w->query ? query_part_get(get, w->query, &c->query) : CODEC_OK;
}

static bool status_put(struct put *put, const struct mesh_status *s, Mesh__MeshStatus *ret)
{
    mesh__mesh_status__init(ret);
    ret->summary = put_alloc(put, sizeof(*ret->summary));
    if (!ret->summary || !summary_put(put, &s->summary, ret->summary)) {
        return false;
    }
    ret->mode = (Mesh__Mode)s->mode;
    ret->sectors = s->sectors;
    ret->sectors_up = s->sectors_up;
    ret->started_at = s->started_mesh_us;
    ret->last_cascade_at = s->last_cascade_mesh_us;
    ret->operations_in_flight = s->operations_in_flight;
    ret->operations_max = s->operations_max;
    ret->operations_done = s->operations_done;
    ret->operations_refused = s->operations_refused;
    ret->waiting = s->waiting;
    ret->approvals = s->approvals;
    ret->orders_epoch = s->orders_epoch;
    ret->orders_number = s->orders_seq;
    ret->orders_head = s->orders_head;
    ret->orders_agree = s->orders_agree;
    ret->simulation = s->simulation;
    ret->store_up = s->store_up;
    ret->frozen = s->frozen;
    ret->self = unit_pack(s->self);
    return true;
}

static enum codec_verdict status_get(const Mesh__MeshStatus *w, struct mesh_status *ret)
{
    if (!w->summary) {
        return CODEC_MISSING;
    }
    if (!value_enum((int)w->mode, MODE_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_time(w->started_at) || !value_time(w->last_cascade_at) ||
        !value_unit_get(w->self, &ret->self)) {
        return CODEC_BAD_RANGE;
    }
    ret->mode = (enum mode)w->mode;
    ret->sectors = w->sectors;
    ret->sectors_up = w->sectors_up;
    ret->started_mesh_us = w->started_at;
    ret->last_cascade_mesh_us = w->last_cascade_at;
    ret->operations_in_flight = w->operations_in_flight;
    ret->operations_max = w->operations_max;
    ret->operations_done = w->operations_done;
    ret->operations_refused = w->operations_refused;
    ret->waiting = w->waiting;
    ret->approvals = w->approvals;
    ret->orders_epoch = w->orders_epoch;
    ret->orders_seq = w->orders_number;
    ret->orders_head = w->orders_head;
    ret->orders_agree = w->orders_agree;
    ret->simulation = w->simulation;
    ret->store_up = w->store_up;
    ret->frozen = w->frozen;
    return summary_get(w->summary, &ret->summary);
}

static enum codec_verdict when_get(const Mesh__When *w, struct when_reply *ret)
{
    if (!value_time(w->lead_us_p50) || !value_time(w->lead_us_p95) || !value_time(w->lead_us_p99) ||
        !value_time(w->lead_us_wanted) || !value_rate(w->wanted, 0, 1) ||
        !value_rate(w->confidence, 0, 1) || !value_rate(w->ready_expected, 0, 1)) {
        return CODEC_BAD_RANGE;
    }
    *ret = (struct when_reply){.targets = w->targets,
                               .lead_us_p50 = w->lead_us_p50,
                               .lead_us_p95 = w->lead_us_p95,
                               .lead_us_p99 = w->lead_us_p99,
                               .wanted = w->wanted,
                               .lead_us_wanted = w->lead_us_wanted,
                               .confidence = w->confidence,
                               .ready_expected = w->ready_expected};
    return CODEC_OK;
}

/* The parts of a reply on the encoder's stack. */
struct reply_parts {
    Mesh__Aggregate progress;
    Mesh__Report report;
    Mesh__MeshStatus status;
    Mesh__When when;
    Mesh__LogPage log;
};

/* Fills in the one part (rows apart) that the kind carries. */
static bool reply_part_put(struct put *put, const struct reply *r, struct reply_parts *parts,
                           Mesh__Reply *ret)
{
    switch (r->kind) {
    case REPLY_HELD:
        ret->message_id = value_id(&r->operation_id);
        ret->reason = (Mesh__Reason)r->reason;
        ret->text = (char *)(uintptr_t)(r->text ? r->text : "");
        return value_text(r->text, TEXT_BYTES_MAX - 1);
    case REPLY_ERROR:
        ret->reason = (Mesh__Reason)r->reason;
        ret->text = (char *)(uintptr_t)(r->text ? r->text : "");
        return value_text(r->text, TEXT_BYTES_MAX - 1);
    case REPLY_LINE:
        ret->text = (char *)(uintptr_t)(r->text ? r->text : "");
        return value_text(r->text, TEXT_BYTES_MAX - 1);
    case REPLY_OK:
    case REPLY_ROWS:
        return true;
    case REPLY_ACCEPTED:
        ret->message_id = value_id(&r->operation_id);
        return true;
    case REPLY_PROGRESS:
        ret->message_id = value_id(&r->operation_id);
        ret->progress = &parts->progress;
        return aggregate_put(put, &r->progress, &parts->progress);
    case REPLY_OPERATION:
        ret->report = &parts->report;
        return r->report && report_put(put, r->report, &parts->report);
    case REPLY_STATUS:
        ret->status = &parts->status;
        return r->status && status_put(put, r->status, &parts->status);
    case REPLY_WHEN:
        mesh__when__init(&parts->when);
        parts->when.targets = r->when.targets;
        parts->when.lead_us_p50 = r->when.lead_us_p50;
        parts->when.lead_us_p95 = r->when.lead_us_p95;
        parts->when.lead_us_p99 = r->when.lead_us_p99;
        parts->when.wanted = r->when.wanted;
        parts->when.lead_us_wanted = r->when.lead_us_wanted;
        parts->when.confidence = r->when.confidence;
        parts->when.ready_expected = r->when.ready_expected;
        ret->when = &parts->when;
        return true;
    case REPLY_LOG:
        ret->log = &parts->log;
        return r->log && log_page_put(put, r->log, &parts->log);
    case REPLY_KIND_COUNT:
    default:
        return false;
    }
}

bool reply_put(struct put *put, const struct msg *msg)
{
    const struct reply *r = msg->u.reply;
    if (!r) {
        return false;
    }
    struct reply_parts parts;
    Mesh__Reply w;
    mesh__reply__init(&w);
    w.ref = r->ref;
    w.kind = (Mesh__ReplyKind)r->kind;
    w.final = r->final;
    if (!reply_part_put(put, r, &parts, &w) || !put_pack(put, &w.base)) {
        return false;
    }
    return r->kind != REPLY_ROWS || (r->rows && rows_part_put(put, REPLY_TAG_ROWS, r->rows));
}

static bool reply_parts_match(const Mesh__Reply *w, enum reply_kind kind)
{
    return (w->text[0] == 0 || kind == REPLY_ERROR || kind == REPLY_LINE || kind == REPLY_HELD) &&
           (w->reason == MESH__REASON__REASON_NONE || kind == REPLY_ERROR || kind == REPLY_HELD) &&
           (w->message_id.len == 0 || kind == REPLY_ACCEPTED || kind == REPLY_PROGRESS ||
            kind == REPLY_HELD) &&
           (w->progress != NULL) == (kind == REPLY_PROGRESS) &&
           (w->report != NULL) == (kind == REPLY_OPERATION) &&
           (w->rows != NULL) == (kind == REPLY_ROWS) &&
           (w->status != NULL) == (kind == REPLY_STATUS) &&
           (w->log != NULL) == (kind == REPLY_LOG) && (w->when != NULL) == (kind == REPLY_WHEN);
}

/* What the kind carries, into memory of its own. */
static enum codec_verdict reply_part_get(const struct get *get, const Mesh__Reply *w,
                                         struct reply *ret)
{
    if (w->report) {
        struct report *report = arena_alloc(get->arena, sizeof(*report));
        ret->report = report;
        return report ? report_get(get, w->report, report) : CODEC_NO_ROOM;
    }
    if (w->rows) {
        struct rows *rows = arena_alloc(get->arena, sizeof(*rows));
        ret->rows = rows;
        return rows ? rows_part_get(get, w->rows, rows) : CODEC_NO_ROOM;
    }
    if (w->status) {
        struct mesh_status *status = arena_alloc(get->arena, sizeof(*status));
        ret->status = status;
        return status ? status_get(w->status, status) : CODEC_NO_ROOM;
    }
    if (w->log) {
        return log_page_get(get, w->log, &ret->log);
    }
    if (w->progress) {
        return aggregate_get(get, w->progress, false, &ret->progress);
    }
    return w->when ? when_get(w->when, &ret->when) : CODEC_OK;
}

enum codec_verdict reply_get(const struct get *get, const ProtobufCMessage *message,
                             struct msg *ret)
{
    const Mesh__Reply *w = (const Mesh__Reply *)message;
    if (!value_kind((int)w->kind, REPLY_KIND_COUNT - 1) ||
        !value_enum((int)w->reason, REASON_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    const enum reply_kind kind = (enum reply_kind)w->kind;
    if (!reply_parts_match(w, kind)) {
        return CODEC_MISSING;
    }
    if (!value_text(w->text, TEXT_BYTES_MAX - 1)) {
        return CODEC_BAD_TEXT;
    }
    struct reply *r = arena_alloc(get->arena, sizeof(*r));
    if (!r) {
        return CODEC_NO_ROOM;
    }
    *r = (struct reply){.ref = w->ref,
                        .kind = kind,
                        .final = w->final,
                        .reason = (enum reason)w->reason,
                        .text = w->text};
    ret->u.reply = r;
    if (!value_id_get(w->message_id, &r->operation_id)) {
        return CODEC_BAD_RANGE;
    }
    return reply_part_get(get, w, r);
}
