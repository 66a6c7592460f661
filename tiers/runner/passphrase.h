/* A process key that is kept encrypted: NAME.key.sealed instead of NAME.key, under a passphrase
 * (Argon2id, then XSalsa20-Poly1305). For operators without a hardware token; `mesh status` says
 * that it is the weaker choice. The public half stands in the clear, so certificates are renewed
 * without it.
 *
 * The file is a key file (keyfiles.h) of: public key[32], salt[16], passes u32, memory u32 in KiB,
 * nonce[24], sealed seed[48]. */
#ifndef TIERS_RUNNER_PASSPHRASE_H
#define TIERS_RUNNER_PASSPHRASE_H

#include "tiers/runner/keyfiles.h"
#include <stdbool.h>

#define PASSPHRASE_MIN 12u  /* characters */
#define PASSPHRASE_MAX 256u /* with NUL */

#define OPERATOR_SESSION_S (INT64_C(8) * 3600) /* then the passphrase is asked for again */

/* Asks twice where `twice`; from /dev/tty without echo, or with fd >= 0 one line from there.
 * -ENOTTY: there is nobody to ask. Wipe ret. */
int passphrase_ask(const char *prompt, int fd, bool twice, char ret[PASSPHRASE_MAX],
                   struct keys_error *why);

/* Whether NAME's key is encrypted in dir. */
bool passphrase_is_needed(const char *dir, const char *name);

/* NAME.key becomes NAME.key.sealed, and back. */
int passphrase_seal(const char *dir, const char *name, const char *passphrase,
                    struct keys_error *why);
int passphrase_unseal(const char *dir, const char *name, const char *passphrase,
                      struct keys_error *why);

/* The key for use. -EACCES: the passphrase is wrong. Wipe ret. */
int passphrase_open(const char *dir, const char *name, const char *passphrase, struct key_pair *ret,
                    struct keys_error *why);
int passphrase_public(const char *dir, const char *name, uint8_t ret[PUBLIC_BYTES],
                      struct keys_error *why);

#endif
