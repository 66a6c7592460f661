/* For tests/chaos: a Unix clock that can be set for one process. Preloaded into every process of a
 * mesh; each maps the file $CHAOS_CLOCKS/PID, and what stands there (int64_t microseconds) is added
 * to CLOCK_REALTIME. Clocks that only run on (monotonic, boot time) stay as they are, as they do
 * when somebody sets a machine's clock. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_us;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("CHAOS_CLOCKS");
    char path[512];
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    if (!folder || snprintf(path, sizeof path, "%s/%d", folder, (int)getpid()) >= (int)sizeof path)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *offset_us) != 0)
        return;
    void *at = mmap(NULL, sizeof *offset_us, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    offset_us = at != MAP_FAILED ? at : NULL;
}

static void add(struct timespec *t)
{
    int64_t us = offset_us ? *offset_us : 0;
    int64_t ns = t->tv_nsec + us % 1000000 * 1000;
    t->tv_sec += us / 1000000 + (ns < 0 ? -1 : ns / 1000000000);
    t->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int error = real(id, ret);
    if (error == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        add(ret);
    return error;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    int error = clock_gettime(CLOCK_REALTIME, &t);
    ret->tv_sec = t.tv_sec;
    ret->tv_usec = t.tv_nsec / 1000;
    return error;
}

time_t time(time_t *ret)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (ret)
        *ret = t.tv_sec;
    return t.tv_sec;
}
