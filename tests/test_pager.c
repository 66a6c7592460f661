/* Pages: sorted, bounded, every row exactly once through a tree of tiers, equal answers merged. */
#include "core/aggregate.h"
#include "core/node.h"
#include "core/pager.h"
#include "core/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BIG_ROWS PAGE_ROWS_MAX
#define BIG_DATA PAGE_BYTES_MAX

static void *rooms[3];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        rooms[i] = aligned_alloc(16, pager_bytes(BIG_ROWS, BIG_DATA));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        free(rooms[i]);
    }
    return 0;
}

static struct page_row agent_row(uint64_t key, uint32_t agent)
{
    struct page_row row = {.key = key, .unit = unit_agent(1, 1, agent)};
    row.u.agent.uid = key * 3;
    return row;
}

static struct page_row answer_row(const void *answer, uint32_t bytes, struct run *run,
                                  uint32_t agent)
{
    *run = (struct run){agent, agent};
    struct page_row row = {.key = aggregate_hash(OUTCOME_READY, REASON_NONE, answer, bytes)};
    row.u.answer = (struct answer_group){.outcome = OUTCOME_READY,
                                         .hash = row.key,
                                         .count = 1,
                                         .run_count = 1,
                                         .runs = run,
                                         .answer_bytes = bytes,
                                         .answer = answer};
    return row;
}

static void test_rows_are_sorted_and_cut_at_the_limit(void **state)
{
    (void)state;
    struct pager p;
    pager_init(&p, rooms[0], BIG_ROWS, BIG_DATA, ROW_AGENT, false, 10, 3);
    const uint64_t keys[] = {50, 20, 10, 40, 30, 5, 60};
    for (uint32_t i = 0; i < 7; i++) {
        struct page_row row = agent_row(keys[i], i + 1);
        pager_row(&p, &row);
    }
    pager_missing(&p, 2);
    struct rows page;
    pager_rows(&p, 77, &page);
    assert_int_equal(page.ref, 77);
    assert_int_equal(page.row_count, 3);
    assert_int_equal(page.rows[0].key, 20);
    assert_int_equal(page.rows[1].key, 30);
    assert_int_equal(page.rows[2].key, 40);
    assert_int_equal(page.rows[2].u.agent.uid, 120);
    assert_true(page.more);
    assert_int_equal(page.total, 7);
    assert_int_equal(page.missing, 2);
}

static void test_a_cut_child_page_bounds_the_whole(void **state)
{
    (void)state;
    struct page_row a[2] = {agent_row(1, 1), agent_row(5, 2)};
    struct page_row b[3] = {agent_row(2, 3), agent_row(6, 4), agent_row(9, 5)};
    struct rows cut = {.kind = ROW_AGENT, .total = 9, .more = true, .row_count = 2, .rows = a};
    struct rows whole = {.kind = ROW_AGENT, .total = 3, .row_count = 3, .rows = b, .missing = 1};
    for (int order = 0; order < 2; order++) {
        struct pager p;
        pager_init(&p, rooms[0], BIG_ROWS, BIG_DATA, ROW_AGENT, true, 0, 100);
        assert_int_equal(pager_page(&p, order == 0 ? &cut : &whole), PAGER_OK);
        assert_int_equal(pager_page(&p, order == 0 ? &whole : &cut), PAGER_OK);
        struct rows page;
        pager_rows(&p, 0, &page);
        assert_int_equal(page.row_count, 3); /* 1, 2, 5: what lies after 5 is not known */
        assert_int_equal(page.rows[2].key, 5);
        assert_true(page.more);
        assert_int_equal(page.total, 12);
        assert_int_equal(page.missing, 1);
    }
}

static void test_equal_answers_merge(void **state)
{
    (void)state;
    struct pager p;
    pager_init(&p, rooms[0], BIG_ROWS, BIG_DATA, ROW_ANSWER, true, 0, 10);
    struct run run;
    const uint32_t agents[] = {4, 6, 5, 40};
    for (uint32_t i = 0; i < 4; i++) {
        struct page_row row = answer_row("yes", 3, &run, agents[i]);
        pager_row(&p, &row);
    }
    struct page_row other = answer_row("no", 2, &run, 9);
    pager_row(&p, &other);
    struct rows page;
    pager_rows(&p, 0, &page);
    assert_int_equal(page.row_count, 2);
    const struct answer_group *g = &page.rows[0].u.answer;
    g = g->count == 4 ? g : &page.rows[1].u.answer;
    assert_int_equal(g->count, 4);
    assert_int_equal(g->run_count, 2);
    assert_int_equal(g->runs[0].first, 4);
    assert_int_equal(g->runs[0].last, 6);
    assert_int_equal(g->runs[1].first, 40);
    assert_memory_equal(g->answer, "yes", 3);
    assert_false(page.more);
}

static void test_the_same_row_twice_is_one(void **state)
{
    (void)state;
    struct pager p;
    pager_init(&p, rooms[0], BIG_ROWS, BIG_DATA, ROW_AGENT, true, 0, 10);
    struct page_row row = agent_row(7, 1), twin = agent_row(7, 2);
    pager_row(&p, &row);
    pager_row(&p, &twin);
    pager_row(&p, &row);
    struct rows page;
    pager_rows(&p, 0, &page);
    assert_int_equal(page.row_count, 2);
    assert_int_equal(page.rows[1].unit.agent, 2);
}

static void test_records_and_summaries_are_copied(void **state)
{
    (void)state;
    struct pager p;
    pager_init(&p, rooms[0], 4, 4096, ROW_RECORD, true, 0, 4);
    char text[] = "state=active";
    struct page_row row = {.key = 1};
    row.u.record.bytes = sizeof text;
    row.u.record.text = text;
    pager_row(&p, &row);
    memset(text, 'x', sizeof text);
    struct rows page;
    pager_rows(&p, 0, &page);
    assert_string_equal(page.rows[0].u.record.text, "state=active");

    static struct summary summary;
    pager_init(&p, rooms[0], BIG_ROWS, BIG_DATA, ROW_SUMMARY, true, 0, 100);
    uint32_t fit = BIG_DATA / (uint32_t)((sizeof summary + 15) / 16 * 16);
    for (uint32_t i = 100; i > 0; i--) {
        summary.agents = i;
        row = (struct page_row){.key = i, .unit = unit_sector(i)};
        row.u.summary = &summary;
        pager_row(&p, &row);
    }
    pager_rows(&p, 0, &page);
    assert_int_equal(page.row_count, fit); /* cut by bytes: the smallest keys, all of them */
    assert_true(page.more);
    for (uint32_t i = 0; i < fit; i++) {
        assert_int_equal(page.rows[i].key, i + 1);
        assert_int_equal(page.rows[i].u.summary->agents, i + 1);
    }
}

static void test_invalid_pages_change_nothing(void **state)
{
    (void)state;
    struct pager p;
    struct page_row rows[2] = {agent_row(20, 1), agent_row(30, 2)};
    struct rows ok = {.kind = ROW_AGENT, .total = 2, .row_count = 2, .rows = rows};
    pager_init(&p, rooms[0], BIG_ROWS, BIG_DATA, ROW_AGENT, false, 10, 10);
    struct rows bad = ok;
    bad.kind = ROW_SUMMARY;
    assert_int_equal(pager_page(&p, &bad), PAGER_INVALID);
    bad = ok;
    bad.total = 1;
    assert_int_equal(pager_page(&p, &bad), PAGER_INVALID);
    bad = ok;
    bad.rows = NULL;
    assert_int_equal(pager_page(&p, &bad), PAGER_INVALID);
    bad = (struct rows){.kind = ROW_AGENT, .more = true};
    assert_int_equal(pager_page(&p, &bad), PAGER_INVALID);
    rows[1].key = 19; /* not sorted */
    assert_int_equal(pager_page(&p, &ok), PAGER_INVALID);
    rows[1] = rows[0]; /* twice */
    assert_int_equal(pager_page(&p, &ok), PAGER_INVALID);
    rows[0].key = 10; /* not after */
    assert_int_equal(pager_page(&p, &ok), PAGER_INVALID);
    rows[0] = agent_row(15, 1);
    assert_int_equal(pager_page(&p, &ok), PAGER_OK);

    struct run run, two[2] = {{5, 6}, {6, 7}};
    struct page_row answer = answer_row("yes", 3, &run, 1);
    struct rows page = {.kind = ROW_ANSWER, .total = 1, .row_count = 1, .rows = &answer};
    pager_init(&p, rooms[0], BIG_ROWS, BIG_DATA, ROW_ANSWER, true, 0, 10);
    answer.key++;
    assert_int_equal(pager_page(&p, &page), PAGER_INVALID);
    answer.key--;
    answer.u.answer.hash++;
    assert_int_equal(pager_page(&p, &page), PAGER_INVALID);
    answer.u.answer.hash--;
    answer.u.answer.answer_bytes = ANSWER_BYTES_MAX + 1;
    assert_int_equal(pager_page(&p, &page), PAGER_INVALID);
    answer.u.answer.answer_bytes = 3;
    answer.u.answer.runs = two;
    answer.u.answer.run_count = 2;
    assert_int_equal(pager_page(&p, &page), PAGER_INVALID);
    answer.u.answer.run_count = 1;
    answer.u.answer.outcome = OUTCOME_COUNT;
    assert_int_equal(pager_page(&p, &page), PAGER_INVALID);
    answer.u.answer.outcome = OUTCOME_READY;
    assert_int_equal(pager_page(&p, &page), PAGER_OK);
    struct rows out;
    pager_rows(&p, 0, &out);
    assert_int_equal(out.row_count, 1);
    assert_int_equal(out.total, 1);
}

/* --- a tree ------------------------------------------------------------------------------------
 * 10 sectors x 10 clusters x 30 agents. Answers differ by agent, or are shared by `share` agents
 * of different clusters. Every tier pages through its own pager, with its own room. */

struct tree {
    uint32_t share;
    uint32_t bytes;
};

static uint32_t answer_of(const struct tree *t, uint32_t agent, uint8_t ret[ANSWER_BYTES_MAX])
{
    uint32_t value = agent / 30u * 30u / t->share + agent % 30u; /* shared across clusters */
    value = t->share == 1 ? agent : value % (3000u / t->share);
    uint32_t bytes = 4u + (value * 7u) % t->bytes;
    memset(ret, 1, bytes);
    memcpy(ret, &value, 4);
    return bytes;
}

static void cluster_page(const struct tree *t, uint32_t cluster, bool start, uint64_t after,
                         struct rows *ret)
{
    static struct pager p;
    pager_init(&p, rooms[0], 64, 8192, ROW_ANSWER, start, after, 64);
    for (uint32_t i = 0; i < 30; i++) {
        uint8_t answer[ANSWER_BYTES_MAX];
        struct run run;
        uint32_t agent = cluster * 30 + i;
        uint32_t bytes = answer_of(t, agent, answer);
        struct page_row row = answer_row(answer, bytes, &run, agent);
        pager_row(&p, &row);
    }
    pager_rows(&p, 0, ret);
}

static void sector_page(const struct tree *t, uint32_t sector, bool start, uint64_t after,
                        uint32_t limit, struct rows *ret)
{
    static struct pager p;
    pager_init(&p, rooms[1], BIG_ROWS, BIG_DATA, ROW_ANSWER, start, after, limit);
    for (uint32_t i = 0; i < 10; i++) {
        struct rows page;
        cluster_page(t, sector * 10 + i, start, after, &page);
        assert_int_equal(pager_page(&p, &page), PAGER_OK);
    }
    pager_rows(&p, 0, ret);
}

static void walk(const struct tree *t, uint32_t limit)
{
    static uint8_t seen[3000];
    memset(seen, 0, sizeof seen);
    uint32_t total = 0, pages = 0;
    uint64_t after = 0;
    bool more = true;
    while (more) {
        struct pager p;
        pager_init(&p, rooms[2], BIG_ROWS, BIG_DATA, ROW_ANSWER, pages == 0, after, limit);
        for (uint32_t s = 0; s < 10; s++) {
            struct rows page;
            sector_page(t, s, pages == 0, after, limit, &page);
            assert_int_equal(pager_page(&p, &page), PAGER_OK);
        }
        struct rows page;
        pager_rows(&p, 0, &page);
        assert_true(page.row_count > 0 && page.row_count <= limit);
        for (uint32_t i = 0; i < page.row_count; i++) {
            const struct answer_group *g = &page.rows[i].u.answer;
            assert_true((pages == 0 && i == 0) || page.rows[i].key > after);
            after = page.rows[i].key;
            total += g->count;
            for (uint32_t r = 0; r < g->run_count; r++) {
                for (uint32_t a = g->runs[r].first; a <= g->runs[r].last; a++) {
                    uint8_t want[ANSWER_BYTES_MAX];
                    assert_int_equal(answer_of(t, a, want), g->answer_bytes);
                    assert_memory_equal(want, g->answer, g->answer_bytes);
                    assert_int_equal(seen[a], 0);
                    seen[a] = 1;
                }
            }
        }
        more = page.more;
        assert_true(++pages < 3001);
    }
    assert_int_equal(total, 3000);
    for (uint32_t a = 0; a < 3000; a++) {
        assert_int_equal(seen[a], 1);
    }
}

static void test_every_answer_comes_exactly_once(void **state)
{
    (void)state;
    walk(&(struct tree){.share = 1, .bytes = 20}, 512);
    walk(&(struct tree){.share = 1, .bytes = 1000}, 512); /* bytes cut pages at every tier */
    walk(&(struct tree){.share = 1, .bytes = 200}, 97);
    walk(&(struct tree){.share = 10, .bytes = 500}, 50);
    walk(&(struct tree){.share = 60, .bytes = 30}, 7);
}

/* Groups grow agent by agent, in no order, in a room that holds a seventh of them: blocks move and
 * slide, rows are cut away, and still every agent is shown once, with its own answer. */
static void test_groups_that_grow_in_a_small_room(void **state)
{
    enum { KINDS = 100, AGENTS = 3000 };
    static uint32_t order[AGENTS];
    static uint8_t seen[AGENTS];
    struct rng rng;
    uint64_t after = 0;
    uint32_t pages = 0, sum = 0;
    struct rows page = {.more = true};
    (void)state;
    rng_seed(&rng, 5, 6);
    for (uint32_t i = 0; i < AGENTS; i++) {
        uint32_t at = (uint32_t)rng_below(&rng, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    while (page.more) {
        struct pager p;
        pager_init(&p, rooms[0], 64, 4096, ROW_ANSWER, pages == 0, after, 64);
        for (uint32_t i = 0; i < AGENTS; i++) {
            uint32_t kind = order[i] % KINDS;
            uint8_t answer[24] = {0};
            struct run run;
            memcpy(answer, &kind, sizeof kind);
            struct page_row row = answer_row(answer, sizeof answer, &run, order[i]);
            pager_row(&p, &row);
        }
        pager_rows(&p, 0, &page);
        assert_true(page.row_count > 0 && page.row_count < 20); /* bytes cut it */
        for (uint32_t i = 0; i < page.row_count; i++) {
            const struct answer_group *g = &page.rows[i].u.answer;
            assert_true((pages == 0 && i == 0) || page.rows[i].key > after);
            after = page.rows[i].key;
            assert_int_equal(g->count, AGENTS / KINDS);
            for (uint32_t r = 0; r < g->run_count; r++) {
                uint32_t kind = g->runs[r].first % KINDS;
                assert_int_equal(g->runs[r].first, g->runs[r].last);
                assert_memory_equal(g->answer, &kind, sizeof kind);
                assert_int_equal(seen[g->runs[r].first]++, 0);
                sum++;
            }
        }
        pages++;
    }
    assert_int_equal(sum, AGENTS);
    assert_true(pages > 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_are_sorted_and_cut_at_the_limit),
                                       cmocka_unit_test(test_a_cut_child_page_bounds_the_whole),
                                       cmocka_unit_test(test_equal_answers_merge),
                                       cmocka_unit_test(test_the_same_row_twice_is_one),
                                       cmocka_unit_test(test_records_and_summaries_are_copied),
                                       cmocka_unit_test(test_invalid_pages_change_nothing),
                                       cmocka_unit_test(test_every_answer_comes_exactly_once),
                                       cmocka_unit_test(test_groups_that_grow_in_a_small_room)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
