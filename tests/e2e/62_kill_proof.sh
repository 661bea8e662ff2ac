# kill -9 of a reconciliation and of a repair, at random moments and at named places: the next one
# goes on where it stood and says what an undisturbed one says, byte by byte but for times and
# positions; at most one range is compared twice; and one undo takes all of the repair back.
# SLUICE_LONG=1: 200 kills. SLUICE_SEED repeats the moments.
. "$here/lib.sh"

seed=${SLUICE_SEED:-$(date +%s)}
echo "seed: SLUICE_SEED=$seed"
RANDOM=$((seed % 32768))
rounds=1
[ -z "${SLUICE_LONG:-}" ] || rounds=82

start_pg
write_conf '[replicate]
flush_interval = 20ms
[reconcile]
range_rows = 8000'
sql <<'SQL'
CREATE TABLE big (id bigint PRIMARY KEY, owner text, balance numeric(12,2) NOT NULL, at timestamptz NOT NULL);
CREATE TABLE moves (account bigint, n int, amount numeric(12,2) NOT NULL, PRIMARY KEY (account, n));
INSERT INTO big SELECT i, 'owner ' || i, i / 7.0, now() FROM generate_series(1, 48000) i;
INSERT INTO moves SELECT i % 3000, i, i FROM generate_series(1, 16000) i;
ANALYZE;
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
# What a report says, without when, how long and at which positions.
said() { json 'walk(if type == "object" then del(.seconds, .cut, .last_cut, .lsn, .checked_lsn, .repair_id) else . end) | tojson'; }
compared() { cat "$@" | grep -c '"range compared"'; }
now_ms() { date +%s%3N; }

# Kills a command after a random part of `took` ms, or a little more.
killed=0
kill_within() {
	local code=0 at=$((RANDOM % (took + took / 5 + 1)))
	"$@" >"$T/killed.out" 2>"$T/killed.err" </dev/null 9>&- &
	local pid=$!
	sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null || code=$?
	[ "$code" -eq 137 ] && killed=$((killed + 1))
}
# ... or where it passes a place for the n-th time. PLACE N COMMAND...
kill_at() {
	local code=0 place="$1=kill@$2"
	shift 2
	SLUICE_FAILPOINTS=$place "$@" >"$T/killed.out" 2>"$T/killed.err" </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed (exit $code): $(tail -n 1 "$T/killed.err")"
	killed=$((killed + 1))
}
redone=0
# What two calls compared together, against what one does: at most one range more.
count_redone() { # WHOLE
	local more=$(($(compared "$T/killed.err" "$T/err") - $1))
	[ "$more" -le 1 ] || die "$more ranges were compared twice"
	[ "$more" -le 0 ] || redone=$((redone + more))
}

# ---- reconciliations ----

began=$(now_ms)
expect 3 "$SLUICE" reconcile --json
took=$(($(now_ms) - began))
REPORT=$(said)
RANGES=$(compared "$T/err")
DIFFER=$(json '[.tables[] | .missing + .extra + .different] | add')
[ "$DIFFER" -gt 20 ] || die "$DIFFER differences"
[ "$RANGES" -ge 8 ] || die "$RANGES ranges"
reconcile_again() {
	expect 3 "$SLUICE" reconcile --json
	[ "$(said)" = "$REPORT" ] || die "another report after a kill: $(said), not $REPORT"
	count_redone "$RANGES"
}
for _ in $(seq "$rounds"); do
	kill_within "$SLUICE" reconcile --json
	# One that came to its end is followed by one of all ranges.
	if tail -n 1 "$T/killed.out" | grep -q '"tables"'; then : >"$T/killed.err"; fi
	reconcile_again
done
for n in ${SLUICE_LONG:+1 2 3 4 6 7} 5 8; do
	kill_at reconcile.kept "$n" "$SLUICE" reconcile --json
	reconcile_again
done
warehouse "SELECT count(*) FILTER (sha256(report) <> digest) AS n FROM ops.reconciliations"
json_is '.n == 0'
[ "$killed" -ge 2 ] || die "no reconciliation was killed in time"
echo "$killed reconciliations killed (a whole one: $took ms, $RANGES ranges), $redone ranges compared twice"

# ---- repairs ----

undo_all() {
	warehouse "SELECT DISTINCT repair_id AS id FROM ops.repairs WHERE undone_at IS NULL"
	[ "$(wc -l <"$T/out")" -eq 1 ] || die "not one repair: $(cat "$T/out")"
	expect 0 "$SLUICE" repair --undo "$(json .id)" --no-check --json
	json_is "([.tables[].undone] | add) == ${1:-$DIFFER} and ([.tables[].skipped] | add) == 0"
	warehouse "$STATE"
	[ "$(json .d)" = "$PLANTED" ] || die "the undo did not restore what was there"
}
began=$(now_ms)
expect 0 "$SLUICE" repair --json
took=$(($(now_ms) - began))
json_is ".ok and .whole and ([.tables[].repaired] | add) == $DIFFER"
MENDED=$(said)
RANGES=$(compared "$T/err")
WRONG=$(grep -c '"range repaired"' "$T/err")
undo_all
random=$killed
killed=0 redone=0
repair_again() {
	expect 0 "$SLUICE" repair --json
	[ "$(said)" = "$MENDED" ] || die "another report after a kill: $(said), not $MENDED"
	count_redone "$RANGES"
	[ "$(cat "$T/killed.err" "$T/err" | grep '"range repaired"' | jq -r '.table + " \(.range)"' | sort | uniq -d | wc -l)" -eq 0 ] ||
		die "a range was repaired twice"
	warehouse "SELECT CAST(sum(differences) AS BIGINT) AS n, count(*) AS k, count(DISTINCT table_name || key) AS d FROM ops.repairs WHERE undone_at IS NULL"
	json_is ".n == $DIFFER and .k == .d"
	undo_all
}
for _ in $(seq "$rounds"); do
	kill_within "$SLUICE" repair --json
	if tail -n 1 "$T/killed.out" | grep -q '"tables"'; then
		# It came to its end, so nothing is left to be repaired.
		undo_all
		: >"$T/killed.err"
	fi
	repair_again
done
# While it compares, before and after each transaction, while it compares again, when it has told.
while read -r place n; do
	kill_at "$place" "$n" "$SLUICE" repair --json
	repair_again
done <<PLACES
repair.found 1
repair.planned 1
repair.before 2
repair.after 1
repair.range $WRONG
reconcile.kept $((WRONG + 2))
repair.told 1
PLACES
if [ -n "${SLUICE_LONG:-}" ]; then
	for n in $(seq "$WRONG"); do
		for place in repair.before repair.after repair.range; do
			kill_at "$place" "$n" "$SLUICE" repair --json
			repair_again
		done
	done
fi
[ "$killed" -ge 7 ] || die "no repair was killed in time"
echo "$killed repairs killed (a whole one: $took ms, $RANGES comparisons, $WRONG ranges mended), $redone compared twice"
echo "$((random + killed)) kills"

# What a killed repair has done can be taken back as well; the next one then begins anew.
kill_at repair.after 3 "$SLUICE" repair --json
warehouse "SELECT CAST(sum(differences) AS BIGINT) AS n FROM ops.repairs WHERE undone_at IS NULL"
part=$(json .n)
[ "$part" -gt 0 ] && [ "$part" -lt "$DIFFER" ] || die "$part of $DIFFER were mended"
undo_all "$part"
expect 0 "$SLUICE" repair --json
json_is "([.tables[].repaired] | add) == $DIFFER"
undo_all
# So it does with --afresh; what the first one did stays done.
kill_at repair.after 3 "$SLUICE" repair --json
warehouse "SELECT CAST(sum(differences) AS BIGINT) AS n FROM ops.repairs WHERE undone_at IS NULL"
part=$(json .n)
expect 0 "$SLUICE" repair --afresh --json
json_is ".ok and ([.tables[].repaired] | add) == $((DIFFER - part))"
expect 0 "$SLUICE" repair --json
json_is '.ok and ([.tables[].repaired] | add) == 0'
