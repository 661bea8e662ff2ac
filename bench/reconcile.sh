# How fast tables are compared. ROWS: 2,000,000; RECHECK_ROWS: 10,000,000. The references run beside it:
# a binary COPY of the table to nowhere, and the SQL by which data-diff (a sum of 48 bits of MD5 over the
# columns joined by '|') and Google's Data Validation Tool (a SHA-256 of each row, fetched) compare, on
# the source and on our copy in DuckDB at the same time, as those do. Left out in their favour: cutting
# the table into segments and the queries for them, fetching DuckDB's hashes, and the join of both
# sides' hashes. Every figure is the best of two.
# shellcheck shell=bash
data_diff_source() {
	psql -X -q -A -t -d "$PG" -c "SET timezone = 'UTC'" -c "SELECT count(*), sum(('x' || substring(md5(concat(
		coalesce(id::varchar, '<null>'), '|', coalesce(owner::varchar, '<null>'), '|',
		coalesce(amount::decimal(38, 2)::varchar, '<null>'), '|',
		coalesce(to_char(at::timestamp(6), 'YYYY-mm-dd HH24:MI:SS.US'), '<null>'), '|',
		coalesce(label::varchar, '<null>'))), 21))::bit(48)::bigint) FROM item" >"$T/diff.source"
}
data_diff_replica() {
	"$SLUICE" query --json "SELECT count(*) || '|' || sum(('0x' || substring(md5(concat(
		coalesce(id::varchar, '<null>'), '|', coalesce(owner::varchar, '<null>'), '|',
		coalesce(amount::decimal(38, 2)::varchar, '<null>'), '|',
		coalesce(strftime(\"at\"::timestamp, '%Y-%m-%d %H:%M:%S.%f'), '<null>'), '|',
		coalesce(label::varchar, '<null>'))), 21, 12))::bigint) AS sums FROM public.item" \
		2>/dev/null | jq -r .sums >"$T/diff.replica"
}
validator_source() {
	psql -X -q -d "$PG" -c "COPY (SELECT id, encode(sha256(convert_to(concat(
		rtrim(coalesce(id::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(owner::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(amount::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(to_char(at, 'YYYY-MM-DD HH24:MI:SS'), 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(label, 'DEFAULT_REPLACEMENT_STRING'))), 'UTF8')), 'hex') FROM item) TO STDOUT" \
		>/dev/null
}
validator_replica() {
	"$SLUICE" query --json "SELECT count(*) AS n, max(sha256(concat(
		rtrim(coalesce(id::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(owner::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(amount::varchar, 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(strftime(\"at\"::timestamp, '%Y-%m-%d %H:%M:%S'), 'DEFAULT_REPLACEMENT_STRING')),
		rtrim(coalesce(label, 'DEFAULT_REPLACEMENT_STRING'))))) AS most FROM public.item" \
		>/dev/null 2>&1
}
# both_sides NAME: its two queries at the same time.
both_sides() {
	local source
	"$1_source" &
	source=$!
	"$1_replica" || die "$1: the warehouse did not answer"
	wait "$source" || die "$1: the source did not answer"
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
	diff=$(best_of_two both_sides data_diff)
	cmp "$T/diff.source" "$T/diff.replica" || die "data-diff's sums are not those of equal tables"
	emit reconcile_against_data_diff_rows_per_second "$(per_second "$rows" "$took")" rows/s \
		"data-diff's SQL on both sides at once" "$(per_second "$rows" "$diff")"
	validator=$(best_of_two both_sides validator)
	emit reconcile_against_validator_rows_per_second "$(per_second "$rows" "$took")" rows/s \
		"Google's validator's SQL on both sides at once" "$(per_second "$rows" "$validator")"

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
