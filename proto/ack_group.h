/* Acknowledgements of several agents of one process to their lead that say the same of one
 * operation, in one record: what they share stands once, each agent adds a row of small numbers.
 * Thirty acknowledgements of a host cost some 20 bytes each instead of 150, and are read without
 * protobuf. To the lead they are MSG_ACKs like any other (docs/adr/0054).
 *
 * Bytes, little-endian:
 *
 *       0 kind u8 (ACK_GROUP_KIND)   1 priority u8   2 agents u8 (2 to 64)   3 late u8 (0, 1)
 *       4 outcome u8    5 reason u8    6 answer_bytes u16
 *       8 the first agent u64, packed               16 the lead u64, packed
 *      24 operation id[16]                          40 sent_us i64, as in a record's header
 *      48 echo_sent_us i64    56 received i64    64 arrival i64    72 release i64
 *      80 epoch u64    88 seq u32    92 processing_us u32    96 queue_depth u32
 *     100 clock_error_us u32
 *     104 the answer that all of them gave, answer_bytes
 *         a row for each agent but the first: its number within the cluster, u8; then, each as the
 *         difference to the first's, zigzag in a varint without padding: sent_us, echo_sent_us,
 *         received, arrival, release, epoch (modulo 2^64), seq, processing_us, queue_depth,
 *         clock_error_us (modulo 2^32)
 *
 * No agent is in a group twice. Rows are in the order in which they were said. */
#ifndef PROTO_ACK_GROUP_H
#define PROTO_ACK_GROUP_H

#include "core/msg.h"
#include "proto/codec.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACK_GROUP_KIND       0xe8u
#define ACK_GROUP_HEAD_BYTES 104u
#define ACK_GROUP_ROW_MAX    81u /* a number, six varints of 64 bits, four of 32 */
#define ACK_GROUP_SENT_AT    40u /* sent_us, where a record's header has it */
#define ACK_GROUP_COUNT_AT   2u
#define ACK_GROUP_AGENTS_MAX AGENTS_PER_CLUSTER_MAX

/* ---- building ---- */

/* Whether `next` says the same as `first`, of another agent of the same lead, within the ranges
 * that a reader accepts. Both are MSG_ACKs. answer: first's, whose pointer may be gone. */
bool ack_group_joins(const struct msg *first, const uint8_t *answer, const struct msg *next);

/* Head and answer of a group of two whose second row follows. Returns the bytes, at most
 * ACK_GROUP_HEAD_BYTES + ANSWER_BYTES_MAX. first->sent_us is the base of all. */
size_t ack_group_head(const struct msg *first, const uint8_t *answer, uint8_t *ret);
/* Returns the row's bytes. */
size_t ack_group_row(const struct msg *first, const struct msg *next,
                     uint8_t ret[ACK_GROUP_ROW_MAX]);

/* ---- reading ---- */

struct ack_group {
    struct msg first; /* its answer borrows the record */
    const uint8_t *rows, *end;
    uint32_t count;
};

/* Reads and checks the whole record. *ret is only set on CODEC_OK, and borrows `bytes`. Who may say
 * this to whom is not asked here. */
enum codec_verdict ack_group_open(const uint8_t *bytes, size_t length, struct ack_group *ret);

/* The rows after the first, of a group that was opened: the next one's message. False: no more. */
bool ack_group_next(struct ack_group *group, struct msg *ret);

#endif
