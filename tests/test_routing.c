/* What new work goes around: the table, its lines, its record. */
#include "core/routing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct topology topology;
static struct route_table table;

static struct place_set places(const char *text)
{
    struct place_set ret;
    size_t at;
    const char *why = NULL;
    assert_true(place_parse(text, strlen(text), &topology, &ret, &at, &why));
    return ret;
}

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    memset(&table, 0, sizeof table);
    return 0;
}

static enum routing_verdict avoid(const char *text, bool on)
{
    struct place_set set = places(text);
    return routing_avoid(&table, &topology, &set, on);
}

static const char *line(uint32_t index)
{
    static char room[256];
    struct text t;
    text_init(&t, room, sizeof room);
    return routing_line(&table, &topology, index, &t) ? room : NULL;
}

static void avoid_and_undo(void **state)
{
    (void)state;
    assert_int_equal(avoid("s07.c4.a12,s07.c4.a19", true), ROUTING_OK);
    assert_int_equal(avoid("s07.c4.a12", true), ROUTING_SAME);
    assert_int_equal(routing_avoided(&table, unit_cluster(7, 4)), 1u << 11 | 1u << 18);
    assert_int_equal(routing_avoided(&table, unit_cluster(7, 5)), 0);
    assert_string_equal(line(0), "new work avoids s07.c4.a[12,19]");
    assert_null(line(1));
    assert_int_equal(avoid("s07.c4.a12", false), ROUTING_OK);
    assert_int_equal(routing_avoided(&table, unit_cluster(7, 4)), 1u << 18);
    assert_int_equal(avoid("s07", false), ROUTING_OK);
    assert_int_equal(table.count, 0);
    assert_int_equal(avoid("s07", false), ROUTING_SAME);
}

static void a_full_table_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(avoid("s01", true), ROUTING_OK);
    assert_int_equal(table.count, 10);
    assert_int_equal(avoid("s02", true), ROUTING_FULL);
    assert_int_equal(table.count, 10);
    assert_int_equal(avoid("s02.c[1-6]", true), ROUTING_OK);
    assert_int_equal(avoid("s03.c1.a1", true), ROUTING_FULL);
    assert_int_equal(avoid("s01.c1.a1", true), ROUTING_SAME);
}

static void the_mapping(void **state)
{
    (void)state;
    int bit = topology_capability(&topology, "inference", 9);
    assert_true(bit >= 0);
    assert_int_equal(routing_map(&table, 1u << CLASS_E_LOCAL, 1ull << bit, true), ROUTING_OK);
    assert_int_equal(routing_map(&table, 1u << CLASS_E_LOCAL, 1ull << bit, true), ROUTING_SAME);
    assert_int_equal(table.excluded[CLASS_E_LOCAL], 1ull << bit);
    assert_string_equal(line(0), "CLASS_E_LOCAL excluded from 'inference' routing");
    assert_int_equal(routing_map(&table, 1u << CLASS_E_LOCAL, 1ull << bit, false), ROUTING_OK);
    assert_null(line(0));
    assert_int_equal(routing_map(&table, 1u << CLASS_A_EDGE, (1ull << 21) - 1u, true),
                     ROUTING_FULL);
    assert_int_equal(table.excluded[CLASS_A_EDGE], 0);
}

static void the_record_comes_back(void **state)
{
    (void)state;
    static struct routing_record record;
    int bit = topology_capability(&topology, "vision", 6);
    avoid("s[01-15].c1,s100.c10.a30", true);
    (void)routing_map(&table, 1u << CLASS_A_EDGE | 1u << CLASS_E_LOCAL, 1ull << bit, true);
    uint32_t n = routing_save(&table, &topology, &record);
    assert_int_equal(n, 17);
    assert_string_equal(record.fields[0].name, "s01_c1");
    assert_string_equal(record.fields[16].name, "vision");
    assert_memory_equal(record.fields[16].value, "AE", 2);
    struct route_table back = {0};
    for (uint32_t i = 0; i < n; i++) {
        assert_true(record.fields[i].value_bytes <= STORE_FIELD_VALUE_MAX);
        assert_true(routing_load(&back, &topology, &record.fields[i]));
    }
    assert_memory_equal(&back, &table, sizeof back);
}

static void strange_fields_are_left_out(void **state)
{
    (void)state;
    const char *const bad[][2] = {{"s07_c4", "x"},       {"s07_c4", "0"}, {"s07", "1"},
                                  {"s999_c1", "1"},      {"vision", "Z"}, {"vision", ""},
                                  {"no-such-name", "1"}, {"", "1"},       {"s07_c4_a1", "1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct store_field f = {
            .name = bad[i][0], .value = bad[i][1], .value_bytes = (uint32_t)strlen(bad[i][1])};
        assert_false(routing_load(&table, &topology, &f));
    }
    const struct store_field wide = {
        .name = "s100_c10", .value = "18446744073709551615", .value_bytes = 20};
    assert_true(routing_load(&table, &topology, &wide)); /* of those that there are */
    assert_int_equal(routing_avoided(&table, unit_cluster(100, 10)), (1u << 30) - 1u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(avoid_and_undo, setup),
        cmocka_unit_test_setup(a_full_table_changes_nothing, setup),
        cmocka_unit_test_setup(the_mapping, setup),
        cmocka_unit_test_setup(the_record_comes_back, setup),
        cmocka_unit_test_setup(strange_fields_are_left_out, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
