/* Notes: facts that a node tells its runner, an enum and two numbers. The real runner turns them
 * into logs, metrics and traces; the simulator into golden text and invariants. Core never logs. */
#ifndef CORE_NOTE_H
#define CORE_NOTE_H

#include "core/unit.h"
#include <stdint.h>

/* X(enum, name, meaning of a, meaning of b, level): level D debug, I info, W warning. */
#define NOTE_LIST(X)                                                                               \
    X(NOTE_STARTED, "started", "epoch", "-", 'I')                                                  \
    X(NOTE_JOINED, "joined", "uid", "agent", 'D')                                                  \
    X(NOTE_AGENT_STATE, "agent-state", "agent", "state", 'D')                                      \
    X(NOTE_CHILD_UP, "child-up", "unit", "epoch", 'I')                                             \
    X(NOTE_CHILD_SUSPECT, "child-suspect", "unit", "silent_ms", 'W')                               \
    X(NOTE_CHILD_DOWN, "child-down", "unit", "silent_ms", 'W')                                     \
    X(NOTE_PARENT_UP, "parent-up", "unit", "epoch", 'I')                                           \
    X(NOTE_PARENT_DOWN, "parent-down", "unit", "silent_ms", 'W')                                   \
    X(NOTE_SELF_BLAME, "self-blame", "silent", "children", 'W')                                    \
    X(NOTE_PAUSED, "paused", "lost_ms", "-", 'W')                                                  \
    X(NOTE_STALE_EPOCH, "stale-epoch", "unit", "epoch", 'W')                                       \
    X(NOTE_OP_OPENED, "op-opened", "op", "targets", 'D')                                           \
    X(NOTE_OP_CLOSED, "op-closed", "op", "ready", 'D')                                             \
    X(NOTE_OP_REFUSED, "op-refused", "op", "reason", 'I')                                          \
    X(NOTE_OP_HELD, "op-held", "op", "mode", 'I')                                                  \
    X(NOTE_OP_RESUMED, "op-resumed", "op", "targets", 'I')                                         \
    X(NOTE_OP_LATE, "op-late", "op", "agent", 'D')                                                 \
    X(NOTE_SENT, "sent", "op", "agents", 'D')                                                      \
    X(NOTE_RESENT, "resent", "op", "agents", 'D')                                                  \
    X(NOTE_HEDGED, "hedged", "op", "agents", 'D')                                                  \
    X(NOTE_SKIPPED, "skipped", "op", "agents", 'D')                                                \
    X(NOTE_EXECUTED, "executed", "op", "outcome", 'D')                                             \
    X(NOTE_RELEASED, "released", "op", "late_us", 'D')                                             \
    X(NOTE_DUPLICATE, "duplicate", "op", "-", 'D')                                                 \
    X(NOTE_OUT_OF_ORDER, "out-of-order", "op", "seq", 'D')                                         \
    X(NOTE_QUEUE_DROP, "queue-drop", "op", "priority", 'W')                                        \
    X(NOTE_UNEXPECTED, "unexpected-message", "type", "from", 'D')                                  \
    X(NOTE_CIRCUIT, "circuit", "unit", "state", 'W')                                               \
    X(NOTE_MODE, "mode", "mode", "active_permille", 'W')                                           \
    X(NOTE_CONFLICT, "conflict", "op", "agent", 'I')                                               \
    X(NOTE_CONFLICT_URGENT, "conflict-urgent", "conflict", "agent", 'W')                           \
    X(NOTE_STORE_LATE, "store-late", "ref", "kind", 'W')                                           \
    X(NOTE_STORE_REFUSED, "store-refused", "kind", "verdict", 'W')                                 \
    X(NOTE_FLAG_DEGRADED, "flag-degraded", "agent", "score", 'D')                                  \
    X(NOTE_FLAG_UNSTABLE, "flag-unstable", "agent", "drift_permille", 'D')                         \
    X(NOTE_FLAG_SPIKE, "flag-spike", "agent", "score", 'D')                                        \
    X(NOTE_ODD_TIMES, "odd-times", "agent", "us", 'D')                                             \
    X(NOTE_RELAYED, "relayed", "message", "agent", 'D')                                            \
    X(NOTE_RELAY_LOST, "relay-lost", "message", "reason", 'I')                                     \
    X(NOTE_REPLACE, "replace", "agent", "host", 'W')                                               \
    X(NOTE_FROZEN, "frozen", "unit", "-", 'W')                                                     \
    X(NOTE_THAWED, "thawed", "unit", "-", 'W')                                                     \
    X(NOTE_THREAT, "threat", "kind", "id", 'W')                                                    \
    X(NOTE_MOVE_LEFT, "move-left", "agent", "place", 'I')                                          \
    X(NOTE_SCALE, "scale", "state", "newcomers", 'I')                                              \
    X(NOTE_GROW_ENTERED, "grow-entered", "agent", "observed", 'I')                                 \
    X(NOTE_MOVE_ARRIVED, "move-arrived", "agent", "home", 'I')                                     \
    X(NOTE_ORDER, "order", "seq", "head", 'D')                                                     \
    X(NOTE_ORDER_TAKEN, "order-taken", "seq", "head", 'D')                                         \
    X(NOTE_ORDER_MISSED, "order-missed", "seq", "known", 'D')                                      \
    X(NOTE_ORDER_REFUSED, "order-refused", "seq", "verdict", 'W')                                  \
    X(NOTE_ORDER_FORK, "order-fork", "unit", "seq", 'W')                                           \
    X(NOTE_CONTENT_REFUSED, "content-refused", "unit", "count", 'W')

enum note {
    NOTE_NONE,
#define X(id, name, a, b, level) id,
    NOTE_LIST(X)
#undef X
        NOTE_COUNT
};

struct note_record {
    enum note note;
    uint64_t a, b;
};

struct note_info {
    const char *name, *a, *b;
    char level;
};
const struct note_info *note_info(enum note note);

/* A unit as one number of a note, and back. */
static inline uint64_t unit_pack(struct unit u)
{
    return (uint64_t)u.tier << 48 | (uint64_t)u.sector << 32 | (uint64_t)u.cluster << 16 | u.agent;
}
static inline struct unit unit_unpack(uint64_t v)
{
    return (struct unit){.tier = (uint8_t)(v >> 48),
                         .sector = (uint16_t)(v >> 32),
                         .cluster = (uint16_t)(v >> 16),
                         .agent = (uint16_t)v};
}

#endif
