/*
 * source_token: the token that a process logs in to its source with, when [source] iam_auth says
 * so. One identity for all connections. Any thread.
 */
#ifndef SLUICE_SOURCE_TOKEN_H
#define SLUICE_SOURCE_TOKEN_H

#include "env.h"
#include "pg_token.h"
#include "settings.h"

struct source_token;

/* Asks nobody yet. */
struct source_token *source_token_new(const struct settings *set, const struct env *env);
void source_token_free(struct source_token *t); /* NULL is fine */

/* NULL when the source wants no token. Lives as long as t. */
const struct pg_token *source_token_of(const struct source_token *t);

#endif
