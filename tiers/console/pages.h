/* Rows of a query, collected over its pages: deep copies, in order. Bounded by what was asked for;
 * memory grows with the rows shown (about 400 bytes each).
 *
 * Agents come sorted by their score, which moves while pages are fetched: one may come twice, and
 * one may slip behind the cursor. Each is kept once, and pages_lack() says that another pass is
 * needed to find those that slipped. */
#ifndef TIERS_CONSOLE_PAGES_H
#define TIERS_CONSOLE_PAGES_H

#include "core/query.h"
#include "core/topology.h"
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
    uint64_t last_key; /* of the last row that came, also of one that was here already */
    uint8_t *seen;     /* of agents, by linear index */
};

/* Adds at most `most` rows in all; t is the same in all calls. */
void pages_add(struct pages *p, const struct topology *t, const struct rows *rows, size_t most);

/* After the last page: agents that match are missing although every tier answered. */
bool pages_lack(const struct pages *p, size_t most);
void pages_sort(struct pages *p); /* by key, after more than one pass */
void pages_done(struct pages *p); /* empty again */

/* The answer groups of ROW_ANSWER pages, largest first; the array is the caller's to free, what it
 * points to stays with the pages. */
struct answer_group *pages_groups(const struct pages *p);

#endif
