/* What is put in the place of personal data: rules, values, descriptions, messages. */
#include "unit.h"

#include "guard.h"
#include "pgoutput.h"

static struct guard *guard_of(
	struct arena *mem, const char *exclude, const char *hash, const char *mask)
{
	struct guard *g = arena_alloc(mem, sizeof *g);

	g->key = STR("key");
	guard_add(g, mem, "public.people", exclude, hash, mask);
	return g;
}

static const char *replaced(
	struct arena *mem, const struct guard *g, const char *column, const char *text)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	guard_value(guard_find_column(&g->tables[0], str_of(column)), str_of(text), &out);
	const char *s = arena_cstr(mem, buf_str(&out));
	buf_free(&out);
	return s;
}

static void test_values(void **state)
{
	struct arena mem = {0};
	struct guard *g = guard_of(
		&mem, NULL, "a", "b, c:shape, \"D \"\"d\"\" \":\"it, is \"\"out\"\"\"");

	(void)state;
	assert_int_equal(g->broken.kind, OK);
	/* RFC 4231's kind of check: the same as `openssl dgst -sha256 -hmac key`. */
	assert_string_equal(replaced(&mem, g, "a", "The quick brown fox jumps over the lazy dog"),
		"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
	assert_string_equal(replaced(&mem, g, "b", "anything"), "****");
	assert_string_equal(replaced(&mem, g, "c", "Ab-9 é🎉\xff"), "Xx-0 xxx");
	assert_string_equal(replaced(&mem, g, "D \"d\" ", "x"), "it, is \"out\"");
	arena_free(&mem);
}

static void test_rules_that_cannot_be_read(void **state)
{
	static const char *const bad[] = {"a b", ",", "a,,b", "\"open", "a:shape", "a?b", "a, a"};
	struct arena mem = {0};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(guard_of(&mem, NULL, bad[i], NULL)->broken.kind, ERR_USAGE);
	assert_int_equal(guard_of(&mem, NULL, NULL, "a:other")->broken.kind, ERR_USAGE);
	assert_int_equal(guard_of(&mem, "a", "a", NULL)->broken.kind, ERR_USAGE);
	struct guard keyless = {.n = 0};
	guard_add(&keyless, &mem, "public.t", NULL, "a", NULL);
	assert_int_equal(keyless.broken.kind, ERR_USAGE);
	arena_free(&mem);
}

static void put_relation(struct buf *b, bool streamed)
{
	buf_reset(b);
	buf_puts(b, "R");
	if (streamed)
		buf_put_be32(b, 77);
	buf_put_be32(b, 5);
	buf_put(b, str_make("public\0people\0d", 15));
	buf_put_be16(b, 3);
	buf_put(b, str_make("\1id\0", 4));
	buf_put_be32(b, 23);
	buf_put_be32(b, UINT32_MAX);
	buf_put(b, str_make("\0ssn\0", 5));
	buf_put_be32(b, 25);
	buf_put_be32(b, UINT32_MAX);
	buf_put(b, str_make("\0born\0", 6));
	buf_put_be32(b, 1082);
	buf_put_be32(b, UINT32_MAX);
}

static void put_text(struct buf *b, const char *text)
{
	buf_putc(b, 't');
	buf_put_be32(b, (uint32_t)strlen(text));
	buf_puts(b, text);
}

static void put_update(struct buf *b, bool streamed)
{
	buf_reset(b);
	buf_puts(b, "U");
	if (streamed)
		buf_put_be32(b, 78);
	buf_put_be32(b, 5);
	for (int row = 0; row < 2; row++) {
		buf_putc(b, row == 0 ? 'O' : 'N');
		buf_put_be16(b, 3);
		put_text(b, row == 0 ? "1" : "2");
		put_text(b, "PLANTED");
		if (row == 0)
			put_text(b, "1971-02-03");
		else
			buf_putc(b, 'u');
	}
}

/* One session: a block of a transaction in progress, then the same plainly. */
static void check_session(struct guard_stream *s, bool streamed)
{
	struct pgoutput *d = pgoutput_new();
	struct error e = {.kind = OK};
	struct pgoutput_msg m;
	struct str out;
	struct buf b;

	buf_init(&b, 4096);
	if (streamed) {
		buf_put(&b, str_make("S\0\0\0M\1", 6));
		assert_ok(guard_message(s, buf_str(&b), &out, &e), &e);
		assert_ok(pgoutput_decode(d, out, &m, &e), &e);
	}
	put_relation(&b, streamed);
	assert_ok(guard_message(s, buf_str(&b), &out, &e), &e);
	assert_ok(pgoutput_decode(d, out, &m, &e), &e);
	assert_int_equal(m.relation.n, 2);
	assert_true(str_eqc(m.relation.columns[1].name, "born"));
	assert_int_equal(m.relation.columns[1].type, 25);
	put_update(&b, streamed);
	assert_ok(guard_message(s, buf_str(&b), &out, &e), &e);
	assert_int_equal(str_find(out, STR("PLANTED")), -1);
	assert_ok(pgoutput_decode(d, out, &m, &e), &e);
	assert_int_equal(m.old_row.n, 2);
	assert_true(str_eqc(m.old_row.values[1].bytes, "****"));
	assert_int_equal(m.new_row.values[1].kind, PGV_UNCHANGED);
	assert_true(str_eqc(m.new_row.values[0].bytes, "2"));
	if (streamed)
		assert_ok(guard_message(s, STR("E"), &out, &e), &e);
	buf_free(&b);
	pgoutput_free(d);
}

static void test_messages(void **state)
{
	struct arena mem = {0};
	struct guard *g = guard_of(&mem, "ssn", NULL, "born");
	struct guard_stream *s = guard_stream_new(g);

	(void)state;
	check_session(s, false);
	check_session(s, true);
	check_session(s, false);
	guard_stream_free(s);
	arena_free(&mem);
}

static void refuse(const char *exclude, const char *mask)
{
	struct arena mem = {0};
	struct guard *g = guard_of(&mem, exclude, NULL, mask);
	struct guard_stream *s = guard_stream_new(g);
	struct error e = {.kind = OK};
	struct str out;
	struct buf b;

	buf_init(&b, 4096);
	put_relation(&b, false);
	assert_int_equal(guard_message(s, buf_str(&b), &out, &e), ERR_USAGE);
	buf_free(&b);
	guard_stream_free(s);
	arena_free(&mem);
}

static void test_closed_when_unknown(void **state)
{
	(void)state;
	refuse("renamed_away", NULL);
	refuse("id", NULL);
	refuse(NULL, "id");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_rules_that_cannot_be_read),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_closed_when_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
