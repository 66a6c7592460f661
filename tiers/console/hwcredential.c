#include "tiers/console/hwcredential.h"

#include "tiers/runner/bytes.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 4096u

enum { AT_ALGORITHM = 16, AT_ID_BYTES = 18, AT_KEY = 20, AT_ID = 84, FILE_SIZE = 484 };

_Static_assert(AT_ID + HWCREDENTIAL_ID_MAX == FILE_SIZE && FILE_SIZE <= KEYFILE_BYTES_MAX,
               "one line of a key file");

static const char what[] = "hardware-token";

void hwcredential_path(const char *dir, const struct trust_hwtoken *token, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%.3900s/%s.%016" PRIx64 ".token", dir, token->operator_name,
                   trust_hwtoken_kid(token));
}

int hwcredential_store(const char *dir, const struct hwcredential *c, struct keys_error *why)
{
    assert(dir && c && why);
    assert(c->id_bytes <= HWCREDENTIAL_ID_MAX);
    char path[PATH_BYTES];
    uint8_t bytes[FILE_SIZE] = {0};
    memcpy(bytes, c->token.operator_name, strlen(c->token.operator_name));
    bytes[AT_ALGORITHM] = c->token.algorithm;
    put_u16(bytes + AT_ID_BYTES, c->id_bytes);
    memcpy(bytes + AT_KEY, c->token.key, HWTOKEN_KEY_BYTES);
    memcpy(bytes + AT_ID, c->id, c->id_bytes);
    hwcredential_path(dir, &c->token, path, sizeof(path));
    return keyfile_put(dir, path, what, bytes, sizeof(bytes), true, why);
}

int hwcredential_load(const char *path, struct hwcredential *ret, struct keys_error *why)
{
    assert(path && ret && why);
    uint8_t bytes[FILE_SIZE];
    int rc = keyfile_get(path, what, false, bytes, sizeof(bytes), why);
    if (rc < 0)
        return rc;
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->token.operator_name, bytes, TOKEN_MAX);
    ret->token.algorithm = bytes[AT_ALGORITHM];
    ret->id_bytes = get_u16(bytes + AT_ID_BYTES);
    memcpy(ret->token.key, bytes + AT_KEY, HWTOKEN_KEY_BYTES);
    if (!token_valid(ret->token.operator_name, strlen(ret->token.operator_name)) ||
        !trust_hwtoken_shape(&ret->token) || ret->id_bytes == 0 ||
        ret->id_bytes > HWCREDENTIAL_ID_MAX) {
        (void)snprintf(why->text, sizeof(why->text), "%.300s: is damaged; enroll the token again",
                       path);
        return -EBADMSG;
    }
    memcpy(ret->id, bytes + AT_ID, ret->id_bytes);
    return 0;
}

int hwcredential_find(const char *dir, const struct trust_hwtoken *token, struct hwcredential *ret,
                      struct keys_error *why)
{
    char path[PATH_BYTES];
    hwcredential_path(dir, token, path, sizeof(path));
    int rc = hwcredential_load(path, ret, why);
    if (rc == 0 && trust_hwtoken_kid(&ret->token) != trust_hwtoken_kid(token)) {
        (void)snprintf(why->text, sizeof(why->text), "%.300s: is another token's", path);
        rc = -EBADMSG;
    }
    return rc;
}
