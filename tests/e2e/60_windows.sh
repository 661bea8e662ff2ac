# A window of the journal is recorded beside running writers, refused when anything in it was
# changed, and replayed to the same digest whatever the batches, the threads and the kills between.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms
segment_size = 64KB
[warehouse]
threads = 2'
sql <<'SQL'
CREATE DOMAIN euros AS numeric(12,2);
CREATE TABLE accounts (id bigint PRIMARY KEY, owner text NOT NULL, balance euros NOT NULL,
	note text, extra jsonb, touched timestamptz NOT NULL DEFAULT now());
CREATE TABLE moves (id bigserial PRIMARY KEY, account bigint NOT NULL, amount numeric(12,2) NOT NULL);
CREATE TABLE quiet (id int PRIMARY KEY, v text);
CREATE TABLE logs (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), line text);
ALTER TABLE accounts ALTER note SET STORAGE EXTERNAL;
INSERT INTO accounts SELECT i, 'owner ' || i, i, repeat('x', i % 7 * 600), jsonb_build_object('n', i)
	FROM generate_series(1, 2000) i;
INSERT INTO quiet SELECT i, 'never touched' FROM generate_series(1, 50) i;
SQL
expect 0 "$SLUICE" init
expect 2 "$SLUICE" window record
err_has 'sluice replicate'
expect 0 "$SLUICE" window list
expect 0 "$SLUICE" replicate --until caught-up

# Inserts, updates with and without what is toasted, deletes, changed keys, a savepoint and a
# transaction rolled back, values that no column of the warehouse holds.
work() {
	local i
	for i in $(seq "$1"); do
		cat <<SQL
BEGIN;
UPDATE accounts SET balance = balance - $i, touched = now() WHERE id % 97 = $i % 97;
INSERT INTO moves (account, amount) SELECT i, $i FROM generate_series(1, 40) i;
SAVEPOINT s;
DELETE FROM moves WHERE id % 5 = $i % 5;
ROLLBACK TO s;
DELETE FROM moves WHERE id % 23 = $i % 23;
UPDATE accounts SET id = id + 100000 WHERE id = $i * 3 AND id < 100000;
INSERT INTO logs (line) VALUES ('line $i');
COMMIT;
BEGIN;
UPDATE accounts SET note = 'never seen';
ROLLBACK;
UPDATE accounts SET touched = 'infinity', note = repeat('y', 2500) WHERE id = $i * 5;
UPDATE accounts SET touched = '4714-11-24 00:00:00+00 BC' WHERE id = $i * 7;
SQL
	done
}
work 30 | sql
expect 0 "$SLUICE" replicate --until caught-up --json
middle=$(json .lsn)
work 30 | sql
sql -c 'TRUNCATE moves'
sql -c 'ALTER TABLE accounts ADD COLUMN rank int, DROP COLUMN extra'
work 10 | sql
sql -c 'UPDATE accounts SET rank = id % 10 WHERE id % 3 = 0'
sql -c 'ALTER TABLE moves ALTER amount TYPE text'
work 10 | sql
expect 0 "$SLUICE" replicate --until caught-up

# All that the journal holds, and the stretch after the middle; more follows after both.
expect 0 "$SLUICE" window record --name whole --json
json_is '.changes > 1000 and .transactions > 100 and .tables == 4'
expect 0 "$SLUICE" window record --name half --from "$middle" --json
json_is ".from == \"$middle\" and .changes > 500"
expect 1 "$SLUICE" window record --name half
err_has 'exists already'
work 5 | sql
sql -c "ALTER TABLE accounts DROP COLUMN note; INSERT INTO accounts VALUES (-1, 'late', 1, now(), 5)"
expect 0 "$SLUICE" replicate --until caught-up
half_to=$(head -n 1 windows/half/window.json | jq -r .to)
expect 0 "$SLUICE" window record --name earlier --from "$middle" --to "$half_to"
expect 2 "$SLUICE" window record --from 0/1
err_has 'begins at'
expect 2 "$SLUICE" window record --to FFFFFF/0
err_has 'the warehouse stands at'
expect 2 "$SLUICE" window record --name ../x
expect 0 "$SLUICE" window list --json
[ "$(wc -l <"$T/out")" -eq 3 ] || die "not three windows"
expect 0 "$SLUICE" reconcile --table public.quiet

# Sound, and the same elsewhere: neither source nor warehouse nor journal is needed.
for w in whole half earlier; do
	expect 0 "$SLUICE" window verify "$w" --json
	json_is .ok
done
mkdir elsewhere
cp -r windows/half elsewhere/half
cat >elsewhere/sluice.conf <<'CONF'
[source]
url = host=/nonexistent
CONF
expect 0 "$SLUICE" window replay elsewhere/half --config elsewhere/sluice.conf --json
json_is '.ok and .digest == .expected_digest'
digest=$(json .digest)

# One digest whatever the threads and batches; tests/e2e/63 kills each of these at random moments.
for threads in 1 2 4; do
	for batch in 1 100 10000; do
		expect 0 "$SLUICE" window replay half --threads $threads --batch-rows $batch --json
		json_is ".ok and .digest == \"$digest\" and (.resumed | not)"
	done
done
for w in whole earlier; do
	expect 0 "$SLUICE" window replay "$w" --json
	json_is '.ok and .digest == .expected_digest'
done

# And whatever the kills between: the replay after one goes on, or begins anew.
replay_killed() {
	local code=0
	SLUICE_FAILPOINTS="$1=kill@$2" "$SLUICE" window replay half --batch-rows 20 \
		>"$T/killed.out" 2>&1 </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$1 was not passed $2 times (exit $code): $(tail -n 1 "$T/killed.out")"
}
kills=5
[ -z "${SLUICE_LONG:-}" ] || kills=50
for i in $(seq $kills); do
	case $((i % 5)) in
	0) replay_killed window.load $((1 + i % 3)) ;;
	1) replay_killed apply.before $((1 + i * 3 % 20)) ;;
	2) replay_killed apply.after $((1 + i * 5 % 20)) ;;
	3)
		replay_killed apply.after $((1 + i % 4))
		replay_killed apply.before $((1 + i % 7))
		;;
	4) replay_killed window.compared 1 ;;
	esac
	expect 0 "$SLUICE" window replay half --threads $((i % 3 + 1)) --batch-rows $((10 * i)) --json
	json_is ".ok and .digest == \"$digest\""
done
echo "$kills rounds of kills, one digest"

# In real time it takes as long as it did; kept, the scratch warehouse can be asked.
expect 0 "$SLUICE" window replay half --keep --at-speed --json
json_is .ok
[ -s "$(json .scratch)" ] || die "no scratch warehouse"
expect 0 "$SLUICE" window replay half --json
json_is '.ok and (.resumed | not)'
[ "$(find windows -mindepth 1 -maxdepth 1 -name '.*' | wc -l)" -eq 0 ] || die "something is left over"

# Recorded through the process that replicates, beside writers; replayed when that has moved on.
background replicate "$SLUICE" replicate
follower=$BG
(while sql -c "INSERT INTO logs (line) SELECT 'live' FROM generate_series(1, 20)" \
	-c "UPDATE accounts SET balance = balance + 1, rank = rank + 1 WHERE id % 11 = 3" \
	-c "DELETE FROM logs WHERE id % 9 = 4"; do :; done) >"$T/writer.out" 2>&1 9>&- &
writer=$!
CHILDREN="$CHILDREN $writer"
applied_more() {
	"$SLUICE" query --format csv 'SELECT count(*) FROM public.logs' >"$T/count" 2>&1 &&
		[ "$(tail -n 1 "$T/count")" -gt "$1" ]
}
until_ok applied_more 100
for i in 1 2 3; do
	expect 0 "$SLUICE" window record --name "live$i" --from "$half_to" --json
	until_ok applied_more "$(tail -n 1 "$T/count")"
done
kill "$writer"
wait "$writer" 2>/dev/null
kill "$follower"
wait "$follower" 2>/dev/null
for i in 1 2 3; do
	expect 0 "$SLUICE" window replay "live$i" --batch-rows 300 --json
	json_is '.ok and .changes > 100'
done

# A recording that is killed leaves no window, and nothing that is in the way of the next.
for place in window.messages window.state window.manifest; do
	code=0
	SLUICE_FAILPOINTS="$place=kill" "$SLUICE" window record --name cut >"$T/cut.out" 2>&1 </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed (exit $code)"
	expect 1 "$SLUICE" window verify cut
done
expect 0 "$SLUICE" window record --name cut
expect 0 "$SLUICE" window verify cut

# What was changed is refused, file and position named.
flip() { # FILE BYTE [BIT]: the lowest bit, or that one
	local was
	was=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "$(printf '\\%03o' $((was ^ 1 << ${3:-0})))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
# Any bit of any file. In the manifest the line is named with its bytes; elsewhere the very byte.
seed=${SLUICE_SEED:-$(date +%s)}
echo "seed: SLUICE_SEED=$seed"
RANDOM=$((seed % 32768))
flips=25
[ -z "${SLUICE_LONG:-}" ] || flips=1000
mapfile -t files < <(find windows/half -type f | sort)
sizes=() total=0
for f in "${files[@]}"; do
	sizes+=("$(stat -c %s "$f")")
	total=$((total + sizes[-1]))
done
in_manifest=0
for i in $(seq $flips); do
	at=$(((RANDOM << 30 | RANDOM << 15 | RANDOM) % total))
	file=0
	while [ "$at" -ge "${sizes[file]}" ]; do
		at=$((at - sizes[file]))
		file=$((file + 1))
	done
	# One in five in the manifest, which is small.
	if [ $((i % 5)) -eq 0 ]; then
		while [ "${files[file]}" != windows/half/window.json ]; do file=$(((file + 1) % ${#files[@]})); done
		at=$((at % sizes[file]))
	fi
	bit=$((RANDOM % 8))
	flip "${files[file]}" "$at" "$bit"
	expect 3 "$SLUICE" window verify half
	if [ "${files[file]}" = windows/half/window.json ]; then
		in_manifest=$((in_manifest + 1))
		read -r from to < <(sed -n 's/.*window\.json: damaged at byte .*(bytes \([0-9]*\) to \([0-9]*\)).*/\1 \2/p' "$T/err")
		[ "${from:-$total}" -le "$at" ] && [ "$at" -le "${to:--1}" ] || die "bit $bit of byte $at of the manifest is not named"
	else
		err_has "${files[file]}: damaged at byte $at:"
	fi
	flip "${files[file]}" "$at" "$bit"
done
echo "$flips flipped bits refused and named, $in_manifest of them in the manifest, of $total bytes"
expect 0 "$SLUICE" window verify half
first=$(find windows/half/journal -type f | sort | head -n 1)
flip "$first" 300
expect 3 "$SLUICE" window verify half --json
err_has "$first: damaged at byte 300"
json_is '.ok | not'
expect 3 "$SLUICE" window replay half
flip "$first" 300
expect 0 "$SLUICE" window verify half
rm windows/half/state/000001.rows
expect 3 "$SLUICE" window verify half
err_has 'state/000001.rows'
expect 1 "$SLUICE" window verify nobody
expect 0 "$SLUICE" window list
