#include "core/rescue.h"
#include <assert.h>
#include <stddef.h>

static void begin(struct rescue *r)
{
    r->silent_us = 0;
    r->pause_us = RESCUE_PAUSE_US;
    r->wait_us = RESCUE_SILENT_US + rng_range(&r->rng, 0, RESCUE_SPREAD_US);
}

void rescue_init(struct rescue *r, uint64_t seed)
{
    assert(r != NULL);
    *r = (struct rescue){.known = false};
    rng_seed(&r->rng, seed, 0x7e5c);
    begin(r);
}

void rescue_heard(struct rescue *r)
{
    assert(r != NULL);
    r->known = true;
    begin(r);
}

bool rescue_tick(struct rescue *r, int64_t now_us, bool bus_up)
{
    assert(r != NULL && now_us > 0);
    int64_t passed_us = r->ticked_us == 0 ? 0 : now_us - r->ticked_us;
    assert(passed_us >= 0);
    r->ticked_us = now_us;
    if (!r->known) {
        return false;
    }
    if (!bus_up) {
        begin(r); /* nobody can be heard: what follows begins anew */
        return false;
    }
    r->silent_us += passed_us < RESCUE_TICK_US ? passed_us : RESCUE_TICK_US;
    if (r->silent_us < r->wait_us) {
        return false;
    }
    r->silent_us = 0;
    r->wait_us = r->pause_us + rng_range(&r->rng, 0, RESCUE_SPREAD_US);
    r->pause_us = r->pause_us < RESCUE_PAUSE_MOST_US / 2 ? 2 * r->pause_us : RESCUE_PAUSE_MOST_US;
    return true;
}

bool rescue_surplus(struct rescue *r, int64_t now_us, bool waits)
{
    assert(r != NULL && now_us > 0);
    r->idle_us = !waits ? 0 : r->idle_us == 0 ? now_us : r->idle_us;
    return waits && now_us - r->idle_us >= RESCUE_SURPLUS_US;
}
