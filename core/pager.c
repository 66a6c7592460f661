/* Merging sorted pages with own copies in two fixed rooms: slots (rows) and data (what they point
 * to). A row is put at its place by binary search; where the room ends, the rows with the greatest
 * key go and the horizon moves down to that key: nothing at or beyond it is known to be complete,
 * so nothing there is taken any more. The horizon is also set behind the last row of every child
 * page that says `more`. That makes every row appear exactly once over all pages, whatever each
 * tier could carry.
 *
 * Data is handed out by a bump mark; blocks of dropped and replaced rows are holes until the room
 * is short, then the living blocks slide down in order. The room is half as large again as what may
 * live in it, so that a full page slides once for many merges, not for each. Cost of a row: log
 * rows to find its place, and a move of two bytes a row when it is a new one; PAGE_ROWS_MAX at
 * most. */
#include "core/pager.h"
#include "core/aggregate.h"
#include "core/node.h"
#include <assert.h>
#include <string.h>

#define ALIGN      16u
#define DATA_LEAST 4096u

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGN - 1u) & ~(size_t)(ALIGN - 1u);
}

/* What may live there, and holes. */
static uint32_t room_of(uint32_t data_max)
{
    return data_max + data_max / 2u;
}

size_t pager_bytes(uint32_t rows_max, uint32_t data_max)
{
    assert(rows_max >= 1 && rows_max <= PAGE_ROWS_MAX);
    assert(data_max >= DATA_LEAST && data_max <= PAGE_BYTES_MAX);
    return round_up(rows_max * sizeof(struct page_row)) +
           round_up(rows_max * sizeof(struct pager_slot)) + round_up(rows_max * sizeof(uint16_t)) +
           round_up(room_of(data_max));
}

void pager_init(struct pager *p, void *memory, uint32_t rows_max, uint32_t data_max,
                enum row_kind kind, bool from_start, uint64_t after_key, uint32_t limit)
{
    assert(p != NULL && memory != NULL && ((uintptr_t)memory & (ALIGN - 1u)) == 0);
    assert(rows_max >= 1 && rows_max <= PAGE_ROWS_MAX && limit >= 1);
    assert(data_max >= DATA_LEAST && data_max <= PAGE_BYTES_MAX);
    uint8_t *at = memory;
    *p = (struct pager){.kind = kind,
                        .from_start = from_start,
                        .after_key = after_key,
                        .limit = limit < rows_max ? limit : rows_max,
                        .data_bytes = data_max,
                        .out = (void *)at};
    at += round_up(rows_max * sizeof(struct page_row));
    p->slots = (void *)at;
    at += round_up(rows_max * sizeof(struct pager_slot));
    p->order = (void *)at;
    at += round_up(rows_max * sizeof(uint16_t));
    p->data = at;
    for (uint32_t i = 0; i < p->limit; i++) {
        p->order[i] = (uint16_t)i;
    }
}

static struct pager_slot *slot_of(const struct pager *p, uint32_t place)
{
    return &p->slots[p->order[place]];
}

/* --- rows and their data -----------------------------------------------------------------------
 */

static uint32_t row_bytes(enum row_kind kind, const struct page_row *row)
{
    switch (kind) {
    case ROW_AGENT:
        return 0;
    case ROW_SUMMARY:
        return (uint32_t)round_up(sizeof(struct summary));
    case ROW_ANSWER:
        return (uint32_t)round_up(row->u.answer.run_count * sizeof(struct run) +
                                  row->u.answer.answer_bytes);
    case ROW_RECORD:
        return (uint32_t)round_up(row->u.record.bytes);
    }
    return 0;
}

/* Points the row at its block (again). */
static void attach(const struct pager *p, struct pager_slot *slot)
{
    uint8_t *at = p->data + slot->at;
    struct page_row *row = &slot->row;
    if (p->kind == ROW_SUMMARY) {
        row->u.summary = (const struct summary *)(void *)at;
    } else if (p->kind == ROW_ANSWER) {
        row->u.answer.runs = (const struct run *)(void *)at;
        row->u.answer.answer = at + row->u.answer.run_count * sizeof(struct run);
    } else if (p->kind == ROW_RECORD) {
        row->u.record.text = (const char *)at;
    }
}

static void fill(const struct pager *p, struct pager_slot *slot, const struct page_row *from)
{
    uint8_t *at = p->data + slot->at;
    slot->row = *from;
    if (p->kind == ROW_SUMMARY) {
        memcpy(at, from->u.summary, sizeof *from->u.summary);
    } else if (p->kind == ROW_ANSWER) {
        const struct answer_group *g = &from->u.answer;
        uint32_t run_bytes = g->run_count * (uint32_t)sizeof(struct run);
        if (run_bytes > 0) {
            memcpy(at, g->runs, run_bytes);
        }
        if (g->answer_bytes > 0) {
            memcpy(at + run_bytes, g->answer, g->answer_bytes);
        }
    } else if (p->kind == ROW_RECORD && from->u.record.bytes > 0) {
        memcpy(at, from->u.record.text, from->u.record.bytes);
    }
    attach(p, slot);
}

/* Slides the living blocks together, in the order in which they lie: each begins at a multiple of
 * ALIGN, so that one look at every such place finds them in order. */
static void compact(struct pager *p)
{
    uint16_t slot_at[(PAGE_BYTES_MAX + PAGE_BYTES_MAX / 2u) / ALIGN] = {0}; /* slot + 1 */
    uint32_t used = 0;
    for (uint32_t i = 0; i < p->row_count; i++) {
        if (slot_of(p, i)->bytes > 0) {
            slot_at[slot_of(p, i)->at / ALIGN] = (uint16_t)(p->order[i] + 1u);
        }
    }
    for (uint32_t at = 0; at < p->data_used / ALIGN; at++) {
        if (slot_at[at] == 0) {
            continue;
        }
        struct pager_slot *s = &p->slots[slot_at[at] - 1u];
        memmove(p->data + used, p->data + s->at, s->bytes);
        s->at = used;
        used += s->bytes;
        attach(p, s);
    }
    assert(used == p->data_living);
    p->data_used = used;
}

/* A block of living data; there is room for it (make_room). */
static uint32_t block(struct pager *p, uint32_t bytes)
{
    if (p->data_used + bytes > room_of(p->data_bytes)) {
        compact(p);
    }
    assert(p->data_living + bytes <= p->data_bytes);
    assert(p->data_used + bytes <= room_of(p->data_bytes));
    uint32_t at = p->data_used;
    p->data_used += bytes;
    p->data_living += bytes;
    return at;
}

/* Nothing at or after this key is complete: drops what lies there. */
static void cut(struct pager *p, uint64_t key)
{
    if (!p->bounded || key < p->horizon) {
        p->bounded = true;
        p->horizon = key;
    }
    while (p->row_count > 0 && slot_of(p, p->row_count - 1u)->row.key >= p->horizon) {
        p->row_count--;
        p->data_living -= slot_of(p, p->row_count)->bytes;
    }
    p->more = true;
}

/* --- inserting ---------------------------------------------------------------------------------
 */

static bool before(const struct page_row *a, const struct page_row *b)
{
    return a->key != b->key ? a->key < b->key : unit_pack(a->unit) < unit_pack(b->unit);
}

/* First place whose row is not before this one; answers are the same by key alone. */
static uint32_t place_of(const struct pager *p, const struct page_row *row)
{
    uint32_t lo = 0, hi = p->row_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2u;
        const struct page_row *at = &slot_of(p, mid)->row;
        bool less =
            at->key != row->key ? at->key < row->key : p->kind != ROW_ANSWER && before(at, row);
        lo = less ? mid + 1u : lo;
        hi = less ? hi : mid;
    }
    return lo;
}

/* Makes `bytes` of room for a row of this key by dropping rows of greater keys, if need be. False:
 * the row itself is what lies farthest. */
static bool make_room(struct pager *p, uint64_t key, uint32_t bytes)
{
    while (p->data_living + bytes > p->data_bytes) {
        uint64_t last = p->row_count > 0 ? slot_of(p, p->row_count - 1u)->row.key : 0;
        cut(p, last > key ? last : key);
        if (last <= key) {
            return false;
        }
    }
    return true;
}

/* at: its place. Only rows behind it go to make room. */
static void insert(struct pager *p, uint32_t at, const struct page_row *row)
{
    uint32_t bytes = row_bytes(p->kind, row);
    if (p->row_count == p->limit) {
        uint64_t last = slot_of(p, p->row_count - 1u)->row.key;
        cut(p, last > row->key ? last : row->key);
        if (last <= row->key) {
            return;
        }
    }
    if (!make_room(p, row->key, bytes)) {
        return;
    }
    uint32_t block_at = block(p, bytes); /* before it has a slot: it may slide all that have one */
    assert(at <= p->row_count);
    uint16_t free_slot = p->order[p->row_count];
    memmove(&p->order[at + 1u], &p->order[at], (p->row_count - at) * sizeof *p->order);
    p->order[at] = free_slot;
    p->row_count++;
    struct pager_slot *slot = slot_of(p, at);
    slot->at = block_at;
    slot->bytes = bytes;
    fill(p, slot, row);
}

/* The row at its place gets other data. False: there is no room for it. */
static bool replace(struct pager *p, uint32_t at, const struct page_row *row)
{
    struct pager_slot *slot = slot_of(p, at);
    uint32_t bytes = row_bytes(p->kind, row);
    if (p->data_living - slot->bytes + bytes > p->data_bytes) {
        return false;
    }
    p->data_living -= slot->bytes;
    if (bytes <= slot->bytes) {
        p->data_living += bytes;
    } else {
        slot->bytes = 0; /* a hole: nothing slides it */
        slot->at = block(p, bytes);
    }
    slot->bytes = bytes;
    fill(p, slot, row);
    return true;
}

/* The same answer again: counts are added, runs merged; its data block moves when it grows. */
static void merge_answer(struct pager *p, uint32_t at, const struct answer_group *add)
{
    struct run runs[AGGREGATE_RUNS_MAX];
    uint8_t answer[ANSWER_BYTES_MAX];
    const struct answer_group *have = &slot_of(p, at)->row.u.answer;
    struct page_row row = slot_of(p, at)->row;
    bool lost = false; /* shown by fewer runs than the count */
    uint32_t count = have->run_count;
    if (count > 0) {
        memcpy(runs, have->runs, count * sizeof *runs);
    }
    for (uint32_t i = 0; i < add->run_count; i++) {
        count = runs_add(runs, count, AGGREGATE_RUNS_MAX, add->runs[i], &lost);
    }
    if (have->answer_bytes > 0) {
        memcpy(answer, have->answer, have->answer_bytes);
    }
    uint32_t sum = have->count + add->count;
    row.u.answer.count = sum >= add->count ? sum : UINT32_MAX;
    row.u.answer.run_count = count;
    row.u.answer.runs = runs;
    row.u.answer.answer = answer;
    if (replace(p, at, &row)) {
        return;
    }
    uint16_t freed = p->order[at];
    p->row_count--;
    p->data_living -= p->slots[freed].bytes;
    memmove(&p->order[at], &p->order[at + 1u], (p->row_count - at) * sizeof *p->order);
    p->order[p->row_count] = freed;
    insert(p, at, &row);
}

static void add_row(struct pager *p, const struct page_row *row)
{
    if (!p->from_start && row->key <= p->after_key) {
        return;
    }
    if (p->bounded && row->key >= p->horizon) {
        p->more = true;
        return;
    }
    uint32_t at = place_of(p, row);
    bool same_key = at < p->row_count && slot_of(p, at)->row.key == row->key;
    if (same_key && p->kind == ROW_ANSWER) {
        merge_answer(p, at, &row->u.answer);
    } else if (!same_key || !unit_equal(slot_of(p, at)->row.unit, row->unit)) {
        insert(p, at, row);
    }
}

/* --- pages -------------------------------------------------------------------------------------
 */

static bool row_valid(const struct pager *p, const struct page_row *row)
{
    const struct answer_group *g = &row->u.answer;
    switch (p->kind) {
    case ROW_AGENT:
        return true;
    case ROW_SUMMARY:
        return row->u.summary != NULL;
    case ROW_ANSWER:
        if (g->outcome <= OUTCOME_PENDING || g->outcome >= OUTCOME_COUNT ||
            g->reason >= REASON_COUNT || g->count == 0 || g->answer_bytes > ANSWER_BYTES_MAX ||
            g->run_count > AGGREGATE_RUNS_MAX || (g->answer == NULL && g->answer_bytes > 0) ||
            (g->runs == NULL && g->run_count > 0)) {
            return false;
        }
        for (uint32_t i = 0; i < g->run_count; i++) {
            if (g->runs[i].first > g->runs[i].last ||
                (i > 0 && g->runs[i].first <= g->runs[i - 1u].last)) {
                return false;
            }
        }
        return row->key == g->hash;
    case ROW_RECORD:
        return row->u.record.bytes <= p->data_bytes &&
               (row->u.record.text != NULL || row->u.record.bytes == 0);
    }
    return false;
}

/* Whether the row is taken at all. Nothing is told of the others but that there are more. */
static bool wanted(const struct pager *p, const struct page_row *row)
{
    return (p->from_start || row->key > p->after_key) && !(p->bounded && row->key >= p->horizon);
}

/* An answer's key is its hash: one that is wrong would hide another's. */
static bool hash_valid(const struct pager *p, const struct page_row *row)
{
    const struct answer_group *g = &row->u.answer;
    return p->kind != ROW_ANSWER ||
           g->hash == aggregate_hash(g->outcome, g->reason, g->answer, g->answer_bytes);
}

static bool page_valid(const struct pager *p, const struct rows *page)
{
    if (page->kind != p->kind || page->row_count > PAGE_ROWS_MAX || page->row_count > page->total ||
        (page->rows == NULL && page->row_count > 0) || (page->more && page->row_count == 0)) {
        return false;
    }
    for (uint32_t i = 0; i < page->row_count; i++) {
        const struct page_row *row = &page->rows[i];
        if (!row_valid(p, row) || (wanted(p, row) && !hash_valid(p, row)) ||
            (i > 0 && !before(&page->rows[i - 1u], row)) ||
            (!p->from_start && row->key <= p->after_key)) {
            return false;
        }
    }
    return true;
}

enum pager_verdict pager_page(struct pager *p, const struct rows *page)
{
    assert(p != NULL && p->slots != NULL);
    assert(page != NULL);
    if (!page_valid(p, page)) {
        return PAGER_INVALID;
    }
    p->total = page->total <= UINT32_MAX - p->total ? p->total + page->total : UINT32_MAX;
    pager_missing(p, page->missing);
    if (page->more) {
        uint64_t last = page->rows[page->row_count - 1u].key;
        p->more = true;
        if (last < UINT64_MAX) {
            cut(p, last + 1u);
        }
    }
    for (uint32_t i = 0; i < page->row_count; i++) {
        add_row(p, &page->rows[i]);
    }
    return PAGER_OK;
}

void pager_row(struct pager *p, const struct page_row *row)
{
    assert(p != NULL && row != NULL);
    assert(row_valid(p, row));
    p->total += p->total < UINT32_MAX;
    add_row(p, row);
}

void pager_missing(struct pager *p, uint32_t children)
{
    assert(p != NULL);
    assert(p->limit > 0);
    p->missing = children <= UINT32_MAX - p->missing ? p->missing + children : UINT32_MAX;
}

void pager_rows(struct pager *p, uint64_t ref, struct rows *ret)
{
    assert(p != NULL && ret != NULL);
    assert(p->row_count <= p->limit);
    for (uint32_t i = 0; i < p->row_count; i++) {
        p->out[i] = slot_of(p, i)->row;
    }
    *ret = (struct rows){.ref = ref,
                         .kind = p->kind,
                         .total = p->total,
                         .missing = p->missing,
                         .more = p->more && p->row_count > 0,
                         .row_count = p->row_count,
                         .rows = p->out};
}
