#!/bin/sh
# Installs what sluice needs to be built: Debian packages (deps/debian.txt, and lint.txt when asked
# for), then DuckDB's header and library (deps/npm.txt) into third_party/duckdb, and for the tests the
# vendors' clients that prove the fakes (tests/fakes/package-lock.json). Does nothing,
# quickly, when all is there.
#
# usage: tools/deps.sh [lint|tests]
set -eu
cd "$(dirname "$0")/.."

lists=deps/debian.txt
[ "${1:-}" = lint ] && lists="$lists deps/lint.txt"

say() { printf 'deps: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "cannot run '$*': not root, and there is no sudo; install the packages of deps/debian.txt"
	fi
}

installed() {
	dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# A line is a package, and perhaps a command that is as good wherever it came from.
missing_packages() {
	sed 's/#.*//' $lists | while read -r package command; do
		[ -n "$package" ] || continue
		installed "$package" && continue
		[ -n "$command" ] && command -v "$command" >/dev/null && continue
		printf '%s\n' "$package"
	done
}

install_packages() {
	missing=$(missing_packages | xargs)
	[ -n "$missing" ] || return 0
	say "installing $missing"
	log=$(mktemp)
	clusters=$(ls -d /var/lib/postgresql/*/main 2>/dev/null || true)
	{
		as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy \
				--no-install-recommends $missing
	} >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		fail "apt-get failed; the whole log is in $log"
	}
	rm -f "$log"
	drop_new_cluster
}

# Debian's package makes and starts a server of its own on a fixed port. The one that came with
# this installation goes again; one that was there before is not ours to touch.
drop_new_cluster() {
	for cluster in /var/lib/postgresql/*/main; do
		[ -d "$cluster" ] || continue
		case " $clusters " in *" $cluster "* | *"$cluster"*) continue ;; esac
		version=$(basename "$(dirname "$cluster")")
		as_root pg_dropcluster --stop "$version" main || say "could not remove the new cluster $cluster"
	done
}

# fetch NAME VERSION INTEGRITY: downloads the package into $work and prints its path.
fetch() {
	say "fetching $1 $2"
	file=$(cd "$work" && npm pack --silent --cache "$work/npm" "$1@$2" | tail -n 1)
	[ -n "$file" ] && [ -f "$work/$file" ] ||
		fail "npm could not fetch $1@$2; \`npm pack $1@$2\` says why (network, proxy, certificates)"
	got=sha512-$(openssl dgst -sha512 -binary "$work/$file" | openssl base64 -A)
	[ "$got" = "$3" ] || fail "$1@$2 has integrity $got, not $3: not used"
	printf '%s\n' "$work/$file"
}

# put ARCHIVE MEMBER: one file of the archive into third_party/duckdb, whole or not at all.
put() {
	name=$(basename "$2")
	tar -xzOf "$1" "$2" >"third_party/duckdb/.$name.tmp"
	mv -f "third_party/duckdb/.$name.tmp" "third_party/duckdb/$name"
}

install_duckdb() {
	stamp=third_party/duckdb/.stamp
	if cmp -s deps/npm.txt "$stamp" && [ -s third_party/duckdb/duckdb.h ] &&
		[ -s third_party/duckdb/libduckdb.so ]; then
		return 0
	fi
	mkdir -p third_party/duckdb
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	grep -v '^#' deps/npm.txt | while read -r name version integrity; do
		[ -n "$name" ] || continue
		archive=$(fetch "$name" "$version" "$integrity")
		case $name in
		duckdb) put "$archive" package/src/duckdb/src/include/duckdb.h ;;
		@duckdb/node-bindings-linux-x64) put "$archive" package/libduckdb.so ;;
		*) fail "deps/npm.txt names $name, and tools/deps.sh does not know what to take from it" ;;
		esac
	done
	cp deps/npm.txt "$stamp"
}

# npm checks each package against the lock file; none of their scripts runs.
install_clients() {
	stamp=tests/fakes/node_modules/.stamp
	cmp -s tests/fakes/package-lock.json "$stamp" && return 0
	say "fetching the clients that prove the fakes"
	log=$(mktemp)
	(cd tests/fakes && npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		fail "npm ci in tests/fakes failed; the whole log is in $log"
	}
	rm -f "$log"
	cp tests/fakes/package-lock.json "$stamp"
}

install_packages
install_duckdb
[ "${1:-}" != tests ] || install_clients
