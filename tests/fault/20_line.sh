# The line to the server is cut: by the server itself, in the middle of messages, and by a server
# that restarts, in peace and as after a crash. Nothing is lost, nothing comes twice.
. "$here/lib.sh"

STEP=60
CRASHES=1
LARGE=4000
if [ -n "$LONG" ]; then
	STEP=400
	CRASHES=6
	LARGE=100000
fi

start_pg logical_decoding_work_mem=64kB
DIRECT=$PG
mkdir "$T/line"
TARGET=$(sql -c 'SHOW unix_socket_directories' | tr -d '"')
ln -s "$TARGET" "$T/target"

# start_proxy MEAN-BYTES: what follows goes through it.
start_proxy() {
	"$TOOLS/cutting_proxy" "$T/line" "$T/target" "$SEED" "$1" >"$T/proxy.out" 2>&1 9>&- &
	PROXY=$!
	CHILDREN="$CHILDREN $PROXY"
	until_ok grep -q ready "$T/proxy.out"
}
stop_proxy() {
	kill "$PROXY"
	wait "$PROXY" 2>/dev/null
	CUTS=$(tail -n 1 "$T/proxy.out")
}

start_proxy 0
PG="host='$T/line' port=5432 user=postgres dbname=app" write_conf '[replicate]
flush_interval = 20ms
segment_size = 256KB
batch_rows = 2000'
reached=0
step() { load_on from=$reached count=$STEP large_rows=$LARGE large_every=50; reached=$((reached + STEP)); }

load tables=6000 count=0 >/dev/null || die 'no tables'
expect 0 "$SLUICE" init
stop_proxy

# One process from here on: it must go on by itself.
start_proxy 0
background replicate "$SLUICE" replicate
R=$BG
running() { kill -0 "$R" 2>/dev/null || die "replicate has ended: $(tail -n 1 "$T/replicate.log")"; }

# Its sessions, the one that copies too, are ended by the server.
step
for kill in 1 2 3 4 5 6; do
	until_ok sql -c "DO \$\$ BEGIN IF NOT EXISTS (SELECT pg_terminate_backend(pid) FROM
		pg_stat_activity WHERE application_name LIKE 'sluice%') THEN RAISE 'none'; END IF; END \$\$"
	running
	sleep 0.$((RANDOM % 6 + 1))
done
load_ended
stop_proxy

# Every connection is cut after some bytes, most within a message.
start_proxy 60000
step
load_ended
until_ok grep -q . "$T/load.out"
running
sleep 1
stop_proxy
[ "$CUTS" -ge 3 ] || die "only $CUTS cuts"
echo "$CUTS cuts"
start_proxy 0
for crash in $(seq $CRASHES); do
	for how in f i; do
		step
		sleep 0.$((RANDOM % 9 + 1))
		restart_pg $how
		load_ended
		running
	done
done
caught_up() { "$SLUICE" status --json | jq -e '.replication.caught_up // .caught_up'; }
kill -TERM "$R"
code=0
wait "$R" || code=$?
[ "$code" -eq 0 ] || die "replicate ended with $code: $(tail -n 1 "$T/replicate.log")"
expect 0 "$SLUICE" init
check_equal
stop_proxy
