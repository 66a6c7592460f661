/* The play follows one list of entries ordered by time: acts, their undoing, samples of the state,
 * expectations, the heal. Between two entries the world runs alone. It stops at the first
 * violation: what comes after one is its consequence. */
#include "sim/play.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT_EVERY_US   (250 * US_PER_MS)
#define SAMPLE_EVERY_US   (500 * US_PER_MS)
#define STATUS_US         (5 * US_PER_MS)
#define AVAILABLE_FROM_US (30 * US_PER_S) /* the mesh is up after 5 s */
#define CONSOLE_WORK      1u
#define CONSOLE_STATUS    9u

bool play_bad(const struct play *p)
{
    return p->judge.violation.verdict != VERDICT_GOOD;
}

static bool within(struct unit u, struct unit top)
{
    return unit_equal(u, top) || top.tier == TIER_ORCHESTRATOR ||
           (top.tier == TIER_SECTOR && u.sector == top.sector && u.tier > top.tier) ||
           (top.tier == TIER_CLUSTER && u.sector == top.sector && u.cluster == top.cluster &&
            u.tier > top.tier);
}

bool play_broken(const struct scenario *s, struct unit u)
{
    for (uint32_t i = 0; i < s->broken_count; i++) {
        if (within(u, s->broken[i])) {
            return true;
        }
    }
    return false;
}

/* --- units --- */

/* Visits all units at and below `top` (the unit alone without `below`), top first. */
static void each_unit(const struct topology *t, struct unit top, bool below,
                      void (*visit)(void *context, struct unit u), void *context)
{
    if (within(unit_orchestrator(), top)) {
        visit(context, unit_orchestrator());
    }
    for (unsigned sector = 1; sector <= t->sectors; sector++) {
        struct unit s = unit_sector(sector);
        if (unit_equal(s, top) || (below && within(s, top))) {
            visit(context, s);
        }
        for (unsigned c = 1; c <= topology_sector_clusters(t, sector); c++) {
            struct unit u = unit_cluster(sector, c);
            if (unit_equal(u, top) || (below && within(u, top))) {
                visit(context, u);
            }
        }
    }
    for (uint32_t a = 0; a < topology_places(t); a++) {
        struct unit u = topology_agent(t, a);
        if (unit_equal(u, top) || (below && within(u, top))) {
            visit(context, u);
        }
    }
}

/* Units of the upper tiers come back with a process, if they have any. */
static void restart_dead(void *context, struct unit u)
{
    struct play *p = context;
    bool alone = p->s->conf.processes == 0 || u.tier == TIER_AGENT;
    alone = alone && (u.tier != TIER_AGENT || p->s->conf.hosts == 0); /* else its host does */
    if (alone && !world_alive(p->w, u)) {
        world_restart(p->w, u, false);
    }
}

static void heal_unit(void *context, struct unit u)
{
    struct play *p = context;
    bool in_process = p->s->conf.processes > 0 && u.tier != TIER_AGENT;
    if (play_broken(p->s, u) && !in_process) { /* else another process takes it over */
        world_kill(p->w, u, false);
        return;
    }
    if (u.tier == TIER_AGENT) {
        world_slow(p->w, u, 1.0);
    }
    if (!in_process) {
        restart_dead(p, u);
    }
}

/* --- acts --- */

static void scoped(struct play *p, enum command_kind kind, struct unit scope)
{
    struct command c = {.kind = kind, .scope = scope};
    (void)world_send(p->w, CONSOLE_WORK, unit_orchestrator(), &c);
}

void play_quarantine(struct play *p, struct unit agent, bool on)
{
    struct command c = {.kind = COMMAND_ISOLATE, .scope = agent, .on = on};
    snprintf(c.decision.note, sizeof(c.decision.note), "%s", on ? "looks odd" : "looked at");
    (void)world_send(p->w, CONSOLE_WORK, unit_orchestrator(), &c);
}

struct unit play_server(const struct act *a)
{
    return a->via.tier == TIER_SECTOR ? a->via : unit_orchestrator();
}

static void places_of(const struct play *p, struct unit u, struct place_set *ret)
{
    char text[UNIT_TEXT_MAX];
    size_t at;
    const char *why;
    bool good = place_parse(text, unit_format(u, text), &p->s->conf.topology, ret, &at, &why);
    assert(good);
    (void)good;
}

/* New work goes around it, or no more. */
void play_route(struct play *p, struct unit u, bool on)
{
    struct command c = {.kind = COMMAND_ROUTE, .on = on};
    places_of(p, u, &c.query.selector.places);
    (void)world_send(p->w, CONSOLE_WORK, unit_orchestrator(), &c);
}

/* To healthy clusters, or home again. */
static void move(struct play *p, struct unit u, bool back)
{
    struct command c = {.kind = COMMAND_MOVE};
    places_of(p, u, &c.query.selector.places);
    snprintf(c.name, sizeof(c.name), "%s", back ? "back" : "");
    (void)world_send(p->w, CONSOLE_WORK, unit_orchestrator(), &c);
}

/* Newcomers come in, or go; undone: they leave again, or stay, if it is not over yet. */
static void scale(struct play *p, const struct act *a, bool undo)
{
    struct command c = {.kind = COMMAND_SCALE, .scale = {.action = SCALE_ABORT}};
    if (!undo) {
        char text[UNIT_TEXT_MAX];
        size_t at;
        const char *why;
        bool comes = a->kind == ACT_SCALE;
        c.scale = (struct scale_request){comes ? SCALE_ADD : SCALE_REMOVE, (uint32_t)a->factor,
                                         comes ? 20 : 0, 20 * US_PER_S};
        bool good = place_parse(text, unit_format(a->unit, text), &p->s->conf.topology,
                                &c.query.selector.places, &at, &why);
        assert(good);
        (void)good;
    }
    (void)world_send(p->w, CONSOLE_WORK, unit_orchestrator(), &c);
}

bool play_retire(struct play *p)
{
    struct command end = {.kind = COMMAND_SCALE, .scale = {.action = SCALE_FINISH}};
    struct command all = {.kind = COMMAND_SCALE, .scale = {.action = SCALE_REMOVE}};
    const struct reply *last = p->retire_ref != 0 ? world_reply(p->w, p->retire_ref) : NULL;
    bool any = false;
    size_t at;
    const char *why;
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        any = any || p->s->acts[i].kind == ACT_SCALE;
    }
    p->retired = !any || (last != NULL && last->kind == REPLY_ERROR && last->text != NULL &&
                          strstr(last->text, "scale: 0 agents") != NULL);
    if (!p->retired) {
        bool good =
            place_parse("s*", 2, &p->s->conf.topology, &all.query.selector.places, &at, &why);
        assert(good);
        (void)good;
        (void)world_send(p->w, CONSOLE_WORK, unit_orchestrator(), &end);
        p->retire_ref = world_send(p->w, CONSOLE_WORK, unit_orchestrator(), &all);
    }
    return !p->retired;
}

static void submit(struct play *p, uint32_t index)
{
    const struct act *a = &p->s->acts[index];
    struct command c = {.kind = COMMAND_SUBMIT};
    size_t at;
    const char *why;
    world_operation(&c.operation, a->action, a->payload);
    struct operation *op = &c.operation;
    op->timing = a->timing;
    op->strategy = a->strategy;
    op->priority = a->priority;
    op->require_ack = !a->no_ack;
    op->hedge = a->hedge;
    op->selector.class_mask = a->class_mask;
    op->selector.sample = a->sample;
    op->ttl_us = a->ttl_us > 0 ? a->ttl_us : op->ttl_us;
    op->timeout_us = a->timeout_us > 0 ? a->timeout_us : op->timeout_us;
    op->window_us = a->window_us > 0 ? a->window_us : op->window_us;
    if (a->capability[0] != '\0') {
        int bit = topology_capability(&p->s->conf.topology, a->capability, strlen(a->capability));
        assert(bit >= 0);
        op->selector.capabilities = 1ull << bit;
    }
    if (a->places[0] != '\0') {
        bool good = place_parse(a->places, strlen(a->places), &p->s->conf.topology,
                                &op->selector.places, &at, &why);
        assert(good);
        (void)good;
    }
    p->lives[index] = judge_node(&p->judge, play_server(a))->epoch;
    p->refs[index] = world_send(p->w, CONSOLE_WORK, play_server(a), &c);
    p->result->submitted++;
}

/* A command about the operations of this label. */
static void about(struct play *p, const struct act *a, enum command_kind kind, bool on)
{
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        const struct act *other = &p->s->acts[i];
        if (other->kind == ACT_SUBMIT && strcmp(other->label, a->label) == 0 && p->refs[i] != 0) {
            struct command c = {
                .kind = kind, .on = on, .operation_id = world_accepted(p->w, p->refs[i])};
            (void)world_send(p->w, CONSOLE_WORK, play_server(other), &c);
        }
    }
}

static void act(struct play *p, uint32_t index)
{
    const struct act *a = &p->s->acts[index];
    if (p->o->coverage != NULL) {
        p->o->coverage->acts[a->kind]++;
    }
    switch ((int)a->kind) {
    case ACT_KILL:
        p->ended[index] = world_kill(p->w, a->unit, a->below);
        break;
    case ACT_STOP:
        p->ended[index] = world_leave(p->w, a->unit, a->below);
        break;
    case ACT_RESTART:
        world_restart(p->w, a->unit, a->below);
        break;
    case ACT_PAUSE:
        world_pause(p->w, a->unit, a->below, a->for_us);
        break;
    case ACT_CUT:
        world_partition(p->w, a->unit, true);
        break;
    case ACT_SLOW:
        world_slow(p->w, a->unit, a->factor);
        break;
    case ACT_FREEZE:
        scoped(p, COMMAND_FREEZE, a->unit);
        break;
    case ACT_QUARANTINE:
        play_quarantine(p, a->unit, true);
        break;
    case ACT_MOVE:
        move(p, a->unit, false);
        break;
    case ACT_SCALE:
    case ACT_RETIRE:
        scale(p, a, false);
        break;
    case ACT_ROUTE:
        play_route(p, a->unit, true);
        break;
    case ACT_CANCEL:
        about(p, a, COMMAND_CANCEL, false);
        break;
    case ACT_APPROVE:
    case ACT_REJECT:
        about(p, a, COMMAND_APPROVE, a->kind == ACT_APPROVE);
        break;
    case ACT_SUBMIT:
        submit(p, index);
        break;
    case ACT_TWIN:
        world_twin(p->w, a->unit, true);
        break;
    case ACT_NONE:
        assert(false && "no act");
        break;
    default:
        play_fault(p, index);
        break;
    }
}

static void undo(struct play *p, uint32_t index)
{
    const struct act *a = &p->s->acts[index];
    if (a->kind == ACT_KILL || a->kind == ACT_STOP) {
        world_processes_start(p->w, p->ended[index]);
        each_unit(&p->s->conf.topology, a->unit, a->below, restart_dead, p);
    } else if (a->kind == ACT_CUT) {
        world_partition(p->w, a->unit, false);
    } else if (a->kind == ACT_SLOW) {
        world_slow(p->w, a->unit, 1.0);
    } else if (a->kind == ACT_FREEZE) {
        scoped(p, COMMAND_THAW, a->unit);
    } else if (a->kind == ACT_QUARANTINE) {
        play_quarantine(p, a->unit, false);
    } else if (a->kind == ACT_MOVE) {
        move(p, a->unit, true);
    } else if (a->kind == ACT_SCALE || a->kind == ACT_RETIRE) {
        scale(p, a, true);
    } else if (a->kind == ACT_ROUTE) {
        play_route(p, a->unit, false);
    } else if (a->kind == ACT_TWIN) {
        world_twin(p->w, a->unit, false);
    } else {
        play_fault_undo(p, index);
    }
}

static void heal(struct play *p)
{
    world_store_down(p->w, false);
    play_fault_heal(p);
    world_partition(p->w, unit_orchestrator(), false);
    world_loss(p->w, 0, 0);
    world_processes_heal(p->w);
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        if (p->s->acts[i].kind == ACT_ROUTE) {
            play_route(p, p->s->acts[i].unit, false);
        }
    }
    each_unit(&p->s->conf.topology, unit_orchestrator(), true, heal_unit, p);
}

/* --- looking --- */

bool play_status(struct play *p)
{
    struct command c = {.kind = COMMAND_STATUS};
    uint64_t ref = world_send(p->w, CONSOLE_STATUS, unit_orchestrator(), &c);
    world_run(p->w, STATUS_US);
    const struct reply *r = world_reply(p->w, ref);
    bool good = r != NULL && r->kind == REPLY_STATUS;
    if (good) {
        p->status = *r->status;
    }
    world_forget(p->w, ref);
    return good;
}

static bool compare(const struct expectation *e, double seen, double of)
{
    double wanted = e->percent ? e->value * of / 100 : e->value;
    return e->compare == COMPARE_LEAST  ? seen >= wanted
           : e->compare == COMPARE_MOST ? seen <= wanted
                                        : seen == wanted;
}

static void look(struct play *p, struct expectation *e)
{
    if (e->met || !play_status(p)) {
        return;
    }
    e->judged = true;
    if (e->kind == EXPECT_MODE) {
        e->seen = p->status.mode;
        e->met = p->status.mode == e->mode;
    } else {
        e->seen = e->kind == EXPECT_ACTIVE ? p->status.summary.active : p->status.sectors_up;
        e->met = compare(e, e->seen, p->status.summary.agents);
    }
}

static void sample(struct play *p)
{
    struct play_record *r = p->o->record;
    if (r->sample_count == PLAY_SAMPLES_MAX) {
        return;
    }
    struct play_sample *s = &r->samples[r->sample_count++];
    s->at_us = world_now(p->w);
    s->answered = play_status(p);
    if (s->answered) {
        s->active = p->status.summary.active;
        s->agents = p->status.summary.agents;
        s->sectors_up = p->status.sectors_up;
        s->mode = p->status.mode;
    }
}

/* A second in which the mesh was not available: one more of the present gap, or a new one. */
static void gap_add(struct play *p, bool answered)
{
    struct play_result *r = p->result;
    const struct summary *s = &p->status.summary;
    int64_t second_us = (world_now(p->w) - STATUS_US) / US_PER_S * US_PER_S;
    struct play_gap *g = r->gap_count > 0 ? &r->gaps[r->gap_count - 1u] : NULL;
    if (g == NULL || g->from_us + (int64_t)g->seconds * US_PER_S != second_us) {
        if (r->gap_count == PLAY_GAPS_MAX) {
            return;
        }
        g = &r->gaps[r->gap_count++];
        *g = (struct play_gap){.from_us = second_us};
    }
    g->seconds++;
    g->silent += answered ? 0 : 1;
    if (answered && (g->agents == 0 || s->active < g->active)) {
        g->active = s->active;
        g->agents = s->agents;
    }
}

/* Spec 12, mesh_availability. An orchestrator that does not answer is no mesh. */
static void look_availability(struct play *p)
{
    const struct summary *s = &p->status.summary;
    bool answered = play_status(p);
    p->seconds++;
    if (answered && s->active * 100u >= s->agents * 95u) {
        p->available++;
    } else {
        gap_add(p, answered);
    }
}

static const struct reply *reply_of(const struct play *p, const char *label)
{
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        const struct act *a = &p->s->acts[i];
        if (a->kind == ACT_SUBMIT && strcmp(a->label, label) == 0 && p->refs[i] != 0) {
            return world_reply(p->w, p->refs[i]);
        }
    }
    return NULL;
}

/* Expectations about operations and notes, at the end. */
static void look_back(struct play *p, uint32_t index)
{
    struct expectation *e = &p->s->expects[index];
    if (e->kind == EXPECT_NOTE) {
        e->judged = true;
        e->seen = p->notes[index];
        e->met = compare(e, e->seen, 0);
        return;
    }
    if (e->kind == EXPECT_AVAILABILITY) {
        e->judged = p->seconds > 0;
        e->seen = e->judged ? 100.0 * p->available / p->seconds : 0;
        e->met = e->judged && compare(e, e->seen, 100);
        return;
    }
    const struct reply *r = reply_of(p, e->label);
    if (r == NULL) {
        return;
    }
    e->judged = true;
    if (e->kind == EXPECT_STATUS) {
        const char *word = r->kind == REPLY_OPERATION ? r->report->status
                           : r->kind == REPLY_ERROR   ? reason_name(r->reason)
                                                      : "?";
        e->met = strcmp(word, e->word) == 0;
    } else if (r->kind == REPLY_OPERATION) {
        const struct aggregate_view *a = &r->report->aggregate;
        e->seen = a->outcomes[e->outcome];
        e->met = compare(e, e->seen, a->targets);
    }
}

static void follow_replies(struct play *p, const struct world_step *step)
{
    for (uint32_t k = 0; k < step->out->effect_count; k++) {
        const struct effect *fx = &step->out->effects[k];
        if (fx->kind != FX_SEND || fx->u.msg.type != MSG_REPLY || !fx->u.msg.u.reply->final) {
            continue;
        }
        for (uint32_t i = 0; i < p->s->act_count; i++) {
            p->said[i] = p->said[i] || (p->refs[i] != 0 && p->refs[i] == fx->u.msg.u.reply->ref);
        }
    }
}

static void watch(void *context, const struct world_step *step)
{
    struct play *p = context;
    if (p->o->trace != NULL) {
        trace_step(p->o->trace, step);
    }
    for (uint32_t i = 0; i < p->s->expect_count; i++) {
        const struct expectation *e = &p->s->expects[i];
        for (uint32_t k = 0; e->kind == EXPECT_NOTE && k < step->out->effect_count; k++) {
            const struct effect *fx = &step->out->effects[k];
            bool here = e->unit.tier == TIER_NONE || unit_equal(e->unit, step->unit);
            p->notes[i] += fx->kind == FX_NOTE && fx->u.note.note == e->note && here;
        }
    }
    if (step->unit.tier == TIER_ORCHESTRATOR || step->unit.tier == TIER_SECTOR) {
        follow_replies(p, step);
    }
    judge_step(&p->judge, step);
}

/* --- the list --- */

static void enter(struct play *p, int64_t at_us, enum play_entry_kind kind, uint32_t index)
{
    if (p->entry_count == p->entry_room) {
        p->entry_room = p->entry_room > 0 ? p->entry_room * 2 : 256;
        p->entries = realloc(p->entries, p->entry_room * sizeof(*p->entries));
        assert(p->entries != NULL);
    }
    p->entries[p->entry_count] = (struct play_entry){.at_us = at_us, .index = index};
    p->entries[p->entry_count].kind = kind;
    p->entries[p->entry_count].order = p->entry_count;
    p->entry_count++;
}

static int by_time(const void *a, const void *b)
{
    const struct play_entry *x = a, *y = b;
    if (x->at_us != y->at_us) {
        return x->at_us < y->at_us ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool measures(const struct scenario *s)
{
    for (uint32_t i = 0; i < s->expect_count; i++) {
        if (s->expects[i].kind == EXPECT_AVAILABILITY) {
            return true;
        }
    }
    return false;
}

static void plan(struct play *p)
{
    const struct scenario *s = p->s;
    for (uint32_t i = 0; i < s->act_count; i++) {
        const struct act *a = &s->acts[i];
        enter(p, a->at_us, ENTRY_ACT, i);
        if (a->for_us > 0 && a->kind != ACT_PAUSE &&
            (s->heal_us == 0 || a->at_us + a->for_us < s->heal_us)) {
            enter(p, a->at_us + a->for_us, ENTRY_UNDO, i);
        }
    }
    for (uint32_t i = 0; i < s->expect_count; i++) {
        const struct expectation *e = &s->expects[i];
        if (e->kind == EXPECT_ACTIVE || e->kind == EXPECT_SECTORS || e->kind == EXPECT_MODE) {
            for (int64_t t = 0; t <= e->within_us; t += EXPECT_EVERY_US) {
                enter(p, e->at_us + t, ENTRY_EXPECT, i);
            }
        }
    }
    for (int64_t t = AVAILABLE_FROM_US; measures(s) && t < s->run_us; t += US_PER_S) {
        enter(p, t, ENTRY_SECOND, 0);
    }
    if (p->o->record != NULL) {
        for (int64_t t = 0; t < s->run_us; t += SAMPLE_EVERY_US) {
            enter(p, t, ENTRY_SAMPLE, 0);
        }
    }
    if (s->heal_us > 0) {
        enter(p, s->heal_us, ENTRY_HEAL, 0);
    }
    if (p->entry_count > 0) {
        qsort(p->entries, p->entry_count, sizeof(*p->entries), by_time);
    }
}

static void follow(struct play *p, const struct play_entry *e)
{
    if (e->at_us > world_now(p->w)) {
        world_run(p->w, e->at_us - world_now(p->w));
    }
    if (play_bad(p)) {
        return;
    }
    switch (e->kind) {
    case ENTRY_ACT:
        act(p, e->index);
        break;
    case ENTRY_UNDO:
        undo(p, e->index);
        break;
    case ENTRY_EXPECT:
        look(p, &p->s->expects[e->index]);
        break;
    case ENTRY_SAMPLE:
        sample(p);
        break;
    case ENTRY_SECOND:
        look_availability(p);
        break;
    case ENTRY_HEAL:
        heal(p);
        live_converge(p);
        break;
    }
}

/* --- the end --- */

static void record_operation(struct play *p, const struct reply *r)
{
    struct play_record *to = p->o->record;
    const struct report *report = r->report;
    to->operations++;
    if (report->target_mesh_us == 0) {
        return;
    }
    to->timed++;
    for (unsigned b = 0; b < ARRIVAL_BUCKETS; b++) {
        to->arrivals[b] += report->aggregate.arrival[b];
        to->releases[b] += report->aggregate.release[b];
    }
}

static void collect(struct play *p)
{
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        const struct reply *r = p->refs[i] != 0 ? world_reply(p->w, p->refs[i]) : NULL;
        if (r == NULL) {
            continue;
        }
        p->result->answered++;
        p->result->refused += r->kind == REPLY_ERROR;
        if (r->kind == REPLY_OPERATION) {
            p->result->ready += r->report->aggregate.outcomes[OUTCOME_READY];
            if (p->o->record != NULL) {
                record_operation(p, r);
            }
        }
        if (p->o->progress) {
            const struct act *a = &p->s->acts[i];
            printf("  %-12s %s", a->label,
                   r->kind == REPLY_OPERATION ? r->report->status : "refused");
            if (r->kind == REPLY_OPERATION) {
                const struct aggregate_view *v = &r->report->aggregate;
                printf(", %u targets:", v->targets);
                for (unsigned o = 0; o < OUTCOME_COUNT; o++) {
                    if (v->outcomes[o] > 0) {
                        printf(" %s %u", outcome_name((enum outcome)o), v->outcomes[o]);
                    }
                }
                puts("");
            } else {
                printf(": %s\n", r->text != NULL ? r->text : "?");
            }
        }
    }
}

static const struct check check_world = {.name = "world"};

/* What the world itself counts. */
static void world_counts(struct play *p)
{
    const struct world_stats *s = world_stats(p->w);
    if (s->executed_twice > 0) {
        judge_fail(&p->judge, &check_world, VERDICT_SAFETY, NULL, "%llu works ran twice",
                   (unsigned long long)s->executed_twice);
    } else if (s->unsound > 0) {
        judge_fail(&p->judge, &check_world, VERDICT_SAFETY, NULL,
                   "%llu contexts were held whose bytes are not those of their names",
                   (unsigned long long)s->unsound);
    } else if (s->uneven > 0) {
        judge_fail(&p->judge, &check_world, VERDICT_SAFETY, NULL,
                   "%llu replies whose states do not add up", (unsigned long long)s->uneven);
    } else if (s->refused > 0) {
        judge_fail(&p->judge, &check_world, VERDICT_SAFETY, NULL,
                   "%llu messages to where they may not go", (unsigned long long)s->refused);
    }
}

static const struct world_wire *play_wire;

void play_wire_set(const struct world_wire *wire)
{
    play_wire = wire;
}

static bool has_liars(const struct scenario *s)
{
    for (uint32_t i = 0; i < s->act_count; i++) {
        if (s->acts[i].kind == ACT_LIE) {
            return true;
        }
    }
    return false;
}

bool play(struct scenario *s, const struct play_options *o, struct play_result *ret)
{
    assert(s != NULL && o != NULL && ret != NULL);
    struct play p = {.s = s, .o = o, .result = ret};
    memset(ret, 0, sizeof(*ret));
    for (uint32_t i = 0; i < s->expect_count; i++) {
        s->expects[i].met = s->expects[i].judged = false;
    }
    s->conf.wire = has_liars(s) ? play_wire : NULL;
    p.w = world_new(&s->conf);
    world_pending_max(p.w, s->pending);
    judge_init(&p.judge, s, p.w, o->coverage);
    world_watch_set(p.w, watch, &p);
    plan(&p);
    for (uint32_t i = 0; i < p.entry_count && !play_bad(&p); i++) {
        follow(&p, &p.entries[i]);
    }
    if (!play_bad(&p) && world_now(p.w) < s->run_us) {
        world_run(p.w, s->run_us - world_now(p.w));
    }
    if (!play_bad(&p)) {
        live_answered(&p);
        judge_end(&p.judge);
        world_counts(&p);
    }
    for (uint32_t i = 0; i < s->expect_count; i++) {
        if (s->expects[i].kind >= EXPECT_OUTCOME) {
            look_back(&p, i);
        }
        ret->unmet += s->expects[i].met ? 0 : 1;
    }
    collect(&p);
    if (o->coverage != NULL) {
        coverage_world(o->coverage, p.w);
    }
    ret->violation = p.judge.violation;
    ret->events = world_stats(p.w)->steps;
    ret->digest = world_stats(p.w)->digest;
    ret->virtual_us = world_now(p.w);
    judge_done(&p.judge);
    world_free(p.w);
    free(p.entries);
    return ret->violation.verdict == VERDICT_GOOD && ret->unmet == 0;
}
