/* Acknowledgements that share a record: what joins, what is read back, what is refused. */
#include "proto/ack_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 INT64_C(1700000000000000)

static uint8_t bytes[8192];

static struct msg said(unsigned agent)
{
    int64_t k = agent;
    struct msg m = {.type = MSG_ACK,
                    .priority = 2,
                    .from = unit_agent(3, 4, agent),
                    .to = unit_cluster(3, 4),
                    .epoch = 1700000000000u + agent * 977u,
                    .sent_us = 5000 - 3 * k};
    m.u.ack = (struct ack){.operation_id.bytes = {1, 2, 3},
                           .outcome = OUTCOME_READY,
                           .seq = 4000000000u + agent * 20000000u, /* wraps */
                           .echo_sent_us = -77 + k,
                           .received_mesh_us = T0 + 100 * k,
                           .arrival_mesh_us = T0 + 250 * k,
                           .release_mesh_us = agent % 2 == 0 ? T0 + 300 * k : 0,
                           .processing_us = 10 * agent,
                           .queue_depth = agent % 3,
                           .clock_error_us = agent == 5 ? UINT32_MAX : 40 + agent};
    return m;
}

static void same(const struct msg *a, const struct msg *b)
{
    const struct ack *x = &a->u.ack, *y = &b->u.ack;
    assert_int_equal(b->type, MSG_ACK);
    assert_int_equal(a->priority, b->priority);
    assert_true(unit_equal(a->from, b->from) && unit_equal(a->to, b->to));
    assert_int_equal(b->mask, 0);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->sent_us, b->sent_us);
    assert_memory_equal(&x->operation_id, &y->operation_id, 16);
    assert_int_equal(x->outcome, y->outcome);
    assert_int_equal(x->reason, y->reason);
    assert_int_equal(x->late, y->late);
    assert_int_equal(x->seq, y->seq);
    assert_int_equal(x->echo_sent_us, y->echo_sent_us);
    assert_int_equal(x->received_mesh_us, y->received_mesh_us);
    assert_int_equal(x->arrival_mesh_us, y->arrival_mesh_us);
    assert_int_equal(x->release_mesh_us, y->release_mesh_us);
    assert_int_equal(x->processing_us, y->processing_us);
    assert_int_equal(x->queue_depth, y->queue_depth);
    assert_int_equal(x->clock_error_us, y->clock_error_us);
    assert_int_equal(x->answer_bytes, y->answer_bytes);
    assert_true(x->answer_bytes == 0 || memcmp(x->answer, y->answer, x->answer_bytes) == 0);
    assert_null(y->conflict);
}

/* Agents from first, downwards or upwards, with what they answered; returns the bytes. */
static size_t build(unsigned first, int step, unsigned count, const char *answer)
{
    struct msg head = said(first);
    head.u.ack.answer = (const uint8_t *)answer;
    head.u.ack.answer_bytes = answer != NULL ? (uint32_t)strlen(answer) : 0;
    size_t used = ack_group_head(&head, head.u.ack.answer, bytes);
    for (unsigned i = 1; i < count; i++) {
        struct msg next = said((unsigned)((int)first + step * (int)i));
        next.u.ack.answer = head.u.ack.answer;
        next.u.ack.answer_bytes = head.u.ack.answer_bytes;
        assert_true(ack_group_joins(&head, head.u.ack.answer, &next));
        used += ack_group_row(&head, &next, bytes + used);
    }
    bytes[ACK_GROUP_COUNT_AT] = (uint8_t)count;
    return used;
}

static void round_trip(unsigned first, int step, unsigned count, const char *answer)
{
    struct ack_group g;
    size_t length = build(first, step, count, answer);
    assert_true(length <= ACK_GROUP_HEAD_BYTES + 1024u + count * 40u);
    assert_int_equal(ack_group_open(bytes, length, &g), CODEC_OK);
    struct msg heard = g.first;
    for (unsigned i = 0; i < count; i++) {
        struct msg want = said((unsigned)((int)first + step * (int)i));
        want.u.ack.answer = (const uint8_t *)answer;
        want.u.ack.answer_bytes = answer != NULL ? (uint32_t)strlen(answer) : 0;
        same(&want, &heard);
        assert_int_equal(ack_group_next(&g, &heard), i + 1 < count);
    }
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    round_trip(1, 1, 2, NULL);
    round_trip(1, 1, 64, NULL);
    round_trip(64, -1, 64, "the same");
    round_trip(30, -2, 15, "x");
}

/* The numbers' ends, which no honest agent says, pass as well: rows are modulo. */
static void extremes_come_out(void **state)
{
    (void)state;
    struct msg a = said(1), b = said(2);
    a.epoch = UINT64_MAX;
    b.epoch = 0;
    a.sent_us = -(INT64_C(1) << 61);
    b.sent_us = INT64_C(1) << 61;
    b.u.ack.echo_sent_us = -(INT64_C(1) << 61);
    b.u.ack.received_mesh_us = 0;
    b.u.ack.arrival_mesh_us = INT64_C(1) << 53;
    b.u.ack.processing_us = UINT32_MAX;
    struct ack_group g;
    struct msg heard;
    assert_true(ack_group_joins(&a, NULL, &b));
    size_t length = ack_group_head(&a, NULL, bytes);
    length += ack_group_row(&a, &b, bytes + length);
    assert_int_equal(ack_group_open(bytes, length, &g), CODEC_OK);
    same(&a, &g.first);
    assert_true(ack_group_next(&g, &heard));
    same(&b, &heard);
    assert_false(ack_group_next(&g, &heard));
}

static void what_differs_stays_alone(void **state)
{
    (void)state;
    const uint8_t word[] = "word", other[] = "ward";
    const struct conflict_detail detail = {.type = CONFLICT_OTHER};
    struct msg a = said(1), b = said(2);
    assert_true(ack_group_joins(&a, NULL, &b));
#define ALONE(change)                                                                              \
    b = said(2);                                                                                   \
    change;                                                                                        \
    assert_false(ack_group_joins(&a, word, &b))
    ALONE(b.from = unit_agent(3, 4, 1));
    ALONE(b.from = unit_agent(3, 5, 2));
    ALONE(b.to = unit_cluster(3, 5));
    ALONE(b.priority = 1);
    ALONE(b.mask = 1);
    ALONE(b.u.ack.operation_id.bytes[15] = 1);
    ALONE(b.u.ack.outcome = OUTCOME_PENDING);
    ALONE(b.u.ack.reason = REASON_HANDLER);
    ALONE(b.u.ack.late = true);
    ALONE(b.u.ack.conflict = &detail);
    ALONE((b.u.ack.answer = word, b.u.ack.answer_bytes = 4));
    ALONE(b.u.ack.received_mesh_us = -1); /* no reader takes it */
    ALONE(b.u.ack.arrival_mesh_us = (INT64_C(1) << 53) + 1);
    a.u.ack.answer_bytes = 4;
    ALONE((b.u.ack.answer = other, b.u.ack.answer_bytes = 4));
    b.u.ack.answer = word;
    assert_true(ack_group_joins(&a, word, &b));
#undef ALONE
}

/* Every prefix is refused, and no bit that is turned over is read beyond its bytes. */
static void what_is_not_whole_is_refused(void **state)
{
    (void)state;
    struct ack_group g;
    size_t length = build(1, 1, 30, "yes");
    for (size_t n = 1; n < length; n++) {
        uint8_t *part = malloc(n); /* its own, so that a sanitizer sees a byte too far */
        memcpy(part, bytes, n);
        assert_int_equal(ack_group_open(part, n, &g), CODEC_TRUNCATED);
        free(part);
    }
    for (size_t bit = 8; bit < length * 8; bit++) {
        uint8_t *other = malloc(length);
        memcpy(other, bytes, length);
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (ack_group_open(other, length, &g) == CODEC_OK) {
            struct msg row;
            while (ack_group_next(&g, &row)) {
                assert_in_range(row.from.agent, 1, 64);
            }
        }
        free(other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(extremes_come_out),
        cmocka_unit_test(what_differs_stays_alone),
        cmocka_unit_test(what_is_not_whole_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
