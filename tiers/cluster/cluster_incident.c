/* Failures among the lead's agents as incidents (spec 6.1): one of a class at a time, with all the
 * agents that it concerns. What happens within INCIDENT_TELL_US is told as one event, so that the
 * death of thirty agents is a few rows and not ninety; after INCIDENT_ROWS_FAST events of one
 * incident every INCIDENT_TELL_SLOW_US, so that a flapping agent fills no log.
 *
 * An event is a report like a conflict's: kept until the log has it (cluster_conflict.c). Without
 * room there it stays untold, and grows, until there is. */
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define INCIDENT_TELL_US      (300ll * US_PER_MS)
#define INCIDENT_TELL_SLOW_US (10ll * US_PER_S)
#define INCIDENT_ROWS_FAST    16u
#define INCIDENT_CALM_US      (5ll * US_PER_S)   /* nobody concerned for so long: resolved */
#define SILENT_TIMES          3u                 /* spec 6.1, TRANSIENT_NETWORK: consecutive */
#define CRASH_TIMES           2u                 /* spec 6.1: the replacement also fails */
#define IN_A_ROW_US           (600ll * US_PER_S) /* well for so long: the next one is a first */
#define SPIKES_TOGETHER       2u                 /* spec 6.1: several agents of the cluster */
#define REPLACED_US           (90ll * US_PER_S)  /* a replacement is there by then, or failed */
#define NAMED_MAX             6u
#define SLOTS_SPARE           16u /* of the conflicts' slots: incidents leave them free */

static const char *told_as(enum failure_class k, enum incident_event e)
{
    static const char *const opened[FAILURE_CLASS_COUNT] = {
        "",
        "missed heartbeats",
        "no heartbeat for as long as an agent that lives",
        "impedance above twice its own history",
        "its context is not the known-good one",
        "its answer contradicts the quorum of the others",
        "failures in a row opened the cluster's breaker",
        "",
        "the times that they claim shifted together, against the lead's own clock",
    };
    static const char *const action[FAILURE_CLASS_COUNT] = {
        "",
        "what it was sent is sent again",
        "its work is answered unreachable; its host is asked to start it anew",
        "routed around: not in samples, not in the ranking by capability",
        "quarantined until it holds the known-good context, or a person decides",
        "quarantined with the evidence, for a person to look at",
        "isolated: no new operations until a probe succeeds",
        "",
        "what was learnt before stands, nothing is learnt from them; calibrated by beats",
    };
    static const char *const escalated[FAILURE_CLASS_COUNT] = {
        "",
        "silent three times in a row",
        "the replacement failed as well",
        "several agents of this cluster at once: look for the common cause",
        "data integrity: at once",
        "possibly an attack: at once",
        "the orchestrator is told at once",
        "",
        "possibly an attack: at once",
    };
    switch (e) {
    case INCIDENT_OPENED:
    case INCIDENT_AFFECTED:
        return opened[k];
    case INCIDENT_ACTION:
        return action[k];
    case INCIDENT_ESCALATED:
        return escalated[k];
    case INCIDENT_RECOVERED:
        return "as it should be again";
    case INCIDENT_NONE:
    case INCIDENT_RESOLVED:
    case INCIDENT_STILL:
    case INCIDENT_EVENT_COUNT:
        break;
    }
    return "";
}

static void members_text(uint64_t mask, struct text *t)
{
    uint32_t n = 0;
    for (uint64_t rest = mask; rest != 0 && n < NAMED_MAX; rest &= rest - 1u, n++) {
        text_add(t, n > 0 ? ", a" : "a");
        text_u64(t, bits_lowest(rest) + 1u);
    }
    if (bits_count(mask) > n) {
        text_add(t, " and ");
        text_u64(t, bits_count(mask) - n);
        text_add(t, " more");
    }
}

static void text_of(const struct cluster *c, const struct lead_incident *at, enum failure_class k,
                    enum incident_event e, uint64_t mask, int64_t now_us, struct text *t)
{
    if (e == INCIDENT_RESOLVED) {
        text_add(t, "after ");
        text_ms(t, (now_us - at->since_us) / US_PER_MS * US_PER_MS, 0);
        text_add(t, " ms; ");
        text_u64(t, bits_count(at->ever));
        text_add(t, " agents were concerned");
        return;
    }
    if (mask != c->all || k != FAILURE_CASCADE_FAILURE) {
        members_text(mask, t);
        text_add(t, ": ");
    }
    text_add(t, told_as(k, e));
}

/* False: no room, it is tried again. */
static bool tell(struct cluster *c, int64_t now_us, enum failure_class k, enum incident_event e,
                 uint64_t mask)
{
    struct lead_incident *at = &c->incidents.of[k];
    struct conflict_report *r = conflict_slot(c, now_us, SLOTS_SPARE);
    char memory[CONFLICT_VALUE_MAX + 1];
    struct text t;
    if (r == NULL) {
        return false;
    }
    text_init(&t, memory, sizeof memory);
    text_of(c, at, k, e, mask, now_us, &t);
    r->id = incident_event_id(at->id, ++at->events);
    r->uid = at->id;
    r->incident = (uint8_t)k;
    r->event = (uint8_t)e;
    r->type = CONFLICT_OTHER;
    r->agents_affected = bits_count(mask);
    r->agent = bits_count(at->ever) == 1 ? cluster_agent(c, bits_lowest(at->ever)) : c->self;
    r->at_mesh_us = cluster_mesh(c, now_us);
    r->received_bytes = (uint16_t)t.used;
    memcpy(r->received, memory, t.used);
    return true;
}

static void begin(struct cluster *c, int64_t now_us, enum failure_class k)
{
    struct lead_incident *at = &c->incidents.of[k];
    memset(at, 0, sizeof *at);
    at->id = incident_name(c->self, k, cluster_mesh(c, now_us) ^ (int64_t)(c->epoch << 20));
    at->since_us = now_us;
    at->tell_us = now_us + INCIDENT_TELL_US;
    at->still_us = now_us + INCIDENT_STILL_US;
}

/* Of the classes that escalate when they come again; NULL: of the others. */
static struct lead_again *again_of(struct lead_incidents *b, enum failure_class k)
{
    return k == FAILURE_TRANSIENT_NETWORK ? b->silent : k == FAILURE_AGENT_CRASH ? b->crash : NULL;
}

/* Those whose failure begins, counted; who has it often enough in a row. */
static uint64_t count_again(struct lead_incidents *b, int64_t now_us, enum failure_class k,
                            uint64_t mask)
{
    struct lead_again *again = again_of(b, k);
    uint32_t most = k == FAILURE_AGENT_CRASH ? CRASH_TIMES : SILENT_TIMES;
    uint64_t often = 0;
    for (uint64_t rest = again != NULL ? mask : 0; rest != 0; rest &= rest - 1u) {
        struct lead_again *a = &again[bits_lowest(rest)];
        a->times = a->times > 0 && now_us - a->at_us < IN_A_ROW_US ? a->times + 1u : 1u;
        a->at_us = now_us;
        often |= a->times >= most ? rest & -rest : 0;
    }
    return often;
}

/* Their failure is over; who has died has no short silence behind it. */
static void end_again(struct lead_incidents *b, int64_t now_us, enum failure_class k, uint64_t mask,
                      bool well)
{
    struct lead_again *again = again_of(b, k);
    for (uint64_t rest = again != NULL ? mask : 0; rest != 0; rest &= rest - 1u) {
        struct lead_again *a = &again[bits_lowest(rest)];
        a->at_us = now_us;
        a->times = well ? a->times : 0;
    }
}

/* Members whose replacement should be here by now; *ret_next_us: when to look again. */
static uint64_t unreplaced(const struct cluster *c, int64_t now_us, int64_t *ret_next_us)
{
    uint64_t late = 0;
    *ret_next_us = NEVER;
    for (uint64_t rest = c->incidents.of[FAILURE_AGENT_CRASH].now; rest != 0; rest &= rest - 1u) {
        int64_t due_us = c->incidents.crash[bits_lowest(rest)].at_us + REPLACED_US;
        late |= due_us <= now_us ? rest & -rest : 0;
        *ret_next_us = time_least(*ret_next_us, due_us);
    }
    return late;
}

static void note_event(struct cluster *c, int64_t now_us, enum failure_class k,
                       enum incident_event e, uint64_t mask)
{
    struct lead_incident *at = &c->incidents.of[k];
    c->stirred = true;
    if (at->untold[e] == 0) {
        int64_t wait_us =
            at->events < INCIDENT_ROWS_FAST ? INCIDENT_TELL_US : INCIDENT_TELL_SLOW_US;
        at->tell_us = time_least(at->tell_us, now_us + wait_us);
    }
    at->untold[e] |= mask;
    c->incidents.next_us = time_least(c->incidents.next_us, at->tell_us);
}

static void escalate(struct cluster *c, int64_t now_us, enum failure_class k, uint64_t mask)
{
    struct lead_incident *at = &c->incidents.of[k];
    if (!at->escalated) {
        at->escalated = true;
        note_event(c, now_us, k, INCIDENT_ESCALATED, mask);
    }
}

void incident_begin(struct cluster *c, int64_t now_us, enum failure_class k, uint64_t mask)
{
    assert(c != NULL && k > FAILURE_NONE && k < FAILURE_CLASS_COUNT);
    struct lead_incident *at = &c->incidents.of[k];
    bool first = at->id == 0;
    if (first) {
        begin(c, now_us, k);
    }
    uint64_t more = mask & ~at->now;
    at->now |= mask;
    at->ever |= mask;
    if (more == 0) {
        return;
    }
    /* Until its first row is told, all belong to that one. */
    note_event(c, now_us, k, at->events == 0 ? INCIDENT_OPENED : INCIDENT_AFFECTED, more);
    note_event(c, now_us, k, INCIDENT_ACTION, more);
    bool urgent = failure_priority(k) >= CONFLICT_PRIORITY_MAX || k == FAILURE_TIMING_ATTACK;
    bool together = k == FAILURE_IMPEDANCE_SPIKE && bits_count(at->now) >= SPIKES_TOGETHER;
    if (urgent || together) {
        escalate(c, now_us, k, at->now);
    }
    uint64_t often = count_again(&c->incidents, now_us, k, more);
    if (often != 0) {
        escalate(c, now_us, k, often);
    }
}

void incident_over(struct cluster *c, int64_t now_us, enum failure_class k, uint64_t mask,
                   bool well)
{
    assert(c != NULL && k > FAILURE_NONE && k < FAILURE_CLASS_COUNT);
    struct lead_incident *at = &c->incidents.of[k];
    uint64_t gone = at->id != 0 ? mask & at->now : 0;
    if (gone == 0) {
        return;
    }
    c->stirred = true;
    at->now &= ~gone;
    end_again(&c->incidents, now_us, k, gone, well);
    if (well) {
        note_event(c, now_us, k, INCIDENT_RECOVERED, gone);
    }
    at->calm_us = now_us + INCIDENT_CALM_US;
    c->incidents.next_us = time_least(c->incidents.next_us, at->calm_us);
}

bool incident_concerns(const struct cluster *c, enum failure_class k, uint32_t i)
{
    return c->incidents.of[k].id != 0 && (c->incidents.of[k].now >> i & 1u) != 0;
}

/* True: everything is told. */
static bool tell_all(struct cluster *c, int64_t now_us, enum failure_class k)
{
    struct lead_incident *at = &c->incidents.of[k];
    for (int e = INCIDENT_OPENED; e < INCIDENT_RESOLVED; e++) {
        if (at->untold[e] != 0 && at->tell_us <= now_us) {
            if (!tell(c, now_us, k, (enum incident_event)e, at->untold[e])) {
                at->tell_us = now_us + INCIDENT_TELL_US;
                return false;
            }
            at->untold[e] = 0;
        }
    }
    return true;
}

static uint64_t untold(const struct lead_incident *at)
{
    uint64_t any = 0;
    for (int e = INCIDENT_OPENED; e < INCIDENT_RESOLVED; e++) {
        any |= at->untold[e];
    }
    return any;
}

/* Tells what is due of one incident; when to look again. */
static int64_t one_tick(struct cluster *c, int64_t now_us, enum failure_class k)
{
    struct lead_incident *at = &c->incidents.of[k];
    int64_t replaced_us = NEVER;
    if (k == FAILURE_AGENT_CRASH && !at->escalated) {
        uint64_t late = unreplaced(c, now_us, &replaced_us);
        if (late != 0) {
            escalate(c, now_us, k, late);
            replaced_us = NEVER;
        }
    }
    bool told = tell_all(c, now_us, k) && untold(at) == 0;
    if (told && at->now == 0 && at->calm_us <= now_us) {
        if (tell(c, now_us, k, INCIDENT_RESOLVED, at->ever)) {
            at->id = 0;
            return NEVER;
        }
        at->calm_us = now_us + INCIDENT_TELL_US;
    }
    if (told) {
        at->tell_us = NEVER;
    }
    if (at->still_us <= now_us) {
        (void)tell(c, now_us, k, INCIDENT_STILL, at->now);
        at->still_us = now_us + INCIDENT_STILL_US;
    }
    int64_t next_us = time_least(at->tell_us, at->still_us);
    next_us = time_least(next_us, replaced_us);
    return told && at->now == 0 ? time_least(next_us, at->calm_us) : next_us;
}

/* The breaker speaks for the whole cluster. One that was opened by hand is no failure. */
static void breaker_watch(struct cluster *c, int64_t now_us)
{
    bool known = incident_concerns(c, FAILURE_CASCADE_FAILURE, 0);
    enum circuit state = breaker_state(&c->breaker);
    if (state == CIRCUIT_OPEN && !c->breaker.held && !known) {
        incident_begin(c, now_us, FAILURE_CASCADE_FAILURE, c->all);
    } else if (state == CIRCUIT_CLOSED && known) {
        incident_over(c, now_us, FAILURE_CASCADE_FAILURE, c->all, true);
    }
}

int64_t incident_tick(struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    breaker_watch(c, now_us);
    if (c->incidents.next_us > now_us) {
        return c->incidents.next_us;
    }
    c->incidents.next_us = NEVER;
    for (int k = FAILURE_NONE + 1; k < FAILURE_CLASS_COUNT; k++) {
        if (c->incidents.of[k].id != 0) {
            int64_t next_us = one_tick(c, now_us, (enum failure_class)k);
            c->incidents.next_us =
                time_least(c->incidents.next_us, next_us > now_us ? next_us : now_us + 1);
        }
    }
    return c->incidents.next_us;
}
