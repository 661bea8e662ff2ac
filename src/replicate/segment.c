#include "segment.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "crc32c.h"
#include "reader.h"

static const char magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'J', '1'};

static void put32(char *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static void put64(char *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

static uint32_t get32(const char *at)
{
	uint32_t v;
	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const char *at)
{
	uint64_t v;
	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

static enum err put_relations(
	const struct relset *known, struct segment_head *h, struct buf *out, struct error *e)
{
	h->nrelations = 0;
	for (size_t i = 0; i < known->n; i++) {
		const struct rel_item *item = &known->items[i];
		char length[4];

		if (item->message == NULL)
			continue;
		put32(length, (uint32_t)item->length);
		TRY(buf_add(out, str_make(length, sizeof(length)), e));
		TRY(buf_add(out, str_make(item->message, item->length), e));
		h->nrelations++;
	}
	return OK;
}

enum err segment_head_write(
	struct segment_head *h, const struct relset *known, struct buf *out, struct error *e)
{
	char fixed[SEGMENT_FIXED] = {0}, crc[4];
	size_t at = out->n;

	TRY(buf_add(out, str_make(fixed, sizeof(fixed)), e));
	TRY(put_relations(known, h, out, e));
	h->length = (uint32_t)(out->n - at + sizeof(crc));
	memcpy(fixed, magic, sizeof(magic));
	put32(fixed + 8, SEGMENT_VERSION);
	put32(fixed + 12, h->length);
	put64(fixed + 16, h->system_id);
	put32(fixed + 24, h->timeline);
	put32(fixed + 28, h->nrelations);
	put64(fixed + 32, h->number);
	put64(fixed + 40, h->first.v);
	put64(fixed + 48, h->chain);
	memcpy(fixed + 56, h->slot, SEGMENT_SLOT);
	memcpy(out->p + at, fixed, sizeof(fixed));
	put32(crc, crc32c(0, out->p + at, out->n - at));
	return buf_add(out, str_make(crc, sizeof(crc)), e);
}

uint32_t segment_head_length(const char *fixed)
{
	uint32_t length = get32(fixed + 12);

	if (memcmp(fixed, magic, sizeof(magic)) != 0 || length < SEGMENT_FIXED + 4 ||
		length > RECORD_MAX)
		return 0;
	return length;
}

const char *segment_head_read(struct str bytes, struct segment_head *h)
{
	const char *p = bytes.p;

	assert(bytes.n >= SEGMENT_FIXED + 4);
	if (get32(p + bytes.n - 4) != crc32c(0, p, bytes.n - 4))
		return "the header's checksum does not match";
	if (get32(p + 8) != SEGMENT_VERSION)
		return "it was written by another version of sluice";
	*h = (struct segment_head){.length = get32(p + 12),
		.system_id = get64(p + 16),
		.timeline = get32(p + 24),
		.nrelations = get32(p + 28),
		.number = get64(p + 32),
		.first = {get64(p + 40)},
		.chain = get64(p + 48),
		.relations = {p + SEGMENT_FIXED, bytes.n - SEGMENT_FIXED - 4}};
	memcpy(h->slot, p + 56, SEGMENT_SLOT);
	h->slot[SEGMENT_SLOT - 1] = '\0';
	return NULL;
}

bool segment_relation(struct str *rest, struct str *message)
{
	struct reader r = reader_of(*rest);
	uint32_t n = read_le32(&r);

	*message = read_bytes(&r, n);
	if (r.bad || message->n == 0)
		return false;
	*rest = str_from(*rest, 4 + (size_t)n);
	return true;
}

static uint64_t chain_next(uint64_t chain, lsn start, struct str payload)
{
	return XXH3_64bits_withSeed(payload.p, payload.n, chain ^ start.v);
}

static uint32_t record_crc(const char *head, struct str payload)
{
	uint32_t crc = crc32c(0, head, 4);

	crc = crc32c(crc, head + 8, RECORD_HEAD - 8);
	return crc32c(crc, payload.p, payload.n);
}

void record_head_write(
	char head[RECORD_HEAD], uint64_t *chain, bool own, lsn start, struct str payload)
{
	assert(payload.n > 0 && payload.n < RECORD_MAX);
	*chain = chain_next(*chain, start, payload);
	put32(head, (uint32_t)payload.n | (own ? RECORD_OWN : 0));
	put64(head + 8, *chain);
	put64(head + 16, start.v);
	put32(head + 4, record_crc(head, payload));
}

uint32_t record_length(const char head[RECORD_HEAD], bool *own)
{
	uint32_t v = get32(head);

	*own = (v & RECORD_OWN) != 0;
	return v & ~RECORD_OWN;
}

const char *record_read(const char *head, uint64_t chain, struct record *out)
{
	out->payload.n = record_length(head, &out->own);
	out->payload.p = head + RECORD_HEAD;
	out->chain = get64(head + 8);
	out->start.v = get64(head + 16);
	if (get32(head + 4) != record_crc(head, out->payload))
		return "the record's checksum does not match";
	if (out->chain != chain_next(chain, out->start, out->payload))
		return "the record does not follow the one before it";
	return NULL;
}
