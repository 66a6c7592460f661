/* Who runs under a name: the lease against answers of every kind, against silence, and two
 * processes with one name against a store that expires, forgets and goes away. No clock. */
#include "core/lease.h"

#include "registry/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define START_EPOCH 1795000000ull
#define TICK_US     250000ll /* as a process calls it */
#define SECOND_US   1000000ll

static struct lease lease;
static int64_t now_us;

static int setup(void **state)
{
    (void)state;
    now_us = 77 * SECOND_US;
    lease_init(&lease, "cluster-1", "cluster-1:4711:abc", START_EPOCH, now_us);
    return 0;
}

/* What it asks now; STORE_KIND_COUNT: nothing. */
static struct store_op asked;
static enum store_kind tick(bool store_up)
{
    bool asks = lease_tick(&lease, now_us, store_up, &asked);
    if (!asks) {
        return STORE_KIND_COUNT;
    }
    assert_null(store_op_check(&asked)); /* a store would take it */
    assert_string_equal(asked.shard, "mesh");
    assert_string_equal(asked.key, "lease:cluster-1");
    assert_string_equal(asked.owner, "cluster-1:4711:abc");
    assert_true(asked.kind == STORE_LEASE_RELEASE || asked.ttl_us == LEASE_TTL_US);
    return asked.kind;
}

static void answer(enum store_kind kind, enum store_verdict verdict, uint64_t epoch)
{
    struct store_reply reply = {.ref = asked.ref, .kind = kind, .verdict = verdict, .epoch = epoch};
    lease_reply(&lease, now_us, &reply);
}

/* Time passes without anything being asked. */
static void pass_quietly(int64_t us, bool store_up)
{
    for (int64_t end_us = now_us + us; now_us < end_us;) {
        now_us += TICK_US < end_us - now_us ? TICK_US : end_us - now_us;
        assert_int_equal(tick(store_up), STORE_KIND_COUNT);
    }
}

static void hold(uint64_t granted)
{
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, granted);
    assert_int_equal(lease.state, LEASE_HELD);
}

static void it_asks_at_once_and_serves_when_granted(void **state)
{
    (void)state;
    assert_int_equal(lease.state, LEASE_ASKING);
    assert_false(lease_serves(&lease));
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    assert_int_equal(asked.epoch, START_EPOCH);
    assert_int_equal(tick(true), STORE_KIND_COUNT); /* one at a time */
    assert_false(lease_serves(&lease));
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH);
    assert_true(lease_serves(&lease));
    assert_int_equal(lease.epoch, START_EPOCH);
}

/* The epoch is the later of the start time and of what the store has seen. */
static void the_epoch_is_the_higher_one(void **state)
{
    (void)state;
    hold(START_EPOCH + 500); /* the clock went back since the last life */
    assert_int_equal(lease.epoch, START_EPOCH + 500);
    assert_int_equal(lease.granted, START_EPOCH + 500);
}

static void it_renews_every_second_under_what_was_granted(void **state)
{
    (void)state;
    hold(START_EPOCH + 3);
    now_us += LEASE_RETRY_US;
    assert_int_equal(tick(true), STORE_LEASE_RENEW); /* the first a little earlier */
    answer(STORE_LEASE_RENEW, STORE_OK, START_EPOCH + 3);
    for (int i = 0; i < 20; i++) {
        pass_quietly(LEASE_RENEW_US - TICK_US, true);
        now_us += TICK_US;
        assert_int_equal(tick(true), STORE_LEASE_RENEW);
        assert_int_equal(asked.epoch, START_EPOCH + 3);
        answer(STORE_LEASE_RENEW, STORE_OK, START_EPOCH + 3);
        assert_int_equal(lease.state, LEASE_HELD);
    }
    assert_true(LEASE_TTL_US >= 3 * LEASE_RENEW_US); /* some may be lost */
}

static void a_standby_waits_and_takes_over(void **state)
{
    (void)state;
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    for (int i = 0; i < 100; i++) {
        answer(STORE_LEASE_ACQUIRE, STORE_BUSY, START_EPOCH - 9);
        assert_int_equal(lease.state, LEASE_WAITING);
        assert_false(lease_serves(&lease));
        pass_quietly(LEASE_RETRY_US - TICK_US, true);
        now_us += TICK_US;
        assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    }
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH);
    assert_int_equal(lease.state, LEASE_HELD);
    assert_int_equal(lease.epoch, START_EPOCH);
}

/* A standby that cannot ask goes on waiting: the holder may live without a store, too. */
static void a_standby_waits_through_a_store_that_is_away(void **state)
{
    (void)state;
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_BUSY, START_EPOCH - 9);
    pass_quietly(600 * SECOND_US, false);
    assert_int_equal(lease.state, LEASE_WAITING);
    static const enum store_verdict useless[] = {STORE_UNKNOWN, STORE_READONLY, STORE_FULL};
    assert_int_equal(tick(true), STORE_KIND_COUNT); /* the holder asks first, if it lives */
    now_us += LEASE_SETTLE_US;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
        answer(STORE_LEASE_ACQUIRE, useless[i], 0);
        assert_int_equal(lease.state, LEASE_WAITING);
        now_us += LEASE_RETRY_US;
        assert_int_equal(tick(true), STORE_KIND_COUNT);
        now_us += LEASE_SETTLE_US - LEASE_RETRY_US;
    }
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 1);
    assert_int_equal(lease.epoch, START_EPOCH + 1);
}

static void without_a_store_it_serves_after_a_second(void **state)
{
    (void)state;
    pass_quietly(LEASE_PATIENCE_US, false);
    assert_false(lease_serves(&lease));
    pass_quietly(TICK_US, false);
    assert_int_equal(lease.state, LEASE_UNHELD);
    assert_int_equal(lease.epoch, START_EPOCH);
    struct store_op op;
    assert_false(lease_release(&lease, &op)); /* nothing to give back */
    /* The store appears: acquired under the epoch that is in use. */
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    assert_int_equal(asked.epoch, START_EPOCH);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH);
    assert_int_equal(lease.state, LEASE_HELD);
}

/* A connection alone is no store: one that fails to answer is as good as none. */
static void a_store_that_gives_no_usable_answer(void **state)
{
    static const enum store_verdict useless[] = {STORE_UNKNOWN, STORE_READONLY, STORE_FULL,
                                                 STORE_INVALID};
    for (size_t i = 0; i < 4; i++) {
        (void)setup(state);
        int asks = 0;
        for (int64_t end_us = now_us + LEASE_PATIENCE_US; now_us <= end_us; now_us += TICK_US) {
            if (tick(true) == STORE_LEASE_ACQUIRE) {
                answer(STORE_LEASE_ACQUIRE, useless[i], 0);
                asks++;
            }
            assert_int_equal(lease.state, LEASE_ASKING);
        }
        assert_in_range(asks, 2, 3);
        now_us += LEASE_RETRY_US;
        assert_int_equal(tick(true), STORE_LEASE_ACQUIRE); /* and goes on asking */
        assert_int_equal(lease.state, LEASE_UNHELD);
        assert_int_equal(lease.epoch, START_EPOCH);
        answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH);
        assert_int_equal(lease.state, LEASE_HELD);
    }
}

static void a_silent_store_is_asked_again(void **state)
{
    (void)state;
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    pass_quietly(LEASE_ANSWER_US, true);
    assert_int_equal(lease.state, LEASE_ASKING);
    now_us += TICK_US;
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    assert_int_equal(lease.state, LEASE_UNHELD); /* it serves, and asks on */
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH);
    /* Renewals that nobody answers: still held, asked again, for ever. */
    for (int i = 0; i < 50; i++) {
        now_us += LEASE_ANSWER_US + TICK_US;
        assert_int_equal(tick(true), STORE_LEASE_RENEW);
        assert_int_equal(lease.state, LEASE_HELD);
    }
}

static void late_and_foreign_answers_change_nothing(void **state)
{
    (void)state;
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH); /* not asked yet */
    assert_int_equal(lease.state, LEASE_ASKING);
    hold(START_EPOCH);
    answer(STORE_LEASE_ACQUIRE, STORE_BUSY, START_EPOCH + 9);
    answer(STORE_LEASE_RENEW, STORE_FENCED, START_EPOCH + 9); /* not asked */
    assert_int_equal(lease.state, LEASE_HELD);
    now_us += LEASE_RENEW_US;
    assert_int_equal(tick(true), STORE_LEASE_RENEW);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 50); /* of another kind */
    assert_int_equal(lease.epoch, START_EPOCH);
    answer(STORE_LEASE_RENEW, STORE_UNKNOWN, 0);
    assert_int_equal(lease.state, LEASE_HELD);
}

/* HELD, then told that it is not: what acquiring says decides. */
static void fence(uint64_t granted)
{
    hold(granted);
    now_us += LEASE_RENEW_US;
    assert_int_equal(tick(true), STORE_LEASE_RENEW);
    answer(STORE_LEASE_RENEW, STORE_FENCED, granted + 1);
    assert_int_equal(lease.state, LEASE_UNHELD);
    assert_true(lease_serves(&lease));
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE); /* at once */
    assert_int_equal(asked.epoch, granted);
}

static void an_expired_or_forgotten_lease_is_acquired_again(void **state)
{
    fence(START_EPOCH);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH); /* an emptied store */
    assert_int_equal(lease.state, LEASE_HELD);
    (void)setup(state);
    fence(START_EPOCH);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 1); /* our own had expired */
    assert_int_equal(lease.state, LEASE_HELD);
    assert_int_equal(lease.epoch, START_EPOCH); /* of the nodes that run */
    now_us += LEASE_RENEW_US;
    assert_int_equal(tick(true), STORE_LEASE_RENEW);
    assert_int_equal(asked.epoch, START_EPOCH + 1); /* of the lease */
}

static void an_epoch_that_another_used_is_a_loss(void **state)
{
    (void)state;
    fence(START_EPOCH);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 2);
    assert_int_equal(lease.state, LEASE_LOST);
    assert_true(lease.taken);
    assert_false(lease_serves(&lease));
    pass_quietly(60 * SECOND_US, true); /* it asks for nothing any more */
    struct store_op op;
    assert_false(lease_release(&lease, &op)); /* nor gives back what may be another's */
}

/* The same for a process that began to serve without a store. */
static void a_later_life_while_unheld_is_a_loss(void **state)
{
    pass_quietly(LEASE_PATIENCE_US + TICK_US, false);
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 30); /* started 29 s later, and ended */
    assert_int_equal(lease.state, LEASE_LOST);
    (void)setup(state);
    pass_quietly(LEASE_PATIENCE_US + TICK_US, false);
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 1); /* an answer of our own was lost */
    assert_int_equal(lease.state, LEASE_HELD);
}

static void an_owner_that_lives_is_a_loss(void **state)
{
    (void)state;
    pass_quietly(LEASE_PATIENCE_US + TICK_US, false); /* serves without a store */
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    int64_t since_us = now_us;
    while (lease.state == LEASE_UNHELD && now_us - since_us < 60 * SECOND_US) {
        answer(STORE_LEASE_ACQUIRE, STORE_BUSY, START_EPOCH + 9);
        now_us += LEASE_RETRY_US;
        (void)tick(true);
    }
    assert_int_equal(lease.state, LEASE_LOST);
    /* Not before a lease that nobody renews would have expired, whatever its owner. */
    assert_true(now_us - since_us > 2 * LEASE_TTL_US);
    assert_true(now_us - since_us <= 2 * LEASE_TTL_US + 2 * LEASE_RETRY_US);
}

static void the_last_life_of_the_same_name_is_no_loss(void **state)
{
    (void)state;
    pass_quietly(LEASE_PATIENCE_US + TICK_US, false); /* serves; then the store is there */
    for (int64_t end_us = now_us + LEASE_TTL_US; now_us < end_us; now_us += LEASE_RETRY_US) {
        assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
        answer(STORE_LEASE_ACQUIRE, STORE_BUSY, START_EPOCH - 100);
        assert_int_equal(lease.state, LEASE_UNHELD);
    }
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH);
    assert_int_equal(lease.state, LEASE_HELD);
}

/* A renewal was refused, and another is busy: what was ours is another's. */
static void who_takes_over_is_believed_at_once(void **state)
{
    (void)state;
    fence(START_EPOCH);
    answer(STORE_LEASE_ACQUIRE, STORE_BUSY, START_EPOCH + 1);
    assert_int_equal(lease.state, LEASE_LOST);
    assert_true(lease.taken);
    lease_stand_by(&lease, now_us); /* it steps down, and is a standby */
    assert_int_equal(lease.state, LEASE_WAITING);
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 2);
    assert_true(lease_serves(&lease));
    assert_int_equal(lease.epoch, START_EPOCH + 2);
}

/* A standby asks above any start time under which somebody may have served unheard; what it is
 * asking for, and what it has, stays what it is. */
/* Another is heard under a higher epoch while an acquisition is on its way. */
static void a_grant_after_a_loss_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(tick(false), STORE_KIND_COUNT);
    pass_quietly(LEASE_PATIENCE_US + TICK_US, false);
    assert_int_equal(lease.state, LEASE_UNHELD);
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    lease_superseded(&lease);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 50);
    assert_int_equal(lease.state,
                     LEASE_LOST); /* else its units would run on under their old epoch */
    lease_stand_by(&lease, now_us);
    hold(START_EPOCH + 51);
}

static void a_standby_asks_above_the_time(void **state)
{
    (void)state;
    lease_stand_by(&lease, now_us);
    lease_at_least(&lease, START_EPOCH + 18);
    lease_at_least(&lease, START_EPOCH + 3);
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    assert_int_equal(lease.epoch, START_EPOCH + 18);
    lease_at_least(&lease, START_EPOCH + 19); /* under way */
    assert_int_equal(lease.epoch, START_EPOCH + 18);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 18);
    lease_at_least(&lease, START_EPOCH + 20); /* held */
    assert_int_equal(lease.epoch, START_EPOCH + 18);
}

static void after_a_pause_it_serves_nobody_until_it_knows(void **state)
{
    (void)state;
    hold(START_EPOCH);
    now_us += LEASE_RETRY_US;
    assert_int_equal(tick(true), STORE_LEASE_RENEW);
    now_us += 60 * SECOND_US;
    lease_paused(&lease, now_us);
    assert_false(lease_serves(&lease));
    answer(STORE_LEASE_RENEW, STORE_OK, START_EPOCH); /* said before the pause */
    assert_false(lease_serves(&lease));
    assert_int_equal(tick(true), STORE_LEASE_RENEW);
    answer(STORE_LEASE_RENEW, STORE_OK, START_EPOCH);
    assert_true(lease_serves(&lease));
    /* Expired, and nobody took it: the same epoch goes on. */
    lease_paused(&lease, now_us);
    assert_int_equal(tick(true), STORE_LEASE_RENEW);
    answer(STORE_LEASE_RENEW, STORE_FENCED, 0);
    assert_false(lease_serves(&lease));
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 1);
    assert_true(lease_serves(&lease));
    assert_int_equal(lease.epoch, START_EPOCH);
    /* Without a store nobody can say: after a second it serves, and epochs decide. */
    lease_paused(&lease, now_us);
    pass_quietly(LEASE_PATIENCE_US, false);
    assert_false(lease_serves(&lease));
    pass_quietly(TICK_US, false);
    assert_true(lease_serves(&lease));
}

/* Somebody may have served without the store, and be known to all but the store. */
static void a_pause_past_the_lease_is_a_takeover(void **state)
{
    (void)state;
    hold(START_EPOCH);
    now_us += LEASE_TTL_US + SECOND_US;
    lease_paused(&lease, now_us);
    assert_int_equal(tick(true), STORE_LEASE_RENEW);
    answer(STORE_LEASE_RENEW, STORE_FENCED, 0);
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 1);
    assert_false(lease_serves(&lease));
    assert_int_equal(lease.state, LEASE_LOST);
    assert_false(lease.taken); /* nobody is known to have it, and nobody is said to */
    lease_stand_by(&lease, now_us);
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    assert_false(lease.taken);
    answer(STORE_LEASE_ACQUIRE, STORE_BUSY, START_EPOCH + 2);
    assert_true(lease.taken);
    now_us += LEASE_RETRY_US;
    assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
    answer(STORE_LEASE_ACQUIRE, STORE_OK, START_EPOCH + 3);
    assert_false(lease.taken);
    assert_true(lease_serves(&lease));
}

/* Nobody stands by for agents: who was suspended and comes back to its own lease goes on with them,
 * and ends only where another life of its name has begun. */
static void a_pause_of_who_is_alone_is_none(void **state)
{
    (void)state;
    lease_alone(&lease);
    hold(START_EPOCH);
    for (unsigned taken = 0; taken < 2; taken++) {
        now_us += 60 * SECOND_US;
        lease_paused(&lease, now_us);
        assert_false(lease_serves(&lease));
        assert_int_equal(tick(true), STORE_LEASE_RENEW);
        answer(STORE_LEASE_RENEW, STORE_FENCED, 0);
        assert_int_equal(tick(true), STORE_LEASE_ACQUIRE);
        uint64_t granted = START_EPOCH + 1 + taken * 60 * SECOND_US;
        answer(STORE_LEASE_ACQUIRE, STORE_OK, granted);
        assert_int_equal(lease.state, taken ? LEASE_LOST : LEASE_HELD);
        assert_int_equal(lease.epoch, START_EPOCH);
    }
}

static void it_gives_back_what_it_holds(void **state)
{
    (void)state;
    struct store_op op;
    assert_false(lease_release(&lease, &op));
    hold(START_EPOCH + 4);
    assert_true(lease_release(&lease, &op));
    assert_int_equal(op.kind, STORE_LEASE_RELEASE);
    assert_int_equal(op.epoch, START_EPOCH + 4);
    assert_null(store_op_check(&op));
}

/* ---- two processes and a store ---- */

static struct memory_store *store;
static bool store_up;

static void turn(struct lease *l)
{
    struct store_op op;
    struct store_reply reply;
    if (lease_tick(l, now_us, store_up, &op)) {
        memory_store_apply(store, now_us, &op, &reply);
        lease_reply(l, now_us, &reply);
    }
}

static int store_setup(void **state)
{
    store = memory_store_new(100000);
    store_up = true;
    return setup(state);
}

static int store_teardown(void **state)
{
    (void)state;
    memory_store_free(store);
    return 0;
}

static void both(struct lease *a, struct lease *b, int64_t us)
{
    for (int64_t end_us = now_us + us; now_us < end_us; now_us += TICK_US) {
        turn(a);
        turn(b);
        assert_false(lease_serves(a) && lease_serves(b) && store_up);
    }
}

static void a_store_keeps_two_processes_apart(void **state)
{
    (void)state;
    struct lease one, two, three;
    lease_init(&one, "sector-1", "one", START_EPOCH, now_us);
    lease_init(&two, "sector-1", "two", START_EPOCH, now_us); /* in the same second */
    both(&one, &two, 20 * SECOND_US);
    assert_int_equal(one.state, LEASE_HELD);
    assert_int_equal(two.state, LEASE_WAITING);
    /* The first dies without a word: the other serves within the lease and a retry, above it. */
    int64_t died_us = now_us;
    while (!lease_serves(&two) && now_us < died_us + 60 * SECOND_US) {
        turn(&two);
        now_us += TICK_US;
    }
    assert_int_equal(two.state, LEASE_HELD);
    assert_true(now_us - died_us <= LEASE_TTL_US + LEASE_RETRY_US + 2 * TICK_US);
    assert_true(two.epoch > one.epoch);
    /* The first was only paused: it finds out, and never holds again. */
    for (int i = 0; i < 80; i++, now_us += TICK_US) {
        turn(&one);
        turn(&two);
    }
    assert_int_equal(one.state, LEASE_LOST);
    assert_int_equal(two.state, LEASE_HELD);
    /* A clean stop: the next one need not wait for the lease to expire. */
    struct store_op op;
    struct store_reply reply;
    assert_true(lease_release(&two, &op));
    memory_store_apply(store, now_us, &op, &reply);
    assert_int_equal(reply.verdict, STORE_OK);
    lease_init(&three, "sector-1", "three", START_EPOCH, now_us);
    turn(&three);
    assert_int_equal(three.state, LEASE_HELD);
    assert_true(three.epoch > two.epoch);
}

static void an_emptied_store_moves_nobody(void **state)
{
    (void)state;
    struct lease one, two;
    lease_init(&one, "sector-1", "one", START_EPOCH, now_us);
    turn(&one);
    lease_init(&two, "sector-1", "two", START_EPOCH + 10, now_us);
    both(&one, &two, 10 * SECOND_US);
    uint64_t epoch = one.epoch;
    for (int round = 0; round < 3; round++) {
        store_up = false;
        both(&one, &two, 30 * SECOND_US);
        memory_store_free(store);
        store = memory_store_new(100000);
        store_up = true;
        turn(&one);
        turn(&one); /* fenced, and acquired again */
        both(&one, &two, 10 * SECOND_US);
        assert_int_equal(one.state, LEASE_HELD);
        assert_int_equal(one.epoch, epoch);
        assert_int_equal(two.state, LEASE_WAITING);
    }
}

/* Both began to serve without a store: when it is there, one of them goes. */
static void two_that_serve_become_one(void **state)
{
    (void)state;
    struct lease one, two;
    lease_init(&one, "sector-1", "one", START_EPOCH, now_us);
    lease_init(&two, "sector-1", "two", START_EPOCH + 2, now_us);
    store_up = false;
    both(&one, &two, 5 * SECOND_US);
    assert_true(lease_serves(&one) && lease_serves(&two));
    store_up = true;
    for (int64_t end_us = now_us + 15 * SECOND_US; now_us < end_us; now_us += TICK_US) {
        turn(&two);
        turn(&one);
    }
    assert_int_equal(two.state, LEASE_HELD);
    assert_int_equal(one.state, LEASE_LOST);
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(lease_state_name(LEASE_ASKING), "asking");
    assert_string_equal(lease_state_name(LEASE_WAITING), "waiting");
    assert_string_equal(lease_state_name(LEASE_HELD), "held");
    assert_string_equal(lease_state_name(LEASE_UNHELD), "unheld");
    assert_string_equal(lease_state_name(LEASE_LOST), "lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_asks_at_once_and_serves_when_granted, setup),
        cmocka_unit_test_setup(the_epoch_is_the_higher_one, setup),
        cmocka_unit_test_setup(it_renews_every_second_under_what_was_granted, setup),
        cmocka_unit_test_setup(a_standby_waits_and_takes_over, setup),
        cmocka_unit_test_setup(a_standby_waits_through_a_store_that_is_away, setup),
        cmocka_unit_test_setup(without_a_store_it_serves_after_a_second, setup),
        cmocka_unit_test_setup(a_store_that_gives_no_usable_answer, setup),
        cmocka_unit_test_setup(a_silent_store_is_asked_again, setup),
        cmocka_unit_test_setup(late_and_foreign_answers_change_nothing, setup),
        cmocka_unit_test_setup(an_expired_or_forgotten_lease_is_acquired_again, setup),
        cmocka_unit_test_setup(an_epoch_that_another_used_is_a_loss, setup),
        cmocka_unit_test_setup(a_later_life_while_unheld_is_a_loss, setup),
        cmocka_unit_test_setup(an_owner_that_lives_is_a_loss, setup),
        cmocka_unit_test_setup(the_last_life_of_the_same_name_is_no_loss, setup),
        cmocka_unit_test_setup(who_takes_over_is_believed_at_once, setup),
        cmocka_unit_test_setup(a_grant_after_a_loss_changes_nothing, setup),
        cmocka_unit_test_setup(a_standby_asks_above_the_time, setup),
        cmocka_unit_test_setup(after_a_pause_it_serves_nobody_until_it_knows, setup),
        cmocka_unit_test_setup(a_pause_past_the_lease_is_a_takeover, setup),
        cmocka_unit_test_setup(a_pause_of_who_is_alone_is_none, setup),
        cmocka_unit_test_setup(it_gives_back_what_it_holds, setup),
        cmocka_unit_test_setup_teardown(a_store_keeps_two_processes_apart, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(an_emptied_store_moves_nobody, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(two_that_serve_become_one, store_setup, store_teardown),
        cmocka_unit_test(every_state_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
