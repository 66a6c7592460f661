/* What the files of a process share, and nobody else. */
#ifndef TIERS_RUNNER_PROCESS_INT_H
#define TIERS_RUNNER_PROCESS_INT_H

#include "core/rescue.h"
#include "core/wards.h"
#include "registry/redis.h"
#include "registry/sql_log.h"
#include "tiers/runner/announce.h"
#include "tiers/runner/bus.h"
#include "tiers/runner/directory.h"
#include "tiers/runner/egress.h"
#include "tiers/runner/grants.h"
#include "tiers/runner/ingress.h"
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/log.h"
#include "tiers/runner/metrics.h"
#include "tiers/runner/notify.h"
#include "tiers/runner/opcache.h"
#include "tiers/runner/peers.h"
#include "tiers/runner/process.h"
#include "tiers/runner/sealer.h"
#include "tiers/runner/trustfiles.h"
#include <uv.h>

/* What belongs to a ward (core/wards.h) on this process. */
struct ward_of {
    const struct process_conf *conf;
    uint32_t endpoint;
    struct unit first;      /* of its units */
    bool contradict;        /* soon: they were announced under an epoch that is too low .. */
    uint32_t contradict_to; /* .. by the process there */
};

/* Of store requests that no node made; wards' are below it. */
#define PROCESS_LEASE_TAG ((void *)UINTPTR_MAX)

#define ALARM_REPORTERS 256u
struct alarm_reporter {
    int64_t full_ms; /* of its bucket of rows (GCRA) */
};

enum process_phase { PHASE_LEASE, PHASE_SERVING, PHASE_STOPPING, PHASE_CLOSING };

struct process {
    const struct runner_kind *kind;
    struct config config;
    const struct process_conf *conf; /* in config */
    char facts[FACTS_BYTES_MAX];     /* of its agents */
    struct log log;
    struct identity identity;
    struct trust_state trust;
    int64_t cert_ns;      /* when the certificate in keys_dir was written, as last looked at */
    int64_t password_ns;  /* likewise NAME.redis */
    struct skew skew;     /* what the last window of frames said of this machine's clock */
    int64_t clock_off_us; /* it was last logged to be off; 0: it is right, so far as is known */
    int64_t root_unix_us, root_off_us; /* Unix minus boot time when the root began; logged last */
    uint64_t denied;    /* operations that the store's servers did not allow, as last logged, */
    int64_t denied_us;  /* and when; 0: never */
    bool trust_changed; /* peers are still to be held to it */
    bool trust_tell;    /* the others are still to be told */
    int64_t exclude_changed_us; /* unix: the list of those shut out; 0: there never was one */
    bool exclude_tell;          /* it is still to be told */
    bool exclude_serves;        /* the orchestrator ran here at the last tick */
    struct alarm_reporter alarm_reporters[ALARM_REPORTERS];
    uint64_t alarm_rows_dropped;
    uint64_t trust_verdicts[TRUST_VERDICT_COUNT];
    struct codec codec;
    struct directory directory;
    struct grants grants;
    struct peers *peers;
    struct sealer *sealer;
    struct opcache *opcache;
    struct egress *egress;
    struct ingress *ingress;
    struct bus *bus;
    struct redis_store *store;
    struct sql_log *sql;   /* orchestrators with a log_url; else NULL */
    struct runner *runner; /* from PHASE_SERVING on */
    struct runner_world world;
    struct executor *executor; /* NULL: none */
    struct exporter *exporter; /* NULL: none */
    struct lease lease;        /* on the own name */
    bool owns;                 /* the units of the own section run here */
    bool mute;                 /* it had to be silent at the last tick (process.c) */
    bool held;                 /* the lease on the own name was HELD at the last tick */
    struct unit first_unit;    /* of the own section */
    struct rescue rescue;      /* of the leads, by a process of agents */
    uv_process_t rescuer;      /* the lead process that was started here */
    bool rescuer_open;
    struct wards wards;
    struct ward *ward_list;  /* rows of wards, */
    struct ward_of *ward_of; /* and what belongs to each */
    uint64_t takeovers;
    struct metrics *metrics;
    struct notify notify;
    struct page page;
    struct host_run *ports; /* role sim: what each port from 1 on hosts */
    uint32_t port_count;    /* port 0 included */
    enum process_phase phase;
    int exit_code;
    bool banks_up[STORE_BANK_COUNT];
    bool bus_up;
    bool bus_quiet;             /* up, but stalled: nodes are told that it is down */
    bool link_late[LINK_COUNT]; /* the units are to be told of it when they may serve again */
    bool announce;              /* soon */
    bool ask;                   /* soon: who owns what? */
    bool contradict;            /* soon: its own units were announced too low .. */
    uint32_t contradict_to;     /* .. by the process there */
    int64_t contradicted_us;    /* it was said last; 0: never */
    bool doubt;                 /* soon: units of another tier were announced too low .. */
    uint32_t doubt_to;          /* .. by the process there; the first of them: */
    struct unit doubt_first;
    int64_t doubted_us; /* a lease was given up last because of such a word; 0: never */
    uint32_t doubter;   /* the last host of agents that doubted, .. */
    int64_t doubter_us; /* .. and when; 0: none has */
    uint32_t own_endpoint;
    uint64_t taking_epoch; /* for the callbacks of process_each_unit, */
    struct unit found;     /* and from them */
    int64_t alive_us;      /* the loop turned last */
    uint32_t everyone;     /* the endpoint of a broadcast */
    uint32_t frames_in_batch;
    int64_t started_unix_us;
    int64_t started_us, announced_us, stop_us, waited_us;
    int timer_fd;
    int64_t armed_us;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_poll_t timer_poll;
    uv_timer_t tick;
    uv_signal_t signals[3]; /* TERM, INT, HUP */
    uint8_t announcement[ANNOUNCE_BYTES_MAX];
};

/* process_nodes.c: from the lease to running nodes. */
bool process_serve(struct process *p);
bool process_runner(struct process *p); /* the engine, without nodes; false: no memory */
/* The units of a section of the upper tiers in order, until `act` says false; that is the result.
 */
bool process_each_unit(struct process *p, const struct process_conf *c,
                       bool (*act)(struct process *p, struct unit u));
/* The units of one port, for its session certificate. */
void process_port_scope(void *ctx, uint16_t port, struct unit_range ret[SCOPES_MAX],
                        uint32_t *ret_count);
bool process_ports(struct process *p);
bool process_scope_covers(struct process *p);

/* Somebody asks who owns what; these sectors have a new owner. */
void process_asked(void *ctx);
void process_owner(void *ctx, uint16_t first, uint16_t last);

/* process_wards.c: standing by for others. */
bool process_wards_start(struct process *p, const char *owner); /* false: no memory */
void process_wards_tick(struct process *p, int64_t now_us);
/* The own lease, while its units do not run here: above everything that was heard of them. */
void process_wards_epoch(struct process *p);
void process_wards_release(struct process *p);
/* Runs, or stops, the units of a section here. */
bool process_take(struct process *p, const struct process_conf *c, uint64_t epoch);
void process_drop(struct process *p, const struct process_conf *c);
void *process_ward_tag(uint32_t i);
bool process_ward_reply(struct process *p, const void *tag, const struct store_reply *reply);
/* process_rescue.c */
void process_rescue_start(struct process *p);
void process_rescue_tick(struct process *p, int64_t now_us);
void process_rescue_stop(struct process *p);
bool process_rescue_surplus(struct process *p, int64_t now_us); /* started in vain: it is to end */
void process_announced(void *ctx, struct unit first);
bool process_follow_parent(const struct process_conf *conf); /* false: it has ended already */
/* process.c */
/* Whether nodes may be stepped and messages taken in: not before it is known again, after this
 * process stood still, that its units are its own. */
bool process_may_serve(struct process *p);
void process_announce(struct process *p, const struct process_conf *c, uint64_t epoch,
                      uint32_t endpoint);

void process_alive(void *ctx, uint32_t endpoint, const uint8_t *bytes, size_t length);

/* process_doubt.c: epochs that only others know. */
bool process_is_tier(const struct process_conf *c);                   /* of an upper tier */
uint64_t process_known_epoch(const struct process *p, struct unit u); /* 0: none */
void process_give_up(struct process *p, struct lease *l);             /* to who has a higher one */
/* A process announced units under an epoch lower than one that is known here. */
void process_stale(void *ctx, uint32_t endpoint, struct unit first);
/* Says the epochs that are known to those whose announcements were too low. */
void process_contradict(struct process *p);
/* What the process there says of the epochs here; false: no such record. */
bool process_doubted(struct process *p, uint32_t endpoint, const uint8_t *bytes, size_t length);

/* process_store.c: its login at Redis. 0 or a negative errno; the fault is logged. */
int process_start_store(struct process *p, redis_store_reply_fn *on_reply,
                        redis_store_link_fn *on_link);
bool process_store_refused(const struct process *p);     /* by the last attempt, at any bank */
const char *process_fenced_why(const struct process *p); /* p->lease is LOST */
/* Says why a bank is down. */
void process_store_down(struct process *p, enum store_bank bank, const char *name, const char *why);
void process_store_tick(struct process *p, int64_t now_us);

/* process_clock.c: says when this machine's clock is off, by what the others' frames say. */
void process_clock_tick(struct process *p, int64_t now_us);

/* process_keys.c: what of this process is secret. */
void process_log_fault(struct process *p, const char *event, const struct keys_error *why);
bool process_start_keys(struct process *p);
/* Reads the keys directory anew: certificate, key, TLS files. What is wrong with them is logged,
 * and the process goes on with those that it has. */
void process_reload(struct process *p);
/* The same when the certificate there is another one than last time: rotation by itself. */
void process_keys_tick(struct process *p);

/* The trust bundle: looked for in the keys directory, told to all, taken from anyone. False: this
 * process's own certificate is revoked. */
bool process_trust_tick(struct process *p);
void process_bundle(void *ctx, const uint8_t *bytes, size_t length);

/* process_alarm.c: security events, told to all and written into the audit log. */
void process_alarm_tick(struct process *p);
void process_alarmed(void *ctx, const char *reporter, const struct alarm_row *rows, int count);
/* process_exclude.c: who is shut out, and why. */
void process_exclude(void *ctx, const struct exclusion *e); /* the node here wants it */
/* What the process there says of it; false: no such record. */
bool process_excluded(void *ctx, uint32_t endpoint, const uint8_t *bytes, size_t length);
void process_exclude_tick(struct process *p);
/* What is known of a process by its name: tier, rights, agents. */
void process_accused(struct process *p, const char *token, struct evidence *ret);
void process_evidence(struct process *p, const char *reporter, const struct alarm_row *row);
/* An order for the sectors here: whether one of them refused it. */
enum ingress_refusal process_order(void *ctx, const struct msg *msg);
void *process_alarm_tag(void); /* of rows that nobody waits for */

/* process_seams.c: what tiers/work and tiers/web put into this process. */
bool process_seams_start(struct process *p); /* false: what is wrong is logged */
void process_seams_stop(struct process *p);  /* no more is to be said */
void process_seams_close(struct process *p);
void process_seams_free(struct process *p);
void process_span(void *ctx, const struct span *span, const struct trace_context *trace);

/* process_metrics.c */
bool process_metrics_start(struct process *p);  /* false: what is wrong is logged */
bool process_is_ready(const struct process *p); /* what /readyz and the service manager are told */
const char *process_status(const struct process *p); /* one line for people */
/* For those who look for NATS services. */
size_t process_service(void *ctx, const char *subject, char *answer, size_t room);
void process_metrics(struct process *p);

#endif
