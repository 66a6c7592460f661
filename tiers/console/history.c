/* libedit keeps the list; the file is written after each line, so that a console that is killed
 * loses nothing. */
#include "tiers/console/history.h"
#include "tiers/console/complete.h"
#include <editline/readline.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_LINES 1000

static char file[PATH_MAX]; /* "": none */

static bool find_folder(char ret[PATH_MAX - 16])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/')
        snprintf(ret, PATH_MAX - 16, "%s", state);
    else if (home && home[0] == '/')
        snprintf(ret, PATH_MAX - 16, "%s/.local/state", home);
    else
        return false;
    return true;
}

static bool make_folder(char *folder)
{
    for (char *at = folder + 1;; at++)
        if (*at == '/' || *at == '\0') {
            char was = *at;
            *at = '\0';
            bool made = mkdir(folder, 0700) == 0 || errno == EEXIST;
            *at = was;
            if (!made || !was)
                return made;
        }
}

void history_open(void)
{
    char folder[PATH_MAX - 16];
    file[0] = '\0';
    stifle_history(HISTORY_LINES);
    if (!find_folder(folder) || !make_folder(folder))
        return;
    snprintf(file, sizeof file, "%s/mesh_history", folder);
    int fd = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        file[0] = '\0';
        return;
    }
    close(fd);
    read_history(file);
}

void history_keep(const char *line)
{
    const HIST_ENTRY *last =
        history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (!line[0] || line[0] == ' ' || complete_is_secret(line))
        return;
    if (last && last->line && strcmp(last->line, line) == 0)
        return;
    add_history(line);
    if (file[0])
        write_history(file);
}
