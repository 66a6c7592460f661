/* Rows of a query, collected over its pages: deep copies, in order. Bounded by what was asked for;
 * memory grows with the rows shown (about 400 bytes each). */
#ifndef TIERS_CONSOLE_PAGES_H
#define TIERS_CONSOLE_PAGES_H

#include "core/query.h"
#include <stdbool.h>
#include <stddef.h>

struct pages {
    enum row_kind kind;
    struct page_row *rows;
    size_t count, room;
    void **blocks; /* what the rows point to */
    size_t block_count, block_room;
    uint32_t total, missing;
    bool more;
    uint64_t last_key;
};

/* Adds at most `most` rows in all. */
void pages_add(struct pages *p, const struct rows *rows, size_t most);
void pages_done(struct pages *p); /* empty again */

/* The answer groups of ROW_ANSWER pages, largest first; the array is the caller's to free, what it
 * points to stays with the pages. */
struct answer_group *pages_groups(const struct pages *p);

#endif
