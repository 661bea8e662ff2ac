/* Every kind goes in and comes out the same, by apply and by insert. */
#include "fixture.h"

#include <math.h>

#include "canon.h"

#define ROWS 5000 /* more than two of DuckDB's vectors */

static const char columns[] =
	"id int8 key, b bool, i2 int2, i4 int4, i8 int8, u4 uint4, f4 float4, f8 float8, "
	"d4 decimal(4,2), d9 decimal(9,0), d18 decimal(18,6), d38 decimal(38,10), s text, "
	"j json, y bytes, u uuid, dt date, tm time, ts timestamp, tz timestamptz, iv interval";

static int128 random_decimal(struct rnd *r, unsigned precision)
{
	int128 limit = 1;

	for (unsigned i = 0; i < precision; i++)
		limit *= 10;
	int128 v = ((int128)rnd_u64(r) << 63 | (int128)rnd_u64(r)) % limit;
	if (v < 0)
		v = -v;
	switch (rnd_below(r, 5)) {
	case 0:
		return limit - 1;
	case 1:
		return -(limit - 1);
	case 2:
		return -v;
	default:
		return v;
	}
}

/* Lengths around the 12 bytes that DuckDB keeps inline, and some long ones. */
static struct str random_text(struct batch *b, struct rnd *r, bool bytes)
{
	size_t n = rnd_below(r, 20) == 0 ? rnd_below(r, 5000) : rnd_below(r, 16);
	char *p = arena_alloc(&b->mem, n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = bytes ? (char)rnd_below(r, 256) : (char)(' ' + rnd_below(r, 95));
	return str_make(p, n);
}

static int64_t random_moment(struct rnd *r)
{
	static const int64_t edges[] = {INT64_MAX, -INT64_MAX, 0, -1, INT64_C(9223371331199999999),
		INT64_C(-210863520000000000)};

	if (rnd_below(r, 4) == 0)
		return edges[rnd_below(r, sizeof edges / sizeof edges[0])];
	return (int64_t)(rnd_u64(r) >> 2) - ((int64_t)1 << 60);
}

static int64_t random_integer(struct rnd *r)
{
	static const int64_t edges[] = {0, -1, INT64_MAX, INT64_MIN, INT32_MAX, INT16_MIN};

	if (rnd_below(r, 4) == 0)
		return edges[rnd_below(r, sizeof edges / sizeof edges[0])];
	return (int64_t)rnd_u64(r);
}

static double random_float(struct rnd *r)
{
	static const double edges[] = {0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1};
	uint64_t bits = rnd_u64(r);
	double v;

	if (rnd_below(r, 8) == 0)
		return rnd_below(r, 2) ? (double)INFINITY : (double)NAN;
	if (rnd_below(r, 4) == 0)
		return edges[rnd_below(r, sizeof edges / sizeof edges[0])];
	memcpy(&v, &bits, sizeof v);
	return v;
}

static void random_small(struct vec *v, size_t row, struct rnd *r)
{
	int64_t n = random_integer(r);

	switch ((int)v->type.kind) {
	case T_BOOL:
		VEC_AT(v, uint8_t, row) = (uint8_t)(n & 1);
		break;
	case T_INT2:
		VEC_AT(v, int16_t, row) = (int16_t)n;
		break;
	case T_INT4:
		VEC_AT(v, int32_t, row) = (int32_t)n;
		break;
	case T_INT8:
		VEC_AT(v, int64_t, row) = n;
		break;
	case T_UINT4:
		VEC_AT(v, uint32_t, row) = (uint32_t)n;
		break;
	case T_FLOAT4:
		VEC_AT(v, float, row) = (float)random_float(r);
		break;
	case T_FLOAT8:
		VEC_AT(v, double, row) = random_float(r);
		break;
	default:
		fail();
	}
}

static void random_value(struct batch *b, size_t row, size_t col, struct rnd *r)
{
	struct vec *v = &b->cols[col];

	switch ((int)v->type.kind) {
	case T_DECIMAL:
		VEC_AT(v, int128, row) = random_decimal(r, v->type.precision);
		break;
	case T_TEXT:
	case T_BYTES:
		VEC_AT(v, struct str, row) = random_text(b, r, v->type.kind == T_BYTES);
		break;
	case T_JSON:
		VEC_AT(v, struct str, row) = arena_fmt(
			&b->mem, "{\"a\" : [%d, \"\\ud83d\\ude00\"]}", (int)rnd_below(r, 1000000));
		break;
	case T_UUID:
		for (size_t i = 0; i < 16; i++)
			VEC_AT(v, struct uuid, row).b[i] = (uint8_t)rnd_u64(r);
		break;
	case T_DATE:
		VEC_AT(v, int32_t, row) = rnd_below(r, 4) == 0
			? (rnd_below(r, 2) ? INT32_MAX : -INT32_MAX)
			: (int32_t)rnd_below(r, 2145000000) - 2440588;
		break;
	case T_TIME:
		VEC_AT(v, int64_t, row) = rnd_below(r, 10) == 0
			? INT64_C(86400000000)
			: (int64_t)rnd_below(r, 86400000000);
		break;
	case T_TIMESTAMP:
	case T_TIMESTAMPTZ:
		VEC_AT(v, int64_t, row) = random_moment(r);
		break;
	case T_INTERVAL:
		VEC_AT(v, struct interval, row) = (struct interval){
			(int32_t)rnd_u64(r), (int32_t)rnd_u64(r), random_integer(r)};
		break;
	default:
		random_small(v, row, r);
	}
	batch_set_valid(b, row, col);
}

static struct batch *random_batch(const struct table *t, struct rnd *r)
{
	struct batch *b = batch_new(t);

	for (size_t i = 0; i < ROWS; i++) {
		size_t row = batch_add(b);

		b->op[row] = 'I';
		b->commit[row] = (lsn){100};
		b->seq[row] = (uint32_t)i;
		b->xid[row] = 7;
		VEC_AT(&b->cols[0], int64_t, row) = (int64_t)i;
		batch_set_valid(b, row, 0);
		for (size_t c = 1; c < t->ncolumns; c++)
			if (rnd_below(r, 8) != 0)
				random_value(b, row, c, r);
	}
	return b;
}

struct comparison {
	const struct batch *b;
	size_t row;
	bool failed;
	struct buf want, got;
};

static enum err compare(void *arg, const struct chunk *c, struct error *e)
{
	struct comparison *cmp = arg;

	(void)e;
	for (size_t i = 0; i < c->rows; i++, cmp->row++) {
		for (size_t col = 0; col < c->ncols; col++) {
			const struct vec *want = &cmp->b->cols[col], *got = &c->cols[col];

			buf_reset(&cmp->want);
			buf_reset(&cmp->got);
			canon_value(&cmp->want, want, cmp->row, STR_NONE);
			canon_value(&cmp->got, got, i, STR_NONE);
			if (got->type.kind == want->type.kind &&
				str_eq(buf_str(&cmp->want), buf_str(&cmp->got)))
				continue;
			buf_reset(&cmp->want);
			buf_reset(&cmp->got);
			type_print(want, cmp->row, &cmp->want);
			type_print(got, i, &cmp->got);
			return FAIL(e, ERR_CHECK, "row %zu column %s: %s came back as %s", cmp->row,
				c->names[col], buf_cstr(&cmp->want), buf_cstr(&cmp->got));
		}
	}
	return OK;
}

static void must_equal(struct fixture *f, const struct batch *b, const char *sql)
{
	struct comparison cmp = {.b = b};

	buf_init(&cmp.want, 100000);
	buf_init(&cmp.got, 100000);
	assert_ok(warehouse_query(f->w, str_of(sql), compare, &cmp, &f->e), &f->e);
	assert_int_equal(cmp.row, b->rows);
	buf_free(&cmp.want);
	buf_free(&cmp.got);
}

static void test_every_kind(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "kinds", columns);
	struct rnd r;

	rnd_seed(&r, unit_seed());
	struct batch *b = random_batch(t, &r);
	assert_int_equal(t->ncolumns, 21);
	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	assert_ok(apply_batch(f, b, true, NULL), &f->e);
	assert_string_equal(answer(f, "SELECT count(_exact) FROM shop.kinds"), "0");
	must_equal(
		f, b, "SELECT * EXCLUDE (_lsn, _committed_at, _exact) FROM shop.kinds ORDER BY id");
	must_equal(f, b,
		"SELECT * EXCLUDE (_op, _lsn, _seq, _xid, _committed_at, _exact, _unchanged) FROM "
		"shop_history.kinds ORDER BY id");
	fixture_reopen(f);
	must_equal(
		f, b, "SELECT * EXCLUDE (_lsn, _committed_at, _exact) FROM shop.kinds ORDER BY id");
	batch_free(b);
}

static void test_insert(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "kinds", columns);
	const char *names[64];
	struct rnd r;

	rnd_seed(&r, unit_seed());
	struct batch *b = random_batch(t, &r);
	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	for (size_t c = 0; c < t->ncolumns; c++)
		names[c] = t->columns[c].name.p;
	struct chunk rows = {
		.rows = b->rows, .ncols = t->ncolumns, .names = names, .cols = b->cols};
	assert_ok(warehouse_insert(f->w, STR("shop"), STR("kinds"), &rows, &f->e), &f->e);
	must_equal(
		f, b, "SELECT * EXCLUDE (_lsn, _committed_at, _exact) FROM shop.kinds ORDER BY id");
	names[3] = "nonsense";
	assert_err(
		warehouse_insert(f->w, STR("shop"), STR("kinds"), &rows, &f->e), ERR_INPUT, &f->e);
	assert_has(f->e.text, "nonsense");
	names[3] = "i2"; /* another type than the column's */
	rows.ncols = 4;
	assert_err(
		warehouse_insert(f->w, STR("shop"), STR("kinds"), &rows, &f->e), ERR_INPUT, &f->e);
	assert_err(
		warehouse_insert(f->w, STR("shop"), STR("none"), &rows, &f->e), ERR_INPUT, &f->e);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop.kinds"), "5000");
	batch_free(b);
}

/* What DuckDB cannot hold is set aside, not clamped: the moments before its calendar begins. */
static void test_beyond_range(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "far", "id int8 key, ts timestamp, tm time");
	struct batch *b = batch_new(t);
	size_t row = batch_add(b);

	b->op[row] = 'I';
	VEC_AT(&b->cols[0], int64_t, row) = 1;
	VEC_AT(&b->cols[1], int64_t, row) = -INT64_MAX + 1;
	VEC_AT(&b->cols[2], int64_t, row) = -5;
	for (size_t c = 0; c < 3; c++)
		batch_set_valid(b, row, c);
	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	must_apply(f, b);
	assert_string_equal(answer(f, "SELECT ts, tm, json_keys(_exact)::VARCHAR FROM shop.far"),
		"-|-|[ts, tm]");
	assert_false(vec_is_null(&b->cols[1], row)); /* the caller's batch is left alone */
	batch_free(b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_kind),
		TEST(test_insert),
		TEST(test_beyond_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
