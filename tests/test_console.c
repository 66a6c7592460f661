/* The console's two pure halves: lines to requests, answers to text and JSON. */
#include "core/num.h"
#include "core/types.h"
#include "tiers/console/complete.h"
#include "tiers/console/exit_code.h"
#include "tiers/console/offer.h"
#include "tiers/console/pages.h"
#include "tiers/console/render.h"
#include "tiers/console/request.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct topology topology;
static struct invocation in;
static struct command command;
static char error[COMMAND_ERROR_MAX];

static bool build(const char *line)
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why;
    size_t count;
    error[0] = '\0';
    assert_true(command_split(line, room, sizeof room, words, &count, &why));
    if (!command_parse(words, count, &in, error))
        return false;
    return request_build(&in, &topology, &command, error);
}

static void rejects(const char *line, const char *needle)
{
    assert_false(build(line));
    if (!strstr(error, needle))
        fail_msg("'%s' gives '%s', wanted '%s' in it", line, error, needle);
}

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    return 0;
}

static void the_audit_log_is_asked_for_an_event(void **state)
{
    (void)state;
    assert_true(build("audit"));
    assert_string_equal(command.log.event, "");
    assert_true(build("audit --event threat --since 24h --type timing_attack"));
    assert_string_equal(command.log.event, "threat");
    assert_string_equal(command.log.type, "timing_attack");
    rejects("audit --event a-name-that-no-event-has", "--event: command, threat, mode");
    assert_true(build("incident list --type TIMING_ATTACK"));
    rejects("incident list --type timing_attack", "COORDINATOR_DOWN or TIMING_ATTACK");
}

static void facts_select(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "find --where 'os = debian*, facts.gpu!=*'", "ask x --where 'os = debian*, facts.gpu!=*'",
        "run facts --where 'os=debian*,gpu!=*'",     "broadcast hi --where 'os=debian*,gpu!=*'",
        "cascade --where 'os=debian*,gpu!=*'",       "delegate x --where 'os=debian*,gpu!=*'",
        "top --once --where 'os=debian*,gpu!=*'"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_true(build(lines[i]));
        assert_string_equal(command.kind == COMMAND_QUERY ? command.query.selector.where
                                                          : command.operation.selector.where,
                            "os=debian*,gpu!=*");
    }
    rejects("find --where os", "--where: 'os' at character 1: a condition is");
    rejects("find --where 'gpu=*, os=>3'", "at character 8");
    rejects("run facts --where cpus>=many", "compare with a number");
    rejects("ask x --where ''", "--where");
}

static void defaults_are_those_of_the_manual(void **state)
{
    (void)state;
    assert_true(build("ask \"context hash\""));
    assert_int_equal(command.kind, COMMAND_SUBMIT);
    assert_string_equal(command.operation.action, "context");
    assert_int_equal(command.operation.selector.sample, 100);
    assert_int_equal(command.operation.timing, TIMING_SOON);
    assert_true(command.operation.require_answer);
    assert_true(build("ask hello --all"));
    assert_string_equal(command.operation.action, "echo");
    assert_int_equal(command.operation.selector.sample, 0);
    assert_memory_equal(command.operation.payload, "hello", command.operation.payload_bytes);
    assert_true(build("cascade"));
    assert_int_equal(command.operation.strategy, CASCADE_WAVE);
    assert_int_equal(command.operation.timing, TIMING_AT);
    assert_int_equal(command.operation.selector.class_mask, CLASS_MASK_ALL & ~(1u << 6));
    assert_true(build("broadcast now --no-ack"));
    assert_false(command.operation.require_ack);
    assert_int_equal(command.operation.routing, ROUTING_BROADCAST);
    assert_true(build("find --state offline,suspect --faster 300"));
    assert_int_equal(command.query.kind, QUERY_AGENTS);
    assert_int_equal(command.query.selector.state_mask, 1u << AGENT_OFFLINE | 1u << AGENT_SUSPECT);
    assert_int_equal(command.query.limit, 50);
}

/* Of every command of the table that is dangerous: its examples with --yes, and without. */
static void what_is_dangerous_wants_yes(void **state)
{
    (void)state;
    size_t count, dangerous = 0;
    const struct command_spec *table = command_table(&count);
    for (size_t i = 0; i < count; i++) {
        const struct command_spec *c = &table[i];
        size_t said = 0;
        assert_int_equal(c->dangerous, command_flag(c, "yes") != NULL);
        dangerous += c->dangerous;
        for (size_t k = 0; c->dangerous && k < COMMAND_EXAMPLES_MAX && c->examples[k]; k++) {
            char line[256];
            snprintf(line, sizeof line, "%s", c->examples[k]);
            char *yes = strstr(line, " --yes");
            if (!yes)
                continue;
            said++;
            assert_true(build(line));
            assert_false(request_dangerous(&in));
            memmove(yes, yes + 6, strlen(yes + 6) + 1);
            assert_true(build(line));
            assert_true(request_dangerous(&in));
        }
        if (c->dangerous && said == 0)
            fail_msg("%s: no example with --yes", c->name);
    }
    assert_true(dangerous >= 7);
}

/* Words that act, of commands that read, and the other way round. */
static void what_acts_is_told_by_the_words(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool acts;
    } lines[] = {{"jobs", false},
                 {"jobs show 5e6f", false},
                 {"jobs cancel 5e6f", true},
                 {"jobs approve 5e6f", true},
                 {"jobs reject 5e6f", true},
                 {"conflicts", false},
                 {"conflicts resolve 3f9a --keep both", true},
                 {"threats show 3f9a0c1d2e4b5a69", false},
                 {"threats clear 3f9a0c1d2e4b5a69", true},
                 {"approve", false},
                 {"approve 3f9a0c1d2e4b5a69", true},
                 {"move", false},
                 {"move s07.c3 --dry-run", false},
                 {"move s07.c3", true},
                 {"scale show", false},
                 {"scale add 5 --dry-run", false},
                 {"scale abort", true},
                 {"heal --dry-run", false},
                 {"review list", false},
                 {"mapping", false},
                 {"route-around s07", true},
                 {"content list", false},
                 {"run facts", true},
                 {"ask hi", false},
                 {"freeze", true}};
    size_t count, acting = 0;
    const struct command_spec *table = command_table(&count);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!build(lines[i].line))
            fail_msg("%s: %s", lines[i].line, error);
        if (request_acts(&in) != lines[i].acts)
            fail_msg("'%s' %s", lines[i].line, lines[i].acts ? "acts" : "only reads");
    }
    for (size_t i = 0; i < count; i++) /* each of those words is a choice of the first parameter */
        for (const char *at = table[i].acting; at;
             at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
            acting += strstr(table[i].parameters[0].choices, at) != NULL || strchr(at, '|');
    assert_int_equal(acting, 5);
}

static void newcomers_are_asked_for(void **state)
{
    (void)state;
    assert_true(build("scale add 1000 --sector s07,s09.c[1-3] --class D --rate 50/s --over 2m"));
    assert_int_equal(command.kind, COMMAND_SCALE);
    assert_int_equal(command.scale.action, SCALE_ADD);
    assert_int_equal(command.scale.count, 1000);
    assert_int_equal(command.scale.rate, 50);
    assert_true(command.scale.over_us == 120 * US_PER_S);
    assert_int_equal(command.query.selector.places.count, 2);
    assert_int_equal(command.query.selector.class_mask, 1u << CLASS_D_GPU);
    assert_true(request_dangerous(&in));
    assert_true(build("scale add 5 --sector least-loaded --dry-run"));
    assert_true(command.on && !request_dangerous(&in));
    assert_int_equal(command.query.selector.places.count, 0);
    assert_int_equal(command.scale.rate, 20);
    assert_true(command.scale.over_us == 300 * US_PER_S);
    assert_true(build("scale places --sector s07"));
    assert_false(request_dangerous(&in));
    assert_true(build("scale abort"));
    assert_true(request_dangerous(&in));
    rejects("scale add", "count: is missing: 'scale add' wants COUNT");
    rejects("scale add 10001", "1 to 10000");
    rejects("scale add 5 --rate 0/s", "--rate: '0/s' is none: 1/s to 1000/s");
    rejects("scale add 5 --rate 20/m", "--rate");
    rejects("scale add 5 --sector s07.c1.a3", "sectors or clusters are meant");
    rejects("scale add 5 --sector s101", "--sector");
    rejects("scale show 5", "count: goes with 'scale add' or 'scale remove'");
    rejects("scale abort --over 5m", "--over: goes with 'scale add'");
    rejects("scale watch --sector s07", "--sector: goes with 'scale add' or 'scale places'");
    rejects("scale add 5 --on s07", "--on: goes with 'scale remove'");
    rejects("scale remove 5 --sector s07", "--sector: goes with 'scale add' or 'scale places'");
    rejects("scale grow", "action");
}

static void removals_are_asked_for(void **state)
{
    (void)state;
    assert_true(build("scale remove 100 --class D --within 5m"));
    assert_int_equal(command.scale.action, SCALE_REMOVE);
    assert_int_equal(command.scale.count, 100);
    assert_true(command.scale.over_us == 300 * US_PER_S);
    assert_int_equal(command.query.selector.class_mask, 1u << CLASS_D_GPU);
    assert_true(request_dangerous(&in));
    assert_true(build("scale remove --on s07.c3.a[1-4] --dry-run"));
    assert_true(command.on && !request_dangerous(&in));
    assert_int_equal(command.scale.count, 0);
    assert_true(command.scale.over_us == 60 * US_PER_S);
    assert_int_equal(command.query.selector.places.count, 1);
    assert_true(build("scale remove 1 --within 0s"));
    assert_true(command.scale.over_us == 0);
    rejects("scale remove",
            "'scale remove' wants COUNT or --on: how many, as 'scale remove 100', or who");
    rejects("scale remove 1 --within 2h", "--within");
    rejects("scale remove --on s101", "--on");
}

static void contexts_by_content(void **state)
{
    (void)state;
    char path[] = "/tmp/test_console.XXXXXX", line[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(line, sizeof line, "content put %s", path);
    rejects(line, "is empty");
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_true(build(line));
    assert_string_equal(command.operation.action, "context-put");
    assert_int_equal(command.operation.selector.sample, 1);
    assert_memory_equal(command.operation.payload, "abc", 3);
    snprintf(line, sizeof line, "content load %s", path);
    rejects(line, "--all");
    snprintf(line, sizeof line, "content load %s --all --on s01", path);
    rejects(line, "contradicts");
    snprintf(line, sizeof line, "content load %s --class A", path);
    assert_true(build(line));
    assert_string_equal(command.operation.action, "context-load");
    assert_int_equal(command.operation.payload_bytes, 3);
    assert_int_equal(ftruncate(fd, 32769), 0);
    rejects(line, "longer than 32768 bytes");
    assert_int_equal(ftruncate(fd, 32768), 0);
    assert_true(build(line));
    assert_true(build("content load 0123456789abcdef0123456789abcdef"
                      "0123456789ABCDEF0123456789abcdef --all"));
    assert_int_equal(command.operation.payload_bytes, 69);
    assert_memory_equal(command.operation.payload, "blob:0123456789abcdef", 21);
    rejects("content load 0123 --all", "No such file");
    rejects("content put /", "irectory");
    rejects("content put", "file: is missing");
    rejects("content list x", "file: contradicts 'content list'");
    assert_true(build("content list --on s01"));
    assert_string_equal(command.operation.action, "context");
    close(fd);
    unlink(path);
}

static void filters_and_requirements(void **state)
{
    (void)state;
    uint64_t vision = 1ull << topology_capability(&topology, "vision", 6);
    assert_true(build("ask x --capability vision"));
    assert_true(command.operation.selector.capable_only);
    assert_true(command.operation.selector.capabilities == vision);
    assert_true(build("ask x --require vision"));
    assert_false(command.operation.selector.capable_only);
    assert_true(command.operation.selector.capabilities == vision);
    rejects("ask x --require vision --capability vision", "contradicts");
    rejects("ask x --capability vision,telepathy", "'telepathy'");
}

static void errors_say_where(void **state)
{
    (void)state;
    rejects("ask x --on s[1-", "--on: 's[1-' at character");
    rejects("ask x --class A,Q", "'Q' is no class");
    rejects("ask x --state asleep", "'asleep' is no state");
    rejects("sector s101", "there is no s101: this mesh has sectors 1 to 100");
    rejects("cluster s01", "is a sector, not a cluster");
    rejects("agent s01.c1.a31", "there is no s01.c1.a31");
    rejects("cascade --timing soon --in 3s", "contradicts");
    rejects("ask x --all --sample 5", "contradicts");
    rejects("find --faster 0", "1 to 1000"); /* it was as if it were not there */
    rejects("find --slower 500 --faster 100", "nothing can match");
    rejects("cancel 123", "32 hex digits");
    char action[80];
    snprintf(action, sizeof action, "ask x --action %s", "abcdefghijklmnopqrstuvwxyzabcdefghij");
    rejects(action, "longer than 31");
    rejects("diagnose s01.c1.a1", "'s01.c1.a1' is an agent: a sector or a cluster");
}

/* Runs a render function into memory. */
static char *rendered;
static size_t rendered_bytes;
static struct render begin(bool json)
{
    free(rendered);
    rendered = NULL;
    return (struct render){
        .out = open_memstream(&rendered, &rendered_bytes), .topology = &topology, .json = json};
}

static json_t *end_json(struct render *r)
{
    json_error_t why;
    fclose(r->out);
    json_t *o = json_loads(rendered, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        fail_msg("no JSON: %s in %s", why.text, rendered);
    assert_int_equal(rendered[rendered_bytes - 1], '\n');
    assert_ptr_equal(strchr(rendered, '\n'), rendered + rendered_bytes - 1);
    return o;
}

static struct report sample_report(struct answer_group groups[3], struct run *runs)
{
    struct report r = {.strategy = CASCADE_WAVE,
                       .status = "SUCCESS",
                       .recommendation = "",
                       .decision = DECISION_PROCEED,
                       .decision_reason = "",
                       .decision_recommendation = "",
                       .confidence = 0.97,
                       .achieved = true,
                       .created_mesh_us = 1700000000000000,
                       .target_mesh_us = 1700000001000000,
                       .finished_mesh_us = 1700000001250000,
                       .window_us = 500000};
    struct aggregate_view *a = &r.aggregate;
    a->targets = 10;
    a->outcomes[OUTCOME_READY] = 7;
    a->outcomes[OUTCOME_CONFLICT] = 1;
    a->outcomes[OUTCOME_SKIPPED] = 2;
    a->reasons[REASON_LEAD_TIME] = 2;
    a->sent = 8;
    a->window_hits = 6;
    a->window_eligible = 8;
    *runs = (struct run){0, 6};
    groups[0] = (struct answer_group){.outcome = OUTCOME_READY,
                                      .count = 7,
                                      .run_count = 1,
                                      .runs = runs,
                                      .answer = (const uint8_t *)"\x1b[2J\xff",
                                      .answer_bytes = 5};
    groups[1] = (struct answer_group){.outcome = OUTCOME_CONFLICT, .count = 1};
    groups[2] =
        (struct answer_group){.outcome = OUTCOME_SKIPPED, .reason = REASON_LEAD_TIME, .count = 2};
    a->groups = groups;
    a->group_count = 3;
    return r;
}

static void reports_add_up_in_json(void **state)
{
    (void)state;
    struct answer_group groups[3];
    struct run runs;
    struct report report = sample_report(groups, &runs);
    struct render r = begin(true);
    render_report(&r, CMD_CASCADE, &report, NULL, 0);
    json_t *o = end_json(&r);
    json_int_t sum = 0;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(o, "states"), key, value) sum += json_integer_value(value);
    assert_int_equal(sum, 10);
    assert_int_equal(json_integer_value(json_object_get(o, "targets")), 10);
    assert_int_equal(json_integer_value(json_object_get(o, "skipped")), 2);
    assert_string_equal(json_string_value(json_object_get(o, "strategy")), "wave");
    json_t *quorum = json_object_get(o, "quorum");
    assert_int_equal(json_integer_value(json_object_get(quorum, "transit_count")), 0);
    assert_string_equal(json_string_value(json_object_get(quorum, "decision")), "PROCEED");
    json_t *first = json_array_get(json_object_get(o, "answers"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "answer_hex")), "1b5b324aff");
    assert_string_equal(json_string_value(json_object_get(first, "agents")), "s01.c1.a[1-7]");
    json_decref(o);
}

static void answers_cannot_drive_the_terminal(void **state)
{
    (void)state;
    struct answer_group groups[3];
    struct run runs;
    struct report report = sample_report(groups, &runs);
    struct render r = begin(false);
    render_report(&r, CMD_ASK, &report, NULL, 0);
    fclose(r.out);
    assert_null(strchr(rendered, 0x1b));
    assert_non_null(strstr(rendered, "8 responses"));
    assert_non_null(strstr(rendered, "insufficient-lead-time"));
}

static void actions_are_listed(void **state)
{
    (void)state;
    struct action_table table;
    struct action_problem problem;
    assert_true(
        action_file_load("deploy/examples/actions.conf", &topology, false, &table, &problem));
    struct render r = begin(false);
    assert_true(offer_list(&r, &table, NULL, error));
    fclose(r.out);
    assert_non_null(strstr(rendered, "order              exec     acts   10 s     -"));
    assert_non_null(strstr(rendered, "summarize          llm      reads  120 s    inference"));
    assert_non_null(strstr(rendered, "approve            human    acts   1 h      -"));
    r = begin(false);
    assert_false(offer_list(&r, &table, "sumarize", error));
    fclose(r.out);
    assert_non_null(strstr(error, "did you mean 'summarize'"));
    action_table_done(&table);
}

/* The spec's SUCCESS is of those that were sent to: the line does not let that be overlooked. */
static void success_of_a_few_is_said_to_be_that(void **state)
{
    (void)state;
    static const struct {
        uint32_t targets, sent;
        enum decision decision;
        const char *line;
    } cases[] = {
        {300, 300, DECISION_PROCEED, "cascade wave: SUCCESS in 1.00 s\n"},
        {300, 12, DECISION_WAIT,
         "SUCCESS in 1.00 s; 288 of 300 targets were never sent to, and the quorum says WAIT\n"},
        {300, 299, DECISION_PROCEED, "SUCCESS in 1.00 s; 1 of 300 targets were never sent to\n"},
        {300, 300, DECISION_RETRY, "SUCCESS in 1.00 s; but the quorum says RETRY\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct report report = {.strategy = CASCADE_WAVE,
                                .status = "SUCCESS",
                                .recommendation = "",
                                .finished_mesh_us = US_PER_S,
                                .decision = cases[i].decision,
                                .decision_reason = "",
                                .decision_recommendation = ""};
        report.aggregate.targets = cases[i].targets;
        report.aggregate.sent = cases[i].sent;
        report.aggregate.outcomes[OUTCOME_READY] = cases[i].sent;
        report.aggregate.outcomes[OUTCOME_UNREACHABLE] = cases[i].targets - cases[i].sent;
        struct render r = begin(false);
        render_report(&r, CMD_CASCADE, &report, NULL, 0);
        fclose(r.out);
        if (!strstr(rendered, cases[i].line))
            fail_msg("'%s' lacks '%s'", rendered, cases[i].line);
    }
}

/* docs/CONSOLE.md, "Exit codes". */
static void an_operation_ends_with_the_code_of_the_table(void **state)
{
    (void)state;
    static const struct {
        enum exit_code code;
        uint32_t ready, conflict, failed, refused, skipped, silent;
        const char *status;
    } cases[] = {{EXIT_OK, 3, 0, 0, 0, 0, 0, "SUCCESS"},
                 {EXIT_OK, 2, 1, 0, 0, 0, 0, "PARTIAL"},
                 {EXIT_PARTIAL, 1, 0, 1, 0, 0, 0, "PARTIAL"},
                 {EXIT_PARTIAL, 1, 0, 0, 1, 0, 1, "PARTIAL"},
                 {EXIT_FAILED, 0, 0, 3, 0, 0, 0, "PARTIAL"},
                 {EXIT_FAILED, 0, 0, 1, 1, 1, 0, "PARTIAL"},
                 {EXIT_FAILED, 3, 0, 0, 0, 0, 0, "FAILED_AT_PHASE_1"},
                 {EXIT_REFUSED, 0, 0, 0, 3, 0, 0, "PARTIAL"},
                 {EXIT_REFUSED, 0, 0, 0, 1, 2, 0, "PARTIAL"},
                 {EXIT_REFUSED, 0, 0, 0, 0, 3, 0, "PARTIAL"},
                 {EXIT_REFUSED, 0, 0, 0, 0, 0, 0, "REFUSED"},
                 {EXIT_TIMEOUT, 0, 0, 0, 0, 0, 1, "PARTIAL"},
                 {EXIT_TIMEOUT, 0, 0, 2, 2, 2, 1, "PARTIAL"},
                 {EXIT_NOT_FOUND, 0, 0, 0, 0, 0, 0, "PARTIAL"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct report r = {.status = cases[i].status};
        uint32_t *n = r.aggregate.outcomes;
        n[OUTCOME_READY] = cases[i].ready;
        n[OUTCOME_CONFLICT] = cases[i].conflict;
        n[OUTCOME_FAILED] = cases[i].failed;
        n[OUTCOME_REFUSED] = cases[i].refused;
        n[OUTCOME_SKIPPED] = cases[i].skipped;
        n[OUTCOME_UNREACHABLE] = cases[i].silent;
        for (enum outcome o = OUTCOME_READY; o < OUTCOME_COUNT; o++)
            r.aggregate.targets += n[o];
        if (exit_of_report(&r) != cases[i].code)
            fail_msg("case %zu ends with %d, not %d", i, (int)exit_of_report(&r), cases[i].code);
    }
}

static void status_box_and_json(void **state)
{
    (void)state;
    struct mesh_status status = {.mode = MODE_FULL, .sectors = 100, .sectors_up = 100};
    status.store_up = true;
    status.summary = (struct summary){.agents = 30000,
                                      .active = 29847,
                                      .sectors_healthy = 100,
                                      .class_active = {[CLASS_F_HUMAN] = 2000}, /* not in the sum */
                                      .impedance_sum_us = 27847ull * 127000,
                                      .conflicts_hour = 23,
                                      .updated_mesh_us = 1700012420000000};
    status.last_cascade_mesh_us = 1700000000000000;
    struct render r = begin(false);
    render_status(&r, &status);
    fclose(r.out);
    assert_non_null(strstr(rendered, "Agents: 29,847 / 30,000 active (99.5%)"));
    assert_non_null(strstr(rendered, "Sectors: 100/100 healthy"));
    assert_non_null(strstr(rendered, "Mean Impedance: 127ms"));
    assert_non_null(strstr(rendered, "Conflicts (last hour): 23"));
    assert_non_null(strstr(rendered, "Last cascade: 3h 27m ago"));
    assert_null(strstr(rendered, "away"));
    status.self = unit_orchestrator();
    status.summary.clusters_up = 1000;
    status.summary.durable_away = 12;
    r = begin(false);
    render_status(&r, &status);
    fclose(r.out);
    assert_non_null(strstr(rendered, "Durable store: away at 12 of 1,101 units"));
    status.summary.durable_away = 1101;
    r = begin(false);
    render_status(&r, &status);
    fclose(r.out);
    assert_non_null(strstr(rendered, "Durable store: away (no takeovers)"));
    r = begin(true);
    render_status(&r, &status);
    json_t *o = end_json(&r);
    assert_int_equal(json_integer_value(json_object_get(o, "agents_active")), 29847);
    assert_string_equal(json_string_value(json_object_get(o, "mode")), "FULL");
    assert_int_equal(json_number_value(json_object_get(o, "mean_impedance_ms")), 127);
    assert_true(json_is_false(json_object_get(o, "durable_up")));
    assert_int_equal(json_integer_value(json_object_get(o, "durable_away")), 1101);
    json_decref(o);
}

static void pages_keep_what_they_are_given(void **state)
{
    (void)state;
    struct pages p = {0};
    char answer[4] = "abc";
    struct run run = {3, 4};
    struct page_row row = {.key = 5,
                           .u.answer = {.count = 2,
                                        .hash = 5,
                                        .answer = (const uint8_t *)answer,
                                        .answer_bytes = 3,
                                        .run_count = 1,
                                        .runs = &run}};
    struct rows rows = {.kind = ROW_ANSWER, .total = 3, .more = true, .row_count = 1, .rows = &row};
    pages_add(&p, &topology, &rows, 10);
    memset(answer, 0, sizeof answer);
    run.first = 99;
    row.key = row.u.answer.hash = 6;
    row.u.answer.count = 9;
    rows.more = false;
    pages_add(&p, &topology, &rows, 10);
    pages_add(&p, &topology, &rows, 2); /* the limit holds */
    assert_int_equal(p.count, 2);
    assert_int_equal(p.last_key, 6);
    assert_false(p.more);
    struct answer_group *groups = pages_groups(&p);
    assert_int_equal(groups[0].count, 9);
    assert_memory_equal(groups[1].answer, "abc", 3);
    assert_int_equal(groups[1].runs[0].first, 3);
    free(groups);
    pages_done(&p);
}

/* Scores move while pages are read: what comes twice is kept once, what slipped is asked for. */
static void pages_keep_each_agent_once(void **state)
{
    (void)state;
    struct pages p = {0};
    struct page_row row[3] = {{.key = 7, .unit = topology_agent(&topology, 0)},
                              {.key = 8, .unit = topology_agent(&topology, 1)},
                              {.key = 9, .unit = topology_agent(&topology, 0)}};
    struct rows rows = {.kind = ROW_AGENT, .total = 3, .row_count = 3, .rows = row};
    pages_add(&p, &topology, &rows, 10);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.last_key, 9);
    assert_true(pages_lack(&p, 10));
    assert_false(pages_lack(&p, 2));
    row[0].unit = topology_agent(&topology, 2);
    row[0].key = 5;
    rows.row_count = 1;
    pages_add(&p, &topology, &rows, 10);
    assert_false(pages_lack(&p, 10));
    pages_sort(&p);
    assert_int_equal(p.rows[0].key, 5);
    assert_int_equal(p.rows[2].key, 8);
    rows.total = 9;
    rows.missing = 1; /* a tier that does not answer is not asked again and again */
    row[0].unit = topology_agent(&topology, 1);
    pages_add(&p, &topology, &rows, 10);
    assert_false(pages_lack(&p, 10));
    pages_done(&p);
}

static bool completes(const char *line, const char *word)
{
    static struct completions found;
    complete_line(&topology, NULL, line, &found);
    for (size_t i = 0; i < found.count; i++)
        if (strcmp(found.words[i], word) == 0)
            return true;
    return false;
}

static void completion_knows_the_table_and_the_places(void **state)
{
    (void)state;
    assert_true(completes("", "status"));
    assert_true(completes("casc", "cascade"));
    assert_true(completes("cascade --str", "--strategy"));
    assert_true(completes("cascade --strategy w", "wave"));
    assert_true(completes("cascade --strategy=w", "wave"));
    assert_false(completes("cascade --strategy w", "parallel"));
    assert_true(completes("find --class A,class_d", "A,CLASS_D_GPU"));
    assert_true(completes("find --state act", "active"));
    assert_true(completes("ask --capability vis", "vision"));
    assert_true(completes("sector s10", "s100"));
    assert_false(completes("sector s07.", "s07.c1"));
    assert_true(completes("cluster s07.c1", "s07.c10"));
    assert_true(completes("agent s07.c3.a1", "s07.c3.a12"));
    assert_false(completes("agent s07.c3.a1", "s07.c3.a31"));
    assert_true(completes("find --on s01,s07.c", "s01,s07.c3"));
    assert_true(completes("run fac", "facts"));
    assert_true(completes("ask --action who", "whoami"));
    assert_true(completes("pipeline echo,who", "echo,whoami"));
    assert_true(completes("find --on @last.f", "@last.failed"));
    assert_true(completes("find --on s01,@last.s", "s01,@last.silent"));
    assert_false(completes("find --on s01,@last.s", "s01,@last.failed"));
    assert_true(completes("help ca", "cascade"));
    assert_true(completes("watch sec", "sectors"));
    assert_false(completes("nonsense s0", "s01"));
    assert_false(completes("cascade --in ", "s01"));
}

static void hints_say_what_is_wanted(void **state)
{
    (void)state;
    char hint[256];
    assert_int_not_equal(complete_hint("sector", hint, sizeof hint), 0);
    assert_string_equal(hint, " SECTOR");
    assert_int_not_equal(complete_hint("sector ", hint, sizeof hint), 0);
    assert_string_equal(hint, "SECTOR");
    assert_int_not_equal(complete_hint("cascade --in ", hint, sizeof hint), 0);
    assert_non_null(strstr(hint, "DURATION: "));
    assert_int_equal(complete_hint("sector s01", hint, sizeof hint), 0);
    assert_int_equal(complete_hint("nonsense ", hint, sizeof hint), 0);
    assert_int_equal(complete_hint("", hint, sizeof hint), 0);
    assert_int_equal(complete_hint("cascade ", hint, 8), 7); /* cut, never overrun */
}

static void secrets_are_recognised(void **state)
{
    (void)state;
    assert_true(complete_is_secret("keys issue --token 1234"));
    assert_true(complete_is_secret("ask \"the PASSWORD is x\""));
    assert_false(complete_is_secret("ask \"context hash\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_audit_log_is_asked_for_an_event),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(facts_select),
        cmocka_unit_test(what_is_dangerous_wants_yes),
        cmocka_unit_test(what_acts_is_told_by_the_words),
        cmocka_unit_test(newcomers_are_asked_for),
        cmocka_unit_test(removals_are_asked_for),
        cmocka_unit_test(contexts_by_content),
        cmocka_unit_test(filters_and_requirements),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(reports_add_up_in_json),
        cmocka_unit_test(answers_cannot_drive_the_terminal),
        cmocka_unit_test(actions_are_listed),
        cmocka_unit_test(success_of_a_few_is_said_to_be_that),
        cmocka_unit_test(an_operation_ends_with_the_code_of_the_table),
        cmocka_unit_test(status_box_and_json),
        cmocka_unit_test(pages_keep_what_they_are_given),
        cmocka_unit_test(pages_keep_each_agent_once),
        cmocka_unit_test(completion_knows_the_table_and_the_places),
        cmocka_unit_test(hints_say_what_is_wanted),
        cmocka_unit_test(secrets_are_recognised),
    };
    int failed = cmocka_run_group_tests(tests, setup, NULL);
    free(rendered);
    return failed;
}
