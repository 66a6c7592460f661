/* The key schema in Redis, all of it. docs/REGISTRY.md shows it to a person with redis-cli.
 *
 * A key is `mesh[.part]:{shard}:name`. The braces make the shard Redis Cluster's hash tag, so that
 * all keys of one operation live on one server. Names contain no braces (store_op_check), and the
 * part comes before the shard, so that no two names can meet in one key.
 *
 * Registry bank (registry_url, can be rebuilt from the leads' memory)
 *   mesh:{s07.c3}:agent:00f3a1       hash     a record: field -> value, `epoch` is the record's own
 *   mesh:{u00}:place:00f3a1          hash     a record: where the uid is; shard: its first digits
 *   mesh:{mesh}:routing              hash     likewise summary, frozen, prior:<class>
 *   mesh.set:{s07.c3}:roster         zset     a collection: record key -> order of joining
 *   mesh.index:{s07}:capability:ocr  zset     an index: member -> score
 *   mesh.history:{s07.c3}:history    stream   newest entries, MAXLEN exact
 * Durable bank (durable_url, AOF with fsync always, noeviction)
 *   mesh.lease:{mesh}:lease:sector-1   hash     owner, epoch, expires_us (0: released), ttl_us;
 *                                             never deleted: it carries the epoch for ever
 *   mesh.queue:{s07.c3}:jobs         hash     seq (last number given out), dead_dropped
 *   mesh.ready:{s07.c3}:jobs         zset     `<seq, 16 digits>:<id>` -> minus priority
 *   mesh.claimed:{s07.c3}:jobs       zset     id -> expires_us
 *   mesh.done:{s07.c3}:jobs          zset     id -> seq of finishing; the last QUEUE_DONE_MAX
 *   mesh.dead:{s07.c3}:jobs          zset     id -> seq of dying; the last QUEUE_DEAD_MAX
 *   mesh.job:{s07.c3}:jobs:{id}      hash     state (ready, claimed, done, dead), priority, seq,
 *                                             attempt, owner, last, enqueued_us, expires_us, body,
 *                                             why
 * Blob bank (blob_url, may evict)
 *   mesh.blob:{<64 hex digits>}      hash     total, have (bytes), c0, c1, .. of 32 KiB. The hash
 *                                             of the content is the shard: whoever knows the hash
 *                                             finds the blob, whatever shard was asked for.
 *
 * All times are Unix microseconds of the Redis server's clock. */
#ifndef REGISTRY_KEYS_H
#define REGISTRY_KEYS_H

#define KEY_RECORD        "mesh:{%s}:%s"
#define KEY_RECORD_PREFIX "mesh:{%s}:"
#define KEY_COLLECTION    "mesh.set:{%s}:%s"
#define KEY_INDEX         "mesh.index:{%s}:%s"
#define KEY_HISTORY       "mesh.history:{%s}:%s"
#define KEY_LEASE         "mesh.lease:{%s}:%s"
#define KEY_QUEUE         "mesh.queue:{%s}:%s"
#define KEY_READY         "mesh.ready:{%s}:%s"
#define KEY_CLAIMED       "mesh.claimed:{%s}:%s"
#define KEY_DONE          "mesh.done:{%s}:%s"
#define KEY_DEAD          "mesh.dead:{%s}:%s"
#define KEY_JOB_PREFIX    "mesh.job:{%s}:%s:"
#define KEY_BLOB          "mesh.blob:{%s}"

/* Bytes of the longest key with NUL: prefix, shard, name; job keys are built in the server. */
#define KEY_BYTES_MAX 256

/* The library of functions: `mesh_v1`, its functions `mesh_v1_put`, ... A change of shape makes a
 * new version (both may be loaded at once while a mesh is upgraded); a change that keeps the shape
 * raises the revision, and whoever knows the higher one loads it. */
#define FUNCTIONS_PREFIX   "mesh_v1_"
#define FUNCTIONS_REVISION 2

/* The same numbers stand at the top of registry/mesh.lua. */
#define QUEUE_DONE_MAX  4096   /* finished ids remembered for idempotency; the oldest go */
#define QUEUE_DEAD_MAX  1024   /* dead letters kept; the oldest go and are counted */
#define QUEUE_SWEEP_MAX 64     /* expired claims taken back in one claim */
#define BLOB_PARTIAL_S  3600   /* an incomplete blob goes this long after its last chunk */
#define BLOB_COMPLETE_S 604800 /* a complete one this long after it was last put */

#endif
