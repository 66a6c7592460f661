/* See lease.h for the states. All moves are in lease_reply and lease_tick, so a reader can check
 * the table of the header against two functions. */
#include "core/lease.h"
#include "core/plant.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

const char *lease_state_name(enum lease_state s)
{
    static const char *const names[] = {"asking", "waiting", "held", "unheld", "lost"};
    assert(s <= LEASE_LOST);
    return names[s];
}

void lease_init(struct lease *l, const char *name, const char *owner, uint64_t start_epoch,
                int64_t now_us)
{
    assert(l != NULL && name != NULL);
    assert(owner != NULL && start_epoch > 0);
    struct text t;
    memset(l, 0, sizeof(*l));
    text_init(&t, l->key, sizeof(l->key));
    text_add(&t, LEASE_KEY_PREFIX);
    text_add(&t, name);
    text_init(&t, l->owner, sizeof(l->owner));
    text_add(&t, owner);
    l->epoch = start_epoch;
    l->start_us = now_us;
    l->next_us = now_us;
}

void lease_alone(struct lease *l)
{
    assert(l != NULL);
    l->alone = true;
}

void lease_at_least(struct lease *l, uint64_t epoch)
{
    assert(l != NULL);
    if (l->state == LEASE_WAITING && !l->asked && epoch > l->epoch) {
        l->epoch = epoch;
    }
}

bool lease_serves(const struct lease *l)
{
    assert(l != NULL);
    return (l->state == LEASE_HELD || l->state == LEASE_UNHELD) && !l->doubt;
}

bool lease_doubted(const struct lease *l)
{
    assert(l != NULL);
    return l->doubt || l->state == LEASE_LOST;
}

static void fill(struct lease *l, enum store_kind kind, struct store_op *ret)
{
    *ret = (struct store_op){.ref = ++l->ref,
                             .kind = kind,
                             .shard = "mesh",
                             .key = l->key,
                             .owner = l->owner,
                             .ttl_us = LEASE_TTL_US};
    bool acquires = kind == STORE_LEASE_ACQUIRE;
    uint64_t least = l->granted > l->epoch ? l->granted : l->epoch;
    ret->epoch = acquires ? least : l->granted;
}

void lease_paused(struct lease *l, int64_t now_us)
{
    assert(l != NULL);
    if (PLANTED(PLANT_NO_DOUBT)) {
        return;
    }
    l->asked = false; /* what is on its way was said before the pause */
    if (l->state != LEASE_HELD) {
        return; /* unheld: there is nobody to ask; the others do not serve */
    }
    l->doubt = true;
    l->outlived = !l->alone && now_us - l->asked_us > LEASE_TTL_US;
    l->doubt_us = now_us;
    l->useless = false;
    l->next_us = now_us;
}

void lease_stand_by(struct lease *l, int64_t now_us)
{
    assert(l != NULL);
    l->state = LEASE_WAITING;
    l->granted = 0;
    l->asked = false;
    l->fenced = false;
    l->doubt = false;
    l->busy_since_us = 0;
    l->next_us = now_us;
}

void lease_superseded(struct lease *l)
{
    assert(l != NULL);
    l->state = LEASE_LOST;
    l->asked = false; /* a grant that is on its way would have the units run on as they are */
    l->taken = true;
    l->outlived = false;
    l->doubt = false;
}

/* A standby asks soon after the store is back, not at once. */
static void settle(struct lease *l, int64_t now_us, bool store_up)
{
    if (l->away && store_up && l->state == LEASE_WAITING) {
        l->next_us = now_us + LEASE_SETTLE_US;
    }
    l->away = !store_up;
}

bool lease_tick(struct lease *l, int64_t now_us, bool store_up, struct store_op *ret)
{
    assert(l != NULL);
    assert(ret != NULL);
    if (l->asked && now_us - l->asked_us > LEASE_ANSWER_US) {
        l->asked = false; /* its answer will not come */
        l->useless = true;
    }
    if (l->doubt && (!store_up || l->useless || l->asked) &&
        now_us - l->doubt_us > LEASE_PATIENCE_US) {
        l->doubt = false; /* nobody can say: epochs decide */
    }
    settle(l, now_us, store_up);
    if (l->state == LEASE_LOST || l->asked || now_us < l->next_us) {
        return false;
    }
    if (l->state == LEASE_ASKING && (!store_up || l->useless) &&
        now_us - l->start_us > LEASE_PATIENCE_US) {
        l->state = LEASE_UNHELD;
    }
    if (!store_up) {
        return false;
    }
    l->asking = l->state == LEASE_HELD ? STORE_LEASE_RENEW : STORE_LEASE_ACQUIRE;
    fill(l, l->asking, ret);
    l->asked = true;
    l->asked_us = now_us;
    l->next_us = now_us + (l->state == LEASE_HELD ? LEASE_RENEW_US : LEASE_RETRY_US);
    return true;
}

static void acquired(struct lease *l, uint64_t granted)
{
    bool served = l->state == LEASE_HELD || l->state == LEASE_UNHELD;
    uint64_t own = l->granted > l->epoch ? l->granted : l->epoch;
    if (served && (granted > own + 1 || l->outlived)) { /* one more: our own has expired */
        lease_superseded(l);
        l->taken = granted > own + 1; /* somebody else held it in between; else only may have */
        return;
    }
    if (!served && granted > l->epoch) {
        l->epoch = granted;
    }
    l->granted = granted;
    l->state = LEASE_HELD;
    l->busy_since_us = 0;
    l->fenced = false;
    l->taken = false;
    l->doubt = false;
}

/* epoch: the holder's. */
static void busy(struct lease *l, int64_t now_us, uint64_t epoch)
{
    bool serves = l->state == LEASE_HELD || l->state == LEASE_UNHELD;
    if (!serves && epoch >= l->epoch) {
        l->epoch = epoch + 1; /* whatever the store forgets until then */
    }
    if (l->state == LEASE_ASKING) {
        l->state = LEASE_WAITING;
    }
    if (l->state != LEASE_UNHELD) {
        l->taken = true;
        return;
    }
    if (l->fenced) { /* it was ours, and is another's now */
        lease_superseded(l);
        return;
    }
    /* It may be our own last life's: only one that is renewed is another owner's. */
    if (l->busy_since_us == 0) {
        l->busy_since_us = now_us;
    } else if (now_us - l->busy_since_us > 2 * LEASE_TTL_US) {
        lease_superseded(l);
    }
}

void lease_reply(struct lease *l, int64_t now_us, const struct store_reply *reply)
{
    assert(l != NULL);
    assert(reply != NULL);
    if (!l->asked || reply->kind != l->asking || reply->ref != l->ref) {
        return;
    }
    l->asked = false;
    if (reply->kind == STORE_LEASE_ACQUIRE && reply->verdict == STORE_OK) {
        acquired(l, reply->epoch);
    } else if (reply->kind == STORE_LEASE_ACQUIRE && reply->verdict == STORE_BUSY) {
        busy(l, now_us, reply->epoch);
    } else if (reply->kind == STORE_LEASE_RENEW && reply->verdict == STORE_OK) {
        l->outlived = false;
        l->doubt = false;
    } else if (reply->kind == STORE_LEASE_RENEW && reply->verdict == STORE_FENCED) {
        l->state = LEASE_UNHELD; /* expired or forgotten, or taken: acquiring will tell */
        l->fenced = true;
        l->next_us = now_us;
    } else if (reply->verdict != STORE_OK) {
        l->useless = true; /* unknown, read only, full: as good as no store */
        l->next_us = l->state == LEASE_WAITING ? now_us + LEASE_SETTLE_US : l->next_us;
    }
}

bool lease_release(struct lease *l, struct store_op *ret)
{
    assert(l != NULL);
    assert(ret != NULL);
    if (l->state != LEASE_HELD) {
        return false;
    }
    fill(l, STORE_LEASE_RELEASE, ret);
    return true;
}
