/* Part 2: the real agents, leads, sectors and orchestrator, in the world's virtual time and
 * network. Operations of real work with hold are given to classes A to E; each is to be READY
 * together at one T. After a warm-up the effects' releases are watched where they happen: what is
 * counted is the true time of the agent's own step, on the root's clock, against T, and the agent's
 * own time of it as the error of its clock. */
#include "core/num.h"
#include "sim/arrival.h"
#include "sim/world.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_US     (20ll * US_PER_S)
#define WARM_UP     30u
#define MEASURED    50u
#define AHEAD_US    (3ll * US_PER_S) /* T after admission */
#define EVERY_US    (6ll * US_PER_S)
#define CLASSES_A_E 0x3eu
#define OPERATIONS  (WARM_UP + MEASURED)

struct watched {
    uint64_t ids[OPERATIONS]; /* low halves, as notes have them */
    int64_t targets_us[OPERATIONS];
    uint32_t count;
    bool measuring;
    int64_t root_us; /* the root's mesh time - true Unix time, as it last said */
    double *errors_ms, *clocks_ms;
    size_t used, room;
};

static void keep_release(struct watched *k, double error_ms, double clock_ms)
{
    if (k->used == k->room) {
        k->room = k->room == 0 ? 4096 : 2 * k->room;
        k->errors_ms = realloc(k->errors_ms, k->room * sizeof(double));
        k->clocks_ms = realloc(k->clocks_ms, k->room * sizeof(double));
        if (k->errors_ms == NULL || k->clocks_ms == NULL) {
            abort();
        }
    }
    k->errors_ms[k->used] = error_ms;
    k->clocks_ms[k->used++] = fabs(clock_ms);
}

/* T of an operation, entered when an agent first hears of it. 0: not known. */
static int64_t target_of(const struct watched *k, uint64_t id)
{
    for (uint32_t i = k->count; i-- > 0;) {
        if (k->ids[i] == id) {
            return k->targets_us[i];
        }
    }
    return 0;
}

/* The effect itself, which the agent notes; what it says of it comes later (schedule.h). */
static void released(struct watched *k, const struct note_record *note, int64_t true_mesh_us)
{
    int64_t target_us = target_of(k, note->a);
    int64_t now_us = true_mesh_us + k->root_us;
    if (k->measuring && target_us != 0) {
        int64_t by_agent_us = target_us + (int64_t)note->b;
        keep_release(k, (double)(now_us - target_us) / US_PER_MS,
                     (double)(by_agent_us - now_us) / US_PER_MS);
    }
}

static void watch(void *context, const struct world_step *s)
{
    struct watched *k = context;
    if (s->unit.tier == TIER_AGENT && s->event->kind == EV_MSG &&
        s->event->u.msg->type == MSG_OPERATE) {
        const struct operation *o = s->event->u.msg->u.operate.operation;
        uint64_t id = num_id128_low(o->id);
        if (o->timing == TIMING_AT && target_of(k, id) == 0 && k->count < OPERATIONS) {
            k->ids[k->count] = id;
            k->targets_us[k->count++] = o->target_mesh_us;
        }
    }
    int64_t true_mesh_us = WORLD_UNIX_US + s->true_us;
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *e = &s->out->effects[i];
        if (e->kind == FX_NOTE && e->u.note.note == NOTE_RELEASED) {
            released(k, &e->u.note, true_mesh_us);
        } else if (e->kind == FX_SEND && s->unit.tier == TIER_ORCHESTRATOR &&
                   e->u.msg.type == MSG_BEAT_REPLY) {
            k->root_us =
                s->event->now_us + e->u.msg.u.beat_reply.time.mesh_offset_us - true_mesh_us;
        }
    }
}

static uint64_t submit(struct world *w, uint32_t number)
{
    struct command *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        abort();
    }
    c->kind = COMMAND_SUBMIT;
    world_operation(&c->operation, "work", "together");
    c->operation.timing = TIMING_AT;
    c->operation.target_mesh_us = -AHEAD_US;
    c->operation.payload_weight = 0.5 * (1 + number % 4);
    c->operation.selector.class_mask = CLASSES_A_E;
    uint64_t ref = world_send(w, 1, unit_orchestrator(), c);
    free(c);
    return ref;
}

static void add_report(const struct world *w, uint64_t ref, struct arrival_mesh *ret,
                       uint64_t *hits, uint64_t *eligible)
{
    const struct reply *r = world_reply(w, ref);
    if (r == NULL || r->kind != REPLY_OPERATION) {
        return;
    }
    const struct aggregate_view *a = &r->report->aggregate;
    ret->operations++;
    ret->targets += a->targets;
    ret->sent += a->sent;
    ret->skipped += a->outcomes[OUTCOME_SKIPPED];
    *hits += a->window_hits;
    *eligible += a->window_eligible;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at_share(const double *sorted, size_t n, double share)
{
    size_t i = (size_t)(share * (double)n);
    return n == 0 ? NAN : sorted[i < n ? i : n - 1];
}

static double within(const double *v, size_t n, double reach_ms)
{
    size_t inside = 0;
    for (size_t i = 0; i < n; i++) {
        inside += fabs(v[i]) <= reach_ms ? 1u : 0u;
    }
    return n == 0 ? NAN : (double)inside / (double)n;
}

void arrival_mesh_play(uint32_t agents, uint64_t seed, struct arrival_mesh *ret)
{
    assert(ret != NULL);
    assert(agents >= 1);
    struct world_conf conf;
    world_defaults(&conf, agents, seed);
    conf.tuning.bucket_us = 1 * US_PER_MS;
    struct world *w = world_new(&conf);
    struct watched *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        abort();
    }
    world_watch_set(w, watch, k);
    world_run(w, JOIN_US);
    uint64_t refs[OPERATIONS];
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        k->measuring = i >= WARM_UP;
        refs[i] = submit(w, i);
        world_run(w, EVERY_US);
    }
    world_run(w, 10ll * US_PER_S);
    *ret = (struct arrival_mesh){.agents = agents, .releases = k->used};
    uint64_t hits = 0, eligible = 0;
    for (uint32_t i = WARM_UP; i < OPERATIONS; i++) {
        add_report(w, refs[i], ret, &hits, &eligible);
    }
    world_free(w);
    qsort(k->errors_ms, k->used, sizeof(double), by_value);
    qsort(k->clocks_ms, k->used, sizeof(double), by_value);
    ret->hit_10 = within(k->errors_ms, k->used, 10);
    ret->hit_50 = within(k->errors_ms, k->used, 50);
    ret->hit_250 = within(k->errors_ms, k->used, 250);
    ret->spread_ms = at_share(k->errors_ms, k->used, 0.95) - at_share(k->errors_ms, k->used, 0.05);
    ret->clock_p50_ms = at_share(k->clocks_ms, k->used, 0.5);
    ret->clock_p90_ms = at_share(k->clocks_ms, k->used, 0.9);
    ret->window_hit = eligible > 0 ? (double)hits / (double)eligible : NAN;
    free(k->errors_ms);
    free(k->clocks_ms);
    free(k);
}
