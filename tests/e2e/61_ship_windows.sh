# A window goes into the object store and is replayed on another machine, which has neither the
# source nor the journal nor the warehouse. What is spoiled on the way is refused, by name.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms
segment_size = 64KB'
sql <<'SQL'
CREATE TABLE accounts (id bigint PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) NOT NULL);
CREATE TABLE quiet (id int PRIMARY KEY, v text);
INSERT INTO accounts SELECT i, 'owner ' || i, i FROM generate_series(1, 3000) i;
INSERT INTO quiet SELECT i, 'never touched' FROM generate_series(1, 50) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up
for i in 1 2 3; do
	sql -c "UPDATE accounts SET balance = balance + $i WHERE id % 7 = $i" \
		-c "DELETE FROM accounts WHERE id % 100 = $i" \
		-c "INSERT INTO accounts VALUES (10000 + $i, 'late', $i)"
done
expect 0 "$SLUICE" replicate --until caught-up

# Recorded and pushed in one; pushed again, nothing is sent.
expect 0 "$SLUICE" window record --name may --store --json
digest=$(json .digest)
expect 0 "$SLUICE" window push may --json
json_is '.ok and .there and .moved == 0'
expect 0 "$SLUICE" window list --store --json
json_is ".window == \"may\" and .digest == \"$digest\""

# The same name is never given to another window.
expect 0 "$SLUICE" window record --name other
mkdir -p aside
mv windows/may aside/may
mv windows/other windows/may
expect 1 "$SLUICE" window push may
err_has 'another window of that name'
rm -r windows/may
mv aside/may windows/may

# Another machine: its own directory, no source.
mkdir elsewhere
cat >elsewhere/sluice.conf <<CONF
[source]
url = host=/nonexistent
[store]
url = file://$T/store
CONF
there() { (cd elsewhere && exec "$SLUICE" "$@"); }
expect 0 there window list --json
expect 0 there window fetch may --json
json_is ".ok and .digest == \"$digest\""
expect 0 there window verify may
expect 0 there window replay may --json
json_is ".ok and .digest == \"$digest\" and .expected_digest == \"$digest\""
expect 1 there window fetch may
err_has 'exists already'
expect 1 there window fetch june
err_has 'no such window'
expect 2 there window fetch ../may
[ ! -e elsewhere/warehouse.duckdb ] || die "a warehouse was made for it"

# A flipped bit, a lost object, a manifest that was changed: refused, named, and nothing is left.
flip() { # FILE BYTE: the lowest bit
	local was
	was=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "$(printf '\\%03o' $((was ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
refused() { # TEXT
	rm -rf elsewhere/windows/may
	expect 3 there window fetch may
	err_has "$1"
	[ -z "$(ls -A elsewhere/windows 2>/dev/null)" ] || die "something is left: $(ls -A elsewhere/windows)"
}
objects=$(find store/windows/objects -type f | sort)
[ -n "$objects" ] || die "the store has no objects"
for object in $objects; do
	size=$(stat -c %s "$object")
	[ "$size" -gt 0 ] || continue
	at=$((size / 2))
	flip "$object" $at
	refused "$(basename "$(dirname "$object")")"
	err_has "damaged at byte $at"
	flip "$object" $at
done
object=$(printf '%s\n' "$objects" | head -n 1)
mv "$object" kept
refused 'is missing in the store'
mv kept "$object"
truncate -s -1 "$object"
refused 'bytes, not'
cp "windows/may/$(jq -r "select(.sha256 == \"$(basename "$(dirname "$object")")\") | .file" \
	windows/may/window.json | head -n 1)" "$object"
flip store/windows/may/window.json 40
refused 'windows/may/window.json: damaged at byte'
flip store/windows/may/window.json 40

# Cut short, either way is repeated.
rm -rf store/windows elsewhere/windows
expect 137 env SLUICE_FAILPOINTS=window.push=kill@2 "$SLUICE" window push may
expect 1 there window fetch may
expect 0 "$SLUICE" window push may --json
json_is '(.there | not) and .moved > 0 and .moved < .bytes'
for place in window.fetch=kill@2 window.fetched=kill; do
	code=0
	(cd elsewhere && SLUICE_FAILPOINTS=$place exec "$SLUICE" window fetch may) >killed.out 2>&1 </dev/null || code=$?
	[ "$code" -eq 137 ] || die "$place was not passed (exit $code)"
	expect 1 there window verify may
done
expect 0 there window fetch may
expect 0 there window replay may --json
json_is ".ok and .digest == \"$digest\""

# What is damaged here is not sent.
flip windows/may/state/000001.rows 30
rm -rf store/windows
expect 3 "$SLUICE" window push may
err_has 'damaged at byte 30'
expect 0 "$SLUICE" window list --store --json
[ ! -s "$T/out" ] || die "a damaged window was sent"
