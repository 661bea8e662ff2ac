/* The demonstration's ground: records, server, files, rows, replication, life. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app_migrate.h"
#include "buf.h"
#include "bulk.h"
#include "demo.h"
#include "file.h"
#include "handback.h"
#include "live.h"
#include "plan.h"

#define SIMULATED_BOOKINGS 40000
#define SIMULATION_SEED    20170301
#define LIVE_CLIENTS       16

static enum err make_records(struct demo *d, struct error *e)
{
	if (d->data != NULL) {
		TRY(records_from_file(d->data, d->c->mem, &d->records, e));
		demo_say(d, "read %zu real bookings from %s", d->records.n, d->data);
		return OK;
	}
	records_simulate(SIMULATED_BOOKINGS, SIMULATION_SEED, d->c->mem, &d->records);
	demo_say(d,
		"made up %zu bookings from seed %d; each guest's probability to cancel is known",
		d->records.n, SIMULATION_SEED);
	return OK;
}

static enum err make_directory(struct demo *d, const char *name, struct error *e)
{
	return file_mkdirs(arena_fmt(d->c->mem, "%s/%s", d->dir, name).p, e);
}

/* What an earlier run left in the directory goes; anything else there is not ours to remove. */
static enum err clear_directory(struct demo *d, struct error *e)
{
	static const char *const ours[] = {"warehouse.duckdb", "warehouse.duckdb.wal",
		"warehouse.duckdb.sock", "journal", "store", "models", "logs", "keys",
		"sluice.conf"};
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		TRY(file_remove_tree(arena_fmt(d->c->mem, "%s/%s", d->dir, ours[i]).p, e));
	return OK;
}

static enum err write_config(struct demo *d, struct error *e)
{
	struct str text = arena_fmt(d->c->mem,
		"# Made by `sluice demo`.\n"
		"[source]\n"
		"url = %s\n"
		"tables = public.*, !public.schema_migrations, !public.idempotency_keys\n\n"
		"[models]\n"
		"evaluation_cut = 2017-03-01\n\n"
		"[handback]\n"
		"signing_key = keys/signing.pem\n"
		"trusted_key = keys/trusted.pem\n"
		"person = demo-publisher\n\n"
		"[app]\n"
		"# The demonstration lives through the past: business times are given.\n"
		"import_mode = true\n"
		"threads = 16\n\n"
		"[table public.bookings]\n"
		"valid_time = changed_at\n\n"
		"[table public.booking_events]\n"
		"valid_time = occurred_at\n\n"
		"[workflow cancel-risk]\n"
		"model = cancel_risk\n"
		"features = cancel_risk\n"
		"key = booking_id\n"
		"reference = public.bookings.booking_id\n",
		pg_server_conninfo(d->server));
	d->config = arena_cstr(d->c->mem, arena_fmt(d->c->mem, "%s/sluice.conf", d->dir));
	return file_write_atomic(d->config, text, e);
}

static enum err start_server(struct demo *d, struct error *e)
{
	static const char *const settings[] = {
		"shared_buffers=256MB", "max_wal_size=2GB", "max_slot_wal_keep_size=4GB", NULL};
	struct str dir = arena_fmt(d->c->mem, "%s/postgres", d->dir);
	const struct pg_server_options o = {
		.dir = dir.p, .database = "reservations", .settings = settings};
	TRY(pg_server_start(&d->server, &o, &d->quiet, e));
	demo_say(d, "started a private PostgreSQL (%s)", pg_server_conninfo(d->server));
	const struct pg_options pg = {
		.conninfo = pg_server_conninfo(d->server), .application = "sluice demo"};
	return pg_open(&d->pg, &pg, &d->quiet, e);
}

static enum err make_keys(struct demo *d, struct error *e)
{
	struct str private = arena_fmt(d->c->mem, "%s/keys/signing.pem", d->dir);
	struct str public = arena_fmt(d->c->mem, "%s/keys/trusted.pem", d->dir);
	return handback_make_key(private.p, public.p, e);
}

enum err demo_prepare(struct demo *d, struct error *e)
{
	TRY(make_records(d, e));
	TRY(file_mkdirs(d->dir, e));
	TRY(clear_directory(d, e));
	TRY(make_directory(d, "logs", e));
	TRY(make_directory(d, "keys", e));
	TRY(start_server(d, e));
	TRY(make_keys(d, e));
	return write_config(d, e);
}

enum err demo_load(struct demo *d, struct error *e)
{
	struct app_migration migration;
	struct bulk_result r;
	TRY(app_migrate(d->pg, &migration, e));
	TRY(bulk_load(d->pg, &d->records, d->times.live_from, &r, e));
	demo_say(d, "loaded the older part in bulk: %lld bookings, %lld events",
		(long long)r.bookings, (long long)r.events);
	return OK;
}

/* The API says on its standard output where it listens, as soon as it does. */
static enum err read_api_address(struct demo *d, struct error *e)
{
	struct str path = arena_fmt(d->c->mem, "%s/logs/api.out", d->dir);
	struct buf b;
	buf_init(&b, 1 << 20);
	enum err rc = OK;
	while (rc == OK) {
		buf_reset(&b);
		rc = file_read(path.p, &b, e);
		if (rc == OK && b.n > 0 && b.p[b.n - 1] == '\n')
			break;
		if (rc == OK)
			rc = demo_children_alive(d, e);
		if (rc == OK)
			rc = env_check(d->c->env, e);
		env_sleep(d->c->env, 20000);
	}
	json_t *root = NULL;
	struct str address;
	if (rc == OK)
		rc = json_read(str_trim(buf_str(&b)), "the API's first line", &root, e);
	if (rc == OK)
		rc = json_want_str(root, "listening", &address, e);
	if (rc == OK)
		d->api_url = arena_cstr(
			d->c->mem, arena_fmt(d->c->mem, "http://%.*s", STR_ARG(address)));
	json_decref(root);
	buf_free(&b);
	return rc;
}

static enum err snapshot_done(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	TRY(DEMO_COMMAND(d, &r, e, "replicate", "--until", "caught-up"));
	demo_say(d, "snapshot taken and stream joined at %s",
		json_string_value(json_object_get(r, "lsn")));
	json_decref(r);
	return OK;
}

enum err demo_replication(struct demo *d, struct error *e)
{
	static const char *const up[] = {"up", NULL};
	static const char *const api[] = {"app", "api", NULL};
	static const char *const worker[] = {"app", "worker", NULL};
	TRY(DEMO_COMMAND(d, NULL, e, "init"));
	TRY(demo_start(d, CHILD_UP, "up", up, e));
	TRY(demo_start(d, CHILD_API, "api", api, e));
	TRY(demo_start(d, CHILD_WORKER, "worker", worker, e));
	TRY(read_api_address(d, e));
	demo_say(d, "reservation API at %s, worker and replication running", d->api_url);
	return snapshot_done(d, e);
}

/* The ids that the bulk load gave; the API gives the others. */
static void known_ids(struct demo *d, struct live_ids *ids)
{
	if (d->ids.booking == NULL) {
		d->ids.booking = arena_array(d->c->mem, d->records.n, sizeof *d->ids.booking);
		d->ids.guest = arena_array(d->c->mem, d->records.n, sizeof *d->ids.guest);
		for (size_t i = 0; i < d->records.n; i++)
			if (d->records.items[i].booked_us < d->times.live_from)
				d->ids.booking[i] = d->ids.guest[i] = (int64_t)i + 1;
	}
	*ids = d->ids;
}

enum err demo_live(struct demo *d, int64_t from_us, int64_t to_us, struct error *e)
{
	struct plan plan;
	atomic_ullong done = 0;
	int64_t began = clock_mono(d->c->env->clock), erased = 0;
	plan_make(&d->records, from_us, to_us, d->c->mem, &plan);
	for (size_t i = 0; i < plan.n; i++)
		erased += plan.items[i].kind == ACT_ERASE;
	struct live_options o = {.url = d->api_url,
		.records = &d->records,
		.plan = &plan,
		.clients = LIVE_CLIENTS,
		.done = &done};
	known_ids(d, &o.ids);
	TRY(live_run(&o, &d->quiet, e));
	double seconds = (double)(clock_mono(d->c->env->clock) - began) / 1e6;
	char from[CLOCK_TEXT], to[CLOCK_TEXT];
	demo_say(d,
		"lived %.10s to %.10s through the API: %llu requests, %.0f a second; %lld guests were "
		"erased (erasures are synthetic)",
		clock_format(from_us, from, sizeof from), clock_format(to_us, to, sizeof to),
		atomic_load(&done), (double)atomic_load(&done) / fmax(seconds, 1e-6),
		(long long)erased);
	return demo_children_alive(d, e);
}

static enum err count(struct demo *d, const char *sql, int64_t *out, struct error *e)
{
	struct arena mem = {0};
	PGresult *r = NULL;
	enum err rc = pg_query(d->pg, sql, 0, NULL, "counting", &mem, &r, e);
	if (rc == OK)
		*out = pg_cell_i64(r, 0, 0);
	arena_free(&mem);
	return rc;
}

enum err demo_count(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	TRY(count(d, "SELECT count(*) FROM bookings", &d->bookings, e));
	TRY(count(
		d, "SELECT count(*) FROM worker_tasks WHERE kind = 'reconfirm'", &d->decisions, e));
	TRY(DEMO_COMMAND(d, &r, e, "query", "SELECT count(*) AS n FROM public.bookings"));
	d->replicated_rows = (int64_t)json_integer_value(json_object_get(r, "n"));
	json_decref(r);
	return OK;
}
