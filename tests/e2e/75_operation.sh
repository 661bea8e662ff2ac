# Watching a replication: metrics, readiness that tells a stall from idleness, a watchdog that says
# so in time, a graceful end, and the doctor.
. "$here/lib.sh"

listening() { sed -n 's/.*listening.*address[="]*[:" ]*\([0-9.]*:[0-9]*\).*/\1/p' "$T/$1.log" | head -n 1; }
listens() { [ -n "$(listening "$1")" ]; }
ready() { curl -fsS "http://$ADDRESS/readyz"; }
not_ready() { ! ready; }
metric() { curl -fsS "http://$ADDRESS/metrics" | awk -v name="$1" 'index($0, name " ") == 1 { print $2 }'; }
metric_is() { [ "$(metric "$1")" = "$2" ]; }
caught_up() { expect 0 "$SLUICE" replicate --until caught-up --json; }

# replicate NAME: in the background, watched at $ADDRESS.
replicate() {
	background "$1" "$SLUICE" replicate --listen 127.0.0.1:0
	REPLICATE=$BG
	until_ok listens "$1"
	ADDRESS=$(listening "$1")
}
# ends CODE SECONDS: it ends with that code within the time.
ends() {
	local code=0
	timeout "$2" tail --pid="$REPLICATE" -f /dev/null || die "it does not end within $2 s"
	wait "$REPLICATE" || code=$?
	[ "$code" -eq "$1" ] || die "it ended with $code instead of $1"
}

start_pg max_slot_wal_keep_size=1GB
write_conf '[replicate]
stall_after = 3s
silence_limit = 20s'
sql -c 'CREATE TABLE t (id int PRIMARY KEY, v text)' -c "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i"
expect 2 "$SLUICE" replicate --until caught-up --listen 127.0.0.1:0
expect 0 "$SLUICE" init

# Every requirement is met, and each is named.
expect 0 "$SLUICE" doctor --json
for check in wal_level tls grants row_security replica_identity wal_sender_timeout rds.logical_replication \
	failover standby max_slot_wal_keep_size publication slot; do
	grep -q "\"check\":\"$check\",\"ok\":true" "$T/out" || die "doctor does not say $check: $(cat "$T/out")"
done
expect 0 "$SLUICE" doctor

# Idle is ready: longer than a stall needs to be found.
replicate calm
until_ok ready
caught_up
sleep 5
expect 0 ready
expect 0 metric_is 'sluice_stalled{stage="apply"}' 0
sql -c "UPDATE t SET v = 'new' WHERE id <= 10"
caught_up
metric_is 'sluice_rows_applied_total{table="public.t",op="update"}' 10 || die "rows are not counted"
for name in sluice_replication_lag_bytes sluice_replication_lag_seconds sluice_journal_bytes \
	sluice_slot_retained_wal_bytes sluice_last_success_timestamp_seconds sluice_batch_seconds_count \
	sluice_stream_connected sluice_applied_lsn sluice_stalls_total; do
	[ -n "$(metric "$name")" ] || die "no metric $name"
done
curl -fsS "http://$ADDRESS/metrics" | grep -q '^sluice_batch_seconds_bucket{le="0.001"}' || die "no histogram"
expect 0 "$SLUICE" status --json
json_is '.replication.stalled == false and .dead_letters.waiting == 0 and .replication.state != "failed"'

# The source's session hangs, with its connection up: silence is noticed, and its end too.
SENDER=$(sql -c "SELECT active_pid FROM pg_replication_slots")
kill -STOP "$SENDER"
until_ok not_ready
curl -s "http://$ADDRESS/readyz?verbose" >"$T/out"
grep -q "source has not said a word" "$T/out" || die "readyz does not say why: $(cat "$T/out")"
kill -CONT "$SENDER"
until_ok ready
kill -TERM "$REPLICATE"
ends 0 10

# Apply hangs in the middle of its work: found within 30 s, in the log, the metric, readiness and
# status, each with what to do.
SLUICE_FAILPOINTS='apply.before=sleep:3600000@2+' replicate hung
until_ok ready
sql -c "INSERT INTO t SELECT i, 'more' FROM generate_series(2001, 2100) i"
sleep 1
sql -c "INSERT INTO t SELECT i, 'more' FROM generate_series(3001, 3100) i"
BEGAN=$(date +%s)
until_ok metric_is 'sluice_stalled{stage="apply"}' 1
TOOK=$(($(date +%s) - BEGAN))
[ "$TOOK" -le 30 ] || die "the stall was noticed after $TOOK s only"
expect 0 not_ready
curl -s "http://$ADDRESS/readyz?verbose" >"$T/out"
grep -q "stands still: the warehouse has taken nothing" "$T/out" || die "readyz says: $(cat "$T/out")"
until_ok grep -q 'replication stands still' "$T/hung.log"
expect 0 "$SLUICE" status --json
json_is '.replication.stalled and (.replication.stall | test("restart this process"))'
# It ends all the same, and nothing is lost by it.
kill -TERM "$REPLICATE"
ends 0 10

# Capture hangs: the same.
SLUICE_FAILPOINTS='capture.received=sleep:3600000@3+' replicate deaf
sql -c "INSERT INTO t SELECT i, 'more' FROM generate_series(4001, 4100) i"
until_ok metric_is 'sluice_stalled{stage="capture"}' 1
expect 0 not_ready
kill -TERM "$REPLICATE"
ends 0 10
caught_up
expect 0 "$SLUICE" reconcile --json
json_is '.ok'

# SIGTERM inside a large batch: it ends in time with 0, and goes on where it was.
sql -c "INSERT INTO t SELECT i, repeat('x', 50) FROM generate_series(10001, 400000) i"
replicate busy
until_ok test -n "$(metric sluice_stream_connected)"
kill -TERM "$REPLICATE"
ends 0 20
caught_up
expect 0 "$SLUICE" reconcile --json
json_is '.ok'

# A password that changes while it runs is read again from its file.
sql -c "CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'first' IN ROLE pg_read_all_data"
HBA=$(sql -c 'SHOW hba_file')
printf 'local all keeper scram-sha-256\nlocal replication keeper scram-sha-256\n%s\n' "$(cat "$HBA")" >"$T/hba"
cat "$T/hba" >"$HBA"
sql -c 'SELECT pg_reload_conf()' >/dev/null
printf 'first\n' >"$T/password"
sed -i "s/^url = .*/& user=keeper\npassword_file = password/" "$T/sluice.conf"
sed -i 's/ user=postgres / /' "$T/sluice.conf"
replicate rotated
until_ok ready
sql -c "ALTER ROLE keeper PASSWORD 'second'"
sql -c 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots' >/dev/null
until_ok grep -q 'is read again for the next try' "$T/rotated.log"
printf 'second\n' >"$T/password.new"
mv "$T/password.new" "$T/password"
until_ok ready
grep -qE 'first|second' "$T/rotated.log" && die "a password stands in the log"
kill -TERM "$REPLICATE"
ends 0 10
