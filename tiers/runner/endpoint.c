/* Subjects are written and read by hand: both run once per frame, and the strict reader is the
 * first check that anything from the bus meets. One text form per route, so a subject that parses
 * is also the subject that subject_format would write. Bounds: tokens of 16 bytes, ports below
 * 32,768. */
#include "tiers/runner/endpoint.h"

#include <assert.h>
#include <string.h>

static const char prefix_one[] = "mesh.p.";
static const char prefix_all[] = "mesh.all.";

static bool token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool token_valid(const char *token, size_t bytes)
{
    assert(token || bytes == 0);
    if (bytes == 0 || bytes > TOKEN_MAX)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        if (!token_char(token[i]))
            return false;
    }
    return true;
}

bool endpoint_make(const char *token, size_t token_bytes, uint32_t port, struct endpoint *ret)
{
    assert(token);
    assert(ret);
    if (!token_valid(token, token_bytes) || port >= PORTS_MAX)
        return false;
    struct endpoint made = {.port = (uint16_t)port};
    memcpy(made.token, token, token_bytes);
    *ret = made;
    return true;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    assert(a);
    assert(b);
    return a->port == b->port && memcmp(a->token, b->token, TOKEN_MAX) == 0;
}

bool endpoint_is_broadcast(const struct endpoint *e)
{
    assert(e);
    return e->token[0] == '\0';
}

/* FNV-1a with a final mix. Keys come from verified certificates only, so nobody outside the mesh
 * can choose them to collide. */
uint64_t endpoint_hash(const struct endpoint *e)
{
    assert(e);
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < TOKEN_MAX && e->token[i] != '\0'; i++)
        h = (h ^ (uint8_t)e->token[i]) * 0x100000001b3ull;
    h = (h ^ e->port) * 0x100000001b3ull;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

static char *put_text(char *at, const char *text)
{
    while (*text != '\0')
        *at++ = *text++;
    return at;
}

static char *put_port(char *at, uint16_t port)
{
    char digits[5];
    size_t count = 0;
    unsigned left = port;
    do {
        digits[count++] = (char)('0' + left % 10u);
        left /= 10u;
    } while (left > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_endpoint(char *at, const struct endpoint *e)
{
    at = put_text(at, e->token);
    *at++ = '.';
    return put_port(at, e->port);
}

size_t subject_format(const struct route *route, char ret[SUBJECT_MAX])
{
    assert(route);
    assert(route->source.token[0] != '\0');
    char *at = ret;
    if (endpoint_is_broadcast(&route->destination)) {
        at = put_text(at, prefix_all);
    } else {
        at = put_text(at, prefix_one);
        at = put_endpoint(at, &route->destination);
        *at++ = '.';
    }
    at = put_endpoint(at, &route->source);
    *at = '\0';
    assert((size_t)(at - ret) < SUBJECT_MAX);
    return (size_t)(at - ret);
}

/* Reads "<token>.<port>" at *at; the port ends at '.' or NUL, where *at is left. */
static bool take_endpoint(const char **at, struct endpoint *ret)
{
    const char *token = *at;
    const char *p = token;
    while (token_char(*p))
        p++;
    size_t token_bytes = (size_t)(p - token);
    if (*p != '.')
        return false;
    p++;
    const char *digits = p;
    uint32_t port = 0;
    while (*p >= '0' && *p <= '9' && p - digits < 5)
        port = port * 10u + (uint32_t)(*p++ - '0');
    if (p == digits || (digits[0] == '0' && p - digits > 1))
        return false;
    if (*p != '.' && *p != '\0')
        return false;
    *at = p;
    return endpoint_make(token, token_bytes, port, ret);
}

bool subject_parse(const char *subject, struct route *ret)
{
    assert(subject);
    assert(ret);
    struct route route = {0};
    const char *at;
    if (strncmp(subject, prefix_one, sizeof(prefix_one) - 1) == 0) {
        at = subject + sizeof(prefix_one) - 1;
        if (!take_endpoint(&at, &route.destination) || *at++ != '.')
            return false;
    } else if (strncmp(subject, prefix_all, sizeof(prefix_all) - 1) == 0) {
        at = subject + sizeof(prefix_all) - 1;
    } else {
        return false;
    }
    if (!take_endpoint(&at, &route.source) || *at != '\0')
        return false;
    *ret = route;
    return true;
}
