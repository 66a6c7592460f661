/* Which context each of the lead's agents is meant to hold (cluster_content.c). */
#ifndef TIERS_CLUSTER_CLUSTER_CONTENT_H
#define TIERS_CLUSTER_CLUSTER_CONTENT_H

#include "core/content.h"

/* Masks are of members. */
struct lead_contents {
    uint64_t named;   /* wanted[i] says what */
    uint64_t settled; /* held it, in this life */
    uint64_t differs; /* its last beat told of another */
    uint64_t due;     /* to be told, now */
    uint8_t wanted[AGENTS_PER_CLUSTER_MAX][CONTENT_HASH];
};

#endif
