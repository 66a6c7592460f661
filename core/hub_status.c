/* The state of the whole below a node: for the console as mesh_status, for people with redis-cli as
 * a record of short text fields, every 5 s, and as one history entry a minute (kept for a day). */
#include "core/histogram.h"
#include "core/hub.h"
#include "core/num.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

#define HISTORY_ENTRIES 1440u
#define FIELDS          18u

void hub_status(const struct hub *h, struct mesh_status *ret)
{
    assert(h != NULL && ret != NULL);
    const struct hub_figures *f = &h->figures;
    memset(ret, 0, sizeof(*ret));
    hub_summary(h, &ret->summary);
    ret->mode = h->mode;
    ret->self = h->self;
    ret->started_mesh_us = meshtime_to_mesh(&h->time, h->started_us);
    ret->last_cascade_mesh_us = f->last_cascade_mesh_us;
    ret->operations_in_flight = h->gathers.waiting;
    ret->operations_max = OPERATIONS_MAX;
    ret->operations_done = f->done;
    ret->operations_refused = f->refused;
    ret->simulation = h->tuning.simulation;
    ret->store_up = h->store_up;
    ret->frozen = h->frozen;
}

/* --- the record --------------------------------------------------------------------------------
 */

struct record {
    struct store_field fields[FIELDS];
    uint32_t count;
    struct text text;
    char memory[FIELDS * STORE_FIELD_VALUE_MAX];
};

/* Starts the value of a field in the text; field_end closes it. */
static void field(struct record *r, const char *name)
{
    assert(r->count < FIELDS);
    r->fields[r->count] = (struct store_field){.name = name, .value = r->text.at + r->text.used};
}

static void field_end(struct record *r)
{
    struct store_field *f = &r->fields[r->count++];
    f->value_bytes = (uint32_t)(r->text.at + r->text.used - f->value);
}

static void number(struct record *r, const char *name, uint64_t v)
{
    field(r, name);
    text_u64(&r->text, v);
    field_end(r);
}

static void word(struct record *r, const char *name, const char *v)
{
    field(r, name);
    text_add(&r->text, v);
    field_end(r);
}

static void two(struct text *t, int64_t v)
{
    text_char(t, (char)('0' + v / 10 % 10));
    text_char(t, (char)('0' + v % 10));
}

/* ISO 8601 UTC with milliseconds; days to a date by H. Hinnant's civil_from_days. */
static void iso8601(struct text *t, int64_t unix_us)
{
    int64_t ms = unix_us > 0 ? unix_us / US_PER_MS : 0;
    int64_t days = ms / 86400000, rest = ms % 86400000;
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    text_i64(t, yoe + era * 400 + (month <= 2 ? 1 : 0));
    text_char(t, '-');
    two(t, month);
    text_char(t, '-');
    two(t, doy - (153 * mp + 2) / 5 + 1);
    text_char(t, 'T');
    two(t, rest / 3600000);
    text_char(t, ':');
    two(t, rest / 60000 % 60);
    text_char(t, ':');
    two(t, rest / 1000 % 60);
    text_char(t, '.');
    text_char(t, (char)('0' + rest / 100 % 10));
    two(t, rest % 100);
    text_char(t, 'Z');
}

static void unit_field(struct record *r, const char *name, struct unit u)
{
    field(r, name);
    if (u.tier != TIER_NONE) {
        text_unit(&r->text, u);
    }
    field_end(r);
}

static void fill(const struct hub *h, const struct summary *s, struct record *r)
{
    uint32_t leads[LEAD_BUCKETS] = {0};
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        if (c != CLASS_F_HUMAN) {
            histogram_merge(leads, s->lead_counts[c], LEAD_BUCKETS);
        }
    }
    text_init(&r->text, r->memory, sizeof(r->memory));
    r->count = 0;
    number(r, "agents", s->agents);
    number(r, "active", s->active);
    number(r, "suspect", s->suspect);
    number(r, "offline", s->offline);
    number(r, "quarantined", s->quarantined);
    number(r, "degraded", s->degraded);
    number(r, "clusters", s->clusters);
    number(r, "clusters_up", s->clusters_up);
    field(r, "mean_impedance_ms");
    text_ms(&r->text, (int64_t)summary_mean_us(s), 1);
    field_end(r);
    field(r, "p95_lead_ms");
    text_ms(&r->text, lead_quantile(leads, 0.95), 1);
    field_end(r);
    number(r, "conflicts_hour", s->conflicts_hour);
    unit_field(r, "healthiest", s->healthiest);
    unit_field(r, "sickest", s->sickest);
    unit_field(r, "slowest_agent", s->slowest);
    word(r, "circuit", circuit_name(s->circuit));
    word(r, "mode", mode_name(h->mode));
    number(r, "operations_done", h->figures.done);
    field(r, "last_updated");
    iso8601(&r->text, s->updated_mesh_us);
    field_end(r);
}

void hub_store_summary(struct hub *h, const char *shard, bool history, uint64_t ref)
{
    assert(h != NULL && shard != NULL);
    struct summary s;
    struct record r;
    hub_summary(h, &s);
    fill(h, &s, &r);
    struct store_op op = {.ref = ref,
                          .kind = history ? STORE_APPEND : STORE_PUT,
                          .shard = shard,
                          .key = history ? "history" : "summary",
                          .fields = r.fields,
                          .field_count = r.count,
                          .limit = history ? HISTORY_ENTRIES : 0};
    if (outbox_room(h->out, 1, 4096)) {
        out_store(h->out, &op);
    }
}
