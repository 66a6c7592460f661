/* `kpi`: the success metrics of spec part 11 over an hour, a day or a month, each with its target
 * and how it stands against the span before. */
#ifndef TIERS_CONSOLE_KPI_H
#define TIERS_CONSOLE_KPI_H

#include "core/kpi.h"
#include "tiers/console/pages.h"
#include "tiers/console/render.h"

enum kpi_trend { KPI_TREND_UNKNOWN, KPI_BETTER, KPI_SAME, KPI_WORSE };

/* Without a target ("") it informs. */
struct kpi {
    const char *name, *target, *unit;
    bool known, met;
    double value;
    bool known_before;
    double before;
    enum kpi_trend trend;
};
#define KPI_COUNT 9

struct kpi_view {
    struct kpi kpis[KPI_COUNT];
    int64_t from_us, before_us; /* when the span and the one before it began */
    int64_t observed_us;        /* of the span: how long an orchestrator watched the mesh */
};

/* From the rows of QUERY_KPI. False: the span is not among them. */
bool kpi_view(const struct pages *pages, enum kpi_over over, struct kpi_view *ret);

void kpi_render(const struct render *r, const struct pages *pages, enum kpi_over over);

#endif
