/* Roots and trust bundle in the keys directory, and what a process knows of them.
 *
 *     root-1.key .. root-3.key   the root secrets: two of them sign a bundle; keep them apart,
 * offline root.pub                   the three public keys: pinned in every process trust.bundle
 * the bundle in force (trust.h), binary trust.version              the highest version ever seen:
 * survives a rolled-back bundle file */
#ifndef TIERS_RUNNER_TRUSTFILES_H
#define TIERS_RUNNER_TRUSTFILES_H

#include "tiers/runner/keyfiles.h"
#include "tiers/runner/trust.h"

struct trust_state {
    const char *dir; /* borrowed */
    struct trust_roots roots;
    struct trust trust;
    uint64_t version_seen;
    size_t length; /* of bytes; 0: no bundle */
    uint8_t bytes[TRUST_BYTES_MAX];
    int64_t file_ns; /* when trust.bundle was last written, as last looked at */
};

/* Makes three roots unless root.pub is there. */
int trust_init_roots(const char *dir, struct keys_error *why);

/* root.pub as it lies there, and written at a newcomer's, with the bundle (0 bytes: none). */
int trust_roots_bytes(const char *dir, uint8_t ret[ROOTS_MAX * PUBLIC_BYTES],
                      struct keys_error *why);
int trust_import(const char *dir, const uint8_t roots[ROOTS_MAX * PUBLIC_BYTES],
                 const uint8_t *bundle, size_t length, struct keys_error *why);

#define TRUST_ANY_TIME INT64_C(-1) /* as now_s: one whose time has run out is good, too */

/* What the directory says. Errors, each with a why that names the check and, where there is one,
 * the way out: no root.pub (nothing could be revoked), a bundle that does not hold, a trust.version
 * that cannot be read (a bundle that was put back could not be told). */
int trust_load(const char *dir, const struct identity *identity, int64_t now_s,
               struct trust_state *ret, struct keys_error *why);

/* A bundle from anywhere. TRUST_OK: it is in force, and on disk. */
enum trust_verdict trust_take(struct trust_state *state, uint64_t mesh, const uint8_t *bytes,
                              size_t length, int64_t now_s);

/* Whether trust.bundle was written since it was last looked at; then its bytes. True and none: it
 * is gone, and there is one in force. */
bool trust_file_changed(struct trust_state *state, uint8_t ret[TRUST_BYTES_MAX],
                        size_t *ret_length);

/* Puts the bundle in force in the place of one that does not hold (its bytes; none: it is gone). */
bool trust_file_mend(struct trust_state *state, const uint8_t *bytes, size_t length);

/* The next version, signed with the root secrets found in the directory and in `more` (files), and
 * written. revoke: a name, or NULL; epoch as in trust.h. A hardware token may be added, or removed
 * by its operator and name (kid). */
struct trust_request {
    const char *revoke;
    uint64_t epoch;
    const struct trust_hwtoken *token_add; /* or NULL */
    const char *token_of;                  /* or NULL: none is removed */
    uint64_t token_kid;
    const char *const *more;
    uint32_t more_count;
    int64_t life_s;
};
int trust_publish(const char *dir, const struct trust_request *request, int64_t now_s,
                  uint64_t *ret_version, struct keys_error *why);

#endif
