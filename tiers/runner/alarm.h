/* What a process refused for reasons that no honest sender gives it, by sender and reason, and the
 * record that tells the orchestrator's process, which writes it into the audit log as `security`.
 *
 * The sender is the one that the bus proves (the subject's token), never the one that a frame
 * claims. What also happens to honest processes (a late, repeated or old frame, a stale epoch)
 * counts only from ALARM_DOUBT on within a minute. Told at once the first time, then whenever it is
 * three times as much as was told or enough for a threat (threat.h), and once a minute while it
 * goes on. It is evidence, not a verdict: a row names who reports.
 *
 * Record, little-endian: RECORD_ALARM u8, count u8, 6 zero bytes, then count rows of
 * ALARM_ROW_BYTES: token[16], kind u8, code u8, 6 zero bytes, count u64, first and last i64 (unix
 * ms).
 *
 * Bounds: ALARMS_MAX pairs of sender and reason; those beyond are counted under the sender
 * "others". */
#ifndef TIERS_RUNNER_ALARM_H
#define TIERS_RUNNER_ALARM_H

#include "core/threat.h"
#include "tiers/runner/endpoint.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALARMS_MAX      256u
#define ALARM_DOUBT     5u
#define ALARM_AGAIN_MS  60000
#define ALARM_ROW_BYTES 48u
#define ALARM_ROWS_MAX  16u
#define ALARM_BYTES_MAX (8u + ALARM_ROWS_MAX * ALARM_ROW_BYTES)
#define ALARM_OTHERS    "others"

enum alarm_kind {
    ALARM_FRAME = 1, /* code: enum frame_verdict */
    ALARM_CHAIN,     /* code: enum cert_verdict */
    ALARM_RECORD,    /* code: enum ingress_refusal */
    ALARM_KIND_COUNT
};

struct alarm_row {
    char token[TOKEN_MAX + 1]; /* who sent it */
    enum alarm_kind kind;
    uint8_t code;
    uint64_t count; /* since `first` */
    int64_t first_ms, last_ms;
};

struct alarms {
    uint32_t count;
    uint64_t forgotten; /* senders that fell under "others" */
    struct alarm_entry {
        struct alarm_row row;
        uint64_t told; /* of row.count */
        int64_t told_ms;
    } list[ALARMS_MAX];
};

/* One refusal. */
void alarm_count(struct alarms *a, const char *token, enum alarm_kind kind, unsigned code,
                 int64_t now_ms);

/* What this sender is charged with is settled: what was counted of it is not told again. */
void alarm_forget(struct alarms *a, const char *token);

/* The next record to be told, 0: nothing is due. */
size_t alarm_tell(struct alarms *a, int64_t now_ms, uint8_t ret[ALARM_BYTES_MAX]);

/* Rows of a record; -1: it is none. */
int alarm_decode(const uint8_t *bytes, size_t length, struct alarm_row ret[ALARM_ROWS_MAX]);

/* "signature", "chain-revoked", "record-scope". */
const char *alarm_name(enum alarm_kind kind, uint8_t code, char ret[40]);

/* What it is worth as evidence: what a process of another version, configuration or clock may cause
 * is a doubt. */
enum evidence_weight alarm_weight(enum alarm_kind kind, unsigned code);

/* Whether honest processes may cause it, too. */
bool alarm_is_doubtful(enum alarm_kind kind, unsigned code);

#endif
