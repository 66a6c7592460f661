/* Standing by (core/wards.h) on the real process: which names, questions over the bus, and units
 * that come and go while the process runs.
 *
 * A process stands by for the sections of its own role whose units its certificate covers, less
 * what `standby` leaves out. A take-over is said at once to everybody; who owned the units before
 * is refused from then on, because its epoch is lower. */
#include "tiers/runner/process_int.h"

#include "tiers/runner/clock.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ALIVE_BYTES    2u
#define ALIVE_QUESTION 1u /* please answer */
#define ALIVE_WAITS    2u /* my own units are served by another; I am ready to have them back */
/* What you announced of this unit is below what is known here: the unit and that epoch follow. */
#define ALIVE_DOUBT       4u
#define ALIVE_DOUBT_BYTES 18u
/* Between two doubts that are listened to, so that a liar costs little. */
#define DOUBT_US (60 * US_PER_S)
/* An epoch that is told in a doubt is taken up to so far ahead of now: a former life's clock may
 * have been wrong, and a liar must not use up the numbers. */
#define DOUBT_AHEAD_US (86400ll * US_PER_S)

static bool is_tier(const struct process_conf *c)
{
    return c->role == PROCESS_ORCHESTRATOR || c->role == PROCESS_SECTOR ||
           c->role == PROCESS_CLUSTER;
}

static bool may_serve(struct process *p, struct unit u)
{
    const struct process_conf *c = p->conf;
    return scope_has(p->identity.cert.scope, p->identity.cert.scope_count, u) &&
           (c->standby.count == 0 || place_touches(&c->standby, u));
}

static bool is_ward(struct process *p, const struct process_conf *c)
{
    return c->role == p->conf->role && c != p->conf && !c->no_units &&
           process_each_unit(p, c, may_serve);
}

static bool first_unit(struct process *p, struct unit u)
{
    p->found = u;
    return false;
}

/* The nearest predecessor of this process in the file is the first ward. */
bool process_wards_start(struct process *p, const char *owner)
{
    assert(p != NULL && owner != NULL);
    const struct config *c = &p->config;
    uint32_t count = 0, self = (uint32_t)(p->conf - c->processes);
    (void)process_each_unit(p, p->conf, first_unit);
    p->first_unit = p->conf->no_units ? (struct unit){0} : p->found;
    if (is_tier(p->conf) && !p->conf->no_standby) {
        p->ward_list = calloc(c->process_count, sizeof(*p->ward_list));
        p->ward_of = calloc(c->process_count, sizeof(*p->ward_of));
        if (p->ward_list == NULL || p->ward_of == NULL) {
            return false;
        }
        for (uint32_t k = 1; k < c->process_count && count < WARDS_MAX; k++) {
            const struct process_conf *at =
                &c->processes[(self + c->process_count - k) % c->process_count];
            struct endpoint e;
            if (!is_ward(p, at) || !endpoint_make(at->name, strlen(at->name), 0, &e)) {
                continue;
            }
            struct ward_of *of = &p->ward_of[count];
            of->conf = at;
            of->endpoint = directory_endpoint(&p->directory, &e);
            (void)process_each_unit(p, at, first_unit);
            of->first = p->found;
            lease_init(&p->ward_list[count++].lease, at->name, owner, 1, p->started_us);
        }
    }
    wards_init(&p->wards, p->ward_list, count, p->config.tuning.tier_failed_us, p->conf->seed,
               p->started_us);
    if (p->conf->parent_pid != 0) {
        wards_alone(&p->wards, p->started_us);
    }
    return true;
}

static void say_alive(struct process *p, uint32_t endpoint, bool question)
{
    bool waits = p->lease.state == LEASE_WAITING && !p->conf->no_units;
    uint8_t flags = (uint8_t)((question ? ALIVE_QUESTION : 0u) | (waits ? ALIVE_WAITS : 0u));
    const uint8_t record[ALIVE_BYTES] = {RECORD_ALIVE, flags};
    if (endpoint != ENDPOINT_NONE) {
        (void)egress_record(p->egress, 0, endpoint, record, sizeof(record));
    }
}

static void put_u64(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        to[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)from[i] << 8 * i;
    }
    return value;
}

static uint64_t known_epoch(const struct process *p, struct unit u)
{
    const struct directory_entry *e = u.tier != TIER_NONE ? directory_find(&p->directory, u) : NULL;
    return e != NULL ? e->epoch : 0;
}

static void say_doubt(struct process *p)
{
    uint8_t record[ALIVE_DOUBT_BYTES] = {RECORD_ALIVE, ALIVE_DOUBT};
    put_u64(record + 2, unit_pack(p->doubt_first));
    put_u64(record + 10, known_epoch(p, p->doubt_first));
    (void)egress_record(p->egress, 0, p->doubt_to, record, sizeof(record));
}

/* Whether the process there is one of an upper tier by the configuration. */
static bool is_upper(const struct process *p, uint32_t endpoint)
{
    const struct endpoint *e = directory_endpoint_at(&p->directory, endpoint);
    for (uint32_t i = 0; e != NULL && i < p->config.process_count; i++) {
        const struct process_conf *c = &p->config.processes[i];
        if (strcmp(c->name, e->token) == 0) {
            return is_tier(c);
        }
    }
    return false;
}

static void give_up(struct process *p, struct lease *l)
{
    struct store_op op;
    if (lease_release(l, &op)) {
        (void)redis_store_submit(p->store, &op, PROCESS_LEASE_TAG);
    }
    lease_superseded(l);
}

/* The lease is given up, and the next acquisition is for more than was told. */
static void acquire_above(struct process *p, struct lease *l, uint64_t told)
{
    give_up(p, l);
    if (told <= (uint64_t)(clock_unix_us() + DOUBT_AHEAD_US)) {
        l->epoch = told + 1;
    }
}

/* Others know a higher epoch of units that are served here, and refuse all that they say. Whether
 * that owner is still there only the store can tell: the lease is given up, and what acquires it
 * next, this process or a standby, begins above the epoch that they know. */
static void doubted(struct process *p, uint32_t endpoint, const uint8_t *bytes)
{
    int64_t now_us = clock_boot_us();
    uint64_t told = get_u64(bytes + 10);
    bool any = false;
    struct unit first = unit_unpack(get_u64(bytes + 2));
    if (!is_upper(p, endpoint) || (p->doubted_us != 0 && now_us - p->doubted_us < DOUBT_US)) {
        return;
    }
    if (p->owns && unit_equal(first, p->first_unit) && lease_serves(&p->lease) &&
        told > p->lease.epoch) {
        acquire_above(p, &p->lease, told);
        any = true;
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        struct ward *w = &p->ward_list[i];
        if (w->held && unit_equal(first, p->ward_of[i].first) && lease_serves(&w->lease) &&
            told > w->lease.epoch) {
            acquire_above(p, &w->lease, told);
            any = true;
        }
    }
    if (any) {
        p->doubted_us = now_us;
        log_line(&p->log, LOG_WARNING, "doubted",
                 "why=\"others know a higher epoch of these units: the lease is acquired anew\"");
    }
}

void process_alive(void *ctx, uint32_t endpoint, const uint8_t *bytes, size_t length)
{
    struct process *p = ctx;
    if (length == ALIVE_DOUBT_BYTES && bytes[1] == ALIVE_DOUBT && p->phase < PHASE_STOPPING) {
        doubted(p, endpoint, bytes);
        return;
    }
    if (length != ALIVE_BYTES || p->phase >= PHASE_STOPPING) {
        return;
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        if (p->ward_of[i].endpoint == endpoint) {
            wards_heard(&p->wards, i, clock_boot_us());
            wards_waits(&p->wards, i, clock_boot_us(), (bytes[1] & ALIVE_WAITS) != 0);
        }
    }
    if ((bytes[1] & ALIVE_QUESTION) != 0) {
        say_alive(p, endpoint, false);
    }
}

/* ---- epochs that only others know ---- */

void process_stale(void *ctx, uint32_t endpoint, struct unit first)
{
    struct process *p = ctx;
    bool may_speak = unit_equal(p->first_unit, first);
    if (may_speak) {
        p->contradict = true;
        p->contradict_to = endpoint;
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        struct ward_of *of = &p->ward_of[i];
        if (unit_equal(of->first, first)) {
            of->contradict = true;
            of->contradict_to = endpoint;
            may_speak = true;
        }
    }
    if (!may_speak) {
        p->doubt = true;
        p->doubt_to = endpoint;
        p->doubt_first = first;
    }
}

/* A holder (of its own units, or of a ward's) that did not hear of a higher epoch (it stood still,
 * was cut off, and the store has forgotten who came after it) would be refused by everybody for
 * ever. Who stands by for these units may speak for them, and tells the holder alone which epoch is
 * known; it then gives the lease up and acquires it anew, above that. Everybody else says that
 * there is one, for there may be no standby, or none that heard of it. */
void process_contradict(struct process *p)
{
    assert(p != NULL);
    if (!p->bus_up || p->phase != PHASE_SERVING) {
        return;
    }
    if (p->contradict && !p->owns) {
        if (p->contradict_to == p->own_endpoint) {
            p->contradicted_us = clock_boot_us();
        }
        process_announce(p, p->conf, known_epoch(p, p->first_unit), p->contradict_to);
    }
    p->contradict = false;
    if (p->doubt) {
        say_doubt(p);
        p->doubt = false;
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        struct ward_of *of = &p->ward_of[i];
        if (of->contradict && !p->ward_list[i].held) {
            process_announce(p, of->conf, known_epoch(p, of->first), of->contradict_to);
        }
        of->contradict = false;
    }
}

/* ---- taking and giving back ---- */

static bool take_unit(struct process *p, struct unit u)
{
    int verdict = runner_add_owned(p->runner, u, p->taking_epoch);
    if (verdict < 0) {
        char text[UNIT_TEXT_MAX];
        (void)unit_format(u, text);
        log_line(&p->log, LOG_ERROR, "node-failed", "unit=%s why=\"%s\"", text, strerror(-verdict));
    } else {
        (void)directory_learn(&p->directory, u, p->own_endpoint, p->taking_epoch);
    }
    return true; /* one that fails does not take the others with it */
}

static bool drop_unit(struct process *p, struct unit u)
{
    runner_remove(p->runner, u);
    return true;
}

bool process_take(struct process *p, const struct process_conf *c, uint64_t epoch)
{
    assert(p != NULL && c != NULL);
    if (p->runner == NULL && !process_runner(p)) {
        return false;
    }
    p->taking_epoch = epoch;
    (void)process_each_unit(p, c, take_unit);
    p->phase = PHASE_SERVING;
    p->announce = true;
    return true;
}

void process_drop(struct process *p, const struct process_conf *c)
{
    assert(p != NULL && c != NULL);
    if (p->runner != NULL) {
        (void)process_each_unit(p, c, drop_unit);
    }
    p->ask = true; /* who has them now? */
}

/* Who takes units over does so above everything that was heard of them, and not below the
 * microsecond that it is: somebody may have served without a store, under its start time, and not
 * been heard.
 */
static void raise_epoch(const struct process *p, struct lease *l, struct unit first)
{
    uint64_t least = known_epoch(p, first) + 1;
    l->epoch = least > l->epoch ? least : l->epoch;
    lease_at_least(l, (uint64_t)clock_unix_us());
}

/* Somebody serves these units under a higher epoch, a standby or a process of the same name: give
 * the lease to it. */
static void check_superseded(struct process *p, struct lease *l, struct unit first)
{
    if (lease_serves(l) && known_epoch(p, first) > l->epoch) {
        give_up(p, l);
    }
}

static void act(struct process *p, enum ward_action action, uint32_t i, const struct store_op *op)
{
    const struct process_conf *c = p->ward_of[i].conf;
    const struct lease *l = &p->ward_list[i].lease;
    switch (action) {
    case WARD_PROBE:
        say_alive(p, p->ward_of[i].endpoint, true);
        break;
    case WARD_STORE:
        (void)redis_store_submit(p->store, op, process_ward_tag(i));
        break;
    case WARD_TAKE:
        p->takeovers++;
        log_line(&p->log, LOG_WARNING, "takeover", "of=%s epoch=%" PRIu64 " units=\"%s\"", c->name,
                 l->epoch, c->units_text);
        if (!p->owns) { /* another of its name may have spoken last */
            egress_renew(p->egress);
        }
        if (!process_take(p, c, l->epoch)) {
            log_line(&p->log, LOG_ERROR, "no-memory", "what=runner");
        }
        break;
    case WARD_DROP:
    case WARD_RETURN:
        log_line(&p->log, LOG_WARNING, action == WARD_DROP ? "stepped-down" : "given-back",
                 "of=%s epoch=%" PRIu64, c->name, l->epoch);
        process_drop(p, c);
        if (action == WARD_RETURN) {
            (void)redis_store_submit(p->store, op, PROCESS_LEASE_TAG);
        }
        break;
    case WARD_NOTHING:
        break;
    }
}

void process_wards_epoch(struct process *p)
{
    assert(p != NULL);
    if (!p->owns) {
        raise_epoch(p, &p->lease, p->first_unit);
    }
}

void process_wards_tick(struct process *p, int64_t now_us)
{
    assert(p != NULL);
    if (p->owns) {
        check_superseded(p, &p->lease, p->first_unit);
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        struct ward *w = &p->ward_list[i];
        if (w->held) {
            check_superseded(p, &w->lease, p->ward_of[i].first);
        } else {
            raise_epoch(p, &w->lease, p->ward_of[i].first);
        }
    }
    struct store_op op;
    uint32_t i = 0;
    enum ward_action a;
    bool store_up = p->banks_up[STORE_BANK_DURABLE];
    bool bus_up = p->bus_up && !p->bus_quiet;
    while ((a = wards_tick(&p->wards, now_us, bus_up, store_up, &i, &op)) != WARD_NOTHING) {
        act(p, a, i, &op);
    }
}

void *process_ward_tag(uint32_t i)
{
    return (void *)(UINTPTR_MAX - 1u - i);
}

/* Whether the tag is a ward's; its answer has been taken then. */
bool process_ward_reply(struct process *p, const void *tag, const struct store_reply *reply)
{
    uintptr_t i = UINTPTR_MAX - 1u - (uintptr_t)tag;
    if (i >= WARDS_MAX) {
        return false;
    }
    assert(i < p->wards.count);
    lease_reply(&p->ward_list[i].lease, clock_boot_us(), reply);
    return true;
}

void process_wards_release(struct process *p)
{
    assert(p != NULL);
    struct store_op op;
    for (uint32_t i = 0; i < p->wards.count; i++) {
        if (lease_release(&p->ward_list[i].lease, &op)) {
            (void)redis_store_submit(p->store, &op, PROCESS_LEASE_TAG);
        }
    }
}
