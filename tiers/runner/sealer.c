/* One ring of job pointers in the order of submission: [head, take) is being worked on, [take,
 * tail) waits. Workers take a few at a time in order; the loop hands back from head while the job
 * there is finished. A finished job behind an unfinished one waits, for one signature's time (about
 * 40 us), and that is what keeps the order without any bookkeeping per peer. What a worker takes is
 * a run of one kind: frames to verify, or frames that one signer signs together.
 *
 * One mutex guards the ring and the finished flags; it is held for pointer moves only. One uv_async
 * wakes the loop, which drains everything that is ready. Bounds: jobs_max jobs, SEALER_THREADS_MAX
 * threads. The sealer allocates at start only. */
#include "tiers/runner/sealer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAKE_MAX  4u  /* frames to verify that a worker takes at once: threads share evenly */
#define DRAIN_MAX 64u /* jobs handed back per look at the ring */

struct sealer {
    uv_async_t wake;
    uv_mutex_t lock;
    uv_cond_t work;
    unsigned threads;
    bool stopping;
    bool draining;
    uint32_t jobs_max;
    uint64_t head, take, tail; /* they only grow; modulo jobs_max */
    struct sealer_stats stats;
    struct frame_roots roots; /* without threads; else each has its own */
    void (*closed)(void *ctx);
    void *closed_ctx;
    uv_thread_t thread[SEALER_THREADS_MAX];
    struct sealer_job *jobs[];
};

/* Whether b can be worked on together with a, as the at-th of its run. */
static bool joins(const struct sealer_job *a, const struct sealer_job *b, uint32_t at)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == SEALER_SIGN ? a->kid == b->kid && at < FRAME_TREE_MAX : at < TAKE_MAX;
}

static void sign_together(struct sealer_job *const *jobs, uint32_t count)
{
    struct frame_unsigned frames[FRAME_TREE_MAX];
    assert(count > 0 && count <= FRAME_TREE_MAX);
    for (uint32_t i = 0; i < count; i++)
        frames[i] = jobs[i]->sign;
    frame_tree_sign(frames, count, jobs[0]->secret);
    for (uint32_t i = 0; i < count; i++) {
        jobs[i]->sign = frames[i];
        jobs[i]->own_root = i == 0;
        keys_wipe(jobs[i]->secret, sizeof(jobs[i]->secret));
    }
}

static void run_jobs(struct sealer_job *const *jobs, uint32_t count, struct frame_roots *roots)
{
    if (jobs[0]->kind == SEALER_SIGN) {
        sign_together(jobs, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        frame_verify(&jobs[i]->frame, roots);
}

/* The lock is held. */
static uint32_t take_run(struct sealer *s, struct sealer_job **ret)
{
    uint32_t count = 0;
    do {
        ret[count++] = s->jobs[s->take++ % s->jobs_max];
    } while (s->take < s->tail && joins(ret[0], s->jobs[s->take % s->jobs_max], count));
    return count;
}

static void worker(void *arg)
{
    struct sealer *s = arg;
    struct sealer_job *mine[FRAME_TREE_MAX];
    struct frame_roots roots = {0};
    uv_mutex_lock(&s->lock);
    for (;;) {
        while (s->take == s->tail && !s->stopping)
            uv_cond_wait(&s->work, &s->lock);
        if (s->stopping)
            break;
        uint32_t count = take_run(s, mine);
        uv_mutex_unlock(&s->lock);
        run_jobs(mine, count, &roots);
        uv_mutex_lock(&s->lock);
        for (uint32_t i = 0; i < count; i++)
            mine[i]->finished = true;
        uv_async_send(&s->wake);
    }
    uv_mutex_unlock(&s->lock);
}

static void hand_back(struct sealer *s, struct sealer_job *job)
{
    s->stats.signatures += job->kind == SEALER_SIGN && job->own_root;
    job->done(job);
}

/* Hands back what is finished, in order. The lock is not held while `done` runs. */
static void drain(struct sealer *s)
{
    struct sealer_job *ready[DRAIN_MAX];
    uint32_t count;
    do {
        count = 0;
        uv_mutex_lock(&s->lock);
        while (count < DRAIN_MAX && s->head < s->take && s->jobs[s->head % s->jobs_max]->finished)
            ready[count++] = s->jobs[s->head++ % s->jobs_max];
        uv_mutex_unlock(&s->lock);
        s->draining = true;
        for (uint32_t i = 0; i < count; i++)
            hand_back(s, ready[i]);
        s->draining = false;
    } while (count > 0);
}

static void on_wake(uv_async_t *handle)
{
    drain(handle->data);
}

static void stop_threads(struct sealer *s, unsigned started)
{
    uv_mutex_lock(&s->lock);
    s->stopping = true;
    uv_cond_broadcast(&s->work);
    uv_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < started; i++)
        uv_thread_join(&s->thread[i]);
}

static void on_closed(uv_handle_t *handle)
{
    struct sealer *s = handle->data;
    uv_cond_destroy(&s->work);
    uv_mutex_destroy(&s->lock);
    if (s->closed)
        s->closed(s->closed_ctx);
    free(s);
}

int sealer_new(uv_loop_t *loop, unsigned threads, uint32_t jobs_max, struct sealer **ret)
{
    assert(loop && ret);
    assert(threads <= SEALER_THREADS_MAX && jobs_max > 0 && jobs_max <= SEALER_JOBS_MAX);
    struct sealer *s = calloc(1, sizeof(*s) + jobs_max * sizeof(struct sealer_job *));
    if (!s)
        return -ENOMEM;
    s->jobs_max = jobs_max;
    s->threads = threads;
    s->wake.data = s;
    int rc = uv_mutex_init(&s->lock);
    if (rc < 0)
        goto fail_free;
    rc = uv_cond_init(&s->work);
    if (rc < 0)
        goto fail_lock;
    rc = uv_async_init(loop, &s->wake, on_wake);
    if (rc < 0)
        goto fail_cond;
    for (unsigned i = 0; i < threads; i++) {
        rc = uv_thread_create(&s->thread[i], worker, s);
        if (rc < 0) {
            stop_threads(s, i);
            uv_close((uv_handle_t *)&s->wake, on_closed);
            return rc;
        }
    }
    *ret = s;
    return 0;
fail_cond:
    uv_cond_destroy(&s->work);
fail_lock:
    uv_mutex_destroy(&s->lock);
fail_free:
    free(s);
    return rc;
}

void sealer_sign_init(struct sealer_job *job, const struct frame_signer *signer, uint8_t *bytes,
                      size_t length)
{
    assert(job && signer);
    assert(bytes && length >= FRAME_BYTES_MIN && length <= FRAME_BYTES_MAX);
    job->kind = SEALER_SIGN;
    job->sign = (struct frame_unsigned){bytes, length};
    job->kid = signer->key.key.kid;
    memcpy(job->secret, signer->key.key.secret, SECRET_BYTES);
}

static void count_job(struct sealer *s, const struct sealer_job *job)
{
    if (job->kind == SEALER_SIGN)
        s->stats.signs++;
    else
        s->stats.verifies++;
}

static void submit_inline(struct sealer *s, struct sealer_job *const *jobs, uint32_t count)
{
    for (uint32_t from = 0, run; from < count; from += run) {
        struct sealer_job *mine[FRAME_TREE_MAX];
        for (run = 0; from + run < count && (run == 0 || joins(mine[0], jobs[from + run], run));
             run++) {
            mine[run] = jobs[from + run];
            mine[run]->cancelled = false;
            count_job(s, mine[run]);
        }
        run_jobs(mine, run, &s->roots);
        for (uint32_t i = 0; i < run; i++)
            hand_back(s, mine[i]);
    }
}

uint32_t sealer_submit(struct sealer *sealer, struct sealer_job *const *jobs, uint32_t count)
{
    assert(sealer && jobs);
    assert(!sealer->stopping);
    if (sealer->threads == 0) {
        submit_inline(sealer, jobs, count);
        return count;
    }
    uv_mutex_lock(&sealer->lock);
    uint32_t taken = 0;
    while (taken < count && sealer->tail - sealer->head < sealer->jobs_max) {
        struct sealer_job *job = jobs[taken++];
        assert(job->done);
        job->cancelled = false;
        job->finished = false;
        count_job(sealer, job);
        sealer->jobs[sealer->tail++ % sealer->jobs_max] = job;
    }
    sealer->stats.refused += count - taken;
    uint32_t depth = (uint32_t)(sealer->tail - sealer->head);
    if (depth > sealer->stats.depth_max)
        sealer->stats.depth_max = depth;
    if (taken > TAKE_MAX)
        uv_cond_broadcast(&sealer->work);
    else if (taken > 0)
        uv_cond_signal(&sealer->work);
    uv_mutex_unlock(&sealer->lock);
    return taken;
}

uint32_t sealer_room(const struct sealer *sealer)
{
    assert(sealer);
    assert(sealer->tail - sealer->head <= sealer->jobs_max);
    /* head and tail change on the loop thread only, so the loop may read them without the lock. */
    return sealer->threads == 0 ? sealer->jobs_max
                                : sealer->jobs_max - (uint32_t)(sealer->tail - sealer->head);
}

void sealer_stats(const struct sealer *sealer, struct sealer_stats *ret)
{
    assert(sealer);
    assert(ret);
    *ret = sealer->stats; /* written on the loop thread only */
}

void sealer_close(struct sealer *sealer, void (*closed)(void *ctx), void *ctx)
{
    if (!sealer)
        return;
    assert(!sealer->draining);
    assert(!sealer->stopping);
    sealer->closed = closed;
    sealer->closed_ctx = ctx;
    stop_threads(sealer, sealer->threads);
    drain(sealer);
    while (sealer->head < sealer->tail) {
        struct sealer_job *job = sealer->jobs[sealer->head++ % sealer->jobs_max];
        keys_wipe(job->secret, sizeof(job->secret));
        job->cancelled = true;
        job->done(job);
    }
    uv_close((uv_handle_t *)&sealer->wake, on_closed);
}
