/* Inside of the virtual runner; only sim/world*.c and the test of its queue include it. */
#ifndef SIM_WORLD_INT_H
#define SIM_WORLD_INT_H

#include "core/pack.h"
#include "core/rng.h"
#include "registry/memory.h"
#include "sim/world_fault.h"
#include "sim/world_queue.h"

struct world_msg {
    struct msg msg;
    int64_t sent_us;    /* true time */
    uint64_t taken[2];  /* bits of the mask whose unit has accepted it; [1]: a twin's */
    uint32_t from;      /* node index, or WORLD_NOBODY */
    uint32_t partition; /* of the sender when it was sent */
    /* between processes (world_process_net.c) */
    uint64_t session; /* of the sender's process */
    uint64_t epoch;   /* an announcement's */
    uint16_t name;    /* whose units it announces */
    uint8_t record;   /* not 0: there is no message */
    uint8_t flags;
    /* on the wire (wire.h) */
    uint8_t forgery;      /* enum wire_forgery */
    uint32_t frame_bytes; /* of the frame that follows; 0: the message itself follows */
};

struct world_store {
    struct store_reply reply;
};

struct world_work {
    struct work_reply reply;
    struct world_work *next; /* of the node, for cancellation */
    bool cancelled;
};

/* What every step of every node needs comes first, in two lines of memory. */
#define WORLD_NODE_HOT 128u
struct world_node {
    _Alignas(64) const struct node_ops *ops;
    void *self; /* NULL: dead; a packed agent's is a struct packed (pack.h) */
    uint32_t generation, wake_generation;
    int64_t wake_us;   /* true time; NEVER: none */
    int64_t queued_us; /* when the queue looks at its wake; NEVER: nothing is queued */
    int64_t last_us;   /* on its clock */
    int64_t base_local_us, base_true_us; /* its clock: see world_local */
    double drift;
    int64_t paused_until_us;
    int64_t bus_up_us;     /* its last time without a bus ends then; 0: there was none */
    int64_t wake_local_us; /* as it asked for it */
    struct unit unit;
    uint32_t partition, same_time_wakes;
    float one_way_us, speed, slow; /* agents: speed and slow are factors on the class's time */
    uint16_t process;              /* that it runs in, or that it is; NO_PROCESS */
    uint8_t lies;                  /* bits of enum world_lie */
    uint8_t host_says : 7;         /* 0: nothing; 1: not synchronised; 2: synchronised */
    uint8_t excluded : 1;          /* heard no more */
    /* handlers */
    struct world_work *works;
    struct rng rng;
    uint64_t epoch;
    uint64_t host_ref;
    uint32_t host;  /* who started the agent, told when it ends; 0: the world itself */
    uint32_t home;  /* agents: node of the place that it was planned for, when that is another */
    uint64_t lives; /* epoch of the last life of the agent that was planned here, wherever */
    enum impedance_class agent_class, born_class; /* born: of who was planned for this place .. */
    float born_one_way_us, born_speed;            /* .. a guest brings its own */
    /* faults */
    uint64_t rules_from, rules_to; /* bits of the rules whose sides it is on */
    int64_t bus_since_us;
    int64_t swallow_until_us, wall_off_us;
    int64_t host_error_us;          /* what its host says of its Unix clock (world_host_clock) */
    uint32_t waiting;               /* messages put back during this pause */
    struct id128 context;           /* agents: what it has loaded */
    uint64_t refused, refused_told; /* what it had no right to say, and how much of it was told */
};
static_assert(offsetof(struct world_node, works) == WORLD_NODE_HOT, "two lines");

struct clogged; /* a message that a rule holds back (world_rules.c) */

/* One server of the store: see world_store.c. */
struct journal_entry;
/* The banks in Redis, and the log in SQL. */
#define WORLD_BANKS (STORE_BANK_LOG + 1u)

struct world_bank {
    struct memory_store *store;
    enum world_store_state state;
    uint32_t unsure_permille;
    int64_t slow_us;
    int64_t back_us; /* state returns to UP then; 0: it stays */
    struct journal_entry *first, **last;
};

struct cached {
    struct id128 id;
    struct operation operation;
    uint8_t *bytes;
    uint16_t *executed; /* by linear agent index: under which start it ran this; NULL: none yet */
    int64_t until_us;   /* true time */
    struct cached *next;
};

struct world_call {
    uint64_t ref;
    uint32_t replies;
    bool held; /* it waits for the mode */
    struct id128 accepted;
    struct block *final; /* struct msg at its start; NULL so far */
    struct world_call *next;
};

#define WORLD_CACHE_SLOTS 4096u

#define WORLD_PENDING_MAX WORLD_PENDING_MOST /* BUS_PENDING_MSGS */

struct processes;
struct world {
    struct world_conf conf;
    struct world_stats stats;
    int64_t now_us;
    uint64_t seq, ref;
    struct rng net, chaos;
    struct world_node *nodes;
    uint32_t node_count, first_cluster, first_agent, first_host, cache_sweep;
    struct queue *queue;
    struct blocks blocks;
    struct cached *cache[WORLD_CACHE_SLOTS];
    int64_t cache_sweep_us;
    struct world_bank banks[WORLD_BANKS];
    struct world_call *calls;
    struct processes *processes;        /* NULL: units run by themselves */
    struct world_content *contents;     /* all that was ever held (world_work.c) */
    uint64_t *owners;                   /* [host][sector]: the highest epoch announced to it */
    void *wire;                         /* NULL: nothing is signed */
    uint8_t *frame;                     /* room for one */
    uint8_t forging;                    /* enum wire_forgery, of what is being said */
    const struct world_msg *delivering; /* the message of this step; NULL: none */
    bool again;
    /* faults */
    struct world_rule rules[WORLD_RULES_MAX];
    uint64_t rules_used;
    struct clogged *clogged, **clogged_last;
    int64_t broker_since_us, broker_up_us; /* since: -1 never */
    uint32_t pending_max;
    bool points_set;
    bool walls_stepped, swallows; /* somebody's Unix clock was, somebody's messages are lost so */
    uint16_t points[TIER_COUNT][FAULT_POINT_COUNT];
    uint64_t met[WORLD_MET_COUNT];
    world_watch *watch;
    void *watch_context;
    struct packer packer; /* no lines: agents are not packed */
    struct packer part;   /* their beginning, for steps that need no more (node.h: light) */
    void *pack_memory, *part_memory;
    const struct node_ops *pack_ops;
    bool in_part; /* this step's agent lies in `part` */
    struct outbox out;
};

#define WORLD_NOBODY UINT32_MAX
#define NO_PROCESS   UINT16_MAX
/* world.c */
uint32_t world_index(const struct world *w, struct unit u); /* WORLD_NOBODY: no such node */
void world_push(struct world *w, int64_t at_us, enum world_event kind, uint32_t node, uint32_t sub,
                struct block *block);
void world_start(struct world *w, uint32_t index, int64_t delay_us);
void world_stop(struct world *w, uint32_t index);
void world_rewake(struct world *w, uint32_t index); /* its clock was set */
int64_t world_local(const struct world_node *n, int64_t true_us);
void world_digest(struct world *w, uint64_t value);
void world_step_msg(struct world *w, uint32_t index, const struct msg *msg);
void world_step_owner(struct world *w, uint32_t index, uint16_t sector);
void world_step_stop(struct world *w, uint32_t index); /* its last words */

/* world_pack.c */
void world_pack_init(struct world *w, const struct node_ops *ops, size_t node_bytes);
/* For this step; from, event NULL: all zero, for init. */
void *world_unpack(struct world *w, const struct packed *from, const struct event *event);
struct packed *world_pack(struct world *w, struct packed *former); /* NULL: none so far */
void world_pack_free(struct world *w);

/* world_net.c */
void world_send_to(struct world *w, uint32_t from, uint32_t index, uint32_t bit, struct block *b);
void world_transmit(struct world *w, uint32_t from, const struct msg *msg);
void world_deliver(struct world *w, const struct entry *e);

/* world_rules.c */
bool world_within(struct unit u, struct unit top);
bool world_in_place(const struct world *w, uint32_t index, struct unit u, bool below);
bool world_meant(const struct world *w, uint32_t index, struct unit u, bool below);
void world_rules_send(struct world *w, uint64_t rules, uint32_t to, uint32_t bit, int64_t delay_us,
                      struct block *b);
bool world_rules_cut(struct world *w, uint64_t rules);
bool world_leaves(struct world *w, uint32_t from);
bool world_arrives(struct world *w, uint32_t to, int64_t sent_us);
void world_clogs_free(struct world *w);

/* world_fault.c */
#define WORLD_CLOCK_US (16 * US_PER_S) /* the host says it again, as the real runner */
void world_clock_event(struct world *w, uint32_t index, struct host_clock *ret);
uint32_t world_points(struct world *w, uint32_t index); /* bits of those that trip in this step */

/* world_lie.c */
void world_lie_send(struct world *w, uint32_t from, const struct msg *msg);
void world_lie_replay(struct world *w, uint32_t from, uint32_t to, uint32_t bit, struct block *b);
bool world_may_speak(struct world *w, uint32_t from, struct unit as);
bool world_accepts(struct world *w, const struct world_node *to, struct world_msg *wm,
                   uint32_t bit);

/* world_threat.c */
void world_refused(struct world *w, uint32_t from);
void world_exclude(struct world *w, const struct exclusion *e);
bool world_is_excluded(const struct world *w, uint32_t index);

/* world_script.c */
void world_console_reply(struct world *w, const struct msg *msg);
void world_calls_free(struct world *w);

/* world_cache.c */
void world_seal(struct world *w, const struct operation *operation);
void world_hash(const uint8_t *bytes, uint32_t count, uint8_t ret[32]); /* for BLAKE2b-256 */
struct cached *world_cached(struct world *w, const struct id128 *id);
void world_cache_sweep(struct world *w);
void world_cache_free(struct world *w);

/* world_work.c */
void world_work_begin(struct world *w, uint32_t node, const struct work_op *op);
void world_contents_free(struct world *w);
void world_work_cancel(struct world *w, uint32_t node, uint64_t ref);
void world_work_agent_ended(struct world *w, uint32_t agent);
void world_work_end(struct world *w, const struct entry *e, struct event *ret_event);

/* world_store.c */
void world_stores_init(struct world *w);
void world_stores_free(struct world *w);
void world_store_begin(struct world *w, uint32_t node, const struct store_op *op);
/* Carried out and answered at once; what ret points to is the store's own. */
enum store_verdict world_store_now(struct world *w, const struct store_op *op,
                                   struct store_reply *ret);
bool world_bank_up(const struct world *w, enum store_bank b);
bool world_link_up(const struct world *w, enum link which); /* what nodes are told, of the store */
void world_store_links(struct world *w, uint32_t node);

#endif
