/* Signs the bytes of one frame whatever its header says, as a member of the mesh with valid keys
 * could: docs/SECURITY.md, "Frames", written once more from the text. */
#ifndef TESTS_SUPPORT_SIGN_ALONE_H
#define TESTS_SUPPORT_SIGN_ALONE_H

#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

static inline void sign_alone(uint8_t *bytes, size_t length, const uint8_t *secret)
{
    uint8_t input[48] = "mesh30k/root/2", digest[64];
    assert(length > crypto_sign_BYTES);
    size_t leaf_bytes = length - crypto_sign_BYTES;
    (void)crypto_generichash(digest, sizeof(digest), bytes, leaf_bytes, NULL, 0);
    memcpy(input + 16, digest, 32);
    (void)crypto_sign_detached(bytes + leaf_bytes, NULL, input, sizeof(input), secret);
}

#endif
