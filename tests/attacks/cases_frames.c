/* Bytes of a frame: sizes, fields, times, sequence numbers, signatures (H4 to H8, H15). */
#include "tests/attacks/attacks.h"

#include "tests/support/sign_alone.h"
#include "tiers/runner/bytes.h"
#include "tiers/runner/clock.h"
#include <sodium.h>
#include <string.h>

static struct shot s, t;

/* A good heartbeat of HOST to LEAD, not fired yet. */
static void good(struct world *w, struct shot *ret)
{
    uint8_t body[512];
    shot_begin(ret, w, HOST, &w->lead);
    shot_message(ret, beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1)), body, beat_body(w, body));
}

static const char *with_length(struct world *w, size_t length)
{
    good(w, &s);
    shot_seal(&s);
    s.length = length;
    return shot_fire(&s);
}

static const char *one_short(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    s.length--;
    return shot_fire(&s);
}

static const char *one_long(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    s.length++;
    return shot_fire(&s);
}

static const char *one_byte(struct world *w)
{
    return with_length(w, 1);
}

static const char *header_only(struct world *w)
{
    return with_length(w, FRAME_HEADER_BYTES);
}

static const char *too_large(struct world *w)
{
    return with_length(w, FRAME_BYTES_MAX + 1);
}

/* Changes one byte of the header, and signs again: the author itself lies. */
static const char *poke(struct world *w, size_t at, uint8_t value)
{
    good(w, &s);
    shot_seal(&s);
    s.bytes[at] = value;
    shot_sign(&s);
    return shot_fire(&s);
}

#define POKE(name, at, value)                                                                      \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return poke(w, at, value);                                                                 \
    }
POKE(magic, 0, 'M')
POKE(version, 14, '1')
POKE(unknown_flag, 21, 0x80)
POKE(unused_bytes, 108, 1)
POKE(other_mesh, 24, 0xee)
POKE(token_padding, 47, 'x')
POKE(token_letters, 32, 'H')
POKE(port_too_high, 65, 0xff)
POKE(destination_port, 67, 0x80)
POKE(known_kid_changed, 72, 0x5a)

static const char *split_moved(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    put_u32(s.bytes + 68, get_u32(s.bytes + 68) + 1);
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *body_beyond(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    put_u32(s.bytes + 68, UINT32_MAX - 100);
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *signed_bytes_wrong(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    put_u32(s.bytes + 16, UINT32_MAX);
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *count_of_records(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    put_u16(s.bytes + 22, 9);
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *record_reaches_beyond(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    put_u16(s.bytes + FRAME_HEADER_BYTES, 0xffff);
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *chain_flag_alone(struct world *w)
{
    good(w, &s);
    s.address.with_chain = false;
    shot_seal(&s);
    s.bytes[20] |= FRAME_CHAIN;
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *chain_without_flag(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    s.bytes[20] &= (uint8_t)~FRAME_CHAIN;
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *host_as_host(struct world *w)
{
    good(w, &s);
    s.subject.source = w->senders[HOST_TWO].signer.self;
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *other_destination(struct world *w)
{
    good(w, &s);
    s.address.destination = w->senders[LEAD_TWO].identity.cert.subject;
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *redirected(struct world *w)
{
    good(w, &s);
    s.address.destination = w->senders[LEAD_TWO].identity.cert.subject;
    s.subject.destination = s.address.destination;
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *broadcast_header(struct world *w)
{
    good(w, &s);
    memset(&s.address.destination, 0, sizeof(s.address.destination));
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *time_field(struct world *w, int64_t issued_ms, uint32_t ttl_ms)
{
    good(w, &s);
    shot_seal(&s);
    put_u64(s.bytes + 96, (uint64_t)issued_ms);
    put_u32(s.bytes + 104, ttl_ms);
    shot_sign(&s);
    return shot_fire(&s);
}

#define TIME(name, issued, ttl)                                                                    \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return time_field(w, issued, ttl);                                                         \
    }
TIME(ten_years_ahead, clock_unix_us() / 1000 + 315360000000ll, 1000)
TIME(three_seconds_ahead, clock_unix_us() / 1000 + 3000, 1000)
TIME(ttl_zero, clock_unix_us() / 1000, 0)
TIME(ttl_for_ever, clock_unix_us() / 1000, UINT32_MAX)
TIME(issued_negative, -1, 1000)
TIME(sum_overflows, INT64_MAX, 86400000)
TIME(ttl_over, clock_unix_us() / 1000 - 5000, 5000)
TIME(before_our_start, clock_unix_us() / 1000 - 70000, 80000)

static const char *seq_zero(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    put_u64(s.bytes + 88, 0);
    shot_sign(&s);
    return shot_fire(&s);
}

/* A sequence number far ahead under a signature that does not hold, then an honest frame: the
 * window must not have moved. */
static const char *window_stays(struct world *w, uint64_t seq)
{
    if (!world_introduce(w, HOST, &w->lead))
        return "not introduced";
    good(w, &s);
    shot_seal(&s);
    put_u64(s.bytes + 88, seq);
    const char *why = shot_fire(&s);
    good(w, &t);
    shot_seal(&t);
    char first[64];
    (void)snprintf(first, sizeof(first), "%s", why);
    if (strcmp(shot_fire(&t), "ACCEPTED") != 0)
        return "the honest frame was refused";
    (void)snprintf(w->why, sizeof(w->why), "%s", first);
    return w->why;
}

static const char *seq_highest(struct world *w)
{
    return window_stays(w, UINT64_MAX);
}

static const char *seq_jump(struct world *w)
{
    return window_stays(w, 1ull << 40);
}

static const char *replayed(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    if (strcmp(shot_fire(&s), "ACCEPTED") != 0)
        return "not introduced";
    return shot_fire(&s);
}

static const char *same_seq_new_bytes(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    if (strcmp(shot_fire(&s), "ACCEPTED") != 0)
        return "not introduced";
    w->senders[HOST].signer.seq--;
    good(w, &t);
    t.address.ttl_ms = 777;
    shot_seal(&t);
    return shot_fire(&t);
}

static const char *far_behind(struct world *w)
{
    good(w, &s);
    shot_seal(&s); /* kept back */
    w->senders[HOST].signer.seq += REPLAY_WINDOW_BITS;
    good(w, &t);
    shot_seal(&t);
    if (strcmp(shot_fire(&t), "ACCEPTED") != 0)
        return "not introduced";
    return shot_fire(&s);
}

static const char *old_session(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    struct sender *h = &w->senders[HOST];
    if (frame_signer_start(&h->signer, &h->identity, 0, NULL, 0, w->now_ms + 1) != CERT_OK)
        return "no session";
    good(w, &t);
    shot_seal(&t);
    if (strcmp(shot_fire(&t), "ACCEPTED") != 0)
        return "not introduced";
    return shot_fire(&s);
}

static const char *session_number_changed(struct world *w)
{
    if (!world_introduce(w, HOST, &w->lead))
        return "not introduced";
    good(w, &s);
    shot_seal(&s);
    s.bytes[80] ^= 1;
    shot_sign(&s);
    return shot_fire(&s);
}

static const char *no_chain(struct world *w)
{
    good(w, &s);
    s.address.with_chain = false;
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *signature_zero(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    memset(s.bytes + s.length - SIGNATURE_BYTES, 0, SIGNATURE_BYTES);
    return shot_fire(&s);
}

static const char *signature_of_another(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    sign_alone(s.bytes, s.length, w->senders[HOST_TWO].signer.key.key.secret);
    return shot_fire(&s);
}

/* S + L: a second signature of the same bytes, if the verifier were lax. */
static const char *signature_malleated(struct world *w)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    good(w, &s);
    shot_seal(&s);
    uint8_t *scalar = s.bytes + s.length - 32;
    unsigned carry = 0;
    for (int i = 0; i < 32; i++) {
        carry += (unsigned)scalar[i] + order[i];
        scalar[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return shot_fire(&s);
}

static const char *signature_without_domain(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    uint8_t digest[64];
    (void)crypto_generichash(digest, sizeof(digest), s.bytes, s.length - SIGNATURE_BYTES, NULL, 0);
    (void)crypto_sign_detached(s.bytes + s.length - SIGNATURE_BYTES, NULL, digest, 32,
                               w->senders[HOST].signer.key.key.secret);
    return shot_fire(&s);
}

/* Two frames under one root; the first was accepted, so that the root is known. */
static void good_pair(struct world *w)
{
    struct sender *from = &w->senders[HOST];
    good(w, &s);
    good(w, &t);
    struct frame_unsigned pair[] = {
        {s.bytes, frame_finish(&s.builder, &from->signer, &from->identity, &s.address)},
        {t.bytes, frame_finish(&t.builder, &from->signer, &from->identity, &t.address)},
    };
    frame_tree_sign(pair, 2, from->signer.key.key.secret);
    s.length = pair[0].length;
    t.length = pair[1].length;
    (void)shot_fire(&s);
}

static uint8_t *path_of(struct shot *shot)
{
    return shot->bytes + shot->length - SIGNATURE_BYTES - FRAME_DIGEST_BYTES;
}

static const char *path_of_another(struct world *w)
{
    good_pair(w);
    memcpy(path_of(&t), path_of(&s), FRAME_DIGEST_BYTES);
    return shot_fire(&t);
}

static const char *place_changed(struct world *w)
{
    good_pair(w);
    t.bytes[108] = 0;
    return shot_fire(&t);
}

static const char *path_changed(struct world *w)
{
    good_pair(w);
    path_of(&t)[31] ^= 0x80;
    return shot_fire(&t);
}

static const char *root_with_zeros(struct world *w)
{
    good_pair(w);
    memset(t.bytes + t.length - SIGNATURE_BYTES, 0, SIGNATURE_BYTES);
    return shot_fire(&t);
}

static const char *place_too_wide(struct world *w)
{
    good_pair(w);
    t.bytes[108] = 2;
    return shot_fire(&t);
}

static const char *tree_too_deep(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    memset(s.bytes + s.length, 0, (size_t)6 * FRAME_DIGEST_BYTES);
    s.bytes[109] = 6;
    s.length += (size_t)6 * FRAME_DIGEST_BYTES;
    return shot_fire(&s);
}

static const char *node_as_frame(struct world *w)
{
    good_pair(w);
    memcpy(s.bytes, "mesh30k/node/2\0\0", 16);
    memcpy(s.bytes + 16, path_of(&t), FRAME_DIGEST_BYTES);
    memcpy(s.bytes + 48, path_of(&s), FRAME_DIGEST_BYTES);
    memcpy(s.bytes + 80, t.bytes + t.length - SIGNATURE_BYTES, SIGNATURE_BYTES);
    s.length = 80 + SIGNATURE_BYTES;
    return shot_fire(&s);
}

static const char *signed_by_the_process_key(struct world *w)
{
    good(w, &s);
    shot_seal(&s);
    sign_alone(s.bytes, s.length, w->senders[HOST].identity.key.secret);
    return shot_fire(&s);
}

static const struct attack list[] = {
    {"F01", "a frame one byte short", one_short, "size"},
    {"F02", "a frame one byte long", one_long, "size"},
    {"F03", "a single byte", one_byte, "size"},
    {"F04", "a header without a signature", header_only, "size"},
    {"F05", "61,441 bytes", too_large, "size"},
    {"F06", "another magic", magic, "magic"},
    {"F07", "another version", version, "version"},
    {"F08", "a flag that does not exist", unknown_flag, "shape"},
    {"F09", "a value in unused bytes", unused_bytes, "shape"},
    {"F10", "another mesh's id", other_mesh, "other-mesh"},
    {"F11", "letters behind the end of a token", token_padding, "shape"},
    {"F12", "a token with a capital", token_letters, "shape"},
    {"F13", "a source port beyond the range", port_too_high, "shape"},
    {"F14", "a destination port beyond the range", destination_port, "shape"},
    {"F15", "the kid of another key", known_kid_changed, "unknown-key"},
    {"H4a", "the split of body and chain moved by one", split_moved, "shape"},
    {"F16", "a body of 4 GiB", body_beyond, "shape"},
    {"F17", "signed length of 4 GiB", signed_bytes_wrong, "size"},
    {"F18", "more records announced than there are", count_of_records, "records"},
    {"F19", "a record that reaches beyond its frame", record_reaches_beyond, "records"},
    {"F20", "a chain announced and not there", chain_flag_alone, "shape"},
    {"F21", "a chain there and not announced", chain_without_flag, "shape"},
    {"H15a", "host 1's frame under host 2's subject", host_as_host, "wrong-source"},
    {"H4b", "addressed to another than its subject says", other_destination, "wrong-destination"},
    {"H4c", "a frame for another lead", redirected, "wrong-destination"},
    {"F22", "a broadcast under a subject of one", broadcast_header, "wrong-destination"},
    {"H8a", "issued in ten years", ten_years_ahead, "future"},
    {"H8b", "issued in three seconds", three_seconds_ahead, "future"},
    {"H8c", "ttl 0", ttl_zero, "shape"},
    {"H8d", "ttl 2^32 - 1", ttl_for_ever, "shape"},
    {"H8e", "issued before 1970", issued_negative, "shape"},
    {"H8f", "issued + ttl overflows", sum_overflows, "shape"},
    {"F23", "its ttl is over", ttl_over, "expired"},
    {"F24", "issued before we started", before_our_start, "before-start"},
    {"H7a", "sequence number 0", seq_zero, "shape"},
    {"H7b", "sequence number 2^64 - 1, unverified; the window stays", seq_highest, "signature"},
    {"H7c", "a jump of 2^40, unverified; the window stays", seq_jump, "signature"},
    {"H7d", "the same bytes again", replayed, "replay"},
    {"H7e", "the same number with new bytes", same_seq_new_bytes, "replay"},
    {"F25", "far behind the window", far_behind, "seq-old"},
    {"H7f", "a frame of an earlier session", old_session, "old-session"},
    {"F26", "another session number under the known key", session_number_changed, "old-session"},
    {"F27", "a stranger without a chain", no_chain, "unknown-key"},
    {"H6a", "a signature of zeros", signature_zero, "signature"},
    {"F28", "another host's signature", signature_of_another, "signature"},
    {"H6b", "S + L", signature_malleated, "signature"},
    {"H4d", "signed without the domain", signature_without_domain, "signature"},
    {"F29", "signed by the process key instead of the session's", signed_by_the_process_key,
     "signature"},
    {"H5a", "a path of another frame under the same root", path_of_another, "signature"},
    {"H5b", "another place in the tree", place_changed, "signature"},
    {"H5c", "a sibling's digest changed", path_changed, "signature"},
    {"H5d", "a known root with a signature of zeros", root_with_zeros, "signature"},
    {"H5e", "a place beyond the tree's width", place_too_wide, "shape"},
    {"H5f", "a tree of six levels", tree_too_deep, "shape"},
    {"H5g", "a node of the tree as a frame", node_as_frame, "size"},
};

struct attack_list attacks_frames(void)
{
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}
