/* Inside the reading of scenario files: a line as words, and what a word can be. Each of these
 * takes the next word or words and is false when they are not so, which reader_refuse() has said
 * then, with file, line and reason; `what` names in it what was wanted. */
#ifndef SIM_SCENARIO_WORDS_H
#define SIM_SCENARIO_WORDS_H

#include "sim/scenario.h"
#include <stdio.h>

#define READER_WORDS_MAX      40u
#define READER_LINE_BYTES_MAX 1022u /* its end not counted */

struct reader {
    const char *path;
    FILE *errors;
    struct scenario *s;
    uint32_t line;
    char text[READER_LINE_BYTES_MAX + 2];
    char *words[READER_WORDS_MAX];
    uint32_t count, at;
    uint32_t said;    /* bits: statements that were there already */
    uint32_t options; /* bits: options that this operation has already */
    bool failed;
};

/* Says it once, for the first fault of the file. Always false. */
bool reader_refuse(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next line, of which there is at least a byte, cut into words. What is no text (control
 * characters, bytes that are no UTF-8, a longer line) is refused; a byte order mark at the
 * beginning of the file and CR before LF are passed over. */
bool reader_line(struct reader *r, FILE *from);

/* The next word; NULL: there is none. */
const char *reader_peek(const struct reader *r);
/* Takes the next word when it is this one. */
bool reader_accept(struct reader *r, const char *word);
/* NULL: it is missing, and refused. */
const char *reader_next(struct reader *r, const char *what);
bool reader_at_end(struct reader *r);

bool reader_number(struct reader *r, const char *what, double least, double most, double *ret);
bool reader_count(struct reader *r, const char *what, uint32_t least, uint32_t most, uint32_t *ret);
/* Whole, and of either sign: -most to most. */
bool reader_signed(struct reader *r, const char *what, int32_t most, int32_t *ret);
bool reader_duration(struct reader *r, const char *what, int64_t *ret);
/* Of either sign. */
bool reader_shift(struct reader *r, const char *what, int64_t *ret);
/* More than nothing. */
bool reader_span(struct reader *r, const char *what, int64_t *ret);
bool reader_unit(struct reader *r, struct unit *ret);
bool reader_text(struct reader *r, const char *what, char *ret, size_t size);

#endif
