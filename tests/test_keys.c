/* Keys, certificates, chains and their files: every verdict reached, every byte of a certificate
 * covered, files that are refused and why. */
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/keys.h"
#include "tiers/runner/tls.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW_S  1795000000LL
#define NOW_MS (NOW_S * 1000)
#define DAY_S  86400LL

/* A mesh with one process and one session of it, all parts open to change. */
struct fixture {
    struct key_pair issuer;
    struct identity id;
    struct session_key session;
    struct cert session_cert;
    uint8_t chain[CHAIN_BYTES];
};

static void process_seal(struct fixture *f)
{
    cert_seal(&f->id.cert, f->issuer.secret, f->id.cert_bytes);
    memcpy(f->chain, f->id.cert_bytes, CERT_BYTES);
}

static void session_seal(struct fixture *f)
{
    cert_seal(&f->session_cert, f->id.key.secret, f->chain + CERT_BYTES);
}

static void fixture_make(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    key_pair_make(&f->issuer);
    memcpy(f->id.issuer_public, f->issuer.public_key, PUBLIC_BYTES);
    f->id.mesh = f->issuer.kid;
    key_pair_make(&f->id.key);
    f->id.cert = (struct cert){
        .kind = CERT_PROCESS,
        .roles = ROLE_CLUSTER | ROLE_SECTOR,
        .scope_count = 2,
        .scope = {{unit_cluster(1, 1), unit_cluster(25, 10)}, {unit_sector(1), unit_sector(25)}},
        .capabilities = 0xff,
        .issuer_kid = f->issuer.kid,
        .not_before_s = NOW_S - DAY_S,
        .not_after_s = NOW_S + 20 * DAY_S,
        .epoch = 5};
    assert_true(endpoint_make("cluster-03", 10, 0, &f->id.cert.subject));
    memcpy(f->id.cert.public_key, f->id.key.public_key, PUBLIC_BYTES);
    process_seal(f);
    assert_int_equal(session_make(&f->id, 7, NULL, 0, NOW_MS, 0, &f->session), CERT_OK);
    memcpy(f->chain + CERT_BYTES, f->session.cert_bytes, CERT_BYTES);
    assert_int_equal(cert_decode(f->session.cert_bytes, &f->session_cert), CERT_OK);
}

static enum cert_verdict verify_at(const struct fixture *f, int64_t now_s)
{
    struct cert process, session;
    return chain_verify(f->chain, f->id.issuer_public, now_s, &process, &session);
}

static void test_chain_is_accepted(void **state)
{
    (void)state;
    struct fixture f;
    struct cert process, session;
    fixture_make(&f);
    assert_int_equal(chain_verify(f.chain, f.id.issuer_public, NOW_S, &process, &session), CERT_OK);
    assert_string_equal(process.subject.token, "cluster-03");
    assert_int_equal(process.subject.port, 0);
    assert_int_equal(session.subject.port, 7);
    assert_int_equal(session.roles, ROLE_CLUSTER | ROLE_SECTOR);
    assert_int_equal(session.capabilities, 0xff);
    assert_int_equal(session.epoch, NOW_MS);
    assert_int_equal(session.scope_count, 2);
    assert_true(scope_has(session.scope, 2, unit_cluster(7, 64)));
    assert_true(scope_has(session.scope, 2, unit_sector(25)));
    assert_false(scope_has(session.scope, 2, unit_sector(26)));
    assert_false(scope_has(session.scope, 2, unit_cluster(25, 11)));
    assert_false(scope_has(session.scope, 2, unit_agent(1, 1, 1)));
    assert_false(scope_has(session.scope, 2, unit_orchestrator()));
    /* Renewal at half of what was left, a later epoch even when the clock went back. */
    assert_in_range(f.session.renew_at_s, NOW_S + 11 * 3600LL, NOW_S + 12 * 3600LL);
    struct session_key next;
    assert_int_equal(session_make(&f.id, 7, NULL, 0, NOW_MS - 5000, f.session.epoch, &next),
                     CERT_OK);
    assert_int_equal(next.epoch, f.session.epoch + 1);
    assert_int_not_equal(next.key.kid, f.session.key.kid);
}

static void test_every_verdict(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f);
    assert_int_equal(verify_at(&f, NOW_S + 2 * DAY_S), CERT_EXPIRED);
    assert_int_equal(verify_at(&f, NOW_S - 10 * DAY_S), CERT_NOT_YET_VALID);
    assert_int_equal(verify_at(&f, f.session.not_after_s - 1), CERT_OK);
    assert_int_equal(verify_at(&f, f.session.not_after_s), CERT_EXPIRED);

    struct fixture g;
    fixture_make(&g);
    memcpy(g.chain, f.chain, CERT_BYTES); /* the session of another process of another mesh */
    assert_int_equal(verify_at(&g, NOW_S), CERT_WRONG_ISSUER);
    fixture_make(&g);
    memcpy(g.chain, g.chain + CERT_BYTES, CERT_BYTES);
    assert_int_equal(verify_at(&g, NOW_S), CERT_WRONG_KIND);
    fixture_make(&g);
    memcpy(g.chain + CERT_BYTES, g.chain, CERT_BYTES);
    assert_int_equal(verify_at(&g, NOW_S), CERT_WRONG_KIND);
    fixture_make(&g);
    g.chain[0] ^= 1;
    assert_int_equal(verify_at(&g, NOW_S), CERT_SHAPE);
    fixture_make(&g);
    g.chain[CERT_BYTES - 1] ^= 1;
    assert_int_equal(verify_at(&g, NOW_S), CERT_BAD_SIGNATURE);

    /* An issuer that names the right kid, but whose key is another. */
    fixture_make(&g);
    cert_seal(&g.id.cert, f.issuer.secret, g.chain);
    assert_int_equal(verify_at(&g, NOW_S), CERT_BAD_SIGNATURE);
    fixture_make(&g);
    cert_seal(&g.session_cert, f.id.key.secret, g.chain + CERT_BYTES);
    assert_int_equal(verify_at(&g, NOW_S), CERT_BAD_SIGNATURE);

    fixture_make(&g);
    g.id.cert.issuer_kid ^= 1;
    process_seal(&g);
    assert_int_equal(verify_at(&g, NOW_S), CERT_WRONG_ISSUER);

    fixture_make(&g);
    g.id.cert.not_after_s = g.id.cert.not_before_s + CERT_PROCESS_LIFE_S + 1;
    process_seal(&g);
    assert_int_equal(verify_at(&g, NOW_S), CERT_TOO_LONG_LIVED);
    fixture_make(&g);
    g.session_cert.not_after_s = g.session_cert.not_before_s + CERT_SESSION_LIFE_S + 1;
    session_seal(&g);
    assert_int_equal(verify_at(&g, NOW_S), CERT_TOO_LONG_LIVED);
    fixture_make(&g);
    g.id.cert.not_after_s = NOW_S + 3600;
    process_seal(&g);
    assert_int_equal(verify_at(&g, NOW_S), CERT_OUTLIVES_PARENT);
    fixture_make(&g);
    assert_true(endpoint_make("cluster-04", 10, 7, &g.session_cert.subject));
    session_seal(&g);
    assert_int_equal(verify_at(&g, NOW_S), CERT_TOKEN_CHANGED);
    fixture_make(&g);
    g.session_cert.roles |= ROLE_ORCHESTRATOR;
    session_seal(&g);
    assert_int_equal(verify_at(&g, NOW_S), CERT_ROLE_WIDENED);
    fixture_make(&g);
    g.session_cert.capabilities |= 0x100;
    session_seal(&g);
    assert_int_equal(verify_at(&g, NOW_S), CERT_CAPABILITY_WIDENED);
}

static void test_scope_may_only_narrow(void **state)
{
    (void)state;
    static const struct {
        struct unit first, last;
        enum cert_verdict verdict;
    } cases[] = {
        {{.tier = TIER_SECTOR, .sector = 25}, {.tier = TIER_SECTOR, .sector = 25}, CERT_OK},
        {{.tier = TIER_SECTOR, .sector = 1},
         {.tier = TIER_SECTOR, .sector = 26},
         CERT_SCOPE_WIDENED},
        {{.tier = TIER_CLUSTER, .sector = 3, .cluster = 1},
         {.tier = TIER_CLUSTER, .sector = 25, .cluster = 10},
         CERT_OK},
        {{.tier = TIER_CLUSTER, .sector = 1, .cluster = 0},
         {.tier = TIER_CLUSTER, .sector = 1, .cluster = 9},
         CERT_SCOPE_WIDENED},
        {{.tier = TIER_CLUSTER, .sector = 25, .cluster = 1},
         {.tier = TIER_CLUSTER, .sector = 25, .cluster = 11},
         CERT_SCOPE_WIDENED},
        {{.tier = TIER_AGENT, .sector = 2, .cluster = 1, .agent = 1},
         {.tier = TIER_AGENT, .sector = 2, .cluster = 1, .agent = 1},
         CERT_SCOPE_WIDENED},
        {{.tier = TIER_ORCHESTRATOR}, {.tier = TIER_ORCHESTRATOR}, CERT_SCOPE_WIDENED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        fixture_make(&f);
        memset(f.session_cert.scope, 0, sizeof(f.session_cert.scope));
        f.session_cert.scope[0] = (struct unit_range){cases[i].first, cases[i].last};
        f.session_cert.scope_count = 1;
        session_seal(&f);
        assert_int_equal(verify_at(&f, NOW_S), cases[i].verdict);
    }
}

/* Signs any 236 bytes as an issuer could who does not use cert_seal. */
static void resign(uint8_t *cert, const uint8_t *secret)
{
    uint8_t input[20 + 236] = "mesh30k/cert/01";
    input[16] = 236;
    memcpy(input + 20, cert, 236);
    crypto_sign_detached(cert + 236, NULL, input, sizeof(input), secret);
}

static void test_one_encoding_only(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint8_t value;
    } cases[] = {
        {4, 2},  {5, 3},  {6, 0x46},    {8, 1},   {9, 1},      {11, 0x80},  {12, 'C'},
        {27, 1}, {28, 9}, {29, 1},      {35, 1},  {37, 1},     {36, 0},     {36, 99},
        {44, 4}, {83, 1}, {36 + 38, 9}, {163, 1}, {219, 0x80}, {227, 0x80}, {22, 'x'},
    };
    struct fixture f;
    fixture_make(&f);
    resign(f.chain + CERT_BYTES, f.id.key.secret);
    assert_int_equal(verify_at(&f, NOW_S), CERT_OK); /* the helper signs rightly */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture_make(&f);
        f.chain[CERT_BYTES + cases[i].offset] = cases[i].value;
        resign(f.chain + CERT_BYTES, f.id.key.secret);
        bool token_grew = cases[i].offset == 22; /* "cluster-03x" is a good token */
        assert_int_equal(verify_at(&f, NOW_S), token_grew ? CERT_TOKEN_CHANGED : CERT_SHAPE);
    }
}

static void test_every_bit_of_a_chain_counts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f);
    for (size_t i = 0; i < CHAIN_BYTES; i++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            f.chain[i] ^= (uint8_t)(1u << bit);
            assert_int_not_equal(verify_at(&f, NOW_S), CERT_OK);
            f.chain[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_int_equal(verify_at(&f, NOW_S), CERT_OK);
}

static void test_session_needs_a_valid_process(void **state)
{
    (void)state;
    struct fixture f;
    struct session_key key = {.epoch = 42};
    fixture_make(&f);
    assert_int_equal(session_make(&f.id, 0, NULL, 0, NOW_MS + 21 * DAY_S * 1000, 0, &key),
                     CERT_EXPIRED);
    assert_int_equal(session_make(&f.id, 0, NULL, 0, NOW_MS - 2 * DAY_S * 1000, 0, &key),
                     CERT_NOT_YET_VALID);
    assert_int_equal(key.epoch, 42);
    /* Near its process's end a session is shorter. */
    assert_int_equal(session_make(&f.id, 0, NULL, 0, (f.id.cert.not_after_s - 600) * 1000, 0, &key),
                     CERT_OK);
    assert_int_equal(key.not_after_s, f.id.cert.not_after_s);
    assert_int_equal(key.renew_at_s, f.id.cert.not_after_s - 300);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned a = 0; a < CERT_VERDICT_COUNT; a++) {
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(cert_verdict_name(a), cert_verdict_name(b));
    }
    uint16_t roles;
    char text[64];
    assert_true(roles_parse("host,sim", &roles));
    assert_int_equal(roles, ROLE_HOST | ROLE_SIM);
    roles_format(ROLES_ALL, text, sizeof(text));
    assert_string_equal(text, "orchestrator,sector,cluster,host,console,sim");
    assert_true(roles_parse(text, &roles));
    assert_int_equal(roles, ROLES_ALL);
    static const char *const bad[] = {"", ",", "host,", "hosts", "HOST", "host,,sim", "issuer"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(roles_parse(bad[i], &roles));
}

static void test_scope_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t roles;
        const char *expected; /* NULL: refused */
    } cases[] = {
        {"mesh", ROLE_ORCHESTRATOR, "mesh"},
        {"mesh", ROLE_SECTOR, "s01-end"},
        {"mesh", ROLE_CLUSTER, "s01.c1-end"},
        {"mesh", ROLE_HOST | ROLE_SIM, "s01.c1.a1-end,h0-end"},
        {"s01-s25", ROLE_SECTOR, "s01-s25"},
        {"s01-s25", ROLE_CLUSTER, "s01.c1-s25.c65535"},
        {"s01.c1-s25.c10", ROLE_CLUSTER, "s01.c1-s25.c10"},
        {"s03", ROLE_SECTOR | ROLE_CLUSTER, "s03,s03.c1-s03.c65535"},
        {"s03.c4.a12", ROLE_HOST, "s03.c4.a12"},
        {"s03.c4,h1-h40", ROLE_HOST, "s03.c4.a1-s03.c4.a65535,h1-h40"},
        {"console7", ROLE_CONSOLE, "console7"},
        {"", ROLE_SECTOR, NULL},
        {"s01-", ROLE_SECTOR, NULL},
        {"s25-s01", ROLE_SECTOR, NULL},
        {"h9-h2", ROLE_HOST, NULL},
        {"s01-s02.c1", ROLE_CLUSTER, NULL},
        {"s01.c1", ROLE_SECTOR, NULL},
        {"s01", ROLE_ORCHESTRATOR, NULL},
        {"h1", ROLE_CLUSTER, NULL},
        {"s01.c1", ROLE_SECTOR | ROLE_CLUSTER, NULL},
        {"s01,", ROLE_SECTOR, NULL},
        {"s01,s03,s05,s07,s09,s11,s13,s15", ROLE_SECTOR, "s01,s03,s05,s07,s09,s11,s13,s15"},
        {"s01,s03,s05,s07,s09,s11,s13,s15,s17", ROLE_SECTOR, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct unit_range scope[SCOPES_MAX];
        uint8_t count = 0;
        const char *why = NULL;
        char text[256];
        bool ok = scope_parse(cases[i].text, cases[i].roles, scope, &count, &why);
        assert_int_equal(ok, cases[i].expected != NULL);
        if (!ok) {
            assert_true(why && strlen(why) > 5);
            continue;
        }
        scope_format(scope, count, text, sizeof(text));
        assert_string_equal(text, cases[i].expected);
    }
}

/* ---- files ---- */

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/test-keys-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    DIR *open_dir = opendir(dir);
    struct dirent *entry;
    while (open_dir && (entry = readdir(open_dir))) {
        char path[sizeof(dir) + sizeof(entry->d_name) + 1];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.')
            (void)remove(path);
    }
    if (open_dir)
        (void)closedir(open_dir);
    return rmdir(dir);
}

static const char *in_dir(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777u;
}

static int issue(const char *name, int64_t now_s, struct keys_error *why)
{
    struct keys_request r = {.name = name,
                             .roles = ROLE_CLUSTER,
                             .scope_count = 1,
                             .scope = {{unit_cluster(1, 1), unit_cluster(2, 10)}},
                             .capabilities = 3,
                             .life_s = CERT_PROCESS_LIFE_S};
    return keys_issue(dir, &r, now_s, why);
}

static void test_files_round_trip(void **state)
{
    (void)state;
    struct keys_error why = {""};
    bool made = false;
    uint64_t mesh = 0, again = 0;
    struct identity id;
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    assert_true(made);
    assert_int_equal(keys_init_issuer(dir, &made, &again, &why), 0);
    assert_false(made);
    assert_int_equal(again, mesh);
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);
    assert_int_equal(mode_of(in_dir("issuer.key")), 0600);
    assert_int_equal(mode_of(in_dir("cluster-03.key")), 0600);
    assert_int_equal(mode_of(in_dir("cluster-03.cert")), 0600);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), 0);
    assert_int_equal(id.mesh, mesh);
    assert_int_equal(id.cert.epoch, NOW_S);
    struct session_key key;
    struct cert process, session;
    uint8_t chain[CHAIN_BYTES];
    assert_int_equal(session_make(&id, 0, NULL, 0, NOW_MS, 0, &key), CERT_OK);
    memcpy(chain, id.cert_bytes, CERT_BYTES);
    memcpy(chain + CERT_BYTES, key.cert_bytes, CERT_BYTES);
    assert_int_equal(chain_verify(chain, id.issuer_public, NOW_S, &process, &session), CERT_OK);
    uint64_t kid = id.key.kid;
    identity_done(&id);
    assert_int_equal(id.key.kid, 0);

    /* Issuing again: the same key, a later certificate. */
    assert_int_equal(issue("cluster-03", NOW_S + 100, &why), 0);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), 0);
    assert_int_equal(id.key.kid, kid);
    assert_int_equal(id.cert.epoch, NOW_S + 100);
    identity_done(&id);
}

static bool tls_pair_fits(void)
{
    FILE *key_file = fopen(in_dir("cluster-03.tls.key"), "r");
    FILE *cert_file = fopen(in_dir("cluster-03.tls.crt"), "r");
    EVP_PKEY *key = key_file ? PEM_read_PrivateKey(key_file, NULL, NULL, NULL) : NULL;
    X509 *cert = cert_file ? PEM_read_X509(cert_file, NULL, NULL, NULL) : NULL;
    bool fits = key && cert && X509_check_private_key(cert, key) == 1;
    if (key_file)
        fclose(key_file);
    if (cert_file)
        fclose(cert_file);
    X509_free(cert);
    EVP_PKEY_free(key);
    return fits;
}

/* A key and its certificate are two files: whenever the power goes, what is found is a pair. */
static void test_a_pair_is_replaced_whole(void **state)
{
    (void)state;
    struct keys_error why = {""};
    bool made;
    uint64_t mesh;
    struct identity id;
    struct key_pair next;
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), 0);
    uint64_t first = id.key.kid;

    /* The next key is written, its certificate is not: the present one. */
    assert_int_equal(keys_own_key(dir, "cluster-03" KEYS_NEXT, &next, &why), 0);
    assert_int_equal(keys_settle(dir, "cluster-03", &why), 0);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), 0);
    assert_int_equal(id.key.kid, first);

    /* Its certificate is written, the key is not in its place: the next one, before and after. */
    struct keys_request r = {.name = "cluster-03",
                             .roles = ROLE_CLUSTER,
                             .scope_count = 1,
                             .scope = {{unit_cluster(1, 1), unit_cluster(2, 10)}},
                             .life_s = CERT_PROCESS_LIFE_S,
                             .public_key = next.public_key};
    assert_int_equal(keys_issue(dir, &r, NOW_S + 10, &why), 0);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), 0);
    assert_int_equal(id.key.kid, next.kid);
    assert_int_equal(access(in_dir("cluster-03.next.key"), F_OK), 0);
    assert_int_equal(keys_settle(dir, "cluster-03", &why), 0);
    assert_int_equal(access(in_dir("cluster-03.next.key"), F_OK), -1);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), 0);
    assert_int_equal(id.key.kid, next.kid);

    /* A key that is not of this certificate helps nobody. */
    assert_int_equal(remove(in_dir("cluster-03.key")), 0);
    assert_int_equal(keys_own_key(dir, "cluster-03", &next, &why), 0);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), -EBADMSG);
    assert_non_null(strstr(why.text, "does not belong to the key"));
    identity_done(&id);
}

/* A process that replaces both pairs for ever is killed at any point. */
static void test_a_pair_survives_kill(void **state)
{
    (void)state;
    struct keys_error why = {""};
    bool made;
    uint64_t mesh;
    struct identity id;
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    assert_int_equal(tls_init(dir, &why), 0);
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);
    assert_int_equal(tls_issue(dir, "cluster-03", mesh, NOW_S, 86400, &why), 0);
    for (unsigned round = 0; round < 30; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            while (keys_rotate(dir, "cluster-03", NOW_S, 0, &why) == 0 &&
                   tls_issue(dir, "cluster-03", mesh, NOW_S, 86400, &why) == 0) {
            }
            _exit(1);
        }
        usleep(2000 + round * 371);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        if (identity_load(dir, "cluster-03", &id, &why) != 0)
            fail_msg("round %u: %s", round, why.text);
        assert_int_equal(tls_settle(dir, "cluster-03", &why), 0);
        assert_true(tls_pair_fits());
    }
    identity_done(&id);
}

static void link_fault(const char *wanted)
{
    struct keys_error why = {""};
    uint64_t mesh = 0;
    assert_int_equal(keys_load_mesh(dir, &mesh, &why), 0);
    int rc = tls_check(dir, "cluster-03", mesh, NOW_S, &why);
    assert_int_equal(rc == 0, wanted == NULL);
    if (wanted != NULL && strstr(why.text, wanted) == NULL)
        fail_msg("'%s' instead of '%s'", why.text, wanted);
}

static void take_from(const char *from, const char *to)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s", in_dir(to));
    assert_int_equal(rename(in_dir(from), path), 0);
}

/* What is wrong with the files of a link, before there is one. */
static void test_links_are_checked(void **state)
{
    (void)state;
    struct keys_error why = {""};
    bool made;
    uint64_t mesh;
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    assert_int_equal(tls_init(dir, &why), 0);
    link_fault("cluster-03.tls.key: cannot open");
    assert_int_equal(tls_issue(dir, "cluster-03", mesh, NOW_S, 86400, &why), 0);
    link_fault(NULL);
    assert_int_equal(tls_check(dir, "cluster-03", mesh, NOW_S + 86401, &why) < 0, 1);
    assert_non_null(strstr(why.text, "is expired"));
    assert_int_equal(tls_check(dir, "cluster-03", mesh + 1, NOW_S, &why) < 0, 1);
    assert_non_null(strstr(why.text, "of another process or mesh"));
    assert_int_equal(tls_issue(dir, "cluster-04", mesh, NOW_S, 86400, &why), 0);
    take_from("cluster-04.tls.crt", "cluster-03.tls.crt");
    link_fault("is not for the key beside it");
    take_from("cluster-04.tls.key", "cluster-03.tls.key");
    link_fault("of another process or mesh");
    assert_int_equal(tls_issue(dir, "cluster-03", mesh, NOW_S, 86400, &why), 0);
    assert_int_equal(remove(in_dir("ca.key")), 0);
    assert_int_equal(remove(in_dir("ca.crt")), 0);
    assert_int_equal(tls_init(dir, &why), 0); /* another authority */
    link_fault("not signed by the authority");
    assert_int_equal(remove(in_dir("ca.crt")), 0);
    link_fault("ca.crt: cannot open");
}

static void overwrite(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_load(int rc, const char *in_text)
{
    struct keys_error why = {""};
    struct identity id;
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), rc);
    assert_non_null(strstr(why.text, in_text));
}

/* An expired certificate and a clock that is wrong look alike: both are named, and by how much. */
static void test_own_time(void **state)
{
    (void)state;
    struct keys_error why = {""};
    struct identity id;
    bool made;
    uint64_t mesh;
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);
    assert_int_equal(identity_load(dir, "cluster-03", &id, &why), 0);
    assert_int_equal(identity_in_time(dir, &id, id.cert.not_before_s, &why), 0);
    assert_int_equal(identity_in_time(dir, &id, id.cert.not_after_s - 1, &why), 0);
    assert_int_equal(identity_in_time(dir, &id, id.cert.not_after_s, &why), -EKEYEXPIRED);
    assert_non_null(strstr(why.text, "cluster-03.cert: expired 0 s ago"));
    assert_non_null(strstr(why.text, "mesh keys rotate"));
    assert_int_equal(identity_in_time(dir, &id, id.cert.not_after_s + 3 * 86400, &why),
                     -EKEYEXPIRED);
    assert_non_null(strstr(why.text, "expired 3 days ago"));
    assert_int_equal(identity_in_time(dir, &id, id.cert.not_before_s - 7200, &why), -EKEYREJECTED);
    assert_non_null(strstr(why.text, "not-yet-valid: begins in 2 hours"));
    assert_non_null(strstr(why.text, "is the clock right?"));
    identity_done(&id);
}

static void test_files_refused(void **state)
{
    (void)state;
    struct keys_error why = {""};
    bool made;
    uint64_t mesh;
    assert_int_equal(issue("cluster-03", NOW_S, &why), -ENOENT); /* no issuer yet */
    assert_non_null(strstr(why.text, "issuer.key: cannot open"));
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    static const char *const bad[] = {"", "Upper", "../x", "a/b", "issuer", "seventeen-letters"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(issue(bad[i], NOW_S, &why), -EINVAL);
    expect_load(-ENOENT, "cluster-03.key: cannot open");
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);
    assert_int_equal(issue("cluster-04", NOW_S, &why), 0);

    assert_int_equal(chmod(in_dir("cluster-03.key"), 0640), 0);
    expect_load(-EACCES, "run: chmod 600");
    assert_int_equal(chmod(in_dir("cluster-03.key"), 0600), 0);

    char other[128];
    (void)snprintf(other, sizeof(other), "%s", in_dir("cluster-04.cert"));
    assert_int_equal(rename(other, in_dir("cluster-03.cert")), 0);
    expect_load(-EBADMSG, "is the certificate of \"cluster-04\"");
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);

    overwrite(in_dir("cluster-03.cert"), "mesh30k certificate 1\n00ff\n");
    expect_load(-EBADMSG, "line 2: expected 600 hex digits");
    overwrite(in_dir("cluster-03.cert"), "mesh30k process-key 1\n00ff\n");
    expect_load(-EBADMSG, "is a \"mesh30k process-key\"; a \"mesh30k certificate\" belongs here");
    overwrite(in_dir("cluster-03.cert"), "-----BEGIN CERTIFICATE-----\n");
    expect_load(-EBADMSG, "line 1: expected \"mesh30k certificate 1\", and this is PEM");
    overwrite(in_dir("cluster-03.cert"), "mesh30k certificate 1\r\n00ff\r\n");
    expect_load(-EBADMSG, "run: sed -i 's/\\r$//'");
    overwrite(in_dir("cluster-03.cert"), "00ff\n");
    expect_load(-EBADMSG, "line 1: expected \"mesh30k certificate 1\"");
    overwrite(in_dir("cluster-03.cert"), "");
    expect_load(-EBADMSG, "is empty");
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);
    assert_int_equal(remove(in_dir("cluster-03.key")), 0);
    assert_int_equal(mkdir(in_dir("cluster-03.key"), 0700), 0);
    expect_load(-EINVAL, "is not a regular file");
    assert_int_equal(remove(in_dir("cluster-03.key")), 0);
    (void)snprintf(other, sizeof(other), "%s", in_dir("cluster-04.key"));
    assert_int_equal(rename(other, in_dir("cluster-03.key")), 0);
    expect_load(-EBADMSG, "does not belong to the key");

    /* Another mesh's issuer.pub; half an issuer. */
    assert_int_equal(remove(in_dir("cluster-03.key")), 0);
    assert_int_equal(issue("cluster-03", NOW_S, &why), 0);
    assert_int_equal(remove(in_dir("issuer.pub")), 0);
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), -EEXIST);
    assert_non_null(strstr(why.text, "issuer.key"));
    assert_int_equal(remove(in_dir("issuer.key")), 0);
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    expect_load(-EBADMSG, "was not signed by this mesh's issuer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_is_accepted),
        cmocka_unit_test(test_every_verdict),
        cmocka_unit_test(test_scope_may_only_narrow),
        cmocka_unit_test(test_one_encoding_only),
        cmocka_unit_test(test_every_bit_of_a_chain_counts),
        cmocka_unit_test(test_session_needs_a_valid_process),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_scope_text),
        cmocka_unit_test_setup_teardown(test_files_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_pair_is_replaced_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_pair_survives_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_are_checked, setup, teardown),
    };
    if (keys_start() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
