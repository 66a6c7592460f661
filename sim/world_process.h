/* Processes of a world (world_conf.processes): several for each upper tier, each with its lease and
 * its wards, as the real runner has them (tiers/runner/process.c, process_wards.c). Only
 * sim/world*.c include this.
 *
 * A unit may run in any process of its tier, so it has an instance (a node of the world) in each.
 * What a process learns from the bus is modelled as the runner does it: who owns a unit, and under
 * which epoch; which session of a name is the latest one. For small meshes: every end keeps what it
 * knows of every unit. */
#ifndef SIM_WORLD_PROCESS_H
#define SIM_WORLD_PROCESS_H

#include "core/wards.h"
#include "sim/world_int.h"

/* world_wire.c */
void world_wire_open(struct world *w);
void world_wire_close(struct world *w);
struct block *world_wire_seal(struct world *w, uint32_t from, const struct msg *msg);
bool world_wire_take(struct world *w, uint32_t node, struct world_msg *wm, struct msg *ret);

/* For the rest of the world; but for the first only when it has processes. */
uint32_t world_processes_nodes(const struct world_conf *conf);
void world_processes_init(struct world *w, uint32_t first_instance);
void world_processes_free(struct world *w);
uint64_t world_processes_leave(struct world *w, struct unit u, bool below);
uint64_t world_processes_kill(struct world *w, struct unit u, bool below);
void world_processes_restart(struct world *w, struct unit u, bool below);
bool world_process_meant(const struct world *w, uint32_t process, struct unit u, bool below);
bool world_process_is_twin(const struct world *w, uint32_t process);
bool world_process_serves(struct world *w, uint32_t process);
uint64_t world_process_session(const struct world *w, uint32_t node); /* 0: it has none */
bool world_process_takes(struct world *w, uint32_t node, const struct world_msg *wm);
void world_process_tick(struct world *w, uint32_t node);
void world_process_reply(struct world *w, uint32_t node, const struct store_reply *reply);
uint32_t world_process_targets(struct world *w, uint32_t from, uint32_t unit, uint32_t ret[2]);

#define TICK_US           (250 * US_PER_MS) /* TICK_MS of the runner */
#define ANNOUNCE_EVERY_US (10 * US_PER_S)
#define NAMES_MAX         (3u * WORLD_PROCESSES_MAX)

/* What processes say to each other (tiers/runner/announce.h), beside messages. */
enum record { RECORD_NONE, RECORD_ALIVE, RECORD_ANNOUNCE, RECORD_ASK, RECORD_CHAIN };

#define ALIVE_QUESTION 1u
#define ALIVE_WAITS    2u
#define ALIVE_DOUBT    4u

/* One run of a program; a twin is a second one under the same name. */
struct process {
    uint32_t node;  /* its own node: its clock, its connection, its pause */
    uint16_t name;  /* 0 .. names - 1 */
    uint16_t first; /* of its own units, as tier units are numbered .. */
    uint16_t units; /* .. and how many; 0: it stands by only */
    bool up;        /* it runs */
    bool serving;   /* it has served once: the runner's PHASE_SERVING */
    bool owns;      /* its own units run here */
    bool mute;      /* it had to be silent at the last tick */
    bool held;      /* its lease, at the last tick */
    bool announce, ask;
    bool contradict;        /* its own units were announced under an epoch that is too low .. */
    uint16_t contradict_to; /* .. by a process of this name */
    uint16_t contradicts[WORLD_PROCESSES_MAX]; /* likewise, by ward: the name + 1; 0: not */
    uint16_t doubt_to,
        doubt_of;       /* name + 1 of who announced units of another tier too low; whose */
    int64_t doubted_us; /* a lease was given up last because of such a word; 0: never */
    int64_t doubter_us; /* .. and a host of agents doubted last, by itself; 0: never; who: */
    uint32_t doubter;   /* an end */
    uint64_t session;   /* later ones replace earlier ones of the same name */
    int64_t alive_us, announced_us, started_us; /* its clock */
    int64_t started_true_us;
    struct lease lease;
    struct wards wards;
    struct ward list[WORLD_PROCESSES_MAX];
    uint16_t ward_name[WORLD_PROCESSES_MAX];
};

/* Where a unit is, as far as somebody knows. */
struct known {
    uint64_t epoch;
    uint16_t name;
};

struct processes {
    uint32_t names, count; /* count: with the twins, names .. 2 * names - 1 */
    uint32_t units;        /* of the upper tiers */
    uint32_t ends;         /* who knows something: processes, agents, consoles */
    uint32_t first_node;   /* of the processes' own */
    uint64_t sessions;
    struct process *list;
    uint32_t *instances; /* [process][unit]: node index; WORLD_NOBODY: another tier's */
    struct known *known; /* [end][unit] */
    uint64_t *session;   /* [end][name]: the latest heard of */
    bool *contact;       /* [process][end]: that end has said that it knows this session */
    int64_t *asked_us;   /* [end][name]: for a chain, true time */
};

/* world_process.c */
void world_process_start(struct world *w, uint32_t index);
void world_process_end(struct world *w, uint32_t index);
void world_process_contradict(struct world *w, struct process *p);
/* from: an end; of: a name; told: the epoch that is known there of its units. */
void world_process_doubted(struct world *w, struct process *p, uint32_t from, uint32_t of,
                           uint64_t told);
bool world_process_mute(const struct world *w, const struct process *p);

/* world_process_net.c */
const struct known *world_process_known(const struct world *w, uint32_t end, uint32_t unit);
bool world_process_learn(struct world *w, uint32_t end, uint32_t unit, uint32_t name,
                         uint64_t epoch);
void world_process_forget(struct world *w, uint32_t index);
void world_process_renew(struct world *w, struct process *p); /* a new session */
void world_process_alive(struct world *w, struct process *p, uint32_t to, bool question);
void world_process_announce(struct world *w, struct process *p, uint32_t name, uint64_t epoch);
void world_process_ask(struct world *w, struct process *p);

#endif
