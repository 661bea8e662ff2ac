/*
 * queue: pointers from some threads to others, at most `cap` in flight. A full queue makes the
 * producer wait: that is the backpressure. Closing wakes everybody: what is queued can still be
 * taken, nothing can be added.
 */
#ifndef SLUICE_QUEUE_H
#define SLUICE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(size_t cap);
void queue_free(struct queue *q);                 /* no thread may be using it */
bool queue_push(struct queue *q, void *item);     /* waits for room; false once closed */
bool queue_try_push(struct queue *q, void *item); /* false when full or closed */
void *queue_pop(struct queue *q);                 /* waits; NULL once closed and empty */
/* Waits at most timeout_us; NULL on timeout or when closed and empty. */
void *queue_pop_wait(struct queue *q, int64_t timeout_us);
void queue_close(struct queue *q);
size_t queue_length(struct queue *q);

#endif
