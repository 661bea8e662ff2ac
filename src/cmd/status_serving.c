/* What is in use: models, and the workflows with their gates. */
#include "models.h"
#include "pg_conn.h"
#include "status_parts.h"

/* Models: one member for each, versions in order */

struct model_sum {
	struct status *s;
	struct str name; /* of the model being summed; empty before the first */
	int64_t versions, by_default;
};

static void end_model(struct model_sum *m)
{
	if (m->name.n == 0)
		return;
	jo_object(&m->s->j, NULL);
	jo_str(&m->s->j, "model", m->name);
	jo_i64(&m->s->j, "versions", m->versions);
	if (m->by_default > 0)
		jo_i64(&m->s->j, "default", m->by_default);
	else
		jo_null(&m->s->j, "default");
	jo_end_object(&m->s->j);
}

static enum err add_version(void *arg, const struct model_version *v, struct error *e)
{
	struct model_sum *m = arg;
	struct str rest = v->aliases, alias;

	(void)e;
	if (!str_eq(v->model, m->name)) {
		end_model(m);
		*m = (struct model_sum){.s = m->s, .name = arena_str(m->s->c->mem, v->model)};
	}
	m->versions++;
	while (str_next(&rest, ',', &alias))
		if (str_eqc(alias, "default"))
			m->by_default = v->version;
	return OK;
}

void status_put_models(struct status *s)
{
	struct error e = {.kind = OK};
	struct models *models = NULL;
	struct model_sum sum = {.s = s};

	if (context_models(s->c, &models, &e) != OK) {
		jo_null(&s->j, "models");
		status_note(s, "models", e.text);
		return;
	}
	jo_array(&s->j, "models");
	if (models_list(models, STR_NONE, add_version, &sum, &e) != OK)
		status_note(s, "models", e.text);
	end_model(&sum);
	jo_end_array(&s->j);
}

/* Workflows: what the application's database says. A workflow without a row is closed. */

#define WORKFLOWS_SQL                                                                              \
	"SELECT coalesce((SELECT state FROM sluice.gates WHERE workflow = $1), 'closed'), "        \
	"(SELECT live_version FROM sluice.workflows WHERE workflow = $1)"

static void put_workflow(struct status *s, struct pg *db, const char *name)
{
	struct error e = {.kind = OK};
	PGresult *r = NULL;
	const char *params[] = {name};
	enum err rc = pg_query(db, "SELECT to_regclass('sluice.workflows') IS NOT NULL", 0, NULL,
		"looking for the releases that were landed", s->c->mem, &r, &e);
	bool schema = rc == OK && pg_cell_bool(r, 0, 0);

	if (schema)
		rc = pg_query(db, WORKFLOWS_SQL, 1, params, "asking for a workflow's gate",
			s->c->mem, &r, &e);
	jo_object(&s->j, NULL);
	jo_cstr(&s->j, "workflow", name);
	if (rc != OK) {
		status_note(s, name, e.text);
		jo_null(&s->j, "gate");
	} else {
		jo_cstr(&s->j, "gate", schema ? pg_cell(r, 0, 0) : "closed");
	}
	if (rc == OK && schema && pg_cell(r, 0, 1) != NULL)
		jo_i64(&s->j, "live_version", pg_cell_i64(r, 0, 1));
	else
		jo_null(&s->j, "live_version");
	jo_end_object(&s->j);
}

void status_put_workflows(struct status *s)
{
	const struct conf_list *l = &s->c->set->workflows;
	const struct workflow_settings *w = l->items;
	struct error e = {.kind = OK};
	struct pg *db = NULL;

	if (l->n > 0 && context_app_database(s->c, &db, &e) != OK) {
		jo_null(&s->j, "workflows");
		status_note(s, "workflows", e.text);
		return;
	}
	jo_array(&s->j, "workflows");
	for (size_t i = 0; i < l->n; i++)
		put_workflow(s, db, w[i].name);
	jo_end_array(&s->j);
	pg_close(db);
}
