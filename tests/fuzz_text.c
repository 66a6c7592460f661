/* libFuzzer: text that people write. The first byte picks: a console line, places, a scope, roles,
 * words for the dialogue, a Redis address, a configuration file. */
#include "core/commands.h"
#include "core/topology.h"
#include "registry/redis.h"
#include "tiers/console/grammar.h"
#include "tiers/runner/config.h"
#include "tiers/runner/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct topology topology;

static void console_line(const char *text)
{
    static char room[8192];
    const char *words[256], *why, *ends[32];
    char error[COMMAND_ERROR_MAX], flags[1024];
    struct invocation in;
    size_t count = 0;
    if (command_split(text, room, sizeof(room), words, &count, &why) && count > 0)
        (void)command_parse(words, count, &in, error);
    (void)command_complete(text, ends, 32, flags, sizeof(flags));
}

/* What words mean is a line that the table can parse, or an error that says something. */
static void spoken(const char *text)
{
    static struct utterance u;
    static const struct subject subject = {.scope = "s07", .places = "s07.c4.a12"};
    char error[COMMAND_ERROR_MAX] = "";
    if (!grammar_read(text, &topology, &subject, &u, error)) {
        if (error[0] == '\0')
            abort();
        return;
    }
    for (size_t i = 0; i < u.count; i++)
        if (u.clauses[i].act == ACT_COMMAND)
            console_line(u.clauses[i].line);
}

static void configuration(const char *text)
{
    static struct config config;
    struct config_error error;
    char path[64];
    int fd = memfd_create("config", 0);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct config_options options = {.file = path};
    memset(&config, 0, sizeof(config));
    if (config_load(&options, 0, NULL, &config, &error))
        config_done(&config);
    else if (strstr(error.text, path) == NULL)
        abort(); /* an error names the file */
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct place_set places;
    struct unit_range scope[SCOPES_MAX];
    const char *why = NULL;
    char text[4096], formatted[512];
    size_t at = 0;
    uint8_t count;
    uint16_t roles;
    if (topology.agents == 0)
        topology_default(30000, &topology);
    if (size < 1 || size >= sizeof(text))
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 7) {
    case 0:
        console_line(text);
        break;
    case 1:
        if (!place_parse(text, strlen(text), &topology, &places, &at, &why) && at > strlen(text))
            abort();
        break;
    case 2:
        if (scope_parse(text, ROLES_ALL - ROLE_ORCHESTRATOR, scope, &count, &why))
            scope_format(scope, count, formatted, sizeof(formatted));
        break;
    case 3:
        if (roles_parse(text, &roles))
            roles_format(roles, formatted, sizeof(formatted));
        break;
    case 4:
        spoken(text);
        break;
    case 5:
        (void)redis_store_url_problem(text);
        break;
    default:
        configuration(text);
        break;
    }
    return 0;
}
