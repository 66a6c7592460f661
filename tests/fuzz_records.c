/* libFuzzer: what comes back from the registry and the logs. The first byte picks: a job as it was
 * packed, rows of a SQL database, a row that is to be logged, an address of service discovery, or a
 * node (a lead, the orchestrator) whose every question to the store is answered by the input:
 * verdicts, keys, names and values as whoever wrote them would have it, in the shapes that the
 * decoder of answers lets through (registry/redis_answer.c). */
#include "core/node.h"
#include "registry/sql_table.h"
#include "tests/support/steps.h"
#include "tiers/cluster/cluster.h"
#include "tiers/orchestrator/job_record.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/runner/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REFS_MAX    64u
#define ROUNDS_MAX  24u
#define WAKES_MAX   200u
#define ROWS_MOST   8u
#define FIELDS_MOST 40u
#define COLUMNS_ALL 12

struct input {
    const uint8_t *at;
    size_t left;
};

static struct topology topology;
static struct outbox out;
static struct {
    uint64_t ref;
    enum store_kind kind;
} refs[REFS_MAX];
static uint32_t ref_count;

/* What rows are called by, and their fields: what tiers look for, so that inputs come further. A
 * byte that is none of these takes a text from the input. */
static const char *const keys[] = {"job:0",
                                   "job:0.1",
                                   "job:1",
                                   "job:255.5",
                                   "scale:batch",
                                   "scale:s01.c1",
                                   "scale:s02.c2",
                                   "s01.c1.a1",
                                   "s01.c1.a2",
                                   "move:0000000000000001",
                                   "kpi.hour.1",
                                   "kpi.day.1",
                                   "kpi.week.1",
                                   "prior:B_SERVERLESS",
                                   "s01",
                                   "s01.c1",
                                   "prior:C_HYBRID",
                                   "freezes",
                                   "move:0000000000000002"};
static const char *const names[] = {"number",
                                    "bytes",
                                    "id",
                                    "state",
                                    "p0",
                                    "p1",
                                    "p2",
                                    "p38",
                                    "wanted",
                                    "rate",
                                    "over",
                                    "until",
                                    "ended",
                                    "remove",
                                    "old",
                                    "fresh",
                                    "leaving",
                                    "retired",
                                    "batch",
                                    "home",
                                    "place",
                                    "agents",
                                    "places",
                                    "back",
                                    "uid",
                                    "epoch",
                                    "unit_epoch",
                                    "agent_class",
                                    "capability_mask",
                                    "operational_state",
                                    "facts_1",
                                    "facts_2",
                                    "facts_3",
                                    "facts_4",
                                    "start",
                                    "learnt_form",
                                    "subject",
                                    "agent",
                                    "type",
                                    "event",
                                    "actor",
                                    "priority",
                                    "seq",
                                    "at_us",
                                    "hash",
                                    "prev",
                                    "body",
                                    "mesh",
                                    "s01",
                                    "s01_c1",
                                    "s01.c1",
                                    "reasoning",
                                    "context_wanted",
                                    "impedance_history_ms",
                                    "impedance_spikes",
                                    "last_updated",
                                    "learnt_1",
                                    "learnt_2",
                                    "owner",
                                    "count"};

static void demand(bool holds)
{
    if (!holds) {
        abort();
    }
}

static uint32_t take(struct input *in)
{
    uint32_t v = in->left > 0 ? *in->at : 0;
    in->at += in->left > 0;
    in->left -= in->left > 0;
    return v;
}

/* A text of at most `most` bytes with a NUL behind it, none within; from room, which moves on. */
static const char *take_text(struct input *in, size_t most, char **room, uint32_t *ret_bytes)
{
    size_t bytes = take(in) % (most + 1);
    char *at = *room;
    bytes = bytes < in->left ? bytes : in->left;
    memcpy(at, in->at, bytes);
    at[bytes] = '\0';
    in->at += bytes;
    in->left -= bytes;
    *room += bytes + 1;
    *ret_bytes = (uint32_t)bytes;
    return at;
}

static const char *take_word(struct input *in, const char *const *list, size_t count, char **room)
{
    uint32_t choice = take(in), bytes = 0;
    return choice < count ? list[choice] : take_text(in, STORE_FIELD_NAME_MAX - 1, room, &bytes);
}

static void answer(struct input *in, struct store_reply *reply)
{
    static struct store_row rows[ROWS_MOST];
    static struct store_field fields[ROWS_MOST][FIELDS_MOST];
    static char memory[ROWS_MOST * (FIELDS_MOST + 1) * 128];
    char *room = memory;
    uint32_t how = take(in);
    reply->verdict = how < 200 ? STORE_OK : (enum store_verdict)(how % STORE_VERDICT_COUNT);
    reply->epoch = take(in);
    reply->cursor = how % 16 == 1 ? 7 : 0;
    if (reply->verdict != STORE_OK) {
        return;
    }
    uint32_t count = take(in) % (ROWS_MOST + 1);
    reply->row_count = reply->kind == STORE_GET ? 1 : count;
    reply->rows = rows;
    for (uint32_t i = 0; i < reply->row_count; i++) {
        rows[i] = (struct store_row){.fields = fields[i], .stamp_us = (int64_t)take(in) << 44};
        rows[i].key = reply->kind == STORE_HISTORY
                          ? NULL
                          : take_word(in, keys, sizeof(keys) / sizeof(keys[0]), &room);
        rows[i].score = (double)take(in) - 100;
        rows[i].field_count = take(in) % (FIELDS_MOST + 1);
        for (uint32_t k = 0; k < rows[i].field_count; k++) {
            struct store_field *f = &fields[i][k];
            f->name = take_word(in, names, sizeof(names) / sizeof(names[0]), &room);
            f->value = take_text(in, STORE_FIELD_VALUE_MAX, &room, &f->value_bytes);
        }
    }
    static uint8_t body[256];
    reply->body = body;
    reply->body_bytes = reply->kind == STORE_BLOB_GET ? take(in) : 0;
    reply->total_bytes = reply->body_bytes;
}

static void remember(void)
{
    for (uint32_t i = 0; i < out.effect_count; i++) {
        const struct effect *fx = &out.effects[i];
        if (fx->kind == FX_STORE && ref_count < REFS_MAX) {
            refs[ref_count].ref = fx->u.store.ref;
            refs[ref_count++].kind = fx->u.store.kind;
        }
    }
}

static int64_t feed(const struct node_ops *ops, void *node, struct event event, int64_t now)
{
    for (uint32_t wakes = 0;; wakes++) {
        event.now_us = now;
        outbox_clear(&out);
        int64_t wake = ops->step(node, &event, &out);
        remember();
        if (wake > now) {
            return wake;
        }
        demand(wakes <= WAKES_MAX && out.effect_count > 0); /* else it spins */
        event = (struct event){.kind = EV_WAKE};
    }
}

static void node(struct input *in, const struct node_ops *ops, struct unit self)
{
    struct node_conf conf = {.self = self,
                             .uid = 77,
                             .epoch = 3,
                             .seed = 7,
                             .topology = &topology,
                             .digest = digest_plain,
                             .unix_us = INT64_C(1767225600000000),
                             .init_now_us = 1000000,
                             .handlers_max = 4,
                             .tuning = tuning_default()};
    /* Room once for both: that of the orchestrator is large, and its pages are dear to make. */
    static void *of;
    static size_t room;
    size_t wanted = ops->size(&conf);
    if (wanted > room) {
        free(of);
        of = malloc(wanted);
        room = wanted;
        demand(of != NULL);
    }
    memset(of, 0, wanted);
    int64_t now = 1000000;
    ref_count = 0;
    ops->init(of, &conf);
    int64_t wake = feed(ops, of, (struct event){.kind = EV_START}, now);
    for (unsigned l = 0; l < LINK_COUNT; l++) {
        struct event event = {.kind = EV_LINK};
        event.u.link.which = (enum link)l;
        event.u.link.up = true;
        wake = feed(ops, of, event, now);
    }
    for (uint32_t i = 0; i < ROUNDS_MAX && in->left > 0; i++) {
        if (ref_count > 0) {
            struct store_reply reply = {.ref = refs[0].ref, .kind = refs[0].kind};
            memmove(refs, refs + 1, --ref_count * sizeof(refs[0]));
            answer(in, &reply);
            struct event event = {.kind = EV_STORE};
            event.u.store = &reply;
            wake = feed(ops, of, event, ++now);
        } else {
            now = wake < now + US_PER_S ? wake : now + US_PER_S;
            wake = feed(ops, of, (struct event){.kind = EV_WAKE}, now);
        }
    }
}

static uint8_t honest[2][JOB_PACKED_BYTES]; /* a job that runs, one that has ended */
static uint32_t honest_bytes[2];

static void jobs_make(void)
{
    static const struct run runs[] = {{3, 3}, {5, 9}};
    static const struct answer_group groups[] = {
        {.outcome = OUTCOME_READY, .hash = 1, .count = 1, .run_count = 1, .runs = runs},
        {.outcome = OUTCOME_FAILED,
         .reason = REASON_HANDLER,
         .hash = 2,
         .count = 5,
         .run_count = 1,
         .runs = runs + 1}};
    struct job_head head = {.id = {1, 2},
                            .running = true,
                            .console = {.tier = TIER_CONSOLE, .sector = 1},
                            .action = "echo",
                            .input = "all",
                            .targets = 6};
    static struct job_course course = {.deadline_mesh_us = 5, .has_before = true};
    static struct report report = {.status = "COMPLETE",
                                   .recommendation = "",
                                   .decision_reason = "",
                                   .decision_recommendation = ""};
    course.operation.priority = 2;
    (void)snprintf(course.operation.action, sizeof(course.operation.action), "echo");
    course.before.outcomes[OUTCOME_READY] = 1;
    honest_bytes[0] = job_pack_running(&head, &course, honest[0]);
    head.running = false;
    report.aggregate.targets = report.aggregate.sent = 6;
    report.aggregate.outcomes[OUTCOME_READY] = 1;
    report.aggregate.outcomes[OUTCOME_FAILED] = 5;
    report.aggregate.reasons[REASON_HANDLER] = 5;
    report.aggregate.groups = groups;
    report.aggregate.group_count = 2;
    honest_bytes[1] = job_pack_ended(&head, &report, honest[1]);
    demand(honest_bytes[0] > 0 && honest_bytes[1] > 0);
}

/* What is taken for a job is one that can be packed, and is then taken again. */
static void job_read(const uint8_t *bytes, uint32_t count)
{
    static struct job_head head;
    static struct job_course course;
    static struct job_end end;
    static uint8_t packed[JOB_PACKED_BYTES];
    if (!job_unpack_head(bytes, count, &head)) {
        return;
    }
    if (head.running && job_unpack_course(bytes, count, &course)) {
        uint32_t n = job_pack_running(&head, &course, packed);
        demand(n > 0 && job_unpack_head(packed, n, &head) && job_unpack_course(packed, n, &course));
    } else if (!head.running && job_unpack_end(bytes, count, &topology, &end)) {
        uint32_t n = job_pack_ended(&head, &end.report, packed);
        demand(n > 0 && job_unpack_head(packed, n, &head));
    }
}

/* The input as it is, or laid over an honest job from a place that it chooses. */
static void job(struct input *in)
{
    uint32_t how = take(in), count = (uint32_t)in->left, at = 0;
    if (honest_bytes[0] == 0) {
        jobs_make();
    }
    if (how % 4 != 0) {
        at = take(in) << 8;
        at |= take(in);
        count = honest_bytes[how % 2];
    }
    uint8_t *own = calloc(1, count > 0 ? count : 1); /* its end is watched */
    demand(own != NULL);
    if (how % 4 != 0) {
        memcpy(own, honest[how % 2], count);
    }
    for (size_t i = 0; i < in->left && at + i < count; i++) {
        own[at + i] ^= in->at[i];
    }
    job_read(own, count);
    free(own);
}

/* A database that says what the input says: rows of as many columns as were asked for. */
static struct input table;

static enum sql_verdict table_run(struct sql *sql, const char *statement,
                                  const char *const *parameters, int count, sql_row row, void *ctx)
{
    static char memory[COLUMNS_ALL * 256];
    (void)sql;
    (void)statement;
    (void)parameters;
    (void)count;
    for (bool more = true; more && row != NULL && table.left > 0;) {
        const char *columns[COLUMNS_ALL];
        char *room = memory;
        uint32_t bytes;
        for (int i = 0; i < COLUMNS_ALL; i++) {
            columns[i] = take_text(&table, 200, &room, &bytes);
        }
        more = row(ctx, columns, COLUMNS_ALL);
    }
    return SQL_OK;
}

static void row_taken(void *ctx, const struct log_row *row)
{
    struct log_numbers numbers;
    struct store_field fields[LOG_FIELDS];
    struct store_row as_field;
    (void)ctx;
    log_row_fields(row, &numbers, fields, &as_field);
    demand(as_field.field_count <= LOG_FIELDS);
}

static void database(struct input *in)
{
    static const struct sql_kind kind = {.name = "input", .run = table_run, .integer = "bigint"};
    struct sql sql = {.kind = &kind};
    struct log_filter filter = {
        .until_us = INT64_MAX, .event = "", .subject = "", .agent = "", .type = "", .actor = ""};
    char finding[200] = "";
    struct sql_head head;
    uint64_t last = 0;
    uint32_t how = take(in);
    table = *in;
    if (how % 3 == 0) {
        (void)sql_table_query(&sql, "audit", &filter, how, 16, row_taken, NULL);
    } else if (how % 3 == 1) {
        (void)sql_table_verify(&sql, "audit", how / 3, 16, finding, sizeof(finding), &last);
    } else {
        (void)sql_table_head(&sql, "audit", &head);
    }
}

static void logged(struct input *in)
{
    static struct log_room room;
    static char memory[FIELDS_MOST * 128];
    struct store_field fields[FIELDS_MOST];
    struct log_row row;
    struct log_filter filter;
    char hash[LOG_HASH_TEXT], *at = memory;
    struct store_op op = {.kind = STORE_LOG_APPEND, .key = "audit", .shard = "mesh"};
    op.fields = fields;
    op.field_count = take(in) % FIELDS_MOST;
    op.id = "1";
    for (uint32_t i = 0; i < op.field_count; i++) {
        fields[i].name = take_word(in, names, sizeof(names) / sizeof(names[0]), &at);
        fields[i].value = take_text(in, STORE_FIELD_VALUE_MAX, &at, &fields[i].value_bytes);
    }
    op.body = in->at;
    op.body_bytes = (uint32_t)(in->left < STORE_LOG_BODY_MAX ? in->left : STORE_LOG_BODY_MAX);
    if (log_row_of(&op, &room, &row) == NULL) {
        row.prev = LOG_FIRST;
        row.seq = 1;
        log_row_hash("audit", &row, hash);
    }
    op.kind = STORE_LOG_QUERY;
    memset(&room, 0, sizeof(room));
    (void)log_filter_of(&op, &room, &filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (topology.agents == 0) {
        topology_default(24, &topology);
        topology.sectors = 2;
        topology.clusters_per_sector = 2;
        topology.agents_per_cluster = 6;
    }
    switch (take(&in) % 8) {
    case 0:
        job(&in);
        break;
    case 1:
        database(&in);
        break;
    case 2:
        logged(&in);
        break;
    case 3: {
        static char memory[512];
        char *room = memory;
        uint32_t bytes;
        (void)service_is_asked("mesh-cluster", "cluster-1", take_text(&in, 255, &room, &bytes));
        break;
    }
    case 4:
    case 5:
        node(&in, &cluster_ops, unit_cluster(1, 1));
        break;
    default:
        node(&in, &orchestrator_ops, unit_orchestrator());
        break;
    }
    return 0;
}
