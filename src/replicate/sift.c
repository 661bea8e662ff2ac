#include "sift.h"

#include "letter.h"
#include "mem.h"

#define SECOND_LOOKS 32 /* so many refused rows are each tried once more among all others */

void sift_part_begin(struct sift *s, struct sift_part *p, const struct table_changes *c)
{
	size_t n = c->rows->rows;

	p->c = c;
	p->bad = mem_zalloc(n + 1);
	p->reasons = arena_array(&s->mem, n + 1, sizeof *p->reasons);
}

void sift_part_free(struct sift_part *p)
{
	batch_free(p->rest);
	fold_free(&p->fold);
	mem_free(p->bad);
}

static struct table_changes changes_of(struct sift_part *p, const struct batch *rows)
{
	struct table_changes out = {
		.table = p->c->table, .rows = rows, .fresh = p->c->fresh, .floor = p->c->floor};

	fold_run(&p->fold, rows, &out);
	return out;
}

struct table_changes sift_rest(struct sift_part *p)
{
	if (p->nbad == 0)
		return *p->c;
	if (p->rest == NULL)
		p->rest = letter_pick(p->c->rows, p->bad, 0, p->c->rows->rows);
	return changes_of(p, p->rest);
}

/* ---- one look ---- */

/* Whether the warehouse would take the rows [from, to) that are not bad. */
static enum err trial(struct sift *s, size_t from, size_t to, struct error *e)
{
	struct batch *rows = letter_pick(s->part->c->rows, s->part->bad, from, to);
	struct table_changes c = changes_of(s->part, rows);
	struct change_set set = {.tables = &c, .ntables = 1};
	struct warehouse_tx *tx = NULL;
	enum err rc = rows->rows == 0 ? OK : warehouse_begin(s->w, &tx, e);

	s->looks++;
	if (rc == OK && tx != NULL)
		rc = warehouse_tx_put(tx, &set, e);
	warehouse_tx_abandon(tx);
	batch_free(rows);
	if (rc == OK)
		rc = env_check(s->env, e);
	return rc;
}

static bool tired(const struct sift *s)
{
	return s->looks >= (s->most > 0 ? s->most : SIFT_LOOKS);
}

/* ---- what comes of it ---- */

static void put_aside(struct sift *s, size_t row, struct str reason)
{
	struct sift_part *p = s->part;

	if (p->bad[row] != 0)
		return;
	p->bad[row] = 1;
	p->reasons[row] = reason;
	p->nbad++;
	s->nbad++;
}

static enum err condemn(struct sift *s, size_t row, struct error *e)
{
	if (s->part->c->rows->op[row] == OP_TRUNCATE)
		return error_wrap(e,
			"a TRUNCATE of %.*s.%.*s is refused, so the stream waits until that is "
			"mended",
			STR_ARG(s->part->c->table->schema), STR_ARG(s->part->c->table->name));
	put_aside(s, row, arena_str(&s->mem, str_of(e->text)));
	error_clear(e);
	return OK;
}

/* There is no time to look at each. A TRUNCATE stays: what it does cannot be done later. */
static void condemn_all(struct sift *s, size_t from, size_t to, struct str reason)
{
	struct sift_part *p = s->part;
	size_t before = p->nbad;

	for (size_t row = from; row < to; row++)
		if (p->c->rows->op[row] != OP_TRUNCATE)
			put_aside(s, row, reason);
	s->together += p->nbad - before;
}

/* ---- rows that are refused by themselves ---- */

struct range {
	size_t from, to;
	struct str why; /* it is refused as a whole */
};

/* The ranges that are refused, all of about one size: the next to look at stands at `next`. */
struct ranges {
	struct range *items;
	size_t next, n, cap;
};

static void add_range(struct ranges *r, size_t from, size_t to, struct str why)
{
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 64 : r->cap * 2;
		r->items = mem_realloc_array(r->items, r->cap, sizeof *r->items);
	}
	r->items[r->n++] = (struct range){from, to, why};
}

static enum err look_at_half(
	struct sift *s, struct ranges *all, size_t from, size_t to, struct error *e)
{
	error_clear(e);
	enum err rc = trial(s, from, to, e);
	if (rc != ERR_INPUT)
		return rc;
	if (to - from == 1)
		return condemn(s, from, e);
	add_range(all, from, to, arena_str(&s->mem, str_of(e->text)));
	error_clear(e);
	return OK;
}

/* By halves, the large ones first: whenever the looks are used up, what is not told apart is small.
 * Most rows that are refused are of this kind: a value that a constraint forbids. */
static enum err halve(struct sift *s, size_t n, struct error *e)
{
	struct ranges all = {0};
	enum err rc = OK;

	if (n == 1)
		return condemn(s, 0, e);
	add_range(&all, 0, n, arena_str(&s->mem, str_of(e->text)));
	while (rc == OK && all.next < all.n) {
		struct range r = all.items[all.next++];
		size_t mid = r.from + (r.to - r.from) / 2;
		if (tired(s)) {
			condemn_all(s, r.from, r.to, r.why);
			continue;
		}
		rc = look_at_half(s, &all, r.from, mid, e);
		if (rc == OK)
			rc = look_at_half(s, &all, mid, r.to, e);
	}
	mem_free(all.items);
	return rc;
}

/* A row refused by itself may be fine after those before it: a unique value that they give up. */
static enum err look_again(struct sift *s, struct error *e)
{
	struct sift_part *p = s->part;

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

/* ---- rows that are refused because of those before them ---- */

/* The first is where the longest part that is taken ends. */
static enum err first_of_rest(struct sift *s, struct error *e)
{
	size_t n = s->part->c->rows->rows;
	size_t taken = 0, refused = n; /* rows [0, n) are taken, are not */
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
	if (tired(s) && s->part->c->rows->op[taken] != OP_TRUNCATE)
		condemn_all(s, taken, n, arena_str(&s->mem, str_of(why.text)));
	return condemn(s, taken, e);
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

enum err sift_part(struct sift *s, struct sift_part *p, struct error *e)
{
	size_t n = p->c->rows->rows;
	enum err rc;

	s->part = p;
	error_clear(e);
	TRY(check_table(s->w, p->c->table, e));
	rc = trial(s, 0, n, e);
	if (rc != ERR_INPUT)
		return rc;
	rc = halve(s, n, e);
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
