/* The headers that a collector asks for, mostly a token: they are secrets, so they have a file of
 * their own, that nobody else may read. */
#include "tiers/web/otlp.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* RFC 9110: token. */
static bool is_name(const char *at, size_t bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "!#$%&'*+-.^_`|~";
    return bytes > 0 && strspn(at, letters) >= bytes;
}

/* NULL, or what is wrong with a line that is not empty. */
static const char *line_problem(const char *line)
{
    static const char *const ours[] = {"Content-Type",      "Content-Length", "Content-Encoding",
                                       "Transfer-Encoding", "Host",           "Connection"};
    const char *colon = strchr(line, ':');
    if (colon == NULL || !is_name(line, (size_t)(colon - line))) {
        return "wanted is \"Name: value\"";
    }
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    if (*value == '\0') {
        return "the header has no value";
    }
    for (const char *c = value; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            return "the value has a character that headers may not have";
        }
    }
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strlen(ours[i]) == (size_t)(colon - line) &&
            strncasecmp(line, ours[i], (size_t)(colon - line)) == 0) {
            return "this header is not yours to choose";
        }
    }
    return NULL;
}

static const char *take_line(struct otlp_headers *ret, char *line)
{
    size_t bytes = strcspn(line, "\r\n");
    bool whole = line[bytes] != '\0' || bytes + 1 < OTLP_LINE_MAX;
    line[bytes] = '\0';
    if (!whole) {
        return "the line has more than 2046 characters";
    }
    if (line[strspn(line, " \t")] == '\0' || line[0] == '#') {
        return NULL;
    }
    const char *why = line_problem(line);
    if (why != NULL) {
        return why;
    }
    if (ret->count == OTLP_HEADERS_MAX) {
        return "more than 8 headers";
    }
    memcpy(ret->line[ret->count++], line, bytes + 1);
    return NULL;
}

bool otlp_headers_read(const char *file, struct otlp_headers *ret, char *ret_why, size_t size)
{
    assert(file != NULL && ret != NULL && ret_why != NULL);
    char line[OTLP_LINE_MAX];
    unsigned number = 0;
    const char *why = NULL;
    struct stat s;
    ret->count = 0;
    FILE *f = fopen(file, "re");
    if (f == NULL || fstat(fileno(f), &s) != 0) {
        (void)snprintf(ret_why, size, "otlp_headers: %.200s: %s", file, strerror(errno));
        if (f != NULL) {
            (void)fclose(f);
        }
        return false;
    }
    if (!S_ISREG(s.st_mode) || (s.st_mode & (S_IRWXG | S_IRWXO)) != 0 ||
        (s.st_uid != 0 && s.st_uid != geteuid())) {
        (void)snprintf(ret_why, size,
                       "otlp_headers: %.200s: others may read it; chmod 600 it, owned by root or "
                       "the process's user",
                       file);
        (void)fclose(f);
        return false;
    }
    while (why == NULL && fgets(line, sizeof(line), f) != NULL) {
        number++;
        why = take_line(ret, line);
    }
    (void)fclose(f);
    explicit_bzero(line, sizeof(line));
    if (why != NULL) {
        (void)snprintf(ret_why, size, "otlp_headers: %.200s:%u: %s", file, number, why);
    }
    return why == NULL;
}
