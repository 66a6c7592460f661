/* Words, numbers, times and places of a scenario file. */
#include "sim/scenario_words.h"
#include "core/utf8.h"
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TIME_MAX_US (100000ll * 3600 * US_PER_S)

/* Says it once, for the first fault of the file. Always false. */
bool reader_refuse(struct reader *r, const char *format, ...)
{
    if (!r->failed) {
        va_list args;
        fprintf(r->errors, "%s:%u: ", r->path, r->line);
        va_start(args, format);
        vfprintf(r->errors, format, args);
        va_end(args);
        fputc('\n', r->errors);
    }
    r->failed = true;
    return false;
}

/* One statement a line: words between blanks, `"..."` for those with blanks, `#` to its end. */
static bool split(struct reader *r, char *p)
{
    r->count = r->at = 0;
    for (;;) {
        while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
            p++;
        }
        if (*p == '\0' || *p == '#') {
            return true;
        }
        if (r->count == READER_WORDS_MAX) {
            return reader_refuse(r, "more than %u words", READER_WORDS_MAX);
        }
        bool quoted = *p == '"';
        p += quoted ? 1 : 0;
        r->words[r->count++] = p;
        while (*p != '\0' && (quoted ? *p != '"' : strchr(" \t\r\n", *p) == NULL)) {
            p++;
        }
        if (quoted && *p != '"') {
            return reader_refuse(r, "the quote is not closed");
        }
        if (!quoted && memchr(r->words[r->count - 1], '"', (size_t)(p - r->words[r->count - 1]))) {
            return reader_refuse(r, "a quote in the middle of a word");
        }
        if (*p != '\0') {
            *p++ = '\0';
        }
    }
}

const char *reader_peek(const struct reader *r)
{
    return r->at < r->count ? r->words[r->at] : NULL;
}

bool reader_accept(struct reader *r, const char *word)
{
    if (reader_peek(r) != NULL && strcmp(reader_peek(r), word) == 0) {
        r->at++;
        return true;
    }
    return false;
}

const char *reader_next(struct reader *r, const char *what)
{
    if (r->at == r->count) {
        (void)reader_refuse(r, "%s is missing", what);
        return NULL;
    }
    return r->words[r->at++];
}

/* No 0x10, no infinity. */
static bool plain(const char *word)
{
    size_t digits = strspn(word, "+-.0123456789");
    return digits > 0 && word[digits] != 'x' && word[digits] != 'X';
}

bool reader_number(struct reader *r, const char *what, double least, double most, double *ret)
{
    const char *word = reader_next(r, what);
    char *end = NULL;
    if (word == NULL) {
        return false;
    }
    double v = plain(word) ? strtod(word, &end) : 0;
    if (end == NULL || end == word || *end != '\0' || !isfinite(v)) {
        return reader_refuse(r, "%s: '%s' is not a number", what, word);
    }
    if (v < least || v > most) {
        return reader_refuse(r, "%s: %s is not within %g and %g", what, word, least, most);
    }
    *ret = v;
    return true;
}

bool reader_count(struct reader *r, const char *what, uint32_t least, uint32_t most, uint32_t *ret)
{
    double v;
    if (!reader_number(r, what, least, most, &v)) {
        return false;
    }
    if (v != floor(v)) {
        return reader_refuse(r, "%s: not a whole number", what);
    }
    *ret = (uint32_t)v;
    return true;
}

bool reader_signed(struct reader *r, const char *what, int32_t most, int32_t *ret)
{
    double v;
    if (!reader_number(r, what, -most, most, &v)) {
        return false;
    }
    if (v != floor(v)) {
        return reader_refuse(r, "%s: not a whole number", what);
    }
    *ret = (int32_t)v;
    return true;
}

static bool time_word(struct reader *r, const char *what, double least_us, int64_t *ret)
{
    static const struct {
        const char *suffix;
        double us;
    } units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}};
    const char *word = reader_next(r, what);
    char *end = NULL;
    if (word == NULL) {
        return false;
    }
    double v = plain(word) ? strtod(word, &end) : 0;
    for (unsigned i = 0; end != NULL && i < sizeof(units) / sizeof(units[0]); i++) {
        if (end != word && strcmp(end, units[i].suffix) == 0) {
            double us = v * units[i].us;
            if (!(us >= least_us) || us > (double)TIME_MAX_US) {
                return reader_refuse(r, "%s: %s is out of range", what, word);
            }
            *ret = llround(us);
            return true;
        }
    }
    return reader_refuse(r, "%s: '%s' is no duration (as in 250ms, 12s, 5m)", what, word);
}

bool reader_duration(struct reader *r, const char *what, int64_t *ret)
{
    return time_word(r, what, 0, ret);
}

bool reader_shift(struct reader *r, const char *what, int64_t *ret)
{
    return time_word(r, what, -(double)TIME_MAX_US, ret);
}

bool reader_span(struct reader *r, const char *what, int64_t *ret)
{
    return reader_duration(r, what, ret) &&
           (*ret > 0 || reader_refuse(r, "%s: 0 is nothing", what));
}

bool reader_unit(struct reader *r, struct unit *ret)
{
    const char *why = NULL, *word = reader_next(r, "the unit");
    if (word == NULL) {
        return false;
    }
    if (!unit_parse(word, strlen(word), ret, &why)) {
        return reader_refuse(r, "unit '%s': %s", word, why);
    }
    return true;
}

bool reader_text(struct reader *r, const char *what, char *ret, size_t size)
{
    const char *word = reader_next(r, what);
    if (word == NULL) {
        return false;
    }
    if (strlen(word) >= size) {
        return reader_refuse(r, "%s: longer than %zu bytes", what, size - 1);
    }
    for (const char *p = word; *p != '\0'; p++) {
        if ((unsigned char)*p < 32) {
            return reader_refuse(r, "%s: a control character", what);
        }
    }
    strcpy(ret, word);
    return true;
}

bool reader_at_end(struct reader *r)
{
    return r->at == r->count || reader_refuse(r, "'%s' is not expected here", reader_peek(r));
}

/* Bytes of the byte order mark that some editors put before a file. */
static uint32_t mark_bytes(const struct reader *r)
{
    return r->line == 1 && strncmp(r->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static bool is_text(struct reader *r, uint32_t bytes)
{
    for (uint32_t i = mark_bytes(r); i < bytes;) {
        unsigned char c = (unsigned char)r->text[i];
        size_t step = c < 0x80 ? 1 : utf8_printable((const uint8_t *)r->text + i, bytes - i);
        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 127 || step == 0) {
            return reader_refuse(r, "byte %u is 0x%02x: this is no text", i + 1, c);
        }
        i += (uint32_t)step;
    }
    return true;
}

bool reader_line(struct reader *r, FILE *from)
{
    int c = 0;
    uint32_t n = 0;
    while (n < sizeof(r->text) - 1 && c != '\n' && (c = getc(from)) != EOF) {
        r->text[n++] = (char)c;
    }
    r->text[n] = '\0';
    r->line++;
    if (n == sizeof(r->text) - 1 && r->text[n - 1] != '\n') {
        return reader_refuse(r, "a line of more than %u bytes", READER_LINE_BYTES_MAX);
    }
    return is_text(r, n) && split(r, r->text + mark_bytes(r));
}
