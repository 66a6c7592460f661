/* Queries and pages of rows. A page can hold 512 rows, and the protobuf structs of all of them at
 * once would need more room than everything else in the codec together. So rows are encoded one by
 * one: the head of Rows first, then each row as its own field. Inside of a Reply the length of the
 * whole must come first; then each row is built twice, once to be measured.
 *
 * Bounds: PAGE_ROWS_MAX rows, PAGE_BYTES_MAX a record, MESSAGE_BYTES_MAX the page. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

#include "core/note.h"

#define ROWS_TAG_ROWS 6u

bool query_part_put(struct put *put, const struct query *q, Mesh__Query *ret)
{
    assert(put && q && ret);
    Mesh__Selector *selector = put_alloc(put, sizeof(*selector));
    if (!selector || !selector_put(put, &q->selector, selector)) {
        return false;
    }
    mesh__query__init(ret);
    ret->ref = q->ref;
    ret->kind = (Mesh__QueryKind)q->kind;
    ret->selector = selector;
    ret->message_id = value_id(&q->operation_id);
    ret->after_key = q->after_key;
    ret->from_start = q->from_start;
    ret->limit = q->limit;
    ret->deadline = q->deadline_mesh_us;
    ret->routable = q->routable;
    return true;
}

enum codec_verdict query_part_get(const struct get *get, const Mesh__Query *w, struct query *ret)
{
    assert(get && w && ret);
    if (!w->selector) {
        return CODEC_MISSING;
    }
    if (!value_kind((int)w->kind, QUERY_KIND_COUNT - 1)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_id_get(w->message_id, &ret->operation_id) || w->limit < 1 ||
        w->limit > PAGE_ROWS_MAX || !value_time(w->deadline)) {
        return CODEC_BAD_RANGE;
    }
    ret->ref = w->ref;
    ret->kind = (enum query_kind)w->kind;
    ret->after_key = w->after_key;
    ret->from_start = w->from_start;
    ret->limit = w->limit;
    ret->deadline_mesh_us = w->deadline;
    ret->routable = w->routable;
    return selector_get(get, w->selector, &ret->selector);
}

bool query_put(struct put *put, const struct msg *msg)
{
    Mesh__Query w;
    return msg->u.query && query_part_put(put, msg->u.query, &w) && put_pack(put, &w.base);
}

enum codec_verdict query_get(const struct get *get, const ProtobufCMessage *message,
                             struct msg *ret)
{
    struct query *query = arena_alloc(get->arena, sizeof(*query));
    if (!query) {
        return CODEC_NO_ROOM;
    }
    ret->u.query = query;
    return query_part_get(get, (const Mesh__Query *)message, query);
}

static bool row_put(struct put *put, enum row_kind kind, const struct page_row *row,
                    Mesh__PageRow *ret)
{
    mesh__page_row__init(ret);
    ret->key = row->key;
    ret->place = unit_pack(row->unit);
    switch (kind) {
    case ROW_AGENT:
        ret->agent = put_alloc(put, sizeof(*ret->agent));
        if (!ret->agent) {
            return false;
        }
        impedance_put(row->u.agent.uid, &row->u.agent.impedance, ret->agent);
        ret->agent->agent_class = (Mesh__ImpedanceClass)row->u.agent.agent_class;
        ret->agent->capability_bits = row->u.agent.capabilities;
        ret->agent->epoch = row->u.agent.epoch;
        ret->routed_around = row->u.agent.routed_around;
        ret->unwritten = row->u.agent.unwritten;
        return true;
    case ROW_SUMMARY:
        ret->summary = put_alloc(put, sizeof(*ret->summary));
        return ret->summary && row->u.summary && summary_put(put, row->u.summary, ret->summary);
    case ROW_ANSWER:
        ret->answer = put_alloc(put, sizeof(*ret->answer));
        return ret->answer && group_put(put, &row->u.answer, ret->answer);
    case ROW_RECORD:
        ret->record = value_bytes(row->u.record.text, row->u.record.bytes);
        return row->u.record.bytes <= PAGE_BYTES_MAX &&
               !(row->u.record.bytes && memchr(row->u.record.text, 0, row->u.record.bytes));
    default:
        return false;
    }
}

static size_t varint_size(size_t value)
{
    size_t size = 1;
    while (value >>= 7) {
        size++;
    }
    return size;
}

/* Bytes of all rows with their tags; false when one cannot be encoded. */
static bool rows_measure(struct put *put, const struct rows *r, size_t *ret)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < r->row_count; i++) {
        const size_t mark = put->scratch.used;
        Mesh__PageRow row;
        if (!row_put(put, r->kind, &r->rows[i], &row)) {
            return false;
        }
        const size_t length = protobuf_c_message_get_packed_size(&row.base);
        sum += 1 + varint_size(length) + length;
        put->scratch.used = mark;
    }
    *ret = sum;
    return true;
}

static bool rows_append(struct put *put, const struct rows *r)
{
    for (uint32_t i = 0; i < r->row_count; i++) {
        const size_t mark = put->scratch.used;
        Mesh__PageRow row;
        if (!row_put(put, r->kind, &r->rows[i], &row) ||
            !put_tag_length(put, ROWS_TAG_ROWS, protobuf_c_message_get_packed_size(&row.base)) ||
            !put_pack(put, &row.base)) {
            return false;
        }
        put->scratch.used = mark;
    }
    return true;
}

bool rows_part_put(struct put *put, uint32_t tag, const struct rows *r)
{
    assert(put && r);
    if (r->row_count > PAGE_ROWS_MAX || (r->row_count && !r->rows)) {
        return false;
    }
    Mesh__Rows head = MESH__ROWS__INIT;
    head.ref = r->ref;
    head.kind = (Mesh__RowKind)r->kind;
    head.total = r->total;
    head.missing = r->missing;
    head.more = r->more;
    if (tag != 0) {
        size_t length = 0;
        if (!rows_measure(put, r, &length) ||
            !put_tag_length(put, tag, length + protobuf_c_message_get_packed_size(&head.base))) {
            return false;
        }
    }
    return put_pack(put, &head.base) && rows_append(put, r);
}

static enum codec_verdict agent_row_get(const Mesh__AgentImpedance *w, struct agent_row *ret)
{
    if (!value_enum((int)w->agent_class, CLASS_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    ret->uid = w->agent_id;
    ret->agent_class = (enum impedance_class)w->agent_class;
    ret->capabilities = w->capability_bits;
    ret->epoch = w->epoch;
    return impedance_get(w, &ret->impedance);
}

/* NUL-terminated in the arena, for whoever prints it. */
static enum codec_verdict record_get(const struct get *get, ProtobufCBinaryData w,
                                     struct page_row *ret)
{
    if (w.len > PAGE_BYTES_MAX || (w.len && memchr(w.data, 0, w.len))) {
        return CODEC_BAD_TEXT;
    }
    char *text = arena_alloc(get->arena, w.len + 1);
    if (!text) {
        return CODEC_NO_ROOM;
    }
    if (w.len) {
        memcpy(text, w.data, w.len);
    }
    text[w.len] = 0;
    ret->u.record.bytes = (uint32_t)w.len;
    ret->u.record.text = text;
    return CODEC_OK;
}

static enum codec_verdict row_get(const struct get *get, enum row_kind kind, const Mesh__PageRow *w,
                                  struct page_row *ret)
{
    if ((w->agent != NULL) != (kind == ROW_AGENT) ||
        (w->summary != NULL) != (kind == ROW_SUMMARY) ||
        (w->answer != NULL) != (kind == ROW_ANSWER) || (w->record.len != 0 && kind != ROW_RECORD) ||
        ((w->routed_around || w->unwritten) && kind != ROW_AGENT)) {
        return CODEC_MISSING;
    }
    ret->key = w->key;
    if (!value_unit_get(w->place, &ret->unit)) {
        return CODEC_BAD_RANGE;
    }
    if (kind == ROW_AGENT) {
        enum codec_verdict v = agent_row_get(w->agent, &ret->u.agent);
        ret->u.agent.routed_around = w->routed_around;
        ret->u.agent.unwritten = w->unwritten;
        return v;
    }
    if (kind == ROW_ANSWER) {
        return group_get(get, w->answer, &ret->u.answer);
    }
    if (kind == ROW_RECORD) {
        return record_get(get, w->record, ret);
    }
    struct summary *summary = arena_alloc(get->arena, sizeof(*summary));
    if (!summary) {
        return CODEC_NO_ROOM;
    }
    ret->u.summary = summary;
    return summary_get(w->summary, summary);
}

enum codec_verdict rows_part_get(const struct get *get, const Mesh__Rows *w, struct rows *ret)
{
    assert(get && w && ret);
    if (!value_kind((int)w->kind, ROW_RECORD)) {
        return CODEC_BAD_ENUM;
    }
    if (w->n_rows > PAGE_ROWS_MAX) {
        return CODEC_TOO_MANY;
    }
    *ret = (struct rows){.ref = w->ref,
                         .kind = (enum row_kind)w->kind,
                         .total = w->total,
                         .missing = w->missing,
                         .more = w->more,
                         .row_count = (uint32_t)w->n_rows};
    if (w->n_rows == 0) {
        return CODEC_OK;
    }
    struct page_row *rows = arena_alloc(get->arena, w->n_rows * sizeof(*rows));
    if (!rows) {
        return CODEC_NO_ROOM;
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        const enum codec_verdict verdict = row_get(get, ret->kind, w->rows[i], &rows[i]);
        if (verdict != CODEC_OK) {
            return verdict;
        }
    }
    ret->rows = rows;
    return CODEC_OK;
}

bool rows_put(struct put *put, const struct msg *msg)
{
    return rows_part_put(put, 0, &msg->u.rows);
}

enum codec_verdict rows_get(const struct get *get, const ProtobufCMessage *message, struct msg *ret)
{
    return rows_part_get(get, (const Mesh__Rows *)message, &ret->u.rows);
}
