/* Any file at all is either a configuration or an error that says where. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf.h"
#include "file.h"

struct source {
	const char *url, *mode;
	struct secret password;
	bool tls;
	int64_t port, batch, timeout;
};

struct table {
	const char *name, *key;
	struct secret salt;
};

struct settings {
	struct source source;
	struct conf_list tables;
};

static const struct conf_key source_keys[] = {
	{.name = "url", .type = CONF_STRING, .offset = offsetof(struct source, url)},
	{.name = "password", .type = CONF_SECRET, .offset = offsetof(struct source, password)},
	{.name = "tls", .type = CONF_BOOL, .offset = offsetof(struct source, tls)},
	{.name = "port", .type = CONF_INT, .offset = offsetof(struct source, port), .max = 65535},
	{.name = "batch", .type = CONF_SIZE, .offset = offsetof(struct source, batch)},
	{.name = "timeout", .type = CONF_TIME, .offset = offsetof(struct source, timeout)},
	{.name = "mode",
		.type = CONF_CHOICE,
		.offset = offsetof(struct source, mode),
		.choices = "merge|cdc|append"},
	CONF_KEY_END,
};

static const struct conf_key table_keys[] = {
	{.name = "key", .type = CONF_STRING, .offset = offsetof(struct table, key)},
	{.name = "salt", .type = CONF_SECRET, .offset = offsetof(struct table, salt)},
	CONF_KEY_END,
};

static const struct conf_section sections[] = {
	{.name = "source",
		.offset = offsetof(struct settings, source),
		.size = sizeof(struct source),
		.keys = source_keys},
	{.name = "table",
		.argument = "SCHEMA.NAME",
		.offset = offsetof(struct settings, tables),
		.size = sizeof(struct table),
		.keys = table_keys},
	CONF_SECTION_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings got = {0};
	struct arena mem = {0};
	struct error e = {0};
	struct buf shown;
	char path[64];

	/* password_file would read whatever the input names */
	if (memmem(data, size, "_file", 5) != NULL)
		return 0;
	int fd = memfd_create("conf", MFD_CLOEXEC);
	if (fd < 0)
		abort();
	enum err rc = file_write_all(fd, data, size, "memory", &e);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (rc == OK)
		rc = conf_load(sections, path, true, NULL, &got, &mem, &e);
	assert(rc == OK || rc == ERR_USAGE);
	assert(rc == OK || str_starts(str_of(e.text), str_of(path)));
	buf_init(&shown, BUF_MAX_DEFAULT);
	if (rc == OK)
		conf_print(sections, &got, &shown);
	buf_free(&shown);
	conf_free(sections, &got);
	arena_free(&mem);
	close(fd);
	return 0;
}
