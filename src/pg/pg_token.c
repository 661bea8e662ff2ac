#include "pg_token.h"

#include <string.h>

#include "str.h"

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

enum err pg_token_for(const struct pg_token *t, const char *host, const char *port,
	const char *user, const char *sslmode, struct secret *out, struct error *e)
{
	if (!is_set(host) || strpbrk(host, ",/@") != NULL || (port != NULL && strchr(port, ',')))
		return FAIL(e, ERR_USAGE,
			"connecting to PostgreSQL with a token: the connection string must name one "
			"host, host=NAME.ID.REGION.rds.amazonaws.com, for the token is good for that "
			"host alone");
	if (!is_set(user))
		return FAIL(e, ERR_USAGE,
			"connecting to PostgreSQL with a token: the connection string must name the "
			"user, one that was granted rds_iam");
	if (sslmode == NULL || strcmp(sslmode, "verify-full") != 0)
		return FAIL(e, ERR_USAGE,
			"connecting to PostgreSQL with a token: sslmode is %s; put "
			"sslmode=verify-full and sslrootcert=FILE (RDS's global-bundle.pem) into the "
			"connection string: the token goes only to a server that has proven its name",
			is_set(sslmode) ? sslmode : "not set");
	if (t->make(t, host, is_set(port) ? port : "5432", user, out, e) != OK)
		return error_wrap(e, "connecting to PostgreSQL: making the token");
	return OK;
}
