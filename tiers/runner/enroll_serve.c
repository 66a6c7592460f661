/* One thread: it takes a request from the bus, checks it at the desk (enroll_desk.c), has it
 * written down, and answers when the row is durable and the servers know the new name. What issuing
 * needs of the servers (deploy/permissions) runs once for all that were issued meanwhile. */
#include "tiers/runner/enroll_serve.h"

#include "core/num.h"
#include "registry/sql_log.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/enroll_link.h"
#include "tiers/runner/rotation.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAITING_MAX     1024u
#define TURN_MS         20
#define AFTER_EVERY_MS  500
#define ROTATE_EVERY_MS 60000
#define REFUSED_ROWS_S  10 /* rows a second for those who were refused; beyond: counted */
#define FIELDS          7u
#define PEM_FILE_MAX    4096u

struct waiting {
    bool used, audited, issued;
    struct enroll_request request;
    size_t answer_bytes;
    uint8_t *answer;
};

struct service {
    const struct enroll_conf *conf;
    struct enroll_desk *desk;
    struct enroll_link *link;
    struct sql_log *log;
    uv_loop_t loop;
    struct waiting waiting[WAITING_MAX];
    int64_t refused_full_ms, after_ms, rotate_ms;
    uint64_t unrecorded;
    bool after_due, after_runs;
    uv_process_t after;
};

static volatile sig_atomic_t stopping;

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    va_list args;
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    (void)fprintf(stderr, "ts=%s level=info process=enroll ", stamp);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

static void answer(struct service *s, uint64_t token_id, const uint8_t *bytes, size_t length)
{
    char subject[64];
    (void)snprintf(subject, sizeof(subject), ENROLL_SUBJECT_OUT ".%016" PRIx64, token_id);
    if (!enroll_link_send(s->link, subject, bytes, length))
        say("msg=not-answered token=%016" PRIx64 " why=\"the bus is away\"", token_id);
}

/* ---- the audit log ---- */

static struct store_field field(const char *name, const char *value)
{
    return (struct store_field){
        .name = name, .value = value, .value_bytes = (uint32_t)strlen(value)};
}

/* tag NULL: nobody waits for it. False: it was not even taken. */
static bool audit(struct service *s, const struct enroll_request *r, enum enroll_verdict v,
                  void *tag)
{
    char at_us[U64_TEXT_MAX], id[40], subject[20], roles[64], scope[512], body[1024];
    uint8_t random[16];
    const char *name = r->cert.subject.token[0] != '\0' ? r->cert.subject.token : "unknown";
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(id, sizeof(id), random, sizeof(random));
    (void)num_format_i64(clock_unix_us(), at_us);
    (void)snprintf(subject, sizeof(subject), "%016" PRIx64, r->token_id);
    roles_format(r->cert.roles, roles, sizeof(roles));
    scope_format(r->cert.scope, r->cert.scope_count, scope, sizeof(scope));
    int n =
        snprintf(body, sizeof(body),
                 "{\"name\": \"%s\", \"roles\": \"%s\", \"scope\": \"%s\", \"capabilities\": "
                 "\"0x%" PRIx64 "\", \"key\": \"%016" PRIx64 "\", \"outcome\": \"%s\"%s%s}",
                 name, roles, scope, r->cert.capabilities, key_kid(r->cert.public_key),
                 v == ENROLL_OK ? "joined" : "refused", v == ENROLL_OK ? "" : ", \"reason\": \"",
                 v == ENROLL_OK ? "" : enroll_verdict_name(v));
    if (v != ENROLL_OK && n > 0 && (size_t)n < sizeof(body) - 2)
        memcpy(body + n - 1, "\"}", 3);
    const struct store_field fields[FIELDS] = {field("at_us", at_us),
                                               field("event", "enroll"),
                                               field("subject", subject),
                                               field("agent", "mesh"),
                                               field("type", enroll_verdict_name(v)),
                                               field("actor", name),
                                               field("priority", v == ENROLL_OK ? "1" : "2")};
    const struct store_op op = {.ref = 1,
                                .kind = STORE_LOG_APPEND,
                                .shard = "mesh",
                                .key = "audit",
                                .id = id,
                                .fields = fields,
                                .field_count = FIELDS,
                                .body = (const uint8_t *)body,
                                .body_bytes = (uint32_t)strlen(body)};
    return sql_log_submit(s->log, &op, tag);
}

static void refused(struct service *s, const struct enroll_request *r, enum enroll_verdict v)
{
    uint8_t bytes[ENROLL_REFUSAL_BYTES];
    int64_t now_ms = clock_unix_us() / 1000;
    if (s->refused_full_ms < now_ms)
        s->refused_full_ms = now_ms;
    if (s->refused_full_ms - now_ms <= 1000) {
        s->refused_full_ms += 1000 / REFUSED_ROWS_S;
        if (!audit(s, r, v, NULL))
            s->unrecorded++;
    } else {
        s->unrecorded++;
    }
    say("msg=refused token=%016" PRIx64 " name=%s why=%s", r->token_id,
        r->cert.subject.token[0] ? r->cert.subject.token : "-", enroll_verdict_name(v));
    answer(s, r->token_id, bytes, enroll_refusal(r->token_id, v, bytes));
}

static void waiting_done(struct waiting *w)
{
    if (w->answer)
        keys_wipe(w->answer, w->answer_bytes);
    free(w->answer);
    memset(w, 0, sizeof(*w));
}

static void issue(struct service *s, struct waiting *w)
{
    static uint8_t bytes[ENROLL_ANSWER_MAX];
    struct keys_error why;
    enum enroll_verdict v;
    size_t length =
        enroll_desk_issue(s->desk, &w->request, clock_unix_us() / US_PER_S, bytes, &v, &why);
    if (v != ENROLL_OK)
        say("msg=issuing-failed name=%s why=\"%s\"", w->request.cert.subject.token, why.text);
    w->answer = malloc(length);
    if (!w->answer) {
        waiting_done(w);
        return;
    }
    memcpy(w->answer, bytes, length);
    keys_wipe(bytes, length);
    w->answer_bytes = length;
    w->issued = true;
    s->after_due = true;
    say("msg=%s name=%s", v == ENROLL_OK ? "joined" : "not-joined", w->request.cert.subject.token);
}

static void on_audited(void *ctx, void *tag, const struct store_reply *reply)
{
    struct service *s = ctx;
    struct waiting *w = tag;
    bool durable = reply->verdict == STORE_OK || reply->verdict == STORE_EXISTS;
    if (!w) {
        s->unrecorded += durable ? 0 : 1;
        return;
    }
    if (durable) {
        w->audited = true;
        issue(s, w);
        return;
    }
    say("msg=audit-failed why=\"%.200s\"", reply->detail ? reply->detail : "no answer");
    struct enroll_request request = w->request;
    enroll_desk_drop(s->desk, &request);
    waiting_done(w);
    refused(s, &request, ENROLL_AUDIT);
}

static void on_log(void *ctx, bool up, const char *why)
{
    (void)ctx;
    say("msg=%s why=\"%.200s\"", up ? "log-up" : "log-down", why);
}

/* ---- requests ---- */

static struct waiting *waiting_take(struct service *s)
{
    for (unsigned i = 0; i < WAITING_MAX; i++) {
        if (!s->waiting[i].used)
            return &s->waiting[i];
    }
    return NULL;
}

static void request(struct service *s, const uint8_t *bytes, size_t length)
{
    struct enroll_request r;
    uint8_t nonce[ENROLL_NONCE], out[ENROLL_NONCE_BYTES];
    int64_t now_ms = clock_unix_us() / 1000;
    if (!enroll_decode(bytes, length, &r)) {
        s->unrecorded++; /* no token to answer to */
        return;
    }
    if (r.type == ENROLL_HELLO) {
        if (enroll_desk_nonce(s->desk, r.token_id, now_ms, nonce))
            answer(s, r.token_id, out, enroll_nonce(r.token_id, nonce, out));
        else
            refused(s, &r, ENROLL_RATE);
        return;
    }
    struct waiting *w = waiting_take(s);
    enum enroll_verdict v = w ? enroll_desk_check(s->desk, bytes, length, now_ms, &r) : ENROLL_RATE;
    if (v == ENROLL_ISSUER)
        say("msg=trust-failed why=\"%s\"", enroll_desk_fault(s->desk));
    if (v != ENROLL_OK) {
        refused(s, &r, v);
        return;
    }
    *w = (struct waiting){.used = true, .request = r};
    if (!audit(s, &r, ENROLL_OK, w)) {
        enroll_desk_drop(s->desk, &r);
        waiting_done(w);
        refused(s, &r, ENROLL_AUDIT);
    }
}

/* ---- what follows ---- */

static void deliver(struct service *s)
{
    for (unsigned i = 0; i < WAITING_MAX; i++) {
        struct waiting *w = &s->waiting[i];
        if (w->used && w->issued) {
            answer(s, w->request.token_id, w->answer, w->answer_bytes);
            waiting_done(w);
        }
    }
}

static void on_after_closed(uv_handle_t *handle)
{
    struct service *s = handle->data;
    s->after_runs = false;
}

static void on_after(uv_process_t *process, int64_t status, int signal_number)
{
    struct service *s = process->data;
    if (status != 0 || signal_number != 0)
        say("msg=after-failed status=%" PRId64
            " why=\"the servers may not know the new names yet\"",
            status);
    deliver(s);
    uv_close((uv_handle_t *)process, on_after_closed);
}

static void after(struct service *s, int64_t now_ms)
{
    if (!s->after_due || s->after_runs || now_ms - s->after_ms < AFTER_EVERY_MS)
        return;
    s->after_due = false;
    s->after_ms = now_ms;
    if (!s->conf->after) {
        deliver(s);
        return;
    }
    char shell[] = "/bin/sh", flag[] = "-c", command[1024];
    (void)snprintf(command, sizeof(command), "%s", s->conf->after);
    char *argv[] = {shell, flag, command, NULL};
    uv_stdio_container_t io[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD}};
    io[2].data.fd = 2;
    uv_process_options_t options = {
        .exit_cb = on_after, .file = shell, .args = argv, .stdio = io, .stdio_count = 3};
    s->after.data = s;
    s->after_runs = true;
    int error = uv_spawn(&s->loop, &s->after, &options);
    if (error < 0) {
        say("msg=after-failed why=\"%s\"", uv_strerror(error));
        uv_close((uv_handle_t *)&s->after, on_after_closed);
        deliver(s);
    }
}

static int links_read(const char *dir, char pem[3][PEM_FILE_MAX], struct keys_error *why)
{
    static const char *const names[] = {"ca.crt", ENROLL_SERVICE ".tls.crt",
                                        ENROLL_SERVICE ".tls.key"};
    for (unsigned i = 0; i < 3; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%.3900s/%s", dir, names[i]);
        FILE *in = fopen(path, "re");
        size_t n = in ? fread(pem[i], 1, PEM_FILE_MAX - 1, in) : 0;
        pem[i][n] = '\0';
        if (in)
            (void)fclose(in);
        if (n == 0) {
            (void)snprintf(why->text, sizeof(why->text), "%.400s: cannot be read", path);
            return -EIO;
        }
    }
    return 0;
}

/* Its own link by the pair that is there now; the old one goes on when that fails. */
static void relink(struct service *s)
{
    char pem[3][PEM_FILE_MAX];
    struct keys_error why;
    struct enroll_link *next = NULL;
    int rc = links_read(s->conf->keys_dir, pem, &why);
    if (rc == 0)
        rc = enroll_link_open(s->conf->nats_url, pem[0], pem[1], pem[2], ENROLL_SUBJECT_IN, &next,
                              &why);
    keys_wipe(pem, sizeof(pem));
    if (rc < 0) {
        say("msg=link-kept why=\"%s\"", why.text);
        return;
    }
    enroll_link_close(s->link);
    s->link = next;
}

static void rotate(struct service *s, int64_t now_ms)
{
    struct keys_error why = {""};
    if (!s->conf->rotate || now_ms - s->rotate_ms < ROTATE_EVERY_MS)
        return;
    s->rotate_ms = now_ms;
    int count = rotation_run(s->conf->keys_dir, now_ms / 1000, &why);
    if (count != 0)
        say("msg=rotated count=%d why=\"%s\"", count, why.text);
    int links = rotation_links(s->conf->keys_dir, now_ms / 1000, &why);
    if (links == 0)
        return;
    say("msg=links-rotated count=%d why=\"%s\"", links, why.text);
    relink(s);
    s->after_due = true; /* the NATS server is to read its pair */
}

static int start(struct service *s, struct keys_error *why)
{
    char pem[3][PEM_FILE_MAX];
    const struct sql_log_conf log = {.url = s->conf->log_url};
    int rc = join_links(s->conf->keys_dir, clock_unix_us() / US_PER_S, why);
    if (rc == 0)
        rc = links_read(s->conf->keys_dir, pem, why);
    if (rc == 0 && (s->conf->log_url[0] == '\0' || sql_log_url_problem(s->conf->log_url))) {
        (void)snprintf(why->text, sizeof(why->text),
                       "log_url is not set: nobody is let in without an audit log");
        rc = -EINVAL;
    }
    if (rc == 0)
        rc = enroll_link_open(s->conf->nats_url, pem[0], pem[1], pem[2], ENROLL_SUBJECT_IN,
                              &s->link, why);
    keys_wipe(pem, sizeof(pem));
    if (rc == 0)
        rc = sql_log_new(&s->loop, &log, on_audited, on_log, s, &s->log);
    s->desk = enroll_desk_new(s->conf->keys_dir);
    return rc == 0 && !s->desk ? -ENOMEM : rc;
}

int enroll_serve(const struct enroll_conf *conf)
{
    assert(conf && conf->keys_dir && conf->nats_url && conf->log_url);
    static uint8_t bytes[ENROLL_PROOF_BYTES + 1];
    struct keys_error why = {"no memory"};
    struct service *s = calloc(1, sizeof(*s));
    if (!s || uv_loop_init(&s->loop) < 0)
        return 1;
    s->conf = conf;
    (void)signal(SIGTERM, on_stop);
    (void)signal(SIGINT, on_stop);
    if (start(s, &why) < 0) {
        (void)fprintf(stderr, "mesh enroll: %s\n", why.text);
        return 1;
    }
    say("msg=started bus=%s", conf->nats_url);
    long n = 0;
    while (!stopping && n >= 0) {
        int64_t now_ms = clock_unix_us() / 1000;
        for (unsigned i = 0; i < 64; i++) { /* then the log and the others have their turn */
            n = enroll_link_next(s->link, i == 0 ? TURN_MS : 0, bytes, sizeof(bytes));
            if (n <= 0)
                break;
            request(s, bytes, (size_t)n);
        }
        (void)uv_run(&s->loop, UV_RUN_NOWAIT);
        after(s, now_ms);
        rotate(s, now_ms);
    }
    sql_log_close(s->log);
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    enroll_link_close(s->link);
    enroll_desk_free(s->desk);
    say("msg=stopped unrecorded=%" PRIu64, s->unrecorded);
    free(s);
    return n < 0;
}
