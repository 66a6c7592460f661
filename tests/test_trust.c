/* The trust bundle: one encoding, two of three roots, versions that only rise, revocations. */
#include "tests/support/identities.h"
#include "tiers/runner/keys_command.h"
#include "tiers/runner/peers.h"
#include "tiers/runner/trustfiles.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000)

static struct key_pair roots[ROOTS_MAX], issuer;
static struct trust_roots pinned;
static struct trust trust;
static uint8_t bytes[TRUST_BYTES_MAX], other[TRUST_BYTES_MAX];

static int setup(void **state)
{
    (void)state;
    key_pair_make(&issuer);
    for (unsigned i = 0; i < ROOTS_MAX; i++) {
        key_pair_make(&roots[i]);
        memcpy(pinned.public_keys[i], roots[i].public_key, PUBLIC_BYTES);
    }
    return 0;
}

static void begin(uint64_t version)
{
    memset(&trust, 0, sizeof(trust));
    trust.mesh = issuer.kid;
    trust.version = version;
    trust.not_before_s = NOW - 10;
    trust.not_after_s = NOW + 86400;
    trust_issuer_add(&trust, issuer.public_key);
}

static size_t sealed(uint8_t *ret, unsigned signers)
{
    size_t length = trust_encode(&trust, ret);
    for (uint8_t i = 0; i < ROOTS_MAX; i++) {
        if (signers >> i & 1u)
            length = trust_sign(ret, length, i, roots[i].secret);
    }
    return length;
}

static enum trust_verdict verdict(const uint8_t *at, size_t length, uint64_t seen)
{
    struct trust out;
    return trust_verify(at, length, &pinned, issuer.kid, NOW, seen, NULL, 0, &out);
}

static void two_of_three(void **state)
{
    (void)state;
    begin(1);
    assert_true(trust_revoke(&trust, "zeta", 5));
    assert_true(trust_revoke(&trust, "alpha", 7));
    assert_true(trust_revoke(&trust, "alpha", 3)); /* never lowered */
    for (unsigned signers = 0; signers < 8; signers++) {
        size_t length = sealed(bytes, signers);
        bool enough = signers == 3 || signers >= 5;
        assert_int_equal(verdict(bytes, length, 0), enough ? TRUST_OK : TRUST_SIGNATURES);
    }
    /* One root signing twice is not two. */
    size_t length = sealed(bytes, 1);
    memcpy(bytes + length, bytes + length - 65, 65);
    bytes[length - 66] = 2;
    assert_int_equal(verdict(bytes, length + 65, 0), TRUST_SHAPE);
    bytes[length] = 1; /* under another's number */
    assert_int_equal(verdict(bytes, length + 65, 0), TRUST_SIGNATURES);
}

static void every_byte_counts(void **state)
{
    (void)state;
    begin(3);
    assert_true(trust_revoke(&trust, "cluster-1", 9));
    size_t length = sealed(bytes, 3);
    for (size_t i = 0; i < length; i++) {
        memcpy(other, bytes, length);
        other[i] ^= 0x40;
        assert_int_not_equal(verdict(other, length, 0), TRUST_OK);
        assert_int_not_equal(verdict(bytes, i, 0), TRUST_OK);
    }
    memcpy(other, bytes, length);
    other[length] = 0;
    assert_int_equal(verdict(other, length + 1, 0), TRUST_SHAPE);
}

static void versions_and_times(void **state)
{
    struct trust out;
    (void)state;
    begin(5);
    size_t length = sealed(bytes, 6);
    assert_int_equal(verdict(bytes, length, 4), TRUST_OK);
    assert_int_equal(verdict(bytes, length, 6), TRUST_ROLLBACK);
    assert_int_equal(trust_verify(bytes, length, &pinned, issuer.kid, NOW, 5, bytes, length, &out),
                     TRUST_KNOWN);
    assert_true(trust_revoke(&trust, "x", 1));
    size_t second = sealed(other, 6);
    assert_int_equal(trust_verify(other, second, &pinned, issuer.kid, NOW, 5, bytes, length, &out),
                     TRUST_EQUIVOCATION);
    assert_int_equal(trust_verify(bytes, length, &pinned, 1, NOW, 0, NULL, 0, &out), TRUST_MESH);
    begin(5);
    trust.not_after_s = NOW;
    assert_int_equal(verdict(bytes, sealed(bytes, 3), 0), TRUST_EXPIRED);
    trust.not_before_s = NOW + 1;
    trust.not_after_s = NOW + 2;
    assert_int_equal(verdict(bytes, sealed(bytes, 3), 0), TRUST_NOT_YET_VALID);
    trust.not_before_s = NOW - 1;
    trust.not_after_s = NOW + TRUST_LIFE_S;
    assert_int_equal(verdict(bytes, sealed(bytes, 3), 0), TRUST_TOO_LONG_LIVED);
}

static void revocations(void **state)
{
    (void)state;
    begin(1);
    char name[16];
    for (unsigned i = 0; i < TRUST_REVOKED_MAX; i++) {
        (void)snprintf(name, sizeof(name), "p-%u", (i * 7919u) % TRUST_REVOKED_MAX);
        assert_true(trust_revoke(&trust, name, 100 + i));
    }
    assert_false(trust_revoke(&trust, "one-more", 1));
    assert_int_equal(verdict(bytes, sealed(bytes, 3), 0), TRUST_OK);
    struct cert cert = {.epoch = 100};
    assert_true(endpoint_make("p-0", 3, 9, &cert.subject));
    assert_true(trust_is_revoked(&trust, &cert));
    cert.epoch = 101;
    assert_false(trust_is_revoked(&trust, &cert));
    assert_true(endpoint_make("q", 1, 9, &cert.subject));
    assert_false(trust_is_revoked(&trust, &cert));
}

/* A peer in good standing is forgotten with the bundle, and does not come back with that chain. */
static void a_revoked_peer_is_gone(void **state)
{
    struct identity a, b;
    const struct unit_range all = {{.tier = TIER_CLUSTER}, {TIER_CLUSTER, 0, 9, 9, 0}};
    (void)state;
    identity_make(&issuer, "lead-a", ROLE_CLUSTER, &all, 1, &a);
    identity_make(&issuer, "lead-b", ROLE_CLUSTER, &all, 1, &b);
    begin(1);
    int64_t now_ms = clock_unix_us() / 1000;
    struct peers_config conf = {
        .identity = &b, .trust = &trust, .port_count = 1, .start_ms = now_ms - 1000};
    struct peers *peers = peers_new(&conf);
    struct frame_signer signer = {0};
    assert_int_equal(frame_signer_start(&signer, &a, 0, NULL, 0, now_ms), CERT_OK);
    static uint8_t frame[FRAME_BYTES_MAX];
    struct frame_address to = {
        .destination = b.cert.subject, .with_chain = true, .issued_ms = now_ms, .ttl_ms = 5000};
    enum frame_verdict expected[] = {FRAME_OK, FRAME_CHAIN_INVALID};
    for (int i = 0; i < 2; i++) {
        struct frame_builder builder;
        struct frame_view view;
        const struct peer *peer;
        frame_begin(&builder, frame);
        size_t length = frame_seal(&builder, &signer, &a, &to);
        struct route route = {.source = signer.self, .destination = b.cert.subject};
        assert_int_equal(frame_open(peers, frame, length, &route, now_ms, &view, &peer),
                         expected[i]);
        assert_true(trust_revoke(&trust, "lead-a", a.cert.epoch));
        assert_int_equal(peers_forget_revoked(peers), i == 0 ? 1 : 0);
    }
    assert_int_equal(peers_stats(peers)->chains[CERT_REVOKED], 1);
    assert_int_equal(peers_stats(peers)->peer_count, 0);
    peers_free(peers);
}

/* A file that can never be in force gives way to the bundle that is; one that is newer does not. */
static void a_running_process_mends_the_file(void **state)
{
    static struct trust_state s;
    static uint8_t later[TRUST_BYTES_MAX];
    struct keys_error why;
    struct identity id = {0};
    char dir[] = "/tmp/mesh-trust-XXXXXX", command[160], path[128];
    bool made;
    uint64_t version;
    size_t length = 0, second = 0;
    int64_t now_s = clock_unix_us() / 1000000;
    struct trust_request request = {.life_s = 86400};
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(keys_init_issuer(dir, &made, &id.mesh, &why), 0);
    (void)snprintf(path, sizeof(path), "%s/issuer.pub", dir);
    assert_int_equal(keys_load_public(path, id.issuer_public, &why), 0);
    assert_int_equal(trust_init_roots(dir, &why), 0);
    assert_int_equal(trust_publish(dir, &request, now_s, &version, &why), 0);
    (void)snprintf(command, sizeof(command), "cp %s/trust.bundle %s/old", dir, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(trust_publish(dir, &request, now_s, &version, &why), 0);
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), 0);
    assert_false(trust_file_changed(&s, bytes, &length));
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(command, sizeof(command), "cd %s && %s", dir,
                       i == 0   ? "cp old trust.bundle"
                       : i == 1 ? "echo x >trust.bundle"
                                : "rm trust.bundle");
        assert_int_equal(system(command), 0);
        assert_true(trust_file_changed(&s, bytes, &length));
        assert_int_equal(length == 0, i == 2);
        assert_true(trust_file_mend(&s, bytes, length));
        assert_int_equal(trust_load(dir, &id, now_s, &s, &why), 0);
        assert_int_equal(s.trust.version, 2);
    }
    (void)snprintf(command, sizeof(command), "cp %s/old %s/trust.bundle", dir, dir);
    assert_int_equal(system(command), 0);
    assert_true(trust_file_changed(&s, bytes, &length));
    (void)snprintf(command, sizeof(command), "rm %s/trust.bundle", dir);
    assert_int_equal(system(command), 0);
    assert_true(trust_file_changed(&s, later, &second));
    assert_false(trust_file_mend(&s, bytes, length)); /* it is another one by now */
    assert_true(trust_file_mend(&s, later, second));
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void files_keep_the_version(void **state)
{
    static struct trust_state s;
    struct keys_error why;
    struct identity id = {0};
    char dir[] = "/tmp/mesh-trust-XXXXXX", command[128], path[128];
    bool made;
    uint64_t version;
    int64_t now_s = clock_unix_us() / 1000000;
    struct trust_request request = {.revoke = "x", .epoch = 4, .life_s = 86400};
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(keys_init_issuer(dir, &made, &id.mesh, &why), 0);
    (void)snprintf(path, sizeof(path), "%s/issuer.pub", dir);
    assert_int_equal(keys_load_public(path, id.issuer_public, &why), 0);
    /* Without roots nothing could be revoked: nobody starts so. */
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), -ENOENT);
    assert_non_null(strstr(why.text, "root.pub: is missing"));
    assert_int_equal(trust_init_roots(dir, &why), 0);
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), 0); /* and no bundle yet */
    assert_int_equal(trust_publish(dir, &request, now_s, &version, &why), 0);
    assert_int_equal(version, 1);
    (void)snprintf(command, sizeof(command), "cp %s/trust.bundle %s/old", dir, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), 0);
    s.trust.excluded = (struct trust_exclusions){1, {{"host-1", 7}}};
    request.revoke = NULL;
    assert_int_equal(trust_publish(dir, &request, now_s, &version, &why), 0);
    assert_int_equal(version, 2);
    size_t length = 0;
    assert_true(trust_file_changed(&s, bytes, &length));
    assert_int_equal(trust_take(&s, id.mesh, bytes, length, now_s), TRUST_OK);
    struct cert host = {.epoch = 7};
    assert_true(endpoint_make("host-1", 6, 9, &host.subject));
    assert_true(trust_is_revoked(&s.trust, &host)); /* a bundle lets nobody in again */
    host.epoch = 8;
    assert_false(trust_is_revoked(&s.trust, &host));
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), 0);
    assert_int_equal(s.trust.revoked_count, 1); /* carried over */
    assert_int_equal(trust_load(dir, &id, now_s + 86400, &s, &why), -EBADMSG);
    assert_non_null(strstr(why.text, "expired"));
    (void)snprintf(command, sizeof(command), "cp %s/old %s/trust.bundle", dir, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), -EBADMSG);
    assert_non_null(strstr(why.text, "rollback"));
    /* Nor is it forgotten by damaging what keeps the version. */
    (void)snprintf(command, sizeof(command), "cd %s; cp trust.version seen; echo 0 > trust.version",
                   dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), -EBADMSG);
    assert_non_null(strstr(why.text, "trust.version"));
    (void)snprintf(command, sizeof(command), "cd %s; mv seen trust.version", dir);
    assert_int_equal(system(command), 0);
    (void)snprintf(path, sizeof(path), "%s/trust.bundle", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(trust_load(dir, &id, now_s, &s, &why), -EBADMSG);
    assert_non_null(strstr(why.text, "is gone"));
    (void)snprintf(command, sizeof(command), "cp %s/old %s/trust.bundle; rm %s/root-[23].key", dir,
                   dir, dir);
    assert_int_equal(system(command), 0);
    (void)snprintf(path, sizeof(path), "%s/trust.version", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(trust_publish(dir, &request, now_s, &version, &why), -EACCES);
    assert_non_null(strstr(why.text, "--root"));
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* A word on the command line of `mesh keys`, in a directory of its own. */
static int keys(const char *verb, const char *dir, const char *a, const char *b, const char *c)
{
    const char *words[] = {"keys", verb, dir, a, b, c};
    int count = 3;
    while (count < 6 && words[count] != NULL)
        count++;
    return keys_command(count, (char **)(uintptr_t)words);
}

static void what_is_made_for_a_revoked_name_is_said(void **state)
{
    (void)state;
    char dir[] = "/tmp/mesh-keys-XXXXXX", command[64];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(keys("init", dir, NULL, NULL, NULL), 0);
    assert_int_equal(keys("issue", dir, "cluster-1", "cluster", "s01"), 0);
    assert_int_equal(keys("issue", dir, "cluster-2", "cluster", "s02"), 0);
    assert_int_equal(keys("revoke", dir, "cluster-1", NULL, NULL), 0);
    assert_int_equal(keys("revoke", dir, "cluster-2", "--for-ever", NULL), 0);
    assert_int_equal(keys("rotate", dir, "cluster-1", NULL, NULL), 0); /* good again */
    assert_int_equal(keys("rotate", dir, "cluster-2", NULL, NULL), 1);
    assert_int_equal(keys("issue", dir, "cluster-2", "cluster", "s02"), 1);
    assert_int_equal(keys("rotate", dir, "--all", NULL, NULL), 0);
    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* A word for a number would be descriptor 0, and stdin the passphrase. */
static void a_descriptor_is_a_number_that_is_open(void **state)
{
    (void)state;
    assert_int_equal(keys("protect", "/no/such", "operator", "--passphrase-fd", "x"), 2);
    assert_int_equal(keys("protect", "/no/such", "operator", "--passphrase-fd", "999"), 2);
    assert_int_equal(keys("unprotect", "/no/such", "operator", "--passphrase-fd", "-1"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_of_three),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(versions_and_times),
        cmocka_unit_test(revocations),
        cmocka_unit_test(a_revoked_peer_is_gone),
        cmocka_unit_test(a_running_process_mends_the_file),
        cmocka_unit_test(files_keep_the_version),
        cmocka_unit_test(what_is_made_for_a_revoked_name_is_said),
        cmocka_unit_test(a_descriptor_is_a_number_that_is_open),
    };
    return keys_start() == 0 ? cmocka_run_group_tests(tests, setup, NULL) : 1;
}
