/* Mesh time: Unix microseconds that the first orchestrator read once, estimated at every node from
 * four timestamps with its parent (design 2; RFC 5905 section 8; arrival.md section 3, CLOCK).
 *
 * Mesh time = local clock + offset. The first samples may set the offset at once; from the lock on,
 * the served offset is continuous and changes by 500 ppm at most, unless this machine's clock was
 * set by more than a second (six exchanges in a row say so). Beside the
 * estimate (Kalman over offset and skew, noise by excess round trip) it keeps an interval that
 * holds the true offset as long as clocks drift by less than 100 ppm: the error bound is honest. */
#ifndef CORE_MESHTIME_H
#define CORE_MESHTIME_H

#include <stdbool.h>
#include <stdint.h>

#define MESHTIME_SLEW_PPM  500
#define MESHTIME_DRIFT_PPM 100       /* clocks are taken to differ by this at most */
#define MESHTIME_UNKNOWN   INT64_MAX /* an error bound: no lock yet */

struct meshtime {
    int64_t anchor_us;   /* local time since when the two rates below hold */
    int64_t offset_us;   /* served offset at anchor_us */
    int64_t turn_us;     /* local time when the correction is done: rate turns to the skew's */
    int64_t low_us;      /* at anchor_us: the true offset is not below .. */
    int64_t high_us;     /* .. and not above */
    int64_t estimate_us; /* at anchor_us: whole part of the estimated offset */
    int64_t outlier_us;  /* offset that the last outlier claimed */
    int64_t raw_us;      /* parent's clock - own clock, at the last accepted exchange */
    int32_t rate_ppb;    /* of the served offset before turn_us */
    int32_t skew_ppb;    /* after it */
    float fraction_us;   /* of the estimate */
    float skew_ppm;      /* estimated */
    float p00, p01, p11; /* covariance, us^2, us ppm, ppm^2 */
    uint32_t rtt_us;     /* of the last accepted exchange */
    uint32_t rtt_min_us; /* ages slowly upward */
    uint8_t locked : 1;
    uint8_t root : 1;
    uint8_t alike : 6; /* samples that took about as long as the quickest; saturates */
    uint8_t samples;   /* accepted, saturates */
    uint8_t outliers;  /* in a row */
};

enum meshtime_verdict {
    MESHTIME_ACCEPTED,
    MESHTIME_OUTLIER, /* contradicts what is known; several alike in a row are believed */
    MESHTIME_INVALID, /* impossible numbers, or the parent has no time itself; ignored */
    MESHTIME_ROOT     /* this node is the root; ignored */
};

/* The root: mesh time is unix_us now, error 0, ready at once. |unix_us - now_us| < 2^60. */
void meshtime_init_root(struct meshtime *mt, int64_t now_us, int64_t unix_us);
void meshtime_init(struct meshtime *mt);

/* A standby becomes the root: its estimate goes on, at its present offset; the error bound stays.
 * The node must be ready. */
void meshtime_promote(struct meshtime *mt, int64_t now_us);

/* One exchange. t1: own clock when the beat was sent; t2, t3: parent's clock when it arrived and
 * when the reply left; t4: own clock when the reply arrived, at or before now_us.
 * parent_mesh_offset_us, parent_error_us: as in struct time_reply (summary.h). Any values are safe.
 */
enum meshtime_verdict meshtime_exchange(struct meshtime *mt, int64_t now_us, int64_t t1_us,
                                        int64_t t2_us, int64_t t3_us, int64_t t4_us,
                                        int64_t parent_mesh_offset_us, int64_t parent_error_us);

/* Another witness than the path (hosttime.h): the offset now, its bound, and what it is likely off
 * by. Where it lies apart from everything that the exchanges leave possible it is an outlier, which
 * changes nothing and is never believed. INVALID: no witness (bounds out of range). */
enum meshtime_verdict meshtime_witness(struct meshtime *mt, int64_t now_us, int64_t offset_us,
                                       int64_t error_us, int64_t likely_us);

bool meshtime_ready(const struct meshtime *mt); /* locked */
/* Locked, or the samples so far leave the guess of meshtime_now() within MESHTIME_KNOWN_US: enough
 * to tell what has expired, long before the lock. */
bool meshtime_known(const struct meshtime *mt);
#define MESHTIME_KNOWN_US 1000000
/* Mesh time at local time now_us; before the lock the best guess, before any sample 0 + now_us. */
int64_t meshtime_now(const struct meshtime *mt, int64_t now_us);
int64_t meshtime_offset_us(const struct meshtime *mt, int64_t now_us);
/* The same as meshtime_now, but NEVER (INT64_MAX) stays NEVER. */
int64_t meshtime_to_mesh(const struct meshtime *mt, int64_t local_us);
/* The first local time at which mesh time is mesh_us or later. NEVER (INT64_MAX) stays NEVER. */
int64_t meshtime_to_local(const struct meshtime *mt, int64_t mesh_us);
/* Bound on |served offset - true offset| now; MESHTIME_UNKNOWN before the lock. */
int64_t meshtime_error_us(const struct meshtime *mt, int64_t now_us);
uint32_t meshtime_rtt_us(const struct meshtime *mt); /* last accepted exchange; 0: none */

#endif
