#include "models.h"

#include <assert.h>

#include "model_rules.h"
#include "models_drivers.h"

typedef enum err models_open_fn(
	struct models **out, const char *rest, const struct env *env, struct error *e);

static enum err not_yet(
	struct models **out, const char *rest, const struct env *env, struct error *e)
{
	(void)out;
	(void)env;
	return FAIL(e, ERR_USAGE,
		"opening the model registry at \"%s\": Vertex AI is not in this version; set "
		"[models] url to a directory, such as local:///var/lib/sluice/models",
		rest);
}

/* The one list of drivers. */
static const struct {
	const char *prefix;
	models_open_fn *open;
} drivers[] = {
	{"local://", models_local_open},
	{"vertex://", not_yet},
};

enum err models_open(struct models **out, const char *url, const struct env *env, struct error *e)
{
	struct str u = str_of(url);

	*out = NULL;
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
		struct str prefix = str_of(drivers[i].prefix);
		if (!str_starts(u, prefix))
			continue;
		if (u.n == prefix.n)
			return FAIL(e, ERR_USAGE,
				"opening the model registry: \"%s\" names no place; write a "
				"directory after it, such as local:///var/lib/sluice/models",
				url);
		return drivers[i].open(out, url + prefix.n, env, e);
	}
	return FAIL(e, ERR_USAGE,
		"opening the model registry: \"%.*s\" is no registry URL; set [models] url to "
		"local:///dir (vertex:// comes in a later version)",
		STR_ARG(u));
}

void models_close(struct models *m)
{
	if (m != NULL)
		m->ops->close(m);
}

enum err models_add(struct models *m, struct str model, struct str artifact, struct str metadata,
	int64_t *version, struct error *e)
{
	assert(m->ops->add != NULL);
	TRY(model_name_check(model, e));
	if (artifact.n == 0)
		return FAIL(e, ERR_INPUT, "registering model \"%.*s\": its artifact is empty",
			STR_ARG(model));
	TRY(model_metadata_check(metadata, e));
	return m->ops->add(m, model, artifact, metadata, version, e);
}

enum err models_get(struct models *m, struct str model, struct str which, struct arena *mem,
	struct model_version *out, struct error *e)
{
	assert(m->ops->get != NULL);
	TRY(model_name_check(model, e));
	return m->ops->get(m, model, which.n > 0 ? which : STR("default"), mem, out, e);
}

enum err models_artifact(
	struct models *m, struct str model, int64_t version, struct buf *out, struct error *e)
{
	assert(m->ops->artifact != NULL);
	TRY(model_name_check(model, e));
	return m->ops->artifact(m, model, version, out, e);
}

enum err models_list(
	struct models *m, struct str model, model_version_fn *fn, void *arg, struct error *e)
{
	assert(m->ops->list != NULL && fn != NULL);
	if (model.n > 0)
		TRY(model_name_check(model, e));
	return m->ops->list(m, model, fn, arg, e);
}

enum err models_alias(
	struct models *m, struct str model, struct str alias, int64_t version, struct error *e)
{
	assert(m->ops->alias != NULL);
	TRY(model_name_check(model, e));
	TRY(model_alias_check(alias, e));
	return m->ops->alias(m, model, alias, version, e);
}

enum err models_unalias(struct models *m, struct str model, struct str alias, struct error *e)
{
	assert(m->ops->unalias != NULL);
	TRY(model_name_check(model, e));
	TRY(model_alias_check(alias, e));
	if (str_eqc(alias, "default"))
		return FAIL(e, ERR_USAGE,
			"removing the alias \"default\" of model \"%.*s\": it can only be moved; "
			"point it at another version",
			STR_ARG(model));
	return m->ops->unalias(m, model, alias, e);
}

enum err models_remove(struct models *m, struct str model, int64_t version, struct error *e)
{
	assert(m->ops->remove != NULL);
	TRY(model_name_check(model, e));
	return m->ops->remove(m, model, version, e);
}
