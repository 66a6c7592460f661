/* Acknowledgements: one final per operation, said again when the lead repeats the operation.
 *
 * The lead's word is at least once, so the same operation can arrive again after it was done: the
 * last few acknowledgements are kept in full, with their answers as far as the pool has room, and
 * somewhat more ids only with their outcome. What is older than that is known by its sequence
 * number alone (agent_work.c): it does not run again, and the lead hears READY or that it was
 * received.
 *
 * The answer pool is 1 KiB in chunks of 32 bytes, found by first fit in a 32-bit map: at most 32
 * chunks are looked at. Answers that wait for T come before those kept for repetition. */
#include "tiers/agent/agent_state.h"

#include "core/utf8.h"
#include <assert.h>
#include <string.h>

#define SEEN_MASK 0xffffull /* outcome << 8 | reason */

static_assert(AGENT_SEEN_MAX % AGENT_KEPT_MAX == 0, "a kept answer's place follows from its id's");
static_assert(AGENT_SEEN_MAX % AGENT_SEEN_BLOCK == 0, "blocks are whole");
static_assert(AGENT_ANSWER_CHUNKS == 32u, "the map of free chunks has 32 bits");

void ack_init(struct agent *a)
{
    assert(a != NULL);
    assert(a->answer_free == 0);
    a->answer_free = UINT32_MAX;
}

static uint32_t chunk_mask(uint32_t at, uint32_t bytes)
{
    uint32_t chunks = (bytes + AGENT_ANSWER_CHUNK - 1) / AGENT_ANSWER_CHUNK;
    uint32_t run = chunks >= 32 ? UINT32_MAX : (1u << chunks) - 1u;
    return run << at / AGENT_ANSWER_CHUNK;
}

/* The oldest kept answer gives way. False: none left. */
static bool kept_answer_drop(struct agent *a)
{
    for (uint32_t i = 0; i < AGENT_KEPT_MAX; i++) {
        struct kept *k = &a->kept[(a->seen_next + i) % AGENT_KEPT_MAX];
        if (k->answer.bytes > 0) {
            ack_answer_free(a, k->answer);
            k->answer.bytes = 0;
            return true;
        }
    }
    return false;
}

struct agent_answer ack_answer_put(struct agent *a, const uint8_t *bytes, uint32_t count)
{
    assert(a != NULL);
    assert(count <= ANSWER_BYTES_MAX);
    if (bytes == NULL || count == 0) {
        return (struct agent_answer){0};
    }
    uint32_t chunks = (count + AGENT_ANSWER_CHUNK - 1) / AGENT_ANSWER_CHUNK;
    do {
        for (uint32_t chunk = 0; chunk + chunks <= AGENT_ANSWER_CHUNKS; chunk++) {
            uint32_t at = chunk * AGENT_ANSWER_CHUNK;
            uint32_t mask = chunk_mask(at, count);
            if ((a->answer_free & mask) == mask) {
                a->answer_free &= ~mask;
                memcpy(&a->answers[at], bytes, count);
                return (struct agent_answer){.at = (uint16_t)at, .bytes = (uint16_t)count};
            }
        }
    } while (kept_answer_drop(a));
    return (struct agent_answer){0};
}

void ack_answer_free(struct agent *a, struct agent_answer answer)
{
    assert(a != NULL);
    if (answer.bytes > 0) {
        uint32_t mask = chunk_mask(answer.at, answer.bytes);
        assert((a->answer_free & mask) == 0);
        a->answer_free |= mask;
    }
}

static uint32_t clock_error(const struct agent *a, int64_t now_us)
{
    return (uint32_t)num_clamp_i64(meshtime_error_us(&a->time, now_us), 0, UINT32_MAX);
}

static bool pending_send(struct agent *a, int64_t now_us, struct task *t, const uint8_t *word,
                         uint32_t bytes, struct outbox *out)
{
    struct msg m = {.type = MSG_ACK, .priority = t->priority};
    m.u.ack = (struct ack){.operation_id = t->id,
                           .outcome = OUTCOME_PENDING,
                           .seq = t->seq,
                           .echo_sent_us = t->echo_sent_us,
                           .received_mesh_us = t->received_mesh_us,
                           .queue_depth = work_queue_depth(a),
                           .clock_error_us = clock_error(a, now_us),
                           .answer_bytes = bytes,
                           .answer = bytes > 0 ? word : NULL};
    if (!agent_send(a, out, &m)) {
        return false;
    }
    t->pending_us = NEVER;
    return true;
}

bool ack_pending(struct agent *a, int64_t now_us, struct task *t, struct outbox *out)
{
    assert(a != NULL && t != NULL);
    assert(t->state != TASK_FREE);
    if (t->relay || !t->want_ack) {
        t->pending_us = NEVER; /* authors of messages wait for the outcome alone */
        return true;
    }
    return pending_send(a, now_us, t, NULL, 0, out);
}

static bool line_end(uint8_t c)
{
    return c == '\n' || c == '\r' || c == ' ';
}

void ack_word(struct agent *a, int64_t now_us, struct task *t, const uint8_t *text, uint32_t bytes,
              struct outbox *out)
{
    assert(a != NULL && t != NULL && out != NULL);
    while (bytes > 0 && line_end(text[bytes - 1u])) {
        bytes--;
    }
    uint32_t from = bytes;
    while (from > 0 && text[from - 1u] != '\n' && text[from - 1u] != '\r') {
        from--;
    }
    uint32_t count = bytes - from;
    if (count > WORD_BYTES_MAX) {
        count = (uint32_t)utf8_whole(text + from, WORD_BYTES_MAX);
    }
    uint16_t now_ms = (uint16_t)(now_us / US_PER_MS);
    bool soon = (uint16_t)(now_ms - a->said_ms) < AGENT_SAY_US / US_PER_MS;
    if (count == 0 || soon || t->relay || !t->want_ack) {
        return;
    }
    if (pending_send(a, now_us, t, text + from, count, out)) {
        a->said_ms = now_ms;
    }
}

static bool relay_ack_send(struct agent *a, struct id128 id, enum outcome outcome,
                           enum reason reason, const uint8_t *answer, uint32_t bytes,
                           struct outbox *out)
{
    struct msg m = {.type = MSG_RELAY_ACK, .priority = 1};
    bool took = outcome == OUTCOME_READY || outcome == OUTCOME_CONFLICT;
    m.u.relay_ack = (struct relay_ack){.message_id = id,
                                       .target = a->self,
                                       .reached = took ? 1 : 0,
                                       .failed = took ? 0 : 1,
                                       .outcome = outcome,
                                       .reason = reason,
                                       .answer_bytes = bytes,
                                       .answer = bytes > 0 ? answer : NULL};
    return agent_send(a, out, &m);
}

/* Remembers a finished task for repetition; its answer moves along. */
static void keep(struct agent *a, struct task *t, int64_t release_mesh_us, bool late)
{
    uint32_t at = a->seen_next;
    struct kept *k = &a->kept[at % AGENT_KEPT_MAX];
    ack_answer_free(a, k->answer);
    *k = (struct kept){.received_mesh_us = t->received_mesh_us,
                       .arrival_mesh_us = t->arrival_mesh_us,
                       .release_mesh_us = release_mesh_us,
                       .seq = t->seq,
                       .processing_us = t->took_us,
                       .answer = t->answer,
                       .relay = t->relay,
                       .late = late};
    t->answer.bytes = 0;
    int64_t *youngest_ms = &a->seen_ms[at / AGENT_SEEN_BLOCK];
    int64_t ms = num_id128_ms(t->id);
    if (at % AGENT_SEEN_BLOCK == 0) {
        a->forgotten_ms = *youngest_ms > a->forgotten_ms ? *youngest_ms : a->forgotten_ms;
        *youngest_ms = 0;
    }
    *youngest_ms = ms > *youngest_ms ? ms : *youngest_ms;
    a->seen[at] =
        (num_id128_low(t->id) & ~SEEN_MASK) | (uint64_t)t->outcome << 8 | (uint64_t)t->reason;
    a->seen_next = (uint8_t)((at + 1u) % AGENT_SEEN_MAX);
}

void ack_cancelled(struct agent *a, struct task *t)
{
    assert(a != NULL && t != NULL);
    assert(t->state != TASK_FREE);
    ack_answer_free(a, t->answer);
    t->answer.bytes = 0;
    t->outcome = OUTCOME_REFUSED;
    t->reason = REASON_NONE;
    keep(a, t, 0, false);
    work_done(a, t);
}

bool ack_final(struct agent *a, int64_t now_us, struct task *t, int64_t release_mesh_us,
               const uint8_t *answer, uint32_t answer_bytes, const struct conflict_detail *conflict,
               struct outbox *out)
{
    assert(a != NULL && t != NULL);
    assert(t->outcome != OUTCOME_PENDING && t->outcome < OUTCOME_COUNT);
    bool late = t->deadline_mesh_us > 0 && t->arrival_mesh_us > t->deadline_mesh_us;
    if (answer == NULL && t->answer.bytes > 0) {
        answer = a->answers + t->answer.at;
        answer_bytes = t->answer.bytes;
    }
    bool sent = true;
    if (t->relay) {
        sent = relay_ack_send(a, t->id, (enum outcome)t->outcome, (enum reason)t->reason, answer,
                              answer_bytes, out);
    } else if (t->want_ack) {
        struct msg m = {.type = MSG_ACK, .priority = t->priority};
        m.u.ack = (struct ack){.operation_id = t->id,
                               .outcome = (enum outcome)t->outcome,
                               .reason = (enum reason)t->reason,
                               .late = late,
                               .seq = t->seq,
                               .echo_sent_us = t->echo_sent_us,
                               .received_mesh_us = t->received_mesh_us,
                               .arrival_mesh_us = t->arrival_mesh_us,
                               .release_mesh_us = release_mesh_us,
                               .processing_us = t->took_us,
                               .queue_depth = work_queue_depth(a),
                               .clock_error_us = clock_error(a, now_us),
                               .answer_bytes = answer_bytes,
                               .answer = answer_bytes > 0 ? answer : NULL,
                               .conflict = conflict};
        sent = agent_send(a, out, &m);
    }
    if (!sent) {
        return false;
    }
    if (t->answer.bytes == 0 && answer_bytes > 0 && answer_bytes <= ANSWER_BYTES_MAX / 4) {
        t->answer = ack_answer_put(a, answer, answer_bytes); /* for repetition */
    }
    if (t->outcome == OUTCOME_READY) {
        work_ready(a, t);
    }
    keep(a, t, release_mesh_us, late);
    work_done(a, t);
    return true;
}

/* The finished operation of this id in the ring; AGENT_SEEN_MAX: it is not there. */
static uint32_t seen_find(const struct agent *a, struct id128 id)
{
    uint32_t at = 0;
    uint64_t low = num_id128_low(id);
    while (at < AGENT_SEEN_MAX && (a->seen[at] == 0 || ((a->seen[at] ^ low) & ~SEEN_MASK) != 0)) {
        at++;
    }
    return at;
}

bool ack_repeat(struct agent *a, int64_t now_us, struct id128 id, const struct msg *msg,
                struct outbox *out)
{
    assert(a != NULL && msg != NULL);
    assert(msg->type == MSG_OPERATE || msg->type == MSG_RELAY);
    uint32_t at = seen_find(a, id);
    if (at == AGENT_SEEN_MAX) {
        return false;
    }
    struct kept k = {.relay = msg->type == MSG_RELAY};
    uint32_t age = (a->seen_next + AGENT_SEEN_MAX - 1u - at) % AGENT_SEEN_MAX;
    if (age < AGENT_KEPT_MAX) {
        k = a->kept[at % AGENT_KEPT_MAX];
    }
    enum outcome outcome = (enum outcome)(a->seen[at] >> 8 & 0xffu);
    enum reason reason = (enum reason)(a->seen[at] & 0xffu);
    const uint8_t *answer = k.answer.bytes > 0 ? a->answers + k.answer.at : NULL;
    if (k.relay) {
        relay_ack_send(a, id, outcome, reason, answer, k.answer.bytes, out);
        return true;
    }
    struct msg m = {.type = MSG_ACK, .priority = msg->priority};
    m.u.ack = (struct ack){.operation_id = id,
                           .outcome = outcome,
                           .reason = reason,
                           .late = k.late,
                           .seq = k.seq,
                           .echo_sent_us = msg->sent_us,
                           .received_mesh_us = k.received_mesh_us,
                           .arrival_mesh_us = k.arrival_mesh_us,
                           .release_mesh_us = k.release_mesh_us,
                           .processing_us = k.processing_us,
                           .queue_depth = work_queue_depth(a),
                           .clock_error_us = clock_error(a, now_us),
                           .answer_bytes = k.answer.bytes,
                           .answer = answer};
    agent_send(a, out, &m);
    return true;
}

void ack_received(struct agent *a, int64_t now_us, const struct msg *msg,
                  const struct operation *operation, uint32_t seq, bool ready, struct outbox *out)
{
    assert(a != NULL && operation != NULL);
    assert(msg->type == MSG_OPERATE);
    struct msg m = {.type = MSG_ACK, .priority = operation->priority};
    m.u.ack = (struct ack){.operation_id = operation->id,
                           .outcome = ready ? OUTCOME_READY : OUTCOME_PENDING,
                           .seq = seq,
                           .echo_sent_us = msg->sent_us,
                           .received_mesh_us = ready ? 0 : agent_mesh(a, msg->recv_us),
                           .queue_depth = work_queue_depth(a),
                           .clock_error_us = clock_error(a, now_us)};
    if (operation->require_ack) {
        agent_send(a, out, &m);
    }
}

void ack_refuse(struct agent *a, int64_t now_us, const struct msg *msg,
                const struct operation *operation, enum reason reason, struct outbox *out)
{
    assert(a != NULL && operation != NULL);
    assert(reason != REASON_NONE);
    if (msg->type == MSG_RELAY) {
        relay_ack_send(a, operation->id, OUTCOME_REFUSED, reason, NULL, 0, out);
        return;
    }
    struct msg m = {.type = MSG_ACK, .priority = operation->priority};
    int64_t mesh_us = agent_mesh(a, msg->recv_us);
    m.u.ack = (struct ack){.operation_id = operation->id,
                           .outcome = OUTCOME_REFUSED,
                           .reason = reason,
                           .echo_sent_us = msg->sent_us,
                           .received_mesh_us = mesh_us,
                           .arrival_mesh_us = mesh_us,
                           .queue_depth = work_queue_depth(a),
                           .clock_error_us = clock_error(a, now_us)};
    if (operation->require_ack) {
        agent_send(a, out, &m);
    }
}
