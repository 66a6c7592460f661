/* Queries down the tree and the pages of rows that come back. */
#ifndef CORE_QUERY_H
#define CORE_QUERY_H

#include "core/operation.h"
#include "core/result.h"
#include "core/summary.h"

/* Rows of a query are sorted by key ascending (then unit) and merged by every tier. */
enum query_kind {
    QUERY_AGENTS = 1, /* key: score << 32 | index; ROW_AGENT */
    QUERY_CLUSTERS,   /* key: unit_pack(); ROW_SUMMARY */
    QUERY_SECTORS,    /* key: unit_pack(); ROW_SUMMARY */
    QUERY_ANSWERS,    /* key: group hash; ROW_ANSWER; needs operation_id */
    QUERY_INSPECT,    /* one agent: the lead's own view, then the registry's record */
    QUERY_JOBS,       /* the orchestrator's jobs, newest first; ROW_RECORD */
    QUERY_JOB,        /* one job as it is now: answered by REPLY_PROGRESS or REPLY_OPERATION */
    QUERY_ATTACH,     /* the same, and its progress until it ends */
    QUERY_LATE,       /* as QUERY_ANSWERS: what came after its targets were final */
    /* Where an operation's time went; key: unit_pack(); ROW_RECORD. Limit 1: the asked node's row
     * alone. */
    QUERY_TRACE,
    /* Agents with the most of something first; key: (UINT32_MAX - value) << 32 | index; ROW_AGENT
     */
    QUERY_TOP_SLOW,      /* predicted_us */
    QUERY_TOP_DRIFT,     /* drift_permille */
    QUERY_TOP_CONFLICTS, /* since their lead started */
    QUERY_TOP_QUEUE,     /* queue_depth */
    QUERY_TOP_FAILED,    /* failed, in the last hour */
    QUERY_WORK,          /* key: query_work_key(); ROW_RECORD: what agents have not answered yet */
    QUERY_KPI, /* the orchestrator's metrics over hour, day, month and before each; ROW_RECORD */
    QUERY_KIND_COUNT
};

enum row_kind { ROW_AGENT = 1, ROW_SUMMARY, ROW_ANSWER, ROW_RECORD };

static inline bool query_is_top(enum query_kind kind)
{
    return kind >= QUERY_TOP_SLOW && kind <= QUERY_TOP_FAILED;
}

struct agent_row {
    uint64_t uid;
    enum impedance_class agent_class;
    bool routed_around; /* new work goes around it */
    bool unwritten;     /* how it stands is not in the registry, as far as its lead knows */
    uint64_t capabilities;
    uint64_t epoch;
    struct impedance impedance;
};

struct query {
    uint64_t ref;
    enum query_kind kind;
    struct selector selector;
    struct id128 operation_id;
    uint64_t after_key; /* rows with a greater key only; ignored when from_start */
    bool from_start;
    bool routable; /* only of parts that new work goes to: no breaker is open, the mode allows it */
    uint32_t limit; /* rows wanted, PAGE_ROWS_MAX at most */
    int64_t deadline_mesh_us;
};

/* Oldest first: mesh milliseconds since when, then the agent (topology_index() < 2^22). */
static inline uint64_t query_work_key(int64_t since_mesh_us, uint32_t agent)
{
    return (uint64_t)(since_mesh_us / US_PER_MS) << 22 | agent;
}

struct rows {
    uint64_t ref;
    enum row_kind kind;
    uint32_t total;   /* matching below, also those not in this page */
    uint32_t missing; /* children that did not answer in time */
    bool more;        /* rows beyond this page exist */
    uint32_t row_count;
    const struct page_row *rows;
};

/* A row with its decoded text. */
struct page_row {
    uint64_t key;
    struct unit unit;
    union {
        struct agent_row agent;        /* ROW_AGENT */
        const struct summary *summary; /* ROW_SUMMARY */
        struct answer_group answer;    /* ROW_ANSWER */
        struct {                       /* ROW_RECORD: text of the registry's record, or "" */
            uint32_t bytes;
            const char *text;
        } record;
    } u;
};

#endif
