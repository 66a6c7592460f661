/* Enrollment without a network: what is checked, in which order, and that nobody gets more than the
 * token says; rotation's moments. Each test has a mesh's keys of its own in a temporary directory.
 */
#include "tiers/runner/enroll_join.h"
#include "tiers/runner/enroll_serve.h"
#include "tiers/runner/permissions.h"
#include "tiers/runner/rotation.h"
#include "tiers/runner/tls.h"
#include "tiers/runner/trustfiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64], join[96];
    struct keys_error why;
    uint64_t mesh;
    struct enroll_desk *desk;
    struct join_file file;
    struct key_pair own, tls;
    int64_t now_s;
};

static void clean(const char *dir)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static void token_for(struct fixture *f, const char *name, uint16_t roles, const char *scope,
                      uint64_t capabilities)
{
    struct keys_request request = {.name = name, .roles = roles, .capabilities = capabilities};
    const char *bad;
    uint64_t id;
    assert_true(scope_parse(scope, roles, request.scope, &request.scope_count, &bad));
    (void)unlink(f->join);
    if (join_token_make(f->dir, &request, "tls://127.0.0.1:1", f->now_s, 600, f->join, &id,
                        &f->why) < 0)
        fail_msg("%s", f->why.text);
    if (join_file_read(f->join, &f->file, &f->why) < 0)
        fail_msg("%s", f->why.text);
    assert_int_equal(f->file.token.kid, id);
    key_pair_make(&f->own);
    key_pair_make(&f->tls);
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    bool made;
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test-enroll-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->join, sizeof(f->join), "%.60s/a.join", f->dir);
    f->now_s = (int64_t)time(NULL);
    assert_int_equal(keys_start(), 0);
    assert_int_equal(keys_init_issuer(f->dir, &made, &f->mesh, &f->why), 0);
    assert_int_equal(tls_init(f->dir, &f->why), 0);
    assert_int_equal(trust_init_roots(f->dir, &f->why), 0);
    f->desk = enroll_desk_new(f->dir);
    token_for(f, "host-9", ROLE_HOST, "s01.c1.a1-s01.c1.a30,h9", 0x7);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    enroll_desk_free(f->desk);
    clean(f->dir);
    return 0;
}

static struct cert wish(const struct fixture *f)
{
    struct cert c = f->file.record;
    memcpy(c.public_key, f->own.public_key, PUBLIC_BYTES);
    c.issuer_kid = f->own.kid;
    c.not_before_s = f->now_s;
    c.not_after_s = f->now_s + CERT_PROCESS_LIFE_S;
    return c;
}

/* A proof with a fresh nonce, as an honest newcomer makes it. */
static void prove(struct fixture *f, const struct cert *wanted, uint8_t proof[ENROLL_PROOF_BYTES])
{
    uint8_t nonce[ENROLL_NONCE];
    assert_true(enroll_desk_nonce(f->desk, f->file.token.kid, f->now_s * 1000, nonce));
    assert_int_equal(enroll_proof(&f->file.token, &f->own, &f->tls, wanted, nonce, proof),
                     ENROLL_PROOF_BYTES);
}

static enum enroll_verdict check(struct fixture *f, const uint8_t *proof,
                                 struct enroll_request *ret)
{
    return enroll_desk_check(f->desk, proof, ENROLL_PROOF_BYTES, f->now_s * 1000, ret);
}

static enum enroll_verdict join(struct fixture *f, const struct cert *wanted,
                                struct enroll_grant *ret)
{
    static uint8_t answer[ENROLL_ANSWER_MAX];
    uint8_t proof[ENROLL_PROOF_BYTES];
    struct enroll_request request;
    enum enroll_verdict v, said = ENROLL_SHAPE;
    prove(f, wanted, proof);
    v = check(f, proof, &request);
    if (v != ENROLL_OK)
        return v;
    size_t n = enroll_desk_issue(f->desk, &request, f->now_s, answer, &v, &f->why);
    assert_true(enroll_answer_open(answer, n, f->file.token.kid, &f->own, f->file.issuer_public,
                                   &said, ret));
    assert_int_equal(said, v);
    return v;
}

/* ---- */

static void test_joins(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    struct cert wanted = wish(f), got;
    char out[96];
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
    assert_int_equal(cert_decode(grant.cert, &got), CERT_OK);
    assert_true(cert_signature_holds(grant.cert, f->file.issuer_public));
    assert_string_equal(got.subject.token, "host-9");
    assert_int_equal(got.roles, ROLE_HOST);
    assert_int_equal(got.capabilities, 0x7);
    assert_memory_equal(got.public_key, f->own.public_key, PUBLIC_BYTES);
    /* What it was given is a whole process's: it loads as one. */
    struct identity identity;
    struct key_pair kept;
    (void)snprintf(out, sizeof(out), "%.60s/new", f->dir);
    assert_int_equal(mkdtemp(strcat(out, "XXXXXX")) != NULL, 1);
    assert_int_equal(keys_own_key(out, "host-9", &kept, &f->why), 0); /* another key .. */
    assert_int_equal(
        keys_import(out, "host-9", f->file.issuer_public, grant.cert, grant.password, &f->why), 0);
    assert_true(identity_load(out, "host-9", &identity, &f->why) < 0); /* .. does not fit */
    assert_non_null(strstr(f->why.text, "does not belong to the key"));
    assert_int_equal(tls_import(out, "host-9", &f->tls, grant.pem, grant.pem_bytes, f->file.ca,
                                strlen(f->file.ca), &f->why),
                     0);
    assert_true(tls_import(out, "host-9", &f->own, grant.pem, grant.pem_bytes, f->file.ca,
                           strlen(f->file.ca), &f->why) < 0);
}

static void test_used_once(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    struct cert wanted = wish(f);
    struct join_token token;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
    assert_int_equal(join_token_get(f->dir, f->file.token.kid, &token, &f->why), 0);
    assert_int_equal(token.state, JOIN_USED);
    /* Whose answer was lost asks again with the same key, and gets the same rights. */
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
    key_pair_make(&f->own);
    wanted = wish(f);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_TOKEN_USED);
}

static void test_two_at_once(void **state)
{
    struct fixture *f = *state;
    uint8_t first[ENROLL_PROOF_BYTES], second[ENROLL_PROOF_BYTES];
    struct enroll_request request, other;
    struct cert wanted = wish(f);
    prove(f, &wanted, first);
    prove(f, &wanted, second);
    assert_int_equal(check(f, first, &request), ENROLL_OK);
    assert_int_equal(check(f, second, &other), ENROLL_TOKEN_USED);
    enroll_desk_drop(f->desk, &request); /* the log did not take it: the place is free again */
    prove(f, &wanted, second);
    assert_int_equal(check(f, second, &other), ENROLL_OK);
}

static void test_token_states(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    struct cert wanted = wish(f);
    struct key_pair real = f->file.token;
    key_pair_make(&f->file.token);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_TOKEN_UNKNOWN);
    f->file.token = real;
    f->now_s += 601;
    wanted = wish(f);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_TOKEN_EXPIRED);
    f->now_s -= 601;
    assert_int_equal(join_token_close(f->dir, real.kid, JOIN_REVOKED, &f->why), 0);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_TOKEN_REVOKED);
    assert_true(join_token_close(f->dir, real.kid, JOIN_USED, &f->why) < 0);
}

static void test_nonce(void **state)
{
    struct fixture *f = *state;
    uint8_t proof[ENROLL_PROOF_BYTES], nonce[ENROLL_NONCE] = {1};
    struct enroll_request request;
    struct cert wanted = wish(f);
    (void)enroll_proof(&f->file.token, &f->own, &f->tls, &wanted, nonce, proof);
    assert_int_equal(check(f, proof, &request), ENROLL_NONCE_UNKNOWN);
    prove(f, &wanted, proof);
    f->now_s += ENROLL_NONCE_S;
    assert_int_equal(check(f, proof, &request), ENROLL_NONCE_UNKNOWN);
    f->now_s -= ENROLL_NONCE_S;
    prove(f, &wanted, proof);
    assert_int_equal(check(f, proof, &request), ENROLL_OK);
    enroll_desk_drop(f->desk, &request);
    assert_int_equal(check(f, proof, &request), ENROLL_NONCE_UNKNOWN); /* a replay */
}

static void test_possession(void **state)
{
    struct fixture *f = *state;
    uint8_t proof[ENROLL_PROOF_BYTES];
    struct enroll_request request;
    struct cert wanted = wish(f);
    const struct key_pair token = f->file.token, own = f->own;
    struct key_pair thief;
    key_pair_make(&thief);
    thief.kid = token.kid; /* knows the id of the token, not its secret */
    f->file.token = thief;
    prove(f, &wanted, proof);
    assert_int_equal(check(f, proof, &request), ENROLL_TOKEN_SIGNATURE);
    f->file.token = token;
    memcpy(f->own.secret, thief.secret, SECRET_BYTES); /* somebody else's public key */
    prove(f, &wanted, proof);
    assert_int_equal(check(f, proof, &request), ENROLL_POSSESSION);
    f->own = own;
    memcpy(f->tls.secret, thief.secret, SECRET_BYTES);
    prove(f, &wanted, proof);
    assert_int_equal(check(f, proof, &request), ENROLL_POSSESSION);
    for (size_t at = 60; at < ENROLL_PROOF_BYTES; at += 7) { /* nothing may be changed under way */
        key_pair_make(&f->tls);
        prove(f, &wanted, proof);
        proof[at] ^= 4;
        assert_int_not_equal(check(f, proof, &request), ENROLL_OK);
        f->now_s += 1;
    }
}

static void test_policy(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    struct cert wanted = wish(f);
    wanted.capabilities = 0xf;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_CAPABILITY);
    wanted = wish(f);
    wanted.roles = ROLE_HOST | ROLE_CLUSTER;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_ROLE);
    wanted = wish(f);
    wanted.scope[0].last.agent = 31;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_SCOPE);
    wanted = wish(f);
    assert_true(endpoint_make("host-8", 6, 0, &wanted.subject));
    assert_int_equal(join(f, &wanted, &grant), ENROLL_NAME);
    wanted = wish(f); /* less than the token gives is fine */
    wanted.capabilities = 0x1;
    wanted.scope[0].last.agent = 5;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
}

static void test_name_taken(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    struct cert wanted = wish(f);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
    token_for(f, "host-9", ROLE_HOST, "s01.c1.a1-s01.c1.a30,h9", 0x7);
    wanted = wish(f);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_NAME_TAKEN);
}

static void test_renews(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    struct cert wanted = wish(f), got;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
    f->file.token = f->own; /* by its present key, for a new one */
    key_pair_make(&f->own);
    f->now_s += 86400;
    wanted = wish(f);
    wanted.capabilities = 0xff;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_CAPABILITY);
    wanted.capabilities = 0x7;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
    assert_int_equal(cert_decode(grant.cert, &got), CERT_OK);
    assert_int_equal(got.not_after_s - got.not_before_s, HOST_CERT_LIFE_S);
    struct key_pair old = f->file.token;
    f->file.token = f->own;
    f->file.token = old; /* the old key is worth nothing now */
    key_pair_make(&f->own);
    wanted = wish(f);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_TOKEN_UNKNOWN);
}

static void test_revoked_does_not_renew(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    struct cert wanted = wish(f);
    uint64_t version;
    assert_int_equal(join(f, &wanted, &grant), ENROLL_OK);
    struct trust_request revoke = {.revoke = "host-9", .epoch = TRUST_EVER, .life_s = TRUST_LIFE_S};
    assert_int_equal(trust_publish(f->dir, &revoke, f->now_s, &version, &f->why), 0);
    f->file.token = f->own;
    key_pair_make(&f->own);
    wanted = wish(f);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_TOKEN_REVOKED);
    /* Nor because the service can no longer read who is revoked. */
    char path[96];
    (void)snprintf(path, sizeof(path), "%.60s/trust.bundle", f->dir);
    assert_int_equal(truncate(path, 10), 0);
    wanted = wish(f);
    assert_int_equal(join(f, &wanted, &grant), ENROLL_ISSUER);
    assert_non_null(strstr(enroll_desk_fault(f->desk), "trust.bundle: refused: shape"));
}

static void test_rate(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[ENROLL_NONCE];
    unsigned given = 0;
    for (unsigned i = 0; i < 1000; i++)
        given += enroll_desk_nonce(f->desk, 1, f->now_s * 1000, nonce);
    assert_in_range(given, 2 * ENROLL_PER_S, 2 * ENROLL_PER_S + 1);
    assert_false(enroll_desk_nonce(f->desk, 1, f->now_s * 1000, nonce));
    assert_true(enroll_desk_nonce(f->desk, 1, f->now_s * 1000 + 1000, nonce));
}

static void test_answer_is_sealed(void **state)
{
    struct fixture *f = *state;
    static struct enroll_grant grant;
    static uint8_t answer[ENROLL_ANSWER_MAX];
    uint8_t proof[ENROLL_PROOF_BYTES];
    struct enroll_request request;
    struct key_pair thief;
    enum enroll_verdict v;
    struct cert wanted = wish(f);
    prove(f, &wanted, proof);
    assert_int_equal(check(f, proof, &request), ENROLL_OK);
    size_t n = enroll_desk_issue(f->desk, &request, f->now_s, answer, &v, &f->why);
    assert_int_equal(v, ENROLL_OK);
    key_pair_make(&thief);
    const uint8_t *issuer = f->file.issuer_public;
    uint64_t id = f->file.token.kid;
    assert_false(enroll_answer_open(answer, n, id, &thief, issuer, &v, &grant));
    assert_false(enroll_answer_open(answer, n, id, &f->own, thief.public_key, &v, &grant));
    assert_false(enroll_answer_open(answer, n, id + 1, &f->own, issuer, &v, &grant));
    assert_false(enroll_answer_open(answer, n - 1, id, &f->own, issuer, &v, &grant));
    answer[n - 1] ^= 1;
    assert_false(enroll_answer_open(answer, n, id, &f->own, issuer, &v, &grant));
    answer[n - 1] ^= 1;
    assert_true(enroll_answer_open(answer, n, id, &f->own, issuer, &v, &grant));
}

static void test_join_files(void **state)
{
    struct fixture *f = *state;
    static struct join_file file;
    char text[8192];
    FILE *in = fopen(f->join, "r");
    assert_non_null(in);
    size_t n = fread(text, 1, sizeof(text), in);
    (void)fclose(in);
    for (size_t cut = 0; cut < n - 1; cut += 97) { /* cut off anywhere: refused, not crashed */
        FILE *out = fopen(f->join, "w");
        assert_int_equal(fwrite(text, 1, cut, out), cut);
        (void)fclose(out);
        assert_true(join_file_read(f->join, &file, &f->why) < 0);
        assert_non_null(strstr(f->why.text, "join file"));
    }
    FILE *out = fopen(f->join, "w");
    text[20] = text[20] == 'a' ? 'b' : 'a';
    (void)fwrite(text, 1, n, out);
    (void)fclose(out);
    assert_true(join_file_read(f->join, &file, &f->why) < 0);
}

static void test_links_are_narrow(void **state)
{
    struct fixture *f = *state;
    char text[4096];
    FILE *out = fmemopen(text, sizeof(text), "w");
    assert_int_equal(permissions_nats(f->dir, out, &f->why), 0);
    (void)fclose(out);
    const char *join = strstr(text, "/p/join\"");
    assert_non_null(join);
    assert_non_null(strstr(join, "publish: { allow: [\"mesh.enroll.in\"] }"));
    assert_null(strstr(join, "mesh.p."));
    assert_null(strstr(join, "mesh.all"));
}

static void test_rotation_moments(void **state)
{
    struct fixture *f = *state;
    struct cert c = f->file.record;
    const int64_t day = 86400;
    int64_t least = INT64_MAX, most = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char name[TOKEN_MAX + 1];
        int n = snprintf(name, sizeof(name), "cluster-%u", i);
        assert_true(endpoint_make(name, (size_t)n, 0, &c.subject));
        c.roles = ROLE_CLUSTER;
        c.not_before_s = 0;
        c.not_after_s = CERT_PROCESS_LIFE_S;
        int64_t due = rotation_due_s(&c);
        assert_in_range(due, 24 * day, 27 * day);
        least = due < least ? due : least;
        most = due > most ? due : most;
        c.roles = ROLE_HOST;
        c.not_after_s = HOST_CERT_LIFE_S;
        assert_in_range(rotation_due_s(&c), 21 * 3600, 24 * 3600);
        c.not_after_s = 1000; /* a short one still has its overlap */
        assert_true(rotation_due_s(&c) <= 900);
    }
    assert_true(most - least > 2 * day); /* not all at once */
}

static void test_rotation_run(void **state)
{
    struct fixture *f = *state;
    struct keys_request request = {
        .name = "host-1", .roles = ROLE_HOST, .life_s = CERT_PROCESS_LIFE_S, .capabilities = 3};
    const char *bad;
    struct identity before, after;
    assert_true(scope_parse("s01.c1.a1,h1", ROLE_HOST, request.scope, &request.scope_count, &bad));
    assert_int_equal(keys_issue(f->dir, &request, f->now_s, &f->why), 0);
    assert_int_equal(identity_load(f->dir, "host-1", &before, &f->why), 0);
    assert_int_equal(rotation_run(f->dir, f->now_s + 3600, &f->why), 0);
    assert_int_equal(rotation_run(f->dir, f->now_s + 86400, &f->why), 1);
    assert_int_equal(rotation_run(f->dir, f->now_s + 86400 + 3600, &f->why), 0);
    assert_int_equal(identity_load(f->dir, "host-1", &after, &f->why), 0);
    assert_int_not_equal(before.key.kid, after.key.kid);
    assert_int_equal(after.cert.capabilities, 3);
    assert_int_equal(after.cert.not_after_s - after.cert.not_before_s, HOST_CERT_LIFE_S);
    assert_true(before.cert.not_after_s > f->now_s + 2 * 86400); /* the old one is good meanwhile */
}

/* The pairs of the server, of the service and of newcomers belong to no process. */
static void test_rotation_of_links(void **state)
{
    struct fixture *f = *state;
    const int64_t day = 86400;
    uint64_t mesh;
    assert_int_equal(keys_load_mesh(f->dir, &mesh, &f->why), 0);
    assert_int_equal(join_links(f->dir, f->now_s, &f->why), 0);
    assert_int_equal(
        tls_issue(f->dir, TLS_SERVER_FILE, mesh, f->now_s, CERT_PROCESS_LIFE_S, &f->why), 0);
    assert_int_equal(rotation_links(f->dir, f->now_s + 23 * day, &f->why), 0);
    assert_int_equal(rotation_links(f->dir, f->now_s + 25 * day, &f->why), 3);
    assert_int_equal(rotation_links(f->dir, f->now_s + 26 * day, &f->why), 0);
    assert_int_equal(tls_check(f->dir, ENROLL_SERVICE, mesh, f->now_s + 50 * day, &f->why), 0);
    char from[200], to[200]; /* without the authority's key they are made elsewhere */
    (void)snprintf(from, sizeof(from), "%s/ca.key", f->dir);
    (void)snprintf(to, sizeof(to), "%s/ca.away", f->dir);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(rotation_links(f->dir, f->now_s + 60 * day, &f->why), 0);
    assert_int_equal(rename(to, from), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {CASE(test_joins),
                                       CASE(test_used_once),
                                       CASE(test_two_at_once),
                                       CASE(test_token_states),
                                       CASE(test_nonce),
                                       CASE(test_possession),
                                       CASE(test_policy),
                                       CASE(test_name_taken),
                                       CASE(test_renews),
                                       CASE(test_rate),
                                       CASE(test_join_files),
                                       CASE(test_answer_is_sealed),
                                       CASE(test_rotation_run),
                                       CASE(test_rotation_of_links),
                                       CASE(test_links_are_narrow),
                                       CASE(test_rotation_moments),
                                       CASE(test_revoked_does_not_renew)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
