/* What a hardened process may not do any more, each in a child of its own, and that what it needs
 * still works. */
#include "tiers/runner/harden.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The child's own number when it finds something wrong; 0: all as it should be. */
static int in_child(enum harden_kind kind, int (*check)(void))
{
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *missing = harden(kind);
        _exit(missing != NULL ? 100 : check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool is_denied(long result)
{
    return result < 0 && errno == EPERM;
}

static int check_dumps(void)
{
    struct rlimit core = {1, 1};
    if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur != 0 || core.rlim_max != 0)
        return 1;
#if !defined(__SANITIZE_ADDRESS__)
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 2;
#endif
    return 0;
}

static int check_calls(void)
{
    char byte = 0;
    struct iovec mine = {&byte, 1}, theirs = {&byte, 1};
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 1;
    if (!is_denied(process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0)))
        return 2;
    if (!is_denied(syscall(SYS_bpf, 0, NULL, 0)) || !is_denied(syscall(SYS_mount, 0, 0, 0, 0, 0)))
        return 3;
    if (!is_denied(unshare(CLONE_NEWUSER)) || !is_denied(syscall(SYS_keyctl, 0, 0, 0, 0, 0)))
        return 4;
    return 0;
}

/* As root: no rights over the machine are left, and they do not come back. */
static int check_rights(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}};
    const uint32_t machine = 1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN | 1u << CAP_SYS_PTRACE |
                             1u << CAP_SYS_MODULE | 1u << CAP_SYS_RAWIO | 1u << CAP_SYS_TIME |
                             1u << CAP_SYS_BOOT | 1u << CAP_MKNOD;
    if (syscall(SYS_capget, &head, sets) < 0)
        return 1;
    if (((sets[0].permitted | sets[0].effective) & machine) != 0)
        return 2;
    if (((sets[1].permitted | sets[1].effective) & ~0u) != 0) /* bpf, perfmon, .. */
        return 3;
    sets[0].permitted |= machine;
    if (syscall(SYS_capset, &head, sets) == 0)
        return 4;
    return 0;
}

/* A program of root's that a hardened process has started: what it has. */
static int check_rights_of_programs(void)
{
    char *const argv[] = {(char[]){"sh"}, (char[]){"-c"},
                          (char[]){"test $((0x$(sed -n 's/^CapPrm:.//p' /proc/self/status) & "
                                   "0x2200000)) = 0"},
                          NULL};
    char *const environment[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
    (void)execve("/bin/sh", argv, environment);
    return 1;
}

static int check_no_programs(void)
{
    char *const argv[] = {(char[]){"true"}, NULL}, *const environment[] = {NULL};
    return is_denied(execve("/bin/true", argv, environment)) ? 0 : 1;
}

static int check_programs(void)
{
    char *const argv[] = {(char[]){"true"}, NULL}, *const environment[] = {NULL};
    (void)execve("/bin/true", argv, environment);
    return 1; /* it was not replaced by one that ends with 0 */
}

static void *run_thread(void *ctx)
{
    *(int *)ctx = 7;
    return NULL;
}

/* A loop, a thread, a socket: all that servers live on. */
static int check_needs(void)
{
    int pair[2], seen = 0;
    pthread_t thread;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || write(pair[0], "x", 1) != 1)
        return 1;
    if (pthread_create(&thread, NULL, run_thread, &seen) != 0 || pthread_join(thread, NULL) != 0)
        return 2;
    return seen == 7 ? 0 : 3;
}

static void test_no_dumps(void **state)
{
    (void)state;
    assert_int_equal(in_child(HARDEN_TOOL, check_dumps), 0);
    assert_int_equal(in_child(HARDEN_SERVER, check_dumps), 0);
}

static void test_calls_denied(void **state)
{
    (void)state;
    assert_int_equal(in_child(HARDEN_HOST, check_calls), 0);
    assert_int_equal(in_child(HARDEN_SERVER, check_calls), 0);
}

static void test_rights(void **state)
{
    (void)state;
    assert_int_equal(in_child(HARDEN_SERVER, check_rights), 0);
    assert_int_equal(in_child(HARDEN_HOST, check_rights), 0);
    assert_int_equal(in_child(HARDEN_HOST, check_rights_of_programs), 0);
}

static void test_programs(void **state)
{
    (void)state;
    assert_int_equal(in_child(HARDEN_SERVER, check_no_programs), 0);
    assert_int_equal(in_child(HARDEN_HOST, check_programs), 0);
    assert_int_equal(in_child(HARDEN_TOOL, check_programs), 0);
}

static void test_serves_on(void **state)
{
    (void)state;
    assert_int_equal(in_child(HARDEN_SERVER, check_needs), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_dumps), cmocka_unit_test(test_calls_denied),
        cmocka_unit_test(test_rights), cmocka_unit_test(test_programs),
        cmocka_unit_test(test_serves_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
