/* mesh-hostile: every case, then mutated frames. The last line is one JSON object. Exit: 0 all
 * refused as they should be, 1 not, 2 wrong usage. */
#include "tests/attacks/attacks.h"
#include "tiers/runner/hwtoken.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct world world;

static unsigned run_list(struct attack_list list, bool verbose, unsigned *cases)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct attack *a = &list.list[i];
        world_reset(&world);
        const char *got = a->run(&world);
        bool good = strcmp(got, a->refusal) == 0;
        if (strcmp(a->refusal, "ACCEPTED") != 0)
            (*cases)++;
        wrong += good ? 0 : 1;
        if (!good || verbose)
            (void)printf("%-7s %-5s %-58s %s%s%s\n", good ? "refused" : "WRONG", a->id, a->what,
                         got, good ? "" : ", expected ", good ? "" : a->refusal);
    }
    return wrong;
}

static void stages(const struct mutation_result *r)
{
    const char *between = "";
    (void)printf(", \"by_stage\": {");
    for (unsigned i = 1; i < FRAME_VERDICT_COUNT; i++) {
        if (r->frames[i] > 0) {
            (void)printf("%s\"%s\": %" PRIu64, between, frame_verdict_name((enum frame_verdict)i),
                         r->frames[i]);
            between = ", ";
        }
    }
    for (unsigned i = 1; i < INGRESS_REFUSALS; i++) {
        if (r->records[i] > 0) {
            (void)printf("%s\"record %s\": %" PRIu64, between,
                         ingress_refusal_name((enum ingress_refusal)i), r->records[i]);
            between = ", ";
        }
    }
    (void)printf("}");
}

static void corpus_put(const char *dir, const char *target, const char *name, const uint8_t *head,
                       size_t head_bytes, const uint8_t *bytes, size_t length)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s/%s", dir, target, name);
    FILE *out = fopen(path, "we");
    if (!out) {
        perror(path);
        exit(1);
    }
    (void)fwrite(head, 1, head_bytes, out);
    (void)fwrite(bytes, 1, length, out);
    (void)fclose(out);
}

/* Honest inputs to start the fuzzers of tests/fuzz_*.c from. */
static void corpus(const char *dir)
{
    static struct shot s;
    static uint8_t bundle[TRUST_BYTES_MAX];
    uint8_t body[512];
    const uint8_t head[2] = {128 + HOST, 1};
    shot_begin(&s, &world, HOST, &world.lead);
    shot_message(&s, beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1)), body,
                 beat_body(&world, body));
    shot_seal(&s);
    corpus_put(dir, "frame", "honest", NULL, 0, s.bytes, s.length);
    corpus_put(dir, "accept", "honest", head, 2, s.bytes, s.length);
    /* The same as the second of two under one signature, whoever the first may be. */
    static uint8_t shared[FRAME_BYTES_MAX];
    size_t leaf_bytes = frame_leaf_bytes(s.bytes);
    memcpy(shared, s.bytes, leaf_bytes);
    frame_place(shared, 1, 1);
    memset(shared + leaf_bytes, 0xa5, FRAME_DIGEST_BYTES + SIGNATURE_BYTES);
    size_t shared_bytes = leaf_bytes + FRAME_DIGEST_BYTES + SIGNATURE_BYTES;
    corpus_put(dir, "frame", "shared", NULL, 0, shared, shared_bytes);
    corpus_put(dir, "accept", "shared", head, 2, shared, shared_bytes);
    corpus_put(dir, "accept", "record", head, 2, s.bytes + FRAME_HEADER_BYTES + 2, 100);
    corpus_put(dir, "certificate", "chain", NULL, 0,
               s.bytes + s.length - SIGNATURE_BYTES - CHAIN_BYTES, CHAIN_BYTES);
    size_t length = trust_encode(&world.trust, bundle);
    length = trust_sign(bundle, length, 0, world.roots[0].secret);
    length = trust_sign(bundle, length, 2, world.roots[2].secret);
    corpus_put(dir, "bundle", "honest", NULL, 0, bundle, length);
    struct trust_hwtoken token = {.operator_name = "operator", .algorithm = HWTOKEN_EDDSA};
    memcpy(token.key, world.issuer.public_key, PUBLIC_BYTES);
    (void)trust_hwtoken_add(&world.trust, &token);
    length = trust_encode(&world.trust, bundle);
    corpus_put(dir, "bundle", "with-token", NULL, 0, bundle, length);
    struct hwtoken_proof proof = {.kid = trust_hwtoken_kid(&token), .made_ms = 1, .until_ms = 2};
    hwtoken_encode(&proof, body);
    corpus_put(dir, "token", "honest", (const uint8_t[]){7}, 1, body, HWTOKEN_PROOF_BYTES);
}

int main(int argc, char **argv)
{
    uint64_t mutations = 10000000, seed = 1;
    bool json = false, floods = false;
    const char *seeds = NULL;
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
            continue;
        }
        if (strcmp(argv[i], "--flood") == 0) {
            floods = true;
            continue;
        }
        if (strcmp(argv[i], "--corpus") == 0 && i + 1 < argc) {
            seeds = argv[++i];
            continue;
        }
        uint64_t *number = strcmp(argv[i], "--mutations") == 0 ? &mutations
                           : strcmp(argv[i], "--seed") == 0    ? &seed
                                                               : NULL;
        if (number && i + 1 < argc)
            *number = strtoull(argv[++i], &end, 10);
        if (!number || !end || *end != '\0') {
            (void)fprintf(stderr, "usage: tests/hostile [--json] [--mutations N] [--seed N] "
                                  "[--flood] [--corpus DIR]\n");
            return 2;
        }
    }
    if (keys_start() < 0 || !world_open(&world)) {
        (void)fprintf(stderr, "mesh-hostile: the world does not open\n");
        return 1;
    }
    if (seeds) {
        corpus(seeds);
        return 0;
    }
    if (floods)
        return flood(&world) ? 0 : 1;
    struct attack_list lists[] = {attacks_frames(), attacks_chains(), attacks_records(),
                                  attacks_trust(),  attacks_inputs(), attacks_floods(),
                                  attacks_tokens(), attacks_orders()};
    unsigned wrong = 0, cases = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        wrong += run_list(lists[i], !json, &cases);
    static struct mutation_result result;
    mutate(&world, mutations, seed, &result);
    world_close(&world);
    (void)printf("{\"cases\": %u, \"wrong\": %u, \"accepted\": %" PRIu64 ", \"mutated\": %" PRIu64
                 ", \"signed_again\": %" PRIu64,
                 cases, wrong, result.accepted, result.mutated, result.resigned);
    stages(&result);
    (void)printf("}\n");
    return wrong == 0 && result.accepted == 0 ? 0 : 1;
}
