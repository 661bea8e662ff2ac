#!/bin/sh
# fuzz.sh BUILD-DIR SECONDS: every libFuzzer target in turn. What they find new is kept in
# BUILD-DIR/corpus; a failing input stays in BUILD-DIR and the run stops.
set -eu
build=$1 seconds=$2
cd "$(dirname "$0")/.."
found=0
for target in "$build"/tests/fuzz/fuzz_*; do
	[ -f "$target" ] && [ -x "$target" ] || continue
	found=1
	name=$(basename "$target")
	kept=$build/corpus/${name#fuzz_}
	mkdir -p "$kept"
	dict=tests/fuzz/${name#fuzz_}.dict
	[ -f "$dict" ] || dict=
	printf '%s for %s s\n' "$name" "$seconds"
	"$target" -max_total_time="$seconds" -print_final_stats=1 -timeout=10 \
		${dict:+"-dict=$dict"} -artifact_prefix="$build/$name-" "$kept" "tests/fuzz/corpus/${name#fuzz_}" \
		>"$build/$name.log" 2>&1 || {
		tail -n 40 "$build/$name.log" >&2
		exit 1
	}
	grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' "$build/$name.log"
done
[ "$found" -eq 1 ] || printf 'no fuzz targets\n'
