/*
 * Values on which other replication tools are known to fail. Each goes in as SQL and comes by all
 * three ways; it must stand in its column as said here, or be NULL there with its text in a note.
 */
#include "oracle.h"

#define SLOT "demanding"

struct demand {
	int number; /* a value of a family has the family's number */
	const char *type;
	enum type_kind lands;
	bool held;        /* in the column; otherwise in the note */
	const char *cell; /* the column's text, or the note's; NULL: the value is NULL */
	const char *value;
};

#define NINES_38 "99999999999999999999999999999999999999"
#define NINES_78 NINES_38 NINES_38 "99"
#define NINETY                                                                                     \
	"123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"  \
	"890"

static const struct demand demands[] = {
	{1, "date", T_DATE, true, "infinity", "'infinity'"},
	{1, "date", T_DATE, true, "-infinity", "'-infinity'"},
	{2, "timestamptz", T_TIMESTAMPTZ, true, "infinity", "'infinity'"},
	{2, "timestamptz", T_TIMESTAMPTZ, true, "-infinity", "'-infinity'"},
	{3, "timestamp", T_TIMESTAMP, true, "294247-01-01 23:59:59.999999",
		"'294247-01-01 23:59:59.999999'"},
	{3, "timestamp", T_TIMESTAMP, false, "294276-12-31 23:59:59.999999",
		"'294276-12-31 23:59:59.999999'"},
	{4, "timestamp", T_TIMESTAMP, true, "4713-12-31 00:00:00 BC", "'4713-12-31 BC'"},
	{6, "date", T_DATE, true, "10000-03-14", "'10000-03-14'"},
	{7, "timestamptz", T_TIMESTAMPTZ, true, "0001-12-31 00:00:00+00 BC",
		"timestamptz '0001-01-01 00:00:00+00' - interval '1 day'"},
	{9, "timestamp", T_TIMESTAMP, true, "2024-02-29 12:34:56.789012",
		"'2024-02-29 12:34:56.789012'"},
	{10, "time", T_TIME, true, "24:00:00", "'24:00:00'"},
	{11, "time", T_TIME, true, "00:00:00.000249", "'00:00:00.000249'"},
	{12, "timetz", T_TEXT, true, "13:51:30.123789+02", "'13:51:30.123789+02:00'"},
	{13, "interval", T_INTERVAL, true, "1 year 2 mons 3 days 04:05:06.78",
		"'P1Y2M3DT4H5M6.78S'"},
	{13, "interval", T_INTERVAL, true, "00:00:00", "'0'"},
	{15, "numeric", T_DECIMAL, false, "55.066315446079813", "55.066315446079813"},
	{15, "numeric(20,15)", T_DECIMAL, true, "55.066315446079813", "55.066315446079813"},
	{17, "numeric", T_DECIMAL, false, NINETY, NINETY},
	{17, "numeric", T_DECIMAL, true, "1.000000000", "1"},
	{19, "numeric", T_DECIMAL, false, "NaN", "'NaN'"},
	{19, "numeric", T_DECIMAL, false, "Infinity", "'Infinity'"},
	{19, "numeric", T_DECIMAL, false, "-Infinity", "'-Infinity'"},
	{20, "numeric(78,0)", T_DECIMAL, false, NINES_78, NINES_78},
	{22, "float8", T_FLOAT8, true, "NaN", "'NaN'"},
	{22, "float8", T_FLOAT8, true, "Infinity", "'Infinity'"},
	{22, "float8", T_FLOAT8, true, "-Infinity", "'-Infinity'"},
	{22, "float8", T_FLOAT8, true, "-0", "'-0'"},
	{22, "float8", T_FLOAT8, true, "5e-324", "'5e-324'"},
	{23, "oid", T_UINT4, true, "4294967295", "4294967295"},
	{24, "money", T_DECIMAL, true, "-1234.11", "'($1234.11)'"},
	{24, "money", T_DECIMAL, true, "-92233720368547758.08", "'-92233720368547758.08'"},
	{26, "bytea", T_BYTES, true, "\\x00", "'\\x00'"},
	{27, "text", T_TEXT, true, "NULL", "'NULL'"},
	{27, "text", T_TEXT, true, "\\N", "'\\N'"},
	{27, "text", T_TEXT, true, "\t\n", "E'\\t\\n'"},
	{27, "text", T_TEXT, true, "", "''"},
	{27, "text", T_TEXT, true, "\303\251\360\237\216\211", "E'\\u00e9\\U0001F389'"},
	{28, "json", T_JSON, true, "{\"a\":18446744073709551616}",
		"'{\"a\":18446744073709551616}'"},
	{28, "json", T_JSON, true, "1e309", "'1e309'"},
	{29, "json", T_JSON, true, " {\"b\" : 1,  \"a\":2, \"b\":1.0} ",
		"' {\"b\" : 1,  \"a\":2, \"b\":1.0} '"},
	{29, "json", T_JSON, true, "\"\\u0000\"", "'\"\\u0000\"'"},
	/* Half a surrogate pair is no text: DuckDB refuses every question about the column. */
	{29, "json", T_JSON, false, "{\"a\":\"\\ud800\"}", "'{\"a\":\"\\ud800\"}'"},
	{29, "json", T_JSON, false, "[\"\\udc00\\ud800\"]", "'[\"\\udc00\\ud800\"]'"},
	{29, "json", T_JSON, true, "\"\\\\ud800 \\ud83c\\udf89\"",
		"'\"\\\\ud800 \\ud83c\\udf89\"'"},
	{32, "int[]", T_JSON, true, "[1,null,3]", "'{1,NULL,3}'"},
	{32, "int[]", T_JSON, true, "[]", "'{}'"},
	{32, "int[]", T_JSON, true, NULL, "NULL"},
	{32, "int[]", T_JSON, false, "[0:1]={1,2}", "'[0:1]={1,2}'"},
	{34, "text[]", T_JSON, true, "[[[\"a\",\"b\"],[\"c\",\"d\"]]]", "'{{{a,b},{c,d}}}'"},
	{34, "text[]", T_JSON, true, "[\"NULL\",\"\",null,\"a\\\"b\\\\\"]",
		"ARRAY['NULL', '', NULL, 'a\"b\\']"},
	{34, "jsonb[]", T_JSON, true, "[\"[1]\",\"null\",null]",
		"ARRAY['[1]', 'null', NULL]::jsonb[]"},
	{34, "float8[]", T_JSON, true, "[1e-05,\"NaN\",-0]", "'{1e-5,NaN,-0}'"},
	{34, "numeric[]", T_JSON, true, "[\"55.066315446079813\",\"NaN\"]",
		"'{55.066315446079813,NaN}'"},
	{34, "bool[]", T_JSON, true, "[[true,false],[null,true]]", "'{{t,f},{NULL,t}}'"},
	{35, "hstore", T_JSON, true, "{\"\":\"1\",\"a\":null}", "'\"a\"=>NULL, \"\"=>1'"},
	{35, "hstore", T_JSON, true, "{}", "''"},
	{37, "feeling", T_TEXT, true, "so so", "'so so'"},
	{37, "price", T_DECIMAL, true, "12.50", "12.5"},
	{37, "pair", T_TEXT, true, "(1,\"a b\")", "'(1,\"a b\")'"},
	{38, "sparsevec", T_TEXT, true, "{}/5", "'{}/5'"},
};

#define DEMANDS (sizeof demands / sizeof *demands)

static const char types[] =
	"SET client_min_messages = error; CREATE EXTENSION hstore;"
	"CREATE TYPE feeling AS ENUM ('sad', 'so so'); CREATE DOMAIN price AS numeric(10,2);"
	"CREATE TYPE pair AS (n integer, t text);"
	/* A type of which nothing is known but its text. */
	"CREATE TYPE sparsevec;"
	"CREATE FUNCTION sparsevec_in(cstring) RETURNS sparsevec AS 'textin' LANGUAGE internal "
	"IMMUTABLE STRICT;"
	"CREATE FUNCTION sparsevec_out(sparsevec) RETURNS cstring AS 'textout' LANGUAGE internal "
	"IMMUTABLE STRICT;"
	"CREATE TYPE sparsevec (INPUT = sparsevec_in, OUTPUT = sparsevec_out)";

static void check(const struct demand *d, const struct tried *t)
{
	const struct vec *v = &t->text->cols[1];
	struct str note = oracle_exact(t->text, 0, 1);
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	type_print(v, 0, &b);
	if (t->table->columns[1].type.kind != d->lands)
		fail_msg("%d, %s: lands as %s", d->number, d->type,
			type_name(t->table->columns[1].type.kind));
	bool held = !vec_is_null(v, 0);
	if (held != (d->held && d->cell != NULL) || (note.p != NULL) != !d->held)
		fail_msg("%d, %s %s: %s held, %s noted", d->number, d->type, d->value,
			held ? "is" : "is not", note.p != NULL ? "is" : "is not");
	if (d->cell != NULL && !str_eqc(held ? buf_str(&b) : note, d->cell))
		fail_msg("%d, %s %s: stands as %.*s (%.*s)", d->number, d->type, d->value,
			STR_ARG(buf_str(&b)), STR_ARG(note));
	buf_free(&b);
}

static void fill(struct fixture *f, size_t i, struct tried *t)
{
	const char *name = arena_fmt(&f->mem, "demand_%zu", i).p;

	fixture_exec(f,
		arena_fmt(&f->mem,
			"CREATE TABLE %s (id integer PRIMARY KEY, v %s);"
			"INSERT INTO %s VALUES (1, %s)",
			name, demands[i].type, name, demands[i].value)
			.p);
	oracle_open(f, name, t);
	oracle_read_text(f, t);
	oracle_read_copy(f, t);
}

static void test_demanding_values(void **state)
{
	struct fixture *f = *state;
	struct tried tried[DEMANDS];

	fixture_exec(f, types);
	struct pg *c = oracle_open_slot(f, SLOT);
	for (size_t i = 0; i < DEMANDS; i++)
		fill(f, i, &tried[i]);
	oracle_read_stream(f, c, SLOT, tried, DEMANDS);
	for (size_t i = 0; i < DEMANDS; i++) {
		check(&demands[i], &tried[i]);
		oracle_judge(f, &tried[i]);
		oracle_close(&tried[i]);
	}
	oracle_close_slot(f, c, SLOT);
}

/* Case 26: 20 MB of bytes; case 31: JSON of 3,000 levels, which DuckDB's type holds. */
static void test_large_values(void **state)
{
	struct fixture *f = *state;
	struct tried tried[2];

	struct pg *c = oracle_open_slot(f, SLOT);
	fixture_exec(f,
		"CREATE TABLE large (id integer PRIMARY KEY, v bytea);"
		"INSERT INTO large SELECT 1, decode(string_agg(lpad(to_hex(i), 8, '0'), ''), 'hex') "
		"FROM generate_series(1, 5242880) i;"
		"CREATE TABLE deep (id integer PRIMARY KEY, v jsonb);"
		"INSERT INTO deep VALUES (1, (repeat('[', 3000) || repeat(']', 3000))::jsonb)");
	oracle_open(f, "large", &tried[0]);
	oracle_open(f, "deep", &tried[1]);
	for (size_t i = 0; i < 2; i++) {
		oracle_read_text(f, &tried[i]);
		oracle_read_copy(f, &tried[i]);
	}
	oracle_read_stream(f, c, SLOT, tried, 2);
	assert_int_equal(vec_text(&tried[0].text->cols[1], 0).n, 20971520);
	assert_int_equal(vec_text(&tried[1].text->cols[1], 0).n, 6000);
	for (size_t i = 0; i < 2; i++) {
		oracle_judge(f, &tried[i]);
		oracle_close(&tried[i]);
	}
	oracle_close_slot(f, c, SLOT);
}

/* Case 24: what money looks like to others is their setting; ours is made in pg_open(). */
static void test_money_of_another_locale(void **state)
{
	struct fixture *f = *state;
	struct pg *before = f->pg;

	fixture_exec(f, "ALTER ROLE postgres SET lc_monetary = 'C.UTF-8'");
	f->pg = fixture_open(f, false);
	assert_string_equal(fixture_cell(f, "SHOW lc_monetary"), "C");
	assert_string_equal(fixture_cell(f, "SELECT (-1234.5)::money"), "-$1,234.50");
	pg_close(f->pg);
	f->pg = before;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_demanding_values),
		cmocka_unit_test(test_large_values),
		cmocka_unit_test(test_money_of_another_locale),
	};

	return cmocka_run_group_tests_name("demanding", tests, fixture_start, fixture_stop);
}
