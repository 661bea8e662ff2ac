/*
 * rds_token: the password that RDS takes from a role: a presigned request of the service rds-db,
 * without its scheme. Good for 15 minutes of logging in; a session once begun goes on. RDS takes
 * it over TLS only.
 */
#ifndef SLUICE_RDS_TOKEN_H
#define SLUICE_RDS_TOKEN_H

#include "aws_identity.h"

/* region empty: as the host name says (NAME.ID.REGION.rds.amazonaws.com), or else the identity.
 * ERR_USAGE when there is none. Credentials with less than 15 minutes left are fetched anew
 * first, so that the token does not die with them. */
enum err rds_token(struct aws_identity *i, const char *region, const char *host, const char *port,
	const char *user, struct secret *out, struct error *e) MUST_CHECK;

#endif
