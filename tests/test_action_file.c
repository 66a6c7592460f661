/* The file that describes actions: every fault of a handler's configuration is one line that names
 * the file, the line, what is wrong and what would be right. */
#include "tiers/work/action.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct topology topology;
static struct action_table table;
static char file[] = "/tmp/mesh-actions-XXXXXX";

static void wrong(const char *text, const char *what)
{
    struct action_problem problem = {""};
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    bool good = action_file_load(file, &topology, true, &table, &problem);
    action_table_done(&table);
    if (good || strstr(problem.text, what) == NULL || strstr(problem.text, file) == NULL ||
        strchr(problem.text, '\n') != NULL) {
        fail_msg("\"%s\", wanted \"%s\"", good ? "loaded" : problem.text, what);
    }
}

static void faults_name_their_place(void **state)
{
    (void)state;
    topology_default(30000, &topology);
#define A "[action a]\n"
    wrong("[handler a]\nx = 1\n", ":1: section [handler a] is not [action NAME]");
    wrong("[action A!]\nhandler = exec\n", "a name has 1 to 31 of");
    wrong(A "handler = exce\n", ":2: handler = exce: must be exec, http");
    wrong(A "handler = exec\n", "program =");
    wrong(A "handler = exec\nprogram = wc\n", "must start with '/'");
    wrong(A "handler = exec\nprogram = /no/such\n", "/no/such: No such file");
    wrong(A "handler = exec\nprogram = /bin/echo 'a\n", "' is never closed");
    wrong(A "handler = exec\nprogram = /bin/echo\nuser = nobodyatall\n", "no such user");
    wrong(A "handler = exec\nurl = http://x\n", "key \"url\" means nothing to handler = exec");
    wrong(A "program = /bin/echo\n", "\"handler\" must come before \"program\"");
    wrong(A "handler = exec\nprogam = /bin/echo\n", "the nearest is \"program\"");
    wrong(A "handler = exec\nprogram = /bin/echo\ntimeout = 5\n", "a time from 10ms");
    wrong(A "handler = exec\nprogram = /bin/echo\nprogram = /bin/cat\n",
          "given already, in line 3");
    wrong(A "handler = exec\nprogram = /bin/echo\ninput = jsn\n", "any, none, text, or json");
    wrong(A "handler = exec\nprogram = /bin/echo\ninput = json a:strin\n", "json with up to");
    wrong(A "handler = exec\nprogram = /bin/echo\ncapability = magic\n", "not one of this mesh");
    wrong(A "handler = exec\nprogram = /bin/echo\nclasses = Q\n", "classes A to F");
    wrong(A "handler = http\n", "url =");
    wrong(A "handler = http\nurl = ftp://x.example\n", "must start with http://");
    wrong(A "handler = http\nurl = http://x\nmethod = FETCH\n", "must be POST, PUT or GET");
    wrong(A "handler = http\nurl = http://x\nheader = nonsense\n", "\"Name: value\"");
    wrong(A "handler = http\nurl = http://x\nkey_file = /no/key\n", "/no/key: No such file");
    wrong(A "handler = llm\nurl = http://x\n", "model is missing");
    wrong(A "handler = llm\nurl = http://x\nmodel = m\ntemperature = 9\n", "from 0.0 to 2.0");
    wrong(A "handler = human\nclasses = D\n", ":3: [action a]: classes: people are CLASS_F");
    wrong(A "handler = human\nclasses = A,F\n", "people are CLASS_F");
    wrong(A "handler = builtin\n", "there is none of that name");
    wrong(A "handler = exec\nprogram = /bin/echo\n" A "handler = exec\n", "in line 1");
    wrong(A "summary = x\n", "\"handler\" must come before");
    wrong(A "what\n", ":2: not a section");
    wrong(A, ":1: a section without keys");
    wrong("# two\n" A "[action b]\nhandler = exec\n", ":2: a section without keys");
    wrong(A "handler = exec\nprogram = /bin/echo\nhandler = http\n",
          ":4: key \"handler\" was given already, in line 2");
    wrong(A "handler = exec\nverb = sync\nverb = act\n", "\"verb\" was given already, in line 3");
    wrong(A "handler = exec\neffect = acts\neffect = reads\n", ":4: key \"effect\" was given");
    wrong(A "handler = exec\nprogram = /bin/echo\ninput = json a:string a:number\n",
          ":4: input = json a:string a:number: must be any, none, text");
    wrong("\xef\xbb\xbf" A "handler = exec\nx = 1\n", ":3: unknown key \"x\"");
}

/* No file of actions is not one without actions. */
static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    struct action_problem problem = {""};
    topology_default(30000, &topology);
    assert_false(action_file_load("/tmp", &topology, true, &table, &problem));
    assert_string_equal(problem.text, "/tmp:0: cannot be read to its end");
    action_table_done(&table);
    assert_false(action_file_load("/no/such", &topology, true, &table, &problem));
    assert_string_equal(problem.text, "/no/such: cannot be read: No such file or directory");
    action_table_done(&table);
}

/* Programs and folders that are not what they should be, in the line of their key. */
static void paths_are_looked_at(void **state)
{
    (void)state;
    char text[300], plain[] = "/tmp/mesh-plain-XXXXXX";
    int fd = mkstemp(plain);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    topology_default(30000, &topology);
    (void)snprintf(text, sizeof(text), A "handler = exec\nmemory = 64\nprogram = %s\n", plain);
    wrong(text, ":4: [action a]: program = /tmp/mesh-plain-");
    wrong(text, "may not be executed by this user (chmod +x)");
    wrong(A "handler = exec\nprogram = /tmp\n", ":3: [action a]: program = /tmp: is a folder");
    wrong(A "handler = exec\nprogram = /bin/echo\ndirectory = /no/such\n",
          ":4: [action a]: directory = /no/such: No such file");
    (void)snprintf(text, sizeof(text), A "handler = exec\nprogram = /bin/echo\ndirectory = %s\n",
                   plain);
    wrong(text, "is not a folder");
    wrong(A "handler = http\nurl = http://x\nkey_file = /tmp\n",
          ":4: [action a]: key_file = /tmp: is");
    assert_int_equal(unlink(plain), 0);
}

static void limits_are_numbers_in_their_range(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    static const char *const exec[][2] = {
        {"memory = -5", "a whole number of MiB from 1"},
        {"memory = 0", "a whole number of MiB from 1"},
        {"memory = 64M", "a whole number of MiB from 1"},
        {"file_size = -1", "a whole number of MiB from 0"},
        {"cpu_seconds = 0", "a whole number from 1 to 86400"},
        {"open_files = 3", "a whole number from 8 to 65536"},
        {"processes = 1e3", "a whole number from 1 to 65536"},
        {"conflict_exit = 256", "a whole number from 1 to 255"},
        {"in_flight = 0", "a whole number from 1 to 4096"},
        {"in_flight = 99999999999999999999", "a whole number from 1 to 4096"},
        {"output_max = 16385", "a whole number of KiB from 1 to 16384"},
        {"timeout = -1s", "a time from 10ms to 86400s, as 250ms, 20s, 5m"},
        {"timeout = 25h", "a time from 10ms to 86400s"},
        {"verb = ask", "must be observe, orient, decide"},
        {"effect = maybe", "must be reads or acts"},
        {"capability = telepathy", "not one of this mesh"},
        {"classes = A,Z", "classes A to F"},
        {"summary =", "text of 1 to"}};
    for (size_t i = 0; i < sizeof exec / sizeof *exec; i++) {
        char text[300], where[80];
        (void)snprintf(text, sizeof(text), A "handler = exec\nprogram = /bin/echo\n%s\n",
                       exec[i][0]);
        wrong(text, exec[i][1]);
        (void)snprintf(where, sizeof(where), "%s:4: ", file);
        wrong(text, where);
    }
}

static void urls_are_looked_at(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    static const char *const urls[][2] = {
        {"edge.example/run", "must start with http:// or https://"},
        {"http:///run", "has no host"},
        {"http://:80/", "has no host"},
        {"http://a b/", "has a blank"},
        {"http://a:0/", "has a port that is none"},
        {"http://a:65536/", "has a port that is none"},
        {"http://a:http/", "has a port that is none"},
        {"http://[::1", "has no host"},
        {"http://[::1]x/", "has a port that is none"}};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char text[300];
        (void)snprintf(text, sizeof(text), A "handler = http\nurl = %s\n", urls[i][0]);
        wrong(text, urls[i][1]);
        (void)snprintf(text, sizeof(text), A "handler = llm\nmodel = m\nurl = %s\n", urls[i][0]);
        wrong(text, ":4: [action a]: url = ");
    }
    static const char *const good[] = {"http://a", "https://edge.example:8443/run?x=1#y",
                                       "http://[::1]:8080/v1", "http://user:word@a/", "http://a?x"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct action_problem problem = {""};
        FILE *f = fopen(file, "w");
        assert_non_null(f);
        assert_true(fprintf(f, A "handler = http\nurl = %s\nidle = 2s\n", good[i]) > 0);
        assert_int_equal(fclose(f), 0);
        if (!action_file_load(file, &topology, true, &table, &problem)) {
            fail_msg("%s: %s", good[i], problem.text);
        }
        action_table_done(&table);
    }
}

/* deploy/examples/actions.conf, its programs and files included: one of each handler, and what its
 * comments say can be typed. */
static void the_example_loads(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum action_handler handler;
        const char *input;
    } rows[] = {{"words", HANDLER_EXEC, "how many are these"},
                {"order", HANDLER_EXEC, "{\"item\":\"bolt\",\"count\":3}"},
                {"resize", HANDLER_HTTP, "picture-17"},
                {"summarize", HANDLER_LLM, "A long text .."},
                {"approve", HANDLER_HUMAN, "Pay 10 million?"}};
    struct action_problem problem = {""};
    topology_default(30000, &topology);
    if (!action_file_load("deploy/examples/actions.conf", &topology, true, &table, &problem))
        fail_msg("%s", problem.text);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct action *a = action_find(&table, rows[i].name);
        assert_non_null(a);
        assert_int_equal(a->handler, rows[i].handler);
        assert_true(content_check(&a->input, (const uint8_t *)rows[i].input,
                                  (uint32_t)strlen(rows[i].input), &problem));
    }
    action_table_done(&table);
}

int main(void)
{
    int fd = mkstemp(file);
    if (fd < 0 || close(fd) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_name_their_place),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(paths_are_looked_at),
        cmocka_unit_test(limits_are_numbers_in_their_range),
        cmocka_unit_test(urls_are_looked_at),
        cmocka_unit_test(the_example_loads),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(file);
    return failed;
}
