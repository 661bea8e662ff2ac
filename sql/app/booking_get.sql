SELECT version, row_to_json(b)::text FROM bookings b WHERE booking_id = $1::bigint
