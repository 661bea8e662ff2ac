#include "release_verify.h"

void verification_free(struct verification *v)
{
	sign_trust_free(v->trust);
	data_rows_free(&v->rows);
}

static const char *first_missing(unsigned missing)
{
	static const struct {
		unsigned bit;
		const char *what;
	} names[] = {
		{HAVE_HEAD, "what is published is not known"},
		{HAVE_MANIFEST, "the manifest cannot be read"},
		{HAVE_KEY, "the signing key is not trusted"},
		{HAVE_SIGNED, "the manifest is not proven to be the publisher's"},
		{HAVE_ROWS, "the data files are not the ones that the manifest names"},
		{HAVE_KEYS, "the keys are not unique"},
		{HAVE_SCORES, "the scores are not all numbers from 0 to 1"},
		{HAVE_STAGED, "the rows are not staged"},
		{HAVE_LIVE, "no version is live whole"},
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (missing & names[i].bit)
			return names[i].what;
	return "an earlier check failed";
}

static bool ends_it(enum err rc)
{
	return rc == ERR_UNAVAILABLE || rc == ERR_INTERRUPTED || rc == ERR_BUG;
}

static enum err run_one(struct verification *v, const struct release_check *c, struct buf *saw,
	struct checks *out, struct error *e)
{
	unsigned missing = c->needs & ~v->have;

	buf_reset(saw);
	if (missing != 0) {
		buf_putf(saw, "could not be checked: %s", first_missing(missing));
		checks_add(out, c->name, false, buf_str(saw));
		return OK;
	}
	enum err rc = c->run(v, saw, e);
	if (ends_it(rc))
		return error_wrap(e, "checking %s", c->name);
	if (rc == OK)
		v->have |= c->gives;
	checks_add(out, c->name, rc == OK, rc == OK ? buf_str(saw) : str_of(e->text));
	if (rc != OK)
		error_clear(e);
	return OK;
}

void verification_not_run(const struct release_check *table, const char *why, struct checks *out)
{
	struct buf detail;

	buf_init(&detail, 4096);
	buf_putf(&detail, "could not be checked: %s", why);
	for (; table->name != NULL; table++)
		checks_add(out, table->name, false, buf_str(&detail));
	buf_free(&detail);
}

enum err verification_run(struct verification *v, const struct release_check *table,
	struct checks *out, struct error *e)
{
	enum err rc = OK;
	struct buf saw;

	buf_init(&saw, 4096);
	for (; rc == OK && table->name != NULL; table++)
		rc = run_one(v, table, &saw, out, e);
	buf_free(&saw);
	return rc;
}
