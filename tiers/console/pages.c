/* Pages of rows. Everything a row points to is copied into one block of its own: rows outlive the
 * reply that brought them. Running out of memory ends the console with a message: it holds nothing
 * that could be lost. */
#include "tiers/console/pages.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *at, size_t *room, size_t wanted, size_t size)
{
    if (wanted <= *room)
        return at;
    size_t next = *room ? *room * 2 : 64;
    at = realloc(at, next * size);
    if (!at) {
        fprintf(stderr, "mesh: out of memory for %zu rows\n", next);
        exit(1);
    }
    *room = next;
    return at;
}

static void *keep(struct pages *p, const void *bytes, size_t size)
{
    p->blocks = grow(p->blocks, &p->block_room, p->block_count + 1, sizeof *p->blocks);
    void *copy = malloc(size ? size : 1);
    if (!copy) {
        fprintf(stderr, "mesh: out of memory\n");
        exit(1);
    }
    if (size)
        memcpy(copy, bytes, size);
    p->blocks[p->block_count++] = copy;
    return copy;
}

static void add_row(struct pages *p, const struct page_row *row)
{
    struct page_row copy = *row;
    switch (p->kind) {
    case ROW_AGENT:
        break;
    case ROW_SUMMARY:
        copy.u.summary = keep(p, row->u.summary, sizeof *row->u.summary);
        break;
    case ROW_ANSWER:
        copy.u.answer.runs =
            keep(p, row->u.answer.runs, row->u.answer.run_count * sizeof *row->u.answer.runs);
        copy.u.answer.answer = keep(p, row->u.answer.answer, row->u.answer.answer_bytes);
        break;
    case ROW_RECORD:
        copy.u.record.text = keep(p, row->u.record.text, row->u.record.bytes);
        break;
    }
    p->rows = grow(p->rows, &p->room, p->count + 1, sizeof *p->rows);
    p->rows[p->count++] = copy;
}

/* Whether this agent is here already; marks it. */
static bool seen_before(struct pages *p, const struct topology *t, struct unit agent)
{
    if (agent.tier != TIER_AGENT || !topology_contains(t, agent))
        return false;
    if (!p->seen)
        p->seen = calloc(topology_places(t) / 8 + 1, 1);
    if (!p->seen) {
        fprintf(stderr, "mesh: out of memory\n");
        exit(1);
    }
    uint32_t index = topology_index(t, agent);
    uint8_t bit = (uint8_t)(1u << index % 8);
    bool before = (p->seen[index / 8] & bit) != 0;
    p->seen[index / 8] |= bit;
    return before;
}

void pages_add(struct pages *p, const struct topology *t, const struct rows *rows, size_t most)
{
    assert(p && t && rows);
    p->kind = rows->kind;
    p->more = rows->more;
    if (rows->total > p->total)
        p->total = rows->total;
    if (rows->missing > p->missing)
        p->missing = rows->missing;
    for (uint32_t i = 0; i < rows->row_count && p->count < most; i++) {
        p->last_key = rows->rows[i].key;
        if (rows->kind == ROW_AGENT && seen_before(p, t, rows->rows[i].unit))
            continue;
        add_row(p, &rows->rows[i]);
    }
}

bool pages_lack(const struct pages *p, size_t most)
{
    assert(p);
    size_t wanted = p->total < most ? p->total : most;
    return p->kind == ROW_AGENT && p->missing == 0 && p->count < wanted;
}

static int smaller_key_first(const void *a, const void *b)
{
    const struct page_row *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

void pages_sort(struct pages *p)
{
    assert(p);
    if (p->count)
        qsort(p->rows, p->count, sizeof *p->rows, smaller_key_first);
}

void pages_done(struct pages *p)
{
    assert(p);
    for (size_t i = 0; i < p->block_count; i++)
        free(p->blocks[i]);
    free(p->blocks);
    free(p->rows);
    free(p->seen);
    *p = (struct pages){0};
}

static int larger_first(const void *a, const void *b)
{
    const struct answer_group *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

struct answer_group *pages_groups(const struct pages *p)
{
    assert(p && (p->count == 0 || p->kind == ROW_ANSWER));
    struct answer_group *groups = calloc(p->count ? p->count : 1, sizeof *groups);
    if (!groups) {
        fprintf(stderr, "mesh: out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < p->count; i++)
        groups[i] = p->rows[i].u.answer;
    if (p->count)
        qsort(groups, p->count, sizeof *groups, larger_first);
    return groups;
}
