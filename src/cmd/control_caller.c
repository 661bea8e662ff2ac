/* A client's settings and working directory, in the process that runs its command. */
#include "control_caller.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "control.h"

/* What the holder has open, or replicates. Not the warehouse: the client found the holder by it. */
static const struct {
	const char *key;
	size_t offset;
} held_keys[] = {
	{"[source] url", offsetof(struct settings, source.url)},
	{"[source] slot", offsetof(struct settings, source.slot)},
	{"[source] publication", offsetof(struct settings, source.publication)},
	{"[store] url", offsetof(struct settings, store.url)},
	{"[models] url", offsetof(struct settings, models.url)},
	{"[replicate] journal", offsetof(struct settings, replicate.journal)},
};

static const char *text_at(const struct settings *s, size_t offset)
{
	const char *const *at = (const void *)((const char *)s + offset);
	return *at != NULL ? *at : "";
}

/* The values may hold passwords, so only the key is named. */
static enum err check_held(
	const struct settings *theirs, const struct settings *held, struct error *e)
{
	for (size_t i = 0; i < sizeof held_keys / sizeof *held_keys; i++)
		if (strcmp(text_at(theirs, held_keys[i].offset),
			    text_at(held, held_keys[i].offset)) != 0)
			return FAIL(e, ERR_USAGE,
				"running the command in the process that holds the warehouse: its "
				"%s is not the one configured here; give both the same configuration, "
				"or stop that process first",
				held_keys[i].key);
	return OK;
}

enum err control_caller_enter(const char *cwd, struct error *e)
{
	char here[PATH_MAX] = "";
	if (getcwd(here, sizeof here) != NULL && strcmp(here, cwd) == 0)
		return OK;
	/* Some containers forbid the first: the command must then start where the holder is. */
	if (unshare(CLONE_FS) == 0 && chdir(cwd) == 0)
		return OK;
	return FAIL_ERRNO(e, ERR_FAILED,
		"entering %s, from where the command was given, in the process that holds the "
		"warehouse; give it from %s",
		cwd, here);
}

enum err control_caller_load(struct control_caller *c, const struct control_request *r,
	const struct settings *held, struct error *e)
{
	TRY(conf_load(
		settings_sections, r->config, r->config != NULL, r->env, &c->settings, &c->mem, e));
	settings_resolve(&c->settings,
		r->config != NULL ? settings_directory(r->config, &c->mem) : r->cwd, &c->mem);
	return check_held(&c->settings, held, e);
}

void control_caller_free(struct control_caller *c)
{
	conf_free(settings_sections, &c->settings);
	arena_free(&c->mem);
}
