#include "scan.h"

#include <inttypes.h>

#include "folds.h"
#include "mem.h"
#include "touched.h"

/* Beyond these the one statement is asked that needs no memory of ours. */
#define SEEN_MOST    ((size_t)32 << 20) /* keys: 256 MiB */
#define TOUCHED_MOST INT64_C(2000000)

struct adding {
	const struct scan *scan;
	struct buckets *into;
	struct hash_rows *rows; /* NULL: not wanted */
	uint64_t *seen;         /* the low halves of the hashes of keys; NULL: not wanted */
	size_t nseen, capseen;
};

static void note_seen(struct adding *a, const struct rowhash *keys, size_t n)
{
	if (a->nseen + n > a->capseen) {
		a->capseen = a->capseen * 2 + n;
		a->seen = mem_realloc_array(a->seen, a->capseen, sizeof *a->seen);
	}
	for (size_t i = 0; i < n; i++)
		a->seen[a->nseen++] = keys[i].lo;
}

/* The waits for memory overlap. */
static enum err add_rows(void *arg, const struct rowhash *keys, const struct rowhash *rows,
	size_t n, struct error *e)
{
	struct adding *a = arg;

	for (size_t i = 0; i < n; i++)
		__builtin_prefetch(&a->into->each[bucket_of(a->into, keys[i])], 1);
	for (size_t i = 0; i < n; i++)
		buckets_add(a->into, keys[i], rows[i]);
	if (a->rows != NULL)
		hash_rows_add(a->rows, keys, rows, n);
	if (a->seen != NULL && a->nseen < SEEN_MOST)
		note_seen(a, keys, n);
	if (!atomic_load_explicit(a->scan->given_up, memory_order_relaxed))
		return OK;
	return FAIL(e, ERR_INTERRUPTED, "comparing: the other side could not be read");
}

enum err scan_source(const struct scan *s, struct buckets *into, struct error *e)
{
	struct adding a = {.scan = s, .into = into, .rows = s->rows};

	return rows_hash(s->sides, s->subject, SIDE_SOURCE, NULL, add_rows, &a, e);
}

enum err scan_replica_exact(const struct scan *s, struct buckets *into, struct error *e)
{
	struct adding a = {.scan = s, .into = into};

	return rows_hash(s->sides, s->subject, SIDE_REPLICA, NULL, add_rows, &a, e);
}

/* The rows of current whose version is inside the cut. Nothing in it makes DuckDB gather. */
static void put_current(struct buf *out, const struct scan *s, const struct unseen *u)
{
	const struct table *t = s->subject->table;
	uint64_t at = s->sides->cut->at.v;

	buf_puts(out, "SELECT ");
	for (size_t c = 0; c < t->ncolumns; c++) {
		sql_name(out, t->columns[c].name);
		buf_puts(out, ", ");
	}
	buf_puts(out, "_exact FROM ");
	sql_name(out, t->schema);
	buf_putc(out, '.');
	sql_name(out, t->name);
	buf_putf(out, " WHERE _lsn <= %" PRIu64, at <= INT64_MAX ? at : (uint64_t)INT64_MAX);
	for (size_t i = 0; i < u->n; i++)
		buf_putf(out, " AND _lsn <> %" PRIu64, u->lsn[i]);
	touched_put_part(out, s->subject);
}

static void mark_seen(const struct folds *f, const struct adding *a)
{
	for (size_t i = 0; i < a->nseen; i++) {
		size_t at = (size_t)a->seen[i] & (f->cap - 1);

		for (; f->slots[at].used; at = (at + 1) & (f->cap - 1))
			if (f->slots[at].key.lo == a->seen[i])
				f->slots[at].marked = true;
	}
}

/* Keys that had a row at the cut and whose row in current is a later one, or gone. */
static enum err add_touched(const struct scan *s, struct adding *a, struct error *e)
{
	struct folds f;
	struct buf where;

	folds_init(&f, s->sides->cut, NULL);
	buf_init(&where, 4 << 20);
	touched_put_keys(&where, s->subject, s->sides->cut);
	enum err rc = folds_read(&f, s->sides, s->subject, &where, e);
	if (rc == OK && f.n > 0)
		mark_seen(&f, a);
	for (size_t i = 0; rc == OK && i < f.cap; i++)
		if (f.slots[i].used && !f.slots[i].marked && fold_alive(&f, &f.slots[i], 0))
			buckets_add(a->into, f.slots[i].key, f.slots[i].at[0].row);
	folds_free(&f);
	buf_free(&where);
	return rc;
}

static enum err scan_current(
	const struct scan *s, const struct unseen *u, struct adding *a, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 4 << 20);
	put_current(&sql, s, u);
	enum err rc = rows_hash(s->sides, s->subject, SIDE_REPLICA, &sql, add_rows, a, e);
	buf_free(&sql);
	return rc;
}

/* *done is false when the shortcut cannot be taken. */
static enum err scan_shortcut(const struct scan *s, struct adding *a, bool *done, struct error *e)
{
	const struct cut *cut = s->sides->cut;
	struct touched t;
	struct unseen u;

	TRY(touched_unseen(s->sides, s->subject, cut, &u, e));
	if (u.more)
		return OK;
	TRY(scan_current(s, &u, a, e));
	TRY(touched_look(s->sides, s->subject, cut, &t, e));
	if (t.truncations > 0 || t.unnamed > 0 || t.entries > TOUCHED_MOST ||
		(t.entries > 0 && a->nseen >= SEEN_MOST))
		return OK;
	*done = true;
	return t.entries > 0 ? add_touched(s, a, e) : OK;
}

static enum err in_doubt(enum err rc, const struct subject *subject, struct error *e)
{
	if (rc == OK || rc == ERR_INTERRUPTED || rc == ERR_BUG || rc == ERR_UNAVAILABLE)
		return rc;
	error_wrap(
		e, "reading the replica's rows of %.*s for the comparison", STR_ARG(subject->name));
	if (e != NULL)
		e->kind = ERR_UNAVAILABLE;
	return ERR_UNAVAILABLE;
}

enum err scan_replica(const struct scan *s, struct buckets *into, bool *sure, struct error *e)
{
	struct adding a = {.scan = s, .into = into, .capseen = 1 << 16};
	bool done = false;
	enum err rc = OK;

	*sure = true;
	if (!s->subject->in_replica)
		return OK;
	if (s->subject->table->nkeys > 0 && !table_is_bag(s->subject->table)) {
		a.seen = mem_array(a.capseen, sizeof *a.seen);
		rc = in_doubt(scan_shortcut(s, &a, &done, e), s->subject, e);
		mem_free(a.seen);
	}
	if (rc != OK || done) {
		*sure = false;
		return rc;
	}
	buckets_clear(into);
	return scan_replica_exact(s, into, e);
}
