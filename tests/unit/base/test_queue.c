#include "unit.h"

#include <stdatomic.h>

#include "clock.h"
#include "queue.h"
#include "thread.h"

static char items[10];

static void test_first_in_first_out(void **state)
{
	(void)state;
	struct queue *q = queue_new(3);

	for (size_t round = 0; round < 5; round++) {
		for (size_t i = 0; i < 3; i++)
			assert_true(queue_try_push(q, &items[i]));
		assert_false(queue_try_push(q, &items[3])); /* full */
		assert_int_equal(queue_length(q), 3);
		for (size_t i = 0; i < 3; i++)
			assert_ptr_equal(queue_pop(q), &items[i]);
	}
	queue_free(q);
	queue_free(NULL);
}

static void test_closing(void **state)
{
	(void)state;
	struct queue *q = queue_new(3);

	assert_true(queue_push(q, &items[0]));
	queue_close(q);
	queue_close(q);
	assert_false(queue_push(q, &items[1]));
	assert_false(queue_try_push(q, &items[1]));
	assert_ptr_equal(queue_pop(q), &items[0]);
	assert_null(queue_pop(q));
	assert_null(queue_pop_wait(q, 1000000)); /* at once */
	queue_free(q);
}

static void test_pop_wait_times_out(void **state)
{
	(void)state;
	struct queue *q = queue_new(1);
	int64_t before = clock_mono(clock_system());

	assert_null(queue_pop_wait(q, 20000));
	int64_t waited = clock_mono(clock_system()) - before;
	assert_true(waited >= 19000);
	assert_null(queue_pop_wait(q, 0));
	assert_true(queue_push(q, &items[0]));
	assert_ptr_equal(queue_pop_wait(q, 0), &items[0]);
	queue_free(q);
}

static enum err push_one(void *arg, struct error *e)
{
	return queue_push(arg, &items[1]) ? OK : FAIL(e, ERR_INTERRUPTED, "closed");
}

static void test_a_full_queue_holds_the_producer(void **state)
{
	(void)state;
	struct queue *q = queue_new(1);
	struct error e = {0};
	struct thread t;

	assert_true(queue_push(q, &items[0]));
	assert_ok(thread_start(&t, "producer", push_one, q, &e), &e);
	clock_sleep(clock_system(), 10000);
	assert_int_equal(queue_length(q), 1);
	assert_ptr_equal(queue_pop(q), &items[0]);
	assert_ptr_equal(queue_pop(q), &items[1]);
	assert_ok(thread_join(&t, &e), &e);
	queue_free(q);
}

static void test_closing_wakes_the_producer(void **state)
{
	(void)state;
	struct queue *q = queue_new(1);
	struct error e = {0};
	struct thread t;

	assert_true(queue_push(q, &items[0]));
	assert_ok(thread_start(&t, "producer", push_one, q, &e), &e);
	clock_sleep(clock_system(), 5000);
	queue_close(q);
	assert_err(thread_join(&t, &e), ERR_INTERRUPTED, &e);
	queue_free(q);
}

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 2000 };

struct traffic {
	struct queue *q;
	atomic_size_t taken[PRODUCERS * EACH];
};

struct producer {
	struct traffic *traffic;
	size_t first;
};

static enum err produce(void *arg, struct error *e)
{
	struct producer *p = arg;

	for (size_t i = 0; i < EACH; i++)
		if (!queue_push(p->traffic->q, &p->traffic->taken[p->first + i]))
			return FAIL(e, ERR_BUG, "closed too early");
	return OK;
}

static enum err consume(void *arg, struct error *e)
{
	struct traffic *t = arg;
	atomic_size_t *item;

	(void)e;
	while ((item = queue_pop(t->q)) != NULL)
		atomic_fetch_add(item, 1);
	return OK;
}

static void test_many_threads_lose_and_repeat_nothing(void **state)
{
	(void)state;
	static struct traffic traffic;
	struct producer producers[PRODUCERS];
	struct thread pt[PRODUCERS], ct[CONSUMERS];
	struct error e = {0};

	traffic.q = queue_new(7);
	for (size_t i = 0; i < CONSUMERS; i++)
		assert_ok(thread_start(&ct[i], "consumer", consume, &traffic, &e), &e);
	for (size_t i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){&traffic, i * EACH};
		assert_ok(thread_start(&pt[i], "producer", produce, &producers[i], &e), &e);
	}
	for (size_t i = 0; i < PRODUCERS; i++)
		assert_ok(thread_join(&pt[i], &e), &e);
	queue_close(traffic.q);
	for (size_t i = 0; i < CONSUMERS; i++)
		assert_ok(thread_join(&ct[i], &e), &e);
	for (size_t i = 0; i < PRODUCERS * EACH; i++)
		assert_int_equal(atomic_load(&traffic.taken[i]), 1);
	queue_free(traffic.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_in_first_out),
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_pop_wait_times_out),
		cmocka_unit_test(test_a_full_queue_holds_the_producer),
		cmocka_unit_test(test_closing_wakes_the_producer),
		cmocka_unit_test(test_many_threads_lose_and_repeat_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
