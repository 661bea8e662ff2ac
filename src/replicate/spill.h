/*
 * spill: what the source streams of transactions that have not ended yet, kept until they do.
 * Each has a file of its own, NNNNNNNNNN.xact (its top-level id) in DIR; short ones stay in memory.
 * Nothing of it is ever acknowledged: the source streams a transaction again to a new session, so
 * what stands in DIR at the start is rubbish and is removed.
 *
 * A file is a run of records: u32 length, u32 CRC32C of what follows, u32 sub-transaction, u64
 * LSN, payload; little-endian. The payload is the message in its plain form, without the
 * transaction's id that streamed messages carry. One thread.
 */
#ifndef SLUICE_SPILL_H
#define SLUICE_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "err.h"
#include "lsn.h"
#include "str.h"

struct spill;

/* Makes DIR and removes what an earlier session has left there. `memory` is how many bytes may wait
 * for a write, all transactions together. env must outlive it. */
enum err spill_open(struct spill **out, const char *dir, size_t memory, const struct env *env,
	struct error *e) MUST_CHECK;
void spill_close(struct spill *s); /* NULL is fine; the files go too */

/* A block of changes of one transaction begins and ends. ERR_INPUT when blocks do not alternate. */
enum err spill_begin(struct spill *s, uint32_t xid, struct error *e) MUST_CHECK;
enum err spill_end(struct spill *s, struct error *e) MUST_CHECK;
bool spill_in_block(const struct spill *s);

/* Adds a message to the block's transaction. ERR_FAILED when the disk does not take it. */
enum err spill_add(struct spill *s, uint32_t subxid, lsn start, struct str payload,
	struct error *e) MUST_CHECK;

/* The sub-transaction is undone: its changes are passed over from now on, but not what describes
 * relations and types, which the source may not send again. With subxid == xid the whole
 * transaction is dropped. What is not known is ignored. */
enum err spill_abort(struct spill *s, uint32_t xid, uint32_t subxid, struct error *e) MUST_CHECK;

/* Hands out what is kept of the transaction, in order, then drops it. Memory does not grow with
 * its size. Anything but OK from fn ends it with that, and the transaction stays. ERR_INPUT when
 * it is not known; ERR_FAILED when the file cannot be read or is damaged. */
typedef enum err spill_fn(void *arg, lsn start, struct str payload, struct error *e);
enum err spill_replay(
	struct spill *s, uint32_t xid, spill_fn *fn, void *arg, struct error *e) MUST_CHECK;

size_t spill_transactions(const struct spill *s);
uint64_t spill_bytes(const struct spill *s); /* in files and in memory */

#endif
