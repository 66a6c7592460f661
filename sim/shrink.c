/* Shrinking: take away and look whether it still fails in the same way. Acts first, in halves and
 * then ever smaller pieces (delta debugging), because every act less makes the next trial cheaper;
 * then what is simpler without: loss, broken units, durations, the time at the end. */
#include "sim/swarm.h"
#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_SECONDS 60u

void trial_run(const struct scenario *s, struct trial *ret)
{
    struct trial *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(shared != MAP_FAILED);
    fflush(NULL);
    pid_t child = fork();
    assert(child >= 0);
    if (child == 0) {
        static struct scenario copy;
        copy = *s;
        alarm(TRIAL_SECONDS);
        struct play_options o = {.coverage = &shared->coverage};
        (void)play(&copy, &o, &shared->result);
        _exit(0);
    }
    int status = 0;
    pid_t got = waitpid(child, &status, 0);
    *ret = *shared;
    ret->crashed = got != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    munmap(shared, sizeof(*shared));
}

struct shrinker {
    struct scenario *best;
    struct scenario next;
    const struct trial *failed;
    uint32_t left, done;
};

/* Whether `next` fails as the original does; then it is the best so far. */
static bool keeps(struct shrinker *k)
{
    uint32_t line;
    if (k->left == 0 || scenario_check(&k->next, &line) != NULL) {
        return false;
    }
    k->left--;
    k->done++;
    static struct trial t;
    trial_run(&k->next, &t);
    const struct violation *was = &k->failed->result.violation, *is = &t.result.violation;
    bool same = k->failed->crashed ? t.crashed
                                   : !t.crashed && was->verdict == is->verdict &&
                                         strcmp(was->check, is->check) == 0;
    if (same) {
        *k->best = k->next;
    }
    return same;
}

static void drop_acts(struct scenario *s, uint32_t from, uint32_t n)
{
    memmove(&s->acts[from], &s->acts[from + n], (s->act_count - from - n) * sizeof(s->acts[0]));
    s->act_count -= n;
}

/* Cancellations and decisions whose operation is gone would make the scenario senseless. */
static void drop_orphans(struct scenario *s)
{
    for (uint32_t i = 0; i < s->act_count;) {
        enum act_kind kind = s->acts[i].kind;
        bool found = kind != ACT_CANCEL && kind != ACT_APPROVE && kind != ACT_REJECT;
        for (uint32_t k = 0; k < s->act_count; k++) {
            found = found || (s->acts[k].kind == ACT_SUBMIT &&
                              strcmp(s->acts[k].label, s->acts[i].label) == 0);
        }
        if (found) {
            i++;
        } else {
            drop_acts(s, i, 1);
        }
    }
}

static void fewer_acts(struct shrinker *k)
{
    uint32_t piece = (k->best->act_count + 1) / 2;
    while (piece > 0 && k->left > 0) {
        bool dropped = false;
        for (uint32_t from = 0; from < k->best->act_count;) {
            uint32_t n = k->best->act_count - from < piece ? k->best->act_count - from : piece;
            k->next = *k->best;
            drop_acts(&k->next, from, n);
            drop_orphans(&k->next);
            if (keeps(k)) {
                dropped = true;
            } else {
                from += n;
            }
        }
        piece = dropped && piece > 1 ? piece : piece / 2;
    }
}

/* A sample of more agents than are left is no file that can be read. */
static void smaller_samples(struct scenario *s)
{
    for (uint32_t i = 0; i < s->act_count; i++) {
        uint32_t agents = s->conf.topology.agents;
        s->acts[i].sample = s->acts[i].sample < agents ? s->acts[i].sample : agents;
    }
}

static void simpler_mesh(struct shrinker *k)
{
    k->next = *k->best;
    k->next.conf.agent_loss_permille = k->next.conf.tier_loss_permille = 0;
    (void)keeps(k);
    k->next = *k->best;
    k->next.conf.agent_loss_permille = 0;
    (void)keeps(k);
    k->next = *k->best;
    k->next.pending = 0;
    (void)keeps(k);
    for (uint32_t i = 0; i < k->best->broken_count;) {
        k->next = *k->best;
        k->next.broken[i] = k->next.broken[--k->next.broken_count];
        i += keeps(k) ? 0 : 1;
    }
    for (uint32_t agents = 1; agents < k->best->conf.topology.agents_per_cluster; agents++) {
        k->next = *k->best;
        const struct topology *t = &k->best->conf.topology;
        bool possible = scenario_shape(&k->next, t->sectors, t->clusters_per_sector, agents);
        if (possible && t->spare > 0) {
            scenario_spare(&k->next, t->spare);
        }
        smaller_samples(&k->next);
        if (possible && keeps(k)) {
            break;
        }
    }
}

static void simpler_acts(struct shrinker *k)
{
    for (uint32_t i = 0; i < k->best->act_count; i++) {
        k->next = *k->best;
        struct act *a = &k->next.acts[i];
        a->at_us = (a->at_us + US_PER_S / 2) / US_PER_S * US_PER_S;
        a->for_us = a->for_us > US_PER_S ? a->for_us / US_PER_S * US_PER_S : a->for_us;
        (void)keeps(k);
        k->next = *k->best;
        a = &k->next.acts[i];
        if (a->kind == ACT_SUBMIT) {
            a->timing = TIMING_SOON;
            a->strategy = CASCADE_NONE;
            a->sample = a->class_mask = 0;
            a->ttl_us = a->timeout_us = 0;
            a->priority = 2;
            (void)keeps(k);
        }
    }
}

static void shorter(struct shrinker *k)
{
    for (int64_t cut_us = k->best->heal_us / 2; cut_us >= US_PER_S && k->left > 0; cut_us /= 2) {
        k->next = *k->best;
        k->next.heal_us -= cut_us;
        k->next.run_us = k->next.heal_us;
        while (keeps(k)) {
            k->next = *k->best;
            k->next.heal_us -= cut_us;
            k->next.run_us = k->next.heal_us;
        }
    }
}

uint32_t shrink(struct scenario *s, const struct trial *failed, uint32_t trials_max)
{
    static struct shrinker k;
    k = (struct shrinker){.best = s, .failed = failed, .left = trials_max};
    fewer_acts(&k);
    simpler_mesh(&k);
    shorter(&k);
    fewer_acts(&k);
    simpler_acts(&k);
    fewer_acts(&k);
    return k.done;
}
