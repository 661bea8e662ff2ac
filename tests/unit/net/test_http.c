/* Client and server against each other, on a port that the system chose. */
#include "unit.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_client.h"
#include "http_server.h"
#include "metrics.h"
#include "problem.h"
#include "thread.h"

/* What the handlers share with the tests. */
struct shared {
	atomic_int opened, closed, running, most, fails_left;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool gate_open; /* /wait ends when it is */
};

static enum err on_echo(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)e;
	resp->status = 201;
	resp->content_type = "text/plain";
	http_response_header(resp, STR("X-Trace"), req->trace_parent);
	http_response_header(resp, STR("X-Param"), http_param(req, "id"));
	http_response_header(resp, STR("X-Query"), http_query(req, "q"));
	http_response_header(resp, STR("X-Method"), req->method);
	buf_put(&resp->body, req->body);
	return OK;
}

static enum err on_fail(struct http_request *req, struct http_response *resp, struct error *e)
{
	struct shared *s = req->shared;

	buf_puts(&resp->body, "half an answer");
	if (atomic_fetch_sub(&s->fails_left, 1) > 0)
		return FAIL(e, ERR_UNAVAILABLE, "asking the oracle: it sleeps");
	http_response_clear(resp);
	buf_puts(&resp->body, "well");
	return OK;
}

static enum err on_wait(struct http_request *req, struct http_response *resp, struct error *e)
{
	struct shared *s = req->shared;

	(void)e;
	(void)pthread_mutex_lock(&s->lock);
	int now = atomic_fetch_add(&s->running, 1) + 1;
	if (now > atomic_load(&s->most))
		atomic_store(&s->most, now);
	(void)pthread_cond_broadcast(&s->changed);
	while (!s->gate_open)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	atomic_fetch_sub(&s->running, 1);
	(void)pthread_mutex_unlock(&s->lock);
	buf_puts(&resp->body, "done");
	return OK;
}

static enum err on_thread(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)e;
	buf_putf(&resp->body, "%d", *(int *)req->thread);
	return OK;
}

static enum err on_big(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)req;
	(void)e;
	for (int i = 0; i < 3000; i++)
		buf_puts(&resp->body, "0123456789");
	return OK;
}

static const struct http_route routes[] = {
	{"POST", "/echo/{id}", on_echo},
	{"GET", "/echo/{id}", on_echo},
	{"GET", "/fail", on_fail},
	{"GET", "/wait", on_wait},
	{"GET", "/thread", on_thread},
	{"GET", "/big", on_big},
	HTTP_ROUTE_END,
};

static int numbers[64];

static enum err open_thread(void *shared, void **thread, struct error *e)
{
	struct shared *s = shared;

	(void)e;
	int i = atomic_fetch_add(&s->opened, 1);
	numbers[i] = i;
	*thread = &numbers[i];
	return OK;
}

static void close_thread(void *shared, void *thread)
{
	struct shared *s = shared;

	assert_in_range(*(int *)thread, 0, 63);
	atomic_fetch_add(&s->closed, 1);
}

struct fixture {
	struct env env;
	struct rnd rnd;
	struct shared shared;
	struct http_server *server;
	struct http_client *client;
	struct http_reply reply;
	struct error e;
	char url[256];
};

static int setup_with(void **state, unsigned threads, unsigned queue)
{
	struct fixture *f = calloc(1, sizeof *f);

	rnd_system(&f->rnd);
	f->env = (struct env){.clock = clock_system(), .rnd = &f->rnd, .metrics = metrics_new()};
	(void)pthread_mutex_init(&f->shared.lock, NULL);
	(void)pthread_cond_init(&f->shared.changed, NULL);
	struct http_server_options o = {.listen = "127.0.0.1:0",
		.routes = routes,
		.threads = threads,
		.queue = queue,
		.max_body = 1000,
		.shared = &f->shared,
		.thread_open = open_thread,
		.thread_close = close_thread};
	assert_ok(http_server_start(&f->server, &o, &f->env, &f->e), &f->e);
	assert_ok(http_client_new(&f->client, NULL, &f->env, &f->e), &f->e);
	http_reply_init(&f->reply);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 3, 0);
}

static int setup_narrow(void **state)
{
	return setup_with(state, 1, 1);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_reply_free(&f->reply);
	http_client_free(f->client);
	http_server_stop(f->server);
	assert_int_equal(atomic_load(&f->shared.opened), atomic_load(&f->shared.closed));
	metrics_free(f->env.metrics);
	free(f);
	return 0;
}

static const char *url(struct fixture *f, const char *path)
{
	(void)snprintf(f->url, sizeof f->url, "http://%s%s", http_server_address(f->server), path);
	return f->url;
}

static unsigned get(struct fixture *f, const char *path)
{
	struct http_call call = {.method = "GET", .url = url(f, path)};

	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	return f->reply.status;
}

static void requests_arrive_whole(void **state)
{
	struct fixture *f = *state;
	static const char trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	struct http_pair headers[] = {
		{STR("traceparent"), STR(trace)}, {STR("X-Request-Id"), STR("req-1")}};
	struct http_call call = {.method = "POST",
		.url = url(f, "/echo/a%2Fb%20c?q=x%26y&z"),
		.headers = headers,
		.nheaders = 2,
		.body = STR("the body")};

	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 201);
	assert_str(buf_str(&f->reply.body), "the body");
	assert_str(http_reply_header(&f->reply, "x-trace"), trace);
	assert_str(http_reply_header(&f->reply, "x-param"), "a/b c");
	assert_str(http_reply_header(&f->reply, "x-query"), "x&y");
	assert_str(http_reply_header(&f->reply, "x-request-id"), "req-1");
	assert_str(http_reply_header(&f->reply, "content-type"), "text/plain");
}

static void big_answers_and_limits(void **state)
{
	struct fixture *f = *state;
	struct http_call call = {.method = "GET", .url = url(f, "/big"), .max_response = 1000};

	assert_int_equal(get(f, "/big"), 200);
	assert_int_equal(f->reply.body.n, 30000);
	/* A fresh reply: an old one's memory would be room enough. */
	http_reply_free(&f->reply);
	http_reply_init(&f->reply);
	assert_err(http_client_send(f->client, &call, &f->reply, &f->e), ERR_INPUT, &f->e);
	assert_has(f->e.text, "larger than");
	assert_int_equal(get(f, "/big"), 200);
}

static void large_bodies_are_refused(void **state)
{
	struct fixture *f = *state;
	char body[1001];
	struct http_pair chunked = {STR("Transfer-Encoding"), STR("chunked")};

	memset(body, 'x', sizeof body);
	struct http_call call = {
		.method = "POST", .url = url(f, "/echo/1"), .body = str_make(body, 1000)};
	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 201);
	call.body = str_make(body, 1001);
	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 413);
	assert_str(http_reply_header(&f->reply, "content-type"), PROBLEM_TYPE);
	/* Without a length the server finds out while reading. */
	call.headers = &chunked;
	call.nheaders = 1;
	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 413);
}

static void unknown_paths_and_methods(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "/nowhere"), 404);
	assert_str(http_reply_header(&f->reply, "content-type"), PROBLEM_TYPE);
	struct http_call call = {.method = "DELETE", .url = url(f, "/echo/1")};
	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 405);
	assert_str(http_reply_header(&f->reply, "allow"), "POST, GET");
	call.method = "OPTIONS";
	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 204);
	assert_str(http_reply_header(&f->reply, "allow"), "POST, GET");
	call.method = "HEAD";
	assert_ok(http_client_send(f->client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 201);
	assert_int_equal(f->reply.body.n, 0);
}

static void failures_are_problems(void **state)
{
	struct fixture *f = *state;
	struct http_call call = {.method = "GET", .url = url(f, "/fail")};

	atomic_store(&f->shared.fails_left, 1);
	assert_err(http_client_want(f->client, &call, &f->reply, &f->e), ERR_UNAVAILABLE, &f->e);
	assert_has(f->e.text, "503");
	assert_int_equal(f->reply.attempts, 1);
	assert_null(strstr(buf_cstr(&f->reply.body), "half an answer"));
	assert_ok(http_client_want(f->client, &call, &f->reply, &f->e), &f->e);
	assert_str(buf_str(&f->reply.body), "well");
}

/* Retry-After is a second, so the client's clock is one that a test can turn. */
static void idempotent_calls_are_repeated(void **state)
{
	struct fixture *f = *state;
	struct clock_manual clock;
	struct env env = f->env;
	struct http_client *client;
	struct http_call call = {.method = "GET", .url = url(f, "/fail"), .idempotent = true};

	clock_manual_init(&clock, 0);
	env.clock = &clock.base;
	assert_ok(http_client_new(&client, NULL, &env, &f->e), &f->e);
	atomic_store(&f->shared.fails_left, 2);
	assert_ok(http_client_want(client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.attempts, 3);
	assert_true(clock.now_us >= 2000000);
	atomic_store(&f->shared.fails_left, 100);
	assert_ok(http_client_send(client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.status, 503);
	assert_int_equal(f->reply.attempts, 4);
	/* No time for another attempt: the first answer stands. */
	call.deadline_us = 500000;
	assert_ok(http_client_send(client, &call, &f->reply, &f->e), &f->e);
	assert_int_equal(f->reply.attempts, 1);
	http_client_free(client);
}

static void nobody_there_is_unavailable(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char target[64];

	/* Bound but not listening: nobody else can take the port. */
	assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	(void)snprintf(target, sizeof target, "http://127.0.0.1:%d/", ntohs(at.sin_port));
	struct http_call call = {.method = "GET", .url = target};
	assert_err(http_client_send(f->client, &call, &f->reply, &f->e), ERR_UNAVAILABLE, &f->e);
	assert_has(f->e.text, target);
	assert_int_equal(listen(fd, 1), 0);
	/* Accepts and never answers. */
	call.deadline_us = 50000;
	assert_err(http_client_send(f->client, &call, &f->reply, &f->e), ERR_UNAVAILABLE, &f->e);
	(void)close(fd);
	call.url = "ftp://127.0.0.1/";
	assert_err(http_client_send(f->client, &call, &f->reply, &f->e), ERR_USAGE, &f->e);
	call.url = "not a url";
	assert_err(http_client_send(f->client, &call, &f->reply, &f->e), ERR_USAGE, &f->e);
}

static void a_stop_ends_a_call(void **state)
{
	struct fixture *f = *state;
	atomic_bool stop = true;
	struct http_call call = {.method = "GET", .url = url(f, "/thread")};

	f->env.stop = &stop;
	assert_err(http_client_send(f->client, &call, &f->reply, &f->e), ERR_INTERRUPTED, &f->e);
	f->env.stop = NULL;
}

static void addresses_are_checked(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999",
		"::1:80", "127.0.0.1:http", "no.such.host.invalid:0"};
	struct http_server *other = NULL;
	struct http_server_options o = {.routes = routes, .threads = 1};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		o.listen = bad[i];
		assert_err(http_server_start(&other, &o, &f->env, &f->e), ERR_USAGE, &f->e);
	}
	o.listen = http_server_address(f->server);
	assert_err(http_server_start(&other, &o, &f->env, &f->e), ERR_UNAVAILABLE, &f->e);
	assert_has(f->e.text, "already in use");
}

static void requests_are_counted(void **state)
{
	struct fixture *f = *state;
	struct buf text;

	assert_int_equal(get(f, "/thread"), 200);
	assert_int_equal(get(f, "/thread"), 200);
	assert_int_equal(get(f, "/nowhere"), 404);
	buf_init(&text, BUF_MAX_DEFAULT);
	metrics_print(f->env.metrics, &text);
	assert_has(buf_cstr(&text),
		"sluice_http_requests_total{route=\"GET /thread\",status=\"2xx\"} 2");
	assert_has(
		buf_cstr(&text), "sluice_http_requests_total{route=\"unknown\",status=\"4xx\"} 1");
	buf_free(&text);
}

struct caller {
	struct fixture *f;
	struct thread thread;
	const char *path;
	unsigned status;
};

static enum err call_once(void *arg, struct error *e)
{
	struct caller *c = arg;
	struct http_client *client;
	struct http_reply reply;
	char target[128];

	(void)snprintf(
		target, sizeof target, "http://%s%s", http_server_address(c->f->server), c->path);
	struct http_call call = {.method = "GET", .url = target};
	http_reply_init(&reply);
	TRY(http_client_new(&client, NULL, &c->f->env, e));
	enum err rc = http_client_send(client, &call, &reply, e);
	c->status = reply.status;
	http_reply_free(&reply);
	http_client_free(client);
	return rc;
}

static void wait_running(struct shared *s, int want)
{
	(void)pthread_mutex_lock(&s->lock);
	while (atomic_load(&s->running) < want)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
}

static void open_gate(struct shared *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->gate_open = true;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

/* Three threads run three at a time; the others wait their turn, and none is lost. */
static void handlers_run_side_by_side(void **state)
{
	struct fixture *f = *state;
	struct caller callers[8];

	for (size_t i = 0; i < 8; i++) {
		callers[i] = (struct caller){.f = f, .path = "/wait"};
		assert_ok(thread_start(&callers[i].thread, "caller", call_once, &callers[i], &f->e),
			&f->e);
	}
	wait_running(&f->shared, 3);
	open_gate(&f->shared);
	for (size_t i = 0; i < 8; i++) {
		assert_ok(thread_join(&callers[i].thread, &f->e), &f->e);
		assert_int_equal(callers[i].status, 200);
	}
	assert_int_equal(atomic_load(&f->shared.most), 3);
}

static enum err stop_server(void *arg, struct error *e)
{
	struct fixture *f = arg;

	(void)e;
	http_server_stop(f->server);
	return OK;
}

/* Stopping while a request runs: no new connection is taken, and the running one is answered. */
static void a_stop_finishes_running_requests(void **state)
{
	struct fixture *f = *state;
	struct caller caller = {.f = f, .path = "/wait"};
	struct thread stopper = {.fn = NULL};
	struct http_client *late;
	struct http_call call = {.method = "GET", .url = url(f, "/thread")};
	struct http_pair close_it = {STR("Connection"), STR("close")};

	assert_ok(thread_start(&caller.thread, "caller", call_once, &caller, &f->e), &f->e);
	wait_running(&f->shared, 1);
	assert_ok(thread_start(&stopper, "stopper", stop_server, f, &f->e), &f->e);
	call.headers = &close_it;
	call.nheaders = 1;
	enum err rc = OK;
	while (rc == OK) {
		assert_ok(http_client_new(&late, NULL, &f->env, &f->e), &f->e);
		rc = http_client_send(late, &call, &f->reply, &f->e);
		http_client_free(late);
	}
	assert_int_equal(rc, ERR_UNAVAILABLE);
	open_gate(&f->shared);
	assert_ok(thread_join(&stopper, &f->e), &f->e);
	f->server = NULL;
	assert_ok(thread_join(&caller.thread, &f->e), &f->e);
	assert_int_equal(caller.status, 200);
}

/* One thread busy, one request waiting: the next is turned away at once. */
static void a_full_queue_says_so(void **state)
{
	struct fixture *f = *state;
	struct caller first = {.f = f, .path = "/wait"}, second = {.f = f, .path = "/thread"};
	struct caller third = {.f = f, .path = "/thread"};

	assert_ok(thread_start(&first.thread, "caller", call_once, &first, &f->e), &f->e);
	wait_running(&f->shared, 1);
	assert_ok(thread_start(&second.thread, "caller", call_once, &second, &f->e), &f->e);
	assert_ok(thread_start(&third.thread, "caller", call_once, &third, &f->e), &f->e);
	/* Whichever came later is refused while the first still runs. */
	struct buf text;
	do {
		buf_init(&text, BUF_MAX_DEFAULT);
		metrics_print(f->env.metrics, &text);
		bool refused = strstr(buf_cstr(&text), "status=\"5xx\"} 1") != NULL;
		buf_free(&text);
		if (refused)
			break;
		clock_sleep(f->env.clock, 1000);
	} while (true);
	open_gate(&f->shared);
	assert_ok(thread_join(&first.thread, &f->e), &f->e);
	assert_ok(thread_join(&second.thread, &f->e), &f->e);
	assert_ok(thread_join(&third.thread, &f->e), &f->e);
	assert_int_equal(first.status, 200);
	assert_int_equal(second.status + third.status, 703);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_arrive_whole),
		TEST(big_answers_and_limits),
		TEST(large_bodies_are_refused),
		TEST(unknown_paths_and_methods),
		TEST(failures_are_problems),
		TEST(idempotent_calls_are_repeated),
		TEST(nobody_there_is_unavailable),
		TEST(a_stop_ends_a_call),
		TEST(addresses_are_checked),
		TEST(requests_are_counted),
		TEST(handlers_run_side_by_side),
		TEST(a_stop_finishes_running_requests),
		cmocka_unit_test_setup_teardown(a_full_queue_says_so, setup_narrow, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
