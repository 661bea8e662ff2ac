# Killed at every named place and at random moments under a mixed load, the warehouse ends with
# what the source has: nothing missing, nothing extra, nothing different, nothing twice.
. "$here/lib.sh"

MOMENTS=${KILL_MOMENTS:-12}
STEP=40 # transactions of each writer between two kills
LARGE=4000
if [ -n "$LONG" ]; then
	MOMENTS=${KILL_MOMENTS:-200}
	STEP=120
	LARGE=100000
fi

start_pg logical_decoding_work_mem=64kB
write_conf '[replicate]
flush_interval = 20ms
segment_size = 256KB
batch_rows = 2000'

# The same seed gives the same statements.
"$LOAD" - seed="$SEED" count=100 | cksum >"$T/once"
"$LOAD" - seed="$SEED" count=100 | cksum >"$T/again"
cmp -s "$T/once" "$T/again" || die "the seed does not repeat the statements"

load tables=8000 count=0 >/dev/null || die 'no tables'
expect 0 "$SLUICE" init

reached=0
step() { load_on from=$reached count=$STEP large_rows=$LARGE large_every=$((STEP * 2)); reached=$((reached + STEP)); }

# Killed when it passes the place for the n-th time; there is work until it does.
kill_at() { # PLACE N TRIES
	local code=0 try
	for try in $(seq "$3"); do
		step
		code=0
		{
			SLUICE_FAILPOINTS="${SLOW:-}$1=kill@$2" $LIMIT "$SLUICE" replicate --until caught-up \
				>"$T/$1.out" 2>"$T/$1.log" </dev/null 9>&- || code=$?
		} 2>/dev/null # the shell's word on who was killed
		load_ended
		[ "$code" -eq 137 ] && echo "$1" >>"$T/passed" && return 0
		[ "$code" -eq 0 ] || die "$1: exit $code: $(tail -n 1 "$T/$1.log")"
	done
	return 1
}

PLACES=$(cat "$(dirname "$here")"/../src/replicate/*.c | grep -o 'failpoint_hit([^"]*"[^"]*"' |
	sed 's/.*"\(.*\)"/\1/' | sort -u | while read -r place; do
	grep -aqF "$place" "$SLUICE" && echo "$place"
done)
[ "$(wc -w <<<"$PLACES")" -ge 9 ] || die "the named places were not found: $PLACES"
PLACES=${KILL_AT:-$PLACES} # some of them only, to look into these

# The copies come first: what is killed in them goes on with them. How often a place is passed
# before they are whole is not said; below each must be.
for n in 1 2; do
	for place in $(grep snapshot <<<"$PLACES"); do
		kill_at "$place" $n 1 && echo "killed at $place, pass $n"
	done
done
# Rows that the warehouse refuses are put aside, and are tried again by a command of its own.
refusing() { expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" "ALTER TABLE public.refused ALTER v $1 NOT NULL"; }
refuse() {
	sql -c 'CREATE TABLE refused (id int PRIMARY KEY, v text)' -c "INSERT INTO refused VALUES (1, 'v')"
	expect 0 "$SLUICE" init
	expect 0 $LIMIT "$SLUICE" replicate --until caught-up
	refusing SET
	sql -c 'INSERT INTO refused SELECT i, NULL FROM generate_series(2, 9) i'
}
# A command that is killed at the place, and then run whole.
kill_command() { # PLACE COMMAND...
	local place=$1 code=0
	shift
	{ SLUICE_FAILPOINTS="$place=kill" $LIMIT "$SLUICE" "$@" >"$T/out" 2>"$T/err" || code=$?; } 2>/dev/null
	[ "$code" -eq 137 ] || die "$place: exit $code: $*"
	$LIMIT "$SLUICE" "$@" >"$T/out" 2>"$T/err" || code=$?
	# It may have done its work already, and says so.
	[ "$code" -ne 1 ] && [ "$code" -lt 120 ] || [ "$code" -eq 137 ] || die "$* after a kill: exit $code"
}

expect 0 $LIMIT "$SLUICE" replicate --until caught-up
for place in $PLACES; do
	n=$((1 + RANDOM % 3))
	case $place in
	letters.commit)
		refuse
		kill_at "$place" 1 1 || die "$place was not passed"
		echo "killed at $place"
		continue
		;;
	letters.retry)
		expect 0 $LIMIT "$SLUICE" replicate --until caught-up
		refusing DROP
		kill_command "$place" table retry public.refused
		echo "killed at $place"
		continue
		;;
	table.added)
		expect 0 $LIMIT "$SLUICE" table drop public.people
		kill_command "$place" table add public.people
		echo "killed at $place"
		continue
		;;
	table.dropped)
		kill_command "$place" table drop public.people
		expect 0 $LIMIT "$SLUICE" table add public.people
		echo "killed at $place"
		continue
		;;
	table.marked)
		kill_command "$place" table resync public.people
		echo "killed at $place"
		continue
		;;
	table.paused)
		kill_command "$place" table pause public.people
		expect 0 $LIMIT "$SLUICE" table resume public.people
		echo "killed at $place"
		continue
		;;
	table.catching_up | table.joined)
		# One that the catalog's watch has copied again in the meantime has nothing to catch up with.
		for try in 1 2 3; do
			expect 0 $LIMIT "$SLUICE" replicate --until caught-up
			expect 0 $LIMIT "$SLUICE" table pause public.people
			sql -c "INSERT INTO people SELECT '$place', $try * 1000 + i, 'paused' FROM generate_series(1, 300) i"
			expect 0 $LIMIT "$SLUICE" replicate --until caught-up
			expect 0 $LIMIT "$SLUICE" table resume public.people
			code=0
			{ SLUICE_FAILPOINTS="$place=kill" timeout 60 "$SLUICE" replicate >"$T/out" 2>"$T/err" </dev/null 9>&- || code=$?; } 2>/dev/null
			[ "$code" -eq 137 ] && break
			[ "$code" -eq 124 ] && grep -q '"table copied","table":"public.people"' "$T/err" || die "$place: exit $code"
		done
		[ "$code" -eq 137 ] || die "$place was never passed"
		echo "killed at $place"
		continue
		;;
	catalog.resync)
		# A partition comes with rows, and the stream does not bring them.
		sql -c 'CREATE TABLE days (id int, day int, PRIMARY KEY (id, day)) PARTITION BY LIST (day)' \
			-c 'CREATE TABLE day_1 PARTITION OF days FOR VALUES IN (1)' -c 'INSERT INTO days VALUES (1, 1)'
		expect 0 "$SLUICE" init
		expect 0 $LIMIT "$SLUICE" replicate --until caught-up
		sql -c 'CREATE TABLE day_2 (LIKE days INCLUDING ALL)' -c 'INSERT INTO day_2 VALUES (2, 2), (3, 2)' \
			-c 'ALTER TABLE days ATTACH PARTITION day_2 FOR VALUES IN (2)' -c 'TRUNCATE day_1'
		code=0
		{ SLUICE_FAILPOINTS="$place=kill" $LIMIT "$SLUICE" replicate >"$T/out" 2>"$T/err" </dev/null 9>&- || code=$?; } 2>/dev/null
		[ "$code" -eq 137 ] || die "$place: exit $code"
		echo "killed at $place"
		continue
		;;
	snapshot.*)
		# Only while a table is copied: one is, again. It is read slowly, while rows change whose
		# TOASTed values are not sent.
		for n in 1 2 3; do
			sql -c "INSERT INTO ledger (id, account, payload) SELECT 500000 + i, 0, repeat('t', 3000) FROM
				generate_series(1, 200) i ON CONFLICT DO NOTHING"
			expect 0 $LIMIT "$SLUICE" table resync public.ledger
			for i in $(seq 40); do
				echo "UPDATE ledger SET note = 'meanwhile $i' WHERE id BETWEEN 500000 AND 500200; SELECT pg_sleep(0.1);"
			done | sql >/dev/null 2>&1 9>&- &
			toucher=$!
			SLOW='snapshot.read=sleep:400@1+;' kill_at "$place" 1 1 && break
			wait "$toucher"
		done
		wait "$toucher"
		grep -qxF "$place" "$T/passed" || die "$place was never passed"
		echo "killed at $place"
		continue
		;;
	esac
	kill_at "$place" $n 2 || kill_at "$place" 1 2 || die "$place was never passed"
	echo "killed at $place"
done
check_equal
echo "equal after $reached transactions of each writer"

# At no special place: some time after it began, or after so many messages.
for moment in $(seq $MOMENTS); do
	step
	export SLUICE_FAILPOINTS=
	[ $((moment % 2)) -eq 0 ] || export SLUICE_FAILPOINTS="capture.received=kill@$((1 + RANDOM % 2000))"
	background replicate "$SLUICE" replicate
	victim=$BG
	unset SLUICE_FAILPOINTS
	sleep "$((RANDOM % 2)).$((RANDOM % 900 + 100))"
	{
		kill -KILL "$victim"
		wait "$victim"
	} 2>/dev/null
	load_ended
	if [ $((moment % 10)) -eq 0 ]; then
		check_equal
		echo "equal after $moment moments"
	fi
done
expect 0 "$SLUICE" init # tables made meanwhile
check_equal
tail -n 1 "$T/load.out"
