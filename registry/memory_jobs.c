/* The store in memory: leases, queues and blobs. The rules are those of registry/mesh.lua, function
 * by function; the conformance suite holds both to them.
 *
 * A queue is four sorted sets of ids (ready by minus priority and number of arrival, claimed by
 * expiry, done and dead by number of ending) and one object per job. Whoever comes back into
 * `ready`, by expiry or by hand, goes to the end of its priority, so that a job that kills its
 * workers does not block the others.
 *
 * The budget admits jobs when they are enqueued. What happens to an admitted job later must not
 * fail for lack of budget, so those operations may overdraw it: by the growth of the sets, which
 * the number of admitted jobs bounds. */
#include "registry/keys.h"
#include "registry/memory.h"
#include "registry/memory_private.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READY_NAME_MAX (STORE_KEY_MAX + 17)

static void copy_name(char *to, const char *from)
{
    size_t bytes = strlen(from);
    assert(bytes < STORE_KEY_MAX);
    memcpy(to, from, bytes + 1);
}

static void refuse_budget(struct store_reply *reply)
{
    reply->verdict = STORE_FULL;
    reply->detail = "memory: the budget is used up";
}

/* Leases. */

static void lease_acquire(struct memory_store *store, const struct store_op *op,
                          struct store_reply *reply)
{
    struct object *object = object_make(store, OBJECT_LEASE, op->shard, op->key, NULL);
    if (!object) {
        refuse_budget(reply);
        return;
    }
    struct lease *lease = object->as.lease;
    bool held = lease->expires_us > store->now_us;
    if (held && strcmp(lease->owner, op->owner) != 0) {
        reply->verdict = STORE_BUSY;
        reply->epoch = lease->epoch;
        return;
    }
    if (!held)
        lease->epoch++;
    if (lease->epoch < op->epoch)
        lease->epoch = op->epoch;
    copy_name(lease->owner, op->owner);
    lease->expires_us = store->now_us + op->ttl_us;
    reply->verdict = STORE_OK;
    reply->epoch = lease->epoch;
}

void memory_lease(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    assert(store && op && reply);
    if (op->kind == STORE_LEASE_ACQUIRE) {
        lease_acquire(store, op, reply);
        return;
    }
    struct object *object = object_find(store, OBJECT_LEASE, op->shard, op->key, NULL);
    reply->verdict = STORE_FENCED;
    if (!object)
        return;
    struct lease *lease = object->as.lease;
    reply->epoch = lease->epoch;
    if (strcmp(lease->owner, op->owner) != 0 || lease->epoch != op->epoch)
        return;
    if (op->kind == STORE_LEASE_RELEASE) {
        lease->expires_us = 0;
    } else {
        if (lease->expires_us <= store->now_us)
            return;
        lease->expires_us = store->now_us + op->ttl_us;
    }
    reply->verdict = STORE_OK;
}

/* Queues. */

static void ready_name(char *room, uint64_t seq, const char *id)
{
    snprintf(room, READY_NAME_MAX, "%016" PRIu64 ":%s", seq, id);
}

/* To the end of its priority. */
static bool make_ready(struct memory_store *store, struct queue *queue, struct job *job,
                       const char *id)
{
    char name[READY_NAME_MAX];
    ready_name(name, queue->seq + 1, id);
    if (!ranking_set(store, &queue->ready, name, -job->priority))
        return false;
    job->seq = ++queue->seq;
    job->state = JOB_READY;
    job->owner[0] = '\0';
    return true;
}

static void body_drop(struct memory_store *store, struct job *job)
{
    memory_give(store, job->body, job->body_bytes);
    job->body = NULL;
    job->body_bytes = 0;
}

static void enqueue(struct memory_store *store, const struct store_op *op,
                    struct store_reply *reply)
{
    if (object_find(store, OBJECT_JOB, op->shard, op->key, op->id)) {
        reply->verdict = STORE_EXISTS;
        return;
    }
    struct object *found = object_find(store, OBJECT_QUEUE, op->shard, op->key, NULL);
    if (found && found->as.queue->ready.count + found->as.queue->claimed.count >= op->limit) {
        reply->verdict = STORE_FULL;
        reply->detail = "queue: its limit of jobs is reached";
        return;
    }
    struct object *object =
        found ? found : object_make(store, OBJECT_QUEUE, op->shard, op->key, NULL);
    struct object *made =
        object ? object_make(store, OBJECT_JOB, op->shard, op->key, op->id) : NULL;
    struct job *job = made ? made->as.job : NULL;
    bool ok = job != NULL;
    if (ok && op->body_bytes > 0) {
        job->body = memory_take(store, op->body_bytes);
        ok = job->body != NULL;
    }
    if (ok) {
        job->priority = op->score;
        if (job->body) {
            job->body_bytes = op->body_bytes;
            memcpy(job->body, op->body, op->body_bytes);
        }
        ok = make_ready(store, object->as.queue, job, op->id);
    }
    if (!ok) {
        if (made)
            object_drop(store, made);
        if (object && !found)
            object_drop(store, object);
        refuse_budget(reply);
        return;
    }
    reply->verdict = STORE_OK;
}

static void sweep_expired(struct memory_store *store, const struct store_op *op,
                          struct queue *queue)
{
    uint32_t expired = ranking_below(&queue->claimed, (double)store->now_us);
    for (uint32_t i = 0; i < expired && i < QUEUE_SWEEP_MAX; i++) {
        char id[STORE_KEY_MAX];
        copy_name(id, ranking_at(&queue->claimed, 0)->name);
        struct object *object = object_find(store, OBJECT_JOB, op->shard, op->key, id);
        assert(object);
        ranking_remove(store, &queue->claimed, id);
        bool ok = make_ready(store, queue, object->as.job, id);
        assert(ok);
        (void)ok;
        object->as.job->last[0] = '\0';
    }
}

static void claim(struct memory_store *store, const struct store_op *op, struct queue *queue,
                  struct store_reply *reply)
{
    sweep_expired(store, op, queue);
    while (reply->row_count < op->limit && queue->ready.count > 0) {
        char name[READY_NAME_MAX];
        strcpy(name, ranking_at(&queue->ready, 0)->name);
        const char *id = name + 17;
        struct object *object = object_find(store, OBJECT_JOB, op->shard, op->key, id);
        assert(object);
        struct job *job = object->as.job;
        ranking_remove(store, &queue->ready, name);
        bool ok = ranking_set(store, &queue->claimed, id, (double)(store->now_us + op->ttl_us));
        assert(ok);
        (void)ok;
        job->state = JOB_CLAIMED;
        job->attempt++;
        copy_name(job->owner, op->owner);
        store->rows[reply->row_count++] =
            (struct store_row){.key = ranking_find(&queue->claimed, id)->name,
                               .attempt = job->attempt,
                               .body = job->body,
                               .body_bytes = job->body_bytes};
    }
    reply->rows = store->rows;
    reply->verdict = reply->row_count > 0 ? STORE_OK : STORE_MISSING;
}

/* Keeps the newest `kept` of a set of ended jobs. */
static void retire(struct memory_store *store, const struct store_op *op, struct queue *queue,
                   struct ranking *ended, uint32_t kept)
{
    bool ok = ranking_set(store, ended, op->id, (double)++queue->seq);
    assert(ok);
    (void)ok;
    while (ended->count > kept) {
        char id[STORE_KEY_MAX];
        copy_name(id, ranking_at(ended, 0)->name);
        struct object *object = object_find(store, OBJECT_JOB, op->shard, op->key, id);
        assert(object);
        ranking_remove(store, ended, id);
        object_drop(store, object);
    }
}

static void change_claimed(struct memory_store *store, const struct store_op *op,
                           struct queue *queue, struct job *job)
{
    if (op->kind == STORE_JOB_RENEW) {
        (void)ranking_set(store, &queue->claimed, op->id, (double)(store->now_us + op->ttl_us));
        return;
    }
    ranking_remove(store, &queue->claimed, op->id);
    if (op->kind == STORE_FINISH) {
        job->state = JOB_DONE;
        body_drop(store, job);
        retire(store, op, queue, &queue->done, QUEUE_DONE_MAX);
    } else if (op->kind == STORE_REQUEUE) {
        bool ok = make_ready(store, queue, job, op->id);
        assert(ok);
        (void)ok;
        copy_name(job->last, op->owner);
    } else {
        job->state = JOB_DEAD;
        retire(store, op, queue, &queue->dead, QUEUE_DEAD_MAX);
    }
}

void memory_queue(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    assert(store && op && reply);
    if (op->kind == STORE_ENQUEUE) {
        enqueue(store, op, reply);
        return;
    }
    struct object *object = object_find(store, OBJECT_QUEUE, op->shard, op->key, NULL);
    reply->verdict = op->kind == STORE_CLAIM ? STORE_MISSING : STORE_FENCED;
    if (!object)
        return;
    store->overdraft = true;
    if (op->kind == STORE_CLAIM) {
        claim(store, op, object->as.queue, reply);
    } else {
        struct object *found = object_find(store, OBJECT_JOB, op->shard, op->key, op->id);
        struct job *job = found ? found->as.job : NULL;
        /* The same request twice succeeds twice. */
        enum job_state after = op->kind == STORE_FINISH        ? JOB_DONE
                               : op->kind == STORE_DEAD_LETTER ? JOB_DEAD
                               : op->kind == STORE_REQUEUE     ? JOB_READY
                                                               : JOB_CLAIMED;
        const char *owner = !job ? "" : op->kind == STORE_REQUEUE ? job->last : job->owner;
        bool again = job && job->state == after && after != JOB_CLAIMED &&
                     job->attempt == op->attempt && strcmp(owner, op->owner) == 0;
        bool current = job && job->state == JOB_CLAIMED && job->attempt == op->attempt &&
                       strcmp(job->owner, op->owner) == 0;
        if (current)
            change_claimed(store, op, object->as.queue, job);
        if (current || again)
            reply->verdict = STORE_OK;
    }
    store->overdraft = false;
}

/* Blobs. */

static uint32_t chunk_bytes(const struct blob *blob, uint32_t number)
{
    uint64_t rest = blob->total - (uint64_t)number * STORE_BLOB_CHUNK_MAX;
    return rest < STORE_BLOB_CHUNK_MAX ? (uint32_t)rest : STORE_BLOB_CHUNK_MAX;
}

static const char *hash_text(const uint8_t *hash, char *room)
{
    for (unsigned i = 0; i < 32; i++)
        snprintf(room + 2 * i, 3, "%02x", hash[i]);
    return room;
}

/* What has expired is dropped when it is next asked for. */
static struct object *blob_find(struct memory_store *store, const char *hex)
{
    struct object *object = object_find(store, OBJECT_BLOB, hex, "", NULL);
    if (object && object->as.blob->expires_us <= store->now_us) {
        object_drop(store, object);
        object = NULL;
    }
    return object;
}

static struct object *blob_make(struct memory_store *store, const char *hex, uint64_t total)
{
    struct object *object = object_make(store, OBJECT_BLOB, hex, "", NULL);
    if (!object)
        return NULL;
    struct blob *blob = object->as.blob;
    blob->total = total;
    blob->chunk_count = (uint32_t)((total + STORE_BLOB_CHUNK_MAX - 1) / STORE_BLOB_CHUNK_MAX);
    blob->chunks = memory_take(store, blob->chunk_count * sizeof *blob->chunks);
    if (!blob->chunks) {
        blob->chunk_count = 0;
        object_drop(store, object);
        return NULL;
    }
    return object;
}

static void blob_put(struct memory_store *store, const struct store_op *op, const char *hex,
                     struct store_reply *reply)
{
    struct object *found = blob_find(store, hex);
    if (found && found->as.blob->total != op->total_bytes) {
        reply->verdict = STORE_INVALID;
        reply->detail = "total_bytes: not that of the chunks already there";
        return;
    }
    struct object *object = found ? found : blob_make(store, hex, op->total_bytes);
    if (!object) {
        refuse_budget(reply);
        return;
    }
    struct blob *blob = object->as.blob;
    uint32_t number = (uint32_t)(op->offset / STORE_BLOB_CHUNK_MAX);
    assert(number < blob->chunk_count);
    reply->verdict = STORE_EXISTS;
    if (!blob->chunks[number]) {
        uint8_t *chunk = memory_take(store, op->body_bytes);
        if (!chunk) {
            if (!found)
                object_drop(store, object);
            refuse_budget(reply);
            return;
        }
        memcpy(chunk, op->body, op->body_bytes);
        blob->chunks[number] = chunk;
        blob->have += op->body_bytes;
        reply->verdict = STORE_OK;
    } else if (memcmp(blob->chunks[number], op->body, op->body_bytes) != 0) {
        memcpy(blob->chunks[number], op->body, op->body_bytes); /* it had rotted, or was false */
        reply->verdict = STORE_OK;
    }
    int64_t keep_s = blob->have == blob->total ? BLOB_COMPLETE_S : BLOB_PARTIAL_S;
    blob->expires_us = store->now_us + keep_s * US_PER_S;
}

void memory_blob(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    assert(store && op && reply);
    char hex[65];
    hash_text(op->hash, hex);
    if (op->kind == STORE_BLOB_PUT) {
        blob_put(store, op, hex, reply);
        return;
    }
    struct object *object = blob_find(store, hex);
    struct blob *blob = object ? object->as.blob : NULL;
    uint32_t number = (uint32_t)(op->offset / STORE_BLOB_CHUNK_MAX);
    reply->verdict = STORE_MISSING;
    if (!blob || blob->have != blob->total || number >= blob->chunk_count)
        return;
    reply->verdict = STORE_OK;
    reply->total_bytes = blob->total;
    reply->body = blob->chunks[number];
    reply->body_bytes = chunk_bytes(blob, number);
}

uint32_t memory_store_spoil(struct memory_store *store)
{
    assert(store);
    uint32_t spoilt = 0;
    for (uint32_t i = 0; i < store->object_room; i++) {
        const struct object *object = store->objects[i].object;
        if (object && object->key[0] == OBJECT_BLOB && object->as.blob->chunks[0]) {
            object->as.blob->chunks[0][0] ^= 1u;
            spoilt++;
        }
    }
    return spoilt;
}

void memory_jobs_drop(struct memory_store *store, struct object *object, enum object_type type)
{
    assert(store && object);
    if (type == OBJECT_QUEUE) {
        struct queue *queue = object->as.queue;
        ranking_clear(store, &queue->ready);
        ranking_clear(store, &queue->claimed);
        ranking_clear(store, &queue->done);
        ranking_clear(store, &queue->dead);
    } else if (type == OBJECT_JOB) {
        body_drop(store, object->as.job);
    } else if (type == OBJECT_BLOB) {
        struct blob *blob = object->as.blob;
        for (uint32_t i = 0; i < blob->chunk_count; i++)
            memory_give(store, blob->chunks[i], chunk_bytes(blob, i));
        memory_give(store, blob->chunks, blob->chunk_count * sizeof *blob->chunks);
    }
}
