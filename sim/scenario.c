/* Scenarios as values: defaults, what makes sense as a whole, and writing them down. */
#include "sim/scenario.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

#define PROCESSES_AGENTS_MAX 1000u
#define BY_MAX_US            (600 * US_PER_S)

bool scenario_shape(struct scenario *s, uint32_t sectors, uint32_t clusters, uint32_t agents)
{
    uint32_t all = sectors * clusters * agents;
    if (all == 0) {
        return false;
    }
    struct topology *t = &s->conf.topology;
    topology_default(all, t); /* class shares; the shape is ours */
    s->conf.hosts = 0;        /* which are there for spare places: none are left */
    t->sectors = (uint16_t)sectors;
    t->clusters_per_sector = (uint16_t)clusters;
    t->agents_per_cluster = (uint16_t)agents;
    s->classes = false;
    return topology_check(t) == NULL;
}

void scenario_spare(struct scenario *s, uint32_t spare)
{
    assert(s != NULL);
    assert(spare >= 1 && spare < AGENTS_PER_CLUSTER_MAX);
    s->conf.topology.spare = (uint16_t)spare;
    s->conf.hosts = topology_clusters(&s->conf.topology);
}

void scenario_init(struct scenario *s)
{
    memset(s, 0, sizeof(*s));
    world_defaults(&s->conf, 24, 1);
    bool good = scenario_shape(s, 2, 2, 6);
    assert(good);
    (void)good;
    s->conf.store_sync_us = US_PER_S; /* Redis as the registry runs it: fsync every second */
    s->conf.store_lag_us = US_PER_S;
    s->run_us = 60 * US_PER_S;
}

const char *lie_name(enum world_lie lie)
{
    static const char *const names[WORLD_LIE_COUNT] = {
        [WORLD_LIE_FORGE] = "forge",           [WORLD_LIE_REPLAY] = "replay",
        [WORLD_LIE_EQUIVOCATE] = "equivocate", [WORLD_LIE_CAPABILITY] = "capability",
        [WORLD_LIE_FLOOD] = "flood",           [WORLD_LIE_IMPEDANCE] = "impedance",
        [WORLD_LIE_TIMING] = "timing",         [WORLD_LIE_CONTENT] = "content"};
    assert(lie < WORLD_LIE_COUNT);
    return names[lie];
}

const char *bank_name(enum store_bank bank)
{
    static const char *const names[] = {[STORE_BANK_REGISTRY] = "registry",
                                        [STORE_BANK_DURABLE] = "durable",
                                        [STORE_BANK_BLOB] = "blob",
                                        [STORE_BANK_LOG] = "log"};
    assert((unsigned)bank < sizeof(names) / sizeof(names[0]));
    return names[bank];
}

#define BANK_LOG   (1u << STORE_BANK_LOG)
#define BANK_REDIS ((1u << STORE_BANK_COUNT) - 1u)

uint32_t scenario_banks(const struct act *a)
{
    if (a->banks != 0) {
        return a->banks;
    }
    if (a->kind == ACT_STORE_SPOIL) {
        return 1u << STORE_BANK_BLOB;
    }
    if (a->kind >= ACT_STORE_SILENT && a->kind <= ACT_STORE_WIPE) {
        return BANK_REDIS;
    }
    return a->kind == ACT_STORE_DOWN ? BANK_REDIS | BANK_LOG : 0;
}

static bool inside(const struct scenario *s, struct unit u)
{
    return u.tier != TIER_CONSOLE && u.tier != TIER_HOST && topology_contains(&s->conf.topology, u);
}

/* Places that were read for a larger mesh may be outside of a shrunk one. */
static bool places_inside(const struct scenario *s, const struct act *a)
{
    static struct place_set set;
    size_t at = 0;
    const char *why = NULL;
    return a->places[0] == '\0' ||
           place_parse(a->places, strlen(a->places), &s->conf.topology, &set, &at, &why);
}

static bool labelled(const struct scenario *s, const char *label)
{
    for (uint32_t i = 0; i < s->act_count; i++) {
        if (s->acts[i].kind == ACT_SUBMIT && strcmp(s->acts[i].label, label) == 0) {
            return true;
        }
    }
    return false;
}

static const char *check_act(const struct scenario *s, uint32_t i)
{
    const struct act *a = &s->acts[i];
    int64_t end_us = s->heal_us > 0 ? s->heal_us : s->run_us;
    if ((a->unit.tier != TIER_NONE && !inside(s, a->unit)) || !places_inside(s, a)) {
        return "the unit is not in this mesh";
    }
    if (a->at_us >= end_us) {
        return s->heal_us > 0 ? "it would happen after the heal" : "it would happen after the end";
    }
    if (a->by_us > BY_MAX_US || a->by_us < -BY_MAX_US) {
        return "by: 10 minutes at most";
    }
    if (a->kind == ACT_SLOW && a->unit.tier != TIER_AGENT) {
        return "slow: only agents have a speed";
    }
    if (a->kind == ACT_FREEZE && a->unit.tier == TIER_AGENT) {
        return "freeze: a cluster, a sector or the mesh";
    }
    if (a->kind == ACT_TWIN && (s->conf.processes == 0 || a->unit.tier == TIER_AGENT)) {
        return s->conf.processes == 0 ? "twin: first say how many `processes N` a tier has"
                                      : "twin: agents have no process of their own here";
    }
    if (a->banks == BANK_LOG && a->kind >= ACT_STORE_BARE && a->kind != ACT_STORE_UNSURE) {
        return "log: it is SQL, and forgets nothing: down, silent, readonly, full or unsure";
    }
    if (a->kind == ACT_QUARANTINE && a->unit.tier != TIER_AGENT) {
        return "quarantine: an agent, as s01.c2.a3";
    }
    if (a->kind == ACT_MOVE && (s->conf.topology.spare == 0 || a->unit.tier < TIER_CLUSTER)) {
        return s->conf.topology.spare == 0 ? "move: first say how many `spare N` places there are"
                                           : "move: a cluster or an agent";
    }
    bool scales = a->kind == ACT_SCALE || a->kind == ACT_RETIRE;
    if (scales && (s->conf.topology.spare == 0 || a->unit.tier == TIER_AGENT)) {
        return s->conf.topology.spare == 0
                   ? "scale, retire: first say how many `spare N` places there are"
                   : "scale, retire: the mesh, a sector or a cluster";
    }
    if (scales && (a->factor < 1 || a->factor > SCALE_AGENTS_MAX)) {
        return "scale, retire: 1 to 10000 newcomers";
    }
    if (a->kind == ACT_ROUTE && a->unit.tier < TIER_CLUSTER) {
        return "route-around: a cluster or an agent";
    }
    if (a->kind == ACT_LIE && a->unit.tier != TIER_AGENT) {
        return "lie: only agents lie";
    }
    if (a->via.tier != TIER_NONE && (a->via.tier != TIER_SECTOR || !inside(s, a->via))) {
        return "via: a sector of this mesh";
    }
    if (a->kind == ACT_CANCEL && !labelled(s, a->label)) {
        return "cancel: no operation has this label";
    }
    if ((a->kind == ACT_APPROVE || a->kind == ACT_REJECT) && !labelled(s, a->label)) {
        return "approve, reject: no operation has this label";
    }
    for (uint32_t k = 0; a->kind == ACT_SUBMIT && k < i; k++) {
        if (s->acts[k].kind == ACT_SUBMIT && strcmp(s->acts[k].label, a->label) == 0) {
            return "the label is used twice";
        }
    }
    return NULL;
}

const char *scenario_check(const struct scenario *s, uint32_t *ret_line)
{
    *ret_line = s->lines.run;
    if (s->run_us <= 0) {
        return "run: it lasts no time";
    }
    *ret_line = s->lines.processes;
    if (s->conf.processes > 0 && s->conf.topology.agents > PROCESSES_AGENTS_MAX) {
        return "processes: 1,000 agents at most";
    }
    *ret_line = s->lines.spare;
    if (s->conf.processes > 0 && s->conf.topology.spare > 0) {
        return "spare: not together with `processes`";
    }
    *ret_line = s->lines.heal;
    if (s->heal_us > 0 && s->heal_us > s->run_us) {
        return "heal: after the end of the run";
    }
    for (uint32_t i = 0; i < s->broken_count; i++) {
        if (!inside(s, s->broken[i]) || s->broken[i].tier == TIER_ORCHESTRATOR) {
            return "heal: a broken unit is not below the orchestrator of this mesh";
        }
    }
    for (uint32_t i = 0; i < s->act_count; i++) {
        const char *why = check_act(s, i);
        if (why != NULL) {
            *ret_line = s->acts[i].line;
            return why;
        }
    }
    for (uint32_t i = 0; i < s->expect_count; i++) {
        const struct expectation *e = &s->expects[i];
        *ret_line = e->line;
        if (e->label[0] != '\0' && !labelled(s, e->label)) {
            return "no operation has this label";
        }
        if (e->unit.tier != TIER_NONE && !inside(s, e->unit)) {
            return "the unit is not in this mesh";
        }
        if (e->at_us + e->within_us > s->run_us) {
            return "it would be looked at after the end of the run";
        }
    }
    return NULL;
}

/* --- writing --- */

static void put_time(FILE *to, int64_t us)
{
    if (us % US_PER_S == 0) {
        fprintf(to, "%llds", (long long)(us / US_PER_S));
    } else if (us % US_PER_MS == 0) {
        fprintf(to, "%lldms", (long long)(us / US_PER_MS));
    } else {
        fprintf(to, "%lldus", (long long)us);
    }
}

static void put_unit(FILE *to, struct unit u)
{
    char name[UNIT_TEXT_MAX];
    unit_format(u, name);
    fprintf(to, " %s", name);
}

static void put_option(FILE *to, const char *name, int64_t us)
{
    if (us > 0) {
        fprintf(to, " %s ", name);
        put_time(to, us);
    }
}

/* As one word, whatever is in it: no word has a quote within. */
static void put_word(FILE *to, const char *word)
{
    bool plain = word[0] != '\0' && word[0] != '#' && strpbrk(word, " \t\r") == NULL;
    fprintf(to, plain ? " %s" : " \"%s\"", word); /* both are literals */
}

static void put_operation(FILE *to, const struct act *a)
{
    static const char letters[] = "?ABCDEF";
    put_word(to, a->action);
    if (a->payload[0] != '\0') {
        fprintf(to, " payload \"%s\"", a->payload);
    }
    if (a->places[0] != '\0') {
        fputs(" on", to);
        put_word(to, a->places);
    }
    const char *before = " class ";
    for (unsigned c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        if (a->class_mask >> c & 1u) {
            fprintf(to, "%s%c", before, letters[c]);
            before = ",";
        }
    }
    if (a->capability[0] != '\0') {
        fputs(" needs", to);
        put_word(to, a->capability);
    }
    if (a->sample > 0) {
        fprintf(to, " sample %u", a->sample);
    }
    if (a->priority != 2) {
        fprintf(to, " priority %u", a->priority);
    }
    if (a->timing != TIMING_SOON) {
        fprintf(to, " timing %s", timing_name(a->timing));
    }
    if (a->strategy != CASCADE_NONE) {
        fprintf(to, " strategy %s", strategy_name(a->strategy));
    }
    put_option(to, "ttl", a->ttl_us);
    put_option(to, "timeout", a->timeout_us);
    put_option(to, "window", a->window_us);
    fputs(a->no_ack ? " no-ack" : "", to);
    fputs(a->hedge ? " hedge" : "", to);
    if (a->via.tier != TIER_NONE) {
        fputs(" via", to);
        put_unit(to, a->via);
    }
}

static void put_act(FILE *to, const struct act *a)
{
    fputs("at ", to);
    put_time(to, a->at_us);
    fprintf(to, " %s", act_name(a->kind));
    if ((act_fields(a->kind) & ACT_LABEL) != 0) {
        put_word(to, a->label);
    }
    if (a->unit.tier != TIER_NONE) {
        put_unit(to, a->unit);
    }
    if (a->kind == ACT_LIE) {
        fprintf(to, " %s", lie_name(a->lie));
    }
    for (unsigned b = 0; b <= STORE_BANK_LOG; b++) {
        if (a->banks == 1u << b) {
            fprintf(to, " %s", bank_name((enum store_bank)b));
        }
    }
    if (a->factor > 0) {
        fprintf(to, " %g", a->factor);
    }
    if ((act_fields(a->kind) & ACT_PERMILLE) != 0) {
        fprintf(to, " %u", a->permille);
    }
    if ((act_fields(a->kind) & ACT_PPM) != 0) {
        fprintf(to, " %d", a->ppm);
    }
    if (a->kind == ACT_SUBMIT) {
        put_operation(to, a);
    }
    if ((act_fields(a->kind) & ACT_BY) != 0) {
        fputs(" by ", to);
        put_time(to, a->by_us);
    }
    fputs(a->below ? " below" : "", to);
    put_option(to, "for", a->for_us);
    fputc('\n', to);
}

static void put_expectation(FILE *to, const struct expectation *e)
{
    static const char *const compares[] = {">=", "<=", "="};
    fputs("expect ", to);
    switch (e->kind) {
    case EXPECT_ACTIVE:
        fputs("active", to);
        break;
    case EXPECT_SECTORS:
        fputs("sectors", to);
        break;
    case EXPECT_AVAILABILITY:
        fputs("availability", to);
        break;
    case EXPECT_MODE:
        fprintf(to, "mode %s", mode_name(e->mode));
        break;
    case EXPECT_OUTCOME:
        fputs("operation", to);
        put_word(to, e->label);
        fprintf(to, " %s", outcome_name(e->outcome));
        break;
    case EXPECT_STATUS:
        fputs("operation", to);
        put_word(to, e->label);
        fputs(" status", to);
        put_word(to, e->word);
        break;
    case EXPECT_NOTE:
        fprintf(to, "note %s", note_info(e->note)->name);
        if (e->unit.tier != TIER_NONE) {
            fputs(" at", to);
            put_unit(to, e->unit);
        }
        break;
    }
    if (e->kind != EXPECT_MODE && e->kind != EXPECT_STATUS) {
        fprintf(to, " %s %.10g%s", compares[e->compare], e->value, e->percent ? "%" : "");
    }
    if (e->kind == EXPECT_ACTIVE || e->kind == EXPECT_SECTORS || e->kind == EXPECT_MODE) {
        fputs(" at ", to);
        put_time(to, e->at_us);
        put_option(to, "within", e->within_us);
    }
    fputc('\n', to);
}

static void put_classes(FILE *to, const struct topology *t)
{
    static const char letters[] = "?ABCDEF";
    fputs("class", to);
    for (unsigned c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        if (t->class_agents[c] > 0) {
            fprintf(to, " %c %u", letters[c], t->class_agents[c]);
        }
    }
    fputc('\n', to);
}

void scenario_write(const struct scenario *s, FILE *to)
{
    const struct topology *t = &s->conf.topology;
    if (s->name[0] != '\0') {
        fprintf(to, "scenario \"%s\"\n", s->name);
    }
    fprintf(to, "seed %llu\nmesh sectors %u clusters %u agents %u\n",
            (unsigned long long)s->conf.seed, t->sectors, t->clusters_per_sector,
            t->agents_per_cluster);
    if (s->classes) {
        put_classes(to, t);
    }
    if (s->conf.agent_loss_permille + s->conf.tier_loss_permille > 0) {
        fprintf(to, "loss agents %u tiers %u\n", s->conf.agent_loss_permille,
                s->conf.tier_loss_permille);
    }
    if (s->conf.processes > 0) {
        fprintf(to, "processes %u\n", s->conf.processes);
    }
    if (t->spare > 0) {
        fprintf(to, "spare %u\n", t->spare);
    }
    if (s->pending > 0) {
        fprintf(to, "pending %u\n", s->pending);
    }
    fputs("run ", to);
    put_time(to, s->run_us);
    fputc('\n', to);
    if (s->heal_us > 0) {
        fputs("heal ", to);
        put_time(to, s->heal_us);
        for (uint32_t i = 0; i < s->broken_count; i++) {
            fputs(i == 0 ? " broken" : "", to);
            put_unit(to, s->broken[i]);
        }
        fputc('\n', to);
    }
    for (uint32_t i = 0; i < s->act_count; i++) {
        put_act(to, &s->acts[i]);
    }
    for (uint32_t i = 0; i < s->expect_count; i++) {
        put_expectation(to, &s->expects[i]);
    }
}

bool scenario_read(const char *path, struct scenario *ret, FILE *errors)
{
    FILE *from = fopen(path, "r");
    if (from == NULL) {
        fprintf(errors, "%s:0: %s\n", path, strerror(errno));
        return false;
    }
    bool good = scenario_parse(path, from, ret, errors);
    fclose(from);
    return good;
}
