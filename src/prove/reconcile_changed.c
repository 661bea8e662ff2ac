#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "changed_keys.h"
#include "folds.h"
#include "kept_hashes.h"
#include "log.h"
#include "mem.h"
#include "reconcile_run.h"
#include "touched.h"

/*
 * A check that costs what has changed. Each range's digest stands for its rows at its last cut.
 * At a new cut the keys that history has entries of from outside that cut are looked up on both
 * sides, the old version's hash is taken from the digest and the new one's added: it is then the
 * digest that reading the whole range at the new cut would give.
 */

#define CHANGED_MOST INT64_C(1000000) /* entries; beyond it the ranges are read whole */
#define SOURCE_KEYS  20000            /* in one statement */
#define DOUBTS_MOST  2000             /* keys compared one by one; more: the range is read whole */

/* One table, as it was left by the last check. */
struct last_check {
	struct str run;  /* empty: there was none, and its ranges are new */
	size_t first, n; /* in c->parts */
};

struct checking {
	struct comparing *c;
	struct last_check *tables; /* parallel to the report's */
	size_t cap;
};

static bool is_sound(const struct part *p)
{
	uint64_t wrong = 0;

	for (int d = 0; d < DIFFERENCES; d++)
		wrong += p->count[d] + p->history.count[d];
	return p->done && wrong == 0 && digest_eq(&p->source, &p->replica);
}

/* ---- where the last check stands ---- */

static bool can_go_on(const struct parts *parts, const struct table *t, struct str shape)
{
	for (size_t i = 0; i < parts->n; i++)
		if (!parts->list[i].done || !str_eq(parts->list[i].shape, shape) ||
			parts->list[i].of != parts->n)
			return false;
	return parts->n > 0 && changed_keys_possible(t);
}

static enum err load_table(struct checking *k, size_t index, struct error *e)
{
	struct comparing *c = k->c;
	struct arena *mem = &c->report->mem;
	const struct table *t = c->tables.tables[index];
	const struct parts_options o = {.range_rows = c->o->range_rows, .most = 100000};
	struct last_check *last = &k->tables[index];
	struct parts parts;

	TRY(progress_last(
		c->warehouse, c->report->tables[index].name, index, mem, &last->run, &parts, e));
	if (!can_go_on(&parts, t, parts_shape(t, mem))) {
		last->run = STR_NONE;
		TRY(parts_plan(c->source, t, index, &o, mem, &parts, e));
	}
	last->first = c->parts.n;
	last->n = parts.n;
	parts_append(&c->parts, &k->cap, &parts, mem);
	return OK;
}

/* ---- ranges that are read whole ---- */

static int longest_ago(const void *a, const void *b)
{
	const struct part *x = *(struct part *const *)a, *y = *(struct part *const *)b;

	if (x->scanned_us != y->scanned_us)
		return x->scanned_us < y->scanned_us ? -1 : 1;
	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* Ranges that are new, that were not equal, and the others. */
enum standing { NEW, UNSOUND, SOUND, STANDINGS };

struct pile {
	struct part **list;
	size_t n;
};

static void sort_out(const struct comparing *c, struct pile piles[STANDINGS])
{
	for (int s = 0; s < STANDINGS; s++)
		piles[s] = (struct pile){.list = mem_array(c->parts.n + 1, sizeof(struct part *))};
	for (size_t i = 0; i < c->parts.n; i++) {
		struct part *p = &c->parts.list[i];
		struct pile *to = &piles[!p->done ? NEW : is_sound(p) ? SOUND : UNSOUND];

		/* What this check has not done is not in its report. */
		p->seconds = 0;
		if (is_sound(p))
			p->history = (struct reconcile_history){.compared = false};
		to->list[to->n++] = p;
	}
}

static enum err read_pile(
	struct comparing *c, const struct pile *p, size_t n, bool history, struct error *e)
{
	for (size_t i = 0; i < n; i++)
		c->report->tables[p->list[i]->table].compared++;
	return comparing_groups(c, p->list, n, history, e);
}

static enum err read_whole(struct checking *k, struct error *e)
{
	struct comparing *c = k->c;
	struct pile piles[STANDINGS];
	size_t turn = 0;

	sort_out(c, piles);
	struct pile *sound = &piles[SOUND];
	if (c->o->rolling > 0)
		turn = (c->parts.n + c->o->rolling - 1) / c->o->rolling;
	if (turn > sound->n)
		turn = sound->n;
	if (sound->n > 0)
		qsort(sound->list, sound->n, sizeof(struct part *), longest_ago);
	enum err rc = read_pile(c, &piles[NEW], piles[NEW].n, c->o->history, e);
	/* It may have been history that was not equal. */
	if (rc == OK)
		rc = read_pile(c, &piles[UNSOUND], piles[UNSOUND].n, true, e);
	if (rc == OK)
		rc = read_pile(c, sound, turn, true, e);
	for (int s = 0; s < STANDINGS; s++)
		mem_free(piles[s].list);
	return rc;
}

/* ---- ranges of which the changes are looked at ---- */

/* The ranges of one table that were last looked at at one cut. */
struct catching_up {
	struct checking *k;
	struct group *g;
	struct subject *subject;
	struct part **parts;
	size_t n;
	struct cut before;
	uint64_t first;     /* the least LSN of an entry from outside `before` */
	struct folds folds; /* at `before` and at the new cut */
	uint32_t *of;       /* parallel to the slots: 1 + index into parts; 0: none of these */
	struct kept_hashes **old; /* of the parts, at `before`; NULL: history is asked */
	bool old_failed;
	struct changed_keys keys;
	struct unseen unseen;            /* by the new cut */
	struct digest *source, *replica; /* of each fold, parallel to its slots: rows at the cut */
	struct digest *at_cut;           /* the source's, as it was read */
	size_t *doubts;                  /* indexes of keys */
	size_t ndoubts;
	struct buf sql;
};

static size_t slot_of(const struct catching_up *u, const struct fold *x)
{
	return (size_t)(x - u->folds.slots);
}

static void put_columns(struct buf *out, const struct table *t)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		sql_name(out, t->columns[i].name);
		buf_puts(out, ", ");
	}
}

static void say_slow(const struct catching_up *u, struct error *e)
{
	const struct comparing *c = u->g->c;

	log_warn(c->env->log, "reconcile", "history is read for the hashes of old versions",
		F_STR("table", u->subject->name), F_CSTR("reason", e->text));
	error_clear(e);
}

static enum err see_source(void *arg, const struct row *r, struct error *e)
{
	struct catching_up *u = arg;
	const struct fold *x = folds_find(&u->folds, r->key);

	(void)e;
	/* A key that was not touched when history was read has not changed inside the cut. */
	if (x != NULL)
		digest_add(&u->source[slot_of(u, x)], r->hash);
	return OK;
}

static enum err read_source(struct catching_up *u, struct error *e)
{
	struct str *types = arena_array(u->g->mem, u->subject->nkeys, sizeof *types);
	enum err rc = changed_keys_types(u->g->c->source, u->subject, u->g->mem, types, e);

	for (size_t at = 0; rc == OK && at < u->keys.n; at += SOURCE_KEYS) {
		size_t n = u->keys.n - at < SOURCE_KEYS ? u->keys.n - at : SOURCE_KEYS;

		buf_reset(&u->sql);
		changed_keys_put_source(&u->sql, &u->keys, types, NULL, at, n);
		u->subject->where[SIDE_SOURCE] = buf_str(&u->sql);
		rc = rows_read(&u->g->sides, u->subject, SIDE_SOURCE, see_source, u, e);
	}
	u->subject->where[SIDE_SOURCE] = STR_NONE;
	return rc;
}

static bool is_inside(const struct catching_up *u, uint64_t at)
{
	for (size_t i = 0; i < u->unseen.n; i++)
		if (u->unseen.lsn[i] == at)
			return false;
	return at <= u->g->cut.at.v;
}

/* A version from after the cut says nothing of the cut: history does. */
static enum err see_current(void *arg, const struct row *r, struct error *e)
{
	struct catching_up *u = arg;
	const struct fold *x = folds_find(&u->folds, r->key);
	uint64_t at = VEC_AT(&r->more[0], uint64_t, r->at);

	(void)e;
	if (x == NULL)
		return OK;
	if (is_inside(u, at))
		digest_add(&u->replica[slot_of(u, x)], r->hash);
	else if (fold_alive(&u->folds, x, 1))
		digest_add(&u->replica[slot_of(u, x)], x->at[1].row);
	return OK;
}

/* The range that a key belongs to is told by the warehouse: in SQL, as it was cut. */
static enum err place_key(void *arg, const struct row *r, struct error *e)
{
	struct catching_up *u = arg;
	const struct fold *x = folds_find(&u->folds, r->key);

	(void)e;
	if (x != NULL)
		u->of[slot_of(u, x)] = (uint32_t)VEC_AT(&r->more[0], int64_t, r->at);
	return OK;
}

static enum err place_keys(struct catching_up *u, struct error *e)
{
	const struct table *t = u->subject->table;

	for (size_t i = 0; i < u->folds.cap && u->parts[0]->of == 1; i++)
		u->of[i] = 1;
	if (u->parts[0]->of == 1)
		return OK;
	buf_reset(&u->sql);
	buf_puts(&u->sql, "SELECT ");
	put_columns(&u->sql, t);
	buf_puts(&u->sql, "_exact, CAST(CASE");
	for (size_t i = 0; i < u->n; i++)
		buf_putf(&u->sql, " WHEN %.*s THEN %zu", STR_ARG(u->parts[i]->where[SIDE_REPLICA]),
			i + 1);
	buf_puts(&u->sql, " ELSE 0 END AS BIGINT) FROM ");
	touched_put_history(&u->sql, t);
	buf_puts(&u->sql, " WHERE _op <> 'T' AND ");
	touched_put_since(&u->sql, &u->before, u->first);
	return rows_read_sql(&u->g->sides, u->subject, buf_str(&u->sql), 1, place_key, u, e);
}

/* ---- the hashes of old versions ---- */

static enum err old_version(struct catching_up *u, size_t slot, struct error *e)
{
	struct fold *x = &u->folds.slots[slot];
	struct fold_version *v = &x->at[0];
	bool found;

	TRY(kept_hashes_find(u->old[u->of[slot] - 1], x->key, &found, &v->row, e));
	v->told = found;
	/* Its changes lie outside the new cut as well: there it is what it was. */
	if (!x->at[1].told)
		x->at[1] = *v;
	return OK;
}

static enum err old_versions(struct catching_up *u, struct error *e)
{
	enum err rc = OK;

	for (size_t i = 0; rc == OK && u->old != NULL && i < u->folds.cap; i++)
		if (u->folds.slots[i].used && u->of[i] > 0)
			rc = old_version(u, i, e);
	u->old_failed = rc != OK;
	return rc;
}

static void close_old(struct catching_up *u)
{
	for (size_t i = 0; u->old != NULL && i < u->n; i++)
		kept_hashes_close(u->old[i]);
	mem_free(u->old);
	u->old = NULL;
}

/* All of them or none: u->old stays NULL where one range's are not there. */
static void open_old(struct catching_up *u)
{
	struct comparing *c = u->g->c;
	struct arena mem = {0};
	struct error e = {.kind = OK};
	bool all = c->o->hashes != NULL;

	if (all)
		u->old = mem_zalloc(u->n * sizeof(struct kept_hashes *));
	for (size_t i = 0; all && i < u->n; i++) {
		enum err rc = kept_hashes_open(part_hashes_path(c, u->parts[i], &mem),
			&u->parts[i]->source, &u->old[i], &e);

		all = rc == OK && u->old[i] != NULL;
		if (rc != OK)
			say_slow(u, &e);
	}
	if (!all)
		close_old(u);
	arena_free(&mem);
}

static void keep_part(struct catching_up *u, size_t index, struct error *e)
{
	const struct part *p = u->parts[index];
	struct kept_change *list = mem_array(u->folds.n + 1, sizeof *list);
	size_t n = 0;

	for (size_t i = 0; i < u->folds.cap; i++)
		if (u->folds.slots[i].used && u->of[i] == index + 1)
			list[n++] = (struct kept_change){.key = u->folds.slots[i].key,
				.row = {.lo = u->at_cut[i].lo, .hi = u->at_cut[i].hi},
				.alive = u->at_cut[i].rows > 0};
	if (n > 0 && kept_hashes_append(u->old[index], list, n, &p->source, e) != OK)
		say_slow(u, e);
	mem_free(list);
}

/* A range that is not equal is read whole the next time, and its hashes are kept then. */
static void keep_new_versions(struct catching_up *u)
{
	struct error e = {.kind = OK};

	for (size_t i = 0; u->old != NULL && i < u->n; i++)
		if (is_sound(u->parts[i]))
			keep_part(u, i, &e);
}

/* A change puts a row in the place of the old one, so those that speak are the newest. */
static enum err read_current(struct catching_up *u, struct error *e)
{
	const struct table *t = u->subject->table;

	buf_reset(&u->sql);
	buf_puts(&u->sql, "SELECT ");
	put_columns(&u->sql, t);
	buf_puts(&u->sql, "_exact, _lsn FROM ");
	sql_name(&u->sql, t->schema);
	buf_putc(&u->sql, '.');
	sql_name(&u->sql, t->name);
	buf_putf(&u->sql, " WHERE _lsn >= %" PRIu64, u->first);
	touched_put_part(&u->sql, u->subject);
	return rows_read_sql(&u->g->sides, u->subject, buf_str(&u->sql), 1, see_current, u, e);
}

/* A row that a change should have taken away: its key is compared in the full form. */
static enum err find_stale(struct catching_up *u, struct error *e)
{
	struct changed_keys stale = {.n = 0};
	enum err rc = changed_keys_stale(&stale, &u->g->sides, u->subject, &u->before, u->first, e);

	for (size_t i = 0; rc == OK && i < stale.n; i++) {
		struct fold *x = folds_find(&u->folds, stale.list[i].hash);

		if (x != NULL)
			x->marked = true;
	}
	changed_keys_free(&stale);
	return rc;
}

/* With the old versions' hashes at hand history is asked for nothing but the changes. */
static void put_entries(struct catching_up *u)
{
	buf_reset(&u->sql);
	if (u->old == NULL) {
		touched_put_keys(&u->sql, u->subject, &u->before);
		return;
	}
	buf_puts(&u->sql, "_op <> 'T' AND ");
	touched_put_since(&u->sql, &u->before, u->first);
	touched_put_part(&u->sql, u->subject);
}

static enum err read_sides(struct catching_up *u, struct error *e)
{
	put_entries(u);
	folds_init(&u->folds, &u->before, &u->g->cut);
	TRY(folds_read(&u->folds, &u->g->sides, u->subject, &u->sql, e));
	u->source = mem_array(u->folds.cap + 1, sizeof *u->source);
	u->replica = mem_array(u->folds.cap + 1, sizeof *u->replica);
	u->of = mem_array(u->folds.cap + 1, sizeof *u->of);
	TRY(place_keys(u, e));
	TRY(old_versions(u, e));
	TRY(touched_unseen(&u->g->sides, u->subject, &u->g->cut, &u->unseen, e));
	TRY(changed_keys_read(&u->keys, &u->g->sides, u->subject, &u->before, u->first, e));
	TRY(read_current(u, e));
	TRY(find_stale(u, e));
	return read_source(u, e);
}

static bool same_hash(struct digest d, struct rowhash h)
{
	return d.rows == 1 && d.lo == h.lo && d.hi == h.hi;
}

/* Source, history and current say the same of the key at the new cut. */
static bool agree(const struct catching_up *u, const struct fold *x)
{
	const struct digest *source = &u->source[slot_of(u, x)],
			    *replica = &u->replica[slot_of(u, x)];

	if (x->marked || !digest_eq(source, replica))
		return false;
	if (fold_alive(&u->folds, x, 1))
		return same_hash(*source, x->at[1].row);
	return source->rows == 0;
}

static void find_doubts(struct catching_up *u)
{
	u->doubts = mem_array(u->keys.n + 1, sizeof *u->doubts);
	for (size_t i = 0; i < u->keys.n; i++) {
		const struct fold *x = folds_find(&u->folds, u->keys.list[i].hash);

		if (x != NULL && u->of[slot_of(u, x)] > 0 && !agree(u, x))
			u->doubts[u->ndoubts++] = i;
	}
}

/*
 * What two statements could not tell, or what is wrong: these keys alone are compared in the form
 * in which a whole range is, with history, and their differences counted and listed.
 */
static enum err settle_part(struct catching_up *u, size_t index, struct error *e)
{
	struct part *p = u->parts[index], some = *p;
	struct str *types = arena_array(u->g->mem, u->subject->nkeys, sizeof *types);
	size_t *mine = mem_array(u->ndoubts + 1, sizeof *mine), n = 0;
	struct buf source, replica;

	for (size_t i = 0; i < u->ndoubts; i++) {
		const struct fold *x = folds_find(&u->folds, u->keys.list[u->doubts[i]].hash);
		size_t slot = slot_of(u, x);

		if (u->of[slot] != index + 1)
			continue;
		mine[n++] = u->doubts[i];
		u->source[slot] = u->replica[slot] = (struct digest){.rows = 0};
	}
	buf_init(&source, BUF_MAX_DEFAULT);
	buf_init(&replica, BUF_MAX_DEFAULT);
	enum err rc = OK;
	if (n > 0)
		rc = changed_keys_types(u->g->c->source, u->subject, u->g->mem, types, e);
	if (rc == OK && n > 0) {
		changed_keys_put_source(&source, &u->keys, types, mine, 0, n);
		changed_keys_put_replica(&replica, &u->keys, mine, n);
		some.where[SIDE_SOURCE] = buf_str(&source);
		some.where[SIDE_REPLICA] = buf_str(&replica);
		rc = part_compare(u->g, &some, true, e);
	}
	if (rc == OK && n > 0) {
		memcpy(p->count, some.count, sizeof p->count);
		memcpy(p->history.count, some.history.count, sizeof p->history.count);
		p->keys = some.keys;
		p->nkeys = some.nkeys;
		p->blamed = some.blamed;
		digest_merge(&p->source, &some.source);
		digest_merge(&p->replica, &some.replica);
	}
	buf_free(&source);
	buf_free(&replica);
	mem_free(mine);
	return rc;
}

static uint64_t move_digests(struct catching_up *u)
{
	uint64_t changed = 0;

	for (size_t i = 0; i < u->folds.cap; i++) {
		const struct fold *x = &u->folds.slots[i];

		if (!x->used || u->of[i] == 0)
			continue;
		struct part *p = u->parts[u->of[i] - 1];
		changed++;
		if (fold_alive(&u->folds, x, 0)) {
			digest_sub(&p->source, x->at[0].row);
			digest_sub(&p->replica, x->at[0].row);
		}
		digest_merge(&p->source, &u->source[i]);
		digest_merge(&p->replica, &u->replica[i]);
	}
	return changed;
}

static enum err read_ranges(struct catching_up *u, struct error *e)
{
	enum err rc = OK;

	u->g->whole = true;
	for (size_t i = 0; rc == OK && i < u->n; i++) {
		rc = part_compare(u->g, u->parts[i], u->g->c->o->history, e);
		u->g->c->report->tables[u->parts[i]->table].compared++;
	}
	u->g->whole = false;
	return rc;
}

static enum err settle(struct catching_up *u, struct error *e)
{
	struct reconcile_report *r = u->g->c->report;

	find_doubts(u);
	u->at_cut = mem_array(u->folds.cap + 1, sizeof *u->at_cut);
	memcpy(u->at_cut, u->source, u->folds.cap * sizeof *u->at_cut);
	if (u->ndoubts > DOUBTS_MOST)
		return read_ranges(u, e);
	for (size_t i = 0; i < u->n && u->ndoubts > 0; i++)
		TRY(settle_part(u, i, e));
	r->tables[u->parts[0]->table].changed += move_digests(u);
	keep_new_versions(u);
	for (size_t i = 0; i < u->n; i++)
		u->parts[i]->cut = u->g->cut;
	return OK;
}

static void forget(struct catching_up *u)
{
	close_old(u);
	mem_free(u->of);
	mem_free(u->source);
	mem_free(u->replica);
	mem_free(u->at_cut);
	mem_free(u->doubts);
	u->of = NULL;
	u->source = u->replica = u->at_cut = NULL;
	u->doubts = NULL;
	folds_free(&u->folds);
	changed_keys_free(&u->keys);
}

static enum err look_at_changes(struct catching_up *u, struct error *e)
{
	struct error own = {.kind = OK};

	part_hashes_wait(u->g->c);
	open_old(u);
	enum err rc = read_sides(u, &own);
	if (rc != OK && u->old_failed) {
		say_slow(u, &own);
		forget(u);
		u->old_failed = false;
		rc = read_sides(u, &own);
	}
	if (rc != OK && e != NULL)
		*e = own;
	if (rc == OK)
		rc = u->unseen.more ? read_ranges(u, e) : settle(u, e);
	forget(u);
	return rc;
}

static enum err catch_up(struct catching_up *u, struct error *e)
{
	struct touched t;

	for (int side = 0; side < SIDES; side++)
		u->subject->where[side] = STR_NONE;
	if (!u->subject->in_replica)
		return read_ranges(u, e);
	if (u->n == 1)
		u->subject->where[SIDE_REPLICA] = u->parts[0]->where[SIDE_REPLICA];
	TRY(touched_look(&u->g->sides, u->subject, &u->before, &t, e));
	if (t.truncations > 0 || t.unnamed > 0 || t.entries > CHANGED_MOST)
		return read_ranges(u, e);
	if (t.entries == 0) {
		for (size_t i = 0; i < u->n; i++)
			u->parts[i]->cut = u->g->cut;
		return OK;
	}
	u->first = t.first;
	buf_init(&u->sql, BUF_MAX_DEFAULT);
	enum err rc = look_at_changes(u, e);
	buf_free(&u->sql);
	return rc;
}

static bool same_cut(const struct cut *a, const struct cut *b)
{
	if (a->at.v != b->at.v || a->xmin != b->xmin || a->xmax != b->xmax ||
		a->nrunning != b->nrunning)
		return false;
	return a->nrunning == 0 ||
		memcmp(a->running, b->running, a->nrunning * sizeof *a->running) == 0;
}

/* The sound ranges of a table, those of one cut at a time. */
static enum err catch_up_table(struct checking *k, struct group *g, size_t table, struct error *e)
{
	struct comparing *c = k->c;
	const struct last_check *last = &k->tables[table];
	struct part **some = mem_array(last->n + 1, sizeof(struct part *));
	bool *seen = mem_zalloc(last->n + 1);
	int64_t start = clock_mono(c->env->clock);
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < last->n; i++) {
		struct part *p = &c->parts.list[last->first + i];
		struct catching_up u = {
			.k = k, .g = g, .subject = g->subjects[table], .parts = some};

		if (seen[i] || !is_sound(p))
			continue;
		u.before = p->cut;
		for (size_t m = i; m < last->n; m++) {
			struct part *q = &c->parts.list[last->first + m];

			if (seen[m] || !is_sound(q) || !same_cut(&q->cut, &u.before))
				continue;
			seen[m] = true;
			some[u.n++] = q;
		}
		rc = catch_up(&u, e);
	}
	c->report->tables[table].seconds += (double)(clock_mono(c->env->clock) - start) / 1e6;
	mem_free(some);
	mem_free(seen);
	return rc;
}

static enum err look_at_tables(struct checking *k, struct error *e)
{
	struct comparing *c = k->c;
	struct part **all = mem_array(c->parts.n + 1, sizeof(struct part *));
	struct arena mem = {0};
	struct group g;
	size_t n = 0;

	for (size_t i = 0; i < c->parts.n; i++)
		all[n++] = &c->parts.list[i];
	enum err rc = group_begin(c, all, n, &mem, &g, e);
	for (size_t i = 0; rc == OK && i < c->tables.n; i++)
		rc = catch_up_table(k, &g, i, e);
	if (rc == OK)
		rc = group_end(&g, e);
	arena_free(&mem);
	mem_free(all);
	return rc;
}

/* ---- keeping ---- */

static enum err keep_new(struct checking *k, struct error *e)
{
	struct comparing *c = k->c;
	struct parts fresh = {.n = 0};
	size_t cap = 0;

	for (size_t i = 0; i < c->tables.n; i++) {
		const struct last_check *last = &k->tables[i];
		const struct parts of = {.list = c->parts.list + last->first, .n = last->n};

		if (last->run.n == 0)
			parts_append(&fresh, &cap, &of, &c->report->mem);
	}
	if (fresh.n == 0)
		return OK;
	struct part **list = mem_array(fresh.n, sizeof(struct part *));
	for (size_t i = 0; i < fresh.n; i++)
		list[i] = &fresh.list[i];
	c->progress.warehouse = c->warehouse;
	memset(c->progress.spec, '0', 64);
	enum err rc = progress_begin(
		&c->progress, c->env, c->report, &fresh, true, &c->report->mem, e);
	if (rc == OK)
		rc = progress_keep(&c->progress, c->report, list, fresh.n, e);
	mem_free(list);
	return rc;
}

static enum err keep(struct checking *k, struct error *e)
{
	struct comparing *c = k->c;
	struct part **list = mem_array(c->parts.n + 1, sizeof(struct part *));
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < c->tables.n; i++) {
		const struct last_check *last = &k->tables[i];

		for (size_t m = 0; m < last->n; m++)
			list[m] = &c->parts.list[last->first + m];
		if (last->run.n > 0)
			rc = progress_update(c->warehouse, last->run, c->report, list, last->n, e);
	}
	mem_free(list);
	return rc == OK ? keep_new(k, e) : rc;
}

enum err changed_compare(struct comparing *c, struct error *e)
{
	struct checking k = {.c = c};

	k.tables = arena_array(&c->report->mem, c->tables.n + 1, sizeof *k.tables);
	TRY(progress_prepare(c->warehouse, e));
	for (size_t i = 0; i < c->tables.n; i++)
		TRY(load_table(&k, i, e));
	TRY(read_whole(&k, e));
	TRY(look_at_tables(&k, e));
	return keep(&k, e);
}
