/* Key files of a mesh, in one directory (0700):
 *
 *     issuer.key          the mesh's root secret; needed only to issue; keep it offline
 *     issuer.pub          its public half: this file makes a process part of the mesh
 *     <process>.key       a process's secret
 *     <process>.cert      its certificate
 *     <process>.redis     its password at Redis, as text
 *     <process>.next.key  a secret whose certificate is under way
 *
 * Each is text, "mesh30k <what> 1" and a line of hex, mode 0600, written atomically. A secret that
 * others can read is refused. Errors: negative errno, and the text says which file and why. */
#ifndef TIERS_RUNNER_KEYFILES_H
#define TIERS_RUNNER_KEYFILES_H

#include "tiers/runner/keys.h"

struct keys_error {
    char text[512];
};

/* One key file: "mesh30k <what> 1" and a line of hex; at most KEYFILE_BYTES_MAX bytes of data. get
 * checks owner and mode of a secret; put writes a temporary file first, and overwrites only with
 * `replace`. */
#define KEYFILE_BYTES_MAX 512u
int keyfile_put(const char *dir, const char *path, const char *what, const uint8_t *data,
                size_t bytes, bool replace, struct keys_error *why);
int keyfile_get(const char *path, const char *what, bool secret, uint8_t *ret, size_t bytes,
                struct keys_error *why);

/* Makes the issuer's pair, and the directory. When a good pair is there already nothing is written
 * and *ret_made is false; half a pair or a bad one is an error. */
int keys_init_issuer(const char *dir, bool *ret_made, uint64_t *ret_mesh, struct keys_error *why);

struct keys_request {
    const char *name; /* the process token */
    uint16_t roles;
    uint8_t scope_count;
    struct unit_range scope[SCOPES_MAX];
    uint64_t capabilities;
    int64_t life_s;            /* at most CERT_PROCESS_LIFE_S */
    bool new_key;              /* replaces the key, too */
    const uint8_t *public_key; /* somebody else's key, PUBLIC_BYTES: no NAME.key here; or NULL */
};
/* Writes <name>.cert, and <name>.key if there is none. Issuing again renews the certificate of the
 * same key; its epoch is later, so peers prefer it. */
int keys_issue(const char *dir, const struct keys_request *request, int64_t now_s,
               struct keys_error *why);

/* A key and its certificate are two files, replaced in three steps of which the middle one decides:
 * NAME.next.key is written, NAME.cert is replaced, NAME.next.key becomes NAME.key. Whoever loads an
 * identity in between takes the key that the certificate is for (identity_load); this does the
 * third step when it is due, and nothing else. */
#define KEYS_NEXT ".next"
int keys_settle(const char *dir, const char *name, struct keys_error *why);

/* A new key and certificate with what the present certificate says. life_s 0: it lives as long. */
int keys_rotate(const char *dir, const char *name, int64_t now_s, int64_t life_s,
                struct keys_error *why);

/* The newcomer's side: its own key of that name, made where there is none; what it was given. */
int keys_own_key(const char *dir, const char *name, struct key_pair *ret, struct keys_error *why);
int keys_import(const char *dir, const char *name, const uint8_t issuer_public[PUBLIC_BYTES],
                const uint8_t cert[CERT_BYTES], const char password[64], struct keys_error *why);
/* The issuer's secret, to sign what is no certificate. Wipe it. */
int keys_load_issuer(const char *dir, struct key_pair *ret, struct keys_error *why);

/* What a process needs at start: issuer.pub, its key and certificate, each checked against the
 * others, not against the time. Wipe and unlock with identity_done. */
int identity_load(const char *dir, const char *name, struct identity *ret, struct keys_error *why);
/* Whether its certificate is good at that time. -EKEYEXPIRED or -EKEYREJECTED (not yet), and in
 * *why the check, by how much, and the two mends: the certificate, or this machine's clock. */
int identity_in_time(const char *dir, const struct identity *identity, int64_t now_s,
                     struct keys_error *why);
/* The same with a key that was encrypted in its file (passphrase.h); NULL: from NAME.key. */
int identity_load_with(const char *dir, const char *name, const struct key_pair *pair,
                       struct identity *ret, struct keys_error *why);
void identity_done(struct identity *identity);

#define PASSWORD_TEXT_BYTES 65u /* 64 hex digits and NUL */

/* Makes NAME.redis with a random password unless it is there. */
int keys_make_password(const char *dir, const char *name, struct keys_error *why);
/* -ENOENT: there is none. */
int keys_load_password(const char *dir, const char *name, char ret[PASSWORD_TEXT_BYTES],
                       struct keys_error *why);

int keys_load_certificate(const char *path, uint8_t ret[CERT_BYTES], struct keys_error *why);
/* The mesh id of DIR/issuer.pub. */
int keys_load_mesh(const char *dir, uint64_t *ret, struct keys_error *why);
int keys_load_public(const char *path, uint8_t ret[PUBLIC_BYTES], struct keys_error *why);

#endif
