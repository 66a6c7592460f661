/* Strict where the standard is: what is not exactly this form starts a new trace there, and is
 * refused here, where somebody typed it. */
#include "core/trace_context.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

#define TRACE_AT  3u
#define PARENT_AT 36u
#define FLAGS_AT  53u
#define LENGTH    55u

/* `digits` lower case hex digits, 16 at most. */
static bool hex(const char *text, unsigned digits, uint64_t *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < digits; i++) {
        char c = text[i];
        unsigned v = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10u
                                            : 16u;
        if (v > 15u) {
            return false;
        }
        *ret = *ret << 4 | v;
    }
    return true;
}

const char *traceparent_parse(const char *text, struct trace_context *ret)
{
    assert(text != NULL && ret != NULL);
    struct trace_context c = {0};
    uint64_t version, high, low, flags;
    size_t length = strlen(text);
    if (length < LENGTH || text[2] != '-' || text[PARENT_AT - 1] != '-' ||
        text[FLAGS_AT - 1] != '-') {
        return "wanted is 00-<32 hex digits>-<16 hex digits>-<2 hex digits>";
    }
    if (!hex(text, 2, &version) || version == 0xff || (version == 0 && length != LENGTH) ||
        (length > LENGTH && text[LENGTH] != '-')) {
        return "the version is none that is known (00)";
    }
    if (!hex(text + TRACE_AT, 16, &high) || !hex(text + TRACE_AT + 16, 16, &low) ||
        (high | low) == 0) {
        return "the trace id is 32 hex digits in lower case, not all zero";
    }
    if (!hex(text + PARENT_AT, 16, &c.parent) || c.parent == 0) {
        return "the parent id is 16 hex digits in lower case, not all zero";
    }
    if (!hex(text + FLAGS_AT, 2, &flags)) {
        return "the flags are 2 hex digits in lower case";
    }
    for (unsigned i = 0; i < 8; i++) {
        c.trace.bytes[i] = (uint8_t)(high >> (56u - 8u * i));
        c.trace.bytes[8 + i] = (uint8_t)(low >> (56u - 8u * i));
    }
    c.flags = (uint8_t)(flags & 1u); /* the others are not known */
    *ret = c;
    return NULL;
}

void traceparent_format(const struct trace_context *c, char ret[TRACEPARENT_MAX])
{
    static const char digits[] = "0123456789abcdef";
    char id[ID128_TEXT_MAX];
    assert(c != NULL && ret != NULL);
    num_id128_format(c->trace, id);
    memcpy(ret, "00-", 3);
    memcpy(ret + TRACE_AT, id, 32);
    ret[PARENT_AT - 1] = '-';
    for (unsigned i = 0; i < 16; i++) {
        ret[PARENT_AT + i] = digits[c->parent >> (60u - 4u * i) & 15u];
    }
    ret[FLAGS_AT - 1] = '-';
    ret[FLAGS_AT] = '0';
    ret[FLAGS_AT + 1] = digits[c->flags & 1u];
    ret[LENGTH] = '\0';
}
