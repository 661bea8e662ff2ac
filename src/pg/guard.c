#include "guard.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "enc.h"
#include "pg_types.h"

#define FIXED_MASK "****"
#define MAC_BYTES  32

/* ---- reading the rules ---- */

/* The lists of one table under way. */
struct rules {
	struct guard *g;
	struct guard_table *table;
	struct arena *mem;
};

static bool fails(const struct rules *r, const char *what, struct str list)
{
	(void)FAIL(&r->g->broken, ERR_USAGE,
		"reading the configuration: [table %.*s] %s = %.*s: write names of columns joined "
		"by commas, in double quotes where they have other characters than letters, "
		"digits and _; ? after a name that the table need not have; in mask, :shape or "
		":\"text\" after a name",
		STR_ARG(r->table->name), what, STR_ARG(list));
	return false;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* "a""b" or a plain word. */
static bool take_word(struct str *s, struct arena *mem, struct str *out)
{
	size_t i = 0, n = 0;

	if (!str_starts(*s, STR("\""))) {
		while (i < s->n && is_plain(s->p[i]))
			i++;
		*out = arena_str(mem, str_make(s->p, i));
		*s = str_from(*s, i);
		return i > 0;
	}
	char *text = arena_alloc(mem, s->n + 1);
	for (i = 1; i < s->n; i++) {
		if (s->p[i] == '"' && (i + 1 == s->n || s->p[i + 1] != '"'))
			break;
		i += s->p[i] == '"';
		text[n++] = s->p[i];
	}
	if (i >= s->n)
		return false;
	*out = str_make(text, n);
	*s = str_from(*s, i + 1);
	return true;
}

/* :shape or :"text" */
static bool take_mask(struct str *s, struct arena *mem, struct guard_column *c)
{
	struct str text;

	c->text = STR(FIXED_MASK);
	if (!str_starts(*s, STR(":")))
		return true;
	*s = str_from(*s, 1);
	bool quoted = str_starts(*s, STR("\""));
	if (!take_word(s, mem, &text) || (!quoted && !str_eqc(text, "shape")))
		return false;
	if (quoted)
		c->text = text;
	else
		c->kind = GUARD_SHAPE;
	return true;
}

static void add_column(struct rules *r, struct guard_column *c)
{
	struct guard_table *t = r->table;

	if (guard_find_column(t, c->name) != NULL) {
		(void)FAIL(&r->g->broken, ERR_USAGE,
			"reading the configuration: [table %.*s] names the column %.*s more than "
			"once in exclude, hash and mask; name it in one of them",
			STR_ARG(t->name), STR_ARG(c->name));
		return;
	}
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 8 : t->cap * 2;
		struct guard_column *more = arena_array(r->mem, t->cap, sizeof *more);
		for (size_t i = 0; i < t->n; i++)
			more[i] = t->columns[i];
		t->columns = more;
	}
	t->columns[t->n++] = *c;
}

/* One list; false when it cannot be read. */
static bool take_list(struct rules *r, const char *list, enum guard_kind kind, const char *what)
{
	struct str rest = str_trim(str_of(list));

	while (rest.n > 0) {
		struct guard_column c = {.guard = r->g, .kind = kind};
		if (!take_word(&rest, r->mem, &c.name) || c.name.n == 0)
			return fails(r, what, str_of(list));
		c.may_be_absent = str_starts(rest, STR("?"));
		rest = str_from(rest, c.may_be_absent);
		if (kind == GUARD_MASK && !take_mask(&rest, r->mem, &c))
			return fails(r, what, str_of(list));
		rest = str_trim(rest);
		if (rest.n > 0 && !str_starts(rest, STR(",")))
			return fails(r, what, str_of(list));
		rest = str_trim(str_from(rest, 1));
		add_column(r, &c);
	}
	return true;
}

static struct guard_table *add_table(struct guard *g, struct arena *mem, const char *name)
{
	if (g->n == g->cap) {
		g->cap = g->cap == 0 ? 8 : g->cap * 2;
		struct guard_table *more = arena_array(mem, g->cap, sizeof *more);
		for (size_t i = 0; i < g->n; i++)
			more[i] = g->tables[i];
		g->tables = more;
	}
	g->tables[g->n] = (struct guard_table){.name = arena_str(mem, str_of(name))};
	return &g->tables[g->n++];
}

static bool is_set(const char *list)
{
	return list != NULL && str_trim(str_of(list)).n > 0;
}

void guard_add(struct guard *g, struct arena *mem, const char *table, const char *exclude,
	const char *hash, const char *mask)
{
	if (!is_set(exclude) && !is_set(hash) && !is_set(mask))
		return;
	struct rules r = {.g = g, .table = add_table(g, mem, table), .mem = mem};
	if (!take_list(&r, exclude, GUARD_EXCLUDE, "exclude") ||
		!take_list(&r, hash, GUARD_HASH, "hash") ||
		!take_list(&r, mask, GUARD_MASK, "mask"))
		return;
	if (is_set(hash) && g->key.n == 0)
		(void)FAIL(&g->broken, ERR_USAGE,
			"reading the configuration: [table %s] hash needs a key: put a long "
			"random text into a file and name it in [replicate] hash_key_file (or "
			"SLUICE_REPLICATE_HASH_KEY_FILE)",
			table);
}

/* ---- finding and using them ---- */

const struct guard_table *guard_find(const struct guard *g, struct str schema, struct str name)
{
	for (size_t i = 0; g != NULL && i < g->n; i++) {
		struct str full = g->tables[i].name;
		if (full.n == schema.n + 1 + name.n && str_starts(full, schema) &&
			full.p[schema.n] == '.' && str_ends(full, name))
			return &g->tables[i];
	}
	return NULL;
}

const struct guard_column *guard_find_column(const struct guard_table *t, struct str column)
{
	for (size_t i = 0; i < t->n; i++)
		if (str_eq(t->columns[i].name, column))
			return &t->columns[i];
	return NULL;
}

static void put_hash(struct str key, struct str text, struct buf *out)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	char hex[2 * MAC_BYTES + 1];
	unsigned int n = 0;

	/* It fails only without memory, which ends the program everywhere else too; what must
	 * never happen is that the value itself goes through. */
	if (HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)text.p, text.n, mac, &n) ==
		NULL)
		memset(mac, 0, sizeof mac);
	enc_hex(str_make(mac, MAC_BYTES), hex);
	buf_put(out, str_make(hex, 2 * MAC_BYTES));
}

/* Letters, in any script, become x or X, digits 0; the rest tells the shape. */
static void put_shape(struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n;) {
		char c = text.p[i];
		size_t n = str_utf8_length(text.p + i, text.n - i);

		if (n != 1)
			buf_putc(out, 'x');
		else if (c >= 'A' && c <= 'Z')
			buf_putc(out, 'X');
		else if (c >= 'a' && c <= 'z')
			buf_putc(out, 'x');
		else
			buf_putc(out, c >= '0' && c <= '9' ? '0' : c);
		i += n > 0 ? n : 1;
	}
}

void guard_value(const struct guard_column *c, struct str text, struct buf *out)
{
	switch (c->kind) {
	case GUARD_HASH:
		put_hash(c->guard->key, text, out);
		break;
	case GUARD_SHAPE:
		put_shape(text, out);
		break;
	case GUARD_MASK:
	case GUARD_EXCLUDE:
		buf_put(out, c->text);
		break;
	}
}

static enum err check_present(
	const struct guard_table *rules, const struct table *t, struct error *e)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct guard_column *c = &rules->columns[i];
		if (c->may_be_absent || table_column(t, c->name) >= 0)
			continue;
		return FAIL(e, ERR_USAGE,
			"guarding personal data: [table %.*s] names the column %.*s, which the "
			"table does not have; if it was renamed, name both with a ? (%.*s?, "
			"NEW_NAME?), if it was dropped, write %.*s? as long as the log may still "
			"have it",
			STR_ARG(rules->name), STR_ARG(c->name), STR_ARG(c->name), STR_ARG(c->name));
	}
	return OK;
}

static enum err check_key(
	const struct guard_table *rules, const struct guard_column *c, struct error *e)
{
	if (c->kind == GUARD_HASH)
		return OK;
	return FAIL(e, ERR_USAGE,
		"guarding personal data: the column %.*s of %.*s is part of the key by which rows "
		"are told apart, so it cannot be left out or masked; hash it",
		STR_ARG(c->name), STR_ARG(rules->name));
}

enum err guard_describe(const struct guard *g, struct table *t, struct arena *mem, struct error *e)
{
	const struct guard_table *rules = guard_find(g, t->schema, t->name);
	size_t kept = 0;
	bool all_keys = t->nkeys == t->ncolumns && t->identity == IDENTITY_FULL;

	if (rules == NULL)
		return OK;
	TRY(check_present(rules, t, e));
	for (size_t i = 0; i < t->ncolumns; i++) {
		struct column c = t->columns[i];
		c.guard = guard_find_column(rules, c.name);
		/* Where the whole row is the key, rows are counted, not told apart. */
		if (c.guard != NULL && c.is_key && !all_keys)
			TRY(check_key(rules, c.guard, e));
		if (c.guard != NULL && c.guard->kind == GUARD_EXCLUDE)
			continue;
		if (c.guard != NULL) {
			c.pg_type = PG_TEXT;
			c.pg_modifier = -1;
			c.type = (struct type){.kind = T_TEXT};
		}
		t->columns[kept++] = c;
	}
	t->ncolumns = kept;
	table_index_keys(t, mem);
	return OK;
}
