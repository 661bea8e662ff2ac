# From a commit to its rows in the warehouse, with changes arriving at a steady rate.
# RATE: row changes a second, 5,000. LATENCY_SECONDS: 60. The reference is a client that only reads
# the stream, at the same time: what PostgreSQL itself takes to send a commit.
# shellcheck shell=bash
bench_latency() {
	local rate=${RATE:-5000} seconds=${LATENCY_SECONDS:-60} got

	begin latency
	say "latency: $rate row changes a second for $seconds s"
	make_item 100000
	"$SLUICE" init --json >/dev/null
	sql -c "SELECT pg_create_logical_replication_slot('drain', 'pgoutput')" >/dev/null
	until_caught_up >/dev/null
	replicate latency
	got=$("$build/bench/latency" "$PG" "$ADDRESS" drain sluice "$rate" "$seconds")
	say "latency: $got"
	emit commit_to_visible_p99_ms "$(jq .visible_p99_ms <<<"$got")" ms \
		"a client that reads the stream beside it, p99" "$(jq .sent_p99_ms <<<"$got")"
	retire "$REPLICATE"
	until_caught_up >/dev/null
	must_be_equal "the steady load"
}
