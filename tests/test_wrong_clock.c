/* A machine that started with a wrong clock, which is put right later: what it hears is not from
 * before its start then, its sessions are believed, and those that follow them, too; and nothing
 * that was recorded comes back by it. */
#include "tiers/runner/peers.h"

#include "tests/support/sign_alone.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS  1795000000000LL
#define HOUR_MS 3600000LL
#define TTL_MS  60000u
#define SENDERS 3u

struct sender {
    struct identity id;
    struct frame_signer signer;
};

static struct key_pair issuer;
static struct sender senders[SENDERS];
static struct identity own;
static struct peers *peers;

static void identity_make(struct identity *id, const char *token)
{
    memset(id, 0, sizeof(*id));
    memcpy(id->issuer_public, issuer.public_key, PUBLIC_BYTES);
    id->mesh = issuer.kid;
    key_pair_make(&id->key);
    id->cert = (struct cert){.kind = CERT_PROCESS,
                             .roles = ROLE_CLUSTER,
                             .scope_count = 1,
                             .scope = {{unit_cluster(1, 1), unit_cluster(9, 10)}},
                             .issuer_kid = issuer.kid,
                             .not_before_s = NOW_MS / 1000 - 86400,
                             .not_after_s = NOW_MS / 1000 + 20LL * 86400,
                             .epoch = 5};
    assert_true(endpoint_make(token, strlen(token), 0, &id->cert.subject));
    memcpy(id->cert.public_key, id->key.public_key, PUBLIC_BYTES);
    cert_seal(&id->cert, issuer.secret, id->cert_bytes);
}

static void begin(int64_t start_ms)
{
    static const char *const tokens[SENDERS] = {"cluster-1", "cluster-2", "cluster-3"};
    peers_free(peers);
    key_pair_make(&issuer);
    identity_make(&own, "host-1");
    for (unsigned i = 0; i < SENDERS; i++) {
        identity_make(&senders[i].id, tokens[i]);
        memset(&senders[i].signer, 0, sizeof(senders[i].signer));
        assert_int_equal(frame_signer_start(&senders[i].signer, &senders[i].id, 0, NULL, 0,
                                            NOW_MS - 2 * HOUR_MS),
                         CERT_OK);
    }
    struct peers_config config = {.identity = &own, .port_count = 1, .start_ms = start_ms};
    peers = peers_new(&config);
    assert_non_null(peers);
}

static int end(void **state)
{
    (void)state;
    peers_free(peers);
    peers = NULL;
    return 0;
}

static size_t seal(const struct sender *s, struct frame_signer *signer, int64_t issued_ms,
                   uint8_t *bytes)
{
    struct frame_builder b;
    struct frame_address to = {.destination = own.cert.subject,
                               .with_chain = true,
                               .issued_ms = issued_ms,
                               .ttl_ms = TTL_MS};
    frame_begin(&b, bytes);
    *frame_reserve(&b, 1) = 'x';
    frame_commit(&b, 1);
    return frame_seal(&b, signer, &s->id, &to);
}

static enum frame_verdict open_at(const struct sender *s, const uint8_t *bytes, size_t length,
                                  int64_t now_ms)
{
    struct frame_view view;
    const struct peer *peer;
    struct route subject = {.source = s->id.cert.subject, .destination = own.cert.subject};
    return frame_open(peers, bytes, length, &subject, now_ms, &view, &peer);
}

static enum frame_verdict say(struct sender *s, int64_t issued_ms, int64_t now_ms)
{
    static uint8_t bytes[FRAME_BYTES_MAX];
    return open_at(s, bytes, seal(s, &s->signer, issued_ms, bytes), now_ms);
}

/* One window of skew.h, in which so many are heard; it ends at *now_ms. */
static void window(unsigned heard, int64_t *now_ms, int64_t age_ms)
{
    struct skew found;
    assert_false(peers_skew(peers, *now_ms, age_ms, &found));
    for (unsigned i = 0; i < heard; i++) {
        (void)say(&senders[i], *now_ms, *now_ms + 1);
    }
    *now_ms += SKEW_WINDOW_MS;
    assert_true(peers_skew(peers, *now_ms, age_ms + SKEW_WINDOW_MS, &found));
    assert_int_equal(found.right, heard >= SENDERS);
}

static void a_start_by_a_clock_that_was_ahead_is_put_right(void **state)
{
    (void)state;
    int64_t now_ms = NOW_MS;
    begin(NOW_MS + HOUR_MS);
    assert_int_equal(say(&senders[0], now_ms, now_ms), FRAME_BEFORE_START);
    window(2, &now_ms, 30000); /* two are no proof that this clock is right now */
    assert_int_equal(say(&senders[0], now_ms, now_ms), FRAME_BEFORE_START);
    window(3, &now_ms, 30000 + SKEW_WINDOW_MS);
    assert_int_equal(say(&senders[0], now_ms, now_ms), FRAME_OK);
    /* It began 50 s ago, and what was said before that stays refused. */
    assert_int_equal(say(&senders[1], now_ms - 51000, now_ms), FRAME_OK);
    assert_int_equal(say(&senders[2], now_ms - 53000, now_ms), FRAME_BEFORE_START);
}

/* Who hears everybody from the future has a clock that is behind: nothing is moved by it. */
static void a_clock_that_is_wrong_moves_no_start(void **state)
{
    (void)state;
    int64_t now_ms = NOW_MS - HOUR_MS;
    struct skew found;
    begin(NOW_MS);
    assert_false(peers_skew(peers, now_ms, 1000, &found));
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(say(&senders[i], NOW_MS, now_ms), FRAME_FUTURE);
    }
    now_ms += SKEW_WINDOW_MS;
    assert_true(peers_skew(peers, now_ms, 1000 + SKEW_WINDOW_MS, &found));
    assert_false(found.right);
    assert_int_equal(say(&senders[0], now_ms - 1000, now_ms), FRAME_BEFORE_START);
}

static void a_session_that_has_not_begun_is_made_anew(void **state)
{
    (void)state;
    struct frame_signer *s = &senders[0].signer;
    begin(NOW_MS);
    assert_int_equal(frame_signer_start(s, &senders[0].id, 0, NULL, 0, NOW_MS + HOUR_MS), CERT_OK);
    assert_false(frame_signer_is_due(s, NOW_MS + HOUR_MS));
    assert_int_equal(say(&senders[0], NOW_MS, NOW_MS), FRAME_CHAIN_INVALID);
    assert_int_equal(peers_stats(peers)->last_chain, CERT_NOT_YET_VALID);
    assert_true(frame_signer_is_due(s, NOW_MS));
    uint64_t before = s->key.epoch;
    assert_int_equal(frame_signer_start(s, &senders[0].id, 0, NULL, 0, NOW_MS), CERT_OK);
    assert_true(s->key.epoch > before); /* some may have heard of that one */
    assert_false(frame_signer_is_due(s, NOW_MS));
    assert_int_equal(say(&senders[0], NOW_MS, NOW_MS), FRAME_OK);
    /* One that a token has signed for is for this key alone. */
    assert_int_equal(frame_signer_start(s, &senders[0].id, 0, NULL, 0, NOW_MS + HOUR_MS), CERT_OK);
    s->key.renew_at_s = INT64_MAX;
    assert_false(frame_signer_is_due(s, NOW_MS));
}

/* The process starts anew, its clock right: its session has a lower epoch than the last, whose
 * epoch is of the future. It follows by the time of its frames; no recorded one does. */
static void a_session_of_the_future_is_followed(void **state)
{
    (void)state;
    static uint8_t first[FRAME_BYTES_MAX], old[FRAME_BYTES_MAX];
    struct sender *s = &senders[0];
    begin(NOW_MS - 10000);
    size_t first_bytes = seal(s, &s->signer, NOW_MS, first); /* of the life before; never arrived */
    struct frame_signer ahead = {0};
    assert_int_equal(frame_signer_start(&ahead, &s->id, 0, NULL, 0, NOW_MS + HOUR_MS), CERT_OK);
    assert_int_equal(frame_signer_start(&ahead, &s->id, 0, NULL, 0, NOW_MS + 100), CERT_OK);
    s->signer = ahead;
    assert_int_equal(say(s, NOW_MS + 200, NOW_MS + 200), FRAME_OK);
    assert_int_equal(open_at(s, first, first_bytes, NOW_MS + 300), FRAME_OLD_SESSION);
    size_t old_bytes = seal(s, &s->signer, NOW_MS + 400, old);
    struct frame_signer next = {0};
    assert_int_equal(frame_signer_start(&next, &s->id, 0, NULL, 0, NOW_MS + 1000), CERT_OK);
    s->signer = next;
    assert_int_equal(say(s, NOW_MS + 1100, NOW_MS + 1100), FRAME_OK);
    assert_int_equal(open_at(s, old, old_bytes, NOW_MS + 1200), FRAME_OLD_SESSION);
    assert_int_equal(open_at(s, first, first_bytes, NOW_MS + 1200), FRAME_OLD_SESSION);
    /* A life that begins with a clock ahead follows one of the present, as it always did. */
    s->signer = ahead;
    assert_int_equal(say(s, NOW_MS + 2000, NOW_MS + 2000), FRAME_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_by_a_clock_that_was_ahead_is_put_right),
        cmocka_unit_test(a_clock_that_is_wrong_moves_no_start),
        cmocka_unit_test(a_session_that_has_not_begun_is_made_anew),
        cmocka_unit_test(a_session_of_the_future_is_followed)};
    assert_int_equal(keys_start(), 0);
    return cmocka_run_group_tests(tests, NULL, end);
}
