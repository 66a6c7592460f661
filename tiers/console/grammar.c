/* The rules. Every clause is reduced to lower-case words; an intent is found by the words that it
 * must have, in the order of the table below, the more special first.
 *
 * Bounds: GRAMMAR_TEXT_MAX bytes, WORDS_MAX words and GRAMMAR_CLAUSES_MAX clauses; more is an
 * error that says so. */
#include "tiers/console/grammar.h"
#include "core/facts.h"
#include "core/num.h"
#include "core/types.h"
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64u
#define WORD_MAX  48u

struct words {
    size_t count;
    char word[WORDS_MAX][WORD_MAX];
    bool agreed; /* the clause began with yes */
};

/* --- words --- */

static bool word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-' || c == '\'' || c == '[' ||
           c == ']' || c == '!' || c == '@' || c == '*';
}

/* Lower case, without the apostrophes; "what's" becomes "whats". */
static bool add_word(struct words *w, const char *from, size_t bytes)
{
    while (bytes > 0 && (from[bytes - 1] == '.' || from[bytes - 1] == '!'))
        bytes--;
    size_t used = 0;
    if (bytes == 0)
        return true;
    if (w->count == WORDS_MAX || bytes >= WORD_MAX)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (from[i] != '\'')
            w->word[w->count][used++] = (char)tolower((unsigned char)from[i]);
    w->word[w->count][used] = '\0';
    w->count += used > 0;
    return true;
}

static bool split_words(const char *text, size_t bytes, struct words *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t at = 0; at < bytes;) {
        size_t from = at;
        while (at < bytes && word_byte(text[at]))
            at++;
        if (at > from && !add_word(ret, text + from, at - from))
            return false;
        at += at == from;
    }
    return true;
}

static bool is_one_of(const char *word, const char *list)
{
    size_t bytes = strlen(word);
    for (const char *at = list; *at;) {
        size_t count = strcspn(at, " ");
        if (count == bytes && memcmp(at, word, bytes) == 0)
            return true;
        at += count + (at[count] == ' ');
    }
    return false;
}

/* Whether a word of the clause is one of the list. */
static bool has(const struct words *w, const char *list)
{
    for (size_t i = 0; i < w->count; i++)
        if (is_one_of(w->word[i], list))
            return true;
    return false;
}

static bool follows(const struct words *w, const char *first, const char *second)
{
    for (size_t i = 0; i + 1 < w->count; i++)
        if (is_one_of(w->word[i], first) && is_one_of(w->word[i + 1], second))
            return true;
    return false;
}

/* --- places --- */

static bool whole_number(const char *word, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(word, &end, 10);
    *ret = (unsigned)n;
    return isdigit((unsigned char)word[0]) && *end == '\0' && n >= 1 && n <= 65535;
}

/* "7-4": cluster 4 of sector 7. */
static bool pair_of_numbers(const char *word, unsigned *sector, unsigned *cluster)
{
    char *end;
    if (!isdigit((unsigned char)word[0]))
        return false;
    unsigned long a = strtoul(word, &end, 10);
    if (*end != '-' || !isdigit((unsigned char)end[1]))
        return false;
    unsigned long b = strtoul(end + 1, &end, 10);
    *sector = (unsigned)a;
    *cluster = (unsigned)b;
    return *end == '\0' && a >= 1 && a <= 65535 && b >= 1 && b <= 65535;
}

static void append(char *ret, size_t size, const char *text)
{
    size_t used = strlen(ret);
    if (used + strlen(text) + 2 < size)
        snprintf(ret + used, size - used, "%s%s", used ? "," : "", text);
}

/* "cluster 4" of a sector that was named before, or 0. */
static size_t named_tier(const struct words *w, size_t i, unsigned *sector, char *ret, size_t size)
{
    char text[UNIT_TEXT_MAX];
    unsigned n = 0, k = 0;
    const char *next = i + 1 < w->count ? w->word[i + 1] : "";
    if (is_one_of(w->word[i], "sector sectors") && whole_number(next, &n)) {
        *sector = n;
        const char *tier = i + 2 < w->count ? w->word[i + 2] : "";
        bool deeper = is_one_of(tier, "cluster clusters") && i + 3 < w->count &&
                      whole_number(w->word[i + 3], &k);
        unit_format(deeper ? unit_cluster(n, k) : unit_sector(n), text);
        append(ret, size, text);
        return deeper ? 4 : 2;
    }
    if (is_one_of(w->word[i], "cluster clusters") && pair_of_numbers(next, &n, &k)) {
        unit_format(unit_cluster(n, k), text);
        append(ret, size, text);
        return 2;
    }
    if (is_one_of(w->word[i], "cluster clusters") && *sector && whole_number(next, &k)) {
        unit_format(unit_cluster(*sector, k), text);
        append(ret, size, text);
        return 2;
    }
    return 0;
}

/* A word that can only be meant as a place: s07, s07.c4.a12, sector-7, s[01-10].c3. */
static bool place_word(const char *word)
{
    return (word[0] == 's' && (isdigit((unsigned char)word[1]) || word[1] == '[')) ||
           strncmp(word, "sector-", 7) == 0 ||
           (strncmp(word, "sector", 6) == 0 && isdigit((unsigned char)word[6]));
}

/* All places that the clause names, joined; "" without any. */
static void places_of(const struct words *w, char *ret, size_t size)
{
    unsigned sector = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < w->count;) {
        size_t taken = named_tier(w, i, &sector, ret, size);
        if (taken == 0 && place_word(w->word[i]))
            append(ret, size, w->word[i]);
        i += taken ? taken : 1;
    }
}

static bool places_exist(const char *places, const struct topology *t,
                         char error[COMMAND_ERROR_MAX])
{
    struct place_set set;
    size_t at = 0;
    const char *why = NULL;
    if (place_parse(places, strlen(places), t, &set, &at, &why))
        return true;
    snprintf(error, COMMAND_ERROR_MAX, "'%.80s': %s", places, why);
    return false;
}

/* --- facts --- */

/* The bytes of conditions on facts that begin here, as os=debian12,gpu!=*; 0: none do. */
static size_t fact_bytes(const char *text)
{
    size_t n = strcspn(text, " \t\r\n;");
    while (n > 0 && strchr(",?!.", text[n - 1]) != NULL)
        n--;
    bool condition = false;
    for (size_t i = 1; i < n; i++)
        condition = condition || strchr("=<>", text[i]) != NULL;
    return condition && isalpha((unsigned char)text[0]) ? n : 0;
}

/* Moves the conditions of a clause to `facts`, joined; `text` keeps the other words. */
static bool take_facts(char *text, char facts[WHERE_BYTES_MAX], char error[COMMAND_ERROR_MAX])
{
    char all[GRAMMAR_TEXT_MAX] = "";
    size_t at = 0;
    for (char *word = text; *word;) {
        size_t n = fact_bytes(word);
        if (n > 0) {
            size_t used = strlen(all);
            snprintf(all + used, sizeof all - used, "%s%.*s", used ? "," : "", (int)n, word);
            memset(word, ' ', n);
        }
        word += n > 0 ? n : strcspn(word, " ");
        word += strspn(word, " ");
    }
    const char *why = all[0] ? where_read(all, facts, &at) : NULL;
    if (why)
        snprintf(error, COMMAND_ERROR_MAX, "'%.80s' at character %zu: %s", all, at + 1, why);
    return !why;
}

/* --- intents --- */

struct reading {
    const struct words *w;
    const struct topology *t;
    const struct subject *subject;
    char places[256];            /* named in the clause */
    char facts[WHERE_BYTES_MAX]; /* asked for in the clause, as --where takes them */
    bool facts_taken;
    char *error;
};

static bool lacks(const struct reading *r, const char *what)
{
    snprintf(r->error, COMMAND_ERROR_MAX, "%s", what);
    return false;
}

static const char *meant(const struct reading *r)
{
    return r->places[0] ? r->places : r->subject->places;
}

/* The places of a clause that asks for facts are those that it names, not what was spoken of. */
static void with_facts(struct reading *r, const char *verb, const char *flags, char *ret)
{
    const char *places = r->facts[0] ? r->places : meant(r);
    bool quoted = r->facts[strcspn(r->facts, "<>*?!")] != '\0';
    r->facts_taken = true;
    snprintf(ret, GRAMMAR_LINE_MAX, "%s%s%s%s%s%s%s%s", verb, places[0] ? " " : "", places,
             r->facts[0] ? " --where " : "", quoted ? "'" : "", r->facts, quoted ? "'" : "", flags);
}

static bool route_around(struct reading *r, char *ret)
{
    const char *undo = has(r->w, "undo restore unroute back stop again") ? " --undo" : "";
    if (!meant(r)[0] && !r->facts[0])
        return lacks(r, "route around whom? name agents, or ask about a sector first");
    with_facts(r, "route-around", undo, ret);
    return true;
}

static bool stuck(struct reading *r, char *ret)
{
    with_facts(r, "stuck", "", ret);
    return true;
}

static const char *class_word(const struct words *w)
{
    static const char *const words[CLASS_COUNT] = {[CLASS_A_EDGE] = "edge",
                                                   [CLASS_B_SERVERLESS] = "serverless",
                                                   [CLASS_C_PERSISTENT] = "servers",
                                                   [CLASS_D_GPU] = "gpu gpus",
                                                   [CLASS_E_LOCAL] = "pi pis raspberry",
                                                   [CLASS_F_HUMAN] = "people humans"};
    for (size_t i = 0; i < w->count; i++)
        for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
            char name[WORD_MAX];
            size_t k = 0;
            for (const char *at = class_name(c); *at && k + 1 < sizeof name; at++)
                name[k++] = (char)tolower((unsigned char)*at);
            name[k] = '\0';
            if (strcmp(w->word[i], name) == 0 || is_one_of(w->word[i], words[c]))
                return class_name(c);
        }
    return "";
}

static bool reassign(const struct reading *r, char *ret)
{
    const char *to = class_word(r->w);
    to = r->places[0] ? r->places : to[0] ? to : r->subject->home_class;
    if (!r->subject->operation[0])
        return lacks(r, "reassign which task? ask first what they are stuck on");
    snprintf(ret, GRAMMAR_LINE_MAX, "reassign %s%s%s", r->subject->operation, to[0] ? " --to " : "",
             to);
    return true;
}

static bool fix_mapping(const struct reading *r, char *ret)
{
    if (!r->subject->capability[0] || !r->subject->wrong_class[0])
        return lacks(r, "fix which mapping? ask first what they are stuck on");
    snprintf(ret, GRAMMAR_LINE_MAX, "mapping exclude %s --class %s", r->subject->capability,
             r->subject->wrong_class);
    return true;
}

/* freeze, thaw and heal of a named place; without one it is never the whole mesh by accident. */
static bool scoped(const struct reading *r, const char *verb, const char *flags, char *ret)
{
    bool all = has(r->w, "all everything everyone mesh");
    const char *scope = r->places[0] ? r->places : all ? "all" : r->subject->scope;
    if (!scope[0]) {
        snprintf(r->error, COMMAND_ERROR_MAX, "%s what? a sector, a cluster, or 'the mesh'", verb);
        return false;
    }
    bool automatic = strcmp(verb, "heal") == 0 && strcmp(scope, "all") == 0;
    snprintf(ret, GRAMMAR_LINE_MAX, "%s %s%s", verb, automatic ? "auto" : scope, flags);
    return true;
}

/* A word that is a capability of this mesh, also with blanks or dashes: "local state". */
static const char *capability_word(const struct reading *r)
{
    for (unsigned bit = 0; bit < r->t->capability_count; bit++) {
        const char *name = r->t->capabilities[bit];
        for (size_t i = 0; i < r->w->count; i++) {
            char pair[2 * WORD_MAX];
            snprintf(pair, sizeof pair, "%s-%s", r->w->word[i],
                     i + 1 < r->w->count ? r->w->word[i + 1] : "");
            if (strcmp(r->w->word[i], name) == 0 || strcmp(pair, name) == 0)
                return name;
        }
    }
    return "";
}

/* The slowest of all, or of a place: the slowest first. */
static bool slowest(struct reading *r, char *ret)
{
    const char *class = class_word(r->w);
    snprintf(ret, GRAMMAR_LINE_MAX, "top --once --limit 10%s%s%s%s", class[0] ? " --class " : "",
             class, r->places[0] ? " --on " : "", r->places);
    return true;
}

static bool find(struct reading *r, char *ret)
{
    const char *class = class_word(r->w);
    const char *capability = capability_word(r);
    const char *state = "";
    static const char *const states[] = {"offline", "suspect", "degraded", "quarantined", "frozen"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (has(r->w, states[i]))
            state = states[i];
    if (has(r->w, "quarantine"))
        state = "quarantined";
    if (has(r->w, "dead down missing away"))
        state = "offline";
    bool slow = has(r->w, "slow slower slowest");
    char verb[GRAMMAR_LINE_MAX];
    snprintf(verb, sizeof verb, "find%s%s%s%s%s%s%s%s%s", class[0] ? " --class " : "", class,
             capability[0] ? " --capability " : "", capability, state[0] ? " --state " : "", state,
             r->places[0] ? " --on " : "", r->places, slow ? " --slower 500" : "");
    bool quoted = r->facts[strcspn(r->facts, "<>*?!")] != '\0';
    r->facts_taken = true;
    snprintf(ret, GRAMMAR_LINE_MAX, "%.250s%s%s%s%s --limit 10", verb,
             r->facts[0] ? " --where " : "", quoted ? "'" : "", r->facts, quoted ? "'" : "");
    return true;
}

/* When could whom be READY? */
static bool when(struct reading *r, char *ret)
{
    const char *class = class_word(r->w);
    bool quoted = r->facts[strcspn(r->facts, "<>*?!")] != '\0';
    r->facts_taken = true;
    snprintf(ret, GRAMMAR_LINE_MAX, "when%s%s%s%s%s%s%s%s", class[0] ? " --class " : "", class,
             r->places[0] ? " --on " : "", r->places, r->facts[0] ? " --where " : "",
             quoted ? "'" : "", r->facts, quoted ? "'" : "");
    return true;
}

static bool happening(const struct reading *r, char *ret)
{
    const char *scope = r->places;
    bool mesh = has(r->w, "mesh everything all overall");
    if (!scope[0] && !mesh && has(r->w, "there it they them"))
        scope = r->subject->scope;
    struct unit u;
    const char *why = NULL;
    if (scope[0] && unit_parse(scope, strlen(scope), &u, &why) && u.tier == TIER_AGENT)
        snprintf(ret, GRAMMAR_LINE_MAX, "agent %s", scope);
    else if (strchr(scope, ','))
        snprintf(ret, GRAMMAR_LINE_MAX, "sectors --on %s", scope);
    else
        snprintf(ret, GRAMMAR_LINE_MAX, "%s%s", scope[0] ? "diagnose " : "status", scope);
    return true;
}

/* Which intent; false with an error, or without one when nothing fits. */
static bool intent(struct reading *r, char *ret)
{
    const struct words *w = r->w;
    bool routing = follows(w, "route routing steer go work", "around") || has(w, "avoid bypass") ||
                   (has(w, "route routing traffic") && has(w, "undo restore back"));
    if (has(w, "reassign reassigned") || (has(w, "move hand give") && has(w, "task tasks work it")))
        return reassign(r, ret);
    if (has(w, "mapping mappings") || (has(w, "fix correct") && has(w, "capability capabilities")))
        return fix_mapping(r, ret);
    if (routing || follows(w, "stop", "avoiding") || follows(w, "restore", "them it"))
        return route_around(r, ret);
    if (has(w, "stuck waiting hanging hung hang busy blocked") ||
        follows(w, "working waits wait", "on for"))
        return stuck(r, ret);
    if (has(w, "freeze pause halt"))
        return scoped(r, "freeze", " --yes", ret);
    if (has(w, "thaw unfreeze resume"))
        return scoped(r, "thaw", "", ret);
    if (has(w, "heal recover repair"))
        return scoped(r, "heal", " --yes", ret);
    if (has(w, "kpi kpis metrics targets"))
        return snprintf(ret, GRAMMAR_LINE_MAX, "kpi") > 0;
    if (has(w, "conflict conflicts"))
        return snprintf(ret, GRAMMAR_LINE_MAX, "conflicts%s%s", r->places[0] ? " --on " : "",
                        strchr(r->places, ',') ? "" : r->places) > 0;
    if (has(w, "audit") || (has(w, "who") && has(w, "did commanded ordered")))
        return snprintf(ret, GRAMMAR_LINE_MAX, "audit") > 0;
    if (has(w, "when") && has(w, "ready"))
        return when(r, ret);
    if (has(w, "slowest") && !r->facts[0])
        return slowest(r, ret);
    if (has(w, "who which") || (has(w, "find list show") && has(w, "agents agent slow slowest")) ||
        (r->facts[0] && !has(w, "sectors sector")))
        return find(r, ret);
    if (has(w, "sectors") && !r->places[0])
        return snprintf(ret, GRAMMAR_LINE_MAX, "sectors") > 0;
    if (has(w, "happening status going hows whats doing health healthy state report look how "
               "problem problems wrong why") ||
        (has(w, "what") && has(w, "with about up in")) || (has(w, "show") && r->places[0]))
        return happening(r, ret);
    return false;
}

/* --- clauses --- */

#define YES    "yes yeah yep yup sure ok okay y affirmative confirm confirmed proceed agreed"
#define NO     "no nope nah n never dont cancel abort"
#define OPENER "and then also now please just so well hey"
#define FILLER "and then also now please just the a for to us me so well hey mesh cecilia ok okay"

/* Takes "yes", "do it", "go ahead" off the front. */
static void take_yes(struct words *w)
{
    size_t from = 0;
    while (from < w->count && is_one_of(w->word[from], OPENER))
        from++;
    for (;;) {
        if (from < w->count && is_one_of(w->word[from], YES)) {
            w->agreed = true;
            from++;
        } else if (from + 1 < w->count &&
                   ((is_one_of(w->word[from], "do") &&
                     is_one_of(w->word[from + 1], "it that so")) ||
                    (is_one_of(w->word[from], "go") &&
                     is_one_of(w->word[from + 1], "ahead for on")) ||
                    (is_one_of(w->word[from], "make") && is_one_of(w->word[from + 1], "it")))) {
            w->agreed = true;
            from += 2;
        } else {
            break;
        }
    }
    memmove(w->word[0], w->word[from], (w->count - from) * sizeof w->word[0]);
    w->count -= from;
}

static bool only_filler(const struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (!is_one_of(w->word[i], FILLER))
            return false;
    return true;
}

static bool is_place(const char *text, const struct topology *t)
{
    struct place_set set;
    size_t at = 0;
    const char *why = NULL;
    return strchr("@!*", text[0]) || is_one_of(text, "all mesh global auto") ||
           place_parse(text, strlen(text), t, &set, &at, &why);
}

/* "heal it" and "reassign the task" have the form of a command line, and are none. */
static bool means_itself(const struct invocation *in, const struct topology *t)
{
    struct id128 id;
    const struct value *first = &in->values[0];
    switch ((int)in->spec->verb) {
    case CMD_REASSIGN:
        return num_id128_parse(first->text, strlen(first->text), &id);
    case CMD_FREEZE:
    case CMD_THAW:
    case CMD_HEAL:
    case CMD_ROUTE_AROUND:
    case CMD_MOVE:
    case CMD_STUCK:
    case CMD_DIAGNOSE:
        return !first->given || is_place(first->text, t);
    default:
        return in->spec->verb != CMD_SAY;
    }
}

/* A text that is a command line of the table as it stands. */
static bool is_command(const char *text, const struct topology *t)
{
    static struct invocation in;
    static char room[GRAMMAR_TEXT_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    char error[COMMAND_ERROR_MAX];
    size_t count = 0;
    if (!command_split(text, room, sizeof room, words, &count, &why) || count == 0)
        return false;
    return command_parse(words, count, &in, error) && means_itself(&in, t);
}

static bool add_clause(struct utterance *u, enum act act, const char *line,
                       char error[COMMAND_ERROR_MAX])
{
    if (u->count == GRAMMAR_CLAUSES_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "more than %u wishes at once", GRAMMAR_CLAUSES_MAX);
        return false;
    }
    struct clause *c = &u->clauses[u->count++];
    c->act = act;
    snprintf(c->line, sizeof c->line, "%s", line);
    return true;
}

static bool read_clause(const char *text, size_t bytes, const struct topology *t,
                        const struct subject *subject, struct utterance *ret,
                        char error[COMMAND_ERROR_MAX])
{
    struct words w;
    struct reading r = {.w = &w, .t = t, .subject = subject, .error = error};
    char line[GRAMMAR_LINE_MAX] = "", rest[GRAMMAR_TEXT_MAX];
    snprintf(rest, sizeof rest, "%.*s", (int)bytes, text);
    if (!take_facts(rest, r.facts, error))
        return false;
    if (!split_words(rest, strlen(rest), &w)) {
        snprintf(error, COMMAND_ERROR_MAX, "'%.40s..' is too long to understand", text);
        return false;
    }
    take_yes(&w);
    if (w.agreed && !add_clause(ret, ACT_YES, "", error))
        return false;
    if (!r.facts[0] && (w.count == 0 || only_filler(&w)))
        return true;
    places_of(&w, r.places, sizeof r.places);
    if (r.places[0] && !places_exist(r.places, t, error))
        return false;
    if (is_one_of(w.word[0], NO) && (w.count <= 3 || follows(&w, "never", "mind")))
        return add_clause(ret, ACT_NO, "", error);
    error[0] = '\0';
    if (!intent(&r, line)) {
        ret->unknown = !error[0];
        if (!error[0])
            snprintf(error, COMMAND_ERROR_MAX,
                     "not understood: '%.*s'; try \"what's happening in sector 7?\", or 'help'",
                     bytes < 60 ? (int)bytes : 60, text);
        return false;
    }
    if (r.facts[0] && !r.facts_taken) {
        snprintf(error, COMMAND_ERROR_MAX, "'%.60s' chooses agents by facts, and '%.60s' does not",
                 r.facts, line);
        return false;
    }
    return add_clause(ret, ACT_COMMAND, line, error);
}

/* Whether a place comes next: then "and" and a comma join places, and no clause ends. */
static bool place_begins(const char *text)
{
    char word[WORD_MAX];
    text += strspn(text, " ");
    size_t bytes = strcspn(text, " ,;?!");
    if (bytes == 0 || bytes >= sizeof word)
        return false;
    for (size_t i = 0; i < bytes; i++)
        word[i] = (char)tolower((unsigned char)text[i]);
    word[bytes] = '\0';
    return place_word(word) || is_one_of(word, "sector sectors cluster clusters");
}

/* The end of the clause that begins at `text`: *ret_next is where the next one begins. */
static size_t clause_end(const char *text, const char **ret_next)
{
    size_t i = 0;
    for (; text[i]; i++) {
        bool blank = i > 0 && isspace((unsigned char)text[i - 1]);
        if (blank || i == 0)
            i += fact_bytes(text + i);
        if (!text[i])
            break;
        bool stop =
            strchr(",;?!\n", text[i]) != NULL ||
            (text[i] == '.' && (text[i + 1] == '\0' || isspace((unsigned char)text[i + 1])));
        /* s07.c4.a12,s07.c4.a19 is one word */
        bool list = text[i] == ',' && place_begins(text + i + 1);
        if (stop && !list) {
            *ret_next = text + i + 1;
            return i;
        }
        if (blank && strncmp(text + i, "and ", 4) == 0 && !place_begins(text + i + 4)) {
            *ret_next = text + i + 4;
            return i;
        }
        if (blank && strncmp(text + i, "then ", 5) == 0) {
            *ret_next = text + i + 5;
            return i;
        }
    }
    *ret_next = text + i;
    return i;
}

bool grammar_read(const char *text, const struct topology *t, const struct subject *subject,
                  struct utterance *ret, char error[COMMAND_ERROR_MAX])
{
    assert(text && t && subject);
    assert(ret && error);
    memset(ret, 0, sizeof *ret);
    if (strlen(text) >= GRAMMAR_TEXT_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "%zu bytes; %u at most", strlen(text),
                 GRAMMAR_TEXT_MAX - 1);
        return false;
    }
    if (strlen(text) < GRAMMAR_LINE_MAX && is_command(text, t))
        return add_clause(ret, ACT_COMMAND, text, error);
    for (const char *at = text; *at;) {
        const char *next = NULL;
        size_t bytes = clause_end(at, &next);
        if (!read_clause(at, bytes, t, subject, ret, error))
            return false;
        at = next;
    }
    if (ret->count > 0)
        return true;
    snprintf(error, COMMAND_ERROR_MAX, "nothing was said");
    return false;
}

bool grammar_speaks(const char *text, const struct topology *t, const struct subject *subject)
{
    static struct utterance u;
    char error[COMMAND_ERROR_MAX];
    return grammar_read(text, t, subject, &u, error);
}
