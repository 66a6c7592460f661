/* unit -> 32-bit number, by open addressing: which node, which destination. */
#ifndef TIERS_RUNNER_UNITMAP_H
#define TIERS_RUNNER_UNITMAP_H

#include "core/unit.h"
#include <stdbool.h>
#include <stdint.h>

#define UNITMAP_NONE UINT32_MAX

struct unitmap_slot {
    uint64_t key; /* unit_pack(), never 0 for a unit */
    uint32_t value;
};

struct unitmap {
    struct unitmap_slot *slots;
    uint32_t count, mask;
};

bool unitmap_init(struct unitmap *m, uint32_t expected); /* false: no memory */
void unitmap_done(struct unitmap *m);

/* UNITMAP_NONE when not there. */
uint32_t unitmap_get(const struct unitmap *m, struct unit u);
/* Adds or replaces; grows by itself. False: no memory. */
bool unitmap_put(struct unitmap *m, struct unit u, uint32_t value);

#endif
