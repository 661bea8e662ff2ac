#include "unit.h"

#include "nearest.h"
#include "opt.h"

struct args {
	bool dry_run, json;
	const char *until, *format, *name, *extra;
	int64_t jobs;
};

static const struct opt opts[] = {
	{.name = "until",
		.type = OPT_STRING,
		.offset = offsetof(struct args, until),
		.value = "LSN",
		.help = "stream until this position is reached"},
	{.name = "dry-run",
		.letter = 'n',
		.type = OPT_FLAG,
		.offset = offsetof(struct args, dry_run),
		.help = "say what would be done"},
	{.name = "json",
		.letter = 'j',
		.type = OPT_FLAG,
		.offset = offsetof(struct args, json),
		.help = "print one JSON object a line"},
	{.name = "format",
		.letter = 'f',
		.type = OPT_CHOICE,
		.offset = offsetof(struct args, format),
		.value = "FORMAT",
		.choices = "table|csv|json",
		.initial = "table",
		.help = "how rows are printed"},
	{.name = "jobs",
		.type = OPT_INT,
		.offset = offsetof(struct args, jobs),
		.value = "N",
		.min = 1,
		.max = 64,
		.initial = "4",
		.help = "how many at a time"},
	OPT_END,
};

static const struct opt_arg positional[] = {
	{.name = "NAME", .offset = offsetof(struct args, name), .help = "the table"},
	{.name = "EXTRA",
		.offset = offsetof(struct args, extra),
		.optional = true,
		.help = "something else"},
	OPT_ARG_END,
};

/* Parses the words after the command's name. They are kept, because options point into argv. */
static enum err parse(struct args *a, bool *help, struct error *e, const char *const *words)
{
	static char store[16][64], *argv[16];
	int argc;

	argv[0] = store[0];
	for (argc = 1; words[argc - 1] != NULL; argc++) {
		snprintf(store[argc], sizeof store[argc], "%s", words[argc - 1]);
		argv[argc] = store[argc];
	}
	*a = (struct args){0};
	return opt_parse(opts, positional, argc, argv, a, help, e);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_defaults_and_forms(void **state)
{
	(void)state;
	struct error e = {0};
	struct args a;
	bool help;

	assert_ok(parse(&a, &help, &e, WORDS("t")), &e);
	assert_false(help);
	assert_string_equal(a.name, "t");
	assert_null(a.extra);
	assert_null(a.until);
	assert_string_equal(a.format, "table");
	assert_int_equal(a.jobs, 4);
	assert_ok(parse(&a, &help, &e,
			  WORDS("--until", "0/1", "t", "--format=csv", "-nj", "--jobs=64", "x")),
		&e);
	assert_string_equal(a.until, "0/1");
	assert_string_equal(a.format, "csv");
	assert_true(a.dry_run && a.json);
	assert_int_equal(a.jobs, 64);
	assert_string_equal(a.extra, "x");
	assert_ok(parse(&a, &help, &e, WORDS("-fjson", "t")), &e);
	assert_string_equal(a.format, "json");
	assert_ok(parse(&a, &help, &e, WORDS("-nf", "csv", "t", "--until=")), &e);
	assert_string_equal(a.format, "csv");
	assert_string_equal(a.until, "");
}

static void test_dashes_end_options(void **state)
{
	(void)state;
	struct error e = {0};
	struct args a;
	bool help;

	assert_ok(parse(&a, &help, &e, WORDS("--", "--help", "-")), &e);
	assert_false(help);
	assert_string_equal(a.name, "--help");
	assert_string_equal(a.extra, "-");
}

static void assert_usage(const char *const *words, const char *text)
{
	struct error e = {0};
	struct args a;
	bool help;

	assert_err(parse(&a, &help, &e, words), ERR_USAGE, &e);
	assert_string_equal(e.text, text);
}

static void test_mistakes_are_named(void **state)
{
	(void)state;
	assert_usage(WORDS("t", "--untl=1"), "unknown option --untl; did you mean --until?");
	assert_usage(WORDS("t", "--dry_run"), "unknown option --dry_run; did you mean --dry-run?");
	assert_usage(WORDS("t", "--zzz"), "unknown option --zzz; --help lists the known ones");
	assert_usage(WORDS("t", "-x"), "unknown option -x; --help lists the known ones");
	assert_usage(WORDS("t", "--until"), "--until needs a value: --until LSN");
	assert_usage(WORDS("t", "--json=1"), "--json takes no value");
	assert_usage(WORDS("t", "--format", "xml"),
		"--format must be one of table|csv|json, not \"xml\"");
	assert_usage(WORDS("t", "--jobs=x"), "--jobs wants a whole number, not \"x\"");
	assert_usage(WORDS("t", "--jobs=65"), "--jobs must be from 1 to 64, not 65");
	assert_usage(WORDS("--json"), "NAME is missing: the table");
	assert_usage(WORDS("a", "b", "c"), "unexpected argument \"c\"");
}

static void test_help_needs_nothing_else(void **state)
{
	(void)state;
	struct error e = {0};
	struct args a;
	bool help;

	assert_ok(parse(&a, &help, &e, WORDS("--nonsense", "--help")), &e);
	assert_true(help);
	assert_ok(parse(&a, &help, &e, WORDS("-h")), &e);
	assert_true(help);
}

static void test_help_text(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 10000);
	opt_help(opts, positional, &b);
	assert_string_equal(buf_cstr(&b),
		"Arguments:\n"
		"  NAME                 the table\n"
		"  EXTRA                something else\n"
		"\n"
		"Options:\n"
		"      --until LSN      stream until this position is reached\n"
		"  -n, --dry-run        say what would be done\n"
		"  -j, --json           print one JSON object a line\n"
		"  -f, --format FORMAT  how rows are printed: table|csv|json (default table)\n"
		"      --jobs N         how many at a time, 1 to 64 (default 4)\n"
		"  -h, --help           show this help\n");
	buf_free(&b);
}

static void test_roff_text(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 10000);
	opt_roff(opts, positional, &b);
	const char *text = buf_cstr(&b);
	assert_has(text, ".TP\n\\fINAME\\fR\nthe table.\n");
	assert_has(text, ".TP\n\\fB\\-n\\fR, \\fB\\-\\-dry\\-run\\fR\nsay what would be done.\n");
	assert_has(text, "\\fB\\-\\-until\\fR \\fILSN\\fR\n");
	buf_free(&b);
}

static void test_no_tables_at_all(void **state)
{
	(void)state;
	char command[] = "command", x[] = "x";
	char *argv[] = {command, x};
	struct error e = {0};
	bool help;

	assert_ok(opt_parse(NULL, NULL, 1, argv, NULL, &help, &e), &e);
	assert_err(opt_parse(NULL, NULL, 2, argv, NULL, &help, &e), ERR_USAGE, &e);
}

static const char *hint(const char *word)
{
	static char text[NEAREST_HINT];
	struct nearest n = nearest_to(str_of(word));

	nearest_try(&n, "replicate");
	nearest_try(&n, "reconcile");
	nearest_try(&n, "land");
	return nearest_hint(&n, text);
}

static void test_nearest(void **state)
{
	(void)state;
	assert_string_equal(hint("replciate"), "; did you mean \"replicate\"?");
	assert_string_equal(hint("lnad"), "; did you mean \"land\"?");
	assert_string_equal(hint("x"), "");
	assert_string_equal(hint("completely-else"), "");
	assert_string_equal(hint(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_and_forms),
		cmocka_unit_test(test_dashes_end_options),
		cmocka_unit_test(test_mistakes_are_named),
		cmocka_unit_test(test_help_needs_nothing_else),
		cmocka_unit_test(test_help_text),
		cmocka_unit_test(test_roff_text),
		cmocka_unit_test(test_no_tables_at_all),
		cmocka_unit_test(test_nearest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
