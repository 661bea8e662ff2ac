#include "bulk.h"

#include <string.h>

#include "buf.h"
#include "clock.h"
#include "plan.h"

/* One COPY ... FROM STDIN in text format, rows gathered into a buffer. */
struct copy {
	struct pg *c;
	struct buf line;
	const char *table;
	bool first;
};

#define COPY_CHUNK ((size_t)1 << 16)

static enum err copy_begin(
	struct copy *k, struct pg *c, const char *table, const char *columns, struct error *e)
{
	*k = (struct copy){.c = c, .table = table};
	buf_init(&k->line, 1 << 22);
	struct arena mem = {0};
	struct str sql = arena_fmt(&mem, "COPY %s (%s) FROM STDIN", table, columns);
	PGresult *r = PQexec(c->conn, sql.p);
	enum err rc = OK;
	if (PQresultStatus(r) != PGRES_COPY_IN)
		rc = FAIL(e, ERR_FAILED, "loading %s in bulk: %s", table, PQerrorMessage(c->conn));
	PQclear(r);
	arena_free(&mem);
	return rc;
}

static enum err copy_flush(struct copy *k, size_t at_least, struct error *e)
{
	if (k->line.n < at_least || k->line.n == 0)
		return OK;
	if (PQputCopyData(k->c->conn, k->line.p, (int)k->line.n) != 1)
		return FAIL(e, ERR_UNAVAILABLE, "loading %s in bulk: %s", k->table,
			PQerrorMessage(k->c->conn));
	buf_reset(&k->line);
	return OK;
}

/* Ends the COPY, also after a failure, so that the connection can be used again. */
static enum err copy_end(struct copy *k, enum err rc, struct error *e)
{
	if (rc == OK)
		rc = copy_flush(k, 0, e);
	PQputCopyEnd(k->c->conn, rc == OK ? NULL : "the load was given up");
	PGresult *r;
	while ((r = PQgetResult(k->c->conn)) != NULL) {
		if (rc == OK && PQresultStatus(r) != PGRES_COMMAND_OK)
			rc = FAIL(e, ERR_FAILED, "loading %s in bulk: %s", k->table,
				PQresultErrorMessage(r));
		PQclear(r);
	}
	buf_free(&k->line);
	return rc;
}

static void sep(struct copy *k)
{
	if (!k->first)
		buf_putc(&k->line, '\t');
	k->first = false;
}

static void row_begin(struct copy *k)
{
	k->first = true;
}

static void row_end(struct copy *k)
{
	buf_putc(&k->line, '\n');
}

static void put_null(struct copy *k)
{
	sep(k);
	buf_puts(&k->line, "\\N");
}

static void put_int(struct copy *k, int64_t v)
{
	sep(k);
	buf_putf(&k->line, "%lld", (long long)v);
}

static void put_int_or_null(struct copy *k, int64_t v, bool present)
{
	if (present)
		put_int(k, v);
	else
		put_null(k);
}

static void put_text(struct copy *k, struct str s)
{
	sep(k);
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '\\':
			buf_puts(&k->line, "\\\\");
			break;
		case '\t':
			buf_puts(&k->line, "\\t");
			break;
		case '\n':
			buf_puts(&k->line, "\\n");
			break;
		case '\r':
			buf_puts(&k->line, "\\r");
			break;
		default:
			buf_putc(&k->line, s.p[i]);
		}
	}
}

static void put_time(struct copy *k, int64_t us)
{
	char text[CLOCK_TEXT];
	if (us == 0) {
		put_null(k);
		return;
	}
	sep(k);
	buf_puts(&k->line, clock_format(us, text, sizeof text));
}

static void put_date(struct copy *k, int32_t days)
{
	int64_t year;
	unsigned month, day;
	clock_civil(days, &year, &month, &day);
	sep(k);
	buf_putf(&k->line, "%04lld-%02u-%02u", (long long)year, month, day);
}

static enum err load_hotels(struct pg *c, struct error *e)
{
	struct copy k;
	enum err rc = copy_begin(&k, c, "hotels", "hotel_id, name, kind", e);
	for (int i = 0; rc == OK && i < 2; i++) {
		row_begin(&k);
		put_int(&k, i + 1);
		put_text(&k, str_of(record_hotels[i].name));
		put_text(&k, str_of(record_hotels[i].kind));
		row_end(&k);
	}
	return copy_end(&k, rc, e);
}

static enum err load_agents(struct pg *c, const struct records *r, struct error *e)
{
	struct arena mem = {0};
	int32_t most = 0;
	for (size_t i = 0; i < r->n; i++)
		most = r->items[i].agent > most ? r->items[i].agent : most;
	bool *seen = arena_array(&mem, (size_t)most + 1, sizeof *seen);
	for (size_t i = 0; i < r->n; i++)
		seen[r->items[i].agent] = true;

	struct copy k;
	enum err rc = copy_begin(&k, c, "agents", "agent_id, name", e);
	for (int32_t a = 1; rc == OK && a <= most; a++) {
		if (!seen[a])
			continue;
		row_begin(&k);
		put_int(&k, a);
		put_text(&k, arena_fmt(&mem, "Agent %d", (int)a));
		row_end(&k);
	}
	rc = copy_end(&k, rc, e);
	arena_free(&mem);
	return rc;
}

/* Times that lie beyond the moment have not happened yet. */
static int64_t before(int64_t at, int64_t until)
{
	return at != 0 && at < until ? at : 0;
}

static enum err load_guests(struct pg *c, const struct records *r, int64_t until, struct error *e)
{
	struct arena mem = {0};
	struct copy k;
	enum err rc = copy_begin(
		&k, c, "guests", "guest_id, full_name, email, country, created_at", e);
	for (size_t i = 0; rc == OK && i < r->n && r->items[i].booked_us < until; i++) {
		const struct record *rec = &r->items[i];
		row_begin(&k);
		put_int(&k, (int64_t)i + 1);
		put_text(&k, arena_fmt(&mem, "Guest %zu", i + 1));
		put_text(&k, arena_fmt(&mem, "guest%zu@example.com", i + 1));
		if (before(rec->checked_in_us, until) != 0 && rec->country.n > 0)
			put_text(&k, rec->country);
		else
			put_null(&k);
		put_time(&k, rec->booked_us);
		row_end(&k);
		rc = copy_flush(&k, COPY_CHUNK, e);
		arena_reset(&mem);
	}
	rc = copy_end(&k, rc, e);
	arena_free(&mem);
	return rc;
}

static const char *status_at(const struct record *rec, int64_t until)
{
	if (before(rec->ended_us, until) != 0)
		return rec->outcome == OUTCOME_NO_SHOW ? "no_show" : "cancelled";
	if (before(rec->checked_out_us, until) != 0)
		return "checked_out";
	return before(rec->checked_in_us, until) != 0 ? "checked_in" : "booked";
}

static void put_sale(struct copy *k, const struct record *rec)
{
	put_date(k, rec->arrival_days);
	put_int(k, rec->weekend_nights);
	put_int(k, rec->week_nights);
	put_int(k, rec->adults);
	put_int_or_null(k, rec->children, rec->children >= 0);
	put_int(k, rec->babies);
	put_text(k, rec->meal);
	put_text(k, rec->market_segment);
	put_text(k, rec->distribution_channel);
	put_text(k, rec->repeated_guest ? STR("t") : STR("f"));
	put_int(k, rec->previous_cancellations);
	put_int(k, rec->previous_stays);
	put_text(k, rec->reserved_room);
	put_text(k, rec->deposit);
	put_text(k, rec->customer);
	put_text(k, rec->daily_rate);
	put_int(k, rec->special_requests);
}

static void put_state(struct copy *k, const struct records *r, size_t i, int64_t until)
{
	const struct record *rec = &r->items[i];
	struct action story[ACT_KINDS];
	size_t n = plan_story(r, i, story), happened = 0;
	int64_t last = rec->booked_us;
	bool in_house = before(rec->checked_in_us, until) != 0;
	for (size_t a = 0; a < n; a++) {
		if (story[a].kind == ACT_ERASE || story[a].at_us >= until)
			continue;
		happened++;
		last = story[a].at_us;
	}
	put_text(k, str_of(status_at(rec, until)));
	put_text(k, in_house ? rec->assigned_room : rec->reserved_room);
	put_int(k, in_house ? rec->parking_spaces : 0);
	if (in_house && rec->country.n > 0)
		put_text(k, rec->country);
	else
		put_null(k);
	put_int(k, in_house ? rec->changes : 0);
	put_time(k, rec->outcome == OUTCOME_CANCELLED ? before(rec->ended_us, until) : 0);
	put_time(k, before(rec->checked_in_us, until));
	put_time(k, before(rec->checked_out_us, until));
	put_time(k, last);
	put_int(k, (int64_t)happened);
}

static enum err load_bookings(
	struct pg *c, const struct records *r, int64_t until, int64_t *count, struct error *e)
{
	struct copy k;
	*count = 0;
	enum err rc = copy_begin(&k, c, "bookings",
		"booking_id, guest_id, hotel_id, agent_id, company_id, booked_at, arrival_date, "
		"weekend_nights, week_nights, adults, children, babies, meal, market_segment, "
		"distribution_channel, is_repeated_guest, previous_cancellations, previous_stays, "
		"reserved_room_type, deposit_type, customer_type, daily_rate, special_requests, "
		"status, assigned_room_type, parking_spaces, country, changes, cancelled_at, "
		"checked_in_at, checked_out_at, changed_at, version",
		e);
	for (size_t i = 0; rc == OK && i < r->n && r->items[i].booked_us < until; i++) {
		const struct record *rec = &r->items[i];
		row_begin(&k);
		put_int(&k, (int64_t)i + 1);
		put_int(&k, (int64_t)i + 1);
		put_int(&k, rec->hotel + 1);
		put_int_or_null(&k, rec->agent, rec->agent != 0);
		put_int_or_null(&k, rec->company, rec->company != 0);
		put_time(&k, rec->booked_us);
		put_sale(&k, rec);
		put_state(&k, r, i, until);
		row_end(&k);
		(*count)++;
		rc = copy_flush(&k, COPY_CHUNK, e);
	}
	return copy_end(&k, rc, e);
}

static const char *event_name(uint8_t kind)
{
	static const char *const names[ACT_KINDS] = {[ACT_CREATE] = "created",
		[ACT_ROOM] = "room_assigned",
		[ACT_CANCEL] = "cancelled",
		[ACT_NO_SHOW] = "no_show",
		[ACT_CHECK_IN] = "checked_in",
		[ACT_CHECK_OUT] = "checked_out"};
	return names[kind];
}

static void put_event(struct copy *k, const struct record *rec, const struct action *a)
{
	row_begin(k);
	put_int(k, (int64_t)a->record + 1);
	put_text(k, str_of(event_name(a->kind)));
	put_time(k, a->at_us);
	put_int(k, rec->hotel + 1);
	put_int_or_null(k, rec->agent, rec->agent != 0);
	put_date(k, rec->arrival_days);
	put_int(k, rec->weekend_nights + rec->week_nights);
	row_end(k);
}

static enum err load_events(
	struct pg *c, const struct records *r, int64_t until, int64_t *count, struct error *e)
{
	struct arena mem = {0};
	struct plan p;
	struct copy k;
	plan_make(r, INT64_MIN, until, &mem, &p);
	*count = 0;
	enum err rc = copy_begin(&k, c, "booking_events",
		"booking_id, kind, occurred_at, hotel_id, agent_id, arrival_date, nights", e);
	for (size_t i = 0; rc == OK && i < p.n; i++) {
		if (p.items[i].kind == ACT_ERASE)
			continue;
		put_event(&k, &r->items[p.items[i].record], &p.items[i]);
		(*count)++;
		rc = copy_flush(&k, COPY_CHUNK, e);
	}
	rc = copy_end(&k, rc, e);
	arena_free(&mem);
	return rc;
}

/* New rows must not take the numbers of those that are loaded. */
static enum err advance_sequences(struct pg *c, size_t n, struct error *e)
{
	struct arena mem = {0};
	struct str sql = arena_fmt(&mem,
		"SELECT setval(pg_get_serial_sequence('bookings', 'booking_id'), %zu), "
		"setval(pg_get_serial_sequence('guests', 'guest_id'), %zu)",
		n, n);
	enum err rc = pg_exec(c, sql.p, "advancing the sequences", e);
	arena_free(&mem);
	return rc;
}

static enum err load_all(struct pg *c, const struct records *r, int64_t until,
	struct bulk_result *out, struct error *e)
{
	TRY(load_hotels(c, e));
	TRY(load_agents(c, r, e));
	TRY(load_guests(c, r, until, e));
	TRY(load_bookings(c, r, until, &out->bookings, e));
	TRY(load_events(c, r, until, &out->events, e));
	return advance_sequences(c, r->n, e);
}

enum err bulk_load(struct pg *c, const struct records *r, int64_t until_us, struct bulk_result *out,
	struct error *e)
{
	*out = (struct bulk_result){0};
	TRY(pg_exec(c, "BEGIN", "beginning the bulk load", e));
	enum err rc = load_all(c, r, until_us, out, e);
	struct error ignored = {0};
	if (rc == OK)
		rc = pg_exec(c, "COMMIT", "committing the bulk load", e);
	else if (pg_exec(c, "ROLLBACK", "giving up the bulk load", &ignored) != OK)
		log_warn(c->env->log, "demo", ignored.text);
	if (rc == OK)
		rc = pg_exec(c, "ANALYZE", "gathering statistics", e);
	return rc;
}
