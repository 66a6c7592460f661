/* mesh-keys: makes and shows the keys and certificates of a mesh (docs/SECURITY.md). The only
 * program that ever reads issuer.key. Exit: 0 done, 1 failed, 2 wrong usage. */
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/permissions.h"
#include "tiers/runner/tls.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: mesh-keys init DIR\n"
    "       mesh-keys issue DIR NAME ROLES SCOPE\n"
    "       mesh-keys rotate DIR NAME\n"
    "       mesh-keys show FILE\n"
    "       mesh-keys permissions nats|redis DIR\n"
    "\n"
    "ROLES  orchestrator, sector, cluster, host, console, sim; several joined by commas\n"
    "SCOPE  the units that NAME may speak for: mesh, s01-s25, s01.c1-s25.c10, h1-h40, console1;\n"
    "       up to 8 joined by commas\n"
    "\n"
    "mesh-keys init keys\n"
    "mesh-keys issue keys cluster-03 cluster s01.c1-s25.c10\n";

static int wrong_usage(const char *why, const char *text)
{
    (void)fprintf(stderr, "mesh-keys: %s%s\n%s", why, text, usage);
    return 2;
}

static int failed(const struct keys_error *why)
{
    (void)fprintf(stderr, "mesh-keys: %s\n", why->text);
    return 1;
}

static int command_init(const char *dir)
{
    struct keys_error why;
    bool made;
    uint64_t mesh;
    if (keys_init_issuer(dir, &made, &mesh, &why) < 0 || tls_init(dir, &why) < 0 ||
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
    if (keys_rotate(dir, name, now_s, &why) < 0 || links_issue(dir, name, now_s, &why) < 0)
        return failed(&why);
    (void)printf("%s/%s: new key and certificates; the process takes them with SIGHUP\n", dir,
                 name);
    return 0;
}

static int command_issue(const char *dir, const char *name, const char *roles, const char *scope)
{
    struct keys_request request = {
        .name = name, .capabilities = UINT64_MAX, .life_s = CERT_PROCESS_LIFE_S};
    struct keys_error why;
    const char *bad;
    if (!roles_parse(roles, &request.roles))
        return wrong_usage("unknown role in ", roles);
    if (!scope_parse(scope, request.roles, request.scope, &request.scope_count, &bad)) {
        (void)fprintf(stderr, "mesh-keys: scope \"%s\" for \"%s\": %s\n", scope, roles, bad);
        return 2;
    }
    if (strcmp(name, TLS_SERVER_FILE) == 0 || strcmp(name, PERMISSION_ADMIN) == 0 ||
        strcmp(name, "ca") == 0) {
        (void)fprintf(stderr, "mesh-keys: the name \"%s\" is taken by the mesh itself\n", name);
        return 2;
    }
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
            (void)fprintf(stderr, "mesh-keys: %s: is damaged\n", path);
            return 1;
        }
        print_certificate(&cert);
        return 0;
    }
    if (rc == -EBADMSG && keys_load_public(path, public_key, &other) == 0) {
        (void)printf("mesh         %016" PRIx64 "\n", key_kid(public_key));
        return 0;
    }
    (void)fprintf(stderr, "mesh-keys: %s%s\n", why.text,
                  rc == -EBADMSG ? ", or an issuer.pub (secrets are never shown)" : "");
    return 1;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (argc < 2)
        return wrong_usage("a command is missing", "");
    if (keys_start() < 0) {
        (void)fputs("mesh-keys: the system gives no random numbers\n", stderr);
        return 1;
    }
    if (strcmp(argv[1], "init") == 0)
        return argc == 3 ? command_init(argv[2]) : wrong_usage("init takes one DIR", "");
    if (strcmp(argv[1], "issue") == 0)
        return argc == 6 ? command_issue(argv[2], argv[3], argv[4], argv[5])
                         : wrong_usage("issue takes DIR NAME ROLES SCOPE", "");
    if (strcmp(argv[1], "rotate") == 0)
        return argc == 4 ? command_rotate(argv[2], argv[3])
                         : wrong_usage("rotate takes DIR and NAME", "");
    if (strcmp(argv[1], "show") == 0)
        return argc == 3 ? command_show(argv[2]) : wrong_usage("show takes one FILE", "");
    if (strcmp(argv[1], "permissions") == 0)
        return argc == 4 ? command_permissions(argv[2], argv[3])
                         : wrong_usage("permissions takes nats or redis, and DIR", "");
    return wrong_usage("unknown command: ", argv[1]);
}
