#include "core/hub_reply.h"

#include "core/hub.h"
#include <assert.h>
#include <stddef.h>

void hub_reply(struct hub *h, struct unit console, const struct reply *reply)
{
    assert(h != NULL && reply != NULL);
    if (h->on_reply != NULL && h->on_reply(h, console, reply)) {
        return;
    }
    struct msg m = hub_msg(h, MSG_REPLY, console, 3);
    m.u.reply = reply;
    if (hub_fits(h, &m)) {
        out_send(h->out, &m);
    }
}

void hub_reply_line(struct hub *h, const struct msg *command, const char *text)
{
    assert(command != NULL && text != NULL);
    struct reply r = {.ref = command->u.command->ref, .kind = REPLY_LINE, .text = text};
    hub_reply(h, command->from, &r);
}

void hub_reply_ok(struct hub *h, const struct msg *command)
{
    assert(command != NULL);
    struct reply r = {.ref = command->u.command->ref, .kind = REPLY_OK, .final = true};
    hub_reply(h, command->from, &r);
}

void hub_reply_error(struct hub *h, const struct msg *command, enum reason why, const char *text)
{
    assert(command != NULL && text != NULL);
    struct reply r = {.ref = command->u.command->ref,
                      .kind = REPLY_ERROR,
                      .final = true,
                      .reason = why,
                      .text = text};
    hub_reply(h, command->from, &r);
}

bool hub_key_allows(struct hub *h, const struct msg *command)
{
    assert(h != NULL && command != NULL);
    const struct command *c = command->u.command;
    if (c->proof != PROOF_REFUSED) {
        return true;
    }
    hub_reply_error(h, command, REASON_CAPABILITY, c->proof_why);
    return false;
}
