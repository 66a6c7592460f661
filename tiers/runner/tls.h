/* X.509 for the links to NATS: a certificate authority of the mesh's own and one certificate for
 * each process. Frames do not depend on any of it: their keys and certificates are in keys.h. What
 * TLS adds is secrecy, and an identity that the server can hold subjects to.
 *
 * Files in the keys directory, PEM, Ed25519, secrets with mode 0600:
 *
 *     ca.key, ca.crt               the authority; ca.key is needed for issuing only
 *     NAME.tls.key, NAME.tls.crt   a process: one URI name, mesh://<mesh id>/p/NAME, client use
 *     nats.tls.key, nats.tls.crt   the server: TLS_SERVER_NAME and the loopback's names, server use
 *                                  only
 *
 * The two uses are apart, so a stolen process cannot pose as the server. Lives: as the process
 * certificate's; the authority's is ten years. */
#ifndef TIERS_RUNNER_TLS_H
#define TIERS_RUNNER_TLS_H

#include "tiers/runner/keyfiles.h"
#include <stdbool.h>
#include <stdint.h>

#define TLS_SERVER_NAME "nats.mesh" /* what a client expects, wherever the server listens */
#define TLS_SERVER_FILE "nats"      /* so no process may have this name */

/* Makes the authority where there is none; never overwrites. 0 or a negative errno and *why. */
int tls_init(const char *dir, struct keys_error *why);

/* A new key and certificate for `name`, replacing those that were there. TLS_SERVER_FILE: the
 * server's. */
int tls_issue(const char *dir, const char *name, uint64_t mesh, int64_t now_s, int64_t life_s,
              struct keys_error *why);

/* Whether a process's pair, and the authority's certificate beside it, are what a link needs. 0, or
 * negative and in *why which file, and what is wrong with it. */
int tls_check(const char *dir, const char *name, uint64_t mesh, int64_t now_s,
              struct keys_error *why);

/* After a pair was replaced, but not to the end: NAME.next.tls.key becomes NAME.tls.key when
 * NAME.tls.crt is for it; else nothing is done. Before a link is made. */
int tls_settle(const char *dir, const char *name, struct keys_error *why);

/* Whether NAME.tls.crt began so long ago, and is to be replaced. False: later, or there is none. */
bool tls_is_older(const char *dir, const char *name, int64_t now_s, int64_t age_s);

/* The certificate for a key that is somewhere else, as PEM text of *ret_bytes without NUL. */
int tls_certify(const char *dir, const char *name, uint64_t mesh,
                const uint8_t public_key[PUBLIC_BYTES], int64_t now_s, int64_t life_s, char *ret,
                size_t size, size_t *ret_bytes, struct keys_error *why);
/* The other side: writes NAME.tls.key of that pair, and what came for it; ca is PEM text. */
int tls_import(const char *dir, const char *name, const struct key_pair *pair, const char *cert,
               size_t cert_bytes, const char *ca, size_t ca_bytes, struct keys_error *why);

/* "mesh://<16 hex digits>/p/<name>": the user that NATS maps the certificate to. */
void tls_uri(uint64_t mesh, const char *name, char *ret, size_t size);

#endif
