/* Buffers are in the layout of a frame from the first byte, so that closing one copies nothing.
 * They come from a free list and go back to it when the bus has taken the frame. A destination that
 * is silent has no buffer: 30,000 known destinations cost 16 bytes each.
 *
 * sent_us: a record is appended with the difference between its speaker's clock and ours, and gets
 * the time of closing added. So the stamp lies just before the signature without the egress knowing
 * whose clock it is.
 *
 * While the sealer has its fill, buffers stay open and further records join them: under load there
 * are fewer signatures, not longer queues. The loop turns when a signature is done, and flushes
 * again.
 *
 * Bounds: a frame's size; EGRESS_SLOTS_MAX slots; POOL_KEEP idle buffers are kept, others freed; in
 * flight at most what the sealer takes. What does not fit is dropped and counted: a send is
 * fire-and-forget. */
#include "tiers/runner/egress.h"

#include "core/num.h"
#include "proto/ack_group.h"
#include "tiers/runner/bytes.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_FIRST 2048u
#define POOL_KEEP    1024u
#define KEEP_BYTES   16384u /* larger buffers are freed when idle, beyond a few */
#define BATCH        64u
#define SIGNING_MAX  256u /* frames in the sealer; beyond, records gather in their buffers */
#define OPS_KNOWN    16u  /* operations told apart within one frame; more ride twice */
#define SENT_US_AT   40u  /* in a record's header */

_Static_assert(ACK_GROUP_KIND == RECORD_ACKS && ACK_GROUP_SENT_AT == SENT_US_AT, "one layout");

/* The last record of a frame, when acknowledgements that say the same may join it. */
struct ack_run {
    size_t at, end;   /* its length field, and behind it; void when the frame has grown since */
    size_t answer_at; /* what all of them answered, in the frame */
    uint64_t agents;  /* bit i: agent i + 1 has spoken */
    uint32_t count;   /* 1: still a message of its own */
    struct msg first; /* sent_us: as egress_msg() was told; its answer is at answer_at */
};

struct buffer {
    struct sealer_job job;
    struct egress *egress;
    struct buffer *next;
    struct frame_builder frame;
    struct route route;
    size_t room;
    uint32_t op_count;
    struct id128 ops[OPS_KNOWN];
    struct ack_run acks;
};

struct slot {
    struct buffer *open;
    uint32_t endpoint;
    uint32_t opened; /* counts its buffers: what was noted about an earlier one is void */
    int64_t due_us;  /* when the open one leaves at the latest, boot clock */
    uint16_t port;
};

/* A slot whose open buffer has something due, as far as is known: void once the slot has another
 * buffer, or is due earlier by a later note. */
struct due {
    int64_t due_us;
    uint32_t slot, opened;
};

/* Notes in the order of their times, which is that of their making: one queue for each linger. */
struct due_queue {
    struct due *rows;
    uint32_t first, count, room;
};

struct egress {
    struct egress_conf conf;
    struct egress_stats stats;
    struct slot *slots;
    uint32_t slot_count, slot_room;
    uint32_t *table; /* slot + 1 */
    uint32_t table_mask;
    struct due_queue due[EGRESS_LINGERS];
    struct buffer *pool;
    uint32_t pool_count;
    struct sealer_job *batch[BATCH];
    uint32_t batch_count;
    uint32_t signing; /* given to the sealer, not back yet */
    struct frame_signer *signers[PORTS_MAX];
    _Alignas(16) uint8_t scratch[MESSAGE_BYTES_MAX];
};

struct egress *egress_new(const struct egress_conf *conf)
{
    assert(conf != NULL && conf->identity != NULL && conf->peers != NULL);
    assert(conf->directory != NULL && conf->codec != NULL && conf->publish != NULL);
    struct egress *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return NULL;
    }
    e->conf = *conf;
    e->table_mask = 255;
    e->table = calloc(e->table_mask + 1, sizeof(*e->table));
    if (e->table == NULL) {
        free(e);
        return NULL;
    }
    return e;
}

static void buffer_free(struct buffer *b)
{
    free(b->frame.bytes);
    free(b);
}

void egress_free(struct egress *e)
{
    if (e == NULL) {
        return;
    }
    for (uint32_t i = 0; i < e->slot_count; i++) {
        if (e->slots[i].open != NULL) {
            buffer_free(e->slots[i].open);
        }
    }
    while (e->pool != NULL) {
        struct buffer *b = e->pool;
        e->pool = b->next;
        buffer_free(b);
    }
    for (uint32_t i = 0; i < PORTS_MAX; i++) {
        if (e->signers[i] != NULL) {
            keys_wipe(e->signers[i], sizeof(*e->signers[i]));
            free(e->signers[i]);
        }
    }
    free(e->slots);
    for (unsigned i = 0; i < EGRESS_LINGERS; i++) {
        free(e->due[i].rows);
    }
    free(e->table);
    free(e);
}

const struct egress_stats *egress_stats(const struct egress *e)
{
    assert(e != NULL);
    return &e->stats;
}

void egress_renew(struct egress *e)
{
    assert(e != NULL);
    for (uint32_t i = 0; i < PORTS_MAX; i++) {
        if (e->signers[i] != NULL) {
            e->signers[i]->key.renew_at_s = 0;
        }
    }
}

bool egress_has_session(const struct egress *e, uint64_t session)
{
    assert(e != NULL);
    for (uint32_t i = 0; i < PORTS_MAX; i++) {
        if (e->signers[i] != NULL && e->signers[i]->session == session) {
            return true;
        }
    }
    return false;
}

struct frame_signer *egress_signer(struct egress *e, uint16_t port)
{
    assert(e != NULL);
    assert(port < PORTS_MAX);
    int64_t now_ms = clock_unix_us() / US_PER_MS;
    struct frame_signer *s = e->signers[port];
    if (s != NULL && !frame_signer_is_due(s, now_ms)) {
        return s;
    }
    if (s == NULL) {
        s = calloc(1, sizeof(*s));
        if (s == NULL) {
            return NULL;
        }
        keys_lock(s, sizeof(*s));
    }
    struct unit_range scope[SCOPES_MAX];
    uint32_t count = 0;
    if (e->conf.port_scope != NULL) {
        e->conf.port_scope(e->conf.ctx, port, scope, &count);
    }
    enum cert_verdict v =
        frame_signer_start(s, e->conf.identity, port, count > 0 ? scope : NULL, count, now_ms);
    if (v != CERT_OK && e->signers[port] == NULL) {
        free(s);
        return NULL;
    }
    e->signers[port] = s;
    return s; /* not renewed: the old one is good for half of its life */
}

/* ---- buffers ---- */

static void buffer_release(struct egress *e, struct buffer *b)
{
    if (e->pool_count >= POOL_KEEP || (b->room > KEEP_BYTES && e->pool_count > BATCH)) {
        buffer_free(b);
        return;
    }
    b->next = e->pool;
    e->pool = b;
    e->pool_count++;
}

static struct buffer *buffer_take(struct egress *e)
{
    struct buffer *b = e->pool;
    if (b != NULL) {
        e->pool = b->next;
        e->pool_count--;
    } else {
        b = calloc(1, sizeof(*b));
        uint8_t *bytes = b != NULL ? malloc(BUFFER_FIRST) : NULL;
        if (bytes == NULL) {
            free(b);
            return NULL;
        }
        b->frame.bytes = bytes;
        b->room = BUFFER_FIRST;
        b->egress = e;
    }
    b->op_count = 0;
    b->acks.end = 0;
    frame_begin(&b->frame, b->frame.bytes);
    return b;
}

/* Room for one more record beside chain, path and signature. */
static bool buffer_grow(struct buffer *b, size_t record)
{
    size_t need = b->frame.used + FRAME_RECORD_BYTES + record + FRAME_TAIL_MAX;
    if (need <= b->room) {
        return true;
    }
    size_t room = b->room;
    while (room < need) {
        room *= 2;
    }
    uint8_t *bytes = realloc(b->frame.bytes, room);
    if (bytes == NULL) {
        return false;
    }
    b->frame.bytes = bytes;
    b->room = room;
    return true;
}

static void sealed(struct egress *e, struct buffer *b)
{
    const struct frame_unsigned *f = &b->job.sign; /* signed by now */
    if (b->job.cancelled || !e->conf.publish(e->conf.ctx, &b->route, f->bytes, f->length)) {
        e->stats.dropped_bus++;
    } else {
        e->stats.frames++;
        e->stats.bytes += f->length;
        e->stats.signatures += b->job.own_root;
    }
    buffer_release(e, b);
}

static void on_sealed(struct sealer_job *job)
{
    struct buffer *b = job->owner;
    b->egress->signing--;
    sealed(b->egress, b);
}

static void batch_submit(struct egress *e)
{
    if (e->batch_count == 0) {
        return;
    }
    uint32_t count = e->batch_count;
    e->batch_count = 0;
    /* `done` may run inside: the batch is a copy's worth of pointers that nobody else changes, as
     * `done` only publishes. */
    uint32_t taken = sealer_submit(e->conf.sealer, e->batch, count);
    for (uint32_t i = taken; i < count; i++) {
        e->stats.dropped_sealer++;
        e->signing--;
        buffer_release(e, e->batch[i]->owner);
    }
}

static void stamp(struct buffer *b)
{
    int64_t now_us = clock_boot_us();
    size_t at = FRAME_HEADER_BYTES;
    while (at < b->frame.used) {
        size_t length = get_u16(b->frame.bytes + at);
        uint8_t *record = b->frame.bytes + at + FRAME_RECORD_BYTES;
        if (record[0] < RECORD_SPECIAL || record[0] == RECORD_ACKS) {
            assert(length >= RECORD_HEADER_BYTES);
            put_u64(record + SENT_US_AT, get_u64(record + SENT_US_AT) + (uint64_t)now_us);
        }
        at += FRAME_RECORD_BYTES + length;
    }
    assert(at == b->frame.used);
}

static void buffer_close(struct egress *e, struct slot *s)
{
    struct buffer *b = s->open;
    s->open = NULL;
    struct frame_signer *signer = egress_signer(e, s->port);
    if (signer == NULL) {
        e->stats.dropped_signer++;
        buffer_release(e, b);
        return;
    }
    stamp(b);
    struct frame_address to = {.destination =
                                   *directory_endpoint_at(e->conf.directory, s->endpoint),
                               .issued_ms = clock_unix_us() / US_PER_MS,
                               .ttl_ms = EGRESS_FRAME_TTL_MS};
    to.known_kid =
        endpoint_is_broadcast(&to.destination) ? 0 : peers_kid(e->conf.peers, &to.destination);
    to.with_chain = peers_needs_chain(e->conf.peers, signer, &to.destination);
    b->route = (struct route){.source = signer->self, .destination = to.destination};
    size_t length = frame_finish(&b->frame, signer, e->conf.identity, &to);
    assert(length + FRAME_PATH_MAX <= b->room);
    b->job.owner = b;
    b->job.done = on_sealed;
    b->job.cancelled = false;
    if (e->conf.sealer == NULL) {
        b->job.sign = (struct frame_unsigned){b->frame.bytes, length};
        b->job.own_root = true;
        frame_tree_sign(&b->job.sign, 1, signer->key.key.secret);
        sealed(e, b);
        return;
    }
    sealer_sign_init(&b->job, signer, b->frame.bytes, length);
    if (e->batch_count == BATCH) {
        batch_submit(e);
    }
    e->batch[e->batch_count++] = &b->job;
    e->signing++;
}

/* ---- slots ---- */

static uint32_t *table_at(const struct egress *e, uint16_t port, uint32_t endpoint)
{
    uint64_t key = ((uint64_t)port << 32 | endpoint) * 0x9e3779b97f4a7c15u;
    uint32_t at = (uint32_t)(key >> 32) & e->table_mask;
    while (e->table[at] != 0) {
        const struct slot *s = &e->slots[e->table[at] - 1];
        if (s->port == port && s->endpoint == endpoint) {
            break;
        }
        at = (at + 1) & e->table_mask;
    }
    return &e->table[at];
}

static bool slots_grow(struct egress *e)
{
    uint32_t room = e->slot_room == 0 ? 64 : e->slot_room * 2;
    struct slot *slots = realloc(e->slots, room * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    e->slots = slots;
    e->slot_room = room;
    if (room * 2 > e->table_mask + 1) {
        uint32_t *table = calloc(room * 4, sizeof(*table));
        if (table == NULL) {
            return false;
        }
        free(e->table);
        e->table = table;
        e->table_mask = room * 4 - 1;
        for (uint32_t i = 0; i < e->slot_count; i++) {
            *table_at(e, slots[i].port, slots[i].endpoint) = i + 1;
        }
    }
    return true;
}

static struct slot *slot_of(struct egress *e, uint16_t port, uint32_t endpoint)
{
    uint32_t *at = table_at(e, port, endpoint);
    if (*at == 0) {
        if (e->slot_count == EGRESS_SLOTS_MAX ||
            (e->slot_count == e->slot_room && !slots_grow(e))) {
            e->stats.dropped_memory++;
            return NULL;
        }
        at = table_at(e, port, endpoint);
        e->slots[e->slot_count] = (struct slot){.port = port, .endpoint = endpoint};
        *at = ++e->slot_count;
    }
    return &e->slots[*at - 1];
}

/* ---- when buffers leave ---- */

/* How long a message may wait for company in its frame. Beats measure clocks by stamps that are
 * made when the frame is closed, so waiting does not blur them. What agents say to each other waits
 * once on each of two hops; their acknowledgements ride along with it. */
enum company { AT_ONCE, BEAT, UP, ON, ACK };
static const int64_t lingers_us[EGRESS_LINGERS] = {0, EGRESS_BEAT_US, EGRESS_UP_US, EGRESS_ON_US,
                                                   EGRESS_ACK_US};

static enum company linger_of(const struct msg *msg)
{
    switch ((int)msg->type) {
    case MSG_HEARTBEAT:
    case MSG_BEAT:
    case MSG_BEAT_REPLY:
    case MSG_HOST_REPORT:
        return BEAT;
    case MSG_RELAY:
        if (msg->priority >= EGRESS_URGENT) {
            return AT_ONCE;
        }
        return msg->from.tier == TIER_AGENT ? UP : ON;
    case MSG_RELAY_ACK:
        return msg->priority < EGRESS_URGENT ? ACK : AT_ONCE;
    default:
        return AT_ONCE;
    }
}

/* False: no memory; the buffer leaves at once instead. */
static bool due_push(struct due_queue *q, const struct due *due)
{
    if (q->first + q->count == q->room && q->first > q->count) {
        memmove(q->rows, q->rows + q->first, q->count * sizeof(*q->rows));
        q->first = 0;
    }
    if (q->first + q->count == q->room) {
        uint32_t room = q->room == 0 ? 64 : q->room * 2;
        struct due *rows = realloc(q->rows, room * sizeof(*rows));
        if (rows == NULL) {
            return false;
        }
        q->rows = rows;
        q->room = room;
    }
    q->rows[q->first + q->count++] = *due;
    return true;
}

/* What waits leaves at full ticks: frames that leave together share a signature, a write and the
 * wake of those who read them. */
static int64_t due_at(enum company linger)
{
    int64_t most_us = clock_boot_us() + lingers_us[linger];
    return most_us - most_us % EGRESS_TICK_US;
}

/* Notes that the slot's buffer has something that leaves when `linger` is over. */
static void slot_due(struct egress *e, struct slot *s, enum company linger)
{
    int64_t due_us = linger == AT_ONCE ? 0 : due_at(linger);
    if (s->due_us <= due_us) {
        return;
    }
    s->due_us = due_us;
    const struct due due = {
        .due_us = due_us, .slot = (uint32_t)(s - e->slots), .opened = s->opened};
    if (!due_push(&e->due[linger], &due)) {
        buffer_close(e, s);
    }
}

static bool slot_open(struct egress *e, struct slot *s)
{
    s->open = buffer_take(e);
    s->opened++;
    s->due_us = INT64_MAX;
    return s->open != NULL;
}

/* Whether so many records of so many bytes in all fit the open buffer as well. */
static bool slot_has_room(const struct slot *s, size_t bytes, unsigned records)
{
    return s->open->frame.used + bytes + records * FRAME_RECORD_BYTES <=
               FRAME_HEADER_BYTES + FRAME_BODY_MAX &&
           s->open->frame.record_count + records <= FRAME_RECORDS_MAX;
}

static bool slot_put(struct egress *e, struct slot *s, const uint8_t *head, size_t head_bytes,
                     const uint8_t *body, size_t body_bytes)
{
    size_t length = head_bytes + body_bytes;
    if (s->open != NULL && !slot_has_room(s, length, 1)) {
        buffer_close(e, s);
    }
    if ((s->open == NULL && !slot_open(e, s)) || !buffer_grow(s->open, length)) {
        e->stats.dropped_memory++;
        return false;
    }
    uint8_t *room = frame_reserve(&s->open->frame, length);
    assert(room != NULL); /* slot_has_room */
    memcpy(room, head, head_bytes);
    if (body_bytes > 0) {
        memcpy(room + head_bytes, body, body_bytes);
    }
    frame_commit(&s->open->frame, length);
    e->stats.records++;
    return true;
}

static bool frame_has(const struct buffer *b, struct id128 id)
{
    for (uint32_t i = 0; i < b->op_count; i++) {
        if (num_id128_equal(b->ops[i], id)) {
            return true;
        }
    }
    return false;
}

/* The sealed operation and the record that names it must share a frame: when both do not fit, the
 * open one is closed first. */
static bool put_operation(struct egress *e, struct slot *s, struct id128 id, size_t record)
{
    const struct opcache_entry *entry =
        e->conf.opcache != NULL ? opcache_get(e->conf.opcache, id) : NULL;
    if (entry == NULL || entry->sealed_bytes == 0) {
        e->stats.dropped_operation++;
        return false;
    }
    size_t both = 1 + entry->sealed_bytes + record;
    if (both + 2 * FRAME_RECORD_BYTES > FRAME_BODY_MAX) {
        e->stats.dropped_encode++;
        return false;
    }
    if (s->open != NULL && frame_has(s->open, id) && slot_has_room(s, record, 1)) {
        return true;
    }
    if (s->open != NULL && !slot_has_room(s, both, 2)) {
        buffer_close(e, s);
    }
    const uint8_t kind = RECORD_OPERATION;
    if (!slot_put(e, s, &kind, 1, entry->sealed, entry->sealed_bytes)) {
        return false;
    }
    struct buffer *b = s->open;
    if (b->op_count < OPS_KNOWN) {
        b->ops[b->op_count++] = id;
    }
    e->stats.operations++;
    return true;
}

/* ---- acknowledgements that say the same ---- */

/* The acknowledgement that was just put, in the clear: others may join it. */
static void acks_begin(struct buffer *b, const struct msg *msg, int64_t clock_us, size_t length)
{
    struct ack_run *run = &b->acks;
    run->end = b->frame.used;
    run->at = run->end - length - FRAME_RECORD_BYTES;
    run->answer_at = run->end - msg->u.ack.answer_bytes; /* the last field of its schema */
    run->agents = 1ull << (msg->from.agent - 1u);
    run->count = 1;
    run->first = *msg;
    run->first.sent_us = clock_us;
}

/* Adds it to the frame's last record. False: it goes alone. */
static bool acks_join(struct egress *e, struct slot *s, const struct msg *msg, int64_t clock_us)
{
    struct buffer *b = s->open;
    struct ack_run *run = b != NULL ? &b->acks : NULL;
    if (b == NULL || run->end != b->frame.used || run->count == ACK_GROUP_AGENTS_MAX ||
        !ack_group_joins(&run->first, b->frame.bytes + run->answer_at, msg) ||
        (run->agents >> (msg->from.agent - 1u) & 1u) != 0) {
        return false;
    }
    uint8_t head[ACK_GROUP_HEAD_BYTES + ANSWER_BYTES_MAX], row[ACK_GROUP_ROW_MAX];
    struct msg next = *msg;
    next.sent_us = clock_us;
    size_t had = run->end - run->at - FRAME_RECORD_BYTES;
    size_t head_bytes = 0, row_bytes = ack_group_row(&run->first, &next, row);
    if (run->count == 1) { /* in the place of the message */
        head_bytes = ack_group_head(&run->first, msg->u.ack.answer, head);
    }
    size_t length = (head_bytes > 0 ? head_bytes : had) + row_bytes;
    size_t more = length > had ? length - had : 0;
    if (!slot_has_room(s, more, 0) || !buffer_grow(b, more)) {
        return false;
    }
    frame_resize(&b->frame, run->at, length);
    uint8_t *record = b->frame.bytes + run->at + FRAME_RECORD_BYTES;
    memcpy(record, head, head_bytes);
    memcpy(record + length - row_bytes, row, row_bytes);
    run->answer_at = run->at + FRAME_RECORD_BYTES + ACK_GROUP_HEAD_BYTES;
    run->agents |= 1ull << (msg->from.agent - 1u);
    run->end = b->frame.used;
    record[ACK_GROUP_COUNT_AT] = (uint8_t)++run->count;
    e->stats.grouped++;
    return true;
}

bool egress_msg(struct egress *e, uint16_t port, uint32_t endpoint, const struct msg *msg,
                int64_t clock_us)
{
    assert(e != NULL && msg != NULL);
    assert(endpoint != ENDPOINT_NONE);
    struct slot *s = slot_of(e, port, endpoint);
    if (s != NULL && msg->type == MSG_ACK && acks_join(e, s, msg, clock_us)) {
        slot_due(e, s, linger_of(msg));
        return true;
    }
    size_t body = 0;
    if (!codec_encode(e->conf.codec, msg, e->scratch, sizeof(e->scratch) - RECORD_HEADER_BYTES,
                      &body)) {
        e->stats.dropped_encode++;
        return false;
    }
    if (s == NULL || (msg->type == MSG_OPERATE && !put_operation(e, s, msg->u.operate.operation_id,
                                                                 RECORD_HEADER_BYTES + body))) {
        return false;
    }
    struct record_header header;
    uint8_t head[RECORD_HEADER_BYTES];
    codec_record_of(msg, body, &header);
    header.flags = msg->type == MSG_OPERATE ? RECORD_FLAG_OPERATION : 0;
    header.sent_us = clock_us;
    codec_record_encode(&header, head);
    if (!slot_put(e, s, head, sizeof(head), e->scratch, body)) {
        return false;
    }
    if (msg->type == MSG_ACK && msg->from.tier == TIER_AGENT) {
        acks_begin(s->open, msg, clock_us, sizeof(head) + body);
    }
    slot_due(e, s, linger_of(msg));
    return true;
}

bool egress_record(struct egress *e, uint16_t port, uint32_t endpoint, const uint8_t *bytes,
                   size_t length)
{
    assert(e != NULL && bytes != NULL);
    assert(length > 0 && bytes[0] >= RECORD_SPECIAL);
    struct slot *s = slot_of(e, port, endpoint);
    if (s == NULL || !slot_put(e, s, bytes, length, NULL, 0)) {
        return false;
    }
    slot_due(e, s, AT_ONCE);
    return true;
}

/* Closes what is due by now_us, as far as the sealer takes it. */
static void flush_until(struct egress *e, int64_t now_us)
{
    for (unsigned i = 0; i < EGRESS_LINGERS; i++) {
        struct due_queue *q = &e->due[i];
        while (q->count > 0 && q->rows[q->first].due_us <= now_us && e->signing < SIGNING_MAX) {
            const struct due *d = &q->rows[q->first++];
            struct slot *s = &e->slots[d->slot];
            q->count--;
            if (s->open != NULL && s->opened == d->opened) {
                buffer_close(e, s);
            }
        }
        if (q->count == 0) {
            q->first = 0;
        }
    }
    batch_submit(e);
}

void egress_flush(struct egress *e)
{
    assert(e != NULL);
    flush_until(e, clock_boot_us());
}

void egress_flush_all(struct egress *e)
{
    assert(e != NULL);
    flush_until(e, INT64_MAX);
}

int64_t egress_next_us(const struct egress *e)
{
    assert(e != NULL);
    int64_t next_us = INT64_MAX;
    for (unsigned i = 1; i < EGRESS_LINGERS && e->signing < SIGNING_MAX; i++) {
        const struct due_queue *q = &e->due[i];
        int64_t first_us = q->count > 0 ? q->rows[q->first].due_us : INT64_MAX;
        next_us = first_us < next_us ? first_us : next_us;
    }
    return next_us;
}

void egress_ask_chain(struct egress *e, uint16_t port, const struct endpoint *to)
{
    assert(e != NULL);
    assert(to != NULL);
    struct frame_signer *signer = egress_signer(e, port);
    uint8_t *bytes = signer != NULL ? malloc(FRAME_BYTES_MAX) : NULL;
    if (bytes == NULL) {
        e->stats.dropped_signer++;
        return;
    }
    size_t length = peers_ask_chain(e->conf.peers, signer, to, clock_unix_us() / US_PER_MS, bytes);
    struct route route = {.source = signer->self, .destination = *to};
    if (e->conf.publish(e->conf.ctx, &route, bytes, length)) {
        e->stats.frames++;
        e->stats.bytes += length;
    } else {
        e->stats.dropped_bus++;
    }
    free(bytes);
}
