/* What the files of the Redis store share with each other, and with nobody else. */
#ifndef REGISTRY_REDIS_PRIVATE_H
#define REGISTRY_REDIS_PRIVATE_H

#include "core/store.h"
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A server's address: redis://[[user]:password@]host[:port][/db] or
 * unix://[[user]:password@]/path[?db=n]. User and password may be percent-encoded. */
struct redis_url {
    bool is_unix;
    char host[256]; /* or the path of the socket */
    char user[128];
    char password[256];
    uint16_t port;
    uint16_t db;
};

/* NULL and *ret_url filled in, or what is wrong with the text (static). */
const char *redis_url_parse(const char *text, struct redis_url *ret_url);

/* The library of functions (registry/mesh.lua). */
extern const char *const functions_parts[];

/* Room for one decoded reply. */
struct redis_scratch {
    struct store_row rows[STORE_ROWS_MAX];
    struct store_field fields[STORE_ROWS_MAX * STORE_FIELDS_MAX];
    char detail[160];
};

/* The request for one valid operation as it goes over the wire; the caller frees *ret_bytes with
 * redisFreeCommand(). Returns its length or -ENOMEM. */
int redis_command_format(const struct store_op *op, char **ret_bytes);

/* What a server's answer means for an operation of this kind. Any shape of answer is accepted: one
 * that the kind cannot have becomes STORE_UNKNOWN with a detail. *ret_reply borrows from `answer`
 * and `scratch`; its ref is left to the caller. */
void redis_command_decode(enum store_kind kind, const redisReply *answer,
                          struct redis_scratch *scratch, struct store_reply *ret_reply);

/* True for the error of a server that does not have our functions. */
bool redis_answer_lacks_function(const redisReply *answer);

#endif
