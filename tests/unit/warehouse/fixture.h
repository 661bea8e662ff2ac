/* What the warehouse tests share: a DuckDB file in a directory of its own, rows, and answers. */
#ifndef SLUICE_WAREHOUSE_FIXTURE_H
#define SLUICE_WAREHOUSE_FIXTURE_H

#include "unit.h"

#include "env.h"
#include "rnd.h"
#include "warehouse.h"

struct fixture {
	char dir[128];
	char url[192];
	struct rnd rnd;
	struct env env;
	struct warehouse *w;
	struct arena mem;
	struct error e;
};

/* cmocka setup and teardown: *state is a struct fixture with an open, prepared warehouse. */
int fixture_up(void **state);
int fixture_down(void **state);
void fixture_reopen(struct fixture *f);

/* A table "shop.NAME" with the columns "name type [key], ..." such as "id int8 key, note text,
 * price decimal(10,2)". */
struct table *make_table(struct fixture *f, const char *name, const char *columns);

/* One change. Cells are texts in the order of the columns, "a|b|c": "-" is NULL, "?" an unchanged
 * value, "!text" a value kept in _exact. Text, int8, decimal, timestamptz (seconds) are known. */
size_t add_row(
	struct batch *b, char op, uint64_t at, uint32_t seq, uint64_t xid, const char *cells);

/* Applies a batch with the fold that replication would find for it (key: the first column). */
enum err apply_batch(struct fixture *f, const struct batch *b, bool fresh, const char *mark);
void must_apply(struct fixture *f, const struct batch *b);

/* The whole answer: values joined by '|', rows by '\n'; NULL is "-". Lives in the fixture. */
const char *answer(struct fixture *f, const char *sql);

#endif
