/* The store on Redis: which operation waits for which answer.
 *
 * Redis answers in the order of the requests, so each connection has a plain queue of calls and the
 * next answer belongs to the oldest. Calls live in one array that is made at the start, with a free
 * list: an operation costs one allocation (hiredis' formatted request, kept until the answer so
 * that it can be sent again when the server turns out to have lost its functions) and no search.
 *
 * Requests gather in the connection's buffer and are written once per turn of the loop, from a
 * prepare handle: thousands of operations become a few large writes. Refusals go through a ring and
 * an idle handle, so that a reply never comes from inside a submission.
 *
 * A connection is up after login, database, and a check of the functions' revision, all pipelined.
 * One timer sweeps: the oldest call too old means that the connection is dead, whatever TCP thinks.
 *
 * Bounds: in_flight_max calls, in_flight_bytes_max bytes of requests, REFUSALS_MAX refusals. */
#ifndef _GNU_SOURCE
#endif
#include "registry/redis.h"
#include "registry/keys.h"
#include "registry/redis_link.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSALS_MAX   4096u
#define OWN_CALLS_MAX  64u /* login, checks and pings, beside the operations */
#define SWEEPS_PER_OP  8   /* in one time-out */
#define FUNCTIONS_ROOM 32768u

enum call_role {
    CALL_OP,
    CALL_LOGIN,
    CALL_DATABASE,
    CALL_NAME,
    CALL_REVISION,
    CALL_LOAD,
    CALL_PING
};

struct call {
    struct call *next;
    void *tag;
    uint64_t ref;
    int64_t sent_us;
    char *request; /* operations only */
    uint32_t request_bytes;
    uint8_t kind;
    uint8_t role;
    bool sent_again;
};

struct refusal {
    void *tag;
    uint64_t ref;
    uint8_t kind;
    uint8_t verdict;
    const char *detail;
};

struct server {
    struct redis_store *store;
    const char *text; /* its URL, only to compare while the store is made */
    struct link link;
    unsigned banks; /* bit mask */
    bool up;        /* ready for operations */
    bool loading;   /* functions, after they were found missing */
    bool refused;   /* the login, by the last attempt */
    struct call *oldest, *newest;
    int64_t heard_us;
    char why[200]; /* last reported */
};

struct redis_store {
    uv_loop_t *loop;
    redis_store_reply_fn *on_reply;
    redis_store_link_fn *on_link;
    redis_store_closed_fn *on_closed;
    void *ctx;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t sweep;
    unsigned open; /* handles and servers not closed yet */
    bool closing;
    uint32_t in_flight_max;
    uint64_t in_flight_bytes_max;
    int64_t op_timeout_us, swept_us;
    char client_name[64];
    struct server servers[STORE_BANK_COUNT];
    unsigned server_count;
    struct server *of_bank[STORE_BANK_COUNT];
    struct call *calls, *free_calls;
    size_t calls_used, calls_max;          /* calls beyond calls_used were never used */
    struct refusal refusals[REFUSALS_MAX]; /* ring */
    uint32_t refusal_first, refusal_count;
    struct redis_scratch scratch;
    char denial[160];
    struct redis_store_stats stats;
};

static int64_t clock_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

const char *redis_store_url_problem(const char *url)
{
    assert(url);
    struct redis_url parsed;
    return redis_url_parse(url, &parsed);
}

/* Calls. */

static struct call *call_push(struct server *server, enum call_role role)
{
    struct redis_store *store = server->store;
    struct call *call = store->free_calls;
    if (call)
        store->free_calls = call->next;
    else if (store->calls_used < store->calls_max)
        call = &store->calls[store->calls_used++]; /* memory is touched as it is first needed */
    else
        return NULL;
    *call = (struct call){.role = (uint8_t)role, .sent_us = clock_us()};
    if (server->newest)
        server->newest->next = call;
    else
        server->oldest = call;
    server->newest = call;
    return call;
}

static struct call *call_pop(struct server *server)
{
    struct call *call = server->oldest;
    if (!call)
        return NULL;
    server->oldest = call->next;
    if (!server->oldest)
        server->newest = NULL;
    return call;
}

static void call_free(struct redis_store *store, struct call *call)
{
    if (call->role == CALL_OP) {
        assert(store->stats.in_flight > 0);
        assert(store->stats.in_flight_bytes >= call->request_bytes);
        store->stats.in_flight--;
        store->stats.in_flight_bytes -= call->request_bytes;
        redisFreeCommand(call->request);
    }
    call->next = store->free_calls;
    store->free_calls = call;
}

static void give(struct redis_store *store, void *tag, const struct store_reply *reply)
{
    if (store->closing)
        return;
    store->stats.replies++;
    store->stats.verdicts[reply->verdict]++;
    store->on_reply(store->ctx, tag, reply);
}

static void report(struct server *server, bool up, const char *why)
{
    struct redis_store *store = server->store;
    bool news = up || server->up || strcmp(server->why, why) != 0;
    snprintf(server->why, sizeof server->why, "%s", why);
    server->up = up;
    for (int bank = 0; news && bank < STORE_BANK_COUNT; bank++)
        if ((server->banks & 1u << bank) && !store->closing && store->on_link)
            store->on_link(store->ctx, (enum store_bank)bank, up, server->why);
}

/* Our own requests, while a connection comes up and to keep it tried. A failure to send is treated
 * as a failure of the connection. */
static void send_own(struct server *server, enum call_role role, int count, const char **words)
{
    char *request = NULL;
    if (server->link.state != LINK_OPEN)
        return;
    int bytes = redisFormatCommandArgv(&request, count, words, NULL);
    if (bytes < 0 || link_send(&server->link, request, (size_t)bytes) < 0 ||
        !call_push(server, role))
        link_drop(&server->link, "out of memory for a request");
    if (bytes >= 0)
        redisFreeCommand(request);
}

static void send_functions(struct server *server)
{
    char code[FUNCTIONS_ROOM];
    size_t used = 0;
    for (unsigned i = 0; functions_parts[i]; i++) {
        size_t bytes = strlen(functions_parts[i]);
        assert(used + bytes < sizeof code);
        memcpy(code + used, functions_parts[i], bytes);
        used += bytes;
    }
    code[used] = '\0';
    server->store->stats.function_loads++;
    send_own(server, CALL_LOAD, 4, (const char *[]){"FUNCTION", "LOAD", "REPLACE", code});
}

/* Answers. */

/* The first word of an error; Redis promises those. */
static bool is_error(const redisReply *answer, const char *word)
{
    size_t bytes = strlen(word);
    return answer->type == REDIS_REPLY_ERROR && strncmp(answer->str, word, bytes) == 0 &&
           (answer->str[bytes] == ' ' || answer->str[bytes] == '\0');
}

/* Before the connection is given up, so that who hears of that can ask why. */
static void drop_with(struct server *server, const char *what, const redisReply *answer)
{
    char why[200];
    server->refused =
        is_error(answer, "WRONGPASS") || is_error(answer, "NOAUTH") || is_error(answer, "NOPERM");
    snprintf(why, sizeof why, "%s: %s", what,
             answer->type == REDIS_REPLY_ERROR ? answer->str : "an answer of a wrong shape");
    link_drop(&server->link, why);
}

static void come_up(struct server *server)
{
    server->store->stats.connects++;
    server->refused = false;
    link_content(&server->link);
    report(server, true, "connected");
}

static void on_revision(struct server *server, const redisReply *answer)
{
    if (answer->type == REDIS_REPLY_INTEGER && answer->integer >= FUNCTIONS_REVISION)
        come_up(server);
    else if (answer->type == REDIS_REPLY_INTEGER || redis_answer_lacks_function(answer))
        send_functions(server);
    else
        drop_with(server, "functions", answer);
}

static void on_load(struct server *server, const redisReply *answer)
{
    if (answer->type != REDIS_REPLY_STRING) {
        drop_with(server, "loading functions", answer);
    } else if (server->loading) {
        server->loading = false;
    } else {
        come_up(server);
    }
}

/* Sends the operation once more behind a FUNCTION LOAD. The others in flight fail the same way
 * before that LOAD is answered, and follow in their order. */
static bool send_again(struct server *server, struct call *call)
{
    if (call->sent_again || server->store->closing)
        return false;
    if (!server->loading) {
        server->loading = true;
        send_functions(server);
    }
    if (server->link.state != LINK_OPEN ||
        link_send(&server->link, call->request, call->request_bytes) < 0)
        return false;
    call->sent_again = true;
    call->next = NULL;
    if (server->newest)
        server->newest->next = call;
    else
        server->oldest = call;
    server->newest = call;
    return true;
}

static void on_op_answer(struct server *server, struct call *call, const redisReply *answer)
{
    struct redis_store *store = server->store;
    if (redis_answer_lacks_function(answer) && send_again(server, call))
        return;
    if (is_error(answer, "NOPERM")) {
        store->stats.denied++;
        snprintf(store->denial, sizeof store->denial, "%s", answer->str);
    }
    struct store_reply reply;
    redis_command_decode((enum store_kind)call->kind, answer, &store->scratch, &reply);
    reply.ref = call->ref;
    void *tag = call->tag;
    call_free(store, call);
    give(store, tag, &reply);
}

static void on_answer(void *ctx, const redisReply *answer)
{
    struct server *server = ctx;
    struct call *call = call_pop(server);
    server->heard_us = clock_us();
    if (!call) {
        link_drop(&server->link, "an answer that nobody asked for");
        return;
    }
    enum call_role role = (enum call_role)call->role;
    if (role == CALL_OP) {
        on_op_answer(server, call, answer);
        return;
    }
    call_free(server->store, call);
    switch (role) {
    case CALL_LOGIN:
    case CALL_DATABASE:
    case CALL_PING:
        if (answer->type != REDIS_REPLY_STATUS)
            drop_with(server,
                      role == CALL_LOGIN  ? "login"
                      : role == CALL_PING ? "ping"
                                          : "database",
                      answer);
        break;
    case CALL_REVISION:
        on_revision(server, answer);
        break;
    case CALL_LOAD:
        on_load(server, answer);
        break;
    case CALL_NAME: /* only for CLIENT LIST; not every login may set it */
    case CALL_OP:
        break;
    }
}

static void on_open(void *ctx)
{
    struct server *server = ctx;
    const struct redis_url *url = &server->link.url;
    char db[8];
    server->heard_us = clock_us();
    if (url->password[0] && url->user[0])
        send_own(server, CALL_LOGIN, 3, (const char *[]){"AUTH", url->user, url->password});
    else if (url->password[0])
        send_own(server, CALL_LOGIN, 2, (const char *[]){"AUTH", url->password});
    if (url->db != 0) {
        snprintf(db, sizeof db, "%u", (unsigned)url->db);
        send_own(server, CALL_DATABASE, 2, (const char *[]){"SELECT", db});
    }
    send_own(server, CALL_NAME, 3,
             (const char *[]){"CLIENT", "SETNAME", server->store->client_name});
    send_own(server, CALL_REVISION, 3,
             (const char *[]){"FCALL_RO", FUNCTIONS_PREFIX "revision", "0"});
}

static void on_lost(void *ctx, const char *why)
{
    struct server *server = ctx;
    struct redis_store *store = server->store;
    store->stats.losses++;
    server->loading = false;
    report(server, false, why);
    /* A reply may submit: that is refused now. The queue is taken first, so that nothing can mix.
     */
    struct call *call = server->oldest;
    server->oldest = server->newest = NULL;
    snprintf(store->scratch.detail, sizeof store->scratch.detail, "redis: connection lost: %.120s",
             server->why);
    while (call) {
        struct call *next = call->next;
        struct store_reply reply = {.ref = call->ref,
                                    .kind = (enum store_kind)call->kind,
                                    .verdict = STORE_UNKNOWN,
                                    .detail = store->scratch.detail};
        void *tag = call->tag;
        bool is_op = call->role == CALL_OP;
        call_free(store, call);
        if (is_op)
            give(store, tag, &reply);
        call = next;
    }
}

/* Submissions. */

static void on_idle(uv_idle_t *idle)
{
    struct redis_store *store = idle->data;
    for (uint32_t left = store->refusal_count; left > 0 && !store->closing; left--) {
        struct refusal refusal = store->refusals[store->refusal_first];
        store->refusal_first = (store->refusal_first + 1) % REFUSALS_MAX;
        store->refusal_count--;
        struct store_reply reply = {.ref = refusal.ref,
                                    .kind = (enum store_kind)refusal.kind,
                                    .verdict = (enum store_verdict)refusal.verdict,
                                    .detail = refusal.detail};
        give(store, refusal.tag, &reply);
    }
    if (store->refusal_count == 0)
        uv_idle_stop(idle);
}

/* `detail` is static. */
static bool refuse(struct redis_store *store, const struct store_op *op, void *tag,
                   enum store_verdict verdict, const char *detail)
{
    if (store->refusal_count == REFUSALS_MAX) {
        store->stats.dropped++;
        return false;
    }
    store->refusals[(store->refusal_first + store->refusal_count) % REFUSALS_MAX] =
        (struct refusal){.tag = tag,
                         .ref = op->ref,
                         .kind = (uint8_t)op->kind,
                         .verdict = (uint8_t)verdict,
                         .detail = detail};
    store->refusal_count++;
    store->stats.refused++;
    store->stats.submitted++;
    uv_idle_start(&store->idle, on_idle);
    return true;
}

bool redis_store_submit(struct redis_store *store, const struct store_op *op, void *tag)
{
    assert(store && op);
    if (store->closing)
        return false;
    const char *wrong = store_op_check(op);
    if (wrong)
        return refuse(store, op, tag, STORE_INVALID, wrong);
    if (store_bank(op->kind) == STORE_BANK_LOG)
        return refuse(store, op, tag, STORE_READONLY, "no log is configured (log_url)");
    struct server *server = store->of_bank[store_bank(op->kind)];
    if (!server->up)
        return refuse(store, op, tag, STORE_UNKNOWN, "redis: not connected");
    if (server->loading)
        return refuse(store, op, tag, STORE_BUSY, "redis: functions are being loaded");
    if (store->stats.in_flight >= store->in_flight_max)
        return refuse(store, op, tag, STORE_BUSY, "redis: too many operations in flight");
    char *request;
    int bytes = redis_command_format(op, &request);
    if (bytes < 0)
        return refuse(store, op, tag, STORE_BUSY, "redis: out of memory");
    if (store->stats.in_flight_bytes + (uint64_t)bytes > store->in_flight_bytes_max ||
        link_send(&server->link, request, (size_t)bytes) < 0) {
        redisFreeCommand(request);
        return refuse(store, op, tag, STORE_BUSY, "redis: too many bytes in flight");
    }
    struct call *call = call_push(server, CALL_OP);
    assert(call); /* there are more calls than operations may be in flight */
    call->tag = tag;
    call->ref = op->ref;
    call->kind = (uint8_t)op->kind;
    call->request = request;
    call->request_bytes = (uint32_t)bytes;
    store->stats.in_flight++;
    store->stats.in_flight_bytes += (uint64_t)bytes;
    store->stats.submitted++;
    return true;
}

struct redis_store_stats redis_store_stats(const struct redis_store *store)
{
    assert(store);
    struct redis_store_stats stats = store->stats;
    for (unsigned i = 0; i < store->server_count; i++) {
        stats.bytes_in += store->servers[i].link.bytes_in;
        stats.bytes_out += store->servers[i].link.bytes_out;
    }
    stats.denial = store->denial;
    return stats;
}

bool redis_store_is_refused(const struct redis_store *store, enum store_bank bank)
{
    assert(store && (unsigned)bank < STORE_BANK_COUNT);
    return store->of_bank[bank] && store->of_bank[bank]->refused;
}

bool redis_store_password(struct redis_store *store, const char *user, const char *password)
{
    assert(store && user && password);
    bool changed = false;
    for (unsigned i = 0; i < store->server_count; i++) {
        struct redis_url *url = &store->servers[i].link.url;
        if (strcmp(url->user, user) == 0 && strcmp(url->password, password) != 0 &&
            strlen(password) < sizeof url->password) {
            snprintf(url->password, sizeof url->password, "%s", password);
            changed = true;
        }
    }
    return changed;
}

/* Turns of the loop. */

static void on_prepare(uv_prepare_t *prepare)
{
    struct redis_store *store = prepare->data;
    for (unsigned i = 0; i < store->server_count; i++)
        link_flush(&store->servers[i].link);
}

static void sweep_server(struct server *server, int64_t now_us)
{
    int64_t timeout_us = server->store->op_timeout_us;
    struct link *link = &server->link;
    bool coming_up = link->state == LINK_RESOLVING || link->state == LINK_CONNECTING ||
                     (link->state == LINK_OPEN && !server->up);
    if (coming_up && now_us - link->since_us > timeout_us) {
        link_drop(link, "connecting took too long");
    } else if (server->oldest && now_us - server->oldest->sent_us > timeout_us) {
        link_drop(link, "no answer in time");
    } else if (server->up && !server->oldest && now_us - server->heard_us > timeout_us) {
        send_own(server, CALL_PING, 1, (const char *[]){"PING"});
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct redis_store *store = timer->data;
    int64_t now_us = clock_us(), before_us = store->swept_us;
    store->swept_us = now_us;
    /* After a pause of our own (a stopped process, a suspended machine) answers may be waiting in
     * the socket: judge at the next sweep, when they have been read. */
    if (now_us - before_us > 2 * store->op_timeout_us / SWEEPS_PER_OP + US_PER_S / 4)
        return;
    for (unsigned i = 0; i < store->server_count && !store->closing; i++)
        sweep_server(&store->servers[i], now_us);
}

/* Beginning and end. */

static void gone(struct redis_store *store)
{
    assert(store->open > 0);
    if (--store->open > 0)
        return;
    redis_store_closed_fn *on_closed = store->on_closed;
    void *ctx = store->ctx;
    free(store->calls);
    free(store);
    if (on_closed)
        on_closed(ctx);
}

static void on_handle_closed(uv_handle_t *handle)
{
    gone(handle->data);
}

static void on_link_closed(void *ctx)
{
    struct server *server = ctx;
    gone(server->store);
}

void redis_store_close(struct redis_store *store, redis_store_closed_fn *on_closed)
{
    assert(store && !store->closing);
    store->closing = true;
    store->on_closed = on_closed;
    for (unsigned i = 0; i < store->server_count; i++) {
        struct server *server = &store->servers[i];
        server->up = false;
        for (struct call *call = call_pop(server); call; call = call_pop(server))
            call_free(store, call);
        link_close(&server->link);
    }
    uv_close((uv_handle_t *)&store->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&store->idle, on_handle_closed);
    uv_close((uv_handle_t *)&store->sweep, on_handle_closed);
}

static int add_bank(struct redis_store *store, enum store_bank bank, const char *url,
                    const struct redis_store_conf *conf)
{
    for (unsigned i = 0; i < store->server_count; i++) {
        if (strcmp(store->servers[i].text, url) == 0) {
            store->servers[i].banks |= 1u << bank;
            store->of_bank[bank] = &store->servers[i];
            return 0;
        }
    }
    struct server *server = &store->servers[store->server_count];
    if (redis_url_parse(url, &server->link.url))
        return -EINVAL;
    server->store = store;
    server->text = url;
    server->banks = 1u << bank;
    server->link.owner = (struct link_owner){.ctx = server,
                                             .on_open = on_open,
                                             .on_answer = on_answer,
                                             .on_lost = on_lost,
                                             .on_closed = on_link_closed};
    int64_t min_us = conf->reconnect_min_us, max_us = conf->reconnect_max_us;
    server->link.reconnect_min_us = min_us > 0 ? min_us : US_PER_S / 5;
    server->link.reconnect_max_us = max_us > 0 ? max_us : 5 * US_PER_S;
    if (server->link.reconnect_max_us < server->link.reconnect_min_us)
        server->link.reconnect_max_us = server->link.reconnect_min_us;
    store->of_bank[bank] = server;
    store->server_count++;
    return 0;
}

static int add_banks(struct redis_store *store, const struct redis_store_conf *conf)
{
    const char *registry = conf->registry_url ? conf->registry_url : "redis://127.0.0.1:6379";
    const char *durable = conf->durable_url ? conf->durable_url : registry;
    const char *blob = conf->blob_url ? conf->blob_url : registry;
    int status = add_bank(store, STORE_BANK_REGISTRY, registry, conf);
    if (status == 0)
        status = add_bank(store, STORE_BANK_DURABLE, durable, conf);
    if (status == 0)
        status = add_bank(store, STORE_BANK_BLOB, blob, conf);
    return status;
}

static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL) {
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        (void)sigaction(SIGPIPE, &ignore, NULL);
    }
}

/* libuv's handle initialisers and the starts of timers cannot fail on Unix; only what may is
 * checked, before any handle exists that would have to be closed. */
static void start(struct redis_store *store)
{
    uv_prepare_init(store->loop, &store->prepare);
    uv_idle_init(store->loop, &store->idle);
    uv_timer_init(store->loop, &store->sweep);
    store->prepare.data = store;
    store->idle.data = store;
    store->sweep.data = store;
    store->open = 3;
    uv_prepare_start(&store->prepare, on_prepare);
    uint64_t every_ms = (uint64_t)(store->op_timeout_us / SWEEPS_PER_OP / 1000) + 1;
    store->swept_us = clock_us();
    uv_timer_start(&store->sweep, on_sweep, every_ms, every_ms);
    for (unsigned i = 0; i < store->server_count; i++) {
        store->servers[i].text = NULL;
        int status = link_start(&store->servers[i].link, store->loop);
        assert(status == 0);
        (void)status;
        store->open++;
    }
}

int redis_store_new(uv_loop_t *loop, const struct redis_store_conf *conf,
                    redis_store_reply_fn *on_reply, redis_store_link_fn *on_link, void *ctx,
                    struct redis_store **ret_store)
{
    assert(loop && conf && on_reply && ret_store);
    struct redis_store *store = calloc(1, sizeof *store);
    if (!store)
        return -ENOMEM;
    store->loop = loop;
    store->on_reply = on_reply;
    store->on_link = on_link;
    store->ctx = ctx;
    store->in_flight_max = conf->in_flight_max ? conf->in_flight_max : 65536;
    store->in_flight_bytes_max = conf->in_flight_bytes_max ? conf->in_flight_bytes_max : 64u << 20;
    store->op_timeout_us = conf->op_timeout_us > 0 ? conf->op_timeout_us : 5 * US_PER_S;
    snprintf(store->client_name, sizeof store->client_name, "%s",
             conf->client_name ? conf->client_name : "mesh");
    int status = add_banks(store, conf);
    store->calls_max = (size_t)store->in_flight_max + OWN_CALLS_MAX;
    store->calls = status == 0 ? calloc(store->calls_max, sizeof *store->calls) : NULL;
    if (status == 0 && !store->calls)
        status = -ENOMEM;
    if (status < 0) {
        free(store);
        return status;
    }
    ignore_sigpipe();
    start(store);
    *ret_store = store;
    return 0;
}
