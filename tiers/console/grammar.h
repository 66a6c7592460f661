/* Plain words to commands of the one table (spec 7.2), by rules and without any model. Pure: no
 * connection, no clock, no output; the same words in the same context always mean the same.
 *
 * A text is taken apart into clauses (at commas, semicolons, "and", "then", sentence ends). A
 * clause that is itself a command line stands for itself. Otherwise its words choose an intent:
 *
 *   what's happening in sector 7 / how is s07.c4           diagnose s07
 *   how's the mesh, status                                 status
 *   what are they stuck on / waiting for / working on      stuck PLACES
 *   route around / avoid / bypass them                     route-around PLACES
 *   restore / undo the routing                             route-around PLACES --undo
 *   reassign the task, hand it to CLASS_D_GPU              reassign ID --to CLASS
 *   fix the (capability) mapping                           mapping exclude NAME --class CLASS
 *   freeze, thaw, heal sector 7                            freeze s07 --yes, ..
 *   who is slow/fastest/offline .. in sector 7             find ..
 *   kpis, conflicts, sectors, who did what                 kpi, conflicts, sectors, audit
 *   yes / yeah / do it / go ahead                          agrees to the last proposal
 *   no / never mind                                        drops it
 *
 * "them", "it" and missing places are the subject of the dialogue: what was last spoken of. */
#ifndef TIERS_CONSOLE_GRAMMAR_H
#define TIERS_CONSOLE_GRAMMAR_H

#include "core/commands.h"
#include "core/topology.h"
#include <stdbool.h>
#include <stddef.h>

#define GRAMMAR_TEXT_MAX    2048u /* bytes of one utterance, NUL included */
#define GRAMMAR_CLAUSES_MAX 8u
#define GRAMMAR_LINE_MAX    512u /* one resolved command */

/* What was spoken of last; empty strings: nothing. */
struct subject {
    char scope[64];       /* "s07": a sector or cluster */
    char places[256];     /* the agents, as route-around takes them */
    char operation[40];   /* 32 hex digits */
    char home_class[24];  /* whose task it is: CLASS_D_GPU */
    char wrong_class[24]; /* who has it: CLASS_E_LOCAL */
    char capability[32];
};

enum act { ACT_COMMAND, ACT_YES, ACT_NO };

struct clause {
    enum act act;
    char line[GRAMMAR_LINE_MAX]; /* COMMAND: as the table parses it, confirmations included */
};

struct utterance {
    bool unknown; /* it failed because words mean nothing here, and not because of what they mean */
    size_t count;
    struct clause clauses[GRAMMAR_CLAUSES_MAX];
};

/* False: `error` says which words were not understood, or what is missing. */
bool grammar_read(const char *text, const struct topology *t, const struct subject *subject,
                  struct utterance *ret, char error[COMMAND_ERROR_MAX]);

/* Whether a line that is no command reads like words for the dialogue. */
bool grammar_speaks(const char *text, const struct topology *t, const struct subject *subject);

#endif
