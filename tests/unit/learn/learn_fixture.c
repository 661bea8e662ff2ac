#include "learn_fixture.h"

#include "file.h"

/*
 * Bookings of two years. A guest's probability to cancel hangs on deposit, segment and lead time;
 * half of the bookings have more than one version, as if they had come by the stream. Everything
 * follows from the booking's number by md5, so each run sees the same.
 */
static const char history_sql[] =
	"CREATE SCHEMA public_history;"
	"CREATE TEMP MACRO chance(i, what) AS"
	" CAST('0x' || substr(md5(i || '-' || what), 1, 7) AS BIGINT) / 268435456.0;"
	"CREATE TABLE made AS WITH a AS (SELECT i AS booking_id, 1 + i % 2 AS hotel_id,"
	" CASE WHEN i % 7 > 0 THEN CAST(floor(chance(i, 'agent') * 9) AS INTEGER) END AS agent_id,"
	" CAST(floor(chance(i, 'lead') * 120) AS INTEGER) AS lead,"
	" epoch_us(TIMESTAMPTZ '2015-01-01 08:00:00+00') + i * CAST(15768e6 AS BIGINT) AS t,"
	" 1 + i % 5 AS nights, chance(i, 'deposit') < 0.2 AS refund,"
	" ['Online', 'Groups', 'Direct'][1 + CAST(floor(chance(i, 'segment') * 3) AS INTEGER)]"
	" AS segment FROM range(1, 4001) r(i))"
	" SELECT *, 0.15 + 0.5 * CAST(refund AS INTEGER) + CASE segment WHEN 'Groups' THEN 0.2"
	" WHEN 'Direct' THEN -0.1 ELSE 0 END + lead / 1000.0 AS p,"
	" CAST(make_timestamp(t) AS DATE) + lead AS arrival_date FROM a;"
	"CREATE TABLE ends AS SELECT booking_id, CASE WHEN chance(booking_id, 'lost') < p"
	" THEN t + 3600000000 + CAST(floor(chance(booking_id, 'when') * lead * 86400e6) AS BIGINT)"
	" ELSE t + CAST(lead * 86400 + 28800 AS BIGINT) * 1000000 END AS ended,"
	" chance(booking_id, 'lost') < p AS lost FROM made;"
	"CREATE TABLE public_history.booking_events_versions AS"
	" WITH e AS (SELECT booking_id, 'created' AS kind, t AS at, 0 AS n FROM made"
	" UNION ALL SELECT booking_id, CASE WHEN lost THEN 'cancelled' ELSE 'checked_in' END,"
	" ended, 1 FROM ends WHERE ended < epoch_us(TIMESTAMPTZ '2017-01-01 00:00:00+00'))"
	" SELECT 2 * e.booking_id + n AS event_id, e.booking_id, e.kind,"
	" make_timestamp(e.at) AT TIME ZONE 'UTC' AS occurred_at, m.hotel_id, m.agent_id,"
	" m.arrival_date, m.nights, '{}' AS details, 'r' AS _op, 1 AS _lsn, 0 AS _seq,"
	" make_timestamp(e.at) AT TIME ZONE 'UTC' AS _valid_from,"
	" TIMESTAMPTZ 'infinity' AS _valid_to FROM e JOIN made m USING (booking_id);"
	"CREATE TABLE public_history.bookings_versions AS"
	" WITH v AS (SELECT booking_id, t AS at, 1 AS n, 'booked' AS status FROM made"
	" WHERE booking_id % 2 = 0 UNION ALL SELECT booking_id, ended, 2,"
	" CASE WHEN lost THEN 'cancelled' ELSE 'checked_in' END FROM ends)"
	" SELECT m.booking_id, m.hotel_id, m.agent_id, NULL::INTEGER AS company_id, v.status,"
	" CAST(m.nights / 3 AS INTEGER) AS weekend_nights, m.nights AS week_nights, 2 AS adults,"
	" 0 AS children, 0 AS babies, 'BB' AS meal, m.segment AS market_segment,"
	" 'TA' AS distribution_channel, false AS is_repeated_guest, 0 AS previous_cancellations,"
	" 0 AS previous_stays, 'A' AS reserved_room_type,"
	" CASE WHEN v.n = 2 AND booking_id % 5 = 0 THEN 'B' ELSE 'A' END AS assigned_room_type,"
	" CASE WHEN m.refund THEN 'Non Refund' ELSE 'No Deposit' END AS deposit_type,"
	" 'Transient' AS customer_type, CAST(50 + booking_id % 90 AS DECIMAL(10, 2)) AS daily_rate,"
	" 0 AS special_requests, 'I' AS _op, v.n AS _lsn, 0 AS _seq,"
	" make_timestamp(v.at) AT TIME ZONE 'UTC' AS _valid_from,"
	" coalesce(lead(make_timestamp(v.at) AT TIME ZONE 'UTC') OVER (PARTITION BY booking_id"
	" ORDER BY v.n), TIMESTAMPTZ 'infinity') AS _valid_to"
	" FROM v JOIN made m USING (booking_id);"
	"INSERT INTO ops.marks VALUES ('position', '{\"lsn\":\"1/2B\"}');";

void learn_reopen(struct learn_fixture *f)
{
	char url[200];
	struct error e = {0};

	warehouse_close(f->w);
	f->w = NULL;
	snprintf(url, sizeof url, "duckdb://%s/w.duckdb", f->dir);
	const struct warehouse_options o = {.url = url, .threads = 2, .memory_limit = 1 << 29};
	assert_ok(warehouse_open(&f->w, &o, &f->env, &e), &e);
}

int learn_setup(void **state)
{
	struct learn_fixture *f = calloc(1, sizeof *f);
	char url[200];
	struct error e = {0};

	unit_tmpdir(f->dir, sizeof f->dir);
	clock_manual_init(&f->clock, INT64_C(1500000000000000));
	rnd_seed(&f->rnd, 1);
	f->env = (struct env){.clock = &f->clock.base, .rnd = &f->rnd};
	learn_reopen(f);
	snprintf(url, sizeof url, "local://%s/models", f->dir);
	assert_ok(models_open(&f->m, url, &f->env, &e), &e);
	assert_ok(warehouse_ensure_ops(f->w, &e), &e);
	learn_script(f, history_sql);
	*state = f;
	return 0;
}

int learn_teardown(void **state)
{
	struct learn_fixture *f = *state;
	struct error e = {0};

	warehouse_close(f->w);
	models_close(f->m);
	arena_free(&f->mem);
	assert_ok(file_remove_tree(f->dir, &e), &e);
	free(f);
	return 0;
}

void learn_script(struct learn_fixture *f, const char *sql)
{
	struct error e = {0};

	assert_ok(warehouse_script(f->w, str_of(sql), &e), &e);
}

int64_t learn_number(struct learn_fixture *f, const char *sql)
{
	struct error e = {0};
	int64_t n = -1;

	assert_ok(warehouse_i64(f->w, str_of(sql), &n, &e), &e);
	return n;
}

void learn_expect_text(struct learn_fixture *f, const char *sql, const char *want)
{
	struct error e = {0};
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_ok(warehouse_text(f->w, str_of(sql), &b, &e), &e);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

struct feature_set learn_built_in(struct learn_fixture *f)
{
	struct feature_set set;
	struct error e = {0};

	assert_ok(feature_set_find(NULL, "cancel_risk", &f->mem, &set, &e), &e);
	return set;
}

struct feature_set learn_set(struct learn_fixture *f, const char *body)
{
	struct feature_set set;
	struct error e = {0};
	struct str text = arena_fmt(&f->mem,
		"-- entity: booking_id\n-- as_of: booked_at\n-- label: cancelled\n"
		"-- label_at: label_at\n-- open: is_open\n%s",
		body);

	assert_ok(feature_set_parse(STR("cancel_risk"), text, &f->mem, &set, &e), &e);
	return set;
}

struct train_options learn_options(void)
{
	return (struct train_options){.cut = "2016-06-01",
		.trees = 60,
		.depth = 4,
		.learning_rate = "0.1",
		.seed = 7,
		.threads = 1};
}
