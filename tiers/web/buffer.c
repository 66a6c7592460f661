#include "tiers/web/buffer.h"
#include <stdlib.h>
#include <string.h>

bool bytes_add(struct bytes *b, const void *at, size_t count, size_t most)
{
    size_t fits = b->count >= most ? 0 : most - b->count;
    size_t take = count < fits ? count : fits;
    if (b->count + take > b->room) {
        size_t room = b->room == 0 ? 1024 : b->room;
        while (room < b->count + take) {
            room *= 2;
        }
        uint8_t *grown = realloc(b->at, room);
        if (grown == NULL) {
            return false;
        }
        b->at = grown;
        b->room = room;
    }
    if (take > 0) {
        memcpy(b->at + b->count, at, take);
    }
    b->count += take;
    return take == count;
}

void bytes_done(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}
