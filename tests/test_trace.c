/* Golden traces: three short stories of a small mesh, told by the tiers' own notes and messages and
 * compared with tests/golden/. A change in them is a change of the protocol's behaviour: read the
 * difference, and when it is meant, run this test with MESH_UPDATE_GOLDEN=1. */
#include "sim/trace.h"
#include "sim/world.h"
#include "tests/support/worlds.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct story {
    struct world *w;
    struct trace trace;
    char *text;
    size_t bytes;
};

/* One or two clusters of three edge agents, all joined; what happens from here on is told. */
static struct story begin(uint16_t clusters)
{
    struct story s = {0};
    struct world_conf conf;
    tree_conf(&conf, 7, 1, clusters, 3, clusters * 3u);
    s.w = world_new(&conf);
    world_run(s.w, 12 * US_PER_S);
    return s;
}

static void tell(struct story *s)
{
    trace_reset();
    s->trace.to = open_memstream(&s->text, &s->bytes);
    assert_non_null(s->trace.to);
    s->trace.notes_debug = true;
    world_watch_set(s->w, trace_step, &s->trace);
}

static void compare(struct story *s, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "tests/golden/%s.txt", name);
    fclose(s->trace.to);
    assert_int_equal(world_stats(s->w)->executed_twice, 0);
    assert_int_equal(world_stats(s->w)->uneven, 0);
    world_free(s->w);
    if (getenv("MESH_UPDATE_GOLDEN") != NULL) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(s->text, f);
        fclose(f);
    }
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *golden = calloc(1, 1 << 20);
    assert_non_null(golden);
    size_t n = fread(golden, 1, (1 << 20) - 1, f);
    fclose(f);
    assert_true(n > 0);
    assert_string_equal(s->text, golden);
    free(golden);
    free(s->text);
}

static void submit(struct command *c, const char *action, const char *payload)
{
    memset(c, 0, sizeof(*c));
    c->kind = COMMAND_SUBMIT;
    world_operation(&c->operation, action, payload);
}

/* An operation to everyone, from the console to the agents and back. */
static void an_operation(void **state)
{
    (void)state;
    struct story s = begin(2);
    struct command c;
    tell(&s);
    submit(&c, "echo", "hello");
    assert_non_null(world_ask(s.w, unit_orchestrator(), &c, 10 * US_PER_S));
    compare(&s, "operation");
}

/* A wave: sectors, clusters, then the agents at T; some of them see a conflict. */
static void a_wave(void **state)
{
    (void)state;
    struct story s = begin(2);
    struct command c;
    tell(&s);
    submit(&c, "conflict", "400");
    c.operation.strategy = CASCADE_WAVE;
    c.operation.timing = TIMING_AT;
    assert_non_null(world_ask(s.w, unit_orchestrator(), &c, 10 * US_PER_S));
    compare(&s, "wave");
}

/* A lead dies with an operation in its hands, is found dead, answered for, and comes back. */
static void a_dead_lead(void **state)
{
    (void)state;
    struct story s = begin(2);
    struct command c;
    tell(&s);
    submit(&c, "echo", "hello");
    c.operation.timeout_us = 10 * US_PER_S;
    world_kill(s.w, unit_cluster(1, 2), false);
    assert_non_null(world_ask(s.w, unit_orchestrator(), &c, 10 * US_PER_S));
    world_restart(s.w, unit_cluster(1, 2), false);
    world_run(s.w, 10 * US_PER_S);
    assert_non_null(world_ask(s.w, unit_orchestrator(), &c, 10 * US_PER_S));
    compare(&s, "dead_lead");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation),
        cmocka_unit_test(a_wave),
        cmocka_unit_test(a_dead_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
