# What the source must keep for the slot while the warehouse is away. OUTAGE_SECONDS: 300.
# OUTAGE_RATE: row changes a second, 5,000. The reference is the log that was written meanwhile.
# shellcheck shell=bash
bench_outage() {
	local seconds=${OUTAGE_SECONDS:-300} rate=${OUTAGE_RATE:-5000} before after most=0 now i writer

	begin outage
	say "outage: the warehouse is away for $seconds s, $rate row changes a second"
	make_item 100000
	"$SLUICE" init --json >/dev/null
	until_caught_up >/dev/null
	SLUICE_FAILPOINTS='apply.before=error@1+;apply.part=error@1+' replicate outage
	cat >load.sql <<'SQL'
\set id random(1, 100000)
UPDATE item SET amount = amount + 1 WHERE id BETWEEN :id AND :id + 49;
SQL
	before=$(sql -c 'SELECT pg_current_wal_lsn()')
	"$PGBENCH" -n -c 2 -T "$seconds" -R $((rate / 50)) -f load.sql -d "$PG" >pgbench.out 2>&1 9>&- &
	writer=$!
	CHILDREN="$CHILDREN $writer"
	for i in $(seq "$seconds"); do
		sleep 1
		now=$(sql -c "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
			FROM pg_replication_slots WHERE slot_name = 'sluice'")
		[ "$now" -le "$most" ] || most=$now
		[ $((i % 30)) -ne 0 ] || say "outage: $i s, $((now >> 20)) MB now, $((most >> 20)) MB at most"
	done
	wait "$writer" || die "the load failed: $(cat pgbench.out)"
	after=$(sql -c "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '$before')::bigint")
	retire "$REPLICATE"
	emit slot_retained_mb_during_outage "$(jq -n --argjson b "$most" '$b / 1048576')" MB \
		"log written meanwhile" "$(jq -n --argjson b "$after" '$b / 1048576')"
	until_caught_up >/dev/null
	must_be_equal "the outage"
}
