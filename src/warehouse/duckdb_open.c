#include "duckdb_driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "drivers.h"
#include "file.h"
#include "mem.h"

static void duck_close(struct warehouse *w)
{
	struct duck *d = duck_of(w);

	if (d->writer != NULL)
		duckdb_disconnect(&d->writer);
	if (d->db != NULL)
		duckdb_close(&d->db);
	duck_lender_free(d->lender);
	duck_unlock(d->lock_fd);
	pthread_mutex_destroy(&d->lock);
	mem_free(d->path);
	mem_free(d);
}

static const struct warehouse_ops duck_ops = {
	.name = "duckdb",
	.ensure_table = duck_ensure_table,
	.apply = duck_apply,
	.begin = duck_begin,
	.mark = duck_mark,
	.query = duck_query,
	.ask = duck_ask,
	.script = duck_script,
	.insert = duck_insert,
	.select_at = duck_select_at,
	.close = duck_close,
};

static enum err set_option(
	duckdb_config config, const char *name, const char *value, struct error *e)
{
	if (duckdb_set_config(config, name, value) == DuckDBSuccess)
		return OK;
	return FAIL(e, ERR_USAGE,
		"opening the warehouse: DuckDB refuses %s = %s; correct it in "
		"the section [warehouse]",
		name, value);
}

/* Of log, which a start after a crash reads again. */
#define CHECKPOINT_AFTER "256MB"

static enum err make_config(
	const struct warehouse_options *o, duckdb_config config, struct error *e)
{
	char text[32];

	/* Nothing is fetched at run time; what we use is built in. */
	TRY(set_option(config, "autoinstall_known_extensions", "false", e));
	TRY(set_option(config, "autoload_known_extensions", "false", e));
	/* A checkpoint writes whole row groups anew: at DuckDB's own 16 MB every batch would. */
	TRY(set_option(config, "checkpoint_threshold", CHECKPOINT_AFTER, e));
	if (o->read_only)
		TRY(set_option(config, "access_mode", "READ_ONLY", e));
	if (o->threads > 0) {
		snprintf(text, sizeof text, "%" PRId64, o->threads);
		TRY(set_option(config, "threads", text, e));
	}
	if (o->memory_limit > 0) {
		snprintf(text, sizeof text, "%" PRId64 "B", o->memory_limit);
		TRY(set_option(config, "memory_limit", text, e));
	}
	return OK;
}

/* The directory must be there and writable; saying so is better than DuckDB's message. */
static enum err check_directory(const char *path, bool read_only, struct error *e)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? mem_strdup(".")
				  : mem_cstr(str_make(path, (size_t)(slash - path)));
	enum err rc = OK;

	if (dir[0] == '\0') {
		mem_free(dir);
		dir = mem_strdup("/");
	}
	if (!read_only && !file_exists(dir) && file_mkdirs(dir, e) != OK)
		rc = FAIL(e, ERR_USAGE,
			"opening the warehouse %s: the directory %s cannot be made; give "
			"[warehouse] url a place that this user can write",
			path, dir);
	else if (access(dir, read_only ? X_OK : W_OK | X_OK) != 0)
		rc = FAIL_ERRNO(e, ERR_USAGE,
			"opening the warehouse %s: the directory %s cannot be %s; give "
			"[warehouse] url another place or mend its permissions",
			path, dir, read_only ? "entered" : "written");
	mem_free(dir);
	return rc;
}

/* DuckDB's own lock is held by something that is not sluice: its message names the process. */
static enum err open_failed(const char *path, const char *message, struct error *e)
{
	const char *pid = strstr(message, "(PID ");

	if (pid != NULL)
		return FAIL(e, ERR_CONFLICT,
			"opening the warehouse %s: it is held by process %.*s: %s; stop that "
			"process and try again",
			path, (int)strspn(pid + 5, "0123456789"), pid + 5, message);
	return FAIL(e, strncmp(message, "IO Error", 8) == 0 ? ERR_USAGE : ERR_FAILED,
		"opening the warehouse %s: %s (check that [warehouse] url names a DuckDB file "
		"that this user can write)",
		path, message);
}

static enum err open_database(struct duck *d, const struct warehouse_options *o, struct error *e)
{
	duckdb_config config = NULL;
	char *message = NULL;
	enum err rc = OK;

	if (duckdb_create_config(&config) != DuckDBSuccess)
		rc = FAIL(e, ERR_FAILED, "opening the warehouse %s: no memory for its options",
			d->path);
	if (rc == OK)
		rc = make_config(o, config, e);
	if (rc == OK && duckdb_open_ext(d->path, &d->db, config, &message) != DuckDBSuccess)
		rc = open_failed(d->path, message != NULL ? message : "no reason given", e);
	duckdb_free(message);
	duckdb_destroy_config(&config);
	if (rc == OK)
		rc = duck_connect(d, &d->writer, e);
	if (rc == OK)
		rc = duck_lender_register(d->lender, d->writer, e);
	if (rc == OK)
		rc = duck_execs(
			d->writer, "SET GLOBAL TimeZone = 'UTC'", "opening the warehouse", e);
	return rc;
}

enum err warehouse_open_duckdb(struct warehouse **out, struct str rest,
	const struct warehouse_options *o, const struct env *env, struct error *e)
{
	if (rest.n == 0 || str_eqc(rest, "/") || str_eqc(rest, ":memory:"))
		return FAIL(e, ERR_USAGE,
			"opening the warehouse duckdb://%.*s: it names no file; use "
			"duckdb:///absolute/path or duckdb://relative/path",
			STR_ARG(rest));
	struct duck *d = mem_zalloc(sizeof *d);
	d->base.ops = &duck_ops;
	d->env = env;
	d->lock_fd = -1;
	d->memory_limit = o->memory_limit;
	d->lender = duck_lender_new();
	d->path = mem_cstr(rest);
	pthread_mutex_init(&d->lock, NULL);
	enum err rc = check_directory(d->path, o->read_only, e);
	if (rc == OK)
		rc = duck_lock(d->path, o->read_only, &d->lock_fd, e);
	if (rc == OK)
		rc = open_database(d, o, e);
	if (rc != OK) {
		duck_close(&d->base);
		return rc;
	}
	*out = &d->base;
	return OK;
}
