/* UTF-8 from outside: what may be shown, and where it may be cut. */
#include "core/text.h"
#include "core/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define AT(s) ((const uint8_t *)(s))

static void only_printable_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {{"\xc3\xbc", 2},
                 {"\xe4\xbd\xa0", 3},
                 {"\xf0\x9f\x98\x80", 4},
                 {"a", 0},
                 {"\xc0\xaf", 0},
                 {"\xe0\x80\xaf", 0},
                 {"\xed\xa0\x80", 0},
                 {"\xf4\x90\x80\x80", 0},
                 {"\xf5\x80\x80\x80", 0},
                 {"\xc2\x85", 0},
                 {"\xe2\x80\xae", 0},
                 {"\xef\xbb\xbf", 0},
                 {"\xe4\xbd", 0},
                 {"\xc3z", 0},
                 {"\x80", 0},
                 {"\xf4\x8f\xbf\xbd", 4},
                 {"\xc2\xa0", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = utf8_printable(AT(cases[i].text), strlen(cases[i].text));
        if (n != cases[i].bytes) {
            fail_msg("case %zu: %zu bytes, wanted %zu", i, n, cases[i].bytes);
        }
    }
}

/* Cut anywhere, a text is whole again without the bytes of the character that was cut. */
static void cuts_are_between_characters(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xbc\xe4\xbd\xa0z\xf0\x9f\x98\x80";
    static const size_t starts[] = {0, 1, 3, 6, 7, 11};
    for (size_t cut = 0; cut < sizeof text; cut++) {
        size_t last = 0, next = sizeof text - 1;
        for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
            last = starts[i] <= cut ? starts[i] : last;
            next = starts[i] >= cut && starts[i] < next ? starts[i] : next;
        }
        assert_int_equal(utf8_whole(AT(text), cut), last);
        assert_int_equal(cut + utf8_begin(AT(text) + cut, sizeof text - 1 - cut), next);
    }
    assert_int_equal(utf8_whole(AT("\xff\xff"), 2), 2); /* no UTF-8 at all: left alone */
    assert_int_equal(utf8_whole(AT("\x80\x80\x80\x80"), 4), 4);
    assert_int_equal(utf8_begin(AT("\x80\x80\x80\x80"), 4), 3);
    assert_int_equal(utf8_whole(NULL, 0), 0);
}

static void lines_keep_what_may_be_shown(void **state)
{
    (void)state;
    static const char bytes[] = "gr\xc3\xbc\xc3\x9f\n\x1b[2J\xe4\xbd";
    char room[64], small[5];
    struct text t;
    text_init(&t, room, sizeof room);
    text_add_utf8(&t, bytes, sizeof bytes - 1);
    assert_string_equal(room, "gr\xc3\xbc\xc3\x9f..[2J..");
    text_init(&t, small, sizeof small);
    text_add_utf8(&t, bytes, sizeof bytes - 1);
    assert_true(t.cut);
    assert_string_equal(small, "gr\xc3\xbc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_printable_characters),
        cmocka_unit_test(cuts_are_between_characters),
        cmocka_unit_test(lines_keep_what_may_be_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
