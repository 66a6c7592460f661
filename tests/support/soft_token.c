/* CBOR by hand: what CTAP2 needs of it, in its canonical form. Every answer is a status byte and
 * one map. The key of the PIN protocol is made anew for every device that is opened. */
#include "tests/support/soft_token.h"

#include "tiers/console/hwtransport.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CTAP_INIT       0x06u
#define CTAP_CBOR       0x10u
#define ERR_INVALID     0x12u
#define ERR_EXCLUDED    0x19u
#define ERR_ALGORITHM   0x26u
#define ERR_NO_KEYS     0x2eu
#define ERR_NO_TOUCH    0x2fu
#define ERR_PIN_INVALID 0x31u
#define ERR_PIN_BLOCKED 0x32u
#define ERR_PIN_AUTH    0x33u
#define ERR_PIN_NEEDED  0x36u
#define COSE_ES         (-7)
#define COSE_ED         (-8)

struct device {
    struct soft_token *token;
    char file[256]; /* its state; empty: the test's */
    EVP_PKEY *agreement;
    uint8_t pin_token[32];
    uint8_t answer[1024];
    size_t answer_bytes;
    uint8_t nonce[8];
};

static struct soft_token *plugged[HWTRANSPORT_MAX];
static unsigned plugged_count;

void soft_token_init(struct soft_token *t, bool eddsa)
{
    memset(t, 0, sizeof(*t));
    t->offers_eddsa = eddsa;
    t->has_pin = true;
    t->retries = SOFT_RETRIES;
    (void)snprintf(t->pin, sizeof(t->pin), "%s", SOFT_PIN);
}

void soft_plug(struct soft_token *const *tokens, unsigned count)
{
    plugged_count = count;
    for (unsigned i = 0; i < count; i++)
        plugged[i] = tokens[i];
}

/* ---- CBOR, out ---- */

static void put(struct device *d, const void *bytes, size_t count)
{
    if (d->answer_bytes + count > sizeof(d->answer))
        abort();
    memcpy(d->answer + d->answer_bytes, bytes, count);
    d->answer_bytes += count;
}

static void put_head(struct device *d, unsigned major, uint32_t value)
{
    uint8_t head[3] = {(uint8_t)(major << 5)};
    size_t count = 1;
    if (value < 24) {
        head[0] |= (uint8_t)value;
    } else if (value < 256) {
        head[0] |= 24;
        head[1] = (uint8_t)value;
        count = 2;
    } else {
        head[0] |= 25;
        head[1] = (uint8_t)(value >> 8);
        head[2] = (uint8_t)value;
        count = 3;
    }
    put(d, head, count);
}

static void put_int(struct device *d, int value)
{
    put_head(d, value < 0 ? 1u : 0u, (uint32_t)(value < 0 ? -1 - value : value));
}

static void put_bytes(struct device *d, const uint8_t *bytes, size_t count)
{
    put_head(d, 2, (uint32_t)count);
    put(d, bytes, count);
}

static void put_text(struct device *d, const char *text)
{
    put_head(d, 3, (uint32_t)strlen(text));
    put(d, text, strlen(text));
}

static void put_bool(struct device *d, bool yes)
{
    put_head(d, 7, yes ? 21 : 20);
}

/* ---- CBOR, in ---- */

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

struct item {
    unsigned major;
    uint64_t value;
    const uint8_t *bytes; /* of a string */
};

static struct item next(struct reader *r)
{
    struct item i = {0};
    if (r->at == r->end || r->bad) {
        r->bad = true;
        return i;
    }
    i.major = *r->at >> 5;
    i.value = *r->at++ & 31u;
    unsigned more = i.value < 24 ? 0 : 1u << (i.value - 24);
    if (i.value > 27 || (size_t)(r->end - r->at) < more) {
        r->bad = true;
        return i;
    }
    i.value = more > 0 ? 0 : i.value;
    for (unsigned k = 0; k < more; k++)
        i.value = i.value << 8 | *r->at++;
    if (i.major == 2 || i.major == 3) {
        i.bytes = r->at;
        if ((uint64_t)(r->end - r->at) < i.value)
            r->bad = true;
        else
            r->at += i.value;
    }
    return i;
}

static void skip(struct reader *r)
{
    struct item i = next(r);
    uint64_t below = i.major == 4 ? i.value : i.major == 5 ? 2 * i.value : 0;
    for (uint64_t k = 0; k < below && !r->bad; k++)
        skip(r);
}

static int number(struct item i)
{
    return i.major == 1 ? -1 - (int)i.value : (int)i.value;
}

static bool is_text(struct item i, const char *text)
{
    return i.major == 3 && i.value == strlen(text) && memcmp(i.bytes, text, i.value) == 0;
}

/* Positions *ret at the value of that key in the map that begins at `map`. */
static bool find_key(struct reader map, int key, const char *name, struct reader *ret)
{
    struct item head = next(&map);
    for (uint64_t k = 0; head.major == 5 && k < head.value && !map.bad; k++) {
        struct item at = next(&map);
        if (!map.bad && (name ? is_text(at, name) : at.major < 2 && number(at) == key)) {
            *ret = map;
            return true;
        }
        skip(&map);
    }
    return false;
}

static bool find_bytes(struct reader map, int key, const char *name, const uint8_t **ret,
                       size_t *ret_bytes)
{
    struct reader at;
    if (!find_key(map, key, name, &at))
        return false;
    struct item i = next(&at);
    *ret = i.bytes;
    *ret_bytes = i.value;
    return !at.bad && (i.major == 2 || i.major == 3);
}

static bool option(struct reader map, int key, const char *name, bool fallback)
{
    struct reader options, at;
    if (!find_key(map, key, NULL, &options) || !find_key(options, 0, name, &at))
        return fallback;
    return next(&at).value == 21;
}

/* ---- keys ---- */

static EVP_PKEY *p256(const uint8_t *public_key, const uint8_t *secret)
{
    uint8_t point[65] = {0x04};
    EVP_PKEY *pkey = NULL;
    memcpy(point + 1, public_key, 64);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    BIGNUM *d = secret ? BN_bin2bn(secret, 32, NULL) : NULL;
    (void)OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
    (void)OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
    if (d)
        (void)OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, d);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    BN_free(d);
    return pkey;
}

static void p256_parts(EVP_PKEY *pkey, uint8_t public_key[64], uint8_t *secret)
{
    uint8_t point[65];
    size_t bytes = 0;
    BIGNUM *d = NULL;
    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
                                        &bytes) != 1 ||
        bytes != sizeof(point))
        abort();
    memcpy(public_key, point + 1, 64);
    if (secret && (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) != 1 ||
                   BN_bn2binpad(d, secret, 32) != 32))
        abort();
    BN_free(d);
}

static void key_make(struct soft_key *k, bool eddsa)
{
    uint8_t secret[64];
    k->eddsa = eddsa;
    randombytes_buf(k->id, sizeof(k->id));
    if (eddsa) {
        randombytes_buf(k->secret, sizeof(k->secret));
        memset(k->public_key, 0, sizeof(k->public_key));
        (void)crypto_sign_seed_keypair(k->public_key, secret, k->secret);
        return;
    }
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    p256_parts(pkey, k->public_key, k->secret);
    EVP_PKEY_free(pkey);
}

static size_t key_sign(const struct soft_key *k, const uint8_t *bytes, size_t count,
                       uint8_t ret[80])
{
    size_t length = 80;
    if (k->eddsa) {
        uint8_t public_key[32], secret[64];
        (void)crypto_sign_seed_keypair(public_key, secret, k->secret);
        (void)crypto_sign_detached(ret, NULL, bytes, count, secret);
        return 64;
    }
    EVP_PKEY *pkey = p256(k->public_key, k->secret);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1 ||
        EVP_DigestSign(ctx, ret, &length, bytes, count) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return length;
}

static void put_cose(struct device *d, const uint8_t *public_key, int algorithm)
{
    bool ed = algorithm == COSE_ED;
    put_head(d, 5, ed ? 4 : 5);
    put_int(d, 1);
    put_int(d, ed ? 1 : 2);
    put_int(d, 3);
    put_int(d, algorithm);
    put_int(d, -1);
    put_int(d, ed ? 6 : 1);
    put_int(d, -2);
    put_bytes(d, public_key, 32);
    if (!ed) {
        put_int(d, -3);
        put_bytes(d, public_key + 32, 32);
    }
}

static void put_key_name(struct device *d, const struct soft_key *k)
{
    put_head(d, 5, 2);
    put_text(d, "id");
    put_bytes(d, k->id, sizeof(k->id));
    put_text(d, "type");
    put_text(d, "public-key");
}

/* ---- get info ---- */

static void get_info(struct device *d)
{
    static const uint8_t aaguid[16] = "soft token";
    const struct soft_token *t = d->token;
    put_head(d, 5, 5);
    put_int(d, 1);
    put_head(d, 4, 1);
    put_text(d, "FIDO_2_0");
    put_int(d, 3);
    put_bytes(d, aaguid, sizeof(aaguid));
    put_int(d, 4);
    put_head(d, 5, t->has_finger ? 4 : 3);
    put_text(d, "rk");
    put_bool(d, false);
    put_text(d, "up");
    put_bool(d, true);
    if (t->has_finger) {
        put_text(d, "uv");
        put_bool(d, true);
    }
    put_text(d, "clientPin");
    put_bool(d, t->has_pin);
    put_int(d, 6);
    put_head(d, 4, 1);
    put_int(d, 1);
    put_int(d, 10);
    put_head(d, 4, t->offers_eddsa ? 2 : 1);
    for (int algorithm = t->offers_eddsa ? COSE_ED : COSE_ES; algorithm <= COSE_ES; algorithm++) {
        put_head(d, 5, 2);
        put_text(d, "alg");
        put_int(d, algorithm);
        put_text(d, "type");
        put_text(d, "public-key");
    }
}

/* ---- client PIN, protocol 1 ---- */

static bool shared_secret(struct device *d, struct reader map, uint8_t ret[32])
{
    struct reader cose;
    const uint8_t *x, *y;
    size_t x_bytes, y_bytes, bytes = 32;
    uint8_t public_key[64], point[32];
    if (!find_key(map, 3, NULL, &cose) || !find_bytes(cose, -2, NULL, &x, &x_bytes) ||
        !find_bytes(cose, -3, NULL, &y, &y_bytes) || x_bytes != 32 || y_bytes != 32)
        return false;
    memcpy(public_key, x, 32);
    memcpy(public_key + 32, y, 32);
    EVP_PKEY *peer = p256(public_key, NULL);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(d->agreement, NULL);
    bool ok = peer && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
              EVP_PKEY_derive(ctx, point, &bytes) == 1 && bytes == 32;
    crypto_hash_sha256(ret, point, 32);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
    return ok;
}

static void aes(const uint8_t key[32], bool encrypt, const uint8_t *in, size_t count, uint8_t *out)
{
    static const uint8_t zero[16];
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (EVP_CipherInit_ex(ctx, EVP_aes_256_cbc(), NULL, key, zero, encrypt ? 1 : 0) != 1 ||
        EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 ||
        EVP_CipherUpdate(ctx, out, &n, in, (int)count) != 1)
        abort();
    EVP_CIPHER_CTX_free(ctx);
}

static uint8_t pin_token(struct device *d, struct reader map)
{
    uint8_t secret[32], hash[32], wanted[32], out[32];
    const uint8_t *sealed;
    size_t bytes;
    struct soft_token *t = d->token;
    if (!shared_secret(d, map, secret) || !find_bytes(map, 6, NULL, &sealed, &bytes) || bytes != 16)
        return ERR_INVALID;
    if (t->retries == 0)
        return ERR_PIN_BLOCKED;
    t->pins++;
    aes(secret, false, sealed, 16, hash);
    crypto_hash_sha256(wanted, (const uint8_t *)t->pin, strlen(t->pin));
    if (memcmp(hash, wanted, 16) != 0) {
        t->retries--;
        return t->retries == 0 ? ERR_PIN_BLOCKED : ERR_PIN_INVALID;
    }
    t->retries = SOFT_RETRIES;
    aes(secret, true, d->pin_token, 32, out);
    put_head(d, 5, 1);
    put_int(d, 2);
    put_bytes(d, out, sizeof(out));
    return 0;
}

static uint8_t client_pin(struct device *d, struct reader map)
{
    struct reader at;
    uint8_t public_key[64];
    if (!find_key(map, 2, NULL, &at))
        return ERR_INVALID;
    switch (number(next(&at))) {
    case 1:
        put_head(d, 5, 1);
        put_int(d, 3);
        put_int(d, d->token->retries);
        return 0;
    case 2:
        p256_parts(d->agreement, public_key, NULL);
        put_head(d, 5, 1);
        put_int(d, 1);
        put_cose(d, public_key, -25);
        return 0;
    case 5:
        return pin_token(d, map);
    default:
        return ERR_INVALID;
    }
}

/* Whether the user was verified: by the PIN's token over the hash, or by the finger. */
static uint8_t verified(struct device *d, struct reader map, int auth_key, int options_key,
                        const uint8_t *hash, bool *ret)
{
    const uint8_t *auth;
    size_t bytes;
    uint8_t mac[32];
    *ret = d->token->has_finger && option(map, options_key, "uv", false);
    if (!find_bytes(map, auth_key, NULL, &auth, &bytes))
        return 0;
    crypto_auth_hmacsha256(mac, hash, 32, d->pin_token);
    if (bytes != 16 || memcmp(auth, mac, 16) != 0)
        return ERR_PIN_AUTH;
    *ret = true;
    return 0;
}

/* ---- make credential ---- */

static size_t auth_data(struct device *d, const uint8_t rp_hash[32], uint8_t flags, uint8_t *ret)
{
    struct soft_token *t = d->token;
    t->counter = t->fault == SOFT_COUNTER_BACK ? t->counter - 1 : t->counter + 1;
    memcpy(ret, rp_hash, 32);
    ret[0] ^= t->fault == SOFT_WRONG_RP ? 1 : 0;
    flags &= (uint8_t) ~(t->fault == SOFT_NO_UV ? 4u : t->fault == SOFT_NO_UP ? 1u : 0u);
    ret[32] = flags;
    for (int i = 0; i < 4; i++)
        ret[33 + i] = (uint8_t)(t->counter >> (24 - 8 * i));
    return 37;
}

static const struct soft_key *listed(const struct device *d, struct reader list,
                                     const uint8_t rp_hash[32])
{
    struct item head = next(&list);
    for (uint64_t k = 0; head.major == 4 && k < head.value && !list.bad; k++) {
        const uint8_t *id;
        size_t bytes;
        bool ok = find_bytes(list, 0, "id", &id, &bytes);
        for (uint32_t i = 0; ok && i < d->token->key_count; i++) {
            const struct soft_key *key = &d->token->keys[i];
            if (bytes == sizeof(key->id) && memcmp(id, key->id, bytes) == 0 &&
                memcmp(rp_hash, key->rp_hash, 32) == 0)
                return key;
        }
        skip(&list);
    }
    return NULL;
}

static bool wants(struct reader map, int algorithm)
{
    struct reader list, at;
    if (!find_key(map, 4, NULL, &list))
        return false;
    struct item head = next(&list);
    for (uint64_t k = 0; head.major == 4 && k < head.value && !list.bad; k++) {
        if (find_key(list, 0, "alg", &at) && number(next(&at)) == algorithm)
            return true;
        skip(&list);
    }
    return false;
}

static void put_credential(struct device *d, struct soft_key *k, const uint8_t hash[32],
                           uint8_t flags)
{
    uint8_t auth[512], input[544], sig[80];
    size_t count = auth_data(d, k->rp_hash, flags, auth);
    memset(auth + count, 0, 16);
    auth[count + 16] = 0;
    auth[count + 17] = sizeof(k->id);
    memcpy(auth + count + 18, k->id, sizeof(k->id));
    count += 18 + sizeof(k->id);
    struct device scratch = {.token = d->token};
    put_cose(&scratch, k->public_key, k->eddsa ? COSE_ED : COSE_ES);
    memcpy(auth + count, scratch.answer, scratch.answer_bytes);
    count += scratch.answer_bytes;
    memcpy(input, auth, count);
    memcpy(input + count, hash, 32);
    input[0] ^= d->token->fault == SOFT_BAD_SIGNATURE ? 1 : 0;
    size_t sig_bytes = key_sign(k, input, count + 32, sig);
    put_head(d, 5, 3);
    put_int(d, 1);
    put_text(d, "packed");
    put_int(d, 2);
    put_bytes(d, auth, count);
    put_int(d, 3);
    put_head(d, 5, 2);
    put_text(d, "alg");
    put_int(d, k->eddsa ? COSE_ED : COSE_ES);
    put_text(d, "sig");
    put_bytes(d, sig, sig_bytes);
}

static uint8_t make_credential(struct device *d, struct reader map)
{
    struct soft_token *t = d->token;
    struct reader at;
    const uint8_t *hash, *rp;
    size_t hash_bytes, rp_bytes;
    uint8_t rp_hash[32];
    bool uv;
    if (!find_bytes(map, 1, NULL, &hash, &hash_bytes) || hash_bytes != 32 ||
        !find_key(map, 2, NULL, &at) || !find_bytes(at, 0, "id", &rp, &rp_bytes))
        return ERR_INVALID;
    crypto_hash_sha256(rp_hash, rp, rp_bytes);
    uint8_t rc = verified(d, map, 8, 7, hash, &uv);
    if (rc != 0 || !uv)
        return rc != 0 ? rc : ERR_PIN_NEEDED;
    t->touches++;
    if (t->fault == SOFT_NO_TOUCH)
        return ERR_NO_TOUCH;
    if (find_key(map, 5, NULL, &at) && listed(d, at, rp_hash))
        return ERR_EXCLUDED;
    bool eddsa = t->offers_eddsa && wants(map, COSE_ED);
    if ((!eddsa && !wants(map, COSE_ES)) || t->key_count == SOFT_KEYS)
        return ERR_ALGORITHM;
    struct soft_key *k = &t->keys[t->key_count++];
    key_make(k, eddsa);
    memcpy(k->rp_hash, rp_hash, 32);
    put_credential(d, k, hash, 0x45);
    return 0;
}

/* ---- get assertion ---- */

static uint8_t get_assertion(struct device *d, struct reader map)
{
    struct soft_token *t = d->token;
    struct reader list;
    const uint8_t *hash, *rp;
    size_t hash_bytes, rp_bytes;
    uint8_t rp_hash[32], auth[64], input[128], sig[80];
    bool uv, up = option(map, 5, "up", true);
    if (!find_bytes(map, 2, NULL, &hash, &hash_bytes) || hash_bytes != 32 ||
        !find_bytes(map, 1, NULL, &rp, &rp_bytes))
        return ERR_INVALID;
    crypto_hash_sha256(rp_hash, rp, rp_bytes);
    const struct soft_key *k = find_key(map, 3, NULL, &list) ? listed(d, list, rp_hash) : NULL;
    if (!k)
        return ERR_NO_KEYS;
    uint8_t rc = verified(d, map, 6, 5, hash, &uv);
    if (rc != 0)
        return rc;
    t->touches += up ? 1 : 0;
    if (up && t->fault == SOFT_NO_TOUCH)
        return ERR_NO_TOUCH;
    size_t count = auth_data(d, rp_hash, (uint8_t)((up ? 1u : 0u) | (uv ? 4u : 0u)), auth);
    if (t->fault == SOFT_EXTENSIONS && up) {
        auth[32] |= 0x80;
        auth[count++] = 0xa0;
    }
    memcpy(input, auth, count);
    memcpy(input + count, hash, 32);
    input[count] ^= t->fault == SOFT_WRONG_CHALLENGE ? 1 : 0;
    size_t sig_bytes = key_sign(k, input, count + 32, sig);
    sig[sig_bytes - 1] ^= t->fault == SOFT_BAD_SIGNATURE ? 1 : 0;
    put_head(d, 5, 3);
    put_int(d, 1);
    put_key_name(d, k);
    put_int(d, 2);
    put_bytes(d, auth, count);
    put_int(d, 3);
    put_bytes(d, sig, sig_bytes);
    return 0;
}

/* ---- the device ---- */

static void command(struct device *d, const uint8_t *bytes, size_t count)
{
    struct reader map = {.at = bytes + 1, .end = bytes + count};
    uint8_t status = ERR_INVALID, ok = 0;
    d->answer_bytes = 0;
    put(d, &ok, 1);
    if (bytes[0] == 0x01)
        status = make_credential(d, map);
    else if (bytes[0] == 0x02)
        status = get_assertion(d, map);
    else if (bytes[0] == 0x04)
        get_info(d);
    else if (bytes[0] == 0x06)
        status = client_pin(d, map);
    status = bytes[0] == 0x04 ? 0 : status;
    if (status != 0)
        d->answer_bytes = 1;
    d->answer[0] = status;
    if (d->token->fault == SOFT_MALFORMED && bytes[0] == 0x02 && status == 0) {
        d->answer[1] = 0xbf; /* a map without an end */
        d->answer_bytes = 9;
    }
}

static int tx(fido_dev_t *dev, uint8_t cmd, const unsigned char *bytes, size_t count)
{
    struct device *d = fido_dev_io_handle(dev);
    if (cmd == CTAP_INIT && count == 8) {
        memcpy(d->nonce, bytes, 8);
        return 0;
    }
    if (cmd == CTAP_CBOR && count > 0)
        command(d, bytes, count);
    return 0;
}

static int rx(fido_dev_t *dev, uint8_t cmd, unsigned char *ret, size_t room, int ms)
{
    struct device *d = fido_dev_io_handle(dev);
    (void)ms;
    if (cmd == CTAP_INIT) { /* nonce, channel, protocol and versions, flags */
        const uint8_t tail[9] = {0, 0, 0, 1, 2, 1, 0, 0, d->token->u2f_only ? 0 : 0x0c};
        if (room < 17)
            return -1;
        memcpy(ret, d->nonce, 8);
        memcpy(ret + 8, tail, 9);
        return 17;
    }
    if (d->token->fault == SOFT_SILENT || cmd != CTAP_CBOR || room < d->answer_bytes)
        return -1;
    memcpy(ret, d->answer, d->answer_bytes);
    return (int)d->answer_bytes;
}

static enum soft_fault fault_named(const char *name)
{
    static const char *const names[SOFT_FAULT_COUNT] = {
        "good",         "no-uv",      "no-up",     "wrong-rp", "wrong-challenge", "bad-signature",
        "counter-back", "extensions", "malformed", "no-touch", "silent"};
    for (unsigned i = 0; name && i < SOFT_FAULT_COUNT; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum soft_fault)i;
    }
    return SOFT_GOOD;
}

static void state_load(struct device *d)
{
    static struct soft_token token;
    FILE *file = fopen(d->file, "rb");
    if (!file || fread(&token, sizeof(token), 1, file) != 1)
        soft_token_init(&token, getenv("MESH_SOFT_EDDSA") != NULL);
    if (file)
        (void)fclose(file);
    token.fault = fault_named(getenv("MESH_SOFT_FAULT"));
    d->token = &token;
}

static void *soft_open(const char *path)
{
    struct device *d = calloc(1, sizeof(*d));
    unsigned index = 0;
    if (!d || sodium_init() < 0)
        abort();
    if (sscanf(path, "soft:%u", &index) == 1) {
        d->token = plugged[index];
    } else {
        (void)snprintf(d->file, sizeof(d->file), "%s", path);
        state_load(d);
    }
    d->agreement = EVP_EC_gen("P-256");
    randombytes_buf(d->pin_token, sizeof(d->pin_token));
    return d;
}

static void soft_close(void *handle)
{
    struct device *d = handle;
    FILE *file = d->file[0] != '\0' ? fopen(d->file, "wb") : NULL;
    if (file) {
        (void)fwrite(d->token, sizeof(*d->token), 1, file);
        (void)fclose(file);
    }
    EVP_PKEY_free(d->agreement);
    free(d);
}

static int no_read(void *handle, unsigned char *ret, size_t room, int ms)
{
    (void)handle;
    (void)ret;
    (void)room;
    (void)ms;
    return -1;
}

static int no_write(void *handle, const unsigned char *bytes, size_t count)
{
    (void)handle;
    (void)bytes;
    (void)count;
    return -1;
}

int hwtransport_open(fido_dev_t *dev, const char *path)
{
    static const fido_dev_io_t io = {soft_open, soft_close, no_read, no_write};
    static const fido_dev_transport_t transport = {rx, tx};
    int error = fido_dev_set_io_functions(dev, &io);
    if (error == FIDO_OK)
        error = fido_dev_set_transport_functions(dev, &transport);
    return error == FIDO_OK ? fido_dev_open(dev, path) : error;
}

unsigned hwtransport_find(struct hwtransport ret[HWTRANSPORT_MAX])
{
    unsigned count = 0;
    const char *at = getenv("MESH_SOFT_TOKEN");
    for (unsigned i = 0; i < plugged_count; i++) {
        (void)snprintf(ret[count].path, sizeof(ret[count].path), "soft:%u", i);
        (void)snprintf(ret[count++].name, sizeof(ret[0].name), "soft token");
    }
    while (plugged_count == 0 && at && *at && count < HWTRANSPORT_MAX) {
        int bytes = (int)strcspn(at, ":");
        (void)snprintf(ret[count].path, sizeof(ret[count].path), "%.*s", bytes, at);
        (void)snprintf(ret[count++].name, sizeof(ret[0].name), "soft token");
        at += bytes;
        at += *at == ':' ? 1 : 0;
    }
    return count;
}
