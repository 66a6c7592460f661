/* libFuzzer: trust bundles. Whatever decodes encodes again to the same bytes, and none holds whose
 * roots are not ours. */
#include "tiers/runner/trust.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trust_roots roots;
    static struct trust trust;
    static uint8_t again[TRUST_BYTES_MAX];
    static bool ready;
    if (!ready) {
        struct key_pair pair;
        if (keys_start() < 0)
            abort();
        for (unsigned i = 0; i < ROOTS_MAX; i++) {
            key_pair_make(&pair);
            memcpy(roots.public_keys[i], pair.public_key, PUBLIC_BYTES);
        }
        ready = true;
    }
    if (trust_decode(data, size, &trust) != TRUST_OK)
        return 0;
    size_t length = trust_encode(&trust, again);
    if (length > size || memcmp(again, data, length - 1) != 0)
        abort();
    if (trust_verify(data, size, &roots, trust.mesh, trust.not_before_s, 0, NULL, 0, &trust) ==
        TRUST_OK)
        abort();
    return 0;
}
