/* The gRPC client against Google's own server for Node, and against servers that behave badly. */
#include "fake.h"

#include <stdatomic.h>

#include "file.h"
#include "grpc.h"
#include "process.h"
#include "proto.h"
#include "thread.h"

struct fixture {
	struct fake fake;
	struct env env;
	struct rnd rnd;
	char dir[128];
};

/* A certificate for 127.0.0.1 that is its own authority, and another. */
static void make_certificate(const char *dir, const char *name, const char *key)
{
	char cert_path[256], key_path[256];
	char openssl[] = "openssl", req[] = "req", x509[] = "-x509", newkey[] = "-newkey",
	     ec[] = "ec", opt[] = "-pkeyopt", curve[] = "ec_paramgen_curve:P-256",
	     nodes[] = "-nodes", keyout[] = "-keyout", out[] = "-out", subj[] = "-subj",
	     cn[] = "/CN=sluice test", ext[] = "-addext", san[] = "subjectAltName=IP:127.0.0.1";
	char *argv[] = {openssl, req, x509, newkey, ec, opt, curve, nodes, keyout, key_path, out,
		cert_path, subj, cn, ext, san, NULL};
	const struct process_options o = {.argv = argv, .out_fd = -1, .err_fd = -1};
	struct buf said, err;
	struct error e = {0};
	int code;

	snprintf(cert_path, sizeof cert_path, "%s/%s", dir, name);
	snprintf(key_path, sizeof key_path, "%s/%s", dir, key);
	buf_init(&said, 1 << 16);
	buf_init(&err, 1 << 16);
	assert_ok(process_run(&o, &said, &err, &code, &e), &e);
	assert_int_equal(code, 0);
	buf_free(&said);
	buf_free(&err);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	unit_tmpdir(f->dir, sizeof f->dir);
	make_certificate(f->dir, "cert.pem", "key.pem");
	make_certificate(f->dir, "other.pem", "other.key");
	fake_start(&f->fake, "grpc_server.mjs", f->dir);
	rnd_seed(&f->rnd, 1);
	f->env = (struct env){.clock = clock_system(), .rnd = &f->rnd};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	fake_stop(&f->fake);
	assert_ok(file_remove_tree(f->dir, &e), &e);
	free(f);
	return 0;
}

static struct grpc_channel *open_to(struct fixture *f, const char *which, struct grpc_options o)
{
	struct grpc_channel *c;
	struct error e = {0};

	o.target = fake_says(&f->fake, which);
	assert_ok(grpc_open(&c, &o, &f->env, &e), &e);
	return c;
}

static struct grpc_stream *start(struct grpc_channel *c, const char *method)
{
	struct grpc_stream *s;
	struct error e = {0};
	const struct grpc_call call = {.method = method, .deadline_us = 60000000};

	assert_ok(grpc_start(c, &call, &s, &e), &e);
	return s;
}

static void expect_echo(struct grpc_channel *c, struct str message)
{
	struct buf b;
	struct error e = {0};
	enum grpc_code code;
	const struct grpc_call call = {.method = "/sluice.Test/Echo", .deadline_us = 60000000};

	buf_init(&b, 1 << 25);
	assert_ok(grpc_unary(c, &call, message, &b, &code, &e), &e);
	assert_int_equal(code, GRPC_OK);
	assert_true(str_eq(buf_str(&b), message));
	buf_free(&b);
}

static enum grpc_code expect_end(struct grpc_stream *s, const char *message)
{
	struct buf b;
	struct error e = {0};
	struct grpc_status st;
	bool got = true;

	buf_init(&b, 1 << 26);
	while (got) {
		assert_ok(grpc_receive(s, &b, &got, -1, &e), &e);
		buf_reset(&b);
	}
	assert_true(grpc_ended(s));
	grpc_status(s, &st);
	if (message != NULL)
		assert_str(st.message, message);
	buf_free(&b);
	return st.code;
}

static void test_unary(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.setting = "x"});
	char *big = calloc(1, 20000000);

	expect_echo(c, STR("hello"));
	expect_echo(c, STR(""));
	memset(big, 'b', 20000000);
	expect_echo(c, str_make(big, 3000000));
	free(big);
	grpc_close(c);
}

static void test_metadata(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(
		f, "good", (struct grpc_options){.user_agent = "sluice/test"});
	const struct http_pair metadata[] = {{STR("authorization"), STR("Bearer planted")},
		{STR("x-goog-request-params"), STR("write_stream=projects/p/x")}};
	const struct grpc_call call = {.method = "/sluice.Test/Who",
		.metadata = metadata,
		.nmetadata = 2,
		.secret_metadata = true,
		.deadline_us = 30000000};
	struct buf b;
	struct error e = {0};
	json_t *o;
	int64_t left = 0;

	buf_init(&b, 1 << 16);
	assert_ok(grpc_unary(c, &call, STR(""), &b, NULL, &e), &e);
	assert_ok(json_read(buf_str(&b), "the answer", &o, &e), &e);
	assert_str(json_get_str(o, "authorization"), "Bearer planted");
	assert_str(json_get_str(o, "x-goog-request-params"), "write_stream=projects/p/x");
	assert_true(str_starts(json_get_str(o, "user-agent"), STR("sluice/test")));
	assert_ok(json_want_i64(o, "deadline", &left, &e), &e);
	assert_in_range(left, 1, 30000);
	json_decref(o);
	buf_free(&b);
	grpc_close(c);
}

static void test_statuses(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.setting = NULL});
	struct error e = {0};
	struct buf b;
	enum grpc_code code;
	const struct grpc_call call = {.method = "/sluice.Test/Fail", .deadline_us = 60000000};

	buf_init(&b, 1 << 16);
	assert_err(grpc_unary(c, &call, STR("5"), &b, &code, &e), ERR_NOT_FOUND, &e);
	assert_int_equal(code, GRPC_NOT_FOUND);
	assert_has(e.text, "NOT_FOUND: n\xc3\xb6, \"50%\" of\nit");
	assert_err(grpc_unary(c, &call, STR("16"), &b, &code, &e), ERR_USAGE, &e);
	assert_err(grpc_unary(c, &call, STR("14"), &b, &code, &e), ERR_UNAVAILABLE, &e);
	assert_int_equal(b.n, 0);

	struct grpc_stream *s = start(c, "/sluice.Test/Fail");
	struct grpc_status st;
	struct proto_field field;
	assert_ok(grpc_send(s, STR("5"), &e), &e);
	grpc_send_done(s);
	assert_int_equal(expect_end(s, NULL), GRPC_NOT_FOUND);
	grpc_status(s, &st);
	struct reader r = reader_of(st.details);
	assert_true(proto_next(&r, &field) && field.number == 1 && field.v == 5);
	assert_true(proto_next(&r, &field) && field.number == 2);
	assert_str(field.bytes, "no");
	assert_false(proto_next(&r, &field) || r.bad);
	grpc_stream_free(s);
	const struct grpc_call none = {.method = "/sluice.Test/None", .deadline_us = 60000000};
	assert_err(grpc_unary(c, &none, STR(""), &b, &code, &e), ERR_FAILED, &e);
	assert_int_equal(code, GRPC_UNIMPLEMENTED);
	buf_free(&b);
	grpc_close(c);
}

struct chat {
	struct grpc_stream *s;
	unsigned n;
	size_t size;
};

static enum err send_many(void *arg, struct error *e)
{
	struct chat *chat = arg;
	char *bytes = calloc(1, chat->size);
	enum err rc = OK;

	for (unsigned i = 0; rc == OK && i < chat->n; i++) {
		memcpy(bytes, &i, sizeof i);
		rc = grpc_send(chat->s, str_make(bytes, chat->size), e);
	}
	grpc_send_done(chat->s);
	free(bytes);
	return rc;
}

/* Both ways at once, far more than any window: what is sent comes back, whole and in order. */
static void chat_through(struct grpc_channel *c, unsigned n, size_t size)
{
	struct chat chat = {start(c, "/sluice.Test/Chat"), n, size};
	struct thread sender = {0};
	struct error e = {0};
	struct buf b;

	buf_init(&b, 1 << 24);
	assert_ok(thread_start(&sender, "send", send_many, &chat, &e), &e);
	for (unsigned i = 0; i < n; i++) {
		bool got;
		unsigned number;
		buf_reset(&b);
		assert_ok(grpc_receive(chat.s, &b, &got, -1, &e), &e);
		assert_true(got);
		assert_int_equal(b.n, size);
		memcpy(&number, b.p, sizeof number);
		assert_int_equal(number, i);
	}
	assert_ok(thread_join(&sender, &e), &e);
	assert_int_equal(expect_end(chat.s, NULL), GRPC_OK);
	grpc_stream_free(chat.s);
	buf_free(&b);
}

static void test_chat(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.send_buffer = 300000});

	chat_through(c, 2000, 100);
	chat_through(c, 40, 1000003);
	grpc_close(c);
}

/* Nobody takes the messages: the server is held up, another call on the connection is not. */
static void test_slow_receiver(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.setting = NULL});
	struct grpc_stream *s = start(c, "/sluice.Test/Count");
	struct error e = {0};
	struct buf b;
	bool got = true;
	unsigned n = 0;

	assert_ok(grpc_send(s, STR("[300,100000]"), &e), &e);
	grpc_send_done(s);
	buf_init(&b, 1 << 20);
	assert_ok(grpc_receive(s, &b, &got, -1, &e), &e);
	for (int i = 0; i < 20; i++)
		expect_echo(c, STR("meanwhile"));
	while (got) {
		n++;
		buf_reset(&b);
		assert_ok(grpc_receive(s, &b, &got, -1, &e), &e);
	}
	assert_int_equal(n, 300);
	assert_int_equal(expect_end(s, NULL), GRPC_OK);
	grpc_stream_free(s);
	buf_free(&b);
	grpc_close(c);
}

/* The server allows four streams on a connection: the others go over further ones, none waits. */
static void test_stream_limit(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.max_connections = 3});
	struct grpc_stream *s[12], *more;
	struct error e = {0};
	struct buf b;
	bool got;
	const struct grpc_call call = {.method = "/sluice.Test/Chat"};

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < 12; i++) {
		s[i] = start(c, "/sluice.Test/Chat");
		assert_ok(grpc_send(s[i], STR("x"), &e), &e);
		buf_reset(&b);
		assert_ok(grpc_receive(s[i], &b, &got, -1, &e), &e);
		assert_true(got);
	}
	assert_err(grpc_start(c, &call, &more, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "3 connections");
	for (size_t i = 0; i < 12; i++) {
		grpc_send_done(s[i]);
		assert_int_equal(expect_end(s[i], NULL), GRPC_OK);
		grpc_stream_free(s[i]);
	}
	expect_echo(c, STR("room again"));
	buf_free(&b);
	grpc_close(c);
}

static void test_deadline_and_cancel(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.setting = NULL});
	struct error e = {0};
	struct buf b;
	enum grpc_code code;
	bool got;
	const struct grpc_call call = {.method = "/sluice.Test/Slow", .deadline_us = 300000};

	buf_init(&b, 1 << 16);
	assert_err(grpc_unary(c, &call, STR(""), &b, &code, &e), ERR_UNAVAILABLE, &e);
	assert_int_equal(code, GRPC_DEADLINE_EXCEEDED);
	struct grpc_stream *s = start(c, "/sluice.Test/Slow");
	assert_ok(grpc_send(s, STR("x"), &e), &e);
	assert_ok(grpc_receive(s, &b, &got, 100000, &e), &e);
	assert_false(got || grpc_ended(s));
	grpc_stream_free(s); /* cancelled */
	atomic_bool stop = true;
	struct env stopping = f->env;
	expect_echo(c, STR("the connection lives on"));
	stopping.stop = &stop;
	struct grpc_channel *other;
	const struct grpc_options o = {.target = fake_says(&f->fake, "good")};
	assert_ok(grpc_open(&other, &o, &stopping, &e), &e);
	assert_err(grpc_start(other, &call, &s, &e), ERR_INTERRUPTED, &e);
	grpc_close(other);
	buf_free(&b);
	grpc_close(c);
}

/* The server ends the call while megabytes are on their way. */
static void early_end(struct grpc_channel *c, const char *method, const char *message)
{
	struct grpc_stream *s = start(c, method);
	char *bytes = calloc(1, 1000000);
	struct error e = {0};
	enum err rc = OK;
	int sent = 0;

	for (; rc == OK && sent < 1000; sent++)
		rc = grpc_send(s, str_make(bytes, 1000000), &e);
	assert_int_equal(rc, ERR_CONFLICT);
	assert_has(e.text, "ABORTED");
	assert_int_equal(expect_end(s, message), GRPC_ABORTED);
	grpc_stream_free(s);
	free(bytes);
}

static void test_early_end(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.send_buffer = 2000000});
	struct grpc_channel *odd = open_to(f, "odd", (struct grpc_options){.send_buffer = 2000000});

	early_end(c, "/sluice.Test/Early", "three are enough");
	expect_echo(c, STR("the connection lives on"));
	early_end(odd, "/odd/EarlyReset", "stream is finalized");
	grpc_close(odd);
	grpc_close(c);
}

static void test_odd_servers(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "odd", (struct grpc_options){.max_message = 1 << 20});
	static const struct {
		const char *method;
		enum grpc_code code;
		const char *says;
	} cases[] = {
		{"/odd/NoStatus", GRPC_UNKNOWN, "without a status"},
		{"/odd/Http503", GRPC_UNAVAILABLE, "503"},
		{"/odd/NotGrpc", GRPC_UNKNOWN, "no gRPC"},
		{"/odd/Compressed", GRPC_INTERNAL, "compressed"},
		{"/odd/TooBig", GRPC_RESOURCE_EXHAUSTED, "larger"},
		{"/odd/Torn", GRPC_INTERNAL, "middle of a message"},
		{"/odd/TrailersOnly", GRPC_NOT_FOUND, "caf\xc3\xa9 %zz 100%"},
		{"/odd/Strange", GRPC_UNKNOWN, "UNKNOWN"},
		{"/odd/Refuse", GRPC_UNAVAILABLE, "REFUSED_STREAM"},
		{"/odd/Calm", GRPC_RESOURCE_EXHAUSTED, "ENHANCE_YOUR_CALM"},
		{"/odd/Missing", GRPC_UNIMPLEMENTED, "UNIMPLEMENTED"},
		{"/odd/Drop", GRPC_UNAVAILABLE, "closed by the other side"},
	};
	struct buf b;
	struct error e = {0};
	enum grpc_code code;

	buf_init(&b, 1 << 22);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct grpc_call call = {.method = cases[i].method, .deadline_us = 60000000};
		assert_int_not_equal(grpc_unary(c, &call, STR("x"), &b, &code, &e), OK);
		print_message("  %s: %s\n", cases[i].method, e.text);
		assert_int_equal(code, cases[i].code);
		assert_has(e.text, cases[i].says);
		assert_int_equal(b.n, 0);
	}
	const struct grpc_call twice = {.method = "/odd/Twice", .deadline_us = 60000000};
	assert_err(grpc_unary(c, &twice, STR("x"), &b, &code, &e), ERR_INPUT, &e);
	const struct grpc_call split = {.method = "/odd/Split", .deadline_us = 60000000};
	assert_ok(grpc_unary(c, &split, STR("x"), &b, &code, &e), &e);
	assert_str(buf_str(&b), "\1\2\3\4\5");
	buf_free(&b);
	grpc_close(c);
}

/* GOAWAY: the running call ends well, the next goes over another connection. */
static void test_goaway(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "odd", (struct grpc_options){.setting = NULL});
	struct grpc_channel *good = open_to(f, "good", (struct grpc_options){.setting = NULL});
	struct grpc_stream *s = start(c, "/odd/Goaway");
	struct error e = {0};
	struct buf b;
	bool got;

	buf_init(&b, 1 << 16);
	assert_ok(grpc_send(s, STR("a"), &e), &e);
	while (!grpc_draining(s))
		clock_sleep(clock_system(), 1000);
	assert_ok(grpc_send(s, STR("b"), &e), &e);
	const struct grpc_call split = {.method = "/odd/Split", .deadline_us = 60000000};
	assert_ok(grpc_unary(c, &split, STR("x"), &b, NULL, &e), &e);
	grpc_send_done(s);
	buf_reset(&b);
	assert_ok(grpc_receive(s, &b, &got, -1, &e), &e);
	assert_true(got);
	assert_int_equal(expect_end(s, NULL), GRPC_OK);
	grpc_stream_free(s);

	/* The same by Google's server, with a call that stays open through it. */
	s = start(good, "/sluice.Test/Chat");
	assert_ok(grpc_send(s, STR("a"), &e), &e);
	buf_reset(&b);
	assert_ok(grpc_receive(s, &b, &got, -1, &e), &e);
	const struct grpc_call drain = {.method = "/sluice.Test/Drain", .deadline_us = 60000000};
	assert_ok(grpc_unary(good, &drain, STR(""), &b, NULL, &e), &e);
	while (!grpc_draining(s))
		clock_sleep(clock_system(), 1000);
	expect_echo(good, STR("elsewhere"));
	grpc_send_done(s);
	assert_int_equal(expect_end(s, NULL), GRPC_OK);
	grpc_stream_free(s);
	buf_free(&b);
	grpc_close(good);
	grpc_close(c);
}

static void test_dead_connections(void **state)
{
	struct fixture *f = *state;
	struct grpc_options quick = {
		.connect_timeout_us = 2000000, .ping_us = 200000, .ping_timeout_us = 300000};
	struct grpc_channel *mute = open_to(f, "mute", quick), *deaf = open_to(f, "deaf", quick);
	struct error e = {0};
	struct buf b;
	enum grpc_code code;
	const struct grpc_call call = {.method = "/x/Y"};

	buf_init(&b, 1 << 16);
	assert_err(grpc_unary(mute, &call, STR(""), &b, &code, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "does not speak HTTP/2");
	assert_err(grpc_unary(deaf, &call, STR(""), &b, &code, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "is dead");
	grpc_close(mute);
	grpc_close(deaf);

	struct grpc_channel *nobody;
	quick.target = "http://127.0.0.1:1";
	assert_ok(grpc_open(&nobody, &quick, &f->env, &e), &e);
	assert_err(grpc_unary(nobody, &call, STR(""), &b, &code, &e), ERR_UNAVAILABLE, &e);
	assert_int_equal(code, GRPC_UNAVAILABLE);
	assert_has(e.text, "refused");
	grpc_close(nobody);
	buf_free(&b);
}

static void expect_untrusted(
	struct fixture *f, const char *target, const char *ca, const char *says)
{
	struct grpc_channel *c;
	struct error e = {0};
	struct buf b;
	const struct grpc_options o = {.target = target, .ca_file = ca};
	const struct grpc_call call = {.method = "/sluice.Test/Echo", .deadline_us = 60000000};

	buf_init(&b, 1 << 10);
	assert_ok(grpc_open(&c, &o, &f->env, &e), &e);
	assert_err(grpc_unary(c, &call, STR(""), &b, NULL, &e), ERR_FAILED, &e);
	assert_has(e.text, says);
	buf_free(&b);
	grpc_close(c);
}

static void test_tls(void **state)
{
	struct fixture *f = *state;
	char ca[256], other[256], named[256];
	struct grpc_channel *c;
	struct error e = {0};

	snprintf(ca, sizeof ca, "%s/cert.pem", f->dir);
	snprintf(other, sizeof other, "%s/other.pem", f->dir);
	c = open_to(f, "tls", (struct grpc_options){.ca_file = ca});
	expect_echo(c, STR("hello"));
	chat_through(c, 300, 50000);
	grpc_close(c);

	expect_untrusted(f, fake_says(&f->fake, "tls"), other, "not trusted");
	expect_untrusted(f, fake_says(&f->fake, "tls"), NULL, "not trusted");
	snprintf(named, sizeof named, "https://localhost%s",
		strrchr(fake_says(&f->fake, "tls"), ':'));
	expect_untrusted(f, named, ca, "hostname mismatch");

	struct grpc_options o = {.target = "http://bigquery.example"};
	assert_err(grpc_open(&c, &o, &f->env, &e), ERR_USAGE, &e);
	o = (struct grpc_options){.target = "https://x.example", .ca_file = "/nonexistent"};
	assert_err(grpc_open(&c, &o, &f->env, &e), ERR_USAGE, &e);
	assert_has(e.text, "/nonexistent");
}

static enum err call_often(void *arg, struct error *e)
{
	struct grpc_channel *c = arg;
	const struct grpc_call call = {.method = "/sluice.Test/Echo", .deadline_us = 60000000};
	struct buf b;
	enum err rc = OK;

	buf_init(&b, 1 << 16);
	for (int i = 0; rc == OK && i < 100; i++) {
		buf_reset(&b);
		rc = grpc_unary(c, &call, STR("ping"), &b, NULL, e);
	}
	buf_free(&b);
	return rc;
}

static void test_many_threads(void **state)
{
	struct fixture *f = *state;
	struct grpc_channel *c = open_to(f, "good", (struct grpc_options){.setting = NULL});
	struct thread threads[10] = {{0}};
	struct error e = {0};

	for (size_t i = 0; i < 10; i++)
		assert_ok(thread_start(&threads[i], "call", call_often, c, &e), &e);
	for (size_t i = 0; i < 10; i++)
		assert_ok(thread_join(&threads[i], &e), &e);
	grpc_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unary),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_chat),
		cmocka_unit_test(test_slow_receiver),
		cmocka_unit_test(test_stream_limit),
		cmocka_unit_test(test_deadline_and_cancel),
		cmocka_unit_test(test_early_end),
		cmocka_unit_test(test_odd_servers),
		cmocka_unit_test(test_goaway),
		cmocka_unit_test(test_dead_connections),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
