/* The sealer: order, the same results with any number of threads, its limit, and a close with jobs
 * inside. Frames go through all of it: finish, sign, check, verify, accept. */
#include "tiers/runner/sealer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1795000000000LL
#define JOBS   3000u
#define BYTES  1536u

struct job {
    struct sealer_job job;
    unsigned number;
    bool damaged;
    uint8_t bytes[BYTES];
};

static uv_loop_t loop;
static struct identity alice_id, bob_id;
static struct frame_signer alice;
static struct peers *bob;
static struct sealer *sealer;
static struct job *jobs;
static unsigned signs_done, verifies_done, accepted, refused, cancelled;
static bool in_order, closed;
static struct route route;

static void identity_make(struct identity *id, const struct key_pair *issuer, const char *token)
{
    memset(id, 0, sizeof(*id));
    memcpy(id->issuer_public, issuer->public_key, PUBLIC_BYTES);
    id->mesh = issuer->kid;
    key_pair_make(&id->key);
    id->cert = (struct cert){.kind = CERT_PROCESS,
                             .roles = ROLE_HOST,
                             .issuer_kid = issuer->kid,
                             .not_before_s = NOW_MS / 1000 - 60,
                             .not_after_s = NOW_MS / 1000 + 86400LL * 20};
    assert_true(endpoint_make(token, strlen(token), 0, &id->cert.subject));
    memcpy(id->cert.public_key, id->key.public_key, PUBLIC_BYTES);
    cert_seal(&id->cert, issuer->secret, id->cert_bytes);
}

static int setup(void **state)
{
    (void)state;
    struct key_pair issuer;
    key_pair_make(&issuer);
    identity_make(&alice_id, &issuer, "alice");
    identity_make(&bob_id, &issuer, "bob");
    memset(&alice, 0, sizeof(alice));
    if (frame_signer_start(&alice, &alice_id, 0, NULL, 0, NOW_MS) != CERT_OK)
        return -1;
    struct peers_config config = {.identity = &bob_id, .port_count = 1};
    bob = peers_new(&config);
    jobs = calloc(JOBS, sizeof(*jobs));
    route = (struct route){alice.self, bob_id.cert.subject};
    signs_done = verifies_done = accepted = refused = cancelled = 0;
    in_order = true;
    closed = false;
    return bob && jobs ? uv_loop_init(&loop) : -1;
}

static int teardown(void **state)
{
    (void)state;
    peers_free(bob);
    free(jobs);
    return uv_loop_close(&loop);
}

static void on_closed(void *ctx)
{
    assert_ptr_equal(ctx, &closed);
    closed = true;
}

static void verify_done(struct sealer_job *job)
{
    struct job *j = job->owner;
    const struct peer *peer;
    in_order = in_order && j->number == verifies_done && !job->cancelled;
    verifies_done++;
    enum frame_verdict v = frame_accept(bob, &job->frame, NOW_MS, &peer);
    assert_int_equal(v, j->damaged ? FRAME_SIGNATURE : FRAME_OK);
    *(v == FRAME_OK ? &accepted : &refused) += 1;
}

static void sign_done(struct sealer_job *job)
{
    struct job *j = job->owner;
    static const uint8_t wiped[SECRET_BYTES];
    if (job->cancelled) {
        cancelled++;
        assert_memory_equal(job->secret, wiped, SECRET_BYTES);
        return;
    }
    in_order = in_order && j->number == signs_done;
    signs_done++;
    assert_memory_equal(job->secret, wiped, SECRET_BYTES);
}

/* Frame `number` ready to be signed. */
static struct sealer_job *sign_job(unsigned number)
{
    struct job *j = &jobs[number];
    struct frame_builder b;
    j->number = number;
    /* Sizes differ, so that later frames would overtake if they could. */
    size_t bytes = number % 7 == 0 ? 200 : 1 + number % 20;
    frame_begin(&b, j->bytes);
    memset(frame_reserve(&b, bytes), 'x', bytes);
    frame_commit(&b, bytes);
    struct frame_address to = {.destination = route.destination,
                               .with_chain = number == 0,
                               .issued_ms = NOW_MS,
                               .ttl_ms = 10000};
    size_t length = frame_finish(&b, &alice, &alice_id, &to);
    assert_true(length + FRAME_PATH_MAX <= BYTES);
    sealer_sign_init(&j->job, &alice, j->bytes, length);
    j->job.done = sign_done;
    j->job.owner = j;
    return &j->job;
}

static struct sealer_job *verify_job(unsigned number)
{
    struct job *j = &jobs[number];
    j->damaged = number % 10 == 9;
    if (j->damaged)
        j->bytes[j->job.sign.length - 1] ^= 1;
    j->job.kind = SEALER_VERIFY;
    j->job.done = verify_done;
    assert_int_equal(frame_check(bob, j->bytes, j->job.sign.length, &route, NOW_MS, &j->job.frame),
                     FRAME_OK);
    return &j->job;
}

static void submit_all(struct sealer_job *(*make)(unsigned number), unsigned from, unsigned batch)
{
    struct sealer_job *some[64];
    while (from < JOBS) {
        unsigned count = 0;
        while (count < batch && from < JOBS)
            some[count++] = make(from++);
        unsigned taken = 0;
        while (taken < count) { /* the limit is met: turn the loop and go on */
            taken += sealer_submit(sealer, some + taken, count - taken);
            if (taken < count)
                (void)uv_run(&loop, UV_RUN_ONCE);
        }
    }
}

static void all_frames(unsigned threads, uint32_t jobs_max, unsigned batch)
{
    struct sealer_stats stats;
    assert_int_equal(sealer_new(&loop, threads, jobs_max, &sealer), 0);
    submit_all(sign_job, 0, batch);
    while (signs_done < JOBS)
        (void)uv_run(&loop, UV_RUN_ONCE);
    /* The first frame brings the chain; the others are checked once it is accepted. */
    struct sealer_job *first = verify_job(0);
    assert_int_equal(sealer_submit(sealer, &first, 1), 1);
    while (verifies_done < 1)
        (void)uv_run(&loop, UV_RUN_ONCE);
    submit_all(verify_job, 1, batch);
    while (verifies_done < JOBS)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(in_order);
    assert_int_equal(refused, JOBS / 10);
    assert_int_equal(accepted, JOBS - JOBS / 10);
    sealer_stats(sealer, &stats);
    assert_int_equal(stats.signs, JOBS);
    assert_int_equal(stats.verifies, JOBS);
    assert_true(stats.depth_max <= jobs_max);
    assert_int_equal(sealer_room(sealer), jobs_max);
    sealer_close(sealer, on_closed, &closed);
    while (!closed)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static void test_inline(void **state)
{
    (void)state;
    all_frames(0, 1, 16);
}

static void test_one_thread(void **state)
{
    (void)state;
    all_frames(1, 4096, 16);
}

static void test_four_threads_small_ring(void **state)
{
    (void)state;
    all_frames(4, 24, 64);
}

static void test_limit_is_answered(void **state)
{
    (void)state;
    struct sealer_job *some[64];
    struct sealer_stats stats;
    assert_int_equal(sealer_new(&loop, 2, 10, &sealer), 0);
    for (unsigned i = 0; i < 64; i++)
        some[i] = sign_job(i);
    /* Nothing comes back before the loop turns, so exactly the limit is taken. */
    assert_int_equal(sealer_submit(sealer, some, 64), 10);
    assert_int_equal(sealer_submit(sealer, some + 10, 54), 0);
    assert_int_equal(sealer_room(sealer), 0);
    sealer_stats(sealer, &stats);
    assert_int_equal(stats.refused, 108);
    assert_int_equal(stats.depth_max, 10);
    assert_int_equal(signs_done, 0);
    while (signs_done < 10)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(in_order);
    assert_int_equal(sealer_submit(sealer, some + 10, 10), 10);
    while (signs_done < 20)
        (void)uv_run(&loop, UV_RUN_ONCE);
    sealer_close(sealer, on_closed, &closed);
    while (!closed)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static void test_close_gives_everything_back(void **state)
{
    (void)state;
    assert_int_equal(sealer_new(&loop, 1, 4096, &sealer), 0);
    struct sealer_job *some[2000];
    for (unsigned i = 0; i < 2000; i++) {
        some[i] = sign_job(i);
        some[i]->kid = i; /* of 2,000 signers: none share a signature, so it takes a while */
    }
    assert_int_equal(sealer_submit(sealer, some, 2000), 2000);
    sealer_close(sealer, on_closed, &closed);
    /* Whether done or cancelled, each has come back once, the done ones in order. */
    assert_int_equal(signs_done + cancelled, 2000);
    assert_true(cancelled > 0);
    assert_true(in_order);
    while (!closed)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_inline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_four_threads_small_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_gives_everything_back, setup, teardown),
    };
    if (keys_start() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
