/*
 * reader: bytes from outside, read front to back. Reading past the end makes it bad and it stays
 * bad, giving zeros; check once at the end. Read in separate statements: the order in which
 * initialisers are evaluated is unspecified.
 */
#ifndef SLUICE_READER_H
#define SLUICE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

struct reader {
	const uint8_t *p, *end;
	bool bad;
};

struct reader reader_of(struct str s);
size_t reader_left(const struct reader *r);
uint8_t read_u8(struct reader *r);
uint16_t read_be16(struct reader *r);
uint32_t read_be32(struct reader *r);
uint64_t read_be64(struct reader *r);
uint32_t read_le32(struct reader *r);
uint64_t read_le64(struct reader *r);
struct str read_bytes(struct reader *r, size_t n);
struct str read_cstr(struct reader *r); /* up to and over a NUL; without the NUL */

#endif
