/* Opening the journal for writing: finding the last whole transaction. */
#include "journal_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "file.h"
#include "journal_cursor.h"
#include "mem.h"

static enum err lock_dir(struct journal *j, struct error *e)
{
	char path[SEGMENT_PATH];

	snprintf(path, sizeof(path), "%s/lock", j->dir);
	j->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (j->lock_fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED,
			"opening %s: make the journal's directory writable, or name another in "
			"[replicate] journal",
			path);
	if (flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return FAIL(e, ERR_CONFLICT,
			"opening the journal %s: another process is writing to it; stop that one "
			"first (is `sluice up` or `sluice replicate` running?)",
			j->dir);
	return OK;
}

/* What the slot has been told had been synced before. (A footer ends where the transaction before
 * it ends, and may not have been.) */
static void note_known(struct journal *j)
{
	if (j->whole.end.v <= j->o.confirmed.v)
		j->known = j->whole.offset;
}

static void scan_record(
	struct journal *j, const struct cursor *c, const struct record *r, bool *sealed)
{
	char kind = r->payload.p[0];
	struct error ignored = {0};
	lsn end = r->start;

	j->at.offset = c->offset;
	j->at.chain = c->chain;
	j->at.records++;
	*sealed = r->own && kind == 'f';
	if (r->own) {
		journal_make_whole(j, end);
		if (!*sealed)
			note_known(j);
		return;
	}
	if (kind == 'B')
		j->in_transaction = true;
	else if (kind == 'R')
		relset_learn(&j->relations, r->payload);
	else if (kind == 'I' || kind == 'U' || kind == 'D' || kind == 'T')
		relset_count(&j->relations, r->payload);
	else if (kind == 'C' && journal_commit_end(r->payload, &end, &ignored) == OK) {
		relset_commit(&j->relations);
		j->at.transactions++;
		journal_make_whole(j, end);
		note_known(j);
	}
}

/* Finds the last whole transaction of the last segment. Damage after it is a torn tail, unless
 * the slot has been told otherwise: that is for the caller to see. */
static enum err scan_last(
	struct journal *j, uint64_t number, bool *sealed, struct error *tail, struct error *e)
{
	struct blocks blocks = {0};
	struct cursor c;
	struct record r;
	enum cursor_state state = CURSOR_RECORD;

	TRY(cursor_open(&c, &blocks, j->dir, number, e));
	enum err rc = OK;
	struct str message;
	while (segment_relation(&c.relations, &message))
		relset_learn(&j->relations, message);
	j->head = c.head;
	j->at = (struct boundary){.offset = c.offset, .chain = c.chain, .end = c.head.first};
	j->whole = j->at;
	j->known = j->at.offset;
	*sealed = false;
	while (rc == OK && state == CURSOR_RECORD && !*sealed) {
		rc = cursor_next(&c, CURSOR_NOLIMIT, &r, &state, tail);
		if (rc == OK && state == CURSOR_RECORD)
			scan_record(j, &c, &r, sealed);
		blocks_release(&blocks);
	}
	if (rc != OK)
		*e = *tail;
	relset_rollback(&j->relations);
	j->in_transaction = false;
	j->at = j->whole;
	cursor_close(&c);
	blocks_free(&blocks);
	return rc;
}

#define JOURNAL_AFRESH                                                                             \
	"drop the slot, move away this directory and the warehouse's file (see [warehouse] url), " \
	"and run sluice init"

static enum err check_belongs(const struct journal *j, struct error *e)
{
	const struct journal_identity *id = &j->o.identity;

	if (j->head.system_id != id->system_id || j->head.timeline != id->timeline ||
		strcmp(j->head.slot, id->slot) != 0)
		return FAIL(e, ERR_CHECK,
			"opening the journal %s: its last segment is of system %" PRIu64
			" timeline %u slot %s, not of system %" PRIu64
			" timeline %u slot %s; use the directory that belongs to this source, or "
			"start afresh: " JOURNAL_AFRESH,
			j->dir, j->head.system_id, j->head.timeline, j->head.slot, id->system_id,
			id->timeline, id->slot);
	return OK;
}

static enum err check_confirmed(const struct journal *j, const struct error *tail, struct error *e)
{
	char end[LSN_TEXT], confirmed[LSN_TEXT];

	if (j->o.confirmed.v <= j->whole.end.v)
		return OK;
	return FAIL(e, ERR_CHECK,
		"opening the journal %s: it ends at LSN %s, but slot %s has been told that "
		"everything before %s is safe: changes between the two are lost%s%s; start "
		"afresh: " JOURNAL_AFRESH,
		j->dir, lsn_format(j->whole.end, end), j->o.identity.slot,
		lsn_format(j->o.confirmed, confirmed), tail->kind == OK ? "" : ". ", tail->text);
}

/*
 * What the slot has not been told may never have reached the disk. Its writer was killed, or its
 * fsync failed: then the kernel has dropped the bytes, or holds them for clean, and another fsync
 * would call them safe. Written once more they are not clean.
 */
static enum err write_again(struct journal *j, struct error *e)
{
	uint64_t at = j->known;

	if (lseek(j->fd, (off_t)at, SEEK_SET) < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "seeking in the journal segment %s", j->path);
	while (at < j->whole.offset) {
		uint64_t left = j->whole.offset - at;
		size_t n = left < JOURNAL_BUFFER ? (size_t)left : JOURNAL_BUFFER;
		ssize_t got = pread(j->fd, j->out, n, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return FAIL_ERRNO(
				e, ERR_FAILED, "reading the journal segment %s again", j->path);
		if (file_write_all(j->fd, j->out, (size_t)got, j->path, e) != OK)
			return journal_break(j, "writing", e);
		at += (uint64_t)got;
	}
	return OK;
}

static enum err open_last(struct journal *j, struct error *e)
{
	const struct segment_file *last = &j->segments.items[j->segments.n - 1];
	struct error tail = {0};
	bool sealed;

	TRY(scan_last(j, last->number, &sealed, &tail, e));
	TRY(check_belongs(j, e));
	TRY(check_confirmed(j, &tail, e));
	if (last->form == SEGMENT_ZST)
		return journal_segment_begin(j, e);
	segment_path(j->path, j->dir, last->number, SEGMENT_RAW);
	j->fd = open(j->path, O_RDWR | O_CLOEXEC);
	if (j->fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "opening the journal segment %s", j->path);
	TRY(write_again(j, e));
	j->tail = last->bytes > j->whole.offset;
	j->written = j->whole.offset;
	if (j->tail)
		log_info(j->env->log, "journal", "an unfinished transaction is left out",
			F_CSTR("segment", j->path), F_I64("bytes", last->bytes - j->whole.offset));
	TRY(journal_sync_file(j, e));
	TRY(file_fsync_dir(j->dir, e));
	if (!sealed)
		return OK;
	close(j->fd);
	j->fd = -1;
	return journal_segment_begin(j, e);
}

static enum err open_first(struct journal *j, struct error *e)
{
	const struct journal_identity *id = &j->o.identity;
	struct error none = {0};

	j->head = (struct segment_head){.system_id = id->system_id, .timeline = id->timeline};
	memcpy(j->head.slot, id->slot, sizeof(j->head.slot));
	j->whole.end = id->start;
	TRY(check_confirmed(j, &none, e));
	return journal_segment_begin(j, e);
}

enum err journal_open(struct journal **out, const struct journal_options *o, const struct env *env,
	struct error *e)
{
	struct journal *j = mem_zalloc(sizeof(*j));
	pthread_condattr_t attr;

	*out = NULL;
	*j = (struct journal){.env = env, .o = *o, .lock_fd = -1, .fd = -1};
	j->dir = mem_strdup(o->dir);
	j->out = mem_alloc(JOURNAL_BUFFER);
	j->queue = queue_new(4096);
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->moved, &attr);
	pthread_condattr_destroy(&attr);
	enum err rc = file_mkdirs(o->dir, e);
	if (rc == OK)
		rc = lock_dir(j, e);
	if (rc == OK)
		rc = segment_list_read(o->dir, &j->segments, e);
	if (rc == OK)
		rc = j->segments.n > 0 ? open_last(j, e) : open_first(j, e);
	if (rc == OK) {
		journal_publish(j);
		rc = journal_start_compressor(j, e);
	}
	if (rc != OK) {
		journal_close(j);
		return rc;
	}
	*out = j;
	return OK;
}

void journal_close(struct journal *j)
{
	struct error ignored = {0};

	if (j == NULL)
		return;
	pthread_mutex_lock(&j->lock);
	j->closing = true;
	pthread_cond_broadcast(&j->moved);
	pthread_mutex_unlock(&j->lock);
	queue_close(j->queue);
	(void)thread_join(&j->compressor, &ignored);
	if (j->fd >= 0)
		close(j->fd);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	segment_list_free(&j->segments);
	relset_free(&j->relations);
	queue_free(j->queue);
	pthread_cond_destroy(&j->moved);
	pthread_mutex_destroy(&j->lock);
	mem_free(j->out);
	mem_free(j->dir);
	mem_free(j);
}
