/* Tables that fit the terminal: what it has no room for is left out, the least important first
 * (`-o wide`, csv and json have all). Where no terminal is, all columns are there. */
#ifndef TIERS_CONSOLE_COLUMNS_H
#define TIERS_CONSOLE_COLUMNS_H

#include "tiers/console/render.h"
#include <stdint.h>

#define COLUMNS_MAX 16u
#define CELL_BYTES  128u /* with NUL */

struct column {
    const char *title;
    int width; /* of title and cells; the last column is not padded */
    bool left;
    unsigned rank; /* 0: always there; else the higher, the earlier it is left out */
};

/* The terminal's width; 0: there is none, or all columns are wanted. */
int columns_width(const struct render *r);

/* Which columns fit: bit i of the i-th. width 0: all. */
uint32_t columns_fit(const struct column columns[], size_t count, int width);

/* One line without its end; cells NULL: the titles. Returns its length, size - 1 at most. */
size_t columns_line(const struct column columns[], size_t count, uint32_t shown,
                    char cells[][CELL_BYTES], char *ret, size_t size);

#endif
