/* bench-impostor: a program of an attacker's with real keys. It signs whatever it is told with the
 * identity NAME of KEYS, which may be another mesh's, a revoked one or a narrow one, and sends it
 * over the link LINK of LINK_KEYS, which the server may let in.
 *
 *   bench-impostor URL LINK_KEYS LINK KEYS NAME TO FROM_UNIT TO_UNIT KIND EPOCH [CAPABILITIES]
 *
 * KIND: hello (an agent that offers CAPABILITIES, hex), freeze (an orchestrator's order, to a
 * sector), beat (an agent's heartbeat). Exit 0: it was sent, 1: not. */
#include "core/order.h"
#include "proto/codec.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/enroll_link.h"
#include "tiers/runner/frame.h"
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX 4096u

static int failed(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench-impostor: %s: %s\n", what, why);
    return 1;
}

static bool text_get(const char *dir, const char *name, const char *ending, char ret[PEM_MAX])
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s%s", dir, name, ending);
    FILE *in = fopen(path, "re");
    size_t n = in ? fread(ret, 1, PEM_MAX - 1, in) : 0;
    ret[n] = '\0';
    if (in)
        (void)fclose(in);
    return n > 0;
}

static bool message_make(const char *kind, struct unit from, struct unit to, uint64_t epoch,
                         uint64_t capabilities, struct msg *ret)
{
    *ret = (struct msg){.priority = 3, .from = from, .to = to, .epoch = epoch};
    if (strcmp(kind, "hello") == 0) {
        ret->type = MSG_HELLO;
        ret->u.hello = (struct hello){.uid = 77,
                                      .incarnation = (uint64_t)clock_unix_us(),
                                      .agent_class = CLASS_C_PERSISTENT,
                                      .capabilities = capabilities};
    } else if (strcmp(kind, "beat") == 0) {
        ret->type = MSG_HEARTBEAT;
        ret->u.heartbeat = (struct heartbeat){.uid = 77, .incarnation = 1};
    } else if (strcmp(kind, "freeze") == 0) {
        static struct order order = {.seq = 1, .what = ORDER_FREEZE};
        order.u.freeze = (struct freeze){.scope = unit_orchestrator(),
                                         .at_mesh_us = clock_unix_us(),
                                         .preserve_state_to = "/mesh/frozen/impostor"};
        ret->type = MSG_ORDER;
        ret->u.order = &order;
    } else {
        return false;
    }
    return true;
}

static size_t frame_make(const struct identity *identity, const char *to, const struct msg *msg,
                         uint8_t *ret, char subject[96])
{
    static struct frame_signer signer;
    static struct topology topology;
    struct frame_builder builder;
    struct record_header header;
    uint8_t body[1024];
    size_t bytes = 0;
    int64_t now_ms = clock_unix_us() / US_PER_MS;
    topology_default(30000, &topology);
    const struct codec codec = {.topology = &topology};
    struct frame_address address = {.with_chain = true, .issued_ms = now_ms, .ttl_ms = 30000};
    if (frame_signer_start(&signer, identity, 0, NULL, 0, now_ms) != CERT_OK ||
        !endpoint_make(to, strlen(to), 0, &address.destination) ||
        !codec_encode(&codec, msg, body, sizeof(body), &bytes))
        return 0;
    codec_record_of(msg, bytes, &header);
    frame_begin(&builder, ret);
    uint8_t *at = frame_reserve(&builder, RECORD_HEADER_BYTES + bytes);
    codec_record_encode(&header, at);
    memcpy(at + RECORD_HEADER_BYTES, body, bytes);
    frame_commit(&builder, RECORD_HEADER_BYTES + bytes);
    (void)snprintf(subject, 96, "mesh.p.%s.0.%s.0", to, identity->cert.subject.token);
    return frame_seal(&builder, &signer, identity, &address);
}

int main(int argc, char **argv)
{
    static char ca[PEM_MAX], cert[PEM_MAX], key[PEM_MAX];
    static uint8_t bytes[FRAME_BYTES_MAX];
    static struct identity identity;
    static struct topology topology;
    struct keys_error why;
    struct enroll_link *link = NULL;
    struct unit from, to;
    struct msg msg;
    const char *bad = "";
    char subject[96], own[64];
    if (argc < 11 || keys_start() < 0)
        return failed("usage", "URL LINK_KEYS LINK KEYS NAME TO FROM TO_UNIT KIND EPOCH [CAPS]");
    topology_default(30000, &topology);
    if (!text_get(argv[2], "ca", ".crt", ca) || !text_get(argv[2], argv[3], ".tls.crt", cert) ||
        !text_get(argv[2], argv[3], ".tls.key", key))
        return failed(argv[2], "no link");
    if (identity_load(argv[4], argv[5], &identity, &why) < 0)
        return failed(argv[5], why.text);
    if (!unit_parse(argv[7], strlen(argv[7]), &from, &bad) ||
        !unit_parse(argv[8], strlen(argv[8]), &to, &bad) ||
        !message_make(argv[9], from, to, strtoull(argv[10], NULL, 10),
                      argc > 11 ? strtoull(argv[11], NULL, 16) : 0, &msg))
        return failed(argv[9], bad);
    size_t length = frame_make(&identity, argv[6], &msg, bytes, subject);
    (void)snprintf(own, sizeof(own), "mesh.p.%s.>", argv[3]);
    if (length == 0 || enroll_link_open(argv[1], ca, cert, key, own, &link, &why) < 0)
        return failed("not sent", length == 0 ? "cannot be signed" : why.text);
    bool sent = enroll_link_send(link, subject, bytes, length);
    enroll_link_close(link);
    return sent ? 0 : 1;
}
