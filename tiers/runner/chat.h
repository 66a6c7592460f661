/* Agents that talk to each other, for load tests (spec 8.2): two actions that simulated agents have
 * and real ones have not. `chat` makes an agent send messages to others for a while, `hear` takes
 * one in. What was said, what was heard and how long it was on its way are counted a process. */
#ifndef TIERS_RUNNER_CHAT_H
#define TIERS_RUNNER_CHAT_H

#include "tiers/runner/handlers.h"
#include "tiers/runner/metrics.h"

#define CHAT_TTL_US      (2500ll * US_PER_MS) /* of one message; its author repeats it till then */
#define CHAT_BYTES_LEAST 16u                  /* when it was sent (boot clock), and a number */

/* `chat` or `hear`; NULL: neither.
 *
 * chat's payload: "MEAN_MS SECONDS BYTES FAR_PERMILLE": one message of BYTES bytes every MEAN_MS on
 * average (between half and one and a half of it) for SECONDS seconds, to another agent of its
 * cluster, or, FAR_PERMILLE of them, to one of any cluster. */
const struct handler_ops *chat_find(const char *action);

void chat_metrics(struct page *page); /* nothing as long as nobody talked */

#endif
