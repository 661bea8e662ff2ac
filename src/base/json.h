/*
 * json: strict reading over jansson, and a writer that streams into a buf.
 * Reading rejects duplicate keys and bytes after the value; integers are exact in 64 bits.
 * Numbers that must stay exact beyond that travel as strings.
 */
#ifndef SLUICE_JSON_H
#define SLUICE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "str.h"

/* ERR_INPUT with line and column. `what` names the document in the error. The caller frees
 * *out with json_decref(). */
enum err json_read(struct str text, const char *what, json_t **out, struct error *e) MUST_CHECK;

/* Members of an object. ERR_INPUT naming the key when absent or of another type. The views
 * live as long as the object. */
enum err json_want_str(
	const json_t *o, const char *key, struct str *out, struct error *e) MUST_CHECK;
enum err json_want_i64(const json_t *o, const char *key, int64_t *out, struct error *e) MUST_CHECK;
enum err json_want_f64(const json_t *o, const char *key, double *out, struct error *e) MUST_CHECK;
enum err json_want_bool(const json_t *o, const char *key, bool *out, struct error *e) MUST_CHECK;
enum err json_want_object(
	const json_t *o, const char *key, json_t **out, struct error *e) MUST_CHECK;
enum err json_want_array(
	const json_t *o, const char *key, json_t **out, struct error *e) MUST_CHECK;
struct str json_get_str(const json_t *o, const char *key); /* empty when absent or not a string */

/* The writer: keys and values in order, commas and escapes done here. Nesting at most 32. */
struct json_out {
	struct buf *b;
	uint32_t comma; /* bit per level: an element stands there already */
	unsigned depth;
};

void jo_init(struct json_out *j, struct buf *b);
void jo_object(struct json_out *j, const char *key); /* key NULL in arrays and at the top */
void jo_array(struct json_out *j, const char *key);
void jo_end_object(struct json_out *j);
void jo_end_array(struct json_out *j);
void jo_str(
	struct json_out *j, const char *key, struct str v); /* invalid UTF-8 bytes become U+FFFD */
void jo_cstr(struct json_out *j, const char *key, const char *v); /* NULL gives null */
void jo_i64(struct json_out *j, const char *key, int64_t v);
void jo_u64(struct json_out *j, const char *key, uint64_t v);
void jo_f64(struct json_out *j, const char *key,
	double v); /* shortest that reads back; NaN, inf: null */
void jo_fixed(struct json_out *j, const char *key, double v, int decimals);
void jo_bool(struct json_out *j, const char *key, bool v);
void jo_null(struct json_out *j, const char *key);
void jo_raw(struct json_out *j, const char *key, struct str json); /* already JSON */

/* Text of a jansson value: compact, keys sorted, so equal values give equal bytes. */
enum err json_write(const json_t *v, struct buf *out, struct error *e) MUST_CHECK;

#endif
