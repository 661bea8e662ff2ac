/*
 * mixed_load: several writers at once upon one database, from a seed.
 *
 * usage: mixed_load CONNINFO|- [NAME=NUMBER...]
 *   seed=N            the statements are a function of it (1)
 *   writers=N         connections that write at the same time (3)
 *   from=K count=N    transactions K to K+N-1 of each writer (0, 100)
 *   tables=ROWS       makes the tables first, with so many rows (0: they are there)
 *   large_rows=N large_every=N   large transactions (0, 40)
 *   schema=0|1        writer 0 changes the schema too (1)
 *   drops=0|1         and drops the tables that it makes (1)
 *   keyless=0|1       there is a table without a key (1)
 *   pause_us=N        between two transactions of a writer (0)
 *
 * With - for CONNINFO it prints the statements in place of running them. What writers do to each
 * other (deadlocks, keys taken) is rolled back and gone over; a server that goes away is waited
 * for. Its last line says how many transactions there were and how many failed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "env.h"
#include "pg_conn.h"
#include "plan.h"
#include "rnd.h"
#include "thread.h"

#define WRITERS_MAX 16
#define TRIES       400
#define AGAIN_US    50000

struct settings {
	const char *conninfo;
	int64_t seed, writers, from, count, tables, large_rows, large_every, schema, drops, keyless,
		pause_us;
};

struct writer {
	const struct settings *s;
	struct plan plan;
	unsigned number;
	struct rnd rnd;
	struct env env;
	struct pg *pg;
	struct planned work;
	uint64_t failed;
	struct thread thread;
};

static const struct {
	const char *name;
	size_t offset;
} names[] = {
	{"seed", offsetof(struct settings, seed)},
	{"writers", offsetof(struct settings, writers)},
	{"from", offsetof(struct settings, from)},
	{"count", offsetof(struct settings, count)},
	{"tables", offsetof(struct settings, tables)},
	{"large_rows", offsetof(struct settings, large_rows)},
	{"large_every", offsetof(struct settings, large_every)},
	{"schema", offsetof(struct settings, schema)},
	{"drops", offsetof(struct settings, drops)},
	{"keyless", offsetof(struct settings, keyless)},
	{"pause_us", offsetof(struct settings, pause_us)},
};

static bool take(struct settings *s, const char *word)
{
	struct str value = str_of(word), name;
	int64_t n;

	if (!str_cut(&value, '=', &name) || !str_to_i64(value, &n) || n < 0)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eqc(name, names[i].name)) {
			memcpy((char *)s + names[i].offset, &n, sizeof n);
			return true;
		}
	return false;
}

/* ---- one writer ---- */

/* A server that restarts is back soon; connection strings of the writers have a lock_timeout, so
 * that nothing waits for ever for a prepared transaction. */
static enum err connect_again(struct writer *w, struct error *e)
{
	struct pg_options o = {.conninfo = w->s->conninfo, .application = "mixed load"};
	enum err rc = ERR_UNAVAILABLE;

	pg_close(w->pg);
	w->pg = NULL;
	for (int i = 0; i < TRIES && rc == ERR_UNAVAILABLE; i++) {
		error_clear(e);
		rc = pg_open(&w->pg, &o, &w->env, e);
		if (rc == OK)
			rc = pg_exec(w->pg, "SET lock_timeout = '3s'", "setting up a writer", e);
		if (rc == ERR_UNAVAILABLE) {
			pg_close(w->pg);
			w->pg = NULL;
			usleep(AGAIN_US);
		}
	}
	return rc;
}

static bool connected(const struct writer *w)
{
	return w->pg != NULL && PQstatus(w->pg->conn) == CONNECTION_OK;
}

/* After a failure: the transaction is rolled back, or the connection is a new one. */
static enum err recover(struct writer *w, struct error *e)
{
	if (connected(w) && pg_exec(w->pg, "ROLLBACK", "rolling back", e) == OK)
		return OK;
	return connect_again(w, e);
}

/* What a statement says that has been run already, the answer having been lost. */
static bool is_done_already(const struct writer *w)
{
	static const char *const states[] = {"42701", "42703", "42704", "42P07"};

	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (w->pg != NULL && pg_failed_with(w->pg, states[i]))
			return true;
	return false;
}

/* Tries until it is run. */
static enum err insist(struct writer *w, const char *sql, struct error *e)
{
	struct error why = {.kind = OK};

	for (int i = 0; i < TRIES; i++) {
		error_clear(&why);
		if (pg_exec(w->pg, sql, "changing the schema", &why) == OK)
			return OK;
		bool done = is_done_already(w);
		error_clear(e);
		TRY(recover(w, e));
		if (done && i > 0)
			return OK;
		usleep(AGAIN_US);
	}
	*e = why;
	return error_wrap(e, "writer %u: %s", w->number, sql);
}

static enum err one(struct writer *w, uint64_t k, struct error *e)
{
	struct error why = {.kind = OK};

	plan_transaction(&w->plan, w->number, k, &w->work);
	if (!buf_ok(&w->work.sql))
		return FAIL(e, ERR_FAILED, "transaction %" PRIu64 " is too long", k);
	if (w->work.must)
		return insist(w, buf_cstr(&w->work.sql), e);
	if (pg_exec(w->pg, buf_cstr(&w->work.sql), "writing", &why) != OK) {
		w->failed++;
		TRY(recover(w, e));
	}
	if (w->work.finish.n == 0)
		return OK;
	/* It may not stand there, because what it ends has failed. */
	for (int i = 0; i < TRIES; i++) {
		error_clear(&why);
		if (pg_exec(w->pg, buf_cstr(&w->work.finish), "finishing", &why) == OK ||
			is_done_already(w))
			return OK;
		error_clear(e);
		TRY(recover(w, e));
	}
	*e = why;
	return e->kind;
}

static enum err write_all(void *arg, struct error *e)
{
	struct writer *w = arg;
	uint64_t first = (uint64_t)w->s->from, n = (uint64_t)w->s->count;
	enum err rc = connect_again(w, e);

	planned_init(&w->work);
	for (uint64_t k = first; rc == OK && k < first + n; k++) {
		rc = one(w, k, e);
		if (w->s->pause_us > 0)
			usleep((useconds_t)w->s->pause_us);
	}
	planned_free(&w->work);
	pg_close(w->pg);
	return rc;
}

/* ---- all of them ---- */

static void set_up(struct writer *w, const struct settings *s, unsigned number)
{
	*w = (struct writer){.s = s, .number = number};
	w->plan = (struct plan){.seed = (uint64_t)s->seed,
		.large_rows = (unsigned)s->large_rows,
		.large_every = s->large_every > 0 ? (unsigned)s->large_every : 1,
		.schema = s->schema != 0,
		.drops = s->drops != 0,
		.keyless = s->keyless != 0};
	rnd_system(&w->rnd);
	w->env = (struct env){.clock = clock_system(), .rnd = &w->rnd};
}

static void print_all(const struct settings *s)
{
	struct writer w;

	for (unsigned n = 0; n < (unsigned)s->writers; n++) {
		set_up(&w, s, n);
		planned_init(&w.work);
		for (int64_t k = s->from; k < s->from + s->count; k++) {
			plan_transaction(&w.plan, n, (uint64_t)k, &w.work);
			printf("%u:%" PRId64 ": %s %s\n", n, k, buf_cstr(&w.work.sql),
				buf_cstr(&w.work.finish));
		}
		planned_free(&w.work);
	}
}

static enum err make_tables(const struct settings *s, struct error *e)
{
	struct writer w;
	struct buf sql;

	set_up(&w, s, 0);
	buf_init(&sql, 1 << 20);
	plan_tables(&sql, (unsigned)s->tables, s->keyless != 0);
	enum err rc = connect_again(&w, e);
	if (rc == OK)
		rc = pg_exec(w.pg, buf_cstr(&sql), "making the tables", e);
	pg_close(w.pg);
	buf_free(&sql);
	return rc;
}

static enum err run_all(const struct settings *s, struct error *e)
{
	static struct writer writers[WRITERS_MAX];
	uint64_t failed = 0;
	enum err rc = OK;

	for (unsigned n = 0; n < (unsigned)s->writers; n++) {
		set_up(&writers[n], s, n);
		TRY(thread_start(&writers[n].thread, "writer", write_all, &writers[n], e));
	}
	for (unsigned n = 0; n < (unsigned)s->writers; n++) {
		struct error why = {.kind = OK};
		if (thread_join(&writers[n].thread, &why) != OK && rc == OK) {
			*e = why;
			rc = why.kind;
		}
		failed += writers[n].failed;
	}
	printf("%" PRId64 " transactions, %" PRIu64 " of them failed\n", s->writers * s->count,
		failed);
	return rc;
}

int main(int argc, char **argv)
{
	struct settings s = {.seed = 1,
		.writers = 3,
		.count = 100,
		.large_every = 40,
		.schema = 1,
		.keyless = 1,
		.drops = 1};
	struct error e = {.kind = OK};

	for (int i = 2; i < argc; i++)
		if (!take(&s, argv[i])) {
			fprintf(stderr, "mixed_load: not understood: %s\n", argv[i]);
			return 2;
		}
	if (argc < 2 || s.writers < 1 || s.writers > WRITERS_MAX) {
		fprintf(stderr, "usage: mixed_load CONNINFO|- [NAME=NUMBER...]\n");
		return 2;
	}
	s.conninfo = argv[1];
	if (strcmp(s.conninfo, "-") == 0) {
		print_all(&s);
		return 0;
	}
	enum err rc = s.tables > 0 ? make_tables(&s, &e) : OK;
	if (rc == OK && s.count > 0)
		rc = run_all(&s, &e);
	if (rc != OK)
		fprintf(stderr, "mixed_load: %s\n", e.text);
	return rc == OK ? 0 : 1;
}
