/* Reading scenario files: one statement a line, words separated by blanks, `"..."` for words with
 * blanks, `#` to the end of the line. Everything that is not understood is refused with file, line
 * and reason; nothing is guessed, nothing is ignored. */
#include "core/num.h"
#include "sim/scenario.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX      40u
#define LINE_MAX_BYTES 1024u
#define ONCE           10u /* statements that may be there once */
#define TIME_MAX_US    (100000ll * 3600 * US_PER_S)

struct reader {
    const char *path;
    FILE *errors;
    struct scenario *s;
    uint32_t line;
    char text[LINE_MAX_BYTES];
    char *words[WORDS_MAX];
    uint32_t count, at;
    uint32_t said; /* bits: statements that were there already */
    bool failed;
};

static bool refuse(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says it once, for the first fault of the file. Always false. */
static bool refuse(struct reader *r, const char *format, ...)
{
    if (!r->failed) {
        va_list args;
        fprintf(r->errors, "%s:%u: ", r->path, r->line);
        va_start(args, format);
        vfprintf(r->errors, format, args);
        va_end(args);
        fputc('\n', r->errors);
    }
    r->failed = true;
    return false;
}

/* --- words --- */

static bool split(struct reader *r)
{
    char *p = r->text;
    r->count = r->at = 0;
    for (;;) {
        while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
            p++;
        }
        if (*p == '\0' || *p == '#') {
            return true;
        }
        if (r->count == WORDS_MAX) {
            return refuse(r, "more than %u words", WORDS_MAX);
        }
        bool quoted = *p == '"';
        p += quoted ? 1 : 0;
        r->words[r->count++] = p;
        while (*p != '\0' && (quoted ? *p != '"' : strchr(" \t\r\n", *p) == NULL)) {
            p++;
        }
        if (quoted && *p != '"') {
            return refuse(r, "the quote is not closed");
        }
        if (!quoted && memchr(r->words[r->count - 1], '"', (size_t)(p - r->words[r->count - 1]))) {
            return refuse(r, "a quote in the middle of a word");
        }
        if (*p != '\0') {
            *p++ = '\0';
        }
    }
}

static const char *peek(const struct reader *r)
{
    return r->at < r->count ? r->words[r->at] : NULL;
}

/* The next word, when it is this one. */
static bool accept(struct reader *r, const char *word)
{
    if (peek(r) != NULL && strcmp(peek(r), word) == 0) {
        r->at++;
        return true;
    }
    return false;
}

static const char *next(struct reader *r, const char *what)
{
    if (r->at == r->count) {
        (void)refuse(r, "%s is missing", what);
        return NULL;
    }
    return r->words[r->at++];
}

/* No 0x10, no infinity. */
static bool plain(const char *word)
{
    size_t digits = strspn(word, "+-.0123456789");
    return digits > 0 && word[digits] != 'x' && word[digits] != 'X';
}

static bool number(struct reader *r, const char *what, double least, double most, double *ret)
{
    const char *word = next(r, what);
    char *end = NULL;
    if (word == NULL) {
        return false;
    }
    double v = plain(word) ? strtod(word, &end) : 0;
    if (end == NULL || end == word || *end != '\0' || !isfinite(v)) {
        return refuse(r, "%s: '%s' is not a number", what, word);
    }
    if (v < least || v > most) {
        return refuse(r, "%s: %s is not within %g and %g", what, word, least, most);
    }
    *ret = v;
    return true;
}

static bool count(struct reader *r, const char *what, uint32_t least, uint32_t most, uint32_t *ret)
{
    double v;
    if (!number(r, what, least, most, &v)) {
        return false;
    }
    if (v != floor(v)) {
        return refuse(r, "%s: not a whole number", what);
    }
    *ret = (uint32_t)v;
    return true;
}

static bool duration(struct reader *r, const char *what, int64_t *ret)
{
    static const struct {
        const char *suffix;
        double us;
    } units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}};
    const char *word = next(r, what);
    char *end = NULL;
    if (word == NULL) {
        return false;
    }
    double v = plain(word) ? strtod(word, &end) : 0;
    for (unsigned i = 0; end != NULL && i < sizeof(units) / sizeof(units[0]); i++) {
        if (end != word && strcmp(end, units[i].suffix) == 0) {
            double us = v * units[i].us;
            if (!(us >= 0) || us > (double)TIME_MAX_US) {
                return refuse(r, "%s: %s is out of range", what, word);
            }
            *ret = (int64_t)(us + 0.5);
            return true;
        }
    }
    return refuse(r, "%s: '%s' is no duration (as in 250ms, 12s, 5m)", what, word);
}

static bool span(struct reader *r, const char *what, int64_t *ret)
{
    return duration(r, what, ret) && (*ret > 0 || refuse(r, "%s: 0 is nothing", what));
}

static bool unit(struct reader *r, struct unit *ret)
{
    const char *why = NULL, *word = next(r, "the unit");
    if (word == NULL) {
        return false;
    }
    if (!unit_parse(word, strlen(word), ret, &why)) {
        return refuse(r, "unit '%s': %s", word, why);
    }
    return true;
}

static bool text(struct reader *r, const char *what, char *ret, size_t size)
{
    const char *word = next(r, what);
    if (word == NULL) {
        return false;
    }
    if (strlen(word) >= size) {
        return refuse(r, "%s: longer than %zu bytes", what, size - 1);
    }
    for (const char *p = word; *p != '\0'; p++) {
        if ((unsigned char)*p < 32) {
            return refuse(r, "%s: a control character", what);
        }
    }
    strcpy(ret, word);
    return true;
}

static bool at_end(struct reader *r)
{
    return r->at == r->count || refuse(r, "'%s' is not expected here", peek(r));
}

/* --- statements about the mesh --- */

static bool read_mesh(struct reader *r)
{
    uint32_t sectors, clusters, agents;
    if (r->s->act_count + r->s->expect_count + r->s->broken_count > 0) {
        return refuse(r, "the mesh comes before what is done to it");
    }
    if (!accept(r, "sectors")) {
        return refuse(r, "mesh: 'sectors N clusters N agents N' is wanted");
    }
    if (!count(r, "sectors", 1, SECTORS_MAX, &sectors)) {
        return false;
    }
    if (!accept(r, "clusters")) {
        return refuse(r, "mesh: 'clusters N' is missing");
    }
    if (!count(r, "clusters", 1, CLUSTERS_PER_SECTOR_MAX, &clusters)) {
        return false;
    }
    if (!accept(r, "agents")) {
        return refuse(r, "mesh: 'agents N' (in a cluster) is missing");
    }
    return count(r, "agents", 1, AGENTS_PER_CLUSTER_MAX, &agents) &&
           (scenario_shape(r->s, sectors, clusters, agents) ||
            refuse(r, "mesh: no such shape is possible"));
}

static bool read_class(struct reader *r)
{
    struct topology *t = &r->s->conf.topology;
    uint32_t sum = 0;
    memset(t->class_agents, 0, sizeof(t->class_agents));
    while (peek(r) != NULL) {
        const char *word = next(r, "a class");
        enum impedance_class c = class_parse(word, strlen(word));
        if (c == CLASS_NONE) {
            return refuse(r, "'%s' is no class (A to F)", word);
        }
        if (t->class_agents[c] > 0) {
            return refuse(r, "class %s is there twice", word);
        }
        if (!count(r, "agents of the class", 1, t->agents, &t->class_agents[c])) {
            return false;
        }
        sum += t->class_agents[c];
    }
    r->s->classes = true;
    return sum == t->agents ||
           refuse(r, "the classes have %u agents, the mesh has %u", sum, t->agents);
}

static bool read_loss(struct reader *r)
{
    bool any = false;
    for (; peek(r) != NULL; any = true) {
        uint32_t *into = accept(r, "agents")  ? &r->s->conf.agent_loss_permille
                         : accept(r, "tiers") ? &r->s->conf.tier_loss_permille
                                              : NULL;
        if (into == NULL) {
            return refuse(r, "loss: 'agents PERMILLE' or 'tiers PERMILLE' is wanted");
        }
        if (!count(r, "loss", 0, 900, into)) {
            return false;
        }
    }
    return any || refuse(r, "loss of what?");
}

/* Every end of the mesh keeps what it knows of every unit: not for large meshes. */
static bool read_processes(struct reader *r)
{
    return count(r, "how many processes a tier has", 1, WORLD_PROCESSES_MAX, &r->s->conf.processes);
}

static bool read_heal(struct reader *r)
{
    struct scenario *s = r->s;
    if (!duration(r, "time of the heal", &s->heal_us)) {
        return false;
    }
    if (s->heal_us == 0) {
        return refuse(r, "heal: 0s is no time for it");
    }
    if (accept(r, "broken")) {
        do {
            if (s->broken_count == SCENARIO_BROKEN_MAX) {
                return refuse(r, "more than %u broken units", SCENARIO_BROKEN_MAX);
            }
            if (!unit(r, &s->broken[s->broken_count])) {
                return false;
            }
            s->broken_count++;
        } while (peek(r) != NULL);
    }
    return true;
}

/* --- acts --- */

static const struct {
    const char *name;
    uint32_t fields;
} kinds[ACT_KIND_COUNT] = {[ACT_NONE] = {"?", 0},
#define ACT_ROW(id, name, fields) [id] = {name, fields},
                           ACT_LIST(ACT_ROW)};

const char *act_name(enum act_kind kind)
{
    return kinds[kind < ACT_KIND_COUNT ? kind : ACT_NONE].name;
}

uint32_t act_fields(enum act_kind kind)
{
    return kinds[kind < ACT_KIND_COUNT ? kind : ACT_NONE].fields;
}

static bool read_classes_mask(struct reader *r, uint32_t *ret)
{
    const char *word = next(r, "classes");
    if (word == NULL) {
        return false;
    }
    for (const char *p = word; *p != '\0';) {
        size_t n = strcspn(p, ",");
        enum impedance_class c = class_parse(p, n);
        if (c == CLASS_NONE) {
            return refuse(r, "'%.*s' is no class (A to F)", (int)n, p);
        }
        *ret |= 1u << c;
        p += n + (p[n] == ',' ? 1 : 0);
    }
    return true;
}

static bool read_places(struct reader *r, struct act *a)
{
    struct place_set set;
    size_t at;
    const char *why;
    if (!text(r, "places", a->places, sizeof(a->places))) {
        return false;
    }
    return place_parse(a->places, strlen(a->places), &r->s->conf.topology, &set, &at, &why) ||
           refuse(r, "places '%s' at %zu: %s", a->places, at, why);
}

static bool read_option(struct reader *r, struct act *a)
{
    const char *word = next(r, "an option");
    uint32_t v = 0;
    bool good = true;
    if (strcmp(word, "on") == 0) {
        good = read_places(r, a);
    } else if (strcmp(word, "class") == 0) {
        good = read_classes_mask(r, &a->class_mask);
    } else if (strcmp(word, "needs") == 0) {
        good =
            text(r, "capability", a->capability, sizeof(a->capability)) &&
            (topology_capability(&r->s->conf.topology, a->capability, strlen(a->capability)) >= 0 ||
             refuse(r, "needs: no agent of this mesh can '%s'", a->capability));
    } else if (strcmp(word, "sample") == 0) {
        good = count(r, "sample", 1, r->s->conf.topology.agents, &a->sample);
    } else if (strcmp(word, "priority") == 0) {
        good = count(r, "priority", 0, PRIORITY_COUNT - 1, &v);
        a->priority = (uint8_t)v;
    } else if (strcmp(word, "ttl") == 0) {
        good = span(r, "ttl", &a->ttl_us);
    } else if (strcmp(word, "timeout") == 0) {
        good = span(r, "timeout", &a->timeout_us);
    } else if (strcmp(word, "window") == 0) {
        good = span(r, "window", &a->window_us);
    } else if (strcmp(word, "no-ack") == 0) {
        a->no_ack = true;
    } else if (strcmp(word, "hedge") == 0) {
        a->hedge = true;
    } else if (strcmp(word, "via") == 0) {
        good = unit(r, &a->via);
    } else if (strcmp(word, "timing") == 0) {
        const char *name = next(r, "timing");
        good = name != NULL && (timing_parse(name, strlen(name), &a->timing) ||
                                refuse(r, "timing '%s': soon, by or at", name));
    } else if (strcmp(word, "strategy") == 0) {
        const char *name = next(r, "strategy");
        a->strategy = name == NULL ? CASCADE_NONE : strategy_parse(name, strlen(name));
        good = name != NULL && (a->strategy != CASCADE_NONE ||
                                refuse(r, "strategy '%s': wave, parallel or priority_first", name));
    } else {
        return refuse(r, "submit: '%s' is no option", word);
    }
    return good;
}

static bool read_operation(struct reader *r, struct act *a)
{
    a->priority = 2;
    if (!text(r, "the action", a->action, sizeof(a->action))) {
        return false;
    }
    if (accept(r, "payload") && !text(r, "payload", a->payload, sizeof(a->payload))) {
        return false;
    }
    while (peek(r) != NULL) {
        if (!read_option(r, a)) {
            return false;
        }
    }
    return true;
}

static bool read_last(struct reader *r, struct act *a, uint32_t fields)
{
    if (accept(r, "for")) {
        if (!duration(r, "how long", &a->for_us)) {
            return false;
        }
        return a->for_us > 0 || refuse(r, "%s: for 0s is nothing", act_name(a->kind));
    }
    return (fields & ACT_MUST_LAST) == 0 ||
           refuse(r, "%s: 'for DURATION' is missing", act_name(a->kind));
}

static bool read_lie(struct reader *r, enum world_lie *ret)
{
    const char *word = next(r, "the lie");
    for (unsigned l = 0; word != NULL && l < WORLD_LIE_COUNT; l++) {
        if (strcmp(word, lie_name((enum world_lie)l)) == 0) {
            *ret = (enum world_lie)l;
            return true;
        }
    }
    return word != NULL && refuse(r,
                                  "'%s' is no lie: forge, replay, equivocate, capability, flood, "
                                  "impedance or timing",
                                  word);
}

/* One bank of the store, or nothing: all of them. */
static void read_bank(struct reader *r, struct act *a)
{
    for (unsigned b = 0; b <= STORE_BANK_LOG && a->banks == 0; b++) {
        if (accept(r, bank_name((enum store_bank)b))) {
            a->banks = (uint8_t)(1u << b);
        }
    }
}

static bool read_act_words(struct reader *r, struct act *a)
{
    uint32_t fields = kinds[a->kind].fields;
    if ((fields & ACT_LABEL) != 0 && !text(r, "the label", a->label, sizeof(a->label))) {
        return false;
    }
    if ((fields & ACT_UNIT) != 0 && !unit(r, &a->unit)) {
        return false;
    }
    if ((fields & ACT_LIES) != 0 && !read_lie(r, &a->lie)) {
        return false;
    }
    if ((fields & ACT_BANK) != 0) {
        read_bank(r, a);
    }
    if ((fields & ACT_FACTOR) != 0 && !number(r, "factor", 0.001, 1000000, &a->factor)) {
        return false;
    }
    if ((fields & ACT_PERMILLE) != 0 && !count(r, "permille", 0, 1000, &a->permille)) {
        return false;
    }
    if ((fields & ACT_BY) != 0) {
        if (!accept(r, "by")) {
            return refuse(r, "%s: 'by DURATION' is missing", act_name(a->kind));
        }
        if (!duration(r, "by how much", &a->by_us)) {
            return false;
        }
    }
    if ((fields & ACT_OPERATION) != 0 && !read_operation(r, a)) {
        return false;
    }
    if ((fields & ACT_MAY_BELOW) != 0) {
        a->below = accept(r, "below");
    }
    return (fields & (ACT_MAY_LAST | ACT_MUST_LAST)) == 0 || read_last(r, a, fields);
}

static bool read_act(struct reader *r, int64_t at_us)
{
    struct scenario *s = r->s;
    const char *word = next(r, "what happens");
    if (word == NULL) {
        return false;
    }
    if (s->act_count == SCENARIO_ACTS_MAX) {
        return refuse(r, "more than %u acts", SCENARIO_ACTS_MAX);
    }
    struct act *a = &s->acts[s->act_count];
    *a = (struct act){.at_us = at_us, .line = r->line};
    for (unsigned k = ACT_NONE + 1; k < ACT_KIND_COUNT; k++) {
        if (strcmp(word, kinds[k].name) == 0) {
            a->kind = (enum act_kind)k;
        }
    }
    if (a->kind == ACT_NONE) {
        return refuse(r, "'%s' is nothing that can be done to a mesh", word);
    }
    if (!read_act_words(r, a)) {
        return false;
    }
    s->act_count++;
    return true;
}

/* every D from A to B ACT..: the same act again and again; labels get a number. */
static bool read_every(struct reader *r)
{
    int64_t step_us, from_us, to_us;
    if (!duration(r, "every how long", &step_us)) {
        return false;
    }
    if (step_us < US_PER_MS) {
        return refuse(r, "every: 1ms at least");
    }
    if (!accept(r, "from") || !duration(r, "from", &from_us)) {
        return refuse(r, "every: 'from TIME to TIME' is missing");
    }
    if (!accept(r, "to") || !duration(r, "to", &to_us)) {
        return refuse(r, "every: 'to TIME' is missing");
    }
    if (to_us < from_us) {
        return refuse(r, "every: it ends before it begins");
    }
    uint32_t words = r->at, n = 0;
    for (int64_t at = from_us; at <= to_us; at += step_us) {
        r->at = words;
        if (!read_act(r, at) || !at_end(r)) {
            return false;
        }
        struct act *a = &r->s->acts[r->s->act_count - 1];
        if (a->label[0] != '\0') {
            char label[LABEL_MAX + 16];
            snprintf(label, sizeof(label), "%s%u", a->label, ++n);
            if (strlen(label) >= LABEL_MAX) {
                return refuse(r, "label '%s' is too long", a->label);
            }
            memcpy(a->label, label, strlen(label) + 1);
        }
    }
    return true;
}

/* --- expectations --- */

static bool read_compare(struct reader *r, struct expectation *e)
{
    const char *word = next(r, "a comparison");
    if (word == NULL) {
        return false;
    }
    if (strcmp(word, ">=") == 0) {
        e->compare = COMPARE_LEAST;
    } else if (strcmp(word, "<=") == 0) {
        e->compare = COMPARE_MOST;
    } else if (strcmp(word, "=") == 0) {
        e->compare = COMPARE_EXACT;
    } else {
        return refuse(r, "'%s': >=, <= or = is wanted", word);
    }
    char *last = peek(r) == NULL ? NULL : r->words[r->at];
    if (last != NULL && last[0] != '\0' && last[strlen(last) - 1] == '%') {
        last[strlen(last) - 1] = '\0';
        e->percent = true;
    }
    return number(r, "the value", 0, e->percent ? 100 : 1e9, &e->value);
}

static bool read_when(struct reader *r, struct expectation *e)
{
    if (!accept(r, "at")) {
        return refuse(r, "'at TIME' is missing");
    }
    return duration(r, "at", &e->at_us) &&
           (!accept(r, "within") || duration(r, "within", &e->within_us));
}

static bool read_mode(struct reader *r, struct expectation *e)
{
    const char *word = next(r, "the mode");
    for (unsigned m = 0; word != NULL && m < MODE_COUNT; m++) {
        if (strcmp(word, mode_name((enum mode)m)) == 0) {
            e->mode = (enum mode)m;
            return read_when(r, e);
        }
    }
    return word != NULL && refuse(r, "'%s' is no mode", word);
}

static bool read_note(struct reader *r, struct expectation *e)
{
    const char *word = next(r, "the note");
    for (unsigned n = NOTE_NONE + 1; word != NULL && n < NOTE_COUNT; n++) {
        if (strcmp(word, note_info((enum note)n)->name) == 0) {
            e->note = (enum note)n;
        }
    }
    if (word == NULL || e->note == NOTE_NONE) {
        return word != NULL && refuse(r, "'%s' is no note", word);
    }
    if (accept(r, "at") && !unit(r, &e->unit)) {
        return false;
    }
    return read_compare(r, e);
}

static bool read_outcome(struct reader *r, struct expectation *e)
{
    if (!text(r, "the operation's label", e->label, sizeof(e->label))) {
        return false;
    }
    if (accept(r, "status")) {
        e->kind = EXPECT_STATUS;
        return text(r, "the status", e->word, sizeof(e->word));
    }
    const char *word = next(r, "an outcome");
    for (unsigned o = OUTCOME_READY; word != NULL && o < OUTCOME_COUNT; o++) {
        if (strcmp(word, outcome_name((enum outcome)o)) == 0) {
            e->outcome = (enum outcome)o;
            return read_compare(r, e);
        }
    }
    return word != NULL && refuse(r, "'%s' is no outcome", word);
}

static bool read_expect(struct reader *r)
{
    struct scenario *s = r->s;
    if (s->expect_count == SCENARIO_EXPECT_MAX) {
        return refuse(r, "more than %u expectations", SCENARIO_EXPECT_MAX);
    }
    struct expectation *e = &s->expects[s->expect_count];
    memset(e, 0, sizeof(*e)); /* compared whole, below */
    e->line = r->line;
    bool good;
    if (accept(r, "active") || accept(r, "sectors")) {
        e->kind = strcmp(r->words[r->at - 1], "active") == 0 ? EXPECT_ACTIVE : EXPECT_SECTORS;
        good = read_compare(r, e) && read_when(r, e);
        if (good && e->percent && e->kind == EXPECT_SECTORS) {
            return refuse(r, "sectors are counted, not shared");
        }
    } else if (accept(r, "availability")) {
        e->kind = EXPECT_AVAILABILITY;
        good = read_compare(r, e) &&
               (e->percent || refuse(r, "availability: a share, like >= 99.9%%"));
    } else if (accept(r, "mode")) {
        e->kind = EXPECT_MODE;
        good = read_mode(r, e);
    } else if (accept(r, "note")) {
        e->kind = EXPECT_NOTE;
        good = read_note(r, e);
    } else if (accept(r, "operation")) {
        e->kind = EXPECT_OUTCOME;
        good = read_outcome(r, e);
    } else {
        return refuse(r, "expect: active, sectors, mode, availability, note or operation");
    }
    for (uint32_t i = 0; good && i < s->expect_count; i++) {
        struct expectation other = s->expects[i];
        other.line = e->line;
        if (memcmp(&other, e, sizeof(other)) == 0) {
            return refuse(r, "the same is expected on line %u", s->expects[i].line);
        }
    }
    s->expect_count += good ? 1 : 0;
    return good;
}

/* --- the file --- */

/* Agents move by their hosts: a machine for each cluster. */
static bool read_spare(struct reader *r)
{
    struct topology *t = &r->s->conf.topology;
    uint32_t spare = 0;
    if (!count(r, "free places in each cluster", 1, AGENTS_PER_CLUSTER_MAX - t->agents_per_cluster,
               &spare)) {
        return false;
    }
    scenario_spare(r->s, spare);
    return true;
}

static bool read_name(struct reader *r)
{
    return text(r, "the name", r->s->name, sizeof(r->s->name));
}

static bool read_seed(struct reader *r)
{
    double seed = 0;
    bool good = number(r, "seed", 0, 9e15, &seed) &&
                (seed == floor(seed) || refuse(r, "seed: not a whole number"));
    r->s->conf.seed = (uint64_t)seed;
    return good;
}

static bool read_pending(struct reader *r)
{
    return count(r, "messages that wait for who stands still", 1, WORLD_PENDING_MOST,
                 &r->s->pending);
}

static bool read_run(struct reader *r)
{
    return duration(r, "how long", &r->s->run_us);
}

static bool read_at(struct reader *r)
{
    int64_t at_us = 0;
    return duration(r, "when", &at_us) && read_act(r, at_us);
}

/* The first ones once: what is said twice would be said in vain the first time. */
static bool read_statement(struct reader *r)
{
    static const struct {
        const char *word;
        bool (*read)(struct reader *r);
    } statements[] = {
        {"scenario", read_name}, {"seed", read_seed},       {"mesh", read_mesh},
        {"class", read_class},   {"loss", read_loss},       {"processes", read_processes},
        {"spare", read_spare},   {"pending", read_pending}, {"run", read_run},
        {"heal", read_heal},     {"at", read_at},           {"every", read_every},
        {"expect", read_expect}};
    for (unsigned i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (accept(r, statements[i].word)) {
            if (i < ONCE && (r->said >> i & 1u) != 0) {
                return refuse(r, "'%s' is there twice", statements[i].word);
            }
            r->said |= 1u << i;
            return statements[i].read(r);
        }
    }
    return refuse(r, "'%s' is no statement", peek(r));
}

/* The next line, of which there is at least a byte. What is no text is refused here. */
static bool read_line(struct reader *r, FILE *from)
{
    int c = 0;
    uint32_t n = 0;
    while (n < sizeof(r->text) - 1 && c != '\n' && (c = getc(from)) != EOF) {
        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 127) {
            return refuse(r, "byte %u is 0x%02x: this is no text", n + 1, (unsigned)c);
        }
        r->text[n++] = (char)c;
    }
    r->text[n] = '\0';
    return true;
}

bool scenario_parse(const char *path, FILE *from, struct scenario *ret, FILE *errors)
{
    assert(path != NULL && from != NULL && ret != NULL && errors != NULL);
    static struct reader r;
    r = (struct reader){.path = path, .errors = errors, .s = ret};
    bool any = false;
    scenario_init(ret);
    for (int c = getc(from); c != EOF; c = getc(from)) {
        (void)ungetc(c, from);
        r.line++;
        if (!read_line(&r, from)) {
            return false;
        }
        if (strlen(r.text) == sizeof(r.text) - 1 && r.text[sizeof(r.text) - 2] != '\n') {
            return refuse(&r, "a line of more than %zu bytes", sizeof(r.text) - 2);
        }
        if (!split(&r) || (r.count > 0 && (!read_statement(&r) || !at_end(&r)))) {
            return false;
        }
        any = any || r.count > 0;
    }
    if (ferror(from)) {
        return refuse(&r, "cannot be read: %s", strerror(errno));
    }
    if (!any) {
        return refuse(&r, "no statement in it: at least one is wanted, as 'run 30s'");
    }
    uint32_t line = r.line;
    const char *why = scenario_check(ret, &line);
    r.line = line;
    return why == NULL || refuse(&r, "%s", why);
}
