/* The keys of the configuration, for config.c only: the table, one value's check, and the checks
 * that need all values. */
#ifndef TIERS_RUNNER_CONFIG_KEYS_H
#define TIERS_RUNNER_CONFIG_KEYS_H

#include "tiers/runner/config.h"
#include <stddef.h>

#define CONFIG_KEYS_MAX 64u

enum key_kind {
    KEY_TEXT,     /* least..most bytes */
    KEY_NUMBER,   /* uint32_t */
    KEY_NUMBER64, /* uint64_t */
    KEY_MS,       /* milliseconds, kept as int64_t microseconds */
    KEY_SHARE,    /* double, in units of 1/1000: least..most */
    KEY_BOOL,
    KEY_CHOICE /* int: index into choices, separated by | */
};

struct config_key {
    const char *name;
    enum key_kind kind;
    bool of_process;
    int64_t least, most;
    size_t offset; /* in struct config_draft, or in struct process_conf */
    const char *choices;
    const char *fallback; /* the default as text, for the help */
    const char *help;
};

/* Where a value comes from, for messages. */
struct config_from {
    uint32_t line;
    bool environment, flag;
};

/* Values that only mean something together: the shape is settled by config_finish. */
struct config_draft {
    struct config config;
    struct config_error *error;
    uint32_t agents, sectors, clusters_per_sector, agents_per_cluster; /* 0: not given */
    uint32_t spare;
    char capabilities[CONFIG_TEXT_MAX];
    uint32_t mesh_set[CONFIG_KEYS_MAX]; /* line in which a key was set */
};

void config_draft_init(struct config_draft *draft, struct config_error *error);
void config_process_defaults(struct process_conf *ret);

const struct config_key *config_keys(size_t *ret_count);
const struct config_key *config_key_find(const char *name, bool *ret_of_process);

/* Checks and stores one value. process NULL: a key of [mesh]. set: lines in which keys of this
 * section were given, or NULL: may be given again. */
bool config_set(struct config_draft *draft, struct process_conf *process, const char *key,
                const char *value, const struct config_from *from, uint32_t *set);

/* The shape, the order of times, and every process's units; after all sources. */
bool config_finish(struct config_draft *draft);

/* "FILE:LINE: what"; line 0: "FILE: what". */
void config_fail(struct config_draft *draft, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The line in which a key of [mesh] was given, 0: nowhere in the file. */
uint32_t config_mesh_line(const struct config_draft *draft, const char *name);
/* config_otlp.c: the keys otlp_*, after all sources. */
bool config_finish_otlp(struct config_draft *draft);
/* NULL, or what is wrong with HOST or HOST:PORT in `bytes` of an address; IPv6 in brackets. */
const char *config_host_problem(const char *at, size_t bytes, size_t *ret_host_bytes);
/* config_links.c: where bus, stores and log are, after all sources. */
bool config_finish_links(struct config_draft *draft);
void config_fail_name(struct config_draft *draft, const char *name);

#endif
