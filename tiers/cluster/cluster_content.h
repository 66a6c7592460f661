/* Which context each of the lead's agents is meant to hold (cluster_content.c). */
#ifndef TIERS_CLUSTER_CLUSTER_CONTENT_H
#define TIERS_CLUSTER_CLUSTER_CONTENT_H

#include "core/content.h"

/* Fetches from neighbours (cluster_sync.c): the first is for an agent of here. */
#define LEAD_FETCHES_MAX     4u
#define LEAD_FETCH_MEMBER_US (500ll * 1000)      /* for one holder's answer */
#define LEAD_FETCH_SECTOR_US (8ll * 1000 * 1000) /* it asks others, one after the other */

enum lead_fetch_stage { FETCH_NONE, FETCH_MEMBER, FETCH_SECTOR };

struct lead_fetch {
    enum lead_fetch_stage stage; /* who is asked now */
    uint8_t member, asked;       /* for whom; which agent */
    uint64_t tried;
    int64_t until_us;
    uint8_t hash[CONTENT_HASH];
};

/* Masks are of members. */
struct lead_contents {
    uint64_t named;   /* wanted[i] says what */
    uint64_t settled; /* held it, in this life */
    uint64_t differs; /* its last beat told of another */
    uint64_t due;     /* to be told, now */
    uint64_t given;   /* were sent it from a neighbour; the next beat shows it */
    uint64_t lied;    /* gave what does not hash to its key: never asked again */
    struct unit given_by, synced_from, synced_far_from;
    uint32_t synced, synced_far, refused;
    bool fetched; /* neighbours were asked for one of those that are due */
    struct lead_fetch fetches[LEAD_FETCHES_MAX];
    uint8_t (*wanted)[CONTENT_HASH]; /* each member's */
};

#endif
