/* A small mesh of the real tiers in virtual time: 2 sectors x 2 clusters x 6 agents of four
 * classes. */
#ifndef TESTS_SUPPORT_SMALL_MESH_H
#define TESTS_SUPPORT_SMALL_MESH_H

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

static inline void small(struct world_conf *conf, uint64_t seed)
{
    tree_conf(conf, seed, 2, 2, 6, 6);
    struct topology *t = &conf->topology;
    t->class_agents[CLASS_B_SERVERLESS] = 6;
    t->class_agents[CLASS_C_PERSISTENT] = 6;
    t->class_agents[CLASS_D_GPU] = 6;
    assert_null(topology_check(t));
}

static inline struct world *joined(uint64_t seed)
{
    struct world_conf conf;
    small(&conf, seed);
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    return w;
}

static inline void done(struct world *w)
{
    assert_int_equal(world_stats(w)->executed_twice, 0);
    assert_int_equal(world_stats(w)->uneven, 0);
    assert_int_equal(world_stats(w)->refused, 0);
    world_free(w);
}

static inline struct mesh_status status_of(struct world *w)
{
    struct command c = {.kind = COMMAND_STATUS};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 2 * US_PER_S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_STATUS);
    return *r->status;
}

static inline void submit(struct command *c, const char *action, const char *payload)
{
    memset(c, 0, sizeof(*c));
    c->kind = COMMAND_SUBMIT;
    world_operation(&c->operation, action, payload);
}

static inline void places(struct selector *sel, const char *text)
{
    size_t at;
    const char *why;
    assert_true(place_parse(text, strlen(text), NULL, &sel->places, &at, &why));
}

static inline const struct report *run(struct world *w, struct unit to, const struct command *c)
{
    uint64_t ref = world_send(w, 1, to, c);
    bool approved = false;
    for (int i = 0; i < 600 && world_reply(w, ref) == NULL; i++) {
        world_run(w, US_PER_S / 10);
        if (world_held(w, ref) && !approved) { /* as an operator does */
            struct command yes = {
                .kind = COMMAND_APPROVE, .on = true, .operation_id = world_accepted(w, ref)};
            approved = true;
            (void)world_send(w, 1, to, &yes);
        }
    }
    const struct reply *r = world_reply(w, ref);
    assert_non_null(r);
    if (r->kind == REPLY_ERROR) {
        fail_msg("refused: %s", r->text);
    }
    assert_int_equal(r->kind, REPLY_OPERATION);
    uint64_t sum = 0;
    for (unsigned o = OUTCOME_READY; o < OUTCOME_COUNT; o++) {
        sum += r->report->aggregate.outcomes[o];
    }
    assert_int_equal(sum, r->report->aggregate.targets);
    return r->report;
}

static inline uint32_t outcome(const struct report *r, enum outcome o)
{
    return r->aggregate.outcomes[o];
}

#endif
