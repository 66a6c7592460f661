/* The configuration: sources and their order, ranges, and messages that name the place. */
#include "tiers/runner/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/mesh-config-XXXXXX";

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static const char good[] = "[mesh]\n"
                           "name = t\n"
                           "agents = 24\n"
                           "sectors = 2\n"
                           "clusters_per_sector = 2\n"
                           "agents_per_cluster = 6\n"
                           "simulation = yes\n"
                           "capabilities = paint, sing\n"
                           "predictor = jacobson\n"
                           "\n"
                           "[process orch]\n"
                           "role = orchestrator\n"
                           "[process sectors]\n"
                           "role = sector\n"
                           "[process cluster-1]\n"
                           "role = cluster\n"
                           "units = s01,s02.c1\n"
                           "[process sim-1]\n"
                           "role = sim\n"
                           "units = s02.c1.a[1-3]\n"
                           "agents_per_host = 2\n"
                           "delay = profile\n"
                           "seed = 77\n";

/* "" when it loads, else the message without the file's name. */
static const char *load(const char *text, const char *name, int argc, char **argv,
                        struct config *ret)
{
    static struct config_error error;
    struct config_options options = {.file = path, .name = name};
    write_file(text);
    error.text[0] = '\0';
    if (config_load(&options, argc, argv, ret, &error)) {
        return "";
    }
    assert_true(error.text[0] != '\0');
    return strncmp(error.text, path, strlen(path)) == 0 ? error.text + strlen(path) : error.text;
}

static const char *fault(const char *text)
{
    struct config config;
    const char *why = load(text, NULL, 0, NULL, &config);
    if (why[0] == '\0') {
        config_done(&config);
    }
    return why;
}

static void loads_all_values(void **state)
{
    (void)state;
    struct config c;
    assert_string_equal(load(good, "sim-1", 0, NULL, &c), "");
    assert_string_equal(c.name, "t");
    assert_int_equal(c.topology.agents, 24);
    assert_int_equal(c.topology.agents_per_cluster, 6);
    assert_true(topology_capability(&c.topology, "sing", 4) >= 0);
    assert_int_equal(c.tuning.predictor, PREDICTOR_JACOBSON);
    assert_int_equal(c.tuning.agent_beat_us, 5000000);
    assert_true(c.tuning.simulation);
    assert_int_equal(c.process_count, 4);
    const struct process_conf *sim = config_process(&c, "sim-1");
    assert_non_null(sim);
    assert_int_equal(sim->seed, 77);
    assert_true(sim->delay_profile);
    assert_true(process_owns(&c, sim, unit_agent(2, 1, 3)));
    assert_false(process_owns(&c, sim, unit_agent(2, 1, 4)));
    assert_false(process_owns(&c, sim, unit_cluster(2, 1)));
    const struct process_conf *cluster = config_process(&c, "cluster-1");
    assert_true(process_owns(&c, cluster, unit_cluster(1, 2)));
    assert_true(process_owns(&c, cluster, unit_cluster(2, 1)));
    assert_false(process_owns(&c, cluster, unit_cluster(2, 2)));
    assert_true(process_owns(&c, config_process(&c, "sectors"), unit_sector(2)));
    assert_true(process_owns(&c, config_process(&c, "orch"), unit_orchestrator()));
    assert_null(config_process(&c, "nobody"));
    config_done(&c);
}

static void later_sources_win(void **state)
{
    (void)state;
    struct config c;
    char beat[] = "--agent-beat-ms"; /* hyphens do as well; the flag is rewritten in place */
    char *argv[] = {(char *)"p", (char *)"--seed=5", beat, (char *)"900", NULL};
    assert_int_equal(setenv("MESH_SEED", "6", 1), 0);
    assert_int_equal(setenv("MESH_NAME", "from-environment", 1), 0);
    assert_int_equal(setenv("MESH_UNRELATED", "x", 1), 0);
    assert_string_equal(load(good, "sim-1", 0, NULL, &c), "");
    assert_int_equal(config_process(&c, "sim-1")->seed, 6);
    assert_int_equal(config_process(&c, "orch")->seed, 1);
    assert_string_equal(c.name, "from-environment");
    config_done(&c);
    assert_string_equal(load(good, "sim-1", 4, argv, &c), "");
    assert_int_equal(config_process(&c, "sim-1")->seed, 5);
    assert_int_equal(c.tuning.agent_beat_us, 900000);
    config_done(&c);
    assert_int_equal(setenv("MESH_SEED", "-1", 1), 0);
    assert_non_null(strstr(load(good, "sim-1", 0, NULL, &c), "MESH_SEED=-1"));
    assert_int_equal(unsetenv("MESH_SEED"), 0);
    assert_int_equal(unsetenv("MESH_NAME"), 0);
}

static void errors_name_the_place(void **state)
{
    (void)state;
    const struct {
        const char *text, *parts[4];
    } cases[] = {
        {"[mesh]\nagents = 0\n", {":2:", "agents = 0", "1 to 4194304"}},
        {"[mesh]\nname = x\nbucket_ms = 5000\n", {":3:", "bucket_ms = 5000", "1 to 1000"}},
        {"[mesh]\nagent = 5\n", {":2:", "\"agent\"", "\"agents\""}},
        {"[mesh]\nseed = 5\n", {":2:", "seed", "[process NAME]"}},
        {"[mesh]\nagents = 5\nagents = 6\n", {":3:", "already", "line 2"}},
        {"[mesh]\nagents = 5x\n", {":2:", "5x"}},
        {"[mesh]\npredictor = magic\n", {":2:", "quantile|spec|spec-drift|jacobson"}},
        {"[mesh]\npredictor_tau = 1.5\n", {":2:", "0.500 to 0.999"}},
        {"[mesh]\npredictor_tau = nan\n", {":2:", "0.500 to 0.999"}},
        {"[mesh]\nsimulation = maybe\n", {":2:", "true or false"}},
        {"[wrong]\nx = 1\n", {":2:", "[wrong]"}},
        {"[process Big]\nrole = agent\n", {":2:", "process name"}},
        {"[process a]\nunits = mesh\n", {"[process a]", "role is missing"}},
        {"[process a]\nrole = agent\nrescue = b\n", {"rescue = b", "no process of role cluster"}},
        {"[process a]\nrole = cluster\nrescue = a\n", {"[process a]", "agent and sim only"}},
        {"[process a]\nrole = agent\nfacts = rack=r7,gpu\n",
         {"[process a]", "facts", "\"gpu\"", "name=value"}},
        {"[process a]\nrole = cluster\nfacts = rack=r7\n", {"[process a]", "agent and sim only"}},
        {"[process a]\nrole = -\n", {":2:", "one of orchestrator|"}},
        {"[process a]\nrole = sim\n", {"[process a]", "simulation = true"}},
        {"[process a]\nrole = cluster\nunits = s999\n", {"[process a]", "s999"}},
        {"[process a]\nrole = sector\nunits = s01.c1\n", {"[process a]", "whole sectors"}},
        {"[process a]\nrole = cluster\nunits = s01.c1.a1\n", {"[process a]", "clusters"}},
        {"[mesh]\nagent_beat_ms = 20000\n", {"agent_beat_ms = 20000", "agent_suspect_ms"}},
        {"[mesh]\nagents = 100\nsectors = 1\nclusters_per_sector = 1\nagents_per_cluster = 9\n",
         {"agents = 100", "9 at most"}},
        {"[mesh]\nthis is no pair\n", {":2:"}},
        {"[mesh]\nname = x\n[process a\nrole = cluster\n", {":3:", "not a section"}},
        {"[mesh\nname = x\n", {":1:", "not a section"}},
        {"[mesh]\nnats_url = tls://\n", {":2:", "nats_url", "no host"}},
        {"[mesh]\nnats_url = tls://:4222\n", {":2:", "nats_url", "no host"}},
        {"[mesh]\nnats_url = tls://h:99999\n", {":2:", "nats_url", "port from 1 to 65535"}},
        {"[mesh]\nnats_url = tls://[::1]x\n", {":2:", "nats_url", "port from 1 to 65535"}},
        {"[mesh]\ndurable_url = unix://run/d.sock\n", {":2:", "durable_url", "path", "absolute"}},
        {"[mesh]\nlog_url = mysql://h\n", {":2:", "log_url", "sqlite:PATH"}},
        {"[mesh]\nname = x\nnats_url = nats://h:4222\n", {":3:", "nats_url", "tls://", "insecure"}},
        {"[mesh]\nregistry_url = redis://h\n", {":2:", "registry_url", "unix://"}},
        {"[mesh]\nblob_url = redis://h\n", {":2:", "blob_url", "unix://"}},
        {"[mesh]\notlp_url = collector:4318\n", {":2:", "otlp_url = collector", "https://"}},
        {"[mesh]\notlp_url = http://collector:4318\n",
         {":2:", "otlp_url", "in the clear", "https"}},
        {"[mesh]\notlp_url = http://127.0.0.1.evil:4318\n", {":2:", "in the clear"}},
        {"[mesh]\notlp_url = https://me:pw@collector\n", {":2:", "otlp_headers"}},
        {"[mesh]\notlp_url = https://:4318\n", {":2:", "no host"}},
        {"[mesh]\notlp_url = https://c:65536\n", {":2:", "port from 1 to 65535"}},
        {"[mesh]\notlp_url = https://c:\n", {":2:", "port from 1 to 65535"}},
        {"[mesh]\notlp_url = https://c/v1#x\n", {":2:", "fragment"}},
        {"[mesh]\notlp_url = https://a b/\n", {":2:", "blank"}},
        {"[mesh]\nname = x\notlp_headers = h\n", {":3:", "otlp_headers", "needs otlp_url"}},
        {"[mesh]\notlp_share = 0.5\n", {":2:", "otlp_share", "needs otlp_url"}},
        {"[mesh]\notlp_url = http://[::1]:4318\notlp_share = 1.5\n",
         {":3:", "otlp_share = 1.5", "0.000 to 1.000"}},
        {"[mesh]\notlp_url = http://localhost:4318\notlp_ca = x\n", {":3:", "otlp_ca", "https://"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why = fault(cases[i].text);
        for (int k = 0; k < 4 && cases[i].parts[k] != NULL; k++) {
            if (strstr(why, cases[i].parts[k]) == NULL) {
                fail_msg("case %zu: \"%s\" lacks \"%s\"", i, why, cases[i].parts[k]);
            }
        }
    }
}

static void long_lines_are_refused(void **state)
{
    (void)state;
    char text[600] = "[mesh]\nname = ";
    memset(text + strlen(text), 'x', 400);
    assert_non_null(strstr(fault(text), ":2:"));
    assert_non_null(strstr(fault(text), "longer than"));
}

static void names_must_exist(void **state)
{
    (void)state;
    struct config c;
    const char *why = load(good, "cluster1", 0, NULL, &c);
    assert_non_null(strstr(why, "did you mean cluster-1?"));
    struct config_error error;
    struct config_options options = {.file = "/nowhere/at/all"};
    assert_false(config_load(&options, 0, NULL, &c, &error));
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

static void flags_are_checked(void **state)
{
    (void)state;
    struct config_options options;
    struct config_error error;
    char *ok[] = {(char *)"p",        (char *)"--config", (char *)"f",
                  (char *)"--name=n", (char *)"--seed=4", NULL};
    char *unknown[] = {(char *)"p", (char *)"--agent_beat_m=4", NULL};
    char *no_value[] = {(char *)"p", (char *)"--config", NULL};
    char *extra[] = {(char *)"p", (char *)"extra", NULL};
    char *help[] = {(char *)"p", (char *)"--help", NULL};
    assert_true(config_flags(5, ok, &options, &error));
    assert_string_equal(options.file, "f");
    assert_string_equal(options.name, "n");
    assert_false(options.help);
    assert_false(config_flags(2, unknown, &options, &error));
    assert_non_null(strstr(error.text, "--agent_beat_ms?"));
    assert_false(config_flags(2, no_value, &options, &error));
    assert_non_null(strstr(error.text, "--config needs a value"));
    assert_false(config_flags(2, extra, &options, &error));
    assert_non_null(strstr(error.text, "\"extra\""));
    assert_true(config_flags(2, help, &options, &error));
    assert_true(options.help);
}

static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(config_distance("same", "same"), 0);
    assert_int_equal(config_distance("agent", "agents"), 1);
    assert_int_equal(config_distance("kitten", "sitting"), 3);
    assert_int_equal(config_distance("", "abc"), 3);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0 || close(fd) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_all_values),      cmocka_unit_test(later_sources_win),
        cmocka_unit_test(errors_name_the_place), cmocka_unit_test(long_lines_are_refused),
        cmocka_unit_test(names_must_exist),      cmocka_unit_test(flags_are_checked),
        cmocka_unit_test(distance_counts_edits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
