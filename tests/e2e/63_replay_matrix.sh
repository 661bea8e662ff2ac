# One digest: over threads {1,2,4} x batches {1,100,10000}, each replay killed with kill -9 at random
# moments before it may end. And at speed: a replay takes the time that the transactions took.
# SLUICE_LONG=1: 50 kills, short: 9. SLUICE_SEED repeats the moments.
. "$here/lib.sh"

seed=${SLUICE_SEED:-$(date +%s)}
echo "seed: SLUICE_SEED=$seed"
RANDOM=$((seed % 32768))
wanted=9
[ -z "${SLUICE_LONG:-}" ] || wanted=50

start_pg
write_conf '[replicate]
flush_interval = 20ms
segment_size = 256KB'
sql <<'SQL'
CREATE TABLE accounts (id bigint PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) NOT NULL, note text);
CREATE TABLE moves (id bigserial PRIMARY KEY, account bigint NOT NULL, amount numeric(12,2) NOT NULL);
ALTER TABLE accounts ALTER note SET STORAGE EXTERNAL;
INSERT INTO accounts SELECT i, 'owner ' || i, i, repeat('x', i % 5 * 600) FROM generate_series(1, 1000) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up
for i in $(seq 12); do
	cat <<SQL
BEGIN; UPDATE accounts SET balance = balance - $i WHERE id % 53 = $i; SAVEPOINT s; DELETE FROM accounts;
ROLLBACK TO s; INSERT INTO moves (account, amount) SELECT i, $i FROM generate_series(1, 12) i; COMMIT;
DELETE FROM moves WHERE id % 31 = $i;
UPDATE accounts SET id = id + 100000 WHERE id = 3 * $i;
UPDATE accounts SET note = repeat('y', 2500) WHERE id % 101 = $i;
SQL
done | sql
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" window record --name one --json
digest=$(json .digest)

now_ms() { date +%s%3N; }
kills=0
tries=0
# Kills a replay at a random moment of the time that it takes whole, often enough; then lets it end.
replay_killed() { # THREADS BATCH KILLS
	local began took n=0 code at pid
	began=$(now_ms)
	expect 0 "$SLUICE" window replay one --threads "$1" --batch-rows "$2" --json
	json_is ".ok and .digest == \"$digest\" and (.resumed | not)"
	took=$(($(now_ms) - began))
	while [ "$n" -lt "$3" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt $((20 * wanted)) ] || die "only $kills of $tries kills came in time"
		at=$((RANDOM % (took + 1)))
		code=0
		"$SLUICE" window replay one --threads "$1" --batch-rows "$2" --json >"$T/killed.out" 2>&1 </dev/null 9>&- &
		pid=$!
		sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null || code=$?
		if [ "$code" -eq 137 ]; then
			n=$((n + 1))
			kills=$((kills + 1))
			# Half of them go on from where the last one was cut short.
			[ $((RANDOM % 2)) -eq 0 ] || continue
			expect 0 "$SLUICE" window replay one --threads "$1" --batch-rows "$2" --json
			json_is ".ok and .digest == \"$digest\""
			[ "$(json .resumed)" = false ] || resumed=$((resumed + 1))
		elif [ "$code" -eq 0 ]; then
			tail -n 1 "$T/killed.out" | jq -e ".digest == \"$digest\"" >/dev/null || die "another digest"
		else
			die "exit $code: $(tail -n 1 "$T/killed.out")"
		fi
	done
	# With other threads and another batch than those that were cut short.
	expect 0 "$SLUICE" window replay one --json
	json_is ".ok and .digest == \"$digest\""
}
resumed=0
cell=0
for threads in 1 2 4; do
	for batch in 1 100 10000; do
		replay_killed $threads $batch $((wanted / 9 + (cell < wanted % 9)))
		cell=$((cell + 1))
	done
done
[ "$kills" -ge "$wanted" ] || die "$kills kills"
[ "$(find windows -mindepth 1 -maxdepth 1 -name '.*' | wc -l)" -eq 0 ] || die "something is left over"
echo "$kills kills in $tries tries over 9 combinations, one digest; $resumed replays went on where one was cut"

# At speed: as long as from the first commit to the last, and no shorter.
from=$(sql -c 'SELECT pg_current_wal_lsn()')
for i in 1 2 3 4; do
	sql -c "INSERT INTO accounts VALUES (900000 + $i, 'paced', 1)" -c 'SELECT pg_sleep(0.5)' >/dev/null
done
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" window record --name paced --from "$from" --json
json_is '.transactions == 4'
expect 0 "$SLUICE" query --json "SELECT CAST(epoch_us(max(_committed_at)) - epoch_us(min(_committed_at)) AS BIGINT) AS us
	FROM public_history.accounts WHERE _op = 'I' AND id > 900000"
span=$(json .us)
expect 0 "$SLUICE" window replay paced --json
json_is ".ok and .seconds * 1000000 < $span"
expect 0 "$SLUICE" window replay paced --at-speed --json
json_is ".ok and .seconds * 1000000 >= $span"
echo "4 transactions over $span us replayed at speed in $(json .seconds) s"
