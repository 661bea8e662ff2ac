#include "metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "mem.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

static const struct {
	double at_most;
	const char *text;
} buckets[] = {
	{0.001, "0.001"},
	{0.0025, "0.0025"},
	{0.005, "0.005"},
	{0.01, "0.01"},
	{0.025, "0.025"},
	{0.05, "0.05"},
	{0.1, "0.1"},
	{0.25, "0.25"},
	{0.5, "0.5"},
	{1, "1"},
	{2.5, "2.5"},
	{5, "5"},
	{10, "10"},
	{30, "30"},
	{60, "60"},
};

#define NBUCKETS (sizeof buckets / sizeof buckets[0])

struct metric {
	struct metric *next;
	enum kind kind;
	char *labels;               /* key="value",... escaped; "" for none */
	atomic_uint_least64_t bits; /* counter: the count; gauge, histogram sum: a double's bits */
	atomic_uint_least64_t counts[NBUCKETS + 1]; /* histogram: the last one is +Inf */
};

/* The metrics of one name: they share help and kind, and are printed together. */
struct family {
	struct family *next;
	char *name, *help;
	enum kind kind;
	struct metric *first, **last;
};

struct metrics {
	pthread_mutex_t lock; /* guards the lists; values are atomic */
	struct family *first, **last;
};

struct metrics *metrics_new(void)
{
	struct metrics *m = mem_zalloc(sizeof *m);

	pthread_mutex_init(&m->lock, NULL);
	m->last = &m->first;
	return m;
}

static void family_free(struct family *f)
{
	while (f->first != NULL) {
		struct metric *metric = f->first;
		f->first = metric->next;
		mem_free(metric->labels);
		mem_free(metric);
	}
	mem_free(f->name);
	mem_free(f->help);
	mem_free(f);
}

void metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	while (m->first != NULL) {
		struct family *f = m->first;
		m->first = f->next;
		family_free(f);
	}
	pthread_mutex_destroy(&m->lock);
	mem_free(m);
}

/* Label values escape the quote too; help texts do not. */
static void put_escaped(struct buf *b, const char *text, bool quote)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			buf_puts(b, "\\\\");
		else if (*text == '\n')
			buf_puts(b, "\\n");
		else if (*text == '"' && quote)
			buf_puts(b, "\\\"");
		else
			buf_putc(b, *text);
	}
}

static char *labels_text(const char *const *labels)
{
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	for (size_t i = 0; labels != NULL && labels[i] != NULL; i += 2) {
		buf_putf(&b, "%s%s=\"", i > 0 ? "," : "", labels[i]);
		put_escaped(&b, labels[i + 1], true);
		buf_putc(&b, '"');
	}
	return buf_steal(&b);
}

static struct family *family_of(
	struct metrics *m, const char *name, const char *help, enum kind kind)
{
	for (struct family *f = m->first; f != NULL; f = f->next) {
		if (strcmp(f->name, name) == 0) {
			assert(f->kind == kind);
			return f;
		}
	}
	struct family *f = mem_zalloc(sizeof *f);
	f->name = mem_strdup(name);
	f->help = mem_strdup(help);
	f->kind = kind;
	f->last = &f->first;
	*m->last = f;
	m->last = &f->next;
	return f;
}

/* Takes over labels. */
static struct metric *metric_of(struct family *f, char *labels)
{
	for (struct metric *metric = f->first; metric != NULL; metric = metric->next) {
		if (strcmp(metric->labels, labels) == 0) {
			mem_free(labels);
			return metric;
		}
	}
	struct metric *metric = mem_zalloc(sizeof *metric);
	metric->kind = f->kind;
	metric->labels = labels;
	*f->last = metric;
	f->last = &metric->next;
	return metric;
}

static struct metric *registered(struct metrics *m, const char *name, const char *help,
	const char *const *labels, enum kind kind)
{
	if (m == NULL)
		return NULL;
	assert(str_starts(str_of(name), STR("sluice_")));
	assert((kind == COUNTER) == str_ends(str_of(name), STR("_total")));
	char *text = labels_text(labels);
	pthread_mutex_lock(&m->lock);
	struct metric *metric = metric_of(family_of(m, name, help, kind), text);
	pthread_mutex_unlock(&m->lock);
	return metric;
}

struct metric *metrics_counter(
	struct metrics *m, const char *name, const char *help, const char *const *labels)
{
	return registered(m, name, help, labels, COUNTER);
}

struct metric *metrics_gauge(
	struct metrics *m, const char *name, const char *help, const char *const *labels)
{
	return registered(m, name, help, labels, GAUGE);
}

struct metric *metrics_histogram(
	struct metrics *m, const char *name, const char *help, const char *const *labels)
{
	return registered(m, name, help, labels, HISTOGRAM);
}

static uint64_t to_bits(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	return bits;
}

static double from_bits(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

void metric_add(struct metric *c, uint64_t n)
{
	if (c == NULL)
		return;
	assert(c->kind == COUNTER);
	atomic_fetch_add_explicit(&c->bits, n, memory_order_relaxed);
}

void metric_set(struct metric *g, double v)
{
	if (g == NULL)
		return;
	assert(g->kind == GAUGE);
	atomic_store_explicit(&g->bits, to_bits(v), memory_order_relaxed);
}

void metric_observe(struct metric *h, double seconds)
{
	size_t i = 0;

	if (h == NULL)
		return;
	assert(h->kind == HISTOGRAM);
	while (i < NBUCKETS && seconds > buckets[i].at_most)
		i++;
	atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
	uint64_t was = atomic_load_explicit(&h->bits, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&h->bits, &was,
		to_bits(from_bits(was) + seconds), memory_order_relaxed, memory_order_relaxed))
		;
}

double metric_value(const struct metric *c)
{
	if (c == NULL)
		return 0;
	uint64_t bits = atomic_load_explicit(&c->bits, memory_order_relaxed);
	return c->kind == COUNTER ? (double)bits : from_bits(bits);
}

/* NAME{labels,more} with a space behind it, braces only when there is something in them. */
static void put_name(struct buf *out, const struct family *f, const char *suffix,
	const struct metric *metric, const char *bound)
{
	bool labels = metric->labels[0] != '\0';

	buf_putf(out, "%s%s", f->name, suffix);
	if (labels || bound != NULL)
		buf_putf(out, "{%s%s", metric->labels, labels && bound != NULL ? "," : "");
	if (bound != NULL)
		buf_putf(out, "le=\"%s\"", bound);
	buf_puts(out, labels || bound != NULL ? "} " : " ");
}

static void print_histogram(struct buf *out, const struct family *f, const struct metric *h)
{
	uint64_t total = 0;

	for (size_t i = 0; i <= NBUCKETS; i++) {
		total += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
		put_name(out, f, "_bucket", h, i < NBUCKETS ? buckets[i].text : "+Inf");
		buf_putf(out, "%" PRIu64 "\n", total);
	}
	put_name(out, f, "_sum", h, NULL);
	buf_put_f64(out, metric_value(h));
	buf_putc(out, '\n');
	/* The sum of the same reads, so that _count always equals the last bucket. */
	put_name(out, f, "_count", h, NULL);
	buf_putf(out, "%" PRIu64 "\n", total);
}

static void print_family(struct buf *out, const struct family *f)
{
	buf_putf(out, "# HELP %s ", f->name);
	put_escaped(out, f->help, false);
	buf_putf(out, "\n# TYPE %s %s\n", f->name, kind_names[f->kind]);
	for (const struct metric *m = f->first; m != NULL; m = m->next) {
		if (f->kind == HISTOGRAM) {
			print_histogram(out, f, m);
			continue;
		}
		put_name(out, f, "", m, NULL);
		if (f->kind == COUNTER)
			buf_putf(out, "%" PRIu64, (uint64_t)atomic_load(&m->bits));
		else
			buf_put_f64(out, metric_value(m));
		buf_putc(out, '\n');
	}
}

void metrics_print(struct metrics *m, struct buf *out)
{
	if (m == NULL)
		return;
	pthread_mutex_lock(&m->lock);
	for (const struct family *f = m->first; f != NULL; f = f->next)
		print_family(out, f);
	pthread_mutex_unlock(&m->lock);
}
