#include "duckdb_driver.h"

#include "mem.h"

enum err duck_connect(struct duck *d, duckdb_connection *out, struct error *e)
{
	if (duckdb_connect(d->db, out) == DuckDBSuccess)
		return OK;
	*out = NULL;
	return FAIL(e, ERR_FAILED,
		"connecting to the warehouse %s: DuckDB refuses another "
		"connection",
		d->path);
}

enum err duck_execs(duckdb_connection c, const char *sql, const char *doing, struct error *e)
{
	duckdb_result result;
	enum err rc = OK;

	if (duckdb_query(c, sql, &result) != DuckDBSuccess)
		rc = duck_fail(
			e, duckdb_result_error_type(&result), doing, duckdb_result_error(&result));
	duckdb_destroy_result(&result);
	return rc;
}

void duck_rollback(duckdb_connection c)
{
	duckdb_result result;

	(void)duckdb_query(c, "ROLLBACK", &result);
	duckdb_destroy_result(&result);
}

enum err duck_exec(duckdb_connection c, struct buf *sql, const char *doing, struct error *e)
{
	if (!buf_ok(sql))
		return FAIL(e, ERR_BUG, "%s: the SQL is larger than %zu bytes", doing, sql->max);
	return duck_execs(c, buf_cstr(sql), doing, e);
}

/* One running question. */
struct question {
	duckdb_connection c;
	const struct env *env;
	const char *doing;
	duckdb_prepared_statement ps;
	duckdb_result result;
	bool has_result;
	size_t ncols;
	duckdb_logical_type *types;
	struct type *landing;
	struct vec *cols;
	const char **names;
	void **scratch;
};

static enum err prepare(struct question *q, const char *sql, struct error *e)
{
	if (duckdb_prepare(q->c, sql, &q->ps) != DuckDBSuccess)
		return duck_fail(e, DUCKDB_ERROR_INVALID, q->doing, duckdb_prepare_error(q->ps));
	if (duckdb_nparams(q->ps) > 0)
		return FAIL(e, ERR_INPUT,
			"%s: the statement has parameters; write their values into it", q->doing);
	return OK;
}

/* Appends the outer list of a statement whose every column is read; true when one must be cast. */
static bool plan_casts(struct question *q, struct buf *list, struct buf *names)
{
	size_t n = duckdb_prepared_statement_column_count(q->ps);
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		duckdb_logical_type column = duckdb_prepared_statement_column_logical_type(
			q->ps, i);
		const char *name = duckdb_prepared_statement_column_name(q->ps, i);
		const char *cast_to = NULL;
		struct type landing;

		if (!duck_landing(column, &landing, &cast_to) &&
			duckdb_get_type_id(column) != DUCKDB_TYPE_INVALID) {
			buf_putf(list, "%sCAST(c%zu AS %s) AS ", i > 0 ? ", " : "", i, cast_to);
			any = true;
		} else {
			buf_putf(list, "%sc%zu AS ", i > 0 ? ", " : "", i);
		}
		sql_name(list, str_of(name));
		buf_putf(names, "%sc%zu", i > 0 ? ", " : "", i);
		duckdb_free((void *)(uintptr_t)name);
		duckdb_destroy_logical_type(&column);
	}
	return any;
}

#define VIEW "sluice_question"

/* The statement becomes a view of this connection and is asked through it: a view takes it as it
 * stands, with its semicolon and comments. */
static enum err ask_through_view(
	struct question *q, struct str sql, struct buf *list, struct buf *names, struct error *e)
{
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	buf_puts(&text, "CREATE OR REPLACE TEMP VIEW " VIEW " AS ");
	buf_put(&text, sql);
	enum err rc = duck_exec(q->c, &text, q->doing, e);
	buf_reset(&text);
	buf_putf(&text,
		"WITH q AS MATERIALIZED (SELECT %s FROM temp.main." VIEW " AS t(%s)) "
		"SELECT * FROM q",
		buf_cstr(list), buf_cstr(names));
	duckdb_destroy_prepare(&q->ps);
	if (rc == OK)
		rc = prepare(q, buf_cstr(&text), e);
	buf_free(&text);
	return rc;
}

/* Two kinds of question are asked in another form: those with lists, structs, enums and other
 * types that no kind of ours holds, which come as text, and those that must not be streamed. */
static enum err rephrase(struct question *q, struct str sql, struct error *e)
{
	struct buf list, names;
	enum err rc = OK;

	if (duckdb_prepared_statement_type(q->ps) != DUCKDB_STATEMENT_TYPE_SELECT)
		return OK;
	buf_init(&list, BUF_MAX_DEFAULT);
	buf_init(&names, BUF_MAX_DEFAULT);
	if (plan_casts(q, &list, &names) || !duck_may_stream(q->c, sql))
		rc = ask_through_view(q, sql, &list, &names, e);
	buf_free(&list);
	buf_free(&names);
	return rc;
}

static enum err start(struct question *q, struct error *e)
{
	duckdb_pending_result pending = NULL;
	enum err rc = OK;

	if (duckdb_pending_prepared_streaming(q->ps, &pending) != DuckDBSuccess) {
		rc = duck_fail(e, DUCKDB_ERROR_INVALID, q->doing, duckdb_pending_error(pending));
	} else {
		q->has_result = true;
		if (duckdb_execute_pending(pending, &q->result) != DuckDBSuccess)
			rc = duck_fail(e, duckdb_result_error_type(&q->result), q->doing,
				duckdb_result_error(&q->result));
	}
	duckdb_destroy_pending(&pending);
	return rc;
}

static enum err describe(struct question *q, struct error *e)
{
	q->ncols = duckdb_column_count(&q->result);
	q->types = mem_array(q->ncols + 1, sizeof(duckdb_logical_type));
	q->landing = mem_array(q->ncols + 1, sizeof *q->landing);
	q->cols = mem_array(q->ncols + 1, sizeof *q->cols);
	q->names = mem_array(q->ncols + 1, sizeof *q->names);
	q->scratch = mem_array(q->ncols + 1, sizeof *q->scratch);
	for (size_t i = 0; i < q->ncols; i++) {
		const char *cast_to;

		q->types[i] = duckdb_column_logical_type(&q->result, i);
		q->names[i] = duckdb_column_name(&q->result, i);
		q->scratch[i] = mem_alloc(duckdb_vector_size() * 16);
		if (!duck_landing(q->types[i], &q->landing[i], &cast_to))
			return FAIL(e, ERR_INPUT,
				"%s: the column %s has a type that cannot be read; cast it to %s",
				q->doing, q->names[i], cast_to);
	}
	return OK;
}

static enum err give_chunk(struct question *q, duckdb_data_chunk data, warehouse_chunk_fn *fn,
	void *arg, struct error *e)
{
	struct chunk chunk = {
		.rows = duckdb_data_chunk_get_size(data),
		.ncols = q->ncols,
		.names = q->names,
		.cols = q->cols,
	};

	if (q->env != NULL)
		TRY(env_check(q->env, e));
	if (fn == NULL || chunk.rows == 0)
		return OK;
	for (size_t i = 0; i < q->ncols; i++)
		duck_read(duckdb_data_chunk_get_vector(data, i), q->types[i], q->landing[i],
			chunk.rows, q->scratch[i], &q->cols[i]);
	enum err rc = fn(arg, &chunk, e);
	for (size_t i = 0; i < q->ncols; i++)
		duck_read_done(duckdb_data_chunk_get_vector(data, i), &q->cols[i], chunk.rows);
	return rc;
}

static enum err give_all(struct question *q, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	for (;;) {
		duckdb_data_chunk data = duckdb_fetch_chunk(q->result);

		if (data == NULL)
			break;
		enum err rc = give_chunk(q, data, fn, arg, e);
		duckdb_destroy_data_chunk(&data);
		if (rc != OK)
			return rc;
	}
	/* The end of the answer and a failure in its middle look alike but for this. */
	const char *message = duckdb_result_error(&q->result);
	if (message != NULL && message[0] != '\0')
		return duck_fail(e, duckdb_result_error_type(&q->result), q->doing, message);
	return OK;
}

static void end(struct question *q)
{
	for (size_t i = 0; i < q->ncols; i++) {
		if (q->types[i] != NULL)
			duckdb_destroy_logical_type(&q->types[i]);
		mem_free(q->scratch[i]);
	}
	mem_free(q->types);
	mem_free(q->landing);
	mem_free(q->cols);
	mem_free(q->names);
	mem_free(q->scratch);
	if (q->has_result)
		duckdb_destroy_result(&q->result);
	if (q->ps != NULL)
		duckdb_destroy_prepare(&q->ps);
}

enum err duck_run(duckdb_connection c, struct str sql, const struct env *env, const char *doing,
	warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	struct question q = {.c = c, .env = env, .doing = doing};
	char *text = mem_cstr(sql);
	enum err rc = prepare(&q, text, e);

	if (rc == OK)
		rc = rephrase(&q, sql, e);
	if (rc == OK)
		rc = start(&q, e);
	if (rc == OK)
		rc = describe(&q, e);
	if (rc == OK)
		rc = give_all(&q, fn, arg, e);
	end(&q);
	mem_free(text);
	return rc;
}

static enum err take_number(void *arg, const struct chunk *c, struct error *e)
{
	(void)e;
	if (c->ncols > 0 && c->rows > 0)
		(void)vec_integer(&c->cols[0], 0, arg);
	return OK;
}

enum err duck_number(
	duckdb_connection c, struct buf *sql, const char *doing, int64_t *out, struct error *e)
{
	*out = 0;
	return duck_run(c, buf_str(sql), NULL, doing, take_number, out, e);
}

enum err duck_query(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	struct duck *d = duck_of(w);
	duckdb_connection c = NULL;

	TRY(duck_connect(d, &c, e));
	enum err rc = duck_run(c, sql, d->env, "querying the warehouse", fn, arg, e);
	duckdb_disconnect(&c);
	return rc;
}

/* What cannot be prepared is left to the one who runs it: he says why. */
static enum err only_questions(duckdb_connection c, struct str sql, struct error *e)
{
	duckdb_prepared_statement ps = NULL;
	char *text = mem_cstr(sql);
	bool question = true;

	if (duckdb_prepare(c, text, &ps) == DuckDBSuccess) {
		duckdb_statement_type type = duckdb_prepared_statement_type(ps);
		question = type == DUCKDB_STATEMENT_TYPE_SELECT ||
			type == DUCKDB_STATEMENT_TYPE_EXPLAIN;
	}
	duckdb_destroy_prepare(&ps);
	mem_free(text);
	if (question)
		return OK;
	return FAIL(e, ERR_INPUT,
		"asking the warehouse: the statement is not a query; only what reads is run here "
		"(SELECT, FROM, WITH, DESCRIBE, SHOW, EXPLAIN): what stands in the warehouse is "
		"made by replication and by the commands");
}

/* The transaction is what forbids: EXPLAIN ANALYZE and functions can change things too. */
enum err duck_ask(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	static const char doing[] = "asking the warehouse";
	struct duck *d = duck_of(w);
	duckdb_connection c = NULL;

	TRY(duck_connect(d, &c, e));
	enum err rc = duck_execs(c, "BEGIN TRANSACTION READ ONLY", doing, e);
	if (rc == OK)
		rc = only_questions(c, sql, e);
	if (rc == OK)
		rc = duck_run(c, sql, d->env, doing, fn, arg, e);
	duck_rollback(c);
	duckdb_disconnect(&c);
	return rc;
}
