/* What one Ed25519 signature and one verification of a root cost on this machine, and one BLAKE2b
 * of so many bytes (an operation's mean frame; tiers/runner/frame_tree.h): three numbers,
 * microseconds, each the median of 9 rounds of 200. The floor of the scatter benchmark is made of
 * them.
 *
 *   cc -O2 signature_speed.c -o signature_speed -lsodium; ./signature_speed 4096 */
#define _POSIX_C_SOURCE 200809L
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 9, PER_ROUND = 200, BYTES_MAX = 61440, ROOT_BYTES = 48 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    static unsigned char bytes[BYTES_MAX];
    unsigned char signature[crypto_sign_BYTES], digest[64];
    double sign_us[ROUNDS], verify_us[ROUNDS], digest_us[ROUNDS];
    unsigned long count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (count < 1 || count > BYTES_MAX) {
        fprintf(stderr, "usage: signature_speed BYTES (1 to %d)\n", BYTES_MAX);
        return 2;
    }
    if (sodium_init() < 0)
        return 1;
    crypto_sign_keypair(public_key, secret_key);
    randombytes_buf(bytes, sizeof bytes);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_us();
        for (int i = 0; i < PER_ROUND; i++)
            crypto_sign_detached(signature, NULL, bytes, ROOT_BYTES, secret_key);
        sign_us[round] = (now_us() - start) / PER_ROUND;
        start = now_us();
        for (int i = 0; i < PER_ROUND; i++)
            if (crypto_sign_verify_detached(signature, bytes, ROOT_BYTES, public_key) != 0)
                return 1;
        verify_us[round] = (now_us() - start) / PER_ROUND;
        start = now_us();
        for (int i = 0; i < PER_ROUND; i++)
            crypto_generichash(digest, sizeof digest, bytes, count, NULL, 0);
        digest_us[round] = (now_us() - start) / PER_ROUND;
    }
    qsort(sign_us, ROUNDS, sizeof *sign_us, ascending);
    qsort(verify_us, ROUNDS, sizeof *verify_us, ascending);
    qsort(digest_us, ROUNDS, sizeof *digest_us, ascending);
    printf("%.2f %.2f %.2f\n", sign_us[ROUNDS / 2], verify_us[ROUNDS / 2], digest_us[ROUNDS / 2]);
    return 0;
}
