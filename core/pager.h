/* One bounded page of rows (query.h), merged from the pages of the children, or built from a lead's
 * own rows in any order. Sorted by key, then unit; only keys after after_key.
 *
 * A page is cut where its limit of rows or its data room is met, and where a child's page was cut:
 * beyond that key nothing is known to be complete, so no row there is kept (`more` is set and the
 * next page is asked for with after_key = the last key here). So every row comes exactly once,
 * whatever the limits at the tiers. Rows of ROW_ANSWER with equal hashes are one row: counts added,
 * runs merged (AGGREGATE_RUNS_MAX at most, then fewer runs than the count). Other rows with the
 * same key and unit are the same row: the first stays. Rows with equal keys are never split over
 * pages; more than a page of equal keys does not occur (keys are unique by construction).
 *
 * `total` is the sum of the children's totals; equal answers of two children count twice in it. */
#ifndef CORE_PAGER_H
#define CORE_PAGER_H

#include "core/query.h"
#include <stddef.h>

struct pager_slot {
    struct page_row row;
    uint32_t at, bytes; /* its block in the data room */
};

struct pager {
    enum row_kind kind;
    uint64_t after_key;
    bool from_start;
    bool more;
    bool bounded;     /* horizon holds */
    uint64_t horizon; /* no row at or after this key is known to be complete */
    uint32_t limit, row_count, total, missing;
    uint32_t data_bytes;  /* of its rows, at most; the room is half as large again */
    uint32_t data_living; /* of its rows */
    uint32_t data_used;   /* those, and holes between them */
    struct page_row *out; /* limit rows: what pager_rows() lends */
    struct pager_slot *slots;
    uint16_t *order; /* slots of the rows by key, then limit - row_count that are free */
    uint8_t *data;
};

/* rows_max: PAGE_ROWS_MAX at most; data_max: PAGE_BYTES_MAX at most, 4 KiB at least. A lead with 64
 * agents needs 64 rows and 16 KiB: small enough for a stack. */
size_t pager_bytes(uint32_t rows_max, uint32_t data_max);

/* memory: pager_bytes() bytes, 16-byte aligned. limit: 1 to rows_max (the query's, cut to it). */
void pager_init(struct pager *p, void *memory, uint32_t rows_max, uint32_t data_max,
                enum row_kind kind, bool from_start, uint64_t after_key, uint32_t limit);

enum pager_verdict {
    PAGER_OK,
    PAGER_INVALID /* other kind, not sorted, row beyond its bounds, `more` without rows */
};

/* A child's page; copied. An invalid page changes nothing: count that child with pager_missing().
 */
enum pager_verdict pager_page(struct pager *p, const struct rows *page);

/* One row of one's own; copied. Counts in total, also when it lies before after_key. */
void pager_row(struct pager *p, const struct page_row *row);

void pager_missing(struct pager *p, uint32_t children);

/* The page so far; borrowed until the next call on p. */
void pager_rows(struct pager *p, uint64_t ref, struct rows *ret);

#endif
