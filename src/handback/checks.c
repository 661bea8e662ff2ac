#include "handback.h"

#include "buf.h"

void checks_init(struct checks *c, struct arena *mem)
{
	*c = (struct checks){.mem = mem};
}

void checks_add(struct checks *c, const char *name, bool ok, struct str detail)
{
	if (c->n == c->cap) {
		size_t cap = c->cap > 0 ? c->cap * 2 : 32;
		struct check *wider = arena_array(c->mem, cap, sizeof *wider);
		for (size_t i = 0; i < c->n; i++)
			wider[i] = c->items[i];
		c->items = wider;
		c->cap = cap;
	}
	c->items[c->n++] = (struct check){name, ok, arena_str(c->mem, detail)};
}

bool checks_ok(const struct checks *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->items[i].ok)
			return false;
	return c->n > 0;
}

void checks_print(const struct checks *c, struct json_out *j, const char *key)
{
	jo_array(j, key);
	for (size_t i = 0; i < c->n; i++) {
		jo_object(j, NULL);
		jo_cstr(j, "check", c->items[i].name);
		jo_bool(j, "ok", c->items[i].ok);
		jo_str(j, "detail", c->items[i].detail);
		jo_end_object(j);
	}
	jo_end_array(j);
}

enum err checks_read(struct checks *c, const json_t *array, struct error *e)
{
	size_t i;
	const json_t *item;

	json_array_foreach (array, i, item) {
		struct str name, detail;
		bool ok = false;
		TRY(json_want_str(item, "check", &name, e));
		TRY(json_want_bool(item, "ok", &ok, e));
		TRY(json_want_str(item, "detail", &detail, e));
		checks_add(c, arena_cstr(c->mem, name), ok, detail);
	}
	return OK;
}

enum err checks_result(const struct checks *c, const char *doing, struct error *e)
{
	const struct check *first = NULL;
	size_t failed = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (c->items[i].ok)
			continue;
		if (first == NULL)
			first = &c->items[i];
		failed++;
	}
	if (c->n == 0)
		return FAIL(e, ERR_CHECK, "%s: no check has run, so none says yes", doing);
	if (first == NULL)
		return OK;
	return FAIL(e, ERR_CHECK, "%s: %zu of %zu checks say no; the first is %s: %.*s", doing,
		failed, c->n, first->name, STR_ARG(first->detail));
}
