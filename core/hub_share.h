/* Wide operations of the root go out in shares: hub_share.c. */
#ifndef CORE_HUB_SHARE_H
#define CORE_HUB_SHARE_H

#include "core/hub.h"

/* An operation to more sectors than HUB_SHARE_NARROW, background also to more than
 * HUB_SHARE_CHILDREN, goes out in shares, by priority:
 *
 * 0 and 1, always: to HUB_SHARE_GENTLE sectors; when half of a share have ended it rests
 *   HUB_SHARE_REST times as long as that took. Every HUB_SHARE_US the next share is due in any
 *   case.
 * 2, beside small ones: to HUB_SHARE_CHILDREN, and to HUB_SHARE_LEAST or more when some of them
 *   end. HUB_SHARE_WIDE_US after somebody has ended as many more are due, and each time twice as
 *   many. All have been sent to after HUB_SHARE_ALL_US.
 * 2 alone, and 3: to all at once.
 *
 * After a quarter of the operation's time all have been sent to, whatever it is. */
#define HUB_SHARE_PRIORITY 1u /* and below, always */
#define HUB_SHARE_BESIDE                                                                           \
    2u /* beside what is small; else this, and always the critical, goes at once */
#define HUB_SHARE_CHILDREN 8u
#define HUB_SHARE_LEAST    4u
#define HUB_SHARE_GENTLE   4u
#define HUB_SHARE_REST     2ll
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
