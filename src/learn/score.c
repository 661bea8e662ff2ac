#include <math.h>
#include <stdio.h>
#include <string.h>

#include "booster.h"
#include "feature_build.h"
#include "matrix.h"
#include "mem.h"
#include "model_file.h"

#define BATCH 65536

struct scoring {
	struct warehouse *w;
	struct models *models;
	const struct feature_set *f;
	const struct score_options *o;
	const struct env *env;
	struct score_result *r;
	struct arena mem;
	struct model_version version;
	struct features features; /* the model's, with its dictionaries */
	struct booster *booster;
	struct matrix m;
};

static enum err check_options(const struct scoring *s, struct error *e)
{
	if (!str_eqc(s->f->entity, s->o->key))
		return FAIL(e, ERR_USAGE,
			"the workflow's key is \"%s\" and the entity of feature set \"%.*s\" is "
			"\"%.*s\"; they must be the same column",
			s->o->key, STR_ARG(s->f->name), STR_ARG(s->f->entity));
	return OK;
}

static enum err open_model(struct scoring *s, struct error *e)
{
	struct buf artifact;
	enum err rc;

	TRY(models_get(
		s->models, str_of(s->o->model), str_of(s->o->which), &s->mem, &s->version, e));
	s->r->model_version = s->version.version;
	if (model_file_read(s->version.metadata, s->f, &s->mem, &s->features, e) != OK)
		return error_wrap(e, "using version %lld of model \"%s\"",
			(long long)s->version.version, s->o->model);
	buf_init(&artifact, BUF_MAX_DEFAULT);
	rc = models_artifact(s->models, str_of(s->o->model), s->version.version, &artifact, e);
	if (rc == OK)
		rc = booster_load(buf_str(&artifact), s->o->threads, &s->booster, e);
	buf_free(&artifact);
	return rc;
}

static enum err load_open_rows(struct scoring *s, struct error *e)
{
	struct features table;
	struct buf where;
	enum err rc;

	TRY(feature_build(s->w, s->f, s->env, &s->r->built, e));
	TRY(features_of(s->w, s->f, &s->mem, &table, e));
	TRY(model_file_match(&s->features, &table, e));
	buf_init(&where, 1 << 12);
	sql_name(&where, s->f->open);
	rc = matrix_load(s->w, s->f, &s->features, buf_str(&where), &s->m, e);
	buf_free(&where);
	return rc;
}

/* Unique among the scorings of all processes: the time, which also puts them in order, and
 * chance. */
static void name_scoring(struct scoring *s)
{
	snprintf(s->r->scoring_id, sizeof s->r->scoring_id, "%016llx-%016llx",
		(unsigned long long)clock_wall(s->env->clock),
		(unsigned long long)rnd_u64(s->env->rnd));
}

static enum err store_batch(
	struct scoring *s, size_t from, size_t n, const float *score, struct error *e)
{
	static const char *const names[] = {"scoring_id", "key", "score"};
	struct str *id = mem_array(n, sizeof *id);
	double *value = mem_array(n, sizeof *value);
	enum err rc;

	for (size_t i = 0; i < n; i++) {
		id[i] = str_of(s->r->scoring_id);
		value[i] = (double)score[i];
	}
	struct vec cols[] = {
		{.type = {.kind = T_TEXT}, .data = id},
		{.type = {.kind = T_TEXT}, .data = s->m.key + from},
		{.type = {.kind = T_FLOAT8}, .data = value},
	};
	struct chunk rows = {.rows = n, .ncols = 3, .names = names, .cols = cols};
	rc = warehouse_insert(s->w, STR("scores"), STR("predictions"), &rows, e);
	mem_free(id);
	mem_free(value);
	return rc;
}

static enum err score_batches(struct scoring *s, struct error *e)
{
	float *score = mem_array(BATCH, sizeof *score);
	enum err rc = OK;

	for (size_t from = 0; rc == OK && from < s->m.rows; from += BATCH) {
		size_t n = s->m.rows - from < BATCH ? s->m.rows - from : BATCH;
		struct samples rows = {
			.x = s->m.x + from * s->m.cols, .rows = n, .cols = s->m.cols};
		rc = env_check(s->env, e);
		if (rc == OK)
			rc = booster_predict(s->booster, &rows, score, e);
		if (rc == OK)
			rc = store_batch(s, from, n, score, e);
	}
	mem_free(score);
	s->r->rows = (int64_t)s->m.rows;
	return rc;
}

/*
 * The row that makes the scoring count, written last, and only if all its predictions are there:
 * whoever reads looks here first. Predictions without such a row are what a crash left; they are
 * taken away a day later, when no scoring can still be at work on them.
 */
static void put_sweep(struct scoring *s, struct buf *sql)
{
	int64_t day_ago = clock_wall(s->env->clock) - INT64_C(86400000000);

	buf_putf(sql,
		"DELETE FROM scores.predictions WHERE scoring_id < '%016llx' AND scoring_id NOT IN "
		"(SELECT scoring_id FROM ops.scorings);\n",
		(unsigned long long)(day_ago > 0 ? day_ago : 0));
}

static void put_commit(struct scoring *s, const char *now, struct buf *sql)
{
	buf_puts(sql, "INSERT INTO ops.scorings SELECT ");
	sql_text(sql, str_of(s->r->scoring_id));
	buf_puts(sql, ", ");
	sql_text(sql, str_of(s->o->workflow));
	buf_putf(sql, ", TIMESTAMPTZ '%s', ", now);
	sql_text(sql, str_of(s->o->model));
	buf_putf(sql, ", %lld, ", (long long)s->version.version);
	sql_text(sql, s->version.sha256);
	buf_puts(sql, ", ");
	sql_text(sql, s->version.metadata);
	buf_putf(sql, ", %lld, '%s', %llu, ", (long long)s->r->rows, s->r->built.lsn,
		(unsigned long long)s->r->built.at.v);
	sql_text(sql, s->f->entity);
	buf_putf(sql,
		" WHERE (SELECT count(*) FROM scores.predictions WHERE scoring_id = '%s') = "
		"%lld;\n",
		s->r->scoring_id, (long long)s->r->rows);
}

static enum err commit(struct scoring *s, struct error *e)
{
	char now[CLOCK_TEXT];
	struct buf sql;
	int64_t there = 0;
	enum err rc;

	buf_init(&sql, BUF_MAX_DEFAULT);
	put_sweep(s, &sql);
	put_commit(s, clock_format(clock_wall(s->env->clock), now, sizeof now), &sql);
	rc = buf_ok(&sql) ? warehouse_script(s->w, buf_str(&sql), e)
			  : FAIL(e, ERR_BUG, "the scoring's row is larger than 1 GiB");
	buf_reset(&sql);
	buf_putf(&sql, "SELECT count(*) FROM ops.scorings WHERE scoring_id = '%s'",
		s->r->scoring_id);
	if (rc == OK)
		rc = warehouse_i64(s->w, buf_str(&sql), &there, e);
	buf_free(&sql);
	if (rc == OK && there != 1)
		rc = FAIL(e, ERR_CONFLICT,
			"storing scoring %s: its predictions are not all in the warehouse any "
			"more; "
			"score again",
			s->r->scoring_id);
	return rc;
}

static enum err run(struct scoring *s, struct error *e)
{
	TRY(check_options(s, e));
	TRY(open_model(s, e));
	TRY(load_open_rows(s, e));
	name_scoring(s);
	TRY(score_batches(s, e));
	return commit(s, e);
}

enum err learn_score(struct warehouse *w, struct models *m, const struct feature_set *f,
	const struct score_options *o, const struct env *env, struct score_result *out,
	struct error *e)
{
	struct scoring s = {.w = w, .models = m, .f = f, .o = o, .env = env, .r = out};
	enum err rc;

	*out = (struct score_result){0};
	rc = run(&s, e);
	booster_free(s.booster);
	matrix_free(&s.m);
	arena_free(&s.mem);
	if (rc != OK)
		return error_wrap(e, "scoring workflow \"%s\"", o->workflow);
	return OK;
}
