/* The host's Unix clock as a witness of mesh time.
 *
 * Where the kernel says that its clock is disciplined (NTP, PTP), it knows Unix time better than
 * any path can tell: asymmetry does not reach it. Mesh time runs beside Unix time at a distance
 * that the root knows when its own host is disciplined; it is told down the tree with each reply
 * (struct time_reply). A node on a disciplined host adds it to its own Unix time and has mesh time
 * with a bound that is the sum of both hosts' (struct host_clock), often a fraction of what its
 * path leaves open.
 *
 * A witness, not the judge: what contradicts the four timestamps (meshtime.h) is not believed and
 * not heard again for HOSTTIME_DOUBT_US, so that a step, a leap second that one host has had and
 * the other not, a smeared second or a wrong time server never moves mesh time. A host that says
 * that it is not disciplined is not heard at all. */
#ifndef CORE_HOSTTIME_H
#define CORE_HOSTTIME_H

#include "core/meshtime.h"

#define HOSTTIME_DOUBT_US     (600ll * 1000000)
#define HOSTTIME_FRESH_US     (120ll * 1000000) /* what is older, by the local clock, is not used */
#define HOSTTIME_ERROR_US_MAX 1000000           /* a worse clock is no witness */

/* What a host says of its clock (EV_CLOCK), Linux: adjtimex(2). */
struct host_clock {
    int64_t unix_us;      /* at the event's now_us */
    int64_t error_us;     /* bound: maxerror */
    int64_t estimated_us; /* likely: esterror */
    bool synchronised;    /* else the rest says nothing */
};

struct hosttime {      /* 56 bytes: every agent has one */
    int64_t offset_us; /* Unix - local clock, at at_us */
    int64_t at_us;
    int64_t ahead_us; /* mesh - Unix, as the root measured it; heard at ahead_at_us */
    int64_t ahead_at_us;
    int64_t doubt_until_us; /* not heard before */
    uint32_t error_us, estimated_us, ahead_error_us;
    bool synchronised;
    bool told; /* ahead_us holds */
    bool used; /* the last that it said was taken */
};

void hosttime_init(struct hosttime *ht);

/* EV_CLOCK. Any values are safe. */
void hosttime_clock(struct hosttime *ht, int64_t now_us, const struct host_clock *clock);

/* From the parent's reply: mesh - Unix and its bound; MESHTIME_UNKNOWN: it does not know. */
void hosttime_told(struct hosttime *ht, int64_t now_us, int64_t ahead_us, int64_t error_us);

/* Lets the host bear witness, if it can. True: it did, and was believed. */
bool hosttime_apply(struct hosttime *ht, struct meshtime *mt, int64_t now_us);

/* For the children: mesh - Unix now, and its bound (MESHTIME_UNKNOWN: not known). The root measures
 * it, the others pass it on. */
void hosttime_ahead(const struct hosttime *ht, const struct meshtime *mt, int64_t now_us,
                    int64_t *ret_ahead_us, int64_t *ret_error_us);

#endif
