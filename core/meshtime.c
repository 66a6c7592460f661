/* Mesh time from four timestamps.
 *
 * Two things are kept apart. The *interval* [low, high] holds the true offset: from t1..t4 the
 * offset lies between t3 - t4 and t2 - t1, whatever the asymmetry of the path; it is widened by the
 * parent's own bound and by 100 ppm of drift as it ages, and each exchange is intersected with it
 * (Marzullo). The *estimate* is a Kalman filter over offset and skew whose measurement noise grows
 * with the excess over the least round trip (arrival.md section 3), held inside the interval. The
 * *served* offset runs after the estimate by at most 500 ppm, so time never jumps or runs back; the
 * error bound is the distance from the served offset to the far end of the interval. What
 * contradicts the interval is an outlier; six alike in a row are believed (the clock of this
 * machine or its parent has really moved), and then slewed to: the error bound tells the truth
 * meanwhile. When this clock was set by more than a second it locks anew instead. O(1), 104 bytes.
 */
#include "core/meshtime.h"
#include "core/num.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define TIME_MAX      (1ll << 60)
#define RTT_US_MAX    60000000ll
#define AGE_US_MAX    3600000000ll
#define ERROR_US_MAX  86400000000ll    /* a parent that is worse has no time to give */
#define SPAN_US_MAX   10000000000000ll /* extrapolation stops after 115 days */
#define LOCK_SAMPLES  3u
#define LOCK_ERROR_US 10000
/* What a lock is off by is slewed out at 500 ppm: half an hour a second. Beats that waited for a
 * parent that stood still are answered all at once, each a sample, all of them bad. */
#define LOCK_COARSE_US 400000 /* with LOCK_SAMPLES that are alike */
/* A path is as long each time, a queue is not: where round trips differ by more than this, and
 * a 32nd of the least, the least may itself have waited, on one way only. A mesh of 30,000 that
 * had just been started locked half of its leads up to 400 ms apart otherwise. */
#define ALIKE_US    20000
#define ALIKE_MAX   63u
#define LOCK_LATEST 12u /* samples: on a slow path .. */
/* .. this has to do; worse is no time at all, unless the path is good and it is the parent that is
 * off (it slews for up to an hour, and nobody below it knows better). */
#define LOCK_LATEST_US    1000000
#define OUTLIERS_BELIEVED 6u
#define OUTLIERS_ALIKE_US 10000
#define STEP_US           1000000 /* slewed out in 33 minutes; more is stepped */
#define HORIZON_US        4000000 /* small corrections take this long */
#define PPB_PER_PPM       1000
#define SKEW_PPM_START    30.0  /* standard deviation of an unknown skew */
#define NOISE_OFFSET      1.0   /* us^2 a second */
#define NOISE_SKEW        0.001 /* ppm^2 a second */
#define MEASURE_NOISE_US  20.0
#define ASYMMETRY         0.02

_Static_assert(sizeof(struct meshtime) <= 104, "one for each of 30,000 agents");

/* us * ppb / 10^9, without overflow. */
static int64_t scaled(int64_t us, int32_t ppb)
{
    return num_clamp_i64(us, -SPAN_US_MAX, SPAN_US_MAX) * ppb / 1000000000;
}

/* How far clocks may have drifted apart in `us`, rounded up. */
static int64_t drift_us(int64_t us)
{
    int64_t size = us < 0 ? -us : us;
    return scaled(size, MESHTIME_DRIFT_PPM * PPB_PER_PPM) + 1;
}

static int64_t served_offset(const struct meshtime *mt, int64_t local_us)
{
    if (local_us <= mt->turn_us) {
        return mt->offset_us + scaled(local_us - mt->anchor_us, mt->rate_ppb);
    }
    return mt->offset_us + scaled(mt->turn_us - mt->anchor_us, mt->rate_ppb) +
           scaled(local_us - mt->turn_us, mt->skew_ppb);
}

void meshtime_init(struct meshtime *mt)
{
    assert(mt != NULL);
    memset(mt, 0, sizeof *mt);
    assert(!meshtime_ready(mt));
}

void meshtime_init_root(struct meshtime *mt, int64_t now_us, int64_t unix_us)
{
    assert(mt != NULL);
    assert(now_us >= 0 && now_us < TIME_MAX);
    assert(unix_us >= 0 && unix_us < TIME_MAX);
    meshtime_init(mt);
    mt->anchor_us = now_us;
    mt->turn_us = now_us;
    mt->offset_us = unix_us - now_us;
    mt->estimate_us = mt->offset_us;
    mt->low_us = mt->offset_us;
    mt->high_us = mt->offset_us;
    mt->locked = 1;
    mt->root = 1;
}

void meshtime_promote(struct meshtime *mt, int64_t now_us)
{
    assert(mt != NULL);
    assert(meshtime_ready(mt));
    int64_t error = meshtime_error_us(mt, now_us);
    int64_t offset = served_offset(mt, now_us);
    meshtime_init(mt);
    mt->anchor_us = now_us;
    mt->turn_us = now_us;
    mt->offset_us = offset;
    mt->estimate_us = offset;
    mt->low_us = offset - error;
    mt->high_us = offset + error;
    mt->locked = 1;
    mt->root = 1;
}

/* What one exchange says: the offset lies in [low, high] now, in the middle if the path is even. */
struct sample {
    int64_t middle_us, low_us, high_us;
    int64_t rtt_us;
    int64_t parent_error_us;
};

static bool small_enough(int64_t t)
{
    return t > -TIME_MAX && t < TIME_MAX;
}

static bool take_sample(int64_t now_us, const int64_t t[4], int64_t parent_offset_us,
                        int64_t parent_error_us, struct sample *ret)
{
    for (unsigned i = 0; i < 4; i++) {
        if (!small_enough(t[i])) {
            return false;
        }
    }
    if (!small_enough(parent_offset_us) || parent_error_us < 0 || parent_error_us > ERROR_US_MAX ||
        t[3] > now_us || t[3] < t[0] || t[2] < t[1] || now_us - t[0] > AGE_US_MAX) {
        return false;
    }
    int64_t held = t[2] - t[1]; /* at the parent */
    int64_t rtt = (t[3] - t[0]) - held;
    int64_t slack = drift_us(now_us - t[0]);
    if (held > AGE_US_MAX || rtt < -slack || rtt > RTT_US_MAX) {
        return false;
    }
    rtt = rtt < 0 ? 0 : rtt;
    int64_t middle = ((t[1] - t[0]) + (t[2] - t[3])) / 2 + parent_offset_us;
    int64_t reach = rtt / 2 + 1 + parent_error_us + slack;
    *ret = (struct sample){.middle_us = middle,
                           .low_us = middle - reach,
                           .high_us = middle + reach,
                           .rtt_us = rtt,
                           .parent_error_us = parent_error_us};
    return true;
}

/* The present sample alone: at the first one, and when the old ones are given up. */
static void restart_estimate(struct meshtime *mt, const struct sample *s)
{
    mt->low_us = s->low_us;
    mt->high_us = s->high_us;
    mt->estimate_us = s->middle_us;
    mt->fraction_us = 0;
    double reach = (double)(s->high_us - s->low_us) / 4;
    mt->p00 = (float)(reach * reach + MEASURE_NOISE_US * MEASURE_NOISE_US);
    mt->p01 = 0;
    mt->p11 = (float)(SKEW_PPM_START * SKEW_PPM_START);
    mt->skew_ppm = 0;
    mt->rtt_min_us = (uint32_t)s->rtt_us;
    mt->alike = 0;
    mt->samples = 0;
    mt->outliers = 0;
}

/* estimate += change, kept as a whole number and a fraction. */
static void move_estimate(struct meshtime *mt, double change)
{
    double fraction = (double)mt->fraction_us + num_clamp(change, -1e15, 1e15);
    int64_t whole = (int64_t)fraction;
    mt->estimate_us += whole;
    mt->fraction_us = (float)(fraction - (double)whole);
}

/* Interval and estimate, from the anchor to now. The anchor itself stays. */
static void advance(struct meshtime *mt, int64_t now_us)
{
    int64_t passed = num_clamp_i64(now_us - mt->anchor_us, 0, SPAN_US_MAX);
    int64_t drift = passed == 0 ? 0 : drift_us(passed);
    double dt = (double)passed / 1e6;
    mt->low_us -= drift;
    mt->high_us += drift;
    move_estimate(mt, (double)mt->skew_ppm * dt);
    double p00 = (double)mt->p00;
    double p01 = (double)mt->p01;
    double p11 = (double)mt->p11;
    p00 += dt * (2 * p01 + dt * p11) + NOISE_OFFSET * dt;
    p01 += dt * p11;
    p11 += NOISE_SKEW * dt;
    mt->p00 = (float)num_clamp(p00, 0, 1e16);
    mt->p01 = (float)num_clamp(p01, -1e12, 1e12);
    mt->p11 = (float)num_clamp(p11, 0, 1e4);
}

/* How many samples speak for the least round trip. */
static void count_alike(struct meshtime *mt, uint32_t rtt_us)
{
    uint32_t least_us = rtt_us < mt->rtt_min_us ? rtt_us : mt->rtt_min_us;
    uint32_t apart_us = ALIKE_US + least_us / 32u;
    if (mt->rtt_min_us - least_us > apart_us) {
        mt->alike = 0; /* those before had waited */
    } else if (rtt_us - least_us <= apart_us && mt->alike < ALIKE_MAX) {
        mt->alike = (mt->alike + 1u) & ALIKE_MAX;
    }
}

/* Variance of an exchange. */
static double noise_of(struct meshtime *mt, const struct sample *s)
{
    uint32_t rtt = (uint32_t)s->rtt_us;
    count_alike(mt, rtt);
    mt->rtt_min_us = rtt < mt->rtt_min_us ? rtt : mt->rtt_min_us + mt->rtt_min_us / 256u + 1u;
    double excess = rtt > mt->rtt_min_us ? (double)(rtt - mt->rtt_min_us) / 2 : 0;
    double asymmetry = ASYMMETRY * (double)mt->rtt_min_us;
    double parent = (double)s->parent_error_us / 4;
    return MEASURE_NOISE_US * MEASURE_NOISE_US + asymmetry * asymmetry + excess * excess +
           parent * parent;
}

/* One Kalman step, and the intersection of the intervals. */
static void update(struct meshtime *mt, const struct sample *s, double noise)
{
    double z = (double)(s->middle_us - mt->estimate_us) - (double)mt->fraction_us;
    double sum = (double)mt->p00 + noise;
    assert(sum > 0);
    double k0 = (double)mt->p00 / sum;
    double k1 = (double)mt->p01 / sum;
    move_estimate(mt, k0 * z);
    mt->skew_ppm =
        (float)num_clamp((double)mt->skew_ppm + k1 * z, -MESHTIME_DRIFT_PPM, MESHTIME_DRIFT_PPM);
    mt->p11 = (float)num_clamp((double)mt->p11 - k1 * (double)mt->p01, 1e-6, 1e4);
    mt->p01 = (float)((double)mt->p01 * (1 - k0));
    mt->p00 = (float)((double)mt->p00 * (1 - k0));
    mt->low_us = mt->low_us > s->low_us ? mt->low_us : s->low_us;
    mt->high_us = mt->high_us < s->high_us ? mt->high_us : s->high_us;
    assert(mt->low_us <= mt->high_us);
    int64_t inside = num_clamp_i64(mt->estimate_us, mt->low_us, mt->high_us);
    if (inside != mt->estimate_us) {
        mt->estimate_us = inside;
        mt->fraction_us = 0;
    }
}

/* From now on the served offset runs towards the estimate. */
static void serve(struct meshtime *mt, int64_t now_us)
{
    int64_t served = served_offset(mt, now_us);
    if (!mt->locked) {
        served = mt->estimate_us;
        int64_t error = (mt->high_us - mt->low_us) / 2;
        mt->locked = error <= LOCK_ERROR_US ||
                     (mt->samples >= LOCK_SAMPLES && mt->alike + 1u >= LOCK_SAMPLES &&
                      error <= LOCK_COARSE_US) ||
                     (mt->samples >= LOCK_LATEST &&
                      (error <= LOCK_LATEST_US || mt->rtt_us / 2 <= LOCK_COARSE_US));
    }
    int32_t skew = (int32_t)(mt->skew_ppm * (float)PPB_PER_PPM);
    int64_t missing = mt->estimate_us - served;
    int64_t size = missing < 0 ? -missing : missing;
    const int64_t fastest = (int64_t)MESHTIME_SLEW_PPM * PPB_PER_PPM;
    int64_t speed = size >= HORIZON_US / 1000 ? fastest : size * 1000000000 / HORIZON_US;
    int64_t rate = num_clamp_i64(missing < 0 ? skew - speed : skew + speed, -fastest, fastest);
    int64_t net = rate - skew; /* of the same sign as missing: |skew| is at most 100 ppm */
    int64_t lasts = 0;
    if (net != 0) {
        int64_t far = num_clamp_i64(missing, -SPAN_US_MAX / 1000, SPAN_US_MAX / 1000);
        lasts = far * 1000000 / net * 1000;
    }
    assert(lasts >= 0);
    mt->anchor_us = now_us;
    mt->offset_us = served;
    mt->turn_us = now_us + lasts;
    mt->rate_ppb = (int32_t)rate;
    mt->skew_ppb = skew;
}

/* Whether the sample is to be used although it contradicts the interval. */
static bool outlier_believed(struct meshtime *mt, const struct sample *s)
{
    int64_t away = s->middle_us - mt->outlier_us;
    int64_t reach = s->rtt_us + s->parent_error_us + OUTLIERS_ALIKE_US;
    bool alike = mt->outliers > 0 && away >= -reach && away <= reach;
    mt->outliers = alike ? (uint8_t)(mt->outliers + 1u) : 1u;
    mt->outlier_us = s->middle_us;
    return !mt->locked || mt->outliers >= OUTLIERS_BELIEVED;
}

/* This clock against the parent's, whatever mesh time is: when that has jumped, mesh time has
 * jumped here with it, and slewing back would take months in which every operation looks expired. A
 * parent that changes its mind about mesh time leaves it as it is. */
static bool clock_was_set(const struct meshtime *mt, int64_t now_us, int64_t raw_us)
{
    int64_t most = STEP_US + drift_us(now_us - mt->anchor_us);
    int64_t away = raw_us - mt->raw_us;
    return away > most || away < -most;
}

enum meshtime_verdict meshtime_exchange(struct meshtime *mt, int64_t now_us, int64_t t1_us,
                                        int64_t t2_us, int64_t t3_us, int64_t t4_us,
                                        int64_t parent_mesh_offset_us, int64_t parent_error_us)
{
    assert(mt != NULL);
    assert(now_us >= 0 && now_us < TIME_MAX);
    if (mt->root) {
        return MESHTIME_ROOT;
    }
    const int64_t t[4] = {t1_us, t2_us, t3_us, t4_us};
    struct sample s;
    if (!take_sample(now_us, t, parent_mesh_offset_us, parent_error_us, &s)) {
        return MESHTIME_INVALID;
    }
    int64_t raw_us = s.middle_us - parent_mesh_offset_us;
    /* The served offset is not moved here: serve() reads it off before it sets the new anchor. */
    if (!mt->locked && mt->samples == 0) {
        restart_estimate(mt, &s);
    } else {
        struct meshtime next = *mt;
        advance(&next, now_us);
        if (s.low_us > next.high_us || s.high_us < next.low_us) {
            if (!outlier_believed(mt, &s)) {
                return MESHTIME_OUTLIER;
            }
            mt->locked = mt->locked != 0 && !clock_was_set(mt, now_us, raw_us);
            restart_estimate(mt, &s);
        } else {
            *mt = next;
            update(mt, &s, noise_of(mt, &s));
        }
    }
    mt->outliers = 0;
    mt->raw_us = raw_us;
    mt->rtt_us = (uint32_t)s.rtt_us;
    mt->samples = mt->samples == UINT8_MAX ? UINT8_MAX : (uint8_t)(mt->samples + 1u);
    serve(mt, now_us);
    return MESHTIME_ACCEPTED;
}

enum meshtime_verdict meshtime_witness(struct meshtime *mt, int64_t now_us, int64_t offset_us,
                                       int64_t error_us, int64_t likely_us)
{
    assert(mt != NULL);
    assert(now_us >= 0 && now_us < TIME_MAX);
    if (mt->root) {
        return MESHTIME_ROOT;
    }
    if (!small_enough(offset_us) || error_us < 0 || error_us > ERROR_US_MAX || likely_us < 0 ||
        likely_us > error_us || (!mt->locked && mt->samples == 0)) {
        return MESHTIME_INVALID; /* the first word is the path's: it says what cannot be */
    }
    struct sample s = {.middle_us = offset_us,
                       .low_us = offset_us - error_us - 1,
                       .high_us = offset_us + error_us + 1};
    struct meshtime next = *mt;
    advance(&next, now_us);
    if (s.low_us > next.high_us || s.high_us < next.low_us) {
        return MESHTIME_OUTLIER;
    }
    *mt = next;
    double likely = (double)likely_us + MEASURE_NOISE_US;
    update(mt, &s, likely * likely);
    serve(mt, now_us);
    return MESHTIME_ACCEPTED;
}

bool meshtime_ready(const struct meshtime *mt)
{
    assert(mt != NULL);
    assert(mt->locked <= 1);
    return mt->locked != 0;
}

bool meshtime_known(const struct meshtime *mt)
{
    assert(mt != NULL);
    assert(mt->locked <= 1);
    return mt->locked != 0 ||
           (mt->samples > 0 && (mt->high_us - mt->low_us) / 2 <= MESHTIME_KNOWN_US);
}

int64_t meshtime_offset_us(const struct meshtime *mt, int64_t now_us)
{
    assert(mt != NULL);
    assert(now_us > -2 * TIME_MAX && now_us < 2 * TIME_MAX);
    return served_offset(mt, now_us);
}

int64_t meshtime_now(const struct meshtime *mt, int64_t now_us)
{
    return now_us + meshtime_offset_us(mt, now_us);
}

int64_t meshtime_to_mesh(const struct meshtime *mt, int64_t local_us)
{
    return local_us >= TIME_MAX ? INT64_MAX : meshtime_now(mt, local_us);
}

int64_t meshtime_to_local(const struct meshtime *mt, int64_t mesh_us)
{
    assert(mt != NULL);
    assert(mt->offset_us > -4 * TIME_MAX && mt->offset_us < 4 * TIME_MAX);
    if (mesh_us >= TIME_MAX) {
        return INT64_MAX; /* beyond any real time: never */
    }
    mesh_us = mesh_us < -TIME_MAX ? -TIME_MAX : mesh_us;
    int64_t local = mesh_us - mt->offset_us;
    bool exact = false;
    for (int i = 0; i < 6 && !exact; i++) { /* each round leaves 1/2000 of the error */
        int64_t next = mesh_us - served_offset(mt, local);
        exact = next == local;
        local = next;
    }
    while (!exact && local + served_offset(mt, local) < mesh_us) {
        local++;
    }
    while (local - 1 + served_offset(mt, local - 1) >= mesh_us) {
        local--;
    }
    return local;
}

int64_t meshtime_error_us(const struct meshtime *mt, int64_t now_us)
{
    assert(mt != NULL);
    assert(mt->low_us <= mt->high_us);
    if (!mt->locked) {
        return MESHTIME_UNKNOWN;
    }
    int64_t served = served_offset(mt, now_us);
    int64_t drift = mt->root || now_us == mt->anchor_us ? 0 : drift_us(now_us - mt->anchor_us);
    int64_t above = mt->high_us + drift - served;
    int64_t below = served - (mt->low_us - drift);
    int64_t error = above > below ? above : below;
    return error < 0 ? 0 : error;
}

uint32_t meshtime_rtt_us(const struct meshtime *mt)
{
    assert(mt != NULL);
    assert(mt->rtt_us <= RTT_US_MAX);
    return mt->rtt_us;
}
