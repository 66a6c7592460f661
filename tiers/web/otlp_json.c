/* Spans as the JSON form of OTLP: ids in hex, times and 64-bit numbers as decimal strings. */
#include "core/num.h"
#include "tiers/web/otlp.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define KIND_INTERNAL 1
#define KIND_SERVER   2 /* what somebody outside asked for */
#define STATUS_ERROR  2

static json_t *number(int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    return json_string(text);
}

static json_t *nanoseconds(int64_t mesh_us)
{
    return number(mesh_us <= INT64_MAX / 1000 ? mesh_us * 1000 : INT64_MAX);
}

static void put_text(json_t *list, const char *key, const char *value)
{
    (void)json_array_append_new(
        list, json_pack("{s:s, s:{s:s}}", "key", key, "value", "stringValue", value));
}

static void put_number(json_t *list, const char *key, int64_t value)
{
    (void)json_array_append_new(
        list, json_pack("{s:s, s:{s:o}}", "key", key, "value", "intValue", number(value)));
}

static void put_unit(json_t *list, const char *key, struct unit u)
{
    char name[UNIT_TEXT_MAX];
    (void)unit_format(u, name);
    put_text(list, key, name);
}

static void put_event(json_t *list, const char *name, int64_t mesh_us)
{
    if (mesh_us > 0) {
        (void)json_array_append_new(
            list, json_pack("{s:s, s:o}", "name", name, "timeUnixNano", nanoseconds(mesh_us)));
    }
}

static json_t *attributes(const struct span *s)
{
    char id[ID128_TEXT_MAX], key[48];
    json_t *list = json_array();
    put_unit(list, "mesh.unit", s->unit);
    num_id128_format(s->correlation, id);
    put_text(list, "mesh.operation", id);
    put_text(list, "mesh.action", s->action);
    if (s->kind == SPAN_RUN) {
        put_text(list, "mesh.outcome", outcome_name(s->outcome));
        if (s->reason != REASON_NONE) {
            put_text(list, "mesh.reason", reason_name(s->reason));
        }
        if (s->received_us > 0 && s->start_mesh_us >= s->received_us) {
            put_number(list, "mesh.queued_us", s->start_mesh_us - s->received_us);
        }
        return list;
    }
    put_number(list, "mesh.targets", s->targets);
    for (int o = 0; o < OUTCOME_COUNT; o++) {
        if (s->outcomes[o] > 0) {
            (void)snprintf(key, sizeof(key), "mesh.outcome.%s", outcome_name((enum outcome)o));
            put_number(list, key, s->outcomes[o]);
        }
    }
    if (s->slowest.tier != TIER_NONE) {
        put_unit(list, "mesh.slowest", s->slowest);
    }
    return list;
}

static const char *named(const struct span *s, char *ret, size_t size)
{
    const char *what = s->kind == SPAN_ROOT          ? "operation"
                       : s->kind == SPAN_PHASE       ? "phase"
                       : s->kind == SPAN_RUN         ? "run"
                       : s->unit.tier == TIER_SECTOR ? "sector"
                                                     : "cluster";
    (void)snprintf(ret, size, "%s %s", what, s->action);
    return ret;
}

static void put_id(json_t *to, const char *key, uint64_t id)
{
    char text[17];
    (void)snprintf(text, sizeof(text), "%016" PRIx64, id);
    (void)json_object_set_new(to, key, json_string(text));
}

static json_t *span_json(const struct otlp_span *o)
{
    const struct span *s = &o->span;
    char trace[ID128_TEXT_MAX], name[ACTION_MAX + 12];
    json_t *events = json_array();
    num_id128_format(o->trace.trace, trace);
    put_event(events, "sent", s->sent_us);
    put_event(events, "first answer", s->first_us);
    put_event(events, "last answer", s->last_us);
    json_t *span =
        json_pack("{s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "traceId", trace, "name",
                  named(s, name, sizeof(name)), "kind",
                  s->kind == SPAN_ROOT ? KIND_SERVER : KIND_INTERNAL, "flags", (int)o->trace.flags,
                  "startTimeUnixNano", nanoseconds(s->start_mesh_us), "endTimeUnixNano",
                  nanoseconds(s->end_mesh_us), "attributes", attributes(s), "events", events);
    if (span == NULL) {
        return NULL;
    }
    put_id(span, "spanId", span_own_id(s));
    if (span_parent_id(s) != 0) {
        put_id(span, "parentSpanId", span_parent_id(s));
    }
    if (s->failed) {
        (void)json_object_set_new(span, "status", json_pack("{s:i}", "code", STATUS_ERROR));
    }
    return span;
}

char *otlp_encode(const struct otlp_from *from, const struct otlp_span *const *spans,
                  uint32_t count)
{
    assert(from != NULL && (spans != NULL || count == 0));
    char service[40];
    json_t *about = json_array(), *list = json_array();
    (void)snprintf(service, sizeof(service), "mesh-%s", from->role);
    put_text(about, "service.name", service);
    put_text(about, "service.namespace", from->mesh);
    put_text(about, "service.instance.id", from->process);
    put_text(about, "service.version", MESH_VERSION);
    for (uint32_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, span_json(spans[i]));
    }
    json_t *scope = json_pack("{s:s, s:s}", "name", "mesh-30k", "version", MESH_VERSION);
    json_t *all = json_pack("{s:[{s:{s:o}, s:[{s:o, s:o}]}]}", "resourceSpans", "resource",
                            "attributes", about, "scopeSpans", "scope", scope, "spans", list);
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    return text;
}

uint64_t otlp_rejected(const uint8_t *body, size_t bytes, char *ret_why, size_t size)
{
    assert(ret_why != NULL && size > 0);
    json_error_t error;
    ret_why[0] = '\0';
    json_t *all = bytes > 0 ? json_loadb((const char *)body, bytes, 0, &error) : NULL;
    const json_t *partial = json_object_get(all, "partialSuccess");
    const json_t *many = json_object_get(partial, "rejectedSpans");
    const json_t *why = json_object_get(partial, "errorMessage");
    uint64_t count = 0;
    if (json_is_integer(many) && json_integer_value(many) > 0) {
        count = (uint64_t)json_integer_value(many);
    } else if (json_is_string(many)) {
        (void)num_parse_u64(json_string_value(many), json_string_length(many), &count);
    }
    if (json_is_string(why)) {
        (void)snprintf(ret_why, size, "%s", json_string_value(why));
    }
    json_decref(all);
    return count;
}
