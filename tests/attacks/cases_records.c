/* What an accepted frame may say (H1 to H3, H15): units that are not the sender's, routes that do
 * not exist, bodies that are bombs, operations that nobody ordered. The frames are all well signed.
 */
#include "tests/attacks/attacks.h"

#include "proto/ack_group.h"
#include "tiers/runner/clock.h"
#include <string.h>

static struct shot s;
static uint8_t bytes[40000];

static const char *message(struct world *w, enum who from, struct victim *at,
                           struct record_header header, const uint8_t *body, size_t length)
{
    shot_begin(&s, w, from, at);
    shot_message(&s, header, body, length);
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *beat(struct world *w, enum who from, struct unit unit, struct unit to)
{
    uint8_t body[512];
    return message(w, from, &w->lead, beat_of(unit, to), body, beat_body(w, body));
}

#define BEAT(name, from, unit, to)                                                                 \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return beat(w, from, unit, to);                                                            \
    }
BEAT(as_agent_of_another_host, HOST, unit_agent(1, 1, 4), unit_cluster(1, 1))
BEAT(as_agent_of_another_cluster, HOST, unit_agent(1, 2, 1), unit_cluster(1, 2))
BEAT(to_another_lead, HOST, unit_agent(1, 1, 1), unit_cluster(1, 2))
BEAT(unit_beyond, HOST, unit_agent(1, 1, 60), unit_cluster(1, 1))
BEAT(lead_as_agent, LEAD_TWO, unit_agent(1, 1, 1), unit_cluster(1, 1))
BEAT(console_as_agent, CONSOLE, unit_agent(1, 1, 1), unit_cluster(1, 1))
BEAT(good_beat, HOST, unit_agent(1, 1, 1), unit_cluster(1, 1))

static const char *typed(struct world *w, enum who from, enum msg_type type, struct unit a,
                         struct unit b)
{
    struct record_header h = {.type = type, .priority = 1, .from = a, .to = b, .epoch = 1};
    return message(w, from, &w->lead, h, NULL, 0);
}

#define TYPED(name, who, type, from, to)                                                           \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return typed(w, who, type, from, to);                                                      \
    }
TYPED(agent_operates, HOST, MSG_OPERATE, unit_agent(1, 1, 1), unit_cluster(1, 1))
TYPED(agent_freezes, HOST, MSG_FREEZE, unit_agent(1, 1, 1), unit_cluster(1, 1))
TYPED(agent_as_sector, HOST, MSG_FREEZE, unit_sector(1), unit_cluster(1, 1))
TYPED(agent_as_orchestrator, HOST, MSG_OPERATE, unit_orchestrator(), unit_sector(1))
TYPED(console_to_lead, CONSOLE, MSG_COMMAND, unit_numbered(TIER_CONSOLE, 1), unit_cluster(1, 1))
TYPED(lead_to_lead, LEAD_TWO, MSG_CANCEL, unit_cluster(1, 3), unit_cluster(1, 1))
TYPED(lead_as_sector, LEAD_TWO, MSG_CANCEL, unit_sector(1), unit_cluster(1, 1))
TYPED(sector_of_others, SECTOR, MSG_CANCEL, unit_sector(2), unit_cluster(2, 1))
TYPED(orchestrator_skips_a_tier, ORCHESTRATOR, MSG_FREEZE, unit_orchestrator(), unit_cluster(1, 1))
TYPED(operate_unknown, SECTOR, MSG_OPERATE, unit_sector(1), unit_cluster(1, 1))

static const char *console_as_console(struct world *w)
{
    struct record_header h = {
        .type = MSG_COMMAND, .from = unit_numbered(TIER_CONSOLE, 77), .to = unit_orchestrator()};
    return message(w, CONSOLE, &w->orchestrator, h, NULL, 0);
}

static const char *host_commands(struct world *w)
{
    struct record_header h = {
        .type = MSG_COMMAND, .from = unit_numbered(TIER_CONSOLE, 1), .to = unit_orchestrator()};
    return message(w, HOST, &w->orchestrator, h, NULL, 0);
}

static const char *encoded(struct world *w, enum who from, struct victim *at, const struct msg *msg)
{
    struct record_header h;
    size_t length = 0;
    if (!codec_encode(&w->codec, msg, bytes, sizeof(bytes), &length))
        return "not encoded";
    codec_record_of(msg, length, &h);
    return message(w, from, at, h, bytes, length);
}

static const char *hello(struct world *w, uint64_t capabilities)
{
    struct msg m = {.type = MSG_HELLO, .from = unit_agent(1, 1, 1), .to = unit_cluster(1, 1)};
    m.u.hello = (struct hello){.uid = 7, .incarnation = 1, .capabilities = capabilities};
    return encoded(w, HOST, &w->lead, &m);
}

static const char *hello_inflated(struct world *w)
{
    return hello(w, 0x7);
}

static const char *hello_good(struct world *w)
{
    return hello(w, 0x3);
}

static const char *viewer(struct world *w, enum command_kind kind)
{
    static struct command c;
    struct msg m = {
        .type = MSG_COMMAND, .from = unit_numbered(TIER_CONSOLE, 1), .to = unit_orchestrator()};
    memset(&c, 0, sizeof(c));
    c.ref = 1;
    c.kind = kind;
    c.scope = unit_sector(1);
    c.operation_id.bytes[0] = 1;
    m.u.command = &c;
    return encoded(w, CONSOLE, &w->orchestrator, &m);
}

static const char *viewer_freezes(struct world *w)
{
    return viewer(w, COMMAND_FREEZE);
}

static const char *viewer_cancels(struct world *w)
{
    return viewer(w, COMMAND_CANCEL);
}

static const char *viewer_looks(struct world *w)
{
    return viewer(w, COMMAND_STATUS);
}

static const char *stale_epoch(struct world *w)
{
    uint8_t body[512];
    struct record_header h = beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1));
    size_t length = beat_body(w, body);
    h.epoch = 9;
    if (strcmp(message(w, HOST, &w->lead, h, body, length), "ACCEPTED") != 0)
        return "not introduced";
    h.epoch = 8;
    return message(w, HOST, &w->lead, h, body, length);
}

/* ---- the record's header ---- */

static const char *raw(struct world *w, const uint8_t *at, size_t length)
{
    shot_begin(&s, w, HOST, &w->lead);
    shot_record(&s, at, length);
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *half_a_header(struct world *w)
{
    memset(bytes, 1, 20);
    return raw(w, bytes, 20);
}

static const char *unknown_type(struct world *w)
{
    memset(bytes, 0, RECORD_HEADER_BYTES);
    bytes[0] = 0x7f;
    return raw(w, bytes, RECORD_HEADER_BYTES);
}

static const char *unknown_special(struct world *w)
{
    bytes[0] = 0xff;
    return raw(w, bytes, 1);
}

static const char *long_question(struct world *w)
{
    memset(bytes, RECORD_ASK, 9);
    return raw(w, bytes, 9);
}

static const char *body_length_lies(struct world *w)
{
    struct record_header h = beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1));
    h.body_bytes = 5;
    codec_record_encode(&h, bytes);
    memset(bytes + RECORD_HEADER_BYTES, 0, 9);
    return raw(w, bytes, RECORD_HEADER_BYTES + 9);
}

static const char *priority_nine(struct world *w)
{
    struct record_header h = beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1));
    codec_record_encode(&h, bytes);
    bytes[1] = 9;
    return raw(w, bytes, RECORD_HEADER_BYTES);
}

static const char *announce_short(struct world *w)
{
    memset(bytes, 0, 16);
    bytes[0] = RECORD_ANNOUNCE;
    bytes[2] = 0xff;
    return raw(w, bytes, 16);
}

/* ---- bodies ---- */

static const char *body(struct world *w, size_t length)
{
    return message(w, HOST, &w->lead, beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1)), bytes,
                   length);
}

static const char *unknown_varints(struct world *w)
{
    for (size_t i = 0; i < 30000; i += 3)
        memcpy(bytes + i, "\xf8\x07\x01", 3); /* tag 127 */
    return body(w, 30000);
}

static const char *merge_bomb(struct world *w)
{
    for (size_t i = 0; i < 20000; i += 2)
        memcpy(bytes + i, "\x12\x00", 2); /* field 2, empty, again and again */
    return body(w, 20000);
}

/* Field 2 within field 2 within field 2 .. */
static size_t nested(size_t levels)
{
    size_t used = 0;
    uint8_t *end = bytes + sizeof(bytes);
    for (size_t i = 0; i < levels && used + 4 < 32000; i++) {
        size_t n = used < 128 ? 1 : used < 16384 ? 2 : 3, left = used;
        end -= n;
        for (size_t k = 0; k < n; k++, left >>= 7)
            end[k] = (uint8_t)((left & 0x7f) | (k + 1 < n ? 0x80 : 0));
        *--end = 0x12;
        used += n + 1;
    }
    memmove(bytes, end, used);
    return used;
}

#define NESTED(name, levels)                                                                       \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return body(w, nested(levels));                                                            \
    }
NESTED(nested_62, 62)
NESTED(nested_267, 267)
NESTED(nested_1086, 1086)
NESTED(nested_8732, 8732)

static const char *put(struct world *w, const char *text, size_t length)
{
    memcpy(bytes, text, length);
    return body(w, length);
}

#define BODY(name, text)                                                                           \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return put(w, text, sizeof(text) - 1);                                                     \
    }
BODY(long_varint, "\x12\x0b\x38\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00")
BODY(wide_number, "\x12\x06\x38\xff\xff\xff\xff\x1f")
BODY(twice, "\x09\x01\0\0\0\0\0\0\0\x09\x02\0\0\0\0\0\0\0")
BODY(wrong_wire_type, "\x08\x01")
BODY(group, "\x0b\x0c")
BODY(tag_zero, "\x00\x01")
BODY(cut_off, "\x12\x7f\x01")
BODY(length_of_4_gib, "\x12\xff\xff\xff\xff\x0f")
BODY(state_unknown, "\x12\x02\x60\x63")

/* An operation with text in whichever field takes it, straight to the codec. */
static const char *operation_text(struct world *w, const char *text, size_t length)
{
    struct operation op;
    for (uint8_t tag = 1; tag < 32; tag++) {
        size_t head = tag < 16 ? 1 : 2;
        bytes[0] = (uint8_t)((tag << 3 | 2) & 0x7f) | (tag < 16 ? 0 : 0x80);
        bytes[1] = 1;
        bytes[head] = (uint8_t)length;
        memcpy(bytes + head + 1, text, length);
        arena_reset(&w->arena);
        enum codec_verdict v =
            operation_decode(&w->codec, bytes, head + 1 + length, &w->arena, &op);
        if (v == CODEC_BAD_TEXT)
            return codec_verdict_name(v);
        if (v == CODEC_OK)
            return "ACCEPTED";
    }
    return "no text field";
}

static const char *embedded_nul(struct world *w)
{
    return operation_text(w, "admin\0x", 7);
}

static const char *bad_utf8(struct world *w)
{
    return operation_text(w, "\xc3\x28", 2);
}

/* ---- operations ---- */

static struct operation operation(const struct world *w, struct unit source)
{
    struct operation op = {.source = source,
                           .routing = ROUTING_SCATTER_GATHER,
                           .verb = VERB_ACT,
                           .trinary_expectation = 1,
                           .created_mesh_us = clock_unix_us(),
                           .ttl_us = 30 * US_PER_S,
                           .timeout_us = 5 * US_PER_S,
                           .window_us = 500000,
                           .minimum_response_rate = 0.95,
                           .action = "echo",
                           .payload = (const uint8_t *)"x",
                           .payload_bytes = 1};
    (void)w;
    op.id.bytes[15] = 1;
    op.correlation_id = op.id;
    return op;
}

/* Sealed by `author`, carried by SECTOR to the lead. flip: a byte to change, 0: none. */
static const char *carry(struct world *w, enum who author, const struct operation *op, size_t flip,
                         bool twice_other)
{
    struct opcache_conf conf = {.codec = &w->codec, .identity = &w->senders[author].identity};
    struct opcache *c = opcache_new(&conf);
    const char *why = "not sealed";
    enum opcache_verdict v =
        opcache_seal(c, op, &w->senders[author].signer.key, op->created_mesh_us);
    const struct opcache_entry *e = opcache_get(c, op->id);
    if (v == OPCACHE_OK && e) {
        bytes[0] = RECORD_OPERATION;
        memcpy(bytes + 1, e->sealed, e->sealed_bytes);
        if (flip > 0)
            bytes[flip] ^= 1;
        shot_begin(&s, w, SECTOR, &w->lead);
        shot_record(&s, bytes, 1 + e->sealed_bytes);
        shot_seal(&s);
        uint64_t before = opcache_stats(w->lead.opcache)->verdicts[OPCACHE_OK];
        why = shot_fire(&s);
        if (twice_other)
            why = opcache_stats(w->lead.opcache)->verdicts[OPCACHE_OK] > before ? "" : "refused";
    }
    opcache_free(c);
    return why;
}

static const char *by_host(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    return carry(w, HOST, &op, 0, false);
}

static const char *by_lead_two(struct world *w)
{
    struct operation op = operation(w, unit_cluster(1, 3));
    return carry(w, LEAD_TWO, &op, 0, false);
}

static const char *by_sector_for_all(struct world *w)
{
    struct operation op = operation(w, unit_sector(1));
    return carry(w, SECTOR, &op, 0, false);
}

static const char *by_foreign(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    return carry(w, FOREIGN, &op, 0, false);
}

static const char *by_revoked(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    return carry(w, REVOKED, &op, 0, false);
}

static const char *changed_on_the_way(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    return carry(w, ORCHESTRATOR, &op, 1 + SEALED_HEAD_BYTES + 3, false);
}

static const char *signature_changed(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    return carry(w, ORCHESTRATOR, &op, 1 + CHAIN_BYTES + 5, false);
}

static const char *too_old(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    op.created_mesh_us -= 60 * US_PER_S;
    return carry(w, ORCHESTRATOR, &op, 0, false);
}

static const char *from_the_future(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    op.created_mesh_us += 3600 * US_PER_S;
    return carry(w, ORCHESTRATOR, &op, 0, false);
}

static const char *same_id_other_work(struct world *w)
{
    struct operation op = operation(w, unit_orchestrator());
    if (strcmp(carry(w, ORCHESTRATOR, &op, 0, true), "") != 0)
        return "the first was refused";
    op.payload = (const uint8_t *)"y";
    return carry(w, ORCHESTRATOR, &op, 0, false);
}

static const char *bare_operation(struct world *w)
{
    memset(bytes, 0, 64);
    bytes[0] = RECORD_OPERATION;
    shot_begin(&s, w, SECTOR, &w->lead);
    shot_record(&s, bytes, 64);
    shot_seal(&s);
    return shot_fire(&s);
}

/* ---- groups of acknowledgements ---- */

static struct msg ready(unsigned agent)
{
    struct msg m = {.type = MSG_ACK,
                    .priority = 2,
                    .from = unit_agent(1, 1, agent),
                    .to = unit_cluster(1, 1),
                    .epoch = 1};
    m.u.ack = (struct ack){.operation_id.bytes = {7}, .outcome = OUTCOME_READY, .seq = agent};
    return m;
}

/* Agents one and another of s01.c1, in `bytes`; returns the length. */
static size_t acks(unsigned one, unsigned another)
{
    const struct msg a = ready(one), b = ready(another);
    size_t head = ack_group_head(&a, NULL, bytes);
    return head + ack_group_row(&a, &b, bytes + head);
}

static const char *acks_good(struct world *w)
{
    return raw(w, bytes, acks(1, 2));
}

static const char *acks_of_a_stranger(struct world *w)
{
    return raw(w, bytes, acks(4, 5));
}

/* Of two agents one is heard; the other is refused by the name that is returned. */
static const char *acks_half(struct world *w, size_t length, enum ingress_refusal why)
{
    const struct ingress_stats *in = ingress_stats(w->lead.ingress);
    uint64_t heard = w->lead.messages, refused = in->refusals[why];
    (void)raw(w, bytes, length);
    bool half = w->lead.messages == heard + 1 && in->refusals[why] == refused + 1;
    return half ? ingress_refusal_name(why) : "not the one and the other";
}

static const char *acks_with_a_stranger(struct world *w)
{
    return acks_half(w, acks(1, 4), INGRESS_SCOPE);
}

static const char *acks_to_another_lead(struct world *w)
{
    size_t length = acks(1, 2);
    bytes[18] = 2; /* the lead's number */
    return raw(w, bytes, length);
}

static const char *acks_twice(struct world *w)
{
    return raw(w, bytes, acks(2, 2));
}

static const char *acks_cut(struct world *w)
{
    return raw(w, bytes, acks(1, 2) - 1);
}

static const char *acks_too_many(struct world *w)
{
    size_t length = acks(1, 2);
    bytes[ACK_GROUP_COUNT_AT] = 3;
    return raw(w, bytes, length);
}

static const char *acks_of_one(struct world *w)
{
    size_t length = acks(1, 2);
    bytes[ACK_GROUP_COUNT_AT] = 1;
    return raw(w, bytes, length);
}

static const char *acks_and_more(struct world *w)
{
    size_t length = acks(1, 2);
    bytes[length] = 0;
    return raw(w, bytes, length + 1);
}

static const char *acks_long_varint(struct world *w)
{
    size_t length = acks(1, 2);
    bytes[length - 1] = 0x80;
    bytes[length] = 0;
    return raw(w, bytes, length + 1);
}

static const char *acks_of_no_outcome(struct world *w)
{
    size_t length = acks(1, 2);
    bytes[4] = OUTCOME_COUNT;
    return raw(w, bytes, length);
}

static const char *acks_long_answer(struct world *w)
{
    size_t length = acks(1, 2);
    bytes[6] = 200;
    return raw(w, bytes, length);
}

static const char *acks_of_the_past(struct world *w)
{
    size_t length = acks(1, 2);
    memset(bytes + 56, 0xff, 8); /* received at -1 */
    return raw(w, bytes, length);
}

static const char *acks_stale(struct world *w)
{
    struct record_header h = beat_of(unit_agent(1, 1, 2), unit_cluster(1, 1));
    uint8_t body[512];
    size_t length = beat_body(w, body);
    h.epoch = 9;
    if (strcmp(message(w, HOST, &w->lead, h, body, length), "ACCEPTED") != 0)
        return "not introduced";
    return acks_half(w, acks(1, 2), INGRESS_EPOCH);
}

static const struct attack list[] = {
    {"H15b", "as an agent of another host", as_agent_of_another_host, "scope"},
    {"R01", "as an agent of another cluster", as_agent_of_another_cluster, "scope"},
    {"R02", "an agent's beat to a lead that is not its own", to_another_lead, "route"},
    {"R03", "an agent that does not exist", unit_beyond, "route"},
    {"R04", "a lead that plays an agent", lead_as_agent, "scope"},
    {"R05", "a console that plays an agent", console_as_agent, "scope"},
    {"R06", "an agent that orders its lead", agent_operates, "route"},
    {"R07", "an agent that freezes its lead", agent_freezes, "route"},
    {"R08", "an agent in its sector's name", agent_as_sector, "scope"},
    {"R09", "an agent in the orchestrator's name", agent_as_orchestrator, "scope"},
    {"R10", "a console that commands a lead", console_to_lead, "route"},
    {"R11", "a lead that cancels at another", lead_to_lead, "route"},
    {"R12", "a lead in its sector's name", lead_as_sector, "scope"},
    {"R13", "a sector in another sector's name", sector_of_others, "scope"},
    {"R14", "an orchestrator past a tier", orchestrator_skips_a_tier, "route"},
    {"R15", "an order without its operation", operate_unknown, "record-body:missing"},
    {"R16", "a console in another console's name", console_as_console, "scope"},
    {"R17", "a host that commands the orchestrator", host_commands, "scope"},
    {"R43", "an agent that offers more than its host may", hello_inflated, "capability"},
    {"R44", "a viewer that freezes a sector", viewer_freezes, "capability"},
    {"R45", "a viewer that cancels an operation", viewer_cancels, "capability"},
    {"R18", "an earlier epoch of a unit", stale_epoch, "stale-epoch"},
    {"R19", "half a record header", half_a_header, "record-header:truncated"},
    {"R20", "a message type that does not exist", unknown_type, "record-header:bad-type"},
    {"R21", "a special record that does not exist", unknown_special, "record-kind"},
    {"R22", "a question with something behind it", long_question, "record-kind"},
    {"R23", "a body shorter than its record", body_length_lies, "record-header:truncated"},
    {"R24", "priority 9", priority_nine, "record-header:bad-range"},
    {"R25", "an announcement of ranges that are not there", announce_short, "record-kind"},
    {"H1a", "30,000 bytes of unknown varints", unknown_varints, "record-body:unknown-field"},
    {"H1b", "10,000 empty sub-messages", merge_bomb, "record-body:duplicate"},
    {"H2a", "nested 62 deep", nested_62, "record-body:malformed"},
    {"H2b", "nested 267 deep", nested_267, "record-body:malformed"},
    {"H2c", "nested 1,086 deep", nested_1086, "record-body:malformed"},
    {"H2d", "nested 8,732 deep", nested_8732, "record-body:malformed"},
    {"H3a", "a NUL within a text", embedded_nul, "bad-text"},
    {"H3b", "a text that is no UTF-8", bad_utf8, "bad-text"},
    {"H3c", "a varint longer than needed", long_varint, "record-body:bad-varint"},
    {"H3d", "33 bits for a uint32", wide_number, "record-body:bad-range"},
    {"H3e", "a field twice", twice, "record-body:duplicate"},
    {"R26", "another wire type", wrong_wire_type, "record-body:malformed"},
    {"R27", "a group", group, "record-body:malformed"},
    {"R28", "tag 0", tag_zero, "record-body:malformed"},
    {"R29", "a field that is cut off", cut_off, "record-body:truncated"},
    {"R30", "a field of 4 GiB", length_of_4_gib, "record-body:truncated"},
    {"R31", "a state that does not exist", state_unknown, "record-body:bad-enum"},
    {"R32", "an operation without a seal", bare_operation, "operation:shape"},
    {"R33", "a host's operation in the orchestrator's name", by_host, "operation:wrong-author"},
    {"R34", "a lead's operation", by_lead_two, "operation:wrong-author"},
    {"R35", "a sector's operation for the whole mesh", by_sector_for_all, "operation:wrong-author"},
    {"R36", "an operation of another mesh", by_foreign, "operation:bad-chain"},
    {"R37", "an operation of a revoked author", by_revoked, "operation:bad-chain"},
    {"R38", "an operation changed on its way", changed_on_the_way, "operation:bad-signature"},
    {"R39", "an operation with another signature", signature_changed, "operation:bad-signature"},
    {"R40", "an operation that is over", too_old, "operation:expired"},
    {"R41", "an operation from the future", from_the_future, "operation:future"},
    {"R42", "other work under a known id", same_id_other_work, "operation:other-bytes"},
    {"A01", "a group of another host's agents", acks_of_a_stranger, "scope"},
    {"A02", "a group with another host's agent", acks_with_a_stranger, "scope"},
    {"A03", "a group to a lead that is not theirs", acks_to_another_lead, "route"},
    {"A04", "a group with an agent twice", acks_twice, "record-body:duplicate"},
    {"A05", "a group that is cut off", acks_cut, "record-body:truncated"},
    {"A06", "a group of fewer than it says", acks_too_many, "record-body:truncated"},
    {"A07", "a group of one", acks_of_one, "record-body:bad-range"},
    {"A08", "a group with a byte behind it", acks_and_more, "record-body:malformed"},
    {"A09", "a group with a padded varint", acks_long_varint, "record-body:bad-varint"},
    {"A10", "a group of no outcome", acks_of_no_outcome, "record-body:bad-enum"},
    {"A11", "a group whose answer is not there", acks_long_answer, "record-body:truncated"},
    {"A12", "a group before all time", acks_of_the_past, "record-body:bad-range"},
    {"A13", "a group with an agent of an earlier epoch", acks_stale, "stale-epoch"},
    {"A00", "a host's own group is good (the control)", acks_good, "ACCEPTED"},
    {"R0a", "what its host may offer is good (the control)", hello_good, "ACCEPTED"},
    {"R0b", "a viewer that looks is good (the control)", viewer_looks, "ACCEPTED"},
    {"R00", "an honest heartbeat is good (the control)", good_beat, "ACCEPTED"},
};

struct attack_list attacks_records(void)
{
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}
