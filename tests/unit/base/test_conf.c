#include "unit.h"

#include "conf.h"
#include "file.h"

struct source {
	const char *url, *mode;
	struct secret password;
	bool tls;
	int64_t port, batch, timeout;
};

struct table {
	const char *name;
	const char *key;
	struct secret salt;
	int64_t keep;
};

struct settings {
	struct source source;
	struct conf_list tables;
};

static const struct conf_key source_keys[] = {
	{.name = "url",
		.type = CONF_STRING,
		.offset = offsetof(struct source, url),
		.help = "Where the source is."},
	{.name = "password",
		.type = CONF_SECRET,
		.offset = offsetof(struct source, password),
		.help = "Its password."},
	{.name = "tls",
		.type = CONF_BOOL,
		.offset = offsetof(struct source, tls),
		.initial = "on",
		.help = "Encrypt."},
	{.name = "port",
		.type = CONF_INT,
		.offset = offsetof(struct source, port),
		.initial = "5432",
		.min = 1,
		.max = 65535,
		.help = "Port."},
	{.name = "batch",
		.type = CONF_SIZE,
		.offset = offsetof(struct source, batch),
		.initial = "64MB",
		.min = 4096,
		.max = INT64_C(1) << 40,
		.help = "Bytes a batch."},
	{.name = "timeout",
		.type = CONF_TIME,
		.offset = offsetof(struct source, timeout),
		.initial = "10s",
		.help = "How long to wait."},
	{.name = "mode",
		.type = CONF_CHOICE,
		.offset = offsetof(struct source, mode),
		.initial = "merge",
		.choices = "merge|cdc|append",
		.help = "How rows land."},
	CONF_KEY_END,
};

static const struct conf_key table_keys[] = {
	{.name = "key",
		.type = CONF_STRING,
		.offset = offsetof(struct table, key),
		.initial = "id",
		.help = "Key columns."},
	{.name = "salt",
		.type = CONF_SECRET,
		.offset = offsetof(struct table, salt),
		.help = "For hashing."},
	{.name = "keep",
		.type = CONF_TIME,
		.offset = offsetof(struct table, keep),
		.help = "How long."},
	CONF_KEY_END,
};

static const struct conf_section sections[] = {
	{.name = "source",
		.offset = offsetof(struct settings, source),
		.size = sizeof(struct source),
		.keys = source_keys,
		.help = "The source database."},
	{.name = "table",
		.argument = "SCHEMA.NAME",
		.offset = offsetof(struct settings, tables),
		.size = sizeof(struct table),
		.keys = table_keys,
		.help = "One table."},
	CONF_SECTION_END,
};

static char dir[256], path[300], secret_path[300];
static struct settings got;
static struct arena mem;
static struct error err;

static int setup(void **state)
{
	(void)state;
	unit_tmpdir(dir, sizeof dir);
	snprintf(path, sizeof path, "%s/sluice.conf", dir);
	snprintf(secret_path, sizeof secret_path, "%s/password", dir);
	got = (struct settings){0};
	err = (struct error){0};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conf_free(sections, &got);
	arena_free(&mem);
	return file_remove_tree(dir, &err) == OK ? 0 : -1;
}

static enum err load_with(const char *text, char *const *environment)
{
	assert_ok(file_write_atomic(path, str_of(text), &err), &err);
	conf_free(sections, &got);
	got = (struct settings){0};
	err = (struct error){0};
	return conf_load(sections, path, true, environment, &got, &mem, &err);
}

static enum err load(const char *text)
{
	return load_with(text, NULL);
}

static const struct table *table(size_t i)
{
	return &((const struct table *)got.tables.items)[i];
}

static void test_defaults(void **state)
{
	(void)state;
	assert_ok(conf_load(sections, NULL, false, NULL, &got, &mem, &err), &err);
	assert_string_equal(got.source.url, "");
	assert_string_equal(got.source.mode, "merge");
	assert_true(got.source.tls);
	assert_int_equal(got.source.port, 5432);
	assert_int_equal(got.source.batch, 64 << 20);
	assert_int_equal(got.source.timeout, 10000000);
	assert_false(secret_is_set(&got.source.password));
	assert_int_equal(got.tables.n, 0);
}

static void test_values_stand_as_they_are(void **state)
{
	(void)state;
	assert_ok(load("\xef\xbb\xbf# comment\r\n; another\n\n[ source ]\r\n"
		       "url =  host=a password='x ; y' # not a comment\t\r\n"
		       "password=a=b \"c\"\nport=1\n[source]\ntls = No\nmode = cdc\n"
		       "timeout = 250ms"),
		&err);
	assert_string_equal(got.source.url, "host=a password='x ; y' # not a comment");
	assert_string_equal(secret_reveal(&got.source.password), "a=b \"c\"");
	assert_int_equal(got.source.port, 1);
	assert_false(got.source.tls);
	assert_string_equal(got.source.mode, "cdc");
	assert_int_equal(got.source.timeout, 250000);
}

static void test_long_values_are_whole(void **state)
{
	(void)state;
	char text[5000], *at = text + snprintf(text, sizeof text, "[source]\nurl = ");

	memset(at, 'x', 4900);
	at[4900] = '\0';
	assert_ok(load(text), &err);
	assert_int_equal(strlen(got.source.url), 4900);
}

static void test_repeating_sections(void **state)
{
	(void)state;
	assert_ok(load("[table public.a]\nkey = x\n[table public.b]\nsalt = s\n[source]\nport = 2\n"
		       "[table public.a]\nkeep = 2d\n"),
		&err);
	assert_int_equal(got.tables.n, 2);
	assert_string_equal(table(0)->name, "public.a");
	assert_string_equal(table(0)->key, "x");
	assert_true(table(0)->keep == INT64_C(172800000000));
	assert_string_equal(table(1)->name, "public.b");
	assert_string_equal(table(1)->key, "id");
	assert_string_equal(secret_reveal(&table(1)->salt), "s");
	assert_int_equal(got.source.port, 2);
}

static void test_units(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t bytes;
	} sizes[] = {{"4096", 4096}, {"8kB", 8192}, {"8KiB", 8192}, {"16 MB", 16 << 20},
		{"1GiB", INT64_C(1) << 30}, {"5000B", 5000}};
	static const struct {
		const char *text;
		int64_t us;
	} times[] = {{"5us", 5}, {"1ms", 1000}, {"2s", 2000000}, {"5min", 300000000},
		{"1h", INT64_C(3600000000)}, {"0", 0}};
	char text[100];

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		snprintf(text, sizeof text, "[source]\nbatch=%s\n", sizes[i].text);
		assert_ok(load(text), &err);
		assert_true(got.source.batch == sizes[i].bytes);
	}
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		snprintf(text, sizeof text, "[source]\ntimeout=%s\n", times[i].text);
		assert_ok(load(text), &err);
		assert_true(got.source.timeout == times[i].us);
	}
}

/* The error must begin with PATH:LINE and go on like this. */
static void assert_refused(const char *text, const char *want)
{
	char whole[600];

	assert_err(load(text), ERR_USAGE, &err);
	snprintf(whole, sizeof whole, "%s:%s", path, want);
	assert_string_equal(err.text, whole);
}

static void test_mistakes_are_named(void **state)
{
	(void)state;
	assert_refused(
		"[source]\nprot = 1\n", "2: [source] has no key \"prot\"; did you mean \"port\"?");
	assert_refused("[source]\nzzzzzzzz = 1\n",
		"2: [source] has no key \"zzzzzzzz\"; the nearest known key is \"url\"");
	assert_refused("[suorce]\n", "1: unknown section [suorce]; did you mean [source]?");
	assert_refused("[zzzzzzzzz]\n",
		"1: unknown section [zzzzzzzzz]; the nearest known one is [source]");
	assert_refused("[source\n", "1: a section must end with ]");
	assert_refused("[source x]\n", "1: [source] takes no name; write [source]");
	assert_refused("[table]\n", "1: [table] needs a name: [table SCHEMA.NAME]");
	assert_refused("url = x\n", "1: a key must stand below a [section]");
	assert_refused("[source]\njust words\n",
		"2: neither a [section], nor key = value, nor a # comment");
	assert_refused("[source]\nport = 1\n\n[source]\nport = 2\n",
		"5: [source] port is set in line 2 already");
	assert_refused(
		"[table a.b]\nky = 1\n", "2: [table a.b] has no key \"ky\"; did you mean \"key\"?");
}

static void test_bad_values_are_named(void **state)
{
	(void)state;
	assert_refused("[source]\nport = x\n", "2: [source] port: \"x\" is not a whole number");
	assert_refused("[source]\nport = 0\n",
		"2: [source] port: \"0\" is out of range; it must be from 1 to 65535");
	assert_refused("[source]\nbatch = 1kB\n",
		"2: [source] batch: \"1kB\" is out of range; it must be from 4kB to 1TB");
	assert_refused("[source]\nbatch = 99999999999TB\n",
		"2: [source] batch: \"99999999999TB\" is not a size such as 4096, 64kB, 16MB or "
		"1GB");
	assert_refused("[source]\ntimeout = 10\n",
		"2: [source] timeout: \"10\" is not a time such as 250ms, 10s, 5min, 2h or 1d");
	assert_refused(
		"[source]\ntls = maybe\n", "2: [source] tls: \"maybe\" is not true or false");
	assert_refused("[source]\nmode = upsert\n",
		"2: [source] mode: \"upsert\" is not one of merge|cdc|append");
	assert_refused("[source]\nport =\n", "2: [source] port: \"\" is not a whole number");
}

static void test_missing_file(void **state)
{
	(void)state;
	assert_err(conf_load(sections, path, true, NULL, &got, &mem, &err), ERR_USAGE, &err);
	assert_has(err.text, path);
	assert_ok(conf_load(sections, path, false, NULL, &got, &mem, &err), &err);
	assert_int_equal(got.source.port, 5432);
}

static void test_environment_overrides(void **state)
{
	(void)state;
	char *environment[] = {(char[]){"PATH=/bin"}, (char[]){"SLUICE_SOURCE_PORT=7"},
		(char[]){"SLUICE_SOURCE_URL=a=b"}, (char[]){"SLUICE_TABLE_PUBLIC_A_KEY=k"},
		(char[]){"SLUICE_FAILPOINTS=x=error"}, (char[]){"SLUICE_TABLE_OTHER_KEY=k"},
		(char[]){"SLUICE_SOURCE_SERVICE_HOST=10.0.0.1"},
		(char[]){"SLUICE_SOURCE_PORT_80_TCP_ADDR=10.0.0.1"}, NULL};

	assert_ok(load_with("[source]\nport = 1\n[table public.a]\n[table public]\n", environment),
		&err);
	assert_int_equal(got.source.port, 7);
	assert_string_equal(got.source.url, "a=b");
	assert_string_equal(table(0)->key, "k");
	assert_string_equal(table(1)->key, "id");
}

static void test_environment_mistakes(void **state)
{
	(void)state;
	char *unknown[] = {(char[]){"SLUICE_SOURCE_PROT=7"}, NULL};
	char *bad[] = {(char[]){"SLUICE_SOURCE_PORT=x"}, NULL};
	char *twice[] = {(char[]){"SLUICE_SOURCE_PASSWORD=x"},
		(char[]){"SLUICE_SOURCE_PASSWORD_FILE=/x"}, NULL};

	assert_err(load_with("", unknown), ERR_USAGE, &err);
	assert_string_equal(err.text,
		"environment: SLUICE_SOURCE_PROT: [source] has no key "
		"\"prot\"; did you mean \"port\"?");
	assert_err(load_with("", bad), ERR_USAGE, &err);
	assert_string_equal(
		err.text, "environment: SLUICE_SOURCE_PORT: \"x\" is not a whole number");
	assert_err(load_with("", twice), ERR_USAGE, &err);
	assert_has(err.text, "the same key is set by another variable");
}

static void test_secrets_from_files(void **state)
{
	(void)state;
	char text[700], variable[400];
	char *environment[] = {variable, NULL};

	assert_ok(file_write_atomic(secret_path, STR("hunter2\n"), &err), &err);
	snprintf(text, sizeof text, "[source]\npassword_file = %s\n", secret_path);
	assert_ok(load(text), &err);
	assert_string_equal(secret_reveal(&got.source.password), "hunter2");
	snprintf(variable, sizeof variable, "SLUICE_SOURCE_PASSWORD_FILE=%s", secret_path);
	assert_ok(load_with("[source]\npassword = other\n", environment), &err);
	assert_string_equal(secret_reveal(&got.source.password), "hunter2");
	assert_err(load("[source]\npassword_file = /nowhere\n"), ERR_USAGE, &err);
	assert_has(err.text, "2: [source] password: opening /nowhere: No such file");
	assert_err(load("[source]\nurl_file = /nowhere\n"), ERR_USAGE, &err);
	assert_has(err.text, "has no key \"url_file\"");
}

static void test_print_hides_secrets(void **state)
{
	(void)state;
	struct buf b;

	assert_ok(load("[source]\nurl = postgres://me:hunter2@db:5432/x?a=b@c\n"
		       "password = hunter2\n[table a.b]\n"),
		&err);
	buf_init(&b, 10000);
	conf_print(sections, &got, &b);
	assert_string_equal(buf_cstr(&b),
		"[source]\n"
		"url = postgres://me:***@db:5432/x?a=b@c\n"
		"password = (set)\n"
		"tls = true\n"
		"port = 5432\n"
		"batch = 64MB\n"
		"timeout = 10s\n"
		"mode = merge\n"
		"\n"
		"[table a.b]\n"
		"key = id\n"
		"salt = (not set)\n"
		"keep = 0\n"
		"\n");
	buf_free(&b);
}

static void test_documentation_and_sample(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 10000);
	conf_roff(sections, &b);
	assert_has(buf_cstr(&b), ".SS [table SCHEMA.NAME]\nOne table.\n");
	assert_has(buf_cstr(&b),
		".TP\n\\fBport\\fR\na whole number, from 1 to 65535 "
		"(default 5432). Port.\n");
	assert_has(buf_cstr(&b), "one of merge, cdc, append (default merge). How rows land.");
	buf_reset(&b);
	conf_sample(sections, &b);
	assert_has(buf_cstr(&b), "[source]\n");
	assert_has(buf_cstr(&b), "\n#port = 5432\n");
	assert_has(buf_cstr(&b), "\n#[table SCHEMA.NAME]\n");
	assert_ok(load(buf_cstr(&b)), &err); /* the sample as it stands is a valid file */
	buf_free(&b);
}

int main(void)
{
#define WITH_FILE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_FILE(test_defaults),
		WITH_FILE(test_values_stand_as_they_are),
		WITH_FILE(test_long_values_are_whole),
		WITH_FILE(test_repeating_sections),
		WITH_FILE(test_units),
		WITH_FILE(test_mistakes_are_named),
		WITH_FILE(test_bad_values_are_named),
		WITH_FILE(test_missing_file),
		WITH_FILE(test_environment_overrides),
		WITH_FILE(test_environment_mistakes),
		WITH_FILE(test_secrets_from_files),
		WITH_FILE(test_print_hides_secrets),
		WITH_FILE(test_documentation_and_sample),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
