/* Models behind an OpenAI-compatible endpoint: chat completions with streaming (llama.cpp, vLLM,
 * Ollama, hosted). `url` is the base, as http://127.0.0.1:8080/v1. The payload is the user's
 * message; with input = json it may be an object {"messages": [..]} that is sent as it is.
 *
 * The answer is the text of the first choice. It comes up as it grows (progress), and counts only
 * when the server said how it ended: a stream that breaks off is FAILED, or tried again when
 * nothing had come yet. 400 and its like are FAILED at once, 429 and 503 are tried again after
 * Retry-After. A server that says how many slots it has (llama.cpp, GET /props) sets the limit of
 * runs at one time; it is asked at the start and once a minute. */
#include "core/num.h"
#include "tiers/runner/clock.h"
#include "tiers/work/http.h"
#include "tiers/work/sse.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_US (60 * US_PER_S)

struct llm {
    struct request request; /* first */
    struct sse sse;
    struct bytes plain; /* an answer that is no stream */
    char *body;
    size_t body_bytes;
    char url[ACTION_TEXT_MAX + 32];
    uint32_t attempts, events;
    bool finished; /* finish_reason or [DONE] was there */
    char wrong[200];
};

/* ---- what is asked ---- */

static json_t *messages(const struct job *job, const struct action *a, const char **ret_why)
{
    json_t *list = NULL;
    if (a->input.kind == CONTENT_JSON) {
        json_t *given = json_loadb((const char *)job->payload, job->payload_bytes, 0, NULL);
        list = json_incref(json_object_get(given, "messages"));
        json_decref(given);
    }
    if (list == NULL) {
        json_t *text = json_stringn((const char *)job->payload, job->payload_bytes);
        if (text == NULL) {
            *ret_why = "the payload is not text: UTF-8";
            return NULL;
        }
        list = json_pack("[{s:s,s:o}]", "role", "user", "content", text);
    }
    if (a->system[0] != '\0' && json_is_array(list)) {
        (void)json_array_insert_new(list, 0,
                                    json_pack("{s:s,s:s}", "role", "system", "content", a->system));
    }
    return list;
}

static bool body_build(struct job *job, struct llm *m, char why[ACTION_PROBLEM_SIZE])
{
    const struct action *a = job->lane->action;
    const char *wrong = "no memory";
    json_t *list = messages(job, a, &wrong);
    json_t *body = list != NULL ? json_pack("{s:s,s:o,s:b,s:{s:b}}", "model", a->model, "messages",
                                            list, "stream", 1, "stream_options", "include_usage", 1)
                                : NULL;
    if (body == NULL) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "%s", wrong);
        return false;
    }
    if (a->tokens_max > 0) {
        (void)json_object_set_new(body, "max_tokens", json_integer(a->tokens_max));
    }
    if (a->temperature >= 0) {
        (void)json_object_set_new(body, "temperature", json_real(a->temperature));
    }
    m->body = json_dumps(body, JSON_COMPACT);
    m->body_bytes = m->body != NULL ? strlen(m->body) : 0;
    json_decref(body);
    return m->body != NULL;
}

/* ---- what is answered ---- */

static void take_usage(struct job *job, const json_t *answer)
{
    const json_t *usage = json_object_get(answer, "usage");
    json_int_t in = json_integer_value(json_object_get(usage, "prompt_tokens"));
    json_int_t out = json_integer_value(json_object_get(usage, "completion_tokens"));
    job->lane->crew->stats.tokens_in += in > 0 ? (uint64_t)in : 0;
    job->lane->crew->stats.tokens_out += out > 0 ? (uint64_t)out : 0;
}

static bool take_text(struct job *job, struct llm *m, const json_t *text)
{
    if (!json_is_string(text)) {
        return true;
    }
    if (bytes_add(&job->answer, json_string_value(text), json_string_length(text),
                  job->lane->action->output_bytes_max)) {
        return true;
    }
    (void)snprintf(m->wrong, sizeof(m->wrong), "answered with more than %u KiB (output_max)",
                   job->lane->action->output_bytes_max >> 10);
    return false;
}

static bool take_event(void *ctx, const char *data, size_t count)
{
    struct job *job = ctx;
    struct llm *m = job->own;
    m->events++;
    if (count == 6 && memcmp(data, "[DONE]", 6) == 0) {
        m->finished = true;
        return true;
    }
    json_error_t error;
    json_t *chunk = json_loadb(data, count, 0, &error);
    if (!json_is_object(chunk)) {
        (void)snprintf(m->wrong, sizeof(m->wrong),
                       "event %u of the stream is no JSON object: %.60s", m->events,
                       chunk == NULL ? error.text : "another value");
        json_decref(chunk);
        return false;
    }
    const json_t *failed = json_object_get(chunk, "error");
    const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
    bool good = true;
    if (failed != NULL && !json_is_null(failed)) {
        const char *text = json_string_value(json_object_get(failed, "message"));
        (void)snprintf(m->wrong, sizeof(m->wrong), "the model's server: %.150s",
                       text != NULL ? text : "an error in the stream");
        good = false;
    } else {
        good = take_text(job, m, json_object_get(json_object_get(choice, "delta"), "content"));
        m->finished = m->finished || json_is_string(json_object_get(choice, "finish_reason"));
        take_usage(job, chunk);
    }
    json_decref(chunk);
    if (good) {
        job_say(job);
    }
    return good;
}

static bool on_body(void *ctx, const uint8_t *bytes, size_t count)
{
    struct job *job = ctx;
    struct llm *m = job->own;
    const char *type = NULL;
    (void)curl_easy_getinfo(m->request.easy, CURLINFO_CONTENT_TYPE, &type);
    if (type != NULL && strncmp(type, "application/json", 16) == 0) {
        if (bytes_add(&m->plain, bytes, count, ACTION_OUTPUT_MAX)) {
            return true;
        }
        (void)snprintf(m->wrong, sizeof(m->wrong), "answered with more than 16 MiB");
        return false;
    }
    if (sse_feed(&m->sse, bytes, count, take_event, job)) {
        return true;
    }
    if (m->wrong[0] == '\0') {
        (void)snprintf(m->wrong, sizeof(m->wrong), "an event of the stream is above %u KiB",
                       SSE_EVENT_MAX >> 10);
    }
    return false;
}

/* A server that does not stream. */
static void take_plain(struct job *job, struct llm *m)
{
    json_t *answer = json_loadb((const char *)m->plain.at, m->plain.count, 0, NULL);
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *text = json_object_get(json_object_get(choice, "message"), "content");
    if (json_is_string(text)) {
        m->finished = take_text(job, m, text);
        take_usage(job, answer);
    } else {
        (void)snprintf(m->wrong, sizeof(m->wrong),
                       "the answer is no chat completion: no choices[0].message.content");
    }
    json_decref(answer);
}

static void on_done(void *ctx, long status, const char *why, const struct bytes *error)
{
    struct job *job = ctx;
    struct llm *m = job->own;
    const struct action *a = job->lane->action;
    bool nothing = job->answer.count == 0 && m->events == 0;
    if (m->plain.count > 0 && status >= 200 && status <= 299) {
        take_plain(job, m);
        nothing = false;
    }
    if (m->wrong[0] != '\0') {
        job_fail(job, "%s", m->wrong);
        return;
    }
    if (request_retriable(status) && nothing && m->attempts < a->retries &&
        http_again(job, &m->request, ++m->attempts)) {
        return;
    }
    if (status == 0) {
        job_fail(job, "%s: %s", m->url, why);
    } else if (status < 200 || status > 299) {
        job_fail(job, "HTTP %ld: %.*s", status, (int)error->count,
                 error->at != NULL ? (const char *)error->at : "");
    } else if (!m->finished) {
        job_fail(job, "the stream broke off after %zu bytes of answer", job->answer.count);
    } else {
        job_ready(job);
    }
}

static const struct request_ops request_ops = {on_body, on_done};

/* ---- a run ---- */

static bool attempt(struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    struct llm *m = job->own;
    const struct action *a = job->lane->action;
    struct http_headers headers;
    char key[ACTION_TEXT_MAX];
    bool has_key = a->key_file[0] != '\0';
    if (has_key && !web_key(a->key_file, key, sizeof(key))) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "key_file %.200s cannot be read", a->key_file);
        return false;
    }
    (void)http_headers(job, &headers);
    struct request_conf conf = {.url = m->url,
                                .method = "POST",
                                .body = m->body,
                                .body_bytes = m->body_bytes,
                                .headers = headers.at,
                                .bearer = has_key ? key : NULL,
                                .connect_us = a->connect_us,
                                .total_us = http_total_us(job)};
    sse_done(&m->sse);
    m->sse = (struct sse){0};
    m->plain.count = 0;
    if (!request_start(&m->request, job->lane->crew->web, &conf, &request_ops, job, why)) {
        return false;
    }
    http_watch(job, &m->request, m->url);
    return true;
}

static enum reason llm_start(struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    struct llm *m = calloc(1, sizeof(*m));
    job->own = m;
    if (m == NULL) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "no memory");
        return REASON_OVERLOAD;
    }
    size_t base = strlen(job->lane->action->url);
    while (base > 0 && job->lane->action->url[base - 1] == '/') {
        base--;
    }
    (void)snprintf(m->url, sizeof(m->url), "%.*s/chat/completions", (int)base,
                   job->lane->action->url);
    return body_build(job, m, why) && attempt(job, why) ? REASON_NONE : REASON_HANDLER;
}

/* Either it is time for the next attempt, or the server has been silent. */
static void llm_wake(struct job *job)
{
    struct llm *m = job->own;
    char why[ACTION_PROBLEM_SIZE];
    if (!m->request.active) {
        if (!attempt(job, why)) {
            job_fail(job, "%s", why);
        }
        return;
    }
    http_watch(job, &m->request, m->url);
}

static void llm_stop(struct job *job)
{
    struct llm *m = job->own;
    if (m != NULL) {
        request_drop(&m->request);
        sse_done(&m->sse);
        bytes_done(&m->plain);
        free(m->body);
        free(m);
        job->own = NULL;
    }
}

const struct job_ops llm_ops = {llm_start, llm_wake, llm_stop};

/* ---- the server's slots ---- */

struct probe {
    struct request request; /* first */
    struct lane *lane;
    struct bytes body;
    uv_timer_t timer;
    char url[ACTION_TEXT_MAX];
};

static bool on_probe_body(void *ctx, const uint8_t *bytes, size_t count)
{
    struct probe *p = ctx;
    return bytes_add(&p->body, bytes, count, 1u << 20);
}

static void on_probe_done(void *ctx, long status, const char *why, const struct bytes *error)
{
    struct probe *p = ctx;
    (void)why;
    (void)error;
    json_t *props =
        status == 200 ? json_loadb((const char *)p->body.at, p->body.count, 0, NULL) : NULL;
    json_int_t slots = json_integer_value(json_object_get(props, "total_slots"));
    json_decref(props);
    p->body.count = 0;
    if (slots > 0 && slots < 65536) {
        lane_limit(p->lane, (uint32_t)slots);
    }
}

static const struct request_ops probe_ops = {on_probe_body, on_probe_done};

static void on_probe_timer(uv_timer_t *timer)
{
    struct probe *p = timer->data;
    char why[ACTION_PROBLEM_SIZE];
    struct request_conf conf = {.url = p->url,
                                .method = "GET",
                                .connect_us = p->lane->action->connect_us,
                                .total_us = 10 * US_PER_S};
    if (!p->request.active) {
        (void)request_start(&p->request, p->lane->crew->web, &conf, &probe_ops, p, why);
    }
}

void llm_probe(struct lane *lane)
{
    struct probe *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return;
    }
    p->lane = lane;
    lane->own = p;
    (void)snprintf(p->url, sizeof(p->url), "%s", lane->action->url);
    size_t n = strlen(p->url);
    while (n > 0 && p->url[n - 1] == '/') {
        p->url[--n] = '\0';
    }
    if (n > 3 && strcmp(p->url + n - 3, "/v1") == 0) {
        p->url[n - 3] = '\0';
    }
    (void)strncat(p->url, "/props", sizeof(p->url) - strlen(p->url) - 1);
    (void)uv_timer_init(lane->crew->loop, &p->timer);
    p->timer.data = p;
    (void)uv_timer_start(&p->timer, on_probe_timer, 0, PROBE_US / US_PER_MS);
    uv_unref((uv_handle_t *)&p->timer);
}

static void on_probe_closed(uv_handle_t *handle)
{
    struct probe *p = handle->data;
    bytes_done(&p->body);
    free(p);
}

void llm_probe_close(struct lane *lane)
{
    struct probe *p = lane->own;
    if (p != NULL) {
        request_drop(&p->request);
        uv_close((uv_handle_t *)&p->timer, on_probe_closed);
        lane->own = NULL;
    }
}
