/* A process's lease on a name and so on the units that belong to it: who runs them, and under which
 * epoch (design 6). A process has one for its own name, and one for each name that it stands by for
 * (wards.h).
 *
 *     ASKING    nothing heard yet; after LEASE_PATIENCE_US without a store, or with one that has
 *               failed to answer (silence, unknown, read only, full), it serves unheld
 *     WAITING   another process holds the name: stand by until its lease has expired, and while
 *               the store cannot say so
 *     HELD      renewed every LEASE_RENEW_US
 *     UNHELD    serving without a store, under the start time as epoch; acquires when it comes back
 *     LOST      another process took over: stop serving, then lease_stand_by()
 *
 * After a pause of its own (lease_paused) a holder is in doubt: it serves nobody until the store
 * has said that it still holds the name, or LEASE_PATIENCE_US have passed without a usable answer.
 * Where the pause outlived the lease and it has to be acquired again, it is LOST even if nobody
 * else holds it: somebody may have served without the store, known to all but the store. (Not where
 * nobody stands by: lease_alone.)
 *
 * A store that forgot the lease (restarted empty) is no takeover: the lease is acquired again, and
 * only an owner that lives, or an epoch that somebody else has used, means LOST. Pure: the caller
 * gives times and carries the operations to the store. */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include "core/store.h"
#include <stdbool.h>
#include <stdint.h>

/* Its key in the store, of the shard mesh: this and the name of the process. */
#define LEASE_KEY_PREFIX "lease:"

#define LEASE_TTL_US      4000000ll
#define LEASE_RENEW_US    1000000ll
#define LEASE_RETRY_US    500000ll
#define LEASE_PATIENCE_US 1000000ll
#define LEASE_ANSWER_US   2000000ll /* an operation without an answer by then is asked again */
/* Who waits for a name lets its holder ask first, for so long, when the store is back: all leases
 * have ended meanwhile, and the holder's units may have what they could not write. */
#define LEASE_SETTLE_US 3000000ll
#define LEASE_PAUSE_US  2000000ll /* a process that stood still for so long doubts its leases */

enum lease_state { LEASE_ASKING, LEASE_WAITING, LEASE_HELD, LEASE_UNHELD, LEASE_LOST };
const char *lease_state_name(enum lease_state s);

struct lease {
    enum lease_state state;
    char key[STORE_KEY_MAX];
    char owner[STORE_KEY_MAX];
    uint64_t epoch;   /* of the running process, once it serves */
    uint64_t granted; /* by the store; 0: never */
    uint64_t ref;     /* of the operation under way, or of the last one */
    int64_t start_us, next_us, asked_us, busy_since_us, doubt_us;
    bool asked;    /* an operation is under way */
    bool away;     /* the store was, at the last tick */
    bool useless;  /* an operation has ended without a grant or a refusal; for ASKING */
    bool outlived; /* it stood still past the lease's end, so anybody may have served meanwhile */
    bool alone;    /* nobody stands by for the name */
    bool fenced;   /* UNHELD: a renewal was refused; who is busy then has taken over */
    bool taken; /* WAITING, LOST: another is known to have it; else it is not known whose it is */
    bool doubt; /* since doubt_us */
    enum store_kind asking;
};

/* start_epoch: Unix microseconds at start, or the least one that will do. (Not seconds: a store
 * that forgets its leases twice within one gave two owners one epoch.) owner: different for each
 * process. Both are copied; longer ones are cut. */
void lease_init(struct lease *l, const char *name, const char *owner, uint64_t start_epoch,
                int64_t now_us);

/* Nobody stands by for the name (agents): a pause past the lease's end is no loss in itself. Who
 * was started under the same name meanwhile has acquired it under a higher epoch, and that is one.
 * Once, after lease_init. */
void lease_alone(struct lease *l);

/* True: *ret is to be submitted (strings borrow from l). Call several times a second. */
bool lease_tick(struct lease *l, int64_t now_us, bool store_up, struct store_op *ret);
void lease_reply(struct lease *l, int64_t now_us, const struct store_reply *reply);

/* The process stood still until now: a holder doubts. */
void lease_paused(struct lease *l, int64_t now_us);

/* WAITING, and nothing is asked: the next acquisition is for this epoch at least. */
void lease_at_least(struct lease *l, uint64_t epoch);

/* Nobody is served any more: WAITING, until the lease can be acquired under a higher epoch. */
void lease_stand_by(struct lease *l, int64_t now_us);

/* Another owner is known to serve under a higher epoch: LOST. */
void lease_superseded(struct lease *l);

/* On a clean stop, or when the name's own process is back; false: nothing is held. */
bool lease_release(struct lease *l, struct store_op *ret);

/* HELD or UNHELD, without a doubt: the epoch is settled. */
bool lease_serves(const struct lease *l);

/* In doubt, or lost and not stood by for yet: what runs under it must do nothing. */
bool lease_doubted(const struct lease *l);

#endif
