/* From one process's egress to another's ingress, with real keys in memory: merging, operations,
 * large frames, and every refusal of a record. */
#include "tiers/runner/ingress.h"

#include "core/node.h"
#include "tests/support/identities.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct side {
    struct identity id;
    struct peers *peers;
    struct directory directory;
    struct opcache *opcache;
    struct egress *egress;
    struct ingress *ingress;
};

static struct key_pair issuer;
static struct topology topology;
static struct codec codec = {.topology = &topology};
static struct side lead, host;
static uint32_t frames_sent, arrived;
static int64_t sent_us;
static struct msg last;
static char last_action[ACTION_MAX];
static uint8_t last_answer[ANSWER_BYTES_MAX];
static uint32_t last_answer_bytes;

static bool publish(void *ctx, const struct route *route, const uint8_t *bytes, size_t length)
{
    struct bus_frame frame = {
        .bytes = bytes, .length = length, .route = *route, .recv_us = clock_boot_us()};
    frames_sent++;
    ingress_frame(ctx == &lead ? host.ingress : lead.ingress, &frame);
    return true;
}

static void on_msg(void *ctx, const struct msg *msg)
{
    (void)ctx;
    arrived++;
    last = *msg;
    sent_us = msg->sent_us;
    if (msg->type == MSG_ACK) {
        last_answer_bytes = msg->u.ack.answer_bytes;
        memcpy(last_answer, last_answer_bytes > 0 ? msg->u.ack.answer : (const uint8_t *)"",
               last_answer_bytes);
    }
    if (msg->type == MSG_OPERATE) {
        assert_non_null(msg->u.operate.operation);
        memcpy(last_action, msg->u.operate.operation->action, ACTION_MAX);
    }
}

static void side_make(struct side *s, const char *token, uint16_t roles, struct unit_range scope)
{
    memset(s, 0, sizeof(*s));
    identity_make(&issuer, token, roles, &scope, 1, &s->id);
    struct peers_config peers = {
        .identity = &s->id, .port_count = 4, .start_ms = clock_unix_us() / 1000 - 1000};
    struct opcache_conf ops = {.codec = &codec, .identity = &s->id};
    s->peers = peers_new(&peers);
    s->opcache = opcache_new(&ops);
    assert_true(directory_init(&s->directory, &topology));
    struct egress_conf out = {.identity = &s->id,
                              .peers = s->peers,
                              .directory = &s->directory,
                              .codec = &codec,
                              .opcache = s->opcache,
                              .publish = publish,
                              .ctx = s};
    s->egress = egress_new(&out);
    struct ingress_conf in = {.token = s->id.cert.subject.token,
                              .peers = s->peers,
                              .directory = &s->directory,
                              .codec = &codec,
                              .opcache = s->opcache,
                              .egress = s->egress,
                              .on_msg = on_msg,
                              .ctx = s};
    s->ingress = ingress_new(&in);
    assert_non_null(s->ingress);
}

static void side_free(struct side *s)
{
    ingress_free(s->ingress);
    egress_free(s->egress);
    opcache_free(s->opcache);
    peers_free(s->peers);
    directory_done(&s->directory);
}

static int setup(void **state)
{
    (void)state;
    topology_default(24, &topology);
    topology.sectors = 2;
    topology.clusters_per_sector = 2;
    topology.agents_per_cluster = 6;
    key_pair_make(&issuer);
    side_make(&lead, "lead", ROLE_CLUSTER,
              (struct unit_range){unit_cluster(1, 1), unit_cluster(1, 2)});
    side_make(&host, "host", ROLE_HOST,
              (struct unit_range){unit_agent(1, 1, 1), unit_agent(1, 2, 6)});
    frames_sent = arrived = 0;
    memset(&last, 0, sizeof(last));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    side_free(&lead);
    side_free(&host);
    return 0;
}

static uint32_t to(struct side *from, const char *token, uint16_t port)
{
    struct endpoint e;
    assert_true(endpoint_make(token, strlen(token), port, &e));
    return directory_endpoint(&from->directory, &e);
}

static struct msg cancel(unsigned sector, unsigned cluster, uint64_t epoch)
{
    return (struct msg){.type = MSG_CANCEL,
                        .from = unit_cluster(sector, cluster),
                        .to = unit_agent(sector, cluster, 1),
                        .mask = 0x3,
                        .epoch = epoch,
                        .u.cancel.operation_id.bytes = {1}};
}

static void many_messages_are_one_frame(void **state)
{
    (void)state;
    struct msg msg = cancel(1, 1, 5);
    int64_t before_us = clock_boot_us();
    for (int i = 0; i < 20; i++) {
        assert_true(egress_msg(lead.egress, 0, to(&lead, "host", 0), &msg, 1000000));
    }
    assert_int_equal(frames_sent, 0);
    egress_flush(lead.egress);
    assert_int_equal(frames_sent, 1);
    assert_int_equal(arrived, 20);
    assert_int_equal(last.mask, 0x3);
    assert_true(sent_us >= before_us + 1000000 && sent_us <= clock_boot_us() + 1000000);
    assert_true(last.recv_us >= before_us);
    egress_flush(lead.egress);
    assert_int_equal(frames_sent, 1); /* nothing more to say */
    /* The host has learned where the lead is, and answers. */
    const struct directory_entry *e = directory_find(&host.directory, unit_cluster(1, 1));
    assert_non_null(e);
    struct msg bye = {
        .type = MSG_GOODBYE, .from = unit_agent(1, 1, 1), .to = unit_cluster(1, 1), .epoch = 1};
    assert_true(egress_msg(host.egress, 0, e->endpoint, &bye, 0));
    egress_flush(host.egress);
    assert_int_equal(last.type, MSG_GOODBYE);
}

static void beats_wait_for_company(void **state)
{
    (void)state;
    const struct beat nothing_new = {.has_summary = false};
    struct msg beat = {.type = MSG_BEAT,
                       .from = unit_cluster(1, 1),
                       .to = unit_sector(1),
                       .epoch = 5,
                       .u.beat = &nothing_new};
    struct msg urgent = cancel(1, 1, 5);
    uint32_t at = to(&lead, "host", 0), other = to(&lead, "host", 1);
    assert_int_equal(egress_next_us(lead.egress), INT64_MAX);
    int64_t before_us = clock_boot_us();
    assert_true(egress_msg(lead.egress, 0, at, &beat, 0));
    egress_flush(lead.egress);
    assert_int_equal(frames_sent, 0);
    int64_t due_us = egress_next_us(lead.egress);
    assert_true(due_us > before_us + EGRESS_BEAT_US - EGRESS_TICK_US);
    assert_int_equal(due_us % EGRESS_TICK_US, 0);
    assert_true(due_us <= clock_boot_us() + EGRESS_BEAT_US);
    /* Not taken along to another port, but to its own; and its note is void then. */
    assert_true(egress_msg(lead.egress, 0, other, &urgent, 0));
    egress_flush(lead.egress);
    assert_int_equal(frames_sent, 1);
    assert_true(egress_msg(lead.egress, 0, at, &urgent, 0));
    egress_flush(lead.egress);
    assert_int_equal(frames_sent, 2);
    assert_int_equal(arrived, 3);
    assert_int_equal(ingress_stats(host.ingress)->records, 3);
    egress_flush_all(lead.egress);
    assert_int_equal(frames_sent, 2);
    assert_int_equal(egress_next_us(lead.egress), INT64_MAX);
    /* Alone it leaves when its time has come. */
    assert_true(egress_msg(lead.egress, 0, at, &beat, 0));
    due_us = egress_next_us(lead.egress);
    while (frames_sent == 2) {
        egress_flush(lead.egress);
    }
    assert_true(clock_boot_us() >= due_us);
    assert_int_equal(frames_sent, 3);
}

/* Beats to different places, a moment apart: nothing leaves before the tick, and then both do. */
static void what_waits_leaves_together(void **state)
{
    (void)state;
    const struct beat nothing_new = {.has_summary = false};
    struct msg beat = {.type = MSG_BEAT,
                       .from = unit_cluster(1, 1),
                       .to = unit_sector(1),
                       .epoch = 5,
                       .u.beat = &nothing_new};
    uint32_t at = to(&lead, "host", 0), other = to(&lead, "host", 1);
    int64_t tick_us = clock_boot_us() / EGRESS_TICK_US;
    while (clock_boot_us() / EGRESS_TICK_US == tick_us) { /* the beginning of a tick */
    }
    assert_true(egress_msg(lead.egress, 0, at, &beat, 0));
    int64_t due_us = egress_next_us(lead.egress);
    int64_t later_us = clock_boot_us() + EGRESS_TICK_US / 10;
    while (clock_boot_us() < later_us) {
    }
    assert_true(egress_msg(lead.egress, 0, other, &beat, 0));
    bool same_tick = clock_boot_us() / EGRESS_TICK_US == tick_us + 1; /* a busy machine may miss */
    for (int64_t now_us = later_us; now_us < due_us; now_us = clock_boot_us()) {
        uint32_t before = frames_sent;
        egress_flush(lead.egress);
        assert_true(before == frames_sent || clock_boot_us() >= due_us);
    }
    egress_flush(lead.egress);
    assert_true(!same_tick || frames_sent == 2);
}

static void agents_words_wait_unless_urgent(void **state)
{
    (void)state;
    struct msg word = {.type = MSG_RELAY_ACK, .from = unit_agent(1, 1, 1), .epoch = 1};
    word.to = unit_cluster(1, 1);
    word.u.relay_ack =
        (struct relay_ack){.target = unit_agent(1, 1, 1), .outcome = OUTCOME_READY, .reached = 1};
    word.u.relay_ack.message_id.bytes[3] = 7;
    uint32_t at = to(&host, "lead", 0);
    int64_t before_us = clock_boot_us();
    assert_true(egress_msg(host.egress, 0, at, &word, 0));
    assert_true(egress_next_us(host.egress) > before_us + EGRESS_ACK_US - EGRESS_TICK_US);
    egress_flush(host.egress);
    assert_int_equal(frames_sent, 0);
    word.priority = EGRESS_URGENT;
    assert_true(egress_msg(host.egress, 0, at, &word, 0));
    egress_flush(host.egress);
    assert_int_equal(frames_sent, 1);
    assert_int_equal(arrived, 2);
}

/* When a message that is sent now leaves: at a tick, at most `most_us` from now. */
static void waits_at_most(struct egress *e, uint32_t at, const struct msg *msg, int64_t most_us)
{
    int64_t before_us = clock_boot_us();
    assert_true(egress_msg(e, 0, at, msg, 0));
    assert_true(egress_next_us(e) > before_us + most_us - EGRESS_TICK_US);
    assert_true(egress_next_us(e) <= clock_boot_us() + most_us);
    egress_flush_all(e);
}

static void messages_wait_longest_on_their_way_up(void **state)
{
    (void)state;
    struct operation op = {.source = unit_agent(1, 1, 1),
                           .routing = ROUTING_DIRECT,
                           .verb = VERB_ACT,
                           .created_mesh_us = clock_unix_us(),
                           .ttl_us = US_PER_S,
                           .action = "echo"};
    op.id.bytes[3] = 9;
    struct msg up = {.type = MSG_RELAY,
                     .from = unit_agent(1, 1, 1),
                     .to = unit_cluster(1, 1),
                     .priority = 1,
                     .epoch = 1,
                     .u.relay = {.operation = &op}};
    struct msg down = up;
    down.from = unit_cluster(1, 1);
    down.to = unit_agent(1, 1, 1);
    down.epoch = 5;
    waits_at_most(host.egress, to(&host, "lead", 0), &up, EGRESS_UP_US);
    waits_at_most(lead.egress, to(&lead, "host", 0), &down, EGRESS_ON_US);
    assert_int_equal(frames_sent, 2);
    up.priority = EGRESS_URGENT;
    assert_true(egress_msg(host.egress, 0, to(&host, "lead", 0), &up, 0));
    egress_flush(host.egress);
    assert_int_equal(frames_sent, 3);
}

static void full_frames_are_followed_by_others(void **state)
{
    (void)state;
    struct msg msg = cancel(1, 1, 5);
    for (int i = 0; i < 3000; i++) {
        assert_true(egress_msg(lead.egress, 0, to(&lead, "host", 0), &msg, 0));
    }
    egress_flush(lead.egress);
    assert_true(frames_sent >= 3 && frames_sent <= 8);
    assert_int_equal(arrived, 3000);
}

static void speakers_are_checked(void **state)
{
    (void)state;
    struct msg msg = cancel(2, 1, 5); /* not in the lead's certificate */
    uint32_t at = to(&lead, "host", 0);
    assert_true(egress_msg(lead.egress, 0, at, &msg, 0));
    egress_flush(lead.egress);
    assert_int_equal(ingress_stats(host.ingress)->refusals[INGRESS_SCOPE], 1);
    msg = cancel(1, 1, 5);
    msg.type = MSG_GOODBYE; /* a lead does not say goodbye to an agent */
    assert_true(egress_msg(lead.egress, 0, at, &msg, 0));
    egress_flush(lead.egress);
    assert_int_equal(ingress_stats(host.ingress)->refusals[INGRESS_ROUTE], 1);
    msg = cancel(1, 1, 9);
    assert_true(egress_msg(lead.egress, 0, at, &msg, 0));
    egress_flush(lead.egress);
    assert_int_equal(arrived, 1);
    msg = cancel(1, 1, 8); /* a lower epoch than known */
    assert_true(egress_msg(lead.egress, 0, at, &msg, 0));
    egress_flush(lead.egress);
    assert_int_equal(ingress_stats(host.ingress)->refusals[INGRESS_EPOCH], 1);
    assert_int_equal(arrived, 1);
}

static void hostile_records_are_counted(void **state)
{
    (void)state;
    uint8_t bytes[300];
    uint32_t at = to(&lead, "host", 0);
    srand(2);
    for (int i = 0; i < 3000; i++) {
        size_t length = 1 + (size_t)rand() % sizeof(bytes);
        for (size_t k = 0; k < length; k++) {
            bytes[k] = (uint8_t)rand();
        }
        bytes[0] = (uint8_t)(RECORD_SPECIAL + (unsigned)rand() % 4u);
        assert_true(egress_record(lead.egress, 0, at, bytes, length));
        egress_flush(lead.egress);
    }
    const struct ingress_stats *s = ingress_stats(host.ingress);
    assert_int_equal(s->frames, 3000);
    assert_int_equal(arrived, 0);
    assert_true(s->refusals[INGRESS_KIND] > 1000 && s->refusals[INGRESS_OPERATION] > 300);
}

static void operations_need_an_author(void **state)
{
    (void)state;
    struct operation op = {.source = unit_orchestrator(),
                           .routing = ROUTING_SCATTER_GATHER,
                           .verb = VERB_ACT,
                           .trinary_expectation = 1,
                           .created_mesh_us = clock_unix_us(),
                           .ttl_us = 30 * US_PER_S,
                           .timeout_us = US_PER_S,
                           .window_us = 500000,
                           .minimum_response_rate = 0.95,
                           .action = "echo"};
    struct target target = {.quota = UINT32_MAX};
    struct msg msg = cancel(1, 1, 5);
    op.id.bytes[15] = 3;
    op.correlation_id = op.id;
    msg.type = MSG_OPERATE;
    msg.mask = 0;
    msg.u.operate = (struct operate){
        .operation_id = op.id, .deadline_mesh_us = 5, .target_count = 1, .targets = &target};
    uint32_t at = to(&lead, "host", 0);
    assert_false(egress_msg(lead.egress, 0, at, &msg, 0)); /* not in the cache */
    assert_int_equal(egress_stats(lead.egress)->dropped_operation, 1);
    /* Sealed by one who is no orchestrator: the frame is good, the operation is not. */
    assert_int_equal(
        opcache_seal(lead.opcache, &op, &egress_signer(lead.egress, 0)->key, clock_unix_us()),
        OPCACHE_OK);
    assert_true(egress_msg(lead.egress, 0, at, &msg, 0));
    egress_flush(lead.egress);
    assert_int_equal(ingress_stats(host.ingress)->refusals[INGRESS_OPERATION], 1);
    assert_int_equal(ingress_stats(host.ingress)->refusals[INGRESS_UNCACHED], 1);
    /* Sealed by an orchestrator and passed on by the lead: it rides once for two records. */
    struct identity root;
    struct frame_signer signer;
    const struct unit_range all = {unit_orchestrator(), unit_orchestrator()};
    memset(&signer, 0, sizeof(signer));
    identity_make(&issuer, "root", ROLE_ORCHESTRATOR, &all, 1, &root);
    assert_int_equal(frame_signer_start(&signer, &root, 0, NULL, 0, clock_unix_us() / 1000),
                     CERT_OK);
    struct opcache_conf conf = {.codec = &codec, .identity = &root};
    struct opcache *author = opcache_new(&conf);
    static uint8_t arena_bytes[CODEC_ARENA_BYTES] __attribute__((aligned(16)));
    struct arena arena;
    arena_init(&arena, arena_bytes, sizeof(arena_bytes));
    op.id.bytes[15] = 4;
    assert_int_equal(opcache_seal(author, &op, &signer.key, clock_unix_us()), OPCACHE_OK);
    const struct opcache_entry *e = opcache_get(author, op.id);
    assert_int_equal(
        opcache_accept(lead.opcache, e->sealed, e->sealed_bytes, clock_unix_us(), &arena),
        OPCACHE_OK);
    opcache_free(author);
    msg.u.operate.operation_id = op.id;
    uint64_t rode = egress_stats(lead.egress)->operations;
    assert_true(egress_msg(lead.egress, 0, at, &msg, 0));
    assert_true(egress_msg(lead.egress, 0, at, &msg, 0));
    egress_flush(lead.egress);
    assert_int_equal(egress_stats(lead.egress)->operations, rode + 1);
    assert_int_equal(arrived, 2);
    assert_string_equal(last_action, "echo");
}

static struct msg ready(unsigned agent)
{
    struct msg m = {.type = MSG_ACK,
                    .priority = 2,
                    .from = unit_agent(1, 1, agent),
                    .to = unit_cluster(1, 1),
                    .epoch = 7};
    m.u.ack = (struct ack){.operation_id.bytes = {9},
                           .outcome = OUTCOME_READY,
                           .seq = 10 + agent,
                           .received_mesh_us = 5000 + agent};
    return m;
}

static void acks_that_say_the_same_are_one_record(void **state)
{
    (void)state;
    uint32_t at = to(&host, "lead", 0);
    int64_t before_us = clock_boot_us();
    for (unsigned agent = 1; agent <= 6; agent++) {
        struct msg m = ready(agent);
        assert_true(egress_msg(host.egress, 0, at, &m, 1000000 * agent));
    }
    egress_flush(host.egress);
    assert_int_equal(frames_sent, 1);
    assert_int_equal(arrived, 6);
    assert_int_equal(ingress_stats(lead.ingress)->records, 1);
    assert_int_equal(ingress_stats(lead.ingress)->grouped, 6);
    assert_int_equal(egress_stats(host.egress)->grouped, 5);
    assert_int_equal(last.from.agent, 6);
    assert_int_equal(last.u.ack.seq, 16);
    assert_int_equal(last.u.ack.received_mesh_us, 5006);
    assert_int_equal(last.epoch, 7);
    assert_true(last.recv_us >= before_us);
    /* Each on its own clock. */
    assert_true(sent_us >= before_us + 6000000 && sent_us <= clock_boot_us() + 6000000);
}

/* PENDING and READY of one agent, other words, an answer of its own, something between. */
static void acks_keep_their_order(void **state)
{
    (void)state;
    const uint8_t yes[] = "yes", no[] = "no!";
    uint32_t at = to(&host, "lead", 0);
    struct msg m[9];
    for (unsigned i = 0; i < 9; i++) {
        m[i] = ready(1 + i % 6);
    }
    m[0].u.ack.outcome = m[1].u.ack.outcome = OUTCOME_PENDING;
    for (unsigned i = 3; i <= 6; i++) {
        m[i].u.ack.answer = i == 6 ? no : yes;
        m[i].u.ack.answer_bytes = 3;
    }
    m[7] = (struct msg){.type = MSG_GOODBYE, .from = m[7].from, .to = m[7].to, .epoch = 7};
    m[8] = ready(1);
    for (unsigned i = 0; i < 9; i++) {
        assert_true(egress_msg(host.egress, 0, at, &m[i], 0));
        assert_true(egress_msg(host.egress, 0, at, &m[i], 0)); /* the same agent again: alone */
    }
    egress_flush(host.egress);
    assert_int_equal(frames_sent, 1);
    assert_int_equal(arrived, 18);
    assert_int_equal(ingress_stats(lead.ingress)->refusals[INGRESS_BODY], 0);
    assert_int_equal(last.type, MSG_ACK);
    assert_int_equal(last.from.agent, 1);
    /* Two by two the others joined: yes of 4, 5 and 6. */
    assert_int_equal(egress_stats(host.egress)->grouped, ingress_stats(lead.ingress)->grouped / 2);
    uint64_t grouped = ingress_stats(lead.ingress)->grouped;
    assert_true(grouped > 0);
    /* A shared answer is everybody's. */
    for (unsigned i = 3; i <= 5; i++) {
        assert_true(egress_msg(host.egress, 0, at, &m[i], 0));
    }
    egress_flush(host.egress);
    assert_int_equal(ingress_stats(lead.ingress)->grouped, grouped + 3);
    assert_int_equal(last.from.agent, 6);
    assert_int_equal(last_answer_bytes, 3);
    assert_memory_equal(last_answer, yes, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    if (keys_start() < 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        TEST(many_messages_are_one_frame),
        TEST(beats_wait_for_company),
        TEST(what_waits_leaves_together),
        TEST(agents_words_wait_unless_urgent),
        TEST(messages_wait_longest_on_their_way_up),
        TEST(full_frames_are_followed_by_others),
        TEST(speakers_are_checked),
        TEST(hostile_records_are_counted),
        TEST(acks_that_say_the_same_are_one_record),
        TEST(acks_keep_their_order),
        TEST(operations_need_an_author),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
