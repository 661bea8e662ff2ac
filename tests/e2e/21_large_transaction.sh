# A transaction much larger than the source's memory for decoding: streamed before it ends, never
# seen in part, gone without a trace when it is rolled back, and whole after a kill in its midst.
. "$here/lib.sh"

rows=60000
[ -n "${SLUICE_LONG:-}" ] && rows=2000000

start_pg logical_decoding_work_mem=64kB
write_conf '[replicate]
batch_rows = 5000
segment_size = 1MB'
sql <<'SQL'
CREATE TABLE entries (id bigint PRIMARY KEY, note text NOT NULL, n int);
CREATE TABLE others (id bigint PRIMARY KEY);
INSERT INTO entries SELECT i, 'entry ' || i, 0 FROM generate_series(1, 10000) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up

large() {
	sql -c "BEGIN; INSERT INTO entries SELECT i, 'large ' || i, $1 FROM generate_series($2, $2 + $rows - 1) i;
		UPDATE entries SET n = $1 WHERE id <= 10000; SAVEPOINT s; DELETE FROM entries WHERE id < 5000;
		ROLLBACK TO s; $3"
}
same() {
	expect 0 "$SLUICE" reconcile --json
	json_is '.ok and ([.tables[] | .missing + .extra + .different] | add) == 0'
}

large 1 1000000 COMMIT
large 2 5000000 ROLLBACK
for place in spill.write spill.read apply.part; do
	code=0
	SLUICE_FAILPOINTS="$place=kill@2" "$SLUICE" replicate >"$T/$place.log" 2>&1 </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed twice (exit $code)"
	expect 0 "$SLUICE" query 'SELECT count(*) AS n FROM public.entries' --json
	json_is '.n == 10000'
done
expect 0 "$SLUICE" replicate --until caught-up --json
json_is ".rows == $((rows + 10000))"
[ -z "$(ls "$T/journal/spill")" ] || die "the spill is not empty"
same

# A disk that is full stops it before anything is lost, and it goes on when there is room again.
large 3 10000000 COMMIT
code=0
SLUICE_FAILPOINTS="spill.write=enospc@2" "$SLUICE" replicate --until caught-up >"$T/out" 2>"$T/err" </dev/null || code=$?
[ "$code" -eq 1 ] || die "a full disk: exit $code"
err_has 'make room'
expect 0 "$SLUICE" replicate --until caught-up
same

# While one is in progress others go through, and nobody sees it.
background replicate "$SLUICE" replicate
mkfifo "$T/slow"
psql -X -q -d "$PG" <"$T/slow" >"$T/slow.out" 2>&1 9>&- &
CHILDREN="$CHILDREN $!"
exec 8>"$T/slow"
echo "BEGIN; INSERT INTO entries SELECT i, 'slow ' || i, 9 FROM generate_series(90000000, 90000000 + $rows) i; SELECT 'written';" >&8
until_ok grep -q written "$T/slow.out"
sql -c 'INSERT INTO others VALUES (1)'
seen() {
	[ "$("$SLUICE" query "$1" --json | jq .n)" -eq "$2" ]
}
until_ok seen 'SELECT count(*) AS n FROM public.others' 1
seen 'SELECT count(*) AS n FROM public.entries WHERE n = 9' 0 || die "a transaction in progress is seen"
echo 'COMMIT;' >&8
exec 8>&-
until_ok seen 'SELECT count(*) AS n FROM public.entries WHERE n = 9' $((rows + 1))
same
