/* The sending side: messages become records, records of one destination become one frame, a frame
 * is signed once.
 *
 * A slot is one (own port, destination endpoint). Records are appended to its open buffer, which
 * starts small and grows up to a frame; egress_flush() closes the buffers that are due: stamps
 * sent_us into every record, finishes the frame, has it signed (by the sealer's threads where there
 * are any) and publishes it. A full buffer is closed at once. The sealed operation of an OPERATE
 * goes into a frame once, before the first record that names it.
 *
 * Most messages are due at once. Beats, and what agents say to each other below the priority
 * EGRESS_URGENT, wait for others to the same destination, or until something that is due takes them
 * along: a signature is dearer than all the rest of a small message. They leave at full ticks of
 * EGRESS_TICK_US. An agent's own message waits longest where company saves most: on its way up,
 * where every host signs for itself and the lead verifies each of their frames.
 *
 * Acknowledgements of several agents to one lead that say the same of one operation become one
 * record (proto/ack_group.h) when they are said one after the other; one alone stays a message.
 *
 * Records: the first byte is a message type (proto/codec.h), or one of these. */
#ifndef TIERS_RUNNER_EGRESS_H
#define TIERS_RUNNER_EGRESS_H

#include "core/msg.h"
#include "proto/codec.h"
#include "tiers/runner/directory.h"
#include "tiers/runner/opcache.h"
#include "tiers/runner/peers.h"
#include "tiers/runner/sealer.h"
#include <stdbool.h>
#include <stdint.h>

#define RECORD_OPERATION 0xe0u /* this byte, then a sealed operation */
#define RECORD_ANNOUNCE  0xe1u /* announce.h */
#define RECORD_ASK       0xe2u /* "who owns what?": one byte */
#define RECORD_ALIVE     0xe3u /* between processes of one tier: process_wards.c */
#define RECORD_BUNDLE    0xe4u /* this byte, then a trust bundle (trust.h) */
#define RECORD_ALARM     0xe5u /* alarm.h */
#define RECORD_EXCLUDE   0xe6u /* process_exclude.c */
#define RECORD_OPERATOR  0xe7u /* a console's hardware token: hwtoken.h */
#define RECORD_ACKS      0xe8u /* acknowledgements of several agents: proto/ack_group.h */
#define RECORD_SPECIAL   0xe0u /* and above: no message */

#define EGRESS_BEAT_US INT64_C(100000) /* beats, their answers, hosts' reports */
#define EGRESS_UP_US   INT64_C(150000) /* agents' messages, on their way to the lead */
#define EGRESS_ON_US   INT64_C(25000)  /* .. and on each hop after that */
#define EGRESS_ACK_US  INT64_C(400000) /* acknowledgements of them, on each hop */
#define EGRESS_TICK_US INT64_C(25000)  /* and leave together, up to so much earlier */
#define EGRESS_LINGERS 5u              /* at once, and these */
#define EGRESS_URGENT  2u

#define EGRESS_FRAME_TTL_MS 30000u
#define EGRESS_SLOTS_MAX    1048576u /* beyond: dropped and counted */

struct egress_stats {
    uint64_t frames, records, bytes, operations;
    uint64_t grouped;           /* acknowledgements that joined the record before them */
    uint64_t signatures;        /* made for the frames: fewer where several left together */
    uint64_t dropped_encode;    /* a message that the codec refused: a fault of the node */
    uint64_t dropped_operation; /* OPERATE whose sealed operation is not in the cache */
    uint64_t dropped_signer;    /* no valid certificate of our own */
    uint64_t dropped_sealer;    /* the sealer was full */
    uint64_t dropped_bus;       /* the bus was down or full */
    uint64_t dropped_memory;
};

struct egress_conf {
    const struct identity *identity;
    struct peers *peers;
    struct sealer *sealer; /* NULL: signed in place */
    struct directory *directory;
    const struct codec *codec;
    struct opcache *opcache; /* NULL: no OPERATE will be sent */
    /* False: not sent. The bytes are borrowed for the call. */
    bool (*publish)(void *ctx, const struct route *route, const uint8_t *bytes, size_t length);
    /* The units of one port; count 0: those of the process's certificate. May be NULL. */
    void (*port_scope)(void *ctx, uint16_t port, struct unit_range ret[SCOPES_MAX],
                       uint32_t *ret_count);
    void *ctx;
};

struct egress;
struct egress *egress_new(const struct egress_conf *conf); /* NULL: no memory */
/* The sealer, if any, must be closed before. */
void egress_free(struct egress *e);

/* One message to one endpoint. clock_us: the sender's clock minus the boot clock (less a simulated
 * delay): what sent_us is stamped with beside the time of signing. False: dropped and counted. */
bool egress_msg(struct egress *e, uint16_t port, uint32_t endpoint, const struct msg *msg,
                int64_t clock_us);

/* A special record. endpoint: directory_endpoint() of an empty endpoint means every process. */
bool egress_record(struct egress *e, uint16_t port, uint32_t endpoint, const uint8_t *bytes,
                   size_t length);

void egress_flush(struct egress *e);
void egress_flush_all(struct egress *e); /* whether due or not */
/* When egress_flush() has something to do for what lingers, boot clock; INT64_MAX: nothing. */
int64_t egress_next_us(const struct egress *e);

/* The signer of a port, started or renewed when due. NULL: our certificate is no good now. */
struct frame_signer *egress_signer(struct egress *e, uint16_t port);
/* After a new certificate: every port begins a new session with its next frame. */
void egress_renew(struct egress *e);
/* Whether one of the ports speaks in this session now. */
bool egress_has_session(const struct egress *e, uint64_t session);
/* Answers FRAME_UNKNOWN_KEY: asks `to` for its chain. */
void egress_ask_chain(struct egress *e, uint16_t port, const struct endpoint *to);

const struct egress_stats *egress_stats(const struct egress *e);

#endif
