/* libFuzzer: the acceptance of a process, with a key oracle. The first byte says who signs the
 * bytes again (0 to 127: nobody; else a sender of tests/attacks), the second at which victim.
 * Nothing that is not an honest frame of a host for its own agents may come through. */
#include "tests/attacks/attacks.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world world;
static struct shot shot;
static unsigned runs;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (runs == 0 && (keys_start() < 0 || !world_open(&world)))
        abort();
    if (runs++ % 20000 == 0)
        world_reset(&world);
    if (size < 2 || size - 2 > FRAME_BYTES_MAX)
        return 0;
    struct victim *at = data[1] % 2 ? &world.lead : &world.orchestrator;
    enum who who = (enum who)(data[0] % WHO_COUNT);
    shot_begin(&shot, &world, who, at);
    if (size - 2 < FRAME_BYTES_MIN) { /* a record of an honest frame */
        if (size > 2)
            shot_record(&shot, data + 2, size - 2);
        shot_seal(&shot);
    } else {
        shot.length = size - 2;
        memcpy(shot.bytes, data + 2, size - 2);
        if (data[0] >= 128)
            shot_sign(&shot);
    }
    uint64_t messages = at->messages;
    (void)shot_fire(&shot);
    /* Records of at most 183 bytes may be honest ones; whole frames need a key that is not here. */
    if (at->messages != messages && size - 2 >= FRAME_BYTES_MIN)
        abort();
    return 0;
}
