/* Deep copies of every message type and of every effect.
 *
 * One walk both fills and checks: it fills a message whose parts all lie in an arena, the message
 * is copied, arena and message are poisoned, and the same walk then checks the copy. The room for
 * the copy has exactly the size that msg_extra_bytes() promised, under the address sanitizer. */
#include "core/node.h"
#include "core/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct walk {
    bool check;
    _Alignas(16) uint8_t arena[262144];
    size_t used;
    uint32_t next; /* of the pattern */
};

static struct walk walk;

static void walk_begin(bool check)
{
    walk.check = check;
    walk.next = 1;
    if (!check) {
        walk.used = 0;
    }
}

static uint8_t *arena_take(size_t bytes)
{
    walk.used = (walk.used + 15u) & ~(size_t)15u;
    assert_true(walk.used + bytes <= sizeof walk.arena);
    uint8_t *at = walk.arena + walk.used;
    walk.used += bytes;
    memset(at, 0, bytes);
    return at;
}

/* A number in sequence: set, or compared. */
#define SCALAR(field)                                                                              \
    do {                                                                                           \
        walk.next++;                                                                               \
        if (walk.check) {                                                                          \
            assert_int_equal(field, walk.next % 100u);                                             \
        } else {                                                                                   \
            field = (uint8_t)(walk.next % 100u);                                                   \
        }                                                                                          \
    } while (0)

/* A pointer to `count` structs, to be walked by the caller through a pointer that may write. */
#define ARRAY(pointer, count)                                                                      \
    ((void *)(uintptr_t)(walk.check                                                                \
                             ? (pointer)                                                           \
                             : ((pointer) = (void *)arena_take((count) * sizeof *(pointer)))))

static void walk_bytes(const uint8_t **at, uint32_t *bytes, uint32_t want)
{
    if (!walk.check) {
        uint8_t *fresh = arena_take(want);
        for (uint32_t i = 0; i < want; i++) {
            fresh[i] = (uint8_t)(walk.next + i);
        }
        *at = fresh;
        *bytes = want;
    }
    assert_int_equal(*bytes, want);
    for (uint32_t i = 0; i < want; i++) {
        assert_int_equal((*at)[i], (uint8_t)(walk.next + i));
    }
    walk.next += 13;
}

static void walk_text(const char **at)
{
    static const char *const TEXTS[] = {"PARTIAL", "", "retry_with_larger_window", "why", "x"};
    const char *want = TEXTS[walk.next % 5u];
    walk.next++;
    if (!walk.check) {
        char *fresh = (char *)arena_take(strlen(want) + 1u);
        memcpy(fresh, want, strlen(want) + 1u);
        *at = fresh;
    }
    assert_string_equal(*at, want);
}

static void walk_operation(struct operation *op)
{
    SCALAR(op->id.bytes[15]);
    SCALAR(op->ttl_us);
    SCALAR(op->selector.places.patterns[31].agent.last);
    SCALAR(op->payload_hash[31]);
    walk_bytes(&op->payload, &op->payload_bytes, 77);
}

static void walk_groups(struct answer_group *groups, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        SCALAR(groups[i].hash);
        SCALAR(groups[i].count);
        if (!walk.check) {
            groups[i].run_count = i + 1u;
        }
        assert_int_equal(groups[i].run_count, i + 1u);
        struct run *runs = ARRAY(groups[i].runs, groups[i].run_count);
        for (uint32_t k = 0; k < groups[i].run_count; k++) {
            SCALAR(runs[k].first);
            SCALAR(runs[k].last);
        }
        walk_bytes(&groups[i].answer, &groups[i].answer_bytes, i * 9u);
    }
}

static void walk_aggregate(struct aggregate_view *a)
{
    SCALAR(a->targets);
    SCALAR(a->arrival[95]);
    if (!walk.check) {
        a->group_count = 4;
    }
    assert_int_equal(a->group_count, 4);
    walk_groups(ARRAY(a->groups, 4), 4);
}

static void walk_conflict(const struct conflict_detail **conflict)
{
    struct conflict_detail *c = ARRAY(*conflict, 1);
    SCALAR(c->divergence_depth);
    walk_bytes(&c->expected, &c->expected_bytes, 33);
    walk_bytes(&c->received, &c->received_bytes, 1);
}

static void walk_row(enum row_kind kind, struct page_row *row)
{
    SCALAR(row->key);
    if (kind == ROW_AGENT) {
        SCALAR(row->u.agent.impedance.score);
    } else if (kind == ROW_SUMMARY) {
        struct summary *s = ARRAY(row->u.summary, 1);
        SCALAR(s->agents);
        SCALAR(s->updated_mesh_us);
    } else if (kind == ROW_ANSWER) {
        walk_groups(&row->u.answer, 1);
    } else {
        const uint8_t *bytes = (const uint8_t *)row->u.record.text;
        walk_bytes(&bytes, &row->u.record.bytes, 32);
        row->u.record.text = (const char *)bytes;
        if (walk.check) {
            assert_int_equal(row->u.record.text[32], '\0');
        }
    }
}

static void walk_rows(struct rows *rows, enum row_kind kind)
{
    SCALAR(rows->total);
    if (!walk.check) {
        rows->kind = kind;
        rows->row_count = 3;
    }
    assert_int_equal(rows->kind, kind);
    assert_int_equal(rows->row_count, 3);
    struct page_row *row = ARRAY(rows->rows, 3);
    for (int i = 0; i < 3; i++) {
        walk_row(kind, &row[i]);
    }
}

static void walk_report(const struct report **report)
{
    struct report *r = ARRAY(*report, 1);
    SCALAR(r->operation_id.bytes[0]);
    walk_text(&r->status);
    walk_text(&r->recommendation);
    walk_text(&r->decision_reason);
    walk_text(&r->decision_recommendation);
    SCALAR(r->phases[5].targets);
    walk_aggregate(&r->aggregate);
}

static void walk_reply(const struct reply **reply, unsigned variant)
{
    struct reply *r = ARRAY(*reply, 1);
    SCALAR(r->ref);
    SCALAR(r->when.lead_us_wanted);
    if (variant == 0) { /* everything at once */
        walk_text(&r->text);
        walk_aggregate(&r->progress);
        walk_report(&r->report);
        walk_rows(ARRAY(r->rows, 1), ROW_ANSWER);
        struct mesh_status *status = ARRAY(r->status, 1);
        SCALAR(status->summary.agents);
        SCALAR(status->operations_done);
    } else {
        assert_null(r->text);
        assert_null(r->report);
        assert_null(r->rows);
        assert_null(r->status);
        assert_null(r->progress.groups);
    }
}

/* The messages whose own struct is in the union. */
static void walk_inline(struct msg *m, unsigned variant)
{
    if (m->type == MSG_OPERATE) {
        if (!walk.check) {
            m->u.operate.target_count = 30;
            (void)ARRAY(m->u.operate.operation, 1);
        } else {
            assert_null(m->u.operate.operation); /* found again by id */
        }
        struct target *targets = ARRAY(m->u.operate.targets, 30);
        for (int i = 0; i < 30; i++) {
            SCALAR(targets[i].lead_us);
            SCALAR(targets[i].seq);
        }
    } else if (m->type == MSG_ACK) {
        SCALAR(m->u.ack.arrival_mesh_us);
        walk_bytes(&m->u.ack.answer, &m->u.ack.answer_bytes, variant == 0 ? 1024 : 0);
        if (variant == 0) {
            walk_conflict(&m->u.ack.conflict);
        } else {
            assert_null(m->u.ack.conflict);
        }
    } else if (m->type == MSG_RELAY) {
        SCALAR(m->u.relay.hops);
        walk_operation(ARRAY(m->u.relay.operation, 1));
    } else if (m->type == MSG_RELAY_ACK) {
        SCALAR(m->u.relay_ack.reached);
        walk_bytes(&m->u.relay_ack.answer, &m->u.relay_ack.answer_bytes, 5);
    } else if (m->type == MSG_ROWS) {
        walk_rows(&m->u.rows, (enum row_kind)(ROW_AGENT + variant));
    } else if (m->type == MSG_HEARTBEAT) {
        SCALAR(m->u.heartbeat.impedance.heartbeat_mesh_us);
    } else if (m->type == MSG_FREEZE) {
        if (!walk.check) {
            memcpy(m->u.freeze.preserve_state_to, "backup", 7);
        }
        assert_string_equal(m->u.freeze.preserve_state_to, "backup");
    } else {
        SCALAR(m->u.hello.uid); /* the others have no parts */
    }
}

static void walk_msg(struct msg *m, enum msg_type type, unsigned variant)
{
    if (!walk.check) {
        m->type = type;
    }
    assert_int_equal(m->type, type);
    SCALAR(m->mask);
    SCALAR(m->recv_us);
    if (type == MSG_BEAT) {
        struct beat *b = ARRAY(m->u.beat, 1);
        SCALAR(b->summary.updated_mesh_us);
    } else if (type == MSG_ORDER) {
        struct order *o = ARRAY(m->u.order, 1);
        if (!walk.check) {
            o->what = variant == 0 ? ORDER_STATE : ORDER_HEAL;
        }
        SCALAR(o->seq);
        if (variant == 0) {
            struct order_state *s = ARRAY(o->u.state, 1);
            SCALAR(s->frozen[FREEZER_SCOPES_MAX - 1].at_mesh_us);
        }
    } else if (type == MSG_CONFLICT) {
        struct conflict_report *r = ARRAY(m->u.conflict, 1);
        SCALAR(r->at_mesh_us);
    } else if (type == MSG_RESULT) {
        struct result *r = ARRAY(m->u.result, 1);
        walk_aggregate(&r->aggregate);
    } else if (type == MSG_PREPARE) {
        struct prepare *p = ARRAY(m->u.prepare, 1);
        SCALAR(p->selector.sample);
    } else if (type == MSG_PREPARED) {
        struct prepared *p = ARRAY(m->u.prepared, 1);
        SCALAR(p->lead_counts[47]);
    } else if (type == MSG_QUERY) {
        struct query *q = ARRAY(m->u.query, 1);
        SCALAR(q->deadline_mesh_us);
    } else if (type == MSG_COMMAND) {
        struct command *c = ARRAY(m->u.command, 1);
        walk_operation(&c->operation);
        SCALAR(c->query.limit);
    } else if (type == MSG_REPLY) {
        walk_reply(&m->u.reply, variant);
    } else {
        walk_inline(m, variant);
    }
}

static void test_every_message(void **state)
{
    (void)state;
    static struct msg m, copy;
    for (unsigned type = MSG_HELLO; type < MSG_TYPE_COUNT; type++) {
        for (unsigned variant = 0; variant < 4; variant++) {
            memset(&m, 0, sizeof m);
            walk_begin(false);
            walk_msg(&m, (enum msg_type)type, variant);
            uint32_t extra = msg_extra_bytes(&m);
            assert_int_equal(extra % 16u, 0);
            uint8_t *room = aligned_alloc(16, extra + 16u);
            assert_int_equal(msg_copy(&m, &copy, room, extra), extra);
            memset(walk.arena, 0xa5, sizeof walk.arena);
            memset(&m, 0xa5, sizeof m);
            walk_begin(true);
            walk_msg(&copy, (enum msg_type)type, variant);
            free(room);
        }
    }
}

static struct outbox out;

static void test_effects_in_order(void **state)
{
    (void)state;
    static struct msg m;
    static struct operation op;
    outbox_clear(&out);
    memset(&m, 0, sizeof m);
    memset(&op, 0, sizeof op);
    walk_begin(false);
    walk_msg(&m, MSG_ACK, 0);
    walk_operation(&op);
    uint32_t first = msg_extra_bytes(&m);
    uint32_t second = operation_extra_bytes(&op);
    out_send(&out, &m);
    out_seal(&out, &op);
    out_work(&out, &(struct work_op){.ref = 5, .kind = WORK_HANDLER, .deadline_us = 9});
    out_work_cancel(&out, 6);
    out_note(&out, NOTE_SENT, 1, 2);
    assert_int_equal(out.effect_count, 5);
    assert_int_equal(out.bytes_used, first + second);
    memset(walk.arena, 0xa5, sizeof walk.arena);
    walk_begin(true);
    assert_int_equal(out.effects[0].kind, FX_SEND);
    walk_msg(&out.effects[0].u.msg, MSG_ACK, 0);
    assert_int_equal(out.effects[1].kind, FX_SEAL);
    walk_operation(&out.effects[1].u.operation);
    assert_int_equal(out.effects[2].kind, FX_WORK);
    assert_int_equal(out.effects[2].u.work.ref, 5);
    assert_int_equal(out.effects[3].kind, FX_WORK_CANCEL);
    assert_int_equal(out.effects[3].u.work_ref, 6);
    assert_int_equal(out.effects[4].kind, FX_NOTE);
    assert_int_equal(out.effects[4].u.note.b, 2);
}

static void test_store_op(void **state)
{
    (void)state;
    char text[8][24] = {"s07.c3", "agent:7", "roster", "id", "me", "name", "value!", "body"};
    struct store_field fields[2] = {{"name", text[6], 5}, {"name", text[6], 0}};
    struct store_op op = {.ref = 9,
                          .kind = STORE_PUT,
                          .shard = text[0],
                          .key = text[1],
                          .collection = text[2],
                          .fields = fields,
                          .field_count = 2};
    outbox_clear(&out);
    uint32_t extra = store_op_extra_bytes(&op);
    out_store(&out, &op);
    assert_int_equal(out.bytes_used, extra);
    struct store_op full = op;
    full.id = text[3];
    full.owner = text[4];
    struct store_row rows[2] = {{.key = text[1], .fields = fields, .field_count = 2},
                                {.key = text[3]}};
    full.rows = rows;
    full.row_count = 2;
    full.body = (const uint8_t *)text[7];
    full.body_bytes = 4;
    uint32_t bytes = store_op_extra_bytes(&full);
    uint8_t *room = aligned_alloc(16, bytes);
    struct store_op copy;
    assert_int_equal(store_op_copy(&full, &copy, room, bytes), bytes);
    memset(text, 0x5a, sizeof text);
    memset(fields, 0x5a, sizeof fields);
    memset(rows, 0x5a, sizeof rows);
    const struct store_op *kept = &out.effects[0].u.store;
    assert_string_equal(kept->shard, "s07.c3");
    assert_string_equal(kept->key, "agent:7");
    assert_string_equal(kept->collection, "roster");
    assert_null(kept->id);
    assert_string_equal(kept->fields[1].name, "name");
    assert_int_equal(kept->fields[0].value_bytes, 5);
    assert_memory_equal(kept->fields[0].value, "value", 5);
    assert_string_equal(copy.id, "id");
    assert_string_equal(copy.owner, "me");
    assert_memory_equal(copy.body, "body", 4);
    assert_int_equal(copy.row_count, 2);
    assert_string_equal(copy.rows[0].key, "agent:7");
    assert_string_equal(copy.rows[0].fields[1].name, "name");
    assert_memory_equal(copy.rows[0].fields[0].value, "value", 5);
    assert_string_equal(copy.rows[1].key, "id");
    assert_int_equal(copy.rows[1].field_count, 0);
    free(room);
}

static void test_room(void **state)
{
    (void)state;
    outbox_clear(&out);
    assert_true(outbox_room(&out, OUTBOX_EFFECTS_MAX, OUTBOX_BYTES_MAX));
    assert_false(outbox_room(&out, OUTBOX_EFFECTS_MAX + 1u, 0));
    assert_false(outbox_room(&out, 0, OUTBOX_BYTES_MAX + 1u));
    assert_false(outbox_room(&out, UINT32_MAX, UINT32_MAX));
    for (unsigned i = 0; i < OUTBOX_EFFECTS_MAX; i++) {
        assert_true(outbox_room(&out, 1, 0));
        out_note(&out, NOTE_STARTED, i, 0);
    }
    assert_false(outbox_room(&out, 1, 0));
    assert_true(outbox_room(&out, 0, OUTBOX_BYTES_MAX));
    outbox_clear(&out);
    assert_true(outbox_room(&out, 1, 0));

    /* Filled to the last byte by payloads of all sizes, never beyond. */
    static uint8_t payload[PAYLOAD_BYTES_MAX];
    struct operation op = {.payload = payload};
    uint32_t count = 0;
    for (op.payload_bytes = 1; outbox_room(&out, 1, operation_extra_bytes(&op));
         op.payload_bytes = op.payload_bytes * 5u / 3u + 1u) {
        out_seal(&out, &op);
        count++;
    }
    assert_true(count > 10 && out.bytes_used <= OUTBOX_BYTES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal((uintptr_t)out.effects[i].u.operation.payload % 16u, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message),
        cmocka_unit_test(test_effects_in_order),
        cmocka_unit_test(test_store_op),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
