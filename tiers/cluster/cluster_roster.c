/* The roster: who was in this cluster, as the registry has it, read back page by page when a lead
 * begins. Whoever has said hello meanwhile is known better by himself. */
#include "core/num.h"
#include "tiers/cluster/cluster_learnt.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

static void roster_row(struct cluster *c, const struct store_row *row)
{
    uint64_t uid = 0, incarnation = 0, caps = 0;
    struct unit place = {0}, home = {0};
    const char *why = NULL;
    enum impedance_class agent_class = CLASS_NONE;
    enum agent_state state = AGENT_UNKNOWN;
    uint8_t wanted[CONTENT_HASH];
    bool wants = false;
    for (uint32_t k = 0; k < row->field_count; k++) {
        const struct store_field *f = &row->fields[k];
        if (strcmp(f->name, "uid") == 0) {
            num_parse_hex64(f->value, f->value_bytes, &uid);
        } else if (strcmp(f->name, "unit_epoch") == 0) {
            num_parse_u64(f->value, f->value_bytes, &incarnation);
        } else if (strcmp(f->name, "place") == 0) {
            unit_parse(f->value, f->value_bytes, &place, &why);
        } else if (strcmp(f->name, "home") == 0) {
            unit_parse(f->value, f->value_bytes, &home, &why);
        } else if (strcmp(f->name, "agent_class") == 0) {
            agent_class = class_parse(f->value, f->value_bytes);
        } else if (strcmp(f->name, "capability_mask") == 0) {
            num_parse_hex64(f->value, f->value_bytes, &caps);
        } else if (strcmp(f->name, "operational_state") == 0) {
            state = agent_state_parse(f->value, f->value_bytes);
        } else if (strcmp(f->name, "context_wanted") == 0) {
            wants = content_hex_parse(f->value, f->value_bytes, wanted);
        }
    }
    bool here = place.tier == TIER_AGENT && place.sector == c->self.sector &&
                place.cluster == c->self.cluster && place.agent >= 1 && place.agent <= c->count;
    struct member *m = here ? &c->members[place.agent - 1u] : NULL;
    if (!here || uid == 0 || (m->uid != 0 && m->uid != uid) ||
        !move_remember(c, place.agent - 1u, home, uid)) {
        return; /* another place, or another agent by now */
    }
    uint32_t i = place.agent - 1u;
    if (wants && (c->contents.named & bit_of(i)) == 0) {
        content_want(c, i, wanted);
    }
    m->where = WHERE_KNOWN; /* the former lead has put it */
    uint64_t read = state == AGENT_QUARANTINED ? bit_of(i) & ~c->sentenced : 0;
    if (m->uid == uid) { /* the agent itself was faster */
        c->quarantined |= read;
        learnt_read(c, i, row);
        return;
    }
    m->uid = uid;
    m->epoch = incarnation;
    m->capabilities = caps;
    m->declared = caps; /* the agent will say more, if it has more */
    m->indexed = caps;  /* as far as anyone knows */
    registry_waits(c, i);
    m->written.state = (uint8_t)state;
    c->quarantined = (c->quarantined & ~(bit_of(i) & ~c->sentenced)) | read;
    if (agent_class > CLASS_NONE && agent_class != (enum impedance_class)m->agent_class) {
        m->agent_class = (uint8_t)agent_class;
        c->priors_all = false;
        predictor_init(&m->predictor, c->tuning.predictor, agent_class);
    }
    facts_recall(c, i, row);
    learnt_read(c, i, row);
}

void roster_recall(struct cluster *c, uint32_t i, const struct store_row *row)
{
    assert(c != NULL && row != NULL);
    assert(i < c->count);
    for (uint32_t k = 0; k < row->field_count; k++) {
        const struct store_field *f = &row->fields[k];
        uint8_t wanted[CONTENT_HASH];
        if (strcmp(f->name, "operational_state") == 0 &&
            agent_state_parse(f->value, f->value_bytes) == AGENT_QUARANTINED) {
            c->quarantined |= bit_of(i) & ~c->sentenced;
        } else if (strcmp(f->name, "context_wanted") == 0 &&
                   content_hex_parse(f->value, f->value_bytes, wanted) &&
                   (c->contents.named & bit_of(i)) == 0) {
            content_want(c, i, wanted);
        }
    }
}

void roster_page(struct cluster *c, int64_t now_us, const struct store_reply *reply)
{
    assert(c != NULL && reply != NULL);
    c->scan_out = false;
    if (reply->verdict != STORE_OK) {
        c->scan_done = reply->verdict == STORE_MISSING;
        for (uint32_t i = 0; c->scan_done && i < c->count; i++) {
            registry_waits(c, i);
        }
        c->store_pause_us = now_us + STORE_RETRY_US;
        return;
    }
    for (uint32_t k = 0; k < reply->row_count; k++) {
        roster_row(c, &reply->rows[k]);
    }
    c->scan_cursor = reply->cursor;
    c->scan_done = reply->cursor == 0;
    c->call = c->scan_done;
    for (uint32_t i = 0; c->scan_done && i < c->count; i++) {
        registry_waits(c, i);
    }
}
