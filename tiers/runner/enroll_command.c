/* One token, or one a line of a list: a list of a thousand names is a thousand join files. */
#include "tiers/runner/enroll_command.h"

#include "tiers/runner/config.h"
#include "tiers/runner/enroll_join.h"
#include "tiers/runner/enroll_serve.h"
#include "tiers/runner/keys_command.h"
#include "tiers/runner/rotation.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024u
#define WAIT_S     60

static const char usage[] =
    "usage: mesh enroll token KEYS NAME ROLES SCOPE [CAPABILITIES] --url URL --out FILE [--life "
    "S]\n"
    "       mesh enroll tokens KEYS LIST --url URL --out DIR [--life S]   one a line of LIST\n"
    "       mesh enroll list KEYS                    the tokens, and what became of them\n"
    "       mesh enroll revoke KEYS ID               nobody joins with it any more\n"
    "       mesh enroll links KEYS                   the links of service and newcomers "
    "(deploy/enroll)\n"
    "       mesh enroll serve KEYS --config FILE [--after COMMAND] [--no-rotate]\n"
    "       mesh enroll join FILE DIR [CAPABILITIES] [--wait S]   on the newcomer's machine\n"
    "       mesh enroll renew DIR NAME --url URL [--due]          new keys by the present ones\n"
    "\n"
    "ROLES, SCOPE and CAPABILITIES are as for `mesh keys issue`; a line of LIST is NAME ROLES "
    "SCOPE\n"
    "[CAPABILITIES]. A token is good once, for --life seconds (600; a week at most). KEYS is the\n"
    "directory with issuer.key. deploy/enroll starts the service beside a mesh of deploy/up.\n"
    "\n"
    "mesh enroll token run/keys host-7 host s01.c1.a1-s01.c1.a30,h7 --url tls://127.0.0.1:4222 "
    "--out "
    "host-7.join\n"
    "mesh enroll join host-7.join keys\n";

struct flags {
    const char *url, *out, *config, *after;
    int64_t life_s, wait_s;
    bool due, no_rotate;
    const char *words[8];
    int count;
};

static int wrong_usage(const char *why, const char *text)
{
    (void)fprintf(stderr, "mesh enroll: %s%s (mesh enroll help)\n", why, text);
    return 2;
}

static int failed(const struct keys_error *why)
{
    (void)fprintf(stderr, "mesh enroll: %s\n", why->text);
    return 1;
}

static bool seconds(const char *text, int64_t most, int64_t *ret)
{
    char *end = NULL;
    long long n = strtoll(text, &end, 10);
    *ret = n;
    return end != text && *end == '\0' && n > 0 && n <= most;
}

/* NULL, or the word that is wrong. */
static const char *flags_parse(int argc, char **argv, struct flags *ret)
{
    *ret = (struct flags){.life_s = JOIN_LIFE_DEFAULT_S, .wait_s = WAIT_S};
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        const char **text = strcmp(word, "--url") == 0      ? &ret->url
                            : strcmp(word, "--out") == 0    ? &ret->out
                            : strcmp(word, "--config") == 0 ? &ret->config
                            : strcmp(word, "--after") == 0  ? &ret->after
                                                            : NULL;
        int64_t *number = strcmp(word, "--life") == 0   ? &ret->life_s
                          : strcmp(word, "--wait") == 0 ? &ret->wait_s
                                                        : NULL;
        if (strcmp(word, "--due") == 0) {
            ret->due = true;
        } else if (strcmp(word, "--no-rotate") == 0) {
            ret->no_rotate = true;
        } else if (text && i + 1 < argc) {
            *text = argv[++i];
        } else if (number && i + 1 < argc) {
            if (!seconds(argv[++i], JOIN_LIFE_MAX_S, number))
                return argv[i];
        } else if (strncmp(word, "--", 2) == 0 || ret->count == 8) {
            return word;
        } else {
            ret->words[ret->count++] = word;
        }
    }
    return NULL;
}

/* ---- tokens ---- */

static int make_one(const char *keys_dir, const char *const *words, int count,
                    const struct flags *f, const char *out)
{
    struct keys_request request;
    struct keys_error why;
    char cert[4096];
    uint64_t id;
    if (!keys_request_parse(words[0], words[1], words[2], count > 3 ? words[3] : NULL, &request,
                            &why))
        return failed(&why) + 1;
    if (join_token_make(keys_dir, &request, f->url, (int64_t)time(NULL), f->life_s, out, &id,
                        &why) < 0)
        return failed(&why);
    (void)printf("%016" PRIx64 "  %-15s  %s, good for %lld s\n", id, words[0], out,
                 (long long)f->life_s);
    (void)snprintf(cert, sizeof(cert), "%s/%s.cert", keys_dir, words[0]);
    if (access(cert, F_OK) == 0)
        (void)fprintf(stderr,
                      "mesh enroll: note: %s is a process of this mesh already; nobody joins under "
                      "that name unless it is revoked\n",
                      words[0]);
    return 0;
}

static int command_token(const struct flags *f)
{
    if (f->count < 4 || f->count > 5 || !f->url || !f->out)
        return wrong_usage("token takes KEYS NAME ROLES SCOPE, --url and --out", "");
    return make_one(f->words[0], f->words + 1, f->count - 1, f, f->out);
}

static int command_tokens(const struct flags *f)
{
    char line[LINE_BYTES], path[4096];
    if (f->count != 2 || !f->url || !f->out)
        return wrong_usage("tokens takes KEYS LIST, --url and --out", "");
    FILE *in = fopen(f->words[1], "re");
    if (!in || (mkdir(f->out, 0700) < 0 && errno != EEXIST)) {
        (void)fprintf(stderr, "mesh enroll: %s: %s\n", in ? f->out : f->words[1], strerror(errno));
        if (in)
            (void)fclose(in);
        return 1;
    }
    int code = 0;
    unsigned number = 0;
    while (code == 0 && fgets(line, sizeof(line), in)) {
        const char *words[5];
        char *rest = line, *word;
        int count = 0;
        number++;
        while ((word = strsep(&rest, " \t\n")) != NULL && count < 5) {
            if (word[0] == '#')
                break;
            if (word[0] != '\0')
                words[count++] = word;
        }
        if (count == 0)
            continue;
        if (count < 3 || count > 4) {
            (void)fprintf(stderr, "mesh enroll: %s:%u: a line is NAME ROLES SCOPE [CAPABILITIES]\n",
                          f->words[1], number);
            code = 2;
            break;
        }
        (void)snprintf(path, sizeof(path), "%.3900s/%s.join", f->out, words[0]);
        code = make_one(f->words[0], words, count, f, path);
        if (code != 0)
            (void)fprintf(stderr, "mesh enroll: %s:%u: stopped there\n", f->words[1], number);
    }
    (void)fclose(in);
    return code;
}

static bool list_act(void *ctx, const struct join_token *token)
{
    char roles[64], scope[512];
    int64_t left_s = token->record.not_after_s - *(const int64_t *)ctx;
    roles_format(token->record.roles, roles, sizeof(roles));
    scope_format(token->record.scope, token->record.scope_count, scope, sizeof(scope));
    bool over = token->state == JOIN_OPEN && left_s <= 0;
    return printf("%016" PRIx64 "  %-15s  %-12s  %-30s  0x%-16" PRIx64 "  %s", token->id,
                  token->record.subject.token, roles, scope, token->record.capabilities,
                  over ? "expired\n" : join_state_name(token->state)) > 0 &&
           (over || (token->state == JOIN_OPEN ? printf(" for %lld s\n", (long long)left_s) > 0
                                               : putchar('\n') != EOF));
}

static int command_list(const char *dir)
{
    struct keys_error why;
    int64_t now_s = (int64_t)time(NULL);
    return join_token_each(dir, now_s, list_act, &now_s, &why) < 0 ? failed(&why) : 0;
}

static int command_revoke(const char *dir, const char *text)
{
    struct keys_error why;
    char *end = NULL;
    uint64_t id = strtoull(text, &end, 16);
    if (strlen(text) != 16 || *end != '\0')
        return wrong_usage("an ID is 16 hex digits, as `list` shows them, and not ", text);
    if (join_token_close(dir, id, JOIN_REVOKED, &why) < 0)
        return failed(&why);
    (void)printf("%s revoked\n", text);
    return 0;
}

static int command_links(const char *dir)
{
    struct keys_error why;
    return join_links(dir, (int64_t)time(NULL), &why) < 0 ? failed(&why) : 0;
}

/* ---- the service, the newcomer ---- */

static int command_serve(const struct flags *f)
{
    static struct config config;
    struct config_error error;
    const struct config_options options = {.file = f->config};
    if (f->count != 1 || !f->config)
        return wrong_usage("serve takes KEYS and --config", "");
    if (!config_load(&options, 0, NULL, &config, &error)) {
        (void)fprintf(stderr, "mesh enroll: %s\n", error.text);
        return 2;
    }
    const struct enroll_conf conf = {.keys_dir = f->words[0],
                                     .nats_url = config.nats_url,
                                     .log_url = config.log_url,
                                     .after = f->after,
                                     .rotate = !f->no_rotate};
    int code = enroll_serve(&conf);
    config_done(&config);
    return code;
}

static int command_join(const struct flags *f)
{
    struct join_wish wish = {.wait_s = f->wait_s};
    struct keys_error why;
    char name[TOKEN_MAX + 1] = "";
    uint64_t capabilities;
    if (f->count < 2 || f->count > 3)
        return wrong_usage("join takes FILE DIR [CAPABILITIES]", "");
    if (f->count == 3) {
        char *end = NULL;
        capabilities = strtoull(f->words[2], &end, 16);
        if (end == f->words[2] || *end != '\0')
            return wrong_usage("capabilities are a mask in hex, and not ", f->words[2]);
        wish.capabilities = &capabilities;
    }
    if (enroll_join(f->words[0], f->words[1], &wish, name, &why) < 0)
        return failed(&why);
    (void)printf("%s/%s.cert: joined\n", f->words[1], name);
    return 0;
}

static int command_renew(const struct flags *f)
{
    struct keys_error why;
    char path[4096];
    uint8_t bytes[CERT_BYTES];
    struct cert cert;
    if (f->count != 2 || !f->url)
        return wrong_usage("renew takes DIR NAME and --url", "");
    (void)snprintf(path, sizeof(path), "%.3900s/%s.cert", f->words[0], f->words[1]);
    if (keys_load_certificate(path, bytes, &why) < 0)
        return failed(&why);
    if (f->due && cert_decode(bytes, &cert) == CERT_OK &&
        (int64_t)time(NULL) < rotation_due_s(&cert)) {
        (void)printf("%s: not due for %lld s\n", path,
                     (long long)(rotation_due_s(&cert) - (int64_t)time(NULL)));
        return 0;
    }
    if (enroll_renew(f->words[0], f->words[1], f->url, f->wait_s, &why) < 0)
        return failed(&why);
    (void)printf("%s: renewed\n", path);
    return 0;
}

int enroll_command(int argc, char **argv)
{
    struct flags f;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        (void)fputs(usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    const char *wrong = flags_parse(argc - 2, argv + 2, &f);
    if (wrong)
        return wrong_usage("not understood: ", wrong);
    if (keys_start() < 0) {
        (void)fputs("mesh enroll: the system gives no random numbers\n", stderr);
        return 1;
    }
    const char *verb = argv[1];
    if (strcmp(verb, "token") == 0)
        return command_token(&f);
    if (strcmp(verb, "tokens") == 0)
        return command_tokens(&f);
    if (strcmp(verb, "list") == 0)
        return f.count == 1 ? command_list(f.words[0]) : wrong_usage("list takes KEYS", "");
    if (strcmp(verb, "revoke") == 0)
        return f.count == 2 ? command_revoke(f.words[0], f.words[1])
                            : wrong_usage("revoke takes KEYS and ID", "");
    if (strcmp(verb, "links") == 0)
        return f.count == 1 ? command_links(f.words[0]) : wrong_usage("links takes KEYS", "");
    if (strcmp(verb, "serve") == 0)
        return command_serve(&f);
    if (strcmp(verb, "join") == 0)
        return command_join(&f);
    if (strcmp(verb, "renew") == 0)
        return command_renew(&f);
    return wrong_usage("unknown command: ", verb);
}
