/* The logs: one suite on three subjects (in memory, SQLite, PostgreSQL), and what only SQL has:
 * guards, tampering, databases that go away. */
#include "registry/memory.h"
#include "registry/sql_log.h"
#include "registry/sql_table.h"
#include "tests/support/postgres_server.h"
#include "tests/support/redis_bench.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

struct subject {
    const char *name;
    const struct sql_kind *kind; /* NULL: in memory */
    struct memory_store *memory;
    struct sql_log *log;
    uv_loop_t loop;
    struct postgres_server server;
    char dir[64], url[256];
    unsigned replies, links;
    bool up;
    unsigned verdicts[STORE_VERDICT_COUNT];
    struct kept_reply kept;
};

static void on_reply(void *ctx, void *tag, const struct store_reply *reply)
{
    struct subject *s = ctx;
    assert_ptr_equal(tag, s);
    s->replies++;
    s->verdicts[reply->verdict]++;
    keep_reply(&s->kept, reply);
}

static void on_link(void *ctx, bool up, const char *why)
{
    struct subject *s = ctx;
    s->links++;
    s->up = up;
    assert_true(up == (why[0] == '\0'));
}

static void until(struct subject *s, unsigned replies)
{
    while (s->replies < replies)
        uv_run(&s->loop, UV_RUN_ONCE);
}

static const struct store_reply *apply(struct subject *s, struct store_op op)
{
    static int64_t now_us = 1;
    op.shard = "mesh";
    if (s->kind == NULL) {
        struct store_reply reply;
        memory_store_apply(s->memory, ++now_us, &op, &reply);
        keep_reply(&s->kept, &reply);
    } else {
        assert_true(sql_log_submit(s->log, &op, s));
        until(s, s->replies + 1);
    }
    return &s->kept.reply;
}

#define FIELD(n, v)                                                                                \
    {                                                                                              \
        .name = (n), .value = (v), .value_bytes = (uint32_t)strlen(v)                              \
    }

static const struct store_reply *put(struct subject *s, const char *log, const char *id,
                                     const char *event, const char *subject, const char *agent,
                                     const char *priority)
{
    struct store_field fields[] = {FIELD("at_us", "1700000000000000"),
                                   FIELD("event", event),
                                   FIELD("subject", subject),
                                   FIELD("agent", agent),
                                   FIELD("type", "DATA_CONTRADICTION"),
                                   FIELD("priority", priority),
                                   FIELD("actor", agent)};
    static const char body[] = "{\"expected\": \"4\", \"received\": \"\xc3\xbc\"}";
    return apply(s, (struct store_op){.kind = STORE_LOG_APPEND,
                                      .key = log,
                                      .id = id,
                                      .fields = fields,
                                      .field_count = 7,
                                      .body = (const uint8_t *)body,
                                      .body_bytes = sizeof body - 1});
}

static const struct store_reply *ask(struct subject *s, uint64_t cursor, uint32_t limit,
                                     struct store_field f, struct store_field g)
{
    struct store_field fields[] = {f, g};
    return apply(
        s, (struct store_op){.kind = STORE_LOG_QUERY,
                             .key = "conflicts",
                             .fields = fields,
                             .field_count = (f.name != NULL ? 1u : 0u) + (g.name != NULL ? 1u : 0u),
                             .cursor = cursor,
                             .limit = limit});
}

static const struct store_reply *verify(struct subject *s, uint64_t cursor, uint32_t limit)
{
    return apply(
        s, (struct store_op){
               .kind = STORE_LOG_VERIFY, .key = "conflicts", .cursor = cursor, .limit = limit});
}

static const struct store_field none = {0};

static void open_log(struct subject *s)
{
    struct sql_log_conf conf = {.url = s->url};
    if (s->kind != NULL)
        assert_int_equal(sql_log_new(&s->loop, &conf, on_reply, on_link, s, &s->log), 0);
    else
        s->memory = memory_store_new(8u << 20);
}

static void close_log(struct subject *s)
{
    if (s->kind != NULL) {
        sql_log_close(s->log);
        uv_run(&s->loop, UV_RUN_DEFAULT);
    } else {
        memory_store_free(s->memory);
    }
}

/* A statement past the log, as an administrator with every right. */
static enum sql_verdict raw(struct subject *s, const char *statement)
{
    const char *where;
    struct sql sql = {0};
    assert_null(sql_url(s->url, &sql.kind, &where));
    assert_int_equal(sql.kind->open(&sql, where), SQL_OK);
    enum sql_verdict v = sql.kind->run(&sql, statement, NULL, 0, NULL, NULL);
    sql.kind->close(&sql);
    return v;
}

static int fresh(void **state)
{
    struct subject *s = *state;
    s->replies = 0;
    memset(s->verdicts, 0, sizeof s->verdicts);
    if (s->kind == &sql_sqlite) {
        snprintf(s->dir, sizeof s->dir, "/tmp/mesh-log-XXXXXX");
        assert_non_null(mkdtemp(s->dir));
        snprintf(s->url, sizeof s->url, "sqlite:%s/log.db", s->dir);
    } else if (s->kind == &sql_postgres) {
        snprintf(s->url, sizeof s->url, "%s", s->server.url);
        assert_int_equal(raw(s, "DROP TABLE IF EXISTS conflicts, audit, grants, incidents"),
                         SQL_OK);
    }
    open_log(s);
    return 0;
}

static int gone(void **state)
{
    struct subject *s = *state;
    close_log(s);
    if (s->kind == &sql_sqlite)
        postgres_shell("rm -rf %s", s->dir);
    return 0;
}

static const char *field(const struct store_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_count; i++)
        if (strcmp(row->fields[i].name, name) == 0)
            return row->fields[i].value;
    fail_msg("no field %s", name);
    return "";
}

/* --- on every subject ------------------------------------------------------------------------- */

static void appends_once(void **state)
{
    struct subject *s = *state;
    assert_int_equal(put(s, "conflicts", "c1.opened", "opened", "c1", "s07.c3.a12", "3")->verdict,
                     STORE_OK);
    assert_int_equal(s->kept.reply.epoch, 1);
    assert_int_equal(put(s, "conflicts", "c1.opened", "opened", "c1", "s07.c3.a12", "3")->verdict,
                     STORE_EXISTS);
    assert_int_equal(s->kept.reply.epoch, 1);
    assert_int_equal(put(s, "audit", "c1.opened", "command", "c1", "mesh", "0")->verdict, STORE_OK);
    const struct store_reply *r = ask(s, 0, 10, none, none);
    assert_int_equal(r->row_count, 1);
    assert_int_equal(r->cursor, 0);
    assert_string_equal(r->rows[0].key, "c1.opened");
    assert_string_equal(field(&r->rows[0], "agent"), "s07.c3.a12");
    assert_string_equal(field(&r->rows[0], "at_us"), "1700000000000000");
    assert_string_equal(field(&r->rows[0], "prev"), LOG_FIRST);
    assert_int_equal(strlen(field(&r->rows[0], "hash")), 64);
    assert_string_equal((const char *)r->rows[0].body,
                        "{\"expected\": \"4\", \"received\": \"\xc3\xbc\"}");
}

/* All subjects give the same hash to the same rows. */
static void hash_is_the_same_everywhere(void **state)
{
    struct subject *s = *state;
    static char hash[LOG_HASH_TEXT];
    put(s, "conflicts", "a", "opened", "c1", "s01", "1");
    put(s, "conflicts", "b", "resolved", "c1", "s01", "1");
    const struct store_reply *r = verify(s, 0, 100);
    assert_int_equal(r->body_bytes, 0);
    assert_int_equal(r->epoch, 2);
    if (hash[0] == '\0')
        memcpy(hash, field(&r->rows[0], "hash"), sizeof hash);
    assert_string_equal(field(&r->rows[0], "hash"), hash);
}

static void queries(void **state)
{
    struct subject *s = *state;
    char id[16], priority[2] = "0";
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof id, "c%d", i);
        priority[0] = (char)('0' + i % 5);
        put(s, "conflicts", id, "opened", id, i % 2 ? "s07.c3.a12" : "s071.c1.a1", priority);
    }
    put(s, "conflicts", "c0.r", "resolved", "c0", "mesh", "0");
    struct store_field place = FIELD("agent", "s07"), three = FIELD("priority", "3"),
                       open = FIELD("open", "1"), newest = FIELD("newest", "1");
    assert_int_equal(ask(s, 0, 16, place, three)->row_count, 8);
    uint64_t cursor = 0;
    unsigned rows = 0;
    do {
        const struct store_reply *r = ask(s, cursor, 7, open, none);
        rows += r->row_count;
        cursor = r->cursor;
    } while (cursor != 0);
    assert_int_equal(rows, 39);
    assert_string_equal(ask(s, 0, 2, newest, none)->rows[0].key, "c0.r");
    cursor = s->kept.reply.cursor;
    assert_int_equal(cursor, 40);
    assert_string_equal(ask(s, cursor, 2, newest, none)->rows[0].key, "c38");
    assert_int_equal(ask(s, 1, 2, newest, none)->row_count, 0);
    struct store_field until_us = FIELD("until_us", "1600000000000000");
    assert_int_equal(ask(s, 0, 2, until_us, none)->row_count, 0);
    struct store_field quote = FIELD("subject", "' OR 1=1 --");
    assert_int_equal(ask(s, 0, 2, quote, none)->row_count, 0);
}

static void invalid(void **state)
{
    struct subject *s = *state;
    struct store_field bad[] = {FIELD("at_us", "x"), FIELD("event", "opened")};
    struct store_field utf8[] = {FIELD("at_us", "1"), FIELD("event", "\xff\xfe")};
    struct store_field wide = FIELD("colour", "red");
    struct store_op op = {
        .kind = STORE_LOG_APPEND, .key = "conflicts", .id = "x", .field_count = 2};
    op.fields = bad;
    assert_int_equal(apply(s, op)->verdict, STORE_INVALID);
    op.fields = utf8;
    assert_int_equal(apply(s, op)->verdict, STORE_INVALID);
    op.key = "other";
    assert_int_equal(apply(s, op)->verdict, STORE_INVALID);
    assert_int_equal(ask(s, 0, 5, wide, none)->verdict, STORE_INVALID);
    assert_non_null(strstr(s->kept.reply.detail, "since_us"));
    assert_int_equal(ask(s, 0, 17, none, none)->verdict, STORE_INVALID);
    assert_int_equal(put(s, "conflicts", "x", "opened", "x", "mesh", "5")->verdict, STORE_INVALID);
    assert_int_equal(ask(s, 0, 5, none, none)->row_count, 0);
}

/* --- SQL only ----------------------------------------------------------------------------------
 */

static void nothing_changes_a_row(void **state)
{
    struct subject *s = *state;
    static const char *const forbidden[] = {
        "UPDATE conflicts SET body = '{}'", "UPDATE conflicts SET seq = 9 WHERE seq = 2",
        "DELETE FROM conflicts", "DELETE FROM conflicts WHERE seq = 1"};
    for (int i = 0; i < 3; i++)
        put(s, "conflicts", (char[]){(char)('a' + i), 0}, "opened", "c", "s01", "1");
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        assert_int_equal(raw(s, forbidden[i]), SQL_REFUSED);
    if (s->kind == &sql_sqlite) {
        assert_int_equal(raw(s,
                             "INSERT OR REPLACE INTO conflicts SELECT seq, 1, id, event, subject, "
                             "agent, type, priority, actor, body, prev, hash FROM conflicts WHERE "
                             "seq = 2"),
                         SQL_REFUSED);
    } else {
        assert_int_equal(raw(s, "TRUNCATE conflicts"), SQL_REFUSED);
        assert_int_equal(raw(s, "INSERT INTO conflicts SELECT * FROM conflicts WHERE seq = 2 ON "
                                "CONFLICT (seq) DO UPDATE SET body = ''"),
                         SQL_REFUSED);
    }
    const struct store_reply *r = verify(s, 0, 2);
    assert_int_equal(r->body_bytes, 0);
    assert_int_equal(r->cursor, 2);
    r = verify(s, 2, 2);
    assert_int_equal(r->body_bytes, 0);
    assert_int_equal(r->cursor, 0);
}

/* Someone with all rights takes the guards away: the chain says which row. */
static void tampering_is_found(void **state)
{
    struct subject *s = *state;
    char id[16];
    bool lite = s->kind == &sql_sqlite;
    for (int i = 1; i <= 9; i++) {
        snprintf(id, sizeof id, "c%d", i);
        put(s, "conflicts", id, "opened", id, "s01", "1");
    }
    const char *drop[] = {lite ? "DROP TRIGGER conflicts_no_update"
                               : "ALTER TABLE conflicts DISABLE TRIGGER ALL"};
    assert_int_equal(raw(s, drop[0]), SQL_OK);
    const struct store_reply *r = verify(s, 0, 100);
    assert_non_null(strstr((const char *)r->body, "triggers"));
    assert_int_equal(raw(s, "UPDATE conflicts SET agent = 's02' WHERE seq = 5"), SQL_OK);
    assert_int_equal(raw(s, lite ? "CREATE TRIGGER conflicts_no_update BEFORE UPDATE ON conflicts "
                                   "BEGIN SELECT RAISE(ABORT, 'no'); END"
                                 : "ALTER TABLE conflicts ENABLE TRIGGER ALL"),
                     SQL_OK);
    r = verify(s, 0, 100);
    assert_non_null(strstr((const char *)r->body, "row 5 (c5, opened) was changed"));
    assert_int_equal(verify(s, 5, 100)->body_bytes, 0);
    assert_int_equal(raw(s, lite ? "DROP TRIGGER conflicts_no_delete"
                                 : "ALTER TABLE conflicts DISABLE TRIGGER conflicts_no_delete"),
                     SQL_OK);
    assert_int_equal(raw(s, "DELETE FROM conflicts WHERE seq = 7 OR seq = 9"), SQL_OK);
    assert_int_equal(raw(s, lite ? "CREATE TRIGGER conflicts_no_delete BEFORE DELETE ON conflicts "
                                   "BEGIN SELECT RAISE(ABORT, 'no'); END"
                                 : "ALTER TABLE conflicts ENABLE TRIGGER conflicts_no_delete"),
                     SQL_OK);
    assert_non_null(strstr((const char *)verify(s, 5, 100)->body, "row 7 is missing"));
    assert_non_null(strstr((const char *)verify(s, 8, 100)->body, "rows after row 8 are gone"));
    /* What was cut off is not written over. */
    assert_int_equal(put(s, "conflicts", "c10", "opened", "c10", "s01", "1")->verdict,
                     STORE_READONLY);
    assert_non_null(strstr(s->kept.reply.detail, "restore it"));
}

static const char *const logs[] = {"conflicts", "audit", "grants", "incidents"};

static void groups_are_committed_at_once(void **state)
{
    struct subject *s = *state;
    struct sql_log_stats stats;
    char id[16];
    struct store_field fields[] = {FIELD("at_us", "1"), FIELD("event", "opened")};
    for (int i = 0; i < 600; i++) {
        snprintf(id, sizeof id, "c%d", i);
        struct store_op op = {.kind = STORE_LOG_APPEND,
                              .shard = "mesh",
                              .key = logs[i % 4],
                              .id = id,
                              .fields = fields,
                              .field_count = 2};
        assert_true(sql_log_submit(s->log, &op, s));
    }
    until(s, 600);
    sql_log_stats(s->log, &stats);
    assert_int_equal(s->verdicts[STORE_OK], 600);
    assert_int_equal(stats.rows, 600);
    assert_int_equal(stats.waiting, 0);
    assert_true(stats.groups < 100);
    for (int i = 0; i < 4; i++) { /* each a chain of its own, whatever was committed with it */
        const struct store_reply *r =
            apply(s, (struct store_op){.kind = STORE_LOG_VERIFY, .key = logs[i], .limit = 4096});
        assert_int_equal(r->body_bytes, 0);
        assert_int_equal(r->cursor, 0);
    }
}

static void a_full_queue_says_so(void **state)
{
    struct subject *s = *state;
    close_log(s);
    struct sql_log_conf conf = {.url = s->url, .queue_max = 8};
    assert_int_equal(sql_log_new(&s->loop, &conf, on_reply, on_link, s, &s->log), 0);
    struct store_field fields[] = {FIELD("at_us", "1"), FIELD("event", "opened")};
    for (int i = 0; i < 50; i++) {
        struct store_op op = {.kind = STORE_LOG_APPEND,
                              .shard = "mesh",
                              .key = "conflicts",
                              .id = (char[]){(char)('A' + i), 0},
                              .fields = fields,
                              .field_count = 2};
        assert_true(sql_log_submit(s->log, &op, s));
    }
    until(s, 50);
    assert_true(s->verdicts[STORE_BUSY] >= 42);
    assert_int_equal(s->verdicts[STORE_OK] + s->verdicts[STORE_BUSY], 50);
}

static void away_and_back(void **state)
{
    struct subject *s = *state;
    char path[300];
    assert_int_equal(put(s, "conflicts", "a", "opened", "c", "s01", "1")->verdict, STORE_OK);
    if (s->kind == &sql_sqlite) {
        snprintf(path, sizeof path, "%s/log.db", s->dir);
        assert_int_equal(postgres_shell("mv %s/log.db %s/away && mv %s/log.db-wal %s/away-wal",
                                        s->dir, s->dir, s->dir, s->dir),
                         0);
        assert_int_equal(mkdir(path, 0700), 0);
    } else {
        assert_true(postgres_halt(&s->server));
    }
    assert_int_equal(put(s, "conflicts", "b", "opened", "c", "s01", "1")->verdict, STORE_UNKNOWN);
    assert_non_null(s->kept.reply.detail);
    assert_int_equal(ask(s, 0, 5, none, none)->verdict, STORE_UNKNOWN);
    assert_false(s->up);
    if (s->kind == &sql_sqlite) {
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(postgres_shell("mv %s/away %s/log.db && mv %s/away-wal %s/log.db-wal",
                                        s->dir, s->dir, s->dir, s->dir),
                         0);
    } else {
        assert_true(postgres_run(&s->server));
    }
    for (int i = 0;
         i < 100 && put(s, "conflicts", "b", "opened", "c", "s01", "1")->verdict != STORE_OK; i++)
        usleep(100000);
    assert_int_equal(s->kept.reply.verdict, STORE_OK);
    assert_int_equal(ask(s, 0, 5, none, none)->row_count, 2);
    assert_int_equal(verify(s, 0, 100)->body_bytes, 0);
}

/* What only the tables' owner may, tried on each of them, with the reason "insufficient privilege".
 */
static void nothing_else_is_allowed(struct subject *s)
{
    static const char *const denied[][2] = {
        {"UPDATE ", " SET body = ''"},
        {"UPDATE ", " SET hash = hash WHERE seq = 1"},
        {"DELETE FROM ", ""},
        {"TRUNCATE ", ""},
        {"DROP TABLE ", ""},
        {"ALTER TABLE ", " DISABLE TRIGGER ALL"},
        {"ALTER TABLE ", " RENAME TO other"},
        {"ALTER TABLE ", " DROP COLUMN prev"},
        {"CREATE TRIGGER t BEFORE INSERT ON ",
         " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"},
        {"CREATE INDEX ON ", " (agent)"},
        {"COPY ", " TO PROGRAM 'true'"}};
    char statement[200];
    for (unsigned t = 0; t < sizeof logs / sizeof logs[0]; t++)
        for (unsigned i = 0; i < sizeof denied / sizeof denied[0]; i++) {
            snprintf(statement, sizeof statement, "%s%s%s", denied[i][0], logs[t], denied[i][1]);
            if (raw(s, statement) != SQL_READONLY)
                fail_msg("not denied: %s", statement);
        }
    assert_int_equal(raw(s, "CREATE TABLE other (a int)"), SQL_READONLY);
    assert_int_equal(raw(s, "CREATE ROLE other SUPERUSER"), SQL_READONLY);
    assert_int_equal(raw(s, "SET ROLE postgres"), SQL_READONLY);
    assert_int_equal(raw(s, "SET session_replication_role = replica"), SQL_READONLY);
}

/* deploy/log-roles.sql on a real server. */
static void roles_that_may_only_insert_or_read(void **state)
{
    struct subject *s = *state;
    for (unsigned t = 0; t < sizeof logs / sizeof logs[0]; t++)
        assert_int_equal(put(s, logs[t], "a", "opened", "c", "s01", "1")->verdict, STORE_OK);
    for (unsigned again = 0; again < 2; again++)
        assert_int_equal(postgres_shell("%s/psql -q -v ON_ERROR_STOP=1 -h %s -U postgres mesh "
                                        "-f deploy/log-roles.sql >/dev/null 2>&1",
                                        s->server.bin, s->server.dir),
                         0);
    close_log(s);
    snprintf(s->url, sizeof s->url, "postgresql:///mesh?host=%s&user=mesh_log", s->server.dir);
    open_log(s);
    for (unsigned t = 0; t < sizeof logs / sizeof logs[0]; t++)
        assert_int_equal(put(s, logs[t], "b", "opened", "c", "s01", "1")->verdict, STORE_OK);
    assert_int_equal(ask(s, 0, 5, none, none)->row_count, 2);
    assert_int_equal(verify(s, 0, 100)->body_bytes, 0);
    nothing_else_is_allowed(s);
    snprintf(s->url, sizeof s->url, "postgresql:///mesh?host=%s&user=mesh_reader", s->server.dir);
    assert_int_equal(raw(s, "SELECT * FROM audit"), SQL_OK);
    assert_int_equal(raw(s, "INSERT INTO audit SELECT * FROM audit"), SQL_READONLY);
    nothing_else_is_allowed(s);
    assert_int_equal(ask(s, 0, 5, none, none)->row_count, 2); /* they are all there */
    assert_int_equal(verify(s, 0, 100)->body_bytes, 0);
}

static void urls(void **state)
{
    (void)state;
    assert_null(sql_log_url_problem("sqlite:/tmp/x.db"));
    assert_null(sql_log_url_problem("postgresql://127.0.0.1/mesh"));
    assert_non_null(sql_log_url_problem("sqlite:"));
    assert_non_null(sql_log_url_problem("mysql://x"));
    assert_non_null(sql_log_url_problem(""));
}

static int run_on(struct subject *s)
{
#define T(f)                                                                                       \
    {                                                                                              \
        .name = #f, .test_func = (f), .setup_func = fresh, .teardown_func = gone,                  \
        .initial_state = s                                                                         \
    }
    const struct CMUnitTest common[] = {T(appends_once), T(hash_is_the_same_everywhere), T(queries),
                                        T(invalid)};
    const struct CMUnitTest sql[] = {T(nothing_changes_a_row), T(tampering_is_found),
                                     T(groups_are_committed_at_once), T(a_full_queue_says_so),
                                     T(away_and_back)};
    const struct CMUnitTest roles[] = {T(roles_that_may_only_insert_or_read)};
#undef T
    uv_loop_init(&s->loop);
    int bad = cmocka_run_group_tests_name(s->name, common, NULL, NULL);
    if (s->kind != NULL)
        bad += cmocka_run_group_tests_name(s->name, sql, NULL, NULL);
    if (s->kind == &sql_postgres)
        bad += cmocka_run_group_tests_name("roles", roles, NULL, NULL);
    uv_loop_close(&s->loop);
    return bad;
}

int main(void)
{
    static struct subject memory = {.name = "memory"};
    static struct subject lite = {.name = "sqlite", .kind = &sql_sqlite};
    static struct subject postgres = {.name = "postgresql", .kind = &sql_postgres};
    const struct CMUnitTest pure[] = {cmocka_unit_test(urls)};
    int bad = cmocka_run_group_tests_name("urls", pure, NULL, NULL);
    bad += run_on(&memory) + run_on(&lite);
    if (!postgres_start(&postgres.server)) {
        fprintf(stderr, "PostgreSQL does not start (package postgresql): see %s\n",
                postgres.server.dir);
        return 1;
    }
    bad += run_on(&postgres);
    postgres_stop(&postgres.server);
    return bad;
}
