/* Rows of a log: read from an operation, hashed, turned into fields. The hash covers every part
 * with its length, so that no two different rows have the same bytes under it; the log's name is
 * under it, too, so that a row cannot be moved from one log to another. */
#include "registry/log.h"
#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN "MESH-30K log 1"

/* Well-formed UTF-8 without NUL and control characters other than tab and newline. */
static bool text_valid(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        uint8_t c = at[i++];
        if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
            return false;
        if (c < 0x80)
            continue;
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || more > bytes - i)
            return false;
        uint8_t least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        uint8_t most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (at[i] < least || at[i] > most)
            return false;
        for (size_t k = 1; k < more; k++)
            if ((at[i + k] & 0xc0) != 0x80)
                return false;
        i += more;
    }
    return true;
}

/* The field as text of its own; NULL: no UTF-8, or no room. */
static const char *take(const struct store_field *f, struct log_room *room)
{
    if (room->used == sizeof room->text / sizeof room->text[0] ||
        !text_valid((const uint8_t *)f->value, f->value_bytes))
        return NULL;
    char *at = room->text[room->used++];
    if (f->value_bytes > 0)
        memcpy(at, f->value, f->value_bytes);
    at[f->value_bytes] = '\0';
    return at;
}

static bool number(const char *text, int64_t *ret)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || strlen(text) > 18)
        return false;
    *ret = strtoll(text, &end, 10);
    return *end == '\0';
}

const char *log_row_of(const struct store_op *op, struct log_room *room, struct log_row *ret)
{
    assert(op && room && ret);
    assert(op->kind == STORE_LOG_APPEND);
    room->used = 0;
    *ret = (struct log_row){.id = op->id,
                            .event = "",
                            .subject = "",
                            .agent = "",
                            .type = "",
                            .actor = "",
                            .at_us = -1,
                            .body = room->body};
    for (uint32_t i = 0; i < op->field_count; i++) {
        const struct store_field *f = &op->fields[i];
        const char *text = take(f, room);
        int64_t n = 0;
        if (!text)
            return "fields: 8 at most, each UTF-8 text";
        if (strcmp(f->name, "at_us") == 0 && number(text, &n)) {
            ret->at_us = n;
        } else if (strcmp(f->name, "priority") == 0 && number(text, &n) && n <= 4) {
            ret->priority = (uint32_t)n;
        } else if (strcmp(f->name, "event") == 0) {
            ret->event = text;
        } else if (strcmp(f->name, "subject") == 0) {
            ret->subject = text;
        } else if (strcmp(f->name, "agent") == 0) {
            ret->agent = text;
        } else if (strcmp(f->name, "type") == 0) {
            ret->type = text;
        } else if (strcmp(f->name, "actor") == 0) {
            ret->actor = text;
        } else {
            return "fields: at_us, event, subject, agent, type, priority (0 to 4), actor";
        }
    }
    if (ret->at_us < 0 || ret->event[0] == '\0')
        return "fields: at_us and event are needed";
    if (!text_valid(op->body, op->body_bytes))
        return "body: UTF-8 text";
    if (op->body_bytes > 0)
        memcpy(room->body, op->body, op->body_bytes);
    room->body[op->body_bytes] = '\0';
    return NULL;
}

/* False: no filter of this name, or not a value that it can have. */
static bool filter_set(struct log_filter *ret, const char *name, const char *text)
{
    int64_t n = 0;
    bool is_number = number(text, &n);
    if (strcmp(name, "event") == 0) {
        ret->event = text;
    } else if (strcmp(name, "subject") == 0) {
        ret->subject = text;
    } else if (strcmp(name, "agent") == 0) {
        ret->agent = text;
    } else if (strcmp(name, "type") == 0) {
        ret->type = text;
    } else if (strcmp(name, "actor") == 0) {
        ret->actor = text;
    } else if (!is_number) {
        return false;
    } else if (strcmp(name, "since_us") == 0) {
        ret->since_us = n;
    } else if (strcmp(name, "until_us") == 0) {
        ret->until_us = n;
    } else if (strcmp(name, "priority") == 0 && n <= 4) {
        ret->priority = (uint32_t)n;
    } else if (strcmp(name, "open") == 0 && n <= 1) {
        ret->open = n == 1;
    } else if (strcmp(name, "newest") == 0 && n <= 1) {
        ret->newest = n == 1;
    } else {
        return false;
    }
    return true;
}

const char *log_filter_of(const struct store_op *op, struct log_room *room, struct log_filter *ret)
{
    assert(op && room && ret);
    assert(op->kind == STORE_LOG_QUERY);
    room->used = 0;
    *ret = (struct log_filter){
        .until_us = INT64_MAX, .event = "", .subject = "", .agent = "", .type = "", .actor = ""};
    for (uint32_t i = 0; i < op->field_count; i++) {
        const char *text = take(&op->fields[i], room);
        if (!text)
            return "fields: 8 at most, each UTF-8 text";
        if (!filter_set(ret, op->fields[i].name, text))
            return "fields: since_us, until_us, event, subject, agent, type, actor, priority, "
                   "open, "
                   "newest";
    }
    return NULL;
}

static bool same_or_any(const char *wanted, const char *text)
{
    return wanted[0] == '\0' || strcmp(wanted, text) == 0;
}

bool log_filter_takes(const struct log_filter *f, const struct log_row *row)
{
    size_t place = strlen(f->agent);
    bool agent = place == 0 || (strncmp(f->agent, row->agent, place) == 0 &&
                                (row->agent[place] == '\0' || row->agent[place] == '.'));
    return agent && row->at_us >= f->since_us && row->at_us <= f->until_us &&
           row->priority >= f->priority && same_or_any(f->event, row->event) &&
           same_or_any(f->subject, row->subject) && same_or_any(f->type, row->type) &&
           same_or_any(f->actor, row->actor);
}

static void part(crypto_generichash_state *state, const char *text)
{
    size_t bytes = strlen(text);
    uint8_t length[4] = {(uint8_t)bytes, (uint8_t)(bytes >> 8), (uint8_t)(bytes >> 16),
                         (uint8_t)(bytes >> 24)};
    crypto_generichash_update(state, length, sizeof length);
    crypto_generichash_update(state, (const uint8_t *)text, bytes);
}

static void numbers_of(const struct log_row *row, struct log_numbers *ret)
{
    snprintf(ret->seq, sizeof ret->seq, "%" PRIu64, row->seq);
    snprintf(ret->at_us, sizeof ret->at_us, "%" PRId64, row->at_us);
    snprintf(ret->priority, sizeof ret->priority, "%" PRIu32, row->priority);
}

void log_row_hash(const char *log, const struct log_row *row, char ret[LOG_HASH_TEXT])
{
    assert(log && row && ret);
    struct log_numbers n;
    uint8_t hash[32];
    crypto_generichash_state state;
    numbers_of(row, &n);
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    const char *const parts[] = {DOMAIN,     log,          n.seq,      n.at_us,   row->id,
                                 row->event, row->subject, row->agent, row->type, n.priority,
                                 row->actor, row->body,    row->prev};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        part(&state, parts[i]);
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(ret, LOG_HASH_TEXT, hash, sizeof hash);
}

void log_row_fields(const struct log_row *row, struct log_numbers *numbers,
                    struct store_field fields[LOG_FIELDS], struct store_row *ret)
{
    assert(row && numbers && fields && ret);
    numbers_of(row, numbers);
    const struct {
        const char *name, *value;
    } all[LOG_FIELDS] = {{"seq", numbers->seq},
                         {"at_us", numbers->at_us},
                         {"event", row->event},
                         {"subject", row->subject},
                         {"agent", row->agent},
                         {"type", row->type},
                         {"priority", numbers->priority},
                         {"actor", row->actor},
                         {"prev", row->prev},
                         {"hash", row->hash}};
    for (uint32_t i = 0; i < LOG_FIELDS; i++) {
        size_t bytes = strlen(all[i].value);
        fields[i] = (struct store_field){
            .name = all[i].name,
            .value = all[i].value,
            .value_bytes =
                (uint32_t)(bytes < STORE_FIELD_VALUE_MAX ? bytes : STORE_FIELD_VALUE_MAX)};
    }
    *ret = (struct store_row){.key = row->id,
                              .fields = fields,
                              .field_count = LOG_FIELDS,
                              .stamp_us = row->at_us,
                              .body = (const uint8_t *)row->body,
                              .body_bytes = (uint32_t)strlen(row->body)};
}
