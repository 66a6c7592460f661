/* Talks to hardware tokens (FIDO2) through libfido2: makes a credential, has a session signed. What
 * it returns is checked by whoever gets it (hwtoken.h); nothing here decides.
 *
 * User verification always: the token's own (a fingerprint) where it has been set up, else its PIN,
 * which is asked for on the terminal only, and is locked and wiped. Waits HWDEVICE_TOUCH_S for the
 * touch at most. Errors: one line that says what to do. */
#ifndef TIERS_CONSOLE_HWDEVICE_H
#define TIERS_CONSOLE_HWDEVICE_H

#include "tiers/console/hwcredential.h"
#include "tiers/runner/hwtoken.h"
#include "tiers/runner/passphrase.h"

#define HWDEVICE_TOUCH_S 30
#define HWDEVICE_KEYS    16u /* of one operator that are tried */

/* Who sits in front of it. */
struct hwdevice_user {
    /* The PIN, as passphrase_ask: 0, -ENOTTY: there is no terminal, or another error. Wiped by the
     * caller. */
    int (*pin)(void *ctx, char ret[PASSPHRASE_MAX], struct keys_error *why);
    void (*tell)(void *ctx, const char *line); /* "touch it now" */
    void *ctx;
};
/* The terminal: PIN from /dev/tty without echo, lines to stderr. */
extern const struct hwdevice_user hwdevice_terminal;

/* A new credential of the one token that is plugged in; known: those of this operator so far, of
 * which none may be on it. */
int hwdevice_enroll(const struct hwdevice_user *user, uint64_t mesh, const char *operator_name,
                    const struct hwcredential *known, uint32_t known_count,
                    struct hwcredential *ret, struct keys_error *why);

/* Has the challenge signed by whichever of the credentials a token is plugged in for; fills in kid,
 * authenticator data and signature. */
int hwdevice_sign(const struct hwdevice_user *user, uint64_t mesh, const struct hwcredential *keys,
                  uint32_t count, const uint8_t challenge[HWTOKEN_HASH_BYTES],
                  struct hwtoken_proof *proof, struct keys_error *why);

#endif
