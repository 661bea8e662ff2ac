#include "repair_write.h"

#include <stdlib.h>

#include "failpoint.h"
#include "mem.h"

#define TRIES        40
#define POLITE_TRIES 6 /* after as many lost races the stream is made to lose one */
#define PAUSE_US     INT64_C(20000)

struct writing {
	const struct repair_writing *w;
	struct repair_plan *plan;
	struct repair_sql q;
	struct arena mem;
	uint64_t differences;
};

/* ---- staging ---- */

static struct vec staged_exact(struct writing *x)
{
	const struct repair_plan *p = x->plan;
	size_t n = p->rows->rows;
	struct vec v = {.type = {.kind = T_JSON},
		.valid = arena_array(&x->mem, n / 64 + 1, sizeof(uint64_t)),
		.data = p->exact};

	for (size_t i = 0; i < n; i++)
		if (p->exact[i].n > 0)
			v.valid[i >> 6] |= (uint64_t)1 << (i & 63);
	return v;
}

static enum err stage_rows(struct writing *x, struct error *e)
{
	const struct repair_plan *p = x->plan;
	size_t ncolumns = p->subject->table->ncolumns;
	const char **names = arena_array(&x->mem, ncolumns + 4, sizeof *names);
	struct vec *cols = arena_array(&x->mem, ncolumns + 4, sizeof *cols);

	names[0] = REPAIR_N;
	cols[0] = (struct vec){.type = {.kind = T_UINT4}, .data = p->entry};
	names[1] = REPAIR_COPY;
	cols[1] = (struct vec){.type = {.kind = T_UINT4}, .data = p->copy};
	names[2] = REPAIR_SOURCE;
	cols[2] = (struct vec){.type = {.kind = T_BOOL}, .data = p->from_source};
	for (size_t c = 0; c < ncolumns; c++) {
		names[3 + c] = p->subject->names[c];
		cols[3 + c] = p->rows->cols[c];
	}
	names[3 + ncolumns] = "_exact";
	cols[3 + ncolumns] = staged_exact(x);
	const struct chunk rows = {
		.rows = p->rows->rows, .ncols = ncolumns + 4, .names = names, .cols = cols};
	return warehouse_insert(x->w->warehouse, STR("ops"), x->q.rows, &rows, e);
}

/* ---- what stands there now ---- */

enum { MORE_N, MORE_IMAGE, MORES };

static enum err see_row(void *arg, const struct row *r, struct error *e)
{
	struct writing *x = arg;
	struct repair_entry *entry = &x->plan->entries[VEC_AT(&r->more[MORE_N], uint32_t, r->at)];

	(void)e;
	digest_add(&entry->now, r->hash);
	if (entry->nimages == entry->capimages) {
		entry->capimages = entry->capimages > 0 ? entry->capimages * 2 : 1;
		entry->images = mem_realloc_array(
			entry->images, entry->capimages, sizeof *entry->images);
	}
	entry->images[entry->nimages++] = arena_str(
		&x->plan->mem, vec_text(&r->more[MORE_IMAGE], r->at));
	return OK;
}

static enum err see_rows(struct writing *x, struct error *e)
{
	const struct sides sides = {.replica = x->w->warehouse, .env = x->w->env, .cut = x->w->cut};
	struct buf sql;

	buf_init(&sql, 8 << 20);
	buf_puts(&sql, "SELECT ");
	repair_put_columns(&sql, &x->q, "c");
	buf_puts(&sql, ", c._exact, s." REPAIR_N ", ");
	repair_put_image(&sql, &x->q, "c", true);
	buf_puts(&sql, " FROM ");
	repair_put_stage(&sql, x->q.rows);
	buf_puts(&sql, " s JOIN ");
	repair_put_current(&sql, &x->q);
	buf_puts(&sql, " c ON ");
	repair_put_match(&sql, &x->q, "s", "c");
	buf_puts(&sql, " WHERE s." REPAIR_COPY " = 0");
	enum err rc = rows_read_sql(&sides, x->plan->subject, buf_str(&sql), MORES, see_row, x, e);
	buf_free(&sql);
	return rc;
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The images as the JSON array that the guard in the transaction makes of them too. */
static struct str before_text(struct writing *x, struct repair_entry *entry)
{
	struct buf out;

	buf_init(&out, BUF_MAX_DEFAULT);
	if (entry->nimages > 0)
		qsort(entry->images, entry->nimages, sizeof *entry->images, by_text);
	buf_putc(&out, '[');
	for (uint32_t i = 0; i < entry->nimages; i++) {
		if (i > 0)
			buf_putc(&out, ',');
		buf_put(&out, entry->images[i]);
	}
	buf_putc(&out, ']');
	struct str text = arena_str(&x->plan->mem, buf_str(&out));
	buf_free(&out);
	return text;
}

/* Stages the keys whose rows are still what they were at the cut. */
static enum err stage_keys(struct writing *x, struct error *e)
{
	struct repair_plan *p = x->plan;
	static const char *const names[] = {"n", "key", "kind", "differences", "before"};
	uint32_t *n = arena_array(&x->mem, p->n + 1, sizeof *n);
	struct str *keys = arena_array(&x->mem, p->n + 1, sizeof *keys);
	struct str *kinds = arena_array(&x->mem, p->n + 1, sizeof *kinds);
	int64_t *differences = arena_array(&x->mem, p->n + 1, sizeof *differences);
	struct str *before = arena_array(&x->mem, p->n + 1, sizeof *before);
	size_t rows = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct repair_entry *entry = &p->entries[i];
		if (!digest_eq(&entry->now, &entry->replica))
			continue;
		n[rows] = (uint32_t)i;
		keys[rows] = entry->text;
		kinds[rows] = str_of(difference_name(repair_entry_kind(entry)));
		differences[rows] = (int64_t)repair_entry_differences(entry);
		before[rows++] = before_text(x, entry);
	}
	const struct vec cols[] = {{.type = {.kind = T_UINT4}, .data = n},
		{.type = {.kind = T_TEXT}, .data = keys}, {.type = {.kind = T_TEXT}, .data = kinds},
		{.type = {.kind = T_INT8}, .data = differences},
		{.type = {.kind = T_TEXT}, .data = before}};
	const struct chunk chunk = {.rows = rows, .ncols = 5, .names = names, .cols = cols};
	return warehouse_insert(x->w->warehouse, STR("ops"), x->q.keyed, &chunk, e);
}

/* ---- the transaction ---- */

enum err repair_transaction(struct warehouse *w, const struct env *env, repair_script_fn *make,
	void *arg, struct error *e)
{
	struct buf sql;
	enum err rc = ERR_UNAVAILABLE;

	buf_init(&sql, 64 << 20);
	for (unsigned n = 1; n <= TRIES && rc == ERR_UNAVAILABLE; n++) {
		if (n > 1)
			env_sleep(env, PAUSE_US * (n < 10 ? n : 10));
		if ((rc = env_check(env, e)) != OK)
			break;
		buf_reset(&sql);
		make(arg, n > POLITE_TRIES, &sql);
		rc = buf_ok(&sql)
			? warehouse_script(w, buf_str(&sql), e)
			: FAIL(e, ERR_BUG, "repairing: the SQL is larger than %zu bytes", sql.max);
	}
	buf_free(&sql);
	return rc;
}

static void make_script(void *arg, bool token_first, struct buf *out)
{
	struct writing *x = arg;
	const struct repair_writing *w = x->w;

	repair_put_script(out, &x->q, w->cut, x->plan->cut_us, w->run->id,
		clock_wall(w->env->clock), token_first);
	repair_progress_put_done(out, w->run, w->range, x->differences, true);
}

static void make_nothing(void *arg, bool token_first, struct buf *out)
{
	const struct repair_writing *w = arg;

	(void)token_first;
	repair_progress_put_done(out, w->run, w->range, 0, false);
}

/* What a repair would do now: the same guards, asked without writing. */
static enum err count_chosen(struct writing *x, int64_t *out, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 64 << 20);
	buf_puts(&sql, "SELECT CAST(coalesce(sum(differences), 0) AS BIGINT) FROM (");
	repair_put_chosen(&sql, &x->q, x->w->cut, x->plan->cut_us);
	buf_puts(&sql, ") AS chosen");
	enum err rc = warehouse_i64(x->w->warehouse, buf_str(&sql), out, e);
	buf_free(&sql);
	return rc;
}

static enum err write_staged(struct writing *x, int64_t *would, struct error *e)
{
	TRY(stage_rows(x, e));
	TRY(see_rows(x, e));
	TRY(stage_keys(x, e));
	if (x->w->dry_run)
		return count_chosen(x, would, e);
	TRY(failpoint_hit(x->w->env, "repair.before", e));
	TRY(repair_transaction(x->w->warehouse, x->w->env, make_script, x, e));
	return failpoint_hit(x->w->env, "repair.after", e);
}

static enum err run_made(
	struct writing *x, void (*make)(struct buf *, const struct repair_sql *), struct error *e)
{
	struct buf sql;

	buf_init(&sql, 8 << 20);
	make(&sql, &x->q);
	enum err rc = warehouse_script(x->w->warehouse, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

static enum err write_nothing(const struct repair_writing *w, struct error *e)
{
	struct repair_writing copy = *w;

	return w->dry_run ? OK : repair_transaction(w->warehouse, w->env, make_nothing, &copy, e);
}

enum err repair_write(const struct repair_writing *w, struct repair_plan *p,
	struct repair_table *out, struct error *e)
{
	struct writing x = {.w = w, .plan = p};
	int64_t would = 0;

	if (p == NULL)
		return write_nothing(w, e);
	for (size_t i = 0; i < p->n; i++)
		x.differences += repair_entry_differences(&p->entries[i]);
	repair_sql_of(p->subject, w->run->id, w->number, &x.mem, &x.q);
	enum err rc = run_made(&x, repair_put_stages, e);
	if (rc == OK)
		rc = write_staged(&x, &would, e);
	/* Gone with the transaction already, unless this was a dry run or it failed; then what is
	 * left is cleared by a later repair. */
	if (rc != OK || w->dry_run)
		IGNORE(run_made(&x, repair_put_unstage, NULL));
	arena_free(&x.mem);
	if (rc != OK)
		return error_wrap(e, "repairing %.*s", STR_ARG(p->subject->name));
	if (w->dry_run) {
		out->repaired += (uint64_t)would;
		out->skipped += x.differences - (uint64_t)would;
	}
	return OK;
}
