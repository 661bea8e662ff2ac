/*
 * rnd: randomness from outside. A seed gives the same run again; rnd_system seeds from the
 * kernel. xoshiro256** (Blackman and Vigna, 2018). Not for keys: those come from OpenSSL.
 */
#ifndef SLUICE_RND_H
#define SLUICE_RND_H

#include <stdint.h>

struct rnd {
	uint64_t s[4];
};

void rnd_seed(struct rnd *r, uint64_t seed);
void rnd_system(struct rnd *r);
uint64_t rnd_u64(struct rnd *r);
uint64_t rnd_below(struct rnd *r, uint64_t n); /* 0 <= x < n, unbiased; n > 0 */
double rnd_unit(struct rnd *r);                /* 0 <= x < 1 */

#endif
