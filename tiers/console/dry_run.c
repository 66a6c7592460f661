#include "tiers/console/dry_run.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 65536u

bool dry_run_wanted(const struct invocation *in)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && in->spec->parameters[i].name; i++)
        if (strcmp(in->spec->parameters[i].name, "dry-run") == 0)
            return in->values[i].given;
    return false;
}

bool dry_run_query(const struct invocation *in, struct command *command)
{
    if (command->kind != COMMAND_SUBMIT || !dry_run_wanted(in))
        return false;
    struct query query = {.kind = QUERY_AGENTS,
                          .selector = command->operation.selector,
                          .from_start = true,
                          .limit = PAGE_ROWS_MAX};
    query.selector.sample = 0; /* who might be chosen */
    *command = (struct command){.kind = COMMAND_QUERY, .query = query};
    return true;
}

static int by_first(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* How many of them a sample, or a delegation, would take; 0: all. */
static uint32_t sample_of(const struct invocation *in)
{
    if (in->spec->verb == CMD_DELEGATE) {
        const struct value *several = command_value(in, "several");
        return several->given ? (uint32_t)several->number : 1;
    }
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && in->spec->parameters[i].name; i++) {
        if (strcmp(in->spec->parameters[i].name, "sample") == 0 && in->values[i].given)
            return (uint32_t)in->values[i].number;
        if (strcmp(in->spec->parameters[i].name, "all") == 0 && in->values[i].given)
            return 0;
    }
    return in->spec->verb == CMD_ASK ? 100 : 0;
}

void dry_run_render(const struct render *r, const struct invocation *in, const struct pages *pages)
{
    static char text[TEXT_MAX];
    char a[32], b[32];
    uint32_t sample = sample_of(in), by_class[CLASS_COUNT] = {0};
    size_t n = 0;
    assert(r && in && pages);
    struct run *runs = malloc((pages->count + 1) * sizeof *runs);
    if (!runs) {
        render_error(r, "", "out of memory");
        return;
    }
    for (size_t i = 0; i < pages->count; i++) {
        uint32_t index = topology_index(r->topology, pages->rows[i].unit);
        runs[n++] = (struct run){index, index};
        by_class[pages->rows[i].u.agent.agent_class]++;
    }
    qsort(runs, n, sizeof *runs, by_first);
    size_t kept = 0;
    for (size_t i = 1; i < n; i++) {
        if (runs[i].first == runs[kept].last + 1)
            runs[kept].last = runs[i].last;
        else
            runs[++kept] = runs[i];
    }
    text[0] = '\0';
    if (n > 0)
        runs_format(r->topology, runs, (uint32_t)kept + 1, text, sizeof text);
    free(runs);
    if (r->json) {
        json_t *classes = json_object();
        for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
            json_object_set_new(classes, class_name(c), json_integer(by_class[c]));
        json_t *o = json_pack("{s:b,s:I,s:I,s:s,s:o,s:I}", "dry_run", 1, "targets",
                              (json_int_t)pages->count, "sample", (json_int_t)sample, "places",
                              text, "classes", classes, "missing", (json_int_t)pages->missing);
        json_dumpf(o, r->out, JSON_COMPACT);
        fputc('\n', r->out);
        json_decref(o);
        return;
    }
    if (in->spec->verb == CMD_ROUTE_AROUND)
        fputs("route-around is about all of these: nothing was changed\n", r->out);
    else
        fprintf(r->out, "%s would go to %s%s: nothing was sent\n", in->spec->name,
                sample && sample < pages->count ? render_count(sample, b) : "all of these",
                !sample || sample >= pages->count ? ""
                : in->spec->verb == CMD_DELEGATE  ? " of these, the best,"
                                                  : " of these, at random,");
    fprintf(r->out, "  %s agents  %s\n", render_count(pages->count, a), n ? text : "none");
    for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
        if (by_class[c])
            fprintf(r->out, "  %s of %s\n", render_count(by_class[c], a), class_name(c));
    if (pages->missing)
        fprintf(r->out, "no answer from %u units below: the list is incomplete\n", pages->missing);
}
