/*
 * A fuzz target without a fuzzer: runs LLVMFuzzerTestOneInput over every file of a corpus
 * directory, then over N mutations of them. The seed is printed; SLUICE_SEED sets it.
 *
 *   fuzz_NAME CORPUS-DIR [N]
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INPUT_MAX  65536
#define CORPUS_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t *p;
	size_t n;
};

struct corpus {
	struct input inputs[CORPUS_MAX];
	size_t n;
};

static uint64_t state;

/* splitmix64: enough chance for mutations, and the same everywhere. */
static uint64_t draw(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15U);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

static size_t below(size_t n)
{
	return (size_t)(draw() % n);
}

static void corpus_add(struct corpus *c, const char *dir, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return;
	struct input in = {.p = malloc(INPUT_MAX), .n = 0};
	if (in.p == NULL)
		abort();
	in.n = fread(in.p, 1, INPUT_MAX, f);
	fclose(f);
	c->inputs[c->n++] = in;
}

static void corpus_load(struct corpus *c, const char *dir)
{
	DIR *d = opendir(dir);
	if (d != NULL) {
		const struct dirent *entry;
		while ((entry = readdir(d)) != NULL && c->n < CORPUS_MAX - 1)
			if (entry->d_name[0] != '.')
				corpus_add(c, dir, entry->d_name);
		closedir(d);
	}
	if (c->n == 0) {
		c->inputs[0] = (struct input){.p = calloc(1, 1), .n = 0};
		c->n = 1;
	}
}

static void mutate_once(uint8_t *p, size_t *n)
{
	static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '\n', '"', '\\'};
	size_t at = *n > 0 ? below(*n) : 0;

	switch (below(5)) {
	case 0: /* flip a bit */
		if (*n > 0)
			p[at] = (uint8_t)(p[at] ^ 1U << below(8));
		break;
	case 1: /* a byte that parsers trip over */
		if (*n > 0)
			p[at] = edges[below(sizeof edges)];
		break;
	case 2: /* cut the end off */
		*n = at;
		break;
	case 3: /* insert */
		if (*n < INPUT_MAX) {
			memmove(p + at + 1, p + at, *n - at);
			p[at] = (uint8_t)draw();
			(*n)++;
		}
		break;
	default: /* copy a stretch over another */
		if (*n > 1) {
			size_t from = below(*n);
			size_t longest = *n - (from > at ? from : at);
			memmove(p + at, p + from, below(longest + 1));
		}
		break;
	}
}

/* Each run gets a copy of exactly its size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *p, size_t n)
{
	uint8_t *exact = malloc(n > 0 ? n : 1);
	if (exact == NULL)
		abort();
	memcpy(exact, p, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

static void run_mutations(const struct corpus *c, unsigned long count)
{
	static uint8_t work[INPUT_MAX];

	for (unsigned long i = 0; i < count; i++) {
		const struct input *in = &c->inputs[below(c->n)];
		size_t n = in->n;
		memcpy(work, in->p, n);
		for (size_t times = 1 + below(8); times > 0; times--)
			mutate_once(work, &n);
		run(work, n);
	}
}

int main(int argc, char **argv)
{
	static struct corpus c;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: %s CORPUS-DIR [MUTATIONS]\n", argv[0]);
		return 2;
	}
	const char *given = getenv("SLUICE_SEED");
	state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("seed: SLUICE_SEED=%" PRIu64 "\n", state);
	fflush(stdout);

	corpus_load(&c, argv[1]);
	for (size_t i = 0; i < c.n; i++)
		run(c.inputs[i].p, c.inputs[i].n);
	run_mutations(&c, argc == 3 ? strtoul(argv[2], NULL, 10) : 1000);
	printf("%zu inputs, no failure\n", c.n);
	for (size_t i = 0; i < c.n; i++)
		free(c.inputs[i].p);
	return 0;
}
