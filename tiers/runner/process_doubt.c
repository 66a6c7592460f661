/* Epochs that only others know. A holder (of its own units, or of a ward's) that did not hear of a
 * higher epoch would be refused by everybody for ever: it stood still, was cut off, or a former
 * life had a clock that was ahead, and the store has forgotten. So whoever hears an announcement
 * below what it knows says so to the announcer (docs/adr/0043, 0063). */
#include "tiers/runner/process_int.h"

#include "tiers/runner/clock.h"
#include <assert.h>
#include <string.h>

/* What you announced of this unit is below what is known here: the unit and that epoch follow. */
#define ALIVE_DOUBT       4u
#define ALIVE_DOUBT_BYTES 18u
/* Between two doubts that are heeded, so that a liar costs little. */
#define DOUBT_US (60 * US_PER_S)
/* An epoch that is told in a doubt is taken up to so far ahead of now: a former life's clock may
 * have been wrong, and a liar must not use up the numbers. */
#define DOUBT_AHEAD_US (86400ll * US_PER_S)

bool process_is_tier(const struct process_conf *c)
{
    assert(c != NULL);
    return c->role == PROCESS_ORCHESTRATOR || c->role == PROCESS_SECTOR ||
           c->role == PROCESS_CLUSTER;
}

uint64_t process_known_epoch(const struct process *p, struct unit u)
{
    assert(p != NULL);
    const struct directory_entry *e = u.tier != TIER_NONE ? directory_find(&p->directory, u) : NULL;
    return e != NULL ? e->epoch : 0;
}

void process_give_up(struct process *p, struct lease *l)
{
    assert(p != NULL && l != NULL);
    struct store_op op;
    if (lease_release(l, &op)) {
        (void)redis_store_submit(p->store, &op, PROCESS_LEASE_TAG);
    }
    lease_superseded(l);
}

/* ---- saying it ---- */

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

static void say_doubt(struct process *p)
{
    uint8_t record[ALIVE_DOUBT_BYTES] = {RECORD_ALIVE, ALIVE_DOUBT};
    put_u64(record + 2, unit_pack(p->doubt_first));
    put_u64(record + 10, process_known_epoch(p, p->doubt_first));
    (void)egress_record(p->egress, 0, p->doubt_to, record, sizeof(record));
}

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

/* Who stands by for these units may speak for them, and tells the holder alone which epoch is
 * known; it then gives the lease up and acquires it anew, above that. Everybody else doubts, for
 * there may be no standby, or none that heard of it. */
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
        process_announce(p, p->conf, process_known_epoch(p, p->first_unit), p->contradict_to);
    }
    p->contradict = false;
    if (p->doubt) {
        say_doubt(p);
        p->doubt = false;
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        struct ward_of *of = &p->ward_of[i];
        if (of->contradict && !p->ward_list[i].held) {
            process_announce(p, of->conf, process_known_epoch(p, of->first), of->contradict_to);
        }
        of->contradict = false;
    }
}

/* ---- hearing it ---- */

/* The process there by the configuration; NULL: none. */
static const struct process_conf *conf_of(const struct process *p, uint32_t endpoint)
{
    const struct endpoint *e = directory_endpoint_at(&p->directory, endpoint);
    for (uint32_t i = 0; e != NULL && i < p->config.process_count; i++) {
        if (strcmp(p->config.processes[i].name, e->token) == 0) {
            return &p->config.processes[i];
        }
    }
    return NULL;
}

/* A process of the upper tiers is believed, and two that host agents: these alone may be left of
 * those who know. One is not enough, for they are many, and what it costs is all the units here. */
static bool believed(struct process *p, uint32_t endpoint, int64_t now_us)
{
    const struct process_conf *c = conf_of(p, endpoint);
    if (c == NULL || process_is_tier(c)) {
        return c != NULL;
    }
    bool second = p->doubter_us != 0 && now_us - p->doubter_us < DOUBT_US && p->doubter != endpoint;
    p->doubter = endpoint;
    p->doubter_us = now_us;
    return second;
}

/* The lease is given up, and the next acquisition is for more than was told. */
static bool acquire_above(struct process *p, struct lease *l, uint64_t told)
{
    if (!lease_serves(l) || told <= l->epoch) {
        return false;
    }
    process_give_up(p, l);
    if (told <= (uint64_t)(clock_unix_us() + DOUBT_AHEAD_US)) {
        l->epoch = told + 1;
    }
    return true;
}

/* Others know a higher epoch of units that are served here, and refuse all that they say. Whether
 * that owner is still there only the store can tell: the lease is given up, and what acquires it
 * next, this process or a standby, begins above the epoch that they know. */
static bool begin_above(struct process *p, struct unit first, uint64_t told)
{
    bool any = p->owns && unit_equal(first, p->first_unit) && acquire_above(p, &p->lease, told);
    for (uint32_t i = 0; i < p->wards.count; i++) {
        struct ward *w = &p->ward_list[i];
        if (w->held && unit_equal(first, p->ward_of[i].first)) {
            any = acquire_above(p, &w->lease, told) || any;
        }
    }
    return any;
}

bool process_doubted(struct process *p, uint32_t endpoint, const uint8_t *bytes, size_t length)
{
    assert(p != NULL && bytes != NULL);
    if (length != ALIVE_DOUBT_BYTES || bytes[1] != ALIVE_DOUBT) {
        return false;
    }
    int64_t now_us = clock_boot_us();
    struct unit first = unit_unpack(get_u64(bytes + 2));
    bool soon = p->doubted_us != 0 && now_us - p->doubted_us < DOUBT_US;
    if (!soon && first.tier != TIER_NONE && believed(p, endpoint, now_us) &&
        begin_above(p, first, get_u64(bytes + 10))) {
        p->doubted_us = now_us;
        log_line(&p->log, LOG_WARNING, "doubted",
                 "why=\"others know a higher epoch of these units: the lease is acquired anew\"");
    }
    return true;
}
