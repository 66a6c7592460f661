/* Signatures beside the loop (design 5: overlap them with I/O). Frames to sign and frames to verify
 * go in on the loop thread and come back on the loop thread, in the order in which they went in, so
 * the order per peer and per destination is kept. Frames of one signer that go in together share a
 * signature (frame_tree.h). With 0 threads everything happens inside
 * sealer_submit and `done` is called before it returns; callers need not know the difference. */
#ifndef TIERS_RUNNER_SEALER_H
#define TIERS_RUNNER_SEALER_H

#include "tiers/runner/peers.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define SEALER_THREADS_MAX 16u
#define SEALER_JOBS_MAX    65536u

enum sealer_kind { SEALER_SIGN, SEALER_VERIFY };

/* Owned by the caller and left alone by it from the submit to `done`. */
struct sealer_job {
    enum sealer_kind kind;
    bool cancelled; /* out: the sealer was closed first; nothing was signed or verified */
    bool finished;  /* the sealer's own */
    bool own_root;  /* out, SEALER_SIGN: a signature was made for this frame, and perhaps others */
    /* SEALER_SIGN: a frame from frame_finish in a buffer with room for FRAME_PATH_MAX bytes more;
     * the length grows by its path. secret is copied in by sealer_sign_init and wiped. */
    struct frame_unsigned sign;
    uint64_t kid;
    uint8_t secret[SECRET_BYTES];
    /* SEALER_VERIFY: from frame_check; then give it to frame_accept. */
    struct frame_job frame;
    void (*done)(struct sealer_job *job); /* loop thread; may submit again and free the job */
    void *owner;                          /* the caller's */
};

struct sealer_stats {
    uint64_t signs, verifies; /* frames */
    uint64_t signatures;      /* made: fewer than signs */
    uint64_t refused;         /* jobs that found no room */
    uint32_t depth_max;       /* the most jobs in the sealer at once */
};

struct sealer;
/* jobs_max: how many may be inside at once, 1 to SEALER_JOBS_MAX. 0, or a negative errno. */
int sealer_new(uv_loop_t *loop, unsigned threads, uint32_t jobs_max, struct sealer **ret);

/* Fills in a job for signing; the rest of *job is kept. */
void sealer_sign_init(struct sealer_job *job, const struct frame_signer *signer, uint8_t *bytes,
                      size_t length);

/* How many of the jobs were taken, always the first ones. At the limit the others are not taken and
 * counted; the caller drops them (received) or keeps them (to send). */
uint32_t sealer_submit(struct sealer *sealer, struct sealer_job *const *jobs, uint32_t count);
uint32_t sealer_room(const struct sealer *sealer);
void sealer_stats(const struct sealer *sealer, struct sealer_stats *ret);

/* Waits for the jobs in hand, gives all others back as cancelled, and then calls closed (may be
 * NULL) from the loop. Not from inside `done`. */
void sealer_close(struct sealer *sealer, void (*closed)(void *ctx), void *ctx);

#endif
