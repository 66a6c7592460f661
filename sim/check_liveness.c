/* Liveness: a mesh whose core was healed comes back by itself, in bounded virtual time, while the
 * rest stays broken.
 *
 *   service   every agent of the core is in service, every sector of it up: LIVE_SERVICE_US
 *   answer    an operation to all is READY at every agent of the core: LIVE_ANSWER_US (a breaker
 *             that tripped just before needs 30 s to its probe)
 *   mode      10 s later the mode is that of the share that is there
 *   answered  every operation that was accepted has its final answer; one whose orchestrator died
 *             is answered by nobody, and its console knows: it sees another epoch */
#include "sim/play.h"
#include <string.h>

#define MODE_US  (10 * US_PER_S)
#define POLL_US  (250 * US_PER_MS)
#define PROBE_US (6 * US_PER_S)
#define GRACE_US (10 * US_PER_S)
#define CONSOLE  8u

static const struct check check_live = {.name = "live"};

static uint32_t core_agents(const struct scenario *s)
{
    const struct topology *t = &s->conf.topology;
    uint32_t n = 0;
    for (uint32_t a = 0; a < t->agents; a++) {
        n += play_broken(s, topology_agent(t, a)) ? 0 : 1;
    }
    return n;
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

static void await_service(struct play *p, uint32_t agents, uint32_t sectors)
{
    int64_t from_us = world_now(p->w), end_us = from_us + LIVE_SERVICE_US;
    while (!play_bad(p) && !served(p, agents, sectors)) {
        if (world_now(p->w) >= end_us) {
            judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL,
                       "%u of %u agents in service, %u of %u sectors up %lld s after the heal",
                       p->status.summary.active, agents, p->status.sectors_up, sectors,
                       (long long)(LIVE_SERVICE_US / US_PER_S));
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
    }
    const struct reply *r = world_reply(p->w, ref);
    snprintf(p->why, sizeof(p->why), "%s",
             r == NULL                ? "no answer"
             : r->kind == REPLY_ERROR ? (r->text != NULL ? r->text : "?")
                                      : r->report->status);
    return r != NULL && r->kind == REPLY_OPERATION ? r->report->aggregate.outcomes[OUTCOME_READY]
                                                   : 0;
}

/* What was frozen is thawed again: the word may have been lost, so it is said again. */
static void thaw(struct play *p)
{
    struct command c = {.kind = COMMAND_THAW, .scope = unit_orchestrator()};
    (void)world_send(p->w, CONSOLE, unit_orchestrator(), &c);
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        if (p->s->acts[i].kind == ACT_FREEZE) {
            c.scope = p->s->acts[i].unit;
            (void)world_send(p->w, CONSOLE, unit_orchestrator(), &c);
        }
    }
    world_run(p->w, POLL_US);
}

static void await_answer(struct play *p, uint32_t agents)
{
    int64_t from_us = world_now(p->w), end_us = from_us + LIVE_ANSWER_US;
    uint32_t ready = 0;
    while (!play_bad(p)) {
        thaw(p);
        ready = probe(p);
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

static void judge_mode(struct play *p, uint32_t agents)
{
    uint32_t all = p->s->conf.topology.agents;
    enum mode mode = MODE_STARTING;
    bool good = false;
    for (int64_t t = 0; t <= MODE_US && !good && !play_bad(p); t += POLL_US) {
        world_run(p->w, POLL_US);
        mode = play_status(p) ? p->status.mode : MODE_STARTING;
        good = agents * 100 >= all * 96 ? mode == MODE_FULL : mode != MODE_FULL || agents * 100 >= all * 95;
    }
    if (!good) {
        judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL, "%s with %u of %u agents active",
                   mode_name(mode), agents, all);
    }
}

void live_converge(struct play *p)
{
    uint32_t agents = core_agents(p->s), sectors = core_sectors(p->s);
    if (agents == 0) {
        return;
    }
    await_service(p, agents, sectors);
    await_answer(p, agents);
    judge_mode(p, agents);
}

void live_answered(struct play *p)
{
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        const struct act *a = &p->s->acts[i];
        if (a->kind != ACT_SUBMIT || p->refs[i] == 0 || world_reply(p->w, p->refs[i]) != NULL) {
            continue;
        }
        struct id128 id = world_accepted(p->w, p->refs[i]), none = {{0}};
        int64_t timeout_us = a->timeout_us > 0 ? a->timeout_us : 5 * US_PER_S;
        bool over = world_now(p->w) > a->at_us + 6 * timeout_us + GRACE_US;
        if (memcmp(&id, &none, sizeof(id)) != 0 && over && p->lives[i] == p->judge.nodes[0].epoch) {
            judge_fail(&p->judge, &check_live, VERDICT_LIVENESS, NULL,
                       "operation %s was accepted and never answered", a->label);
        }
    }
}
