/* Idle agents in little memory. An agent's state is 5 KiB of tables of which few are in use: what
 * is zero need not be kept. Between its steps an agent is the 32-bit words that are not zero, and
 * which these are; for a step it is laid out at one place, the same for all of them, so its lines
 * of memory are in the cache while it works. Node state has no pointers into itself that would mind
 * (and if it had, the place is always the same).
 *
 * The form is that of lines of 64 bytes: a bit for each line with anything in it, 16 bits for each
 * such line, then its words. Two of these loops exist twice, as C and with the instructions that
 * take a line at once, where the processor has them; both make the same bytes.
 *
 * 30,000 agents take 25 MB instead of 170. Small worlds do not pack, so that sanitizers see each
 * agent's own memory. */
#include "sim/world_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define WIDE __attribute__((target("avx512f")))
#endif

#define LINE       64u
#define LINE_WORDS (LINE / sizeof(uint32_t))
#define ROOM_STEP  64u

struct packed {
    uint32_t bytes; /* of this allocation */
    uint32_t words;
    uint64_t bitmap[PACK_BITMAP]; /* bit i: line i is not zero */
    uint32_t content[];           /* the words, then 16 bits for each such line */
};

void world_pack_init(struct world *w, size_t node_bytes)
{
    struct packer *p = &w->packer;
    p->lines = (uint32_t)((node_bytes + LINE - 1) / LINE);
    assert(p->lines > 0 && p->lines <= PACK_BITMAP * 64u);
    p->room = aligned_alloc(LINE, (size_t)p->lines * LINE);
    p->words = world_alloc((size_t)(p->lines + 1) * LINE);
    assert(p->room != NULL);
    memset(p->room, 0, (size_t)p->lines * LINE);
#if defined(__x86_64__)
    p->wide = __builtin_cpu_supports("avx512f") && !w->conf.pack_plain;
#endif
}

void world_pack_free(struct world *w)
{
    free(w->packer.room);
    free(w->packer.words);
}

/* --- the loops over lines ----------------------------------------------------------------------
 */

static void lay_out(uint8_t *line, uint32_t mask, const uint32_t *words)
{
    uint32_t laid[LINE_WORDS] = {0};
    for (; mask != 0; mask &= mask - 1u) {
        laid[__builtin_ctz(mask)] = *words++;
    }
    memcpy(line, laid, LINE);
}

/* Its words that are not zero, at `words`, where a line has room; returns which these are. */
static uint32_t gather(const uint8_t *line, uint32_t *words)
{
    uint64_t halves[LINE / 8];
    uint32_t single[LINE_WORDS], mask = 0;
    memcpy(halves, line, LINE);
    if ((halves[0] | halves[1] | halves[2] | halves[3] | halves[4] | halves[5] | halves[6] |
         halves[7]) == 0) {
        return 0;
    }
    memcpy(single, line, LINE);
    for (uint32_t i = 0; i < LINE_WORDS; i++) {
        *words = single[i];
        words += single[i] != 0;
        mask |= (single[i] != 0 ? 1u : 0u) << i;
    }
    return mask;
}

static void lay_out_lines(struct packer *p, const struct packed *from)
{
    const uint32_t *words = from->content;
    const uint8_t *masks = (const uint8_t *)(from->content + from->words);
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        for (uint64_t rest = from->bitmap[b]; rest != 0; rest &= rest - 1u) {
            uint16_t mask;
            memcpy(&mask, masks, sizeof(mask));
            masks += sizeof(mask);
            lay_out(p->room + (b * 64u + (unsigned)__builtin_ctzll(rest)) * LINE, mask, words);
            words += __builtin_popcount(mask);
        }
    }
}

/* Bitmap, masks and words of the room; returns how many words. */
static uint32_t gather_lines(struct packer *p)
{
    uint32_t *words = p->words;
    for (uint32_t i = 0; i < p->lines; i++) {
        uint32_t mask = gather(p->room + (size_t)i * LINE, words);
        if (mask != 0) {
            p->bitmap[i / 64u] |= 1ull << i % 64u;
            p->masks[p->mask_count++] = (uint16_t)mask;
            words += __builtin_popcount(mask);
        }
    }
    return (uint32_t)(words - p->words);
}

#if defined(__x86_64__)
WIDE static void lay_out_lines_wide(struct packer *p, const struct packed *from)
{
    const uint32_t *words = from->content;
    const uint8_t *masks = (const uint8_t *)(from->content + from->words);
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        for (uint64_t rest = from->bitmap[b]; rest != 0; rest &= rest - 1u) {
            uint16_t mask;
            memcpy(&mask, masks, sizeof(mask));
            masks += sizeof(mask);
            uint8_t *line = p->room + (b * 64u + (unsigned)__builtin_ctzll(rest)) * LINE;
            _mm512_store_si512(line, _mm512_maskz_expandloadu_epi32(mask, words));
            words += __builtin_popcount(mask);
        }
    }
}

WIDE static uint32_t gather_lines_wide(struct packer *p)
{
    uint32_t *words = p->words;
    for (uint32_t i = 0; i < p->lines; i++) {
        __m512i line = _mm512_load_si512(p->room + (size_t)i * LINE);
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
#endif

/* --- one agent ---------------------------------------------------------------------------------
 */

/* p->bitmap says what its former user has left in the room. */
void *world_unpack(struct world *w, const struct packed *from)
{
    struct packer *p = &w->packer;
    for (unsigned b = 0; b < PACK_BITMAP; b++) {
        uint64_t left = from == NULL ? p->bitmap[b] : p->bitmap[b] & ~from->bitmap[b];
        for (; left != 0; left &= left - 1u) {
            memset(p->room + (b * 64u + (unsigned)__builtin_ctzll(left)) * LINE, 0, LINE);
        }
    }
    if (from == NULL) {
        return p->room;
    }
#if defined(__x86_64__)
    if (p->wide) {
        lay_out_lines_wide(p, from);
        return p->room;
    }
#endif
    lay_out_lines(p, from);
    return p->room;
}

/* Room for so much: the former one while it fits and is not much too large. Its content goes. */
static struct packed *room_for(struct packed *former, size_t bytes)
{
    size_t wanted = (bytes + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    if (former != NULL && former->bytes >= bytes && former->bytes <= wanted + ROOM_STEP) {
        return former;
    }
    free(former);
    struct packed *p = malloc(wanted);
    if (p == NULL) {
        fprintf(stderr, "world: out of memory for agents\n");
        abort();
    }
    p->bytes = (uint32_t)wanted;
    return p;
}

struct packed *world_pack(struct world *w, struct packed *former)
{
    struct packer *p = &w->packer;
    uint32_t words;
    memset(p->bitmap, 0, sizeof(p->bitmap));
    p->mask_count = 0;
#if defined(__x86_64__)
    words = p->wide ? gather_lines_wide(p) : gather_lines(p);
#else
    words = gather_lines(p);
#endif
    size_t word_bytes = words * sizeof(uint32_t), mask_bytes = p->mask_count * sizeof(uint16_t);
    struct packed *to = room_for(former, sizeof(*to) + word_bytes + mask_bytes);
    to->words = words;
    memcpy(to->bitmap, p->bitmap, sizeof(to->bitmap));
    memcpy(to->content, p->words, word_bytes);
    memcpy((uint8_t *)to->content + word_bytes, p->masks, mask_bytes);
    return to;
}
