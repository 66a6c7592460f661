/* The faults of the virtual world, each on a mesh of 2 x 2 x 6: that it happens, that it ends, and
 * that the mesh is whole afterwards. Packed agents as well. */
#include "core/num.h"
#include "sim/world_fault.h"
#include "tests/support/worlds.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define AGENTS 24u

static void small(struct world_conf *conf, uint64_t seed)
{
    tree_conf(conf, seed, 2, 2, 6, AGENTS / 2);
}

static struct world *joined(uint64_t seed)
{
    struct world_conf conf;
    small(&conf, seed);
    conf.store_sync_us = US_PER_S;
    conf.store_lag_us = 2 * US_PER_S;
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    return w;
}

static uint32_t active(struct world *w)
{
    struct command c = {.kind = COMMAND_STATUS};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 5 * US_PER_S);
    return r != NULL && r->kind == REPLY_STATUS ? r->status->summary.active : 0;
}

/* How many agents end READY; -1: no report. */
static int ready(struct world *w)
{
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "echo", "x");
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 90 * US_PER_S);
    return r != NULL && r->kind == REPLY_OPERATION
               ? (int)r->report->aggregate.outcomes[OUTCOME_READY]
               : -1;
}

static void whole_again(struct world *w)
{
    world_run(w, 60 * US_PER_S);
    assert_int_equal(active(w), AGENTS);
    assert_int_equal(ready(w), AGENTS);
    assert_int_equal(world_stats(w)->executed_twice, 0);
    assert_int_equal(world_stats(w)->uneven, 0);
    world_free(w);
}

static const struct world_side everything = {.others = true};

/* --- network -----------------------------------------------------------------------------------
 */

static void one_way_partition(void **state)
{
    (void)state;
    struct world *w = joined(1);
    struct unit lead = unit_cluster(1, 1), sector = unit_sector(1);
    const struct world_side a = {.units = &lead, .count = 1}, others = {&lead, 1, true};
    uint32_t rules[2];
    (void)sector;
    world_cut(w, &a, &others, false, rules); /* it hears and is not heard */
    assert_true(rules[0] != 0 && rules[1] == 0);
    world_run(w, 20 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_PARTITION) > 10);
    assert_int_equal(active(w), AGENTS - 6);
    world_rule_remove(w, rules[0]);
    whole_again(w);
}

static void rules_between_any_two_sides(void **state)
{
    (void)state;
    struct world *w = joined(2);
    const struct unit some[] = {unit_cluster(1, 1), unit_cluster(2, 2)};
    struct world_rule rule = {.from = everything,
                              .to = {.units = some, .count = 2},
                              .drop_permille = 100,
                              .duplicate_permille = 200,
                              .reorder_permille = 300,
                              .delay_us = 400000};
    uint32_t number = world_rule_add(w, &rule);
    struct world_rule slow = {.from = everything, .to = everything, .delay_us = 30000};
    uint32_t second = world_rule_add(w, &slow);
    assert_int_equal(number, 1);
    assert_int_equal(second, 2);
    assert_true(ready(w) >= 12);
    world_run(w, 30 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_DROP) > 0 && world_met(w, WORLD_MET_DUPLICATE) > 0);
    assert_true(world_met(w, WORLD_MET_REORDER) > 0 && world_met(w, WORLD_MET_DELAY) > 100);
    world_rule_remove(w, number);
    world_rule_remove(w, number); /* not in use: nothing */
    world_rule_remove(w, second);

    whole_again(w);
}

static void the_table_of_rules_has_an_end(void **state)
{
    (void)state;
    struct world *w = joined(3);
    struct world_rule rule = {.from = everything, .to = everything};
    for (uint32_t i = 1; i <= WORLD_RULES_MAX; i++) {
        assert_int_equal(world_rule_add(w, &rule), i);
    }
    assert_int_equal(world_rule_add(w, &rule), 0);
    world_rule_remove(w, 7);
    assert_int_equal(world_rule_add(w, &rule), 7);
    world_free(w);
}

static void a_clog_keeps_everything(void **state)
{
    (void)state;
    struct world *w = joined(4);
    struct unit lead = unit_cluster(1, 2);
    struct world_rule rule = {.from = everything, .to = {.units = &lead, .count = 1}, .clog = true};
    uint32_t number = world_rule_add(w, &rule);
    uint64_t lost = world_stats(w)->lost;
    world_run(w, 2 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_CLOG) > 0);
    assert_int_equal(world_stats(w)->lost, lost);
    world_rule_remove(w, number);
    whole_again(w);
}

static void a_broker_loses_what_is_in_flight(void **state)
{
    (void)state;
    struct world *w = joined(5);
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "echo", "x");
    uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
    world_run(w, 5000); /* it is on its way down */
    world_broker_restart(w, 2 * US_PER_S);
    world_run(w, 60 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_BROKER) + world_met(w, WORLD_MET_LINK_DOWN) > 0);
    const struct reply *r = world_reply(w, ref);
    assert_true(r != NULL && r->kind == REPLY_OPERATION);
    whole_again(w);
}

static void slow_consumers_and_dying_connections(void **state)
{
    (void)state;
    struct world *w = joined(6);
    world_pending_max(w, 3);
    world_pause(w, unit_cluster(1, 1), false, 8 * US_PER_S);
    world_swallow(w, unit_cluster(2, 1), true, 3 * US_PER_S);
    world_run(w, 10 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_SLOW_CONSUMER) > 0);
    assert_true(world_met(w, WORLD_MET_SWALLOWED) > 0);
    world_disconnect(w, unit_cluster(2, 2), true, US_PER_S);
    world_run(w, 10 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_LINK_DOWN) > 0);
    world_pending_max(w, 0);
    whole_again(w);
}

/* --- clocks ------------------------------------------------------------------------------------
 */

static void clocks_jump_and_drift(void **state)
{
    (void)state;
    struct world *w = joined(7);
    world_clock_jump(w, unit_cluster(1, 1), false, 3600 * US_PER_S); /* one was set by an hour */
    world_clock_jump(w, unit_agent(1, 2, 3), false, 3600 * US_PER_S);
    world_clock_drift(w, unit_sector(2), true, 200000);
    world_run(w, 30 * US_PER_S);
    world_clock_drift(w, unit_sector(2), true, -50000);
    whole_again(w);
}

/* --- store -------------------------------------------------------------------------------------
 */

static void every_state_of_the_store(void **state)
{
    (void)state;
    struct world *w = joined(8);
    for (int s = WORLD_STORE_AWAY; s < WORLD_STORE_STATES; s++) {
        world_store_state(w, STORE_BANK_REGISTRY, (enum world_store_state)s);
        world_run(w, 12 * US_PER_S);
        assert_true(world_met(w, (enum world_met)(WORLD_MET_STORE_AWAY + s - 1)) > 0 ||
                    s == WORLD_STORE_AWAY); /* told, nobody asks one that is away */
        assert_int_equal(ready(w), AGENTS); /* schedules work without it */
        world_store_state(w, STORE_BANK_REGISTRY, WORLD_STORE_UP);
        world_run(w, 12 * US_PER_S);
    }
    world_store_unsure(w, STORE_BANK_REGISTRY, 300);
    world_store_slow(w, STORE_BANK_REGISTRY, 20000);
    world_run(w, 20 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_STORE_UNSURE) > 0);
    world_store_unsure(w, STORE_BANK_REGISTRY, 0);
    world_store_slow(w, STORE_BANK_REGISTRY, 0);
    whole_again(w);
}

static void a_store_forgets_what_it_had_not_synced(void **state)
{
    (void)state;
    struct world *w = joined(9);
    world_run(w, 10 * US_PER_S);
    world_store_crash(w, STORE_BANK_REGISTRY, 3 * US_PER_S);
    uint64_t lost = world_met(w, WORLD_MET_STORE_LOST);
    assert_true(lost > 0);
    world_run(w, 20 * US_PER_S);
    world_store_failover(w, STORE_BANK_REGISTRY, US_PER_S);
    assert_true(world_met(w, WORLD_MET_STORE_LOST) > lost);
    world_run(w, 20 * US_PER_S);
    world_store_wipe(w, STORE_BANK_REGISTRY);
    whole_again(w);
}

/* --- liars -------------------------------------------------------------------------------------
 */

static void what_acceptance_stops(void **state)
{
    (void)state;
    struct world *w = joined(12);
    world_lie(w, unit_cluster(1, 1), true, WORLD_LIE_FORGE, true);
    world_lie(w, unit_cluster(1, 2), true, WORLD_LIE_REPLAY, true);
    assert_int_equal(ready(w), AGENTS);
    world_run(w, 60 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_REFUSED_SCOPE) > 0);
    assert_true(world_met(w, WORLD_MET_REFUSED_REPLAY) > 0);
    assert_true(world_met(w, WORLD_MET_REFUSED_EXPIRED) > 0);
    world_wall_step(w, unit_cluster(2, 1), true, +60 * US_PER_S);
    world_run(w, 60 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_REFUSED_FUTURE) > 0);
    assert_int_equal(active(w), AGENTS - 6);
    world_wall_step(w, unit_cluster(2, 1), true, -60 * US_PER_S);
    world_lie(w, unit_orchestrator(), true, WORLD_LIE_FORGE, false);
    world_lie(w, unit_orchestrator(), true, WORLD_LIE_REPLAY, false);
    whole_again(w);
}

static void what_it_cannot_stop(void **state)
{
    (void)state;
    struct world *w = joined(13);
    for (int lie = WORLD_LIE_EQUIVOCATE; lie < WORLD_LIE_COUNT; lie++) {
        world_lie(w, unit_agent(1, 1, 1 + (unsigned)lie), false, (enum world_lie)lie, true);
        world_lie(w, unit_agent(2, 1, 3), false, (enum world_lie)lie, true);
    }
    world_restart(w, unit_cluster(1, 1), true);
    world_restart(w, unit_cluster(2, 1), true);
    world_run(w, 20 * US_PER_S);
    for (int i = 0; i < 3; i++) { /* one answer counts: every honest one, and one of each liar's */
        assert_in_range(ready(w), AGENTS - 2, AGENTS);
    }
    for (int m = WORLD_MET_LIE_CAPABILITY; m <= WORLD_MET_LIE_FLOOD; m++) {
        bool said = m != WORLD_MET_LIE_CONTENT; /* nobody has a context here to give away */
        assert_int_equal(world_met(w, (enum world_met)m) > 0, said);
    }
    for (int lie = WORLD_LIE_EQUIVOCATE; lie < WORLD_LIE_COUNT; lie++) {
        world_lie(w, unit_orchestrator(), true, (enum world_lie)lie, false);
    }
    whole_again(w);
}

/* --- fault points, packing ---------------------------------------------------------------------
 */

static void fault_points_trip(void **state)
{
    (void)state;
    struct world *w = joined(10);
    for (int t = TIER_ORCHESTRATOR; t <= TIER_AGENT; t++) {
        world_fault_point(w, (enum tier)t, FAULT_NO_ROOM, 300);
    }
    world_run(w, 10 * US_PER_S);
    assert_true(world_met(w, WORLD_MET_POINT) > 0);
    assert_int_equal(ready(w), AGENTS); /* short of room is no reason to fail */
    world_fault_point(w, TIER_CLUSTER, FAULT_POOL_FULL, 1000);
    assert_int_equal(ready(w), 0);
    world_fault_point(w, TIER_CLUSTER, FAULT_POOL_FULL, 0);
    world_fault_point(w, TIER_SECTOR, FAULT_HUB_FULL, 1000);
    assert_int_equal(ready(w), 0);
    world_fault_point(w, TIER_SECTOR, FAULT_HUB_FULL, 0);
    world_fault_point(w, TIER_AGENT, FAULT_QUEUE_FULL, 1000);
    assert_int_equal(ready(w), 0);
    world_fault_point(w, TIER_AGENT, FAULT_QUEUE_FULL, 0);
    whole_again(w);
}

static uint64_t digest_of(bool pack, bool plain)
{
    struct world_conf conf;
    small(&conf, 11);
    conf.pack = pack;
    conf.pack_plain = plain;
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    assert_int_equal(ready(w), AGENTS);
    world_kill(w, unit_agent(1, 1, 1), false);
    world_run(w, 40 * US_PER_S);
    world_restart(w, unit_agent(1, 1, 1), false);
    world_run(w, 20 * US_PER_S);
    uint64_t digest = world_stats(w)->digest;
    world_free(w);
    return digest;
}

static void packed_agents_are_the_same(void **state)
{
    (void)state;
    uint64_t digest = digest_of(false, false);
    assert_true(digest == digest_of(true, false));
    assert_true(digest == digest_of(true, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_way_partition),
        cmocka_unit_test(rules_between_any_two_sides),
        cmocka_unit_test(the_table_of_rules_has_an_end),
        cmocka_unit_test(a_clog_keeps_everything),
        cmocka_unit_test(a_broker_loses_what_is_in_flight),
        cmocka_unit_test(slow_consumers_and_dying_connections),
        cmocka_unit_test(clocks_jump_and_drift),
        cmocka_unit_test(every_state_of_the_store),
        cmocka_unit_test(a_store_forgets_what_it_had_not_synced),
        cmocka_unit_test(what_acceptance_stops),
        cmocka_unit_test(what_it_cannot_stop),
        cmocka_unit_test(fault_points_trip),
        cmocka_unit_test(packed_agents_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
