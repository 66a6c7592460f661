/* The supervisor of one machine's agents.
 *
 * Starting is a cursor over the agents' linear indexes, paced at 4,000 a second: fast enough for
 * 30,000 in eight seconds, slow enough that their hellos do not come as one wave. Whatever is not
 * running is due at a time of its own; a scan in order of index starts what is due, within the
 * pace. An agent that ended starts again after a backoff that doubles from one second to a minute
 * and is forgotten after ten quiet minutes; a crash loop so costs one start a minute.
 *
 * Reports go to every sector that has agents of here: each minute, and within OWNER_US when one of
 * those sectors has another owner, who knows nobody yet, or when the bus is back. A report that
 * brings news is said a second time, within another 2 * OWNER_US: nobody acknowledges it, and for
 * want of it agents are not moved or started anew for a minute. A report never follows the last
 * one sooner than OWNER_US, however often owners change.
 *
 * A start is FX_WORK{WORK_AGENT_START, ref = index in this host + 1}; EV_WORK final = the agent
 * ended (or could not be started). A start that is never answered is a running agent: work may take
 * as long as the agent lives. */
#include "tiers/host/host.h"
#include "core/num.h"
#include "core/rng.h"
#include <assert.h>
#include <string.h>

#define STARTS_PER_STEP 40u /* a step each 10 ms: 4,000 a second */
#define START_STEP_US   (10ll * US_PER_MS)
#define FIRST_REPORT_US (5ll * US_PER_S)
#define REPORT_US       (60ll * US_PER_S) /* 30,000 hosts of one agent: 500 reports a second */
#define OWNER_US        (5ll * US_PER_S)  /* a new owner of all their sectors: 6,000 a second */
#define SECTOR_WORDS    (SECTORS_MAX / 64u)
#define BACKOFF_STEPS   6u
#define BACKOFF_MOST_US (60ll * US_PER_S)
#define QUIET_US        (600ll * US_PER_S)
#define CLOSE_US        (2ll * US_PER_S) /* after its lead has let go of it */
#define STOP_REF        UINT64_MAX       /* its answer is of no interest: that of the start comes */

struct hosted {
    int64_t due_us; /* when to start; NEVER: it runs */
    int64_t started_us;
    struct unit place; /* elsewhere than planned (core/move.h); TIER_NONE: at home */
    uint64_t move;     /* the order that said so, or that opened its spare place */
    bool moving;       /* it ends because it is to start there: no crash */
    bool off;          /* at a spare place that is nobody's: it does not start */
    uint8_t ends;      /* in a row: the backoff's step */
    uint16_t restarts; /* at this place */
};

struct host {
    struct unit self;
    uint64_t epoch;
    uint32_t first, count;
    const struct topology *topology;
    struct rng rng;
    int64_t started_us, start_next_us, report_next_us, reported_us;
    uint64_t tell[SECTOR_WORDS]; /* who is still to hear this report: bit sector - 1 */
    int64_t close_us;            /* some `off` ones still run, and are stopped then; NEVER */
    int64_t lag_us;              /* greatest lateness of a wake since the last report */
    int64_t wake_us;
    uint32_t cursor;  /* the scan goes on here */
    uint32_t waiting; /* not running */
    uint32_t idle;    /* `off` ones */
    bool bus_up, planned_only, reporting;
    bool again; /* the next report is news: it is said twice */
    struct hosted agents[];
};

static size_t host_size(const struct node_conf *conf)
{
    assert(conf != NULL);
    assert(conf->self.tier == TIER_HOST);
    return sizeof(struct host) + conf->agent_count * sizeof(struct hosted);
}

static void host_init(void *self, const struct node_conf *conf)
{
    assert(self != NULL && conf != NULL);
    assert(conf->agent_count <= topology_places(conf->topology) &&
           conf->agent_first <= topology_places(conf->topology) - conf->agent_count);
    struct host *h = self;
    h->self = conf->self;
    h->epoch = conf->epoch;
    h->first = conf->agent_first;
    h->count = conf->agent_count;
    h->topology = conf->topology;
    h->waiting = h->count;
    h->planned_only = conf->planned_only;
    h->bus_up = true;
    h->wake_us = NEVER;
    h->start_next_us = NEVER;
    h->report_next_us = NEVER;
    h->close_us = NEVER;
    rng_seed(&h->rng, conf->seed, conf->uid);
}

static struct unit home_of(const struct host *h, uint32_t i)
{
    return topology_agent(h->topology, h->first + i);
}

/* Where agent i is to run. */
static struct unit place_of(const struct host *h, uint32_t i)
{
    return h->agents[i].place.tier != TIER_NONE ? h->agents[i].place : home_of(h, i);
}

static void on_start(struct host *h, int64_t now_us, struct outbox *out)
{
    h->started_us = now_us;
    h->start_next_us = now_us + rng_range(&h->rng, 0, START_STEP_US);
    h->report_next_us = now_us + rng_jitter_us(&h->rng, FIRST_REPORT_US, 500);
    h->again = true;
    for (uint32_t i = 0; i < h->count; i++) {
        bool idle = h->planned_only && !topology_planned(h->topology, home_of(h, i));
        h->agents[i].off = idle;
        h->agents[i].due_us = idle ? NEVER : now_us;
        h->waiting -= idle ? 1u : 0u;
    }
    h->idle = h->count - h->waiting;
    if (outbox_room(out, 1, 0)) {
        out_note(out, NOTE_STARTED, h->epoch, 0);
    }
}

/* An agent ended, or did not come up: again, later each time. */
static void on_work(struct host *h, int64_t now_us, const struct work_reply *reply,
                    struct outbox *out)
{
    if (!reply->final || reply->ref == 0 || reply->ref > h->count) {
        return;
    }
    uint32_t i = (uint32_t)reply->ref - 1u;
    struct hosted *a = &h->agents[i];
    if (a->due_us != NEVER) {
        return; /* known not to run */
    }
    if (a->off) {
        a->started_us = 0;
        return;
    }
    if (a->moving) {
        a->moving = false;
        a->due_us = now_us;
        h->waiting++;
        h->start_next_us = now_us < h->start_next_us ? now_us : h->start_next_us;
        return;
    }
    if (now_us - a->started_us >= QUIET_US) {
        a->ends = 0;
    }
    int64_t wait_us = (int64_t)US_PER_S << (a->ends < BACKOFF_STEPS ? a->ends : BACKOFF_STEPS);
    wait_us = wait_us < BACKOFF_MOST_US ? wait_us : BACKOFF_MOST_US;
    a->ends = (uint8_t)(a->ends < BACKOFF_STEPS ? a->ends + 1u : BACKOFF_STEPS);
    a->due_us = now_us + rng_jitter_us(&h->rng, wait_us, 300);
    h->waiting++;
    a->restarts = (uint16_t)(a->restarts < UINT16_MAX ? a->restarts + 1u : UINT16_MAX);
    if (h->start_next_us > a->due_us) {
        h->start_next_us = a->due_us;
    }
    if (outbox_room(out, 1, 0)) {
        out_note(out, NOTE_CHILD_DOWN, unit_pack(place_of(h, i)), 0);
    }
}

/* Which agent of here is at the place; `count`: none. */
static uint32_t agent_at(const struct host *h, struct unit place)
{
    if (place.tier != TIER_AGENT || !topology_contains(h->topology, place)) {
        return h->count;
    }
    uint32_t index = topology_index(h->topology, place) - h->first;
    if (index < h->count && h->agents[index].place.tier == TIER_NONE) {
        return index;
    }
    for (uint32_t i = 0; i < h->count; i++) {
        if (unit_equal(h->agents[i].place, place)) {
            return i;
        }
    }
    return h->count;
}

static void stop(const struct host *h, uint32_t i, struct outbox *out)
{
    struct work_op op = {.ref = STOP_REF,
                         .kind = WORK_AGENT_STOP,
                         .deadline_us = NEVER,
                         .unit = place_of(h, i),
                         .home = home_of(h, i)};
    out_work(out, &op);
}

/* Its lead has given this agent up: stop it, if it runs at all, and start it anew. The end of the
 * work that runs it comes as an answer (on_work), and so the restart has its backoff. */
static void replace(struct host *h, int64_t now_us, struct unit target, struct outbox *out)
{
    uint32_t i = agent_at(h, target);
    if (i == h->count || !outbox_room(out, 2, 0)) {
        return;
    }
    struct hosted *a = &h->agents[i];
    out_note(out, NOTE_REPLACE, unit_pack(target), unit_number(h->self));
    if (a->due_us != NEVER) {
        a->due_us = now_us;
        h->start_next_us = now_us;
        return;
    }
    stop(h, i, out);
}

/* An agent of here lives elsewhere, or at home again: it ends, and starts there at once. The same
 * order again is no news. */
static void move(struct host *h, int64_t now_us, const struct move *m, struct outbox *out)
{
    for (uint64_t rest = m->agents; rest != 0; rest &= rest - 1u) {
        struct unit home = unit_agent(m->home.sector, m->home.cluster, num_lowest_bit(rest) + 1u);
        uint32_t i = topology_index(h->topology, home) - h->first;
        struct unit place = m->back ? (struct unit){0} : move_place_of(m, home);
        if (i >= h->count || h->agents[i].move > m->id || !outbox_room(out, 2, 0)) {
            continue;
        }
        struct hosted *a = &h->agents[i];
        a->move = m->id;
        if (unit_equal(a->place, place)) {
            continue;
        }
        if (a->due_us == NEVER && a->started_us != 0) {
            a->moving = true;
            stop(h, i, out);
        } else {
            a->due_us = now_us;
            h->start_next_us = now_us;
        }
        a->place = place;
        a->restarts = 0;
        out_note(out, NOTE_MOVE_LEFT, unit_pack(home), unit_pack(place_of(h, i)));
        h->report_next_us = now_us + START_STEP_US; /* the sector there is to know this host */
        h->again = true;
    }
}

/* Spare places of a cluster that are open to newcomers (core/grow.h): those of here start theirs,
 * and stop it when a later word has closed the place; until then its lead lets it finish. */
static void grow(struct host *h, int64_t now_us, const struct grow *g)
{
    if (grow_check(g, h->topology) != NULL) {
        return;
    }
    for (uint64_t rest = grow_spare(h->topology, g->cluster); rest != 0; rest &= rest - 1u) {
        uint32_t n = num_lowest_bit(rest);
        struct unit place = unit_agent(g->cluster.sector, g->cluster.cluster, n + 1u);
        uint32_t i = topology_index(h->topology, place) - h->first;
        struct hosted *a = i < h->count ? &h->agents[i] : NULL;
        bool open = (g->places >> n & 1u) != 0;
        if (a == NULL || g->id < a->move) {
            continue;
        }
        if (open && a->off) {
            a->off = false;
            h->idle--;
            if (a->started_us == 0) {
                a->due_us = now_us;
                h->waiting++;
                h->start_next_us = now_us;
            }
        } else if (!open && !a->off && g->id > a->move) {
            a->off = true;
            h->idle++;
            h->waiting -= a->due_us != NEVER ? 1u : 0u;
            a->started_us = a->due_us != NEVER ? 0 : a->started_us;
            a->due_us = NEVER;
            h->close_us = now_us + g->drain_us + CLOSE_US;
        } else if (!open && a->started_us != 0 && g->id > a->move) { /* .. and sooner */
            h->close_us = num_clamp_i64(h->close_us, now_us, now_us + g->drain_us + CLOSE_US);
        }
        a->move = g->id;
    }
}

static void close_due(struct host *h, int64_t now_us, struct outbox *out)
{
    h->close_us = NEVER;
    for (uint32_t i = 0; i < h->count; i++) {
        if (!h->agents[i].off || h->agents[i].started_us == 0) {
            continue;
        }
        if (!outbox_room(out, 1, 0)) {
            h->close_us = now_us + START_STEP_US;
            return;
        }
        stop(h, i, out);
    }
}

/* One look at every agent at most; leaves start_next_us at the next time that matters. */
static void start_due(struct host *h, int64_t now_us, struct outbox *out)
{
    int64_t next_us = NEVER;
    uint32_t made = 0;
    bool full = false;
    for (uint32_t n = 0; n < h->count && h->waiting > 0 && !full; n++) {
        struct hosted *a = &h->agents[h->cursor];
        if (a->due_us <= now_us) {
            full = made == STARTS_PER_STEP || !outbox_room(out, 1, 0);
            if (full) {
                next_us = now_us + rng_jitter_us(&h->rng, START_STEP_US, 200);
                continue;
            }
            struct work_op op = {.ref = h->cursor + 1u,
                                 .kind = WORK_AGENT_START,
                                 .deadline_us = NEVER,
                                 .unit = place_of(h, h->cursor),
                                 .home = home_of(h, h->cursor)};
            out_work(out, &op);
            a->due_us = NEVER;
            a->started_us = now_us;
            h->waiting--;
            made++;
        } else if (a->due_us < next_us) {
            next_us = a->due_us;
        }
        h->cursor = h->cursor + 1u < h->count ? h->cursor + 1u : 0;
    }
    h->start_next_us = next_us;
}

static bool serves_there(const struct host *h, uint16_t first, uint16_t last)
{
    uint16_t from = home_of(h, 0).sector, to = home_of(h, h->count - 1u).sector;
    bool there = from <= last && to >= first;
    for (uint32_t i = 0; i < h->count && !there; i++) {
        uint16_t sector = h->agents[i].place.sector;
        there = sector >= first && sector <= last; /* 0: at home */
    }
    return there;
}

static void report_soon(struct host *h, int64_t now_us)
{
    int64_t at_us = now_us + rng_range(&h->rng, 0, OWNER_US);
    if (h->reported_us != 0 && at_us < h->reported_us + OWNER_US) {
        at_us = h->reported_us + OWNER_US + rng_range(&h->rng, 0, OWNER_US);
    }
    h->report_next_us = at_us < h->report_next_us ? at_us : h->report_next_us;
    h->again = true;
}

/* A sector of here has another owner. Agents that are elsewhere are brought home, stopped and
 * started by way of the home's sector, too: both are told. */
static void owner(struct host *h, int64_t now_us, const struct owner_news *news)
{
    if (h->count > 0 && serves_there(h, news->first, news->last)) {
        report_soon(h, now_us);
    }
}

/* What was to be reported meanwhile was not, and what was on its way is lost. */
static void link_bus(struct host *h, int64_t now_us, bool up)
{
    if (up && !h->bus_up && h->count > 0) {
        report_soon(h, now_us);
    }
    h->bus_up = up;
}

static void report_begin(struct host *h)
{
    uint16_t from = home_of(h, 0).sector, to = home_of(h, h->count - 1u).sector;
    for (uint32_t s = from; s <= to; s++) {
        h->tell[(s - 1u) / 64u] |= UINT64_C(1) << (s - 1u) % 64u;
    }
    for (uint32_t i = 0; i < h->count; i++) {
        uint32_t s = h->agents[i].place.sector;
        if (s != 0) {
            h->tell[(s - 1u) / 64u] |= UINT64_C(1) << (s - 1u) % 64u;
        }
    }
}

/* Of those that the sector answers for: its breaker counts them. */
static uint32_t restarts_in(const struct host *h, uint16_t sector)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        n += h->agents[i].restarts > 0 && place_of(h, i).sector == sector ? h->agents[i].restarts
                                                                          : 0;
    }
    return n;
}

/* False: the rest of the sectors hears it in the next step. */
static bool report_rest(struct host *h, struct outbox *out)
{
    struct msg m = {.type = MSG_HOST_REPORT, .priority = 1, .from = h->self, .epoch = h->epoch};
    for (uint32_t k = 0; k < SECTOR_WORDS; k++) {
        for (; h->tell[k] != 0; h->tell[k] &= h->tell[k] - 1u) {
            if (!outbox_room(out, 1, msg_extra_bytes(&m))) {
                return false;
            }
            m.to = unit_sector((uint16_t)(k * 64u + num_lowest_bit(h->tell[k]) + 1u));
            m.u.host_report = (struct host_report){
                .process_start_us = (uint64_t)h->started_us,
                .agents_hosted = h->count,
                .agents_running = h->count - h->idle - h->waiting,
                .restarts = restarts_in(h, m.to.sector),
                .loop_lag_us = (uint32_t)num_clamp_i64(h->lag_us, 0, UINT32_MAX)};
            out_send(out, &m);
        }
    }
    return true;
}

static void report(struct host *h, int64_t now_us, struct outbox *out)
{
    if (!h->bus_up || h->count == 0) {
        h->report_next_us = now_us + REPORT_US;
        return;
    }
    if (!h->reporting) {
        report_begin(h);
    }
    h->reporting = !report_rest(h, out);
    if (h->reporting) {
        h->report_next_us = now_us + START_STEP_US;
        return;
    }
    h->lag_us = 0;
    h->reported_us = now_us;
    h->report_next_us =
        now_us + (h->again ? OWNER_US + rng_range(&h->rng, 0, OWNER_US) : REPORT_US);
    h->again = false;
}

static int64_t host_step(void *self, const struct event *event, struct outbox *out)
{
    assert(self != NULL && event != NULL && out != NULL);
    struct host *h = self;
    int64_t now_us = event->now_us;
    if (event->kind == EV_WAKE && now_us - h->wake_us > h->lag_us) {
        h->lag_us = now_us - h->wake_us;
    }
    if (event->kind == EV_START) {
        on_start(h, now_us, out);
    } else if (event->kind == EV_WORK) {
        on_work(h, now_us, event->u.work, out);
    } else if (event->kind == EV_LINK && event->u.link.which == LINK_BUS) {
        link_bus(h, now_us, event->u.link.up);
    } else if (event->kind == EV_OWNER) {
        owner(h, now_us, &event->u.owner);
    } else if (event->kind == EV_MSG && event->u.msg->type == MSG_HEAL) {
        replace(h, now_us, event->u.msg->u.heal.target, out);
    } else if (event->kind == EV_MSG && event->u.msg->type == MSG_MOVE) {
        move(h, now_us, &event->u.msg->u.move, out);
    } else if (event->kind == EV_MSG && event->u.msg->type == MSG_GROW) {
        grow(h, now_us, &event->u.msg->u.grow);
    } else if (event->kind == EV_MSG && outbox_room(out, 1, 0)) {
        out_note(out, NOTE_UNEXPECTED, event->u.msg->type, unit_pack(event->u.msg->from));
    }
    if (h->start_next_us <= now_us) {
        start_due(h, now_us, out);
    }
    if (h->close_us <= now_us) {
        close_due(h, now_us, out);
    }
    if (h->report_next_us <= now_us) {
        report(h, now_us, out);
    }
    int64_t next_us = h->start_next_us < h->report_next_us ? h->start_next_us : h->report_next_us;
    next_us = h->close_us < next_us ? h->close_us : next_us;
    h->wake_us = next_us > now_us ? next_us : now_us + 1;
    return h->wake_us;
}

const struct node_ops host_ops = {
    .name = "host", .size = host_size, .init = host_init, .step = host_step};
