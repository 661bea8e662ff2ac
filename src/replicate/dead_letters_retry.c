#include "dead_letters.h"

#include <inttypes.h>
#include <string.h>

#include "letter.h"
#include "failpoint.h"
#include "marks.h"
#include "mem.h"

struct retry {
	struct warehouse *w;
	const struct env *env;
	struct arena mem;
	struct table *t;
	struct str full;
	struct letter *letters;
	size_t n, cap;
};

/* ---- reading ---- */

static enum err take_letters(void *arg, const struct chunk *c, struct error *e)
{
	struct retry *r = arg;

	(void)e;
	for (size_t row = 0; row < c->rows; row++) {
		if (r->n == r->cap) {
			r->cap = r->cap > 0 ? r->cap * 2 : 64;
			r->letters = mem_realloc_array(r->letters, r->cap, sizeof *r->letters);
		}
		struct letter *l = &r->letters[r->n++];
		*l = (struct letter){.op = arena_str(&r->mem, vec_text(&c->cols[4], row)),
			.row_json = arena_str(&r->mem, vec_text(&c->cols[5], row)),
			.unchanged = arena_str(&r->mem, vec_text(&c->cols[6], row)),
			.lsn_text = arena_str(&r->mem, vec_text(&c->cols[7], row))};
		(void)vec_integer(&c->cols[0], row, &l->lsn);
		(void)vec_integer(&c->cols[1], row, &l->seq);
		(void)vec_integer(&c->cols[2], row, &l->xid);
		(void)vec_integer(&c->cols[3], row, &l->committed_us);
	}
	return OK;
}

static enum err read_letters(struct retry *r, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 20);
	buf_puts(&sql,
		"SELECT lsn_number, seq, xid, committed_us, op, row_json, unchanged, lsn FROM "
		"ops.dead_letters WHERE settled_at IS NULL AND table_name = ");
	sql_text(&sql, r->full);
	buf_puts(&sql, " ORDER BY lsn_number, seq");
	enum err rc = warehouse_query(r->w, buf_str(&sql), take_letters, r, e);
	buf_free(&sql);
	return rc;
}

/* ---- SQL ---- */

static void put_table(struct buf *sql, const struct retry *r, bool history)
{
	struct arena mem = {0};

	sql_name(sql,
		history ? arena_fmt(&mem, "%.*s_history", STR_ARG(r->t->schema)) : r->t->schema);
	buf_putc(sql, '.');
	sql_name(sql, r->t->name);
	arena_free(&mem);
}

static void put_same_key(struct buf *sql, const struct table *t, const char *a, const char *b)
{
	for (size_t k = 0; k < t->nkeys; k++) {
		struct str name = t->columns[t->keys[k]].name;

		buf_putf(sql, "%s%s.", k > 0 ? " AND " : "", a);
		sql_name(sql, name);
		buf_putf(sql, " IS NOT DISTINCT FROM %s.", b);
		sql_name(sql, name);
	}
}

static void put_is(struct buf *sql, const char *alias, const struct letter *l)
{
	buf_putf(sql, "%s._lsn = %" PRId64 " AND %s._seq = %" PRId64, alias, l->lsn, alias, l->seq);
}

/* History has something of the key, or a TRUNCATE, after the letter's row `h`. */
static void put_newer(struct buf *sql, const struct retry *r, const struct letter *l)
{
	buf_puts(sql, "EXISTS (SELECT 1 FROM ");
	put_table(sql, r, true);
	buf_putf(sql,
		" AS n WHERE (n._lsn > %" PRId64 " OR (n._lsn = %" PRId64 " AND n._seq > %" PRId64
		")) AND (n._op = 'T' OR (",
		l->lsn, l->lsn, l->seq);
	for (size_t k = 0; k < r->t->nkeys; k++) {
		struct str name = r->t->columns[r->t->keys[k]].name;

		buf_puts(sql, k > 0 ? " AND n." : "n.");
		sql_name(sql, name);
		buf_puts(sql, " IS NOT DISTINCT FROM h.");
		sql_name(sql, name);
	}
	buf_puts(sql, ")))");
}

/* What stands in current under the letter's key gives way, when it is older. */
static void put_delete(struct buf *sql, const struct retry *r, const struct letter *l)
{
	buf_puts(sql, "DELETE FROM ");
	put_table(sql, r, false);
	buf_putf(sql, " AS c WHERE c._lsn <= %" PRId64 " AND EXISTS (SELECT 1 FROM ", l->lsn);
	put_table(sql, r, true);
	buf_puts(sql, " AS h WHERE ");
	put_is(sql, "h", l);
	for (size_t k = 0; k < r->t->nkeys; k++) {
		struct str name = r->t->columns[r->t->keys[k]].name;

		buf_puts(sql, " AND h.");
		sql_name(sql, name);
		buf_puts(sql, " IS NOT DISTINCT FROM c.");
		sql_name(sql, name);
	}
	buf_puts(sql, " AND NOT ");
	put_newer(sql, r, l);
	buf_puts(sql, ");\n");
}

static void put_columns(struct buf *sql, const struct table *t, const char *alias)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_puts(sql, alias);
		sql_name(sql, t->columns[i].name);
		buf_puts(sql, ", ");
	}
	buf_putf(sql, "%s_lsn, %s_committed_at, %s_exact", alias, alias, alias);
}

static void put_insert(struct buf *sql, const struct retry *r, const struct letter *l)
{
	if (str_eqc(l->op, "D"))
		return;
	buf_puts(sql, "INSERT INTO ");
	put_table(sql, r, false);
	buf_puts(sql, " (");
	put_columns(sql, r->t, "");
	buf_puts(sql, ") SELECT ");
	put_columns(sql, r->t, "h.");
	buf_puts(sql, " FROM ");
	put_table(sql, r, true);
	buf_puts(sql, " AS h WHERE ");
	put_is(sql, "h", l);
	buf_puts(sql, " AND NOT ");
	put_newer(sql, r, l);
	/* Also against rows that came without history, as a repair may write them. */
	buf_puts(sql, " AND NOT EXISTS (SELECT 1 FROM ");
	put_table(sql, r, false);
	buf_puts(sql, " AS c WHERE ");
	put_same_key(sql, r->t, "c", "h");
	buf_puts(sql, ");\n");
}

static void put_which(struct buf *sql, const struct retry *r, const struct letter *l)
{
	buf_puts(sql, " WHERE settled_at IS NULL AND table_name = ");
	sql_text(sql, r->full);
	buf_putf(sql, " AND lsn_number = %" PRId64 " AND seq = %" PRId64, l->lsn, l->seq);
}

static void put_settled(struct buf *sql, const struct retry *r, const struct letter *l)
{
	char now[CLOCK_TEXT];

	buf_putf(sql,
		"UPDATE ops.dead_letters SET settled_at = CAST('%s' AS TIMESTAMPTZ), outcome = ",
		clock_format(clock_wall(r->env->clock), now, sizeof now));
	if (r->t->nkeys == 0) {
		buf_puts(sql, "'applied'");
	} else {
		buf_puts(sql, "CASE WHEN EXISTS (SELECT 1 FROM ");
		put_table(sql, r, true);
		buf_puts(sql, " AS h WHERE ");
		put_is(sql, "h", l);
		buf_puts(sql, " AND ");
		put_newer(sql, r, l);
		buf_puts(sql, ") THEN 'superseded' ELSE 'applied' END");
	}
	put_which(sql, r, l);
	buf_putc(sql, ';');
}

/* ---- one letter ---- */

/* Rows whose key their column cannot hold are told apart by _exact, which plain SQL does not. */
static enum err check_key(const struct retry *r, const struct batch *b, struct error *e)
{
	for (size_t k = 0; k < r->t->nkeys; k++)
		if (b->nexact > 0 && vec_is_null(&b->cols[r->t->keys[k]], 0))
			return FAIL(e, ERR_INPUT,
				"the column %.*s cannot hold the key of this row; run sluice table "
				"resync",
				STR_ARG(r->t->columns[r->t->keys[k]].name));
	return OK;
}

/* History by the driver, which knows how values are written; current from history, guarded. */
static enum err write_letter(
	struct retry *r, struct warehouse_tx *tx, const struct letter *l, struct error *e)
{
	struct batch *b = batch_new(r->t);
	uint32_t first = 0;
	struct table_changes c = {.table = r->t, .rows = b, .newest = &first};
	struct change_set set = {.tables = &c, .ntables = 1};
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	enum err rc = letter_read(b, l, e);
	if (rc == OK)
		rc = check_key(r, b, e);
	c.nnewest = r->t->nkeys == 0; /* nothing replaces anything: straight into current */
	if (rc == OK)
		rc = warehouse_tx_put(tx, &set, e);
	if (rc == OK && r->t->nkeys > 0) {
		put_delete(&sql, r, l);
		put_insert(&sql, r, l);
	}
	put_settled(&sql, r, l);
	if (rc == OK)
		rc = warehouse_tx_script(tx, buf_str(&sql), e);
	buf_free(&sql);
	batch_free(b);
	return rc;
}

static enum err refused_again(
	struct retry *r, const struct letter *l, const struct error *why, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 20);
	buf_puts(&sql, "UPDATE ops.dead_letters SET reason = ");
	sql_text(&sql, str_of(why->text));
	put_which(&sql, r, l);
	enum err rc = warehouse_script(r->w, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

static enum err try_letter(
	struct retry *r, const struct letter *l, struct dead_letters_retried *out, struct error *e)
{
	struct error why = {.kind = OK};
	struct warehouse_tx *tx;

	TRY(env_check(r->env, e));
	TRY(warehouse_begin(r->w, &tx, e));
	enum err rc = write_letter(r, tx, l, &why);
	if (rc == OK)
		rc = failpoint_hit(r->env, "letters.retry", &why);
	if (rc == OK)
		rc = warehouse_tx_commit(tx, &why);
	else
		warehouse_tx_abandon(tx);
	out->tried++;
	if (rc == ERR_INPUT) {
		out->refused++;
		return refused_again(r, l, &why, e);
	}
	if (rc != OK)
		*e = why;
	return rc;
}

static enum err count_outcomes(struct retry *r, const char *outcome, int64_t *out, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 20);
	buf_puts(&sql, "SELECT count(*) FROM ops.dead_letters WHERE table_name = ");
	sql_text(&sql, r->full);
	buf_putf(&sql, " AND outcome = '%s'", outcome);
	enum err rc = warehouse_i64(r->w, buf_str(&sql), out, e);
	buf_free(&sql);
	return rc;
}

static enum err try_all(struct retry *r, struct dead_letters_retried *out, struct error *e)
{
	int64_t before = 0, after = 0;

	TRY(read_letters(r, e));
	TRY(count_outcomes(r, "superseded", &before, e));
	for (size_t i = 0; i < r->n; i++)
		TRY(try_letter(r, &r->letters[i], out, e));
	TRY(count_outcomes(r, "superseded", &after, e));
	out->superseded = (uint64_t)(after - before);
	out->applied = out->tried - out->refused - out->superseded;
	return OK;
}

enum err dead_letters_retry(struct warehouse *w, const struct env *env, struct str schema,
	struct str name, struct dead_letters_retried *out, struct error *e)
{
	struct retry r = {.w = w, .env = env};

	*out = (struct dead_letters_retried){0};
	enum err rc = marks_shape(w, schema, name, &r.mem, &r.t, e);
	if (rc == OK && r.t == NULL)
		rc = FAIL(e, ERR_NOT_FOUND,
			"retrying dead letters: the warehouse has no table %.*s.%.*s; sluice status "
			"lists those it has",
			STR_ARG(schema), STR_ARG(name));
	if (rc == OK) {
		r.full = table_full_name(r.t, &r.mem);
		rc = try_all(&r, out, e);
		if (rc != OK)
			error_wrap(e, "retrying the dead letters of %.*s", STR_ARG(r.full));
	}
	mem_free(r.letters);
	arena_free(&r.mem);
	return rc;
}

/* ---- summary ---- */

struct reading {
	struct arena *mem;
	struct dead_letters_summary *out;
};

static enum err take_summary(void *arg, const struct chunk *c, struct error *e)
{
	struct reading *r = arg;
	int64_t n[2] = {0, 0};

	(void)e;
	if (c->rows == 0)
		return OK;
	(void)vec_integer(&c->cols[0], 0, &n[0]);
	(void)vec_integer(&c->cols[1], 0, &n[1]);
	r->out->waiting = (uint64_t)n[0];
	r->out->settled = (uint64_t)n[1];
	r->out->table = arena_str(r->mem, vec_text(&c->cols[2], 0));
	r->out->reason = arena_str(r->mem, vec_text(&c->cols[3], 0));
	r->out->seen_at = arena_str(r->mem, vec_text(&c->cols[4], 0));
	return OK;
}

enum err dead_letters_summary(
	struct warehouse *w, struct arena *mem, struct dead_letters_summary *out, struct error *e)
{
	struct reading r = {.mem = mem, .out = out};

	*out = (struct dead_letters_summary){0};
	return warehouse_query(w,
		STR("SELECT n.waiting, n.settled, l.table_name, l.reason, "
		    "CAST(l.seen_at AS VARCHAR) FROM (SELECT "
		    "count(CASE WHEN settled_at IS NULL THEN 1 END) AS waiting, "
		    "count(settled_at) AS settled FROM ops.dead_letters) AS n "
		    "LEFT JOIN (SELECT table_name, reason, seen_at FROM ops.dead_letters "
		    "WHERE settled_at IS NULL ORDER BY lsn_number DESC, seq DESC LIMIT 1) AS l "
		    "ON true"),
		take_summary, &r, e);
}
