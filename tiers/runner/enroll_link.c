/* One subscription, taken from by the one thread that owns the link. */
#include "tiers/runner/enroll_link.h"

#include "tiers/runner/tls.h"
#include <assert.h>
#include <errno.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct enroll_link {
    natsConnection *connection;
    natsSubscription *subscription;
};

static natsStatus options_set(natsOptions *o, const char *url, const char *ca, const char *cert,
                              const char *key)
{
    natsStatus s = natsOptions_SetURL(o, url);
    if (s == NATS_OK)
        s = natsOptions_SetTimeout(o, 5000);
    if (s == NATS_OK)
        s = natsOptions_SetMaxReconnect(o, -1);
    if (s == NATS_OK && strncmp(url, "tls://", 6) == 0) {
        s = natsOptions_SetSecure(o, true);
        s = s != NATS_OK ? s : natsOptions_SetCATrustedCertificates(o, ca);
        s = s != NATS_OK ? s : natsOptions_SetCertificatesChain(o, cert, key);
        s = s != NATS_OK ? s : natsOptions_SetExpectedHostname(o, TLS_SERVER_NAME);
    }
    return s;
}

int enroll_link_open(const char *url, const char *ca, const char *cert, const char *key,
                     const char *subject, struct enroll_link **ret, struct keys_error *why)
{
    assert(url && subject && ret && why);
    struct enroll_link *link = calloc(1, sizeof(*link));
    natsOptions *o = NULL;
    natsStatus s = link ? natsOptions_Create(&o) : NATS_NO_MEMORY;
    if (s == NATS_OK)
        s = options_set(o, url, ca, cert, key);
    if (s == NATS_OK)
        s = natsConnection_Connect(&link->connection, o);
    if (s == NATS_OK)
        s = natsConnection_SubscribeSync(&link->subscription, link->connection, subject);
    if (s == NATS_OK)
        s = natsConnection_FlushTimeout(link->connection, 5000);
    natsOptions_Destroy(o);
    if (s != NATS_OK) {
        (void)snprintf(why->text, sizeof(why->text), "%.200s: %s", url, natsStatus_GetText(s));
        enroll_link_close(link);
        return -ECONNREFUSED;
    }
    *ret = link;
    return 0;
}

void enroll_link_close(struct enroll_link *link)
{
    if (!link)
        return;
    natsSubscription_Destroy(link->subscription);
    if (link->connection)
        (void)natsConnection_FlushTimeout(link->connection, 2000);
    natsConnection_Destroy(link->connection);
    free(link);
}

bool enroll_link_send(struct enroll_link *link, const char *subject, const uint8_t *bytes,
                      size_t length)
{
    assert(link && subject && bytes);
    return natsConnection_Publish(link->connection, subject, bytes, (int)length) == NATS_OK &&
           natsConnection_Flush(link->connection) == NATS_OK;
}

long enroll_link_next(struct enroll_link *link, int64_t wait_ms, uint8_t *ret, size_t size)
{
    assert(link && ret);
    natsMsg *msg = NULL;
    natsStatus s = natsSubscription_NextMsg(&msg, link->subscription, wait_ms);
    if (s == NATS_TIMEOUT)
        return 0;
    if (s != NATS_OK)
        return -1;
    size_t bytes = (size_t)natsMsg_GetDataLength(msg);
    bool fits = bytes > 0 && bytes <= size;
    if (fits)
        memcpy(ret, natsMsg_GetData(msg), bytes);
    natsMsg_Destroy(msg);
    return fits ? (long)bytes : 0;
}
