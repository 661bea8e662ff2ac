#include "table.h"

#include <assert.h>

struct table *table_copy(const struct table *t, struct arena *mem)
{
	struct table *copy = arena_alloc(mem, sizeof *copy);

	assert(t->ncolumns <= TABLE_MAX_COLUMNS);
	*copy = *t;
	copy->schema = arena_str(mem, t->schema);
	copy->name = arena_str(mem, t->name);
	copy->valid_time = t->valid_time.n > 0 ? arena_str(mem, t->valid_time) : STR_NONE;
	copy->filter = t->filter.n > 0 ? arena_str(mem, t->filter) : STR_NONE;
	copy->columns = arena_array(mem, t->ncolumns, sizeof *copy->columns);
	for (size_t i = 0; i < t->ncolumns; i++) {
		copy->columns[i] = t->columns[i];
		copy->columns[i].name = arena_str(mem, t->columns[i].name);
	}
	copy->keys = arena_array(mem, t->nkeys, sizeof *copy->keys);
	for (size_t i = 0; i < t->nkeys; i++)
		copy->keys[i] = t->keys[i];
	return copy;
}

void table_index_keys(struct table *t, struct arena *mem)
{
	assert(t->ncolumns <= TABLE_MAX_COLUMNS);
	t->nkeys = 0;
	t->keys = arena_array(mem, t->ncolumns, sizeof *t->keys);
	for (size_t i = 0; i < t->ncolumns; i++)
		if (t->columns[i].is_key)
			t->keys[t->nkeys++] = (uint16_t)i;
}

int table_column(const struct table *t, struct str name)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (str_eq(t->columns[i].name, name))
			return (int)i;
	return -1;
}

bool table_is_bag(const struct table *t)
{
	return t->identity == IDENTITY_FULL && t->nkeys > 0 && t->nkeys == t->ncolumns;
}

bool table_has_key(const struct table *t)
{
	return t->nkeys > 0 && !table_is_bag(t);
}

static bool column_same(const struct column *a, const struct column *b)
{
	return str_eq(a->name, b->name) && a->pg_type == b->pg_type &&
		a->pg_modifier == b->pg_modifier && a->type.kind == b->type.kind &&
		a->type.precision == b->type.precision && a->type.scale == b->type.scale &&
		a->is_key == b->is_key;
}

bool table_same_shape(const struct table *a, const struct table *b)
{
	if (!str_eq(a->schema, b->schema) || !str_eq(a->name, b->name) ||
		a->ncolumns != b->ncolumns || a->nkeys != b->nkeys)
		return false;
	for (size_t i = 0; i < a->ncolumns; i++)
		if (!column_same(&a->columns[i], &b->columns[i]))
			return false;
	for (size_t i = 0; i < a->nkeys; i++)
		if (a->keys[i] != b->keys[i])
			return false;
	return true;
}

struct str table_full_name(const struct table *t, struct arena *mem)
{
	return arena_fmt(mem, "%.*s.%.*s", STR_ARG(t->schema), STR_ARG(t->name));
}
