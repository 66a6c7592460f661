/* What can go wrong in a world (world.h): clocks, the network and its broker, the store, and fault
 * points inside the tiers. Each fault stands for something that the real parts do;
 * docs/SIMULATION.md names for each of NATS and Redis the test that shows the real server doing it.
 *
 * Everything here acts at once and stays until it is undone. Nothing draws from a generator while
 * no fault is set, so a run without faults is the same run as ever. */
#ifndef SIM_WORLD_FAULT_H
#define SIM_WORLD_FAULT_H

#include "core/fault.h"
#include "sim/world.h"

/* --- clocks ------------------------------------------------------------------------------------
 * A node has two: its monotonic clock (event.now_us), which never goes back, and its Unix clock,
 * which stamps frames, is held against theirs, and starts mesh time at the orchestrator. */

/* The monotonic clock jumps ahead by us >= 0, as when a machine was suspended. */
void world_clock_jump(struct world *w, struct unit u, bool below, int64_t us);
/* From now on it runs fast by so many parts per billion (1,000,000 at most, either way). */
void world_clock_drift(struct world *w, struct unit u, bool below, int64_t ppb);
/* The Unix clock is stepped, in either direction: beyond 2 s ahead or 30 s behind, others and it
 * refuse each other's frames until it is put right. */
void world_wall_step(struct world *w, struct unit u, bool below, int64_t us);
/* What the hosts of these say of their Unix clocks from now on (EV_CLOCK), true or not: that NTP or
 * PTP holds them within error_us, or that nothing does. */
void world_host_clock(struct world *w, struct unit u, bool below, bool synchronised,
                      int64_t error_us);
void world_wall_heal(struct world *w); /* all of them are right again */

/* --- network -----------------------------------------------------------------------------------
 * Rules hold between two sides, in one direction; a message under several suffers all of them.
 * Consoles are on no side. */

struct world_side {
    const struct unit *units; /* each with everything below it */
    uint32_t count;
    bool others; /* everything but these; with count 0: everything */
};

struct world_rule {
    struct world_side from, to;
    uint32_t drop_permille;      /* 1000: a partition, which also takes what is in flight */
    uint32_t duplicate_permille; /* arrives twice; acceptance refuses the second (world_lie.c) */
    uint32_t reorder_permille;   /* held back by up to delay_us, so that later ones overtake it */
    int64_t delay_us;            /* with reorder_permille 0: added to every message */
    bool clog;                   /* nothing is lost, nothing arrives until the rule is removed */
};
#define WORLD_RULES_MAX 64u

/* Its number, 1 to WORLD_RULES_MAX; 0: the table is full. The sides are read now. */
uint32_t world_rule_add(struct world *w, const struct world_rule *rule);
/* 0 and numbers not in use are ignored. */
void world_rule_remove(struct world *w, uint32_t number);
/* Nothing passes from one side to the other; both: nor back. Numbers to *ret (two; 0: none). */
void world_cut(struct world *w, const struct world_side *a, const struct world_side *b, bool both,
               uint32_t ret[2]);

/* The broker ends and is back after down_us: what is in flight is lost, links go down, nothing can
 * be sent; nodes come back one by one within 0.2 to 2 s after it. */
void world_broker_restart(struct world *w, int64_t down_us);
/* The broker closes these connections (a slow consumer): what is under way to them is lost. */
void world_disconnect(struct world *w, struct unit u, bool below, int64_t down_us);
/* While a process stands still (world_pause), so many messages wait for it; those beyond are
 * dropped, the newest first. 0: BUS_PENDING_MSGS of the real runner, 65,536. */
#define WORLD_PENDING_MOST 65536u
void world_pending_max(struct world *w, uint32_t messages);
/* What these send within the next us is accepted and never leaves (a dying connection's buffer). */
void world_swallow(struct world *w, struct unit u, bool below, int64_t us);

/* --- store -------------------------------------------------------------------------------------
 * Three servers (store_bank()). */

enum world_store_state {
    WORLD_STORE_UP,
    WORLD_STORE_AWAY,     /* not connected: every answer UNKNOWN; links are told */
    WORLD_STORE_SILENT,   /* connected, answers nothing: UNKNOWN after 5 s, links told then */
    WORLD_STORE_READONLY, /* a replica, or no disk left: writes READONLY */
    WORLD_STORE_FULL,     /* out of memory: what would grow is FULL */
    WORLD_STORE_BARE,     /* its functions are gone: loaded again, the operation sent again */
    WORLD_STORE_STATES
};
void world_store_state(struct world *w, enum store_bank bank, enum world_store_state state);

/* The outcome is not known: so many in a thousand operations are answered UNKNOWN, half of them
 * carried out all the same, half not. */
void world_store_unsure(struct world *w, enum store_bank bank, uint32_t permille);
/* Answers take so much longer. */
void world_store_slow(struct world *w, enum store_bank bank, int64_t us);

/* It ends, is away for down_us, and comes back without what it had not synced: writes of the last
 * world_conf.store_sync_us (everysec), or nothing lost when that is 0 (always). */
void world_store_crash(struct world *w, enum store_bank bank, int64_t down_us);
/* Its replica takes over: writes of the last world_conf.store_lag_us are gone, leases too. */
void world_store_failover(struct world *w, enum store_bank bank, int64_t down_us);
/* It comes back empty (a new disk). */
void world_store_wipe(struct world *w, enum store_bank bank);
/* A byte of every blob is another than it was: somebody wrote there, or the disk did. */
void world_store_spoil(struct world *w, enum store_bank bank);

/* --- fault points (core/fault.h) ---------------------------------------------------------------
 * In each step of a unit of this tier, so many in a thousand times the point trips. */
void world_fault_point(struct world *w, enum tier tier, enum fault_point point, uint32_t permille);

/* --- agents that lie -------------------------------------------------------------------------
 * Signed with their own key: see world_lie.c for what acceptance stops and what it cannot. */
enum world_lie {
    WORLD_LIE_FORGE,      /* also says everything in its neighbour's name */
    WORLD_LIE_REPLAY,     /* its frames come again, 1 to 40 s later */
    WORLD_LIE_EQUIVOCATE, /* answers twice, the second time otherwise */
    WORLD_LIE_CAPABILITY, /* claims to have all of them */
    WORLD_LIE_FLOOD,      /* says everything 21 times, each signed anew */
    WORLD_LIE_IMPEDANCE,  /* all such agents tell the same story: the fastest there are */
    WORLD_LIE_TIMING,     /* answers that claim to have been done 0.4 s later than they were */
    WORLD_LIE_CONTENT,    /* gives its neighbours less of a context than it holds */
    WORLD_LIE_COUNT
};
void world_lie(struct world *w, struct unit u, bool below, enum world_lie lie, bool on);

/* With world_conf.threats: the processes of the mesh refused something, as `e` tells it. */
void world_accuse(struct world *w, const struct evidence *e);

/* How often each fault was met; for coverage. */
#define WORLD_FAULT_LIST(X)                                                                        \
    X(WORLD_MET_DROP, "drop")                                                                      \
    X(WORLD_MET_PARTITION, "partition")                                                            \
    X(WORLD_MET_DUPLICATE, "duplicate")                                                            \
    X(WORLD_MET_REORDER, "reorder")                                                                \
    X(WORLD_MET_DELAY, "delay")                                                                    \
    X(WORLD_MET_CLOG, "clog")                                                                      \
    X(WORLD_MET_BROKER, "broker-in-flight")                                                        \
    X(WORLD_MET_LINK_DOWN, "link-down")                                                            \
    X(WORLD_MET_SLOW_CONSUMER, "slow-consumer")                                                    \
    X(WORLD_MET_SWALLOWED, "swallowed")                                                            \
    X(WORLD_MET_STORE_AWAY, "store-away")                                                          \
    X(WORLD_MET_STORE_SILENT, "store-silent")                                                      \
    X(WORLD_MET_STORE_READONLY, "store-readonly")                                                  \
    X(WORLD_MET_STORE_FULL, "store-full")                                                          \
    X(WORLD_MET_STORE_BARE, "store-bare")                                                          \
    X(WORLD_MET_STORE_UNSURE, "store-unsure")                                                      \
    X(WORLD_MET_STORE_LOST, "store-lost-writes")                                                   \
    X(WORLD_MET_STORE_SPOILT, "store-spoilt")                                                      \
    X(WORLD_MET_CONTENT_REFUSED, "content-refused")                                                \
    X(WORLD_MET_LIE_CAPABILITY, "lie-capability")                                                  \
    X(WORLD_MET_LIE_IMPEDANCE, "lie-impedance")                                                    \
    X(WORLD_MET_LIE_CONTENT, "lie-content")                                                        \
    X(WORLD_MET_LIE_TIMING, "lie-timing")                                                          \
    X(WORLD_MET_LIE_EQUIVOCATE, "lie-equivocate")                                                  \
    X(WORLD_MET_LIE_FLOOD, "lie-flood")                                                            \
    X(WORLD_MET_REFUSED_SCOPE, "refused-scope")                                                    \
    X(WORLD_MET_REFUSED_REPLAY, "refused-replay")                                                  \
    X(WORLD_MET_REFUSED_EXPIRED, "refused-expired")                                                \
    X(WORLD_MET_REFUSED_FUTURE, "refused-future")                                                  \
    X(WORLD_MET_REFUSED_SIGNATURE, "refused-signature")                                            \
    X(WORLD_MET_REFUSED_CAPABILITY, "refused-capability")                                          \
    X(WORLD_MET_REFUSED_FRAME, "refused-frame")                                                    \
    X(WORLD_MET_POINT, "fault-point")                                                              \
    X(WORLD_MET_DOUBT, "lease-doubted")                                                            \
    X(WORLD_MET_TAKEOVER, "takeover")                                                              \
    X(WORLD_MET_STEPPED_DOWN, "stepped-down")                                                      \
    X(WORLD_MET_DOUBTED, "owner-doubted")                                                          \
    X(WORLD_MET_GIVEN_BACK, "given-back")                                                          \
    X(WORLD_MET_UNKNOWN_KEY, "unknown-key")                                                        \
    X(WORLD_MET_OLD_SESSION, "old-session")                                                        \
    X(WORLD_MET_STALE_OWNER, "stale-owner")
enum world_met {
#define WORLD_MET_ENUM(id, name) id,
    WORLD_FAULT_LIST(WORLD_MET_ENUM)
#undef WORLD_MET_ENUM
        WORLD_MET_COUNT
};
const char *world_met_name(enum world_met met);
uint64_t world_met(const struct world *w, enum world_met met);

/* Row `seq` (from 1) of a log as the store has it: memory_store_log_row(). */
bool world_log_row(const struct world *w, const char *log, uint64_t seq, const char **ret_id,
                   const char **ret_wrong);

#endif
