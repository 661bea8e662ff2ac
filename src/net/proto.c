#include "proto.h"

#include <assert.h>
#include <string.h>

#define VARINT_MOST 10 /* bytes of 64 bits */

static size_t varint(uint64_t v, uint8_t out[VARINT_MOST])
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

void proto_put_varint(struct buf *b, uint64_t v)
{
	uint8_t bytes[VARINT_MOST];

	buf_put(b, str_make(bytes, varint(v, bytes)));
}

static void put_tag(struct buf *b, uint32_t field, enum proto_wire wire)
{
	assert(field > 0 && field <= PROTO_FIELD_MAX);
	proto_put_varint(b, (uint64_t)field << 3 | wire);
}

void proto_put_u64(struct buf *b, uint32_t field, uint64_t v)
{
	put_tag(b, field, PROTO_VARINT);
	proto_put_varint(b, v);
}

void proto_put_i64(struct buf *b, uint32_t field, int64_t v)
{
	proto_put_u64(b, field, (uint64_t)v);
}

void proto_put_s64(struct buf *b, uint32_t field, int64_t v)
{
	proto_put_u64(b, field, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void proto_put_bool(struct buf *b, uint32_t field, bool v)
{
	proto_put_u64(b, field, v ? 1 : 0);
}

static void put_le(struct buf *b, uint64_t v, size_t bytes)
{
	uint8_t le[8];

	for (size_t i = 0; i < bytes; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	buf_put(b, str_make(le, bytes));
}

void proto_put_fixed32(struct buf *b, uint32_t field, uint32_t v)
{
	put_tag(b, field, PROTO_FIXED32);
	put_le(b, v, 4);
}

void proto_put_fixed64(struct buf *b, uint32_t field, uint64_t v)
{
	put_tag(b, field, PROTO_FIXED64);
	put_le(b, v, 8);
}

void proto_put_double(struct buf *b, uint32_t field, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	proto_put_fixed64(b, field, bits);
}

void proto_put_bytes(struct buf *b, uint32_t field, struct str v)
{
	put_tag(b, field, PROTO_BYTES);
	proto_put_varint(b, v.n);
	buf_put(b, v);
}

/* One byte is kept for the length, which is enough for most; longer ones move the message. */
size_t proto_begin(struct buf *b, uint32_t field)
{
	put_tag(b, field, PROTO_BYTES);
	buf_putc(b, 0);
	return b->n;
}

void proto_end(struct buf *b, size_t begun)
{
	uint8_t length[VARINT_MOST];

	if (!buf_ok(b))
		return;
	assert(begun > 0 && begun <= b->n);
	size_t bytes = b->n - begun, n = varint(bytes, length);
	for (size_t i = 1; i < n; i++)
		buf_putc(b, 0);
	if (!buf_ok(b))
		return;
	if (n > 1)
		memmove(b->p + begun + n - 1, b->p + begun, bytes);
	memcpy(b->p + begun - 1, length, n);
}

uint64_t proto_read_varint(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_MOST; i++) {
		uint8_t byte = read_u8(r);
		if (i == VARINT_MOST - 1 && byte > 1)
			break; /* more than 64 bits */
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			return r->bad ? 0 : v;
	}
	r->bad = true;
	return 0;
}

bool proto_next(struct reader *r, struct proto_field *f)
{
	*f = (struct proto_field){.number = 0};
	if (r->bad || reader_left(r) == 0)
		return false;
	uint64_t tag = proto_read_varint(r), length;
	f->number = (uint32_t)(tag >> 3);
	f->wire = (enum proto_wire)(tag & 7);
	if (tag >> 3 == 0 || tag >> 3 > PROTO_FIELD_MAX)
		r->bad = true;
	switch ((unsigned)f->wire) {
	case PROTO_VARINT:
		f->v = proto_read_varint(r);
		break;
	case PROTO_FIXED64:
		f->v = read_le64(r);
		break;
	case PROTO_FIXED32:
		f->v = read_le32(r);
		break;
	case PROTO_BYTES:
		length = proto_read_varint(r);
		if (length > reader_left(r))
			r->bad = true;
		else
			f->bytes = read_bytes(r, (size_t)length);
		break;
	default:
		r->bad = true;
	}
	return !r->bad;
}

int64_t proto_s64(uint64_t v)
{
	return (int64_t)((v >> 1) ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

double proto_double(uint64_t v)
{
	double d;

	memcpy(&d, &v, sizeof d);
	return d;
}
