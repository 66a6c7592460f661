/* Submissions that the mode lets wait (spec 6.3): non-urgent ones until the mode admits them,
 * mesh-wide ones in a severe mode until an operator approves or rejects them. In the order of their
 * priority, then of their age, one every HELD_PAUSE_US, so that a mesh that has just recovered is
 * not flooded. Those that come while the orchestrator settles (hub.settling, 2 s at most) are kept
 * as well, in silence, and taken as if they had come just after.
 *
 * Bounds: HELD_MAX wait; one more is refused (overload; while it settles: frozen). Each waits for
 * its time to live, or HELD_WAIT_US when none was given: then it ends REFUSED, as it does when it
 * is rejected, cancelled, or made impossible meanwhile. Kept in memory: an orchestrator that takes
 * over ends them, unreachable for the reason "takeover" (docs/adr/0033). */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_HELD_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_HELD_H

#include "core/hub.h"

#define HELD_MAX      64u
#define HELD_WAIT_US  (3600ll * US_PER_S)
#define HELD_PAUSE_US (100ll * US_PER_MS)
#define HELD_LOOK_US  US_PER_S           /* between looks at what could not go on */
#define HELD_EARLY_US (50ll * US_PER_MS) /* while it settles */

struct held {
    bool used, approved;
    bool early;      /* came while the orchestrator settled: its console was told nothing yet */
    uint32_t number; /* rises by one with each */
    struct id128 id;
    struct unit console;
    uint64_t ref;
    uint32_t targets;
    int64_t since_mesh_us, until_us;
    struct operation operation; /* its payload is below */
    uint8_t payload[PAYLOAD_BYTES_MAX];
};

struct held_book {
    struct held held[HELD_MAX];
    uint32_t count, last_number;
    int64_t next_us;        /* the next look; NEVER: nothing waits */
    struct command command; /* of the one that goes on: too large for a stack frame */
};

struct orchestrator;

bool held_take(struct hub *h, const struct msg *msg, uint32_t targets, const char *why);
/* COMMAND_APPROVE, and COMMAND_CANCEL of what waits. False: another command, or it does not wait
 * here. */
bool held_command(struct orchestrator *o, const struct msg *msg);
int64_t held_tick(struct orchestrator *o);
/* NULL: it does not wait. Else what for, in a word: "waiting", "approval". */
const char *held_state(const struct hub *h, const struct id128 *id);
/* Those that wait for the mode, and for approval. */
void held_count(const struct orchestrator *o, uint32_t *ret_waiting, uint32_t *ret_approvals);

#endif
