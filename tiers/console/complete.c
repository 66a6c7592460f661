/* A line is read as far as completion needs it: words at blanks, the last one partial. Which
 * parameter that word belongs to decides what could stand there. Quotes are not undone: completion
 * inside quotes offers nothing wrong, only nothing. */
#include "tiers/console/complete.h"
#include "core/text.h"
#include "tiers/console/targets.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct cursor {
    const struct command_spec *spec;   /* NULL: the verb itself is being typed, or is unknown */
    const struct parameter *parameter; /* the last word is (the start of) its value; NULL: none */
    const char *word;                  /* the partial word, behind `=` of a flag */
    size_t words;                      /* complete ones before it, the verb included */
};

static const struct parameter *find_flag(const struct command_spec *spec, const char *name,
                                         size_t bytes)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && spec->parameters[i].name; i++) {
        const struct parameter *p = &spec->parameters[i];
        if (p->flag && strlen(p->name) == bytes && memcmp(p->name, name, bytes) == 0)
            return p;
    }
    return NULL;
}

/* The positional parameter that takes word number `index` (0: the first); the last, when it takes
 * the rest, takes all that follow. */
static const struct parameter *find_positional(const struct command_spec *spec, size_t index)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && spec->parameters[i].name; i++) {
        const struct parameter *p = &spec->parameters[i];
        if (!p->flag && (index-- == 0 || p->rest))
            return p;
    }
    return NULL;
}

static void read_line(const char *line, struct cursor *ret)
{
    const struct parameter *pending = NULL;
    size_t positionals = 0;
    *ret = (struct cursor){0};
    for (;;) {
        const char *word = line + strspn(line, " ");
        size_t bytes = strcspn(word, " ");
        bool last = word[bytes] == '\0';
        bool flag = ret->spec && !pending && strncmp(word, "--", 2) == 0;
        const char *equals = flag ? memchr(word, '=', bytes) : NULL;
        if (last) {
            ret->word = equals ? equals + 1 : word;
            ret->parameter = equals ? find_flag(ret->spec, word + 2, (size_t)(equals - word) - 2)
                             : pending || !ret->spec || flag
                                 ? pending
                                 : find_positional(ret->spec, positionals);
            return;
        }
        if (ret->words++ == 0) {
            ret->spec = command_find(word, bytes);
            if (!ret->spec)
                return;
        } else if (flag) {
            pending = equals ? NULL : find_flag(ret->spec, word + 2, bytes - 2);
            if (pending && pending->kind == PARAMETER_SWITCH)
                pending = NULL;
        } else {
            positionals += pending ? 0 : 1;
            pending = NULL;
        }
        line = word + bytes;
    }
}

/* --- candidates ------------------------------------------------------------------------------ */

/* `before`: what stays of the word (the items of a list that are complete). */
static void offer(struct completions *ret, const char *before, size_t before_bytes,
                  const char *start, const char *candidate)
{
    if (strncasecmp(candidate, start, strlen(start)) != 0 || ret->count == COMPLETIONS_MAX)
        return;
    if (before_bytes + strlen(candidate) >= COMPLETION_BYTES)
        return;
    char *word = ret->words[ret->count++];
    memcpy(word, before, before_bytes);
    memcpy(word + before_bytes, candidate, strlen(candidate) + 1);
}

static void offer_unit(struct completions *ret, const char *word, size_t before, struct unit u)
{
    char name[UNIT_TEXT_MAX];
    unit_format(u, name);
    offer(ret, word, before, word + before, name);
}

/* The units right below `parent`, down to the tier that the parameter can name. */
static void offer_children(const struct topology *t, const char *word, size_t before,
                           struct unit parent, enum tier deepest, struct completions *ret)
{
    struct unit u = parent;
    if (parent.tier == TIER_ORCHESTRATOR) {
        u.tier = TIER_SECTOR;
        for (u.sector = 1; u.sector <= t->sectors; u.sector++)
            offer_unit(ret, word, before, u);
    } else if (parent.tier == TIER_SECTOR && deepest != TIER_SECTOR) {
        u.tier = TIER_CLUSTER;
        for (u.cluster = 1; u.cluster <= topology_sector_clusters(t, parent.sector); u.cluster++)
            offer_unit(ret, word, before, u);
    } else if (parent.tier == TIER_CLUSTER && deepest == TIER_AGENT) {
        u.tier = TIER_AGENT;
        for (u.agent = 1; u.agent <= topology_cluster_places(t, parent); u.agent++)
            offer_unit(ret, word, before, u);
    }
}

/* Places, one level of the tree at a time; a name that is complete and the only one of its kind
 * goes on with what lies below it. */
static void offer_places(const struct topology *t, const char *word, size_t before,
                         enum tier deepest, struct completions *ret)
{
    const char *start = word + before, *why, *dot = strrchr(start, '.');
    struct unit u = unit_orchestrator();
    if (dot && (!unit_parse(start, (size_t)(dot - start), &u, &why) || !topology_contains(t, u)))
        return;
    offer_children(t, word, before, u, deepest, ret);
    bool whole = ret->count == 1 && strcasecmp(ret->words[0] + before, start) == 0;
    if (whole && unit_parse(start, strlen(start), &u, &why))
        offer_children(t, word, before, u, deepest, ret);
}

static void offer_choices(const char *choices, const char *word, struct completions *ret)
{
    while (*choices) {
        char name[COMPLETION_BYTES];
        size_t bytes = strcspn(choices, "|");
        if (bytes < sizeof name) {
            memcpy(name, choices, bytes);
            name[bytes] = '\0';
            offer(ret, "", 0, word, name);
        }
        choices += bytes + (choices[bytes] == '|');
    }
}

static void offer_names(const struct topology *t, const struct parameter *p, const char *word,
                        size_t before, struct completions *ret)
{
    const char *start = word + before;
    if (strcmp(p->name, "class") == 0)
        for (int c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
            offer(ret, word, before, start, class_name((enum impedance_class)c));
    else if (strcmp(p->name, "state") == 0)
        for (int s = AGENT_ACTIVE; s < AGENT_STATE_COUNT; s++)
            offer(ret, word, before, start, agent_state_name((enum agent_state)s));
    else if (strcmp(p->name, "capability") == 0 || strcmp(p->name, "require") == 0)
        for (unsigned i = 0; i < t->capability_count; i++)
            offer(ret, word, before, start, t->capabilities[i]);
}

/* `run NAME`, `--action NAME`, `actions NAME`, and each of a pipeline's stages. */
static bool names_action(const struct parameter *p)
{
    return strcmp(p->name, "action") == 0 || strcmp(p->name, "stages") == 0;
}

static void offer_actions(const struct action_table *actions, const char *word, size_t before,
                          struct completions *ret)
{
    const struct action *a;
    for (uint32_t i = 0; (a = action_at(actions, i)) != NULL; i++)
        offer(ret, word, before, word + before, a->name);
}

/* What an @ stands for: before is behind the @'s own comma. */
static void offer_lists(const char *word, size_t before, struct completions *ret)
{
    char names[COMPLETIONS_MAX][GROUP_NAME_MAX + 1];
    size_t count = targets_names(names, COMPLETIONS_MAX);
    for (size_t i = 0; i < count; i++)
        offer(ret, word, before, word + before, names[i]);
}

static enum tier deepest_tier(const struct parameter *p)
{
    return strcmp(p->name, "sector") == 0    ? TIER_SECTOR
           : strcmp(p->name, "cluster") == 0 ? TIER_CLUSTER
                                             : TIER_AGENT;
}

static void offer_table(const char *line, struct completions *ret)
{
    const char *found[COMPLETIONS_MAX];
    char flags[2048];
    size_t count = command_complete(line, found, COMPLETIONS_MAX, flags, sizeof flags);
    for (size_t i = 0; i < count; i++)
        offer(ret, "", 0, "", found[i]);
}

void complete_line(const struct topology *t, const struct action_table *actions, const char *line,
                   struct completions *ret)
{
    struct cursor at;
    assert(t && line && ret);
    ret->count = 0;
    read_line(line, &at);
    const struct parameter *p = at.parameter;
    bool handed_on = at.spec && (at.spec->verb == CMD_HELP || at.spec->verb == CMD_WATCH);
    if (!p || (handed_on && !p->flag)) {
        offer_table(line, ret);
        return;
    }
    const char *comma = strrchr(at.word, ',');
    size_t before = comma ? (size_t)(comma - at.word) + 1 : 0;
    if (p->kind == PARAMETER_CHOICE)
        offer_choices(p->choices, at.word, ret);
    else if (p->kind == PARAMETER_UNIT)
        offer_places(t, at.word, 0, deepest_tier(p), ret);
    else if (p->kind == PARAMETER_PLACES && at.word[before] == '@')
        offer_lists(at.word, before, ret);
    else if (names_action(p))
        offer_actions(actions, at.word, strcmp(p->name, "stages") == 0 ? before : 0, ret);
    else if (p->kind == PARAMETER_PLACES)
        offer_places(t, at.word, before, TIER_AGENT, ret);
    else
        offer_names(t, p, at.word, before, ret);
}

/* --- hint ------------------------------------------------------------------------------------ */

size_t complete_hint(const char *line, char *ret, size_t size)
{
    struct cursor at;
    struct text hint;
    char usage[1024];
    assert(line && ret && size > 0);
    text_init(&hint, ret, size);
    read_line(line, &at);
    if (!at.spec) {
        const char *verb = line + strspn(line, " ");
        at.spec = command_find(verb, strlen(verb));
        if (!at.spec || at.words > 0)
            return 0;
    } else if (at.parameter && at.word[0] == '\0' && (at.parameter->flag || at.words > 1)) {
        text_add(&hint, at.parameter->value_name ? at.parameter->value_name : at.parameter->name);
        if (at.parameter->help) {
            text_add(&hint, ": ");
            text_add(&hint, at.parameter->help);
        }
        return hint.used;
    } else if (at.words > 1 || at.word[0] != '\0') {
        return 0;
    }
    command_usage(at.spec, usage, sizeof usage);
    const char *rest = usage + strlen(at.spec->name);
    text_add(&hint, at.words > 0 && rest[0] == ' ' ? rest + 1 : rest);
    return hint.used;
}

bool complete_is_secret(const char *line)
{
    static const char *const marks[] = {"token",   "password", "passphrase", "secret",
                                        "api-key", "api_key",  "apikey"};
    assert(line);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strcasestr(line, marks[i]))
            return true;
    return false;
}
