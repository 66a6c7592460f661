/* An HTTP server that says what a test wants, when it wants: latency, stalls, half frames, garbage.
 * On the test's own loop. A connection takes the next script, whatever it asks; GET /props has one
 * of its own. */
#ifndef TESTS_SUPPORT_HTTP_SCRIPT_H
#define TESTS_SUPPORT_HTTP_SCRIPT_H

#include <uv.h>

struct http_script;
struct http_script *http_script_new(uv_loop_t *loop);
unsigned http_script_port(const struct http_script *s);

/* A script: its first bytes, a pause of so many ms, then what http_script_more adds to it, and the
 * end of the connection. */
void http_script_say(struct http_script *s, const char *bytes, unsigned then_ms);
/* `times` answers whose header has a line beyond what libcurl takes. */
void http_script_long_line(struct http_script *s, unsigned times);
void http_script_more(struct http_script *s, const char *bytes, unsigned then_ms);
void http_script_props(struct http_script *s, const char *bytes);

/* The newest request that was not for /props. */
const char *http_script_asked(const struct http_script *s);

void http_script_close(struct http_script *s); /* then let the loop turn, then free */
void http_script_free(struct http_script *s);

#endif
