/* Contexts as operations: `put` has one agent's process put the file's bytes into the registry,
 * `load` sends them down the tree, or their key alone when they are there already, and `list` asks
 * who holds what: equal answers fold. */
#include "tiers/console/content.h"
#include "core/content.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PUT, LOAD, LIST };

bool content_reads(const struct invocation *in)
{
    return in->spec->verb == CMD_CONTENT && command_value(in, "what")->number == LIST;
}

/* The file's bytes, 1 to CONTENT_BYTES_MAX of them. */
static bool take_file(const char *path, struct operation *op, char error[COMMAND_ERROR_MAX])
{
    static uint8_t bytes[CONTENT_BYTES_MAX + 1];
    uint8_t unused[CONTENT_HASH];
    FILE *f = fopen(path, "rb");
    size_t n = f != NULL ? fread(bytes, 1, sizeof(bytes), f) : 0;
    int why = f == NULL || ferror(f) ? errno : 0;
    if (f != NULL)
        (void)fclose(f);
    if (why != 0)
        snprintf(error, COMMAND_ERROR_MAX, "file: '%.120s': %s", path, strerror(why));
    else if (n == 0)
        snprintf(error, COMMAND_ERROR_MAX, "file: '%.120s' is empty: a context has 1 to %u bytes",
                 path, CONTENT_BYTES_MAX);
    else if (n > CONTENT_BYTES_MAX)
        snprintf(error, COMMAND_ERROR_MAX, "file: '%.120s' is longer than %u bytes", path,
                 CONTENT_BYTES_MAX);
    else if (content_ref_parse(bytes, (uint32_t)n, unused))
        snprintf(error, COMMAND_ERROR_MAX, "file: '%.120s' has the key of a context, not a context",
                 path);
    else {
        op->payload = bytes;
        op->payload_bytes = (uint32_t)n;
        return true;
    }
    return false;
}

/* "blob:" may be left out. False: it is no key. */
static bool take_key(const char *text, struct operation *op)
{
    static uint8_t ref[CONTENT_REF_BYTES];
    uint8_t hash[CONTENT_HASH];
    size_t bytes = strlen(text);
    if (bytes != CONTENT_REF_BYTES && bytes != 2u * CONTENT_HASH)
        return false;
    if (!content_hex_parse(text, (uint32_t)bytes, hash) &&
        !content_ref_parse((const uint8_t *)text, (uint32_t)bytes, hash))
        return false;
    content_ref_format(hash, ref);
    op->payload = ref;
    op->payload_bytes = sizeof(ref);
    return true;
}

bool content_build(const struct invocation *in, struct operation *op, char error[COMMAND_ERROR_MAX])
{
    static const char *const actions[] = {CONTENT_PUT, CONTENT_ACTION, "context"};
    static const enum verb verbs[] = {VERB_RECORD, VERB_SYNC, VERB_OBSERVE};
    const struct value *file = command_value(in, "file");
    int64_t what = command_value(in, "what")->number;
    assert(what >= PUT && what <= LIST);
    op->routing = ROUTING_SCATTER_GATHER;
    op->require_answer = true;
    op->allow_partial = true;
    op->verb = verbs[what];
    (void)snprintf(op->action, sizeof(op->action), "%s", actions[what]);
    if (what == LIST)
        return true;
    if (what == PUT) {
        op->selector.sample = 1;
        return take_file(file->text, op, error);
    }
    return take_key(file->text, op) || take_file(file->text, op, error);
}

bool content_render(const struct render *r, const struct invocation *in,
                    const struct report *report)
{
    const struct aggregate_view *v = &report->aggregate;
    bool put = in->spec->verb == CMD_CONTENT && command_value(in, "what")->number == PUT;
    if (!put || r->json || v->outcomes[OUTCOME_READY] != 1 || v->group_count != 1)
        return false;
    fprintf(r->out, "%.*s\n", (int)v->groups[0].answer_bytes, (const char *)v->groups[0].answer);
    return true;
}
