#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "thread.h"

static struct clock_manual now;

static int open_file(void)
{
	char name[] = "/tmp/sluice-log-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	clock_manual_init(&now, clock_days(2017, 3, 1) * INT64_C(86400000000));
	return fd;
}

static void read_back(int fd, struct buf *b)
{
	struct error e = {0};
	char piece[4096];
	ssize_t n;

	buf_init(b, (size_t)64 << 20);
	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, piece, sizeof piece)) > 0)
		assert_ok(buf_add(b, str_make(piece, (size_t)n), &e), &e);
	close(fd);
}

static void test_json_line(void **state)
{
	(void)state;
	int fd = open_file();
	struct buf b;
	struct log *log = log_open(fd, LOG_AUTO, LOG_INFO, &now.base);

	log_info(log, "apply", "batch \"done\"\n", F_I64("rows", -3), F_CSTR("table", "a\tb"),
		F_F64("s", 0.25), F_BOOL("ok", true), F_STR("none", STR_NONE));
	log_debug(log, "apply", "not this");
	log_error(log, "pg", "plain");
	log_close(log);
	read_back(fd, &b);
	assert_string_equal(buf_cstr(&b),
		"{\"ts\":\"2017-03-01T00:00:00.000000Z\",\"level\":\"info\",\"component\":"
		"\"apply\","
		"\"msg\":\"batch \\\"done\\\"\\n\",\"rows\":-3,\"table\":\"a\\tb\",\"s\":0.25,"
		"\"ok\":true,\"none\":\"\"}\n"
		"{\"ts\":\"2017-03-01T00:00:00.000000Z\",\"level\":\"error\",\"component\":\"pg\","
		"\"msg\":\"plain\"}\n");
	buf_free(&b);
}

static void test_text_line(void **state)
{
	(void)state;
	int fd = open_file();
	struct buf b;
	struct log *log = log_open(fd, LOG_TEXT, LOG_DEBUG, &now.base);

	log_warn(log, "slot", "lag\033[31m\nforged", F_CSTR("why", "two words"), F_CSTR("t", "one"),
		F_I64("n", 1), F_BOOL("b", false));
	log_close(log);
	read_back(fd, &b);
	assert_string_equal(buf_cstr(&b),
		"2017-03-01T00:00:00.000000Z WARN  slot: "
		"lag\\x1b[31m\\nforged why=\"two words\" t=one n=1 b=false\n");
	buf_free(&b);
}

static void test_null_log_is_silent(void **state)
{
	(void)state;
	log_info(NULL, "x", "nothing");
	log_close(NULL);
}

static void test_huge_texts_are_cut_but_stay_json(void **state)
{
	(void)state;
	static char text[3 << 20];
	int fd = open_file();
	struct error e = {0};
	struct buf b;
	json_t *v;

	memset(text, 'x', sizeof text - 1);
	struct log *log = log_open(fd, LOG_JSON, LOG_INFO, &now.base);
	log_info(log, "x", "big", F_CSTR("text", text));
	log_close(log);
	read_back(fd, &b);
	assert_true(b.n < 20000);
	assert_ok(json_read(buf_str(&b), "the line", &v, &e), &e);
	json_decref(v);
	buf_free(&b);
}

static enum err write_many(void *arg, struct error *e)
{
	(void)e;
	for (int i = 0; i < 500; i++)
		log_info(arg, "thread", "line", F_I64("i", i));
	return OK;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	int fd = open_file();
	struct thread threads[THREADS];
	struct error e = {0};
	struct str rest, line;
	struct buf b;
	size_t n = 0;

	struct log *log = log_open(fd, LOG_JSON, LOG_INFO, &now.base);
	for (size_t i = 0; i < THREADS; i++)
		assert_ok(thread_start(&threads[i], "log", write_many, log, &e), &e);
	for (size_t i = 0; i < THREADS; i++)
		assert_ok(thread_join(&threads[i], &e), &e);
	log_close(log);
	read_back(fd, &b);
	rest = buf_str(&b);
	for (; str_next(&rest, '\n', &line); n++) {
		json_t *v;
		assert_ok(json_read(line, "a line", &v, &e), &e);
		json_decref(v);
	}
	assert_int_equal(n, THREADS * 500);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_line),
		cmocka_unit_test(test_text_line),
		cmocka_unit_test(test_null_log_is_silent),
		cmocka_unit_test(test_huge_texts_are_cut_but_stay_json),
		cmocka_unit_test(test_lines_of_threads_do_not_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
