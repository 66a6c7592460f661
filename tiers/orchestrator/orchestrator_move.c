/* Agents that live elsewhere (docs/adr/0034): the mesh's table of them. A move is written to the
 * registry (collection `moves` of the mesh, one record each) before anything is done about it; then
 * its agents begin to move, MOVE_AGENTS_S a second, and what has begun is ordered (order.h): once,
 * and all of it again after each STATE, so a sector that begins, or has missed some, has it, too. A
 * move that is over stays in the table as `back`, to be ordered, until its room is needed. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define STORE_WAIT_US (5ll * US_PER_S)
#define OPEN_STEP_US  (250ll * US_PER_MS)
#define SCAN_ROWS     32u
#define KEY_BYTES     24u

static struct move_row *row_of(struct move_book *b, uint64_t id, bool make)
{
    struct move_row *free = NULL;
    for (uint32_t i = 0; i < 2u * MOVES_MAX; i++) {
        if (b->rows[i].id == id) {
            return &b->rows[i];
        }
        free = free == NULL && b->rows[i].id == 0 ? &b->rows[i] : free;
    }
    if (make && free != NULL) {
        *free = (struct move_row){.id = id};
    }
    return make ? free : NULL;
}

static const struct move *move_named(const struct move_book *b, uint64_t id)
{
    for (uint32_t i = 0; i < b->table.count; i++) {
        if (b->table.list[i].id == id) {
            return &b->table.list[i];
        }
    }
    return NULL;
}

static void count_away(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    for (uint32_t i = 0; i < h->children_count; i++) {
        h->child[i].away = (uint16_t)moves_left(&o->moves.table, unit_sector(i + 1));
        h->child[i].guests = (uint16_t)moves_came(&o->moves.table, unit_sector(i + 1));
    }
    scale_count(o);
}

bool moves_enter(struct orchestrator *o, const struct move *m)
{
    struct move_book *b = &o->moves;
    assert(m->id != 0);
    bool taken = row_of(b, m->id, true) != NULL && moves_take(&b->table, m);
    b->last_id = m->id > b->last_id ? m->id : b->last_id;
    b->open_us = o->hub.now_us;
    b->dirty = true;
    count_away(o);
    return taken;
}

bool moves_room(const struct orchestrator *o, uint32_t moves)
{
    const struct move_book *b = &o->moves;
    uint32_t live = 0, free = 0;
    for (uint32_t i = 0; i < b->table.count; i++) {
        live += !b->table.list[i].back; /* the others give way */
    }
    for (uint32_t i = 0; i < 2u * MOVES_MAX; i++) {
        free += b->rows[i].id == 0;
    }
    return live + moves <= MOVES_MAX && moves <= free;
}

uint64_t moves_next_id(struct orchestrator *o)
{
    uint64_t now = (uint64_t)hub_mesh_now(&o->hub);
    o->moves.last_id = now > o->moves.last_id ? now : o->moves.last_id + 1u;
    return o->moves.last_id;
}

/* --- down --- */

/* A STATE is all that a sector needs to go on with, but for this: what has begun is ordered again.
 */
static void begin_again(struct orchestrator *o)
{
    struct move_book *b = &o->moves;
    if (b->state_seq == o->orders.state_seq) {
        return;
    }
    b->state_seq = o->orders.state_seq;
    for (uint32_t i = 0; i < 2u * MOVES_MAX; i++) {
        b->rows[i].ordered = 0;
    }
}

/* Orders as many as there is room for. False: some are left. */
static bool order_begun(struct orchestrator *o)
{
    struct move_book *b = &o->moves;
    struct order_moves moves = {.count = 0};
    struct move_row *rows[ORDER_MOVES_MAX];
    struct order order = {.what = ORDER_MOVES, .u.moves = &moves};
    begin_again(o);
    for (uint32_t i = 0; i < b->table.count && moves.count < ORDER_MOVES_MAX; i++) {
        struct move_row *row = row_of(b, b->table.list[i].id, false);
        struct move part =
            row != NULL ? move_part(&b->table.list[i], row->opened) : (struct move){0};
        if ((part.agents & ~(row != NULL ? row->ordered : 0)) != 0) {
            rows[moves.count] = row;
            moves.list[moves.count++] = part;
        }
    }
    if (moves.count == 0) {
        return true;
    }
    if (o->orders.head.seq == 0 || !hub_order_room(&o->hub) || !hub_order(&o->hub, &order)) {
        return false; /* it goes on when the chain has begun, or when the sectors have heard */
    }
    for (uint32_t i = 0; i < moves.count; i++) {
        rows[i]->ordered |= moves.list[i].agents;
    }
    return moves.count < ORDER_MOVES_MAX;
}

/* The next few agents begin to move; only of moves that the registry has. */
static void open_some(struct orchestrator *o)
{
    struct move_book *b = &o->moves;
    uint32_t left = MOVE_AGENTS_S * (uint32_t)(OPEN_STEP_US / US_PER_MS) / 1000u;
    bool more = false;
    for (uint32_t i = 0; i < b->table.count; i++) {
        struct move_row *row = row_of(b, b->table.list[i].id, false);
        uint64_t closed = row != NULL && row->kept ? b->table.list[i].agents & ~row->opened : 0;
        for (; closed != 0 && left > 0; closed &= closed - 1u, left--) {
            row->opened |= closed & (~closed + 1u);
        }
        more = more || closed != 0 || (row != NULL && !row->kept);
    }
    b->open_us = more ? o->hub.now_us + OPEN_STEP_US : NEVER;
}

/* --- the records --- */

static void key_of(uint64_t id, char ret[KEY_BYTES])
{
    struct text t;
    text_init(&t, ret, KEY_BYTES);
    text_add(&t, "move:");
    text_hex64(&t, id);
}

static void ask(struct orchestrator *o, struct store_op *op)
{
    struct hub *h = &o->hub;
    op->shard = "mesh";
    op->collection = "moves";
    op->ref = ++h->next_ref;
    o->moves.ref = op->ref;
    o->moves.until_us = h->now_us + STORE_WAIT_US;
    out_store(h->out, op);
}

static void put(struct orchestrator *o, const struct move *m)
{
    char key[KEY_BYTES], home[UNIT_TEXT_MAX], place[UNIT_TEXT_MAX], agents[HEX_TEXT_MAX];
    char places[HEX_TEXT_MAX];
    key_of(m->id, key);
    unit_format(m->home, home);
    unit_format(m->place, place);
    num_format_hex64(m->agents, agents);
    num_format_hex64(m->places, places);
    const struct store_field fields[] = {
        {"home", home, (uint32_t)strlen(home)},
        {"place", place, (uint32_t)strlen(place)},
        {"agents", agents, (uint32_t)strlen(agents)},
        {"places", places, (uint32_t)strlen(places)},
        {"back", m->back ? "1" : "0", 1},
    };
    struct store_op op = {.kind = STORE_PUT,
                          .key = key,
                          .fields = fields,
                          .field_count = sizeof fields / sizeof *fields};
    o->moves.ref_agents = m->agents;
    ask(o, &op);
}

/* One record that is not as the table is: put or removed. */
static void write_one(struct orchestrator *o)
{
    struct move_book *b = &o->moves;
    for (uint32_t i = 0; i < 2u * MOVES_MAX; i++) {
        struct move_row *row = &b->rows[i];
        const struct move *m = row->id != 0 ? move_named(b, row->id) : NULL;
        char key[KEY_BYTES];
        b->ref_row = i;
        if (m != NULL && (!row->kept || row->stored != m->agents)) {
            put(o, m);
            return;
        }
        if (row->id != 0 && m == NULL && row->kept) {
            key_of(row->id, key);
            struct store_op op = {.kind = STORE_REMOVE, .key = key};
            b->ref_agents = 0;
            ask(o, &op);
            return;
        }
        if (m == NULL) {
            row->id = 0;
        }
    }
    b->dirty = false;
}

void moves_link(struct orchestrator *o, bool up)
{
    struct move_book *b = &o->moves;
    for (uint32_t i = 0; up && b->loaded && i < 2u * MOVES_MAX; i++) {
        b->rows[i].stored = 0;
    }
    b->dirty = true;
}

static void read_row(struct orchestrator *o, const struct store_row *row)
{
    struct move m = {0};
    const char *why = NULL;
    uint64_t back = 0;
    if (row->key == NULL || strncmp(row->key, "move:", 5) != 0 ||
        !num_parse_hex64(row->key + 5, strlen(row->key + 5), &m.id) || m.id == 0) {
        return;
    }
    for (uint32_t k = 0; k < row->field_count; k++) {
        const struct store_field *f = &row->fields[k];
        if (strcmp(f->name, "home") == 0) {
            unit_parse(f->value, f->value_bytes, &m.home, &why);
        } else if (strcmp(f->name, "place") == 0) {
            unit_parse(f->value, f->value_bytes, &m.place, &why);
        } else if (strcmp(f->name, "agents") == 0) {
            num_parse_hex64(f->value, f->value_bytes, &m.agents);
        } else if (strcmp(f->name, "places") == 0) {
            num_parse_hex64(f->value, f->value_bytes, &m.places);
        } else if (strcmp(f->name, "back") == 0) {
            num_parse_u64(f->value, f->value_bytes, &back);
        }
    }
    m.back = back != 0;
    if (move_check(&m, o->hub.topology) == NULL && moves_enter(o, &m)) {
        struct move_row *known = row_of(&o->moves, m.id, true);
        known->kept = true;
        known->stored = m.agents;
    }
}

bool move_stored(struct orchestrator *o, const struct store_reply *reply)
{
    struct move_book *b = &o->moves;
    if (b->ref == 0 || reply->ref != b->ref) {
        return false;
    }
    b->ref = 0;
    if (reply->verdict != STORE_OK && reply->verdict != STORE_MISSING) {
        hub_note(&o->hub, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
        b->until_us = o->hub.now_us + US_PER_S; /* again then */
        return true;
    }
    b->until_us = 0;
    if (reply->kind == STORE_SCAN) {
        for (uint32_t k = 0; k < reply->row_count; k++) {
            read_row(o, &reply->rows[k]);
        }
        b->cursor = reply->cursor;
        b->loaded = reply->cursor == 0;
        return true;
    }
    struct move_row *row = &b->rows[b->ref_row];
    row->kept = reply->kind == STORE_PUT;
    row->stored = b->ref_agents;
    b->dirty = true;
    b->open_us = row->kept ? o->hub.now_us : b->open_us;
    return true;
}

static void store_tick(struct orchestrator *o)
{
    struct move_book *b = &o->moves;
    struct hub *h = &o->hub;
    if (b->ref != 0 && h->now_us >= b->until_us) {
        hub_note(h, NOTE_STORE_LATE, b->ref, STORE_PUT);
        b->ref = 0;
    }
    if (b->ref != 0 || !h->store_up || h->now_us < b->until_us || !o->frozen_loaded) {
        return;
    }
    if (!outbox_room(h->out, 2, 4096)) {
        h->short_of_room = true;
        return;
    }
    if (b->loaded) {
        if (b->dirty) {
            write_one(o);
        }
        return;
    }
    struct store_op op = {.kind = STORE_SCAN, .cursor = b->cursor, .limit = SCAN_ROWS};
    ask(o, &op);
}

int64_t moves_tick(struct orchestrator *o)
{
    struct move_book *b = &o->moves;
    int64_t now_us = o->hub.now_us;
    if (o->hub.topology->spare == 0) {
        return NEVER; /* nobody can move in such a mesh */
    }
    store_tick(o);
    if (b->table.count > 0 && now_us >= b->open_us) {
        open_some(o);
    }
    bool ordered = order_begun(o);
    int64_t next_us = b->ref != 0 || b->until_us > now_us ? b->until_us : NEVER;
    if (b->table.count > 0) {
        next_us = b->open_us < next_us ? b->open_us : next_us;
    }
    if (!ordered) {
        next_us = now_us + OPEN_STEP_US < next_us ? now_us + OPEN_STEP_US : next_us;
    }
    return next_us > now_us || next_us == NEVER ? next_us : now_us + OPEN_STEP_US;
}
