/* Two levels: units map to entries, entries name an endpoint by its number. 30,000 agents on 1,000
 * simulated hosts share 1,000 endpoints, and the number is what the sending side files its frames
 * under, so that no subject or token is compared for each message. Bounds: the topology's units
 * plus DIRECTORY_EXTRA_MAX; endpoints are as many as entries at most. */
#include "tiers/runner/directory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool directory_init(struct directory *d, const struct topology *topology)
{
    assert(d != NULL);
    assert(topology != NULL);
    *d = (struct directory){0};
    uint32_t units =
        topology_places(topology) + topology_clusters(topology) + topology->sectors + 1;
    d->entry_max = units + DIRECTORY_EXTRA_MAX;
    d->endpoint_mask = 255;
    d->endpoint_table = calloc(d->endpoint_mask + 1, sizeof(uint32_t));
    d->announced = calloc(topology->sectors, sizeof(*d->announced));
    return d->endpoint_table != NULL && d->announced != NULL && unitmap_init(&d->units, units);
}

void directory_done(struct directory *d)
{
    assert(d != NULL);
    unitmap_done(&d->units);
    free(d->entries);
    free(d->endpoints);
    free(d->endpoint_table);
    free(d->announced);
    *d = (struct directory){0};
}

static uint32_t *endpoint_slot(const struct directory *d, const struct endpoint *e)
{
    uint32_t at = (uint32_t)endpoint_hash(e) & d->endpoint_mask;
    while (d->endpoint_table[at] != 0 &&
           !endpoint_equal(&d->endpoints[d->endpoint_table[at] - 1], e)) {
        at = (at + 1) & d->endpoint_mask;
    }
    return &d->endpoint_table[at];
}

static bool endpoint_grow(struct directory *d)
{
    uint32_t size = (d->endpoint_mask + 1) * 2;
    uint32_t *table = calloc(size, sizeof(uint32_t));
    if (table == NULL) {
        return false;
    }
    free(d->endpoint_table);
    d->endpoint_table = table;
    d->endpoint_mask = size - 1;
    for (uint32_t i = 0; i < d->endpoint_count; i++) {
        *endpoint_slot(d, &d->endpoints[i]) = i + 1;
    }
    return true;
}

uint32_t directory_endpoint(struct directory *d, const struct endpoint *e)
{
    assert(d != NULL);
    assert(e != NULL);
    uint32_t *slot = endpoint_slot(d, e);
    if (*slot != 0) {
        return *slot - 1;
    }
    if (d->endpoint_count == d->endpoint_room) {
        uint32_t room = d->endpoint_room == 0 ? 64 : d->endpoint_room * 2;
        struct endpoint *more = realloc(d->endpoints, room * sizeof(*more));
        if (more == NULL) {
            return ENDPOINT_NONE;
        }
        d->endpoints = more;
        d->endpoint_room = room;
    }
    if ((d->endpoint_count + 1) * 2 > d->endpoint_mask && !endpoint_grow(d)) {
        return ENDPOINT_NONE;
    }
    d->endpoints[d->endpoint_count] = *e;
    *endpoint_slot(d, e) = d->endpoint_count + 1;
    return d->endpoint_count++;
}

const struct endpoint *directory_endpoint_at(const struct directory *d, uint32_t index)
{
    assert(d != NULL);
    assert(index < d->endpoint_count);
    return &d->endpoints[index];
}

const struct directory_entry *directory_find(const struct directory *d, struct unit u)
{
    assert(d != NULL);
    uint32_t at = unitmap_get(&d->units, u);
    assert(at == UNITMAP_NONE || at < d->entry_count);
    return at == UNITMAP_NONE ? NULL : &d->entries[at];
}

static bool entry_add(struct directory *d, struct unit u, uint32_t endpoint, uint64_t epoch)
{
    if (d->entry_count == d->entry_max) {
        d->full++;
        return true; /* not stale: the message itself is good */
    }
    if (d->entry_count == d->entry_room) {
        uint32_t room = d->entry_room == 0 ? 1024 : d->entry_room * 2;
        struct directory_entry *more = realloc(d->entries, room * sizeof(*more));
        if (more == NULL) {
            d->full++;
            return true;
        }
        d->entries = more;
        d->entry_room = room;
    }
    if (!unitmap_put(&d->units, u, d->entry_count)) {
        d->full++;
        return true;
    }
    d->entries[d->entry_count++] = (struct directory_entry){endpoint, epoch};
    return true;
}

bool directory_learn(struct directory *d, struct unit u, uint32_t endpoint, uint64_t epoch)
{
    assert(d != NULL);
    assert(endpoint < d->endpoint_count);
    uint32_t at = unitmap_get(&d->units, u);
    if (at == UNITMAP_NONE) {
        return entry_add(d, u, endpoint, epoch);
    }
    struct directory_entry *e = &d->entries[at];
    if (epoch < e->epoch) {
        d->stale++;
        return false;
    }
    bool moves = u.tier == TIER_AGENT || u.tier == TIER_HOST || u.tier == TIER_CONSOLE;
    if (epoch > e->epoch || moves) {
        e->endpoint = endpoint;
        e->epoch = epoch;
    }
    return true;
}

void directory_forget(struct directory *d, struct unit u)
{
    assert(d != NULL);
    uint32_t at = unitmap_get(&d->units, u);
    assert(at == UNITMAP_NONE || at < d->entry_count);
    if (at != UNITMAP_NONE) {
        d->entries[at].epoch = 0;
    }
}

bool directory_host_next(const struct config *config, const struct process_conf *process,
                         uint32_t *cursor, struct host_run *ret)
{
    assert(config != NULL && process != NULL);
    assert(cursor != NULL && ret != NULL);
    const struct topology *t = &config->topology;
    uint32_t per = process->role == PROCESS_SIM ? process->agents_per_host : UINT32_MAX;
    uint32_t i = *cursor, places = topology_places(t);
    while (i < places && !process_owns(config, process, topology_agent(t, i))) {
        i++;
    }
    if (i >= places) {
        return false;
    }
    uint32_t ordinal = *cursor == 0 ? 0 : ret->ordinal + 1;
    struct host_run run = {.first = i, .ordinal = ordinal};
    bool planned = topology_planned(t, topology_agent(t, i));
    while (i < places && run.count < per && process_owns(config, process, topology_agent(t, i)) &&
           (process->role != PROCESS_SIM ||
            topology_planned(t, topology_agent(t, i)) == planned)) { /* newcomers have their own */
        i++;
        run.count++;
    }
    *ret = run;
    *cursor = i;
    return true;
}

uint32_t directory_host_number(const struct host_run *run)
{
    assert(run != NULL);
    assert(run->count > 0);
    return run->first + 1;
}

uint32_t directory_host_port(const struct process_conf *process, const struct host_run *run)
{
    assert(process != NULL);
    assert(run != NULL);
    return process->role == PROCESS_SIM ? 1 + run->ordinal : 0;
}

static bool boot_unit(struct directory *d, struct unit u, uint32_t endpoint, struct unit *ret_twice)
{
    if (directory_find(d, u) != NULL) {
        *ret_twice = u;
        return false;
    }
    return entry_add(d, u, endpoint, 0);
}

static bool boot_hosts(struct directory *d, const struct config *config,
                       const struct process_conf *p, struct unit *ret_twice)
{
    struct host_run run = {0};
    uint32_t cursor = 0;
    while (directory_host_next(config, p, &cursor, &run)) {
        struct endpoint e;
        uint32_t port = directory_host_port(p, &run);
        if (port >= PORTS_MAX || !endpoint_make(p->name, strlen(p->name), port, &e)) {
            *ret_twice = topology_agent(&config->topology, run.first);
            return false;
        }
        uint32_t at = directory_endpoint(d, &e);
        if (at == ENDPOINT_NONE ||
            !boot_unit(d, unit_numbered(TIER_HOST, directory_host_number(&run)), at, ret_twice)) {
            return false;
        }
        for (uint32_t i = 0; i < run.count; i++) {
            if (!boot_unit(d, topology_agent(&config->topology, run.first + i), at, ret_twice)) {
                return false;
            }
        }
    }
    return true;
}

static bool boot_tier(struct directory *d, const struct config *config,
                      const struct process_conf *p, uint32_t endpoint, struct unit *ret_twice)
{
    const struct topology *t = &config->topology;
    if (p->role == PROCESS_ORCHESTRATOR) {
        return p->no_units || boot_unit(d, unit_orchestrator(), endpoint, ret_twice);
    }
    for (unsigned s = 1; s <= t->sectors; s++) {
        struct unit sector = unit_sector(s);
        if (process_owns(config, p, sector) && !boot_unit(d, sector, endpoint, ret_twice)) {
            return false;
        }
        for (unsigned c = 1; c <= topology_sector_clusters(t, s); c++) {
            struct unit cluster = unit_cluster(s, c);
            if (process_owns(config, p, cluster) && !boot_unit(d, cluster, endpoint, ret_twice)) {
                return false;
            }
        }
    }
    return true;
}

bool directory_bootstrap(struct directory *d, const struct config *config, struct unit *ret_twice)
{
    assert(d != NULL && config != NULL);
    assert(ret_twice != NULL);
    *ret_twice = (struct unit){0};
    for (uint32_t i = 0; i < config->process_count; i++) {
        const struct process_conf *p = &config->processes[i];
        if (p->role == PROCESS_AGENT || p->role == PROCESS_SIM) {
            if (!boot_hosts(d, config, p, ret_twice)) {
                return false;
            }
            continue;
        }
        struct endpoint e;
        bool made = endpoint_make(p->name, strlen(p->name), 0, &e);
        assert(made); /* config: token_valid */
        (void)made;
        uint32_t at = directory_endpoint(d, &e);
        if (at == ENDPOINT_NONE || !boot_tier(d, config, p, at, ret_twice)) {
            return false;
        }
    }
    return true;
}
