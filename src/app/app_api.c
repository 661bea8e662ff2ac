#include "app_api.h"

#include "app_db.h"
#include "app_handlers.h"
#include "app_openapi.h"
#include "app_request.h"
#include "app_schema.h"
#include "log.h"
#include "mem.h"
#include "thread.h"

#define BODY_MAX ((size_t)64 << 10)

/* Between two tries to bring the schema up to date. */
#define RETRY_US 500000

static const struct http_route routes[] = {
	{"POST", "/v1/bookings", booking_create},
	{"GET", "/v1/bookings", booking_list},
	{"GET", "/v1/bookings/{id}", booking_get},
	{"PATCH", "/v1/bookings/{id}", booking_change},
	{"POST", "/v1/bookings/{id}/cancel", booking_cancel},
	{"POST", "/v1/bookings/{id}/check-in", booking_check_in},
	{"POST", "/v1/bookings/{id}/check-out", booking_check_out},
	{"POST", "/v1/bookings/{id}/no-show", booking_no_show},
	{"GET", "/v1/guests/{id}", guest_get},
	{"DELETE", "/v1/guests/{id}", guest_erase},
	{"GET", "/livez", ops_live},
	{"GET", "/readyz", ops_ready},
	{"GET", "/metrics", ops_metrics},
	{"GET", "/openapi.json", ops_openapi},
	HTTP_ROUTE_END,
};

struct app_api {
	struct app_shared shared;
	struct app_health health;
	struct buf openapi;
	struct http_server *server;
	struct thread schema; /* runs only when the database was away at start */
	struct env schema_env;
	atomic_bool stop, migrated, failed;
	struct error failure; /* valid once failed */
};

/* The connection is made by the first request: the API starts while the database is away. */
static enum err open_thread(void *shared, void **thread, struct error *e)
{
	const struct app_shared *app = shared;
	struct app_db *db = mem_alloc(sizeof *db);

	(void)e;
	app_db_init(db, &app->o.database, app->env);
	db->health = app->health;
	db->migrated = app->migrated;
	*thread = db;
	return OK;
}

static void close_thread(void *shared, void *thread)
{
	(void)shared;
	app_db_close(thread);
	mem_free(thread);
}

static enum err migrate(struct app_api *a, struct error *e)
{
	enum err rc = app_schema_apply(&a->shared.o.database, &a->schema_env, e);

	if (rc == OK)
		atomic_store(&a->migrated, true);
	app_db_note_connection(&a->health, rc, e);
	return rc;
}

static enum err keep_migrating(void *arg, struct error *e)
{
	struct app_api *a = arg;
	enum err rc = ERR_UNAVAILABLE;

	while (rc == ERR_UNAVAILABLE && !env_stopping(&a->schema_env)) {
		env_sleep(&a->schema_env, RETRY_US);
		rc = migrate(a, e);
	}
	if (rc != OK && rc != ERR_UNAVAILABLE) {
		log_error(a->shared.env->log, "app", "the schema cannot be brought up to date",
			F_CSTR("why", e->text));
		a->failure = *e;
		atomic_store(&a->failed, true);
	}
	return OK;
}

static enum err migrate_first(struct app_api *a, struct error *e)
{
	enum err rc = OK;

	if (a->shared.o.migrate)
		rc = migrate(a, e);
	else
		atomic_store(&a->migrated, true);
	return rc == ERR_UNAVAILABLE ? OK : rc;
}

static struct app_api *api_new(const struct app_api_options *o, const struct env *env)
{
	struct app_api *a = mem_zalloc(sizeof *a);

	a->health.log = env->log;
	a->schema_env = *env;
	a->schema_env.stop = &a->stop;
	buf_init(&a->openapi, BUF_MAX_DEFAULT);
	app_openapi_write(&a->openapi);
	a->shared = (struct app_shared){
		.o = *o,
		.env = env,
		.openapi = buf_str(&a->openapi),
		.health = &a->health,
		.migrated = &a->migrated,
	};
	return a;
}

static enum err start(struct app_api *a, const struct env *env, struct error *e)
{
	const struct http_server_options server = {
		.listen = a->shared.o.listen,
		.routes = routes,
		.threads = a->shared.o.threads,
		.max_body = BODY_MAX,
		.refuse = app_refuse,
		.shared = &a->shared,
		.thread_open = open_thread,
		.thread_close = close_thread,
	};

	TRY(migrate_first(a, e));
	TRY(http_server_start(&a->server, &server, env, e));
	if (!atomic_load(&a->migrated))
		TRY(thread_start(&a->schema, "schema", keep_migrating, a, e));
	log_info(env->log, "app", "the reservation API listens",
		F_CSTR("address", http_server_address(a->server)),
		F_BOOL("import_mode", a->shared.o.import_mode));
	return OK;
}

enum err app_api_start(struct app_api **out, const struct app_api_options *o, const struct env *env,
	struct error *e)
{
	struct app_api *a = api_new(o, env);
	enum err rc = start(a, env, e);

	*out = rc == OK ? a : NULL;
	if (rc != OK)
		app_api_stop(a);
	return rc;
}

enum err app_api_check(struct app_api *a, struct error *e)
{
	if (!atomic_load(&a->failed))
		return OK;
	*e = a->failure;
	return e->kind;
}

const char *app_api_address(const struct app_api *a)
{
	return http_server_address(a->server);
}

void app_api_stop(struct app_api *a)
{
	if (a == NULL)
		return;
	atomic_store(&a->stop, true);
	/* What it has to say is in `failure`. */
	struct error ignored;
	(void)thread_join(&a->schema, &ignored);
	http_server_stop(a->server);
	buf_free(&a->openapi);
	mem_free(a);
}
