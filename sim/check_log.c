/* The logs are append only, their chains intact, and nothing is acknowledged that is not in them.
 *
 * Followed are the rows that the store has said it has: none has two numbers, no number has two
 * rows. A report is acknowledged to its lead when its row is durable, not before. At the end every
 * log is read as it lies: numbers without a gap, each row names the hash of the one before, each
 * hash is that of its row (registry/memory.h), and what was acknowledged is where it was said to
 * be.
 */
#include "core/num.h"
#include "sim/check.h"
#include "sim/world_fault.h"
#include <stdlib.h>
#include <string.h>

#define LOGS      4u
#define ASKED_MAX 256u
#define KEPT_MAX  8192u /* then the oldest of the audit give way: a day has one each second */
#define AUDIT     1u

static const char *const logs[LOGS] = {"conflicts", "audit", "grants", "incidents"};

struct kept {
    char id[STORE_KEY_MAX];
    uint64_t seq; /* 0: read in a query, its number is not known here */
    uint8_t log;
};

/* Memory is made when a run has its first row. */
struct log_state {
    struct {
        uint64_t ref;
        uint32_t at; /* instance */
        struct kept row;
    } asked[ASKED_MAX];
    uint32_t asked_next;
    struct kept *kept;
    uint32_t count, next; /* next: to give way, when all are taken */
};

static uint8_t log_number(const char *name)
{
    for (uint8_t i = 0; i < LOGS; i++) {
        if (strcmp(logs[i], name) == 0) {
            return i;
        }
    }
    return LOGS;
}

/* NULL: there is none left. */
static struct kept *room(struct log_state *l)
{
    if (l->count < KEPT_MAX) {
        return &l->kept[l->count++];
    }
    for (uint32_t i = 0; i < KEPT_MAX; i++) {
        struct kept *k = &l->kept[l->next++ % KEPT_MAX];
        if (k->log == AUDIT) {
            return k;
        }
    }
    return NULL;
}

static void keep(struct judge *j, struct log_state *l, const struct world_step *s,
                 const struct kept *row)
{
    if (l->kept == NULL) {
        l->kept = calloc(KEPT_MAX, sizeof(*l->kept));
    }
    for (uint32_t i = 0; i < l->count; i++) {
        struct kept *k = &l->kept[i];
        bool same = k->log == row->log && strcmp(k->id, row->id) == 0;
        if (k->log == row->log && row->seq != 0 && k->seq != 0 && same != (k->seq == row->seq)) {
            judge_fail(j, &check_log, VERDICT_SAFETY, s, "row %llu of %s is %s, and was %s as %llu",
                       (unsigned long long)row->seq, logs[row->log], row->id, k->id,
                       (unsigned long long)k->seq);
        }
        if (same) {
            k->seq = row->seq != 0 ? row->seq : k->seq;
            return;
        }
    }
    struct kept *fresh = l->kept != NULL ? room(l) : NULL;
    if (fresh != NULL) {
        *fresh = *row;
    }
}

static void asked(const struct judge *j, struct log_state *l, const struct store_op *op)
{
    uint32_t at = l->asked_next++ % ASKED_MAX;
    l->asked[at].ref = op->ref;
    l->asked[at].at = j->at;
    l->asked[at].row = (struct kept){.log = log_number(op->key)};
    snprintf(l->asked[at].row.id, STORE_KEY_MAX, "%s", op->kind == STORE_LOG_APPEND ? op->id : "");
}

static void answered(struct judge *j, struct log_state *l, const struct world_step *s,
                     const struct store_reply *r)
{
    for (uint32_t i = 0; i < ASKED_MAX; i++) {
        if (l->asked[i].at != j->at || l->asked[i].ref != r->ref || r->ref == 0) {
            continue;
        }
        struct kept row = l->asked[i].row;
        l->asked[i].ref = 0;
        if (r->kind == STORE_LOG_APPEND && (r->verdict == STORE_OK || r->verdict == STORE_EXISTS)) {
            row.seq = r->epoch;
            keep(j, l, s, &row);
        }
        for (uint32_t k = 0; r->kind == STORE_LOG_QUERY && k < r->row_count; k++) {
            snprintf(row.id, sizeof(row.id), "%s", r->rows[k].key);
            keep(j, l, s, &row);
        }
        return;
    }
}

/* A row of this report: of a conflict by its id, of an incident by the event's. */
static bool known(const struct log_state *l, uint64_t id)
{
    char hex[HEX_TEXT_MAX];
    num_format_hex64(id, hex);
    for (uint32_t i = 0; i < l->count; i++) {
        if (strncmp(l->kept[i].id, hex, strlen(hex)) == 0) {
            return true;
        }
    }
    return false;
}

/* An incident that is open already, under the id of another word of it, is acknowledged at once. */
static bool open_already(const struct world_step *s, uint64_t id)
{
    const struct msg *m = s->event->kind == EV_MSG ? s->event->u.msg : NULL;
    return m != NULL && m->type == MSG_CONFLICT && m->u.conflict->incident != FAILURE_NONE &&
           m->u.conflict->id == id;
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct log_state *l = state;
    if (s->unit.tier != TIER_ORCHESTRATOR) {
        return;
    }
    for (uint32_t i = 0; s->event->kind == EV_START && i < ASKED_MAX; i++) {
        l->asked[i].ref = l->asked[i].at == j->at ? 0 : l->asked[i].ref; /* it counts anew */
    }
    if (s->event->kind == EV_STORE && (s->event->u.store->kind == STORE_LOG_APPEND ||
                                       s->event->u.store->kind == STORE_LOG_QUERY)) {
        answered(j, l, s, s->event->u.store);
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_STORE &&
            (fx->u.store.kind == STORE_LOG_APPEND || fx->u.store.kind == STORE_LOG_QUERY)) {
            asked(j, l, &fx->u.store);
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_CONFLICT_ACK &&
                   !open_already(s, fx->u.msg.u.conflict_ack.id) &&
                   !known(l, fx->u.msg.u.conflict_ack.id)) {
            judge_fail(j, &check_log, VERDICT_SAFETY, s,
                       "acknowledges report %016llx, which no log has",
                       (unsigned long long)fx->u.msg.u.conflict_ack.id);
        }
    }
}

static void chain(struct judge *j, const struct log_state *l, uint8_t log)
{
    const char *id, *wrong;
    for (uint64_t seq = 1; world_log_row(j->world, logs[log], seq, &id, &wrong); seq++) {
        if (wrong != NULL) {
            judge_fail(j, &check_log, VERDICT_SAFETY, NULL, "row %llu of %s %s",
                       (unsigned long long)seq, logs[log], wrong);
        }
    }
    for (uint32_t i = 0; i < l->count; i++) {
        const struct kept *k = &l->kept[i];
        bool there =
            k->log != log || k->seq == 0 ||
            (world_log_row(j->world, logs[log], k->seq, &id, &wrong) && strcmp(id, k->id) == 0);
        if (!there) {
            judge_fail(j, &check_log, VERDICT_SAFETY, NULL,
                       "row %llu of %s was acknowledged as %s and is not there",
                       (unsigned long long)k->seq, logs[log], k->id);
        }
    }
}

static void end(struct judge *j, void *state)
{
    struct log_state *l = state;
    for (uint8_t log = 0; log < LOGS && j->world != NULL; log++) {
        chain(j, l, log);
    }
}

static void done(void *state)
{
    free(((struct log_state *)state)->kept);
}

const struct check check_log = {
    .name = "log", .bytes = sizeof(struct log_state), .step = step, .end = end, .done = done};
