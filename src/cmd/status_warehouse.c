/* What the warehouse knows: its position, its tables, the last reconciliation. */
#include <string.h>

#include "clock.h"
#include "replicate.h"
#include "shared.h"
#include "status_parts.h"
#include "table_hold.h"
#include "value_json.h"
#include "warehouse.h"

/* Position: how far the warehouse is behind */

/* Replication in this process knows the age of the oldest change that waits. */
static bool running_lag(const struct status *s, int64_t *us)
{
	struct replicate *running = shared_replicate(s->c->shared);
	struct replicate_progress p = {.lag_us = 0};

	if (running == NULL)
		return false;
	replicate_progress(running, &p);
	shared_leave_replicate(s->c->shared);
	*us = p.lag_us;
	return true;
}

static void put_lag(struct status *s, const struct replicate_position *p)
{
	int64_t us = 0;
	bool known = s->flushed.v > 0, behind = known && lsn_cmp(p->at, s->flushed) < 0;

	if (known)
		jo_u64(&s->j, "lag_bytes", behind ? s->flushed.v - p->at.v : 0);
	else
		jo_null(&s->j, "lag_bytes");
	if (known && !behind)
		jo_f64(&s->j, "lag_seconds", 0);
	else if (behind && running_lag(s, &us)) {
		jo_fixed(&s->j, "lag_seconds", (double)us / 1e6, 3);
	} else if (behind && p->committed_us > 0) {
		us = clock_wall(s->c->env->clock) - p->committed_us;
		jo_fixed(&s->j, "lag_seconds", us > 0 ? (double)us / 1e6 : 0, 3);
	} else
		jo_null(&s->j, "lag_seconds");
}

void status_put_position(struct status *s)
{
	struct error e = {.kind = OK};
	struct replicate_position p = {.found = false};

	if (s->warehouse != NULL && replicate_position(s->warehouse, &p, &e) != OK)
		status_note(s, "position", e.text);
	if (!p.found) {
		jo_null(&s->j, "position");
		return;
	}
	jo_object(&s->j, "position");
	status_put_lsn(s, "lsn", p.at);
	put_lag(s, &p);
	jo_end_object(&s->j);
}

/* Tables of the warehouse */

struct table_list {
	struct arena *mem;
	struct str (*names)[2]; /* schema, name */
	size_t n, cap;
};

static enum err add_table(void *arg, const struct chunk *c, struct error *e)
{
	struct table_list *l = arg;

	(void)e;
	for (size_t row = 0; row < c->rows; row++) {
		if (l->n == l->cap) {
			size_t cap = l->cap > 0 ? l->cap * 2 : 64;
			void *more = arena_array(l->mem, cap, sizeof *l->names);
			if (l->n > 0)
				memcpy(more, l->names, l->n * sizeof *l->names);
			l->names = more;
			l->cap = cap;
		}
		for (size_t i = 0; i < 2; i++)
			l->names[l->n][i] = arena_str(l->mem, vec_text(&c->cols[i], row));
		l->n++;
	}
	return OK;
}

static enum err list_tables(struct status *s, struct table_list *l, struct error *e)
{
	return warehouse_query(s->warehouse,
		STR("SELECT h.table_schema[:-9], h.table_name FROM information_schema.tables h "
		    "WHERE h.table_type = 'BASE TABLE' AND h.table_schema LIKE '%\\_history' "
		    "ESCAPE '\\' ORDER BY 1, 2"),
		add_table, l, e);
}

static enum err put_values(void *arg, const struct chunk *c, struct error *e)
{
	struct status *s = arg;
	struct buf scratch;

	(void)e;
	buf_init(&scratch, BUF_MAX_DEFAULT);
	for (size_t i = 0; c->rows > 0 && i < c->ncols; i++) {
		char time[CLOCK_TEXT];
		if (c->cols[i].type.kind == T_TIMESTAMPTZ && !vec_is_null(&c->cols[i], 0))
			jo_cstr(&s->j, c->names[i],
				clock_format(VEC_AT(&c->cols[i], int64_t, 0), time, sizeof time));
		else
			value_json(&s->j, c->names[i], &c->cols[i], 0, &scratch);
	}
	buf_free(&scratch);
	return OK;
}

static enum err put_snapshot(struct status *s, struct str schema, struct str name, struct error *e)
{
	static const char *const states[] = {
		[SNAPSHOT_NONE] = NULL, [SNAPSHOT_RUNNING] = "running", [SNAPSHOT_DONE] = "done"};
	struct replicate_snapshot snapshot = {.state = SNAPSHOT_NONE};
	enum err rc = replicate_snapshot(s->warehouse, schema, name, s->c->mem, &snapshot, e);

	jo_cstr(&s->j, "snapshot", rc == OK ? states[snapshot.state] : NULL);
	return rc;
}

/* From where its changes are missing, and how much journal they need. */
static enum err put_hold(struct status *s, struct str schema, struct str name, struct error *e)
{
	struct table_hold hold;
	bool reaches;
	uint64_t bytes;
	enum err rc = table_hold_read(s->warehouse, schema, name, &hold, e);

	if (rc != OK || !table_hold_is(&hold)) {
		jo_null(&s->j, "held");
		return rc;
	}
	jo_object(&s->j, "held");
	jo_cstr(&s->j, "state", hold.paused ? "paused" : "catching up");
	status_put_lsn(s, "lsn", hold.from.at);
	if (hold.has_from)
		rc = table_hold_journal(
			s->c->set->replicate.journal, hold.from.at, &reaches, &bytes, e);
	if (hold.has_from && rc == OK && reaches)
		jo_u64(&s->j, "journal_bytes", bytes);
	else
		jo_null(&s->j, "journal_bytes"); /* letting it go on copies it again */
	jo_end_object(&s->j);
	return rc;
}

static void put_table(struct status *s, struct str schema, struct str name)
{
	struct error e = {.kind = OK};
	const char *full = arena_fmt(s->c->mem, "%.*s.%.*s", STR_ARG(schema), STR_ARG(name)).p;
	struct str history = arena_fmt(s->c->mem, "%.*s_history", STR_ARG(schema));
	struct buf sql;

	buf_init(&sql, 64 << 10);
	buf_puts(&sql, "SELECT (SELECT count(*) FROM ");
	sql_name(&sql, schema);
	buf_putc(&sql, '.');
	sql_name(&sql, name);
	buf_puts(&sql, ") AS rows, (SELECT max(_committed_at) FROM ");
	sql_name(&sql, history);
	buf_putc(&sql, '.');
	sql_name(&sql, name);
	buf_puts(&sql, ") AS last_change");
	jo_object(&s->j, NULL);
	jo_cstr(&s->j, "table", full);
	if (put_snapshot(s, schema, name, &e) != OK)
		status_note(s, full, e.text);
	if (put_hold(s, schema, name, &e) != OK)
		status_note(s, full, e.text);
	if (warehouse_query(s->warehouse, buf_str(&sql), put_values, s, &e) != OK) {
		status_note(s, full, e.text);
		jo_null(&s->j, "rows");
		jo_null(&s->j, "last_change");
	}
	jo_end_object(&s->j);
	buf_free(&sql);
}

void status_put_tables(struct status *s)
{
	struct table_list l = {.mem = s->c->mem};
	struct error e = {.kind = OK};

	if (s->warehouse == NULL || list_tables(s, &l, &e) != OK) {
		jo_null(&s->j, "tables");
		if (s->warehouse != NULL)
			status_note(s, "tables", e.text);
		return;
	}
	jo_array(&s->j, "tables");
	for (size_t i = 0; i < l.n; i++)
		put_table(s, l.names[i][0], l.names[i][1]);
	jo_end_array(&s->j);
}

/* The last reconciliation */

static enum err put_reconciliation_row(void *arg, const struct chunk *c, struct error *e)
{
	struct status *s = arg;

	if (c->rows == 0)
		return OK;
	jo_object(&s->j, "reconciliation");
	enum err rc = put_values(s, c, e);
	jo_end_object(&s->j);
	return rc;
}

void status_put_reconciliation(struct status *s)
{
	struct error e = {.kind = OK};
	size_t before = s->j.b->n;
	enum err rc = OK;

	if (s->warehouse != NULL)
		rc = warehouse_query(s->warehouse,
			STR("SELECT ok, finished_at, lsn FROM ops.reconciliations "
			    "ORDER BY finished_at DESC LIMIT 1"),
			put_reconciliation_row, s, &e);
	if (rc != OK)
		status_note(s, "reconciliation", e.text);
	if (s->j.b->n == before)
		jo_null(&s->j, "reconciliation");
}
