/* What was learnt, as text for a registry: a predictor outlives its lead, and goes with the lead's
 * agents to whoever leads them next. Hex digits, 32 bytes a line, because a registry's values are
 * short. The form is this machine's own (byte order, IEEE 754) and belongs to PREDICTOR_SAVED_FORM:
 * a change of either struct needs another number. */
#ifndef CORE_PREDICTOR_SAVE_H
#define CORE_PREDICTOR_SAVE_H

#include "core/predictor.h"
#include <stddef.h>

#define PREDICTOR_SAVED_FORM 1
#define PREDICTOR_SAVED_LINE 32u /* bytes; twice as many digits */
#define PREDICTOR_SAVED_LINES                                                                      \
    ((unsigned)(sizeof(struct predictor) + PREDICTOR_SAVED_LINE - 1) / PREDICTOR_SAVED_LINE)
#define PRIOR_SAVED_LINES                                                                          \
    ((unsigned)(sizeof(struct predictor_prior) + PREDICTOR_SAVED_LINE - 1) / PREDICTOR_SAVED_LINE)

struct saved_line {
    char digits[2 * PREDICTOR_SAVED_LINE + 1]; /* NUL-terminated; the last one may be shorter */
};

void predictor_save(const struct predictor *p, struct saved_line ret[PREDICTOR_SAVED_LINES]);
void predictor_prior_save(const struct predictor_prior *prior,
                          struct saved_line ret[PRIOR_SAVED_LINES]);

/* False and *p untouched: digits are missing or wrong, a number is outside what learning can reach,
 * or it is of another kind or class than *p. A tail is not kept. */
bool predictor_load(struct predictor *p, const struct saved_line lines[PREDICTOR_SAVED_LINES]);
/* Likewise; another class or wanted share than *prior's. */
bool predictor_prior_load(struct predictor_prior *prior,
                          const struct saved_line lines[PRIOR_SAVED_LINES]);

#endif
