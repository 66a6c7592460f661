/* What agents offer: typed descriptions of actions, and the file that chooses a handler for each.
 *
 * The file ([mesh] key `actions`, docs/HANDLERS.md) has one section per action:
 *
 *     [action summarize]
 *     handler = exec                 exec, http, llm, human or builtin
 *     program = /usr/local/bin/summarize --short
 *     capability = reasoning         only agents that have it run the action
 *     input = json text:string words:number?
 *     output = text
 *     timeout = 20s
 *     effect = reads                 reads or acts
 *
 * The console reads it to check an operation before it is sent; an agent reads it to run one, and
 * checks again. Every fault names file, line, key, value and what would be right.
 * Source: spec 2.2 (best_for), 2.4 (verb); research/ecosystem.md 4b. */
#ifndef TIERS_WORK_ACTION_H
#define TIERS_WORK_ACTION_H

#include "core/operation.h"
#include "core/topology.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACTIONS_MAX         128u /* in one file; one more is an error */
#define ACTION_TEXT_MAX     512u /* of one value, with NUL; longer is an error */
#define ACTION_WORDS_MAX    32u  /* of a program's command line */
#define ACTION_FIELDS_MAX   16u  /* of a JSON input or output */
#define ACTION_HEADERS_MAX  4u
#define ACTION_OUTPUT_MAX   (16u << 20) /* the largest `output_max`: 16 MiB */
#define ACTION_PROBLEM_SIZE 400u

enum action_handler {
    HANDLER_BUILTIN,
    HANDLER_EXEC,
    HANDLER_HTTP,
    HANDLER_LLM,
    HANDLER_HUMAN,
    HANDLER_COUNT
};

enum content_kind { CONTENT_ANY, CONTENT_NONE, CONTENT_TEXT, CONTENT_JSON };
enum field_type { FIELD_STRING, FIELD_NUMBER, FIELD_BOOLEAN, FIELD_OBJECT, FIELD_ARRAY, FIELD_ANY };

struct content_field {
    char name[32];
    enum field_type type;
    bool optional;
};

/* What goes in or comes out. Fields only with CONTENT_JSON: a flat list of an object's members. */
struct content {
    enum content_kind kind;
    uint32_t field_count;
    struct content_field fields[ACTION_FIELDS_MAX];
};

struct action {
    char name[ACTION_MAX];
    char summary[ACTION_TEXT_MAX];
    enum action_handler handler;
    enum verb verb; /* its kind, spec 2.4 */
    bool acts;      /* false: reads only */
    struct content input, output;
    int64_t timeout_us;                   /* of one run */
    char capability[CAPABILITY_NAME_MAX]; /* "": every agent offers it */
    uint32_t class_mask;                  /* 0: every class */
    uint32_t in_flight_max;               /* runs at one time in one process; others wait */
    uint32_t output_bytes_max;            /* more ends the run: FAILED */
    uint32_t line;                        /* in the file; 0: built in */

    /* exec */
    char program[ACTION_TEXT_MAX]; /* words as in a shell, no shell runs */
    char directory[ACTION_TEXT_MAX];
    char user[32];                     /* "": the agent's own */
    uint64_t memory_bytes, file_bytes; /* 0: no limit of ours */
    uint32_t cpu_s, files, processes;
    uint32_t conflict_exit; /* the exit code that means CONFLICT */

    /* http, llm */
    char url[ACTION_TEXT_MAX];
    char method[8];
    char headers[ACTION_HEADERS_MAX][ACTION_TEXT_MAX]; /* "Name: value" */
    char key_file[ACTION_TEXT_MAX]; /* its first line is sent as a bearer token; never logged */
    int64_t connect_us, idle_us;    /* limits for connecting, and for silence once it answers */
    uint32_t retries;               /* of 429, 502, 503, 504 and lost connections */
    uint32_t cpu_limit_ms;          /* http: sent as a header; an answer that took longer fails */

    /* llm */
    char model[ACTION_TEXT_MAX];
    char system[ACTION_TEXT_MAX];
    uint32_t tokens_max; /* 0: the server's */
    double temperature;  /* below 0: the server's */

    /* human */
    char assignee[32], escalate_to[32];
};

struct action_table {
    uint32_t count;
    struct action *actions; /* owned */
    char file[ACTION_TEXT_MAX];
};

struct action_problem {
    char text[ACTION_PROBLEM_SIZE];
};

/* Reads a file. here: its programs, users and key files must exist on this machine. *ret is empty
 * and owned by the caller (action_table_done) also on failure. */
bool action_file_load(const char *file, const struct topology *topology, bool here,
                      struct action_table *ret, struct action_problem *problem);
void action_table_done(struct action_table *table);
/* A path of the configuration: relative ones are relative to the configuration's own folder. */
void action_file_path(const char *config_file, const char *actions, char *ret, size_t size);

/* Actions of the file first, then those that every agent has. NULL: no such action. table may be
 * NULL. */
const struct action *action_find(const struct action_table *table, const char *name);
/* Every action: those of the file, then built-in ones that it does not name. NULL: no more. */
const struct action *action_at(const struct action_table *table, uint32_t index);
/* The nearest name within two edits; NULL: none. */
const char *action_suggest(const struct action_table *table, const char *name);

/* Whether bytes are what the content says. False: problem says what is missing or wrong. */
bool content_check(const struct content *content, const void *bytes, size_t count,
                   struct action_problem *problem);
/* "json text:string words:number?" */
void content_format(const struct content *content, char *ret, size_t size);

const char *action_handler_name(enum action_handler handler); /* "exec" */

#endif
