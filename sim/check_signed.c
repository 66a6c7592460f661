/* Nothing is believed that was not signed: a unit takes no message in another's name, none that was
 * altered on its way, none a second time (a new life may take what its former one took in the 2 s
 * before it: docs/SECURITY.md), and no agent with capabilities that its certificate does
 * not have. (With liars in the world the product's own acceptance stands before the tiers: wire.h.)
 */
#include "sim/check.h"

static void said(struct judge *j, const struct world_step *s, const struct msg *m)
{
    char name[UNIT_TEXT_MAX], as[UNIT_TEXT_MAX];
    unit_format(m->from, as);
    if (s->sender.tier != TIER_NONE && !unit_equal(s->sender, m->from)) {
        unit_format(s->sender, name);
        judge_fail(j, &check_signed, VERDICT_SAFETY, s, "takes what %s said in the name of %s",
                   name, as);
    } else if (s->forged) {
        judge_fail(j, &check_signed, VERDICT_SAFETY, s, "takes %s of %s, altered on its way",
                   msg_type_name(m->type), as);
    } else if (s->again && s->sent_us > judge_node(j, s->unit)->started_us) {
        judge_fail(j, &check_signed, VERDICT_SAFETY, s, "takes %s of %s a second time",
                   msg_type_name(m->type), as);
    }
    if (m->type == MSG_HELLO && m->from.tier == TIER_AGENT) {
        const struct topology *t = &j->topology;
        uint64_t may = topology_class_capabilities(
            t, topology_class(t, topology_index(t, judge_home(j, m->from))));
        if ((m->u.hello.capabilities & ~may) != 0) {
            judge_fail(j, &check_signed, VERDICT_SAFETY, s,
                       "takes %s with capabilities %llx; its certificate has %llx", as,
                       (unsigned long long)m->u.hello.capabilities, (unsigned long long)may);
        }
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    (void)state;
    if (s->event->kind == EV_MSG) {
        said(j, s, s->event->u.msg);
    }
}

const struct check check_signed = {.name = "signed", .step = step};
