/* The control socket: a command's arguments and streams reach the holder, its exit code comes
 * back, and nobody is taken for a holder who is none. */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "control_caller.h"
#include "env.h"
#include "rnd.h"
#include "run.h"
#include "thread.h"

struct fixture {
	char dir[256];
	char url[512];
	struct rnd rnd;
	atomic_bool stop;
	struct env env;
};

static int set_up(void **state)
{
	static struct fixture f;
	f = (struct fixture){0};
	/* Deeper than a socket address can hold. */
	snprintf(f.dir, sizeof f.dir, "/tmp/sluice-control-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	char deep[200];
	memset(deep, 'd', sizeof deep);
	deep[sizeof deep - 1] = '\0';
	char path[480];
	snprintf(path, sizeof path, "%s/%s", f.dir, deep);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(f.url, sizeof f.url, "duckdb://%s/w.duckdb", path);
	f.env = (struct env){.clock = clock_system(), .rnd = &f.rnd, .stop = &f.stop};
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	control_unlink(f->url);
	char *slash = strrchr(f->url, '/');
	*slash = '\0';
	rmdir(f->url + strlen("duckdb://"));
	rmdir(f->dir);
	return 0;
}

struct holder {
	int listener;
	struct control_request got;
	uint8_t answer;
	bool hang_up; /* leaves without an answer */
};

/* What the holder does for one client: takes the command, writes through the client's own
 * standard output, answers. */
static enum err hold(void *arg, struct error *e)
{
	struct holder *h = arg;
	int fd = accept(h->listener, NULL, NULL);
	enum err rc = control_receive_request(fd, NULL, &h->got, e);
	if (rc == OK) {
		if (write(h->got.fds[1], "from inside\n", 12) != 12)
			rc = FAIL(e, ERR_FAILED, "the client's output cannot be written");
		for (int i = 0; i < CONTROL_FDS; i++)
			close(h->got.fds[i]);
	}
	if (rc == OK && !h->hang_up && write(fd, &h->answer, 1) != 1)
		rc = FAIL(e, ERR_FAILED, "no answer could be written");
	close(fd);
	return rc;
}

/* Standard output becomes a pipe for the time of a call. */
static int capture_begin(int *saved)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	*saved = dup(STDOUT_FILENO);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	return ends[0];
}

static void capture_end(int saved)
{
	dup2(saved, STDOUT_FILENO);
	close(saved);
}

static void a_command_runs_in_the_holder(void **state)
{
	struct fixture *f = *state;
	struct error e = {0}, theirs = {0};
	struct thread t = {0};
	struct holder h = {.listener = control_listen(f->url), .answer = 3};
	assert_true(h.listener >= 0);
	assert_ok(thread_start(&t, "holder", hold, &h, &e), &e);

	char *argv[] = {
		(char[]){"sluice"}, (char[]){"query"}, (char[]){"SELECT 'it''s \"\n'"}, NULL};
	bool served = false;
	int code = 0, saved;
	setenv("SLUICE_HANDBACK_PERSON", "somebody else", 1);
	int out = capture_begin(&saved);
	enum err rc = control_run(f->url, 3, argv, NULL, &f->env, &served, &code, &e);
	capture_end(saved);
	assert_ok(rc, &e);
	assert_ok(thread_join(&t, &theirs), &theirs);

	char said[32] = {0};
	assert_int_equal(read(out, said, sizeof said - 1), 12);
	assert_string_equal(said, "from inside\n");
	assert_true(served);
	assert_int_equal(code, 3);
	assert_int_equal(h.got.argc, 3);
	assert_string_equal(h.got.argv[2], argv[2]);
	assert_null(h.got.config);
	assert_int_equal(h.got.cwd[0], '/');
	unsetenv("SLUICE_HANDBACK_PERSON");
	bool found = false;
	for (char **v = h.got.env; *v != NULL; v++) {
		assert_memory_equal(*v, "SLUICE_", 7);
		found |= strcmp(*v, "SLUICE_HANDBACK_PERSON=somebody else") == 0;
	}
	assert_true(found);
	control_free_request(&h.got);
	close(out);
	close(h.listener);
}

static void nobody_holds_it(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	bool served = true;
	int code = 0;
	char *argv[] = {(char[]){"sluice"}, NULL};
	assert_ok(control_run(f->url, 1, argv, NULL, &f->env, &served, &code, &e), &e);
	assert_false(served);
	assert_ok(
		control_run("bigquery://project", 1, argv, NULL, &f->env, &served, &code, &e), &e);
	assert_false(served);
}

static void a_dead_holders_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	bool served = true;
	int code = 0;
	char *argv[] = {(char[]){"sluice"}, NULL};
	int first = control_listen(f->url);
	assert_true(first >= 0);
	close(first); /* as after a crash: the name stays */
	assert_ok(control_run(f->url, 1, argv, NULL, &f->env, &served, &code, &e), &e);
	assert_false(served);
	int second = control_listen(f->url);
	assert_true(second >= 0);
	struct stat st;
	assert_int_equal(stat(strstr(f->url, "/tmp"), &st), -1);
	close(second);
}

static void a_holder_that_dies_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct error e = {0}, theirs = {0};
	struct thread t = {0};
	struct holder h = {.listener = control_listen(f->url), .hang_up = true};
	bool served = false;
	int code = 0, saved;
	char *argv[] = {(char[]){"sluice"}, NULL};
	assert_ok(thread_start(&t, "holder", hold, &h, &e), &e);
	int out = capture_begin(&saved);
	enum err rc = control_run(f->url, 1, argv, NULL, &f->env, &served, &code, &e);
	capture_end(saved);
	assert_err(rc, ERR_UNAVAILABLE, &e);
	assert_has(e.text, "ended before the command did");
	assert_ok(thread_join(&t, &theirs), &theirs);
	control_free_request(&h.got);
	close(out);
	close(h.listener);
}

static void a_command_may_ask_for_a_process_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct error e = {0}, theirs = {0};
	struct thread t = {0};
	struct holder h = {.listener = control_listen(f->url), .answer = RUN_NOT_HERE};
	bool served = true;
	int code = 0, saved;
	char *argv[] = {(char[]){"sluice"}, NULL};
	assert_ok(thread_start(&t, "holder", hold, &h, &e), &e);
	int out = capture_begin(&saved);
	enum err rc = control_run(f->url, 1, argv, NULL, &f->env, &served, &code, &e);
	capture_end(saved);
	assert_ok(rc, &e);
	assert_false(served);
	assert_ok(thread_join(&t, &theirs), &theirs);
	control_free_request(&h.got);
	close(out);
	close(h.listener);
}

static void nonsense_is_refused(void **state)
{
	static const char *const lines[] = {
		"\n", "{}\n", "{\"argv\":[]}\n", "[1]\n", "{\"argv\":3}\n"};
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct error e = {0};
		struct control_request got;
		int ends[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		assert_true(write(ends[0], lines[i], strlen(lines[i])) > 0);
		close(ends[0]);
		assert_err(control_receive_request(ends[1], NULL, &got, &e), ERR_INPUT, &e);
		close(ends[1]);
	}
}

static int open_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_piece(int fd, const char *text, int nfds)
{
	union {
		char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct iovec io = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
	size_t n = (size_t)nfds * sizeof(int);
	struct msghdr m = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	const int fds[CONTROL_FDS] = {0, 1, 2};
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), fds, n);
	assert_true(sendmsg(fd, &m, 0) > 0);
}

/* Too few at first, the right ones, the right ones once more. */
static void unexpected_descriptors_are_closed(void **state)
{
	struct control_request got;
	struct error e = {0};
	int ends[2], before = open_fds();
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	send_piece(ends[0], "{\"argv\":[\"sluice\"],", 2);
	send_piece(ends[0], "\"config\":\"/etc/x\",\"cwd\":\"/\",", 3);
	send_piece(ends[0], "\"env\":[]}\n", 3);
	assert_ok(control_receive_request(ends[1], NULL, &got, &e), &e);
	assert_string_equal(got.config, "/etc/x");
	assert_int_equal(open_fds(), before + 2 + CONTROL_FDS);
	for (int i = 0; i < CONTROL_FDS; i++)
		close(got.fds[i]);
	control_free_request(&got);
	close(ends[0]);
	close(ends[1]);
}

static void a_silent_client_is_not_waited_for_when_closing(void **state)
{
	struct control_request got;
	struct error e = {0};
	atomic_bool closing = true;
	int ends[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_err(control_receive_request(ends[1], &closing, &got, &e), ERR_INTERRUPTED, &e);
	close(ends[0]);
	close(ends[1]);
}

/* The client's file and variables are in force; what the holder has open must be the same. */
static void a_client_has_its_own_settings(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct control_caller held = {0}, other = {0}, mixed = {0};
	char *none[] = {NULL};
	char *key[] = {(char[]){"SLUICE_HANDBACK_SIGNING_KEY=/nope"}, NULL};
	char *store[] = {(char[]){"SLUICE_STORE_URL=file:///elsewhere"}, NULL};
	struct control_request r = {.cwd = f->dir, .env = none};
	const struct conf_section *table = settings_sections;
	assert_ok(conf_load(table, NULL, false, none, &held.settings, &held.mem, &e), &e);
	settings_resolve(&held.settings, f->dir, &held.mem);

	r.env = key;
	assert_ok(control_caller_load(&other, &r, &held.settings, &e), &e);
	assert_string_equal(other.settings.handback.signing_key, "/nope");
	assert_string_equal(held.settings.handback.signing_key, "");
	r.env = store;
	assert_err(control_caller_load(&mixed, &r, &held.settings, &e), ERR_USAGE, &e);
	assert_has(e.text, "[store] url");
	control_caller_free(&held);
	control_caller_free(&other);
	control_caller_free(&mixed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_command_runs_in_the_holder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_holds_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_dead_holders_socket_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_holder_that_dies_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_command_may_ask_for_a_process_of_its_own, set_up, tear_down),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(unexpected_descriptors_are_closed),
		cmocka_unit_test(a_silent_client_is_not_waited_for_when_closing),
		cmocka_unit_test_setup_teardown(a_client_has_its_own_settings, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
