/* Operations: the spec's MeshMessage (2.4), its selector of targets, and the detail of a conflict.
 * Pointers are borrowed from whoever hands the struct over. */
#ifndef CORE_OPERATION_H
#define CORE_OPERATION_H

#include "core/limits.h"
#include "core/topology.h"
#include "core/trace_context.h"
#include "core/types.h"
#include "core/unit.h"

/* Who is meant. Empty fields do not restrict. Exclusion by state: a target that is selected by
 * place, class and capability but not in state_mask is not a target at all. */
struct selector {
    struct place_set places;
    uint32_t class_mask;           /* 1u << class; 0: all */
    uint32_t state_mask;           /* 1u << agent_state; 0: all that are in the topology */
    uint64_t capabilities;         /* all of these; a target that lacks one is REFUSED, or .. */
    bool capable_only;             /* .. is no target at all: a filter (docs/adr/0004) */
    uint32_t sample;               /* that many at random; 0: all */
    uint32_t score_min, score_max; /* impedance score; 0, 0: any */
    /* Agents whose number (resolve.h: selector_number) lies in first..last; last 0: all. A part of
     * a selection that every tier finds alike: limits with a seed, canaries, waves, batches. */
    uint32_t part_seed, part_first, part_last;
    char where[WHERE_BYTES_MAX]; /* conditions on facts (facts.h), all of which hold; "": none */
};

#define ACTION_MAX 32u /* with NUL */

/* Immutable once sealed; travels unchanged to the agents under its author's signature. */
struct operation {
    struct id128 id;             /* message_id: 48 bits of mesh ms, 80 random */
    struct id128 correlation_id; /* phases of one cascade share it */
    struct id128 causation_id;   /* zero: none */
    struct trace_context trace;  /* given by who started it; zero: a trace of its own */
    struct id128 payload_of;     /* out_seal() only: take the payload of this cached operation */
    struct unit source;
    uint64_t source_epoch;
    enum routing routing;
    enum cascade_strategy strategy;
    enum timing timing;
    enum verb verb;
    uint8_t priority; /* 0 background .. 3 critical */
    int8_t trinary_expectation;
    bool require_answer; /* false: acknowledgements carry no answer (broadcast) */
    bool require_ack;    /* false: fire and forget; targets count as ready when sent */
    /* So many identical answers of one cluster's agents are a local consensus (design 10), decided
     * at the lead: who contradicts a majority of that size is quarantined. 0: nobody is judged. */
    uint32_t quorum;
    bool allow_partial; /* PROCEED also when more than 5 % were skipped, refused or cancelled */
    bool hedge;         /* what is silent past its quantile is sent once more (docs/ARRIVAL.md) */
    int64_t created_mesh_us;
    int64_t target_mesh_us; /* T; 0 with TIMING_SOON. In a console's template: 0 choose T, negative
                             * that long after admission */
    int64_t window_us;      /* arrival window: T +- window / 2 counts as a hit (spec 3.2: 500 ms) */
    int64_t ttl_us;         /* from created_mesh_us */
    int64_t timeout_us;     /* from created_mesh_us: when the gather ends */
    double payload_weight;
    double minimum_response_rate; /* 0 to 1; spec 3.2: 0.95 */
    struct selector selector;
    char action[ACTION_MAX];  /* which handler: "echo", "context", "work", "relay", .. */
    bool unknown_capability;  /* decoded: requires a capability that this mesh has not */
    uint8_t payload_hash[32]; /* BLAKE2b-256; filled by the runner when sealing, checked on entry */
    uint32_t payload_bytes;
    const uint8_t *payload;
};

/* Spec 5.1, appendix B. Values are text or digests, cut to TEXT_BYTES_MAX. */
struct conflict_detail {
    enum conflict_type type;
    struct id128 context_hash;
    uint32_t divergence_depth;
    uint32_t agents_affected;
    uint32_t expected_bytes, received_bytes;
    const uint8_t *expected, *received;
};

#endif
