/* How a console reaches hardware tokens: USB HID through libfido2. Apart, so that tests are linked
 * with an authenticator of software in its place (tests/support/soft_token.h); the product has no
 * other way in. */
#ifndef TIERS_CONSOLE_HWTRANSPORT_H
#define TIERS_CONSOLE_HWTRANSPORT_H

#include <fido.h>

#define HWTRANSPORT_MAX 8u /* tokens looked at; more are not seen */

struct hwtransport {
    char path[256]; /* of the device */
    char name[64];  /* for people: maker and product */
};

/* The tokens that are plugged in; returns how many. */
unsigned hwtransport_find(struct hwtransport ret[HWTRANSPORT_MAX]);
int hwtransport_open(fido_dev_t *dev, const char *path); /* FIDO_OK or FIDO_ERR_* */

#endif
