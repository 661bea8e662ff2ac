#!/bin/sh
# setup.sh DIR [MESON-OPTION...]: configures a build directory once, and then stays out of the way:
# ninja itself reconfigures when a meson.build changes. Quiet unless it fails.
set -eu
dir=$1
shift
[ ! -f "$dir/build.ninja" ] || exit 0
mkdir -p "$dir"
meson setup "$dir" "$@" >"$dir/setup.log" 2>&1 || {
	cat "$dir/setup.log" >&2
	exit 1
}
