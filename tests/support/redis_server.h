/* A Redis server of a test's own, on a free loopback port, with a temporary directory. Everything
 * that is started here is stopped here. */
#ifndef TESTS_SUPPORT_REDIS_SERVER_H
#define TESTS_SUPPORT_REDIS_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct redis_server {
    pid_t pid; /* 0: not running */
    int port;
    char directory[64];
    char url[64];
    char unix_url[96];
};

/* A listening socket on a free port of 127.0.0.1. */
static inline int listen_anywhere(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        perror("a loopback socket for a test");
        exit(1);
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline void redis_server_reserve(struct redis_server *server)
{
    strcpy(server->directory, "/tmp/mesh-test-redis-XXXXXX");
    if (!mkdtemp(server->directory)) {
        perror("a temporary directory for redis-server");
        exit(1);
    }
    close(listen_anywhere(&server->port));
    snprintf(server->url, sizeof server->url, "redis://127.0.0.1:%d", server->port);
    snprintf(server->unix_url, sizeof server->unix_url, "unix://%s/socket", server->directory);
    server->pid = 0;
}

/* True once it answers a PING. */
static inline bool redis_server_answers(const struct redis_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[8] = "";
    bool ok = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              write(fd, "PING\r\n", 6) == 6 && read(fd, answer, 7) > 0 && answer[0] == '+';
    close(fd);
    return ok;
}

static inline void redis_server_start(struct redis_server *server)
{
    char port[16];
    snprintf(port, sizeof port, "%d", server->port);
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir",
               server->directory, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
               "--logfile", "redis.log", "--unixsocket", server->unix_url + 7, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000; i++) {
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            fprintf(stderr, WIFEXITED(status) && WEXITSTATUS(status) == 127
                                ? "redis-server is not installed: apt install redis-server, or set "
                                  "MESH_TEST_REDIS_URL where the test allows it\n"
                                : "redis-server ended at once\n");
            exit(1);
        }
        if (redis_server_answers(server))
            return;
        usleep(10000);
    }
    fprintf(stderr, "redis-server on port %s did not answer within 10 s\n", port);
    exit(1);
}

/* Stands still when this returns: SIGSTOP reaches a process's threads one after the other. */
static inline void redis_server_stop(struct redis_server *server)
{
    kill(server->pid, SIGSTOP);
    waitpid(server->pid, NULL, WUNTRACED);
}

static inline void redis_server_kill(struct redis_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

static inline void redis_server_remove(struct redis_server *server)
{
    redis_server_kill(server);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", server->directory);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", server->directory);
}

/* Runs one command by redis-cli; the first line of its output. */
static inline const char *redis_server_cli(const struct redis_server *server, const char *words)
{
    static char line[512];
    char command[512];
    snprintf(command, sizeof command, "redis-cli -p %d %s 2>&1", server->port, words);
    line[0] = '\0';
    FILE *output = popen(command, "r");
    if (output) {
        if (!fgets(line, sizeof line, output))
            line[0] = '\0';
        pclose(output);
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

#endif
