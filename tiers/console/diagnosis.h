/* What is going on in a place, and why: judged from what the mesh's leads say. Pure: rows in,
 * findings out; the text and the JSON of them are diagnosis_render.c.
 *
 * An agent is slow when it is predicted to need more than SLOW_MS and twice the median of its class
 * in the place, or when it has had a task for STUCK_US and longer. People (CLASS_F) are never slow.
 *
 * Why a task is stuck, the first that holds:
 *   class    its capability belongs to another class (spec 2.2 best_for), the action is for other
 *            classes, it waits for a GPU outside CLASS_D, or another class with the capability is
 *            predicted to be FASTER times as fast
 *   memory   it says that it waits for memory
 *   queue    QUEUE_LONG tasks or more wait at the agent
 *   silent   the agent has never acknowledged it
 *   network  its way there and back takes longer than the work
 *   work     none of these: the work itself */
#ifndef TIERS_CONSOLE_DIAGNOSIS_H
#define TIERS_CONSOLE_DIAGNOSIS_H

#include "core/command.h"
#include "core/limits.h"
#include "core/num.h"
#include "core/query.h"
#include "core/topology.h"
#include "tiers/console/render.h"
#include "tiers/work/action.h"
#include <stdbool.h>

#define DIAGNOSIS_SLOW_MS  500u /* spec 7.2 */
#define DIAGNOSIS_STUCK_US (5 * (int64_t)US_PER_S)
#define DIAGNOSIS_FASTER   3.0
#define DIAGNOSIS_QUEUE    3u
#define DIAGNOSIS_SLOW_MAX 8u  /* agents that are named; more are counted */
#define DIAGNOSIS_WORK_MAX 64u /* tasks that are looked at, the oldest first */

enum cause { CAUSE_CLASS, CAUSE_MEMORY, CAUSE_QUEUE, CAUSE_SILENT, CAUSE_NETWORK, CAUSE_WORK };
const char *cause_name(enum cause c);

/* One row of QUERY_WORK. Texts are NUL-terminated and safe to print. */
struct work_row {
    struct unit agent;
    struct id128 operation;
    enum impedance_class agent_class;
    char action[ACTION_MAX];
    char task[4 * WORD_BYTES_MAX + 1];
    char waiting_on[4 * WORD_BYTES_MAX + 1];
    char requires[CAPABILITY_NAME_MAX]; /* the first of them; "": none */
    bool running;                       /* it has acknowledged it */
    int64_t age_us;
    uint32_t queue_depth;
    double latency_ms, processing_ms, predicted_ms;
};

/* False: the row is not such a record. */
bool work_row_read(const struct page_row *row, struct work_row *ret);

/* Agents that have a capability, by class. */
struct holders {
    uint32_t agents[CLASS_COUNT];
    double median_ms[CLASS_COUNT]; /* predicted; 0 without any */
};
void holders_count(const struct page_row *rows, size_t count, struct holders *ret);

struct verdict {
    enum cause cause;
    enum impedance_class home; /* CLASS: whose task it is; else CLASS_NONE */
    char why[TEXT_BYTES_MAX];  /* the evidence, one clause */
};
/* a: the description of its action, or NULL. capability: "" when it needs none. */
void diagnosis_judge(const struct topology *t, const struct work_row *w, const struct action *a,
                     const char *capability, const struct holders *h, struct verdict *ret);

/* What follows from an inquiry: the next ones and the dialogue build on it. */
struct findings {
    uint32_t slow_count;
    struct unit slow[DIAGNOSIS_SLOW_MAX];
    double slow_ms[DIAGNOSIS_SLOW_MAX];
    bool all_avoided; /* new work avoids all of these already */
    /* stuck: the oldest task that its class cannot do, if there is one, else the oldest */
    bool stuck;
    struct id128 operation;
    struct verdict verdict;
    enum impedance_class agent_class;
    char capability[CAPABILITY_NAME_MAX]; /* "": none */
    uint32_t agent_count;
    struct unit agents[DIAGNOSIS_SLOW_MAX]; /* that have it */
};

/* Places joined by commas, as route-around takes them. */
void findings_places(const struct unit *units, uint32_t count, char *ret, size_t size);

/* What `diagnose` has heard. */
struct place_report {
    struct unit scope;
    struct mesh_status mesh;
    const struct page_row *clusters;
    size_t cluster_count;
    const struct page_row *agents;
    size_t agent_count;
    const struct work_row *work;
    size_t work_count;
    uint32_t missing; /* leads that did not answer */
};
/* Renders it, and says what follows. */
void diagnosis_place(const struct render *r, const struct place_report *p, struct findings *ret);

/* What `stuck` has heard: rows of at least `older_us`, and who holds the capability of each. */
struct stuck_report {
    const struct work_row *work;
    size_t work_count;
    const struct action_table *actions;
    const char *capability; /* that `holders` is about; "": none */
    struct holders holders;
    uint32_t missing;
};
void diagnosis_stuck(const struct render *r, const struct stuck_report *s, struct findings *ret);

/* The capability that a task needs: what it requires, else its action's; "": none. */
const char *diagnosis_capability(const struct work_row *w, const struct action_table *actions);

#endif
