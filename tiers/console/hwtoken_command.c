/* `mesh keys token`: hardware tokens of operators, in the keys folder and in the trust bundle.
 * Apart from the other `mesh keys`, for this alone needs libfido2. */
#include "tiers/console/hwlogin.h"
#include "tiers/runner/trustfiles.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATH_BYTES 4096u

static const char usage[] =
    "usage: mesh keys token enroll DIR NAME [--root FILE]..   the token that is plugged in, for "
    "the "
    "operator NAME\n"
    "       mesh keys token add DIR FILE [--root FILE]..      one that was enrolled elsewhere "
    "(FILE: NAME.KID.token)\n"
    "       mesh keys token remove DIR NAME KID [--root FILE]..   its sessions end at once\n"
    "       mesh keys token list DIR\n"
    "\n"
    "Whose name has a token in the trust bundle opens no session without one of them. Two of the "
    "mesh's\n"
    "three root keys sign the bundle: those in DIR, and --root FILE. Without them enroll leaves "
    "the "
    "file\n"
    "to be added where they are.\n";

static int wrong_usage(const char *why, const char *text)
{
    (void)fprintf(stderr, "mesh keys token: %s%s\n%s", why, text, usage);
    return 2;
}

static int failed(const struct keys_error *why)
{
    (void)fprintf(stderr, "mesh keys token: %s\n", why->text);
    return 1;
}

static const char *algorithm_name(const struct trust_hwtoken *t)
{
    return t->algorithm == HWTOKEN_EDDSA ? "EdDSA" : "ES256";
}

/* ---- the bundle of the directory ---- */

static int bundle_load(const char *dir, struct trust_state *ret, uint64_t *ret_mesh,
                       struct keys_error *why)
{
    static struct identity identity;
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%.3900s/issuer.pub", dir);
    int rc = keys_load_public(path, identity.issuer_public, why);
    if (rc < 0)
        return rc;
    *ret_mesh = identity.mesh = key_kid(identity.issuer_public);
    return trust_load(dir, &identity, TRUST_ANY_TIME, ret, why);
}

/* --root FILE, three times at most. False: said. */
static bool roots_parse(int argc, char **argv, const char *ret[ROOTS_MAX], uint32_t *ret_count)
{
    for (int i = 0; i < argc; i += 2) {
        if (strcmp(argv[i], "--root") != 0 || i + 1 == argc || *ret_count == ROOTS_MAX) {
            (void)wrong_usage("--root takes a FILE, three times at most, and not ", argv[i]);
            return false;
        }
        ret[(*ret_count)++] = argv[i + 1];
    }
    return true;
}

static int publish(const char *dir, struct trust_request *request, uint64_t *ret_version,
                   struct keys_error *why)
{
    request->life_s = TRUST_LIFE_S;
    return trust_publish(dir, request, (int64_t)time(NULL), ret_version, why);
}

/* ---- verbs ---- */

/* NAME must be a console's, or the token would never be asked for. */
static int check_operator(const char *dir, const char *name, struct keys_error *why)
{
    char path[PATH_BYTES];
    uint8_t bytes[CERT_BYTES];
    struct cert cert;
    (void)snprintf(path, sizeof(path), "%.3900s/%s.cert", dir, name);
    int rc = keys_load_certificate(path, bytes, why);
    if (rc < 0)
        return rc;
    if (cert_decode(bytes, &cert) != CERT_OK || (cert.roles & ROLE_CONSOLE) == 0) {
        (void)snprintf(why->text, sizeof(why->text),
                       "%.300s: is no operator's: a token is for a certificate of the role console",
                       path);
        return -EINVAL;
    }
    return 0;
}

static uint32_t known_of(const char *dir, const struct trust *trust, const char *name,
                         struct hwcredential ret[HWDEVICE_KEYS])
{
    uint32_t count = 0;
    struct keys_error ignored;
    for (uint16_t i = 0; i < trust->hwtoken_count && count < HWDEVICE_KEYS; i++) {
        if (strcmp(trust->hwtokens[i].operator_name, name) == 0 &&
            hwcredential_find(dir, &trust->hwtokens[i], &ret[count], &ignored) == 0)
            count++;
    }
    return count;
}

static int command_enroll(const char *dir, const char *name, int argc, char **argv,
                          const struct hwdevice_user *user)
{
    static struct trust_state state;
    static struct hwcredential known[HWDEVICE_KEYS], made;
    const char *roots[ROOTS_MAX];
    char path[PATH_BYTES];
    struct keys_error why;
    uint64_t mesh, version;
    struct trust_request request = {.more = roots, .token_add = &made.token};
    if (!token_valid(name, strlen(name)))
        return wrong_usage("no operator's name: ", name);
    if (!roots_parse(argc, argv, roots, &request.more_count))
        return 2;
    if (check_operator(dir, name, &why) < 0 || bundle_load(dir, &state, &mesh, &why) < 0)
        return failed(&why);
    uint32_t count = known_of(dir, &state.trust, name, known);
    if (hwdevice_enroll(user, mesh, name, known, count, &made, &why) < 0 ||
        hwcredential_store(dir, &made, &why) < 0)
        return failed(&why);
    hwcredential_path(dir, &made.token, path, sizeof(path));
    (void)printf("%s: made (%s)\n", path, algorithm_name(&made.token));
    int rc = publish(dir, &request, &version, &why);
    if (rc == -EACCES) {
        (void)printf("to be added where two root keys are: mesh keys token add DIR %s\n", path);
        return 0;
    }
    if (rc < 0)
        return failed(&why);
    (void)printf("%s/trust.bundle: version %" PRIu64 ", %s opens sessions with this token\n", dir,
                 version, name);
    return 0;
}

static int command_add(const char *dir, const char *file, int argc, char **argv)
{
    static struct hwcredential c;
    const char *roots[ROOTS_MAX];
    struct keys_error why;
    uint64_t version;
    struct trust_request request = {.more = roots, .token_add = &c.token};
    if (!roots_parse(argc, argv, roots, &request.more_count))
        return 2;
    if (hwcredential_load(file, &c, &why) < 0 || publish(dir, &request, &version, &why) < 0)
        return failed(&why);
    (void)printf("%s/trust.bundle: version %" PRIu64
                 ", %s opens sessions with the token %016" PRIx64 "\n",
                 dir, version, c.token.operator_name, trust_hwtoken_kid(&c.token));
    return 0;
}

static int command_remove(const char *dir, const char *name, const char *kid, int argc, char **argv)
{
    const char *roots[ROOTS_MAX];
    struct keys_error why;
    uint64_t version;
    char *end = NULL;
    struct trust_request request = {.more = roots, .token_of = name};
    request.token_kid = strtoull(kid, &end, 16);
    if (strlen(kid) != 16 || *end != '\0' || request.token_kid == 0)
        return wrong_usage("KID is 16 hex digits, as list shows it, and not ", kid);
    if (!roots_parse(argc, argv, roots, &request.more_count))
        return 2;
    if (publish(dir, &request, &version, &why) < 0)
        return failed(&why);
    (void)printf("%s/trust.bundle: version %" PRIu64 ", removed %s's token %s\n", dir, version,
                 name, kid);
    return 0;
}

static int command_list(const char *dir)
{
    static struct trust_state state;
    static struct hwcredential c;
    struct keys_error why;
    uint64_t mesh;
    if (bundle_load(dir, &state, &mesh, &why) < 0)
        return failed(&why);
    for (uint16_t i = 0; i < state.trust.hwtoken_count; i++) {
        const struct trust_hwtoken *t = &state.trust.hwtokens[i];
        (void)printf("%-16s  %016" PRIx64 "  %s  %s\n", t->operator_name, trust_hwtoken_kid(t),
                     algorithm_name(t),
                     hwcredential_find(dir, t, &c, &why) == 0 ? "usable here"
                                                              : "its .token file is not here");
    }
    (void)printf("%u hardware tokens in the trust bundle, version %" PRIu64 "\n",
                 state.trust.hwtoken_count, state.trust.version);
    return 0;
}

int hwtoken_command(int argc, char **argv, const struct hwdevice_user *user)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (argc < 2)
        return wrong_usage("a command is missing", "");
    if (keys_start() < 0) {
        (void)fputs("mesh keys token: the system gives no random numbers\n", stderr);
        return 1;
    }
    const char *verb = argv[1];
    if (strcmp(verb, "enroll") == 0)
        return argc >= 4 ? command_enroll(argv[2], argv[3], argc - 4, argv + 4, user)
                         : wrong_usage("enroll takes DIR and NAME", "");
    if (strcmp(verb, "add") == 0)
        return argc >= 4 ? command_add(argv[2], argv[3], argc - 4, argv + 4)
                         : wrong_usage("add takes DIR and FILE", "");
    if (strcmp(verb, "remove") == 0)
        return argc >= 5 ? command_remove(argv[2], argv[3], argv[4], argc - 5, argv + 5)
                         : wrong_usage("remove takes DIR, NAME and KID", "");
    if (strcmp(verb, "list") == 0)
        return argc == 3 ? command_list(argv[2]) : wrong_usage("list takes one DIR", "");
    return wrong_usage("unknown command: ", verb);
}
