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
    if (good || strstr(problem.text, what) == NULL || strstr(problem.text, file) == NULL) {
        fail_msg("\"%s\", wanted \"%s\"", good ? "loaded" : problem.text, what);
    }
}

static void faults_name_their_place(void **state)
{
    (void)state;
    topology_default(30000, &topology);
#define A "[action a]\n"
    wrong("[handler a]\nx = 1\n", ":2: section [handler a] is not [action NAME]");
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
    wrong(A "handler = builtin\n", "there is none of that name");
    wrong(A "handler = exec\nprogram = /bin/echo\n" A "handler = exec\n", "in line 1");
    wrong(A "summary = x\n", "\"handler\" must come before");
    wrong(A "what\n", "not a section");
}

int main(void)
{
    int fd = mkstemp(file);
    if (fd < 0 || close(fd) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_name_their_place),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(file);
    return failed;
}
