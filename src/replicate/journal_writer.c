#include "journal_writer.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failpoint.h"
#include "file.h"
#include "reader.h"

#define PUSH_BYTES ((uint64_t)8 << 20)

static uint64_t buffered_end(const struct journal *j)
{
	return j->written + j->nout;
}

enum err journal_is_broken(struct journal *j, struct error *e)
{
	return FAIL(e, ERR_FAILED, "the journal %s takes nothing more after a failure: %s", j->dir,
		j->why.text);
}

/* After a failed write or fsync the kernel may have dropped the bytes: never try again. */
enum err journal_break(struct journal *j, const char *doing, struct error *e)
{
	struct error cause = *e;

	/* At a start nothing is known to be durable yet but what the slot was told long ago. */
	lsn upto = lsn_max(j->durable.end, j->o.confirmed);
	char after[LSN_TEXT + 16] = "more";

	j->broken = true;
	j->why = cause;
	if (upto.v != LSN_NONE.v)
		snprintf(after, sizeof(after), "after LSN %" PRIX64 "/%" PRIX64, upto.v >> 32,
			upto.v & 0xFFFFFFFFU);
	return FAIL(e, ERR_FAILED,
		"%s the journal segment %s: %s; nothing %s is acknowledged; mend the disk or make "
		"room, then start again",
		doing, j->path, cause.text, after);
}

/* A large transaction is on its way to the disk before its end, so that the fsync there is short:
 * the source waits for no answer longer than wal_sender_timeout. Whether it went well, that fsync
 * tells. */
static void push(struct journal *j)
{
	if (j->written < j->pushed)
		j->pushed = j->written;
	if (j->written - j->pushed < PUSH_BYTES)
		return;
	(void)sync_file_range(
		j->fd, (off_t)j->pushed, (off_t)(j->written - j->pushed), SYNC_FILE_RANGE_WRITE);
	j->pushed = j->written;
}

static enum err write_out(struct journal *j, struct error *e)
{
	if (j->nout == 0)
		return OK;
	if (file_write_all(j->fd, j->out, j->nout, j->path, e) != OK)
		return journal_break(j, "writing", e);
	j->written += j->nout;
	j->nout = 0;
	push(j);
	return OK;
}

static enum err put(struct journal *j, const char *p, size_t n, struct error *e)
{
	if (j->nout + n > JOURNAL_BUFFER)
		TRY(write_out(j, e));
	if (n <= JOURNAL_BUFFER) {
		memcpy(j->out + j->nout, p, n);
		j->nout += n;
		return OK;
	}
	if (file_write_all(j->fd, p, n, j->path, e) != OK)
		return journal_break(j, "writing", e);
	j->written += n;
	push(j);
	return OK;
}

static enum err put_record(
	struct journal *j, bool own, lsn start, struct str payload, struct error *e)
{
	char head[RECORD_HEAD];

	if (payload.n == 0 || payload.n >= RECORD_MAX)
		return FAIL(e, ERR_INPUT,
			"journaling a message of %zu bytes at LSN %" PRIX64
			": PostgreSQL does not send such",
			payload.n, start.v);
	record_head_write(head, &j->at.chain, own, start, payload);
	TRY(put(j, head, sizeof(head), e));
	TRY(put(j, payload.p, payload.n, e));
	j->at.offset += sizeof(head) + payload.n;
	j->at.records++;
	return OK;
}

/* The place after what was just put lies between transactions. */
void journal_make_whole(struct journal *j, lsn end)
{
	j->at.end = lsn_max(j->at.end, end);
	j->whole = j->at;
	j->in_transaction = false;
}

enum err journal_sync_file(struct journal *j, struct error *e)
{
	TRY(write_out(j, e));
	if (failpoint_hit(j->env, "journal.fsync", e) != OK)
		return journal_break(j, "syncing", e);
	if (fdatasync(j->fd) != 0) {
		(void)FAIL_ERRNO(e, ERR_FAILED, "fdatasync");
		return journal_break(j, "syncing", e);
	}
	return OK;
}

static enum err seal(struct journal *j, struct error *e)
{
	struct buf footer;
	uint64_t number = j->head.number;

	if (failpoint_hit(j->env, "journal.seal", e) != OK)
		return journal_break(j, "sealing", e);
	buf_init(&footer, BUF_MAX_DEFAULT);
	journal_footer(j, &footer);
	enum err rc = put_record(j, true, j->whole.end, buf_str(&footer), e);
	buf_free(&footer);
	if (rc == OK) {
		journal_make_whole(j, j->whole.end);
		rc = journal_sync_file(j, e);
	}
	if (rc != OK)
		return rc;
	/* Readers may go over the footer before the next segment stands there: they wait. */
	journal_publish(j);
	close(j->fd);
	j->fd = -1;
	if (journal_segment_begin(j, e) != OK)
		return journal_break(j, "following", e);
	journal_publish(j);
	journal_compress_later(j, number);
	return OK;
}

static enum err cut_tail(struct journal *j, struct error *e)
{
	if (ftruncate(j->fd, (off_t)j->whole.offset) != 0 ||
		lseek(j->fd, (off_t)j->whole.offset, SEEK_SET) < 0) {
		(void)FAIL_ERRNO(
			e, ERR_FAILED, "cutting it back to byte %" PRIu64, j->whole.offset);
		return journal_break(j, "mending", e);
	}
	j->written = j->whole.offset;
	j->tail = false;
	return OK;
}

enum err journal_rewind(struct journal *j, struct error *e)
{
	if (j->broken)
		return journal_is_broken(j, e);
	if (j->whole.offset >= j->written)
		j->nout = (size_t)(j->whole.offset - j->written);
	else {
		j->nout = 0;
		j->tail = true;
	}
	if (j->tail)
		TRY(cut_tail(j, e));
	j->at = j->whole;
	j->in_transaction = false;
	relset_rollback(&j->relations);
	assert(buffered_end(j) == j->whole.offset);
	return OK;
}

enum err journal_commit_end(struct str payload, lsn *end, struct error *e)
{
	struct reader r = reader_of(payload);

	(void)read_bytes(&r, 1 + 1 + 8);
	end->v = read_be64(&r);
	return r.bad ? FAIL(e, ERR_INPUT, "journaling a Commit message: it is cut short") : OK;
}

enum err journal_append(struct journal *j, lsn start, struct str payload, struct error *e)
{
	char kind = payload.n > 0 ? payload.p[0] : '\0';
	lsn end = LSN_NONE;

	if (j->broken)
		return journal_is_broken(j, e);
	if (failpoint_hit(j->env, "journal.append", e) != OK)
		return journal_break(j, "writing", e);
	if (kind == 'C')
		TRY(journal_commit_end(payload, &end, e));
	if (j->tail)
		TRY(cut_tail(j, e));
	TRY(put_record(j, false, start, payload, e));
	switch (kind) {
	case 'B':
		j->in_transaction = true;
		break;
	case 'R':
		relset_learn(&j->relations, payload);
		break;
	case 'I':
	case 'U':
	case 'D':
	case 'T':
		relset_count(&j->relations, payload);
		break;
	case 'C':
		relset_commit(&j->relations);
		j->at.transactions++;
		journal_make_whole(j, end);
		if (j->whole.offset >= (uint64_t)j->o.segment_size)
			TRY(seal(j, e));
		break;
	default:
		break;
	}
	return OK;
}

enum err journal_position(struct journal *j, lsn at, struct error *e)
{
	char payload[9] = {'k'};
	uint64_t wire = htobe64(at.v);

	if (j->broken)
		return journal_is_broken(j, e);
	if (j->in_transaction || at.v <= j->whole.end.v)
		return OK;
	if (j->tail)
		TRY(cut_tail(j, e));
	memcpy(payload + 1, &wire, sizeof(wire));
	TRY(put_record(j, true, at, str_make(payload, sizeof(payload)), e));
	journal_make_whole(j, at);
	return OK;
}

enum err journal_sync(struct journal *j, struct error *e)
{
	if (j->broken)
		return journal_is_broken(j, e);
	if (journal_unsynced(j) == 0)
		return OK;
	TRY(journal_sync_file(j, e));
	journal_publish(j);
	return OK;
}
