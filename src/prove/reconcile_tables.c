#include "nearest.h"
#include "reconcile_run.h"

enum err comparing_connect(struct comparing *c, struct pg **out, struct error *e)
{
	const struct pg_options o = {.conninfo = c->o->conninfo,
		.password = c->o->password,
		.token = c->o->token,
		.application = "sluice reconcile",
		.guard = c->o->guard};
	return pg_open(out, &o, c->env, e);
}

static enum err unknown_table(
	const struct comparing *c, const struct pg_tables *all, struct str want, struct error *e)
{
	struct arena mem = {0};
	struct nearest full = nearest_to(want), bare = nearest_to(want);
	char hint[NEAREST_HINT];

	for (size_t i = 0; i < all->n; i++) {
		nearest_try(&full, arena_cstr(&mem, table_full_name(all->tables[i], &mem)));
		nearest_try(&bare, arena_cstr(&mem, all->tables[i]->name));
	}
	enum err rc = FAIL(e, ERR_USAGE,
		"comparing the table \"%.*s\": the publication %s has no table of that name%s; "
		"name one of its %zu as SCHEMA.NAME",
		STR_ARG(want), c->o->publication,
		nearest_hint(nearest_is_near(&full) ? &full : &bare, hint), all->n);
	arena_free(&mem);
	return rc;
}

/* The one table that was asked for, by its full name or by a name only one schema has. */
static enum err choose_table(const struct comparing *c, struct pg_tables *all, struct error *e)
{
	struct str want = str_of(c->o->table);
	struct arena mem = {0};
	struct table *full = NULL, *bare = NULL;
	size_t nbare = 0;

	for (size_t i = 0; i < all->n; i++) {
		if (str_eq(table_full_name(all->tables[i], &mem), want))
			full = all->tables[i];
		if (str_eq(all->tables[i]->name, want)) {
			bare = all->tables[i];
			nbare++;
		}
	}
	arena_free(&mem);
	struct table *found = full != NULL ? full : nbare == 1 ? bare : NULL;
	if (nbare > 1 && found == NULL)
		return FAIL(e, ERR_USAGE,
			"comparing the table \"%.*s\": %zu schemas have a table of that name; name "
			"it as SCHEMA.NAME",
			STR_ARG(want), nbare);
	if (found == NULL)
		return unknown_table(c, all, want, e);
	all->tables[0] = found;
	all->n = 1;
	return OK;
}

enum err comparing_tables(
	struct comparing *c, struct arena *mem, struct pg_tables *out, struct error *e)
{
	TRY(pg_publication_tables(c->source, c->o->publication, mem, out, e));
	if (out->n == 0)
		return FAIL(e, ERR_USAGE,
			"comparing the tables of the publication %s: it has none, or does not "
			"exist; run `sluice init`, and see [source] tables",
			c->o->publication);
	return c->o->table != NULL ? choose_table(c, out, e) : OK;
}
