/* Rows of the lead's small tables: what waits for an answer, and what was said meanwhile. Their
 * bounds are in cluster_state.h. */
#ifndef TIERS_CLUSTER_CLUSTER_WAITS_H
#define TIERS_CLUSTER_CLUSTER_WAITS_H

#include "core/limits.h"
#include "core/num.h"
#include <stdbool.h>
#include <stdint.h>

/* A store operation without an answer. */
struct lead_asked {
    uint64_t ref;
    int64_t until_us;
    uint64_t members; /* of an index write */
    uint8_t kind;     /* enum store_kind */
};

/* A handler's last word about where it stands (a PENDING acknowledgement with an answer). */
struct lead_word {
    struct id128 operation;
    uint32_t number; /* of the operation's words that were heard here, this one is the last */
    uint32_t bytes;
    uint8_t text[WORD_BYTES_MAX];
};

struct lead_relay {
    struct id128 id;
    int64_t until_us;   /* the TTL's end */
    int64_t collect_us; /* broadcast: answered by then with what is there; NEVER: was */
    uint64_t waiting;   /* members that have not answered */
    uint32_t reached, failed;
    uint8_t author; /* member index + 1; 0: from the sector */
    bool used, broadcast, answered;
    uint8_t outcome, reason;
};

struct lead_inspect {
    uint64_t query_ref; /* 0 with until_us 0: free */
    int64_t until_us;
    uint8_t member;
    uint32_t seq;
};

#endif
