/* A console's connection against a real nats-server of its own on a free loopback port, and a
 * stand-in for the orchestrator that answers as the test wants it: what is missing is said, a
 * server that comes late or goes is lived through, and only the answers to the last command count.
 */
#include "tiers/runner/client.h"

#include "tiers/runner/bus.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/ingress.h"
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/trustfiles.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GUARD_MS 30000

/* The orchestrator, or who says so. */
struct stub {
    struct identity id;
    struct codec codec;
    struct directory directory;
    struct peers *peers;
    struct egress *egress;
    struct ingress *ingress;
    struct bus *bus;
    bool up, closed;
    uint32_t commands;
    uint64_t ref;
    enum command_kind kind;
    struct unit console;
};

static uv_loop_t loop;
static uv_timer_t guard;
static bool timed_out;
static int port;
static pid_t server;
static char dir[64], keys[80], file[80];
static struct config config;
static struct stub stub;
static struct client *client;
static struct client *closing[40];
static struct {
    uint32_t count, finals;
    uint64_t ref;
    enum reply_kind kind;
    char text[64];
    uint32_t ups, downs;
    char why[200];
} heard;

/* ---- the server ---- */

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

static bool server_listens(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
    (void)close(fd);
    return rc == 0;
}

static void server_start(void)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", port);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(open("/dev/null", O_WRONLY), 2);
        (void)execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", text, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000; i++) {
        if (server_listens()) {
            return;
        }
        if (waitpid(server, NULL, WNOHANG) == server) {
            server = 0;
            fail_msg("nats-server did not start: install the package nats-server");
        }
        (void)usleep(10000);
    }
    fail_msg("nats-server does not listen on 127.0.0.1:%d", port);
}

static void server_kill(void)
{
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
        server = 0;
    }
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    timed_out = true;
}

/* Turns the loop until the condition holds; fails the test after GUARD_MS. */
#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        timed_out = false;                                                                         \
        assert_int_equal(uv_timer_start(&guard, on_guard, GUARD_MS, 0), 0);                        \
        while (!(condition) && !timed_out)                                                         \
            (void)uv_run(&loop, UV_RUN_ONCE);                                                      \
        (void)uv_timer_stop(&guard);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

/* ---- keys and configuration ---- */

static void issue(const char *name, const char *roles, const char *scope)
{
    struct keys_request request = {
        .name = name, .capabilities = UINT64_MAX, .life_s = CERT_PROCESS_LIFE_S};
    struct keys_error why;
    const char *bad;
    assert_true(roles_parse(roles, &request.roles));
    assert_true(scope_parse(scope, request.roles, request.scope, &request.scope_count, &bad));
    assert_int_equal(keys_issue(keys, &request, clock_unix_us() / US_PER_S, &why), 0);
}

static void write_config(const char *more)
{
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    (void)fprintf(
        out,
        "[mesh]\nagents = 24\nsectors = 2\nclusters_per_sector = 2\n"
        "agents_per_cluster = 6\ninsecure = true\nnats_url = nats://127.0.0.1:%d\nkeys_dir = %s\n"
        "[process orchestrator]\nrole = orchestrator\n"
        "[process sector-1]\nrole = sector\nunits = s01\n%s",
        port, keys, more);
    assert_int_equal(fclose(out), 0);
    struct config_options options = {.file = file};
    struct config_error error;
    config_done(&config);
    memset(&config, 0, sizeof(config));
    if (!config_load(&options, 0, NULL, &config, &error)) {
        fail_msg("%s", error.text);
    }
}

/* ---- the stand-in ---- */

static bool on_publish(void *ctx, const struct route *route, const uint8_t *bytes, size_t length)
{
    struct stub *s = ctx;
    return bus_publish(s->bus, route, bytes, length) == BUS_OK;
}

static void on_msg(void *ctx, const struct msg *msg)
{
    struct stub *s = ctx;
    assert_int_equal(msg->type, MSG_COMMAND);
    s->commands++;
    s->ref = msg->u.command->ref;
    s->kind = msg->u.command->kind;
    s->console = msg->from;
}

static void on_frame(void *ctx, struct bus_frame *frame)
{
    struct stub *s = ctx;
    ingress_frame(s->ingress, frame);
    egress_flush(s->egress);
}

static void on_stub_link(void *ctx, bool up, const char *why)
{
    struct stub *s = ctx;
    (void)why;
    s->up = up;
}

static void on_stub_closed(void *ctx)
{
    struct stub *s = ctx;
    s->closed = true;
}

static void stub_open(struct stub *s, const char *token)
{
    struct keys_error error;
    struct unit twice;
    memset(s, 0, sizeof(*s));
    s->codec.topology = &config.topology;
    assert_int_equal(identity_load(keys, token, &s->id, &error), 0);
    struct peers_config peers = {
        .identity = &s->id, .port_count = 1, .start_ms = clock_unix_us() / 1000 - 1000};
    s->peers = peers_new(&peers);
    assert_true(directory_init(&s->directory, &config.topology));
    assert_true(directory_bootstrap(&s->directory, &config, &twice));
    struct egress_conf out = {.identity = &s->id,
                              .peers = s->peers,
                              .directory = &s->directory,
                              .codec = &s->codec,
                              .publish = on_publish,
                              .ctx = s};
    s->egress = egress_new(&out);
    struct ingress_conf in = {.token = token,
                              .peers = s->peers,
                              .directory = &s->directory,
                              .codec = &s->codec,
                              .egress = s->egress,
                              .on_msg = on_msg,
                              .ctx = s};
    s->ingress = ingress_new(&in);
    assert_non_null(s->ingress);
    struct bus_config bus = {.loop = &loop,
                             .url = config.nats_url,
                             .token = token,
                             .on_frame = on_frame,
                             .on_link = on_stub_link,
                             .ctx = s};
    assert_int_equal(bus_new(&bus, &s->bus), 0);
}

static void stub_close(struct stub *s)
{
    if (s->bus == NULL) {
        return;
    }
    bus_close(s->bus, on_stub_closed, s);
    RUN_UNTIL(s->closed);
    ingress_free(s->ingress);
    egress_free(s->egress);
    peers_free(s->peers);
    directory_done(&s->directory);
    identity_done(&s->id);
    s->bus = NULL;
}

/* One answer, to the console that asked or to its neighbour (to_shift 1) at the same endpoint. */
static void reply_as(struct stub *s, struct unit from, uint32_t to_shift, uint64_t ref,
                     const char *text)
{
    struct reply reply = {
        .ref = ref, .kind = REPLY_ERROR, .final = true, .reason = REASON_INVALID, .text = text};
    struct msg msg = {.type = MSG_REPLY,
                      .priority = 2,
                      .from = from,
                      .to = unit_numbered(TIER_CONSOLE, unit_number(s->console) + to_shift),
                      .epoch = 9,
                      .u.reply = &reply};
    const struct directory_entry *e = directory_find(&s->directory, s->console);
    assert_non_null(e);
    assert_true(egress_msg(s->egress, 0, e->endpoint, &msg, 0));
    egress_flush(s->egress);
    bus_flush(s->bus);
}

static void reply(uint64_t ref, const char *text)
{
    reply_as(&stub, unit_orchestrator(), 0, ref, text);
}

/* ---- the console ---- */

static void on_reply(void *ctx, const struct reply *r)
{
    assert_ptr_equal(ctx, &heard);
    heard.count++;
    heard.finals += r->final;
    heard.ref = r->ref;
    heard.kind = r->kind;
    (void)snprintf(heard.text, sizeof(heard.text), "%s", r->text != NULL ? r->text : "");
}

static void on_link(void *ctx, bool up, const char *why)
{
    assert_ptr_equal(ctx, &heard);
    *(up ? &heard.ups : &heard.downs) += 1;
    (void)snprintf(heard.why, sizeof(heard.why), "%s", why);
}

static void open_client(void)
{
    char why[512] = "";
    if (!client_new(&loop, &config, &client, why, sizeof(why))) {
        fail_msg("%s", why);
    }
    client_on_link(client, on_link, &heard);
}

static void close_client(void)
{
    client_close(client);
    stub_close(&stub);
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* until nothing is left */
    client_free(client);
    client = NULL;
    assert_int_equal(uv_timer_init(&loop, &guard), 0);
}

static int ask(uint64_t ref, struct unit to)
{
    struct command command = {.ref = ref, .kind = COMMAND_STATUS};
    return client_command(client, to, &command, on_reply, &heard);
}

static void both_up(void)
{
    stub_open(&stub, "orchestrator");
    RUN_UNTIL(stub.up);
    open_client();
    RUN_UNTIL(client_is_up(client));
}

/* ---- tests ---- */

static void refused(const char *const parts[3])
{
    char why[512] = "";
    assert_false(client_new(&loop, &config, &client, why, sizeof(why)));
    assert_null(client); /* untouched on failure */
    for (int i = 0; i < 3 && parts[i] != NULL; i++) {
        if (strstr(why, parts[i]) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", why, parts[i]);
        }
    }
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    char path[128], other[128], text[256];
    (void)snprintf(path, sizeof(path), "%s/operator.key", keys);
    (void)snprintf(other, sizeof(other), "%s/elsewhere", keys);
    assert_int_equal(rename(path, other), 0);
    refused((const char *const[]){"operator.key", "cannot open", "No such file"});
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(chmod(path, 0644), 0);
    refused((const char *const[]){"operator.key", "others may use", "chmod 600"});
    assert_int_equal(chmod(path, 0600), 0);
    (void)snprintf(path, sizeof(path), "%s/operator.cert", keys);
    assert_int_equal(rename(path, other), 0);
    refused((const char *const[]){"operator.cert", "cannot open", NULL});
    assert_int_equal(rename(other, path), 0);
    (void)snprintf(text, sizeof(text), "%s/none", dir);
    (void)snprintf(config.keys_dir, sizeof(config.keys_dir), "%s", text);
    refused((const char *const[]){text, "issuer.pub", "cannot open"});
    (void)snprintf(config.keys_dir, sizeof(config.keys_dir), "%s", keys);
    write_config("[process sector-2]\nrole = sector\nunits = s[01-02]\n");
    refused((const char *const[]){"two processes own", "s01", file});
}

/* An address that can lead nowhere is told by the first attempt. */
static void an_address_that_is_none(void **state)
{
    (void)state;
    (void)snprintf(config.nats_url, sizeof(config.nats_url), "nats://127.0.0.1:no-port");
    open_client();
    RUN_UNTIL(heard.downs == 1);
    assert_true(strlen(client_why(client)) > 0);
    close_client();
}

static void a_key_that_is_no_operators(void **state)
{
    (void)state;
    issue("operator", "sector", "s02");
    refused((const char *const[]){"operator.cert", "no console's", "mesh-keys issue"});
    issue("operator", "console", "console32768-console70000"); /* beyond all ports */
    refused((const char *const[]){"operator.cert", "no console's", NULL});
}

/* A certificate for some numbers only: one of these is taken. */
static void a_key_for_some_consoles(void **state)
{
    (void)state;
    bool taken[20] = {false};
    issue("operator", "console", "console7,console11-console12,console40000");
    stub_open(&stub, "orchestrator");
    RUN_UNTIL(stub.up);
    for (uint32_t i = 1; i <= 40; i++) {
        char why[512];
        struct client *c;
        uint32_t before = stub.commands;
        struct command command = {.ref = i, .kind = COMMAND_STATUS};
        assert_true(client_new(&loop, &config, &c, why, sizeof(why)));
        assert_int_equal(client_command(c, unit_orchestrator(), &command, on_reply, &heard), 0);
        RUN_UNTIL(stub.commands == before + 1);
        assert_in_range(unit_number(stub.console), 7, 12);
        taken[unit_number(stub.console)] = true;
        client_close(c);
        closing[i - 1] = c;
    }
    stub_close(&stub);
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    for (uint32_t i = 0; i < 40; i++) {
        client_free(closing[i]);
    }
    assert_int_equal(uv_timer_init(&loop, &guard), 0);
    assert_true(taken[7] && taken[11] && taken[12]);
    assert_false(taken[8] || taken[9] || taken[10]);
}

static void a_server_that_comes_late(void **state)
{
    (void)state;
    server_kill();
    open_client();
    assert_false(client_is_up(client));
    assert_non_null(strstr(client_why(client), config.nats_url));
    RUN_UNTIL(heard.downs == 1);
    assert_true(strlen(heard.why) > 0);
    assert_string_equal(client_why(client), heard.why);
    server_start();
    RUN_UNTIL(client_is_up(client));
    assert_int_equal(heard.ups, 1);
    assert_string_equal(client_why(client), "connected");
    server_kill();
    RUN_UNTIL(heard.downs == 2);
    assert_false(client_is_up(client));
    assert_string_not_equal(client_why(client), "connected");
    server_start();
    RUN_UNTIL(heard.ups == 2);
    close_client();
}

/* A command is taken at once, and sent when there is a connection. */
static void a_command_waits_for_the_connection(void **state)
{
    (void)state;
    stub_open(&stub, "orchestrator");
    RUN_UNTIL(stub.up);
    open_client();
    assert_int_equal(ask(77, unit_orchestrator()), 0);
    assert_false(client_is_up(client));
    RUN_UNTIL(stub.commands == 1);
    assert_int_equal(stub.ref, 77);
    assert_int_equal(stub.kind, COMMAND_STATUS);
    assert_int_equal(stub.console.tier, TIER_CONSOLE);
    assert_in_range(unit_number(stub.console), 1, PORTS_MAX - 1);
    reply(77, "here");
    RUN_UNTIL(heard.count == 1);
    assert_int_equal(heard.kind, REPLY_ERROR);
    assert_string_equal(heard.text, "here");
    /* The server is restarted: the same session goes on. */
    server_kill();
    RUN_UNTIL(heard.downs == 1 && !stub.up);
    server_start();
    RUN_UNTIL(client_is_up(client) && stub.up);
    assert_int_equal(ask(78, unit_orchestrator()), 0);
    RUN_UNTIL(stub.commands == 2);
    reply(78, "again");
    RUN_UNTIL(heard.count == 2);
    assert_string_equal(heard.text, "again");
    close_client();
}

static void only_the_last_commands_replies_count(void **state)
{
    (void)state;
    both_up();
    assert_int_equal(ask(5, unit_orchestrator()), 0);
    RUN_UNTIL(stub.commands == 1);
    reply(4, "another's");
    reply(6, "another's");
    reply(0, "nobody's");
    reply_as(&stub, unit_orchestrator(), 1, 5, "to another console");
    reply(5, "mine"); /* in order: what came before was heard and dropped */
    RUN_UNTIL(heard.count == 1);
    assert_int_equal(heard.ref, 5);
    assert_string_equal(heard.text, "mine");
    assert_int_equal(ask(6, unit_orchestrator()), 0);
    RUN_UNTIL(stub.commands == 2);
    reply(5, "late");
    reply(6, "one");
    reply(6, "two"); /* as many as come */
    RUN_UNTIL(heard.count == 3);
    assert_int_equal(heard.ref, 6);
    assert_string_equal(heard.text, "two");
    close_client();
}

static void what_is_forgotten_is_not_heard(void **state)
{
    (void)state;
    both_up();
    client_forget(client); /* nothing to forget */
    assert_int_equal(ask(5, unit_orchestrator()), 0);
    RUN_UNTIL(stub.commands == 1);
    client_forget(client);
    reply(5, "too late");
    assert_int_equal(ask(6, unit_orchestrator()), 0);
    RUN_UNTIL(stub.commands == 2);
    reply(5, "too late");
    reply(6, "mine");
    RUN_UNTIL(heard.count == 1);
    assert_string_equal(heard.text, "mine");
    close_client();
}

/* A sector may answer a console; it may not answer as the orchestrator. */
static void nobody_speaks_for_another(void **state)
{
    (void)state;
    static struct stub sector;
    both_up();
    stub_open(&sector, "sector-1");
    RUN_UNTIL(sector.up);
    assert_int_equal(ask(1, unit_sector(1)), 0);
    RUN_UNTIL(sector.commands == 1);
    reply_as(&sector, unit_orchestrator(), 0, 1, "a lie");
    reply_as(&sector, unit_sector(2), 0, 1, "a lie");
    reply_as(&sector, unit_sector(1), 0, 1, "the truth");
    RUN_UNTIL(heard.count == 1);
    assert_string_equal(heard.text, "the truth");
    stub_close(&sector);
    close_client();
}

static void what_cannot_be_sent(void **state)
{
    (void)state;
    open_client();
    assert_int_equal(ask(1, unit_sector(2)), -ENOENT); /* nobody owns it */
    struct command command = {.ref = 2, .kind = COMMAND_SUBMIT};
    command.operation.routing = ROUTING_DIRECT;
    command.operation.verb = VERB_OBSERVE;
    (void)snprintf(command.operation.action, sizeof(command.operation.action), "echo");
    static uint8_t payload[PAYLOAD_BYTES_MAX + 1];
    command.operation.payload = payload;
    command.operation.payload_bytes = sizeof(payload);
    assert_int_equal(client_command(client, unit_orchestrator(), &command, on_reply, &heard),
                     -EMSGSIZE);
    close_client();
}

static void it_closes_at_any_moment(void **state)
{
    (void)state;
    open_client(); /* before the loop turned */
    close_client();
    for (int turns = 1; turns < 6; turns++) {
        open_client();
        assert_int_equal(ask(1, unit_orchestrator()), 0); /* never sent, or never answered */
        for (int i = 0; i < turns; i++) {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
        close_client();
    }
    both_up();
    assert_int_equal(ask(1, unit_orchestrator()), 0);
    RUN_UNTIL(stub.commands == 1);
    reply(1, "on its way");
    close_client();
    assert_int_equal(heard.count, 0);
    server_kill();
    open_client();
    RUN_UNTIL(heard.downs >= 1);
    close_client();
    client_free(NULL);
}

static int setup(void **state)
{
    struct keys_error why;
    bool made;
    uint64_t mesh;
    (void)state;
    memset(&heard, 0, sizeof(heard));
    memset(&stub, 0, sizeof(stub));
    (void)strcpy(dir, "/tmp/mesh-test-client-XXXXXX");
    if (keys_start() < 0 || mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(keys, sizeof(keys), "%s/keys", dir);
    (void)snprintf(file, sizeof(file), "%s/mesh.conf", dir);
    if (keys_init_issuer(keys, &made, &mesh, &why) < 0 || trust_init_roots(keys, &why) < 0) {
        return -1;
    }
    issue("operator", "console", "mesh");
    issue("orchestrator", "orchestrator", "mesh");
    issue("sector-1", "sector", "s01");
    port = free_port();
    write_config("");
    server_start();
    return uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &guard) != 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    if (client != NULL) { /* the test failed */
        close_client();
    }
    stub_close(&stub);
    server_kill();
    config_done(&config);
    memset(&config, 0, sizeof(config));
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command) != 0 || uv_loop_close(&loop) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_missing_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_that_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_no_operators, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_for_some_consoles, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_comes_late, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_waits_for_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_last_commands_replies_count, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_forgotten_is_not_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_speaks_for_another, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(it_closes_at_any_moment, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
