#include "rename.h"

#include <inttypes.h>
#include <string.h>

#include "marks.h"

static struct str history_of(struct arena *mem, struct str schema)
{
	return arena_fmt(mem, "%.*s_history", STR_ARG(schema));
}

/* ---- finding it ---- */

struct looking {
	struct arena *mem;
	struct str full; /* "SCHEMA.NAME" of the mark */
};

static enum err take_name(void *arg, const struct chunk *c, struct error *e)
{
	struct looking *l = arg;

	(void)e;
	for (size_t row = 0; row < c->rows; row++)
		l->full = arena_str(
			l->mem, str_from(vec_text(&c->cols[0], row), strlen("snapshot:")));
	return OK;
}

static enum err find_mark(
	struct warehouse *w, const struct table *t, struct looking *l, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 16);
	/* As mark_snapshot() writes it. */
	buf_putf(&sql,
		"SELECT name FROM ops.marks WHERE name LIKE 'snapshot:%%' AND value LIKE "
		"'%%\"relid\":%" PRIu32 ",%%'",
		t->relid);
	buf_puts(&sql, " AND name <> ");
	sql_text(&sql, mark_name(l->mem, "snapshot", t->schema, t->name));
	enum err rc = warehouse_query(w, buf_str(&sql), take_name, l, e);
	buf_free(&sql);
	return rc;
}

/* Either part may have a dot: the right cut is the one at which there is such a table. */
static enum err split(struct warehouse *w, struct looking *l, struct renaming *out, struct error *e)
{
	for (size_t i = 0; i < l->full.n && !out->found; i++) {
		struct buf sql;
		int64_t n = 0;
		if (l->full.p[i] != '.')
			continue;
		out->schema = str_make(l->full.p, i);
		out->name = str_from(l->full, i + 1);
		buf_init(&sql, 1 << 16);
		buf_puts(&sql,
			"SELECT count(*) FROM information_schema.tables WHERE table_schema = ");
		sql_text(&sql, out->schema);
		buf_puts(&sql, " AND table_name = ");
		sql_text(&sql, out->name);
		enum err rc = warehouse_i64(w, buf_str(&sql), &n, e);
		buf_free(&sql);
		if (rc != OK)
			return rc;
		out->found = n > 0;
	}
	return OK;
}

enum err rename_find(struct warehouse *w, const struct table *t, struct arena *mem,
	struct renaming *out, struct error *e)
{
	struct looking l = {.mem = mem};
	struct replicate_snapshot there;

	*out = (struct renaming){.table = t};
	TRY(replicate_snapshot(w, t->schema, t->name, mem, &there, e));
	if (there.state != SNAPSHOT_NONE && there.relid == t->relid)
		return OK;
	if (there.state != SNAPSHOT_NONE)
		out->in_the_way = there.relid;
	TRY(find_mark(w, t, &l, e));
	if (l.full.n == 0)
		return OK;
	TRY(split(w, &l, out, e));
	if (!out->found)
		return OK;
	TRY(replicate_snapshot(w, out->schema, out->name, mem, &out->snapshot, e));
	TRY(marks_shape(w, out->schema, out->name, mem, &out->shape, e));
	/* A copy that was under way begins anew under the new name. */
	out->found = out->shape != NULL && out->snapshot.state == SNAPSHOT_DONE;
	if (!out->found)
		return OK;
	out->shape->relid = t->relid;
	out->shape->schema = t->schema;
	out->shape->name = t->name;
	if (t->valid_time.n > 0 && table_column(out->shape, t->valid_time) >= 0)
		out->shape->valid_time = t->valid_time;
	return OK;
}

/* ---- moving it ---- */

struct place {
	struct str schema, name;
};

static void put_place(struct buf *sql, struct str schema, struct str name)
{
	sql_name(sql, schema);
	buf_putc(sql, '.');
	sql_name(sql, name);
}

static void put_move(struct buf *sql, struct str schema, struct str name, struct str to_schema,
	struct str to_name)
{
	if (str_eq(schema, to_schema)) {
		buf_puts(sql, "ALTER TABLE ");
		put_place(sql, schema, name);
		buf_puts(sql, " RENAME TO ");
		sql_name(sql, to_name);
	} else {
		buf_puts(sql, "CREATE SCHEMA IF NOT EXISTS ");
		sql_name(sql, to_schema);
		buf_puts(sql, "; CREATE TABLE ");
		put_place(sql, to_schema, to_name);
		buf_puts(sql, " AS SELECT * FROM ");
		put_place(sql, schema, name);
		buf_puts(sql, "; DROP TABLE ");
		put_place(sql, schema, name);
	}
	buf_puts(sql, "; ");
}

/* Every mark that ends in ":SCHEMA.NAME". */
static void put_marks(struct buf *sql, struct place from, struct place to, struct arena *mem)
{
	struct str old = arena_fmt(mem, ":%.*s.%.*s", STR_ARG(from.schema), STR_ARG(from.name));
	struct str new = arena_fmt(mem, ":%.*s.%.*s", STR_ARG(to.schema), STR_ARG(to.name));

	buf_puts(sql, "DELETE FROM ops.marks WHERE substr(name, strpos(name, ':')) = ");
	sql_text(sql, new);
	buf_puts(sql,
		"; INSERT INTO ops.marks (name, value) SELECT substr(name, 1, "
		"strpos(name, ':') - 1) || ");
	sql_text(sql, new);
	buf_puts(sql, ", value FROM ops.marks WHERE substr(name, strpos(name, ':')) = ");
	sql_text(sql, old);
	buf_puts(sql, "; DELETE FROM ops.marks WHERE substr(name, strpos(name, ':')) = ");
	sql_text(sql, old);
	buf_puts(sql, "; ");
}

static void move(struct buf *sql, struct place from, struct place to, struct arena *mem)
{
	struct str history = history_of(mem, from.schema);

	buf_puts(sql, "DROP VIEW IF EXISTS ");
	put_place(sql, history, arena_fmt(mem, "%.*s_versions", STR_ARG(from.name)));
	buf_puts(sql, "; ");
	put_move(sql, from.schema, from.name, to.schema, to.name);
	put_move(sql, history, from.name, history_of(mem, to.schema), to.name);
	put_marks(sql, from, to, mem);
}

void rename_sql(const struct renaming *r, struct arena *mem, struct buf *sql)
{
	struct place from = {r->schema, r->name}, to = {r->table->schema, r->table->name};

	if (r->in_the_way != 0) {
		struct place aside = {.schema = to.schema,
			.name = arena_fmt(
				mem, "%.*s__was_%" PRIu32, STR_ARG(to.name), r->in_the_way)};
		move(sql, to, aside, mem);
	}
	move(sql, from, to, mem);
}

enum err rename_known(struct warehouse *w, const struct table *t, bool *known, struct error *e)
{
	struct arena mem = {0};
	struct renaming r;
	enum err rc = rename_find(w, t, &mem, &r, e);

	*known = rc == OK && r.found;
	arena_free(&mem);
	return rc;
}
