/*
 * buf: a growing run of bytes with a ceiling that is set once. Never NUL-terminated except by
 * buf_cstr(). Not safe for use by two threads at once.
 */
#ifndef SLUICE_BUF_H
#define SLUICE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

struct buf {
	char *p;
	size_t n, cap;
	size_t max; /* ceiling in bytes */
	bool cut;   /* a buf_put* was left out */
};

#define BUF_MAX_DEFAULT ((size_t)1 << 30)

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* usable again after buf_init */
void buf_reset(struct buf *b); /* forgets the content, keeps the memory */

/* Each fails with ERR_INPUT when the ceiling would be passed, and then adds nothing. */
enum err buf_add(struct buf *b, struct str s, struct error *e) MUST_CHECK;
enum err buf_addf(struct buf *b, struct error *e, const char *fmt, ...)
	PRINTF_LIKE(3, 4) MUST_CHECK;

/* For text built by the program itself (SQL, messages), where passing the ceiling is a bug of
 * ours: what does not fit, and everything after it, is left out, and buf_ok() says so. */
void buf_put(struct buf *b, struct str s);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *cstr);
void buf_putf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_putv(struct buf *b, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
bool buf_ok(const struct buf *b); /* false once a buf_put* passed the ceiling */

/* Room for n more bytes, to be written at the returned address and then counted by buf_took(). */
enum err buf_room(struct buf *b, size_t n, char **at, struct error *e) MUST_CHECK;
void buf_took(struct buf *b, size_t n);
void buf_drop_front(struct buf *b, size_t n);

struct str buf_str(const struct buf *b); /* valid until the next change */
const char *buf_cstr(struct buf *b);     /* NUL-terminated, not counted in n; valid likewise */
char *buf_steal(struct buf *b); /* NUL-terminated, caller frees with mem_free; b is empty */

/* Big-endian integers, as the PostgreSQL protocol writes them. */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_be16(struct buf *b, uint16_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_be64(struct buf *b, uint64_t v);

/* The shortest decimal that reads back as the same number; "NaN", "+Inf", "-Inf". */
void buf_put_f64(struct buf *b, double v);

#endif
