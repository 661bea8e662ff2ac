# What the bench lines share. Sourced by run, after tests/e2e/lib.sh.
# shellcheck shell=bash

# emit NAME VALUE UNIT REFERENCE REFERENCE_VALUE
emit() {
	jq -nc --arg name "$1" --argjson value "$2" --arg unit "$3" --arg reference "$4" \
		--argjson reference_value "$5" '{$name, value: ($value*100|round/100), $unit, $reference,
		reference_value: ($reference_value*100|round/100),
		ratio: (if $reference_value > 0 then ($value/$reference_value*1000|round/1000) else null end)}'
}
say() { printf '%s\n' "$*" >&2; }
per_second() { jq -n --argjson n "$1" --argjson s "$2" '$n / ([$s, 0.001] | max)'; }

# Seconds that a command takes.
seconds() {
	local began ended
	began=$(date +%s.%N)
	"$@" >/dev/null
	ended=$(date +%s.%N)
	jq -n --argjson a "$began" --argjson b "$ended" '$b - $a'
}
best_of_two() {
	local a b
	a=$(seconds "$@")
	b=$(seconds "$@")
	jq -n --argjson a "$a" --argjson b "$b" '[$a, $b] | min'
}

# A server, a configuration and a directory of their own for each line. begin NAME [SETTING=VALUE...]
begin() {
	end
	T=$work/$1
	shift
	rm -rf "$T"
	mkdir -p "$T"
	cd "$T"
	start_pg shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=30min fsync=off "$@"
	write_conf
}

# Ends what runs and takes its directory away.
end() {
	local p
	for p in $CHILDREN; do kill -TERM "$p" 2>/dev/null || true; done
	for p in $CHILDREN; do wait "$p" 2>/dev/null || true; done
	CHILDREN=
	stop_pg
	cd "$work"
	[ "$T" = "$work" ] || rm -rf "$T"
	T=$work
}

copy_to_nowhere() { psql -X -q -d "$PG" -c "COPY $1 TO STDOUT (FORMAT binary)"; }
until_caught_up() { "$SLUICE" replicate --until caught-up --json 2>/dev/null | tail -n 1; }
must_be_equal() {
	"$SLUICE" reconcile --json 2>/dev/null | tail -n 1 | jq -e .ok >/dev/null || die "not equal after $1"
}

# make_item ROWS: a table of rows of about 100 bytes.
make_item() {
	sql <<SQL
CREATE TABLE item (id bigint PRIMARY KEY, owner int NOT NULL, amount numeric(12,2) NOT NULL,
	at timestamptz NOT NULL, label text NOT NULL);
INSERT INTO item SELECT i, i % 1000, i % 100000 / 100.0, '2026-01-01'::timestamptz + i * interval '1 s',
	md5(i::text) || md5((i + 1)::text) FROM generate_series(1, $1) i;
VACUUM ANALYZE item;
CHECKPOINT;
SQL
}

# replicate NAME [ARGUMENT...]: in the background, at $REPLICATE, once it listens at $ADDRESS.
replicate() {
	local name=$1
	shift
	background "$name" "$SLUICE" replicate --listen 127.0.0.1:0 "$@"
	REPLICATE=$BG
	until_ok listens "$name"
	ADDRESS=$(listening "$name")
}
listening() { sed -n 's/.*listening.*address[="]*[:" ]*\([0-9.]*:[0-9]*\).*/\1/p' "$T/$1.log" | head -n 1; }
listens() { [ -n "$(listening "$1")" ]; }

# retire PID: asks it to end, and waits.
retire() {
	local code=0
	kill -TERM "$1"
	wait "$1" || code=$?
	CHILDREN=${CHILDREN/ $1/}
	[ "$code" -eq 0 ] || die "replication ended with $code"
}
