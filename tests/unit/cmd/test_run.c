/* From arguments to a command: what is found, what is refused, and that the tables are whole. */
#include "unit.h"

#include <stdio.h>

#include "cmd_all.h"
#include "man.h"
#include "run.h"

static enum err parse(struct arena *mem, struct invocation *inv, struct error *e, int argc,
	const char *const *words)
{
	char **argv = arena_array(mem, (size_t)argc + 1, sizeof *argv);
	for (int i = 0; i < argc; i++)
		argv[i] = arena_cstr(mem, str_of(words[i]));
	return invocation_parse(argc, argv, mem, inv, e);
}

#define PARSE(...)                                                                                 \
	parse(&mem, &inv, &e, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),       \
		(const char *[]){__VA_ARGS__})

static void finds_commands_and_globals_anywhere(void **state)
{
	struct arena mem = {0};
	struct invocation inv;
	struct error e = {0};
	(void)state;
	assert_ok(PARSE("sluice", "--json", "gate", "approve", "cancel-risk", "--config", "x.conf",
			  "--person", "someone"),
		&e);
	assert_ptr_equal(inv.command, &cmd_gate_approve);
	assert_true(inv.global.json);
	assert_string_equal(inv.global.config, "x.conf");
	assert_int_equal(inv.argc, 4);
	assert_string_equal(inv.argv[0], "gate approve");
	assert_string_equal(inv.argv[3], "someone");

	assert_ok(PARSE("sluice", "query", "--", "--json"), &e);
	assert_ptr_equal(inv.command, &cmd_query);
	assert_false(inv.global.json);
	assert_string_equal(inv.argv[2], "--json");

	assert_ok(PARSE("sluice"), &e);
	assert_null(inv.command);
	arena_free(&mem);
}

static void says_what_is_wrong(void **state)
{
	struct arena mem = {0};
	struct invocation inv;
	struct error e = {0};
	(void)state;
	assert_err(PARSE("sluice", "reconcil"), ERR_USAGE, &e);
	assert_has(e.text, "did you mean 'reconcile'?");
	assert_err(PARSE("sluice", "xyzzyxyzzy"), ERR_USAGE, &e);
	assert_has(e.text, "sluice help");
	assert_err(PARSE("sluice", "gate"), ERR_USAGE, &e);
	assert_has(e.text, "one more word");
	assert_err(PARSE("sluice", "gate", "explode"), ERR_USAGE, &e);
	assert_has(e.text, "'gate explode'");
	assert_err(PARSE("sluice", "query", "--log-level", "loud"), ERR_USAGE, &e);
	assert_has(e.text, "log-level");
	arena_free(&mem);
}

/* Every command is findable, says what it is, and has help and a manual page. */
static void the_table_is_whole(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1 << 22);
	for (size_t i = 0; commands[i] != NULL; i++) {
		const struct command *c = commands[i];
		assert_ptr_equal(command_find(c->name), c);
		assert_non_null(c->run);
		assert_true(c->summary != NULL && c->summary[0] != '\0');
		size_t before = b.n;
		help_command(c, &b);
		man_command(c, &b);
		assert_true(b.n > before + 200);
	}
	man_overview(&b);
	man_configuration(&b);
	assert_true(buf_ok(&b));
	assert_has(buf_cstr(&b), "batch_rows");
	buf_free(&b);
}

/* The names of DESIGN's table of commands are promises. */
static void the_promised_names_exist(void **state)
{
	static const char *const promised[] = {"demo", "up", "init", "doctor", "replicate",
		"status", "table add", "table drop", "table resync", "table pause", "table resume",
		"query", "reconcile", "repair", "window list", "window record", "window verify",
		"window replay", "features build", "features check", "report build", "train",
		"model list", "model show", "model alias", "model delete", "endpoint list",
		"endpoint create", "endpoint deploy", "endpoint undeploy", "endpoint split",
		"serve", "score", "publish", "land", "release list", "release verify",
		"release rollback", "gate status", "gate request", "gate approve", "gate open",
		"gate close", "app api", "app worker", "pipeline run", "pipeline list",
		"pipeline show", "pipeline cancel"};
	(void)state;
	for (size_t i = 0; i < sizeof promised / sizeof *promised; i++)
		if (command_find(promised[i]) == NULL)
			fail_msg("there is no command '%s'", promised[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_commands_and_globals_anywhere),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(the_table_is_whole),
		cmocka_unit_test(the_promised_names_exist),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
