# lib.sh: what the end-to-end tests share. Sourced; every test runs in a directory of its own, $T.
# shellcheck shell=bash
set -u
set -o pipefail

PRIVATE_PG=${PRIVATE_PG:-$(dirname "$SLUICE")/tests/e2e/private_pg}
PG_PID=
CHILDREN=

die() {
	printf 'FAILED: %s\n' "$*" >&2
	[ -f "$T/out" ] && sed 's/^/  out: /' "$T/out" | tail -n 5 >&2
	[ -f "$T/err" ] && sed 's/^/  err: /' "$T/err" | tail -n 10 >&2
	exit 1
}

# Runs a command; its exit code must be CODE. Output stands in $T/out and $T/err.
# expect CODE COMMAND...
expect() {
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
	[ "$got" -eq "$want" ] || die "exit $got instead of $want: $*"
}

# The last expect's messages contain a text.
err_has() { grep -qF -- "$1" "$T/err" || die "no \"$1\" in the messages"; }

# The last line of the last expect's output satisfies a jq condition.
json_is() { tail -n 1 "$T/out" | jq -e "$1" >/dev/null || die "not so: $1"; }

# Prints what a jq filter gives of that line.
json() { tail -n 1 "$T/out" | jq -r "$1"; }

# Waits until a command succeeds; gives up after two minutes without it.
until_ok() {
	local i
	for i in $(seq 1200); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	die "still not so after two minutes: $*"
}

# start_pg [SETTING=VALUE...]: a private PostgreSQL; its connection string in $PG.
start_pg() {
	mkfifo "$T/pg.stdin"
	# What holds the pipe open is this shell: when it ends, however, the server ends too.
	"$PRIVATE_PG" "$T/postgres" "$@" <"$T/pg.stdin" >"$T/pg.out" 2>"$T/pg.err" &
	PG_PID=$!
	exec 9>"$T/pg.stdin"
	until [ -s "$T/pg.out" ]; do
		kill -0 "$PG_PID" 2>/dev/null || die "no PostgreSQL: $(cat "$T/pg.err")"
		sleep 0.05
	done
	PG=$(cat "$T/pg.out")
}

stop_pg() {
	[ -n "$PG_PID" ] || return 0
	exec 9>&-
	wait "$PG_PID" 2>/dev/null
	PG_PID=
	rm -f "$T/pg.stdin" "$T/pg.out"
}

sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$PG" "$@"; }

# background NAME COMMAND...: runs on; its pid in $BG.
background() {
	local name=$1
	shift
	"$@" >"$T/$name.out" 2>"$T/$name.log" </dev/null 9>&- &
	BG=$!
	CHILDREN="$CHILDREN $BG"
}

clean_up() {
	local p
	for p in $CHILDREN; do kill -TERM "$p" 2>/dev/null; done
	for p in $CHILDREN; do wait "$p" 2>/dev/null; done
	stop_pg
}
trap clean_up EXIT

# A configuration for the private server. write_conf [EXTRA LINES]
write_conf() {
	cat >"$T/sluice.conf" <<CONF
[source]
url = $PG
${1:-}
CONF
}

# make_certificates NAMES: in $T, an authority of ours (ca), a certificate for these names of this machine
# (fake), and another authority (other).
make_certificates() {
	local name
	for name in ca other; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/$name.key" -out "$T/$name.pem" \
			-days 2 -subj "/CN=sluice test $name" 2>/dev/null || die "openssl makes no authority"
	done
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/fake.key" -out "$T/fake.csr" -subj /CN=fake 2>/dev/null
	printf 'subjectAltName=%s\n' "$1" >"$T/san"
	openssl x509 -req -in "$T/fake.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 2 -extfile "$T/san" \
		-out "$T/fake.pem" 2>/dev/null || die "openssl makes no certificate"
}

cd "$T" || exit 1
