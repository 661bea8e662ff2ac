#include "http_retry.h"

#define FIRST_US 100000LL
#define MOST_US  10000000LL

bool http_retry_status(unsigned status)
{
	switch (status) {
	case 408:
	case 425:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

int64_t http_retry_after_us(struct str header)
{
	uint64_t seconds;

	if (!str_to_u64(str_trim(header), &seconds) || seconds > 86400)
		return -1;
	return (int64_t)seconds * 1000000;
}

int64_t http_retry_wait_us(unsigned next, int64_t retry_after_us, struct rnd *rnd)
{
	int64_t ceiling = FIRST_US;

	for (unsigned i = 2; i < next && ceiling < MOST_US; i++)
		ceiling *= 2;
	if (ceiling > MOST_US)
		ceiling = MOST_US;
	/* Full jitter: many clients that failed together do not come back together. */
	int64_t wait = (int64_t)rnd_below(rnd, (uint64_t)ceiling + 1);
	return wait > retry_after_us ? wait : retry_after_us;
}
