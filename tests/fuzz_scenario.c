/* libFuzzer: files of the simulator. The first byte picks: a scenario, or a recorded delay trace.
 * A scenario that is taken is the same when it is written and read again; what is refused says why.
 */
#include "sim/replay.h"
#include "sim/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void scenario(const uint8_t *data, size_t size)
{
    static struct scenario read, again;
    static char first[1u << 20], second[1u << 20];
    FILE *nothing = fopen("/dev/null", "w"), *from = fmemopen((void *)(uintptr_t)data, size, "r");
    demand(nothing != NULL && from != NULL);
    bool good = scenario_parse("input", from, &read, nothing);
    (void)fclose(from);
    if (good) {
        FILE *to = fmemopen(first, sizeof(first), "w");
        scenario_write(&read, to);
        (void)fclose(to);
        from = fmemopen(first, strlen(first), "r");
        demand(scenario_parse("again", from, &again, nothing));
        (void)fclose(from);
        to = fmemopen(second, sizeof(second), "w");
        scenario_write(&again, to);
        (void)fclose(to);
        demand(strcmp(first, second) == 0);
    }
    (void)fclose(nothing);
}

static void delay_trace(const uint8_t *data, size_t size)
{
    static struct delay_trace trace;
    char why[REPLAY_WHY_MAX] = "";
    char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/fuzz-scenario-%ld.csv", (long)getpid());
    FILE *out = fopen(path, "w");
    demand(out != NULL);
    (void)fwrite(data, 1, size, out);
    (void)fclose(out);
    if (replay_read(path, &trace, why)) {
        demand(trace.count > 0);
        replay_free(&trace);
    } else {
        demand(why[0] != '\0');
    }
    (void)unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        scenario(data + 1, size - 1);
    } else {
        delay_trace(data + 1, size - 1);
    }
    return 0;
}
