/* A breaker that was opened by hand stays open until it is closed by hand (spec 6.2, 7.1), whoever
 * dies meanwhile: its lead, the sector, the orchestrator, all at once. Whole mesh in virtual time,
 * 2 sectors x 2 clusters x 6 agents. */
#include "sim/world.h"
#include "tests/support/worlds.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define AGENTS 24u
#define S      US_PER_S

static enum reply_kind order(struct world *w, enum command_kind kind, struct unit scope, bool on)
{
    struct command c = {.kind = kind, .scope = scope, .on = on};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 45 * S);
    assert_non_null(r);
    return r->kind;
}

static enum reply_kind breaker(struct world *w, struct unit scope, bool open)
{
    enum reply_kind kind = order(w, COMMAND_BREAKER, scope, open);
    world_run(w, 2 * S);
    return kind;
}

/* How many agents an operation to all reaches. */
static uint32_t served(struct world *w)
{
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "echo", "x");
    c.operation.allow_partial = true;
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 60 * S);
    assert_non_null(r);
    if (r->kind == REPLY_ERROR) {
        assert_int_equal(r->reason, REASON_BREAKER);
        return 0;
    }
    assert_int_equal(r->kind, REPLY_OPERATION);
    return r->report->aggregate.outcomes[OUTCOME_READY];
}

static void reborn(struct world *w, struct unit u)
{
    world_kill(w, u, false);
    world_run(w, 6 * S);
    world_restart(w, u, false);
    world_run(w, 12 * S);
}

static const struct unit ORCHESTRATOR = {.tier = TIER_ORCHESTRATOR};

static void it_outlives_lead_sector_and_orchestrator(void **state)
{
    (void)state;
    const struct unit scopes[] = {ORCHESTRATOR, unit_sector(1), unit_cluster(1, 2)};
    const uint32_t left[] = {0, AGENTS / 2, AGENTS - 6};
    for (unsigned i = 0; i < 3; i++) {
        struct world *w = joined_mesh(50 + i, 0);
        assert_int_equal(served(w), AGENTS);
        assert_int_equal(breaker(w, scopes[i], true), REPLY_OK);
        assert_int_equal(breaker(w, scopes[i], true), REPLY_ERROR); /* it is so already */
        assert_int_equal(served(w), left[i]);
        reborn(w, unit_cluster(1, 2));
        assert_int_equal(served(w), left[i]);
        reborn(w, unit_sector(1));
        assert_int_equal(served(w), left[i]);
        reborn(w, unit_orchestrator());
        assert_int_equal(served(w), left[i]);
        world_kill(w, unit_cluster(1, 2), false);
        world_kill(w, unit_sector(1), false);
        reborn(w, unit_orchestrator());
        world_restart(w, unit_sector(1), false);
        world_restart(w, unit_cluster(1, 2), false);
        world_run(w, 20 * S);
        assert_int_equal(served(w), left[i]);
        assert_int_equal(breaker(w, scopes[i], false), REPLY_OK);
        assert_int_equal(served(w), AGENTS);
        reborn(w, unit_cluster(1, 2));
        reborn(w, unit_sector(1));
        reborn(w, unit_orchestrator());
        assert_int_equal(served(w), AGENTS); /* and closed it stays closed */
        end_mesh(w);
    }
}

/* Heal closes what was opened by hand, for good; the mesh's own breaker is no exception. */
static void heal_closes_it(void **state)
{
    (void)state;
    const struct unit scopes[] = {ORCHESTRATOR, unit_sector(2), unit_cluster(2, 1)};
    for (unsigned i = 0; i < 3; i++) {
        struct world *w = joined_mesh(60 + i, 0);
        assert_int_equal(breaker(w, scopes[i], true), REPLY_OK);
        assert_true(served(w) < AGENTS);
        assert_int_equal(order(w, COMMAND_HEAL, (struct unit){0}, false), REPLY_OK);
        assert_int_equal(served(w), AGENTS);
        reborn(w, unit_orchestrator());
        reborn(w, unit_sector(2));
        reborn(w, unit_cluster(2, 1));
        assert_int_equal(served(w), AGENTS);
        end_mesh(w);
    }
}

/* Words to a lead that cannot be heard just then are lost: they are said again. */
static void a_lost_word_is_said_again(void **state)
{
    (void)state;
    struct unit lead = unit_cluster(1, 1);
    struct world *w = joined_mesh(70, 0);
    for (unsigned open = 2; open-- > 0;) {
        world_partition(w, lead, true);
        assert_int_equal(breaker(w, lead, open != 0), REPLY_OK);
        world_partition(w, lead, false);
        world_run(w, 15 * S);
        assert_int_equal(served(w), open != 0 ? AGENTS - 6 : AGENTS);
    }
    end_mesh(w);
}

/* What a person does is no failure that spreads (spec 6.1): no incident. */
static void it_is_no_cascade_failure(void **state)
{
    (void)state;
    const struct unit scopes[] = {ORCHESTRATOR, unit_sector(1), unit_cluster(1, 2)};
    struct world *w = joined_mesh(75, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(breaker(w, scopes[i], true), REPLY_OK);
        world_run(w, 5 * S);
        assert_int_equal(breaker(w, scopes[i], false), REPLY_OK);
    }
    struct command c = {.kind = COMMAND_LOG,
                        .log = {.log = LOG_INCIDENTS, .ask = LOG_ASK_ROWS, .limit = LOG_PAGE_ROWS}};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 5 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_LOG);
    assert_int_equal(r->log->count, 0);
    end_mesh(w);
}

/* Agents among whom a console looks for the best one for a task. */
static uint32_t candidates(struct world *w, bool routable)
{
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){
        .kind = QUERY_AGENTS, .from_start = true, .limit = 100, .routable = routable};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 5 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_ROWS);
    assert_int_equal(r->rows->missing, 0);
    return r->rows->row_count;
}

/* Spec 4.3 and 6.2: whoever looks for the best agent is not given one that nothing is routed to. */
static void nobody_behind_it_is_the_best(void **state)
{
    (void)state;
    struct world *w = joined_mesh(80, 0);
    assert_int_equal(candidates(w, true), AGENTS);
    assert_int_equal(breaker(w, unit_cluster(1, 1), true), REPLY_OK);
    assert_int_equal(candidates(w, true), AGENTS - 6);
    assert_int_equal(breaker(w, unit_sector(2), true), REPLY_OK);
    assert_int_equal(candidates(w, true), 6);
    assert_int_equal(candidates(w, false), AGENTS); /* they are all there to be looked at */
    end_mesh(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_outlives_lead_sector_and_orchestrator),
        cmocka_unit_test(heal_closes_it),
        cmocka_unit_test(a_lost_word_is_said_again),
        cmocka_unit_test(it_is_no_cascade_failure),
        cmocka_unit_test(nobody_behind_it_is_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
