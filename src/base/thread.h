/*
 * thread: pthreads with our error type. A thread's function returns enum err and fills the
 * error that its owner gave; thread_join hands both back.
 */
#ifndef SLUICE_THREAD_H
#define SLUICE_THREAD_H

#include <pthread.h>

#include "err.h"

typedef enum err thread_fn(void *arg, struct error *e);

struct thread {
	pthread_t id;
	thread_fn *fn;
	void *arg;
	const char *name; /* at most 15 bytes are shown by the system */
	enum err rc;
	struct error error;
	bool started;
};

enum err thread_start(
	struct thread *t, const char *name, thread_fn *fn, void *arg, struct error *e) MUST_CHECK;
/* Waits for it to end; gives its result and copies its error to *e. OK when never started. */
enum err thread_join(struct thread *t, struct error *e);

#endif
