/* One line a fact. Random ids are replaced by small names in order of appearance, and times are
 * optional, so that a golden text says what happened and in which order, not what the generator
 * drew. The table of names is bounded: after 64 operations they are called op*. */
#include "sim/trace.h"
#include "core/num.h"
#include <string.h>

#define NAMES_MAX 64u

static uint64_t names[NAMES_MAX];
static uint32_t name_count;

void trace_reset(void)
{
    name_count = 0;
}

static void print_op(FILE *to, uint64_t low)
{
    uint32_t i = 0;
    while (i < name_count && names[i] != low) {
        i++;
    }
    if (i == NAMES_MAX) {
        fputs("op*", to);
        return;
    }
    if (i == name_count) {
        names[name_count++] = low;
    }
    fprintf(to, "op%u", i + 1);
}

static void print_unit(FILE *to, struct unit u)
{
    char text[UNIT_TEXT_MAX];
    unit_format(u, text);
    fputs(text, to);
}

static void start_line(const struct trace *t, const struct world_step *s)
{
    if (t->times) {
        fprintf(t->to, "%9.3f ", (double)(s->true_us - t->from_us) / 1000.0);
    }
    print_unit(t->to, s->unit);
}

static void print_counts(FILE *to, const struct aggregate_view *a)
{
    fprintf(to, " targets=%u", a->targets);
    for (unsigned o = 0; o < OUTCOME_COUNT; o++) {
        if (a->outcomes[o] > 0) {
            fprintf(to, " %s=%u", outcome_name((enum outcome)o), a->outcomes[o]);
        }
    }
    for (unsigned r = 1; r < REASON_COUNT; r++) {
        if (a->reasons[r] > 0) {
            fprintf(to, " (%s %u)", reason_name((enum reason)r), a->reasons[r]);
        }
    }
}

static bool is_beat(enum msg_type type)
{
    return type == MSG_HEARTBEAT || type == MSG_BEAT || type == MSG_BEAT_REPLY;
}

static void print_msg(const struct trace *t, const struct world_step *s, const struct msg *m)
{
    if (is_beat(m->type) && !t->beats) {
        return;
    }
    start_line(t, s);
    fputs(" <- ", t->to);
    print_unit(t->to, m->from);
    fprintf(t->to, " %s", msg_type_name(m->type));
    if (m->type == MSG_OPERATE) {
        fputc(' ', t->to);
        print_op(t->to, num_id128_low(m->u.operate.operation_id));
        fprintf(t->to, " attempt=%u", m->u.operate.attempt);
        if (m->u.operate.operation != NULL) {
            fprintf(t->to, " action=%s", m->u.operate.operation->action);
        }
    } else if (m->type == MSG_ACK) {
        fputc(' ', t->to);
        print_op(t->to, num_id128_low(m->u.ack.operation_id));
        fprintf(t->to, " %s%s", outcome_name(m->u.ack.outcome), m->u.ack.late ? " late" : "");
    } else if (m->type == MSG_RESULT) {
        fputc(' ', t->to);
        print_op(t->to, num_id128_low(m->u.result->operation_id));
        fputs(m->u.result->unknown ? " unknown"
              : m->u.result->final ? " final"
                                   : " progress",
              t->to);
        print_counts(t->to, &m->u.result->aggregate);
    } else if (m->type == MSG_CANCEL || m->type == MSG_RESUME) {
        fputc(' ', t->to);
        print_op(t->to, num_id128_low(m->u.cancel.operation_id));
    } else if (m->type == MSG_PREPARED) {
        fprintf(t->to, " targets=%u", m->u.prepared->targets);
    } else if (m->type == MSG_ROWS) {
        fprintf(t->to, " rows=%u total=%u missing=%u", m->u.rows.row_count, m->u.rows.total,
                m->u.rows.missing);
    } else if (m->type == MSG_CIRCUIT) {
        fprintf(t->to, " %s ", circuit_name(m->u.circuit.action));
        print_unit(t->to, m->u.circuit.target);
    }
    fputc('\n', t->to);
}

static bool is_unit(const char *meaning)
{
    return strcmp(meaning, "unit") == 0 || strcmp(meaning, "agent") == 0 ||
           strcmp(meaning, "from") == 0;
}

static void print_number(const struct trace *t, const char *meaning, uint64_t value)
{
    if (strcmp(meaning, "-") == 0) {
        return;
    }
    fprintf(t->to, " %s=", meaning);
    if (strcmp(meaning, "op") == 0 || strcmp(meaning, "message") == 0) {
        print_op(t->to, value);
    } else if (is_unit(meaning) && value >> 48 != 0) {
        print_unit(t->to, unit_unpack(value));
    } else {
        fprintf(t->to, "%llu", (unsigned long long)value);
    }
}

static void print_note(const struct trace *t, const struct world_step *s,
                       const struct note_record *note)
{
    const struct note_info *info = note_info(note->note);
    if (info->level == 'D' && !t->notes_debug) {
        return;
    }
    start_line(t, s);
    fprintf(t->to, " ! %s", info->name);
    print_number(t, info->a, note->a);
    print_number(t, info->b, note->b);
    fputc('\n', t->to);
}

/* What a tier tells a console. */
static void print_reply(const struct trace *t, const struct world_step *s, const struct reply *r)
{
    static const char *const kinds[] = {"?",         "error", "ok",     "accepted", "progress",
                                        "operation", "rows",  "status", "when"};
    start_line(t, s);
    fprintf(t->to, " -> console %s", kinds[(unsigned)r->kind < 9 ? r->kind : 0]);
    if (r->kind == REPLY_OPERATION) {
        fprintf(t->to, " %s %s", r->report->status, decision_name(r->report->decision));
        print_counts(t->to, &r->report->aggregate);
    } else if (r->kind == REPLY_ERROR) {
        fprintf(t->to, " %s: %s", reason_name(r->reason), r->text);
    } else if (r->kind == REPLY_ROWS) {
        fprintf(t->to, " rows=%u total=%u missing=%u", r->rows->row_count, r->rows->total,
                r->rows->missing);
    }
    fputc('\n', t->to);
}

void trace_step(void *context, const struct world_step *s)
{
    static const char *const links[LINK_COUNT] = {"bus", "store", "durable"};
    const struct trace *t = context;
    if (s->true_us < t->from_us) {
        return;
    }
    if (s->event->kind == EV_MSG) {
        print_msg(t, s, s->event->u.msg);
    } else if (s->event->kind == EV_LINK && s->true_us > 0 && !s->event->u.link.up) {
        start_line(t, s);
        fprintf(t->to, " <- link %s down\n", links[s->event->u.link.which]);
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_NOTE) {
            print_note(t, s, &fx->u.note);
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_REPLY) {
            print_reply(t, s, fx->u.msg.u.reply);
        }
    }
}
