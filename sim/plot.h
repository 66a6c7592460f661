/* The picture of a scenario as SVG without any library: the mesh's state over time above, with its
 * acts as marks; how the arrivals lie around T below. */
#ifndef SIM_PLOT_H
#define SIM_PLOT_H

#include "sim/play.h"

bool plot_write(const struct scenario *s, const struct play_record *r, const char *path);

#endif
