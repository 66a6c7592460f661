/* The chain of orders (core/order.h): what a sector takes and refuses, what the orchestrator
 * repeats, and what it makes of a chain that is not its own. */
#include "core/hub_order.h"
#include "tests/support/orders.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include "tiers/sector/sector.h"
#include "tiers/sector/sector_state.h"

#define S US_PER_S

/* --- the sector --- */

static struct bench *sector(struct giver *g)
{
    struct bench *b = bench_open(&sector_ops, unit_sector(2), 3, 2, 10);
    memset(g, 0, sizeof(*g));
    g->head.epoch = 5;
    for (uint16_t c = 1; c <= 2; c++) {
        bench_beat(b, unit_cluster(2, c), 1, 10, 10);
    }
    giver_state(b, g, MODE_FULL);
    bench_forget(b);
    return b;
}

static struct sector *of(struct bench *b)
{
    return b->self;
}

static void orders_are_taken_in_their_turn(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    assert_int_equal(of(b)->hub.mode, MODE_FULL);
    struct order o = {.what = ORDER_ISOLATE};
    o.u.isolate = (struct isolate){.agent = unit_agent(2, 1, 3), .what = ISOLATE_QUARANTINE};
    giver_next(&g, &o);
    giver_say(b, 5, &o);
    assert_int_equal(bench_sent(b, MSG_ISOLATE, 0)->to.cluster, 1);
    o.u.isolate.agent = unit_agent(3, 1, 3); /* of another sector: counted, and no more */
    giver_next(&g, &o);
    giver_say(b, 5, &o);
    assert_int_equal(bench_count(b, MSG_ISOLATE), 1);
    o = (struct order){.what = ORDER_HEAL, .u.heal.target = unit_sector(3)};
    giver_next(&g, &o);
    giver_say(b, 5, &o);
    assert_int_equal(bench_count(b, MSG_HEAL), 0);
    o = (struct order){.what = ORDER_CIRCUIT};
    o.u.circuit = (struct circuit_msg){.action = CIRCUIT_OPEN, .target = unit_sector(2)};
    giver_next(&g, &o);
    giver_say(b, 5, &o);
    assert_int_equal(b->notes[NOTE_CIRCUIT], 1);
    assert_int_equal(b->notes[NOTE_ORDER_TAKEN], 5);
    assert_int_equal(of(b)->orders.head.seq, 5);
    assert_memory_equal(of(b)->orders.head.hash, g.head.hash, ORDER_HASH);
    bench_pass(b, 2 * S); /* and it says so */
    assert_int_equal(bench_sent(b, MSG_BEAT, 0)->u.beat->orders.seq, 5);
    assert_int_equal(bench_sent(b, MSG_BEAT, 0)->u.beat->orders.epoch, 5);
    bench_close(b);
}

static void what_is_said_again_does_nothing(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    struct order o = {.what = ORDER_HEAL, .u.heal.target = unit_sector(2)};
    giver_next(&g, &o);
    for (int i = 0; i < 3; i++) {
        giver_say(b, 5, &o);
    }
    assert_int_equal(bench_count(b, MSG_HEAL), 1);
    assert_int_equal(b->notes[NOTE_ORDER_REFUSED], 0);
    for (int i = 0; i < 40; i++) { /* a recording, long after */
        giver_freeze(b, &g, i % 2 == 0, unit_cluster(1, 1));
    }
    bench_forget(b);
    giver_say(b, 5, &o);
    assert_int_equal(bench_count(b, MSG_HEAL), 0);
    assert_int_equal(b->notes[NOTE_ORDER_REFUSED], 1);
    bench_close(b);
}

static void what_is_missing_is_asked_for_at_once(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    struct order first = {.what = ORDER_FREEZE}, second = {.what = ORDER_THAW};
    bench_pass(b, 3 * S / 2);
    bench_forget(b);
    first.u.freeze.scope = second.u.freeze.scope = unit_sector(2);
    giver_next(&g, &first);
    giver_next(&g, &second);
    giver_say(b, 5, &second); /* the first is lost */
    assert_int_equal(b->notes[NOTE_ORDER_MISSED], 1);
    assert_int_equal(bench_count(b, MSG_THAW), 0);
    bench_pass(b, S / 5);
    const struct msg *beat = bench_sent(b, MSG_BEAT, 0);
    assert_non_null(beat);
    assert_true(beat->u.beat->orders_missed);
    assert_int_equal(beat->u.beat->orders.seq, 1);
    giver_say(b, 5, &first);
    giver_say(b, 5, &second);
    assert_int_equal(bench_count(b, MSG_FREEZE), 1);
    assert_int_equal(bench_count(b, MSG_THAW), 1);
    bench_close(b);
}

static void another_order_of_that_number_is_refused(void **state)
{
    (void)state;
    struct giver g, forger;
    struct bench *b = sector(&g);
    forger = g;
    giver_freeze(b, &g, true, unit_cluster(2, 1));
    bench_forget(b);
    giver_freeze(b, &forger, true, unit_cluster(2, 2)); /* number 2 as well */
    assert_int_equal(b->notes[NOTE_ORDER_REFUSED], 1);
    giver_freeze(b, &forger, false, unit_cluster(2, 1)); /* 3, after another 2 */
    assert_int_equal(b->notes[NOTE_ORDER_REFUSED], 2);
    assert_int_equal(bench_count(b, MSG_FREEZE) + bench_count(b, MSG_THAW), 0);
    giver_freeze(b, &g, false, unit_cluster(2, 1)); /* the true one goes on */
    assert_int_equal(bench_count(b, MSG_THAW), 1);
    bench_close(b);
}

static void a_deposed_orchestrator_is_refused(void **state)
{
    (void)state;
    struct giver g, next = {.head.epoch = 6};
    struct bench *b = sector(&g);
    giver_freeze(b, &g, true, unit_orchestrator());
    struct order_state s = {
        .prior_epoch = 5, .prior_seq = 2, .mode = MODE_FULL, .complete = true, .frozen_count = 1};
    s.frozen[0].scope = unit_orchestrator();
    struct order o = {.what = ORDER_STATE, .u.state = &s};
    memcpy(next.head.hash, g.head.hash, ORDER_HASH);
    giver_next(&next, &o);
    giver_say(b, 6, &o);
    assert_int_equal(of(b)->orders.head.epoch, 6);
    bench_forget(b);
    giver_freeze(b, &g, false, unit_orchestrator());
    assert_int_equal(b->notes[NOTE_STALE_EPOCH], 1);
    assert_true(of(b)->hub.frozen);
    assert_int_equal(b->notes[NOTE_ORDER_REFUSED], 0); /* the past that it names is ours */
    bench_close(b);
}

static void another_past_is_noted(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    struct order_state s = {.prior_epoch = 5, .prior_seq = 1, .mode = MODE_FULL};
    struct order o = {.what = ORDER_STATE, .seq = 1, .u.state = &s};
    memset(o.prev, 7, sizeof(o.prev));
    giver_say(b, 6, &o);
    assert_int_equal(b->notes[NOTE_ORDER_REFUSED], 1);
    assert_int_equal(of(b)->orders.head.epoch, 6); /* its epoch is higher: it is obeyed */
    bench_close(b);
}

static void a_state_fills_every_gap(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    giver_freeze(b, &g, true, unit_cluster(2, 1));
    struct command c = {.kind = COMMAND_FREEZE, .scope = unit_cluster(2, 2)};
    bench_command(b, &c); /* by a console here */
    bench_forget(b);
    g.head.seq = 70; /* 3 to 70 are gone: among them a thaw of c1 */
    struct order_state s = {.mode = MODE_DEGRADED_LIGHT, .mesh_open = true, .complete = false};
    struct order o = {.what = ORDER_STATE, .u.state = &s};
    giver_next(&g, &o);
    giver_say(b, 5, &o);
    assert_int_equal(of(b)->orders.head.seq, 71);
    assert_int_equal(of(b)->hub.mode, MODE_DEGRADED_LIGHT);
    assert_true(of(b)->hub.mesh_open);
    assert_int_equal(of(b)->hub.freezer.count, 2); /* not complete: it may not know of c1 */
    s.complete = true;
    giver_next(&g, &o);
    giver_say(b, 5, &o);
    assert_int_equal(bench_sent(b, MSG_THAW, 0)->mask, 1u);
    assert_int_equal(of(b)->hub.freezer.count, 1); /* what the console froze stands */
    bench_close(b);
}

/* Of a gap that the orchestrator can fill a STATE says nothing: whoever is quarantined by the order
 * that is missing would stay free, and who is let out by it would stay in. */
static void a_state_waits_for_what_can_be_had(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    struct order lift = {.what = ORDER_ISOLATE};
    struct order_state s = {.mode = MODE_DEGRADED_LIGHT};
    struct order o = {.what = ORDER_STATE, .u.state = &s, .kept_from = 1};
    lift.u.isolate = (struct isolate){.agent = unit_agent(2, 1, 3), .what = ISOLATE_LIFT};
    giver_next(&g, &lift);
    giver_next(&g, &o);
    giver_say(b, 5, &o); /* the lift is lost */
    assert_int_equal(b->notes[NOTE_ORDER_MISSED], 1);
    assert_int_equal(of(b)->orders.head.seq, 1);
    giver_say(b, 5, &lift);
    giver_say(b, 5, &o);
    assert_int_equal(bench_count(b, MSG_ISOLATE), 1);
    assert_int_equal(of(b)->orders.head.seq, 3);
    o.kept_from = 6; /* 4 and 5 are gone */
    g.head.seq = 5;
    giver_next(&g, &o);
    giver_say(b, 5, &o);
    assert_int_equal(of(b)->orders.head.seq, 6);
    bench_close(b);
}

/* A sector that starts anew finds a lead that stands still by an order that holds no longer. */
static void a_lead_that_nobody_holds_is_let_go(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    struct beat beat = {.has_summary = true};
    struct msg m = {.type = MSG_BEAT, .from = unit_cluster(2, 1), .epoch = 1};
    beat.summary = (struct summary){
        .agents = 10, .active = 10, .frozen = 10, .clusters = 1, .circuit = CIRCUIT_CLOSED};
    m.u.beat = &beat;
    bench_msg(b, &m);
    assert_int_equal(bench_count(b, MSG_THAW), 3); /* whichever of the three holds it */
    assert_int_equal(bench_sent(b, MSG_THAW, 0)->to.cluster, 1);
    giver_freeze(b, &g, true, unit_cluster(2, 1));
    bench_forget(b);
    bench_msg(b, &m); /* now one does */
    assert_int_equal(bench_count(b, MSG_THAW), 0);
    bench_close(b);
}

static void nothing_but_a_state_begins(void **state)
{
    (void)state;
    struct giver g = {.head.epoch = 5};
    struct bench *b = bench_open(&sector_ops, unit_sector(2), 3, 2, 10);
    giver_freeze(b, &g, true, unit_orchestrator());
    assert_false(of(b)->hub.frozen);
    assert_int_equal(b->notes[NOTE_ORDER_MISSED], 1);
    bench_close(b);
}

static void a_cancel_is_an_order(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    struct operation op = {.id.bytes = {7}, .created_mesh_us = 1, .ttl_us = TTL_US_MAX};
    struct operate operate = {.operation_id = op.id, .operation = &op};
    struct msg m = {.type = MSG_OPERATE, .from = unit_orchestrator(), .epoch = 5};
    op.timeout_us = 30 * S;
    operate.deadline_mesh_us = op.created_mesh_us + op.timeout_us;
    m.u.operate = operate;
    bench_msg(b, &m);
    assert_true(bench_count(b, MSG_OPERATE) > 0);
    struct order first = {.what = ORDER_CANCEL, .u.cancel.operation_id.bytes = {9}};
    struct order second = {.what = ORDER_CANCEL, .u.cancel.operation_id = op.id};
    giver_next(&g, &first);
    giver_next(&g, &second);
    giver_say(b, 5, &second); /* out of its turn: not done */
    assert_int_equal(bench_count(b, MSG_CANCEL), 0);
    giver_say(b, 5, &first); /* of nothing that is here */
    assert_int_equal(bench_count(b, MSG_CANCEL), 0);
    giver_say(b, 5, &second);
    assert_int_equal(bench_count(b, MSG_CANCEL), 1);
    assert_int_equal(bench_sent(b, MSG_CANCEL, 0)->mask, 3u);
    assert_int_equal(of(b)->orders.head.seq, 3);
    bench_close(b);
}

static void places_of_newcomers_are_an_order(void **state)
{
    (void)state;
    struct giver g;
    struct bench *b = sector(&g);
    b->topology.spare = 4;
    struct order_grows open = {.count = 2}, closed;
    open.list[0] = (struct grow){8, unit_cluster(3, 1), 0xc00, 0xc00, 60 * S, 10 * S};
    open.list[1] = (struct grow){8, unit_cluster(2, 2), 0x400, 0x400, 60 * S, 10 * S};
    closed = open;
    closed.list[1] = (struct grow){9, unit_cluster(2, 2), 0, 0, 60 * S, 20 * S};
    struct order first = {.what = ORDER_GROWS, .u.grows = &open};
    struct order second = {.what = ORDER_GROWS, .u.grows = &closed};
    giver_next(&g, &first);
    giver_next(&g, &second);
    giver_say(b, 5, &second); /* out of its turn: not done */
    assert_int_equal(bench_count(b, MSG_GROW), 0);
    giver_say(b, 5, &first);
    assert_int_equal(bench_count(b, MSG_GROW), 1); /* the other cluster is another sector's */
    assert_int_equal(bench_sent(b, MSG_GROW, 0)->to.cluster, 2);
    assert_int_equal(bench_sent(b, MSG_GROW, 0)->u.grow.places, 0x400);
    giver_say(b, 5, &second);
    giver_say(b, 5, &first); /* a recording: the places stay closed */
    assert_int_equal(bench_count(b, MSG_GROW), 2);
    assert_int_equal(bench_sent(b, MSG_GROW, 1)->u.grow.places, 0);
    assert_true(bench_sent(b, MSG_GROW, 1)->u.grow.drain_us == 20 * S);
    bench_forget(b);
    bench_pass(b, 11 * S); /* said to the lead again by the sector alone */
    assert_int_equal(bench_count(b, MSG_GROW), 1);
    assert_int_equal(bench_sent(b, MSG_GROW, 0)->u.grow.id, 9);
    assert_in_range(bench_sent(b, MSG_GROW, 0)->u.grow.drain_us, 8 * S, 12 * S); /* what is left */
    bench_close(b);
}

/* --- the orchestrator --- */

static struct bench *root(uint16_t sectors)
{
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), sectors, 1, 10);
    b->log_verdict = STORE_OK;
    bench_up(b, sectors, 10, 10);
    return b;
}

static struct orchestrator *orch(struct bench *b)
{
    return b->self;
}

static void says(struct bench *b, uint16_t sector, struct order_head head, bool missed)
{
    struct beat beat = {.orders = head, .orders_missed = missed};
    struct msg m = {
        .type = MSG_BEAT, .from = unit_sector(sector), .epoch = 1, .sent_us = b->now_us};
    m.u.beat = &beat;
    bench_msg(b, &m);
}

static void freeze(struct bench *b, uint16_t sector)
{
    struct command c = {.kind = COMMAND_FREEZE, .scope = unit_sector(sector)};
    bench_command(b, &c);
}

/* Orders about newcomers, and the clusters in all of them. */
static uint32_t grows_given(struct bench *b, uint32_t *clusters)
{
    uint32_t n = 0;
    const struct msg *m;
    *clusters = 0;
    while ((m = bench_order(b, ORDER_GROWS, (uint16_t)n)) != NULL) {
        *clusters += m->u.order->u.grows->count;
        n++;
    }
    return n;
}

static void many_clusters_open_in_a_few_orders(void **state)
{
    (void)state;
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 5, 50, 10);
    struct scale_book *book = &orch(b)->scale;
    uint32_t clusters = 0;
    b->topology.spare = 4;
    b->log_verdict = STORE_OK;
    bench_up(b, 5, 50 * 10, 50 * 10);
    book->loaded = true;
    book->batch = (struct scale_batch){
        .id = 5, .state = SCALE_DONE, .wanted = 250, .rate = 100, .over_us = 60 * S};
    for (uint16_t i = 0; i < 250; i++) {
        struct scale_row *row = scale_row(book, unit_cluster(1u + i / 50u, 1u + i % 50u), true);
        row->id = 6;
        row->old = 0x400;
        row->dirty = i == 249; /* it is not in the registry */
    }
    book->order_due = true;
    bench_forget(b);
    bench_pass(b, 2 * S);
    assert_int_equal(grows_given(b, &clusters), 3);
    assert_int_equal(clusters, 249);
    bench_forget(b);
    bench_pass(b, 30 * S); /* once is enough: sectors say them again */
    assert_int_equal(grows_given(b, &clusters), 0);
    book->rows[3].old = 0xc00;
    book->order_due = true;
    bench_pass(b, S);
    assert_int_equal(grows_given(b, &clusters), 1);
    assert_int_equal(clusters, 1);
    bench_forget(b);
    freeze(b, 1);
    hub_order_state(&orch(b)->hub); /* a STATE does not say them */
    bench_pass(b, 3 * S);
    assert_non_null(bench_order(b, ORDER_STATE, 0));
    assert_int_equal(grows_given(b, &clusters), 3);
    assert_int_equal(clusters, 249);
    bench_close(b);
}

static void the_chain_begins_with_the_last_head_that_is_known(void **state)
{
    (void)state;
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 2, 1, 10);
    b->log_verdict = STORE_OK;
    says(b, 1, (struct order_head){.epoch = 2, .seq = 9, .hash = {1}}, false);
    says(b, 2, (struct order_head){.epoch = 2, .seq = 11, .hash = {2}}, false);
    assert_int_equal(bench_count(b, MSG_ORDER), 0); /* what stands still is not known yet */
    bench_nothing_frozen(b);
    const struct msg *m = bench_order(b, ORDER_STATE, 0);
    assert_non_null(m);
    assert_int_equal(m->mask, 3u);
    assert_int_equal(m->u.order->seq, 1);
    assert_int_equal(m->u.order->u.state->prior_epoch, 2);
    assert_int_equal(m->u.order->u.state->prior_seq, 11);
    assert_int_equal(m->u.order->prev[0], 2);
    assert_true(m->u.order->u.state->complete);
    assert_int_equal(b->log_rows, 1); /* who follows whom is a row of the audit log */
    /* One that has another order of number 11: the orchestrator before this one told two things. */
    says(b, 1, (struct order_head){.epoch = 2, .seq = 11, .hash = {3}}, false);
    assert_int_equal(b->notes[NOTE_ORDER_FORK], 1);
    bench_close(b);
}

static void what_a_sector_lacks_is_said_again(void **state)
{
    (void)state;
    struct bench *b = root(3);
    struct order_head had = orch(b)->orders.head;
    freeze(b, 1);
    freeze(b, 2);
    assert_int_equal(orch(b)->orders.head.seq, had.seq + 2);
    bench_forget(b);
    says(b, 3, had, false); /* they may be on their way */
    assert_int_equal(bench_count(b, MSG_ORDER), 0);
    says(b, 3, had, true);
    assert_int_equal(bench_count(b, MSG_ORDER), 2);
    assert_int_equal(bench_sent(b, MSG_ORDER, 0)->u.order->seq, had.seq + 1);
    assert_int_equal(bench_sent(b, MSG_ORDER, 0)->to.sector, 3);
    bench_forget(b);
    says(b, 3, (struct order_head){0}, false); /* a new one: all that stands */
    assert_int_equal(bench_sent(b, MSG_ORDER, 0)->u.order->what, ORDER_STATE);
    assert_int_equal(bench_count(b, MSG_ORDER), 3);
    for (int i = 0; i < 50; i++) { /* beyond what is kept */
        struct command c = {.kind = i % 2 == 0 ? COMMAND_THAW : COMMAND_FREEZE,
                            .scope = unit_sector(1)};
        bench_command(b, &c);
        bench_forget(b);
        bench_pass(b, 500000); /* a console waits for each, a while */
        says(b, 1, orch(b)->orders.head, false);
        says(b, 2, orch(b)->orders.head, false);
    }
    bench_forget(b);
    says(b, 3, had, true); /* even the latest state is gone: a new one, for all */
    assert_int_equal(bench_sent(b, MSG_ORDER, 0)->u.order->what, ORDER_STATE);
    assert_int_equal(bench_sent(b, MSG_ORDER, 0)->mask, 7u);
    for (uint16_t i = 1; i <= 3; i++) {
        says(b, i, orch(b)->orders.head, false);
    }
    struct command c = {.kind = COMMAND_STATUS};
    bench_command(b, &c);
    const struct mesh_status *s = bench_reply(b, REPLY_STATUS)->status;
    assert_int_equal(s->orders_seq, orch(b)->orders.head.seq);
    assert_int_equal(s->orders_agree, 3);
    bench_close(b);
}

static void a_fork_is_answered_above_it(void **state)
{
    (void)state;
    struct bench *b = root(3);
    struct order_head other = orch(b)->orders.head;
    other.seq += 3;
    other.hash[0] ^= 1u;
    says(b, 1, other, false); /* one may lie: it is suspected, and the mesh goes on */
    assert_int_equal(b->notes[NOTE_ORDER_FORK], 1);
    assert_false(orch(b)->hub.frozen);
    assert_null(threat_open(&orch(b)->threats, THREAT_ORCHESTRATOR_COMPROMISE));
    struct command c = {.kind = COMMAND_THREAT};
    bench_command(b, &c);
    assert_non_null(strstr(bench_reply(b, REPLY_LINE)->text, "suspected"));
    /* A number that the forger did not use: a sector takes it whatever it was told. */
    assert_true(orch(b)->orders.head.seq > other.seq + 1);
    assert_non_null(bench_order(b, ORDER_STATE, 0));
    bench_forget(b);
    other.seq = orch(b)->orders.head.seq;
    says(b, 2, other, false); /* the second of three */
    assert_non_null(threat_open(&orch(b)->threats, THREAT_ORCHESTRATOR_COMPROMISE));
    assert_true(orch(b)->hub.frozen);
    assert_non_null(bench_order(b, ORDER_FREEZE, 0));
    assert_int_equal(b->notes[NOTE_THREAT], 1);
    bench_forget(b);
    says(b, 1, orch(b)->orders.head, false); /* it has come back to the true chain */
    assert_int_equal(hub_order_forked(&orch(b)->hub), 1);
    other.seq = 1ull << 50; /* nobody goes after that */
    bench_pass(b, 2 * S);
    says(b, 1, other, false);
    assert_true(orch(b)->orders.head.seq < 1000);
    bench_close(b);
}

static void the_digest_covers_every_part(void **state)
{
    (void)state;
    uint8_t first[ORDER_HASH], other[ORDER_HASH];
    struct order_state s = {.mode = MODE_FULL, .frozen_count = 2};
    struct order o = {.seq = 4, .what = ORDER_STATE, .u.state = &s};
    order_digest(digest_plain, 3, &o, first);
#define CHANGED(change)                                                                            \
    do {                                                                                           \
        struct order_state kept = s;                                                               \
        struct order kept_o = o;                                                                   \
        change;                                                                                    \
        order_digest(digest_plain, 3, &o, other);                                                  \
        assert_memory_not_equal(first, other, ORDER_HASH);                                         \
        s = kept;                                                                                  \
        o = kept_o;                                                                                \
    } while (false)
    CHANGED(o.seq = 5);
    CHANGED(o.prev[31] = 1);
    CHANGED(s.mode = MODE_EMERGENCY);
    CHANGED(s.mesh_open = true);
    CHANGED(s.complete = true);
    CHANGED(s.prior_epoch = 1);
    CHANGED(s.prior_seq = 1);
    CHANGED(s.excluded[CLASS_F_HUMAN] = 1);
    CHANGED(s.frozen_count = 1);
    CHANGED(s.frozen[1].at_mesh_us = 1);
    CHANGED(s.frozen[1].scope = unit_sector(1));
    CHANGED(s.frozen[1].preserve_state_to[0] = 'x');
    order_digest(digest_plain, 4, &o, other);
    assert_memory_not_equal(first, other, ORDER_HASH);
    memset(&o.u, 0, sizeof(o.u));
    o.what = ORDER_ISOLATE;
    order_digest(digest_plain, 3, &o, first);
    CHANGED(o.u.isolate.agents = 1);
    CHANGED(o.u.isolate.capabilities = 1);
    CHANGED(o.u.isolate.what = ISOLATE_LIFT);
    CHANGED(o.u.isolate.agent = unit_agent(1, 1, 1));
    o.what = ORDER_CIRCUIT;
    order_digest(digest_plain, 3, &o, first);
    CHANGED(o.u.circuit.action = CIRCUIT_OPEN);
    CHANGED(o.u.circuit.reason = REASON_BREAKER);
    CHANGED(o.u.circuit.target = unit_sector(1));
    CHANGED(o.what = ORDER_HEAL);
    o.what = ORDER_CANCEL;
    memset(&o.u, 0, sizeof(o.u));
    order_digest(digest_plain, 3, &o, first);
    CHANGED(o.u.cancel.operation_id.bytes[15] = 1);
    struct order_moves moves = {.count = 2};
    o.what = ORDER_MOVES;
    o.u.moves = &moves;
    order_digest(digest_plain, 3, &o, first);
#undef CHANGED
#define CHANGED(change)                                                                            \
    do {                                                                                           \
        struct order_moves kept = moves;                                                           \
        change;                                                                                    \
        order_digest(digest_plain, 3, &o, other);                                                  \
        assert_memory_not_equal(first, other, ORDER_HASH);                                         \
        moves = kept;                                                                              \
    } while (false)
    CHANGED(moves.count = 1);
    CHANGED(moves.list[1].id = 1);
    CHANGED(moves.list[1].home = unit_cluster(1, 1));
    CHANGED(moves.list[1].place = unit_cluster(1, 1));
    CHANGED(moves.list[1].agents = 1);
    CHANGED(moves.list[0].places = 1);
    CHANGED(moves.list[1].back = true);
#undef CHANGED
    struct order_grows grows = {.count = 2}, plain = grows;
    o.what = ORDER_GROWS;
    o.u.grows = &grows;
    order_digest(digest_plain, 3, &o, first);
#define CHANGED(change)                                                                            \
    do {                                                                                           \
        change;                                                                                    \
        order_digest(digest_plain, 3, &o, other);                                                  \
        assert_memory_not_equal(first, other, ORDER_HASH);                                         \
        grows = plain;                                                                             \
    } while (false)
    CHANGED(grows.count = 1);
    CHANGED(grows.list[1].id = 1);
    CHANGED(grows.list[1].cluster = unit_cluster(1, 1));
    CHANGED(grows.list[0].places = 1);
    CHANGED(grows.list[1].fresh = 1);
    CHANGED(grows.list[1].over_us = 1);
#undef CHANGED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_taken_in_their_turn),
        cmocka_unit_test(what_is_said_again_does_nothing),
        cmocka_unit_test(what_is_missing_is_asked_for_at_once),
        cmocka_unit_test(another_order_of_that_number_is_refused),
        cmocka_unit_test(a_deposed_orchestrator_is_refused),
        cmocka_unit_test(another_past_is_noted),
        cmocka_unit_test(a_state_fills_every_gap),
        cmocka_unit_test(a_state_waits_for_what_can_be_had),
        cmocka_unit_test(a_lead_that_nobody_holds_is_let_go),
        cmocka_unit_test(nothing_but_a_state_begins),
        cmocka_unit_test(a_cancel_is_an_order),
        cmocka_unit_test(places_of_newcomers_are_an_order),
        cmocka_unit_test(many_clusters_open_in_a_few_orders),
        cmocka_unit_test(the_chain_begins_with_the_last_head_that_is_known),
        cmocka_unit_test(what_a_sector_lacks_is_said_again),
        cmocka_unit_test(a_fork_is_answered_above_it),
        cmocka_unit_test(the_digest_covers_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
