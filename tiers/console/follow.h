/* What is known of the agents that a task follows (task_follow.c). */
#ifndef TIERS_CONSOLE_FOLLOW_H
#define TIERS_CONSOLE_FOLLOW_H

#include "core/command.h"

#define FOLLOW_MAX 8u /* agents; the lines of others are not shown */

struct followed {
    struct unit unit;
    int64_t number; /* of its last line that was seen */
};

struct follow {
    struct command command; /* ref 0: none is out */
    uint64_t due_ms;
    struct followed agents[FOLLOW_MAX];
    uint32_t count;
    uint64_t missed;               /* lines that others came after before they were seen */
    char word[4 * WORD_BYTES_MAX]; /* the last, of a single agent; escaped */
    unsigned percent;              /* that it begins with; 0: none */
};

#endif
