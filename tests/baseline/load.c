/* One console with many operations in flight: a closed loop. Begins IN_FLIGHT operations, and for
 * each that ends another one, until SECONDS are over; then waits for the last. Selections are taken
 * in turn. Prints one JSON object: operations, what became of their targets, whether the states of
 * every one of them added up, and the latencies of operations from the command to its final report:
 * quantiles, and each one in ascending order, because the quantile of several consoles is not that
 * of any of them.
 *
 *   bench-load [--priority N] [--every-ms N] CONFIG IN_FLIGHT SECONDS PAYLOAD_BYTES ACTION
 * TIMEOUT_MS PLACES...
 *
 * With --every-ms the loop is open: one operation begins at each such moment, as long as fewer than
 * IN_FLIGHT are under way; moments that found none free are counted as held. */
#include "core/num.h"
#include "tiers/runner/client.h"
#include "tiers/runner/clock.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT_MAX 1024
#define SAMPLES_MAX   1000000u
#define GRACE_MS      30000u /* after the end, for the last ones */

static struct config config;
static struct client *client;
static uv_loop_t *loop;
static uv_timer_t timer, pace;
static struct place_set places[64];
static int place_count, in_flight_wanted;
static int64_t end_us, begun_us[IN_FLIGHT_MAX];
static uint8_t payload[PAYLOAD_BYTES_MAX];
static uint32_t payload_bytes, latencies_us[SAMPLES_MAX], samples;
static const char *action;
static int64_t timeout_us;
static bool started, closing;
static uint32_t next_place, open_count;
static int priority = 2, every_ms;
static uint64_t held, operations, refused, errors, targets, ready, wrong_sums, resent;

static void fail(const char *what)
{
    fprintf(stderr, "bench-load: %s\n", what);
    exit(1);
}

static void begin(uint64_t ref);

static void finish(void)
{
    if (!closing) {
        closing = true;
        client_close(client);
        uv_close((uv_handle_t *)&timer, NULL);
        uv_close((uv_handle_t *)&pace, NULL);
    }
}

static void ended(uint64_t ref, bool counted)
{
    if (ref < 1 || ref > IN_FLIGHT_MAX || begun_us[ref - 1] == 0) {
        return;
    }
    int64_t now_us = clock_boot_us();
    if (counted && samples < SAMPLES_MAX) {
        latencies_us[samples++] = (uint32_t)(now_us - begun_us[ref - 1]);
    }
    begun_us[ref - 1] = 0;
    open_count--;
    if (now_us < end_us) {
        if (every_ms == 0) {
            begin(ref);
        }
    } else if (open_count == 0) {
        finish();
    }
}

static void on_reply(void *ctx, const struct reply *reply)
{
    (void)ctx;
    if (reply->kind == REPLY_ERROR) {
        refused += reply->reason == REASON_OVERLOAD;
        errors += reply->reason != REASON_OVERLOAD;
        ended(reply->ref, false);
    } else if (reply->kind == REPLY_OPERATION && reply->final) {
        const struct aggregate_view *a = &reply->report->aggregate;
        uint64_t sum = 0;
        for (int k = OUTCOME_READY; k < OUTCOME_COUNT; k++) {
            sum += a->outcomes[k];
        }
        operations++;
        targets += a->targets;
        ready += a->outcomes[OUTCOME_READY];
        resent += a->resent;
        wrong_sums += sum != a->targets || a->outcomes[OUTCOME_PENDING] != 0;
        ended(reply->ref, true);
    }
}

static void begin(uint64_t ref)
{
    struct command command = {.ref = ref, .kind = COMMAND_SUBMIT};
    struct operation *op = &command.operation;
    *op = (struct operation){.routing = ROUTING_SCATTER_GATHER,
                             .timing = TIMING_SOON,
                             .verb = VERB_OBSERVE,
                             .priority = (uint8_t)priority,
                             .trinary_expectation = TRINARY_READY,
                             .require_answer = true,
                             .require_ack = true,
                             .allow_partial = true,
                             .timeout_us = timeout_us,
                             .ttl_us = timeout_us + 2 * US_PER_S,
                             .minimum_response_rate = 0.95,
                             .payload = payload,
                             .payload_bytes = payload_bytes};
    op->selector.places = places[next_place++ % (uint32_t)place_count];
    (void)snprintf(op->action, sizeof(op->action), "%s", action);
    begun_us[ref - 1] = clock_boot_us();
    open_count++;
    if (client_command(client, unit_orchestrator(), &command, on_reply, NULL) != 0) {
        fail("a command cannot be sent");
    }
}

static void on_pace(uv_timer_t *handle)
{
    if (clock_boot_us() >= end_us) {
        uv_timer_stop(handle);
        if (open_count == 0) {
            finish();
        }
        return;
    }
    for (int i = 1; i <= in_flight_wanted; i++) {
        if (begun_us[i - 1] == 0) {
            begin((uint64_t)i);
            return;
        }
    }
    held++;
}

static void on_link(void *ctx, bool up, const char *why)
{
    (void)ctx;
    if (!up) {
        fprintf(stderr, "bench-load: %s\n", why);
        return;
    }
    if (!started) {
        started = true;
        end_us += clock_boot_us();
        client_any_ref(client, true);
        if (every_ms > 0) {
            uv_timer_start(&pace, on_pace, 0, (uint64_t)every_ms);
            return;
        }
        for (int i = 1; i <= in_flight_wanted; i++) {
            begin((uint64_t)i);
        }
    }
}

static void on_timeout(uv_timer_t *handle)
{
    (void)handle;
    fprintf(stderr, "bench-load: %u operations without a final report\n", open_count);
    finish();
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(double q)
{
    return samples == 0 ? 0 : latencies_us[(uint32_t)(q * (double)(samples - 1))] / 1000.0;
}

static void report(int64_t spent_us)
{
    qsort(latencies_us, samples, sizeof(latencies_us[0]), ascending);
    printf("{\"operations\": %llu, \"refused\": %llu, \"errors\": %llu, \"unfinished\": %u, "
           "\"targets\": %llu, \"ready\": %llu, \"resent\": %llu, \"wrong_sums\": %llu, "
           "\"held\": %llu, \"seconds\": %.3f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": "
           "%.2f, \"latencies_us\": [",
           (unsigned long long)operations, (unsigned long long)refused, (unsigned long long)errors,
           open_count, (unsigned long long)targets, (unsigned long long)ready,
           (unsigned long long)resent, (unsigned long long)wrong_sums, (unsigned long long)held,
           (double)spent_us / 1e6, quantile_ms(0.5), quantile_ms(0.99), quantile_ms(1.0));
    for (uint32_t i = 0; i < samples; i++) {
        printf("%s%u", i == 0 ? "" : ", ", latencies_us[i]);
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct config_error error;
    char why[256];
    for (; argc > 2 && strncmp(argv[1], "--", 2) == 0; argc -= 2, argv += 2) {
        int *ret = strcmp(argv[1], "--priority") == 0   ? &priority
                   : strcmp(argv[1], "--every-ms") == 0 ? &every_ms
                                                        : NULL;
        if (ret == NULL) {
            fail("an unknown option");
        }
        *ret = atoi(argv[2]);
    }
    if (argc < 8 || argc - 7 > 64) {
        fail("usage: bench-load [--priority N] [--every-ms N] CONFIG IN_FLIGHT SECONDS "
             "PAYLOAD_BYTES ACTION TIMEOUT_MS "
             "PLACES...");
    }
    signal(SIGPIPE, SIG_IGN);
    const struct config_options file = {.file = argv[1]};
    if (!config_load(&file, 0, NULL, &config, &error)) {
        fail(error.text);
    }
    in_flight_wanted = atoi(argv[2]);
    end_us = atoi(argv[3]) * US_PER_S;
    payload_bytes = (uint32_t)atoi(argv[4]);
    action = argv[5];
    timeout_us = atoi(argv[6]) * US_PER_MS;
    if (in_flight_wanted < 1 || in_flight_wanted > IN_FLIGHT_MAX || priority < 0 ||
        priority >= (int)PRIORITY_COUNT || every_ms < 0 || payload_bytes > PAYLOAD_BYTES_MAX ||
        timeout_us <= 0 || strlen(action) >= ACTION_MAX) {
        fail("a number is out of range");
    }
    memset(payload, 'x', payload_bytes);
    for (int i = 7; i < argc; i++) {
        size_t at;
        const char *reason;
        if (!place_parse(argv[i], strlen(argv[i]), &config.topology, &places[place_count++], &at,
                         &reason)) {
            fail(reason);
        }
    }
    loop = uv_default_loop();
    int64_t start_us = clock_boot_us();
    uint64_t most_ms = (uint64_t)(end_us / US_PER_MS + timeout_us / US_PER_MS) + GRACE_MS;
    if (!client_new(loop, &config, &client, why, sizeof(why))) {
        fail(why);
    }
    client_on_link(client, on_link, NULL);
    uv_timer_init(loop, &pace);
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_timeout, most_ms, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    report(clock_boot_us() - start_us);
    client_free(client);
    uv_loop_close(loop);
    return wrong_sums > 0 || open_count > 0 || operations == 0;
}
