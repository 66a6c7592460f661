/* How an agent's impedance has been: its average, a value a minute, the trend, and the spikes of
 * spec 6.1 (more than twice the average). 48 bytes an agent, at its lead.
 *
 * An operation to many agents waits in line on machines and links that they share: what it measures
 * of an agent has the mesh's own work in it. That much (its front) is taken off before it is
 * compared, as long as the measurement may stand in the prediction, so that plain load is no spike.
 * What operations to few agents measure counts whole, and a spike that is longer than the front is
 * found under any load. */
#ifndef CORE_IMPEDANCE_HISTORY_H
#define CORE_IMPEDANCE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_MINUTES 12u
#define FRONT_ANSWERS   20u /* as many as the predictor's ring remembers */

struct impedance_history {
    float average_us;             /* moving, over about 5 minutes of beats */
    uint32_t minute;              /* number of the newest value's minute + 1; 0: none yet */
    uint16_t ms[HISTORY_MINUTES]; /* by minute modulo the count; saturate */
    uint8_t minutes;              /* values there are */
    uint8_t beats;                /* in the average, saturates */
    uint16_t spikes;              /* since the agent joined, saturates */
    bool spiking;
    uint8_t front_left; /* answers until front_us is forgotten */
    uint32_t front_us;  /* the longest of the last FRONT_ANSWERS answers' */
};

/* predicted_us: of a standard payload, at each beat. Returns whether a spike begins with it. */
bool impedance_history_add(struct impedance_history *h, int64_t now_us, uint32_t predicted_us);
/* The predictor has learnt from an answer that may have waited so long for others'. */
void impedance_history_front(struct impedance_history *h, uint32_t front_us);
/* Goes on where another lead stopped: its values, the oldest first, come before those of here. */
void impedance_history_load(struct impedance_history *h, int64_t now_us, const uint16_t *ms,
                            uint32_t count, uint16_t spikes);
/* Values in milliseconds, the oldest first; returns how many. */
uint32_t impedance_history_values(const struct impedance_history *h, uint16_t ret[HISTORY_MINUTES]);
/* The newest third of the minutes against the oldest, in percent of the latter, -100 to 1000; 0
 * with fewer than 3 minutes. */
int32_t impedance_history_trend_percent(const struct impedance_history *h);

#endif
