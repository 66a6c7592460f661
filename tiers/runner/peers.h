/* Acceptance: which frames this process believes (research/reliability.md 2.3, 2.4).
 *
 * Three parts, so that the signature can be checked on another thread:
 *
 *     frame_check    loop thread, cheap: everything that needs no arithmetic on keys
 *     frame_verify   any thread, pure: the signature, and those of a new chain
 *     frame_accept   loop thread: the new peer or session, the replay window, the records
 *
 * frame_open does all three in place. Nothing is stored or moved by a frame whose signatures have
 * not been verified. Every refusal is counted by its reason. */
#ifndef TIERS_RUNNER_PEERS_H
#define TIERS_RUNNER_PEERS_H

#include "tiers/runner/frame.h"
#include "tiers/runner/frame_tree.h"
#include "tiers/runner/keys.h"
#include "tiers/runner/rate.h"
#include "tiers/runner/skew.h"
#include "tiers/runner/trust.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEERS_MAX_DEFAULT  65536u
#define FRAME_SKEW_MS      2000
#define REPLAY_WINDOW_BITS 1024u /* seqs this far behind the highest are still told apart */
#define REPLAY_WORDS       (REPLAY_WINDOW_BITS / 64u + 1u)

/* RFC 6479: a ring of words; one spare word keeps whole words for clearing. */
struct replay_window {
    uint64_t top; /* the highest seq accepted */
    uint64_t words[REPLAY_WORDS];
};
enum frame_verdict replay_check(const struct replay_window *w, uint64_t seq);
void replay_update(struct replay_window *w, uint64_t seq);

/* One endpoint in its present session. Valid until the next frame_accept,
 * frame_check or peers_free. */
struct peer {
    struct peer *next;
    struct endpoint endpoint;
    uint8_t scope_count;
    uint16_t roles;
    uint64_t kid, session;
    uint64_t process_epoch, session_epoch;
    int64_t heard_ms; /* when its latest accepted frame was issued */
    uint64_t capabilities;
    int64_t not_after_s;
    uint8_t public_key[PUBLIC_BYTES];
    struct replay_window window;
    struct unit_range scope[]; /* scope_count of them */
};
bool peer_may_speak_for(const struct peer *peer, struct unit u);

struct peers_config {
    const struct identity *identity;  /* borrowed; must outlive the table */
    const struct trust *trust;        /* likewise; NULL: the identity's issuer, nothing revoked */
    uint32_t port_count;              /* ports 0..port_count-1 are this process's own */
    uint32_t peers_max;               /* 0: PEERS_MAX_DEFAULT */
    bool accept_sim;                  /* a mesh started for simulation */
    int64_t start_ms;                 /* Unix time at start: see FRAME_BEFORE_START */
    uint32_t frames_per_s, bad_per_s; /* of one sending process, see rate.h; 0: no limit */
};

struct peers_stats {
    uint64_t verdicts[FRAME_VERDICT_COUNT]; /* FRAME_OK: accepted */
    uint64_t chains[CERT_VERDICT_COUNT];    /* why FRAME_CHAIN_INVALID; CERT_OK: chains accepted */
    enum cert_verdict last_chain;           /* of the last FRAME_CHAIN_INVALID */
    uint64_t signatures;                    /* verifications spent */
    uint64_t contacts_forgotten;            /* times the contact table was full and was emptied */
    uint32_t peer_count;
    int64_t off_ms; /* the last one refused for its time: issued so much ahead of this clock */
};

struct peers;
/* NULL without memory. Memory: about 400 bytes a peer, made when first accepted. */
struct peers *peers_new(const struct peers_config *config);
void peers_free(struct peers *peers);
/* The process that `source` belongs to (by the subject) did what no honest one does, after its
 * frame was accepted: a record that does not hold, a unit that it may not speak for. */
void peers_blame(struct peers *peers, const struct endpoint *source, int64_t now_ms);
const struct peers_stats *peers_stats(const struct peers *peers);
/* What the frames of all senders say of this machine's clock (skew.h). now_ms: by that clock;
 * age_ms: since start_ms, by one that nobody sets. True: a window has ended, and *ret has what it
 * found. A start that was told by a clock that was wrong then is put right when this one is: else
 * all that is heard would be from before it, for as long as the clock had been ahead. */
bool peers_skew(struct peers *peers, int64_t now_ms, int64_t age_ms, struct skew *ret);
void peers_set_port_count(struct peers *peers, uint32_t port_count);

/* A frame on its way through the three parts. Borrows bytes; about 1 KiB, no pointers into itself.
 */
struct frame_job {
    const uint8_t *bytes;
    size_t length;
    struct frame_view view;
    enum frame_verdict verdict;
    bool new_key;        /* the chain has to be verified, too */
    bool process_cached; /* its process certificate was verified before */
    bool verified;       /* frame_verify has run */
    uint32_t signatures; /* verifications that it took */
    uint8_t issuer_public[PUBLIC_BYTES];
    uint8_t process_public[PUBLIC_BYTES];
    uint8_t public_key[PUBLIC_BYTES]; /* of the frame's signer */
};

/* FRAME_OK: go on. Otherwise refused and counted. `subject` is what the bus said. */
enum frame_verdict frame_check(struct peers *peers, const uint8_t *bytes, size_t length,
                               const struct route *subject, int64_t now_ms, struct frame_job *ret);
/* Sets job->verdict to FRAME_OK, FRAME_SIGNATURE or FRAME_CHAIN_INVALID. Touches nothing else but
 * roots: NULL, or the calling thread's own. */
void frame_verify(struct frame_job *job, struct frame_roots *roots);
/* FRAME_OK: accepted; *ret_peer says who sent job->view. Otherwise refused and counted. Other
 * frames may have been accepted since frame_check; what depends on them is checked again. */
enum frame_verdict frame_accept(struct peers *peers, struct frame_job *job, int64_t now_ms,
                                const struct peer **ret_peer);
enum frame_verdict frame_open(struct peers *peers, const uint8_t *bytes, size_t length,
                              const struct route *subject, int64_t now_ms, struct frame_view *ret,
                              const struct peer **ret_peer);

/* ---- the sending side ---- */

/* The key by which `e` is known here, 0: not known. For frame_address.known_kid. */
uint64_t peers_kid(const struct peers *peers, const struct endpoint *e);
/* Forgets the peers that the bundle has revoked; returns how many. Their next frame is refused. */
uint32_t peers_forget_revoked(struct peers *peers);
/* Any endpoint of that process; NULL: none is known. Looks through all of them. */
const struct peer *peers_by_token(const struct peers *peers, const char *token);
const struct peer *peers_find(const struct peers *peers, const struct endpoint *e);

/* Whether a frame from this signer to `to` has to carry the chain: until a frame from there has
 * named our present key as known, again when it asks, and always in a broadcast. */
bool peers_needs_chain(const struct peers *peers, const struct frame_signer *signer,
                       const struct endpoint *to);

/* The empty frame that answers FRAME_UNKNOWN_KEY: FRAME_WANT_CHAIN, with the own chain where
 * needed. How often to send it is the caller's decision (once a second per source is plenty).
 * Returns the length, signed; `bytes` has FRAME_BYTES_MAX. */
size_t peers_ask_chain(const struct peers *peers, struct frame_signer *signer,
                       const struct endpoint *to, int64_t now_ms, uint8_t *bytes);

#endif
