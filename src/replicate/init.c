/* What `sluice init` makes: publication, slot, the journal's identity, and the warehouse's side. */
#include "replicate.h"

#include <stdio.h>
#include <string.h>

#include "init_checks.h"
#include "journal.h"
#include "marks.h"
#include "mem.h"
#include "shape.h"
#include "source.h"

struct init {
	const struct replicate_options *o;
	struct warehouse *w;
	const struct env *env;
	struct pg *c;
	struct arena mem;
	struct journal_identity id;
	bool has_id;
	struct pg_slot slot;
	struct pg_tables matched, published;
	bool created, made_slot;
	struct str cannot; /* what the role may not do; empty: nothing was in the way */
};

void replicate_init_report_free(struct replicate_init_report *r)
{
	arena_free(&r->mem);
	*r = (struct replicate_init_report){0};
}

/* ---- publication ---- */

static void put_table(struct init *i, struct buf *sql, const struct table *t, bool first)
{
	struct str schema = pg_ident(&i->mem, t->schema), name = pg_ident(&i->mem, t->name);

	buf_putf(sql, "%s%.*s.%.*s", first ? "" : ", ", STR_ARG(schema), STR_ARG(name));
}

static bool is_published(const struct init *i, const struct table *t)
{
	for (size_t k = 0; k < i->published.n; k++)
		if (i->published.tables[k]->relid == t->relid)
			return true;
	return false;
}

/* The list of matching tables that are not published yet; their number. */
static size_t put_missing(struct init *i, struct buf *sql)
{
	size_t n = 0;

	for (size_t k = 0; k < i->matched.n; k++)
		if (!is_published(i, i->matched.tables[k]))
			put_table(i, sql, i->matched.tables[k], n++ == 0);
	return n;
}

static enum err look_at_publication(struct init *i, bool *exists, struct error *e)
{
	const char *params[] = {i->o->publication};
	PGresult *r;

	TRY(pg_query(i->c,
		"SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM "
		"pg_catalog.pg_publication WHERE pubname = $1",
		1, params, "looking at the publication", &i->mem, &r, e));
	*exists = PQntuples(r) > 0;
	if (!*exists)
		return OK;
	if (!pg_cell_bool(r, 0, 0))
		return FAIL(e, ERR_USAGE,
			"checking the source: the publication %s leaves out some kind of change; "
			"run "
			"ALTER PUBLICATION \"%s\" SET (publish = 'insert, update, delete, "
			"truncate')",
			i->o->publication, i->o->publication);
	return pg_publication_tables(i->c, i->o->publication, &i->mem, &i->published, e);
}

/* A role that may only read and replicate uses what the owner of the tables has published. */
static enum err not_permitted(struct init *i, struct str sql, struct error *e)
{
	if (i->published.n == 0)
		return FAIL(e, ERR_USAGE,
			"making the publication: the role may not do it; have the owner of the tables "
			"run: %.*s",
			STR_ARG(sql));
	error_clear(e);
	i->cannot = arena_fmt(&i->mem,
		"tables that are not published are left out, for the role may not publish them; to "
		"have them, the owner of the publication runs: %.*s",
		STR_ARG(sql));
	log_warn(i->env->log, "init", i->cannot.p);
	return OK;
}

static enum err make_publication(struct init *i, struct error *e)
{
	struct str name = pg_ident(&i->mem, str_of(i->o->publication));
	struct buf sql;
	bool exists;

	TRY(look_at_publication(i, &exists, e));
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_putf(&sql,
		exists ? "ALTER PUBLICATION %.*s ADD TABLE " : "CREATE PUBLICATION %.*s FOR TABLE ",
		STR_ARG(name));
	size_t missing = put_missing(i, &sql);
	if (!exists)
		buf_puts(&sql, " WITH (publish_via_partition_root = true)");
	enum err rc = OK;
	/* A snapshot of the new tables must wait for the transactions that run now: what those
	 * have changed already is not published. Remembered before it becomes true. */
	if (missing > 0 && i->has_id && i->id.settled) {
		i->id.settled = false;
		rc = journal_identity_write(i->o->journal, &i->id, e);
	}
	if (rc == OK && missing > 0) {
		rc = pg_exec(i->c, buf_cstr(&sql),
			exists ? "adding tables to the publication" : "creating the publication",
			e);
		i->created = rc == OK;
		if (rc != OK && pg_failed_with(i->c, "42501"))
			rc = not_permitted(i, buf_str(&sql), e);
	}
	buf_free(&sql);
	if (rc == OK)
		rc = pg_publication_tables(i->c, i->o->publication, &i->mem, &i->published, e);
	return rc;
}

/* ---- slot and identity ---- */

/* What the slot's exported snapshot sees: all that committed before its consistent point. */
static enum err exported_cut(struct init *i, struct str snapshot, struct cut *out, struct error *e)
{
	struct str name = pg_literal(&i->mem, snapshot);
	const char *sql = arena_fmt(&i->mem,
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT %.*s",
		STR_ARG(name))
				  .p;

	TRY(pg_exec(i->c, sql, "joining the slot's snapshot", e));
	enum err rc = source_snapshot(i->c, &i->mem, out, e);
	struct error ignored = {0};
	enum err ended = pg_exec(
		i->c, "ROLLBACK", "leaving the slot's snapshot", rc == OK ? e : &ignored);
	return rc != OK ? rc : ended;
}

static enum err create_slot(struct init *i, struct pg *stream, struct error *e)
{
	struct str snapshot;
	struct cut consistent;

	TRY(pg_create_slot(stream, i->o->slot, &i->mem, &i->id.start, &snapshot, e));
	i->created = i->made_slot = true;
	TRY(exported_cut(i, snapshot, &consistent, e));
	TRY(source_join(i->c, &consistent, i->env, e));
	i->id.settled = true;
	return OK;
}

/* A slot that nobody reads would keep the server's log for ever. */
static void drop_slot(struct init *i)
{
	const char *params[] = {i->o->slot};
	struct error why = {.kind = OK};
	PGresult *r;

	if (pg_query(i->c, "SELECT pg_catalog.pg_drop_replication_slot($1)", 1, params,
		    "dropping the slot again", &i->mem, &r, &why) != OK)
		log_warn(i->env->log, "init", "a slot is left behind that must be dropped by hand",
			F_CSTR("slot", i->o->slot), F_CSTR("reason", why.text));
}

static enum err new_identity(struct init *i, struct error *e)
{
	struct pg *stream = NULL;
	struct pg_system system = {0};
	enum err rc = source_open(&stream, i->o, i->env, true, e);

	if (rc == OK)
		rc = pg_identify(stream, &system, e);
	i->id.system_id = system.system_id;
	i->id.timeline = system.timeline;
	snprintf(i->id.slot, sizeof(i->id.slot), "%s", i->o->slot);
	snprintf(i->id.publication, sizeof(i->id.publication), "%s", i->o->publication);
	if (rc == OK && !i->slot.exists)
		rc = create_slot(i, stream, e);
	else if (rc == OK)
		i->id.start = i->slot.confirmed; /* not settled: how old it is, nobody knows */
	pg_close(stream);
	if (rc == OK)
		rc = journal_identity_write(i->o->journal, &i->id, e);
	if (rc != OK && i->made_slot)
		drop_slot(i);
	i->has_id = rc == OK;
	return rc;
}

static enum err check_identity(struct init *i, struct error *e)
{
	struct source_state ignored;

	if (strcmp(i->id.slot, i->o->slot) != 0 ||
		strcmp(i->id.publication, i->o->publication) != 0)
		return FAIL(e, ERR_USAGE,
			"checking the journal %s: it is of slot %s and publication %s, but the "
			"configuration says %s and %s; name another directory in [replicate] "
			"journal, "
			"or put the names back",
			i->o->journal, i->id.slot, i->id.publication, i->o->slot,
			i->o->publication);
	enum err rc = source_check(i->o, &i->id, i->env, &ignored, &i->mem, e);
	/* That replication is running is no reason not to look whether all is there. */
	if (rc == ERR_CONFLICT) {
		error_clear(e);
		rc = OK;
	}
	return rc;
}

static enum err check_names(const struct replicate_options *o, struct error *e)
{
	if (strlen(o->slot) == 0 || strlen(o->slot) > 63 || strlen(o->publication) == 0 ||
		strlen(o->publication) > 63)
		return FAIL(e, ERR_USAGE,
			"checking the configuration: [source] slot and publication are names of 1 "
			"to "
			"63 bytes");
	return OK;
}

/* A journal made anew cannot follow a warehouse that has rows already, unless the old slot still
 * has all that came after them. Before the slot is made: a refusal leaves none behind. */
static enum err check_fresh(struct init *i, struct error *e)
{
	struct replicate_position position;
	char at[LSN_TEXT];
	bool begins = i->has_id || i->slot.exists;
	lsn start = i->has_id ? i->id.start : i->slot.confirmed;

	TRY(warehouse_ensure_ops(i->w, e));
	TRY(replicate_position(i->w, &position, e));
	if (!position.found || (begins && position.at.v >= start.v))
		return OK;
	return FAIL(e, ERR_CHECK,
		"checking the warehouse: it is applied up to LSN %s, but the journal %s would "
		"begin after that: changes between the two are lost; put the old journal back, or "
		"start with an empty warehouse: " SOURCE_AFRESH,
		lsn_format(position.at, at), i->o->journal, i->o->slot, i->o->journal);
}

/* ---- warehouse ---- */

static enum err make_table(struct init *i, const struct table *published, struct error *e)
{
	struct table t = *published, *known;

	/* A table that is known may have another shape at the stream's position: apply's to do. */
	TRY(marks_shape(i->w, t.schema, t.name, &i->mem, &known, e));
	if (known != NULL)
		return OK;
	t.valid_time = shape_valid_time(i->o, &t);
	TRY(warehouse_ensure_table(i->w, &t, e));
	struct mark mark = {.name = mark_name(&i->mem, "shape", t.schema, t.name),
		.value = mark_shape(&i->mem, &t)};
	return marks_put(i->w, &mark, 1, e);
}

static enum err make_warehouse(struct init *i, struct error *e)
{
	for (size_t k = 0; k < i->published.n; k++) {
		enum err rc = make_table(i, i->published.tables[k], e);
		if (rc != OK)
			return error_wrap(e, "making the tables of %.*s.%.*s in the warehouse",
				STR_ARG(i->published.tables[k]->schema),
				STR_ARG(i->published.tables[k]->name));
	}
	return OK;
}

/* ---- all of it ---- */

static enum err look(struct init *i, struct error *e)
{
	TRY(check_names(i->o, e));
	enum err rc = journal_identity_read(i->o->journal, &i->id, e);
	if (rc != OK && rc != ERR_NOT_FOUND)
		return rc;
	i->has_id = rc == OK;
	error_clear(e);
	TRY(source_open(&i->c, i->o, i->env, false, e));
	TRY(pg_slot(i->c, i->o->slot, &i->mem, &i->slot, e));
	TRY(init_check_server(i->c, i->o, i->slot.exists, e));
	TRY(pg_match_tables(i->c, i->o->tables, &i->mem, &i->matched, e));
	TRY(init_check_tables(i->o, &i->matched, e));
	if (i->has_id)
		return check_identity(i, e);
	if (i->slot.exists && !str_eqc(i->slot.plugin, "pgoutput"))
		return FAIL(e, ERR_USAGE,
			"checking the source: the slot %s uses the plugin %.*s, not pgoutput; name "
			"another in [source] slot",
			i->o->slot, STR_ARG(i->slot.plugin));
	return OK;
}

static void report(struct init *i, struct replicate_init_report *out)
{
	struct arena *mem = &out->mem;

	out->publication = arena_str(mem, str_of(i->o->publication)).p;
	out->slot = arena_str(mem, str_of(i->o->slot)).p;
	out->created = i->created;
	out->cannot = i->cannot.n > 0 ? arena_cstr(mem, i->cannot) : NULL;
	out->start = i->id.start;
	out->ntables = i->published.n;
	out->tables = arena_array(mem, out->ntables, sizeof(*out->tables));
	for (size_t k = 0; k < out->ntables; k++)
		out->tables[k] = table_full_name(i->published.tables[k], mem).p;
}

enum err replicate_init(const struct replicate_options *o, struct warehouse *w,
	const struct env *env, struct replicate_init_report *out, struct error *e)
{
	struct init i = {.o = o, .w = w, .env = env};

	*out = (struct replicate_init_report){0};
	enum err rc = look(&i, e);
	if (rc == OK)
		rc = check_fresh(&i, e);
	/* The publication first: what changes before it exists is never sent. */
	if (rc == OK)
		rc = make_publication(&i, e);
	if (rc == OK && !i.has_id)
		rc = new_identity(&i, e);
	if (rc == OK)
		rc = make_warehouse(&i, e);
	if (rc == OK)
		report(&i, out);
	pg_close(i.c);
	arena_free(&i.mem);
	return rc;
}
