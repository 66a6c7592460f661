/* What checkers share. Nodes and operations are followed here, before any checker looks, so that a
 * checker sees the state after the step that it judges. */
#include "sim/judge.h"
#include "core/num.h"
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Silence that chance alone may explain: six beats of an agent, four of a tier (a chance of about
 * 1e-5 a window). */
#define AGENT_LOSS_CHANCE 140u
#define TIER_LOSS_CHANCE  20u
#define BROKER_US         (20 * US_PER_S) /* after it is back, until nobody feels it */

static void *room(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (p == NULL) {
        fputs("judge: out of memory\n", stderr);
        abort();
    }
    return p;
}

uint32_t judge_place(const struct judge *j, struct unit u)
{
    const struct topology *t = &j->topology;
    if (u.tier == TIER_NONE || u.tier >= TIER_HOST || !topology_contains(t, u)) {
        return UINT32_MAX;
    }
    switch (u.tier) {
    case TIER_ORCHESTRATOR:
        return 0;
    case TIER_SECTOR:
        return u.sector;
    case TIER_CLUSTER:
        return j->first_cluster + (u.sector - 1u) * t->clusters_per_sector + u.cluster - 1u;
    default:
        return j->first_agent + topology_index(t, u);
    }
}

uint32_t judge_index(const struct judge *j, struct unit u)
{
    uint32_t place = judge_place(j, u);
    return place == UINT32_MAX ? place : place == j->at_place ? j->at : j->effective[place];
}

struct judged_node *judge_node(struct judge *j, struct unit u)
{
    uint32_t i = judge_index(j, u);
    return i == UINT32_MAX ? NULL : &j->nodes[i];
}

struct judged_op *judge_op(struct judge *j, const struct id128 *id)
{
    struct judged_op *o = j->ops[num_id128_low(*id) % JUDGE_SLOTS];
    while (o != NULL && !num_id128_equal(o->id, *id)) {
        o = o->next;
    }
    return o;
}

struct judged_part *judge_part(struct judge *j, const struct id128 *id, struct unit u)
{
    struct judged_op *o = judge_op(j, id);
    uint32_t i = judge_index(j, u);
    return o == NULL || i == UINT32_MAX ? NULL : &o->parts[i];
}

bool judge_noted(const struct world_step *s, enum note note, uint64_t *ret_a, uint64_t *ret_b)
{
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_NOTE && fx->u.note.note == note) {
            if (ret_a != NULL) {
                *ret_a = fx->u.note.a;
            }
            if (ret_b != NULL) {
                *ret_b = fx->u.note.b;
            }
            return true;
        }
    }
    return false;
}

static bool above(struct unit top, struct unit u)
{
    return top.tier == TIER_ORCHESTRATOR || (top.tier == TIER_SECTOR && top.sector == u.sector) ||
           (top.tier == TIER_CLUSTER && top.sector == u.sector && top.cluster == u.cluster);
}

/* What must not cost anybody his place, whatever else it does. */
static bool harmless(enum act_kind kind)
{
    switch ((int)kind) {
    case ACT_SUBMIT:
    case ACT_CANCEL:
    case ACT_FREEZE:
    case ACT_QUARANTINE:
    case ACT_MOVE:
    case ACT_SCALE:
    case ACT_RETIRE:
    case ACT_SLOW:
    case ACT_STORE_DOWN:
    case ACT_STORE_SILENT:
    case ACT_STORE_READONLY:
    case ACT_STORE_FULL:
    case ACT_STORE_BARE:
    case ACT_STORE_UNSURE:
    case ACT_STORE_CRASH:
    case ACT_STORE_FAILOVER:
    case ACT_STORE_WIPE:
    case ACT_STORE_SPOIL:
    case ACT_ROUTE:
    case ACT_APPROVE:
    case ACT_REJECT:
    case ACT_DUPLICATE:
    case ACT_CLOCK_DRIFT:
    case ACT_BROKER:
        return true;
    default:
        return false;
    }
}

/* With processes, what is done to one unit is done to others of its tier, and who takes over has
 * them all: whoever is above or below one of them may feel it. */
static bool shares(const struct scenario *s, struct unit u, struct unit parent, struct unit child)
{
    return s->conf.processes > 0 && u.tier != TIER_NONE && u.tier != TIER_AGENT &&
           (u.tier == parent.tier || u.tier == child.tier);
}

bool judge_touched(const struct judge *j, struct unit parent, struct unit child, int64_t now_us)
{
    const struct scenario *s = j->scenario;
    uint32_t loss =
        child.tier == TIER_AGENT ? s->conf.agent_loss_permille : s->conf.tier_loss_permille;
    if (j->shaken) {
        return true;
    }
    if (loss > (child.tier == TIER_AGENT ? AGENT_LOSS_CHANCE : TIER_LOSS_CHANCE)) {
        return true;
    }
    for (uint32_t i = 0; i < s->broken_count && s->heal_us > 0 && now_us >= s->heal_us; i++) {
        if (unit_equal(s->broken[i], child) || above(s->broken[i], child)) {
            return true;
        }
    }
    uint32_t brokers = 0;
    /* It is called home through its home's sector: a lead that is cut off does not hear of it. */
    bool guest = child.tier == TIER_AGENT && !topology_planned(&s->conf.topology, child);
    for (uint32_t i = 0; i < s->act_count; i++) {
        const struct act *a = &s->acts[i];
        bool recent = a->at_us <= now_us && now_us < a->at_us + a->for_us + BROKER_US;
        brokers += a->kind == ACT_BROKER && recent;
        if (brokers > 1) {
            return true; /* some were back for the one, others not yet for the other */
        }
        if (a->at_us > now_us || harmless(a->kind)) {
            continue;
        }
        if (unit_equal(a->unit, child) || unit_equal(a->unit, parent) ||
            (a->below && above(a->unit, child)) || (guest && above(a->unit, parent)) ||
            shares(s, a->unit, parent, child)) {
            return true;
        }
    }
    return false;
}

void judge_fail(struct judge *j, const struct check *check, enum verdict verdict,
                const struct world_step *s, const char *format, ...)
{
    struct violation *v = &j->violation;
    if (v->verdict != VERDICT_GOOD) {
        return;
    }
    va_list args;
    v->verdict = verdict;
    v->at_us = s != NULL ? s->true_us : j->world != NULL ? world_now(j->world) : 0;
    v->unit = s != NULL ? s->unit : (struct unit){0};
    snprintf(v->check, sizeof(v->check), "%s", check->name);
    va_start(args, format);
    vsnprintf(v->text, sizeof(v->text), format, args);
    va_end(args);
}

/* --- following --- */

static void follow_operation(struct judge *j, const struct operation *op)
{
    if (judge_op(j, &op->id) != NULL) {
        return;
    }
    struct judged_op *o = room(sizeof(*o));
    *o = (struct judged_op){.id = op->id,
                            .created_mesh_us = op->created_mesh_us,
                            .ttl_us = op->ttl_us,
                            .source = op->source,
                            .capabilities = op->selector.capabilities,
                            .timing = op->timing,
                            .priority = op->priority,
                            .unknown_capability = op->unknown_capability,
                            .require_ack = op->require_ack};
    o->parts = room(j->node_count * sizeof(*o->parts));
    struct judged_op **slot = &j->ops[num_id128_low(op->id) % JUDGE_SLOTS];
    o->next = *slot;
    *slot = o;
}

static void follow_message(struct judge *j, struct judged_node *n, const struct msg *m)
{
    const struct operation *op = NULL;
    struct id128 id = {{0}};
    if (m->type == MSG_OPERATE) {
        op = m->u.operate.operation;
        id = m->u.operate.operation_id;
    } else if (m->type == MSG_RELAY) {
        op = m->u.relay.operation;
        id = op != NULL ? op->id : id;
    }
    bool parent =
        n->unit.tier != TIER_ORCHESTRATOR && unit_equal(m->from, topology_parent(n->unit));
    bool stale = parent && m->epoch < n->parent_epoch;
    if (parent && !stale) {
        n->parent_epoch = m->epoch;
    }
    if (op == NULL) {
        return;
    }
    follow_operation(j, op);
    struct judged_part *part = judge_part(j, &id, n->unit);
    if (part->order == 0 || (part->stale && !stale)) {
        part->order = ++j->order;
        part->under = m->epoch;
        part->stale = stale;
    }
}

static void follow_started(struct judge *j, struct judged_node *n, const struct world_step *s)
{
    uint64_t epoch = n->epoch + 1;
    (void)judge_noted(s, NOTE_STARTED, &epoch, NULL);
    uint32_t index = (uint32_t)(n - j->nodes), *effective = &j->effective[j->at_place];
    if (epoch >= j->nodes[*effective].epoch) {
        *effective = index;
    }
    for (uint32_t k = 0; k < JUDGE_SLOTS; k++) { /* a new life knows nothing */
        for (struct judged_op *o = j->ops[k]; o != NULL; o = o->next) {
            struct judged_part *p = &o->parts[index];
            *p = (struct judged_part){.ran_in = p->ran_in, .answered_in = p->answered_in};
        }
    }
    *n = (struct judged_node){
        .unit = s->unit, .epoch = epoch, .started_us = s->true_us, .alive = true};
}

static void follow_effects(struct judge *j, const struct world_step *s)
{
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_SEAL) {
            follow_operation(j, &fx->u.operation);
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_OPERATE) {
            struct judged_op *o = judge_op(j, &fx->u.msg.u.operate.operation_id);
            int64_t deadline = fx->u.msg.u.operate.deadline_mesh_us;
            if (o != NULL && deadline > o->deadline_mesh_us) {
                o->deadline_mesh_us = deadline;
            }
        }
    }
}

/* After the checkers: what is begun in the step of the freeze is not held against the node. */
static void follow_frozen(struct judged_node *n, const struct world_step *s)
{
    if (judge_noted(s, NOTE_FROZEN, NULL, NULL)) {
        n->frozen = true;
    }
    if (judge_noted(s, NOTE_THAWED, NULL, NULL)) {
        n->frozen = false;
    }
}

struct unit judge_home(const struct judge *j, struct unit agent)
{
    uint32_t place = judge_place(j, agent);
    assert(agent.tier == TIER_AGENT && place < j->places);
    return j->homes[place].tier == TIER_AGENT ? j->homes[place] : agent;
}

/* Of a host: who starts where. */
static void follow_host(struct judge *j, const struct world_step *s)
{
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_WORK && fx->u.work.kind == WORK_AGENT_START) {
            j->homes[judge_place(j, fx->u.work.unit)] = fx->u.work.home;
        }
    }
}

void judge_step(void *judge, const struct world_step *s)
{
    struct judge *j = judge;
    j->at_place = judge_place(j, s->unit);
    j->at = j->at_place < j->places && s->instance >= j->places ? s->instance : j->at_place;
    struct judged_node *n = j->at < j->node_count ? &j->nodes[j->at] : NULL;
    j->steps++;
    if (s->unit.tier == TIER_HOST) {
        follow_host(j, s);
    }
    if (n == NULL || j->violation.verdict != VERDICT_GOOD) {
        return; /* hosts have no checkers */
    }
    if (s->event->kind == EV_START) {
        follow_started(j, n, s);
    } else if (s->event->kind == EV_MSG) {
        follow_message(j, n, s->event->u.msg);
    }
    follow_effects(j, s);
    for (uint32_t i = 0; i < check_count; i++) {
        checks[i]->step(j, j->states[i], s);
    }
    follow_frozen(n, s);
    if (j->coverage != NULL) {
        coverage_step(j->coverage, s);
    }
    j->at_place = UINT32_MAX;
}

void judge_init(struct judge *j, const struct scenario *s, struct world *w, struct coverage *c)
{
    assert(j != NULL && s != NULL);
    memset(j, 0, sizeof(*j));
    j->scenario = s;
    j->world = w;
    j->coverage = c;
    j->topology = s->conf.topology;
    const struct topology *t = &j->topology;
    j->first_cluster = 1u + t->sectors;
    j->first_agent = j->first_cluster + (uint32_t)t->sectors * t->clusters_per_sector;
    j->places = j->first_agent + topology_places(t);
    j->node_count = w != NULL && s->conf.processes > 0 ? world_instances(w) : j->places;
    j->at_place = UINT32_MAX;
    j->effective = room(j->places * sizeof(*j->effective));
    for (uint32_t i = 0; i < j->places; i++) {
        j->effective[i] = i;
    }
    j->homes = room(j->places * sizeof(*j->homes));
    j->nodes = room(j->node_count * sizeof(*j->nodes));
    j->states = room(check_count * sizeof(*j->states));
    for (uint32_t i = 0; i < check_count; i++) {
        j->states[i] = room(checks[i]->bytes);
    }
}

void judge_end(struct judge *j)
{
    for (uint32_t i = 0; i < check_count; i++) {
        if (checks[i]->end != NULL && j->violation.verdict == VERDICT_GOOD) {
            checks[i]->end(j, j->states[i]);
        }
    }
}

void judge_done(struct judge *j)
{
    for (uint32_t i = 0; i < check_count; i++) {
        if (checks[i]->done != NULL) {
            checks[i]->done(j->states[i]);
        }
        free(j->states[i]);
    }
    for (uint32_t i = 0; i < JUDGE_SLOTS; i++) {
        while (j->ops[i] != NULL) {
            struct judged_op *o = j->ops[i];
            j->ops[i] = o->next;
            free(o->parts);
            free(o);
        }
    }
    free(j->states);
    free(j->effective);
    free(j->homes);
    free(j->nodes);
}
