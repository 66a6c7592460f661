/* A process's lease on its name: who runs, and under which epoch (design 6).
 *
 *     ASKING    nothing heard yet; after LEASE_PATIENCE_US without a store, or with one that has
 *               failed to answer (silence, unknown, read only, full), it serves unheld
 *     WAITING   another process holds the name: stand by until its lease has expired, and while
 *               the store cannot say so
 *     HELD      renewed every LEASE_RENEW_US
 *     UNHELD    serving without a store, under the start time as epoch; acquires when it comes back
 *     LOST      another process took over: stop serving
 *
 * A store that forgot the lease (restarted empty) is no takeover: the lease is acquired again, and
 * only an owner that lives, or an epoch that somebody else has used, means LOST. Pure: the caller
 * gives times and carries the operations to the store. */
#ifndef TIERS_RUNNER_LEASE_H
#define TIERS_RUNNER_LEASE_H

#include "core/store.h"
#include <stdbool.h>
#include <stdint.h>

#define LEASE_TTL_US      4000000ll
#define LEASE_RENEW_US    1000000ll
#define LEASE_RETRY_US    500000ll
#define LEASE_PATIENCE_US 1000000ll
#define LEASE_ANSWER_US   2000000ll /* an operation without an answer by then is asked again */

enum lease_state { LEASE_ASKING, LEASE_WAITING, LEASE_HELD, LEASE_UNHELD, LEASE_LOST };
const char *lease_state_name(enum lease_state s);

struct lease {
    enum lease_state state;
    char key[STORE_KEY_MAX];
    char owner[STORE_KEY_MAX];
    uint64_t epoch;   /* of the running process, once it serves */
    uint64_t granted; /* by the store; 0: never */
    int64_t start_us, next_us, asked_us, busy_since_us;
    bool asked;   /* an operation is under way */
    bool useless; /* an operation has ended without a grant or a refusal; for ASKING */
    enum store_kind asking;
};

/* start_epoch: Unix seconds at start. owner: different for each process. */
void lease_init(struct lease *l, const char *name, const char *owner, uint64_t start_epoch,
                int64_t now_us);

/* True: *ret is to be submitted (strings borrow from l). Call several times a second. */
bool lease_tick(struct lease *l, int64_t now_us, bool store_up, struct store_op *ret);
void lease_reply(struct lease *l, int64_t now_us, const struct store_reply *reply);

/* On a clean stop; false: nothing is held. */
bool lease_release(struct lease *l, struct store_op *ret);

/* HELD or UNHELD: the epoch is settled. */
bool lease_serves(const struct lease *l);

#endif
