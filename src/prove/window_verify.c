/* Checking a window, and listing them. */
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "window_file.h"
#include "window_frames.h"
#include "window_manifest.h"
#include "window_state.h"

/* Exactly the files that the manifest names; both lists are sorted as file_list() sorts. */
static enum err check_names(const char *dir, struct window_info *w, struct error *e)
{
	struct window_file *have;
	size_t n;

	TRY(window_files(dir, &w->mem, &have, &n, e));
	for (size_t i = 0; i < n; i++) {
		bool named = false;
		for (size_t k = 0; k < w->nfiles && !named; k++)
			named = str_eq(w->files[k].path, have[i].path);
		if (!named)
			return FAIL(e, ERR_CHECK,
				"%s/%.*s: from byte 0 on no part of the window: " WINDOW_MANIFEST
				" does not name it; take it away",
				dir, STR_ARG(have[i].path));
	}
	return OK;
}

static enum err check_files(
	const char *dir, const struct env *env, const struct window_info *w, struct error *e)
{
	for (size_t i = 0; i < w->nfiles; i++) {
		TRY(env_check(env, e));
		TRY(window_file_check(dir, &w->files[i], e));
	}
	return OK;
}

static enum err check_state(
	const char *dir, const struct env *env, const struct window_table *t, struct error *e)
{
	char path[WINDOW_PATH];
	struct window_sum sum;

	snprintf(path, sizeof path, "%s/%.*s", dir, STR_ARG(t->file));
	TRY(window_state_read(path, t->table, env, NULL, NULL, &sum, e));
	if (sum.rows == t->start.rows && strcmp(sum.digest, t->start.digest) == 0)
		return OK;
	return FAIL(e, ERR_CHECK,
		"%s: damaged at byte 12 or after: its rows are not the rows of %.*s.%.*s that were "
		"recorded; restore the window from a copy, or record it anew",
		path, STR_ARG(t->schema), STR_ARG(t->name));
}

/* The totals of the first line follow from the lines of the tables. */
static enum err check_totals(const char *dir, struct window_info *w, struct error *e)
{
	struct window_sum *sums = arena_array(&w->mem, w->ntables + 1, sizeof *sums);
	char start[ENC_SHA256_TEXT], end[ENC_SHA256_TEXT];

	for (size_t i = 0; i < w->ntables; i++)
		sums[i] = w->tables[i].start;
	window_digest_all(w, sums, start);
	for (size_t i = 0; i < w->ntables; i++)
		sums[i] = w->tables[i].end;
	window_digest_all(w, sums, end);
	if (strcmp(start, w->start_digest) == 0 && strcmp(end, w->end_digest) == 0)
		return OK;
	return FAIL(e, ERR_CHECK,
		"%s/" WINDOW_MANIFEST
		": damaged at byte 0: the digests of the window are not those "
		"of its tables; restore the window from a copy, or record it anew",
		dir);
}

static enum err check_messages(
	const char *dir, const struct env *env, const struct window_info *w, struct error *e)
{
	struct arena mem = {0};
	struct answers answers;
	enum err rc = window_answers_read(dir, &mem, &answers, e);

	if (rc == ERR_INPUT && e != NULL)
		rc = e->kind = ERR_CHECK;
	if (rc == OK)
		rc = window_frames_check(dir, env, &answers, w, e);
	arena_free(&mem);
	return rc;
}

static enum err verify(
	const char *dir, const struct env *env, struct window_info *w, struct error *e)
{
	TRY(check_files(dir, env, w, e));
	TRY(check_names(dir, w, e));
	TRY(check_totals(dir, w, e));
	TRY(check_messages(dir, env, w, e));
	for (size_t i = 0; i < w->ntables; i++)
		TRY(check_state(dir, env, &w->tables[i], e));
	return OK;
}

enum err window_verify(
	const char *dir, const struct env *env, struct window_info *out, struct error *e)
{
	TRY(window_read(dir, out, e));
	enum err rc = verify(dir, env, out, e);
	if (rc != OK)
		window_info_free(out);
	return rc;
}

/* ---- listing ---- */

struct listing {
	const char *windows;
	window_list_fn *fn;
	void *arg;
};

static enum err list_name(void *arg, const char *name, struct error *e)
{
	const struct listing *l = arg;
	struct error why = {.kind = OK};
	struct window_info w;
	char dir[WINDOW_PATH];

	/* What is being recorded or replayed. */
	if (name[0] == '.')
		return OK;
	snprintf(dir, sizeof dir, "%s/%s", l->windows, name);
	enum err rc = window_read(dir, &w, &why);
	enum err said = l->fn(l->arg, name, rc == OK ? &w : NULL, &why, e);
	window_info_free(&w);
	return said;
}

enum err window_list(const char *windows, window_list_fn *fn, void *arg, struct error *e)
{
	struct listing l = {.windows = windows, .fn = fn, .arg = arg};

	return file_list(windows, list_name, &l, e);
}
