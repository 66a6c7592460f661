/* A plain connection to NATS for enrollment: threads of the library, no loop of ours. */
#ifndef TIERS_RUNNER_ENROLL_LINK_H
#define TIERS_RUNNER_ENROLL_LINK_H

#include "tiers/runner/keyfiles.h"
#include <stdbool.h>
#include <stdint.h>

struct enroll_link;

/* PEM texts; reconnects by itself. 0 or a negative errno and *why. */
int enroll_link_open(const char *url, const char *ca, const char *cert, const char *key,
                     const char *subject, struct enroll_link **ret, struct keys_error *why);
void enroll_link_close(struct enroll_link *link);
bool enroll_link_send(struct enroll_link *link, const char *subject, const uint8_t *bytes,
                      size_t length);
/* The length of what came, 0: nothing within the time, -1: the link is gone for good. */
long enroll_link_next(struct enroll_link *link, int64_t wait_ms, uint8_t *ret, size_t size);

#endif
