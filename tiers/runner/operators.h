/* Who has shown a hardware token: what a process that takes commands remembers of the proofs
 * (hwtoken.h) that consoles sent it, and what it makes of the next command. A console sends its
 * proof with every command, so a process that takes over learns it by the first one; the same proof
 * again costs a comparison.
 *
 * The counter of a token must rise from one session to the next. It is kept here, in memory: a
 * process knows of what it has seen itself. Sessions may be shown in another order than they were
 * opened in, so what counts is that the order of counters is that of the times.
 *
 * Bounds: OPERATOR_SESSIONS proofs, the oldest gives way and is checked again when it is needed;
 * OPERATOR_TOKENS counters, likewise; OPERATOR_CHECKS_PER_S signatures checked a second, beyond it
 * `rate`. */
#ifndef TIERS_RUNNER_OPERATORS_H
#define TIERS_RUNNER_OPERATORS_H

#include "core/command.h"
#include "tiers/runner/hwtoken.h"
#include "tiers/runner/peers.h"

#define OPERATOR_SESSIONS     256u
#define OPERATOR_TOKENS       TRUST_HWTOKENS_MAX
#define OPERATOR_CHECKS_PER_S 50u

/* hardware_tokens of the configuration: which commands are refused without a token, whoever gives
 * them. Whose name has a token in the trust bundle has to show it for everything. */
enum operator_policy {
    OPERATOR_ANY_KEY,
    OPERATOR_TOKEN_ADMIN,  /* what takes an admin: freeze, thaw, .. */
    OPERATOR_TOKEN_OPERATE /* also operations */
};

struct operators_conf {
    const struct trust *trust; /* borrowed; changes with the bundle */
    uint64_t mesh;
    enum operator_policy policy;
};

struct operators;
struct operators *operators_new(const struct operators_conf *conf); /* NULL: no memory */
void operators_free(struct operators *o);                           /* accepts NULL */

/* A RECORD_OPERATOR of an accepted frame of that console. What it says stands for its session until
 * another comes; the verdict is that of operators_judge, too. */
enum hwtoken_verdict operators_shown(struct operators *o, const struct peer *console,
                                     const uint8_t *bytes, size_t length, int64_t now_ms);

/* Fills in proof, proof_why and proof_us of a command of that console, whose kind takes the
 * capability `needs` (CONSOLE_*). */
enum hwtoken_verdict operators_judge(const struct operators *o, const struct peer *console,
                                     uint64_t needs, int64_t now_ms, struct command *command);

#endif
