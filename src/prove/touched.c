#include "touched.h"

#include <inttypes.h>

void touched_put_outside(struct buf *out, const struct cut *c)
{
	uint64_t at = c->at.v <= INT64_MAX ? c->at.v : INT64_MAX;

	buf_putf(out, "(_xid <> 0 AND (_lsn > %" PRIu64, at);
	if (c->xmax <= INT64_MAX)
		buf_putf(out, " OR _xid >= %" PRIu64, c->xmax);
	for (size_t i = 0; i < c->nrunning; i++)
		buf_putf(out, "%s%" PRIu64, i == 0 ? " OR _xid IN (" : ", ", c->running[i]);
	buf_puts(out, c->nrunning > 0 ? ")))" : "))");
}

void touched_put_since(struct buf *out, const struct cut *c, uint64_t first)
{
	buf_putf(out, "(_lsn >= %" PRIu64 " AND ", first);
	touched_put_outside(out, c);
	buf_putc(out, ')');
}

void touched_put_history(struct buf *out, const struct table *t)
{
	struct arena mem = {0};

	sql_name(out, arena_fmt(&mem, "%.*s_history", STR_ARG(t->schema)));
	buf_putc(out, '.');
	sql_name(out, t->name);
	arena_free(&mem);
}

void touched_put_key_list(struct buf *out, const struct subject *subject)
{
	for (size_t k = 0; k < subject->nkeys; k++) {
		if (k > 0)
			buf_puts(out, ", ");
		sql_name(out, str_of(subject->key_names[k]));
	}
}

void touched_put_part(struct buf *out, const struct subject *subject)
{
	struct str where = subject->where[SIDE_REPLICA];

	if (where.n > 0)
		buf_putf(out, " AND (%.*s)", STR_ARG(where));
}

void touched_put_keys(struct buf *out, const struct subject *subject, const struct cut *c)
{
	bool many = subject->nkeys > 1;

	buf_puts(out, many ? "(_op = 'T' OR (" : "(_op = 'T' OR ");
	touched_put_key_list(out, subject);
	buf_puts(out, many ? ") IN (SELECT (" : " IN (SELECT ");
	touched_put_key_list(out, subject);
	buf_puts(out, many ? ") FROM " : " FROM ");
	touched_put_history(out, subject->table);
	buf_puts(out, " WHERE _op <> 'T' AND ");
	touched_put_outside(out, c);
	touched_put_part(out, subject);
	buf_puts(out, "))");
}

static enum err take_counts(void *arg, const struct chunk *c, struct error *e)
{
	struct touched *t = arg;
	int64_t first;

	(void)e;
	if (c->rows == 0)
		return OK;
	(void)vec_integer(&c->cols[0], 0, &t->entries);
	(void)vec_integer(&c->cols[1], 0, &t->truncations);
	(void)vec_integer(&c->cols[2], 0, &t->unnamed);
	if (vec_integer(&c->cols[3], 0, &first) && first > 0)
		t->first = (uint64_t)first;
	return OK;
}

enum err touched_look(const struct sides *s, const struct subject *subject, const struct cut *c,
	struct touched *out, struct error *e)
{
	struct str where = subject->where[SIDE_REPLICA];
	struct buf sql;

	*out = (struct touched){.entries = 0};
	buf_init(&sql, 4 << 20);
	buf_puts(&sql,
		"SELECT count(*), count(CASE WHEN _op = 'T' THEN 1 END), "
		"count(CASE WHEN _op <> 'T' AND (");
	for (size_t k = 0; k < subject->nkeys; k++) {
		if (k > 0)
			buf_puts(&sql, " OR ");
		sql_name(&sql, str_of(subject->key_names[k]));
		buf_puts(&sql, " IS NULL");
	}
	buf_puts(&sql, ") THEN 1 END), min(_lsn) FROM ");
	touched_put_history(&sql, subject->table);
	buf_puts(&sql, " WHERE ");
	touched_put_outside(&sql, c);
	if (where.n > 0)
		buf_putf(&sql, " AND (_op = 'T' OR (%.*s))", STR_ARG(where));
	enum err rc = warehouse_query(s->replica, buf_str(&sql), take_counts, out, e);
	buf_free(&sql);
	return rc;
}

static enum err take_unseen(void *arg, const struct chunk *c, struct error *e)
{
	struct unseen *u = arg;
	int64_t at;

	(void)e;
	for (size_t i = 0; i < c->rows; i++) {
		if (u->n == sizeof u->lsn / sizeof u->lsn[0])
			u->more = true;
		else if (vec_integer(&c->cols[0], i, &at))
			u->lsn[u->n++] = (uint64_t)at;
	}
	return OK;
}

enum err touched_unseen(const struct sides *s, const struct subject *subject, const struct cut *c,
	struct unseen *out, struct error *e)
{
	struct buf sql;

	*out = (struct unseen){.n = 0};
	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT DISTINCT _lsn FROM ");
	touched_put_history(&sql, subject->table);
	buf_putf(&sql, " WHERE _lsn <= %" PRIu64 " AND ",
		c->at.v <= INT64_MAX ? c->at.v : (uint64_t)INT64_MAX);
	touched_put_outside(&sql, c);
	enum err rc = warehouse_query(s->replica, buf_str(&sql), take_unseen, out, e);
	buf_free(&sql);
	return rc;
}
