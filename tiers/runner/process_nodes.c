/* Which nodes a process runs: the units of its section, and for agents one host node for each
 * machine, real or simulated. Agents are not created here: their host starts them. */
#include "tiers/runner/process_int.h"

#include "tiers/runner/clock.h"
#include "tiers/runner/host_facts.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool hosts_agents(const struct process *p)
{
    return p->conf->role == PROCESS_AGENT || p->conf->role == PROCESS_SIM;
}

/* Fills p->ports: what each simulated host (or the one real one) has. */
bool process_ports(struct process *p)
{
    struct host_run run = {0};
    uint32_t cursor = 0, room = 0, count = 0;
    p->port_count = 1;
    if (!hosts_agents(p)) {
        return true;
    }
    while (directory_host_next(&p->config, p->conf, &cursor, &run)) {
        if (count == room) {
            room = room == 0 ? 64 : room * 2;
            struct host_run *more = realloc(p->ports, room * sizeof(*more));
            if (more == NULL) {
                return false;
            }
            p->ports = more;
        }
        p->ports[count++] = run;
    }
    if (count == 0) {
        log_line(&p->log, LOG_ERROR, "no-agents", "units=\"%s\"", p->conf->units_text);
        return false;
    }
    if (p->conf->role == PROCESS_SIM) {
        p->port_count = count + 1;
    } else {
        p->port_count = 1;
    }
    if (p->port_count > PORTS_MAX) {
        log_line(&p->log, LOG_ERROR, "too-many-hosts", "hosts=%u most=%u", count, PORTS_MAX - 1);
        return false;
    }
    return true;
}

static uint32_t host_count(const struct process *p)
{
    if (!hosts_agents(p)) {
        return 0;
    }
    if (p->conf->role == PROCESS_SIM) {
        return p->port_count - 1;
    }
    uint32_t count = 0, cursor = 0;
    struct host_run run = {0};
    while (directory_host_next(&p->config, p->conf, &cursor, &run)) {
        count++;
    }
    return count;
}

void process_port_scope(void *ctx, uint16_t port, struct unit_range ret[SCOPES_MAX],
                        uint32_t *ret_count)
{
    const struct process *p = ctx;
    assert(ret != NULL && ret_count != NULL);
    *ret_count = 0;
    if (p->conf->role != PROCESS_SIM || port == 0 || port >= p->port_count) {
        return;
    }
    const struct host_run *run = &p->ports[port - 1];
    const struct topology *t = &p->config.topology;
    struct unit host = unit_numbered(TIER_HOST, directory_host_number(run));
    ret[0] = (struct unit_range){topology_agent(t, run->first),
                                 topology_agent(t, run->first + run->count - 1)};
    ret[1] = (struct unit_range){host, host};
    *ret_count = 2;
}

static bool covered(struct process *p, struct unit u)
{
    if (scope_has(p->identity.cert.scope, p->identity.cert.scope_count, u)) {
        return true;
    }
    char text[UNIT_TEXT_MAX], scope[256];
    (void)unit_format(u, text);
    scope_format(p->identity.cert.scope, p->identity.cert.scope_count, scope, sizeof(scope));
    log_line(&p->log, LOG_ERROR, "certificate-too-narrow", "unit=%s scope=\"%s\"", text, scope);
    return false;
}

bool process_each_unit(struct process *p, const struct process_conf *conf,
                       bool (*act)(struct process *p, struct unit u))
{
    const struct topology *t = &p->config.topology;
    if (process_owns(&p->config, conf, unit_orchestrator()) && !act(p, unit_orchestrator())) {
        return false;
    }
    for (unsigned s = 1; s <= t->sectors; s++) {
        if (process_owns(&p->config, conf, unit_sector(s)) && !act(p, unit_sector(s))) {
            return false;
        }
        for (unsigned c = 1; c <= topology_sector_clusters(t, s); c++) {
            struct unit cluster = unit_cluster(s, c);
            if (process_owns(&p->config, conf, cluster) && !act(p, cluster)) {
                return false;
            }
        }
    }
    return true;
}

/* Leads take no agent that offers more than this process's certificate allows: better said here. */
static bool may_offer(struct process *p, const struct host_run *run)
{
    const struct topology *t = &p->config.topology;
    for (uint32_t i = run->first; i < run->first + run->count; i++) {
        uint64_t offers = topology_class_capabilities(t, topology_class(t, i));
        if ((offers & ~p->identity.cert.capabilities) == 0) {
            continue;
        }
        char text[UNIT_TEXT_MAX];
        (void)unit_format(topology_agent(t, i), text);
        log_line(&p->log, LOG_ERROR, "certificate-capabilities",
                 "unit=%s offers=%llx certificate=%llx", text, (unsigned long long)offers,
                 (unsigned long long)p->identity.cert.capabilities);
        return false;
    }
    return true;
}

bool process_scope_covers(struct process *p)
{
    static const uint16_t roles[PROCESS_ROLE_COUNT] = {
        0, ROLE_ORCHESTRATOR, ROLE_SECTOR, ROLE_CLUSTER, ROLE_HOST, ROLE_SIM};
    uint16_t role = roles[p->conf->role];
    if ((p->identity.cert.roles & role) == 0) {
        char has[64], needs[64];
        roles_format(p->identity.cert.roles, has, sizeof(has));
        roles_format(role, needs, sizeof(needs));
        log_line(&p->log, LOG_ERROR, "certificate-role", "has=%s needs=%s", has, needs);
        return false;
    }
    for (uint32_t i = 0; i < host_count(p); i++) {
        const struct host_run *run = &p->ports[i];
        if (!covered(p, topology_agent(&p->config.topology, run->first)) ||
            !covered(p, topology_agent(&p->config.topology, run->first + run->count - 1)) ||
            !covered(p, unit_numbered(TIER_HOST, directory_host_number(run))) ||
            !may_offer(p, run)) {
            return false;
        }
    }
    return hosts_agents(p) || process_each_unit(p, p->conf, covered);
}

static bool start_hosts(struct process *p)
{
    for (uint32_t i = 0; i < host_count(p); i++) {
        const struct host_run *run = &p->ports[i];
        struct unit host = unit_numbered(TIER_HOST, directory_host_number(run));
        int verdict = runner_add(p->runner, host, (uint16_t)directory_host_port(p->conf, run),
                                 run->first, run->count);
        if (verdict < 0) {
            log_line(&p->log, LOG_ERROR, "host-failed", "host=%u why=\"%s\"", i,
                     strerror(-verdict));
            return false;
        }
    }
    return true;
}

static bool store_submit(void *ctx, const struct store_op *op, void *tag)
{
    struct process *p = ctx;
    if (store_bank(op->kind) == STORE_BANK_LOG && p->sql != NULL) {
        return sql_log_submit(p->sql, op, tag);
    }
    return redis_store_submit(p->store, op, tag); /* without a log it says so */
}

/* Whoever was at the place before, and under whatever epoch, is not looked for there any more. */
static void on_grant(void *ctx, const struct grant *g)
{
    struct process *p = ctx;
    if (!grants_set(&p->grants, g)) {
        log_line(&p->log, LOG_ERROR, "no-memory", "what=grant");
    }
    directory_forget(&p->directory, g->place);
}

void process_asked(void *ctx)
{
    struct process *p = ctx;
    p->announce = true;
}

void process_owner(void *ctx, uint16_t first, uint16_t last)
{
    struct process *p = ctx;
    if (p->runner != NULL) {
        runner_owner(p->runner, first, last);
    }
}

bool process_runner(struct process *p)
{
    assert(p != NULL && p->runner == NULL);
    if (p->conf->role == PROCESS_AGENT) {
        memcpy(p->facts, p->conf->facts, sizeof(p->facts));
        host_facts(p->facts);
    }
    struct runner_conf conf = {.topology = &p->config.topology,
                               .tuning = &p->config.tuning,
                               .process = p->conf->name,
                               .seed = p->conf->seed,
                               .epoch = p->lease.epoch,
                               .world = p->kind->world != NULL ? &p->world : NULL,
                               .facts = p->facts,
                               .log = &p->log,
                               .directory = &p->directory,
                               .opcache = p->opcache,
                               .egress = p->egress,
                               .store = store_submit,
                               .store_ctx = p,
                               .exclude = process_exclude,
                               .exclude_ctx = p,
                               .grant = on_grant,
                               .grant_ctx = p,
                               .span = p->exporter != NULL ? process_span : NULL,
                               .span_ctx = p,
                               .executor = p->executor};
    memcpy(conf.ops, p->kind->ops, sizeof(conf.ops));
    p->runner = runner_new(&conf);
    if (p->runner == NULL) {
        log_line(&p->log, LOG_ERROR, "no-memory", "what=runner");
        return false;
    }
    runner_link(p->runner, LINK_BUS, p->bus_up && !p->bus_quiet);
    runner_link(p->runner, LINK_STORE, p->banks_up[STORE_BANK_REGISTRY]);
    runner_link(p->runner, LINK_DURABLE, p->banks_up[STORE_BANK_DURABLE]);
    return true;
}

bool process_serve(struct process *p)
{
    assert(p != NULL && !p->owns);
    assert(lease_serves(&p->lease));
    egress_renew(p->egress); /* peers listen to the latest session of a name: now it is ours */
    if (p->runner == NULL && !process_runner(p)) {
        return false;
    }
    if (hosts_agents(p) ? !start_hosts(p) : !process_take(p, p->conf, p->lease.epoch)) {
        return false;
    }
    p->owns = true;
    p->phase = PHASE_SERVING;
    p->announce = true;
    log_line(&p->log, LOG_INFO, "serving", "role=%s epoch=%llu lease=%s nodes=%u units=\"%s\"",
             process_role_name(p->conf->role), (unsigned long long)p->lease.epoch,
             lease_state_name(p->lease.state), runner_stats(p->runner)->nodes, p->conf->units_text);
    return true;
}
