/* One process that sends the same kind of bad frame as fast as it is told, over the mesh's own TLS
 * with its own credentials; and one that only takes what comes, to say what a flood costs through
 * NATS alone.
 *
 *   bench-flood URL KEYS NAME send SUBJECT FRAME_FILE PER_SECOND SECONDS
 *   bench-flood URL KEYS NAME sink SUBJECT SECONDS
 *
 * send gives each frame a sequence number of its own and the present time, so that it is refused
 * for its signature and for nothing cheaper, and is paced to PER_SECOND. Prints one JSON object:
 * what was sent or taken, and in how many seconds. */
#include "tiers/runner/bytes.h"
#include "tiers/runner/frame.h"
#include "tiers/runner/tls.h"
#include <nats/nats.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICE_US 2000

static atomic_ullong taken;

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench-flood: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void pause_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)nanosleep(&t, NULL);
}

static natsConnection *link_up(const char *url, const char *keys, const char *name)
{
    char ca[512], cert[512], key[512];
    natsOptions *o = NULL;
    natsConnection *c = NULL;
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", keys);
    (void)snprintf(cert, sizeof(cert), "%s/%s.tls.crt", keys, name);
    (void)snprintf(key, sizeof(key), "%s/%s.tls.key", keys, name);
    natsStatus s = natsOptions_Create(&o);
    s = s != NATS_OK ? s : natsOptions_SetURL(o, url);
    s = s != NATS_OK ? s : natsOptions_SetSecure(o, true);
    s = s != NATS_OK ? s : natsOptions_LoadCATrustedCertificates(o, ca);
    s = s != NATS_OK ? s : natsOptions_LoadCertificatesChain(o, cert, key);
    s = s != NATS_OK ? s : natsOptions_SetExpectedHostname(o, TLS_SERVER_NAME);
    s = s != NATS_OK ? s : natsOptions_SetMaxPendingMsgs(o, 1 << 20);
    s = s != NATS_OK ? s : natsConnection_Connect(&c, o);
    natsOptions_Destroy(o);
    if (s != NATS_OK)
        fail(name, natsStatus_GetText(s));
    return c;
}

static void send_all(natsConnection *c, const char *subject, const char *file, int64_t per_s,
                     int64_t seconds)
{
    static uint8_t bytes[FRAME_BYTES_MAX];
    FILE *in = fopen(file, "re");
    size_t length = in ? fread(bytes, 1, sizeof(bytes), in) : 0;
    if (length < FRAME_BYTES_MIN)
        fail(file, "no frame");
    (void)fclose(in);
    uint64_t seq = get_u64(bytes + 88), sent = 0;
    int64_t begin = now_us(CLOCK_MONOTONIC), at = begin;
    for (; at - begin < seconds * 1000000; at = now_us(CLOCK_MONOTONIC)) {
        uint64_t due = (uint64_t)((at - begin) * per_s / 1000000);
        put_u64(bytes + 96, (uint64_t)now_us(CLOCK_REALTIME) / 1000);
        for (; sent < due; sent++) {
            put_u64(bytes + 88, seq + sent + 1);
            if (natsConnection_Publish(c, subject, bytes, (int)length) != NATS_OK)
                fail(subject, "cannot publish");
        }
        pause_us(SLICE_US);
    }
    if (natsConnection_FlushTimeout(c, 30000) != NATS_OK)
        fail(subject, "the server does not answer");
    at = now_us(CLOCK_MONOTONIC);
    (void)printf("{\"frames\": %llu, \"bytes\": %zu, \"seconds\": %.3f}\n",
                 (unsigned long long)sent, length, (double)(at - begin) / 1e6);
}

static void on_message(natsConnection *c, natsSubscription *sub, natsMsg *msg, void *ctx)
{
    (void)c;
    (void)sub;
    (void)ctx;
    atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
    natsMsg_Destroy(msg);
}

static void take_all(natsConnection *c, const char *subject, int64_t seconds)
{
    natsSubscription *sub = NULL;
    if (natsConnection_Subscribe(&sub, c, subject, on_message, NULL) != NATS_OK ||
        natsSubscription_SetPendingLimits(sub, -1, -1) != NATS_OK ||
        natsConnection_FlushTimeout(c, 5000) != NATS_OK)
        fail(subject, "cannot subscribe");
    (void)puts("ready");
    (void)fflush(stdout);
    pause_us(seconds * 1000000);
    (void)printf("{\"frames\": %llu, \"seconds\": %lld}\n", (unsigned long long)atomic_load(&taken),
                 (long long)seconds);
}

int main(int argc, char **argv)
{
    bool sends = argc == 9 && strcmp(argv[4], "send") == 0;
    if (!sends && !(argc == 7 && strcmp(argv[4], "sink") == 0))
        fail("usage", "bench-flood URL KEYS NAME send SUBJECT FRAME_FILE PER_SECOND SECONDS, or "
                      ".. sink SUBJECT SECONDS");
    natsConnection *c = link_up(argv[1], argv[2], argv[3]);
    if (sends)
        send_all(c, argv[5], argv[6], atoll(argv[7]), atoll(argv[8]));
    else
        take_all(c, argv[5], atoll(argv[6]));
    natsConnection_Destroy(c);
    nats_Close();
    return 0;
}
