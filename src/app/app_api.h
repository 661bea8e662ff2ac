/*
 * app_api: the reservation service's HTTP API.
 *
 *   POST   /v1/bookings                  PATCH /v1/bookings/{id}
 *   GET    /v1/bookings?status=&after=&limit=
 *   GET    /v1/bookings/{id}             POST /v1/bookings/{id}/cancel, check-in, check-out,
 * no-show GET    /v1/guests/{id}               DELETE /v1/guests/{id} GET    /livez /readyz
 * /metrics /openapi.json
 *
 * Errors are application/problem+json. Every change is one transaction: the booking, its event
 * and its outbox row. It serves on while the database is away, with 503, and comes back by itself.
 */
#ifndef SLUICE_APP_API_H
#define SLUICE_APP_API_H

#include "env.h"
#include "pg_conn.h"

struct app_api;

struct app_api_options {
	const char *listen;         /* "127.0.0.1:8080"; port 0: any free one */
	struct pg_options database; /* its strings must outlive the API */
	unsigned threads;           /* each with a connection of its own; 0: 4 */
	bool import_mode;           /* business times may be given */
	bool migrate;               /* bring the schema up to date first; otherwise it is */
};

/*
 * Serves when it returns; the database need not be there yet. With `migrate` the schema is brought
 * up to date before anything uses it: here, or as soon as the database answers; until then what
 * needs it is answered with 503. What keeps it from being so, other than that the database is away,
 * is the error, or later app_api_check()'s. env must outlive the API.
 */
enum err app_api_start(struct app_api **out, const struct app_api_options *o, const struct env *env,
	struct error *e) MUST_CHECK;
const char *app_api_address(const struct app_api *a); /* "127.0.0.1:41234" */
/* OK, or why the schema cannot be brought up to date: it serves 503 and will not recover. */
enum err app_api_check(struct app_api *a, struct error *e) MUST_CHECK;
void app_api_stop(struct app_api *a); /* lets running requests finish; NULL is fine */

#endif
