#include "suspects.h"

#include <stdlib.h>

#include "blame.h"
#include "json.h"
#include "mem.h"
#include "value_json.h"

static int compare_hash(struct rowhash a, struct rowhash b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return (a.lo > b.lo) - (a.lo < b.lo);
}

static int by_key(const void *a, const void *b)
{
	const struct suspect *x = a, *y = b;
	return compare_hash(x->key, y->key);
}

void suspects_init(struct suspects *s, size_t listed)
{
	size_t most = listed > SUSPECTS_MOST ? listed : SUSPECTS_MOST;

	*s = (struct suspects){.max = listed > 0 ? most : 0, .listed = listed};
}

void suspects_free(struct suspects *s)
{
	mem_free(s->list);
	mem_free(s->slots);
	*s = (struct suspects){.list = NULL};
}

bool suspects_full(const struct suspects *s, enum difference kind)
{
	return s->count[kind] >= s->max;
}

/* The slot of that key, or the empty one where it belongs. */
static uint32_t *slot_of(const struct suspects *s, struct rowhash key)
{
	size_t i = (size_t)key.lo & (s->nslots - 1);

	while (s->slots[i] != 0 && compare_hash(s->list[s->slots[i] - 1].key, key) != 0)
		i = (i + 1) & (s->nslots - 1);
	return &s->slots[i];
}

/* Never more than half full. */
static void grow_slots(struct suspects *s)
{
	if (2 * (s->n + 1) <= s->nslots)
		return;
	s->nslots = s->nslots > 0 ? 2 * s->nslots : 64;
	mem_free(s->slots);
	s->slots = mem_zalloc(s->nslots * sizeof *s->slots);
	for (size_t i = 0; i < s->n; i++)
		*slot_of(s, s->list[i].key) = (uint32_t)i + 1;
}

void suspects_add(struct suspects *s, struct rowhash key, enum difference kind)
{
	if (suspects_full(s, kind))
		return;
	grow_slots(s);
	uint32_t *slot = slot_of(s, key);
	struct suspect *known = *slot > 0 ? &s->list[*slot - 1] : NULL;
	if (known != NULL && (known->kinds & 1U << kind) != 0)
		return;
	s->count[kind]++;
	if (known != NULL) {
		known->kinds |= 1U << kind;
		return;
	}
	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? s->cap * 2 : 16;
		s->list = mem_realloc_array(s->list, s->cap, sizeof *s->list);
	}
	s->list[s->n++] = (struct suspect){.key = key, .kinds = 1U << kind};
	*slot = (uint32_t)s->n;
}

/* The third reading. */
struct describing {
	struct suspects *suspects;
	const struct subject *subject;
	enum side side;
	struct arena *mem;
	struct buf scratch, text;
};

/* The exact text of a key column whose value its type could not hold. */
static bool exact_text(const json_t *exact, const char *name, struct str *out)
{
	*out = json_get_str(exact, name);
	return out->n > 0 || json_is_string(json_object_get(exact, name));
}

void row_key_json(
	const struct subject *subject, const struct row *r, struct buf *scratch, struct buf *out)
{
	struct json_out j;
	json_t *exact = NULL;
	struct str text;

	if (r->exact.n > 0 && !r->damaged && json_read(r->exact, "_exact", &exact, NULL) != OK)
		exact = NULL;
	buf_reset(out);
	jo_init(&j, out);
	jo_object(&j, NULL);
	for (size_t k = 0; k < subject->nkeys; k++) {
		if (exact != NULL && exact_text(exact, subject->key_names[k], &text))
			jo_str(&j, subject->key_names[k], text);
		else
			value_json(&j, subject->key_names[k], &r->cols[subject->keys[k]], r->at,
				scratch);
	}
	jo_end_object(&j);
	json_decref(exact);
}

size_t witness_count(const struct witness *w)
{
	size_t n = 0;
	for (; w != NULL; w = w->next)
		n++;
	return n;
}

static enum err add_witness(
	struct describing *d, const struct row *r, struct suspect *s, struct error *e)
{
	size_t ncolumns = d->subject->table->ncolumns;
	struct witness *w = arena_alloc(d->mem, sizeof *w);

	w->row = r->hash;
	w->damaged = r->damaged;
	w->columns = arena_array(d->mem, ncolumns + 1, sizeof *w->columns);
	for (size_t c = 0; c < ncolumns; c++)
		TRY(row_column_hash(d->subject, r, c, &d->scratch, &w->columns[c], e));
	w->next = s->seen[d->side];
	s->seen[d->side] = w;
	return OK;
}

struct suspect *suspects_find(const struct suspects *s, struct rowhash key)
{
	const struct suspect wanted = {.key = key};

	return s->n > 0 ? bsearch(&wanted, s->list, s->n, sizeof wanted, by_key) : NULL;
}

static enum err see_row(void *arg, const struct row *r, struct error *e)
{
	struct describing *d = arg;
	struct suspect *s = suspects_find(d->suspects, r->key);

	if (s == NULL)
		return OK;
	if (s->text.n == 0) {
		row_key_json(d->subject, r, &d->scratch, &d->text);
		s->text = arena_str(d->mem, buf_str(&d->text));
	}
	if (witness_count(s->seen[d->side]) >= WITNESSES)
		return OK;
	return add_witness(d, r, s, e);
}

static enum err see_both(struct suspects *s, const struct sides *sides,
	const struct subject *subject, struct arena *mem, struct error *e)
{
	struct describing d = {.suspects = s, .subject = subject, .mem = mem};
	enum err rc = OK;

	buf_init(&d.scratch, BUF_MAX_DEFAULT);
	buf_init(&d.text, BUF_MAX_DEFAULT);
	for (int side = 0; rc == OK && side < SIDES; side++) {
		d.side = (enum side)side;
		rc = rows_read(sides, subject, d.side, see_row, &d, e);
	}
	buf_free(&d.scratch);
	buf_free(&d.text);
	return rc;
}

bool witness_has_row(const struct witness *list, struct rowhash row)
{
	for (; list != NULL; list = list->next)
		if (compare_hash(list->row, row) == 0)
			return true;
	return false;
}

/* The first row under the key that the other side does not have. */
static const struct witness *unmatched(const struct suspect *s, enum side side)
{
	enum side other = side == SIDE_SOURCE ? SIDE_REPLICA : SIDE_SOURCE;

	for (const struct witness *w = s->seen[side]; w != NULL; w = w->next)
		if (!witness_has_row(s->seen[other], w->row))
			return w;
	return NULL;
}

static void differing_columns(const struct suspect *s, const struct subject *subject,
	struct arena *mem, struct reconcile_key *key)
{
	const struct witness *a = unmatched(s, SIDE_SOURCE), *b = unmatched(s, SIDE_REPLICA);
	size_t ncolumns = subject->table->ncolumns;

	if (a == NULL || b == NULL)
		return;
	struct str *columns = arena_array(mem, ncolumns + 1, sizeof *columns);
	for (size_t c = 0; c < ncolumns; c++)
		if (compare_hash(a->columns[c], b->columns[c]) != 0)
			columns[key->ncolumns++] = subject->table->columns[c].name;
	key->columns = columns;
	if (a->damaged || b->damaged)
		columns[key->ncolumns++] = STR("_exact");
}

/* One suspect in one kind. */
struct listed {
	const struct suspect *suspect;
	enum difference kind;
};

static int in_reading_order(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	struct str s = x->suspect->text, t = y->suspect->text;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	/* The shorter first, so that numbers stand in their order. */
	if (s.n != t.n)
		return s.n < t.n ? -1 : 1;
	return str_cmp(s, t);
}

static void list_key(struct reconcile_table *out, const struct listed *l,
	const struct subject *subject, struct arena *mem)
{
	struct reconcile_key *key = &out->keys[out->nkeys++];

	*key = (struct reconcile_key){.key = arena_str(mem, l->suspect->text),
		.kind = l->kind,
		.blame = l->suspect->blame};
	if (l->kind == ROW_DIFFERENT)
		differing_columns(l->suspect, subject, mem, key);
}

/* All are counted; the first of each kind, as a reader orders them, are listed. */
static void list_keys(const struct suspects *s, const struct subject *subject, struct arena *mem,
	struct reconcile_table *out)
{
	struct listed *all = mem_array(s->n * DIFFERENCES + 1, sizeof *all);
	size_t n = 0, of_kind[DIFFERENCES] = {0};

	for (size_t i = 0; i < s->n; i++)
		for (unsigned kind = 0; kind < DIFFERENCES; kind++)
			if ((s->list[i].kinds & 1U << kind) != 0)
				all[n++] = (struct listed){&s->list[i], (enum difference)kind};
	qsort(all, n, sizeof *all, in_reading_order);
	out->keys = arena_array(mem, DIFFERENCES * s->listed + 1, sizeof *out->keys);
	for (size_t i = 0; i < n; i++) {
		out->blamed.by[all[i].suspect->blame]++;
		if (of_kind[all[i].kind]++ < s->listed)
			list_key(out, &all[i], subject, mem);
	}
	out->blamed.keys = n;
	mem_free(all);
}

static enum err describe(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *own, struct error *e)
{
	qsort(s->list, s->n, sizeof *s->list, by_key);
	TRY(see_both(s, sides, subject, own, e));
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].text.n == 0)
			return FAIL(e, ERR_UNAVAILABLE,
				"listing the rows of %.*s that differ: one has gone between two "
				"readings of the same cut; something other than sluice writes to "
				"the warehouse: find it, then reconcile again",
				STR_ARG(subject->name));
	return blame_suspects(s, sides, subject, journal, own, e);
}

enum err suspects_describe(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem,
	struct reconcile_table *out, struct error *e)
{
	struct arena own = {0};

	if (s->n == 0)
		return OK;
	enum err rc = describe(s, sides, subject, journal, &own, e);
	if (rc == OK)
		list_keys(s, subject, mem, out);
	for (size_t i = 0; i < s->n; i++) {
		s->list[i].text = STR_NONE;
		s->list[i].seen[SIDE_SOURCE] = s->list[i].seen[SIDE_REPLICA] = NULL;
	}
	arena_free(&own);
	return rc;
}
