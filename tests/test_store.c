/* The store's conformance suite: every test of `suite` runs on the store in memory and on Redis.
 *
 * Redis: MESH_TEST_REDIS_URL, or a server of the test's own. Each test works in a shard of its own,
 * so a server that is not empty does no harm. Time passes by `pass_time`: really on Redis, by a
 * number in memory; expiry is tested with margins of several times the time-out of a lease. */
#include "core/store.h"
#include "registry/keys.h"
#include "registry/memory.h"
#include "tests/support/redis_bench.h"
#include "tests/support/redis_server.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct subject {
    struct memory_store *memory; /* or */
    struct redis_bench *redis;
    int64_t now_us;
    char shard[STORE_KEY_MAX];
    unsigned shard_number;
    struct kept_reply *kept;
};

static const struct store_reply *apply(struct subject *subject, struct store_op op)
{
    static uint64_t ref;
    op.ref = ++ref;
    if (!op.shard)
        op.shard = subject->shard;
    const struct store_reply *reply;
    if (subject->redis) {
        reply = bench_apply(subject->redis, &op);
    } else {
        struct store_reply given;
        memory_store_apply(subject->memory, subject->now_us, &op, &given);
        keep_reply(subject->kept, &given);
        reply = &subject->kept->reply;
    }
    assert_int_equal(reply->ref, ref);
    assert_int_equal(reply->kind, op.kind);
    bool has_detail = reply->verdict == STORE_INVALID || reply->verdict == STORE_FULL;
    assert_int_equal(reply->detail != NULL, has_detail);
    return reply;
}

#define VERDICT(wanted, ...)                                                                       \
    assert_string_equal(                                                                           \
        store_verdict_name(apply(subject, (struct store_op){__VA_ARGS__})->verdict),               \
        store_verdict_name(wanted))

static void pass_time(struct subject *subject, int64_t us)
{
    if (subject->redis)
        usleep((useconds_t)us);
    else
        subject->now_us += us;
}

static struct store_field field(const char *name, const char *value)
{
    return (struct store_field){name, value, (uint32_t)strlen(value)};
}

#define FIELDS(...)                                                                                \
    .fields = (const struct store_field[]){__VA_ARGS__},                                           \
    .field_count = sizeof((const struct store_field[]){__VA_ARGS__}) / sizeof(struct store_field)

#define MEMBERS(...)                                                                               \
    .rows = (const struct store_row[]){__VA_ARGS__},                                               \
    .row_count = sizeof((const struct store_row[]){__VA_ARGS__}) / sizeof(struct store_row)

#define BODY(text) .body = (const uint8_t *)(text), .body_bytes = (uint32_t)strlen(text)

/* The value of a field in a row, or NULL. */
static const char *value_of(const struct store_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_count; i++)
        if (strcmp(row->fields[i].name, name) == 0)
            return row->fields[i].value;
    return NULL;
}

static int fresh_shard(void **state)
{
    struct subject *subject = *state;
    snprintf(subject->shard, sizeof subject->shard, "t%ld.%u", (long)getpid(),
             ++subject->shard_number);
    return 0;
}

static void names_and_banks(void **state)
{
    (void)state;
    for (int kind = 1; kind < STORE_KIND_COUNT; kind++) {
        assert_string_not_equal(store_kind_name((enum store_kind)kind), "unknown-kind");
        assert_true(store_bank((enum store_kind)kind) <= STORE_BANK_LOG);
        for (int other = 1; other < kind; other++)
            assert_string_not_equal(store_kind_name((enum store_kind)kind),
                                    store_kind_name((enum store_kind)other));
    }
    for (int verdict = 1; verdict < STORE_VERDICT_COUNT; verdict++)
        assert_string_not_equal(store_verdict_name((enum store_verdict)verdict), "unknown-verdict");
    assert_string_equal(store_kind_name(STORE_LEASE_ACQUIRE), "lease-acquire");
    assert_string_equal(store_verdict_name(STORE_FENCED), "fenced");
    assert_string_equal(store_kind_name((enum store_kind)0), "unknown-kind");
    assert_string_equal(store_verdict_name((enum store_verdict)99), "unknown-verdict");
    assert_int_equal(store_bank(STORE_EPOCH_PUT), STORE_BANK_REGISTRY);
    assert_int_equal(store_bank(STORE_LEASE_RENEW), STORE_BANK_DURABLE);
    assert_int_equal(store_bank(STORE_CLAIM), STORE_BANK_DURABLE);
    assert_int_equal(store_bank(STORE_BLOB_GET), STORE_BANK_BLOB);
}

static void invalid_operations(void **state)
{
    struct subject *subject = *state;
    char long_name[97], text[70];
    memset(long_name, 'k', 96);
    long_name[96] = '\0';
    memset(text, 'v', sizeof text);
    struct store_field many[41], wide = {"f", text, 65};
    for (int i = 0; i < 41; i++)
        many[i] = (struct store_field){"f", text, 1};
    VERDICT(STORE_INVALID, .kind = 0);
    VERDICT(STORE_INVALID, .kind = STORE_KIND_COUNT);
    VERDICT(STORE_INVALID, .kind = STORE_GET);
    VERDICT(STORE_INVALID, .kind = STORE_GET, .key = "");
    VERDICT(STORE_INVALID, .kind = STORE_GET, .key = long_name);
    VERDICT(STORE_MISSING, .kind = STORE_GET, .key = long_name + 1);
    VERDICT(STORE_INVALID, .kind = STORE_GET, .key = "a b");
    VERDICT(STORE_INVALID, .kind = STORE_GET, .key = "a{b");
    VERDICT(STORE_INVALID, .kind = STORE_GET, .key = "a\nb");
    VERDICT(STORE_INVALID, .kind = STORE_GET, .key = "k", .shard = "s}");
    VERDICT(STORE_INVALID, .kind = STORE_PUT, .key = "k");
    VERDICT(STORE_INVALID, .kind = STORE_PUT, .key = "k", .fields = many, .field_count = 41);
    VERDICT(STORE_INVALID, .kind = STORE_PUT, .key = "k", .fields = &wide, .field_count = 1);
    VERDICT(STORE_INVALID, .kind = STORE_PUT, .key = "k", FIELDS({"Upper", "1", 1}));
    VERDICT(STORE_INVALID, .kind = STORE_PUT, .key = "k", FIELDS({"epoch", "1", 1}));
    VERDICT(STORE_INVALID, .kind = STORE_PUT, .key = "k", FIELDS({"f", NULL, 1}));
    VERDICT(STORE_INVALID, .kind = STORE_PUT, .key = "k", FIELDS({"f", "1", 1}), .collection = "");
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUT, .key = "k", FIELDS({"f", "1", 1}));
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUT, .key = "k", .epoch = 1, .fields = many,
            .field_count = 40);
    struct store_row rows[STORE_PUTS_MAX + 1] = {{.key = "k", .fields = many, .field_count = 1}};
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUTS, .epoch = 1);
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUTS, .rows = rows, .row_count = 1);
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUTS, .epoch = 1, .rows = rows, .row_count = 2);
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUTS, .epoch = 1, .rows = rows, .row_count = 1,
            .collection = "a b");
    rows[0].field_count = 40;
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUTS, .epoch = 1, .rows = rows, .row_count = 1);
    for (unsigned i = 0; i <= STORE_PUTS_MAX; i++)
        rows[i] = (struct store_row){.key = "k"};
    VERDICT(STORE_INVALID, .kind = STORE_EPOCH_PUTS, .epoch = 1, .rows = rows,
            .row_count = STORE_PUTS_MAX + 1);
    VERDICT(STORE_INVALID, .kind = STORE_SCAN, .limit = 1);
    VERDICT(STORE_INVALID, .kind = STORE_SCAN, .collection = "c", .limit = 0);
    VERDICT(STORE_INVALID, .kind = STORE_SCAN, .collection = "c", .limit = 65);
    struct store_row many_members[STORE_ROWS_MAX + 1];
    for (unsigned i = 0; i <= STORE_ROWS_MAX; i++)
        many_members[i] = (struct store_row){.key = "m"};
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_SET, .key = "i",
            MEMBERS({.key = "m", .score = NAN}));
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_SET, .key = "i",
            MEMBERS({.key = "n"}, {.key = "m", .score = INFINITY}));
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_SET, .key = "i", MEMBERS({.key = "a b"}));
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_REMOVE, .key = "i", MEMBERS({.key = NULL}));
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_SET, MEMBERS({.key = "m"}));
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_SET, .key = "i");
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_REMOVE, .key = "i", .row_count = 1);
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_SET, .key = "i", .rows = many_members,
            .row_count = STORE_ROWS_MAX + 1);
    VERDICT(STORE_INVALID, .kind = STORE_INDEX_RANGE, .key = "i", .limit = 1, .score = NAN);
    VERDICT(STORE_INVALID, .kind = STORE_APPEND, .key = "h", FIELDS({"f", "1", 1}));
    VERDICT(STORE_INVALID, .kind = STORE_LEASE_ACQUIRE, .key = "l", .ttl_us = 1);
    VERDICT(STORE_INVALID, .kind = STORE_LEASE_ACQUIRE, .key = "l", .owner = "o");
    VERDICT(STORE_INVALID, .kind = STORE_LEASE_ACQUIRE, .key = "l", .owner = "o",
            .ttl_us = TTL_US_MAX + 1);
    VERDICT(STORE_INVALID, .kind = STORE_LEASE_RENEW, .key = "l", .owner = "o", .ttl_us = 1);
    VERDICT(STORE_INVALID, .kind = STORE_ENQUEUE, .key = "q", .id = "j", .limit = 0);
    VERDICT(STORE_INVALID, .kind = STORE_ENQUEUE, .key = "q", .id = "j", .limit = 1,
            .body_bytes = STORE_JOB_BYTES_MAX + 1, .body = (const uint8_t *)text);
    VERDICT(STORE_INVALID, .kind = STORE_FINISH, .key = "q", .id = "j", .owner = "o");
    VERDICT(STORE_INVALID, .kind = STORE_DEAD_LETTER, .key = "q", .id = "j", .owner = "o",
            .attempt = 1, .body = (const uint8_t *)text, .body_bytes = 257);
    VERDICT(STORE_INVALID, .kind = STORE_BLOB_GET, .offset = 1);
    VERDICT(STORE_INVALID, .kind = STORE_BLOB_PUT, .total_bytes = 5, BODY("four"));
    VERDICT(STORE_INVALID, .kind = STORE_BLOB_PUT, .total_bytes = STORE_BLOB_BYTES_MAX + 1);
    assert_string_equal(subject->redis ? subject->redis->last.reply.detail
                                       : subject->kept->reply.detail,
                        "total_bytes: 1 to 64 MiB");
}

static void records_merge(void **state)
{
    struct subject *subject = *state;
    char wide[65];
    memset(wide, 'w', 64);
    wide[64] = '\0';
    VERDICT(STORE_MISSING, .kind = STORE_GET, .key = "agent:01");
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "agent:01",
            FIELDS(field("agent_id", "s07.c3.a12"), field("queue", "1"), field("wide", wide)));
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "agent:01",
            FIELDS(field("queue", "25"), field("empty", ""), {"nul", "a\0b", 3}));
    const struct store_reply *reply =
        apply(subject, (struct store_op){.kind = STORE_GET, .key = "agent:01"});
    assert_int_equal(reply->verdict, STORE_OK);
    assert_int_equal(reply->row_count, 1);
    assert_int_equal(reply->rows[0].field_count, 5);
    assert_string_equal(value_of(&reply->rows[0], "agent_id"), "s07.c3.a12");
    assert_string_equal(value_of(&reply->rows[0], "queue"), "25");
    assert_string_equal(value_of(&reply->rows[0], "wide"), wide);
    assert_string_equal(value_of(&reply->rows[0], "empty"), "");
    assert_memory_equal(value_of(&reply->rows[0], "nul"), "a\0b", 3);
    VERDICT(STORE_MISSING, .kind = STORE_GET, .key = "agent:01", .shard = "elsewhere");
    VERDICT(STORE_OK, .kind = STORE_REMOVE, .key = "agent:01");
    VERDICT(STORE_MISSING, .kind = STORE_REMOVE, .key = "agent:01");
    VERDICT(STORE_MISSING, .kind = STORE_GET, .key = "agent:01");
}

static void a_record_has_forty_fields(void **state)
{
    struct subject *subject = *state;
    char names[41][16];
    struct store_field fields[41];
    for (int i = 0; i < 41; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        fields[i] = field(names[i], "1");
    }
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "k", .fields = fields, .field_count = 40);
    VERDICT(STORE_FULL, .kind = STORE_PUT, .key = "k", FIELDS(field("f1", "2"), fields[40]));
    VERDICT(STORE_FULL, .kind = STORE_EPOCH_PUT, .key = "k", .epoch = 1, FIELDS(field("f1", "2")));
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "k", FIELDS(field("f2", "3"), field("f2", "4")));
    const struct store_reply *reply =
        apply(subject, (struct store_op){.kind = STORE_GET, .key = "k"});
    assert_int_equal(reply->rows[0].field_count, 40);
    assert_string_equal(value_of(&reply->rows[0], "f1"), "1");
    assert_string_equal(value_of(&reply->rows[0], "f2"), "4");
}

/* What is there throughout a scan is returned exactly once, whatever comes and goes meanwhile. */
static void scans_miss_nothing(void **state)
{
    struct subject *subject = *state;
    char key[24];
    unsigned seen[150] = {0}, pages = 0;
    for (int i = 0; i < 150; i++) {
        snprintf(key, sizeof key, "agent:%d", i);
        VERDICT(STORE_OK, .kind = STORE_PUT, .key = key, .collection = "agents",
                FIELDS(field("n", key)));
    }
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "agent:7", .collection = "agents",
            FIELDS(field("again", "1")));
    uint64_t cursor = 0;
    do {
        const struct store_reply *reply =
            apply(subject,
                  (struct store_op){
                      .kind = STORE_SCAN, .collection = "agents", .limit = 40, .cursor = cursor});
        assert_int_equal(reply->verdict, STORE_OK);
        assert_true(reply->row_count <= 40);
        for (uint32_t i = 0; i < reply->row_count; i++) {
            assert_string_equal(value_of(&reply->rows[i], "n"), reply->rows[i].key);
            unsigned number = (unsigned)atoi(reply->rows[i].key + 6);
            if (number < 150)
                seen[number]++;
        }
        cursor = reply->cursor;
        /* One goes before the cursor, one behind it, the last one goes and another one comes. */
        snprintf(key, sizeof key, "agent:%u", pages);
        VERDICT(STORE_OK, .kind = STORE_REMOVE, .key = key, .collection = "agents");
        snprintf(key, sizeof key, "agent:%u", 149 - pages);
        VERDICT(STORE_OK, .kind = STORE_REMOVE, .key = key, .collection = "agents");
        snprintf(key, sizeof key, "agent:%u", 1000 + pages);
        VERDICT(STORE_OK, .kind = STORE_PUT, .key = key, .collection = "agents",
                FIELDS(field("n", key)));
        assert_true(++pages < 20);
    } while (cursor != 0);
    assert_true(pages >= 4);
    for (unsigned i = pages; i < 150 - pages; i++)
        assert_int_equal(seen[i], 1);
}

static void scans_of_little(void **state)
{
    struct subject *subject = *state;
    const struct store_reply *reply =
        apply(subject, (struct store_op){.kind = STORE_SCAN, .collection = "none", .limit = 64});
    assert_int_equal(reply->verdict, STORE_OK);
    assert_int_equal(reply->row_count, 0);
    assert_int_equal(reply->cursor, 0);
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "a", .collection = "c", FIELDS(field("f", "1")));
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "b", .collection = "c", FIELDS(field("f", "2")));
    /* Removed without its collection: the collection forgets it as if it had never been there. */
    VERDICT(STORE_OK, .kind = STORE_REMOVE, .key = "a");
    reply = apply(subject, (struct store_op){.kind = STORE_SCAN, .collection = "c", .limit = 64});
    assert_int_equal(reply->row_count, 1);
    assert_string_equal(reply->rows[0].key, "b");
    assert_int_equal(reply->cursor, 0);
}

static void index_expect(struct subject *subject, double score_max, uint32_t limit,
                         const char *wanted)
{
    char got[256] = "";
    const struct store_reply *reply = apply(subject, (struct store_op){.kind = STORE_INDEX_RANGE,
                                                                       .key = "capability:ocr",
                                                                       .score = score_max,
                                                                       .limit = limit});
    assert_int_equal(reply->verdict, STORE_OK);
    for (uint32_t i = 0; i < reply->row_count; i++) {
        size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s=%g ", reply->rows[i].key, reply->rows[i].score);
    }
    assert_string_equal(got, wanted);
}

static void indexes_are_ordered(void **state)
{
    struct subject *subject = *state;
    static const struct {
        const char *id;
        double score;
    } members[] = {{"d", 127.25}, {"b", 40}, {"a", 40}, {"c", -1.5}, {"e", 1000}, {"b", 41}};
    index_expect(subject, INFINITY, 64, "");
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        VERDICT(STORE_OK, .kind = STORE_INDEX_SET, .key = "capability:ocr",
                MEMBERS({.key = members[i].id, .score = members[i].score}));
    VERDICT(STORE_OK, .kind = STORE_INDEX_SET, .key = "capability:ocr",
            MEMBERS({.key = "aa", .score = 40}));
    index_expect(subject, INFINITY, 64, "c=-1.5 a=40 aa=40 b=41 d=127.25 e=1000 ");
    index_expect(subject, 127.25, 64, "c=-1.5 a=40 aa=40 b=41 d=127.25 ");
    index_expect(subject, 127.2, 3, "c=-1.5 a=40 aa=40 ");
    index_expect(subject, -2, 64, "");
    VERDICT(STORE_OK, .kind = STORE_INDEX_REMOVE, .key = "capability:ocr", MEMBERS({.key = "a"}));
    VERDICT(STORE_OK, .kind = STORE_INDEX_REMOVE, .key = "capability:ocr", MEMBERS({.key = "a"}));
    index_expect(subject, 41, 64, "c=-1.5 aa=40 b=41 ");
    /* several at once; the last word about one counts */
    VERDICT(STORE_OK, .kind = STORE_INDEX_SET, .key = "capability:ocr",
            MEMBERS({.key = "f", .score = 7}, {.key = "c", .score = 8}, {.key = "f", .score = 9}));
    index_expect(subject, 41, 64, "c=8 f=9 aa=40 b=41 ");
    VERDICT(STORE_OK, .kind = STORE_INDEX_REMOVE, .key = "capability:ocr",
            MEMBERS({.key = "f"}, {.key = "nobody"}, {.key = "c"}, {.key = "aa"}));
    index_expect(subject, INFINITY, 64, "b=41 d=127.25 e=1000 ");
    VERDICT(STORE_OK, .kind = STORE_INDEX_REMOVE, .key = "capability:ocr",
            MEMBERS({.key = "b"}, {.key = "d"}, {.key = "e"}, {.key = "b"}));
    index_expect(subject, INFINITY, 64, "");
}

static void history_is_bounded(void **state)
{
    struct subject *subject = *state;
    char number[16];
    int64_t last_us = INT64_MAX;
    VERDICT(STORE_MISSING, .kind = STORE_HISTORY, .key = "minutes", .limit = 10);
    for (int i = 0; i < 100; i++) {
        snprintf(number, sizeof number, "%d", i);
        VERDICT(STORE_OK, .kind = STORE_APPEND, .key = "minutes", .limit = 30,
                FIELDS(field("n", number), field("latency_ms", "12.5")));
        pass_time(subject, 100);
    }
    const struct store_reply *reply =
        apply(subject, (struct store_op){.kind = STORE_HISTORY, .key = "minutes", .limit = 64});
    assert_int_equal(reply->verdict, STORE_OK);
    assert_int_equal(reply->row_count, 30);
    for (uint32_t i = 0; i < 30; i++) {
        assert_null(reply->rows[i].key);
        assert_int_equal(atoi(value_of(&reply->rows[i], "n")), 99 - (int)i);
        assert_true(reply->rows[i].stamp_us > 0 && reply->rows[i].stamp_us <= last_us);
        last_us = reply->rows[i].stamp_us;
    }
    VERDICT(STORE_OK, .kind = STORE_APPEND, .key = "minutes", .limit = 2, FIELDS(field("n", "x")));
    reply = apply(subject, (struct store_op){.kind = STORE_HISTORY, .key = "minutes", .limit = 64});
    assert_int_equal(reply->row_count, 2);
    assert_string_equal(value_of(&reply->rows[0], "n"), "x");
    reply = apply(subject, (struct store_op){.kind = STORE_HISTORY, .key = "minutes", .limit = 1});
    assert_int_equal(reply->row_count, 1);
}

#define ACQUIRE(wanted_verdict, wanted_epoch, who, ttl, least)                                     \
    do {                                                                                           \
        const struct store_reply *reply_ =                                                         \
            apply(subject, (struct store_op){.kind = STORE_LEASE_ACQUIRE,                          \
                                             .key = "process",                                     \
                                             .owner = (who),                                       \
                                             .ttl_us = (ttl),                                      \
                                             .epoch = (least)});                                   \
        assert_string_equal(store_verdict_name(reply_->verdict),                                   \
                            store_verdict_name(wanted_verdict));                                   \
        assert_int_equal(reply_->epoch, wanted_epoch);                                             \
    } while (0)

static void leases_have_rising_epochs(void **state)
{
    struct subject *subject = *state;
    const int64_t long_us = 60 * (int64_t)US_PER_S;
    VERDICT(STORE_FENCED, .kind = STORE_LEASE_RENEW, .key = "process", .owner = "a", .epoch = 1,
            .ttl_us = long_us);
    ACQUIRE(STORE_OK, 1, "a", long_us, 0);
    ACQUIRE(STORE_BUSY, 1, "b", long_us, 0);
    ACQUIRE(STORE_OK, 1, "a", long_us, 0); /* again, after an unknown outcome */
    ACQUIRE(STORE_OK, 7, "a", long_us, 7);
    ACQUIRE(STORE_OK, 7, "a", long_us, 3);
    VERDICT(STORE_FENCED, .kind = STORE_LEASE_RENEW, .key = "process", .owner = "a", .epoch = 1,
            .ttl_us = long_us);
    VERDICT(STORE_FENCED, .kind = STORE_LEASE_RENEW, .key = "process", .owner = "b", .epoch = 7,
            .ttl_us = long_us);
    VERDICT(STORE_OK, .kind = STORE_LEASE_RENEW, .key = "process", .owner = "a", .epoch = 7,
            .ttl_us = long_us);
    VERDICT(STORE_FENCED, .kind = STORE_LEASE_RELEASE, .key = "process", .owner = "b", .epoch = 7);
    ACQUIRE(STORE_BUSY, 7, "b", long_us, 100);
    VERDICT(STORE_OK, .kind = STORE_LEASE_RELEASE, .key = "process", .owner = "a", .epoch = 7);
    VERDICT(STORE_OK, .kind = STORE_LEASE_RELEASE, .key = "process", .owner = "a", .epoch = 7);
    VERDICT(STORE_FENCED, .kind = STORE_LEASE_RENEW, .key = "process", .owner = "a", .epoch = 7,
            .ttl_us = long_us);
    ACQUIRE(STORE_OK, 8, "a", long_us, 0);
    VERDICT(STORE_OK, .kind = STORE_LEASE_RELEASE, .key = "process", .owner = "a", .epoch = 8);
    ACQUIRE(STORE_OK, 500, "b", long_us, 500);
}

static void leases_expire(void **state)
{
    struct subject *subject = *state;
    ACQUIRE(STORE_OK, 1, "a", 20000, 0);
    pass_time(subject, 60000);
    VERDICT(STORE_FENCED, .kind = STORE_LEASE_RENEW, .key = "process", .owner = "a", .epoch = 1,
            .ttl_us = 20000);
    ACQUIRE(STORE_OK, 2, "b", 20000, 0);
    pass_time(subject, 60000);
    /* The same owner, too: what it did before may have been undone by then. */
    ACQUIRE(STORE_OK, 3, "b", 60 * (int64_t)US_PER_S, 1);
    VERDICT(STORE_FENCED, .kind = STORE_LEASE_RELEASE, .key = "process", .owner = "b", .epoch = 2);
    ACQUIRE(STORE_BUSY, 3, "a", 20000, 0);
}

static void epoch_put_fences(void **state)
{
    struct subject *subject = *state;
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "k", FIELDS(field("f", "0")));
    VERDICT(STORE_OK, .kind = STORE_EPOCH_PUT, .key = "k", .epoch = 5, .collection = "c",
            FIELDS(field("f", "5")));
    VERDICT(STORE_OK, .kind = STORE_EPOCH_PUT, .key = "k", .epoch = 5, FIELDS(field("g", "5")));
    const struct store_reply *reply = apply(
        subject, (struct store_op){
                     .kind = STORE_EPOCH_PUT, .key = "k", .epoch = 4, FIELDS(field("f", "4"))});
    assert_int_equal(reply->verdict, STORE_FENCED);
    assert_int_equal(reply->epoch, 5);
    reply = apply(subject, (struct store_op){.kind = STORE_EPOCH_PUT,
                                             .key = "k",
                                             .epoch = UINT64_C(9007199254740991)});
    assert_int_equal(reply->verdict, STORE_OK);
    assert_int_equal(reply->epoch, UINT64_C(9007199254740991));
    VERDICT(STORE_FENCED, .kind = STORE_EPOCH_PUT, .key = "k", .epoch = UINT64_C(9007199254740990),
            FIELDS(field("f", "6")));
    VERDICT(STORE_OK, .kind = STORE_PUT, .key = "k", FIELDS(field("h", "x")));
    reply = apply(subject, (struct store_op){.kind = STORE_GET, .key = "k"});
    assert_int_equal(reply->epoch, UINT64_C(9007199254740991));
    assert_string_equal(value_of(&reply->rows[0], "epoch"), "9007199254740991");
    assert_string_equal(value_of(&reply->rows[0], "f"), "5");
    assert_string_equal(value_of(&reply->rows[0], "h"), "x");
    reply = apply(subject, (struct store_op){.kind = STORE_SCAN, .collection = "c", .limit = 5});
    assert_int_equal(reply->row_count, 1);
}

static void epoch_puts_write_what_they_may(void **state)
{
    struct subject *subject = *state;
    char names[39][16];
    struct store_field many[39], one = field("f", "new");
    for (int i = 0; i < 39; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        many[i] = field(names[i], "1");
    }
    struct store_row rows[] = {{.key = "a", .fields = &one, .field_count = 1},
                               {.key = "b", .fields = &one, .field_count = 1},
                               {.key = "c"},
                               {.key = "d", .fields = &one, .field_count = 1}};
    VERDICT(STORE_OK, .kind = STORE_EPOCH_PUT, .key = "b", .epoch = 7, FIELDS(field("f", "old")));
    VERDICT(STORE_OK, .kind = STORE_EPOCH_PUT, .key = "d", .epoch = 4, .fields = many,
            .field_count = 39);
    struct store_op puts = {
        .kind = STORE_EPOCH_PUTS, .epoch = 5, .collection = "all", .rows = rows, .row_count = 4};
    const struct store_reply *reply = apply(subject, puts);
    assert_int_equal(reply->verdict, STORE_FENCED); /* the first that could not be written */
    assert_int_equal(reply->epoch, 7);
    reply = apply(subject, (struct store_op){.kind = STORE_SCAN, .collection = "all", .limit = 9});
    assert_int_equal(reply->row_count, 2);
    assert_string_equal(reply->rows[0].key, "a");
    assert_string_equal(value_of(&reply->rows[0], "f"), "new");
    assert_string_equal(value_of(&reply->rows[0], "epoch"), "5");
    assert_string_equal(reply->rows[1].key, "c");
    assert_int_equal(reply->rows[1].field_count, 1);
    reply = apply(subject, (struct store_op){.kind = STORE_GET, .key = "b"});
    assert_string_equal(value_of(&reply->rows[0], "f"), "old");
    puts.rows = rows + 2;
    puts.row_count = 2;
    assert_int_equal(apply(subject, puts)->verdict, STORE_FULL);
    puts.rows = rows;
    puts.row_count = 2;
    puts.epoch = 8;
    reply = apply(subject, puts);
    assert_int_equal(reply->verdict, STORE_OK);
    assert_int_equal(reply->epoch, 8);
    reply = apply(subject, (struct store_op){.kind = STORE_GET, .key = "b"});
    assert_string_equal(value_of(&reply->rows[0], "f"), "new");
    assert_int_equal(reply->epoch, 8);
}

static void enqueue(struct subject *subject, const char *id, double priority)
{
    VERDICT(STORE_OK, .kind = STORE_ENQUEUE, .key = "jobs", .id = id, .score = priority,
            .limit = 100000, BODY(id));
}

/* Claims up to `limit`; "id/attempt id/attempt ". */
static const char *claim(struct subject *subject, const char *owner, uint32_t limit, int64_t ttl_us)
{
    static char got[4096];
    got[0] = '\0';
    const struct store_reply *reply = apply(
        subject,
        (struct store_op){
            .kind = STORE_CLAIM, .key = "jobs", .owner = owner, .limit = limit, .ttl_us = ttl_us});
    assert_int_equal(reply->verdict, reply->row_count > 0 ? STORE_OK : STORE_MISSING);
    for (uint32_t i = 0; i < reply->row_count; i++) {
        const struct store_row *row = &reply->rows[i];
        size_t used = strlen(got);
        assert_int_equal(row->body_bytes, strlen(row->key));
        assert_memory_equal(row->body, row->key, row->body_bytes);
        snprintf(got + used, sizeof got - used, "%s/%u ", row->key, row->attempt);
    }
    return got;
}

#define LONG_US (60 * (int64_t)US_PER_S)

#define JOB(wanted, what, name, who, number)                                                       \
    VERDICT(wanted, .kind = (what), .key = "jobs", .id = (name), .owner = (who),                   \
            .attempt = (number), .ttl_us = LONG_US)

static void queues_keep_order_and_limit(void **state)
{
    struct subject *subject = *state;
    static uint8_t big[STORE_JOB_BYTES_MAX];
    assert_string_equal(claim(subject, "w", 1, LONG_US), "");
    enqueue(subject, "low", 0);
    enqueue(subject, "first", 2);
    enqueue(subject, "second", 2);
    enqueue(subject, "urgent", 3);
    VERDICT(STORE_EXISTS, .kind = STORE_ENQUEUE, .key = "jobs", .id = "low", .limit = 1);
    VERDICT(STORE_FULL, .kind = STORE_ENQUEUE, .key = "jobs", .id = "more", .limit = 4);
    assert_string_equal(claim(subject, "w", 2, LONG_US), "urgent/1 first/1 ");
    /* Claimed jobs are held, too. */
    VERDICT(STORE_FULL, .kind = STORE_ENQUEUE, .key = "jobs", .id = "more", .limit = 4);
    JOB(STORE_OK, STORE_FINISH, "urgent", "w", 1);
    VERDICT(STORE_OK, .kind = STORE_ENQUEUE, .key = "jobs", .id = "more", .limit = 4, BODY("more"));
    assert_string_equal(claim(subject, "w", 64, LONG_US), "second/1 low/1 more/1 ");
    assert_string_equal(claim(subject, "w", 64, LONG_US), "");
    memset(big, 0xa5, sizeof big);
    VERDICT(STORE_OK, .kind = STORE_ENQUEUE, .key = "other", .id = "big", .limit = 1, .body = big,
            .body_bytes = sizeof big);
    const struct store_reply *reply = apply(
        subject,
        (struct store_op){
            .kind = STORE_CLAIM, .key = "other", .owner = "w", .limit = 1, .ttl_us = LONG_US});
    assert_int_equal(reply->rows[0].body_bytes, sizeof big);
    assert_memory_equal(reply->rows[0].body, big, sizeof big);
    VERDICT(STORE_OK, .kind = STORE_ENQUEUE, .key = "bare", .id = "none", .limit = 1);
    reply =
        apply(subject,
              (struct store_op){
                  .kind = STORE_CLAIM, .key = "bare", .owner = "w", .limit = 1, .ttl_us = LONG_US});
    assert_int_equal(reply->row_count, 1);
    assert_int_equal(reply->rows[0].body_bytes, 0);
}

static void jobs_are_fenced_by_attempt(void **state)
{
    struct subject *subject = *state;
    static const enum store_kind kinds[] = {STORE_JOB_RENEW, STORE_FINISH, STORE_REQUEUE,
                                            STORE_DEAD_LETTER};
    enqueue(subject, "a", 1);
    for (size_t i = 0; i < 4; i++)
        JOB(STORE_FENCED, kinds[i], "a", "w1", 1); /* not claimed yet */
    assert_string_equal(claim(subject, "w1", 1, LONG_US), "a/1 ");
    for (size_t i = 0; i < 4; i++) {
        JOB(STORE_FENCED, kinds[i], "a", "w2", 1);
        JOB(STORE_FENCED, kinds[i], "a", "w1", 2);
        JOB(STORE_FENCED, kinds[i], "b", "w1", 1);
    }
    JOB(STORE_OK, STORE_JOB_RENEW, "a", "w1", 1);
    JOB(STORE_OK, STORE_REQUEUE, "a", "w1", 1);
    JOB(STORE_OK, STORE_REQUEUE, "a", "w1", 1); /* again, after an unknown outcome */
    JOB(STORE_FENCED, STORE_FINISH, "a", "w1", 1);
    assert_string_equal(claim(subject, "w2", 1, LONG_US), "a/2 ");
    for (size_t i = 0; i < 4; i++)
        JOB(STORE_FENCED, kinds[i], "a", "w1", 1);
    JOB(STORE_OK, STORE_FINISH, "a", "w2", 2);
    JOB(STORE_OK, STORE_FINISH, "a", "w2", 2);
    JOB(STORE_FENCED, STORE_FINISH, "a", "w1", 1);
    JOB(STORE_FENCED, STORE_DEAD_LETTER, "a", "w2", 2);
    VERDICT(STORE_EXISTS, .kind = STORE_ENQUEUE, .key = "jobs", .id = "a", .limit = 9);
    enqueue(subject, "d", 1);
    assert_string_equal(claim(subject, "w", 1, LONG_US), "d/1 ");
    VERDICT(STORE_OK, .kind = STORE_DEAD_LETTER, .key = "jobs", .id = "d", .owner = "w",
            .attempt = 1, BODY("no such model"));
    JOB(STORE_OK, STORE_DEAD_LETTER, "d", "w", 1);
    JOB(STORE_FENCED, STORE_REQUEUE, "d", "w", 1);
    VERDICT(STORE_EXISTS, .kind = STORE_ENQUEUE, .key = "jobs", .id = "d", .limit = 9);
    assert_string_equal(claim(subject, "w", 1, LONG_US), "");
}

static void claims_expire(void **state)
{
    struct subject *subject = *state;
    enqueue(subject, "a", 1);
    enqueue(subject, "b", 1);
    enqueue(subject, "c", 1);
    assert_string_equal(claim(subject, "w1", 2, 20000), "a/1 b/1 ");
    pass_time(subject, 60000);
    /* Late, but nobody else has it: the work counts. */
    JOB(STORE_OK, STORE_FINISH, "a", "w1", 1);
    /* The one that came back stands behind the one that waited. */
    assert_string_equal(claim(subject, "w2", 64, LONG_US), "c/1 b/2 ");
    JOB(STORE_FENCED, STORE_FINISH, "b", "w1", 1);
    JOB(STORE_FENCED, STORE_JOB_RENEW, "b", "w1", 1);
    JOB(STORE_OK, STORE_FINISH, "b", "w2", 2);
    enqueue(subject, "r", 1);
    assert_string_equal(claim(subject, "w1", 1, 20000), "r/1 ");
    JOB(STORE_OK, STORE_JOB_RENEW, "r", "w1", 1); /* for LONG_US */
    pass_time(subject, 60000);
    assert_string_equal(claim(subject, "w2", 1, LONG_US), "");
    JOB(STORE_OK, STORE_FINISH, "r", "w1", 1);
}

/* Ended jobs are remembered up to a bound: 4,096 finished, 1,024 dead; the oldest are forgotten. */
static void queues_forget_the_oldest(void **state)
{
    struct subject *subject = *state;
    static const struct {
        enum store_kind kind;
        unsigned kept;
    } ends[] = {{STORE_DEAD_LETTER, QUEUE_DEAD_MAX}, {STORE_FINISH, QUEUE_DONE_MAX}};
    char id[32];
    for (unsigned e = 0; e < 2; e++) {
        for (unsigned i = 0; i < ends[e].kept + 1; i++) {
            snprintf(id, sizeof id, "j%u.%u", e, i);
            enqueue(subject, id, 1);
            if (i % 64 != 63 && i != ends[e].kept)
                continue;
            (void)claim(subject, "w", 64, 100 * LONG_US); /* however slow it is here */
            for (unsigned j = i / 64 * 64; j <= i; j++) {
                snprintf(id, sizeof id, "j%u.%u", e, j);
                JOB(STORE_OK, ends[e].kind, id, "w", 1);
            }
        }
        snprintf(id, sizeof id, "j%u.1", e);
        VERDICT(STORE_EXISTS, .kind = STORE_ENQUEUE, .key = "jobs", .id = id, .limit = 9);
        snprintf(id, sizeof id, "j%u.0", e);
        enqueue(subject, id, 1);
        (void)claim(subject, "w", 64, LONG_US);
    }
}

static void blobs_come_in_chunks(void **state)
{
    struct subject *subject = *state;
    static uint8_t content[3 * STORE_BLOB_CHUNK_MAX - 100];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 31 + (i >> 8));
    struct store_op put = {.kind = STORE_BLOB_PUT, .total_bytes = sizeof content};
    struct store_op get = {.kind = STORE_BLOB_GET};
    memcpy(put.hash, subject->shard, sizeof put.hash); /* a name no other test has */
    memcpy(get.hash, put.hash, sizeof get.hash);
    assert_int_equal(apply(subject, get)->verdict, STORE_MISSING);
    static const unsigned order[] = {2, 0, 0, 1, 1};
    static const enum store_verdict wanted[] = {STORE_OK, STORE_OK, STORE_EXISTS, STORE_OK,
                                                STORE_EXISTS};
    for (unsigned i = 0; i < 5; i++) {
        if (i < 4) {
            assert_int_equal(apply(subject, get)->verdict, STORE_MISSING);
        }
        put.offset = order[i] * STORE_BLOB_CHUNK_MAX;
        put.body = content + put.offset;
        put.body_bytes = order[i] == 2 ? STORE_BLOB_CHUNK_MAX - 100 : STORE_BLOB_CHUNK_MAX;
        assert_int_equal(apply(subject, put)->verdict, wanted[i]);
    }
    get.shard = "another"; /* the hash alone finds it */
    for (unsigned i = 0; i < 3; i++) {
        get.offset = i * STORE_BLOB_CHUNK_MAX;
        const struct store_reply *reply = apply(subject, get);
        assert_int_equal(reply->verdict, STORE_OK);
        assert_int_equal(reply->total_bytes, sizeof content);
        assert_int_equal(reply->body_bytes,
                         i == 2 ? STORE_BLOB_CHUNK_MAX - 100 : STORE_BLOB_CHUNK_MAX);
        assert_memory_equal(reply->body, content + get.offset, reply->body_bytes);
    }
    get.offset = 3 * STORE_BLOB_CHUNK_MAX;
    assert_int_equal(apply(subject, get)->verdict, STORE_MISSING);
    /* Other bytes under a number take the place of those that are there. */
    for (unsigned i = 0; i < 2; i++) {
        put.body = content + (1 - i) * STORE_BLOB_CHUNK_MAX;
        put.body_bytes = STORE_BLOB_CHUNK_MAX;
        get.offset = i * STORE_BLOB_CHUNK_MAX;
        put.offset = get.offset;
        assert_int_equal(apply(subject, put)->verdict, STORE_OK);
        const struct store_reply *reply = apply(subject, get);
        assert_int_equal(reply->verdict, STORE_OK);
        assert_memory_equal(reply->body, put.body, STORE_BLOB_CHUNK_MAX);
    }
    put.offset = 0;
    put.total_bytes = STORE_BLOB_CHUNK_MAX;
    put.body = content;
    put.body_bytes = STORE_BLOB_CHUNK_MAX;
    assert_int_equal(apply(subject, put)->verdict, STORE_INVALID); /* another total */
}

#define BOTH(test) cmocka_unit_test_setup(test, fresh_shard)

static const struct CMUnitTest suite[] = {
    BOTH(invalid_operations),
    BOTH(records_merge),
    BOTH(a_record_has_forty_fields),
    BOTH(scans_miss_nothing),
    BOTH(scans_of_little),
    BOTH(indexes_are_ordered),
    BOTH(history_is_bounded),
    BOTH(leases_have_rising_epochs),
    BOTH(leases_expire),
    BOTH(epoch_put_fences),
    BOTH(epoch_puts_write_what_they_may),
    BOTH(queues_keep_order_and_limit),
    BOTH(jobs_are_fenced_by_attempt),
    BOTH(claims_expire),
    BOTH(queues_forget_the_oldest),
    BOTH(blobs_come_in_chunks),
};

static int memory_begin(void **state)
{
    struct subject *subject = calloc(1, sizeof *subject);
    subject->memory = memory_store_new(64u << 20);
    subject->kept = calloc(1, sizeof *subject->kept);
    subject->now_us = US_PER_S;
    *state = subject;
    return 0;
}

static int memory_end(void **state)
{
    struct subject *subject = *state;
    memory_store_free(subject->memory);
    free(subject->kept);
    free(subject);
    return 0;
}

static struct redis_server own_server;

static int redis_begin(void **state)
{
    struct subject *subject = calloc(1, sizeof *subject);
    const char *url = getenv("MESH_TEST_REDIS_URL");
    if (!url) {
        redis_server_reserve(&own_server);
        redis_server_start(&own_server);
        url = own_server.url;
    }
    subject->redis = bench_new(&(struct redis_store_conf){.registry_url = url});
    if (!bench_until_up(subject->redis, true)) {
        fprintf(stderr, "no connection to %s: %s\n", url, subject->redis->why);
        bench_free(subject->redis);
        free(subject);
        return 1;
    }
    *state = subject;
    return 0;
}

static int redis_end(void **state)
{
    struct subject *subject = *state;
    if (subject) /* else the beginning failed and has said so */
        bench_free(subject->redis);
    free(subject);
    if (own_server.pid > 0)
        redis_server_remove(&own_server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest pure[] = {cmocka_unit_test(names_and_banks)};
    int failed = cmocka_run_group_tests_name("names", pure, NULL, NULL);
    failed += cmocka_run_group_tests_name("store in memory", suite, memory_begin, memory_end);
    failed += cmocka_run_group_tests_name("store on redis", suite, redis_begin, redis_end);
    return failed;
}
