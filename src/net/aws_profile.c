/* AWS's shared files: ~/.aws/credentials and ~/.aws/config. */
#include <string.h>

#include "aws_parts.h"
#include "file.h"

static void add_line(struct aws_profiles *p, struct arena *mem, struct str profile, struct str key,
	struct str value)
{
	if (p->n == p->cap) {
		size_t cap = p->cap > 0 ? 2 * p->cap : 32;
		struct aws_profile_line *grown = arena_array(mem, cap, sizeof *grown);
		if (p->n > 0)
			memcpy(grown, p->lines, p->n * sizeof *grown);
		p->lines = grown;
		p->cap = cap;
	}
	p->lines[p->n++] = (struct aws_profile_line){profile, key, value};
}

/* What stands before " #" or " ;", as AWS's own readers take it. */
static struct str without_comment(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] == '#' || s.p[i] == ';') &&
			(i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
			return str_trim(str_make(s.p, i));
	return str_trim(s);
}

/* "[profile name]" in the configuration, "[name]" in the credentials; empty: some other section. */
static struct str section_profile(struct str inside, bool config)
{
	struct str s = str_trim(inside);

	if (config && !str_eqc(s, "default")) {
		if (!str_starts(s, STR("profile ")) && !str_starts(s, STR("profile\t")))
			return STR_NONE;
		s = str_trim(str_from(s, 8));
	}
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		s = str_make(s.p + 1, s.n - 2);
	return s;
}

static void read_lines(struct str text, bool config, struct arena *mem, struct aws_profiles *out)
{
	struct str line, profile = STR_NONE, key;

	while (str_next(&text, '\n', &line)) {
		/* An indented line belongs to the setting above it: nothing that is asked for here.
		 */
		bool nested = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
		struct str s = without_comment(line);
		if (s.n == 0 || nested)
			continue;
		if (s.p[0] == '[') {
			ptrdiff_t end = str_find(s, STR("]"));
			profile = end < 0
				? STR_NONE
				: section_profile(str_make(s.p + 1, (size_t)end - 1), config);
			if (profile.n > 0)
				add_line(out, mem, profile, STR_NONE, STR_NONE);
		} else if (profile.n > 0 && str_cut(&s, '=', &key)) {
			add_line(out, mem, profile, str_trim(key), str_trim(s));
		}
	}
}

static enum err read_one(
	const char *path, bool config, struct arena *mem, struct aws_profiles *out, struct error *e)
{
	struct secret text = {.hidden = NULL};

	if (!file_exists(path))
		return OK;
	TRY(secret_read_file(&text, path, e));
	struct str copy = arena_str(mem, str_of(secret_reveal(&text)));
	sigv4_wipe_later(mem, copy);
	secret_free(&text);
	read_lines(copy, config, mem, out);
	return OK;
}

static const char *path_of(
	struct aws_identity *i, const char *variable, const char *name, struct arena *mem)
{
	const char *given = aws_env(i, variable), *home = aws_env(i, "HOME");

	if (given != NULL)
		return given;
	return home != NULL ? arena_fmt(mem, "%s/.aws/%s", home, name).p : NULL;
}

enum err aws_profiles_read(
	struct aws_identity *i, struct arena *mem, struct aws_profiles *out, struct error *e)
{
	const char *credentials = path_of(i, "AWS_SHARED_CREDENTIALS_FILE", "credentials", mem);
	const char *config = path_of(i, "AWS_CONFIG_FILE", "config", mem);

	*out = (struct aws_profiles){.n = 0};
	if (credentials != NULL)
		TRY(read_one(credentials, false, mem, out, e));
	if (config != NULL)
		TRY(read_one(config, true, mem, out, e));
	return OK;
}

bool aws_profiles_has(const struct aws_profiles *p, struct str profile)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->lines[i].profile, profile))
			return true;
	return false;
}

struct str aws_profiles_get(const struct aws_profiles *p, struct str profile, const char *key)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->lines[i].profile, profile) && str_eqc(p->lines[i].key, key))
			return p->lines[i].value;
	return STR_NONE;
}

struct str aws_profile_name(const struct aws_identity *i, bool *named)
{
	const char *name = i->o.profile != NULL ? i->o.profile : aws_env(i, "AWS_PROFILE");

	*named = name != NULL;
	return str_of(name != NULL ? name : "default");
}
