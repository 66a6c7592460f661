/* Security events: every process tells what it refused in a broadcast, which all may send; the
 * orchestrator that serves writes rows of the audit log. A row names the one that reports as well
 * as the one that is accused, for either may be the one that lies.
 *
 * Bounds: one record a tick (250 ms) from each process; rows of a reporter are limited to
 * ROWS_PER_S, those beyond are counted (alarm_rows_dropped). */
#include "tiers/runner/process_int.h"

#include "core/num.h"
#include "tiers/runner/clock.h"
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define FIELDS     7u
#define ROWS_PER_S 10

static struct store_field field(const char *name, const char *value)
{
    return (struct store_field){
        .name = name, .value = value, .value_bytes = (uint32_t)strlen(value)};
}

void *process_alarm_tag(void)
{
    static char tag;
    return &tag;
}

static void row_write(struct process *p, const struct alarm_row *row, const char *reporter)
{
    char at_us[U64_TEXT_MAX], id[33], name[40], body[256];
    uint8_t random[16];
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(id, sizeof(id), random, sizeof(random));
    (void)num_format_i64(clock_unix_us(), at_us);
    (void)alarm_name(row->kind, row->code, name);
    (void)snprintf(
        body, sizeof(body),
        "{\"from\": \"%s\", \"refused_by\": \"%s\", \"check\": \"%s\", \"count\": %" PRIu64
        ", \"first_ms\": %" PRId64 ", \"last_ms\": %" PRId64 ", \"outcome\": \"refused\"}",
        row->token, reporter, name, row->count, row->first_ms, row->last_ms);
    const struct store_field fields[FIELDS] = {
        field("at_us", at_us),   field("event", "security"), field("subject", row->token),
        field("agent", "mesh"),  field("type", name),        field("priority", "3"),
        field("actor", reporter)};
    const struct store_op op = {.ref = 1,
                                .kind = STORE_LOG_APPEND,
                                .shard = "mesh",
                                .key = "audit",
                                .id = id,
                                .fields = fields,
                                .field_count = FIELDS,
                                .body = (const uint8_t *)body,
                                .body_bytes = (uint32_t)strlen(body)};
    if (!sql_log_submit(p->sql, &op, process_alarm_tag()))
        p->alarm_rows_dropped++;
}

/* A bucket for each reporter, so that none of them can fill the log or silence another. */
static bool may_write(struct process *p, const char *reporter, int64_t now_ms)
{
    struct endpoint e = {.port = 0};
    (void)snprintf(e.token, sizeof(e.token), "%s", reporter);
    struct alarm_reporter *r = &p->alarm_reporters[endpoint_hash(&e) % ALARM_REPORTERS];
    if (r->full_ms < now_ms || r->full_ms > now_ms + 60000)
        r->full_ms = now_ms;
    if (r->full_ms - now_ms > 2000)
        return false;
    r->full_ms += 1000 / ROWS_PER_S;
    return true;
}

void process_alarmed(void *ctx, const char *reporter, const struct alarm_row *rows, int count)
{
    struct process *p = ctx;
    for (int i = 0; i < count; i++)
        process_evidence(p, reporter, &rows[i]);
    if (p->sql == NULL || p->runner == NULL || p->phase != PHASE_SERVING ||
        !runner_has(p->runner, unit_orchestrator()))
        return; /* by whom the orchestrator runs at, be it a standby */
    for (int i = 0; i < count; i++) {
        if (may_write(p, reporter, clock_unix_us() / US_PER_MS))
            row_write(p, &rows[i], reporter);
        else
            p->alarm_rows_dropped++;
    }
}

void process_alarm_tick(struct process *p)
{
    uint8_t record[ALARM_BYTES_MAX];
    if (p->phase != PHASE_SERVING || !p->bus_up || p->runner == NULL)
        return;
    size_t length = alarm_tell(ingress_alarms(p->ingress), clock_unix_us() / US_PER_MS, record);
    if (length == 0)
        return;
    struct alarm_row rows[ALARM_ROWS_MAX];
    int count = alarm_decode(record, length, rows);
    for (int i = 0; i < count; i++) {
        char name[40];
        log_line(&p->log, LOG_WARNING, "refused", "from=%s check=%s count=%" PRIu64, rows[i].token,
                 alarm_name(rows[i].kind, rows[i].code, name), rows[i].count);
    }
    if (runner_has(p->runner, unit_orchestrator()))
        process_alarmed(p, p->conf->name, rows, count);
    else
        (void)egress_record(p->egress, 0, p->everyone, record, length);
}

enum ingress_refusal process_order(void *ctx, const struct msg *msg)
{
    struct process *p = ctx;
    if (!process_may_serve(p)) {
        return INGRESS_OK;
    }
    const struct runner_stats *stats = runner_stats(p->runner);
    uint64_t forks = stats->orders_forked, old = stats->orders_old;
    runner_message(p->runner, msg);
    return stats->orders_forked > forks ? INGRESS_ORDER_FORK
           : stats->orders_old > old    ? INGRESS_ORDER_OLD
                                        : INGRESS_OK;
}
