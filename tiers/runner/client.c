/* The same frames, checks and directory as any process of the mesh, without nodes: what a console
 * believes is what a certificate covers. Several consoles of one operator share its key; each takes
 * a random port, which is also its console number, so that replies find it and sessions of two
 * consoles do not push each other out. */
#include "tiers/runner/client.h"

#include "tiers/runner/clock.h"
#include "tiers/runner/egress.h"
#include "tiers/runner/ingress.h"
#include "tiers/runner/keyfiles.h"
#include "tiers/runner/passphrase.h"
#include "tiers/runner/tls.h"
#include "tiers/runner/trustfiles.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client {
    uv_loop_t *loop;
    char name[TOKEN_MAX + 1];
    const struct config *config;
    struct identity identity;
    int64_t session_end_us; /* 0: the key is a plain file, and nobody has proven anything */
    bool has_token;         /* proof is a record that goes with each command */
    uint8_t proof[HWTOKEN_PROOF_BYTES];
    struct trust_state trust;
    struct codec codec;
    struct directory directory;
    struct peers *peers;
    struct egress *egress;
    struct ingress *ingress;
    struct bus *bus;
    uint16_t port;
    uint64_t epoch;
    bool up, closing;
    char why[200];
    uv_prepare_t prepare;
    client_link_fn *on_link;
    void *link_ctx;
    client_reply_fn *on_reply;
    void *reply_ctx;
    uint64_t ref;
    const struct command *pending; /* without any reply so far; the caller keeps it */
    struct unit to;
    uint32_t sent_to; /* the endpoint that was known for it */
    bool any_ref;     /* replies to earlier commands are wanted, too */
};

static bool on_publish(void *ctx, const struct route *route, const uint8_t *bytes, size_t length)
{
    struct client *c = ctx;
    return c->bus != NULL && bus_publish(c->bus, route, bytes, length) == BUS_OK;
}

static void on_msg(void *ctx, const struct msg *msg)
{
    struct client *c = ctx;
    if (msg->type == MSG_REPLY && unit_number(msg->to) == c->port && c->on_reply != NULL &&
        (c->any_ref || msg->u.reply->ref == c->ref)) {
        c->pending = NULL;
        c->on_reply(c->reply_ctx, msg->u.reply);
    }
}

/* A console is short-lived: what it knows already stays known, what is new is refused. */
static void on_bundle(void *ctx, const uint8_t *bytes, size_t length)
{
    struct client *c = ctx;
    (void)trust_take(&c->trust, c->identity.mesh, bytes, length, clock_unix_us() / US_PER_S);
}

/* The pending command, to the owner that is known now. */
static bool send_command(struct client *c, uint32_t endpoint)
{
    struct msg msg = {.type = MSG_COMMAND,
                      .priority = 2,
                      .from = unit_numbered(TIER_CONSOLE, c->port),
                      .to = c->to,
                      .epoch = c->epoch,
                      .u.command = c->pending};
    c->sent_to = endpoint;
    return (!c->has_token ||
            egress_record(c->egress, c->port, endpoint, c->proof, sizeof(c->proof))) &&
           egress_msg(c->egress, c->port, endpoint, &msg, 0);
}

static void on_frame(void *ctx, struct bus_frame *frame)
{
    struct client *c = ctx;
    bool mine = frame->route.destination.port == c->port ||
                endpoint_is_broadcast(&frame->route.destination);
    if (!c->closing && mine) {
        ingress_frame(c->ingress, frame);
    }
    const struct directory_entry *e =
        c->pending != NULL && !c->closing ? directory_find(&c->directory, c->to) : NULL;
    if (e != NULL && e->endpoint != c->sent_to) { /* its owner has changed, and never answered */
        (void)send_command(c, e->endpoint);
    }
}

static void on_bus_link(void *ctx, bool up, const char *why)
{
    struct client *c = ctx;
    c->up = up;
    (void)snprintf(c->why, sizeof(c->why), "%s", up ? "connected" : why);
    if (up && c->egress != NULL) {
        /* Units may have moved since the file was written: who owns what? */
        const struct endpoint all = {0};
        const uint8_t ask = RECORD_ASK;
        uint32_t everyone = directory_endpoint(&c->directory, &all);
        if (everyone != ENDPOINT_NONE) {
            (void)egress_record(c->egress, c->port, everyone, &ask, 1);
        }
    }
    if (c->on_link != NULL && !c->closing) {
        c->on_link(c->link_ctx, up, c->why);
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    struct client *c = handle->data;
    if (c->up) {
        egress_flush(c->egress);
        bus_flush(c->bus); /* the bus's own turn to write may have been before this one */
    }
}

static void on_scope(void *ctx, uint16_t port, struct unit_range ret[SCOPES_MAX],
                     uint32_t *ret_count)
{
    (void)ctx;
    struct unit self = unit_numbered(TIER_CONSOLE, port);
    ret[0] = (struct unit_range){self, self};
    *ret_count = 1;
}

/* A random console number, which is also the port, that the certificate covers; 0: none. */
static uint16_t pick_port(const struct cert *cert)
{
    uint32_t count = 0, chosen = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t left = pass == 1 && count > 0 ? randombytes_uniform(count) : 0;
        for (uint8_t i = 0; i < cert->scope_count && (cert->roles & ROLE_CONSOLE) != 0; i++) {
            uint32_t first = unit_number(cert->scope[i].first);
            uint32_t last = unit_number(cert->scope[i].last);
            first = first > 0 ? first : 1;
            last = last < PORTS_MAX ? last : PORTS_MAX - 1;
            if (cert->scope[i].first.tier != TIER_CONSOLE || first > last) {
                continue;
            }
            if (pass == 0) {
                count += last - first + 1;
            } else if (chosen == 0 && left <= last - first) {
                chosen = first + left;
            } else if (chosen == 0) {
                left -= last - first + 1;
            }
        }
    }
    return (uint16_t)chosen;
}

static bool new_parts(struct client *c, char *why, size_t why_bytes)
{
    struct unit twice = {0};
    struct peers_config peers = {.identity = &c->identity,
                                 .trust = &c->trust.trust,
                                 .port_count = PORTS_MAX,
                                 .accept_sim = c->config->tuning.simulation,
                                 .start_ms = clock_unix_us() / US_PER_MS,
                                 .frames_per_s = RATE_FRAMES_DEFAULT};
    c->codec.topology = &c->config->topology;
    (void)snprintf(why, why_bytes, "no memory");
    peers.bad_per_s = config_has_tls(c->config) ? RATE_BAD_DEFAULT : 0;
    c->peers = peers_new(&peers);
    if (c->peers == NULL || !directory_init(&c->directory, &c->config->topology)) {
        return false;
    }
    if (!directory_bootstrap(&c->directory, c->config, &twice)) {
        char text[UNIT_TEXT_MAX];
        if (twice.tier != TIER_NONE) {
            (void)unit_format(twice, text);
            (void)snprintf(why, why_bytes, "%s: two processes own %s", c->config->file, text);
        }
        return false;
    }
    struct egress_conf out = {.identity = &c->identity,
                              .peers = c->peers,
                              .directory = &c->directory,
                              .codec = &c->codec,
                              .publish = on_publish,
                              .port_scope = on_scope,
                              .ctx = c};
    c->egress = egress_new(&out);
    struct ingress_conf in = {.token = c->name,
                              .peers = c->peers,
                              .directory = &c->directory,
                              .codec = &c->codec,
                              .egress = c->egress,
                              .on_msg = on_msg,
                              .on_bundle = on_bundle,
                              .ctx = c};
    c->ingress = c->egress != NULL ? ingress_new(&in) : NULL;
    return c->ingress != NULL;
}

static void free_parts(struct client *c)
{
    ingress_free(c->ingress);
    egress_free(c->egress);
    peers_free(c->peers);
    if (c->directory.endpoint_table != NULL) {
        directory_done(&c->directory);
    }
    identity_done(&c->identity);
    free(c);
}

bool client_new(uv_loop_t *loop, const struct config *config, struct client **ret, char *why,
                size_t why_bytes)
{
    return client_new_unlocked(loop, config, CLIENT_TOKEN, NULL, ret, why, why_bytes);
}

const char *client_key_text(const struct client *client)
{
    assert(client != NULL);
    if (client->has_token) {
        return "hardware token with user verification";
    }
    return client->session_end_us != 0 ? "encrypted file (weaker than a hardware token)"
                                       : "plain file (mesh keys protect encrypts it)";
}

uint32_t client_tokens(const struct client *client, struct trust_hwtoken *ret, uint32_t max)
{
    assert(client != NULL && (ret != NULL || max == 0));
    const struct trust *t = &client->trust.trust;
    uint32_t count = 0;
    for (uint16_t i = 0; i < t->hwtoken_count; i++) {
        if (strcmp(t->hwtokens[i].operator_name, client->name) == 0 && count++ < max) {
            ret[count - 1] = t->hwtokens[i];
        }
    }
    return count;
}

uint64_t client_mesh(const struct client *client)
{
    assert(client != NULL);
    return client->identity.mesh;
}

static struct hwtoken_session session_of(const struct client *c, const struct frame_signer *signer)
{
    struct hwtoken_session s = {.mesh = c->identity.mesh,
                                .console = signer->self,
                                .roles = c->identity.cert.roles,
                                .capabilities = c->identity.cert.capabilities,
                                .epoch = signer->key.epoch};
    memcpy(s.public_key, signer->key.key.public_key, PUBLIC_BYTES);
    return s;
}

bool client_session(struct client *client, struct hwtoken_proof *ret,
                    uint8_t ret_challenge[HWTOKEN_HASH_BYTES])
{
    assert(client != NULL && ret != NULL);
    assert(ret_challenge != NULL);
    struct frame_signer *signer = egress_signer(client->egress, client->port);
    if (signer == NULL) {
        return false;
    }
    int64_t made_ms = clock_unix_us() / US_PER_MS, end_ms = signer->key.not_after_s * 1000;
    *ret = (struct hwtoken_proof){.made_ms = made_ms, .until_ms = made_ms + HWTOKEN_LIFE_MS};
    if (ret->until_ms > end_ms) {
        ret->until_ms = end_ms;
    }
    struct hwtoken_session session = session_of(client, signer);
    hwtoken_challenge(&session, ret->made_ms, ret->until_ms, ret_challenge);
    return ret->made_ms < ret->until_ms;
}

enum hwtoken_verdict client_opened(struct client *client, const struct hwtoken_proof *proof)
{
    assert(client != NULL && proof != NULL);
    struct frame_signer *signer = egress_signer(client->egress, client->port);
    if (signer == NULL) {
        return HWTOKEN_EXPIRED;
    }
    int64_t now_ms = clock_unix_us() / US_PER_MS;
    struct hwtoken_session session = session_of(client, signer);
    enum hwtoken_verdict v = hwtoken_verify(proof, &session, &client->trust.trust, now_ms);
    if (v == HWTOKEN_OK) {
        hwtoken_encode(proof, client->proof);
        client->has_token = true;
        client->session_end_us = clock_boot_us() + (proof->until_ms - now_ms) * US_PER_MS;
        signer->key.renew_at_s = INT64_MAX; /* the token has signed for this key alone */
    }
    return v;
}

bool client_new_unlocked(uv_loop_t *loop, const struct config *config, const char *name,
                         const struct key_pair *key, struct client **ret, char *why,
                         size_t why_bytes)
{
    assert(loop != NULL && config != NULL && name != NULL);
    assert(ret != NULL && why != NULL && why_bytes > 0);
    struct keys_error error;
    struct client *c = calloc(1, sizeof(*c));
    if (c == NULL || keys_start() < 0) {
        (void)snprintf(why, why_bytes, "no memory, or the crypto library does not start");
        free(c);
        return false;
    }
    c->loop = loop;
    c->config = config;
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    (void)snprintf(c->why, sizeof(c->why), "connecting to %.150s", config->nats_url);
    int64_t now_s = clock_unix_us() / US_PER_S;
    if (identity_load_with(config->keys_dir, name, key, &c->identity, &error) < 0 ||
        identity_in_time(config->keys_dir, &c->identity, now_s, &error) < 0 ||
        trust_load(config->keys_dir, &c->identity, now_s, &c->trust, &error) < 0 ||
        (config_has_tls(config) &&
         tls_check(config->keys_dir, name, c->identity.mesh, now_s, &error) < 0)) {
        (void)snprintf(why, why_bytes, "%s", error.text);
        identity_done(&c->identity);
        free(c);
        return false;
    }
    c->port = pick_port(&c->identity.cert);
    if (c->port == 0) {
        (void)snprintf(why, why_bytes,
                       "%s/%s.cert: is no console's; run: mesh-keys issue %s %s console mesh",
                       config->keys_dir, name, config->keys_dir, name);
        free_parts(c);
        return false;
    }
    c->epoch = (uint64_t)clock_unix_us();
    c->session_end_us = key != NULL ? clock_boot_us() + OPERATOR_SESSION_S * US_PER_S : 0;
    struct bus_config bus = {.loop = loop,
                             .url = config->nats_url,
                             .token = c->name,
                             .keys_dir = config_has_tls(config) ? config->keys_dir : NULL,
                             .on_frame = on_frame,
                             .on_link = on_bus_link,
                             .ctx = c};
    if (!new_parts(c, why, why_bytes) || uv_prepare_init(loop, &c->prepare) < 0) {
        free_parts(c);
        return false;
    }
    c->prepare.data = c;
    (void)uv_prepare_start(&c->prepare, on_prepare);
    int verdict = bus_new(&bus, &c->bus);
    if (verdict < 0) {
        (void)snprintf(why, why_bytes, "nats_url = %.100s: %s", config->nats_url,
                       strerror(-verdict));
        uv_close((uv_handle_t *)&c->prepare, NULL);
        (void)uv_run(loop, UV_RUN_NOWAIT);
        free_parts(c);
        return false;
    }
    *ret = c;
    return true;
}

static void on_bus_closed(void *ctx)
{
    struct client *c = ctx;
    c->bus = NULL;
}

void client_close(struct client *client)
{
    assert(client != NULL);
    assert(!client->closing);
    client->closing = true;
    client->on_reply = NULL;
    uv_close((uv_handle_t *)&client->prepare, NULL);
    bus_close(client->bus, on_bus_closed, client);
}

void client_free(struct client *client)
{
    if (client == NULL) {
        return;
    }
    assert(client->closing && client->bus == NULL);
    free_parts(client);
    bus_library_close();
}

void client_on_link(struct client *client, client_link_fn *fn, void *ctx)
{
    assert(client != NULL);
    client->on_link = fn;
    client->link_ctx = ctx;
}

bool client_is_up(const struct client *client)
{
    assert(client != NULL);
    return client->up;
}

int64_t client_clock_off_ms(const struct client *client)
{
    assert(client != NULL);
    return client_heard(client) ? 0 : peers_stats(client->peers)->off_ms;
}

bool client_heard(const struct client *client)
{
    assert(client != NULL);
    return peers_stats(client->peers)->verdicts[FRAME_OK] != 0;
}

const char *client_why(const struct client *client)
{
    assert(client != NULL);
    return client->why;
}

int client_command(struct client *client, struct unit to, const struct command *command,
                   client_reply_fn *on_reply, void *ctx)
{
    assert(client != NULL && command != NULL && on_reply != NULL);
    assert(to.tier == TIER_ORCHESTRATOR || to.tier == TIER_SECTOR);
    if ((client->identity.cert.capabilities & command_capability(command)) == 0) {
        return -EPERM;
    }
    if (client->session_end_us != 0 && clock_boot_us() >= client->session_end_us) {
        keys_wipe(client->identity.key.secret, sizeof(client->identity.key.secret));
        return -EKEYEXPIRED;
    }
    const struct directory_entry *e = directory_find(&client->directory, to);
    if (e == NULL) {
        return -ENOENT;
    }
    if (egress_signer(client->egress, client->port) == NULL) {
        return -EACCES;
    }
    client->pending = command;
    client->to = to;
    if (!send_command(client, e->endpoint)) {
        client->pending = NULL;
        return -EMSGSIZE;
    }
    client->on_reply = on_reply;
    client->reply_ctx = ctx;
    client->ref = command->ref;
    if (client->up) {
        egress_flush(client->egress);
        bus_flush(client->bus);
    }
    return 0;
}

void client_any_ref(struct client *client, bool wanted)
{
    assert(client != NULL);
    client->any_ref = wanted;
}

void client_forget(struct client *client)
{
    assert(client != NULL);
    client->on_reply = NULL;
    client->reply_ctx = NULL;
    client->pending = NULL;
}
