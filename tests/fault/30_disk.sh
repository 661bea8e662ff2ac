# The disk is full, fails, or cannot sync: it stops with an error before anything unsafe is
# acknowledged, and goes on without loss once that is mended. Then the power fails: what was not
# synced is gone from the journal, and still nothing is missing.
. "$here/lib.sh"

STEP=40
POWER=3
LARGE=3000
if [ -n "$LONG" ]; then
	STEP=200
	POWER=40
	LARGE=100000
fi

start_pg logical_decoding_work_mem=64kB
write_conf '[replicate]
flush_interval = 20ms
segment_size = 128KB
batch_rows = 2000'
mkdir "$T/switch"
JOURNAL=$(realpath "$T")/journal
ON_DISK=(env LD_PRELOAD="$TOOLS/libdisk.so" DISK_UNDER="$JOURNAL" DISK_SWITCH="$T/switch"
	DISK_SYNCED="$T/synced")
reached=0
step() { load_on from=$reached count=$STEP large_rows=$LARGE large_every=$STEP; reached=$((reached + STEP)); }

load tables=2000 count=0 >/dev/null || die 'no tables'
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up --json

# The slot has been told no more than what a reader finds in the journal afterwards: otherwise
# the next start says so and stops.
for fault in full eio fsync; do
	background replicate "${ON_DISK[@]}" "$SLUICE" replicate
	R=$BG
	step
	sleep 0.3
	touch "$T/switch/$fault"
	load_ended
	sql -c "INSERT INTO people SELECT 'late $fault', i, 'x' FROM generate_series(1, 500) i"
	code=0
	wait "$R" || code=$?
	[ "$code" -eq 1 ] || die "$fault: exit $code: $(tail -n 1 "$T/replicate.log")"
	tail -n 1 "$T/replicate.log" | grep -qE 'No space left|Input/output error' ||
		die "$fault is not named: $(tail -n 1 "$T/replicate.log")"
	echo "$fault: $(tail -n 1 "$T/replicate.log")"
	# As long as it lasts, it does not go on, and nothing more is acknowledged but, on a full disk
	# that still syncs, the whole transactions that had found room.
	before=$(confirmed)
	$LIMIT "${ON_DISK[@]}" "$SLUICE" replicate --until caught-up >"$T/out" 2>"$T/err" </dev/null &&
		die "$fault: it runs on such a disk"
	grep -qF 'LSN 0/0 ' "$T/err" && die "$fault: $(tail -n 1 "$T/err")"
	[ "$fault" = full ] || [ "$(confirmed)" = "$before" ] || die "$fault: acknowledged from $before to $(confirmed)"
	rm "$T/switch/$fault"
	check_equal
done

# The same by name, and where no disk is asked.
for fault in journal.append=enospc journal.append=eio journal.fsync=eio journal.seal=enospc; do
	step
	load_ended
	expect 1 env SLUICE_FAILPOINTS="$fault" $LIMIT "$SLUICE" replicate --until caught-up
	expect 0 "$SLUICE" replicate --until caught-up
done
check_equal

# The power fails: of each file of the journal only what was synced is left. Bytes whose fsync has
# failed are lost, whatever a later fsync says, until they are written once more.
synced() { # SIZE PATH of each file, from the notes of libdisk.so
	awk '$1 == "synced" { d[$3] = h[$3] < lost[$3] ? h[$3] : $2 }
		$1 == "failed" { if (h[$3] >= lost[$3]) h[$3] = d[$3]; if ($2 > lost[$3]) lost[$3] = $2 }
		$1 == "wrote" { if ($2 <= h[$4] && $3 > h[$4]) h[$4] = $3 }
		$1 == "renamed" { d[$3] = d[$2]; h[$3] = h[$2]; lost[$3] = lost[$2]
			delete d[$2]; delete h[$2]; delete lost[$2] }
		END { for (f in d) print d[f] + 0, f }' "$T/synced"
}
power_off() {
	local file size
	synced >"$T/left"
	for file in "$JOURNAL"/*; do
		[ -f "$file" ] || continue
		case $file in */lock) continue ;; esac
		size=$(awk -v f="$file" '$2 == f { print $1 }' "$T/left")
		if [ -n "$size" ]; then truncate -s "<$size" "$file"; else rm "$file"; fi
	done
}
all_is_synced() { # what stands there is old
	: >"$T/synced"
	for file in "$JOURNAL"/*; do
		printf 'synced %s %s\n' "$(stat -c %s "$file")" "$file" >>"$T/synced"
	done
}
all_is_synced
for time in $(seq $POWER); do
	step
	background replicate "${ON_DISK[@]}" "$SLUICE" replicate
	sleep "0.$((RANDOM % 900 + 100))"
	kill -KILL "$BG" 2>/dev/null
	wait "$BG" 2>/dev/null
	power_off
	load_ended
	expect 0 $LIMIT "${ON_DISK[@]}" "$SLUICE" replicate --until caught-up
done

# An fsync fails, the disk is mended, and the power fails after what came next was acknowledged.
# (One segment: what is sealed is soon compressed, and so written once more.)
export SLUICE_REPLICATE_SEGMENT_SIZE=64MB
for time in $(seq $POWER); do
	all_is_synced
	background replicate "${ON_DISK[@]}" "$SLUICE" replicate
	R=$BG
	step
	until_ok grep -q '^wrote' "$T/synced"
	touch "$T/switch/fsync"
	load_ended
	sql -c "INSERT INTO people SELECT 'forgotten $time', i, 'x' FROM generate_series(1, 500) i"
	code=0
	wait "$R" || code=$?
	[ "$code" -eq 1 ] || die "fsync: exit $code: $(tail -n 1 "$T/replicate.log")"
	awk '$1 == "synced" { d[$3] = $2 } $1 == "failed" && $2 > d[$3] { lost = 1 } END { exit !lost }' \
		"$T/synced" || die 'nothing was lost'
	rm "$T/switch/fsync"
	expect 0 $LIMIT "${ON_DISK[@]}" "$SLUICE" replicate --until caught-up
	power_off
	step
	load_ended
	expect 0 $LIMIT "${ON_DISK[@]}" "$SLUICE" replicate --until caught-up
done
expect 0 "$SLUICE" init
check_equal
