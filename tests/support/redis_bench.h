/* A loop with one Redis store on it, used by tests as if it were synchronous. */
#ifndef TESTS_SUPPORT_REDIS_BENCH_H
#define TESTS_SUPPORT_REDIS_BENCH_H

#include "registry/redis.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* A reply that outlives the call that brought it. */
struct kept_reply {
    struct store_reply reply;
    struct store_row rows[STORE_ROWS_MAX];
    struct store_field fields[STORE_ROWS_MAX * STORE_FIELDS_MAX];
    char detail[200];
    size_t used;
    char room[4u << 20];
};

static inline const void *keep(struct kept_reply *kept, const void *bytes, size_t count)
{
    char *at = kept->room + kept->used;
    if (kept->used + count + 1 > sizeof kept->room)
        abort();
    if (count > 0)
        memcpy(at, bytes, count);
    at[count] = '\0';
    kept->used += count + 1;
    return at;
}

static inline void keep_reply(struct kept_reply *kept, const struct store_reply *reply)
{
    uint32_t field = 0;
    kept->used = 0;
    kept->reply = *reply;
    kept->reply.rows = kept->rows;
    if (reply->detail) {
        snprintf(kept->detail, sizeof kept->detail, "%s", reply->detail);
        kept->reply.detail = kept->detail;
    }
    if (reply->body)
        kept->reply.body = keep(kept, reply->body, reply->body_bytes);
    for (uint32_t i = 0; i < reply->row_count; i++) {
        struct store_row *row = &kept->rows[i];
        *row = reply->rows[i];
        if (row->key)
            row->key = keep(kept, row->key, strlen(row->key));
        if (row->body_bytes > 0)
            row->body = keep(kept, row->body, row->body_bytes);
        row->fields = &kept->fields[field];
        for (uint32_t j = 0; j < row->field_count; j++) {
            const struct store_field *from = &reply->rows[i].fields[j];
            kept->fields[field++] =
                (struct store_field){.name = keep(kept, from->name, strlen(from->name)),
                                     .value = keep(kept, from->value, from->value_bytes),
                                     .value_bytes = from->value_bytes};
        }
    }
}

/* A loop with one Redis store. */
struct redis_bench {
    uv_loop_t loop;
    struct redis_store *store;
    bool up[STORE_BANK_COUNT];
    char why[200];
    unsigned lost; /* link-down reports */
    unsigned replies;
    unsigned verdicts[STORE_VERDICT_COUNT];
    bool inside_submit, reentered, closed;
    struct kept_reply last;
};

static inline void bench_on_reply(void *ctx, void *tag, const struct store_reply *reply)
{
    struct redis_bench *bench = ctx;
    bench->reentered |= bench->inside_submit;
    bench->replies++;
    bench->verdicts[reply->verdict]++;
    keep_reply(&bench->last, reply);
    if (tag)
        ++*(unsigned *)tag;
}

static inline void bench_on_link(void *ctx, enum store_bank bank, bool up, const char *why)
{
    struct redis_bench *bench = ctx;
    bench->up[bank] = up;
    bench->lost += !up;
    snprintf(bench->why, sizeof bench->why, "%s", why);
}

static inline void bench_on_closed(void *ctx)
{
    struct redis_bench *bench = ctx;
    bench->closed = true;
}

static inline struct redis_bench *bench_new(const struct redis_store_conf *conf)
{
    struct redis_bench *bench = calloc(1, sizeof *bench);
    if (!bench || uv_loop_init(&bench->loop) != 0 ||
        redis_store_new(&bench->loop, conf, bench_on_reply, bench_on_link, bench, &bench->store))
        abort();
    return bench;
}

/* Turns the loop until *counter reaches `wanted`; false after about ten seconds. */
static inline bool bench_until(struct redis_bench *bench, const unsigned *counter, unsigned wanted)
{
    uint64_t end = uv_hrtime() + UINT64_C(10000000000);
    while (*counter < wanted && uv_hrtime() < end)
        uv_run(&bench->loop, UV_RUN_ONCE);
    return *counter >= wanted;
}

static inline bool bench_until_up(struct redis_bench *bench, bool up)
{
    uint64_t end = uv_hrtime() + UINT64_C(10000000000);
    while (bench->up[0] != up && uv_hrtime() < end)
        uv_run(&bench->loop, UV_RUN_ONCE);
    return bench->up[0] == up;
}

static inline bool bench_submit(struct redis_bench *bench, const struct store_op *op)
{
    bench->inside_submit = true;
    bool accepted = redis_store_submit(bench->store, op, NULL);
    bench->inside_submit = false;
    return accepted;
}

static inline const struct store_reply *bench_apply(struct redis_bench *bench,
                                                    const struct store_op *op)
{
    if (!bench_submit(bench, op) || !bench_until(bench, &bench->replies, bench->replies + 1)) {
        fprintf(stderr, "no reply to %s\n", store_kind_name(op->kind));
        abort();
    }
    return &bench->last.reply;
}

static inline void bench_free(struct redis_bench *bench)
{
    if (!bench->closed)
        redis_store_close(bench->store, bench_on_closed);
    while (!bench->closed)
        uv_run(&bench->loop, UV_RUN_ONCE);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&bench->loop) != 0)
        abort(); /* a handle was left open */
    free(bench);
}

#endif
