#include "tiers/runner/host_facts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define OS_RELEASE_BYTES 4096u

/* The value may come from anywhere (a machine's name, a file): what a fact cannot hold becomes '_'.
 */
static void add(char facts[FACTS_BYTES_MAX], const char *name, const char *value)
{
    char clean[FACT_VALUE_MAX + 1];
    size_t has = 0, n = 0;
    if (facts_value(facts, name, strlen(name), &has) != NULL)
        return;
    for (; value[n] != '\0' && n < FACT_VALUE_MAX; n++) {
        clean[n] = facts_char(value[n]) ? value[n] : '_';
    }
    clean[n] = '\0';
    (void)facts_set(facts, name, strlen(name), clean, n); /* no value or no room: left out */
}

static void add_number(char facts[FACTS_BYTES_MAX], const char *name, long value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%ld", value);
    if (value > 0)
        add(facts, name, text);
}

/* The value of NAME= in a line of its own, without quotes. */
static size_t release_value(const char *text, const char *name, const char **ret)
{
    for (const char *at = text; *at != '\0';) {
        size_t line = strcspn(at, "\n"), bytes = strlen(name);
        if (line > bytes && memcmp(at, name, bytes) == 0 && at[bytes] == '=') {
            size_t quote = at[bytes + 1] == '"' || at[bytes + 1] == '\'' ? 1 : 0;
            *ret = at + bytes + 1 + quote;
            return strcspn(*ret, "\"'\n");
        }
        at += line + (at[line] == '\n' ? 1 : 0);
    }
    return 0;
}

bool host_facts_os(const char *text, char *ret, size_t size)
{
    const char *id = "", *version = "";
    assert(text != NULL && ret != NULL && size > 0);
    size_t id_bytes = release_value(text, "ID", &id);
    size_t version_bytes = release_value(text, "VERSION_ID", &version);
    (void)snprintf(ret, size, "%.*s%.*s", (int)id_bytes, id, (int)version_bytes, version);
    return id_bytes > 0;
}

void host_facts(char facts[FACTS_BYTES_MAX])
{
    struct utsname name;
    char text[OS_RELEASE_BYTES], os[FACT_VALUE_MAX + 1];
    assert(facts != NULL && facts_valid(facts));
    bool named = uname(&name) == 0;
    if (named)
        add(facts, "arch", name.machine);
    add_number(facts, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    if (named)
        add(facts, "kernel", name.release);
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_bytes > 0)
        add_number(facts, "memory_mib", (long)((double)pages * (double)page_bytes / 1048576));
    if (named)
        add(facts, "node", name.nodename);
    FILE *file = fopen("/etc/os-release", "re");
    size_t n = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    text[n] = '\0';
    if (file != NULL)
        (void)fclose(file);
    if (host_facts_os(text, os, sizeof os))
        add(facts, "os", os);
    else if (named)
        add(facts, "os", name.sysname);
}
