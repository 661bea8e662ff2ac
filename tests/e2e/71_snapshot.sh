# A large table is copied in ranges: it does not hold up others, a kill in the middle costs the
# ranges in work and no more, and what is written meanwhile is neither lost nor doubled.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms
batch_rows = 2000'
sql <<'SQL'
CREATE TABLE small (id int PRIMARY KEY, v text);
INSERT INTO small VALUES (1, 'one');
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up
sql <<'SQL'
CREATE TABLE big (id bigint PRIMARY KEY, name text NOT NULL, n int NOT NULL, body text);
ALTER TABLE big ALTER body SET STORAGE EXTERNAL;
INSERT INTO big SELECT i, 'name ' || i, 0, CASE WHEN i % 100 = 0 THEN repeat('b', 3000) END
	FROM generate_series(1, 60000) i;
ANALYZE;
SQL
expect 0 "$SLUICE" init

# Held in the middle of the large table, the small one goes on arriving.
SLUICE_FAILPOINTS='snapshot.range=sleep:600000@3+' background held "$SLUICE" replicate
held=$BG
state_is() {
	"$SLUICE" status --json 2>/dev/null |
		jq -e --arg t "$1" --arg s "$2" '.tables[] | select(.table == $t) | .snapshot == $s'
}
answers() { [ "$("$SLUICE" query --format csv "$1" 2>/dev/null | tail -n 1)" = "$2" ]; }
until_ok state_is public.big running
sql -c "INSERT INTO small VALUES (2, 'two'); UPDATE small SET v = 'ONE' WHERE id = 1"
until_ok answers "SELECT string_agg(v, ' ' ORDER BY id) FROM public.small" 'ONE two'
state_is public.big running >/dev/null || die 'the large table was not held'
ranges() { "$SLUICE" query --format csv "SELECT count(*) FROM ops.marks WHERE starts_with(name, 'range:')" | tail -n 1; }
three_in() { [ "$(ranges)" -ge 3 ]; }
until_ok three_in
in_before=$("$SLUICE" query --format csv "SELECT count(*) FROM ops.marks WHERE starts_with(name, 'range:')" | tail -n 1)

# Killed there, the ranges that are in stay in.
kill -KILL "$held"
wait "$held" 2>/dev/null
answers "SELECT count(*) FROM ops.marks WHERE starts_with(name, 'range:')" "$in_before" ||
	die 'ranges were lost by the kill'
rows_in=$("$SLUICE" query --format csv "SELECT count(*) FROM public_history.big WHERE _op = 'r'" | tail -n 1)

# It goes on under writers: updates that leave the large values alone, deletes, changed keys.
cat >"$T/mixed.sql" <<'SQL'
\set a random(1, 60000)
\set b random(1, 60000)
UPDATE big SET n = n + 1 WHERE id = :a - :a % 100 + 100;
UPDATE big SET n = n + 1 WHERE id = :a;
DELETE FROM big WHERE id = :b AND id % 7 = 0;
UPDATE big SET id = id + 1000000 WHERE id = :b AND id % 11 = 0;
INSERT INTO big VALUES (2000000 + :a, 'new', 1, NULL) ON CONFLICT DO NOTHING;
SQL
PGBENCH=$(command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench | tail -n 1)
"$PGBENCH" -n -c 3 -T 300 -f "$T/mixed.sql" -d "$PG" >"$T/pgbench.out" 2>&1 9>&- &
writer=$!
CHILDREN="$CHILDREN $writer"
for point in snapshot.batch snapshot.range snapshot.read snapshot.fill snapshot.fetched snapshot.done; do
	SLUICE_FAILPOINTS="$point=kill@2" timeout 60 "$SLUICE" replicate --until caught-up \
		>"$T/$point.log" 2>&1 </dev/null
done
expect 0 "$SLUICE" replicate --until caught-up
kill "$writer" 2>/dev/null
wait "$writer" 2>/dev/null
state_is public.big done >/dev/null || die 'the large table is not whole'
expect 0 "$SLUICE" reconcile --json
json_is '.ok and ([.tables[] | .missing + .extra + .different] | add) == 0'

# What was in before the first kill was not copied again.
first=$("$SLUICE" query --format csv "SELECT min(_lsn) FROM public_history.big WHERE _op = 'r'" | tail -n 1)
answers "SELECT count(*) >= $rows_in FROM public_history.big WHERE _op = 'r' AND _lsn = $first" t ||
	die 'rows that were in are gone'
answers "SELECT count(DISTINCT _lsn) FROM public_history.big WHERE _op = 'r'" 1 ||
	die 'the copy began anew'
answers 'SELECT count(*) FROM (SELECT _lsn, _seq FROM public_history.big GROUP BY ALL HAVING count(*) > 1)' 0 ||
	die 'history has a place twice'
answers "SELECT count(*) FROM ops.marks WHERE starts_with(name, 'range:')" 0 ||
	die 'marks of ranges are left behind'
