/* The program behind the handlers of tests/bench console: takes LEAST to MOST milliseconds, by its
 * agent, and writes one line into LOG: agent, begin and end in nanoseconds of the machine's clock.
 *
 *   slow_handler LOG LEAST MOST */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
    int64_t begin = now_ns();
    const char *agent = getenv("MESH_AGENT");
    if (argc != 4 || agent == NULL) {
        return 2;
    }
    uint32_t hash = 2166136261u;
    for (const char *c = agent; *c != '\0'; c++) {
        hash = (hash ^ (uint32_t)(unsigned char)*c) * 16777619u;
    }
    uint32_t least = (uint32_t)atoi(argv[2]), most = (uint32_t)atoi(argv[3]);
    uint32_t ms = least + (hash >> 8) % (most - least + 1);
    struct timespec wait = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&wait, NULL);
    char line[128];
    int n = snprintf(line, sizeof(line), "%s %lld %lld\n", agent, (long long)begin,
                     (long long)now_ns());
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n) {
        return 1;
    }
    (void)close(fd);
    return puts("done") < 0;
}
