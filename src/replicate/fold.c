#include "fold.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "canon.h"
#include "mem.h"
#include "shape.h"

void fold_free(struct fold *f)
{
	mem_free(f->slots);
	mem_free(f->entries);
	mem_free(f->newest);
	mem_free(f->flags);
	mem_free(f->below);
	if (f->ready)
		buf_free(&f->keys);
	*f = (struct fold){0};
}

/* Slots are sized to the batch, not to the largest one seen: clearing them is the first cost. */
static void prepare(struct fold *f, size_t rows)
{
	size_t want = 64;

	while (want < rows * 2)
		want *= 2;
	if (want > f->capslots) {
		mem_free(f->slots);
		f->slots = mem_array(want, sizeof(*f->slots));
		f->capslots = want;
	} else
		memset(f->slots, 0, want * sizeof(*f->slots));
	f->nslots = want;
	f->nentries = 0;
	if (!f->ready)
		buf_init(&f->keys, SIZE_MAX / 2);
	f->ready = true;
	buf_reset(&f->keys);
	if (rows > f->capentries) {
		f->capentries = rows;
		f->entries = mem_realloc_array(f->entries, rows, sizeof(*f->entries));
	}
}

static void write_key(struct fold *f, const struct batch *b, size_t row)
{
	const struct table *t = b->table;

	for (size_t i = 0; i < t->nkeys; i++) {
		size_t c = t->keys[i];
		struct str exact = STR_NONE;
		if (b->nexact > 0)
			exact = shape_exact(b, row, c);
		canon_value(&f->keys, &b->cols[c], row, exact);
	}
}

/* Without a key nothing replaces anything: every row stands for itself. */
static struct fold_entry *add_alone(struct fold *f)
{
	f->entries[f->nentries] = (struct fold_entry){.key = 0};
	return &f->entries[f->nentries++];
}

/* The entry of the row's key, a new one when it is not there. */
static struct fold_entry *find(struct fold *f, const struct batch *b, size_t row)
{
	size_t from = f->keys.n;

	if (b->table->nkeys == 0)
		return add_alone(f);

	write_key(f, b, row);
	size_t n = f->keys.n - from;
	uint64_t hash = XXH3_64bits(f->keys.p + from, n);
	size_t at = (size_t)hash & (f->nslots - 1);
	for (; f->slots[at] != 0; at = (at + 1) & (f->nslots - 1)) {
		struct fold_entry *old = &f->entries[f->slots[at] - 1];
		if (old->hash == hash && old->length == n &&
			memcmp(f->keys.p + old->key, f->keys.p + from, n) == 0) {
			f->keys.n = from;
			return old;
		}
	}
	f->entries[f->nentries] = (struct fold_entry){
		.hash = hash, .key = from, .length = (uint32_t)n, .newest = FOLD_NONE};
	f->slots[at] = (uint32_t)++f->nentries;
	return &f->entries[f->nentries - 1];
}

static void forget_all(struct fold *f)
{
	memset(f->slots, 0, f->nslots * sizeof(*f->slots));
	f->nentries = 0;
	buf_reset(&f->keys);
}

static void prepare_bag(struct fold *f, size_t rows)
{
	if (rows <= f->capbelow)
		return;
	f->capbelow = rows;
	f->below = mem_realloc_array(f->below, rows, sizeof(*f->below));
}

/* An insertion and a deletion of equal rows cancel each other; those of one kind pile up. */
static void pile(struct fold *f, struct fold_entry *entry, const struct batch *b, size_t row)
{
	uint32_t top = entry->newest;
	bool opposite = top != FOLD_NONE && (b->op[top] == OP_DELETE) != (b->op[row] == OP_DELETE);

	if (opposite) {
		entry->newest = f->below[top];
		return;
	}
	f->below[row] = top;
	entry->newest = (uint32_t)row;
}

/* How many rows are to be written; each has its flag. */
static size_t flag(struct fold *f, bool bag)
{
	size_t n = 0;

	for (size_t i = 0; i < f->nentries; i++)
		for (uint32_t row = f->entries[i].newest; row != FOLD_NONE;
			row = bag ? f->below[row] : FOLD_NONE) {
			f->flags[row] = 1;
			n++;
		}
	return n;
}

static void collect(struct fold *f, const struct batch *b, struct table_changes *out)
{
	size_t n = 0, rows = b->rows;

	if (rows > f->capflags) {
		f->capflags = rows;
		f->flags = mem_realloc(f->flags, rows);
	}
	memset(f->flags, 0, rows);
	size_t flagged = flag(f, table_is_bag(b->table));
	if (flagged > f->capnewest) {
		f->capnewest = flagged;
		f->newest = mem_realloc_array(f->newest, flagged, sizeof(*f->newest));
	}
	for (size_t row = 0; row < rows; row++)
		if (f->flags[row] != 0)
			f->newest[n++] = (uint32_t)row;
	out->newest = f->newest;
	out->nnewest = n;
}

void fold_run(struct fold *f, const struct batch *b, struct table_changes *out)
{
	bool bag = table_is_bag(b->table);

	prepare(f, b->rows);
	if (bag)
		prepare_bag(f, b->rows);
	out->truncated = false;
	for (size_t row = 0; row < b->rows; row++) {
		if (b->op[row] == OP_TRUNCATE) {
			forget_all(f);
			out->truncated = true;
			continue;
		}
		struct fold_entry *entry = find(f, b, row);
		if (bag)
			pile(f, entry, b, row);
		else
			entry->newest = (uint32_t)row;
	}
	collect(f, b, out);
}
