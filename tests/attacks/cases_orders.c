/* Orders in the orchestrator's name (core/order.h): all well signed, and yet not what the chain has
 * next. The victim is a sector's process; what lies behind its acceptance is the chain of s01. */
#include "tests/attacks/attacks.h"

#include <sodium.h>
#include <string.h>

static struct shot s;
static uint8_t body[4096];

struct giver {
    enum who who;
    struct order_head head;
};

static void digest(const uint8_t *bytes, uint32_t count, uint8_t ret[ORDER_HASH])
{
    (void)crypto_generichash(ret, ORDER_HASH, bytes, count, NULL, 0);
}

static struct giver giver_of(enum who who, uint64_t epoch)
{
    return (struct giver){.who = who, .head = {.epoch = epoch}};
}

static void chain(struct giver *g, struct order *o)
{
    o->seq = g->head.seq + 1;
    memcpy(o->prev, g->head.hash, ORDER_HASH);
    order_digest(digest, g->head.epoch, o, g->head.hash);
    g->head.seq = o->seq;
}

static struct order freeze_of(unsigned cluster)
{
    struct order o = {.what = ORDER_FREEZE};
    o.u.freeze.scope = unit_cluster(1, cluster);
    return o;
}

/* What came of it: the refusal, or what the chain made of it. */
static const char *say(struct world *w, const struct giver *g, uint64_t epoch,
                       const struct order *o)
{
    size_t length = 0;
    struct record_header h;
    struct msg m = {.type = MSG_ORDER,
                    .priority = 3,
                    .from = unit_orchestrator(),
                    .to = unit_sector(1),
                    .epoch = epoch};
    m.u.order = o;
    if (!codec_encode(&w->codec, &m, body, sizeof(body), &length))
        return "not encoded";
    codec_record_of(&m, length, &h);
    shot_begin(&s, w, g->who, &w->sector);
    shot_message(&s, h, body, length);
    shot_seal(&s);
    const char *got = shot_fire(&s);
    bool ignored = strcmp(got, "ACCEPTED") == 0 && w->sector.last != ORDER_TAKEN &&
                   w->sector.last != ORDER_RESYNC;
    return ignored ? order_verdict_name(w->sector.last) : got;
}

static const char *give(struct world *w, struct giver *g, struct order o)
{
    chain(g, &o);
    return say(w, g, g->head.epoch, &o);
}

static const char *give_state(struct world *w, struct giver *g)
{
    struct order_state state = {.mode = MODE_FULL, .complete = true};
    return give(w, g, (struct order){.what = ORDER_STATE, .u.state = &state});
}

static const char *honest(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    return strcmp(give_state(w, &g), "ACCEPTED") == 0 ? give(w, &g, freeze_of(1)) : "no state";
}

static const char *said_again(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    struct order o = freeze_of(1);
    (void)give_state(w, &g);
    chain(&g, &o);
    (void)say(w, &g, 7, &o);
    return say(w, &g, 7, &o);
}

static const char *said_long_after(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    struct order o = freeze_of(1);
    (void)give_state(w, &g);
    chain(&g, &o);
    (void)say(w, &g, 7, &o);
    for (unsigned i = 0; i < ORDERS_KEPT; i++)
        (void)give(w, &g, freeze_of(1 + i % 4));
    return say(w, &g, 7, &o);
}

static const char *number_skipped(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    struct order gone = freeze_of(1);
    (void)give_state(w, &g);
    chain(&g, &gone);
    return give(w, &g, freeze_of(2));
}

static const char *two_under_one_number(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), forger;
    (void)give_state(w, &g);
    forger = g;
    (void)give(w, &g, freeze_of(1));
    return give(w, &forger, freeze_of(2));
}

static struct order cancel_of(uint8_t operation)
{
    struct order o = {.what = ORDER_CANCEL};
    o.u.cancel.operation_id.bytes[0] = operation;
    return o;
}

static const char *another_cancelled(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), forger;
    (void)give_state(w, &g);
    forger = g;
    (void)give(w, &g, cancel_of(1));
    return give(w, &forger, cancel_of(2));
}

static const char *moved_elsewhere(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), forger;
    struct order_moves moves = {.count = 1};
    (void)give_state(w, &g);
    forger = g;
    moves.list[0] = (struct move){5, unit_cluster(1, 1), unit_cluster(1, 2), 1, 1, false};
    (void)give(w, &g, (struct order){.what = ORDER_MOVES, .u.moves = &moves});
    moves.list[0].place = unit_cluster(1, 3);
    return give(w, &forger, (struct order){.what = ORDER_MOVES, .u.moves = &moves});
}

/* Places of s01.c2 that are open to newcomers: which ones, the caller says. */
static struct order grows_of(struct order_grows *grows, uint64_t places)
{
    *grows = (struct order_grows){.count = 1};
    grows->list[0] = (struct grow){.id = 9,
                                   .cluster = unit_cluster(1, 2),
                                   .places = places,
                                   .fresh = places,
                                   .over_us = 60 * US_PER_S};
    return (struct order){.what = ORDER_GROWS, .u.grows = grows};
}

static const char *other_places_opened(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), forger;
    struct order_grows grows;
    (void)give_state(w, &g);
    forger = g;
    (void)give(w, &g, grows_of(&grows, 1));
    return give(w, &forger, grows_of(&grows, 3));
}

static const char *places_opened_again(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    struct order_grows grows;
    struct order o = grows_of(&grows, 1);
    (void)give_state(w, &g);
    chain(&g, &o);
    (void)say(w, &g, 7, &o);
    for (unsigned i = 0; i < ORDERS_KEPT; i++)
        (void)give(w, &g, freeze_of(1 + i % 4));
    return say(w, &g, 7, &o);
}

static const char *closing_left_out(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    struct order_grows grows;
    (void)give_state(w, &g);
    (void)give(w, &g, grows_of(&grows, 1));
    struct order closed = grows_of(&grows, 0);
    chain(&g, &closed);
    return give(w, &g, grows_of(&grows, 2));
}

static const char *places_of_an_epoch_before(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), old = giver_of(ORCHESTRATOR, 6);
    struct order_grows grows;
    (void)give_state(w, &g);
    return give(w, &old, grows_of(&grows, 1));
}

static const char *another_past(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    (void)give_state(w, &g);
    g.head.hash[5] ^= 1;
    return give(w, &g, freeze_of(1));
}

static const char *rolled_back(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), early;
    (void)give_state(w, &g);
    early = g;
    (void)give(w, &g, freeze_of(1));
    (void)give(w, &g, freeze_of(2));
    return give_state(w, &early);
}

static const char *of_an_epoch_before(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), old = giver_of(ORCHESTRATOR, 6);
    (void)give_state(w, &g);
    return give_state(w, &old);
}

static const char *of_a_recording_with_a_new_epoch(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7);
    struct order o = freeze_of(1);
    (void)give_state(w, &g);
    chain(&g, &o);
    return say(w, &g, 8, &o); /* no state: nothing begins with it */
}

static const char *by_another_process(struct world *w)
{
    struct giver g = giver_of(ORCHESTRATOR, 7), other;
    (void)give_state(w, &g);
    other = g;
    other.who = STANDBY;
    return give(w, &other, freeze_of(1));
}

static const char *by_a_lead(struct world *w)
{
    struct giver g = giver_of(LEAD_TWO, 9);
    return give_state(w, &g);
}

static const char *by_a_sector(struct world *w)
{
    struct giver g = giver_of(SECTOR_TWO, 9);
    return give_state(w, &g);
}

static const char *outside_of_the_chain(struct world *w)
{
    static const enum msg_type types[] = {MSG_FREEZE,  MSG_THAW,   MSG_CIRCUIT, MSG_HEAL,
                                          MSG_ISOLATE, MSG_CANCEL, MSG_MOVE,    MSG_GROW};
    const char *got = "";
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct record_header h = {.type = types[i],
                                  .priority = 3,
                                  .from = unit_orchestrator(),
                                  .to = unit_sector(1),
                                  .epoch = 7};
        shot_begin(&s, w, ORCHESTRATOR, &w->sector);
        shot_message(&s, h, NULL, 0);
        shot_seal(&s);
        got = shot_fire(&s);
        if (strncmp(got, "route", 5) != 0)
            break;
    }
    return got;
}

static const char *bytes_of(struct world *w, const char *bytes, size_t length)
{
    struct record_header h = {.type = MSG_ORDER,
                              .priority = 3,
                              .from = unit_orchestrator(),
                              .to = unit_sector(1),
                              .epoch = 7};
    shot_begin(&s, w, ORCHESTRATOR, &w->sector);
    shot_message(&s, h, (const uint8_t *)bytes, length);
    shot_seal(&s);
    return shot_fire(&s);
}

#define HASH                                                                                       \
    "\x12\x20"                                                                                     \
    "0123456789abcdef0123456789abcdef"
#define BYTES(name, text)                                                                          \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return bytes_of(w, text, sizeof(text) - 1);                                                \
    }
BYTES(no_number, HASH "\x18\x01\x22\x00")
BYTES(no_past, "\x08\x01\x18\x01\x22\x00")
BYTES(short_past, "\x08\x01\x12\x04"
                  "0123"
                  "\x18\x01\x22\x00")
BYTES(kind_unknown, "\x08\x01" HASH "\x18\x0a\x22\x00")
BYTES(kind_without_part, "\x08\x01" HASH "\x18\x02")
BYTES(part_of_another_kind, "\x08\x01" HASH "\x18\x01\x2a\x00")
BYTES(short_operation, "\x08\x01" HASH "\x18\x07\x4a\x03\x0a\x01x")
BYTES(no_operation, "\x08\x01" HASH "\x18\x07\x4a\x00")
BYTES(no_moves, "\x08\x01" HASH "\x18\x08")
BYTES(move_of_nothing, "\x08\x01" HASH "\x18\x08\x52\x00")
#define TEN "\x52\x00\x52\x00\x52\x00\x52\x00\x52\x00\x52\x00\x52\x00\x52\x00\x52\x00\x52\x00"
BYTES(too_many_moves, "\x08\x01" HASH "\x18\x08" TEN TEN TEN TEN "\x52\x00")
BYTES(no_places, "\x08\x01" HASH "\x18\x09")
BYTES(places_of_nothing, "\x08\x01" HASH "\x18\x09\x5a\x00")
#define GROWS    "\x5a\x00\x5a\x00\x5a\x00\x5a\x00\x5a\x00\x5a\x00\x5a\x00\x5a\x00\x5a\x00\x5a\x00"
#define GROWS_50 GROWS GROWS GROWS GROWS GROWS
BYTES(too_many_places, "\x08\x01" HASH "\x18\x09" GROWS_50 GROWS_50 "\x5a\x00")
BYTES(number_beyond, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f" HASH "\x18\x01\x22\x00")

struct attack_list attacks_orders(void)
{
    static const struct attack list[] = {
        {"O0", "an order in its turn (control)", honest, "ACCEPTED"},
        {"O1", "an order said again in a new frame", said_again, "again"},
        {"O2", "an order said again long after", said_long_after, "order-old"},
        {"O3", "a number left out", number_skipped, "gap"},
        {"O4", "two orders under one number", two_under_one_number, "order-fork"},
        {"O5", "an order after another past", another_past, "order-fork"},
        {"O6", "a state of before, under its number", rolled_back, "order-fork"},
        {"O7", "an order of an epoch before", of_an_epoch_before, "stale-epoch"},
        {"O8", "a recorded order under a new epoch", of_a_recording_with_a_new_epoch, "gap"},
        {"O9", "another orchestrator under the same epoch", by_another_process, "order-source"},
        {"O10", "an order by a lead", by_a_lead, "scope"},
        {"O11", "an order by a sector", by_a_sector, "scope"},
        {"O12", "freeze, cancel, move, .. outside of the chain", outside_of_the_chain, "route"},
        {"O13", "an order without number", no_number, "record-body:missing"},
        {"O14", "an order without the head before it", no_past, "record-body:missing"},
        {"O15", "a head of four bytes", short_past, "record-body:bad-range"},
        {"O16", "an order of no kind", kind_unknown, "record-body:bad-enum"},
        {"O17", "a freeze that does not say of what", kind_without_part, "record-body:missing"},
        {"O18", "a state that is a freeze", part_of_another_kind, "record-body:missing"},
        {"O19", "a number beyond all", number_beyond, "record-body:bad-range"},
        {"O20", "two cancellations under one number", another_cancelled, "order-fork"},
        {"O21", "two moves under one number", moved_elsewhere, "order-fork"},
        {"O22", "a cancellation of a short id", short_operation, "record-body:bad-range"},
        {"O23", "a cancellation of nothing", no_operation, "record-body:missing"},
        {"O24", "moves without a move", no_moves, "record-body:missing"},
        {"O25", "a move of nobody", move_of_nothing, "record-body:bad-range"},
        {"O26", "41 moves", too_many_moves, "record-body:too-many"},
        {"O27", "other places for newcomers under one number", other_places_opened, "order-fork"},
        {"O28", "places opened again long after", places_opened_again, "order-old"},
        {"O29", "places opened, their closing left out", closing_left_out, "gap"},
        {"O30", "places of an epoch before", places_of_an_epoch_before, "stale-epoch"},
        {"O31", "newcomers without a place", no_places, "record-body:missing"},
        {"O32", "places of no cluster", places_of_nothing, "record-body:bad-range"},
        {"O33", "places of 101 clusters", too_many_places, "record-body:too-many"},
    };
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}
