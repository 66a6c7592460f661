/* What is frozen: a small table of scopes (the mesh, sectors, clusters), each with the name of the
 * snapshot that its state was preserved to. A unit stands still while any scope that holds it is in
 * the table. The orchestrator keeps the table in the registry; a sector has the part that concerns
 * it, to tell a lead that starts anew. Pure. */
#ifndef CORE_FREEZER_H
#define CORE_FREEZER_H

#include "core/msg.h"
#include "core/store.h"
#include <stdbool.h>
#include <stdint.h>

#define FREEZER_SCOPES_MAX 32u /* one more is refused */

struct freezer {
    uint32_t count;
    struct freeze list[FREEZER_SCOPES_MAX];
};

enum freezer_verdict {
    FREEZER_OK,
    FREEZER_ALREADY, /* this very scope is frozen */
    FREEZER_WITHIN,  /* a wider scope is frozen, and so is this */
    FREEZER_NOT,     /* it is not frozen */
    FREEZER_FULL
};

/* The name of a snapshot: what was asked for, or by the time
 * ("/mesh/frozen/2026-11-27T20:30:00.000Z" of mesh time). */
void freeze_name(const char *wanted, int64_t mesh_us, char ret[FREEZE_NAME_MAX]);

/* Whether scope (mesh, sector or cluster) holds u. */
bool freezer_holds(struct unit scope, struct unit u);

/* *ret (may be NULL): the entry that the verdict speaks of, when there is one. */
enum freezer_verdict freezer_add(struct freezer *f, const struct freeze *freeze,
                                 const struct freeze **ret);
/* OK: *ret_gone is what it was. */
enum freezer_verdict freezer_remove(struct freezer *f, struct unit scope, struct freeze *ret_gone,
                                    const struct freeze **ret);

/* "s07 is frozen already as s07 (snapshot ..)": why a verdict other than OK. */
void freezer_why(enum freezer_verdict v, struct unit scope, const struct freeze *at,
                 char ret[TEXT_BYTES_MAX]);

/* The widest entry that holds u; NULL: it is not frozen. */
const struct freeze *freezer_covers(const struct freezer *f, struct unit u);

/* The table as fields of a record ("s07_c3" = "1795000000000000 NAME"), and back. */
struct freezer_record {
    struct store_field fields[FREEZER_SCOPES_MAX];
    char memory[FREEZER_SCOPES_MAX * (STORE_FIELD_VALUE_MAX + STORE_FIELD_NAME_MAX)];
};
uint32_t freezer_save(const struct freezer *f, struct freezer_record *ret);
/* One field; false: it is none of ours. */
bool freezer_load(const struct store_field *field, struct freeze *ret);

#endif
