/* One decode arena serves all records, reset for each: a message lives until its last unit was
 * stepped. Frames under verification keep the bus's own memory (bus_keep) instead of a copy; jobs
 * come from a free list. Asking for an unknown chain is limited to one question a second and source
 * slot, so that a stranger cannot make us sign.
 *
 * Bounds: JOBS_MAX frames under verification (beyond: dropped, counted, the sender's resend or next
 * beat repairs it); the arena (a message that needs more is refused by the codec). */
#include "tiers/runner/ingress.h"

#include "core/plant.h"
#include "proto/ack_group.h"
#include "tiers/runner/announce.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX  32768u
#define BATCH     32u
#define ASK_SLOTS 1024u

struct job {
    struct sealer_job sealer;
    struct ingress *in;
    struct job *next;
    void *kept;
    int64_t recv_us;
};

struct ingress {
    struct ingress_conf conf;
    struct ingress_stats stats;
    struct operators *operators; /* or NULL */
    struct alarms alarms;
    int64_t repeats_until_us;
    struct job *pool;
    uint32_t job_count;
    struct sealer_job *batch[BATCH];
    uint32_t batch_count;
    int64_t asked_s[ASK_SLOTS];
    struct arena arena;
    uint8_t *arena_bytes;
};

const char *ingress_refusal_name(enum ingress_refusal r)
{
    static const char *const names[INGRESS_REFUSALS] = {
        "ok",          "endpoint",    "record-header", "record-body",    "route",
        "scope",       "capability",  "stale-epoch",   "operation",      "uncached",
        "record-kind", "sealer-full", "grant",         "hardware-token", "order-source",
        "order-fork",  "order-old"};
    assert(r < INGRESS_REFUSALS);
    return names[r];
}

struct ingress *ingress_new(const struct ingress_conf *conf)
{
    assert(conf != NULL && conf->token != NULL && conf->peers != NULL);
    assert(conf->directory != NULL && conf->codec != NULL && conf->on_msg != NULL);
    struct ingress *in = calloc(1, sizeof(*in));
    uint8_t *bytes = aligned_alloc(ARENA_ALIGN, CODEC_ARENA_BYTES);
    if (in == NULL || bytes == NULL) {
        free(in);
        free(bytes);
        return NULL;
    }
    in->conf = *conf;
    if (conf->operators.trust != NULL &&
        (in->operators = operators_new(&conf->operators)) == NULL) {
        free(in);
        free(bytes);
        return NULL;
    }
    in->arena_bytes = bytes;
    arena_init(&in->arena, bytes, CODEC_ARENA_BYTES);
    return in;
}

void ingress_free(struct ingress *in)
{
    if (in == NULL) {
        return;
    }
    while (in->pool != NULL) {
        struct job *j = in->pool;
        in->pool = j->next;
        free(j);
    }
    operators_free(in->operators);
    free(in->arena_bytes);
    free(in);
}

void ingress_expect_repeats(struct ingress *in, int64_t until_us)
{
    assert(in != NULL);
    in->repeats_until_us = until_us;
}

struct alarms *ingress_alarms(struct ingress *in)
{
    assert(in != NULL);
    return &in->alarms;
}

const struct ingress_stats *ingress_stats(const struct ingress *in)
{
    assert(in != NULL);
    return &in->stats;
}

static void refuse(struct ingress *in, enum ingress_refusal why)
{
    in->stats.refusals[why]++;
}

static void alarm_record(struct ingress *in, enum ingress_refusal why, const struct peer *peer)
{
    alarm_count(&in->alarms, peer->endpoint.token, ALARM_RECORD, why, clock_unix_us() / US_PER_MS);
}

/* A record that no honest process puts into a frame. */
static void refuse_hostile(struct ingress *in, enum ingress_refusal why, const struct peer *peer)
{
    refuse(in, why);
    alarm_record(in, why, peer);
    peers_blame(in->conf.peers, &peer->endpoint, clock_unix_us() / US_PER_MS);
}

/* A frame, by what the bus says of its sender. Too many of a sender were told as what they were. */
static void alarm_frame(struct ingress *in, enum frame_verdict v, const struct endpoint *source)
{
    if (v == FRAME_OK || v == FRAME_RATE ||
        (v == FRAME_REPLAY && clock_boot_us() < in->repeats_until_us))
        return;
    bool chain = v == FRAME_CHAIN_INVALID;
    unsigned code = chain ? (unsigned)peers_stats(in->conf.peers)->last_chain : (unsigned)v;
    alarm_count(&in->alarms, source->token, chain ? ALARM_CHAIN : ALARM_FRAME, code,
                clock_unix_us() / US_PER_MS);
}

uint64_t command_capability(const struct command *c)
{
    assert(c != NULL);
    switch (c->kind) {
    case COMMAND_SUBMIT:
    case COMMAND_CANCEL:
    case COMMAND_RESOLVE:
    case COMMAND_ROUTE:
        return CONSOLE_OPERATE;
    case COMMAND_FREEZE:
    case COMMAND_THAW:
    case COMMAND_BREAKER:
    case COMMAND_HEAL:
    case COMMAND_ISOLATE:
    case COMMAND_APPROVE:
    case COMMAND_SECOND:
    case COMMAND_MOVE:
        return CONSOLE_ADMIN;
    case COMMAND_THREAT:
        return c->on ? CONSOLE_ADMIN : CONSOLE_VIEW;
    case COMMAND_SCALE:
        return c->scale.action >= SCALE_ADD && !c->on ? CONSOLE_ADMIN : CONSOLE_VIEW;
    case COMMAND_STATUS:
    case COMMAND_QUERY:
    case COMMAND_WHEN:
    case COMMAND_LOG:
    case COMMAND_KIND_COUNT:
    default:
        return CONSOLE_VIEW;
    }
}

/* Whether its certificate allows what the message asks for. Leads take no agent that offers more
 * than its host was given; orchestrator and sectors take no command that its operator may not give.
 */
static bool allows(const struct peer *peer, const struct msg *msg)
{
    if (msg->type == MSG_HELLO) {
        return (msg->u.hello.capabilities & ~peer->capabilities) == 0;
    }
    if (msg->type == MSG_COMMAND) {
        return (peer->capabilities & command_capability(msg->u.command)) != 0;
    }
    return true;
}

/* ---- records ---- */

/* A place that was given to an agent of elsewhere is spoken for by who is certified for its home. A
 * lead that has just begun does not know all of them yet: what it refuses for that is no attack. */
static enum ingress_refusal may_speak(const struct topology *topology, const struct peer *peer,
                                      const struct grants *grants, struct unit from)
{
    struct unit home = {0};
    if (grants != NULL && from.tier == TIER_AGENT) {
        home = grants_home(grants, from);
    }
    if (peer_may_speak_for(peer, home.tier == TIER_AGENT ? home : from)) {
        return INGRESS_OK;
    }
    bool spare = from.tier == TIER_AGENT && !topology_planned(topology, from);
    return spare ? INGRESS_GRANT : INGRESS_SCOPE;
}

/* Whether this peer's speaker may say this to whom it says it. */
static enum ingress_refusal route_check(const struct topology *topology, const struct peer *peer,
                                        const struct grants *grants, const struct msg *msg)
{
    if (!msg_route_valid(topology, msg)) {
        return INGRESS_ROUTE;
    }
    enum ingress_refusal speaker = may_speak(topology, peer, grants, msg->from);
    return PLANTED(PLANT_NO_SCOPE) ? INGRESS_OK : speaker;
}

enum ingress_refusal ingress_record(const struct codec *codec, const struct peer *peer,
                                    const struct grants *grants, const uint8_t *bytes,
                                    size_t length, struct arena *arena, struct msg *ret,
                                    enum codec_verdict *ret_codec)
{
    assert(codec != NULL && peer != NULL);
    assert(arena != NULL && ret != NULL && ret_codec != NULL);
    struct record_header header;
    *ret_codec = codec_record_decode(bytes, length, &header);
    if (*ret_codec == CODEC_OK && header.body_bytes != length - RECORD_HEADER_BYTES) {
        *ret_codec = CODEC_TRUNCATED;
    }
    if (*ret_codec != CODEC_OK) {
        return INGRESS_HEADER;
    }
    codec_record_to_msg(&header, ret);
    enum ingress_refusal speaker = route_check(codec->topology, peer, grants, ret);
    if (speaker != INGRESS_OK) {
        return speaker;
    }
    *ret_codec = codec_decode(codec, header.type, bytes + RECORD_HEADER_BYTES, header.body_bytes,
                              arena, ret);
    if (*ret_codec != CODEC_OK) {
        return INGRESS_BODY;
    }
    return allows(peer, ret) || PLANTED(PLANT_ANY_OFFER) ? INGRESS_OK : INGRESS_CAPABILITY;
}

/* Of two processes that speak for the orchestrator under one epoch the first is believed. */
static bool serves(const struct ingress *in, const struct msg *msg, uint32_t endpoint)
{
    const struct directory_entry *e = directory_find(in->conf.directory, msg->from);
    return e == NULL || e->endpoint == endpoint;
}

static void command_signed_by(const struct ingress *in, struct command *c, const struct peer *peer)
{
    memcpy(c->operator_name, peer->endpoint.token, sizeof(peer->endpoint.token));
    c->proof = PROOF_NONE;
    if (in->operators != NULL) {
        (void)operators_judge(in->operators, peer, command_capability(c),
                              clock_unix_us() / US_PER_MS, c);
    }
}

/* A proof that does not hold refuses its session's commands, by name (operators.h); only what no
 * console's key could have signed for itself is an alarm. */
static void token_shown(struct ingress *in, const uint8_t *bytes, size_t length,
                        const struct peer *peer)
{
    if ((peer->roles & ROLE_CONSOLE) == 0) {
        refuse_hostile(in, INGRESS_CAPABILITY, peer);
        return;
    }
    if (in->operators == NULL) {
        return;
    }
    enum hwtoken_verdict v =
        operators_shown(in->operators, peer, bytes, length, clock_unix_us() / US_PER_MS);
    if (v == HWTOKEN_SHAPE || v == HWTOKEN_SIGNATURE || v == HWTOKEN_COUNTER) {
        refuse_hostile(in, INGRESS_TOKEN, peer);
    } else if (v != HWTOKEN_OK) {
        refuse(in, INGRESS_TOKEN);
    }
}

/* A message that its process may say: what is left are the epoch and the operation it names. */
static void message_take(struct ingress *in, struct msg *msg, const struct peer *peer,
                         uint32_t endpoint, int64_t recv_us)
{
    if (!directory_learn(in->conf.directory, msg->from, endpoint, msg->epoch)) {
        refuse(in, INGRESS_EPOCH);
        alarm_record(in, INGRESS_EPOCH, peer);
        return;
    }
    if (msg->type == MSG_OPERATE) {
        const struct opcache_entry *e =
            in->conf.opcache != NULL ? opcache_get(in->conf.opcache, msg->u.operate.operation_id)
                                     : NULL;
        if (e == NULL) {
            refuse(in, INGRESS_UNCACHED);
            return;
        }
        msg->u.operate.operation = &e->operation;
    }
    msg->recv_us = recv_us;
    in->stats.messages++;
    if (msg->type != MSG_ORDER || in->conf.on_order == NULL) {
        in->conf.on_msg(in->conf.ctx, msg);
        return;
    }
    enum ingress_refusal why =
        serves(in, msg, endpoint) ? in->conf.on_order(in->conf.ctx, msg) : INGRESS_ORDER_SOURCE;
    if (why != INGRESS_OK) {
        refuse(in, why);
        alarm_record(in, why, peer);
    }
}

static void message(struct ingress *in, const uint8_t *bytes, size_t length,
                    const struct peer *peer, uint32_t endpoint, int64_t recv_us)
{
    struct msg msg;
    enum codec_verdict v;
    memset(&msg, 0, sizeof(msg));
    arena_reset(&in->arena);
    enum ingress_refusal why =
        ingress_record(in->conf.codec, peer, in->conf.grants, bytes, length, &in->arena, &msg, &v);
    if (why != INGRESS_ROUTE && why != INGRESS_SCOPE && why != INGRESS_GRANT) {
        in->stats.codec[v]++;
    }
    if (why == INGRESS_GRANT) {
        refuse(in, why);
        return;
    }
    if (why != INGRESS_OK) {
        refuse_hostile(in, why, peer);
        return;
    }
    if (msg.type == MSG_COMMAND) { /* it lies in our arena */
        command_signed_by(in, (struct command *)(uintptr_t)msg.u.command, peer);
    }
    message_take(in, &msg, peer, endpoint, recv_us);
}

/* A group is refused whole when it is malformed; who may speak is asked for each agent. */
static void acknowledgements(struct ingress *in, const uint8_t *bytes, size_t length,
                             const struct peer *peer, uint32_t endpoint, int64_t recv_us)
{
    struct ack_group group;
    enum codec_verdict v = ack_group_open(bytes, length, &group);
    in->stats.codec[v]++;
    if (v != CODEC_OK) {
        refuse_hostile(in, INGRESS_BODY, peer);
        return;
    }
    struct msg msg = group.first;
    do {
        enum ingress_refusal why =
            route_check(in->conf.codec->topology, peer, in->conf.grants, &msg);
        if (why == INGRESS_GRANT) {
            refuse(in, why);
        } else if (why != INGRESS_OK) {
            refuse_hostile(in, why, peer);
        } else {
            in->stats.grouped++;
            message_take(in, &msg, peer, endpoint, recv_us);
        }
    } while (ack_group_next(&group, &msg));
}

static void special(struct ingress *in, const uint8_t *bytes, size_t length,
                    const struct peer *peer, uint32_t endpoint)
{
    if (bytes[0] == RECORD_OPERATION && in->conf.opcache != NULL) {
        enum opcache_verdict v =
            opcache_accept(in->conf.opcache, bytes + 1, length - 1, clock_unix_us(), &in->arena);
        if (v != OPCACHE_OK && v != OPCACHE_KNOWN) {
            refuse(in, INGRESS_OPERATION);
            alarm_record(in, INGRESS_OPERATION, peer);
        }
    } else if (bytes[0] == RECORD_ANNOUNCE) {
        uint64_t stale = in->conf.directory->stale;
        int taken = announce_apply(bytes, length, in->conf.codec->topology, peer, endpoint,
                                   in->conf.directory);
        if (taken > 0 && in->conf.on_announced != NULL) {
            in->conf.on_announced(in->conf.ctx, announce_first(bytes, length));
        }
        if (in->conf.directory->risen_first != 0 && in->conf.on_owner != NULL) {
            in->conf.on_owner(in->conf.ctx, in->conf.directory->risen_first,
                              in->conf.directory->risen_last);
        }
        if (taken < 0) {
            refuse(in, INGRESS_KIND);
        } else if (in->conf.directory->stale != stale && in->conf.on_stale != NULL) {
            in->conf.on_stale(in->conf.ctx, endpoint, announce_first(bytes, length));
        }
    } else if (bytes[0] == RECORD_ASK && length == 1) {
        if (in->conf.on_ask != NULL) {
            in->conf.on_ask(in->conf.ctx);
        }
    } else if (bytes[0] == RECORD_BUNDLE) {
        if (in->conf.on_bundle != NULL) {
            in->conf.on_bundle(in->conf.ctx, bytes + 1, length - 1);
        }
    } else if (bytes[0] == RECORD_ALARM) {
        struct alarm_row rows[ALARM_ROWS_MAX];
        int count = alarm_decode(bytes, length, rows);
        if (count < 0) {
            refuse_hostile(in, INGRESS_KIND, peer);
        } else if (in->conf.on_alarm != NULL) {
            in->conf.on_alarm(in->conf.ctx, peer->endpoint.token, rows, count);
        }
    } else if (bytes[0] == RECORD_EXCLUDE) {
        if ((peer->roles & ROLE_ORCHESTRATOR) == 0) {
            refuse_hostile(in, INGRESS_CAPABILITY, peer);
        } else if (in->conf.on_exclude != NULL &&
                   !in->conf.on_exclude(in->conf.ctx, endpoint, bytes, length)) {
            refuse_hostile(in, INGRESS_KIND, peer);
        }
    } else if (bytes[0] == RECORD_OPERATOR) {
        token_shown(in, bytes, length, peer);
    } else if (bytes[0] == RECORD_ALIVE) {
        if (in->conf.on_alive != NULL) {
            in->conf.on_alive(in->conf.ctx, endpoint, bytes, length);
        }
    } else {
        refuse(in, INGRESS_KIND);
    }
}

/* `source` is a copy: the peer is valid only until the next accept, and units stepped below may
 * send, but nothing accepts before this returns. */
static void records(struct ingress *in, const struct frame_view *view, const struct peer *peer,
                    int64_t recv_us)
{
    in->stats.frames++;
    uint32_t endpoint = directory_endpoint(in->conf.directory, &view->route.source);
    if (endpoint == ENDPOINT_NONE) {
        refuse(in, INGRESS_ENDPOINT);
        return;
    }
    size_t cursor = 0, length;
    const uint8_t *record;
    while (frame_next(view, &cursor, &record, &length)) {
        in->stats.records++;
        if (length == 0) {
            refuse(in, INGRESS_KIND);
        } else if (record[0] == RECORD_ACKS) {
            acknowledgements(in, record, length, peer, endpoint, recv_us);
        } else if (record[0] >= RECORD_SPECIAL) {
            special(in, record, length, peer, endpoint);
        } else {
            message(in, record, length, peer, endpoint, recv_us);
        }
    }
    if (in->conf.on_frame_done != NULL) {
        in->conf.on_frame_done(in->conf.ctx);
    }
}

/* ---- frames ---- */

static void unknown_key(struct ingress *in, const struct route *route)
{
    int64_t now_s = clock_boot_us() / US_PER_S + 1;
    int64_t *asked = &in->asked_s[endpoint_hash(&route->source) % ASK_SLOTS];
    if (*asked == now_s || in->conf.egress == NULL) {
        return;
    }
    *asked = now_s;
    /* A broadcast always carries its chain, so this frame came to one of our own ports. */
    egress_ask_chain(in->conf.egress, route->destination.port, &route->source);
}

static void job_release(struct ingress *in, struct job *j)
{
    if (j->kept != NULL) {
        bus_release(j->kept);
    }
    j->kept = NULL;
    j->next = in->pool;
    in->pool = j;
}

static void on_verified(struct sealer_job *sealer)
{
    struct job *j = sealer->owner;
    struct ingress *in = j->in;
    const struct peer *peer = NULL;
    if (!sealer->cancelled) {
        enum frame_verdict v =
            frame_accept(in->conf.peers, &sealer->frame, clock_unix_us() / US_PER_MS, &peer);
        if (v == FRAME_OK) {
            records(in, &sealer->frame.view, peer, j->recv_us);
        } else {
            alarm_frame(in, v, &sealer->frame.view.route.source);
        }
    }
    job_release(in, j);
}

static struct job *job_take(struct ingress *in)
{
    struct job *j = in->pool;
    if (j != NULL) {
        in->pool = j->next;
        return j;
    }
    if (in->job_count == JOBS_MAX) {
        return NULL;
    }
    j = calloc(1, sizeof(*j));
    if (j != NULL) {
        j->in = in;
        in->job_count++;
    }
    return j;
}

static void frame_threaded(struct ingress *in, struct bus_frame *frame, int64_t now_ms)
{
    struct job *j = job_take(in);
    if (j == NULL) {
        refuse(in, INGRESS_SEALER);
        return;
    }
    enum frame_verdict v = frame_check(in->conf.peers, frame->bytes, frame->length, &frame->route,
                                       now_ms, &j->sealer.frame);
    if (v != FRAME_OK) {
        job_release(in, j);
        alarm_frame(in, v, &frame->route.source);
        if (v == FRAME_UNKNOWN_KEY) {
            unknown_key(in, &frame->route);
        }
        return;
    }
    j->kept = bus_keep(frame);
    j->recv_us = frame->recv_us;
    j->sealer.kind = SEALER_VERIFY;
    j->sealer.cancelled = false;
    j->sealer.done = on_verified;
    j->sealer.owner = j;
    in->batch[in->batch_count++] = &j->sealer;
    if (in->batch_count == BATCH) {
        ingress_flush(in);
    }
}

/* Our own broadcast, as the bus gives it back. One under our name from a session that is not ours
 * is heard like any other: another process runs under this name. */
static bool is_own(const struct ingress *in, const struct bus_frame *frame)
{
    struct frame_view view;
    return strcmp(frame->route.source.token, in->conf.token) == 0 &&
           endpoint_is_broadcast(&frame->route.destination) &&
           (in->conf.egress == NULL ||
            frame_parse(frame->bytes, frame->length, &view) != FRAME_OK ||
            egress_has_session(in->conf.egress, view.session));
}

void ingress_frame(struct ingress *in, struct bus_frame *frame)
{
    assert(in != NULL);
    assert(frame != NULL);
    if (is_own(in, frame)) {
        in->stats.own++;
        return;
    }
    int64_t now_ms = clock_unix_us() / US_PER_MS;
    if (in->conf.sealer != NULL) {
        frame_threaded(in, frame, now_ms);
        return;
    }
    struct frame_view view;
    const struct peer *peer;
    enum frame_verdict v = frame_open(in->conf.peers, frame->bytes, frame->length, &frame->route,
                                      now_ms, &view, &peer);
    if (v == FRAME_OK) {
        records(in, &view, peer, frame->recv_us);
        return;
    }
    alarm_frame(in, v, &frame->route.source);
    if (v == FRAME_UNKNOWN_KEY) {
        unknown_key(in, &frame->route);
    }
}

void ingress_flush(struct ingress *in)
{
    assert(in != NULL);
    uint32_t count = in->batch_count;
    if (count == 0) {
        return;
    }
    struct sealer_job *batch[BATCH];
    memcpy(batch, in->batch, count * sizeof(*batch));
    in->batch_count = 0;
    uint32_t taken = sealer_submit(in->conf.sealer, batch, count);
    for (uint32_t i = taken; i < count; i++) {
        refuse(in, INGRESS_SEALER);
        job_release(in, batch[i]->owner);
    }
}
