/* The checkers, one file each; the order in `checks` (check.c) is that of judging. */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "sim/judge.h"

extern const struct check check_sums;       /* one final state a target, the states add up */
extern const struct check check_once;       /* nothing executes twice */
extern const struct check check_ttl;        /* nothing executes after its TTL */
extern const struct check check_order;      /* nothing overtakes within a cluster and priority */
extern const struct check check_epoch;      /* nothing happens under a stale epoch */
extern const struct check check_owner;      /* one owner a unit and epoch */
extern const struct check check_rights;     /* capabilities hold; the frozen begin nothing */
extern const struct check check_work;       /* what is acknowledged was done */
extern const struct check check_bounds;     /* queues within their limits */
extern const struct check check_deadline;   /* nothing stays open past its deadline */
extern const struct check check_service;    /* healthy agents stay in service */
extern const struct check check_modes;      /* modes follow the spec's thresholds */
extern const struct check check_breakers;   /* breakers, too */
extern const struct check check_signed;     /* nothing unsigned is believed */
extern const struct check check_quarantine; /* the quarantined get nothing */
extern const struct check check_context;    /* agents hold what they tell of */
extern const struct check check_chain;      /* orders in their chain, each once */
extern const struct check check_log;        /* append only; acknowledged is durable */
extern const struct check check_jobs;       /* an id that was told is not forgotten */

/* No limit of docs/adr/0033 was met so far: whatever was told outlives the orchestrator. */
bool check_jobs_kept(const struct judge *j);

#endif
