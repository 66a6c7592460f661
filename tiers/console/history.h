/* The prompt's history: a file of mode 0600 under XDG_STATE_HOME (or ~/.local/state), at most 1,000
 * lines, without lines that start with a blank, that repeat the last one, or that may carry a
 * secret (complete_is_secret). Without a writable home there is a history of this session only. */
#ifndef TIERS_CONSOLE_HISTORY_H
#define TIERS_CONSOLE_HISTORY_H

void history_open(void);
void history_keep(const char *line); /* borrowed */

#endif
