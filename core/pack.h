/* Idle nodes in little memory. A node's state is some KiB of tables of which few are in use: what
 * is zero need not be kept. Between its steps a packed node is the 32-bit words that are not zero,
 * and which these are; for a step it is laid out at one place, the same for all of them, so its
 * lines of memory are in the cache while it works. Node state has no pointers into itself that
 * would mind (and if it had, the place is always the same).
 *
 * The form is that of lines of 64 bytes: a bit for each line with anything in it, then the words,
 * then 16 bits for each such line. The memory is the caller's: this file allocates nothing. */
#ifndef CORE_PACK_H
#define CORE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_LINE      64u
#define PACK_BITMAP    2u                  /* words of 64 lines */
#define PACK_LINES_MAX (PACK_BITMAP * 64u) /* a packed node has 8 KiB at most (asserted) */

/* How the loops over lines are made: word by word; four words at once (SSSE3); a line at once
 * (AVX-512). All make the same bytes. */
enum pack_loops { PACK_WORDS, PACK_QUARTERS, PACK_WHOLE, PACK_LOOPS };

/* The best of them that this processor has. Asked by who packs, not from here: pure code looks at
 * no machine. */
static inline enum pack_loops pack_loops_here(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        return PACK_WHOLE;
    }
    if (__builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt")) {
        return PACK_QUARTERS;
    }
#endif
    return PACK_WORDS;
}

struct packed {
    uint32_t room; /* bytes of its memory */
    uint32_t words;
    uint64_t bitmap[PACK_BITMAP]; /* bit i: line i is not zero */
    uint32_t content[];
};

/* Where nodes of one kind are laid out, and what was found there last. Who has several places sets
 * `place` and `bitmap` before each call. */
struct packer {
    uint8_t *place; /* `lines` of them */
    uint32_t *words;
    uint32_t lines, word_count, mask_count;
    uint32_t laid_words, laid_masks; /* what was laid out took so many of the packed form */
    /* Lines of the place that may not be zero; of a part also those that were gathered behind it.
     */
    uint64_t bitmap[PACK_BITMAP];
    uint16_t masks[PACK_LINES_MAX];
    enum pack_loops loops;
};

/* How much memory, aligned to PACK_LINE, a packer of nodes of so many bytes needs. */
size_t pack_memory(size_t node_bytes);
/* memory: pack_memory() bytes, which the caller frees after the last use. loops: what this
 * processor has. */
void pack_init(struct packer *p, void *memory, size_t node_bytes, enum pack_loops loops);
/* The same for the beginning of such nodes alone: only so many bytes are laid out and gathered, and
 * what lies behind them stays packed (pack_gather_part). The place ends where the memory does: who
 * touches more is found out by whatever guards that. */
void pack_init_part(struct packer *p, void *memory, size_t node_bytes, size_t part_bytes,
                    enum pack_loops loops);

/* The node as it was packed; from NULL: all zero. Valid until the next call; who writes to it must
 * gather before that. */
void *pack_lay_out(struct packer *p, const struct packed *from);

/* What lies in the place now, after a step: how many bytes its packed form takes. */
size_t pack_gather(struct packer *p);
/* The same where only the beginning lies, of a node laid out from `from`: with the rest as it is
 * there. */
size_t pack_gather_part(struct packer *p, const struct packed *from);
/* Whether a packed node's memory is large enough for that, and not larger than it would be made by
 * more than `spare`. */
bool pack_suits(const struct packed *former, size_t bytes, size_t spare);
/* How much memory to take for so many bytes: a little more, so that small changes stay in it. */
size_t pack_room(size_t bytes);
/* Writes what was gathered. room: bytes of `to`, not fewer than were gathered. */
void pack_write(const struct packer *p, struct packed *to, size_t room);

#endif
