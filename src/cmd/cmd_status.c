/* sluice status: lag, slot, journal, tables, the last reconciliation, gates, errors. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd_all.h"
#include "json.h"
#include "print_table.h"
#include "status_json.h"

#define STATUS_MAX ((size_t)64 << 20)

/* The page is printed from the object, so that both say the same. */

/* A part may be null because there is none yet, or because it could not be read. */
static bool could_not_read(const json_t *errors, const char *name)
{
	size_t i, n = strlen(name);
	json_t *text;

	json_array_foreach (errors, i, text) {
		const char *t = json_string_value(text);
		if (strncmp(t, "warehouse:", 10) == 0 || strncmp(t, "source:", 7) == 0 ||
			(strncmp(t, name, n) == 0 && t[n] == ':'))
			return true;
	}
	return false;
}

static void print_part(struct context *c, const char *name, const json_t *status,
	void (*print)(struct context *c, const json_t *part))
{
	const json_t *part = json_object_get(status, name);
	bool bold = print_colour(c->terminal);

	fprintf(c->out, "%s%-16s%s", bold ? "\033[1m" : "", name, bold ? "\033[0m" : "");
	if (part == NULL || json_is_null(part))
		fputs(could_not_read(json_object_get(status, "errors"), name) ? "not known"
				: strcmp(name, "replication") == 0
				? "does not run in the process that answers"
				: "none yet",
			c->out);
	else
		print(c, part);
	fputc('\n', c->out);
}

static const char *text_of(const json_t *o, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(o, key));
	return text != NULL ? text : otherwise;
}

static long long whole(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static bool is_known(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return v != NULL && !json_is_null(v);
}

static void print_bytes(struct context *c, long long n)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
	double v = (double)n;
	size_t unit = 0;

	for (; v >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		v /= 1024;
	fprintf(c->out, unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
}

static void print_source(struct context *c, const json_t *p)
{
	long long v = whole(p, "server_version");

	if (!json_is_true(json_object_get(p, "reachable")))
		fputs("not reachable", c->out);
	else
		fprintf(c->out, "PostgreSQL %lld.%lld at %s", v / 10000, v % 10000,
			text_of(p, "lsn", "an unknown position"));
}

static void print_slot(struct context *c, const json_t *p)
{
	fputs(text_of(p, "name", ""), c->out);
	if (!json_is_true(json_object_get(p, "exists"))) {
		fputs(" does not exist; `sluice init` makes it", c->out);
		return;
	}
	fprintf(c->out, " is %s, confirmed to %s, retains ",
		json_is_true(json_object_get(p, "active")) ? "being read" : "idle",
		text_of(p, "confirmed_lsn", "nothing"));
	print_bytes(c, whole(p, "retained_bytes"));
	fprintf(c->out, " (%s)", text_of(p, "wal_status", "status unknown"));
}

static void print_position(struct context *c, const json_t *p)
{
	fputs(text_of(p, "lsn", "none"), c->out);
	if (!is_known(p, "lag_bytes")) {
		fputs(", lag not known", c->out);
		return;
	}
	if (whole(p, "lag_bytes") == 0) {
		fputs(", up to date", c->out);
		return;
	}
	fputs(", behind by ", c->out);
	print_bytes(c, whole(p, "lag_bytes"));
	if (is_known(p, "lag_seconds"))
		fprintf(c->out, " and %.1f s",
			json_number_value(json_object_get(p, "lag_seconds")));
}

static void print_replication(struct context *c, const json_t *p)
{
	bool stalled = json_is_true(json_object_get(p, "stalled"));

	fprintf(c->out, "%s%s%s", text_of(p, "state", "not known"), stalled ? ": " : "",
		stalled ? text_of(p, "stall", "") : "");
}

static void print_dead_letters(struct context *c, const json_t *p)
{
	if (whole(p, "waiting") == 0)
		fputs("none", c->out);
	else
		fprintf(c->out,
			"%lld wait; the newest, of %s: %s; `sluice table retry` tries them "
			"again",
			whole(p, "waiting"), text_of(p, "table", "?"), text_of(p, "reason", "?"));
}

static void print_journal(struct context *c, const json_t *p)
{
	fprintf(c->out, "%s, ", text_of(p, "dir", ""));
	print_bytes(c, whole(p, "bytes"));
	fprintf(c->out, " in %lld segments", whole(p, "segments"));
}

static void print_reconciliation(struct context *c, const json_t *p)
{
	fprintf(c->out, "%s at %s, %s",
		json_is_true(json_object_get(p, "ok")) ? "equal" : "DIFFERENT",
		text_of(p, "lsn", "?"), text_of(p, "finished_at", "?"));
}

static void print_models(struct context *c, const json_t *p)
{
	size_t i;
	json_t *m;

	if (json_array_size(p) == 0)
		fputs("none", c->out);
	json_array_foreach (p, i, m) {
		fprintf(c->out, "%s%s: %lld versions", i > 0 ? "; " : "", text_of(m, "model", ""),
			whole(m, "versions"));
		if (is_known(m, "default"))
			fprintf(c->out, ", default %lld", whole(m, "default"));
	}
}

static void print_workflows(struct context *c, const json_t *p)
{
	size_t i;
	json_t *w;

	if (json_array_size(p) == 0)
		fputs("none", c->out);
	json_array_foreach (p, i, w) {
		fprintf(c->out, "%s%s: gate %s, ", i > 0 ? "; " : "", text_of(w, "workflow", ""),
			text_of(w, "gate", "not known"));
		if (is_known(w, "live_version"))
			fprintf(c->out, "version %lld live", whole(w, "live_version"));
		else
			fputs("no version live", c->out);
	}
}

/* How its copy stands, or that it is held back. */
static struct str state_of(struct context *c, const json_t *table)
{
	const json_t *held = json_object_get(table, "held");

	if (!json_is_object(held))
		return str_of(text_of(table, "snapshot", "-"));
	if (!is_known(held, "journal_bytes"))
		return arena_fmt(c->mem, "%s, not in the journal", text_of(held, "state", ""));
	return arena_fmt(c->mem, "%s from %s, %lld bytes of journal", text_of(held, "state", ""),
		text_of(held, "lsn", "?"), whole(held, "journal_bytes"));
}

static void print_tables(struct context *c, const json_t *p)
{
	static const struct print_column columns[] = {
		{"table", false}, {"rows", true}, {"snapshot", false}, {"last change", false}};
	struct print_table *t = print_table_new(c->out, print_colour(c->terminal), columns, 4);
	size_t i;
	json_t *o;

	json_array_foreach (p, i, o) {
		struct str rows = is_known(o, "rows") ? arena_fmt(c->mem, "%lld", whole(o, "rows"))
						      : STR("?");
		const struct str cells[] = {str_of(text_of(o, "table", "")), rows, state_of(c, o),
			str_of(text_of(o, "last_change", "-"))};
		print_table_row(t, cells);
	}
	print_table_end(t);
}

/* The newest few; --json has more. */
static void print_changes(struct context *c, const json_t *changes)
{
	size_t i;
	json_t *o;

	json_array_foreach (changes, i, o) {
		if (i == 5)
			break;
		fprintf(c->out, "%s  %s  %s: %s\n", i == 0 ? "\nlast changes of tables\n" : "",
			text_of(o, "at", ""), text_of(o, "table", ""), text_of(o, "change", ""));
	}
}

static void print_errors(struct context *c, const json_t *errors)
{
	size_t i;
	json_t *text;

	json_array_foreach (errors, i, text) {
		fprintf(c->out, "%s  %s\n", i == 0 ? "\nnot known, because\n" : "",
			json_string_value(text));
	}
}

static void print_page(struct context *c, const json_t *o)
{
	static const struct {
		const char *name;
		void (*print)(struct context *c, const json_t *part);
	} parts[] = {
		{"source", print_source},
		{"slot", print_slot},
		{"position", print_position},
		{"replication", print_replication},
		{"journal", print_journal},
		{"dead_letters", print_dead_letters},
		{"reconciliation", print_reconciliation},
		{"models", print_models},
		{"workflows", print_workflows},
	};
	const json_t *tables = json_object_get(o, "tables");
	const json_t *changes = json_object_get(o, "schema_changes");

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		print_part(c, parts[i].name, o, parts[i].print);
	if (is_known(o, "last_error"))
		fprintf(c->out, "%-16s%s\n", "last error", text_of(o, "last_error", ""));
	if (json_array_size(tables) > 0) {
		fputc('\n', c->out);
		print_tables(c, tables);
	}
	print_changes(c, changes);
	print_errors(c, json_object_get(o, "errors"));
	fflush(c->out);
}

static enum err show(struct context *c, struct buf *json, struct error *e)
{
	json_t *o = NULL;

	TRY(status_json(c, json, e));
	if (c->json) {
		context_emit(c, json);
		return OK;
	}
	TRY(json_read(buf_str(json), "the status", &o, e));
	print_page(c, o);
	json_decref(o);
	return OK;
}

static enum err run_status(struct context *c, const void *args, struct error *e)
{
	struct buf json;

	(void)args;
	buf_init(&json, STATUS_MAX);
	enum err rc = show(c, &json, e);
	buf_free(&json);
	return rc;
}

const struct command cmd_status = {
	.name = "status",
	.summary = "lag, slot, journal, tables, the last reconciliation, gates",
	.details =
		"Shows where everything stands. What cannot be read is not known (null in JSON), "
		"with the reason under `errors`; the command itself then still exits with 0.\n\n"
		"The lag in seconds is the age of the oldest change that is not in the warehouse "
		"yet, or, "
		"where replication runs elsewhere, of the last commit that is; 0 once the "
		"position has reached everything the source has flushed.",
	.examples = "sluice status          # a page\n"
		    "sluice status --json   # one object",
	.needs = WANTS_WAREHOUSE,
	.run = run_status,
};
