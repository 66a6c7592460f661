/* Flags that contradict each other, flags that mean nothing without another, and numbers that can
 * never be: one table for all commands. Nothing is sent of a line that breaks a rule.
 * docs/CONSOLE.md lists the rules; tests/test_rules.c compares it, and breaks each of them by its
 * example. What depends on the mesh (its places, its facts, its actions) is checked where it is
 * known. */
#include "core/commands.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

#define ANY    0
#define PARTS  "canary", "waves", "batch"
#define CHOSEN "on", "except", "class", "capability", "where", "state"

#define RULE(of, verbs, term, reason, line, most, ...)                                             \
    {                                                                                              \
        .kind = (of), .verb = (verbs), .first = (term), .others = {__VA_ARGS__}, .why = (reason),  \
        .example = (line), .otherwise = (most)                                                     \
    }
#define NOT_WITH(verb, first, why, example, ...)                                                   \
    RULE(RULE_NOT_WITH, verb, first, why, example, 0, __VA_ARGS__)
#define NEEDS(verb, first, why, example, ...)                                                      \
    RULE(RULE_NEEDS, verb, first, why, example, 0, __VA_ARGS__)
#define AT_MOST(verb, first, otherwise, why, example, ...)                                         \
    RULE(RULE_AT_MOST, verb, first, why, example, otherwise, __VA_ARGS__)

static const struct command_rule rules[] = {
    /* who is meant */
    NOT_WITH(CMD_ASK, "all", "the whole selection, or a few of it at random",
             "ask hi --all --sample 3", "sample"),
    NOT_WITH(CMD_ASK, "all", "the whole selection, or a part of it", "ask hi --all --limit 10%",
             "limit"),
    NOT_WITH(ANY, "limit", "a sample is drawn anew each time, a limit has a seed: take one of them",
             "run facts --limit 10 --sample 3", "sample"),
    NOT_WITH(ANY, "require",
             "--capability leaves out who lacks it, --require has them refused: take one of them",
             "ask hi --require vision --capability vision", "capability"),
    AT_MOST(ANY, "slower", 0, "no score is both, so nothing can match",
            "find --slower 900 --faster 100", "faster"),
    NEEDS(ANY, "seed", "it says which agents those are", "run facts --seed 3", "limit", PARTS),
    /* in parts */
    NOT_WITH(ANY, "sample", "take --limit with --seed, whose agents stay the same",
             "run facts --canary 5 --sample 9", PARTS),
    NEEDS(ANY, "pause", "it is the time between waves", "run facts --batch 50 --pause 5s", "canary",
          "waves"),
    NEEDS(ANY, "stop-on-fail", "else all are sent to before anything can fail",
          "broadcast hi --stop-on-fail 3", PARTS),
    NOT_WITH(CMD_RUN, "follow", "of parts the ends are shown, not their lines",
             "run facts --waves 1,100% --follow", PARTS),
    NOT_WITH(CMD_BROADCAST, "no-ack", "without acknowledgements nobody knows when a part is done",
             "broadcast hi --no-ack --batch 9", PARTS),
    NOT_WITH(CMD_BROADCAST, "no-ack", "without acknowledgements nobody knows who is silent",
             "broadcast hi --no-ack --hedge", "hedge"),
    /* what is done, or only shown */
    NOT_WITH(ANY, "yes", "do it, or only say what would be done", "heal s07 --dry-run --yes",
             "dry-run"),
    /* ask, delegate */
    AT_MOST(CMD_ASK, "quorum", 100,
            "so many identical answers can never be: raise --sample, or lower --quorum",
            "ask hi --sample 3 --quorum 5", "sample", "all", "limit"),
    AT_MOST(CMD_DELEGATE, "quorum", 1,
            "so many identical results can never be: raise --several, or lower --quorum",
            "delegate \"2 + 2\" --quorum 2", "several"),
    /* cascade */
    NOT_WITH(CMD_CASCADE, "in", "as soon as possible has no T", "cascade --timing soon --in 3s",
             "timing=soon"),
    NOT_WITH(CMD_CASCADE, "window", "as soon as possible has no T",
             "cascade --timing soon --window 1s", "timing=soon"),
    NOT_WITH(CMD_CASCADE, "window", "its window is 1000ms (spec 3.3): take --strategy wave",
             "cascade --strategy parallel --window 500ms", "strategy=parallel"),
    NOT_WITH(CMD_CASCADE, "rate", "its threshold is 90 % (spec 3.3): take --strategy wave",
             "cascade --strategy parallel --rate 99%", "strategy=parallel"),
    /* top, check, manual */
    NOT_WITH(CMD_TOP, "every", "one look, or one after the other", "top --once --every 5s", "once",
             "limit"),
    AT_MOST(CMD_CHECK, "warn", 0, "nothing would warn: lower --warn",
            "check agents --warn 9 --critical 5", "critical"),
    NEEDS(CMD_MANUAL, "command", "completion is of all commands", "manual bash ask", "form=man"),
    /* jobs */
    NOT_WITH(CMD_JOBS, "id", "one job: 'jobs show ID'", "jobs list 5e6f", "action=list"),
    NEEDS(CMD_JOBS, "limit", "it counts the rows of the list", "jobs show 5e6f --limit 3",
          "action=list"),
    NEEDS(CMD_JOBS, "follow", "the others show no lines", "jobs wait 5e6f --follow",
          "action=attach"),
    NEEDS(CMD_JOBS, "action=approve|reject", "'jobs' lists those in state approval", "jobs approve",
          "id"),
    /* logs */
    NEEDS(CMD_CONFLICTS, "action=show|resolve", "'conflicts list' shows them", "conflicts show",
          "id"),
    NOT_WITH(CMD_CONFLICTS, "id", "one conflict: 'conflicts show ID'", "conflicts list 3f9a",
             "action=list|export|verify"),
    NEEDS(CMD_CONFLICTS, "action=resolve", "which value stands: expected, received, both or none",
          "conflicts resolve 3f9a", "keep"),
    NEEDS(CMD_CONFLICTS, "keep", "only that decides", "conflicts show 3f9a --keep both",
          "action=resolve"),
    NEEDS(CMD_CONFLICTS, "note", "only that is noted", "conflicts show 3f9a --note why",
          "action=resolve"),
    NEEDS(CMD_INCIDENT, "action=show", "'incident list' shows them", "incident show", "id"),
    NOT_WITH(CMD_INCIDENT, "id", "one incident: 'incident show ID'", "incident export 3f9a",
             "action=list|export|verify"),
    NEEDS(CMD_CONFLICTS, "all", "the others have all rows", "conflicts export --all",
          "action=list"),
    NEEDS(CMD_INCIDENT, "all", "the others have all rows", "incident verify --all", "action=list"),
    NEEDS(CMD_CONFLICTS, "limit", "the others have all rows", "conflicts export --limit 5",
          "action=list"),
    NEEDS(CMD_INCIDENT, "limit", "the others have all rows", "incident export --limit 5",
          "action=list"),
    NEEDS(CMD_AUDIT, "limit", "the others have all rows", "audit export --limit 5", "action=list"),
    NEEDS(CMD_CONFLICTS, "on", "it chooses rows", "conflicts verify --on s07",
          "action=list|export"),
    NEEDS(CMD_CONFLICTS, "type", "it chooses rows", "conflicts verify --type OTHER",
          "action=list|export"),
    NEEDS(CMD_CONFLICTS, "priority", "it chooses rows", "conflicts verify --priority 3",
          "action=list|export"),
    NEEDS(CMD_CONFLICTS, "since", "it chooses rows", "conflicts verify --since 1h",
          "action=list|export"),
    NEEDS(CMD_INCIDENT, "on", "it chooses rows", "incident verify --on s07", "action=list|export"),
    NEEDS(CMD_INCIDENT, "type", "it chooses rows", "incident verify --type AGENT_CRASH",
          "action=list|export"),
    NEEDS(CMD_INCIDENT, "priority", "it chooses rows", "incident verify --priority 3",
          "action=list|export"),
    NEEDS(CMD_INCIDENT, "since", "it chooses rows", "incident verify --since 1h",
          "action=list|export"),
    NEEDS(CMD_AUDIT, "on", "it chooses rows", "audit verify --on s07", "action=list|export"),
    NEEDS(CMD_AUDIT, "type", "it chooses rows", "audit verify --type submit", "action=list|export"),
    NEEDS(CMD_AUDIT, "event", "it chooses rows", "audit verify --event threat",
          "action=list|export"),
    NEEDS(CMD_AUDIT, "since", "it chooses rows", "audit verify --since 1h", "action=list|export"),
    /* contexts, reviews, groups */
    NEEDS(CMD_CONTENT, "what=put|load",
          "a file's name; with load also the key that 'content put' has shown", "content put",
          "file"),
    NOT_WITH(CMD_CONTENT, "file", "whose: --on, --class, ..", "content list market.txt",
             "what=list"),
    NOT_WITH(CMD_CONTENT, "all", "all agents, or those that are chosen",
             "content load market.txt --all --on s07", CHOSEN),
    NEEDS(CMD_CONTENT, "all", "the others mean all without it", "content list --all", "what=load"),
    NEEDS(CMD_CONTENT, "what=load", "say which agents", "content load market.txt", "all", CHOSEN),
    NEEDS(CMD_REVIEW, "what=claim|answer|reject|delegate|escalate", "'review list' shows them",
          "review claim", "item"),
    NEEDS(CMD_REVIEW, "what=answer|reject|delegate", "the answer, the reason, or to whom",
          "review answer s94.c1.a2/0a1b2c3d", "text"),
    NOT_WITH(CMD_REVIEW, "text", "there is nothing to say yet",
             "review claim s94.c1.a2/0a1b2c3d yes", "what=list|claim"),
    NOT_WITH(CMD_REVIEW, "as", "whose reviews: 'review list NAME'", "review list --as bob",
             "what=list"),
    NEEDS(CMD_REVIEW, "on", "the item says where", "review claim s94.c1.a2/0a1b2c3d --on s94",
          "what=list"),
    NEEDS(CMD_REVIEW, "except", "the item says where",
          "review claim s94.c1.a2/0a1b2c3d --except s94", "what=list"),
    NEEDS(CMD_GROUP, "what=save|remove", "1 to 31 letters, digits, '-' or '_'", "group remove",
          "name"),
    NEEDS(CMD_GROUP, "what=save", "as s[01-10].c3", "group save gpus", "places"),
    NOT_WITH(CMD_GROUP, "name", "it lists all", "group list gpus", "what=list"),
    NEEDS(CMD_GROUP, "places", "only that has places", "group remove gpus s07", "what=save"),
    /* routing */
    NEEDS(CMD_ROUTE_AROUND, "undo", "whose? 'route-around' shows what is avoided",
          "route-around --undo", "places", "where", "class"),
    NEEDS(CMD_ROUTE_AROUND, "dry-run", "whose? 'route-around' shows what is avoided",
          "route-around --dry-run", "places", "where", "class"),
    NEEDS(CMD_MAPPING, "what=exclude|allow", "'mapping exclude CAPABILITY --class CLASSES'",
          "mapping exclude --class E", "capability"),
    NEEDS(CMD_MAPPING, "what=exclude|allow", "'mapping exclude CAPABILITY --class CLASSES'",
          "mapping exclude vision", "class"),
    NOT_WITH(CMD_MAPPING, "capability", "it lists all", "mapping list vision", "what=list"),
    NOT_WITH(CMD_MAPPING, "class", "it lists all", "mapping list --class E", "what=list"),
    /* who takes part, and where */
    NEEDS(CMD_THREATS, "action=show|clear", "'threats list' shows them", "threats show", "id"),
    NOT_WITH(CMD_THREATS, "id", "one threat: 'threats show ID'", "threats list 3f9a0c1d2e4b5a69",
             "action=list"),
    NOT_WITH(CMD_MOVE, "to", "elsewhere, or home again", "move s07.c3 --to s07.c4 --back", "back"),
    NEEDS(CMD_MOVE, "to", "whose? 'move' alone shows who lives elsewhere", "move --to s07.c4",
          "places"),
    NEEDS(CMD_MOVE, "back", "whose? 'move' alone shows who lives elsewhere", "move --back",
          "places"),
    NEEDS(CMD_MOVE, "dry-run", "whose? 'move' alone shows who lives elsewhere", "move --dry-run",
          "places"),
    NEEDS(CMD_MOVE, "yes", "whose? 'move' alone shows who lives elsewhere", "move --yes", "places"),
    NEEDS(CMD_SCALE, "action=add", "how many newcomers, as 'scale add 100'", "scale add", "count"),
    NEEDS(CMD_SCALE, "action=remove",
          "how many, as 'scale remove 100', or who, as '--on s07.c3.a[31-34]'", "scale remove",
          "count", "on"),
    NEEDS(CMD_SCALE, "count", "the others are about those who come or leave already",
          "scale show 5", "action=add|remove"),
    NEEDS(CMD_SCALE, "class", "the others are about those who come or leave already",
          "scale show --class D", "action=add|remove"),
    NEEDS(CMD_SCALE, "rate", "the others are about those who come or leave already",
          "scale abort --rate 5/s", "action=add"),
    NEEDS(CMD_SCALE, "over", "the others are about those who come or leave already",
          "scale abort --over 5m", "action=add"),
    NEEDS(CMD_SCALE, "on", "who is added has no place yet: --sector says where they go",
          "scale add 5 --on s07", "action=remove"),
    NEEDS(CMD_SCALE, "within", "nobody else is given time to leave", "scale abort --within 5m",
          "action=remove"),
    NEEDS(CMD_SCALE, "dry-run", "the others are about those who come or leave already",
          "scale finish --dry-run", "action=add|remove"),
    NEEDS(CMD_SCALE, "sector", "--on says who is removed; the others are about all that come",
          "scale watch --sector s07", "action=add|places"),
    NEEDS(CMD_SCALE, "yes", "the others only show", "scale show --yes",
          "action=add|finish|abort|remove")};

const struct command_rule *command_rules(size_t *ret_count)
{
    assert(ret_count);
    *ret_count = sizeof rules / sizeof *rules;
    return rules;
}

/* --- terms ----------------------------------------------------------------------------------- */

/* A parameter's name, and behind '=' some of its choices. */
static size_t name_bytes(const char *term)
{
    return strcspn(term, "=");
}

/* Its place in the command; COMMAND_PARAMETERS_MAX: it has no such parameter. */
static size_t place_of(const struct command_spec *spec, const char *term)
{
    size_t bytes = name_bytes(term), i = 0;
    while (i < COMMAND_PARAMETERS_MAX && spec->parameters[i].name &&
           (strlen(spec->parameters[i].name) != bytes ||
            memcmp(spec->parameters[i].name, term, bytes) != 0))
        i++;
    return i < COMMAND_PARAMETERS_MAX && spec->parameters[i].name ? i : COMMAND_PARAMETERS_MAX;
}

/* The first of all choices is what is meant without. */
static bool is_one_of(const struct invocation *in, size_t i, const char *words)
{
    const struct value *v = &in->values[i];
    const char *all = in->spec->parameters[i].choices;
    size_t bytes = v->given ? strlen(v->text) : strcspn(all, "|");
    const char *text = v->given ? v->text : all;
    for (const char *at = words; at;) {
        size_t n = strcspn(at, "|");
        if (n == bytes && memcmp(at, text, n) == 0)
            return true;
        at = at[n] ? at + n + 1 : NULL;
    }
    return false;
}

static bool holds(const struct invocation *in, const char *term)
{
    size_t i = place_of(in->spec, term), bytes = name_bytes(term);
    if (i == COMMAND_PARAMETERS_MAX)
        return false;
    return term[bytes] ? is_one_of(in, i, term + bytes + 1) : in->values[i].given;
}

static size_t others_count(const struct command_rule *r)
{
    size_t n = 0;
    while (n < RULE_OTHERS_MAX && r->others[n])
        n++;
    return n;
}

/* "--limit", "ID", "--timing soon", "'jobs show' or 'jobs wait'". spec NULL: flags alone. */
static void add_term(struct text *t, const struct command_spec *spec, const char *term)
{
    size_t bytes = name_bytes(term);
    size_t i = spec ? place_of(spec, term) : COMMAND_PARAMETERS_MAX;
    bool flag = i == COMMAND_PARAMETERS_MAX || spec->parameters[i].flag;
    if (flag) {
        text_add(t, "--");
        text_add_bytes(t, term, bytes);
        text_add(t, term[bytes] ? " " : "");
        text_add(t, term[bytes] ? term + bytes + 1 : "");
        return;
    }
    if (!term[bytes]) {
        for (size_t k = 0; k < bytes; k++)
            text_char(t, (char)(term[k] >= 'a' && term[k] <= 'z' ? term[k] - 32 : term[k]));
        return;
    }
    for (const char *at = term + bytes + 1; at;) {
        size_t n = strcspn(at, "|");
        text_add(t, at == term + bytes + 1 ? "'" : strchr(at, '|') ? ", '" : " or '");
        text_add(t, spec->name);
        text_char(t, ' ');
        text_add_bytes(t, at, n);
        text_char(t, '\'');
        at = at[n] ? at + n + 1 : NULL;
    }
}

/* Those that the command has; spec NULL: all of them. */
static void add_others(struct text *t, const struct command_spec *spec,
                       const struct command_rule *r)
{
    const char *list[RULE_OTHERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < others_count(r); i++)
        if (!spec || place_of(spec, r->others[i]) < COMMAND_PARAMETERS_MAX)
            list[count++] = r->others[i];
    for (size_t i = 0; i < count; i++) {
        text_add(t, i == 0 ? "" : i + 1 < count ? ", " : " or ");
        add_term(t, spec, list[i]);
    }
}

/* --- lines that break a rule ----------------------------------------------------------------- */

/* "--seed: ", "id: ": the parameter that is wrong. */
static void begin(struct text *t, const struct command_spec *spec, const char *term, char *error)
{
    const struct parameter *p = &spec->parameters[place_of(spec, term)];
    text_init(t, error, COMMAND_ERROR_MAX);
    text_add(t, p->flag ? "--" : "");
    text_add(t, p->name);
    text_add(t, ": ");
}

static void end(struct text *t, const struct command_rule *r)
{
    text_add(t, ": ");
    text_add(t, r->why);
}

static bool contradicts(const struct command_rule *r, const struct invocation *in, char *error)
{
    for (size_t i = 0; holds(in, r->first) && i < others_count(r); i++) {
        struct text t;
        if (!holds(in, r->others[i]))
            continue;
        begin(&t, in->spec, r->first, error);
        text_add(&t, "contradicts ");
        add_term(&t, in->spec, r->others[i]);
        end(&t, r);
        return true;
    }
    return false;
}

static bool lacks(const struct command_rule *r, const struct invocation *in, char *error)
{
    bool any = !holds(in, r->first), possible = false;
    struct text t;
    for (size_t i = 0; i < others_count(r); i++) {
        any = any || holds(in, r->others[i]);
        possible = possible || place_of(in->spec, r->others[i]) < COMMAND_PARAMETERS_MAX;
    }
    if (any || !possible)
        return false;
    if (r->first[name_bytes(r->first)]) { /* a word that wants another */
        const struct value *v = &in->values[place_of(in->spec, r->first)];
        begin(&t, in->spec, r->others[0], error);
        text_add(&t, "is missing: '");
        text_add(&t, in->spec->name);
        text_char(&t, ' ');
        text_add(&t, v->given ? v->text : "");
        text_add(&t, "' wants ");
        add_others(&t, in->spec, r);
    } else {
        begin(&t, in->spec, r->first, error);
        text_add(&t, "goes with ");
        add_others(&t, in->spec, r);
    }
    end(&t, r);
    return true;
}

static double number_of(const struct command_spec *spec, const struct invocation *in, size_t i)
{
    return spec->parameters[i].kind == PARAMETER_SHARE ? in->values[i].share
                                                       : (double)in->values[i].number;
}

static bool exceeds(const struct command_rule *r, const struct invocation *in, char *error)
{
    size_t a = place_of(in->spec, r->first), b = place_of(in->spec, r->others[0]);
    if (a == COMMAND_PARAMETERS_MAX || b == COMMAND_PARAMETERS_MAX || !in->values[a].given)
        return false;
    bool given = in->values[b].given, open = !given && r->otherwise == 0;
    for (size_t i = 1; i < others_count(r) && !given; i++)
        open = open || holds(in, r->others[i]);
    double most = given ? number_of(in->spec, in, b) : (double)r->otherwise;
    struct text t;
    if (open || number_of(in->spec, in, a) <= most)
        return false;
    begin(&t, in->spec, r->first, error);
    text_add_safe(&t, in->values[a].text, strlen(in->values[a].text));
    text_add(&t, " is above ");
    if (given) {
        add_term(&t, in->spec, r->others[0]);
        text_char(&t, ' ');
        text_add_safe(&t, in->values[b].text, strlen(in->values[b].text));
    } else {
        text_i64(&t, r->otherwise);
        text_add(&t, ", the default of ");
        add_term(&t, in->spec, r->others[0]);
    }
    end(&t, r);
    return true;
}

const struct command_rule *command_rule_broken(const struct invocation *in,
                                               char error[COMMAND_ERROR_MAX])
{
    assert(in && in->spec);
    assert(error);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct command_rule *r = &rules[i];
        if (r->verb != 0 && r->verb != in->spec->verb)
            continue;
        bool broken = r->kind == RULE_NOT_WITH ? contradicts(r, in, error)
                      : r->kind == RULE_NEEDS  ? lacks(r, in, error)
                                               : exceeds(r, in, error);
        if (broken)
            return r;
    }
    return NULL;
}

bool command_rule_concerns(const struct command_rule *rule, const struct command_spec *spec)
{
    assert(rule && spec);
    bool any = false;
    for (size_t i = 0; i < others_count(rule); i++)
        any = any || place_of(spec, rule->others[i]) < COMMAND_PARAMETERS_MAX;
    return any && place_of(spec, rule->first) < COMMAND_PARAMETERS_MAX &&
           (rule->verb == 0 || rule->verb == spec->verb);
}

size_t command_rule_text(const struct command_rule *rule, const struct command_spec *of, char *ret,
                         size_t size)
{
    static const char *const says[] = {" not with ", " only with ", " not above "};
    struct text t;
    size_t count;
    assert(rule && ret && size > 0);
    const struct command_spec *table = command_table(&count), *spec = of;
    for (size_t i = 0; i < count && !of; i++)
        if (rule->verb != 0 && table[i].verb == rule->verb)
            spec = &table[i];
    text_init(&t, ret, size);
    bool word = rule->first[name_bytes(rule->first)] && rule->kind == RULE_NEEDS;
    if (spec && !of && !word) {
        text_add(&t, spec->name);
        text_add(&t, ": ");
    }
    add_term(&t, spec, rule->first);
    text_add(&t, word ? " wants " : says[rule->kind]);
    if (rule->kind == RULE_AT_MOST) {
        add_term(&t, spec, rule->others[0]);
        if (rule->otherwise > 0) {
            text_add(&t, " (default ");
            text_i64(&t, rule->otherwise);
            text_char(&t, ')');
        }
    } else {
        add_others(&t, spec, rule);
    }
    return t.used;
}
