/* What a console asks of the orchestrator (or of a sector that serves its own), and the answers. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include "core/grow.h"
#include "core/logs.h"
#include "core/operation.h"
#include "core/query.h"
#include "core/result.h"
#include "core/summary.h"
#include <stdbool.h>

enum command_kind {
    COMMAND_STATUS = 1, /* -> REPLY_STATUS */
    COMMAND_SUBMIT,     /* `operation` without id, source, T -> REPLY_PROGRESS*, REPLY_OPERATION */
    COMMAND_QUERY,      /* `query` -> REPLY_ROWS */
    COMMAND_CANCEL,     /* operation id -> REPLY_OK or REPLY_ERROR */
    COMMAND_FREEZE,
    COMMAND_THAW,
    COMMAND_WHEN,    /* selector: when could this share be READY? -> REPLY_WHEN */
    COMMAND_BREAKER, /* opens a breaker by hand, until it is closed by hand */
    COMMAND_HEAL,    /* recovery of a scope, REPLY_LINE by REPLY_LINE */
    COMMAND_LOG,     /* `log`: rows or verification of a log -> REPLY_LOG */
    COMMAND_RESOLVE, /* `decision`: of a person, about a conflict -> REPLY_OK or REPLY_ERROR */
    COMMAND_ISOLATE, /* keeps an agent out of all work, or lets it back; `decision`.note: why */
    COMMAND_ROUTE,   /* `query.selector`, `on`: see below -> REPLY_LINE*, REPLY_OK or REPLY_ERROR */
    COMMAND_APPROVE, /* operation id: what waits for approval goes on (`on`), or ends refused */
    COMMAND_THREAT,  /* `name`: the id of a threat, empty: all; `on`: clear it -> REPLY_LINE* */
    COMMAND_SECOND,  /* `name`: the id of what waits for a second person, empty: all of it */
    COMMAND_MOVE,    /* `query.selector`.places: who; see below -> REPLY_LINE*, REPLY_OK or ERROR */
    COMMAND_SCALE,   /* `scale`; see below -> REPLY_LINE*, REPLY_OK or REPLY_ERROR */
    COMMAND_KIND_COUNT
};

/* ROUTE: with capabilities, agents of the classes are excluded from them (`on`) or no more; else
 * with places, new work avoids those agents or no more; with neither it tells the table. */

/* MOVE: `name` says where to: folded clusters, empty: the mesh chooses; "back": home again; `on`: a
 * dry run. Without places it tells who lives elsewhere. */

/* SCALE: `query.selector` says where (places: sectors or clusters, empty: the mesh chooses) and of
 * which classes; `on`: a dry run. */

#define COMMAND_NAME_MAX 47u /* with NUL, as FREEZE_NAME_MAX */

/* Whether `scope` says where. */
static inline bool command_has_scope(enum command_kind kind)
{
    return kind == COMMAND_FREEZE || kind == COMMAND_THAW || kind == COMMAND_BREAKER ||
           kind == COMMAND_HEAL || kind == COMMAND_ISOLATE;
}

/* Whether `name` says which, and `on` what about it. */
static inline bool command_has_id(enum command_kind kind)
{
    return kind == COMMAND_THREAT || kind == COMMAND_SECOND;
}

#define OPERATOR_NAME_MAX 17u /* with NUL */

/* What the process that took the frame found of the operator's hardware token. */
enum key_proof {
    PROOF_NONE,   /* none was shown, and none is asked for: the key in its file is enough */
    PROOF_TOKEN,  /* this session was opened with one, its user verified */
    PROOF_REFUSED /* one is asked for, and was not shown or does not hold: proof_why */
};

struct command {
    uint64_t ref; /* the console's own */
    /* Never on the wire: whose certificate signed the frame that it came in. Empty: the node
     * itself.
     */
    char operator_name[OPERATOR_NAME_MAX];
    /* Never on the wire either. */
    enum key_proof proof;
    const char *proof_why; /* REFUSED: one line; lives for ever */
    int64_t proof_us;      /* TOKEN: Unix time of the touch */
    enum command_kind kind;
    struct operation operation; /* SUBMIT, WHEN (selector, weight, minimum_response_rate) */
    struct query query;         /* QUERY */
    struct id128 operation_id;  /* CANCEL, APPROVE */
    struct unit scope;          /* FREEZE, THAW, BREAKER, ISOLATE, HEAL (NONE: whatever needs it) */
    char name[COMMAND_NAME_MAX]; /* FREEZE: of the snapshot, empty: by the time; THREAT, SECOND: an
                                    id, empty: all */
    bool on; /* BREAKER: open, else close; HEAL: a dry run; ISOLATE: quarantine, else lift; ROUTE:
                avoid; APPROVE: else reject; THREAT: clear it */
    struct log_request log;            /* LOG */
    struct conflict_decision decision; /* RESOLVE; ISOLATE */
    struct scale_request scale;        /* SCALE */
};

enum reply_kind {
    REPLY_ERROR = 1, /* code and text: what was wrong, where */
    REPLY_OK,
    REPLY_ACCEPTED,  /* the operation's id, at once */
    REPLY_PROGRESS,  /* counts so far */
    REPLY_OPERATION, /* final: gather, quorum and cascade result with the aggregate */
    REPLY_ROWS,
    REPLY_STATUS,
    REPLY_WHEN,
    REPLY_LINE, /* a line of a report; the end is an OK or an ERROR */
    REPLY_LOG,
    REPLY_HELD, /* a submission waits for the mode: id, reason and text; the rest comes later */
    REPLY_KIND_COUNT
};

#define PHASES_MAX 6u

/* Spec 3.2 GatherResult, 5.2 QuorumResult, 3.3 CascadeResult in one report. */
struct phase_report {
    uint32_t class_mask;
    uint32_t targets, ready, conflicts;
    double response_rate, threshold;
    bool success;
};

struct report {
    struct id128 operation_id;
    enum cascade_strategy strategy;
    /* "SUCCESS", "PARTIAL", "FAILED_AT_SECTOR", "FAILED_AT_CLUSTER", "COMPLETE", "CANCELLED",
     * "REFUSED" */
    const char *status;
    double response_rate; /* ready / sent, spec 3.2 */
    uint32_t stragglers;
    const char *recommendation; /* "" or the spec's */
    enum decision decision;     /* quorum */
    const char *decision_reason;
    const char *decision_recommendation;
    double confidence;
    bool achieved;
    int64_t created_mesh_us, target_mesh_us, finished_mesh_us;
    int64_t window_us;
    uint32_t phase_count;
    struct phase_report phases[PHASES_MAX];
    struct aggregate_view aggregate;
};

struct mesh_status {
    struct summary summary;
    enum mode mode;
    uint32_t sectors, sectors_up;
    int64_t started_mesh_us;
    int64_t last_cascade_mesh_us; /* 0: never */
    uint32_t operations_in_flight, operations_max;
    uint64_t operations_done, operations_refused;
    uint32_t waiting, approvals; /* submissions that wait for the mode, and for an operator */
    bool simulation, store_up, frozen;
    struct unit self;
    /* the chain of orders (order.h): where it stands, seq 0: none given; sectors that have all */
    uint64_t orders_epoch, orders_seq;
    uint64_t orders_head; /* order_short() */
    uint32_t orders_agree;
};

struct when_reply {
    uint32_t targets;
    int64_t lead_us_p50, lead_us_p95, lead_us_p99; /* T - now needed, hops included */
    double wanted;
    int64_t lead_us_wanted;
    /* At T = now + lead_us_wanted: the calibrated probability with which each agent that can make
     * it does, and the share that is READY by T, those that cannot make it counted as not. */
    double confidence, ready_expected;
};

struct reply {
    uint64_t ref;
    enum reply_kind kind;
    bool final;
    enum reason reason;             /* ERROR, HELD */
    const char *text;               /* ERROR, HELD, LINE: terminated, TEXT_BYTES_MAX at most */
    struct id128 operation_id;      /* ACCEPTED, HELD, PROGRESS */
    struct aggregate_view progress; /* PROGRESS: counts only; HELD: targets, not on the wire */
    const struct report *report;
    const struct rows *rows;
    const struct mesh_status *status;
    const struct log_page *log; /* LOG */
    struct when_reply when;
};

#endif
