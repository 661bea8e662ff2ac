/* What a process shares: a replication that is used is not freed. */
#include "unit.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "engine.h"
#include "shared.h"
#include "thread.h"

struct user {
	struct shared *shared;
	atomic_bool joined, left;
};

/* A command that waits for a position which never comes. */
static enum err wait_for_ever(void *arg, struct error *e)
{
	struct user *u = arg;
	struct replicate *r = shared_join_replicate(u->shared);

	atomic_store(&u->joined, true);
	enum err rc = replicate_wait(r, (lsn){UINT64_MAX / 2}, INT64_C(60000000), e);
	clock_sleep(clock_system(), 50000);
	atomic_store(&u->left, true);
	shared_leave_replicate(u->shared);
	return rc;
}

static void a_replication_is_stopped_only_when_nobody_uses_it(void **state)
{
	struct replicate r = {.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	const struct env env = {.clock = clock_system()};
	const struct settings set = {0};
	struct user u = {.shared = shared_new(&env, &set, "sluice", NULL)};
	struct thread t = {0};
	struct error e = {0}, theirs = {0};

	(void)state;
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.moved, NULL);
	assert_null(shared_join_replicate(u.shared));
	shared_set_replicate(u.shared, &r);
	assert_ok(thread_start(&t, "user", wait_for_ever, &u, &e), &e);
	while (!atomic_load(&u.joined))
		clock_sleep(clock_system(), 1000);

	shared_take_replicate(u.shared);
	assert_true(atomic_load(&u.left));
	pthread_cond_destroy(&r.moved);
	pthread_mutex_destroy(&r.lock);
	close(r.wake_fd);
	assert_null(shared_replicate(u.shared));
	shared_set_replicate(u.shared, NULL);
	assert_err(thread_join(&t, &theirs), ERR_INTERRUPTED, &theirs);

	/* It is over: the next one may start. */
	assert_null(shared_join_replicate(u.shared));
	shared_set_replicate(u.shared, NULL);
	shared_free(u.shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_replication_is_stopped_only_when_nobody_uses_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
