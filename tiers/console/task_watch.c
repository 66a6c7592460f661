/* watch: its own flags, then the words of the command that it repeats. Only what reads is repeated;
 * of commands that act that is their --dry-run. */
#include "tiers/console/request.h"
#include "tiers/console/task_int.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

bool task_watch(struct task *t, char error[COMMAND_ERROR_MAX])
{
    static struct invocation inner;
    assert(t && error);
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    size_t count = 0;
    const struct value *every = command_value(&t->invocation, "every");
    const struct value *times = command_value(&t->invocation, "times");
    char line[COMMAND_LINE_BYTES_MAX];
    strncpy(line, command_value(&t->invocation, "command")->text, sizeof line - 1);
    line[sizeof line - 1] = '\0';
    if (!command_split(line, t->watch_line, sizeof t->watch_line, words, &count, &why)) {
        snprintf(error, COMMAND_ERROR_MAX, "watch: %s", why);
        return false;
    }
    if (count > 1 && strcmp(words[count - 1], "--json") == 0) {
        t->render.json = true;
        t->render.form = FORM_JSON;
        count--;
    }
    if (!command_parse(words, count, &inner, error))
        return false;
    if (request_acts(&inner) || inner.spec->local) {
        snprintf(error, COMMAND_ERROR_MAX, "watch: '%s' is not a command that only reads",
                 inner.spec->name);
        return false;
    }
    t->watching = true;
    t->watch_every_ms = every->given ? (uint64_t)(every->number / US_PER_MS) : 2000;
    t->watch_left = times->given ? times->number : -1;
    return command_parse(words, count, &t->invocation, error);
}
