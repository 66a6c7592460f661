/* A tree is built level by level in one array: leaf i's sibling on a level is (i >> level) ^ 1. An
 * absent sibling is 32 zeros, which nobody can make a digest of; a whole absent pair stays zeros
 * without being hashed, which both sides need not agree on, since only siblings are sent.
 *
 * A remembered root is taken only with the very signature and key that held: a frame whose last 64
 * bytes were changed is refused like any other. Bounds: 32 frames, 5 levels, 16 roots. */
#include "tiers/runner/frame_tree.h"
#include "core/plant.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define DOMAIN_BYTES 16u
static const char node_domain[DOMAIN_BYTES] = "mesh30k/node/2";
static const char root_domain[DOMAIN_BYTES] = "mesh30k/root/2";

typedef uint8_t digest[FRAME_DIGEST_BYTES];

static void digest_of(const uint8_t *bytes, size_t length, digest ret)
{
    uint8_t full[64];
    (void)crypto_generichash(full, sizeof(full), bytes, length, NULL, 0);
    memcpy(ret, full, FRAME_DIGEST_BYTES);
}

static void node_of(const digest left, const digest right, digest ret)
{
    uint8_t input[DOMAIN_BYTES + 2 * FRAME_DIGEST_BYTES];
    memcpy(input, node_domain, DOMAIN_BYTES);
    memcpy(input + DOMAIN_BYTES, left, FRAME_DIGEST_BYTES);
    memcpy(input + DOMAIN_BYTES + FRAME_DIGEST_BYTES, right, FRAME_DIGEST_BYTES);
    digest_of(input, sizeof(input), ret);
}

static void root_input(const digest root, uint8_t ret[DOMAIN_BYTES + FRAME_DIGEST_BYTES])
{
    memcpy(ret, root_domain, DOMAIN_BYTES);
    memcpy(ret + DOMAIN_BYTES, root, FRAME_DIGEST_BYTES);
}

static unsigned depth_of(unsigned count)
{
    unsigned depth = 0;
    while (1u << depth < count)
        depth++;
    return depth;
}

/* Writes each frame's siblings on this level, and makes the level above in place. */
static void level_up(struct frame_unsigned *frames, unsigned count, unsigned level, digest *nodes)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *path = frames[i].bytes + frame_leaf_bytes(frames[i].bytes);
        memcpy(path + (size_t)level * FRAME_DIGEST_BYTES, nodes[(i >> level) ^ 1],
               FRAME_DIGEST_BYTES);
    }
    unsigned parents = ((count - 1) >> (level + 1)) + 1;
    for (unsigned i = 0; i < parents; i++)
        node_of(nodes[(size_t)2 * i], nodes[(size_t)2 * i + 1], nodes[i]);
    memset(nodes[parents], 0, sizeof(digest) * (FRAME_TREE_MAX - parents));
}

void frame_tree_sign(struct frame_unsigned *frames, unsigned count,
                     const uint8_t secret[SECRET_BYTES])
{
    assert(frames && secret);
    assert(count > 0 && count <= FRAME_TREE_MAX);
    digest nodes[FRAME_TREE_MAX];
    memset(nodes, 0, sizeof(nodes));
    unsigned depth = depth_of(count);
    for (unsigned i = 0; i < count; i++) {
        size_t leaf_bytes = frame_leaf_bytes(frames[i].bytes);
        assert(frames[i].length == leaf_bytes + SIGNATURE_BYTES);
        frame_place(frames[i].bytes, i, depth);
        digest_of(frames[i].bytes, leaf_bytes, nodes[i]);
    }
    for (unsigned level = 0; level < depth; level++)
        level_up(frames, count, level, nodes);
    uint8_t input[DOMAIN_BYTES + FRAME_DIGEST_BYTES], signature[SIGNATURE_BYTES];
    root_input(nodes[0], input);
    (void)crypto_sign_detached(signature, NULL, input, sizeof(input), secret);
    for (unsigned i = 0; i < count; i++) {
        frames[i].length += (size_t)depth * FRAME_DIGEST_BYTES;
        memcpy(frames[i].bytes + frames[i].length - SIGNATURE_BYTES, signature, SIGNATURE_BYTES);
    }
}

static void root_of(const uint8_t *bytes, const struct frame_view *view, digest ret)
{
    const uint8_t *path = bytes + view->leaf_bytes;
    digest_of(bytes, view->leaf_bytes, ret);
    for (unsigned level = 0; level < view->depth; level++, path += FRAME_DIGEST_BYTES) {
        if (view->leaf >> level & 1)
            node_of(path, ret, ret);
        else
            node_of(ret, path, ret);
    }
}

static bool roots_have(const struct frame_roots *roots, const digest root, const uint8_t *signature,
                       const uint8_t *public_key)
{
    for (unsigned i = 0; i < roots->count; i++) {
        if ((memcmp(roots->rows[i].root, root, FRAME_DIGEST_BYTES) == 0 ||
             PLANTED(PLANT_TREE_ROOT)) &&
            memcmp(roots->rows[i].signature, signature, SIGNATURE_BYTES) == 0 &&
            memcmp(roots->rows[i].public_key, public_key, PUBLIC_BYTES) == 0)
            return true;
    }
    return false;
}

static void roots_add(struct frame_roots *roots, const digest root, const uint8_t *signature,
                      const uint8_t *public_key)
{
    unsigned at = roots->next;
    memcpy(roots->rows[at].root, root, FRAME_DIGEST_BYTES);
    memcpy(roots->rows[at].signature, signature, SIGNATURE_BYTES);
    memcpy(roots->rows[at].public_key, public_key, PUBLIC_BYTES);
    roots->next = (at + 1) % FRAME_ROOTS;
    roots->count = roots->count < FRAME_ROOTS ? roots->count + 1 : FRAME_ROOTS;
}

enum frame_proof frame_tree_proof(const uint8_t *bytes, const struct frame_view *view,
                                  const uint8_t public_key[PUBLIC_BYTES], struct frame_roots *roots)
{
    assert(bytes && view && public_key);
    assert(view->depth <= FRAME_DEPTH_MAX && view->leaf >> view->depth == 0);
    digest root;
    root_of(bytes, view, root);
    const uint8_t *signature = bytes + view->leaf_bytes + (size_t)view->depth * FRAME_DIGEST_BYTES;
    /* A frame with a root of its own will not be met again: it is not worth a row. */
    bool shared = roots && view->depth > 0;
    if (shared && roots_have(roots, root, signature, public_key))
        return FRAME_PROVEN_BEFORE;
    uint8_t input[DOMAIN_BYTES + FRAME_DIGEST_BYTES];
    root_input(root, input);
    if (crypto_sign_verify_detached(signature, input, sizeof(input), public_key) != 0)
        return FRAME_FORGED;
    if (shared)
        roots_add(roots, root, signature, public_key);
    return FRAME_PROVEN;
}
