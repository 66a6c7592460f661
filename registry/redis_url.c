/* Addresses of Redis servers. A small strict parser: an unknown scheme, a port out of range or
 * anything left over is an error that names the part, because a wrong address that is quietly
 * accepted shows only as a registry that never comes up. TLS (rediss://) is refused by name:
 * hiredis 0.14 has none, a Unix socket or a local TLS proxy takes its place. */
#include "registry/redis_private.h"
#include <assert.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Copies [from, end) with %xx decoded; false when it does not fit or is not well formed. */
static bool decode(const char *from, const char *end, char *to, size_t to_bytes)
{
    size_t used = 0;
    while (from < end) {
        char c = *from++;
        if (c == '%') {
            if (end - from < 2 || hex_digit(from[0]) < 0 || hex_digit(from[1]) < 0)
                return false;
            c = (char)(hex_digit(from[0]) * 16 + hex_digit(from[1]));
            from += 2;
        }
        if (c == '\0' || used + 1 >= to_bytes)
            return false;
        to[used++] = c;
    }
    to[used] = '\0';
    return true;
}

/* A decimal number up to max that fills [from, end). */
static bool number(const char *from, const char *end, unsigned max, uint16_t *ret_value)
{
    unsigned value = 0;
    if (from == end)
        return false;
    for (; from < end; from++) {
        if (*from < '0' || *from > '9')
            return false;
        value = value * 10 + (unsigned)(*from - '0');
        if (value > max)
            return false;
    }
    *ret_value = (uint16_t)value;
    return true;
}

static bool copy(const char *from, const char *end, char *to, size_t to_bytes)
{
    size_t bytes = (size_t)(end - from);
    if (bytes == 0 || bytes >= to_bytes)
        return false;
    memcpy(to, from, bytes);
    to[bytes] = '\0';
    return true;
}

static const char *parse_tcp(const char *at, struct redis_url *url)
{
    const char *end = at + strlen(at), *slash = strchr(at, '/'), *port = NULL;
    if (slash && slash[1] != '\0' && !number(slash + 1, end, 65535, &url->db))
        return "database: a number after the slash";
    const char *host_end = slash ? slash : end;
    if (*at == '[') {
        const char *bracket = strchr(at, ']');
        if (!bracket || bracket >= host_end || (bracket + 1 != host_end && bracket[1] != ':'))
            return "host: an IPv6 address in brackets";
        port = bracket + 1 != host_end ? bracket + 2 : NULL;
        at++;
        host_end = bracket;
    } else {
        const char *colon = memchr(at, ':', (size_t)(host_end - at));
        if (colon) {
            port = colon + 1;
            host_end = colon;
        }
    }
    if (!copy(at, host_end, url->host, sizeof url->host))
        return "host: 1 to 255 bytes";
    url->port = 6379;
    if (port && (!number(port, slash ? slash : end, 65535, &url->port) || url->port == 0))
        return "port: 1 to 65535";
    return NULL;
}

static const char *parse_unix(const char *at, struct redis_url *url)
{
    const char *end = at + strlen(at), *query = strchr(at, '?');
    if (query && (strncmp(query, "?db=", 4) != 0 || !number(query + 4, end, 65535, &url->db)))
        return "query: only ?db=<number>";
    /* sockaddr_un has room for 107 bytes. */
    if (*at != '/' || !copy(at, query ? query : end, url->host, 108))
        return "path: absolute, 107 bytes at most";
    return NULL;
}

const char *redis_url_parse(const char *text, struct redis_url *ret_url)
{
    assert(text && ret_url);
    struct redis_url url = {0};
    const char *at;
    if (strncmp(text, "redis://", 8) == 0) {
        at = text + 8;
    } else if (strncmp(text, "unix://", 7) == 0) {
        at = text + 7;
        url.is_unix = true;
    } else {
        return "scheme: redis:// or unix://";
    }
    const char *sign = strrchr(at, '@');
    if (sign) {
        const char *colon = memchr(at, ':', (size_t)(sign - at));
        if (!colon || !decode(at, colon, url.user, sizeof url.user) ||
            !decode(colon + 1, sign, url.password, sizeof url.password))
            return "login: user:password@, percent-encoded";
        at = sign + 1;
    }
    const char *wrong = url.is_unix ? parse_unix(at, &url) : parse_tcp(at, &url);
    if (!wrong)
        *ret_url = url;
    return wrong;
}
