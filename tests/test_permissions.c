/* Who may talk to whom, and what the servers are told about it. */
#include "core/lease.h"
#include "registry/keys.h"
#include "tests/support/identities.h"
#include "tiers/runner/permissions.h"
#include "tiers/runner/trustfiles.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct cert cert_of(const char *name, const char *roles, const char *scope)
{
    struct cert c = {.kind = CERT_PROCESS};
    const char *bad;
    assert_true(endpoint_make(name, strlen(name), 0, &c.subject));
    assert_true(roles_parse(roles, &c.roles));
    assert_true(scope_parse(scope, c.roles, c.scope, &c.scope_count, &bad));
    return c;
}

static void business_by_role_and_place(void **state)
{
    (void)state;
    struct cert o = cert_of("o", "orchestrator", "mesh"), op = cert_of("op", "console", "mesh");
    struct cert s1 = cert_of("s1", "sector", "s01-s02"), s2 = cert_of("s2", "sector", "s03");
    struct cert c1 = cert_of("c1", "cluster", "s01.c1-s01.c5");
    struct cert c2 = cert_of("c2", "cluster", "s01.c6-s01.c9");
    struct cert c3 = cert_of("c3", "cluster", "s03"), h1 = cert_of("h1", "host", "s01.c2,h7");
    struct cert h2 = cert_of("h2", "sim", "s03.c1,h9");
    const struct {
        const struct cert *a, *b;
        bool may;
    } pairs[] = {
        {&o, &s1, true},  {&o, &s2, true},   {&o, &op, true},   {&o, &c1, false},
        {&o, &h1, false}, {&s1, &s2, true},  {&s1, &op, true},  {&s1, &c1, true},
        {&s1, &c2, true}, {&s1, &c3, false}, {&s1, &h1, true},  {&s1, &h2, false},
        {&s2, &c3, true}, {&c1, &h1, true},  {&c2, &h1, false}, {&c1, &c2, false},
        {&c3, &h2, true}, {&c1, &op, false}, {&h1, &h2, false}, {&h1, &op, false},
        {&op, &op, true},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_int_equal(permission_between(pairs[i].a, pairs[i].b), pairs[i].may);
        assert_int_equal(permission_between(pairs[i].b, pairs[i].a), pairs[i].may);
    }
}

static char dir[64];

static void issue(const char *name, const char *roles, const char *scope)
{
    struct keys_error why;
    const char *bad;
    struct keys_request r = {.name = name, .capabilities = 1, .life_s = CERT_PROCESS_LIFE_S};
    assert_true(roles_parse(roles, &r.roles));
    assert_true(scope_parse(scope, r.roles, r.scope, &r.scope_count, &bad));
    assert_int_equal(keys_issue(dir, &r, clock_unix_us() / 1000000, &why), 0);
    assert_int_equal(keys_make_password(dir, name, &why), 0);
}

static char *text_of(int (*make)(const char *, FILE *, struct keys_error *), int wanted,
                     struct keys_error *why)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    assert_int_equal(make(dir, out, why), wanted);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void what_the_servers_are_told(void **state)
{
    struct keys_error why;
    bool made;
    uint64_t mesh;
    (void)state;
    (void)strcpy(dir, "/tmp/mesh-permissions-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    assert_int_equal(trust_init_roots(dir, &why), 0);
    assert_int_equal(keys_make_password(dir, PERMISSION_ADMIN, &why), 0);
    issue("cluster-1", "cluster", "s01.c1-s01.c2");
    issue("host-1", "host", "s01.c1,h1");
    issue("operator", "console", "mesh");
    char *nats = text_of(permissions_nats, 0, &why);
    assert_non_null(strstr(nats, "\"mesh.p.cluster-1.*.host-1.*\""));
    assert_null(strstr(nats, "\"mesh.p.operator.*.host-1.*\""));
    assert_null(strstr(nats, "\">\""));
    assert_null(strstr(nats, "deny"));
    const char *asks = strstr(nats, "\"$SRV.PING\""), *hears = strstr(nats, "\"$SRV.>\"");
    assert_non_null(
        asks); /* the operator asks, the lead hears and answers once, the host neither */
    assert_non_null(hears);
    assert_null(strstr(asks + 1, "\"$SRV.PING\""));
    assert_null(strstr(hears + 1, "\"$SRV.>\""));
    assert_non_null(strstr(nats, "\"mesh.all.>\", \"_INBOX.operator.>\"] }"));
    assert_int_equal(strncmp(strchr(hears, '\n'), "\n      allow_responses: { max: 1,", 32), 0);
    char *redis = text_of(permissions_redis, 0, &why);
    assert_int_equal(strncmp(redis, "user default off resetpass ~* &* +@all\n", 39), 0);
    assert_non_null(strstr(redis, " ~mesh*:{s01.c2}:*"));
    assert_non_null(strstr(redis, " ~mesh:{u[0-9a-f][0-9a-f]}:place:* %R~mesh:{s*.c*}:agent:*"));
    assert_null(strstr(redis, "user operator")); /* consoles have no business there */
    const char *host = strstr(redis, "user host-1 on #");
    struct lease lease; /* what the process asks the store for is what its user may touch */
    char own[STORE_KEY_MAX + 32];
    lease_init(&lease, "host-1", "host-1:1:a", 1, 0);
    (void)snprintf(own, sizeof(own), " ~" KEY_LEASE " ", "mesh", lease.key);
    assert_non_null(host);
    assert_non_null(strstr(host, own));
    assert_null(strstr(host, "{s01"));
    const char *lead = strstr(redis, "user cluster-1");
    assert_non_null(lead);
    assert_null(strstr(lead, "+@all"));
    free(nats);
    free(redis);

    char path[128], command[128];
    (void)snprintf(path, sizeof(path), "%s/rogue.cert", dir);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    (void)fputs("mesh30k certificate 1\nzz\n", out);
    (void)fclose(out);
    free(text_of(permissions_nats, -EBADMSG, &why));
    assert_non_null(strstr(why.text, "rogue.cert"));
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(business_by_role_and_place),
        cmocka_unit_test(what_the_servers_are_told),
    };
    return keys_start() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
