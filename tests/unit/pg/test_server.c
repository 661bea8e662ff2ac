#include "pg_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"

static struct rnd rnd;
static struct env env;
static struct arena mem;

static const char *path_of(const char *dir, const char *name)
{
	return arena_fmt(&mem, "%s/%s", dir, name).p;
}

static struct pg *open_on(struct pg_server *s)
{
	struct pg_options o = {.conninfo = pg_server_conninfo(s)};
	struct error e = {.kind = OK};
	struct pg *c = NULL;

	assert_ok(pg_open(&c, &o, &env, &e), &e);
	return c;
}

static int64_t ask(struct pg *c, const char *sql)
{
	struct error e = {.kind = OK};
	PGresult *r = NULL;

	assert_ok(pg_query(c, sql, 0, NULL, sql, &mem, &r, &e), &e);
	assert_int_equal(PQntuples(r), 1);
	return pg_cell_i64(r, 0, 0);
}

static const char *show(struct pg *c, const char *sql)
{
	struct error e = {.kind = OK};
	PGresult *r = NULL;

	assert_ok(pg_query(c, sql, 0, NULL, sql, &mem, &r, &e), &e);
	return pg_cell(r, 0, 0);
}

static void test_starts_restarts_and_keeps_data(void **state)
{
	(void)state;
	static const char *const settings[] = {"fsync=off", "max_connections=17", NULL};
	char dir[128];
	struct error e = {.kind = OK};
	struct pg_server *s = NULL;

	unit_tmpdir(dir, sizeof dir);
	chmod(dir, 0755);
	struct pg_server_options o = {.dir = path_of(dir, "it's a \"pg\""),
		.database = "odd \"name'",
		.settings = settings,
		.keep_data = true};
	assert_ok(pg_server_start(&s, &o, &env, &e), &e);
	struct pg *c = open_on(s);
	assert_string_equal(show(c, "SHOW wal_level"), "logical");
	assert_string_equal(show(c, "SHOW listen_addresses"), "");
	assert_string_equal(show(c, "SHOW max_connections"), "17");
	assert_string_equal(show(c, "SHOW server_encoding"), "UTF8");
	assert_string_equal(show(c, "SELECT current_database()"), "odd \"name'");
	assert_ok(pg_exec(c, "CREATE TABLE t AS SELECT 42 AS x", "making a table", &e), &e);
	pg_close(c);

	/* A second server in the same directory is refused while the first lives. */
	struct pg_server *second = NULL;
	assert_err(pg_server_start(&second, &o, &env, &e), ERR_CONFLICT, &e);
	assert_null(second);

	assert_ok(pg_server_restart(s, true, &e), &e);
	c = open_on(s);
	assert_int_equal(ask(c, "SELECT x FROM t"), 42);
	pg_close(c);
	pg_server_stop(s, false);

	assert_ok(pg_server_start(&s, &o, &env, &e), &e);
	c = open_on(s);
	assert_int_equal(ask(c, "SELECT x FROM t"), 42);
	pg_close(c);
	pg_server_stop(s, true);
	assert_false(file_exists(o.dir));
	assert_ok(file_remove_tree(dir, &e), &e);
}

/* Starts a server in a child that is then killed; gives the postmaster's id. */
static pid_t killed_run(const struct pg_server_options *o)
{
	int ready[2];
	char go;

	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct error e = {.kind = OK};
		struct pg_server *s = NULL;
		close(ready[0]);
		go = pg_server_start(&s, o, &env, &e) == OK ? 'y' : 'n';
		if (write(ready[1], &go, 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &go, 1), 1);
	assert_int_equal(go, 'y');
	close(ready[0]);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return child;
}

static void test_clears_what_a_killed_run_left(void **state)
{
	(void)state;
	static const char *const settings[] = {"fsync=off", NULL};
	char dir[128];
	struct error e = {.kind = OK};
	struct pg_server *s = NULL;

	unit_tmpdir(dir, sizeof dir); /* mode 0700: as root the server cannot reach it */
	struct pg_server_options o = {.dir = dir, .database = "d", .settings = settings};
	killed_run(&o);
	assert_ok(pg_server_start(&s, &o, &env, &e), &e);
	struct pg *c = open_on(s);
	assert_int_equal(ask(c, "SELECT 1"), 1);
	pg_close(c);
	struct buf text;
	char elsewhere[64] = "";
	buf_init(&text, 4096);
	if (file_read(path_of(dir, "elsewhere"), &text, &e) == OK)
		snprintf(elsewhere, sizeof elsewhere, "%s", buf_cstr(&text));
	buf_free(&text);
	assert_int_equal(elsewhere[0] != '\0', geteuid() == 0);
	pg_server_stop(s, true);
	if (elsewhere[0] != '\0')
		assert_false(file_exists(elsewhere));
	assert_ok(file_remove_tree(dir, &e), &e);
}

static void test_long_path_gets_a_short_socket(void **state)
{
	(void)state;
	static const char *const settings[] = {"fsync=off", NULL};
	char dir[128];
	struct error e = {.kind = OK};
	struct pg_server *s = NULL;

	unit_tmpdir(dir, sizeof dir);
	chmod(dir, 0755);
	struct pg_server_options o = {.dir = path_of(dir,
					      "a-very-long-name/that-goes-on-and-on/and-on/and-on/"
					      "until-it-does-not-fit-a-socket-address/any-more"),
		.settings = settings};
	assert_ok(pg_server_start(&s, &o, &env, &e), &e);
	struct pg *c = open_on(s);
	assert_int_equal(ask(c, "SELECT 1"), 1);
	pg_close(c);
	assert_true(file_exists(path_of(o.dir, "data/PG_VERSION")));
	pg_server_stop(s, true);
	assert_ok(file_remove_tree(dir, &e), &e);
}

static void test_says_why_it_does_not_start(void **state)
{
	(void)state;
	static const char *const settings[] = {"shared_buffers=nonsense", NULL};
	char dir[128];
	struct error e = {.kind = OK};
	struct pg_server *s = NULL;

	unit_tmpdir(dir, sizeof dir);
	struct pg_server_options o = {.dir = dir, .settings = settings};
	assert_err(pg_server_start(&s, &o, &env, &e), ERR_FAILED, &e);
	assert_has(e.text, "shared_buffers");
	assert_ok(file_remove_tree(dir, &e), &e);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_restarts_and_keeps_data),
		cmocka_unit_test(test_clears_what_a_killed_run_left),
		cmocka_unit_test(test_long_path_gets_a_short_socket),
		cmocka_unit_test(test_says_why_it_does_not_start),
	};

	rnd_seed(&rnd, 1);
	env = (struct env){.clock = clock_system(), .rnd = &rnd};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&mem);
	return failed;
}
