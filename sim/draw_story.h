/* Inside of the drawing of runs: what single acts are drawn with (draw.c), and stories, several
 * acts together that bring about what single ones hardly do (draw_story.c). */
#ifndef SIM_DRAW_STORY_H
#define SIM_DRAW_STORY_H

#include "core/rng.h"
#include "sim/scenario.h"

#define DRAW_FIRST_US (2 * US_PER_S)          /* before it nothing happens */
#define DRAW_LIES     (WORLD_LIE_TIMING + 1u) /* those of a single act; others have a story */

struct drawer {
    struct rng rng;
    struct scenario *s;
    uint32_t labels;
};

/* draw.c */
bool draw_chance(struct drawer *d, uint32_t percent);
uint32_t draw_pick(struct drawer *d, uint32_t n); /* 0 .. n - 1 */
int64_t draw_ms(struct drawer *d, int64_t least_ms, int64_t most_ms);
struct unit draw_agent(struct drawer *d);
struct unit draw_unit(struct drawer *d);
/* Somewhen before the heal; the caller sees to it that there is room. */
struct act *draw_act(struct drawer *d, enum act_kind kind);
/* Undone at times, left as it is until the heal at others. */
void draw_lasts(struct drawer *d, struct act *a, int64_t least_ms, int64_t most_ms);
void draw_operation(struct drawer *d);
/* The store may lose what it had acknowledged. */
bool draw_forgets(const struct scenario *s);

/* draw_story.c */
void draw_stories(struct drawer *d);
/* Those that were thought of later: drawn after all else, so that seeds go on meaning what they
 * did. */
void draw_late_stories(struct drawer *d);

#endif
