/* What the lead has learnt about its agents' speed, in the registry, so that it outlives the lead:
 * a predictor in its agent's record, what the agents of a class have in common in one record a
 * class. Written at a beat, half a minute after the last time at the earliest; a successor that
 * finds them predicts as well as its predecessor did half a minute before its end. */
#include "tiers/cluster/cluster_learnt.h"
#include "core/impedance_history.h"
#include "core/predictor_save.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define LEARNT_WRITE_US (30ll * US_PER_S)
#define PRIORS_WRITE_US (60ll * US_PER_S)

static const char *const LINE_NAMES[] = {"learnt_1", "learnt_2", "learnt_3",
                                         "learnt_4", "learnt_5", "learnt_6"};

static_assert(sizeof(struct predictor) <= (size_t)4 * PREDICTOR_SAVED_LINE, "names for all lines");
static_assert(sizeof(struct predictor_prior) <= (size_t)6 * PREDICTOR_SAVED_LINE,
              "names for all lines");

/* --- of one agent --- */

bool learnt_differs(const struct cluster *c, const struct member *m)
{
    assert(c != NULL && m != NULL);
    if (c->mode == MODE_EMERGENCY) { /* what is known may be all that is left: no pause */
        return m->predictor.last_us != m->written.learnt_us;
    }
    return m->predictor.last_us != m->written.learnt_us &&
           m->impedance.heartbeat_mesh_us - m->written.learnt_mesh_us >= LEARNT_WRITE_US;
}

void learnt_record(const struct member *m, struct record *r)
{
    assert(m != NULL && r != NULL);
    struct saved_line lines[PREDICTOR_SAVED_LINES];
    predictor_save(&m->predictor, lines);
    record_u64(r, "learnt_form", PREDICTOR_SAVED_FORM);
    for (uint32_t k = 0; k < PREDICTOR_SAVED_LINES; k++) {
        record_text(r, LINE_NAMES[k], lines[k].digits);
    }
}

void learnt_history_record(const struct member *m, struct record *r)
{
    assert(m != NULL && r != NULL);
    char memory[STORE_FIELD_VALUE_MAX + 1];
    struct text t;
    uint16_t values[HISTORY_MINUTES];
    uint32_t n = impedance_history_values(&m->history, values);
    text_init(&t, memory, sizeof memory);
    /* The newest that fit. */
    for (uint32_t from = n > 9 ? n - 9 : 0, k = from; k < n; k++) {
        if (k > from) {
            text_char(&t, ' ');
        }
        text_u64(&t, values[k]);
    }
    record_text(r, "impedance_history_ms", memory);
    text_init(&t, memory, sizeof memory);
    text_i64(&t, impedance_history_trend_percent(&m->history));
    record_text(r, "impedance_trend_percent", memory);
    record_u64(r, "impedance_spikes", m->history.spikes);
}

void learnt_history_read(struct cluster *c, int64_t now_us, uint32_t i, const struct store_row *row)
{
    assert(c != NULL && row != NULL);
    assert(i < c->count);
    uint16_t values[HISTORY_MINUTES];
    uint32_t count = 0;
    uint64_t spikes = 0;
    for (uint32_t k = 0; k < row->field_count; k++) {
        const struct store_field *f = &row->fields[k];
        if (strcmp(f->name, "impedance_spikes") == 0) {
            num_parse_u64(f->value, f->value_bytes, &spikes);
        } else if (strcmp(f->name, "impedance_history_ms") == 0) {
            count = 0;
            for (uint32_t at = 0, end = 0; at < f->value_bytes && count < HISTORY_MINUTES;
                 at = end + 1u) {
                uint64_t ms = 0;
                for (end = at; end < f->value_bytes && f->value[end] != ' '; end++) {
                }
                if (num_parse_u64(f->value + at, end - at, &ms) && ms <= UINT16_MAX) {
                    values[count++] = (uint16_t)ms;
                }
            }
        }
    }
    spikes = spikes < UINT16_MAX ? spikes : UINT16_MAX;
    impedance_history_load(&c->members[i].history, now_us, values, count, (uint16_t)spikes);
}

/* The lines among a record's fields; false: not all are there, or they are of another form. */
static bool lines_of(const struct store_row *row, struct saved_line *ret, uint32_t count)
{
    uint32_t found = 0;
    uint64_t form = 0;
    for (uint32_t k = 0; k < row->field_count; k++) {
        const struct store_field *f = &row->fields[k];
        if (strcmp(f->name, "learnt_form") == 0) {
            num_parse_u64(f->value, f->value_bytes, &form);
        }
        for (uint32_t n = 0; n < count; n++) {
            if (strcmp(f->name, LINE_NAMES[n]) == 0 &&
                f->value_bytes <= 2 * (size_t)PREDICTOR_SAVED_LINE) {
                memcpy(ret[n].digits, f->value, f->value_bytes);
                ret[n].digits[f->value_bytes] = '\0';
                found |= 1u << n;
            }
        }
    }
    return form == PREDICTOR_SAVED_FORM && found == (1u << count) - 1u;
}

void learnt_read(struct cluster *c, uint32_t i, const struct store_row *row)
{
    assert(c != NULL && row != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    struct saved_line lines[PREDICTOR_SAVED_LINES];
    memset(lines, 0, sizeof lines);
    struct predictor read = m->predictor;
    if (lines_of(row, lines, PREDICTOR_SAVED_LINES) && predictor_load(&read, lines) &&
        read.count > m->predictor.count) {
        m->predictor = read;
        m->lead_us = 0; /* to be said anew */
    }
}

/* --- of the classes --- */

static void prior_key(enum impedance_class k, char ret[STORE_KEY_MAX])
{
    struct text t;
    text_init(&t, ret, STORE_KEY_MAX);
    text_add(&t, "prior:");
    text_add(&t, class_name(k));
}

bool learnt_prior_due(const struct cluster *c, int64_t now_us, uint32_t *ret_class)
{
    assert(c != NULL && ret_class != NULL);
    for (uint32_t k = CLASS_NONE + 1; k < CLASS_COUNT; k++) {
        if (c->priors[k].count != c->priors_written[k] &&
            now_us - c->priors_put_us[k] >= PRIORS_WRITE_US) {
            *ret_class = k;
            return true;
        }
    }
    return false;
}

void learnt_prior_record(const struct cluster *c, uint32_t k, char ret_key[STORE_KEY_MAX],
                         struct record *r)
{
    assert(c != NULL && r != NULL);
    assert(k > CLASS_NONE && k < CLASS_COUNT);
    const struct predictor_prior *prior = &c->priors[k];
    struct saved_line lines[PRIOR_SAVED_LINES];
    predictor_prior_save(prior, lines);
    prior_key((enum impedance_class)k, ret_key);
    record_init(r);
    record_u64(r, "observations", prior->count);
    record_fixed(r, "network_ms", (double)prior->net_ms, 3);
    record_fixed(r, "processing_ms", (double)prior->base_ms, 3);
    record_fixed(r, "weight_slope", (double)prior->weight_slope, 3);
    record_fixed(r, "queue_slope", (double)prior->queue_slope, 3);
    record_fixed(r, "in_time", 1.0 - (double)prior->miss, 3);
    record_u64(r, "learnt_form", PREDICTOR_SAVED_FORM);
    for (uint32_t n = 0; n < PRIOR_SAVED_LINES; n++) {
        record_text(r, LINE_NAMES[n], lines[n].digits);
    }
}

void learnt_prior_written(struct cluster *c, int64_t now_us, uint32_t k)
{
    assert(c != NULL);
    assert(k > CLASS_NONE && k < CLASS_COUNT);
    c->priors_written[k] = c->priors[k].count;
    c->priors_put_us[k] = now_us;
}

bool learnt_prior_wanted(const struct cluster *c, char ret_key[STORE_KEY_MAX], uint32_t *ret_class)
{
    assert(c != NULL && ret_class != NULL);
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t k = c->members[i].agent_class;
        if (k > CLASS_NONE && (c->priors_read >> k & 1u) == 0) {
            prior_key((enum impedance_class)k, ret_key);
            *ret_class = k;
            return true;
        }
    }
    return false;
}

void learnt_prior_read(struct cluster *c, uint32_t k, const struct store_reply *reply)
{
    assert(c != NULL && reply != NULL);
    assert(k > CLASS_NONE && k < CLASS_COUNT);
    if (reply->verdict != STORE_OK && reply->verdict != STORE_MISSING) {
        return; /* asked again */
    }
    c->priors_read |= (uint16_t)(1u << k);
    struct saved_line lines[PRIOR_SAVED_LINES];
    memset(lines, 0, sizeof lines);
    struct predictor_prior read = c->priors[k];
    if (reply->row_count > 0 && lines_of(&reply->rows[0], lines, PRIOR_SAVED_LINES) &&
        predictor_prior_load(&read, lines) && read.count > c->priors[k].count) {
        c->priors[k] = read;
        c->priors_written[k] = read.count;
    }
}
