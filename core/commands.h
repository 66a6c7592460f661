/* The command table: every console command with its arguments, flags, impact and examples. It
 * drives the parser, help, completion, confirmation and JSON of the console; a web page, man pages
 * and an audit log read the same table. Pure: words in, a checked invocation or one clear error
 * out.
 *
 * Conventions (clig.dev, redis-cli, kubectl): `verb ARGUMENT... --flag VALUE`, flags anywhere,
 * `--flag=VALUE`, quotes as in a shell, `--` ends the flags. */
#ifndef CORE_COMMANDS_H
#define CORE_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_WORDS_MAX      64u
#define COMMAND_LINE_BYTES_MAX 65536u /* longer input is refused */
#define COMMAND_PARAMETERS_MAX 36u
#define COMMAND_EXAMPLES_MAX   4u
#define COMMAND_ERROR_MAX      256u

enum command_verb {
    CMD_STATUS = 1,
    CMD_SECTORS,
    CMD_SECTOR,
    CMD_CLUSTER,
    CMD_AGENT,
    CMD_FIND,
    CMD_BROADCAST,
    CMD_ASK,
    CMD_CASCADE,
    CMD_WHEN,
    CMD_WATCH,
    CMD_INSPECT,
    CMD_KPI,
    CMD_CANCEL,
    CMD_FREEZE,
    CMD_THAW,
    CMD_HEAL,
    CMD_BREAKER,
    CMD_PING,
    CMD_ACTIONS,
    CMD_DELEGATE,
    CMD_PIPELINE,
    CMD_RUN,
    CMD_CONTENT,
    CMD_REVIEW,
    CMD_GROUP,
    CMD_MANUAL,
    CMD_CONFLICTS,
    CMD_AUDIT,
    CMD_ROUTE_AROUND,
    CMD_MAPPING,
    CMD_DIAGNOSE,
    CMD_STUCK,
    CMD_REASSIGN,
    CMD_SAY,
    CMD_INCIDENT,
    CMD_QUARANTINE,
    CMD_LIFT,
    CMD_THREATS,
    CMD_APPROVE,
    CMD_MOVE,
    CMD_SCALE,
    CMD_JOBS,
    CMD_TRACE,
    CMD_TOP,
    CMD_WAIT,
    CMD_CHECK,
    CMD_HELP,
    CMD_QUIT
};

enum parameter_kind {
    PARAMETER_TEXT,     /* any words */
    PARAMETER_PLACES,   /* folded places; checked against the topology by the console */
    PARAMETER_UNIT,     /* one sector, cluster or agent */
    PARAMETER_NUMBER,   /* least..most */
    PARAMETER_SHARE,    /* 0 to 1, or a percentage: 0.95, 95% */
    PARAMETER_DURATION, /* 250ms, 2s, 5m: microseconds; least..most in ms */
    PARAMETER_CHOICE,   /* one of `choices`, separated by | */
    PARAMETER_SWITCH    /* a flag without value */
};

struct parameter {
    const char *name; /* flags without their dashes */
    enum parameter_kind kind;
    bool flag; /* else positional */
    bool required;
    bool rest; /* the last positional: takes all words that are left */
    int64_t least, most;
    const char *choices;
    const char *value_name; /* in help: N, PLACES, DURATION */
    const char *help;
};

struct command_spec {
    enum command_verb verb;
    const char *name;
    const char *summary;
    bool changes;       /* false: reads only */
    bool dangerous;     /* wants --yes */
    bool local;         /* needs no connection */
    const char *acting; /* of one that reads: words of its first parameter that act, a|b; or NULL */
    struct parameter parameters[COMMAND_PARAMETERS_MAX]; /* ends with a NULL name */
    const char *examples[COMMAND_EXAMPLES_MAX];
};

struct value {
    bool given;
    int64_t number;   /* NUMBER, DURATION (us), SWITCH, CHOICE (index) */
    double share;     /* SHARE */
    const char *text; /* TEXT, PLACES, UNIT, CHOICE: in invocation.storage */
};

struct invocation {
    const struct command_spec *spec;
    struct value values[COMMAND_PARAMETERS_MAX]; /* in the order of spec->parameters */
    size_t used;
    char storage[COMMAND_LINE_BYTES_MAX];
};

const struct command_spec *command_table(size_t *ret_count);
const struct command_spec *command_find(const char *name, size_t bytes);

/* The command's flag of that name, without its dashes; NULL: it has none. */
const struct parameter *command_flag(const struct command_spec *spec, const char *name);

/* Edits between two short names (two neighbours that changed places are one); more than 31
 * characters count as far away. */
unsigned command_distance(const char *a, const char *b);

/* The nearest command name within two edits, or NULL: "did you mean". */
const char *command_suggest(const char *name);

/* Whether the line changes something in the mesh: its command does, or its first word says so. */
bool command_acts(const struct invocation *in);

/* Splits a line into words as a shell does: blanks, '..', "..", backslash. `room` receives the
 * words, each NUL-terminated. False and *ret_why: an open quote, too many words, no room. */
bool command_split(const char *line, char *room, size_t room_bytes, const char *words[],
                   size_t *ret_count, const char **ret_why);

/* words[0] is the verb. Global flags (--json, --config ..) are taken out before by the caller.
 * False: `error` names the parameter, what was given and what would be right. */
bool command_parse(const char *const words[], size_t count, struct invocation *ret,
                   char error[COMMAND_ERROR_MAX]);

/* What goes together, and what does not: one table for all commands (commands_rules.c), checked by
 * command_parse(). A term is a parameter ("limit": it is given) or a parameter with some of its
 * choices ("action=show|clear": it is one of these; the first of all choices when not given). */
#define RULE_OTHERS_MAX 7u

enum rule_kind {
    RULE_NOT_WITH, /* `first` excludes each of `others` */
    RULE_NEEDS,    /* `first` wants one of `others` */
    RULE_AT_MOST   /* the number of `first` is not above that of others[0], or, when that is not
                      given, above `otherwise` (unless one of the rest of `others` is given);
                      otherwise 0: only when both are given */
};

struct command_rule {
    enum rule_kind kind;
    enum command_verb verb; /* 0: every command that has the parameters */
    const char *first;
    const char *others[RULE_OTHERS_MAX]; /* ends with NULL, unless full */
    const char *why;                     /* or what would be right */
    const char *example;                 /* a line that it refuses */
    int64_t otherwise;
};

const struct command_rule *command_rules(size_t *ret_count);
/* The first rule that the line breaks, with its error; NULL: none. */
const struct command_rule *command_rule_broken(const struct invocation *in,
                                               char error[COMMAND_ERROR_MAX]);
/* Whether the rule can ever be broken by a line of this command. */
bool command_rule_concerns(const struct command_rule *rule, const struct command_spec *spec);
/* "ask: --all not with --sample", as docs/CONSOLE.md lists it, or as the help of one command (of)
 * does; returns the length, cut at size - 1. */
size_t command_rule_text(const struct command_rule *rule, const struct command_spec *of, char *ret,
                         size_t size);

/* The value of a parameter by name; asserts that the command has it. */
const struct value *command_value(const struct invocation *in, const char *name);

/* "usage: ask QUESTION.. [--sample N] .." into ret; returns the length, cut at size - 1. */
size_t command_usage(const struct command_spec *spec, char *ret, size_t size);

/* Completions of the last word of a partial line: verbs, flags, choices. Writes up to `most`
 * pointers to static strings; flags come with their dashes through `flag_room`. */
size_t command_complete(const char *line, const char *ret[], size_t most, char *flag_room,
                        size_t flag_room_bytes);

#endif
