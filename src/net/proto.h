/*
 * proto: the wire format of protocol buffers, field by field; no schemas. Numbers of fields and
 * their types come from the .proto file that the caller follows. Source: protobuf.dev, "Encoding".
 *
 * Writing goes into a struct buf made by the program itself (see buf_put); check buf_ok at the end.
 * Nothing is left out for being zero: whether a default is written is the caller's decision.
 */
#ifndef SLUICE_PROTO_H
#define SLUICE_PROTO_H

#include "buf.h"
#include "reader.h"

#define PROTO_FIELD_MAX 536870911U

/* int32, int64, uint32, uint64, bool and enums; a negative number as its 64-bit complement. */
void proto_put_u64(struct buf *b, uint32_t field, uint64_t v);
void proto_put_i64(struct buf *b, uint32_t field, int64_t v);
void proto_put_s64(struct buf *b, uint32_t field, int64_t v); /* sint32, sint64: zigzag */
void proto_put_bool(struct buf *b, uint32_t field, bool v);
void proto_put_fixed32(struct buf *b, uint32_t field, uint32_t v);
void proto_put_fixed64(struct buf *b, uint32_t field, uint64_t v);
void proto_put_double(struct buf *b, uint32_t field, double v);
void proto_put_bytes(struct buf *b, uint32_t field, struct str v); /* string, bytes, message */

/* What is written between the two is the message in that field. They nest. */
size_t proto_begin(struct buf *b, uint32_t field);
void proto_end(struct buf *b, size_t begun);

/* Elements of a packed field, between proto_begin and proto_end. */
void proto_put_varint(struct buf *b, uint64_t v);

enum proto_wire { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_BYTES = 2, PROTO_FIXED32 = 5 };

struct proto_field {
	uint32_t number;
	enum proto_wire wire;
	uint64_t v;       /* but for PROTO_BYTES */
	struct str bytes; /* PROTO_BYTES; a view into what is read */
};

/* The next field; false at the end, and when the bytes are no message: then r->bad. Groups, which
 * proto3 lacks, are taken for the latter. */
bool proto_next(struct reader *r, struct proto_field *f);

/* One element of a packed field. */
uint64_t proto_read_varint(struct reader *r);

int64_t proto_s64(uint64_t v); /* zigzag undone */
double proto_double(uint64_t v);

#endif
