#include "cmd_policy.h"

#include <math.h>
#include <stdio.h>

#include "str.h"

static enum err number(const char *workflow, const char *key, const char *text, double least,
	double most, double *out, struct error *e)
{
	if (!str_to_double(str_of(text), out) || !isfinite(*out) || *out < least || *out > most)
		return FAIL(e, ERR_USAGE,
			"[workflow %s] %s is \"%s\"; a number from %g to %g is wanted", workflow,
			key, text != NULL ? text : "", least, most);
	return OK;
}

enum err cmd_policy(
	struct context *c, const char *workflow, struct release_policy *out, struct error *e)
{
	const struct workflow_settings *w;

	TRY(context_workflow(c, workflow, &w, e));
	*out = (struct release_policy){
		.workflow = w->name,
		.trusted_key = c->set->handback.trusted_key,
		.model = w->model,
		.key_column = w->key,
		.reference = w->reference,
		.open_rows = w->open_rows,
		.max_age = w->max_age,
		.approvals = w->approvals,
	};
	TRY(number(workflow, "min_auc", w->min_auc, 0, 1, &out->min_auc, e));
	TRY(number(workflow, "max_psi", w->max_psi, 0, 100, &out->max_psi, e));
	return number(workflow, "min_coverage", w->min_coverage, 0, 1, &out->min_coverage, e);
}

const char *cmd_person(struct context *c, const char *given)
{
	if (given != NULL)
		return given;
	const char *set = c->set->handback.person;
	return set != NULL && set[0] != '\0' ? set : handback_login(c->mem).p;
}

void cmd_say_checks(struct context *c, const struct checks *checks)
{
	for (size_t i = 0; i < checks->n; i++)
		fprintf(c->out, "  %-3s  %-15s %.*s\n", checks->items[i].ok ? "yes" : "NO",
			checks->items[i].name, STR_ARG(checks->items[i].detail));
}
