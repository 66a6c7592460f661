/* Mutated frames by the million against one victim. Seeds are honest frames of hosts and leads.
 * Half of the mutants stay as they are; the other half is signed again, with the session key of a
 * process of this mesh that is well certified, only not for what the mutant says: such a frame is
 * refused by what it claims, not by its signature.
 *
 * Nothing may be accepted. A mutation that leaves an honest frame honest is no attack, so seeds are
 * chosen such that none can: unsigned mutants always differ in a signed byte, and signed ones speak
 * in the name of a unit, a process or a session that is not the signer's. */
#include "tests/attacks/attacks.h"

#include "core/rng.h"
#include "tiers/runner/bytes.h"
#include "tiers/runner/clock.h"
#include <string.h>

#define SEEDS    16u
#define RESET_AT 200000u /* new sessions and times now and then: a ttl is 30 s */
#define PEEK_EACH                                                                                  \
    8u /* every 8th signed mutant has a good header and goes as far as its records                 \
        */

struct seed {
    size_t length;
    struct route subject;
    uint8_t bytes[2048];
};

static struct seed seeds[SEEDS];
static struct shot s;

static void seeds_make(struct world *w)
{
    uint8_t body[512];
    world_reset(w);
    size_t length = beat_body(w, body);
    for (unsigned i = 0; i < SEEDS; i++) {
        enum who from = i % 2 == 0 ? HOST : HOST_TWO;
        shot_begin(&s, w, from, &w->lead);
        s.address.with_chain = i % 4 < 2;
        for (unsigned k = 0; k <= i % 3; k++)
            shot_message(&s, beat_of(unit_agent(1, 1, from == HOST ? 1 : 4), unit_cluster(1, 1)),
                         body, length);
        shot_seal(&s);
        seeds[i].length = s.length;
        seeds[i].subject = s.subject;
        memcpy(seeds[i].bytes, s.bytes, s.length);
    }
    (void)world_introduce(w, HOST, &w->lead);
    (void)world_introduce(w, HOST_TWO, &w->lead);
    (void)world_introduce(w, LEAD_TWO, &w->lead);
}

static uint32_t below(struct rng *r, uint32_t n)
{
    return (uint32_t)(rng_u64(r) % n);
}

/* One to four changes within the signed bytes. */
static void damage(struct rng *r, uint8_t *bytes, size_t *length)
{
    size_t whole = *length;
    for (uint32_t n = 1 + below(r, 4); n > 0; n--) {
        size_t signed_part = whole - SIGNATURE_BYTES;
        size_t at = 16 + below(r, (uint32_t)(signed_part - 16));
        switch (below(r, 6)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << below(r, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)(bytes[at] + 1 + below(r, 255));
            break;
        case 2: /* a run of zeros or ones */
            for (size_t i = at; i < at + 8 && i < signed_part; i++)
                bytes[i] = (uint8_t)(n % 2 ? 0xff : bytes[i] ^ 0x55);
            break;
        case 3: /* shorter */
            *length = whole - 1 - below(r, (uint32_t)(whole / 2));
            return;
        case 4: { /* a piece elsewhere */
            size_t from = 16 + below(r, (uint32_t)(signed_part - 16));
            size_t count = 1 + below(r, 32);
            if (from + count <= signed_part && at + count <= signed_part)
                memmove(bytes + at, bytes + from, count);
            bytes[at] ^= 0x10;
            break;
        }
        default: /* a number at its edge */
            if (at + 4 <= signed_part)
                put_u32(bytes + at, below(r, 2) ? UINT32_MAX : 0x80000000u);
            break;
        }
    }
}

/* A frame that is whole and honest in all but one thing: the units that its records name. */
static void overreach(struct world *w, struct rng *r)
{
    static const enum who signers[] = {HOST, HOST_TWO, LEAD_TWO, CONSOLE};
    static uint8_t body[512];
    enum who from = signers[below(r, 4)];
    shot_begin(&s, w, from, &w->lead);
    s.address.with_chain =
        peers_needs_chain(w->lead.peers, &w->senders[from].signer, &s.address.destination) ||
        from == CONSOLE;
    /* Agents 40 and above do not exist; 1 to 6 belong to the hosts, each to one of them. */
    uint32_t agent = from == HOST       ? 4 + below(r, 3)
                     : from == HOST_TWO ? 1 + below(r, 3)
                                        : 1 + below(r, 60);
    struct record_header h = beat_of(unit_agent(1, 1, agent), unit_cluster(1, 1));
    h.type = (enum msg_type)(1 + below(r, MSG_TYPE_COUNT - 1));
    h.priority = (uint8_t)below(r, PRIORITY_COUNT);
    h.epoch = rng_u64(r);
    size_t length = 1 + below(r, 200);
    for (size_t i = 0; i < length; i++)
        body[i] = (uint8_t)rng_u64(r);
    shot_message(&s, h, body, length);
    shot_seal(&s);
}

static void count(struct world *w, struct mutation_result *ret)
{
    const struct peers_stats *p = peers_stats(w->lead.peers);
    const struct ingress_stats *i = ingress_stats(w->lead.ingress);
    for (unsigned k = 0; k < FRAME_VERDICT_COUNT; k++)
        ret->frames[k] += p->verdicts[k];
    for (unsigned k = 0; k < CERT_VERDICT_COUNT; k++)
        ret->chains[k] += p->chains[k];
    for (unsigned k = 0; k < INGRESS_REFUSALS; k++)
        ret->records[k] += i->refusals[k];
}

/* One signed mutant: an honest frame of one host, damaged, signed by another process's session, or
 * with a good header and records that overreach. */
static void resign(struct world *w, struct rng *r, uint64_t n)
{
    if (n % PEEK_EACH == 0) {
        overreach(w, r);
        return;
    }
    const struct seed *seed = &seeds[below(r, SEEDS)];
    s.world = w;
    s.at = &w->lead;
    s.from = LEAD_TWO;
    s.subject = seed->subject;
    s.length = seed->length;
    memcpy(s.bytes, seed->bytes, seed->length);
    damage(r, s.bytes, &s.length);
    if (s.length < FRAME_BYTES_MIN)
        s.length = FRAME_BYTES_MIN;
    shot_sign(&s);
}

void mutate(struct world *w, uint64_t wanted, uint64_t seed, struct mutation_result *ret)
{
    struct rng r;
    memset(ret, 0, sizeof(*ret));
    rng_seed(&r, seed, 0);
    seeds_make(w);
    for (uint64_t n = 0; n < wanted; n++) {
        if (n > 0 && n % RESET_AT == 0) {
            count(w, ret);
            seeds_make(w);
        }
        uint64_t messages = w->lead.messages;
        if (n % 2 == 0) {
            const struct seed *from = &seeds[below(&r, SEEDS)];
            s.world = w;
            s.at = &w->lead;
            s.subject = from->subject;
            s.length = from->length;
            memcpy(s.bytes, from->bytes, from->length);
            damage(&r, s.bytes, &s.length);
            if (s.length == from->length && memcmp(s.bytes, from->bytes, s.length) == 0)
                s.bytes[88] ^= 1; /* changed back: change it for good */
        } else {
            resign(w, &r, n / 2);
            ret->resigned++;
        }
        struct bus_frame frame = {.bytes = s.bytes, .length = s.length, .route = s.subject};
        ingress_frame(w->lead.ingress, &frame);
        ret->mutated++;
        ret->accepted += w->lead.messages - messages;
    }
    count(w, ret);
}
