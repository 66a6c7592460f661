/* Inside of the codec: what its files share. Not for others (codec.h is the interface).
 *
 * A `_put` function fills a protobuf struct from a plain one; what it needs beyond the struct comes
 * from the scratch arena, pointers may also borrow the source. It answers false when the source
 * breaks the contract. A `_get` function does the reverse with all range checks; *ret is complete
 * on CODEC_OK and undefined otherwise (codec_decode() copies it out on CODEC_OK only). */
#ifndef PROTO_CODEC_PARTS_H
#define PROTO_CODEC_PARTS_H

#include "proto/codec.h"
#include "proto/mesh.pb-c.h"
#include "proto/scan.h"

struct put {
    const struct codec *codec;
    struct arena scratch;
    uint8_t *ret;
    size_t size, used;
};

struct get {
    const struct codec *codec;
    struct arena *arena;
};

/* Scratch for the largest message without its rows, which are encoded one by one. */
#define PUT_SCRATCH_BYTES 65536u

/* Appends the packed message; false when it does not fit. */
bool put_pack(struct put *put, const ProtobufCMessage *message);
bool put_tag_length(struct put *put, uint32_t tag, size_t length); /* of a length-delimited field */

/* ---- little-endian fields of the fixed heads (records, groups) ---- */

static inline void le_put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8u * i));
    }
}

static inline uint64_t le_get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8u * i);
    }
    return value;
}

/* ---- values (codec_value.c) ---- */

#define MESH_TIME_MAX (1ll << 53) /* mesh times and durations on the wire: 0 to this */
#define CLOCK_MAX     (1ll << 61) /* raw clocks: +- this, so that differences cannot overflow */

ProtobufCBinaryData value_bytes(const void *bytes, size_t len); /* borrows */
ProtobufCBinaryData value_id(const struct id128 *id);           /* empty when all zero */
bool value_id_get(ProtobufCBinaryData wire, struct id128 *ret); /* absent: all zero */
bool value_id_zero(const struct id128 *id);
bool value_unit_get(uint64_t wire, struct unit *ret); /* well formed; 0: tier TIER_NONE */
bool value_time(int64_t mesh_us);                     /* 0 to MESH_TIME_MAX */
bool value_clock(int64_t us);
bool value_rate(double value, double low, double high); /* false for NaN */
double value_ms(int64_t us);
bool value_us_get(double ms, int64_t us_max, int64_t *ret);
bool value_us32_get(double ms, uint32_t *ret);
bool value_permille_get(float value, uint16_t permille_max, uint16_t *ret);
bool value_text(const char *text, size_t bytes_max); /* NULL is empty */
bool value_enum(int value, int count);               /* 0 to count - 1 */
bool value_kind(int value, int last);                /* 1 to last */

/* Sparse lists; ret of _put: room for 2 * count. */
size_t sparse_put(const uint32_t *counts, size_t count, uint32_t *ret);
bool sparse_alloc(struct put *put, const uint32_t *counts, size_t count, size_t *ret_n,
                  uint32_t **ret);
bool sparse_get(const uint32_t *wire, size_t n, uint32_t *ret, size_t count);

void *put_alloc(struct put *put, size_t bytes);

/* ---- parts of messages ---- */

void impedance_put(uint64_t uid, const struct impedance *i, Mesh__AgentImpedance *ret);
enum codec_verdict impedance_get(const Mesh__AgentImpedance *w, struct impedance *ret);

bool conflict_put(const struct conflict_detail *c, Mesh__ConflictDetail *ret);
enum codec_verdict conflict_get(const Mesh__ConflictDetail *w, struct conflict_detail *ret);

bool capabilities_put(struct put *put, uint64_t bits, size_t *ret_n, char ***ret);
/* *ret_unknown counts names that the topology has not. */
enum codec_verdict capabilities_get(const struct codec *codec, size_t n, char *const *names,
                                    uint64_t *ret_bits, uint32_t *ret_unknown);

bool selector_put(struct put *put, const struct selector *s, Mesh__Selector *ret);
enum codec_verdict selector_get(const struct get *get, const Mesh__Selector *w,
                                struct selector *ret);
bool operation_put(struct put *put, const struct operation *o, Mesh__MeshMessage *ret);
enum codec_verdict operation_get(const struct get *get, const Mesh__MeshMessage *w,
                                 struct operation *ret);

bool summary_put(struct put *put, const struct summary *s, Mesh__Summary *ret);
enum codec_verdict summary_get(const Mesh__Summary *w, struct summary *ret);

void move_fill(const struct move *m, Mesh__Move *ret);
void grow_fill(const struct grow *g, Mesh__Grow *ret);
void order_head_put(const struct order_head *head, Mesh__Beat *ret);
bool order_head_get(const Mesh__Beat *w, struct order_head *ret);

bool group_put(struct put *put, const struct answer_group *g, Mesh__AnswerGroup *ret);
enum codec_verdict group_get(const struct get *get, const Mesh__AnswerGroup *w,
                             struct answer_group *ret);
bool aggregate_put(struct put *put, const struct aggregate_view *a, Mesh__Aggregate *ret);
enum codec_verdict aggregate_get(const struct get *get, const Mesh__Aggregate *w, bool final,
                                 struct aggregate_view *ret);
bool report_put(struct put *put, const struct report *r, Mesh__Report *ret);
enum codec_verdict report_get(const struct get *get, const Mesh__Report *w, struct report *ret);

bool query_part_put(struct put *put, const struct query *q, Mesh__Query *ret);
enum codec_verdict query_part_get(const struct get *get, const Mesh__Query *w, struct query *ret);
/* Rows are packed one by one: tag 0 as a whole body, else as field `tag` of what was packed. */
bool rows_part_put(struct put *put, uint32_t tag, const struct rows *r);
enum codec_verdict rows_part_get(const struct get *get, const Mesh__Rows *w, struct rows *ret);

void scale_put(const struct scale_request *s, Mesh__ScaleRequest *ret);
bool scale_get(const Mesh__ScaleRequest *w, struct scale_request *ret);

void log_request_put(const struct log_request *q, Mesh__LogRequest *ret);
enum codec_verdict log_request_get(const Mesh__LogRequest *w, struct log_request *ret);
void decision_put(const struct conflict_decision *d, Mesh__Resolve *ret);
enum codec_verdict decision_get(const Mesh__Resolve *w, struct conflict_decision *ret);
bool log_page_put(struct put *put, const struct log_page *p, Mesh__LogPage *ret);
enum codec_verdict log_page_get(const struct get *get, const Mesh__LogPage *w,
                                const struct log_page **ret);

/* ---- bodies: one pair for each message type ---- */

/* Both ways between a table by class and the fields excluded_a to excluded_f. */
#define EXCLUDED_OF(w)                                                                             \
    {                                                                                              \
        [CLASS_A_EDGE] = (w)->excluded_a, [CLASS_B_SERVERLESS] = (w)->excluded_b,                  \
        [CLASS_C_PERSISTENT] = (w)->excluded_c, [CLASS_D_GPU] = (w)->excluded_d,                   \
        [CLASS_E_LOCAL] = (w)->excluded_e, [CLASS_F_HUMAN] = (w)->excluded_f                       \
    }
#define EXCLUDED_PUT(w, table)                                                                     \
    do {                                                                                           \
        (w)->excluded_a = (table)[CLASS_A_EDGE];                                                   \
        (w)->excluded_b = (table)[CLASS_B_SERVERLESS];                                             \
        (w)->excluded_c = (table)[CLASS_C_PERSISTENT];                                             \
        (w)->excluded_d = (table)[CLASS_D_GPU];                                                    \
        (w)->excluded_e = (table)[CLASS_E_LOCAL];                                                  \
        (w)->excluded_f = (table)[CLASS_F_HUMAN];                                                  \
    } while (0)

#define BODY_LIST(X)                                                                               \
    X(MSG_HELLO, hello)                                                                            \
    X(MSG_WELCOME, welcome)                                                                        \
    X(MSG_GOODBYE, goodbye)                                                                        \
    X(MSG_HEARTBEAT, heartbeat)                                                                    \
    X(MSG_BEAT, beat)                                                                              \
    X(MSG_BEAT_REPLY, beat_reply)                                                                  \
    X(MSG_OPERATE, coordinate)                                                                     \
    X(MSG_ACK, acknowledge)                                                                        \
    X(MSG_RESULT, result)                                                                          \
    X(MSG_CANCEL, cancel)                                                                          \
    X(MSG_PREPARE, prepare)                                                                        \
    X(MSG_PREPARED, prepared)                                                                      \
    X(MSG_QUERY, query)                                                                            \
    X(MSG_ROWS, rows)                                                                              \
    X(MSG_CIRCUIT, circuit)                                                                        \
    X(MSG_FREEZE, freeze)                                                                          \
    X(MSG_THAW, thaw)                                                                              \
    X(MSG_RELAY, relay)                                                                            \
    X(MSG_RELAY_ACK, relay_ack)                                                                    \
    X(MSG_COMMAND, command)                                                                        \
    X(MSG_REPLY, reply)                                                                            \
    X(MSG_HEAL, heal)                                                                              \
    X(MSG_HOST_REPORT, host_report)                                                                \
    X(MSG_CONFLICT, conflict_report)                                                               \
    X(MSG_CONFLICT_ACK, conflict_ack)                                                              \
    X(MSG_ISOLATE, isolate)                                                                        \
    X(MSG_MOVE, move)                                                                              \
    X(MSG_RESUME, resume)                                                                          \
    X(MSG_ORDER, order)                                                                            \
    X(MSG_GROW, grow)                                                                              \
    X(MSG_CONTENT, content)

#define X(type, name)                                                                              \
    bool name##_put(struct put *put, const struct msg *msg);                                       \
    enum codec_verdict name##_get(const struct get *get, const ProtobufCMessage *message,          \
                                  struct msg *ret);
BODY_LIST(X)
#undef X

#endif
