/* Who is shut out (core/threat.h), on the real process. The orchestrator that serves decides; its
 * process tells all of its list to everybody, at each change and with every announcement, so that a
 * word that was lost, or a process that was away, comes right by itself. The list counts as
 * revocations (trust.h): frames, chains and operations of those in it are refused, and a process
 * that finds itself in it stops. It is taken from the process that has the orchestrator's unit, by
 * what is known of epochs; a standby keeps it, and goes on telling it when it takes over.
 *
 * Record, little-endian: RECORD_EXCLUDE u8, count u8, 6 zero bytes, when it changed i64 (unix us),
 * count rows of EXCLUDE_ROW_BYTES: token[16], epoch u64: certificates issued up to then.
 *
 * Bounds: TRUST_EXCLUDED_MAX names; one more is refused, logged, and stays a row of the log. */
#include "tiers/runner/process_int.h"

#include "tiers/runner/bytes.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert(THREAT_NAME_MAX == TOKEN_MAX + 1u && OPERATOR_NAME_MAX == TOKEN_MAX + 1u,
               "names of processes fit everywhere");

#define HEAD_BYTES        16u
#define EXCLUDE_ROW_BYTES 24u
#define EXCLUDE_BYTES_MAX (HEAD_BYTES + TRUST_EXCLUDED_MAX * EXCLUDE_ROW_BYTES)

static bool serves_root(const struct process *p)
{
    return p->runner != NULL && p->phase == PHASE_SERVING &&
           runner_has(p->runner, unit_orchestrator());
}

static struct trust_revocation *row_of(struct trust_exclusions *x, const char *name)
{
    for (uint16_t i = 0; i < x->count; i++) {
        if (strcmp(x->list[i].token, name) == 0)
            return &x->list[i];
    }
    return NULL;
}

void process_exclude(void *ctx, const struct exclusion *e)
{
    struct process *p = ctx;
    struct trust_exclusions *x = &p->trust.trust.excluded;
    struct trust_revocation *row = row_of(x, e->name);
    if ((row != NULL) == e->on)
        return; /* it is so: a later certificate of it is not shut out with the earlier */
    if (strcmp(e->name, p->conf->name) == 0 || !token_valid(e->name, strlen(e->name)) ||
        (e->on && x->count == TRUST_EXCLUDED_MAX)) {
        log_line(&p->log, LOG_ERROR, "exclude-refused", "process=%s why=\"%s\"", e->name,
                 x->count == TRUST_EXCLUDED_MAX ? "the list is full" : "not this one");
        return;
    }
    if (e->on) {
        row = &x->list[x->count++];
        memset(row, 0, sizeof(*row));
        memcpy(row->token, e->name, strlen(e->name));
        row->epoch = (uint64_t)(clock_unix_us() / US_PER_S);
    } else {
        alarm_forget(ingress_alarms(p->ingress), row->token);
        *row = x->list[--x->count];
    }
    int64_t now_us = clock_unix_us();
    p->exclude_changed_us = now_us > p->exclude_changed_us ? now_us : p->exclude_changed_us + 1;
    p->exclude_tell = true;
    p->trust_changed = true;
    log_line(&p->log, LOG_WARNING, e->on ? "excluded" : "let-in", "process=%s", e->name);
    process_exclude_tick(p);
}

static bool list_decode(const uint8_t *bytes, size_t length, struct trust_exclusions *ret,
                        int64_t *ret_us)
{
    if (length < HEAD_BYTES || bytes[1] > TRUST_EXCLUDED_MAX ||
        length != HEAD_BYTES + (size_t)bytes[1] * EXCLUDE_ROW_BYTES ||
        sodium_is_zero(bytes + 2, 6) != 1 || get_u64(bytes + 8) > INT64_MAX / 4)
        return false;
    *ret_us = (int64_t)get_u64(bytes + 8);
    ret->count = bytes[1];
    for (uint16_t i = 0; i < ret->count; i++) {
        const uint8_t *at = bytes + HEAD_BYTES + (size_t)i * EXCLUDE_ROW_BYTES;
        struct trust_revocation *row = &ret->list[i];
        memset(row, 0, sizeof(*row));
        memcpy(row->token, at, TOKEN_MAX);
        size_t n = strlen(row->token);
        if (!token_valid(row->token, n) || sodium_is_zero(at + n, TOKEN_MAX - n) != 1)
            return false;
        row->epoch = get_u64(at + 16);
    }
    return true;
}

/* Who is let in again begins without what was counted before: told a minute later, it would be shut
 * out again for it. */
static void forget_let_in(struct process *p, struct trust_exclusions *now)
{
    const struct trust_exclusions *was = &p->trust.trust.excluded;
    for (uint16_t i = 0; i < was->count; i++) {
        if (row_of(now, was->list[i].token) == NULL)
            alarm_forget(ingress_alarms(p->ingress), was->list[i].token);
    }
}

bool process_excluded(void *ctx, uint32_t endpoint, const uint8_t *bytes, size_t length)
{
    struct process *p = ctx;
    struct trust_exclusions said = {0};
    int64_t changed_us = 0;
    const struct directory_entry *root = directory_find(&p->directory, unit_orchestrator());
    if (!list_decode(bytes, length, &said, &changed_us))
        return false;
    if (root == NULL || root->endpoint != endpoint || serves_root(p))
        return true; /* one that was replaced, and does not know it yet */
    if (changed_us <= p->exclude_changed_us)
        return true;
    forget_let_in(p, &said);
    p->trust.trust.excluded = said;
    p->exclude_changed_us = changed_us;
    p->trust_changed = true;
    log_line(&p->log, LOG_WARNING, "excluded-list", "count=%u", said.count);
    return true;
}

/* To an orchestrator that begins here: what those before it shut out. */
static void tell_node(struct process *p)
{
    const struct trust_exclusions *x = &p->trust.trust.excluded;
    for (uint16_t i = 0; i < x->count; i++) {
        struct evidence e;
        process_accused(p, x->list[i].token, &e);
        e.weight = EVIDENCE_HELD;
        (void)snprintf(e.check, sizeof(e.check), "shut-out-before");
        runner_evidence(p->runner, &e);
    }
}

void process_exclude_tick(struct process *p)
{
    assert(p != NULL);
    bool serves = serves_root(p);
    if (serves && !p->exclude_serves)
        tell_node(p);
    p->exclude_serves = serves;
    if (!p->exclude_tell || !serves || !p->bus_up || p->exclude_changed_us == 0)
        return;
    const struct trust_exclusions *x = &p->trust.trust.excluded;
    uint8_t record[EXCLUDE_BYTES_MAX] = {RECORD_EXCLUDE, (uint8_t)x->count};
    put_u64(record + 8, (uint64_t)p->exclude_changed_us);
    for (uint16_t i = 0; i < x->count; i++) {
        uint8_t *at = record + HEAD_BYTES + (size_t)i * EXCLUDE_ROW_BYTES;
        memcpy(at, x->list[i].token, TOKEN_MAX);
        put_u64(at + 16, x->list[i].epoch);
    }
    p->exclude_tell = !egress_record(p->egress, 0, p->everyone, record,
                                     HEAD_BYTES + (size_t)x->count * EXCLUDE_ROW_BYTES);
}

/* ---- evidence ---- */

static enum tier tier_of(enum process_role role)
{
    switch (role) {
    case PROCESS_ORCHESTRATOR:
        return TIER_ORCHESTRATOR;
    case PROCESS_SECTOR:
        return TIER_SECTOR;
    case PROCESS_CLUSTER:
        return TIER_CLUSTER;
    case PROCESS_NONE:
    case PROCESS_AGENT:
    case PROCESS_SIM:
    case PROCESS_ROLE_COUNT:
        break;
    }
    return TIER_AGENT;
}

static void agents_of(struct process *p, const struct process_conf *c, struct evidence *ret)
{
    struct host_run run;
    uint32_t cursor = 0;
    while (directory_host_next(&p->config, c, &cursor, &run)) {
        uint32_t n = ret->ranges;
        if (n > 0 && ret->agents[n - 1].first + ret->agents[n - 1].count == run.first) {
            ret->agents[n - 1].count += run.count;
        } else if (n < EVIDENCE_RANGES) {
            ret->agents[n].first = run.first;
            ret->agents[n].count = run.count;
            ret->ranges++;
        }
    }
}

void process_accused(struct process *p, const char *token, struct evidence *ret)
{
    assert(p != NULL && token != NULL && ret != NULL);
    const struct process_conf *c = config_process(&p->config, token);
    const struct peer *peer = c == NULL ? peers_by_token(p->peers, token) : NULL;
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->accused, token, strlen(token));
    if (c != NULL) {
        ret->tier = tier_of(c->role);
    } else if (peer != NULL && peer->roles == ROLE_CONSOLE) {
        ret->tier = TIER_CONSOLE;
        ret->may_command = (peer->capabilities & CONSOLE_ADMIN) != 0;
    }
    if (c != NULL && ret->tier == TIER_AGENT)
        agents_of(p, c, ret);
}

/* Whether all that the accused serves lies below the accuser. Of a process that is in no plan the
 * word of any tier is enough: nobody's work hangs on it. */
static bool stands_above(struct process *p, const char *reporter, const struct evidence *e)
{
    const struct process_conf *by = config_process(&p->config, reporter);
    const struct process_conf *of = config_process(&p->config, e->accused);
    if (strcmp(reporter, p->conf->name) == 0)
        return true;
    if (by == NULL || by->role == PROCESS_AGENT || by->role == PROCESS_SIM)
        return false;
    if (of == NULL)
        return e->tier == TIER_NONE;
    if (tier_of(by->role) >= tier_of(of->role))
        return false;
    for (unsigned s = 1; e->ranges == 0 && s <= p->config.topology.sectors; s++) {
        bool its = of->units.count == 0 || place_touches(&of->units, unit_sector(s));
        if (its && !process_owns(&p->config, by, unit_sector(s)))
            return false;
    }
    for (uint32_t i = 0; i < e->ranges; i++) {
        for (uint32_t k = 0; k < e->agents[i].count; k++) {
            struct unit u = topology_agent(&p->config.topology, e->agents[i].first + k);
            struct unit at =
                by->role == PROCESS_CLUSTER ? topology_parent(u) : unit_sector(u.sector);
            if (!process_owns(&p->config, by, at))
                return false;
        }
    }
    return true;
}

void process_evidence(struct process *p, const char *reporter, const struct alarm_row *row)
{
    assert(p != NULL && reporter != NULL && row != NULL);
    struct evidence e;
    if (!serves_root(p) || strcmp(row->token, ALARM_OTHERS) == 0 ||
        strcmp(row->token, p->conf->name) == 0)
        return;
    process_accused(p, row->token, &e);
    (void)snprintf(e.accuser, sizeof(e.accuser), "%s", reporter);
    (void)alarm_name(row->kind, row->code, e.check);
    e.count = row->count;
    e.weight = alarm_weight(row->kind, row->code);
    e.accuser_above = stands_above(p, reporter, &e);
    runner_evidence(p->runner, &e);
}
