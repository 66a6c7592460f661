/* Programs that are started end with the process that waits for them, however that ends. */
#include "tiers/work/launch.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WITHIN_MS 5000

static char *const args[] = {"/bin/sleep", "600", NULL};
static char *const env[] = {NULL};

/* How the child of this number ended; -1: not within WITHIN_MS, and it was killed. */
static int ended(pid_t pid)
{
    const struct timespec rest = {.tv_nsec = 1000000};
    int how = -1;
    for (int ms = 0; ms < WITHIN_MS; ms++) {
        if (waitpid(pid, &how, WNOHANG) == pid) {
            return how;
        }
        (void)nanosleep(&rest, NULL);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return -1;
}

static void starts_one_and_waits(int tell)
{
    struct launch l = {.file = args[0], .args = args, .env = env, .directory = "/"};
    pid_t pid = launch(&l) == 0 ? l.pid : -1;
    if (write(tell, &pid, sizeof(pid)) == (ssize_t)sizeof(pid)) {
        (void)pause();
    }
    _exit(1);
}

static void it_dies_with_a_killed_parent(void **state)
{
    (void)state;
    int fds[2];
    pid_t program = -1;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0),
                     0); /* then it is ours to wait for */
    assert_int_equal(pipe(fds), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        starts_one_and_waits(fds[1]);
    }
    assert_int_equal(read(fds[0], &program, sizeof(program)), sizeof(program));
    assert_true(program > 0);
    assert_int_equal(kill(program, 0), 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    int how = ended(program);
    assert_true(how >= 0 && WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void it_lives_on_while_the_parent_does(void **state)
{
    (void)state;
    struct launch l = {.file = args[0], .args = args, .env = env, .directory = "/"};
    const struct timespec rest = {.tv_nsec = 50000000};
    assert_int_equal(launch(&l), 0);
    (void)nanosleep(&rest, NULL);
    assert_int_equal(waitpid(l.pid, NULL, WNOHANG), 0);
    assert_int_equal(kill(-l.pid, SIGKILL), 0);
    int how = ended(l.pid);
    assert_true(how >= 0 && WIFSIGNALED(how));
    (void)close(l.in);
    (void)close(l.out);
    (void)close(l.err);
    (void)close(l.pidfd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_dies_with_a_killed_parent),
        cmocka_unit_test(it_lives_on_while_the_parent_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
