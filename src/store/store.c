#include "store.h"

#include <assert.h>
#include <string.h>

#include "store_drivers.h"

/* `rest` is what follows the scheme in o->url. */
typedef enum err store_open_fn(struct store **out, const struct store_options *o, const char *rest,
	const struct env *env, struct error *e);

/* The one list of drivers. */
static const struct {
	const char *prefix;
	store_open_fn *open;
} drivers[] = {
	{"file://", store_dir_open},
	{"s3://", store_s3_open},
	{"gs://", store_gcs_open},
};

enum err store_open(struct store **out, const char *url, const struct env *env, struct error *e)
{
	return store_open_with(out, &(struct store_options){.url = url}, env, e);
}

enum err store_open_with(
	struct store **out, const struct store_options *o, const struct env *env, struct error *e)
{
	const char *url = o->url;
	struct str u = str_of(url);

	*out = NULL;
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
		struct str prefix = str_of(drivers[i].prefix);
		if (!str_starts(u, prefix))
			continue;
		if (u.n == prefix.n)
			return FAIL(e, ERR_USAGE,
				"opening the object store: \"%s\" names no place; write "
				"file:///dir, s3://bucket/prefix or gs://bucket/prefix",
				url);
		return drivers[i].open(out, o, url + prefix.n, env, e);
	}
	return FAIL(e, ERR_USAGE,
		"opening the object store: \"%.*s\" is no store URL; set [store] url to "
		"file:///dir, s3://bucket/prefix or gs://bucket/prefix",
		STR_ARG(u));
}

void store_close(struct store *s)
{
	if (s != NULL)
		s->ops->close(s);
}

#define KEY_MAX 1024

static bool part_allowed(struct str part)
{
	return part.n > 0 && !str_eqc(part, ".") && !str_eqc(part, "..");
}

bool store_key_allowed(struct str key)
{
	struct str rest = key, part;

	if (key.n == 0 || key.n > KEY_MAX || !str_is_utf8(key) || key.p[key.n - 1] == '/' ||
		memchr(key.p, '\0', key.n) != NULL)
		return false;
	for (bool first = true; str_next(&rest, '/', &part); first = false)
		if (!part_allowed(part) || (first && str_eqc(part, STORE_PRIVATE)))
			return false;
	return true;
}

struct str store_bucket(const char *rest, struct str *prefix)
{
	struct str bucket;

	*prefix = str_of(rest);
	if (!str_cut(prefix, '/', &bucket)) {
		bucket = *prefix;
		*prefix = STR_NONE;
	}
	while (prefix->n > 0 && prefix->p[prefix->n - 1] == '/')
		prefix->n--;
	return bucket;
}

static enum err check_key(struct str key, struct error *e)
{
	struct str rest = key, part;

	if (key.n == 0 || key.n > KEY_MAX)
		return FAIL(e, ERR_INPUT, "using a store key of %zu bytes: 1 to %d are allowed",
			key.n, KEY_MAX);
	if (!str_is_utf8(key) || memchr(key.p, '\0', key.n) != NULL)
		return FAIL(
			e, ERR_INPUT, "using a store key: its %zu bytes are no UTF-8 text", key.n);
	if (key.p[key.n - 1] == '/')
		return FAIL(
			e, ERR_INPUT, "using the store key \"%.*s\": it ends in '/'", STR_ARG(key));
	for (bool first = true; str_next(&rest, '/', &part); first = false)
		if (!part_allowed(part) || (first && str_eqc(part, STORE_PRIVATE)))
			return FAIL(e, ERR_INPUT,
				"using the store key \"%.*s\": the part \"%.*s\" is not allowed; "
				"keys are relative paths without empty parts, \".\" and \"..\"",
				STR_ARG(key), STR_ARG(part));
	return OK;
}

enum err store_put(struct store *s, struct str key, struct str body, enum store_condition cond,
	const char *match, char *etag, struct error *e)
{
	assert((cond == STORE_IF_MATCH) == (match != NULL));
	TRY(check_key(key, e));
	return s->ops->put(s, key, body, cond, match, etag, e);
}

enum err store_get(struct store *s, struct str key, struct buf *body, char *etag, struct error *e)
{
	TRY(check_key(key, e));
	return s->ops->get(s, key, body, etag, e);
}

enum err store_list(
	struct store *s, struct str prefix, store_key_fn *fn, void *arg, struct error *e)
{
	assert(fn != NULL);
	return s->ops->list(s, prefix, fn, arg, e);
}

enum err store_remove(struct store *s, struct str key, struct error *e)
{
	TRY(check_key(key, e));
	return s->ops->remove(s, key, e);
}

enum err store_who(struct store *s, struct buf *text, struct error *e)
{
	return s->ops->who != NULL ? s->ops->who(s, text, e) : OK;
}
