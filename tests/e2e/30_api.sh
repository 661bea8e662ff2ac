# The reservation API by hand: what is right is done, what is wrong is refused with a problem.
. "$here/lib.sh"

start_pg
write_conf '[app]
threads = 2'
background api "$SLUICE" app api --json
until_ok test -s "$T/api.out"
URL=http://$(jq -r .listening "$T/api.out")
sql -c "INSERT INTO hotels VALUES (1, 'Seaside', 'resort')"

# request METHOD PATH [BODY]: status in $STATUS, body in $T/out, type in $TYPE.
request() {
	local answer
	answer=$(curl -s -o "$T/out" -w '%{http_code} %{content_type}' -X "$1" "$URL$2" \
		${3:+-H 'Content-Type: application/json' --data "$3"})
	STATUS=${answer%% *}
	TYPE=${answer#* }
}
want() { [ "$STATUS" = "$1" ] || die "status $STATUS instead of $1"; }
problem() {
	want "$1"
	case $TYPE in application/problem+json*) ;; *) die "type $TYPE is no problem" ;; esac
	jq -e '.type and .title and .status' "$T/out" >/dev/null || die "no problem body"
}

BOOKING='{"hotel_id":1,"guest":{"full_name":"A Guest","email":"a@example.com"},
 "arrival_date":"2099-05-01","weekend_nights":1,"week_nights":2,"adults":2,"babies":0,"meal":"BB",
 "market_segment":"Direct","distribution_channel":"Direct","is_repeated_guest":false,
 "previous_cancellations":0,"previous_stays":0,"reserved_room_type":"A","deposit_type":"No Deposit",
 "customer_type":"Transient","daily_rate":"80.50","special_requests":0}'

request POST /v1/bookings "$BOOKING"
want 201
ID=$(jq -r .booking_id "$T/out")
GUEST=$(jq -r .guest_id "$T/out")
request GET "/v1/bookings/$ID"
want 200
jq -e '.status == "booked" and .daily_rate == 80.5' "$T/out" >/dev/null || die "not what was booked"

request POST /v1/bookings '{"hotel_id":1'
problem 400
request POST /v1/bookings '{"hotel_id":"one","colour":"red"}'
case $STATUS in 400 | 422) ;; *) die "status $STATUS for nonsense" ;; esac
problem "$STATUS"
request POST /v1/bookings "$(jq -c '. + {"booked_at":"2015-01-01T00:00:00Z"}' <<<"$BOOKING")"
problem 422
request GET /v1/bookings/999999999
problem 404
request GET /v1/nothing
problem 404
request DELETE "/v1/bookings/$ID"
problem 405

request PATCH "/v1/bookings/$ID" '{"assigned_room_type":"D"}'
want 200
request PATCH "/v1/bookings/$ID" '{"arrival_date":"1999-01-01"}'
problem 422
request PATCH "/v1/bookings/$ID" '{"adults":0}'
problem 422
request POST "/v1/bookings/$ID/check-out" '{}'
problem 409
request POST "/v1/bookings/$ID/check-in" '{}'
want 200
request POST "/v1/bookings/$ID/cancel" '{}'
problem 409
request POST "/v1/bookings/$ID/check-out" '{}'
want 200
request DELETE "/v1/guests/$GUEST"
want 204
request GET "/v1/guests/$GUEST"
problem 404
request GET "/v1/bookings/$ID"
jq -e '.guest_id == null' "$T/out" >/dev/null || die "the guest was not forgotten"
[ "$(sql -c "SELECT string_agg(kind, ',' ORDER BY event_id) FROM booking_events WHERE booking_id = $ID")" = \
	"created,room_assigned,checked_in,checked_out" ] || die "not the events that happened"

# The worker turns what happened into tasks; without a gate there are no reconfirmations.
expect 0 "$SLUICE" app worker --once --json
json_is '.tasks >= 1 and .reconfirmations == 0 and .gate == "closed"'
[ "$(sql -c 'SELECT count(*) FROM outbox')" = 0 ] || die "the outbox is not empty"

# The database goes away: the API says so and stays up.
stop_pg
request GET "/v1/bookings/$ID"
problem 503
request GET /livez
want 200
request GET /readyz
want 503
[ "$(grep -c "answered with 503" "$T/api.log")" = 1 ] || die "503 is not told once"

# Started while the database is away, both wait for it, and make the schema when it is there. The
# way to it is a link, made when all of it is there: a server comes before its databases.
LATE=$(mktemp -u /tmp/sluice-late-XXXXXX)
sed -i "s|host=[^ ]*|host=$LATE|" "$T/sluice.conf"
expect 4 "$SLUICE" app worker --once
background late "$SLUICE" app api --listen 127.0.0.1:0 --json
background worker "$SLUICE" app worker
until_ok test -s "$T/late.out"
URL=http://$(jq -r .listening "$T/late.out")
request GET /livez
want 200
request GET /readyz
want 503
request GET /v1/bookings
problem 503
start_pg
ln -s "$(sql -c "SELECT btrim(current_setting('unix_socket_directories'), '\"')")" "$LATE"
until_ok curl -sf "$URL/readyz"
request GET /v1/bookings
want 200
until_ok grep -q 'works again' "$T/worker.log"
rm -f "$LATE"
