/* Orders: what the orchestrator has its sectors do, as one chain for all of them (docs/adr/0030).
 *
 * Each order has the next number of its orchestrator's epoch, and names the head before it: the
 * BLAKE2b-256 over the order before, which names the one before that. So two sectors with the same
 * head have taken the same orders in the same sequence, and nobody can leave one out, put one in,
 * or tell two sectors different things without a head that tells.
 *
 * A sector takes an order only when it continues the head that it has. It starts a chain, or goes
 * on after a gap that cannot be filled any more, with a STATE only, which says all that stands.
 * Every sector gets every order; what is none of its business it only counts. */
#ifndef CORE_ORDER_H
#define CORE_ORDER_H

#include "core/freezer.h"
#include "core/msg.h"
#include <stdbool.h>
#include <stdint.h>

/* Given ones that the orchestrator can repeat, and heads that a sector can compare with. */
#define ORDERS_KEPT     32u
#define ORDER_BYTES_MAX 4880u

enum order_what {
    ORDER_STATE = 1, /* the mode, what is not counted on, the mesh breaker, what stands still */
    ORDER_FREEZE,
    ORDER_THAW,
    ORDER_CIRCUIT, /* a breaker by hand */
    ORDER_HEAL,
    ORDER_ISOLATE, /* quarantine, lift, bar, avoid, believe: conflict.h */
    ORDER_CANCEL,  /* an operation; whoever does not have it has nothing to do */
    ORDER_MOVES,   /* who lives elsewhere (move.h): all that has begun, after each STATE again */
    ORDER_GROWS,   /* which spare places are open to newcomers (grow.h), likewise */
    ORDER_WHAT_COUNT
};

struct order_state {
    /* Of number 1: the last order that is known of the epoch before; `prev` is its digest. */
    uint64_t prior_epoch, prior_seq;
    enum mode mode;
    bool mesh_open; /* the mesh breaker */
    bool complete;  /* nothing else stands still by its orders; else: at least this does */
    uint64_t excluded[CLASS_COUNT]; /* routing.h; [CLASS_NONE] is not used */
    uint32_t frozen_count;
    struct freeze frozen[FREEZER_SCOPES_MAX];
};

#define ORDER_MOVES_MAX 40u

struct order_moves {
    uint32_t count; /* 1 or more */
    struct move list[ORDER_MOVES_MAX];
};

#define ORDER_GROWS_MAX 100u

struct order_grows {
    uint32_t count; /* 1 or more */
    struct grow list[ORDER_GROWS_MAX];
};

struct order {
    uint64_t seq;
    /* When it was sent: from this number on the orchestrator can send them all again, so that what
     * is missing of those is no reason to go on with a STATE. 0: not said. Not of the digest. */
    uint64_t kept_from;
    uint8_t prev[ORDER_HASH];
    enum order_what what;
    union {
        const struct order_state *state;
        struct freeze freeze; /* FREEZE, THAW */
        struct circuit_msg circuit;
        struct heal heal;
        struct isolate isolate;
        struct cancel cancel;
        const struct order_moves *moves;
        const struct order_grows *grows;
    } u;
};

/* The head after this order: the digest over its one form in bytes (docs/PROTOCOL.md). */
void order_digest(digest_fn *digest, uint64_t epoch, const struct order *o,
                  uint8_t ret[ORDER_HASH]);

/* Of a sector: the chain that it has taken. All zero at first. */
struct order_follow {
    struct order_head head;
    uint64_t seqs[ORDERS_KEPT]; /* by seq % ORDERS_KEPT: whose head is kept there, of head.epoch */
    uint8_t heads[ORDERS_KEPT][ORDER_HASH];
};

enum order_verdict {
    ORDER_TAKEN,
    ORDER_RESYNC,     /* taken: a STATE that starts a chain, or goes on after a gap */
    ORDER_OTHER_PAST, /* taken like RESYNC; but it names another past than the one known here */
    ORDER_AGAIN,      /* known: a repetition */
    ORDER_GAP,        /* one before it is missing, and can be had: to be asked for */
    ORDER_OLD,        /* a number that is too old to compare, or of an epoch before */
    ORDER_FORK,       /* another order of this number is known, or it continues another chain */
    ORDER_VERDICT_COUNT
};
const char *order_verdict_name(enum order_verdict v); /* "fork" */

/* Takes the order into the chain, if it belongs there. */
enum order_verdict order_take(struct order_follow *f, digest_fn *digest, uint64_t epoch,
                              const struct order *o);

/* The first 8 bytes of a digest as a number, for notes and people. */
uint64_t order_short(const uint8_t hash[ORDER_HASH]);

#endif
