/*
 * The local registry: DIR/registry.db says which versions there are, DIR/artifacts/SHA256.ubj
 * holds what they are. The artifact is durable before its row is committed, so a crash leaves at
 * most an artifact that no row names, which is harmless: a later add of the same bytes finds it.
 * Files are made and removed under SQLite's write lock, so that no process removes what another
 * is about to name.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "enc.h"
#include "failpoint.h"
#include "file.h"
#include "local_db.h"
#include "mem.h"
#include "models_drivers.h"

struct local {
	struct models base;
	const struct env *env;
	struct arena mem; /* dir */
	const char *dir;
	pthread_mutex_t lock; /* one call at a time uses the connection */
	sqlite3 *db;
};

static struct local *local_of(struct models *m)
{
	return (struct local *)m;
}

static const char *artifact_path(const struct local *l, struct str sha256, struct arena *mem)
{
	return arena_fmt(mem, "%s/artifacts/%.*s.ubj", l->dir, STR_ARG(sha256)).p;
}

/* Under the write lock. A file that is there already is kept when its bytes are the right ones. */
static enum err put_artifact(const struct local *l, const char *path, struct str artifact,
	const char *sha256, struct error *e)
{
	char found[ENC_SHA256_TEXT];

	if (!file_exists(path))
		return file_write_new(path, artifact, e);
	TRY(enc_sha256_file(path, found, e));
	if (str_eqc(str_of(found), sha256))
		return OK;
	log_warn(l->env != NULL ? l->env->log : NULL, "models", "replacing a damaged artifact",
		F_CSTR("path", path));
	return file_write_atomic(path, artifact, e);
}

static enum err add_in_transaction(struct local *l, struct str artifact, const char *path,
	struct model_version *v, struct error *e)
{
	int64_t others;

	TRY(put_artifact(l, path, artifact, v->sha256.p, e));
	if (l->env != NULL)
		TRY(failpoint_hit(l->env, "models.add.artifact", e));
	TRY(local_db_count(l->db, v->model, &others, e));
	TRY(local_db_next_version(l->db, v->model, &v->version, e));
	TRY(local_db_insert(l->db, v, e));
	if (others == 0)
		TRY(local_db_set_alias(l->db, v->model, STR("default"), v->version, e));
	return OK;
}

static enum err local_add(struct models *m, struct str model, struct str artifact,
	struct str metadata, int64_t *version, struct error *e)
{
	struct local *l = local_of(m);
	struct arena mem = {0};
	char sha256[ENC_SHA256_TEXT];
	struct clock *clock = l->env != NULL ? l->env->clock : clock_system();
	struct model_version v = {
		.model = model, .metadata = metadata, .created_us = clock_wall(clock)};
	enum err rc;

	enc_sha256(artifact, sha256);
	v.sha256 = str_of(sha256);
	pthread_mutex_lock(&l->lock);
	rc = local_db_begin(l->db, e);
	if (rc == OK)
		rc = local_db_end(l->db,
			add_in_transaction(l, artifact, artifact_path(l, v.sha256, &mem), &v, e),
			e);
	pthread_mutex_unlock(&l->lock);
	arena_free(&mem);
	if (rc != OK)
		return error_wrap(e, "registering model \"%.*s\"", STR_ARG(model));
	*version = v.version;
	return OK;
}

/* "1 (default), 2 (challenger), 3": what there is, for an error about what there is not. */
static void describe(const struct model_version *v, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n && out->n < 300; i++) {
		buf_putf(out, "%s%lld", i > 0 ? ", " : "", (long long)v[i].version);
		if (v[i].aliases.n > 0)
			buf_putf(out, " (%.*s)", STR_ARG(v[i].aliases));
	}
}

static enum err not_found(
	struct local *l, struct str model, struct str which, struct arena *mem, struct error *e)
{
	struct model_version *v;
	struct buf have;
	size_t n;

	TRY(local_db_select(l->db, model, 0, mem, &v, &n, e));
	if (n == 0)
		return FAIL(e, ERR_NOT_FOUND,
			"looking for model \"%.*s\" in %s: there is none; `sluice model list` "
			"shows what there is, `sluice train` makes one",
			STR_ARG(model), l->dir);
	buf_init(&have, 4096);
	describe(v, n, &have);
	FAIL(e, ERR_NOT_FOUND,
		"looking for version \"%.*s\" of model \"%.*s\": there is none; there are %s",
		STR_ARG(which), STR_ARG(model), buf_cstr(&have));
	buf_free(&have);
	return ERR_NOT_FOUND;
}

/* Under the lock. `which` is a number or an alias. */
static enum err find(struct local *l, struct str model, struct str which, struct arena *mem,
	struct model_version *out, struct error *e)
{
	struct model_version *found = NULL;
	int64_t version = 0;
	size_t n = 0;

	if (!str_to_i64(which, &version))
		TRY(local_db_resolve(l->db, model, which, &version, e));
	if (version > 0)
		TRY(local_db_select(l->db, model, version, mem, &found, &n, e));
	if (n == 0)
		return not_found(l, model, which, mem, e);
	assert(n == 1);
	*out = found[0];
	return OK;
}

static enum err find_number(struct local *l, struct str model, int64_t version, struct arena *mem,
	struct model_version *out, struct error *e)
{
	return find(l, model, arena_fmt(mem, "%lld", (long long)version), mem, out, e);
}

static enum err local_get(struct models *m, struct str model, struct str which, struct arena *mem,
	struct model_version *out, struct error *e)
{
	struct local *l = local_of(m);
	enum err rc;

	pthread_mutex_lock(&l->lock);
	rc = find(l, model, which, mem, out, e);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static enum err read_checked(
	const char *path, const struct model_version *v, struct buf *out, struct error *e)
{
	char found[ENC_SHA256_TEXT];
	size_t before = out->n;

	TRY(file_read(path, out, e));
	enc_sha256(str_from(buf_str(out), before), found);
	if (str_eqc(v->sha256, found))
		return OK;
	out->n = before;
	return FAIL(e, ERR_INPUT,
		"reading version %lld of model \"%.*s\": %s has SHA-256 %s, registered was %.*s; "
		"the file is damaged: restore it from a copy, or train again",
		(long long)v->version, STR_ARG(v->model), path, found, STR_ARG(v->sha256));
}

static enum err local_artifact(
	struct models *m, struct str model, int64_t version, struct buf *out, struct error *e)
{
	struct local *l = local_of(m);
	struct arena mem = {0};
	struct model_version v = {0};
	enum err rc;

	pthread_mutex_lock(&l->lock);
	rc = find_number(l, model, version, &mem, &v, e);
	if (rc == OK)
		rc = read_checked(artifact_path(l, v.sha256, &mem), &v, out, e);
	pthread_mutex_unlock(&l->lock);
	arena_free(&mem);
	return rc;
}

/* The answer is taken whole first, so that fn may call the registry. */
static enum err local_list(
	struct models *m, struct str model, model_version_fn *fn, void *arg, struct error *e)
{
	struct local *l = local_of(m);
	struct arena mem = {0};
	struct model_version *v = NULL;
	size_t n = 0;
	enum err rc;

	pthread_mutex_lock(&l->lock);
	rc = local_db_select(l->db, model, 0, &mem, &v, &n, e);
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; rc == OK && i < n; i++)
		rc = fn(arg, &v[i], e);
	arena_free(&mem);
	return rc;
}

static enum err local_alias(
	struct models *m, struct str model, struct str alias, int64_t version, struct error *e)
{
	struct local *l = local_of(m);
	struct arena mem = {0};
	struct model_version v = {0};
	enum err rc;

	pthread_mutex_lock(&l->lock);
	rc = local_db_begin(l->db, e);
	if (rc == OK) {
		rc = find_number(l, model, version, &mem, &v, e);
		if (rc == OK)
			rc = local_db_set_alias(l->db, model, alias, version, e);
		rc = local_db_end(l->db, rc, e);
	}
	pthread_mutex_unlock(&l->lock);
	arena_free(&mem);
	return rc;
}

static enum err local_unalias(struct models *m, struct str model, struct str alias, struct error *e)
{
	struct local *l = local_of(m);
	bool was_there = false;
	enum err rc;

	pthread_mutex_lock(&l->lock);
	rc = local_db_begin(l->db, e);
	if (rc == OK)
		rc = local_db_end(
			l->db, local_db_drop_alias(l->db, model, alias, &was_there, e), e);
	pthread_mutex_unlock(&l->lock);
	if (rc == OK && !was_there)
		return FAIL(e, ERR_NOT_FOUND,
			"removing the alias \"%.*s\" of model \"%.*s\": there is none; `sluice "
			"model list` shows the aliases",
			STR_ARG(alias), STR_ARG(model));
	return rc;
}

static bool is_default(const struct model_version *v)
{
	struct str rest = v->aliases, alias;

	while (str_next(&rest, ',', &alias))
		if (str_eqc(alias, "default"))
			return true;
	return false;
}

static enum err remove_row(struct local *l, struct str model, int64_t version, struct arena *mem,
	struct model_version *v, struct error *e)
{
	int64_t versions;

	TRY(find_number(l, model, version, mem, v, e));
	TRY(local_db_count(l->db, model, &versions, e));
	if (versions > 1 && is_default(v))
		return FAIL(e, ERR_CONFLICT,
			"removing version %lld of model \"%.*s\": it is the default; point "
			"\"default\" at another version first (sluice model alias)",
			(long long)version, STR_ARG(model));
	return local_db_delete(l->db, model, version, e);
}

/* In a transaction of its own, after the row is gone for good: a crash between the two leaves a
 * file that nobody names. */
static enum err sweep_artifact(
	struct local *l, struct str sha256, struct arena *mem, struct error *e)
{
	const char *path = artifact_path(l, sha256, mem);
	int64_t uses = 0;
	enum err rc;

	TRY(local_db_begin(l->db, e));
	rc = local_db_uses(l->db, sha256, &uses, e);
	if (rc == OK && uses == 0 && unlink(path) != 0 && errno != ENOENT)
		rc = FAIL_ERRNO(e, ERR_FAILED, "removing the artifact %s", path);
	return local_db_end(l->db, rc, e);
}

static enum err local_remove(struct models *m, struct str model, int64_t version, struct error *e)
{
	struct local *l = local_of(m);
	struct arena mem = {0};
	struct model_version v = {0};
	enum err rc;

	pthread_mutex_lock(&l->lock);
	rc = local_db_begin(l->db, e);
	if (rc == OK)
		rc = local_db_end(l->db, remove_row(l, model, version, &mem, &v, e), e);
	if (rc == OK)
		rc = sweep_artifact(l, v.sha256, &mem, e);
	pthread_mutex_unlock(&l->lock);
	arena_free(&mem);
	return rc;
}

static void local_close(struct models *m)
{
	struct local *l = local_of(m);

	sqlite3_close(l->db);
	pthread_mutex_destroy(&l->lock);
	arena_free(&l->mem);
	mem_free(l);
}

static const struct models_ops local_ops = {
	.name = "local",
	.add = local_add,
	.get = local_get,
	.artifact = local_artifact,
	.list = local_list,
	.alias = local_alias,
	.unalias = local_unalias,
	.remove = local_remove,
	.close = local_close,
};

enum err models_local_open(
	struct models **out, const char *dir, const struct env *env, struct error *e)
{
	struct local *l = mem_zalloc(sizeof *l);
	enum err rc;

	l->base.ops = &local_ops;
	l->env = env;
	l->dir = arena_cstr(&l->mem, str_of(dir));
	pthread_mutex_init(&l->lock, NULL);
	rc = file_mkdirs(arena_fmt(&l->mem, "%s/artifacts", dir).p, e);
	if (rc == OK)
		rc = local_db_open(arena_fmt(&l->mem, "%s/registry.db", dir).p, &l->db, e);
	if (rc != OK) {
		local_close(&l->base);
		return error_wrap(e, "opening the model registry local://%s", dir);
	}
	*out = &l->base;
	return OK;
}
