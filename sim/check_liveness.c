/* Liveness: a mesh whose core was healed comes back by itself, in bounded virtual time, while the
 * rest stays broken.
 *
 *   service   every agent of the core is in service, every sector of it up: LIVE_SERVICE_US
 *   mode      10 s later the mode is one that stays with the share that is there
 *   answer    an operation to all is READY at every agent of the core that this mode routes to:
 *             LIVE_ANSWER_US (a breaker that tripped just before needs 30 s to its probe)
 *   takeover  with standbys, another process runs the units of one that dies: LIVE_TAKEOVER_US
 *   answered  every operation that was accepted has its final answer; one whose orchestrator died
 *             is answered by nobody, and its console knows: it sees another epoch */
#include "core/mode.h"
#include "sim/check.h"
#include "sim/play.h"
#include <string.h>

#define MODE_US   (10 * US_PER_S)
#define POLL_US   (250 * US_PER_MS)
#define PROBE_US  (6 * US_PER_S)
#define GRACE_US  (10 * US_PER_S)
#define PHASES_US (180 * US_PER_S) /* a cascade's later phases choose a T of their own */
#define PERSON_US (15 * US_PER_S)
#define BEAT_US   (5 * US_PER_S) /* within which a word of silence is upstairs */
#define LIFT_US   (3 * US_PER_S) /* a lift that was not done is asked for again */
#define CONSOLE   8u

static const struct check check_live = {.name = "live"};

static uint32_t core_agents(const struct scenario *s)
{
    const struct topology *t = &s->conf.topology;
    uint32_t n = 0;
    for (uint32_t a = 0; a < topology_places(t); a++) {
        struct unit u = topology_agent(t, a);
        n += topology_planned(t, u) && !play_broken(s, u) ? 1 : 0;
    }
    return n;
}

/* Agents of the core below `top`. */
static uint32_t core_below(const struct scenario *s, struct unit top, uint32_t *ret_all)
{
    const struct topology *t = &s->conf.topology;
    uint32_t n = 0;
    *ret_all = 0;
    for (uint32_t a = 0; a < topology_places(t); a++) {
        struct unit u = topology_agent(t, a);
        if (topology_planned(t, u) && u.sector == top.sector &&
            (top.tier == TIER_SECTOR || u.cluster == top.cluster)) {
            n += play_broken(s, u) ? 0 : 1;
            ++*ret_all;
        }
    }
    return n;
}

static bool healthy(const struct scenario *s, struct unit top)
{
    uint32_t all, n = core_below(s, top, &all);
    return all > 0 && n * 1000u > all * 950u;
}

/* The core's agents that get operations: from DEGRADED_MODERATE on healthy sectors and clusters
 * only, unless none of them is (spec 6.3; core/hub.c). */
static uint32_t core_served(const struct scenario *s, enum mode mode)
{
    const struct topology *t = &s->conf.topology;
    uint32_t agents = core_agents(s), served = 0, all;
    bool sector_healthy = false;
    if (mode < MODE_DEGRADED_MODERATE) {
        return agents;
    }
    for (unsigned i = 1; i <= t->sectors; i++) {
        sector_healthy = sector_healthy || healthy(s, unit_sector(i));
    }
    for (unsigned i = 1; i <= t->sectors; i++) {
        bool cluster_healthy = false;
        for (unsigned c = 1; c <= topology_sector_clusters(t, i); c++) {
            cluster_healthy = cluster_healthy || healthy(s, unit_cluster(i, c));
        }
        for (unsigned c = 1; c <= topology_sector_clusters(t, i); c++) {
            bool taken = (!sector_healthy || healthy(s, unit_sector(i))) &&
                         (!cluster_healthy || healthy(s, unit_cluster(i, c)));
            served += taken ? core_below(s, unit_cluster(i, c), &all) : 0;
        }
    }
    return served;
}

static uint32_t core_sectors(const struct scenario *s)
{
    uint32_t n = 0;
    for (unsigned i = 1; i <= s->conf.topology.sectors; i++) {
        n += play_broken(s, unit_sector(i)) ? 0 : 1;
    }
    return n;
}

static bool served(struct play *p, uint32_t agents, uint32_t sectors)
{
    return play_status(p) && p->status.summary.active == agents && p->status.sectors_up == sectors;
}

/* Who is in quarantine is let back: it takes a word for each, said until it is done. Returns
 * whether there was any.
 *
 * Whose context rotted comes back by itself, when it holds the right one again while that is
 * compared; where loss or the store's absence lasted longer than the comparing, a person decides,
 * as the log asks for (orchestrator_strategy.c). Here that is after PERSON_US. */
static bool lift(struct play *p, bool person)
{
    const struct topology *t = &p->s->conf.topology;
    bool any = false, rotted = false, moved = t->spare > 0;
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        const struct act *a = &p->s->acts[i];
        if (a->kind == ACT_QUARANTINE && !play_broken(p->s, a->unit)) {
            play_quarantine(p, a->unit, false);
            any = true;
        }
        rotted = rotted || strcmp(a->action, "rot") == 0;
    }
    for (uint32_t a = 0; (rotted || (any && moved)) && person && a < topology_places(t); a++) {
        struct unit u = topology_agent(t, a); /* who was kept out may live elsewhere meanwhile */
        if ((moved || topology_planned(t, u)) && !play_broken(p->s, u)) {
            play_quarantine(p, u, false);
        }
    }
    return any || rotted;
}

/* What was frozen is thawed again: the word may have been lost, so it is said again. (Who has lost
 * its context while it is frozen loads it when it is thawed, and is out of service until then.) */
static bool thaw(struct play *p)
{
    struct command c = {.kind = COMMAND_THAW};
    bool any = false;
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        if (p->s->acts[i].kind == ACT_FREEZE) {
            c.scope = p->s->acts[i].unit;
            (void)world_send(p->w, CONSOLE, unit_orchestrator(), &c);
            any = true;
        }
        if (p->s->acts[i].kind == ACT_ROUTE) { /* likewise */
            play_route(p, p->s->acts[i].unit, false);
            any = true;
        }
    }
    return any;
}

static int64_t service_bound(const struct play *p)
{
    return p->s->conf.topology.spare > 0 ? LIVE_MOVED_US : LIVE_SERVICE_US;
}

static void await_service(struct play *p, uint32_t agents, uint32_t sectors)
{
    int64_t from_us = world_now(p->w), end_us = from_us + service_bound(p), lift_us = from_us;
    (void)play_retire(p);
    while (!play_bad(p) && !(served(p, agents, sectors) && p->retired)) {
        if (world_now(p->w) >= lift_us) {
            bool any = thaw(p);
            any = play_retire(p) || any; /* newcomers, so that they are not taken for others */
            lift_us = lift(p, world_now(p->w) - from_us >= PERSON_US) || any
                          ? world_now(p->w) + LIFT_US
                          : NEVER;
        }
        if (world_now(p->w) >= end_us) {
            judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL,
                       "%u of %u agents in service, %u of %u sectors up %lld s after the heal",
                       p->status.summary.active, agents, p->status.sectors_up, sectors,
                       (long long)(service_bound(p) / US_PER_S));
        }
        world_run(p->w, POLL_US);
    }
    p->result->service_us = world_now(p->w) - from_us;
}

/* An operation to everyone: what it was READY at. */
static uint32_t probe(struct play *p)
{
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "echo", "is everyone there?");
    c.operation.priority = PRIORITY_COUNT - 1;
    c.operation.allow_partial = true;
    uint64_t ref = world_send(p->w, CONSOLE, unit_orchestrator(), &c);
    for (int64_t t = 0; t < PROBE_US && world_reply(p->w, ref) == NULL; t += POLL_US) {
        world_run(p->w, POLL_US);
        if (world_held(p->w, ref) && world_reply(p->w, ref) == NULL) { /* as an operator does */
            struct command yes = {
                .kind = COMMAND_APPROVE, .operation_id = world_accepted(p->w, ref), .on = true};
            (void)world_send(p->w, CONSOLE, unit_orchestrator(), &yes);
        }
    }
    const struct reply *r = world_reply(p->w, ref);
    snprintf(p->why, sizeof(p->why), "%s",
             r == NULL                ? "no answer"
             : r->kind == REPLY_ERROR ? (r->text != NULL ? r->text : "?")
                                      : r->report->status);
    if (r == NULL || r->kind != REPLY_OPERATION) {
        return 0;
    }
    const struct aggregate_view *a = &r->report->aggregate;
    size_t used = strlen(p->why);
    for (int o = OUTCOME_CONFLICT; o < OUTCOME_COUNT; o++) {
        if (a->outcomes[o] > 0 && used < sizeof(p->why)) {
            used += (size_t)snprintf(p->why + used, sizeof(p->why) - used, ", %u %s",
                                     a->outcomes[o], outcome_name((enum outcome)o));
        }
    }
    for (int why = REASON_EXPIRED; why < REASON_COUNT; why++) {
        if (a->reasons[why] > 0 && used < sizeof(p->why)) {
            used += (size_t)snprintf(p->why + used, sizeof(p->why) - used, " (%s)",
                                     reason_name((enum reason)why));
        }
    }
    return a->outcomes[OUTCOME_READY];
}

/* The mode may still change: one that starts anew knows who is down some seconds later. */
static void await_answer(struct play *p)
{
    int64_t from_us = world_now(p->w), end_us = from_us + LIVE_ANSWER_US;
    uint32_t ready = 0;
    while (!play_bad(p)) {
        if (thaw(p)) {
            world_run(p->w, POLL_US);
        }
        (void)lift(p, true);
        ready = probe(p);
        uint32_t agents = play_status(p) ? core_served(p->s, p->status.mode) : core_agents(p->s);
        if (ready == agents) {
            break;
        }
        if (world_now(p->w) >= end_us) {
            judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL,
                       "an operation is READY at %u of %u agents %lld s after the heal: %s", ready,
                       agents, (long long)(LIVE_ANSWER_US / US_PER_S), p->why);
        }
        world_run(p->w, US_PER_S);
    }
    p->result->answer_us = world_now(p->w) - from_us;
}

/* `active` may have been right for a moment only: who stays broken is missed when it has been
 * silent for agent_suspect_us, and a lead that begins now reads of a quarantine that its
 * predecessor had lifted and not written yet. */
static void judge_mode(struct play *p, uint32_t agents, int64_t healed_us)
{
    uint32_t all = p->s->conf.topology.agents;
    enum mode mode = MODE_STARTING;
    bool good = false;
    int64_t within_us = p->s->conf.topology.spare > 0 ? 3 * MODE_US : MODE_US; /* some still move */
    int64_t missed_us = p->s->broken_count > 0 ? p->s->conf.tuning.agent_suspect_us + BEAT_US : 0;
    int64_t lift_us = 0, from_us = world_now(p->w);
    from_us = from_us > healed_us + missed_us ? from_us : healed_us + missed_us;
    while (world_now(p->w) <= from_us + within_us && !good && !play_bad(p)) {
        if (world_now(p->w) >= lift_us) {
            (void)lift(p, false);
            lift_us = world_now(p->w) + LIFT_US;
        }
        world_run(p->w, POLL_US);
        mode = play_status(p) ? p->status.mode : MODE_STARTING;
        good = mode == mode_update(mode, agents, all);
    }
    if (!good) {
        judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL, "%s with %u of %u agents active",
                   mode_name(mode), agents, all);
    }
}

static void run_until(struct play *p, int64_t at_us)
{
    if (world_now(p->w) < at_us) {
        world_run(p->w, at_us - world_now(p->w));
    }
}

/* The process of `u` dies while its standbys and the store are there: another runs the unit within
 * LIVE_TAKEOVER_US, and everybody is in service again within LIVE_SERVICE_US (agents hear of a new
 * lead with their next beat). It comes back afterwards. */
static void await_takeover(struct play *p, struct unit u, uint32_t agents, uint32_t sectors)
{
    char name[UNIT_TEXT_MAX];
    int64_t from_us = world_now(p->w);
    uint64_t ended = world_kill(p->w, u, false);
    unit_format(u, name);
    while (!play_bad(p) && !world_alive(p->w, u)) {
        if (world_now(p->w) >= from_us + LIVE_TAKEOVER_US) {
            judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL,
                       "nobody runs %s %lld s after its process died", name,
                       (long long)(LIVE_TAKEOVER_US / US_PER_S));
        }
        world_run(p->w, POLL_US);
    }
    run_until(p, from_us + LIVE_NOTICED_US);
    while (!play_bad(p) && !(served(p, agents, sectors) && p->retired)) {
        if (world_now(p->w) >= from_us + LIVE_SERVICE_US) {
            judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL,
                       "%u of %u agents in service, %u of %u sectors up %lld s after the process "
                       "of %s died",
                       p->status.summary.active, agents, p->status.sectors_up, sectors,
                       (long long)(LIVE_SERVICE_US / US_PER_S), name);
        }
        world_run(p->w, POLL_US);
    }
    world_processes_start(p->w, ended);
}

/* Of one tier, by the seed. Who stands by has to have been there for a while: LIVE_SETTLE_US. */
static void await_takeovers(struct play *p, uint32_t agents, uint32_t sectors)
{
    const struct unit units[] = {unit_cluster(1, 1), unit_sector(1), unit_orchestrator()};
    p->judge.shaken = true;
    run_until(p, world_now(p->w) + LIVE_SETTLE_US);
    await_takeover(p, units[p->s->conf.seed % 3u], agents, sectors);
}

void live_converge(struct play *p)
{
    uint32_t agents = core_agents(p->s), sectors = core_sectors(p->s);
    if (agents == 0) {
        return;
    }
    int64_t healed_us = world_now(p->w);
    await_service(p, agents, sectors);
    judge_mode(p, agents, healed_us); /* before the answer: what gets operations depends on it */
    await_answer(p);
    if (p->s->conf.processes > 1 && !play_bad(p)) {
        await_takeovers(p, agents, sectors);
    }
}

/* Nobody has got anything of it: it is held (spec 6.3), and may be until its TTL is over. */
static int64_t held_until_us(const struct act *a)
{
    struct operation usual;
    world_operation(&usual, "echo", "");
    return a->at_us + (a->ttl_us > 0 ? a->ttl_us : usual.ttl_us);
}

void live_answered(struct play *p)
{
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        const struct act *a = &p->s->acts[i];
        if (a->kind != ACT_SUBMIT || p->refs[i] == 0 || p->said[i]) {
            continue;
        }
        struct id128 id = world_accepted(p->w, p->refs[i]), none = {{0}};
        int64_t timeout_us = a->timeout_us > 0 ? a->timeout_us : 5 * US_PER_S;
        const struct judged_op *op = judge_op(&p->judge, &id);
        int64_t deadline_us = op != NULL ? op->deadline_mesh_us - WORLD_UNIX_US : held_until_us(a);
        int64_t phases_us = a->at_us + PHASES_MAX * timeout_us;
        bool over =
            world_now(p->w) > deadline_us + GRACE_US &&
            world_now(p->w) > phases_us + (a->strategy != CASCADE_NONE ? PHASES_US : GRACE_US);
        struct unit server = play_server(a);
        bool same = p->lives[i] == judge_node(&p->judge, server)->epoch ||
                    (server.tier == TIER_ORCHESTRATOR && check_jobs_kept(&p->judge));
        if (memcmp(&id, &none, sizeof(id)) != 0 && over && same) {
            judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL,
                       "operation %s was accepted and never answered", a->label);
        }
    }
}
