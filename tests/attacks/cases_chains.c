/* Certificate chains (H6, H9): every way to give oneself more than one was given. */
#include "tests/attacks/attacks.h"

#include "tiers/runner/clock.h"
#include <string.h>

static struct shot s;

/* A frame of HOST with a chain of one's own making: edits both certificates, signs the process one
 * with `issuer` and the session one with `parent`, the frame with the session key. */
struct forge {
    struct cert process, session;
    const struct key_pair *issuer, *parent;
};

static void forge_begin(struct world *w, struct forge *f)
{
    struct sender *h = &w->senders[HOST];
    f->process = h->identity.cert;
    (void)cert_decode(h->signer.key.cert_bytes, &f->session);
    f->issuer = &w->issuer;
    f->parent = &h->identity.key;
}

static const char *forge_fire(struct world *w, const struct forge *f)
{
    uint8_t body[512];
    shot_begin(&s, w, HOST, &w->lead);
    shot_message(&s, beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1)), body, beat_body(w, body));
    shot_seal(&s);
    uint8_t *chain = s.bytes + s.length - SIGNATURE_BYTES - CHAIN_BYTES;
    cert_seal(&f->process, f->issuer->secret, chain);
    cert_seal(&f->session, f->parent->secret, chain + CERT_BYTES);
    shot_sign(&s);
    return shot_fire(&s);
}

#define FORGE(name, edit)                                                                          \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        struct forge f;                                                                            \
        forge_begin(w, &f);                                                                        \
        edit;                                                                                      \
        return forge_fire(w, &f);                                                                  \
    }
FORGE(untouched, (void)0)
FORGE(wider_roles, f.session.roles |= ROLE_CLUSTER)
FORGE(wider_capabilities, f.session.capabilities = UINT64_MAX)
FORGE(wider_scope, f.session.scope[0].last = unit_agent(1, 1, 6))
FORGE(other_sector,
      f.session.scope[0] = ((struct unit_range){unit_agent(2, 1, 1), unit_agent(2, 1, 1)}))
FORGE(more_tiers,
      f.session.scope[0] = ((struct unit_range){unit_cluster(1, 1), unit_cluster(1, 1)}))
FORGE(outlives, f.process.not_after_s = clock_unix_us() / 1000000 + 3600;
      f.session.not_after_s = f.process.not_after_s + 1)
FORGE(session_two_days, f.session.not_after_s = f.session.not_before_s + 2 * 86400)
FORGE(process_one_year, f.process.not_after_s = f.process.not_before_s + 365ll * 86400)
FORGE(process_expired, f.process.not_after_s = clock_unix_us() / 1000000 - 1)
FORGE(session_expired, f.session.not_after_s = clock_unix_us() / 1000000 - 1)
FORGE(not_yet, f.process.not_before_s = clock_unix_us() / 1000000 + 60)
FORGE(other_name, (void)endpoint_make("host-2", 6, 0, &f.session.subject))
FORGE(swapped, f.process.kind = CERT_SESSION; f.session.kind = CERT_PROCESS)
FORGE(two_sessions, f.process.kind = CERT_SESSION)
FORGE(self_issued, f.issuer = &w->senders[HOST].identity.key; f.process.issuer_kid = f.issuer->kid)
FORGE(lead_as_issuer, f.issuer = &w->senders[LEAD].identity.key;
      f.process.issuer_kid = f.issuer->kid)
FORGE(lead_claims_issuer, f.issuer = &w->senders[LEAD].identity.key)
FORGE(foreign_issuer, f.issuer = &w->other_issuer; f.process.issuer_kid = f.issuer->kid)
FORGE(parent_of_another, f.parent = &w->senders[HOST_TWO].identity.key)
FORGE(more_rights_by_itself, f.process.capabilities = UINT64_MAX;
      f.issuer = &w->senders[HOST].identity.key)
FORGE(small_order, memset(f.session.public_key, 0, PUBLIC_BYTES))
FORGE(port_of_process, f.process.subject.port = 3)

static const char *poke(struct world *w, size_t at, uint8_t value)
{
    uint8_t body[512];
    shot_begin(&s, w, HOST, &w->lead);
    shot_message(&s, beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1)), body, beat_body(w, body));
    shot_seal(&s);
    s.bytes[s.length - SIGNATURE_BYTES - CHAIN_BYTES + at] = value;
    shot_sign(&s);
    return shot_fire(&s);
}
#define POKE(name, at, value)                                                                      \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return poke(w, at, value);                                                                 \
    }
POKE(cert_magic, 0, 'X')
POKE(cert_flags, 8, 1)
POKE(cert_role_unknown, 7, 0x80)
POKE(cert_scope_count, 28, 200)
POKE(cert_scope_backwards, 40, 0xff)
POKE(cert_unused, 30, 1)
POKE(cert_signature, 250, 0x77)

static const char *plain(struct world *w, enum who who)
{
    shot_begin(&s, w, who, &w->lead);
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *role_sim(struct world *w)
{
    return plain(w, SIM);
}

static const char *revoked(struct world *w)
{
    return plain(w, REVOKED);
}

static const char *foreign_mesh(struct world *w)
{
    return plain(w, FOREIGN);
}

/* The frame says this mesh, the chain is of another. */
static const char *foreign_chain(struct world *w)
{
    w->senders[FOREIGN].identity.mesh = w->issuer.kid;
    const char *why = plain(w, FOREIGN);
    w->senders[FOREIGN].identity.mesh = w->other_issuer.kid;
    return why;
}

/* The real host is known; a second process with its name and an older certificate comes. */
static const char *earlier_certificate(struct world *w)
{
    struct forge f;
    if (!world_introduce(w, HOST, &w->lead))
        return "not introduced";
    struct sender *h = &w->senders[HOST];
    if (frame_signer_start(&h->signer, &h->identity, 0, NULL, 0, w->now_ms) != CERT_OK)
        return "no session";
    forge_begin(w, &f);
    f.process.epoch--;
    return forge_fire(w, &f);
}

static const struct attack list[] = {
    {"H9a", "a session with a role more", wider_roles, "chain-invalid:role-widened"},
    {"H9b", "a session with more capabilities", wider_capabilities,
     "chain-invalid:capability-widened"},
    {"H9c", "a session with more agents", wider_scope, "chain-invalid:scope-widened"},
    {"H9d", "a session for another sector", other_sector, "chain-invalid:scope-widened"},
    {"H9e", "a session for its lead", more_tiers, "chain-invalid:scope-widened"},
    {"H9f", "a session that outlives its process", outlives, "chain-invalid:outlives-parent"},
    {"C01", "a session of two days", session_two_days, "chain-invalid:too-long-lived"},
    {"C02", "a process certificate of one year", process_one_year, "chain-invalid:too-long-lived"},
    {"C03", "an expired process certificate", process_expired, "chain-invalid:expired"},
    {"C04", "an expired session", session_expired, "chain-invalid:expired"},
    {"C05", "a certificate from the future", not_yet, "chain-invalid:not-yet-valid"},
    {"C06", "a session under another name", other_name, "chain-invalid:token-changed"},
    {"C07", "the two certificates swapped", swapped, "chain-invalid:wrong-kind"},
    {"H9g", "a session below a session", two_sessions, "chain-invalid:wrong-kind"},
    {"C08", "a process that issued itself", self_issued, "chain-invalid:wrong-issuer"},
    {"H9h", "a lead that issues", lead_as_issuer, "chain-invalid:wrong-issuer"},
    {"C09", "a lead that signs in the issuer's name", lead_claims_issuer,
     "chain-invalid:bad-signature"},
    {"C10", "another mesh's issuer", foreign_issuer, "chain-invalid:wrong-issuer"},
    {"C11", "a session made by another process", parent_of_another, "chain-invalid:bad-signature"},
    {"C12", "capabilities added to the own certificate", more_rights_by_itself,
     "chain-invalid:bad-signature"},
    {"H6c", "a key of small order", small_order, "unknown-key"},
    {"C13", "a process certificate with a port", port_of_process, "chain-invalid:shape"},
    {"C14", "no certificate at all", cert_magic, "chain-invalid:shape"},
    {"C15", "a flag that does not exist", cert_flags, "chain-invalid:shape"},
    {"C16", "a role that does not exist", cert_role_unknown, "chain-invalid:shape"},
    {"C17", "200 ranges", cert_scope_count, "chain-invalid:shape"},
    {"C18", "a range that runs backwards", cert_scope_backwards, "chain-invalid:shape"},
    {"C19", "a value in unused bytes", cert_unused, "chain-invalid:shape"},
    {"C20", "one byte of the issuer's signature", cert_signature, "chain-invalid:bad-signature"},
    {"C21", "a simulator in a mesh that is none", role_sim, "role"},
    {"C22", "a revoked process", revoked, "chain-invalid:revoked"},
    {"C23", "a process of another mesh", foreign_mesh, "other-mesh"},
    {"C24", "another mesh's chain under this mesh's id", foreign_chain,
     "chain-invalid:wrong-issuer"},
    {"C25", "an earlier certificate of a known name", earlier_certificate, "old-session"},
    {"C00", "the untouched chain is good (the control)", untouched, "ACCEPTED"},
};

struct attack_list attacks_chains(void)
{
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}
