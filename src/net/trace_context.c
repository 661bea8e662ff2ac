#include "trace_context.h"

#include <inttypes.h>

/* Lower-case hex, not all zeros. */
static bool is_id(struct str s)
{
	bool nonzero = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		nonzero = nonzero || c != '0';
	}
	return nonzero;
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

bool trace_parent_valid(struct str s)
{
	return s.n == 55 && str_starts(s, STR("00-")) && s.p[35] == '-' && s.p[52] == '-' &&
		is_id(str_make(s.p + 3, 32)) && is_id(str_make(s.p + 36, 16)) &&
		is_hex(str_make(s.p + 53, 2));
}

/* Zero is not a valid id. */
static uint64_t nonzero(struct rnd *rnd)
{
	uint64_t v = rnd_u64(rnd);

	return v != 0 ? v : 1;
}

struct str trace_parent_take(struct str received, struct rnd *rnd, struct arena *mem)
{
	if (trace_parent_valid(received))
		return received;
	uint64_t high = nonzero(rnd);
	uint64_t low = nonzero(rnd);
	uint64_t span = nonzero(rnd);
	return arena_fmt(mem, "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-00", high, low, span);
}

struct str request_id_take(struct str received, struct rnd *rnd, struct arena *mem)
{
	bool good = received.n >= 1 && received.n <= 128;

	for (size_t i = 0; good && i < received.n; i++)
		good = received.p[i] > ' ' && received.p[i] < 127;
	return good ? received : arena_fmt(mem, "%016" PRIx64, nonzero(rnd));
}
