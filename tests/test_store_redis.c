/* What only a store on a server can suffer: connections that break, refuse, stall or lie, servers
 * that are full, read-only, without our functions, or somebody else's. What the operations do is
 * test_store.c. */
#include "registry/keys.h"
#include "registry/redis.h"
#include "registry/redis_private.h"
#include "tests/support/redis_bench.h"
#include "tests/support/redis_server.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct redis_server server;

static const struct store_field one_field[] = {{"f", "1", 1}};
static const struct store_op put_op = {
    .kind = STORE_PUT, .shard = "s", .key = "k", .fields = one_field, .field_count = 1};
static const struct store_op get_op = {.kind = STORE_GET, .shard = "s", .key = "k"};

static struct redis_store_conf conf_for(const char *url)
{
    return (struct redis_store_conf){
        .registry_url = url, .reconnect_min_us = 10000, .reconnect_max_us = 50000};
}

static struct redis_bench *connected(const char *url)
{
    struct redis_store_conf conf = conf_for(url);
    struct redis_bench *bench = bench_new(&conf);
    if (!bench_until_up(bench, true))
        fprintf(stderr, "%s: %s\n", url, bench->why);
    assert_true(bench->up[0]);
    return bench;
}

#define EXPECT(bench, op, wanted)                                                                  \
    assert_string_equal(store_verdict_name(bench_apply(bench, op)->verdict),                       \
                        store_verdict_name(wanted))

static int start_server(void **state)
{
    (void)state;
    redis_server_reserve(&server);
    redis_server_start(&server);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    redis_server_remove(&server);
    return 0;
}

/* registry/functions.c is made from registry/mesh.lua: run registry/embed.sh after a change. */
static void functions_are_those_of_the_lua_file(void **state)
{
    (void)state;
    static char lua[65536], parts[65536];
    FILE *file = fopen("registry/mesh.lua", "r"); /* tests run at the top of the tree */
    assert_non_null(file);
    size_t bytes = fread(lua, 1, sizeof lua - 1, file);
    fclose(file);
    assert_true(bytes > 1000);
    for (unsigned i = 0; functions_parts[i]; i++)
        strcat(parts, functions_parts[i]);
    assert_string_equal(parts, lua);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "local REVISION = %d\n", FUNCTIONS_REVISION);
    assert_non_null(strstr(lua, wanted));
    snprintf(wanted, sizeof wanted, " = %d, %d, %d\n", QUEUE_DONE_MAX, QUEUE_DEAD_MAX,
             QUEUE_SWEEP_MAX);
    assert_non_null(strstr(lua, wanted));
    snprintf(wanted, sizeof wanted, " = %d, %d\n", BLOB_PARTIAL_S, BLOB_COMPLETE_S);
    assert_non_null(strstr(lua, wanted));
}

static void urls(void **state)
{
    (void)state;
    static const char *const good[] = {"redis://host",
                                       "redis://127.0.0.1:6380/2",
                                       "redis://[::1]:6379",
                                       "redis://:p%40ss@host:1/",
                                       "redis://user:pass@host",
                                       "unix:///run/redis.sock",
                                       "unix://u:p@/run/redis.sock?db=3"};
    static const char *const bad[] = {"",
                                      "host:6379",
                                      "rediss://host",
                                      "redis://",
                                      "redis://h:0",
                                      "redis://h:",
                                      "redis://h:65536",
                                      "redis://h/x",
                                      "redis://u@h",
                                      "redis://:%4@h",
                                      "redis://[::1",
                                      "redis://[::1]x:1",
                                      "unix://relative",
                                      "unix:///s?base=1",
                                      "unix:///s?db="};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_null(redis_store_url_problem(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(redis_store_url_problem(bad[i]));
    struct redis_url url;
    assert_null(redis_url_parse("redis://me:p%40ss@[::1]:7000/12", &url));
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.user, "me");
    assert_string_equal(url.password, "p@ss");
    assert_int_equal(url.port, 7000);
    assert_int_equal(url.db, 12);
    struct redis_store *store = NULL;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct redis_store_conf conf = {.registry_url = "redis://h", .blob_url = "http://h"};
    assert_int_equal(redis_store_new(&loop, &conf, bench_on_reply, NULL, NULL, &store), -EINVAL);
    assert_null(store);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void banks_share_connections(void **state)
{
    (void)state;
    char other[96];
    snprintf(other, sizeof other, "%s/3", server.url);
    struct redis_store_conf conf = conf_for(server.url);
    conf.durable_url = other;
    conf.blob_url = server.unix_url;
    struct redis_bench *bench = bench_new(&conf);
    while (!bench->up[0] || !bench->up[1] || !bench->up[2])
        uv_run(&bench->loop, UV_RUN_ONCE);
    assert_int_equal(redis_store_stats(bench->store).connects, 3);
    struct store_op lease = {.kind = STORE_LEASE_ACQUIRE,
                             .shard = "bank",
                             .key = "l",
                             .owner = "o",
                             .ttl_us = US_PER_S,
                             .epoch = 42};
    EXPECT(bench, &lease, STORE_OK);
    EXPECT(bench, &put_op, STORE_OK);
    assert_string_equal(redis_server_cli(&server, "-n 3 hget 'mesh.lease:{bank}:l' epoch"), "42");
    assert_string_equal(redis_server_cli(&server, "hget 'mesh:{s}:k' f"), "1");
    bench_free(bench);
    bench = connected(server.url);
    assert_int_equal(redis_store_stats(bench->store).connects, 1);
    assert_true(bench->up[1] && bench->up[2]);
    bench_free(bench);
}

static void passwords(void **state)
{
    (void)state;
    char url[96];
    assert_string_equal(redis_server_cli(&server, "config set requirepass 'a b'"), "OK");
    snprintf(url, sizeof url, "redis://:a%%20b@127.0.0.1:%d", server.port);
    struct redis_bench *bench = connected(url);
    EXPECT(bench, &put_op, STORE_OK);
    bench_free(bench);
    snprintf(url, sizeof url, "redis://default:wrong@127.0.0.1:%d", server.port);
    for (int i = 0; i < 2; i++) {
        struct redis_store_conf conf = conf_for(i == 0 ? url : server.url);
        bench = bench_new(&conf);
        assert_true(bench_until(bench, &bench->lost, 3));
        assert_false(bench->up[0]);
        assert_non_null(strstr(bench->why, i == 0 ? "WRONGPASS" : "NOAUTH"));
        for (int bank = 0; bank < STORE_BANK_COUNT; bank++)
            assert_true(redis_store_is_refused(bench->store, (enum store_bank)bank));
        if (i == 0) { /* put right, it is let in by itself */
            assert_false(redis_store_password(bench->store, "other", "a b"));
            assert_false(redis_store_password(bench->store, "default", "wrong"));
            assert_true(redis_store_password(bench->store, "default", "a b"));
            assert_true(bench_until_up(bench, true));
            assert_false(redis_store_is_refused(bench->store, STORE_BANK_REGISTRY));
            EXPECT(bench, &put_op, STORE_OK);
        }
        bench_free(bench);
    }
    assert_string_equal(redis_server_cli(&server, "-a 'a b' --no-auth-warning config set "
                                                  "requirepass ''"),
                        "OK");
}

/* A login without the right to a command: the operation is unknown, and it is counted and kept why.
 */
static void denied_operations(void **state)
{
    (void)state;
    char url[96];
    assert_string_equal(redis_server_cli(&server, "acl setuser lead on '>p' '~*' +@all -fcall"),
                        "OK");
    snprintf(url, sizeof url, "redis://lead:p@127.0.0.1:%d", server.port);
    struct redis_bench *bench = connected(url);
    const struct store_op lease = {.kind = STORE_LEASE_ACQUIRE,
                                   .shard = "s",
                                   .key = "l",
                                   .owner = "o",
                                   .ttl_us = US_PER_S,
                                   .epoch = 42};
    EXPECT(bench, &lease, STORE_UNKNOWN);
    struct redis_store_stats stats = redis_store_stats(bench->store);
    assert_int_equal(stats.denied, 1);
    assert_non_null(strstr(stats.denial, "NOPERM"));
    assert_false(redis_store_is_refused(bench->store, STORE_BANK_DURABLE));
    assert_string_equal(redis_server_cli(&server, "acl deluser lead"), "1"); /* and cuts it off */
    assert_true(bench_until_up(bench, false));
    assert_true(bench_until(bench, &bench->lost, 6));
    assert_true(redis_store_is_refused(bench->store, STORE_BANK_DURABLE));
    bench_free(bench);
}

static void lost_functions_are_loaded_again(void **state)
{
    (void)state;
    struct redis_bench *bench = connected(server.url);
    uint64_t loads = redis_store_stats(bench->store).function_loads;
    assert_string_equal(redis_server_cli(&server, "function flush"), "OK");
    for (int i = 0; i < 50; i++)
        assert_true(bench_submit(bench, i % 2 ? &get_op : &put_op));
    assert_true(bench_until(bench, &bench->replies, 50));
    assert_int_equal(bench->verdicts[STORE_OK], 50);
    assert_int_equal(redis_store_stats(bench->store).function_loads, loads + 1);
    EXPECT(bench, &put_op, STORE_OK);
    bench_free(bench);
}

static void an_older_revision_is_replaced(void **state)
{
    (void)state;
    assert_string_equal(
        redis_server_cli(&server, "function load replace \"#!lua name=mesh_v1\nredis.register_"
                                  "function{function_name='mesh_v1_revision', callback=function() "
                                  "return 0 end, flags={'no-writes'}}\""),
        "mesh_v1");
    struct redis_bench *bench = connected(server.url);
    assert_int_equal(redis_store_stats(bench->store).function_loads, 1);
    EXPECT(bench, &put_op, STORE_OK);
    bench_free(bench);
}

static void servers_states_have_verdicts(void **state)
{
    (void)state;
    struct redis_bench *bench = connected(server.url);
    struct store_op job = {.kind = STORE_ENQUEUE, .shard = "s", .key = "q", .id = "j", .limit = 9};
    struct store_op claim = {.kind = STORE_CLAIM,
                             .shard = "s",
                             .key = "q",
                             .owner = "w",
                             .limit = 1,
                             .ttl_us = US_PER_S};
    struct store_op finish = {
        .kind = STORE_FINISH, .shard = "s", .key = "q", .id = "j", .owner = "w", .attempt = 1};
    EXPECT(bench, &put_op, STORE_OK);
    EXPECT(bench, &job, STORE_OK);
    EXPECT(bench, &claim, STORE_OK);
    assert_string_equal(redis_server_cli(&server, "config set maxmemory 1"), "OK");
    EXPECT(bench, &put_op, STORE_FULL);
    assert_non_null(strstr(bench->last.reply.detail, "OOM"));
    EXPECT(bench, &get_op, STORE_OK);
    EXPECT(bench, &finish, STORE_OK); /* what makes room must work without room */
    assert_string_equal(redis_server_cli(&server, "config set maxmemory 0"), "OK");
    assert_string_equal(redis_server_cli(&server, "replicaof 127.0.0.1 1"), "OK");
    EXPECT(bench, &put_op, STORE_READONLY);
    EXPECT(bench, &get_op, STORE_OK);
    assert_string_equal(redis_server_cli(&server, "replicaof no one"), "OK");
    EXPECT(bench, &put_op, STORE_OK);
    bench_free(bench);
}

static void hands_in_the_data_do_no_harm(void **state)
{
    (void)state;
    struct redis_bench *bench = connected(server.url);
    struct store_op odd = {.kind = STORE_GET, .shard = "hand", .key = "odd"};
    struct store_op put = put_op,
                    scan = {.kind = STORE_SCAN, .shard = "hand", .collection = "all", .limit = 64};
    put.shard = "hand";
    put.collection = "all";
    EXPECT(bench, &put, STORE_OK);
    redis_server_cli(&server, "set 'mesh:{hand}:odd' text");
    redis_server_cli(&server, "zadd 'mesh.set:{hand}:all' 7 odd 8 gone 9.5 fraction");
    redis_server_cli(&server, "hset 'mesh:{hand}:k' g 12345678901234567890123456789012345678901234"
                              "567890123456789012345 Upper 2 epoch many");
    EXPECT(bench, &odd, STORE_UNKNOWN);
    assert_non_null(strstr(bench->last.reply.detail, "WRONGTYPE"));
    EXPECT(bench, &scan, STORE_OK);
    assert_int_equal(bench->last.reply.row_count, 1);
    assert_string_equal(bench->last.reply.rows[0].key, "k");
    odd.key = "k";
    EXPECT(bench, &odd, STORE_OK);
    assert_int_equal(bench->last.reply.rows[0].field_count, 3); /* without the long one */
    assert_int_equal(bench->last.reply.epoch, 0);
    bench_free(bench);
}

/* The server does not look at what is in a blob: whoever gets one asks whether it is what its key
 * names (content_sound). */
static void a_blob_is_given_as_it_lies(void **state)
{
    (void)state;
    struct redis_bench *bench = connected(server.url);
    const uint8_t body[] = "what it is";
    struct store_op put = {.kind = STORE_BLOB_PUT,
                           .shard = "mesh",
                           .total_bytes = sizeof(body),
                           .body = body,
                           .body_bytes = sizeof(body)};
    struct store_op get = {.kind = STORE_BLOB_GET, .shard = "mesh"};
    char words[200] = "hset 'mesh.blob:{";
    for (unsigned i = 0; i < sizeof(put.hash); i++) {
        put.hash[i] = get.hash[i] = 0xab;
        strcat(words, "ab");
    }
    strcat(words, "}' c0 'nothing of'");
    EXPECT(bench, &put, STORE_OK);
    assert_string_equal(redis_server_cli(&server, words), "0");
    EXPECT(bench, &get, STORE_OK);
    assert_int_equal(bench->last.reply.body_bytes, strlen("nothing of"));
    assert_memory_equal(bench->last.reply.body, "nothing of", strlen("nothing of"));
    EXPECT(bench, &put, STORE_OK); /* put again it is mended */
    EXPECT(bench, &get, STORE_OK);
    assert_int_equal(bench->last.reply.body_bytes, sizeof(body));
    assert_memory_equal(bench->last.reply.body, body, sizeof(body));
    EXPECT(bench, &put, STORE_EXISTS);
    bench_free(bench);
}

static void limits_refuse_later(void **state)
{
    (void)state;
    struct redis_store_conf conf = conf_for(server.url);
    conf.in_flight_max = 10;
    struct redis_bench *bench = bench_new(&conf);
    assert_true(bench_until_up(bench, true));
    for (int i = 0; i < 15; i++)
        assert_true(bench_submit(bench, &put_op));
    assert_int_equal(bench->replies, 0);
    assert_int_equal(redis_store_stats(bench->store).in_flight, 10);
    assert_true(bench_until(bench, &bench->replies, 15));
    assert_int_equal(bench->verdicts[STORE_OK], 10);
    assert_int_equal(bench->verdicts[STORE_BUSY], 5);
    assert_int_equal(redis_store_stats(bench->store).in_flight, 0);
    assert_int_equal(redis_store_stats(bench->store).in_flight_bytes, 0);
    struct store_op invalid = {.kind = STORE_GET};
    unsigned accepted = 0;
    for (int i = 0; i < 5000; i++)
        accepted += bench_submit(bench, &invalid);
    assert_int_equal(accepted, 4096);
    assert_int_equal(redis_store_stats(bench->store).dropped, 5000 - 4096);
    assert_true(bench_until(bench, &bench->replies, 15 + 4096));
    assert_int_equal(bench->verdicts[STORE_INVALID], 4096);
    assert_false(bench->reentered);
    bench_free(bench);
    conf.in_flight_max = 0;
    conf.in_flight_bytes_max = 400; /* two puts */
    bench = bench_new(&conf);
    assert_true(bench_until_up(bench, true));
    for (int i = 0; i < 20; i++)
        assert_true(bench_submit(bench, &put_op));
    assert_true(bench_until(bench, &bench->replies, 20));
    assert_true(bench->verdicts[STORE_OK] > 0 && bench->verdicts[STORE_OK] < 10);
    assert_int_equal(bench->verdicts[STORE_OK] + bench->verdicts[STORE_BUSY], 20);
    bench_free(bench);
}

static void closing_answers_nothing(void **state)
{
    (void)state;
    struct redis_bench *bench = connected(server.url);
    for (int i = 0; i < 100; i++)
        assert_true(bench_submit(bench, &put_op));
    redis_store_close(bench->store, bench_on_closed);
    while (!bench->closed)
        uv_run(&bench->loop, UV_RUN_ONCE);
    assert_int_equal(bench->replies, 0);
    bench_free(bench);
    struct redis_store_conf conf = conf_for("redis://name.invalid");
    bench = bench_new(&conf); /* while a name is being looked up */
    uv_run(&bench->loop, UV_RUN_NOWAIT);
    bench_free(bench);
}

static void a_killed_server_is_noticed(void **state)
{
    (void)state;
    struct redis_bench *bench = connected(server.url);
    struct store_op lease = {.kind = STORE_LEASE_ACQUIRE,
                             .shard = "s",
                             .key = "l",
                             .owner = "o",
                             .ttl_us = 1000,
                             .epoch = 0};
    EXPECT(bench, &lease, STORE_OK);
    uint64_t epoch = bench->last.reply.epoch;
    unsigned before = bench->replies;
    redis_server_stop(&server);
    for (int i = 0; i < 500; i++)
        assert_true(bench_submit(bench, &put_op));
    for (int i = 0; i < 5; i++)
        uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_int_equal(bench->replies, before);
    redis_server_kill(&server);
    assert_true(bench_until(bench, &bench->replies, before + 500));
    assert_int_equal(bench->verdicts[STORE_UNKNOWN], 500);
    assert_non_null(bench->last.reply.detail);
    assert_false(bench->up[0] || bench->up[1] || bench->up[2]);
    EXPECT(bench, &put_op, STORE_UNKNOWN);
    assert_string_equal(bench->last.reply.detail, "redis: not connected");
    redis_server_start(&server);
    assert_true(bench_until_up(bench, true));
    EXPECT(bench, &put_op, STORE_OK);
    EXPECT(bench, &lease, STORE_OK);
    assert_true(bench->last.reply.epoch > epoch); /* the disk kept it */
    bench_free(bench);
}

static void a_stalled_server_is_given_up(void **state)
{
    (void)state;
    struct redis_store_conf conf = conf_for(server.url);
    conf.op_timeout_us = US_PER_S / 2;
    struct redis_bench *bench = bench_new(&conf);
    assert_true(bench_until_up(bench, true));
    redis_server_stop(&server);
    EXPECT(bench, &put_op, STORE_UNKNOWN);
    assert_non_null(strstr(bench->why, "in time"));
    kill(server.pid, SIGCONT);
    assert_true(bench_until_up(bench, true));
    EXPECT(bench, &put_op, STORE_OK);
    /* Nothing in flight: found by a ping. */
    redis_server_stop(&server);
    assert_true(bench_until_up(bench, false));
    kill(server.pid, SIGCONT);
    assert_true(bench_until_up(bench, true));
    bench_free(bench);
}

static void a_server_may_appear_later(void **state)
{
    (void)state;
    struct redis_server late;
    redis_server_reserve(&late);
    struct redis_store_conf conf = conf_for(late.url);
    struct redis_bench *bench = bench_new(&conf);
    assert_true(bench_until(bench, &bench->lost, 3));
    EXPECT(bench, &put_op, STORE_UNKNOWN);
    while (redis_store_stats(bench->store).losses < 4)
        uv_run(&bench->loop, UV_RUN_ONCE);
    assert_int_equal(bench->lost, 3); /* once for each bank, not for each attempt */
    redis_server_start(&late);
    assert_true(bench_until_up(bench, true));
    assert_int_equal(redis_store_stats(bench->store).function_loads, 1);
    EXPECT(bench, &put_op, STORE_OK);
    bench_free(bench);
    redis_server_remove(&late);
}

/* A server that greets as Redis does, and answers the first operation with these bytes; `reset`
 * ends the connection with an RST after that, else it stays open until the client leaves. */
static pid_t liar_start(const char *bytes, size_t count, bool reset, char *url, size_t url_bytes)
{
    int port, listener = listen_anywhere(&port);
    snprintf(url, url_bytes, "redis://127.0.0.1:%d", port);
    pid_t pid = fork();
    if (pid != 0) {
        close(listener);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        static char heard[65536];
        size_t used = 0;
        int fd = accept(listener, NULL, NULL);
        bool greeted = false;
        for (;;) {
            ssize_t got = read(fd, heard + used, sizeof heard - 1 - used);
            if (got <= 0)
                break;
            used += (size_t)got;
            heard[used] = '\0';
            if (!greeted && strstr(heard, "mesh_v1_revision\r\n$1\r\n0\r\n")) {
                char welcome[32];
                int bytes_out =
                    snprintf(welcome, sizeof welcome, "+OK\r\n:%d\r\n", FUNCTIONS_REVISION);
                greeted = true;
                used = 0;
                if (write(fd, welcome, (size_t)bytes_out) != bytes_out)
                    break;
            } else if (greeted) {
                if (write(fd, bytes, count) != (ssize_t)count)
                    break;
                used = 0;
                if (reset)
                    break;
            }
        }
        if (reset) {
            struct linger linger = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        }
        close(fd);
    }
}

/* One operation to a liar: it is answered once, and the store survives it. `lost`: words in the
 * reason for which the connection is given up; NULL when it is kept. */
static void lie(const char *bytes, size_t count, bool reset, const struct store_op *op,
                enum store_verdict wanted, const char *lost)
{
    char url[64];
    pid_t pid = liar_start(bytes, count, reset, url, sizeof url);
    struct redis_store_conf conf = conf_for(url);
    conf.op_timeout_us = count < 8 ? US_PER_S : 5 * US_PER_S; /* a flood takes a while */
    struct redis_bench *bench = bench_new(&conf);
    assert_true(bench_until_up(bench, true));
    EXPECT(bench, op, wanted);
    if (wanted != STORE_OK)
        assert_non_null(bench->last.reply.detail);
    if (lost) {
        assert_true(bench_until(bench, &bench->lost, 3));
        if (!strstr(bench->why, lost))
            fprintf(stderr, "lost for: %s\n", bench->why);
        assert_non_null(strstr(bench->why, lost));
    } else {
        assert_true(bench->up[0]);
    }
    assert_int_equal(bench->replies, 1);
    bench_free(bench);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

#define LIE(text, op, wanted, lost) lie(text, sizeof(text) - 1, false, op, wanted, lost)

static void lies_are_survived(void **state)
{
    (void)state;
    static char flood[20u << 20];
    const char *const protocol = "outside the protocol or too large";
    LIE("garbage\r\n", &put_op, STORE_UNKNOWN, protocol);
    LIE("HTTP/1.1 400 Bad Request\r\n\r\n", &get_op, STORE_UNKNOWN, protocol);
    LIE("*2147483647\r\n", &get_op, STORE_UNKNOWN, protocol);
    LIE("*299999999\r\n+-\r\n+\r\n", &get_op, STORE_UNKNOWN, protocol);
    LIE("*-5\r\n", &get_op, STORE_UNKNOWN, protocol);
    LIE("$-7\r\n", &get_op, STORE_UNKNOWN, protocol);
    LIE("$99999999999999999999\r\n", &get_op, STORE_UNKNOWN, protocol);
    LIE("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", &get_op,
        STORE_UNKNOWN, protocol);
    LIE("$10\r\n", &get_op, STORE_UNKNOWN, "no answer in time");
    LIE("+OK\r\n", &put_op, STORE_UNKNOWN, NULL);
    LIE("$-1\r\n", &get_op, STORE_UNKNOWN, NULL);
    LIE(":1\r\n:1\r\n:1\r\n", &put_op, STORE_OK, "nobody asked for");
    LIE("-LOADING Redis is loading\r\n", &put_op, STORE_BUSY, NULL);
    lie("", 0, true, &put_op, STORE_UNKNOWN, "");
    lie("*2\r\n$1", 7, true, &get_op, STORE_UNKNOWN, "");
    /* A string without an end, and small objects without an end. */
    memcpy(flood, "$2147483647\r\n", 13);
    lie(flood, sizeof flood, false, &get_op, STORE_UNKNOWN, "an answer too large");
    size_t used = (size_t)sprintf(flood, "*60000\r\n");
    for (int i = 0; i < 60000; i++)
        used += (size_t)sprintf(flood + used, "*2\r\n$-1\r\n$-1\r\n");
    lie(flood, used, false, &get_op, STORE_UNKNOWN, protocol);
}

/* Any well-formed answer to any kind: a verdict of the contract, and details where they belong. */
static void every_shape_for_every_kind(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "+OK\r\n",
        "-ERR no\r\n",
        "-\r\n",
        ":0\r\n",
        ":1\r\n",
        ":-3\r\n",
        ":9999999999\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "$1\r\n1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*0\r\n",
        "*2\r\n:1\r\n$1\r\n5\r\n",
        "*2\r\n:1\r\n$2\r\n-5\r\n",
        "*2\r\n:77\r\n$1\r\n5\r\n",
        "*2\r\n$1\r\na\r\n*1\r\n$-1\r\n",
        "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*2\r\n$1\r\na\r\n$3\r\nnan\r\n",
        "*3\r\n:1\r\n$1\r\n0\r\n*0\r\n",
        "*3\r\n:1\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n",
        "*3\r\n:1\r\n$1\r\n0\r\n*2\r\n:5\r\n*0\r\n",
        "*2\r\n:1\r\n*3\r\n$1\r\na\r\n:-1\r\n$1\r\nb\r\n",
        "*2\r\n:1\r\n*3\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n",
        "*1\r\n*2\r\n$3\r\n1-1\r\n*1\r\n:1\r\n",
        "*1\r\n*2\r\n$1\r\nx\r\n*0\r\n",
        "*1\r\n*2\r\n$21\r\n99999999999999999999-\r\n*0\r\n",
        "*3\r\n:1\r\n:5\r\n*0\r\n",
        "*3\r\n:1\r\n$-1\r\n$1\r\na\r\n"};
    static struct redis_scratch scratch;
    redisReader *reader = redisReaderCreate();
    unsigned unknown = 0, total = 0;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        for (int kind = 1; kind < STORE_KIND_COUNT; kind++, total++) {
            void *answer = NULL;
            struct store_reply reply;
            redisReaderFeed(reader, answers[i], strlen(answers[i]));
            assert_int_equal(redisReaderGetReply(reader, &answer), REDIS_OK);
            assert_non_null(answer);
            redis_command_decode((enum store_kind)kind, answer, &scratch, &reply);
            assert_int_equal(reply.kind, kind);
            assert_true(reply.verdict >= STORE_OK && reply.verdict < STORE_VERDICT_COUNT);
            if (reply.verdict == STORE_UNKNOWN) {
                assert_non_null(reply.detail);
                unknown++;
            }
            freeReplyObject(answer);
        }
    }
    redisReaderFree(reader);
    assert_true(unknown > total / 2 && unknown < total);
}

static void errors_have_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum store_verdict verdict;
    } errors[] = {{"-OOM command not allowed\r\n", STORE_FULL},
                  {"-READONLY You can't write\r\n", STORE_READONLY},
                  {"-MISCONF Redis is configured to save\r\n", STORE_READONLY},
                  {"-LOADING Redis is loading\r\n", STORE_BUSY},
                  {"-BUSY Redis is busy running a script\r\n", STORE_BUSY},
                  {"-TRYAGAIN Multiple keys\r\n", STORE_BUSY},
                  {"-NOPERM this user\r\n", STORE_UNKNOWN},
                  {"-BUSYGROUP exists\r\n", STORE_UNKNOWN},
                  {"-WRONGTYPE Operation against\r\n", STORE_UNKNOWN}};
    static struct redis_scratch scratch;
    redisReader *reader = redisReaderCreate();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        void *answer = NULL;
        struct store_reply reply;
        redisReaderFeed(reader, errors[i].text, strlen(errors[i].text));
        assert_int_equal(redisReaderGetReply(reader, &answer), REDIS_OK);
        redis_command_decode(STORE_PUT, answer, &scratch, &reply);
        assert_int_equal(reply.verdict, errors[i].verdict);
        assert_non_null(reply.detail);
        freeReplyObject(answer);
    }
    redisReaderFree(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_those_of_the_lua_file),
        cmocka_unit_test(urls),
        cmocka_unit_test(every_shape_for_every_kind),
        cmocka_unit_test(errors_have_verdicts),
        cmocka_unit_test(lies_are_survived),
        cmocka_unit_test(banks_share_connections),
        cmocka_unit_test(passwords),
        cmocka_unit_test(denied_operations),
        cmocka_unit_test(lost_functions_are_loaded_again),
        cmocka_unit_test(an_older_revision_is_replaced),
        cmocka_unit_test(servers_states_have_verdicts),
        cmocka_unit_test(hands_in_the_data_do_no_harm),
        cmocka_unit_test(a_blob_is_given_as_it_lies),
        cmocka_unit_test(limits_refuse_later),
        cmocka_unit_test(closing_answers_nothing),
        cmocka_unit_test(a_killed_server_is_noticed),
        cmocka_unit_test(a_stalled_server_is_given_up),
        cmocka_unit_test(a_server_may_appear_later),
    };
    return cmocka_run_group_tests_name("redis store", tests, start_server, stop_server);
}
