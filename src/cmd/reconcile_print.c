#include "reconcile_print.h"

#include <stdio.h>

#include "print_table.h"

static void print_counts(struct context *c, const struct reconcile_report *r)
{
	static const struct print_column columns[] = {{"table", false}, {"source rows", true},
		{"replica rows", true}, {"missing", true}, {"extra", true}, {"different", true},
		{"seconds", true}};
	struct print_table *t = print_table_new(c->out, print_colour(c->terminal), columns, 7);

	for (size_t i = 0; i < r->ntables; i++) {
		const struct reconcile_table *x = &r->tables[i];
		const uint64_t numbers[] = {x->source.rows, x->replica.rows, x->count[ROW_MISSING],
			x->count[ROW_EXTRA], x->count[ROW_DIFFERENT]};
		struct str cells[7] = {x->name};
		for (size_t k = 0; k < 5; k++)
			cells[1 + k] = arena_fmt(c->mem, "%llu", (unsigned long long)numbers[k]);
		cells[6] = arena_fmt(c->mem, "%.3f", x->seconds);
		print_table_row(t, cells);
	}
	print_table_end(t);
}

static struct str join_columns(struct context *c, const struct reconcile_key *k)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < k->ncolumns; i++)
		buf_putf(&b, "%s%.*s", i > 0 ? ", " : "", STR_ARG(k->columns[i]));
	struct str s = arena_str(c->mem, buf_str(&b));
	buf_free(&b);
	return s;
}

static void print_keys(struct context *c, const struct reconcile_report *r)
{
	static const struct print_column columns[] = {{"table", false}, {"difference", false},
		{"key", false}, {"columns", false}, {"blame", false}};
	struct print_table *t = NULL;

	for (size_t i = 0; i < r->ntables; i++)
		for (size_t k = 0; k < r->tables[i].nkeys; k++) {
			const struct reconcile_key *key = &r->tables[i].keys[k];
			if (t == NULL) {
				fputc('\n', c->out);
				t = print_table_new(c->out, print_colour(c->terminal), columns, 5);
			}
			const char *kind = key->in_history
				? arena_fmt(c->mem, "%s in history", difference_name(key->kind)).p
				: difference_name(key->kind);
			const struct str cells[] = {r->tables[i].name, str_of(kind), key->key,
				join_columns(c, key), str_of(blame_name(key->blame))};
			print_table_row(t, cells);
		}
	print_table_end(t);
}

size_t reconcile_tables_that_differ(const struct reconcile_report *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->ntables; i++)
		for (int d = 0; d < DIFFERENCES; d++)
			if (r->tables[i].count[d] > 0 || r->tables[i].history.count[d] > 0) {
				n++;
				break;
			}
	return n;
}

/* Where keys were left out of the list, or of the question, the reader is told. */
static void print_blamed(struct context *c, const struct reconcile_table *t)
{
	uint64_t differ = 0;
	bool first = true;

	for (int d = 0; d < DIFFERENCES; d++)
		differ += t->count[d];
	if (t->blamed.keys <= t->nkeys)
		return;
	fprintf(c->out, "\n%.*s: %zu keys are listed. To blame:", STR_ARG(t->name), t->nkeys);
	for (int b = 0; b < BLAMES; b++) {
		if (t->blamed.by[b] == 0)
			continue;
		fprintf(c->out, "%s %s %llu", first ? "" : ",", blame_name((enum blame)b),
			(unsigned long long)t->blamed.by[b]);
		first = false;
	}
	fprintf(c->out, " (%llu keys were looked at, %llu rows differ).\n",
		(unsigned long long)t->blamed.keys, (unsigned long long)differ);
}

static void print_keyless(struct context *c, const struct reconcile_report *r)
{
	for (size_t i = 0; i < r->ntables; i++)
		if (r->tables[i].history.keyless)
			fprintf(c->out,
				"\nThe history of %.*s was not compared: its rows have no key of "
				"their own.\n",
				STR_ARG(r->tables[i].name));
}

/* What a reader should know of how it went. */
static void print_course(struct context *c, const struct reconcile_report *r)
{
	char first[LSN_TEXT], last[LSN_TEXT];

	if (r->cuts > 1)
		fprintf(c->out, "\n%u cuts, from %s to %s", r->cuts, lsn_format(r->cut.at, first),
			lsn_format(r->last_cut, last));
	if (r->cuts > 1 && r->resumed > 0)
		fprintf(c->out, "; %u range%s compared by an earlier run that was broken off",
			r->resumed, r->resumed == 1 ? "" : "s");
	if (r->cuts > 1)
		fputs(".\n", c->out);
	if (r->pauses.us > 0)
		fprintf(c->out,
			"\nWaited %.1f s for the source: %u time%s for lag, %u for sessions, "
			"%u for a long transaction.\n",
			(double)r->pauses.us / 1e6, r->pauses.lag, r->pauses.lag == 1 ? "" : "s",
			r->pauses.sessions, r->pauses.transactions);
}

void reconcile_print(struct context *c, const struct reconcile_report *r)
{
	char at[LSN_TEXT];
	uint64_t rows = 0, changed = 0;

	for (size_t i = 0; i < r->ntables; i++) {
		rows += r->tables[i].source.rows;
		changed += r->tables[i].changed;
	}
	print_counts(c, r);
	print_keys(c, r);
	for (size_t i = 0; i < r->ntables; i++)
		print_blamed(c, &r->tables[i]);
	print_keyless(c, r);
	print_course(c, r);
	if (!r->ok)
		fprintf(c->out, "\nDifferent at %s: %zu of %zu table%s.\n",
			lsn_format(r->cut.at, at), reconcile_tables_that_differ(r), r->ntables,
			r->ntables == 1 ? "" : "s");
	else if (r->sample > 0)
		fprintf(c->out,
			"\nNo difference in a sample at %s: %llu rows of %zu table%s. The "
			"rest is not known.\n",
			lsn_format(r->cut.at, at), (unsigned long long)rows, r->ntables,
			r->ntables == 1 ? "" : "s");
	else if (r->mode == RECONCILE_CHANGED)
		fprintf(c->out,
			"\nNo difference in what has changed, at %s: %llu rows of %zu "
			"table%s, of which %llu changed since the last check.\n",
			lsn_format(r->last_cut, at), (unsigned long long)rows, r->ntables,
			r->ntables == 1 ? "" : "s", (unsigned long long)changed);
	else
		fprintf(c->out, "\nEqual at %s: %llu rows of %zu table%s, every value.\n",
			lsn_format(r->cut.at, at), (unsigned long long)rows, r->ntables,
			r->ntables == 1 ? "" : "s");
	fflush(c->out);
}

void counts_print(struct context *c, const struct counts_report *r)
{
	static const struct print_column columns[] = {{"table", false}, {"day", false},
		{"source rows", true}, {"target rows", true}, {"difference", true}};
	struct print_table *t = print_table_new(c->out, print_colour(c->terminal), columns, 5);
	char at[LSN_TEXT];

	for (size_t i = 0; i < r->nlines; i++) {
		const struct counts_line *l = &r->lines[i];
		const struct str cells[] = {r->tables[l->table],
			l->day.p != NULL ? l->day : STR("all"),
			arena_fmt(c->mem, "%lld", (long long)l->source),
			arena_fmt(c->mem, "%lld", (long long)l->replica),
			arena_fmt(c->mem, "%lld", (long long)(l->replica - l->source))};
		print_table_row(t, cells);
	}
	print_table_end(t);
	fprintf(c->out, "\n%s at %s.\n", r->ok ? "Equal counts" : "Different counts",
		lsn_format(r->cut.at, at));
	fflush(c->out);
}
