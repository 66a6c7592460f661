/* Threats (core/threat.h): what is enough, and for whom; and the drills of spec 9.2 on a whole mesh
 * in virtual time, each with the time from the first bad deed to the answer. */
#include "core/logs.h"
#include "sim/world.h"
#include "sim/world_fault.h"
#include "tests/support/worlds.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S      US_PER_S
#define AGENTS 24u

static struct evidence refused(const char *accused, const char *accuser, enum tier tier,
                               enum evidence_weight weight, uint64_t count)
{
    struct evidence e = {.tier = tier, .weight = weight, .count = count};
    snprintf(e.accused, sizeof(e.accused), "%s", accused);
    snprintf(e.accuser, sizeof(e.accuser), "%s", accuser);
    snprintf(e.check, sizeof(e.check), "record-scope");
    return e;
}

static struct threat_book *book(void)
{
    static struct threat_book b;
    memset(&b, 0, sizeof(b));
    return &b;
}

static void one_equal_is_not_believed_two_are(void **state)
{
    (void)state;
    struct threat_book *b = book();
    struct evidence e = refused("agent-1", "agent-2", TIER_AGENT, EVIDENCE_FORGERY, 1000);
    assert_null(threat_refused(b, &e, S));
    e.count = 100000;
    assert_null(threat_refused(b, &e, 2 * S)); /* the same one again */
    struct evidence other = refused("agent-1", "agent-3", TIER_AGENT, EVIDENCE_FORGERY, 3);
    struct threat *t = threat_refused(b, &other, 3 * S);
    assert_non_null(t);
    assert_int_equal(t->state, THREAT_ANSWERED);
    assert_string_equal(t->second, "agent-2");
    assert_null(threat_refused(b, &e, 4 * S)); /* answered once */
}

static void who_stands_above_is_believed_after_three(void **state)
{
    (void)state;
    struct threat_book *b = book();
    struct evidence e = refused("agent-1", "cluster-1", TIER_AGENT, EVIDENCE_OVERREACH, 1);
    e.accuser_above = true;
    for (e.count = 1; e.count < THREAT_REFUSALS; e.count++) {
        assert_null(threat_refused(b, &e, S));
    }
    struct threat *t = threat_refused(b, &e, S);
    assert_non_null(t);
    assert_int_equal(t->kind, THREAT_ROGUE_AGENT);
}

static void doubts_are_never_enough(void **state)
{
    (void)state;
    struct threat_book *b = book();
    struct evidence e =
        refused("cluster-1", "orchestrator", TIER_CLUSTER, EVIDENCE_DOUBT, 1u << 30);
    e.accuser_above = true;
    assert_null(threat_refused(b, &e, S));
    snprintf(e.accuser, sizeof(e.accuser), "sector-1");
    assert_null(threat_refused(b, &e, 2 * S));
    assert_null(threat_open(b, THREAT_CLUSTER_COMPROMISE));
    threat_expire(b, 2 * S + THREAT_QUIET_US + 1); /* and it is forgotten */
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        assert_int_equal(b->list[i].state, THREAT_FREE);
    }
}

static void a_doubt_neither_hides_nor_supports_what_counted(void **state)
{
    (void)state;
    struct threat_book *b = book();
    struct evidence e = refused("agent-1", "agent-2", TIER_AGENT, EVIDENCE_FORGERY, 10);
    assert_null(threat_refused(b, &e, S));
    struct evidence doubt = refused("agent-1", "agent-3", TIER_AGENT, EVIDENCE_DOUBT, 1000);
    snprintf(doubt.check, sizeof(doubt.check), "unknown-key");
    doubt.accuser_above = true;
    assert_null(threat_refused(b, &doubt, 2 * S)); /* not the second who saw it */
    e.count++;
    assert_null(threat_refused(b, &e, 3 * S)); /* nor was the doubter the first */
    assert_null(threat_open(b, THREAT_ROGUE_AGENT));
    struct evidence other = refused("agent-1", "agent-4", TIER_AGENT, EVIDENCE_FORGERY, 3);
    struct threat *t = threat_refused(b, &other, 4 * S);
    assert_non_null(t);
    assert_string_equal(t->second, "agent-2");
    assert_null(threat_refused(b, &doubt, 5 * S));
    assert_string_equal(t->evidence.check, "record-scope");
    assert_string_equal(t->evidence.accuser, "agent-4");
}

static void the_kind_follows_from_what_it_is(void **state)
{
    (void)state;
    static const struct {
        enum tier tier;
        bool may_command;
        uint64_t count;
        enum threat_kind kind;
    } cases[] = {{TIER_NONE, false, 3, THREAT_ROGUE_AGENT},
                 {TIER_AGENT, false, 3, THREAT_ROGUE_AGENT},
                 {TIER_CLUSTER, false, 3, THREAT_CLUSTER_COMPROMISE},
                 {TIER_SECTOR, false, 3, THREAT_SECTOR_COMPROMISE},
                 {TIER_ORCHESTRATOR, false, 3, THREAT_ORCHESTRATOR_COMPROMISE},
                 {TIER_CONSOLE, false, 3, THREAT_ROGUE_AGENT},
                 {TIER_CONSOLE, true, 3, THREAT_ORCHESTRATOR_COMPROMISE},
                 {TIER_SECTOR, false, DENIAL_REFUSALS, THREAT_DENIAL_OF_SERVICE}};
    struct threat_book *b = book();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[THREAT_NAME_MAX];
        snprintf(name, sizeof(name), "p-%zu", i);
        struct evidence e = refused(name, "o", cases[i].tier, EVIDENCE_FORGERY, cases[i].count);
        e.accuser_above = true;
        e.may_command = cases[i].may_command;
        struct threat *t = threat_refused(b, &e, S);
        assert_non_null(t);
        assert_int_equal(t->kind, cases[i].kind);
    }
}

static void a_fifth_of_a_cluster_is_one_and_two_clusters_are_a_sector(void **state)
{
    (void)state;
    struct threat_book *b = book();
    struct unit c1 = unit_cluster(1, 1), c2 = unit_cluster(1, 2);
    for (uint16_t i = 1; i <= 3; i++) {
        assert_null(threat_cluster(b, c1, 15, S));
        assert_non_null(threat_contradicted(b, unit_agent(1, 1, i), S));
        assert_null(threat_contradicted(b, unit_agent(1, 1, i), S)); /* one agent counts once */
    }
    assert_null(threat_cluster(b, c1, 16, S)); /* three of sixteen are less than a fifth */
    assert_non_null(threat_cluster(b, c1, 15, S));
    assert_null(threat_cluster(b, c1, 15, S));
    assert_null(threat_sector(b, unit_sector(1), 10, S));
    for (uint16_t i = 1; i <= 3; i++) {
        (void)threat_contradicted(b, unit_agent(1, 2, i), 2 * S);
    }
    assert_null(threat_cluster(b, c2, 15, 3 * S + THREAT_QUIET_US)); /* too long ago */
    assert_non_null(threat_cluster(b, c2, 15, 2 * S));
    assert_null(threat_sector(b, unit_sector(1), 11, 2 * S));
    assert_non_null(threat_sector(b, unit_sector(1), 10, 2 * S));
}

static void sixty_orders_a_minute_are_the_most(void **state)
{
    (void)state;
    struct threat_book *b = book();
    for (uint32_t i = 0; i < 3 * THREAT_ORDERS_MAX; i++) { /* one a second: nothing unusual */
        assert_null(threat_ordered(b, "steady", (int64_t)i * (S + S / 10)));
    }
    for (uint32_t i = 0; i < THREAT_ORDERS_MAX; i++) {
        assert_null(threat_ordered(b, "hasty", 500 * S + (int64_t)i));
        assert_null(threat_ordered(b, "other", 500 * S + (int64_t)i));
    }
    struct threat *t = threat_ordered(b, "hasty", 500 * S + 100);
    assert_non_null(t);
    assert_int_equal(t->kind, THREAT_ORCHESTRATOR_COMPROMISE);
    assert_null(threat_ordered(b, "hasty", 500 * S + 101));
}

static void a_full_book_keeps_what_was_answered(void **state)
{
    (void)state;
    struct threat_book *b = book();
    struct evidence e = refused("held", "o", TIER_AGENT, EVIDENCE_HELD, 1);
    struct threat *held = threat_refused(b, &e, S);
    assert_non_null(held);
    uint64_t id = held->id;
    for (uint32_t i = 0; i < 3 * THREATS_MAX; i++) {
        struct evidence s = refused("", "o", TIER_AGENT, EVIDENCE_DOUBT, 1);
        snprintf(s.accused, sizeof(s.accused), "s-%u", i);
        assert_null(threat_refused(b, &s, 2 * S + (int64_t)i));
    }
    assert_non_null(threat_find(b, id));
    assert_null(threat_find(b, id + 2));
    for (uint16_t i = 1; i <= 2 * THREATS_MAX; i++) { /* all clusters of two sectors at once */
        struct unit c = unit_cluster((uint16_t)(1 + i / 65), (uint16_t)(1 + i % 65));
        assert_non_null(threat_timing(b, c, i, 6, 3 * S + i));
    }
    assert_non_null(threat_find(b, id));
}

static void times_that_shift_are_a_threat_as_long_as_the_incident(void **state)
{
    (void)state;
    struct threat_book *b = book();
    struct unit c = unit_cluster(1, 1);
    struct threat *t = threat_timing(b, c, 7, 6, S);
    assert_non_null(t);
    assert_int_equal(t->kind, THREAT_TIMING_ATTACK);
    assert_null(threat_timing(b, c, 7, 9, 2 * S)); /* said again, and more */
    assert_int_equal(t->count, 9);
    assert_null(threat_timing(b, c, 8, 6, 3 * S)); /* the lead was replaced: the same threat */
    assert_null(threat_timing_over(b, 7));
    assert_ptr_equal(threat_timing_over(b, 8), t);
    assert_null(threat_timing_over(b, 8));
    assert_null(threat_timing(b, c, 8, 6, 4 * S)); /* a late copy does not open it again */
    assert_true(threat_timing_cleared(b, 8));
    assert_non_null(threat_timing(b, c, 9, 6, 5 * S));
    /* It is no compromise of the cluster, hides none, and makes none of the sector. */
    for (uint16_t i = 1; i <= 3; i++) {
        assert_non_null(threat_contradicted(b, unit_agent(1, 1, i), 6 * S));
    }
    assert_non_null(threat_timing(b, unit_cluster(1, 2), 10, 6, 6 * S));
    assert_null(threat_sector(b, unit_sector(1), 2, 6 * S));
    assert_non_null(threat_cluster(b, c, 6, 6 * S));
}

/* --- drills ----------------------------------------------------------------------------------- */

static struct world *joined(uint64_t seed, uint32_t processes, bool second_person)
{
    struct world_conf conf;
    tree_conf(&conf, seed, 2, 2, 6, AGENTS / 2);
    conf.processes = processes;
    conf.threats = true;
    conf.tuning.second_person = second_person;
    struct world *w = world_new(&conf);
    world_run(w, 30 * S);
    return w;
}

static void done(struct world *w)
{
    assert_int_equal(world_stats(w)->executed_twice, 0);
    assert_int_equal(world_stats(w)->uneven, 0);
    world_free(w);
}

static const struct reply *ask(struct world *w, struct command c, const char *operator_name)
{
    snprintf(c.operator_name, sizeof(c.operator_name), "%s", operator_name);
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 20 * S);
    assert_non_null(r);
    return r;
}

static void audit(struct world *w, const char *event, struct log_page *ret)
{
    struct command c = {.kind = COMMAND_LOG,
                        .log = {.log = LOG_AUDIT, .ask = LOG_ASK_ROWS, .limit = LOG_PAGE_ROWS}};
    snprintf(c.log.event, sizeof(c.log.event), "%s", event);
    const struct reply *r = ask(w, c, "admin-1");
    assert_int_equal(r->kind, REPLY_LOG);
    *ret = *r->log;
}

/* The threat of that kind in the audit log; its id. */
static struct command clear_of(struct world *w, enum threat_kind kind)
{
    static struct log_page page;
    struct command c = {.kind = COMMAND_THREAT, .on = true};
    audit(w, "threat", &page);
    for (uint32_t i = 0; i < page.count; i++) {
        if (strcmp(page.entries[i].type, threat_kind_name(kind)) == 0) {
            memcpy(c.name, page.entries[i].subject, 16);
        }
    }
    assert_true(c.name[0] != '\0');
    return c;
}

static const struct mesh_status *status(struct world *w)
{
    struct command c = {.kind = COMMAND_STATUS};
    const struct reply *r = ask(w, c, "admin-1");
    assert_int_equal(r->kind, REPLY_STATUS);
    return r->status;
}

/* From now until `is` holds, in steps of 10 ms; a question to the mesh takes its own time. */
static int64_t until(struct world *w, bool (*is)(struct world *w), int64_t most_us)
{
    int64_t begin = world_now(w);
    while (!is(w)) {
        assert_true(world_now(w) - begin < most_us);
        world_run(w, 10 * US_PER_MS);
    }
    return world_now(w) - begin;
}

static bool one_in_quarantine(struct world *w)
{
    return status(w)->summary.quarantined == 1;
}

static bool none_in_quarantine(struct world *w)
{
    return status(w)->summary.quarantined == 0;
}

static bool all_frozen(struct world *w)
{
    const struct mesh_status *s = status(w);
    return s->frozen && s->summary.frozen == AGENTS;
}

static bool all_active(struct world *w)
{
    return status(w)->summary.active == AGENTS;
}

static void drill_rogue_agent(void **state)
{
    (void)state;
    int64_t worst_us = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = joined(seed, 0, false);
        struct unit rogue = unit_agent(1, 1, 2);
        static struct log_page page;
        world_lie(w, rogue, false, WORLD_LIE_FORGE, true);
        /* It speaks every 5 s: the third forged word is the earliest that can be enough. */
        (void)until(w, one_in_quarantine, 40 * S);
        audit(w, "threat", &page);
        assert_int_equal(page.count, 1);
        assert_string_equal(page.entries[0].type, "rogue_agent");
        assert_non_null(strstr(page.entries[0].body, "process s01.c1.a2"));
        world_lie(w, rogue, false, WORLD_LIE_FORGE, false);
        assert_int_equal(ask(w, clear_of(w, THREAT_ROGUE_AGENT), "admin-1")->kind, REPLY_OK);
        int64_t back_us = until(w, none_in_quarantine, 30 * S);
        worst_us = back_us > worst_us ? back_us : worst_us;
        (void)until(w, all_active, 60 * S);
        done(w);
    }
    printf("rogue_agent: let back within %.2f s of the clearing\n", (double)worst_us / 1e6);
}

/* What a drill measures: from the word of the accuser to the effect on the mesh. */
static int64_t accuse(struct world *w, const char *who, enum tier tier, uint64_t count,
                      bool may_command)
{
    struct evidence e = refused(who, "orchestrator", tier, EVIDENCE_OVERREACH, count);
    e.accuser_above = true;
    e.may_command = may_command;
    if (tier == TIER_AGENT) {
        e.ranges = 1;
        e.agents[0].first = 1;
        e.agents[0].count = 1;
    }
    world_accuse(w, &e);
    return world_now(w);
}

static void drill_quarantine_within_a_second(void **state)
{
    (void)state;
    int64_t worst_us = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = joined(seed, 0, false);
        int64_t begin = accuse(w, "s01.c1.a2", TIER_AGENT, 3, false);
        struct command c = {.kind = COMMAND_QUERY};
        c.query.kind = QUERY_AGENTS;
        c.query.from_start = true;
        c.query.limit = 1;
        c.query.selector.places.count = 1;
        c.query.selector.places.patterns[0].sector = (struct range){1, 1};
        c.query.selector.places.patterns[0].cluster = (struct range){1, 1};
        c.query.selector.places.patterns[0].agent = (struct range){2, 2};
        enum agent_state is = AGENT_ACTIVE;
        while (is != AGENT_QUARANTINED) {
            const struct reply *r = ask(w, c, "admin-1");
            assert_int_equal(r->kind, REPLY_ROWS);
            is = r->rows->row_count > 0 ? r->rows->rows[0].u.agent.impedance.state : is;
            assert_true(world_now(w) - begin < 10 * S);
            world_run(w, 5 * US_PER_MS);
        }
        int64_t took_us = world_now(w) - begin;
        worst_us = took_us > worst_us ? took_us : worst_us;
        done(w);
    }
    printf("rogue_agent: quarantine %.3f s at the worst of 20\n", (double)worst_us / 1e6);
    assert_true(worst_us <= S);
}

static void drill_cluster_and_sector(void **state)
{
    (void)state;
    static const struct {
        const char *who;
        enum tier tier;
        enum threat_kind kind;
    } cases[] = {{"s01.c2", TIER_CLUSTER, THREAT_CLUSTER_COMPROMISE},
                 {"s02", TIER_SECTOR, THREAT_SECTOR_COMPROMISE}};
    for (size_t i = 0; i < 2; i++) {
        int64_t worst_us = 0;
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct world *w = joined(seed, 3, false);
            static struct log_page page;
            (void)until(w, all_active, 60 * S);
            uint64_t before = world_met(w, WORLD_MET_TAKEOVER);
            int64_t begin = accuse(w, cases[i].who, cases[i].tier, 3, false);
            while (world_met(w, WORLD_MET_TAKEOVER) == before) {
                world_run(w, 10 * US_PER_MS);
                assert_true(world_now(w) - begin < 60 * S);
            }
            (void)until(w, all_active, 60 * S);
            worst_us = world_now(w) - begin > worst_us ? world_now(w) - begin : worst_us;
            audit(w, "threat", &page);
            assert_int_equal(page.count, 1);
            assert_string_equal(page.entries[0].type, threat_kind_name(cases[i].kind));
            done(w);
        }
        printf("%s: shut out, taken over, all agents active after %.1f s at the worst of 5\n",
               threat_kind_name(cases[i].kind), (double)worst_us / 1e6);
        assert_true(worst_us <= 30 * S);
    }
}

static void drill_orchestrator_freeze(void **state)
{
    (void)state;
    int64_t worst_us = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = joined(seed, 0, false);
        int64_t begin = accuse(w, "operator", TIER_CONSOLE, 3, true);
        (void)until(w, all_frozen, 10 * S);
        worst_us = world_now(w) - begin > worst_us ? world_now(w) - begin : worst_us;
        struct command thaw = {.kind = COMMAND_THAW, .scope = unit_orchestrator()};
        const struct reply *r = ask(w, thaw, "admin-2");
        assert_int_equal(r->kind, REPLY_ERROR);
        assert_non_null(strstr(r->text, "frozen because of threat"));
        assert_int_equal(ask(w, clear_of(w, THREAT_ORCHESTRATOR_COMPROMISE), "admin-2")->kind,
                         REPLY_OK);
        assert_int_equal(ask(w, thaw, "admin-2")->kind, REPLY_OK);
        (void)until(w, all_active, 20 * S);
        done(w);
    }
    printf("orchestrator_compromise: all agents frozen after %.2f s at the worst of 5\n",
           (double)worst_us / 1e6);
    assert_true(worst_us <= 5 * S);
}

static struct command approval(uint64_t id)
{
    struct command c = {.kind = COMMAND_SECOND};
    snprintf(c.name, sizeof(c.name), "%016lx", id);
    return c;
}

/* A token's touch at that mesh time. */
static struct command touched(struct command c, int64_t mesh_us)
{
    c.proof = PROOF_TOKEN;
    c.proof_us = mesh_us;
    return c;
}

static void a_freeze_takes_a_fresh_touch(void **state)
{
    (void)state;
    static struct log_page page;
    struct world *w = joined(9, 0, false);
    int64_t before_us = status(w)->summary.updated_mesh_us;
    (void)accuse(w, "operator", TIER_CONSOLE, 3, true);
    (void)until(w, all_frozen, 10 * S);
    struct command clear = clear_of(w, THREAT_ORCHESTRATOR_COMPROMISE);
    const struct reply *r = ask(w, touched(clear, before_us), "admin-2");
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "after your token was touched"));
    r = ask(w, touched(approval(77), before_us), "admin-2"); /* nor by approving it */
    assert_non_null(strstr(r->text, "after your token was touched"));
    /* The rest goes on with the session as it is. */
    assert_int_equal(
        ask(w, touched((struct command){.kind = COMMAND_STATUS}, before_us), "admin-2")->kind,
        REPLY_STATUS);
    world_run(w, 5 * S);
    int64_t after_us = status(w)->summary.updated_mesh_us;
    assert_int_equal(ask(w, touched(clear, after_us), "admin-2")->kind, REPLY_OK);
    struct command thaw = {.kind = COMMAND_THAW, .scope = unit_orchestrator()};
    assert_int_equal(ask(w, touched(thaw, after_us), "admin-2")->kind, REPLY_OK);
    (void)until(w, all_active, 20 * S);
    audit(w, "command", &page);
    assert_true(page.count > 0);
    done(w);
}

static void without_the_token_that_is_asked_for(void **state)
{
    (void)state;
    static struct log_page page;
    struct world *w = joined(10, 0, false);
    struct command freeze = {.kind = COMMAND_FREEZE,
                             .scope = unit_orchestrator(),
                             .proof = PROOF_REFUSED,
                             .proof_why = "hardware token: not shown"};
    const struct reply *r = ask(w, freeze, "admin-1");
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_int_equal(r->reason, REASON_CAPABILITY);
    assert_string_equal(r->text, "hardware token: not shown");
    assert_false(status(w)->frozen);
    audit(w, "command", &page);
    bool told = false;
    for (uint32_t i = 0; i < page.count; i++) {
        told = told || (strcmp(page.entries[i].type, "freeze") == 0 &&
                        strstr(page.entries[i].body, "refused") != NULL &&
                        strstr(page.entries[i].body, "not shown") != NULL);
    }
    assert_true(told);
    freeze.scope = unit_sector(1); /* a sector that is asked itself refuses it, too */
    snprintf(freeze.operator_name, sizeof(freeze.operator_name), "admin-1");
    r = world_ask(w, unit_sector(1), &freeze, 20 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_string_equal(r->text, "hardware token: not shown");
    done(w);
}

static void drill_orders_without_end(void **state)
{
    (void)state;
    struct world *w = joined(4, 0, false);
    struct command heal = {.kind = COMMAND_BREAKER, .scope = unit_sector(1), .on = true};
    for (uint32_t i = 0; i < THREAT_ORDERS_MAX; i++) {
        heal.on = i % 2 == 0;
        (void)ask(w, heal, "hasty");
        assert_false(status(w)->frozen);
    }
    const struct reply *r = ask(w, heal, "hasty");
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_int_equal(r->reason, REASON_QUARANTINED);
    (void)until(w, all_frozen, 5 * S);
    done(w);
}

static void drill_flood(void **state)
{
    (void)state;
    struct world *w = joined(5, 0, false);
    static struct log_page page;
    (void)accuse(w, "s01.c1.a2", TIER_AGENT, DENIAL_REFUSALS, false);
    (void)until(w, one_in_quarantine, 5 * S);
    audit(w, "threat", &page);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.entries[0].type, "denial_of_service");
    done(w);
}

static void bad_ids_are_told_apart(void **state)
{
    (void)state;
    struct world *w = joined(6, 0, false);
    struct command c = {.kind = COMMAND_THREAT, .name = "0123456789abcdef"};
    const struct reply *r = ask(w, c, "admin-1");
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "no threat of that name"));
    c.name[0] = '\0';
    assert_int_equal(ask(w, c, "admin-1")->kind, REPLY_OK);
    (void)accuse(w, "s01.c1.a2", TIER_AGENT, 3, false);
    (void)until(w, one_in_quarantine, 5 * S);
    struct command clear = clear_of(w, THREAT_ROGUE_AGENT);
    assert_int_equal(ask(w, clear, "admin-1")->kind, REPLY_OK);
    r = ask(w, clear, "admin-1");
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "cleared already"));
    done(w);
}

/* --- a second person ---------------------------------------------------------------------------
 */

static uint64_t waiting(const struct reply *r)
{
    assert_int_equal(r->kind, REPLY_ERROR);
    const char *at = strstr(r->text, "approve ");
    assert_non_null(at);
    char hex[17] = {0};
    memcpy(hex, at + 8, 16);
    uint64_t id = 0;
    assert_int_equal(sscanf(hex, "%16lx", &id), 1);
    return id;
}

static void a_second_person_is_another_and_says_it_once(void **state)
{
    (void)state;
    static struct log_page page;
    struct world *w = joined(7, 0, true);
    struct command freeze = {.kind = COMMAND_FREEZE, .scope = unit_orchestrator()};
    uint64_t id = waiting(ask(w, freeze, "admin-1"));
    assert_false(status(w)->frozen);
    const struct reply *r = ask(w, approval(id), "admin-1");
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "cannot approve"));
    assert_int_equal(ask(w, approval(id ^ 2u), "admin-2")->kind, REPLY_ERROR);
    assert_int_equal(ask(w, approval(id), "admin-2")->kind, REPLY_OK);
    (void)until(w, all_frozen, 5 * S);
    r = ask(w, approval(id), "admin-2"); /* once */
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "nothing of that number waits"));
    audit(w, "command", &page);
    bool asked = false, approved = false;
    for (uint32_t i = 0; i < page.count; i++) {
        const struct log_entry *e = &page.entries[i];
        asked = asked || (strcmp(e->type, "freeze") == 0 && strstr(e->body, "admin-1") != NULL &&
                          strstr(e->body, "not done yet") != NULL);
        approved =
            approved || (strcmp(e->type, "approve") == 0 && strstr(e->body, "admin-2") != NULL);
    }
    assert_true(asked && approved);
    done(w);
}

static void what_waits_is_over_after_five_minutes(void **state)
{
    (void)state;
    struct world *w = joined(8, 0, true);
    struct command freeze = {.kind = COMMAND_FREEZE, .scope = unit_orchestrator()};
    uint64_t id = waiting(ask(w, freeze, "admin-1"));
    world_run(w, 301 * S);
    const struct reply *r = ask(w, approval(id), "admin-2");
    assert_int_equal(r->kind, REPLY_ERROR);
    assert_non_null(strstr(r->text, "more than 5 minutes"));
    assert_false(status(w)->frozen);
    for (uint32_t i = 0; i < 8; i++) {
        (void)waiting(ask(w, freeze, "admin-1"));
    }
    r = ask(w, freeze, "admin-1"); /* bounded */
    assert_int_equal(r->reason, REASON_OVERLOAD);
    struct command sector = {.kind = COMMAND_FREEZE, .scope = unit_sector(1)};
    assert_int_equal(ask(w, sector, "admin-1")->kind, REPLY_OK); /* not the whole mesh */
    done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_equal_is_not_believed_two_are),
        cmocka_unit_test(who_stands_above_is_believed_after_three),
        cmocka_unit_test(doubts_are_never_enough),
        cmocka_unit_test(a_doubt_neither_hides_nor_supports_what_counted),
        cmocka_unit_test(the_kind_follows_from_what_it_is),
        cmocka_unit_test(a_fifth_of_a_cluster_is_one_and_two_clusters_are_a_sector),
        cmocka_unit_test(sixty_orders_a_minute_are_the_most),
        cmocka_unit_test(a_full_book_keeps_what_was_answered),
        cmocka_unit_test(times_that_shift_are_a_threat_as_long_as_the_incident),
        cmocka_unit_test(drill_rogue_agent),
        cmocka_unit_test(drill_quarantine_within_a_second),
        cmocka_unit_test(drill_cluster_and_sector),
        cmocka_unit_test(drill_orchestrator_freeze),
        cmocka_unit_test(a_freeze_takes_a_fresh_touch),
        cmocka_unit_test(without_the_token_that_is_asked_for),
        cmocka_unit_test(drill_orders_without_end),
        cmocka_unit_test(drill_flood),
        cmocka_unit_test(bad_ids_are_told_apart),
        cmocka_unit_test(a_second_person_is_another_and_says_it_once),
        cmocka_unit_test(what_waits_is_over_after_five_minutes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
