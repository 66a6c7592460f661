#include "tiers/console/review.h"

#include "tiers/console/task.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 31u
#define WAIT_US        (5 * (int64_t)US_PER_S)

enum what { LIST, CLAIM, ANSWER, REJECT, DELEGATE, ESCALATE };

static const char *text_of(const struct invocation *in, const char *name)
{
    const struct value *v = command_value(in, name);
    return v->given ? v->text : "";
}

static bool name_valid(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= NAME_MAX_BYTES && strpbrk(name, " \t") == NULL;
}

/* "s94.c1.a2/0a1b2c3d": the desk's agent, and which of its reviews. */
static bool item_parse(const char *item, const struct topology *t, struct operation *op,
                       const char **ret_id, char error[COMMAND_ERROR_MAX])
{
    const char *slash = strrchr(item, '/'), *why = NULL;
    struct unit u = {0};
    size_t at;
    char place[UNIT_TEXT_MAX];
    bool good = slash != NULL && strlen(slash + 1) == 8 &&
                strspn(slash + 1, "0123456789abcdef") == 8 &&
                unit_parse(item, (size_t)(slash - item), &u, &why) && u.tier == TIER_AGENT &&
                topology_contains(t, u);
    if (!good) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "item: '%.60s' is not AGENT/ID as 'review list' shows it: s94.c1.a2/0a1b2c3d",
                 item);
        return false;
    }
    *ret_id = slash + 1;
    size_t n = unit_format(u, place);
    good = place_parse(place, n, t, &op->selector.places, &at, &why);
    assert(good);
    return good;
}

bool review_build(const struct invocation *in, const struct topology *t, struct operation *op,
                  char error[COMMAND_ERROR_MAX])
{
    static const char *const actions[] = {"review.list",   "review.claim",    "review.answer",
                                          "review.reject", "review.delegate", "review.escalate"};
    static char payload[PAYLOAD_BYTES_MAX]; /* one command at a time */
    enum what what = (enum what)command_value(in, "what")->number;
    const char *item = text_of(in, "item"), *text = text_of(in, "text"), *id = "";
    const char *who = text_of(in, "as"), *user = getenv("USER");
    who = who[0] ? who : user ? user : "operator";
    op->routing = ROUTING_SCATTER_GATHER;
    op->verb = what == LIST ? VERB_OBSERVE : VERB_DECIDE;
    op->priority = 3; /* ahead of the reviews themselves */
    op->require_answer = true;
    op->allow_partial = true;
    op->selector.class_mask = 1u << CLASS_F_HUMAN;
    op->timeout_us = command_value(in, "timeout")->given ? op->timeout_us : WAIT_US;
    snprintf(op->action, sizeof op->action, "%s", actions[what]);
    if (!name_valid(who)) {
        snprintf(error, COMMAND_ERROR_MAX, "--as: '%.40s' is no name: 1 to 31 characters, no blank",
                 who);
        return false;
    }
    if (what != LIST && !item_parse(item, t, op, &id, error))
        return false;
    int n = what == LIST ? snprintf(payload, sizeof payload, "%s", item)
                         : snprintf(payload, sizeof payload, "%s %s %s", id, who, text);
    if (n < 0 || (size_t)n > ANSWER_BYTES_MAX - 32) {
        snprintf(error, COMMAND_ERROR_MAX, "text: longer than %u bytes", ANSWER_BYTES_MAX - 64);
        return false;
    }
    op->payload = (const uint8_t *)payload;
    op->payload_bytes = (uint32_t)n;
    return true;
}

static const char *string_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* A desk's word, as a line may show it. */
static const char *safe_of(const json_t *o, const char *key, char *room, size_t size)
{
    const char *text = string_of(o, key);
    return render_safe(text, strlen(text), room, size);
}

static void print_item(const struct render *r, const json_t *o)
{
    char agent[UNIT_TEXT_MAX], id[12], item[UNIT_TEXT_MAX + 13], left[32], action[ACTION_MAX];
    char text[ANSWER_BYTES_MAX], note[ANSWER_BYTES_MAX], whose[40], by[40];
    snprintf(item, sizeof item, "%s/%s", safe_of(o, "agent", agent, sizeof agent),
             safe_of(o, "id", id, sizeof id));
    int64_t left_s = json_integer_value(json_object_get(o, "left_s"));
    safe_of(o, "claimed_by", by, sizeof by);
    safe_of(o, "note", note, sizeof note);
    fprintf(r->out, "%-24s %-10s %-12s %-12s %-9s %s%s%s\n", item,
            safe_of(o, "action", action, sizeof action),
            safe_of(o, "assignee", whose, sizeof whose), by[0] ? by : "-",
            render_span(left_s * US_PER_S, left), safe_of(o, "text", text, sizeof text),
            note[0] ? "  | " : "", note);
}

static int by_time_left(const void *a, const void *b)
{
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "left_s"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "left_s"));
    return x < y ? -1 : x > y;
}

/* Each READY answer has one JSON object a line; ret_more: those for which a desk had no room. */
static size_t collect(const struct answer_group *groups, size_t count, json_t **ret, size_t most,
                      json_int_t *ret_more)
{
    size_t n = 0;
    for (size_t g = 0; g < count; g++) {
        const char *at = (const char *)groups[g].answer;
        size_t left = groups[g].outcome == OUTCOME_READY ? groups[g].answer_bytes : 0;
        while (left > 0 && n < most) {
            const char *end = memchr(at, '\n', left);
            size_t bytes = end ? (size_t)(end - at) : left;
            json_t *o = json_loadb(at, bytes, 0, NULL);
            *ret_more += json_integer_value(json_object_get(o, "more"));
            if (json_object_get(o, "id"))
                ret[n++] = o;
            else
                json_decref(o);
            bytes += end ? 1 : 0;
            at += bytes;
            left -= bytes;
        }
    }
    return n;
}

static int render_list(const struct render *r, const struct report *report,
                       const struct answer_group *groups, size_t count)
{
    static json_t *items[4096];
    json_int_t more = 0;
    size_t n = collect(groups, count, items, sizeof items / sizeof *items, &more);
    uint32_t desks = report->aggregate.outcomes[OUTCOME_READY];
    uint32_t silent = report->aggregate.targets - desks;
    qsort(items, n, sizeof *items, by_time_left);
    json_t *list = json_array();
    if (!r->json && n > 0)
        fprintf(r->out, "%-24s %-10s %-12s %-12s %-9s %s\n", "ITEM", "ACTION", "FOR", "CLAIMED BY",
                "LEFT", "TEXT");
    for (size_t i = 0; i < n; i++) {
        if (!r->json)
            print_item(r, items[i]);
        json_array_append_new(list, items[i]);
    }
    if (r->json) {
        json_t *all = json_pack("{s:O,s:I,s:i,s:i}", "reviews", list, "more", more, "desks",
                                (int)desks, "silent", (int)silent);
        json_dumpf(all, r->out, JSON_COMPACT);
        fputc('\n', r->out);
        json_decref(all);
    } else {
        fprintf(r->out, "%zu open at %u desks", n + (size_t)more, desks);
        if (more > 0)
            fprintf(r->out, "; %lld of them are shown when others are answered", (long long)more);
        fprintf(r->out, silent ? "; %u desks did not answer\n" : "\n", silent);
    }
    json_decref(list);
    return silent ? EXIT_PARTIAL : EXIT_OK;
}

int review_render(const struct render *r, const struct invocation *in, const struct report *report,
                  const struct answer_group *pages, size_t page_count)
{
    const struct answer_group *groups = pages ? pages : report->aggregate.groups;
    size_t count = pages ? page_count : report->aggregate.group_count;
    assert(r && in && report);
    if ((enum what)command_value(in, "what")->number == LIST)
        return render_list(r, report, groups, count);
    if (count == 0 || groups[0].answer_bytes == 0) {
        render_error(r, "timeout", "the desk did not answer: is its agent active?");
        return EXIT_TIMEOUT;
    }
    char text[ANSWER_BYTES_MAX + 1];
    render_safe(groups[0].answer, groups[0].answer_bytes, text, sizeof text);
    if (groups[0].outcome != OUTCOME_READY) {
        render_error(r, "refused", text);
        return strstr(text, "no open review") ? EXIT_NOT_FOUND : EXIT_REFUSED;
    }
    if (r->json) {
        json_t *o = json_pack("{s:b,s:s}", "ok", 1, "text", text);
        json_dumpf(o, r->out, JSON_COMPACT);
        fputc('\n', r->out);
        json_decref(o);
    } else {
        fprintf(r->out, "%s\n", text);
    }
    return EXIT_OK;
}
