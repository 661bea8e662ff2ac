/*
 * reconcile_report: the report as text, and kept. DESIGN §6 promises its form.
 */
#ifndef SLUICE_RECONCILE_REPORT_H
#define SLUICE_RECONCILE_REPORT_H

#include "reconcile.h"

struct json_out;

/* "cut": {"lsn", "snapshot"} */
void reconcile_put_cut(struct json_out *j, const struct cut *cut);

/* Fills r->json and r->sha256 from the rest. */
enum err reconcile_report_write(struct reconcile_report *r, struct error *e) MUST_CHECK;

/* Adds it to ops.reconciliations. */
enum err reconcile_report_keep(
	const struct reconcile_report *r, struct warehouse *w, struct error *e) MUST_CHECK;

#endif
