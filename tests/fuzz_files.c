/* libFuzzer: files that people or other machines write. The first byte picks: conditions on facts
 * and facts (`--where`), an action file, key files, a scenario, a recorded delay trace, the headers
 * of an exporter, the machine's os-release, and what a console keeps (groups, contexts, a
 * dialogue). What is refused says where; what is taken is the same when it is written and read
 * again. */
#include "core/facts.h"
#include "tiers/console/contexts.h"
#include "tiers/console/hwcredential.h"
#include "tiers/console/talk.h"
#include "tiers/console/targets.h"
#include "tiers/runner/host_facts.h"
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/passphrase.h"
#include "tiers/web/otlp.h"
#include "tiers/work/action.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 4096u

static struct topology topology;
static char folder[64], path[128];

static void demand(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What this process leaves behind: one folder, with the file of the last input in it. */
static void clean(void)
{
    char command[160];
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    (void)!system(command);
}

static void start(void)
{
    topology_default(30000, &topology);
    (void)snprintf(folder, sizeof(folder), "/tmp/fuzz-files-%ld", (long)getpid());
    demand(mkdir(folder, 0700) == 0 && keys_start() == 0);
    (void)setenv("XDG_STATE_HOME", folder, 1);
    (void)setenv("XDG_CONFIG_HOME", folder, 1);
    (void)snprintf(path, sizeof(path), "%s/mesh", folder);
    demand(mkdir(path, 0700) == 0);
    (void)atexit(clean);
}

/* The input as the file of that name. */
static void put(const char *name, const uint8_t *data, size_t size)
{
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    demand(out != NULL && fchmod(fileno(out), 0600) == 0);
    (void)fwrite(data, 1, size, out);
    (void)fclose(out);
}

static void conditions(const char *text)
{
    char where[WHERE_BYTES_MAX], again[WHERE_BYTES_MAX];
    size_t at = 0;
    if (where_read(text, where, &at) != NULL) {
        demand(at <= strlen(text));
        return;
    }
    demand(where_valid(where));
    demand(where_read(where, again, &at) == NULL && strcmp(where, again) == 0);
    (void)facts_match("arch=x86_64 memory_mib=4096 os=debian12", where);
    (void)facts_match("", where);
}

static void facts(const char *text)
{
    char read[FACTS_BYTES_MAX] = "", again[FACTS_BYTES_MAX] = "";
    size_t at = 0, bytes = 0;
    if (facts_read(text, read, &at) != NULL) {
        demand(at <= strlen(text));
        return;
    }
    demand(facts_valid(read));
    demand(facts_read(read, again, &at) == NULL && strcmp(read, again) == 0);
    (void)facts_value(read, "os", 2, &bytes);
}

static void actions(const uint8_t *data, size_t size)
{
    struct action_table table;
    struct action_problem problem = {""};
    put("actions", data, size);
    if (action_file_load(path, &topology, false, &table, &problem)) {
        char text[2048];
        for (uint32_t i = 0; i < table.count; i++) {
            content_format(&table.actions[i].input, text, sizeof(text));
            (void)content_check(&table.actions[i].input, data, size, &problem);
        }
    } else {
        demand(strstr(problem.text, "/fuzz-files-") != NULL);
    }
    action_table_done(&table);
}

/* Whatever it is, it is none of the kinds, or is read as it was written. */
static void key_files(uint8_t kind, const uint8_t *data, size_t size)
{
    static struct hwcredential credential;
    uint8_t bytes[KEYFILE_BYTES_MAX];
    struct keys_error why = {""};
    int rc;
    if (kind % 4 == 0) {
        put("p.cert", data, size);
        rc = keys_load_certificate(path, bytes, &why);
    } else if (kind % 4 == 1) {
        put("p.key.sealed", data, size);
        rc = passphrase_public(folder, "p", bytes, &why);
    } else if (kind % 4 == 2) {
        put("p.token", data, size);
        rc = hwcredential_load(path, &credential, &why);
    } else {
        char password[PASSWORD_TEXT_BYTES];
        put("p.redis", data, size);
        rc = keys_load_password(folder, "p", password, &why);
        demand(rc < 0 || strlen(password) == PASSWORD_TEXT_BYTES - 1);
    }
    demand(rc == 0 || why.text[0] != '\0');
    (void)unlink(path);
}

static void exporter_headers(const uint8_t *data, size_t size)
{
    static struct otlp_headers headers;
    char why[256] = "";
    put("headers", data, size);
    demand(otlp_headers_read(path, &headers, why, sizeof(why)) ? headers.count <= OTLP_HEADERS_MAX
                                                               : why[0] != '\0');
    (void)otlp_rejected(data, size, why, sizeof(why));
}

/* Files of the console, in its own folders. */
static void console_files(uint8_t kind, const uint8_t *data, size_t size)
{
    if (kind % 3 == 0) {
        static char names[64][GROUP_NAME_MAX + 1];
        static struct place_set places;
        char error[COMMAND_ERROR_MAX];
        put("mesh/group.gpus", data, size);
        (void)targets_names(names, 64);
        (void)targets_parse("on", "@gpus", NULL, &topology, &places, error);
    } else if (kind % 3 == 1) {
        static struct context context;
        char error[CONTEXT_ERROR_MAX];
        put("mesh/contexts", data, size);
        (void)context_find(NULL, &context, error);
        (void)context_find("a", &context, error);
    } else {
        static struct talk talk;
        memset(&talk, 0, sizeof(talk));
        put("mesh/dialogue.json", data, size);
        talk_load(&talk, "m", 1, 1000000);
        demand(talk.proposal.count <= TALK_LINES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX], os[128];
    if (topology.agents == 0) {
        start();
    }
    if (size < 3 || size > sizeof(text)) {
        return 0;
    }
    const uint8_t *rest = data + 2;
    size_t left = size - 2;
    memcpy(text, rest, left);
    text[left] = '\0';
    switch (data[0] % 7) {
    case 0:
        conditions(text);
        break;
    case 1:
        facts(text);
        break;
    case 2:
        actions(rest, left);
        break;
    case 3:
        key_files(data[1], rest, left);
        break;
    case 4:
        exporter_headers(rest, left);
        break;
    case 5:
        (void)host_facts_os(text, os, sizeof(os));
        break;
    default:
        console_files(data[1], rest, left);
        break;
    }
    return 0;
}
