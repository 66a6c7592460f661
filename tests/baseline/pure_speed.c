/* The pure computations on the hot paths, alone.
 *
 *   pure_speed              one line `NAME NS` each: the median of 9 rounds, processor time of one
 *   pure_speed NAME ROUNDS  runs `measured` for one of them, for callgrind --toggle-collect
 *
 * ack_encode, ack_decode   an acknowledgement of an agent, record header included
 * operate_encode           an OPERATE to 30 agents, record header included
 * relay_decode             an agent's message of 200 bytes
 * predict, observe         one prediction, one lesson
 * schedule                 send times of 30,000 agents of 1,000 leads: predict, plan, first due
 * aggregate                30,000 acknowledgements of 100 different answers folded into 1,000
 *                          aggregates */
#include "core/aggregate.h"
#include "core/num.h"
#include "core/predictor.h"
#include "core/schedule.h"
#include "proto/codec.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEADS  1000u
#define LEAD   30u
#define ROUNDS 9

static struct topology topology;
static struct codec codec = {.topology = &topology};
static struct predictor agents[LEADS * LEAD];
static struct predictor_prior priors[LEADS];
static struct arena arena;
static _Alignas(16) uint8_t arena_bytes[CODEC_ARENA_BYTES];
static uint8_t bytes[MESSAGE_BYTES_MAX];
static size_t length;
static struct msg ack, operate, relay;
static struct operation operation;
static struct target targets[LEAD];
static uint8_t payload[200];
static struct slab slab;
static uint64_t sink;

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "pure_speed: %s\n", what);
        exit(1);
    }
}

static void messages_make(void)
{
    struct id128 id;
    memset(id.bytes, 7, sizeof(id.bytes));
    ack = (struct msg){.type = MSG_ACK, .priority = 2, .epoch = 1800000000000, .mask = 0};
    ack.from = unit_agent(7, 3, 12);
    ack.to = unit_cluster(7, 3);
    ack.u.ack = (struct ack){.operation_id = id,
                             .outcome = OUTCOME_READY,
                             .seq = 812,
                             .echo_sent_us = 1234567890,
                             .received_mesh_us = 1800000000000000,
                             .arrival_mesh_us = 1800000000012345,
                             .processing_us = 12345,
                             .queue_depth = 2,
                             .clock_error_us = 830,
                             .answer_bytes = 64,
                             .answer = payload};
    operate =
        (struct msg){.type = MSG_OPERATE, .priority = 2, .epoch = 5, .mask = (1ull << LEAD) - 1};
    operate.from = unit_cluster(7, 3);
    operate.to = unit_agent(7, 3, 1);
    for (uint32_t i = 0; i < LEAD; i++) {
        targets[i] = (struct target){.lead_us = 40000 + i,
                                     .expected_processing_us = 10000 + i,
                                     .confidence_permille = 950,
                                     .seq = 812 + i};
    }
    operate.u.operate = (struct operate){.operation_id = id,
                                         .deadline_mesh_us = 1800000005000000,
                                         .target_count = LEAD,
                                         .targets = targets};
    operation = (struct operation){.id = id,
                                   .correlation_id = id,
                                   .source = unit_agent(7, 3, 12),
                                   .routing = ROUTING_DIRECT,
                                   .verb = VERB_ACT,
                                   .priority = 1,
                                   .created_mesh_us = 1800000000000000,
                                   .ttl_us = 2 * US_PER_S,
                                   .payload_weight = 1.0,
                                   .action = "hear",
                                   .payload_bytes = sizeof(payload),
                                   .payload = payload};
    operation.selector.places.count = 1;
    operation.selector.places.patterns[0] =
        (struct pattern){.sector = {7, 7}, .cluster = {3, 3}, .agent = {13, 13}};
    relay = (struct msg){.type = MSG_RELAY, .priority = 1, .epoch = 1800000000000};
    relay.from = unit_agent(7, 3, 12);
    relay.to = unit_cluster(7, 3);
    relay.u.relay = (struct relay){.operation = &operation};
}

static void encode(const struct msg *msg)
{
    struct record_header header;
    size_t body = 0;
    must(codec_encode(&codec, msg, bytes + RECORD_HEADER_BYTES, sizeof(bytes) - RECORD_HEADER_BYTES,
                      &body),
         "it cannot be encoded");
    codec_record_of(msg, body, &header);
    codec_record_encode(&header, bytes);
    length = RECORD_HEADER_BYTES + body;
}

static void decode(void)
{
    struct record_header header;
    struct msg msg;
    must(codec_record_decode(bytes, length, &header) == CODEC_OK, "the header is refused");
    codec_record_to_msg(&header, &msg);
    arena_reset(&arena);
    must(codec_decode(&codec, header.type, bytes + RECORD_HEADER_BYTES, header.body_bytes, &arena,
                      &msg) == CODEC_OK,
         "the body is refused");
    sink += (uint64_t)msg.type;
}

static void lessons(void)
{
    for (uint32_t i = 0; i < LEADS * LEAD; i++) {
        predictor_observe(&agents[i], &priors[i / LEAD], 1.0, i % 4, 20000 + i % 900,
                          50000 + i % 7919, (int64_t)i);
    }
}

static void schedule_all(void)
{
    struct prediction p;
    for (uint32_t lead = 0; lead < LEADS; lead++) {
        struct schedule s;
        schedule_init(&s, 0);
        for (uint32_t i = 0; i < LEAD; i++) {
            p = predictor_predict(&agents[lead * LEAD + i], &priors[lead], 1.0, i % 4, 0.95);
            int64_t need_us, available_us;
            must(schedule_plan(&s, &slab, i, 0, 2 * US_PER_S, p.lead_us, 10000, &need_us,
                               &available_us) == SCHEDULE_SET,
                 "a send time is refused");
        }
        sink += (uint64_t)schedule_next_us(&s);
        schedule_done(&s, &slab);
    }
}

static void aggregate_all(void)
{
    for (uint32_t lead = 0; lead < LEADS; lead++) {
        struct aggregate a = {.open = false};
        uint8_t answer[8] = {0};
        must(aggregate_init(&a, &slab), "no room for an aggregate");
        for (uint32_t i = 0; i < LEAD; i++) {
            answer[0] = (uint8_t)(i % 5);
            struct aggregate_target t = {.agent = lead * LEAD + i,
                                         .outcome = OUTCOME_READY,
                                         .sent = true,
                                         .answer = answer,
                                         .answer_bytes = sizeof(answer)};
            aggregate_add_target(&a, &slab, &t);
        }
        sink += a.targets;
        aggregate_done(&a, &slab);
    }
}

/* How many times each is run in one round, and what counts as one. */
struct job {
    const char *name;
    uint32_t repeats;
    double per;
};
enum which {
    ACK_ENCODE,
    ACK_DECODE,
    OPERATE_ENCODE,
    RELAY_DECODE,
    PREDICT,
    OBSERVE,
    SCHEDULE,
    AGGREGATE
};
static const struct job jobs[] = {{"ack_encode", 100000, 1},    {"ack_decode", 100000, 1},
                                  {"operate_encode", 20000, 1}, {"relay_decode", 50000, 1},
                                  {"predict", 300000, 1},       {"observe", 10, LEADS *LEAD},
                                  {"schedule", 10, 1},          {"aggregate", 10, 1}};
#define JOBS (sizeof(jobs) / sizeof(jobs[0]))

static void prepare(const char *name)
{
    if (strcmp(name, "ack_decode") == 0) {
        encode(&ack);
    } else if (strcmp(name, "relay_decode") == 0) {
        encode(&relay);
    }
}

static void predict_one(uint32_t i)
{
    uint32_t k = i % (LEADS * LEAD);
    struct prediction p = predictor_predict(&agents[k], &priors[k / LEAD], 1.0, k % 4, 0.95);
    sink += (uint64_t)p.lead_us;
}

/* Nothing but the job is counted: names are compared before. */
__attribute__((noinline)) void measured(enum which which, uint32_t repeats);
void measured(enum which which, uint32_t repeats)
{
    for (uint32_t i = 0; i < repeats; i++) {
        switch (which) {
        case ACK_ENCODE:
            encode(&ack);
            break;
        case OPERATE_ENCODE:
            encode(&operate);
            break;
        case ACK_DECODE:
        case RELAY_DECODE:
            decode();
            break;
        case PREDICT:
            predict_one(i);
            break;
        case OBSERVE:
            lessons();
            break;
        case SCHEDULE:
            schedule_all();
            break;
        case AGGREGATE:
            aggregate_all();
            break;
        }
    }
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    topology_default(30000, &topology);
    arena_init(&arena, arena_bytes, sizeof(arena_bytes));
    void *memory = calloc(1, slab_bytes(1024) + 16);
    must(memory != NULL, "no memory");
    slab_init(&slab, memory, 1024);
    for (uint32_t i = 0; i < LEADS; i++) {
        predictor_prior_init(&priors[i], CLASS_B_SERVERLESS, 0.95);
    }
    for (uint32_t i = 0; i < LEADS * LEAD; i++) {
        predictor_init(&agents[i], PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
    }
    for (int i = 0; i < 8; i++) {
        lessons();
    }
    messages_make();
    for (size_t k = 0; k < JOBS; k++) {
        double rounds[ROUNDS];
        if (argc == 3 && strcmp(argv[1], jobs[k].name) != 0) {
            continue;
        }
        prepare(jobs[k].name);
        if (argc == 3) {
            measured((enum which)k, (uint32_t)strtoul(argv[2], NULL, 10));
            return 0;
        }
        for (int round = 0; round < ROUNDS; round++) {
            double start = now_ns();
            measured((enum which)k, jobs[k].repeats);
            rounds[round] = (now_ns() - start) / jobs[k].repeats / jobs[k].per;
        }
        qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
        printf("%s %.1f\n", jobs[k].name, rounds[ROUNDS / 2]);
    }
    return argc == 3 || sink == 0;
}
