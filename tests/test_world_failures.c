/* A small mesh whose parts fail: killed, paused, cut off, lossy, without a store. */
#include "sim/world_fault.h"
#include "tests/support/small_mesh.h"

static void a_killed_lead_is_unreachable_then_back(void **state)
{
    (void)state;
    struct world_conf conf;
    small(&conf, 7); /* more clusters, so that one does not change the mode to MODERATE */
    conf.topology.clusters_per_sector = 6;
    conf.topology.agents_per_cluster = 2;
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    world_kill(w, unit_cluster(1, 2), false);
    world_run(w, 6 * US_PER_S);
    struct command c;
    submit(&c, "echo", "x");
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_int_equal(r->aggregate.targets, AGENTS);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS - 2);
    assert_int_equal(outcome(r, OUTCOME_UNREACHABLE), 2);
    assert_int_equal(r->aggregate.reasons[REASON_CLUSTER_DOWN], 2);
    /* Answered at once, not at the deadline. */
    assert_true(r->finished_mesh_us - r->created_mesh_us < 3 * US_PER_S);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.clusters_up, 11);
    assert_int_equal(s.summary.agents, AGENTS);
    assert_int_equal(s.summary.active, AGENTS - 2);
    assert_int_equal(s.mode, MODE_DEGRADED_LIGHT);
    c.operation.priority = 0; /* background rests in DEGRADED_LIGHT */
    const struct reply *no = world_ask(w, unit_orchestrator(), &c, US_PER_S);
    assert_int_equal(no->kind, REPLY_ERROR);
    assert_int_equal(no->reason, REASON_MODE);
    assert_non_null(strstr(no->text, "DEGRADED_LIGHT"));
    c.operation.priority = 2;

    world_restart(w, unit_cluster(1, 2), false);
    world_run(w, 15 * US_PER_S);
    r = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS);
    assert_int_equal(status_of(w).mode, MODE_FULL);
    done(w);
}

static void moderate_routes_to_healthy_places_only(void **state)
{
    (void)state;
    struct world *w = joined(22);
    world_kill(w, unit_cluster(1, 2), false); /* a quarter of the mesh, half of a sector */
    world_run(w, 6 * US_PER_S);
    assert_int_equal(status_of(w).mode, MODE_DEGRADED_MODERATE);
    struct command c;
    submit(&c, "echo", "x");
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS / 2);
    assert_int_equal(outcome(r, OUTCOME_REFUSED), AGENTS / 2);
    assert_int_equal(r->aggregate.reasons[REASON_MODE], AGENTS / 2);
    assert_int_not_equal(r->decision, DECISION_PROCEED);
    done(w);
}

static void a_hop_that_dies_while_waiting(void **state)
{
    (void)state;
    struct world *w = joined(8);
    struct command c;
    submit(&c, "work", "x");
    c.operation.timeout_us = 25 * US_PER_S;
    for (unsigned a = 1; a <= 6; a++) {
        world_slow(w, unit_agent(2, 1, a), 100.0); /* their work takes long */
    }
    uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
    world_run(w, US_PER_S);
    world_kill(w, unit_cluster(2, 1), true);
    world_run(w, 8 * US_PER_S);
    const struct reply *r = world_reply(w, ref);
    assert_non_null(r); /* found dead after 4 s: answered then */
    assert_int_equal(outcome(r->report, OUTCOME_UNREACHABLE), 6);
    assert_int_equal(outcome(r->report, OUTCOME_READY), AGENTS - 6);
    done(w);
}

static void a_dead_sector_is_answered_for(void **state)
{
    (void)state;
    struct world *w = joined(9);
    world_kill(w, unit_sector(2), true);
    world_run(w, 6 * US_PER_S);
    struct command c;
    submit(&c, "echo", "x");
    c.operation.priority = 3;
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(r, OUTCOME_UNREACHABLE), AGENTS / 2);
    assert_int_equal(r->aggregate.reasons[REASON_SECTOR_DOWN], AGENTS / 2);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS / 2);
    c.operation.strategy = CASCADE_WAVE;
    r = run(w, unit_orchestrator(), &c);
    assert_string_equal(r->status, "FAILED_AT_SECTOR");
    assert_int_equal(r->aggregate.targets, AGENTS);
    done(w);
}

/* The bound is for the mean of four seeds; 8 of their 1,152 targets are not READY. Six of them are
 * one cluster of seed 11, operation 3: nothing more is heard of one agent that has done it, so its
 * lead waits until its deadline and then says its result once. That is lost, the sector's own
 * deadline is 89 ms later, which is sooner than it would ask again, and so it answers for the
 * whole cluster (unreachable, cluster-down), although it had heard that five were ready. */
static void loss_is_mended_and_nothing_runs_twice(void **state)
{
    (void)state;
    uint32_t ready = 0, resent = 0, targets = 0;
    for (uint64_t seed = 10; seed < 14; seed++) {
        struct world_conf conf;
        small(&conf, seed);
        conf.agent_loss_permille = 100;
        conf.tier_loss_permille = 20;
        struct world *w = world_new(&conf);
        world_run(w, 20 * US_PER_S);
        for (int i = 0; i < 12; i++) {
            struct command c;
            submit(&c, "echo", "x");
            c.operation.timeout_us = 8 * US_PER_S;
            const struct report *r = run(w, unit_orchestrator(), &c);
            ready += outcome(r, OUTCOME_READY);
            resent += r->aggregate.resent;
            targets += r->aggregate.targets;
            world_run(w, US_PER_S);
        }
        assert_true(world_stats(w)->lost > 50);
        done(w);
    }
    assert_true(resent > 0);
    assert_true(ready * 100 >= targets * 97);
}

/* Far more operations than an agent remembers by id, at once, with resends of everything that is
 * lost or slow: each runs once (done() looks), and its outcome is known. */
static void many_at_once_run_once(void **state)
{
    (void)state;
    struct world_conf conf;
    small(&conf, 41);
    conf.agent_loss_permille = 200;
    struct world *w = world_new(&conf);
    world_run(w, 20 * US_PER_S);
    uint64_t refs[400];
    for (uint32_t i = 0; i < 400; i++) {
        struct command c;
        submit(&c, "echo", "x");
        c.operation.timeout_us = 10 * US_PER_S;
        refs[i] = world_send(w, 1, unit_orchestrator(), &c);
        world_run(w, 5 * US_PER_MS);
    }
    world_run(w, 15 * US_PER_S);
    uint32_t ready = 0, resent = 0;
    for (uint32_t i = 0; i < 400; i++) {
        const struct reply *r = world_reply(w, refs[i]);
        assert_non_null(r);
        assert_int_equal(r->kind, REPLY_OPERATION);
        ready += outcome(r->report, OUTCOME_READY);
        resent += r->report->aggregate.resent;
    }
    assert_true(resent > 1000);
    assert_true(ready * 100 >= 400 * AGENTS * 97); /* lost acknowledgements are said again */
    done(w);
}

static void a_sector_serves_its_own_alone(void **state)
{
    (void)state;
    struct world *w = joined(11);
    world_kill(w, unit_orchestrator(), false);
    world_run(w, 8 * US_PER_S);
    struct command c;
    submit(&c, "echo", "alone");
    places(&c.operation.selector, "s01");
    const struct report *r = run(w, unit_sector(1), &c);
    assert_int_equal(r->aggregate.targets, AGENTS / 2);
    assert_int_equal(outcome(r, OUTCOME_READY), AGENTS / 2);
    places(&c.operation.selector, "s02");
    const struct reply *no = world_ask(w, unit_sector(1), &c, US_PER_S);
    assert_non_null(no);
    assert_int_equal(no->kind, REPLY_ERROR);
    assert_int_equal(no->reason, REASON_NOT_MINE);
    struct command q = {.kind = COMMAND_QUERY};
    q.query.kind = QUERY_CLUSTERS;
    q.query.from_start = true;
    q.query.limit = 10;
    places(&q.query.selector, "s01");
    const struct reply *rows = world_ask(w, unit_sector(1), &q, 3 * US_PER_S);
    assert_non_null(rows);
    assert_int_equal(rows->kind, REPLY_ROWS);
    assert_int_equal(rows->rows->row_count, 2);
    assert_int_equal(rows->rows->rows[0].u.summary->active, 6);
    /* The orchestrator comes back under a higher epoch and sees all. */
    world_restart(w, unit_orchestrator(), false);
    world_run(w, 8 * US_PER_S);
    assert_int_equal(status_of(w).summary.active, AGENTS);
    done(w);
}

static void a_paused_sector_accuses_nobody(void **state)
{
    (void)state;
    struct world *w = joined(12);
    world_pause(w, unit_sector(1), false, 10 * US_PER_S);
    world_run(w, 12 * US_PER_S);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.clusters_up, 4);
    struct command c;
    submit(&c, "echo", "x");
    assert_int_equal(outcome(run(w, unit_orchestrator(), &c), OUTCOME_READY), AGENTS);
    done(w);
}

static void a_partition_heals(void **state)
{
    (void)state;
    struct world *w = joined(13);
    world_partition(w, unit_sector(2), true);
    world_run(w, 10 * US_PER_S);
    assert_int_equal(status_of(w).sectors_up, 1);
    struct command c;
    submit(&c, "echo", "cut off"); /* the cut-off side serves its own */
    places(&c.operation.selector, "s02");
    assert_int_equal(outcome(run(w, unit_sector(2), &c), OUTCOME_READY), AGENTS / 2);
    world_partition(w, unit_sector(2), false);
    world_run(w, 10 * US_PER_S);
    assert_int_equal(status_of(w).sectors_up, 2);
    memset(&c.operation.selector, 0, sizeof(c.operation.selector));
    assert_int_equal(outcome(run(w, unit_orchestrator(), &c), OUTCOME_READY), AGENTS);
    done(w);
}

static void the_store_may_be_away(void **state)
{
    (void)state;
    struct world *w = joined(14);
    world_store_down(w, true);
    world_run(w, 8 * US_PER_S);
    assert_false(status_of(w).store_up);
    struct command c;
    submit(&c, "echo", "x");
    assert_int_equal(outcome(run(w, unit_orchestrator(), &c), OUTCOME_READY), AGENTS);
    world_store_down(w, false);
    world_run(w, 8 * US_PER_S);
    assert_true(status_of(w).store_up);
    done(w);
}

/* Every coordinator's process is without the leases' Redis: its summary says so, and no other. */
static void the_durable_store_may_be_away(void **state)
{
    (void)state;
    struct world *w = joined(15);
    struct mesh_status s = status_of(w);
    uint32_t all = s.summary.clusters_up + s.sectors_up + 1;
    assert_int_equal(s.summary.durable_away, 0);
    world_store_state(w, STORE_BANK_DURABLE, WORLD_STORE_AWAY);
    world_run(w, 4 * US_PER_S);
    s = status_of(w);
    assert_int_equal(s.summary.durable_away, all);
    assert_true(s.store_up);
    world_kill(w, unit_cluster(1, 1), false); /* who starts meanwhile is told */
    world_run(w, 6 * US_PER_S);
    world_restart(w, unit_cluster(1, 1), false);
    world_run(w, 12 * US_PER_S);
    assert_int_equal(status_of(w).summary.durable_away, all);
    world_store_state(w, STORE_BANK_DURABLE, WORLD_STORE_UP);
    world_run(w, 4 * US_PER_S);
    assert_int_equal(status_of(w).summary.durable_away, 0);
    done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_lead_is_unreachable_then_back),
        cmocka_unit_test(moderate_routes_to_healthy_places_only),
        cmocka_unit_test(a_hop_that_dies_while_waiting),
        cmocka_unit_test(a_dead_sector_is_answered_for),
        cmocka_unit_test(loss_is_mended_and_nothing_runs_twice),
        cmocka_unit_test(many_at_once_run_once),
        cmocka_unit_test(a_sector_serves_its_own_alone),
        cmocka_unit_test(a_paused_sector_accuses_nobody),
        cmocka_unit_test(a_partition_heals),
        cmocka_unit_test(the_store_may_be_away),
        cmocka_unit_test(the_durable_store_may_be_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
