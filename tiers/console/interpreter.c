/* One request to a model, and what is taken of its answer. See the header. */
#include "tiers/console/interpreter.h"
#include "core/commands.h"
#include <assert.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT_MAX 32768u
#define TOKENS_MAX 512

struct answer {
    size_t bytes;
    bool too_long;
    char text[INTERPRETER_ANSWER_MAX];
};

static const char task[] =
    "You translate what an operator says about a mesh of agents into command lines. Answer with "
    "JSON alone: {\"commands\": [LINE, ..]}, 1 to 8 lines, each a whole line of the commands below "
    "with its own arguments, nothing else. Places are written s07 (sector), s07.c3 (cluster), "
    "s07.c3.a12 (agent). If no command fits, answer {\"commands\": []}. The commands:\n";

static bool here(const char *url)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t n = strlen(hosts[i]);
        if (strncmp(url, hosts[i], n) == 0 && strchr(":/", url[n]))
            return true; /* strchr finds the end of the text, too */
    }
    return false;
}

const char *interpreter_url_problem(const char *url)
{
    assert(url);
    if (strncmp(url, "https://", 8) == 0 && url[8])
        return strchr(url + 8, '@') ? "no user in it: the token is in " INTERPRETER_TOKEN : NULL;
    return here(url) ? NULL
                     : "https://HOST/.., or http:// of this machine (127.0.0.1, localhost, [::1])";
}

/* --- what is asked --- */

static json_t *schema(void)
{
    json_t *commands =
        json_pack("{s:s,s:i,s:{s:s,s:i}}", "type", "array", "maxItems", (int)TALK_LINES_MAX,
                  "items", "type", "string", "maxLength", (int)GRAMMAR_LINE_MAX - 1);
    return json_pack("{s:s,s:{s:s,s:b,s:{s:s,s:{s:o},s:[s],s:b}}}", "type", "json_schema",
                     "json_schema", "name", "commands", "strict", 1, "schema", "type", "object",
                     "properties", "commands", commands, "required", "commands",
                     "additionalProperties", 0);
}

static void prompt(const struct subject *s, char ret[PROMPT_MAX])
{
    size_t count = 0, used = (size_t)snprintf(ret, PROMPT_MAX, "%s", task);
    const struct command_spec *all = command_table(&count);
    for (size_t i = 0; i < count; i++) {
        char usage[512];
        if (all[i].local)
            continue;
        command_usage(&all[i], usage, sizeof usage);
        used += (size_t)snprintf(ret + used, PROMPT_MAX - used, "%.400s: %.200s\n", usage,
                                 all[i].summary);
        assert(used < PROMPT_MAX);
    }
    (void)snprintf(ret + used, PROMPT_MAX - used, "Spoken of last: %s %s %s\n",
                   s->scope[0] ? s->scope : "(no place)", s->places, s->operation);
}

static char *body_of(const struct interpreter *m, const struct subject *s, const char *text)
{
    static char system[PROMPT_MAX];
    prompt(s, system);
    json_t *body = json_pack("{s:s,s:[{s:s,s:s},{s:s,s:s}],s:i,s:i,s:b,s:o}", "model", m->model,
                             "messages", "role", "system", "content", system, "role", "user",
                             "content", text, "temperature", 0, "max_tokens", TOKENS_MAX, "stream",
                             0, "response_format", schema());
    char *ret = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return ret;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct answer *a = ctx;
    if (size * count >= sizeof a->text - a->bytes) {
        a->too_long = true;
        return 0;
    }
    memcpy(a->text + a->bytes, bytes, size * count);
    a->bytes += size * count;
    return size * count;
}

static bool request(const struct interpreter *m, const char *body, struct answer *ret,
                    char error[COMMAND_ERROR_MAX])
{
    char url[512], why[CURL_ERROR_SIZE] = "";
    const char *token = getenv(INTERPRETER_TOKEN);
    size_t bytes = strlen(m->url);
    long status = 0;
    CURL *e = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    bytes -= bytes > 0 && m->url[bytes - 1] == '/' ? 1 : 0;
    snprintf(url, sizeof url, "%.*s/chat/completions", (int)bytes, m->url);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, ret);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(m->timeout_us / US_PER_MS));
    if (token && *token) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, token);
    }
    CURLcode code = e ? curl_easy_perform(e) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OK)
        curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    if (ret->too_long)
        snprintf(error, COMMAND_ERROR_MAX, "the model at %.120s: an answer of more than %u KiB",
                 m->url, INTERPRETER_ANSWER_MAX / 1024);
    else if (code != CURLE_OK)
        snprintf(error, COMMAND_ERROR_MAX, "the model at %.120s: %.100s", m->url,
                 *why ? why : curl_easy_strerror(code));
    else if (status != 200)
        snprintf(error, COMMAND_ERROR_MAX, "the model at %.120s: HTTP status %ld", m->url, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(e);
    return code == CURLE_OK && status == 200;
}

/* --- what is taken of the answer --- */

static bool is_line(const json_t *at)
{
    const char *text = json_string_value(at);
    if (!text || !*text || json_string_length(at) >= GRAMMAR_LINE_MAX)
        return false;
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool take(struct talk *talk, const json_t *commands, int64_t unix_us,
                 char error[COMMAND_ERROR_MAX])
{
    const char *lines[TALK_LINES_MAX];
    char why[COMMAND_ERROR_MAX];
    size_t count = json_array_size(commands);
    if (!json_is_array(commands) || count > TALK_LINES_MAX) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "the model answered without {\"commands\": [..]} of at most %u lines",
                 TALK_LINES_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_line(json_array_get(commands, i))) {
            snprintf(error, COMMAND_ERROR_MAX, "command %zu of the model is no line", i + 1);
            return false;
        }
        lines[i] = json_string_value(json_array_get(commands, i));
    }
    if (count == 0) {
        snprintf(error, COMMAND_ERROR_MAX, "not understood, by the model either: 'help'");
        return false;
    }
    if (talk_lines(talk, lines, count, unix_us, why))
        return true;
    snprintf(error, COMMAND_ERROR_MAX, "the model's commands make no sense: %.200s", why);
    return false;
}

bool interpreter_say(const struct interpreter *model, struct talk *talk, const char *text,
                     int64_t unix_us, char error[COMMAND_ERROR_MAX])
{
    static struct answer answer;
    assert(model && model->url[0]);
    assert(talk && text && error);
    const char *problem = interpreter_url_problem(model->url);
    answer.bytes = 0;
    answer.too_long = false;
    if (problem) {
        snprintf(error, COMMAND_ERROR_MAX, "talk_url %.60s: %s", model->url, problem);
        return false;
    }
    char *body = body_of(model, &talk->subject, text);
    if (!body) {
        snprintf(error, COMMAND_ERROR_MAX, "not understood: the words are not UTF-8");
        return false;
    }
    bool good = request(model, body, &answer, error);
    free(body);
    if (!good)
        return false;
    json_t *all = json_loadb(answer.text, answer.bytes, 0, NULL);
    const json_t *message =
        json_object_get(json_array_get(json_object_get(all, "choices"), 0), "message");
    const char *content = json_string_value(json_object_get(message, "content"));
    json_t *chosen = content ? json_loads(content, 0, NULL) : NULL;
    good = take(talk, json_object_get(chosen, "commands"), unix_us, error);
    json_decref(chosen);
    json_decref(all);
    return good;
}
