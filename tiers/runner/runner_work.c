/* Work: handlers of agents, and the agents that a host starts and stops. A work is a timer; when it
 * is due its answer is made and the node is stepped. The operation is looked up by id at both ends,
 * so work never holds a pointer into the cache. Starting an agent is work that lasts as long as the
 * agent: it has no timer until the agent has ended, and then its final answer is due.
 *
 * Actions that are not built in are the executor's (executor.h): its job has no timer here but for
 * partial output, which is passed on from the heap, never from inside a callback of a library. */
#include "core/content.h"
#include "core/num.h"
#include "tiers/runner/chat.h"
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void work_release(struct runner *r, struct work *w)
{
    assert(w->job == NULL);
    runner_blob_forget(r, w);
    runner_content_forget(r, w);
    if (w->link != NULL) {
        *w->link = w->next;
        if (w->next != NULL) {
            w->next->link = w->link;
        }
    }
    timers_clear(&r->timers, &w->timer);
    w->link = NULL;
    w->next = r->work_pool;
    r->work_pool = w;
    r->work_count--;
}

static struct handler_call call_of(struct runner *r, struct node *n, const struct operation *op)
{
    const struct runner_world *w = r->conf.world;
    return (struct handler_call){.operation = op,
                                 .trace = runner_trace(r, op),
                                 .topology = r->conf.topology,
                                 .unit = n->unit,
                                 .home = n->home,
                                 .agent_class = (enum impedance_class)n->agent_class,
                                 .context_hash = n->context_hash,
                                 .facts =
                                     runner_facts(r, n->home, (enum impedance_class)n->agent_class),
                                 .rng = &n->rng,
                                 .work_us = w != NULL ? w->work_us : NULL,
                                 .work_ctx = w != NULL ? w->ctx : NULL,
                                 .process = r->conf.process};
}

static void reply_step(struct runner *r, struct node *n, const struct work_reply *reply)
{
    struct event event = {.kind = EV_WORK};
    event.u.work = reply;
    runner_step(r, n, &event);
}

/* Partial output of a run that goes on. */
static void progress(struct runner *r, struct work *w)
{
    struct work_reply reply = {.ref = w->op.ref,
                               .seq = ++w->seq,
                               .verdict = OUTCOME_PENDING,
                               .answer = w->text,
                               .answer_bytes = w->text_bytes,
                               .unit = w->op.unit};
    w->text_bytes = 0;
    reply_step(r, r->nodes[w->node], &reply);
}

void runner_work_answer(struct runner *r, struct work *w, const uint8_t *bytes, uint32_t count,
                        const struct conflict_detail *conflict)
{
    assert(count <= ANSWER_BYTES_MAX);
    struct node *n = r->nodes[w->node];
    bool brings = w->content != 0 && w->verdict == OUTCOME_READY;
    if (brings) {
        runner_content_adopt(r, n, w);
    }
    struct id128 context = n->context_hash;
    struct work_reply reply = {.ref = w->op.ref,
                               .seq = w->seq + 1,
                               .final = true,
                               .verdict = w->verdict,
                               .reason = w->reason,
                               .answer = bytes,
                               .answer_bytes = count,
                               .conflict = conflict,
                               .context = brings ? &context : NULL,
                               .unit = w->op.unit};
    work_release(r, w);
    reply_step(r, n, &reply);
}

/* A verdict with its text. A context that is not what its name says is a conflict about it: what
 * the agent holds, and what it was offered instead. */
static void answer_text(struct runner *r, struct work *w)
{
    uint8_t text[ANSWER_BYTES_MAX];
    char name[ID128_TEXT_MAX];
    uint32_t count = w->text_bytes;
    const struct id128 held = r->nodes[w->node]->context_hash;
    memcpy(text, w->text, count);
    num_id128_format(held, name);
    struct conflict_detail wrong = {.type = CONFLICT_HASH_MISMATCH,
                                    .context_hash = held,
                                    .divergence_depth = 1,
                                    .agents_affected = 1,
                                    .expected = (const uint8_t *)name,
                                    .expected_bytes = sizeof(name) - 1,
                                    .received = text,
                                    .received_bytes = count};
    runner_work_answer(r, w, text, count, w->verdict == OUTCOME_CONFLICT ? &wrong : NULL);
}

static void answer_clear(struct handler_answer *answer)
{
    memset(answer, 0, offsetof(struct handler_answer, at));
    answer->has_conflict = false;
    answer->has_emit = false;
    answer->verdict = OUTCOME_READY;
}

/* Work that talks on the way says its next word. False: its time is over. */
static bool talk_on(struct runner *r, struct work *w)
{
    static struct handler_answer answer;
    struct node *n = r->nodes[w->node];
    if (w->handler == NULL || w->handler->more == NULL) {
        return false;
    }
    const struct opcache_entry *e = opcache_get(r->conf.opcache, w->op.operation);
    if (e == NULL) {
        return false;
    }
    answer_clear(&answer);
    struct handler_call call = call_of(r, n, &e->operation);
    call.began_us = w->began_us;
    int64_t pause_us = w->handler->more(&call, &answer);
    if (pause_us < 0 || !timers_set(&r->timers, &w->timer, clock_boot_us() + pause_us)) {
        return false;
    }
    if (answer.has_emit) { /* the step may cancel this work: it is not looked at afterwards */
        struct work_reply emit = {.ref = w->op.ref, .emit = &answer.emit, .unit = w->op.unit};
        reply_step(r, n, &emit);
    }
    return true;
}

/* The bytes of a context that is held here, for another process. */
static void answer_content(struct runner *r, const struct work *w, struct work_reply *reply)
{
    uint32_t count = 0;
    const uint8_t *bytes = runner_content_bytes(r, w->op.content, &count);
    uint8_t *both = malloc(sizeof(w->op.content) + count);
    if (both != NULL) {
        memcpy(both, w->op.content, sizeof(w->op.content));
        if (count > 0) {
            memcpy(both + sizeof(w->op.content), bytes, count);
        }
        reply->verdict = count > 0 ? OUTCOME_READY : OUTCOME_FAILED;
        reply->answer = both;
        reply->answer_bytes = (uint32_t)sizeof(w->op.content) + count;
    }
    reply_step(r, r->nodes[w->node], reply);
    free(both);
}

static void on_work(struct timer *timer, void *ctx)
{
    struct runner *r = ctx;
    if (talk_on(r, (struct work *)(void *)timer)) {
        return;
    }
    struct work w = *(struct work *)(void *)timer; /* released before the node is stepped */
    struct node *n = r->nodes[w.node];
    if (w.job != NULL) {
        progress(r, (struct work *)(void *)timer);
        return;
    }
    if (w.text_bytes > 0) { /* it could not be started, and this is why */
        answer_text(r, (struct work *)(void *)timer);
        return;
    }
    work_release(r, (struct work *)(void *)timer);
    assert(n->self != NULL && n->generation == w.generation); /* runner_work_forget */
    struct work_reply reply = {.ref = w.op.ref,
                               .seq = 1,
                               .final = true,
                               .verdict = w.verdict,
                               .reason = w.reason,
                               .unit = w.op.unit};
    if (w.op.kind == WORK_CONTENT) {
        answer_content(r, &w, &reply);
        return;
    }
    if (w.handler == NULL) {
        reply_step(r, n, &reply);
        return;
    }
    const struct opcache_entry *e = opcache_get(r->conf.opcache, w.op.operation);
    if (e == NULL) {
        reply.verdict = OUTCOME_FAILED;
        reply.reason = REASON_EXPIRED;
        reply_step(r, n, &reply);
        return;
    }
    static struct handler_answer answer; /* one loop thread; too large for every stack frame */
    answer_clear(&answer);
    struct handler_call call = call_of(r, n, &e->operation);
    call.began_us = w.began_us;
    if (n->content != 0 && strcmp(e->operation.action, "context") == 0) {
        call.context_wrong = !runner_content_verify(r, n, &call.context_bytes);
        reply.context = call.context_wrong ? &n->context_hash : NULL;
    }
    w.handler->finish(&call, &answer);
    if (r->conf.world != NULL && r->conf.world->ran != NULL) {
        r->conf.world->ran(r->conf.world->ctx, n->unit, &e->operation);
    }
    if (answer.has_emit) {
        struct work_reply emit = {.ref = w.op.ref, .emit = &answer.emit, .unit = w.op.unit};
        reply_step(r, n, &emit);
    }
    reply.verdict = answer.verdict;
    reply.reason = answer.reason;
    reply.answer = answer.at;
    reply.answer_bytes = answer.bytes;
    reply.conflict = answer.has_conflict ? &answer.conflict : NULL;
    if (n->self != NULL && n->generation == w.generation) {
        reply_step(r, n, &reply);
    }
}

static struct work *work_take(struct runner *r, struct node *n, const struct work_op *op)
{
    struct work *w = r->work_pool;
    if (r->work_count >= RUNNER_WORKS_MAX) {
        return NULL;
    }
    if (w != NULL) {
        r->work_pool = w->next;
    } else {
        w = calloc(1, sizeof(*w));
        if (w == NULL) {
            return NULL;
        }
    }
    uint8_t *text = w->text;
    *w = (struct work){.timer = {.fn = on_work},
                       .runner = r,
                       .text = text,
                       .node = n->index,
                       .generation = n->generation,
                       .op = *op,
                       .verdict = OUTCOME_FAILED};
    w->next = n->works;
    w->link = &n->works;
    if (w->next != NULL) {
        w->next->link = &w->next;
    }
    n->works = w;
    r->work_count++;
    return w;
}

/* True: the work goes on. */
static bool host_work(struct runner *r, struct node *n, struct work *w)
{
    struct unit u = w->op.unit;
    struct unit home = w->op.home;
    bool known = u.tier == TIER_AGENT && topology_contains(r->conf.topology, u) &&
                 home.tier == TIER_AGENT && topology_contains(r->conf.topology, home);
    uint32_t index = known ? topology_index(r->conf.topology, home) : UINT32_MAX;
    if (n->unit.tier != TIER_HOST || index < n->agent_first ||
        index - n->agent_first >= n->agent_count) {
        w->reason = REASON_INVALID;
        return false;
    }
    if (w->op.kind == WORK_AGENT_STOP) {
        runner_remove(r, u);
        w->verdict = OUTCOME_READY;
        return false;
    }
    int verdict = runner_add_agent(r, u, home, n->port);
    if (verdict == 0) {
        runner_find(r, u)->host = n->index + 1;
        return true;
    }
    w->reason = verdict == -EEXIST    ? REASON_INVALID
                : verdict == -ENOTSUP ? REASON_UNKNOWN_ACTION
                                      : REASON_OVERLOAD;
    return false;
}

void runner_work_ended(struct runner *r, struct node *agent)
{
    if (agent->host == 0) {
        return;
    }
    struct node *host = r->nodes[agent->host - 1];
    agent->host = 0;
    for (struct work *w = host->works; w != NULL; w = w->next) {
        if (w->op.kind == WORK_AGENT_START && unit_equal(w->op.unit, agent->unit)) {
            w->verdict = OUTCOME_READY;
            if (!timers_soon(&r->timers, &w->timer, clock_boot_us())) {
                r->stats.memory_refused++;
            }
            return;
        }
    }
}

void runner_work_text(struct work *w, const uint8_t *bytes, size_t count)
{
    size_t keep = count < ANSWER_BYTES_MAX ? count : ANSWER_BYTES_MAX;
    if (w->text == NULL) {
        w->text = malloc(ANSWER_BYTES_MAX);
    }
    w->text_bytes = w->text != NULL ? (uint32_t)keep : 0;
    if (w->text_bytes > 0) {
        memcpy(w->text, bytes, keep);
    }
}

void runner_run_progress(void *run, const uint8_t *bytes, size_t count)
{
    struct work *w = run;
    assert(w != NULL && w->job != NULL);
    runner_work_text(w, bytes, count);
    (void)timers_set(&w->runner->timers, &w->timer, clock_boot_us());
}

void runner_run_done(void *run, const struct executor_answer *answer)
{
    struct work *w = run;
    assert(w != NULL && w->job != NULL && answer != NULL);
    w->job = NULL;
    w->verdict = answer->verdict;
    w->reason = answer->reason;
    timers_clear(&w->runner->timers, &w->timer);
    if (answer->count > ANSWER_BYTES_MAX) {
        runner_blob_put(w->runner, w, answer->bytes, answer->count);
    } else {
        runner_work_answer(w->runner, w, answer->bytes, (uint32_t)answer->count, answer->conflict);
    }
}

/* True: it runs, and answers by itself. */
static bool executor_work(struct runner *r, struct node *n, struct work *w,
                          const struct operation *op)
{
    struct executor_answer answer = {.verdict = OUTCOME_FAILED, .reason = REASON_HANDLER};
    struct handler_call call = call_of(r, n, op);
    int64_t deadline_us = runner_node_boot(n, w->op.deadline_us);
    w->job = r->conf.executor->start(r->conf.executor->self, &call, deadline_us, w, &answer);
    if (w->job != NULL) {
        return true;
    }
    w->verdict = answer.verdict;
    w->reason = answer.reason;
    runner_work_text(w, answer.bytes, answer.count);
    return false;
}

/* True: it loads a context, or puts one, and answers by itself. */
static bool content_work(struct runner *r, struct work *w, const struct operation *op)
{
    uint8_t hash[CONTENT_HASH], ref[CONTENT_HASH];
    bool named = op->payload_bytes > 0 && content_ref_parse(op->payload, op->payload_bytes, ref);
    w->content_only_put = op->source.tier != TIER_AGENT && strcmp(op->action, CONTENT_PUT) == 0 &&
                          op->payload_bytes > 0 && !named;
    if (w->content_only_put) {
        memcpy(hash, op->payload_hash, sizeof(hash));
    } else if (!content_of(op, hash)) {
        return false;
    }
    runner_content_want(r, w, hash, named ? NULL : op->payload, named ? 0 : op->payload_bytes);
    return true;
}

/* True: it answers by itself. Else *ret_takes_us. */
static bool handler_work(struct runner *r, struct node *n, struct work *w, int64_t *ret_takes_us)
{
    const struct opcache_entry *e =
        r->conf.opcache != NULL ? opcache_get(r->conf.opcache, w->op.operation) : NULL;
    if (e == NULL) {
        w->reason = REASON_EXPIRED;
        return false;
    }
    if (content_work(r, w, &e->operation)) {
        return true;
    }
    const struct executor *x = r->conf.executor;
    if (x != NULL && x->offers(x->self, e->operation.action)) {
        return executor_work(r, n, w, &e->operation);
    }
    w->handler = handler_find(e->operation.action);
    w->began_us = clock_boot_us();
    if (w->handler == NULL && r->conf.world != NULL) {
        w->handler = chat_find(e->operation.action);
    }
    if (w->handler == NULL) {
        w->reason = REASON_UNKNOWN_ACTION;
        return false;
    }
    struct handler_call call = call_of(r, n, &e->operation);
    *ret_takes_us = w->handler->begin != NULL ? w->handler->begin(&call) : 0;
    assert(*ret_takes_us >= 0);
    return false;
}

void runner_work_begin(struct runner *r, struct node *n, const struct work_op *op)
{
    struct work *w = work_take(r, n, op);
    r->stats.works++;
    if (w == NULL) {
        r->stats.works_refused++; /* no answer: the node's own deadline covers it */
        return;
    }
    int64_t takes_us = 0;
    switch (op->kind) {
    case WORK_HANDLER:
        if (handler_work(r, n, w, &takes_us)) {
            return;
        }
        break;
    case WORK_AGENT_START:
    case WORK_AGENT_STOP:
        if (host_work(r, n, w)) {
            return;
        }
        break;
    case WORK_CONTEXT:
        w->op.body = NULL; /* the outbox's */
        runner_content_want(r, w, op->content, op->body, op->body_bytes);
        return;
    case WORK_CONTENT: /* read when it is answered */
        break;
    case WORK_KIND_COUNT:
    default:
        w->reason = REASON_UNKNOWN_ACTION;
        break;
    }
    int64_t now_us = clock_boot_us();
    if (takes_us > 0 ? !timers_set(&r->timers, &w->timer, now_us + takes_us)
                     : !timers_soon(&r->timers, &w->timer, now_us)) {
        r->stats.works_refused++;
        work_release(r, w);
    }
}

static void job_cancel(struct runner *r, struct work *w)
{
    if (w->job != NULL) {
        r->conf.executor->cancel(r->conf.executor->self, w->job);
        w->job = NULL;
    }
}

void runner_work_cancel(struct runner *r, struct node *n, uint64_t ref)
{
    for (struct work *w = n->works; w != NULL; w = w->next) {
        if (w->op.ref == ref) {
            r->stats.works_cancelled++;
            job_cancel(r, w);
            work_release(r, w);
            return;
        }
    }
}

void runner_work_forget(struct runner *r, struct node *n)
{
    while (n->works != NULL) {
        job_cancel(r, n->works);
        work_release(r, n->works);
    }
}

void runner_forget_work(struct runner *r)
{
    assert(r != NULL);
    for (uint32_t i = 0; i < r->node_count; i++) {
        runner_work_forget(r, r->nodes[i]);
    }
}
