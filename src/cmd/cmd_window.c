/* sluice window list, record, verify, replay: stretches of the journal that can be played again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd_all.h"
#include "print_table.h"
#include "window.h"
#include "window_parts.h"
#include "window_ship.h"

struct window_args {
	const char *name;
	const char *from, *to;
	int64_t threads, batch_rows;
	bool at_speed, keep, store;
};

static const struct opt_arg window_positional[] = {
	{.name = "NAME",
		.offset = offsetof(struct window_args, name),
		.help = "the window; with a '/' in it, the path of its directory"},
	OPT_ARG_END,
};

static const struct opt no_opts[] = {OPT_END};

static const struct opt list_opts[] = {
	{.name = "store",
		.type = OPT_FLAG,
		.offset = offsetof(struct window_args, store),
		.help = "those in the object store, not those here"},
	OPT_END,
};

static const struct opt record_opts[] = {
	{.name = "from",
		.type = OPT_STRING,
		.value = "LSN",
		.offset = offsetof(struct window_args, from),
		.help = "where the window begins; default where the journal does"},
	{.name = "to",
		.type = OPT_STRING,
		.value = "LSN",
		.offset = offsetof(struct window_args, to),
		.help = "where it ends; default what the warehouse has applied"},
	{.name = "name",
		.type = OPT_STRING,
		.value = "NAME",
		.offset = offsetof(struct window_args, name),
		.help = "what to call it; default the time, as 20170301-123456"},
	{.name = "store",
		.type = OPT_FLAG,
		.offset = offsetof(struct window_args, store),
		.help = "put it into the object store too, as `sluice window push` does"},
	OPT_END,
};

static const struct opt replay_opts[] = {
	{.name = "threads",
		.type = OPT_INT,
		.value = "N",
		.min = 0,
		.max = 1024,
		.initial = "0",
		.offset = offsetof(struct window_args, threads),
		.help = "threads of the scratch warehouse; 0: [warehouse] threads"},
	{.name = "batch-rows",
		.type = OPT_INT,
		.value = "N",
		.min = 0,
		.max = UINT32_MAX / 2,
		.initial = "0",
		.offset = offsetof(struct window_args, batch_rows),
		.help = "rows of one write; 0: [replicate] batch_rows"},
	{.name = "at-speed",
		.type = OPT_FLAG,
		.offset = offsetof(struct window_args, at_speed),
		.help = "let transactions come as far apart as they were committed"},
	{.name = "keep",
		.type = OPT_FLAG,
		.offset = offsetof(struct window_args, keep),
		.help = "leave the scratch warehouse, and say where it is"},
	OPT_END,
};

/* ---- where windows are ---- */

/* Beside the journal. */
const char *window_parts_dir(struct context *c)
{
	struct str journal = str_of(c->set->replicate.journal);

	while (journal.n > 1 && journal.p[journal.n - 1] == '/')
		journal.n--;
	while (journal.n > 0 && journal.p[journal.n - 1] != '/')
		journal.n--;
	return arena_fmt(c->mem, "%.*swindows", STR_ARG(journal)).p;
}

static enum err window_dir(struct context *c, const char *name, const char **out, struct error *e)
{
	*out = name;
	if (strchr(name, '/') != NULL)
		return OK;
	if (name[0] == '\0' || name[0] == '.')
		return FAIL(e, ERR_USAGE,
			"\"%s\" is no window's name; see: sluice window list, or give the path of "
			"its directory, as ./%s",
			name, name);
	*out = arena_fmt(c->mem, "%s/%s", window_parts_dir(c), name).p;
	return OK;
}

/* ---- printing ---- */

void window_parts_head(struct json_out *j, struct buf *b)
{
	buf_init(b, BUF_MAX_DEFAULT);
	jo_init(j, b);
	jo_object(j, NULL);
}

void window_parts_emit(struct context *c, struct json_out *j, struct buf *b)
{
	jo_end_object(j);
	context_emit(c, b);
	buf_free(b);
}

static void put_stretch(struct json_out *j, const struct window_info *w)
{
	char text[LSN_TEXT];

	jo_cstr(j, "from", lsn_format(w->from, text));
	jo_cstr(j, "to", lsn_format(w->to, text));
}

void window_parts_info(struct json_out *j, const struct window_info *w)
{
	char when[CLOCK_TEXT];

	put_stretch(j, w);
	jo_u64(j, "transactions", w->transactions);
	jo_u64(j, "changes", w->changes);
	jo_u64(j, "tables", w->ntables);
	jo_u64(j, "bytes", w->bytes);
	jo_cstr(j, "recorded_at", clock_format(w->recorded_us, when, sizeof when));
	jo_cstr(j, "start_digest", w->start_digest);
	jo_cstr(j, "digest", w->end_digest);
}

/* ---- list ---- */

struct listing {
	struct context *c;
	struct print_table *table;
	size_t n;
};

static void list_json(
	struct context *c, const char *name, const struct window_info *w, const struct error *why)
{
	struct json_out j;
	struct buf b;

	window_parts_head(&j, &b);
	jo_cstr(&j, "window", name);
	if (w != NULL)
		window_parts_info(&j, w);
	else
		jo_cstr(&j, "problem", why->text);
	window_parts_emit(c, &j, &b);
}

static enum err list_one(void *arg, const char *name, const struct window_info *w,
	const struct error *why, struct error *e)
{
	static const struct print_column columns[] = {{"window", false}, {"recorded", false},
		{"from", false}, {"to", false}, {"tables", true}, {"changes", true},
		{"bytes", true}};
	struct listing *l = arg;
	struct context *c = l->c;
	char from[LSN_TEXT], to[LSN_TEXT], when[CLOCK_TEXT] = "";

	(void)e;
	l->n++;
	if (c->json) {
		list_json(c, name, w, why);
		return OK;
	}
	if (w == NULL) {
		fprintf(c->err, "%s cannot be read: %s\n", name, why->text);
		return OK;
	}
	if (l->table == NULL)
		l->table = print_table_new(c->out, print_colour(c->terminal), columns, 7);
	clock_format(w->recorded_us, when, sizeof when);
	when[19] = '\0';
	const struct str cells[] = {str_of(name), str_of(when), str_of(lsn_format(w->from, from)),
		str_of(lsn_format(w->to, to)), arena_fmt(c->mem, "%zu", w->ntables),
		arena_fmt(c->mem, "%" PRIu64, w->changes), arena_fmt(c->mem, "%" PRIu64, w->bytes)};
	print_table_row(l->table, cells);
	return OK;
}

static enum err run_list(struct context *c, const void *args, struct error *e)
{
	const struct window_args *a = args;
	struct listing l = {.c = c};
	struct store *store = NULL;

	if (a->store)
		TRY(context_store(c, &store, e));
	enum err rc = a->store ? window_list_store(store, list_one, &l, e)
			       : window_list(window_parts_dir(c), list_one, &l, e);
	print_table_end(l.table);
	if (rc == OK && l.n == 0)
		fprintf(c->err, "no window is %s\n",
			a->store ? "in the store yet; run: sluice window push"
				 : "recorded yet; run: sluice window record");
	fflush(c->out);
	return rc;
}

/* ---- record ---- */

static enum err parse_lsn(const char *option, const char *text, lsn *out, struct error *e)
{
	*out = LSN_NONE;
	if (text == NULL || (lsn_parse(str_of(text), out) && out->v > 0))
		return OK;
	return FAIL(e, ERR_USAGE, "--%s %s: give a position such as 16/B374D848", option, text);
}

/* "20170301-123456" */
static const char *time_name(struct context *c)
{
	char when[CLOCK_TEXT];
	const char *t = clock_format(clock_wall(c->env->clock), when, sizeof when);

	return arena_fmt(
		c->mem, "%.4s%.2s%.2s-%.2s%.2s%.2s", t, t + 5, t + 8, t + 11, t + 14, t + 17)
		.p;
}

static void say_recorded(struct context *c, const struct window_info *w)
{
	char from[LSN_TEXT], to[LSN_TEXT];
	struct json_out j;
	struct buf b;

	if (!c->json) {
		fprintf(c->out,
			"Recorded %.*s: %s to %s, %" PRIu64 " changes in %" PRIu64
			" transactions of %zu table%s, %" PRIu64 " bytes.\n",
			STR_ARG(w->name), lsn_format(w->from, from), lsn_format(w->to, to),
			w->changes, w->transactions, w->ntables, w->ntables == 1 ? "" : "s",
			w->bytes);
		fflush(c->out);
		return;
	}
	window_parts_head(&j, &b);
	jo_str(&j, "window", w->name);
	window_parts_info(&j, w);
	window_parts_emit(c, &j, &b);
}

static enum err run_record(struct context *c, const void *args, struct error *e)
{
	const struct window_args *a = args;
	struct window_record_options o = {.windows = window_parts_dir(c),
		.journal = c->set->replicate.journal,
		.name = a->name != NULL ? a->name : time_name(c),
		.segment_size = c->set->replicate.segment_size};
	struct window_info w;
	struct warehouse *warehouse;

	TRY(parse_lsn("from", a->from, &o.from, e));
	TRY(parse_lsn("to", a->to, &o.to, e));
	TRY(context_warehouse(c, &warehouse, e));
	TRY(window_record(&o, warehouse, c->env, &w, e));
	say_recorded(c, &w);
	window_info_free(&w);
	return a->store ? window_parts_push(c, o.name, true, e) : OK;
}

/* ---- verify ---- */

static void say_refused(struct context *c, const char *name, const struct error *why)
{
	struct json_out j;
	struct buf b;

	if (!c->json)
		return;
	window_parts_head(&j, &b);
	jo_cstr(&j, "window", name);
	jo_bool(&j, "ok", false);
	jo_cstr(&j, "detail", why->text);
	window_parts_emit(c, &j, &b);
}

static void say_verified(struct context *c, const char *name, const struct window_info *w)
{
	struct json_out j;
	struct buf b;

	if (!c->json) {
		fprintf(c->out,
			"Sound: %" PRIu64 " transactions with %" PRIu64
			" changes, %zu files with %" PRIu64 " bytes, every checksum.\n",
			w->transactions, w->changes, w->nfiles + 1, w->bytes);
		fflush(c->out);
		return;
	}
	window_parts_head(&j, &b);
	jo_cstr(&j, "window", name);
	jo_bool(&j, "ok", true);
	window_parts_info(&j, w);
	window_parts_emit(c, &j, &b);
}

static enum err run_verify(struct context *c, const void *args, struct error *e)
{
	const struct window_args *a = args;
	struct window_info w;
	const char *dir;

	TRY(window_dir(c, a->name, &dir, e));
	enum err rc = window_verify(dir, c->env, &w, e);
	if (rc == ERR_CHECK)
		say_refused(c, a->name, e);
	if (rc == OK)
		say_verified(c, a->name, &w);
	window_info_free(&w);
	return rc;
}

/* ---- replay ---- */

static bool table_differs(const struct window_replayed *r, size_t i)
{
	return r->tables[i].rows != r->window.tables[i].end.rows ||
		strcmp(r->tables[i].digest, r->window.tables[i].end.digest) != 0;
}

static void put_differing(struct json_out *j, struct context *c, const struct window_replayed *r)
{
	jo_array(j, "different");
	for (size_t i = 0; i < r->window.ntables; i++) {
		const struct window_table *t = &r->window.tables[i];
		if (!table_differs(r, i))
			continue;
		jo_object(j, NULL);
		jo_str(j, "table",
			arena_fmt(c->mem, "%.*s.%.*s", STR_ARG(t->schema), STR_ARG(t->name)));
		jo_u64(j, "rows", r->tables[i].rows);
		jo_u64(j, "expected_rows", t->end.rows);
		jo_cstr(j, "digest", r->tables[i].digest);
		jo_cstr(j, "expected_digest", t->end.digest);
		jo_end_object(j);
	}
	jo_end_array(j);
}

static void replayed_json(
	struct context *c, const struct window_args *a, const struct window_replayed *r)
{
	struct json_out j;
	struct buf b;

	window_parts_head(&j, &b);
	jo_bool(&j, "ok", r->ok);
	put_stretch(&j, &r->window);
	jo_u64(&j, "changes", r->window.changes);
	jo_cstr(&j, "digest", r->digest);
	jo_cstr(&j, "expected_digest", r->window.end_digest);
	jo_cstr(&j, "window", a->name);
	jo_bool(&j, "resumed", r->resumed);
	jo_fixed(&j, "seconds", r->seconds, 3);
	if (!r->ok)
		put_differing(&j, c, r);
	if (a->keep)
		jo_cstr(&j, "scratch", r->scratch);
	window_parts_emit(c, &j, &b);
}

static void replayed_text(
	struct context *c, const struct window_args *a, const struct window_replayed *r)
{
	char to[LSN_TEXT];

	fprintf(c->out, "%s at %s: %" PRIu64 " changes replayed in %.1f s%s.\n",
		r->ok ? "Equal" : "Different", lsn_format(r->window.to, to), r->window.changes,
		r->seconds, r->resumed ? ", going on where a replay was cut short" : "");
	for (size_t i = 0; i < r->window.ntables; i++)
		if (table_differs(r, i))
			fprintf(c->out,
				"%.*s.%.*s: %" PRIu64 " rows, digest %s; recorded %" PRIu64
				", %s\n",
				STR_ARG(r->window.tables[i].schema),
				STR_ARG(r->window.tables[i].name), r->tables[i].rows,
				r->tables[i].digest, r->window.tables[i].end.rows,
				r->window.tables[i].end.digest);
	if (a->keep)
		fprintf(c->out, "The scratch warehouse is %s\n", r->scratch);
	fflush(c->out);
}

static enum err run_replay(struct context *c, const void *args, struct error *e)
{
	const struct window_args *a = args;
	const struct settings *s = c->set;
	struct window_replay_options o = {
		.threads = a->threads > 0 ? a->threads : s->warehouse.threads,
		.memory_limit = s->warehouse.memory_limit,
		.batch_rows = a->batch_rows > 0 ? a->batch_rows : s->replicate.batch_rows,
		.flush_interval_us = s->replicate.flush_interval,
		.at_speed = a->at_speed,
		.keep = a->keep};
	struct window_replayed r;

	TRY(window_dir(c, a->name, &o.dir, e));
	enum err rc = window_replay(&o, c->env, &r, e);
	if (rc != OK)
		return rc;
	if (c->json)
		replayed_json(c, a, &r);
	else
		replayed_text(c, a, &r);
	if (!r.ok)
		rc = FAIL(e, ERR_CHECK,
			"replaying the window %s gave other rows than the warehouse had at its end: "
			"run sluice reconcile, which tells the keys and who is to blame",
			a->name);
	window_replayed_free(&r);
	return rc;
}

const struct command cmd_window_list = {
	.name = "window list",
	.summary = "the windows that were recorded",
	.details = "Windows are directories beside the journal, in windows/. They are plain files "
		   "and can be copied anywhere; `sluice window push` puts one into the object "
		   "store.",
	.examples = "sluice window list\n"
		    "sluice window list --store   # what another machine can fetch\n",
	.opts = list_opts,
	.args_size = sizeof(struct window_args),
	.run = run_list,
};

const struct command cmd_window_record = {
	.name = "window record",
	.summary = "keep a stretch of the journal with the state that it starts from",
	.details =
		"Copies every transaction that commits between two positions, whole and as "
		"PostgreSQL sent it, the rows that each table had before them, and the digest that "
		"each table has in the warehouse after them. Replication goes on meanwhile.\n\n"
		"A position lies between transactions in the order of their commits. The window is "
		"there whole or not at all.",
	.examples = "sluice window record                          # all that the journal holds\n"
		    "sluice window record --name before-upgrade    # under a name\n"
		    "sluice window record --from 0/1A2B3C8         # from a position on\n"
		    "sluice window record --name may --store       # for another machine\n",
	.opts = record_opts,
	.args_size = sizeof(struct window_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_record,
};

const struct command cmd_window_verify = {
	.name = "window verify",
	.summary = "check a window's chain, lengths, counts and digests",
	.details =
		"Refuses, with the file and the byte, a window in which a bit has flipped, a "
		"message is missing, doubled or out of order, a file was changed, added or taken "
		"away, or the rows are not those that were recorded.\n\n"
		"Exit 0: sound. 3: not.",
	.examples = "sluice window verify before-upgrade       # one of ours\n"
		    "sluice window verify /media/windows/may   # one from elsewhere\n",
	.opts = no_opts,
	.positional = window_positional,
	.args_size = sizeof(struct window_args),
	.run = run_verify,
};

const struct command cmd_window_replay = {
	.name = "window replay",
	.summary = "apply a window to a scratch warehouse and compare",
	.details =
		"Verifies the window, loads its starting state into a scratch DuckDB file beside "
		"it, applies the messages by the code that applies the live stream, and compares "
		"each table with the digest that the warehouse had at the window's end. The digest "
		"is the same whatever the batch size and the number of threads. A replay that was "
		"cut short goes on where it stood when it is started again.\n\n"
		"Neither the source nor the warehouse is needed.\n\n"
		"Exit 0: the same. 3: not, after the report.",
	.examples = "sluice window replay before-upgrade              # as fast as it goes\n"
		    "sluice window replay before-upgrade --at-speed   # a rehearsal, in real time\n"
		    "sluice window replay before-upgrade --keep       # and look at the result\n",
	.opts = replay_opts,
	.positional = window_positional,
	.args_size = sizeof(struct window_args),
	.run = run_replay,
};
