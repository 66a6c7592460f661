/* What an inner node says to a console. A reply has to fit the outbox: small ones do in a step that
 * has sent little; one that does not is lost, and its console waits in vain. */
#ifndef CORE_HUB_REPLY_H
#define CORE_HUB_REPLY_H

#include "core/msg.h"

struct hub;

void hub_reply(struct hub *h, struct unit console, const struct reply *reply);
/* To the console of this command: a line of a report, the end of it, or a refusal. text:
 * NUL-terminated, TEXT_BYTES_MAX at most. */
void hub_reply_line(struct hub *h, const struct msg *command, const char *text);
void hub_reply_ok(struct hub *h, const struct msg *command);
void hub_reply_error(struct hub *h, const struct msg *command, enum reason why, const char *text);
/* False: refused, and said, for a hardware token is asked for and was not shown (command.h). */
bool hub_key_allows(struct hub *h, const struct msg *command);

#endif
