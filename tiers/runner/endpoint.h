/* Names of frame signers and the bus subjects made from them.
 *
 * An endpoint is a process token ("cluster-03": 1 to 16 of [a-z0-9-]) and a port. Port 0 is the
 * process itself; a process may own up to PORTS_MAX ports, each a signer of its own (a simulated
 * host, for one). Subjects:
 *
 *     mesh.p.<dst token>.<dst port>.<src token>.<src port>     one frame to one endpoint
 *     mesh.all.<src token>.<src port>                          one frame to every process
 *
 * The bus lets a process publish only with its own source token, so the subject proves the process
 * and the signature proves the port (design 5). */
#ifndef TIERS_RUNNER_ENDPOINT_H
#define TIERS_RUNNER_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_MAX   16u /* bytes, without the NUL */
#define PORTS_MAX   32768u
#define SUBJECT_MAX 64u /* with NUL; the longest subject has 52 bytes */

/* A token is NUL-terminated and zero-padded, so endpoints compare by memcmp of the token. The empty
 * token as a destination means every process (`mesh.all`). */
struct endpoint {
    char token[TOKEN_MAX + 1];
    uint16_t port;
};

/* Where a frame came from and went to, as its subject says. */
struct route {
    struct endpoint source;
    struct endpoint destination; /* empty token: broadcast */
};

/* False, and *ret is untouched, unless text is a valid token and port < PORTS_MAX. */
bool endpoint_make(const char *token, size_t token_bytes, uint32_t port, struct endpoint *ret);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
bool endpoint_is_broadcast(const struct endpoint *e);
uint64_t endpoint_hash(const struct endpoint *e);
bool token_valid(const char *token, size_t bytes);

/* The subject of a route; returns its length. */
size_t subject_format(const struct route *route, char ret[SUBJECT_MAX]);

/* The reverse. Strict: ports have no leading zeros, nothing is left over. */
bool subject_parse(const char *subject, struct route *ret);

#endif
