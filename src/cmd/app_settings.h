/*
 * app_settings: the reservation service's options, from the configuration.
 */
#ifndef SLUICE_APP_SETTINGS_H
#define SLUICE_APP_SETTINGS_H

#include "app_api.h"
#include "app_worker.h"
#include "command.h"

/* listen NULL: as [app] listen says. */
struct app_api_options app_settings_api(struct context *c, const char *listen);
enum err app_settings_worker(
	struct context *c, bool once, struct app_worker_options *out, struct error *e) MUST_CHECK;

/* Brings the application's schema up to date, unless the database is away: that is no error,
 * because the API and the worker do it themselves as soon as it answers. */
enum err app_settings_migrate(struct context *c, struct error *e) MUST_CHECK;

#endif
