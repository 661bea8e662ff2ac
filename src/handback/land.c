#include <inttypes.h>

#include "failpoint.h"
#include "release_gate.h"
#include "release_verify.h"

#define PARAMS(...)                                                                                \
	(int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),                  \
		(const char *const[])                                                              \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static void start(struct verification *v, struct pg *c, struct store *s,
	const struct land_options *o, const struct env *env, bool landing, struct arena *mem)
{
	*v = (struct verification){
		.policy = &o->policy,
		.env = env,
		.store = s,
		.pg = c,
		.version = o->version,
		.landing = landing,
		.mem = mem,
	};
}

static void tell(struct land_result *out, const struct verification *v)
{
	out->version = v->version;
	out->rows = v->have & HAVE_SIGNED ? v->m.rows : 0;
	out->ok = checks_ok(&out->checks);
}

/* This very release is live: its own checks, as they were when it was landed. */
static enum err answer_live(const struct verification *v, const struct landed *live,
	struct land_result *out, struct error *e)
{
	json_t *array = NULL;

	out->already_live = true;
	checks_init(&out->checks, v->mem);
	TRY(json_read(live->checks, "the checks of the live version", &array, e));
	enum err rc = checks_read(&out->checks, array, e);
	json_decref(array);
	if (rc == OK)
		rc = checks_result(&out->checks, "reading the checks of the live version", e);
	return release_damaged(rc, e);
}

static enum err register_release(
	struct verification *v, const struct checks *checks, const char *person, struct error *e)
{
	struct buf text;
	struct json_out j;
	PGresult *r;

	buf_init(&text, MANIFEST_MAX);
	jo_init(&j, &text);
	checks_print(checks, &j, NULL);
	enum err rc = pg_query(v->pg,
		"INSERT INTO sluice.releases AS r (workflow, version, manifest, manifest_sha256, "
		"producer, row_count, checks, checks_ok, landed_by) "
		"VALUES ($1, $2::bigint, $3, $4, $5, $6::bigint, $7::jsonb, true, $8) "
		"ON CONFLICT (workflow, version) DO UPDATE SET checks = excluded.checks, "
		"checks_ok = excluded.checks_ok, landed_at = now(), landed_by = "
		"excluded.landed_by, "
		"rolled_back_at = NULL, dropped_at = NULL",
		PARAMS(v->policy->workflow, release_number(v->mem, v->version),
			arena_cstr(v->mem, v->bytes), v->sha256, arena_cstr(v->mem, v->m.producer),
			release_number(v->mem, v->m.rows), buf_cstr(&text), person),
		"registering the release", v->mem, &r, e);
	buf_free(&text);
	return rc;
}

static enum err load_and_flip(
	struct verification *v, struct land_result *out, const char *person, struct error *e)
{
	const char *workflow = v->policy->workflow;

	TRY(failpoint_hit(v->env, "land.load", e));
	TRY(release_db_load(v->pg, workflow, v->version, v->m.rows, v->mem, e));
	TRY(register_release(v, &out->checks, person, e));
	TRY(failpoint_hit(v->env, "land.flip", e));
	TRY(release_db_flip(v->pg, workflow, v->version, v->mem, e));
	TRY(gate_follow(v->pg, v->policy, v->env, v->version, person, v->mem, &out->gate, e));
	TRY(release_db_drop_old(v->pg, workflow, v->mem, e));
	return release_db_audit(v->pg, workflow, "landed", v->version, person, v->sha256, e);
}

static enum err land_locked(
	struct verification *v, struct land_result *out, const char *person, struct error *e)
{
	struct landed live;

	TRY(release_db_landed(v->pg, v->policy->workflow, 0, v->mem, &live, e));
	if (v->have & HAVE_SIGNED && live.exists && live.version == v->version &&
		str_eqc(live.manifest_sha256, v->sha256))
		return answer_live(v, &live, out, e);
	TRY(verification_run(v, release_database_checks, &out->checks, e));
	TRY(checks_result(&out->checks, "verifying the release", e));
	return load_and_flip(v, out, person, e);
}

/* The refusal stays the error, unless even that cannot be written down. */
static enum err audit_refusal(struct verification *v, const char *person, struct error *e)
{
	struct error failed = {0};

	if (release_db_audit(v->pg, v->policy->workflow, "land_refused", v->version, person,
		    e->text, &failed) == OK)
		return e->kind;
	*e = failed;
	return error_wrap(e, "recording that the release was refused");
}

static const char *stored_gate(
	struct pg *c, const char *workflow, struct arena *mem, struct error *e)
{
	PGresult *r;

	if (pg_query(c, "SELECT state FROM sluice.gates WHERE workflow = $1", PARAMS(workflow),
		    "reading the gate", mem, &r, e) != OK)
		return NULL;
	struct str state = PQntuples(r) > 0 ? pg_cell_str(r, 0, 0) : STR_NONE;
	return str_eqc(state, "open")         ? "open"
		: str_eqc(state, "requested") ? "requested"
					      : "closed";
}

static enum err land(
	struct verification *v, struct land_result *out, const char *person, struct error *e)
{
	const char *workflow = v->policy->workflow;

	TRY(verification_run(v, release_offline_checks, &out->checks, e));
	TRY(release_db_begin(v->pg, workflow, e));
	enum err rc = release_db_end(v->pg, land_locked(v, out, person, e), e);
	tell(out, v);
	if (rc == ERR_CHECK)
		rc = audit_refusal(v, person, e);
	if (rc != OK)
		return rc;
	out->gate = stored_gate(v->pg, workflow, v->mem, e);
	return out->gate != NULL ? OK : e->kind;
}

enum err handback_land(struct pg *c, struct store *s, const struct land_options *o,
	const struct env *env, struct arena *mem, struct land_result *out, struct error *e)
{
	struct verification v;
	const char *person;

	*out = (struct land_result){.gate = "closed"};
	checks_init(&out->checks, mem);
	TRY(release_check_workflow(o->policy.workflow, e));
	TRY(release_person(o->person, mem, &person, e));
	TRY(handback_ensure_schema(c, e));
	start(&v, c, s, o, env, true, mem);
	enum err rc = land(&v, out, person, e);
	verification_free(&v);
	return rc == OK ? OK : error_wrap(e, "landing %s", o->policy.workflow);
}

static enum err verify_database(struct verification *v, struct land_result *out, struct error *e)
{
	if (v->pg == NULL) {
		verification_not_run(release_database_checks,
			"the application's database is unreachable", &out->checks);
		return OK;
	}
	TRY(release_db_begin(v->pg, v->policy->workflow, e));
	enum err rc = verification_run(v, release_database_checks, &out->checks, e);
	return release_db_end(v->pg, rc, e);
}

static enum err verify(
	struct verification *v, bool offline, struct land_result *out, struct error *e)
{
	TRY(verification_run(v, release_offline_checks, &out->checks, e));
	if (!offline)
		TRY(verify_database(v, out, e));
	tell(out, v);
	return checks_result(&out->checks, "verifying the release", e);
}

enum err handback_verify(struct pg *c, struct store *s, const struct land_options *o,
	const struct env *env, struct arena *mem, struct land_result *out, struct error *e)
{
	struct verification v;

	*out = (struct land_result){.gate = "closed"};
	checks_init(&out->checks, mem);
	TRY(release_check_workflow(o->policy.workflow, e));
	if (c != NULL && !o->offline)
		TRY(handback_ensure_schema(c, e));
	start(&v, c, s, o, env, false, mem);
	enum err rc = verify(&v, o->offline, out, e);
	verification_free(&v);
	return rc;
}
