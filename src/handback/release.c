/* Releases as a list, and the way back to an earlier one. */
#include <inttypes.h>
#include <stdlib.h>

#include "mem.h"
#include "release_gate.h"
#include "release_manifest.h"
#include "release_db.h"
#include "release_store.h"

#define PARAMS(...)                                                                                \
	(int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),                  \
		(const char *const[])                                                              \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

struct listing {
	struct arena *mem;
	struct release_list *out;
	size_t cap;
	struct str prefix; /* "releases/W/manifests/" */
};

static enum err note_version(void *arg, struct str key, size_t bytes, struct error *e)
{
	struct listing *l = arg;
	struct str name = str_from(key, l->prefix.n);
	int64_t version = 0;
	(void)bytes;
	(void)e;

	if (!str_ends(name, STR(".json")) || !str_to_i64(str_make(name.p, name.n - 5), &version) ||
		version < 1)
		return OK; /* not ours */
	if (l->out->n == l->cap) {
		size_t cap = l->cap > 0 ? l->cap * 2 : 64;
		struct release_entry *wider = arena_array(l->mem, cap, sizeof *wider);
		for (size_t i = 0; i < l->out->n; i++)
			wider[i] = l->out->items[i];
		l->out->items = wider;
		l->cap = cap;
	}
	l->out->items[l->out->n++] = (struct release_entry){.version = version};
	return OK;
}

static enum err describe(struct store *s, const char *workflow, struct arena *mem,
	struct release_entry *r, struct error *e)
{
	struct str bytes;
	struct manifest m;
	char digest[ENC_SHA256_TEXT];

	enum err rc = release_get(
		s, release_manifest_key(mem, workflow, r->version), MANIFEST_MAX, mem, &bytes, e);
	if (rc == OK) {
		enc_sha256(bytes, digest);
		r->manifest_sha256 = arena_str(mem, str_of(digest));
		rc = manifest_read(bytes, mem, &m, e);
	}
	if (rc == ERR_UNAVAILABLE || rc == ERR_INTERRUPTED)
		return rc;
	if (rc != OK) { /* one that is damaged does not hide the others */
		r->problem = arena_str(mem, str_of(e->text));
		error_clear(e);
		return OK;
	}
	r->created_at = m.created_at;
	r->producer = m.producer;
	r->model = m.model;
	r->model_version = m.model_version;
	r->rows = m.rows;
	return OK;
}

static enum err add_landed(struct pg *c, const char *workflow, struct arena *mem,
	struct release_entry *r, struct error *e)
{
	struct landed l, live;

	TRY(release_db_landed(c, workflow, r->version, mem, &l, e));
	TRY(release_db_landed(c, workflow, 0, mem, &live, e));
	r->landed = l.exists;
	r->kept = l.exists && l.kept;
	r->rolled_back = l.exists && l.rolled_back;
	r->live = live.exists && live.version == r->version;
	return OK;
}

static int by_version(const void *a, const void *b)
{
	int64_t x = ((const struct release_entry *)a)->version;
	int64_t y = ((const struct release_entry *)b)->version;

	return (x > y) - (x < y);
}

enum err handback_list(struct pg *c, struct store *s, const char *workflow, struct arena *mem,
	struct release_list *out, struct error *e)
{
	struct release_head head;

	*out = (struct release_list){.n = 0};
	TRY(release_check_workflow(workflow, e));
	struct listing l = {mem, out, 0, arena_fmt(mem, "releases/%s/manifests/", workflow)};
	TRY(store_list(s, l.prefix, note_version, &l, e));
	if (out->n > 1)
		qsort(out->items, out->n, sizeof *out->items, by_version);
	if (c != NULL)
		TRY(handback_ensure_schema(c, e));
	for (size_t i = 0; i < out->n; i++) {
		TRY(describe(s, workflow, mem, &out->items[i], e));
		if (c != NULL)
			TRY(add_landed(c, workflow, mem, &out->items[i], e));
	}
	/* Last: it may be damaged, and the list is what is needed to mend it. */
	TRY(release_head_read(s, workflow, mem, &head, e));
	for (size_t i = 0; i < out->n; i++)
		out->items[i].head = head.exists && head.version == out->items[i].version;
	return OK;
}

static enum err find_previous(struct pg *c, const char *workflow, int64_t live, struct arena *mem,
	int64_t *to, struct error *e)
{
	PGresult *r;

	TRY(pg_query(c,
		"SELECT coalesce(max(version), 0) FROM sluice.releases WHERE workflow = $1 AND "
		"version < $2::bigint AND dropped_at IS NULL AND rolled_back_at IS NULL",
		PARAMS(workflow, release_number(mem, live)),
		"finding the version before the live one", mem, &r, e));
	*to = pg_cell_i64(r, 0, 0);
	if (*to == 0)
		return FAIL(e, ERR_CHECK,
			"version %" PRId64
			" is live and no earlier one is kept; close the gate with "
			"`sluice gate close %s` instead",
			live, workflow);
	return OK;
}

static enum err scores_stand(struct pg *c, const char *workflow, const struct landed *target,
	struct arena *mem, struct error *e)
{
	PGresult *r;

	TRY(pg_query(c,
		"SELECT count(*) FROM sluice.scores WHERE workflow = $1 AND version = $2::bigint",
		PARAMS(workflow, release_number(mem, target->version)),
		"counting the scores of a version", mem, &r, e));
	if (!target->kept || pg_cell_i64(r, 0, 0) != target->rows)
		return FAIL(e, ERR_CHECK,
			"the scores of version %" PRId64 " are not kept any more (%" PRId64
			" of %" PRId64 " rows stand); the last %d versions are kept, see "
			"`sluice release list %s`",
			target->version, pg_cell_i64(r, 0, 0), target->rows, RELEASES_KEPT,
			workflow);
	return OK;
}

/* Away from a version: landing must not bring it back by itself. Back to one: it may be live. */
static enum err mark(struct pg *c, const char *workflow, int64_t from, int64_t to,
	struct arena *mem, struct error *e)
{
	PGresult *r;

	return pg_query(c,
		"UPDATE sluice.releases SET rolled_back_at = CASE WHEN version = $3::bigint THEN "
		"NULL "
		"ELSE now() END WHERE workflow = $1 AND (version = $3::bigint OR "
		"(version > $3::bigint AND version = $2::bigint))",
		PARAMS(workflow, release_number(mem, from), release_number(mem, to)),
		"marking what was rolled back", mem, &r, e);
}

static enum err move_pointer(struct pg *c, const struct rollback_options *o, const char *person,
	const struct env *env, struct arena *mem, struct rollback_result *out, struct error *e)
{
	const char *workflow = o->policy.workflow;
	struct landed live, target;
	int64_t to = o->to;

	TRY(release_db_landed(c, workflow, 0, mem, &live, e));
	if (!live.exists)
		return FAIL(e, ERR_CHECK, "no version is live; run `sluice land %s`", workflow);
	if (to == 0)
		TRY(find_previous(c, workflow, live.version, mem, &to, e));
	if (to == live.version)
		return FAIL(e, ERR_CHECK, "version %" PRId64 " is live already", to);
	TRY(release_db_landed(c, workflow, to, mem, &target, e));
	if (!target.exists)
		return FAIL(e, ERR_CHECK,
			"version %" PRId64 " was never landed; see `sluice release list %s`", to,
			workflow);
	TRY(scores_stand(c, workflow, &target, mem, e));
	TRY(release_db_flip(c, workflow, to, mem, e));
	TRY(mark(c, workflow, live.version, to, mem, e));
	TRY(gate_follow(c, &o->policy, env, to, person, mem, &out->gate, e));
	out->from = live.version;
	out->version = to;
	out->rows = target.rows;
	return release_db_audit(c, workflow, "rolled_back", to, person,
		arena_fmt(mem, "from version %" PRId64, live.version).p, e);
}

enum err handback_rollback(struct pg *c, const struct rollback_options *o, const struct env *env,
	struct rollback_result *out, struct error *e)
{
	struct arena mem = {0};
	const char *person;

	*out = (struct rollback_result){.gate = "closed"};
	TRY(release_check_workflow(o->policy.workflow, e));
	TRY(handback_ensure_schema(c, e));
	enum err rc = release_person(o->person, &mem, &person, e);
	if (rc == OK)
		rc = release_db_begin(c, o->policy.workflow, e);
	if (rc == OK)
		rc = release_db_end(c, move_pointer(c, o, person, env, &mem, out, e), e);
	arena_free(&mem);
	return rc == OK ? OK : error_wrap(e, "rolling back %s", o->policy.workflow);
}
