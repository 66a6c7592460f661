/* The filter is a list of what is denied, not of what is allowed: libraries change which calls they
 * make from one release to the next, and a server that dies of an update protects nobody. */
#include "tiers/runner/harden.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE
/* The memory of others, the kernel's own, the machine's, and what the kernel's bugs are found in.
 */
static const uint32_t denied[] = {SYS_process_vm_readv,
                                  SYS_process_vm_writev,
                                  SYS_kcmp,
                                  SYS_bpf,
                                  SYS_perf_event_open,
                                  SYS_userfaultfd,
                                  SYS_init_module,
                                  SYS_finit_module,
                                  SYS_delete_module,
                                  SYS_kexec_load,
                                  SYS_reboot,
                                  SYS_swapon,
                                  SYS_swapoff,
                                  SYS_mount,
                                  SYS_umount2,
                                  SYS_pivot_root,
                                  SYS_chroot,
                                  SYS_setns,
                                  SYS_unshare,
                                  SYS_keyctl,
                                  SYS_add_key,
                                  SYS_request_key,
                                  SYS_acct,
                                  SYS_settimeofday,
                                  SYS_clock_settime,
                                  SYS_sethostname,
                                  SYS_setdomainname,
                                  SYS_personality,
                                  SYS_open_by_handle_at};
/* Those that only some may make. */
static const uint32_t denied_servers[] = {SYS_execve, SYS_execveat};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define RULES_MAX   (4 + COUNT(denied) + 1 + COUNT(denied_servers) + 2)

static bool filter_calls(enum harden_kind kind)
{
    struct sock_filter rules[RULES_MAX];
    uint32_t calls[RULES_MAX];
    size_t n = 0, count = 0;
    for (size_t i = 0; i < COUNT(denied); i++)
        calls[count++] = denied[i];
    if (!SANITIZED)
        calls[count++] = SYS_ptrace;
    for (size_t i = 0; kind == HARDEN_SERVER && i < COUNT(denied_servers); i++)
        calls[count++] = denied_servers[i];
    rules[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    rules[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0,
                                              (uint8_t)(count + 2));
    rules[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++)
        rules[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i],
                                                  (uint8_t)(count - i), 0);
    rules[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    rules[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = rules};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
#else
static bool filter_calls(enum harden_kind kind)
{
    (void)kind;
    return false;
}
#endif

#define CAP(name) (UINT64_C(1) << (name))
/* Whoever starts a mesh as root owns not all of its folders: those that open files stay. */
#define KEPT                                                                                       \
    (CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) | CAP(CAP_IPC_LOCK))
#define KEPT_HOSTS                                                                                 \
    (CAP(CAP_CHOWN) | CAP(CAP_FSETID) | CAP(CAP_KILL) | CAP(CAP_SETUID) | CAP(CAP_SETGID) |        \
     CAP(CAP_NET_BIND_SERVICE) | CAP(CAP_NET_RAW) | CAP(CAP_SYS_NICE))

/* Of root's rights those that no part of the process uses; without new privileges no program that
 * it starts gets them back. */
static bool drop_rights(enum harden_kind kind)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}};
    uint64_t kept = KEPT | (kind == HARDEN_HOST ? KEPT_HOSTS : 0);
    if (syscall(SYS_capget, &head, sets) < 0)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        sets[i].permitted &= (uint32_t)(kept >> (32u * i));
        sets[i].effective &= sets[i].permitted;
        sets[i].inheritable = 0;
    }
    return syscall(SYS_capset, &head, sets) == 0;
}

const char *harden(enum harden_kind kind)
{
    const char *missing = NULL;
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        missing = "core dumps cannot be switched off";
    if (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        missing = "the process stays traceable";
    if (kind == HARDEN_TOOL)
        return missing;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return "new privileges cannot be given up";
    if (!drop_rights(kind))
        return "rights of root cannot be given up";
    return filter_calls(kind) ? missing : "no filter of system calls on this machine";
}
