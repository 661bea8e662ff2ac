#!/bin/sh
# e2e-asan.sh BUILD-DIR [NAME...]: the end-to-end tests with the program that was built there with
# the address and undefined-behaviour sanitizers. A test that does not look at how a process ended
# misses what it reported, so every report goes to a file, and any file fails the run.
set -eu
build=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
reports=$build/e2e-reports
rm -rf "$reports"
mkdir -p "$reports"
# 99: no exit code of sluice, so that no test takes a report for the failure that it waits for.
export ASAN_OPTIONS="detect_leaks=1:exitcode=99:log_path=$reports/report"
export LSAN_OPTIONS="exitcode=99"
export UBSAN_OPTIONS="print_stacktrace=1:exitcode=99:log_path=$reports/report"
# What threads of OpenMP burn while they wait, the others need here.
export OMP_WAIT_POLICY=passive
failed=0
SLUICE=$build/sluice tests/e2e/run "$@" || failed=1
# The undefined-behaviour sanitizer of GCC writes to stderr, whatever it is told.
grep -rIh -A 8 'runtime error: ' "$build/e2e" --include='*.log' --include=err --include=log \
	>"$reports/undefined" || true
for report in "$reports"/*; do
	[ -s "$report" ] || continue
	failed=1
	printf 'REPORT  %s\n' "$report"
	grep -m 20 -E 'ERROR|SUMMARY|runtime error|^ +#' "$report" | sed 's/^/    /'
done
exit $failed
