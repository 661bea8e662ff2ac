#include "window_answers.h"

#include <inttypes.h>
#include <stdio.h>

#include "file.h"
#include "marks.h"

#define LOAD_BYTES ((size_t)4 << 20)

static void answers_path(char out[WINDOW_PATH], const char *dir)
{
	snprintf(out, WINDOW_PATH, "%s/" WINDOW_ANSWERS, dir);
}

/* ---- recording ---- */

/* The rows that a copy brought are in no message. */
static enum err check_copy(const struct window_info *info, const struct answer *x, struct error *e)
{
	char at[LSN_TEXT], copied[LSN_TEXT];

	if (!str_eqc(x->kind, ANSWER_COPY) || x->at.v >= info->to.v)
		return OK;
	for (size_t i = 0; i < info->ntables; i++) {
		const struct window_table *t = &info->tables[i];
		if (t->relid != x->relid || t->copied.v <= info->from.v)
			continue;
		return FAIL(e, ERR_USAGE,
			"recording a window: the table %.*s.%.*s was copied again at %s, within "
			"it: %.*s; record with --from %s, or later",
			STR_ARG(t->schema), STR_ARG(t->name), lsn_format(x->at, at),
			STR_ARG(x->body), lsn_format(t->copied, copied));
	}
	return OK;
}

static void put_line(const struct answer *x, struct buf *out)
{
	answer_write(x, out);
	buf_putc(out, '\n');
}

/* What each table was like at the beginning: as its first change found it. */
static void put_starts(const struct answers *all, struct buf *out)
{
	for (size_t i = 0; i < all->n; i++) {
		struct answer start = all->items[i];
		bool first = start.before.n > 0;
		for (size_t k = 0; first && k < i; k++)
			first = all->items[k].relid != start.relid || all->items[k].before.n == 0;
		if (!first)
			continue;
		start.at = LSN_NONE;
		start.at_rest = false;
		start.kind = STR(ANSWER_SHAPE);
		start.said = start.before;
		start.before = start.body = STR_NONE;
		put_line(&start, out);
	}
}

enum err window_answers_write(
	const char *dir, struct warehouse *w, const struct window_info *info, struct error *e)
{
	struct arena mem = {0};
	struct answers all;
	struct buf out;
	char path[WINDOW_PATH];

	answers_path(path, dir);
	buf_init(&out, BUF_MAX_DEFAULT);
	enum err rc = answers_read(
		w, arena_fmt(&mem, "lsn_number >= %" PRIu64, info->from.v), &mem, &all, e);
	if (rc == OK)
		put_starts(&all, &out);
	for (size_t i = 0; rc == OK && i < all.n; i++)
		put_line(&all.items[i], &out);
	if (rc == OK && !buf_ok(&out))
		rc = FAIL(e, ERR_USAGE,
			"recording a window: the rows that were read again after changes of tables "
			"take more than 1 GiB; record a stretch without those changes");
	if (rc == OK && out.n > 0)
		rc = file_write_atomic(path, buf_str(&out), e);
	buf_free(&out);
	arena_free(&mem);
	return rc;
}

/* ---- asking ---- */

enum err window_answers_check(
	const struct answers *all, const struct window_info *info, struct error *e)
{
	for (size_t i = 0; i < all->n; i++)
		TRY(check_copy(info, &all->items[i], e));
	return OK;
}

static enum err take_lines(struct str text, struct arena *mem, struct answers *out, struct error *e)
{
	struct str rest = text, line;
	size_t n = 0;

	while (str_cut(&rest, '\n', &line))
		n++;
	out->items = arena_array(mem, n + 1, sizeof *out->items);
	for (rest = text; out->n < n && str_cut(&rest, '\n', &line); out->n++)
		TRY(answer_parse(line, mem, &out->items[out->n], e));
	return OK;
}

enum err window_answers_read(
	const char *dir, struct arena *mem, struct answers *out, struct error *e)
{
	char path[WINDOW_PATH];
	struct buf text;

	*out = (struct answers){.n = 0};
	answers_path(path, dir);
	if (!file_exists(path))
		return OK;
	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = file_read(path, &text, e);
	if (rc == OK)
		rc = take_lines(buf_str(&text), mem, out, e);
	buf_free(&text);
	return rc == OK ? OK : error_wrap(e, "reading %s", path);
}

static bool has_names(const struct table *t, const struct pgoutput_relation *r)
{
	if (t->ncolumns != r->n)
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (!str_eq(t->columns[i].name, r->columns[i].name))
			return false;
	return true;
}

const struct table *window_answers_shape(
	const struct answers *all, lsn at, const struct pgoutput_relation *r, struct arena *mem)
{
	for (size_t i = all->n; i-- > 0;) {
		const struct answer *x = &all->items[i];
		struct error why = {.kind = OK};
		struct table *t;

		if (x->relid == r->relid && x->said.n > 0 && lsn_cmp(x->at, at) <= 0 &&
			mark_read_shape(x->said, x->schema, x->name, mem, &t, &why) == OK &&
			has_names(t, r))
			return t;
	}
	return NULL;
}

/* ---- replaying ---- */

/* One statement for many. */
static enum err load_lines(
	struct warehouse *w, struct str *text, uint64_t *n, const char *path, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;
	struct str line;
	enum err rc = OK;

	buf_init(&sql, BUF_MAX_DEFAULT);
	while (rc == OK && sql.n < LOAD_BYTES && str_cut(text, '\n', &line)) {
		struct answer x;
		rc = answer_parse(line, &mem, &x, e);
		if (rc == OK)
			answer_sql_new(&x, ++*n, &sql);
	}
	if (rc == OK && sql.n > 0)
		rc = warehouse_script(w, buf_str(&sql), e);
	if (rc != OK)
		error_wrap(e, "loading %s", path);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

enum err window_answers_load(const char *dir, struct warehouse *w, struct error *e)
{
	char path[WINDOW_PATH];
	struct buf text;
	uint64_t n = 0;

	answers_path(path, dir);
	if (!file_exists(path))
		return OK;
	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = file_read(path, &text, e);
	struct str rest = buf_str(&text);
	while (rc == OK && rest.n > 0)
		rc = load_lines(w, &rest, &n, path, e);
	buf_free(&text);
	return rc;
}
