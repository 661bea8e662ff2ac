-- Answers to requests that carried an Idempotency-Key, so that a repeated request gets the answer
-- of the first and changes nothing. The fingerprint is SHA-256 over method, path and body; the
-- answer holds no personal data. The worker removes keys older than a day.

CREATE TABLE idempotency_keys (
	key         text PRIMARY KEY,
	fingerprint text NOT NULL,
	status      int NOT NULL,
	version     int NOT NULL,
	booking_id  bigint NOT NULL,
	body        text NOT NULL,
	created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Listing by status walks the bookings of that status in the order of their ids.
CREATE INDEX bookings_status ON bookings (status, booking_id);
