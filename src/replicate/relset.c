#include "relset.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "mem.h"
#include "reader.h"

void relset_free(struct relset *s)
{
	for (size_t i = 0; i < s->n; i++)
		mem_free(s->items[i].message);
	mem_free(s->items);
	mem_free(s->slots);
	mem_free(s->touched);
	*s = (struct relset){0};
}

static size_t slot_of(uint32_t relid, size_t nslots)
{
	return (size_t)(relid * 2654435761U) & (nslots - 1);
}

static void rehash(struct relset *s)
{
	s->nslots = s->nslots == 0 ? 64 : s->nslots * 2;
	mem_free(s->slots);
	s->slots = mem_array(s->nslots, sizeof(*s->slots));
	for (size_t i = 0; i < s->n; i++) {
		size_t at = slot_of(s->items[i].relid, s->nslots);
		while (s->slots[at] != 0)
			at = (at + 1) & (s->nslots - 1);
		s->slots[at] = (uint32_t)(i + 1);
	}
}

static struct rel_item *relset_item(struct relset *s, uint32_t relid)
{
	if ((s->n + 1) * 2 > s->nslots)
		rehash(s);
	size_t at = slot_of(relid, s->nslots);
	for (; s->slots[at] != 0; at = (at + 1) & (s->nslots - 1)) {
		struct rel_item *item = &s->items[s->slots[at] - 1];
		if (item->relid == relid)
			return item;
	}
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		s->items = mem_realloc_array(s->items, s->cap, sizeof(*s->items));
	}
	s->items[s->n] = (struct rel_item){.relid = relid};
	s->slots[at] = (uint32_t)++s->n;
	return &s->items[s->n - 1];
}

void relset_learn(struct relset *s, struct str message)
{
	struct reader r = reader_of(message);

	(void)read_u8(&r);
	uint32_t relid = read_be32(&r);
	if (r.bad)
		return;
	struct rel_item *item = relset_item(s, relid);
	mem_free(item->message);
	item->message = mem_alloc(message.n);
	memcpy(item->message, message.p, message.n);
	item->length = message.n;
}

static struct rel_count *pending_of(struct relset *s, uint32_t relid)
{
	struct rel_item *item = relset_item(s, relid);

	if (!item->touched) {
		item->touched = true;
		if (s->ntouched == s->captouched) {
			s->captouched = s->captouched == 0 ? 16 : s->captouched * 2;
			s->touched = mem_realloc_array(
				s->touched, s->captouched, sizeof(*s->touched));
		}
		s->touched[s->ntouched++] = (uint32_t)(item - s->items);
	}
	return &item->pending;
}

void relset_count(struct relset *s, struct str message)
{
	struct reader r = reader_of(message);
	uint8_t kind = read_u8(&r);
	XXH128_hash_t h = XXH3_128bits(message.p, message.n);
	struct rowhash hash = {.lo = h.low64, .hi = h.high64};
	uint32_t n = 1;

	if (kind == 'T') {
		n = read_be32(&r);
		(void)read_u8(&r);
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t relid = read_be32(&r);
		if (r.bad)
			return;
		struct rel_count *c = pending_of(s, relid);
		c->inserts += kind == 'I';
		c->updates += kind == 'U';
		c->deletes += kind == 'D';
		c->truncates += kind == 'T';
		digest_add(&c->digest, hash);
	}
}

static void settle(struct relset *s, bool keep)
{
	for (size_t i = 0; i < s->ntouched; i++) {
		struct rel_item *item = &s->items[s->touched[i]];
		if (keep) {
			item->settled.inserts += item->pending.inserts;
			item->settled.updates += item->pending.updates;
			item->settled.deletes += item->pending.deletes;
			item->settled.truncates += item->pending.truncates;
			digest_merge(&item->settled.digest, &item->pending.digest);
		}
		item->pending = (struct rel_count){0};
		item->touched = false;
	}
	s->ntouched = 0;
}

void relset_commit(struct relset *s)
{
	settle(s, true);
}

void relset_rollback(struct relset *s)
{
	settle(s, false);
}

void relset_zero(struct relset *s)
{
	settle(s, false);
	for (size_t i = 0; i < s->n; i++)
		s->items[i].settled = (struct rel_count){0};
}

bool relation_name(struct str message, struct str *schema, struct str *name)
{
	struct reader r = reader_of(message);
	uint8_t kind = read_u8(&r);

	(void)read_be32(&r);
	*schema = read_cstr(&r);
	*name = read_cstr(&r);
	return kind == 'R' && !r.bad;
}
