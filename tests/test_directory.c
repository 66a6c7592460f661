/* The directory: placement by configuration, epochs, moves, and announcements. */
#include "tiers/runner/directory.h"

#include "tiers/runner/announce.h"
#include "tiers/runner/egress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct process_conf processes[5];
static struct config config;
static struct directory d;

static void process(int i, const char *name, enum process_role role, const char *units)
{
    struct process_conf *p = &processes[i];
    size_t at;
    const char *why;
    memset(p, 0, sizeof(*p));
    strcpy(p->name, name);
    p->role = role;
    p->agents_per_host = 4;
    if (strcmp(units, "mesh") != 0) {
        assert_true(place_parse(units, strlen(units), &config.topology, &p->units, &at, &why));
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&config, 0, sizeof(config));
    topology_default(24, &config.topology);
    config.topology.sectors = 2;
    config.topology.clusters_per_sector = 2;
    config.topology.agents_per_cluster = 6;
    process(0, "orch", PROCESS_ORCHESTRATOR, "mesh");
    process(1, "sectors", PROCESS_SECTOR, "mesh");
    process(2, "cluster", PROCESS_CLUSTER, "mesh");
    process(3, "sim", PROCESS_SIM, "s01,s02.c1");
    process(4, "agent", PROCESS_AGENT, "s02.c2");
    config.processes = processes;
    config.process_count = 5;
    return directory_init(&d, &config.topology) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    directory_done(&d);
    return 0;
}

static void is_at(struct unit u, const char *token, uint16_t port, uint64_t epoch)
{
    const struct directory_entry *e = directory_find(&d, u);
    assert_non_null(e);
    assert_string_equal(directory_endpoint_at(&d, e->endpoint)->token, token);
    assert_int_equal(directory_endpoint_at(&d, e->endpoint)->port, port);
    assert_int_equal(e->epoch, epoch);
}

static uint32_t endpoint(const char *token, uint16_t port)
{
    struct endpoint e;
    assert_true(endpoint_make(token, strlen(token), port, &e));
    return directory_endpoint(&d, &e);
}

static void bootstrap_places_everyone(void **state)
{
    (void)state;
    struct unit twice;
    assert_true(directory_bootstrap(&d, &config, &twice));
    is_at(unit_orchestrator(), "orch", 0, 0);
    is_at(unit_sector(2), "sectors", 0, 0);
    is_at(unit_cluster(2, 2), "cluster", 0, 0);
    is_at(unit_agent(1, 1, 1), "sim", 1, 0); /* hosts of four: 1-4, 5-8, 9-12, 13-16, 17-18 */
    is_at(unit_agent(1, 1, 5), "sim", 2, 0);
    is_at(unit_agent(2, 1, 6), "sim", 5, 0);
    is_at(unit_agent(2, 2, 1), "agent", 0, 0);
    is_at(unit_numbered(TIER_HOST, 1), "sim", 1, 0);
    is_at(unit_numbered(TIER_HOST, 17), "sim", 5, 0);
    is_at(unit_numbered(TIER_HOST, 19), "agent", 0, 0);
    assert_null(directory_find(&d, unit_numbered(TIER_CONSOLE, 9)));
}

static void two_owners_are_refused(void **state)
{
    (void)state;
    struct unit twice;
    process(4, "agent", PROCESS_AGENT, "s02.c1.a6");
    assert_false(directory_bootstrap(&d, &config, &twice));
    assert_true(unit_equal(twice, unit_agent(2, 1, 6)) || twice.tier == TIER_HOST);
}

static void higher_epochs_override_lower_never(void **state)
{
    (void)state;
    struct unit twice;
    assert_true(directory_bootstrap(&d, &config, &twice));
    uint32_t standby = endpoint("standby", 0), other = endpoint("other", 0);
    assert_true(directory_learn(&d, unit_cluster(1, 1), standby, 100));
    is_at(unit_cluster(1, 1), "standby", 0, 100);
    assert_false(directory_learn(&d, unit_cluster(1, 1), other, 99));
    is_at(unit_cluster(1, 1), "standby", 0, 100);
    assert_int_equal(d.stale, 1);
    assert_true(directory_learn(&d, unit_cluster(1, 1), other, 100)); /* the first stays */
    is_at(unit_cluster(1, 1), "standby", 0, 100);
    assert_true(directory_learn(&d, unit_agent(1, 1, 1), standby, 7));
    assert_true(directory_learn(&d, unit_agent(1, 1, 1), other, 7)); /* agents may move */
    is_at(unit_agent(1, 1, 1), "other", 0, 7);
    assert_true(directory_learn(&d, unit_numbered(TIER_CONSOLE, 4711), other, 1));
    is_at(unit_numbered(TIER_CONSOLE, 4711), "other", 0, 1);
}

static void endpoints_are_numbered_once(void **state)
{
    (void)state;
    uint32_t numbers[2000];
    for (uint16_t i = 0; i < 2000; i++) {
        numbers[i] = endpoint("many", i);
    }
    for (uint16_t i = 0; i < 2000; i++) {
        assert_int_equal(endpoint("many", i), numbers[i]);
        assert_int_equal(directory_endpoint_at(&d, numbers[i])->port, i);
    }
    assert_int_equal(d.endpoint_count, 2000);
}

static struct peer *peer_for(struct unit first, struct unit last)
{
    struct peer *peer = calloc(1, sizeof(*peer) + sizeof(struct unit_range));
    assert_non_null(peer);
    peer->scope_count = 1;
    peer->scope[0] = (struct unit_range){first, last};
    return peer;
}

static void announcements_teach_what_is_certified(void **state)
{
    (void)state;
    static uint8_t bytes[ANNOUNCE_BYTES_MAX];
    process(2, "cluster", PROCESS_CLUSTER, "s01,s02.c2");
    size_t length = announce_encode(&config, &processes[2], 50, bytes);
    assert_int_equal(length, 16 + 2 * 16);
    struct peer *all = peer_for(unit_cluster(1, 1), unit_cluster(2, 2));
    struct peer *some = peer_for(unit_cluster(1, 1), unit_cluster(1, 1));
    uint32_t at = endpoint("cluster", 0);
    assert_int_equal(announce_apply(bytes, length, &config.topology, some, at, &d), 1);
    is_at(unit_cluster(1, 1), "cluster", 0, 50);
    assert_null(directory_find(&d, unit_cluster(1, 2)));
    assert_int_equal(announce_apply(bytes, length, &config.topology, all, at, &d), 3);
    is_at(unit_cluster(2, 2), "cluster", 0, 50);
    assert_null(directory_find(&d, unit_cluster(2, 1)));
    assert_int_equal(announce_apply(bytes, length - 1, &config.topology, all, at, &d), -1);
    bytes[16] = TIER_AGENT;
    bytes[24] = TIER_AGENT;
    assert_int_equal(announce_apply(bytes, length, &config.topology, all, at, &d), -1);
    assert_int_equal(announce_encode(&config, &processes[3], 50, bytes), 0); /* agents are not */
    assert_int_equal(announce_encode(&config, &processes[0], 9, bytes), 32);
    free(all);
    free(some);
}

static void any_announcement_is_survived(void **state)
{
    (void)state;
    uint8_t bytes[16 + 16 * 4];
    struct peer *all = peer_for(unit_cluster(1, 1), unit_cluster(2, 2));
    uint32_t at = endpoint("cluster", 0);
    srand(1);
    for (int i = 0; i < 20000; i++) {
        for (size_t k = 0; k < sizeof(bytes); k++) {
            bytes[k] = (uint8_t)(rand() % 4 == 0 ? rand() : rand() % 5);
        }
        bytes[0] = RECORD_ANNOUNCE;
        bytes[2] = 4;
        bytes[3] = 0;
        assert_true(announce_apply(bytes, sizeof(bytes), &config.topology, all, at, &d) <= 64 * 4);
    }
    assert_true(d.entry_count <= 4); /* clusters of this topology only */
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bootstrap_places_everyone, setup, teardown),
        cmocka_unit_test_setup_teardown(two_owners_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(higher_epochs_override_lower_never, setup, teardown),
        cmocka_unit_test_setup_teardown(endpoints_are_numbered_once, setup, teardown),
        cmocka_unit_test_setup_teardown(announcements_teach_what_is_certified, setup, teardown),
        cmocka_unit_test_setup_teardown(any_announcement_is_survived, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
