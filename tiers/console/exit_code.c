#include "tiers/console/exit_code.h"

#include <assert.h>
#include <string.h>

enum exit_code exit_unanswered(const struct aggregate_view *a)
{
    assert(a);
    const uint32_t *n = a->outcomes;
    uint32_t told = n[OUTCOME_FAILED] + n[OUTCOME_REFUSED] + n[OUTCOME_SKIPPED];
    if (told < a->targets || a->targets == 0)
        return EXIT_TIMEOUT;
    return n[OUTCOME_FAILED] > 0 ? EXIT_FAILED : EXIT_REFUSED;
}

enum exit_code exit_of_report(const struct report *r)
{
    assert(r);
    const struct aggregate_view *a = &r->aggregate;
    uint32_t answers = a->outcomes[OUTCOME_READY] + a->outcomes[OUTCOME_CONFLICT];
    if (strcmp(r->status, "REFUSED") == 0)
        return EXIT_REFUSED;
    if (strncmp(r->status, "FAILED", 6) == 0)
        return EXIT_FAILED;
    if (a->targets == 0)
        return EXIT_NOT_FOUND;
    if (answers == 0)
        return exit_unanswered(a);
    return answers == a->targets ? EXIT_OK : EXIT_PARTIAL;
}
