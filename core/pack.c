/* Two of the loops over lines exist thrice: as C, and with the instructions that move four words or
 * a whole line at once, where the processor has them. */
#include "core/pack.h"

#include <assert.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define WHOLE    __attribute__((target("avx512f,popcnt")))
#define QUARTERS __attribute__((target("ssse3,popcnt")))
#endif

#define LINE_WORDS (PACK_LINE / sizeof(uint32_t))
#define ROOM_STEP  64u

static uint32_t lines_of(size_t node_bytes)
{
    return (uint32_t)((node_bytes + PACK_LINE - 1) / PACK_LINE);
}

size_t pack_memory(size_t node_bytes)
{
    /* gather() writes a line's words before it knows how many stay: one line more. */
    return ((size_t)lines_of(node_bytes) * 2u + 1u) * PACK_LINE;
}

void pack_init_part(struct packer *p, void *memory, size_t node_bytes, size_t part_bytes,
                    enum pack_loops loops)
{
    assert(p != NULL && memory != NULL);
    assert(node_bytes > 0 && lines_of(node_bytes) <= PACK_LINES_MAX);
    assert(part_bytes > 0 && part_bytes <= node_bytes);
    size_t place_bytes = (size_t)lines_of(part_bytes) * PACK_LINE;
    *p = (struct packer){.words = memory, .lines = lines_of(part_bytes), .loops = loops};
    p->place = (uint8_t *)memory + pack_memory(node_bytes) - place_bytes;
    memset(p->place, 0, place_bytes);
}

void pack_init(struct packer *p, void *memory, size_t node_bytes, enum pack_loops loops)
{
    pack_init_part(p, memory, node_bytes, node_bytes, loops);
}

/* Which of a bitmap's lines are in the place. */
static uint64_t in_place(const struct packer *p, unsigned b, uint64_t bitmap)
{
    uint32_t first = b * 64u;
    return p->lines >= first + 64u ? bitmap
           : p->lines <= first     ? 0
                                   : bitmap & ((1ull << (p->lines - first)) - 1u);
}

/* How many words of a line a mask of 16 bits names. */
static uint32_t words_of(uint32_t mask)
{
    mask -= mask >> 1 & 0x5555u;
    mask = (mask & 0x3333u) + (mask >> 2 & 0x3333u);
    mask = (mask + (mask >> 4)) & 0x0f0fu;
    return (mask + (mask >> 8)) & 0x1fu;
}

/* --- the loops over lines --- */

static void lay_out(uint8_t *line, uint32_t mask, const uint32_t *words)
{
    uint32_t laid[LINE_WORDS] = {0};
    for (; mask != 0; mask &= mask - 1u) {
        laid[__builtin_ctz(mask)] = *words++;
    }
    memcpy(line, laid, PACK_LINE);
}

/* Its words that are not zero, at `words`, where a line has room; returns which these are. */
static uint32_t gather(const uint8_t *line, uint32_t *words)
{
    uint64_t halves[PACK_LINE / 8];
    uint32_t single[LINE_WORDS], mask = 0;
    memcpy(halves, line, PACK_LINE);
    if ((halves[0] | halves[1] | halves[2] | halves[3] | halves[4] | halves[5] | halves[6] |
         halves[7]) == 0) {
        return 0;
    }
    memcpy(single, line, PACK_LINE);
    for (uint32_t i = 0; i < LINE_WORDS; i++) {
        *words = single[i];
        words += single[i] != 0;
        mask |= (single[i] != 0 ? 1u : 0u) << i;
    }
    return mask;
}

/* The line of the lowest bit of `rest`, which is of the bitmap's word b. */
static uint8_t *line_at(const struct packer *p, unsigned b, uint64_t rest)
{
    size_t line = (size_t)b * 64u + (unsigned)__builtin_ctzll(rest);
    return p->place + line * PACK_LINE;
}

/* So far it was laid out. */
static void laid(struct packer *p, const struct packed *from, const uint32_t *words,
                 const uint8_t *masks)
{
    p->laid_words = (uint32_t)(words - from->content);
    p->laid_masks =
        (uint32_t)(masks - (const uint8_t *)(from->content + from->words)) / sizeof(uint16_t);
}

static void lay_out_lines(struct packer *p, const struct packed *from)
{
    const uint32_t *words = from->content;
    const uint8_t *masks = (const uint8_t *)(from->content + from->words);
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        for (uint64_t rest = in_place(p, b, from->bitmap[b]); rest != 0; rest &= rest - 1u) {
            uint16_t mask;
            memcpy(&mask, masks, sizeof(mask));
            masks += sizeof(mask);
            lay_out(line_at(p, b, rest), mask, words);
            words += words_of(mask);
        }
    }
    laid(p, from, words, masks);
}

/* Bitmap, masks and words of the place; returns how many words. */
static uint32_t gather_lines(struct packer *p)
{
    uint32_t *words = p->words;
    for (uint32_t i = 0; i < p->lines; i++) {
        uint32_t mask = gather(p->place + (size_t)i * PACK_LINE, words);
        if (mask != 0) {
            p->bitmap[i / 64u] |= 1ull << i % 64u;
            p->masks[p->mask_count++] = (uint16_t)mask;
            words += words_of(mask);
        }
    }
    return (uint32_t)(words - p->words);
}

#if defined(__x86_64__)
WHOLE static void lay_out_whole_lines(struct packer *p, const struct packed *from)
{
    const uint32_t *words = from->content;
    const uint8_t *masks = (const uint8_t *)(from->content + from->words);
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        for (uint64_t rest = in_place(p, b, from->bitmap[b]); rest != 0; rest &= rest - 1u) {
            uint16_t mask;
            memcpy(&mask, masks, sizeof(mask));
            masks += sizeof(mask);
            _mm512_store_si512(line_at(p, b, rest), _mm512_maskz_expandloadu_epi32(mask, words));
            words += __builtin_popcount(mask);
        }
    }
    laid(p, from, words, masks);
}

WHOLE static uint32_t gather_whole_lines(struct packer *p)
{
    uint32_t *words = p->words;
    for (uint32_t i = 0; i < p->lines; i++) {
        __m512i line = _mm512_load_si512(p->place + (size_t)i * PACK_LINE);
        __mmask16 mask = _mm512_test_epi32_mask(line, line);
        if (mask != 0) {
            p->bitmap[i / 64u] |= 1ull << i % 64u;
            p->masks[p->mask_count++] = (uint16_t)mask;
            _mm512_storeu_si512(words, _mm512_maskz_compress_epi32(mask, line));
            words += __builtin_popcount(mask);
        }
    }
    return (uint32_t)(words - p->words);
}

/* For each set of four words: where its bytes come from when they move together, and when they
 * move apart again; 0x80 makes a zero. */
#define W0 0, 1, 2, 3
#define W1 4, 5, 6, 7
#define W2 8, 9, 10, 11
#define W3 12, 13, 14, 15
#define WZ 0x80, 0x80, 0x80, 0x80
_Alignas(16) static const uint8_t together[16][16] = {
    {WZ, WZ, WZ, WZ}, {W0, WZ, WZ, WZ}, {W1, WZ, WZ, WZ}, {W0, W1, WZ, WZ},
    {W2, WZ, WZ, WZ}, {W0, W2, WZ, WZ}, {W1, W2, WZ, WZ}, {W0, W1, W2, WZ},
    {W3, WZ, WZ, WZ}, {W0, W3, WZ, WZ}, {W1, W3, WZ, WZ}, {W0, W1, W3, WZ},
    {W2, W3, WZ, WZ}, {W0, W2, W3, WZ}, {W1, W2, W3, WZ}, {W0, W1, W2, W3}};
_Alignas(16) static const uint8_t apart[16][16] = {
    {WZ, WZ, WZ, WZ}, {W0, WZ, WZ, WZ}, {WZ, W0, WZ, WZ}, {W0, W1, WZ, WZ},
    {WZ, WZ, W0, WZ}, {W0, WZ, W1, WZ}, {WZ, W0, W1, WZ}, {W0, W1, W2, WZ},
    {WZ, WZ, WZ, W0}, {W0, WZ, WZ, W1}, {WZ, W0, WZ, W1}, {W0, W1, WZ, W2},
    {WZ, WZ, W0, W1}, {W0, WZ, W1, W2}, {WZ, W0, W1, W2}, {W0, W1, W2, W3}};
#define QUARTER_WORDS 4u

QUARTERS static void lay_out_quarters(struct packer *p, const struct packed *from)
{
    const uint32_t *words = from->content, *end = from->content + from->words;
    const uint8_t *masks = (const uint8_t *)end;
    const uint8_t *room_end = (const uint8_t *)from + from->room;
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        for (uint64_t rest = in_place(p, b, from->bitmap[b]); rest != 0; rest &= rest - 1u) {
            __m128i *line = (__m128i *)(void *)line_at(p, b, rest);
            uint16_t mask;
            memcpy(&mask, masks, sizeof(mask));
            masks += sizeof(mask);
            /* Four words are read for each quarter, however few are its own. */
            if (room_end - (const uint8_t *)words <
                (int)((unsigned)__builtin_popcount(mask) * sizeof(*words) + PACK_LINE / 4u)) {
                lay_out((uint8_t *)line, mask, words);
                words += __builtin_popcount(mask);
                continue;
            }
            for (unsigned quarter = 0; quarter < LINE_WORDS / QUARTER_WORDS; quarter++) {
                unsigned set = (unsigned)mask >> quarter * QUARTER_WORDS & 0xfu;
                __m128i some = _mm_loadu_si128((const __m128i *)(const void *)words);
                _mm_store_si128(&line[quarter],
                                _mm_shuffle_epi8(some, *(const __m128i *)(const void *)apart[set]));
                words += __builtin_popcount(set);
            }
        }
    }
    laid(p, from, words, masks);
}

QUARTERS static uint32_t gather_quarters(struct packer *p)
{
    uint32_t *words = p->words;
    const __m128i zero = _mm_setzero_si128();
    for (uint32_t i = 0; i < p->lines; i++) {
        const __m128i *line = (const __m128i *)(const void *)(p->place + (size_t)i * PACK_LINE);
        __m128i any = _mm_or_si128(_mm_or_si128(line[0], line[1]), _mm_or_si128(line[2], line[3]));
        if (_mm_movemask_epi8(_mm_cmpeq_epi32(any, zero)) == 0xffff) {
            continue;
        }
        __m128i low = _mm_packs_epi32(_mm_cmpeq_epi32(line[0], zero), /* all ones: a zero */
                                      _mm_cmpeq_epi32(line[1], zero));
        __m128i high =
            _mm_packs_epi32(_mm_cmpeq_epi32(line[2], zero), _mm_cmpeq_epi32(line[3], zero));
        uint32_t mask = ~(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) & 0xffffu;
        p->bitmap[i / 64u] |= 1ull << i % 64u;
        p->masks[p->mask_count++] = (uint16_t)mask;
        for (unsigned quarter = 0; quarter < LINE_WORDS / QUARTER_WORDS; quarter++) {
            unsigned set = (unsigned)mask >> quarter * QUARTER_WORDS & 0xfu;
            _mm_storeu_si128(
                (__m128i *)(void *)words,
                _mm_shuffle_epi8(line[quarter], *(const __m128i *)(const void *)together[set]));
            words += __builtin_popcount(set);
        }
    }
    return (uint32_t)(words - p->words);
}
#endif

/* --- one node --- */

/* p->bitmap says what is in the place. */
void *pack_lay_out(struct packer *p, const struct packed *from)
{
    assert(p != NULL && p->lines > 0);
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        uint64_t now = from == NULL ? 0 : in_place(p, b, from->bitmap[b]);
        for (uint64_t left = in_place(p, b, p->bitmap[b]) & ~now; left != 0; left &= left - 1u) {
            memset(line_at(p, b, left), 0, PACK_LINE);
        }
        p->bitmap[b] = now;
    }
    p->laid_words = p->laid_masks = 0;
    if (from == NULL) {
        return p->place;
    }
#if defined(__x86_64__)
    if (p->loops == PACK_WHOLE) {
        lay_out_whole_lines(p, from);
        return p->place;
    }
    if (p->loops == PACK_QUARTERS) {
        lay_out_quarters(p, from);
        return p->place;
    }
#endif
    lay_out_lines(p, from);
    return p->place;
}

static size_t gathered_bytes(const struct packer *p)
{
    return sizeof(struct packed) + p->word_count * sizeof(uint32_t) +
           p->mask_count * sizeof(uint16_t);
}

size_t pack_gather(struct packer *p)
{
    assert(p != NULL && p->lines > 0);
    memset(p->bitmap, 0, sizeof(p->bitmap));
    p->mask_count = 0;
#if defined(__x86_64__)
    p->word_count = p->loops == PACK_WHOLE      ? gather_whole_lines(p)
                    : p->loops == PACK_QUARTERS ? gather_quarters(p)
                                                : gather_lines(p);
#else
    p->word_count = gather_lines(p);
#endif
    return gathered_bytes(p);
}

size_t pack_gather_part(struct packer *p, const struct packed *from)
{
    assert(from != NULL && p->laid_words <= from->words);
    (void)pack_gather(p);
    uint32_t words = from->words - p->laid_words, masks = 0;
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        uint64_t rest = from->bitmap[b] & ~in_place(p, b, from->bitmap[b]);
        p->bitmap[b] |= rest;
        for (; rest != 0; rest &= rest - 1u) {
            masks++;
        }
    }
    const uint16_t *former = (const uint16_t *)(const void *)(from->content + from->words);
    memcpy(p->words + p->word_count, from->content + p->laid_words, words * sizeof(*p->words));
    memcpy(p->masks + p->mask_count, former + p->laid_masks, masks * sizeof(*p->masks));
    p->word_count += words;
    p->mask_count += masks;
    return gathered_bytes(p);
}

size_t pack_room(size_t bytes)
{
    return (bytes + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
}

bool pack_suits(const struct packed *former, size_t bytes, size_t spare)
{
    return former != NULL && former->room >= bytes && former->room <= pack_room(bytes) + spare;
}

void pack_write(const struct packer *p, struct packed *to, size_t room)
{
    assert(p != NULL && to != NULL);
    size_t word_bytes = p->word_count * sizeof(uint32_t);
    size_t mask_bytes = p->mask_count * sizeof(uint16_t);
    assert(room >= sizeof(*to) + word_bytes + mask_bytes);
    to->room = (uint32_t)room;
    to->words = p->word_count;
    memcpy(to->bitmap, p->bitmap, sizeof(to->bitmap));
    memcpy(to->content, p->words, word_bytes);
    memcpy((uint8_t *)to->content + word_bytes, p->masks, mask_bytes);
}
