#include "duckdb_driver.h"

#include "mem.h"

/* Up to here the appender is quicker: planning an INSERT takes some tenths of a millisecond. */
#define APPENDER_ROWS 16384

struct append {
	struct duck *d;
	duckdb_connection c;
	const struct duck_target *to;
	const struct vec *cols;
	const char *doing;
	duckdb_appender appender;
	duckdb_logical_type *types;
	duckdb_data_chunk chunk;
};

/* The columns in our order, with the types that the table gives them. */
static enum err bind_columns(struct append *a, struct error *e)
{
	const struct duck_target *to = a->to;
	char type[DUCK_TYPE_TEXT];

	for (size_t i = 0; i < to->ncols; i++)
		if (duckdb_appender_add_column(a->appender, to->names[i]) != DuckDBSuccess)
			return FAIL(e, ERR_INPUT,
				"%s: the table %s.%s has no column %s; make the table fit first",
				a->doing, to->schema, to->table, to->names[i]);
	for (size_t i = 0; i < to->ncols; i++) {
		a->types[i] = duckdb_appender_column_type(a->appender, i);
		if (!duck_type_takes(a->types[i], a->cols[i].type))
			return FAIL(e, ERR_INPUT,
				"%s: the column %s of %s.%s is not of type %s, which the rows "
				"have; make the table fit first",
				a->doing, to->names[i], to->schema, to->table,
				duck_type_ok(a->cols[i].type) ? duck_type(a->cols[i].type, type)
							      : "(none)");
	}
	return OK;
}

static enum err lend_rows(struct append *a, const struct rows *rows, struct error *e)
{
	const struct duck_lending what = {.names = a->to->names,
		.types = a->types,
		.cols = a->cols,
		.ncols = a->to->ncols,
		.rows = rows};

	return duck_insert_lent(a->d->lender, a->c, a->to, &what, a->doing, e);
}

static enum err send_rows(struct append *a, const struct rows *rows, struct error *e)
{
	size_t most = duckdb_vector_size();

	a->chunk = duckdb_create_data_chunk(a->types, a->to->ncols);
	if (a->chunk == NULL)
		return FAIL(e, ERR_FAILED, "%s: DuckDB makes no data chunk for %s.%s", a->doing,
			a->to->schema, a->to->table);
	for (size_t done = 0; done < rows->n; done += most) {
		size_t n = rows->n - done < most ? rows->n - done : most;
		struct rows part = {
			.list = rows->list != NULL ? rows->list + done : NULL,
			.from = rows->from + done,
			.n = n,
		};

		duckdb_data_chunk_reset(a->chunk);
		for (size_t i = 0; i < a->to->ncols; i++)
			duck_write(duckdb_data_chunk_get_vector(a->chunk, i), &a->cols[i], &part);
		duckdb_data_chunk_set_size(a->chunk, n);
		if (duckdb_append_data_chunk(a->appender, a->chunk) != DuckDBSuccess)
			return duck_fail_appender(e, a->appender, a->doing);
	}
	return OK;
}

static enum err run(struct append *a, const struct rows *rows, struct error *e)
{
	if (duckdb_appender_create_ext(a->c, a->to->catalog, a->to->schema, a->to->table,
		    &a->appender) != DuckDBSuccess)
		return duck_fail_appender(e, a->appender, a->doing);
	TRY(bind_columns(a, e));
	if (rows->n > APPENDER_ROWS)
		return lend_rows(a, rows, e);
	TRY(send_rows(a, rows, e));
	if (duckdb_appender_close(a->appender) != DuckDBSuccess)
		return duck_fail_appender(e, a->appender, a->doing);
	return OK;
}

enum err duck_append(struct duck *d, duckdb_connection c, const struct duck_target *to,
	const struct vec *cols, const struct rows *rows, const char *doing, struct error *e)
{
	struct append a = {.d = d, .c = c, .to = to, .cols = cols, .doing = doing};

	if (rows->n == 0)
		return OK;
	a.types = mem_array(to->ncols, sizeof(duckdb_logical_type));
	enum err rc = run(&a, rows, e);
	if (a.chunk != NULL)
		duckdb_destroy_data_chunk(&a.chunk);
	for (size_t i = 0; i < to->ncols; i++)
		if (a.types[i] != NULL)
			duckdb_destroy_logical_type(&a.types[i]);
	mem_free(a.types);
	/* After a failure destroying reports it once more; it has been recorded. */
	if (a.appender != NULL)
		(void)duckdb_appender_destroy(&a.appender);
	return rc;
}

/* Values of T_TEXT must be UTF-8 here: there is no _exact to keep others in. */
static enum err check_values(const struct chunk *rows, struct error *e)
{
	for (size_t c = 0; c < rows->ncols; c++) {
		if (!duck_type_ok(rows->cols[c].type))
			return FAIL(e, ERR_INPUT, "inserting rows: column %s has no valid type",
				rows->names[c]);
		for (size_t row = 0; row < rows->rows; row++)
			if (!vec_is_null(&rows->cols[c], row) && !duck_holds(&rows->cols[c], row))
				return FAIL(e, ERR_INPUT,
					"inserting rows: the value of %s in row %zu does not fit "
					"its type",
					rows->names[c], row);
	}
	return OK;
}

enum err duck_insert(struct warehouse *w, struct str dataset, struct str table,
	const struct chunk *rows, struct error *e)
{
	struct duck *d = duck_of(w);
	duckdb_connection c = NULL;

	TRY(check_values(rows, e));
	TRY(duck_connect(d, &c, e));
	char *schema = mem_cstr(dataset), *name = mem_cstr(table);
	struct duck_target to = {
		.schema = schema, .table = name, .names = rows->names, .ncols = rows->ncols};
	struct rows all = {.n = rows->rows};
	enum err rc = duck_execs(c, "BEGIN", "inserting rows", e);
	if (rc == OK)
		rc = duck_append(d, c, &to, rows->cols, &all, "inserting rows", e);
	if (rc == OK)
		rc = duck_execs(c, "COMMIT", "inserting rows", e);
	mem_free(schema);
	mem_free(name);
	duckdb_disconnect(&c); /* rolls back what was not committed */
	return rc;
}
