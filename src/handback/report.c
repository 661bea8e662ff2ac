#include "release_report.h"

#include "json.h"

static enum err says_yes(const json_t *report, struct str at, struct error *e)
{
	bool ok = false, whole = false;

	TRY(json_want_bool(report, "ok", &ok, e));
	if (!ok)
		return FAIL(e, ERR_CHECK,
			"the reconciliation at %.*s found differences: mend the tables that its "
			"report names, run `sluice reconcile`, then publish again",
			STR_ARG(at));
	/* A report that does not say what it covers was written before that was known. */
	if (json_object_get(report, "whole") != NULL)
		TRY(json_want_bool(report, "whole", &whole, e));
	if (!whole)
		return FAIL(e, ERR_CHECK,
			"the reconciliation at %.*s does not cover every table: run `sluice "
			"reconcile` without --table, then publish again",
			STR_ARG(at));
	return OK;
}

enum err release_report_check(struct str report, struct str at, struct error *e)
{
	json_t *o = NULL;
	enum err rc = json_read(report, "the reconciliation report", &o, e);

	if (rc == OK)
		rc = says_yes(o, at, e);
	json_decref(o);
	if (rc == ERR_INPUT) {
		error_wrap(e,
			"the report of the reconciliation at %.*s is damaged; run `sluice "
			"reconcile`, then publish again",
			STR_ARG(at));
		rc = e->kind = ERR_CHECK;
	}
	return rc;
}
