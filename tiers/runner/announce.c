/* Ranges run within one sector for clusters, and over sectors for sectors, so that each range is a
 * plain count of neighbours. A mesh of 100 sectors whose clusters all belong to one process takes
 * 100 ranges: 1.6 KB every ten seconds. */
#include "tiers/runner/announce.h"

#include "tiers/runner/bytes.h"
#include "tiers/runner/egress.h"
#include <assert.h>
#include <string.h>

static void put_unit(uint8_t *at, struct unit u)
{
    at[0] = u.tier;
    at[1] = 0;
    put_u16(at + 2, u.sector);
    put_u16(at + 4, u.cluster);
    put_u16(at + 6, u.agent);
}

static struct unit get_unit(const uint8_t *at)
{
    return (struct unit){.tier = at[0],
                         .sector = get_u16(at + 2),
                         .cluster = get_u16(at + 4),
                         .agent = get_u16(at + 6)};
}

struct folder {
    uint8_t *at;
    uint32_t count;
    bool open;
    struct unit first, last;
};

static void fold_end(struct folder *f)
{
    if (f->open && f->count < ANNOUNCE_RANGES_MAX) {
        put_unit(f->at + 16 + 16 * f->count, f->first);
        put_unit(f->at + 24 + 16 * f->count, f->last);
        f->count++;
    }
    f->open = false;
}

static void fold(struct folder *f, struct unit u, bool owned)
{
    bool follows =
        f->open && u.tier == f->last.tier &&
        (u.tier == TIER_SECTOR ? u.sector == f->last.sector + 1
                               : u.sector == f->last.sector && u.cluster == f->last.cluster + 1);
    if (!owned || !follows) {
        fold_end(f);
    }
    if (!owned) {
        return;
    }
    if (!f->open) {
        f->first = u;
        f->open = true;
    }
    f->last = u;
}

size_t announce_encode(const struct config *config, const struct process_conf *process,
                       uint64_t epoch, uint8_t ret[ANNOUNCE_BYTES_MAX])
{
    assert(config != NULL && process != NULL);
    assert(ret != NULL);
    const struct topology *t = &config->topology;
    struct folder f = {.at = ret};
    fold(&f, unit_orchestrator(), process_owns(config, process, unit_orchestrator()));
    fold_end(&f);
    for (unsigned s = 1; s <= t->sectors; s++) {
        fold(&f, unit_sector(s), process_owns(config, process, unit_sector(s)));
    }
    fold_end(&f);
    for (unsigned s = 1; s <= t->sectors; s++) {
        for (unsigned c = 1; c <= topology_sector_clusters(t, s); c++) {
            fold(&f, unit_cluster(s, c), process_owns(config, process, unit_cluster(s, c)));
        }
    }
    fold_end(&f);
    memset(ret, 0, 16);
    ret[0] = RECORD_ANNOUNCE;
    put_u16(ret + 2, (uint16_t)f.count);
    put_u64(ret + 8, epoch);
    return f.count == 0 ? 0 : 16 + 16 * (size_t)f.count;
}

static int apply_one(struct unit u, const struct topology *topology, const struct peer *peer,
                     uint32_t endpoint, uint64_t epoch, struct directory *directory)
{
    if (!topology_contains(topology, u) || !peer_may_speak_for(peer, u)) {
        return 0;
    }
    if (!directory_learn(directory, u, endpoint, epoch)) {
        return 0;
    }
    if (u.tier == TIER_SECTOR && directory->announced[u.sector - 1u] < epoch) {
        directory->announced[u.sector - 1u] = epoch;
        bool first = directory->risen_first == 0 || u.sector < directory->risen_first;
        directory->risen_first = first ? u.sector : directory->risen_first;
        directory->risen_last = u.sector > directory->risen_last ? u.sector : directory->risen_last;
    }
    return 1;
}

struct unit announce_first(const uint8_t *bytes, size_t length)
{
    assert(bytes != NULL);
    return length >= 24 ? get_unit(bytes + 16) : (struct unit){0};
}

int announce_apply(const uint8_t *bytes, size_t length, const struct topology *topology,
                   const struct peer *peer, uint32_t endpoint, struct directory *directory)
{
    assert(bytes != NULL && topology != NULL);
    assert(peer != NULL && directory != NULL);
    directory->risen_first = directory->risen_last = 0;
    if (length < 16 || bytes[0] != RECORD_ANNOUNCE || length != 16u + 16u * get_u16(bytes + 2)) {
        return -1;
    }
    uint64_t epoch = get_u64(bytes + 8);
    int taken = 0;
    for (size_t at = 16; at < length; at += 16) {
        struct unit u = get_unit(bytes + at), last = get_unit(bytes + at + 8);
        if (u.tier != last.tier) {
            return -1;
        }
        if (u.tier == TIER_ORCHESTRATOR) {
            taken += apply_one(u, topology, peer, endpoint, epoch, directory);
        } else if (u.tier == TIER_SECTOR && last.sector <= topology->sectors) {
            for (; u.sector <= last.sector; u.sector++) {
                taken += apply_one(u, topology, peer, endpoint, epoch, directory);
            }
        } else if (u.tier == TIER_CLUSTER && u.sector == last.sector &&
                   last.cluster <= CLUSTERS_PER_SECTOR_MAX) {
            for (; u.cluster <= last.cluster; u.cluster++) {
                taken += apply_one(u, topology, peer, endpoint, epoch, directory);
            }
        } else {
            return -1;
        }
    }
    return taken;
}
