/* What every unit test includes first: cmocka and what it needs before it. */
#ifndef SLUICE_UNIT_H
#define SLUICE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "err.h"
#include "str.h"

/* The call must succeed; otherwise the error's text is what the test prints. */
#define assert_ok(call, e)                                                                         \
	do {                                                                                       \
		enum err unit_rc_ = (call);                                                        \
		if (unit_rc_ != OK)                                                                \
			fail_msg("%s: %s: %s", #call, error_kind_name(unit_rc_), (e)->text);       \
	} while (0)

/* The call must fail with this kind and have said why. */
#define assert_err(call, want, e)                                                                  \
	do {                                                                                       \
		enum err unit_rc_ = (call);                                                        \
		if (unit_rc_ != (want))                                                            \
			fail_msg("%s: %s, not %s: %s", #call, error_kind_name(unit_rc_),           \
				error_kind_name(want), (e)->text);                                 \
		assert_int_equal((e)->kind, (want));                                               \
		assert_true((e)->text[0] != '\0');                                                 \
	} while (0)

#define assert_has(text, part)                                                                     \
	do {                                                                                       \
		if (strstr((text), (part)) == NULL)                                                \
			fail_msg("no \"%s\" in: %s", (part), (text));                              \
	} while (0)

#define assert_str(view, literal)                                                                  \
	do {                                                                                       \
		struct str unit_s_ = (view);                                                       \
		if (!str_eqc(unit_s_, (literal)))                                                  \
			fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(unit_s_), (literal));           \
	} while (0)

/* The seed of a randomised test: SLUICE_SEED, or the time. Printed so that a failure repeats. */
static inline uint64_t unit_seed(void)
{
	const char *given = getenv("SLUICE_SEED");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = (uint64_t)now.tv_sec * 1000000007U + (uint64_t)now.tv_nsec;

	if (given != NULL)
		seed = strtoull(given, NULL, 10);
	print_message("seed: SLUICE_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* A fresh directory under TMPDIR or /tmp; path holds at least 64 bytes. */
static inline const char *unit_tmpdir(char *path, size_t n)
{
	const char *base = getenv("TMPDIR");
	snprintf(path, n, "%s/sluice-unit-XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	return path;
}

#endif
