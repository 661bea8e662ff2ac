/*
 * demo: what the steps of `sluice demo` share. Every step that has a command runs that command
 * as a child process, so the demonstration shows what a user would type.
 */
#ifndef SLUICE_DEMO_H
#define SLUICE_DEMO_H

#include <jansson.h>
#include <stdint.h>

#include "command.h"
#include "pg_conn.h"
#include "pg_server.h"
#include "process.h"
#include "live.h"
#include "record.h"

/* Moments of the demonstration, microseconds since 1970. */
struct demo_times {
	int64_t live_from;      /* before: loaded in bulk; from here: lived through the API */
	int64_t first_release;  /* where the first model is trained and its scores released */
	int64_t second_release; /* where scores are released again, and rolled back */
	int64_t end;            /* noon of the last day: some bookings are still open */
};

enum demo_child { CHILD_UP, CHILD_API, CHILD_WORKER, DEMO_CHILDREN };

struct demo {
	struct context *c;
	struct env quiet;       /* as c->env, but without a log: progress is what is shown */
	const char *dir, *data; /* data NULL: simulated */
	char *config;           /* path of the sluice.conf made */
	int64_t started_us;
	struct demo_times times;
	struct records records;
	struct live_ids ids; /* row numbers in the application, by record */
	struct pg_server *server;
	struct pg *pg; /* the application's database, for looking */
	struct process children[DEMO_CHILDREN];
	char *api_url;
	/* What the summary says. */
	int64_t bookings, replicated_rows, model_version, release_version, scored_rows, landed_rows;
	int64_t decisions;
	double auc, best_auc; /* best: NaN unless simulated */
	bool reconcile_ok;
	const char *gate; /* static storage */
};

/* A line of progress on the messages' stream, with the time since the start. */
void demo_say(struct demo *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Runs `sluice WORDS... --json --config CONFIG` to its end. *out is its last line as JSON (the
 * caller frees it) unless out is NULL. Any exit code but 0 is an error that says what the
 * command said. words is NULL-terminated. */
enum err demo_command(
	struct demo *d, const char *const *words, json_t **out, struct error *e) MUST_CHECK;
#define DEMO_COMMAND(d, out, e, ...)                                                               \
	demo_command((d), (const char *const[]){__VA_ARGS__, NULL}, (out), (e))

/* Starts `sluice WORDS...` to run on; its log goes to DIR/logs/NAME.log, its stdout to
 * DIR/logs/NAME.out. */
enum err demo_start(struct demo *d, enum demo_child which, const char *name,
	const char *const *words, struct error *e) MUST_CHECK;
/* ERR_FAILED, naming the log, when a child has ended by itself. */
enum err demo_children_alive(struct demo *d, struct error *e) MUST_CHECK;
void demo_stop_children(struct demo *d);

/* The parts, in order. */
enum err demo_prepare(struct demo *d, struct error *e) MUST_CHECK;     /* records, server, files */
enum err demo_load(struct demo *d, struct error *e) MUST_CHECK;        /* migrate, bulk */
enum err demo_replication(struct demo *d, struct error *e) MUST_CHECK; /* init, up, api, worker */
enum err demo_live(struct demo *d, int64_t from_us, int64_t to_us, struct error *e) MUST_CHECK;
enum err demo_reconcile(struct demo *d, struct error *e) MUST_CHECK;
enum err demo_learn(struct demo *d, struct error *e) MUST_CHECK;
enum err demo_release(struct demo *d, struct error *e) MUST_CHECK; /* score ... open the gate */
enum err demo_decisions(struct demo *d, struct error *e) MUST_CHECK;
enum err demo_rollback(struct demo *d, struct error *e) MUST_CHECK;
enum err demo_count(struct demo *d, struct error *e) MUST_CHECK;

#endif
