/* UTF-8 that comes from outside: what of it may be shown, and where it may be cut. Pure. */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the one printable character beyond ASCII that begins here; 0: none. Control characters,
 * and what would turn the order of a line around, are none. left: 1 or more. */
size_t utf8_printable(const uint8_t *at, size_t left);

/* Of so many bytes how many hold whole characters: those of one that is not all there yet at the
 * end are left out. Bytes that are no UTF-8 are left as they are. */
size_t utf8_whole(const uint8_t *at, size_t count);

/* How many bytes to pass over (3 at most) so that a text that was cut begins with a character. */
size_t utf8_begin(const uint8_t *at, size_t count);

#endif
