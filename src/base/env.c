#include "env.h"

static const int64_t PIECE_US = 100 * 1000;

bool env_stopping(const struct env *env)
{
	return env->stop != NULL && atomic_load(env->stop);
}

enum err env_check(const struct env *env, struct error *e)
{
	if (env_stopping(env))
		return FAIL(e, ERR_INTERRUPTED, "stopped because it was asked to");
	return OK;
}

void env_sleep(const struct env *env, int64_t us)
{
	int64_t until = clock_mono(env->clock) + us;

	while (!env_stopping(env)) {
		int64_t left = until - clock_mono(env->clock);
		if (left <= 0)
			return;
		clock_sleep(env->clock, left < PIECE_US ? left : PIECE_US);
	}
}
