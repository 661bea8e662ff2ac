/*
 * pgoutput: the messages of PostgreSQL's logical decoding plugin of that name (PostgreSQL
 * documentation, "Logical Replication Message Formats"), protocol versions 1 to 4. Decoding
 * copies nothing: every view points into the payload. Damage gives ERR_INPUT, never a guess.
 */
#ifndef SLUICE_PGOUTPUT_H
#define SLUICE_PGOUTPUT_H

#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "lsn.h"
#include "str.h"
#include "table.h"

enum pgoutput_kind {
	PGO_BEGIN = 'B',
	PGO_MESSAGE = 'M',
	PGO_COMMIT = 'C',
	PGO_ORIGIN = 'O',
	PGO_RELATION = 'R',
	PGO_TYPE = 'Y',
	PGO_INSERT = 'I',
	PGO_UPDATE = 'U',
	PGO_DELETE = 'D',
	PGO_TRUNCATE = 'T',
	PGO_STREAM_START = 'S',
	PGO_STREAM_STOP = 'E',
	PGO_STREAM_COMMIT = 'c',
	PGO_STREAM_ABORT = 'A',
	PGO_BEGIN_PREPARE = 'b',
	PGO_PREPARE = 'P',
	PGO_COMMIT_PREPARED = 'K',
	PGO_ROLLBACK_PREPARED = 'r',
	PGO_STREAM_PREPARE = 'p',
};

enum pgoutput_value_kind {
	PGV_NULL = 'n',
	PGV_UNCHANGED = 'u',
	PGV_TEXT = 't',
	PGV_BINARY = 'b',
};

struct pgoutput_value {
	uint8_t kind; /* enum pgoutput_value_kind */
	struct str bytes;
};

struct pgoutput_tuple {
	uint16_t n;
	const struct pgoutput_value
		*values; /* in the decoder's own memory, until the next decode */
};

struct pgoutput_column {
	uint8_t flags; /* 1: part of the replica identity */
	struct str name;
	uint32_t type;
	int32_t modifier;
};

struct pgoutput_relation {
	uint32_t relid;
	struct str schema, name;
	uint8_t identity;
	uint16_t n;
	const struct pgoutput_column *columns;
};

struct pgoutput_msg {
	enum pgoutput_kind kind;
	uint32_t xid;         /* begin, stream messages; in a streamed block also of each change */
	lsn commit, end;      /* begin: commit = the final LSN; commit: both */
	int64_t committed_us; /* microseconds since 1970 */
	uint32_t relid;       /* insert, update, delete */
	uint8_t old_kind;     /* update, delete: 'K', 'O' or 0 */
	struct pgoutput_tuple old_row, new_row;
	struct pgoutput_relation relation;
	uint32_t nrelids; /* truncate */
	const uint32_t *relids;
	uint8_t truncate_flags; /* 1 CASCADE, 2 RESTART IDENTITY */
	uint32_t subxid;        /* stream abort */
	bool first_segment;     /* stream start */
	struct str gid;         /* the two-phase messages: the transaction's name */
	/* PGO_MESSAGE: what pg_logical_emit_message wrote, its LSN in `commit`. PGO_ORIGIN: the
	 * origin's name in `prefix`, its LSN in `commit`. */
	struct str prefix, content;
	bool transactional;
};

struct pgoutput; /* a decoder: its scratch memory, and whether it is inside a streamed block */

struct pgoutput *pgoutput_new(void);
void pgoutput_free(struct pgoutput *d);

/* Decodes one message. Views point into the payload, arrays into the decoder until the next
 * call. For the two-phase messages `commit` is the LSN of the prepare (or of the commit or
 * rollback prepared), `end` its end, committed_us its time. After an error the decoder can be
 * used again from the next transaction on. */
enum err pgoutput_decode(struct pgoutput *d, struct str payload, struct pgoutput_msg *out,
	struct error *e) MUST_CHECK;

#endif
