#!/bin/sh
# lint.sh BUILD-DIR JOBS [FILE...]: clang-tidy (.clang-tidy) and cppcheck over src, or the files
# given. BUILD-DIR is configured for clang, so that it understands every flag.
set -eu
build=$1 jobs=$2
shift 2
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- $(find src -name '*.c' | sort)

printf '%s\n' "$@" | xargs -P "$jobs" -n 4 \
	clang-tidy -p "$build" --quiet --warnings-as-errors='*' 2>/dev/null

# Called as functions by nobody in sight: callbacks, exported API. Not worth telling.
cppcheck --quiet -j "$jobs" --std=c11 --language=c --error-exitcode=1 --inline-suppr \
	--enable=warning,performance,portability --suppressions-list=tools/cppcheck.supp \
	-D_GNU_SOURCE $(find src -mindepth 1 -maxdepth 1 -type d | sed 's/^/-I/') "$@"
