/*
 * pg_stream: a logical replication stream (PostgreSQL documentation, "Streaming Replication
 * Protocol"). Blocking reads with a timeout; feedback is sent only by pg_stream_feedback, so
 * that nothing is acknowledged by accident. One thread.
 */
#ifndef SLUICE_PG_STREAM_H
#define SLUICE_PG_STREAM_H

#include "lsn.h"
#include "pg_conn.h"

struct pg_system {
	uint64_t system_id;
	uint32_t timeline;
	lsn flushed; /* current flush position */
};

/* IDENTIFY_SYSTEM on a replication connection. */
enum err pg_identify(struct pg *c, struct pg_system *out, struct error *e) MUST_CHECK;

/* The command for a slot, in mem: one that follows a failover where the server can make such
 * (PostgreSQL 17 and later, on a primary). */
const char *pg_create_slot_sql(
	const char *slot, int server_version, bool standby, struct arena *mem);

/* CREATE_REPLICATION_SLOT name LOGICAL pgoutput; the exported snapshot lives until the next
 * command on this connection. `snapshot` in mem. */
enum err pg_create_slot(struct pg *c, const char *slot, struct arena *mem, lsn *consistent,
	struct str *snapshot, struct error *e) MUST_CHECK;

struct pg_message {
	enum { PG_NOTHING, PG_DATA, PG_KEEPALIVE } kind;
	lsn start, end;  /* of the data; for keepalives end is the server's position */
	int64_t sent_us; /* server's clock, microseconds since 1970 */
	bool reply_requested;
	struct str payload; /* valid until the next receive */
};

/* START_REPLICATION SLOT ... LOGICAL from (proto_version, publication_names). From protocol
 * version 2 on, large transactions in progress are streamed (streaming 'on'). */
enum err pg_stream_start(struct pg *c, const char *slot, lsn from, int proto_version,
	const char *publication, struct error *e) MUST_CHECK;

/* From here on, in the middle of a burst, a moment's sleep (a quarter of a millisecond) lets some
 * dozens of messages come together. A server that decodes a backlog sends each change by itself
 * and wakes its reader for it, which costs both more than the change. */
void pg_stream_gather(struct pg *c);

/* Waits at most timeout_us for a message; PG_NOTHING on timeout. ERR_UNAVAILABLE when the
 * stream has ended or the connection is lost; an error that ends the stream (a publication that
 * does not exist, WAL that is gone) has the kind of its SQLSTATE. wake_fd (or -1) ends the wait
 * early when readable, and so does a signal: PG_NOTHING too. */
enum err pg_stream_receive(struct pg *c, int64_t timeout_us, int wake_fd, struct pg_message *out,
	struct error *e) MUST_CHECK;

/* Standby status update: written, flushed (what the slot may forget). */
enum err pg_stream_feedback(
	struct pg *c, lsn written, lsn flushed, bool ask_reply, struct error *e) MUST_CHECK;

#endif
