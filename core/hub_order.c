/* See hub_order.h. The chain begins when what stands is known (or SETTLE has passed), and a child
 * has told where the chain before it stood; or earlier, with the first order.
 *
 * A fork is answered by going on above it: the next number is one that the forger has not used, and
 * a STATE, which a sector takes whatever it was told before. So what is ordered because of the fork
 * (the mesh is frozen) reaches the sectors that were misled, too. */
#include "core/hub_order.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

void hub_order_init(struct hub *h, struct order_chain *c, const struct node_conf *conf)
{
    assert(h != NULL && c != NULL && conf->digest != NULL);
    c->digest = conf->digest;
    c->head.epoch = conf->epoch;
    h->orders = c;
}

static struct order_kept *kept(struct order_chain *c, uint64_t seq)
{
    struct order_kept *k = &c->kept[seq % ORDERS_KEPT];
    return seq > 0 && k->order.seq == seq ? k : NULL;
}

/* --- giving ------------------------------------------------------------------------------------
 */

static void give(struct hub *h, const struct order *order)
{
    struct order_chain *c = h->orders;
    struct order_kept *k = &c->kept[(c->head.seq + 1) % ORDERS_KEPT];
    k->order = *order;
    k->order.seq = c->head.seq + 1;
    memcpy(k->order.prev, c->head.hash, ORDER_HASH);
    if (order->what == ORDER_STATE) {
        k->part.state = *order->u.state;
        k->order.u.state = &k->part.state;
        c->state_seq = k->order.seq;
        c->state_due = false;
    } else if (order->what == ORDER_MOVES) {
        k->part.moves = *order->u.moves;
        k->order.u.moves = &k->part.moves;
    } else if (order->what == ORDER_GROWS) {
        k->part.grows = *order->u.grows;
        k->order.u.grows = &k->part.grows;
    }
    order_digest(c->digest, h->epoch, &k->order, k->head);
    k->given_us = h->now_us;
    c->head.seq = k->order.seq;
    memcpy(c->head.hash, k->head, ORDER_HASH);
    hub_note(h, NOTE_ORDER, c->head.seq, order_short(c->head.hash));
}

static void give_state(struct hub *h)
{
    struct order_chain *c = h->orders;
    struct order_state s = {.mode = h->mode,
                            .mesh_open = breaker_state(&h->breaker) == CIRCUIT_OPEN,
                            .complete = c->complete,
                            .frozen_count = h->freezer.count};
    struct order order = {.what = ORDER_STATE, .u.state = &s};
    if (c->head.seq == 0) { /* it goes on from the last one that is known */
        s.prior_epoch = c->prior.epoch;
        s.prior_seq = c->prior.seq;
        memcpy(c->head.hash, c->prior.hash, ORDER_HASH);
    }
    memcpy(s.excluded, h->excluded, sizeof(s.excluded));
    s.excluded[CLASS_NONE] = 0;
    memcpy(s.frozen, h->freezer.list, h->freezer.count * sizeof(s.frozen[0]));
    give(h, &order);
}

static uint64_t unsent(const struct order_chain *c)
{
    return c->head.seq - c->sent;
}

bool hub_order_room(struct hub *h)
{
    assert(h->orders != NULL);
    return unsent(h->orders) < ORDERS_KEPT / 2u;
}

bool hub_order(struct hub *h, const struct order *order)
{
    struct order_chain *c = h->orders;
    assert(c != NULL && order->what != ORDER_STATE);
    if (unsent(c) + 2 > ORDERS_KEPT) { /* with a STATE before it */
        return false;
    }
    if (c->head.seq == 0) {
        give_state(h);
    }
    give(h, order);
    return true;
}

void hub_order_state(struct hub *h)
{
    assert(h->orders != NULL);
    h->orders->state_due = true;
}

void hub_order_freeze(struct hub *h, enum msg_type type, const struct freeze *freeze)
{
    struct order order = {.what = type == MSG_FREEZE ? ORDER_FREEZE : ORDER_THAW};
    order.u.freeze = *freeze;
    if (!hub_order(h, &order)) {
        hub_order_state(h); /* that says it, too */
    }
}

/* --- sending -----------------------------------------------------------------------------------
 */

static uint64_t kept_from(struct order_chain *c)
{
    uint64_t from = c->head.seq;
    while (kept(c, from - 1) != NULL) {
        from--;
    }
    return from;
}

static bool send(struct hub *h, const struct order *order, uint32_t child, uint64_t mask)
{
    struct msg m = hub_msg(h, MSG_ORDER, hub_child_unit(h, child), 3);
    struct order said = *order;
    said.kept_from = kept_from(h->orders);
    said.kept_from = said.kept_from < said.seq ? said.kept_from : said.seq;
    m.mask = mask;
    m.u.order = &said;
    if (!hub_fits(h, &m)) {
        return false;
    }
    out_send(h->out, &m);
    return true;
}

static bool send_all(struct hub *h, const struct order_kept *k)
{
    struct order_chain *c = h->orders;
    for (; c->sent_block * 64u < h->children_count; c->sent_block++) {
        uint64_t mask = children_mask(&h->children, c->sent_block * 64u);
        if (mask != 0 && !send(h, &k->order, c->sent_block * 64u, mask)) {
            return false;
        }
    }
    c->sent_block = 0;
    return true;
}

void hub_order_pump(struct hub *h)
{
    struct order_chain *c = h->orders;
    if (c == NULL) {
        return;
    }
    bool may = c->head.seq > 0 || (c->heard && !h->settling);
    if (may && (c->state_due || c->head.seq == 0) && unsent(c) < ORDERS_KEPT) {
        give_state(h);
    }
    while (unsent(c) > 0) {
        const struct order_kept *k = kept(c, c->sent + 1);
        if (k != NULL && !send_all(h, k)) {
            return;
        }
        c->sent++;
    }
}

/* --- what children have ------------------------------------------------------------------------
 */

/* From the number `from` on, as far as all have been sent it. */
static void send_again(struct hub *h, uint32_t child, uint64_t from, bool at_once)
{
    struct order_chain *c = h->orders;
    if (c->head.seq >= from + ORDERS_KEPT || kept(c, from) == NULL) {
        from = c->state_seq;
    }
    if (kept(c, from) == NULL) { /* and the latest STATE is gone */
        hub_order_state(h);
        return;
    }
    for (; from <= c->sent; from++) {
        const struct order_kept *k = kept(c, from);
        bool due = at_once || h->now_us - k->given_us >= HUB_ORDER_AGAIN_US;
        if (!due || !send(h, &k->order, child, 0)) {
            return;
        }
    }
}

static void fork_found(struct hub *h, uint32_t child, const struct order_head *said)
{
    struct order_chain *c = h->orders;
    c->forks++;
    c->forked[child / 64u] |= 1ull << (child % 64u);
    hub_note(h, NOTE_ORDER_FORK, unit_pack(hub_child_unit(h, child)), said->seq);
    bool far = said->seq > c->head.seq && said->seq - c->head.seq > HUB_ORDER_JUMP_MAX;
    if (said->epoch != h->epoch || far || unsent(c) > 0 ||
        (c->above_us != 0 && h->now_us - c->above_us < HUB_ORDER_ABOVE_US)) {
        return;
    }
    c->above_us = h->now_us;
    if (c->head.seq <= said->seq) {
        c->head.seq = said->seq + 1;
        c->sent = c->head.seq;
    }
    hub_order_state(h);
}

static bool differs(const struct order_chain *c, const struct order_head *said)
{
    if (said->epoch != c->head.epoch) {
        return said->epoch == c->prior.epoch && said->seq == c->prior.seq &&
               memcmp(said->hash, c->prior.hash, ORDER_HASH) != 0;
    }
    const struct order_kept *k =
        &c->kept[said->seq % ORDERS_KEPT]; /* of a number that is skipped nothing is known */
    return said->seq > c->head.seq ||
           (k->order.seq == said->seq && memcmp(said->hash, k->head, ORDER_HASH) != 0);
}

void hub_order_heard(struct hub *h, uint32_t child, const struct beat *beat)
{
    struct order_chain *c = h->orders;
    const struct order_head *said = &beat->orders;
    assert(c != NULL && child < h->children_count);
    c->heard = true;
    c->told[child] = 0;
    if (said->epoch > h->epoch) {
        return; /* another has followed this orchestrator: it will hear of it */
    }
    bool mine = said->epoch == h->epoch;
    if (said->epoch != 0 && differs(c, said)) {
        fork_found(h, child, said);
        if (mine) {
            return;
        }
    } else if (mine) {
        c->forked[child / 64u] &= ~(1ull << (child % 64u));
    }
    if (c->head.seq == 0) {
        bool later = said->epoch > c->prior.epoch ||
                     (said->epoch == c->prior.epoch && said->seq > c->prior.seq);
        c->prior = later ? *said : c->prior;
        return;
    }
    c->told[child] = mine ? said->seq : 0;
    if (!mine || said->seq < c->sent) {
        send_again(h, child, mine ? said->seq + 1 : c->state_seq, !mine || beat->orders_missed);
    }
}

uint32_t hub_order_agree(const struct hub *h)
{
    const struct order_chain *c = h->orders;
    uint32_t n = 0;
    for (uint32_t i = 0; c != NULL && c->head.seq > 0 && i < h->children_count; i++) {
        n += children_reachable(&h->children, i) && c->told[i] == c->head.seq ? 1 : 0;
    }
    return n;
}

uint32_t hub_order_forked(const struct hub *h)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < GATHER_WORDS; i++) {
        n += num_bits(h->orders->forked[i]);
    }
    return n;
}
