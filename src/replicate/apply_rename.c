/* Tables that get another name, in the order in which the stream brings it. */
#include "apply.h"

#include "apply_answers.h"
#include "apply_record.h"
#include "mem.h"
#include "rename.h"
#include "shape.h"
#include "snapshot.h"

/* The rows that are collected go under the old name. */
static enum err write_rows(struct apply *a, struct error *e)
{
	if (a->rows == 0 && a->part == NULL)
		return OK;
	return a->tx.seq == 0 && a->part == NULL ? apply_flush(a, e) : apply_part(a, e);
}

/* It is described anew by the next change, from its mark. */
static void forget_live(struct relation *rel)
{
	batch_free(rel->batch);
	rel->batch = NULL;
	rel->live = NULL;
	rel->wide = false;
	rel->news = true;
	arena_free(&rel->live_mem);
	for (size_t i = 0; i < sizeof(rel->applied) / sizeof(rel->applied[0]); i++)
		rel->applied[i] = NULL;
}

/* What the transaction that is open has moved nobody else sees yet, so nobody can be asked. */
static enum err keep_joined(
	struct apply *a, struct relation *rel, const struct renaming *r, struct error *e)
{
	struct replicate_snapshot s;

	arena_reset(&rel->cut_mem);
	TRY(replicate_snapshot(a->r->w, r->schema, r->name, &rel->cut_mem, &s, e));
	rel->cut = s.cut;
	rel->copy = NULL;
	rel->generation = snapshot_generation(a->r->snapshots);
	rel->joined = true;
	return OK;
}

static enum err move(struct apply *a, struct relation *rel, struct renaming *r, struct arena *mem,
	struct error *e)
{
	struct buf sql;

	TRY(write_rows(a, e));
	/* The stream tells of it by itself. */
	if (!a->tx.open)
		TRY(apply_keep_answer(a, rel->said, ANSWER_NAME, STR_NONE, STR_NONE, e));
	if (a->part != NULL && a->r->replay == NULL)
		TRY(keep_joined(a, rel, r, e));
	buf_init(&sql, BUF_MAX_DEFAULT);
	rename_sql(r, mem, &sql);
	enum err rc = apply_script(a, buf_str(&sql), e);
	buf_free(&sql);
	if (rc == OK)
		rc = apply_ensure_table(a, r->shape, e);
	if (rc == OK)
		rc = apply_record_change(a, rel->said,
			arena_fmt(mem, "table renamed from %.*s.%.*s", STR_ARG(r->schema),
				STR_ARG(r->name)),
			e);
	if (rc == OK)
		forget_live(rel);
	return rc;
}

enum err apply_rename(struct apply *a, struct relation *rel, struct error *e)
{
	struct arena mem = {0};
	struct renaming r;
	struct table *t = table_copy(rel->said, &mem);

	t->relid = rel->relid;
	enum err rc = rename_find(a->r->w, t, &mem, &r, e);
	if (rc == OK && r.found)
		rc = move(a, rel, &r, &mem, e);
	if (rc != OK)
		error_wrap(e, "giving the table %.*s.%.*s its new name in the warehouse",
			STR_ARG(t->schema), STR_ARG(t->name));
	arena_free(&mem);
	return rc;
}
