/* Facts: what a host or its operator says of an agent, as name=value (os=debian12,
 * memory_mib=4096), and conditions on them that select agents.
 *
 * Facts travel as one text: pairs in the order of their names, one space between them, each name
 * once. Names: a-z, 0-9, '_', '.', '-', from a letter on. Values: printable ASCII but for spaces
 * and , = ! < > * ? " \. Bounds: FACTS_MAX, FACTS_BYTES_MAX, FACT_NAME_MAX, FACT_VALUE_MAX.
 *
 * Conditions are joined by commas and must all hold:
 *
 *     os=debian12  gpu=*  os=debian*  host=node-?   equal; * is any text, ? any character
 *     os!=debian12  gpu!=*                          not so, or no such fact at all
 *     memory_mib>=4096  kernel<6.2                  numbers in both are compared as numbers
 *
 * An ordered condition (< <= > >=) holds only for a fact that begins with a digit. Bounds:
 * WHERE_MAX, WHERE_BYTES_MAX. */
#ifndef CORE_FACTS_H
#define CORE_FACTS_H

#include "core/limits.h"
#include <stdbool.h>
#include <stddef.h>

/* Whether it may stand in a value. */
bool facts_char(char c);

/* Sets one fact in a text of this form (FACTS_BYTES_MAX bytes). NULL, or what is wrong: then it is
 * as before. */
const char *facts_set(char facts[FACTS_BYTES_MAX], const char *name, size_t name_bytes,
                      const char *value, size_t value_bytes);

/* Pairs joined by commas or spaces, as people write them, on top of what `facts` has. NULL, or what
 * is wrong: *ret_at is the pair's first character. */
const char *facts_read(const char *text, char facts[FACTS_BYTES_MAX], size_t *ret_at);

/* Whether it is the one form in which facts travel. */
bool facts_valid(const char *text);

/* The value of a fact, not NUL-terminated; NULL: there is none. */
const char *facts_value(const char *facts, const char *name, size_t name_bytes, size_t *ret_bytes);

/* Conditions as people write them (spaces around them, "facts." before a name and == for = are
 * passed over) into the form in which they travel. NULL, or what is wrong: *ret_at is the first
 * character of the condition. */
const char *where_read(const char *text, char ret[WHERE_BYTES_MAX], size_t *ret_at);

/* Whether it is the one form in which conditions travel; "" is. */
bool where_valid(const char *text);

/* Whether all conditions of a valid `where` hold for valid `facts`. "" holds for all. */
bool facts_match(const char *facts, const char *where);

#endif
