/*
 * A transaction that is larger than a batch is written in parts, within one transaction of the
 * warehouse: memory stays bounded, nobody sees a part of it, and after a crash nothing of it is
 * there. It is committed with the position at its end. What changes the shape of a table meanwhile
 * must go the same way, or the two would be in each other's way.
 */
#include "apply.h"

#include "failpoint.h"
#include "marks.h"
#include "snapshot.h"

/* Payloads kept for a batch; rows of many kilobytes fill it long before their number does. */
#define HELD_MOST ((uint64_t)64 << 20)

/* DuckDB remembers who has written a row: once for 2048 rows that come at once and stand together,
 * but 16 bytes for each row of a group that was written in two pieces. Parts of whole groups keep a
 * transaction of ten million rows 300 MB smaller. */
#define GROUP ((size_t)2048)

static bool full(const struct apply *a, size_t times)
{
	return a->rows >= times * (size_t)a->r->o->batch_rows ||
		journal_reader_held(a->reader) >= times * HELD_MOST;
}

bool apply_enough(const struct apply *a)
{
	return full(a, 1);
}

bool apply_part_is_due(const struct apply *a, const struct relation *rel)
{
	return full(a, 1) && a->r->never_in_parts.v != a->tx.commit.v &&
		(rel->batch->rows % GROUP == 0 || full(a, 2));
}

static enum err begin(struct apply *a, struct error *e)
{
	char at[LSN_TEXT];

	if (a->part != NULL)
		return OK;
	log_debug(a->r->env.log, "apply", "a large transaction is written in parts",
		F_CSTR("lsn", lsn_format(a->tx.commit, at)));
	/* What is copied after this moment would not be seen by it. */
	if (a->apart == NULL)
		snapshot_hold_all(a->r->snapshots);
	return warehouse_begin(a->r->w, &a->part, e);
}

/* The run begins anew, and takes the transaction as one batch, whatever memory that takes. */
static void never_in_parts(struct apply *a, const char *why)
{
	char at[LSN_TEXT];

	/* Once is enough: what fails for another reason is to be seen. */
	if (a->r->never_in_parts.v == a->tx.commit.v)
		return;
	log_warn(a->r->env.log, "apply",
		"a large transaction cannot be written in parts; it is taken as one, in memory",
		F_CSTR("lsn", lsn_format(a->tx.commit, at)), F_CSTR("reason", why));
	a->r->never_in_parts = a->tx.commit;
	a->again = true;
}

enum err apply_reshape_in_parts(struct apply *a, const struct relation *rel, struct error *e)
{
	char at[LSN_TEXT];

	if (a->part == NULL || !rel->in_part)
		return OK;
	never_in_parts(a, "a table changes its shape between rows of it");
	return FAIL(e, ERR_CONFLICT,
		"applying the large transaction at LSN %s: the table %.*s "
		"changes its shape between rows of it",
		lsn_format(a->tx.commit, at), STR_ARG(rel->said->name));
}

enum err apply_anew(struct apply *a, struct error *e)
{
	struct replicate *r = a->r;

	error_clear(e);
	apply_close(a);
	return apply_open(a, r, e);
}

static enum err put(struct apply *a, const struct change_set *set, struct error *e)
{
	TRY(failpoint_hit(&a->r->env, "apply.part", e));
	enum err rc = warehouse_tx_put(a->part, set, e);
	/* Which rows are refused, and how to go on without them, is found out for a batch. */
	if (rc == ERR_INPUT && a->r->replay == NULL)
		never_in_parts(a, e->text);
	return rc;
}

enum err apply_part(struct apply *a, struct error *e)
{
	if (a->rows == 0)
		return OK;
	arena_reset(&a->mem);
	TRY(begin(a, e));
	struct table_changes *tables = arena_array(
		&a->mem, a->relations.n, sizeof(struct table_changes));
	struct change_set set = {.tables = tables, .ntables = apply_collect(a, tables)};
	TRY(put(a, &set, e));
	a->part_rows += a->rows;
	for (size_t i = 0; i < a->relations.n; i++) {
		struct relation *rel = a->relations.items[i];
		rel->in_part |= rel->batch != NULL && rel->batch->rows > 0;
	}
	TRY(apply_forget_rows(a, e));
	engine_sign(&a->r->apply_turns);
	return OK;
}

enum err apply_end_parts(struct apply *a, const struct change_set *last, struct error *e)
{
	struct warehouse_tx *part = a->part;

	TRY(put(a, last, e));
	a->part = NULL;
	a->rows += a->part_rows;
	a->part_rows = 0;
	for (size_t i = 0; i < a->relations.n; i++)
		a->relations.items[i]->in_part = false;
	return warehouse_tx_commit(part, e);
}

enum err apply_ensure_table(struct apply *a, const struct table *t, struct error *e)
{
	return a->part != NULL ? warehouse_tx_ensure_table(a->part, t, e)
			       : warehouse_ensure_table(a->r->w, t, e);
}

enum err apply_script(struct apply *a, struct str sql, struct error *e)
{
	return a->part != NULL ? warehouse_tx_script(a->part, sql, e)
			       : warehouse_script(a->r->w, sql, e);
}

enum err apply_mark(struct apply *a, const struct mark *mark, struct error *e)
{
	struct change_set set = {.marks = mark, .nmarks = 1};

	return a->part != NULL ? warehouse_tx_put(a->part, &set, e)
			       : marks_put(a->r->w, mark, 1, e);
}
