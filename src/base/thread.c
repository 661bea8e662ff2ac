#include "thread.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

static void *run(void *arg)
{
	struct thread *t = arg;

	t->rc = t->fn(t->arg, &t->error);
	return NULL;
}

/* Signals meant for the process go to the thread that main keeps for them: the new thread starts
 * with all of them blocked but those that a fault of its own raises. */
static int start_blocked(struct thread *t)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t all, before;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int failed = pthread_create(&t->id, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}

enum err thread_start(struct thread *t, const char *name, thread_fn *fn, void *arg, struct error *e)
{
	assert(fn != NULL);
	*t = (struct thread){.fn = fn, .arg = arg, .name = name};
	int failed = start_blocked(t);
	if (failed != 0)
		return error_errno(e, ERR_FAILED, failed, __func__, "starting thread %s", name);
	t->started = true;
	char shown[16];
	snprintf(shown, sizeof shown, "%s", name);
	pthread_setname_np(t->id, shown);
	return OK;
}

enum err thread_join(struct thread *t, struct error *e)
{
	if (!t->started)
		return OK;
	pthread_join(t->id, NULL);
	t->started = false;
	if (t->rc != OK && e != NULL)
		*e = t->error;
	return t->rc;
}
