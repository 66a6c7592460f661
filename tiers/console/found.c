#include "tiers/console/found.h"

#include "tiers/console/dry_run.h"
#include "tiers/console/task_int.h"
#include "tiers/runner/client.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

bool found_wanted(const struct task *t)
{
    assert(t && t->invocation.spec);
    const struct selector *sel = &t->command.operation.selector;
    if (t->command.kind != COMMAND_SUBMIT || !sel->where[0])
        return false;
    /* A dry run shows of a sample all who might be in it. */
    return sel->part_last || rollout_wanted(&t->invocation) ||
           (sel->sample && !dry_run_wanted(&t->invocation));
}

void found_query(struct task *t)
{
    assert(t && t->command.kind == COMMAND_SUBMIT);
    struct operation *op = &t->delegated;
    *op = t->command.operation;
    op->selector.part_seed = op->selector.part_first = op->selector.part_last = 0;
    struct query query = {
        .kind = QUERY_AGENTS, .selector = op->selector, .from_start = true, .limit = PAGE_ROWS_MAX};
    query.selector.sample = 0;
    t->command = (struct command){.kind = COMMAND_QUERY, .query = query};
}

/* A bit for each agent of the rows; the caller frees. */
static uint8_t *bits_of(const struct pages *pages, const struct topology *t)
{
    uint8_t *found = calloc(topology_places(t) / 8u + 1u, 1);
    for (size_t i = 0; found && i < pages->count; i++) {
        uint32_t index = topology_index(t, pages->rows[i].unit);
        found[index / 8u] |= (uint8_t)(1u << index % 8u);
    }
    return found;
}

/* t->command is the submission again, with its part (and its rollout planned). EXIT_OK, or how the
 * task ends: error says why. */
static int submission(struct task *t, char error[COMMAND_ERROR_MAX])
{
    const struct topology *topology = t->render.topology;
    assert(t && error);
    t->command = (struct command){.kind = COMMAND_SUBMIT, .operation = t->delegated};
    struct selector *sel = &t->command.operation.selector;
    if (t->pages.count == 0) {
        snprintf(error, COMMAND_ERROR_MAX, "no agent of the selection has these facts: %s",
                 sel->where);
        return EXIT_NOT_FOUND;
    }
    uint8_t *found = bits_of(&t->pages, topology);
    if (!found) {
        snprintf(error, COMMAND_ERROR_MAX, "out of memory");
        return EXIT_USAGE;
    }
    bool good = rollout_limit(&t->invocation, topology, found, sel, error);
    if (good && rollout_wanted(&t->invocation))
        good = rollout_plan(&t->rollout, &t->invocation, topology, found, &t->command, error);
    else if (good && sel->sample)
        good = rollout_sample(topology, found, (uint32_t)uv_hrtime(), sel);
    free(found);
    return good ? EXIT_OK : EXIT_USAGE;
}

void found_take(struct task *t)
{
    char error[COMMAND_ERROR_MAX] = "";
    int code = submission(t, error);
    t->finding = false;
    if (code != EXIT_OK) {
        render_error(&t->render, code == EXIT_NOT_FOUND ? "not-found" : "usage", error);
        task_finish(t, code);
        return;
    }
    pages_done(&t->pages);
    t->passes = 0;
    t->dry_run = dry_run_query(&t->invocation, &t->command);
    if (t->dry_run) {
        task_first_page(t);
    } else if (t->rollout.active) {
        client_any_ref(t->conf.client, true);
        task_rollout_step(t);
    } else {
        task_send(t);
    }
}
