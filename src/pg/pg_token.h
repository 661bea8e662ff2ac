/*
 * pg_token: a password that is made for each connection, such as RDS takes from a role. It goes
 * only to a server that has proven its name.
 */
#ifndef SLUICE_PG_TOKEN_H
#define SLUICE_PG_TOKEN_H

#include "err.h"
#include "secret.h"

/* Any thread may ask. host, port and user are those of the connection string. */
struct pg_token {
	enum err (*make)(const struct pg_token *t, const char *host, const char *port,
		const char *user, struct secret *out, struct error *e);
};

/* Asks for a token for a connection of these values (NULL: not given). ERR_USAGE unless there is
 * one host, a user, and sslmode=verify-full: whoever reads the token on the way could log in. */
enum err pg_token_for(const struct pg_token *t, const char *host, const char *port,
	const char *user, const char *sslmode, struct secret *out, struct error *e) MUST_CHECK;

#endif
