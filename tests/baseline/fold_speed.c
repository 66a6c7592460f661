/* Folding 30,000 answers of 1,000 kinds: as they go up the tree with every operation (1,000 leads
 * of 30 agents, sectors of 32 leads, the root: the largest groups, and the sum of the rest), and
 * every kind with its agents, as --pages lists them: page by page, all tiers' work in one process.
 * Then as the console shows them: the largest kind first, its agents as ranges that can be pasted
 * back. Prints the milliseconds of processor time of the first and of all of the second (medians),
 * the kinds and agents of the pages, and the answers of the tree. Built and run by tests/bench
 * console. */
#include "core/aggregate.h"
#include "core/pager.h"
#include "core/rng.h"
#include "core/topology.h"
#include "tiers/console/pages.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGENTS      30000u
#define LEAD        30u
#define SECTOR      32u
#define KINDS       1000u
#define ROUNDS      9
#define CHUNKS      4096u
#define LEVELS      3
#define ANSWERS     32u
#define LEAD_ROWS   64u
#define LEAD_DATA   16384u
#define RANGES_TEXT 65536u

static char answers[KINDS][ANSWERS];
static uint32_t kind_of[AGENTS];
static uint64_t hash_of[AGENTS]; /* a lead hashes an answer when it comes, once */
static void *slab_memory, *pager_memory[LEVELS];
static struct aggregate_scratch scratch;

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add(struct aggregate *a, struct slab *slab, uint32_t agent)
{
    const char *text = answers[kind_of[agent]];
    struct aggregate_target t = {.agent = agent,
                                 .outcome = OUTCOME_READY,
                                 .answer = (const uint8_t *)text,
                                 .answer_bytes = (uint32_t)strlen(text),
                                 .sent = true,
                                 .reached = true};
    aggregate_add_target(a, slab, &t);
}

/* `from` is added to `into`, and over. */
static void close_into(struct aggregate *from, struct aggregate *into, struct slab *slab)
{
    struct aggregate_view view;
    aggregate_view(from, slab, &scratch, &view);
    aggregate_merge(into, slab, &view);
    aggregate_done(from, slab);
}

/* The counts of all, going up the tree; returns the ready ones. */
static uint32_t fold_counts(void)
{
    struct slab slab;
    struct aggregate levels[LEVELS] = {0}; /* lead, sector, root */
    memset(slab_memory, 0, slab_bytes(CHUNKS));
    slab_init(&slab, slab_memory, CHUNKS);
    bool open = aggregate_init(&levels[2], &slab);
    for (uint32_t first = 0; first < AGENTS && open; first += LEAD) {
        if (first % (LEAD * SECTOR) == 0) {
            open = aggregate_init(&levels[1], &slab);
        }
        open = open && aggregate_init_wide(&levels[0], &slab);
        for (uint32_t i = 0; i < LEAD && open; i++) {
            add(&levels[0], &slab, first + i);
        }
        close_into(&levels[0], &levels[1], &slab);
        if ((first + LEAD) % (LEAD * SECTOR) == 0 || first + LEAD == AGENTS) {
            close_into(&levels[1], &levels[2], &slab);
        }
    }
    assert(open);
    uint32_t ready = levels[2].outcomes[OUTCOME_READY];
    aggregate_done(&levels[2], &slab);
    return ready;
}

/* A pager of that level for what lies beyond after_key: a lead's is small (cluster_query.c). */
static void open_pager(struct pager *p, int level, bool from_start, uint64_t after_key)
{
    uint32_t rows = level == 0 ? LEAD_ROWS : PAGE_ROWS_MAX;
    pager_init(p, pager_memory[level], rows, level == 0 ? LEAD_DATA : PAGE_BYTES_MAX, ROW_ANSWER,
               from_start, after_key, rows);
}

static void add_row(struct pager *p, uint32_t agent)
{
    const uint8_t *text = (const uint8_t *)answers[kind_of[agent]];
    uint32_t bytes = (uint32_t)strlen((const char *)text);
    struct run run = {agent, agent};
    struct page_row row = {.key = hash_of[agent]};
    row.u.answer = (struct answer_group){.outcome = OUTCOME_READY,
                                         .hash = row.key,
                                         .count = 1,
                                         .run_count = 1,
                                         .runs = &run,
                                         .answer_bytes = bytes,
                                         .answer = text};
    pager_row(p, &row);
}

static void page_up(struct pager *from, struct pager *into)
{
    struct rows page;
    pager_rows(from, 0, &page);
    enum pager_verdict v = pager_page(into, &page);
    assert(v == PAGER_OK);
    (void)v;
}

/* One page of the kinds beyond after_key, merged up the tree. */
static void fold_page(bool from_start, uint64_t after_key, const struct topology *t,
                      struct pages *ret)
{
    struct pager lead, sector, root;
    struct rows page;
    open_pager(&root, 2, from_start, after_key);
    for (uint32_t first = 0; first < AGENTS; first += LEAD) {
        if (first % (LEAD * SECTOR) == 0) {
            open_pager(&sector, 1, from_start, after_key);
        }
        open_pager(&lead, 0, from_start, after_key);
        for (uint32_t i = 0; i < LEAD; i++) {
            add_row(&lead, first + i);
        }
        page_up(&lead, &sector);
        if ((first + LEAD) % (LEAD * SECTOR) == 0 || first + LEAD == AGENTS) {
            page_up(&sector, &root);
        }
    }
    pager_rows(&root, 0, &page);
    pages_add(ret, t, &page, KINDS + 1);
}

/* The agents of the ranges that a kind is shown with. */
static uint32_t shown(const struct topology *t, const struct answer_group *g)
{
    static char text[RANGES_TEXT];
    uint32_t sum = 0;
    bool whole = runs_format(t, g->runs, g->run_count, text, sizeof(text));
    for (uint32_t i = 0; i < g->run_count && whole; i++) {
        sum += g->runs[i].last - g->runs[i].first + 1;
    }
    return sum;
}

/* Every kind; returns the agents that are shown with them. */
static uint32_t fold_kinds(const struct topology *t, uint32_t *ret_kinds)
{
    struct pages pages = {0};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < AGENTS; i++) {
        const char *text = answers[kind_of[i]];
        hash_of[i] = aggregate_hash(OUTCOME_READY, REASON_NONE, (const uint8_t *)text,
                                    (uint32_t)strlen(text));
    }
    do {
        fold_page(pages.count == 0, pages.last_key, t, &pages);
    } while (pages.more);
    struct answer_group *groups = pages_groups(&pages);
    for (size_t i = 0; groups != NULL && i < pages.count; i++) {
        sum += shown(t, &groups[i]) == groups[i].count ? groups[i].count : 0;
    }
    *ret_kinds = (uint32_t)pages.count;
    free(groups);
    pages_done(&pages);
    return sum;
}

int main(void)
{
    struct topology topology;
    struct rng rng;
    double counts_ms[ROUNDS], kinds_ms[ROUNDS];
    uint32_t ready = 0, kinds = 0, sum = 0;
    topology_default(AGENTS, &topology);
    rng_seed(&rng, 1, 2);
    for (uint32_t k = 0; k < KINDS; k++) {
        (void)snprintf(answers[k], sizeof(answers[k]), "the answer of kind %04u", k);
    }
    for (uint32_t i = 0; i < AGENTS; i++) {
        kind_of[i] = i < KINDS ? i : (uint32_t)rng_below(&rng, KINDS);
    }
    slab_memory = aligned_alloc(16, slab_bytes(CHUNKS));
    for (int i = 0; i < LEVELS; i++) {
        size_t bytes = pager_bytes(PAGE_ROWS_MAX, PAGE_BYTES_MAX);
        pager_memory[i] = aligned_alloc(16, (bytes + 15) / 16 * 16);
        if (slab_memory == NULL || pager_memory[i] == NULL) {
            return 1;
        }
    }
    for (int r = 0; r < ROUNDS; r++) {
        double begin = now_ms();
        ready = fold_counts();
        counts_ms[r] = now_ms() - begin;
    }
    for (int r = 0; r < ROUNDS; r++) {
        double begin = now_ms();
        sum = fold_kinds(&topology, &kinds);
        kinds_ms[r] = now_ms() - begin;
    }
    qsort(counts_ms, ROUNDS, sizeof(double), by_value);
    qsort(kinds_ms, ROUNDS, sizeof(double), by_value);
    (void)printf("%.3f %.3f %u %u %u\n", counts_ms[ROUNDS / 2], kinds_ms[ROUNDS / 2], kinds, sum,
                 ready);
    free(slab_memory);
    for (int i = 0; i < LEVELS; i++) {
        free(pager_memory[i]);
    }
    return kinds == KINDS && sum == AGENTS && ready == AGENTS ? 0 : 1;
}
