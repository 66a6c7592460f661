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
    if (process_is_tier(p->conf) && !p->conf->no_standby) {
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

void process_alive(void *ctx, uint32_t endpoint, const uint8_t *bytes, size_t length)
{
    struct process *p = ctx;
    if (p->phase >= PHASE_STOPPING || process_doubted(p, endpoint, bytes, length) ||
        length != ALIVE_BYTES) {
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
    uint64_t least = process_known_epoch(p, first) + 1;
    l->epoch = least > l->epoch ? least : l->epoch;
    lease_at_least(l, (uint64_t)clock_unix_us());
}

/* Somebody serves these units under a higher epoch, a standby or a process of the same name: give
 * the lease to it. */
static void check_superseded(struct process *p, struct lease *l, struct unit first)
{
    if (lease_serves(l) && process_known_epoch(p, first) > l->epoch) {
        process_give_up(p, l);
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
