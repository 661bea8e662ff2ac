/* A token goes to one host that proves its name, and is made from what the connection string says.
 */
#include "unit.h"

#include "clock.h"
#include "env.h"
#include "pg_conn.h"
#include "pg_token.h"

struct maker {
	struct pg_token base; /* first */
	char asked[128];
	int times;
};

static enum err make(const struct pg_token *t, const char *host, const char *port, const char *user,
	struct secret *out, struct error *e)
{
	struct maker *m = (struct maker *)(uintptr_t)t;

	m->times++;
	snprintf(m->asked, sizeof m->asked, "%s %s %s", host, port, user);
	if (str_eqc(str_of(user), "nobody"))
		return FAIL(e, ERR_UNAVAILABLE, "the oracle sleeps");
	secret_set(out, STR("PLANTED"));
	return OK;
}

static void test_what_is_asked(void **state)
{
	struct maker m = {.base = {make}};
	struct secret out = {.hidden = NULL};
	struct error e = {0};

	(void)state;
	assert_ok(pg_token_for(&m.base, "h", NULL, "u", "verify-full", &out, &e), &e);
	assert_string_equal(m.asked, "h 5432 u");
	assert_string_equal(secret_reveal(&out), "PLANTED");
	assert_ok(pg_token_for(&m.base, "h", "6000", "u", "verify-full", &out, &e), &e);
	assert_string_equal(m.asked, "h 6000 u");
	assert_err(pg_token_for(&m.base, "h", NULL, "nobody", "verify-full", &out, &e),
		ERR_UNAVAILABLE, &e);
	assert_has(e.text, "making the token");
	secret_free(&out);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *conninfo, *says;
	} all[] = {
		{"host=h user=u", "sslmode is not set"},
		{"host=h user=u sslmode=require", "sslmode is require"},
		{"host=h user=u sslmode=verify-ca", "sslmode is verify-ca"},
		{"host=h user=u sslmode=disable", "sslmode is disable"},
		{"host=h sslmode=verify-full", "name the user"},
		{"user=u sslmode=verify-full", "name one host"},
		{"host=/run user=u sslmode=verify-full", "name one host"},
		{"host=a,b user=u sslmode=verify-full", "name one host"},
		{"host=a port=1,2 user=u sslmode=verify-full", "name one host"},
	};
	struct maker m = {.base = {make}};
	struct rnd rnd;
	const struct env env = {.clock = clock_system(), .rnd = &rnd};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct pg *c = NULL;
		struct error e = {0};
		const struct pg_options o = {.conninfo = all[i].conninfo, .token = &m.base};
		assert_err(pg_open(&c, &o, &env, &e), ERR_USAGE, &e);
		assert_has(e.text, all[i].says);
		assert_null(c);
	}
	assert_int_equal(m.times, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_asked),
		cmocka_unit_test(test_what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
