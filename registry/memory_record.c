/* Records in memory: small, and quick to write again. Field names are numbers (there are a few
 * dozen); a value is overwritten in place while it fits the room that it has, else it moves to the
 * end. When the end is reached the values are packed into a larger piece.
 *
 * A put names mostly the fields of the one before, in the same order: each is looked for behind the
 * last one found. All that a put needs is made before anything changes. */
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

/* NAME_NONE: no budget for a new one. */
static uint16_t name_number(struct memory_store *store, const char *name)
{
    struct recent_name *recent = &store->recent[((uintptr_t)name >> 3) % RECENT_NAMES];
    if (recent->at == name && strcmp(store->by_number[recent->number]->name, name) == 0)
        return recent->number;
    struct interned *known;
    HASH_FIND_STR(store->names, name, known);
    if (!known)
        known = name_new(store, name);
    if (!known)
        return NAME_NONE;
    *recent = (struct recent_name){name, known->number};
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

/* The place of a field, looking first from `from` on; record->count: it is not there. */
static uint32_t field_place(const struct record *record, uint16_t name, uint32_t from)
{
    for (uint32_t i = from; i < record->count; i++)
        if (record->fields[i].name == name)
            return i;
    for (uint32_t i = 0; i < from && i < record->count; i++)
        if (record->fields[i].name == name)
            return i;
    return record->count;
}

static uint32_t value_room(uint32_t bytes)
{
    return (bytes + 1u + VALUE_STEP - 1u) / VALUE_STEP * VALUE_STEP;
}

/* Packs the values into a piece with `more` bytes free at its end. */
static bool values_grow(struct memory_store *store, struct record *record, uint32_t more)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < record->count; i++)
        live += record->fields[i].room;
    assert(live + more <= UINT16_MAX);
    char *values = memory_take(store, live + more);
    if (!values)
        return false;
    uint32_t used = 0;
    for (uint32_t i = 0; i < record->count; i++) {
        struct record_field *f = &record->fields[i];
        memcpy(values + used, record->values + f->at, f->bytes + 1u);
        f->at = (uint16_t)used;
        used += f->room;
    }
    memory_give(store, record->values, record->value_room);
    record->values = values;
    record->value_used = (uint16_t)used;
    record->value_room = (uint16_t)(live + more);
    return true;
}

static bool fields_grow(struct memory_store *store, struct record *record, uint32_t wanted)
{
    size_t size = sizeof *record->fields;
    void *moved = memory_resize(store, record->fields, record->room * size, wanted * size);
    if (!moved)
        return false;
    record->fields = moved;
    record->room = (uint8_t)wanted;
    return true;
}

/* Numbers and room for everything, before anything changes. */
static const char *reserve(struct memory_store *store, struct record *record,
                           const struct store_field *fields, uint32_t count, bool merge,
                           uint16_t *numbers)
{
    uint32_t fresh = 0, more = 0, last = 0;
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = name_number(store, fields[i].name);
        if (numbers[i] == NAME_NONE)
            return no_budget;
        uint32_t place = merge ? field_place(record, numbers[i], last) : record->count;
        bool known = place < record->count;
        if (known && fields[i].value_bytes < record->fields[place].room) {
            last = place + 1;
            continue;
        }
        more += value_room(fields[i].value_bytes);
        bool twice = known;
        for (uint32_t j = 0; j < i && merge && !twice; j++)
            twice = numbers[j] == numbers[i];
        fresh += twice ? 0 : 1;
    }
    if (record->count + fresh > STORE_FIELDS_MAX)
        return "record: 40 fields at most";
    if (record->count + fresh > record->room && !fields_grow(store, record, record->count + fresh))
        return no_budget;
    if ((uint32_t)record->value_used + more > record->value_room &&
        !values_grow(store, record, more))
        return no_budget;
    return NULL;
}

const char *record_reserve(struct memory_store *store, struct record *record,
                           const struct store_field *fields, uint32_t count)
{
    assert(store && record && count <= STORE_FIELDS_MAX);
    uint16_t numbers[STORE_FIELDS_MAX];
    return reserve(store, record, fields, count, true, numbers);
}

const char *record_put(struct memory_store *store, struct record *record,
                       const struct store_field *fields, uint32_t count, bool merge)
{
    assert(store && record && count <= STORE_FIELDS_MAX);
    uint16_t numbers[STORE_FIELDS_MAX];
    const char *wrong = reserve(store, record, fields, count, merge, numbers);
    if (wrong)
        return wrong;
    uint32_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = fields[i].value_bytes;
        uint32_t place = merge ? field_place(record, numbers[i], last) : record->count;
        struct record_field *f = &record->fields[place];
        assert(bytes <= STORE_FIELD_VALUE_MAX);
        if (place == record->count) {
            assert(record->count < record->room);
            *f = (struct record_field){.name = numbers[i]};
            record->count++;
        }
        if (bytes >= f->room) {
            f->at = record->value_used;
            f->room = (uint8_t)value_room(bytes);
            record->value_used = (uint16_t)(record->value_used + f->room);
            assert(record->value_used <= record->value_room);
        }
        if (bytes > 0)
            memcpy(record->values + f->at, fields[i].value, bytes);
        record->values[f->at + bytes] = '\0';
        f->bytes = (uint8_t)bytes;
        last = place + 1;
    }
    return NULL;
}

void record_clear(struct memory_store *store, struct record *record)
{
    assert(store && record);
    memory_give(store, record->fields, record->room * sizeof *record->fields);
    memory_give(store, record->values, record->value_room);
    *record = (struct record){0};
}

uint64_t record_epoch(struct memory_store *store, const struct record *record)
{
    assert(store && record);
    uint16_t name = name_number(store, "epoch");
    uint32_t place = field_place(record, name, 0);
    uint64_t epoch = 0;
    if (place < record->count) {
        const struct record_field *f = &record->fields[place];
        (void)num_parse_u64(record->values + f->at, f->bytes, &epoch);
    }
    return epoch;
}

void record_row(struct memory_store *store, const struct record *record, uint32_t *used,
                struct store_row *row)
{
    assert(store && record && used && row);
    struct store_field *fields = &store->fields[*used];
    for (uint32_t i = 0; i < record->count; i++) {
        const struct record_field *f = &record->fields[i];
        fields[i] =
            (struct store_field){store->by_number[f->name]->name, record->values + f->at, f->bytes};
    }
    *used += record->count;
    row->fields = fields;
    row->field_count = record->count;
}
