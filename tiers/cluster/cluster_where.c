/* An agent that moved brings what was learnt about it. Its uid stays, its place does not: beside
 * the records by cluster the registry has one line for each uid with its place. A lead that does
 * not know the uid of a newcomer from its own roster looks there, reads the record in the cluster
 * where it was, and then puts the place of here. A line is fenced by the agent's incarnation, so
 * that a former lead cannot put an old place over a new one.
 *
 *   ASK -> asked -> READ -> reading -> PUT -> putting -> KNOWN
 *   LEFT -> leaving -> DROP -> dropping: of one that lives elsewhere now (cluster_move.c), whose
 *   record here goes when the line names another cluster, and that one has read it
 *
 * A store that fails or is away leaves it where it was; it is asked again. Two small requests for
 * each newcomer, among the writes behind (cluster_registry.c), none for who was here before. */
#include "core/text.h"
#include "tiers/cluster/cluster_learnt.h"
#include "tiers/cluster/cluster_parts.h"
#include "tiers/cluster/cluster_record.h"
#include <assert.h>
#include <string.h>

/* By the first byte of the uid: "u3a". */
static void where_shard(const struct member *m, char ret[UNIT_TEXT_MAX])
{
    char digits[17];
    struct text t;
    text_init(&t, digits, sizeof digits);
    text_hex64(&t, m->uid);
    text_init(&t, ret, UNIT_TEXT_MAX);
    text_char(&t, 'u');
    text_char(&t, digits[0]);
    text_char(&t, digits[1]);
}

static void uid_key(const struct member *m, const char *kind, char ret[STORE_KEY_MAX])
{
    struct text t;
    text_init(&t, ret, STORE_KEY_MAX);
    text_add(&t, kind);
    text_hex64(&t, m->uid);
}

void where_newcomer(struct member *m)
{
    assert(m != NULL);
    m->where = WHERE_ASK;
    m->former = (struct unit){0};
}

bool where_waits(const struct member *m)
{
    assert(m != NULL);
    return m->where == WHERE_ASK || m->where == WHERE_READ || m->where == WHERE_PUT ||
           m->where == WHERE_LEFT || m->where == WHERE_DROP;
}

bool where_send(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out)
{
    assert(c != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    struct record r;
    char shard[UNIT_TEXT_MAX];
    char key[STORE_KEY_MAX];
    struct store_op op = {.kind = STORE_GET, .shard = shard, .key = key};
    bool record = m->where == WHERE_READ || m->where == WHERE_DROP;
    where_shard(m, shard);
    uid_key(m, record ? "agent:" : "place:", key);
    if (m->where == WHERE_READ) {
        unit_format(m->former, shard);
    } else if (m->where == WHERE_PUT) {
        record_init(&r);
        record_unit(&r, "place", cluster_agent(c, i));
        op.kind = STORE_EPOCH_PUT;
        op.epoch = m->epoch > 0 ? m->epoch : 1;
        op.fields = r.fields;
        op.field_count = r.count;
    } else if (m->where == WHERE_DROP) {
        unit_format(c->self, shard);
        op.kind = STORE_REMOVE;
        op.collection = "roster";
    }
    if (!where_waits(m) || !registry_where(c, now_us, i, &op, out)) {
        return false;
    }
    m->where++;
    return true;
}

/* The place that the line names; TIER_NONE: none. */
static struct unit place_of(const struct store_reply *reply)
{
    struct unit place = {0};
    const char *why = NULL;
    for (uint32_t k = 0; reply->row_count > 0 && k < reply->rows[0].field_count; k++) {
        const struct store_field *f = &reply->rows[0].fields[k];
        if (strcmp(f->name, "place") == 0 && !unit_parse(f->value, f->value_bytes, &place, &why)) {
            place = (struct unit){0};
        }
    }
    return place;
}

void where_reply(struct cluster *c, int64_t now_us, uint32_t i, const struct store_reply *reply)
{
    assert(c != NULL && reply != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    bool answered = reply->verdict == STORE_OK || reply->verdict == STORE_EXISTS ||
                    reply->verdict == STORE_MISSING || reply->verdict == STORE_FENCED;
    if (where_waits(m) || m->where == WHERE_KNOWN) {
        return; /* of another newcomer, before */
    }
    if (!answered) {
        m->where--;
        return;
    }
    if (m->where == WHERE_ASKED) {
        struct unit place = place_of(reply);
        bool elsewhere = place.tier == TIER_AGENT && !unit_equal(topology_parent(place), c->self);
        m->former = elsewhere ? topology_parent(place) : m->former;
        m->where = elsewhere                                ? WHERE_READ
                   : unit_equal(place, cluster_agent(c, i)) ? WHERE_KNOWN
                                                            : WHERE_PUT;
    } else if (m->where == WHERE_READING) {
        if (reply->verdict == STORE_OK && reply->row_count > 0) {
            learnt_read(c, i, &reply->rows[0]);
            learnt_history_read(c, now_us, i, &reply->rows[0]);
            roster_recall(c, i, &reply->rows[0]);
        }
        m->where = WHERE_PUT;
    } else if (m->where == WHERE_LEAVING) {
        struct unit place = place_of(reply);
        bool elsewhere = place.tier == TIER_AGENT && !unit_equal(topology_parent(place), c->self);
        m->where = elsewhere ? WHERE_DROP : WHERE_KNOWN; /* asked again later (cluster_move.c) */
    } else if (m->where == WHERE_DROPPING) {
        move_dropped(c, i);
    } else {
        m->where = WHERE_KNOWN;
    }
}

void where_failed(struct cluster *c, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    if (m->where != WHERE_KNOWN && !where_waits(m)) {
        m->where--;
    }
}
