/* The audit of every command, and what consoles ask about the logs.
 *
 * A command becomes a row when it comes and gets its outcome from the first reply that it is given
 * in the same step; the row is then on its way. A command that changes something is refused when no
 * row can be kept for it: nothing is done unrecorded. What only reads is answered in any case. The
 * prompt's own look at the status, every second, is no command of a person and is left out. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define OPEN_ROWS 8u                  /* of one page of what is open in a log */
#define AUTOMATIC (UINT64_C(1) << 63) /* refs that a console gives to what nobody typed */

static const char *command_name(const struct command *c)
{
    switch (c->kind) {
    case COMMAND_STATUS:
        return "status";
    case COMMAND_SUBMIT:
        return "submit";
    case COMMAND_QUERY:
        return "query";
    case COMMAND_CANCEL:
        return "cancel";
    case COMMAND_FREEZE:
        return "freeze";
    case COMMAND_THAW:
        return "thaw";
    case COMMAND_WHEN:
        return "when";
    case COMMAND_BREAKER:
        return "breaker";
    case COMMAND_HEAL:
        return "heal";
    case COMMAND_LOG:
        return "log";
    case COMMAND_RESOLVE:
        return "resolve";
    case COMMAND_ROUTE:
        return "route";
    case COMMAND_ISOLATE:
        return c->on ? "quarantine" : "lift";
    case COMMAND_APPROVE:
        return c->on ? "approve" : "reject";
    case COMMAND_THREAT:
        return c->on ? "threat-clear" : "threats";
    case COMMAND_SECOND:
        return c->name[0] != '\0' ? "approve" : "approvals";
    case COMMAND_MOVE:
        return strcmp(c->name, "back") == 0 ? "move-back" : "move";
    case COMMAND_SCALE:
        return c->scale.action == SCALE_ADD      ? "scale-add"
               : c->scale.action == SCALE_FINISH ? "scale-finish"
               : c->scale.action == SCALE_ABORT  ? "scale-abort"
               : c->scale.action == SCALE_REMOVE ? "scale-remove"
                                                 : "scale";
    case COMMAND_KIND_COUNT:
        break;
    }
    return "unknown";
}

static bool reads_only(const struct command *c)
{
    return c->kind == COMMAND_STATUS || c->kind == COMMAND_QUERY || c->kind == COMMAND_WHEN ||
           c->kind == COMMAND_LOG || (c->kind == COMMAND_HEAL && c->on) ||
           (c->kind == COMMAND_THREAT && !c->on) ||
           (c->kind == COMMAND_SECOND && c->name[0] == '\0') ||
           (c->kind == COMMAND_MOVE && (c->on || c->query.selector.places.count == 0)) ||
           (c->kind == COMMAND_SCALE && (c->on || c->scale.action < SCALE_ADD)) ||
           (c->kind == COMMAND_ROUTE && c->query.selector.capabilities == 0 &&
            c->query.selector.places.count == 0);
}

static void word(char *ret, size_t size, const char *text)
{
    struct text t;
    text_init(&t, ret, size);
    text_add_safe(&t, text, strlen(text));
}

static void unit_word(char *ret, size_t size, struct unit u)
{
    struct text t;
    text_init(&t, ret, size);
    text_unit(&t, u);
}

struct logbook_row *log_row(struct orchestrator *o, enum log_kind log, uint32_t spare,
                            const char *event, const char *type, struct unit agent)
{
    struct hub *h = &o->hub;
    struct logbook_row *row = h->tuning.no_log ? NULL : logbook_add(&o->logbook, h->now_us, spare);
    if (row == NULL) {
        return NULL;
    }
    row->log = log;
    row->at_us = hub_mesh_now(h);
    if (log == LOG_AUDIT) {
        num_id128_format(num_id128_from(row->at_us, &h->rng), row->id);
    }
    word(row->event, sizeof(row->event), event);
    word(row->type, sizeof(row->type), type);
    word(row->actor, sizeof(row->actor), "mesh");
    unit_word(row->agent, sizeof(row->agent), agent);
    return row;
}

static void range_text(const char *letter, struct range r, struct text *t)
{
    if ((r.first == 0 && r.last == 0) || (r.first == 1 && r.last == UINT16_MAX)) {
        return;
    }
    text_add(t, letter);
    text_add(t, letter[0] == 's' && r.first < 10 ? "0" : "");
    text_u64(t, r.first);
    if (r.last != r.first) {
        text_char(t, '-');
        text_u64(t, r.last);
    }
}

static void places_text(const struct place_set *set, struct text *t)
{
    text_add(t, set->count == 0 ? "mesh" : "");
    for (uint32_t i = 0; i < set->count; i++) {
        text_add(t, i > 0 ? "," : "");
        range_text("s", set->patterns[i].sector, t);
        range_text(".c", set->patterns[i].cluster, t);
        range_text(".a", set->patterns[i].agent, t);
    }
}

/* What the command was about, as members of the row's JSON. */
static void describe(const struct command *c, struct text *t)
{
    char places[192];
    text_char(t, '{');
    if (c->operator_name[0] != '\0') {
        text_add(t, "\"operator\": \"");
        text_add_safe(t, c->operator_name, strlen(c->operator_name));
        text_add(t, c->proof == PROOF_TOKEN ? "\", \"key\": \"token\", " : "\", ");
    }
    if (c->kind == COMMAND_SUBMIT || c->kind == COMMAND_WHEN || c->kind == COMMAND_QUERY ||
        c->kind == COMMAND_ROUTE || c->kind == COMMAND_SCALE) {
        const struct selector *sel =
            c->kind == COMMAND_QUERY || c->kind == COMMAND_ROUTE || c->kind == COMMAND_SCALE
                ? &c->query.selector
                : &c->operation.selector;
        struct text p;
        text_init(&p, places, sizeof(places));
        places_text(&sel->places, &p);
        text_add(t, "\"on\": ");
        conflict_json_text(t, places, p.used);
        text_add(t, ", ");
    }
    if (c->kind == COMMAND_SUBMIT) {
        const struct operation *op = &c->operation;
        text_add(t, "\"action\": ");
        conflict_json_text(t, op->action, strlen(op->action));
        text_add(t, ", \"payload\": ");
        conflict_json_text(t, op->payload, op->payload_bytes < 128 ? op->payload_bytes : 128);
        text_add(t, ", ");
    } else if (c->kind == COMMAND_CANCEL || c->kind == COMMAND_APPROVE) {
        text_add(t, "\"operation\": \"");
        text_id128(t, c->operation_id);
        text_add(t, "\", ");
    } else if (c->kind == COMMAND_ROUTE) {
        text_add(t, c->on ? "\"avoid\": true, " : "\"avoid\": false, ");
    } else if (c->kind == COMMAND_BREAKER) {
        text_add(t, c->on ? "\"to\": \"open\", " : "\"to\": \"closed\", ");
    } else if (c->kind == COMMAND_HEAL) {
        text_add(t, c->on ? "\"dry_run\": true, " : "");
    } else if (c->kind == COMMAND_RESOLVE) {
        text_add(t, "\"conflict\": ");
        conflict_json_text(t, c->decision.conflict, strlen(c->decision.conflict));
        text_add(t, ", ");
    } else if (c->kind == COMMAND_ISOLATE) {
        text_add(t, "\"reason\": ");
        conflict_json_text(t, c->decision.note, strlen(c->decision.note));
        text_add(t, ", ");
    } else if (c->kind == COMMAND_MOVE) {
        text_add(t, "\"to\": ");
        conflict_json_text(t, c->name, strlen(c->name));
        text_add(t, ", ");
    } else if (c->kind == COMMAND_SCALE &&
               (c->scale.action == SCALE_ADD || c->scale.action == SCALE_REMOVE)) {
        text_add(t, c->scale.action == SCALE_ADD ? "\"newcomers\": " : "\"removed\": ");
        text_u64(t, c->scale.count);
        text_add(t, ", ");
    } else if (command_has_id(c->kind)) {
        text_add(t, "\"id\": ");
        conflict_json_text(t, c->name, strlen(c->name));
        text_add(t, ", ");
    } else if (c->kind == COMMAND_LOG) {
        text_add(t, "\"log\": \"");
        text_add(t, log_kind_name(c->log.log));
        text_add(t, c->log.ask == LOG_ASK_VERIFY ? "\", \"ask\": \"verify\", "
                                                 : "\", \"ask\": \"rows\", ");
    }
}

bool audit_begin(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct hub *h = &o->hub;
    o->auditing = NULL;
    if (h->tuning.no_log || (c->kind == COMMAND_STATUS && (c->ref & AUTOMATIC) != 0)) {
        return true;
    }
    bool scoped = command_has_scope(c->kind) && c->scope.tier != TIER_NONE;
    struct logbook_row *row =
        log_row(o, LOG_AUDIT, 0, "command", command_name(c), scoped ? c->scope : h->self);
    if (row == NULL) {
        if (reads_only(c)) {
            return true;
        }
        char memory[TEXT_BYTES_MAX];
        struct text t;
        text_init(&t, memory, sizeof(memory));
        text_add(&t, "the audit log takes no rows: nothing is changed unrecorded (");
        text_add(&t, o->logbook.why);
        text_add(&t, ")");
        hub_reply_error(h, msg, REASON_OVERLOAD, memory);
        return false;
    }
    num_format_hex64(c->ref, row->subject);
    unit_word(row->actor, sizeof(row->actor), msg->from);
    row->priority = reads_only(c) ? 0 : 1;
    struct text t;
    text_init(&t, row->body, sizeof(row->body));
    describe(c, &t);
    row->body_bytes = (uint32_t)t.used;
    o->auditing = row;
    return true;
}

void audit_reply(struct orchestrator *o, const struct reply *reply)
{
    struct logbook_row *row = o->auditing;
    if (row == NULL || reply->kind == REPLY_LINE) { /* a report goes on */
        return;
    }
    struct text t;
    text_init(&t, row->body + row->body_bytes, sizeof(row->body) - row->body_bytes);
    if (reply->kind == REPLY_ERROR) {
        text_add(&t, "\"outcome\": \"refused\", \"reason\": \"");
        text_add(&t, reason_name(reply->reason));
        text_add(&t, "\", \"why\": ");
        conflict_json_text(&t, reply->text, strlen(reply->text));
        text_char(&t, '}');
    } else if (reply->kind == REPLY_ACCEPTED || reply->kind == REPLY_HELD) {
        text_add(&t, reply->kind == REPLY_HELD ? "\"outcome\": \"held\", \"message_id\": \""
                                               : "\"outcome\": \"accepted\", \"message_id\": \"");
        text_id128(&t, reply->operation_id);
        text_add(&t, "\"}");
    } else {
        text_add(&t, "\"outcome\": \"done\"}");
    }
    row->body_bytes += (uint32_t)t.used;
    o->auditing = NULL;
}

/* Without a reply in its step it goes on: a query, a row of the log. */
void audit_end(struct orchestrator *o)
{
    struct logbook_row *row = o->auditing;
    if (row != NULL) {
        struct text t;
        text_init(&t, row->body + row->body_bytes, sizeof(row->body) - row->body_bytes);
        text_add(&t, "\"outcome\": \"accepted\"}");
        row->body_bytes += (uint32_t)t.used;
        o->auditing = NULL;
    }
}

void audit_mode(struct orchestrator *o, enum mode before, uint64_t permille)
{
    struct hub *h = &o->hub;
    struct logbook_row *row = log_row(o, LOG_AUDIT, LOGBOOK_RESERVE, "mode", "mode", h->self);
    if (row == NULL) {
        return; /* the note says it all the same */
    }
    word(row->subject, sizeof(row->subject), "mode");
    row->priority = h->mode >= MODE_DEGRADED_SEVERE ? 3 : 1;
    struct text t;
    text_init(&t, row->body, sizeof(row->body));
    text_add(&t, "{\"action\": \"");
    text_add(&t, mode_name(before));
    text_add(&t, " -> ");
    text_add(&t, mode_name(h->mode));
    text_add(&t, "\", \"active_permille\": ");
    text_u64(&t, permille);
    text_add(&t, ", \"outcome\": \"changed\", \"why\": \"");
    text_add(&t, mode_description(h->mode));
    text_add(&t, "\", \"restrictions\": \"");
    text_add(&t, mode_restrictions(h->mode));
    text_add(&t, "\"}");
    row->body_bytes = (uint32_t)t.used;
}

static void head_text(struct text *t, const char *before, const struct order_head *head)
{
    text_add(t, before);
    text_u64(t, head->epoch);
    text_add(t, ", \"number\": ");
    text_u64(t, head->seq);
    text_add(t, ", \"head\": \"");
    text_hex(t, head->hash, sizeof(head->hash));
    text_add(t, "\"");
}

void audit_orders(struct orchestrator *o)
{
    if (o->orders.logged || o->orders.head.seq == 0) {
        return;
    }
    o->orders.logged = true;
    struct logbook_row *row = o->orders.prior.epoch != 0 ? log_row(o, LOG_AUDIT, LOGBOOK_RESERVE,
                                                                   "orders", "begun", o->hub.self)
                                                         : NULL;
    if (row == NULL) {
        return; /* the first chain of a mesh; or the log takes no rows, and sectors know it */
    }
    word(row->subject, sizeof(row->subject), "orders");
    struct text t;
    text_init(&t, row->body, sizeof(row->body));
    head_text(&t, "{\"epoch\": ", &o->orders.head);
    head_text(&t, ", \"after\": {\"epoch\": ", &o->orders.prior);
    text_add(&t, "}, \"action\": \"orders\", \"outcome\": \"begun\", \"why\": \"after number ");
    text_u64(&t, o->orders.prior.seq);
    text_add(&t, " of epoch ");
    text_u64(&t, o->orders.prior.epoch);
    text_add(&t, "\"}");
    row->body_bytes = (uint32_t)t.used;
}

/* --- requests ----------------------------------------------------------------------------------
 */

struct filters {
    struct store_field fields[10];
    uint32_t count;
    char since[U64_TEXT_MAX], until[U64_TEXT_MAX], priority[U64_TEXT_MAX], agent[UNIT_TEXT_MAX];
};

static void filter(struct filters *f, const char *name, const char *value)
{
    size_t n = strlen(value);
    if (n > 0) {
        f->fields[f->count++] = (struct store_field){
            .name = name,
            .value = value,
            .value_bytes = (uint32_t)(n < STORE_FIELD_VALUE_MAX ? n : STORE_FIELD_VALUE_MAX)};
    }
}

static void filters_of(const struct log_request *q, struct filters *f)
{
    f->count = 0;
    (void)num_format_i64(q->since_us, f->since);
    (void)num_format_i64(q->until_us, f->until);
    (void)num_format_u64(q->priority, f->priority);
    filter(f, "since_us", q->since_us > 0 ? f->since : "");
    filter(f, "until_us", q->until_us > 0 ? f->until : "");
    filter(f, "priority", q->priority > 0 ? f->priority : "");
    filter(f, "open", q->open ? "1" : "");
    filter(f, "newest", q->newest ? "1" : "");
    if (q->agent.tier != TIER_NONE && q->agent.tier != TIER_ORCHESTRATOR) {
        unit_word(f->agent, sizeof(f->agent), q->agent);
        filter(f, "agent", f->agent);
    }
    filter(f, "event", q->event);
    filter(f, "subject", q->subject);
    filter(f, "type", q->type);
    filter(f, "actor", q->actor);
}

static struct log_wait *wait_take(struct orchestrator *o)
{
    for (uint32_t i = 0; i < LOG_WAITS_MAX; i++) {
        if (o->waits[i].ref == 0) {
            return &o->waits[i];
        }
    }
    return NULL;
}

void log_command(struct orchestrator *o, const struct msg *msg)
{
    const struct log_request *q = &msg->u.command->log;
    struct hub *h = &o->hub;
    bool verify = q->ask == LOG_ASK_VERIFY;
    uint32_t most = verify ? STORE_LOG_VERIFY_MAX : LOG_PAGE_ROWS;
    if (h->tuning.no_log) {
        hub_reply_error(h, msg, REASON_INVALID, "this mesh keeps no log: log_url is not set");
        return;
    }
    if (q->limit == 0 || q->limit > most) {
        hub_reply_error(h, msg, REASON_INVALID, "limit: 1 to 8 rows, 1 to 4096 to verify");
        return;
    }
    struct log_wait *w = wait_take(o);
    if (w == NULL) {
        hub_reply_error(h, msg, REASON_OVERLOAD, "pool \"log requests\": all are in flight");
        return;
    }
    struct filters f;
    filters_of(q, &f);
    struct store_op op = {.ref = h->next_ref + 1,
                          .kind = verify ? STORE_LOG_VERIFY : STORE_LOG_QUERY,
                          .shard = "mesh",
                          .key = log_kind_name(q->log),
                          .fields = verify ? NULL : f.fields,
                          .field_count = verify ? 0 : f.count,
                          .cursor = q->cursor,
                          .limit = q->limit};
    assert(outbox_room(h->out, 1, store_op_extra_bytes(&op)));
    out_store(h->out, &op);
    *w = (struct log_wait){.ref = ++h->next_ref,
                           .console = msg->from,
                           .console_ref = msg->u.command->ref,
                           .until_us = h->now_us + LOG_WAIT_US,
                           .log = q->log,
                           .ask = q->ask};
}

void log_field(const struct store_row *row, const char *name, char *ret, size_t size)
{
    ret[0] = '\0';
    for (uint32_t i = 0; i < row->field_count; i++) {
        const struct store_field *f = &row->fields[i];
        if (strcmp(f->name, name) == 0 && f->value_bytes < size) {
            memcpy(ret, f->value, f->value_bytes);
            ret[f->value_bytes] = '\0';
        }
    }
}

static void entry_of(const struct store_row *row, struct log_entry *ret)
{
    char number[U64_TEXT_MAX];
    uint64_t n = 0;
    log_field(row, "seq", number, sizeof(number));
    (void)num_parse_u64(number, strlen(number), &ret->seq);
    log_field(row, "priority", number, sizeof(number));
    ret->priority = num_parse_u64(number, strlen(number), &n) ? (uint32_t)n : 0;
    ret->at_us = row->stamp_us;
    word(ret->id, sizeof(ret->id), row->key);
    log_field(row, "event", ret->event, sizeof(ret->event));
    log_field(row, "subject", ret->subject, sizeof(ret->subject));
    log_field(row, "agent", ret->agent, sizeof(ret->agent));
    log_field(row, "type", ret->type, sizeof(ret->type));
    log_field(row, "actor", ret->actor, sizeof(ret->actor));
    log_field(row, "prev", ret->prev, sizeof(ret->prev));
    log_field(row, "hash", ret->hash, sizeof(ret->hash));
    size_t bytes = row->body_bytes < LOG_BODY_MAX ? row->body_bytes : LOG_BODY_MAX - 1;
    memcpy(ret->body, row->body != NULL ? row->body : (const uint8_t *)"", bytes);
    ret->body[bytes] = '\0';
}

static void answer(struct orchestrator *o, const struct log_wait *w, const struct store_reply *r)
{
    struct log_page *p = &o->page;
    memset(p, 0, sizeof(*p));
    p->log = w->log;
    p->ask = w->ask;
    p->cursor = r->cursor;
    if (w->ask == LOG_ASK_VERIFY) {
        struct text t;
        p->last = r->epoch;
        text_init(&t, p->finding, sizeof(p->finding));
        text_add_safe(&t, r->body, r->body_bytes);
        if (r->row_count > 0) {
            log_field(&r->rows[0], "hash", p->head, sizeof(p->head));
        }
    } else {
        p->count = r->row_count < LOG_PAGE_ROWS ? r->row_count : LOG_PAGE_ROWS;
        for (uint32_t i = 0; i < p->count; i++) {
            entry_of(&r->rows[i], &p->entries[i]);
        }
    }
    struct reply reply = {.ref = w->console_ref, .kind = REPLY_LOG, .final = true, .log = p};
    hub_reply(&o->hub, w->console, &reply);
}

static void refuse(struct orchestrator *o, const struct log_wait *w, const char *why)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "the log is away: ");
    text_add_safe(&t, why, strlen(why));
    struct reply reply = {.ref = w->console_ref,
                          .kind = REPLY_ERROR,
                          .final = true,
                          .reason = REASON_OVERLOAD,
                          .text = memory};
    hub_reply(&o->hub, w->console, &reply);
}

static void row_stored(struct orchestrator *o, struct logbook_row *row,
                       const struct store_reply *reply, bool durable)
{
    struct hub *h = &o->hub;
    if (durable && row->log != LOG_AUDIT) {
        conflicts_durable(o, row, reply->verdict == STORE_EXISTS, reply->epoch);
    }
    if (durable && row->console.tier != TIER_NONE) {
        struct reply ok = {.ref = row->console_ref, .kind = REPLY_OK, .final = true};
        hub_reply(h, row->console, &ok);
    }
    if (!durable) {
        hub_note(h, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
    }
    if (durable || reply->verdict == STORE_INVALID) {
        logbook_drop(&o->logbook, row);
    }
}

bool log_stored(struct orchestrator *o, const struct store_reply *reply)
{
    bool durable = false;
    struct logbook_row *row =
        logbook_reply(&o->logbook, o->hub.now_us, reply, &o->hub.rng, &durable);
    if (row != NULL) {
        row_stored(o, row, reply, durable);
        return true;
    }
    for (uint32_t i = 0; i < LOG_WAITS_MAX; i++) {
        struct log_wait *w = &o->waits[i];
        if (w->ref != 0 && w->ref == reply->ref) {
            if (reply->verdict == STORE_OK) {
                answer(o, w, reply);
            } else {
                refuse(o, w,
                       reply->detail != NULL ? reply->detail : store_verdict_name(reply->verdict));
            }
            w->ref = 0;
            return true;
        }
    }
    return false;
}

/* --- what is open in a log ---------------------------------------------------------------------
 */

void log_read_open(struct orchestrator *o, const char *log, struct log_reading *r)
{
    assert(o != NULL && log != NULL && r != NULL);
    struct hub *h = &o->hub;
    if (h->now_us < r->due_us) {
        return;
    }
    const struct store_field open = {.name = "open", .value = "1", .value_bytes = 1};
    struct store_op op = {.ref = h->next_ref + 1,
                          .kind = STORE_LOG_QUERY,
                          .shard = "mesh",
                          .key = log,
                          .fields = &open,
                          .field_count = 1,
                          .cursor = r->cursor,
                          .limit = OPEN_ROWS};
    if (!outbox_room(h->out, 1, store_op_extra_bytes(&op))) {
        h->short_of_room = true;
        return;
    }
    out_store(h->out, &op);
    r->ref = ++h->next_ref;
    r->due_us = h->now_us + LOGBOOK_ANSWER_US; /* asked again without an answer */
}

bool log_read_answer(struct orchestrator *o, struct log_reading *r, const struct store_reply *reply,
                     bool *ret_rows)
{
    assert(o != NULL && r != NULL && reply != NULL && ret_rows != NULL);
    *ret_rows = false;
    if (r->ref == 0 || reply->ref != r->ref) {
        return false;
    }
    r->ref = 0;
    r->due_us = o->hub.now_us + LOG_AGAIN_US;
    if (reply->verdict == STORE_OK) {
        *ret_rows = true;
        r->cursor = reply->cursor;
        r->due_us = reply->cursor != 0 ? o->hub.now_us : NEVER;
    }
    return true;
}

int64_t log_tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    int64_t wake = logbook_pump(&o->logbook, h->now_us, h->out, &h->next_ref, &h->short_of_room);
    for (uint32_t i = 0; i < LOG_WAITS_MAX; i++) {
        struct log_wait *w = &o->waits[i];
        if (w->ref != 0 && w->until_us <= h->now_us) {
            refuse(o, w, "no answer in time");
            w->ref = 0;
        } else if (w->ref != 0) {
            wake = w->until_us < wake ? w->until_us : wake;
        }
    }
    return wake;
}
