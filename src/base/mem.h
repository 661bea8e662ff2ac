/*
 * Allocation that does not fail. When the system has no memory left, the one handler set by
 * main is called and must not return; the default writes a line to descriptor 2 and ends the
 * process with _exit(1). It is the single place outside main that ends the process: nothing
 * can be undone without memory, and every durable state of ours survives a crash at any point.
 */
#ifndef SLUICE_MEM_H
#define SLUICE_MEM_H

#include <stddef.h>

#include "str.h"

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));  /* uninitialised */
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
/* Grows an array of `size`-byte items; the product is checked. New items are not zeroed. */
void *mem_realloc_array(void *p, size_t count, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((returns_nonnull));
char *mem_cstr(struct str s) __attribute__((returns_nonnull)); /* NUL-terminated copy */
void mem_free(void *p);                                        /* NULL is fine */

/* Sets the handler; NULL is the default. Called by main before any thread is started. */
typedef void mem_exhausted_fn(size_t wanted);
void mem_on_exhausted(mem_exhausted_fn *fn);

#endif
