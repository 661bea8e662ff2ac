#include "folds.h"

#include "mem.h"
#include "touched.h"

enum { MORE_OP, MORE_LSN, MORE_SEQ, MORE_XID, MORES };

void folds_init(struct folds *f, const struct cut *cut, const struct cut *later)
{
	*f = (struct folds){.cut = {cut, later}, .ncuts = later != NULL ? 2 : 1};
}

void folds_free(struct folds *f)
{
	mem_free(f->slots);
	*f = (struct folds){.n = 0};
}

static struct fold *slot_of(const struct folds *f, struct rowhash key)
{
	size_t i = (size_t)key.lo & (f->cap - 1);

	while (f->slots[i].used && (f->slots[i].key.lo != key.lo || f->slots[i].key.hi != key.hi))
		i = (i + 1) & (f->cap - 1);
	return &f->slots[i];
}

static void grow(struct folds *f)
{
	struct fold *old = f->slots;
	size_t n = f->cap;

	f->cap = n > 0 ? n * 2 : 1024;
	f->slots = mem_array(f->cap, sizeof *f->slots);
	for (size_t i = 0; i < n; i++)
		if (old[i].used)
			*slot_of(f, old[i].key) = old[i];
	mem_free(old);
}

struct fold *folds_find(const struct folds *f, struct rowhash key)
{
	if (f->cap == 0)
		return NULL;
	struct fold *x = slot_of(f, key);
	return x->used ? x : NULL;
}

static bool is_after(struct fold_place a, struct fold_place b)
{
	return a.lsn != b.lsn ? a.lsn > b.lsn : a.seq > b.seq;
}

bool fold_alive(const struct folds *f, const struct fold *x, size_t which)
{
	const struct fold_version *v = &x->at[which];

	if (!v->told || v->deleted)
		return false;
	return !f->cleared[which].is || is_after(v->place, f->cleared[which].place);
}

static struct fold *find_or_add(struct folds *f, struct rowhash key)
{
	if (4 * (f->n + 1) > 3 * f->cap)
		grow(f);
	struct fold *x = slot_of(f, key);
	if (!x->used) {
		*x = (struct fold){.key = key, .used = true};
		f->n++;
	}
	return x;
}

static void see_truncation(struct folds *f, size_t i, struct fold_place place)
{
	if (f->cleared[i].is && !is_after(place, f->cleared[i].place))
		return;
	f->cleared[i].is = true;
	f->cleared[i].place = place;
}

static void see_version(
	struct fold_version *v, struct fold_place place, const struct row *r, bool deleted)
{
	if (!v->told || is_after(place, v->place))
		*v = (struct fold_version){
			.place = place, .told = true, .deleted = deleted, .row = r->hash};
}

static enum err see_entry(void *arg, const struct row *r, struct error *e)
{
	struct folds *f = arg;
	struct str op = vec_text(&r->more[MORE_OP], r->at);
	const lsn commit = {VEC_AT(&r->more[MORE_LSN], uint64_t, r->at)};
	uint64_t xid = VEC_AT(&r->more[MORE_XID], uint64_t, r->at);
	const struct fold_place place = {
		.lsn = commit.v, .seq = VEC_AT(&r->more[MORE_SEQ], uint32_t, r->at)};
	bool truncation = str_eqc(op, "T");

	(void)e;
	if (!truncation && (r->key.hi & f->class_mask) != f->class)
		return OK;
	struct fold *x = truncation ? NULL : find_or_add(f, r->key);
	for (size_t i = 0; i < f->ncuts; i++) {
		if (xid != 0 && !cut_includes(f->cut[i], xid, commit))
			continue;
		if (truncation)
			see_truncation(f, i, place);
		else
			see_version(&x->at[i], place, r, str_eqc(op, "D"));
	}
	return OK;
}

enum err folds_read(struct folds *f, const struct sides *s, const struct subject *subject,
	const struct buf *where, struct error *e)
{
	const struct table *t = subject->table;
	struct buf sql;

	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT ");
	for (size_t c = 0; c < t->ncolumns; c++) {
		sql_name(&sql, t->columns[c].name);
		buf_puts(&sql, ", ");
	}
	/* LSNs and transaction ids are non-negative, so their bytes are those of the unsigned. */
	buf_puts(&sql, "_exact, _op, _lsn, _seq, _xid FROM ");
	touched_put_history(&sql, t);
	if (where != NULL)
		buf_putf(&sql, " WHERE %.*s", STR_ARG(buf_str(where)));
	else if (subject->where[SIDE_REPLICA].n > 0)
		buf_putf(&sql, " WHERE (_op = 'T' OR (%.*s))",
			STR_ARG(subject->where[SIDE_REPLICA]));
	enum err rc = rows_read_sql(s, subject, buf_str(&sql), MORES, see_entry, f, e);
	buf_free(&sql);
	return rc;
}
