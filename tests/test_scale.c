/* Newcomers (docs/adr/0037): the words that are said of them, and a mesh of the real tiers in
 * virtual time that grows while parts of it die. */
#include "core/grow.h"
#include "sim/wire.h"
#include "tests/support/small_mesh.h"

#define SPARE 4u
#define MESH  36u /* 2 sectors x 3 clusters x 6 agents */

/* --- the words --- */

static struct grow a_grow(uint64_t id, uint64_t places, uint64_t fresh)
{
    return (struct grow){.id = id,
                         .cluster = unit_cluster(1, 2),
                         .places = places,
                         .fresh = fresh,
                         .over_us = 20 * US_PER_S};
}

static void the_latest_word_holds(void **state)
{
    (void)state;
    struct grow known = {0};
    struct grow first = a_grow(5, 0x40, 0x40), more = a_grow(5, 0x80, 0x80);
    struct grow late = a_grow(4, 0x300, 0), end = a_grow(6, 0xc0, 0);
    assert_true(grow_take(&known, &first));
    assert_false(grow_take(&known, &first));
    assert_true(grow_take(&known, &more)); /* places open one by one */
    assert_int_equal(known.places, 0xc0);
    assert_int_equal(known.fresh, 0xc0);
    assert_false(grow_take(&known, &first)); /* said by one who has opened fewer so far */
    assert_int_equal(known.places, 0xc0);
    assert_false(grow_take(&known, &late));
    assert_true(grow_take(&known, &end));
    assert_int_equal(known.places, 0xc0);
    assert_int_equal(known.fresh, 0);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    struct world_conf conf;
    tree_conf(&conf, 1, 2, 3, 6, 12);
    conf.topology.spare = SPARE;
    const struct topology *t = &conf.topology;
    struct grow good = a_grow(1, 0x3c0, 0x40), odd[5];
    assert_int_equal(grow_spare(t, unit_cluster(1, 2)), 0x3c0);
    assert_null(grow_check(&good, t));
    for (size_t i = 0; i < 5; i++) {
        odd[i] = good;
    }
    odd[0].cluster = unit_cluster(2, 4);
    odd[1].places |= 0x20; /* planned */
    odd[2].fresh = 0x80, odd[2].places = 0x40;
    odd[3].over_us = 0;
    odd[4].id = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_non_null(grow_check(&odd[i], t));
    }
    conf.topology.spare = 0;
    assert_int_equal(grow_spare(t, unit_cluster(1, 2)), 0);
}

static void shares_rise(void **state)
{
    (void)state;
    const int64_t over_us = 100 * US_PER_S;
    assert_int_equal(grow_share(0, over_us, 0, false), GROW_SHARE_FIRST);
    assert_int_equal(grow_share(50 * US_PER_S, over_us, 0, false), 550);
    assert_int_equal(grow_share(100 * US_PER_S, over_us, 0, false), GROW_SHARE_WHOLE);
    assert_int_equal(grow_share(1000 * US_PER_S, over_us, 0, false), GROW_SHARE_WHOLE);
    assert_int_equal(grow_share(0, over_us, GROW_LEARNT / 2, false), 550); /* it is known */
    assert_int_equal(grow_share(0, over_us, 255, false), GROW_SHARE_WHOLE);
    assert_int_equal(grow_share(100 * US_PER_S, over_us, 255, true), 399); /* and not stable */
    assert_int_equal(grow_share(300 * US_PER_S, over_us, 255, true), GROW_SHARE_WHOLE);
    assert_int_equal(grow_share(-5, over_us, 0, false), GROW_SHARE_FIRST);
    uint32_t held = 0;
    for (uint64_t op = 0; op < 10000; op++) {
        held += grow_holds(300, op, 77);
        assert_false(grow_holds(GROW_SHARE_WHOLE, op, 77));
        assert_int_equal(grow_holds(300, op, 77), grow_holds(300, op, 77));
    }
    assert_in_range(held, 6800, 7200);
}

/* --- in a mesh --- */

static struct world *mesh(uint64_t seed, const struct world_wire *wire)
{
    struct world *w = hosted_mesh(seed, SPARE, wire);
    assert_int_equal(status_of(w).summary.active, MESH);
    return w;
}

static const struct reply *scale(struct world *w, enum scale_action action)
{
    struct command c = {.kind = COMMAND_SCALE, .scale = {.action = action}};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 10 * US_PER_S);
    assert_non_null(r);
    return r;
}

static const struct reply *add(struct world *w, uint32_t count, const char *where, int over_s,
                               bool dry)
{
    struct command c = {
        .kind = COMMAND_SCALE, .on = dry, .scale = {SCALE_ADD, count, 10, over_s * US_PER_S}};
    if (where[0] != '\0') {
        places(&c.query.selector, where);
    }
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 40 * US_PER_S);
    assert_non_null(r);
    return r;
}

static void added(struct world *w, uint32_t count, const char *where, int over_s)
{
    const struct reply *r = add(w, count, where, over_s, false);
    if (r->kind != REPLY_OK) {
        fail_msg("%s", r->text);
    }
}

static const struct report *everyone(struct world *w, const char *where)
{
    struct command c;
    submit(&c, "echo", "x");
    c.operation.priority = 3;
    places(&c.operation.selector, where);
    return run(w, unit_orchestrator(), &c);
}

static void ready(struct world *w, const char *where, uint32_t wanted)
{
    const struct report *r = everyone(w, where);
    assert_int_equal(outcome(r, OUTCOME_READY), wanted);
    assert_int_equal(r->aggregate.targets, wanted);
}

static uint32_t there(struct world *w, const char *where)
{
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){.kind = QUERY_AGENTS, .from_start = true, .limit = 64};
    c.query.selector.state_mask = 1u << AGENT_ACTIVE | 1u << AGENT_DEGRADED;
    places(&c.query.selector, where);
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 3 * US_PER_S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_ROWS);
    return r->rows->row_count;
}

static void newcomers_enter_step_by_step(void **state)
{
    (void)state;
    struct world *w = mesh(3, NULL);
    assert_int_equal(add(w, 12, "", 60, true)->kind, REPLY_OK); /* a dry run */
    world_run(w, 10 * US_PER_S);
    assert_int_equal(status_of(w).summary.agents, MESH);
    added(w, 12, "", 60);
    world_run(w, 6 * US_PER_S);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.mode, MODE_FULL);
    assert_int_equal(s.summary.active, MESH + 12);
    assert_int_equal(s.summary.newcomers, 12);
    assert_int_equal(s.summary.entering, 12);
    for (unsigned k = 1; k <= 2; k++) { /* evenly */
        assert_int_equal(there(w, k == 1 ? "s01.c1" : "s02.c3"), 8);
    }
    ready(w, "s01.c1.a[7-8]", 2); /* who is named is asked at once */
    uint32_t sum = 0;
    for (unsigned i = 0; i < 4; i++) {
        const struct report *r = everyone(w, "s[1-2]");
        assert_int_equal(outcome(r, OUTCOME_READY), r->aggregate.targets);
        assert_in_range(r->aggregate.targets, MESH, MESH + 11);
        sum += r->aggregate.targets - MESH;
    }
    assert_in_range(sum, 1, 30);  /* of 48 */
    world_run(w, 190 * US_PER_S); /* an unstable one takes three times as long */
    s = status_of(w);
    assert_int_equal(s.summary.newcomers, 0); /* agents as all others are */
    assert_int_equal(s.summary.active, MESH + 12);
    assert_int_equal(s.summary.agents, MESH + 12);
    ready(w, "s[1-2]", MESH + 12);
    assert_non_null(strstr(scale(w, SCALE_FINISH)->text, "nobody is coming in"));
    added(w, 2, "s02.c1", 1); /* and on */
    world_run(w, 20 * US_PER_S);
    ready(w, "s[1-2]", MESH + 14);
    assert_int_equal(there(w, "s02.c1"), 10);
    done(w);
}

static void what_is_learnt_makes_them_known(void **state)
{
    (void)state;
    struct world *w = mesh(4, NULL);
    added(w, 6, "s01", 3600);
    world_run(w, 6 * US_PER_S);
    assert_int_equal(status_of(w).summary.entering, 6);
    for (unsigned i = 0; i < 2 * GROW_LEARNT; i++) {
        (void)everyone(w, "s[1-2]");
        ready(w, "s01.c[1-3].a[7-8]", 6);
        world_run(w, 300 * US_PER_MS);
    }
    world_run(w, 10 * US_PER_S);
    /* One whose impedance is not stable is not known by what was learnt of it: its hour counts. */
    assert_in_range(status_of(w).summary.entering, 0, 1);
    const struct report *r = everyone(w, "s[1-2]");
    assert_int_equal(outcome(r, OUTCOME_READY), r->aggregate.targets);
    assert_in_range(r->aggregate.targets, MESH + 5, MESH + 6);
    done(w);
}

static void everything_may_start_anew_meanwhile(void **state)
{
    (void)state;
    struct world *w = mesh(5, NULL);
    added(w, 18, "", 60);
    world_run(w, 700 * US_PER_MS); /* some places are open, others not yet */
    world_kill(w, unit_orchestrator(), false);
    world_restart(w, unit_orchestrator(), false);
    world_run(w, 12 * US_PER_S);
    assert_int_equal(status_of(w).summary.active, MESH + 18);
    world_kill(w, unit_cluster(1, 1), false);
    world_restart(w, unit_cluster(1, 1), false);
    world_kill(w, unit_sector(2), false);
    world_restart(w, unit_sector(2), false);
    world_run(w, 20 * US_PER_S);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.active, MESH + 18);
    assert_int_equal(s.mode, MODE_FULL);
    world_run(w, 190 * US_PER_S); /* one whose impedance is not stable takes three times as long */
    assert_int_equal(status_of(w).summary.newcomers, 0);
    ready(w, "s[1-2]", MESH + 18);
    /* Hosts that start anew have their newcomers again. */
    world_kill(w, unit_numbered(TIER_HOST, 11), false);
    for (unsigned a = 1; a <= 9; a++) {
        world_kill(w, unit_agent(1, 2, a), false);
    }
    world_run(w, 5 * US_PER_S);
    world_restart(w, unit_numbered(TIER_HOST, 11), false);
    world_run(w, 60 * US_PER_S);
    assert_int_equal(there(w, "s01.c2"), 9);
    /* So has a mesh whose root and sectors begin together. */
    for (unsigned k = 1; k <= 2; k++) {
        world_kill(w, unit_sector(k), false);
        world_restart(w, unit_sector(k), false);
    }
    world_kill(w, unit_orchestrator(), false);
    world_restart(w, unit_orchestrator(), false);
    world_run(w, 25 * US_PER_S);
    ready(w, "s[1-2]", MESH + 18);
    done(w);
}

/* One that dies while it enters is no agent that is missed. */
static void an_entry_that_fails_harms_nobody(void **state)
{
    (void)state;
    struct world *w = mesh(6, NULL);
    added(w, 6, "s01.c[1-2]", 3600);
    world_run(w, 6 * US_PER_S);
    assert_int_equal(status_of(w).summary.active, MESH + 6);
    world_kill(w, unit_numbered(TIER_HOST, 1), false); /* nobody starts them again */
    for (unsigned a = 7; a <= 9; a++) {
        world_kill(w, unit_agent(1, 1, a), false);
    }
    world_run(w, 45 * US_PER_S);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.active, MESH + 3);
    assert_int_equal(s.summary.agents, MESH + 3);
    assert_int_equal(s.summary.circuits_open, 0);
    assert_int_equal(s.mode, MODE_FULL);
    ready(w, "s01.c1", 6);
    assert_int_equal(scale(w, SCALE_FINISH)->kind, REPLY_OK); /* with those that are here */
    world_run(w, 12 * US_PER_S);                              /* sums come every few seconds */
    assert_int_equal(status_of(w).summary.newcomers, 0);
    ready(w, "s02", 18);
    done(w);
}

/* A mesh that lacks agents takes no more in until it is well. */
static void nobody_enters_a_degraded_mesh(void **state)
{
    (void)state;
    struct world *w = mesh(11, NULL);
    world_kill(w, unit_numbered(TIER_HOST, 51), false);
    for (unsigned a = 1; a <= 6; a++) {
        world_kill(w, unit_agent(2, 3, a), false);
    }
    world_run(w, 45 * US_PER_S);
    assert_true(status_of(w).mode > MODE_FULL);
    added(w, 4, "s01", 1);
    world_run(w, 15 * US_PER_S);
    assert_int_equal(status_of(w).summary.newcomers, 0);
    assert_int_equal(there(w, "s01"), 18);
    world_restart(w, unit_numbered(TIER_HOST, 51), false);
    world_run(w, 60 * US_PER_S);
    struct mesh_status s = status_of(w);
    assert_int_equal(s.mode, MODE_FULL);
    assert_int_equal(s.summary.active, MESH + 4);
    ready(w, "s01", 22);
    done(w);
}

static void an_abort_leaves_the_mesh_as_before(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 33; seed++) {
        struct world *w = mesh(seed, NULL);
        added(w, 20, "", 3600);
        world_run(w, (int64_t)(seed - 29) * 700 * US_PER_MS);
        for (unsigned i = 0; i < 3; i++) {
            (void)everyone(w, "s[1-2]");
        }
        assert_int_equal(scale(w, SCALE_ABORT)->kind, REPLY_OK);
        if (seed == 31) {
            world_kill(w, unit_orchestrator(), false);
            world_restart(w, unit_orchestrator(), false);
        }
        world_run(w, 30 * US_PER_S);
        struct mesh_status s = status_of(w);
        assert_int_equal(s.summary.active, MESH);
        assert_int_equal(s.summary.agents, MESH);
        assert_int_equal(s.mode, MODE_FULL);
        ready(w, "s[1-2]", MESH);
        added(w, 20, "", 1); /* the places are free again */
        world_run(w, 30 * US_PER_S);
        ready(w, "s[1-2]", MESH + 20);
        done(w);
    }
}

static void the_certificate_of_a_place_lets_them_speak(void **state)
{
    (void)state;
    struct world *w = mesh(7, &wire_real);
    added(w, 6, "s01", 1);
    world_run(w, 20 * US_PER_S);
    ready(w, "s[1-2]", MESH + 6);
    done(w);
}

static void moves_and_newcomers_share_the_places(void **state)
{
    (void)state;
    struct world *w = mesh(8, NULL);
    added(w, 3, "s01.c1", 1);
    world_run(w, 20 * US_PER_S);
    struct command c = {.kind = COMMAND_MOVE, .name = "s01.c1"};
    places(&c.query.selector, "s01.c2.a[1-2]");
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 100 * US_PER_S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_ERROR); /* one place is left */
    assert_non_null(strstr(r->text, "1 free places"));
    places(&c.query.selector, "s01.c2.a1");
    r = world_ask(w, unit_orchestrator(), &c, 100 * US_PER_S);
    assert_int_equal(r->kind, REPLY_OK);
    assert_non_null(strstr(add(w, 1, "s01.c1", 1, false)->text, "0 free places"));
    ready(w, "s[1-2]", MESH + 3);
    done(w);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct world *w = mesh(9, NULL);
    const struct reply *r = add(w, 25, "", 10, false);
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "24 free places in 6 healthy clusters for 25 newcomers"));
    added(w, 5, "s01", 10);
    r = add(w, 5, "s02", 10, false);
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "coming in already"));
    assert_int_equal(add(w, 5, "s02", 10, true)->kind, REPLY_OK); /* a dry run may be asked */
    done(w);
    w = joined(10);
    r = add(w, 1, "", 10, false);
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "spare"));
    assert_int_equal(scale(w, SCALE_SHOW)->kind, REPLY_OK);
    done(w);
}

/* --- and leave (docs/adr/0044) --- */

static const struct reply *removed(struct world *w, uint32_t count, const char *who, int within_s,
                                   bool dry)
{
    struct command c = {
        .kind = COMMAND_SCALE, .on = dry, .scale = {SCALE_REMOVE, count, 0, within_s * US_PER_S}};
    if (who[0] != '\0') {
        places(&c.query.selector, who);
    }
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 40 * US_PER_S);
    assert_non_null(r);
    return r;
}

static void goes(struct world *w, uint32_t count, const char *who, int within_s)
{
    const struct reply *r = removed(w, count, who, within_s, false);
    if (r->kind != REPLY_OK) {
        fail_msg("%s", r->text);
    }
}

static void stays(struct world *w, const char *who, const char *why)
{
    const struct reply *r = removed(w, 0, who, 10, false);
    assert_int_equal(r->kind, REPLY_ERROR);
    if (strstr(r->text, why) == NULL) {
        fail_msg("%s: '%s', wanted '%s' in it", who, r->text, why);
    }
}

static struct world *grown(uint64_t seed, uint32_t newcomers, const struct world_wire *wire)
{
    struct world *w = mesh(seed, wire);
    added(w, newcomers, "", 1);
    world_run(w, 25 * US_PER_S);
    assert_int_equal(status_of(w).summary.active, MESH + newcomers);
    return w;
}

static void has(struct world *w, uint32_t agents)
{
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.agents, agents);
    assert_int_equal(s.summary.active, agents);
    assert_int_equal(s.summary.leaving, 0);
    assert_int_equal(s.mode, MODE_FULL);
    ready(w, "s[1-2]", agents);
}

static void who_is_removed_is_gone(void **state)
{
    (void)state;
    struct world *w = grown(51, 12, &wire_real);                   /* two in each cluster */
    assert_int_equal(removed(w, 6, "", 20, true)->kind, REPLY_OK); /* a dry run */
    world_run(w, 10 * US_PER_S);
    has(w, MESH + 12);
    goes(w, 6, "", 20);
    for (int i = 0; i < 75; i++) { /* somebody asks again and again: that does not put it off */
        assert_int_equal(scale(w, SCALE_SHOW)->kind, REPLY_OK);
        world_run(w, US_PER_S / 5);
    }
    assert_int_equal(add(w, 1, "", 1, true)->kind, REPLY_OK); /* nobody is leaving any more */
    has(w, MESH + 6);
    for (unsigned k = 1; k <= 3; k++) { /* evenly, the last one first */
        char place[] = "s01.c1.a8";
        place[5] = (char)('0' + k);
        ready(w, place, 0);
        assert_non_null(strstr(removed(w, 0, place, 1, false)->text, "was removed already"));
        place[8] = '7';
        ready(w, place, 1);
    }
    world_run(w, 30 * US_PER_S); /* their hosts have stopped them by now */
    has(w, MESH + 6);
    added(w, 12, "", 1); /* at places where nobody was before */
    world_run(w, 25 * US_PER_S);
    has(w, MESH + 18);
    ready(w, "s[1-2].c[1-3].a8", 0);
    ready(w, "s[1-2].c[1-3].a[9-10]", 12);
    added(w, 6, "", 1); /* and at last at those */
    world_run(w, 25 * US_PER_S);
    has(w, MESH + 24);
    goes(w, 0, "s01.c1.a[7-10],s02.c3", 5); /* by name */
    world_run(w, 15 * US_PER_S);
    has(w, MESH + 16);
    done(w);
}

/* One that works for seconds, and is told to leave meanwhile. */
static void work_ends_or_its_time_does(void **state)
{
    (void)state;
    for (int within_s = 3; within_s <= 60; within_s += 57) {
        struct world *w = grown(52, 6, NULL);
        struct unit who = unit_agent(1, 1, 7);
        struct command c;
        submit(&c, "work", "");
        c.operation.priority = 3;
        c.operation.timeout_us = 50 * US_PER_S;
        c.operation.ttl_us = 50 * US_PER_S;
        places(&c.operation.selector, "s01.c1.a7");
        world_slow(w, who, 400);
        uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
        world_run(w, US_PER_S);
        assert_null(world_reply(w, ref));
        goes(w, 0, "s01.c1.a7", within_s);
        world_run(w, US_PER_S);
        ready(w, "s01.c1.a7", 0); /* nothing new */
        ready(w, "s[1-2]", MESH + 5);
        world_run(w, 45 * US_PER_S);
        const struct reply *r = world_reply(w, ref);
        assert_non_null(r);
        assert_int_equal(r->kind, REPLY_OPERATION);
        assert_int_equal(r->report->aggregate.targets, 1);
        assert_int_equal(outcome(r->report, within_s > 3 ? OUTCOME_READY : OUTCOME_UNREACHABLE), 1);
        assert_int_equal(r->report->aggregate.reasons[REASON_MOVED], within_s > 3 ? 0 : 1);
        has(w, MESH + 5);
        done(w);
    }
}

static void a_removal_outlives_everybody(void **state)
{
    (void)state;
    for (uint64_t seed = 60; seed < 64; seed++) {
        struct world *w = grown(seed, 12, NULL);
        goes(w, 8, "", 20);
        world_run(w, (int64_t)(seed - 59) * 300 * US_PER_MS);
        world_kill(w, unit_orchestrator(), false);
        world_restart(w, unit_orchestrator(), false);
        for (unsigned k = 1; k <= 3; k++) {
            world_kill(w, unit_cluster(1, k), false);
            world_restart(w, unit_cluster(1, k), false);
        }
        world_kill(w, unit_sector(2), false);
        world_restart(w, unit_sector(2), false);
        world_run(w, 60 * US_PER_S);
        has(w, MESH + 4);
        /* And the mesh that begins anew as a whole knows that they are gone. */
        for (unsigned k = 1; k <= 2; k++) {
            world_kill(w, unit_sector(k), true);
            world_restart(w, unit_sector(k), true);
        }
        for (unsigned h = 1; h <= 51; h += 10) {
            world_kill(w, unit_numbered(TIER_HOST, h), false);
            world_restart(w, unit_numbered(TIER_HOST, h), false);
        }
        world_kill(w, unit_orchestrator(), false);
        world_restart(w, unit_orchestrator(), false);
        world_run(w, 60 * US_PER_S);
        has(w, MESH + 4);
        done(w);
    }
}

static void a_removal_may_be_ended(void **state)
{
    (void)state;
    struct world *w = grown(70, 12, NULL);
    goes(w, 12, "", 3600);
    world_run(w, 2 * US_PER_S); /* who has nothing to do has left by now, and runs still */
    assert_int_equal(scale(w, SCALE_ABORT)->kind, REPLY_OK);
    world_run(w, 30 * US_PER_S);
    has(w, MESH + 12); /* all are back */
    goes(w, 12, "s[1-2]", 3600);
    world_run(w, US_PER_S);
    stays(w, "s01.c1.a7", "agents are leaving already");
    assert_non_null(strstr(add(w, 1, "", 1, false)->text, "agents are leaving already"));
    assert_int_equal(scale(w, SCALE_FINISH)->kind, REPLY_OK);
    world_run(w, 25 * US_PER_S);
    has(w, MESH);
    assert_non_null(strstr(scale(w, SCALE_FINISH)->text, "nobody is coming in or leaving"));
    done(w);
}

static void who_cannot_go_is_named(void **state)
{
    (void)state;
    struct world *w = mesh(71, NULL);
    stays(w, "s01", "0 agents that scale add has brought live there; scale add has brought nobody");
    added(w, 7, "", 1);
    world_run(w, 25 * US_PER_S);
    stays(w, "s01.c1.a3", "s01.c1.a3 is one of the mesh's plan");
    stays(w, "s01.c1.a3", "these can be: s01.c1.a[7");
    stays(w, "s02.c3.a10", "s02.c3.a10 is nobody");
    stays(w, "s01.c1.a[7-9]", "is nobody"); /* all that are named, or none */
    const struct reply *r = removed(w, 8, "", 10, false);
    assert_non_null(strstr(r->text, "7 agents were brought by scale add; these can be"));
    struct command c = {.kind = COMMAND_MOVE, .name = "s02.c3"};
    places(&c.query.selector, "s02.c2.a1");
    assert_int_equal(world_ask(w, unit_orchestrator(), &c, 100 * US_PER_S)->kind, REPLY_OK);
    stays(w, "s02.c3.a8", "came by a move");
    world_run(w, 10 * US_PER_S); /* who is where is told with every fifth beat */
    has(w, MESH + 7);
    done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_word_holds),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(shares_rise),
        cmocka_unit_test(newcomers_enter_step_by_step),
        cmocka_unit_test(what_is_learnt_makes_them_known),
        cmocka_unit_test(everything_may_start_anew_meanwhile),
        cmocka_unit_test(an_entry_that_fails_harms_nobody),
        cmocka_unit_test(nobody_enters_a_degraded_mesh),
        cmocka_unit_test(an_abort_leaves_the_mesh_as_before),
        cmocka_unit_test(the_certificate_of_a_place_lets_them_speak),
        cmocka_unit_test(moves_and_newcomers_share_the_places),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(who_is_removed_is_gone),
        cmocka_unit_test(work_ends_or_its_time_does),
        cmocka_unit_test(a_removal_outlives_everybody),
        cmocka_unit_test(a_removal_may_be_ended),
        cmocka_unit_test(who_cannot_go_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
