# How fast tables are compared. ROWS: 2,000,000; RECHECK_ROWS: 10,000,000. The references run on the
# source alone: a binary COPY of the table to nowhere, and the SQL by which data-diff (a sum of 48
# bits of MD5 over the columns joined by '|') and Google's Data Validation Tool (a SHA-256 of each
# row, shipped) look at one side.
# shellcheck shell=bash
data_diff_sql() {
	psql -X -q -A -t -d "$PG" -c "SELECT count(*), sum(('x' || substring(md5(concat(
		coalesce(id::varchar, '<null>'), '|', coalesce(owner::varchar, '<null>'), '|',
		coalesce(amount::decimal(38, 2)::varchar, '<null>'), '|',
		coalesce(to_char(at::timestamp(6), 'YYYY-mm-dd HH24:MI:SS.US'), '<null>'), '|',
		coalesce(label::varchar, '<null>'))), 21))::bit(48)::bigint) FROM item"
}
validator_sql() {
	psql -X -q -d "$PG" -c "COPY (SELECT id, encode(sha256(convert_to(concat(
		rtrim(coalesce(id::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(owner::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(amount::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(to_char(at, 'YYYY-MM-DD HH24:MI:SS'), 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(label, 'DEFAULT_REPLACEMENT_STRING'))), 'UTF8')), 'hex') FROM item) TO STDOUT"
}
# Seconds that the comparison itself took.
compare() { "$SLUICE" reconcile --json "$@" 2>/dev/null | tail -n 1 | jq '[.tables[].seconds] | add'; }

bench_reconcile() {
	local rows=${ROWS:-2000000} recheck=${RECHECK_ROWS:-10000000} copy took again diff validator

	begin reconcile
	say "reconcile: $rows rows of about 100 bytes"
	make_item "$rows"
	"$SLUICE" init --json >/dev/null
	until_caught_up >/dev/null
	copy=$(best_of_two copy_to_nowhere item)
	took=$(compare)
	again=$(compare)
	took=$(jq -n --argjson a "$took" --argjson b "$again" '[$a, $b] | min')
	emit reconcile_rows_per_second "$(per_second "$rows" "$took")" rows/s \
		"binary COPY of the table to nowhere" "$(per_second "$rows" "$copy")"
	diff=$(seconds data_diff_sql)
	emit reconcile_against_data_diff_rows_per_second "$(per_second "$rows" "$took")" rows/s \
		"data-diff's SQL on the source" "$(per_second "$rows" "$diff")"
	validator=$(seconds validator_sql)
	emit reconcile_against_validator_rows_per_second "$(per_second "$rows" "$took")" rows/s \
		"Google's validator's SQL on the source" "$(per_second "$rows" "$validator")"

	begin recheck
	say "recheck: 10,000 changes in $recheck rows"
	make_item "$recheck"
	"$SLUICE" init --json >/dev/null
	until_caught_up >/dev/null
	compare >/dev/null
	compare --changed >/dev/null
	sql -c "UPDATE item SET amount = amount + 1 WHERE id IN
		(SELECT 1 + (i * 7919) % $recheck FROM generate_series(1, 10000) i)"
	until_caught_up >/dev/null
	took=$(seconds "$SLUICE" reconcile --changed --json)
	emit recheck_after_10k_changes_seconds "$took" s "the most that it may be" 1
	"$SLUICE" query --json "SELECT report FROM ops.reconciliations ORDER BY finished_at DESC LIMIT 1" \
		2>/dev/null | jq -r .report | jq -e '.ok and .tables[0].changed == 10000' >/dev/null ||
		die "the recheck has not looked at the 10,000 changes"
}
