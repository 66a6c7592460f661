/* The addresses of the bus, the stores and the log: what can never work is refused with its line,
 * not tried for ever. */
#include "registry/redis.h"
#include "registry/sql_log.h"
#include "tiers/runner/config_keys.h"

#include <assert.h>
#include <string.h>

static const char *nats_problem(const char *url)
{
    const char *host = strstr(url, "://");
    if (host == NULL) {
        return "must start with tls:// or nats://";
    }
    host += 3;
    size_t bytes = strcspn(host, "/"), host_bytes = 0;
    const char *login = memchr(host, '@', bytes);
    if (login != NULL) {
        bytes -= (size_t)(login + 1 - host);
        host = login + 1;
    }
    return config_host_problem(host, bytes, &host_bytes);
}

bool config_finish_links(struct config_draft *draft)
{
    assert(draft != NULL);
    const struct config *c = &draft->config;
    /* Links in the clear have to be asked for by name: there is nothing to forget. */
    const struct {
        const char *key, *value, *secure;
        const char *(*problem)(const char *url);
    } links[] = {{"nats_url", c->nats_url, "tls://", nats_problem},
                 {"registry_url", c->registry_url, "unix://", redis_store_url_problem},
                 {"durable_url", c->durable_url, "unix://", redis_store_url_problem},
                 {"blob_url", c->blob_url, "unix://", redis_store_url_problem},
                 {"log_url", c->log_url, "", sql_log_url_problem}};
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        const char *key = links[i].key, *value = links[i].value;
        uint32_t line = config_mesh_line(draft, key);
        if (value[0] == '\0') {
            continue;
        }
        if (!c->insecure && strncmp(value, links[i].secure, strlen(links[i].secure)) != 0) {
            config_fail(draft, line,
                        "%s = %.60s: must start with %s (or insecure = true, for tests on "
                        "loopback)",
                        key, value, links[i].secure);
            return false;
        }
        const char *why = links[i].problem(value);
        if (why != NULL) {
            config_fail(draft, line, "%s = %.100s: %s", key, value, why);
            return false;
        }
    }
    return true;
}
