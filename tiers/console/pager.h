/* Long answers at the prompt go through $PAGER ("less -FRX" without one), short ones straight to
 * the terminal. Only where stdout is a terminal; PAGER set to nothing, or to cat, switches it off.
 */
#ifndef TIERS_CONSOLE_PAGER_H
#define TIERS_CONSOLE_PAGER_H

#include <stddef.h>
#include <stdio.h>

struct pager {
    FILE *to; /* NULL: nothing is being collected */
    char *text;
    size_t bytes;
};

/* A stream that collects what is to be shown; owned by the pager. NULL: write to stdout. */
FILE *pager_open(struct pager *p);

/* Shows what was collected, if anything, and forgets it. Returns when the pager was left. */
void pager_show(struct pager *p);

#endif
