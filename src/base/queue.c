#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "mem.h"

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t has_items, has_room;
	size_t first, n, cap;
	bool closed;
	void *items[];
};

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	/* Timeouts must not stretch or shrink when the wall clock is set. */
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct queue *queue_new(size_t cap)
{
	assert(cap > 0 && cap <= (size_t)1 << 24);
	struct queue *q = mem_zalloc(sizeof *q + cap * sizeof q->items[0]);

	pthread_mutex_init(&q->lock, NULL);
	cond_init(&q->has_items);
	cond_init(&q->has_room);
	q->cap = cap;
	return q;
}

void queue_free(struct queue *q)
{
	if (q == NULL)
		return;
	pthread_cond_destroy(&q->has_items);
	pthread_cond_destroy(&q->has_room);
	pthread_mutex_destroy(&q->lock);
	mem_free(q);
}

/* With the lock held. */
static bool put(struct queue *q, void *item)
{
	if (q->closed || q->n == q->cap)
		return false;
	q->items[(q->first + q->n) % q->cap] = item;
	q->n++;
	pthread_cond_signal(&q->has_items);
	return true;
}

static void *take(struct queue *q)
{
	if (q->n == 0)
		return NULL;
	void *item = q->items[q->first];
	q->first = (q->first + 1) % q->cap;
	q->n--;
	pthread_cond_signal(&q->has_room);
	return item;
}

bool queue_push(struct queue *q, void *item)
{
	assert(item != NULL);
	pthread_mutex_lock(&q->lock);
	while (q->n == q->cap && !q->closed)
		pthread_cond_wait(&q->has_room, &q->lock);
	bool done = put(q, item);
	pthread_mutex_unlock(&q->lock);
	return done;
}

bool queue_try_push(struct queue *q, void *item)
{
	assert(item != NULL);
	pthread_mutex_lock(&q->lock);
	bool done = put(q, item);
	pthread_mutex_unlock(&q->lock);
	return done;
}

void *queue_pop(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->closed)
		pthread_cond_wait(&q->has_items, &q->lock);
	void *item = take(q);
	pthread_mutex_unlock(&q->lock);
	return item;
}

static struct timespec after(int64_t us)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (us > 0) {
		t.tv_sec += us / 1000000;
		t.tv_nsec += us % 1000000 * 1000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_nsec -= 1000000000;
			t.tv_sec++;
		}
	}
	return t;
}

void *queue_pop_wait(struct queue *q, int64_t timeout_us)
{
	struct timespec until = after(timeout_us);
	int rc = 0;

	pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->closed && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&q->has_items, &q->lock, &until);
	void *item = take(q);
	pthread_mutex_unlock(&q->lock);
	return item;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->has_items);
	pthread_cond_broadcast(&q->has_room);
	pthread_mutex_unlock(&q->lock);
}

size_t queue_length(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	size_t n = q->n;
	pthread_mutex_unlock(&q->lock);
	return n;
}
