/* Records in memory: small, and quick to write again. Field names are numbers (there are a few
 * dozen); a value is overwritten in place while it fits the room that it has, else it moves to the
 * end. When the end is reached the values are packed into a larger piece.
 *
 * Records are mostly of one kind: each field is looked for first where it was in the last record.
 * All that a put needs is made before anything changes. */
#include "core/num.h"
#include "registry/memory_private.h"
#include <assert.h>
#include <string.h>

#define NAME_NONE  UINT16_MAX
#define NAMES_MAX  65534u
#define VALUE_STEP 4u /* a value that grows by a digit stays where it is */

static const char no_budget[] = "memory: the budget is used up";

static struct interned *name_new(struct memory_store *store, const char *name)
{
    uint32_t count = HASH_COUNT(store->names);
    struct interned *made = NULL;
    if (count == store->name_room && count < NAMES_MAX) {
        uint32_t room = count ? count * 2 : 64;
        size_t size = sizeof *store->by_number;
        void *moved = memory_resize(store, store->by_number, count * size, room * size);
        if (!moved)
            return NULL;
        store->by_number = moved;
        store->name_room = room;
    }
    if (count < NAMES_MAX)
        made = memory_take(store, sizeof *made);
    if (!made)
        return NULL;
    made->number = (uint16_t)count;
    strcpy(made->name, name);
    store->by_number[count] = made;
    HASH_ADD_STR(store->names, name, made);
    return made;
}

/* Where a name of this address was found lately: its entry, or one to be used for it. */
static struct recent_name *recent_entry(struct memory_store *store, const char *name)
{
    uint32_t spread = (uint32_t)(uintptr_t)name * UINT32_C(2654435761) >> 16;
    for (uint32_t i = 0; i < RECENT_TRIES; i++) {
        struct recent_name *at = &store->recent[(spread + i) % RECENT_NAMES];
        if (at->at == name || !at->at)
            return at;
    }
    return &store->recent[spread % RECENT_NAMES];
}

/* NAME_NONE: no budget for a new one. */
static uint16_t name_number(struct memory_store *store, const char *name)
{
    struct recent_name *recent = recent_entry(store, name);
    if (recent->at == name &&
        (recent->run == store->run || strcmp(store->by_number[recent->number]->name, name) == 0)) {
        recent->run = store->run; /* nobody writes there while it runs */
        return recent->number;
    }
    struct interned *known;
    HASH_FIND_STR(store->names, name, known);
    if (!known)
        known = name_new(store, name);
    if (!known)
        return NAME_NONE;
    *recent = (struct recent_name){.at = name, .run = store->run, .number = known->number};
    return known->number;
}

void names_clear(struct memory_store *store)
{
    while (store->names) {
        struct interned *name = store->names;
        HASH_DEL(store->names, name);
        memory_give(store, name, sizeof *name);
    }
    memory_give(store, store->by_number, store->name_room * sizeof *store->by_number);
    store->by_number = NULL;
    store->name_room = 0;
}

/* The place of a field; record->count: it is not there. Looked for first where a record had it
 * last: most are of one kind, made in the same order. */
static uint32_t field_place(struct memory_store *store, const struct record *record, uint16_t name)
{
    uint8_t *known = &store->places[name % PLACES_KNOWN];
    if (*known < record->count && record->fields[*known].name == name)
        return *known;
    for (uint32_t i = 0; i < record->count; i++)
        if (record->fields[i].name == name) {
            *known = (uint8_t)i;
            return i;
        }
    return record->count;
}

static uint32_t value_room(uint32_t bytes)
{
    return (bytes + 1u + VALUE_STEP - 1u) / VALUE_STEP * VALUE_STEP;
}

static char *values_of(const struct record *record)
{
    return (char *)(record->fields + record->room);
}

static size_t piece_bytes(uint32_t room, uint32_t value_room)
{
    return room * sizeof(struct record_field) + value_room;
}

/* A larger piece, for `wanted` fields, with the values packed and `more` bytes free behind them. */
static bool record_grow(struct memory_store *store, struct record *record, uint32_t wanted,
                        uint32_t more)
{
    uint32_t live = 0, used = 0;
    for (uint32_t i = 0; i < record->count; i++)
        live += record->fields[i].room;
    assert(wanted >= record->count && live + more <= UINT16_MAX);
    struct record grown = {.fields = memory_take(store, piece_bytes(wanted, live + more)),
                           .epoch = record->epoch,
                           .value_used = (uint16_t)live,
                           .value_room = (uint16_t)(live + more),
                           .count = record->count,
                           .room = (uint8_t)wanted};
    if (!grown.fields)
        return false;
    for (uint32_t i = 0; i < record->count; i++) {
        struct record_field f = record->fields[i];
        memcpy(values_of(&grown) + used, values_of(record) + f.at, f.bytes + 1u);
        f.at = (uint16_t)used;
        used += f.room;
        grown.fields[i] = f;
    }
    memory_give(store, record->fields, piece_bytes(record->room, record->value_room));
    *record = grown;
    return true;
}

/* What a put will do: the numbers of its fields, and their places unless it adds any. */
struct plan {
    uint16_t numbers[STORE_FIELDS_MAX];
    uint8_t places[STORE_FIELDS_MAX];
    bool in_place; /* every field is there and has room */
};

/* Numbers and room for everything, before anything changes. */
static const char *reserve(struct memory_store *store, struct record *record,
                           const struct store_field *fields, uint32_t count, bool merge,
                           struct plan *plan)
{
    uint32_t fresh = 0, more = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t number = plan->numbers[i] = name_number(store, fields[i].name);
        if (number == NAME_NONE)
            return no_budget;
        uint32_t place = merge ? field_place(store, record, number) : record->count;
        bool known = place < record->count;
        plan->places[i] = (uint8_t)place;
        if (known && fields[i].value_bytes < record->fields[place].room)
            continue;
        more += value_room(fields[i].value_bytes);
        bool twice = known;
        for (uint32_t j = 0; j < i && merge && !twice; j++)
            twice = plan->numbers[j] == number;
        fresh += twice ? 0 : 1;
    }
    plan->in_place = more == 0;
    if (plan->in_place)
        return NULL;
    if (record->count + fresh > STORE_FIELDS_MAX)
        return "record: 40 fields at most";
    uint32_t wanted = record->count + fresh > record->room ? record->count + fresh : record->room;
    bool fits = wanted == record->room && record->value_used + more <= record->value_room;
    return fits || record_grow(store, record, wanted, more) ? NULL : no_budget;
}

const char *record_reserve(struct memory_store *store, struct record *record,
                           const struct store_field *fields, uint32_t count)
{
    assert(store && record && count <= STORE_FIELDS_MAX);
    struct plan plan;
    return reserve(store, record, fields, count, true, &plan);
}

static void value_set(struct record *record, struct record_field *f, const struct store_field *from)
{
    char *value = values_of(record) + f->at;
    if (from->value_bytes > 0)
        memcpy(value, from->value, from->value_bytes);
    value[from->value_bytes] = '\0';
    f->bytes = (uint8_t)from->value_bytes;
}

const char *record_put(struct memory_store *store, struct record *record,
                       const struct store_field *fields, uint32_t count, bool merge)
{
    assert(store && record && count <= STORE_FIELDS_MAX);
    struct plan plan;
    const char *wrong = reserve(store, record, fields, count, merge, &plan);
    if (wrong)
        return wrong;
    for (uint32_t i = 0; i < count && plan.in_place; i++)
        value_set(record, &record->fields[plan.places[i]], &fields[i]);
    for (uint32_t i = 0; i < count && !plan.in_place; i++) {
        uint32_t bytes = fields[i].value_bytes;
        uint32_t place = merge ? field_place(store, record, plan.numbers[i]) : record->count;
        struct record_field *f = &record->fields[place];
        assert(bytes <= STORE_FIELD_VALUE_MAX);
        if (place == record->count) {
            assert(record->count < record->room);
            *f = (struct record_field){.name = plan.numbers[i]};
            record->count++;
        }
        if (bytes >= f->room) {
            f->at = record->value_used;
            f->room = (uint8_t)value_room(bytes);
            record->value_used = (uint16_t)(record->value_used + f->room);
            assert(record->value_used <= record->value_room);
        }
        value_set(record, f, &fields[i]);
    }
    return NULL;
}

void record_clear(struct memory_store *store, struct record *record)
{
    assert(store && record);
    memory_give(store, record->fields, piece_bytes(record->room, record->value_room));
    *record = (struct record){0};
}

void record_row(struct memory_store *store, const struct record *record, uint32_t *used,
                struct store_row *row)
{
    assert(store && record && used && row);
    struct store_field *fields = &store->fields[*used];
    for (uint32_t i = 0; i < record->count; i++) {
        const struct record_field *f = &record->fields[i];
        fields[i] = (struct store_field){store->by_number[f->name]->name, values_of(record) + f->at,
                                         f->bytes};
    }
    *used += record->count;
    row->fields = fields;
    row->field_count = record->count;
}
