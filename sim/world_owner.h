/* Announcements of sectors to hosts; only sim/world*.c include it. */
#ifndef SIM_WORLD_OWNER_H
#define SIM_WORLD_OWNER_H

#include "sim/world_int.h"

void world_owner_announce(struct world *w, uint32_t sector);
/* Whether this host is told of it. */
bool world_owner_heard(struct world *w, uint32_t host, const struct world_msg *wm);
void world_owner_forget(struct world *w, uint32_t host); /* it starts */

#endif
