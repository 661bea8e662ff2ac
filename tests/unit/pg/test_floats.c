/* Floats print as PostgreSQL prints them, digit for digit: drawn at random, and those halfway
 * between two, at powers of two, denormal, whole, and written with few digits. */
#include "pg_fixture.h"

#include <math.h>

#include "print_float.h"
#include "rnd.h"

enum draw { ANY_BITS, POWER_OF_TWO, DENORMAL, FEW_DIGITS, WHOLE, NEAR_DECIMAL, DRAWS };

static double draw8(struct rnd *r)
{
	uint64_t bits = rnd_u64(r);
	char text[64];
	double v;

	switch ((enum draw)rnd_below(r, DRAWS)) {
	case POWER_OF_TWO:
		bits &= ~((UINT64_C(1) << 52) - 1);
		break;
	case DENORMAL:
		bits &= (UINT64_C(1) << 52) - 1;
		break;
	case FEW_DIGITS:
		snprintf(text, sizeof text, "%llue%d", (unsigned long long)(bits % 1000),
			(int)rnd_below(r, 632) - 324);
		return strtod(text, NULL);
	case WHOLE:
		return (double)(bits >> rnd_below(r, 63));
	case NEAR_DECIMAL: /* 1e23 and its like are halfway */
		snprintf(text, sizeof text, "%llue%d",
			(unsigned long long)(bits >> rnd_below(r, 60)), (int)rnd_below(r, 60) - 30);
		v = strtod(text, NULL);
		memcpy(&bits, &v, sizeof v);
		bits += rnd_below(r, 3) - 1;
		break;
	case ANY_BITS:
	case DRAWS:
		break;
	}
	memcpy(&v, &bits, sizeof v);
	return v;
}

static float draw4(struct rnd *r)
{
	uint32_t bits = (uint32_t)rnd_u64(r);
	char text[64];
	float v;

	switch ((enum draw)rnd_below(r, DRAWS)) {
	case POWER_OF_TWO:
		bits &= ~((UINT32_C(1) << 23) - 1);
		break;
	case DENORMAL:
		bits &= (UINT32_C(1) << 23) - 1;
		break;
	case FEW_DIGITS:
		snprintf(text, sizeof text, "%ue%d", bits % 1000, (int)rnd_below(r, 84) - 46);
		return strtof(text, NULL);
	case WHOLE:
		return (float)(rnd_u64(r) >> rnd_below(r, 63));
	case NEAR_DECIMAL:
		snprintf(text, sizeof text, "%ue%d", bits, (int)rnd_below(r, 30) - 15);
		v = strtof(text, NULL);
		memcpy(&bits, &v, sizeof v);
		bits += (uint32_t)rnd_below(r, 3) - 1;
		break;
	case ANY_BITS:
	case DRAWS:
		break;
	}
	memcpy(&v, &bits, sizeof v);
	return v;
}

/* PostgreSQL reads 17 (9) digits, which name the number exactly, and prints it. */
static void compare(struct fixture *f, const char *type, struct buf *given, struct buf *printed)
{
	struct error e = {.kind = OK};
	const char *params[] = {buf_cstr(given), buf_cstr(printed)};
	PGresult *r;

	assert_true(buf_ok(given) && buf_ok(printed));
	assert_ok(
		pg_query(f->pg,
			arena_fmt(&f->mem,
				"SELECT g, p FROM unnest($1::%s[], $2::text[]) u(g, p) WHERE g::text "
				"<> p LIMIT 1",
				type)
				.p,
			2, params, "comparing", &f->mem, &r, &e),
		&e);
	if (PQntuples(r) > 0)
		fail_msg("%s %s is printed as %s", type, pg_cell(r, 0, 0), pg_cell(r, 0, 1));
}

static void put(struct buf *to, const char *text, bool first)
{
	buf_puts(to, first ? "{" : ",");
	buf_puts(to, text);
}

static void test_floats(void **state)
{
	struct fixture *f = *state;
	struct buf given, printed;
	struct rnd r;
	char text[64];
	int rounds = getenv("SLUICE_LONG") != NULL ? 100 : 3;

	rnd_seed(&r, unit_seed());
	buf_init(&given, BUF_MAX_DEFAULT);
	buf_init(&printed, BUF_MAX_DEFAULT);
	for (int round = 0; round < 2 * rounds; round++) {
		bool single = round % 2 == 1;
		buf_reset(&given);
		buf_reset(&printed);
		for (int n = 0; n < 10000; n++) {
			float f4 = draw4(&r);
			double f8 = single ? (double)f4 : draw8(&r);
			snprintf(text, sizeof text, single ? "%.9g" : "%.17g", f8);
			put(&given, isnan(f8) ? "NaN" : text, n == 0);
			buf_putc(&printed, n == 0 ? '{' : ',');
			if (single)
				print_float4(f4, &printed);
			else
				print_float8(f8, &printed);
		}
		buf_putc(&given, '}');
		buf_putc(&printed, '}');
		compare(f, single ? "float4" : "float8", &given, &printed);
	}
	buf_free(&given);
	buf_free(&printed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_floats)};

	return cmocka_run_group_tests_name("floats", tests, fixture_start, fixture_stop);
}
