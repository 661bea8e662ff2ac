#include "model_file.h"

#include <stdio.h>
#include <string.h>

#include "booster.h"
#include "version.h"

static const char *const kinds[] = {[FEATURE_NUMBER] = "number", [FEATURE_TEXT] = "text"};

void build_cut_json(struct json_out *j, const char *key, const struct feature_build *b)
{
	char snapshot[LSN_TEXT + 16];

	snprintf(snapshot, sizeof snapshot, "committed<=%s", b->lsn);
	jo_object(j, key);
	jo_cstr(j, "lsn", b->lsn);
	jo_cstr(j, "snapshot", snapshot);
	jo_end_object(j);
}

static void features_json(struct json_out *j, const struct features *features)
{
	jo_array(j, "features");
	for (size_t i = 0; i < features->n; i++) {
		const struct feature *f = &features->items[i];
		jo_object(j, NULL);
		jo_str(j, "name", f->name);
		jo_cstr(j, "kind", kinds[f->kind]);
		if (f->kind == FEATURE_TEXT) {
			jo_array(j, "values");
			for (size_t k = 0; k < f->nvalues; k++)
				jo_str(j, NULL, f->values[k]);
			jo_end_array(j);
		}
		jo_end_object(j);
	}
	jo_end_array(j);
}

static void params_json(struct json_out *j, const struct model_facts *m)
{
	jo_object(j, "params");
	jo_cstr(j, "objective", "binary:logistic");
	jo_cstr(j, "tree_method", "hist");
	jo_i64(j, "trees", m->result->rounds);
	jo_i64(j, "trees_allowed", m->options->trees);
	jo_i64(j, "depth", m->options->depth);
	jo_cstr(j, "learning_rate", m->options->learning_rate);
	jo_i64(j, "seed", m->options->seed);
	jo_i64(j, "threads", m->options->threads);
	jo_end_object(j);
}

static void leak_proof_json(struct json_out *j, const struct leak_report *r)
{
	char at[CLOCK_TEXT];

	jo_object(j, "leak_proof");
	jo_bool(j, "ok", r->ok);
	jo_u64(j, "cuts", r->cuts);
	jo_i64(j, "rows", r->rows);
	jo_array(j, "cut_times");
	for (size_t i = 0; i < r->cuts; i++)
		jo_cstr(j, NULL, clock_format(r->cut_us[i], at, sizeof at));
	jo_end_array(j);
	jo_array(j, "assumed_columns");
	for (size_t i = 0; i < r->nassumed; i++)
		jo_str(j, NULL, r->assumed[i]);
	jo_end_array(j);
	jo_end_object(j);
}

static void evaluation_member(struct json_out *j, const struct model_facts *m)
{
	jo_object(j, "evaluation");
	jo_cstr(j, "split", "time");
	evaluation_json(j, m->evaluation);
	if (m->set->duplicate.n > 0) {
		jo_u64(j, "rows_deduplicated", m->rows_deduplicated);
		jo_f64(j, "auc_deduplicated", m->result->auc_deduplicated);
	}
	jo_raw(j, "slices", m->slices);
	jo_end_object(j);
}

void model_file_write(const struct model_facts *m, struct buf *out)
{
	struct json_out j;
	char library[40], at[CLOCK_TEXT];

	jo_init(&j, out);
	jo_object(&j, NULL);
	jo_i64(&j, "format", MODEL_FORMAT);
	jo_str(&j, "feature_set", m->set->name);
	jo_cstr(&j, "query_sha256", m->set->sha256);
	jo_str(&j, "entity", m->set->entity);
	jo_str(&j, "label", m->set->label);
	features_json(&j, m->features);
	jo_cstr(&j, "null_policy", "missing; text that is not in the dictionary too");
	params_json(&j, m);
	jo_cstr(&j, "library", booster_library(library, sizeof library));
	jo_cstr(&j, "producer", "sluice");
	jo_cstr(&j, "producer_version", sluice_version());
	build_cut_json(&j, "cut", &m->result->built);
	jo_cstr(&j, "training_cut", clock_format(m->result->cut_us, at, sizeof at));
	jo_object(&j, "rows");
	jo_i64(&j, "built", m->result->built.rows);
	jo_i64(&j, "train", m->result->rows_train);
	jo_i64(&j, "test", m->result->rows_test);
	jo_end_object(&j);
	evaluation_member(&j, m);
	leak_proof_json(&j, &m->result->leak);
	jo_end_object(&j);
}

static enum err read_values(const json_t *o, struct arena *mem, struct feature *f, struct error *e)
{
	json_t *values, *v;
	size_t i;

	TRY(json_want_array(o, "values", &values, e));
	f->nvalues = json_array_size(values);
	f->values = arena_array(mem, f->nvalues + 1, sizeof *f->values);
	json_array_foreach (values, i, v) {
		if (!json_is_string(v))
			return FAIL(e, ERR_INPUT, "a dictionary holds something else than text");
		f->values[i] = arena_str(
			mem, str_make(json_string_value(v), json_string_length(v)));
		if (i > 0 && str_cmp(f->values[i - 1], f->values[i]) >= 0)
			return FAIL(e, ERR_INPUT, "the dictionary of \"%.*s\" is not sorted",
				STR_ARG(f->name));
	}
	return OK;
}

static enum err read_feature(const json_t *o, struct arena *mem, struct feature *f, struct error *e)
{
	struct str name, kind;

	TRY(json_want_str(o, "name", &name, e));
	TRY(json_want_str(o, "kind", &kind, e));
	f->name = arena_str(mem, name);
	if (str_eqc(kind, kinds[FEATURE_NUMBER])) {
		f->kind = FEATURE_NUMBER;
		return OK;
	}
	if (!str_eqc(kind, kinds[FEATURE_TEXT]))
		return FAIL(e, ERR_INPUT, "the feature \"%.*s\" is of unknown kind \"%.*s\"",
			STR_ARG(name), STR_ARG(kind));
	f->kind = FEATURE_TEXT;
	return read_values(o, mem, f, e);
}

static enum err read_features(
	const json_t *o, struct arena *mem, struct features *out, struct error *e)
{
	json_t *list, *v;
	size_t i;

	TRY(json_want_array(o, "features", &list, e));
	out->n = json_array_size(list);
	out->items = arena_array(mem, out->n + 1, sizeof *out->items);
	json_array_foreach (list, i, v)
		TRY(read_feature(v, mem, &out->items[i], e));
	return OK;
}

static enum err read_members(const json_t *o, const struct feature_set *f, struct arena *mem,
	struct features *out, struct error *e)
{
	struct str set, sha;
	int64_t format;

	TRY(json_want_i64(o, "format", &format, e));
	if (format != MODEL_FORMAT)
		return FAIL(e, ERR_INPUT, "it has format %lld and this sluice reads %d",
			(long long)format, MODEL_FORMAT);
	TRY(json_want_str(o, "feature_set", &set, e));
	TRY(json_want_str(o, "query_sha256", &sha, e));
	if (!str_eq(set, f->name))
		return FAIL(e, ERR_CONFLICT,
			"it was trained on feature set \"%.*s\", not \"%.*s\"; see features and "
			"model in the workflow's section",
			STR_ARG(set), STR_ARG(f->name));
	if (!str_eqc(sha, f->sha256))
		return FAIL(e, ERR_CONFLICT,
			"feature set \"%.*s\" has changed since it was trained (SHA-256 %.12s, "
			"then %.12s); train again, or score with the old text",
			STR_ARG(set), f->sha256, sha.p);
	return read_features(o, mem, out, e);
}

enum err model_file_read(struct str metadata, const struct feature_set *f, struct arena *mem,
	struct features *out, struct error *e)
{
	json_t *o = NULL;
	enum err rc;

	TRY(json_read(metadata, "model metadata", &o, e));
	rc = read_members(o, f, mem, out, e);
	json_decref(o);
	return rc;
}

enum err model_file_match(
	const struct features *model, const struct features *table, struct error *e)
{
	for (size_t i = 0; i < model->n && i < table->n; i++) {
		const struct feature *m = &model->items[i], *t = &table->items[i];
		if (!str_eq(m->name, t->name) || m->kind != t->kind)
			return FAIL(e, ERR_CONFLICT,
				"feature %zu is %.*s (%s) in the model and %.*s (%s) in the "
				"feature "
				"table; train again",
				i + 1, STR_ARG(m->name), kinds[m->kind], STR_ARG(t->name),
				kinds[t->kind]);
	}
	if (model->n != table->n)
		return FAIL(e, ERR_CONFLICT,
			"the model has %zu features and the feature table %zu; train again",
			model->n, table->n);
	return OK;
}
