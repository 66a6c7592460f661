/* Small meshes of the real tiers in virtual time. */
#include "core/facts.h"
#include "sim/facts.h"
#include "tests/support/small_mesh.h"

/* --- joining, status, operations ---------------------------------------------------------------
 */

static void all_join(void **state)
{
    (void)state;
    struct world *w = joined(1);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.agents, AGENTS);
    assert_int_equal(s.summary.active, AGENTS);
    assert_int_equal(s.summary.clusters, 4);
    assert_int_equal(s.summary.clusters_up, 4);
    assert_int_equal(s.sectors, 2);
    assert_int_equal(s.sectors_up, 2);
    assert_int_equal(s.summary.sectors_healthy, 2);
    assert_int_equal(s.mode, MODE_FULL);
    assert_true(s.simulation);
    assert_true(s.store_up);
    done(w);
}

static void broadcast_reaches_all(void **state)
{
    (void)state;
    struct world *w = joined(2);
    struct command c;
    submit(&c, "echo", "market closed early today");
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_int_equal(r->aggregate.targets, AGENTS);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS);
    assert_int_equal(r->aggregate.group_count, 1);
    assert_memory_equal(r->aggregate.groups[0].answer, "market closed early today", 25);
    assert_int_equal(r->aggregate.groups[0].count, AGENTS);
    assert_int_equal(r->aggregate.sectors_reached, 2);
    assert_int_equal(r->aggregate.clusters_reached, 4);
    assert_string_equal(r->status, "SUCCESS");
    assert_int_equal(r->decision, DECISION_PROCEED);
    assert_int_equal(world_stats(w)->executed, AGENTS);
    done(w);
}

/* 15 agents in 2 x 2 x 6: the last sector has a place without a cluster. */
static void empty_places_expect_nobody(void **state)
{
    (void)state;
    struct world_conf conf;
    small(&conf, 4);
    conf.topology.agents = 15;
    conf.topology.class_agents[CLASS_C_PERSISTENT] = 3;
    conf.topology.class_agents[CLASS_D_GPU] = 0;
    assert_null(topology_check(&conf.topology));
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    for (int strategy = CASCADE_NONE; strategy < CASCADE_COUNT; strategy++) {
        struct command c;
        submit(&c, "echo", "x");
        c.operation.strategy = (enum cascade_strategy)strategy;
        const struct report *r = run(w, unit_orchestrator(), &c);
        assert_int_equal(r->aggregate.targets, 15);
        assert_int_equal(outcome(r, OUTCOME_READY), 15);
    }
    assert_int_equal(status_of(w).summary.active, 15);
    done(w);
}

static void ask_takes_a_sample(void **state)
{
    (void)state;
    struct world *w = joined(3);
    struct command c;
    submit(&c, "context", "");
    c.operation.selector.sample = 10;
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_int_equal(r->aggregate.targets, 10);
    assert_int_equal(outcome(r, OUTCOME_READY), 10);
    assert_int_equal(world_stats(w)->executed, 10);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < r->aggregate.group_count; i++) {
        sum += r->aggregate.groups[i].count;
    }
    assert_int_equal(sum + r->aggregate.other, 10);
    done(w);
}

static void conflicts_are_counted_and_decided(void **state)
{
    (void)state;
    struct world *w = joined(4);
    struct command c;
    submit(&c, "conflict", "1000");
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(r, OUTCOME_CONFLICT), AGENTS);
    assert_int_equal(r->decision, DECISION_RESOLVE_CONFLICTS);
    assert_false(r->achieved);
    submit(&c, "fail", "1000");
    r = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(r, OUTCOME_FAILED), AGENTS);
    submit(&c, "no-such-action", "");
    r = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(r, OUTCOME_FAILED), AGENTS);
    assert_int_equal(r->aggregate.reasons[REASON_UNKNOWN_ACTION], AGENTS);
    done(w);
}

static void cascades_of_each_strategy(void **state)
{
    (void)state;
    struct world *w = joined(5);
    struct command c;
    submit(&c, "work", "x");
    c.operation.strategy = CASCADE_WAVE;
    c.operation.timing = TIMING_AT;
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_string_equal(r->status, "SUCCESS");
    assert_int_equal(r->aggregate.targets, AGENTS);
    assert_true(outcome(r, OUTCOME_READY) >= AGENTS - 1);
    assert_true(r->target_mesh_us > r->created_mesh_us);
    assert_true(r->aggregate.window_eligible >= AGENTS - 1);

    c.operation.strategy = CASCADE_PARALLEL;
    c.operation.timing = TIMING_SOON;
    r = run(w, unit_orchestrator(), &c);
    assert_string_equal(r->status, "SUCCESS");
    assert_int_equal(r->window_us, US_PER_S);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS);

    c.operation.strategy = CASCADE_PRIORITY_FIRST;
    r = run(w, unit_orchestrator(), &c);
    assert_string_equal(r->status, "COMPLETE");
    assert_int_equal(r->phase_count, 5);
    assert_int_equal(r->phases[0].class_mask, 1u << CLASS_D_GPU);
    assert_int_equal(r->phases[0].targets, 6);
    assert_true(r->phases[0].success);
    assert_int_equal(r->phases[4].targets, 0);
    assert_int_equal(r->aggregate.targets, AGENTS);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.operations_done, 3);
    assert_true(s.last_cascade_mesh_us > WORLD_UNIX_US);
    world_run(w, 2 * US_PER_S); /* counted once a second */
    struct command q = {.kind = COMMAND_QUERY};
    q.query = (struct query){.kind = QUERY_KPI, .from_start = true, .limit = 100};
    const struct reply *kpi = world_ask(w, unit_orchestrator(), &q, US_PER_S);
    assert_non_null(kpi);
    assert_int_equal(kpi->kind, REPLY_ROWS);
    const char *hour = kpi->rows->rows[0].u.record.text;
    assert_non_null(strstr(hour, "\nquorums_achieved=3\n"));
    assert_non_null(strstr(hour, "\ncascade_p95_us="));
    assert_null(strstr(hour, "\ncascade_p95_us=0\n"));
    done(w);
}

static void held_effects_arrive_together(void **state)
{
    (void)state;
    struct world *w = joined(6);
    struct command c;
    submit(&c, "echo", "x");
    c.operation.timing = TIMING_AT;
    for (int i = 0; i < 6; i++) {
        run(w, unit_orchestrator(), &c); /* predictors and clocks settle */
        world_run(w, 5 * US_PER_S);
    }
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_true(outcome(r, OUTCOME_READY) >= AGENTS - 1);
    uint32_t n = 0, near = 0;
    for (unsigned i = 0; i < ARRIVAL_BUCKETS; i++) {
        n += r->aggregate.release[i];
        /* 48 + 30 ends at 0.1 ms * 2^(31/3): 129 ms; the same below. */
        near += i >= 17 && i <= 78 ? r->aggregate.release[i] : 0;
    }
    assert_true(n >= AGENTS - 1);
    assert_true(near >= n - 1);
    done(w);
}

/* --- consoles ----------------------------------------------------------------------------------
 */

static void queries_page_through_all_agents(void **state)
{
    (void)state;
    struct world *w = joined(15);
    struct command q = {.kind = COMMAND_QUERY};
    q.query.kind = QUERY_AGENTS;
    q.query.from_start = true;
    q.query.limit = 7;
    uint64_t last = 0;
    uint32_t seen = 0;
    bool more = true;
    while (more) {
        const struct reply *r = world_ask(w, unit_orchestrator(), &q, 3 * US_PER_S);
        assert_non_null(r);
        assert_int_equal(r->kind, REPLY_ROWS);
        assert_int_equal(r->rows->total, AGENTS);
        assert_int_equal(r->rows->missing, 0);
        for (uint32_t i = 0; i < r->rows->row_count; i++) {
            assert_true(seen == 0 || r->rows->rows[i].key > last);
            last = r->rows->rows[i].key;
            seen++;
        }
        more = r->rows->more;
        q.query.from_start = false;
        q.query.after_key = last;
        assert_true(seen <= AGENTS);
    }
    assert_int_equal(seen, AGENTS);
    q.query.kind = QUERY_SECTORS;
    q.query.from_start = true;
    const struct reply *r = world_ask(w, unit_orchestrator(), &q, 3 * US_PER_S);
    assert_int_equal(r->rows->row_count, 2);
    assert_int_equal(r->rows->rows[1].u.summary->agents, AGENTS / 2);
    q.query.kind = QUERY_CLUSTERS;
    r = world_ask(w, unit_orchestrator(), &q, 3 * US_PER_S);
    assert_int_equal(r->rows->row_count, 4);
    done(w);
}

static void answers_of_any_strategy_are_kept(void **state)
{
    (void)state;
    struct world *w = joined(16);
    static const enum cascade_strategy strategies[] = {CASCADE_NONE, CASCADE_WAVE,
                                                       CASCADE_PRIORITY_FIRST};
    for (unsigned i = 0; i < 3; i++) {
        struct command c, q = {.kind = COMMAND_QUERY};
        submit(&c, "context", "");
        c.operation.strategy = strategies[i];
        uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
        world_run(w, 15 * US_PER_S);
        assert_non_null(world_reply(w, ref));
        q.query.kind = QUERY_ANSWERS;
        q.query.operation_id = world_accepted(w, ref);
        q.query.from_start = true;
        q.query.limit = 50;
        const struct reply *r = world_ask(w, unit_orchestrator(), &q, 3 * US_PER_S);
        assert_non_null(r);
        assert_int_equal(r->rows->kind, ROW_ANSWER);
        uint32_t sum = 0;
        for (uint32_t k = 0; k < r->rows->row_count; k++) {
            sum += r->rows->rows[k].u.answer.count;
        }
        assert_int_equal(sum, AGENTS);
    }
    done(w);
}

static void one_agent_is_inspected(void **state)
{
    (void)state;
    struct world *w = joined(17);
    struct command q = {.kind = COMMAND_QUERY};
    q.query.kind = QUERY_INSPECT;
    q.query.from_start = true;
    q.query.limit = 1;
    places(&q.query.selector, "s02.c1.a3");
    const struct reply *r = world_ask(w, unit_orchestrator(), &q, 3 * US_PER_S);
    assert_non_null(r);
    assert_int_equal(r->rows->kind, ROW_RECORD);
    assert_int_equal(r->rows->row_count, 1);
    assert_non_null(strstr(r->rows->rows[0].u.record.text, "s02.c1.a3"));
    assert_non_null(strstr(r->rows->rows[0].u.record.text, "agent_class"));
    done(w);
}

static void cancel_and_freeze(void **state)
{
    (void)state;
    struct world *w = joined(18);
    struct command c, other = {0};
    submit(&c, "work", "x");
    c.operation.timing = TIMING_AT;
    c.operation.target_mesh_us = world_mesh_now(w) + 8 * US_PER_S;
    c.operation.timeout_us = 10 * US_PER_S;
    uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
    world_run(w, US_PER_S);
    assert_null(world_reply(w, ref));
    other.kind = COMMAND_CANCEL;
    other.operation_id = world_accepted(w, ref);
    assert_int_equal(world_ask(w, unit_orchestrator(), &other, 8 * US_PER_S)->kind, REPLY_OK);
    world_run(w, 2 * US_PER_S);
    const struct reply *r = world_reply(w, ref);
    assert_non_null(r);
    assert_string_equal(r->report->status, "CANCELLED");
    assert_int_equal(outcome(r->report, OUTCOME_CANCELLED), AGENTS);
    assert_int_equal(world_stats(w)->executed, 0);

    other.kind = COMMAND_FREEZE;
    other.scope = unit_orchestrator();
    assert_int_equal(world_ask(w, unit_orchestrator(), &other, 8 * US_PER_S)->kind, REPLY_OK);
    world_run(w, US_PER_S);
    submit(&c, "echo", "x");
    const struct reply *no = world_ask(w, unit_orchestrator(), &c, US_PER_S);
    assert_int_equal(no->kind, REPLY_ERROR);
    assert_int_equal(no->reason, REASON_FROZEN);
    places(&c.operation.selector, "s01");
    assert_int_equal(world_ask(w, unit_sector(1), &c, US_PER_S)->reason, REASON_FROZEN);
    other.kind = COMMAND_THAW;
    assert_int_equal(world_ask(w, unit_orchestrator(), &other, 8 * US_PER_S)->kind, REPLY_OK);
    world_run(w, US_PER_S);
    assert_int_equal(outcome(run(w, unit_orchestrator(), &c), OUTCOME_READY), AGENTS / 2);
    other.kind = COMMAND_FREEZE; /* one sector only */
    other.scope = unit_sector(2);
    world_ask(w, unit_orchestrator(), &other, 8 * US_PER_S);
    world_run(w, US_PER_S);
    memset(&c.operation.selector, 0, sizeof(c.operation.selector));
    const struct report *half = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(half, OUTCOME_REFUSED), AGENTS / 2);
    assert_int_equal(half->aggregate.reasons[REASON_FROZEN], AGENTS / 2);
    done(w);
}

static void progress_is_told_every_second(void **state)
{
    (void)state;
    struct world *w = joined(19);
    struct command c;
    submit(&c, "echo", "x");
    c.operation.timing = TIMING_AT;
    c.operation.target_mesh_us = world_mesh_now(w) + 5 * US_PER_S;
    c.operation.timeout_us = 8 * US_PER_S;
    uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
    world_run(w, 7 * US_PER_S);
    const struct reply *r = world_reply(w, ref);
    assert_non_null(r);
    assert_true(outcome(r->report, OUTCOME_READY) >= AGENTS - 1);
    /* Accepted, the report, and three to five times progress in between. */
    assert_in_range(world_replies(w, ref), 5, 7);
    done(w);
}

static void when_tells_the_lead_time(void **state)
{
    (void)state;
    struct world *w = joined(20);
    struct command c;
    submit(&c, "work", "x");
    c.kind = COMMAND_WHEN;
    c.operation.minimum_response_rate = 0.95;
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, US_PER_S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_WHEN);
    assert_int_equal(r->when.targets, AGENTS);
    assert_true(r->when.lead_us_p50 > 0);
    assert_true(r->when.lead_us_p95 >= r->when.lead_us_p50);
    assert_true(r->when.lead_us_wanted >= r->when.lead_us_p50);
    assert_true(r->when.confidence > 0.949 && r->when.confidence < 0.951); /* predictor_tau */
    assert_true(r->when.ready_expected >= 0.95 * r->when.confidence);
    assert_true(r->when.ready_expected <= r->when.confidence);
    done(w);
}

/* How many lead times `when` counts: of those who are meant, and of nobody else. */
static uint32_t when_counts(struct world *w, const struct selector *sel)
{
    struct command c;
    submit(&c, "work", "x");
    c.kind = COMMAND_WHEN;
    c.operation.selector = *sel;
    c.operation.minimum_response_rate = 0.95;
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 2 * US_PER_S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_WHEN);
    assert_true(r->when.targets == 0 || r->when.lead_us_p50 > 0);
    return r->when.targets;
}

static void when_counts_who_is_meant(void **state)
{
    (void)state;
    struct world_conf conf;
    small(&conf, 21);
    const struct topology *t = &conf.topology;
    struct world *w = joined(21);
    uint32_t with_gpu = 0, debian = 0;
    for (uint32_t i = 0; i < AGENTS; i++) {
        const char *facts = sim_facts(topology_class(t, i), i);
        bool person = topology_class(t, i) == CLASS_F_HUMAN; /* counted when they are named */
        with_gpu += !person && facts_match(facts, "gpu=*");
        debian += !person && facts_match(facts, "os=debian12,gpu!=*");
    }
    assert_true(with_gpu > 0 && debian > 0);
    struct selector sel = {.where = "gpu=*"};
    assert_int_equal(when_counts(w, &sel), with_gpu);
    sel = (struct selector){.where = "os=debian12,gpu!=*"};
    assert_int_equal(when_counts(w, &sel), debian);
    sel = (struct selector){.where = "os=plan9"};
    assert_int_equal(when_counts(w, &sel), 0);
    sel = (struct selector){.class_mask = 1u << CLASS_A_EDGE, .state_mask = 1u << AGENT_OFFLINE};
    assert_int_equal(when_counts(w, &sel), 0);
    sel = (struct selector){.class_mask = CLASS_MASK_ALL};
    sel.places = (struct place_set){.count = 1, .patterns = {{{1, 1}, {1, 1}, {1, 3}}}};
    assert_int_equal(when_counts(w, &sel), 3); /* not all of their sector */
    done(w);
}

struct relayed {
    uint32_t notes, lost;
};

static void watch_relays(void *context, const struct world_step *s)
{
    struct relayed *seen = context;
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_WORK) {
            seen->notes++;
        } else if (fx->kind == FX_NOTE && fx->u.note.note == NOTE_RELAY_LOST) {
            seen->lost++;
        }
    }
}

static void agents_send_across_sectors(void **state)
{
    (void)state;
    struct world *w = joined(21);
    struct relayed seen = {0};
    struct command c;
    submit(&c, "relay", "direct s02.c2.a4 echo hello-from-afar");
    places(&c.operation.selector, "s01.c1.a1");
    world_watch_set(w, watch_relays, &seen);
    run(w, unit_orchestrator(), &c);
    world_run(w, 3 * US_PER_S);
    assert_int_equal(seen.notes, 2); /* the relay, and the echo over there */
    assert_int_equal(seen.lost, 0);
    submit(&c, "relay", "broadcast s02 echo hello-all");
    places(&c.operation.selector, "s02.c1.a1");
    run(w, unit_orchestrator(), &c);
    world_run(w, 3 * US_PER_S);
    /* The relay, and all of sector 2, its author perhaps left out. */
    assert_in_range(seen.notes, 2 + 1 + AGENTS / 2 - 1, 2 + 1 + AGENTS / 2);
    assert_int_equal(seen.lost, 0);
    done(w);
}

static void hosts_start_their_agents_again(void **state)
{
    (void)state;
    struct world_conf conf;
    small(&conf, 23);
    conf.hosts = 2;
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    assert_int_equal(status_of(w).summary.active, AGENTS);
    world_kill(w, unit_agent(1, 2, 3), false);
    assert_false(world_alive(w, unit_agent(1, 2, 3)));
    world_run(w, 20 * US_PER_S);
    assert_true(world_alive(w, unit_agent(1, 2, 3)));
    struct command c;
    submit(&c, "echo", "x");
    assert_int_equal(outcome(run(w, unit_orchestrator(), &c), OUTCOME_READY), AGENTS);
    done(w);
}

/* --- determinism -------------------------------------------------------------------------------
 */

static uint64_t digest_of(uint64_t seed)
{
    struct world *w = joined(seed);
    struct command c;
    submit(&c, "work", "x");
    c.operation.strategy = CASCADE_WAVE;
    c.operation.timing = TIMING_BY;
    run(w, unit_orchestrator(), &c);
    world_kill(w, unit_agent(1, 1, 1), false);
    world_run(w, 40 * US_PER_S);
    world_restart(w, unit_agent(1, 1, 1), false);
    world_run(w, 10 * US_PER_S);
    assert_int_equal(status_of(w).summary.active, AGENTS);
    uint64_t digest = world_stats(w)->digest;
    done(w);
    return digest;
}

static void equal_seeds_give_equal_runs(void **state)
{
    (void)state;
    uint64_t a = digest_of(100), b = digest_of(100), other = digest_of(101);
    assert_true(a == b);
    assert_true(a != other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_join),
        cmocka_unit_test(broadcast_reaches_all),
        cmocka_unit_test(empty_places_expect_nobody),
        cmocka_unit_test(ask_takes_a_sample),
        cmocka_unit_test(conflicts_are_counted_and_decided),
        cmocka_unit_test(cascades_of_each_strategy),
        cmocka_unit_test(held_effects_arrive_together),
        cmocka_unit_test(queries_page_through_all_agents),
        cmocka_unit_test(answers_of_any_strategy_are_kept),
        cmocka_unit_test(one_agent_is_inspected),
        cmocka_unit_test(cancel_and_freeze),
        cmocka_unit_test(progress_is_told_every_second),
        cmocka_unit_test(when_tells_the_lead_time),
        cmocka_unit_test(when_counts_who_is_meant),
        cmocka_unit_test(agents_send_across_sectors),
        cmocka_unit_test(hosts_start_their_agents_again),
        cmocka_unit_test(equal_seeds_give_equal_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
