/* Seeded random numbers, one generator inside each node (node.h, rule 6). xoshiro256** by Blackman
 * and Vigna, seeded through splitmix64. The same seed and stream give the same numbers on every
 * machine; nothing here is fit for keys or signatures. */
#ifndef CORE_RNG_H
#define CORE_RNG_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* One step of splitmix64: a good 64-bit mix of *state, which moves on. */
static inline uint64_t rng_splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Streams of one seed are independent: use the uid or a purpose as the stream. */
static inline void rng_seed(struct rng *r, uint64_t seed, uint64_t stream)
{
    assert(r != NULL);
    uint64_t state = stream;
    state = seed ^ rng_splitmix(&state);
    for (int i = 0; i < 4; i++) {
        r->s[i] = rng_splitmix(&state);
    }
    r->s[0] |= 1u; /* the all-zero state would stay zero */
}

static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    assert((s[0] | s[1] | s[2] | s[3]) != 0); /* seeded? */
    uint64_t x = s[1] * 5u;
    uint64_t result = (x << 7 | x >> 57) * 9u;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

/* 0 to n - 1, without bias; n is 1 or more. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    uint64_t reject = (0u - n) % n; /* 2^64 mod n */
    uint64_t x;
    do {
        x = rng_u64(r);
    } while (x < reject);
    return x % n;
}

/* lo to hi, both included. */
static inline int64_t rng_range(struct rng *r, int64_t lo, int64_t hi)
{
    assert(lo <= hi);
    uint64_t span = (uint64_t)hi - (uint64_t)lo;
    uint64_t x = span == UINT64_MAX ? rng_u64(r) : rng_below(r, span + 1u);
    uint64_t sum = (uint64_t)lo + x;
    return sum <= INT64_MAX ? (int64_t)sum : -(int64_t)(UINT64_MAX - sum) - 1;
}

/* [0, 1), 53 random bits. */
static inline double rng_unit(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * (1.0 / 9007199254740992.0);
}

/* base_us, more or less by up to permille / 1000 of it, evenly spread. base_us: 0 to 2^52;
 * permille: 0 to 1000. Never below 0. */
static inline int64_t rng_jitter_us(struct rng *r, int64_t base_us, unsigned permille)
{
    assert(base_us >= 0 && base_us <= (1ll << 52));
    assert(permille <= 1000u);
    int64_t reach = base_us / 1000 * (int64_t)permille + base_us % 1000 * (int64_t)permille / 1000;
    return base_us + rng_range(r, -reach, reach);
}

#endif
