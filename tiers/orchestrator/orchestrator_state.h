/* The orchestrator's memory and the seams between its files. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_STATE_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_STATE_H

#include "core/hub.h"

/* Consoles that wait for the end of a freeze, thaw or heal; one more is refused (OVERLOAD). */
#define ORCHESTRATOR_WATCHES_MAX 16u

enum watch_kind { WATCH_FREE, WATCH_FREEZE, WATCH_THAW, WATCH_HEAL };

struct watch {
    enum watch_kind kind;
    struct unit console;
    uint64_t ref;
    struct freeze freeze; /* FREEZE, THAW: what it was */
    struct unit scope;    /* HEAL */
    int64_t due_us;       /* the end of patience */
    int64_t since_us;
    uint32_t lines;
};

struct orchestrator {
    struct hub hub;
    int64_t tick_us;    /* next look at the mode and the breaker */
    int64_t counted_us; /* availability is counted up to here */
    int64_t summary_us, history_us;
    uint64_t store_ref;       /* asked and not answered; 0: none */
    int64_t store_timeout_us; /* NEVER without */
    uint64_t available_us, observed_us;
    /* the record of what is frozen */
    bool frozen_loaded; /* from an earlier life, or there was none */
    bool frozen_dirty;  /* the registry's is not ours */
    uint64_t frozen_ref;
    int64_t frozen_until_us; /* for its answer; NEVER without */
    struct watch watches[ORCHESTRATOR_WATCHES_MAX];
    /* the heal under way: what was before, by sector */
    struct {
        uint32_t away;   /* agents */
        uint8_t circuit; /* enum circuit */
        bool picked;
    } healed[SECTORS_MAX];
};

/* orchestrator_freeze.c */
void freeze_command(struct orchestrator *o, const struct msg *msg);
void freeze_store_tick(struct orchestrator *o);
bool freeze_stored(struct orchestrator *o, const struct store_reply *reply); /* was it ours */
int64_t freeze_next_us(const struct orchestrator *o);
void watch_tick(struct orchestrator *o);
/* NULL: the console was told why not. */
struct watch *watch_take(struct orchestrator *o, const struct msg *msg, enum watch_kind kind);
void watch_line(struct orchestrator *o, const struct watch *w, const char *text);
/* orchestrator_heal.c */
void heal_command(struct orchestrator *o, const struct msg *msg);
void heal_watch_tick(struct orchestrator *o, struct watch *w);
void breaker_command(struct orchestrator *o, const struct msg *msg);
void watch_end(struct orchestrator *o, struct watch *w);

#endif
