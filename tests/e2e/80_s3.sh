# Releases cross through S3, as a role and over TLS: AWS's own clients pass against the fakes first, then
# sluice publishes and lands through them, with faults. The source is logged in to with RDS's tokens.
# Nothing that is secret stands in a log, an error or a list of processes.
. "$here/lib.sh"

fakes=$here/../fakes
[ -d "$fakes/node_modules" ] || die "tools/deps.sh tests has not been run"
for v in $(env | sed -n 's/^\(AWS_[A-Z_]*\)=.*/\1/p'); do unset "$v"; done
export AWS_CONFIG_FILE=/nowhere AWS_SHARED_CREDENTIALS_FILE=/nowhere AWS_EC2_METADATA_DISABLED=true

make_certificates "DNS:localhost,DNS:*.s3.localhost,IP:127.0.0.1"

start_pg
SOCKET=$(sql -c "SELECT trim('\"' FROM split_part(current_setting('unix_socket_directories'), ',', 1)) || '/.s.PGSQL.' || current_setting('port')")
mkdir "$T/aws"
background aws node "$fakes/aws.mjs" --dir "$T/aws" --cert "$T/fake.pem" --key "$T/fake.key" --postgres "$SOCKET"
until_ok test -s "$T/aws.out"
S3=$(jq -r .s3tls "$T/aws.out")
STS=$(jq -r .ststls "$T/aws.out")
PLAIN=$(jq -r .s3 "$T/aws.out")
tell() { curl -sS --fail -d "$2" "$PLAIN/_fake/$1" >/dev/null || die "the fake was not told $1"; }
state() { curl -sS --fail "$PLAIN/_fake/$1"; }

expect 0 node "$fakes/prove_aws.mjs" "$T/aws" "$T/aws.out"
err_has '12 proofs'

# Who we are: a role, by the web identity token of a pod on EKS.
export AWS_ROLE_ARN=arn:aws:iam::123456789012:role/web AWS_WEB_IDENTITY_TOKEN_FILE=$T/aws/web-token
export SLUICE_STORE_URL=s3://bucket/company/eu SLUICE_STORE_ENDPOINT=$S3 SLUICE_STORE_CA_FILE=$T/ca.pem
export SLUICE_STORE_REGION=eu-west-1 SLUICE_AWS_STS_ENDPOINT=$STS

# So few open bookings may change a good part of themselves between scoring and landing.
export SLUICE_WORKFLOW_CANCEL_RISK_MIN_COVERAGE=0.5
# The whole demonstration with another [store]; answers are lost and the service is overrun meanwhile.
# Bookings whose cancellation can be foreseen: the same ones every time.
awk 'BEGIN {
	srand(7)
	print "hotel,is_canceled,lead_time,arrival_date_year,arrival_date_month,arrival_date_week_number,arrival_date_day_of_month,stays_in_weekend_nights,stays_in_week_nights,adults,children,babies,meal,country,market_segment,distribution_channel,is_repeated_guest,previous_cancellations,previous_bookings_not_canceled,reserved_room_type,assigned_room_type,booking_changes,deposit_type,agent,company,days_in_waiting_list,customer_type,adr,required_car_parking_spaces,total_of_special_requests,reservation_status,reservation_status_date"
	split("January February March April May June July August September October November December", name, " ")
	for (i = 0; i < 3000; i++) {
		at = 1435708800 + int(i * 790 / 3000) * 86400
		split(strftime("%Y %m %d", at, 1), d, " ")
		lead = 1 + int(rand() * 160)
		kept = rand() < 0.4
		gone = rand() < (kept ? 0.92 : 0.08)
		over = gone ? at - int(rand() * lead) * 86400 : at + 2 * 86400
		printf "City Hotel,%d,%d,%d,%s,%d,%d,0,2,2,0,0,BB,PRT,Online TA,TA/TO,0,0,0,A,A,0,%s,9,NULL,0,Transient,%d.5,0,%d,%s,%s\n",
			gone, lead, d[1], name[d[2] + 0], 1 + int(d[2] * 4), d[3], kept ? "Non Refund" : "No Deposit", 60 + int(rand() * 90), int(rand() * 3),
			gone ? "Canceled" : "Check-Out", strftime("%Y-%m-%d", over, 1)
	}
}' >"$T/bookings.csv"
tell faults '[{"op":"PutObject","kind":"lost"},{"op":"PutObject","kind":"slow-down","times":2,"skip":1},
	{"op":"PutObject","kind":"unsure","skip":2},{"op":"GetObject","kind":"cut"},{"op":"GetObject","kind":"damage","skip":1},
	{"op":"GetObject","kind":"internal","skip":3},{"op":"GetObject","kind":"expired","skip":4}]'
(while :; do
	cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' >>"$T/processes"
	sleep 0.2
done) &
SAMPLER=$!
CHILDREN="$CHILDREN $SAMPLER"
code=0
"$SLUICE" demo --json --dir "$T/demo" --data "$T/bookings.csv" >"$T/out" 2>"$T/demo.err" </dev/null || code=$?
[ "$code" -eq 0 ] || die "the demonstration ended with $code: $(tail -n 5 "$T/demo.err")"
json_is '.ok and .bookings == 3000 and .gate == "open" and .scored_rows == .landed_rows and .landed_rows > 0'
json_is '.release_version == 2'
[ ! -e "$T/demo/store" ] || die "something went into a directory"
state state | jq -e '.uploads == 0 and ([.objects[] | select(.key | startswith("company/eu/releases/"))] | length >= 5)
	and ([.objects[] | select(.key | test("/(manifests|objects)/")) | .versions | length] | unique == [1])' >/dev/null ||
	die "the releases are not in the bucket once: $(state state)"
state log | jq -e '.left == 0' >/dev/null || die "not all faults were played: $(state log | jq -c .played)"

CONF=$T/demo/sluice.conf
expect 0 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"
expect 0 "$SLUICE" release list cancel-risk --json --config "$CONF" --log-level debug
cp "$T/err" "$T/list.err"

# The bucket in front of the host's name, as AWS has it.
expect 0 env SLUICE_STORE_ENDPOINT="https://s3.localhost:${S3##*:}" "$SLUICE" release list cancel-risk --json --config "$CONF"
[ "$(jq -s length "$T/out")" = 2 ] || die "another list under the virtual host"

# doctor says who we are and what that may do; a role that may not write is told apart from one that may not read.
doctor() {
	"$SLUICE" doctor --json --config "$CONF" >"$T/out" 2>"$T/err" </dev/null
	grep '"check":"store"' "$T/out" | jq -e "$1" >/dev/null || die "doctor does not say $1: $(grep '"store"' "$T/out")"
}
doctor '.ok and (.detail | contains("arn:aws:sts::123456789012:assumed-role/web/sluice") and contains("list, read and write"))'
keys() { AWS_ROLE_ARN='' AWS_WEB_IDENTITY_TOKEN_FILE='' AWS_ACCESS_KEY_ID=$(jq -r .keyId "$T/aws.out") AWS_SECRET_ACCESS_KEY=$(jq -r .secret "$T/aws.out") "$@"; }
SLUICE_AWS_ROLE_ARN=arn:aws:iam::123456789012:role/reader keys doctor '.ok and (.detail | contains("assumed-role/reader") and contains("but not write"))'
SLUICE_AWS_ROLE_ARN=arn:aws:iam::123456789012:role/reader keys expect 0 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"
SLUICE_AWS_ROLE_ARN=arn:aws:iam::123456789012:role/releases keys expect 2 "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'external id'
tell set '{"deny":["ListObjectsV2"]}'
doctor '.ok == false and (.detail | contains("AccessDenied") and contains("may not read"))'
expect 2 "$SLUICE" release list cancel-risk --config "$CONF"
err_has 's3:ListObjectsV2'
tell set '{"deny":[]}'

# The clock, the region, the bucket, the certificate: each with its reason.
tell set '{"skewSeconds":4000}'
expect 0 "$SLUICE" release verify cancel-risk --offline --json --config "$CONF"
err_has "clock differs from AWS's"
tell set '{"skewSeconds":0}'
expect 2 env SLUICE_STORE_REGION=us-east-1 SLUICE_AWS_REGION=eu-west-1 "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'set [store] region = eu-west-1'
expect 2 env SLUICE_STORE_URL=s3://nobodys-bucket "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'NoSuchBucket'
expect 1 env SLUICE_AWS_CA_FILE="$T/ca.pem" SLUICE_STORE_CA_FILE="$T/other.pem" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'certificate'
expect 1 env SLUICE_AWS_CA_FILE="$T/other.pem" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'certificate'
expect 1 env SLUICE_STORE_ENDPOINT="https://other.localhost:${S3##*:}" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'bucket.other.localhost'
expect 2 env SLUICE_STORE_ENDPOINT=http://storage.example "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'plain http'

# A token that is forged, a secret key that is wrong: sentences, no secrets.
printf 'eyJhbGciOiJSUzI1NiJ9.UExBTlRFRA.UExBTlRFRA\n' >"$T/aws/forged"
expect 2 env AWS_WEB_IDENTITY_TOKEN_FILE="$T/aws/forged" "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'InvalidIdentityToken'
AWS_ROLE_ARN='' AWS_WEB_IDENTITY_TOKEN_FILE='' AWS_ACCESS_KEY_ID=$(jq -r .keyId "$T/aws.out") AWS_SECRET_ACCESS_KEY=PLANTED-wrong \
	expect 2 "$SLUICE" release list cancel-risk --config "$CONF"
err_has 'SignatureDoesNotMatch'
cp "$T/err" "$T/wrong.err"

# The source: RDS takes a token in place of a password, over TLS that proves its name.
PORT=$(jq -r .rdsPort "$T/aws.out")
DB=$(sql -c 'SELECT current_database()')
sql -c 'CREATE ROLE reader LOGIN REPLICATION SUPERUSER' -c 'CREATE TABLE t (id int PRIMARY KEY, v text)' \
	-c "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i"
SAFE="sslmode=verify-full sslrootcert=$T/ca.pem"
# AWS's own rds-signer logs in, so the fake takes what RDS takes.
PGPASSWORD=$(node "$fakes/rds_login.mjs" localhost "$PORT" reader "$T/aws.out") \
	psql -X -q -A -t -d "host=localhost hostaddr=127.0.0.1 port=$PORT dbname=$DB user=reader $SAFE" -c 'SELECT 41 + 1' >"$T/out" 2>"$T/err"
grep -qx 42 "$T/out" || die "rds-signer's token is refused: $(cat "$T/err")"
conf() {
	cat >sluice.conf <<CONF
[source]
url = host=localhost hostaddr=127.0.0.1 port=$PORT dbname=$DB user=reader $1
iam_auth = true
[store]
url = file://store
[aws]
region = eu-west-1
ca_file = $T/ca.pem
CONF
}
unset SLUICE_STORE_URL SLUICE_STORE_ENDPOINT SLUICE_STORE_CA_FILE SLUICE_STORE_REGION
conf "sslmode=require"
expect 2 "$SLUICE" init
err_has 'sslmode=verify-full'
conf "sslmode=verify-full sslrootcert=$T/other.pem"
expect 2 "$SLUICE" init
err_has 'certificate verify failed'
conf "$SAFE"
expect 0 "$SLUICE" init --json
expect 0 "$SLUICE" replicate --until caught-up --json --log-level debug
cp "$T/err" "$T/replicate.err"
sql -c "UPDATE t SET v = 'new' WHERE id <= 10"
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" reconcile --json
json_is '.ok and .tables[0].source_rows == 1000'
expect 2 env AWS_ROLE_ARN=arn:aws:iam::123456789012:role/unknown "$SLUICE" init
err_has 'making the token'

# Nothing that was secret: keys and sessions ("PLANTED"), and the web identity token's signature.
kill "$SAMPLER"
wait "$SAMPLER" 2>/dev/null
JWT=$(cut -d. -f3 "$T/aws/web-token")
grep -rlaF -e PLANTED -e "$JWT" "$T" --include='*.log' --include='*.err' --include=out --include=err --include='*.conf' \
	>"$T/found" 2>/dev/null
grep -aF -e PLANTED -e "$JWT" "$T/processes" | tr ' ' '\n' | grep -c PLANTED >"$T/count" || true
[ ! -s "$T/found" ] || die "secrets stand in $(cat "$T/found")"
[ "$(cat "$T/count")" = 0 ] || die "secrets stand in a command line"
grep -rlaF -e PLANTED -e "$JWT" "$T/demo" "$T/journal" "$T"/warehouse.duckdb* >"$T/found" 2>/dev/null
[ ! -s "$T/found" ] || die "secrets stand in $(cat "$T/found")"
