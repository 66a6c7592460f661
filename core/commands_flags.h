/* Groups of flags that commands share (selection, operation, rollout), as initialisers for the
 * command table: every command that selects agents does it with the same words. */
#ifndef CORE_COMMANDS_FLAGS_H
#define CORE_COMMANDS_FLAGS_H

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
#define WHERE                                                                                      \
    {                                                                                              \
        .name = "where", .kind = PARAMETER_TEXT, .flag = true, .value_name = "FACTS",              \
        .help = "facts, all of them: os=debian*, gpu!=*, \"memory_mib>=4096,cpus<64\""             \
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
#define LIMIT                                                                                      \
    {.name = "limit",                                                                              \
     .kind = PARAMETER_TEXT,                                                                       \
     .flag = true,                                                                                 \
     .value_name = "N",                                                                            \
     .help = "only so many of the selection, or a share as 10%: the same for the same seed"},      \
    {                                                                                              \
        .name = "seed", .kind = PARAMETER_NUMBER, .flag = true, .least = 0, .most = UINT32_MAX,    \
        .value_name = "N", .help = "of --limit, canary, waves and batches; default 1"              \
    }
#define SCORES                                                                                     \
    {.name = "slower",                                                                             \
     .kind = PARAMETER_NUMBER,                                                                     \
     .flag = true,                                                                                 \
     .least = 0,                                                                                   \
     .most = 1000,                                                                                 \
     .value_name = "SCORE",                                                                        \
     .help = "impedance score at least"},                                                          \
    {                                                                                              \
        .name = "faster", .kind = PARAMETER_NUMBER, .flag = true, .least = 1, .most = 1000,        \
        .value_name = "SCORE", .help = "impedance score at most"                                   \
    }
#define ROLLOUT                                                                                    \
    {.name = "canary",                                                                             \
     .kind = PARAMETER_TEXT,                                                                       \
     .flag = true,                                                                                 \
     .value_name = "N",                                                                            \
     .help = "so many first (or a share, as 1%), the others when those are done"},                 \
        {.name = "waves",                                                                          \
         .kind = PARAMETER_TEXT,                                                                   \
         .flag = true,                                                                             \
         .value_name = "LIST",                                                                     \
         .help = "how many have it when each wave ends, as 1,10%,100%"},                           \
        {.name = "batch",                                                                          \
         .kind = PARAMETER_TEXT,                                                                   \
         .flag = true,                                                                             \
         .value_name = "N",                                                                        \
         .help = "so many at work at once, others as those end"},                                  \
        {.name = "pause",                                                                          \
         .kind = PARAMETER_DURATION,                                                               \
         .flag = true,                                                                             \
         .least = 1,                                                                               \
         .most = MS_MAX_DAY,                                                                       \
         .value_name = "DURATION",                                                                 \
         .help = "between waves"},                                                                 \
    {                                                                                              \
        .name = "stop-on-fail", .kind = PARAMETER_TEXT, .flag = true, .value_name = "N",           \
        .help = "nothing more is sent when so many (or a share) are not as wanted; default 1"      \
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
#define TIMEOUT_OF(text)                                                                           \
    {                                                                                              \
        .name = "timeout", .kind = PARAMETER_DURATION, .flag = true, .least = 10,                  \
        .most = MS_MAX_DAY, .value_name = "DURATION", .help = text                                 \
    }
#define TIMEOUT TIMEOUT_OF("when to stop gathering; default 5s, or T and 2s")
#define HEDGE                                                                                      \
    {                                                                                              \
        .name = "hedge", .kind = PARAMETER_SWITCH, .flag = true,                                   \
        .help = "send once more to who is silent past its quantile (5 % of the targets at most)"   \
    }
#define FOLLOW                                                                                     \
    {                                                                                              \
        .name = "follow", .kind = PARAMETER_SWITCH, .flag = true,                                  \
        .help = "show the newest line that its agents write, as they run (8 agents at most)"       \
    }
#define TRACE                                                                                      \
    {                                                                                              \
        .name = "traceparent", .kind = PARAMETER_TEXT, .flag = true, .value_name = "CONTEXT",      \
        .help = "W3C trace context that it belongs to; default the environment's TRACEPARENT"      \
    }
#define SENT    HEDGE, TRACE
#define WATCHED TRACE, FOLLOW
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
#define CONSENSUS                                                                                  \
    {                                                                                              \
        .name = "consensus", .kind = PARAMETER_NUMBER, .flag = true, .least = 1, .most = 64,       \
        .value_name = "K",                                                                         \
        .help = "K identical answers of one cluster: who contradicts them is quarantined"          \
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
#define AGENT_SCOPE                                                                                \
    {                                                                                              \
        .name = "agent", .kind = PARAMETER_UNIT, .required = true, .help = "s07.c3.a12"            \
    }
#define YES                                                                                        \
    {                                                                                              \
        .name = "yes", .kind = PARAMETER_SWITCH, .flag = true,                                     \
        .help = "do it: without it nothing is done"                                                \
    }
#define DIFF                                                                                       \
    {                                                                                              \
        .name = "diff", .kind = PARAMETER_SWITCH, .flag = true,                                    \
        .help = "what each other answer has that the majority has not, line by line"               \
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

#endif
