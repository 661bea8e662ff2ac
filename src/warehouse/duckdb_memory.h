/*
 * For the thread sanitizer. DuckDB gives the memory of a vector that one thread has left to another
 * thread, behind locks of its own that the sanitizer cannot see, in memory that it cannot see
 * either. Whoever is about to look at memory of DuckDB's says that it was taken; whoever is done
 * with it that it was left: taking comes after every leaving of the same pages, and of no others,
 * so that what is not so ordered is still reported. In other builds nothing happens.
 */
#ifndef SLUICE_DUCKDB_MEMORY_H
#define SLUICE_DUCKDB_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_THREAD__)
#define DUCK_MEMORY_WATCHED true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DUCK_MEMORY_WATCHED true
#endif
#endif

#ifdef DUCK_MEMORY_WATCHED
#include <sanitizer/tsan_interface.h>
#include <stdint.h>

#define DUCK_PAGE ((uintptr_t)4096)

static inline void duck_memory_pages(const void *p, size_t n, void (*tell)(void *page))
{
	uintptr_t at = (uintptr_t)p & ~(DUCK_PAGE - 1), end = (uintptr_t)p + n;

	for (; p != NULL && at < end; at += DUCK_PAGE)
		tell((void *)at);
}

static inline void duck_memory_taken(const void *p, size_t n)
{
	duck_memory_pages(p, n, __tsan_acquire);
}

static inline void duck_memory_left(const void *p, size_t n)
{
	duck_memory_pages(p, n, __tsan_release);
}

#else
#define DUCK_MEMORY_WATCHED false

static inline void duck_memory_taken(const void *p, size_t n)
{
	(void)p;
	(void)n;
}

static inline void duck_memory_left(const void *p, size_t n)
{
	(void)p;
	(void)n;
}
#endif

#endif
