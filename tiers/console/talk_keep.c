/* What `mesh say` remembers from one process to the next. A file that cannot be read, or that is
 * not ours in every field, is no memory; nothing in it is run without having been parsed again. */
#include "tiers/console/talk.h"
#include "tiers/console/targets.h"
#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "dialogue.json"

static bool path(char ret[PATH_MAX + 64])
{
    return targets_path(FILE_NAME, ret);
}

/* A text member of at most size - 1 bytes; false: it is missing or longer. */
static bool take_text(const json_t *object, const char *key, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text || strlen(text) >= size)
        return false;
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

static bool take_all(const json_t *o, struct talk *ret)
{
    const json_t *lines = json_object_get(o, "proposal");
    struct subject *s = &ret->subject;
    ret->proposal.expires_us = json_integer_value(json_object_get(o, "expires_us"));
    ret->proposal.count = json_array_size(lines);
    if (ret->proposal.count > TALK_LINES_MAX)
        return false;
    for (size_t i = 0; i < ret->proposal.count; i++) {
        const char *line = json_string_value(json_array_get(lines, i));
        if (!line || strlen(line) >= GRAMMAR_LINE_MAX)
            return false;
        memcpy(ret->proposal.lines[i], line, strlen(line) + 1);
    }
    return take_text(o, "question", ret->proposal.question, sizeof ret->proposal.question) &&
           take_text(o, "avoided", ret->avoided, sizeof ret->avoided) &&
           take_text(o, "scope", s->scope, sizeof s->scope) &&
           take_text(o, "places", s->places, sizeof s->places) &&
           take_text(o, "operation", s->operation, sizeof s->operation) &&
           take_text(o, "home_class", s->home_class, sizeof s->home_class) &&
           take_text(o, "wrong_class", s->wrong_class, sizeof s->wrong_class) &&
           take_text(o, "capability", s->capability, sizeof s->capability);
}

void talk_load(struct talk *talk, const char *mesh, int64_t session, int64_t unix_us)
{
    char file[PATH_MAX + 64];
    assert(talk && mesh);
    memset(talk, 0, sizeof *talk);
    json_t *o = path(file) ? json_load_file(file, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *whose = json_string_value(json_object_get(o, "mesh"));
    int64_t said_us = json_integer_value(json_object_get(o, "said_us"));
    bool ours = whose && strcmp(whose, mesh) == 0 &&
                json_integer_value(json_object_get(o, "session")) == session &&
                said_us <= unix_us && unix_us - said_us < TALK_PROPOSAL_US;
    if (!ours || !take_all(o, talk))
        memset(talk, 0, sizeof *talk);
    json_decref(o);
}

void talk_store(const struct talk *talk, const char *mesh, int64_t session, int64_t unix_us)
{
    char file[PATH_MAX + 64];
    const struct subject *s = &talk->subject;
    const struct proposal *p = &talk->proposal;
    json_t *lines = json_array();
    assert(mesh);
    for (size_t i = 0; i < p->count; i++)
        json_array_append_new(lines, json_string(p->lines[i]));
    json_t *o = json_pack("{s:s,s:I,s:I,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o}", "mesh", mesh,
                          "session", (json_int_t)session, "said_us", (json_int_t)unix_us,
                          "expires_us", (json_int_t)p->expires_us, "question", p->question,
                          "avoided", talk->avoided, "scope", s->scope, "places", s->places,
                          "operation", s->operation, "home_class", s->home_class, "wrong_class",
                          s->wrong_class, "capability", s->capability, "proposal", lines);
    int fd = o && path(file) ? open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || json_dumpfd(o, fd, JSON_COMPACT) != 0)
        fprintf(stderr, "mesh: what was said cannot be kept in %s: \"yes\" will know nothing\n",
                FILE_NAME);
    if (fd >= 0)
        close(fd);
    json_decref(o);
}
