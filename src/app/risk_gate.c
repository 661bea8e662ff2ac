#include "risk_gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

/* Scores of one version do not change, so looking again is only for what was missed. */
#define AGAIN_US (60 * 1000000LL)

static void note(struct risk_gate *g, const struct env *env, bool open, const char *why)
{
	bool changed = !g->seen || g->open != open || (!open && strcmp(g->why, why) != 0);

	g->seen = true;
	g->open = open;
	(void)snprintf(g->why, sizeof g->why, "%s", why);
	if (!open)
		g->version = 0;
	if (changed && open)
		log_info(env->log, "worker",
			"the gate is open: guests at risk are asked to reconfirm",
			F_CSTR("workflow", g->workflow));
	else if (changed)
		log_warn(env->log, "worker", "the gate is closed: nobody is asked to reconfirm",
			F_CSTR("workflow", g->workflow != NULL ? g->workflow : ""),
			F_CSTR("why", why));
}

/* *version is 0 when there are no live scores. */
static enum err look(struct risk_gate *g, struct app_db *db, struct arena *mem, int64_t *version,
	struct error *e)
{
	PGresult *r;
	enum err rc = app_db_run(db, STMT_GATE_STATE, &g->workflow, mem, &r, e);

	*version = 0;
	if (rc != OK) {
		note(g, db->env, false, app_db_lacks(db) ? "there are no gates here yet" : e->text);
		return rc == ERR_UNAVAILABLE ? rc : OK;
	}
	struct str state = PQntuples(r) > 0 ? pg_cell_str(r, 0, 0) : STR("never requested");
	bool open = str_eqc(state, "open");
	note(g, db->env, open, open ? "" : arena_cstr(mem, state));
	if (open)
		*version = pg_cell_i64(r, 0, 1);
	return OK;
}

static enum err act(
	struct risk_gate *g, struct app_db *db, struct arena *mem, int64_t *made, struct error *e)
{
	const char *params[] = {g->workflow, arena_fmt(mem, "%.17g", g->threshold).p};
	PGresult *r;
	enum err rc = app_db_run(db, STMT_RECONFIRM, params, mem, &r, e);

	if (rc == OK)
		*made += app_db_touched(r);
	else
		note(g, db->env, false, e->text);
	return rc == ERR_UNAVAILABLE || rc == OK ? rc : OK;
}

enum err risk_gate_poll(struct risk_gate *g, struct app_db *db, int64_t *made, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	int64_t version, now = clock_mono(db->env->clock);

	if (g->workflow == NULL || g->workflow[0] == '\0') {
		note(g, db->env, false, "no workflow is configured");
		return OK;
	}
	enum err rc = look(g, db, &mem, &version, e);
	if (rc == OK && version > 0 && (version != g->version || now >= g->again_at_us)) {
		rc = act(g, db, &mem, made, e);
		if (rc == OK && g->open) {
			g->version = version;
			g->again_at_us = now + AGAIN_US;
		}
	}
	arena_free(&mem);
	return rc;
}
