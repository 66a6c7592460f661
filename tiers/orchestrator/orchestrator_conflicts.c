/* From a conflict's report to its resolution. The log is the truth: a report becomes a row
 * "opened", what the mesh does about it rows "step", its end a row "resolved"; the table here is of
 * those that are worked on, and is read from the log again when this process starts or has room.
 *
 * Work begins with the most urgent. Each strategy asks the mesh once (orchestrator_strategy.c),
 * judges by the answer, and either resolves the conflict or asks a person, who decides with
 * `conflicts resolve`. What is not resolved by its deadline is escalated: a row, and a warning. */
#include "core/num.h"
#include "core/plant.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_strategy.h"
#include "tiers/orchestrator/orchestrator_threat.h"
#include <assert.h>
#include <string.h>

static struct open_conflict *find(struct orchestrator *o, uint64_t id)
{
    for (uint32_t i = 0; o->conflicts.count > 0 && i < CONFLICTS_OPEN_MAX; i++) {
        struct open_conflict *c = &o->conflicts.open[i];
        if (c->used && c->report.id == id) {
            return c;
        }
    }
    return NULL;
}

static void wake_at(struct orchestrator *o, int64_t at_us)
{
    o->conflicts.next_us = at_us < o->conflicts.next_us ? at_us : o->conflicts.next_us;
}

/* A free place; with none, that of a less urgent one that waits for a person: it stays open in the
 * log and is read again from there. */
static struct open_conflict *place_for(struct orchestrator *o, unsigned priority)
{
    struct conflict_book *b = &o->conflicts;
    struct open_conflict *least = NULL;
    for (uint32_t i = 0; i < CONFLICTS_OPEN_MAX; i++) {
        struct open_conflict *c = &b->open[i];
        if (!c->used) {
            return c;
        }
        if (c->stage == STAGE_REVIEW && c->priority < priority &&
            (least == NULL || c->priority < least->priority)) {
            least = c;
        }
    }
    if (least != NULL) {
        least->used = false;
        b->count--;
    }
    return least;
}

/* False: no room; the log has it, and it is read from there later. */
static bool open_add(struct orchestrator *o, const struct conflict_report *r)
{
    struct conflict_book *b = &o->conflicts;
    if (find(o, r->id) != NULL) {
        return true;
    }
    unsigned priority = conflict_priority(r->type, r->divergence_depth, r->agents_affected);
    struct open_conflict *c = place_for(o, priority);
    if (c == NULL) {
        return false;
    }
    memset(c, 0, sizeof(*c));
    c->used = true;
    c->stage = STAGE_NEW;
    c->report = *r;
    c->priority = priority;
    int64_t age = hub_mesh_now(&o->hub) - r->at_mesh_us;
    c->deadline_us = o->hub.now_us - (age > 0 ? age : 0) + conflict_deadline_us(c->priority);
    b->count++;
    wake_at(o, o->hub.now_us);
    return true;
}

void conflict_stage(struct orchestrator *o, struct open_conflict *c, enum conflict_stage stage)
{
    o->conflicts.busy -= c->stage == STAGE_ASKED ? 1u : 0u;
    o->conflicts.busy += stage == STAGE_ASKED ? 1u : 0u;
    c->stage = (uint8_t)stage;
    wake_at(o, o->hub.now_us);
}

/* --- rows --------------------------------------------------------------------------------------
 */

static void unit_word(char *ret, size_t size, struct unit u)
{
    struct text t;
    text_init(&t, ret, size);
    text_unit(&t, u);
}

struct logbook_row *conflict_row(struct orchestrator *o, const struct conflict_report *r,
                                 const char *event, unsigned number)
{
    struct logbook_row *row =
        log_row(o, LOG_CONFLICTS, LOGBOOK_RESERVE, event, conflict_type_name(r->type), r->agent);
    if (row == NULL) {
        return NULL;
    }
    struct text t;
    row->conflict = r->id;
    row->priority = conflict_priority(r->type, r->divergence_depth, r->agents_affected);
    num_format_hex64(r->id, row->subject);
    /* One row for each event of a conflict (steps by their number): repeating it is that row. */
    text_init(&t, row->id, sizeof(row->id));
    text_hex64(&t, r->id);
    text_char(&t, '.');
    text_add(&t, event);
    if (number > 0) {
        text_char(&t, '.');
        text_u64(&t, number);
    }
    return row;
}

bool conflict_say(struct orchestrator *o, struct open_conflict *c, const char *event,
                  const char *what)
{
    enum strategy s = conflict_strategy(c->report.type);
    struct logbook_row *row =
        conflict_row(o, &c->report, event, strcmp(event, "step") == 0 ? c->step + 1u : 0);
    if (row == NULL) {
        return false;
    }
    const char *step = conflict_step(s, c->step);
    struct text t;
    text_init(&t, row->body, sizeof(row->body));
    text_add(&t, "{\"strategy\": \"");
    text_add(&t, conflict_strategy_name(s));
    text_add(&t, "\", \"step\": ");
    text_u64(&t, c->step + 1u);
    text_add(&t, ", \"doing\": ");
    conflict_json_text(&t, step != NULL ? step : "", step != NULL ? strlen(step) : 0);
    text_add(&t, ", \"found\": ");
    conflict_json_text(&t, what, strlen(what));
    text_char(&t, '}');
    row->body_bytes = (uint32_t)t.used;
    return true;
}

struct logbook_row *conflict_close(struct orchestrator *o, struct open_conflict *c,
                                   enum conflict_keep keep, const char *why)
{
    static const char *const kept[KEEP_COUNT] = {"none", "expected", "received", "both"};
    struct logbook_row *row = conflict_row(o, &c->report, "resolved", 0);
    if (row == NULL) {
        return NULL;
    }
    struct text t;
    text_init(&t, row->body, sizeof(row->body));
    text_add(&t, "{\"keep\": \"");
    text_add(&t, kept[keep]);
    text_add(&t, "\", \"note\": ");
    conflict_json_text(&t, why, strlen(why));
    text_char(&t, '}');
    row->body_bytes = (uint32_t)t.used;
    conflict_stage(o, c, STAGE_CLOSING);
    return row;
}

/* --- what arrives ------------------------------------------------------------------------------
 */

static void acknowledge(struct orchestrator *o, uint64_t id, struct unit agent, uint64_t lamport)
{
    struct msg m = hub_msg(&o->hub, MSG_CONFLICT_ACK, unit_sector(agent.sector), 1);
    m.u.conflict_ack = (struct conflict_ack){.id = id, .agent = agent, .lamport = lamport};
    if (hub_fits(&o->hub, &m)) {
        out_send(o->hub.out, &m);
    }
}

void conflicts_report(struct orchestrator *o, const struct msg *msg)
{
    const struct conflict_report *r = msg->u.conflict;
    if (r->agent.sector != msg->from.sector || !topology_contains(o->hub.topology, r->agent)) {
        hub_note(&o->hub, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    if (r->incident == FAILURE_NONE && strcmp(r->action, CONFLICT_BYZANTINE) == 0 &&
        find(o, r->id) == NULL && !logbook_has(&o->logbook, r->id, "opened")) {
        threats_contradicted(o, r->agent);
    }
    threats_timing(o, r);
    if (o->hub.tuning.no_log) {
        acknowledge(o, r->id, r->agent, r->lamport);
        return;
    }
    if (r->incident != FAILURE_NONE) {
        if (incidents_report(o, r)) {
            acknowledge(o, r->id, r->agent, r->lamport);
        }
        return;
    }
    if (find(o, r->id) != NULL) {
        acknowledge(o, r->id, r->agent, r->lamport);
        return;
    }
    if (logbook_has(&o->logbook, r->id, "opened")) {
        return; /* on its way */
    }
    struct logbook_row *row = conflict_row(o, r, "opened", 0);
    if (row == NULL) {
        return; /* no room: the lead keeps it and says it again */
    }
    if (PLANTED(PLANT_EARLY_LOG)) {
        acknowledge(o, r->id, r->agent, r->lamport);
    }
    struct text t;
    row->at_us = r->at_mesh_us;
    row->tell = r->agent;
    text_init(&t, row->actor, sizeof(row->actor));
    text_unit(&t, r->agent);
    text_init(&t, row->body, sizeof(row->body));
    conflict_body(r, &t);
    row->body_bytes = (uint32_t)t.used;
}

void conflicts_durable(struct orchestrator *o, const struct logbook_row *row, bool known,
                       uint64_t seq)
{
    struct conflict_report r;
    if (row->log == LOG_INCIDENTS) {
        if (row->tell.tier != TIER_NONE) {
            acknowledge(o, row->conflict, row->tell, seq);
        }
        incidents_durable(o, row);
        return;
    }
    if (strcmp(row->event, "opened") == 0) {
        if (row->tell.tier != TIER_NONE) { /* else a person opened it */
            acknowledge(o, row->conflict, row->tell, seq);
        }
        bool read = conflict_read(row->subject, row->agent, row->type, row->at_us, row->body,
                                  row->body_bytes, &r);
        assert(read);
        (void)read;
        if (!known && !open_add(o, &r) && o->conflicts.load.due_us == NEVER) {
            o->conflicts.load.due_us = o->hub.now_us + LOG_AGAIN_US;
        }
    } else if (strcmp(row->event, "resolved") == 0) {
        struct open_conflict *c = find(o, row->conflict);
        if (c != NULL) {
            conflict_stage(o, c, STAGE_CLOSING);
            c->used = false;
            o->conflicts.count--;
        }
    }
}

/* --- a person's decision -----------------------------------------------------------------------
 */

static bool named(const struct open_conflict *c, const char *prefix)
{
    char name[HEX_TEXT_MAX];
    num_format_hex64(c->report.id, name);
    return c->used && c->stage != STAGE_CLOSING && strncmp(name, prefix, strlen(prefix)) == 0;
}

/* The one that is meant; NULL: refused, naming the candidates. */
static struct open_conflict *meant(struct orchestrator *o, const struct msg *msg)
{
    const char *prefix = msg->u.command->decision.conflict;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    struct open_conflict *found = NULL;
    unsigned count = 0;
    text_init(&t, memory, sizeof(memory));
    for (uint32_t i = 0; prefix[0] != '\0' && i < CONFLICTS_OPEN_MAX; i++) {
        struct open_conflict *c = &o->conflicts.open[i];
        if (!named(c, prefix)) {
            continue;
        }
        found = c;
        if (++count <= 8) {
            text_add(&t, count == 1 ? "ambiguous: " : ", ");
            text_hex64(&t, c->report.id);
        }
    }
    if (count == 1) {
        return found;
    }
    if (count == 0) {
        text_init(&t, memory, sizeof(memory));
        text_add(&t, "no open conflict is called ");
        text_add_safe(&t, prefix, strlen(prefix));
        text_add(&t, ": `conflicts list` names those that are open");
    }
    hub_reply_error(&o->hub, msg, REASON_INVALID, memory);
    return NULL;
}

void conflicts_resolve(struct orchestrator *o, const struct msg *msg)
{
    const struct conflict_decision *d = &msg->u.command->decision;
    struct open_conflict *c = meant(o, msg);
    if (c == NULL) {
        return;
    }
    struct logbook_row *row = conflict_close(o, c, d->keep, d->note);
    if (row == NULL) {
        hub_reply_error(&o->hub, msg, REASON_OVERLOAD, "the log takes no rows at the moment");
        return;
    }
    row->console = msg->from; /* told when it is durable */
    row->console_ref = msg->u.command->ref;
    unit_word(row->actor, sizeof(row->actor), msg->from);
    strategy_decided(o, c, d->keep);
}

/* --- reading what is open ----------------------------------------------------------------------
 */

void conflicts_start(struct orchestrator *o)
{
    o->conflicts.load.due_us = o->hub.tuning.no_log ? NEVER : o->hub.now_us;
    o->conflicts.next_us = o->hub.now_us;
}

bool conflicts_stored(struct orchestrator *o, const struct store_reply *reply)
{
    struct conflict_book *b = &o->conflicts;
    bool rows = false;
    if (!log_read_answer(o, &b->load, reply, &rows)) {
        return false;
    }
    for (uint32_t i = 0; rows && i < reply->row_count; i++) {
        const struct store_row *row = &reply->rows[i];
        char subject[24], agent[UNIT_TEXT_MAX], type[40];
        struct conflict_report r;
        log_field(row, "subject", subject, sizeof(subject));
        log_field(row, "agent", agent, sizeof(agent));
        log_field(row, "type", type, sizeof(type));
        if (conflict_read(subject, agent, type, row->stamp_us, (const char *)row->body,
                          row->body_bytes, &r)) {
            (void)open_add(o, &r); /* half of the table is free */
        }
    }
    return true;
}

/* --- time --------------------------------------------------------------------------------------
 */

static void escalate(struct orchestrator *o, struct open_conflict *c)
{
    if (c->escalated || c->stage == STAGE_CLOSING || c->deadline_us > o->hub.now_us) {
        return;
    }
    if (conflict_say(o, c, "escalated", "its deadline has passed: a person is asked to decide")) {
        c->escalated = true;
        hub_note(&o->hub, NOTE_CONFLICT_URGENT, c->report.id, unit_pack(c->report.agent));
    }
}

/* The most urgent that has not begun. */
static struct open_conflict *next_new(struct orchestrator *o)
{
    struct open_conflict *best = NULL;
    for (uint32_t i = 0; i < CONFLICTS_OPEN_MAX; i++) {
        struct open_conflict *c = &o->conflicts.open[i];
        if (c->used && c->stage == STAGE_NEW && c->until_us <= o->hub.now_us &&
            (best == NULL || c->priority > best->priority ||
             (c->priority == best->priority && c->deadline_us < best->deadline_us))) {
            best = c;
        }
    }
    return best;
}

int64_t conflicts_tick(struct orchestrator *o)
{
    struct conflict_book *b = &o->conflicts;
    int64_t now = o->hub.now_us;
    if (b->count <= CONFLICTS_OPEN_MAX / 2) {
        log_read_open(o, "conflicts", &b->load);
    }
    if (now < b->next_us) {
        return b->next_us < b->load.due_us ? b->next_us : b->load.due_us;
    }
    b->next_us = NEVER;
    for (uint32_t i = 0; b->count > 0 && i < CONFLICTS_OPEN_MAX; i++) {
        struct open_conflict *c = &b->open[i];
        if (!c->used) {
            continue;
        }
        if (c->stage == STAGE_ASKED && c->until_us <= now) {
            strategy_silent(o, c);
        }
        escalate(o, c);
        wake_at(o, c->stage == STAGE_ASKED || c->until_us > now ? c->until_us : NEVER);
        wake_at(o, c->escalated ? NEVER : c->deadline_us > now ? c->deadline_us : now + US_PER_S);
    }
    struct open_conflict *c = b->busy < CONFLICTS_BUSY_MAX ? next_new(o) : NULL;
    if (c != NULL) {
        strategy_begin(o, c);
        wake_at(o, now + 1);
    }
    int64_t load_us = b->count > CONFLICTS_OPEN_MAX / 2 ? NEVER : b->load.due_us;
    return b->next_us < load_us ? b->next_us : load_us;
}

struct open_conflict *conflict_asked(struct orchestrator *o, uint64_t ref)
{
    for (uint32_t i = 0; o->conflicts.busy > 0 && i < CONFLICTS_OPEN_MAX; i++) {
        struct open_conflict *c = &o->conflicts.open[i];
        if (c->used && c->stage == STAGE_ASKED && c->ask_ref == ref) {
            return c;
        }
    }
    return NULL;
}
