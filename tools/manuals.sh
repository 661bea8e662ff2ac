#!/bin/sh
# Writes the manual pages that the program prints of itself.
#
# usage: manuals.sh SLUICE DIRECTORY
set -eu
sluice=$1
out=$2
rm -rf "$out"
mkdir -p "$out/man1" "$out/man5"
"$sluice" help --man >"$out/man1/sluice.1"
"$sluice" help --man sluice.conf >"$out/man5/sluice.conf.5"
"$sluice" help --names | while read -r first second; do
	# shellcheck disable=SC2086
	"$sluice" help --man $first $second >"$out/man1/sluice-$first${second:+-$second}.1"
done
