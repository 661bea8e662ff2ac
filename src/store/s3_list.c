/* ListObjectsV2, page by page. */
#include <string.h>

#include "s3.h"

struct listing {
	struct s3 *s;
	const char *doing;
	store_key_fn *fn;
	void *arg;
	struct arena *last_mem; /* holds `last` */
	struct str last;        /* the key before this one, with the prefix */
};

/* encoding-type=url is that of forms: a blank is '+'. */
static bool decode(struct str text, struct arena *mem, struct str *out)
{
	char *plain = arena_cstr(mem, text);

	for (size_t i = 0; i < text.n; i++)
		if (plain[i] == '+')
			plain[i] = ' ';
	return http_percent_decode(str_make(plain, text.n), mem, out);
}

static enum err see(struct listing *l, const struct xml *entry, struct arena *mem, struct error *e)
{
	struct str key;
	uint64_t bytes;

	if (!decode(xml_text(entry, "Key"), mem, &key) ||
		!str_to_u64(xml_text(entry, "Size"), &bytes) || bytes > SIZE_MAX)
		return FAIL(e, ERR_INPUT, "%s: an entry has no Key and Size that can be read",
			l->doing);
	if (l->last.p != NULL && str_cmp(l->last, key) >= 0)
		return FAIL(e, ERR_INPUT,
			"%s: the keys do not come in the order of their bytes, as S3 gives them; this "
			"server cannot be used",
			l->doing);
	arena_reset(l->last_mem);
	l->last = arena_str(l->last_mem, key);
	if (!str_starts(key, l->s->prefix))
		return FAIL(e, ERR_INPUT, "%s: a key came that was not asked for", l->doing);
	struct str own = str_from(key, l->s->prefix.n);
	/* Other programs may keep keys here that are none of ours, such as "folder/". */
	return store_key_allowed(own) ? l->fn(l->arg, own, (size_t)bytes, e) : OK;
}

static enum err see_page(
	struct listing *l, struct str text, struct arena *mem, struct str *next, struct error *e)
{
	struct xml *root;

	*next = STR_NONE;
	if (xml_read(text, "S3's list", mem, &root, e) != OK)
		return error_wrap(e, "%s", l->doing);
	for (const struct xml *c = xml_child(root, "Contents"); c != NULL; c = xml_next(c))
		TRY(see(l, c, mem, e));
	if (!str_eqc(xml_text(root, "IsTruncated"), "true"))
		return OK;
	*next = xml_text(root, "NextContinuationToken");
	if (next->n == 0)
		return FAIL(
			e, ERR_INPUT, "%s: there is more, but no NextContinuationToken", l->doing);
	return OK;
}

/* `token` is replaced by that of the next page; empty: this was the last. */
static enum err page(struct listing *l, struct str prefix, struct buf *token, struct error *e)
{
	const struct http_pair query[] = {{STR("list-type"), STR("2")},
		{STR("encoding-type"), STR("url")}, {STR("prefix"), prefix},
		{STR("continuation-token"), buf_str(token)}};
	struct arena mem = {0};
	struct s3_reply r;
	struct str next = STR_NONE;

	s3_reply_init(&r);
	enum err rc = s3_send(l->s,
		&(struct s3_call){.method = "GET",
			.query = query,
			.nquery = token->n > 0 ? 4 : 3,
			.max_response = 64 << 20},
		&r, e);
	if (rc != OK)
		rc = error_wrap(e, "%s", l->doing);
	else if (r.status != 200)
		rc = s3_refused(l->s, &r, l->doing, e);
	else
		rc = see_page(l, buf_str(&r.http.body), &mem, &next, e);
	buf_reset(token);
	buf_put(token, next);
	s3_reply_free(&r);
	arena_free(&mem);
	return rc;
}

enum err s3_list(
	struct store *base, struct str prefix, store_key_fn *fn, void *arg, struct error *e)
{
	struct s3 *s = (struct s3 *)base;
	struct arena mem = {0}, last = {0};
	struct listing l = {.s = s, .fn = fn, .arg = arg, .last_mem = &last};
	struct str whole = s3_key(s, prefix, &mem);
	struct buf token;
	enum err rc;

	l.doing = arena_fmt(&mem, "listing %.*s in %s", STR_ARG(prefix), s->shown).p;
	buf_init(&token, 1 << 16);
	do
		rc = page(&l, whole, &token, e);
	while (rc == OK && token.n > 0);
	buf_free(&token);
	arena_free(&last);
	arena_free(&mem);
	return rc;
}
