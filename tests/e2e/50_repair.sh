# Faults planted in the warehouse are found, blamed on the right party, repaired to nothing, undone
# exactly; killed in the middle, the next repair ends equal; a stream that goes on is not disturbed.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms'
sql <<'SQL'
CREATE TABLE accounts (id bigint PRIMARY KEY, owner text, balance numeric(12,2) NOT NULL,
	wide numeric, ratio float8, touched timestamptz NOT NULL DEFAULT now(), tags jsonb, raw bytea);
CREATE TABLE moves (account bigint, n int, amount numeric(12,2) NOT NULL, PRIMARY KEY (account, n));
INSERT INTO accounts SELECT i, 'owner ' || i, i / 7.0, i / 3.0, sin(i), now(), '{"a": [1, 2]}',
	decode(md5(i::text), 'hex') FROM generate_series(1, 2000) i;
UPDATE accounts SET wide = 12345678901234567890123456789012345678901234567890.5,
	touched = 'infinity' WHERE id % 50 = 0;
INSERT INTO moves SELECT i % 300, i, i FROM generate_series(1, 3000) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up --json
sql -c "UPDATE accounts SET owner = 'changed' WHERE id BETWEEN 100 AND 199;
	DELETE FROM accounts WHERE id BETWEEN 200 AND 209"
expect 0 "$SLUICE" reconcile --json
warehouse() { expect 0 "$SLUICE" query --json "$1"; }
hand() { expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" "$1"; }

# By hand in the current table: the warehouse's fault. In history too: apply's, of rows that the
# journal still has, and of rows that have stood since the first copy, which apply made.
plant() {
	hand "UPDATE public.accounts SET balance = balance + 0.01 WHERE id = 1;
		UPDATE public.accounts SET owner = owner || ' ' WHERE id = 50;
		DELETE FROM public.accounts WHERE id = 2;
		INSERT INTO public.accounts SELECT * REPLACE (5000 AS id) FROM public.accounts WHERE id = 3;
		DELETE FROM public.accounts WHERE id = 101;
		DELETE FROM public_history.accounts WHERE id = 101 AND _op = 'U';
		UPDATE public.accounts SET ratio = ratio + 1 WHERE id = 102;
		UPDATE public_history.accounts SET ratio = ratio + 1 WHERE id = 102;
		INSERT INTO public.accounts SELECT * REPLACE (205 AS id) FROM public.accounts WHERE id = 3;
		DELETE FROM public_history.accounts WHERE id = 205 AND _op = 'D';
		UPDATE public.moves SET amount = amount + 1 WHERE account = 7 AND n = 7;
		UPDATE public_history.moves SET amount = amount + 1 WHERE account = 7 AND n = 7"
}
plant
differ() {
	expect 3 "$SLUICE" reconcile --json
	json_is '.tables[0].table == "public.accounts" and .tables[0].missing == 2 and
		.tables[0].extra == 2 and .tables[0].different == 3 and .tables[1].different == 1'
	json_is '.tables[0].blame == {"warehouse": 4, "apply": 3} and
		.tables[1].blame == {"apply": 1}'
	json_is '[.tables[0].keys[] | {(.key.id | tostring): .blame}] | add ==
		{"1": "warehouse", "2": "warehouse", "50": "warehouse", "5000": "warehouse",
		 "101": "apply", "102": "apply", "205": "apply"}'
}
differ
DIGESTS=$(json '[.tables[].replica_digest] | join(" ")')
STATE='SELECT md5(string_agg(t, chr(10) ORDER BY t)) AS d FROM (SELECT CAST(a AS VARCHAR) AS t FROM
	public.accounts a UNION ALL SELECT CAST(h AS VARCHAR) FROM public_history.accounts h
	UNION ALL SELECT CAST(m AS VARCHAR) FROM public.moves m
	UNION ALL SELECT CAST(h AS VARCHAR) FROM public_history.moves h)'
warehouse "$STATE"
BEFORE=$(json .d)

# A dry run says it and does nothing.
expect 0 "$SLUICE" repair --dry-run --json
json_is '.dry_run and .tables == [{"table": "public.accounts", "repaired": 7, "skipped": 0},
	{"table": "public.moves", "repaired": 1, "skipped": 0}]'
warehouse "$STATE"
[ "$(json .d)" = "$BEFORE" ] || die "a dry run has changed something"

expect 0 "$SLUICE" repair --json
json_is '([.tables[].repaired] | add) == 8 and ([.tables[].skipped] | add) == 0'
json_is '.ok and .whole'
ID=$(json .repair_id)
# Gates and releases go by the newest report: it says equal now, without another reconciliation.
newest() { # OK: what it says
	warehouse "SELECT ok, whole, sha256(report) = digest AS sound FROM ops.reconciliations ORDER BY finished_at DESC LIMIT 1"
	json_is ".ok == $1 and .sound"
}
newest true
expect 0 "$SLUICE" reconcile --json
json_is .ok
warehouse "SELECT count(*) AS n, count(*) FILTER (history_added) AS h FROM ops.repairs WHERE repair_id = '$ID'"
json_is '.n == 8 and .h == 4'
# Later changes of the same keys, and of their neighbours, go on from there.
warehouse "SELECT count(*) AS n FROM public_history.accounts_versions WHERE id IN (101, 102, 205) AND _valid_to = 'infinity'"
json_is '.n == 2'

# Back to the fault, bit by bit; and an undo is done once. What was proven is proven no longer, even
# when nothing is compared afterwards.
expect 0 "$SLUICE" repair --undo "$ID" --no-check --json
json_is '([.tables[].undone] | add) == 8 and ([.tables[].skipped] | add) == 0'
json_is '.ok == null'
newest false
warehouse "$STATE"
[ "$(json .d)" = "$BEFORE" ] || die "the undo did not restore what was there"
differ
[ "$(json '[.tables[].replica_digest] | join(" ")')" = "$DIGESTS" ] || die "other digests after the undo"
# A check of the changes does not take the undone table for what it was.
expect 3 "$SLUICE" reconcile --changed --json
expect 0 "$SLUICE" repair --undo "$ID" --json
json_is '([.tables[].undone] | add) == 0 and ([.tables[].skipped] | add) == 0'
expect 2 "$SLUICE" repair --undo 20000101T000000-000000
err_has 'ops.repairs has no rows of it'

# Without a look afterwards the report that stands is the one that found the differences.
expect 0 "$SLUICE" repair --no-check --json
json_is '.ok == null'
newest false
warehouse "SELECT repair_id AS id FROM ops.repairs WHERE undone_at IS NULL LIMIT 1"
expect 0 "$SLUICE" repair --undo "$(json .id)" --json
json_is '.ok == false and .whole'
newest false

# Killed between the tables' transactions or after one, the next repair ends equal.
for place in repair.before=kill@2 repair.after=kill; do
	expect 137 env SLUICE_FAILPOINTS="$place" "$SLUICE" repair --json
	expect 0 "$SLUICE" repair --json
	expect 0 "$SLUICE" reconcile --json
	json_is .ok
	warehouse "SELECT count(*) AS n FROM (SELECT table_name, key FROM ops.repairs WHERE undone_at IS NULL GROUP BY ALL HAVING count(*) > 1)"
	json_is '.n == 0'
	warehouse "SELECT DISTINCT repair_id AS id FROM ops.repairs WHERE undone_at IS NULL"
	for id in $(jq -r .id "$T/out"); do expect 0 "$SLUICE" repair --undo "$id" --json; done
	differ
done
expect 0 "$SLUICE" repair --json
ID=$(json .repair_id)

# The same keys change in the source: the repaired rows follow, and the undo leaves them alone.
sql -c "UPDATE accounts SET balance = balance + 1 WHERE id IN (1, 2, 101, 102);
	INSERT INTO accounts (id, balance) VALUES (205, 1), (5000, 1);
	UPDATE moves SET amount = 5 WHERE account = 7; DELETE FROM accounts WHERE id = 50"
expect 0 "$SLUICE" reconcile --json
json_is .ok
expect 0 "$SLUICE" repair --undo "$ID" --json
json_is '([.tables[].undone] | add) == 0 and ([.tables[].skipped] | add) == 8'
expect 0 "$SLUICE" reconcile --json
json_is .ok

# Beside writers and a replication that runs: it is repaired, nothing else is disturbed.
cat >"$T/write.sql" <<'SQL'
\set a random(1, 1000)
UPDATE accounts SET balance = balance - 1, touched = now() WHERE id = :a;
INSERT INTO moves VALUES (:a, 100000 + :a, 1) ON CONFLICT (account, n) DO UPDATE SET amount = moves.amount + 1;
SQL
PGBENCH=$(command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench | tail -n 1)
"$PGBENCH" -n -c 2 -T 300 -f "$T/write.sql" -d "$PG" >"$T/pgbench.out" 2>&1 9>&- &
WRITER=$!
CHILDREN="$CHILDREN $WRITER"
for round in 1 2; do
	hand "UPDATE public.accounts SET ratio = ratio + 1 WHERE id > 1000 AND id % 50 = $round;
		DELETE FROM public.accounts WHERE id > 1000 AND id % 50 = 10 + $round"
	background "replicate$round" "$SLUICE" replicate
	replicating=$BG
	until_ok grep -q streaming "$T/replicate$round.log"
	expect 0 "$SLUICE" repair --json
	json_is '([.tables[].repaired] | add) == 40 and ([.tables[].skipped] | add) == 0'
	expect 0 "$SLUICE" reconcile --json
	json_is .ok
	kill "$replicating"
	wait "$replicating" || die "replicate ended with $?"
done
kill "$WRITER" 2>/dev/null
wait "$WRITER" 2>/dev/null
expect 0 "$SLUICE" reconcile --json
json_is .ok

# What cannot be repaired is refused, and nothing is written then.
sql -c "CREATE TABLE loose (v int); ALTER PUBLICATION sluice ADD TABLE loose; INSERT INTO loose VALUES (1)"
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" reconcile --json
hand "DELETE FROM public.loose; DELETE FROM public_history.loose"
expect 2 "$SLUICE" repair --json
err_has 'has no key'
expect 2 "$SLUICE" repair --table nowhere
expect 2 "$SLUICE" repair --undo "$ID" --dry-run
