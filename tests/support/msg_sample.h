/* Random messages that keep the contract of core/msg.h, and their comparison field by field. For
 * round trips and as a corpus of mutations. */
#ifndef TESTS_SUPPORT_MSG_SAMPLE_H
#define TESTS_SUPPORT_MSG_SAMPLE_H

#include "core/msg.h"
#include "core/order.h"
#include "core/rng.h"
#include <stdbool.h>

enum sample_fill {
    SAMPLE_RANDOM, /* any field may be zero, small, or at its limit */
    SAMPLE_FULL    /* every field set, lists at their limits */
};

#define SAMPLE_BYTES 4194304u

struct sample {
    struct rng rng;
    const struct topology *topology;
    enum sample_fill fill;
    uint8_t *memory; /* SAMPLE_BYTES, 16-byte aligned, owned by the caller; reset by sample_msg() */
    size_t used;
};

/* What points out of *ret lies in s->memory until the next call. `variant` picks the kind of
 * messages that have kinds (rows, commands, replies). */
void sample_msg(struct sample *s, enum msg_type type, unsigned variant, struct msg *ret);
void sample_operation(struct sample *s, struct operation *ret);

/* NULL when all that travels is the same, else the name of the first field that is not. */
const char *sample_difference(const struct msg *a, const struct msg *b);
const char *sample_operation_difference(const struct operation *a, const struct operation *b);

#endif
