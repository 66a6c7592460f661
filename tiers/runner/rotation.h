/* When keys are to be replaced, and doing it for all whose keys lie in one directory.
 *
 * A process certificate lives for 30 days and is replaced after 24 to 27 of them, which day depends
 * on the process's name, so that a mesh does not rotate at one moment and the old certificate is
 * good for days after. A host's is replaced after 21 to 24 hours and then lives for 48. Sessions,
 * which sign frames, are replaced by each process itself every 12 hours (keys.h). */
#ifndef TIERS_RUNNER_ROTATION_H
#define TIERS_RUNNER_ROTATION_H

#include "tiers/runner/keyfiles.h"
#include <stdbool.h>
#include <stdint.h>

#define HOST_CERT_LIFE_S (INT64_C(48) * 3600)

/* When the certificate is to be replaced, in unix seconds. */
int64_t rotation_due_s(const struct cert *cert);
/* How long the next one may live where it will be replaced in time by itself. */
int64_t rotation_life_s(uint16_t roles);

/* New keys, certificates and TLS files for NAME; the certificate is written last, so that a process
 * that watches it finds everything. life_s 0: as long as the present one. 0 or a negative errno. */
int rotation_one(const char *dir, const char *name, int64_t now_s, int64_t life_s,
                 struct keys_error *why);

/* All that are due. The number of those that were replaced; or -1 less for the first that could not
 * be, and *why. Certificates without their key here belong to processes elsewhere, and are left. */
int rotation_run(const char *dir, int64_t now_s, struct keys_error *why);

/* The TLS pairs that belong to no process: the NATS server's, and those of the enrollment service
 * and of newcomers. Replaced after 24 of their 30 days, where the authority's key (ca.key) is; the
 * old ones stay good for the rest. The server has to be told: deploy/permissions. The number of
 * those that were replaced; or -1 less for the first that could not be, and *why. */
int rotation_links(const char *dir, int64_t now_s, struct keys_error *why);

#endif
