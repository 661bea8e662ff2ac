# How fast a stream that has piled up is taken. ROWS: in the table before, 2,000,000.
# CHANGES: inserts and updates, half and half, 3,000,000.
# shellcheck shell=bash
bench_stream() {
	local rows=${ROWS:-2000000} changes=${CHANGES:-3000000} end drained took

	begin stream
	say "stream: $changes inserts and updates"
	make_item "$rows"
	"$SLUICE" init --json >/dev/null
	sql -c "SELECT pg_create_logical_replication_slot('drain', 'pgoutput')" >/dev/null
	until_caught_up >/dev/null
	sql <<SQL
DO \$\$
BEGIN
	FOR b IN 0..$((changes / 2 / 1000 - 1)) LOOP
		INSERT INTO item SELECT i, i % 1000, 1, now(), md5(i::text) || md5((i + 1)::text)
			FROM generate_series($rows + b * 1000 + 1, $rows + (b + 1) * 1000) i;
		UPDATE item SET amount = amount + 1 WHERE id BETWEEN b * 1000 % $rows + 1 AND b * 1000 % $rows + 1000;
		COMMIT;
	END LOOP;
END \$\$;
CHECKPOINT;
SQL
	end=$(sql -c 'SELECT pg_current_wal_lsn()')
	drained=$("$build/bench/drain" "$PG" drain sluice "$end" | cut -d' ' -f1)
	took=$(until_caught_up | jq .seconds)
	emit cdc_changes_per_second "$(per_second "$changes" "$took")" changes/s \
		"a client that reads the slot's stream and throws it away" "$(per_second "$changes" "$drained")"
	must_be_equal "the stream"
}
