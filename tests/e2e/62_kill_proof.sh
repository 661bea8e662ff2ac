# kill -9 of a reconciliation and of a repair at random moments: the next one says, and does, what
# it would have said and done without. SLUICE_LONG=1: more of them. SLUICE_SEED repeats the moments.
. "$here/lib.sh"

seed=${SLUICE_SEED:-$(date +%s)}
echo "seed: SLUICE_SEED=$seed"
RANDOM=$((seed % 32768))
rounds=6
[ -z "${SLUICE_LONG:-}" ] || rounds=50

start_pg
write_conf '[replicate]
flush_interval = 20ms'
sql <<'SQL'
CREATE TABLE big (id bigint PRIMARY KEY, owner text, balance numeric(12,2) NOT NULL, at timestamptz NOT NULL);
CREATE TABLE moves (account bigint, n int, amount numeric(12,2) NOT NULL, PRIMARY KEY (account, n));
INSERT INTO big SELECT i, 'owner ' || i, i / 7.0, now() FROM generate_series(1, 120000) i;
INSERT INTO moves SELECT i % 3000, i, i FROM generate_series(1, 20000) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up
sql -c "UPDATE big SET owner = 'changed' WHERE id % 1000 = 7"
expect 0 "$SLUICE" reconcile --json
json_is .ok
warehouse() { expect 0 "$SLUICE" query --json "$1"; }
hand() { expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" "$1"; }
STATE='SELECT md5(string_agg(t, chr(10) ORDER BY t)) AS d FROM (SELECT CAST(a AS VARCHAR) AS t FROM
	public.big a UNION ALL SELECT CAST(h AS VARCHAR) FROM public_history.big h
	UNION ALL SELECT CAST(m AS VARCHAR) FROM public.moves m
	UNION ALL SELECT CAST(h AS VARCHAR) FROM public_history.moves h)'

hand "UPDATE public.big SET balance = balance + 0.01 WHERE id % 4000 = 1;
	DELETE FROM public.big WHERE id IN (50, 60);
	INSERT INTO public.big SELECT * REPLACE (id + 1000000 AS id) FROM public.big WHERE id IN (70, 80);
	UPDATE public.big SET owner = owner || ' ' WHERE id % 1000 = 7 AND id < 5000;
	UPDATE public_history.big SET owner = owner || ' ' WHERE id % 1000 = 7 AND id < 5000 AND _op = 'U';
	UPDATE public.moves SET amount = amount + 1 WHERE account = 7"
warehouse "$STATE"
PLANTED=$(json .d)

# What a report says, without when and how long. One line.
said() { json -c '{ok, whole, tables: [.tables[] | {table, source_rows, replica_rows, missing, extra,
	different, source_digest, replica_digest, keys, blame}]}' | jq -cS .; }
json() { tail -n 1 "$T/out" | jq -r "$@"; }
now_ms() { date +%s%3N; }

began=$(now_ms)
expect 3 "$SLUICE" reconcile --json
took=$(($(now_ms) - began))
REPORT=$(said)
DIFFER=$(json '[.tables[] | .missing + .extra + .different] | add')
[ "$DIFFER" -gt 30 ] || die "$DIFFER differences"

# Runs a command and kills it after a random part of `took` ms, or a little more.
killed=0
kill_within() {
	local code=0 at=$((RANDOM % (took + took / 5 + 1)))
	"$@" >"$T/killed.out" 2>&1 </dev/null 9>&- &
	local pid=$!
	sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null || code=$?
	[ "$code" -ne 137 ] || killed=$((killed + 1))
}

for i in $(seq "$rounds"); do
	kill_within "$SLUICE" reconcile --json
	expect 3 "$SLUICE" reconcile --json
	[ "$(said)" = "$REPORT" ] || die "another report after a kill: $(said), not $REPORT"
	warehouse "SELECT count(*) FILTER (sha256(report) <> digest) AS n FROM ops.reconciliations"
	json_is '.n == 0'
done
[ "$killed" -gt 0 ] || die "no reconciliation was killed in time"
echo "$killed of $rounds reconciliations killed within $took ms"

began=$(now_ms)
expect 0 "$SLUICE" repair --json
json_is '.ok and .whole'
took=$(($(now_ms) - began))
killed=0
undo_all() {
	warehouse "SELECT repair_id AS id FROM ops.repairs WHERE undone_at IS NULL GROUP BY repair_id ORDER BY max(repaired_at) DESC, id DESC"
	for id in $(jq -r .id "$T/out"); do expect 0 "$SLUICE" repair --undo "$id" --no-check --json; done
	warehouse "$STATE"
	[ "$(json .d)" = "$PLANTED" ] || die "the undo did not restore what was there"
}
undo_all
for i in $(seq "$rounds"); do
	kill_within "$SLUICE" repair --json
	expect 0 "$SLUICE" repair --json
	json_is '.ok and .whole'
	warehouse "SELECT CAST(sum(differences) AS BIGINT) AS n, count(*) AS k, count(DISTINCT table_name || key) AS d FROM ops.repairs WHERE undone_at IS NULL"
	json_is ".n == $DIFFER and .k == .d"
	expect 0 "$SLUICE" reconcile --json
	json_is .ok
	undo_all
done
[ "$killed" -gt 0 ] || die "no repair was killed in time"
echo "$killed of $rounds repairs killed within $took ms"
