# One table is taken up, copied again, held back, let go on and dropped while the others go on;
# each wish survives a kill right after it is written down.
. "$here/lib.sh"

start_pg
cat >"$T/sluice.conf" <<CONF
[source]
url = $PG
tables = public.kept
[replicate]
flush_interval = 20ms
batch_rows = 500
CONF
sql <<'SQL'
CREATE TABLE kept (id int PRIMARY KEY, v text);
CREATE TABLE late (id int PRIMARY KEY, v text);
CREATE TABLE bare (v text);
INSERT INTO kept SELECT i, 'kept ' || i FROM generate_series(1, 100) i;
INSERT INTO late SELECT i, 'late ' || i FROM generate_series(1, 5000) i;
SQL
expect 0 "$SLUICE" init
background replicate "$SLUICE" replicate
replicate=$BG
answer() { "$SLUICE" query --format csv "$1" 2>/dev/null | tail -n 1; }
answers() { [ "$(answer "$1")" = "$2" ]; }
until_ok answers 'SELECT count(*) FROM public.kept' 100

# add: idempotent, and refused with the reason where it cannot be.
expect 0 "$SLUICE" table add public.late --json
json_is '.table == "public.late" and .action == "add" and .changed and .state == "copied"'
answers 'SELECT count(*) FROM public.late' 5000 || die 'late was not copied'
expect 0 "$SLUICE" table add public.late --json
json_is '.changed == false and .state == "copied"'
expect 1 "$SLUICE" table add public.nowhere
expect 2 "$SLUICE" table add public.bare
sql -c "INSERT INTO late VALUES (5001, 'after')"
until_ok answers 'SELECT count(*) FROM public.late' 5001

# Added by hand, it is noticed without a change of it.
sql -c "CREATE TABLE by_hand (id int PRIMARY KEY); INSERT INTO by_hand VALUES (1), (2);
	ALTER PUBLICATION sluice ADD TABLE by_hand"
until_ok answers 'SELECT count(*) FROM public.by_hand' 2

# pause: its changes stay out, those of others do not; resume brings them in one after the other.
# The last changes of a table in history.
history() { "$SLUICE" query --format csv "SELECT _op, id, v FROM public_history.late
	WHERE _op <> 'r' ORDER BY _lsn, _seq" 2>/dev/null | tail -n "$1"; }
level() {
	expect 0 "$SLUICE" reconcile --json
	json_is '.ok'
}
expect 0 "$SLUICE" table resume public.late --json
json_is '.changed == false and (has("from") | not)'
expect 0 "$SLUICE" table pause public.late --json
json_is '.state == "paused" and .changed'
expect 0 "$SLUICE" table pause public.late --json
json_is '.state == "paused" and .changed == false'
sql -c "DELETE FROM late WHERE id <= 2"
sql -c "UPDATE late SET v = 'held' WHERE id = 11"
sql -c "UPDATE late SET v = 'held again' WHERE id = 11"
sql -c "INSERT INTO kept VALUES (101, 'meanwhile')"
until_ok answers 'SELECT count(*) FROM public.kept' 101
answers 'SELECT count(*) FROM public.late' 5001 || die 'a table held back has changed'
expect 0 "$SLUICE" status --json
json_is '.tables[] | select(.table == "public.late").held | .state == "paused" and
	(.lsn | test("/")) and .journal_bytes > 0'
json_is '.tables[] | select(.table == "public.kept").held == null'
expect 4 "$SLUICE" reconcile --table public.late
err_has 'it is paused'
expect 0 "$SLUICE" reconcile --table public.kept --json
json_is '.ok'
expect 2 "$SLUICE" table resync public.late
err_has 'table resume'
expect 0 "$SLUICE" table resume public.late --json
json_is '.state == "level" and .from == "journal" and .changed'
printf '%s\n' 'D,1,' 'D,2,' 'U,11,held' 'U,11,held again' >"$T/want"
history 4 | sed 's/""//' >"$T/got"
diff "$T/want" "$T/got" >&2 || die 'history does not tell each step'
level

# TRUNCATE and changes of the shape while it is held back.
expect 0 "$SLUICE" table pause public.late
sql -c "UPDATE late SET v = 'before' WHERE id = 12"
sql -c "ALTER TABLE late ADD COLUMN extra int DEFAULT 7"
sql -c "UPDATE late SET v = 'after', extra = 8 WHERE id = 12"
sql -c "INSERT INTO kept VALUES (103, 'more')"
until_ok answers 'SELECT count(*) FROM public.kept' 102
expect 0 "$SLUICE" table resume public.late --json
json_is '.state == "level" and .from == "journal"'
answers "SELECT extra FROM public.late WHERE id = 12" 8 || die 'an added column is missing'
answers "SELECT extra FROM public.late WHERE id = 13" 7 || die 'an added column has no default'
answers "SELECT count(*) FROM public_history.late WHERE id = 12 AND v IN ('before', 'after')" 2 ||
	die 'a change around ADD COLUMN is missing'
level
expect 0 "$SLUICE" table pause public.late
sql -c "CREATE TABLE late_keep AS SELECT * FROM late"
sql -c "TRUNCATE late"
sql -c "INSERT INTO late SELECT * FROM late_keep"
sql -c "INSERT INTO kept VALUES (104, 'more')"
until_ok answers 'SELECT count(*) FROM public.kept' 103
answers 'SELECT count(*) FROM public.late' 4999 || die 'TRUNCATE came through'
expect 0 "$SLUICE" table resume public.late --json
json_is '.state == "level" and .from == "journal"'
answers "SELECT count(*) FROM public_history.late WHERE _op = 'T'" 1 || die 'no TRUNCATE in history'
level

# Under another name by then.
expect 0 "$SLUICE" table pause public.late
sql -c "UPDATE late SET v = 'old name' WHERE id = 20"
sql -c "ALTER TABLE late RENAME TO later"
sql -c "UPDATE later SET v = 'new name' WHERE id = 20"
until_ok answers "SELECT count(*) FROM information_schema.tables WHERE table_name = 'later'
	AND table_schema = 'public'" 1
expect 0 "$SLUICE" table resume public.later --json
json_is '.from == "journal"'
answers "SELECT count(*) FROM public_history.later WHERE v IN ('old name', 'new name')" 2 ||
	die 'changes under two names are missing'
level
sql -c "ALTER TABLE later RENAME TO late; UPDATE late SET v = 'back' WHERE id = 20"
until_ok answers "SELECT count(*) FROM information_schema.tables WHERE table_name = 'late'
	AND table_schema = 'public'" 1
level

# Killed while it is held back, while it catches up, when it has joined; the others are not
# delayed by it: what is written meanwhile is there before it is level.
kill -TERM "$replicate"
wait "$replicate"
code=0
SLUICE_FAILPOINTS="table.paused=kill" "$SLUICE" table pause public.late >/dev/null 2>&1 || code=$?
[ "$code" -eq 137 ] || die "table.paused was not passed (exit $code)"
expect 0 "$SLUICE" table pause public.late --json
json_is '.changed == false'
for i in $(seq 40); do
	sql -c "UPDATE late SET v = 'step $i' WHERE id BETWEEN 100 AND 2000"
done
expect 0 "$SLUICE" replicate --until caught-up
answers "SELECT count(*) FROM public.late WHERE v LIKE 'step %'" 0 || die 'it is not held back'
code=0
SLUICE_FAILPOINTS="table.marked=kill" "$SLUICE" table resume public.late >/dev/null 2>&1 || code=$?
[ "$code" -eq 137 ] || die "table.marked was not passed (exit $code)"
SLUICE_FAILPOINTS="table.catching_up=sleep:500@1+" background slow "$SLUICE" replicate
catches_up() {
	"$SLUICE" status --json | jq -e '.tables[] | select(.table == "public.late").held |
		.state == "catching up" and .journal_bytes > 0'
}
until_ok catches_up
sql -c "INSERT INTO kept VALUES (105, 'in between')"
until_ok answers "SELECT v FROM public.kept WHERE id = 105" 'in between'
catches_up >/dev/null || die 'the others waited for a table that catches up'
expect 0 "$SLUICE" table pause public.late --json
json_is '.changed and .state == "paused"'
expect 0 "$SLUICE" table resume public.late --no-wait --json
json_is '.changed and .from == "journal"'
until_ok catches_up
expect 4 "$SLUICE" reconcile --table public.late --afresh
err_has 'catching up'
kill -TERM "$BG"
wait "$BG"
for place in table.catching_up@1 table.catching_up@4 apply.before@3 apply.after@5 table.joined; do
	code=0
	SLUICE_FAILPOINTS="${place%@*}=kill${place#"${place%@*}"}" timeout 60 "$SLUICE" replicate \
		--until caught-up >"$T/kill.log" 2>&1 </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed (exit $code)"
done
expect 0 "$SLUICE" replicate --until caught-up
answers "SELECT count(*) FROM public_history.late WHERE v LIKE 'step %'" $((40 * 1901)) ||
	die 'a step is missing in history, or there twice'
answers "SELECT count(*) FROM (SELECT id FROM public_history.late WHERE v LIKE 'step %'
	GROUP BY id HAVING string_agg(v, ',' ORDER BY _lsn, _seq) <>
	(SELECT string_agg('step ' || i, ',' ORDER BY i) FROM range(1, 41) r(i)))" 0 ||
	die 'steps are out of order'
level

# Dropped, or made anew, while it is held back: what is there is copied.
background dropped "$SLUICE" replicate
replicate=$BG
until_ok answers 'SELECT count(*) FROM public.late' 4999
expect 0 "$SLUICE" table pause public.late
sql -c "DELETE FROM late WHERE id > 4999"
expect 0 "$SLUICE" table drop public.late --json
json_is '.state == "dropped"'
expect 0 "$SLUICE" table add public.late --json
json_is '.state == "copied"'
level

# The journal reaches back no more: it says so, and copies again.
kill -TERM "$replicate"
wait "$replicate"
cat >>"$T/sluice.conf" <<CONF
retention = 0s
segment_size = 64kB
CONF
background brief "$SLUICE" replicate
replicate=$BG
expect 0 "$SLUICE" table pause public.late
sql -c "UPDATE late SET v = 'gone from the journal' WHERE id = 50"
unreachable() {
	sql -c "UPDATE kept SET v = md5(random()::text)"
	"$SLUICE" status --json | jq -e '.tables[] | select(.table == "public.late").held |
		.state == "paused" and .journal_bytes == null'
}
until_ok unreachable
expect 0 "$SLUICE" table resume public.late --json
json_is '.state == "copied" and .from == "copy"'
err_has 'does not reach back'
answers "SELECT v FROM public.late WHERE id = 50" 'gone from the journal' ||
	die 'a change that the journal has not is lost'
level

# resync mends what a hand has done, and readers see rows all the while.
kill -TERM "$replicate"
wait "$replicate"
expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" \
	"DELETE FROM public.late WHERE id = 500; UPDATE public.late SET v = 'wrong' WHERE id = 600"
for place in table.marked; do
	code=0
	SLUICE_FAILPOINTS="$place=kill" "$SLUICE" table resync public.late >/dev/null 2>&1 || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed (exit $code)"
done
for place in snapshot.begin snapshot.range snapshot.done; do
	code=0
	SLUICE_FAILPOINTS="$place=kill" timeout 60 "$SLUICE" replicate --until caught-up \
		>"$T/$place.log" 2>&1 </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed (exit $code)"
	answers 'SELECT count(*) >= 4990 FROM public.late' t || die 'rows went before they came'
done
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" reconcile --json
json_is '.ok'
answers "SELECT v FROM public.late WHERE id = 600" 'step 40' || die 'resync mended nothing'
answers "SELECT count(*) FROM public_history.late_versions WHERE _valid_to = 'infinity'" 4997 ||
	die 'history tells another story'

# drop: out of the publication; the rows stay until they are purged.
background again "$SLUICE" replicate
until_ok answers 'SELECT count(*) FROM public.late' 4997
expect 0 "$SLUICE" table drop public.late --json
json_is '.state == "dropped" and .changed'
sql -c "INSERT INTO late VALUES (9000, 'unseen'); INSERT INTO kept VALUES (102, 'seen')"
until_ok answers 'SELECT count(*) FROM public.kept' 105
answers 'SELECT count(*) FROM public.late' 4997 || die 'a dropped table has changed'
expect 0 "$SLUICE" table add public.late --json
answers 'SELECT count(*) FROM public.late' 4998 || die 'a table taken up again has missed changes'
expect 0 "$SLUICE" table drop public.late --purge --json
json_is '.state == "purged"'
answers "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'late%'" 0 ||
	die 'something is left of a purged table'
expect 1 "$SLUICE" table drop public.late
expect 0 "$SLUICE" reconcile --json
json_is '.ok'
