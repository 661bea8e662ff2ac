/*
 * crc32c: the Castagnoli checksum (RFC 3720, polynomial 0x1EDC6F41), by the processor's own
 * instruction where it has one.
 */
#ifndef SLUICE_CRC32C_H
#define SLUICE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from `crc`, which is 0 at the beginning: crc32c(crc32c(0, a), b) covers a then b. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The same without the instruction; for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
