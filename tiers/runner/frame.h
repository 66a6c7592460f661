/* The frame: what one endpoint sends to another in one go; many records, one Ed25519 signature,
 * which frames that leave together may share (frame_tree.h).
 *
 * Bytes, little-endian:
 *
 *       0 "mesh30k/frame/2\0": magic, version and domain of the digest in one
 *      16 signed_bytes u32: everything from 20 to the path
 *      20 flags u16          22 record_count u16
 *      24 mesh id u64        32 source token[16]    48 destination token[16] (zeros: every process)
 *      64 source port u16    66 destination port u16
 *      68 body_bytes u32     72 kid u64 of the signer
 *      80 session u64        88 seq u64 (from 1)
 *      96 issued i64, unix ms of mesh time           104 ttl u32 ms
 *     108 leaf u8: its place in the tree, below 2^depth             109 depth u8   110 zero u16
 *     112 known kid u64: the destination's key as the source knows it, 0: none
 *     120 body: records, each u16 length and that many bytes
 *         chain[CHAIN_BYTES] with FRAME_CHAIN
 *         path[32 * depth]: the siblings' digests, from the leaf upwards
 *         signature[64] of the tree's root; with depth 0 that is the frame's own digest
 *
 * The digest's input "domain || length || bytes" lies on the wire in exactly that form, so neither
 * side copies anything to sign or to verify. Records are opaque here. */
#ifndef TIERS_RUNNER_FRAME_H
#define TIERS_RUNNER_FRAME_H

#include "core/limits.h"
#include "tiers/runner/endpoint.h"
#include "tiers/runner/keys.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_BYTES ((size_t)120)
#define FRAME_RECORD_BYTES 2u /* before each record */
#define FRAME_BYTES_MIN    (FRAME_HEADER_BYTES + SIGNATURE_BYTES)
#define FRAME_DIGEST_BYTES 32u
#define FRAME_DEPTH_MAX    5u
#define FRAME_PATH_MAX     ((size_t)FRAME_DIGEST_BYTES * FRAME_DEPTH_MAX)
/* What may follow the body. */
#define FRAME_TAIL_MAX    (CHAIN_BYTES + FRAME_PATH_MAX + SIGNATURE_BYTES)
#define FRAME_BODY_MAX    (FRAME_BYTES_MAX - FRAME_HEADER_BYTES - FRAME_TAIL_MAX)
#define FRAME_RECORDS_MAX 16384u
#define FRAME_TTL_MS_MAX  86400000u

_Static_assert(MESSAGE_BYTES_MAX + FRAME_RECORD_BYTES <= FRAME_BODY_MAX, "a message fits a frame");

#define FRAME_CHAIN      0x1u /* the certificate chain of the source is included */
#define FRAME_WANT_CHAIN 0x2u /* "I do not know your key: send your chain" */

/* Why a frame was refused; also the order of the checks (docs/SECURITY.md). */
enum frame_verdict {
    FRAME_OK,
    FRAME_SIZE, /* shorter than a header, longer than FRAME_BYTES_MAX, or a wrong length */
    FRAME_MAGIC,
    FRAME_VERSION,
    FRAME_SHAPE,         /* a field outside its range */
    FRAME_MESH,          /* another mesh */
    FRAME_SOURCE,        /* the source is not what the subject says */
    FRAME_RATE,          /* too many frames of its process, or too many bad ones (rate.h) */
    FRAME_DESTINATION,   /* not for this process, or not what the subject says */
    FRAME_UNKNOWN_KEY,   /* no chain for a key never seen: answer with FRAME_WANT_CHAIN */
    FRAME_OLD_SESSION,   /* a key or session older than the one in use */
    FRAME_CHAIN_INVALID, /* see the certificate verdict */
    FRAME_ROLE,          /* the role `sim` in a mesh that is not simulated */
    FRAME_CERT_EXPIRED,  /* the certificate of a known peer has run out */
    FRAME_FUTURE,        /* issued more than FRAME_SKEW_MS ahead of now */
    FRAME_EXPIRED,       /* its ttl is over */
    FRAME_BEFORE_START,  /* issued before this process started: a replay of an earlier life's */
    FRAME_REPLAY,        /* this seq was accepted before */
    FRAME_SEQ_OLD,       /* below the replay window */
    FRAME_PEERS_FULL,    /* a new peer beyond the table's limit */
    FRAME_SIGNATURE,
    FRAME_RECORDS, /* signed, but its records do not add up */
    FRAME_VERDICT_COUNT
};
const char *frame_verdict_name(enum frame_verdict v); /* "unknown-key" */

/* One port's sending side. Not shared between threads. */
struct frame_signer {
    struct endpoint self;
    struct session_key key;
    uint64_t session; /* random */
    uint64_t seq;     /* the last one used */
};

/* Starts or renews (a new key, session and epoch). scope NULL: the identity's. The verdict is that
 * of session_make; anything but CERT_OK leaves *signer as it was. */
enum cert_verdict frame_signer_start(struct frame_signer *signer, const struct identity *identity,
                                     uint16_t port, const struct unit_range *scope,
                                     uint32_t scope_count, int64_t now_ms);
/* Half of its life is over; or it has not begun, so that nobody takes its chain: it was made while
 * the clock was ahead. */
bool frame_signer_is_due(const struct frame_signer *signer, int64_t now_ms);

/* ---- building ---- */

/* Writes records straight into `bytes`, FRAME_BYTES_MAX of them, owned by the caller. */
struct frame_builder {
    uint8_t *bytes;
    size_t used; /* header included */
    uint16_t record_count;
};

void frame_begin(struct frame_builder *b, uint8_t *bytes);
/* Room for one record of up to bytes_max (<= MESSAGE_BYTES_MAX), or NULL: full, seal this frame and
 * begin another. A reservation ends with the commit or the next reservation. */
uint8_t *frame_reserve(struct frame_builder *b, size_t bytes_max);
void frame_commit(struct frame_builder *b, size_t bytes);
/* The last record, whose length field is at `at`, has `bytes` from now on. Room for them, and that
 * the body stays within FRAME_BODY_MAX, is the caller's to see to. */
void frame_resize(struct frame_builder *b, size_t at, size_t bytes);

struct frame_address {
    struct endpoint destination; /* empty token: every process */
    uint64_t known_kid;          /* the destination's key as known here (peers_kid), 0: none */
    bool with_chain;             /* see peers_needs_chain */
    bool want_chain;
    int64_t issued_ms;
    uint32_t ttl_ms; /* 1 to FRAME_TTL_MS_MAX */
};

/* Writes header and chain and takes the next seq. Returns the frame's length as long as it has a
 * signature of its own; that waits for frame_tree_sign, which may add a path. */
size_t frame_finish(struct frame_builder *b, struct frame_signer *signer,
                    const struct identity *identity, const struct frame_address *to);
/* The same, and signed alone. */
size_t frame_seal(struct frame_builder *b, struct frame_signer *signer,
                  const struct identity *identity, const struct frame_address *to);

/* ---- reading ---- */

/* The header of a frame; pointers into the frame's bytes. */
struct frame_view {
    struct route route;
    uint16_t flags;
    uint16_t record_count;
    uint64_t mesh, kid, session, seq, known_kid;
    int64_t issued_ms;
    uint32_t ttl_ms;
    const uint8_t *body;
    size_t body_bytes;
    const uint8_t *chain; /* CHAIN_BYTES or NULL */
    size_t leaf_bytes;    /* what its digest covers: all before the path */
    uint8_t leaf, depth;
};

/* Where a finished frame's path begins, and writes its place in a tree. For frame_tree.c. */
size_t frame_leaf_bytes(const uint8_t *bytes);
void frame_place(uint8_t *bytes, unsigned leaf, unsigned depth);

/* Size, magic, version and shape; no more than the header is looked at. *ret only with FRAME_OK. */
enum frame_verdict frame_parse(const uint8_t *bytes, size_t length, struct frame_view *ret);
bool frame_records_hold(const struct frame_view *view);

/* Walks the records of an accepted frame: *cursor starts at 0; false at the end. */
bool frame_next(const struct frame_view *view, size_t *cursor, const uint8_t **ret_record,
                size_t *ret_bytes);

#endif
