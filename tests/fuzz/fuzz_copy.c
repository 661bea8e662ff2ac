/*
 * Any bytes as a binary COPY. The first byte says how they are cut into pieces, the second how
 * many rows fill a batch. However they are cut, the rows and the outcome are the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "all_types.h"
#include "batch.h"
#include "canon.h"
#include "copy_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum err rc;
	size_t rows;
	uint64_t sum;
	struct buf canonical;
};

/* Every value is looked at, so that a view that points nowhere is seen. */
static void take_rows(const struct batch *b, struct outcome *o)
{
	size_t note = 0;

	for (size_t row = 0; row < b->rows; row++)
		for (size_t col = 0; col < ALL_TYPES; col++) {
			struct str exact = STR_NONE;
			if (note < b->nexact && b->exact[note].row == row &&
				b->exact[note].column == col)
				exact = b->exact[note++].text;
			buf_reset(&o->canonical);
			canon_value(&o->canonical, &b->cols[col], row, exact);
			o->sum = o->sum * 31 + str_hash(buf_str(&o->canonical));
		}
	o->rows += b->rows;
}

static void copy(struct batch *b, struct str bytes, size_t step, size_t most, struct outcome *o)
{
	struct error e = {.kind = OK};
	struct copy_rows c;

	*o = (struct outcome){.rc = OK};
	buf_init(&o->canonical, BUF_MAX_DEFAULT);
	copy_rows_init(&c, b);
	while (bytes.n > 0 && o->rc == OK) {
		struct str piece = str_make(bytes.p, step < bytes.n ? step : bytes.n);
		bytes = str_from(bytes, piece.n);
		bool full = true;
		while (full && o->rc == OK) {
			o->rc = copy_rows_feed(&c, &piece, most, &e);
			full = b->rows >= most;
			if (full && o->rc == OK) {
				take_rows(b, o);
				batch_reset(b);
			}
		}
	}
	take_rows(b, o);
	batch_reset(b);
	if (o->rc == OK)
		o->rc = copy_rows_finish(&c, &e);
	if (o->rc != OK && (o->rc != ERR_INPUT || e.text[0] == '\0'))
		abort();
	copy_rows_free(&c);
	buf_free(&o->canonical);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct column columns[ALL_TYPES];
	struct table table;
	struct outcome pieces, whole;

	if (size < 2)
		return 0;
	all_types_table(&table, columns);
	struct batch *b = batch_new(&table);
	struct str bytes = str_make(data + 2, size - 2);
	copy(b, bytes, 1 + (size_t)data[0] % 64, 1 + (size_t)data[1] % 8, &pieces);
	copy(b, bytes, bytes.n + 1, 1000000, &whole);
	if (pieces.rc != whole.rc || pieces.rows != whole.rows || pieces.sum != whole.sum)
		abort();
	batch_free(b);
	return 0;
}
