/*
 * fake: a service of tests/fakes as a child process. Its standard input is a pipe of ours, so it
 * ends when the test does, however that is. For tests of layers that have src/net.
 */
#ifndef SLUICE_FAKE_H
#define SLUICE_FAKE_H

#include "unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "http_client.h"
#include "json.h"

/* A clock that jumps over every pause: those between attempts are not what is tested. */
struct fake_clock {
	struct clock base;
	_Atomic int64_t jumped_us;
	_Atomic int64_t ahead_us; /* of the wall clock */
};

static inline int64_t fake_wall(struct clock *c)
{
	return clock_wall(clock_system()) + ((struct fake_clock *)c)->ahead_us;
}

static inline void fake_nap(struct clock *c, int64_t us)
{
	((struct fake_clock *)c)->jumped_us += us;
}

static inline int64_t fake_mono(struct clock *c)
{
	return clock_mono(clock_system()) + ((struct fake_clock *)c)->jumped_us;
}

struct fake {
	pid_t pid;
	int hold;
	json_t *addresses; /* what it said when it was ready */
	struct env env;
	struct rnd rnd;
	struct fake_clock clock;
	struct http_client *http;
};

static inline json_t *fake_read_line(int fd)
{
	char line[8192];
	size_t n = 0;
	json_t *o = NULL;
	struct error e = {0};

	while (n < sizeof line && (n == 0 || line[n - 1] != '\n')) {
		ssize_t got = read(fd, line + n, sizeof line - n);
		if (got <= 0)
			fail_msg("the fake ended before it was ready: is node installed?");
		n += (size_t)got;
	}
	assert_ok(json_read(str_make(line, n), "the fake's line", &o, &e), &e);
	return o;
}

/* name: "aws.mjs"; dir: where it puts files. */
static inline void fake_start(struct fake *f, const char *name, const char *dir)
{
	const char *root = getenv("SLUICE_ROOT");
	char path[1024];
	int in[2], out[2];
	struct error e = {0};

	assert_non_null(root);
	snprintf(path, sizeof path, "%s/tests/fakes/%s", root, name);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		execlp("node", "node", path, "--dir", dir, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	f->hold = in[1];
	f->addresses = fake_read_line(out[0]);
	close(out[0]);
	rnd_seed(&f->rnd, 1);
	f->clock.base = (struct clock){fake_wall, fake_mono, fake_nap};
	f->clock.jumped_us = f->clock.ahead_us = 0;
	f->env = (struct env){.clock = &f->clock.base, .rnd = &f->rnd};
	assert_ok(http_client_new(&f->http, NULL, &f->env, &e), &e);
}

static inline void fake_stop(struct fake *f)
{
	close(f->hold);
	waitpid(f->pid, NULL, 0);
	json_decref(f->addresses);
	http_client_free(f->http);
}

/* An address or another text of the ready line. */
static inline const char *fake_says(const struct fake *f, const char *key)
{
	const char *text = json_string_value(json_object_get(f->addresses, key));
	assert_non_null(text);
	return text;
}

/* What it answers; freed by the caller. at: an address; path: "/_fake/log". */
static inline json_t *fake_ask(struct fake *f, const char *at, const char *path, const char *post)
{
	char url[256];
	struct http_reply r;
	struct error e = {0};
	json_t *o = NULL;

	snprintf(url, sizeof url, "%s%s", at, path);
	http_reply_init(&r);
	assert_ok(http_client_want(f->http,
			  &(struct http_call){.method = post != NULL ? "POST" : "GET",
				  .url = url,
				  .body = str_of(post)},
			  &r, &e),
		&e);
	assert_ok(json_read(buf_str(&r.body), "the fake's answer", &o, &e), &e);
	http_reply_free(&r);
	return o;
}

/* {op, kind, times, skip}, JSON. */
static inline void fake_fault(struct fake *f, const char *at, const char *fault)
{
	json_decref(fake_ask(f, at, "/_fake/faults", fault));
}

static inline void fake_set(struct fake *f, const char *at, const char *members)
{
	json_decref(fake_ask(f, at, "/_fake/set", members));
}

/* How many entries of the log have this "op". */
static inline int fake_count(struct fake *f, const char *at, const char *op)
{
	json_t *o = fake_ask(f, at, "/_fake/log", NULL), *entry;
	size_t i;
	int n = 0;

	json_array_foreach (json_object_get(o, "log"), i, entry)
		n += str_eqc(json_get_str(entry, "op"), op);
	json_decref(o);
	return n;
}

#endif
