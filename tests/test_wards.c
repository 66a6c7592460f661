/* Standing by: processes of one tier, a bus between them and a store, in virtual time. Nobody takes
 * over from one that lives, whatever goes away; who dies is replaced once, by its neighbour, under
 * a higher epoch; who wakes up steps down. */
#include "core/wards.h"

#include "registry/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PROCESSES 4u
#define TICK_US   250000ll
#define SECOND_US 1000000ll
#define FAILED_US 4000000ll

struct peer {
    struct lease lease;
    struct wards wards;
    struct ward list[PROCESSES - 1];
    bool alive, paused, bus, store, owns;
};

static struct peer peers[PROCESSES];
static struct memory_store *store;
static int64_t now_us;
static unsigned takes, drops, questions;

/* The process behind ward k of process i: its predecessors, the nearest first. */
static uint32_t of(uint32_t i, uint32_t k)
{
    return (i + PROCESSES - 1u - k) % PROCESSES;
}

static void start(uint32_t i)
{
    struct peer *p = &peers[i];
    char name[16], owner[32];
    memset(p, 0, sizeof(*p));
    snprintf(name, sizeof name, "lead-%u", i);
    snprintf(owner, sizeof owner, "lead-%u:%lld", i, (long long)now_us);
    lease_init(&p->lease, name, owner, (uint64_t)(now_us / SECOND_US), now_us);
    for (uint32_t k = 0; k < PROCESSES - 1; k++) {
        snprintf(name, sizeof name, "lead-%u", of(i, k));
        lease_init(&p->list[k].lease, name, owner, 1, now_us);
    }
    wards_init(&p->wards, p->list, PROCESSES - 1, FAILED_US, i, now_us);
    p->alive = p->bus = p->store = true;
}

static bool hears(uint32_t i)
{
    return peers[i].alive && !peers[i].paused && peers[i].bus;
}

static void apply(struct lease *l, const struct store_op *op)
{
    struct store_reply reply;
    memory_store_apply(store, now_us, op, &reply);
    lease_reply(l, now_us, &reply);
}

static void ask(uint32_t i, uint32_t k)
{
    uint32_t to = of(i, k);
    questions++;
    if (hears(i) && hears(to)) {
        wards_heard(&peers[i].wards, k, now_us);
        wards_waits(&peers[i].wards, k, now_us, peers[to].lease.state == LEASE_WAITING);
    }
}

static void turn(uint32_t i)
{
    struct peer *p = &peers[i];
    struct store_op op;
    enum ward_action a;
    uint32_t k;
    if (lease_tick(&p->lease, now_us, p->store, &op)) {
        apply(&p->lease, &op);
    }
    if (p->lease.state == LEASE_LOST) {
        p->owns = false;
        drops++;
        lease_stand_by(&p->lease, now_us);
    }
    p->owns = p->owns || lease_serves(&p->lease);
    while ((a = wards_tick(&p->wards, now_us, p->bus, p->store, &k, &op)) != WARD_NOTHING) {
        takes += a == WARD_TAKE;
        drops += a == WARD_DROP;
        if (a == WARD_PROBE) {
            ask(i, k);
        } else if (a == WARD_STORE || a == WARD_RETURN) {
            apply(&p->list[k].lease, &op);
        }
    }
}

static void run(int64_t us)
{
    for (int64_t end_us = now_us + us; now_us < end_us; now_us += TICK_US) {
        for (uint32_t i = 0; i < PROCESSES; i++) {
            if (peers[i].alive && !peers[i].paused) {
                turn(i);
            }
        }
    }
}

/* How many serve the units of process i, and who; PROCESSES: nobody. */
static uint32_t servers(uint32_t i, uint32_t *ret_who, uint64_t *ret_epoch)
{
    uint32_t n = 0;
    *ret_who = PROCESSES;
    for (uint32_t j = 0; j < PROCESSES; j++) {
        const struct lease *l = j == i ? &peers[j].lease : NULL;
        for (uint32_t k = 0; j != i && k < PROCESSES - 1; k++) {
            l = of(j, k) == i && peers[j].list[k].held ? &peers[j].list[k].lease : l;
        }
        if (l != NULL && peers[j].alive && !peers[j].paused && lease_serves(l)) {
            n++;
            *ret_who = j;
            *ret_epoch = l->epoch;
        }
    }
    return n;
}

static void served_by(uint32_t i, uint32_t who)
{
    uint32_t by;
    uint64_t epoch;
    assert_int_equal(servers(i, &by, &epoch), 1);
    assert_int_equal(by, who);
}

static int setup(void **state)
{
    (void)state;
    store = memory_store_new(100000);
    now_us = 1795000000ll * SECOND_US;
    takes = drops = questions = 0;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        start(i);
    }
    run(40 * SECOND_US);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        served_by(i, i);
    }
    assert_int_equal(takes, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_free(store);
    return 0;
}

static void questions_are_few(void **state)
{
    (void)state;
    questions = 0;
    run(60 * SECOND_US);
    assert_in_range(questions, PROCESSES * WARDS_WATCHED * 55u, PROCESSES * WARDS_WATCHED * 62u);
}

static void the_neighbour_takes_over_within_seconds(void **state)
{
    (void)state;
    uint64_t before = peers[1].lease.epoch, epoch = 0;
    uint32_t by;
    peers[1].alive = false;
    int64_t died_us = now_us;
    while (servers(1, &by, &epoch) == 0 && now_us - died_us < 60 * SECOND_US) {
        run(TICK_US);
    }
    assert_int_equal(by, 2);
    assert_true(epoch > before);
    assert_true(now_us - died_us <= FAILED_US + SECOND_US + 3 * TICK_US);
    run(120 * SECOND_US);
    served_by(1, 2);
    assert_int_equal(takes, 1);
}

static void the_standby_of_the_standby(void **state)
{
    (void)state;
    peers[1].alive = false;
    run(10 * SECOND_US);
    served_by(1, 2);
    peers[2].alive = false;
    run(12 * SECOND_US);
    uint32_t by;
    uint64_t epoch;
    assert_int_equal(servers(1, &by, &epoch), 1); /* orphaned again: whoever is first */
    served_by(2, 3);
    peers[3].alive = false;
    run(12 * SECOND_US);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        served_by(i, 0);
    }
}

static void who_wakes_up_steps_down_and_gets_its_own_back(void **state)
{
    (void)state;
    peers[1].paused = true;
    run(60 * SECOND_US);
    served_by(1, 2);
    peers[1].paused = false;
    lease_paused(&peers[1].lease, now_us);
    wards_paused(&peers[1].wards, now_us);
    assert_false(lease_serves(&peers[1].lease));
    for (int64_t end_us = now_us + 20 * SECOND_US; now_us < end_us;) {
        run(TICK_US);
        served_by(1, 2);
    }
    assert_int_equal(peers[1].lease.state, LEASE_WAITING);
    uint64_t before = 0, after = 0;
    uint32_t by;
    (void)servers(1, &by, &before);
    run(WARDS_HOME_US);
    assert_int_equal(servers(1, &by, &after), 1);
    assert_int_equal(by, 1);
    assert_true(after > before);
    assert_int_equal(takes, 1);
}

/* What its units could not write while the store was away would be lost with them. */
static void who_stands_in_writes_before_it_gives_back(void **state)
{
    (void)state;
    peers[1].paused = true;
    run(20 * SECOND_US);
    served_by(1, 2);
    peers[1].paused = false;
    lease_paused(&peers[1].lease, now_us);
    wards_paused(&peers[1].wards, now_us);
    run(5 * SECOND_US);
    assert_int_equal(peers[1].lease.state, LEASE_WAITING);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        peers[i].store = false;
    }
    run(WARDS_HOME_US + 10 * SECOND_US);
    for (uint32_t i = 0; i < PROCESSES; i++) { /* every lease has ended meanwhile */
        peers[i].store = true;
    }
    for (int64_t end_us = now_us + WARDS_WRITE_US - SECOND_US; now_us < end_us;) {
        run(TICK_US);
        served_by(1, 2);
    }
    run(2 * SECOND_US);
    served_by(1, 1);
}

/* It stood still between the store's grant and its first step as the owner, for longer than the
 * lease: somebody else has the name, and this one is not in doubt about it for ever. */
static void a_grant_from_before_a_pause_is_not_used(void **state)
{
    (void)state;
    peers[1].alive = false;
    while (peers[2].list[0].lease.state != LEASE_HELD) {
        run(TICK_US);
    }
    assert_false(peers[2].list[0].held);
    uint32_t by;
    uint64_t epoch;
    peers[2].paused = true;
    run(20 * SECOND_US);
    assert_int_equal(servers(1, &by, &epoch), 1);
    assert_int_equal(servers(2, &by, &epoch), 1);
    peers[2].paused = false;
    lease_paused(&peers[2].lease, now_us);
    wards_paused(&peers[2].wards, now_us);
    run(5 * SECOND_US);
    assert_false(lease_doubted(&peers[2].lease));
    assert_false(wards_doubt(&peers[2].wards));
    assert_int_equal(servers(1, &by, &epoch), 1);
    assert_int_not_equal(by, 2);
    run(WARDS_HOME_US + 5 * SECOND_US);
    served_by(2, 2);
}

/* NATS away or standing still: nobody hears anybody, everyone renews its lease. */
static void a_bus_away_replaces_nobody(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        peers[i].bus = false;
    }
    run(60 * SECOND_US);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        peers[i].bus = true;
        run(SECOND_US); /* they come back one by one */
    }
    run(60 * SECOND_US);
    assert_int_equal(takes, 0);
    assert_int_equal(drops, 0);
}

/* Redis away long enough for every lease to expire, and even forgetting all of them. */
static void a_store_away_replaces_nobody(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < PROCESSES; i++) {
            peers[i].store = false;
        }
        run(45 * SECOND_US);
        if (round == 1) {
            memory_store_free(store);
            store = memory_store_new(100000);
        }
        for (uint32_t i = 0; i < PROCESSES; i++) {
            peers[PROCESSES - 1 - i].store = true;
            run(SECOND_US);
        }
        run(30 * SECOND_US);
    }
    assert_int_equal(takes, 0);
    assert_int_equal(drops, 0);
}

/* Cut off from the store alone it still answers: it is alive, and goes on. */
static void one_without_a_store_keeps_its_units(void **state)
{
    (void)state;
    peers[1].store = false;
    run(60 * SECOND_US);
    served_by(1, 1);
    assert_int_equal(takes, 0);
}

static void processes_that_start_late_find_their_units_free(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        peers[i].alive = false;
    }
    run(10 * SECOND_US);
    start(0);
    for (uint32_t i = 1; i < PROCESSES; i++) {
        run(4 * SECOND_US);
        start(i);
    }
    run(10 * SECOND_US);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        served_by(i, i);
    }
    assert_int_equal(takes, 0);
}

/* All have died, and a host has started one: it need not wait for others that may be starting, but
 * leaves alone who lives after all. */
static void one_that_was_started_for_all_takes_all_soon(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        peers[i].alive = false;
    }
    run(40 * SECOND_US);
    start(2);
    wards_alone(&peers[2].wards, now_us);
    run(5 * SECOND_US);
    start(3); /* an administrator is faster */
    run(7 * SECOND_US);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        served_by(i, i == 3 ? 3 : 2);
    }
    assert_int_equal(takes, PROCESSES - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(questions_are_few, setup, teardown),
        cmocka_unit_test_setup_teardown(the_neighbour_takes_over_within_seconds, setup, teardown),
        cmocka_unit_test_setup_teardown(the_standby_of_the_standby, setup, teardown),
        cmocka_unit_test_setup_teardown(a_grant_from_before_a_pause_is_not_used, setup, teardown),
        cmocka_unit_test_setup_teardown(who_wakes_up_steps_down_and_gets_its_own_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bus_away_replaces_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_away_replaces_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(who_stands_in_writes_before_it_gives_back, setup, teardown),
        cmocka_unit_test_setup_teardown(one_without_a_store_keeps_its_units, setup, teardown),
        cmocka_unit_test_setup_teardown(processes_that_start_late_find_their_units_free, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_that_was_started_for_all_takes_all_soon, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("wards", tests, NULL, NULL);
}
