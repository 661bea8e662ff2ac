/*
 * segment: the form of one journal file. All integers little-endian.
 *
 *   header   "SLUICEJ1" u32 version, u32 header length, u64 system identifier, u32 timeline,
 *            u32 relations, u64 number, u64 first LSN, u64 hash so far, char[64] slot,
 *            then each relation as u32 length and its Relation message, then u32 CRC32C
 *   record   u32 length, u32 CRC32C, u64 chain hash, u64 start LSN, payload
 *   footer   a record of our own kind, the last one of a sealed segment
 *
 * The chain hash is XXH3-64 of the payload seeded with the previous hash and the LSN; the CRC
 * covers everything else of the record. The length's top bit marks a record of our own: 'k' and
 * an LSN says that nothing before that LSN is missing, 'f' and JSON is the footer.
 */
#ifndef SLUICE_SEGMENT_H
#define SLUICE_SEGMENT_H

#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "lsn.h"
#include "relset.h"
#include "str.h"

#define SEGMENT_FIXED   128
#define SEGMENT_VERSION 1
#define SEGMENT_SLOT    64
#define RECORD_HEAD     24
#define RECORD_OWN      0x80000000U
#define RECORD_MAX      0x40000000U /* PostgreSQL allocates at most 1 GiB for a message */

struct segment_head {
	uint64_t system_id, number, chain;
	uint32_t timeline, nrelations, length;
	lsn first;
	char slot[SEGMENT_SLOT];
	struct str relations; /* the packed messages */
};

/* Appends the header; sets h->length and h->nrelations. */
enum err segment_head_write(struct segment_head *h, const struct relset *known, struct buf *out,
	struct error *e) MUST_CHECK;

/* The header's length from its first SEGMENT_FIXED bytes; 0 when they are no header. */
uint32_t segment_head_length(const char *fixed);

/* Reads a whole header; h->relations points into `bytes`. NULL, or what is wrong with it. */
const char *segment_head_read(struct str bytes, struct segment_head *h);

/* Cuts the next message off the packed relations. */
bool segment_relation(struct str *rest, struct str *message);

struct record {
	bool own; /* ours, not PostgreSQL's */
	uint64_t chain;
	lsn start;
	struct str payload;
};

/* Writes the 24 bytes that go before `payload` and moves *chain on. */
void record_head_write(
	char head[RECORD_HEAD], uint64_t *chain, bool own, lsn start, struct str payload);

/* The payload's length from the record's head; `own` too. */
uint32_t record_length(const char head[RECORD_HEAD], bool *own);

/* Checks a whole record standing at `head` against the hash before it. NULL, or what is wrong. */
const char *record_read(const char *head, uint64_t chain, struct record *out);

#endif
