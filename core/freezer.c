/* The table is searched from front to back: it is short, and frozen rarely. */
#include "core/freezer.h"
#include "core/num.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

bool freezer_holds(struct unit scope, struct unit u)
{
    return scope.tier == TIER_ORCHESTRATOR ||
           (scope.tier == TIER_SECTOR && scope.sector == u.sector) ||
           (scope.tier == TIER_CLUSTER && scope.sector == u.sector && scope.cluster == u.cluster);
}

const struct freeze *freezer_covers(const struct freezer *f, struct unit u)
{
    assert(f != NULL);
    const struct freeze *widest = NULL;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct freeze *at = &f->list[i];
        if (freezer_holds(at->scope, u) &&
            (widest == NULL || at->scope.tier < widest->scope.tier)) {
            widest = at;
        }
    }
    return widest;
}

static struct freeze *find(struct freezer *f, struct unit scope)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (unit_equal(f->list[i].scope, scope)) {
            return &f->list[i];
        }
    }
    return NULL;
}

enum freezer_verdict freezer_add(struct freezer *f, const struct freeze *freeze,
                                 const struct freeze **ret)
{
    assert(f != NULL && freeze != NULL);
    const struct freeze *at = find(f, freeze->scope);
    enum freezer_verdict v = at != NULL ? FREEZER_ALREADY : FREEZER_OK;
    if (at == NULL) {
        at = freezer_covers(f, freeze->scope);
        v = at != NULL ? FREEZER_WITHIN : FREEZER_OK;
    }
    if (v == FREEZER_OK && f->count == FREEZER_SCOPES_MAX) {
        v = FREEZER_FULL;
    } else if (v == FREEZER_OK) {
        at = &f->list[f->count];
        f->list[f->count++] = *freeze;
    }
    if (ret != NULL) {
        *ret = at;
    }
    return v;
}

enum freezer_verdict freezer_remove(struct freezer *f, struct unit scope, struct freeze *ret_gone,
                                    const struct freeze **ret)
{
    assert(f != NULL && ret_gone != NULL);
    struct freeze *at = find(f, scope);
    if (at == NULL) {
        const struct freeze *wider = freezer_covers(f, scope);
        if (ret != NULL) {
            *ret = wider;
        }
        return wider != NULL ? FREEZER_WITHIN : FREEZER_NOT;
    }
    *ret_gone = *at;
    *at = f->list[--f->count];
    return FREEZER_OK;
}

uint32_t freezer_save(const struct freezer *f, struct freezer_record *ret)
{
    assert(f != NULL && ret != NULL);
    for (uint32_t i = 0; i < f->count; i++) {
        const struct freeze *at = &f->list[i];
        struct text name, value;
        char *memory = ret->memory + (size_t)i * (STORE_FIELD_VALUE_MAX + STORE_FIELD_NAME_MAX);
        text_init(&name, memory, STORE_FIELD_NAME_MAX);
        text_unit(&name, at->scope);
        for (size_t k = 0; k < name.used; k++) {
            name.at[k] = name.at[k] == '.' ? '_' : name.at[k];
        }
        text_init(&value, memory + STORE_FIELD_NAME_MAX, STORE_FIELD_VALUE_MAX);
        text_i64(&value, at->at_mesh_us);
        text_char(&value, ' ');
        text_add(&value, at->preserve_state_to);
        ret->fields[i] = (struct store_field){
            .name = name.at, .value = value.at, .value_bytes = (uint32_t)value.used};
    }
    return f->count;
}

bool freezer_load(const struct store_field *field, struct freeze *ret)
{
    assert(field != NULL && ret != NULL);
    char place[UNIT_TEXT_MAX] = {0};
    const char *why = NULL;
    size_t bytes = strlen(field->name);
    uint64_t at_us = 0;
    *ret = (struct freeze){0};
    if (bytes >= sizeof(place)) {
        return false;
    }
    for (size_t k = 0; k < bytes; k++) {
        place[k] = field->name[k] == '_' ? '.' : field->name[k];
    }
    const char *blank = memchr(field->value, ' ', field->value_bytes);
    if (blank == NULL || !unit_parse(place, bytes, &ret->scope, &why) ||
        !num_parse_u64(field->value, (size_t)(blank - field->value), &at_us)) {
        return false;
    }
    size_t left = field->value_bytes - (size_t)(blank + 1 - field->value);
    if (left >= sizeof(ret->preserve_state_to) || ret->scope.tier > TIER_CLUSTER) {
        return false;
    }
    memcpy(ret->preserve_state_to, blank + 1, left);
    ret->at_mesh_us = (int64_t)at_us;
    return true;
}

void freeze_name(const char *wanted, int64_t mesh_us, char ret[FREEZE_NAME_MAX])
{
    assert(wanted != NULL && ret != NULL);
    struct text t;
    text_init(&t, ret, FREEZE_NAME_MAX);
    if (wanted[0] != '\0') {
        text_add_safe(&t, wanted, strlen(wanted));
        return;
    }
    text_add(&t, "/mesh/frozen/");
    text_time(&t, mesh_us);
}

void freezer_why(enum freezer_verdict v, struct unit scope, const struct freeze *at,
                 char ret[TEXT_BYTES_MAX])
{
    struct text t;
    text_init(&t, ret, TEXT_BYTES_MAX);
    text_unit(&t, scope);
    if (v == FREEZER_NOT) {
        text_add(&t, " is not frozen");
    } else if (v == FREEZER_FULL) {
        text_add(&t, ": 32 scopes are frozen already; thaw one, or freeze the mesh");
    } else {
        text_add(&t, v == FREEZER_WITHIN ? " is frozen with " : " is frozen already as ");
        text_unit(&t, at->scope);
        text_add(&t, " (snapshot ");
        text_add(&t, at->preserve_state_to);
        text_add(&t, v == FREEZER_WITHIN ? "): thaw that" : ")");
    }
}
