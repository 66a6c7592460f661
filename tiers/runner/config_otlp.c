/* Where spans go: what the keys otlp_* say together. */
#include "tiers/runner/config_keys.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

static bool is_loopback(const char *host, size_t bytes)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == bytes && strncasecmp(host, names[i], bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* The port behind a host: 1 to 65535. */
static bool good_port(const char *at, size_t bytes)
{
    uint32_t port = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] < '0' || at[i] > '9' || i > 4) {
            return false;
        }
        port = port * 10u + (uint32_t)(at[i] - '0');
    }
    return port > 0 && port <= 65535;
}

const char *config_host_problem(const char *at, size_t bytes, size_t *ret_host_bytes)
{
    assert(at != NULL);
    assert(ret_host_bytes != NULL);
    const char *end = memchr(at, at[0] == '[' ? ']' : ':', bytes);
    size_t host = end == NULL ? bytes : (size_t)(end - at);
    if (at[0] == '[') {
        host++;
    }
    if (host == 0 || host > bytes || (at[0] == '[' && host < 4)) {
        return "has no host";
    }
    if (host < bytes && (at[host] != ':' || !good_port(at + host + 1, bytes - host - 1))) {
        return "has no port from 1 to 65535 behind its host";
    }
    *ret_host_bytes = host;
    return NULL;
}

/* NULL, or what is wrong. Whoever listens on the way would see what the mesh does, and the headers'
 * secrets. */
static const char *url_problem(const char *url, bool insecure)
{
    bool secure = strncmp(url, "https://", 8) == 0;
    if (!secure && strncmp(url, "http://", 7) != 0) {
        return "must start with https:// (or http://, on loopback)";
    }
    for (const char *c = url; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return "has a blank or a character that no address has";
        }
    }
    const char *host = url + (secure ? 8 : 7);
    size_t all = strcspn(host, "/?#");
    if (memchr(host, '@', all) != NULL) {
        return "has a name or password; put what the collector asks for into otlp_headers";
    }
    size_t name = 0;
    const char *why = config_host_problem(host, all, &name);
    if (why != NULL) {
        return why;
    }
    if (strchr(host + all, '#') != NULL) {
        return "has a fragment (#)";
    }
    if (!secure && !insecure && !is_loopback(host, name)) {
        return "is in the clear: https:// beyond loopback (or insecure = true, for tests)";
    }
    return NULL;
}

bool config_finish_otlp(struct config_draft *draft)
{
    assert(draft != NULL);
    struct config *c = &draft->config;
    static const char *const of_url[] = {"otlp_headers", "otlp_ca", "otlp_share"};
    c->tuning.spans = c->otlp_url[0] != '\0';
    const char *why = c->tuning.spans ? url_problem(c->otlp_url, c->insecure) : NULL;
    if (why != NULL) {
        config_fail(draft, config_mesh_line(draft, "otlp_url"), "otlp_url = %.100s: %s",
                    c->otlp_url, why);
        return false;
    }
    for (size_t i = 0; !c->tuning.spans && i < sizeof(of_url) / sizeof(of_url[0]); i++) {
        uint32_t line = config_mesh_line(draft, of_url[i]);
        if (line > 0) {
            config_fail(draft, line, "%s: needs otlp_url, which says where to", of_url[i]);
            return false;
        }
    }
    if (c->otlp_ca[0] != '\0' && strncmp(c->otlp_url, "https://", 8) != 0) {
        config_fail(draft, config_mesh_line(draft, "otlp_ca"),
                    "otlp_ca: needs an otlp_url of https://");
        return false;
    }
    return true;
}
