/* libFuzzer: the header of a frame, its records, and the subject that it came under. */
#include "tiers/runner/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_view view;
    struct route route;
    char text[SUBJECT_MAX + 8], again[SUBJECT_MAX];
    size_t bytes = size < sizeof(text) ? size : sizeof(text) - 1;
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    if (subject_parse(text, &route)) {
        (void)subject_format(&route, again);
        if (strcmp(again, text) != 0)
            abort();
    }
    if (frame_parse(data, size, &view) != FRAME_OK || !frame_records_hold(&view))
        return 0;
    size_t cursor = 0, length, count = 0;
    const uint8_t *record;
    while (frame_next(&view, &cursor, &record, &length)) {
        if (record < data || record + length > data + size)
            abort();
        count++;
    }
    if (count != view.record_count)
        abort();
    return 0;
}
