/* Spec 3.3 as data: each strategy is a short list of steps with a window, a timeout and a share.
 * The orchestrator carries out the step it is given and tells the outcome; nothing here knows of
 * messages. At most 2 PREPAREs and PHASES_MAX operations. */
#include "core/cascade.h"
#include "core/quorum.h"
#include <assert.h>

#define WAVE_SECTOR_WINDOW_US   (200ll * US_PER_MS)
#define WAVE_SECTOR_RATE        0.98
#define WAVE_CLUSTER_TIMEOUT_US (1000ll * US_PER_MS)
#define WAVE_AGENT_TIMEOUT_US   (2000ll * US_PER_MS)
#define PARALLEL_WINDOW_US      (1000ll * US_PER_MS)
#define PARALLEL_RATE           0.90
#define GATHER_TIMEOUT_US       (5000ll * US_PER_MS) /* spec 3.2 timeout_ms */

static void add_phase(struct cascade *c, uint32_t classes, double threshold)
{
    if ((classes & c->class_mask) == 0) {
        return;
    }
    assert(c->phase_count < PHASES_MAX);
    c->phases[c->phase_count++] =
        (struct phase_report){.class_mask = classes & c->class_mask, .threshold = threshold};
}

void cascade_init(struct cascade *c, const struct operation *op)
{
    static const struct {
        enum impedance_class agent_class;
        double threshold;
    } order[] = {{CLASS_D_GPU, 0.99},
                 {CLASS_C_PERSISTENT, 0.98},
                 {CLASS_B_SERVERLESS, 0.95},
                 {CLASS_A_EDGE, 0.90},
                 {CLASS_E_LOCAL, 0.85}};
    assert(c != NULL && op != NULL);
    assert(op->strategy < CASCADE_COUNT);
    *c = (struct cascade){.strategy = op->strategy,
                          .at = CASCADE_STEP_OPERATE,
                          .minimum_response_rate = op->minimum_response_rate,
                          .window_us = op->window_us,
                          .timeout_us = op->timeout_us,
                          .class_mask = op->selector.class_mask & CLASS_MASK_ALL,
                          .status = ""};
    if (c->class_mask == 0) {
        c->class_mask = CLASS_MASK_ALL & ~(1u << CLASS_F_HUMAN);
    }
    switch (op->strategy) {
    case CASCADE_WAVE:
        c->at = CASCADE_STEP_SECTORS;
        add_phase(c, c->class_mask, c->minimum_response_rate);
        break;
    case CASCADE_PARALLEL:
        add_phase(c, c->class_mask, PARALLEL_RATE);
        break;
    case CASCADE_PRIORITY_FIRST:
        for (uint32_t i = 0; i < sizeof order / sizeof order[0]; i++) {
            add_phase(c, 1u << order[i].agent_class, order[i].threshold);
        }
        add_phase(c, 1u << CLASS_F_HUMAN, c->minimum_response_rate);
        break;
    case CASCADE_NONE:
    case CASCADE_COUNT:
        add_phase(c, c->class_mask, c->minimum_response_rate);
        break;
    }
    assert(c->phase_count > 0);
}

static int64_t or_default(int64_t value_us, int64_t default_us)
{
    return value_us > 0 ? value_us : default_us;
}

void cascade_step(const struct cascade *c, struct cascade_step *ret)
{
    assert(c != NULL && ret != NULL);
    assert(c->phase_count > 0);
    struct cascade_step step = {
        .kind = c->at, .class_mask = c->class_mask, .window_us = c->window_us};
    switch (c->at) {
    case CASCADE_STEP_SECTORS:
        step.window_us = WAVE_SECTOR_WINDOW_US;
        step.timeout_us = WAVE_SECTOR_WINDOW_US;
        step.threshold = WAVE_SECTOR_RATE;
        break;
    case CASCADE_STEP_CLUSTERS:
        step.window_us = WAVE_CLUSTER_TIMEOUT_US;
        step.timeout_us = WAVE_CLUSTER_TIMEOUT_US;
        step.threshold = c->minimum_response_rate;
        break;
    case CASCADE_STEP_OPERATE:
        step.phase = c->phase;
        step.class_mask = c->phases[c->phase].class_mask;
        step.threshold = c->phases[c->phase].threshold;
        step.timeout_us = or_default(
            c->timeout_us, c->strategy == CASCADE_WAVE ? WAVE_AGENT_TIMEOUT_US : GATHER_TIMEOUT_US);
        if (c->strategy == CASCADE_PARALLEL) {
            step.window_us = PARALLEL_WINDOW_US;
        }
        break;
    case CASCADE_STEP_DONE:
        break;
    }
    *ret = step;
}

static void finish(struct cascade *c, const char *status)
{
    c->at = CASCADE_STEP_DONE;
    c->status = status;
}

void cascade_prepared(struct cascade *c, uint32_t reached, uint32_t expected)
{
    assert(c != NULL && reached <= expected);
    assert(c->at == CASCADE_STEP_SECTORS || c->at == CASCADE_STEP_CLUSTERS);
    bool sectors = c->at == CASCADE_STEP_SECTORS;
    double threshold = sectors ? WAVE_SECTOR_RATE : c->minimum_response_rate;
    if (expected == 0 || (double)reached / (double)expected < threshold) {
        finish(c, sectors ? "FAILED_AT_SECTOR" : "FAILED_AT_CLUSTER");
    } else {
        c->at = sectors ? CASCADE_STEP_CLUSTERS : CASCADE_STEP_OPERATE;
    }
}

void cascade_operated(struct cascade *c, const struct aggregate_view *view)
{
    assert(c != NULL && view != NULL);
    assert(c->at == CASCADE_STEP_OPERATE && c->phase < c->phase_count);
    struct phase_report *phase = &c->phases[c->phase];
    struct gather_status status;
    quorum_gather_status(view, phase->threshold, &status);
    phase->targets = view->targets;
    phase->ready = view->outcomes[OUTCOME_READY];
    phase->conflicts = view->outcomes[OUTCOME_CONFLICT];
    phase->response_rate = status.response_rate;
    phase->success = status.success || view->targets == 0; /* nobody of that class is meant */
    c->phase++;
    if (c->phase < c->phase_count) {
        return;
    }
    finish(c, c->strategy == CASCADE_PRIORITY_FIRST ? "COMPLETE" : status.status);
}

void cascade_cancel(struct cascade *c)
{
    assert(c != NULL);
    assert(c->phase_count > 0);
    if (c->at != CASCADE_STEP_DONE) {
        finish(c, "CANCELLED");
    }
}

const char *cascade_status(const struct cascade *c)
{
    assert(c != NULL);
    assert(c->status != NULL);
    return c->status;
}
