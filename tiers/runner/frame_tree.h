/* One signature for the frames that one signer sends in one go: that of the root of a hash tree
 * (R. Merkle, "A Certified Digital Signature", 1989; the audit paths of RFC 9162, 2.1.3). A lead
 * that has something to say to 500 hosts signs 16 times, and a process that hosts several of the
 * receivers verifies each root once; a receiver alone pays five more hashes of 80 bytes.
 *
 *     digest   the first 32 bytes of a BLAKE2b-512 (RFC 7693)
 *     leaf     digest of the frame from its first byte to its path
 *     node     digest of "mesh30k/node/2" NUL NUL || left || right
 *     signed   Ed25519 over "mesh30k/root/2" NUL NUL || root
 *
 * Leaves are padded to a power of two with zeros. A leaf begins with the frame's magic, so none can
 * be taken for a node; its place in the tree is in its header. A frame alone is a tree of depth 0.
 */
#ifndef TIERS_RUNNER_FRAME_TREE_H
#define TIERS_RUNNER_FRAME_TREE_H

#include "tiers/runner/frame.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_TREE_MAX (1u << FRAME_DEPTH_MAX) /* frames under one signature */
#define FRAME_ROOTS    16u

/* A frame from frame_finish, in a buffer with room for FRAME_PATH_MAX bytes more. */
struct frame_unsigned {
    uint8_t *bytes;
    size_t length; /* in: frame_finish's; out: with the path */
};

/* Any thread: 1 to FRAME_TREE_MAX frames of the signer that the secret belongs to. */
void frame_tree_sign(struct frame_unsigned *frames, unsigned count,
                     const uint8_t secret[SECRET_BYTES]);

/* The last roots whose signature held, for one thread; starts as zeros. The oldest makes room. */
struct frame_roots {
    struct {
        uint8_t root[FRAME_DIGEST_BYTES];
        uint8_t signature[SIGNATURE_BYTES];
        uint8_t public_key[PUBLIC_BYTES];
    } rows[FRAME_ROOTS];
    unsigned count, next;
};

enum frame_proof {
    FRAME_FORGED,
    FRAME_PROVEN,
    FRAME_PROVEN_BEFORE /* no signature was verified for it */
};

/* Whether the owner of the key has signed this frame, which frame_parse made `view` of. roots:
 * NULL, or those of the caller's thread. */
enum frame_proof frame_tree_proof(const uint8_t *bytes, const struct frame_view *view,
                                  const uint8_t public_key[PUBLIC_BYTES],
                                  struct frame_roots *roots);

#endif
