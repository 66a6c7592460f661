/* The host's clock as a witness of mesh time: what it is told, and in virtual time what comes of
 * it: asymmetric paths, steps of an hour, a leap second, a machine that slept. */
#include "core/hosttime.h"
#include "core/num.h"
#include "sim/world.h"
#include "sim/world_fault.h"
#include "tests/support/worlds.h"
#include "tiers/runner/host_clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S      US_PER_S
#define OFFSET (1700000000ll * S)

/* --- the witness -------------------------------------------------------------------------------
 */

/* A path of 40 ms, all of it on the way back: the exchange alone is off by 20 ms. */
static void exchange(struct meshtime *mt, int64_t now_us)
{
    int64_t t1 = now_us - 40000;
    assert_int_equal(
        meshtime_exchange(mt, now_us, t1, t1 + 500, t1 + 500, now_us, OFFSET - 500, 10),
        MESHTIME_ACCEPTED);
}

static int64_t wrong_us(const struct meshtime *mt, int64_t now_us)
{
    int64_t wrong = meshtime_offset_us(mt, now_us) - (OFFSET - 500);
    return wrong < 0 ? -wrong : wrong;
}

/* Unix time here is mesh time - 7 s. */
static struct host_clock disciplined(int64_t now_us, int64_t error_us)
{
    return (struct host_clock){.unix_us = now_us + OFFSET - 500 - 7 * S,
                               .error_us = error_us,
                               .estimated_us = error_us / 4,
                               .synchronised = true};
}

static void a_disciplined_host_sees_past_the_path(void **state)
{
    (void)state;
    struct meshtime mt;
    struct hosttime ht;
    meshtime_init(&mt);
    hosttime_init(&ht);
    for (int64_t now = 100 * S; now < 160 * S; now += 5 * S) {
        exchange(&mt, now);
    }
    int64_t now = 156 * S;
    assert_true(wrong_us(&mt, now) > 15000);
    int64_t bound = meshtime_error_us(&mt, now);
    assert_false(hosttime_apply(&ht, &mt, now)); /* nothing is known */
    struct host_clock clock = disciplined(now, 300);
    hosttime_clock(&ht, now, &clock);
    assert_false(hosttime_apply(&ht, &mt, now)); /* nor where mesh time stands beside Unix time */
    hosttime_told(&ht, now, 7 * S, 400);
    assert_true(hosttime_apply(&ht, &mt, now));
    assert_true(meshtime_error_us(&mt, now) <= bound); /* honest: it slews to it */
    assert_true(meshtime_error_us(&mt, now) >= wrong_us(&mt, now));
    for (int i = 0; i < 120; i++, now += S) {
        clock = disciplined(now, 300);
        hosttime_clock(&ht, now, &clock);
        hosttime_told(&ht, now, 7 * S, 400);
        assert_true(hosttime_apply(&ht, &mt, now));
    }
    assert_true(wrong_us(&mt, now) <= 700);
    assert_true(meshtime_error_us(&mt, now) < 2000);
    assert_true(meshtime_error_us(&mt, now) >= wrong_us(&mt, now));
}

static void the_path_is_believed_against_the_host(void **state)
{
    (void)state;
    struct meshtime mt;
    struct hosttime ht;
    meshtime_init(&mt);
    hosttime_init(&ht);
    exchange(&mt, 100 * S);
    struct host_clock clock = disciplined(101 * S, 300);
    clock.unix_us += 3600 * S; /* an hour off, and sure of it */
    hosttime_clock(&ht, 101 * S, &clock);
    hosttime_told(&ht, 101 * S, 7 * S, 400);
    struct meshtime before = mt;
    assert_false(hosttime_apply(&ht, &mt, 101 * S));
    assert_memory_equal(&before, &mt, sizeof mt);
    clock = disciplined(102 * S, 300); /* put right: heard at once */
    hosttime_clock(&ht, 102 * S, &clock);
    hosttime_told(&ht, 102 * S, 7 * S, 400);
    assert_true(hosttime_apply(&ht, &mt, 102 * S));
    hosttime_told(&ht, 103 * S, 8 * S, 400); /* the root's host leapt, ours not yet */
    assert_false(hosttime_apply(&ht, &mt, 103 * S));
    hosttime_told(&ht, 104 * S, 7 * S, 400);
    assert_false(hosttime_apply(&ht, &mt, 104 * S)); /* in doubt for ten minutes */
    clock = disciplined(800 * S, 300);
    hosttime_clock(&ht, 800 * S, &clock);
    hosttime_told(&ht, 800 * S, 7 * S, 400);
    exchange(&mt, 800 * S);
    assert_true(hosttime_apply(&ht, &mt, 800 * S));
}

static void nonsense_is_no_witness(void **state)
{
    (void)state;
    struct meshtime mt, root;
    struct hosttime ht;
    int64_t ahead = 1, error = 1;
    meshtime_init(&mt);
    hosttime_init(&ht);
    exchange(&mt, 100 * S);
    const int64_t far[] = {INT64_MIN, -1, INT64_MAX, 1ll << 62, HOSTTIME_ERROR_US_MAX + 1};
    for (unsigned i = 0; i < sizeof far / sizeof far[0]; i++) {
        struct host_clock clock = disciplined(100 * S, 300);
        clock.error_us = far[i];
        hosttime_clock(&ht, 100 * S, &clock);
        hosttime_told(&ht, 100 * S, 7 * S, 400);
        assert_false(hosttime_apply(&ht, &mt, 100 * S));
        clock = disciplined(100 * S, 300);
        clock.estimated_us = far[i]; /* held within the bound */
        hosttime_clock(&ht, 100 * S, &clock);
        hosttime_told(&ht, 100 * S, 7 * S, far[i]);
        assert_false(hosttime_apply(&ht, &mt, 100 * S));
        hosttime_told(&ht, 100 * S, i % 2 == 0 ? INT64_MAX : INT64_MIN, 400);
        assert_false(hosttime_apply(&ht, &mt, 100 * S));
        hosttime_ahead(&ht, &mt, 100 * S, &ahead, &error);
        assert_int_equal(error, MESHTIME_UNKNOWN);
    }
    struct host_clock clock = disciplined(100 * S, 300);
    hosttime_clock(&ht, 100 * S, &clock);
    hosttime_told(&ht, 100 * S, 7 * S, 400);
    assert_false(hosttime_apply(&ht, &mt, 100 * S + HOSTTIME_FRESH_US + 1)); /* too old */
    meshtime_init_root(&root, 100 * S, 100 * S + OFFSET);
    assert_false(hosttime_apply(&ht, &root, 100 * S)); /* the root's word is mesh time */
    hosttime_ahead(&ht, &root, 100 * S, &ahead, &error);
    assert_int_equal(ahead, 500 + 7 * S);
    assert_true(error >= 300 && error < 1000);
}

/* --- what the kernel says ----------------------------------------------------------------------
 */

static void the_kernels_word(void **state)
{
    (void)state;
    struct host_clock_watch w = {0};
    struct timex t = {.status = STA_UNSYNC, .maxerror = 16000000, .esterror = 16000000};
    assert_int_equal(host_clock_take(&w, 5 * S, OFFSET + 5 * S, TIME_ERROR, &t),
                     HOST_CLOCK_NOTHING); /* nothing disciplines it: nobody is told */
    t = (struct timex){.status = STA_PLL, .maxerror = 4000, .esterror = 300};
    assert_int_equal(host_clock_take(&w, 6 * S, OFFSET + 6 * S, TIME_OK, &t), HOST_CLOCK_ALL);
    assert_int_equal(host_clock_take(&w, 7 * S, OFFSET + 7 * S + 10, TIME_OK, &t),
                     HOST_CLOCK_SLICE);
    struct host_clock said = host_clock_said(&w, 8 * S);
    assert_true(said.synchronised);
    assert_int_equal(said.unix_us, OFFSET + 8 * S + 10);
    assert_int_equal(said.error_us, 4000);
    assert_int_equal(said.estimated_us, 300);
    t.esterror = 999999999; /* more than its bound */
    assert_int_equal(host_clock_take(&w, 8 * S, OFFSET + 8 * S, TIME_INS, &t), HOST_CLOCK_SLICE);
    assert_int_equal(host_clock_said(&w, 8 * S).estimated_us, 4000);
    assert_int_equal(host_clock_take(&w, 9 * S, OFFSET + 9 * S, TIME_OOP, &t),
                     HOST_CLOCK_ALL); /* the leap second itself */
    assert_false(host_clock_said(&w, 9 * S).synchronised);
    assert_int_equal(host_clock_take(&w, 10 * S, OFFSET + 9 * S, TIME_WAIT, &t),
                     HOST_CLOCK_NOTHING);
    assert_int_equal(host_clock_take(&w, 11 * S, OFFSET + 10 * S, TIME_OK, &t), HOST_CLOCK_ALL);
    assert_int_equal(host_clock_take(&w, 12 * S, OFFSET + 3611 * S, TIME_OK, &t),
                     HOST_CLOCK_ALL); /* stepped */
    t.maxerror = HOSTTIME_ERROR_US_MAX + 1;
    assert_int_equal(host_clock_take(&w, 13 * S, OFFSET + 3612 * S, TIME_OK, &t), HOST_CLOCK_ALL);
    assert_false(host_clock_said(&w, 13 * S).synchronised);
    assert_int_equal(host_clock_take(&w, 14 * S, OFFSET, -1, &t), HOST_CLOCK_NOTHING);
    struct host_clock_watch real = {0}; /* this machine's, whatever it says */
    host_clock_look(&real, 1);
    assert_true(real.offset_us > 0);
    assert_int_equal(host_clock_look(&real, real.read_us + 1000), HOST_CLOCK_NOTHING);
}

/* --- in virtual time ---------------------------------------------------------------------------
 */

#define AGENTS 24u

struct watched {
    uint64_t id;
    int64_t target_us, root_us;
    /* Greatest distance of a release from T, on the root's clock; one that was later still is the
     * network's (3 of 1,000 words take 200 ms more), but early is nobody. */
    int64_t worst_us, later_us;
    uint32_t releases;
};

static void watch(void *context, const struct world_step *s)
{
    struct watched *k = context;
    int64_t true_us = WORLD_UNIX_US + s->true_us;
    if (s->unit.tier == TIER_AGENT && s->event->kind == EV_MSG &&
        s->event->u.msg->type == MSG_OPERATE) {
        const struct operation *o = s->event->u.msg->u.operate.operation;
        k->id = num_id128_low(o->id);
        k->target_us = o->target_mesh_us;
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *e = &s->out->effects[i];
        if (e->kind == FX_SEND && e->u.msg.type == MSG_BEAT_REPLY &&
            s->unit.tier == TIER_ORCHESTRATOR) {
            k->root_us = s->event->now_us + e->u.msg.u.beat_reply.time.mesh_offset_us - true_us;
        } else if (e->kind == FX_NOTE && e->u.note.note == NOTE_RELEASED && e->u.note.a == k->id) {
            int64_t apart_us = true_us + k->root_us - k->target_us;
            if (apart_us > k->later_us) {
                int64_t first_us = k->later_us;
                k->later_us = apart_us;
                apart_us = first_us;
            }
            apart_us = apart_us < 0 ? -apart_us : apart_us;
            k->worst_us = apart_us > k->worst_us ? apart_us : k->worst_us;
            k->releases++;
        }
    }
}

static struct watched watched;

/* Agents' words take 60 ms longer than the leads': by the path alone, clocks are off by 30 ms. */
static struct world *mesh(uint64_t seed, bool asymmetric)
{
    struct world_conf conf;
    tree_conf(&conf, seed, 2, 2, 6, AGENTS);
    struct world *w = world_new(&conf);
    struct world_rule slow = {.from = {.others = true}, .to = {.others = true}, .delay_us = 60000};
    struct unit agents[AGENTS];
    for (unsigned i = 0; i < AGENTS; i++) {
        agents[i] = unit_agent(1 + i / 12, 1 + i / 6 % 2, 1 + i % 6);
    }
    slow.from = (struct world_side){.units = agents, .count = AGENTS};
    if (asymmetric) {
        assert_true(world_rule_add(w, &slow) > 0);
    }
    memset(&watched, 0, sizeof watched);
    world_watch_set(w, watch, &watched);
    return w;
}

static void everyone_says(struct world *w, int64_t error_us)
{
    world_host_clock(w, unit_orchestrator(), true, true, error_us);
}

/* How far from T the furthest effect of one operation was. */
static int64_t worst_of(struct world *w, uint32_t least_ready)
{
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "echo", "now");
    c.operation.timing = TIMING_AT;
    c.operation.target_mesh_us = -3 * S;
    watched.worst_us = 0;
    watched.later_us = 0;
    watched.releases = 0;
    const struct reply *r = world_ask(w, unit_orchestrator(), &c, 20 * S);
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_OPERATION);
    assert_true(r->report->aggregate.outcomes[OUTCOME_READY] >= least_ready);
    assert_true(watched.releases >= least_ready);
    return watched.worst_us;
}

static void asymmetric_paths(void **state)
{
    (void)state;
    struct world *w = mesh(1, true);
    world_run(w, 120 * S);
    assert_true(worst_of(w, AGENTS) > 20000);
    everyone_says(w, 800);
    world_run(w, 180 * S); /* 30 ms are slewed out in one minute */
    assert_true(worst_of(w, AGENTS) < 4000);
    world_host_clock(w, unit_orchestrator(), true, false, 0); /* NTP is gone: back to the path */
    world_run(w, 600 * S);
    assert_true(worst_of(w, AGENTS) > 15000);
    world_free(w);
}

/* A true leap second, which all hosts have at once; then one that only some have. */
static void a_leap_moves_nothing(void **state)
{
    (void)state;
    struct world *w = mesh(2, false);
    everyone_says(w, 800);
    world_run(w, 60 * S);
    assert_true(worst_of(w, AGENTS) < 4000);
    world_wall_step(w, unit_orchestrator(), true, -1 * S);
    assert_true(worst_of(w, AGENTS) < 4000); /* T is while they hear of it */
    world_run(w, 60 * S);
    assert_true(worst_of(w, AGENTS) < 4000);
    world_wall_step(w, unit_sector(1), true, -1 * S);
    assert_true(worst_of(w, AGENTS) < 4000);
    world_run(w, 60 * S);
    assert_true(worst_of(w, AGENTS) < 4000);
    world_wall_step(w, unit_orchestrator(), false, 1 * S); /* the root's alone */
    assert_true(worst_of(w, AGENTS) < 4000);
    world_run(w, 60 * S);
    assert_true(worst_of(w, AGENTS) < 4000);
    world_free(w);
}

/* Somebody sets the clock of a cluster's hosts by an hour; the kernel goes on saying that it is
 * right. Their frames are refused until it is put right (2 s ahead is too far); nothing that they
 * hold is released at another time than T, before, meanwhile and after. */
static void an_hours_step_moves_nothing(void **state)
{
    (void)state;
    struct world *w = mesh(3, false);
    everyone_says(w, 800);
    world_run(w, 60 * S);
    assert_true(worst_of(w, AGENTS) < 4000);
    world_wall_step(w, unit_cluster(1, 1), true, 3600 * S);
    assert_true(worst_of(w, AGENTS - 6) < 4000);
    world_run(w, 5 * S);
    world_wall_step(w, unit_cluster(1, 1), true, -3600 * S);
    world_run(w, 60 * S);
    assert_true(worst_of(w, AGENTS) < 4000);
    world_free(w);
}

/* A machine sleeps while others go on: its clock counts that (CLOCK_BOOTTIME). What it held when T
 * passed is late, and says so; afterwards it is on time at once. */
static void a_machine_that_slept(void **state)
{
    (void)state;
    for (int said = 0; said < 2; said++) {
        struct world *w = mesh(4, false);
        if (said == 1) {
            everyone_says(w, 800);
        }
        world_run(w, 60 * S);
        world_pause(w, unit_cluster(1, 2), true, 12 * S);
        assert_true(worst_of(w, AGENTS - 6) < 5000);
        world_run(w, 30 * S);
        assert_true(worst_of(w, AGENTS) < 5000);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disciplined_host_sees_past_the_path),
        cmocka_unit_test(the_path_is_believed_against_the_host),
        cmocka_unit_test(nonsense_is_no_witness),
        cmocka_unit_test(the_kernels_word),
        cmocka_unit_test(asymmetric_paths),
        cmocka_unit_test(a_leap_moves_nothing),
        cmocka_unit_test(an_hours_step_moves_nothing),
        cmocka_unit_test(a_machine_that_slept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
