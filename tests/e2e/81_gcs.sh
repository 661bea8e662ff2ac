# Releases cross through Cloud Storage, with an identity by federation and over TLS: Google's own clients
# pass against the fakes first, then sluice publishes and lands through them, with faults. Nothing that is
# secret stands in a log, an error or a list of processes.
. "$here/lib.sh"

fakes=$here/../fakes
[ -d "$fakes/node_modules" ] || die "tools/deps.sh tests has not been run"

make_certificates IP:127.0.0.1

mkdir "$T/google"
background google node "$fakes/google.mjs" --dir "$T/google" --cert "$T/fake.pem" --key "$T/fake.key"
until_ok test -s "$T/google.out"
GCS=$(jq -r .gcs "$T/google.out")
STS=$(jq -r .sts "$T/google.out")
tell() { # BASE WHAT JSON
	curl -sS --fail --cacert "$T/ca.pem" -d "$3" "$1/_fake/$2" >/dev/null || die "the fake was not told $2"
}
state() { curl -sS --fail --cacert "$T/ca.pem" "$1/_fake/$2"; }

expect 0 env NODE_EXTRA_CA_CERTS="$T/ca.pem" node "$fakes/prove_google.mjs" "$T/google" "$(cat "$T/google.out")"
err_has '13 proofs'

awk -v rows=3000 -f "$here/bookings.awk" >"$T/bookings.csv"

# The whole demonstration with another [store]; connections are lost and the service is overrun meanwhile.
export SLUICE_STORE_URL=gs://releases/company/eu SLUICE_STORE_ENDPOINT=$GCS SLUICE_STORE_CA_FILE=$T/ca.pem
export SLUICE_STORE_CREDENTIALS=$T/google/federated.json SLUICE_STORE_PART_SIZE=256kB
tell "$GCS" faults '[{"op":"insert","kind":"lost"},{"op":"insert","kind":"status","status":503,"skip":1},
	{"op":"insert","kind":"status","status":429,"skip":3},{"op":"get","kind":"corrupt"},{"op":"get","kind":"drop","skip":2},
	{"op":"auth","kind":"any","skip":4},{"op":"list","kind":"empty-page"}]'
(while :; do
	cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' >>"$T/processes"
	sleep 0.2
done) &
SAMPLER=$!
CHILDREN="$CHILDREN $SAMPLER"
code=0
"$SLUICE" demo --json --dir "$T/demo" --data "$T/bookings.csv" >"$T/out" 2>"$T/err" </dev/null || code=$?
kill "$SAMPLER"
[ "$code" -eq 0 ] || die "the demonstration ended with $code"
json_is '.ok and .bookings == 3000 and .gate == "open" and .scored_rows == .landed_rows and .landed_rows > 0'
json_is '.release_version == 2'
[ ! -e "$T/demo/store" ] || die "something went into a directory"
state "$GCS" state | jq -e '[.objects[] | select(.[0] == "releases")[1][] | select(startswith("company/eu/releases/"))] | length >= 5' \
	>/dev/null || die "the releases are not in the bucket"
state "$GCS" log | jq -e '.played | length >= 6' >/dev/null || die "the faults were not played: $(state "$GCS" log | jq -c .played)"

CONF=$T/demo/sluice.conf
cat "$T/err" >>"$T/all.err"
# As expect, and what was said is kept for the search at the end.
saw() {
	expect "$@"
	cat "$T/out" "$T/err" >>"$T/all.err"
}
saw 0 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"
saw 0 "$SLUICE" release list cancel-risk --json --config "$CONF"

# Who we are and what we may do; without the right to read, doctor and landing say so.
"$SLUICE" doctor --json --config "$CONF" >"$T/out" 2>"$T/err" </dev/null
grep '"check":"store"' "$T/out" | jq -e '.ok and (.detail | contains("writer@sluice-test.iam.gserviceaccount.com")
	and contains("system:serviceaccount:sluice:writer") and contains("may get, list, create, delete"))' >/dev/null ||
	die "doctor does not say who: $(grep '"store"' "$T/out")"
tell "$GCS" set '{"permissions":["storage.objects.create"]}'
"$SLUICE" doctor --json --config "$CONF" >"$T/out" 2>"$T/err" </dev/null
grep '"check":"store"' "$T/out" | jq -e '.ok | not' >/dev/null || die "doctor is content"
saw 2 "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'roles/storage.objectUser'
tell "$GCS" set '{"permissions":["storage.objects.get","storage.objects.list"]}'
saw 0 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"

# A certificate that another authority signed, or for another name: refused, with the reason.
saw 1 env SLUICE_STORE_CA_FILE="$T/other.pem" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'certificate'
saw 1 env SLUICE_STORE_ENDPOINT="${GCS/127.0.0.1/localhost}" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'certificate subject name'
saw 2 env SLUICE_STORE_ENDPOINT=http://storage.example "$SLUICE" release list cancel-risk --config "$CONF"

# A token that Google no longer takes, a file that is gone, a person's login: sentences, no secrets.
cp "$T/google/token.jwt" "$T/google/saved"
printf 'eyJhbGciOiJSUzI1NiJ9.cGxhbnRlZC1zdWJqZWN0LXRva2Vu.cGxhbnRlZC1zaWduYXR1cmUtb2YtYS10b2tlbg\n' >"$T/google/token.jwt"
saw 2 "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'invalid_grant'
mv "$T/google/saved" "$T/google/token.jwt"
saw 2 env SLUICE_STORE_CREDENTIALS="$T/google/person.json" "$SLUICE" release list cancel-risk --config "$CONF"
err_has "a person's own login"
saw 2 env SLUICE_STORE_CREDENTIALS="$T/google/stranger.json" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'roles/iam.workloadIdentityUser'
saw 0 env SLUICE_STORE_CREDENTIALS="$T/google/key.json" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'a service-account key is a stored secret'
tell "$STS" faults '{"op":"sts","status":503,"times":1}'
saw 0 "$SLUICE" release list cancel-risk --config "$CONF" --log-level debug

# Nothing that was secret: tokens and sessions ("planted"), subject tokens, keys.
secrets='planted|cGxhbnRlZC|ya29\.|eyJhbGciOiJSUzI1NiIs|PRIVATE KEY|federated-aws-secret'
found=$(grep -rlaE "$secrets" "$T" --include='*.log' --include='*.err' --include=out --include=err --include=processes \
	--include='*.conf' 2>/dev/null | grep -v "^$T/google/")
[ -z "$found" ] || die "secrets stand in $found"
grep -rlaE "$secrets" "$T/demo" >"$T/found" 2>/dev/null
grep -v '/keys/\|/postgres/' "$T/found" && die "secrets stand in the demonstration's files"
true
