# What can happen to the server behind our back: each is refused with its reason and its remedy,
# before anything wrong is written, and the remedy works.
. "$here/lib.sh"

start_pg logical_decoding_work_mem=64kB
write_conf '[replicate]
flush_interval = 20ms
segment_size = 256KB'
load tables=1000 count=20 schema=0 >/dev/null || die 'no tables'
expect 0 "$SLUICE" init
expect 0 $LIMIT "$SLUICE" replicate --until caught-up
check_equal
reached=20
more() { load from=$reached count=20 schema=0 >/dev/null || die 'the load'; reached=$((reached + 20)); }

# refused WHAT TEXT...: it does not run, says why, and says what to do; the position stays.
position() { "$SLUICE" query --json "SELECT value FROM ops.marks WHERE name = 'position'"; }
refused() {
	local what=$1 before code=0
	before=$(position)
	shift
	$LIMIT "$SLUICE" replicate --until caught-up >"$T/out" 2>"$T/err" </dev/null || code=$?
	[ "$code" -eq 3 ] || [ "$code" -eq 2 ] || die "$what: exit $code"
	for text in "$@"; do err_has "$text"; done
	[ "$(position)" = "$before" ] || die "$what: something was written"
	echo "$what: $(tail -n 1 "$T/err")"
}
# The remedy that the messages name: drop the slot, move away the journal and the warehouse, init.
afresh() {
	sql -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'sluice'" >/dev/null
	rm -r "$T/journal" "$T/warehouse.duckdb"*
	expect 0 "$SLUICE" init
	check_equal
}

# The slot is dropped while nobody looks, and changes pass it by.
sql -c "SELECT pg_drop_replication_slot('sluice')" >/dev/null
more
refused 'slot dropped' 'the replication slot sluice is gone' 'sluice init'
afresh

# It is made again by another hand: what passed between the two is not in it.
sql -c "SELECT pg_drop_replication_slot('sluice')" >/dev/null
more
sql -c "SELECT pg_create_logical_replication_slot('sluice', 'pgoutput')" >/dev/null
more
refused 'slot recreated' sluice
afresh

# Dropped under a stream that runs.
background replicate "$SLUICE" replicate
R=$BG
until_ok sql -c "DO \$\$ BEGIN IF NOT (SELECT active FROM pg_replication_slots WHERE slot_name = 'sluice')
	THEN RAISE 'not yet'; END IF; END \$\$"
drop_live() {
	sql -c "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active" >/dev/null
	sql -c "SELECT pg_drop_replication_slot('sluice')"
}
until_ok drop_live
code=0
wait "$R" || code=$?
[ "$code" -eq 3 ] || die "slot dropped under the stream: exit $code: $(tail -n 1 "$T/replicate.log")"
tail -n 1 "$T/replicate.log" | grep -q 'is gone' || die "not said: $(tail -n 1 "$T/replicate.log")"
afresh

# The publication is dropped, and made again.
sql -c 'DROP PUBLICATION sluice'
more
code=0
$LIMIT "$SLUICE" replicate --until caught-up >"$T/out" 2>"$T/err" </dev/null || code=$?
[ "$code" -ne 0 ] || die 'it runs without its publication'
err_has publication
echo "publication dropped: $(tail -n 1 "$T/err")"
expect 0 "$SLUICE" init
afresh

# A table is dropped while changes of it are still to be applied: the others go on.
sql -c 'CREATE TABLE going (id int PRIMARY KEY); INSERT INTO going SELECT generate_series(1, 100)'
expect 0 "$SLUICE" init
expect 0 $LIMIT "$SLUICE" replicate --until caught-up
sql -c 'UPDATE going SET id = id + 1000' -c 'DROP TABLE going'
more
check_equal

# The same, before it was ever copied.
sql -c 'CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone SELECT generate_series(1, 100)'
expect 0 "$SLUICE" init
sql -c 'UPDATE gone SET id = id + 1000' -c 'DROP TABLE gone'
more
check_equal

# The server has failed over: another timeline.
touch "$(sql -c 'SHOW data_directory')/standby.signal"
restart_pg f
sql -c 'SELECT pg_promote()' >/dev/null
until_ok sql -c "DO \$\$ BEGIN IF pg_is_in_recovery() THEN RAISE 'not yet'; END IF; END \$\$"
more
refused 'another timeline' timeline 'sluice init'
afresh

# Another server at the same address.
system() { sql -c 'SELECT system_identifier FROM pg_control_system()'; }
before=$(system)
stop_pg
start_pg
[ "$(system)" != "$before" ] || die 'it is the same server'
load tables=100 count=0 >/dev/null
code=0
SLUICE_SOURCE_URL=$PG $LIMIT "$SLUICE" replicate --until caught-up >"$T/out" 2>"$T/err" </dev/null || code=$?
[ "$code" -eq 3 ] || die "another server: exit $code"
err_has "$before"
err_has 'set [source] url to the right server'
echo "another server: $(tail -n 1 "$T/err")"
