/* Each line is one write() to stderr, so that lines of several processes on one terminal or journal
 * never mix. There is no buffer to flush at a crash and no file to rotate: what runs a service
 * already does both. The clock for the time stamp is read here, at the edge, where it is printed.
 */
#include "tiers/runner/log.h"

#include "core/num.h"
#include "core/topology.h"
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void log_init(struct log *log, const char *process, enum log_level level)
{
    assert(log != NULL);
    assert(process != NULL && strlen(process) <= TOKEN_MAX);
    memset(log, 0, sizeof(*log));
    log->level = level;
    log->fd = STDERR_FILENO;
    (void)snprintf(log->process, sizeof(log->process), "%s", process);
}

void log_clean(const char *text, char *ret, size_t size)
{
    assert(ret != NULL && size > 0);
    size_t i = 0;
    for (; text != NULL && text[i] != '\0' && i + 1 < size; i++) {
        char c = text[i];
        ret[i] = c < 0x20 || c == 0x7f || c == '"' || c == '\\' ? '.' : c;
    }
    ret[i] = '\0';
}

/* True: write it. *ret_dropped: lines of this kind that were left out before it. */
static bool passes(struct log *log, uint32_t kind, int64_t second, uint32_t *ret_dropped)
{
    struct log_limit *l = &log->limits[kind % LOG_KINDS];
    *ret_dropped = 0;
    if (l->second != second) {
        *ret_dropped = l->dropped;
        *l = (struct log_limit){.second = second};
    }
    if (l->lines >= LOG_BURST) {
        l->dropped++;
        log->suppressed++;
        return false;
    }
    l->lines++;
    return true;
}

static void write_line(struct log *log, enum log_level level, uint32_t kind, const char *msg,
                       const char *pairs)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint32_t dropped;
    if (!passes(log, kind, now.tv_sec, &dropped)) {
        return;
    }
    (void)gmtime_r(&now.tv_sec, &utc);
    char stamp[32];
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    char more[40] = "";
    if (dropped > 0) {
        (void)snprintf(more, sizeof(more), " suppressed=%" PRIu32, dropped);
    }
    char line[LOG_LINE_MAX];
    int n = snprintf(line, sizeof(line) - 1, "%s.%06ldZ level=%s process=%s msg=%s%s%s%s", stamp,
                     now.tv_nsec / 1000, levels[level], log->process, msg,
                     pairs[0] != '\0' ? " " : "", pairs, more);
    size_t bytes = n < 0 ? 0 : (size_t)n;
    if (bytes > sizeof(line) - 2) {
        bytes = sizeof(line) - 2;
    }
    line[bytes++] = '\n';
    ssize_t written = write(log->fd, line, bytes);
    (void)written; /* a log that cannot be written has nowhere to say so */
    log->lines++;
}

void log_line(struct log *log, enum log_level level, const char *msg, const char *format, ...)
{
    assert(log != NULL && msg != NULL);
    assert(format != NULL);
    if (level < log->level) {
        return;
    }
    char pairs[LOG_LINE_MAX - 160];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(pairs, sizeof(pairs), format, list);
    va_end(list);
    uint32_t kind = NOTE_COUNT + (uint32_t)(num_hash64(msg, strlen(msg), 1) %
                                            (LOG_KINDS - (uint32_t)NOTE_COUNT));
    write_line(log, level, kind, msg, pairs);
}

/* Numbers of notes whose meaning is a unit are shown as places. */
static void note_value(const char *name, uint64_t v, char *ret, size_t size)
{
    bool is_unit =
        strcmp(name, "unit") == 0 || strcmp(name, "from") == 0 || strcmp(name, "agent") == 0;
    struct unit u = unit_unpack(v);
    if (is_unit && u.tier != TIER_NONE && u.tier < TIER_COUNT && v >> 56 == 0) {
        char text[UNIT_TEXT_MAX];
        (void)unit_format(u, text);
        (void)snprintf(ret, size, " %s=%s", name, text);
    } else if (strcmp(name, "op") == 0 || strcmp(name, "uid") == 0 ||
               strcmp(name, "message") == 0) {
        (void)snprintf(ret, size, " %s=%016" PRIx64, name, v);
    } else {
        (void)snprintf(ret, size, " %s=%" PRIu64, name, v);
    }
}

void log_note(struct log *log, struct unit from, const struct note_record *note)
{
    assert(log != NULL && note != NULL);
    assert(note->note > NOTE_NONE && note->note < NOTE_COUNT);
    const struct note_info *info = note_info(note->note);
    enum log_level level = info->level == 'D'   ? LOG_DEBUG
                           : info->level == 'I' ? LOG_INFO
                                                : LOG_WARNING;
    if (level < log->level) {
        return;
    }
    char unit[UNIT_TEXT_MAX], a[64] = "", b[64] = "", pairs[200];
    (void)unit_format(from, unit);
    if (strcmp(info->a, "-") != 0) {
        note_value(info->a, note->a, a, sizeof(a));
    }
    if (strcmp(info->b, "-") != 0) {
        note_value(info->b, note->b, b, sizeof(b));
    }
    (void)snprintf(pairs, sizeof(pairs), "node=%s%s%s", unit, a, b);
    write_line(log, level, (uint32_t)note->note, info->name, pairs);
}
