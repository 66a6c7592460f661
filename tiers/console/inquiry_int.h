/* What the files of the chains offer each other. */
#ifndef TIERS_CONSOLE_INQUIRY_INT_H
#define TIERS_CONSOLE_INQUIRY_INT_H

#include "tiers/console/inquiry.h"
#include "tiers/console/task_int.h"

#define INQUIRY_AGENTS_MOST 4096u /* rows about agents that one inquiry reads */

enum { STEP_FIRST, STEP_SECOND, STEP_THIRD, STEP_FOURTH };

void inquiry_ask(struct task *t, uint32_t step, const struct command *command);
void inquiry_ask_rows(struct task *t, uint32_t step, enum query_kind kind,
                      const struct selector *selector);

/* Adds a page; true: that was the last. Else the next one is asked for. */
bool inquiry_take_page(struct task *t, struct pages *pages, const struct rows *rows, size_t most);

/* A refusal ends the task with it. */
bool inquiry_of_kind(struct task *t, const struct reply *reply, enum reply_kind wanted);

/* route-around */
void inquiry_route(struct task *t, const struct reply *reply);
void inquiry_route_order(struct task *t, const struct command *order);

#endif
