/* Wide operations of the root go out in shares: hub_share.c. */
#ifndef CORE_HUB_SHARE_H
#define CORE_HUB_SHARE_H

#include "core/hub.h"

/* Background to more than HUB_SHARE_CHILDREN sectors, and others to more than twice as many, go to
 * so many at once, and to HUB_SHARE_LEAST or more when some of them end. When the step is over as
 * many more are due in any case: background every HUB_SHARE_US, others HUB_SHARE_WIDE_US after
 * somebody has ended, and each time twice as many. All have been sent to after a quarter of the
 * operation's time at the latest, and after HUB_SHARE_ALL_US unless it is background. */
#define HUB_SHARE_PRIORITY 1u /* and below, always */
#define HUB_SHARE_BESIDE                                                                           \
    2u /* beside what is small; else this, and always the critical, goes at once */
#define HUB_SHARE_CHILDREN 8u
#define HUB_SHARE_LEAST    4u
#define HUB_SHARE_US       (250ll * US_PER_MS)
#define HUB_SHARE_WIDE_US  (50ll * US_PER_MS)
#define HUB_SHARE_ALL_US   (500ll * US_PER_MS)
#define HUB_SHARE_NARROW                                                                           \
    16u /* an operation to so few sectors, or agents that are drawn, is small .. */
#define HUB_SHARE_SMALL_US (2ll * US_PER_S) /* .. and for so long after it more are expected */

void hub_queue(struct hub *h, struct flight *f); /* hub_operate.c: it has something to send */

/* After the children are expected; `go` has those that can be sent to. */
void hub_share_begin(struct hub *h, struct gather *g, struct flight *f, const struct operation *op);
void hub_share_more(struct hub *h, struct gather *g, struct flight *f); /* some have ended */
void hub_share_tick(struct hub *h);
bool hub_share_waits(const struct flight *f, uint32_t child); /* it was not sent to yet */

#endif
