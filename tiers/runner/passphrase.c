#include "tiers/runner/passphrase.h"

#include "tiers/runner/bytes.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define SEED_BYTES 32u
#define AT_SALT    PUBLIC_BYTES
#define AT_PASSES  (AT_SALT + crypto_pwhash_SALTBYTES)
#define AT_MEMORY  (AT_PASSES + 4u)
#define AT_NONCE   (AT_MEMORY + 4u)
#define AT_BOX     (AT_NONCE + crypto_secretbox_NONCEBYTES)
#define FILE_SIZE  (AT_BOX + SEED_BYTES + crypto_secretbox_MACBYTES)
/* A file may ask for no more than this, so that a damaged one does not take the machine's memory.
 */
#define PASSES_MAX     16u
#define MEMORY_KIB_MAX (1024u * 1024u)

_Static_assert(FILE_SIZE == 128 && FILE_SIZE <= KEYFILE_BYTES_MAX, "one line of a key file");

static const char what_sealed[] = "sealed-process-key";
static const char what_key[] = "process-key";

static int fail(struct keys_error *why, int code, const char *path, const char *what)
{
    (void)snprintf(why->text, sizeof(why->text), "%.300s: %s", path, what);
    return code;
}

static void path_of(const char *dir, const char *name, const char *ending, char ret[PATH_BYTES])
{
    (void)snprintf(ret, PATH_BYTES, "%.3900s/%s%s", dir, name, ending);
}

bool passphrase_is_needed(const char *dir, const char *name)
{
    char plain[PATH_BYTES], sealed[PATH_BYTES];
    path_of(dir, name, ".key", plain);
    path_of(dir, name, ".key.sealed", sealed);
    return access(plain, F_OK) != 0 && access(sealed, F_OK) == 0;
}

/* ---- asking ---- */

static int line_read(int fd, char ret[PASSPHRASE_MAX])
{
    size_t n = 0;
    char c;
    while (read(fd, &c, 1) == 1 && c != '\n') {
        if (n == PASSPHRASE_MAX - 1)
            return -E2BIG;
        ret[n++] = c;
    }
    ret[n] = '\0';
    return n > 0 ? 0 : -ENODATA;
}

static int tty_ask(const char *prompt, char ret[PASSPHRASE_MAX])
{
    struct termios before, silent;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || tcgetattr(fd, &before) < 0) {
        if (fd >= 0)
            (void)close(fd);
        return -ENOTTY;
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fd, TCSAFLUSH, &silent); /* first: who sees the prompt may type */
    (void)dprintf(fd, "%s: ", prompt);
    int rc = line_read(fd, ret);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)dprintf(fd, "\n");
    (void)close(fd);
    return rc;
}

int passphrase_ask(const char *prompt, int fd, bool twice, char ret[PASSPHRASE_MAX],
                   struct keys_error *why)
{
    assert(prompt && ret && why);
    char again[PASSPHRASE_MAX];
    int rc = fd >= 0 ? line_read(fd, ret) : tty_ask(prompt, ret);
    if (rc == -ENOTTY)
        return fail(why, rc, prompt, "there is no terminal to ask on; give --passphrase-fd");
    if (rc == 0 && twice && fd < 0) {
        rc = tty_ask("again", again);
        if (rc == 0 && strcmp(ret, again) != 0)
            rc = -EINVAL;
        sodium_memzero(again, sizeof(again));
    }
    if (rc == 0 && twice && strlen(ret) < PASSPHRASE_MIN)
        return fail(why, -EINVAL, prompt, "12 characters at least");
    return rc == 0 ? 0
                   : fail(why, rc, prompt,
                          rc == -EINVAL  ? "the two are not the same"
                          : rc == -E2BIG ? "255 characters at most"
                                         : "nothing was given");
}

/* ---- sealing ---- */

static int derive(const uint8_t *data, const char *passphrase,
                  uint8_t ret[crypto_secretbox_KEYBYTES])
{
    uint32_t passes = get_u32(data + AT_PASSES), kib = get_u32(data + AT_MEMORY);
    if (passes == 0 || passes > PASSES_MAX || kib < 8 || kib > MEMORY_KIB_MAX)
        return -EBADMSG;
    return crypto_pwhash(ret, crypto_secretbox_KEYBYTES, passphrase, strlen(passphrase),
                         data + AT_SALT, passes, (size_t)kib * 1024,
                         crypto_pwhash_ALG_ARGON2ID13) == 0
               ? 0
               : -ENOMEM;
}

int passphrase_seal(const char *dir, const char *name, const char *passphrase,
                    struct keys_error *why)
{
    assert(dir && name && passphrase && why);
    char plain[PATH_BYTES], sealed[PATH_BYTES];
    uint8_t seed[SEED_BYTES], data[FILE_SIZE], key[crypto_secretbox_KEYBYTES];
    uint8_t secret[SECRET_BYTES];
    path_of(dir, name, ".key", plain);
    path_of(dir, name, ".key.sealed", sealed);
    int rc = keyfile_get(plain, what_key, true, seed, sizeof(seed), why);
    if (rc < 0)
        return rc;
    (void)crypto_sign_seed_keypair(data, secret, seed);
    randombytes_buf(data + AT_SALT, crypto_pwhash_SALTBYTES);
    put_u32(data + AT_PASSES, crypto_pwhash_OPSLIMIT_MODERATE);
    put_u32(data + AT_MEMORY, crypto_pwhash_MEMLIMIT_MODERATE / 1024);
    randombytes_buf(data + AT_NONCE, crypto_secretbox_NONCEBYTES);
    if (derive(data, passphrase, key) < 0)
        rc = fail(why, -ENOMEM, sealed, "Argon2id needs 256 MiB of memory");
    if (rc == 0)
        (void)crypto_secretbox_easy(data + AT_BOX, seed, sizeof(seed), data + AT_NONCE, key);
    if (rc == 0)
        rc = keyfile_put(dir, sealed, what_sealed, data, sizeof(data), true, why);
    if (rc == 0 && unlink(plain) < 0)
        rc = fail(why, -errno, plain, "cannot be removed: the key is still there in the clear");
    keys_wipe(seed, sizeof(seed));
    keys_wipe(key, sizeof(key));
    keys_wipe(secret, sizeof(secret));
    return rc;
}

static int seed_open(const char *dir, const char *name, const char *passphrase,
                     uint8_t seed[SEED_BYTES], struct keys_error *why)
{
    char path[PATH_BYTES];
    uint8_t data[FILE_SIZE], key[crypto_secretbox_KEYBYTES];
    path_of(dir, name, ".key.sealed", path);
    int rc = keyfile_get(path, what_sealed, true, data, sizeof(data), why);
    if (rc < 0)
        return rc;
    rc = derive(data, passphrase, key);
    if (rc < 0)
        rc = fail(why, rc, path,
                  rc == -ENOMEM ? "Argon2id does not get the memory that it needs" : "is damaged");
    else if (crypto_secretbox_open_easy(seed, data + AT_BOX, SEED_BYTES + crypto_secretbox_MACBYTES,
                                        data + AT_NONCE, key) != 0)
        rc = fail(why, -EACCES, path, "the passphrase is wrong (or the file is damaged)");
    keys_wipe(key, sizeof(key));
    return rc;
}

int passphrase_open(const char *dir, const char *name, const char *passphrase, struct key_pair *ret,
                    struct keys_error *why)
{
    assert(dir && name && passphrase && ret && why);
    uint8_t seed[SEED_BYTES];
    int rc = seed_open(dir, name, passphrase, seed, why);
    if (rc == 0) {
        (void)crypto_sign_seed_keypair(ret->public_key, ret->secret, seed);
        ret->kid = key_kid(ret->public_key);
    }
    keys_wipe(seed, sizeof(seed));
    return rc;
}

int passphrase_unseal(const char *dir, const char *name, const char *passphrase,
                      struct keys_error *why)
{
    assert(dir && name && passphrase && why);
    char plain[PATH_BYTES], sealed[PATH_BYTES];
    uint8_t seed[SEED_BYTES];
    path_of(dir, name, ".key", plain);
    path_of(dir, name, ".key.sealed", sealed);
    int rc = seed_open(dir, name, passphrase, seed, why);
    if (rc == 0)
        rc = keyfile_put(dir, plain, what_key, seed, sizeof(seed), false, why);
    keys_wipe(seed, sizeof(seed));
    if (rc == 0)
        (void)unlink(sealed);
    return rc;
}

int passphrase_public(const char *dir, const char *name, uint8_t ret[PUBLIC_BYTES],
                      struct keys_error *why)
{
    assert(dir && name && ret && why);
    char path[PATH_BYTES];
    uint8_t data[FILE_SIZE];
    path_of(dir, name, ".key.sealed", path);
    int rc = keyfile_get(path, what_sealed, true, data, sizeof(data), why);
    if (rc == 0)
        memcpy(ret, data, PUBLIC_BYTES);
    return rc;
}
