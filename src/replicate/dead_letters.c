#include "dead_letters.h"

#include <string.h>

#include "failpoint.h"
#include "fold.h"
#include "letter.h"
#include "mem.h"
#include "metrics.h"

#define SECOND_LOOKS 32 /* so many refused rows are each tried once more among all others */

/* One table's part of the set, and what is found out about it. */
struct part {
	const struct table_changes *c;
	uint8_t *bad; /* by row */
	struct str *reasons;
	size_t nbad;
	struct batch *rest; /* without the bad ones */
	struct fold fold;
};

struct sift {
	struct warehouse *w;
	const struct env *env;
	struct arena mem;
	struct part *part; /* in work */
	size_t nbad;       /* of all parts */
};

static struct table_changes changes_of(struct part *p, const struct batch *rows)
{
	struct table_changes out = {.table = p->c->table,
		.rows = rows,
		.fresh = p->c->fresh,
		.floor = p->c->floor};

	fold_run(&p->fold, rows, &out);
	return out;
}

/* Whether the warehouse would take the rows [from, to) that are not bad. */
static enum err trial(struct sift *s, size_t from, size_t to, struct error *e)
{
	struct batch *rows = letter_pick(s->part->c->rows, s->part->bad, from, to);
	struct table_changes c = changes_of(s->part, rows);
	struct change_set set = {.tables = &c, .ntables = 1};
	struct warehouse_tx *tx = NULL;
	enum err rc = rows->rows == 0 ? OK : warehouse_begin(s->w, &tx, e);

	if (rc == OK && tx != NULL)
		rc = warehouse_tx_put(tx, &set, e);
	warehouse_tx_abandon(tx);
	batch_free(rows);
	if (rc == OK)
		rc = env_check(s->env, e);
	return rc;
}

static enum err condemn(struct sift *s, size_t row, struct error *e)
{
	struct part *p = s->part;

	if (p->c->rows->op[row] == OP_TRUNCATE || s->nbad == DEAD_LETTERS_MOST)
		return error_wrap(e,
			"more than rows is refused of %.*s.%.*s, so the stream waits "
			"until that is mended",
			STR_ARG(p->c->table->schema), STR_ARG(p->c->table->name));
	p->bad[row] = 1;
	p->reasons[row] = arena_str(&s->mem, str_of(e->text));
	p->nbad++;
	s->nbad++;
	error_clear(e);
	return OK;
}

/* Finds rows that are refused by themselves, by halves. Most are of that kind: a value that a
 * constraint forbids. `e` has why the whole range was refused. */
static enum err halve(struct sift *s, size_t from, size_t to, struct error *e)
{
	if (to - from == 1)
		return condemn(s, from, e);
	size_t cuts[3] = {from, from + (to - from) / 2, to};

	for (int half = 0; half < 2; half++) {
		error_clear(e);
		enum err rc = trial(s, cuts[half], cuts[half + 1], e);
		if (rc == ERR_INPUT)
			rc = halve(s, cuts[half], cuts[half + 1], e);
		if (rc != OK)
			return rc;
	}
	return OK;
}

/* A row refused by itself may be fine after those before it: a unique value that they give up. */
static enum err look_again(struct sift *s, struct error *e)
{
	struct part *p = s->part;

	if (p->nbad > SECOND_LOOKS)
		return OK;
	for (size_t row = 0; row < p->c->rows->rows; row++) {
		if (p->bad[row] == 0)
			continue;
		p->bad[row] = 0;
		enum err rc = trial(s, 0, row + 1, e);
		if (rc == ERR_INPUT)
			p->bad[row] = 1;
		else if (rc != OK)
			return rc;
		else {
			p->nbad--;
			s->nbad--;
		}
		error_clear(e);
	}
	return OK;
}

/* Rows that are refused only because of those before them: the first is where the longest part
 * that is taken ends. */
static enum err first_of_rest(struct sift *s, struct error *e)
{
	size_t taken = 0, refused = s->part->c->rows->rows; /* rows [0, n) are taken, are not */
	struct error why = *e;

	while (refused - taken > 1) {
		size_t mid = taken + (refused - taken) / 2;
		struct error now = {.kind = OK};
		enum err rc = trial(s, 0, mid, &now);
		if (rc == ERR_INPUT) {
			refused = mid;
			why = now;
		} else if (rc == OK) {
			taken = mid;
		} else {
			*e = now;
			return rc;
		}
	}
	*e = why;
	return condemn(s, taken, e);
}

static enum err sift_part(struct sift *s, struct part *p, struct error *e)
{
	size_t n = p->c->rows->rows;
	enum err rc;

	s->part = p;
	error_clear(e);
	rc = trial(s, 0, n, e);
	if (rc != ERR_INPUT)
		return rc;
	rc = halve(s, 0, n, e);
	if (rc == OK)
		rc = look_again(s, e);
	while (rc == OK) {
		rc = trial(s, 0, n, e);
		if (rc == OK)
			break;
		if (rc == ERR_INPUT)
			rc = first_of_rest(s, e);
	}
	return rc;
}

/* ---- is it the rows? ---- */

static void put_names(struct buf *sql, const struct table *t, struct str dataset, const char *ours)
{
	buf_puts(sql, "SELECT ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		sql_name(sql, t->columns[i].name);
		buf_puts(sql, ", ");
	}
	buf_putf(sql, "%s FROM ", ours);
	sql_name(sql, dataset);
	buf_putc(sql, '.');
	sql_name(sql, t->name);
	buf_puts(sql, " WHERE false");
}

/* A table that is gone, or lacks a column, would refuse every row there is. */
static enum err check_table(struct warehouse *w, const struct table *t, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;

	buf_init(&sql, 1 << 20);
	put_names(&sql, t, t->schema, "_lsn, _committed_at, _exact");
	enum err rc = warehouse_query(w, buf_str(&sql), NULL, NULL, e);
	if (rc == OK) {
		buf_reset(&sql);
		put_names(&sql, t, arena_fmt(&mem, "%.*s_history", STR_ARG(t->schema)),
			"_op, _lsn, _seq, _xid, _committed_at, _exact, _unchanged");
		rc = warehouse_query(w, buf_str(&sql), NULL, NULL, e);
	}
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

/* ---- writing ---- */

static void count(const struct env *env, const struct part *p)
{
	struct arena mem = {0};
	const char *labels[] = {
		"table", arena_cstr(&mem, table_full_name(p->c->table, &mem)), NULL};

	if (env->metrics != NULL)
		metric_add(metrics_counter(env->metrics, "sluice_dead_letters_total",
				   "Rows that the warehouse refused.", labels),
			p->nbad);
	arena_free(&mem);
}

static void put_letters(struct buf *sql, const struct part *p, int64_t now_us)
{
	for (size_t row = 0; p->nbad > 0 && row < p->c->rows->rows; row++)
		if (p->bad[row] != 0)
			letter_put(sql, p->c->rows, row, p->reasons[row], now_us);
}

/* Puts the rest, the letters and the marks into a new transaction. */
static enum err put_all(struct sift *s, struct part *parts, const struct change_set *c,
	struct warehouse_tx **tx, struct error *e)
{
	struct table_changes *tables = arena_array(&s->mem, c->ntables + 1, sizeof *tables);
	struct change_set set = {.tables = tables, .marks = c->marks, .nmarks = c->nmarks};
	struct buf sql;

	*tx = NULL;
	buf_init(&sql, (size_t)2 << 30);
	for (size_t i = 0; i < c->ntables; i++) {
		struct part *p = &parts[i];
		put_letters(&sql, p, clock_wall(s->env->clock));
		if (p->nbad == p->c->rows->rows)
			continue;
		if (p->nbad > 0)
			p->rest = letter_pick(p->c->rows, p->bad, 0, p->c->rows->rows);
		tables[set.ntables++] = p->nbad > 0 ? changes_of(p, p->rest) : *p->c;
	}
	enum err rc = buf_ok(&sql)
		? warehouse_begin(s->w, tx, e)
		: FAIL(e, ERR_INPUT, "writing dead letters: they are larger than 2 GB together");
	if (rc == OK)
		rc = warehouse_tx_put(*tx, &set, e);
	if (rc == OK && sql.n > 0)
		rc = warehouse_tx_script(*tx, buf_str(&sql), e);
	if (rc == OK)
		rc = failpoint_hit(s->env, "letters.commit", e);
	if (rc != OK) {
		warehouse_tx_abandon(*tx);
		*tx = NULL;
	}
	buf_free(&sql);
	return rc;
}

static void tell(struct sift *s, const struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct part *p = &parts[i];
		size_t row = 0;
		if (p->nbad == 0)
			continue;
		count(s->env, p);
		while (p->bad[row] == 0)
			row++;
		log_warn(s->env->log, "apply",
			"the warehouse refuses rows; they are kept in ops.dead_letters, mend the "
			"cause and run sluice table retry",
			F_STR("table", table_full_name(p->c->table, &s->mem)),
			F_I64("rows", p->nbad), F_STR("reason", p->reasons[row]));
	}
}

static void free_parts(struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		batch_free(parts[i].rest);
		fold_free(&parts[i].fold);
		mem_free(parts[i].bad);
	}
}

static enum err sift_all(
	struct sift *s, struct part *parts, const struct change_set *c, struct error *e)
{
	for (size_t i = 0; i < c->ntables; i++) {
		struct part *p = &parts[i];
		size_t n = c->tables[i].rows->rows;
		p->c = &c->tables[i];
		p->bad = mem_zalloc(n + 1);
		p->reasons = arena_array(&s->mem, n + 1, sizeof *p->reasons);
	}
	for (size_t i = 0; i < c->ntables; i++) {
		TRY(check_table(s->w, c->tables[i].table, e));
		TRY(sift_part(s, &parts[i], e));
	}
	return OK;
}

/* After `first` had been refused: finds the rows, and puts what is left into a transaction. */
static enum err put_without(
	struct sift *s, const struct change_set *c, struct warehouse_tx **tx, struct error *e)
{
	struct part *parts = arena_array(&s->mem, c->ntables + 1, sizeof *parts);
	struct error first = *e;
	enum err rc = sift_all(s, parts, c, e);

	*tx = NULL;
	/* What is refused is then no row of any table: the marks, or the commit. */
	if (rc == OK && s->nbad == 0) {
		*e = first;
		rc = ERR_INPUT;
	}
	if (rc == OK)
		rc = put_all(s, parts, c, tx, e);
	if (rc == OK)
		tell(s, parts, c->ntables);
	free_parts(parts, c->ntables);
	return rc;
}

enum err dead_letters_apply(struct warehouse *w, const struct env *env, const struct change_set *c,
	uint64_t *refused, struct error *e)
{
	struct sift s = {.w = w, .env = env};
	struct warehouse_tx *tx;

	*refused = 0;
	enum err rc = warehouse_apply(w, c, e);
	if (rc != ERR_INPUT)
		return rc;
	rc = put_without(&s, c, &tx, e);
	if (rc == OK)
		rc = warehouse_tx_commit(tx, e);
	if (rc == OK)
		*refused = s.nbad;
	arena_free(&s.mem);
	return rc;
}

enum err dead_letters_put(struct warehouse *w, const struct env *env, struct warehouse_tx **tx,
	const struct table_changes *c, struct error *e)
{
	struct sift s = {.w = w, .env = env};
	struct change_set set = {.tables = c, .ntables = 1};
	enum err rc = warehouse_tx_put(*tx, &set, e);

	if (rc == OK)
		return OK;
	warehouse_tx_abandon(*tx);
	*tx = NULL;
	if (rc == ERR_INPUT)
		rc = put_without(&s, &set, tx, e);
	arena_free(&s.mem);
	return rc;
}
