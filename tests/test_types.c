/* Names and parsers of the shared words, notes, message names and routes. */
#include "core/msg.h"
#include "core/note.h"
#include "core/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Every value has a name of its own; beyond the last it is "unknown" and no crash. */
#define CHECK_NAMES(type, name, count)                                                             \
    do {                                                                                           \
        for (unsigned i = 0; i < (count); i++) {                                                   \
            assert_non_null(name((type)i));                                                        \
            assert_true(strlen(name((type)i)) > 0);                                                \
            for (unsigned k = 0; k < i; k++) {                                                     \
                assert_string_not_equal(name((type)i), name((type)k));                             \
            }                                                                                      \
        }                                                                                          \
        assert_string_equal(name((type)(count)), "unknown");                                       \
        assert_string_equal(name((type)1000), "unknown");                                          \
    } while (0)

static void test_names(void **state)
{
    (void)state;
    CHECK_NAMES(enum impedance_class, class_name, CLASS_COUNT);
    CHECK_NAMES(enum agent_state, agent_state_name, AGENT_STATE_COUNT);
    CHECK_NAMES(enum outcome, outcome_name, OUTCOME_COUNT);
    CHECK_NAMES(enum reason, reason_name, REASON_COUNT);
    CHECK_NAMES(enum verb, verb_name, VERB_COUNT);
    CHECK_NAMES(enum routing, routing_name, ROUTING_COUNT);
    CHECK_NAMES(enum cascade_strategy, strategy_name, CASCADE_COUNT);
    CHECK_NAMES(enum timing, timing_name, TIMING_COUNT);
    CHECK_NAMES(enum mode, mode_name, MODE_COUNT);
    CHECK_NAMES(enum circuit, circuit_name, CIRCUIT_COUNT);
    CHECK_NAMES(enum conflict_type, conflict_type_name, CONFLICT_TYPE_COUNT);
    CHECK_NAMES(enum decision, decision_name, DECISION_COUNT);
    CHECK_NAMES(enum tier, tier_name, TIER_COUNT);
    assert_string_equal(reason_name(REASON_LEAD_TIME), "insufficient-lead-time");
    assert_string_equal(reason_name(REASON_UNEXPECTED), "unexpected");
    assert_string_equal(outcome_name(OUTCOME_TIMEOUT_EXECUTION), "timeout-execution");
    assert_string_equal(mode_name(MODE_EMERGENCY), "EMERGENCY");
    assert_string_equal(decision_name(DECISION_RETRY), "RETRY");
    assert_string_equal(conflict_type_name(CONFLICT_HASH_MISMATCH), "HASH_MISMATCH");
}

static void test_spec_states(void **state)
{
    (void)state;
    assert_string_equal(agent_state_spec(AGENT_SUSPECT), "degraded");
    assert_string_equal(agent_state_spec(AGENT_UNKNOWN), "offline");
    assert_string_equal(agent_state_spec(AGENT_ACTIVE), "active");
    assert_string_equal(agent_state_spec(AGENT_QUARANTINED), "quarantined");
}

#define CHECK_PARSE(parse, name, type, from, count)                                                \
    do {                                                                                           \
        for (unsigned i = (from); i < (count); i++) {                                              \
            const char *text = name((type)i);                                                      \
            assert_int_equal(parse(text, strlen(text)), i);                                        \
            assert_int_equal(parse(text, strlen(text) - 1u), 0);                                   \
        }                                                                                          \
        assert_int_equal(parse("nonsense", 8), 0);                                                 \
        assert_int_equal(parse("", 0), 0);                                                         \
        assert_int_equal(parse(NULL, 0), 0);                                                       \
    } while (0)

static void test_parsers(void **state)
{
    (void)state;
    CHECK_PARSE(class_parse, class_name, enum impedance_class, 1, CLASS_COUNT);
    CHECK_PARSE(agent_state_parse, agent_state_name, enum agent_state, 1, AGENT_STATE_COUNT);
    CHECK_PARSE(verb_parse, verb_name, enum verb, 1, VERB_COUNT);
    CHECK_PARSE(routing_parse, routing_name, enum routing, 1, ROUTING_COUNT);
    CHECK_PARSE(strategy_parse, strategy_name, enum cascade_strategy, 1, CASCADE_COUNT);
    CHECK_PARSE(conflict_type_parse, conflict_type_name, enum conflict_type, 1,
                CONFLICT_TYPE_COUNT);
    assert_int_equal(class_parse("d", 1), CLASS_D_GPU);
    assert_int_equal(class_parse("class_d", 7), CLASS_D_GPU);
    assert_int_equal(class_parse("D-GPU", 5), CLASS_D_GPU);
    assert_int_equal(class_parse("gpu", 3), CLASS_D_GPU);
    assert_int_equal(class_parse("g", 1), CLASS_NONE);
    assert_int_equal(routing_parse("Scatter_Gather", 14), ROUTING_SCATTER_GATHER);
    assert_int_equal(strategy_parse("priority-first", 14), CASCADE_PRIORITY_FIRST);
    assert_int_equal(strategy_parse("none", 4), CASCADE_NONE);
    enum timing t = TIMING_AT;
    assert_true(timing_parse("SOON", 4, &t) && t == TIMING_SOON);
    assert_true(timing_parse("by", 2, &t) && t == TIMING_BY);
    assert_false(timing_parse("bye", 3, &t));
    assert_int_equal(t, TIMING_BY);
}

static void test_trinary(void **state)
{
    (void)state;
    for (unsigned i = 0; i < OUTCOME_COUNT; i++) {
        int want = i == OUTCOME_READY ? 1 : (i == OUTCOME_CONFLICT ? -1 : 0);
        assert_int_equal(outcome_trinary((enum outcome)i), want);
        bool out = i == OUTCOME_REFUSED || i == OUTCOME_SKIPPED || i == OUTCOME_CANCELLED;
        assert_int_equal(outcome_counts_in_quorum((enum outcome)i), !out);
    }
}

static void test_notes(void **state)
{
    (void)state;
    assert_string_equal(note_info(NOTE_STARTED)->name, "started");
    assert_string_equal(note_info(NOTE_THAWED)->name, "thawed");
    for (unsigned i = 1; i < NOTE_COUNT; i++) {
        const struct note_info *info = note_info((enum note)i);
        assert_non_null(info->name);
        assert_non_null(info->a);
        assert_non_null(info->b);
        assert_non_null(strchr("DIW", info->level));
    }
    struct unit u = unit_agent(1024, 64, 33);
    assert_true(unit_equal(u, unit_unpack(unit_pack(u))));
}

static void test_message_names(void **state)
{
    (void)state;
    for (unsigned i = 1; i < MSG_TYPE_COUNT; i++) {
        assert_string_not_equal(msg_type_name((enum msg_type)i), "unknown");
        for (unsigned k = 1; k < i; k++) {
            assert_string_not_equal(msg_type_name((enum msg_type)i),
                                    msg_type_name((enum msg_type)k));
        }
    }
    assert_string_equal(msg_type_name((enum msg_type)0), "unknown");
    assert_string_equal(msg_type_name(MSG_TYPE_COUNT), "unknown");
}

static struct topology topo;

static bool valid(enum msg_type type, struct unit from, struct unit to, uint64_t mask)
{
    static struct msg m;
    memset(&m, 0, sizeof m);
    m.type = type;
    m.from = from;
    m.to = to;
    m.mask = mask;
    return msg_route_valid(&topo, &m);
}

/* Pairs of one speaker and one hearer, and which messages may pass between them. */
static void test_routes(void **state)
{
    (void)state;
    topology_default(30000, &topo);
#define BIT(t) (UINT64_C(1) << (t))
    const struct unit agent = unit_agent(7, 3, 12);
    const struct unit lead = unit_cluster(7, 3);
    const struct unit sector = unit_sector(7);
    const struct unit root = unit_orchestrator();
    const struct unit console = unit_numbered(TIER_CONSOLE, 1);
    const uint64_t down =
        BIT(MSG_BEAT_REPLY) | BIT(MSG_OPERATE) | BIT(MSG_CANCEL) | BIT(MSG_CIRCUIT);
    const uint64_t asked = BIT(MSG_PREPARE) | BIT(MSG_QUERY) | BIT(MSG_CONFLICT_ACK);
    const uint64_t down_tiers = down | asked | BIT(MSG_FREEZE) | BIT(MSG_THAW) | BIT(MSG_HEAL) |
                                BIT(MSG_ISOLATE) | BIT(MSG_MOVE) | BIT(MSG_GROW);
    const uint64_t ordered = BIT(MSG_CIRCUIT) | BIT(MSG_CANCEL);
    const uint64_t up_tiers = BIT(MSG_BEAT) | BIT(MSG_RESULT) | BIT(MSG_PREPARED) | BIT(MSG_ROWS) |
                              BIT(MSG_CIRCUIT) | BIT(MSG_CONFLICT);
    const uint64_t relay = BIT(MSG_RELAY) | BIT(MSG_RELAY_ACK) | BIT(MSG_CONTENT);
    const struct {
        struct unit from, to;
        uint64_t types;
    } cases[] = {
        {agent, lead,
         BIT(MSG_HELLO) | BIT(MSG_GOODBYE) | BIT(MSG_HEARTBEAT) | BIT(MSG_ACK) | relay},
        {lead, agent, BIT(MSG_WELCOME) | BIT(MSG_FREEZE) | BIT(MSG_THAW) | down | relay},
        {lead, sector, up_tiers | BIT(MSG_HEAL) | BIT(MSG_MOVE) | relay},
        {sector, unit_numbered(TIER_HOST, 1), BIT(MSG_HEAL) | BIT(MSG_MOVE) | BIT(MSG_GROW)},
        {sector, lead, down_tiers | relay},
        {sector, root, up_tiers},
        {root, sector, (down & ~ordered) | asked | BIT(MSG_ORDER) | BIT(MSG_RESUME)},
        {sector, unit_sector(8), relay},
        {sector, sector, 0},
        {agent, unit_cluster(7, 4), 0},
        {agent, unit_agent(7, 3, 13), 0},
        {agent, sector, 0},
        {lead, unit_sector(8), 0},
        {lead, root, 0},
        {root, agent, 0},
        {root, lead, 0},
        {console, root, BIT(MSG_COMMAND)},
        {console, sector, BIT(MSG_COMMAND)},
        {console, lead, 0},
        {root, console, BIT(MSG_REPLY)},
        {sector, console, BIT(MSG_REPLY)},
        {unit_numbered(TIER_HOST, 1), sector, BIT(MSG_HOST_REPORT)},
        {unit_numbered(TIER_HOST, 0), sector, 0},
        {unit_sector(101), root, 0},
        {unit_agent(7, 3, 31), lead, 0},
        {(struct unit){0}, root, 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned type = 0; type <= MSG_TYPE_COUNT; type++) {
            bool want = (cases[i].types >> type & 1u) != 0;
            if (valid((enum msg_type)type, cases[i].from, cases[i].to, 0) != want) {
                fail_msg("case %u, message %s", i, msg_type_name((enum msg_type)type));
            }
        }
    }
}

static void test_masks(void **state)
{
    (void)state;
    topology_default(30000, &topo);
    struct unit lead = unit_cluster(7, 3);
    assert_true(valid(MSG_OPERATE, lead, unit_agent(7, 3, 1), 0x3fffffff));
    assert_false(valid(MSG_OPERATE, lead, unit_agent(7, 3, 1), 0x7fffffff));
    assert_false(valid(MSG_OPERATE, lead, unit_agent(7, 3, 2), 0x3fffffff));
    assert_true(valid(MSG_OPERATE, unit_orchestrator(), unit_sector(65), 0xfffffffffull));
    assert_false(valid(MSG_OPERATE, unit_orchestrator(), unit_sector(65), 0x1fffffffffull));
    assert_true(valid(MSG_OPERATE, unit_orchestrator(), unit_sector(37), 1ull << 63 | 1u));
    assert_false(valid(MSG_OPERATE, unit_orchestrator(), unit_sector(38), 1ull << 63 | 1u));
    assert_false(valid(MSG_BEAT, unit_sector(7), unit_orchestrator(), 1)); /* there is one only */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_spec_states),
        cmocka_unit_test(test_parsers), cmocka_unit_test(test_trinary),
        cmocka_unit_test(test_notes),   cmocka_unit_test(test_message_names),
        cmocka_unit_test(test_routes),  cmocka_unit_test(test_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
