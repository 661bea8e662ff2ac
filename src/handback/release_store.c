#include "release_store.h"

#include <inttypes.h>
#include <string.h>

#include "buf.h"
#include "json.h"
#include "release_manifest.h"

#define HEAD_MAX 4096

enum err release_check_workflow(const char *workflow, struct error *e)
{
	struct str s = str_of(workflow);
	bool good = s.n > 0 && s.n <= 64 && s.p[0] >= 'a' && s.p[0] <= 'z';

	for (size_t i = 0; good && i < s.n; i++)
		good = (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
			s.p[i] == '-' || s.p[i] == '_';
	if (!good)
		return FAIL(e, ERR_USAGE,
			"\"%.*s\" is no workflow name: lower-case letters, digits, '-' and '_' are "
			"allowed, a letter first, at most 64",
			STR_ARG(s));
	return OK;
}

struct str release_object_key(struct arena *mem, const char *workflow, struct str sha256)
{
	return arena_fmt(mem, "releases/%s/objects/%.*s.csv.gz", workflow, STR_ARG(sha256));
}

struct str release_manifest_key(struct arena *mem, const char *workflow, int64_t version)
{
	return arena_fmt(mem, "releases/%s/manifests/%06" PRId64 ".json", workflow, version);
}

static struct str head_key(struct arena *mem, const char *workflow)
{
	return arena_fmt(mem, "releases/%s/HEAD", workflow);
}

static struct str head_text(struct arena *mem, int64_t version, struct str manifest_sha256)
{
	return arena_fmt(mem, "{\"manifest_sha256\":\"%.*s\",\"version\":%" PRId64 "}",
		STR_ARG(manifest_sha256), version);
}

static enum err parse_head(
	struct str text, struct arena *mem, struct release_head *out, struct error *e)
{
	json_t *o = NULL;
	struct str sha256;

	TRY(json_read(text, "HEAD", &o, e));
	enum err rc = json_want_i64(o, "version", &out->version, e);
	if (rc == OK)
		rc = json_want_str(o, "manifest_sha256", &sha256, e);
	if (rc == OK)
		out->manifest_sha256 = arena_str(mem, sha256);
	json_decref(o);
	if (rc != OK)
		return rc;
	if (out->version < 1 || out->version > MANIFEST_MAX_VERSION ||
		!str_eq(text, head_text(mem, out->version, out->manifest_sha256)))
		return FAIL(e, ERR_INPUT, "it is not in the form it was written in");
	return OK;
}

enum err release_damaged(enum err rc, struct error *e)
{
	if (rc != ERR_INPUT && rc != ERR_NOT_FOUND)
		return rc;
	if (e != NULL)
		e->kind = ERR_CHECK;
	return ERR_CHECK;
}

/* The text of the error is what is wrong; in front of it, where, and what to do. */
static enum err head_damaged(enum err rc, const char *workflow, struct error *e)
{
	if (rc != ERR_INPUT)
		return rc;
	error_wrap(e,
		"releases/%s/HEAD in the object store is damaged: put it back from a copy, or "
		"write {\"manifest_sha256\":\"...\",\"version\":N} into it, both of the newest "
		"whole release that `sluice release list %s --json` shows",
		workflow, workflow);
	return release_damaged(rc, e);
}

enum err release_head_read(struct store *s, const char *workflow, struct arena *mem,
	struct release_head *out, struct error *e)
{
	struct buf b;

	*out = (struct release_head){.exists = false};
	buf_init(&b, HEAD_MAX);
	enum err rc = store_get(s, head_key(mem, workflow), &b, out->etag, e);
	if (rc == OK) {
		out->exists = true;
		rc = parse_head(buf_str(&b), mem, out, e);
	} else if (rc == ERR_NOT_FOUND) {
		error_clear(e);
		rc = OK;
	}
	buf_free(&b);
	if (rc != OK)
		out->exists = false;
	return head_damaged(rc, workflow, e);
}

enum err release_head_write(struct store *s, const char *workflow, const struct release_head *from,
	int64_t version, struct str manifest_sha256, struct error *e)
{
	struct arena mem = {0};
	enum err rc = store_put(s, head_key(&mem, workflow),
		head_text(&mem, version, manifest_sha256),
		from->exists ? STORE_IF_MATCH : STORE_IF_ABSENT, from->exists ? from->etag : NULL,
		NULL, e);

	arena_free(&mem);
	return rc;
}

enum err release_get(struct store *s, struct str key, size_t max, struct arena *mem,
	struct str *out, struct error *e)
{
	struct buf b;

	buf_init(&b, max);
	enum err rc = store_get(s, key, &b, NULL, e);
	if (rc == OK)
		*out = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return rc;
}
