/* Facts of the members. They come with the hello and stand in the agent's record as lines of a
 * value's length, facts_1 to facts_4; the first shorter one is the last, so that a text that became
 * shorter needs no line removed. A successor reads them back with the roster: agents that have not
 * come yet, or that are gone, are still found by what they are. */
#include "core/facts.h"
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
           facts_match(c->facts[i], sel->where);
}

void facts_told(struct cluster *c, uint32_t i, const char *facts)
{
    assert(c != NULL);
    assert(i < c->count);
    size_t bytes = facts != NULL ? strlen(facts) : 0;
    assert(bytes < FACTS_BYTES_MAX);
    if (bytes > 0) {
        memcpy(c->facts[i], facts, bytes);
    }
    c->facts[i][bytes] = '\0';
}

void facts_record(const struct cluster *c, uint32_t i, struct record *r)
{
    assert(c != NULL && r != NULL);
    assert(i < c->count);
    const char *at = c->facts[i];
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
