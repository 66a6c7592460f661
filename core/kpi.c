/* Buckets lie in rings by their number since 1970, so that a bucket's place follows from the time
 * alone and a record always overwrites that of the bucket whose place it takes. */
#include "core/kpi.h"
#include "core/histogram.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

#define HEX_DIGITS  6u
#define HEX_MAX     0xffffffu /* a count in a record saturates */
#define FIELD_START "start"

static const struct {
    const char *name;
    int64_t width_us;
    uint32_t slots;
} spans[KPI_OVERS] = {
    [KPI_HOUR] = {"hour", 300 * US_PER_S, 24},
    [KPI_DAY] = {"day", 3600 * US_PER_S, 48},
    [KPI_MONTH] = {"month", 86400 * US_PER_S, 60},
};

static const char *const names[KPI_FIGURES] = {
    [KPI_QUORUMS] = "quorums",
    [KPI_QUORUMS_ACHIEVED] = "quorums_achieved",
    [KPI_WINDOW_ELIGIBLE] = "window_eligible",
    [KPI_WINDOW_HITS] = "window_hits",
    [KPI_PREDICTED] = "predicted",
    [KPI_PREDICTED_50MS] = "predicted_50ms",
    [KPI_ANSWERS] = "answers",
    [KPI_CONFLICTS] = "conflicts",
    [KPI_OBSERVED_US] = "observed_us",
    [KPI_AVAILABLE_US] = "available_us",
    [KPI_CLUSTER_RECOVERIES] = "cluster_recoveries",
    [KPI_CLUSTER_RECOVERY_US] = "cluster_recovery_us",
    [KPI_CLUSTER_RECOVERY_MAX_US] = "cluster_recovery_max_us",
    [KPI_SECTOR_RECOVERIES] = "sector_recoveries",
    [KPI_SECTOR_RECOVERY_US] = "sector_recovery_us",
    [KPI_SECTOR_RECOVERY_MAX_US] = "sector_recovery_max_us",
};

static const char *const parts[2][KPI_HEX_PARTS] = {
    {"cascades_0", "cascades_1", "cascades_2", "cascades_3", "cascades_4"},
    {"fast_0", "fast_1", "fast_2", "fast_3", "fast_4"},
};

_Static_assert(KPI_HEX_PARTS == 5, "names of the parts");
_Static_assert(KPI_HEX_EACH *HEX_DIGITS <= STORE_FIELD_VALUE_MAX, "a part fits a field");
_Static_assert(KPI_FIELDS <= STORE_FIELDS_MAX, "a bucket fits a record");

const char *kpi_over_name(enum kpi_over over)
{
    assert(over < KPI_OVERS);
    return spans[over].name;
}

int64_t kpi_width_us(enum kpi_over over)
{
    assert(over < KPI_OVERS);
    return spans[over].width_us;
}

uint32_t kpi_slots(enum kpi_over over)
{
    assert(over < KPI_OVERS);
    return spans[over].slots;
}

static bool is_maximum(unsigned i)
{
    return i == KPI_CLUSTER_RECOVERY_MAX_US || i == KPI_SECTOR_RECOVERY_MAX_US;
}

void kpi_merge(struct kpi_counts *into, const struct kpi_counts *from)
{
    assert(into != NULL && from != NULL);
    for (unsigned i = 0; i < KPI_FIGURES; i++) {
        if (!is_maximum(i)) {
            into->n[i] += from->n[i];
        } else if (from->n[i] > into->n[i]) {
            into->n[i] = from->n[i];
        }
    }
    histogram_merge(into->cascades, from->cascades, LEAD_BUCKETS);
    histogram_merge(into->cascades_fast, from->cascades_fast, LEAD_BUCKETS);
}

void kpi_since(struct kpi_counts *into, const struct kpi_counts *from)
{
    assert(into != NULL && from != NULL);
    for (unsigned i = 0; i < KPI_FIGURES; i++) {
        into->n[i] -= is_maximum(i) ? 0 : from->n[i];
    }
    for (unsigned i = 0; i < LEAD_BUCKETS; i++) {
        into->cascades[i] -= from->cascades[i];
        into->cascades_fast[i] -= from->cascades_fast[i];
    }
}

static int64_t start_of(enum kpi_over over, int64_t mesh_us)
{
    return mesh_us - mesh_us % spans[over].width_us;
}

static uint32_t place_of(enum kpi_over over, int64_t start_us)
{
    return (uint32_t)(start_us / spans[over].width_us % spans[over].slots);
}

void kpi_add(struct kpi_history *h, int64_t mesh_us, const struct kpi_counts *counts)
{
    assert(h != NULL && counts != NULL);
    assert(mesh_us > 0);
    for (enum kpi_over over = KPI_HOUR; over < KPI_OVERS; over++) {
        int64_t start_us = start_of(over, mesh_us);
        struct kpi_bucket *b = &h->slots[over][place_of(over, start_us)];
        if (b->start_us != start_us) {
            *b = (struct kpi_bucket){.start_us = start_us};
        }
        kpi_merge(&b->counts, counts);
        b->dirty = true;
    }
}

int64_t kpi_sum(const struct kpi_history *h, enum kpi_over over, bool before, int64_t mesh_us,
                struct kpi_counts *ret)
{
    assert(h != NULL && ret != NULL);
    assert(over < KPI_OVERS);
    int64_t half = spans[over].slots / 2u;
    int64_t from_us =
        start_of(over, mesh_us) - (half * (before ? 2 : 1) - 1) * spans[over].width_us;
    memset(ret, 0, sizeof(*ret));
    for (int64_t i = 0; i < half; i++) {
        int64_t start_us = from_us + i * spans[over].width_us;
        if (start_us <= 0) {
            continue;
        }
        const struct kpi_bucket *b = &h->slots[over][place_of(over, start_us)];
        if (b->start_us == start_us) {
            kpi_merge(ret, &b->counts);
        }
    }
    return from_us;
}

/* --- records --- */

static char *digits(struct text *t, const uint32_t *counts, unsigned first, uint32_t *ret_bytes)
{
    char *begin = t->at + t->used;
    for (unsigned i = first; i < first + KPI_HEX_EACH && i < LEAD_BUCKETS; i++) {
        uint32_t n = counts[i] < HEX_MAX ? counts[i] : HEX_MAX;
        const uint8_t bytes[HEX_DIGITS / 2u] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        text_hex(t, bytes, sizeof(bytes));
    }
    *ret_bytes = (uint32_t)(t->at + t->used - begin);
    return begin;
}

static struct store_field number(struct text *t, const char *name, uint64_t n)
{
    struct store_field f = {.name = name, .value = t->at + t->used};
    text_u64(t, n);
    f.value_bytes = (uint32_t)(t->at + t->used - f.value);
    return f;
}

void kpi_save(const struct kpi_history *h, enum kpi_over over, uint32_t slot,
              struct kpi_record *ret)
{
    assert(h != NULL && ret != NULL);
    assert(over < KPI_OVERS && slot < spans[over].slots);
    const struct kpi_bucket *b = &h->slots[over][slot];
    struct text t;
    uint32_t k = 0;
    text_init(&t, ret->key, sizeof(ret->key));
    text_add(&t, "kpi.");
    text_add(&t, spans[over].name);
    text_add(&t, slot < 10 ? ".0" : ".");
    text_u64(&t, slot);
    text_init(&t, ret->memory, sizeof(ret->memory));
    ret->fields[k++] = number(&t, FIELD_START, (uint64_t)b->start_us);
    for (unsigned i = 0; i < KPI_FIGURES; i++) {
        ret->fields[k++] = number(&t, names[i], b->counts.n[i]);
    }
    for (unsigned which = 0; which < 2; which++) {
        const uint32_t *counts = which == 0 ? b->counts.cascades : b->counts.cascades_fast;
        for (unsigned i = 0; i < KPI_HEX_PARTS; i++) {
            struct store_field *f = &ret->fields[k++];
            f->name = parts[which][i];
            f->value = digits(&t, counts, i * KPI_HEX_EACH, &f->value_bytes);
        }
    }
    assert(k == KPI_FIELDS && !t.cut);
}

static const struct store_field *field(const struct store_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_count; i++) {
        if (strcmp(row->fields[i].name, name) == 0) {
            return &row->fields[i];
        }
    }
    return NULL;
}

static bool load_number(const struct store_row *row, const char *name, uint64_t *ret)
{
    const struct store_field *f = field(row, name);
    return f != NULL && num_parse_u64(f->value, f->value_bytes, ret);
}

static bool load_digits(const struct store_row *row, const char *name, uint32_t *counts,
                        unsigned first)
{
    const struct store_field *f = field(row, name);
    unsigned count = LEAD_BUCKETS - first < KPI_HEX_EACH ? LEAD_BUCKETS - first : KPI_HEX_EACH;
    if (f == NULL || f->value_bytes != count * HEX_DIGITS) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t n = 0;
        if (!num_parse_hex64(f->value + (size_t)i * HEX_DIGITS, HEX_DIGITS, &n)) {
            return false;
        }
        counts[first + i] = (uint32_t)n;
    }
    return true;
}

static bool load_counts(const struct store_row *row, struct kpi_counts *ret)
{
    bool good = true;
    for (unsigned i = 0; i < KPI_FIGURES; i++) {
        good = load_number(row, names[i], &ret->n[i]) && good;
    }
    for (unsigned i = 0; i < KPI_HEX_PARTS; i++) {
        good = load_digits(row, parts[0][i], ret->cascades, i * KPI_HEX_EACH) && good;
        good = load_digits(row, parts[1][i], ret->cascades_fast, i * KPI_HEX_EACH) && good;
    }
    return good;
}

bool kpi_load(struct kpi_history *h, const struct store_row *row)
{
    assert(h != NULL && row != NULL);
    struct kpi_counts counts = {0};
    uint64_t start = 0;
    if (row->key == NULL || strncmp(row->key, "kpi.", 4) != 0 ||
        !load_number(row, FIELD_START, &start) || start == 0 || start > INT64_MAX ||
        !load_counts(row, &counts)) {
        return false;
    }
    for (enum kpi_over over = KPI_HOUR; over < KPI_OVERS; over++) {
        size_t length = strlen(spans[over].name);
        struct kpi_bucket *b = &h->slots[over][place_of(over, (int64_t)start)];
        if (strncmp(row->key + 4, spans[over].name, length) != 0 || row->key[4 + length] != '.') {
            continue;
        }
        if ((int64_t)start != start_of(over, (int64_t)start)) {
            return false;
        }
        if (b->start_us < (int64_t)start) {
            *b = (struct kpi_bucket){.start_us = (int64_t)start};
        }
        if (b->start_us == (int64_t)start && !b->loaded) {
            kpi_merge(&b->counts, &counts);
            b->loaded = true;
        }
        return true;
    }
    return false;
}

/* --- consoles --- */

static void line(struct text *t, const char *name, int64_t n)
{
    text_add(t, name);
    text_char(t, '=');
    text_i64(t, n);
    text_char(t, '\n');
}

void kpi_text(const struct kpi_counts *counts, enum kpi_over over, bool before, int64_t from_us,
              struct text *ret)
{
    assert(counts != NULL && ret != NULL);
    text_add(ret, "over=");
    text_add(ret, kpi_over_name(over));
    text_char(ret, '\n');
    line(ret, "before", before ? 1 : 0);
    line(ret, "from", from_us);
    for (unsigned i = 0; i < KPI_FIGURES; i++) {
        line(ret, names[i], (int64_t)counts->n[i]);
    }
    line(ret, "cascade_p95_us", lead_quantile(counts->cascades, 0.95));
    line(ret, "cascade_fast_p95_us", lead_quantile(counts->cascades_fast, 0.95));
}
