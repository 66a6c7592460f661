#include "core/threat.h"

#include "core/note.h"
#include "core/rng.h"
#include <assert.h>
#include <string.h>

const char *threat_kind_name(enum threat_kind k)
{
    static const char *const names[] = {"none",
                                        "rogue_agent",
                                        "cluster_compromise",
                                        "sector_compromise",
                                        "orchestrator_compromise",
                                        "denial_of_service",
                                        "timing_attack"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == THREAT_KIND_COUNT, "a name for each");
    assert(k < THREAT_KIND_COUNT);
    return names[k];
}

const char *threat_state_name(enum threat_state s)
{
    static const char *const names[] = {"free", "suspected", "answered", "cleared"};
    assert(s <= THREAT_CLEARED);
    return names[s];
}

static unsigned worth(const struct threat *t)
{
    static const uint8_t of[] = {0, 2, 4, 1};
    return t->kind == THREAT_TIMING_ATTACK && t->state == THREAT_ANSWERED ? 3u : of[t->state];
}

/* A free place, or that of who is needed least. Answered ones stay: with nothing else there the
 * oldest of them gives way, and stays shut out; those first that a lead holds and tells again. */
static struct threat *place_for(struct threat_book *b)
{
    struct threat *least = &b->list[0];
    for (uint32_t i = 1; i < THREATS_MAX; i++) {
        struct threat *t = &b->list[i];
        if (worth(t) < worth(least) || (worth(t) == worth(least) && t->last_us < least->last_us)) {
            least = t;
        }
    }
    return least;
}

static struct threat *open_new(struct threat_book *b, enum threat_kind k, struct unit unit,
                               int64_t now_us)
{
    struct threat *t = place_for(b);
    b->named++;
    uint64_t seed = (uint64_t)now_us ^ b->named << 48 ^ unit_pack(unit);
    *t = (struct threat){.kind = k,
                         .state = THREAT_SUSPECTED,
                         .id = rng_splitmix(&seed) | 1u,
                         .unit = unit,
                         .first_us = now_us,
                         .last_us = now_us};
    return t;
}

static bool is_open(const struct threat *t)
{
    return t->state == THREAT_SUSPECTED || t->state == THREAT_ANSWERED;
}

static struct threat *of_process(struct threat_book *b, const char *name)
{
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        if (is_open(&b->list[i]) && strcmp(b->list[i].evidence.accused, name) == 0) {
            return &b->list[i];
        }
    }
    return NULL;
}

static struct threat *of_unit(struct threat_book *b, enum threat_kind k, struct unit u)
{
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        if (is_open(&b->list[i]) && b->list[i].kind == k && unit_equal(b->list[i].unit, u)) {
            return &b->list[i];
        }
    }
    return NULL;
}

static struct threat *detect(struct threat *t, int64_t now_us)
{
    t->detected_us = now_us;
    t->state = THREAT_ANSWERED; /* whoever holds the book answers in this very step */
    return t;
}

static enum threat_kind kind_of(const struct evidence *e)
{
    if (e->count >= DENIAL_REFUSALS) {
        return THREAT_DENIAL_OF_SERVICE;
    }
    switch (e->tier) {
    case TIER_ORCHESTRATOR:
        return THREAT_ORCHESTRATOR_COMPROMISE;
    case TIER_SECTOR:
        return THREAT_SECTOR_COMPROMISE;
    case TIER_CLUSTER:
        return THREAT_CLUSTER_COMPROMISE;
    case TIER_CONSOLE:
        return e->may_command ? THREAT_ORCHESTRATOR_COMPROMISE : THREAT_ROGUE_AGENT;
    case TIER_NONE:
    case TIER_AGENT:
    case TIER_HOST:
    case TIER_COUNT:
        break;
    }
    return THREAT_ROGUE_AGENT;
}

struct threat *threat_refused(struct threat_book *b, const struct evidence *e, int64_t now_us)
{
    assert(b != NULL && e != NULL && e->accused[0] != '\0');
    struct threat *t = of_process(b, e->accused);
    if (t == NULL) {
        t = open_new(b, kind_of(e), (struct unit){0}, now_us);
    }
    bool known = t->state == THREAT_ANSWERED, counts = e->weight != EVIDENCE_DOUBT;
    if (counts && t->count > 0 && strcmp(t->evidence.accuser, e->accuser) != 0) {
        memcpy(t->second, t->evidence.accuser, sizeof(t->second));
    }
    if (counts || t->count == 0) { /* a doubt does not hide what counted */
        t->evidence = *e;
    }
    t->last_us = now_us;
    t->above = t->above || (e->accuser_above && counts);
    t->count = counts && e->count > t->count ? e->count : t->count;
    if (known) {
        return NULL;
    }
    bool believed = t->above || t->second[0] != '\0';
    if (e->weight == EVIDENCE_HELD || (believed && t->count >= THREAT_REFUSALS)) {
        t->kind = kind_of(e);
        return detect(t, now_us);
    }
    return NULL;
}

static void anomaly_add(struct threat_book *b, struct unit agent, int64_t now_us)
{
    uint32_t at = b->anomaly_next++ % THREAT_ANOMALIES;
    b->anomalies[at].agent = agent;
    b->anomalies[at].at_us = now_us;
}

struct threat *threat_contradicted(struct threat_book *b, struct unit agent, int64_t now_us)
{
    assert(b != NULL && agent.tier == TIER_AGENT);
    anomaly_add(b, agent, now_us);
    struct threat *t = of_unit(b, THREAT_ROGUE_AGENT, agent);
    if (t != NULL) {
        t->count++;
        t->last_us = now_us;
        return NULL;
    }
    t = open_new(b, THREAT_ROGUE_AGENT, agent, now_us);
    t->count = 1;
    return detect(t, now_us);
}

/* Distinct agents of the cluster that contradicted of late. */
static uint32_t anomalies_of(const struct threat_book *b, struct unit cluster, int64_t now_us)
{
    uint64_t seen[(AGENTS_PER_CLUSTER_MAX + 63u) / 64u] = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < THREAT_ANOMALIES; i++) {
        struct unit u = b->anomalies[i].agent;
        if (u.tier != TIER_AGENT || u.sector != cluster.sector || u.cluster != cluster.cluster ||
            u.agent > AGENTS_PER_CLUSTER_MAX || now_us - b->anomalies[i].at_us > THREAT_QUIET_US) {
            continue;
        }
        uint32_t bit = u.agent - 1u;
        n += (seen[bit / 64u] >> (bit % 64u) & 1u) == 0 ? 1u : 0u;
        seen[bit / 64u] |= 1ull << (bit % 64u);
    }
    return n;
}

struct threat *threat_cluster(struct threat_book *b, struct unit cluster, uint32_t agents,
                              int64_t now_us)
{
    assert(b != NULL && cluster.tier == TIER_CLUSTER);
    uint32_t n = anomalies_of(b, cluster, now_us);
    if (n < ANOMALIES_LEAST || n * 5u < agents ||
        of_unit(b, THREAT_CLUSTER_COMPROMISE, cluster) != NULL) {
        return NULL;
    }
    struct threat *t = open_new(b, THREAT_CLUSTER_COMPROMISE, cluster, now_us);
    t->count = n;
    return detect(t, now_us);
}

struct threat *threat_sector(struct threat_book *b, struct unit sector, uint32_t clusters,
                             int64_t now_us)
{
    assert(b != NULL && sector.tier == TIER_SECTOR);
    uint32_t n = 0;
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        const struct threat *t = &b->list[i];
        n += t->state == THREAT_ANSWERED && t->kind == THREAT_CLUSTER_COMPROMISE &&
             t->unit.sector == sector.sector && now_us - t->detected_us <= THREAT_QUIET_US;
    }
    if (n < 2 || n * 5u < clusters || of_unit(b, THREAT_SECTOR_COMPROMISE, sector) != NULL) {
        return NULL;
    }
    struct threat *t = open_new(b, THREAT_SECTOR_COMPROMISE, sector, now_us);
    t->count = n;
    return detect(t, now_us);
}

static struct threat *of_incident(struct threat_book *b, uint64_t incident)
{
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        if (b->list[i].state != THREAT_FREE && b->list[i].kind == THREAT_TIMING_ATTACK &&
            b->list[i].incident == incident) {
            return &b->list[i];
        }
    }
    return NULL;
}

struct threat *threat_timing(struct threat_book *b, struct unit cluster, uint64_t incident,
                             uint32_t agents, int64_t now_us)
{
    assert(b != NULL && cluster.tier == TIER_CLUSTER);
    struct threat *t = of_incident(b, incident);
    t = t == NULL ? of_unit(b, THREAT_TIMING_ATTACK, cluster) : t; /* of the lead before this one */
    if (t != NULL) { /* over, if it is: reports are repeated */
        t->incident = incident;
        t->count = agents > t->count ? agents : t->count;
        t->last_us = now_us;
        return NULL;
    }
    t = open_new(b, THREAT_TIMING_ATTACK, cluster, now_us);
    t->incident = incident;
    t->count = agents;
    return detect(t, now_us);
}

bool threat_timing_cleared(struct threat_book *b, uint64_t incident)
{
    assert(b != NULL);
    const struct threat *t = of_incident(b, incident);
    return t != NULL && t->state == THREAT_CLEARED;
}

struct threat *threat_timing_over(struct threat_book *b, uint64_t incident)
{
    assert(b != NULL);
    struct threat *t = of_incident(b, incident);
    if (t == NULL || t->state != THREAT_ANSWERED) {
        return NULL;
    }
    t->state = THREAT_CLEARED;
    return t;
}

struct threat *threat_forked(struct threat_book *b, uint32_t tellers, uint32_t of, int64_t now_us,
                             const struct threat **ret_new)
{
    assert(b != NULL && tellers > 0 && ret_new != NULL);
    struct threat *t = of_unit(b, THREAT_ORCHESTRATOR_COMPROMISE, unit_orchestrator());
    *ret_new = NULL;
    if (t == NULL) {
        *ret_new = t = open_new(b, THREAT_ORCHESTRATOR_COMPROMISE, unit_orchestrator(), now_us);
    }
    t->count = tellers > t->count ? tellers : t->count;
    t->last_us = now_us;
    bool enough = tellers >= 2 && tellers * 2u > of;
    return t->state == THREAT_SUSPECTED && enough ? detect(t, now_us) : NULL;
}

struct threat *threat_ordered(struct threat_book *b, const char *name, int64_t now_us)
{
    assert(b != NULL && name != NULL && strlen(name) < THREAT_NAME_MAX);
    uint32_t at = 0;
    for (uint32_t i = 0; i < THREAT_OPERATORS; i++) {
        if (strcmp(b->operators[i].name, name) == 0) {
            at = i;
            break;
        }
        at = b->operators[i].since_us < b->operators[at].since_us ? i : at;
    }
    if (strcmp(b->operators[at].name, name) != 0 ||
        now_us - b->operators[at].since_us > THREAT_QUIET_US) {
        memset(&b->operators[at], 0, sizeof(b->operators[at]));
        memcpy(b->operators[at].name, name, strlen(name));
        b->operators[at].since_us = now_us;
    }
    if (++b->operators[at].orders <= THREAT_ORDERS_MAX || of_process(b, name) != NULL) {
        return NULL;
    }
    struct threat *t = open_new(b, THREAT_ORCHESTRATOR_COMPROMISE, (struct unit){0}, now_us);
    memcpy(t->evidence.accused, name, strlen(name));
    memcpy(t->evidence.check, "orders-per-minute", sizeof("orders-per-minute"));
    t->evidence.tier = TIER_CONSOLE;
    t->evidence.may_command = true;
    t->count = b->operators[at].orders;
    return detect(t, now_us);
}

void threat_answered(struct threat *t, int64_t now_us)
{
    assert(t != NULL && t->state == THREAT_ANSWERED);
    t->answered_us = now_us;
}

void threat_expire(struct threat_book *b, int64_t now_us)
{
    assert(b != NULL);
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        struct threat *t = &b->list[i];
        if (t->state == THREAT_SUSPECTED && now_us - t->last_us > THREAT_QUIET_US) {
            t->state = THREAT_FREE;
        }
    }
}

struct threat *threat_find(struct threat_book *b, uint64_t id)
{
    assert(b != NULL);
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        if (b->list[i].state != THREAT_FREE && b->list[i].id == id) {
            return &b->list[i];
        }
    }
    return NULL;
}

const struct threat *threat_open(const struct threat_book *b, enum threat_kind k)
{
    assert(b != NULL);
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        if (b->list[i].kind == k && b->list[i].state == THREAT_ANSWERED) {
            return &b->list[i];
        }
    }
    return NULL;
}
