#include "unit.h"

#include "enc.h"
#include "file.h"
#include "rnd.h"

static void test_hex(void **state)
{
	(void)state;
	char text[9];
	unsigned char bytes[4];

	enc_hex(STR("\x00\x7f\xff\xa0"), text);
	assert_string_equal(text, "007fffa0");
	assert_true(enc_unhex(STR("007FffA0"), bytes));
	assert_memory_equal(bytes, "\x00\x7f\xff\xa0", 4);
	assert_false(enc_unhex(STR("0"), bytes));
	assert_false(enc_unhex(STR("0g"), bytes));
}

/* RFC 4648, section 10. */
static void test_base64_vectors(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"}};
	struct error e = {0};
	struct buf b;

	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		buf_reset(&b);
		enc_base64(str_of(pairs[i][0]), &b);
		assert_str(buf_str(&b), pairs[i][1]);
		buf_reset(&b);
		assert_ok(enc_unbase64(str_of(pairs[i][1]), &b, &e), &e);
		assert_str(buf_str(&b), pairs[i][0]);
	}
	buf_reset(&b);
	enc_base64url(STR("\xfb\xff"), &b);
	assert_str(buf_str(&b), "-_8");
	buf_free(&b);
}

static void test_base64_rejects_damage(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"Z", "Zg=", "Zm9v=", "Zm9vY", "Zg==Zg==", "Zm 8=", "Zh==", "====", "Z==="};
	struct error e = {0};
	struct buf b;

	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_err(enc_unbase64(str_of(bad[i]), &b, &e), ERR_INPUT, &e);
		assert_int_equal(b.n, 0);
	}
	buf_free(&b);
}

static void test_base64_round_trips(void **state)
{
	(void)state;
	struct error e = {0};
	struct buf text, back;
	struct rnd rnd;
	char bytes[70];

	rnd_seed(&rnd, unit_seed());
	buf_init(&text, 1000);
	buf_init(&back, 1000);
	for (size_t n = 0; n < sizeof bytes; n++) {
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)rnd_u64(&rnd);
		for (int url = 0; url < 2; url++) {
			buf_reset(&text);
			buf_reset(&back);
			if (url)
				enc_base64url(str_make(bytes, n), &text);
			else
				enc_base64(str_make(bytes, n), &text);
			assert_ok(enc_unbase64(buf_str(&text), &back, &e), &e);
			assert_true(str_eq(buf_str(&back), str_make(bytes, n)));
		}
	}
	buf_free(&text);
	buf_free(&back);
}

#define SHA_ABC  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA_NONE "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_sha256(void **state)
{
	(void)state;
	char text[ENC_SHA256_TEXT], dir[256], path[300];
	struct error e = {0};

	enc_sha256(STR("abc"), text);
	assert_string_equal(text, SHA_ABC);
	enc_sha256(STR_NONE, text);
	assert_string_equal(text, SHA_NONE);
	unit_tmpdir(dir, sizeof dir);
	snprintf(path, sizeof path, "%s/x", dir);
	assert_err(enc_sha256_file(path, text, &e), ERR_NOT_FOUND, &e);
	assert_ok(file_write_atomic(path, STR("abc"), &e), &e);
	assert_ok(enc_sha256_file(path, text, &e), &e);
	assert_string_equal(text, SHA_ABC);
	assert_ok(file_remove_tree(dir, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base64_vectors),
		cmocka_unit_test(test_base64_rejects_damage),
		cmocka_unit_test(test_base64_round_trips),
		cmocka_unit_test(test_sha256),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
