/* Facts and conditions stay text all the way: they are short, compared once an operation at the
 * lead of the agent, and what people read in the registry is what is compared. */
#include "core/facts.h"

#include <assert.h>
#include <string.h>

enum comparison { FACT_EQUAL, FACT_NOT, FACT_BELOW, FACT_AT_MOST, FACT_ABOVE, FACT_AT_LEAST };

static const char *const SIGNS[] = {"=", "!=", "<", "<=", ">", ">="};

struct condition {
    const char *name, *value;
    size_t name_bytes, value_bytes;
    enum comparison comparison;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool name_valid(const char *name, size_t bytes)
{
    if (bytes == 0 || bytes > FACT_NAME_MAX || name[0] < 'a' || name[0] > 'z') {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || is_digit(name[i]);
        if (!letter && name[i] != '_' && name[i] != '.' && name[i] != '-') {
            return false;
        }
    }
    return true;
}

static bool is_star(char c)
{
    return c == '*' || c == '?';
}

bool facts_char(char c)
{
    return c > ' ' && c <= '~' && !is_star(c) && strchr(",=!<>\"\\", c) == NULL;
}

/* wild: of a condition, where * and ? stand for other text. */
static bool value_valid(const char *value, size_t bytes, bool wild)
{
    if (bytes == 0 || bytes > FACT_VALUE_MAX) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (!facts_char(value[i]) && !(wild && is_star(value[i]))) {
            return false;
        }
    }
    return true;
}

/* Names in the order of their bytes, the shorter one of two alike first. */
static int name_compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order != 0 ? order : a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

/* The pair at `at` of a text of the form that travels: up to the next space. */
static size_t pair_bytes(const char *at)
{
    return strcspn(at, " ");
}

const char *facts_set(char facts[FACTS_BYTES_MAX], const char *name, size_t name_bytes,
                      const char *value, size_t value_bytes)
{
    assert(facts != NULL && name != NULL && value != NULL);
    if (!name_valid(name, name_bytes)) {
        return "a name has 1 to 24 of a-z, 0-9, '_', '.', '-', from a letter on";
    }
    if (!value_valid(value, value_bytes, false)) {
        return "a value has 1 to 64 characters, none of them a space or one of , = ! < > * ? \" \\";
    }
    char made[FACTS_BYTES_MAX + FACT_NAME_MAX + FACT_VALUE_MAX + 3u];
    size_t used = 0, pairs = 0;
    bool placed = false;
    const char *at = facts;
    while (*at != '\0' || !placed) {
        size_t bytes = pair_bytes(at), has = strcspn(at, "=");
        int order = *at != '\0' ? name_compare(name, name_bytes, at, has) : -1;
        bool mine = !placed && order <= 0;
        made[used] = ' ';
        used += used > 0 ? 1u : 0u;
        if (mine) {
            memcpy(made + used, name, name_bytes);
            made[used + name_bytes] = '=';
            memcpy(made + used + name_bytes + 1u, value, value_bytes);
            used += name_bytes + 1u + value_bytes;
            placed = true;
        } else {
            memcpy(made + used, at, bytes);
            used += bytes;
        }
        pairs++;
        if (!mine || order == 0) { /* it stands there, or the new one stands in its place */
            at += bytes + (at[bytes] == ' ' ? 1u : 0u);
        }
    }
    if (pairs > FACTS_MAX) {
        return "an agent has 16 facts at most";
    }
    if (used >= FACTS_BYTES_MAX) {
        return "all facts of an agent have 255 bytes at most";
    }
    memcpy(facts, made, used);
    facts[used] = '\0';
    return NULL;
}

const char *facts_read(const char *text, char facts[FACTS_BYTES_MAX], size_t *ret_at)
{
    assert(text != NULL && facts != NULL && ret_at != NULL);
    char made[FACTS_BYTES_MAX];
    memcpy(made, facts, FACTS_BYTES_MAX);
    for (const char *at = text + strspn(text, ", "); *at != '\0'; at += strspn(at, ", ")) {
        size_t bytes = strcspn(at, ", "), name = strcspn(at, "=, ");
        const char *why = name == bytes
                              ? "a fact is name=value"
                              : facts_set(made, at, name, at + name + 1u, bytes - name - 1u);
        if (why != NULL) {
            *ret_at = (size_t)(at - text);
            return why;
        }
        at += bytes;
    }
    memcpy(facts, made, FACTS_BYTES_MAX);
    return NULL;
}

bool facts_valid(const char *text)
{
    assert(text != NULL);
    char made[FACTS_BYTES_MAX] = "";
    size_t at = 0;
    return strlen(text) < FACTS_BYTES_MAX && facts_read(text, made, &at) == NULL &&
           strcmp(text, made) == 0;
}

const char *facts_value(const char *facts, const char *name, size_t name_bytes, size_t *ret_bytes)
{
    assert(facts != NULL && name != NULL && ret_bytes != NULL);
    for (const char *at = facts; *at != '\0';) {
        size_t bytes = pair_bytes(at);
        if (bytes > name_bytes && at[name_bytes] == '=' && memcmp(at, name, name_bytes) == 0) {
            *ret_bytes = bytes - name_bytes - 1u;
            return at + name_bytes + 1u;
        }
        at += bytes + (at[bytes] == ' ' ? 1u : 0u);
    }
    return NULL;
}

/* One condition from name to value; false: no comparison stands there. */
static bool condition_read(const char *at, size_t bytes, struct condition *ret)
{
    *ret = (struct condition){.name = at};
    while (ret->name_bytes < bytes && strchr("=!<> ", at[ret->name_bytes]) == NULL) {
        ret->name_bytes++;
    }
    size_t sign = ret->name_bytes;
    while (sign < bytes && at[sign] == ' ') {
        sign++;
    }
    size_t end = sign;
    while (end < bytes && strchr("=!<>", at[end]) != NULL) {
        end++;
    }
    size_t length = end - sign;
    bool equal = length == 2 && memcmp(at + sign, "==", 2) == 0;
    bool known = equal;
    for (int k = FACT_EQUAL; k <= FACT_AT_LEAST && !equal; k++) {
        if (strlen(SIGNS[k]) == length && memcmp(at + sign, SIGNS[k], length) == 0) {
            ret->comparison = (enum comparison)k;
            known = true;
        }
    }
    while (end < bytes && at[end] == ' ') {
        end++;
    }
    ret->value = at + end;
    ret->value_bytes = bytes - end;
    return known;
}

static const char *condition_check(const struct condition *c)
{
    if (!name_valid(c->name, c->name_bytes)) {
        return "a name has 1 to 24 of a-z, 0-9, '_', '.', '-', from a letter on";
    }
    bool ordered = c->comparison > FACT_NOT;
    if (ordered && (c->value_bytes == 0 || !is_digit(c->value[0]))) {
        return "< <= > >= compare with a number, as memory_mib>=4096";
    }
    if (!value_valid(c->value, c->value_bytes, !ordered)) {
        return ordered ? "< <= > >= compare with a number, as memory_mib>=4096"
                       : "a value has 1 to 64 characters, none of them a space or one of , = ! < > "
                         "\" \\; any value is *";
    }
    return NULL;
}

/* Appends bytes to ret; false: no room. */
static bool put(char ret[WHERE_BYTES_MAX], size_t *used, const char *at, size_t bytes)
{
    if (*used + bytes >= WHERE_BYTES_MAX) {
        return false;
    }
    memcpy(ret + *used, at, bytes);
    *used += bytes;
    ret[*used] = '\0';
    return true;
}

static bool condition_put(char ret[WHERE_BYTES_MAX], size_t *used, const struct condition *c)
{
    const char *sign = SIGNS[c->comparison];
    return (*used == 0 || put(ret, used, ",", 1)) && put(ret, used, c->name, c->name_bytes) &&
           put(ret, used, sign, strlen(sign)) && put(ret, used, c->value, c->value_bytes);
}

const char *where_read(const char *text, char ret[WHERE_BYTES_MAX], size_t *ret_at)
{
    static const char PREFIX[] = "facts.";
    assert(text != NULL && ret != NULL && ret_at != NULL);
    char made[WHERE_BYTES_MAX] = "";
    size_t used = 0, count = 0;
    for (const char *at = text;; at++) {
        at += strspn(at, " ");
        size_t all = strcspn(at, ","), bytes = all;
        while (bytes > 0 && at[bytes - 1u] == ' ') {
            bytes--;
        }
        *ret_at = (size_t)(at - text);
        bool prefixed = bytes >= sizeof PREFIX && memcmp(at, PREFIX, sizeof PREFIX - 1u) == 0;
        size_t skip = prefixed ? sizeof PREFIX - 1u : 0;
        struct condition c;
        if (!condition_read(at + skip, bytes - skip, &c)) {
            return "a condition is os=debian12, gpu=*, os!=debian*, or a number behind < <= > >=";
        }
        const char *why = condition_check(&c);
        if (why != NULL) {
            return why;
        }
        if (++count > WHERE_MAX) {
            return "8 conditions at most";
        }
        if (!condition_put(made, &used, &c)) {
            return "all conditions have 191 bytes at most";
        }
        at += all;
        if (*at == '\0') {
            memcpy(ret, made, sizeof made);
            return NULL;
        }
    }
}

bool where_valid(const char *text)
{
    assert(text != NULL);
    char made[WHERE_BYTES_MAX] = "";
    size_t at = 0;
    return *text == '\0' || (strlen(text) < WHERE_BYTES_MAX &&
                             where_read(text, made, &at) == NULL && strcmp(text, made) == 0);
}

/* Wildcards: on a mismatch the last star takes one character more. */
static bool glob(const char *text, size_t text_bytes, const char *pattern, size_t bytes)
{
    size_t t = 0, p = 0, star = bytes, star_text = 0;
    while (t < text_bytes) {
        if (p < bytes && pattern[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < bytes && (pattern[p] == '?' || pattern[p] == text[t])) {
            p++;
            t++;
        } else if (star < bytes) {
            p = star + 1u;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < bytes && pattern[p] == '*') {
        p++;
    }
    return p == bytes;
}

/* The digits from `at` on but for leading zeros. */
static size_t digits(const char *text, size_t bytes, size_t *at)
{
    while (*at + 1u < bytes && text[*at] == '0' && is_digit(text[*at + 1u])) {
        (*at)++;
    }
    size_t n = 0;
    while (*at + n < bytes && is_digit(text[*at + n])) {
        n++;
    }
    return n;
}

/* Runs of digits by their value, all else by its bytes: 4096 > 512, 6.10 > 6.9. */
static int natural(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    size_t i = 0, k = 0;
    while (i < a_bytes && k < b_bytes) {
        size_t n = 1, m = 1;
        if (is_digit(a[i]) && is_digit(b[k])) {
            n = digits(a, a_bytes, &i);
            m = digits(b, b_bytes, &k);
        }
        int order = n != m ? (n < m ? -1 : 1) : memcmp(a + i, b + k, n);
        if (order != 0) {
            return order;
        }
        i += n;
        k += m;
    }
    return i < a_bytes ? 1 : k < b_bytes ? -1 : 0;
}

static bool condition_holds(const char *facts, const struct condition *c)
{
    size_t bytes = 0;
    const char *value = facts_value(facts, c->name, c->name_bytes, &bytes);
    if (c->comparison == FACT_EQUAL || c->comparison == FACT_NOT) {
        bool equal = value != NULL && glob(value, bytes, c->value, c->value_bytes);
        return equal == (c->comparison == FACT_EQUAL);
    }
    if (value == NULL || !is_digit(value[0])) {
        return false;
    }
    int order = natural(value, bytes, c->value, c->value_bytes);
    bool below = c->comparison == FACT_BELOW || c->comparison == FACT_AT_MOST;
    bool also_equal = c->comparison == FACT_AT_MOST || c->comparison == FACT_AT_LEAST;
    return order == 0 ? also_equal : (order < 0) == below;
}

bool facts_match(const char *facts, const char *where)
{
    assert(facts != NULL && where != NULL);
    while (*where != '\0') {
        struct condition c;
        size_t bytes = strcspn(where, ",");
        if (!condition_read(where, bytes, &c) || !condition_holds(facts, &c)) {
            return false;
        }
        where += bytes + (where[bytes] == ',' ? 1u : 0u);
    }
    return true;
}
