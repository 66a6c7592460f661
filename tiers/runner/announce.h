/* Announcements: "process X owns these units under this epoch", in a broadcast frame when a process
 * starts, when another asks, and every ANNOUNCE_EVERY_US. The record, little-endian:
 *
 *     0 RECORD_ANNOUNCE   1 zero   2 count u16   4 zero u32   8 epoch u64
 *    16 count ranges of 16 bytes: first, last as {tier u8, 0, sector u16, cluster u16, agent u16}
 *
 * Only units of the upper tiers are announced; where agents, hosts and consoles are is learned from
 * their own messages. */
#ifndef TIERS_RUNNER_ANNOUNCE_H
#define TIERS_RUNNER_ANNOUNCE_H

#include "tiers/runner/config.h"
#include "tiers/runner/directory.h"
#include "tiers/runner/peers.h"
#include <stddef.h>
#include <stdint.h>

#define ANNOUNCE_EVERY_US (10ll * US_PER_S)
#define ANNOUNCE_RANGES_MAX                                                                        \
    3072u /* more do not fit a frame: the rest is left to the next owner                           \
           */
#define ANNOUNCE_BYTES_MAX (16u + 16u * ANNOUNCE_RANGES_MAX)

/* The units that a process owns, folded into ranges; returns the record's length, 0: none. */
size_t announce_encode(const struct config *config, const struct process_conf *process,
                       uint64_t epoch, uint8_t ret[ANNOUNCE_BYTES_MAX]);

/* The first unit that an announcement is of: which process's units they are. */
struct unit announce_first(const uint8_t *bytes, size_t length);

/* Teaches the directory what the record says of units that the peer is certified for. Returns how
 * many units were accepted; -1: not an announcement. directory->risen_*: from the first to the last
 * sector whose epoch is higher than in any announcement before. */
int announce_apply(const uint8_t *bytes, size_t length, const struct topology *topology,
                   const struct peer *peer, uint32_t endpoint, struct directory *directory);

#endif
