-- The guest's row goes; the bookings stay without it. Their version moves on, because what a client
-- sees of them has changed; changed_at stays, because nothing happened to the booking itself.
-- $1 guest, $2 traceparent.
WITH b AS (
	UPDATE bookings SET guest_id = NULL, version = version + 1
	WHERE guest_id = $1::bigint
	RETURNING booking_id, version
),
sent AS (
	INSERT INTO outbox (topic, booking_id, payload, trace_parent)
	SELECT 'booking.guest_erased', booking_id, jsonb_build_object('version', version), $2::text
	FROM b
),
gone AS (
	DELETE FROM guests WHERE guest_id = $1::bigint RETURNING guest_id
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM b)
