/* Identities in memory for tests: one issuer, processes with any roles and scope, valid now. */
#ifndef TESTS_SUPPORT_IDENTITIES_H
#define TESTS_SUPPORT_IDENTITIES_H

#include "tiers/runner/clock.h"
#include "tiers/runner/keys.h"
#include <string.h>

static inline void identity_make(const struct key_pair *issuer, const char *token, uint16_t roles,
                                 const struct unit_range *scope, uint8_t count,
                                 struct identity *ret)
{
    int64_t now_s = clock_unix_us() / 1000000;
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->issuer_public, issuer->public_key, PUBLIC_BYTES);
    ret->mesh = issuer->kid;
    key_pair_make(&ret->key);
    ret->cert = (struct cert){.kind = CERT_PROCESS,
                              .roles = roles,
                              .scope_count = count,
                              .issuer_kid = issuer->kid,
                              .not_before_s = now_s - 86400,
                              .not_after_s = now_s + 20ll * 86400,
                              .epoch = 5};
    memcpy(ret->cert.scope, scope, count * sizeof(*scope));
    (void)endpoint_make(token, strlen(token), 0, &ret->cert.subject);
    memcpy(ret->cert.public_key, ret->key.public_key, PUBLIC_BYTES);
    cert_seal(&ret->cert, issuer->secret, ret->cert_bytes);
}

#endif
