/* W3C Trace Context: what is one, and what is said of what is none. */
#include "core/num.h"
#include "core/trace_context.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define GIVEN "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void it_reads_and_writes_the_same(void **state)
{
    (void)state;
    struct trace_context c;
    char text[TRACEPARENT_MAX], id[ID128_TEXT_MAX];
    assert_null(traceparent_parse(GIVEN, &c));
    num_id128_format(c.trace, id);
    assert_string_equal(id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_int_equal(c.parent, 0x00f067aa0ba902b7ull);
    assert_int_equal(c.flags, 1);
    traceparent_format(&c, text);
    assert_string_equal(text, GIVEN);
    assert_null(traceparent_parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe", &c));
    assert_int_equal(c.flags, 0); /* only what is known is passed on */
}

/* A later version is read as far as this one goes. */
static void later_versions_are_read(void **state)
{
    (void)state;
    struct trace_context c;
    char text[TRACEPARENT_MAX];
    assert_null(traceparent_parse(
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-then", &c));
    traceparent_format(&c, text);
    assert_string_equal(text, GIVEN);
    assert_non_null(
        traceparent_parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what", &c));
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "wanted is"},
        {"4bf92f3577b34da6a3ce929d0e0e4736", "wanted is"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1", "wanted is"},
        {"00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7--01", "wanted is"},
        {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "version"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "version"},
        {"0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "version"},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "trace id"},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "trace id"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "parent id"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bg-01", "parent id"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0G", "flags"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trace_context c = {.flags = 7};
        const char *why = traceparent_parse(cases[i].text, &c);
        assert_non_null(why);
        assert_non_null(strstr(why, cases[i].says));
        assert_int_equal(c.flags, 7); /* untouched */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_and_writes_the_same),
        cmocka_unit_test(later_versions_are_read),
        cmocka_unit_test(what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
