/* This process's login at Redis: the password is NAME.redis in the keys directory. A server that
 * does not let it in is another fault than one that is away, and waiting does not mend it: it is
 * said by name, with what was refused and where to look. The file is looked at while the process
 * runs, so that a password that was put right is used by the next attempt. */
#include "tiers/runner/process_int.h"

#include "tiers/runner/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOGIN_URL_BYTES 512u
#define DENIED_LOG_US   (60 * US_PER_S)

static const char *url_of(const struct process *p, enum store_bank bank)
{
    const struct config *c = &p->config;
    const char *own = bank == STORE_BANK_DURABLE ? c->durable_url
                      : bank == STORE_BANK_BLOB  ? c->blob_url
                                                 : "";
    return own[0] != '\0' ? own : c->registry_url;
}

/* A Redis address with this process's own login, where the address names none. */
static const char *with_login(const struct process *p, const char *url, const char *password,
                              char ret[LOGIN_URL_BYTES])
{
    const char *rest = strstr(url, "://");
    if (url[0] == '\0') {
        return NULL;
    }
    if (rest == NULL || password[0] == '\0' || strchr(url, '@') != NULL) {
        return url;
    }
    (void)snprintf(ret, LOGIN_URL_BYTES, "%.*s://%s:%s@%s", (int)(rest - url), url, p->conf->name,
                   password, rest + 3);
    return ret;
}

/* When NAME.redis was written; 0: it is not there. */
static int64_t password_written_ns(const struct process *p)
{
    char path[4096];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%.3900s/%s.redis", p->config.keys_dir, p->conf->name);
    return stat(path, &st) == 0 ? st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec : 0;
}

int process_start_store(struct process *p, redis_store_reply_fn *on_reply,
                        redis_store_link_fn *on_link)
{
    char password[PASSWORD_TEXT_BYTES] = "", urls[3][LOGIN_URL_BYTES];
    struct keys_error why;
    p->password_ns = password_written_ns(p);
    int error = keys_load_password(p->config.keys_dir, p->conf->name, password, &why);
    if (error < 0 && (error != -ENOENT || !p->config.insecure)) {
        process_log_fault(p, "keys-failed", &why);
        return error;
    }
    struct redis_store_conf store = {
        .registry_url = with_login(p, p->config.registry_url, password, urls[0]),
        .durable_url = with_login(p, p->config.durable_url, password, urls[1]),
        .blob_url = with_login(p, p->config.blob_url, password, urls[2]),
        .client_name = p->conf->name};
    error = redis_store_new(&p->loop, &store, on_reply, on_link, p, &p->store);
    keys_wipe(password, sizeof(password));
    keys_wipe(urls, sizeof(urls));
    return error;
}

bool process_store_refused(const struct process *p)
{
    bool refused = false;
    for (int bank = 0; bank < STORE_BANK_COUNT && p->store != NULL; bank++) {
        refused |= redis_store_is_refused(p->store, (enum store_bank)bank);
    }
    return refused;
}

const char *process_fenced_why(const struct process *p)
{
    if (!p->lease.taken) {
        return "it stood still for longer than its lease runs, and others may have served "
               "meanwhile: it asks for the lease anew";
    }
    return process_store_refused(p)
               ? "the registry refuses this process's login (store-login-refused), so its own "
                 "lease ran out: another process holds the lease of this name"
               : "another process holds the lease of this name";
}

void process_store_down(struct process *p, enum store_bank bank, const char *name, const char *why)
{
    if (!redis_store_is_refused(p->store, bank)) {
        log_line(&p->log, LOG_WARNING, "store-down", "bank=%s why=\"%s\"", name, why);
        return;
    }
    if (strchr(url_of(p, bank), '@') != NULL) {
        log_line(&p->log, LOG_ERROR, "store-login-refused",
                 "bank=%s why=\"%s\" mend=\"user and password are those of the address in %.200s\"",
                 name, why, p->config.file);
        return;
    }
    log_line(
        &p->log, LOG_ERROR, "store-login-refused",
        "bank=%s user=%s password=%.200s/%s.redis why=\"%s\" mend=\"deploy/permissions has the "
        "servers take the passwords of the keys directory; or put the right file there\"",
        name, p->conf->name, p->config.keys_dir, p->conf->name, why);
}

/* Operations that the server's rules do not allow this login: a wrong ACL file, or one of before.
 */
static void log_denied(struct process *p, int64_t now_us)
{
    struct redis_store_stats stats = redis_store_stats(p->store);
    bool soon = p->denied_us != 0 && now_us - p->denied_us < DENIED_LOG_US;
    if (stats.denied == p->denied || soon) {
        return;
    }
    char text[160];
    log_clean(stats.denial, text, sizeof(text));
    log_line(&p->log, LOG_ERROR, "store-denied",
             "user=%s operations=%" PRIu64
             " why=\"%s\" mend=\"deploy/permissions writes its rights "
             "from its certificate\"",
             p->conf->name, stats.denied - p->denied, text);
    p->denied = stats.denied;
    p->denied_us = now_us;
}

void process_store_tick(struct process *p, int64_t now_us)
{
    log_denied(p, now_us);
    int64_t written_ns = password_written_ns(p);
    if (written_ns == 0 || written_ns == p->password_ns) {
        return;
    }
    char password[PASSWORD_TEXT_BYTES];
    struct keys_error why;
    p->password_ns = written_ns;
    if (keys_load_password(p->config.keys_dir, p->conf->name, password, &why) < 0) {
        process_log_fault(p, "reload-refused", &why);
        return;
    }
    if (redis_store_password(p->store, p->conf->name, password)) {
        log_line(&p->log, LOG_INFO, "store-password", "user=%s why=\"%s.redis was replaced\"",
                 p->conf->name, p->conf->name);
    }
    keys_wipe(password, sizeof(password));
}
