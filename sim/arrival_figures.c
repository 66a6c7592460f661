/* Sums, ratios and percentiles of an arrival run. Counts of several seeds are added before anything
 * is divided, so a figure over three seeds is one over all their messages. */
#include "sim/arrival.h"
#include <assert.h>
#include <math.h>
#include <stddef.h>

static void add_score(struct arrival_score *into, const struct arrival_score *from)
{
    into->count += from->count;
    into->within += from->within;
    into->loss += from->loss;
    into->sampled += from->sampled;
    for (int w = 0; w < 3; w++) {
        into->hit[w] += from->hit[w];
        into->hold[w] += from->hold[w];
        into->sampled_hit[w] += from->sampled_hit[w];
    }
}

static void add_counts(uint32_t *into, const uint32_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        into[i] += from[i];
    }
}

void arrival_merge(struct arrival_result *into, const struct arrival_result *from)
{
    assert(into != NULL && from != NULL);
    assert(into != from);
    for (int m = 0; m < ARRIVAL_METHODS; m++) {
        for (int b = 0; b < BIN_COUNT; b++) {
            add_score(&into->bins[b][m], &from->bins[b][m]);
        }
        for (int c = 0; c < CLASS_COUNT; c++) {
            add_score(&into->classes[c][m], &from->classes[c][m]);
        }
        for (uint32_t k = 0; k < ARRIVAL_REROUTE_ROUNDS; k++) {
            into->reroute[k][m].count += from->reroute[k][m].count;
            into->reroute[k][m].within += from->reroute[k][m].within;
        }
        add_counts(into->aimed[m], from->aimed[m], ARRIVAL_ERRORS);
        add_counts(into->held[m], from->held[m], ARRIVAL_ERRORS);
    }
    add_counts(into->lasting, from->lasting, ARRIVAL_ERRORS);
    add_counts(into->clock, from->clock, ARRIVAL_CLOCK_ERRORS);
    add_counts(into->floor, from->floor, ARRIVAL_CLOCK_ERRORS);
    into->messages += from->messages;
    into->state_bytes = from->state_bytes;
}

const char *arrival_method_name(enum arrival_method m)
{
    static const char *const names[ARRIVAL_METHODS] = {
        "spec-raw-clock", "spec",    "spec-drift", "jacobson",
        "ewma-conformal", "last-20", "hcq-mix",    "oracle"};
    assert((unsigned)m < ARRIVAL_METHODS);
    return names[m];
}

const char *arrival_bin_name(enum arrival_bin b)
{
    static const char *const names[BIN_COUNT] = {
        "cold_0",   "cold_1_3",   "cold_4_19",   "20_99",       "100_299",      "300_up",
        "joiner_0", "joiner_1_3", "joiner_4_19", "changed_1_3", "changed_4_10", "changed_11_30"};
    assert((unsigned)b < BIN_COUNT);
    return names[b];
}

struct arrival_score arrival_steady(const struct arrival_result *r, enum arrival_method m)
{
    assert(r != NULL && (unsigned)m < ARRIVAL_METHODS);
    struct arrival_score sum = {0};
    for (int b = BIN_20; b <= BIN_300; b++) {
        add_score(&sum, &r->bins[b][m]);
    }
    return sum;
}

/* Each bin is sampled at its own rate: its mean loss counts for all of its messages. */
double arrival_loss_ratio(const struct arrival_result *r, enum arrival_bin from,
                          enum arrival_bin to, enum arrival_method m)
{
    assert(r != NULL && from <= to && (unsigned)to < BIN_COUNT);
    double own = 0, known = 0;
    for (int b = (int)from; b <= (int)to; b++) {
        const struct arrival_score *s = &r->bins[b][m];
        const struct arrival_score *o = &r->bins[b][ARRIVAL_ORACLE];
        if (s->sampled > 0) {
            double share = (double)r->bins[b][ARRIVAL_MIX].count / (double)s->sampled;
            own += s->loss * share;
            known += o->loss * share;
        }
    }
    return known > 0 ? own / known : NAN;
}

double arrival_class_ratio(const struct arrival_result *r, enum impedance_class c,
                           enum arrival_method m)
{
    assert(r != NULL && (unsigned)c < CLASS_COUNT);
    double known = r->classes[c][ARRIVAL_ORACLE].loss;
    return known > 0 ? r->classes[c][m].loss / known : NAN;
}

static uint32_t percentile(const uint32_t *counts, uint32_t n, double share)
{
    uint64_t total = 0, seen = 0;
    for (uint32_t i = 0; i < n; i++) {
        total += counts[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        seen += counts[i];
        if ((double)seen >= share * (double)total) {
            return i;
        }
    }
    return n - 1;
}

double arrival_spread(const uint32_t errors[ARRIVAL_ERRORS])
{
    assert(errors != NULL);
    uint32_t low = percentile(errors, ARRIVAL_ERRORS, 0.05);
    uint32_t high = percentile(errors, ARRIVAL_ERRORS, 0.95);
    assert(low <= high);
    return (high - low) / 10.0;
}

double arrival_clock_ms(const uint32_t errors[ARRIVAL_CLOCK_ERRORS], double share)
{
    assert(errors != NULL);
    assert(share >= 0 && share <= 1);
    return percentile(errors, ARRIVAL_CLOCK_ERRORS, share) / 100.0;
}

int arrival_reroute_rounds(const struct arrival_result *r, enum arrival_method m)
{
    assert(r != NULL && (unsigned)m < ARRIVAL_METHODS);
    for (uint32_t k = 0; k < ARRIVAL_REROUTE_ROUNDS; k++) {
        uint64_t n = r->reroute[k][m].count;
        if (n > 0 && (double)r->reroute[k][m].within >= 0.9 * (double)n) {
            return (int)k;
        }
    }
    return -1;
}
