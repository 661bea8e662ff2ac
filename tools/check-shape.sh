#!/bin/sh
# The shape of the code: no function over 100 lines, no file over 900, no banned function, and
# allocation only through src/base/mem.c. Prints each offence; fails when there is one.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- $(find src tests bench tools -name '*.[ch]' 2>/dev/null | sort)

offences=$(mktemp)
trap 'rm -f "$offences"' EXIT

for file in "$@"; do
	lines=$(wc -l <"$file")
	[ "$lines" -le 900 ] || printf '%s: %s lines, at most 900\n' "$file" "$lines"
done >"$offences"

ctags --languages=C --langmap=C:.c.h --kinds-C=f --fields=ne --sort=no -f - "$@" | awk -F '\t' '
	{
		line = end = 0
		for (i = 4; i <= NF; i++) {
			if ($i ~ /^line:/) line = substr($i, 6)
			if ($i ~ /^end:/) end = substr($i, 5)
		}
		if (end - line + 1 > 100)
			printf "%s:%d: %s has %d lines, at most 100\n", $2, line, $1, end - line + 1
	}' >>"$offences"

# Comments and literals are blanked first, so that only code counts; a name after . or -> is a
# member and not the libc function.
awk '
	function code(s,    out, c, i) {
		out = ""
		for (i = 1; i <= length(s); i++) {
			c = substr(s, i, 1)
			if (comment) {
				if (substr(s, i, 2) == "*/") { comment = 0; i++ }
			} else if (substr(s, i, 2) == "/*") {
				comment = 1; i++
			} else if (substr(s, i, 2) == "//") {
				break
			} else if (c == "\"" || c == "\047") {
				for (i++; i <= length(s) && substr(s, i, 1) != c; i++)
					if (substr(s, i, 1) == "\\") i++
				out = out "0"
			} else
				out = out c
		}
		return out
	}
	FNR == 1 { comment = 0 }
	{
		text = code($0)
		if (text ~ /(^|[^A-Za-z0-9_.>])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|system|popen)[ ]*\(/)
			printf "%s:%d: banned function: %s\n", FILENAME, FNR, $0
		if (FILENAME ~ /^src\// && FILENAME != "src/base/mem.c" &&
		    text ~ /(^|[^A-Za-z0-9_.>])(malloc|calloc|realloc|free|strdup|strndup)[ ]*\(/)
			printf "%s:%d: allocates outside src/base/mem.c: %s\n", FILENAME, FNR, $0
	}' "$@" >>"$offences"

[ ! -s "$offences" ] || {
	cat "$offences"
	exit 1
}
