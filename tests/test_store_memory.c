/* The store in memory beyond the conformance suite: its budget, that it is deterministic, and that
 * it gives the same replies as Redis to a long random sequence of operations (the simulator's
 * results are worth what this equality is worth). */
#include "registry/memory.h"
#include "tests/support/redis_bench.h"
#include "tests/support/redis_server.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 11;
}

#define PICK(table) table[random_next(seed) % (sizeof table / sizeof table[0])]

/* A random operation over few names, so that operations meet. Times are long: nothing expires. */
static struct store_op random_op(uint64_t *seed, struct store_field *fields)
{
    static const char *const keys[] = {"a", "b", "c", "agent:1", "agent:2"};
    static const char *const sets[] = {"all", "some", NULL};
    static const char *const ids[] = {"j1", "j2", "j3", "j4", "j5", "j6", "j7", "j8"};
    static const char *const owners[] = {"w1", "w2"};
    static const char *const names[] = {"f1", "f2", "f3", "f4", "f5", "f6"};
    static const char *const values[] = {"", "1", "0.25", "a longer value with spaces in it"};
    static const double scores[] = {0, 1, 2.5, -3, 1000, 0.1};
    static uint8_t body[STORE_BLOB_CHUNK_MAX];
    struct store_op op = {
        .kind = (enum store_kind)(1 + random_next(seed) % STORE_BLOB_GET),
        .shard = "random",
        .key = PICK(keys),
        .collection = PICK(sets),
        .id = PICK(ids),
        .owner = PICK(owners),
        .fields = fields,
        .field_count = 1 + (uint32_t)(random_next(seed) % 4),
        .limit = 1 + (uint32_t)(random_next(seed) % 6),
        .cursor = random_next(seed) % 3,
        .epoch = 1 + random_next(seed) % 6,
        .attempt = 1 + (uint32_t)(random_next(seed) % 3),
        .score = PICK(scores),
        .ttl_us = 3600 * (int64_t)US_PER_S,
        .body = body,
    };
    for (uint32_t i = 0; i < op.field_count; i++) {
        const char *value = PICK(values);
        fields[i] = (struct store_field){PICK(names), value, (uint32_t)strlen(value)};
    }
    static struct store_row rows[3];
    op.rows = rows;
    op.row_count = 1 + (uint32_t)(random_next(seed) % 3);
    for (uint32_t i = 0; i < op.row_count; i++)
        rows[i] = (struct store_row){.key = PICK(keys),
                                     .fields = fields,
                                     .field_count = (uint32_t)(random_next(seed) % 3),
                                     .score = PICK(scores)};
    op.hash[0] = (uint8_t)(random_next(seed) % 4);
    op.offset = random_next(seed) % 2 * STORE_BLOB_CHUNK_MAX;
    op.total_bytes = STORE_BLOB_CHUNK_MAX + 7;
    op.body_bytes = (uint32_t)(random_next(seed) % 200);
    if (op.kind == STORE_BLOB_PUT)
        op.body_bytes = op.offset ? 7 : STORE_BLOB_CHUNK_MAX;
    return op;
}

static void print_row(char *text, size_t room, const struct store_row *row)
{
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, room - used, " [%s %g #%u %u bytes",
                             row->key ? row->key : "", row->score, row->attempt, row->body_bytes);
    for (uint32_t i = 0; i < row->field_count; i++)
        used += (size_t)snprintf(text + used, room - used, " %s=%.*s", row->fields[i].name,
                                 (int)row->fields[i].value_bytes, row->fields[i].value);
    snprintf(text + used, room - used, "]");
}

/* A reply as text, without what may differ: times and the words of details. */
static void print_reply(char *text, size_t room, const struct store_reply *reply)
{
    snprintf(text, room, "%s %s epoch %llu cursor %llu total %llu body %u",
             store_kind_name(reply->kind), store_verdict_name(reply->verdict),
             (unsigned long long)reply->epoch, (unsigned long long)reply->cursor,
             (unsigned long long)reply->total_bytes, reply->body_bytes);
    for (uint32_t i = 0; i < reply->row_count; i++)
        print_row(text, room, &reply->rows[i]);
}

static void redis_and_memory_agree(void **state)
{
    (void)state;
    static char in_memory[65536], on_redis[65536];
    struct redis_server server;
    struct store_field fields[4];
    uint64_t seed = 20261121;
    unsigned verdicts[STORE_KIND_COUNT][STORE_VERDICT_COUNT] = {{0}};
    redis_server_reserve(&server);
    redis_server_start(&server);
    struct redis_store_conf conf = {.registry_url = server.url};
    struct redis_bench *bench = bench_new(&conf);
    struct memory_store *memory = memory_store_new(16u << 20);
    assert_true(bench_until_up(bench, true));
    for (int i = 0; i < 6000; i++) {
        struct store_op op = random_op(&seed, fields);
        struct store_reply reply;
        memory_store_apply(memory, US_PER_S, &op, &reply);
        print_reply(in_memory, sizeof in_memory, &reply);
        print_reply(on_redis, sizeof on_redis, bench_apply(bench, &op));
        if (strcmp(in_memory, on_redis) != 0)
            fprintf(stderr, "operation %d\n", i);
        assert_string_equal(in_memory, on_redis);
        verdicts[reply.kind][reply.verdict]++;
    }
    for (int kind = 1; kind <= STORE_BLOB_GET; kind++) /* logs: test_log.c */
        assert_true(verdicts[kind][STORE_OK] > 0);     /* the sequence has reached every kind */
    assert_true(verdicts[STORE_EPOCH_PUT][STORE_FENCED] > 0);
    assert_true(verdicts[STORE_EPOCH_PUTS][STORE_FENCED] > 0);
    assert_true(verdicts[STORE_LEASE_ACQUIRE][STORE_BUSY] > 0);
    assert_true(verdicts[STORE_ENQUEUE][STORE_FULL] > 0);
    assert_true(verdicts[STORE_FINISH][STORE_FENCED] > 0);
    memory_store_free(memory);
    bench_free(bench);
    redis_server_remove(&server);
}

static uint64_t digest_of_run(uint64_t seed, uint64_t budget)
{
    static char text[65536];
    struct store_field fields[4];
    struct memory_store *memory = memory_store_new(budget);
    uint64_t digest = 1469598103934665603u;
    for (int i = 0; i < 5000; i++) {
        struct store_op op = random_op(&seed, fields);
        struct store_reply reply;
        op.ttl_us = 1 + (int64_t)(random_next(&seed) % 1000);
        memory_store_apply(memory, i * 100, &op, &reply);
        print_reply(text, sizeof text, &reply);
        for (const char *c = text; *c; c++)
            digest = (digest ^ (unsigned char)*c) * 1099511628211u;
        assert_true(memory_store_used(memory) <= budget + 16384);
    }
    memory_store_free(memory);
    return digest;
}

static void the_same_seed_gives_the_same_replies(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 5; seed++) {
        assert_int_equal(digest_of_run(seed, 16u << 20), digest_of_run(seed, 16u << 20));
        /* A budget that runs out at many different places. */
        assert_int_equal(digest_of_run(seed, seed * 5000), digest_of_run(seed, seed * 5000));
    }
    assert_int_not_equal(digest_of_run(1, 16u << 20), digest_of_run(2, 16u << 20));
}

static enum store_verdict apply(struct memory_store *memory, struct store_op op)
{
    struct store_reply reply;
    op.shard = "s";
    memory_store_apply(memory, 1, &op, &reply);
    assert_int_equal(reply.detail != NULL, reply.verdict == STORE_FULL);
    return reply.verdict;
}

static void the_budget_holds(void **state)
{
    (void)state;
    const uint64_t budget = 200000;
    struct memory_store *memory = memory_store_new(budget);
    struct store_field field = {"f", "1", 1};
    struct store_op put = {
        .kind = STORE_PUT, .fields = &field, .field_count = 1, .collection = "all"};
    struct store_op get = {.kind = STORE_GET};
    struct store_op job = {.kind = STORE_ENQUEUE,
                           .key = "q",
                           .id = "j1",
                           .limit = 9,
                           .body = (const uint8_t *)"body",
                           .body_bytes = 4};
    char key[32];
    unsigned count = 0;
    assert_int_equal(apply(memory, job), STORE_OK);
    do {
        snprintf(key, sizeof key, "k%u", count++);
        put.key = get.key = key;
    } while (apply(memory, put) == STORE_OK);
    assert_true(count > 100 && count < 2000);
    assert_true(memory_store_used(memory) <= budget);
    assert_int_equal(apply(memory, get), STORE_MISSING); /* refused means nothing changed */
    put.key = "k0";
    assert_int_equal(apply(memory, put), STORE_OK); /* what is there can be written */
    job.id = "j2";
    assert_int_equal(apply(memory, job), STORE_FULL);
    /* An admitted job goes its way without room. */
    struct store_op claim = {
        .kind = STORE_CLAIM, .key = "q", .owner = "w", .limit = 9, .ttl_us = 1000};
    struct store_op finish = {
        .kind = STORE_FINISH, .key = "q", .id = "j1", .owner = "w", .attempt = 1};
    assert_int_equal(apply(memory, claim), STORE_OK);
    assert_int_equal(apply(memory, finish), STORE_OK);
    for (unsigned i = 0; i < count - 1; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(
            apply(memory, (struct store_op){.kind = STORE_REMOVE, .key = key, .collection = "all"}),
            STORE_OK);
    }
    assert_true(memory_store_used(memory) < 3000); /* the queue and a few names */
    assert_int_equal(apply(memory, job), STORE_OK);
    memory_store_free(memory);
    memory_store_free(NULL);
}

static void old_blobs_go(void **state)
{
    (void)state;
    struct memory_store *memory = memory_store_new(1u << 20);
    struct store_op put = {.kind = STORE_BLOB_PUT,
                           .shard = "s",
                           .total_bytes = 3,
                           .body = (const uint8_t *)"abc",
                           .body_bytes = 3};
    struct store_op get = {.kind = STORE_BLOB_GET, .shard = "s"};
    struct store_reply reply;
    int64_t day_us = 86400 * (int64_t)US_PER_S;
    memory_store_apply(memory, 0, &put, &reply);
    assert_int_equal(reply.verdict, STORE_OK);
    memory_store_apply(memory, 6 * day_us, &put, &reply); /* put again: kept from now on */
    assert_int_equal(reply.verdict, STORE_EXISTS);
    memory_store_apply(memory, 12 * day_us, &get, &reply);
    assert_int_equal(reply.verdict, STORE_OK);
    memory_store_apply(memory, 14 * day_us, &get, &reply);
    assert_int_equal(reply.verdict, STORE_MISSING);
    assert_int_equal(memory_store_used(memory), 0);
    memory_store_free(memory);
}

/* An index and a record whose keys have one hash: what is fetched ahead for the one is not taken
 * for the other. The pairs were looked for. */
static void equal_hashes_are_no_equal_objects(void **state)
{
    (void)state;
    struct memory_store *memory = memory_store_new(1u << 20);
    struct store_reply reply;
    static const char long_value[] = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    struct store_field field = {"f", long_value, sizeof long_value - 1};
    struct store_row record = {.key = "record6396", .fields = &field, .field_count = 1};
    struct store_row member = {.key = "m", .score = 1.0};
    struct store_op put = {
        .kind = STORE_EPOCH_PUTS, .shard = "mesh", .epoch = 1, .rows = &record, .row_count = 1};
    struct store_op set = {.kind = STORE_INDEX_SET,
                           .shard = "mesh",
                           .key = "index104844",
                           .rows = &member,
                           .row_count = 1};
    for (unsigned i = 0; i < 3; i++) {
        memory_store_apply(memory, 1, &put, &reply);
        assert_int_equal(reply.verdict, STORE_OK);
        memory_store_apply(memory, 1, &set, &reply);
        assert_int_equal(reply.verdict, STORE_OK);
        record.key = "record29380"; /* its index is there, it is not */
        set.key = "index98009";     /* its record is there, it is not */
    }
    memory_store_free(memory);
}

/* A character at any place of a name of any length, where a name is looked at word by word. */
static void one_character_decides(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 24; bytes++) {
        for (size_t at = 0; at < bytes; at++) {
            for (int c = 1; c < 256; c++) {
                char key[32] = {0}, name[32] = {0};
                memset(key, 'K', bytes);
                memset(name, 'n', bytes);
                key[at] = (char)c;
                name[at] = (char)c;
                struct store_field field = {.name = "n", .value = "v", .value_bytes = 1};
                struct store_op op = {.kind = STORE_PUT,
                                      .shard = "s",
                                      .key = key,
                                      .fields = &field,
                                      .field_count = 1};
                bool key_good = c > 0x20 && c < 0x7f && c != '{' && c != '}';
                bool name_good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                assert_int_equal(store_op_check(&op) == NULL, key_good);
                op.key = "k";
                field.name = name;
                assert_int_equal(store_op_check(&op) == NULL, name_good);
            }
        }
    }
}

static struct store_reply append_row(struct memory_store *memory, unsigned number)
{
    char id[16];
    struct store_reply reply;
    snprintf(id, sizeof id, "r%u", number);
    struct store_field fields[] = {
        {"at_us", "1", 1}, {"event", "opened", 6}, {"subject", "x", 1}, {"agent", "s01", 3},
        {"type", "t", 1},  {"priority", "1", 1},   {"actor", "mesh", 4}};
    struct store_op op = {.kind = STORE_LOG_APPEND,
                          .shard = "log",
                          .key = "incidents",
                          .id = id,
                          .fields = fields,
                          .field_count = sizeof fields / sizeof fields[0],
                          .body = (const uint8_t *)"{}",
                          .body_bytes = 2};
    memory_store_apply(memory, US_PER_S, &op, &reply);
    return reply;
}

/* A log that keeps its newest rows alone: memory stays, numbers and the chain go on. */
static void a_log_keeps_its_newest_rows(void **state)
{
    (void)state;
    enum { KEPT = 10, ROWS = 95 };
    struct memory_store *memory = memory_store_new(1u << 20);
    struct store_reply reply;
    const char *id, *wrong;
    uint64_t used = 0;
    memory_store_log_keep(memory, KEPT);
    for (unsigned i = 1; i <= ROWS; i++) {
        reply = append_row(memory, i);
        assert_int_equal(reply.verdict, STORE_OK);
        assert_int_equal(reply.epoch, i);
        used = i == 2 * KEPT - 1 ? memory_store_used(memory) : used;
    }
    assert_true(memory_store_used(memory) <= used + 100); /* ids are longer */
    unsigned held = 0, first = 0;
    for (unsigned i = 1; i <= ROWS; i++) {
        if (memory_store_log_row(memory, "incidents", i, &id, &wrong)) {
            assert_null(wrong);
            first = held++ == 0 ? i : first;
        }
    }
    assert_in_range(held, KEPT, 2 * KEPT - 1);
    assert_int_equal(first + held - 1, ROWS);
    assert_int_equal(append_row(memory, ROWS).verdict, STORE_EXISTS);
    assert_int_equal(append_row(memory, 1).epoch, ROWS + 1); /* it is gone: a new one */
    struct store_op query = {
        .kind = STORE_LOG_QUERY, .shard = "log", .key = "incidents", .cursor = 3, .limit = 2};
    memory_store_apply(memory, US_PER_S, &query, &reply); /* from the oldest that is there */
    assert_int_equal(reply.verdict, STORE_OK);
    assert_int_equal(reply.row_count, 2);
    assert_int_equal(reply.cursor, first + 1);
    struct store_field newest = {"newest", "1", 1};
    query = (struct store_op){.kind = STORE_LOG_QUERY,
                              .shard = "log",
                              .key = "incidents",
                              .cursor = first + 2,
                              .limit = 8,
                              .fields = &newest,
                              .field_count = 1};
    memory_store_apply(memory, US_PER_S, &query, &reply);
    assert_int_equal(reply.row_count, 2);
    assert_int_equal(reply.cursor, 0);
    memory_store_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_and_memory_agree),
        cmocka_unit_test(the_same_seed_gives_the_same_replies),
        cmocka_unit_test(the_budget_holds),
        cmocka_unit_test(one_character_decides),
        cmocka_unit_test(old_blobs_go),
        cmocka_unit_test(equal_hashes_are_no_equal_objects),
        cmocka_unit_test(a_log_keeps_its_newest_rows),
    };
    return cmocka_run_group_tests_name("memory store", tests, NULL, NULL);
}
