# Reconciling in key ranges: killed after any range the next start goes on and reports the same;
# checks of the changes give the digests of a full one; silent damage is found by rolling; counts,
# samples and wrong use.
. "$here/lib.sh"

start_pg
write_conf '[reconcile]
range_rows = 5000'
sql <<'SQL'
CREATE TABLE accounts (id bigint PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) NOT NULL,
	touched timestamptz NOT NULL);
CREATE TABLE moves (account bigint, n int, amount numeric(12,2) NOT NULL, PRIMARY KEY (account, n));
CREATE TABLE small (code text PRIMARY KEY, v int);
INSERT INTO accounts SELECT i, 'owner ' || i, i / 7.0, timestamptz '2026-01-01' + i * interval '1 minute'
	FROM generate_series(1, 30000) i;
INSERT INTO moves SELECT i % 300, i, i FROM generate_series(1, 20000) i;
INSERT INTO small VALUES ('a', 1), ('B', 2), ('ä', 3);
ANALYZE;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up --json
warehouse() { expect 0 "$SLUICE" query --json "$1"; }
hand() { expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" "$1"; }

# Every range has a cut of its own; together they are the table.
expect 0 "$SLUICE" reconcile --json
json_is '.ok and .whole and .cuts > 5 and .mode == "full" and .last_cut != null'
json_is '[.tables[] | {(.table): [.source_rows, .replica_rows]}] | add ==
	{"public.accounts": [30000, 30000], "public.moves": [20000, 20000], "public.small": [3, 3]}'
DIGESTS=$(json '[.tables[].source_digest] | join(" ")')
expect 0 "$SLUICE" reconcile
grep -q 'cuts, from' "$T/out" || die "the table does not say that there were several cuts"

# Killed after each group of ranges in turn: what is done is not done again, the findings are the same.
hand "UPDATE public.accounts SET balance = balance + 0.01 WHERE id IN (17, 29000);
	DELETE FROM public.moves WHERE n = 500"
expect 3 "$SLUICE" reconcile --json
findings() { json '[.ok, .whole, [.tables[] | del(.seconds)]] | tojson'; }
WANT=$(findings)
for n in ${SLUICE_LONG:+1 2 3 4 6} 5; do
	expect 137 env SLUICE_FAILPOINTS="reconcile.kept=kill@$n" "$SLUICE" reconcile --json
	expect 3 "$SLUICE" reconcile --json
	[ "$(findings)" = "$WANT" ] || die "another report after a kill in group $n"
	[ "$(grep -c '"range compared"' "$T/err")" -gt 0 ] || die "nothing was left to compare"
	[ "$(grep -c 'compared"' "$T/err")" -le $((11 - n)) ] || die "ranges were compared again after a kill in group $n"
done
expect 137 env SLUICE_FAILPOINTS="reconcile.kept=kill@2" "$SLUICE" reconcile --json
expect 3 "$SLUICE" reconcile --json --afresh
[ "$(findings)" = "$WANT" ] || die "another report afresh"
expect 0 "$SLUICE" repair --json
expect 0 "$SLUICE" reconcile --json
[ "$(json '[.tables[].source_digest] | join(" ")')" = "$DIGESTS" ] || die "other digests after the repair"

# What has changed: the digests are those of a full comparison, and it does not count as one.
expect 0 "$SLUICE" reconcile --changed --json
json_is '.ok and (.whole | not) and .mode == "changed" and ([.tables[].changed] | add) == 0'
sql -c "UPDATE accounts SET balance = 0 WHERE id % 100 = 7; DELETE FROM moves WHERE n % 1000 = 3;
	INSERT INTO small VALUES ('it''s \"x\"', 4); UPDATE small SET v = 5 WHERE code = 'B'"
expect 0 "$SLUICE" reconcile --changed --json
json_is '.ok and [.tables[].changed] == [300, 20, 2] and ([.tables[].compared] | add) == 0'
DIGESTS=$(json '[.tables[] | .source_digest, .replica_digest, .source_rows] | tojson')
expect 0 "$SLUICE" reconcile --sample 100% --json
[ "$(json '[.tables[] | .source_digest, .replica_digest, .source_rows] | tojson')" = "$DIGESTS" ] ||
	die "the digests of the changes are not those of a full comparison"
json_is '.whole | not'

# A hand on a row that nobody changes, in current or in history: found within N rolling checks.
for where in public public_history; do
	hand "UPDATE $where.accounts SET touched = touched + INTERVAL 1 MICROSECOND WHERE id = 12345"
	expect 0 "$SLUICE" reconcile --changed --json
	found=
	for _ in 1 2 3 4; do
		"$SLUICE" reconcile --changed --rolling 4 --json >"$T/out" 2>"$T/err"
		[ $? -ne 3 ] || { found=1 && break; }
	done
	[ -n "$found" ] || die "damage in $where was not found in four rolling checks of four"
	json_is '[.tables[].keys // [] | .[].key.id] == [12345]'
	[ "$where" = public ] || json_is '[.tables[].keys // [] | .[].in_history] == [true]'
	hand "UPDATE $where.accounts SET touched = touched - INTERVAL 1 MICROSECOND WHERE id = 12345"
	expect 0 "$SLUICE" reconcile --changed --rolling 4 --json
done

# Counts, for each table and each day.
expect 0 "$SLUICE" reconcile --counts --by-day touched --json
json_is '.ok and ([.tables[] | .source_rows] == [30000, 19980, 4]) and
	(.tables[0].days | length) == 21 and ([.tables[0].days[].replica_rows] | add) == 30000'
expect 0 "$SLUICE" reconcile --counts
hand "DELETE FROM public.accounts WHERE id = 3"
expect 3 "$SLUICE" reconcile --counts --by-day touched --json
json_is '[.tables[0].days[] | select(.source_rows != .replica_rows) | .day] == ["2026-01-01"]'
expect 3 "$SLUICE" reconcile --table accounts --json
expect 0 "$SLUICE" repair --json

# Beside writers: no false alarm, in ranges and in checks of the changes.
cat >"$T/write.sql" <<'SQL'
\set a random(1, 30000)
BEGIN;
UPDATE accounts SET balance = balance - 1, touched = now() WHERE id = :a;
INSERT INTO moves VALUES (:a, 100000 + :a, 1) ON CONFLICT (account, n) DO UPDATE SET amount = moves.amount + 1;
DELETE FROM moves WHERE account = :a % 300 AND n < :a;
END;
SQL
PGBENCH=$(command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench | tail -n 1)
background up "$SLUICE" replicate
until_ok grep -q streaming "$T/up.log"
"$PGBENCH" -n -c 2 -T 300 -f "$T/write.sql" -d "$PG" >"$T/pgbench.out" 2>&1 9>&- &
WRITER=$!
CHILDREN="$CHILDREN $WRITER"
for _ in $(seq "$([ -n "${SLUICE_LONG:-}" ] && echo 50 || echo 2)"); do
	expect 0 "$SLUICE" reconcile --json
	json_is '.ok and .whole'
	expect 0 "$SLUICE" reconcile --changed --rolling 3 --json
	json_is .ok
done
kill "$WRITER"
wait "$WRITER" 2>/dev/null

# Wrong use says why.
for args in "--sample 0" "--sample x" "--sample 101%" "--rolling 3" "--changed --sample 5%" \
	"--counts --changed" "--by-day touched"; do
	# shellcheck disable=SC2086
	expect 2 "$SLUICE" reconcile $args
done
expect 2 "$SLUICE" reconcile --counts --by-day nowhere
err_has nowhere
