/* Registry records under construction, and what of a member's record is new. */
#ifndef TIERS_CLUSTER_CLUSTER_RECORD_H
#define TIERS_CLUSTER_CLUSTER_RECORD_H

#include "core/text.h"
#include "tiers/cluster/cluster_state.h"

/* Of all records of one write, which lie one behind the other. */
#define RECORD_FIELDS_MAX (STORE_PUTS_MAX * 32u)

/* Names are static, values lie in `memory`, each behind the one before. One field too many is a bug
 * (assert); a value is cut to STORE_FIELD_VALUE_MAX. */
struct record {
    uint32_t count; /* fields */
    uint32_t used;  /* bytes of `memory` */
    struct store_field fields[RECORD_FIELDS_MAX];
    char memory[RECORD_FIELDS_MAX * STORE_FIELD_VALUE_MAX + 8u]; /* a NUL may follow the last */
};

void record_init(struct record *r);
void record_u64(struct record *r, const char *name, uint64_t value);
void record_unit(struct record *r, const char *name, struct unit u);
void record_text(struct record *r, const char *name, const char *value);
void record_fixed(struct record *r, const char *name, double value, unsigned decimals);
void record_hex(struct record *r, const char *name, const uint8_t *bytes, size_t count);

/* The fields of member i that `what` names (DIRTY_ bits). */
void record_member(const struct cluster *c, uint32_t i, uint32_t what, struct record *r);
/* Which differ from what was written last; and that all of them are written now. */
uint32_t record_diff(const struct cluster *c, uint32_t i);
void record_written(struct cluster *c, uint32_t i, uint32_t what);

/* What stood still when, and what waited; false: nothing is frozen. */
bool record_snapshot(const struct cluster *c, struct record *r);
/* The fields that a summary and a minute of the history share. */
void record_summary(const struct summary *s, struct record *r);

#endif
