#include "shape.h"

#include <string.h>

#include "pg_value.h"
#include "vec.h"

struct str shape_valid_time(const struct replicate_options *o, const struct table *t)
{
	for (size_t i = 0; i < o->nvalid_times; i++) {
		struct str full = str_of(o->valid_times[i].table);
		struct str column = str_of(o->valid_times[i].column);
		/* A schema may have a dot in its name. */
		if (full.n == t->schema.n + 1 + t->name.n && str_starts(full, t->schema) &&
			full.p[t->schema.n] == '.' && str_ends(full, t->name) &&
			table_column(t, column) >= 0)
			return column;
	}
	return STR_NONE;
}

struct table *shape_of_relation(
	const struct pgoutput_relation *r, const struct replicate_options *o, struct arena *mem)
{
	struct table *t = arena_alloc(mem, sizeof(*t));

	t->relid = r->relid;
	t->schema = arena_str(mem, r->schema);
	t->name = arena_str(mem, r->name);
	t->identity = (enum identity)r->identity;
	t->ncolumns = r->n;
	t->columns = arena_array(mem, r->n, sizeof(*t->columns));
	for (size_t i = 0; i < r->n; i++) {
		const struct pgoutput_column *c = &r->columns[i];
		t->columns[i] = (struct column){.name = arena_str(mem, c->name),
			.pg_type = c->type,
			.pg_modifier = c->modifier,
			.type = pg_landing(c->type, c->modifier),
			.is_key = (c->flags & 1) != 0,
			.nullable = true};
	}
	table_index_keys(t, mem);
	struct str valid_time = shape_valid_time(o, t);
	t->valid_time = valid_time.n > 0 ? arena_str(mem, valid_time) : STR_NONE;
	return t;
}

static void say(struct buf *out, const char *what, struct str name)
{
	if (out->n > 0)
		buf_puts(out, "; ");
	buf_putf(out, "%s %.*s", what, STR_ARG(name));
}

static const char *identity_name(enum identity i)
{
	switch (i) {
	case IDENTITY_NOTHING:
		return "nothing";
	case IDENTITY_FULL:
		return "full";
	case IDENTITY_INDEX:
		return "index";
	case IDENTITY_DEFAULT:
		break;
	}
	return "default";
}

static void describe_column(struct buf *out, const struct column *was, const struct column *now)
{
	if (!str_eq(was->name, now->name)) {
		say(out, "renamed", was->name);
		buf_putf(out, " to %.*s", STR_ARG(now->name));
	}
	if (was->pg_type != now->pg_type || was->pg_modifier != now->pg_modifier) {
		say(out, "retyped", now->name);
		buf_putf(out, " from %s to %s", type_name(was->type.kind),
			type_name(now->type.kind));
	}
	if (was->is_key != now->is_key)
		say(out, now->is_key ? "made key" : "no longer key", now->name);
}

static void describe_dropped(
	struct buf *out, const struct table *before, const struct table *after, const int *from)
{
	for (size_t i = 0; i < before->ncolumns; i++) {
		bool kept = false;
		for (size_t k = 0; k < after->ncolumns; k++)
			kept |= from[k] == (int)i;
		if (!kept)
			say(out, "dropped", before->columns[i].name);
	}
}

struct str shape_describe(
	const struct table *before, const struct table *after, const int *from, struct arena *mem)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < after->ncolumns; i++) {
		const struct column *now = &after->columns[i];
		if (from[i] >= 0) {
			describe_column(&out, &before->columns[from[i]], now);
			continue;
		}
		say(&out, "added", now->name);
		buf_putf(&out, " %s", type_name(now->type.kind));
	}
	describe_dropped(&out, before, after, from);
	if (table_is_bag(before) != table_is_bag(after))
		say(&out, "replica identity", str_of(identity_name(after->identity)));
	if (out.n == 0 && !table_same_shape(before, after))
		buf_puts(&out, "reordered columns");
	struct str s = arena_str(mem, buf_str(&out));
	buf_free(&out);
	return s;
}

struct table *shape_union(const struct table *before, const struct table *after, struct arena *mem)
{
	struct table *t = table_copy(after, mem);
	struct column *columns = arena_array(
		mem, before->ncolumns + after->ncolumns, sizeof(*columns));

	memcpy(columns, t->columns, t->ncolumns * sizeof(*columns));
	t->columns = columns;
	for (size_t i = 0; i < before->ncolumns && t->ncolumns < TABLE_MAX_COLUMNS; i++) {
		const struct column *was = &before->columns[i];
		/* A bag's rows are compared whole, by the columns that it has now. */
		if (table_column(after, was->name) >= 0 || table_is_bag(after))
			continue;
		struct column *kept = &columns[t->ncolumns++];
		*kept = *was;
		kept->name = arena_str(mem, was->name);
		kept->is_key = false;
		kept->nullable = true;
	}
	table_index_keys(t, mem);
	return t;
}

static bool is_text(enum type_kind kind)
{
	return kind == T_TEXT || kind == T_JSON || kind == T_BYTES;
}

static bool same_type(struct type a, struct type b)
{
	return a.kind == b.kind && a.precision == b.precision && a.scale == b.scale &&
		a.form == b.form;
}

/* The first note of a row. */
size_t shape_first_exact(const struct batch *b, size_t row)
{
	size_t low = 0, high = b->nexact;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (b->exact[mid].row < row)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct str shape_exact(const struct batch *b, size_t row, size_t column)
{
	/* Notes are in row order; within a row they are few and in any order. */
	for (size_t i = shape_first_exact(b, row); i < b->nexact && b->exact[i].row == row; i++)
		if (b->exact[i].column == column)
			return b->exact[i].text;
	return STR_NONE;
}

static enum err move_value(const struct batch *from, size_t row, size_t source, struct batch *to,
	size_t new_row, size_t target, struct buf *scratch, struct error *e)
{
	const struct vec *was = &from->cols[source];
	struct vec *now = &to->cols[target];
	struct str exact = shape_exact(from, row, source);
	size_t size = type_size(was->type.kind);

	if (exact.p != NULL)
		return pg_value_text(to, new_row, target, arena_str(&to->mem, exact), e);
	if (vec_is_null(was, row))
		return OK;
	if (!same_type(was->type, now->type)) {
		buf_reset(scratch);
		type_print(was, row, scratch);
		return pg_value_text(to, new_row, target, arena_str(&to->mem, buf_str(scratch)), e);
	}
	memcpy((char *)now->data + new_row * size, (const char *)was->data + row * size, size);
	if (is_text(was->type.kind)) {
		struct str *text = &VEC_AT(now, struct str, new_row);
		*text = arena_str(&to->mem, *text);
	}
	batch_set_valid(to, new_row, target);
	return OK;
}

enum err shape_move_rows(const struct batch *from, struct batch *to, struct error *e)
{
	struct buf scratch;
	size_t unchanged = 0;
	enum err rc = OK;

	buf_init(&scratch, BUF_MAX_DEFAULT);
	for (size_t row = 0; rc == OK && row < from->rows; row++) {
		size_t new_row = batch_add(to);
		to->op[new_row] = from->op[row];
		to->commit[new_row] = from->commit[row];
		to->seq[new_row] = from->seq[row];
		to->xid[new_row] = from->xid[row];
		to->committed_at[new_row] = from->committed_at[row];
		to->moved[new_row] = from->moved[row];
		for (size_t c = 0; rc == OK && c < from->table->ncolumns; c++) {
			int target = table_column(to->table, from->table->columns[c].name);
			if (target >= 0)
				rc = move_value(
					from, row, c, to, new_row, (size_t)target, &scratch, e);
		}
		for (; unchanged < from->nunchanged && from->unchanged[unchanged].row == row;
			unchanged++) {
			size_t c = from->unchanged[unchanged].column;
			int target = table_column(to->table, from->table->columns[c].name);
			if (target >= 0)
				batch_note_unchanged(to, new_row, (size_t)target);
		}
	}
	buf_free(&scratch);
	return rc;
}
