#include "split.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* The share of the training rows, latest first, that chooses the number of rounds. */
#define WATCH_SHARE 5 /* one fifth */
#define WATCH_MIN   50

typedef bool choose_fn(const struct matrix *m, size_t row, int64_t cut, int64_t now);

static bool trains(const struct matrix *m, size_t row, int64_t cut, int64_t now)
{
	(void)now;
	return m->label[row] != LABEL_UNKNOWN && m->label_at[row] < cut && m->mature_at[row] < cut;
}

/* Of rows that have not matured yet only the early outcomes are known, which is one class more
 * than the other; they would flatter the model. */
static bool tests(const struct matrix *m, size_t row, int64_t cut, int64_t now)
{
	return m->label[row] != LABEL_UNKNOWN && m->as_of[row] >= cut &&
		m->as_of[row] != TIME_UNKNOWN && m->mature_at[row] <= now;
}

/* `cut` ends the training, `now` parts it. */
static bool watches(const struct matrix *m, size_t row, int64_t cut, int64_t now)
{
	return trains(m, row, cut, 0) && m->mature_at[row] >= now;
}

static void choose(
	const struct matrix *m, choose_fn *fn, int64_t cut, int64_t now, struct part *out)
{
	size_t n = 0;

	for (size_t i = 0; i < m->rows; i++)
		n += fn(m, i, cut, now);
	*out = (struct part){.x = mem_array(n * m->cols + 1, sizeof *out->x),
		.label = mem_array(n + 1, sizeof *out->label),
		.at = mem_array(n + 1, sizeof *out->at)};
	for (size_t i = 0; i < m->rows; i++) {
		if (!fn(m, i, cut, now))
			continue;
		memcpy(out->x + out->rows * m->cols, m->x + i * m->cols, m->cols * sizeof *out->x);
		out->label[out->rows] = m->label[i];
		out->positives += m->label[i];
		out->at[out->rows++] = i;
	}
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The moment before which four fifths of the training rows had matured. */
static int64_t parting(const struct matrix *m, const struct part *train)
{
	int64_t *t = mem_array(train->rows + 1, sizeof *t), at;

	for (size_t i = 0; i < train->rows; i++)
		t[i] = m->mature_at[train->at[i]];
	qsort(t, train->rows, sizeof *t, by_time);
	at = t[train->rows - train->rows / WATCH_SHARE - 1];
	mem_free(t);
	return at;
}

static int64_t latest_label(const struct matrix *m)
{
	int64_t latest = INT64_MIN;

	for (size_t i = 0; i < m->rows; i++)
		if (m->label[i] != LABEL_UNKNOWN && m->label_at[i] != TIME_UNKNOWN &&
			m->label_at[i] > latest)
			latest = m->label_at[i];
	return latest;
}

void split_by_time(const struct matrix *m, int64_t cut_us, struct split *out)
{
	*out = (struct split){0};
	choose(m, trains, cut_us, 0, &out->train);
	choose(m, tests, cut_us, latest_label(m), &out->test);
	if (out->train.rows < (size_t)WATCH_MIN * WATCH_SHARE)
		return;
	int64_t at = parting(m, &out->train);
	choose(m, trains, at, 0, &out->fit);
	choose(m, watches, cut_us, at, &out->watch);
}

static void part_free(struct part *p)
{
	mem_free(p->x);
	mem_free(p->label);
	mem_free(p->at);
	*p = (struct part){0};
}

void split_free(struct split *s)
{
	part_free(&s->train);
	part_free(&s->test);
	part_free(&s->fit);
	part_free(&s->watch);
}

struct samples part_samples(const struct part *p, size_t cols)
{
	return (struct samples){.x = p->x, .label = p->label, .rows = p->rows, .cols = cols};
}

bool part_has_both(const struct part *p)
{
	return p->positives > 0 && p->positives < p->rows;
}
