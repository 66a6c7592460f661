/* A spike does not raise the average that it is measured by: it counts as twice the average at
 * most. So it ends when the agent is fast again, or, slower for good, when the average has
 * followed. */
#include "core/impedance_history.h"
#include "core/num.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define MINUTE_US   60000000ll
#define GAIN_LEAST  (1.0 / 64)
#define BEATS_KNOWN 6u   /* before that there is no history to be twice of */
#define SPIKE       2.0  /* spec 6.1, IMPEDANCE_SPIKE */
#define SPIKE_OVER  1.75 /* so that one at the threshold is one spike, not many */

static void minute_add(struct impedance_history *h, int64_t now_us, uint32_t predicted_us)
{
    uint32_t minute = (uint32_t)num_clamp_i64(now_us / MINUTE_US + 1, 1, UINT32_MAX);
    uint32_t ms = predicted_us / 1000u;
    if (h->minutes == 0 || minute - h->minute >= HISTORY_MINUTES) { /* first, or long away */
        h->minutes = 0;
        h->minute = minute - 1u;
    }
    while (h->minute < minute) { /* minutes without a beat have the value after them */
        h->minute++;
        h->ms[h->minute % HISTORY_MINUTES] = (uint16_t)(ms < UINT16_MAX ? ms : UINT16_MAX);
        h->minutes = (uint8_t)(h->minutes + (h->minutes < HISTORY_MINUTES ? 1u : 0u));
    }
}

void impedance_history_front(struct impedance_history *h, uint32_t front_us)
{
    assert(h != NULL);
    h->front_left = (uint8_t)(h->front_left - (h->front_left > 0 ? 1u : 0u));
    if (front_us >= h->front_us || h->front_left == 0) {
        h->front_us = front_us;
        h->front_left = FRONT_ANSWERS;
    }
    assert(h->front_left > 0);
}

bool impedance_history_add(struct impedance_history *h, int64_t now_us, uint32_t predicted_us)
{
    assert(h != NULL);
    assert(now_us >= 0);
    minute_add(h, now_us, predicted_us);
    double x = (double)predicted_us;
    double average = (double)h->average_us;
    bool was = h->spiking;
    bool known = h->beats >= BEATS_KNOWN;
    h->spiking = known && x - (double)h->front_us > (was ? SPIKE_OVER : SPIKE) * average;
    double gain = 1.0 / ((double)h->beats + 1);
    gain = gain > GAIN_LEAST ? gain : GAIN_LEAST;
    double counted = known && x > SPIKE * average ? SPIKE * average : x;
    h->average_us += (float)(gain * (counted - average));
    h->beats = (uint8_t)(h->beats + (h->beats < UINT8_MAX ? 1u : 0u));
    bool begins = h->spiking && !was;
    h->spikes = (uint16_t)(h->spikes + (begins && h->spikes < UINT16_MAX ? 1u : 0u));
    return begins;
}

uint32_t impedance_history_values(const struct impedance_history *h, uint16_t ret[HISTORY_MINUTES])
{
    assert(h != NULL && ret != NULL);
    assert(h->minutes <= HISTORY_MINUTES);
    for (uint32_t i = 0; i < h->minutes; i++) {
        ret[i] = h->ms[(h->minute - h->minutes + 1u + i) % HISTORY_MINUTES];
    }
    return h->minutes;
}

void impedance_history_load(struct impedance_history *h, int64_t now_us, const uint16_t *ms,
                            uint32_t count, uint16_t spikes)
{
    assert(h != NULL && ms != NULL);
    uint16_t own[HISTORY_MINUTES];
    uint32_t n = impedance_history_values(h, own), sum = 0;
    uint32_t minute =
        n > 0 ? h->minute : (uint32_t)num_clamp_i64(now_us / MINUTE_US, 1, UINT32_MAX);
    uint32_t all = n + count < HISTORY_MINUTES ? n + count : HISTORY_MINUTES;
    for (uint32_t i = 0; i < all; i++) { /* from the newest on */
        uint16_t value = i < n ? own[n - 1u - i] : ms[count - 1u - (i - n)];
        h->ms[(minute + HISTORY_MINUTES - i) % HISTORY_MINUTES] = value;
        sum += value;
    }
    h->minute = minute;
    h->minutes = (uint8_t)all;
    h->spikes = (uint16_t)(h->spikes + spikes > UINT16_MAX ? UINT16_MAX : h->spikes + spikes);
    if (h->beats < BEATS_KNOWN && all > 0) {
        h->average_us = (float)sum / (float)all * 1000.0f;
        h->beats = BEATS_KNOWN;
    }
}

int32_t impedance_history_trend_percent(const struct impedance_history *h)
{
    uint16_t values[HISTORY_MINUTES];
    uint32_t n = impedance_history_values(h, values);
    uint32_t third = n / 3u;
    if (third == 0) {
        return 0;
    }
    int64_t before = 0, after = 0;
    for (uint32_t i = 0; i < third; i++) {
        before += values[i];
        after += values[n - 1u - i];
    }
    if (before == 0) {
        return after > 0 ? 1000 : 0;
    }
    return (int32_t)num_clamp_i64((after - before) * 100 / before, -100, 1000);
}
