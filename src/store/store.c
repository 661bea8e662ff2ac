#include "store.h"

#include <assert.h>
#include <string.h>

#include "store_drivers.h"

typedef enum err store_open_fn(
	struct store **out, const char *rest, const struct env *env, struct error *e);

/* The one list of drivers; without `open` a scheme is known but not in this version. */
static const struct {
	const char *prefix;
	store_open_fn *open;
} drivers[] = {
	{"file://", store_dir_open},
	{"s3://", NULL},
	{"gs://", NULL},
};

enum err store_open(struct store **out, const char *url, const struct env *env, struct error *e)
{
	struct str u = str_of(url);

	*out = NULL;
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
		struct str prefix = str_of(drivers[i].prefix);
		if (!str_starts(u, prefix))
			continue;
		if (u.n == prefix.n)
			return FAIL(e, ERR_USAGE,
				"opening the object store: \"%s\" names no place; write a "
				"directory after it, such as file:///var/lib/sluice/store",
				url);
		if (drivers[i].open == NULL)
			return FAIL(e, ERR_USAGE,
				"opening the object store at \"%s\": S3 and GCS are not in this "
				"version; set [store] url to a directory, such as "
				"file:///var/lib/sluice/store",
				url);
		return drivers[i].open(out, url + prefix.n, env, e);
	}
	return FAIL(e, ERR_USAGE,
		"opening the object store: \"%.*s\" is no store URL; set [store] url to "
		"file:///dir (s3:// and gs:// come in a later version)",
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
