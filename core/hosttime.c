/* Everything that is said is bounded on entry and ages by MESHTIME_DRIFT_PPM from then on. */
#include "core/hosttime.h"
#include "core/num.h"
#include <assert.h>
#include <stddef.h>

#define TIME_MAX   (1ll << 60)
#define STEP_LEAST 1000 /* of Unix time against the local clock: the host has thought again */

static int64_t aged_us(int64_t since_us, int64_t now_us)
{
    int64_t passed = num_clamp_i64(now_us - since_us, 0, HOSTTIME_FRESH_US);
    return passed * MESHTIME_DRIFT_PPM / 1000000 + 1;
}

void hosttime_init(struct hosttime *ht)
{
    assert(ht != NULL);
    *ht = (struct hosttime){.doubt_until_us = INT64_MIN};
}

void hosttime_clock(struct hosttime *ht, int64_t now_us, const struct host_clock *clock)
{
    assert(ht != NULL && clock != NULL);
    assert(now_us > -TIME_MAX && now_us < TIME_MAX);
    bool sound = clock->synchronised && clock->unix_us > 0 && clock->unix_us < TIME_MAX &&
                 clock->error_us >= 0 && clock->error_us <= HOSTTIME_ERROR_US_MAX;
    int64_t offset_us = sound ? clock->unix_us - now_us : 0;
    int64_t moved_us = offset_us - ht->offset_us;
    bool stepped = moved_us > STEP_LEAST || moved_us < -STEP_LEAST;
    if (sound && (!ht->synchronised || stepped)) {
        ht->doubt_until_us = INT64_MIN; /* it is another witness now */
    }
    ht->synchronised = sound;
    ht->used = ht->used && sound;
    ht->offset_us = offset_us;
    ht->at_us = now_us;
    ht->error_us = sound ? (uint32_t)clock->error_us : 0;
    ht->estimated_us = sound ? (uint32_t)num_clamp_i64(clock->estimated_us, 0, clock->error_us) : 0;
}

void hosttime_told(struct hosttime *ht, int64_t now_us, int64_t ahead_us, int64_t error_us)
{
    assert(ht != NULL);
    assert(now_us > -TIME_MAX && now_us < TIME_MAX);
    ht->told = ahead_us > -TIME_MAX && ahead_us < TIME_MAX && error_us >= 0 &&
               error_us <= HOSTTIME_ERROR_US_MAX;
    ht->ahead_us = ht->told ? ahead_us : 0;
    ht->ahead_error_us = ht->told ? (uint32_t)error_us : 0;
    ht->ahead_at_us = now_us;
}

bool hosttime_apply(struct hosttime *ht, struct meshtime *mt, int64_t now_us)
{
    assert(ht != NULL && mt != NULL);
    if (!ht->synchronised || !ht->told || now_us < ht->doubt_until_us ||
        now_us - ht->at_us > HOSTTIME_FRESH_US || now_us - ht->ahead_at_us > HOSTTIME_FRESH_US) {
        ht->used = false;
        return false;
    }
    int64_t drift_us = aged_us(ht->at_us, now_us) + aged_us(ht->ahead_at_us, now_us);
    int64_t error_us = (int64_t)ht->error_us + ht->ahead_error_us + drift_us;
    int64_t likely_us = (int64_t)ht->estimated_us + ht->ahead_error_us / 4 + drift_us / 4;
    enum meshtime_verdict v =
        meshtime_witness(mt, now_us, ht->offset_us + ht->ahead_us, error_us, likely_us);
    ht->used = v == MESHTIME_ACCEPTED;
    if (v == MESHTIME_OUTLIER) {
        ht->doubt_until_us = now_us + HOSTTIME_DOUBT_US;
    }
    return ht->used;
}

void hosttime_ahead(const struct hosttime *ht, const struct meshtime *mt, int64_t now_us,
                    int64_t *ret_ahead_us, int64_t *ret_error_us)
{
    assert(ht != NULL && mt != NULL);
    assert(ret_ahead_us != NULL && ret_error_us != NULL);
    *ret_ahead_us = 0;
    *ret_error_us = MESHTIME_UNKNOWN;
    if (mt->root) {
        if (ht->synchronised && now_us - ht->at_us <= HOSTTIME_FRESH_US) {
            *ret_ahead_us = meshtime_offset_us(mt, now_us) - ht->offset_us;
            *ret_error_us = ht->error_us + aged_us(ht->at_us, now_us);
        }
    } else if (ht->told && now_us - ht->ahead_at_us <= HOSTTIME_FRESH_US) {
        *ret_ahead_us = ht->ahead_us;
        *ret_error_us = ht->ahead_error_us + aged_us(ht->ahead_at_us, now_us);
    }
}
