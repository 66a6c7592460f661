/* The table of notes, made from the one list in note.h so that enum, name and level cannot part. */
#include "core/note.h"

#include <assert.h>

static const struct note_info NOTES[NOTE_COUNT] = {[NOTE_NONE] = {"none", "-", "-", 'D'},
#define X(id, name, a, b, level) [id] = {name, a, b, level},
                                                   NOTE_LIST(X)
#undef X
};

const struct note_info *note_info(enum note note)
{
    assert(note >= NOTE_NONE);
    assert(note < NOTE_COUNT);
    return &NOTES[note];
}
