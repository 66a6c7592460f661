/* Bytes from elsewhere: subjects (H11), a Redis server that lies (H12), places, configuration and
 * key files. */
#include "tests/attacks/attacks.h"

#include "registry/redis.h"
#include "tiers/runner/config.h"
#include "tiers/runner/keyfiles.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

/* ---- subjects ---- */

static const char *subject(const char *text)
{
    struct route route;
    return subject_parse(text, &route) ? "ACCEPTED" : "subject";
}

#define SUBJECT(name, text)                                                                        \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        (void)w;                                                                                   \
        return subject(text);                                                                      \
    }
SUBJECT(subject_good, "mesh.p.cluster-1.0.host-1.0")
SUBJECT(subject_star, "mesh.p.cluster-1.0.*.0")
SUBJECT(subject_rest, "mesh.p.cluster-1.>")
SUBJECT(subject_all, ">")
SUBJECT(subject_empty_token, "mesh.p.cluster-1.0..0")
SUBJECT(subject_empty, "")
SUBJECT(subject_crlf, "mesh.p.cluster-1.0.host-1.0\r\nPUB x 1\r\nx")
SUBJECT(subject_zero, "mesh.p.cluster-1.00.host-1.0")
SUBJECT(subject_negative, "mesh.p.cluster-1.-1.host-1.0")
SUBJECT(subject_high, "mesh.p.cluster-1.32768.host-1.0")
SUBJECT(subject_more, "mesh.p.cluster-1.0.host-1.0.x")
SUBJECT(subject_capital, "mesh.p.Cluster-1.0.host-1.0")
SUBJECT(subject_broadcast_port, "mesh.all.host-1")

static const char *subject_4_kib(struct world *w)
{
    static char text[4200] = "mesh.p.";
    (void)w;
    memset(text + 7, 'a', 4096);
    return subject(text);
}

/* ---- a Redis server that lies ---- */

struct liar {
    uv_loop_t loop;
    uv_pipe_t listener, client;
    uv_timer_t guard;
    uv_write_t write;
    const char *answer;
    size_t bytes;
    bool connected, up, down, over;
    char why[160];
};

static struct liar liar;

static void on_room(uv_handle_t *h, size_t wanted, uv_buf_t *ret)
{
    static char room[65536];
    (void)h;
    (void)wanted;
    *ret = uv_buf_init(room, sizeof(room));
}

static void on_liar_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    (void)b;
    if (n < 0 && !uv_is_closing((uv_handle_t *)s))
        uv_close((uv_handle_t *)s, NULL);
}

static void on_connection(uv_stream_t *server, int status)
{
    if (status < 0 || liar.connected)
        return;
    liar.connected = true;
    (void)uv_pipe_init(&liar.loop, &liar.client, 0);
    if (uv_accept(server, (uv_stream_t *)&liar.client) < 0)
        return;
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)liar.answer, (unsigned)liar.bytes);
    (void)uv_write(&liar.write, (uv_stream_t *)&liar.client, &b, 1, NULL);
    (void)uv_read_start((uv_stream_t *)&liar.client, on_room, on_liar_read);
}

static void on_link(void *ctx, enum store_bank bank, bool up, const char *why)
{
    (void)ctx;
    (void)bank;
    liar.up = up;
    liar.down = liar.down || !up;
    (void)snprintf(liar.why, sizeof(liar.why), "%s", why);
}

static void on_reply(void *ctx, void *tag, const struct store_reply *reply)
{
    (void)ctx;
    (void)tag;
    (void)reply;
}

static void on_guard(uv_timer_t *t)
{
    (void)t;
    liar.over = true;
}

static const char *redis_says(const char *answer, size_t bytes)
{
    char path[64], url[80];
    struct redis_store *store;
    memset(&liar, 0, sizeof(liar));
    liar.answer = answer;
    liar.bytes = bytes;
    (void)snprintf(path, sizeof(path), "/tmp/mesh-liar-%ld.sock", (long)getpid());
    (void)snprintf(url, sizeof(url), "unix://%s", path);
    (void)unlink(path);
    struct redis_store_conf conf = {.registry_url = url};
    if (uv_loop_init(&liar.loop) < 0 || uv_pipe_init(&liar.loop, &liar.listener, 0) < 0 ||
        uv_pipe_bind(&liar.listener, path) < 0 ||
        uv_listen((uv_stream_t *)&liar.listener, 1, on_connection) < 0 ||
        redis_store_new(&liar.loop, &conf, on_reply, on_link, NULL, &store) < 0)
        return "no server";
    (void)uv_timer_init(&liar.loop, &liar.guard);
    (void)uv_timer_start(&liar.guard, on_guard, 9000, 0);
    while (!liar.down && !liar.over)
        (void)uv_run(&liar.loop, UV_RUN_ONCE);
    redis_store_close(store, NULL);
    uv_close((uv_handle_t *)&liar.listener, NULL);
    uv_close((uv_handle_t *)&liar.guard, NULL);
    if (liar.connected && !uv_is_closing((uv_handle_t *)&liar.client))
        uv_close((uv_handle_t *)&liar.client, NULL);
    (void)uv_run(&liar.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&liar.loop);
    (void)unlink(path);
    return liar.up ? "ACCEPTED" : liar.down ? "dropped" : "nothing happened";
}

#define REDIS(name, text)                                                                          \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        (void)w;                                                                                   \
        return redis_says(text, sizeof(text) - 1);                                                 \
    }
REDIS(redis_no_protocol, "HTTP/1.1 200 OK\r\n\r\n")
REDIS(redis_2_31, "*2147483648\r\n")
REDIS(redis_many, "*1000000\r\n")
REDIS(redis_long_bulk, "$536870913\r\n")
REDIS(redis_error, "+OK\r\n-ERR no such thing\r\n-ERR no such thing\r\n")
REDIS(redis_null, "+OK\r\n$-1\r\n*-1\r\n")
REDIS(redis_nested, "+OK\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n")
REDIS(redis_unasked, "+OK\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n")
REDIS(redis_wrong_type, "+OK\r\n$3\r\nabc\r\n")

/* ---- places, configuration, key files ---- */

static const char *place(struct world *w, const char *text)
{
    struct place_set set;
    size_t at;
    const char *why;
    return place_parse(text, strlen(text), &w->topology, &set, &at, &why) ? "ACCEPTED" : "place";
}

#define PLACE(name, text)                                                                          \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return place(w, text);                                                                     \
    }
PLACE(place_open, "s[01")
PLACE(place_huge, "s[1-99999999999999999999]")
PLACE(place_product,
      "s[1,2].c[1,2,3,4].a[1,2,3,4,5,6],s[1,2].c[1,2,3,4].a[1,3,5],s[1,2].c[1,3].a[2,4],s9")
PLACE(place_zero, "s0")
PLACE(place_beyond, "s01.c1.a61")

static const char *file_case(const char *text, mode_t mode, bool is_config)
{
    char path[64], dir[] = "/tmp";
    (void)snprintf(path, sizeof(path), "%s/mesh-attack-%ld", dir, (long)getpid());
    (void)unlink(path);
    FILE *out = fopen(path, "we");
    if (!out)
        return "no file";
    (void)fputs(text, out);
    (void)fclose(out);
    (void)chmod(path, mode);
    const char *why = "ACCEPTED";
    if (is_config) {
        static struct config config;
        struct config_options options = {.file = path};
        struct config_error error;
        if (!config_load(&options, 0, NULL, &config, &error))
            why = strstr(error.text, path) ? "config" : "config, without the file's name";
        else
            config_done(&config);
    } else {
        uint8_t secret[32];
        struct keys_error error;
        if (keyfile_get(path, "process-key", true, secret, sizeof(secret), &error) < 0)
            why = strstr(error.text, path) ? "key-file" : "key-file, without its name";
    }
    (void)unlink(path);
    return why;
}

#define FILE_CASE(name, text, mode, is_config)                                                     \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        (void)w;                                                                                   \
        return file_case(text, mode, is_config);                                                   \
    }
#define HEX_32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
FILE_CASE(key_good, "mesh30k process-key 1\n" HEX_32 "\n", 0600, false)
FILE_CASE(key_for_all, "mesh30k process-key 1\n" HEX_32 "\n", 0644, false)
FILE_CASE(key_of_group, "mesh30k process-key 1\n" HEX_32 "\n", 0640, false)
FILE_CASE(key_short, "mesh30k process-key 1\n0011\n", 0600, false)
FILE_CASE(key_kind, "mesh30k issuer-key 1\n" HEX_32 "\n", 0600, false)
FILE_CASE(key_tail, "mesh30k process-key 1\n" HEX_32 "\nmore\n", 0600, false)
FILE_CASE(config_plain_bus, "[mesh]\nnats_url = nats://127.0.0.1:4222\n", 0600, true)
FILE_CASE(config_plain_store, "[mesh]\nregistry_url = redis://127.0.0.1\n", 0600, true)
FILE_CASE(config_unknown, "[mesh]\ntls = off\n", 0600, true)
FILE_CASE(config_overflow, "[mesh]\nagents = 99999999999999999999\n", 0600, true)

static const struct attack list[] = {
    {"N00", "a good subject (the control)", subject_good, "ACCEPTED"},
    {"H11a", "a star in a subject", subject_star, "subject"},
    {"H11b", "> in a subject", subject_rest, "subject"},
    {"H11c", "> alone", subject_all, "subject"},
    {"H11d", "an empty token", subject_empty_token, "subject"},
    {"H11e", "a subject of 4 KiB", subject_4_kib, "subject"},
    {"H11f", "a line end in a subject", subject_crlf, "subject"},
    {"N01", "no subject", subject_empty, "subject"},
    {"N02", "a port with a zero before it", subject_zero, "subject"},
    {"N03", "a negative port", subject_negative, "subject"},
    {"N04", "a port beyond the range", subject_high, "subject"},
    {"N05", "a token too many", subject_more, "subject"},
    {"N06", "a capital", subject_capital, "subject"},
    {"N07", "a broadcast without a port", subject_broadcast_port, "subject"},
    {"H12a", "a multibulk of 2^31", redis_2_31, "dropped"},
    {"H12b", "an error where a number belongs", redis_error, "dropped"},
    {"H12c", "null where a number belongs", redis_null, "dropped"},
    {"H12d", "arrays in arrays in arrays", redis_nested, "dropped"},
    {"D01", "a web server", redis_no_protocol, "dropped"},
    {"D02", "a million parts", redis_many, "dropped"},
    {"D03", "a bulk of 512 MiB", redis_long_bulk, "dropped"},
    {"D04", "answers that nobody asked for", redis_unasked, "dropped"},
    {"D05", "a text where a number belongs", redis_wrong_type, "dropped"},
    {"I01", "an open bracket", place_open, "place"},
    {"I02", "a number of 20 digits", place_huge, "place"},
    {"I03", "more patterns than there may be, and one wrong", place_product, "place"},
    {"I04", "sector 0", place_zero, "place"},
    {"I05", "an agent beyond its cluster", place_beyond, "place"},
    {"K00", "a good key file (the control)", key_good, "ACCEPTED"},
    {"K01", "a key that all can read", key_for_all, "key-file"},
    {"K02", "a key that its group can read", key_of_group, "key-file"},
    {"K03", "a key cut off", key_short, "key-file"},
    {"K04", "a key of another kind", key_kind, "key-file"},
    {"K05", "something behind the key", key_tail, "key-file"},
    {"G01", "a bus in the clear", config_plain_bus, "config"},
    {"G02", "a store in the clear", config_plain_store, "config"},
    {"G03", "a switch that does not exist", config_unknown, "config"},
    {"G04", "a number that overflows", config_overflow, "config"},
};

struct attack_list attacks_inputs(void)
{
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}
