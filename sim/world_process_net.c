/* What the ends of a world know of its processes, and what processes say to each other: the
 * directory (who owns a unit, under which epoch), sessions and their chains, questions and
 * announcements. As tiers/runner does it: directory.c, peers.c, announce.c, ingress.c.
 *
 * Ends are the processes, then the agents, then the consoles together. Only processes of the upper
 * tiers have sessions here: agents' hosts keep theirs. */
#include "sim/world_process.h"
#include <assert.h>

static uint32_t end_of(const struct world *w, uint32_t node)
{
    const struct processes *all = w->processes;
    if (node == WORLD_NOBODY) {
        return all->ends - 1;
    }
    const struct world_node *n = &w->nodes[node];
    return n->process != NO_PROCESS ? n->process : all->count + node - w->first_agent;
}

const struct known *world_process_known(const struct world *w, uint32_t end, uint32_t unit)
{
    return &w->processes->known[end * w->processes->units + unit];
}

/* directory_learn(): false: a higher epoch is known. */
bool world_process_learn(struct world *w, uint32_t end, uint32_t unit, uint32_t name,
                         uint64_t epoch)
{
    struct known *k = &w->processes->known[end * w->processes->units + unit];
    if (epoch < k->epoch) {
        return false;
    }
    if (epoch > k->epoch) {
        *k = (struct known){.epoch = epoch, .name = (uint16_t)name};
    }
    return true;
}

/* A process that starts knows its configuration. */
void world_process_forget(struct world *w, uint32_t index)
{
    struct processes *all = w->processes;
    for (uint32_t i = 0; i < all->names; i++) {
        for (uint32_t u = 0; u < all->list[i].units; u++) {
            all->known[index * all->units + all->list[i].first + u] =
                (struct known){.name = (uint16_t)i};
        }
        all->session[index * all->names + i] = 0;
        all->asked_us[index * all->names + i] = 0;
    }
}

/* egress_renew(): nobody knows it yet, so its chain goes with the next frame to everybody. */
void world_process_renew(struct world *w, struct process *p)
{
    struct processes *all = w->processes;
    uint32_t index = (uint32_t)(p - all->list);
    p->session = ++all->sessions;
    for (uint32_t e = 0; e < all->ends; e++) {
        all->contact[index * all->ends + e] = false;
    }
}

/* --- records --- */

static void put(struct world *w, uint32_t from, uint32_t to, const struct world_msg *wm)
{
    struct block *b = world_block(w, sizeof(*wm));
    struct world_msg *sent = (struct world_msg *)(void *)b->bytes;
    *sent = *wm;
    sent->sent_us = w->now_us;
    sent->from = from;
    sent->partition = w->nodes[from].partition;
    world_send_to(w, from, to, 0, b);
    world_block_drop(w, b);
}

static void say(struct world *w, const struct process *p, uint32_t to_node, enum record record,
                uint8_t flags, uint32_t name, uint64_t epoch)
{
    bool said = record == RECORD_ANNOUNCE && p->contradict && p->contradict_to == p->name;
    bool silent = world_process_mute(w, p) && !said;
    if (silent || !world_leaves(w, p->node)) {
        return;
    }
    const struct world_msg wm = {.record = (uint8_t)record,
                                 .flags = flags,
                                 .name = (uint16_t)name,
                                 .epoch = epoch,
                                 .session = p->session};
    put(w, p->node, to_node, &wm);
}

/* A host of an agent doubts what `to` has announced of the units of `of`. */
static void host_doubts(struct world *w, uint32_t agent, uint32_t to, uint32_t of, uint64_t epoch)
{
    const struct processes *all = w->processes;
    const struct world_msg wm = {
        .record = RECORD_ALIVE, .flags = ALIVE_DOUBT, .name = (uint16_t)of, .epoch = epoch};
    for (uint32_t i = to; i < all->count; i += all->names) {
        if (all->list[i].up && world_leaves(w, agent)) {
            put(w, agent, all->list[i].node, &wm);
        }
    }
}

/* To all that run under the name. */
static void say_name(struct world *w, const struct process *p, uint32_t to, enum record record,
                     uint8_t flags, uint32_t name, uint64_t epoch)
{
    const struct processes *all = w->processes;
    for (uint32_t i = to; i < all->count; i += all->names) {
        if (all->list[i].up && &all->list[i] != p) {
            say(w, p, all->list[i].node, record, flags, name, epoch);
        }
    }
}

static void say_all(struct world *w, const struct process *p, enum record record, uint32_t name,
                    uint64_t epoch)
{
    const struct processes *all = w->processes;
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->list[i].up && &all->list[i] != p) {
            say(w, p, all->list[i].node, record, 0, name, epoch);
        }
    }
    for (uint32_t a = w->first_agent; record == RECORD_ANNOUNCE && a < w->first_host; a++) {
        say(w, p, a, record, 0, name, epoch);
    }
    if (record == RECORD_ANNOUNCE) { /* consoles hear it at once: nothing is lost to them */
        const struct process *of = &all->list[name];
        for (uint32_t u = of->first; u < (uint32_t)of->first + of->units; u++) {
            (void)world_process_learn(w, all->ends - 1, u, p->name, epoch);
        }
    }
}

void world_process_alive(struct world *w, struct process *p, uint32_t to, bool question)
{
    bool waits = p->lease.state == LEASE_WAITING && p->units > 0;
    say_name(w, p, to, RECORD_ALIVE,
             (uint8_t)((question ? ALIVE_QUESTION : 0u) | (waits ? ALIVE_WAITS : 0u)), 0, 0);
}

void world_process_announce(struct world *w, struct process *p, uint32_t name, uint64_t epoch)
{
    say_all(w, p, RECORD_ANNOUNCE, name, epoch);
}

void world_process_ask(struct world *w, struct process *p)
{
    say_all(w, p, RECORD_ASK, 0, 0);
}

/* process_contradict() */
void world_process_contradict(struct world *w, struct process *p)
{
    uint32_t self = (uint32_t)(p - w->processes->list);
    if (w->now_us < w->nodes[p->node].bus_up_us || !p->serving) {
        return;
    }
    if (p->contradict && !p->owns && p->units > 0) {
        say_name(w, p, p->contradict_to, RECORD_ANNOUNCE, 0, p->name,
                 world_process_known(w, self, p->first)->epoch);
    }
    p->contradict = false;
    if (p->doubt_to != 0) {
        uint32_t unit = w->processes->list[p->doubt_of].first;
        say_name(w, p, p->doubt_to - 1u, RECORD_ALIVE, ALIVE_DOUBT, p->doubt_of,
                 world_process_known(w, self, unit)->epoch);
        p->doubt_to = 0;
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        uint32_t name = p->ward_name[i];
        if (p->contradicts[i] != 0 && !p->list[i].held) {
            uint32_t unit = w->processes->list[name].first;
            say_name(w, p, p->contradicts[i] - 1u, RECORD_ANNOUNCE, 0, name,
                     world_process_known(w, self, unit)->epoch);
        }
        p->contradicts[i] = 0;
    }
}

/* --- acceptance --- */

/* A frame without a chain from a session that is not known here: ask whoever has that name. */
static void ask_chain(struct world *w, uint32_t end, uint32_t name)
{
    struct processes *all = w->processes;
    int64_t *asked_us = &all->asked_us[end * all->names + name];
    if (end >= all->count || (*asked_us != 0 && w->now_us - *asked_us < US_PER_S)) {
        if (end >= all->count) { /* an agent's host asks, too; its own session never changes */
            for (uint32_t i = name; i < all->count; i += all->names) {
                all->contact[i * all->ends + end] = false;
            }
        }
        return;
    }
    *asked_us = w->now_us;
    say_name(w, &all->list[end], name, RECORD_CHAIN, 0, 0, 0);
}

/* check_known_key(), check_new_key() of peers.c. */
static bool session_holds(struct world *w, uint32_t end, uint32_t from, uint64_t session,
                          bool chain)
{
    struct processes *all = w->processes;
    const struct process *p = &all->list[from];
    uint64_t *latest = &all->session[end * all->names + p->name];
    if (*latest != session) {
        if (!chain && !(chain = !all->contact[from * all->ends + end])) {
            ask_chain(w, end, p->name);
            w->met[WORLD_MET_UNKNOWN_KEY]++;
            return false;
        }
        if (session < *latest) {
            w->met[WORLD_MET_OLD_SESSION]++;
            return false;
        }
        *latest = session;
    }
    return true;
}

/* Their frame says by which key it knows us. */
static void note_contact(struct world *w, uint32_t to_process, uint32_t from_end, bool asks)
{
    struct processes *all = w->processes;
    const struct process *p = &all->list[to_process];
    bool knows = all->session[from_end * all->names + p->name] == p->session;
    all->contact[to_process * all->ends + from_end] = knows && !asks;
}

/* process_stale() */
static void stale(struct process *self, uint16_t from, uint32_t of)
{
    bool may_speak = of == self->name;
    if (may_speak) {
        self->contradict = true;
        self->contradict_to = from;
    }
    for (uint32_t i = 0; i < self->wards.count; i++) {
        if (self->ward_name[i] == of) {
            self->contradicts[i] = (uint16_t)(from + 1u);
            may_speak = true;
        }
    }
    if (!may_speak) {
        self->doubt_to = (uint16_t)(from + 1u);
        self->doubt_of = (uint16_t)of;
    }
}

static void announced(struct world *w, uint32_t end, const struct world_msg *wm)
{
    struct processes *all = w->processes;
    const struct process *of = &all->list[wm->name];
    uint16_t from = all->list[w->nodes[wm->from].process].name;
    bool good = true;
    for (uint32_t u = of->first; u < (uint32_t)of->first + of->units; u++) {
        good = world_process_learn(w, end, u, from, wm->epoch) && good;
    }
    if (!good && end < all->count) {
        stale(&all->list[end], from, wm->name);
    } else if (!good) {
        host_doubts(w, w->first_agent + end - all->count, from, wm->name,
                    world_process_known(w, end, of->first)->epoch);
    }
}

/* An agent's host says nothing but doubts. */
static void apply(struct world *w, uint32_t end, const struct world_msg *wm)
{
    struct processes *all = w->processes;
    uint16_t process = w->nodes[wm->from].process;
    struct process *self = end < all->count ? &all->list[end] : NULL;
    if (wm->record == RECORD_ANNOUNCE) {
        announced(w, end, wm);
    } else if (wm->record == RECORD_ASK && self != NULL) {
        self->announce = true;
    } else if (wm->record == RECORD_ALIVE && self != NULL && wm->flags == ALIVE_DOUBT) {
        world_process_doubted(w, self, end_of(w, wm->from), wm->name, wm->epoch);
    } else if (wm->record == RECORD_ALIVE && self != NULL) {
        const struct process *from = &all->list[process];
        int64_t now_us = world_local(&w->nodes[self->node], w->now_us);
        for (uint32_t i = 0; i < self->wards.count; i++) {
            if (self->ward_name[i] == from->name) {
                wards_heard(&self->wards, i, now_us);
                wards_waits(&self->wards, i, now_us, (wm->flags & ALIVE_WAITS) != 0);
            }
        }
        if ((wm->flags & ALIVE_QUESTION) != 0) {
            world_process_alive(w, self, from->name, false);
        }
    }
}

/* One frame at one end, before any unit sees it. True: its message may go on to its unit. */
bool world_process_takes(struct world *w, uint32_t node, const struct world_msg *wm)
{
    struct processes *all = w->processes;
    uint32_t end = end_of(w, node);
    struct process *self = end < all->count ? &all->list[end] : NULL;
    bool serves = self == NULL || world_process_serves(w, end);
    bool broadcast = wm->record == RECORD_ANNOUNCE || wm->record == RECORD_ASK;
    bool mute = self != NULL && self->up && world_process_mute(w, self);
    if (self != NULL && (!self->up || (mute ? !broadcast : self->serving && !serves) ||
                         wm->sent_us < self->started_true_us - 2 * US_PER_S)) {
        return false;
    }
    uint32_t from = wm->from == WORLD_NOBODY ? all->ends - 1 : end_of(w, wm->from);
    if (from < all->count) {
        if (!session_holds(w, end, from, wm->session, broadcast)) {
            return false;
        }
    }
    if (self != NULL) {
        note_contact(w, end, from, wm->record == RECORD_CHAIN);
    }
    if (wm->record != RECORD_NONE) {
        apply(w, end, wm);
        return false;
    }
    if (from < all->count) { /* a unit of a process speaks: where it is, and under which epoch */
        uint32_t unit = world_index(w, wm->msg.from);
        if (!world_process_learn(w, end, unit, all->list[from].name, wm->msg.epoch)) {
            w->met[WORLD_MET_STALE_OWNER]++;
            return false;
        }
    }
    return serves;
}

/* --- where to --- */

uint64_t world_process_session(const struct world *w, uint32_t node)
{
    uint16_t process = node == WORLD_NOBODY ? NO_PROCESS : w->nodes[node].process;
    return process == NO_PROCESS ? 0 : w->processes->list[process].session;
}

uint32_t world_process_targets(struct world *w, uint32_t from, uint32_t unit, uint32_t ret[2])
{
    struct processes *all = w->processes;
    uint32_t count = 0;
    uint32_t name = world_process_known(w, end_of(w, from), unit)->name;
    for (uint32_t i = name; i < all->count; i += all->names) {
        if (all->list[i].up) {
            ret[count++] = all->instances[i * all->units + unit];
        }
    }
    return count;
}
