/* Agents that live elsewhere (docs/adr/0034): the table of moves, and a mesh of the real tiers in
 * virtual time whose agents move while everything around them dies. */
#include "core/move.h"
#include "sim/wire.h"
#include "tests/support/small_mesh.h"

#define SPARE 4u
#define MESH  36u /* 2 sectors x 3 clusters x 6 agents */

/* --- the table --- */

static struct move a_move(uint64_t id, struct unit home, struct unit place, uint64_t agents,
                          uint64_t places)
{
    return (struct move){
        .id = id, .home = home, .place = place, .agents = agents, .places = places};
}

static void pairs_go_by_rank(void **state)
{
    (void)state;
    struct move m = a_move(7, unit_cluster(1, 2), unit_cluster(2, 1), 0x2a, 0x1c0);
    assert_true(unit_equal(move_place_of(&m, unit_agent(1, 2, 2)), unit_agent(2, 1, 7)));
    assert_true(unit_equal(move_place_of(&m, unit_agent(1, 2, 6)), unit_agent(2, 1, 9)));
    assert_true(unit_equal(move_home_of(&m, unit_agent(2, 1, 8)), unit_agent(1, 2, 4)));
    assert_int_equal(move_place_of(&m, unit_agent(1, 2, 1)).tier, TIER_NONE);
    assert_int_equal(move_home_of(&m, unit_agent(2, 2, 8)).tier, TIER_NONE);
    struct move part = move_part(&m, 0x28);
    assert_int_equal(part.agents, 0x28);
    assert_int_equal(part.places, 0x180);
}

static void a_later_move_overrules(void **state)
{
    (void)state;
    static struct move_table t;
    struct unit a = unit_cluster(1, 1), b = unit_cluster(1, 2), c = unit_cluster(2, 1);
    memset(&t, 0, sizeof t);
    struct move first = a_move(1, a, b, 0x7, 0x1c0), second = a_move(3, a, c, 0x2, 0x40);
    struct move back = a_move(2, a, b, 0x2, 0x80);
    back.back = true;
    assert_true(moves_take(&t, &first));
    assert_true(moves_take(&t, &first)); /* said again */
    assert_int_equal(t.count, 1);
    assert_true(moves_take(&t, &second)); /* the later one comes first */
    assert_true(moves_take(&t, &back));
    assert_true(unit_equal(moves_place(&t, unit_agent(1, 1, 2)), unit_agent(2, 1, 7)));
    assert_true(unit_equal(moves_place(&t, unit_agent(1, 1, 1)), unit_agent(1, 2, 7)));
    assert_true(unit_equal(moves_home(&t, unit_agent(1, 2, 9)), unit_agent(1, 1, 3)));
    assert_int_equal(moves_home(&t, unit_agent(1, 2, 8)).tier, TIER_NONE);
    assert_int_equal(moves_guests(&t, b), 0x140);
    assert_int_equal(moves_away(&t, a), 0x7);
    assert_int_equal(moves_left(&t, a), 3);
    assert_int_equal(moves_left(&t, unit_sector(1)), 1);
    assert_int_equal(moves_came(&t, unit_sector(2)), 1);
    assert_true(moves_take(&t, &first)); /* late and old: no news */
    assert_int_equal(moves_guests(&t, b), 0x140);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    struct world_conf conf;
    tree_conf(&conf, 1, 2, 3, 6, 12);
    conf.topology.spare = SPARE;
    const struct topology *t = &conf.topology;
    struct unit a = unit_cluster(1, 1), b = unit_cluster(2, 3);
    const struct move good = a_move(1, a, b, 0x21, 0x240),
                      odd[] = {a_move(1, a, unit_cluster(2, 4), 1, 0x40),
                               a_move(1, a, a, 1, 0x40),
                               a_move(1, a, b, 0, 0),
                               a_move(1, a, b, 0x40, 0x40),
                               a_move(1, a, b, 1, 0x20),
                               a_move(1, a, b, 3, 0x40),
                               a_move(1, a, b, 1, 0x400)};
    assert_null(move_check(&good, t));
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_non_null(move_check(&odd[i], t));
    }
}

/* --- in a mesh --- */

static struct world *mesh(uint64_t seed, const struct world_wire *wire)
{
    struct world *w = hosted_mesh(seed, SPARE, wire);
    assert_int_equal(status_of(w).summary.active, MESH);
    return w;
}

static const struct reply *move(struct world *w, const char *who, const char *to, bool dry)
{
    struct command c = {.kind = COMMAND_MOVE, .on = dry};
    places(&c.query.selector, who);
    strcpy(c.name, to);
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 100 * US_PER_S);
    assert_non_null(r);
    return r;
}

static void moved(struct world *w, const char *who, const char *to)
{
    const struct reply *r = move(w, who, to, false);
    if (r->kind != REPLY_OK) {
        fail_msg("%s", r->text);
    }
    world_run(w, 3 * US_PER_S); /* until the sums have it */
}

/* Rows of agents in service, for who they are. */
static uint32_t uids(struct world *w, const char *where, uint64_t *ret)
{
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){.kind = QUERY_AGENTS, .from_start = true, .limit = 64};
    c.query.selector.state_mask = 1u << AGENT_ACTIVE | 1u << AGENT_DEGRADED;
    places(&c.query.selector, where);
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 3 * US_PER_S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_ROWS);
    for (uint32_t i = 0; i < r->rows->row_count; i++) {
        ret[i] = r->rows->rows[i].u.agent.uid;
    }
    return r->rows->row_count;
}

static bool all_in(const uint64_t *some, uint32_t count, const uint64_t *all, uint32_t of)
{
    for (uint32_t i = 0; i < count; i++) {
        bool there = false;
        for (uint32_t k = 0; k < of; k++) {
            there = there || all[k] == some[i];
        }
        if (!there) {
            return false;
        }
    }
    return true;
}

static void ready(struct world *w, const char *where, uint32_t wanted)
{
    struct command c;
    submit(&c, "echo", "x");
    c.operation.priority = 3;
    places(&c.operation.selector, where);
    const struct report *r = run(w, unit_orchestrator(), &c);
    assert_int_equal(outcome(r, OUTCOME_READY), wanted);
    assert_int_equal(r->aggregate.targets, wanted);
}

static void a_cluster_moves_and_comes_back(void **state)
{
    (void)state;
    struct world *w = mesh(3, NULL);
    uint64_t before[MESH], all[MESH];
    assert_int_equal(uids(w, "s01.c2", before), 6);
    assert_int_equal(move(w, "s01.c2", "", true)->kind, REPLY_OK); /* a dry run */
    assert_int_equal(uids(w, "s01.c2", all), 6);
    moved(w, "s01.c2", "");
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.active, MESH);
    assert_int_equal(s.summary.agents, MESH);
    assert_int_equal(s.summary.clusters_up, 6);
    assert_int_equal(uids(w, "s01.c2", all), 0);
    uint32_t n = uids(w, "s01.c[1,3]", all); /* near, and evenly */
    assert_int_equal(n, 18);
    assert_true(all_in(before, 6, all, n));
    assert_int_equal(uids(w, "s01.c1", all), 9);
    ready(w, "s[1-2]", MESH);
    ready(w, "s01.c1.a[7-9]", 3);
    moved(w, "s01.c2", ""); /* nobody lives there: nothing to do, and no harm */
    moved(w, "s01.c2", "back");
    assert_int_equal(uids(w, "s01.c2", all), 6);
    assert_true(all_in(before, 6, all, 6));
    assert_int_equal(uids(w, "s01.c1", all), 6);
    ready(w, "s[1-2]", MESH);
    done(w);
}

static const struct reply *isolated(struct world *w, struct unit agent, bool on)
{
    struct command c = {.kind = COMMAND_ISOLATE, .scope = agent, .on = on};
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 15 * US_PER_S);
    assert_non_null(r);
    return r;
}

/* An agent is who it is, whichever of its places it is named by. */
static void quarantine_finds_who_has_moved(void **state)
{
    (void)state;
    struct world *w = mesh(14, NULL);
    const struct unit home = unit_agent(1, 2, 3);
    uint64_t uid[MESH], there[MESH];
    assert_int_equal(uids(w, "s01.c2.a3", uid), 1);
    assert_int_equal(isolated(w, home, true)->kind, REPLY_OK);
    moved(w, "s01.c2.a3", "s02.c1"); /* its quarantine goes with it */
    assert_int_equal(uids(w, "s02.c1.a7", there), 0);
    const struct reply *r = isolated(w, home, false);
    assert_int_equal(r->kind, REPLY_OK);
    assert_int_equal(uids(w, "s02.c1.a7", there), 1);
    assert_true(there[0] == uid[0]);
    ready(w, "s02.c1.a7", 1);
    r = isolated(w, home, false);
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "s01.c2.a3 (at s02.c1.a7) is not in quarantine"));
    assert_int_equal(isolated(w, unit_agent(2, 1, 7), true)->kind, REPLY_OK); /* by its place */
    assert_int_equal(uids(w, "s02.c1.a7", there), 0);
    moved(w, "s01.c2.a3", "back");
    assert_int_equal(isolated(w, unit_agent(2, 1, 7), false)->kind,
                     REPLY_OK); /* that it has left */
    assert_int_equal(uids(w, "s01.c2.a3", there), 1);
    ready(w, "s[1-2]", MESH);
    done(w);
}

static void hosts_and_leads_that_start_anew_find_them(void **state)
{
    (void)state;
    struct world *w = mesh(4, NULL);
    uint64_t before[MESH], now[MESH];
    assert_int_equal(uids(w, "s01.c2", before), 6);
    moved(w, "s01.c2", "s02.c[1-2]");
    /* The machine of the moved ones, with all that ran on it. */
    world_kill(w, unit_numbered(TIER_HOST, 11), false);
    for (unsigned a = 7; a <= 9; a++) {
        world_kill(w, unit_agent(2, 1, a), false);
        world_kill(w, unit_agent(2, 2, a), false);
    }
    world_run(w, 5 * US_PER_S);
    world_restart(w, unit_numbered(TIER_HOST, 11), false);
    world_run(w, 40 * US_PER_S);
    assert_int_equal(uids(w, "s02.c1.a[7-10],s02.c2.a[7-10]", now), 6);
    assert_true(all_in(before, 6, now, 6));
    /* The leads of both, one after the other. */
    world_kill(w, unit_cluster(2, 1), false);
    world_restart(w, unit_cluster(2, 1), false);
    world_kill(w, unit_cluster(1, 2), false);
    world_restart(w, unit_cluster(1, 2), false);
    world_run(w, 25 * US_PER_S);
    assert_int_equal(uids(w, "s02.c1", now), 9);
    assert_int_equal(uids(w, "s01.c2", now), 0);
    ready(w, "s[1-2]", MESH);
    /* Sector and orchestrator. */
    world_kill(w, unit_sector(2), false);
    world_restart(w, unit_sector(2), false);
    world_kill(w, unit_orchestrator(), false);
    world_restart(w, unit_orchestrator(), false);
    world_run(w, 25 * US_PER_S);
    ready(w, "s[1-2]", MESH);
    moved(w, "s02.c1.a7", "back"); /* one of them, by its place */
    assert_int_equal(uids(w, "s01.c2", now), 1);
    /* A lead that begins just when they come home has never heard that they were away. */
    struct command back = {.kind = COMMAND_MOVE, .name = "back"};
    places(&back.query.selector, "s01.c2");
    world_kill(w, unit_cluster(1, 2), false);
    uint64_t ref = world_send(w, 1, unit_orchestrator(), &back);
    world_restart(w, unit_cluster(1, 2), false);
    world_run(w, 40 * US_PER_S);
    assert_non_null(world_reply(w, ref));
    assert_int_equal(uids(w, "s01.c2", now), 6);
    assert_true(all_in(before, 6, now, 6));
    done(w);
}

static void a_cluster_without_a_lead_is_moved(void **state)
{
    (void)state;
    struct world *w = mesh(5, NULL);
    uint64_t before[MESH], now[MESH];
    assert_int_equal(uids(w, "s01.c2", before), 6);
    world_kill(w, unit_cluster(1, 2), false);
    world_run(w, 8 * US_PER_S);
    assert_int_equal(status_of(w).summary.active, MESH - 6);
    moved(w, "s01.c2", "s02.c3,s01.c1");
    assert_int_equal(uids(w, "s02.c3.a[7-10],s01.c1.a[7-10]", now), 6);
    assert_true(all_in(before, 6, now, 6));
    struct mesh_status s = status_of(w);
    assert_int_equal(s.summary.active, MESH);
    assert_int_equal(s.summary.agents, MESH);
    ready(w, "s[1-2]", MESH); /* and nobody is counted at the dead lead */
    done(w);
}

/* What is under way when they leave has one end, and nothing runs twice. */
static void work_in_flight_ends_once(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 26; seed++) {
        struct world *w = mesh(seed, NULL);
        uint64_t refs[12];
        struct command m = {.kind = COMMAND_MOVE};
        places(&m.query.selector, seed % 2 ? "s01.c2" : "s02");
        strcpy(m.name, seed % 2 ? "" : "s01");
        uint64_t order = 0;
        for (unsigned i = 0; i < 12; i++) {
            struct command c;
            submit(&c, i % 3 == 0 ? "work" : "echo", "x");
            c.operation.priority = 3;
            c.operation.ttl_us = c.operation.timeout_us = 20 * US_PER_S;
            refs[i] = world_send(w, 1, unit_orchestrator(), &c);
            order = i == 3 ? world_send(w, 2, unit_orchestrator(), &m) : order;
            world_run(w, 300 * US_PER_MS);
        }
        world_run(w, 40 * US_PER_S);
        for (unsigned i = 0; i < 12; i++) {
            const struct reply *r = world_reply(w, refs[i]);
            assert_non_null(r);
            assert_int_equal(r->kind, REPLY_OPERATION);
            assert_in_range(r->report->aggregate.targets, MESH - 12, MESH + 12);
        }
        assert_non_null(world_reply(w, order));
        assert_int_equal(status_of(w).summary.active, MESH);
        assert_int_equal(world_stats(w)->executed_again, 0);
        done(w);
    }
}

/* Every word of an agent is a signed frame: the certificate names the home, the lead's grant lets
 * it speak for the place. */
static void the_grant_is_what_lets_them_speak(void **state)
{
    (void)state;
    struct world *w = mesh(6, &wire_real);
    uint64_t now[MESH];
    moved(w, "s01.c2.a[1-3]", "s02.c1");
    assert_int_equal(uids(w, "s02.c1", now), 9);
    ready(w, "s[1-2]", MESH);
    moved(w, "s02.c1", "back");
    ready(w, "s[1-2]", MESH);
    done(w);
}

/* A sector that has just begun: its hosts report at once, so nobody waits for their next minute. */
static void a_sector_that_begins_moves_at_once(void **state)
{
    (void)state;
    struct world *w = mesh(11, NULL);
    uint64_t now[MESH];
    world_run(w, 70 * US_PER_S); /* all have reported; the next time is a minute away */
    world_kill(w, unit_sector(1), false);
    world_restart(w, unit_sector(1), false);
    world_run(w, 2 * US_PER_S);
    struct command c = {.kind = COMMAND_MOVE};
    places(&c.query.selector, "s01.c2");
    uint64_t ref = world_send(w, 1, unit_orchestrator(), &c);
    world_run(w, 20 * US_PER_S);
    assert_non_null(world_reply(w, ref));
    assert_int_equal(uids(w, "s01.c2", now), 0);
    assert_int_equal(uids(w, "s01.c[1,3]", now), 18);
    done(w);
}

static uint32_t replaced; /* words to hosts that an agent is to be started anew */

static void count_replaced(void *context, const struct world_step *step)
{
    (void)context;
    for (uint32_t i = 0; i < step->out->effect_count; i++) {
        const struct effect *e = &step->out->effects[i];
        replaced +=
            step->unit.tier == TIER_HOST && e->kind == FX_NOTE && e->u.note.note == NOTE_REPLACE
                ? 1
                : 0;
    }
}

/* An agent stands still; when its lead gives it up the sector is away, or has just begun: it is
 * replaced as soon as the sector is there, not with the next minute. Those that the minute's share
 * does not reach follow in the next ones. */
static void a_sector_that_begins_has_agents_replaced(void **state)
{
    (void)state;
    for (int64_t away_us = 3; away_us <= 11; away_us += 4) {
        struct world *w = mesh(12, NULL);
        world_run(w, 70 * US_PER_S);
        replaced = 0;
        world_watch_set(w, count_replaced, NULL);
        world_pause(w, unit_agent(1, 2, 3), false, 300 * US_PER_S);
        world_pause(w, unit_agent(1, 2, 5), false, 300 * US_PER_S);
        world_run(w, 25 * US_PER_S);
        world_kill(w, unit_sector(1), false);
        world_run(w, away_us * US_PER_S); /* given up after 30 to 35 s: before, during, after */
        world_restart(w, unit_sector(1), false);
        assert_int_equal(replaced, 0);
        world_run(w, 18 * US_PER_S);
        assert_int_equal(replaced, 1); /* a tenth of six, but one */
        world_run(w, 70 * US_PER_S);
        assert_in_range(replaced, 2, 3);
        done(w);
    }
}

/* More clusters than fit one page of answers are looked at for the nearest places. */
static void all_clusters_are_looked_at(void **state)
{
    (void)state;
    struct world_conf conf;
    uint64_t now[64];
    tree_conf(&conf, 9, 2, 20, 2, 40);
    conf.topology.spare = 1;
    conf.hosts = 40;
    struct world *w = world_new(&conf);
    world_run(w, 14 * US_PER_S);
    moved(w, "s01.c[1-10]", "");
    assert_int_equal(uids(w, "s01.c[1-10]", now), 0);
    assert_int_equal(uids(w, "s01.c[11-20]", now), 30);
    assert_int_equal(uids(w, "s02", now), 50);
    done(w);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct world *w = mesh(7, NULL);
    const struct {
        const char *who, *to, *says;
    } odd[] = {{"s01.c2", "s01.c2", "they are there now"},
               {"s01.c2", "s01.c1.a7", "clusters or sectors"},
               {"s01.c2", "s09", "no sector"},
               {"s01.c2", "s01.c1", "4 free places"},
               {"s01.c2", "nowhere", "to: 'nowhere'"}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        const struct reply *r = move(w, odd[i].who, odd[i].to, false);
        assert_int_equal(r->kind, REPLY_ERROR);
        if (strstr(r->text, odd[i].says) == NULL) {
            fail_msg("%s -> %s: %s", odd[i].who, odd[i].to, r->text);
        }
    }
    world_kill(w, unit_cluster(2, 1), true);
    world_run(w, 8 * US_PER_S);
    const struct reply *r = move(w, "s01.c2.a1", "s02.c1", false);
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "s02.c1: it is not healthy"));
    done(w);
    w = joined(8);
    r = move(w, "s01.c2", "", false);
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "spare"));
    done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_go_by_rank),
        cmocka_unit_test(a_later_move_overrules),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(a_cluster_moves_and_comes_back),
        cmocka_unit_test(quarantine_finds_who_has_moved),
        cmocka_unit_test(hosts_and_leads_that_start_anew_find_them),
        cmocka_unit_test(a_cluster_without_a_lead_is_moved),
        cmocka_unit_test(work_in_flight_ends_once),
        cmocka_unit_test(the_grant_is_what_lets_them_speak),
        cmocka_unit_test(a_sector_that_begins_moves_at_once),
        cmocka_unit_test(a_sector_that_begins_has_agents_replaced),
        cmocka_unit_test(all_clusters_are_looked_at),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
