/* The small parsers of the base layer, each over the whole input; the first byte picks one. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "enc.h"
#include "failpoint.h"
#include "json.h"
#include "str.h"

static void fuzz_clock(struct str s)
{
	char shown[CLOCK_TEXT];
	int64_t us, again;

	if (!clock_parse(s, &us))
		return;
	clock_format(us, shown, sizeof shown);
	bool read_back = clock_parse(str_of(shown), &again);
	assert(!read_back || again == us);
	assert(read_back || shown[0] == '-'); /* years before 1 are shown but not read */
}

static void fuzz_base64(struct str s)
{
	struct buf bytes, text;

	buf_init(&bytes, BUF_MAX_DEFAULT);
	buf_init(&text, BUF_MAX_DEFAULT);
	if (enc_unbase64(s, &bytes, NULL) == OK) {
		enc_base64(buf_str(&bytes), &text);
		assert(text.n >= s.n); /* the input may lack its padding */
		assert(text.n < s.n + 3);
	}
	buf_free(&bytes);
	buf_free(&text);
}

static void fuzz_json(struct str s)
{
	struct buf first, second;
	json_t *v, *again;

	if (json_read(s, "the input", &v, NULL) != OK)
		return;
	buf_init(&first, BUF_MAX_DEFAULT);
	buf_init(&second, BUF_MAX_DEFAULT);
	enum err rc = json_write(v, &first, NULL);
	assert(rc == OK);
	rc = json_read(buf_str(&first), "our own output", &again, NULL);
	assert(rc == OK);
	rc = json_write(again, &second, NULL);
	assert(rc == OK && str_eq(buf_str(&first), buf_str(&second)));
	json_decref(v);
	json_decref(again);
	buf_free(&first);
	buf_free(&second);
}

static void fuzz_json_out(struct str s)
{
	struct json_out j;
	struct buf b;
	json_t *v;

	if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
		return; /* written as \u0000, which our reader refuses */
	buf_init(&b, BUF_MAX_DEFAULT);
	jo_init(&j, &b);
	jo_str(&j, NULL, s);
	enum err rc = json_read(buf_str(&b), "our own output", &v, NULL);
	assert(rc == OK);
	json_decref(v);
	buf_free(&b);
}

static void fuzz_failpoints(struct str s)
{
	struct failpoints *f = NULL;

	if (failpoints_parse(&f, s, NULL) == OK)
		failpoints_free(f);
}

static void fuzz_numbers(struct str s)
{
	int64_t i;
	double d;

	if (str_to_i64(s, &i)) {
		bool also = str_to_double(s, &d);
		assert(also);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(struct str) = {
		fuzz_clock, fuzz_base64, fuzz_json, fuzz_json_out, fuzz_failpoints, fuzz_numbers};

	if (size > 0)
		parsers[data[0] % (sizeof parsers / sizeof parsers[0])](
			str_make(data + 1, size - 1));
	return 0;
}
