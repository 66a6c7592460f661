/* The only code that ever reads issuer.key, ca.key and root keys. Exit: 0 done, 1 failed, 2 wrong
 * usage. */
#include "tiers/runner/keys_command.h"

#include "core/num.h"
#include "tiers/runner/enroll.h"
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/passphrase.h"
#include "tiers/runner/permissions.h"
#include "tiers/runner/rotation.h"
#include "tiers/runner/tls.h"
#include "tiers/runner/trustfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: mesh keys init DIR                        a new mesh: roots, issuer, authority\n"
    "       mesh keys issue DIR NAME ROLES SCOPE [CAPABILITIES]   a process's key and "
    "certificates\n"
    "       mesh keys list DIR                        every certificate, and what is wrong with "
    "it\n"
    "       mesh keys show FILE                       one certificate\n"
    "       mesh keys verify DIR                      exit 1 when anything does not hold\n"
    "       mesh keys rotate DIR NAME | --all | --due new keys, the same rights; --due: whose time "
    "has "
    "come\n"
    "       mesh keys protect|unprotect DIR NAME [--passphrase-fd N]   the key under a passphrase\n"
    "       mesh keys revoke DIR NAME [--root FILE].. all certificates of NAME up to now\n"
    "       mesh keys revoke DIR NAME --for-ever [--root FILE]..  and all later ones\n"
    "       mesh keys bundle DIR [--root FILE]..      the next trust bundle, for 90 days\n"
    "       mesh keys token ..                        operators' hardware tokens (mesh keys token "
    "help)\n"
    "       mesh keys permissions nats|redis DIR      what the servers are to be told\n"
    "\n"
    "ROLES  orchestrator, sector, cluster, host, console, sim; several joined by commas\n"
    "SCOPE  the units that NAME may speak for: mesh, s01-s25, s01.c1-s25.c10, h1-h40, console1;\n"
    "       up to 8 joined by commas\n"
    "CAPABILITIES  of a console: viewer, operator or admin; of others: a mask of the mesh's "
    "capabilities\n"
    "       in hex (0x..), what their agents may offer. Left out: all\n"
    "\n"
    "mesh keys init keys\n"
    "mesh keys issue keys cluster-03 cluster s01.c1-s25.c10\n"
    "mesh keys revoke keys cluster-03 --root /media/stick/root-2.key\n";

static int wrong_usage(const char *why, const char *text)
{
    (void)fprintf(stderr, "mesh keys: %s%s (mesh keys help)\n", why, text);
    return 2;
}

static int failed(const struct keys_error *why)
{
    (void)fprintf(stderr, "mesh keys: %s\n", why->text);
    return 1;
}

static int command_init(const char *dir)
{
    struct keys_error why;
    bool made;
    uint64_t mesh;
    if (keys_init_issuer(dir, &made, &mesh, &why) < 0 || tls_init(dir, &why) < 0 ||
        trust_init_roots(dir, &why) < 0 ||
        tls_issue(dir, TLS_SERVER_FILE, mesh, (int64_t)time(NULL), CERT_PROCESS_LIFE_S, &why) < 0 ||
        keys_make_password(dir, PERMISSION_ADMIN, &why) < 0)
        return failed(&why);
    (void)printf("mesh %016" PRIx64 " %s in %s\n", mesh, made ? "made" : "was already", dir);
    return 0;
}

/* What the servers know the process by. */
static int links_issue(const char *dir, const char *name, int64_t now_s, struct keys_error *why)
{
    uint64_t mesh;
    int rc = keys_load_mesh(dir, &mesh, why);
    if (rc == 0)
        rc = tls_issue(dir, name, mesh, now_s, CERT_PROCESS_LIFE_S, why);
    return rc == 0 ? keys_make_password(dir, name, why) : rc;
}

static int command_rotate(const char *dir, const char *name)
{
    struct keys_error why;
    int64_t now_s = (int64_t)time(NULL);
    if (rotation_one(dir, name, now_s, 0, &why) < 0)
        return failed(&why);
    (void)printf("%s/%s: new key and certificates; the process takes them by itself\n", dir, name);
    return 0;
}

static bool capabilities_parse(const char *text, uint16_t roles, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t bits;
    } levels[] = {{"viewer", CONSOLE_VIEW},
                  {"operator", CONSOLE_VIEW | CONSOLE_OPERATE},
                  {"admin", CONSOLE_VIEW | CONSOLE_OPERATE | CONSOLE_ADMIN}};
    char *end = NULL;
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (roles == ROLE_CONSOLE && strcmp(text, levels[i].name) == 0) {
            *ret = levels[i].bits;
            return true;
        }
    }
    if ((roles & ROLE_CONSOLE) != 0 || strncmp(text, "0x", 2) != 0)
        return false;
    errno = 0;
    *ret = strtoull(text + 2, &end, 16);
    return errno == 0 && end != text + 2 && *end == '\0';
}

static bool refuse(struct keys_error *why, const char *what, const char *text)
{
    (void)snprintf(why->text, sizeof(why->text), "%s%.300s", what, text);
    return false;
}

bool keys_request_parse(const char *name, const char *roles, const char *scope,
                        const char *capabilities, struct keys_request *ret, struct keys_error *why)
{
    static const char *const taken[] = {TLS_SERVER_FILE, PERMISSION_ADMIN, "ca", ENROLL_SERVICE,
                                        ENROLL_NEWCOMER};
    const char *bad;
    *ret = (struct keys_request){
        .name = name, .capabilities = UINT64_MAX, .life_s = CERT_PROCESS_LIFE_S};
    if (!roles_parse(roles, &ret->roles))
        return refuse(why, "unknown role in ", roles);
    if ((ret->roles & ROLE_CONSOLE) != 0 && ret->roles != ROLE_CONSOLE)
        return refuse(why, "the role console goes with no other: ", roles);
    if (capabilities && !capabilities_parse(capabilities, ret->roles, &ret->capabilities))
        return refuse(why,
                      "capabilities are viewer, operator or admin for a console, 0x.. for others, "
                      "and not ",
                      capabilities);
    if (!scope_parse(scope, ret->roles, ret->scope, &ret->scope_count, &bad)) {
        (void)snprintf(why->text, sizeof(why->text), "scope \"%.200s\" for \"%.60s\": %s", scope,
                       roles, bad);
        return false;
    }
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (strcmp(name, taken[i]) == 0)
            return refuse(why, "taken by the mesh itself is the name ", name);
    }
    return true;
}

static int command_issue(const char *dir, const char *name, const char *roles, const char *scope,
                         const char *capabilities)
{
    struct keys_request request;
    struct keys_error why;
    if (!keys_request_parse(name, roles, scope, capabilities, &request, &why))
        return wrong_usage(why.text, "");
    int64_t now_s = (int64_t)time(NULL);
    if (keys_issue(dir, &request, now_s, &why) < 0 || links_issue(dir, name, now_s, &why) < 0)
        return failed(&why);
    (void)printf("%s/%s.cert issued for %lld days\n", dir, name,
                 (long long)(CERT_PROCESS_LIFE_S / 86400));
    return 0;
}

static int command_permissions(const char *server, const char *dir)
{
    struct keys_error why;
    bool nats = strcmp(server, "nats") == 0;
    if (!nats && strcmp(server, "redis") != 0)
        return wrong_usage("permissions are of nats or redis, not of ", server);
    if ((nats ? permissions_nats(dir, stdout, &why) : permissions_redis(dir, stdout, &why)) < 0)
        return failed(&why);
    return fflush(stdout) == 0 ? 0 : 1;
}

static void print_time(const char *label, int64_t unix_s)
{
    char text[32] = "?";
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (gmtime_r(&t, &tm))
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    (void)printf("%-13s%s\n", label, text);
}

static void print_certificate(const struct cert *cert)
{
    char roles[64], scope[512];
    roles_format(cert->roles, roles, sizeof(roles));
    scope_format(cert->scope, cert->scope_count, scope, sizeof(scope));
    (void)printf("process      %s\nroles        %s\nscope        %s\n", cert->subject.token, roles,
                 scope);
    (void)printf("capabilities %016" PRIx64 "\nkid          %016" PRIx64 "\n", cert->capabilities,
                 key_kid(cert->public_key));
    (void)printf("issuer       %016" PRIx64 "\nepoch        %" PRIu64 "\n", cert->issuer_kid,
                 cert->epoch);
    print_time("not before", cert->not_before_s);
    print_time("not after", cert->not_after_s);
}

static int command_show(const char *path)
{
    struct keys_error why, other;
    uint8_t bytes[CERT_BYTES], public_key[PUBLIC_BYTES];
    struct cert cert;
    int rc = keys_load_certificate(path, bytes, &why);
    if (rc == 0) {
        if (cert_decode(bytes, &cert) != CERT_OK) {
            (void)fprintf(stderr, "mesh keys: %s: is damaged\n", path);
            return 1;
        }
        print_certificate(&cert);
        return 0;
    }
    if (rc == -EBADMSG && keys_load_public(path, public_key, &other) == 0) {
        (void)printf("mesh         %016" PRIx64 "\n", key_kid(public_key));
        return 0;
    }
    (void)fprintf(stderr, "mesh keys: %s%s\n", why.text,
                  rc == -EBADMSG ? ", or an issuer.pub (secrets are never shown)" : "");
    return 1;
}

/* ---- all of a directory ---- */

struct listing {
    const char *dir;
    uint64_t mesh;
    const struct trust *trust;
    int64_t now_s;
    bool print;
    unsigned count, wrong;
};

/* "good", or what is wrong with it, and how to mend it where that is not plain. */
static const char *certificate_state(const struct listing *l, const char *name,
                                     const uint8_t bytes[CERT_BYTES], struct cert *ret)
{
    static struct keys_error why;
    if (cert_decode(bytes, ret) != CERT_OK || ret->kind != CERT_PROCESS)
        return "damaged; take it from a copy, or issue it again";
    if (strcmp(ret->subject.token, name) != 0)
        return "of another name";
    const uint8_t *issuer = trust_issuer(l->trust, ret->issuer_kid);
    if (!issuer || !cert_signature_holds(bytes, issuer))
        return "not signed by an issuer of this mesh";
    if (trust_is_revoked(l->trust, ret))
        return "revoked";
    if (l->now_s < ret->not_before_s)
        return "not yet valid; is this machine's clock right?";
    if (l->now_s >= ret->not_after_s)
        return "expired; make the next one with: mesh keys rotate";
    static struct identity identity;
    int rc = passphrase_is_needed(l->dir, name) ? 0 : identity_load(l->dir, name, &identity, &why);
    identity_done(&identity);
    if (rc == -ENOENT)
        return "good"; /* of a process elsewhere */
    return rc < 0 || tls_check(l->dir, name, l->mesh, l->now_s, &why) < 0 ? why.text : "good";
}

static int list_one(struct listing *l, const char *name)
{
    char path[4096], roles[64], scope[512], days[32] = "";
    uint8_t bytes[CERT_BYTES];
    struct keys_error why;
    struct cert cert = {0};
    (void)snprintf(path, sizeof(path), "%s/%s.cert", l->dir, name);
    const char *state = keys_load_certificate(path, bytes, &why) < 0
                            ? why.text
                            : certificate_state(l, name, bytes, &cert);
    bool good = strcmp(state, "good") == 0;
    l->count++;
    l->wrong += good ? 0 : 1;
    if (!l->print && good)
        return 0;
    roles_format(cert.roles, roles, sizeof(roles));
    scope_format(cert.scope, cert.scope_count, scope, sizeof(scope));
    if (cert.kind == CERT_PROCESS)
        (void)snprintf(days, sizeof(days), "%lld days",
                       (long long)(cert.not_after_s - l->now_s) / 86400);
    return printf("%-16s  %-12s  %-30s  %10s  %s\n", name, roles, scope, days, state);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* A key without a certificate, which starts no process. */
static int lone_key(struct listing *l, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s.cert", l->dir, name);
    if (!token_valid(name, strlen(name)) || access(path, F_OK) == 0 ||
        strcmp(name, "issuer") == 0 || strcmp(name, "ca") == 0 || strncmp(name, "root-", 5) == 0)
        return 0;
    l->wrong++;
    return printf("%-16s  %-12s  %-30s  %10s  %s: is missing; mesh keys issue makes it for the key "
                  "beside it\n",
                  name, "", "", "", path);
}

/* Calls act for every NAME<ending> of the directory, by name. False: it cannot be read. */
static bool each_name(const char *dir, const char *ending, int (*act)(void *ctx, const char *name),
                      void *ctx)
{
    static char names[PERMISSIONS_MAX][TOKEN_MAX + 1];
    size_t count = 0;
    DIR *folder = opendir(dir);
    if (!folder) {
        (void)fprintf(stderr, "mesh keys: %s: %s\n", dir, strerror(errno));
        return false;
    }
    const struct dirent *at;
    while ((at = readdir(folder)) != NULL) {
        size_t bytes = strlen(at->d_name), tail = strlen(ending);
        if (bytes <= tail || bytes - tail > TOKEN_MAX ||
            strcmp(at->d_name + bytes - tail, ending) != 0 || count == PERMISSIONS_MAX)
            continue;
        memcpy(names[count], at->d_name, bytes - tail);
        names[count++][bytes - tail] = '\0';
    }
    (void)closedir(folder);
    qsort(names, count, sizeof(names[0]), by_text);
    for (size_t i = 0; i < count; i++) {
        if (act(ctx, names[i]) < 0)
            return false;
    }
    return true;
}

static int list_act(void *ctx, const char *name)
{
    return list_one(ctx, name) < 0 ? -1 : 0;
}

static int lone_act(void *ctx, const char *name)
{
    return lone_key(ctx, name) < 0 ? -1 : 0;
}

/* The bundle of this directory, and the mesh that it is of. any_time: an expired one will do. */
static int load_trust(const char *dir, int64_t now_s, bool any_time, struct trust_state *ret,
                      uint64_t *ret_mesh, struct keys_error *why)
{
    static struct identity identity;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/issuer.pub", dir);
    int rc = keys_load_public(path, identity.issuer_public, why);
    if (rc < 0)
        return rc;
    *ret_mesh = identity.mesh = key_kid(identity.issuer_public);
    rc = trust_load(dir, &identity, now_s, ret, why);
    return rc < 0 && any_time ? trust_load(dir, &identity, TRUST_ANY_TIME, ret, why) : rc;
}

/* After a new certificate was made: one of a name that was revoked for ever is good for nothing. */
static int believed(int made, const char *dir, const char *name)
{
    static struct trust_state trust;
    struct keys_error why;
    char path[4096];
    uint8_t bytes[CERT_BYTES];
    struct cert cert;
    uint64_t mesh;
    (void)snprintf(path, sizeof(path), "%s/%s.cert", dir, name);
    if (made != 0 || load_trust(dir, TRUST_ANY_TIME, false, &trust, &mesh, &why) < 0 ||
        keys_load_certificate(path, bytes, &why) < 0 || cert_decode(bytes, &cert) != CERT_OK ||
        !trust_is_revoked(&trust.trust, &cert))
        return made;
    (void)fprintf(stderr,
                  "mesh keys: %s is revoked for ever: no process believes this certificate, nor "
                  "any later one; take another name\n",
                  name);
    return 1;
}

static int command_list(const char *dir, bool print)
{
    static struct trust_state trust;
    struct keys_error why;
    struct listing l = {.dir = dir, .print = print, .now_s = (int64_t)time(NULL)};
    if (load_trust(dir, l.now_s, print, &trust, &l.mesh, &why) < 0)
        return failed(&why);
    l.trust = &trust.trust;
    if (!each_name(dir, ".cert", list_act, &l) || !each_name(dir, ".key", lone_act, &l))
        return 1;
    if (trust.length > 0)
        (void)printf("mesh %016" PRIx64 ", trust bundle version %" PRIu64 " for %lld more days, "
                     "%u names revoked, %u hardware tokens\n",
                     l.mesh, trust.trust.version,
                     (long long)(trust.trust.not_after_s - l.now_s) / 86400,
                     trust.trust.revoked_count, trust.trust.hwtoken_count);
    else
        (void)printf("mesh %016" PRIx64 ", no trust bundle\n", l.mesh);
    (void)printf("%u certificates, %u with a fault\n", l.count, l.wrong);
    return print || l.wrong == 0 ? 0 : 1;
}

struct rotation {
    const char *dir;
    unsigned count;
};

static int rotate_act(void *ctx, const char *name)
{
    struct rotation *r = ctx;
    r->count++;
    return command_rotate(r->dir, name) == 0 ? 0 : -1;
}

static int command_rotate_all(const char *dir)
{
    struct rotation r = {.dir = dir};
    if (!each_name(dir, ".cert", rotate_act, &r))
        return 1;
    (void)printf("%u processes\n", r.count);
    return 0;
}

/* descriptor: a number; NULL: the terminal is asked. */
static int command_protect(const char *dir, const char *name, bool seal, const char *descriptor)
{
    char passphrase[PASSPHRASE_MAX];
    struct keys_error why;
    uint64_t number = 0;
    if (descriptor && (!num_parse_u64(descriptor, strlen(descriptor), &number) ||
                       number > INT_MAX || fcntl((int)number, F_GETFD) < 0))
        return wrong_usage("--passphrase-fd: no open descriptor, as 3: ", descriptor);
    int fd = descriptor ? (int)number : -1;
    keys_lock(passphrase, sizeof(passphrase));
    int rc = passphrase_ask("passphrase", fd, seal, passphrase, &why);
    if (rc == 0)
        rc = seal ? passphrase_seal(dir, name, passphrase, &why)
                  : passphrase_unseal(dir, name, passphrase, &why);
    keys_wipe(passphrase, sizeof(passphrase));
    if (rc < 0)
        return failed(&why);
    (void)printf("%s/%s.key%s\n", dir, name, seal ? ".sealed: encrypted" : ": in the clear");
    return 0;
}

static int command_rotate_due(const char *dir)
{
    struct keys_error why = {""};
    int count = rotation_run(dir, (int64_t)time(NULL), &why);
    int links = count >= 0 ? rotation_links(dir, (int64_t)time(NULL), &why) : 0;
    if (count < 0 || links < 0)
        return failed(&why);
    (void)printf("%d processes\n", count);
    if (links > 0)
        (void)printf("%d pairs of the server and of enrollment: run deploy/permissions\n", links);
    return 0;
}

/* The epoch of NAME's present certificate: later ones are good again. A name that has none here is
 * probably a slip, and then the one that was meant would go on: it is refused. */
static int epoch_of(const char *dir, const char *name, uint64_t *ret, struct keys_error *why)
{
    char path[4096];
    uint8_t bytes[CERT_BYTES];
    struct keys_error ignored;
    struct cert cert;
    (void)snprintf(path, sizeof(path), "%s/%s.cert", dir, name);
    if (keys_load_certificate(path, bytes, &ignored) < 0 || cert_decode(bytes, &cert) != CERT_OK) {
        (void)snprintf(why->text, sizeof(why->text),
                       "revoke: %.300s has no certificate of %s (mesh keys list shows the names); "
                       "without one the name can only be revoked --for-ever",
                       dir, name);
        return -ENOENT;
    }
    *ret = cert.epoch;
    return 0;
}

static int command_bundle(const char *dir, const char *revoke, int argc, char **argv)
{
    const char *more[ROOTS_MAX];
    struct keys_error why;
    uint64_t version;
    struct trust_request request = {.revoke = revoke, .more = more, .life_s = TRUST_LIFE_S};
    bool for_ever = false;
    for (int i = 0; i < argc; i += 2) {
        if (revoke && strcmp(argv[i], "--for-ever") == 0) {
            for_ever = true;
            i--;
            continue;
        }
        if (strcmp(argv[i], "--root") != 0 || i + 1 == argc || request.more_count == ROOTS_MAX)
            return wrong_usage("--root takes a FILE, three times at most, and not ", argv[i]);
        more[request.more_count++] = argv[i + 1];
    }
    if (revoke && !token_valid(revoke, strlen(revoke)))
        return wrong_usage("no process name: ", revoke);
    request.epoch = for_ever ? TRUST_EVER : 0;
    if (revoke && !for_ever && epoch_of(dir, revoke, &request.epoch, &why) < 0)
        return failed(&why);
    if (trust_publish(dir, &request, (int64_t)time(NULL), &version, &why) < 0)
        return failed(&why);
    (void)printf("%s/trust.bundle: version %" PRIu64 "%s%s\n", dir, version,
                 revoke ? ", revoked " : "", revoke ? revoke : "");
    return 0;
}

int keys_command(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (argc < 2) {
        (void)fprintf(stderr, "mesh keys: a command is missing\n%s", usage);
        return 2;
    }
    if (keys_start() < 0) {
        (void)fputs("mesh keys: the system gives no random numbers\n", stderr);
        return 1;
    }
    const char *verb = argv[1];
    if (strcmp(verb, "init") == 0)
        return argc == 3 ? command_init(argv[2]) : wrong_usage("init takes one DIR", "");
    if (strcmp(verb, "issue") == 0)
        return argc == 6 || argc == 7
                   ? believed(command_issue(argv[2], argv[3], argv[4], argv[5],
                                            argc == 7 ? argv[6] : NULL),
                              argv[2], argv[3])
                   : wrong_usage("issue takes DIR NAME ROLES SCOPE [CAPABILITIES]", "");
    if (strcmp(verb, "rotate") == 0)
        return argc != 4 ? wrong_usage("rotate takes DIR and NAME, --all or --due", "")
               : strcmp(argv[3], "--all") == 0 ? command_rotate_all(argv[2])
               : strcmp(argv[3], "--due") == 0
                   ? command_rotate_due(argv[2])
                   : believed(command_rotate(argv[2], argv[3]), argv[2], argv[3]);
    if (strcmp(verb, "protect") == 0 || strcmp(verb, "unprotect") == 0)
        return argc == 4 || (argc == 6 && strcmp(argv[4], "--passphrase-fd") == 0)
                   ? command_protect(argv[2], argv[3], verb[0] == 'p', argc == 6 ? argv[5] : NULL)
                   : wrong_usage("this takes DIR and NAME: ", verb);
    if (strcmp(verb, "list") == 0 || strcmp(verb, "verify") == 0)
        return argc == 3 ? command_list(argv[2], verb[0] == 'l')
                         : wrong_usage("this takes one DIR: ", verb);
    if (strcmp(verb, "revoke") == 0)
        return argc >= 4 ? command_bundle(argv[2], argv[3], argc - 4, argv + 4)
                         : wrong_usage("revoke takes DIR and NAME", "");
    if (strcmp(verb, "bundle") == 0)
        return argc >= 3 ? command_bundle(argv[2], NULL, argc - 3, argv + 3)
                         : wrong_usage("bundle takes DIR", "");
    if (strcmp(verb, "show") == 0)
        return argc == 3 ? command_show(argv[2]) : wrong_usage("show takes one FILE", "");
    if (strcmp(verb, "permissions") == 0)
        return argc == 4 ? command_permissions(argv[2], argv[3])
                         : wrong_usage("permissions takes nats or redis, and DIR", "");
    if (strcmp(verb, "token") == 0)
        return wrong_usage("hardware tokens are for the console's program: mesh keys token ..", "");
    return wrong_usage("unknown command: ", verb);
}
