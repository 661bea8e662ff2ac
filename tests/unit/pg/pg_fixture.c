#include "pg_fixture.h"

#include "clock.h"
#include "file.h"

static struct fixture fixture;

int fixture_start(void **state)
{
	/* Nothing here has to outlive a crash of the machine. */
	static const char *const settings[] = {"fsync=off", "max_connections=30", NULL};
	struct fixture *f = &fixture;
	struct error e = {.kind = OK};

	rnd_seed(&f->rnd, 1);
	f->env = (struct env){.clock = clock_system(), .rnd = &f->rnd};
	unit_tmpdir(f->dir, sizeof f->dir);
	struct pg_server_options o = {.dir = f->dir, .database = "unit", .settings = settings};
	if (pg_server_start(&f->server, &o, &f->env, &e) != OK) {
		print_error("%s\n", e.text);
		return 1;
	}
	f->pg = fixture_open(f, false);
	fixture_exec(f, "CREATE PUBLICATION everything FOR ALL TABLES");
	*state = f;
	return 0;
}

int fixture_stop(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};

	pg_close(f->pg);
	pg_server_stop(f->server, true);
	arena_free(&f->mem);
	return file_remove_tree(f->dir, &e) == OK ? 0 : 1;
}

struct pg *fixture_open(struct fixture *f, bool replication)
{
	struct pg_options o = {.conninfo = pg_server_conninfo(f->server),
		.application = "unit",
		.replication = replication};
	struct error e = {.kind = OK};
	struct pg *c = NULL;

	assert_ok(pg_open(&c, &o, &f->env, &e), &e);
	return c;
}

void fixture_exec(struct fixture *f, const char *sql)
{
	struct error e = {.kind = OK};

	assert_ok(pg_exec(f->pg, sql, sql, &e), &e);
}

PGresult *fixture_query(struct fixture *f, const char *sql)
{
	struct error e = {.kind = OK};
	PGresult *r = NULL;

	assert_ok(pg_query(f->pg, sql, 0, NULL, sql, &f->mem, &r, &e), &e);
	return r;
}

const char *fixture_cell(struct fixture *f, const char *sql)
{
	PGresult *r = fixture_query(f, sql);

	assert_int_equal(PQntuples(r), 1);
	return pg_cell(r, 0, 0);
}
