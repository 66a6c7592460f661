/* A console's connection to the mesh, on the console's own loop: the operator's key, one bus
 * connection, commands out and replies in. Nothing blocks. Commands given while the bus is down are
 * sent when it is up again. A connection that was lost comes back by itself. */
#ifndef TIERS_RUNNER_CLIENT_H
#define TIERS_RUNNER_CLIENT_H

#include "core/command.h"
#include "tiers/runner/config.h"
#include "tiers/runner/hwtoken.h"
#include "tiers/runner/keys.h"
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define CLIENT_TOKEN "operator" /* unless said otherwise: keys_dir/operator.key and .cert */

struct client;

/* Borrowed for the call. */
typedef void client_reply_fn(void *ctx, const struct reply *reply);
typedef void client_link_fn(void *ctx, bool up, const char *why);

/* Loads the operator's key and begins to connect. config is borrowed for the client's life. False:
 * why says what is missing. */
bool client_new(uv_loop_t *loop, const struct config *config, struct client **ret, char *why,
                size_t why_bytes);

/* The same as the operator `name`. key, where not NULL, was encrypted in its file: it serves for
 * OPERATOR_SESSION_S (passphrase.h), then commands are refused with -EKEYEXPIRED. */
bool client_new_unlocked(uv_loop_t *loop, const struct config *config, const char *name,
                         const struct key_pair *key, struct client **ret, char *why,
                         size_t why_bytes);
/* ---- an operator with a hardware token (hwtoken.h), before the loop runs ---- */

/* The tokens that the trust bundle has for this operator; at most max, returns how many there are.
 */
uint32_t client_tokens(const struct client *client, struct trust_hwtoken *ret, uint32_t max);
uint64_t client_mesh(const struct client *client);
/* What a token has to sign to open this console's session, now, for HWTOKEN_LIFE_MS or as long as
 * the certificate lives: *ret is to be completed with kid, authenticator and signature. False: the
 * operator's certificate is no good now. */
bool client_session(struct client *client, struct hwtoken_proof *ret,
                    uint8_t ret_challenge[HWTOKEN_HASH_BYTES]);
/* Takes the completed proof: it goes with every command, until its time is over, then commands are
 * refused with -EKEYEXPIRED. HWTOKEN_OK, or why every process would refuse it. */
enum hwtoken_verdict client_opened(struct client *client, const struct hwtoken_proof *proof);

/* How the operator's key is kept, for people. */
const char *client_key_text(const struct client *client);

/* Closes; the loop must run until nothing is left on it, then client_free. */
void client_close(struct client *client);
void client_free(struct client *client); /* accepts NULL */

/* NULL fn: nobody wants to know. */
void client_on_link(struct client *client, client_link_fn *fn, void *ctx);
bool client_is_up(const struct client *client);
/* Whether anything that anybody said was accepted. */
bool client_heard(const struct client *client);
/* How far the clocks of others are ahead of this machine's (behind: negative), in ms, when that is
 * why nothing that they say is accepted; else 0. */
int64_t client_clock_off_ms(const struct client *client);
const char *client_why(const struct client *client); /* of the last change, for people */

/* Sends a command to the orchestrator or a sector, and again when its unit has another owner before
 * any reply came: `command` must live until the last reply or client_forget. command->ref is the
 * caller's own; replies with another ref are dropped, so a new command ends interest in the last.
 * 0; -EPERM: the operator's certificate does not allow it, and would be refused; -EMSGSIZE: it
 * cannot be encoded; -EKEYEXPIRED: see above; -ENOENT: nobody is known for `to`; -EACCES: the
 * operator's certificate is no good now.
 */
int client_command(struct client *client, struct unit to, const struct command *command,
                   client_reply_fn *on_reply, void *ctx);

/* From now on replies to all commands are wanted (false: again only to the last one): the callback
 * of the last command gets them and looks at their ref. For many operations in flight. */
void client_any_ref(struct client *client, bool wanted);

/* No reply is wanted any more. */
void client_forget(struct client *client);

#endif
