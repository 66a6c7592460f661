/* A peer is made only by a frame whose chain and signature have been verified, so strangers cannot
 * fill the table, and its bytes are one allocation with as much scope as it has (about 350 bytes).
 * One session per endpoint: a later certificate replaces it and starts an empty replay window, an
 * older one is refused, so a frame of a past session cannot come back.
 *
 * Bounds: peers_max endpoints. At the limit those whose certificate has expired are dropped (at
 * most one sweep a second), then newcomers are refused and counted. 256 process certificates are
 * remembered by exact bytes, which makes the chain of a process's second port cost one verification
 * less; a collision only costs that verification. The contact table (who knows which key of ours;
 * about as many as peers_max) is a hint: when full it is emptied, and the price is one more chain
 * per contact. Both tables begin small and double as they fill: most processes know a few. */
#include "tiers/runner/peers.h"

#include "core/plant.h"
#include "tiers/runner/bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PROCESS_CACHE  256u
#define BUCKETS_MIN    16u
#define BUCKETS_MAX    (1u << 20)
#define CONTACTS_MIN   64u
#define SWEEP_EVERY_MS 1000

struct contact {
    struct endpoint peer; /* empty token: free */
    uint16_t own_port;
    uint64_t known_kid;
};

/* A process's certificate whose signature has been verified. */
struct cached_process {
    bool used;
    uint64_t kid; /* of its key */
    uint8_t bytes[CERT_BYTES];
};

struct peers {
    struct peers_config config;
    struct peers_stats stats;
    struct peer **buckets;
    uint32_t bucket_mask;
    uint32_t buckets_most;
    int64_t swept_ms;
    uint32_t contact_count;
    uint32_t contact_slots; /* up to twice the most buckets; half of them are used at most */
    struct contact *contacts;
    struct cached_process processes[PROCESS_CACHE];
    struct rates rates;
    struct skew skew;
    struct frame_roots roots; /* of frame_open */
};

enum frame_verdict replay_check(const struct replay_window *w, uint64_t seq)
{
    assert(w);
    assert(seq > 0);
    if (seq > w->top)
        return FRAME_OK;
    if (w->top - seq >= REPLAY_WINDOW_BITS)
        return FRAME_SEQ_OLD;
    return w->words[seq / 64u % REPLAY_WORDS] >> (seq % 64u) & 1u ? FRAME_REPLAY : FRAME_OK;
}

void replay_update(struct replay_window *w, uint64_t seq)
{
    assert(w);
    assert(replay_check(w, seq) == FRAME_OK);
    if (seq > w->top) {
        uint64_t from = w->top / 64u, ahead = seq / 64u - from;
        if (ahead > REPLAY_WORDS)
            ahead = REPLAY_WORDS;
        for (uint64_t i = 1; i <= ahead; i++)
            w->words[(from + i) % REPLAY_WORDS] = 0;
        /* After a jump of a whole ring the word of seq itself has been cleared, too. */
        w->top = seq;
    }
    w->words[seq / 64u % REPLAY_WORDS] |= 1ull << (seq % 64u);
}

bool peer_may_speak_for(const struct peer *peer, struct unit u)
{
    assert(peer);
    assert(peer->scope_count <= SCOPES_MAX);
    return scope_has(peer->scope, peer->scope_count, u);
}

struct peers *peers_new(const struct peers_config *config)
{
    assert(config && config->identity);
    assert(config->port_count > 0 && config->port_count <= PORTS_MAX);
    struct peers *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->config = *config;
    if (p->config.peers_max == 0)
        p->config.peers_max = PEERS_MAX_DEFAULT;
    p->buckets_most = BUCKETS_MIN;
    while (p->buckets_most < p->config.peers_max && p->buckets_most < BUCKETS_MAX)
        p->buckets_most *= 2;
    p->bucket_mask = BUCKETS_MIN - 1;
    p->buckets = calloc(BUCKETS_MIN, sizeof(struct peer *));
    p->contact_slots = CONTACTS_MIN < 2 * p->buckets_most ? CONTACTS_MIN : 2 * p->buckets_most;
    p->contacts = calloc(p->contact_slots, sizeof(struct contact));
    p->swept_ms = INT64_MIN / 2;
    rates_init(&p->rates, config->frames_per_s, config->bad_per_s);
    if (!p->buckets || !p->contacts) {
        peers_free(p);
        return NULL;
    }
    return p;
}

void peers_free(struct peers *peers)
{
    if (!peers)
        return;
    for (uint32_t i = 0; peers->buckets && i <= peers->bucket_mask; i++) {
        struct peer *next;
        for (struct peer *at = peers->buckets[i]; at; at = next) {
            next = at->next;
            free(at);
        }
    }
    free(peers->buckets);
    free(peers->contacts);
    free(peers);
}

const struct peers_stats *peers_stats(const struct peers *peers)
{
    assert(peers);
    assert(peers->stats.peer_count <= peers->config.peers_max);
    return &peers->stats;
}

void peers_set_port_count(struct peers *peers, uint32_t port_count)
{
    assert(peers);
    assert(port_count > 0 && port_count <= PORTS_MAX);
    peers->config.port_count = port_count;
}

static struct peer **bucket_of(const struct peers *peers, const struct endpoint *e)
{
    return &peers->buckets[endpoint_hash(e) & peers->bucket_mask];
}

const struct peer *peers_by_token(const struct peers *peers, const char *token)
{
    assert(peers && token);
    for (uint32_t i = 0; i <= peers->bucket_mask; i++) {
        for (const struct peer *at = peers->buckets[i]; at; at = at->next) {
            if (strcmp(at->endpoint.token, token) == 0)
                return at;
        }
    }
    return NULL;
}

const struct peer *peers_find(const struct peers *peers, const struct endpoint *e)
{
    assert(peers);
    assert(e);
    for (const struct peer *at = *bucket_of(peers, e); at; at = at->next) {
        if (endpoint_equal(&at->endpoint, e))
            return at;
    }
    return NULL;
}

uint64_t peers_kid(const struct peers *peers, const struct endpoint *e)
{
    const struct peer *peer = peers_find(peers, e);
    return peer ? peer->kid : 0;
}

/* One bucket a peer, as far as there is memory; without, the chains are longer. */
static void buckets_grow(struct peers *peers)
{
    uint32_t count = peers->bucket_mask + 1;
    if (peers->stats.peer_count <= count || count >= peers->buckets_most)
        return;
    struct peer **former = peers->buckets;
    struct peer **more = calloc((size_t)count * 2, sizeof(struct peer *));
    if (!more)
        return;
    peers->buckets = more;
    peers->bucket_mask = count * 2 - 1;
    for (uint32_t i = 0; i < count; i++) {
        struct peer *next;
        for (struct peer *at = former[i]; at; at = next) {
            struct peer **bucket = bucket_of(peers, &at->endpoint);
            next = at->next;
            at->next = *bucket;
            *bucket = at;
        }
    }
    free(former);
}

static struct peer *find_mutable(struct peers *peers, const struct endpoint *e)
{
    struct peer *at = *bucket_of(peers, e);
    while (at && !endpoint_equal(&at->endpoint, e))
        at = at->next;
    return at;
}

static void peer_remove(struct peers *peers, const struct endpoint *e)
{
    for (struct peer **at = bucket_of(peers, e); *at; at = &(*at)->next) {
        if (endpoint_equal(&(*at)->endpoint, e)) {
            struct peer *gone = *at;
            *at = gone->next;
            free(gone);
            peers->stats.peer_count--;
            return;
        }
    }
}

/* Whether one more peer fits; drops the expired ones when the table is full. */
static bool make_room(struct peers *peers, int64_t now_ms)
{
    if (peers->stats.peer_count < peers->config.peers_max)
        return true;
    if (now_ms >= peers->swept_ms && now_ms - peers->swept_ms < SWEEP_EVERY_MS)
        return false;
    peers->swept_ms = now_ms;
    for (uint32_t i = 0; i <= peers->bucket_mask; i++) {
        struct peer **at = &peers->buckets[i];
        while (*at) {
            struct peer *one = *at;
            if (one->not_after_s > now_ms / 1000) {
                at = &one->next;
                continue;
            }
            *at = one->next;
            free(one);
            peers->stats.peer_count--;
        }
    }
    return peers->stats.peer_count < peers->config.peers_max;
}

/* ---- contacts: which key of ours a peer knows ---- */

/* The contact's slot, or the free one where it belongs. */
static struct contact *contact_slot(const struct peers *peers, uint16_t own_port,
                                    const struct endpoint *peer)
{
    uint64_t h = endpoint_hash(peer) + own_port * 0x9e3779b97f4a7c15ull;
    for (;; h++) {
        struct contact *c = &peers->contacts[(h ^ h >> 31) % peers->contact_slots];
        if (c->peer.token[0] == '\0' || (c->own_port == own_port && endpoint_equal(&c->peer, peer)))
            return c;
    }
}

/* Room for one more: a table twice as large, or, at the bound, an empty one. */
static void contacts_make_room(struct peers *peers)
{
    uint32_t count = peers->contact_slots;
    struct contact *former = peers->contacts, *more = NULL;
    if (peers->contact_count < count / 2)
        return;
    if (count < 2 * peers->buckets_most)
        more = calloc((size_t)count * 2, sizeof(*more));
    if (!more) {
        memset(former, 0, count * sizeof(*former));
        peers->contact_count = 0;
        peers->stats.contacts_forgotten++;
        return;
    }
    peers->contacts = more;
    peers->contact_slots = count * 2;
    for (uint32_t i = 0; i < count; i++) {
        if (former[i].peer.token[0] != '\0')
            *contact_slot(peers, former[i].own_port, &former[i].peer) = former[i];
    }
    free(former);
}

static void contact_note(struct peers *peers, const struct frame_view *view)
{
    if (endpoint_is_broadcast(&view->route.destination))
        return; /* says nothing about what its sender knows of us */
    uint16_t own_port = view->route.destination.port;
    struct contact *c = contact_slot(peers, own_port, &view->route.source);
    if (c->peer.token[0] == '\0') {
        contacts_make_room(peers);
        c = contact_slot(peers, own_port, &view->route.source);
        c->peer = view->route.source;
        c->own_port = own_port;
        peers->contact_count++;
    }
    c->known_kid = view->flags & FRAME_WANT_CHAIN ? 0 : view->known_kid;
}

bool peers_needs_chain(const struct peers *peers, const struct frame_signer *signer,
                       const struct endpoint *to)
{
    assert(peers && signer);
    assert(to);
    if (endpoint_is_broadcast(to))
        return true;
    const struct contact *c = contact_slot(peers, signer->self.port, to);
    return c->peer.token[0] == '\0' || c->known_kid != signer->key.key.kid;
}

size_t peers_ask_chain(const struct peers *peers, struct frame_signer *signer,
                       const struct endpoint *to, int64_t now_ms, uint8_t *bytes)
{
    assert(peers && signer);
    assert(to && !endpoint_is_broadcast(to) && bytes);
    struct frame_builder b;
    frame_begin(&b, bytes);
    struct frame_address address = {.destination = *to,
                                    .known_kid = peers_kid(peers, to),
                                    .with_chain = peers_needs_chain(peers, signer, to),
                                    .want_chain = true,
                                    .issued_ms = now_ms,
                                    .ttl_ms = 10000};
    return frame_seal(&b, signer, peers->config.identity, &address);
}

/* ---- acceptance ---- */

static enum frame_verdict refuse(struct peers *peers, enum frame_verdict v)
{
    peers->stats.verdicts[v]++;
    return v;
}

static enum frame_verdict refuse_chain(struct peers *peers, enum cert_verdict v)
{
    peers->stats.chains[v]++;
    peers->stats.last_chain = v;
    return refuse(peers, FRAME_CHAIN_INVALID);
}

static enum frame_verdict time_check(struct peers *peers, const struct frame_view *view,
                                     int64_t now_ms)
{
    enum frame_verdict v = view->issued_ms > now_ms + FRAME_SKEW_MS            ? FRAME_FUTURE
                           : now_ms >= view->issued_ms + (int64_t)view->ttl_ms ? FRAME_EXPIRED
                           : view->issued_ms < peers->config.start_ms - FRAME_SKEW_MS
                               ? FRAME_BEFORE_START
                               : FRAME_OK;
    if (v != FRAME_OK)
        peers->stats.off_ms = view->issued_ms - now_ms;
    return v;
}

/* Sessions of one certificate follow each other by their epochs, which are times. One of the future
 * was made by a clock that was ahead, and is put right by now: which of the two is the later one
 * is then said by the time of frames. The other was made after the latest frame of the one in use,
 * or speaks for the first time after it. So none that was replaced comes back by a frame that was
 * recorded. */
static bool is_later(const struct cert *process, const struct cert *session,
                     const struct peer *than, int64_t issued_ms, int64_t now_ms)
{
    uint64_t future = (uint64_t)(now_ms + FRAME_SKEW_MS);
    if (process->epoch != than->process_epoch)
        return process->epoch > than->process_epoch;
    if ((session->epoch > future) == (than->session_epoch > future))
        return session->epoch > than->session_epoch;
    int64_t since_ms = session->epoch > future ? issued_ms : (int64_t)session->epoch;
    return since_ms > than->heard_ms;
}

static struct cached_process *cache_slot(struct peers *peers, const uint8_t *public_key)
{
    return &peers->processes[get_u64(public_key) % PROCESS_CACHE];
}

static const uint8_t *issuer_of(const struct peers *peers, uint64_t kid)
{
    const struct identity *own = peers->config.identity;
    if (peers->config.trust)
        return trust_issuer(peers->config.trust, kid);
    return kid == own->mesh ? own->issuer_public : NULL;
}

uint32_t peers_forget_revoked(struct peers *peers)
{
    assert(peers);
    uint32_t forgotten = 0;
    for (uint32_t i = 0; peers->config.trust && i <= peers->bucket_mask; i++) {
        struct peer **at = &peers->buckets[i];
        while (*at) {
            struct peer *one = *at;
            struct cert process = {.subject = one->endpoint, .epoch = one->process_epoch};
            if (!trust_is_revoked(peers->config.trust, &process)) {
                at = &one->next;
                continue;
            }
            *at = one->next;
            free(one);
            peers->stats.peer_count--;
            forgotten++;
        }
    }
    return forgotten;
}

/* A frame from a key that is not in use: its chain, as far as it goes without arithmetic. */
static enum frame_verdict check_new_key(struct peers *peers, const struct peer *known,
                                        int64_t now_ms, struct frame_job *job)
{
    const struct frame_view *view = &job->view;
    if (!view->chain)
        return refuse(peers, FRAME_UNKNOWN_KEY);
    struct cert process, session;
    if (cert_decode(view->chain, &process) != CERT_OK ||
        cert_decode(view->chain + CERT_BYTES, &session) != CERT_OK)
        return refuse_chain(peers, CERT_SHAPE);
    const uint8_t *issuer = issuer_of(peers, process.issuer_kid);
    if (!issuer)
        return refuse_chain(peers, CERT_WRONG_ISSUER);
    if (peers->config.trust && trust_is_revoked(peers->config.trust, &process))
        return refuse_chain(peers, CERT_REVOKED);
    const struct cached_process *cached = cache_slot(peers, process.public_key);
    bool is_cached = cached->used && memcmp(cached->bytes, view->chain, CERT_BYTES) == 0;
    uint64_t process_kid = is_cached ? cached->kid : key_kid(process.public_key);
    enum cert_verdict v =
        chain_check(&process, &session, process_kid, process.issuer_kid, now_ms / 1000);
    if (v != CERT_OK)
        return refuse_chain(peers, v);
    if (!endpoint_equal(&session.subject, &view->route.source))
        return refuse(peers, FRAME_SOURCE);
    if (key_kid(session.public_key) != view->kid)
        return refuse(peers, FRAME_UNKNOWN_KEY);
    if ((session.roles & ROLE_SIM) && !peers->config.accept_sim)
        return refuse(peers, FRAME_ROLE);
    if (known && !is_later(&process, &session, known, view->issued_ms, now_ms))
        return refuse(peers, FRAME_OLD_SESSION);
    enum frame_verdict time = time_check(peers, view, now_ms);
    if (time != FRAME_OK)
        return refuse(peers, time);
    if (!known && !make_room(peers, now_ms))
        return refuse(peers, FRAME_PEERS_FULL);
    job->new_key = true;
    job->process_cached = is_cached;
    memcpy(job->issuer_public, issuer, PUBLIC_BYTES);
    memcpy(job->process_public, process.public_key, PUBLIC_BYTES);
    memcpy(job->public_key, session.public_key, PUBLIC_BYTES);
    return FRAME_OK;
}

static enum frame_verdict check_known_key(struct peers *peers, const struct peer *known,
                                          int64_t now_ms, struct frame_job *job)
{
    if (job->view.session != known->session)
        return refuse(peers, FRAME_OLD_SESSION);
    if (now_ms / 1000 >= known->not_after_s)
        return refuse(peers, FRAME_CERT_EXPIRED);
    enum frame_verdict v = time_check(peers, &job->view, now_ms);
    if (v == FRAME_OK)
        v = replay_check(&known->window, job->view.seq);
    if (v != FRAME_OK && !(v == FRAME_REPLAY && PLANTED(PLANT_NO_REPLAY)))
        return refuse(peers, v);
    memcpy(job->public_key, known->public_key, PUBLIC_BYTES);
#ifdef MESH_PLANT
    if (PLANTED(PLANT_WINDOW_FIRST))
        replay_update(&find_mutable(peers, &job->view.route.source)->window, job->view.seq);
#endif
    return FRAME_OK;
}

static bool is_for_us(const struct peers *peers, const struct endpoint *to)
{
    if (endpoint_is_broadcast(to))
        return true;
    return memcmp(to->token, peers->config.identity->cert.subject.token, TOKEN_MAX) == 0 &&
           to->port < peers->config.port_count;
}

/* What an honest process does not send, whatever the bus and its own restarts do: not the replays
 * and late frames of a link that moves, not the chain that is asked for or has just run out. */
static bool is_hostile(enum frame_verdict v)
{
    switch ((int)v) {
    case FRAME_OK:
    case FRAME_RATE:
    case FRAME_UNKNOWN_KEY:
    case FRAME_OLD_SESSION:
    case FRAME_CERT_EXPIRED:
    case FRAME_FUTURE:
    case FRAME_EXPIRED:
    case FRAME_BEFORE_START:
    case FRAME_REPLAY:
    case FRAME_SEQ_OLD:
    case FRAME_PEERS_FULL:
        return false;
    default:
        return true;
    }
}

void peers_blame(struct peers *peers, const struct endpoint *source, int64_t now_ms)
{
    assert(peers && source);
    rate_blame(&peers->rates, rate_of(&peers->rates, source), now_ms);
}

bool peers_skew(struct peers *peers, int64_t now_ms, int64_t age_ms, struct skew *ret)
{
    assert(peers && ret);
    assert(age_ms >= 0);
    struct skew *s = &peers->skew;
    int32_t values[SKEW_SENDERS_MAX];
    size_t count = 0;
    if (!skew_is_over(s, now_ms))
        return false;
    for (uint32_t i = 0; i < RATE_SENDERS_MAX && count < SKEW_SENDERS_MAX; i++) {
        const struct rate_sender *sender = &peers->rates.senders[i];
        if (sender->sight.window == s->window)
            values[count++] = sender->sight.ahead_ms;
    }
    skew_judge(s, values, count, now_ms);
    if (s->right)
        peers->config.start_ms = now_ms - age_ms;
    *ret = *s;
    return true;
}

static enum frame_verdict check(struct peers *peers, const uint8_t *bytes, size_t length,
                                const struct route *subject, int64_t now_ms,
                                struct rate_sender *sender, struct frame_job *ret)
{
    struct frame_job job = {.bytes = bytes, .length = length};
    enum frame_verdict v = frame_parse(bytes, length, &job.view);
    if (v != FRAME_OK)
        return refuse(peers, v);
    const struct route *route = &job.view.route;
    if (job.view.mesh != peers->config.identity->mesh)
        return refuse(peers, FRAME_MESH);
    if (!endpoint_equal(&route->source, &subject->source))
        return refuse(peers, FRAME_SOURCE);
    if (!rate_take(&peers->rates, sender, now_ms))
        return refuse(peers, FRAME_RATE);
    skew_note(&peers->skew, &sender->sight, job.view.issued_ms - now_ms);
    if (!endpoint_equal(&route->destination, &subject->destination) ||
        !is_for_us(peers, &route->destination))
        return refuse(peers, FRAME_DESTINATION);
    const struct peer *known = peers_find(peers, &route->source);
    v = known && known->kid == job.view.kid ? check_known_key(peers, known, now_ms, &job)
                                            : check_new_key(peers, known, now_ms, &job);
    if (v == FRAME_OK)
        *ret = job;
    return v;
}

enum frame_verdict frame_check(struct peers *peers, const uint8_t *bytes, size_t length,
                               const struct route *subject, int64_t now_ms, struct frame_job *ret)
{
    assert(peers && subject && ret);
    assert(now_ms >= 0);
    struct rate_sender *sender = rate_of(&peers->rates, &subject->source);
    enum frame_verdict v = check(peers, bytes, length, subject, now_ms, sender, ret);
    if (is_hostile(v))
        rate_blame(&peers->rates, sender, now_ms);
    return v;
}

void frame_verify(struct frame_job *job, struct frame_roots *roots)
{
    assert(job && job->bytes);
    assert(!job->new_key || job->view.chain);
    job->verdict = FRAME_OK;
    job->verified = true;
    job->signatures = 0;
    if (job->new_key) {
        /* The frame's own signature comes last: it is the one that a stranger can vary for free. */
        job->signatures = job->process_cached ? 1 : 2;
        if ((!job->process_cached && !cert_signature_holds(job->view.chain, job->issuer_public)) ||
            !cert_signature_holds(job->view.chain + CERT_BYTES, job->process_public)) {
            job->verdict = FRAME_CHAIN_INVALID;
            return;
        }
    }
    enum frame_proof proof = frame_tree_proof(job->bytes, &job->view, job->public_key, roots);
    job->signatures += proof == FRAME_PROVEN_BEFORE ? 0 : 1;
    if (proof == FRAME_FORGED && !PLANTED(PLANT_NO_SIGNATURE))
        job->verdict = FRAME_SIGNATURE;
}

/* Makes or replaces the peer of a verified chain. */
static enum frame_verdict peer_install(struct peers *peers, const struct frame_job *job,
                                       int64_t now_ms, struct peer **ret)
{
    const struct frame_view *view = &job->view;
    struct cert process, session;
    enum cert_verdict pv = cert_decode(view->chain, &process);
    enum cert_verdict sv = cert_decode(view->chain + CERT_BYTES, &session);
    assert(pv == CERT_OK && sv == CERT_OK); /* frame_check decoded the same bytes */
    const struct peer *known = peers_find(peers, &view->route.source);
    if (peers->config.trust && trust_is_revoked(peers->config.trust, &process))
        return FRAME_CHAIN_INVALID; /* since frame_check */
    if (known && !is_later(&process, &session, known, view->issued_ms, now_ms))
        return FRAME_OLD_SESSION;
    if (!known && !make_room(peers, now_ms))
        return FRAME_PEERS_FULL;
    struct peer *made = calloc(1, sizeof(*made) + session.scope_count * sizeof(struct unit_range));
    if (!made)
        return FRAME_PEERS_FULL;
    if (known)
        peer_remove(peers, &view->route.source);
    made->endpoint = view->route.source;
    made->scope_count = session.scope_count;
    memcpy(made->scope, session.scope, session.scope_count * sizeof(struct unit_range));
    made->roles = session.roles;
    made->kid = view->kid;
    made->session = view->session;
    made->process_epoch = process.epoch;
    made->session_epoch = session.epoch;
    made->capabilities = session.capabilities;
    made->not_after_s = session.not_after_s;
    memcpy(made->public_key, session.public_key, PUBLIC_BYTES);
    struct peer **bucket = bucket_of(peers, &made->endpoint);
    made->next = *bucket;
    *bucket = made;
    peers->stats.peer_count++;
    buckets_grow(peers);
    peers->stats.chains[CERT_OK]++;
    struct cached_process *cached = cache_slot(peers, process.public_key);
    cached->used = true;
    cached->kid = session.issuer_kid; /* which chain_check compared with it */
    memcpy(cached->bytes, view->chain, CERT_BYTES);
    *ret = made;
    return FRAME_OK;
}

enum frame_verdict frame_accept(struct peers *peers, struct frame_job *job, int64_t now_ms,
                                const struct peer **ret_peer)
{
    assert(peers && job);
    assert(job->verified && ret_peer);
    peers->stats.signatures += job->signatures;
    if (job->verdict != FRAME_OK) /* the subject's source is the header's: frame_check saw to it */
        peers_blame(peers, &job->view.route.source, now_ms);
    if (job->verdict == FRAME_CHAIN_INVALID)
        return refuse_chain(peers, CERT_BAD_SIGNATURE);
    if (job->verdict != FRAME_OK)
        return refuse(peers, job->verdict);
    const struct frame_view *view = &job->view;
    struct peer *peer = find_mutable(peers, &view->route.source);
    enum frame_verdict v = FRAME_OK;
    if (!peer || peer->kid != view->kid)
        v = job->new_key ? peer_install(peers, job, now_ms, &peer) : FRAME_OLD_SESSION;
    else if (peer->session != view->session)
        v = FRAME_OLD_SESSION;
    if (v == FRAME_OK)
        v = replay_check(&peer->window, view->seq);
    if (v != FRAME_OK &&
        !(v == FRAME_REPLAY && (PLANTED(PLANT_NO_REPLAY) || PLANTED(PLANT_WINDOW_FIRST))))
        return refuse(peers, v);
    if (v == FRAME_OK) {
        replay_update(&peer->window, view->seq);
        peer->heard_ms = view->issued_ms;
    }
    contact_note(peers, view);
    if (!frame_records_hold(view))
        return refuse(peers, FRAME_RECORDS);
    peers->stats.verdicts[FRAME_OK]++;
    *ret_peer = peer;
    return FRAME_OK;
}

enum frame_verdict frame_open(struct peers *peers, const uint8_t *bytes, size_t length,
                              const struct route *subject, int64_t now_ms, struct frame_view *ret,
                              const struct peer **ret_peer)
{
    assert(peers && ret);
    assert(subject && ret_peer);
    struct frame_job job;
    enum frame_verdict v = frame_check(peers, bytes, length, subject, now_ms, &job);
    if (v != FRAME_OK)
        return v;
    frame_verify(&job, &peers->roots);
    v = frame_accept(peers, &job, now_ms, ret_peer);
    if (v == FRAME_OK)
        *ret = job.view;
    return v;
}
