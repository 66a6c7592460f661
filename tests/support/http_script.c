#include "tests/support/http_script.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX 32768
#define SCRIPTS_MAX 64
#define PARTS_MAX   4

struct part {
    char *bytes;
    unsigned then_ms;
};

struct script {
    struct part parts[PARTS_MAX];
    int count;
};

struct http_script {
    uv_loop_t *loop;
    uv_tcp_t listener;
    struct script scripts[SCRIPTS_MAX];
    int said, taken;
    char *props;
    char asked[REQUEST_MAX];
    struct conversation *first;
};

struct conversation {
    uv_tcp_t socket;
    uv_timer_t timer;
    struct conversation *next;
    struct http_script *server;
    char request[REQUEST_MAX];
    size_t used;
    struct script *script;
    int part, handles;
    bool answered;
};

static void on_closed(uv_handle_t *handle)
{
    struct conversation *c = handle->data;
    if (--c->handles == 0) {
        struct conversation **at = &c->server->first;
        while (*at != c) {
            at = &(*at)->next;
        }
        *at = c->next;
        free(c);
    }
}

static void hang_up(struct conversation *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->socket)) {
        uv_close((uv_handle_t *)&c->socket, on_closed);
        uv_close((uv_handle_t *)&c->timer, on_closed);
    }
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    free(write);
}

static void say(struct conversation *c, char *bytes)
{
    uv_write_t *write = calloc(1, sizeof(*write));
    uv_buf_t buf = uv_buf_init(bytes, (unsigned)strlen(bytes));
    assert(write != NULL);
    if (buf.len == 0 || uv_write(write, (uv_stream_t *)&c->socket, &buf, 1, on_written) < 0) {
        free(write);
    }
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct conversation *c = request->data;
    (void)status;
    hang_up(c);
    free(request);
}

static void finish(struct conversation *c)
{
    uv_shutdown_t *request = calloc(1, sizeof(*request));
    assert(request != NULL);
    request->data = c;
    if (uv_shutdown(request, (uv_stream_t *)&c->socket, on_shutdown) < 0) {
        free(request);
        hang_up(c);
    }
}

static void on_time(uv_timer_t *timer)
{
    struct conversation *c = timer->data;
    if (c->script == NULL || c->part == c->script->count) {
        finish(c);
        return;
    }
    struct part *p = &c->script->parts[c->part++];
    say(c, p->bytes);
    (void)uv_timer_start(&c->timer, on_time, p->then_ms, 0);
}

/* Whether head and body are there. */
static bool is_whole(const struct conversation *c)
{
    const char *end = strstr(c->request, "\r\n\r\n");
    const char *length = strstr(c->request, "Content-Length: ");
    size_t body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    return end != NULL && c->used >= (size_t)(end + 4 - c->request) + body;
}

static void answer(struct conversation *c)
{
    struct http_script *s = c->server;
    c->answered = true;
    if (strncmp(c->request, "GET /props", 10) == 0) {
        if (s->props != NULL) {
            say(c, s->props);
        }
        finish(c);
        return;
    }
    memcpy(s->asked, c->request, sizeof(s->asked));
    if (s->taken < s->said) {
        c->script = &s->scripts[s->taken++];
    }
    on_time(&c->timer);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
    struct conversation *c = handle->data;
    (void)wanted;
    *ret = uv_buf_init(c->request + c->used, (unsigned)(sizeof(c->request) - 1 - c->used));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct conversation *c = stream->data;
    (void)buf;
    if (count < 0) {
        hang_up(c);
        return;
    }
    c->used += (size_t)count;
    if (!c->answered && is_whole(c)) {
        answer(c);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_script *s = listener->data;
    struct conversation *c = calloc(1, sizeof(*c));
    assert(c != NULL && status == 0);
    c->server = s;
    c->next = s->first;
    s->first = c;
    c->handles = 2;
    (void)uv_tcp_init(s->loop, &c->socket);
    (void)uv_timer_init(s->loop, &c->timer);
    c->socket.data = c->timer.data = c;
    (void)uv_accept(listener, (uv_stream_t *)&c->socket);
    (void)uv_read_start((uv_stream_t *)&c->socket, on_alloc, on_read);
}

struct http_script *http_script_new(uv_loop_t *loop)
{
    struct http_script *s = calloc(1, sizeof(*s));
    struct sockaddr_in at;
    assert(s != NULL);
    s->loop = loop;
    (void)uv_ip4_addr("127.0.0.1", 0, &at);
    (void)uv_tcp_init(loop, &s->listener);
    s->listener.data = s;
    int error = uv_tcp_bind(&s->listener, (struct sockaddr *)&at, 0);
    error = error != 0 ? error : uv_listen((uv_stream_t *)&s->listener, 64, on_connection);
    assert(error == 0);
    (void)error;
    return s;
}

unsigned http_script_port(const struct http_script *s)
{
    struct sockaddr_in at;
    int size = sizeof(at);
    (void)uv_tcp_getsockname(&s->listener, (struct sockaddr *)&at, &size);
    return ntohs(at.sin_port);
}

void http_script_more(struct http_script *s, const char *bytes, unsigned then_ms)
{
    struct script *script = &s->scripts[s->said - 1];
    assert(script->count < PARTS_MAX);
    script->parts[script->count++] = (struct part){strdup(bytes), then_ms};
}

void http_script_say(struct http_script *s, const char *bytes, unsigned then_ms)
{
    assert(s->said < SCRIPTS_MAX);
    s->said++;
    http_script_more(s, bytes, then_ms);
}

void http_script_long_line(struct http_script *s, unsigned times)
{
    char head[120000];
    int bytes = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nX-Long: ");
    memset(head + bytes, 'x', sizeof(head) - (size_t)bytes);
    memcpy(head + sizeof(head) - sizeof("\r\n\r\n"), "\r\n\r\n", sizeof("\r\n\r\n"));
    for (unsigned i = 0; i < times; i++) {
        http_script_say(s, head, 0);
    }
}

void http_script_props(struct http_script *s, const char *bytes)
{
    s->props = strdup(bytes);
}

const char *http_script_asked(const struct http_script *s)
{
    return s->asked;
}

void http_script_close(struct http_script *s)
{
    uv_close((uv_handle_t *)&s->listener, NULL);
    for (struct conversation *c = s->first; c != NULL; c = c->next) {
        hang_up(c);
    }
}

void http_script_free(struct http_script *s)
{
    for (int i = 0; s != NULL && i < s->said; i++) {
        for (int k = 0; k < s->scripts[i].count; k++) {
            free(s->scripts[i].parts[k].bytes);
        }
    }
    if (s != NULL) {
        free(s->props);
        free(s);
    }
}
