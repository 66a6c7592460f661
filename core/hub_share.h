/* Background operations (priority 0) of the root go out in shares: hub_share.c. */
#ifndef CORE_HUB_SHARE_H
#define CORE_HUB_SHARE_H

#include "core/hub.h"

/* So many sectors at once, and so many more when some of them end, or after HUB_SHARE_US; all have
 * been sent to after a quarter of the operation's time at the latest. */
#define HUB_SHARE_CHILDREN 8u
#define HUB_SHARE_US       (250ll * US_PER_MS)

void hub_queue(struct hub *h, struct flight *f); /* hub_operate.c: it has something to send */

/* After the children are expected; `go` has those that can be sent to. */
void hub_share_begin(struct hub *h, struct gather *g, struct flight *f, const struct operation *op);
void hub_share_more(struct hub *h, struct gather *g, struct flight *f); /* some have ended */
void hub_share_tick(struct hub *h);
bool hub_share_waits(const struct flight *f, uint32_t child); /* it was not sent to yet */

#endif
