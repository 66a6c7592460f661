/* Bytes that grow up to a limit. */
#ifndef TIERS_WEB_BUFFER_H
#define TIERS_WEB_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *at; /* owned */
    size_t count, room;
};
/* False: over the limit, or no memory; what fits is kept. */
bool bytes_add(struct bytes *b, const void *at, size_t count, size_t most);
void bytes_done(struct bytes *b);

#endif
