/* The side of the journal that other threads see: how far it is, waiting, compressing, dropping. */
#include "journal_writer.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "mem.h"

/* ---- compressing, in the background ---- */

#define REST_US   INT64_C(1000000)
#define HELD_BACK 8 /* segments that may wait for a rest */

static struct timespec after_us(int64_t us)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += us / 1000000;
	t.tv_nsec += us % 1000000 * 1000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

static bool may_wait(const struct journal *j)
{
	return !j->closing && j->settling == 0 && j->compressing <= HELD_BACK;
}

/* While the journal grows by a quarter of a segment a second, capture and apply need the
 * processors. Under j->lock. */
static void wait_for_rest(struct journal *j)
{
	bool busy = true;

	while (busy && may_wait(j)) {
		struct journal_durable_end from = j->durable;
		struct timespec until = after_us(REST_US);
		int rc = 0;
		while (rc != ETIMEDOUT && may_wait(j))
			rc = pthread_cond_timedwait(&j->moved, &j->lock, &until);
		busy = j->durable.number != from.number ||
			j->durable.offset - from.offset >= (uint64_t)j->o.segment_size / 4;
	}
}

/* The segment may have been dropped since it was sealed: then there is nothing to do. */
static void compress_one(struct journal *j, uint64_t number)
{
	struct error why = {0};

	pthread_mutex_lock(&j->lock);
	wait_for_rest(j);
	/* What is left at the end is compressed when the journal is next opened. */
	bool leave = j->closing;
	j->in_work = leave ? 0 : number;
	pthread_mutex_unlock(&j->lock);
	enum err rc = leave ? OK : segment_compress(j->dir, number, &why);
	if (rc != OK && rc != ERR_NOT_FOUND)
		log_warn(j->env->log, "journal", "a sealed segment stays uncompressed",
			F_I64("segment", number), F_CSTR("reason", why.text));
	pthread_mutex_lock(&j->lock);
	j->in_work = 0;
	j->compressing--;
	pthread_cond_broadcast(&j->moved);
	pthread_mutex_unlock(&j->lock);
}

static enum err compress_loop(void *arg, struct error *e)
{
	struct journal *j = arg;
	void *item;

	(void)e;
	/* Capture and apply come first. Without the right to be nicer it is not worth a word. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
	while ((item = queue_pop(j->queue)) != NULL)
		compress_one(j, (uint64_t)(uintptr_t)item);
	return OK;
}

void journal_compress_later(struct journal *j, uint64_t number)
{
	pthread_mutex_lock(&j->lock);
	j->compressing++;
	pthread_mutex_unlock(&j->lock);
	if (queue_try_push(j->queue, (void *)(uintptr_t)number))
		return;
	/* A full queue is no harm: it is compressed when the journal is next opened. */
	pthread_mutex_lock(&j->lock);
	j->compressing--;
	pthread_mutex_unlock(&j->lock);
}

void journal_settle(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->settling++;
	pthread_cond_broadcast(&j->moved);
	while (j->compressing > 0)
		pthread_cond_wait(&j->moved, &j->lock);
	j->settling--;
	pthread_mutex_unlock(&j->lock);
}

enum err journal_start_compressor(struct journal *j, struct error *e)
{
	TRY(thread_start(&j->compressor, "journal-zstd", compress_loop, j, e));
	for (size_t i = 0; i + 1 < j->segments.n; i++)
		if (j->segments.items[i].form == SEGMENT_RAW)
			journal_compress_later(j, j->segments.items[i].number);
	return OK;
}

/* ---- how far it is ---- */

void journal_publish(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->durable = (struct journal_durable_end){
		.number = j->head.number, .offset = j->whole.offset, .end = j->whole.end};
	j->segments.items[j->segments.n - 1].bytes = j->written;
	pthread_cond_broadcast(&j->moved);
	pthread_mutex_unlock(&j->lock);
}

lsn journal_end(const struct journal *j)
{
	return j->whole.end;
}

bool journal_in_transaction(const struct journal *j)
{
	return j->in_transaction;
}

uint64_t journal_unsynced(const struct journal *j)
{
	/* Only the writer moves `durable`, so it may look without the lock. */
	return j->whole.offset - j->durable.offset;
}

lsn journal_durable(struct journal *j)
{
	return journal_durable_end(j).end;
}

struct journal_durable_end journal_durable_end(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	struct journal_durable_end d = j->durable;
	pthread_mutex_unlock(&j->lock);
	return d;
}

uint64_t journal_bytes(struct journal *j)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->segments.n; i++)
		sum += j->segments.items[i].bytes;
	pthread_mutex_unlock(&j->lock);
	return sum;
}

void journal_wait(struct journal *j, const struct journal_durable_end *seen, int64_t timeout_us)
{
	struct timespec until = after_us(timeout_us);

	pthread_mutex_lock(&j->lock);
	uint64_t wakes = j->wakes;
	while (j->durable.number == seen->number && j->durable.offset == seen->offset &&
		j->wakes == wakes)
		if (pthread_cond_timedwait(&j->moved, &j->lock, &until) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&j->lock);
}

void journal_wake(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->wakes++;
	pthread_cond_broadcast(&j->moved);
	pthread_mutex_unlock(&j->lock);
}

/* ---- retention ---- */

static enum err drop_oldest(struct journal *j, struct error *e)
{
	uint64_t number = j->segments.items[0].number;
	char path[SEGMENT_PATH];

	for (int form = SEGMENT_RAW; form <= SEGMENT_ZST; form++) {
		segment_path(path, j->dir, number, (enum segment_form)form);
		if (unlink(path) != 0 && errno != ENOENT)
			return FAIL_ERRNO(e, ERR_FAILED, "removing the journal segment %s", path);
	}
	memmove(j->segments.items, j->segments.items + 1,
		(j->segments.n - 1) * sizeof(*j->segments.items));
	j->segments.n--;
	return OK;
}

enum err journal_trim(struct journal *j, lsn applied, struct error *e)
{
	int64_t oldest = clock_wall(j->env->clock) - j->o.retention_us;
	enum err rc = OK;

	pthread_mutex_lock(&j->lock);
	/* While one is being compressed it may come back under its other name. */
	while (rc == OK && j->segments.n > 1 && j->segments.items[0].number != j->in_work &&
		j->segments.items[1].first.v <= applied.v &&
		j->segments.items[0].changed_us <= oldest)
		rc = drop_oldest(j, e);
	pthread_mutex_unlock(&j->lock);
	return rc;
}
