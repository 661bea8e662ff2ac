SELECT row_to_json(g)::text FROM guests g WHERE guest_id = $1::bigint
