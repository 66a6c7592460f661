/* Signatures that frames share: every size of tree, every byte of it, and which roots are believed
 * without a second verification. */
#include "tiers/runner/frame_tree.h"

#include "tests/support/identities.h"
#include "tests/support/sign_alone.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES 1024u

static struct identity alice, mallory;
static struct frame_signer signer;
static uint8_t bytes[FRAME_TREE_MAX][BYTES];
static struct frame_unsigned frames[FRAME_TREE_MAX];

static int setup(void **state)
{
    (void)state;
    struct key_pair issuer;
    const struct unit_range scope = {unit_cluster(1, 1), unit_cluster(1, 1)};
    key_pair_make(&issuer);
    identity_make(&issuer, "alice", ROLE_CLUSTER, &scope, 1, &alice);
    identity_make(&issuer, "mallory", ROLE_CLUSTER, &scope, 1, &mallory);
    memset(&signer, 0, sizeof(signer));
    return frame_signer_start(&signer, &alice, 0, NULL, 0, clock_unix_us() / 1000) == CERT_OK ? 0
                                                                                              : -1;
}

static void sign(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct frame_builder b;
        struct frame_address to = {.issued_ms = 1, .ttl_ms = 1, .with_chain = i % 3 == 0};
        assert_true(endpoint_make("host", 4, i, &to.destination));
        frame_begin(&b, bytes[i]);
        memset(frame_reserve(&b, 100), (int)i, 1 + i);
        frame_commit(&b, 1 + i);
        frames[i] = (struct frame_unsigned){bytes[i], frame_finish(&b, &signer, &alice, &to)};
    }
    frame_tree_sign(frames, count, signer.key.key.secret);
}

static enum frame_proof proof(const uint8_t *frame, size_t length, struct frame_roots *roots)
{
    struct frame_view view;
    if (length < FRAME_BYTES_MIN)
        return FRAME_FORGED;
    uint8_t *copy = malloc(length); /* of the exact length, so that reading beyond it is found */
    assert_non_null(copy);
    memcpy(copy, frame, length);
    enum frame_proof p = frame_parse(copy, length, &view) == FRAME_OK
                             ? frame_tree_proof(copy, &view, signer.key.key.public_key, roots)
                             : FRAME_FORGED;
    free(copy);
    return p;
}

static void every_size_holds(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= FRAME_TREE_MAX; count++) {
        struct frame_roots roots = {0};
        sign(count);
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(proof(frames[i].bytes, frames[i].length, NULL), FRAME_PROVEN);
            assert_int_equal(proof(frames[i].bytes, frames[i].length, &roots),
                             i == 0 ? FRAME_PROVEN : FRAME_PROVEN_BEFORE);
        }
    }
}

static void a_frame_alone_is_what_the_text_says(void **state)
{
    (void)state;
    uint8_t again[BYTES];
    sign(1);
    memcpy(again, bytes[0], frames[0].length);
    sign_alone(again, frames[0].length, signer.key.key.secret);
    assert_memory_equal(again, bytes[0], frames[0].length);
}

/* The root of two, computed here. */
static void a_pair_is_what_the_text_says(void **state)
{
    (void)state;
    uint8_t full[64], node[80] = "mesh30k/node/2", root[48] = "mesh30k/root/2";
    sign(2);
    for (unsigned i = 0; i < 2; i++) {
        size_t leaf_bytes = frames[i].length - SIGNATURE_BYTES - FRAME_DIGEST_BYTES;
        (void)crypto_generichash(full, 64, bytes[i], leaf_bytes, NULL, 0);
        memcpy(node + 16 + (size_t)32 * i, full, 32);
        assert_memory_equal(bytes[1 - i] + frames[1 - i].length - SIGNATURE_BYTES - 32, full, 32);
    }
    (void)crypto_generichash(full, 64, node, sizeof(node), NULL, 0);
    memcpy(root + 16, full, 32);
    assert_int_equal(crypto_sign_verify_detached(bytes[0] + frames[0].length - SIGNATURE_BYTES,
                                                 root, sizeof(root), signer.key.key.public_key),
                     0);
}

/* Also where the honest root is remembered. */
static void no_byte_can_change(void **state)
{
    (void)state;
    struct frame_roots roots = {0};
    sign(5);
    assert_int_equal(proof(bytes[0], frames[0].length, &roots), FRAME_PROVEN);
    for (unsigned i = 3; i < 5; i++) {
        for (size_t at = 0; at < frames[i].length; at++) {
            for (unsigned bit = 1; bit < 256; bit <<= 3) {
                bytes[i][at] ^= (uint8_t)bit;
                assert_int_equal(proof(bytes[i], frames[i].length, &roots), FRAME_FORGED);
                bytes[i][at] ^= (uint8_t)bit;
            }
        }
        assert_int_equal(proof(bytes[i], frames[i].length, &roots), FRAME_PROVEN_BEFORE);
    }
}

static void a_path_proves_its_own_frame_only(void **state)
{
    (void)state;
    struct frame_roots roots = {0};
    uint8_t forged[BYTES];
    sign(4);
    assert_int_equal(proof(bytes[1], frames[1].length, &roots), FRAME_PROVEN);
    size_t tail = (size_t)2 * FRAME_DIGEST_BYTES + SIGNATURE_BYTES;
    size_t leaf_bytes = frames[1].length - tail;
    memcpy(forged, bytes[1], leaf_bytes);
    memcpy(forged + leaf_bytes, bytes[2] + frames[2].length - tail, tail);
    assert_int_equal(proof(forged, frames[1].length, &roots), FRAME_FORGED);
    /* Under another place, too. */
    forged[108] = 2;
    assert_int_equal(proof(forged, frames[1].length, &roots), FRAME_FORGED);
}

static void a_root_is_believed_of_its_signer_only(void **state)
{
    (void)state;
    struct frame_roots roots = {0};
    struct frame_signer other = {0};
    struct frame_view view;
    sign(2);
    assert_int_equal(proof(bytes[0], frames[0].length, &roots), FRAME_PROVEN);
    assert_int_equal(frame_signer_start(&other, &mallory, 0, NULL, 0, clock_unix_us() / 1000),
                     CERT_OK);
    assert_int_equal(frame_parse(bytes[1], frames[1].length, &view), FRAME_OK);
    assert_int_equal(frame_tree_proof(bytes[1], &view, other.key.key.public_key, &roots),
                     FRAME_FORGED);
    /* What was refused is not remembered. */
    assert_int_equal(frame_tree_proof(bytes[1], &view, other.key.key.public_key, &roots),
                     FRAME_FORGED);
    assert_int_equal(roots.count, 1);
}

static void the_oldest_root_makes_room(void **state)
{
    (void)state;
    struct frame_roots roots = {0};
    uint8_t first[2][BYTES];
    size_t length[2];
    sign(2);
    for (unsigned i = 0; i < 2; i++) {
        length[i] = frames[i].length;
        memcpy(first[i], bytes[i], length[i]);
    }
    assert_int_equal(proof(first[0], length[0], &roots), FRAME_PROVEN);
    for (unsigned i = 1; i < FRAME_ROOTS; i++) {
        sign(2);
        assert_int_equal(proof(bytes[0], frames[0].length, &roots), FRAME_PROVEN);
    }
    assert_int_equal(proof(first[1], length[1], &roots), FRAME_PROVEN_BEFORE);
    sign(2);
    assert_int_equal(proof(bytes[0], frames[0].length, &roots), FRAME_PROVEN);
    assert_int_equal(proof(first[1], length[1], &roots), FRAME_PROVEN); /* verified anew */
    assert_int_equal(roots.count, FRAME_ROOTS);
}

static void a_frame_alone_takes_no_row(void **state)
{
    (void)state;
    struct frame_roots roots = {0};
    sign(1);
    assert_int_equal(proof(bytes[0], frames[0].length, &roots), FRAME_PROVEN);
    assert_int_equal(roots.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_holds),
        cmocka_unit_test(a_frame_alone_is_what_the_text_says),
        cmocka_unit_test(a_pair_is_what_the_text_says),
        cmocka_unit_test(no_byte_can_change),
        cmocka_unit_test(a_path_proves_its_own_frame_only),
        cmocka_unit_test(a_root_is_believed_of_its_signer_only),
        cmocka_unit_test(the_oldest_root_makes_room),
        cmocka_unit_test(a_frame_alone_takes_no_row),
    };
    if (keys_start() < 0)
        return 1;
    return cmocka_run_group_tests(tests, setup, NULL);
}
