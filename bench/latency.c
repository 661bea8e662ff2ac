/*
 * latency: how long a commit takes to be in the warehouse while changes arrive at a steady rate.
 * A writer commits ten row changes at a time, on a schedule of its own, and notes the log position
 * and the time of each commit. Two others note when that position is reached: one asks sluice's
 * metrics every two milliseconds, which costs it a read of a number; the other reads the stream
 * of a second slot, which is as soon as anybody can know.
 *
 * usage: latency CONNINFO ADDRESS SLOT PUBLICATION ROWS_PER_SECOND SECONDS
 * Prints {"commits","visible_p50_ms","visible_p99_ms","visible_max_ms","sent_p50_ms",
 * "sent_p99_ms"}.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "http_client.h"
#include "lsn.h"
#include "mem.h"
#include "pg_conn.h"
#include "pg_stream.h"
#include "rnd.h"
#include "thread.h"

#define ROWS_A_COMMIT 10
#define POLL_US       2000
#define PATIENCE_US   INT64_C(30000000)

struct commit {
	lsn at;
	int64_t done, visible, sent; /* mono; 0: not yet */
};

struct bench {
	char **argv;
	struct env env;
	int64_t rows_a_second, seconds;
	struct commit *commits;
	size_t n;             /* planned */
	atomic_size_t made;   /* written by the writer, read by the others */
	atomic_bool finished; /* the writer has ended */
};

static enum err open_pg(struct bench *b, bool replication, struct pg **out, struct error *e)
{
	const struct pg_options o = {
		.conninfo = b->argv[1], .application = "sluice bench", .replication = replication};

	return pg_open(out, &o, &b->env, e);
}

/* Half updates, half inserts. The position is asked for in the same trip as the commit. */
static enum err write_one(struct pg *c, struct commit *out, uint64_t i, struct error *e)
{
	char sql[512];
	struct arena mem = {0};
	PGresult *r;

	snprintf(sql, sizeof sql,
		"BEGIN; UPDATE item SET amount = amount + 1 WHERE id BETWEEN %" PRIu64
		" AND %" PRIu64
		"; INSERT INTO item SELECT i, 1, 1, now(), repeat('x', 64) FROM generate_series(%" PRIu64
		", %" PRIu64 ") i; COMMIT",
		i * 7 % 99000 + 1, i * 7 % 99000 + ROWS_A_COMMIT / 2,
		1000000 + i * (ROWS_A_COMMIT / 2),
		1000000 + i * (ROWS_A_COMMIT / 2) + ROWS_A_COMMIT / 2 - 1);
	enum err rc = pg_exec(c, sql, "writing", e);
	out->done = clock_mono(clock_system());
	if (rc == OK)
		rc = pg_query(c, "SELECT pg_current_wal_flush_lsn()", 0, NULL,
			"asking for the position", &mem, &r, e);
	if (rc == OK && !lsn_parse(pg_cell_str(r, 0, 0), &out->at))
		rc = FAIL(e, ERR_INPUT, "asking for the position: it is no LSN");
	arena_free(&mem);
	return rc;
}

static enum err writer(void *arg, struct error *e)
{
	struct bench *b = arg;
	struct pg *c = NULL;
	int64_t began = clock_mono(clock_system());
	enum err rc = open_pg(b, false, &c, e);

	for (size_t i = 0; rc == OK && i < b->n; i++) {
		int64_t due = began + (int64_t)i * 1000000 * ROWS_A_COMMIT / b->rows_a_second;
		int64_t early = due - clock_mono(clock_system());
		if (early > 0)
			clock_sleep(clock_system(), early);
		rc = write_one(c, &b->commits[i], i, e);
		if (rc == OK)
			atomic_store(&b->made, i + 1);
	}
	pg_close(c);
	atomic_store(&b->finished, true);
	return rc;
}

/* Marks what has been reached; gives how many have been so far. */
static size_t mark(struct bench *b, size_t from, lsn reached, bool visible)
{
	size_t made = atomic_load(&b->made);
	int64_t now = clock_mono(clock_system());

	while (from < made && b->commits[from].at.v <= reached.v) {
		int64_t *at = visible ? &b->commits[from].visible : &b->commits[from].sent;
		/* The stream may have been faster than the answer to the writer. */
		*at = now > b->commits[from].done ? now : b->commits[from].done;
		from++;
	}
	return from;
}

static bool all_seen(const struct bench *b, size_t seen)
{
	return atomic_load(&b->finished) && seen == atomic_load(&b->made);
}

static enum err ask_applied(
	struct http_client *c, const char *url, struct http_reply *reply, lsn *out, struct error *e)
{
	const struct http_call call = {.method = "GET", .url = url, .idempotent = true};
	double v = 0;

	TRY(http_client_want(c, &call, reply, e));
	struct str text = buf_str(&reply->body), line;
	while (str_next(&text, '\n', &line))
		if (str_starts(line, STR("sluice_applied_lsn ")))
			(void)str_to_double(str_from(line, 19), &v);
	*out = (lsn){(uint64_t)v};
	return OK;
}

static enum err watcher(void *arg, struct error *e)
{
	struct bench *b = arg;
	struct http_client *c = NULL;
	struct http_reply reply;
	char url[256];
	size_t seen = 0;
	int64_t ended = 0;
	lsn applied;
	enum err rc = http_client_new(&c, NULL, &b->env, e);

	snprintf(url, sizeof url, "http://%s/metrics", b->argv[2]);
	http_reply_init(&reply);
	while (rc == OK && !all_seen(b, seen)) {
		rc = ask_applied(c, url, &reply, &applied, e);
		seen = mark(b, seen, applied, true);
		if (ended == 0 && atomic_load(&b->finished))
			ended = clock_mono(clock_system());
		if (rc == OK && ended != 0 && clock_mono(clock_system()) - ended > PATIENCE_US)
			rc = FAIL(e, ERR_UNAVAILABLE,
				"waiting for the last commits: %zu of %zu came", seen, b->n);
		clock_sleep(clock_system(), POLL_US);
	}
	http_reply_free(&reply);
	http_client_free(c);
	return rc;
}

/* The reference: a client of the stream that acknowledges all and keeps nothing. */
static enum err reader(void *arg, struct error *e)
{
	struct bench *b = arg;
	struct pg *c = NULL;
	lsn reached = LSN_NONE;
	size_t seen = 0;
	enum err rc = open_pg(b, true, &c, e);

	if (rc == OK)
		rc = pg_stream_start(c, b->argv[3], LSN_NONE, 1, b->argv[4], e);
	while (rc == OK && !all_seen(b, seen)) {
		struct pg_message m;
		rc = pg_stream_receive(c, 20000, -1, &m, e);
		if (rc != OK)
			break;
		if (m.kind == PG_NOTHING)
			rc = pg_stream_feedback(c, reached, reached, true, e);
		/* A commit message ends its transaction. */
		else if (m.kind == PG_KEEPALIVE || (m.payload.n > 0 && m.payload.p[0] == 'C'))
			reached = lsn_max(reached, m.end);
		seen = mark(b, seen, reached, false);
	}
	pg_close(c);
	return rc;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_share(const struct bench *b, bool visible, const char *name, bool last)
{
	double *ms = mem_array(b->n, sizeof *ms);

	for (size_t i = 0; i < b->n; i++)
		ms[i] = (double)((visible ? b->commits[i].visible : b->commits[i].sent) -
				b->commits[i].done) /
			1e3;
	qsort(ms, b->n, sizeof *ms, by_size);
	printf("\"%s_p50_ms\":%.2f,\"%s_p99_ms\":%.2f,\"%s_max_ms\":%.2f%s", name, ms[b->n / 2],
		name, ms[b->n - 1 - b->n / 100], name, ms[b->n - 1], last ? "}\n" : ",");
	mem_free(ms);
}

static enum err run(struct bench *b, struct error *e)
{
	struct thread threads[3] = {{0}};
	struct error second;

	TRY(thread_start(&threads[0], "watcher", watcher, b, e));
	enum err rc = thread_start(&threads[1], "reader", reader, b, e);
	if (rc == OK)
		rc = thread_start(&threads[2], "writer", writer, b, e);
	else
		atomic_store(&b->finished, true);
	for (int i = 2; i >= 0; i--) {
		enum err ended = thread_join(&threads[i], rc == OK ? e : &second);
		rc = rc == OK ? ended : rc;
	}
	return rc;
}

int main(int argc, char **argv)
{
	struct rnd rnd;
	struct error e = {.kind = OK};
	struct bench b = {.argv = argv};
	enum err rc = OK;

	if (argc != 7 || !str_to_i64(str_of(argv[5]), &b.rows_a_second) ||
		!str_to_i64(str_of(argv[6]), &b.seconds) || b.rows_a_second < ROWS_A_COMMIT ||
		b.seconds < 1) {
		fprintf(stderr, "usage: latency CONNINFO ADDRESS SLOT PUBLICATION ROWS SECONDS\n");
		return 2;
	}
	rnd_system(&rnd);
	b.env = (struct env){.clock = clock_system(), .rnd = &rnd};
	b.n = (size_t)(b.rows_a_second * b.seconds / ROWS_A_COMMIT);
	b.commits = mem_array(b.n, sizeof *b.commits);
	rc = run(&b, &e);
	if (rc != OK) {
		fprintf(stderr, "latency: %s\n", e.text);
	} else {
		printf("{\"commits\":%zu,", b.n);
		print_share(&b, true, "visible", false);
		print_share(&b, false, "sent", true);
	}
	mem_free(b.commits);
	return error_exit_code(rc);
}
