/* The operator's key under a passphrase. */
#include "tiers/runner/passphrase.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static struct keys_error why;
static const char good[] = "correct horse battery";

static void file_of(const char *name, char ret[128])
{
    (void)snprintf(ret, 128, "%s/%s", dir, name);
}

static int setup(void **state)
{
    struct keys_request request = {.name = "operator",
                                   .roles = ROLE_CONSOLE,
                                   .capabilities = CONSOLE_VIEW,
                                   .life_s = CERT_PROCESS_LIFE_S};
    const char *bad;
    bool made;
    uint64_t mesh;
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/test-passphrase-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(keys_start(), 0);
    assert_int_equal(keys_init_issuer(dir, &made, &mesh, &why), 0);
    assert_true(scope_parse("mesh", ROLE_CONSOLE, request.scope, &request.scope_count, &bad));
    assert_int_equal(keys_issue(dir, &request, (int64_t)time(NULL), &why), 0);
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static void test_seal_and_open(void **state)
{
    static struct identity before, after;
    struct key_pair pair;
    struct stat st;
    char plain[128], sealed[128], text[2048];
    (void)state;
    assert_int_equal(identity_load(dir, "operator", &before, &why), 0);
    assert_false(passphrase_is_needed(dir, "operator"));
    assert_int_equal(passphrase_seal(dir, "operator", good, &why), 0);
    assert_true(passphrase_is_needed(dir, "operator"));
    file_of("operator.key", plain);
    file_of("operator.key.sealed", sealed);
    assert_int_equal(access(plain, F_OK), -1);
    assert_int_equal(stat(sealed, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Without the passphrase: nothing, and it says so. */
    assert_true(identity_load(dir, "operator", &after, &why) < 0);
    assert_non_null(strstr(why.text, "passphrase"));
    assert_int_equal(passphrase_open(dir, "operator", "correct horse batterz", &pair, &why),
                     -EACCES);
    assert_int_equal(passphrase_open(dir, "operator", good, &pair, &why), 0);
    assert_memory_equal(pair.secret, before.key.secret, SECRET_BYTES);
    assert_int_equal(identity_load_with(dir, "operator", &pair, &after, &why), 0);
    assert_int_equal(after.key.kid, before.key.kid);
    /* The seed is nowhere in the file. */
    FILE *in = fopen(sealed, "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    (void)fclose(in);
    char hex[65];
    for (unsigned i = 0; i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", before.key.secret[i]);
    assert_null(strstr(text, hex));
    assert_int_equal(passphrase_unseal(dir, "operator", good, &why), 0);
    assert_int_equal(identity_load(dir, "operator", &after, &why), 0);
    assert_int_equal(after.key.kid, before.key.kid);
}

static void test_renewed_without_it(void **state)
{
    static struct identity identity;
    struct keys_request request = {.name = "operator",
                                   .roles = ROLE_CONSOLE,
                                   .capabilities = CONSOLE_VIEW | CONSOLE_OPERATE,
                                   .life_s = CERT_PROCESS_LIFE_S};
    struct key_pair pair;
    const char *bad;
    int64_t now_s = (int64_t)time(NULL) + 5;
    (void)state;
    assert_int_equal(passphrase_seal(dir, "operator", good, &why), 0);
    assert_true(scope_parse("mesh", ROLE_CONSOLE, request.scope, &request.scope_count, &bad));
    assert_int_equal(keys_issue(dir, &request, now_s, &why), 0);
    assert_true(passphrase_is_needed(dir, "operator")); /* no plain key came back */
    assert_int_equal(passphrase_open(dir, "operator", good, &pair, &why), 0);
    assert_int_equal(identity_load_with(dir, "operator", &pair, &identity, &why), 0);
    assert_int_equal(identity.cert.capabilities, CONSOLE_VIEW | CONSOLE_OPERATE);
    assert_true(keys_rotate(dir, "operator", now_s, 0, &why) < 0);
    assert_non_null(strstr(why.text, "unprotect"));
}

static void test_damaged(void **state)
{
    char path[128], text[512];
    struct key_pair pair;
    (void)state;
    assert_int_equal(passphrase_seal(dir, "operator", good, &why), 0);
    file_of("operator.key.sealed", path);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text), file);
    char *hex = memchr(text, '\n', n);
    assert_non_null(hex);
    memcpy(hex + 1 + 2 * 52, "ffffffff", 8); /* memory: 4 TiB */
    rewind(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    (void)fclose(file);
    assert_int_equal(passphrase_open(dir, "operator", good, &pair, &why), -EBADMSG);
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(passphrase_open(dir, "operator", good, &pair, &why) < 0);
    assert_non_null(strstr(why.text, "chmod 600"));
}

static int asked(const char *input, bool twice, char ret[PASSPHRASE_MAX])
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], input, strlen(input)), strlen(input));
    (void)close(pipes[1]);
    int rc = passphrase_ask("passphrase", pipes[0], twice, ret, &why);
    (void)close(pipes[0]);
    return rc;
}

static void test_asking(void **state)
{
    char text[PASSPHRASE_MAX], big[400];
    (void)state;
    assert_int_equal(asked("short\n", false, text), 0);
    assert_string_equal(text, "short");
    assert_true(asked("short\n", true, text) < 0);
    assert_non_null(strstr(why.text, "12 characters"));
    assert_true(asked("\n", false, text) < 0);
    assert_true(asked("", false, text) < 0);
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    assert_true(asked(big, false, text) < 0);
}

static void test_session_of_a_console(void **state)
{
    static struct identity identity;
    struct session_key session;
    struct cert cert;
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    (void)state;
    assert_int_equal(identity_load(dir, "operator", &identity, &why), 0);
    assert_int_equal(session_make(&identity, 1, NULL, 0, now_ms, 0, &session), CERT_OK);
    assert_int_equal(cert_decode(session.cert_bytes, &cert), CERT_OK);
    assert_int_equal(cert.not_after_s - cert.not_before_s, CERT_CONSOLE_LIFE_S);
    assert_int_equal(
        chain_check(&identity.cert, &cert, identity.key.kid, identity.mesh, now_ms / 1000),
        CERT_OK);
    cert.not_after_s++; /* a longer one is refused by whoever gets it */
    assert_int_equal(
        chain_check(&identity.cert, &cert, identity.key.kid, identity.mesh, now_ms / 1000),
        CERT_TOO_LONG_LIVED);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {CASE(test_seal_and_open), CASE(test_renewed_without_it),
                                       CASE(test_damaged), CASE(test_asking),
                                       CASE(test_session_of_a_console)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
