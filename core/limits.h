/* Every bound of the mesh in one place. A bound has a stated behaviour when it is met: see the
 * comment beside it. Sizes are bytes, times are microseconds unless the name says otherwise. */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

#include <stdint.h>

/* Topology. A child set is a 64-bit mask below the sectors; sectors are a bitmap of 1,024.
 * A configuration above these is refused at start with the setting's name. */
#define SECTORS_MAX             1024u
#define CLUSTERS_PER_SECTOR_MAX 64u
#define AGENTS_PER_CLUSTER_MAX  64u
#define CAPABILITIES_MAX        64u /* distinct names in one mesh; a 65th is refused at start */
#define CAPABILITY_NAME_MAX     32u /* with the terminating NUL */

/* Facts of one agent (facts.h). More, or longer ones, are refused: by the configuration with their
 * names, on the wire with the whole hello. */
#define FACTS_MAX       16u
#define FACTS_BYTES_MAX 256u /* all of them as text, with NUL */
#define FACT_NAME_MAX   24u  /* without NUL, as the next */
#define FACT_VALUE_MAX  64u
/* Conditions on facts in one selector; more are refused by the console and on the wire. */
#define WHERE_MAX       8u
#define WHERE_BYTES_MAX 192u /* all of them as text, with NUL */

/* Messages. Larger input is refused by the codec's pre-scan, counted by reason and dropped. */
#define FRAME_BYTES_MAX   61440u /* 60 KiB on the wire, header and signature included */
#define MESSAGE_BYTES_MAX 57344u /* one encoded message; fits a frame beside its headers */
#define PAYLOAD_BYTES_MAX 32768u /* inline payload; larger content goes by hash through blobs */
#define ANSWER_BYTES_MAX  1024u  /* inline answer; larger answers go by hash */
#define WORD_BYTES_MAX    96u    /* a run's word about where it stands, a task's first words */
#define TEXT_BYTES_MAX    256u   /* reasons, names and values in reports */

/* One outbox a loop; a step asserts its room first (node.h). */
#define OUTBOX_EFFECTS_MAX 64u
#define OUTBOX_BYTES_MAX   65536u

/* Aggregates (aggregate.h): what does not fit is counted in `other` and fetched by page. */
#define AGGREGATE_GROUPS_MAX 64u
#define AGGREGATE_BYTES_MAX  8192u
#define AGGREGATE_RUNS_MAX   64u /* folded id ranges kept for one group */
#define PAGE_BYTES_MAX       32768u
#define PAGE_ROWS_MAX        512u

/* Histograms (histogram.h): fixed, mergeable, about 3 buckets an octave. */
#define LEAD_BUCKETS    48u /* lead times, 0 to 65 s */
#define ARRIVAL_BUCKETS 96u /* signed arrival error against T */

/* Anti-replay window of an agent, in sequence numbers of one (lead epoch, agent, priority). What
 * lies that far behind the newest is never run and never sent again: it is waited for until its
 * deadline. A power of two; not below the operations that a lead has in flight. */
#define OPERATE_WINDOW 1024u

/* Hedges of a lead: so many of a thousand targets that it sends to, and so many beside it before
 * any. Without budget there is no hedge, only the reminders. */
#define HEDGE_PERMILLE 50u
#define HEDGE_BURST    4u

/* Operations in flight; one more is refused with `overload` and the name of the pool. Of this pool
 * and of a lead's, background (priority 0) may fill one half, priority 1 three quarters, priority 2
 * all but POOL_RESERVE places, priority 3 the whole (hub_share.c). */
#define OPERATIONS_MAX 2048u
#define POOL_RESERVE   16u

/* Time. */
#define US_PER_MS  INT64_C(1000)
#define US_PER_S   INT64_C(1000000)
#define TTL_US_MAX (86400 * US_PER_S)

#endif
