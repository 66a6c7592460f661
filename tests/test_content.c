/* Contexts by content: keys and names, and the whole mesh in virtual time: a context goes down the
 * tree, an agent that lost it gets it again, one that holds another is found, quarantined, reloaded
 * and let back, and a new lead knows what its agents are to hold. 2 sectors x 2 clusters x 6. */
#include "core/content.h"
#include "core/incident.h"
#include "core/num.h"
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
#define TEXT   "the market closed early today"

static void keys_and_names(void **state)
{
    (void)state;
    uint8_t hash[CONTENT_HASH], back[CONTENT_HASH] = {0}, text[CONTENT_REF_BYTES];
    for (unsigned i = 0; i < CONTENT_HASH; i++) {
        hash[i] = (uint8_t)(i * 7 + 3);
    }
    content_ref_format(hash, text);
    assert_memory_equal(text, "blob:030a11", 11);
    assert_true(content_ref_parse(text, sizeof(text), back));
    assert_memory_equal(back, hash, sizeof(hash));
    assert_false(content_ref_parse(text, sizeof(text) - 1, back));
    assert_false(content_ref_parse((const uint8_t *)"", 0, back));
    text[40] = 'g';
    assert_false(content_ref_parse(text, sizeof(text), back));
    struct id128 name = content_name(hash);
    assert_memory_equal(name.bytes, hash, sizeof(name.bytes));

    struct operation op = {.action = CONTENT_ACTION, .payload_bytes = 0};
    assert_false(content_of(&op, back)); /* nothing is no context */
    op.payload = (const uint8_t *)"abc";
    op.payload_bytes = 3;
    memcpy(op.payload_hash, hash, sizeof(hash));
    memset(back, 0, sizeof(back));
    assert_true(content_of(&op, back));
    assert_memory_equal(back, hash, sizeof(hash));
    op.source = unit_agent(1, 1, 1); /* agents do not load anything into each other */
    assert_false(content_of(&op, back));
    op.source = unit_orchestrator();
    assert_true(content_of(&op, back));
    strcpy(op.action, "echo");
    assert_false(content_of(&op, back));
}

static const struct aggregate_view *run(struct world *w, const char *action, const char *payload,
                                        const char *places)
{
    struct command c = {.kind = COMMAND_SUBMIT};
    size_t at;
    const char *why;
    world_operation(&c.operation, action, payload);
    if (places != NULL) {
        assert_true(
            place_parse(places, strlen(places), NULL, &c.operation.selector.places, &at, &why));
    }
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 20 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_OPERATION);
    return &r->report->aggregate;
}

static struct id128 named(const char *text)
{
    struct id128 name;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t h = num_hash64(text, strlen(text), i); /* the world's hash */
        memcpy(name.bytes + 8 * i, &h, 8);
    }
    return name;
}

/* How many agents hold it, as their leads have heard. */
static uint32_t holders(struct world *w, const char *text)
{
    struct id128 name = named(text);
    uint32_t n = 0;
    struct command c = {
        .kind = COMMAND_QUERY,
        .query = {.kind = QUERY_AGENTS, .from_start = true, .limit = PAGE_ROWS_MAX}};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 5 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_ROWS);
    for (uint32_t i = 0; i < r->rows->row_count; i++) {
        n += num_id128_equal(r->rows->rows[i].u.agent.impedance.context_hash, name);
    }
    return n;
}

static uint32_t rows(struct world *w, enum log_kind log, const char *type, const char *event)
{
    struct command c = {.kind = COMMAND_LOG,
                        .log = {.log = log, .ask = LOG_ASK_ROWS, .limit = LOG_PAGE_ROWS}};
    strcpy(c.log.type, type);
    strcpy(c.log.event, event);
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 5 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_LOG);
    return r->log->count;
}

static void it_goes_down_the_tree_and_outlives_agent_and_lead(void **state)
{
    (void)state;
    struct world *w = joined_mesh(5, 0);
    assert_int_equal(run(w, CONTENT_ACTION, TEXT, NULL)->outcomes[OUTCOME_READY], AGENTS);
    world_run(w, 2 * S);
    assert_int_equal(holders(w, TEXT), AGENTS);
    world_restart(w, unit_agent(1, 2, 3), false); /* it begins with its class's own */
    world_run(w, 15 * S);
    assert_int_equal(holders(w, TEXT), AGENTS);
    world_restart(w, unit_cluster(1, 2), false);
    world_run(w, 30 * S);
    world_restart(w, unit_agent(1, 2, 4), false);
    world_run(w, 15 * S);
    assert_int_equal(holders(w, TEXT), AGENTS);
    assert_int_equal(rows(w, LOG_CONFLICTS, "HASH_MISMATCH", ""), 0); /* missing is not corrupt */
    end_mesh(w);
}

static void another_one_takes_its_place_by_its_key_alone(void **state)
{
    (void)state;
    struct world *w = joined_mesh(6, 0);
    uint8_t hash[CONTENT_HASH];
    char ref[CONTENT_REF_BYTES + 1] = "";
    for (unsigned i = 0; i < 4; i++) {
        uint64_t h = num_hash64(TEXT, strlen(TEXT), i);
        memcpy(hash + 8 * i, &h, 8);
    }
    content_ref_format(hash, (uint8_t *)ref);
    /* What the registry does not have, nobody holds. */
    assert_int_equal(run(w, CONTENT_ACTION, ref, NULL)->outcomes[OUTCOME_FAILED], AGENTS);
    assert_int_equal(run(w, CONTENT_ACTION, TEXT, "s01.c1")->outcomes[OUTCOME_READY], 6);
    assert_int_equal(run(w, CONTENT_ACTION, "another", "s01")->outcomes[OUTCOME_READY], 12);
    world_run(w, 15 * S);
    assert_int_equal(holders(w, TEXT), 0);
    assert_int_equal(run(w, CONTENT_ACTION, ref, "s02.*")->outcomes[OUTCOME_READY], 12);
    world_run(w, 15 * S);
    assert_int_equal(holders(w, TEXT), 12);
    assert_int_equal(holders(w, "another"), 12);
    assert_int_equal(rows(w, LOG_CONFLICTS, "HASH_MISMATCH", ""), 0);
    end_mesh(w);
}

/* how: "corrupt", it says so itself; "rot", only its beats tell. */
static void heals(const char *how, uint64_t seed)
{
    struct world *w = joined_mesh(seed, 0);
    assert_int_equal(run(w, CONTENT_ACTION, TEXT, NULL)->outcomes[OUTCOME_READY], AGENTS);
    world_run(w, 12 * S);
    (void)run(w, how, "1000", "s01.c1.a2");
    world_run(w, S);
    assert_int_equal(holders(w, TEXT), AGENTS - (strcmp(how, "rot") == 0));
    world_run(w, 40 * S);
    assert_int_equal(holders(w, TEXT), AGENTS);
    const char *k = failure_name(FAILURE_CONTEXT_CORRUPTION);
    assert_int_equal(rows(w, LOG_INCIDENTS, k, incident_event_name(INCIDENT_OPENED)), 1);
    assert_int_equal(rows(w, LOG_INCIDENTS, k, incident_event_name(INCIDENT_RESOLVED)), 1);
    assert_int_equal(rows(w, LOG_CONFLICTS, "HASH_MISMATCH", "resolved"), 1);
    assert_int_equal(run(w, "echo", "", NULL)->outcomes[OUTCOME_READY], AGENTS); /* let back */
    end_mesh(w);
}

static void a_corrupted_agent_heals(void **state)
{
    (void)state;
    heals("corrupt", 7);
    heals("rot", 8);
}

static char said[2048]; /* the lines of the heal */

static void hear(void *context, const struct world_step *step)
{
    (void)context;
    for (uint32_t i = 0; step->unit.tier == TIER_ORCHESTRATOR && i < step->out->effect_count; i++) {
        const struct effect *e = &step->out->effects[i];
        if (e->kind == FX_SEND && e->u.msg.type == MSG_REPLY &&
            e->u.msg.u.reply->kind == REPLY_LINE) {
            strncat(said, e->u.msg.u.reply->text, sizeof(said) - strlen(said) - 2);
            strcat(said, "\n");
        }
    }
}

static void restart_all(struct world *w, unsigned sector, unsigned cluster)
{
    for (unsigned a = 1; a <= 6; a++) {
        world_restart(w, unit_agent(sector, cluster, a), false);
    }
}

/* The registry is away: who lost its context has it again from a neighbour, of its cluster, of
 * another one, of another sector; and heal says from where. */
static void neighbours_give_it_when_the_registry_is_away(void **state)
{
    (void)state;
    struct world *w = joined_mesh(9, 0);
    assert_int_equal(run(w, CONTENT_ACTION, TEXT, NULL)->outcomes[OUTCOME_READY], AGENTS);
    world_run(w, 12 * S);
    world_store_down(w, true);
    world_restart(w, unit_agent(1, 2, 3), false);
    world_run(w, 20 * S);
    assert_int_equal(holders(w, TEXT), AGENTS);
    restart_all(w, 1, 2);
    world_run(w, 30 * S);
    assert_int_equal(holders(w, TEXT), AGENTS);
    restart_all(w, 1, 1);
    restart_all(w, 1, 2);
    said[0] = '\0';
    world_watch_set(w, hear, NULL);
    struct command c = {.kind = COMMAND_HEAL, .scope = unit_orchestrator()};
    uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
    world_run(w, 35 * S);
    assert_int_equal(holders(w, TEXT), AGENTS);
    const struct reply *r = world_reply(w, ref);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_OK);
    if (strstr(said, "\n- Context synced from SECTOR-2") == NULL) {
        fail_msg("%s", said);
    }
    world_store_down(w, false);
    world_run(w, 10 * S);
    assert_int_equal(rows(w, LOG_CONFLICTS, "HASH_MISMATCH", ""), 0); /* lost, not wrong */
    end_mesh(w);
}

/* Nobody else holds it: the registry gives it, as soon as it is there. */
static void the_registry_gives_it_when_nobody_else_does(void **state)
{
    (void)state;
    struct world *w = joined_mesh(10, 0);
    assert_int_equal(run(w, CONTENT_ACTION, TEXT, "s01.c1.a4")->outcomes[OUTCOME_READY], 1);
    world_run(w, 12 * S);
    world_store_down(w, true);
    world_restart(w, unit_agent(1, 1, 4), false);
    world_run(w, 30 * S);
    assert_int_equal(holders(w, TEXT), 0);
    world_store_down(w, false);
    world_run(w, 20 * S);
    assert_int_equal(holders(w, TEXT), 1);
    end_mesh(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_names),
        cmocka_unit_test(it_goes_down_the_tree_and_outlives_agent_and_lead),
        cmocka_unit_test(another_one_takes_its_place_by_its_key_alone),
        cmocka_unit_test(a_corrupted_agent_heals),
        cmocka_unit_test(neighbours_give_it_when_the_registry_is_away),
        cmocka_unit_test(the_registry_gives_it_when_nobody_else_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
