#include "rnd.h"

#include <assert.h>
#include <sys/random.h>
#include <time.h>

/* splitmix64 spreads a seed over the state, as the authors of xoshiro advise. */
static uint64_t split(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15U);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

void rnd_seed(struct rnd *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		r->s[i] = split(&seed);
}

void rnd_system(struct rnd *r)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		seed = (uint64_t)now.tv_sec * 1000000007U ^ (uint64_t)now.tv_nsec;
	}
	rnd_seed(r, seed);
}

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

uint64_t rnd_u64(struct rnd *r)
{
	uint64_t *s = r->s;
	uint64_t out = rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return out;
}

/* What lies past the last whole multiple of n is drawn again. */
uint64_t rnd_below(struct rnd *r, uint64_t n)
{
	assert(n > 0);
	uint64_t reject_under = (0 - n) % n;
	uint64_t x = rnd_u64(r);

	while (x < reject_under)
		x = rnd_u64(r);
	return x % n;
}

double rnd_unit(struct rnd *r)
{
	return (double)(rnd_u64(r) >> 11) * 0x1.0p-53;
}
