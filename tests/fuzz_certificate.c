/* libFuzzer: certificates and chains. Whatever decodes encodes again to the same bytes, and no
 * chain that was not signed by the issuer holds. */
#include "tiers/runner/keys.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct key_pair issuer;
    struct cert process, session;
    uint8_t again[CERT_BYTES];
    if (issuer.kid == 0) {
        if (keys_start() < 0)
            abort();
        key_pair_make(&issuer);
    }
    if (size < CERT_BYTES || cert_decode(data, &process) != CERT_OK)
        return 0;
    cert_seal(&process, issuer.secret, again);
    if (memcmp(again, data, CERT_BYTES - SIGNATURE_BYTES) != 0)
        abort();
    if (size >= CHAIN_BYTES && cert_decode(data + CERT_BYTES, &session) == CERT_OK) {
        (void)chain_check(&process, &session, session.issuer_kid, process.issuer_kid,
                          process.not_before_s);
        if (chain_verify(data, issuer.public_key, process.not_before_s, &process, &session) ==
            CERT_OK)
            abort();
    }
    return 0;
}
