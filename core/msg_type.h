/* Which message it is, and who says it to whom (docs/PROTOCOL.md). What each carries: msg.h. */
#ifndef CORE_MSG_TYPE_H
#define CORE_MSG_TYPE_H

enum msg_type {
    MSG_HELLO = 1,  /* agent -> lead: I am here (signed by its host's frame) */
    MSG_WELCOME,    /* lead -> agent: you are in, or why not */
    MSG_GOODBYE,    /* agent -> lead: clean stop */
    MSG_HEARTBEAT,  /* agent -> lead, every 5 s */
    MSG_BEAT,       /* cluster -> sector -> orchestrator, every 1 s, with the summary */
    MSG_BEAT_REPLY, /* the parent's answer to either */
    MSG_OPERATE,    /* down: spec COORDINATE */
    MSG_ACK,        /* agent -> lead */
    MSG_RESULT,     /* up: one aggregate */
    MSG_CANCEL,     /* down; the orchestrator orders it: MSG_ORDER */
    MSG_PREPARE,    /* down: announce an operation to a level (wave) and ask what it needs */
    MSG_PREPARED,   /* up */
    MSG_QUERY,      /* down */
    MSG_ROWS,       /* up */
    MSG_CIRCUIT,    /* notice of a breaker */
    MSG_FREEZE,     /* down to the agents: no new work, no effect, until THAW */
    MSG_THAW,
    MSG_RELAY,        /* an agent's message to agents: through lead, sector, lead */
    MSG_RELAY_ACK,    /* back to its author */
    MSG_COMMAND,      /* console -> orchestrator (or a sector that serves its own) */
    MSG_REPLY,        /* back */
    MSG_HOST_REPORT,  /* host -> sector: what runs on this machine */
    MSG_HEAL,         /* down: recover this scope; lead -> sector -> host: start this agent anew */
    MSG_CONFLICT,     /* lead -> sector -> orchestrator, again until .. */
    MSG_CONFLICT_ACK, /* .. this comes back: it is in the log */
    MSG_ISOLATE,      /* sector -> lead: quarantine, or lift it */
    MSG_MOVE,   /* sector -> both leads: who lives elsewhere; lead -> sector -> host: bring it there
                 */
    MSG_RESUME, /* a new orchestrator -> sectors: what came of this operation? (u.cancel) */
    MSG_ORDER,  /* orchestrator -> sectors: the next of the chain (order.h) */
    MSG_GROW,   /* sector -> lead, sector -> host: spare places that newcomers live at (grow.h) */
    MSG_CONTENT, /* lead - sector - sector, lead - agent: who has this context? and the answer */
    MSG_TYPE_COUNT
};

#endif
