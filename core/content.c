/* Keys and names of contexts: text in, bytes out. */
#include "core/content.h"
#include "core/num.h"
#include "core/plant.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

#define PREFIX       "blob:"
#define PREFIX_BYTES 5u

bool content_hex_parse(const char *text, uint32_t bytes, uint8_t ret[CONTENT_HASH])
{
    struct id128 half[2];
    assert(text != NULL || bytes == 0);
    if (bytes != 4u * sizeof(half[0].bytes) || !num_id128_parse(text, bytes / 2u, &half[0]) ||
        !num_id128_parse(text + bytes / 2u, bytes / 2u, &half[1])) {
        return false;
    }
    memcpy(ret, half[0].bytes, sizeof(half[0].bytes));
    memcpy(ret + sizeof(half[0].bytes), half[1].bytes, sizeof(half[1].bytes));
    return true;
}

bool content_ref_parse(const uint8_t *text, uint32_t bytes, uint8_t ret[CONTENT_HASH])
{
    return bytes == CONTENT_REF_BYTES && memcmp(text, PREFIX, PREFIX_BYTES) == 0 &&
           content_hex_parse((const char *)text + PREFIX_BYTES, bytes - PREFIX_BYTES, ret);
}

void content_ref_format(const uint8_t hash[CONTENT_HASH], uint8_t ret[CONTENT_REF_BYTES])
{
    char ref[CONTENT_REF_BYTES + 1u];
    struct text t;
    text_init(&t, ref, sizeof(ref));
    text_add(&t, PREFIX);
    text_hex(&t, hash, CONTENT_HASH);
    assert(t.used == CONTENT_REF_BYTES);
    memcpy(ret, ref, CONTENT_REF_BYTES);
}

bool content_of(const struct operation *op, uint8_t ret[CONTENT_HASH])
{
    assert(op != NULL && ret != NULL);
    if (op->source.tier == TIER_AGENT || strcmp(op->action, CONTENT_ACTION) != 0 ||
        op->payload_bytes == 0) {
        return false;
    }
    if (!content_ref_parse(op->payload, op->payload_bytes, ret)) {
        memcpy(ret, op->payload_hash, CONTENT_HASH);
    }
    return true;
}

bool content_sound(digest_fn *digest, const uint8_t key[CONTENT_HASH], const uint8_t *bytes,
                   uint32_t count)
{
    uint8_t hash[CONTENT_HASH];
    assert(digest != NULL && key != NULL && (bytes != NULL || count == 0));
    digest(bytes, count, hash);
    return memcmp(hash, key, sizeof(hash)) == 0 || PLANTED(PLANT_ANY_CONTENT);
}

struct id128 content_name(const uint8_t hash[CONTENT_HASH])
{
    struct id128 name;
    assert(hash != NULL);
    memcpy(name.bytes, hash, sizeof(name.bytes));
    return name;
}
