#include "catch_up.h"

#include "failpoint.h"
#include "marks.h"
#include "snapshot.h"
#include "table_hold.h"

#define TURN_US  INT64_C(50000)   /* the longest that it reads before the main stream's turn */
#define LOOK     256              /* records between two looks at the clock */
#define POINT_US INT64_C(1000000) /* between two positions without rows */

void catch_up_close(struct catch_up *c)
{
	if (c->open) {
		c->a.r->kept = LSN_NONE;
		apply_close(&c->a);
	}
	arena_free(&c->mem);
	*c = (struct catch_up){.open = false};
}

/* ---- beginning ---- */

static enum err begin(struct catch_up *c, struct replicate *r, const struct snapshot_catching *who,
	const struct table_hold *hold, struct error *e)
{
	char at[LSN_TEXT];

	c->apart = (struct apply_apart){.relid = who->relid,
		.schema = arena_str(&c->mem, who->schema),
		.name = arena_str(&c->mem, who->name)};
	c->open = true;
	r->kept = hold->from.at;
	TRY(apply_open_apart(&c->a, r, &c->apart, &hold->from, e));
	log_info(r->env.log, "apply", "a table that was held back catches up from the journal",
		F_STR("table",
			arena_fmt(&c->mem, "%.*s.%.*s", STR_ARG(who->schema), STR_ARG(who->name))),
		F_CSTR("lsn", lsn_format(hold->from.at, at)));
	return OK;
}

static bool is_of(const struct catch_up *c, const struct snapshot_catching *who,
	const struct table_hold *hold)
{
	return c->apart.relid == who->relid && str_eq(c->apart.schema, who->schema) &&
		str_eq(c->apart.name, who->name) && c->a.done.at.v == hold->from.at.v;
}

/* Nothing of it can be taken from the journal any more. */
static enum err copy_again(struct catch_up *c, struct replicate *r,
	const struct snapshot_catching *who, struct error *e)
{
	struct arena mem = {0};
	struct str name = arena_fmt(&mem, "%.*s.%.*s", STR_ARG(who->schema), STR_ARG(who->name));
	struct replicate_snapshot anew = {
		.state = SNAPSHOT_RUNNING, .relid = who->relid, .cut = {.xmin = 1, .xmax = 1}};
	struct mark marks[] = {{.name = mark_name(&mem, "snapshot", who->schema, who->name),
				       .value = mark_snapshot(&mem, &anew)},
		table_hold_mark(&mem, who->schema, who->name, NULL)};

	log_warn(r->env.log, "apply",
		"a table that was held back cannot catch up from the journal; it is copied again",
		F_STR("table", name), F_CSTR("reason", e->text));
	error_clear(e);
	catch_up_close(c);
	enum err rc = marks_put(r->w, marks, 2, e);
	if (rc == OK)
		snapshot_let_go(r, who->relid, true);
	arena_free(&mem);
	return rc;
}

/* ---- reading ---- */

/* Between two transactions, where the main stream stands. */
static bool is_level(const struct catch_up *c, const struct apply *main)
{
	return !c->a.tx.open && c->a.whole.at.v >= main->whole.at.v;
}

/* One batch at most, or what a turn's time allows. */
static enum err read_on(struct catch_up *c, const struct apply *main, struct error *e)
{
	struct apply *a = &c->a;
	int64_t end = clock_mono(a->r->env.clock) + TURN_US;
	lsn before = a->done.at;
	size_t part = a->part_rows;

	for (size_t n = 1; !is_level(c, main) && !atomic_load(&a->r->stop); n++) {
		struct journal_record rec;
		bool got;
		TRY(journal_reader_next(a->reader, &rec, &got, e));
		if (!got)
			break;
		TRY(apply_record(a, &rec, e));
		if (a->done.at.v != before.v || a->part_rows != part)
			break;
		if (n % LOOK == 0 && clock_mono(a->r->env.clock) >= end)
			break;
	}
	/* What it has passed without meeting a row need not be read again after a crash. */
	int64_t now = clock_mono(a->r->env.clock);
	if (a->tx.open || now - a->position_us < POINT_US)
		return OK;
	a->position_us = now;
	return apply_flush(a, e);
}

/* ---- joining ---- */

/* The main stream sees the table as if for the first time. */
static void forget(struct apply *main, uint32_t relid)
{
	struct relation *rel = relations_find(&main->relations, relid);

	if (rel == NULL)
		return;
	rel->joined = false;
	rel->copy = NULL;
	rel->live = NULL;
	rel->wide = false;
	rel->news = true;
}

/* The position of the main stream is written first: after a crash neither side may meet a change
 * that the other one has. */
static enum err join(struct catch_up *c, struct apply *main, struct error *e)
{
	struct replicate *r = main->r;
	uint32_t relid = c->apart.relid;
	char at[LSN_TEXT];

	TRY(apply_flush(main, e));
	if (c->a.whole.at.v != main->done.at.v)
		return OK; /* a moment later */
	c->apart.joining = true;
	TRY(apply_flush(&c->a, e));
	TRY(failpoint_hit(&r->env, "table.joined", e));
	log_info(r->env.log, "apply", "a table that was held back is level with the others",
		F_STR("table",
			arena_fmt(&c->mem, "%.*s.%.*s", STR_ARG(c->apart.schema),
				STR_ARG(c->apart.name))),
		F_CSTR("lsn", lsn_format(main->done.at, at)));
	forget(main, relid);
	snapshot_let_go(r, relid, false);
	catch_up_close(c);
	return OK;
}

static enum err go_on(struct catch_up *c, struct apply *main, struct error *e)
{
	enum err rc = read_on(c, main, e);

	/* From its mark once more, see apply_part.c. */
	if (rc != OK && c->a.again) {
		error_clear(e);
		catch_up_close(c);
		return OK;
	}
	TRY(rc);
	TRY(failpoint_hit(&main->r->env, "table.catching_up", e));
	return is_level(c, main) ? join(c, main, e) : OK;
}

static enum err step(struct catch_up *c, struct apply *main, const struct snapshot_catching *who,
	struct error *e)
{
	struct table_hold hold;
	enum err rc = table_hold_read(main->r->w, who->schema, who->name, &hold, e);

	TRY(rc);
	if (c->open && !is_of(c, who, &hold))
		catch_up_close(c);
	/* It has just got another name, or another wish: that is known in a moment. */
	if (hold.paused || !hold.has_from || hold.relid != who->relid)
		return OK;
	main->hurry = true;
	if (!c->open)
		rc = begin(c, main->r, who, &hold, e);
	if (rc == OK)
		rc = go_on(c, main, e);
	if (rc == ERR_CHECK || rc == ERR_NOT_FOUND)
		return copy_again(c, main->r, who, e);
	return rc;
}

enum err catch_up_step(struct catch_up *c, struct apply *main, struct error *e)
{
	struct arena mem = {0};
	struct snapshot_catching who;
	enum err rc = OK;

	main->hurry = false;
	if (snapshot_catching(main->r, &mem, &who))
		rc = step(c, main, &who, e);
	else
		catch_up_close(c);
	arena_free(&mem);
	return rc;
}
