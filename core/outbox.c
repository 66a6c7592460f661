/* The outbox, and deep copies of everything that can be said.
 *
 * A node hands over borrowed pointers; the effect runs after step() returned, so everything that
 * can be reached is copied into the outbox's own bytes. Measuring and copying are one walk: with no
 * room given the walk only adds up, so that msg_extra_bytes() and msg_copy() cannot disagree. Every
 * part starts on 16 bytes and takes a multiple of 16, so sums of extra bytes are exact whatever the
 * order of the effects. Bounds: OUTBOX_EFFECTS_MAX effects and OUTBOX_BYTES_MAX bytes; a node that
 * emits without having asked outbox_room() is a bug and ends in an assert. */
#include "core/fault.h"
#include "core/node.h"
#include "core/order.h"

#include <assert.h>
#include <string.h>

#define PART_ALIGN 16u

/* room NULL: measure only. */
struct copier {
    uint8_t *room;
    uint32_t room_bytes;
    uint32_t used;
};

/* Room for `bytes`, not filled; NULL when measuring or when there is nothing. */
static void *part_room(struct copier *c, size_t bytes)
{
    assert(bytes <= UINT32_MAX / 2u);
    if (bytes == 0) {
        return NULL;
    }
    uint32_t at = c->used;
    uint32_t padded = (uint32_t)(bytes + PART_ALIGN - 1u) & ~(PART_ALIGN - 1u);
    assert(at <= UINT32_MAX - padded);
    c->used = at + padded;
    if (c->room == NULL) {
        return NULL;
    }
    assert(c->used <= c->room_bytes);
    return c->room + at;
}

static void *part(struct copier *c, const void *source, size_t bytes)
{
    assert(source != NULL || bytes == 0);
    void *copy = part_room(c, bytes);
    if (copy != NULL) {
        memcpy(copy, source, bytes);
    }
    return copy;
}

static const char *part_text(struct copier *c, const char *text)
{
    return text == NULL ? NULL : part(c, text, strlen(text) + 1u);
}

/* In all walks below `ret` is the shallow copy of `source` whose pointers are to be replaced, or
 * NULL when measuring. */
static void operation_parts(struct copier *c, const struct operation *source, struct operation *ret)
{
    const uint8_t *payload = part(c, source->payload, source->payload_bytes);
    if (ret != NULL) {
        ret->payload = payload;
    }
}

static const struct operation *operation_part(struct copier *c, const struct operation *source)
{
    if (source == NULL) {
        return NULL;
    }
    struct operation *copy = part(c, source, sizeof *source);
    operation_parts(c, source, copy);
    return copy;
}

static void group_parts(struct copier *c, const struct answer_group *source,
                        struct answer_group *ret)
{
    const struct run *runs = part(c, source->runs, source->run_count * sizeof *runs);
    const uint8_t *answer = part(c, source->answer, source->answer_bytes);
    if (ret != NULL) {
        ret->runs = runs;
        ret->answer = answer;
    }
}

static void aggregate_parts(struct copier *c, const struct aggregate_view *source,
                            struct aggregate_view *ret)
{
    struct answer_group *groups =
        part(c, source->groups, source->group_count * sizeof *source->groups);
    for (uint32_t i = 0; i < source->group_count; i++) {
        group_parts(c, &source->groups[i], groups == NULL ? NULL : &groups[i]);
    }
    if (ret != NULL) {
        ret->groups = groups;
    }
}

static void row_parts(struct copier *c, enum row_kind kind, const struct page_row *source,
                      struct page_row *ret)
{
    switch (kind) {
    case ROW_AGENT:
        return;
    case ROW_SUMMARY: {
        const struct summary *summary = NULL;
        if (source->u.summary != NULL) {
            summary = part(c, source->u.summary, sizeof *summary);
        }
        if (ret != NULL) {
            ret->u.summary = summary;
        }
        return;
    }
    case ROW_ANSWER:
        group_parts(c, &source->u.answer, ret == NULL ? NULL : &ret->u.answer);
        return;
    case ROW_RECORD: {
        /* One byte more than the text, so that the copy always ends in NUL. */
        uint32_t bytes = source->u.record.bytes;
        assert(source->u.record.text != NULL || bytes == 0);
        char *text = part_room(c, (size_t)bytes + 1u);
        if (ret != NULL) {
            assert(text != NULL);
            if (bytes > 0) {
                memcpy(text, source->u.record.text, bytes);
            }
            text[bytes] = '\0';
            ret->u.record.text = text;
        }
        return;
    }
    }
    assert(false); /* unknown row kind */
}

static void rows_parts(struct copier *c, const struct rows *source, struct rows *ret)
{
    struct page_row *rows = part(c, source->rows, source->row_count * sizeof *rows);
    for (uint32_t i = 0; i < source->row_count; i++) {
        row_parts(c, source->kind, &source->rows[i], rows == NULL ? NULL : &rows[i]);
    }
    if (ret != NULL) {
        ret->rows = rows;
    }
}

static const struct conflict_detail *conflict_part(struct copier *c,
                                                   const struct conflict_detail *source)
{
    if (source == NULL) {
        return NULL;
    }
    struct conflict_detail *copy = part(c, source, sizeof *source);
    const uint8_t *expected = part(c, source->expected, source->expected_bytes);
    const uint8_t *received = part(c, source->received, source->received_bytes);
    if (copy != NULL) {
        copy->expected = expected;
        copy->received = received;
    }
    return copy;
}

static const struct report *report_part(struct copier *c, const struct report *source)
{
    if (source == NULL) {
        return NULL;
    }
    struct report *copy = part(c, source, sizeof *source);
    const char *status = part_text(c, source->status);
    const char *recommendation = part_text(c, source->recommendation);
    const char *reason = part_text(c, source->decision_reason);
    const char *advice = part_text(c, source->decision_recommendation);
    aggregate_parts(c, &source->aggregate, copy == NULL ? NULL : &copy->aggregate);
    if (copy != NULL) {
        copy->status = status;
        copy->recommendation = recommendation;
        copy->decision_reason = reason;
        copy->decision_recommendation = advice;
    }
    return copy;
}

static const struct reply *reply_part(struct copier *c, const struct reply *source)
{
    assert(source != NULL);
    struct reply *copy = part(c, source, sizeof *source);
    const char *text = part_text(c, source->text);
    const struct report *report = report_part(c, source->report);
    struct rows *rows = NULL;
    const struct mesh_status *status = NULL;
    if (source->rows != NULL) {
        rows = part(c, source->rows, sizeof *rows);
        rows_parts(c, source->rows, rows);
    }
    if (source->status != NULL) {
        status = part(c, source->status, sizeof *status);
    }
    const struct log_page *log = NULL;
    if (source->log != NULL) {
        log = part(c, source->log, sizeof *log);
    }
    aggregate_parts(c, &source->progress, copy == NULL ? NULL : &copy->progress);
    if (copy != NULL) {
        copy->text = text;
        copy->report = report;
        copy->rows = rows;
        copy->status = status;
        copy->log = log;
    }
    return copy;
}

static const struct result *result_part(struct copier *c, const struct result *source)
{
    assert(source != NULL);
    struct result *copy = part(c, source, sizeof *source);
    aggregate_parts(c, &source->aggregate, copy == NULL ? NULL : &copy->aggregate);
    return copy;
}

static const struct command *command_part(struct copier *c, const struct command *source)
{
    assert(source != NULL);
    struct command *copy = part(c, source, sizeof *source);
    operation_parts(c, &source->operation, copy == NULL ? NULL : &copy->operation);
    return copy;
}

static const struct order *order_part(struct copier *c, const struct order *source)
{
    assert(source != NULL);
    struct order *copy = part(c, source, sizeof *source);
    if (source->what == ORDER_STATE) {
        const struct order_state *state = part(c, source->u.state, sizeof *source->u.state);
        if (copy != NULL) {
            copy->u.state = state;
        }
    } else if (source->what == ORDER_MOVES) {
        const struct order_moves *moves = part(c, source->u.moves, sizeof *source->u.moves);
        if (copy != NULL) {
            copy->u.moves = moves;
        }
    } else if (source->what == ORDER_GROWS) {
        const struct order_grows *grows = part(c, source->u.grows, sizeof *source->u.grows);
        if (copy != NULL) {
            copy->u.grows = grows;
        }
    }
    return copy;
}

/* The parts of the messages whose own struct stands in the union. */
static void inline_parts(struct copier *c, const struct msg *m, struct msg *ret)
{
    if (m->type == MSG_OPERATE) {
        const struct target *targets =
            part(c, m->u.operate.targets, m->u.operate.target_count * sizeof *targets);
        if (ret != NULL) {
            ret->u.operate.targets = targets;
            ret->u.operate.operation = NULL;
        }
    } else if (m->type == MSG_ACK) {
        const uint8_t *answer = part(c, m->u.ack.answer, m->u.ack.answer_bytes);
        const struct conflict_detail *conflict = conflict_part(c, m->u.ack.conflict);
        if (ret != NULL) {
            ret->u.ack.answer = answer;
            ret->u.ack.conflict = conflict;
        }
    } else if (m->type == MSG_RELAY) {
        const struct operation *operation = operation_part(c, m->u.relay.operation);
        if (ret != NULL) {
            ret->u.relay.operation = operation;
        }
    } else if (m->type == MSG_RELAY_ACK) {
        const uint8_t *answer = part(c, m->u.relay_ack.answer, m->u.relay_ack.answer_bytes);
        if (ret != NULL) {
            ret->u.relay_ack.answer = answer;
        }
    } else if (m->type == MSG_CONTENT) {
        const uint8_t *body = part(c, m->u.content.body, m->u.content.bytes);
        if (ret != NULL) {
            ret->u.content.body = body;
        }
    } else {
        assert(m->type == MSG_ROWS);
        rows_parts(c, &m->u.rows, ret == NULL ? NULL : &ret->u.rows);
    }
}

static void msg_parts(struct copier *c, const struct msg *m, struct msg *ret)
{
    struct msg scratch; /* only its union's pointer is written, when measuring */
    struct msg *to = ret != NULL ? ret : &scratch;
    switch (m->type) {
    case MSG_BEAT:
        assert(m->u.beat != NULL);
        to->u.beat = part(c, m->u.beat, sizeof *m->u.beat);
        return;
    case MSG_RESULT:
        to->u.result = result_part(c, m->u.result);
        return;
    case MSG_PREPARE:
        assert(m->u.prepare != NULL);
        to->u.prepare = part(c, m->u.prepare, sizeof *m->u.prepare);
        return;
    case MSG_PREPARED:
        assert(m->u.prepared != NULL);
        to->u.prepared = part(c, m->u.prepared, sizeof *m->u.prepared);
        return;
    case MSG_QUERY:
        assert(m->u.query != NULL);
        to->u.query = part(c, m->u.query, sizeof *m->u.query);
        return;
    case MSG_COMMAND:
        to->u.command = command_part(c, m->u.command);
        return;
    case MSG_REPLY:
        to->u.reply = reply_part(c, m->u.reply);
        return;
    case MSG_CONFLICT:
        assert(m->u.conflict != NULL);
        to->u.conflict = part(c, m->u.conflict, sizeof *m->u.conflict);
        return;
    case MSG_ORDER:
        to->u.order = order_part(c, m->u.order);
        return;
    case MSG_OPERATE:
    case MSG_ACK:
    case MSG_ROWS:
    case MSG_RELAY:
    case MSG_RELAY_ACK:
    case MSG_CONTENT:
        inline_parts(c, m, ret);
        return;
    case MSG_HELLO:
        to->u.hello.facts = part_text(c, m->u.hello.facts);
        return;
    case MSG_WELCOME:
    case MSG_GOODBYE:
    case MSG_HEARTBEAT:
    case MSG_BEAT_REPLY:
    case MSG_CANCEL:
    case MSG_CIRCUIT:
    case MSG_FREEZE:
    case MSG_THAW:
    case MSG_HEAL:
    case MSG_HOST_REPORT:
    case MSG_CONFLICT_ACK:
    case MSG_ISOLATE:
    case MSG_MOVE:
    case MSG_GROW:
    case MSG_RESUME:
        return;
    case MSG_TYPE_COUNT:
        break;
    }
    assert(false); /* unknown message type */
}

/* The values in one piece, one behind the other; names are literals, or
 * the node's memory, and stay where they are. */
static const struct store_field *fields_part(struct copier *c, const struct store_field *source,
                                             uint32_t field_count)
{
    if (field_count == 0) {
        return NULL;
    }
    struct store_field *fields = part(c, source, field_count * sizeof *fields);
    const char *from = source[0].value;
    size_t bytes = 0;
    bool one_piece = from != NULL; /* as they come from one who put them together in a row */
    for (uint32_t i = 0; i < field_count; i++) {
        one_piece = one_piece && source[i].value == from + bytes;
        bytes += source[i].value_bytes;
    }
    char *at = part_room(c, bytes); /* NULL: nothing to copy, or measuring */
    if (fields == NULL) {
        return NULL;
    }
    if (one_piece && at != NULL && from != NULL) {
        memcpy(at, from, bytes);
    }
    for (uint32_t i = 0; i < field_count; i++) {
        uint32_t count = source[i].value_bytes;
        fields[i].value = at;
        if (count > 0) {
            if (!one_piece) {
                assert(source[i].value != NULL);
                memcpy(at, source[i].value, count);
            }
            at += count;
        }
    }
    return fields;
}

/* Records or members to be written: of a row its key, its fields and its score. */
static const struct store_row *puts_part(struct copier *c, const struct store_op *source)
{
    struct store_row *rows = part(c, source->rows, source->row_count * sizeof *rows);
    for (uint32_t i = 0; i < source->row_count; i++) {
        const struct store_row *row = &source->rows[i];
        const char *key = part_text(c, row->key);
        const struct store_field *fields = fields_part(c, row->fields, row->field_count);
        if (rows != NULL) {
            rows[i] = (struct store_row){
                .key = key, .fields = fields, .field_count = row->field_count, .score = row->score};
        }
    }
    return rows;
}

static void store_parts(struct copier *c, const struct store_op *source, struct store_op *ret)
{
    const char *shard = part_text(c, source->shard);
    const char *key = part_text(c, source->key);
    const char *collection = part_text(c, source->collection);
    const char *id = part_text(c, source->id);
    const char *owner = part_text(c, source->owner);
    const struct store_field *fields = fields_part(c, source->fields, source->field_count);
    const struct store_row *rows = puts_part(c, source);
    const uint8_t *body = part(c, source->body, source->body_bytes);
    if (ret != NULL) {
        ret->shard = shard;
        ret->key = key;
        ret->collection = collection;
        ret->id = id;
        ret->owner = owner;
        ret->fields = fields;
        ret->rows = rows;
        ret->body = body;
    }
}

uint32_t msg_extra_bytes(const struct msg *msg)
{
    assert(msg != NULL);
    struct copier c = {0};
    msg_parts(&c, msg, NULL);
    assert(c.used % PART_ALIGN == 0);
    return c.used;
}

uint32_t operation_extra_bytes(const struct operation *operation)
{
    assert(operation != NULL);
    struct copier c = {0};
    operation_parts(&c, operation, NULL);
    assert(c.used % PART_ALIGN == 0);
    return c.used;
}

uint32_t store_op_extra_bytes(const struct store_op *op)
{
    assert(op != NULL);
    struct copier c = {0};
    store_parts(&c, op, NULL);
    assert(c.used % PART_ALIGN == 0);
    return c.used;
}

/* A copier that really copies; room may be NULL only when nothing is to be copied. */
static struct copier copier_into(uint8_t *room, uint32_t room_bytes)
{
    assert(room != NULL && (uintptr_t)room % PART_ALIGN == 0);
    return (struct copier){.room = room, .room_bytes = room_bytes};
}

uint32_t msg_copy(const struct msg *msg, struct msg *ret, uint8_t *room, uint32_t room_bytes)
{
    assert(msg != NULL && ret != NULL && msg != ret);
    struct copier c = copier_into(room, room_bytes);
    *ret = *msg;
    msg_parts(&c, msg, ret);
    return c.used;
}

uint32_t operation_copy(const struct operation *operation, struct operation *ret, uint8_t *room,
                        uint32_t room_bytes)
{
    assert(operation != NULL && ret != NULL && operation != ret);
    struct copier c = copier_into(room, room_bytes);
    *ret = *operation;
    operation_parts(&c, operation, ret);
    return c.used;
}

uint32_t store_op_copy(const struct store_op *op, struct store_op *ret, uint8_t *room,
                       uint32_t room_bytes)
{
    assert(op != NULL && ret != NULL && op != ret);
    struct copier c = copier_into(room, room_bytes);
    *ret = *op;
    store_parts(&c, op, ret);
    return c.used;
}

void outbox_clear(struct outbox *out)
{
    assert(out != NULL);
    assert(out->effect_count <= OUTBOX_EFFECTS_MAX);
    out->effect_count = 0;
    out->bytes_used = 0;
    out->faults = 0;
}

static bool fits(const struct outbox *out, uint32_t effects, uint32_t bytes)
{
    assert(out->effect_count <= OUTBOX_EFFECTS_MAX);
    assert(out->bytes_used <= OUTBOX_BYTES_MAX && out->bytes_used % PART_ALIGN == 0);
    return effects <= OUTBOX_EFFECTS_MAX - out->effect_count &&
           bytes <= OUTBOX_BYTES_MAX - out->bytes_used;
}

bool outbox_room(const struct outbox *out, uint32_t effects, uint32_t bytes)
{
    if (fault(out, FAULT_NO_ROOM) && (out->effect_count + effects > OUTBOX_EFFECTS_MAX / 4u ||
                                      out->bytes_used + bytes > OUTBOX_BYTES_MAX / 2u)) {
        return false;
    }
    return fits(out, effects, bytes);
}

static struct effect *outbox_next(struct outbox *out, enum effect_kind kind)
{
    assert(fits(out, 1, 0));
    struct effect *effect = &out->effects[out->effect_count];
    out->effect_count++;
    effect->kind = kind;
    return effect;
}

void out_send(struct outbox *out, const struct msg *msg)
{
    assert(out != NULL && msg != NULL);
    struct effect *effect = outbox_next(out, FX_SEND);
    out->bytes_used += msg_copy(msg, &effect->u.msg, out->bytes + out->bytes_used,
                                OUTBOX_BYTES_MAX - out->bytes_used);
}

void out_seal(struct outbox *out, const struct operation *operation)
{
    assert(out != NULL && operation != NULL);
    assert(operation->payload_bytes <= PAYLOAD_BYTES_MAX);
    struct effect *effect = outbox_next(out, FX_SEAL);
    out->bytes_used += operation_copy(operation, &effect->u.operation, out->bytes + out->bytes_used,
                                      OUTBOX_BYTES_MAX - out->bytes_used);
}

void out_store(struct outbox *out, const struct store_op *op)
{
    assert(out != NULL && op != NULL);
    assert(store_op_check(op) == NULL);
    struct effect *effect = outbox_next(out, FX_STORE);
    out->bytes_used += store_op_copy(op, &effect->u.store, out->bytes + out->bytes_used,
                                     OUTBOX_BYTES_MAX - out->bytes_used);
}

void out_work(struct outbox *out, const struct work_op *op)
{
    assert(out != NULL && op != NULL);
    assert(op->kind >= WORK_HANDLER && op->kind < WORK_KIND_COUNT);
    struct effect *fx = outbox_next(out, FX_WORK);
    fx->u.work = *op;
    if (op->body_bytes > 0) {
        struct copier c = {.room = out->bytes + out->bytes_used,
                           .room_bytes = OUTBOX_BYTES_MAX - out->bytes_used};
        fx->u.work.body = part(&c, op->body, op->body_bytes);
        out->bytes_used += c.used;
    }
}

uint32_t work_op_extra_bytes(const struct work_op *op)
{
    assert(op != NULL);
    return (op->body_bytes + (PART_ALIGN - 1u)) & ~(PART_ALIGN - 1u);
}

void out_work_cancel(struct outbox *out, uint64_t ref)
{
    assert(out != NULL);
    outbox_next(out, FX_WORK_CANCEL)->u.work_ref = ref;
}

void out_exclude(struct outbox *out, const char *name, bool on)
{
    assert(out != NULL && name != NULL);
    size_t bytes = strlen(name);
    assert(bytes > 0 && bytes < THREAT_NAME_MAX);
    struct exclusion *e = &outbox_next(out, FX_EXCLUDE)->u.exclusion;
    memset(e, 0, sizeof(*e));
    memcpy(e->name, name, bytes);
    e->on = on;
}

void out_grant(struct outbox *out, struct unit place, struct unit home)
{
    assert(out != NULL);
    assert(place.tier == TIER_AGENT && (home.tier == TIER_AGENT || home.tier == TIER_NONE));
    outbox_next(out, FX_GRANT)->u.grant = (struct grant){.place = place, .home = home};
}

void out_span(struct outbox *out, const struct span *span)
{
    assert(out != NULL && span != NULL);
    assert(span->start_mesh_us > 0 && span->end_mesh_us >= span->start_mesh_us);
    if (outbox_room(out, 1, 0)) {
        outbox_next(out, FX_SPAN)->u.span = *span;
    }
}

void out_note(struct outbox *out, enum note note, uint64_t a, uint64_t b)
{
    assert(out != NULL);
    assert(note > NOTE_NONE && note < NOTE_COUNT);
    outbox_next(out, FX_NOTE)->u.note = (struct note_record){.note = note, .a = a, .b = b};
}
