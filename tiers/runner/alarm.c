/* A small table, looked through: refusals are rare, and in a flood the bucket of bad frames
 * (rate.h) stands before it. */
#include "tiers/runner/alarm.h"

#include "tiers/runner/bytes.h"
#include "tiers/runner/egress.h"
#include "tiers/runner/ingress.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

bool alarm_is_doubtful(enum alarm_kind kind, unsigned code)
{
    if (kind == ALARM_RECORD)
        return code == INGRESS_EPOCH || code == INGRESS_UNCACHED || code == INGRESS_OPERATION ||
               code == INGRESS_ORDER_OLD;
    if (kind == ALARM_CHAIN)
        return code == CERT_NOT_YET_VALID || code == CERT_EXPIRED;
    switch ((enum frame_verdict)code) {
    case FRAME_RATE: /* what filled the bucket was told for itself */
    case FRAME_DESTINATION:
    case FRAME_UNKNOWN_KEY:
    case FRAME_OLD_SESSION:
    case FRAME_CERT_EXPIRED:
    case FRAME_FUTURE:
    case FRAME_EXPIRED:
    case FRAME_BEFORE_START:
    case FRAME_REPLAY:
    case FRAME_SEQ_OLD:
    case FRAME_PEERS_FULL:
        return true;
    case FRAME_OK:
    case FRAME_SIZE:
    case FRAME_MAGIC:
    case FRAME_VERSION:
    case FRAME_SHAPE:
    case FRAME_MESH:
    case FRAME_SOURCE:
    case FRAME_CHAIN_INVALID:
    case FRAME_ROLE:
    case FRAME_SIGNATURE:
    case FRAME_RECORDS:
    case FRAME_VERDICT_COUNT:
    default:
        return false;
    }
}

enum evidence_weight alarm_weight(enum alarm_kind kind, unsigned code)
{
    if (kind == ALARM_RECORD) {
        bool over = code == INGRESS_SCOPE || code == INGRESS_CAPABILITY ||
                    code == INGRESS_ORDER_SOURCE || code == INGRESS_ORDER_FORK;
        return over ? EVIDENCE_OVERREACH : EVIDENCE_DOUBT;
    }
    if (kind == ALARM_CHAIN) {
        bool forged = code == CERT_BAD_SIGNATURE || code == CERT_TOKEN_CHANGED ||
                      code == CERT_ROLE_WIDENED || code == CERT_SCOPE_WIDENED ||
                      code == CERT_CAPABILITY_WIDENED;
        return forged ? EVIDENCE_FORGERY : EVIDENCE_DOUBT;
    }
    bool forged = code == FRAME_SIGNATURE || code == FRAME_SOURCE || code == FRAME_ROLE ||
                  code == FRAME_RECORDS;
    return forged ? EVIDENCE_FORGERY : EVIDENCE_DOUBT;
}

static struct alarm_entry *entry_of(struct alarms *a, const char *token, enum alarm_kind kind,
                                    unsigned code)
{
    for (uint32_t i = 0; i < a->count; i++) {
        struct alarm_entry *e = &a->list[i];
        if (e->row.kind == kind && e->row.code == code && strcmp(e->row.token, token) == 0)
            return e;
    }
    if (a->count >= ALARMS_MAX - 1) { /* the last place is that of all others */
        a->forgotten++;
        if (a->count == ALARMS_MAX)
            return &a->list[ALARMS_MAX - 1];
        token = ALARM_OTHERS;
    }
    struct alarm_entry *e = &a->list[a->count++];
    memset(e, 0, sizeof(*e));
    (void)snprintf(e->row.token, sizeof(e->row.token), "%s", token);
    e->row.kind = kind;
    e->row.code = (uint8_t)code;
    return e;
}

void alarm_count(struct alarms *a, const char *token, enum alarm_kind kind, unsigned code,
                 int64_t now_ms)
{
    assert(a && token && code < 256);
    struct alarm_entry *e = entry_of(a, token, kind, code);
    /* A quiet minute ends it: the next one is news again. */
    if (e->row.count == 0 || now_ms - e->row.last_ms > ALARM_AGAIN_MS) {
        e->row.count = 0;
        e->told = 0;
        e->told_ms = 0;
        e->row.first_ms = now_ms;
    }
    e->row.count++;
    e->row.last_ms = now_ms;
}

void alarm_forget(struct alarms *a, const char *token)
{
    assert(a && token);
    for (uint32_t i = 0; i < a->count; i++) {
        if (strcmp(a->list[i].row.token, token) == 0)
            a->list[i].row.count = 0; /* begins anew, as after a quiet minute */
    }
}

static bool is_due(const struct alarm_entry *e, int64_t now_ms)
{
    uint64_t least = alarm_is_doubtful(e->row.kind, e->row.code) ? ALARM_DOUBT : 1;
    return e->row.count >= least && e->row.count > e->told &&
           (e->told == 0 || e->row.count / THREAT_TELL_GROWTH >= e->told ||
            (e->told < THREAT_REFUSALS && e->row.count >= THREAT_REFUSALS) ||
            now_ms - e->told_ms >= ALARM_AGAIN_MS);
}

size_t alarm_tell(struct alarms *a, int64_t now_ms, uint8_t ret[ALARM_BYTES_MAX])
{
    assert(a && ret);
    unsigned rows = 0;
    memset(ret, 0, ALARM_BYTES_MAX);
    for (uint32_t i = 0; i < a->count && rows < ALARM_ROWS_MAX; i++) {
        struct alarm_entry *e = &a->list[i];
        if (!is_due(e, now_ms))
            continue;
        uint8_t *at = ret + 8 + (size_t)ALARM_ROW_BYTES * rows++;
        memcpy(at, e->row.token, strlen(e->row.token));
        at[16] = (uint8_t)e->row.kind;
        at[17] = e->row.code;
        put_u64(at + 24, e->row.count);
        put_u64(at + 32, (uint64_t)e->row.first_ms);
        put_u64(at + 40, (uint64_t)e->row.last_ms);
        e->told = e->row.count;
        e->told_ms = now_ms;
    }
    ret[0] = RECORD_ALARM;
    ret[1] = (uint8_t)rows;
    return rows == 0 ? 0 : 8 + (size_t)ALARM_ROW_BYTES * rows;
}

static bool row_decode(const uint8_t *at, struct alarm_row *ret)
{
    static const unsigned codes[ALARM_KIND_COUNT] = {0, FRAME_VERDICT_COUNT, CERT_VERDICT_COUNT,
                                                     INGRESS_REFUSALS};
    *ret = (struct alarm_row){.kind = at[16],
                              .code = at[17],
                              .count = get_u64(at + 24),
                              .first_ms = (int64_t)get_u64(at + 32),
                              .last_ms = (int64_t)get_u64(at + 40)};
    memcpy(ret->token, at, TOKEN_MAX);
    static const uint8_t zero[6];
    return at[15] == 0 && token_valid(ret->token, strlen(ret->token)) && ret->kind >= ALARM_FRAME &&
           ret->kind < ALARM_KIND_COUNT && ret->code > 0 && ret->code < codes[ret->kind] &&
           memcmp(at + 18, zero, sizeof(zero)) == 0 && ret->count > 0 &&
           ret->first_ms <= ret->last_ms;
}

int alarm_decode(const uint8_t *bytes, size_t length, struct alarm_row ret[ALARM_ROWS_MAX])
{
    assert(bytes && ret);
    if (length < 8 || bytes[0] != RECORD_ALARM || bytes[1] == 0 || bytes[1] > ALARM_ROWS_MAX ||
        length != 8 + (size_t)ALARM_ROW_BYTES * bytes[1])
        return -1;
    for (unsigned i = 0; i < bytes[1]; i++) {
        if (!row_decode(bytes + 8 + (size_t)ALARM_ROW_BYTES * i, &ret[i]))
            return -1;
    }
    return bytes[1];
}

const char *alarm_name(enum alarm_kind kind, uint8_t code, char ret[40])
{
    const char *before = kind == ALARM_CHAIN ? "chain-" : kind == ALARM_RECORD ? "record-" : "";
    const char *name = kind == ALARM_CHAIN    ? cert_verdict_name((enum cert_verdict)code)
                       : kind == ALARM_RECORD ? ingress_refusal_name((enum ingress_refusal)code)
                                              : frame_verdict_name((enum frame_verdict)code);
    (void)snprintf(ret, 40, "%s%s", before, name);
    return ret;
}
