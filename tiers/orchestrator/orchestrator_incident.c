/* Incidents at the root (spec 6.1, 10.3). What leads report becomes rows of the log "incidents";
 * the root adds its own about sectors: a coordinator or leads below it are silent
 * (COORDINATOR_DOWN), a breaker of a sector or of the mesh is open (CASCADE_FAILURE).
 *
 * The log is the truth. The table here is of what is open, read from the log at the start: an
 * incident of which its lead says nothing any more (the lead was replaced, and judges anew) is
 * closed after INCIDENT_SILENT_US. With the table full, the oldest word is forgotten: such an
 * incident stays open in the log until this process starts again.
 *
 * What ends with word of it counts for the KPI recovery_time: agents that crashed or were cut off,
 * and lost leads, as a cluster's; a silent coordinator and an open breaker as a sector's. An
 * incident at a sector that an earlier orchestrator opened counts as a sector's. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include "tiers/orchestrator/orchestrator_threat.h"
#include <assert.h>
#include <string.h>

#define FOUND_MAX 200u

static struct incident_open *find(struct orchestrator *o, uint64_t id)
{
    for (uint32_t i = 0; i < INCIDENTS_OPEN_MAX; i++) {
        if (o->incidents.open[i].id == id) {
            return &o->incidents.open[i];
        }
    }
    return NULL;
}

/* Open, and spoken of just now. */
static struct incident_open *heard(struct orchestrator *o, uint64_t id, enum failure_class k,
                                   struct unit unit)
{
    struct incident_open *at = find(o, id);
    struct incident_open *oldest = &o->incidents.open[0];
    for (uint32_t i = 0; at == NULL && i < INCIDENTS_OPEN_MAX; i++) {
        struct incident_open *here = &o->incidents.open[i];
        oldest =
            here->id == 0 || (oldest->id != 0 && here->heard_us < oldest->heard_us) ? here : oldest;
    }
    at = at != NULL ? at : oldest;
    if (at->id != id) {
        *at = (struct incident_open){.id = id, .failure = (uint8_t)k, .unit = unit};
    }
    at->heard_us = o->hub.now_us;
    return at;
}

/* NULL: the log takes no more rows now. */
static struct logbook_row *row_of(struct orchestrator *o, uint64_t incident, uint64_t event_id,
                                  enum failure_class k, enum incident_event e, struct unit unit,
                                  const char *what, size_t bytes, uint32_t agents)
{
    struct logbook_row *row =
        log_row(o, LOG_INCIDENTS, LOGBOOK_RESERVE, incident_event_name(e), failure_name(k), unit);
    if (row == NULL) {
        return NULL;
    }
    struct text t;
    row->priority = failure_priority(k);
    row->conflict = event_id;
    num_format_hex64(incident, row->subject);
    num_format_hex64(event_id, row->id);
    text_init(&t, row->body, sizeof(row->body));
    text_add(&t, "{\"what\": ");
    conflict_json_text(&t, what, bytes);
    text_add(&t, ", \"agents\": ");
    text_u64(&t, agents);
    text_char(&t, '}');
    row->body_bytes = (uint32_t)t.used;
    return row;
}

bool incidents_report(struct orchestrator *o, const struct conflict_report *r)
{
    enum failure_class k = (enum failure_class)r->incident;
    enum incident_event e = (enum incident_event)r->event;
    if (e == INCIDENT_STILL) {
        (void)heard(o, r->uid, k, r->agent);
        return true;
    }
    if (logbook_has(&o->logbook, r->id, incident_event_name(e))) {
        return false; /* on its way */
    }
    struct logbook_row *row = row_of(o, r->uid, r->id, k, e, r->agent, (const char *)r->received,
                                     r->received_bytes, r->agents_affected);
    if (row == NULL) {
        return false; /* no room: the lead says it again */
    }
    struct text t;
    row->at_us = r->at_mesh_us > 0 ? r->at_mesh_us : row->at_us;
    row->tell = r->agent;
    text_init(&t, row->actor, sizeof(row->actor));
    text_unit(&t, unit_cluster(r->agent.sector, r->agent.cluster));
    return false; /* acknowledged when it is durable */
}

/* Of which kind the recovery from it is, if it counts. */
static void recoverable(struct orchestrator *o, struct incident_open *at, int64_t since_mesh_us)
{
    enum failure_class k = (enum failure_class)at->failure;
    assert(o != NULL && at != NULL);
    bool agents = k == FAILURE_AGENT_CRASH || k == FAILURE_TRANSIENT_NETWORK;
    bool above = k == FAILURE_COORDINATOR_DOWN || k == FAILURE_CASCADE_FAILURE;
    uint32_t i = at->unit.sector - 1u;
    if (!agents && !above) {
        return; /* nothing was away */
    }
    if (at->since_mesh_us == 0 || since_mesh_us < at->since_mesh_us) {
        at->since_mesh_us = since_mesh_us;
    }
    at->of_cluster =
        agents || (at->unit.tier == TIER_SECTOR && i < o->hub.children_count &&
                   o->incidents.down[i].id == at->id && o->incidents.down[i].of_cluster);
}

void incidents_durable(struct orchestrator *o, const struct logbook_row *row)
{
    uint64_t id = 0;
    struct unit unit = row->tell;
    const char *why = NULL;
    if (!num_parse_hex64(row->subject, strlen(row->subject), &id) ||
        (unit.tier == TIER_NONE && !unit_parse(row->agent, strlen(row->agent), &unit, &why))) {
        return;
    }
    if (strcmp(row->event, incident_event_name(INCIDENT_RESOLVED)) != 0) {
        struct incident_open *opened = heard(o, id, failure_parse(row->type), unit);
        if (strcmp(row->event, incident_event_name(INCIDENT_OPENED)) == 0) {
            recoverable(o, opened, row->at_us);
        }
        return;
    }
    struct incident_open *at = find(o, id);
    if (at == NULL) {
        return;
    }
    if (at->since_mesh_us != 0 && row->conflict != incident_event_id(id, UINT32_MAX)) {
        kpi_recovered(&o->kpi, at->of_cluster, row->at_us - at->since_mesh_us);
    }
    at->id = 0;
}

/* --- of sectors and of the mesh ---------------------------------------------------------------
 */

/* An own incident begins, goes on or ends. seen: it is so now; what: in words. */
static void own(struct orchestrator *o, struct incident_own *at, enum failure_class k,
                struct unit unit, bool seen, const char *what, bool of_cluster)
{
    int64_t now_us = o->hub.now_us;
    char memory[FOUND_MAX];
    struct text t;
    if (seen == (at->id != 0)) {
        if (seen && now_us - at->said_us >= INCIDENT_STILL_US) {
            at->said_us = now_us;
            (void)heard(o, at->id, k, unit);
        }
        return;
    }
    if (seen) {
        uint64_t id = incident_name(unit, k, hub_mesh_now(&o->hub));
        if (row_of(o, id, incident_event_id(id, 1), k, INCIDENT_OPENED, unit, what, strlen(what),
                   0) != NULL) {
            *at = (struct incident_own){
                .id = id, .since_us = now_us, .said_us = now_us, .of_cluster = of_cluster};
        }
        return;
    }
    text_init(&t, memory, sizeof(memory));
    text_add(&t, what);
    text_add(&t, " after ");
    text_ms(&t, now_us - at->since_us, 0);
    text_add(&t, " ms");
    if (row_of(o, at->id, incident_event_id(at->id, 2), k, INCIDENT_RESOLVED, unit, memory, t.used,
               0) != NULL) {
        at->id = 0;
    }
}

static void down_text(const struct hub *h, uint32_t i, bool up, uint32_t lost, char ret[FOUND_MAX])
{
    const struct summary *s = &h->child[i].summary;
    struct text t;
    text_init(&t, ret, FOUND_MAX);
    if (!children_reachable(&h->children, i)) {
        text_add(&t, "its coordinator is silent; a standby takes over by itself");
    } else if (!up && lost == 0 && s->clusters_up >= s->clusters) {
        text_add(&t, "its coordinator was replaced by a standby");
    } else if (!up) {
        text_u64(&t, lost > 0 ? lost : s->clusters - s->clusters_up);
        text_add(&t, " of ");
        text_u64(&t, s->clusters);
        text_add(&t, " leads are lost; standbys take over by themselves");
    } else {
        text_add(&t, "served again under epoch ");
        text_u64(&t, children_epoch(&h->children, i));
    }
}

/* Once a second. Before the mesh has been up nobody is missed; what was lost counts from the first
 * look on. */
static void incidents_watch(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    char what[FOUND_MAX];
    bool open = breaker_state(&h->breaker) == CIRCUIT_OPEN;
    if (h->mode == MODE_STARTING || h->tuning.no_log || o->incidents.load.due_us != NEVER) {
        return;
    }
    own(o, &o->incidents.mesh, FAILURE_CASCADE_FAILURE, h->self, open && !h->breaker.held,
        open ? "more than ten sectors have tripped: the mesh breaker is open" : "closed", false);
    for (uint32_t i = 0; i < h->children_count; i++) {
        const struct hub_child *c = &h->child[i];
        if (hub_child_agents(h, i) == 0 || children_epoch(&h->children, i) == 0) {
            continue; /* never heard of */
        }
        struct unit sector = hub_child_unit(h, i);
        bool up = children_reachable(&h->children, i) &&
                  (!c->has_summary || c->summary.clusters_up >= c->summary.clusters);
        /* A standby may be there before anybody saw that a lead was missing. */
        uint32_t lost = c->summary.leads_lost;
        uint64_t epoch = children_epoch(&h->children, i);
        bool first = o->incidents.epoch[i] == 0;
        bool same = epoch == o->incidents.epoch[i];
        bool more = !first && (!same || (c->has_summary && lost > o->incidents.lost[i]));
        up = up && !more;
        down_text(h, i, up, more && same ? lost - o->incidents.lost[i] : 0, what);
        own(o, &o->incidents.down[i], FAILURE_COORDINATOR_DOWN, sector, !up, what,
            children_reachable(&h->children, i) && (same || first));
        if (!more || o->incidents.down[i].id != 0) { /* else the log took no row: said again */
            o->incidents.lost[i] = lost;
            o->incidents.epoch[i] = epoch;
        }
        /* One that was opened by hand is no failure, as at the leads. */
        bool tripped = c->circuit == CIRCUIT_OPEN && !breaker_held(o, sector);
        own(o, &o->incidents.tripped[i], FAILURE_CASCADE_FAILURE, sector, tripped,
            tripped ? "its breaker is open: nothing is routed there"
                    : "its breaker lets traffic pass again, or is held open by hand",
            false);
    }
}

/* --- reading what is open ----------------------------------------------------------------------
 */

void incidents_start(struct orchestrator *o)
{
    o->incidents.load.due_us = o->hub.tuning.no_log ? NEVER : o->hub.now_us;
}

/* An incident of an earlier life; those of sectors go on here. */
static void adopt(struct orchestrator *o, uint64_t id, enum failure_class k, struct unit unit,
                  int64_t since_mesh_us)
{
    struct incident_own *at = NULL;
    if (unit.tier == TIER_ORCHESTRATOR && k == FAILURE_CASCADE_FAILURE) {
        at = &o->incidents.mesh;
    } else if (unit.tier == TIER_SECTOR && unit.sector <= o->hub.children_count) {
        at = k == FAILURE_COORDINATOR_DOWN ? &o->incidents.down[unit.sector - 1u]
                                           : &o->incidents.tripped[unit.sector - 1u];
    }
    if (at != NULL && at->id == 0) {
        *at = (struct incident_own){.id = id, .since_us = o->hub.now_us};
    }
    recoverable(o, heard(o, id, k, unit), since_mesh_us);
}

bool incidents_stored(struct orchestrator *o, const struct store_reply *reply)
{
    struct incident_book *b = &o->incidents;
    bool rows = false;
    if (!log_read_answer(o, &b->load, reply, &rows)) {
        return false;
    }
    for (uint32_t i = 0; rows && i < reply->row_count; i++) {
        char subject[24], agent[UNIT_TEXT_MAX], type[40];
        uint64_t id = 0;
        struct unit unit;
        const char *why = NULL;
        log_field(&reply->rows[i], "subject", subject, sizeof(subject));
        log_field(&reply->rows[i], "agent", agent, sizeof(agent));
        log_field(&reply->rows[i], "type", type, sizeof(type));
        bool mesh = strcmp(agent, "mesh") == 0;
        unit = unit_orchestrator();
        if (num_parse_hex64(subject, strlen(subject), &id) && id != 0 &&
            (mesh || unit_parse(agent, strlen(agent), &unit, &why))) {
            adopt(o, id, failure_parse(type), unit, reply->rows[i].stamp_us);
        }
    }
    return true;
}

/* --- time --------------------------------------------------------------------------------------
 */

/* Nobody speaks of it any more. */
static void expire(struct orchestrator *o)
{
    static const char gone[] = "no word of it any more: its lead was replaced, and judges anew";
    int64_t now_us = o->hub.now_us;
    for (uint32_t i = 0; i < INCIDENTS_OPEN_MAX; i++) {
        struct incident_open *at = &o->incidents.open[i];
        if (at->id == 0 || now_us - at->heard_us < INCIDENT_SILENT_US) {
            continue;
        }
        uint64_t event_id = incident_event_id(at->id, UINT32_MAX);
        threats_timing_over(o, at->id);
        if (!logbook_has(&o->logbook, event_id, incident_event_name(INCIDENT_RESOLVED))) {
            (void)row_of(o, at->id, event_id, (enum failure_class)at->failure, INCIDENT_RESOLVED,
                         at->unit, gone, sizeof(gone) - 1u, 0);
        }
    }
}

int64_t incidents_tick(struct orchestrator *o)
{
    struct incident_book *b = &o->incidents;
    int64_t now_us = o->hub.now_us;
    log_read_open(o, "incidents", &o->incidents.load);
    if (now_us >= b->watch_us) {
        incidents_watch(o);
        expire(o);
        b->watch_us = now_us + US_PER_S;
    }
    return b->load.due_us < b->watch_us ? b->load.due_us : b->watch_us;
}
