/*
 * PostgreSQL is the oracle: values of every kind go in as text, and come back as text in an
 * ordinary session, as binary through COPY and as text through the replication stream. The three
 * must make equal values, and print as PostgreSQL printed them, or stand in the notes so.
 */
#include "pg_fixture.h"

#include <inttypes.h>

#include "canon.h"
#include "pg_catalog.h"
#include "pg_copy.h"
#include "pg_stream.h"
#include "pg_value.h"
#include "pgoutput.h"

enum printing {
	PRINTS,        /* type_print gives PostgreSQL's text */
	PRINTS_PADDED, /* the same number with other zeros at the end */
	PRINTS_FLOAT,  /* a text that reads back as the same number */
};

struct value_case {
	const char *type;
	enum type_kind lands;
	enum printing printing;
	const char *values[28];
};

#define NINETY                                                                                     \
	"123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"  \
	"890"
#define THIRTY_EIGHT "99999999999999999999999999999999999999"

static const struct value_case cases[] = {
	{"boolean", T_BOOL, PRINTS, {"t", "f"}},
	{"smallint", T_INT2, PRINTS, {"0", "-32768", "32767", "7"}},
	{"integer", T_INT4, PRINTS, {"0", "-2147483648", "2147483647"}},
	{"bigint", T_INT8, PRINTS, {"0", "-9223372036854775808", "9223372036854775807", "-1"}},
	{"oid", T_UINT4, PRINTS, {"0", "4294967295", "2147483648"}},
	{"xid", T_UINT4, PRINTS, {"3", "4294967295"}},
	{"real", T_FLOAT4, PRINTS_FLOAT,
		{"0", "-0", "1.5", "3.4028235e38", "1e-45", "1.17549435e-38", "NaN", "Infinity",
			"-Infinity", "16777217", "0.1", "-123456.7", "1e10", "33554432"}},
	{"double precision", T_FLOAT8, PRINTS_FLOAT,
		{"0", "-0", "0.1", "1e22", "1e23", "5e-324", "1.7976931348623157e308", "NaN",
			"Infinity", "-Infinity", "9007199254740993", "123456789012345678",
			"0.30000000000000004", "2.2250738585072014e-308", "-1e-10", "1e-22",
			"2.5e-7", "1234567.8901234567"}},
	{"numeric", T_DECIMAL, PRINTS_PADDED,
		{"0", "55.066315446079813", NINETY, "NaN", "Infinity", "-Infinity", "1.50", "1e20",
			"99999999999999999999999999999.999999999", "1e29", "1e28", "0.0000000001",
			"-0.000000001", "10000", "100000000", "12345678.9", "0.00010000", "1e-200",
			"1e300", "-0.00000000050", "7.000000000000000000000000", "0.00",
			"1234567890123456789012345678.9", "0000012.500"}},
	{"numeric(10,2)", T_DECIMAL, PRINTS, {"0", "-99999999.99", "1.5", "NaN", "0.01"}},
	{"numeric(38,0)", T_DECIMAL, PRINTS, {"0", THIRTY_EIGHT, "-" THIRTY_EIGHT, "NaN"}},
	{"numeric(38,38)", T_DECIMAL, PRINTS, {"0", "0." THIRTY_EIGHT, "-0.5", "1e-38"}},
	{"numeric(3,5)", T_DECIMAL, PRINTS, {"0.00999", "-0.00001", "0"}},
	{"numeric(5,-3)", T_DECIMAL, PRINTS, {"99999000", "-1499", "0", "1500"}},
	{"numeric(4,-40)", T_DECIMAL, PRINTS, {"1e43", "0", "1e40"}},
	{"numeric(78,0)", T_DECIMAL, PRINTS, {THIRTY_EIGHT THIRTY_EIGHT "99", "12", THIRTY_EIGHT}},
	{"numeric(50,20)", T_DECIMAL, PRINTS_PADDED, {"1.5", "0.00000000000000000001", "1e29"}},
	{"numeric(1000,500)", T_DECIMAL, PRINTS_PADDED, {"1.5", "1e-500", "1e499"}},
	{"numeric(5,60)", T_DECIMAL, PRINTS_PADDED, {"1e-56", "0"}},
	{"text", T_TEXT, PRINTS,
		{"", "NULL", "\\N", "a\tb\nc\\d", "\303\251\360\237\216\211", "  spaces  ", "'\""}},
	{"varchar(10)", T_TEXT, PRINTS, {"", "0123456789", "ab  "}},
	{"char(5)", T_TEXT, PRINTS, {"", "ab", "abcde"}},
	{"name", T_TEXT, PRINTS, {"a name", ""}},
	{"\"char\"", T_TEXT, PRINTS, {"a", ""}},
	{"json", T_JSON, PRINTS,
		{"{\"a\":18446744073709551616, \"a\" : 1e309}", " [1,  2 ]", "null", "\"\""}},
	{"jsonb", T_JSON, PRINTS, {"{\"b\":1.10,\"a\":[1,2,{}]}", "1", "\"\\u00e9\""}},
	{"bytea", T_BYTES, PRINTS, {"", "\\x00", "\\x00ff5c0a", "\\xdeadbeef"}},
	{"uuid", T_UUID, PRINTS,
		{"00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}},
	{"date", T_DATE, PRINTS,
		{"infinity", "-infinity", "4714-11-24 BC", "5874897-12-31", "0001-01-01",
			"0001-12-31 BC", "10000-03-14", "2000-02-29", "1970-01-01", "1969-12-31",
			"1900-02-28", "0005-02-28 BC", "0005-02-29 BC"}},
	{"time", T_TIME, PRINTS,
		{"00:00:00", "24:00:00", "00:00:00.000249", "23:59:59.999999", "12:30:00.5"}},
	{"time(3)", T_TIME, PRINTS, {"01:02:03.4567"}},
	{"time with time zone", T_TEXT, PRINTS, {"13:51:30.123789+02:00", "00:00:00-12:30"}},
	{"timestamp", T_TIMESTAMP, PRINTS,
		{"infinity", "-infinity", "4714-11-24 00:00:00 BC", "294247-01-01 23:59:59.999999",
			"294247-01-10 04:00:54.775806", "294247-01-10 04:00:54.775807",
			"294247-01-10 04:00:54.775808", "294276-12-31 23:59:59.999999",
			"294270-05-06 07:08:09.1", "0001-12-31 23:59:59.999999 BC",
			"1969-12-31 23:59:59.999999", "2017-03-01 12:34:56.78",
			"10000-01-01 00:00:00"}},
	{"timestamptz", T_TIMESTAMPTZ, PRINTS,
		{"infinity", "-infinity", "4714-11-24 00:00:00+00 BC",
			"294276-12-31 23:59:59.999999+00", "0001-01-01 00:00:00+14",
			"2024-02-29 23:30:00-01", "1970-01-01 00:00:00+00",
			"9999-12-31 23:59:59.9+00"}},
	{"timestamptz(0)", T_TIMESTAMPTZ, PRINTS, {"2024-02-29 23:30:00.5+05:30"}},
	{"interval", T_INTERVAL, PRINTS,
		{"P1Y2M3DT4H5M6.78S", "0", "-1 mon +1 day", "1 mon -1 day", "-00:00:00.000001",
			"178956970 years 7 mons 2147483647 days 2562047788:00:54.775807",
			"-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807",
			"1 year", "-1 year -1 mon", "3 days 25:00:00", "1 day -01:00:00"}},
	{"money", T_TEXT, PRINTS, {"($1234.11)", "0"}},
	{"inet", T_TEXT, PRINTS, {"10.0.0.1", "10.0.0.0/8", "::1"}},
	{"cidr", T_TEXT, PRINTS, {"10.0.0.0/8", "::1/128"}},
	{"macaddr", T_TEXT, PRINTS, {"08:00:2b:01:02:03"}},
	{"bit(5)", T_TEXT, PRINTS, {"10101"}},
	{"bit varying", T_TEXT, PRINTS, {"", "1"}},
	{"point", T_TEXT, PRINTS, {"(0.1,-2)"}},
	{"tsvector", T_TEXT, PRINTS, {"'a':1 'b':2"}},
	{"int4range", T_TEXT, PRINTS, {"[1,5)", "empty", "(,)"}},
	{"nummultirange", T_TEXT, PRINTS, {"{[1.5,2),(3,)}", "{}"}},
	{"integer[]", T_TEXT, PRINTS, {"{1,NULL,3}", "{}", "[0:1]={1,2}"}},
	{"text[]", T_TEXT, PRINTS, {"{{{a,b},{c,d}}}", "{\"\",\"NULL\",\"a\\\\b\"}"}},
	{"char(3)[]", T_TEXT, PRINTS, {"{a,bc}"}},
	{"mood", T_TEXT, PRINTS, {"so so", "ok"}},
	{"pair", T_TEXT, PRINTS, {"(,)", "(1,\"a b\")"}},
	{"price", T_DECIMAL, PRINTS, {"12.5", "NaN"}},
	{"discount", T_DECIMAL, PRINTS, {"1.25"}},
	{"free", T_DECIMAL, PRINTS_PADDED, {"1.25", "1e-20"}},
	{"code", T_TEXT, PRINTS, {"ab"}},
	{"yesno", T_BOOL, PRINTS, {"t", "f"}},
	{"birthday", T_DATE, PRINTS, {"2000-01-01", "infinity"}},
	{"pg_lsn", T_TEXT, PRINTS, {"16/B374D848"}},
	{"regclass", T_TEXT, PRINTS, {"pg_catalog.pg_class"}},
};

#define CASES (sizeof cases / sizeof *cases)

/* A table of one case and what the three ways made of it. */
struct tried {
	struct table *table;
	enum printing printing;
	struct batch *text, *copied, *streamed;
};

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
	struct error e = {.kind = OK};

	fixture_exec(f,
		arena_fmt(&f->mem, "CREATE TABLE %s (id integer PRIMARY KEY, v %s)", name, type).p);
	assert_ok(pg_table(f->pg, STR("public"), str_of(name), &f->mem, &t->table, &e), &e);
	t->text = batch_new(t->table);
	t->copied = batch_new(t->table);
	t->streamed = batch_new(t->table);
}

static void fill_case(
	struct fixture *f, const struct value_case *c, const char *name, struct tried *t)
{
	int id = 1;

	make_table(f, name, c->type, t);
	t->printing = c->printing;
	assert_int_equal(t->table->columns[1].type.kind, c->lands);
	insert(f, name, c->type, 0, NULL);
	for (size_t i = 0; i < sizeof c->values / sizeof *c->values && c->values[i] != NULL; i++)
		insert(f, name, c->type, id++, c->values[i]);
}

static void read_text(struct fixture *f, struct tried *t)
{
	struct error e = {.kind = OK};
	PGresult *r = fixture_query(
		f, arena_fmt(&f->mem, "SELECT * FROM %.*s ORDER BY id", STR_ARG(t->table->name)).p);

	for (int i = 0; i < PQntuples(r); i++) {
		size_t row = batch_add(t->text);
		for (int col = 0; col < 2; col++)
			if (pg_cell(r, i, col) != NULL)
				assert_ok(pg_value_text(t->text, row, (size_t)col,
						  pg_cell_str(r, i, col), &e),
					&e);
	}
}

/* Copies a batch row by row as text would be: by value, with the texts in the target's arena. */
static enum err keep_copied(void *arg, struct batch *b, struct error *e)
{
	struct tried *t = arg;
	size_t note = 0;
	(void)e;

	for (size_t i = 0; i < b->rows; i++) {
		size_t row = batch_add(t->copied);
		assert_int_equal(b->op[i], OP_SNAPSHOT);
		for (size_t col = 0; col < b->table->ncolumns; col++) {
			struct vec *from = &b->cols[col], *to = &t->copied->cols[col];
			size_t size = type_size(from->type.kind);
			if (vec_is_null(from, i))
				continue;
			memcpy((char *)to->data + row * size, (char *)from->data + i * size, size);
			if (from->type.kind == T_TEXT || from->type.kind == T_JSON ||
				from->type.kind == T_BYTES)
				VEC_AT(to, struct str, row) = arena_str(
					&t->copied->mem, vec_text(from, i));
			batch_set_valid(t->copied, row, col);
		}
		for (; note < b->nexact && b->exact[note].row == i; note++)
			batch_note_exact(
				t->copied, row, b->exact[note].column, b->exact[note].text);
	}
	return OK;
}

static void read_copy(struct fixture *f, struct tried *t)
{
	struct error e = {.kind = OK};

	assert_ok(pg_copy_out(f->pg, t->table, STR_NONE, 3, keep_copied, t, &e), &e);
}

static void add_streamed(struct fixture *f, const struct pgoutput_msg *m, struct tried *t)
{
	struct error e = {.kind = OK};
	size_t row = batch_add(t->streamed);

	assert_int_equal(m->new_row.n, 2);
	for (size_t col = 0; col < 2; col++) {
		const struct pgoutput_value *v = &m->new_row.values[col];
		if (v->kind == PGV_NULL)
			continue;
		assert_int_equal(v->kind, PGV_TEXT);
		assert_ok(
			pg_value_text(t->streamed, row, col, arena_str(&f->mem, v->bytes), &e), &e);
	}
}

/* Reads the slot until the position is passed, and sorts the inserts to their tables. */
static void read_stream(
	struct fixture *f, struct pg *c, const char *slot, struct tried *tried, size_t n)
{
	struct error e = {.kind = OK};
	struct pgoutput *d = pgoutput_new();
	struct pg_message in;
	struct pgoutput_msg m;
	lsn until;

	assert_true(lsn_parse(str_of(fixture_cell(f, "SELECT pg_current_wal_lsn()")), &until));
	assert_ok(pg_stream_start(c, slot, LSN_NONE, 1, "everything", &e), &e);
	do {
		assert_ok(pg_stream_receive(c, 10000000, -1, &in, &e), &e);
		assert_true(in.kind != PG_NOTHING);
		if (in.kind != PG_DATA)
			continue;
		assert_ok(pgoutput_decode(d, in.payload, &m, &e), &e);
		for (size_t i = 0; i < n && m.kind == PGO_INSERT; i++)
			if (tried[i].table->relid == m.relid)
				add_streamed(f, &m, &tried[i]);
	} while (in.end.v < until.v);
	pgoutput_free(d);
}

static struct str exact_of(const struct batch *b, size_t row, size_t col)
{
	for (size_t i = 0; i < b->nexact; i++)
		if (b->exact[i].row == row && b->exact[i].column == col)
			return b->exact[i].text;
	return STR_NONE;
}

static void assert_same_value(
	const struct tried *t, const struct batch *other, size_t row, const char *way)
{
	const struct batch *b = t->text;
	struct str said = exact_of(b, row, 1), other_said = exact_of(other, row, 1);
	struct buf one, two;

	buf_init(&one, BUF_MAX_DEFAULT);
	buf_init(&two, BUF_MAX_DEFAULT);
	canon_value(&one, &b->cols[1], row, said);
	canon_value(&two, &other->cols[1], row, other_said);
	if (!str_eq(buf_str(&one), buf_str(&two)) || !str_eq(said, other_said) ||
		vec_is_null(&b->cols[1], row) != vec_is_null(&other->cols[1], row)) {
		buf_reset(&one);
		buf_reset(&two);
		type_print(&b->cols[1], row, &one);
		type_print(&other->cols[1], row, &two);
		fail_msg("%.*s row %zu: text gives %.*s (%.*s), %s gives %.*s (%.*s)",
			STR_ARG(t->table->name), row, STR_ARG(buf_str(&one)), STR_ARG(said), way,
			STR_ARG(buf_str(&two)), STR_ARG(other_said));
	}
	/* The signs of zeros are bits too, though they hash alike. */
	size_t size = type_size(b->cols[1].type.kind);
	if (b->cols[1].type.kind <= T_FLOAT8 && !vec_is_null(&b->cols[1], row))
		assert_memory_equal((char *)b->cols[1].data + row * size,
			(char *)other->cols[1].data + row * size, size);
	buf_free(&one);
	buf_free(&two);
}

/* Without the zeros after the last digit behind a point. */
static struct str without_padding(struct str s)
{
	if (memchr(s.p, '.', s.n) == NULL)
		return s;
	while (s.p[s.n - 1] == '0')
		s.n--;
	return s.p[s.n - 1] == '.' ? str_make(s.p, s.n - 1) : s;
}

static bool same_number(enum type_kind kind, struct str a, struct str b)
{
	char one[64], two[64];

	snprintf(one, sizeof one, "%.*s", STR_ARG(a));
	snprintf(two, sizeof two, "%.*s", STR_ARG(b));
	if (kind == T_FLOAT4)
		return strtof(one, NULL) == strtof(two, NULL);
	return strtod(one, NULL) == strtod(two, NULL);
}

static void assert_printed(const struct tried *t, size_t row, struct str want)
{
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	type_print(&t->text->cols[1], row, &b);
	struct str got = vec_is_null(&t->text->cols[1], row) ? exact_of(t->text, row, 1)
							     : buf_str(&b);
	if (t->printing == PRINTS_PADDED) {
		got = without_padding(got);
		want = without_padding(want);
	}
	bool same = str_eq(got, want);
	if (t->printing == PRINTS_FLOAT)
		same = same || same_number(t->table->columns[1].type.kind, got, want);
	if (!same)
		fail_msg("%.*s row %zu prints as %.*s, PostgreSQL says %.*s",
			STR_ARG(t->table->name), row, STR_ARG(got), STR_ARG(want));
	buf_free(&b);
}

static void check(struct fixture *f, struct tried *t)
{
	PGresult *r = fixture_query(
		f, arena_fmt(&f->mem, "SELECT v FROM %.*s ORDER BY id", STR_ARG(t->table->name)).p);
	size_t rows = (size_t)PQntuples(r);

	assert_int_equal(t->text->rows, rows);
	assert_int_equal(t->copied->rows, rows);
	assert_int_equal(t->streamed->rows, rows);
	for (size_t i = 0; i < rows; i++) {
		assert_same_value(t, t->copied, i, "COPY");
		assert_same_value(t, t->streamed, i, "the stream");
		if (pg_cell(r, (int)i, 0) == NULL) {
			assert_true(vec_is_null(&t->text->cols[1], i));
			assert_null(exact_of(t->text, i, 1).p);
		} else {
			assert_printed(t, i, pg_cell_str(r, (int)i, 0));
		}
	}
	batch_free(t->text);
	batch_free(t->copied);
	batch_free(t->streamed);
}

static struct pg *open_slot(struct fixture *f, const char *slot)
{
	struct error e = {.kind = OK};
	struct pg *c = fixture_open(f, true);
	struct str snapshot;
	lsn at;

	assert_ok(pg_create_slot(c, slot, &f->mem, &at, &snapshot, &e), &e);
	assert_true(at.v > 0 && snapshot.n > 0);
	return c;
}

static void close_slot(struct fixture *f, struct pg *c, const char *slot)
{
	pg_close(c);
	/* The walsender notices in its own time that nobody listens. */
	fixture_exec(f,
		arena_fmt(&f->mem,
			"DO $$ BEGIN WHILE EXISTS (SELECT 1 FROM pg_replication_slots WHERE "
			"slot_name = '%s' AND active) LOOP PERFORM pg_sleep(0.01); END LOOP; "
			"END $$; SELECT pg_drop_replication_slot('%s')",
			slot, slot)
			.p);
}

static void test_every_type(void **state)
{
	struct fixture *f = *state;
	static struct tried tried[CASES];
	char name[32];

	fixture_exec(f, table_types);
	struct pg *c = open_slot(f, "every_type");
	for (size_t i = 0; i < CASES; i++) {
		snprintf(name, sizeof name, "t%zu", i);
		fill_case(f, &cases[i], name, &tried[i]);
	}
	for (size_t i = 0; i < CASES; i++) {
		read_text(f, &tried[i]);
		read_copy(f, &tried[i]);
	}
	read_stream(f, c, "every_type", tried, CASES);
	for (size_t i = 0; i < CASES; i++)
		check(f, &tried[i]);
	close_slot(f, c, "every_type");
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
	enum printing printing;
	struct str (*draw)(struct rnd *, struct arena *);
} draws[] = {
	{"drawn_numeric", "numeric", "$2::numeric", PRINTS_PADDED, draw_numeric},
	{"drawn_scaled", "numeric(30,8)", "$2::numeric % 1e22", PRINTS, draw_numeric},
	{"drawn_float8", "float8", "$2::float8", PRINTS_FLOAT, draw_float8},
	{"drawn_float4", "float4", "$2::float4", PRINTS_FLOAT, draw_float4},
	{"drawn_timestamp", "timestamp",
		"timestamp '2000-01-01' + make_interval(secs => 0) + ($2::numeric / 1000000)::text"
		"::interval",
		PRINTS, draw_timestamp},
	{"drawn_date", "date", "date '2000-01-01' + $2::text::integer", PRINTS, draw_date},
	{"drawn_interval", "interval", "$2::interval", PRINTS, draw_interval},
};

#define DRAWS     (sizeof draws / sizeof *draws)
#define DRAW_ROWS 400

static void test_drawn_values(void **state)
{
	struct fixture *f = *state;
	static struct tried tried[DRAWS];
	struct rnd r;

	rnd_seed(&r, unit_seed());
	struct pg *c = open_slot(f, "drawn");
	for (size_t i = 0; i < DRAWS; i++) {
		make_table(f, draws[i].name, draws[i].type, &tried[i]);
		tried[i].printing = draws[i].printing;
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
		read_text(f, &tried[i]);
		read_copy(f, &tried[i]);
	}
	read_stream(f, c, "drawn", tried, DRAWS);
	for (size_t i = 0; i < DRAWS; i++)
		check(f, &tried[i]);
	close_slot(f, c, "drawn");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_drawn_values),
	};

	return cmocka_run_group_tests_name("value", tests, fixture_start, fixture_stop);
}
