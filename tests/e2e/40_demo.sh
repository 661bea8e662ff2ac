# The whole loop with simulated guests; afterwards nothing runs and no port is taken.
. "$here/lib.sh"

code=0
"$SLUICE" demo --json --dir "$T/demo" >"$T/out" 2>"$T/err" </dev/null || code=$?
[ "$code" -eq 0 ] || die "the demonstration ended with $code"
json_is '.ok and .reconcile_ok and .bookings == .replicated_rows and .bookings == 40000'
json_is '.gate == "open" and .scored_rows == .landed_rows and .scored_rows > 0 and .decisions > 0'
json_is '.release_version == 2 and .model_version == 2'
json_is '.auc > 0.7 and .auc <= .best_attainable_auc + 0.02 and .best_attainable_auc < 1'
grep -q "rolled back: release 1 is live again" "$T/err" || die "no rollback was shown"
pgrep -f "$T/demo" >"$T/left" && die "still running: $(cat "$T/left")"

# The database is down now. What could not be checked is not good, unless it is left out by wish.
CONF=$T/demo/sluice.conf
expect 0 "$SLUICE" release list cancel-risk --json --config "$CONF"
expect 3 "$SLUICE" release verify cancel-risk --json --config "$CONF"
json_is '.ok == false and ([.checks[] | select(.detail | test("unreachable"))] | length == 5 and all(.ok == false))'
expect 0 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"
json_is '.ok and .offline and ([.checks[].check] | index("coverage") == null)'
err_has "left out"

# The hand-back refuses a damaged release: every one of its files, one byte changed.
for file in "$T"/demo/store/releases/cancel-risk/objects/* "$T"/demo/store/releases/cancel-risk/manifests/*; do
	cp "$file" "$T/kept"
	size=$(stat -c %s "$file")
	printf '\x01' | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none
	v=2
	case $file in *000001.json) v=1 ;; esac
	if "$SLUICE" release verify cancel-risk --version 1 --offline --json --config "$CONF" >"$T/out" 2>"$T/err" </dev/null &&
		"$SLUICE" release verify cancel-risk --version 2 --offline --json --config "$CONF" >"$T/out" 2>"$T/err" </dev/null; then
		die "a damaged $file was accepted (version $v)"
	fi
	cp "$T/kept" "$file"
done
expect 0 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"

# A damaged HEAD is a check that says no, to whoever reads it; the list still helps to mend it.
HEAD_FILE=$T/demo/store/releases/cancel-risk/HEAD
cp "$HEAD_FILE" "$T/kept"
echo damaged >"$HEAD_FILE"
expect 3 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"
expect 3 "$SLUICE" publish cancel-risk --json --config "$CONF"
err_has "put it back"
expect 3 "$SLUICE" release list cancel-risk --json --config "$CONF"
json_is '.version == 2 and .head == false and (.manifest_sha256 | length) == 64'
cp "$T/kept" "$HEAD_FILE"
