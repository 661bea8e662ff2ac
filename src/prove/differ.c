#include "differ.h"

#include <stdlib.h>

#include "mem.h"
#include "suspects.h"

/* What is to be done with the rows of a bucket. */
enum task {
	TASK_DONE,
	TASK_LATER,        /* both sides have rows; waits for its group */
	TASK_MATCH,        /* in the group being read */
	TASK_ONLY_SOURCE,  /* the replica has none: counted without being held */
	TASK_ONLY_REPLICA, /* likewise */
};

struct entry {
	struct rowhash key, row;
};

struct pile {
	struct entry *e;
	size_t n, cap;
};

struct matching {
	const struct differ *d;
	uint8_t *task; /* enum task, one a bucket */
	bool listing;  /* the rows of one-sided buckets are wanted: first group only */
	enum side side;
	struct pile pile[SIDES];
	struct suspects suspects;
	struct reconcile_table *out;
};

static void pile_add(struct pile *p, const struct row *r)
{
	if (p->n == p->cap) {
		p->cap = p->cap > 0 ? p->cap * 2 : 4096;
		p->e = mem_realloc_array(p->e, p->cap, sizeof *p->e);
	}
	p->e[p->n++] = (struct entry){.key = r->key, .row = r->hash};
}

static int compare_hash(struct rowhash a, struct rowhash b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return (a.lo > b.lo) - (a.lo < b.lo);
}

static int by_key_and_row(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = compare_hash(x->key, y->key);
	return order != 0 ? order : compare_hash(x->row, y->row);
}

/* One-sided buckets need no second look but for the keys to list. */
static void plan(struct matching *m)
{
	const struct buckets *s = m->d->bucket[SIDE_SOURCE], *r = m->d->bucket[SIDE_REPLICA];

	for (size_t i = 0; i < s->n; i++) {
		if (digest_eq(&s->each[i], &r->each[i]))
			continue;
		if (r->each[i].rows == 0) {
			m->task[i] = TASK_ONLY_SOURCE;
			m->out->count[ROW_MISSING] += s->each[i].rows;
		} else if (s->each[i].rows == 0) {
			m->task[i] = TASK_ONLY_REPLICA;
			m->out->count[ROW_EXTRA] += r->each[i].rows;
		} else {
			m->task[i] = TASK_LATER;
		}
	}
}

/* Moves as many waiting buckets into the group as its rows allow; false when none waited. */
static bool next_group(struct matching *m)
{
	const struct buckets *s = m->d->bucket[SIDE_SOURCE], *r = m->d->bucket[SIDE_REPLICA];
	uint64_t rows = 0;
	bool some = false;

	for (size_t i = 0; i < s->n; i++) {
		if (m->task[i] == TASK_MATCH)
			m->task[i] = TASK_DONE;
		if (m->task[i] != TASK_LATER)
			continue;
		uint64_t more = s->each[i].rows + r->each[i].rows;
		if (some && rows + more > m->d->group_rows)
			continue;
		rows += more;
		some = true;
		m->task[i] = TASK_MATCH;
	}
	return some;
}

static void tell(struct matching *m, struct rowhash key, enum difference kind, uint64_t n)
{
	suspects_add(&m->suspects, key, kind);
	if (m->d->found != NULL)
		m->d->found(m->d->found_arg, key, kind, n);
}

static enum err sort_out(void *arg, const struct row *r, struct error *e)
{
	struct matching *m = arg;

	(void)e;
	switch ((enum task)m->task[bucket_of(m->d->bucket[SIDE_SOURCE], r->key)]) {
	case TASK_MATCH:
		pile_add(&m->pile[m->side], r);
		break;
	case TASK_ONLY_SOURCE:
		if (m->listing && m->side == SIDE_SOURCE)
			tell(m, r->key, ROW_MISSING, 1);
		break;
	case TASK_ONLY_REPLICA:
		if (m->listing && m->side == SIDE_REPLICA)
			tell(m, r->key, ROW_EXTRA, 1);
		break;
	case TASK_DONE:
	case TASK_LATER:
		break;
	}
	return OK;
}

static size_t run_of_key(const struct pile *p, size_t from, struct rowhash key)
{
	size_t n = 0;
	while (from + n < p->n && compare_hash(p->e[from + n].key, key) == 0)
		n++;
	return n;
}

static void report(struct matching *m, struct rowhash key, enum difference kind, uint64_t n)
{
	if (n == 0)
		return;
	m->out->count[kind] += n;
	tell(m, key, kind, n);
}

/* Rows under one key: equal ones cancel, the rest are paired as changed, then one side's. */
static void judge_key(struct matching *m, struct rowhash key, const struct entry *s, size_t ns,
	const struct entry *r, size_t nr)
{
	size_t i = 0, k = 0, equal = 0;

	while (i < ns && k < nr) {
		int order = compare_hash(s[i].row, r[k].row);
		equal += order == 0;
		i += order <= 0;
		k += order >= 0;
	}
	size_t left_s = ns - equal, left_r = nr - equal;
	size_t changed = left_s < left_r ? left_s : left_r;
	report(m, key, ROW_DIFFERENT, changed);
	report(m, key, ROW_MISSING, left_s - changed);
	report(m, key, ROW_EXTRA, left_r - changed);
}

static void judge_group(struct matching *m)
{
	struct pile *s = &m->pile[SIDE_SOURCE], *r = &m->pile[SIDE_REPLICA];
	size_t i = 0, k = 0;

	if (s->n > 0)
		qsort(s->e, s->n, sizeof *s->e, by_key_and_row);
	if (r->n > 0)
		qsort(r->e, r->n, sizeof *r->e, by_key_and_row);
	while (i < s->n || k < r->n) {
		struct rowhash key = k == r->n ||
				(i < s->n && compare_hash(s->e[i].key, r->e[k].key) < 0)
			? s->e[i].key
			: r->e[k].key;
		size_t ns = run_of_key(s, i, key), nr = run_of_key(r, k, key);
		judge_key(m, key, s->e + i, ns, r->e + k, nr);
		i += ns;
		k += nr;
	}
	s->n = r->n = 0;
}

static enum err read_group(struct matching *m, struct error *e)
{
	for (int side = 0; side < SIDES; side++) {
		m->side = (enum side)side;
		TRY(rows_read(m->d->sides, m->d->subject, m->side, sort_out, m, e));
	}
	judge_group(m);
	return OK;
}

/* The first reading also serves one-sided buckets, so it may have to be made for them alone. */
static enum err match_all(struct matching *m, struct error *e)
{
	uint64_t one_sided = m->out->count[ROW_MISSING] + m->out->count[ROW_EXTRA];
	bool group = next_group(m);

	m->listing = one_sided > 0 && (m->d->max_keys > 0 || m->d->found != NULL);
	while (group || m->listing) {
		TRY(read_group(m, e));
		m->listing = false;
		group = next_group(m);
	}
	return OK;
}

enum err differ_find(
	const struct differ *d, struct arena *mem, struct reconcile_table *out, struct error *e)
{
	struct matching m = {.d = d, .out = out, .task = mem_zalloc(d->bucket[SIDE_SOURCE]->n)};

	suspects_init(&m.suspects, d->max_keys);
	plan(&m);
	enum err rc = match_all(&m, e);
	if (rc == OK)
		rc = suspects_describe(&m.suspects, d->sides, d->subject, d->journal, mem, out, e);
	if (d->suspects != NULL)
		*d->suspects = m.suspects;
	else
		suspects_free(&m.suspects);
	for (int side = 0; side < SIDES; side++)
		mem_free(m.pile[side].e);
	mem_free(m.task);
	return rc;
}
