#include "status_json.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "pg_catalog.h"
#include "pg_conn.h"
#include "replicate.h"
#include "shared.h"
#include "status_parts.h"

void status_note(struct status *s, const char *part, const char *text)
{
	if (s->nerrors < STATUS_ERRORS)
		s->errors[s->nerrors++] = arena_fmt(s->c->mem, "%s: %s", part, text);
}

void status_put_lsn(struct status *s, const char *key, lsn at)
{
	char text[LSN_TEXT];
	if (at.v == 0)
		jo_null(&s->j, key);
	else
		jo_cstr(&s->j, key, lsn_format(at, text));
}

/* Source and slot */

static void put_source(struct status *s)
{
	struct error e = {.kind = OK};
	PGresult *r = NULL;

	if (s->source != NULL &&
		pg_query(s->source, "SELECT pg_current_wal_flush_lsn()", 0, NULL,
			"asking the source for its position", s->c->mem, &r, &e) == OK)
		lsn_parse(pg_cell_str(r, 0, 0), &s->flushed);
	else if (s->source != NULL)
		status_note(s, "source", e.text);
	jo_object(&s->j, "source");
	jo_bool(&s->j, "reachable", s->source != NULL);
	if (s->source != NULL)
		jo_i64(&s->j, "server_version", s->source->server_version);
	status_put_lsn(s, "lsn", s->flushed);
	jo_end_object(&s->j);
}

static void put_slot(struct status *s)
{
	struct error e = {.kind = OK};
	struct pg_slot slot = {.exists = false};
	const char *name = s->c->set->source.slot;

	if (s->source == NULL || pg_slot(s->source, name, s->c->mem, &slot, &e) != OK) {
		jo_null(&s->j, "slot");
		if (s->source != NULL)
			status_note(s, "slot", e.text);
		return;
	}
	jo_object(&s->j, "slot");
	jo_cstr(&s->j, "name", name);
	jo_bool(&s->j, "exists", slot.exists);
	if (slot.exists) {
		jo_bool(&s->j, "active", slot.active);
		jo_i64(&s->j, "retained_bytes", slot.retained_bytes);
		status_put_lsn(s, "confirmed_lsn", slot.confirmed);
		jo_str(&s->j, "wal_status", slot.wal_status);
	}
	jo_end_object(&s->j);
}

/* Journal */

struct journal_sum {
	const char *dir;
	int64_t bytes, segments;
};

static enum err add_file(void *arg, const char *name, struct error *e)
{
	struct journal_sum *sum = arg;
	char path[4096];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", sum->dir, name);
	if (stat(path, &st) != 0)
		return errno == ENOENT ? OK : FAIL_ERRNO(e, ERR_FAILED, "looking at %s", path);
	sum->bytes += st.st_size;
	sum->segments += strstr(name, ".seg") != NULL && !str_ends(str_of(name), STR(".tmp"));
	return OK;
}

static void put_journal(struct status *s)
{
	struct journal_sum sum = {.dir = s->c->set->replicate.journal};
	struct error e = {.kind = OK};
	enum err rc = file_exists(sum.dir)
		? file_list(sum.dir, add_file, &sum, &e)
		: FAIL(&e, ERR_NOT_FOUND, "%s does not exist; `sluice init` makes it", sum.dir);

	if (rc != OK) {
		jo_null(&s->j, "journal");
		status_note(s, "journal", e.text);
		return;
	}
	jo_object(&s->j, "journal");
	jo_cstr(&s->j, "dir", sum.dir);
	jo_i64(&s->j, "bytes", sum.bytes);
	jo_i64(&s->j, "segments", sum.segments);
	jo_end_object(&s->j);
}

/* What the replication of this process met last; another process's is in its log. */
static void put_last_error(struct status *s)
{
	struct replicate *running = shared_replicate(s->c->shared);
	struct replicate_progress p = {.failed = false};

	if (running != NULL) {
		replicate_progress(running, &p);
		shared_leave_replicate(s->c->shared);
	}
	if (p.apply_error.kind != OK)
		jo_cstr(&s->j, "last_error", p.apply_error.text);
	else if (p.capture_error.kind != OK)
		jo_cstr(&s->j, "last_error", p.capture_error.text);
	else
		jo_null(&s->j, "last_error");
}

static void put_errors(struct status *s)
{
	jo_array(&s->j, "errors");
	for (size_t i = 0; i < s->nerrors; i++)
		jo_str(&s->j, NULL, s->errors[i]);
	jo_end_array(&s->j);
}

static void open_parts(struct status *s)
{
	struct error e = {.kind = OK};

	if (context_source(s->c, &s->source, &e) != OK) {
		s->source = NULL;
		status_note(s, "source", e.text);
	}
	if (context_warehouse(s->c, &s->warehouse, &e) != OK) {
		s->warehouse = NULL;
		status_note(s, "warehouse", e.text);
	}
}

static void put_all(struct status *s)
{
	static void (*const parts[])(struct status *) = {put_source, put_slot, status_put_position,
		put_journal, status_put_tables, status_put_reconciliation,
		status_put_schema_changes, status_put_models, status_put_workflows,
		status_put_replication, status_put_dead_letters, put_last_error, put_errors};

	jo_object(&s->j, NULL);
	for (size_t i = 0; i < sizeof parts / sizeof *parts && !env_stopping(s->c->env); i++)
		parts[i](s);
	jo_end_object(&s->j);
}

enum err status_json(struct context *c, struct buf *out, struct error *e)
{
	struct status s = {.c = c};

	jo_init(&s.j, out);
	open_parts(&s);
	put_all(&s);
	pg_close(s.source);
	TRY(env_check(c->env, e));
	if (!buf_ok(out))
		return FAIL(
			e, ERR_FAILED, "writing the status: it is longer than %zu bytes", out->max);
	return OK;
}
