/* A chat is one long work: the engine asks it for the next message again and again until its time
 * is over. Author and receiver run on one machine, so the time on the way is a difference of the
 * boot clock, free of any error of mesh time. Latencies are counted in octaves with eight parts
 * each: a quantile is right within a ninth. Counters belong to the loop thread. */
#include "tiers/runner/chat.h"

#include "core/num.h"
#include "tiers/runner/bytes.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PARTS   8u
#define OCTAVES 24u /* microseconds; the last takes everything above 8 s */
#define BUCKETS (OCTAVES * PARTS)

struct terms {
    uint64_t mean_us, lasts_us, bytes, far_permille;
};

static struct {
    uint64_t said, heard;
    uint64_t buckets[BUCKETS];
    uint8_t payload[PAYLOAD_BYTES_MAX];
} talk;

/* The number at `from`, and what follows it and a blank. False: none, or outside of its range. */
static bool number_at(const struct operation *op, uint32_t *from, uint64_t least, uint64_t most,
                      uint64_t *ret)
{
    const char *text = (const char *)op->payload;
    uint32_t end = *from;
    while (end < op->payload_bytes && text[end] != ' ') {
        end++;
    }
    if (end == *from || !num_parse_u64(text + *from, end - *from, ret)) {
        return false;
    }
    *from = end < op->payload_bytes ? end + 1 : end;
    return *ret >= least && *ret <= most;
}

static bool terms_read(const struct operation *op, struct terms *ret)
{
    uint32_t at = 0;
    uint64_t mean_ms, seconds;
    if (!number_at(op, &at, 1, 3600000, &mean_ms) || !number_at(op, &at, 1, 3600, &seconds) ||
        !number_at(op, &at, CHAT_BYTES_LEAST, PAYLOAD_BYTES_MAX, &ret->bytes) ||
        !number_at(op, &at, 0, 1000, &ret->far_permille) || at != op->payload_bytes) {
        return false;
    }
    ret->mean_us = mean_ms * 1000;
    ret->lasts_us = seconds * 1000000;
    return true;
}

/* Whom to talk to: of the own cluster, or of all. The author itself, when there is nobody else. */
static struct unit partner(const struct handler_call *call, bool far)
{
    const struct topology *t = call->topology;
    uint32_t own = topology_index(t, call->unit), index = own;
    if (far) {
        do { /* not a place that is free by plan: few are */
            index = (uint32_t)rng_below(call->rng, topology_places(t));
        } while (!topology_planned(t, topology_agent(t, index)));
    } else {
        uint32_t first = topology_index(t, unit_agent(call->unit.sector, call->unit.cluster, 1));
        uint32_t count = topology_cluster_agents(t, topology_parent(call->unit));
        index = count > 1
                    ? first + (own - first + 1 + (uint32_t)rng_below(call->rng, count - 1)) % count
                    : own;
    }
    return topology_agent(t, index);
}

static int64_t chat_begin(const struct handler_call *call)
{
    struct terms terms;
    return terms_read(call->operation, &terms) ? (int64_t)rng_below(call->rng, terms.mean_us) : 0;
}

static int64_t chat_more(const struct handler_call *call, struct handler_answer *ret)
{
    struct terms terms;
    int64_t now_us = clock_boot_us();
    if (!terms_read(call->operation, &terms) ||
        now_us - call->began_us >= (int64_t)terms.lasts_us) {
        return -1;
    }
    struct unit to = partner(call, rng_below(call->rng, 1000) < terms.far_permille);
    put_u64(talk.payload, (uint64_t)now_us);
    put_u64(talk.payload + 8, ++talk.said);
    ret->has_emit = true;
    ret->emit = (struct operation){.routing = ROUTING_DIRECT,
                                   .causation_id = call->operation->id,
                                   .verb = VERB_ACT,
                                   .priority = 1,
                                   .trinary_expectation = TRINARY_READY,
                                   .ttl_us = CHAT_TTL_US,
                                   .payload_weight = 1.0,
                                   .payload = talk.payload,
                                   .payload_bytes = (uint32_t)terms.bytes,
                                   .action = "hear"};
    ret->emit.selector.places.count = 1;
    ret->emit.selector.places.patterns[0] = (struct pattern){.sector = {to.sector, to.sector},
                                                             .cluster = {to.cluster, to.cluster},
                                                             .agent = {to.agent, to.agent}};
    return (int64_t)(terms.mean_us / 2 + rng_below(call->rng, terms.mean_us));
}

static void chat_finish(const struct handler_call *call, struct handler_answer *ret)
{
    struct terms terms;
    if (!terms_read(call->operation, &terms)) {
        ret->verdict = OUTCOME_FAILED;
        ret->reason = REASON_INVALID;
    }
}

static uint32_t bucket_of(uint64_t us)
{
    us = us < PARTS ? PARTS : us;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(us);
    uint32_t part = (uint32_t)(us >> (octave - 3u)) & (PARTS - 1u);
    uint32_t bucket = (octave - 3u) * PARTS + part;
    return bucket < BUCKETS ? bucket : BUCKETS - 1u;
}

/* The first time that no longer belongs to the bucket. */
static uint64_t bucket_end_us(uint32_t bucket)
{
    return (uint64_t)(PARTS + bucket % PARTS + 1u) << (bucket / PARTS);
}

static void hear_finish(const struct handler_call *call, struct handler_answer *ret)
{
    const struct operation *op = call->operation;
    if (op->payload_bytes < CHAT_BYTES_LEAST) {
        ret->verdict = OUTCOME_FAILED;
        ret->reason = REASON_INVALID;
        return;
    }
    int64_t way_us = clock_boot_us() - (int64_t)get_u64(op->payload);
    talk.heard++;
    talk.buckets[bucket_of(way_us > 0 ? (uint64_t)way_us : 0)]++;
}

const struct handler_ops *chat_find(const char *action)
{
    static const struct handler_ops chat = {"chat", "sends messages to other agents for a while",
                                            chat_begin, chat_finish, chat_more};
    static const struct handler_ops hear = {"hear", "takes a message of a chat in", NULL,
                                            hear_finish, NULL};
    assert(action != NULL);
    return strcmp(action, "chat") == 0 ? &chat : strcmp(action, "hear") == 0 ? &hear : NULL;
}

void chat_metrics(struct page *page)
{
    assert(page != NULL);
    if (talk.said + talk.heard == 0) {
        return;
    }
    page_add(page, "chat_said_total", NULL, NULL, talk.said);
    page_add(page, "chat_heard_total", NULL, NULL, talk.heard);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        if (talk.buckets[i] > 0) {
            char below[24];
            (void)snprintf(below, sizeof(below), "%llu", (unsigned long long)bucket_end_us(i));
            page_add(page, "chat_way_total", "below_us", below, talk.buckets[i]);
        }
    }
}
