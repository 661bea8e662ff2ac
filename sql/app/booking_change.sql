-- Changes what was booked, or only assigns a room (event kind room_assigned, which is no change on
-- the guest's side and is not counted in `changes`). NULL leaves a column as it is.
-- $1-$12 as the rules in booking_fields.c ($1 is when, or NULL for now), $13 booking, $14 states it
-- may be in, $15 event kind, $16 versions or NULL for any, $17 details, $18 traceparent, $19 key,
-- $20 fingerprint, $21 whether somebody must come. booking_why.sql says what did not hold.
WITH gate AS MATERIALIZED (
	SELECT $19::text IS NULL OR (pg_try_advisory_xact_lock(hashtextextended($19::text, 0))
		AND NOT EXISTS (SELECT FROM idempotency_keys WHERE key = $19::text)) AS pass
),
b AS (
	UPDATE bookings
	SET arrival_date = coalesce($2::date, arrival_date),
		weekend_nights = coalesce($3::int, weekend_nights),
		week_nights = coalesce($4::int, week_nights),
		adults = coalesce($5::int, adults),
		children = coalesce($6::int, children),
		babies = coalesce($7::int, babies),
		meal = coalesce($8::text, meal),
		reserved_room_type = coalesce($9::text, reserved_room_type),
		assigned_room_type = coalesce($10::text, assigned_room_type),
		parking_spaces = coalesce($11::int, parking_spaces),
		special_requests = coalesce($12::int, special_requests),
		changes = changes + CASE WHEN $15::text = 'changed' THEN 1 ELSE 0 END,
		changed_at = coalesce($1::timestamptz, greatest(now(), changed_at)),
		version = version + 1
	WHERE booking_id = $13::bigint AND (SELECT pass FROM gate)
		AND status = ANY ($14::text[])
		AND ($16::int[] IS NULL OR version = ANY ($16::int[]))
		AND ($1::timestamptz IS NULL OR changed_at <= $1::timestamptz)
		AND ($2::date IS NULL OR $2::date >= (booked_at AT TIME ZONE 'UTC')::date - 1)
		AND (NOT $21::boolean OR coalesce($5::int, adults) + coalesce($6::int, children, 0)
			+ coalesce($7::int, babies) > 0)
	RETURNING *
),
event AS (
	INSERT INTO booking_events (booking_id, kind, occurred_at, hotel_id, agent_id, arrival_date,
		nights, details)
	SELECT booking_id, $15::text, changed_at, hotel_id, agent_id, arrival_date,
		weekend_nights + week_nights, $17::jsonb
	FROM b
	RETURNING event_id, booking_id
),
sent AS (
	INSERT INTO outbox (topic, booking_id, payload, trace_parent)
	SELECT 'booking.' || $15::text, booking_id, jsonb_build_object('event_id', event_id, 'version',
		b.version, 'occurred_at', b.changed_at), $18::text
	FROM b JOIN event USING (booking_id)
),
answer AS (
	SELECT booking_id, version, row_to_json(b)::text AS body FROM b
),
kept AS (
	INSERT INTO idempotency_keys (key, fingerprint, status, version, booking_id, body)
	SELECT $19::text, $20::text, 200, version, booking_id, body
	FROM answer WHERE $19::text IS NOT NULL
)
SELECT pass, booking_id, version, body FROM gate LEFT JOIN answer ON true
