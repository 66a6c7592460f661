/* A hardware token's credential as the console's machine keeps it, in its keys folder:
 *
 *     NAME.KID.token    operator, algorithm, public key, and the id by which the token finds the
 * key
 *
 * A key file (keyfiles.h) without a secret: the private key never leaves the token, and without the
 * token the id opens nothing. What decides is the trust bundle, not this file. */
#ifndef TIERS_CONSOLE_HWCREDENTIAL_H
#define TIERS_CONSOLE_HWCREDENTIAL_H

#include "tiers/runner/keyfiles.h"
#include "tiers/runner/trust.h"

#define HWCREDENTIAL_ID_MAX 400u /* bytes; tokens in use have 16 to 200 */

struct hwcredential {
    struct trust_hwtoken token;
    uint16_t id_bytes;
    uint8_t id[HWCREDENTIAL_ID_MAX];
};

int hwcredential_store(const char *dir, const struct hwcredential *c, struct keys_error *why);
int hwcredential_load(const char *path, struct hwcredential *ret, struct keys_error *why);
/* That of the token in the trust bundle. -ENOENT: it is not on this machine. */
int hwcredential_find(const char *dir, const struct trust_hwtoken *token, struct hwcredential *ret,
                      struct keys_error *why);
void hwcredential_path(const char *dir, const struct trust_hwtoken *token, char *ret, size_t size);

#endif
