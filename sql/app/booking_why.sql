-- Why a change found no booking to change. $1 booking, $2 when, $3 arrival date, $4 adults,
-- $5 children, $6 babies, each NULL when not given, $7 whether somebody must come.
SELECT status, version, changed_at, changed_at > $2::timestamptz,
	(booked_at AT TIME ZONE 'UTC')::date,
	$3::date < (booked_at AT TIME ZONE 'UTC')::date - 1,
	$7::boolean AND coalesce($4::int, adults) + coalesce($5::int, children, 0)
		+ coalesce($6::int, babies) = 0
FROM bookings WHERE booking_id = $1::bigint
