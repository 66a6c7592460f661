/* The strategies of spec 5.1 as work of the mesh; orchestrator_conflicts.c drives them. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_STRATEGY_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_STRATEGY_H

#include "tiers/orchestrator/orchestrator_state.h"

/* Begins: says its first step in the log and asks the mesh. Without room it stays NEW. */
void strategy_begin(struct orchestrator *o, struct open_conflict *c);
/* What was asked is not answered in time. */
void strategy_silent(struct orchestrator *o, struct open_conflict *c);
/* An answer of the mesh to something that this node asked itself. */
void strategy_reply(struct orchestrator *o, const struct reply *reply);
/* A person has decided: what follows from it for the agent. */
void strategy_decided(struct orchestrator *o, struct open_conflict *c, enum conflict_keep keep);

/* Tells the agent's lead. */
void isolate(struct orchestrator *o, struct unit agent, enum isolation what, uint64_t bits);
/* As a person has decided: until its lead and the registry have it, or else it is in the audit log
 * that they do not. */
void isolate_lifted(struct orchestrator *o, struct unit agent);
/* Where an agent is that was named by its home, or by a place where it lived. */
struct unit isolate_place(const struct orchestrator *o, struct unit agent);
/* A cluster or an agent as the only place. */
void place_one(struct place_set *ret, struct unit u);

/* orchestrator_conflicts.c */
struct open_conflict *conflict_asked(struct orchestrator *o, uint64_t ref);
void conflict_stage(struct orchestrator *o, struct open_conflict *c, enum conflict_stage stage);
/* A row about it; false: the logbook has no room. */
bool conflict_say(struct orchestrator *o, struct open_conflict *c, const char *event,
                  const char *what);
/* Resolves it; the row that says so, or NULL: no room. */
struct logbook_row *conflict_close(struct orchestrator *o, struct open_conflict *c,
                                   enum conflict_keep keep, const char *why);
struct logbook_row *conflict_row(struct orchestrator *o, const struct conflict_report *r,
                                 const char *event, unsigned number);

#endif
