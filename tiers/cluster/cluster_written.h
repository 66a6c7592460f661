/* What the registry was last told of a member, and which fields of its record are due. */
#ifndef TIERS_CLUSTER_CLUSTER_WRITTEN_H
#define TIERS_CLUSTER_CLUSTER_WRITTEN_H

#include "core/unit.h"
#include <stdint.h>

/* Fields of a member's record. Whether one differs from what was written is found when a write is
 * due (record_diff); set in `dirty` it is written in any case. */
#define DIRTY_IDENTITY    1u /* uid, class, place, capabilities, epoch */
#define DIRTY_STATE       2u
#define DIRTY_LATENCY     4u
#define DIRTY_PROCESSING  8u
#define DIRTY_QUEUE       16u
#define DIRTY_SCORE       32u
#define DIRTY_RELIABILITY 64u
#define DIRTY_DRIFT       128u
#define DIRTY_BEAT        256u
#define DIRTY_CONTEXT     512u
#define DIRTY_LEARNT      1024u /* the predictor */
#define DIRTY_HISTORY     2048u /* of the impedance: values, trend, spikes */
#define DIRTY_ALL         4095u
#define DIRTY_LOOK        4096u /* something may be new */

/* What the registry was last told of a member. */
struct written {
    struct id128 context_hash;
    int64_t heartbeat_mesh_us;
    uint32_t latency_us, processing_us, queue_depth, score;
    uint16_t reliability_permille, drift_permille;
    uint8_t state; /* enum agent_state */
    uint32_t history_minute;
    uint16_t spikes;
    int64_t learnt_us;      /* last observation, the lead's clock */
    int64_t learnt_mesh_us; /* of the beat with which it was written */
};

#endif
