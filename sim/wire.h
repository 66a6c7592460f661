/* The product's own acceptance in a world: what agents say is encoded, put into a frame, signed
 * with Ed25519 and judged by the code of the real runner (tiers/runner: frame.c, peers.c,
 * ingress.c) before a lead sees it. The world knows it by these functions only, so that it does not
 * depend on the runner. Each agent is a process of its own with a certificate for itself and the
 * capabilities of its class; each node that receives is one, too. What is honest shares its
 * signature with a second frame that left at the same time for somebody else (frame_tree.h).
 * Nothing here depends on the bytes of keys. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "core/node.h"
#include "core/topology.h"

#define WIRE_FRAME_MAX 65536u

enum wire_forgery {
    WIRE_HONEST,
    WIRE_ALTERED,  /* a byte of the record was changed after signing */
    WIRE_GRAFTED,  /* one that was never signed, with the shared signature of one that was */
    WIRE_STOLEN,   /* under the neighbour's name and key, with a number far ahead, unsigned */
    WIRE_FORGERIES /* a message in another's name is honest here: the scope has to stop it */
};

enum wire_verdict {
    WIRE_TAKEN,
    WIRE_SIGNATURE,
    WIRE_SCOPE,
    WIRE_CAPABILITY,
    WIRE_REPLAY,
    WIRE_EXPIRED,
    WIRE_FUTURE,
    WIRE_OTHER
};

struct world_wire {
    void *(*open)(const struct topology *t, uint32_t nodes, int64_t now_ms);
    void (*close)(void *wire);
    /* A frame of agent `agent` (linear index) to the node `to`; returns its length, 0: the codec
     * refuses the message. */
    uint32_t (*seal)(void *wire, uint32_t agent, uint32_t to, const struct msg *msg, int64_t now_ms,
                     enum wire_forgery forgery, uint32_t neighbour, uint8_t ret[WIRE_FRAME_MAX]);
    /* What the process of `node`, an instance of the unit at `place`, makes of it; *ret borrows
     * until the next call. */
    enum wire_verdict (*take)(void *wire, uint32_t node, uint32_t place, const uint8_t *bytes,
                              uint32_t length, int64_t now_ms, struct msg *ret);
    void (*forget)(void *wire, uint32_t node);                           /* its process has ended */
    void (*grant)(void *wire, uint32_t node, const struct grant *grant); /* of the lead there */
};
extern const struct world_wire wire_real; /* wire.c */

#endif
