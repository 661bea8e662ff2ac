/* A private PostgreSQL with the reservation schema and two hotels, and an API before it. */
#ifndef SLUICE_APP_FIXTURE_H
#define SLUICE_APP_FIXTURE_H

#include <jansson.h>

#include "app_api.h"
#include "http_client.h"
#include "metrics.h"
#include "pg_server.h"

struct app_fixture {
	struct env env;
	struct rnd rnd;
	char dir[64];
	struct pg_server *server;
	struct pg *pg; /* for looking and arranging */
	struct pg_options database;
	struct app_api *api;
	struct arena mem;
	struct error e;
};

/* For cmocka: the group's setup and teardown. import_mode is off. */
int app_fixture_open(void **state);
int app_fixture_open_importing(void **state);
int app_fixture_close(void **state);

/* The first cell of a query's answer, "" when there is none. Lives in f->mem. */
struct str app_sql(struct app_fixture *f, const char *sql);
int64_t app_number(struct app_fixture *f, const char *sql);
void app_exec(struct app_fixture *f, const char *sql);

/* A log that can be looked at, and an environment that writes to it. */
struct app_log {
	struct env env;
	char path[96];
	int fd;
};

void app_log_open(struct app_log *l, struct app_fixture *f);
void app_log_close(struct app_log *l);

/* How many lines hold the text. */
size_t app_log_count(const struct app_log *l, const char *text);

/* How many lines hold the text, after waiting up to 10 s for one that does. */
size_t app_log_wait(const struct app_log *l, const char *text);

/* A new and empty database of the fixture's server that is away until it arrives. */
struct app_late {
	struct pg_options database;
	char socket[96], link[96], conninfo[160];
};

void app_late_make(struct app_late *l, struct app_fixture *f, const char *name);
void app_late_arrives(struct app_late *l);
void app_late_leaves(struct app_late *l);

/* One client of the API, for one thread. */
struct app_client {
	struct app_fixture *f;
	struct http_client *http;
	struct http_reply reply;
	struct http_pair headers[4]; /* sent with the next call, beside Content-Type */
	size_t nheaders;
	json_t *json; /* of the last answer, or NULL */
	struct error e;
};

void app_client_open(struct app_client *c, struct app_fixture *f);
void app_client_close(struct app_client *c);
void app_client_header(struct app_client *c, const char *name, const char *value);

/* Sends; gives the status and forgets the headers. body NULL: none. The status is 0 when there was
 * no answer, and c->e says why. */
unsigned app_call(struct app_client *c, const char *method, const char *path, const char *body);

/* Members of the last answer; 0 and "" when absent. */
int64_t app_json_number(const struct app_client *c, const char *key);
const char *app_json_text(const struct app_client *c, const char *key);

/* A good new booking, with `more` ("\"adults\":3,...") put before its end and `without` left out.
 */
const char *app_booking(struct app_fixture *f, const char *more);

/* Makes one and gives its id. */
int64_t app_new_booking(struct app_client *c, const char *more);

#endif
