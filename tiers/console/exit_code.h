/* Exit codes of one-shot and script mode (docs/CONSOLE.md), and which one an operation ends with.
 */
#ifndef TIERS_CONSOLE_EXIT_CODE_H
#define TIERS_CONSOLE_EXIT_CODE_H

#include "core/command.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_PARTIAL = 3,
    EXIT_TIMEOUT = 4, /* or nobody answered */
    EXIT_NOT_FOUND = 5,
    EXIT_REFUSED = 6,
    EXIT_HELD = 7, /* it waits for the mode, or for approval */
    EXIT_INTERRUPTED = 130
};

/* Of targets none of which answered: TIMEOUT while one of them was silent; else all of them said
 * why, or the mesh did for them: FAILED when it failed at some, REFUSED when it began at none. */
enum exit_code exit_unanswered(const struct aggregate_view *a);

/* Of an operation that came to its end. */
enum exit_code exit_of_report(const struct report *r);

#endif
