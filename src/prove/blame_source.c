/* When the source wrote the rows that differ, as seen from the table's first copy. */
#include "blame.h"

#include "log.h"
#include "replicate.h"

struct asking {
	const struct sides *sides;
	const struct subject *subject;
	const struct suspects *suspects;
	enum blame_written *out;
	struct replicate_snapshot copied;
	struct arena mem;
};

/*
 * Ids below the copy's xmin had ended when it looked, so it saw a row that stands; ids that were
 * running or not yet given came later. In between the id may be a subtransaction's, whose own
 * transaction is not known here: that tells nothing.
 */
static enum blame_written written_by(const struct cut *copied, uint64_t xid)
{
	if (xid < copied->xmin)
		return WRITTEN_BEFORE_COPY;
	return cut_sees_xid(copied, xid) ? WRITTEN_UNKNOWN : WRITTEN_AFTER_COPY;
}

static void put_keys(const struct asking *a, struct buf *out)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < a->suspects->n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		buf_put(out, a->suspects->list[i].text);
	}
	buf_putc(out, ']');
}

/* One row for each key that the source has: its place among the suspects, from 1, and its xmin. */
static void put_question(struct asking *a, struct buf *out)
{
	const struct table *t = a->subject->table;
	struct str schema = pg_ident(&a->mem, t->schema), name = pg_ident(&a->mem, t->name);

	buf_putf(out,
		"SELECT o.n, t.xmin FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) WITH "
		"ORDINALITY AS o(j, n) CROSS JOIN LATERAL "
		"pg_catalog.jsonb_populate_record(NULL::%.*s.%.*s, o.j) AS k JOIN %.*s.%.*s AS t ON "
		"true",
		STR_ARG(schema), STR_ARG(name), STR_ARG(schema), STR_ARG(name));
	for (size_t i = 0; i < a->subject->nkeys; i++) {
		struct str key = pg_ident(&a->mem, str_of(a->subject->key_names[i]));
		buf_putf(out, " AND t.%.*s = k.%.*s", STR_ARG(key), STR_ARG(key));
	}
}

static enum err ask(struct asking *a, struct error *e)
{
	struct buf sql, keys;
	PGresult *r = NULL;

	buf_init(&sql, 1 << 20);
	buf_init(&keys, 64 << 20);
	put_question(a, &sql);
	put_keys(a, &keys);
	const char *const params[] = {buf_cstr(&keys)};
	enum err rc = buf_ok(&sql) && buf_ok(&keys)
		? pg_query(a->sides->source, buf_cstr(&sql), 1, params,
			  "asking when rows were written", &a->mem, &r, e)
		: FAIL(e, ERR_FAILED, "asking when rows were written: too many are listed");
	for (int i = 0; rc == OK && i < PQntuples(r); i++) {
		size_t at = (size_t)pg_cell_i64(r, i, 0) - 1;
		uint64_t xid = xid_widen((uint32_t)pg_cell_i64(r, i, 1), a->sides->cut->xmax);
		if (at < a->suspects->n)
			a->out[at] = written_by(&a->copied.cut, xid);
	}
	buf_free(&sql);
	buf_free(&keys);
	return rc;
}

/* Behind a savepoint: a question that fails must not end the transaction of the cut. */
static enum err ask_safely(struct asking *a, struct error *e)
{
	struct error ignored = {.kind = OK};

	TRY(pg_exec(
		a->sides->source, "SAVEPOINT sluice_blame", "asking when rows were written", e));
	enum err rc = ask(a, e);
	IGNORE(pg_exec(a->sides->source,
		"ROLLBACK TO SAVEPOINT sluice_blame; RELEASE SAVEPOINT sluice_blame",
		"asking when rows were written", rc == OK ? e : &ignored));
	return rc;
}

void blame_written(const struct sides *sides, const struct subject *subject,
	const struct suspects *s, enum blame_written *out, lsn *since)
{
	struct asking a = {.sides = sides, .subject = subject, .suspects = s, .out = out};
	struct error e = {.kind = OK};
	const struct table *t = subject->table;

	*since = (lsn){UINT64_MAX};
	enum err rc = replicate_snapshot(sides->replica, t->schema, t->name, &a.mem, &a.copied, &e);
	if (rc == OK && a.copied.state == SNAPSHOT_DONE) {
		*since = a.copied.floor;
		rc = ask_safely(&a, &e);
	}
	if (rc != OK)
		log_warn(sides->env->log, "reconcile", "the source does not tell who is to blame",
			F_STR("table", subject->name), F_CSTR("reason", e.text));
	arena_free(&a.mem);
}
