#include "failpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "mem.h"

enum action { ACT_ERROR, ACT_KILL, ACT_ENOSPC, ACT_EIO, ACT_SLEEP };

struct failpoint {
	char *name;
	enum action action;
	uint64_t at; /* the pass that fails, counted from 1 */
	bool onward; /* and every one after it */
	int64_t sleep_us;
	atomic_uint_least64_t passes;
};

struct failpoints {
	size_t n;
	struct failpoint items[];
};

static const struct {
	const char *word;
	enum action action;
} actions[] = {
	{"error", ACT_ERROR},
	{"kill", ACT_KILL},
	{"enospc", ACT_ENOSPC},
	{"eio", ACT_EIO},
	{"sleep", ACT_SLEEP},
};

static bool parse_action(struct failpoint *f, struct str text)
{
	struct str word = text;
	bool found = false;
	int64_t ms = 0;

	if (str_cut(&text, ':', &word) && !str_to_i64(text, &ms))
		return false;
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if (str_eqc(word, actions[i].word)) {
			f->action = actions[i].action;
			found = true;
		}
	}
	f->sleep_us = ms * 1000;
	return found && ms >= 0 && ms <= 3600000 && (f->action == ACT_SLEEP) == (ms > 0);
}

/* name=action[:MS][@n[+]] */
static bool parse_one(struct failpoint *f, struct str text)
{
	struct str name, action;

	f->at = 1;
	if (!str_cut(&text, '=', &name) || name.n == 0)
		return false;
	action = text;
	if (str_cut(&text, '@', &action)) {
		f->onward = str_ends(text, STR("+"));
		if (f->onward)
			text.n--;
		if (!str_to_u64(text, &f->at) || f->at == 0)
			return false;
	}
	if (!parse_action(f, action))
		return false;
	f->name = mem_cstr(str_trim(name));
	return true;
}

enum err failpoints_parse(struct failpoints **out, struct str spec, struct error *e)
{
	size_t most = 1;

	for (size_t i = 0; i < spec.n; i++)
		most += spec.p[i] == ';';
	struct failpoints *f = mem_zalloc(sizeof *f + most * sizeof f->items[0]);
	struct str one;
	while (str_next(&spec, ';', &one)) {
		one = str_trim(one);
		if (one.n == 0)
			continue;
		if (!parse_one(&f->items[f->n], one)) {
			failpoints_free(f);
			return FAIL(e, ERR_USAGE,
				"failpoint \"%.*s\": write name=action[@n[+]], where action is "
				"error, "
				"kill, enospc, eio or sleep:MS",
				STR_ARG(one));
		}
		f->n++;
	}
	*out = f;
	return OK;
}

void failpoints_free(struct failpoints *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->items[i].name);
	mem_free(f);
}

static enum err play(const struct env *env, const struct failpoint *f, struct error *e)
{
	switch (f->action) {
	case ACT_ERROR:
		return FAIL(e, ERR_UNAVAILABLE, "failpoint %s", f->name);
	case ACT_KILL:
		raise(SIGKILL);
		return FAIL(e, ERR_BUG, "failpoint %s: alive after SIGKILL", f->name);
	case ACT_ENOSPC:
		return error_errno(e, ERR_FAILED, ENOSPC, __func__, "failpoint %s", f->name);
	case ACT_EIO:
		return error_errno(e, ERR_FAILED, EIO, __func__, "failpoint %s", f->name);
	case ACT_SLEEP:
		env_sleep(env, f->sleep_us);
		return OK;
	}
	return OK;
}

enum err failpoint_hit(const struct env *env, const char *name, struct error *e)
{
	if (env->failpoints == NULL)
		return OK;
	for (size_t i = 0; i < env->failpoints->n; i++) {
		struct failpoint *f = &env->failpoints->items[i];
		if (strcmp(f->name, name) != 0)
			continue;
		uint64_t pass = atomic_fetch_add(&f->passes, 1) + 1;
		if (pass == f->at || (f->onward && pass > f->at))
			TRY(play(env, f, e));
	}
	return OK;
}
