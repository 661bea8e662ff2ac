/* init_checks: is the source fit for replication? ERR_USAGE with the remedy when not. */
#ifndef SLUICE_INIT_CHECKS_H
#define SLUICE_INIT_CHECKS_H

#include "pg_catalog.h"
#include "replicate.h"

enum err init_check_server(struct pg *c, const struct replicate_options *o, bool slot_exists,
	struct error *e) MUST_CHECK;
enum err init_check_tables(
	const struct replicate_options *o, const struct pg_tables *t, struct error *e) MUST_CHECK;

#endif
