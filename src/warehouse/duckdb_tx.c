/*
 * A transaction of several parts has a connection of its own. What apply and ensure_table do on
 * the writer's connection is done on this one: they are given a driver whose writer it is.
 */
#include "duckdb_driver.h"

#include <inttypes.h>

#include "mem.h"

struct duck_tx {
	struct warehouse_tx base;
	struct duck within; /* of the driver: its database, and our connection as the writer */
};

static struct duck_tx *tx_of(struct warehouse_tx *x)
{
	return (struct duck_tx *)x;
}

static enum err tx_ensure_table(struct warehouse_tx *x, const struct table *t, struct error *e)
{
	return duck_ensure_within(&tx_of(x)->within, t, e);
}

static enum err tx_put(struct warehouse_tx *x, const struct change_set *c, struct error *e)
{
	struct duck *d = &tx_of(x)->within;

	TRY(duck_apply_within(d, c, e));
	return c->ntables > 0 ? duck_shed(d, d->writer, e) : OK;
}

static enum err tx_script(struct warehouse_tx *x, struct str sql, struct error *e)
{
	return duck_script_within(tx_of(x)->within.writer, sql, e);
}

#define STAGE "sluice_discard"

static enum err discard_staged(struct duck *d, const struct load *l, lsn floor, struct error *e)
{
	const struct table *t = l->b->table;
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "DELETE FROM ");
	duck_current(&sql, t);
	buf_puts(&sql, " AS c USING temp.main." STAGE " AS s WHERE ");
	duck_staged_match(&sql, t, "s", "c");
	buf_putf(&sql, " AND c._lsn = %" PRIu64 "; DELETE FROM ", floor.v);
	duck_history(&sql, t);
	buf_puts(&sql, " AS c USING temp.main." STAGE " AS s WHERE ");
	duck_staged_match(&sql, t, "s", "c");
	buf_putf(&sql, " AND c._op = 'r' AND c._lsn = %" PRIu64, floor.v);
	enum err rc = duck_exec(d->writer, &sql, l->doing, e);
	buf_free(&sql);
	return rc;
}

static enum err tx_discard(
	struct warehouse_tx *x, const struct batch *keys, lsn floor, struct error *e)
{
	struct duck *d = &tx_of(x)->within;
	struct rows all = {.n = keys->rows};
	struct load l;

	if (keys->rows == 0)
		return OK;
	enum err rc = load_make(&l, keys, "taking back rows of a snapshot", e);
	if (rc == OK)
		rc = duck_stage_keys(d, &l, STAGE, &all, NULL, e);
	if (rc == OK)
		rc = discard_staged(d, &l, floor, e);
	load_free(&l);
	return rc;
}

static void end(struct duck_tx *x)
{
	duckdb_disconnect(&x->within.writer); /* rolls back what was not committed */
	mem_free(x);
}

static enum err tx_commit(struct warehouse_tx *x, struct error *e)
{
	enum err rc = duck_commit(
		tx_of(x)->within.writer, "committing changes to the warehouse", e);

	end(tx_of(x));
	return rc;
}

static void tx_abandon(struct warehouse_tx *x)
{
	end(tx_of(x));
}

static const struct warehouse_tx_ops tx_ops = {
	.ensure_table = tx_ensure_table,
	.put = tx_put,
	.script = tx_script,
	.discard = tx_discard,
	.commit = tx_commit,
	.abandon = tx_abandon,
};

enum err duck_begin(struct warehouse *w, struct warehouse_tx **out, struct error *e)
{
	struct duck *d = duck_of(w);
	struct duck_tx *x = mem_zalloc(sizeof *x);

	x->base.ops = &tx_ops;
	x->within = (struct duck){.env = d->env,
		.lender = d->lender,
		.path = d->path,
		.lock_fd = -1,
		.memory_limit = d->memory_limit,
		.db = d->db};
	enum err rc = duck_connect(d, &x->within.writer, e);
	if (rc == OK)
		rc = duck_execs(x->within.writer, "BEGIN", "beginning a transaction", e);
	if (rc != OK) {
		end(x);
		return rc;
	}
	*out = &x->base;
	return OK;
}
