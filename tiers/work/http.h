/* What http.c and llm.c share. */
#ifndef TIERS_WORK_HTTP_H
#define TIERS_WORK_HTTP_H

#include "tiers/web/web.h"
#include "tiers/work/work_int.h"

#define HTTP_HEADERS_MAX 12u

struct http_headers {
    const char *at[HTTP_HEADERS_MAX];
    char room[7][128];
};
/* at[] ends with NULL; it points into *ret and into the action. */
uint32_t http_headers(const struct job *job, struct http_headers *ret);
uint32_t http_cpu_limit_ms(const struct job *job); /* 0: none */
/* Fails the job when its endpoint has been silent for idle_us (0: it may), else wakes it to look
 * again. */
void http_watch(struct job *job, const struct request *request, const char *url);
/* Of a request: past the job's own deadline, which ends both with the right word. */
int64_t http_total_us(const struct job *job);
/* Wakes the job for another attempt, not before Retry-After. False: its deadline is earlier, so
 * that the last answer is its end. */
bool http_again(struct job *job, const struct request *request, uint32_t attempt);

#endif
