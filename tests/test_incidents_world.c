/* Failure classes of spec 6.1 on the whole mesh in virtual time, as the operator sees them: what
 * happens to an agent, a lead or a sector is an incident in the log, with its beginning, what was
 * done, and its end. 2 sectors x 2 clusters x 6 agents. */
#include "core/incident.h"
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

/* How many rows of a class and event there are; *ret: the last of them (may be NULL). */
static uint32_t rows(struct world *w, enum failure_class k, enum incident_event e,
                     struct log_entry *ret)
{
    struct command c = {.kind = COMMAND_LOG,
                        .log = {.log = LOG_INCIDENTS, .ask = LOG_ASK_ROWS, .limit = LOG_PAGE_ROWS}};
    strcpy(c.log.type, failure_name(k));
    strcpy(c.log.event, incident_event_name(e));
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 5 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_LOG);
    if (ret != NULL && r->log->count > 0) {
        *ret = r->log->entries[r->log->count - 1u];
    }
    return r->log->count;
}

static void a_dead_agent_is_replaced_and_the_incident_ends(void **state)
{
    (void)state;
    struct log_entry at;
    struct world *w = joined_mesh(3, 0);
    world_kill(w, unit_agent(1, 2, 3), false);
    world_run(w, 25 * S); /* suspect is not dead */
    assert_int_equal(rows(w, FAILURE_TRANSIENT_NETWORK, INCIDENT_OPENED, &at), 1);
    assert_string_equal(at.agent, "s01.c2.a3");
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_OPENED, NULL), 0);
    world_run(w, 15 * S);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_OPENED, &at), 1);
    assert_string_equal(at.agent, "s01.c2.a3");
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_ACTION, NULL), 1);
    assert_int_equal(rows(w, FAILURE_TRANSIENT_NETWORK, INCIDENT_RESOLVED, NULL), 1);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_RESOLVED, NULL), 0);
    world_restart(w, unit_agent(1, 2, 3), false);
    world_run(w, 20 * S);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_RECOVERED, NULL), 1);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_RESOLVED, NULL), 1);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_ESCALATED, NULL), 0);
    end_mesh(w);
}

static void a_short_silence_is_transient(void **state)
{
    (void)state;
    struct world *w = joined_mesh(4, 0);
    world_partition(w, unit_agent(2, 1, 1), true);
    world_run(w, 21 * S);
    world_partition(w, unit_agent(2, 1, 1), false);
    world_run(w, 20 * S);
    assert_int_equal(rows(w, FAILURE_TRANSIENT_NETWORK, INCIDENT_OPENED, NULL), 1);
    assert_int_equal(rows(w, FAILURE_TRANSIENT_NETWORK, INCIDENT_RECOVERED, NULL), 1);
    assert_int_equal(rows(w, FAILURE_TRANSIENT_NETWORK, INCIDENT_RESOLVED, NULL), 1);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_OPENED, NULL), 0);
    end_mesh(w);
}

static void a_sector_and_a_lead_that_fall_silent(void **state)
{
    (void)state;
    struct log_entry at;
    struct world *w = joined_mesh(5, 0);
    world_kill(w, unit_sector(2), false);
    world_run(w, 8 * S);
    assert_int_equal(rows(w, FAILURE_COORDINATOR_DOWN, INCIDENT_OPENED, &at), 1);
    assert_string_equal(at.agent, "s02");
    world_restart(w, unit_sector(2), false);
    world_run(w, 10 * S);
    assert_int_equal(rows(w, FAILURE_COORDINATOR_DOWN, INCIDENT_RESOLVED, NULL), 1);
    world_kill(w, unit_cluster(1, 2), false);
    world_run(w, 10 * S);
    assert_int_equal(rows(w, FAILURE_COORDINATOR_DOWN, INCIDENT_OPENED, &at), 2);
    assert_string_equal(at.agent, "s01");
    world_restart(w, unit_cluster(1, 2), false);
    world_run(w, 15 * S);
    assert_int_equal(rows(w, FAILURE_COORDINATOR_DOWN, INCIDENT_RESOLVED, NULL), 2);
    end_mesh(w);
}

/* The log goes on where an orchestrator that died had stopped; an incident of a lead that died with
 * it is closed, because nobody speaks of it. */
static void incidents_survive_who_tells_them(void **state)
{
    (void)state;
    struct log_entry at;
    struct world *w = joined_mesh(6, 0);
    world_kill(w, unit_agent(1, 1, 2), false);
    world_run(w, 40 * S);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_OPENED, NULL), 1);
    world_kill(w, unit_orchestrator(), false);
    world_kill(w, unit_cluster(1, 1), false);
    world_run(w, 2 * S);
    world_restart(w, unit_orchestrator(), false);
    world_restart(w, unit_cluster(1, 1), false);
    world_restart(w, unit_agent(1, 1, 2), false);
    world_run(w, 100 * S);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_RESOLVED, NULL), 0);
    world_run(w, 150 * S);
    assert_int_equal(rows(w, FAILURE_AGENT_CRASH, INCIDENT_RESOLVED, &at), 1);
    assert_non_null(strstr(at.body, "no word of it any more"));
    end_mesh(w);
}

static enum reply_kind isolate(struct world *w, struct unit agent, bool on)
{
    struct command c = {.kind = COMMAND_ISOLATE, .scope = agent, .on = on};
    strcpy(c.decision.note, "odd sums");
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 15 * S);
    assert_non_null(r);
    return r->kind;
}

static uint32_t ready_of(struct world *w)
{
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "echo", "x");
    c.operation.allow_partial = true;
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 60 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_OPERATION);
    return r->report->aggregate.outcomes[OUTCOME_READY];
}

static void a_quarantine_outlives_agent_and_lead(void **state)
{
    (void)state;
    struct unit agent = unit_agent(2, 2, 4);
    struct world *w = joined_mesh(7, 0);
    assert_int_equal(isolate(w, agent, true), REPLY_OK);
    assert_int_equal(ready_of(w), AGENTS - 1);
    world_run(w, 5 * S); /* the registry has it */
    world_kill(w, unit_cluster(2, 2), false);
    world_kill(w, agent, false);
    world_restart(w, unit_cluster(2, 2), false);
    world_restart(w, agent, false);
    world_run(w, 20 * S);
    assert_int_equal(ready_of(w), AGENTS - 1);
    assert_int_equal(isolate(w, agent, true), REPLY_ERROR); /* already */
    assert_int_equal(isolate(w, agent, false), REPLY_OK);
    assert_int_equal(ready_of(w), AGENTS);
    end_mesh(w);
}

/* What the console was told holds when the agent's lead dies in the next moment. */
static void what_was_confirmed_outlives_the_lead(void **state)
{
    (void)state;
    struct unit agent = unit_agent(2, 2, 4), lead = unit_cluster(2, 2);
    for (uint64_t seed = 20; seed < 25; seed++) {
        struct world *w = joined_mesh(seed, 0);
        for (unsigned on = 2; on-- > 0;) {
            assert_int_equal(isolate(w, agent, on != 0), REPLY_OK);
            world_kill(w, lead, false);
            world_restart(w, lead, false);
            world_run(w, 15 * S);
            assert_int_equal(ready_of(w), AGENTS - on);
        }
        end_mesh(w);
    }
}

static void a_corrupt_context_is_an_incident_with_its_end(void **state)
{
    (void)state;
    struct world *w = joined_mesh(9, 0);
    struct log_entry row;
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "corrupt", "1000"); /* all of the agents that are asked */
    size_t at;
    const char *why;
    assert_true(place_parse("s01.c1.a2", 9, NULL, &c.operation.selector.places, &at, &why));
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 10 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_OPERATION);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_CONFLICT], 1);
    world_run(w, 40 * S);
    assert_int_equal(rows(w, FAILURE_CONTEXT_CORRUPTION, INCIDENT_OPENED, &row), 1);
    assert_string_equal(row.agent, "s01.c1.a2");
    assert_int_equal(rows(w, FAILURE_CONTEXT_CORRUPTION, INCIDENT_ACTION, NULL), 1);
    assert_int_equal(rows(w, FAILURE_CONTEXT_CORRUPTION, INCIDENT_ESCALATED, NULL), 1);
    /* The hash that it reports is the expected one again: the mesh lets it back by itself. */
    assert_int_equal(rows(w, FAILURE_CONTEXT_CORRUPTION, INCIDENT_RESOLVED, NULL), 1);
    assert_int_equal(ready_of(w), AGENTS);
    end_mesh(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_agent_is_replaced_and_the_incident_ends),
        cmocka_unit_test(a_short_silence_is_transient),
        cmocka_unit_test(a_sector_and_a_lead_that_fall_silent),
        cmocka_unit_test(incidents_survive_who_tells_them),
        cmocka_unit_test(a_quarantine_outlives_agent_and_lead),
        cmocka_unit_test(what_was_confirmed_outlives_the_lead),
        cmocka_unit_test(a_corrupt_context_is_an_incident_with_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
