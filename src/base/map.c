#include "map.h"

#include <assert.h>
#include <string.h>

#include "mem.h"

/* Linear probing over a power of two, at most two thirds full. A slot holds the index of its
 * entry plus one. */

static size_t home(const struct map *m, struct str key)
{
	return (size_t)str_hash(key) & (m->nslots - 1);
}

/* The key's slot, or the free one where it would stand. There must be slots. */
static size_t find(const struct map *m, struct str key)
{
	size_t at = home(m, key);

	while (m->slots[at] != 0 && !str_eq(m->entries[m->slots[at] - 1].key, key))
		at = (at + 1) & (m->nslots - 1);
	return at;
}

static void key_free(struct str key)
{
	mem_free((void *)(uintptr_t)key.p);
}

void map_free(struct map *m)
{
	for (size_t i = 0; i < m->n; i++)
		key_free(m->entries[i].key);
	mem_free(m->entries);
	mem_free(m->slots);
	*m = (struct map){0};
}

static struct map_entry *entry_of(const struct map *m, struct str key)
{
	if (m->n == 0)
		return NULL;
	size_t at = find(m, key);
	return m->slots[at] != 0 ? &m->entries[m->slots[at] - 1] : NULL;
}

void *map_get(const struct map *m, struct str key)
{
	const struct map_entry *entry = entry_of(m, key);

	return entry != NULL ? entry->value : NULL;
}

bool map_has(const struct map *m, struct str key)
{
	return entry_of(m, key) != NULL;
}

static void grow(struct map *m)
{
	m->nslots = m->nslots > 0 ? m->nslots * 2 : 16;
	m->cap = m->nslots / 3 * 2;
	assert(m->cap < UINT32_MAX);
	m->entries = mem_realloc_array(m->entries, m->cap, sizeof *m->entries);
	mem_free(m->slots);
	m->slots = mem_array(m->nslots, sizeof *m->slots);
	for (size_t i = 0; i < m->n; i++)
		m->slots[find(m, m->entries[i].key)] = (uint32_t)i + 1;
}

void map_put(struct map *m, struct str key, void *value)
{
	struct map_entry *entry = entry_of(m, key);

	if (entry != NULL) {
		entry->value = value;
		return;
	}
	if (m->n == m->cap)
		grow(m);
	struct str copy = str_make(mem_cstr(key), key.n);
	m->entries[m->n] = (struct map_entry){.key = copy, .value = value};
	m->slots[find(m, copy)] = (uint32_t)m->n + 1;
	m->n++;
}

/* Frees a slot and moves up those behind it that could no longer be found (Knuth 6.4, R). */
static void unslot(struct map *m, size_t hole)
{
	size_t mask = m->nslots - 1;

	m->slots[hole] = 0;
	for (size_t at = (hole + 1) & mask; m->slots[at] != 0; at = (at + 1) & mask) {
		size_t want = home(m, m->entries[m->slots[at] - 1].key);
		if (((at - want) & mask) < ((at - hole) & mask))
			continue;
		m->slots[hole] = m->slots[at];
		m->slots[at] = 0;
		hole = at;
	}
}

void *map_remove(struct map *m, struct str key)
{
	if (m->n == 0)
		return NULL;
	size_t at = find(m, key);
	if (m->slots[at] == 0)
		return NULL;
	size_t index = m->slots[at] - 1;
	struct map_entry gone = m->entries[index];
	unslot(m, at);
	if (index != m->n - 1) {
		struct map_entry last = m->entries[m->n - 1];
		m->slots[find(m, last.key)] = (uint32_t)index + 1;
		m->entries[index] = last;
	}
	m->n--;
	key_free(gone.key);
	return gone.value;
}
