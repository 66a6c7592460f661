/* What the servers let each process do, made from the certificates in the keys directory: whoever
 * has a certificate there is a user, and nobody else. Nothing is allowed by pattern over names, and
 * nothing is denied by exception: lists of what is allowed only.
 *
 * NATS (an `authorization` block): a process publishes with its own source token only, to the
 * processes that its role has business with in its part of the tree, and to all; it hears itself
 * and what is for all. A process of the upper tiers hears who looks for services ($SRV.>) and may
 * answer each of them once; a console may look, with inboxes under its own name. Redis (an ACL
 * file): one user for each process, with the keys of its places.
 *
 * Standby counts: what a certificate's scope covers is what its process may come to own. */
#ifndef TIERS_RUNNER_PERMISSIONS_H
#define TIERS_RUNNER_PERMISSIONS_H

#include "tiers/runner/keyfiles.h"
#include <stdio.h>

#define PERMISSIONS_MAX 4096u /* certificates in one directory; one more is an error */
#define PERMISSION_ADMIN                                                                           \
    "admin" /* the Redis user that loads functions and looks after the server */

/* Whether frames may go from the holder of one certificate to that of another. */
bool permission_between(const struct cert *from, const struct cert *to);

/* Write to `out`, a stream. Who is revoked by trust.bundle is left out. 0 or a negative errno and
 * *why. */
int permissions_nats(const char *dir, FILE *out, struct keys_error *why);
int permissions_redis(const char *dir, FILE *out, struct keys_error *why);

#endif
