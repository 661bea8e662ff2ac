#include "app_migrate.h"

#include <inttypes.h>
#include <string.h>

#include "embedded.h"
#include "enc.h"
#include "log.h"

/* Any number will do, as long as nobody else locks it. */
#define LOCK "2847365510294417"

#define RECORD                                                                                     \
	"CREATE TABLE IF NOT EXISTS public.schema_migrations ("                                    \
	"number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "                     \
	"applied_at timestamptz NOT NULL DEFAULT now())"

struct run {
	struct pg *c;
	struct arena *mem;
	struct app_migration *out;
	const char *prefix;
	bool apply; /* otherwise only compare */
};

/* "sql/migrations/0002_idempotency.sql" is number 2, name "0002_idempotency". */
static enum err parse_name(const struct run *r, const struct embedded_file *f, int64_t *number,
	struct str *name, struct error *e)
{
	struct str digits;
	struct str rest = str_from(str_of(f->name), strlen(r->prefix));

	*name = rest;
	if (str_ends(rest, STR(".sql")) && str_cut(&rest, '_', &digits) && digits.n == 4 &&
		str_to_i64(digits, number) && *number > 0) {
		name->n -= 4;
		return OK;
	}
	return FAIL(e, ERR_BUG, "reading the migration %s: its name is not NNNN_name.sql", f->name);
}

static enum err run_file(
	const struct run *r, const struct embedded_file *f, const char *const *row, struct error *e)
{
	PGresult *result;

	TRY(pg_exec(r->c, "BEGIN", "beginning a migration", e));
	enum err rc = pg_exec(r->c, f->data, f->name, e);
	if (rc == OK)
		rc = pg_query(r->c,
			"INSERT INTO public.schema_migrations (number, name, checksum) VALUES ($1, "
			"$2, $3)",
			3, row, "recording a migration", r->mem, &result, e);
	if (rc == OK)
		return pg_exec(r->c, "COMMIT", "committing a migration", e);
	struct error ignored;
	if (pg_exec(r->c, "ROLLBACK", "rolling a migration back", &ignored) != OK)
		log_warn(r->c->env->log, "app", ignored.text);
	return error_wrap(e, "applying the migration %s (nothing of it stays)", f->name);
}

static enum err one_file(void *arg, const struct embedded_file *f, struct error *e)
{
	struct run *r = arg;
	int64_t number = 0;
	struct str name = STR_NONE;
	PGresult *found;
	char checksum[ENC_SHA256_TEXT];

	TRY(parse_name(r, f, &number, &name, e));
	enc_sha256(embedded_text(f), checksum);
	const char *row[] = {
		arena_fmt(r->mem, "%" PRId64, number).p, arena_cstr(r->mem, name), checksum};
	TRY(pg_query(r->c, "SELECT checksum FROM public.schema_migrations WHERE number = $1", 1,
		row, "reading which migrations stand", r->mem, &found, e));
	r->out->version = number;
	if (PQntuples(found) > 0) {
		if (str_eqc(pg_cell_str(found, 0, 0), checksum))
			return OK;
		return FAIL(e, ERR_CHECK,
			"comparing the migration %s: it was changed after it was applied here; put "
			"the "
			"old text back and write the change as a new migration",
			f->name);
	}
	if (!r->apply)
		return OK;
	TRY(run_file(r, f, row, e));
	r->out->applied++;
	log_info(r->c->env->log, "app", "migration applied", F_CSTR("name", row[1]));
	return OK;
}

static enum err refuse_newer(const struct run *r, struct error *e)
{
	const char *params[] = {arena_fmt(r->mem, "%" PRId64, r->out->version).p};
	PGresult *found;

	TRY(pg_query(r->c,
		"SELECT name FROM public.schema_migrations WHERE number > $1 ORDER BY number LIMIT "
		"1",
		1, params, "looking for migrations of a newer program", r->mem, &found, e));
	if (PQntuples(found) == 0)
		return OK;
	return FAIL(e, ERR_CHECK,
		"migrating the database: it already has %s, which this program does not know; use "
		"the "
		"program that applied it, or a newer one",
		pg_cell(found, 0, 0));
}

/* All are compared before the first is applied. */
static enum err migrate_locked(struct run *r, struct error *e)
{
	TRY(pg_exec(r->c, RECORD, "making public.schema_migrations", e));
	TRY(embedded_each(r->prefix, one_file, r, e));
	TRY(refuse_newer(r, e));
	r->apply = true;
	return embedded_each(r->prefix, one_file, r, e);
}

enum err app_migrate_from(
	struct pg *c, const char *prefix, struct app_migration *out, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	struct run r = {.c = c, .mem = &mem, .out = out, .prefix = prefix};

	*out = (struct app_migration){.applied = 0};
	TRY(pg_exec(c, "SELECT pg_advisory_lock(" LOCK ")", "waiting for other migrations", e));
	enum err rc = migrate_locked(&r, e);
	/* The lock also ends with the connection. */
	struct error late;
	enum err unlocked = pg_exec(
		c, "SELECT pg_advisory_unlock(" LOCK ")", "letting go of the lock", &late);
	if (rc == OK && unlocked != OK)
		rc = error_set(e, unlocked, late.where, "%s", late.text);
	arena_free(&mem);
	return rc;
}

enum err app_migrate(struct pg *c, struct app_migration *out, struct error *e)
{
	return app_migrate_from(c, "sql/migrations/", out, e);
}
