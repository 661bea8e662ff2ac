/* Addresses and XML: what may be spoken to, and what may be read. */
#include "unit.h"

#include "endpoint.h"
#include "xml.h"

static void test_endpoint(void **state)
{
	struct endpoint p;
	struct error e = {0};

	(void)state;
	assert_ok(endpoint_parse("https://s3.eu-west-1.amazonaws.com:443/a", &p, &e), &e);
	assert_true(p.tls);
	assert_str(p.host, "s3.eu-west-1.amazonaws.com");
	assert_str(p.authority, "s3.eu-west-1.amazonaws.com");
	assert_str(p.path, "/a");
	assert_ok(endpoint_parse("http://[::1]:8080", &p, &e), &e);
	assert_str(p.host, "[::1]");
	assert_str(p.port, "8080");
	assert_str(p.authority, "[::1]:8080");
	static const char *const bad[] = {"", "s3.amazonaws.com", "ftp://x", "https://",
		"https://:1", "https://h:0", "https://h:65536", "https://h:x",
		"https://u:PLANTED@h", "https://h?q", "https://h#f", "https://h h", "http://[::1",
		"http://[::1]x"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_err(endpoint_parse(bad[i], &p, &e), ERR_USAGE, &e);
		assert_null(strstr(e.text, "PLANTED"));
	}
}

static void test_plain_http(void **state)
{
	static const char *const here[] = {"http://localhost:1", "http://127.0.0.1", "http://[::1]",
		"http://127.1.2.3:80", "https://example.com"};
	static const char *const there[] = {"http://example.com", "http://127.0.0.1.example.com",
		"http://127.example.com", "http://127.0.0", "http://10.0.0.1", "http://[::2]",
		"http://localhost.example.com", "http://0.0.0.0"};
	struct endpoint p;
	struct error e = {0};

	(void)state;
	for (size_t i = 0; i < sizeof here / sizeof *here; i++)
		assert_ok(endpoint_want(here[i], "[x] y", &p, &e), &e);
	for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
		assert_err(endpoint_want(there[i], "[x] y", &p, &e), ERR_USAGE, &e);
		assert_has(e.text, "[x] y");
	}
}

static void test_xml(void **state)
{
	struct arena mem = {0};
	struct xml *root;
	struct error e = {0};

	(void)state;
	assert_ok(xml_read(STR(" \n<?xml version=\"1.0\"?><a xmlns:q='u'><b>1</b><q:b>&lt;2&#233;"
			       "</q:b><c at='x'/>t</a>"),
			  "it", &mem, &root, &e),
		&e);
	assert_str(root->name, "a");
	assert_str(root->text, "t");
	assert_str(xml_text(root, "b"), "1");
	assert_str(xml_next(xml_child(root, "b"))->text, "<2\xc3\xa9");
	assert_null(xml_next(xml_next(xml_child(root, "b"))));
	assert_str(xml_text(root, "c"), "");
	assert_str(xml_text(root, "d"), "");
	assert_str(xml_text(NULL, "d"), "");
	arena_free(&mem);
}

static void test_xml_refused(void **state)
{
	static const char *const bad[] = {"", "x", "<a>", "<a></b>", "<a/><b/>",
		"<!DOCTYPE a [<!ENTITY x 'PLANTED'>]><a>&x;</a>", "<a>&x;</a>", "<a>\xff</a>",
		"<a>PLANTED"};
	struct arena mem = {0};
	struct xml *root;
	struct error e = {0};
	char deep[1024] = "";

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_err(xml_read(str_of(bad[i]), "it", &mem, &root, &e), ERR_INPUT, &e);
		assert_null(strstr(e.text, "PLANTED"));
		assert_null(root);
	}
	for (int i = 0; i < 65; i++)
		strncat(deep, "<a>", sizeof deep - strlen(deep) - 1);
	assert_err(xml_read(str_of(deep), "it", &mem, &root, &e), ERR_INPUT, &e);
	assert_has(e.text, "too deep");
	arena_free(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_plain_http),
		cmocka_unit_test(test_xml),
		cmocka_unit_test(test_xml_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
