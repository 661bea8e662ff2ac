/* docs/types.md against the code, and against the list of types that a server has. */
#include "replicate_fixture.h"

#include "duckdb_driver.h"
#include "file.h"
#include "pg_value.h"

#define CELLS 4

struct doc_row {
	struct str cells[CELLS];
};

static size_t split(struct str line, struct doc_row *out)
{
	size_t n = 0;
	struct str cell, rest = str_trim(str_from(line, 1));

	while (n < CELLS && rest.n > 0 && str_cut(&rest, '|', &cell))
		out->cells[n++] = str_trim(cell);
	return n;
}

/* "`a`, `b` (more)": whether one of the names between backticks is this one. */
static bool names(struct str cell, struct str name)
{
	struct str part;

	while (str_cut(&cell, '`', &part)) {
		if (!str_cut(&cell, '`', &part))
			return false;
		if (str_eq(part, name))
			return true;
	}
	return false;
}

/* The row that names the type; the rule and the head of a table name none. */
static bool find(struct str doc, struct str name, struct doc_row *out)
{
	struct str line;

	while (str_cut(&doc, '\n', &line))
		if (line.n > 0 && line.p[0] == '|' && split(line, out) >= 3 &&
			names(out->cells[0], name))
			return true;
	return false;
}

static const char *bigquery_decimal(struct type t)
{
	int whole = t.precision - t.scale;

	return whole <= 29 && t.scale <= 9 ? "NUMERIC" : "BIGNUMERIC";
}

/* What BigQuery's wire takes for each kind. */
static const char *bigquery(struct type t)
{
	static const char *const kinds[T_KINDS] = {[T_BOOL] = "BOOL",
		[T_INT2] = "INT64",
		[T_INT4] = "INT64",
		[T_INT8] = "INT64",
		[T_UINT4] = "INT64",
		[T_FLOAT4] = "FLOAT64",
		[T_FLOAT8] = "FLOAT64",
		[T_TEXT] = "STRING",
		[T_JSON] = "JSON",
		[T_BYTES] = "BYTES",
		[T_UUID] = "STRING",
		[T_DATE] = "DATE",
		[T_TIME] = "TIME",
		[T_TIMESTAMP] = "DATETIME",
		[T_TIMESTAMPTZ] = "TIMESTAMP",
		[T_INTERVAL] = "INTERVAL"};

	return t.kind == T_DECIMAL ? bigquery_decimal(t) : kinds[t.kind];
}

static void expect_cell(struct str name, struct str cell, const char *want)
{
	if (!names(cell, str_of(want)))
		fail_msg("docs/types.md says %.*s of %.*s; it is %s", STR_ARG(cell), STR_ARG(name),
			want);
}

static void expect_row(struct str doc, struct str name, struct type t)
{
	char type[DUCK_TYPE_TEXT];
	struct doc_row row;

	if (!find(doc, name, &row))
		fail_msg("docs/types.md has no row for %.*s", STR_ARG(name));
	expect_cell(name, row.cells[1], duck_type(t, type));
	expect_cell(name, row.cells[2], bigquery(t));
	bool always = t.kind == T_BOOL || t.kind == T_INT2 || t.kind == T_INT4 ||
		t.kind == T_INT8 || t.kind == T_UINT4 || t.kind == T_FLOAT4 || t.kind == T_FLOAT8 ||
		t.kind == T_TEXT || t.kind == T_BYTES || t.kind == T_UUID;
	if (row.cells[3].p != NULL && always != str_eqc(row.cells[3], "nothing") &&
		(always || t.kind != T_DECIMAL))
		fail_msg("docs/types.md says that _exact keeps %.*s of %.*s", STR_ARG(row.cells[3]),
			STR_ARG(name));
}

static struct str read_doc(struct fixture *f)
{
	struct error e = {.kind = OK};
	const char *root = getenv("SLUICE_ROOT");
	const char *path = arena_fmt(&f->mem, "%s/docs/types.md", root != NULL ? root : ".").p;
	struct buf text;

	buf_init(&text, 1 << 20);
	assert_ok(file_read(path, &text, &e), &e);
	struct str doc = str_of(arena_cstr(&f->mem, buf_str(&text)));
	buf_free(&text);
	return doc;
}

/* Without what SQL lets one leave out. */
static struct str short_name(struct str name)
{
	static const struct str tail = {" without time zone", 18};

	return str_ends(name, tail) ? str_make(name.p, name.n - tail.n) : name;
}

/* Arrays have a row of their own; the server's internal types are named below the table. */
static void test_every_type_of_the_server(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct str doc = read_doc(f);
	PGresult *r;

	assert_ok(pg_query(f->pg,
			  "SELECT t.oid, format_type(t.oid, NULL), t.typcategory = 'Z' AND "
			  "t.typname <> 'char' OR t.typname = 'gtsvector' FROM pg_type t "
			  "LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid "
			  "WHERE t.typnamespace = 'pg_catalog'::regnamespace AND e.oid IS NULL "
			  "AND t.typtype IN ('b', 'r', 'm')",
			  0, NULL, "listing types", &f->mem, &r, &e),
		&e);
	assert_true(PQntuples(r) > 70);
	for (int i = 0; i < PQntuples(r); i++) {
		struct str name = short_name(pg_cell_str(r, i, 1));
		if (!pg_cell_bool(r, i, 2))
			expect_row(doc, name, pg_landing((uint32_t)pg_cell_i64(r, i, 0), -1));
		else
			assert_has(doc.p, arena_fmt(&f->mem, "`%.*s`", STR_ARG(name)).p);
	}
	struct doc_row row;
	assert_true(find(doc, STR("hstore"), &row));
	expect_row(doc, STR("bit"), pg_landing(1560, -1));
}

/* Every row of the second table is worked out. */
static void test_numeric_with_a_precision(void **state)
{
	struct fixture *f = *state;
	struct str doc = read_doc(f), rest = doc, line;
	struct doc_row row;
	unsigned found = 0;
	int precision, scale;

	while (str_cut(&rest, '\n', &line)) {
		const char *text = arena_cstr(&f->mem, line);
		if (sscanf(text, "| `numeric(%d,%d)`", &precision, &scale) != 2)
			continue;
		int32_t modifier = (precision << 16 | (scale & 0x7ff)) + 4;
		assert_int_equal(split(line, &row), 3);
		struct str name = str_make(row.cells[0].p + 1, row.cells[0].n - 2);
		expect_row(doc, name, pg_landing(1700, modifier));
		found++;
	}
	assert_true(found >= 8);
}

/* No row is of a type that is none; the server knows them all. */
static void test_every_row(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct str rest = read_doc(f), line, part;
	unsigned found = 0;

	while (str_cut(&rest, '\n', &line)) {
		struct doc_row row;
		if (!str_starts(line, STR("| `")) || split(line, &row) < 4 ||
			names(row.cells[0], STR("hstore")))
			continue;
		while (str_cut(&row.cells[0], '`', &part) && str_cut(&row.cells[0], '`', &part)) {
			const char *type = arena_cstr(&f->mem, part);
			PGresult *r;
			assert_ok(pg_query(f->pg, "SELECT $1::regtype", 1, &type, type, &f->mem, &r,
					  &e),
				&e);
			found++;
		}
	}
	assert_true(found > 70);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_of_the_server),
		cmocka_unit_test(test_numeric_with_a_precision),
		cmocka_unit_test(test_every_row),
	};

	return cmocka_run_group_tests_name("types_doc", tests, fixture_start, fixture_stop);
}
