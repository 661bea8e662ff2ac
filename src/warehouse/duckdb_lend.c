/*
 * Rows lent to SQL: "SELECT * FROM sluice_rows(N)" reads vecs of ours where they lie, on as many
 * threads as the engine gives it. An appender would copy every row once more and keep a thread
 * busy waiting (measured: a third of the time of large inserts).
 *
 * N comes from a list of what is lent just now. A number that somebody typed is in no list, and
 * is an error, not a memory address.
 */
#include "duckdb_driver.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "mem.h"

/* A thread takes so many rows at a time: one row group of DuckDB. */
#define SLAB ((size_t)122880)

struct duck_lent {
	struct duck_lent *next;
	int64_t number;
	struct duck_lending what;
};

struct duck_lender {
	pthread_mutex_t lock; /* guards what follows */
	struct duck_lent *lent;
	int64_t last;
};

struct duck_lender *duck_lender_new(void)
{
	struct duck_lender *l = mem_zalloc(sizeof *l);

	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void duck_lender_free(struct duck_lender *l)
{
	if (l == NULL)
		return;
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static void lend(struct duck_lender *l, struct duck_lent *x)
{
	pthread_mutex_lock(&l->lock);
	x->number = ++l->last;
	x->next = l->lent;
	l->lent = x;
	pthread_mutex_unlock(&l->lock);
}

static void take_back(struct duck_lender *l, struct duck_lent *x)
{
	pthread_mutex_lock(&l->lock);
	for (struct duck_lent **at = &l->lent; *at != NULL; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			break;
		}
	pthread_mutex_unlock(&l->lock);
}

static struct duck_lending *find(struct duck_lender *l, int64_t number)
{
	struct duck_lending *found = NULL;

	pthread_mutex_lock(&l->lock);
	for (struct duck_lent *x = l->lent; x != NULL && found == NULL; x = x->next)
		if (x->number == number)
			found = &x->what;
	pthread_mutex_unlock(&l->lock);
	return found;
}

/* ---- the table function ---- */

static void bind(duckdb_bind_info info)
{
	struct duck_lender *l = duckdb_bind_get_extra_info(info);
	duckdb_value v = duckdb_bind_get_parameter(info, 0);
	struct duck_lending *what = find(l, duckdb_get_int64(v));

	duckdb_destroy_value(&v);
	if (what == NULL) {
		duckdb_bind_set_error(info, "sluice_rows() is for sluice's own use");
		return;
	}
	for (size_t i = 0; i < what->ncols; i++)
		duckdb_bind_add_result_column(info, what->names[i], what->types[i]);
	duckdb_bind_set_cardinality(info, what->rows->n, true);
	duckdb_bind_set_bind_data(info, what, NULL);
}

static void init(duckdb_init_info info)
{
	const struct duck_lending *what = duckdb_init_get_bind_data(info);
	atomic_size_t *next = mem_zalloc(sizeof *next);

	atomic_init(next, 0);
	duckdb_init_set_init_data(info, next, mem_free);
	duckdb_init_set_max_threads(info, what->rows->n / SLAB + 1);
}

/* What one thread has taken and not yet handed over. */
struct slab {
	size_t at, end;
};

static void init_thread(duckdb_init_info info)
{
	duckdb_init_set_init_data(info, mem_zalloc(sizeof(struct slab)), mem_free);
}

static void scan(duckdb_function_info info, duckdb_data_chunk out)
{
	const struct duck_lending *what = duckdb_function_get_bind_data(info);
	atomic_size_t *next = duckdb_function_get_init_data(info);
	struct slab *s = duckdb_function_get_local_init_data(info);
	size_t all = what->rows->n, most = duckdb_vector_size();

	if (s->at == s->end) {
		s->at = atomic_fetch_add(next, SLAB);
		s->at = s->at < all ? s->at : all;
		s->end = all - s->at < SLAB ? all : s->at + SLAB;
	}
	size_t n = s->end - s->at < most ? s->end - s->at : most;
	struct rows part = {
		.list = what->rows->list != NULL ? what->rows->list + s->at : NULL,
		.from = what->rows->from + s->at,
		.n = n,
	};
	for (size_t i = 0; i < what->ncols && n > 0; i++)
		duck_write(duckdb_data_chunk_get_vector(out, i), &what->cols[i], &part);
	duckdb_data_chunk_set_size(out, n);
	s->at += n;
}

enum err duck_lender_register(struct duck_lender *l, duckdb_connection c, struct error *e)
{
	duckdb_table_function f = duckdb_create_table_function();
	duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);

	duckdb_table_function_set_name(f, "sluice_rows");
	duckdb_table_function_add_parameter(f, number);
	duckdb_table_function_set_extra_info(f, l, NULL);
	duckdb_table_function_set_bind(f, bind);
	duckdb_table_function_set_init(f, init);
	duckdb_table_function_set_local_init(f, init_thread);
	duckdb_table_function_set_function(f, scan);
	duckdb_state done = duckdb_register_table_function(c, f);
	duckdb_destroy_logical_type(&number);
	duckdb_destroy_table_function(&f);
	if (done == DuckDBSuccess)
		return OK;
	return FAIL(e, ERR_FAILED,
		"opening the warehouse: DuckDB does not take the table function sluice_rows");
}

enum err duck_insert_lent(struct duck_lender *l, duckdb_connection c, const struct duck_target *to,
	const struct duck_lending *what, const char *doing, struct error *e)
{
	struct duck_lent x = {.what = *what};
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "INSERT INTO ");
	if (to->catalog != NULL) {
		sql_name(&sql, str_of(to->catalog));
		buf_putc(&sql, '.');
	}
	sql_name(&sql, str_of(to->schema));
	buf_putc(&sql, '.');
	sql_name(&sql, str_of(to->table));
	for (size_t i = 0; i < to->ncols; i++) {
		buf_puts(&sql, i > 0 ? ", " : " (");
		sql_name(&sql, str_of(to->names[i]));
	}
	lend(l, &x);
	buf_putf(&sql, ") SELECT * FROM sluice_rows(%" PRId64 ")", x.number);
	enum err rc = duck_work(c, &sql, doing, e);
	take_back(l, &x);
	buf_free(&sql);
	return rc;
}
