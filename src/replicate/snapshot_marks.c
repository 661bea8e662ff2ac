/* What the warehouse keeps about a copy under way. */
#include "snapshot_copy.h"

#include <inttypes.h>

#include "json.h"
#include "marks.h"
#include "table_hold.h"

struct mark copy_mark(struct table_copy *c, struct arena *mem)
{
	struct buf parts;

	buf_init(&parts, BUF_MAX_DEFAULT);
	if (c->mark.state == SNAPSHOT_RUNNING)
		parts_write(&c->parts, &parts);
	c->mark.parts = arena_str(mem, buf_str(&parts));
	c->mark.rows = c->next_seq;
	struct mark mark = {.name = mark_name(mem, "snapshot", c->schema, c->name),
		.value = mark_snapshot(mem, &c->mark)};
	c->mark.parts = STR_NONE;
	buf_free(&parts);
	return mark;
}

enum err copy_put_anew(struct table_copy *c, bool let_go, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot anew = {.state = SNAPSHOT_RUNNING,
		.relid = c->relid,
		.cut = {.xmin = 1, .xmax = 1}}; /* nothing */
	struct mark marks[] = {{.name = mark_name(&mem, "snapshot", c->schema, c->name),
				       .value = mark_snapshot(&mem, &anew)},
		table_hold_mark(&mem, c->schema, c->name, NULL)};
	enum err rc = marks_put(c->s->r->w, marks, let_go ? 2 : 1, e);

	arena_free(&mem);
	return rc;
}

static struct str prefix(const struct table_copy *c, struct arena *mem)
{
	/* By relation: a table may get another name meanwhile. */
	return arena_fmt(mem, "range:%u:", c->relid);
}

struct mark copy_range_mark(struct table_copy *c, const struct copy_work *work, struct arena *mem)
{
	const struct copy_part *p = &c->parts.items[work->part];
	struct buf b;
	struct json_out j;
	char floor[LSN_TEXT];

	buf_init(&b, 4096);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "floor", lsn_format(c->mark.floor, floor));
	jo_u64(&j, "relid", p->relid);
	jo_u64(&j, "from", work->blocks.from);
	jo_u64(&j, "to", work->blocks.to);
	jo_u64(&j, "rows", c->next_seq);
	jo_end_object(&j);
	struct mark mark = {.name = arena_fmt(mem, "%.*s%u:%u", STR_ARG(prefix(c, mem)), p->relid,
				    work->blocks.from),
		.value = arena_str(mem, buf_str(&b))};
	buf_free(&b);
	return mark;
}

static enum err take_range(struct table_copy *c, const json_t *doc, struct error *e)
{
	int64_t relid, from, to, rows;
	struct str text;
	lsn floor;

	TRY(json_want_str(doc, "floor", &text, e));
	TRY(json_want_i64(doc, "relid", &relid, e));
	TRY(json_want_i64(doc, "from", &from, e));
	TRY(json_want_i64(doc, "to", &to, e));
	TRY(json_want_i64(doc, "rows", &rows, e));
	if (!lsn_parse(text, &floor) || from < 0 || to <= from || to > UINT32_MAX || rows < 0)
		return FAIL(e, ERR_INPUT, "a range of a copy is not what sluice writes");
	if (floor.v != c->mark.floor.v)
		return OK;
	for (size_t i = 0; i < c->parts.n; i++)
		if (c->parts.items[i].relid == relid)
			part_add(&c->parts.items[i],
				(struct block_range){(uint32_t)from, (uint32_t)to});
	if ((uint64_t)rows > c->next_seq)
		c->next_seq = (uint64_t)rows;
	return OK;
}

static enum err take_ranges(void *arg, const struct chunk *chunk, struct error *e)
{
	for (size_t row = 0; row < chunk->rows; row++) {
		json_t *doc;
		TRY(json_read(vec_text(&chunk->cols[0], row), "the mark of a range", &doc, e));
		enum err rc = take_range(arg, doc, e);
		json_decref(doc);
		TRY(rc);
	}
	return OK;
}

static void put_condition(struct buf *sql, const struct table_copy *c)
{
	struct arena mem = {0};
	struct str text = prefix(c, &mem);

	/* Characters, not bytes: starts_with() counts nothing. */
	buf_puts(sql, " FROM ops.marks WHERE starts_with(name, ");
	sql_text(sql, text);
	buf_putc(sql, ')');
	arena_free(&mem);
}

enum err copy_read_ranges(struct table_copy *c, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "SELECT value");
	put_condition(&sql, c);
	enum err rc = warehouse_query(c->s->r->w, buf_str(&sql), take_ranges, c, e);
	buf_free(&sql);
	return rc;
}

enum err copy_forget_ranges(struct table_copy *c, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "DELETE");
	put_condition(&sql, c);
	enum err rc = script_again(c->s->r->w, &c->s->r->env, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}
