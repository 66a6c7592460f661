/* Judging. See the header for the rules. */
#include "tiers/console/diagnosis.h"
#include "core/types.h"
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cause_name(enum cause c)
{
    static const char *const names[] = {"class", "memory", "queue", "silent", "network", "work"};
    assert(c <= CAUSE_WORK);
    return names[c];
}

/* --- rows --- */

/* The value of a line "name=value"; NULL: there is none. */
static const char *value_of(const char *text, size_t bytes, const char *name, size_t *ret_bytes)
{
    size_t length = strlen(name);
    for (size_t at = 0; at < bytes;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', bytes - at);
        size_t count = end ? (size_t)(end - line) : bytes - at;
        if (count > length && memcmp(line, name, length) == 0 && line[length] == '=') {
            *ret_bytes = count - length - 1;
            return line + length + 1;
        }
        at += count + 1;
    }
    return NULL;
}

static void copy_value(const struct page_row *row, const char *name, char *ret, size_t size)
{
    size_t bytes = 0;
    const char *value = value_of(row->u.record.text, row->u.record.bytes, name, &bytes);
    bytes = value && bytes < size ? bytes : value ? size - 1 : 0;
    if (bytes)
        memcpy(ret, value, bytes);
    ret[bytes] = '\0';
}

static double number_of(const struct page_row *row, const char *name)
{
    char text[32];
    copy_value(row, name, text, sizeof text);
    return strtod(text, NULL);
}

bool work_row_read(const struct page_row *row, struct work_row *ret)
{
    char text[64];
    assert(row && ret);
    memset(ret, 0, sizeof *ret);
    if (row->unit.tier != TIER_AGENT || row->u.record.bytes == 0)
        return false;
    ret->agent = row->unit;
    copy_value(row, "operation", text, sizeof text);
    if (!num_id128_parse(text, strlen(text), &ret->operation))
        return false;
    copy_value(row, "agent_class", text, sizeof text);
    ret->agent_class = class_parse(text, strlen(text));
    copy_value(row, "action", ret->action, sizeof ret->action);
    copy_value(row, "task", ret->task, sizeof ret->task);
    copy_value(row, "waiting_on", ret->waiting_on, sizeof ret->waiting_on);
    copy_value(row, "requires", ret->requires, sizeof ret->requires);
    ret->requires[strcspn(ret->requires, ",")] = '\0';
    copy_value(row, "progress", text, sizeof text);
    ret->running = strcmp(text, "running") == 0;
    ret->age_us = (int64_t)(number_of(row, "age_ms") * 1000);
    ret->queue_depth = (uint32_t)number_of(row, "queue_depth");
    ret->latency_ms = number_of(row, "latency_ms");
    ret->processing_ms = number_of(row, "processing_ms");
    ret->predicted_ms = number_of(row, "predicted_ms");
    return ret->agent_class != CLASS_NONE;
}

/* Rows come by impedance score, so the middle one of a class is its median. */
void holders_count(const struct page_row *rows, size_t count, struct holders *ret)
{
    uint32_t seen[CLASS_COUNT] = {0};
    assert(ret && (rows || count == 0));
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < count; i++)
        ret->agents[rows[i].u.agent.agent_class]++;
    for (size_t i = 0; i < count; i++) {
        enum impedance_class c = rows[i].u.agent.agent_class;
        if (seen[c]++ == ret->agents[c] / 2)
            ret->median_ms[c] = (double)rows[i].u.agent.impedance.predicted_us / US_PER_MS;
    }
}

/* --- why --- */

static bool mentions(const char *text, const char *word)
{
    size_t bytes = strlen(word);
    for (; *text; text++) {
        size_t i = 0;
        while (i < bytes && tolower((unsigned char)text[i]) == word[i])
            i++;
        if (i == bytes)
            return true;
    }
    return false;
}

/* The class, other than people and its own, that has the capability and is fastest. */
static enum impedance_class fastest_other(const struct holders *h, enum impedance_class own)
{
    enum impedance_class best = CLASS_NONE;
    for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_F_HUMAN; c++)
        if (c != own && h->agents[c] > 0 &&
            (best == CLASS_NONE || h->median_ms[c] < h->median_ms[best]))
            best = c;
    return best;
}

/* The class whose default capability it is (spec 2.2); CLASS_NONE: it is nobody's own. */
static enum impedance_class home_of(const struct topology *t, const char *capability)
{
    int bit = capability[0] ? topology_capability(t, capability, strlen(capability)) : -1;
    for (enum impedance_class c = CLASS_A_EDGE; bit >= 0 && c < CLASS_COUNT; c++)
        if (((topology_class_capabilities(t, c) & ~t->class_extra[c]) >> bit & 1u) != 0)
            return c;
    return CLASS_NONE;
}

static bool another_class(const struct topology *t, const struct work_row *w,
                          const struct action *a, const char *capability, const struct holders *h,
                          struct verdict *ret)
{
    enum impedance_class own = w->agent_class, home = home_of(t, capability);
    if (home != CLASS_NONE && home != own && h->agents[home] > 0) {
        ret->home = home;
        snprintf(ret->why, sizeof ret->why, "'%s' is what %s is best for", capability,
                 class_name(home));
        return true;
    }
    ret->home = fastest_other(h, own);
    if (ret->home == CLASS_NONE)
        return false;
    if (a && a->class_mask != 0 && (a->class_mask >> own & 1u) == 0) {
        snprintf(ret->why, sizeof ret->why, "action '%s' is not for %s", a->name, class_name(own));
        return true;
    }
    if (mentions(w->waiting_on, "gpu") && own != CLASS_D_GPU && h->agents[CLASS_D_GPU] > 0) {
        ret->home = CLASS_D_GPU;
        snprintf(ret->why, sizeof ret->why, "it waits for a GPU, and %s has none", class_name(own));
        return true;
    }
    if (h->median_ms[own] > DIAGNOSIS_FASTER * h->median_ms[ret->home]) {
        snprintf(ret->why, sizeof ret->why, "%s%s%s%s is at %.0f ms, %s at %.0f ms",
                 class_name(ret->home), capability[0] ? " with '" : "", capability,
                 capability[0] ? "'" : "", h->median_ms[ret->home], class_name(own),
                 h->median_ms[own]);
        return true;
    }
    return false;
}

void diagnosis_judge(const struct topology *t, const struct work_row *w, const struct action *a,
                     const char *capability, const struct holders *h, struct verdict *ret)
{
    assert(t && w && capability);
    assert(h && ret);
    memset(ret, 0, sizeof *ret);
    if (another_class(t, w, a, capability, h, ret)) {
        ret->cause = CAUSE_CLASS;
        return;
    }
    ret->home = CLASS_NONE;
    if (mentions(w->waiting_on, "memory")) {
        ret->cause = CAUSE_MEMORY;
        snprintf(ret->why, sizeof ret->why, "it says that it waits for memory");
    } else if (w->queue_depth >= DIAGNOSIS_QUEUE) {
        ret->cause = CAUSE_QUEUE;
        snprintf(ret->why, sizeof ret->why, "%u tasks are at the agent", w->queue_depth);
    } else if (!w->running) {
        ret->cause = CAUSE_SILENT;
        snprintf(ret->why, sizeof ret->why, "the agent has not acknowledged it");
    } else if (w->latency_ms > w->processing_ms && w->latency_ms > DIAGNOSIS_SLOW_MS) {
        ret->cause = CAUSE_NETWORK;
        snprintf(ret->why, sizeof ret->why, "the way there and back takes %.0f ms", w->latency_ms);
    } else {
        ret->cause = CAUSE_WORK;
        snprintf(ret->why, sizeof ret->why,
                 "class, memory, queue and network are as they should "
                 "be");
    }
}

const char *diagnosis_capability(const struct work_row *w, const struct action_table *actions)
{
    assert(w);
    const struct action *a = action_find(actions, w->action);
    return w->requires[0] ? w->requires : a ? a->capability : "";
}

void findings_places(const struct unit *units, uint32_t count, char *ret, size_t size)
{
    size_t used = 0;
    assert((units || count == 0) && ret && size > 0);
    ret[0] = '\0';
    for (uint32_t i = 0; i < count && used + UNIT_TEXT_MAX + 1 < size; i++) {
        if (i > 0)
            ret[used++] = ',';
        used += unit_format(units[i], ret + used);
    }
}
