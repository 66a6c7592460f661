/* Announcements of sectors to the hosts (EV_OWNER), in a world without processes: what the real
 * runner's processes broadcast when they take units and every ten seconds. They are lost, cut off
 * and late as any message. */
#include "sim/world_owner.h"
#include "sim/world_process.h"
#include <assert.h>

static uint64_t *heard(struct world *w, uint32_t host, uint32_t sector)
{
    return &w->owners[(size_t)(host - w->first_host) * w->conf.topology.sectors + sector - 1u];
}

void world_owner_announce(struct world *w, uint32_t sector)
{
    const struct world_node *n = &w->nodes[sector];
    assert(n->unit.tier == TIER_SECTOR && w->owners != NULL);
    bool leaves = world_leaves(w, sector);
    for (uint32_t i = w->first_host; leaves && i < w->first_host + w->conf.hosts; i++) {
        struct block *b = world_block(w, sizeof(struct world_msg));
        struct world_msg *wm = (struct world_msg *)(void *)b->bytes;
        *wm = (struct world_msg){.sent_us = w->now_us,
                                 .from = sector,
                                 .partition = n->partition,
                                 .epoch = n->epoch,
                                 .record = RECORD_ANNOUNCE};
        wm->msg.from = n->unit;
        world_send_to(w, sector, i, 0, b);
        world_block_drop(w, b);
    }
    world_push(w, w->now_us + ANNOUNCE_EVERY_US, W_ANNOUNCE, sector, 0, NULL);
}

bool world_owner_heard(struct world *w, uint32_t host, const struct world_msg *wm)
{
    uint64_t *epoch = heard(w, host, wm->msg.from.sector);
    bool news = wm->epoch > *epoch;
    *epoch = news ? wm->epoch : *epoch;
    return news && w->nodes[host].self != NULL;
}

void world_owner_forget(struct world *w, uint32_t host)
{
    for (uint32_t s = 1; s <= w->conf.topology.sectors; s++) {
        *heard(w, host, s) = 0;
    }
}
