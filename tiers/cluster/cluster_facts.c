/* Facts of the members. They come with the hello and stand in the agent's record as lines of a
 * value's length, facts_1 to facts_4; the first shorter one is the last, so that a text that became
 * shorter needs no line removed. A successor reads them back with the roster: agents that have not
 * come yet, or that are gone, are still found by what they are.
 *
 * The lead keeps them one behind the other: most are far shorter than they may be. One that changes
 * goes to the end, which is when the others move. */
#include "core/resolve.h"
#include "tiers/cluster/cluster_parts.h"
#include "tiers/cluster/cluster_record.h"
#include <assert.h>
#include <string.h>

static const char *const LINES[] = {"facts_1", "facts_2", "facts_3", "facts_4"};
#define LINE_COUNT (sizeof LINES / sizeof LINES[0])

static_assert(LINE_COUNT * STORE_FIELD_VALUE_MAX >= FACTS_BYTES_MAX, "lines for all facts");

bool members_targeted(const struct cluster *c, uint32_t i, const struct selector *sel)
{
    assert(c != NULL && sel != NULL);
    assert(i < c->count);
    const struct member *m = &c->members[i];
    return move_expects(c, i) &&
           selector_targets(sel, c->topology, cluster_agent(c, i),
                            (enum impedance_class)m->agent_class, m->capabilities,
                            members_state(c, i), m->impedance.score) &&
           facts_match(facts_of(c, i), sel->where);
}

/* Its text goes, and those behind it move up. */
static void drop(struct lead_facts *f, uint32_t count, uint32_t i)
{
    uint32_t at = f->at[i] - 1u;
    uint32_t bytes = (uint32_t)strlen(f->text + at) + 1u;
    assert(at + bytes <= f->used);
    memmove(f->text + at, f->text + at + bytes, f->used - at - bytes);
    f->used = (uint16_t)(f->used - bytes);
    f->at[i] = 0;
    for (uint32_t k = 0; k < count; k++) {
        f->at[k] = (uint16_t)(f->at[k] > at ? f->at[k] - bytes : f->at[k]);
    }
}

/* Room for so many more bytes. */
static void room(struct lead_facts *f, struct slab *slab, uint32_t bytes)
{
    if (f->used + bytes <= f->chunks * SLAB_CHUNK_BYTES) {
        return;
    }
    uint32_t chunks = f->chunks > 0 ? f->chunks * 2u : LEAD_FACTS_FIRST;
    chunks = chunks < LEAD_FACTS_LARGEST ? chunks : LEAD_FACTS_LARGEST;
    uint16_t chunk = slab_run(slab, chunks);
    char *to = slab_at(slab, chunk);
    if (f->chunks > 0) {
        memcpy(to, f->text, f->used);
        slab_give(slab, f->chunk, f->chunks);
    }
    f->text = to;
    f->chunk = chunk;
    f->chunks = (uint16_t)chunks;
    assert(f->used + bytes <= chunks * SLAB_CHUNK_BYTES);
}

void facts_told(struct cluster *c, uint32_t i, const char *facts)
{
    assert(c != NULL);
    assert(i < c->count);
    struct lead_facts *f = &c->facts;
    const char *told = facts != NULL ? facts : "";
    if (strcmp(facts_of(c, i), told) == 0) {
        return;
    }
    if (f->at[i] != 0) {
        drop(f, c->count, i);
    }
    uint32_t bytes = (uint32_t)strlen(told) + 1u;
    assert(bytes <= FACTS_BYTES_MAX);
    if (bytes > 1) {
        room(f, &c->slab, bytes);
        memcpy(f->text + f->used, told, bytes);
        f->at[i] = (uint16_t)(f->used + 1u);
        f->used = (uint16_t)(f->used + bytes);
    }
}

void facts_record(const struct cluster *c, uint32_t i, struct record *r)
{
    assert(c != NULL && r != NULL);
    assert(i < c->count);
    const char *at = facts_of(c, i);
    size_t left = strlen(at);
    for (size_t k = 0; k < LINE_COUNT; k++) {
        char line[STORE_FIELD_VALUE_MAX + 1u];
        size_t bytes = left < STORE_FIELD_VALUE_MAX ? left : STORE_FIELD_VALUE_MAX;
        memcpy(line, at, bytes);
        line[bytes] = '\0';
        record_text(r, LINES[k], line);
        at += bytes;
        left -= bytes;
        if (bytes < STORE_FIELD_VALUE_MAX) {
            return;
        }
    }
}

void facts_recall(struct cluster *c, uint32_t i, const struct store_row *row)
{
    assert(c != NULL && row != NULL);
    assert(i < c->count);
    char facts[LINE_COUNT * STORE_FIELD_VALUE_MAX + 1u];
    size_t used = 0;
    for (size_t k = 0; k < LINE_COUNT; k++) {
        size_t bytes = 0;
        for (uint32_t n = 0; n < row->field_count; n++) {
            const struct store_field *f = &row->fields[n];
            if (strcmp(f->name, LINES[k]) == 0 && f->value_bytes <= STORE_FIELD_VALUE_MAX) {
                memcpy(facts + used, f->value, f->value_bytes);
                bytes = f->value_bytes;
            }
        }
        used += bytes;
        if (bytes < STORE_FIELD_VALUE_MAX) {
            break;
        }
    }
    facts[used] = '\0';
    if (facts_valid(facts)) { /* a record that somebody has edited says nothing */
        facts_told(c, i, facts);
    }
}
