/* The configuration of a mesh: one file for all of its processes, which is also the bootstrap
 * directory (which process owns which units). docs/OPERATIONS.md lists every key.
 *
 *     [mesh]                 name, shape, servers, tuning
 *     [process cluster-1]    role, units and settings of one process
 *
 * Three sources, the later wins: the file, the environment (MESH_<KEY>, upper case), the flags
 * (--key=value). From the environment and the flags, keys of a process are those of the process
 * that starts. Every value is checked against its range; every fault is an error that names file,
 * line, key, value and what would be right. Nothing is guessed, nothing is ignored. */
#ifndef TIERS_RUNNER_CONFIG_H
#define TIERS_RUNNER_CONFIG_H

#include "core/node.h"
#include "core/topology.h"
#include "tiers/runner/endpoint.h"
#include <stdbool.h>
#include <stdint.h>

#define CONFIG_PROCESSES_MAX  256u /* one more is an error */
#define CONFIG_TEXT_MAX       256u /* of one value, with NUL; longer is an error */
#define AGENTS_PER_HOST       30u
#define CONFIG_LINE_BYTES_MAX 199u

enum process_role {
    PROCESS_NONE,
    PROCESS_ORCHESTRATOR,
    PROCESS_SECTOR,
    PROCESS_CLUSTER,
    PROCESS_AGENT,
    PROCESS_SIM,
    PROCESS_ROLE_COUNT
};
const char *process_role_name(enum process_role role); /* "cluster" */

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct process_conf {
    char name[TOKEN_MAX + 1];
    enum process_role role;
    char units_text[CONFIG_TEXT_MAX];
    struct place_set units;   /* no patterns: the whole mesh */
    struct place_set standby; /* the same: which units it may take over */
    char standby_text[CONFIG_TEXT_MAX];
    bool no_units, no_standby;
    char rescue[CONFIG_TEXT_MAX]; /* agents: the lead process to start when none is left; empty:
                                     none */
    uint32_t parent_pid;          /* ends with the process that started it; 0: it lives on */
    uint32_t metrics_port;        /* 0: none */
    uint32_t agents_per_host;
    char facts[CONFIG_TEXT_MAX];   /* agents: facts that the operator sets (core/facts.h) */
    char journal[CONFIG_TEXT_MAX]; /* sim: a file of what ran; empty: none */
    bool delay_profile;            /* sim: delays, losses and clocks by class; false: none */
    char profile[CONFIG_TEXT_MAX]; /* sim: a file with the classes' figures; empty: built in */
    uint64_t seed;
    uint32_t crypto_threads;
    uint32_t line; /* of its section */
};

struct config {
    char file[CONFIG_TEXT_MAX];
    char name[CONFIG_TEXT_MAX];
    char nats_url[CONFIG_TEXT_MAX];
    char registry_url[CONFIG_TEXT_MAX];
    char durable_url[CONFIG_TEXT_MAX]; /* empty: registry_url */
    char blob_url[CONFIG_TEXT_MAX];    /* empty: registry_url */
    char log_url[CONFIG_TEXT_MAX];     /* empty: no log */
    char keys_dir[CONFIG_TEXT_MAX];
    int hardware_tokens;           /* enum operator_policy of operators.h */
    bool insecure;                 /* links without TLS and logins are allowed: tests on loopback */
    char actions[CONFIG_TEXT_MAX]; /* file of actions and their handlers; empty: built-in ones */
    char talk_url[CONFIG_TEXT_MAX]; /* consoles: a model for the dialogue; empty: none */
    char talk_model[CONFIG_TEXT_MAX];
    int64_t talk_timeout_us;
    char otlp_url[CONFIG_TEXT_MAX]; /* where spans are sent to (tiers/web/otlp.h); empty: nowhere */
    char otlp_headers[CONFIG_TEXT_MAX], otlp_ca[CONFIG_TEXT_MAX]; /* files; empty: none */
    enum log_level log_level;
    struct topology topology;
    struct tuning tuning;
    uint32_t process_count;
    struct process_conf *processes; /* owned */
};

struct config_error {
    char text[1024];
};

/* What the command line asks for. */
struct config_options {
    const char *file;
    const char *name; /* of the process that starts; NULL: none (the console) */
    bool help, version;
};

/* Reads flags into *ret. Every key of the file is a flag, too: those are kept for config_load.
 * False: error says which flag is wrong. */
bool config_flags(int argc, char **argv, struct config_options *ret, struct config_error *error);

/* All sources. options->name must be one of the file's processes, where given. argv: as for
 * config_flags, for its --key=value; argc 0: none. On failure false, and *ret is untouched. */
bool config_load(const struct config_options *options, int argc, char **argv, struct config *ret,
                 struct config_error *error);
void config_done(struct config *config);

const struct process_conf *config_process(const struct config *config, const char *name);

/* Whether a process owns a sector, cluster or agent (its own tier), or the orchestrator. */
bool process_owns(const struct config *config, const struct process_conf *process, struct unit u);

/* Whether the bus is reached by TLS (nats_url = tls://..). */
bool config_has_tls(const struct config *config);

/* Prints every key with its range and default to `out` (a FILE): for --help and the manual. */
void config_usage_keys(void *out);

/* Edits between two words, 9 at most are counted: "did you mean". */
unsigned config_distance(const char *a, const char *b);

#endif
