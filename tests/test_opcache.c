/* The operation cache: sealing and verifying, every reason to refuse, bounds, expiry. */
#include "tiers/runner/opcache.h"

#include "tests/support/identities.h"
#include "tiers/runner/frame.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct key_pair issuer;
static struct topology topology;
static struct codec codec = {.topology = &topology};
static struct identity orch, sector, host, stranger;
static struct frame_signer orch_signer, sector_signer, host_signer, stranger_signer;
static struct opcache *author, *reader;
static struct arena arena;
static void *arena_bytes;
static int64_t now_us;

static void signer(struct frame_signer *s, const struct identity *id)
{
    assert_int_equal(frame_signer_start(s, id, 0, NULL, 0, clock_unix_us() / US_PER_MS), CERT_OK);
}

static int setup(void **state)
{
    (void)state;
    struct key_pair other;
    const struct unit_range root = {unit_orchestrator(), unit_orchestrator()};
    const struct unit_range one = {unit_sector(1), unit_sector(1)};
    const struct unit_range agents = {unit_agent(1, 1, 1), unit_agent(2, 2, 6)};
    topology_default(24, &topology);
    topology.sectors = 2;
    topology.clusters_per_sector = 2;
    topology.agents_per_cluster = 6;
    now_us = clock_unix_us();
    key_pair_make(&issuer);
    key_pair_make(&other);
    identity_make(&issuer, "orch", ROLE_ORCHESTRATOR, &root, 1, &orch);
    identity_make(&issuer, "sector", ROLE_SECTOR, &one, 1, &sector);
    identity_make(&issuer, "host", ROLE_HOST, &agents, 1, &host);
    identity_make(&other, "orch", ROLE_ORCHESTRATOR, &root, 1, &stranger);
    signer(&orch_signer, &orch);
    signer(&sector_signer, &sector);
    signer(&host_signer, &host);
    signer(&stranger_signer, &stranger);
    struct opcache_conf conf = {.codec = &codec, .identity = &orch};
    author = opcache_new(&conf);
    conf.identity = &host;
    conf.bytes_max = 200000;
    reader = opcache_new(&conf);
    arena_bytes = aligned_alloc(ARENA_ALIGN, CODEC_ARENA_BYTES);
    assert_true(author != NULL && reader != NULL && arena_bytes != NULL);
    arena_init(&arena, arena_bytes, CODEC_ARENA_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    opcache_free(author);
    opcache_free(reader);
    free(arena_bytes);
    return 0;
}

static struct operation operation(uint8_t id, const char *payload)
{
    struct operation op = {.source = unit_orchestrator(),
                           .routing = ROUTING_SCATTER_GATHER,
                           .verb = VERB_ACT,
                           .trinary_expectation = 1,
                           .created_mesh_us = now_us,
                           .ttl_us = 30 * US_PER_S,
                           .timeout_us = 5 * US_PER_S,
                           .window_us = 500000,
                           .minimum_response_rate = 0.95,
                           .action = "echo",
                           .payload = (const uint8_t *)payload,
                           .payload_bytes = (uint32_t)strlen(payload)};
    op.id.bytes[0] = 1;
    op.id.bytes[15] = id;
    op.correlation_id = op.id;
    return op;
}

/* Seals as `id` would, in a cache of its own; a copy of the bytes. */
static uint8_t *sealed_by(const struct identity *id, const struct frame_signer *s,
                          const struct operation *op, size_t *ret_bytes)
{
    struct opcache_conf conf = {.codec = &codec, .identity = id};
    struct opcache *c = opcache_new(&conf);
    assert_int_equal(opcache_seal(c, op, &s->key, now_us), OPCACHE_OK);
    const struct opcache_entry *e = opcache_get(c, op->id);
    uint8_t *copy = malloc(e->sealed_bytes);
    assert_non_null(copy);
    memcpy(copy, e->sealed, e->sealed_bytes);
    *ret_bytes = e->sealed_bytes;
    opcache_free(c);
    return copy;
}

static enum opcache_verdict offer(const uint8_t *bytes, size_t length)
{
    return opcache_accept(reader, bytes, length, now_us, &arena);
}

static void sealed_operations_pass(void **state)
{
    (void)state;
    struct operation op = operation(1, "hello");
    assert_int_equal(opcache_seal(author, &op, &orch_signer.key, now_us), OPCACHE_OK);
    assert_int_equal(opcache_seal(author, &op, &orch_signer.key, now_us), OPCACHE_KNOWN);
    const struct opcache_entry *e = opcache_get(author, op.id);
    assert_non_null(e);
    assert_int_equal(offer(e->sealed, e->sealed_bytes), OPCACHE_OK);
    const struct opcache_entry *got = opcache_get(reader, op.id);
    assert_non_null(got);
    assert_string_equal(got->operation.action, "echo");
    assert_int_equal(got->operation.payload_bytes, 5);
    assert_memory_equal(got->operation.payload, "hello", 5);
    uint64_t verified = opcache_stats(reader)->verified;
    assert_int_equal(offer(e->sealed, e->sealed_bytes), OPCACHE_KNOWN);
    assert_int_equal(opcache_stats(reader)->verified, verified); /* not again */
    op = operation(2, "more");
    assert_int_equal(opcache_seal(author, &op, &orch_signer.key, now_us), OPCACHE_OK);
    e = opcache_get(author, op.id);
    assert_int_equal(offer(e->sealed, e->sealed_bytes), OPCACHE_OK);
    assert_int_equal(opcache_stats(reader)->verified, verified + 1); /* the chain is remembered */
}

static void every_changed_byte_is_refused(void **state)
{
    (void)state;
    size_t length;
    struct operation op = operation(3, "payload");
    uint8_t *bytes = sealed_by(&orch, &orch_signer, &op, &length);
    for (size_t i = 0; i < length; i++) {
        bytes[i] ^= 0x40;
        enum opcache_verdict v = offer(bytes, length);
        assert_true(v != OPCACHE_OK && v != OPCACHE_KNOWN);
        bytes[i] ^= 0x40;
    }
    for (size_t cut = 0; cut < length; cut += 7) {
        assert_int_not_equal(offer(bytes, cut), OPCACHE_OK);
    }
    assert_int_equal(opcache_stats(reader)->entries, 0);
    assert_int_equal(offer(bytes, length), OPCACHE_OK);
    free(bytes);
}

static void one_id_has_one_operation(void **state)
{
    (void)state;
    size_t length, other_length;
    struct operation op = operation(4, "first"), other = operation(4, "other");
    uint8_t *bytes = sealed_by(&orch, &orch_signer, &op, &length);
    uint8_t *others = sealed_by(&orch, &orch_signer, &other, &other_length);
    assert_int_equal(offer(bytes, length), OPCACHE_OK);
    assert_int_equal(offer(others, other_length), OPCACHE_OTHER);
    assert_memory_equal(opcache_get(reader, op.id)->operation.payload, "first", 5);
    assert_int_equal(opcache_stats(reader)->verdicts[OPCACHE_OTHER], 1);
    free(bytes);
    free(others);
}

static void renewed_sessions_say_the_same(void **state)
{
    (void)state;
    size_t length, again_length;
    struct frame_signer renewed;
    struct operation op = operation(5, "same");
    signer(&renewed, &orch);
    uint8_t *bytes = sealed_by(&orch, &orch_signer, &op, &length);
    uint8_t *again = sealed_by(&orch, &renewed, &op, &again_length);
    assert_int_equal(offer(bytes, length), OPCACHE_OK);
    assert_int_equal(offer(again, again_length), OPCACHE_KNOWN);
    free(bytes);
    free(again);
}

static enum opcache_verdict as(const struct identity *id, const struct frame_signer *s,
                               const struct operation *op)
{
    size_t length;
    uint8_t *bytes = sealed_by(id, s, op, &length);
    enum opcache_verdict v = offer(bytes, length);
    free(bytes);
    return v;
}

static void authors_keep_to_their_scope(void **state)
{
    (void)state;
    size_t at;
    const char *why;
    struct operation op = operation(6, "x");
    assert_int_equal(as(&stranger, &stranger_signer, &op), OPCACHE_CHAIN);
    assert_int_equal(as(&host, &host_signer, &op), OPCACHE_AUTHOR);
    op.source = unit_agent(1, 1, 1);
    assert_int_equal(as(&host, &host_signer, &op), OPCACHE_AUTHOR);
    op.source = unit_sector(1);
    assert_int_equal(as(&sector, &sector_signer, &op), OPCACHE_AUTHOR); /* the whole mesh */
    assert_true(place_parse("s01,s02.c1", 10, &topology, &op.selector.places, &at, &why));
    assert_int_equal(as(&sector, &sector_signer, &op), OPCACHE_AUTHOR); /* s02 is not its own */
    assert_true(place_parse("s01.c2", 6, &topology, &op.selector.places, &at, &why));
    assert_int_equal(as(&sector, &sector_signer, &op), OPCACHE_OK);
    op = operation(7, "x");
    op.source = unit_sector(2);
    assert_int_equal(as(&sector, &sector_signer, &op), OPCACHE_AUTHOR);
}

static void times_are_checked(void **state)
{
    (void)state;
    struct operation op = operation(8, "x");
    op.created_mesh_us = now_us + 60 * US_PER_S;
    assert_int_equal(as(&orch, &orch_signer, &op), OPCACHE_FUTURE);
    size_t length;
    op = operation(9, "x");
    uint8_t *bytes = sealed_by(&orch, &orch_signer, &op, &length);
    int64_t later = now_us + op.ttl_us + OPCACHE_SKEW_US + 1;
    assert_int_equal(opcache_accept(reader, bytes, length, later, &arena), OPCACHE_EXPIRED);
    op = operation(10, "x");
    op.created_mesh_us = now_us - 60 * US_PER_S;
    assert_int_equal(opcache_seal(author, &op, &orch_signer.key, now_us), OPCACHE_EXPIRED);
    free(bytes);
}

static void entries_expire_and_the_budget_holds(void **state)
{
    (void)state;
    static char payload[20001];
    memset(payload, 'p', 20000);
    uint32_t kept = 0;
    enum opcache_verdict v = OPCACHE_OK;
    for (uint8_t i = 20; i < 60 && v == OPCACHE_OK; i++) {
        struct operation op = operation(i, payload);
        v = as(&orch, &orch_signer, &op);
        kept += v == OPCACHE_OK ? 1 : 0;
    }
    assert_int_equal(v, OPCACHE_FULL);
    assert_true(kept >= 3 && kept <= 9);
    assert_true(opcache_stats(reader)->bytes <= 200000);
    opcache_expire(reader, now_us + 30 * US_PER_S);
    assert_int_equal(opcache_stats(reader)->entries, kept); /* within the grace */
    opcache_expire(reader, now_us + 30 * US_PER_S + OPCACHE_GRACE_US + 1);
    assert_int_equal(opcache_stats(reader)->entries, 0);
    assert_int_equal(opcache_stats(reader)->bytes, 0);
    struct operation op = operation(20, payload);
    assert_int_equal(as(&orch, &orch_signer, &op), OPCACHE_OK);
}

static void payloads_come_by_reference(void **state)
{
    (void)state;
    struct operation first = operation(70, "shared bytes"), next = operation(71, "");
    assert_int_equal(opcache_seal(author, &first, &orch_signer.key, now_us), OPCACHE_OK);
    next.payload_of = first.id;
    assert_int_equal(opcache_seal(author, &next, &orch_signer.key, now_us), OPCACHE_OK);
    const struct opcache_entry *e = opcache_get(author, next.id);
    assert_int_equal(e->operation.payload_bytes, 12);
    assert_int_equal(offer(e->sealed, e->sealed_bytes), OPCACHE_OK);
    next = operation(72, "");
    next.payload_of = operation(99, "").id;
    assert_int_equal(opcache_seal(author, &next, &orch_signer.key, now_us), OPCACHE_NO_PAYLOAD);
}

static void messages_of_agents_are_held(void **state)
{
    (void)state;
    struct operation op = operation(80, "relay"), other = operation(80, "relax");
    assert_int_equal(opcache_hold(reader, &op, now_us), OPCACHE_OK);
    assert_int_equal(opcache_hold(reader, &op, now_us), OPCACHE_KNOWN);
    assert_int_equal(opcache_hold(reader, &other, now_us), OPCACHE_OTHER);
    assert_int_equal(opcache_get(reader, op.id)->sealed_bytes, 0);
    op = operation(81, "old");
    op.created_mesh_us -= 100 * US_PER_S;
    assert_int_equal(opcache_hold(reader, &op, now_us), OPCACHE_EXPIRED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    if (keys_start() < 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        TEST(sealed_operations_pass),
        TEST(every_changed_byte_is_refused),
        TEST(one_id_has_one_operation),
        TEST(renewed_sessions_say_the_same),
        TEST(authors_keep_to_their_scope),
        TEST(times_are_checked),
        TEST(entries_expire_and_the_budget_holds),
        TEST(payloads_come_by_reference),
        TEST(messages_of_agents_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
