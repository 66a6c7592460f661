#include "tiers/console/hwlogin.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int hwlogin(struct client *client, const char *keys_dir, const char *operator_name,
            const struct hwdevice_user *user, struct keys_error *why)
{
    assert(client && keys_dir && operator_name);
    assert(user && why);
    static struct hwcredential keys[HWDEVICE_KEYS];
    struct trust_hwtoken tokens[HWDEVICE_KEYS];
    struct hwtoken_proof proof;
    uint8_t challenge[HWTOKEN_HASH_BYTES];
    uint32_t found = client_tokens(client, tokens, HWDEVICE_KEYS), count = 0;
    if (found == 0)
        return 0;
    for (uint32_t i = 0; i < found && i < HWDEVICE_KEYS; i++) {
        int rc = hwcredential_find(keys_dir, &tokens[i], &keys[count], why);
        if (rc < 0 && rc != -ENOENT)
            return rc;
        count += rc == 0 ? 1 : 0;
    }
    if (count == 0) {
        (void)snprintf(why->text, sizeof(why->text),
                       "%.200s/%.16s.*.token: none is here, and the trust bundle asks for a "
                       "hardware token of %.16s: copy the file from where it was enrolled",
                       keys_dir, operator_name, operator_name);
        return -ENOENT;
    }
    if (!client_session(client, &proof, challenge)) {
        (void)snprintf(why->text, sizeof(why->text),
                       "%.200s/%.16s.cert: is not good now (mesh keys verify)", keys_dir,
                       operator_name);
        return -EACCES;
    }
    int rc = hwdevice_sign(user, client_mesh(client), keys, count, challenge, &proof, why);
    if (rc < 0)
        return rc;
    enum hwtoken_verdict v = client_opened(client, &proof);
    if (v != HWTOKEN_OK) {
        (void)snprintf(why->text, sizeof(why->text), "%s", hwtoken_verdict_text(v));
        return -EBADMSG;
    }
    return 0;
}
