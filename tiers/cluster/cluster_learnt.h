/* The registry's fields and records of what a lead has learnt about speed. */
#ifndef TIERS_CLUSTER_CLUSTER_LEARNT_H
#define TIERS_CLUSTER_CLUSTER_LEARNT_H

#include "tiers/cluster/cluster_record.h"

/* Of one agent. */
bool learnt_differs(const struct cluster *c, const struct member *m); /* and it is time to say so */
void learnt_record(const struct member *m, struct record *r);
void learnt_history_record(const struct member *m, struct record *r);
/* A member's row of the roster; what is known better already stays. */
/* The impedance of its last minutes, at another lead. */
void learnt_history_read(struct cluster *c, int64_t now_us, uint32_t i,
                         const struct store_row *row);
void learnt_read(struct cluster *c, uint32_t i, const struct store_row *row);

/* Of a class. due: one that is to be written; wanted: one that has not been read yet. */
bool learnt_prior_due(const struct cluster *c, int64_t now_us, uint32_t *ret_class);
void learnt_prior_record(const struct cluster *c, uint32_t k, char ret_key[STORE_KEY_MAX],
                         struct record *r);
void learnt_prior_written(struct cluster *c, int64_t now_us, uint32_t k);
bool learnt_prior_wanted(const struct cluster *c, char ret_key[STORE_KEY_MAX], uint32_t *ret_class);
void learnt_prior_read(struct cluster *c, uint32_t k, const struct store_reply *reply);

#endif
