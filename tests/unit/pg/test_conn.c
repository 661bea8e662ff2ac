#include "pg_fixture.h"

static void test_sessions_speak_one_form(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};

	/* Whatever the database or the role would rather have. */
	fixture_exec(f,
		"ALTER DATABASE unit SET datestyle = 'German';"
		"ALTER DATABASE unit SET intervalstyle = 'iso_8601';"
		"ALTER DATABASE unit SET timezone = 'Asia/Kathmandu';"
		"ALTER DATABASE unit SET bytea_output = 'escape';"
		"ALTER DATABASE unit SET extra_float_digits = 0");
	struct pg *plain = f->pg;
	for (int replication = 0; replication < 2; replication++) {
		f->pg = fixture_open(f, replication == 1);
		PGresult *r = PQexec(f->pg->conn,
			"SELECT timestamptz '2020-01-02 03:04:05+00', interval '1 day 2 hours', "
			"bytea '\\x00ff', float8 '0.1' + 0.2, current_setting('client_encoding'), "
			"current_setting('application_name')");
		assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
		assert_string_equal(pg_cell(r, 0, 0), "2020-01-02 03:04:05+00");
		assert_string_equal(pg_cell(r, 0, 1), "1 day 02:00:00");
		assert_string_equal(pg_cell(r, 0, 2), "\\x00ff");
		assert_string_equal(pg_cell(r, 0, 3), "0.30000000000000004");
		assert_string_equal(pg_cell(r, 0, 4), "UTF8");
		assert_string_equal(pg_cell(r, 0, 5), "unit");
		PQclear(r);
		pg_close(f->pg);
	}
	f->pg = plain;
	assert_true(f->pg->server_version >= 100000);
	assert_ok(pg_exec(f->pg, "ALTER DATABASE unit RESET ALL", "tidying", &e), &e);
}

static void test_cells(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	const char *params[] = {"it's", NULL, "-9223372036854775808"};
	PGresult *r;

	assert_ok(pg_query(f->pg, "SELECT $1::text, $2::text, $3::bigint, true, false, 'no number'",
			  3, params, "asking", &f->mem, &r, &e),
		&e);
	assert_string_equal(pg_cell(r, 0, 0), "it's");
	assert_null(pg_cell(r, 0, 1));
	assert_null(pg_cell_str(r, 0, 1).p);
	assert_true(pg_cell_i64(r, 0, 2) == INT64_MIN);
	assert_int_equal(pg_cell_i64(r, 0, 1), 0);
	assert_int_equal(pg_cell_i64(r, 0, 5), 0);
	assert_true(pg_cell_bool(r, 0, 3));
	assert_false(pg_cell_bool(r, 0, 4));
	assert_false(pg_cell_bool(r, 0, 1));
}

static void test_quoting(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = {
		"", "plain", "it's", "a\"b", "\\", "'\\'\\\\''", "\303\251\n"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct str literal = pg_literal(&f->mem, str_of(texts[i]));
		assert_string_equal(
			fixture_cell(f, arena_fmt(&f->mem, "SELECT %.*s", STR_ARG(literal)).p),
			texts[i]);
		if (i == 0)
			continue;
		struct str name = pg_ident(&f->mem, str_of(texts[i]));
		PGresult *r = fixture_query(
			f, arena_fmt(&f->mem, "SELECT 1 AS %.*s", STR_ARG(name)).p);
		assert_string_equal(PQfname(r, 0), texts[i]);
	}
}

static void test_failures_are_told_apart(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *sql, *sqlstate;
		enum err kind;
	} cases[] = {
		{"SELECT * FROM absent", "42P01", ERR_NOT_FOUND},
		{"CREATE TABLE twice (x integer PRIMARY KEY)", "", OK},
		{"CREATE TABLE twice (x integer)", "42P07", ERR_CONFLICT},
		{"INSERT INTO twice VALUES (1), (1)", "23505", ERR_CONFLICT},
		{"SELECT 1/0", "22012", ERR_INPUT},
		{"SELEC", "42601", ERR_FAILED},
		{"SET ROLE pg_monitor; CREATE ROLE x", "42501", ERR_USAGE},
		{"", "", OK},
	};
	struct error e = {.kind = OK};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum err rc = pg_exec(f->pg, cases[i].sql, "doing this", &e);
		assert_int_equal(rc, cases[i].kind);
		assert_true(pg_failed_with(f->pg, cases[i].sqlstate));
		if (rc == OK)
			continue;
		assert_has(e.text, "doing this: ");
		assert_has(e.text, cases[i].sqlstate);
	}
	fixture_exec(f, "RESET ROLE; DROP TABLE twice");

	struct pg *c = fixture_open(f, false);
	assert_err(pg_exec(c, "SELECT pg_terminate_backend(pg_backend_pid())", "ending", &e),
		ERR_UNAVAILABLE, &e);
	assert_err(pg_exec(c, "SELECT 1", "asking again", &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "asking again");
	pg_close(c);
}

static void test_servers_that_are_not_there(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct pg *c = NULL;
	struct pg_options o = {.conninfo = "host=/nonexistent dbname=x user=u password=hush1"};

	assert_err(pg_open(&c, &o, &f->env, &e), ERR_UNAVAILABLE, &e);
	assert_null(c);
	assert_has(e.text, "/nonexistent");
	assert_null(strstr(e.text, "hush1"));
	o.conninfo = "hush2 is no connection string";
	assert_err(pg_open(&c, &o, &f->env, &e), ERR_USAGE, &e);
	assert_null(strstr(e.text, "hush2"));
	o.conninfo = "postgresql:///x?host=%2Fnonexistent&password=hush3";
	o.password = "hush4";
	assert_err(pg_open(&c, &o, &f->env, &e), ERR_UNAVAILABLE, &e);
	assert_null(strstr(e.text, "hush"));
	assert_has(pg_describe(f->pg, &f->mem).p, "database unit user postgres");
	pg_close(NULL);
}

static void write_password(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* Read at each connection; while it is being replaced it passes. */
static void test_password_file(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct pg *c = NULL;
	char path[192];
	struct pg_options o = {.conninfo = pg_server_conninfo(f->server),
		.password = "as it was at the start",
		.password_file = path};

	snprintf(path, sizeof path, "%s/password", f->dir);
	assert_err(pg_open(&c, &o, &f->env, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, path);
	write_password(path, "one\n");
	assert_ok(pg_open(&c, &o, &f->env, &e), &e);
	assert_string_equal(PQpass(c->conn), "one");
	pg_close(c);
	write_password(path, "two");
	assert_ok(pg_open(&c, &o, &f->env, &e), &e);
	assert_string_equal(PQpass(c->conn), "two");
	pg_close(c);
}

static const char *option_of(const struct pg *c, const char *keyword, struct arena *mem)
{
	PQconninfoOption *all = PQconninfo(c->conn);
	const char *value = "";

	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0 && o->val != NULL)
			value = arena_cstr(mem, str_of(o->val));
	PQconninfoFree(all);
	return value;
}

/* A peer that has vanished is noticed; what the connection string says goes before. */
static void test_liveness(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct pg *c = NULL;
	const char *own = arena_fmt(
		&f->mem, "%s keepalives_idle=300 tcp_user_timeout=0", pg_server_conninfo(f->server))
				  .p;
	struct pg_options o = {.conninfo = pg_server_conninfo(f->server)};

	assert_ok(pg_open(&c, &o, &f->env, &e), &e);
	assert_string_equal(option_of(c, "keepalives_idle", &f->mem), "20");
	assert_string_equal(option_of(c, "tcp_user_timeout", &f->mem), "30000");
	pg_close(c);
	o.conninfo = own;
	assert_ok(pg_open(&c, &o, &f->env, &e), &e);
	assert_string_equal(option_of(c, "keepalives_idle", &f->mem), "300");
	assert_string_equal(option_of(c, "tcp_user_timeout", &f->mem), "0");
	assert_string_equal(option_of(c, "keepalives_interval", &f->mem), "10");
	pg_close(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sessions_speak_one_form),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_failures_are_told_apart),
		cmocka_unit_test(test_servers_that_are_not_there),
		cmocka_unit_test(test_password_file),
		cmocka_unit_test(test_liveness),
	};

	return cmocka_run_group_tests_name("conn", tests, fixture_start, fixture_stop);
}
