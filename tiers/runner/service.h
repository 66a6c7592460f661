/* NATS service discovery (ADR-32): what a process of the upper tiers answers to $SRV.PING, INFO and
 * STATS, so that `nats service ls`, `info` and `stats` show the mesh. Read-only; agents' processes
 * do not take part. */
#ifndef TIERS_RUNNER_SERVICE_H
#define TIERS_RUNNER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVICE_SUBJECTS     "$SRV.>"
#define SERVICE_INBOX        "_INBOX." /* the only place where answers go */
#define SERVICE_ANSWER_BYTES 2048u     /* no answer is longer */
#define SERVICE_PER_S        100u      /* answers; what is beyond gets none, and is counted */

struct service {
    const char *name; /* of the service: mesh-cluster */
    const char *id;   /* of the instance: the process's name */
    const char *version, *description, *mesh;
    bool ready;
    int64_t started_us; /* Unix time */
    uint64_t epoch, nodes, agents;
    uint64_t requests, errors; /* frames read; frames refused */
    uint64_t cpu_ns;           /* of the whole process */
    const char *last_error;    /* "": none */
};

/* Whether `subject` asks this instance: $SRV.VERB, $SRV.VERB.name or $SRV.VERB.name.id. */
bool service_is_asked(const char *name, const char *id, const char *subject);

/* The JSON that answers such a subject: its bytes, 0 when it does not fit or there is no memory. */
size_t service_answer(const struct service *s, const char *subject, char *ret, size_t room);

#endif
