/*
 * warehouse_sql: a hand on the embedded warehouse, for the tests that plant faults in it. Runs
 * the statements in one transaction; no other process may have the warehouse open.
 *
 * usage: warehouse_sql FILE SQL
 */
#include <stdio.h>

#include "clock.h"
#include "env.h"
#include "rnd.h"
#include "warehouse.h"

static enum err run(const char *file, const char *sql, const struct env *env, struct error *e)
{
	struct arena mem = {0};
	struct warehouse *w = NULL;
	const struct warehouse_options o = {.url = arena_fmt(&mem, "duckdb://%s", file).p};
	enum err rc = warehouse_open(&w, &o, env, e);

	if (rc == OK)
		rc = warehouse_script(w, str_of(sql), e);
	warehouse_close(w);
	arena_free(&mem);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: warehouse_sql FILE SQL\n");
		return 2;
	}
	struct rnd rnd;
	rnd_system(&rnd);
	const struct env env = {.clock = clock_system(), .rnd = &rnd};
	struct error e = {0};
	if (run(argv[1], argv[2], &env, &e) != OK) {
		fprintf(stderr, "warehouse_sql: %s\n", e.text);
		return 1;
	}
	return 0;
}
