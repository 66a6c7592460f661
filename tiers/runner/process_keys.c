/* The keys of a process at start, and anew while it serves. Nothing is lost by a reload: sessions
 * of the new certificate are later than those of the old one, so peers move over with the next
 * frame of each port, and the link to the bus is made before the old one is given up (bus_rotate).
 */
#include "tiers/runner/process_int.h"
#include "tiers/runner/tls.h"

#include "tiers/runner/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_OVERLAP_US 30000000ll /* at most: a new link that does not come up is tried again */

void process_log_fault(struct process *p, const char *event, const struct keys_error *why)
{
    char text[512];
    log_clean(why->text, text, sizeof(text));
    log_line(&p->log, LOG_ERROR, event, "why=\"%s\"", text);
}

/* When NAME.cert was written, which a rotation does last; 0: it is not there. */
static int64_t cert_written_ns(const struct process *p)
{
    char path[4096];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%.3900s/%s.cert", p->config.keys_dir, p->conf->name);
    return stat(path, &st) == 0 ? st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec : 0;
}

bool process_start_keys(struct process *p)
{
    struct keys_error why;
    if (keys_start() < 0) {
        log_line(&p->log, LOG_ERROR, "crypto-failed", "why=\"the crypto library does not start\"");
        return false;
    }
    if (identity_load(p->config.keys_dir, p->conf->name, &p->identity, &why) < 0) {
        process_log_fault(p, "keys-failed", &why);
        return false;
    }
    if (identity_in_time(p->config.keys_dir, &p->identity, clock_unix_us() / US_PER_S, &why) < 0) {
        process_log_fault(p, "certificate-time", &why);
        return false;
    }
    p->cert_ns = cert_written_ns(p);
    if (trust_load(p->config.keys_dir, &p->identity, clock_unix_us() / US_PER_S, &p->trust, &why) <
        0) {
        process_log_fault(p, "trust-failed", &why);
        return false;
    }
    if (config_has_tls(&p->config) && tls_check(p->config.keys_dir, p->conf->name, p->identity.mesh,
                                                clock_unix_us() / US_PER_S, &why) < 0)
        process_log_fault(p, "link-certificate",
                          &why); /* it goes on: a new pair may be on its way */
    return process_ports(p) && process_scope_covers(p);
}

void process_reload(struct process *p)
{
    struct keys_error why;
    struct identity fresh = {0}, before = p->identity;
    p->cert_ns = cert_written_ns(p);
    if (identity_load(p->config.keys_dir, p->conf->name, &fresh, &why) < 0) {
        process_log_fault(p, "reload-refused", &why);
        return;
    }
    int64_t now_s = clock_unix_us() / US_PER_S;
    p->identity = fresh; /* in place: others hold a pointer to it */
    bool same_mesh = fresh.mesh == before.mesh;
    bool in_time = identity_in_time(p->config.keys_dir, &fresh, now_s, &why) == 0;
    if (!same_mesh || !in_time || !process_scope_covers(p)) {
        p->identity = before;
        log_line(&p->log, LOG_ERROR, "reload-refused", "why=\"%s\"",
                 !same_mesh ? "issuer.pub is another mesh's"
                 : !in_time ? why.text
                            : "the certificate does not cover the units of this process");
    } else {
        egress_renew(p->egress);
        bus_rotate(p->bus);
        ingress_expect_repeats(p->ingress, clock_boot_us() + LINKS_OVERLAP_US);
        log_line(&p->log, LOG_INFO, "reloaded", "kid=%016" PRIx64 " not_after=%" PRId64,
                 p->identity.key.kid, p->identity.cert.not_after_s);
    }
    identity_done(&fresh);
    keys_wipe(&before, sizeof(before));
}

void process_keys_tick(struct process *p)
{
    int64_t written_ns = cert_written_ns(p);
    if (written_ns != 0 && written_ns != p->cert_ns && p->cert_ns != 0)
        process_reload(p);
    p->cert_ns = written_ns != 0 ? written_ns : p->cert_ns;
}

static enum trust_verdict take_bundle(struct process *p, const uint8_t *bytes, size_t length,
                                      const char *from)
{
    enum trust_verdict v =
        trust_take(&p->trust, p->identity.mesh, bytes, length, clock_unix_us() / US_PER_S);
    p->trust_verdicts[v]++;
    if (v == TRUST_OK) {
        p->trust_changed = true;
        log_line(&p->log, LOG_INFO, "trust-taken", "from=%s version=%" PRIu64 " revoked=%u", from,
                 p->trust.trust.version, p->trust.trust.revoked_count);
    } else if (v != TRUST_KNOWN && p->trust_verdicts[v] == 1) { /* the metric counts the others */
        log_line(&p->log, LOG_WARNING, "trust-refused", "from=%s why=%s", from,
                 trust_verdict_name(v));
    }
    return v;
}

/* What is in the file and can never be in force gives way to what is, so that the next start finds
 * it. One whose time has not come, or is over, is left for whoever put it there to look at. */
static void look_at_file(struct process *p, const uint8_t *bytes, size_t length)
{
    enum trust_verdict v =
        length > 0 ? take_bundle(p, bytes, length, "file") : TRUST_SHAPE; /* it is gone */
    bool never = v == TRUST_SHAPE || v == TRUST_MESH || v == TRUST_ROLLBACK ||
                 v == TRUST_EQUIVOCATION || v == TRUST_SIGNATURES;
    if (never && trust_file_mend(&p->trust, bytes, length)) {
        log_line(&p->log, LOG_WARNING, "trust-file-mended", "was=%s version=%" PRIu64,
                 length > 0 ? trust_verdict_name(v) : "gone", p->trust.trust.version);
    }
}

void process_bundle(void *ctx, const uint8_t *bytes, size_t length)
{
    (void)take_bundle(ctx, bytes, length, "mesh");
}

bool process_trust_tick(struct process *p)
{
    static uint8_t record[1 + TRUST_BYTES_MAX];
    size_t length = 0;
    if (trust_file_changed(&p->trust, record, &length)) {
        look_at_file(p, record, length);
        p->trust_tell = p->trust_tell || p->trust_changed;
    }
    if (p->trust_changed) {
        p->trust_changed = false;
        uint32_t forgotten = peers_forget_revoked(p->peers);
        log_line(&p->log, LOG_INFO, "trust-applied", "version=%" PRIu64 " peers_forgotten=%u",
                 p->trust.trust.version, forgotten);
    }
    if (p->trust_tell && p->trust.length > 0 && p->phase == PHASE_SERVING && p->bus_up) {
        record[0] = RECORD_BUNDLE;
        memcpy(record + 1, p->trust.bytes, p->trust.length);
        p->trust_tell = !egress_record(p->egress, 0, p->everyone, record, 1 + p->trust.length);
    }
    if (!trust_is_revoked(&p->trust.trust, &p->identity.cert)) {
        return true;
    }
    if (trust_is_excluded(&p->trust.trust, &p->identity.cert)) {
        log_line(
            &p->log, LOG_ERROR, "shut-out",
            "why=\"the orchestrator has shut this process out (mesh threats); mesh keys rotate "
            "makes a certificate that is let in\"");
        return false;
    }
    log_line(&p->log, LOG_ERROR, "revoked",
             "why=\"this process's certificate is revoked (trust.bundle version %" PRIu64
             "); mesh keys rotate makes a new one\"",
             p->trust.trust.version);
    return false;
}
