# How fast tables are copied. ROWS: 2,000,000
# shellcheck shell=bash
bench_snapshot() {
	local rows=${ROWS:-2000000} copy took

	begin snapshot
	say "snapshot: $rows rows of about 100 bytes"
	make_item "$rows"
	"$SLUICE" init --json >/dev/null
	copy=$(best_of_two copy_to_nowhere item)
	took=$(until_caught_up | jq .seconds)
	emit snapshot_rows_per_second "$(per_second "$rows" "$took")" rows/s \
		"binary COPY of the table to nowhere" "$(per_second "$rows" "$copy")"
}
