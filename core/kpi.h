/* The success metrics of spec part 11 over time: counts in buckets of five minutes, an hour and a
 * day, from which an hour, a day and a month are summed, and as much before each for the trend.
 *
 * Bounds: 24 buckets of 5 minutes, 48 of an hour, 60 of a day, whatever the mesh does; a new bucket
 * takes the place of the oldest of its width. A span ends now and begins at a bucket's edge: an
 * hour is of 55 to 60 minutes. Counts only rise within a bucket, so that buckets add. The record of
 * a bucket is below 2 KiB; all of them together are below 256 KiB in the registry. Pure. */
#ifndef CORE_KPI_H
#define CORE_KPI_H

#include "core/limits.h"
#include "core/store.h"
#include "core/text.h"
#include <stdbool.h>
#include <stdint.h>

enum kpi_over { KPI_HOUR, KPI_DAY, KPI_MONTH, KPI_OVERS };

enum kpi_figure {
    KPI_QUORUMS,
    KPI_QUORUMS_ACHIEVED,
    KPI_WINDOW_ELIGIBLE,
    KPI_WINDOW_HITS,
    KPI_PREDICTED,
    KPI_PREDICTED_50MS,
    KPI_ANSWERS,
    KPI_CONFLICTS,
    KPI_OBSERVED_US,
    KPI_AVAILABLE_US,
    KPI_CLUSTER_RECOVERIES,
    KPI_CLUSTER_RECOVERY_US,     /* their sum .. */
    KPI_CLUSTER_RECOVERY_MAX_US, /* .. and the longest: merged by maximum */
    KPI_SECTOR_RECOVERIES,
    KPI_SECTOR_RECOVERY_US,
    KPI_SECTOR_RECOVERY_MAX_US,
    KPI_FIGURES
};

struct kpi_counts {
    uint64_t n[KPI_FIGURES];
    uint32_t cascades[LEAD_BUCKETS];      /* durations of all cascades .. */
    uint32_t cascades_fast[LEAD_BUCKETS]; /* .. and of those to classes A and B alone */
};

#define KPI_SLOTS_MAX 60u

struct kpi_bucket {
    int64_t start_us; /* mesh time; 0: empty */
    bool loaded;      /* what an earlier life counted in it is in it */
    bool dirty;       /* the registry's record lacks something */
    struct kpi_counts counts;
};

struct kpi_history {
    struct kpi_bucket slots[KPI_OVERS][KPI_SLOTS_MAX];
};

/* "hour", "day", "month" */
const char *kpi_over_name(enum kpi_over over);
/* Of the buckets that make up this span, and how many are kept of them. */
int64_t kpi_width_us(enum kpi_over over);
uint32_t kpi_slots(enum kpi_over over);

void kpi_merge(struct kpi_counts *into, const struct kpi_counts *from);
/* into -= from, where `from` is an earlier state of the same counters (maxima: kept). */
void kpi_since(struct kpi_counts *into, const struct kpi_counts *from);

/* Adds to the open bucket of each width. */
void kpi_add(struct kpi_history *h, int64_t mesh_us, const struct kpi_counts *counts);
/* The span that ends at mesh_us, or the one before it. Returns when it began. */
int64_t kpi_sum(const struct kpi_history *h, enum kpi_over over, bool before, int64_t mesh_us,
                struct kpi_counts *ret);

/* The record of a bucket: key "kpi.hour.07" in the collection "kpi". */
#define KPI_HEX_EACH     10u /* histogram counts of one field, 6 hex digits each */
#define KPI_HEX_PARTS    ((LEAD_BUCKETS + KPI_HEX_EACH - 1u) / KPI_HEX_EACH)
#define KPI_FIELDS       (1u + KPI_FIGURES + 2u * KPI_HEX_PARTS)
#define KPI_RECORD_BYTES 2048u
struct kpi_record {
    char key[16];
    struct store_field fields[KPI_FIELDS];
    char memory[KPI_RECORD_BYTES];
};
void kpi_save(const struct kpi_history *h, enum kpi_over over, uint32_t slot,
              struct kpi_record *ret);
/* Adds what a record holds to its bucket, once. False: it is none of ours, or damaged. */
bool kpi_load(struct kpi_history *h, const struct store_row *row);

/* One span for a console: lines "name=value". */
void kpi_text(const struct kpi_counts *counts, enum kpi_over over, bool before, int64_t from_us,
              struct text *ret);

#endif
