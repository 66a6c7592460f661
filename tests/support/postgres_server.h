/* A PostgreSQL of a test's own: a cluster in a temporary folder, on a Unix socket in it and nowhere
 * else, run by an unprivileged user (as root: "postgres"; the server refuses to run as root). */
#ifndef TESTS_SUPPORT_POSTGRES_SERVER_H
#define TESTS_SUPPORT_POSTGRES_SERVER_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct postgres_server {
    char dir[64];
    char url[200];
    char bin[64];
};

/* The exit code of a shell command. */
__attribute__((format(printf, 1, 2))) static inline int postgres_shell(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline const char *postgres_as(void)
{
    return geteuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --clear-groups " : "";
}

static inline bool postgres_run(struct postgres_server *s)
{
    return postgres_shell("cd %s && %s%s/pg_ctl -D %s/data -l %s/log -w -t 30 -o \"-k %s -c "
                          "listen_addresses='' -c max_connections=20\" start >/dev/null 2>&1",
                          s->dir, postgres_as(), s->bin, s->dir, s->dir, s->dir) == 0;
}

static inline bool postgres_start(struct postgres_server *s)
{
    snprintf(s->dir, sizeof s->dir, "/tmp/mesh-pg-XXXXXX");
    if (!mkdtemp(s->dir))
        return false;
    FILE *found = popen("ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1", "r");
    bool named = found && fscanf(found, "%63s", s->bin) == 1;
    if (found)
        pclose(found);
    if (geteuid() == 0 && postgres_shell("chown postgres: %s", s->dir) != 0)
        return false;
    snprintf(s->url, sizeof s->url, "postgresql:///mesh?host=%s&user=postgres", s->dir);
    return named &&
           postgres_shell(
               "cd %s && %s%s/initdb -N -D %s/data -A trust -U postgres -E UTF8 --no-locale "
               ">%s/initdb.log 2>&1",
               s->dir, postgres_as(), s->bin, s->dir, s->dir) == 0 &&
           postgres_run(s) &&
           postgres_shell("%s/createdb -h %s -U postgres mesh", s->bin, s->dir) == 0;
}

static inline bool postgres_halt(struct postgres_server *s)
{
    return postgres_shell("cd %s && %s%s/pg_ctl -D %s/data -m immediate -w stop >/dev/null 2>&1",
                          s->dir, postgres_as(), s->bin, s->dir) == 0;
}

static inline void postgres_stop(struct postgres_server *s)
{
    (void)postgres_halt(s);
    (void)postgres_shell("rm -rf %s", s->dir);
}

#endif
