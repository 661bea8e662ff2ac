/* The demonstration's child processes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "demo.h"
#include "file.h"
#include "mem.h"

#define MAX_WORDS 16

static void command_line(struct demo *d, const char *const *words, char **argv)
{
	size_t n = 0;
	argv[n++] = arena_cstr(d->c->mem, str_of(d->c->program));
	for (size_t i = 0; words[i] != NULL && n < MAX_WORDS - 4; i++)
		argv[n++] = arena_cstr(d->c->mem, str_of(words[i]));
	argv[n++] = arena_cstr(d->c->mem, STR("--json"));
	argv[n++] = arena_cstr(d->c->mem, STR("--config"));
	argv[n++] = d->config;
	argv[n] = NULL;
}

static struct str last_line(struct str text)
{
	struct str line, last = STR_NONE;
	while (str_next(&text, '\n', &line))
		if (str_trim(line).n > 0)
			last = line;
	return last;
}

static const char *joined(struct demo *d, const char *const *words)
{
	struct str s = str_of(words[0]);
	for (size_t i = 1; words[i] != NULL; i++)
		s = arena_fmt(d->c->mem, "%.*s %s", STR_ARG(s), words[i]);
	return s.p;
}

enum err demo_command(struct demo *d, const char *const *words, json_t **out, struct error *e)
{
	char *argv[MAX_WORDS];
	struct buf said, complaint;
	int code = 0;
	command_line(d, words, argv);
	buf_init(&said, 1 << 24);
	buf_init(&complaint, 1 << 24);
	const struct process_options o = {
		.argv = argv, .out_fd = -1, .err_fd = -1, .die_with_parent = true};
	enum err rc = process_run(&o, &said, &complaint, &code, e);
	if (rc == OK && code != 0) {
		struct str why = last_line(buf_str(&complaint));
		rc = FAIL(e, ERR_FAILED, "`sluice %s` ended with %d: %.*s", joined(d, words), code,
			STR_ARG(why));
	}
	if (rc == OK && out != NULL)
		rc = json_read(last_line(buf_str(&said)), joined(d, words), out, e);
	buf_free(&said);
	buf_free(&complaint);
	return rc;
}

static enum err open_log(
	struct demo *d, const char *name, const char *suffix, int *fd, struct error *e)
{
	struct str path = arena_fmt(d->c->mem, "%s/logs/%s.%s", d->dir, name, suffix);
	*fd = open(path.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (*fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "opening %s", path.p);
	return OK;
}

enum err demo_start(struct demo *d, enum demo_child which, const char *name,
	const char *const *words, struct error *e)
{
	char *argv[MAX_WORDS];
	int out = -1, err = -1;
	command_line(d, words, argv);
	TRY(open_log(d, name, "out", &out, e));
	enum err rc = open_log(d, name, "log", &err, e);
	if (rc == OK) {
		const struct process_options o = {
			.argv = argv, .out_fd = out, .err_fd = err, .die_with_parent = true};
		rc = process_start(&d->children[which], &o, e);
	}
	close(out);
	if (err >= 0)
		close(err);
	return rc;
}

static const char *const child_names[DEMO_CHILDREN] = {
	[CHILD_UP] = "up", [CHILD_API] = "api", [CHILD_WORKER] = "worker"};

enum err demo_children_alive(struct demo *d, struct error *e)
{
	for (int i = 0; i < DEMO_CHILDREN; i++) {
		bool ended = false;
		int code = 0;
		if (d->children[i].pid == 0)
			continue;
		TRY(process_wait_for(&d->children[i], d->c->env->clock, 0, &ended, &code, e));
		if (ended)
			return FAIL(e, ERR_FAILED,
				"the %s process ended with %d; see %s/logs/%s.log", child_names[i],
				code, d->dir, child_names[i]);
	}
	return OK;
}

void demo_stop_children(struct demo *d)
{
	static const enum demo_child order[] = {CHILD_API, CHILD_WORKER, CHILD_UP};
	for (size_t i = 0; i < DEMO_CHILDREN; i++)
		process_stop(&d->children[order[i]], d->c->env->clock, INT64_C(20000000));
}
