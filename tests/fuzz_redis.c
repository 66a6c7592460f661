/* libFuzzer: what a Redis server answers, read by the metered reader of a connection and understood
 * as an answer to every kind of operation (the first byte). Any shape must end in a verdict. */
#include "registry/redis_link.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redis_scratch scratch;
    if (size < 1)
        return 0;
    struct link_meter meter;
    redisReader *reader = link_reader_new(&meter);
    void *answer = NULL;
    if (!reader)
        return 0;
    enum store_kind kind = (enum store_kind)(1 + data[0] % (STORE_KIND_COUNT - 1));
    if (redisReaderFeed(reader, (const char *)data + 1, size - 1) == REDIS_OK &&
        redisReaderGetReply(reader, &answer) == REDIS_OK && answer) {
        struct store_reply reply;
        redis_command_decode(kind, answer, &scratch, &reply);
        if ((unsigned)reply.verdict >= STORE_VERDICT_COUNT)
            abort();
        freeReplyObject(answer);
    }
    redisReaderFree(reader);
    return 0;
}
