/* What a process of the mesh gives up at its start, so that a bug in it is worth less to whoever
 * finds it: core dumps and being traced (both would show keys), new privileges through set-uid
 * programs, the rights of root but those that open files and lock memory, and system calls that no
 * part of it ever makes (a seccomp filter; they fail with EPERM). Children inherit all of it but
 * the first two. Under a sanitizer, which traces its own process, the process stays traceable. */
#ifndef TIERS_RUNNER_HARDEN_H
#define TIERS_RUNNER_HARDEN_H

enum harden_kind {
    HARDEN_TOOL, /* a console or mesh keys: no dumps, not traceable; pagers and editors still run */
    HARDEN_HOST, /* runs handlers: programs may be started, not with more rights than it has */
    HARDEN_SERVER, /* orchestrator, sector, cluster: starts no program at all */
};

/* NULL, or what the system did not let it give up; the process goes on and says so in its log. */
const char *harden(enum harden_kind kind);

#endif
