/* The orchestrator's side of the chain of orders (order.h): giving, sending, repeating.
 *
 * An order is given once: numbered, chained and kept; then it goes to all children that are there.
 * Children tell their head with each beat: what one has missed is sent to it again, from those that
 * are kept or from the latest STATE on; one that starts anew begins with that STATE. A head that is
 * not in this chain, and yet of this epoch, is a fork: somebody gives orders in this name, or that
 * child lies. */
#ifndef CORE_HUB_ORDER_H
#define CORE_HUB_ORDER_H

#include "core/hub.h"
#include "core/order.h"

#define HUB_ORDER_AGAIN_US (250ll * US_PER_MS) /* younger ones may be on their way */
#define HUB_ORDER_ABOVE_US US_PER_S            /* no more often on account of forks */
#define HUB_ORDER_JUMP_MAX (1ull << 20)        /* nor further */

struct order_kept {
    struct order order; /* seq 0: none */
    union {
        struct order_state state;
        struct order_moves moves;
        struct order_grows grows;
    } part;
    uint8_t head[ORDER_HASH]; /* after it */
    int64_t given_us;
};

struct order_chain {
    digest_fn *digest;
    struct order_head head;  /* epoch: the own; seq 0: none given so far */
    struct order_head prior; /* until then: the latest of epochs before that a child told */
    uint64_t state_seq;      /* of the latest STATE */
    uint64_t sent;           /* to all children, up to this number .. */
    uint32_t sent_block;     /* .. and of the next to these blocks of 64 */
    bool heard;              /* a child's beat came */
    bool state_due;
    bool complete;                 /* of the next STATE: what stands still is known */
    uint64_t forks;                /* so often one was told */
    uint64_t forked[GATHER_WORDS]; /* children that told one, until they agree */
    uint64_t forks_seen;           /* of them, looked at by the orchestrator */
    bool logged;                   /* that the chain has begun */
    int64_t above_us;              /* the chain went on above one last */
    uint64_t told[SECTORS_MAX];    /* by child: the number that it has, of this chain */
    struct order_kept kept[ORDERS_KEPT];
};

void hub_order_init(struct hub *h, struct order_chain *c, const struct node_conf *conf);

/* Gives an order; seq and prev are filled in here. False: as many as are kept have not left yet,
 * and it was not given. */
bool hub_order(struct hub *h, const struct order *order);
/* Whether one may be given that has time: some places are left to what has not. */
bool hub_order_room(struct hub *h);
void hub_order_state(struct hub *h); /* what a STATE says has changed: one is given in this step */
void hub_order_freeze(struct hub *h, enum msg_type type, const struct freeze *freeze);

void hub_order_heard(struct hub *h, uint32_t child, const struct beat *beat);
void hub_order_pump(struct hub *h); /* of a sector: nothing */
/* Children that have all orders. */
uint32_t hub_order_agree(const struct hub *h);
uint32_t hub_order_forked(const struct hub *h); /* that have told of a fork */

#endif
