/* The store in memory: objects, records, collections, indexes and history. Leases, queues and blobs
 * are in memory_jobs.c, sorted sets in memory_ranking.c.
 *
 * One hash table finds every object by `type shard\nname`; what needs an order is a sorted set as
 * Redis has it, with the same tie-break, so that both stores return the same rows in the same order
 * and a simulated mesh sees what a real one will.
 *
 * A put is the hot path (30,000 a virtual second): one look-up, then memory_record.c.
 *
 * Whatever can fail for lack of budget is made before anything changes. */
#include "registry/memory.h"
#include "core/num.h"
#include "registry/memory_private.h"
#include <assert.h>
#include <string.h>

static bool affordable(const struct memory_store *store, size_t bytes)
{
    return store->overdraft ||
           (store->used < store->budget && bytes <= store->budget - store->used);
}

void *memory_take(struct memory_store *store, size_t bytes)
{
    assert(store && bytes > 0);
    if (!affordable(store, bytes))
        return NULL;
    void *at = calloc(1, bytes);
    if (at)
        store->used += bytes;
    return at;
}

void *memory_resize(struct memory_store *store, void *at, size_t old_bytes, size_t new_bytes)
{
    assert(store && new_bytes > old_bytes);
    if (!affordable(store, new_bytes - old_bytes))
        return NULL;
    void *moved = realloc(at, new_bytes);
    if (moved)
        store->used += new_bytes - old_bytes;
    return moved;
}

void memory_give(struct memory_store *store, void *at, size_t bytes)
{
    assert(store && store->used >= (at ? bytes : 0));
    if (at)
        store->used -= bytes;
    free(at);
}

/* Objects: a table of pointers, open addressing; who is looked for is known by its hash before its
 * memory is touched. */

#define OBJECTS_LEAST 64u

static size_t object_key(char *room, enum object_type type, const char *shard, const char *name,
                         const char *id)
{
    size_t shard_bytes = strlen(shard), name_bytes = strlen(name);
    size_t id_bytes = id ? strlen(id) : 0;
    assert(shard_bytes < STORE_KEY_MAX && name_bytes < STORE_KEY_MAX && id_bytes < STORE_KEY_MAX);
    char *at = room;
    *at++ = (char)type;
    memcpy(at, shard, shard_bytes);
    at += shard_bytes;
    *at++ = '\n'; /* in no name */
    memcpy(at, name, name_bytes);
    at += name_bytes;
    if (id) {
        *at++ = '\n';
        memcpy(at, id, id_bytes);
        at += id_bytes;
    }
    *at = '\0';
    return (size_t)(at - room);
}

/* The slot of this key, or the free one where it belongs. */
static struct object_slot *slot_of(const struct memory_store *store, const char *key, size_t bytes,
                                   uint32_t hash)
{
    uint32_t mask = store->object_room - 1, at = hash & mask;
    for (;; at = (at + 1) & mask) {
        struct object_slot *slot = &store->objects[at];
        if (!slot->object || (slot->hash == hash && slot->object->key_bytes == bytes &&
                              memcmp(slot->object->key, key, bytes) == 0))
            return slot;
    }
}

static uint32_t hash_of(const char *key, size_t bytes)
{
    return (uint32_t)num_hash64(key, bytes, 0);
}

struct object *object_find(struct memory_store *store, enum object_type type, const char *shard,
                           const char *name, const char *id)
{
    assert(store && shard && name);
    char key[OBJECT_KEY_MAX];
    size_t bytes = object_key(key, type, shard, name, id);
    return store->object_room ? slot_of(store, key, bytes, hash_of(key, bytes))->object : NULL;
}

/* Moves the table to one of so many slots, a power of two or none; false: no memory for it. */
static bool table_resize(struct memory_store *store, uint32_t room)
{
    assert(room == 0 ? store->object_count == 0 : store->object_count < room);
    uint32_t before = store->object_room;
    struct object_slot *former = store->objects;
    struct object_slot *slots = room > 0 ? memory_take(store, room * sizeof *slots) : NULL;
    if (room > 0 && !slots)
        return false;
    store->objects = slots;
    store->object_room = room;
    for (uint32_t i = 0; i < before; i++) {
        const struct object *object = former[i].object;
        if (object)
            *slot_of(store, object->key, object->key_bytes, object->hash) = former[i];
    }
    memory_give(store, former, before * sizeof *slots);
    return true;
}

/* Room for one more. */
static bool table_grow(struct memory_store *store)
{
    uint32_t room = store->object_room;
    if (store->object_count + 1 <= room / 4 * 3)
        return true;
    return table_resize(store, room > 0 ? room * 2 : OBJECTS_LEAST);
}

/* What an eighth would do for is halved, where there is memory to move to. */
static void table_shrink(struct memory_store *store)
{
    uint32_t room = store->object_room;
    if (store->object_count == 0)
        table_resize(store, 0);
    else if (room > OBJECTS_LEAST && store->object_count < room / 8)
        table_resize(store, room / 2);
}

/* Frees a slot: those behind it move up to where their search finds them. */
static void slot_free(struct memory_store *store, struct object_slot *slot)
{
    uint32_t mask = store->object_room - 1;
    uint32_t hole = (uint32_t)(slot - store->objects), at = hole;
    while (store->objects[at = (at + 1) & mask].object) {
        uint32_t home = store->objects[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            store->objects[hole] = store->objects[at];
            hole = at;
        }
    }
    store->objects[hole] = (struct object_slot){0};
}

static size_t payload_bytes_of(enum object_type type)
{
    switch (type) {
    case OBJECT_COLLECTION:
    case OBJECT_INDEX:
        return sizeof(struct ranking);
    case OBJECT_HISTORY:
        return sizeof(struct history);
    case OBJECT_LEASE:
        return sizeof(struct lease);
    case OBJECT_QUEUE:
        return sizeof(struct queue);
    case OBJECT_JOB:
        return sizeof(struct job);
    case OBJECT_BLOB:
        return sizeof(struct blob);
    case OBJECT_RECORD:
        break;
    }
    return 0;
}

struct object *object_make(struct memory_store *store, enum object_type type, const char *shard,
                           const char *name, const char *id)
{
    assert(store && shard && name);
    char key[OBJECT_KEY_MAX];
    size_t key_bytes = object_key(key, type, shard, name, id);
    uint32_t hash = hash_of(key, key_bytes);
    struct object *object =
        store->object_room ? slot_of(store, key, key_bytes, hash)->object : NULL;
    if (object)
        return object;
    if (!table_grow(store))
        return NULL;
    size_t bytes = sizeof *object + key_bytes + 1, payload_bytes = payload_bytes_of(type);
    object = memory_take(store, bytes);
    if (!object)
        return NULL;
    if (payload_bytes > 0) {
        void *payload = memory_take(store, payload_bytes);
        if (!payload) {
            memory_give(store, object, bytes);
            return NULL;
        }
        object->as.any = payload;
    }
    object->hash = hash;
    object->bytes = (uint16_t)bytes;
    object->key_bytes = (uint16_t)key_bytes;
    memcpy(object->key, key, key_bytes + 1);
    *slot_of(store, key, key_bytes, hash) = (struct object_slot){object, hash};
    store->object_count++;
    return object;
}

static void history_clear(struct memory_store *store, struct history *history)
{
    for (uint32_t i = 0; i < history->count; i++)
        record_clear(store, &history->entries[(history->first + i) % history->room].record);
    memory_give(store, history->entries, history->room * sizeof *history->entries);
}

void object_drop(struct memory_store *store, struct object *object)
{
    assert(store && object);
    enum object_type type = (enum object_type)object->key[0];
    slot_free(store, slot_of(store, object->key, object->key_bytes, object->hash));
    store->object_count--;
    table_shrink(store);
    switch (type) {
    case OBJECT_RECORD:
        record_clear(store, &object->as.record);
        break;
    case OBJECT_COLLECTION:
    case OBJECT_INDEX:
        ranking_clear(store, object->as.ranking);
        break;
    case OBJECT_HISTORY:
        history_clear(store, object->as.history);
        break;
    case OBJECT_LEASE:
    case OBJECT_QUEUE:
    case OBJECT_JOB:
    case OBJECT_BLOB:
        memory_jobs_drop(store, object, type);
        break;
    }
    if (type != OBJECT_RECORD)
        memory_give(store, object->as.any, payload_bytes_of(type));
    memory_give(store, object, object->bytes);
}

struct memory_store *memory_store_new(uint64_t budget_bytes)
{
    assert(budget_bytes > 0);
    struct memory_store *store = calloc(1, sizeof *store);
    if (store)
        store->budget = budget_bytes;
    return store;
}

void memory_store_free(struct memory_store *store)
{
    if (!store)
        return;
    for (uint32_t i = 0; store->object_count > 0; i++) { /* the table shrinks and moves meanwhile */
        struct object *object = store->objects[i & (store->object_room - 1)].object;
        if (object)
            object_drop(store, object);
    }
    memory_log_clear(store);
    names_clear(store);
    assert(store->used == 0);
    free(store);
}

uint64_t memory_store_used(const struct memory_store *store)
{
    assert(store);
    return store->used;
}

/* Records. */

/* A collection counts its members in the order of joining: a scan's cursor is the last number. */
static bool join(struct memory_store *store, const char *shard, const char *name, const char *key)
{
    struct object *collection = object_make(store, OBJECT_COLLECTION, shard, name, NULL);
    if (!collection)
        return false;
    struct ranking *members = collection->as.ranking;
    if (ranking_find(members, key))
        return true;
    double last = members->count ? ranking_at(members, members->count - 1)->score : 0.0;
    bool joined = ranking_set(store, members, key, last + 1.0);
    if (members->count == 0)
        object_drop(store, collection);
    return joined;
}

static void refuse_full(struct store_reply *reply, const char *detail)
{
    reply->verdict = STORE_FULL;
    reply->detail = detail;
}

/* The key of a record's object, made once for all that look it up. */
struct record_name {
    char text[OBJECT_KEY_MAX];
    size_t bytes;
    uint32_t hash;
};

static void name_record(struct record_name *ret, const char *shard, const char *key)
{
    ret->bytes = object_key(ret->text, OBJECT_RECORD, shard, key, NULL);
    ret->hash = hash_of(ret->text, ret->bytes);
}

/* One record of a put: of several, each has its own key and fields. */
struct put {
    const struct record_name *name;
    const char *shard, *key, *collection; /* collection NULL: it stays where it is */
    bool fenced;                          /* by `epoch` */
    uint64_t epoch;
    const struct store_field *fields;
    uint32_t field_count;
};

/* How it ended. */
struct put_end {
    enum store_verdict verdict;
    uint64_t epoch;
    const char *detail;
};

static struct put_end put_full(const char *detail)
{
    return (struct put_end){.verdict = STORE_FULL, .detail = detail};
}

/* The fields with the epoch before them, which is one of the record's. */
static const struct store_field *with_epoch(const struct put *p, char digits[U64_TEXT_MAX],
                                            struct store_field room[STORE_FIELDS_MAX])
{
    size_t bytes = num_format_u64(p->epoch, digits);
    room[0] = (struct store_field){"epoch", digits, (uint32_t)bytes};
    if (p->field_count > 0)
        memcpy(room + 1, p->fields, p->field_count * sizeof *room);
    return room;
}

static struct put_end put_record(struct memory_store *store, const struct put *p)
{
    struct store_field room[STORE_FIELDS_MAX];
    char digits[U64_TEXT_MAX];
    const struct record_name *name = p->name;
    struct object *object =
        store->object_room ? slot_of(store, name->text, name->bytes, name->hash)->object : NULL;
    const struct store_field *fields = p->fields;
    uint32_t count = p->field_count;
    uint64_t before = p->fenced && object ? object->as.record.epoch : 0;
    if (before > p->epoch)
        return (struct put_end){.verdict = STORE_FENCED, .epoch = before};
    if (p->fenced && before != p->epoch) {
        fields = with_epoch(p, digits, room);
        count++;
    }
    bool fresh = !object;
    if (fresh)
        object = object_make(store, OBJECT_RECORD, p->shard, p->key, NULL);
    const char *wrong = object ? NULL : "memory: the budget is used up";
    if (!wrong && p->collection) {
        wrong = record_reserve(store, &object->as.record, fields, count);
        if (!wrong && !join(store, p->shard, p->collection, p->key))
            wrong = "memory: the budget is used up";
    }
    if (!wrong)
        wrong = record_put(store, &object->as.record, fields, count, true);
    if (wrong) {
        if (object && fresh)
            object_drop(store, object);
        struct put_end full = put_full(wrong);
        full.epoch = before;
        return full;
    }
    if (p->fenced)
        object->as.record.epoch = p->epoch;
    return (struct put_end){.verdict = STORE_OK, .epoch = p->fenced ? p->epoch : 0};
}

static void put_ended(const struct put_end *end, struct store_reply *reply)
{
    reply->verdict = end->verdict;
    reply->epoch = end->epoch;
    reply->detail = end->detail;
}

static void put(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    struct record_name name;
    name_record(&name, op->shard, op->key);
    struct put p = {.name = &name,
                    .shard = op->shard,
                    .key = op->key,
                    .collection = op->collection,
                    .fenced = op->kind == STORE_EPOCH_PUT,
                    .epoch = op->epoch,
                    .fields = op->fields,
                    .field_count = op->field_count};
    struct put_end end = put_record(store, &p);
    put_ended(&end, reply);
}

/* Several writes in one: the memory that they touch is asked for at once, not one after the other.
 */

/* The object in the first slot of its search with its hash; most likely the one that is meant.
 * Among millions another one has the same hash: its type is looked at when it has arrived. */
static const struct object *likely(const struct memory_store *store, uint32_t hash)
{
    uint32_t mask = store->object_room - 1, at = hash & mask;
    while (store->objects[at].object && store->objects[at].hash != hash)
        at = (at + 1) & mask;
    return store->objects[at].object;
}

static void fetch_bytes(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)from + i);
}

static void fetch_records(const struct memory_store *store, const struct store_op *op,
                          struct record_name names[STORE_PUTS_MAX])
{
    const struct object *objects[STORE_PUTS_MAX];
    for (uint32_t i = 0; i < op->row_count; i++) {
        name_record(&names[i], op->shard, op->rows[i].key);
        if (store->object_room > 0)
            __builtin_prefetch(&store->objects[names[i].hash & (store->object_room - 1)]);
    }
    if (store->object_room == 0)
        return;
    for (uint32_t i = 0; i < op->row_count; i++) {
        objects[i] = likely(store, names[i].hash);
        if (objects[i])
            fetch_bytes(objects[i], 128);
    }
    for (uint32_t i = 0; i < op->row_count; i++) {
        const struct object *object = objects[i];
        if (object && object->key[0] == OBJECT_RECORD)
            fetch_bytes(object->as.record.fields,
                        object->as.record.room * sizeof *object->as.record.fields +
                            object->as.record.value_used);
    }
}

/* One after the other; the first that could not be written gives the verdict. */
static void put_each(struct memory_store *store, const struct store_op *op,
                     struct store_reply *reply)
{
    struct record_name names[STORE_PUTS_MAX];
    fetch_records(store, op, names);
    for (uint32_t i = 0; i < op->row_count; i++) {
        struct put p = {.name = &names[i],
                        .shard = op->shard,
                        .key = op->rows[i].key,
                        .collection = op->collection,
                        .fenced = true,
                        .epoch = op->epoch,
                        .fields = op->rows[i].fields,
                        .field_count = op->rows[i].field_count};
        struct put_end end = put_record(store, &p);
        if (i == 0 || reply->verdict == STORE_OK)
            put_ended(&end, reply);
    }
}

static void get(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    struct object *object = object_find(store, OBJECT_RECORD, op->shard, op->key, NULL);
    if (!object) {
        reply->verdict = STORE_MISSING;
        return;
    }
    uint32_t used = 0;
    store->rows[0] = (struct store_row){0};
    record_row(store, &object->as.record, &used, &store->rows[0]);
    reply->epoch = object->as.record.epoch;
    reply->rows = store->rows;
    reply->row_count = 1;
    reply->verdict = STORE_OK;
}

static void take_out(struct memory_store *store, const struct store_op *op,
                     struct store_reply *reply)
{
    struct object *record = object_find(store, OBJECT_RECORD, op->shard, op->key, NULL);
    struct object *collection =
        op->collection ? object_find(store, OBJECT_COLLECTION, op->shard, op->collection, NULL)
                       : NULL;
    if (collection) {
        ranking_remove(store, collection->as.ranking, op->key);
        if (collection->as.ranking->count == 0)
            object_drop(store, collection);
    }
    if (record)
        object_drop(store, record);
    reply->verdict = record ? STORE_OK : STORE_MISSING;
}

static void scan(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    struct object *object = object_find(store, OBJECT_COLLECTION, op->shard, op->collection, NULL);
    reply->verdict = STORE_OK;
    reply->rows = store->rows;
    if (!object)
        return;
    struct ranking *members = object->as.ranking;
    uint32_t used = 0, at = ranking_below(members, (double)op->cursor), seen = 0;
    for (; at < members->count && seen < op->limit; at++, seen++) {
        const struct member *member = ranking_at(members, at);
        struct object *record = object_find(store, OBJECT_RECORD, op->shard, member->name, NULL);
        if (seen + 1 == op->limit)
            reply->cursor = (uint64_t)member->score;
        if (!record)
            continue; /* removed without naming the collection */
        struct store_row *row = &store->rows[reply->row_count++];
        *row = (struct store_row){.key = member->name};
        record_row(store, &record->as.record, &used, row);
    }
}

/* Indexes. */

static void index_change(struct memory_store *store, const struct store_op *op,
                         struct store_reply *reply)
{
    reply->verdict = STORE_OK;
    bool set = op->kind == STORE_INDEX_SET;
    struct object *object = set ? object_make(store, OBJECT_INDEX, op->shard, op->key, NULL)
                                : object_find(store, OBJECT_INDEX, op->shard, op->key, NULL);
    bool full = set && !object;
    uint32_t hashes[STORE_ROWS_MAX];
    if (object)
        ranking_fetch(object->as.ranking, op->rows, op->row_count, hashes);
    for (uint32_t i = 0; i < op->row_count && object && !full; i++) {
        if (set)
            full = !ranking_set_known(store, object->as.ranking, op->rows[i].key, hashes[i],
                                      op->rows[i].score);
        else
            ranking_remove(store, object->as.ranking, op->rows[i].key);
    }
    if (full)
        refuse_full(reply, "memory: the budget is used up");
    if (object && object->as.ranking->count == 0)
        object_drop(store, object);
}

static void index_range(struct memory_store *store, const struct store_op *op,
                        struct store_reply *reply)
{
    struct object *object = object_find(store, OBJECT_INDEX, op->shard, op->key, NULL);
    uint32_t count = object ? ranking_below(object->as.ranking, op->score) : 0;
    if (count > op->limit)
        count = op->limit;
    for (uint32_t i = 0; i < count; i++) {
        const struct member *member = ranking_at(object->as.ranking, i);
        store->rows[i] = (struct store_row){.key = member->name, .score = member->score};
    }
    reply->rows = store->rows;
    reply->row_count = count;
    reply->verdict = STORE_OK;
}

/* History. */

static bool history_grow(struct memory_store *store, struct history *history)
{
    if (history->count < history->room)
        return true;
    uint32_t room = history->room ? history->room * 2 : 16;
    struct entry *entries = memory_take(store, room * sizeof *entries);
    if (!entries)
        return false;
    for (uint32_t i = 0; i < history->count; i++)
        entries[i] = history->entries[(history->first + i) % history->room];
    memory_give(store, history->entries, history->room * sizeof *entries);
    history->entries = entries;
    history->first = 0;
    history->room = room;
    return true;
}

static void append(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    struct object *object = object_make(store, OBJECT_HISTORY, op->shard, op->key, NULL);
    struct history *history = object ? object->as.history : NULL;
    struct entry entry = {.stamp_us = store->now_us};
    if (!history || !history_grow(store, history) ||
        record_put(store, &entry.record, op->fields, op->field_count, false)) {
        record_clear(store, &entry.record);
        if (history && history->count == 0)
            object_drop(store, object);
        refuse_full(reply, "memory: the budget is used up");
        return;
    }
    history->entries[(history->first + history->count) % history->room] = entry;
    history->count++;
    while (history->count > op->limit) {
        record_clear(store, &history->entries[history->first].record);
        history->first = (history->first + 1) % history->room;
        history->count--;
    }
    reply->verdict = STORE_OK;
}

static void history_read(struct memory_store *store, const struct store_op *op,
                         struct store_reply *reply)
{
    struct object *object = object_find(store, OBJECT_HISTORY, op->shard, op->key, NULL);
    reply->verdict = object ? STORE_OK : STORE_MISSING;
    if (!object)
        return;
    const struct history *history = object->as.history;
    uint32_t used = 0;
    uint32_t count = history->count < op->limit ? history->count : op->limit;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (history->first + history->count - 1 - i) % history->room;
        const struct entry *entry = &history->entries[at];
        store->rows[i] = (struct store_row){.stamp_us = entry->stamp_us};
        record_row(store, &entry->record, &used, &store->rows[i]);
    }
    reply->rows = store->rows;
    reply->row_count = count;
}

static void dispatch(struct memory_store *store, const struct store_op *op,
                     struct store_reply *reply)
{
    switch (op->kind) {
    case STORE_PUT:
    case STORE_EPOCH_PUT:
        put(store, op, reply);
        return;
    case STORE_EPOCH_PUTS:
        put_each(store, op, reply);
        return;
    case STORE_GET:
        get(store, op, reply);
        return;
    case STORE_REMOVE:
        take_out(store, op, reply);
        return;
    case STORE_SCAN:
        scan(store, op, reply);
        return;
    case STORE_INDEX_SET:
    case STORE_INDEX_REMOVE:
        index_change(store, op, reply);
        return;
    case STORE_INDEX_RANGE:
        index_range(store, op, reply);
        return;
    case STORE_APPEND:
        append(store, op, reply);
        return;
    case STORE_HISTORY:
        history_read(store, op, reply);
        return;
    case STORE_LEASE_ACQUIRE:
    case STORE_LEASE_RENEW:
    case STORE_LEASE_RELEASE:
        memory_lease(store, op, reply);
        return;
    case STORE_ENQUEUE:
    case STORE_CLAIM:
    case STORE_JOB_RENEW:
    case STORE_FINISH:
    case STORE_REQUEUE:
    case STORE_DEAD_LETTER:
        memory_queue(store, op, reply);
        return;
    case STORE_BLOB_PUT:
    case STORE_BLOB_GET:
        memory_blob(store, op, reply);
        return;
    case STORE_LOG_APPEND:
    case STORE_LOG_QUERY:
    case STORE_LOG_VERIFY:
        memory_log(store, op, reply);
        return;
    case STORE_KIND_COUNT:
        break;
    }
    assert(op->kind < STORE_KIND_COUNT); /* store_op_check lets no other pass */
}

void memory_store_run(struct memory_store *store, int64_t now_us, const struct store_op *op,
                      struct store_reply *ret_reply)
{
    assert(store && op && ret_reply);
    assert(now_us >= store->now_us);
    store->now_us = now_us;
    store->run++;
    *ret_reply = (struct store_reply){.ref = op->ref, .kind = op->kind};
    dispatch(store, op, ret_reply);
    assert(ret_reply->verdict > 0 && ret_reply->verdict < STORE_VERDICT_COUNT);
}

void memory_store_apply(struct memory_store *store, int64_t now_us, const struct store_op *op,
                        struct store_reply *ret_reply)
{
    assert(store && op && ret_reply);
    const char *wrong = store_op_check(op);
    if (wrong)
        *ret_reply = (struct store_reply){
            .ref = op->ref, .kind = op->kind, .verdict = STORE_INVALID, .detail = wrong};
    else
        memory_store_run(store, now_us, op, ret_reply);
}
