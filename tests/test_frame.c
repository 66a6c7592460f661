/* Frames and their acceptance: round trips, every reason to refuse, every byte and every length of
 * a sealed frame, random mutations, replays, restarts and renewals, chains asked for and given. */
#include "tiers/runner/peers.h"

#include "tests/support/sign_alone.h"
#include "tiers/runner/bytes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1795000000000LL
#define DAY_MS 86400000LL
#define TTL_MS 10000u

/* One process: identity, one signer per port in use, and what it believes. */
struct process {
    struct identity id;
    struct frame_signer signer;
    struct peers *peers;
};

static struct key_pair issuer;
static struct process alice, bob;
static bool reached[FRAME_VERDICT_COUNT];

static void identity_make(struct identity *id, const char *token, uint16_t roles, uint64_t epoch)
{
    memset(id, 0, sizeof(*id));
    memcpy(id->issuer_public, issuer.public_key, PUBLIC_BYTES);
    id->mesh = issuer.kid;
    key_pair_make(&id->key);
    id->cert = (struct cert){.kind = CERT_PROCESS,
                             .roles = roles,
                             .scope_count = 1,
                             .scope = {{unit_agent(1, 1, 1), unit_agent(9, 10, 30)}},
                             .issuer_kid = issuer.kid,
                             .not_before_s = NOW_MS / 1000 - 86400,
                             .not_after_s = NOW_MS / 1000 + 20LL * 86400,
                             .epoch = epoch};
    assert_true(endpoint_make(token, strlen(token), 0, &id->cert.subject));
    memcpy(id->cert.public_key, id->key.public_key, PUBLIC_BYTES);
    cert_seal(&id->cert, issuer.secret, id->cert_bytes);
}

static void process_make(struct process *p, const char *token, uint16_t roles, uint32_t peers_max)
{
    memset(p, 0, sizeof(*p));
    identity_make(&p->id, token, roles, 5);
    assert_int_equal(frame_signer_start(&p->signer, &p->id, 0, NULL, 0, NOW_MS), CERT_OK);
    struct peers_config config = {
        .identity = &p->id, .port_count = 4, .peers_max = peers_max, .start_ms = NOW_MS - 60000};
    p->peers = peers_new(&config);
    assert_non_null(p->peers);
}

static int setup(void **state)
{
    (void)state;
    key_pair_make(&issuer);
    process_make(&alice, "alice", ROLE_CLUSTER, 0);
    process_make(&bob, "bob", ROLE_HOST, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peers_free(alice.peers);
    peers_free(bob.peers);
    return 0;
}

static struct endpoint at(const char *token, uint16_t port)
{
    struct endpoint e;
    assert_true(endpoint_make(token, strlen(token), port, &e));
    return e;
}

static struct frame_address to_endpoint(const struct process *from, struct endpoint to)
{
    return (struct frame_address){.destination = to,
                                  .known_kid = peers_kid(from->peers, &to),
                                  .with_chain = peers_needs_chain(from->peers, &from->signer, &to),
                                  .issued_ms = NOW_MS,
                                  .ttl_ms = TTL_MS};
}

/* Seals one record of `bytes` 'x' as the sender would. */
static size_t seal(struct process *from, const struct frame_address *to, uint8_t *bytes,
                   size_t record_bytes)
{
    struct frame_builder b;
    frame_begin(&b, bytes);
    if (record_bytes > 0) {
        uint8_t *record = frame_reserve(&b, record_bytes);
        assert_non_null(record);
        memset(record, 'x', record_bytes);
        frame_commit(&b, record_bytes);
    }
    return frame_seal(&b, &from->signer, &from->id, to);
}

static enum frame_verdict open_by(struct process *by, const uint8_t *bytes, size_t length,
                                  struct route subject, int64_t now_ms)
{
    struct frame_view view;
    const struct peer *peer = NULL;
    uint64_t before = 0, after = 0;
    for (int i = 0; i < FRAME_VERDICT_COUNT; i++)
        before += peers_stats(by->peers)->verdicts[i];
    /* An own allocation of the exact length, so that reading beyond it is found. */
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    enum frame_verdict v = frame_open(by->peers, copy, length, &subject, now_ms, &view, &peer);
    free(copy);
    for (int i = 0; i < FRAME_VERDICT_COUNT; i++)
        after += peers_stats(by->peers)->verdicts[i];
    assert_int_equal(after, before + 1); /* every frame is counted once */
    assert_true((v == FRAME_OK) == (peer != NULL));
    reached[v] = true;
    return v;
}

static struct route alice_to_bob(void)
{
    return (struct route){at("alice", 0), at("bob", 0)};
}

static uint8_t frame[FRAME_BYTES_MAX], other[FRAME_BYTES_MAX];

static void test_round_trip(void **state)
{
    (void)state;
    struct frame_builder b;
    struct frame_address address = to_endpoint(&alice, at("bob", 3));
    struct frame_view view;
    const struct peer *peer;
    assert_true(address.with_chain);
    frame_begin(&b, frame);
    for (unsigned i = 1; i <= 30; i++) {
        uint8_t *record = frame_reserve(&b, 1000);
        assert_non_null(record);
        memset(record, (int)i, (size_t)i * 10);
        frame_commit(&b, (size_t)i * 10); /* less than was reserved */
    }
    size_t length = frame_seal(&b, &alice.signer, &alice.id, &address);
    assert_int_equal(length, FRAME_BYTES_MIN + 60 + 4650 + CHAIN_BYTES);
    struct route subject = {at("alice", 0), at("bob", 3)};
    assert_int_equal(frame_open(bob.peers, frame, length, &subject, NOW_MS + 5, &view, &peer),
                     FRAME_OK);
    assert_int_equal(view.record_count, 30);
    assert_int_equal(view.seq, 1);
    assert_int_equal(view.route.destination.port, 3);
    assert_string_equal(peer->endpoint.token, "alice");
    assert_int_equal(peer->roles, ROLE_CLUSTER);
    assert_true(peer_may_speak_for(peer, unit_agent(9, 10, 30)));
    assert_false(peer_may_speak_for(peer, unit_agent(9, 10, 31)));
    size_t cursor = 0, bytes;
    const uint8_t *record;
    for (unsigned i = 1; i <= 30; i++) {
        assert_true(frame_next(&view, &cursor, &record, &bytes));
        assert_int_equal(bytes, (size_t)i * 10);
        assert_int_equal(record[0], i);
        assert_int_equal(record[bytes - 1], i);
    }
    assert_false(frame_next(&view, &cursor, &record, &bytes));
    assert_int_equal(peers_stats(bob.peers)->signatures, 3);
}

static void test_builder_says_full(void **state)
{
    (void)state;
    struct frame_builder b;
    struct frame_address address = to_endpoint(&alice, at("bob", 0));
    frame_begin(&b, frame);
    unsigned records = 0;
    uint8_t *record;
    while ((record = frame_reserve(&b, 998)) != NULL) {
        memset(record, 'y', 998);
        frame_commit(&b, 998);
        records++;
    }
    assert_int_equal(records, FRAME_BODY_MAX / 1000);
    size_t length = frame_seal(&b, &alice.signer, &alice.id, &address);
    assert_in_range(length, FRAME_BYTES_MAX - 1000, FRAME_BYTES_MAX);
    assert_int_equal(open_by(&bob, frame, length, alice_to_bob(), NOW_MS), FRAME_OK);
    /* The largest message fits; the count of records has a limit, too. */
    frame_begin(&b, frame);
    assert_non_null(frame_reserve(&b, MESSAGE_BYTES_MAX));
    for (unsigned i = 0; i < FRAME_RECORDS_MAX; i++) {
        record = frame_reserve(&b, 1);
        assert_non_null(record);
        *record = 1;
        frame_commit(&b, 1);
    }
    assert_null(frame_reserve(&b, 1));
    length = frame_seal(&b, &alice.signer, &alice.id, &address);
    assert_int_equal(open_by(&bob, frame, length, alice_to_bob(), NOW_MS), FRAME_OK);
}

/* Opens a frame whose header was changed at `offset` and signed again: what a member of the mesh
 * with valid keys could send. */
static enum frame_verdict forged(size_t offset, const void *value, size_t bytes)
{
    struct frame_address address = to_endpoint(&alice, at("bob", 0));
    address.with_chain = true;
    size_t length = seal(&alice, &address, frame, 40);
    memcpy(frame + offset, value, bytes);
    sign_alone(frame, length, alice.signer.key.key.secret);
    return open_by(&bob, frame, length, alice_to_bob(), NOW_MS);
}

static void test_shape_is_checked(void **state)
{
    (void)state;
    static const struct {
        size_t offset, bytes;
        uint8_t value[8];
        enum frame_verdict verdict;
    } cases[] = {
        {0, 1, "M", FRAME_MAGIC},
        {14, 1, "1", FRAME_VERSION},
        {15, 1, "x", FRAME_VERSION},
        {16, 1, {0xff}, FRAME_SIZE},
        {20, 1, {0x05}, FRAME_SHAPE}, /* an unknown flag */
        {20, 1, {0x00}, FRAME_SHAPE}, /* the chain's length is left over */
        {22, 2, {0, 0xff}, FRAME_SHAPE},
        {22, 2, {2, 0}, FRAME_RECORDS},
        {22, 2, {0, 0}, FRAME_RECORDS},
        {24, 1, {0}, FRAME_MESH}, /* another mesh's key */
        {32, 5, "bob\0", FRAME_SOURCE},
        {32, 5, "Alice", FRAME_SHAPE},
        {40, 1, "x", FRAME_SHAPE}, /* after the end of the token */
        {32, 6, {0}, FRAME_SHAPE},
        {48, 3, "bab", FRAME_DESTINATION},
        {48, 3, {0}, FRAME_DESTINATION}, /* a broadcast on the subject of one */
        {64, 2, {0, 0x80}, FRAME_SHAPE},
        {64, 2, {1, 0}, FRAME_SOURCE},
        {66, 2, {1, 0}, FRAME_DESTINATION},
        {68, 1, {0x29}, FRAME_SHAPE},
        {68, 4, {0xff, 0xff, 0xff, 0xff}, FRAME_SHAPE},
        {72, 1, {0}, FRAME_UNKNOWN_KEY}, /* not the chain's key */
        {88, 8, {0}, FRAME_SHAPE},       /* seq 0 */
        {96, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, FRAME_SHAPE},
        {104, 4, {0}, FRAME_SHAPE}, /* ttl 0 */
        {104, 4, {0xff, 0xff, 0xff, 0xff}, FRAME_SHAPE},
        {108, 1, {1}, FRAME_SHAPE}, /* the second leaf of one */
        {109, 1, {1}, FRAME_SIZE},  /* a path that is not there */
        {110, 1, {1}, FRAME_SHAPE},
        {120, 2, {0, 0}, FRAME_RECORDS},
        {120, 2, {41, 0}, FRAME_RECORDS},
        {120, 2, {39, 0}, FRAME_RECORDS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t value[8];
        memcpy(value, cases[i].value, sizeof(value));
        /* Keys are drawn anew in every run: another one differs from it for certain. */
        if (cases[i].offset == 24)
            value[0] = (uint8_t)(alice.id.mesh ^ 1u);
        if (cases[i].offset == 72)
            value[0] = (uint8_t)(alice.signer.key.key.kid ^ 1u);
        assert_int_equal(forged(cases[i].offset, value, cases[i].bytes), cases[i].verdict);
    }
    assert_int_equal(open_by(&bob, frame, 0, alice_to_bob(), NOW_MS), FRAME_SIZE);
    uint8_t big[FRAME_BYTES_MAX + 1] = {0};
    assert_int_equal(open_by(&bob, big, sizeof(big), alice_to_bob(), NOW_MS), FRAME_SIZE);
}

static void test_subject_and_destination(void **state)
{
    (void)state;
    struct frame_address address = to_endpoint(&alice, at("bob", 0));
    size_t length = seal(&alice, &address, frame, 10);
    struct route s = alice_to_bob();
    s.source = at("mallory", 0);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_SOURCE);
    s.source = at("alice", 1);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_SOURCE);
    s = alice_to_bob();
    s.destination.port = 1;
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_DESTINATION);
    s.destination = (struct endpoint){0};
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_DESTINATION);
    assert_int_equal(open_by(&alice, frame, length, alice_to_bob(), NOW_MS), FRAME_DESTINATION);
    /* A port that bob does not own. */
    address.destination.port = 4;
    length = seal(&alice, &address, frame, 10);
    s = (struct route){at("alice", 0), at("bob", 4)};
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_DESTINATION);
    peers_set_port_count(bob.peers, 5);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_OK);
    /* A broadcast is for everybody and always carries the chain. */
    address = to_endpoint(&alice, (struct endpoint){0});
    assert_true(address.with_chain);
    length = seal(&alice, &address, frame, 10);
    s = (struct route){.source = at("alice", 0)};
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_OK);
    assert_int_equal(open_by(&alice, frame, length, s, NOW_MS), FRAME_OK);
    /* A chain for another port than the header's. */
    struct frame_signer port1 = {0};
    assert_int_equal(frame_signer_start(&port1, &alice.id, 1, NULL, 0, NOW_MS), CERT_OK);
    memcpy(port1.key.cert_bytes, alice.signer.key.cert_bytes, CERT_BYTES);
    struct frame_builder b;
    address = to_endpoint(&alice, at("bob", 0));
    address.with_chain = true;
    frame_begin(&b, frame);
    length = frame_seal(&b, &port1, &alice.id, &address);
    s = (struct route){at("alice", 1), at("bob", 0)};
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_SOURCE);
}

static void test_time(void **state)
{
    (void)state;
    struct frame_address address = to_endpoint(&alice, at("bob", 0));
    size_t length = seal(&alice, &address, frame, 10);
    struct route s = alice_to_bob();
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS - FRAME_SKEW_MS - 1), FRAME_FUTURE);
    assert_int_equal(peers_stats(bob.peers)->off_ms, FRAME_SKEW_MS + 1);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS + TTL_MS), FRAME_EXPIRED);
    assert_int_equal(peers_stats(bob.peers)->off_ms, -(int64_t)TTL_MS);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS + TTL_MS - 1), FRAME_OK);
    length = seal(&alice, &address, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS - FRAME_SKEW_MS), FRAME_OK);
    /* A known peer: the same checks, and its certificate's end. */
    length = seal(&alice, &address, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS + TTL_MS), FRAME_EXPIRED);
    address.issued_ms = NOW_MS - 60000 - FRAME_SKEW_MS - 1;
    address.ttl_ms = FRAME_TTL_MS_MAX;
    length = seal(&alice, &address, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_BEFORE_START);
    address.issued_ms = NOW_MS + DAY_MS;
    length = seal(&alice, &address, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS + DAY_MS), FRAME_CERT_EXPIRED);
}

static void test_every_byte_and_length(void **state)
{
    (void)state;
    for (int known = 0; known <= 1; known++) {
        struct frame_address address = to_endpoint(&alice, at("bob", 0));
        address.with_chain = !known;
        size_t length = seal(&alice, &address, frame, 50);
        for (size_t i = 0; i < length; i++) {
            uint8_t was = frame[i];
            frame[i] = (uint8_t)(was ^ (1u << (i % 8)));
            assert_int_not_equal(open_by(&bob, frame, length, alice_to_bob(), NOW_MS), FRAME_OK);
            frame[i] = was;
        }
        for (size_t i = 0; i < length; i++)
            assert_int_not_equal(open_by(&bob, frame, i, alice_to_bob(), NOW_MS), FRAME_OK);
        frame[length] = 0;
        assert_int_equal(open_by(&bob, frame, length + 1, alice_to_bob(), NOW_MS), FRAME_SIZE);
        /* None of it has moved the window or left a peer: the original is still good, once. */
        assert_int_equal(open_by(&bob, frame, length, alice_to_bob(), NOW_MS), FRAME_OK);
        assert_int_equal(open_by(&bob, frame, length, alice_to_bob(), NOW_MS), FRAME_REPLAY);
        assert_int_equal(peers_stats(bob.peers)->peer_count, 1);
    }
}

static uint32_t rng_state = 12345;
static uint32_t rng(uint32_t below)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)rng_state * below >> 32);
}

static void test_random_mutations(void **state)
{
    (void)state;
    /* Several valid frames to cut and paste between, all from one sender. */
    enum { FRAMES = 6 };
    static uint8_t valid[FRAMES][2048];
    size_t length[FRAMES];
    struct route s = alice_to_bob();
    for (unsigned i = 0; i < FRAMES; i++) {
        struct frame_address address = to_endpoint(&alice, at("bob", 0));
        address.with_chain = i % 2 == 0;
        length[i] = seal(&alice, &address, frame, 20 + (size_t)50 * i);
        memcpy(valid[i], frame, length[i]);
    }
    /* The first half against a stranger, the second against a known peer. */
    struct frame_address address = to_endpoint(&alice, at("bob", 0));
    static uint8_t hello[2048];
    size_t hello_length = seal(&alice, &address, hello, 1);
    unsigned accepted = 0, tried = 0;
    while (tried < 24000) {
        if (tried == 12000 && peers_stats(bob.peers)->peer_count == 0)
            assert_int_equal(open_by(&bob, hello, hello_length, s, NOW_MS), FRAME_OK);
        unsigned which = rng(FRAMES), from = rng(FRAMES);
        size_t bytes = length[which];
        memcpy(frame, valid[which], bytes);
        switch (rng(4)) {
        case 0:
            for (uint32_t n = 1 + rng(4); n > 0; n--)
                frame[rng((uint32_t)bytes)] = (uint8_t)rng(256);
            break;
        case 1: { /* a piece of another frame in the same place */
            uint32_t start = rng((uint32_t)bytes), count = rng(120);
            for (uint32_t i = start; i < start + count && i < bytes && i < length[from]; i++)
                frame[i] = valid[from][i];
            break;
        }
        case 2: /* a header field of another frame */
            memcpy(frame + 64 + (size_t)8 * rng(7), valid[from] + 64 + (size_t)8 * rng(7), 8);
            break;
        default: { /* its end, signature included */
            size_t tail = 64 + rng(600);
            if (tail < bytes && tail < length[from])
                memcpy(frame + bytes - tail, valid[from] + length[from] - tail, tail);
            break;
        }
        }
        if (memcmp(frame, valid[which], bytes) == 0)
            continue; /* nothing has changed */
        tried++;
        accepted += open_by(&bob, frame, bytes, s, NOW_MS) == FRAME_OK;
    }
    assert_int_equal(accepted, 0);
    assert_true(peers_stats(bob.peers)->verdicts[FRAME_SIGNATURE] > 5000);
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(open_by(&bob, valid[i], length[i], s, NOW_MS), FRAME_OK);
}

static void test_replay_window(void **state)
{
    (void)state;
    struct replay_window w = {0};
    bool model[6000] = {false};
    uint64_t top = 0;
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t from = top > 1500 ? top - 1500 : 1;
        uint64_t seq = from + rng(i % 50 == 0 ? 3000 : 1600);
        if (seq >= 6000)
            continue;
        enum frame_verdict v = replay_check(&w, seq);
        if (seq <= top && top - seq >= REPLAY_WINDOW_BITS)
            assert_int_equal(v, FRAME_SEQ_OLD);
        else
            assert_int_equal(v, model[seq] ? FRAME_REPLAY : FRAME_OK);
        if (v != FRAME_OK)
            continue;
        replay_update(&w, seq);
        model[seq] = true;
        top = seq > top ? seq : top;
    }
    assert_true(top > 5000);
    static const uint64_t jumps[] = {1ULL << 40, (1ULL << 40) + 1088, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        assert_int_equal(replay_check(&w, jumps[i]), FRAME_OK);
        replay_update(&w, jumps[i]);
        assert_int_equal(replay_check(&w, jumps[i]), FRAME_REPLAY);
        assert_int_equal(replay_check(&w, jumps[i] - REPLAY_WINDOW_BITS), FRAME_SEQ_OLD);
    }
    assert_int_equal(replay_check(&w, UINT64_MAX - 1023), FRAME_OK);
}

static void test_old_seq_is_refused(void **state)
{
    (void)state;
    static uint8_t early[2048];
    struct frame_address address = to_endpoint(&alice, at("bob", 0));
    size_t early_length = seal(&alice, &address, early, 10);
    alice.signer.seq += REPLAY_WINDOW_BITS - 1;
    size_t length = seal(&alice, &address, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, alice_to_bob(), NOW_MS), FRAME_OK);
    assert_int_equal(open_by(&bob, early, early_length, alice_to_bob(), NOW_MS), FRAME_SEQ_OLD);
}

static void test_chain_is_asked_for_and_dropped(void **state)
{
    (void)state;
    struct route ab = alice_to_bob(), ba = {at("bob", 0), at("alice", 0)};
    struct endpoint to_bob = ab.destination, to_alice = ba.destination;
    struct frame_address a = to_endpoint(&alice, to_bob);
    assert_true(a.with_chain);
    a.with_chain = false; /* as if bob had forgotten us */
    size_t length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_UNKNOWN_KEY);
    assert_int_equal(peers_stats(bob.peers)->peer_count, 0);

    /* bob asks, with his own chain; alice now knows bob, and still sends hers. */
    length = peers_ask_chain(bob.peers, &bob.signer, &to_alice, NOW_MS, other);
    assert_int_equal(open_by(&alice, other, length, ba, NOW_MS), FRAME_OK);
    a = to_endpoint(&alice, to_bob);
    assert_true(a.with_chain);
    assert_int_equal(a.known_kid, bob.signer.key.key.kid);
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_OK);

    /* bob has heard that alice knows him: no chain from bob; then none from alice. */
    struct frame_address b = to_endpoint(&bob, to_alice);
    assert_false(b.with_chain);
    length = seal(&bob, &b, other, 10);
    assert_int_equal(open_by(&alice, other, length, ba, NOW_MS), FRAME_OK);
    assert_false(peers_needs_chain(alice.peers, &alice.signer, &to_bob));
    a = to_endpoint(&alice, to_bob);
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_OK);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_OK], 1);

    /* WANT_CHAIN brings it back; so does a renewal of our own key. */
    length = peers_ask_chain(bob.peers, &bob.signer, &to_alice, NOW_MS, other);
    assert_int_equal(open_by(&alice, other, length, ba, NOW_MS), FRAME_OK);
    assert_true(peers_needs_chain(alice.peers, &alice.signer, &to_bob));
    assert_false(frame_signer_is_due(&bob.signer, NOW_MS));
    assert_true(frame_signer_is_due(&bob.signer, NOW_MS + DAY_MS / 2));
    assert_false(peers_needs_chain(bob.peers, &bob.signer, &to_alice));
    assert_int_equal(frame_signer_start(&bob.signer, &bob.id, 0, NULL, 0, NOW_MS), CERT_OK);
    assert_true(peers_needs_chain(bob.peers, &bob.signer, &to_alice));
}

static void test_restart_replaces_the_session(void **state)
{
    (void)state;
    static uint8_t old_chain[2048], old_plain[2048];
    struct route ab = alice_to_bob();
    struct frame_address a = to_endpoint(&alice, at("bob", 0));
    size_t chain_length = seal(&alice, &a, old_chain, 10);
    assert_int_equal(open_by(&bob, old_chain, chain_length, ab, NOW_MS), FRAME_OK);
    chain_length = seal(&alice, &a, old_chain, 10);
    a.with_chain = false;
    size_t plain_length = seal(&alice, &a, old_plain, 10);

    /* A second session under the same key is no session. */
    struct frame_signer twin = alice.signer;
    twin.session ^= 1;
    struct frame_builder b;
    frame_begin(&b, frame);
    size_t length = frame_seal(&b, &twin, &alice.id, &a);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_OLD_SESSION);

    struct frame_signer next = {0};
    assert_int_equal(frame_signer_start(&next, &alice.id, 0, NULL, 0, NOW_MS + 1), CERT_OK);
    alice.signer = next;
    a.with_chain = true;
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_OK); /* seq 1 again */
    assert_int_equal(peers_stats(bob.peers)->peer_count, 1);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_REPLAY);
    uint64_t spent = peers_stats(bob.peers)->signatures;
    assert_int_equal(open_by(&bob, old_chain, chain_length, ab, NOW_MS), FRAME_OLD_SESSION);
    assert_int_equal(open_by(&bob, old_plain, plain_length, ab, NOW_MS), FRAME_UNKNOWN_KEY);
    assert_int_equal(open_by(&bob, old_chain, chain_length, ab, NOW_MS), FRAME_OLD_SESSION);
    assert_int_equal(peers_stats(bob.peers)->signatures, spent); /* cheap to refuse */

    /* A certificate issued later beats every session of the earlier one, whatever its clock said.
     */
    identity_make(&alice.id, "alice", ROLE_CLUSTER, 6);
    assert_int_equal(frame_signer_start(&next, &alice.id, 0, NULL, 0, NOW_MS - 5000), CERT_OK);
    alice.signer = next;
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_OK);
}

static void test_bad_chains(void **state)
{
    (void)state;
    struct route ab = alice_to_bob();
    struct frame_address a = to_endpoint(&alice, at("bob", 0));
    struct cert wide;
    assert_int_equal(cert_decode(alice.signer.key.cert_bytes, &wide), CERT_OK);
    struct cert process = alice.id.cert;

    struct cert bad = wide; /* signed properly by alice, but too much */
    bad.scope[0].last = unit_agent(9, 10, 31);
    cert_seal(&bad, alice.id.key.secret, alice.signer.key.cert_bytes);
    size_t length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_CHAIN_INVALID);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_SCOPE_WIDENED], 1);

    bad = wide;
    bad.roles |= ROLE_ORCHESTRATOR;
    cert_seal(&bad, alice.id.key.secret, alice.signer.key.cert_bytes);
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_CHAIN_INVALID);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_ROLE_WIDENED], 1);

    bad = wide; /* right in everything but its signer */
    cert_seal(&bad, bob.id.key.secret, alice.signer.key.cert_bytes);
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_CHAIN_INVALID);
    cert_seal(&wide, alice.id.key.secret, alice.signer.key.cert_bytes);
    cert_seal(&process, bob.id.key.secret, alice.id.cert_bytes);
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_CHAIN_INVALID);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_BAD_SIGNATURE], 2);
    cert_seal(&process, issuer.secret, alice.id.cert_bytes);

    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS + 2 * DAY_MS), FRAME_CHAIN_INVALID);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_EXPIRED], 1);
    frame[120 + 12 + 1] ^= 1; /* in the chain's magic */
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_CHAIN_INVALID);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_SHAPE], 1);
    assert_int_equal(peers_stats(bob.peers)->peer_count, 0);
    /* A good chain, and a frame signed by another key. */
    length = seal(&alice, &a, frame, 10);
    sign_alone(frame, length, bob.signer.key.key.secret);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_SIGNATURE);
    assert_int_equal(peers_stats(bob.peers)->peer_count, 0);
}

/* A process that is known and accepted writes itself a better certificate for the same key: what is
 * remembered of the good one must not help. */
static void test_known_process_cannot_widen_itself(void **state)
{
    (void)state;
    struct route ab = alice_to_bob();
    struct frame_address a = to_endpoint(&alice, at("bob", 0));
    size_t length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_OK);
    struct cert process = alice.id.cert;
    process.roles |= ROLE_ORCHESTRATOR;
    process.scope[0] = (struct unit_range){unit_orchestrator(), unit_orchestrator()};
    cert_seal(&process, alice.id.key.secret, alice.id.cert_bytes);
    alice.id.cert = process;
    assert_int_equal(frame_signer_start(&alice.signer, &alice.id, 0, NULL, 0, NOW_MS + 1), CERT_OK);
    a.with_chain = true;
    length = seal(&alice, &a, frame, 10);
    assert_int_equal(open_by(&bob, frame, length, ab, NOW_MS), FRAME_CHAIN_INVALID);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_BAD_SIGNATURE], 1);
    assert_false(peers_find(bob.peers, &ab.source)->roles & ROLE_ORCHESTRATOR);
}

static void test_sim_only_where_allowed(void **state)
{
    (void)state;
    struct process sim;
    process_make(&sim, "sim", ROLE_SIM | ROLE_HOST, 0);
    struct frame_address a = to_endpoint(&sim, at("bob", 0));
    size_t length = seal(&sim, &a, frame, 10);
    struct route s = {at("sim", 0), at("bob", 0)};
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_ROLE);
    struct peers_config config = {.identity = &bob.id, .port_count = 1, .accept_sim = true};
    peers_free(bob.peers);
    bob.peers = peers_new(&config);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_OK);
    peers_free(sim.peers);
}

static void port_frame(struct process *from, uint16_t port, int64_t now_ms, size_t *ret_length)
{
    struct frame_signer signer = {0};
    struct frame_builder b;
    struct frame_address a = to_endpoint(from, at("bob", 0));
    a.issued_ms = now_ms;
    a.with_chain = true;
    assert_int_equal(frame_signer_start(&signer, &from->id, port, NULL, 0, now_ms), CERT_OK);
    frame_begin(&b, frame);
    *ret_length = frame_seal(&b, &signer, &from->id, &a);
}

static void test_peer_table_is_bounded(void **state)
{
    (void)state;
    peers_free(bob.peers);
    struct peers_config config = {.identity = &bob.id, .port_count = 4, .peers_max = 20};
    bob.peers = peers_new(&config);
    size_t length;
    for (uint16_t port = 0; port < 20; port++) {
        port_frame(&alice, port, NOW_MS, &length);
        struct route s = {at("alice", port), at("bob", 0)};
        assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_OK);
    }
    /* One process certificate, twenty sessions: 20 frames + 20 sessions + 1. */
    assert_int_equal(peers_stats(bob.peers)->signatures, 41);
    struct route s = {at("alice", 20), at("bob", 0)};
    port_frame(&alice, 20, NOW_MS, &length);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_PEERS_FULL);
    /* A known port may renew; a day later the expired ones make room. */
    struct route known = {at("alice", 3), at("bob", 0)};
    port_frame(&alice, 3, NOW_MS + 1, &length);
    assert_int_equal(open_by(&bob, frame, length, known, NOW_MS + 1), FRAME_OK);
    port_frame(&alice, 20, NOW_MS + DAY_MS, &length);
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS + DAY_MS), FRAME_OK);
    assert_int_equal(peers_stats(bob.peers)->peer_count, 1);
    /* Contacts: 32 at this size; forgetting them costs a chain each and nothing else. */
    assert_int_equal(peers_stats(bob.peers)->contacts_forgotten, 0);
    for (uint16_t port = 21; port < 35; port++) {
        port_frame(&alice, port, NOW_MS + DAY_MS, &length);
        s.source.port = port;
        assert_int_equal(open_by(&bob, frame, length, s, NOW_MS + DAY_MS), FRAME_OK);
    }
    assert_int_equal(peers_stats(bob.peers)->contacts_forgotten, 1);
}

/* Frames overtake each other between the checks: the commit decides. */
/* A flood under alice's own subject, naming carol in its header: alice is silenced, carol is not.
 */
static void test_bad_frames_count_against_their_sender(void **state)
{
    (void)state;
    static struct process carol;
    process_make(&carol, "carol", ROLE_CLUSTER, 0);
    peers_free(bob.peers);
    struct peers_config config = {
        .identity = &bob.id, .port_count = 4, .start_ms = NOW_MS - 60000, .bad_per_s = 10};
    bob.peers = peers_new(&config);
    assert_non_null(bob.peers);
    struct frame_address to = to_endpoint(&carol, at("bob", 0));
    size_t length = seal(&carol, &to, frame, 40);
    for (int i = 0; i < 30; i++)
        assert_int_equal(open_by(&bob, frame, length, alice_to_bob(), NOW_MS), FRAME_SOURCE);
    struct frame_address own = to_endpoint(&alice, at("bob", 0));
    size_t own_length = seal(&alice, &own, other, 40);
    assert_int_equal(open_by(&bob, other, own_length, alice_to_bob(), NOW_MS), FRAME_RATE);
    struct route s = {at("carol", 0), at("bob", 0)};
    assert_int_equal(open_by(&bob, frame, length, s, NOW_MS), FRAME_OK);
    assert_int_equal(open_by(&bob, other, own_length, alice_to_bob(), NOW_MS + 3000), FRAME_OK);
    peers_free(carol.peers);
}

static void test_three_parts_interleaved(void **state)
{
    (void)state;
    static uint8_t bytes[4][2048];
    size_t length[4];
    struct frame_job job[4];
    const struct peer *peer;
    struct route ab = alice_to_bob();
    struct frame_address a = to_endpoint(&alice, at("bob", 0));
    for (int i = 0; i < 2; i++)
        length[i] = seal(&alice, &a, bytes[i], 10);
    struct frame_signer next = {0};
    assert_int_equal(frame_signer_start(&next, &alice.id, 0, NULL, 0, NOW_MS + 1), CERT_OK);
    alice.signer = next;
    length[2] = seal(&alice, &a, bytes[2], 10);
    memcpy(bytes[3], bytes[1], length[1]);
    length[3] = length[1];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(frame_check(bob.peers, bytes[i], length[i], &ab, NOW_MS, &job[i]),
                         FRAME_OK);
        assert_true(job[i].new_key);
        frame_verify(&job[i], NULL);
    }
    assert_int_equal(frame_accept(bob.peers, &job[0], NOW_MS, &peer), FRAME_OK);
    assert_int_equal(frame_accept(bob.peers, &job[1], NOW_MS, &peer), FRAME_OK);
    assert_int_equal(frame_accept(bob.peers, &job[3], NOW_MS, &peer), FRAME_REPLAY);
    assert_int_equal(frame_accept(bob.peers, &job[2], NOW_MS, &peer), FRAME_OK);
    assert_int_equal(frame_accept(bob.peers, &job[1], NOW_MS, &peer), FRAME_OLD_SESSION);
    assert_int_equal(peers_stats(bob.peers)->peer_count, 1);
    assert_int_equal(peers_stats(bob.peers)->chains[CERT_OK], 2);
}

static void test_every_reason_was_reached(void **state)
{
    (void)state;
    for (int i = 0; i < FRAME_VERDICT_COUNT; i++) {
        if (!reached[i])
            fail_msg("no test has reached the verdict %s",
                     frame_verdict_name((enum frame_verdict)i));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(frame_verdict_name((enum frame_verdict)i),
                                    frame_verdict_name((enum frame_verdict)j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_builder_says_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shape_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_subject_and_destination, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_byte_and_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_mutations, setup, teardown),
        cmocka_unit_test(test_replay_window),
        cmocka_unit_test_setup_teardown(test_old_seq_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain_is_asked_for_and_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_replaces_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_chains, setup, teardown),
        cmocka_unit_test_setup_teardown(test_known_process_cannot_widen_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sim_only_where_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_table_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_three_parts_interleaved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_frames_count_against_their_sender, setup,
                                        teardown),
        cmocka_unit_test(test_every_reason_was_reached),
    };
    if (keys_start() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
