/*
 * AWS's published vectors: the signing test suite of its clients (aws-c-auth), and the examples of
 * the S3 API reference. The numbers are AWS's, copied by hand.
 */
#include "unit.h"

#include "clock.h"
#include "enc.h"
#include "sigv4.h"

#define KEY_ID "AKIDEXAMPLE"
#define KEY    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define FEW    5

struct vector {
	const char *name, *method, *path;
	struct http_pair query[FEW], headers[FEW];
	const char *body, *token;
	const char *names, *signature;
};

#define PAIR(a, b)                                                                                 \
	{                                                                                          \
		{(a), sizeof(a) - 1},                                                              \
		{                                                                                  \
			(b), sizeof(b) - 1                                                         \
		}                                                                                  \
	}
#define ALPHABET "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define STS_TOKEN                                                                                  \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmx" \
	"fpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0K" \
	"PkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZb" \
	"qBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
#define DATED "host;x-amz-date"
#define ROOT  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

static const struct vector vectors[] = {
	{"get-vanilla", "GET", "/", .names = DATED, .signature = ROOT},
	{"get-relative-normalized", "GET", "/example/..", .names = DATED, .signature = ROOT},
	{"get-relative-relative-normalized", "GET", "/example1/example2/../..", .names = DATED,
		.signature = ROOT},
	{"get-slash-dot-slash-normalized", "GET", "/./", .names = DATED, .signature = ROOT},
	{"get-slash-pointless-dot-normalized", "GET", "/./example", .names = DATED,
		.signature = "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
	{"get-slashes-normalized", "GET", "//example//", .names = DATED,
		.signature = "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
	{"get-space-normalized", "GET", "/example space/", .names = DATED,
		.signature = "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
	{"get-unreserved", "GET", "/" ALPHABET, .names = DATED,
		.signature = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
	{"get-utf8", "GET", "/\xe1\x88\xb4", .names = DATED,
		.signature = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{"get-vanilla-empty-query-key", "GET", "/", .query = {PAIR("Param1", "value1")},
		.names = DATED,
		.signature = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{"get-vanilla-query-order-encoded", "GET", "/",
		.query = {PAIR("Param-3", "Value3"), PAIR("Param", "Value2"),
			PAIR("\xe1\x88\xb4", "Value1")},
		.names = DATED,
		.signature = "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
	{"get-vanilla-query-order-key-case", "GET", "/",
		.query = {PAIR("Param2", "value2"), PAIR("Param1", "value1")}, .names = DATED,
		.signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-vanilla-query-unreserved", "GET", "/", .query = {PAIR(ALPHABET, ALPHABET)},
		.names = DATED,
		.signature = "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
	{"get-vanilla-utf8-query", "GET", "/", .query = {PAIR("\xe1\x88\xb4", "bar")},
		.names = DATED,
		.signature = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
	{"get-header-key-duplicate", "GET", "/",
		.headers = {PAIR("My-Header1", "value2"), PAIR("My-Header1", "value2"),
			PAIR("My-Header1", "value1")},
		.names = "host;my-header1;x-amz-date",
		.signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{"get-header-value-multiline", "GET", "/",
		/* A folded line reaches the signer as one value a line. */
		.headers = {PAIR("My-Header1", "value1"), PAIR("My-Header1", "  value2"),
			PAIR("My-Header1", "     value3")},
		.names = "host;my-header1;x-amz-date",
		.signature = "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790"},
	{"get-header-value-order", "GET", "/",
		.headers = {PAIR("My-Header1", "value4"), PAIR("My-Header1", "value1"),
			PAIR("My-Header1", "value3"), PAIR("My-Header1", "value2")},
		.names = "host;my-header1;x-amz-date",
		.signature = "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
	{"get-header-value-trim", "GET", "/",
		.headers = {PAIR("My-Header1", " value1"), PAIR("My-Header2", " \"a   b   c\"")},
		.names = "host;my-header1;my-header2;x-amz-date",
		.signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"get-vanilla-with-session-token", "GET", "/",
		.token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
		.names = "host;x-amz-date;x-amz-security-token",
		.signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
	{"post-vanilla", "POST", "/", .names = DATED,
		.signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"post-vanilla-query", "POST", "/", .query = {PAIR("Param1", "value1")}, .names = DATED,
		.signature = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
	{"post-header-key-sort", "POST", "/", .headers = {PAIR("My-Header1", "value1")},
		.names = "host;my-header1;x-amz-date",
		.signature = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
	{"post-sts-header-before", "POST", "/", .token = STS_TOKEN,
		.names = "host;x-amz-date;x-amz-security-token",
		.signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	{"post-x-www-form-urlencoded", "POST", "/",
		.headers = {PAIR("Content-Type", "application/x-www-form-urlencoded"),
			PAIR("Content-Length", "13"),
			PAIR("x-amz-content-sha256",
				"9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e")},
		.body = "Param1=value1",
		.names = "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
		.signature = "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
};

static size_t count(const struct http_pair *p)
{
	size_t n = 0;
	while (n < FEW && p[n].name.n > 0)
		n++;
	return n;
}

static struct aws_credentials credentials(const char *id, const char *key, const char *token)
{
	struct aws_credentials c = {.expires_us = 0};

	snprintf(c.key_id, sizeof c.key_id, "%s", id);
	secret_set(&c.key, str_of(key));
	if (token != NULL)
		secret_set(&c.token, str_of(token));
	return c;
}

static int64_t at(const char *text)
{
	int64_t us = 0;
	assert_true(clock_parse(str_of(text), &us));
	return us;
}

static struct str header(const struct sigv4_signed *s, const char *name)
{
	for (size_t i = 0; i < s->nheaders; i++)
		if (str_ieq(s->headers[i].name, str_of(name)))
			return s->headers[i].value;
	return STR_NONE;
}

static void test_suite(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		const struct vector *v = &vectors[i];
		struct arena mem = {0};
		char digest[ENC_SHA256_TEXT], want[512];
		struct sigv4_signed out;
		enc_sha256(str_of(v->body), digest);
		struct sigv4_request r = {v->method, STR("example.amazonaws.com"), str_of(v->path),
			v->query, count(v->query), v->headers, count(v->headers), digest, false,
			"us-east-1", "service", at("2015-08-30T12:36:00Z")};
		struct aws_credentials c = credentials(KEY_ID, KEY, v->token);
		sigv4_sign(&r, &c, &mem, &out);
		snprintf(want, sizeof want,
			"AWS4-HMAC-SHA256 Credential=" KEY_ID
			"/20150830/us-east-1/service/aws4_request, SignedHeaders=%s, Signature=%s",
			v->names, v->signature);
		struct str got = header(&out, "authorization");
		if (!str_eqc(got, want))
			fail_msg("%s: %.*s, not %s", v->name, STR_ARG(got), want);
		assert_str(header(&out, "x-amz-date"), "20150830T123600Z");
		assert_str(header(&out, "x-amz-security-token"), v->token != NULL ? v->token : "");
		aws_credentials_free(&c);
		arena_free(&mem);
	}
}

static void test_presigned(void **state)
{
	static const struct {
		const char *path, *token, *signature;
		bool as_it_is; /* the suite's "unnormalized": S3's rule for the path */
	} all[] = {
		{"/", NULL, "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"},
		{"/\xe1\x88\xb4", NULL,
			"10eae3f14a260bd3911cc6d008d3c576d143b05b62f09782a7a4b37f52178e44"},
		{"/", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
			"7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c"},
		{"//example//", NULL,
			"822a5a9ba28072c5ab2bb4a6307d0c88276d40e49fec6b724c03fb4d4ba60fc2", true},
		{"/example1/example2/../..", NULL,
			"b45db0bfd1cf15003493b733e33aa208dd981bd0e63037a6ed953f71d2118a16", true},
		{"/./", NULL, "a9b13e8f3484d9505bf1a6f347219f8f35b0fe8f128ceea597efc146a3dfe90c",
			true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct arena mem = {0};
		char want[128];
		struct sigv4_request r = {"GET", STR("example.amazonaws.com"), str_of(all[i].path),
			NULL, 0, NULL, 0, SIGV4_NOTHING, all[i].as_it_is, "us-east-1", "service",
			at("2015-08-30T12:36:00Z")};
		struct aws_credentials c = credentials(KEY_ID, KEY, all[i].token);
		const char *query = arena_cstr(&mem, sigv4_presign(&r, &c, 3600, &mem));
		snprintf(want, sizeof want, "&X-Amz-Signature=%s", all[i].signature);
		assert_has(query, want);
		assert_has(query,
			"X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice"
			"%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=3600");
		aws_credentials_free(&c);
		arena_free(&mem);
	}
}

/* "Examples: Signature Calculations" of the S3 API reference. */
static void test_s3_examples(void **state)
{
	static const struct {
		const char *method, *path;
		struct http_pair query[FEW], headers[FEW];
		const char *body, *signature;
	} all[] = {
		{"GET", "/test.txt", .headers = {PAIR("Range", "bytes=0-9")},
			.signature =
				"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"PUT", "/test%24file.text",
			.headers = {PAIR("Date", "Fri, 24 May 2013 00:00:00 GMT"),
				PAIR("x-amz-storage-class", "REDUCED_REDUNDANCY")},
			.body = "Welcome to Amazon S3.",
			.signature =
				"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"GET", "/", .query = {PAIR("lifecycle", "")},
			.signature =
				"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"GET", "/", .query = {PAIR("prefix", "J"), PAIR("max-keys", "2")},
			.signature =
				"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct arena mem = {0};
		char digest[ENC_SHA256_TEXT], want[128];
		struct sigv4_signed out;
		enc_sha256(str_of(all[i].body), digest);
		struct sigv4_request r = {all[i].method, STR("examplebucket.s3.amazonaws.com"),
			str_of(all[i].path), all[i].query, count(all[i].query), all[i].headers,
			count(all[i].headers), digest, true, "us-east-1", "s3",
			at("2013-05-24T00:00:00Z")};
		struct aws_credentials c = credentials(
			"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL);
		sigv4_sign(&r, &c, &mem, &out);
		snprintf(want, sizeof want, "Signature=%s", all[i].signature);
		assert_has(arena_cstr(&mem, header(&out, "authorization")), want);
		assert_str(header(&out, "x-amz-content-sha256"), digest);
		aws_credentials_free(&c);
		arena_free(&mem);
	}
}

static void test_s3_presigned_example(void **state)
{
	struct arena mem = {0};
	struct aws_credentials c = credentials(
		"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL);
	struct sigv4_request r = {"GET", STR("examplebucket.s3.amazonaws.com"), STR("/test.txt"),
		NULL, 0, NULL, 0, SIGV4_UNSIGNED, true, "us-east-1", "s3",
		at("2013-05-24T00:00:00Z")};

	(void)state;
	assert_str(sigv4_presign(&r, &c, 86400, &mem),
		"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"
		"%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
		"&X-Amz-SignedHeaders=host&X-Amz-Signature="
		"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
	aws_credentials_free(&c);
	arena_free(&mem);
}

/* S3 signs the path as it is sent: "//" stays, and nothing is encoded twice. */
static void test_s3_path(void **state)
{
	static const char *const paths[] = {"/a//b", "/a/./b", "/a%20b", "/a/b"};
	struct str seen[4];
	struct arena mem = {0};
	struct aws_credentials c = credentials(KEY_ID, KEY, NULL);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct sigv4_request r = {"GET", STR("h"), str_of(paths[i]), NULL, 0, NULL, 0,
			SIGV4_NOTHING, true, "r", "s3", 0};
		struct sigv4_signed out;
		sigv4_sign(&r, &c, &mem, &out);
		seen[i] = header(&out, "authorization");
		for (size_t k = 0; k < i; k++)
			assert_false(str_eq(seen[i], seen[k]));
	}
	aws_credentials_free(&c);
	arena_free(&mem);
}

static void test_query_form(void **state)
{
	struct arena mem = {0};
	struct aws_credentials c = credentials(KEY_ID, KEY, NULL);
	const struct http_pair query[] = {PAIR("prefix", "a b+c=/\xc3\xa9"), PAIR("uploads", ""),
		PAIR("a", "2"), PAIR("a", "1")};
	struct sigv4_request r = {
		"GET", STR("h"), STR("/"), query, 4, NULL, 0, SIGV4_NOTHING, true, "r", "s3", 0};
	struct sigv4_signed out;

	(void)state;
	sigv4_sign(&r, &c, &mem, &out);
	assert_str(out.query, "a=1&a=2&prefix=a%20b%2Bc%3D%2F%C3%A9&uploads=");
	aws_credentials_free(&c);
	arena_free(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suite),
		cmocka_unit_test(test_presigned),
		cmocka_unit_test(test_s3_examples),
		cmocka_unit_test(test_s3_presigned_example),
		cmocka_unit_test(test_s3_path),
		cmocka_unit_test(test_query_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
