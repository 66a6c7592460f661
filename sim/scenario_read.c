/* Reading scenario files: the statements. Everything that is not understood is refused with file,
 * line and reason; nothing is guessed, nothing is ignored. */
#include "core/num.h"
#include "sim/scenario_words.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#define ONCE 10u /* statements that may be there once */

/* --- statements about the mesh --- */

static bool read_mesh(struct reader *r)
{
    uint32_t sectors, clusters, agents;
    const struct scenario *s = r->s;
    if (s->act_count + s->expect_count + s->broken_count > 0) {
        return reader_refuse(r, "the mesh comes before what is done to it");
    }
    if (s->classes || s->conf.topology.spare > 0) {
        return reader_refuse(r, "the mesh comes before its `class` and `spare`");
    }
    if (!reader_accept(r, "sectors")) {
        return reader_refuse(r, "mesh: 'sectors N clusters N agents N' is wanted");
    }
    if (!reader_count(r, "sectors", 1, SECTORS_MAX, &sectors)) {
        return false;
    }
    if (!reader_accept(r, "clusters")) {
        return reader_refuse(r, "mesh: 'clusters N' is missing");
    }
    if (!reader_count(r, "clusters", 1, CLUSTERS_PER_SECTOR_MAX, &clusters)) {
        return false;
    }
    if (!reader_accept(r, "agents")) {
        return reader_refuse(r, "mesh: 'agents N' (in a cluster) is missing");
    }
    return reader_count(r, "agents", 1, AGENTS_PER_CLUSTER_MAX, &agents) &&
           (scenario_shape(r->s, sectors, clusters, agents) ||
            reader_refuse(r, "mesh: no such shape is possible"));
}

static bool read_class(struct reader *r)
{
    struct topology *t = &r->s->conf.topology;
    uint32_t sum = 0;
    memset(t->class_agents, 0, sizeof(t->class_agents));
    while (reader_peek(r) != NULL) {
        const char *word = reader_next(r, "a class");
        enum impedance_class c = class_parse(word, strlen(word));
        if (c == CLASS_NONE) {
            return reader_refuse(r, "'%s' is no class (A to F)", word);
        }
        if (t->class_agents[c] > 0) {
            return reader_refuse(r, "class %s is there twice", word);
        }
        if (!reader_count(r, "agents of the class", 1, t->agents, &t->class_agents[c])) {
            return false;
        }
        sum += t->class_agents[c];
    }
    r->s->classes = true;
    return sum == t->agents ||
           reader_refuse(r, "the classes have %u agents, the mesh has %u", sum, t->agents);
}

static bool read_loss(struct reader *r)
{
    static const char *const whose[] = {"agents", "tiers"};
    uint32_t *const into[] = {&r->s->conf.agent_loss_permille, &r->s->conf.tier_loss_permille};
    bool said[2] = {false, false};
    while (reader_peek(r) != NULL) {
        unsigned i = reader_accept(r, whose[0]) ? 0 : reader_accept(r, whose[1]) ? 1 : 2;
        if (i == 2) {
            return reader_refuse(r, "loss: 'agents PERMILLE' or 'tiers PERMILLE' is wanted");
        }
        if (said[i]) {
            return reader_refuse(r, "loss: '%s' is there twice", whose[i]);
        }
        if (!reader_count(r, "loss", 0, 900, into[i])) {
            return false;
        }
        said[i] = true;
    }
    return said[0] || said[1] || reader_refuse(r, "loss of what?");
}

/* Every end of the mesh keeps what it knows of every unit: not for large meshes. */
static bool read_processes(struct reader *r)
{
    r->s->lines.processes = r->line;
    return reader_count(r, "how many processes a tier has", 1, WORLD_PROCESSES_MAX,
                        &r->s->conf.processes);
}

static bool read_heal(struct reader *r)
{
    struct scenario *s = r->s;
    s->lines.heal = r->line;
    if (!reader_duration(r, "time of the heal", &s->heal_us)) {
        return false;
    }
    if (s->heal_us == 0) {
        return reader_refuse(r, "heal: 0s is no time for it");
    }
    if (reader_accept(r, "broken")) {
        do {
            if (s->broken_count == SCENARIO_BROKEN_MAX) {
                return reader_refuse(r, "more than %u broken units", SCENARIO_BROKEN_MAX);
            }
            if (!reader_unit(r, &s->broken[s->broken_count])) {
                return false;
            }
            s->broken_count++;
        } while (reader_peek(r) != NULL);
    }
    return true;
}

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

/* --- options of an operation --- */

static bool read_classes(struct reader *r, struct act *a)
{
    const char *word = reader_next(r, "classes");
    if (word == NULL) {
        return false;
    }
    for (const char *p = word; p != NULL;) {
        size_t n = strcspn(p, ",");
        enum impedance_class c = class_parse(p, n);
        if (c == CLASS_NONE) {
            return reader_refuse(r, "'%.*s' is no class (A to F)", (int)n, p);
        }
        if ((a->class_mask >> c & 1u) != 0) {
            return reader_refuse(r, "class %.*s is there twice", (int)n, p);
        }
        a->class_mask |= 1u << c;
        p = p[n] == ',' ? p + n + 1 : NULL;
    }
    return true;
}

static bool read_places(struct reader *r, struct act *a)
{
    struct place_set set;
    size_t at;
    const char *why;
    if (!reader_text(r, "places", a->places, sizeof(a->places))) {
        return false;
    }
    return place_parse(a->places, strlen(a->places), &r->s->conf.topology, &set, &at, &why) ||
           reader_refuse(r, "places '%s' at %zu: %s", a->places, at, why);
}

static bool read_payload(struct reader *r, struct act *a)
{
    return reader_text(r, "payload", a->payload, sizeof(a->payload));
}

static bool read_needs(struct reader *r, struct act *a)
{
    const struct topology *t = &r->s->conf.topology;
    return reader_text(r, "capability", a->capability, sizeof(a->capability)) &&
           (topology_capability(t, a->capability, strlen(a->capability)) >= 0 ||
            reader_refuse(r, "needs: no agent of this mesh can '%s'", a->capability));
}

static bool read_sample(struct reader *r, struct act *a)
{
    return reader_count(r, "sample", 1, r->s->conf.topology.agents, &a->sample);
}

static bool read_priority(struct reader *r, struct act *a)
{
    uint32_t v = 0;
    bool good = reader_count(r, "priority", 0, PRIORITY_COUNT - 1, &v);
    a->priority = (uint8_t)v;
    return good;
}

static bool read_ttl(struct reader *r, struct act *a)
{
    return reader_span(r, "ttl", &a->ttl_us);
}

static bool read_timeout(struct reader *r, struct act *a)
{
    return reader_span(r, "timeout", &a->timeout_us);
}

static bool read_window(struct reader *r, struct act *a)
{
    return reader_span(r, "window", &a->window_us);
}

static bool read_no_ack(struct reader *r, struct act *a)
{
    (void)r;
    a->no_ack = true;
    return true;
}

static bool read_hedge(struct reader *r, struct act *a)
{
    (void)r;
    a->hedge = true;
    return true;
}

static bool read_via(struct reader *r, struct act *a)
{
    return reader_unit(r, &a->via);
}

static bool read_timing(struct reader *r, struct act *a)
{
    const char *name = reader_next(r, "timing");
    return name != NULL && (timing_parse(name, strlen(name), &a->timing) ||
                            reader_refuse(r, "timing '%s': soon, by or at", name));
}

static bool read_strategy(struct reader *r, struct act *a)
{
    const char *name = reader_next(r, "strategy");
    a->strategy = name == NULL ? CASCADE_NONE : strategy_parse(name, strlen(name));
    return name != NULL &&
           (a->strategy != CASCADE_NONE ||
            reader_refuse(r, "strategy '%s': wave, parallel or priority_first", name));
}

/* In any order, each once: what is said twice would be said in vain the first time. */
static bool read_option(struct reader *r, struct act *a)
{
    static const struct {
        const char *word;
        bool (*read)(struct reader *r, struct act *a);
    } options[] = {
        {"payload", read_payload}, {"on", read_places},        {"class", read_classes},
        {"needs", read_needs},     {"sample", read_sample},    {"priority", read_priority},
        {"ttl", read_ttl},         {"timeout", read_timeout},  {"window", read_window},
        {"no-ack", read_no_ack},   {"hedge", read_hedge},      {"via", read_via},
        {"timing", read_timing},   {"strategy", read_strategy}};
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (reader_accept(r, options[i].word)) {
            if ((r->options >> i & 1u) != 0) {
                return reader_refuse(r, "submit: '%s' is there twice", options[i].word);
            }
            r->options |= 1u << i;
            return options[i].read(r, a);
        }
    }
    return reader_refuse(r, "submit: '%s' is no option", reader_peek(r));
}

static bool read_operation(struct reader *r, struct act *a)
{
    a->priority = 2;
    r->options = 0;
    if (!reader_text(r, "the action", a->action, sizeof(a->action))) {
        return false;
    }
    while (reader_peek(r) != NULL) {
        if (!read_option(r, a)) {
            return false;
        }
    }
    return true;
}

/* --- acts --- */

static bool read_last(struct reader *r, struct act *a, uint32_t fields)
{
    if (reader_accept(r, "for")) {
        if (!reader_duration(r, "how long", &a->for_us)) {
            return false;
        }
        return a->for_us > 0 || reader_refuse(r, "%s: for 0s is nothing", act_name(a->kind));
    }
    return (fields & ACT_MUST_LAST) == 0 ||
           reader_refuse(r, "%s: 'for DURATION' is missing", act_name(a->kind));
}

static bool read_lie(struct reader *r, enum world_lie *ret)
{
    const char *word = reader_next(r, "the lie");
    for (unsigned l = 0; word != NULL && l < WORLD_LIE_COUNT; l++) {
        if (strcmp(word, lie_name((enum world_lie)l)) == 0) {
            *ret = (enum world_lie)l;
            return true;
        }
    }
    return word != NULL && reader_refuse(r,
                                         "'%s' is no lie: forge, replay, equivocate, capability, "
                                         "flood, impedance, timing or content",
                                         word);
}

/* One bank of the store, or nothing: all of them. */
static void read_bank(struct reader *r, struct act *a)
{
    for (unsigned b = 0; b <= STORE_BANK_LOG && a->banks == 0; b++) {
        if (reader_accept(r, bank_name((enum store_bank)b))) {
            a->banks = (uint8_t)(1u << b);
        }
    }
}

static bool read_act_words(struct reader *r, struct act *a)
{
    uint32_t fields = kinds[a->kind].fields;
    if ((fields & ACT_LABEL) != 0 && !reader_text(r, "the label", a->label, sizeof(a->label))) {
        return false;
    }
    if ((fields & ACT_UNIT) != 0 && !reader_unit(r, &a->unit)) {
        return false;
    }
    if ((fields & ACT_LIES) != 0 && !read_lie(r, &a->lie)) {
        return false;
    }
    if ((fields & ACT_BANK) != 0) {
        read_bank(r, a);
    }
    if ((fields & ACT_FACTOR) != 0 && !reader_number(r, "factor", 0.001, 1000000, &a->factor)) {
        return false;
    }
    if ((fields & ACT_PERMILLE) != 0 && !reader_count(r, "permille", 0, 1000, &a->permille)) {
        return false;
    }
    if ((fields & ACT_BY) != 0) {
        if (!reader_accept(r, "by")) {
            return reader_refuse(r, "%s: 'by DURATION' is missing", act_name(a->kind));
        }
        if (!(a->kind == ACT_WALL_STEP ? reader_shift(r, "by how much", &a->by_us)
                                       : reader_duration(r, "by how much", &a->by_us))) {
            return false;
        }
        if (a->by_us == 0) {
            return reader_refuse(r, "%s: by 0s is nothing", act_name(a->kind));
        }
    }
    if ((fields & ACT_PPM) != 0 && !reader_signed(r, "parts per million", 1000, &a->ppm)) {
        return false;
    }
    if ((fields & ACT_OPERATION) != 0 && !read_operation(r, a)) {
        return false;
    }
    if ((fields & ACT_MAY_BELOW) != 0) {
        a->below = reader_accept(r, "below");
    }
    return (fields & (ACT_MAY_LAST | ACT_MUST_LAST)) == 0 || read_last(r, a, fields);
}

static bool read_act(struct reader *r, int64_t at_us)
{
    struct scenario *s = r->s;
    const char *word = reader_next(r, "what happens");
    if (word == NULL) {
        return false;
    }
    if (s->act_count == SCENARIO_ACTS_MAX) {
        return reader_refuse(r, "more than %u acts", SCENARIO_ACTS_MAX);
    }
    struct act *a = &s->acts[s->act_count];
    *a = (struct act){.at_us = at_us, .line = r->line};
    for (unsigned k = ACT_NONE + 1; k < ACT_KIND_COUNT; k++) {
        if (strcmp(word, kinds[k].name) == 0) {
            a->kind = (enum act_kind)k;
        }
    }
    if (a->kind == ACT_NONE) {
        return reader_refuse(r, "'%s' is nothing that can be done to a mesh", word);
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
    if (!reader_duration(r, "every how long", &step_us)) {
        return false;
    }
    if (step_us < US_PER_MS) {
        return reader_refuse(r, "every: 1ms at least");
    }
    if (!reader_accept(r, "from") || !reader_duration(r, "from", &from_us)) {
        return reader_refuse(r, "every: 'from TIME to TIME' is missing");
    }
    if (!reader_accept(r, "to") || !reader_duration(r, "to", &to_us)) {
        return reader_refuse(r, "every: 'to TIME' is missing");
    }
    if (to_us < from_us) {
        return reader_refuse(r, "every: it ends before it begins");
    }
    uint32_t words = r->at, n = 0;
    for (int64_t at = from_us; at <= to_us; at += step_us) {
        r->at = words;
        if (!read_act(r, at) || !reader_at_end(r)) {
            return false;
        }
        struct act *a = &r->s->acts[r->s->act_count - 1];
        if (a->label[0] != '\0') {
            char label[LABEL_MAX + 16];
            snprintf(label, sizeof(label), "%s%u", a->label, ++n);
            if (strlen(label) >= LABEL_MAX) {
                return reader_refuse(r, "label '%s' is too long", a->label);
            }
            memcpy(a->label, label, strlen(label) + 1);
        }
    }
    return true;
}

/* --- expectations --- */

static bool read_compare(struct reader *r, struct expectation *e)
{
    const char *word = reader_next(r, "a comparison");
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
        return reader_refuse(r, "'%s': >=, <= or = is wanted", word);
    }
    char *last = reader_peek(r) == NULL ? NULL : r->words[r->at];
    if (last != NULL && last[0] != '\0' && last[strlen(last) - 1] == '%') {
        last[strlen(last) - 1] = '\0';
        e->percent = true;
    }
    return reader_number(r, "the value", 0, e->percent ? 100 : 1e9, &e->value) &&
           (e->percent || e->value == floor(e->value) ||
            reader_refuse(r, "the value: not a whole number"));
}

static bool read_when(struct reader *r, struct expectation *e)
{
    if (!reader_accept(r, "at")) {
        return reader_refuse(r, "'at TIME' is missing");
    }
    return reader_duration(r, "at", &e->at_us) &&
           (!reader_accept(r, "within") || reader_duration(r, "within", &e->within_us));
}

static bool read_mode(struct reader *r, struct expectation *e)
{
    const char *word = reader_next(r, "the mode");
    for (unsigned m = 0; word != NULL && m < MODE_COUNT; m++) {
        if (strcmp(word, mode_name((enum mode)m)) == 0) {
            e->mode = (enum mode)m;
            return read_when(r, e);
        }
    }
    return word != NULL && reader_refuse(r, "'%s' is no mode", word);
}

static bool read_note(struct reader *r, struct expectation *e)
{
    const char *word = reader_next(r, "the note");
    for (unsigned n = NOTE_NONE + 1; word != NULL && n < NOTE_COUNT; n++) {
        if (strcmp(word, note_info((enum note)n)->name) == 0) {
            e->note = (enum note)n;
        }
    }
    if (word == NULL || e->note == NOTE_NONE) {
        return word != NULL && reader_refuse(r, "'%s' is no note", word);
    }
    if (reader_accept(r, "at") && !reader_unit(r, &e->unit)) {
        return false;
    }
    return read_compare(r, e) && (!e->percent || reader_refuse(r, "notes are counted, not shared"));
}

static bool read_outcome(struct reader *r, struct expectation *e)
{
    if (!reader_text(r, "the operation's label", e->label, sizeof(e->label))) {
        return false;
    }
    if (reader_accept(r, "status")) {
        e->kind = EXPECT_STATUS;
        return reader_text(r, "the status", e->word, sizeof(e->word));
    }
    const char *word = reader_next(r, "an outcome");
    for (unsigned o = OUTCOME_READY; word != NULL && o < OUTCOME_COUNT; o++) {
        if (strcmp(word, outcome_name((enum outcome)o)) == 0) {
            e->outcome = (enum outcome)o;
            return read_compare(r, e);
        }
    }
    return word != NULL && reader_refuse(r, "'%s' is no outcome", word);
}

static bool read_expect(struct reader *r)
{
    struct scenario *s = r->s;
    if (s->expect_count == SCENARIO_EXPECT_MAX) {
        return reader_refuse(r, "more than %u expectations", SCENARIO_EXPECT_MAX);
    }
    struct expectation *e = &s->expects[s->expect_count];
    memset(e, 0, sizeof(*e)); /* compared whole, below */
    e->line = r->line;
    bool good;
    if (reader_accept(r, "active") || reader_accept(r, "sectors")) {
        e->kind = strcmp(r->words[r->at - 1], "active") == 0 ? EXPECT_ACTIVE : EXPECT_SECTORS;
        good = read_compare(r, e) && read_when(r, e);
        if (good && e->percent && e->kind == EXPECT_SECTORS) {
            return reader_refuse(r, "sectors are counted, not shared");
        }
    } else if (reader_accept(r, "availability")) {
        e->kind = EXPECT_AVAILABILITY;
        good = read_compare(r, e) &&
               (e->percent || reader_refuse(r, "availability: a share, like >= 99.9%%"));
    } else if (reader_accept(r, "mode")) {
        e->kind = EXPECT_MODE;
        good = read_mode(r, e);
    } else if (reader_accept(r, "note")) {
        e->kind = EXPECT_NOTE;
        good = read_note(r, e);
    } else if (reader_accept(r, "operation")) {
        e->kind = EXPECT_OUTCOME;
        good = read_outcome(r, e);
    } else {
        return reader_refuse(r, "expect: active, sectors, mode, availability, note or operation");
    }
    for (uint32_t i = 0; good && i < s->expect_count; i++) {
        struct expectation other = s->expects[i];
        other.line = e->line;
        if (memcmp(&other, e, sizeof(other)) == 0) {
            return reader_refuse(r, "the same is expected on line %u", s->expects[i].line);
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
    if (!reader_count(r, "free places in each cluster", 1,
                      AGENTS_PER_CLUSTER_MAX - t->agents_per_cluster, &spare)) {
        return false;
    }
    r->s->lines.spare = r->line;
    scenario_spare(r->s, spare);
    return true;
}

static bool read_name(struct reader *r)
{
    return reader_text(r, "the name", r->s->name, sizeof(r->s->name));
}

static bool read_seed(struct reader *r)
{
    double seed = 0;
    bool good = reader_number(r, "seed", 0, 9e15, &seed) &&
                (seed == floor(seed) || reader_refuse(r, "seed: not a whole number"));
    r->s->conf.seed = (uint64_t)seed;
    return good;
}

static bool read_pending(struct reader *r)
{
    return reader_count(r, "messages that wait for who stands still", 1, WORLD_PENDING_MOST,
                        &r->s->pending);
}

static bool read_run(struct reader *r)
{
    r->s->lines.run = r->line;
    return reader_duration(r, "how long", &r->s->run_us);
}

static bool read_at(struct reader *r)
{
    int64_t at_us = 0;
    return reader_duration(r, "when", &at_us) && read_act(r, at_us);
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
        if (reader_accept(r, statements[i].word)) {
            if (i < ONCE && (r->said >> i & 1u) != 0) {
                return reader_refuse(r, "'%s' is there twice", statements[i].word);
            }
            r->said |= 1u << i;
            return statements[i].read(r);
        }
    }
    return reader_refuse(r, "'%s' is no statement", reader_peek(r));
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
        if (!reader_line(&r, from) ||
            (r.count > 0 && (!read_statement(&r) || !reader_at_end(&r)))) {
            return false;
        }
        any = any || r.count > 0;
    }
    if (ferror(from)) {
        return reader_refuse(&r, "cannot be read: %s", strerror(errno));
    }
    if (!any) {
        return reader_refuse(&r, "no statement in it: at least one is wanted, as 'run 30s'");
    }
    uint32_t line = r.line;
    const char *why = scenario_check(ret, &line);
    r.line = line;
    return why == NULL || reader_refuse(&r, "%s", why);
}
