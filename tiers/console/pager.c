/* The text is collected in memory first: only then is it known whether it fits the screen. While a
 * person reads in the pager the console's loop stands still; the connection comes back by itself
 * when the server has given it up meanwhile. */
#include "tiers/console/pager.h"
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

FILE *pager_open(struct pager *p)
{
    assert(p && !p->to);
    *p = (struct pager){0};
    if (isatty(STDOUT_FILENO))
        p->to = open_memstream(&p->text, &p->bytes);
    return p->to;
}

static size_t screen_rows(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row : 24;
}

static size_t lines_of(const struct pager *p)
{
    size_t lines = 0;
    for (size_t i = 0; i < p->bytes; i++)
        lines += p->text[i] == '\n';
    return lines;
}

static FILE *start_program(void)
{
    const char *program = getenv("PAGER");
    if (program && (!program[0] || strcmp(program, "cat") == 0))
        return NULL;
    return popen(program ? program : "less -FRX 2>/dev/null || cat", "w");
}

void pager_show(struct pager *p)
{
    assert(p);
    if (!p->to)
        return;
    fclose(p->to);
    FILE *program = lines_of(p) >= screen_rows() ? start_program() : NULL;
    fwrite(p->text, 1, p->bytes, program ? program : stdout);
    fflush(stdout);
    if (program)
        (void)pclose(program);
    free(p->text);
    *p = (struct pager){0};
}
