/* Mesh time against synthetic clocks: offset, skew, asymmetry, jitter, steps, hostile values. */
#include "core/meshtime.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define UNIX_US 1795257600000000ll
#define BEAT_US 5000000

/* True time is t. The parent's clock and the child's are linear in it. */
struct clock {
    int64_t offset_us;
    int64_t skew_ppb;
};

static int64_t read_clock(struct clock c, int64_t t)
{
    return t + c.offset_us + t / 1000 * c.skew_ppb / 1000000;
}

struct world {
    struct rng rng;
    struct clock parent, child;
    struct meshtime root, mt;
    int64_t t;
    int64_t floor_us, uneven_us, jitter_us; /* one way: floor, what is added up, random */
    int64_t served_from, served_local;      /* last served offset, and when */
    bool followed;
};

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    rng_seed(&w->rng, seed, 1);
    w->parent =
        (struct clock){rng_range(&w->rng, 0, 1000000000000), rng_range(&w->rng, -40000, 40000)};
    w->child =
        (struct clock){rng_range(&w->rng, 0, 1000000000000), rng_range(&w->rng, -40000, 40000)};
    w->t = 1000000;
    w->floor_us = 500;
    w->jitter_us = 200;
    meshtime_init_root(&w->root, read_clock(w->parent, w->t), UNIX_US);
    meshtime_init(&w->mt);
}

static int64_t true_mesh(const struct world *w)
{
    return meshtime_now(&w->root, read_clock(w->parent, w->t));
}

static int64_t child_now(const struct world *w)
{
    return read_clock(w->child, w->t);
}

/* From the lock on the served offset moves by 500 ppm at most (and 2 us of rounding). */
static void check_no_step(struct world *w)
{
    if (!meshtime_ready(&w->mt)) {
        return;
    }
    int64_t local = child_now(w);
    int64_t offset = meshtime_offset_us(&w->mt, local);
    if (w->followed) {
        int64_t moved = offset - w->served_from;
        int64_t most = (local - w->served_local) * MESHTIME_SLEW_PPM / 1000000 + 2;
        assert_true(moved <= most && moved >= -most);
    }
    w->followed = true;
    w->served_from = offset;
    w->served_local = local;
}

/* |served - true| is within the bound that is told. */
static int64_t check_honest(const struct world *w)
{
    int64_t off = meshtime_now(&w->mt, child_now(w)) - true_mesh(w);
    int64_t size = off < 0 ? -off : off;
    if (meshtime_ready(&w->mt)) {
        assert_true(size <= meshtime_error_us(&w->mt, child_now(w)));
    }
    return size;
}

static int64_t one_way(struct world *w, bool up)
{
    int64_t wait = w->floor_us + (up ? w->uneven_us : 0) + rng_range(&w->rng, 0, w->jitter_us);
    return rng_below(&w->rng, 20) == 0 ? wait + rng_range(&w->rng, 0, 20 * w->jitter_us) : wait;
}

static enum meshtime_verdict exchange(struct world *w)
{
    int64_t t1 = child_now(w);
    w->t += one_way(w, true);
    int64_t t2 = read_clock(w->parent, w->t);
    w->t += rng_range(&w->rng, 10, 3000);
    int64_t t3 = read_clock(w->parent, w->t);
    int64_t mesh_offset = meshtime_offset_us(&w->root, t3);
    w->t += one_way(w, false);
    int64_t t4 = child_now(w);
    w->t += rng_range(&w->rng, 0, 2000); /* the loop was busy */
    check_no_step(w);
    enum meshtime_verdict verdict = meshtime_exchange(&w->mt, child_now(w), t1, t2, t3, t4,
                                                      mesh_offset, meshtime_error_us(&w->root, t3));
    check_no_step(w);
    check_honest(w);
    return verdict;
}

static void run(struct world *w, int beats)
{
    for (int i = 0; i < beats; i++) {
        assert_int_equal(exchange(w), MESHTIME_ACCEPTED);
        for (int k = 0; k < 5; k++) {
            w->t += BEAT_US / 5;
            check_no_step(w);
            check_honest(w);
        }
    }
}

static void test_root(void **state)
{
    (void)state;
    struct meshtime mt;
    meshtime_init_root(&mt, 777, UNIX_US);
    assert_true(meshtime_ready(&mt));
    assert_int_equal(meshtime_now(&mt, 777), UNIX_US);
    assert_int_equal(meshtime_now(&mt, 1000777), UNIX_US + 1000000);
    assert_int_equal(meshtime_error_us(&mt, 99999999), 0);
    assert_int_equal(meshtime_to_local(&mt, UNIX_US + 5), 782);
    assert_int_equal(meshtime_exchange(&mt, 1000, 1, 2, 3, 4, 0, 0), MESHTIME_ROOT);
}

static void test_not_ready(void **state)
{
    (void)state;
    struct meshtime mt;
    meshtime_init(&mt);
    assert_false(meshtime_ready(&mt));
    assert_true(meshtime_error_us(&mt, 5) == MESHTIME_UNKNOWN);
    assert_int_equal(meshtime_now(&mt, 12345), 12345);
    /* A parent without time gives none. */
    assert_int_equal(meshtime_exchange(&mt, 2000, 1000, 5000, 5010, 1900, 0, INT64_MAX),
                     MESHTIME_INVALID);
    assert_false(meshtime_ready(&mt));
}

static void test_converges(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world w;
        world_init(&w, seed);
        run(&w, 120);
        assert_true(meshtime_ready(&w.mt));
        assert_true(check_honest(&w) < 150);
        assert_true(meshtime_error_us(&w.mt, child_now(&w)) < 2500);
        assert_true(meshtime_rtt_us(&w.mt) >= 990);
    }
}

static void test_long_uneven_path(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w;
        world_init(&w, seed);
        w.floor_us = 150000;
        w.uneven_us = 30000; /* nobody can see it: half of it is an error, within the bound */
        w.jitter_us = 5000;
        run(&w, 200);
        int64_t size = check_honest(&w);
        assert_in_range(size, 10000, 20000);
        assert_true(meshtime_error_us(&w.mt, child_now(&w)) > 100000);
    }
}

static void test_skew_is_learned(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 3);
    w.parent.skew_ppb = -45000;
    w.child.skew_ppb = 45000; /* the mesh loses 90 us a second against the child */
    run(&w, 400);
    w.t += 60 * 1000000; /* a minute without beats: 5.4 ms if the skew was not known */
    assert_true(check_honest(&w) < 1500);
}

static void test_the_mesh_steps_an_hour(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct world w;
        world_init(&w, 9);
        run(&w, 50);
        /* The parent's idea of mesh time moves: everything it says is an hour off. */
        w.root.offset_us += sign * 3600000000ll;
        w.root.low_us += sign * 3600000000ll;
        w.root.high_us += sign * 3600000000ll;
        int outliers = 0;
        int64_t before = meshtime_now(&w.mt, child_now(&w));
        while (outliers < 50) {
            int64_t t1 = child_now(&w);
            int64_t t2 = read_clock(w.parent, w.t + 600);
            int64_t offset = meshtime_offset_us(&w.root, t2);
            w.t += 1200;
            check_no_step(&w);
            enum meshtime_verdict v =
                meshtime_exchange(&w.mt, child_now(&w), t1, t2, t2, child_now(&w), offset, 0);
            check_no_step(&w);
            assert_true(meshtime_now(&w.mt, child_now(&w)) > before);
            before = meshtime_now(&w.mt, child_now(&w));
            if (v == MESHTIME_ACCEPTED) {
                break;
            }
            assert_int_equal(v, MESHTIME_OUTLIER);
            outliers++;
            w.t += BEAT_US;
        }
        assert_int_equal(outliers, 5); /* the sixth alike is believed */
        /* It is not where it should be, and says so; it goes there at full slew. */
        int64_t off = check_honest(&w);
        assert_true(off > 3590000000ll);
        assert_true(meshtime_error_us(&w.mt, child_now(&w)) >= off);
        run(&w, 100);
        int64_t closer = off - check_honest(&w);
        assert_in_range(closer, 150000, 260000); /* 500 s at 500 ppm less 10 % for skew */
    }
}

/* The clock of this machine is set by an hour, either way the parent's: mesh time has jumped with
 * it, and is right again after six beats. */
static void test_a_clock_is_set(void **state)
{
    (void)state;
    struct meshtime mt;
    int64_t own = 5000000000ll, parent = 777000000000ll, root_offset = 1000000000000ll;
    meshtime_init(&mt);
    for (int beat = 0; beat < 40; beat++) {
        own += beat == 20 ? 3605000000ll : 5000000;
        parent += beat == 30 ? 7205000000ll : 5000000;
        root_offset -= beat == 30 ? 7200000000ll : 0; /* the parent has found its own way back */
        enum meshtime_verdict v = meshtime_exchange(&mt, own + 2000, own, parent + 1000,
                                                    parent + 1000, own + 2000, root_offset, 0);
        bool lost = beat >= 20 && beat < 25;
        assert_int_equal(v, lost ? MESHTIME_OUTLIER : MESHTIME_ACCEPTED);
        int64_t off = meshtime_now(&mt, own + 1000) - (parent + 1000 + root_offset);
        assert_true(lost ? off > 3590000000ll : off > -2000 && off < 2000);
        assert_true(meshtime_ready(&mt));
    }
}

static void test_one_liar_changes_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 5);
    run(&w, 50);
    for (int i = 0; i < 100; i++) {
        int64_t now = child_now(&w);
        int64_t lie = rng_range(&w.rng, -3600000000ll, 3600000000ll);
        int64_t t2 = read_clock(w.parent, w.t) + lie;
        enum meshtime_verdict v =
            meshtime_exchange(&w.mt, now, now - 900, t2, t2 + 10, now, w.root.offset_us, 0);
        if (lie > 100000 || lie < -100000) {
            assert_int_equal(v, MESHTIME_OUTLIER);
        }
        run(&w, 1);
    }
    assert_true(check_honest(&w) < 200);
}

static void test_hostile_values(void **state)
{
    (void)state;
    static const int64_t EDGES[] = {
        INT64_MIN, INT64_MIN + 1,   -(1ll << 62), -(1ll << 60) + 1, -1,       0, 1,
        1000,      (1ll << 60) - 1, 1ll << 62,    INT64_MAX - 1,    INT64_MAX};
    const uint64_t count = sizeof EDGES / sizeof EDGES[0];
    struct rng r;
    rng_seed(&r, 4, 4);
    for (int round = 0; round < 200; round++) {
        struct meshtime mt;
        meshtime_init(&mt);
        int64_t now = 1000;
        int64_t mesh = INT64_MIN;
        for (int i = 0; i < 500; i++) {
            int64_t v[6];
            for (int k = 0; k < 6; k++) {
                v[k] = EDGES[rng_below(&r, count)];
                v[k] = rng_below(&r, 3) == 0 ? now - rng_range(&r, 0, 2000) : v[k];
            }
            now += rng_range(&r, 0, 5000000);
            bool ready = meshtime_ready(&mt);
            int64_t before = meshtime_now(&mt, now);
            (void)meshtime_exchange(&mt, now, v[0], v[1], v[2], v[3], v[4], v[5]);
            assert_true(!ready || meshtime_now(&mt, now) == before);
            assert_true(!ready || before >= mesh);
            mesh = meshtime_now(&mt, now);
            assert_true(meshtime_error_us(&mt, now) >= 0);
        }
    }
}

static void test_to_local_is_the_inverse(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 6);
    run(&w, 20);
    w.mt.offset_us += 3000; /* so that a correction is under way */
    w.followed = false;
    (void)exchange(&w);
    for (int i = 0; i < 2000; i++) {
        int64_t local = child_now(&w) + rng_range(&w.rng, -1000000, 100000000);
        int64_t mesh = meshtime_to_mesh(&w.mt, local);
        int64_t back = meshtime_to_local(&w.mt, mesh);
        assert_true(back <= local && meshtime_to_mesh(&w.mt, back) >= mesh);
        assert_true(meshtime_to_mesh(&w.mt, back - 1) < mesh);
    }
    assert_true(meshtime_to_local(&w.mt, INT64_MAX) == INT64_MAX);
    assert_true(meshtime_to_mesh(&w.mt, INT64_MAX) == INT64_MAX);
}

static void test_promotion(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8);
    run(&w, 50);
    int64_t now = child_now(&w);
    int64_t mesh = meshtime_now(&w.mt, now);
    int64_t error = meshtime_error_us(&w.mt, now);
    meshtime_promote(&w.mt, now);
    assert_int_equal(meshtime_now(&w.mt, now), mesh);
    assert_int_equal(meshtime_now(&w.mt, now + 1000000), mesh + 1000000);
    assert_int_equal(meshtime_error_us(&w.mt, now + 1000000000), error);
    assert_int_equal(meshtime_exchange(&w.mt, now, 1, 2, 3, 4, 0, 0), MESHTIME_ROOT);
}

/* Beats that waited while the parent stood still are answered all at once, each as if it had
 * travelled for seconds: none of them locks, the first honest ones do. */
static void test_answers_after_a_pause_of_the_parent_do_not_lock(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 77);
    int64_t sent[20];
    for (int i = 0; i < 20; i++) {
        sent[i] = child_now(&w);
        w.t += 1000000;
    }
    for (int i = 0; i < 18; i++) { /* those of the last two seconds are lost */
        int64_t t2 = read_clock(w.parent, w.t);
        w.t += 500;
        int64_t now = child_now(&w);
        meshtime_exchange(&w.mt, now, sent[i], t2, t2, now, meshtime_offset_us(&w.root, t2), 0);
        assert_false(meshtime_ready(&w.mt));
    }
    int64_t t1 = child_now(&w);
    w.t += 500;
    int64_t t2 = read_clock(w.parent, w.t);
    w.t += 500;
    int64_t now = child_now(&w);
    meshtime_exchange(&w.mt, now, t1, t2, t2, now, meshtime_offset_us(&w.root, t2), 0);
    assert_true(meshtime_ready(&w.mt));
    int64_t error = meshtime_now(&w.mt, now) - true_mesh(&w);
    assert_true(error > -2000 && error < 2000);
}

/* A beat that waited so long on its way up, and not on its way down. */
static void queued(struct world *w, int64_t up_us)
{
    int64_t t1 = child_now(w);
    w->t += w->floor_us + up_us;
    int64_t t2 = read_clock(w->parent, w->t);
    w->t += w->floor_us;
    int64_t now = child_now(w);
    meshtime_exchange(&w->mt, now, t1, t2, t2, now, meshtime_offset_us(&w->root, t2), 0);
    w->t += 1000000;
}

/* A queue that drains: no round trip is like another, so none speaks for the path, however many
 * they are; what follows it does, and then the clock is right at once. */
static void test_a_queue_does_not_lock(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 78);
    for (int64_t up_us = 780000; up_us > 400000; up_us -= 60000) {
        queued(&w, up_us);
        assert_false(meshtime_ready(&w.mt));
    }
    queued(&w, 60000);
    queued(&w, 30000);
    assert_false(meshtime_ready(&w.mt));
    queued(&w, 0);
    assert_true(meshtime_ready(&w.mt));
    int64_t error = meshtime_now(&w.mt, child_now(&w)) - true_mesh(&w);
    assert_true(error > -15000 && error < 15000);
}

/* A path that is long each time locks with three. */
static void test_a_long_path_locks_with_three(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 79);
    w.floor_us = 200000;
    for (int i = 0; i < 3; i++) {
        assert_false(meshtime_ready(&w.mt));
        queued(&w, i * 5000);
    }
    assert_true(meshtime_ready(&w.mt));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_converges),
        cmocka_unit_test(test_long_uneven_path),
        cmocka_unit_test(test_skew_is_learned),
        cmocka_unit_test(test_the_mesh_steps_an_hour),
        cmocka_unit_test(test_a_clock_is_set),
        cmocka_unit_test(test_one_liar_changes_nothing),
        cmocka_unit_test(test_hostile_values),
        cmocka_unit_test(test_to_local_is_the_inverse),
        cmocka_unit_test(test_promotion),
        cmocka_unit_test(test_answers_after_a_pause_of_the_parent_do_not_lock),
        cmocka_unit_test(test_a_queue_does_not_lock),
        cmocka_unit_test(test_a_long_path_locks_with_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
