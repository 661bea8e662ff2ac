#include "app_fixture.h"

#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "app_migrate.h"
#include "file.h"
#include "json.h"

static int open_with(void **state, bool import_mode)
{
	struct app_fixture *f = calloc(1, sizeof *f);
	static const char *const settings[] = {"fsync=off", NULL};
	struct app_migration migrated;
	static _Thread_local char data[96];

	rnd_system(&f->rnd);
	f->env = (struct env){.clock = clock_system(), .rnd = &f->rnd, .metrics = metrics_new()};
	(void)unit_tmpdir(f->dir, sizeof f->dir);
	(void)snprintf(data, sizeof data, "%s/pg", f->dir);
	struct pg_server_options o = {.dir = data, .database = "hotel", .settings = settings};
	assert_ok(pg_server_start(&f->server, &o, &f->env, &f->e), &f->e);
	f->database = (struct pg_options){
		.conninfo = pg_server_conninfo(f->server), .application = "test"};
	assert_ok(pg_open(&f->pg, &f->database, &f->env, &f->e), &f->e);
	assert_ok(app_migrate(f->pg, &migrated, &f->e), &f->e);
	app_exec(f,
		"INSERT INTO hotels VALUES (1, 'Resort', 'resort'), (2, 'City', 'city');"
		"INSERT INTO agents VALUES (9, 'Agent 9')");
	struct app_api_options api = {.listen = "127.0.0.1:0",
		.database = f->database,
		.threads = 4,
		.import_mode = import_mode};
	assert_ok(app_api_start(&f->api, &api, &f->env, &f->e), &f->e);
	*state = f;
	return 0;
}

int app_fixture_open(void **state)
{
	return open_with(state, false);
}

int app_fixture_open_importing(void **state)
{
	return open_with(state, true);
}

int app_fixture_close(void **state)
{
	struct app_fixture *f = *state;

	app_api_stop(f->api);
	pg_close(f->pg);
	pg_server_stop(f->server, true);
	assert_ok(file_remove_tree(f->dir, &f->e), &f->e);
	metrics_free(f->env.metrics);
	arena_free(&f->mem);
	free(f);
	return 0;
}

struct str app_sql(struct app_fixture *f, const char *sql)
{
	PGresult *r;

	assert_ok(pg_query(f->pg, sql, 0, NULL, "looking", &f->mem, &r, &f->e), &f->e);
	return PQntuples(r) > 0 ? pg_cell_str(r, 0, 0) : STR_NONE;
}

int64_t app_number(struct app_fixture *f, const char *sql)
{
	int64_t n = 0;

	return str_to_i64(app_sql(f, sql), &n) ? n : 0;
}

void app_exec(struct app_fixture *f, const char *sql)
{
	assert_ok(pg_exec(f->pg, sql, "arranging", &f->e), &f->e);
}

void app_log_open(struct app_log *l, struct app_fixture *f)
{
	*l = (struct app_log){.env = f->env};
	(void)snprintf(l->path, sizeof l->path, "%s/log", f->dir);
	l->fd = open(l->path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	assert_true(l->fd >= 0);
	l->env.log = log_open(l->fd, LOG_JSON, LOG_INFO, f->env.clock);
}

void app_log_close(struct app_log *l)
{
	log_close(l->env.log);
	(void)close(l->fd);
	assert_int_equal(unlink(l->path), 0);
}

size_t app_log_count(const struct app_log *l, const char *text)
{
	FILE *in = fopen(l->path, "r");
	char line[4096];
	size_t n = 0;

	assert_non_null(in);
	while (fgets(line, sizeof line, in) != NULL)
		n += strstr(line, text) != NULL;
	(void)fclose(in);
	return n;
}

size_t app_log_wait(const struct app_log *l, const char *text)
{
	for (int i = 0; i < 5000 && app_log_count(l, text) == 0; i++)
		clock_sleep(l->env.clock, 2000);
	return app_log_count(l, text);
}

/* The link to the directory of the server's socket is what comes and goes. */
void app_late_make(struct app_late *l, struct app_fixture *f, const char *name)
{
	struct str port = app_sql(f, "SHOW port");

	*l = (struct app_late){.conninfo = ""};
	(void)snprintf(l->socket, sizeof l->socket, "%.*s",
		STR_ARG(app_sql(f,
			"SELECT btrim(current_setting('unix_socket_directories'), "
			"'\"')")));
	(void)snprintf(l->link, sizeof l->link, "%s/late", f->dir);
	(void)snprintf(l->conninfo, sizeof l->conninfo, "host=%s port=%.*s user=postgres dbname=%s",
		l->link, STR_ARG(port), name);
	l->database = (struct pg_options){.conninfo = l->conninfo, .application = "late"};
	app_exec(f, arena_fmt(&f->mem, "CREATE DATABASE %s", name).p);
}

void app_late_arrives(struct app_late *l)
{
	assert_int_equal(symlink(l->socket, l->link), 0);
}

void app_late_leaves(struct app_late *l)
{
	assert_int_equal(unlink(l->link), 0);
}

void app_client_open(struct app_client *c, struct app_fixture *f)
{
	*c = (struct app_client){.f = f};
	assert_ok(http_client_new(&c->http, NULL, &f->env, &c->e), &c->e);
	http_reply_init(&c->reply);
}

void app_client_close(struct app_client *c)
{
	json_decref(c->json);
	http_reply_free(&c->reply);
	http_client_free(c->http);
}

void app_client_header(struct app_client *c, const char *name, const char *value)
{
	c->headers[c->nheaders++] = (struct http_pair){str_of(name), str_of(value)};
}

unsigned app_call(struct app_client *c, const char *method, const char *path, const char *body)
{
	char url[256];
	struct error ignored;
	bool typed = false;

	for (size_t i = 0; i < c->nheaders; i++)
		typed = typed || str_ieq(c->headers[i].name, STR("content-type"));
	if (body != NULL && !typed)
		app_client_header(c, "Content-Type", "application/json");
	(void)snprintf(url, sizeof url, "http://%s%s", app_api_address(c->f->api), path);
	struct http_call call = {.method = method,
		.url = url,
		.headers = c->headers,
		.nheaders = c->nheaders,
		.body = str_of(body)};
	enum err rc = http_client_send(c->http, &call, &c->reply, &c->e);
	c->nheaders = 0;
	json_decref(c->json);
	c->json = NULL;
	if (rc != OK)
		return 0;
	if (json_read(buf_str(&c->reply.body), "answer", &c->json, &ignored) != OK)
		c->json = NULL;
	return c->reply.status;
}

int64_t app_json_number(const struct app_client *c, const char *key)
{
	return json_integer_value(json_object_get(c->json, key));
}

const char *app_json_text(const struct app_client *c, const char *key)
{
	const char *text = json_string_value(json_object_get(c->json, key));

	return text != NULL ? text : "";
}

const char *app_booking(struct app_fixture *f, const char *more)
{
	return arena_fmt(&f->mem,
		"{\"hotel_id\":1,\"arrival_date\":\"2199-07-01\",\"weekend_nights\":1,"
		"\"week_nights\":2,\"adults\":2,\"meal\":\"BB\",\"market_segment\":\"Online TA\","
		"\"distribution_channel\":\"TA/TO\",\"reserved_room_type\":\"A\","
		"\"deposit_type\":\"No Deposit\",\"customer_type\":\"Transient\","
		"\"daily_rate\":75.5,\"guest\":{\"full_name\":\"Ana Alves\","
		"\"email\":\"ana@example.org\",\"country\":\"PRT\"}%s%s}",
		more[0] != '\0' ? "," : "", more)
		.p;
}

int64_t app_new_booking(struct app_client *c, const char *more)
{
	unsigned status = app_call(c, "POST", "/v1/bookings", app_booking(c->f, more));

	if (status != 201)
		fail_msg("a new booking: %u %s", status, buf_cstr(&c->reply.body));
	return app_json_number(c, "booking_id");
}
