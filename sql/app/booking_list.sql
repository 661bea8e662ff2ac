-- $1 after this id, $2 at most so many.
SELECT booking_id, row_to_json(b)::text FROM bookings b
WHERE booking_id > $1::bigint ORDER BY booking_id LIMIT $2::int
