-- $1 after this id, $2 at most so many, $3 status.
SELECT booking_id, row_to_json(b)::text FROM bookings b
WHERE status = $3::text AND booking_id > $1::bigint ORDER BY booking_id LIMIT $2::int
