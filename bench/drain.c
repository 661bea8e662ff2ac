/*
 * drain: the reference for replication speed: reads a slot's stream as pgoutput sends it and throws
 * it away, up to an LSN. Prints the seconds it took. Nothing is acknowledged, so it can run again.
 *
 * usage: drain CONNINFO SLOT PUBLICATION LSN
 */
#include <stdio.h>

#include "clock.h"
#include "pg_conn.h"
#include "pg_stream.h"
#include "rnd.h"

static enum err drain(struct pg *c, lsn until, uint64_t *messages, struct error *e)
{
	lsn seen = LSN_NONE;
	while (lsn_cmp(seen, until) < 0) {
		struct pg_message m;
		TRY(pg_stream_receive(c, 1000000, -1, &m, e));
		if (m.kind == PG_NOTHING) {
			TRY(pg_stream_feedback(c, LSN_NONE, LSN_NONE, true, e));
			continue;
		}
		*messages += m.kind == PG_DATA;
		seen = lsn_max(seen, m.kind == PG_DATA ? m.start : m.end);
	}
	return OK;
}

static enum err run(char **argv, const struct env *env, struct error *e)
{
	struct pg *c = NULL;
	lsn until;
	uint64_t messages = 0;
	if (!lsn_parse(str_of(argv[4]), &until))
		return FAIL(e, ERR_USAGE, "%s is no LSN", argv[4]);
	const struct pg_options o = {
		.conninfo = argv[1], .application = "drain", .replication = true};
	TRY(pg_open(&c, &o, env, e));
	int64_t began = clock_mono(env->clock);
	enum err rc = pg_stream_start(c, argv[2], LSN_NONE, 1, argv[3], e);
	if (rc == OK)
		rc = drain(c, until, &messages, e);
	if (rc == OK)
		printf("%.3f %llu\n", (double)(clock_mono(env->clock) - began) / 1e6,
			(unsigned long long)messages);
	pg_close(c);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: drain CONNINFO SLOT PUBLICATION LSN\n");
		return 2;
	}
	struct rnd rnd;
	rnd_seed(&rnd, 1);
	const struct env env = {.clock = clock_system(), .rnd = &rnd};
	struct error e = {0};
	if (run(argv + 0, &env, &e) == OK)
		return 0;
	fprintf(stderr, "drain: %s\n", e.text);
	return 1;
}
