/* The history of the success metrics: buckets, their records, the root's counts and the console. */
#include "core/histogram.h"
#include "tests/support/bench.h"
#include "tiers/console/kpi.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/orchestrator/orchestrator_kpi.h"

#define HOUR_US (3600ll * US_PER_S)
#define T0      (1795000000ll * US_PER_S) /* not at a bucket's edge */

static struct kpi_history history, other;

static void setup(void)
{
    memset(&history, 0, sizeof(history));
    memset(&other, 0, sizeof(other));
}

static uint64_t sum(enum kpi_over over, bool before, int64_t at_us, enum kpi_figure figure)
{
    struct kpi_counts c;
    (void)kpi_sum(&history, over, before, at_us, &c);
    return c.n[figure];
}

static void add(int64_t at_us, uint64_t quorums)
{
    kpi_add(&history, at_us, &(struct kpi_counts){.n = {[KPI_QUORUMS] = quorums}});
}

static void spans_end_now_and_the_one_before_follows(void **state)
{
    (void)state;
    setup();
    add(T0 - 90 * 60 * US_PER_S, 5);
    add(T0 - 30 * 60 * US_PER_S, 3);
    add(T0, 1);
    assert_int_equal(sum(KPI_HOUR, false, T0, KPI_QUORUMS), 4);
    assert_int_equal(sum(KPI_HOUR, true, T0, KPI_QUORUMS), 5);
    assert_int_equal(sum(KPI_DAY, false, T0, KPI_QUORUMS), 9);
    assert_int_equal(sum(KPI_DAY, true, T0, KPI_QUORUMS), 0);
    assert_int_equal(sum(KPI_DAY, true, T0 + 24 * HOUR_US, KPI_QUORUMS), 9);
    assert_int_equal(sum(KPI_MONTH, false, T0 + 28 * 24 * HOUR_US, KPI_QUORUMS), 9);
    assert_int_equal(sum(KPI_MONTH, true, T0 + 35 * 24 * HOUR_US, KPI_QUORUMS), 9);
    assert_int_equal(sum(KPI_HOUR, false, T0 + 3 * HOUR_US, KPI_QUORUMS), 0);
}

static void a_bucket_takes_the_place_of_the_oldest(void **state)
{
    (void)state;
    setup();
    for (int64_t day = 0; day < 400; day++) {
        add(T0 + day * 24 * HOUR_US, 1);
    }
    int64_t end = T0 + 399 * 24 * HOUR_US;
    assert_int_equal(sum(KPI_MONTH, false, end, KPI_QUORUMS), 30);
    assert_int_equal(sum(KPI_MONTH, true, end, KPI_QUORUMS), 30);
}

static struct store_row row_of(struct kpi_record *r)
{
    return (struct store_row){.key = r->key, .fields = r->fields, .field_count = KPI_FIELDS};
}

static uint32_t slot_of(enum kpi_over over, int64_t at_us)
{
    return (uint32_t)(at_us / kpi_width_us(over) % kpi_slots(over));
}

static void a_record_comes_back_and_adds_once(void **state)
{
    (void)state;
    struct kpi_counts c = {.n = {[KPI_QUORUMS] = 7, [KPI_CLUSTER_RECOVERY_MAX_US] = 40}}, got;
    struct kpi_record r;
    setup();
    lead_add(c.cascades, 500000, 3);
    lead_add(c.cascades_fast, 60000000, 70000);
    kpi_add(&history, T0, &c);
    kpi_save(&history, KPI_DAY, slot_of(KPI_DAY, T0), &r);
    struct store_row row = row_of(&r);
    struct store_op op = {
        .kind = STORE_EPOCH_PUTS, .shard = "mesh", .collection = "kpi", .epoch = 1};
    op.rows = &row;
    op.row_count = 1;
    assert_null(store_op_check(&op));
    other = history;
    setup();
    add(T0 + 1, 2); /* counted before the record was read */
    kpi_add(&history, T0, &(struct kpi_counts){.n = {[KPI_CLUSTER_RECOVERY_MAX_US] = 30}});
    assert_true(kpi_load(&history, &row));
    assert_true(kpi_load(&history, &row)); /* a scan may return it twice */
    (void)kpi_sum(&history, KPI_DAY, false, T0, &got);
    assert_int_equal(got.n[KPI_QUORUMS], 9);
    assert_int_equal(got.n[KPI_CLUSTER_RECOVERY_MAX_US], 40);
    assert_memory_equal(got.cascades, c.cascades, sizeof(c.cascades));
    assert_memory_equal(got.cascades_fast, c.cascades_fast, sizeof(c.cascades_fast));
    assert_int_equal(sum(KPI_HOUR, false, T0, KPI_QUORUMS), 2); /* its record was not given */
}

static void damaged_records_are_left_out(void **state)
{
    (void)state;
    struct kpi_record r;
    setup();
    add(T0, 7);
    kpi_save(&history, KPI_DAY, slot_of(KPI_DAY, T0), &r);
    setup();
    struct store_row row = row_of(&r);
    struct store_field good = r.fields[0];
    row.key = "kpi.year.01";
    assert_false(kpi_load(&history, &row));
    row.key = "summary";
    assert_false(kpi_load(&history, &row));
    row.key = r.key;
    r.fields[0] = (struct store_field){.name = "start", .value = "12x", .value_bytes = 3};
    assert_false(kpi_load(&history, &row));
    r.fields[0] = (struct store_field){.name = "start", .value = "17", .value_bytes = 2};
    assert_false(kpi_load(&history, &row)); /* not at an edge */
    r.fields[0] = good;
    r.fields[KPI_FIELDS - 1u].value_bytes--;
    assert_false(kpi_load(&history, &row));
    row.field_count = 3;
    assert_false(kpi_load(&history, &row));
    assert_int_equal(sum(KPI_DAY, false, T0, KPI_QUORUMS), 0);
}

/* --- at the root --- */

static struct bench *mesh(void)
{
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 2, 1, 10);
    bench_up(b, 2, 10, 10);
    return b;
}

static const struct rows *ask(struct bench *b)
{
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){.kind = QUERY_KPI, .from_start = true, .limit = 100};
    bench_forget(b);
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_ROWS);
    assert_non_null(r);
    assert_true(r->final);
    return r->rows;
}

static void operations_are_counted_over_every_span(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct command c;
    bench_submit(&c);
    bench_command(b, &c);
    struct id128 id = bench_reply(b, REPLY_ACCEPTED)->operation_id;
    bench_result(b, unit_sector(1), id, 10, OUTCOME_READY);
    bench_result(b, unit_sector(2), id, 10, OUTCOME_CONFLICT);
    bench_pass(b, 2000000);
    const struct rows *rows = ask(b);
    assert_int_equal(rows->row_count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        bool before = i % 2 == 1;
        const char *text = rows->rows[i].u.record.text;
        assert_non_null(strstr(text, before ? "\nquorums=0\n" : "\nquorums=1\n"));
        assert_non_null(strstr(text, before ? "\nanswers=0\n" : "\nanswers=20\n"));
        assert_non_null(strstr(text, before ? "\nconflicts=0\n" : "\nconflicts=10\n"));
    }
    bench_close(b);
}

/* What an earlier orchestrator had written is read and added to; only then is anything written. */
static void an_earlier_life_is_read_first(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct kpi_record r;
    setup();
    int64_t mesh_us = BENCH_UNIX_US;
    kpi_add(&history, mesh_us, &(struct kpi_counts){.n = {[KPI_QUORUMS] = 41}});
    kpi_save(&history, KPI_MONTH, slot_of(KPI_MONTH, mesh_us), &r);
    struct store_row row = row_of(&r);
    struct event link = {.kind = EV_LINK};
    link.u.link.which = LINK_STORE;
    link.u.link.up = true;
    bench_step(b, &link);
    for (int i = 0; b->store_ops[STORE_SCAN] == 0; i++) {
        assert_in_range(i, 0, 600);
        b->now_us = b->wake_us > b->now_us ? b->wake_us : b->now_us;
        bench_step(b, &(struct event){.kind = EV_WAKE});
    }
    assert_int_equal(b->store_ops[STORE_EPOCH_PUTS], 0);
    struct store_reply reply = {
        .ref = b->store_ref, .kind = STORE_SCAN, .verdict = STORE_OK, .row_count = 1};
    reply.rows = &row;
    struct event event = {.kind = EV_STORE};
    event.u.store = &reply;
    bench_step(b, &event);
    const struct rows *rows = ask(b);
    assert_non_null(strstr(rows->rows[4].u.record.text, "over=month\nbefore=0\n"));
    assert_non_null(strstr(rows->rows[4].u.record.text, "\nquorums=41\n"));
    bench_pass(b, KPI_SAVE_US + US_PER_S);
    assert_true(b->store_ops[STORE_EPOCH_PUTS] > 0);
    bench_close(b);
}

/* --- the console --- */

static void the_console_judges_and_compares(void **state)
{
    (void)state;
    struct kpi_counts now = {.n = {[KPI_QUORUMS] = 100,
                                   [KPI_QUORUMS_ACHIEVED] = 99,
                                   [KPI_WINDOW_ELIGIBLE] = 100,
                                   [KPI_WINDOW_HITS] = 94,
                                   [KPI_ANSWERS] = 1000,
                                   [KPI_CONFLICTS] = 5,
                                   [KPI_SECTOR_RECOVERY_MAX_US] = 901000000}};
    struct kpi_counts before = now;
    struct page_row rows[2];
    char memory[2][1024];
    before.n[KPI_QUORUMS_ACHIEVED] = 90;
    before.n[KPI_CONFLICTS] = 0;
    for (int i = 0; i < 2; i++) {
        struct text t;
        text_init(&t, memory[i], sizeof(memory[i]));
        kpi_text(i == 0 ? &now : &before, KPI_DAY, i == 1, T0, &t);
        rows[i] = (struct page_row){.key = (uint64_t)i};
        rows[i].u.record.text = memory[i];
        rows[i].u.record.bytes = (uint32_t)t.used;
    }
    struct pages pages = {.kind = ROW_RECORD, .rows = rows, .count = 2};
    struct kpi_view v;
    assert_false(kpi_view(&pages, KPI_HOUR, &v));
    assert_true(kpi_view(&pages, KPI_DAY, &v));
    assert_true(v.kpis[0].known && v.kpis[0].met && v.kpis[0].trend == KPI_BETTER);
    assert_true(v.kpis[1].known && !v.kpis[1].met && v.kpis[1].trend == KPI_SAME);
    assert_true(!v.kpis[2].known && v.kpis[2].trend == KPI_TREND_UNKNOWN);
    assert_true(v.kpis[3].met && v.kpis[3].trend == KPI_WORSE);
    assert_false(v.kpis[7].known);
    assert_true(v.kpis[8].known && !v.kpis[8].met);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_end_now_and_the_one_before_follows),
        cmocka_unit_test(a_bucket_takes_the_place_of_the_oldest),
        cmocka_unit_test(a_record_comes_back_and_adds_once),
        cmocka_unit_test(damaged_records_are_left_out),
        cmocka_unit_test(operations_are_counted_over_every_span),
        cmocka_unit_test(an_earlier_life_is_read_first),
        cmocka_unit_test(the_console_judges_and_compares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
