/*
 * Any bytes as a replication stream: messages, each with a length of two bytes before it. What is
 * decoded lies inside the payload, and any text can be set as a value of any kind.
 */
#include <stdint.h>
#include <stdlib.h>

#include "arena.h"
#include "batch.h"
#include "pg_value.h"
#include "pgoutput.h"
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of each kind one: bool, integers, oid, floats, numerics, text, json, bytea, uuid, times. */
static const struct {
	uint32_t oid;
	int32_t modifier;
} types[] = {{16, -1}, {21, -1}, {23, -1}, {20, -1}, {26, -1}, {700, -1}, {701, -1}, {1700, -1},
	{1700, (10 << 16 | 2) + 4}, {25, -1}, {114, -1}, {17, -1}, {2950, -1}, {1082, -1},
	{1083, -1}, {1114, -1}, {1184, -1}, {1186, -1}};

#define TYPES (sizeof types / sizeof *types)

static void fill_table(struct table *t, struct column *columns)
{
	for (size_t i = 0; i < TYPES; i++)
		columns[i] = (struct column){.name = STR("c"),
			.pg_type = types[i].oid,
			.pg_modifier = types[i].modifier,
			.type = pg_landing(types[i].oid, types[i].modifier)};
	*t = (struct table){.name = STR("t"), .ncolumns = TYPES, .columns = columns};
}

static void must_be_inside(struct str part, struct str whole)
{
	if (part.n > 0 && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
		abort();
}

/* The values go to the columns in turn, so that each kind meets each text. */
static void set_values(const struct pgoutput_tuple *row, struct str payload, struct batch *b)
{
	struct error e = {.kind = OK};

	for (size_t i = 0; i < row->n; i++) {
		const struct pgoutput_value *v = &row->values[i];
		must_be_inside(v->bytes, payload);
		if (v->kind != PGV_TEXT)
			continue;
		size_t at = batch_add(b);
		for (size_t col = 0; col < TYPES; col++) {
			size_t notes = b->nexact;
			if (pg_value_text(b, at, col, v->bytes, &e) != OK)
				abort();
			if (vec_is_null(&b->cols[col], at) != (b->nexact > notes))
				abort(); /* a value, or a note; never both and never neither */
		}
	}
}

static void use(const struct pgoutput_msg *m, struct str payload, struct batch *b)
{
	must_be_inside(m->relation.name, payload);
	must_be_inside(m->content, payload);
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
	struct column columns[TYPES];
	struct table table;

	fill_table(&table, columns);
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
