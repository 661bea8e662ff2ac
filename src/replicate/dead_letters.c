#include "dead_letters.h"

#include <string.h>

#include "failpoint.h"
#include "letter.h"
#include "metrics.h"
#include "sift.h"

#define SCRIPT_BYTES ((size_t)8 << 20) /* letters written by one script */

static void count(const struct env *env, const struct sift_part *p)
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

static enum err put_script(struct warehouse_tx *tx, struct buf *sql, size_t least, struct error *e)
{
	if (sql->n <= least)
		return OK;
	if (!buf_ok(sql))
		return FAIL(e, ERR_INPUT, "writing dead letters: a row is larger than 2 GB");
	enum err rc = warehouse_tx_script(tx, buf_str(sql), e);
	buf_reset(sql);
	return rc;
}

static enum err put_letters(
	struct warehouse_tx *tx, const struct sift_part *p, int64_t now_us, struct error *e)
{
	struct letters_out out;
	enum err rc = OK;

	letters_begin(&out, p->c->rows, now_us);
	for (size_t row = 0; rc == OK && p->nbad > 0 && row < p->c->rows->rows; row++) {
		if (p->bad[row] == 0)
			continue;
		letters_add(&out, row, p->reasons[row]);
		rc = put_script(tx, &out.sql, SCRIPT_BYTES, e);
	}
	if (rc == OK)
		rc = put_script(tx, &out.sql, 0, e);
	letters_end(&out);
	return rc;
}

/* Puts the rest, the letters and the marks into a new transaction. */
static enum err put_all(struct sift *s, struct sift_part *parts, const struct change_set *c,
	struct warehouse_tx **tx, struct error *e)
{
	struct table_changes *tables = arena_array(&s->mem, c->ntables + 1, sizeof *tables);
	struct change_set set = {.tables = tables, .marks = c->marks, .nmarks = c->nmarks};

	*tx = NULL;
	for (size_t i = 0; i < c->ntables; i++)
		if (parts[i].nbad < parts[i].c->rows->rows)
			tables[set.ntables++] = sift_rest(&parts[i]);
	enum err rc = warehouse_begin(s->w, tx, e);
	if (rc == OK)
		rc = warehouse_tx_put(*tx, &set, e);
	for (size_t i = 0; rc == OK && i < c->ntables; i++)
		rc = put_letters(*tx, &parts[i], clock_wall(s->env->clock), e);
	if (rc == OK)
		rc = failpoint_hit(s->env, "letters.commit", e);
	if (rc != OK) {
		warehouse_tx_abandon(*tx);
		*tx = NULL;
	}
	return rc;
}

static void tell(struct sift *s, const struct sift_part *parts, size_t n)
{
	if (s->together > 0)
		log_warn(s->env->log, "apply",
			"too many rows are refused to look at each: some are put aside that may be "
			"fine; sluice table retry brings them in",
			F_I64("rows", s->together));
	for (size_t i = 0; i < n; i++) {
		const struct sift_part *p = &parts[i];
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

static enum err sift_all(
	struct sift *s, struct sift_part *parts, const struct change_set *c, struct error *e)
{
	for (size_t i = 0; i < c->ntables; i++)
		sift_part_begin(s, &parts[i], &c->tables[i]);
	for (size_t i = 0; i < c->ntables; i++)
		TRY(sift_part(s, &parts[i], e));
	return OK;
}

/* After `first` had been refused: finds the rows, and puts what is left into a transaction. */
static enum err put_without(
	struct sift *s, const struct change_set *c, struct warehouse_tx **tx, struct error *e)
{
	struct sift_part *parts = arena_array(&s->mem, c->ntables + 1, sizeof *parts);
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
	for (size_t i = 0; i < c->ntables; i++)
		sift_part_free(&parts[i]);
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
