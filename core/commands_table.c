/* The table itself. A command is added here and in the console's dispatch, nowhere else.
 *
 * Shared groups of flags (selection, operation) are macros, so that every command that selects
 * agents does it with the same words. */
#include "core/commands.h"

#define MS_MAX_DAY 86400000

#define ON                                                                                         \
    {.name = "on",                                                                                 \
     .kind = PARAMETER_PLACES,                                                                     \
     .flag = true,                                                                                 \
     .value_name = "PLACES",                                                                       \
     .help = "places, as s[01-10].c3, s*.c1, !s07.c4 (not), @last.failed, @group"},                \
    {                                                                                              \
        .name = "except", .kind = PARAMETER_PLACES, .flag = true, .value_name = "PLACES",          \
        .help = "without these, whatever else says"                                                \
    }
#define DRY_RUN                                                                                    \
    {                                                                                              \
        .name = "dry-run", .kind = PARAMETER_SWITCH, .flag = true,                                 \
        .help = "sends nothing: shows who is meant, as the mesh resolves it"                       \
    }
#define CLASS                                                                                      \
    {                                                                                              \
        .name = "class", .kind = PARAMETER_TEXT, .flag = true, .value_name = "CLASSES",            \
        .help = "impedance classes, as A,B or CLASS_D_GPU"                                         \
    }
#define CAPABILITY                                                                                 \
    {                                                                                              \
        .name = "capability", .kind = PARAMETER_TEXT, .flag = true, .value_name = "NAMES",         \
        .help = "capabilities that an agent must all have, as vision,embedding"                    \
    }
#define REQUIRE                                                                                    \
    {                                                                                              \
        .name = "require", .kind = PARAMETER_TEXT, .flag = true, .value_name = "NAMES",            \
        .help = "capabilities checked at each target: one that lacks them is refused"              \
    }
#define STATE                                                                                      \
    {                                                                                              \
        .name = "state", .kind = PARAMETER_TEXT, .flag = true, .value_name = "STATES",             \
        .help = "agent states, as active,degraded"                                                 \
    }
#define SAMPLE(text)                                                                               \
    {                                                                                              \
        .name = "sample", .kind = PARAMETER_NUMBER, .flag = true, .least = 1, .most = 4194304,     \
        .value_name = "N", .help = text                                                            \
    }
#define PRIORITY                                                                                   \
    {                                                                                              \
        .name = "priority", .kind = PARAMETER_NUMBER, .flag = true, .least = 0, .most = 3,         \
        .value_name = "N", .help = "0 background to 3 critical; default 2"                         \
    }
#define WINDOW                                                                                     \
    {                                                                                              \
        .name = "window", .kind = PARAMETER_DURATION, .flag = true, .least = 1,                    \
        .most = MS_MAX_DAY, .value_name = "DURATION",                                              \
        .help = "arrival window around T; default 500ms"                                           \
    }
#define TIMEOUT                                                                                    \
    {                                                                                              \
        .name = "timeout", .kind = PARAMETER_DURATION, .flag = true, .least = 10,                  \
        .most = MS_MAX_DAY, .value_name = "DURATION",                                              \
        .help = "when to stop gathering; default 5s, or T and 2s"                                  \
    }
#define HEDGE                                                                                      \
    {                                                                                              \
        .name = "hedge", .kind = PARAMETER_SWITCH, .flag = true,                                   \
        .help = "send once more to who is silent past its quantile (5 % of the targets at most)"   \
    }
#define WEIGHT                                                                                     \
    {                                                                                              \
        .name = "weight", .kind = PARAMETER_SHARE, .flag = true, .least = 0, .most = 1000,         \
        .value_name = "X", .help = "payload weight (spec 2.4): 0 light, 1 standard; default 0"     \
    }
#define EXPECT                                                                                     \
    {                                                                                              \
        .name = "expect", .kind = PARAMETER_CHOICE, .flag = true, .choices = "ready|conflict|any", \
        .value_name = "WHAT", .help = "an answer of the other kind is counted as unexpected"       \
    }
#define RATE                                                                                       \
    {                                                                                              \
        .name = "rate", .kind = PARAMETER_SHARE, .flag = true, .least = 0, .most = 1,              \
        .value_name = "SHARE", .help = "share of READY that is a success; default 0.95"            \
    }

#define ACTION(text)                                                                               \
    {                                                                                              \
        .name = "action", .kind = PARAMETER_TEXT, .flag = true, .value_name = "NAME", .help = text \
    }
#define UNCHECKED                                                                                  \
    {                                                                                              \
        .name = "unchecked", .kind = PARAMETER_SWITCH, .flag = true,                               \
        .help = "send it although no description of the action is here, or against it"             \
    }
#define JOB_ID                                                                                     \
    {                                                                                              \
        .name = "id", .kind = PARAMETER_TEXT,                                                      \
        .help = "or 4 and more of its first or last digits; default the newest job"                \
    }
#define SCOPE(text, needed)                                                                        \
    {                                                                                              \
        .name = "scope", .kind = PARAMETER_TEXT, .required = needed, .help = text                  \
    }
#define YES                                                                                        \
    {                                                                                              \
        .name = "yes", .kind = PARAMETER_SWITCH, .flag = true,                                     \
        .help = "do it: without it nothing is done"                                                \
    }
#define LOG_ON                                                                                     \
    {                                                                                              \
        .name = "on", .kind = PARAMETER_UNIT, .flag = true, .value_name = "PLACE",                 \
        .help = "a sector, cluster or agent"                                                       \
    }
#define LOG_SINCE                                                                                  \
    {                                                                                              \
        .name = "since", .kind = PARAMETER_DURATION, .flag = true, .least = 1,                     \
        .most = 366ll * 24 * 3600 * 1000, .value_name = "DURATION",                                \
        .help = "not older than that: 1h, 24h"                                                     \
    }
#define LOG_LIMIT                                                                                  \
    {                                                                                              \
        .name = "limit", .kind = PARAMETER_NUMBER, .flag = true, .least = 1, .most = 1000000,      \
        .value_name = "N", .help = "rows of a list; default 50"                                    \
    }

static const struct command_spec table[] = {
    {.verb = CMD_STATUS,
     .name = "status",
     .summary = "health of the mesh at a glance",
     .examples = {"status", "status --json"}},
    {.verb = CMD_SECTORS,
     .name = "sectors",
     .summary = "one line for each sector",
     .parameters = {ON,
                    {.name = "all",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "all rows instead of the first 50"}},
     .examples = {"sectors", "sectors --on s[01-05]"}},
    {.verb = CMD_SECTOR,
     .name = "sector",
     .summary = "one sector and its clusters",
     .parameters =
         {{.name = "sector", .kind = PARAMETER_UNIT, .required = true, .help = "s07, SECTOR-7"}},
     .examples = {"sector s07", "sector SECTOR-12 --json"}},
    {.verb = CMD_CLUSTER,
     .name = "cluster",
     .summary = "one cluster and its agents",
     .parameters = {{.name = "cluster",
                     .kind = PARAMETER_UNIT,
                     .required = true,
                     .help = "s07.c3, SECTOR7-CLUSTER3"}},
     .examples = {"cluster s07.c3", "cluster SECTOR7-CLUSTER4"}},
    {.verb = CMD_AGENT,
     .name = "agent",
     .summary = "one agent as its lead sees it",
     .parameters = {{.name = "agent",
                     .kind = PARAMETER_UNIT,
                     .required = true,
                     .help = "s07.c3.a12, SECTOR7-CLUSTER3-AGENT-12"}},
     .examples = {"agent s07.c3.a12", "agent s01.c1.a1 --json"}},
    {.verb = CMD_FIND,
     .name = "find",
     .summary = "agents by place, class, capability, state or impedance, fastest first",
     .parameters = {ON,
                    CLASS,
                    CAPABILITY,
                    STATE,
                    {.name = "slower",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 0,
                     .most = 1000,
                     .value_name = "SCORE",
                     .help = "impedance score at least"},
                    {.name = "faster",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 0,
                     .most = 1000,
                     .value_name = "SCORE",
                     .help = "impedance score at most"},
                    {.name = "limit",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 1,
                     .most = 4194304,
                     .value_name = "N",
                     .help = "rows; default 50"}},
     .examples = {"find --class D --limit 5", "find --capability vision --faster 500",
                  "find --state offline,suspect --on s07"}},
    {.verb = CMD_BROADCAST,
     .name = "broadcast",
     .summary = "a message to all agents, or to a selection",
     .changes = true,
     .parameters = {{.name = "message",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .rest = true,
                     .help = "the text"},
                    ON,
                    CLASS,
                    CAPABILITY,
                    PRIORITY,
                    TIMEOUT,
                    DRY_RUN,
                    HEDGE,
                    {.name = "no-ack",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "send and do not wait for acknowledgements"}},
     .examples = {"broadcast \"Context update: market closed early today\"",
                  "broadcast --class A,B --priority 3 drain now"}},
    {.verb = CMD_ASK,
     .name = "ask",
     .summary = "a question to a sample of agents; equal answers are folded",
     .parameters = {{.name = "question",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .rest = true,
                     .help = "\"context hash\", \"facts\", or any text (echoed)"},
                    SAMPLE("how many agents, at random; default 100"),
                    ON,
                    CLASS,
                    CAPABILITY,
                    REQUIRE,
                    STATE,
                    PRIORITY,
                    WEIGHT,
                    TIMEOUT,
                    EXPECT,
                    ACTION("what is run there ('actions' lists them); default by question"),
                    UNCHECKED,
                    DRY_RUN,
                    HEDGE,
                    {.name = "quorum",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 1,
                     .most = 4194304,
                     .value_name = "K",
                     .help = "so many identical answers are wanted; fewer are a conflict"},
                    {.name = "all",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "ask the whole selection instead of a sample"},
                    {.name = "pages",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "fetch every group of answers, not only the largest 64"}},
     .examples = {"ask \"context hash\" --sample 10", "ask --action facts --class D --all facts",
                  "ask --on s07.c3 --all \"are you there?\""}},
    {.verb = CMD_CASCADE,
     .name = "cascade",
     .summary = "make the mesh READY at one moment T",
     .changes = true,
     .parameters = {{.name = "message",
                     .kind = PARAMETER_TEXT,
                     .rest = true,
                     .help = "payload; default \"cascade\""},
                    {.name = "strategy",
                     .kind = PARAMETER_CHOICE,
                     .flag = true,
                     .choices = "wave|parallel|priority_first",
                     .value_name = "NAME",
                     .help = "default wave (spec 3.3)"},
                    {.name = "timing",
                     .kind = PARAMETER_CHOICE,
                     .flag = true,
                     .choices = "at|by|soon",
                     .value_name = "HOW",
                     .help = "at T (hold), by T, or as soon as possible; default at"},
                    {.name = "in",
                     .kind = PARAMETER_DURATION,
                     .flag = true,
                     .least = 1,
                     .most = MS_MAX_DAY,
                     .value_name = "DURATION",
                     .help = "T that long from now; default: as early as the wanted share can"},
                    ON,
                    CLASS,
                    CAPABILITY,
                    REQUIRE,
                    PRIORITY,
                    WINDOW,
                    TIMEOUT,
                    WEIGHT,
                    RATE,
                    EXPECT,
                    ACTION("what is run there; default work"),
                    UNCHECKED,
                    DRY_RUN,
                    HEDGE,
                    {.name = "allow-partial",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "PROCEED also when more than 5 % were skipped or refused"}},
     .examples = {"cascade", "cascade --strategy parallel --class A,B --window 500ms",
                  "cascade --strategy priority_first --json", "cascade --in 3s --timing at go"}},
    {.verb = CMD_WHEN,
     .name = "when",
     .summary = "when could a selection be READY?",
     .parameters = {ON, CLASS, CAPABILITY, STATE, WEIGHT, RATE},
     .examples = {"when --class A,B", "when --rate 99% --on s07"}},
    {.verb = CMD_WATCH,
     .name = "watch",
     .summary = "repeat a command that reads, in place",
     .local = true,
     .parameters = {{.name = "command",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .rest = true,
                     .help = "status, sectors, sector s07, .."},
                    {.name = "every",
                     .kind = PARAMETER_DURATION,
                     .flag = true,
                     .least = 100,
                     .most = 3600000,
                     .value_name = "DURATION",
                     .help = "default 2s"},
                    {.name = "times",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 1,
                     .most = 1000000,
                     .value_name = "N",
                     .help = "default until Ctrl-C"}},
     .examples = {"watch status", "watch --every 1s --times 5 sector s07"}},
    {.verb = CMD_INSPECT,
     .name = "inspect",
     .summary = "what the registry holds of an agent, and its lead's own view beside it",
     .parameters =
         {{.name = "agent", .kind = PARAMETER_UNIT, .required = true, .help = "s07.c3.a12"}},
     .examples = {"inspect s07.c3.a12", "inspect s01.c1.a1 --json"}},
    {.verb = CMD_KPI,
     .name = "kpi",
     .summary = "the success metrics of spec part 11 since the orchestrator's start",
     .examples = {"kpi", "kpi --json"}},
    {.verb = CMD_FREEZE,
     .name = "freeze",
     .summary = "agents stand still: no new work, no effect, until thaw",
     .changes = true,
     .dangerous = true,
     .parameters = {SCOPE("all (default), s07 or s07.c3", false),
                    {.name = "name",
                     .kind = PARAMETER_TEXT,
                     .flag = true,
                     .value_name = "NAME",
                     .help = "of the snapshot; default /mesh/frozen/ and the time"},
                    YES},
     .examples = {"freeze --yes", "freeze s07 --yes", "freeze s07.c3 --name before-update --yes"}},
    {.verb = CMD_THAW,
     .name = "thaw",
     .summary = "what stands still goes on from there",
     .changes = true,
     .parameters = {SCOPE("what was frozen: all (default), s07 or s07.c3", false)},
     .examples = {"thaw", "thaw s07"}},
    {.verb = CMD_HEAL,
     .name = "heal",
     .summary = "recovery, line by line: silent agents replaced, breakers closed",
     .changes = true,
     .dangerous = true,
     .parameters = {SCOPE("auto (default: whatever needs it), all, s07 or s07.c3", false),
                    {.name = "dry-run",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "only say what would be done"},
                    YES},
     .examples = {"heal --dry-run", "heal s07 --yes", "heal auto --yes"}},
    {.verb = CMD_BREAKER,
     .name = "breaker",
     .summary = "open a circuit breaker by hand, until it is closed by hand",
     .changes = true,
     .dangerous = true,
     .parameters = {{.name = "action",
                     .kind = PARAMETER_CHOICE,
                     .required = true,
                     .choices = "open|close",
                     .help = "open: nothing is routed there"},
                    SCOPE("all, s07 or s07.c3", true),
                    YES},
     .examples = {"breaker open s07 --yes", "breaker close s07.c3 --yes"}},
    {.verb = CMD_PING,
     .name = "ping",
     .summary = "whether a unit answers, and how fast; a sector is asked directly",
     .parameters = {SCOPE("all (the orchestrator), s07, s07.c3 or s07.c3.a12", true)},
     .examples = {"ping s07", "ping s07.c3.a12"}},
    {.verb = CMD_CANCEL,
     .name = "cancel",
     .summary = "cancel an operation in flight by its id",
     .changes = true,
     .parameters = {{.name = "id",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .help = "as 'jobs' shows it, or 4 and more of its first or last digits"}},
     .examples = {"cancel 0192f4d1c2a97f3a5b1c2d3e4f506172", "cancel 6172"}},
    {.verb = CMD_JOBS,
     .name = "jobs",
     .summary = "operations of all consoles by their id: list, show, wait, attach, cancel",
     .parameters = {{.name = "action",
                     .kind = PARAMETER_CHOICE,
                     .choices = "list|show|wait|attach|cancel",
                     .help = "default list; attach shows progress, wait is silent"},
                    JOB_ID,
                    {.name = "limit",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 1,
                     .most = 256,
                     .value_name = "N",
                     .help = "list: rows; default 20 (the last 256 jobs are kept)"}},
     .examples = {"jobs", "jobs show 5e6f", "jobs attach", "jobs cancel 0192f4d1"}},
    {.verb = CMD_TRACE,
     .name = "trace",
     .summary = "where an operation's time went, tier by tier, and where it broke",
     .parameters = {JOB_ID},
     .examples = {"trace", "trace 5e6f", "trace 5e6f --json"}},
    {.verb = CMD_ACTIONS,
     .name = "actions",
     .summary = "what agents offer: inputs, outputs, timeout, who runs it",
     .local = true,
     .parameters = {{.name = "action", .kind = PARAMETER_TEXT, .help = "its name"}},
     .examples = {"actions", "actions review"}},
    {.verb = CMD_RUN,
     .name = "run",
     .summary = "run an action on a selection of agents",
     .changes = true,
     .parameters = {{.name = "action",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .help = "its name ('actions' lists them)"},
                    {.name = "input",
                     .kind = PARAMETER_TEXT,
                     .rest = true,
                     .help = "its payload; default none"},
                    ON,
                    CLASS,
                    CAPABILITY,
                    REQUIRE,
                    STATE,
                    SAMPLE("so many of the selection, at random; default all"),
                    PRIORITY,
                    WEIGHT,
                    TIMEOUT,
                    EXPECT,
                    UNCHECKED,
                    DRY_RUN,
                    HEDGE,
                    {.name = "pages",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "fetch every group of answers, not only the largest 64"}},
     .examples = {"run facts --on s07.c3", "run facts --on s07,!s07.c4 --dry-run",
                  "run work --class D --sample 20 --timeout 30s"}},
    {.verb = CMD_DELEGATE,
     .name = "delegate",
     .summary = "give a task to the best agent for it, or to several, and wait for the result",
     .changes = true,
     .parameters = {{.name = "task",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .rest = true,
                     .help = "the text of the task: the payload of the action"},
                    {.name = "to",
                     .kind = PARAMETER_TEXT,
                     .flag = true,
                     .value_name = "WHOM",
                     .help = "best_available (default), a class, or places"},
                    {.name = "several",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 1,
                     .most = 32,
                     .value_name = "N",
                     .help = "to the N best; default 1"},
                    {.name = "quorum",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 1,
                     .most = 32,
                     .value_name = "K",
                     .help = "so many identical results are wanted; fewer are a conflict"},
                    ACTION("what is run there; default work"),
                    CAPABILITY,
                    PRIORITY,
                    WEIGHT,
                    TIMEOUT,
                    UNCHECKED},
     .examples = {"delegate \"Analyze Q3 financial data\" --to CLASS_D_GPU --timeout 60s",
                  "delegate --several 3 --quorum 2 --action echo \"2 + 2\""}},
    {.verb = CMD_REVIEW,
     .name = "review",
     .summary = "what waits for people (CLASS_F): list, claim, answer, reject, delegate, escalate",
     .changes = true,
     .parameters = {{.name = "what",
                     .kind = PARAMETER_CHOICE,
                     .required = true,
                     .choices = "list|claim|answer|reject|delegate|escalate",
                     .help = "what to do"},
                    {.name = "item",
                     .kind = PARAMETER_TEXT,
                     .help = "AGENT/ID as 'review list' shows it; with list: whose"},
                    {.name = "text",
                     .kind = PARAMETER_TEXT,
                     .rest = true,
                     .help = "the answer, the reason, or to whom it is delegated"},
                    {.name = "as",
                     .kind = PARAMETER_TEXT,
                     .flag = true,
                     .value_name = "NAME",
                     .help = "who you are; default $USER"},
                    ON,
                    TIMEOUT},
     .examples = {"review list", "review claim s94.c1.a2/0a1b2c3d --as alexa",
                  "review answer s94.c1.a2/0a1b2c3d \"Yes, pay it.\""}},
    {.verb = CMD_GROUP,
     .name = "group",
     .summary = "places under a name of your own: --on @NAME",
     .local = true,
     .parameters = {{.name = "what",
                     .kind = PARAMETER_CHOICE,
                     .required = true,
                     .choices = "list|save|remove",
                     .help = "what to do"},
                    {.name = "name", .kind = PARAMETER_TEXT, .help = "of the group"},
                    {.name = "places", .kind = PARAMETER_TEXT, .help = "with save"}},
     .examples = {"group save gpus s[81-87]", "group list", "group remove gpus"}},
    {.verb = CMD_MANUAL,
     .name = "manual",
     .summary = "a man page, or shell completion, from the same table as help",
     .local = true,
     .parameters = {{.name = "form",
                     .kind = PARAMETER_CHOICE,
                     .required = true,
                     .choices = "man|bash|zsh|fish",
                     .help = "what to write"},
                    {.name = "command",
                     .kind = PARAMETER_TEXT,
                     .help = "with man: its page instead of mesh(1)"}},
     .examples = {"manual man", "manual man ask", "manual bash"}},
    {.verb = CMD_CONFLICTS,
     .name = "conflicts",
     .summary = "what contradicted what: the open conflicts, one conflict's story, its resolution",
     .parameters = {{.name = "action",
                     .kind = PARAMETER_CHOICE,
                     .choices = "list|show|resolve|export|verify",
                     .help = "default list; show and resolve take an id"},
                    {.name = "id",
                     .kind = PARAMETER_TEXT,
                     .help = "a conflict's name, or its first letters"},
                    LOG_ON,
                    {.name = "type",
                     .kind = PARAMETER_TEXT,
                     .flag = true,
                     .value_name = "TYPE",
                     .help = "CONTEXT_DIVERGENCE, DATA_CONTRADICTION, .."},
                    {.name = "priority",
                     .kind = PARAMETER_NUMBER,
                     .flag = true,
                     .least = 0,
                     .most = 4,
                     .value_name = "N",
                     .help = "that or more: 4 is critical"},
                    LOG_SINCE,
                    {.name = "all",
                     .kind = PARAMETER_SWITCH,
                     .flag = true,
                     .help = "list: also those that are resolved"},
                    LOG_LIMIT,
                    {.name = "keep",
                     .kind = PARAMETER_CHOICE,
                     .flag = true,
                     .choices = "expected|received|both|none",
                     .value_name = "VALUE",
                     .help = "resolve: which value stands"},
                    {.name = "note",
                     .kind = PARAMETER_TEXT,
                     .flag = true,
                     .value_name = "TEXT",
                     .help = "resolve: why, for those who read it later"}},
     .examples = {"conflicts --priority 3", "conflicts show 3f9a",
                  "conflicts resolve 3f9a --keep expected --note \"sensor was moved\"",
                  "conflicts export --since 24h"}},
    {.verb = CMD_AUDIT,
     .name = "audit",
     .summary = "who commanded what, and what came of it",
     .parameters = {{.name = "action",
                     .kind = PARAMETER_CHOICE,
                     .choices = "list|export|verify",
                     .help = "default list"},
                    LOG_ON,
                    {.name = "type",
                     .kind = PARAMETER_TEXT,
                     .flag = true,
                     .value_name = "COMMAND",
                     .help = "submit, freeze, resolve, .."},
                    LOG_SINCE,
                    LOG_LIMIT},
     .examples = {"audit", "audit --type submit --since 1h", "audit verify"}},
    {.verb = CMD_ROUTE_AROUND,
     .name = "route-around",
     .summary = "new work avoids these agents (they stay in the mesh), or no more",
     .changes = true,
     .parameters =
         {{.name = "places",
           .kind = PARAMETER_PLACES,
           .rest = true,
           .help = "agents or clusters; without: shows what is avoided"},
          {.name = "undo", .kind = PARAMETER_SWITCH, .flag = true, .help = "back to normal"}},
     .examples = {"route-around s07.c4.a12,s07.c4.a19", "route-around s07.c4 --undo",
                  "route-around"}},
    {.verb = CMD_MAPPING,
     .name = "mapping",
     .summary = "which classes are not counted on for a capability that they declare",
     .changes = true,
     .parameters = {{.name = "what",
                     .kind = PARAMETER_CHOICE,
                     .choices = "list|exclude|allow",
                     .help = "default list"},
                    {.name = "capability", .kind = PARAMETER_TEXT, .help = "its name"},
                    CLASS},
     .examples = {"mapping exclude inference --class E", "mapping allow inference --class E",
                  "mapping"}},
    {.verb = CMD_DIAGNOSE,
     .name = "diagnose",
     .summary = "what is happening in a sector or cluster: figures, slow and stuck agents, advice",
     .parameters = {{.name = "place",
                     .kind = PARAMETER_UNIT,
                     .required = true,
                     .help = "s07, s07.c4, SECTOR-7"}},
     .examples = {"diagnose s07", "diagnose s07.c4 --json"}},
    {.verb = CMD_STUCK,
     .name = "stuck",
     .summary = "the tasks that agents have had for long: what they wait on, and why",
     .parameters = {{.name = "places",
                     .kind = PARAMETER_PLACES,
                     .rest = true,
                     .help = "whose tasks; default all"},
                    {.name = "older",
                     .kind = PARAMETER_DURATION,
                     .flag = true,
                     .least = 0,
                     .most = MS_MAX_DAY,
                     .value_name = "DURATION",
                     .help = "tasks at least that old; default 2s (the 64 oldest are shown)"}},
     .examples = {"stuck", "stuck s07.c4.a12,s07.c4.a19", "stuck s07 --older 1m --json"}},
    {.verb = CMD_REASSIGN,
     .name = "reassign",
     .summary = "an operation that is stuck is cancelled and its task given to the best agent",
     .changes = true,
     .parameters = {{.name = "id",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .help = "of the operation, as 'stuck' shows it"},
                    {.name = "to",
                     .kind = PARAMETER_TEXT,
                     .flag = true,
                     .value_name = "WHOM",
                     .help = "best_available (default), a class, or places"}},
     .examples = {"reassign 0192f4d1c2a97f3a5b1c2d3e4f506172 --to CLASS_D_GPU"}},
    {.verb = CMD_SAY,
     .name = "say",
     .summary = "plain words: what is read is done, what acts is proposed and waits for a yes",
     .local = true,
     .parameters = {{.name = "words",
                     .kind = PARAMETER_TEXT,
                     .required = true,
                     .rest = true,
                     .help = "as \"what's happening in sector 7?\""}},
     .examples = {"say \"What's happening in sector 7?\"",
                  "say \"Yeah route around, and show me what they're stuck on\"", "say yes"}},
    {.verb = CMD_HELP,
     .name = "help",
     .summary = "all commands, or one with its flags and examples",
     .local = true,
     .parameters = {{.name = "command", .kind = PARAMETER_TEXT, .help = "its name"}},
     .examples = {"help", "help ask"}},
    {.verb = CMD_QUIT, .name = "quit", .summary = "leave the console", .local = true},
};

const struct command_spec *command_table(size_t *ret_count)
{
    *ret_count = sizeof table / sizeof *table;
    return table;
}
