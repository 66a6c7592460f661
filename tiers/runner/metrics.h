/* Prometheus text, /healthz and /readyz on a loopback port. The loop renders a page once a second
 * and hands it over; the server's own thread only ever copies the latest page, so a slow reader
 * never touches the loop. /healthz is 503 when no page came for METRICS_STALE_S: the loop hangs. */
#ifndef TIERS_RUNNER_METRICS_H
#define TIERS_RUNNER_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_PAGE_MAX 65536u
#define METRICS_STALE_S  5

struct metrics;

/* Listens on 127.0.0.1:port. 0, or a negative errno (-EADDRINUSE, ..). */
int metrics_start(uint16_t port, struct metrics **ret);
void metrics_stop(struct metrics *m); /* accepts NULL */

/* A copy of the page is kept. */
void metrics_publish(struct metrics *m, const char *page, size_t bytes, bool ready);

/* Builds a page of the Prometheus text format 0.0.4. */
struct page {
    char text[METRICS_PAGE_MAX];
    size_t used;
    bool cut;      /* what did not fit was left out, whole lines */
    char last[64]; /* the name that was added last */
};
void page_reset(struct page *p);
/* mesh_name{label="value"} number, with a HELP line when metric_help() knows the name; label NULL:
 * none. A name that ends in _total is a counter, any other a gauge. Samples of one name must be
 * added one after the other. A label's value is escaped, and has 128 bytes at most. */
void page_add(struct page *p, const char *name, const char *label, const char *value,
              uint64_t number);
/* A gauge of a span in microseconds, told in seconds: its name ends in _seconds. */
void page_add_seconds(struct page *p, const char *name, uint64_t us);

/* metrics_help.c: every metric, without the prefix mesh_. */
struct metric_info {
    const char *name, *help; /* one line, without backslashes */
};
const struct metric_info *metric_at(size_t i); /* NULL: there are no more */
const char *metric_help(const char *name);     /* NULL: no such metric */

#endif
