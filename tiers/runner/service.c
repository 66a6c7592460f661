/* The three documents of ADR-32. The mesh has one endpoint for all its traffic: the frames that a
 * process reads. What the protocol calls processing time is the processor time of the process. */
#include "tiers/runner/service.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum verb { VERB_NONE, VERB_PING, VERB_INFO, VERB_STATS };

/* The verb; *rest is what follows it: "" or ".name..". */
static enum verb verb_of(const char *subject, const char **rest)
{
    static const struct {
        const char *text;
        enum verb verb;
    } verbs[] = {{"$SRV.PING", VERB_PING}, {"$SRV.INFO", VERB_INFO}, {"$SRV.STATS", VERB_STATS}};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        size_t bytes = strlen(verbs[i].text);
        if (strncmp(subject, verbs[i].text, bytes) == 0 &&
            (subject[bytes] == '\0' || subject[bytes] == '.')) {
            *rest = subject + bytes;
            return verbs[i].verb;
        }
    }
    return VERB_NONE;
}

bool service_is_asked(const char *name, const char *id, const char *subject)
{
    assert(name != NULL && id != NULL && subject != NULL);
    const char *rest = NULL;
    if (verb_of(subject, &rest) == VERB_NONE) {
        return false;
    }
    size_t bytes = strlen(name);
    if (*rest == '\0') {
        return true;
    }
    if (strncmp(rest + 1, name, bytes) != 0) {
        return false;
    }
    rest += 1 + bytes;
    return *rest == '\0' || (*rest == '.' && strcmp(rest + 1, id) == 0);
}

static json_t *base(const struct service *s, const char *kind)
{
    char type[48];
    (void)snprintf(type, sizeof(type), "io.nats.micro.v1.%s_response", kind);
    return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "type", type, "name", s->name, "id",
                     s->id, "version", s->version, "metadata", "mesh", s->mesh, "ready",
                     s->ready ? "true" : "false");
}

static json_t *endpoint(const struct service *s)
{
    char subject[64];
    (void)snprintf(subject, sizeof(subject), "mesh.p.%s.>", s->id);
    return json_pack("{s:s, s:s, s:s, s:{s:s}}", "name", "frames", "subject", subject,
                     "queue_group", "", "metadata", "format", "signed frames");
}

static void add_info(const struct service *s, json_t *o)
{
    json_t *list = json_array();
    (void)json_array_append_new(list, endpoint(s));
    (void)json_object_set_new(o, "description", json_string(s->description));
    (void)json_object_set_new(o, "endpoints", list);
}

static void add_stats(const struct service *s, json_t *o)
{
    char second[24] = "", started[40] = "";
    struct tm tm;
    time_t at = (time_t)(s->started_us / 1000000);
    json_t *one = endpoint(s), *list = json_array();
    json_t *counts = json_pack(
        "{s:I, s:I, s:I, s:I, s:s}", "num_requests", (json_int_t)s->requests, "num_errors",
        (json_int_t)s->errors, "processing_time", (json_int_t)s->cpu_ns, "average_processing_time",
        (json_int_t)(s->requests > 0 ? s->cpu_ns / s->requests : 0), "last_error", s->last_error);
    (void)json_object_update(one, counts);
    json_decref(counts);
    (void)json_object_set_new(one, "data",
                              json_pack("{s:I, s:I, s:I}", "epoch", (json_int_t)s->epoch, "nodes",
                                        (json_int_t)s->nodes, "agents", (json_int_t)s->agents));
    (void)json_array_append_new(list, one);
    if (gmtime_r(&at, &tm) != NULL) {
        /* With a fraction: some clients read no other form. */
        (void)strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(started, sizeof(started), "%s.%06uZ", second,
                       (unsigned)(s->started_us % 1000000));
    }
    (void)json_object_set_new(o, "started", json_string(started));
    (void)json_object_set_new(o, "endpoints", list);
}

size_t service_answer(const struct service *s, const char *subject, char *ret, size_t room)
{
    assert(s != NULL && subject != NULL && ret != NULL);
    const char *rest = NULL;
    enum verb verb = verb_of(subject, &rest);
    if (verb == VERB_NONE) {
        return 0;
    }
    json_t *o = base(s, verb == VERB_PING ? "ping" : verb == VERB_INFO ? "info" : "stats");
    if (verb == VERB_INFO) {
        add_info(s, o);
    } else if (verb == VERB_STATS) {
        add_stats(s, o);
    }
    size_t bytes = o != NULL ? json_dumpb(o, ret, room, JSON_COMPACT) : 0;
    json_decref(o);
    return bytes <= room ? bytes : 0;
}
