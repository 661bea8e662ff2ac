# What replication costs the source: pgbench's own mix, with and without. PGBENCH_SECONDS: 60.
# PGBENCH_SCALE: 10. PGBENCH_CLIENTS: 4. Everything shares this machine's processors.
# shellcheck shell=bash
pgbench_tps() {
	"$PGBENCH" -n -c "${PGBENCH_CLIENTS:-4}" -j 2 -T "${PGBENCH_SECONDS:-60}" -d "$PG" 9>&- 2>/dev/null |
		sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}
pgbench_fill() {
	"$PGBENCH" -q -i -s "${PGBENCH_SCALE:-10}" -d "$PG" >/dev/null 2>&1 9>&-
	# Rows that change need a key; pgbench names the columns that it fills.
	sql -c 'ALTER TABLE pgbench_history ADD id bigserial PRIMARY KEY'
}
bench_pgbench() {
	local replica logical replicating

	begin pgbench wal_level=replica
	say "pgbench: wal_level=replica"
	pgbench_fill
	replica=$(pgbench_tps)
	begin pgbench
	say "pgbench: wal_level=logical, nobody reads"
	pgbench_fill
	logical=$(pgbench_tps)
	begin pgbench
	say "pgbench: wal_level=logical, replicated"
	pgbench_fill
	"$SLUICE" init --json >/dev/null
	until_caught_up >/dev/null
	replicate pgbench
	replicating=$(pgbench_tps)
	until_caught_up >/dev/null
	retire "$REPLICATE"
	must_be_equal pgbench
	emit pgbench_tps_logical "$logical" tps "wal_level=replica" "$replica"
	emit pgbench_tps "$replicating" tps "wal_level=logical, nobody reads" "$logical"
}
