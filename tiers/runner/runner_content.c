/* The contexts that this process's agents hold (core/content.h): one copy each, however many hold
 * it. One that came with an operation is put into the registry before anybody says READY; one that
 * was asked for by its key comes from a neighbour, by way of the agent's lead, or from there, and
 * is held only when its bytes hash to that key.
 *
 * RUNNER_CONTENTS_MAX at a time: one more takes the place of one that no agent here holds, or is
 * FAILED. Whenever the store comes back, and every KEEP_US, what is held is put there again, so
 * that a registry that has lost a context gets it from those that have it. */
#include "core/content.h"
#include "core/text.h"
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_US (6 * 3600 * US_PER_S) /* far below the life of a blob (BLOB_COMPLETE_S) */

struct held {
    uint8_t hash[CONTENT_HASH];
    uint8_t *bytes; /* NULL: not here yet, or found spoilt */
    uint32_t count;
    uint32_t holders; /* agents */
    bool used, busy;  /* busy: the store is asked */
    bool stored;      /* it is in the registry */
    int64_t put_us;   /* when it was put there */
    struct work *waiting;
};

static void digest(const uint8_t *bytes, uint32_t count, uint8_t ret[CONTENT_HASH])
{
    (void)crypto_generichash(ret, CONTENT_HASH, bytes, count, NULL, 0);
}

static bool sound(const struct held *h)
{
    return h->bytes != NULL && content_sound(digest, h->hash, h->bytes, h->count);
}

static void drop(struct held *h)
{
    free(h->bytes);
    h->bytes = NULL;
    h->count = 0;
    h->stored = false;
}

static bool ask(struct runner *r, uint32_t slot)
{
    struct held *h = &r->contents[slot];
    struct store_op op = {.kind = h->bytes != NULL ? STORE_BLOB_PUT : STORE_BLOB_GET,
                          .shard = "mesh",
                          .total_bytes = h->count,
                          .body = h->bytes,
                          .body_bytes = h->count};
    memcpy(op.hash, h->hash, sizeof(op.hash));
    uint64_t tag = (uint64_t)RUNNER_TAG_CONTENT << 32 | slot;
    h->busy = r->conf.store != NULL && r->conf.store(r->conf.store_ctx, &op, (void *)tag);
    return h->busy;
}

/* ---- those that wait ---- */

static void unlink_work(struct runner *r, struct work *w)
{
    struct work **at = &r->contents[w->content - 1u].waiting;
    while (*at != NULL && *at != w) {
        at = &(*at)->content_next;
    }
    if (*at == w) {
        *at = w->content_next;
    }
    w->content_next = NULL;
}

/* Its answer is due at once, from the heap: never from inside the call that began it. */
static void settle(struct runner *r, struct work *w, enum outcome verdict, const char *why)
{
    const struct held *h = &r->contents[w->content - 1u];
    char key[CONTENT_REF_BYTES + 1] = "", text[240];
    content_ref_format(h->hash, (uint8_t *)key);
    unlink_work(r, w);
    w->verdict = verdict;
    w->reason = verdict == OUTCOME_FAILED ? REASON_HANDLER : REASON_NONE;
    int n = verdict == OUTCOME_READY
                ? snprintf(text, sizeof(text), "%s %u bytes", key, (unsigned)h->count)
                : snprintf(text, sizeof(text), "%s: %s", key, why);
    runner_work_text(w, (const uint8_t *)text, n > 0 ? (size_t)n : 0);
    if (verdict != OUTCOME_READY || w->content_only_put) {
        w->content = 0;
    }
    if (!timers_soon(&r->timers, &w->timer, clock_boot_us())) {
        r->stats.memory_refused++;
    }
}

static void settle_all(struct runner *r, uint32_t slot, enum outcome verdict, const char *why)
{
    struct held *h = &r->contents[slot];
    while (h->waiting != NULL) {
        settle(r, h->waiting, verdict, why);
    }
}

/* Those that are only to hold it: whether the registry has it, too, is seen to later. */
static void settle_holders(struct runner *r, uint32_t slot)
{
    struct work *next = NULL;
    for (struct work *w = r->contents[slot].waiting; w != NULL; w = next) {
        next = w->content_next;
        if (w->op.kind == WORK_CONTEXT) {
            settle(r, w, OUTCOME_READY, "");
        }
    }
}

/* The next step for those that wait: fetch, put, or done. */
static void advance(struct runner *r, uint32_t slot)
{
    struct held *h = &r->contents[slot];
    if (h->bytes != NULL && !h->busy && !sound(h)) {
        drop(h);
    }
    if (sound(h)) {
        settle_holders(r, slot);
    }
    if (h->busy || h->waiting == NULL) {
        return;
    }
    if (h->bytes != NULL && h->stored) {
        settle_all(r, slot, OUTCOME_READY, "");
    } else if (!ask(r, slot)) {
        settle_all(r, slot, OUTCOME_FAILED, "the registry is not connected");
    }
}

/* ---- the table ---- */

static uint32_t slot_for(struct runner *r, const uint8_t hash[CONTENT_HASH])
{
    uint32_t spare = RUNNER_CONTENTS_MAX;
    for (uint32_t i = 0; i < RUNNER_CONTENTS_MAX; i++) {
        const struct held *h = &r->contents[i];
        if (h->used && memcmp(h->hash, hash, sizeof(h->hash)) == 0) {
            return i;
        }
        bool idle = h->holders == 0 && h->waiting == NULL && !h->busy;
        bool better = spare == RUNNER_CONTENTS_MAX || (!h->used && r->contents[spare].used);
        spare = idle && better ? i : spare;
    }
    if (spare < RUNNER_CONTENTS_MAX) {
        drop(&r->contents[spare]);
        r->contents[spare] = (struct held){.used = true};
        memcpy(r->contents[spare].hash, hash, CONTENT_HASH);
    }
    return spare;
}

void runner_content_want(struct runner *r, struct work *w, const uint8_t hash[32],
                         const uint8_t *bytes, uint32_t count)
{
    static const char full[] = "this process holds as many contexts as it can";
    assert(r != NULL && w != NULL && w->content == 0 && count <= CONTENT_BYTES_MAX);
    if (r->contents == NULL) {
        r->contents = calloc(RUNNER_CONTENTS_MAX, sizeof(*r->contents));
    }
    uint32_t slot = r->contents != NULL ? slot_for(r, hash) : RUNNER_CONTENTS_MAX;
    if (slot == RUNNER_CONTENTS_MAX) {
        w->verdict = OUTCOME_FAILED;
        w->reason = REASON_OVERLOAD;
        runner_work_text(w, (const uint8_t *)full, sizeof(full) - 1);
        (void)timers_soon(&r->timers, &w->timer, clock_boot_us());
        return;
    }
    struct held *h = &r->contents[slot];
    if (w->op.kind == WORK_CONTEXT && count > 0 && !content_sound(digest, hash, bytes, count)) {
        r->stats.contents_refused++;
        bytes = NULL;
    }
    if (h->bytes != NULL && bytes != NULL && !h->busy && !sound(h)) {
        drop(h);
    }
    h->stored = h->stored && !w->content_only_put; /* an order: what lies there may have rotted */
    if (h->bytes == NULL && bytes != NULL && (h->bytes = malloc(count)) != NULL) {
        memcpy(h->bytes, bytes, count); /* of a load: checked when the operation came in */
        h->count = count;
    }
    w->content = slot + 1u;
    w->content_next = h->waiting;
    h->waiting = w;
    advance(r, slot);
}

void runner_content_reply(struct runner *r, uint32_t slot, const struct store_reply *reply)
{
    assert(r->contents != NULL && slot < RUNNER_CONTENTS_MAX);
    struct held *h = &r->contents[slot];
    bool good = reply->verdict == STORE_OK || reply->verdict == STORE_EXISTS;
    h->busy = false;
    if (reply->kind == STORE_BLOB_PUT) {
        h->stored = good && h->bytes != NULL;
        h->put_us = clock_boot_us();
    } else if (h->bytes == NULL) {
        bool whole = good && reply->body_bytes == reply->total_bytes && reply->body_bytes > 0;
        h->bytes = whole ? malloc(reply->body_bytes) : NULL;
        if (h->bytes != NULL) {
            memcpy(h->bytes, reply->body, reply->body_bytes);
            h->count = reply->body_bytes;
            h->stored = true;
            h->put_us = clock_boot_us();
        }
        if (h->bytes != NULL && !sound(h)) {
            drop(h);
            settle_all(r, slot, OUTCOME_CONFLICT, "the registry's bytes are not those of its hash");
            return;
        }
    } else {
        good = true; /* it came with an operation meanwhile: it is put */
    }
    if (good && (h->bytes != NULL || reply->kind == STORE_BLOB_PUT)) {
        advance(r, slot);
    } else {
        settle_all(r, slot, OUTCOME_FAILED,
                   reply->verdict == STORE_MISSING ? "the registry does not have it"
                   : reply->detail != NULL         ? reply->detail
                                                   : "the registry does not take or give it");
    }
}

const uint8_t *runner_content_bytes(struct runner *r, const uint8_t hash[32], uint32_t *ret_count)
{
    for (uint32_t i = 0; r->contents != NULL && i < RUNNER_CONTENTS_MAX; i++) {
        const struct held *h = &r->contents[i];
        if (h->used && memcmp(h->hash, hash, sizeof(h->hash)) == 0 && sound(h)) {
            *ret_count = h->count;
            return h->bytes;
        }
    }
    *ret_count = 0;
    return NULL;
}

/* ---- the agents ---- */

void runner_content_leave(struct runner *r, struct node *n)
{
    if (n->content != 0) {
        assert(r->contents[n->content - 1u].holders > 0);
        r->contents[n->content - 1u].holders--;
        n->content = 0;
    }
}

void runner_content_adopt(struct runner *r, struct node *n, struct work *w)
{
    if (n->content == w->content) {
        return;
    }
    runner_content_leave(r, n);
    n->content = w->content;
    r->contents[n->content - 1u].holders++;
    n->context_hash = content_name(r->contents[n->content - 1u].hash);
}

void runner_content_forget(struct runner *r, struct work *w)
{
    if (w->content != 0) {
        unlink_work(r, w);
        w->content = 0;
    }
}

bool runner_content_verify(struct runner *r, struct node *n, uint32_t *ret_bytes)
{
    assert(n->content != 0);
    struct held *h = &r->contents[n->content - 1u];
    *ret_bytes = h->count;
    if (sound(h)) {
        return true;
    }
    drop(h); /* whoever holds it here finds out in the same way, or is told by its lead */
    runner_content_leave(r, n);
    memset(&n->context_hash, 0, sizeof(n->context_hash));
    return false;
}

void runner_contents_keep(struct runner *r, bool again)
{
    int64_t now_us = clock_boot_us();
    for (uint32_t i = 0; r->contents != NULL && i < RUNNER_CONTENTS_MAX; i++) {
        struct held *h = &r->contents[i];
        bool due = again || !h->stored || now_us - h->put_us >= KEEP_US;
        if (h->holders > 0 && !h->busy && due && sound(h)) {
            h->stored = false;
            (void)ask(r, i);
        }
    }
}

void runner_contents_free(struct runner *r)
{
    for (uint32_t i = 0; r->contents != NULL && i < RUNNER_CONTENTS_MAX; i++) {
        free(r->contents[i].bytes);
    }
    free(r->contents);
    r->contents = NULL;
}
