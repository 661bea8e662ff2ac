/*
 * PostgreSQL is the oracle: values of every kind go in as text, and come back as text in an
 * ordinary session, as binary through COPY and as text through the replication stream. The three
 * must make equal values, and print as PostgreSQL printed them, or stand in the notes so.
 */
#include "oracle.h"

struct value_case {
	const char *type;
	enum type_kind lands;
	const char *values[28];
};

#define NINETY                                                                                     \
	"123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"  \
	"890"
#define THIRTY_EIGHT "99999999999999999999999999999999999999"

static const struct value_case cases[] = {
	{"boolean", T_BOOL, {"t", "f"}},
	{"smallint", T_INT2, {"0", "-32768", "32767", "7"}},
	{"integer", T_INT4, {"0", "-2147483648", "2147483647"}},
	{"bigint", T_INT8, {"0", "-9223372036854775808", "9223372036854775807", "-1"}},
	{"oid", T_UINT4, {"0", "4294967295", "2147483648"}},
	{"xid", T_UINT4, {"3", "4294967295"}},
	{"real", T_FLOAT4,
		{"0", "-0", "1.5", "3.4028235e38", "1e-45", "1.17549435e-38", "NaN", "Infinity",
			"-Infinity", "16777217", "0.1", "-123456.7", "1e10", "33554432"}},
	{"double precision", T_FLOAT8,
		{"0", "-0", "0.1", "1e22", "1e23", "5e-324", "1.7976931348623157e308", "NaN",
			"Infinity", "-Infinity", "9007199254740993", "123456789012345678",
			"0.30000000000000004", "2.2250738585072014e-308", "-1e-10", "1e-22",
			"2.5e-7", "1234567.8901234567"}},
	{"numeric", T_DECIMAL,
		{"0", "55.066315446079813", NINETY, "NaN", "Infinity", "-Infinity", "1.50", "1e20",
			"99999999999999999999999999999.999999999", "1e29", "1e28", "0.0000000001",
			"-0.000000001", "10000", "100000000", "12345678.9", "0.00010000", "1e-200",
			"1e300", "-0.00000000050", "7.000000000000000000000000", "0.00",
			"1234567890123456789012345678.9", "0000012.500"}},
	{"numeric(10,2)", T_DECIMAL, {"0", "-99999999.99", "1.5", "NaN", "0.01"}},
	{"numeric(38,0)", T_DECIMAL, {"0", THIRTY_EIGHT, "-" THIRTY_EIGHT, "NaN"}},
	{"numeric(38,38)", T_DECIMAL, {"0", "0." THIRTY_EIGHT, "-0.5", "1e-38"}},
	{"numeric(3,5)", T_DECIMAL, {"0.00999", "-0.00001", "0"}},
	{"numeric(5,-3)", T_DECIMAL, {"99999000", "-1499", "0", "1500"}},
	{"numeric(4,-40)", T_DECIMAL, {"1e43", "0", "1e40"}},
	{"numeric(78,0)", T_DECIMAL, {THIRTY_EIGHT THIRTY_EIGHT "99", "12", THIRTY_EIGHT}},
	{"numeric(50,20)", T_DECIMAL, {"1.5", "0.00000000000000000001", "1e29"}},
	{"numeric(1000,500)", T_DECIMAL, {"1.5", "1e-500", "1e499"}},
	{"numeric(5,60)", T_DECIMAL, {"1e-56", "0"}},
	{"text", T_TEXT,
		{"", "NULL", "\\N", "a\tb\nc\\d", "\303\251\360\237\216\211", "  spaces  ", "'\""}},
	{"varchar(10)", T_TEXT, {"", "0123456789", "ab  "}},
	{"char(5)", T_TEXT, {"", "ab", "abcde"}},
	{"name", T_TEXT, {"a name", ""}},
	{"\"char\"", T_TEXT, {"a", ""}},
	{"json", T_JSON,
		{"{\"a\":18446744073709551616, \"a\" : 1e309}", " [1,  2 ]", "null", "\"\""}},
	{"jsonb", T_JSON, {"{\"b\":1.10,\"a\":[1,2,{}]}", "1", "\"\\u00e9\""}},
	{"bytea", T_BYTES, {"", "\\x00", "\\x00ff5c0a", "\\xdeadbeef"}},
	{"uuid", T_UUID,
		{"00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}},
	{"date", T_DATE,
		{"infinity", "-infinity", "4714-11-24 BC", "5874897-12-31", "0001-01-01",
			"0001-12-31 BC", "10000-03-14", "2000-02-29", "1970-01-01", "1969-12-31",
			"1900-02-28", "0005-02-28 BC", "0005-02-29 BC"}},
	{"time", T_TIME,
		{"00:00:00", "24:00:00", "00:00:00.000249", "23:59:59.999999", "12:30:00.5"}},
	{"time(3)", T_TIME, {"01:02:03.4567"}},
	{"time with time zone", T_TEXT, {"13:51:30.123789+02:00", "00:00:00-12:30"}},
	{"timestamp", T_TIMESTAMP,
		{"infinity", "-infinity", "4714-11-24 00:00:00 BC", "294247-01-01 23:59:59.999999",
			"294247-01-10 04:00:54.775806", "294247-01-10 04:00:54.775807",
			"294247-01-10 04:00:54.775808", "294276-12-31 23:59:59.999999",
			"294270-05-06 07:08:09.1", "0001-12-31 23:59:59.999999 BC",
			"1969-12-31 23:59:59.999999", "2017-03-01 12:34:56.78",
			"10000-01-01 00:00:00"}},
	{"timestamptz", T_TIMESTAMPTZ,
		{"infinity", "-infinity", "4714-11-24 00:00:00+00 BC",
			"294276-12-31 23:59:59.999999+00", "0001-01-01 00:00:00+14",
			"2024-02-29 23:30:00-01", "1970-01-01 00:00:00+00",
			"9999-12-31 23:59:59.9+00"}},
	{"timestamptz(0)", T_TIMESTAMPTZ, {"2024-02-29 23:30:00.5+05:30"}},
	{"interval", T_INTERVAL,
		{"P1Y2M3DT4H5M6.78S", "0", "-1 mon +1 day", "1 mon -1 day", "-00:00:00.000001",
			"178956970 years 7 mons 2147483647 days 2562047788:00:54.775807",
			"-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807",
			"1 year", "-1 year -1 mon", "3 days 25:00:00", "1 day -01:00:00"}},
	{"money", T_DECIMAL, {"($1234.11)", "0"}},
	{"inet", T_TEXT, {"10.0.0.1", "10.0.0.0/8", "::1"}},
	{"cidr", T_TEXT, {"10.0.0.0/8", "::1/128"}},
	{"macaddr", T_TEXT, {"08:00:2b:01:02:03"}},
	{"bit(5)", T_TEXT, {"10101"}},
	{"bit varying", T_TEXT, {"", "1"}},
	{"point", T_TEXT, {"(0.1,-2)"}},
	{"tsvector", T_TEXT, {"'a':1 'b':2"}},
	{"int4range", T_TEXT, {"[1,5)", "empty", "(,)"}},
	{"nummultirange", T_TEXT, {"{[1.5,2),(3,)}", "{}"}},
	{"integer[]", T_JSON, {"{1,NULL,3}", "{}", "[0:1]={1,2}"}},
	{"text[]", T_JSON, {"{{{a,b},{c,d}}}", "{\"\",\"NULL\",\"a\\\\b\"}"}},
	{"char(3)[]", T_JSON, {"{a,bc}"}},
	{"mood", T_TEXT, {"so so", "ok"}},
	{"pair", T_TEXT, {"(,)", "(1,\"a b\")"}},
	{"price", T_DECIMAL, {"12.5", "NaN"}},
	{"discount", T_DECIMAL, {"1.25"}},
	{"free", T_DECIMAL, {"1.25", "1e-20"}},
	{"code", T_TEXT, {"ab"}},
	{"yesno", T_BOOL, {"t", "f"}},
	{"birthday", T_DATE, {"2000-01-01", "infinity"}},
	{"pg_lsn", T_TEXT, {"16/B374D848"}},
	{"regclass", T_TEXT, {"pg_catalog.pg_class"}},
};

#define CASES (sizeof cases / sizeof *cases)

static const char table_types[] = "CREATE TYPE mood AS ENUM ('sad', 'so so', 'ok');"
				  "CREATE TYPE pair AS (n integer, t text);"
				  "CREATE DOMAIN price AS numeric(10,2);"
				  "CREATE DOMAIN discount AS price CHECK (value < 100);"
				  "CREATE DOMAIN free AS numeric;"
				  "CREATE DOMAIN code AS char(4);"
				  "CREATE DOMAIN yesno AS boolean;"
				  "CREATE DOMAIN birthday AS date;";

static void run(struct fixture *f, const char *sql, int n, const char *const *params)
{
	struct error e = {.kind = OK};
	struct arena mem = {0};
	PGresult *r;

	assert_ok(pg_query(f->pg, sql, n, params, sql, &mem, &r, &e), &e);
	arena_free(&mem);
}

static void insert(
	struct fixture *f, const char *table, const char *type, int id, const char *value)
{
	const char *id_text = arena_fmt(&f->mem, "%d", id).p;
	const char *params[] = {id_text, value};

	run(f,
		arena_fmt(
			&f->mem, "INSERT INTO %s VALUES ($1::integer, CAST($2 AS %s))", table, type)
			.p,
		2, params);
}

static void make_table(struct fixture *f, const char *name, const char *type, struct tried *t)
{
	fixture_exec(f,
		arena_fmt(&f->mem, "CREATE TABLE %s (id integer PRIMARY KEY, v %s)", name, type).p);
	oracle_open(f, name, t);
}

static void fill_case(
	struct fixture *f, const struct value_case *c, const char *name, struct tried *t)
{
	int id = 1;

	make_table(f, name, c->type, t);
	assert_int_equal(t->table->columns[1].type.kind, c->lands);
	insert(f, name, c->type, 0, NULL);
	for (size_t i = 0; i < sizeof c->values / sizeof *c->values && c->values[i] != NULL; i++)
		insert(f, name, c->type, id++, c->values[i]);
}

static void test_every_type(void **state)
{
	struct fixture *f = *state;
	static struct tried tried[CASES];
	char name[32];

	fixture_exec(f, table_types);
	struct pg *c = oracle_open_slot(f, "every_type");
	for (size_t i = 0; i < CASES; i++) {
		snprintf(name, sizeof name, "t%zu", i);
		fill_case(f, &cases[i], name, &tried[i]);
	}
	for (size_t i = 0; i < CASES; i++) {
		oracle_read_text(f, &tried[i]);
		oracle_read_copy(f, &tried[i]);
	}
	oracle_read_stream(f, c, "every_type", tried, CASES);
	for (size_t i = 0; i < CASES; i++) {
		oracle_judge(f, &tried[i]);
		oracle_close(&tried[i]);
	}
	oracle_close_slot(f, c, "every_type");
}

/* Values that nobody thought of. */
static struct str draw_numeric(struct rnd *r, struct arena *mem)
{
	char digits[128];
	size_t n = 1 + rnd_below(r, 60), point = rnd_below(r, n + 1);
	struct str text = STR("");

	for (size_t i = 0; i < n; i++)
		digits[i] = (char)('0' + (rnd_below(r, 3) == 0 ? 0 : rnd_below(r, 10)));
	text = arena_fmt(mem, "%s%.*s%s%.*s", rnd_below(r, 2) ? "-" : "", (int)point, digits,
		point < n ? "." : "", (int)(n - point), digits + point);
	return text;
}

static struct str draw_float8(struct rnd *r, struct arena *mem)
{
	uint64_t bits = rnd_u64(r);
	double v;

	memcpy(&v, &bits, sizeof v);
	if (rnd_below(r, 4) == 0) /* the everyday kind */
		v = (double)(int64_t)rnd_below(r, 100000000) / 100;
	return v != v ? STR("NaN") : arena_fmt(mem, "%.17g", v);
}

static struct str draw_float4(struct rnd *r, struct arena *mem)
{
	uint32_t bits = (uint32_t)rnd_u64(r);
	float v;

	memcpy(&v, &bits, sizeof v);
	return v != v ? STR("NaN") : arena_fmt(mem, "%.9g", (double)v);
}

static struct str draw_timestamp(struct rnd *r, struct arena *mem)
{
	/* All that PostgreSQL has, as seconds from its own epoch. */
	int64_t us = (int64_t)(rnd_below(r, 9434000000000000000U) - 211000000000000000U);

	return arena_fmt(mem, "%lld", (long long)us);
}

static struct str draw_date(struct rnd *r, struct arena *mem)
{
	return arena_fmt(mem, "%lld", (long long)rnd_below(r, 2147480000U) - 2451507);
}

static struct str draw_interval(struct rnd *r, struct arena *mem)
{
	int64_t us = (int64_t)(rnd_u64(r) >> rnd_below(r, 60));

	return arena_fmt(mem, "%d months %d days %s%lld.%06lld seconds",
		(int32_t)(rnd_u64(r) >> rnd_below(r, 30)),
		(int32_t)(rnd_u64(r) >> rnd_below(r, 30)), rnd_below(r, 2) ? "-" : "",
		(long long)(llabs(us) / 1000000 % 1000000000000), (long long)(llabs(us) % 1000000));
}

/* Each drawn text becomes a value by an expression in which $2 stands for it. */
static const struct {
	const char *name, *type, *expression;
	struct str (*draw)(struct rnd *, struct arena *);
} draws[] = {
	{"drawn_numeric", "numeric", "$2::numeric", draw_numeric},
	{"drawn_scaled", "numeric(30,8)", "$2::numeric % 1e22", draw_numeric},
	{"drawn_float8", "float8", "$2::float8", draw_float8},
	{"drawn_float4", "float4", "$2::float4", draw_float4},
	{"drawn_timestamp", "timestamp",
		"timestamp '2000-01-01' + make_interval(secs => 0) + ($2::numeric / 1000000)::text"
		"::interval",
		draw_timestamp},
	{"drawn_date", "date", "date '2000-01-01' + $2::text::integer", draw_date},
	{"drawn_interval", "interval", "$2::interval", draw_interval},
};

#define DRAWS     (sizeof draws / sizeof *draws)
#define DRAW_ROWS 400

static void test_drawn_values(void **state)
{
	struct fixture *f = *state;
	static struct tried tried[DRAWS];
	struct rnd r;

	rnd_seed(&r, unit_seed());
	struct pg *c = oracle_open_slot(f, "drawn");
	for (size_t i = 0; i < DRAWS; i++) {
		make_table(f, draws[i].name, draws[i].type, &tried[i]);
		fixture_exec(f, "BEGIN");
		for (int id = 0; id < DRAW_ROWS; id++) {
			const char *params[] = {
				arena_fmt(&f->mem, "%d", id).p, draws[i].draw(&r, &f->mem).p};
			run(f,
				arena_fmt(&f->mem, "INSERT INTO %s SELECT $1::integer, %s",
					draws[i].name, draws[i].expression)
					.p,
				2, params);
		}
		fixture_exec(f, "COMMIT");
		oracle_read_text(f, &tried[i]);
		oracle_read_copy(f, &tried[i]);
	}
	oracle_read_stream(f, c, "drawn", tried, DRAWS);
	for (size_t i = 0; i < DRAWS; i++) {
		oracle_judge(f, &tried[i]);
		oracle_close(&tried[i]);
	}
	oracle_close_slot(f, c, "drawn");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_drawn_values),
	};

	return cmocka_run_group_tests_name("value", tests, fixture_start, fixture_stop);
}
