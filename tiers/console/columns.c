#include "tiers/console/columns.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int columns_width(const struct render *r)
{
    struct winsize size;
    assert(r);
    if (r->form == FORM_WIDE || !isatty(STDOUT_FILENO))
        return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

uint32_t columns_fit(const struct column columns[], size_t count, int width)
{
    uint32_t shown = count < 32 ? (1u << count) - 1u : UINT32_MAX;
    assert(columns && count > 0 && count <= COLUMNS_MAX);
    for (;;) {
        int wide = -1;
        size_t least = count;
        for (size_t i = 0; i < count; i++)
            if (shown >> i & 1) {
                wide += columns[i].width + 1;
                if (columns[i].rank > 0 &&
                    (least == count || columns[i].rank > columns[least].rank))
                    least = i;
            }
        if (width <= 0 || wide <= width || least == count)
            return shown;
        shown &= ~(1u << least);
    }
}

size_t columns_line(const struct column columns[], size_t count, uint32_t shown,
                    char cells[][CELL_BYTES], char *ret, size_t size)
{
    size_t used = 0, last = 0;
    assert(columns && ret && size > 0);
    ret[0] = '\0';
    for (size_t i = 0; i < count; i++)
        last = shown >> i & 1 ? i : last;
    for (size_t i = 0; i < count; i++) {
        const char *text = cells ? cells[i] : columns[i].title;
        int width = i == last && columns[i].left ? 0 : columns[i].width;
        if (!(shown >> i & 1))
            continue;
        used += (size_t)snprintf(ret + used, size - used, "%s%*s", used > 0 ? " " : "",
                                 columns[i].left ? -width : width, text);
        if (used >= size)
            return size - 1;
    }
    return used;
}
