/*
 * Any bytes as a replication stream: messages, each with a length of two bytes before it. What is
 * decoded lies inside the payload, and any text can be set as a value of any kind.
 */
#include <stdint.h>
#include <stdlib.h>

#include "all_types.h"
#include "arena.h"
#include "batch.h"
#include "pgoutput.h"
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_inside(struct str part, struct str whole)
{
	if (part.n > 0 && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
		abort();
}

#define STRIDE 7 /* not all columns for each value: more inputs in the time there is */

/* A text is taken by any column; it is a value, or a note; never both and never neither. Bytes
 * in binary are taken or refused. */
static void set_everywhere(const struct pgoutput_value *v, struct batch *b)
{
	struct error e = {.kind = OK};
	size_t row = batch_add(b);

	for (size_t col = row % STRIDE; col < ALL_TYPES; col += STRIDE) {
		size_t notes = b->nexact;
		enum err rc = v->kind == PGV_TEXT ? pg_value_text(b, row, col, v->bytes, &e)
						  : pg_value_binary(b, row, col, v->bytes, &e);
		if (rc != OK && (v->kind == PGV_TEXT || rc != ERR_INPUT))
			abort();
		if (rc == OK && vec_is_null(&b->cols[col], row) != (b->nexact > notes))
			abort();
		error_clear(&e);
	}
}

static void set_values(const struct pgoutput_tuple *row, struct str payload, struct batch *b)
{
	for (size_t i = 0; i < row->n; i++) {
		const struct pgoutput_value *v = &row->values[i];
		must_be_inside(v->bytes, payload);
		if (v->kind == PGV_TEXT || v->kind == PGV_BINARY)
			set_everywhere(v, b);
	}
}

static void use(const struct pgoutput_msg *m, struct str payload, struct batch *b)
{
	must_be_inside(m->relation.name, payload);
	must_be_inside(m->content, payload);
	must_be_inside(m->prefix, payload);
	must_be_inside(m->gid, payload);
	for (size_t i = 0; i < m->relation.n; i++)
		must_be_inside(m->relation.columns[i].name, payload);
	uint32_t sum = 0;
	for (uint32_t i = 0; i < m->nrelids; i++)
		sum += m->relids[i];
	(void)sum;
	set_values(&m->old_row, payload, b);
	set_values(&m->new_row, payload, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(str_make(data, size));
	struct column columns[ALL_TYPES];
	struct table table;

	all_types_table(&table, columns);
	struct pgoutput *d = pgoutput_new();
	struct batch *b = batch_new(&table);
	while (reader_left(&r) > 0) {
		struct error e = {.kind = OK};
		struct pgoutput_msg m;
		size_t n = read_be16(&r);
		struct str payload = read_bytes(&r, n < reader_left(&r) ? n : reader_left(&r));
		enum err rc = pgoutput_decode(d, payload, &m, &e);
		if (rc == OK)
			use(&m, payload, b);
		else if (rc != ERR_INPUT || e.text[0] == '\0')
			abort();
	}
	batch_free(b);
	pgoutput_free(d);
	return 0;
}
