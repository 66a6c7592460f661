/* What refusing costs, in CPU time, so that other load on the machine hardly shows. */
#include "tests/attacks/attacks.h"

#include "tiers/runner/bytes.h"
#include <string.h>
#include <time.h>

#define FRAMES        100000u
#define FLOOD_PER_MS  200u
#define FLOOD_SECONDS 5u

static struct shot s;

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void honest(struct world *w)
{
    uint8_t body[512];
    shot_begin(&s, w, HOST, &w->lead);
    shot_message(&s, beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1)), body, beat_body(w, body));
    shot_seal(&s);
}

/* Microseconds a frame, refused each time for the same reason. */
static double cost(struct peers *peers, enum frame_verdict expected, bool *ok)
{
    struct frame_view view;
    const struct peer *peer;
    int64_t now_ms = s.address.issued_ms;
    double begin = cpu_s();
    for (unsigned i = 0; i < FRAMES; i++)
        *ok = *ok &&
              frame_open(peers, s.bytes, s.length, &s.subject, now_ms, &view, &peer) == expected;
    return (cpu_s() - begin) * 1e6 / FRAMES;
}

static struct peers *victim(struct world *w, uint32_t frames_per_s, uint32_t bad_per_s)
{
    struct peers_config conf = {.identity = &w->senders[LEAD].identity,
                                .trust = &w->trust,
                                .port_count = 1,
                                .start_ms = w->now_ms - 60000,
                                .frames_per_s = frames_per_s,
                                .bad_per_s = bad_per_s};
    return peers_new(&conf);
}

/* A flood of 200,000 frames a second with a true chain and a signature that does not hold: the
 * dearest frame that a process can send. Time is virtual, CPU time is not. */
static double flood_cores(struct world *w, bool limited, uint64_t *ret_signatures)
{
    struct frame_view view;
    const struct peer *peer;
    struct peers *p = limited ? victim(w, RATE_FRAMES_DEFAULT, RATE_BAD_DEFAULT) : victim(w, 0, 0);
    honest(w);
    s.bytes[s.length - 1] ^= 1;
    unsigned seconds = limited ? FLOOD_SECONDS : 1;
    unsigned total = limited ? seconds * 1000 * FLOOD_PER_MS : 5000;
    double begin = cpu_s();
    for (unsigned i = 0; p && i < total; i++)
        (void)frame_open(p, s.bytes, s.length, &s.subject, s.address.issued_ms + i / FLOOD_PER_MS,
                         &view, &peer);
    double used = cpu_s() - begin;
    *ret_signatures = p ? peers_stats(p)->signatures : 0;
    peers_free(p);
    return limited ? used / seconds : used / total * 1000 * FLOOD_PER_MS;
}

/* A true chain that a later session has replaced: nothing but the signatures comes after this. */
static double cost_of_old_session(struct world *w, struct peers *p, bool *ok)
{
    static struct shot old;
    struct frame_view view;
    const struct peer *peer;
    struct sender *host = &w->senders[HOST];
    honest(w);
    old = s;
    *ok = *ok && frame_signer_start(&host->signer, &host->identity, 0, NULL, 0, w->now_ms + 1000) ==
                     CERT_OK;
    honest(w);
    *ok = *ok && frame_open(p, s.bytes, s.length, &s.subject, s.address.issued_ms, &view, &peer) ==
                     FRAME_OK;
    s = old;
    return cost(p, FRAME_OLD_SESSION, ok);
}

bool flood(struct world *w)
{
    struct frame_view view;
    const struct peer *peer;
    bool ok = true;
    struct peers *p = victim(w, 0, 0);
    if (!p)
        return false;
    honest(w);
    ok =
        frame_open(p, s.bytes, s.length, &s.subject, s.address.issued_ms, &view, &peer) == FRAME_OK;
    double replay = cost(p, FRAME_REPLAY, &ok), worst = replay;
    honest(w);
    s.bytes[0] ^= 1;
    double magic = cost(p, FRAME_MAGIC, &ok);
    honest(w);
    s.length--;
    double size = cost(p, FRAME_SIZE, &ok);
    honest(w);
    s.bytes[24] ^= 1;
    double mesh = cost(p, FRAME_MESH, &ok);
    honest(w);
    s.subject.source = w->senders[HOST_TWO].signer.self;
    double source = cost(p, FRAME_SOURCE, &ok);
    honest(w);
    put_u64(s.bytes + 96, (uint64_t)(s.address.issued_ms + 60000));
    double future = cost(p, FRAME_FUTURE, &ok);
    shot_begin(&s, w, REVOKED, &w->lead);
    shot_seal(&s);
    double revoked = cost(p, FRAME_CHAIN_INVALID, &ok);
    double old = cost_of_old_session(w, p, &ok);
    peers_free(p);
    p = victim(w, 1, 0);
    honest(w);
    for (int i = 0; p && i < 3; i++)
        (void)frame_open(p, s.bytes, s.length, &s.subject, s.address.issued_ms, &view, &peer);
    double rate = p ? cost(p, FRAME_RATE, &ok) : 0;
    peers_free(p);
    const double all[] = {magic, size, mesh, source, future, revoked, old, rate};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        worst = all[i] > worst ? all[i] : worst;
    uint64_t signatures = 0, unlimited_signatures = 0;
    double cores = flood_cores(w, true, &signatures);
    double unlimited = flood_cores(w, false, &unlimited_signatures);
    (void)printf(
        "{\"ok\": %s, \"refused_us\": %.3f, \"by_stage_us\": {\"magic\": %.3f, \"size\": %.3f, "
        "\"other-mesh\": %.3f, \"wrong-source\": %.3f, \"rate\": %.3f, \"future\": %.3f, "
        "\"replay\": %.3f, \"revoked\": %.3f, \"old-session\": %.3f}, \"refused_per_cpu_s\": %.0f, "
        "\"verify_cores\": %.4f, \"verify_cores_unlimited\": %.2f, "
        "\"flood_per_s\": %u, \"signatures_per_s\": %.0f}\n",
        ok ? "true" : "false", worst, magic, size, mesh, source, rate, future, replay, revoked, old,
        1e6 / worst, cores, unlimited, 1000 * FLOOD_PER_MS, (double)signatures / FLOOD_SECONDS);
    return ok;
}
