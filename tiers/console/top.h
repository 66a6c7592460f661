/* `top`: the agents with the most of something. On a terminal a full screen that renews itself: a
 * page of rows and the mesh's status, whatever the number of agents, since every tier sends up no
 * more than a screen. Elsewhere once, as a list. */
#ifndef TIERS_CONSOLE_TOP_H
#define TIERS_CONSOLE_TOP_H

#include "core/command.h"
#include "core/commands.h"
#include "tiers/console/pages.h"
#include "tiers/console/render.h"
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct top {
    bool screen; /* the terminal is ours */
    struct termios saved;
    int by; /* as --by */
    int rows, columns;
    struct mesh_status status;
    bool paused;
};

/* What a key asks for. */
enum top_key { TOP_NONE, TOP_QUIT, TOP_AGAIN };

/* Takes the terminal, when there is one and the line does not say --once. */
void top_open(struct top *t, const struct invocation *in, const struct render *r);
void top_close(struct top *t, const struct render *r);

/* Keys typed so far, and whether the terminal has another size. */
enum top_key top_keys(struct top *t);

/* The query of a screen: as many rows as fit. */
void top_query(const struct top *t, struct query *query);

void top_draw(const struct top *t, const struct render *r, const struct pages *pages);
void top_render(const struct render *r, int by, const struct pages *pages);

#endif
