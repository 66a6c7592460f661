/* The receiving side: frames from the bus become messages for this process's units.
 *
 * In this order, each step cheaper to refuse than the next: frame header and replay window
 * (peers.h), signature (on the sealer's threads where there are any), record header, body, route,
 * certificate scope of the speaker, its capabilities, epoch, operation, order. Every refusal is
 * counted by its reason and the rest of the frame is still read: one bad record does not silence a
 * process. Nothing here crashes on any input. */
#ifndef TIERS_RUNNER_INGRESS_H
#define TIERS_RUNNER_INGRESS_H

#include "proto/codec.h"
#include "tiers/runner/alarm.h"
#include "tiers/runner/bus.h"
#include "tiers/runner/directory.h"
#include "tiers/runner/egress.h"
#include "tiers/runner/grants.h"
#include "tiers/runner/opcache.h"
#include "tiers/runner/operators.h"
#include "tiers/runner/peers.h"
#include "tiers/runner/sealer.h"
#include <stdbool.h>
#include <stdint.h>

enum ingress_refusal {
    INGRESS_OK,
    INGRESS_ENDPOINT,     /* no memory to file its source */
    INGRESS_HEADER,       /* record header, see codec_verdict */
    INGRESS_BODY,         /* body, see codec_verdict */
    INGRESS_ROUTE,        /* such a unit may not say this to such a unit */
    INGRESS_SCOPE,        /* its certificate does not cover the speaker */
    INGRESS_CAPABILITY,   /* its certificate does not allow what it offers or orders */
    INGRESS_EPOCH,        /* a lower epoch than known: it no longer owns the unit */
    INGRESS_OPERATION,    /* a sealed operation, see opcache_verdict */
    INGRESS_UNCACHED,     /* names an operation that was refused or is gone */
    INGRESS_KIND,         /* a special record that is none */
    INGRESS_SEALER,       /* no room to verify: the frame was dropped */
    INGRESS_GRANT,        /* a spare place that was not given to this speaker, so far as known */
    INGRESS_TOKEN,        /* a hardware token's word that does not hold, see hwtoken_verdict */
    INGRESS_ORDER_SOURCE, /* an order by a process that does not serve the orchestrator's epoch */
    INGRESS_ORDER_FORK,   /* another order of that number is known (order.h), or another chain */
    INGRESS_ORDER_OLD,    /* an order too old to compare */
    INGRESS_REFUSALS
};
/* What a console's certificate must have for this command: one bit of CONSOLE_* (keys.h). */
uint64_t command_capability(const struct command *c);
const char *ingress_refusal_name(enum ingress_refusal r); /* "stale-epoch" */

struct ingress_stats {
    uint64_t frames;  /* accepted */
    uint64_t records; /* of accepted frames */
    uint64_t messages;
    uint64_t grouped; /* of these, acknowledgements that shared a record (proto/ack_group.h) */
    uint64_t own;     /* broadcasts of our own, ignored */
    uint64_t refusals[INGRESS_REFUSALS];
    uint64_t codec[CODEC_VERDICT_COUNT];
};

struct ingress_conf {
    const char *token; /* our own */
    struct peers *peers;
    struct sealer *sealer; /* NULL: verified in place */
    struct directory *directory;
    const struct codec *codec;
    const struct grants *grants;     /* NULL: no agent speaks from elsewhere */
    struct opcache *opcache;         /* NULL: OPERATEs are refused (console) */
    struct egress *egress;           /* asks unknown peers for their chains */
    struct operators_conf operators; /* trust NULL: hardware tokens mean nothing here */
    /* One message as it came: `to` and mask are not resolved. msg->recv_us is the boot clock. It
     * and all it points to are borrowed for the call. */
    void (*on_msg)(void *ctx, const struct msg *msg);
    /* The same with an order, which the sectors here may refuse. NULL: on_msg. */
    enum ingress_refusal (*on_order)(void *ctx, const struct msg *msg);
    /* A trust bundle, not verified yet. Peers must not be forgotten within. May be NULL. */
    void (*on_bundle)(void *ctx, const uint8_t *bytes, size_t length);
    /* The process at that endpoint announced units (this one is the first of them) under a lower
     * epoch than is known; may be NULL. */
    void (*on_stale)(void *ctx, uint32_t endpoint, struct unit first);
    void (*on_announced)(void *ctx, struct unit first); /* by a process that may; else NULL */
    /* Sectors from one number to another are announced under a higher epoch than ever here; may be
     * NULL. */
    void (*on_owner)(void *ctx, uint16_t first, uint16_t last);
    void (*on_ask)(void *ctx); /* somebody wants to know what we own; may be NULL */
    /* A RECORD_ALIVE of the process at that endpoint; may be NULL. */
    void (*on_alive)(void *ctx, uint32_t endpoint, const uint8_t *bytes, size_t length);
    /* What the process of that name has refused; may be NULL. */
    void (*on_alarm)(void *ctx, const char *reporter, const struct alarm_row *rows, int count);
    /* A RECORD_EXCLUDE of the process at that endpoint (process_exclude.c); false: it is none. May
     * be NULL. */
    bool (*on_exclude)(void *ctx, uint32_t endpoint, const uint8_t *bytes, size_t length);
    void (*on_frame_done)(void *ctx); /* after each accepted frame; may be NULL */
    void *ctx;
};

/* One record of an accepted frame of `peer`: its header, route, scope, body and capabilities, in
 * this order. INGRESS_OK: *ret holds it, and borrows the arena. *ret_codec: what the codec said
 * last. */
enum ingress_refusal ingress_record(const struct codec *codec, const struct peer *peer,
                                    const struct grants *grants, const uint8_t *bytes,
                                    size_t length, struct arena *arena, struct msg *ret,
                                    enum codec_verdict *ret_codec);

struct ingress;
struct ingress *ingress_new(const struct ingress_conf *conf); /* NULL: no memory */
/* The sealer, if any, must be closed before. */
void ingress_free(struct ingress *in);

/* One frame from the bus. Without a sealer everything happens inside; with one, frames are
 * collected and submitted together: call ingress_flush at the end of the turn. */
void ingress_frame(struct ingress *in, struct bus_frame *frame);
void ingress_flush(struct ingress *in);

/* Until then frames may come twice, by the old and by the new link: repeats are no event. */
void ingress_expect_repeats(struct ingress *in, int64_t until_us);
/* What was refused, by sender and reason (alarm.h). */
struct alarms *ingress_alarms(struct ingress *in);

const struct ingress_stats *ingress_stats(const struct ingress *in);

#endif
