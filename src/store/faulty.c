/*
 * A store that fails one call, before it reaches the store inside.
 */
#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "mem.h"
#include "store.h"

struct faulty {
	struct store base; /* first: a struct store * is a struct faulty * */
	struct store *inner;
	char *op; /* "*" is any */
	unsigned nth;
	atomic_uint calls;
};

static enum err pass(struct store *s, const char *op, struct error *e)
{
	struct faulty *f = (struct faulty *)s;

	if (strcmp(f->op, "*") != 0 && strcmp(f->op, op) != 0)
		return OK;
	if (atomic_fetch_add(&f->calls, 1) + 1 != f->nth)
		return OK;
	return FAIL(e, ERR_UNAVAILABLE, "store %s: made to fail at call %u; try again", op, f->nth);
}

static enum err faulty_put(struct store *s, struct str key, struct str body,
	enum store_condition cond, const char *match, char *etag, struct error *e)
{
	TRY(pass(s, "put", e));
	return store_put(((struct faulty *)s)->inner, key, body, cond, match, etag, e);
}

static enum err faulty_get(
	struct store *s, struct str key, struct buf *body, char *etag, struct error *e)
{
	TRY(pass(s, "get", e));
	return store_get(((struct faulty *)s)->inner, key, body, etag, e);
}

static enum err faulty_list(
	struct store *s, struct str prefix, store_key_fn *fn, void *arg, struct error *e)
{
	TRY(pass(s, "list", e));
	return store_list(((struct faulty *)s)->inner, prefix, fn, arg, e);
}

static enum err faulty_remove(struct store *s, struct str key, struct error *e)
{
	TRY(pass(s, "remove", e));
	return store_remove(((struct faulty *)s)->inner, key, e);
}

static enum err faulty_who(struct store *s, struct buf *text, struct error *e)
{
	TRY(pass(s, "who", e));
	return store_who(((struct faulty *)s)->inner, text, e);
}

static void faulty_close(struct store *s)
{
	struct faulty *f = (struct faulty *)s;

	store_close(f->inner);
	mem_free(f->op);
	mem_free(f);
}

static const struct store_ops faulty_ops = {
	.scheme = "faulty",
	.put = faulty_put,
	.get = faulty_get,
	.list = faulty_list,
	.remove = faulty_remove,
	.who = faulty_who,
	.close = faulty_close,
};

struct store *store_faulty(struct store *inner, const char *op, unsigned nth)
{
	assert(inner != NULL && nth > 0);
	struct faulty *f = mem_zalloc(sizeof *f);

	f->base.ops = &faulty_ops;
	f->inner = inner;
	f->op = mem_strdup(op);
	f->nth = nth;
	atomic_init(&f->calls, 0);
	return &f->base;
}
