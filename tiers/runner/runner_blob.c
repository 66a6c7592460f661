/* Answers that are longer than an inline answer go to the store by their hash, chunk by chunk, one
 * chunk under way at a time; when all of it is there the work's answer is
 *
 *     blob:<64 hex digits> <count> bytes
 *     <the first bytes of it>
 *
 * so that equal contents are equal answers and fold. When the store does not take it, the answer
 * says so and shows the first bytes only. BLOBS_MAX uploads at a time; one more is answered like
 * one that failed. An upload whose work has gone ends by itself, without a word. */
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREVIEW_BYTES 400u

struct blob {
    struct work *work; /* NULL: the slot is free, or its work has gone */
    uint8_t *bytes;
    size_t count, at;
    uint8_t hash[32];
};

static uint32_t preview(const uint8_t *bytes, size_t count)
{
    size_t n = count < PREVIEW_BYTES ? count : PREVIEW_BYTES;
    while (n > 0 && n < count && (bytes[n] & 0xc0) == 0x80) {
        n--; /* not in the middle of a character */
    }
    return (uint32_t)n;
}

static void answer_with(struct runner *r, struct work *w, const struct blob *b, const char *head)
{
    char text[ANSWER_BYTES_MAX];
    uint32_t shown = preview(b->bytes, b->count);
    size_t used = strlen(head);
    assert(used + shown < sizeof(text));
    memcpy(text, head, used);
    memcpy(text + used, b->bytes, shown);
    runner_work_answer(r, w, (const uint8_t *)text, (uint32_t)(used + shown), NULL);
}

static void failed(struct runner *r, struct work *w, const struct blob *b, const char *why)
{
    char head[200];
    (void)snprintf(head, sizeof(head), "%zu bytes that the store did not take (%.60s):\n", b->count,
                   why);
    answer_with(r, w, b, head);
}

static bool put_next(struct runner *r, uint32_t slot)
{
    const struct blob *b = &r->blobs[slot];
    size_t left = b->count - b->at;
    struct store_op op = {
        .kind = STORE_BLOB_PUT,
        .shard = "mesh",
        .offset = b->at,
        .total_bytes = b->count,
        .body = b->bytes + b->at,
        .body_bytes = (uint32_t)(left < STORE_BLOB_CHUNK_MAX ? left : STORE_BLOB_CHUNK_MAX)};
    memcpy(op.hash, b->hash, sizeof(op.hash));
    uint64_t tag = (uint64_t)RUNNER_TAG_BLOB << 32 | slot;
    return r->conf.store != NULL && r->conf.store(r->conf.store_ctx, &op, (void *)(uintptr_t)tag);
}

static void slot_free(struct blob *b)
{
    free(b->bytes);
    *b = (struct blob){0};
}

void runner_blob_put(struct runner *r, struct work *w, const uint8_t *bytes, size_t count)
{
    uint32_t slot = 0;
    assert(count > ANSWER_BYTES_MAX && count <= STORE_BLOB_BYTES_MAX);
    if (r->blobs == NULL) {
        r->blobs = calloc(RUNNER_BLOBS_MAX, sizeof(*r->blobs));
    }
    while (r->blobs != NULL && slot < RUNNER_BLOBS_MAX && r->blobs[slot].bytes != NULL) {
        slot++;
    }
    struct blob given = {.bytes = (uint8_t *)(uintptr_t)bytes, .count = count};
    uint8_t *copy = r->blobs != NULL && slot < RUNNER_BLOBS_MAX ? malloc(count) : NULL;
    if (copy == NULL) {
        failed(r, w, &given, "too many uploads at once");
        return;
    }
    struct blob *b = &r->blobs[slot];
    memcpy(copy, bytes, count);
    *b = (struct blob){.work = w, .bytes = copy, .count = count};
    (void)crypto_generichash(b->hash, sizeof(b->hash), copy, count, NULL, 0);
    w->blob = slot + 1;
    if (!put_next(r, slot)) {
        w->blob = 0;
        failed(r, w, &given, "it is not connected");
        slot_free(b);
    }
}

void runner_blob_reply(struct runner *r, uint32_t slot, const struct store_reply *reply)
{
    assert(slot < RUNNER_BLOBS_MAX && r->blobs != NULL && r->blobs[slot].bytes != NULL);
    struct blob *b = &r->blobs[slot];
    struct work *w = b->work;
    bool good = reply->verdict == STORE_OK || reply->verdict == STORE_EXISTS;
    if (w == NULL) {
        slot_free(b);
        return;
    }
    size_t left = b->count - b->at;
    b->at += left < STORE_BLOB_CHUNK_MAX ? left : STORE_BLOB_CHUNK_MAX;
    if (good && b->at < b->count && put_next(r, slot)) {
        return;
    }
    struct blob done = *b;
    *b = (struct blob){0};
    w->blob = 0;
    if (good && done.at == done.count) {
        char hex[65], head[120];
        (void)sodium_bin2hex(hex, sizeof(hex), done.hash, sizeof(done.hash));
        (void)snprintf(head, sizeof(head), "blob:%s %zu bytes\n", hex, done.count);
        answer_with(r, w, &done, head);
    } else {
        failed(r, w, &done, reply->detail != NULL ? reply->detail : "it is not connected");
    }
    free(done.bytes);
}

void runner_blob_forget(struct runner *r, struct work *w)
{
    if (w->blob != 0) {
        r->blobs[w->blob - 1].work = NULL;
        w->blob = 0;
    }
}

void runner_blobs_free(struct runner *r)
{
    for (uint32_t i = 0; r->blobs != NULL && i < RUNNER_BLOBS_MAX; i++) {
        free(r->blobs[i].bytes);
    }
    free(r->blobs);
    r->blobs = NULL;
}
