/*
 * cmd_policy: what the release and gate commands take from the configuration alike.
 */
#ifndef SLUICE_CMD_POLICY_H
#define SLUICE_CMD_POLICY_H

#include "command.h"
#include "handback.h"

/* The [workflow NAME] section and [handback] as the rules of a release. ERR_USAGE names the key
 * that is wrong. */
enum err cmd_policy(struct context *c, const char *workflow, struct release_policy *out,
	struct error *e) MUST_CHECK;

/* The person who acts: as given, else [handback] person, else the login name. */
const char *cmd_person(struct context *c, const char *given);

/* "yes" or "NO" with its name and detail, a line a check, for people. */
void cmd_say_checks(struct context *c, const struct checks *checks);

#endif
