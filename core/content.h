/* Contexts by their content (docs/adr/0027): what an agent has loaded is named by what it is, so
 * that two that hold the same say the same, and nobody can pass one off as another.
 *
 * A context is 1 to CONTENT_BYTES_MAX bytes. Its key in the blobs of the registry is their
 * BLAKE2b-256; its name, as agents report it (current_context_hash), the first half of that. */
#ifndef CORE_CONTENT_H
#define CORE_CONTENT_H

#include "core/limits.h"
#include "core/operation.h"
#include "core/order_head.h"
#include <stdbool.h>
#include <stdint.h>

#define CONTENT_BYTES_MAX PAYLOAD_BYTES_MAX /* one payload, one chunk of a blob */
#define CONTENT_HASH      32u               /* bytes */
#define CONTENT_REF_BYTES 69u               /* "blob:" and 64 hex digits */

/* The action that loads one. Its payload is the context itself, which is put into the registry
 * before the agent says READY, or "blob:" and the key of one that is there already. */
#define CONTENT_ACTION "context-load"
/* The action that only puts its payload into the registry. Both answer "blob:KEY n bytes". */
#define CONTENT_PUT "context-put"

/* A context on its way from who holds it to who is to (docs/adr/0027). */
struct content_word {
    uint8_t hash[32];   /* its key */
    bool ask;           /* else the answer */
    struct unit holder; /* answer: the agent that gave it; TIER_NONE: nobody has it */
    uint32_t bytes;     /* of body: CONTENT_BYTES_MAX at most; 0: nobody has it */
    const uint8_t *body;
};

/* The key of what this operation loads; false: it loads nothing, as no agent's own message does.
 * payload_hash must be set, as in every sealed operation. */
bool content_of(const struct operation *op, uint8_t ret[CONTENT_HASH]);

/* "blob:HEX", not terminated. False, ret untouched, when text is anything else. */
bool content_ref_parse(const uint8_t *text, uint32_t bytes, uint8_t ret[CONTENT_HASH]);
void content_ref_format(const uint8_t hash[CONTENT_HASH], uint8_t ret[CONTENT_REF_BYTES]);

/* 64 hex digits. False, ret untouched, when text is anything else. */
bool content_hex_parse(const char *text, uint32_t bytes, uint8_t ret[CONTENT_HASH]);

/* Whether these bytes are what the key names: whoever got them from somewhere asks before it holds
 * them. */
bool content_sound(digest_fn *digest, const uint8_t key[CONTENT_HASH], const uint8_t *bytes,
                   uint32_t count);

struct id128 content_name(const uint8_t hash[CONTENT_HASH]);

#endif
