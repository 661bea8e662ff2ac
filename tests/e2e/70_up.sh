# `sluice up`: it waits for a database that is away, runs others' commands with their own
# configuration, and ends in time whatever they do.
. "$here/lib.sh"

listening() { sed -n 's/.*listening.*address[="]*[:" ]*\([0-9.]*:[0-9]*\).*/\1/p' "$T/$1.log" | head -n 1; }
ready() { curl -fsS "http://$ADDRESS/readyz"; }
listens() { [ -n "$(listening "$1")" ]; }

# up NAME: starts it, and waits for its operator API, at $ADDRESS.
up() {
	background "$1" "$SLUICE" up
	UP=$BG
	until_ok listens "$1"
	ADDRESS=$(listening "$1")
}

# down CODE: asks it to stop; it ends with that code within ten seconds.
down() {
	local code=0
	kill -TERM "$UP"
	timeout 10 tail --pid="$UP" -f /dev/null || die "up does not end"
	wait "$UP" || code=$?
	[ "$code" -eq "$1" ] || die "up ended with $code instead of $1"
}

start_pg
write_conf '[workflow cancel-risk]'
sql -c 'CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i'
expect 0 "$SLUICE" init

# PostgreSQL is away at the start: it says so, and starts when it is back.
mv "$T/postgres/run" "$T/postgres/away"
up away
says_why() { curl -s "http://$ADDRESS/readyz?verbose" | grep -q "the role replicate has not started"; }
until_ok says_why
expect 0 curl -fsS "http://$ADDRESS/livez"
mv "$T/postgres/away" "$T/postgres/run"
until_ok ready

# Commands inside it have their own configuration. A table that is still being copied is one to
# compare again.
until_ok "$SLUICE" reconcile --json
expect 0 "$SLUICE" reconcile --json
json_is '.ok'
expect 0 "$SLUICE" query 'SELECT count(*) AS n FROM public.t' --json
json_is '.n == 100'
expect 2 "$SLUICE" query 'DELETE FROM public.t'
err_has 'not a query'
(export SLUICE_HANDBACK_SIGNING_KEY=/nope/key.pem; "$SLUICE" publish cancel-risk) >"$T/out" 2>"$T/err" &&
	die "published without its key"
err_has '/nope/key.pem'
SLUICE_STORE_URL=file:///elsewhere expect 2 "$SLUICE" publish cancel-risk
err_has '[store] url'
SLUICE_HANDBACK_SIGNIN_KEY=x expect 2 "$SLUICE" query 'SELECT 1'
mkdir -p sub
(cd sub && expect 0 "$SLUICE" query --config ../sluice.conf 'SELECT count(*) AS n FROM public.t' --json)

# A worker that cannot go on takes the process with it, and the reason is said.
sql -c 'CREATE DATABASE foreign_schema' -c '\c foreign_schema' -c 'CREATE TABLE outbox (x int)'
(export SLUICE_SERVE_ROLES=operator,worker SLUICE_APP_DATABASE="$PG dbname=foreign_schema"
	exec timeout 20 "$SLUICE" up) >"$T/out" 2>"$T/err" && die "up goes on without its worker"
err_has 'sluice: '
err_has outbox

# A client that says nothing, and a command that waits for a position that never comes, do not keep
# it from ending.
python3 -c '
import socket, time
s = socket.socket(socket.AF_UNIX)
s.connect("warehouse.duckdb.sock")
print("connected", flush=True)
time.sleep(100)' >"$T/idle.out" 9>&- &
CHILDREN="$CHILDREN $!"
until_ok grep -q connected "$T/idle.out"
background waiting "$SLUICE" replicate --until FF/0
WAITING=$BG
sleep 1
down 0
wait "$WAITING" && die "a command that was cut off says that all is well"
grep -q 'stop' "$T/waiting.log" || die "no reason: $(cat "$T/waiting.log")"

# Who only passes by is not kept: replication that comes meanwhile waits for a process of its own.
background query "$SLUICE" query 'SELECT count(*) AS n FROM range(500000000) t(i) WHERE i % 7 = 3'
QUERY=$BG
until_ok test -S warehouse.duckdb.sock
background replicate "$SLUICE" replicate
REPLICATE=$BG
wait "$QUERY" || die "the query failed: $(cat "$T/query.log")"
until_ok test -S warehouse.duckdb.sock
expect 0 "$SLUICE" replicate --until caught-up --json
kill -0 "$REPLICATE" || die "replication ended with the query"
kill -TERM "$REPLICATE"
wait "$REPLICATE" || die "replication did not end well: $(cat "$T/replicate.log")"
