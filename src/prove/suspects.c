#include "suspects.h"

#include <stdlib.h>

#include "blame.h"
#include "json.h"
#include "mem.h"
#include "value_json.h"

/* More than these few copies of one key tell nothing new. */
#define WITNESSES 16

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

void suspects_init(struct suspects *s, size_t max)
{
	*s = (struct suspects){.max = max};
}

void suspects_free(struct suspects *s)
{
	mem_free(s->list);
	*s = (struct suspects){.list = NULL};
}

bool suspects_full(const struct suspects *s, enum difference kind)
{
	return s->count[kind] >= s->max;
}

static struct suspect *find_unsorted(const struct suspects *s, struct rowhash key)
{
	for (size_t i = 0; i < s->n; i++)
		if (compare_hash(s->list[i].key, key) == 0)
			return &s->list[i];
	return NULL;
}

void suspects_add(struct suspects *s, struct rowhash key, enum difference kind)
{
	if (suspects_full(s, kind))
		return;
	struct suspect *known = find_unsorted(s, key);
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

static size_t count_witnesses(const struct witness *w)
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

	return bsearch(&wanted, s->list, s->n, sizeof wanted, by_key);
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
	if (count_witnesses(s->seen[d->side]) >= WITNESSES)
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

static int in_reading_order(const void *a, const void *b)
{
	const struct reconcile_key *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	/* The shorter first, so that numbers stand in their order. */
	if (x->key.n != y->key.n)
		return x->key.n < y->key.n ? -1 : 1;
	return str_cmp(x->key, y->key);
}

static void list_keys(const struct suspects *s, const struct subject *subject, struct arena *mem,
	struct reconcile_table *out)
{
	out->keys = arena_array(mem, s->n * DIFFERENCES + 1, sizeof *out->keys);
	for (size_t i = 0; i < s->n; i++)
		for (unsigned kind = 0; kind < DIFFERENCES; kind++) {
			if ((s->list[i].kinds & 1U << kind) == 0)
				continue;
			struct reconcile_key *key = &out->keys[out->nkeys++];
			*key = (struct reconcile_key){.key = s->list[i].text,
				.kind = (enum difference)kind,
				.blame = s->list[i].blame};
			out->blamed[s->list[i].blame]++;
			if (kind == ROW_DIFFERENT)
				differing_columns(&s->list[i], subject, mem, key);
		}
	qsort(out->keys, out->nkeys, sizeof *out->keys, in_reading_order);
}

enum err suspects_describe(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem,
	struct reconcile_table *out, struct error *e)
{
	if (s->n == 0)
		return OK;
	qsort(s->list, s->n, sizeof *s->list, by_key);
	TRY(see_both(s, sides, subject, mem, e));
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].text.n == 0)
			return FAIL(e, ERR_UNAVAILABLE,
				"listing the rows of %.*s that differ: one has gone between two "
				"readings of the same cut; something other than sluice writes to "
				"the warehouse: find it, then reconcile again",
				STR_ARG(subject->name));
	TRY(blame_suspects(s, sides, subject, journal, mem, e));
	list_keys(s, subject, mem, out);
	return OK;
}
