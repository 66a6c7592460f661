/* Packed nodes: what was laid out comes back, all kinds of loops make the same bytes, memory
 * follows what is in use. */
#include "core/pack.h"

#include "core/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODE 5632u /* an agent */
#define ODD  5001u

static struct packed *pack_now(struct packer *p)
{
    size_t room = pack_room(pack_gather(p));
    struct packed *to = malloc(room);
    assert_non_null(to);
    pack_write(p, to, room);
    return to;
}

static void *memory_for(size_t node_bytes)
{
    void *memory = aligned_alloc(PACK_LINE, pack_memory(node_bytes));
    assert_non_null(memory);
    return memory;
}

/* Lines that are empty, nearly empty, half and wholly full. */
static void scribble(struct rng *rng, uint8_t *node, size_t bytes)
{
    memset(node, 0, bytes);
    for (size_t line = 0; line < bytes; line += PACK_LINE) {
        uint32_t words = (uint32_t[]){0, 0, 1, 8, 16}[rng_below(rng, 5)];
        for (uint32_t i = 0; i < words; i++) {
            size_t at = line + 4 * (words == 16 ? i : rng_below(rng, 16));
            uint32_t value = (uint32_t)rng_u64(rng);
            if (at + sizeof(value) <= bytes) {
                memcpy(node + at, &value, sizeof(value));
            }
        }
    }
}

static void nodes_come_back(size_t bytes)
{
    enum { NODES = 20, ROUNDS = 50 };
    static uint8_t nodes[NODES][NODE];
    struct packed *packed[PACK_LOOPS][NODES] = {{NULL}};
    struct packer packers[PACK_LOOPS];
    void *memory[PACK_LOOPS];
    unsigned loops = (unsigned)pack_loops_here() + 1u; /* those that this processor has */
    struct rng rng;
    rng_seed(&rng, 1, bytes);
    memset(nodes, 0, sizeof(nodes));
    for (unsigned k = 0; k < loops; k++) {
        memory[k] = memory_for(bytes);
        pack_init(&packers[k], memory[k], bytes, (enum pack_loops)k);
    }
    for (unsigned round = 0; round < ROUNDS * NODES; round++) {
        unsigned i = (unsigned)rng_below(&rng, NODES);
        for (unsigned k = 0; k < loops; k++) {
            uint8_t *node = pack_lay_out(&packers[k], packed[k][i]);
            assert_memory_equal(node, nodes[i], bytes);
        }
        scribble(&rng, nodes[i], bytes);
        for (unsigned k = 0; k < loops; k++) {
            memcpy(packers[k].place, nodes[i], bytes);
            free(packed[k][i]);
            packed[k][i] = pack_now(&packers[k]);
        }
        for (unsigned k = 1; k < loops; k++) {
            assert_memory_equal(packed[0][i], packed[k][i], pack_gather(&packers[0]));
        }
    }
    for (unsigned k = 0; k < loops; k++) {
        for (unsigned i = 0; i < NODES; i++) {
            free(packed[k][i]);
        }
        free(memory[k]);
    }
}

static void what_was_laid_out_comes_back(void **state)
{
    (void)state;
    nodes_come_back(NODE);
    nodes_come_back(ODD);
}

/* The beginning is laid out, changed and packed again: the rest is as it was, and the bytes are
 * those of a node that was packed whole. */
static void the_rest_of_a_part_stays(size_t part_bytes)
{
    static uint8_t node[NODE];
    unsigned loops = (unsigned)pack_loops_here() + 1u;
    struct rng rng;
    for (unsigned k = 0; k < loops; k++) {
        struct packer whole, part;
        void *memory = memory_for(NODE), *part_memory = memory_for(NODE);
        struct packed *packed = NULL;
        rng_seed(&rng, 2, k);
        pack_init(&whole, memory, NODE, (enum pack_loops)k);
        pack_init_part(&part, part_memory, NODE, part_bytes, (enum pack_loops)k);
        scribble(&rng, node, NODE);
        memcpy(pack_lay_out(&whole, NULL), node, NODE);
        packed = pack_now(&whole);
        for (unsigned round = 0; round < 200; round++) {
            uint8_t *beginning = pack_lay_out(&part, packed);
            assert_memory_equal(beginning, node, part_bytes);
            scribble(&rng, node, part_bytes);
            memcpy(beginning, node, part_bytes);
            size_t bytes = pack_gather_part(&part, packed), room = pack_room(bytes);
            struct packed *to = malloc(room);
            assert_non_null(to);
            pack_write(&part, to, room);
            free(packed);
            packed = to;
            assert_memory_equal(pack_lay_out(&whole, packed), node, NODE);
            assert_int_equal(pack_gather(&whole), bytes);
            struct packed *same = pack_now(&whole);
            assert_memory_equal(same, packed, bytes);
            free(same);
        }
        free(packed);
        free(memory);
        free(part_memory);
    }
}

static void a_part_comes_back(void **state)
{
    (void)state;
    the_rest_of_a_part_stays(PACK_LINE);
    the_rest_of_a_part_stays(856);  /* an agent's */
    the_rest_of_a_part_stays(4096); /* just one word of the bitmap */
    the_rest_of_a_part_stays(NODE);
}

static void memory_follows_what_is_in_use(void **state)
{
    (void)state;
    struct packer p;
    void *memory = memory_for(NODE);
    pack_init(&p, memory, NODE, pack_loops_here());
    uint8_t *node = pack_lay_out(&p, NULL);
    assert_int_equal(pack_gather(&p), sizeof(struct packed));
    node[0] = node[NODE - 1] = 1;
    size_t bytes = pack_gather(&p);
    assert_int_equal(bytes, sizeof(struct packed) + 2 * (sizeof(uint32_t) + sizeof(uint16_t)));
    struct packed *one = pack_now(&p);
    assert_true(pack_suits(one, bytes, 0));
    assert_true(pack_suits(one, one->room, 0));
    assert_false(pack_suits(one, one->room + 1u, 64));
    assert_false(pack_suits(NULL, bytes, 64));
    memset(node, 1, NODE);
    struct packed *full = pack_now(&p);
    assert_false(pack_suits(full, bytes, 64)); /* much too large */
    assert_true(pack_suits(full, bytes, full->room));
    node = pack_lay_out(&p, one);
    assert_int_equal(node[0] + node[NODE - 1], 2);
    for (size_t i = 1; i < NODE - 1; i++) {
        assert_int_equal(node[i], 0);
    }
    free(one);
    free(full);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_laid_out_comes_back),
        cmocka_unit_test(a_part_comes_back),
        cmocka_unit_test(memory_follows_what_is_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
