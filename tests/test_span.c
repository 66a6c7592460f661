/* Spans of the real tiers in virtual time: what was asked for is one tree, each part of which lies
 * within what it is a part of, and its counts are those of the report. */
#include "core/span.h"
#include "tests/support/small_mesh.h"

#define SEEN_MAX 256u

struct seen {
    uint32_t count;
    struct span list[SEEN_MAX];
};

static void watch(void *context, const struct world_step *s)
{
    struct seen *seen = context;
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_SPAN) {
            assert_in_range(seen->count, 0, SEEN_MAX - 1);
            assert_true(unit_equal(fx->u.span.unit, s->unit));
            seen->list[seen->count++] = fx->u.span;
        }
    }
}

static struct world *spanned(uint64_t seed, struct seen *seen)
{
    struct world_conf conf;
    small(&conf, seed);
    conf.tuning.spans = true;
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    *seen = (struct seen){0};
    world_watch_set(w, watch, seen);
    return w;
}

static const struct span *find(const struct seen *seen, uint64_t id)
{
    for (uint32_t i = 0; i < seen->count; i++) {
        if (span_own_id(&seen->list[i]) == id) {
            return &seen->list[i];
        }
    }
    return NULL;
}

static uint32_t count_of(const struct seen *seen, enum span_kind kind, enum tier tier)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < seen->count; i++) {
        n += seen->list[i].kind == kind && seen->list[i].unit.tier == tier;
    }
    return n;
}

/* Clocks of a small world agree within this once they are locked. */
#define CLOCKS_US 50000

/* One root; every other span has its parent among them, of the same moment. */
static void is_tree(const struct seen *seen)
{
    for (uint32_t i = 0; i < seen->count; i++) {
        const struct span *s = &seen->list[i];
        const struct span *p = find(seen, span_parent_id(s));
        assert_true(s->end_mesh_us >= s->start_mesh_us);
        for (uint32_t k = 0; k < i; k++) {
            assert_true(span_own_id(s) != span_own_id(&seen->list[k]));
        }
        if (s->kind == SPAN_ROOT) {
            assert_null(p);
            continue;
        }
        assert_non_null(p);
        assert_true(s->start_mesh_us >= p->start_mesh_us - CLOCKS_US);
        assert_true(s->end_mesh_us <= p->end_mesh_us + CLOCKS_US);
        assert_true(s->kind != SPAN_RUN || p->unit.tier == TIER_CLUSTER);
    }
    assert_int_equal(
        count_of(seen, SPAN_ROOT, TIER_ORCHESTRATOR) + count_of(seen, SPAN_ROOT, TIER_SECTOR), 1);
}

static void one_operation_is_one_tree(void **state)
{
    (void)state;
    static struct seen seen;
    struct world *w = spanned(31, &seen);
    struct command c;
    submit(&c, "echo", "hello");
    const struct report *r = run(w, unit_orchestrator(), &c);
    is_tree(&seen);
    assert_int_equal(count_of(&seen, SPAN_PHASE, TIER_ORCHESTRATOR), 1);
    assert_int_equal(count_of(&seen, SPAN_TIER, TIER_SECTOR), 2);
    assert_int_equal(count_of(&seen, SPAN_TIER, TIER_CLUSTER), 4);
    assert_int_equal(count_of(&seen, SPAN_RUN, TIER_AGENT), AGENTS);
    for (uint32_t i = 0; i < seen.count; i++) {
        const struct span *s = &seen.list[i];
        if (s->kind == SPAN_ROOT) {
            assert_true(s->known && !s->failed);
            assert_int_equal(s->targets, AGENTS);
            assert_int_equal(s->outcomes[OUTCOME_READY], AGENTS);
            assert_string_equal(s->action, "echo");
            assert_int_equal(s->start_mesh_us, r->created_mesh_us);
            assert_int_equal(s->end_mesh_us, r->finished_mesh_us);
        } else if (s->kind == SPAN_TIER && s->unit.tier == TIER_CLUSTER) {
            assert_int_equal(s->targets, AGENTS / 4);
            assert_true(s->sent_us > 0 && s->sent_us <= s->first_us && s->first_us <= s->last_us);
            assert_int_equal(s->slowest.tier, TIER_AGENT);
        } else if (s->kind == SPAN_RUN) {
            assert_int_equal(s->outcome, OUTCOME_READY);
            assert_in_range(s->end_mesh_us - s->start_mesh_us, 500, 6000); /* echo: 1 to 5 ms */
            assert_true(s->received_us > 0 && s->received_us <= s->start_mesh_us);
        }
    }
    done(w);
}

static void phases_are_parts_of_one_operation(void **state)
{
    (void)state;
    static struct seen seen;
    struct world *w = spanned(32, &seen);
    struct command c;
    submit(&c, "echo", "by class");
    c.operation.strategy = CASCADE_PRIORITY_FIRST;
    c.operation.timing = TIMING_BY;
    const struct report *r = run(w, unit_orchestrator(), &c);
    is_tree(&seen);
    assert_true(r->phase_count > 1);
    assert_int_equal(count_of(&seen, SPAN_PHASE, TIER_ORCHESTRATOR), r->phase_count);
    done(w);
}

static void a_sector_that_is_asked_itself_is_the_root(void **state)
{
    (void)state;
    static struct seen seen;
    struct world *w = spanned(33, &seen);
    struct command c;
    submit(&c, "fail", "1000");
    places(&c.operation.selector, "s02");
    c.operation.trace = (struct trace_context){.trace.bytes = {1}, .parent = 77, .flags = 1};
    (void)run(w, unit_sector(2), &c);
    is_tree(&seen);
    for (uint32_t i = 0; i < seen.count; i++) {
        const struct span *s = &seen.list[i];
        assert_true(s->kind == SPAN_TIER || s->kind == SPAN_PHASE || s->failed);
        assert_true(s->kind != SPAN_ROOT || span_parent_id(s) == 77);
        assert_true(s->kind != SPAN_RUN || s->outcome == OUTCOME_FAILED);
    }
    assert_int_equal(count_of(&seen, SPAN_ROOT, TIER_SECTOR), 1);
    assert_int_equal(count_of(&seen, SPAN_RUN, TIER_AGENT), AGENTS / 2);
    done(w);
}

static void nobody_speaks_unless_the_tuning_wants_it(void **state)
{
    (void)state;
    static struct seen seen;
    struct world *w = joined(34);
    seen.count = 0;
    world_watch_set(w, watch, &seen);
    struct command c;
    submit(&c, "echo", "hello");
    (void)run(w, unit_orchestrator(), &c);
    assert_int_equal(seen.count, 0);
    done(w);
}

static void every_process_samples_the_same(void **state)
{
    (void)state;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        struct id128 id = {.bytes = {1, 2, 3, 4, 5, 6, 7, (uint8_t)(i >> 8), (uint8_t)i}};
        const struct trace_context none = {0};
        struct trace_context c = span_context(&none, id, 0.25);
        assert_true(num_id128_equal(c.trace, id) && c.parent == 0);
        assert_int_equal(span_context(&none, id, 0.0).flags, 0);
        assert_int_equal(span_context(&none, id, 1.0).flags, 1);
        assert_true(c.flags == 0 || span_context(&none, id, 0.5).flags == 1); /* nested */
        taken += c.flags;
    }
    assert_in_range(taken, 2300, 2700);
    /* Who started it has decided. */
    struct trace_context given = {.trace.bytes = {9}, .parent = 3, .flags = 0};
    assert_int_equal(span_context(&given, (struct id128){{1}}, 1.0).flags, 0);
    given.flags = 1;
    assert_int_equal(span_context(&given, (struct id128){{1}}, 0.0).flags, 1);
    assert_int_equal(span_context(&given, (struct id128){{1}}, 0.0).trace.bytes[0], 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_operation_is_one_tree),
        cmocka_unit_test(phases_are_parts_of_one_operation),
        cmocka_unit_test(a_sector_that_is_asked_itself_is_the_root),
        cmocka_unit_test(nobody_speaks_unless_the_tuning_wants_it),
        cmocka_unit_test(every_process_samples_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
