# Killed at three moments of streaming, and once more at each place that must survive it, the
# warehouse holds what the source holds.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms
segment_size = 1MB'
sql <<'SQL'
CREATE TABLE accounts (id bigint PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) NOT NULL,
	note text, touched timestamptz NOT NULL DEFAULT now());
CREATE TABLE moves (id bigserial PRIMARY KEY, account bigint NOT NULL, amount numeric(12,2) NOT NULL);
INSERT INTO accounts SELECT i, 'owner ' || i, i, repeat('x', i % 50) FROM generate_series(1, 20000) i;
SQL
expect 0 "$SLUICE" init

# Writers: inserts, updates, deletes, a changed key, a savepoint rolled back, a rollback.
cat >"$T/mixed.sql" <<'SQL'
\set a random(1, 20000)
\set b random(1, 20000)
BEGIN;
UPDATE accounts SET balance = balance - 1, touched = now() WHERE id = :a;
INSERT INTO moves (account, amount) VALUES (:a, -1);
SAVEPOINT s;
DELETE FROM moves WHERE account = :b;
ROLLBACK TO s;
DELETE FROM moves WHERE account = :b AND id % 3 = 0;
COMMIT;
UPDATE accounts SET id = id + 1000000 WHERE id = :b AND id % 17 = 0;
BEGIN;
UPDATE accounts SET note = 'never seen' WHERE id = :a;
ROLLBACK;
SQL
PGBENCH=$(command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench | tail -n 1)
"$PGBENCH" -n -c 3 -T 300 -f "$T/mixed.sql" -d "$PG" >"$T/pgbench.out" 2>&1 9>&- &
WRITER=$!
CHILDREN="$CHILDREN $WRITER"

moves() { sql -c 'SELECT coalesce(max(id), 0) FROM moves'; }
more_moves() { [ "$(moves)" -gt "$1" ]; }

for moment in 1 2 3; do
	background "replicate$moment" "$SLUICE" replicate
	victim=$BG
	before=$(moves)
	until_ok more_moves $((before + 1000 * moment))
	kill -KILL "$victim"
	wait "$victim" 2>/dev/null
	expect 0 "$SLUICE" reconcile --json
	json_is '.ok and ([.tables[] | .missing + .extra + .different] | add) == 0'
done

# The named places, killed exactly there.
for place in capture.received journal.append journal.fsync capture.ack apply.before apply.after; do
	code=0
	SLUICE_FAILPOINTS="$place=kill@3" "$SLUICE" replicate >"$T/$place.log" 2>&1 </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed three times (exit $code)"
	expect 0 "$SLUICE" reconcile --json
	json_is '.ok'
done

kill "$WRITER" 2>/dev/null
wait "$WRITER" 2>/dev/null
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" reconcile --json
json_is '.ok and ([.tables[] | .missing + .extra + .different] | add) == 0'
json_is "([.tables[] | select(.table == \"public.moves\")][0].source_rows) == $(sql -c 'SELECT count(*) FROM moves')"
